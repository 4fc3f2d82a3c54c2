//! Exit code 127 explained: the command that a shell said it could not find.

/// Reads the end of a step's output for a shell's "not found", and gives the command's name.
///
/// The wordings are busybox ash's and dash's (`sh: 1: foo: not found`), bash's (`line 1: foo: command not found`) and
/// env's (`env: 'foo': No such file or directory`).
pub(super) fn find(output: &[u8]) -> Option<String> {
    String::from_utf8_lossy(output).lines().rev().take(5).find_map(in_line)
}

fn in_line(line: &str) -> Option<String> {
    let line = line.trim_end();
    let before = [": command not found", ": not found", ": No such file or directory", ": inaccessible or not found"]
        .iter()
        .find_map(|ending| line.strip_suffix(ending))?;
    let name = before.rsplit(": ").next()?.trim_matches(['\'', '"', '`', '‘', '’']);
    (!name.is_empty() && !name.contains(char::is_whitespace)).then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shell_s_wording_names_the_command() {
        for (line, command) in [
            ("sh: 1: foo: not found", Some("foo")),
            ("/run/argon/0.script: line 2: pyhton: not found", Some("pyhton")),
            ("/run/argon/0.script: line 2: cargo: command not found", Some("cargo")),
            ("/run/argon/0.script: 3: ./run.sh: not found", Some("./run.sh")),
            ("env: 'python3.14': No such file or directory", Some("python3.14")),
            ("all is well", None),
            ("the file was not found", None),
        ] {
            assert_eq!(find(format!("before\n{line}\n").as_bytes()).as_deref(), command, "{line}");
        }
    }
}
