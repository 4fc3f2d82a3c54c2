//! A delivery into the queue: whether it was there before, and the run that it leads to. Within one transaction of the caller.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, params};

use super::{Accepted, Offer, Order, Trust, Wanted};
use crate::event::RunId;

/// Remembers a delivery, and queues the run that it leads to.
pub(super) fn accept(db: &Connection, offer: &Offer) -> rusqlite::Result<Accepted> {
    if let Some(run) = known(db, offer)? {
        return Ok(Accepted::Again(run));
    }
    let (run, note) = match &offer.wanted {
        Wanted::Nothing(why) => (None, Some(why)),
        Wanted::Run(order) => (Some(enqueue(db, offer, order)?), None),
    };
    db.prepare_cached(
        "INSERT INTO deliveries (forge, repository, event, delivery, body_hash, received, run, note) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
    )?
    .execute(params![
        offer.forge,
        offer.repository,
        offer.event,
        offer.delivery,
        offer.body_hash,
        offer.received.as_millisecond(),
        run.as_ref().map(RunId::as_str),
        note,
    ])?;
    Ok(run.map_or(Accepted::Noted, Accepted::Queued))
}

/// The run that this led to before: by the forge's id of the delivery, or, where that was changed, by its body; or the run that
/// the same move of a branch led to, which polling may have seen first.
fn known(db: &Connection, offer: &Offer) -> rusqlite::Result<Option<RunId>> {
    if let Wanted::Run(Order { moved: Some(moved), .. }) = &offer.wanted {
        let seen = db
            .prepare_cached("SELECT run FROM seen WHERE repository = ?1 AND reference = ?2 AND commit_id = ?3")?
            .query_row(params![offer.repository, moved.reference, moved.commit], |row| row.get::<_, Option<String>>(0))
            .optional()?;
        if let Some(run) = seen.flatten() {
            return Ok(Some(RunId::from_text(&run)));
        }
    }
    // Two questions, as an `OR` of both would be answered by reading every delivery.
    let by = |column: &str, value: Option<&String>| -> rusqlite::Result<Option<RunId>> {
        let Some(value) = value else { return Ok(None) };
        let sql = format!(
            "SELECT run FROM deliveries WHERE forge = ?1 AND repository = ?2 AND event = ?3 AND {column} = ?4 \
             AND run IS NOT NULL"
        );
        db.prepare_cached(&sql)?
            .query_row(params![offer.forge, offer.repository, offer.event, value], |row| {
                Ok(RunId::from_text(&row.get::<_, String>(0)?))
            })
            .optional()
    };
    match by("delivery", offer.delivery.as_ref())? {
        Some(run) => Ok(Some(run)),
        None => by("body_hash", Some(&offer.body_hash)),
    }
}

fn enqueue(db: &Connection, offer: &Offer, order: &Order) -> rusqlite::Result<RunId> {
    let run = RunId::generate();
    let now = offer.received.as_millisecond();
    if let Some(latest) = &order.latest {
        db.prepare_cached(
            "UPDATE queue SET state = 'done', outcome = 'superseded', untold = 1, \
             reason = 'superseded by run ' || ?3 || ': a newer push', finished = ?4, payload = NULL WHERE repository = ?1 AND latest = ?2 AND state IN ('queued', 'held')",
        )?
        .execute(params![offer.repository, latest, run.as_str(), now])?;
    }
    db.prepare_cached(
        "INSERT INTO queue (run, repository, event, latest, trigger, payload, queued, trust, state) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
    )?
    .execute(params![
        run.as_str(),
        offer.repository,
        order.event,
        order.latest,
        order.trigger,
        order.payload,
        now,
        order.trust.word(),
        match order.trust {
            Trust::Own => "queued",
            Trust::Fork => "held",
        },
    ])?;
    if let Some(moved) = &order.moved {
        see(db, &offer.repository, &moved.reference, &moved.commit, Some(&run))?;
    }
    Ok(run)
}

/// Drops a run that waits again, where a newer one of its branch came while somebody worked on it.
pub(super) fn give_way(db: &Connection, id: i64, now: Timestamp) -> rusqlite::Result<()> {
    let newer = db
        .prepare_cached(
            "SELECT newer.run FROM queue AS mine JOIN queue AS newer ON newer.repository = mine.repository \
             AND newer.latest = mine.latest AND newer.id > mine.id AND newer.state IN ('queued', 'held', 'leased') \
             WHERE mine.id = ?1 ORDER BY newer.id DESC LIMIT 1",
        )?
        .query_row([id], |row| row.get::<_, String>(0))
        .optional()?;
    let Some(newer) = newer else { return Ok(()) };
    db.prepare_cached(
        "UPDATE queue SET state = 'done', outcome = 'superseded', untold = 1, \
         reason = 'superseded by run ' || ?2 || ': a newer push', finished = ?3, payload = NULL \
         WHERE id = ?1 AND state = 'queued'",
    )?
    .execute(params![id, newer, now.as_millisecond()])
    .map(|_| ())
}

/// Remembers where a branch or tag is.
pub(super) fn see(
    db: &Connection,
    repository: &str,
    reference: &str,
    commit: &str,
    run: Option<&RunId>,
) -> rusqlite::Result<()> {
    db.prepare_cached(
        "INSERT INTO seen (repository, reference, commit_id, run) VALUES (?1, ?2, ?3, ?4) \
         ON CONFLICT DO UPDATE SET commit_id = excluded.commit_id, run = excluded.run",
    )?
    .execute(params![repository, reference, commit, run.map(RunId::as_str)])
    .map(|_| ())
}
