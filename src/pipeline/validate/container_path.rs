//! Paths in a container that something is mounted on.

/// The folder of the sources: `plan` has it as `WORKSPACE`.
pub(super) const WORKSPACE: &str = "/workspace";

/// What the kernel, the engine and Argon itself mount.
const TAKEN: &[&str] = &["/proc", "/sys", "/dev", "/run/argon"];

/// What is wrong with a path, to stand behind it, and what to do.
pub(super) struct Objection {
    pub(super) why: &'static str,
    pub(super) help: String,
}

/// A path without `.`, doubled `/` and the `/` at its end.
pub(super) fn normal(text: &str) -> String {
    let parts: Vec<&str> = text.split('/').filter(|part| !matches!(*part, "" | ".")).collect();
    let root = if text.starts_with('/') { "/" } else { "" };
    format!("{root}{}", parts.join("/"))
}

/// What is wrong with a path that no folder can have, or none that may be covered.
pub(super) fn objection(text: &str) -> Option<Objection> {
    let object = |why, help: &str| Some(Objection { why, help: help.to_owned() });
    if text.starts_with('~') {
        let rest = text.trim_start_matches('~');
        return Some(Objection {
            why: "begins with `~`, which is nobody's home here",
            help: format!("write it from `/`: `/root{rest}` where the steps run as root"),
        });
    }
    if text.contains('$') {
        return object("has a `$` in it, and no variable is looked up here", "write the path itself");
    }
    if text.split('/').any(|part| part == "..") {
        return object("has `..` in it", "write the path itself");
    }
    if text.contains(['*', '?', '[']) {
        return object("is a pattern", "name the folder itself");
    }
    if text.contains([':', ',']) || text.chars().any(char::is_control) {
        return object(
            "has a character in it that no mount takes",
            "choose a path without `:`, `,` and control characters",
        );
    }
    let path = normal(text);
    if path == "/" {
        return object("is the whole container", "name the folder that matters");
    }
    let is_taken = TAKEN.iter().any(|taken| path == *taken || path.starts_with(&format!("{taken}/")));
    if is_taken {
        return object("is mounted by the machinery itself", "choose another folder");
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_workspace_is_that_of_the_plan() {
        assert_eq!(WORKSPACE, crate::plan::WORKSPACE);
    }

    #[test]
    fn paths_that_can_be_mounted_on() {
        for good in ["target", "./a//b/", "/root/.cache", "/device", "a b", "/run/x", "/processes"] {
            assert!(objection(good).is_none(), "{good}");
        }
        for bad in [
            "~",
            "~/x",
            "$HOME/x",
            "a/../b",
            "..",
            "*",
            "a:b",
            "/",
            "//",
            "/./",
            "/proc",
            "/dev/shm/",
            "/run/argon/x",
            "a\u{7}",
        ] {
            assert!(objection(bad).is_some(), "{bad}");
        }
        assert_eq!(normal("./a//b/./c/"), "a/b/c");
        assert_eq!(normal("//a/"), "/a");
        assert_eq!(normal("."), "");
    }
}
