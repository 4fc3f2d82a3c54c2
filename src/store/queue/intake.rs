//! A delivery into the queue: whether it was there before, and the run that it leads to. Within one transaction of the caller.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, params};

use super::{Accepted, Moved, Offer, Order, Trust, Wanted, refs};
use crate::event::RunId;

/// Remembers a delivery, and queues the run that it leads to.
pub(super) fn accept(db: &Connection, offer: &Offer) -> rusqlite::Result<Accepted> {
    let accepted = match (known(db, offer)?, &offer.wanted) {
        (Some(run), _) => Accepted::Again(run),
        (None, Wanted::Run(order)) => enqueue(db, offer, order)?,
        (None, Wanted::Gone { reference, commit, .. }) => {
            refs::forget(db, &offer.repository, reference, commit.as_deref())?;
            Accepted::Noted
        }
        (None, Wanted::Nothing(_)) => Accepted::Noted,
    };
    note(db, offer, &accepted)?;
    Ok(accepted)
}

/// Writes down that it came, also where it is known by another that told the same: it is known itself from now on, whatever
/// becomes of what it was known by.
fn note(db: &Connection, offer: &Offer, accepted: &Accepted) -> rusqlite::Result<()> {
    let run = match accepted {
        Accepted::Queued(run) | Accepted::Again(run) | Accepted::Superseded(run) => Some(run),
        Accepted::Noted => None,
    };
    let why = match &offer.wanted {
        Wanted::Nothing(why) | Wanted::Gone { why, .. } => Some(why),
        Wanted::Run(_) => None,
    };
    db.prepare_cached(
        "INSERT INTO deliveries (forge, repository, event, delivery, body_hash, received, run, note) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) ON CONFLICT DO NOTHING",
    )?
    .execute(params![
        offer.forge,
        offer.repository,
        offer.event,
        offer.delivery,
        offer.body_hash,
        offer.received.as_millisecond(),
        run.map(RunId::as_str),
        why,
    ])
    .map(|_| ())
}

/// The run that this led to before: by the forge's id of the delivery, or, where that was changed, by its body; or the run that
/// the same move of a branch led to, which polling may have seen first.
fn known(db: &Connection, offer: &Offer) -> rusqlite::Result<Option<RunId>> {
    let Wanted::Run(order) = &offer.wanted else { return Ok(None) };
    if let Some(moved) = &order.moved {
        let tip = refs::known(db, &offer.repository, &moved.reference)?;
        if let Some(run) = tip.filter(|tip| tip.commit == moved.commit).and_then(|tip| tip.run) {
            return Ok(Some(run));
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

/// The run of a push that came before this one, though it was pushed after it, as a forge sends again what was not taken the first
/// time. The pushes themselves tell: one that begins where this one ends came after it, unless this one begins at the branch's tip,
/// which was set back then.
fn newer(db: &Connection, repository: &str, latest: &str, moved: &Moved) -> rusqlite::Result<Option<RunId>> {
    let Some(tip) = refs::known(db, repository, &moved.reference)? else { return Ok(None) };
    if moved.before.as_ref() == Some(&tip.commit) {
        return Ok(None);
    }
    db.prepare_cached(
        "SELECT run FROM queue WHERE repository = ?1 AND latest = ?2 AND before_commit = ?3 ORDER BY id DESC LIMIT 1",
    )?
    .query_row(params![repository, latest, moved.commit], |row| Ok(RunId::from_text(&row.get::<_, String>(0)?)))
    .optional()
}

fn enqueue(db: &Connection, offer: &Offer, order: &Order) -> rusqlite::Result<Accepted> {
    let run = RunId::generate();
    let newer = match (&order.latest, &order.moved) {
        (Some(latest), Some(moved)) => newer(db, &offer.repository, latest, moved)?,
        _ => None,
    };
    insert(db, offer, order, &run)?;
    if let Some(newer) = newer {
        supersede(db, offer, &newer, ("", "run = ?4"), run.as_str())?;
        return Ok(Accepted::Superseded(run));
    }
    if let Some(latest) = &order.latest {
        for others in OTHERS {
            supersede(db, offer, &run, others, latest)?;
        }
    }
    if let Some(moved) = &order.moved {
        refs::see(db, &offer.repository, moved, &run)?;
    }
    Ok(Accepted::Queued(run))
}

/// The runs of one key that a newer one takes the place of: the index that has them, and which they are. The index is named, as
/// SQLite would read every run that waits at each delivery.
const OTHERS: [(&str, &str); 2] = [
    ("INDEXED BY queue_latest", "latest = ?4 AND state = 'queued' AND run <> ?3"),
    ("INDEXED BY queue_held", "latest = ?4 AND state = 'held' AND run <> ?3"),
];

/// Ends runs of the repository that will not begin, as `by` takes their place.
fn supersede(
    db: &Connection,
    offer: &Offer,
    by: &RunId,
    (index, which): (&str, &str),
    value: &str,
) -> rusqlite::Result<()> {
    let sql = format!(
        "UPDATE queue {index} SET state = 'done', outcome = 'superseded', untold = 1, \
         reason = 'superseded by run ' || ?3 || ': a newer push', finished = ?2, payload = NULL WHERE repository = ?1 AND {which}"
    );
    let now = offer.received.as_millisecond();
    db.prepare_cached(&sql)?.execute(params![offer.repository, now, by.as_str(), value]).map(|_| ())
}

fn insert(db: &Connection, offer: &Offer, order: &Order, run: &RunId) -> rusqlite::Result<()> {
    db.prepare_cached(
        "INSERT INTO queue (run, repository, event, latest, trigger, payload, queued, trust, state, before_commit) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
    )?
    .execute(params![
        run.as_str(),
        offer.repository,
        order.event,
        order.latest,
        order.trigger,
        order.payload,
        offer.received.as_millisecond(),
        order.trust.word(),
        match order.trust {
            Trust::Own => "queued",
            Trust::Fork => "held",
        },
        order.moved.as_ref().and_then(|moved| moved.before.as_ref()),
    ])
    .map(|_| ())
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
