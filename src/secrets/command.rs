//! A secret that a command tells: a password manager's client, for example.

use std::process::Stdio;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::process::Command;

use super::{LARGEST, SecretError};

/// A client may ask its user to unlock something.
const PATIENCE: Duration = Duration::from_secs(120);

/// Runs it; the secret is what it prints, less the end of its last line. It sees the terminal, to ask for what it needs.
pub(super) async fn ask(words: &[String]) -> Result<String, SecretError> {
    let program = words.first().cloned().unwrap_or_default();
    let failed = |why: String| SecretError::Command { command: program.clone(), why };
    let mut child = Command::new(&program)
        .args(words.iter().skip(1))
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| failed(format!("cannot be started: {error}")))?;
    let mut printed = Vec::new();
    let reading = async {
        if let Some(stdout) = child.stdout.take() {
            stdout.take(LARGEST as u64 + 1).read_to_end(&mut printed).await?;
        }
        child.wait().await
    };
    let ended = tokio::time::timeout(PATIENCE, reading).await;
    let ended = ended.map_err(|_| failed(format!("did not end within {} s", PATIENCE.as_secs())))?;
    let ended = ended.map_err(|error| failed(format!("cannot be read: {error}")))?;
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
        assert!(ask(&words(&["/nonexistent/op"])).await.unwrap_err().to_string().contains("cannot be started"));
    }
}
