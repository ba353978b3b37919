-- What a process leaves to the next one about the gateway. Never edit a released migration: write the next one.

-- A row for every channel would be a write for every message that anybody says anywhere. Claims tell which messages were
-- taken, so that it is enough to know how far each connection was heard; this one was never used.
DROP TABLE marks;

-- How far each connection of the gateway was heard: every message up to this one was looked at.
CREATE TABLE marks (
    shard      INTEGER PRIMARY KEY CHECK (shard >= 0),
    shards     INTEGER NOT NULL CHECK (shards > shard),  -- how many connections there were
    message_id INTEGER NOT NULL,
    at         INTEGER NOT NULL
) STRICT;

-- One row: how many starts in a row came to nothing, so that a crash loop does not use up the day's sessions.
CREATE TABLE starts (
    id      INTEGER PRIMARY KEY CHECK (id = 1),
    at      INTEGER NOT NULL,                            -- the latest one
    in_vain INTEGER NOT NULL CHECK (in_vain >= 0)        -- with that one, as long as it has not come to anything
) STRICT;
