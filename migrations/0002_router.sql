-- What the router learned. Never edit a released migration: write the next one.

-- Whether tokens (and with them the cost) were reckoned from lengths, because the provider did not count them.
ALTER TABLE attempts ADD COLUMN estimated INTEGER NOT NULL DEFAULT 0 CHECK (estimated IN (0, 1));

-- Turns' ids are random: an index by them wrote one page of the file for nearly every row, and was half of the ledger's
-- price. A turn's attempts are found by its time, which is where new rows go anyway; with the id beside it in the index.
DROP INDEX attempts_by_turn;
DROP INDEX attempts_by_start;
CREATE INDEX attempts_by_start ON attempts (started_at, turn_id);

-- No query asks for it.
DROP INDEX attempts_failed;

-- Providers that are left alone for now, as they were when the process ended.
CREATE TABLE rests (
    provider TEXT NOT NULL,
    model    TEXT NOT NULL,
    why      TEXT NOT NULL,                             -- a word of attempts.failure
    until    INTEGER NOT NULL,
    probe    INTEGER NOT NULL CHECK (probe IN (0, 1)),  -- whether one careful call decides afterwards
    rests    INTEGER NOT NULL CHECK (rests >= 0),       -- how many it had in a row
    PRIMARY KEY (provider, model)
) STRICT;
