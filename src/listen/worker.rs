//! The worker: leases one run after the other and sees it to its end.
//!
//! What is on the disk decides: a run is `leased` before anything is done for it, and over when the queue says so. A worker whose
//! lease was lost says nothing more.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::task::{JoinError, JoinSet};

use super::keeper::Unanswered;
use super::report;
use super::run::{self, End, Record};
use super::shop::Shop;
use crate::causes::with_causes;
use crate::event::Status;
use crate::execute::{Owner, Stopper};
use crate::store::history::History;
use crate::store::queue::{Clock, Held, Lease, Outcome, Place, Try};

/// How long a lease lasts.
const LEASE: Duration = Duration::from_secs(30);

/// How often it is renewed, and a cancellation heard of.
const RENEW: Duration = Duration::from_secs(2);

/// How often the queue is looked at when nobody says that there is something: for runs that wait for their time.
const LOOK: Duration = Duration::from_secs(1);

/// How long nothing is begun when there is no engine, the first time; twice as long each time, up to [`NO_ENGINE_MOST`].
const NO_ENGINE: Duration = Duration::from_secs(5);

/// The longest of those times.
const NO_ENGINE_MOST: Duration = Duration::from_secs(300);

/// By how much more than time the wall clock goes on between two looks when it jumps.
const JUMP: Duration = Duration::from_secs(5);

/// After a run could not be ended in the queue, how long until it is tried again.
const AGAIN: Duration = Duration::from_secs(1);

/// Works until it is told to end, and what it began is over or handed back.
pub(super) async fn work(shop: Shop) {
    let me = Owner::current();
    let holder = me.to_label();
    let mut running = JoinSet::new();
    let mut ahead = Ahead::default();
    let mut draining = shop.draining.clone();
    let mut pause = Pause::default();
    let mut steadiness = Steadiness::new();
    loop {
        while let Some(ended) = running.try_join_next() {
            pause.heed(told(ended));
        }
        if shop.is_draining() {
            break;
        }
        let mut began = false;
        if !pause.goes_on() && running.len() < usize::try_from(shop.config.runs).unwrap_or(usize::MAX) {
            match shop.next(&me, &holder, steadiness.look()).await {
                Ok(Some(lease)) => {
                    running.spawn(see_through(shop.clone(), lease));
                    began = true;
                }
                Ok(None) => {}
                Err(error) => tracing::error!(%error, "the queue cannot be read"),
            }
        }
        if !began {
            if !running.is_empty() {
                ahead.look(&shop).await;
            }
            tokio::select! {
                () = shop.queued.notified() => {}
                Some(ended) = running.join_next() => pause.heed(told(ended)),
                () = ahead.looked() => {}
                _ = draining.changed() => {}
                () = tokio::time::sleep(LOOK) => {}
            }
        }
    }
    ahead.end().await;
    while let Some(ended) = running.join_next().await {
        told(ended);
    }
}

/// What a run's task came to. A panic is a bug, of which its message is on standard error; its lease runs out, which counts as a try.
fn told(ended: Result<Engine, JoinError>) -> Option<Engine> {
    if let Err(error) = &ended {
        tracing::error!(%error, "the task of a run ended before the run did");
    }
    ended.ok()
}

/// Looks at runs that wait while others go on, one after the other and each once: without a place to run, a newcomer could not have the
/// run of its `concurrency` group cancelled that holds the place.
#[derive(Default)]
struct Ahead {
    looking: JoinSet<()>,
    stopper: Stopper,
    /// All up to here were looked at.
    looked: Place,
}

impl Ahead {
    /// Begins to look at the next one, where there is one and none is being looked at.
    async fn look(&mut self, shop: &Shop) {
        if !self.looking.is_empty() {
            return;
        }
        let looked = self.looked;
        let asked = shop.keeper.with(move |queue| match queue.is_paused()? {
            true => Ok(None),
            false => queue.newcomer(looked, Timestamp::now()),
        });
        match asked.await {
            Ok(Some(newcomer)) => {
                self.looked = newcomer.place();
                let (shop, stopper) = (shop.clone(), self.stopper.clone());
                self.looking.spawn(async move { run::look_ahead(&shop, newcomer, stopper).await });
            }
            Ok(None) => {}
            Err(error) => tracing::error!(%error, "the queue cannot be read"),
        }
    }

    /// Resolves when what is being looked at was; never where nothing is.
    async fn looked(&mut self) {
        match self.looking.join_next().await {
            Some(Ok(())) => {}
            Some(Err(error)) => tracing::error!(%error, "a run that waits could not be looked at"),
            None => std::future::pending().await,
        }
    }

    /// Looks at nothing more.
    async fn end(mut self) {
        self.stopper.interrupt();
        while self.looking.join_next().await.is_some() {}
    }
}

/// What a run that ended tells of the engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Engine {
    /// It was there, or was not asked.
    Fine,
    Missing,
}

/// When nothing is begun, as there is no engine: to lease one run after the other would only wear the disk.
#[derive(Debug, Default)]
struct Pause {
    until: Option<Instant>,
    times: u32,
}

impl Pause {
    fn heed(&mut self, ended: Option<Engine>) {
        match ended {
            Some(Engine::Missing) => {
                let wait = NO_ENGINE.saturating_mul(2u32.saturating_pow(self.times)).min(NO_ENGINE_MOST);
                self.until = Some(Instant::now() + wait);
                self.times = self.times.saturating_add(1);
            }
            Some(Engine::Fine) => *self = Self::default(),
            None => {}
        }
    }

    fn goes_on(&self) -> bool {
        self.until.is_some_and(|until| Instant::now() < until)
    }
}

/// Watches the wall clock against the one that nobody sets.
#[derive(Debug)]
struct Steadiness {
    wall: Timestamp,
    time: Instant,
    /// It jumped; until then every holder that lives has renewed its leases.
    doubted_until: Option<Instant>,
}

impl Steadiness {
    fn new() -> Self {
        Self { wall: Timestamp::now(), time: Instant::now(), doubted_until: None }
    }

    fn look(&mut self) -> Clock {
        self.compare(Timestamp::now(), Instant::now())
    }

    fn compare(&mut self, wall: Timestamp, time: Instant) -> Clock {
        let went = wall.duration_since(self.wall).as_millis();
        let passed = i128::try_from(time.duration_since(self.time).as_millis()).unwrap_or(i128::MAX);
        if (went - passed).unsigned_abs() > JUMP.as_millis() {
            self.doubted_until = Some(time + LEASE);
        }
        (self.wall, self.time) = (wall, time);
        match self.doubted_until {
            Some(until) if time < until => Clock::Jumped,
            _ => Clock::Steady,
        }
    }
}

impl Shop {
    async fn next(&self, me: &Owner, holder: &str, clock: Clock) -> Result<Option<Lease>, Unanswered> {
        let (me, holder, runs) = (me.clone(), holder.to_owned(), self.config.runs_per_repository);
        self.keeper
            .with(move |queue| {
                let now = Timestamp::now();
                if queue.is_paused()? {
                    return Ok(None);
                }
                queue.take_back(now, clock, |other| Owner::parse(other).is_some_and(|other| me.knows_dead(&other)))?;
                queue.lease(&holder, now, LEASE, runs)
            })
            .await
    }
}

/// Runs a run to its end, and tells the queue.
async fn see_through(shop: Shop, lease: Lease) -> Engine {
    tracing::info!(run = %lease.run, tries = lease.tries, "begins");
    let stopper = Stopper::default();
    let end = {
        let mut work = std::pin::pin!(run::run(&shop, &lease, stopper.clone()));
        let mut renew = tokio::time::interval(RENEW);
        let mut ending = shop.ending.clone();
        let mut cancelled: Option<String> = None;
        loop {
            tokio::select! {
                end = &mut work => break shop.explained(&lease, end, cancelled).await,
                _ = renew.tick() => match shop.renew(&lease).await {
                    Ok(Held::Yes) => {}
                    Ok(Held::Cancel(why)) => {
                        if cancelled.is_none() {
                            tracing::info!(run = %lease.run, why, "is cancelled");
                            stopper.interrupt();
                            cancelled = Some(why);
                        }
                    }
                    Ok(Held::Lost) => {
                        stopper.interrupt();
                        stopper.interrupt();
                        // One that waits for its group has given its lease up itself.
                        if !matches!(work.await, End::Waits) {
                            tracing::warn!(run = %lease.run, "its lease was lost: what became of it here does not count");
                        }
                        return Engine::Fine;
                    }
                    // The lease lasts for a while; the next renewal may do.
                    Err(error) => tracing::warn!(run = %lease.run, %error, "the lease could not be renewed"),
                },
                _ = ending.changed(), if cancelled.is_none() => {
                    stopper.interrupt();
                    let ended = tokio::time::timeout(LEASE, &mut work).await;
                    break cut_short(ended.ok());
                }
            }
        }
    };
    let engine = if matches!(end, End::NoEngine { .. }) { Engine::Missing } else { Engine::Fine };
    shop.conclude(&lease, end).await;
    engine
}

/// What becomes of a run that was stopped as the listener ends. What that cut short is not over; what came to its own end in that
/// moment is.
fn cut_short(ended: Option<End>) -> End {
    match ended {
        Some(End::Over(outcome, _)) if outcome.status() == Status::Cancelled => {}
        Some(end) => return end,
        None => {}
    }
    End::Back { wait: Duration::ZERO, counts: Try::DoesNotCount, why: "the listener ends".to_owned() }
}

impl Shop {
    async fn renew(&self, lease: &Lease) -> Result<Held, Unanswered> {
        let lease = lease.clone();
        self.keeper.with(move |queue| queue.renew(&lease, Timestamp::now(), LEASE)).await
    }

    /// Of a run that was cancelled, who wanted that: all that the run itself knows is that it was stopped.
    async fn explained(&self, lease: &Lease, end: End, cancelled: Option<String>) -> End {
        match (end, cancelled) {
            (End::Over(outcome, record), Some(why)) if outcome.status() == Status::Cancelled => {
                let (state, run, told) = (self.config.state.clone(), lease.run.clone(), why.clone());
                let telling = tokio::task::spawn_blocking(move || {
                    History::look(&state)?.map_or(Ok(()), |history| history.explain(&run, &told))
                });
                match telling.await {
                    Ok(Ok(())) => {}
                    Ok(Err(error)) => {
                        tracing::warn!(error = with_causes(&error), "why a run was cancelled is not recorded");
                    }
                    Err(error) => std::panic::resume_unwind(error.into_panic()),
                }
                End::Over(Outcome { reason: Some(why), ..outcome }, record)
            }
            (end, _) => end,
        }
    }

    /// Tells the queue, until it has heard.
    async fn conclude(&self, lease: &Lease, end: End) {
        match &end {
            End::Over(Outcome { word, reason }, _) => {
                tracing::info!(run = %lease.run, outcome = %word, reason = reason.as_deref().unwrap_or(""), "is over");
            }
            End::Back { why, .. } => tracing::warn!(run = %lease.run, %why, "waits again"),
            End::Waits => return tracing::info!(run = %lease.run, "waits for another run of its concurrency group"),
            End::NoEngine { why } => tracing::error!(run = %lease.run, %why, "there is no engine; all runs wait"),
        }
        let letters = match &end {
            End::Over(outcome, _) => report::ended(self, lease, run::trigger(lease).ok(), outcome).await,
            End::Back { .. } | End::NoEngine { .. } | End::Waits => Vec::new(),
        };
        loop {
            let (lease, end, letters) = (lease.clone(), end.clone(), letters.clone());
            let told = self.keeper.with(move |queue| match &end {
                End::Over(outcome, record) => {
                    if *record == Record::Missing {
                        queue.tell_later(&lease)?;
                    }
                    queue.finish(&lease, outcome, &letters, Timestamp::now())
                }
                End::Back { wait, counts, .. } => queue.hand_back(&lease, *wait, *counts, Timestamp::now()),
                End::NoEngine { .. } => queue.hand_back(&lease, Duration::ZERO, Try::DoesNotCount, Timestamp::now()),
                End::Waits => Ok(Held::Yes),
            });
            match told.await {
                Ok(Held::Lost) => return tracing::warn!("a run's end was refused: its lease was lost"),
                Ok(_) => return self.posted.notify_one(),
                Err(Unanswered::Ending) => return,
                Err(error) => {
                    tracing::error!(%error, "the end of a run cannot be stored; it is tried again");
                    tokio::time::sleep(AGAIN).await;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_that_came_to_its_end_is_over_also_when_the_listener_ends() {
        let over = |word: &str| Some(End::Over(Outcome { word: word.to_owned(), reason: None }, Record::Written));
        for (ended, is_over) in [
            (over("success"), true),
            (over("failure"), true),
            (over("error"), true),
            (over("not-triggered"), true),
            (over("cancelled"), false),
            (None, false),
        ] {
            assert_eq!(matches!(cut_short(ended.clone()), End::Over(..)), is_over, "{ended:?}");
        }
        assert!(matches!(cut_short(Some(End::Waits)), End::Waits), "the queue has it back already");
    }

    #[test]
    fn a_clock_that_jumps_is_not_believed_until_every_holder_had_time_to_renew() {
        let (wall, time) = (Timestamp::now(), Instant::now());
        let day = Duration::from_secs(24 * 60 * 60);
        let second = Duration::from_secs(1);
        for jump in [wall + day, wall - day] {
            let mut steadiness = Steadiness { wall, time, doubted_until: None };
            assert_eq!(steadiness.compare(wall + second, time + second), Clock::Steady);
            assert_eq!(steadiness.compare(jump, time + 2 * second), Clock::Jumped);
            assert_eq!(steadiness.compare(jump + LEASE / 2, time + LEASE / 2), Clock::Jumped);
            assert_eq!(steadiness.compare(jump + 2 * LEASE, time + 2 * LEASE), Clock::Steady);
        }
    }
}
