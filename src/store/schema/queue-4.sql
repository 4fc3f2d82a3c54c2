-- Repositories whose branches and tags were looked at: what was there is in `seen`, also where that was nothing.
CREATE TABLE looked (
    repository  TEXT PRIMARY KEY
) STRICT, WITHOUT ROWID;

-- Before there was this mark, a look showed by what it left.
INSERT INTO looked SELECT repository FROM seen WHERE run IS NULL UNION SELECT repository FROM deliveries WHERE forge = 'poll';

-- Where a push says that its branch or tag was before: by it one that comes late is told from one that is new.
ALTER TABLE queue ADD COLUMN before_commit TEXT;

CREATE INDEX queue_by_before ON queue (repository, latest, before_commit) WHERE before_commit IS NOT NULL;

CREATE INDEX deliveries_ignored ON deliveries (received) WHERE note IS NOT NULL;
