//! What containers of a listener's runs reach: the internet, and neither this machine, nor its local network, nor the metadata service
//! of a cloud. They are on a bridge of their own, whose packets to there the kernel refuses.
//!
//! It takes an engine on this machine and the right to set its packet filter. Where either is missing, that is told, and containers reach
//! what the engine's own bridge does.

use std::net::Ipv4Addr;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};

use serde::Deserialize;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use crate::engine::docker::{Docker, Endpoint};

/// The network, on the engine.
const NETWORK: &str = "argon-internet";

/// Its bridge.
const BRIDGE: &str = "argon0";

/// How the names of the bridges begin that jobs with services have.
pub(super) const BRIDGES: &str = "argon";

/// All of them, in iptables' words.
const ALL_BRIDGES: &str = "argon+";

/// What is none of the internet: <https://www.iana.org/assignments/iana-ipv4-special-registry/>.
const CLOSED: [&str; 9] = [
    "0.0.0.0/8",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "198.18.0.0/15",
    "224.0.0.0/4",
    "240.0.0.0/4",
];

/// What containers reach.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Egress {
    /// The internet alone, where that can be seen to.
    #[default]
    Internet,
    /// What the engine's own bridge does.
    All,
}

/// Why containers reach more than the internet.
#[derive(Debug, thiserror::Error)]
enum Open {
    #[error("the engine is on another machine")]
    Elsewhere,
    #[error("{0}")]
    Engine(#[from] crate::engine::EngineError),
    #[error("`{command}` failed: {said}")]
    Filter { command: &'static str, said: String },
}

/// Keeps containers from where they do not belong, and tells once where it cannot.
#[derive(Debug, Default)]
pub(super) struct Gate {
    told: AtomicBool,
}

impl Gate {
    /// The network for the containers of a run; `None`: the engine's own. Looked after at each run, as others flush packet filters.
    pub(super) async fn network(&self, egress: Egress, engine: &Docker) -> Option<String> {
        if egress == Egress::All {
            return None;
        }
        match close(engine).await {
            Ok(()) => Some(NETWORK.to_owned()),
            Err(why) => {
                if !self.told.swap(true, Ordering::Relaxed) {
                    tracing::warn!(%why, "containers reach this machine and its local network (docs/security.md)");
                }
                None
            }
        }
    }
}

/// Which chain of ours is gone through from which of the packet filter's.
const JUMPS: [(&str, &str); 2] = [("DOCKER-USER", "ARGON-EGRESS"), ("INPUT", "ARGON-HOST")];

async fn close(engine: &Docker) -> Result<(), Open> {
    if !matches!(engine.endpoint(), Endpoint::Unix(_)) {
        return Err(Open::Elsewhere);
    }
    // The engine sets the filter, too, for each container: it is only looked at where that will do.
    if !is_closed().await {
        set_filter().await?;
    }
    Ok(engine.ensure_network(NETWORK, BRIDGE).await?)
}

/// Whether the filter is as it was left: both ways into our chains, and the rule behind all others of each.
async fn is_closed() -> bool {
    for (chain, own) in JUMPS {
        if run("iptables", &["-w", "5", "-C", chain, "-i", ALL_BRIDGES, "-j", own], "").await.is_err() {
            return false;
        }
    }
    let last = ["-d", CLOSED[CLOSED.len() - 1], "-j", "REJECT"];
    for (chain, rule) in [("ARGON-EGRESS", last.as_slice()), ("ARGON-HOST", &["-j", "REJECT"])] {
        if run("iptables", &[&["-w", "5", "-C", chain], rule].concat(), "").await.is_err() {
            return false;
        }
    }
    true
}

async fn set_filter() -> Result<(), Open> {
    // First what refuses, then what would be let through.
    let nameservers = tokio::fs::read_to_string("/etc/resolv.conf").await.map(|text| nameservers(&text));
    run("iptables-restore", &["-w", "5", "--noflush"], &rules(&nameservers.unwrap_or_default())).await?;
    for (chain, own) in JUMPS {
        let rule = ["-i", ALL_BRIDGES, "-j", own];
        if run("iptables", &[&["-w", "5", "-C", chain], rule.as_slice()].concat(), "").await.is_err() {
            run("iptables", &[&["-w", "5", "-I", chain, "1"], rule.as_slice()].concat(), "").await?;
        }
    }
    Ok(())
}

/// The chains, for iptables-restore: both are made anew at once.
fn rules(nameservers: &[Ipv4Addr]) -> String {
    let mut rules = "*filter\n:ARGON-EGRESS - [0:0]\n:ARGON-HOST - [0:0]\n".to_owned();
    for chain in ["ARGON-EGRESS", "ARGON-HOST"] {
        // Names are asked for where this machine asks for them.
        for server in nameservers {
            for protocol in ["udp", "tcp"] {
                rules.push_str(&format!("-A {chain} -d {server} -p {protocol} --dport 53 -j RETURN\n"));
            }
        }
    }
    // A job and its services. The engine keeps one network's containers from those of another.
    rules.push_str(&format!("-A ARGON-EGRESS -o {ALL_BRIDGES} -j RETURN\n"));
    for range in CLOSED {
        rules.push_str(&format!("-A ARGON-EGRESS -d {range} -j REJECT\n"));
    }
    rules.push_str("-A ARGON-HOST -j REJECT\nCOMMIT\n");
    rules
}

fn nameservers(resolv_conf: &str) -> Vec<Ipv4Addr> {
    let servers = resolv_conf.lines().filter_map(|line| line.trim().strip_prefix("nameserver")?.trim().parse().ok());
    servers.filter(|server: &Ipv4Addr| !server.is_loopback()).collect()
}

async fn run(command: &'static str, arguments: &[&str], input: &str) -> Result<(), Open> {
    let failed = |said: String| Open::Filter { command, said };
    let mut child = Command::new(command)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| failed(error.to_string()))?;
    if let Some(mut stdin) = child.stdin.take() {
        // One that ends without having read it says why.
        let _ = stdin.write_all(input.as_bytes()).await;
    }
    let ended = child.wait_with_output().await.map_err(|error| failed(error.to_string()))?;
    let said = String::from_utf8_lossy(&ended.stderr);
    if ended.status.success() { Ok(()) } else { Err(failed(said.lines().next().unwrap_or_default().to_owned())) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_can_be_asked_for_and_nothing_else_of_the_local_network() {
        let servers = nameservers("# x\nnameserver 192.168.1.1\nnameserver ::1\nnameserver 127.0.0.53\nsearch lan\n");
        assert_eq!(servers, [Ipv4Addr::new(192, 168, 1, 1)]);
        let rules = rules(&servers);
        let place = |text: &str| rules.find(text).unwrap_or(usize::MAX);
        let asks = place("-A ARGON-EGRESS -d 192.168.1.1 -p udp --dport 53 -j RETURN");
        assert!(asks < place("-A ARGON-EGRESS -d 192.168.0.0/16 -j REJECT"), "{rules}");
        assert!(rules.ends_with("-A ARGON-HOST -j REJECT\nCOMMIT\n"), "{rules}");
        assert!(rules.contains("-d 169.254.0.0/16 -j REJECT"), "{rules}");
    }
}
