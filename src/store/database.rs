//! Opening a SQLite file: its settings, the migrations of its schema, and what is done with one that is damaged.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, Transaction, TransactionBehavior};

use super::{StoreError, private};

/// How long a statement waits for another process that writes. Writers hold the file for a few milliseconds.
const BUSY: Duration = Duration::from_secs(5);

/// The file of a larger database is not read through when it is opened.
const CHECKED_BYTES: u64 = 64 * 1024 * 1024;

/// A database that was damaged, and where it is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MovedAside {
    /// Where it was.
    pub from: PathBuf,
    /// Where it is.
    pub to: PathBuf,
    /// What SQLite said.
    pub why: String,
}

impl std::fmt::Display for MovedAside {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (from, to) = (self.from.display(), self.to.display());
        write!(f, "the database `{from}` is damaged ({}); it was moved to `{to}`, and a new one begun", self.why)
    }
}

/// How closely a file is looked at when it is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Look {
    /// Its pages are read through, so that damage shows now and not in the middle of a run.
    Through,
    /// Its head alone.
    Head,
}

/// Opens the database, makes it where there is none, and brings its schema up to date.
///
/// `migrations` is append-only: the position of one, from 1, is the format (`user_version`) that it leads to.
pub(super) fn open(
    path: &Path,
    migrations: &[&str],
    look: Look,
) -> Result<(Connection, Option<MovedAside>), StoreError> {
    private::folder(path.parent().unwrap_or(path))?;
    match try_open(path, migrations, look) {
        Err(error) if error.is_damage() => {
            let moved = move_aside(path, &error)?;
            Ok((try_open(path, migrations, look)?, Some(moved)))
        }
        opened => opened.map(|db| (db, None)),
    }
}

/// Looks whether a database could be opened, and changes nothing of it, also beside a process that has it open. One that is not there
/// could be.
#[cfg(feature = "listen")]
pub(super) fn inspect(path: &Path, migrations: &[&str]) -> Result<(), StoreError> {
    if !path.exists() {
        return Ok(());
    }
    let database = |source| StoreError::Database { path: path.to_owned(), source };
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_URI;
    // Where nothing waits in a log beside it nobody has it open, and SQLite need not make files of its own to look at it.
    let is_at_rest = !PathBuf::from(format!("{}-wal", path.display())).exists();
    let address = reqwest::Url::from_file_path(path.canonicalize().unwrap_or_else(|_| path.to_owned()));
    let Ok(mut address) = address else { return Ok(()) };
    address.set_query(is_at_rest.then_some("immutable=1"));
    let db = Connection::open_with_flags(address.as_str(), flags).map_err(database)?;
    db.busy_timeout(BUSY).map_err(database)?;
    if fs::metadata(path).is_ok_and(|file| file.len() <= CHECKED_BYTES) {
        check(&db).map_err(database)?;
    }
    let found = db.query_row("PRAGMA user_version", [], |row| row.get::<_, i64>(0)).map_err(database)?;
    let known = i64::try_from(migrations.len()).unwrap_or(i64::MAX);
    if found > known {
        return Err(StoreError::Newer { path: path.to_owned(), found, known });
    }
    Ok(())
}

fn try_open(path: &Path, migrations: &[&str], look: Look) -> Result<Connection, StoreError> {
    let database = |source| StoreError::Database { path: path.to_owned(), source };
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut db = Connection::open_with_flags(path, flags).map_err(database)?;
    private::database(path)?;
    db.busy_timeout(BUSY).map_err(database)?;
    if look == Look::Through && fs::metadata(path).is_ok_and(|file| file.len() <= CHECKED_BYTES) {
        check(&db).map_err(database)?;
    }
    // With a WAL, `NORMAL` loses at most the last moments of a machine that loses power, and never the file.
    db.execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA foreign_keys = ON;")
        .map_err(database)?;
    migrate(&mut db, path, migrations)?;
    Ok(db)
}

/// Reads all pages. A file that is sound says `ok`.
fn check(db: &Connection) -> rusqlite::Result<()> {
    let says: String = db.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    if says == "ok" {
        return Ok(());
    }
    let code = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CORRUPT);
    Err(rusqlite::Error::SqliteFailure(code, Some(says)))
}

fn migrate(db: &mut Connection, path: &Path, migrations: &[&str]) -> Result<(), StoreError> {
    let database = |source| StoreError::Database { path: path.to_owned(), source };
    let format = |db: &Connection| db.query_row("PRAGMA user_version", [], |row| row.get::<_, i64>(0));
    let known = i64::try_from(migrations.len()).unwrap_or(i64::MAX);
    let found = format(db).map_err(database)?;
    if found == known {
        return Ok(());
    }
    // Another argon may be at it, too: what it did is seen from inside the transaction.
    let work = Transaction::new(db, TransactionBehavior::Immediate).map_err(database)?;
    let found = format(&work).map_err(database)?;
    if found > known {
        return Err(StoreError::Newer { path: path.to_owned(), found, known });
    }
    for migration in migrations.iter().skip(usize::try_from(found).unwrap_or(0)) {
        work.execute_batch(migration).map_err(database)?;
    }
    work.pragma_update(None, "user_version", known).map_err(database)?;
    work.commit().map_err(database)
}

/// So long after `now`, in milliseconds since 1970.
#[cfg(feature = "listen")]
pub(super) fn after(now: jiff::Timestamp, wait: Duration) -> i64 {
    now.as_millisecond().saturating_add(i64::try_from(wait.as_millis()).unwrap_or(i64::MAX))
}

/// Moves the file and what belongs to it. Whoever has it open goes on with it there.
fn move_aside(path: &Path, error: &StoreError) -> Result<MovedAside, StoreError> {
    let why = std::error::Error::source(error).map_or_else(String::new, ToString::to_string);
    let stamp = jiff::Timestamp::now().strftime("%Y%m%dT%H%M%SZ").to_string();
    let with = |path: &Path, end: &str| PathBuf::from(format!("{}{end}", path.display()));
    let to = with(path, &format!(".damaged-{stamp}"));
    for end in ["", "-wal", "-shm"] {
        match fs::rename(with(path, end), with(&to, end)) {
            Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
                return Err(StoreError::File { what: "move away the damaged", path: with(path, end), source });
            }
            _ => {}
        }
    }
    Ok(MovedAside { from: path.to_owned(), to, why })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const FIRST: &str = "CREATE TABLE a (x INTEGER);";
    const SECOND: &str = "CREATE TABLE b (y INTEGER);";

    #[test]
    fn migrations_go_on_from_any_format_and_a_newer_one_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/x.db");
        let (db, moved) = open(&path, &[FIRST], Look::Through).unwrap();
        assert_eq!(moved, None);
        db.execute("INSERT INTO a VALUES (7)", []).unwrap();
        let (db, _) = open(&path, &[FIRST, SECOND], Look::Through).unwrap();
        assert_eq!(db.query_row("SELECT x FROM a", [], |row| row.get::<_, i64>(0)), Ok(7));
        db.execute("INSERT INTO b VALUES (8)", []).unwrap();
        assert!(matches!(open(&path, &[FIRST], Look::Head), Err(StoreError::Newer { found: 2, known: 1, .. })));
    }

    #[test]
    fn what_is_no_database_is_moved_aside_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.db");
        fs::write(&path, "not a database, and long enough to be looked at as if it were one".repeat(20)).unwrap();
        let (db, moved) = open(&path, &[FIRST], Look::Head).unwrap();
        db.execute("INSERT INTO a VALUES (7)", []).unwrap();
        assert!(fs::read_to_string(moved.unwrap().to).unwrap().starts_with("not a database"));
    }

    #[test]
    fn a_page_that_was_overwritten_is_seen_when_the_file_is_read_through() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.db");
        let (db, _) = open(&path, &[FIRST], Look::Through).unwrap();
        db.execute_batch(
            "WITH n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i < 5000) INSERT INTO a SELECT i FROM n;",
        )
        .unwrap();
        db.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
        drop(db);
        let mut bytes = fs::read(&path).unwrap();
        for byte in &mut bytes[8192..8192 + 100] {
            *byte ^= 0xff;
        }
        fs::write(&path, bytes).unwrap();
        assert!(open(&path, &[FIRST], Look::Head).unwrap().1.is_none(), "the head is whole");
        assert!(open(&path, &[FIRST], Look::Through).unwrap().1.is_some());
    }
}
