//! `on.schedule`: the moments at which the pipeline of the default branch runs by itself.
//!
//! Each moment is a delivery whose id is the expression and the moment, so that none comes twice, whatever the clock does. Of
//! those that passed while the machine slept, the latest of each expression is run; those from before the listener began are not.

use std::sync::atomic::AtomicBool;
use std::time::Duration;

use croner::Cron;
use croner::parser::CronParser;
use jiff::tz::TimeZone;
use jiff::{Timestamp, Unit};
use serde_json::json;
use sha2::{Digest, Sha256};

use super::config::Repository;
use super::poll::refs;
use super::run;
use super::shop::{Shop, order};
use crate::source::{self, SourceError, SourceRequest};
use crate::store::queue::{Offer, Wanted};
use crate::trigger::{EventKind, Trigger};

/// How often the clock is looked at.
const LOOK: Duration = Duration::from_secs(5);

/// How often the default branch is looked at for other schedules.
const REFRESH: Duration = Duration::from_secs(5 * 60);

/// How far back moments count, in minutes: beyond that, a machine that wakes up does not make up for them.
const BACK: i64 = 24 * 60;

/// A schedule of the pipeline.
#[derive(Debug, Clone)]
struct Slots {
    expression: String,
    zone_name: String,
    cron: Cron,
    zone: TimeZone,
}

impl Slots {
    fn of(schedule: &crate::pipeline::Schedule) -> Option<Self> {
        let zone_name = schedule.time_zone.clone().unwrap_or_else(|| "UTC".to_owned());
        Some(Self {
            cron: CronParser::builder().build().parse(&schedule.cron.value).ok()?,
            zone: TimeZone::get(&zone_name).ok()?,
            expression: schedule.cron.value.clone(),
            zone_name,
        })
    }

    /// The latest moment after `last`, up to `now`. Both are whole minutes.
    fn latest(&self, last: Timestamp, now: Timestamp) -> Option<Timestamp> {
        let (last, now) = (last.as_second() / 60, now.as_second() / 60);
        let minutes = (last + 1).max(now - BACK)..=now;
        let moments = minutes.rev().filter_map(|minute| Timestamp::from_second(minute * 60).ok());
        moments
            .into_iter()
            .find(|moment| self.cron.is_time_matching(&moment.to_zoned(self.zone.clone())).unwrap_or(false))
    }
}

/// Looks at the clock for a repository, until the listener drains.
pub(super) async fn keep(shop: Shop, repository: Repository) {
    let mut draining = shop.draining.clone();
    let mut last = minute(Timestamp::now());
    let mut known = Known::default();
    loop {
        known.refresh(&repository).await;
        let now = minute(Timestamp::now());
        for slots in &known.slots {
            if let Some(moment) = slots.latest(last, now) {
                queue(&shop, &repository, slots, moment).await;
            }
        }
        // A clock that was set back goes over moments again that were run: their deliveries are known.
        last = now;
        tokio::select! {
            () = tokio::time::sleep(LOOK) => {}
            _ = draining.changed() => return,
        }
    }
}

fn minute(time: Timestamp) -> Timestamp {
    time.round(jiff::TimestampRound::new().smallest(Unit::Minute).mode(jiff::RoundMode::Floor)).unwrap_or(time)
}

/// The schedules of the default branch.
#[derive(Default)]
struct Known {
    slots: Vec<Slots>,
    commit: Option<String>,
    looked: Option<tokio::time::Instant>,
}

impl Known {
    /// Reads them anew, where the default branch went on.
    async fn refresh(&mut self, repository: &Repository) {
        if self.looked.is_some_and(|looked| looked.elapsed() < REFRESH) {
            return;
        }
        self.looked = Some(tokio::time::Instant::now());
        match refs(&repository.url).await {
            Ok(refs) if refs.head == self.commit => {}
            Ok(refs) => {
                if let Some(slots) = read(repository).await {
                    self.slots = slots;
                    self.commit = refs.head;
                }
            }
            Err(error) => tracing::warn!(%error, "the schedules cannot be read; it is tried again"),
        }
    }
}

async fn read(repository: &Repository) -> Option<Vec<Slots>> {
    let request = SourceRequest::Checkout { repository: repository.url.clone(), revision: None };
    let reading = tokio::task::spawn_blocking(move || {
        let workspace = source::open(&request)?;
        Ok::<Vec<Slots>, SourceError>(match run::pipeline(&workspace, &AtomicBool::new(false)) {
            Ok(pipeline) => pipeline.on.iter().flat_map(|on| &on.schedule).filter_map(Slots::of).collect(),
            // No pipeline, or none that is valid, has no schedule.
            Err(_) => Vec::new(),
        })
    });
    match reading.await {
        Ok(Ok(slots)) => Some(slots),
        Ok(Err(error)) => {
            tracing::warn!(%error, "the schedules cannot be read; it is tried again");
            None
        }
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

async fn queue(shop: &Shop, repository: &Repository, slots: &Slots, moment: Timestamp) {
    let id = format!("{} {} {moment}", slots.expression, slots.zone_name);
    let payload = json!({"cron": slots.expression, "time_zone": slots.zone_name, "time": moment.to_string()});
    let trigger = Trigger::new(EventKind::Schedule);
    let offer = Offer {
        forge: "schedule".to_owned(),
        repository: repository.url.clone(),
        event: EventKind::Schedule.name().to_owned(),
        body_hash: hex::encode(Sha256::digest(&id)),
        delivery: Some(id),
        received: Timestamp::now(),
        wanted: Wanted::Run(order(repository, "schedule", &trigger, payload.to_string().into_bytes(), moment)),
    };
    if let Err(error) = shop.accept(offer).await {
        tracing::error!(%error, cron = slots.expression, "a scheduled run could not be queued");
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn slots(cron: &str, zone: &str) -> Slots {
        Slots {
            expression: cron.to_owned(),
            zone_name: zone.to_owned(),
            cron: CronParser::builder().build().parse(cron).unwrap(),
            zone: TimeZone::get(zone).unwrap(),
        }
    }

    #[test]
    fn the_latest_moment_since_the_last_look_is_due_and_no_other() {
        for (cron, zone, last, now, due) in [
            ("0 3 * * *", "UTC", "2026-03-01T02:59:00Z", "2026-03-01T03:00:00Z", Some("2026-03-01T03:00:00Z")),
            ("0 3 * * *", "UTC", "2026-03-01T03:00:00Z", "2026-03-01T03:05:00Z", None),
            (
                "0 3 * * *",
                "Europe/Berlin",
                "2026-03-01T01:59:00Z",
                "2026-03-01T02:00:00Z",
                Some("2026-03-01T02:00:00Z"),
            ),
            // A machine that slept: one run, not one for each.
            ("*/10 * * * *", "UTC", "2026-03-01T03:00:00Z", "2026-03-01T04:05:00Z", Some("2026-03-01T04:00:00Z")),
            // A clock that was set back by a day, and one that was set forward by a week.
            ("0 3 * * *", "UTC", "2026-03-02T04:00:00Z", "2026-03-01T04:00:00Z", None),
            ("0 3 1 3 *", "UTC", "2026-03-01T02:00:00Z", "2026-03-08T02:00:00Z", None),
        ] {
            let latest = slots(cron, zone).latest(last.parse().unwrap(), now.parse().unwrap());
            assert_eq!(latest, due.map(|due| due.parse().unwrap()), "{cron} {zone} {last} {now}");
        }
    }
}
