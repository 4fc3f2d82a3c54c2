-- What is to be told others about runs, until they heard it.
CREATE TABLE outbox (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    run         TEXT NOT NULL,
    -- Whom: what the listener knows a channel or a forge by.
    address     TEXT NOT NULL,
    -- `begun`, `ended`: each is told an address once.
    part        TEXT NOT NULL,
    -- JSON.
    body        TEXT NOT NULL,
    -- `waiting`, `sent`, `given-up`.
    state       TEXT NOT NULL DEFAULT 'waiting',
    created     INTEGER NOT NULL,
    not_before  INTEGER NOT NULL DEFAULT 0,
    tries       INTEGER NOT NULL DEFAULT 0,
    -- Why the last try failed.
    error       TEXT,
    UNIQUE (run, address, part)
) STRICT;

CREATE INDEX outbox_waiting ON outbox (not_before) WHERE state = 'waiting';
