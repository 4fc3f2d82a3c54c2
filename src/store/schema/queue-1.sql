-- Times are milliseconds since 1970-01-01 UTC.
-- What was delivered, also what no run came of: a delivery that comes again is known by this.
CREATE TABLE deliveries (
    id          INTEGER PRIMARY KEY,
    forge       TEXT NOT NULL,
    repository  TEXT NOT NULL,
    event       TEXT NOT NULL,
    -- The forge's own id of it, where it sends one.
    delivery    TEXT,
    -- SHA-256 of the body, in hex.
    body_hash   TEXT NOT NULL,
    received    INTEGER NOT NULL,
    -- The run that it led to.
    run         TEXT,
    -- Why it led to none.
    note        TEXT
) STRICT;

CREATE UNIQUE INDEX deliveries_by_id ON deliveries (forge, repository, event, delivery) WHERE delivery IS NOT NULL AND run IS NOT NULL;
CREATE UNIQUE INDEX deliveries_by_body ON deliveries (forge, repository, event, body_hash) WHERE run IS NOT NULL;

CREATE TABLE queue (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    run         TEXT NOT NULL UNIQUE,
    repository  TEXT NOT NULL,
    -- `push`, `pull-request`, `schedule`, `manual`.
    event       TEXT NOT NULL,
    -- Of the runs with one key that wait, the latest alone is run.
    latest      TEXT,
    -- What started it, as the original Argon's services hand it on.
    trigger     TEXT NOT NULL,
    -- The payload as it came, for as long as it may be needed.
    payload     BLOB,
    -- `queued`, `leased`, `done`.
    state       TEXT NOT NULL DEFAULT 'queued',
    outcome     TEXT,
    reason      TEXT,
    queued      INTEGER NOT NULL,
    not_before  INTEGER NOT NULL DEFAULT 0,
    finished    INTEGER,
    -- How many leases ended without an outcome.
    tries       INTEGER NOT NULL DEFAULT 0,
    -- Rises with each lease: what an earlier holder says is refused by it.
    fence       INTEGER NOT NULL DEFAULT 0,
    holder      TEXT,
    leased_till INTEGER,
    -- The pipeline's `concurrency` group, known once it was read.
    crowd       TEXT,
    cancel      TEXT
) STRICT;

-- Where each branch and tag was when it was last heard of, and the run that this led to.
CREATE TABLE seen (
    repository  TEXT NOT NULL,
    reference   TEXT NOT NULL,
    commit_id   TEXT NOT NULL,
    run         TEXT,
    PRIMARY KEY (repository, reference)
) STRICT, WITHOUT ROWID;

CREATE INDEX queue_latest ON queue (repository, latest) WHERE state = 'queued';
CREATE INDEX queue_by_state ON queue (state, id);
