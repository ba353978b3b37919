-- What members do and see in the channel. Never edit a released migration: write the next one.

-- What a process leaves to the next one about the gateway.

-- A row for every channel would be a write for every message that anybody says anywhere. Claims tell which messages were
-- taken, so that it is enough to know how far each connection was heard.
ALTER TABLE marks RENAME TO marks_by_channel;

-- How far each connection of the gateway was heard: every message up to this one was looked at.
CREATE TABLE marks (
    shard      INTEGER PRIMARY KEY CHECK (shard >= 0),
    shards     INTEGER NOT NULL CHECK (shards > shard),  -- how many connections there were
    message_id INTEGER NOT NULL,
    at         INTEGER NOT NULL
) STRICT;

INSERT INTO marks (shard, shards, message_id, at)
    SELECT 0, 1, MAX(last_seen_message_id), MAX(at) FROM marks_by_channel HAVING COUNT(*) > 0;
DROP TABLE marks_by_channel;

-- One row: how many starts in a row came to nothing, so that a crash loop does not use up the day's sessions.
CREATE TABLE starts (
    id      INTEGER PRIMARY KEY CHECK (id = 1),
    at      INTEGER NOT NULL,                            -- the latest one
    in_vain INTEGER NOT NULL CHECK (in_vain >= 0)        -- with that one, as long as it has not come to anything
) STRICT;

-- What a question is made of, and what became of it.

-- What goes with a question beside its text: JSON, without addresses of files. NULL once the turn has ended.
ALTER TABLE turns ADD COLUMN beside TEXT;

-- The question was deleted: the reply's messages are to be deleted as well.
ALTER TABLE turns ADD COLUMN retract INTEGER NOT NULL DEFAULT 0 CHECK (retract IN (0, 1));
CREATE INDEX turns_to_retract ON turns (id) WHERE retract = 1;

-- Whoever forgets the question forgets what went with it.
CREATE TRIGGER turns_forget AFTER UPDATE OF question ON turns WHEN NEW.question IS NULL AND NEW.beside IS NOT NULL
BEGIN
    UPDATE turns SET beside = NULL WHERE id = NEW.id;
END;

-- Further messages of a question that was written in several. They are claimed by this, and answered with the first one.
CREATE TABLE joined (
    message_id INTEGER PRIMARY KEY,
    turn_id    TEXT NOT NULL REFERENCES turns (id) ON DELETE CASCADE
) STRICT;

CREATE INDEX joined_by_turn ON joined (turn_id);

-- The message that a line replies to, so that a chain of replies can be followed.
ALTER TABLE messages ADD COLUMN replied_to INTEGER;

-- What members press.

-- A turn that asks a question once more takes the place of the turn before it (no foreign key: that one may be gone, which
-- changes nothing, and each turn that goes would be looked for). The press is its claim, in discord_message_id.
ALTER TABLE turns ADD COLUMN replaces TEXT;
-- The message with the question, where the claim is a press.
ALTER TABLE turns ADD COLUMN question_id INTEGER;
-- The provider to ask last: the answer that is replaced was its.
ALTER TABLE turns ADD COLUMN ask_last TEXT;
-- Only the press's own token reaches the reply, such as one that a single person sees: another process can't go on with it.
ALTER TABLE turns ADD COLUMN hooked INTEGER NOT NULL DEFAULT 0 CHECK (hooked IN (0, 1));

-- A turn is replaced once, however often somebody presses.
CREATE UNIQUE INDEX turns_by_replaced ON turns (replaces) WHERE replaces IS NOT NULL;

CREATE INDEX turns_by_question ON turns (question_id) WHERE question_id IS NOT NULL;

-- The attempt that gave the answer; step and model are unknown where the answer was known already, and no call was made.
ALTER TABLE feedback ADD COLUMN step INTEGER;
ALTER TABLE feedback ADD COLUMN provider TEXT;
ALTER TABLE feedback ADD COLUMN model TEXT;

CREATE INDEX feedback_by_time ON feedback (at);

-- What people asked for themselves, and forum posts that were left to people.

-- People who want no part in it: nothing that they write is stored or sent on.
CREATE TABLE opt_outs (
    user_id INTEGER PRIMARY KEY,
    at      INTEGER NOT NULL
) STRICT;

-- Forum posts in which the bot is quiet until it is called: one that is solved, or that a person helped in.
CREATE TABLE quiet_posts (
    channel_id INTEGER PRIMARY KEY,
    why        TEXT NOT NULL CHECK (why IN ('solved', 'helped')),
    at         INTEGER NOT NULL
) STRICT;

-- Which commands Discord has of us, so that a start does not send the same ones again.
CREATE TABLE registered_commands (
    application_id INTEGER NOT NULL,
    guild_id       INTEGER NOT NULL,                -- 0: everywhere
    fingerprint    TEXT NOT NULL,
    at             INTEGER NOT NULL,
    PRIMARY KEY (application_id, guild_id)
) STRICT;

-- A person's turns and votes are found when that person wants to see them, or to be forgotten.
CREATE INDEX turns_by_author ON turns (author_id);
CREATE INDEX messages_by_author ON messages (author_id) WHERE author_id IS NOT NULL;
