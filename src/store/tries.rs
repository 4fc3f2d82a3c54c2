//! The tries of steps and jobs that others followed: why each ended, and where in the logs. A log is one file, whatever wrote to it.

use std::fs::File;
use std::io::{self, Write};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::StateDir;
use crate::event::RunId;

/// A try that did not go well.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Try {
    /// The job's position in the plan, from 0.
    pub job: usize,
    /// The step's position in the job, from 0; `None` where all of the job began anew.
    pub step: Option<usize>,
    /// From 1.
    pub attempt: u32,
    /// How many there are at most.
    pub of: u32,
    /// Why it did not go well, for people.
    pub message: String,
    /// Steps with the lengths that their logs had then.
    pub(super) ends: Vec<(usize, u64)>,
}

impl Try {
    /// Where in the log of a step it ended; `None` where it is not about that step.
    #[must_use]
    pub fn end_in(&self, job: usize, step: usize) -> Option<u64> {
        self.ends.iter().find(|(of, _)| self.job == job && *of == step).map(|(_, end)| *end)
    }

    /// For people, where it is seen which step it is of.
    #[must_use]
    pub fn words(&self) -> String {
        let what = if self.step.is_none() { " of the job" } else { "" };
        format!("try {} of {}{what} failed: {}", self.attempt, self.of, self.message)
    }
}

fn file(dir: &StateDir, run: &RunId) -> PathBuf {
    dir.logs_of(run).join("tries.jsonl")
}

pub(super) fn note(dir: &StateDir, run: &RunId, tried: &Try) -> io::Result<()> {
    let mut line = serde_json::to_vec(tried)?;
    line.push(b'\n');
    File::options().create(true).append(true).open(file(dir, run))?.write_all(&line)
}

/// Those of a run, in their order.
///
/// # Errors
/// Where they cannot be read.
pub fn tries(dir: &StateDir, run: &RunId) -> io::Result<Vec<Try>> {
    let text = match std::fs::read_to_string(file(dir, run)) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    // A line that is half written belongs to a run that is being killed, or looked at in that moment.
    Ok(text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect())
}
