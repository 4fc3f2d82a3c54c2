//! Whether what did not go well is tried again, and when.

use std::time::Duration;

use crate::event::{Cause, Status};
use crate::pipeline::{Retry, RetryWhen};

/// The tries of a step or a job.
#[derive(Debug, Clone)]
pub(super) struct Tries<'a> {
    retry: Option<&'a Retry>,
    /// The one that goes on, from 1.
    pub(super) attempt: u32,
}

impl<'a> Tries<'a> {
    pub(super) fn new(retry: Option<&'a Retry>) -> Self {
        Self { retry, attempt: 1 }
    }

    /// How many there are at most.
    pub(super) fn of(&self) -> u32 {
        self.retry.map_or(1, |retry| retry.max + 1)
    }

    /// How long to wait before the next try, where an end like this one has a next try. A stop never has one.
    pub(super) fn wait_after(&self, status: Status, cause: Option<&Cause>) -> Option<Duration> {
        let retry = self.retry?;
        let end = match (status, cause) {
            (Status::Failure, Some(Cause::TimedOut { .. })) => RetryWhen::Timeout,
            (Status::Failure, _) => RetryWhen::Failure,
            (Status::Error, _) => RetryWhen::Error,
            (Status::Success | Status::Cancelled | Status::Skipped, _) => return None,
        };
        let wanted = retry.when.is_empty() || retry.when.contains(&end);
        let doubled = 2u32.saturating_pow(self.attempt - 1);
        (wanted && self.attempt <= retry.max).then(|| retry.backoff.unwrap_or_default().saturating_mul(doubled))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_ends_that_were_asked_for_are_tried_again_and_each_wait_is_twice_the_last() {
        let retry =
            Retry { max: 2, when: vec![RetryWhen::Timeout, RetryWhen::Error], backoff: Some(Duration::from_secs(5)) };
        let mut tries = Tries::new(Some(&retry));
        let (secs, exit) = (Duration::from_secs, Cause::Exit { code: 1 });
        let late = Cause::TimedOut { scope: crate::event::TimeoutScope::Step, limit: secs(1) };
        assert_eq!(tries.wait_after(Status::Failure, Some(&exit)), None);
        assert_eq!(tries.wait_after(Status::Failure, Some(&late)), Some(secs(5)));
        assert_eq!(tries.wait_after(Status::Cancelled, Some(&Cause::Interrupted)), None);
        tries.attempt = 2;
        assert_eq!(tries.wait_after(Status::Error, None), Some(secs(10)));
        tries.attempt = 3;
        assert_eq!(tries.wait_after(Status::Error, None), None, "two more than the first");
        assert_eq!(Tries::new(None).wait_after(Status::Failure, Some(&exit)), None);
    }
}
