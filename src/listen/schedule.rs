//! `on.schedule`: the moments at which the pipeline of the default branch runs by itself.
//!
//! Each moment is a delivery whose id is the expression and the moment, so that none comes twice, whatever the clock does. Of
//! those that passed while the machine slept, the latest of each expression is run; those from before the listener began are not.
//!
//! Where a zone's clocks are set, croner's rule holds, which is that of cron: a moment of the day that is left out comes right after the gap,
//! one that is there twice comes the first time, and what goes by intervals goes on by the time that passes.

use std::sync::atomic::AtomicBool;
use std::time::Duration;

use croner::Cron;
use croner::parser::CronParser;
use jiff::tz::TimeZone;
use jiff::{Timestamp, Unit};
use serde_json::json;
use sha2::{Digest, Sha256};

use super::config::Repository;
use super::keeper::Unanswered;
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

/// How far back moments count: beyond that, a machine that wakes up does not make up for them.
const BACK: Duration = Duration::from_secs(24 * 60 * 60);

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
        let before = self.cron.find_previous_occurrence(&now.to_zoned(self.zone.clone()), true).ok()?.timestamp();
        let oldest = now.checked_sub(BACK).unwrap_or(Timestamp::MIN);
        (before > last && before >= oldest).then_some(before)
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
        let mut are_queued = true;
        for slots in &known.slots {
            if let Some(moment) = slots.latest(last, now) {
                are_queued &= queue(&shop, &repository, slots, moment).await.is_ok();
            }
        }
        // One that is refused stays due; of the others that are offered again then, the deliveries are known. So it is when a clock
        // was set back and goes over moments again that were run.
        if are_queued {
            last = now;
        }
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

async fn queue(shop: &Shop, repository: &Repository, slots: &Slots, moment: Timestamp) -> Result<(), Unanswered> {
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
    shop.accept(offer).await.map(|_| ()).inspect_err(|error| {
        tracing::error!(%error, cron = slots.expression, "a scheduled run could not be queued; it is tried again");
    })
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

    /// All moments that are due when the clock is looked at each minute from `from` on.
    fn due(cron: &str, zone: &str, from: &str, minutes: i64) -> Vec<String> {
        let (slots, from) = (slots(cron, zone), from.parse::<Timestamp>().unwrap().as_second());
        let at = |minute: i64| Timestamp::from_second(from + minute * 60).unwrap();
        let looks = (1..=minutes).filter_map(|minute| slots.latest(at(minute - 1), at(minute)));
        looks.map(|moment| moment.to_string()).collect()
    }

    #[test]
    fn a_moment_of_the_day_comes_once_where_the_clocks_are_set_forward_or_back() {
        let berlin = |cron: &str, day: &str| due(cron, "Europe/Berlin", &format!("{day}T22:30:00Z"), 6 * 60);
        // 02:00 is 03:00 then.
        assert_eq!(berlin("30 2 * * *", "2026-03-28"), ["2026-03-29T01:00:00Z"]);
        assert_eq!(berlin("0 3 * * *", "2026-03-28"), ["2026-03-29T01:00:00Z"]);
        // 03:00 is 02:00 again.
        assert_eq!(berlin("30 2 * * *", "2026-10-24"), ["2026-10-25T00:30:00Z"]);
        assert_eq!(berlin("0 3 * * *", "2026-10-24"), ["2026-10-25T02:00:00Z"]);
        // What goes by intervals does not stop for an hour.
        assert_eq!(berlin("30 * * * *", "2026-10-24").len(), 6);
        assert_eq!(berlin("30 * * * *", "2026-03-28").len(), 6);
        // The control: a day on which nobody sets a clock.
        assert_eq!(berlin("30 2 * * *", "2026-03-29"), ["2026-03-30T00:30:00Z"]);
    }
}
