-- Tokens are here by their SHA-256 alone. Times are milliseconds since 1970-01-01 UTC.
CREATE TABLE logins (
    hash        TEXT PRIMARY KEY,
    expires     INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE sessions (
    hash        TEXT PRIMARY KEY,
    expires     INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
