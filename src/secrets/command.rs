//! A secret that a command tells: a password manager's client, for example.

use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::AsyncReadExt;
use tokio::process::Command;

use super::SecretError;
use crate::plan::LARGEST_SECRET;

/// A client may ask its user to unlock something.
const PATIENCE: Duration = Duration::from_secs(120);

/// The process group of a command that goes on: whoever gives up on it ends all of it, also what it started itself.
struct Group(Option<Pid>);

impl Group {
    /// It ended by itself: what it left in the background may stay.
    fn has_ended(mut self) {
        self.0 = None;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(leader) = self.0.take() {
            // One that is gone needs no signal.
            let _ = kill_process_group(leader, Signal::KILL);
        }
    }
}

/// Which process group a command is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Its own.
    Apart,
    /// Argon's. It may ask its user something, which it can do only in the group that the terminal is in; there Ctrl-C reaches
    /// all of it.
    Beside,
}

impl Place {
    /// By whether there is a terminal.
    fn here() -> Self {
        if std::fs::File::open("/dev/tty").is_ok() { Self::Beside } else { Self::Apart }
    }
}

/// Runs it; the secret is what it prints, less the end of its last line. It sees the terminal, to ask for what it needs.
pub(super) async fn ask(words: &[String]) -> Result<String, SecretError> {
    ask_at(words, Place::here()).await
}

async fn ask_at(words: &[String], place: Place) -> Result<String, SecretError> {
    let program = words.first().cloned().unwrap_or_default();
    let failed = |why: String| SecretError::Command { command: program.clone(), why };
    let mut command = Command::new(&program);
    command.args(words.iter().skip(1)).stdout(Stdio::piped()).kill_on_drop(true);
    if place == Place::Apart {
        command.process_group(0);
    }
    let mut child = command.spawn().map_err(|error| failed(format!("cannot be started: {error}")))?;
    let leader = child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
    let group = Group(leader.filter(|_| place == Place::Apart));
    let mut printed = Vec::new();
    let reading = async {
        if let Some(stdout) = child.stdout.take() {
            stdout.take(LARGEST_SECRET as u64 + 3).read_to_end(&mut printed).await?;
        }
        child.wait().await
    };
    let ended = tokio::time::timeout(PATIENCE, reading).await;
    let ended = ended.map_err(|_| failed(format!("did not end within {} s", PATIENCE.as_secs())))?;
    let ended = ended.map_err(|error| failed(format!("cannot be read: {error}")))?;
    group.has_ended();
    if printed.len() > LARGEST_SECRET + 2 {
        return Err(SecretError::TooLarge);
    }
    if !ended.success() {
        return Err(failed(format!("ended with {ended}")));
    }
    let text = String::from_utf8(printed).map_err(|_| SecretError::Unfit("not UTF-8"))?;
    Ok(text.strip_suffix('\n').map(|text| text.strip_suffix('\r').unwrap_or(text)).unwrap_or(&text).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(words: &[&str]) -> Vec<String> {
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    #[tokio::test]
    async fn what_it_prints_is_the_secret_and_what_it_says_of_an_error_is_not_told() {
        assert_eq!(ask(&words(&["printf", "one\ntwo\n"])).await.unwrap(), "one\ntwo");
        let error = ask(&words(&["sh", "-c", "echo hunter2; exit 3"])).await.unwrap_err().to_string();
        assert!(error.contains("exit status: 3") && !error.contains("hunter2"), "{error}");
        let large = format!("head -c {} /dev/zero | tr '\\0' x", LARGEST_SECRET + 100);
        assert!(matches!(ask(&words(&["sh", "-c", &large])).await, Err(SecretError::TooLarge)));
        assert!(ask(&words(&["/nonexistent/op"])).await.unwrap_err().to_string().contains("cannot be started"));
    }

    /// What Ctrl-C in a shell reaches is the whole group; a signal for argon alone is what this is about.
    #[tokio::test]
    async fn who_gives_up_on_a_command_ends_what_it_started_too() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("pid");
        let script = format!("sleep 600 & echo $! >{}; wait", file.display());
        let read = || std::fs::read_to_string(&file).ok()?.trim().parse::<i32>().ok();
        {
            let command = words(&["sh", "-c", &script]);
            let asking = ask_at(&command, Place::Apart);
            let begun = async {
                while read().is_none() {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
            };
            tokio::select! {
                _ = asking => panic!("it does not end"),
                () = begun => {}
            }
        }
        let path = format!("/proc/{}/stat", read().unwrap());
        for _ in 0..500 {
            // Gone, or a zombie that nobody has waited for yet.
            match std::fs::read_to_string(&path) {
                Ok(stat) if !stat.contains(") Z ") => tokio::time::sleep(Duration::from_millis(10)).await,
                _ => return,
            }
        }
        panic!("the grandchild goes on");
    }
}
