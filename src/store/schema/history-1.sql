-- Times are milliseconds since 1970-01-01 UTC; durations are milliseconds of a clock that only goes forward.
CREATE TABLE runs (
    number      INTEGER PRIMARY KEY AUTOINCREMENT,
    id          TEXT NOT NULL UNIQUE,
    repository  TEXT NOT NULL,
    pipeline    TEXT,
    event       TEXT NOT NULL,
    branch      TEXT,
    tag         TEXT,
    commit_id   TEXT,
    dirty       INTEGER NOT NULL,
    -- A digest of what differs from the commit, where something does.
    dirty_hash  TEXT,
    -- `running`, `interrupted`, or how it ended.
    status      TEXT NOT NULL,
    message     TEXT,
    started     INTEGER NOT NULL,
    finished    INTEGER,
    duration    INTEGER,
    -- The process that runs it, so that its death can be told.
    owner       TEXT NOT NULL,
    -- Bytes of its logs.
    log_bytes   INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE INDEX runs_by_repository ON runs (repository, number);
CREATE INDEX runs_running ON runs (number) WHERE status = 'running';

CREATE TABLE jobs (
    run         INTEGER NOT NULL REFERENCES runs (number) ON DELETE CASCADE,
    position    INTEGER NOT NULL,
    name        TEXT NOT NULL,
    title       TEXT,
    image       TEXT NOT NULL,
    -- The image's content on the engine, as the engine names it.
    image_id    TEXT,
    -- A JSON array of names.
    needs       TEXT NOT NULL,
    -- `queued`, `running`, or how it ended.
    status      TEXT NOT NULL,
    message     TEXT,
    exit_code   INTEGER,
    started     INTEGER,
    duration    INTEGER,
    forgiven    INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (run, position)
) STRICT, WITHOUT ROWID;

CREATE TABLE steps (
    run         INTEGER NOT NULL REFERENCES runs (number) ON DELETE CASCADE,
    job         INTEGER NOT NULL,
    position    INTEGER NOT NULL,
    name        TEXT NOT NULL,
    status      TEXT NOT NULL,
    message     TEXT,
    exit_code   INTEGER,
    started     INTEGER,
    duration    INTEGER,
    -- Milliseconds of CPU, and bytes.
    cpu         INTEGER,
    peak_memory INTEGER,
    forgiven    INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (run, job, position)
) STRICT, WITHOUT ROWID;

-- What Argon itself said of a run.
CREATE TABLE notices (
    run         INTEGER NOT NULL REFERENCES runs (number) ON DELETE CASCADE,
    time        INTEGER NOT NULL,
    level       TEXT NOT NULL,
    job         TEXT,
    message     TEXT NOT NULL
) STRICT;

CREATE INDEX notices_by_run ON notices (run);
