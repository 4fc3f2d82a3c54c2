//! How a command ended: its exit code, what it said, and its events.

use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::Value;

/// A command that ended.
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: Vec<u8>,
    /// From its start to its end.
    pub(crate) took: Duration,
    /// From the call of `wait` or `end` to its end.
    pub(crate) after_last_look: Duration,
    pub(crate) pid: u32,
}

impl Ended {
    /// Standard output and standard error as one text.
    pub(crate) fn text(&self) -> String {
        format!("{}{}", String::from_utf8_lossy(&self.stdout), String::from_utf8_lossy(&self.stderr))
    }

    /// It ended with this exit code, and did not panic.
    pub(crate) fn exits(&self, code: i32) -> &Self {
        let text = self.text();
        let seen = (self.status.code(), self.status.signal());
        assert_eq!(seen, (Some(code), None), "{}", &text[..text.floor_char_boundary(20_000)]);
        assert!(!text.contains("panicked"), "{text}");
        self
    }

    /// It said this.
    pub(crate) fn says(&self, words: &str) -> &Self {
        assert!(self.text().contains(words), "it did not say `{words}`:\n{}", self.text());
        self
    }

    /// It never said this.
    pub(crate) fn never_says(&self, words: &str) -> &Self {
        assert!(!self.text().contains(words), "it said `{words}`:\n{}", self.text());
        self
    }

    /// Its JSON events.
    pub(crate) fn events(&self) -> Vec<Value> {
        let lines = self.stdout.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        lines
            .map(|line| {
                serde_json::from_slice(line).unwrap_or_else(|_| panic!("no JSON: {}", String::from_utf8_lossy(line)))
            })
            .collect()
    }

    /// Its events of this type.
    pub(crate) fn all(&self, kind: &str) -> Vec<Value> {
        self.events().into_iter().filter(|event| event["type"] == kind).collect()
    }

    /// How a job ended. It ended exactly once.
    pub(crate) fn job(&self, job: &str) -> Value {
        only(self.all("job.finished").into_iter().filter(|event| event["job"] == job).collect(), job)
    }

    /// How a step ended (the first is 1). It ended exactly once.
    pub(crate) fn step(&self, job: &str, step: u64) -> Value {
        let of_step = |event: &Value| event["job"] == job && event["step"] == step;
        only(self.all("step.finished").into_iter().filter(of_step).collect(), job)
    }

    /// How the run ended. It ended exactly once.
    pub(crate) fn run(&self) -> Value {
        only(self.all("run.finished"), "the run")
    }

    /// The bytes that a step of a job wrote to a stream.
    pub(crate) fn log(&self, job: &str, step: u64, stream: &str) -> Vec<u8> {
        let here = |event: &Value| event["job"] == job && event["step"] == step && event["stream"] == stream;
        let bytes = |event: &Value| match (event["text"].as_str(), event["base64"].as_str()) {
            (Some(text), None) => text.as_bytes().to_vec(),
            (None, Some(coded)) => BASE64_STANDARD.decode(coded).unwrap(),
            _ => panic!("neither text nor bytes: {event}"),
        };
        self.all("log").iter().filter(|event| here(event)).flat_map(bytes).collect()
    }

    /// What the step wrote to its standard output, as text; the only step of a `Repo::script`, say.
    pub(crate) fn said(&self, job: &str, step: u64) -> String {
        String::from_utf8(self.log(job, step, "stdout")).unwrap()
    }
}

fn only(mut events: Vec<Value>, what: &str) -> Value {
    assert_eq!(events.len(), 1, "{what} ends exactly once: {events:#?}");
    events.swap_remove(0)
}
