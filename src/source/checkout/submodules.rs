//! Submodules of a checkout, by the `git` binary: gix does not update them.

use std::fs::File;
use std::io::{ErrorKind, Read, Seek, SeekFrom};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::Wanted;
use crate::source::SourceError;

/// How often an interrupt is looked for while git works.
const POLL: Duration = Duration::from_millis(20);

/// What git would take from the environment of another git command, such as one whose hook runs Argon.
const OF_OTHER_REPOSITORIES: &[&str] = &[
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_OBJECT_DIRECTORY",
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_COMMON_DIR",
    "GIT_NAMESPACE",
    "GIT_PREFIX",
];

/// Fetches all submodules and theirs. No hook runs, and no transport that names a program.
pub(super) fn update(
    folder: &Path,
    wanted: &Wanted<'_>,
    interrupt: &AtomicBool,
    warnings: &mut Vec<String>,
) -> Result<(), SourceError> {
    let temporary = |source| SourceError::Temporary { source };
    let mut said = tempfile::tempfile().map_err(temporary)?;
    let mut command = Command::new("git");
    command
        .current_dir(folder)
        .args(["-c", "core.hooksPath=/dev/null", "-c", "protocol.ext.allow=never"])
        .args(["submodule", "--quiet", "update", "--init", "--recursive"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(said.try_clone().map_err(temporary)?)
        .process_group(0);
    for name in OF_OTHER_REPOSITORIES {
        command.env_remove(name);
    }
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            warnings.push("submodules are empty: git is not installed here, and only git can fetch them".into());
            return Ok(());
        }
        Err(source) => return Err(temporary(source)),
    };
    if wait(&mut child, interrupt)? {
        return Ok(());
    }
    Err(SourceError::Submodules { repository: wanted.shown.clone(), message: last_line(&mut said) })
}

/// True where git ended well.
fn wait(child: &mut Child, interrupt: &AtomicBool) -> Result<bool, SourceError> {
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return Ok(status.success()),
            Ok(None) if interrupt.load(Ordering::Relaxed) => {
                stop(child);
                return Err(SourceError::Interrupted);
            }
            Ok(None) => std::thread::sleep(POLL),
            Err(source) => return Err(SourceError::Temporary { source }),
        }
    }
}

/// Ends git and what it started. It works in a temporary folder only, so nothing is left to tidy up.
fn stop(child: &mut Child) {
    let group = i32::try_from(child.id()).ok().and_then(rustix::process::Pid::from_raw);
    if let Some(group) = group {
        // An error means that it has ended by itself.
        let _ended = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
    }
    let _status = child.wait();
}

fn last_line(said: &mut File) -> String {
    let mut bytes = Vec::new();
    let read = said.seek(SeekFrom::Start(0)).and_then(|_| said.read_to_end(&mut bytes));
    let text = String::from_utf8_lossy(&bytes);
    match (read, text.trim_end().lines().last()) {
        (Ok(_), Some(line)) => line.to_owned(),
        _ => "git said nothing".to_owned(),
    }
}
