//! Whose a container is: a name for this argon process that no other has, ever, and whether its bearer still lives.

use std::fs;

/// An argon process, on some machine: `machine/pid-namespace/boot/pid/start`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    /// The machine and its PID namespace: another's processes cannot be looked at from here.
    place: String,
    boot: String,
    pid: i32,
    /// When the process began, in the kernel's ticks: tells it from a later one with its pid.
    start: String,
}

impl Owner {
    /// This process.
    pub fn current() -> Self {
        let pid = rustix::process::getpid().as_raw_nonzero().get();
        let read = |path: &str| fs::read_to_string(path).map(|text| text.trim().to_owned()).unwrap_or_default();
        let machine = match read("/etc/machine-id") {
            id if id.is_empty() => rustix::system::uname().nodename().to_string_lossy().into_owned(),
            id => id,
        };
        let namespace = fs::read_link("/proc/self/ns/pid").map(|link| link.display().to_string()).unwrap_or_default();
        let namespace: String = namespace.chars().filter(char::is_ascii_digit).collect();
        let boot = read("/proc/sys/kernel/random/boot_id");
        Self { place: format!("{machine}/{namespace}"), boot, pid, start: start_of(pid).unwrap_or_default() }
    }

    /// The label's text.
    pub fn to_label(&self) -> String {
        format!("{}/{}/{}/{}", self.place, self.boot, self.pid, self.start)
    }

    /// Reads a label's text.
    pub fn parse(label: &str) -> Option<Self> {
        let parts: Vec<&str> = label.split('/').collect();
        let [machine, namespace, boot, pid, start] = parts[..] else {
            return None;
        };
        let pid = pid.parse().ok()?;
        Some(Self { place: format!("{machine}/{namespace}"), boot: boot.to_owned(), pid, start: start.to_owned() })
    }

    /// Whether `other` is certainly dead, as far as `self` can look: a process of another machine never is.
    pub fn knows_dead(&self, other: &Self) -> bool {
        let same_place = self.place == other.place;
        let same_life = self.boot == other.boot && start_of(other.pid).is_some_and(|start| start == other.start);
        same_place && !same_life
    }
}

/// When a process began (field 22 of `/proc/PID/stat`, proc(5)); elsewhere than on Linux only whether it lives.
fn start_of(pid: i32) -> Option<String> {
    match fs::read_to_string(format!("/proc/{pid}/stat")) {
        Ok(stat) => stat.rsplit_once(") ")?.1.split(' ').nth(19).map(str::to_owned),
        Err(_) if cfg!(target_os = "linux") => None,
        Err(_) => rustix::process::test_kill_process(rustix::process::Pid::from_raw(pid)?).ok().map(|()| String::new()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_lives_and_its_label_reads_back() {
        let me = Owner::current();
        assert_eq!(Owner::parse(&me.to_label()), Some(me.clone()));
        assert!(!me.knows_dead(&me));
    }

    #[test]
    fn a_reused_pid_and_an_earlier_boot_are_dead_and_another_machine_is_not() {
        let me = Owner::current();
        assert!(me.knows_dead(&Owner { start: "1".into(), ..me.clone() }));
        assert!(me.knows_dead(&Owner { boot: "earlier".into(), ..me.clone() }));
        assert!(!me.knows_dead(&Owner { place: "elsewhere/1".into(), start: "1".into(), ..me.clone() }));
    }
}
