//! `security`: what a job wants beyond the sandbox.

use std::rc::Rc;

use crate::pipeline::language::Mapping;
use crate::pipeline::reader::Reader;
use crate::pipeline::tree::Node;
use crate::pipeline::{Code, Diagnostic, Security, Spanned, keys};

/// Those of capabilities(7), Linux 5.9 and later, without `CAP_`.
const CAPABILITIES: &[&str] = &[
    "AUDIT_CONTROL",
    "AUDIT_READ",
    "AUDIT_WRITE",
    "BLOCK_SUSPEND",
    "BPF",
    "CHECKPOINT_RESTORE",
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "IPC_LOCK",
    "IPC_OWNER",
    "KILL",
    "LEASE",
    "LINUX_IMMUTABLE",
    "MAC_ADMIN",
    "MAC_OVERRIDE",
    "MKNOD",
    "NET_ADMIN",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_RAW",
    "PERFMON",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_CHROOT",
    "SYS_MODULE",
    "SYS_NICE",
    "SYS_PACCT",
    "SYS_PTRACE",
    "SYS_RAWIO",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "SYSLOG",
    "WAKE_ALARM",
];

/// What every job has: docs/security.md.
const SANDBOX: &[&str] =
    &["CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "SETGID", "SETUID", "SETFCAP", "NET_BIND_SERVICE"];

pub(super) fn read(reader: &mut Reader<'_>, node: &Node) -> Option<Security> {
    let mut security = Security::default();
    for entry in reader.mapping("security", Mapping::Security, node)? {
        match entry.key.value.as_str() {
            "privileged" => security.privileged = reader.boolean("privileged", &entry.value) == Some(true),
            "capabilities" => security.capabilities = capabilities(reader, &entry.value),
            _ => {}
        }
    }
    Some(security)
}

fn capabilities(reader: &mut Reader<'_>, node: &Rc<Node>) -> Vec<String> {
    let mut found: Vec<Spanned<String>> = Vec::new();
    let items = reader.one_or_many("capabilities", node);
    if let Some(over) = items.get(CAPABILITIES.len()) {
        let message = format!("`capabilities` has {} items, more than there are", items.len());
        reader.report(
            Diagnostic::new(Code::Capability, reader.visible(over), message).help("name those that the job needs"),
        );
    }
    for item in items.iter().take(CAPABILITIES.len()) {
        let Some(name) = capability(reader, item) else {
            continue;
        };
        let name = Spanned { value: name, span: item.span.clone() };
        if SANDBOX.contains(&name.value.as_str()) {
            reader.report(
                Diagnostic::new(
                    Code::CapabilityInSandbox,
                    name.span,
                    format!("every job has the capability `{}`", name.value),
                )
                .help("remove it: it need not be asked for"),
            );
            continue;
        }
        match found.iter().find(|other| other.value == name.value) {
            Some(first) => reader.twice("capabilities", first, &name),
            None => found.push(name),
        }
    }
    found.into_iter().map(|name| name.value).collect()
}

/// A capability, without `CAP_`.
fn capability(reader: &mut Reader<'_>, node: &Node) -> Option<String> {
    let text = reader.filled("capabilities", node)?;
    let bare = text.strip_prefix("CAP_").unwrap_or(text);
    if CAPABILITIES.contains(&bare) {
        return Some(bare.to_owned());
    }
    let finding = Diagnostic::new(Code::Capability, node.span.clone(), format!("there is no capability `{text}`"));
    let folded = text.to_ascii_uppercase();
    let folded = folded.strip_prefix("CAP_").unwrap_or(&folded);
    reader.report(match keys::near(folded, CAPABILITIES.iter().copied()) {
        _ if folded == "ALL" => finding.help("name each that the job needs, such as `SYS_PTRACE`"),
        Some(near) => finding.help(format!("did you mean `{near}`?")),
        None => finding.help("write a name of capabilities(7), such as `SYS_PTRACE`"),
    });
    None
}

/// What `--allow` takes: `privileged`, or a capability, with or without `CAP_` and in letters of any size.
///
/// # Errors
/// In words, where it is neither.
pub fn capability_or_privileged(text: &str) -> Result<String, String> {
    let folded = text.to_ascii_uppercase();
    let bare = folded.strip_prefix("CAP_").unwrap_or(&folded);
    if bare == "PRIVILEGED" {
        return Ok("privileged".to_owned());
    }
    if CAPABILITIES.contains(&bare) {
        return Ok(bare.to_owned());
    }
    let near = keys::near(bare, CAPABILITIES.iter().copied()).map(|near| format!("; did you mean `{near}`?"));
    Err(format!("neither `privileged` nor a name of capabilities(7){}", near.unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sandbox_is_that_of_its_page() {
        let page = include_str!("../../../docs/security.md");
        for name in SANDBOX {
            assert!(page.contains(name), "docs/security.md does not name {name}");
            assert!(CAPABILITIES.contains(name), "{name}");
        }
    }
}
