-- Whose commits a run is of: `own`, `fork`. A fork's run is `held` until somebody approves it.
ALTER TABLE queue ADD COLUMN trust TEXT NOT NULL DEFAULT 'own';

CREATE INDEX queue_held ON queue (repository, latest) WHERE state = 'held';

-- What people set while the listener runs.
CREATE TABLE settings (
    name        TEXT PRIMARY KEY,
    value       TEXT NOT NULL
) STRICT, WITHOUT ROWID;
