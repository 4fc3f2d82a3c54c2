-- The run ended, and its end is still to be told: it ended while nobody worked on it, or its record could not be written.
ALTER TABLE queue ADD COLUMN untold INTEGER NOT NULL DEFAULT 0;

CREATE INDEX queue_untold ON queue (id) WHERE untold = 1;
