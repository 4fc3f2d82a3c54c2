//! Stopping: who may stop a run, how hard, and why.

use std::time::Duration;

use tokio::sync::watch;

use crate::event::{Cause, JobId, TimeoutScope};

/// Why a run is being stopped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StopReason {
    /// A person, or the system, asked for it.
    Interrupted,
    /// A job failed, and the run does not go on after a failure.
    FailFast {
        /// That job.
        job: JobId,
    },
    /// The run's timeout passed.
    RunTimeout {
        /// What it allowed.
        limit: Duration,
    },
}

impl StopReason {
    /// The cause that stopped jobs and steps carry.
    pub fn cause(&self) -> Cause {
        match self {
            Self::Interrupted => Cause::Interrupted,
            Self::FailFast { job } => Cause::FailFast { job: job.clone() },
            Self::RunTimeout { limit } => Cause::TimedOut { scope: TimeoutScope::Run, limit: *limit },
        }
    }
}

/// How far a run has been stopped. Only ever rises.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Stop {
    /// It goes on.
    #[default]
    No,
    /// Steps get TERM, and KILL after the grace; nothing new starts.
    Gracefully(StopReason),
    /// Everything is killed at once.
    AtOnce(StopReason),
}

impl Stop {
    /// Why, when stopped at all.
    pub fn reason(&self) -> Option<&StopReason> {
        match self {
            Self::No => None,
            Self::Gracefully(reason) | Self::AtOnce(reason) => Some(reason),
        }
    }
}

/// Stops a run. Any number of hands may hold one.
#[derive(Debug, Clone)]
pub struct Stopper(watch::Sender<Stop>);

impl Default for Stopper {
    fn default() -> Self {
        Self(watch::Sender::new(Stop::No))
    }
}

impl Stopper {
    /// Asks the run to stop; a second time, for a person's sake, at once.
    pub fn interrupt(&self) {
        self.0.send_modify(|stop| {
            *stop = match std::mem::take(stop) {
                // What runs after a failure (`if: failure()`) gets its grace, too.
                Stop::No | Stop::Gracefully(StopReason::FailFast { .. }) => Stop::Gracefully(StopReason::Interrupted),
                Stop::Gracefully(reason) | Stop::AtOnce(reason) => Stop::AtOnce(reason),
            }
        });
    }

    /// Asks the run to stop. Changes nothing where it is being stopped.
    pub fn stop(&self, reason: StopReason) {
        self.0.send_if_modified(|stop| {
            let first = *stop == Stop::No;
            if first {
                *stop = Stop::Gracefully(reason);
            }
            first
        });
    }

    /// Sees the state, and its changes.
    pub fn watch(&self) -> StopWatch {
        StopWatch { state: self.0.subscribe(), heed: Heed::All }
    }
}

/// Which stops a watch tells of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Heed {
    All,
    BeyondFailFast,
}

/// Sees a run being stopped.
#[derive(Debug, Clone)]
pub struct StopWatch {
    state: watch::Receiver<Stop>,
    heed: Heed,
}

impl StopWatch {
    /// For what runs after a failure: that failure does not stop it.
    #[must_use]
    pub fn beyond_fail_fast(self) -> Self {
        Self { heed: Heed::BeyondFailFast, ..self }
    }

    /// How far the run has been stopped by now.
    pub fn now(&self) -> Stop {
        let stop = self.state.borrow().clone();
        if self.heed.tells(&stop) { stop } else { Stop::No }
    }

    /// Resolves when the run is being stopped, at the latest when it is told.
    pub async fn stopped(&mut self) -> StopReason {
        let heed = self.heed;
        match self.state.wait_for(|stop| heed.tells(stop)).await.map(|stop| stop.reason().cloned()) {
            Ok(Some(reason)) => reason,
            _ => std::future::pending().await,
        }
    }

    /// Resolves when the run is to end at once.
    pub async fn at_once(&mut self) -> StopReason {
        match self.state.wait_for(|stop| matches!(stop, Stop::AtOnce(_))).await.map(|stop| stop.reason().cloned()) {
            Ok(Some(reason)) => reason,
            _ => std::future::pending().await,
        }
    }
}

impl Heed {
    fn tells(self, stop: &Stop) -> bool {
        match (self, stop) {
            (_, Stop::No) => false,
            (Self::BeyondFailFast, Stop::Gracefully(StopReason::FailFast { .. })) => false,
            (Self::All | Self::BeyondFailFast, _) => true,
        }
    }
}
