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
    /// Asks the run to stop; a second time, for a person's sake, at once. The first reason stays.
    pub fn interrupt(&self) {
        self.0.send_modify(|stop| {
            *stop = match std::mem::take(stop) {
                Stop::No => Stop::Gracefully(StopReason::Interrupted),
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
        StopWatch(self.0.subscribe())
    }
}

/// Sees a run being stopped.
#[derive(Debug, Clone)]
pub struct StopWatch(watch::Receiver<Stop>);

impl StopWatch {
    /// How far the run has been stopped by now.
    pub fn now(&self) -> Stop {
        self.0.borrow().clone()
    }

    /// Resolves when the run is being stopped, at the latest when it is told.
    pub async fn stopped(&mut self) -> StopReason {
        match self.0.wait_for(|stop| *stop != Stop::No).await.map(|stop| stop.reason().cloned()) {
            Ok(Some(reason)) => reason,
            _ => std::future::pending().await,
        }
    }

    /// Resolves when the run is to end at once.
    pub async fn at_once(&mut self) -> StopReason {
        match self.0.wait_for(|stop| matches!(stop, Stop::AtOnce(_))).await.map(|stop| stop.reason().cloned()) {
            Ok(Some(reason)) => reason,
            _ => std::future::pending().await,
        }
    }
}
