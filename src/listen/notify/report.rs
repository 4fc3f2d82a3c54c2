//! What is told of a run that ended, as it waits in an outbox, and as it may be shown.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::words;
use crate::event::{RunId, Status};
use crate::trigger::EventKind;

/// How many of a failed step's last lines are told.
pub const OUTPUT_LINES: usize = 20;

/// How many failed jobs a report tells of at most; a matrix may have thousands.
const JOBS: usize = 50;

/// The longest line, in UTF-16 code units.
const LINE: usize = 400;

/// The longest address of a run, in bytes.
const URL: usize = 2000;

/// How a run ended, for people. Its JSON is what an outbox keeps and what a webhook gets: names, once given, stay.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// The run.
    #[serde(with = "run_id")]
    pub run: RunId,
    /// Its number, as people call it.
    pub number: u64,
    /// The repository, as people call it.
    pub repository: String,
    /// What started it.
    #[serde(with = "word")]
    pub event: EventKind,
    /// The branch; of a pull request the one to be merged.
    #[serde(default)]
    pub branch: Option<String>,
    /// The tag.
    #[serde(default)]
    pub tag: Option<String>,
    /// The commit, in full.
    #[serde(default)]
    pub commit: Option<String>,
    /// The commit's first digits.
    #[serde(default)]
    pub short_commit: Option<String>,
    /// The first line of the commit's message.
    #[serde(default)]
    pub message: Option<String>,
    /// Who pushed.
    #[serde(default)]
    pub pusher_name: Option<String>,
    /// Their address.
    #[serde(default)]
    pub pusher_email: Option<String>,
    /// How it ended.
    #[serde(with = "word")]
    pub status: Status,
    /// How the run before it on the same branch ended, of those that succeeded or failed or met an error. `None` where there is
    /// none.
    #[serde(default, with = "word::option")]
    pub previous: Option<Status>,
    /// Wall time.
    #[serde(rename = "duration_ms", with = "millis")]
    pub duration: Duration,
    /// Where the run can be looked at.
    #[serde(default)]
    pub url: Option<String>,
    /// The jobs that failed, the first one first.
    #[serde(default)]
    pub failed: Vec<FailedJob>,
    /// Why it ended so, in a sentence, where no job tells it.
    #[serde(default)]
    pub reason: Option<String>,
}

/// A job that failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailedJob {
    /// The job.
    pub job: String,
    /// The step that failed.
    #[serde(default)]
    pub step: Option<String>,
    /// Its exit code.
    #[serde(default)]
    pub exit_code: Option<i32>,
    /// Why, in a sentence.
    pub cause: String,
    /// The last lines of the step's output, masked. Of more than [`OUTPUT_LINES`] the last ones are told.
    #[serde(default)]
    pub output: Vec<String>,
}

/// What a status says of the tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Good,
    Bad,
}

impl Verdict {
    /// `None` where a run was stopped, or never ran.
    pub(super) fn of(status: Status) -> Option<Self> {
        match status {
            Status::Success => Some(Self::Good),
            Status::Failure | Status::Error => Some(Self::Bad),
            Status::Cancelled | Status::Skipped => None,
        }
    }
}

impl Report {
    /// The report as it is shown: no control characters, no codes of terminals, nothing without end. All of it may have been
    /// written by whoever can push.
    pub(super) fn shown(&self) -> Self {
        let line = |text: &str| words::line(text, LINE);
        let some = |text: &Option<String>| text.as_deref().map(line).filter(|text| !text.is_empty());
        Self {
            run: self.run.clone(),
            number: self.number,
            repository: line(&self.repository),
            event: self.event,
            branch: some(&self.branch),
            tag: some(&self.tag),
            commit: some(&self.commit),
            short_commit: some(&self.short_commit),
            message: some(
                &self.message.as_deref().and_then(|text| text.trim_start().lines().next()).map(str::to_owned),
            ),
            pusher_name: some(&self.pusher_name),
            pusher_email: some(&self.pusher_email),
            status: self.status,
            previous: self.previous,
            duration: self.duration,
            url: self.url.as_deref().and_then(link),
            failed: self.failed.iter().take(JOBS).map(FailedJob::shown).collect(),
            reason: some(&self.reason),
        }
    }
}

impl FailedJob {
    fn shown(&self) -> Self {
        let skipped = self.output.len().saturating_sub(OUTPUT_LINES);
        Self {
            job: words::line(&self.job, LINE),
            step: self.step.as_deref().map(|step| words::line(step, LINE)).filter(|step| !step.is_empty()),
            exit_code: self.exit_code,
            cause: words::line(&self.cause, LINE),
            output: self.output.iter().skip(skipped).map(|text| words::output_line(text, LINE)).collect(),
        }
    }
}

/// An address that a link may lead to: of the web, and in the form that every program reads alike.
fn link(text: &str) -> Option<String> {
    let url = reqwest::Url::parse(text).ok()?;
    let is_web = matches!(url.scheme(), "https" | "http");
    let plain = String::from(url).replace('\'', "%27").replace('|', "%7C").replace(')', "%29");
    (is_web && plain.len() <= URL).then_some(plain)
}

mod run_id {
    use serde::{Deserialize, Deserializer, Serializer};

    use crate::event::RunId;

    pub(super) fn serialize<S: Serializer>(run: &RunId, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(run.as_str())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<RunId, D::Error> {
        Ok(RunId::from_text(&String::deserialize(deserializer)?))
    }
}

mod millis {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        Ok(Duration::from_millis(u64::deserialize(deserializer)?))
    }
}

/// What has one word for each value, by that word.
mod word {
    use serde::{Deserialize, Deserializer, Serializer};

    use crate::event::Status;
    use crate::trigger::EventKind;

    pub(super) trait Word: Copy + 'static {
        const ALL: &'static [Self];
        fn word(self) -> &'static str;
    }

    impl Word for Status {
        const ALL: &'static [Self] = &[Self::Success, Self::Failure, Self::Cancelled, Self::Skipped, Self::Error];
        fn word(self) -> &'static str {
            Self::word(self)
        }
    }

    impl Word for EventKind {
        const ALL: &'static [Self] = Self::ALL;
        fn word(self) -> &'static str {
            self.name()
        }
    }

    fn find<T: Word, E: serde::de::Error>(word: &str) -> Result<T, E> {
        let found = T::ALL.iter().copied().find(|value| value.word() == word);
        found.ok_or_else(|| E::custom(format!("`{}` is none of its words", word.escape_debug())))
    }

    pub(super) fn serialize<T: Word, S: Serializer>(value: &T, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(value.word())
    }

    pub(super) fn deserialize<'de, T: Word, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
        find(&String::deserialize(deserializer)?)
    }

    pub(super) mod option {
        use serde::{Deserialize, Deserializer, Serializer};

        use super::{Word, find};

        pub(in super::super) fn serialize<T: Word, S: Serializer>(
            value: &Option<T>,
            serializer: S,
        ) -> Result<S::Ok, S::Error> {
            match value {
                Some(value) => serializer.serialize_str(value.word()),
                None => serializer.serialize_none(),
            }
        }

        pub(in super::super) fn deserialize<'de, T: Word, D: Deserializer<'de>>(
            deserializer: D,
        ) -> Result<Option<T>, D::Error> {
            Option::<String>::deserialize(deserializer)?.as_deref().map(find).transpose()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::link;

    #[test]
    fn links_lead_to_the_web_and_close_nothing_that_they_stand_in() {
        let cases = [
            ("https://ci.example/runs/1", Some("https://ci.example/runs/1")),
            ("http://localhost:8321/runs/1?a=b&c", Some("http://localhost:8321/runs/1?a=b&c")),
            ("https://ci.example/a b\"'<>|)", Some("https://ci.example/a%20b%22%27%3C%3E%7C%29")),
            ("https://ci.example/\r\nBcc: x", Some("https://ci.example/Bcc:%20x")),
            ("javascript:alert(1)", None),
            ("data:text/html,x", None),
            ("file:///etc/passwd", None),
            ("/runs/1", None),
            ("", None),
        ];
        for (text, expected) in cases {
            assert_eq!(link(text).as_deref(), expected, "{text:?}");
        }
        assert_eq!(link(&format!("https://ci.example/{}", "a".repeat(3000))), None);
    }
}
