CREATE TABLE attempts (
    id             INTEGER PRIMARY KEY AUTOINCREMENT,
    turn_id        TEXT NOT NULL,
    step           INTEGER NOT NULL CHECK (step >= 0),
    provider       TEXT NOT NULL,
    model          TEXT NOT NULL,
    started_at     INTEGER NOT NULL,
    outcome        TEXT NOT NULL CHECK (outcome IN ('answered', 'failed', 'overtaken', 'cancelled')),
    failure        TEXT CHECK (failure IN (
        'rate_limited', 'quota_exhausted', 'overloaded', 'server_error', 'timeout', 'connection', 'broken_stream',
        'malformed', 'empty', 'auth', 'region_blocked', 'model_unavailable', 'context_too_long', 'content_filtered',
        'unsupported_parameter', 'bad_request')),
    detail         TEXT,                            -- a machine word for operators, never a vendor's free text
    http_status    INTEGER,
    retry_after_ms INTEGER,
    first_text_ms  INTEGER,
    total_ms       INTEGER NOT NULL,
    tokens_in      INTEGER,
    tokens_out     INTEGER,
    cost           REAL, estimated INTEGER NOT NULL DEFAULT 0 CHECK (estimated IN (0, 1)),
    CHECK ((outcome = 'failed') = (failure IS NOT NULL))
) STRICT;
CREATE INDEX attempts_by_start ON attempts (started_at, turn_id);
CREATE TABLE audit (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    guild_id   INTEGER NOT NULL,
    channel_id INTEGER,
    by_user    INTEGER NOT NULL,
    by_name    TEXT NOT NULL,
    action     TEXT NOT NULL,
    detail     TEXT NOT NULL,
    at         INTEGER NOT NULL
) STRICT;
CREATE INDEX audit_by_guild ON audit (guild_id, id);
CREATE TABLE conversations (
    id              INTEGER PRIMARY KEY,            -- the channel's id
    guild_id        INTEGER,
    place           TEXT NOT NULL CHECK (place IN ('dm', 'channel', 'thread', 'forum_post')),
    cleared_at      INTEGER,                        -- when it was last reset
    cleared_through INTEGER NOT NULL DEFAULT 0,     -- messages.id: the last line that the reset took away
    created_at      INTEGER NOT NULL,
    updated_at      INTEGER NOT NULL
) STRICT;
CREATE INDEX conversations_by_update ON conversations (updated_at);
CREATE TABLE disabled_providers (
    guild_id   INTEGER NOT NULL,
    provider   TEXT NOT NULL,
    until      INTEGER,
    by_user    INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (guild_id, provider)
) STRICT;
CREATE TABLE feedback (
    turn_id TEXT NOT NULL REFERENCES turns (id) ON DELETE CASCADE,
    user_id INTEGER NOT NULL,
    value   INTEGER NOT NULL CHECK (value IN (-1, 1)),
    at      INTEGER NOT NULL, step INTEGER, provider TEXT, model TEXT,
    PRIMARY KEY (turn_id, user_id)
) STRICT;
CREATE INDEX feedback_by_time ON feedback (at);
CREATE TABLE joined (
    message_id INTEGER PRIMARY KEY,
    turn_id    TEXT NOT NULL REFERENCES turns (id) ON DELETE CASCADE
) STRICT;
CREATE INDEX joined_by_turn ON joined (turn_id);
CREATE TABLE marks (
    shard      INTEGER PRIMARY KEY CHECK (shard >= 0),
    shards     INTEGER NOT NULL CHECK (shards > shard),  -- how many connections there were
    message_id INTEGER NOT NULL,
    at         INTEGER NOT NULL
) STRICT;
CREATE TABLE messages (
    id                 INTEGER PRIMARY KEY AUTOINCREMENT,
    conversation_id    INTEGER NOT NULL REFERENCES conversations (id),
    turn_id            TEXT REFERENCES turns (id) ON DELETE SET NULL,
    answers            INTEGER REFERENCES messages (id) ON DELETE CASCADE,
    discord_message_id INTEGER,
    role               TEXT NOT NULL CHECK (role IN ('user', 'assistant')),
    author_id          INTEGER,
    author_name        TEXT,
    text               TEXT NOT NULL,
    created_at         INTEGER NOT NULL, replied_to INTEGER,
    CHECK ((role = 'user') = (author_id IS NOT NULL))
) STRICT;
CREATE INDEX messages_by_answers ON messages (answers);
CREATE INDEX messages_by_author ON messages (author_id) WHERE author_id IS NOT NULL;
CREATE INDEX messages_by_conversation ON messages (conversation_id, COALESCE(answers, id), id);
CREATE INDEX messages_by_discord_message ON messages (discord_message_id);
CREATE INDEX messages_by_time ON messages (created_at);
CREATE INDEX messages_by_turn ON messages (turn_id);
CREATE TABLE opt_outs (
    user_id INTEGER PRIMARY KEY,
    at      INTEGER NOT NULL
) STRICT;
CREATE TABLE pins (
    scope      TEXT NOT NULL CHECK (scope IN ('channel', 'server')),
    scope_id   INTEGER NOT NULL,
    guild_id   INTEGER NOT NULL,
    provider   TEXT NOT NULL,
    strict     INTEGER NOT NULL CHECK (strict IN (0, 1)),
    until      INTEGER,                             -- NULL: until further notice
    by_user    INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (scope, scope_id)
) STRICT;
CREATE INDEX pins_by_guild ON pins (guild_id);
CREATE TABLE probe (
    id    INTEGER PRIMARY KEY CHECK (id = 1),
    count INTEGER NOT NULL
) STRICT;
CREATE TABLE quiet_posts (
    channel_id INTEGER PRIMARY KEY,
    why        TEXT NOT NULL CHECK (why IN ('solved', 'helped')),
    at         INTEGER NOT NULL
) STRICT;
CREATE TABLE registered_commands (
    application_id INTEGER NOT NULL,
    guild_id       INTEGER NOT NULL,                -- 0: everywhere
    fingerprint    TEXT NOT NULL,
    at             INTEGER NOT NULL,
    PRIMARY KEY (application_id, guild_id)
) STRICT;
CREATE TABLE reply_parts (
    turn_id    TEXT NOT NULL REFERENCES turns (id) ON DELETE CASCADE,
    part       INTEGER NOT NULL CHECK (part >= 0),
    message_id INTEGER NOT NULL,
    PRIMARY KEY (turn_id, part)
) STRICT;
CREATE INDEX reply_parts_by_message ON reply_parts (message_id);
CREATE TABLE rests (
    provider TEXT NOT NULL,
    model    TEXT NOT NULL,
    why      TEXT NOT NULL,                             -- a word of attempts.failure
    until    INTEGER NOT NULL,
    probe    INTEGER NOT NULL CHECK (probe IN (0, 1)),  -- whether one careful call decides afterwards
    rests    INTEGER NOT NULL CHECK (rests >= 0),       -- how many it had in a row
    PRIMARY KEY (provider, model)
) STRICT;
CREATE TABLE starts (
    id      INTEGER PRIMARY KEY CHECK (id = 1),
    at      INTEGER NOT NULL,                            -- the latest one
    in_vain INTEGER NOT NULL CHECK (in_vain >= 0)        -- with that one, as long as it has not come to anything
) STRICT;
CREATE TRIGGER turns_forget AFTER UPDATE OF question ON turns WHEN NEW.question IS NULL AND NEW.beside IS NOT NULL
BEGIN
    UPDATE turns SET beside = NULL WHERE id = NEW.id;
END;
CREATE TABLE turns (
    id                 TEXT PRIMARY KEY,
    conversation_id    INTEGER NOT NULL REFERENCES conversations (id),
    discord_message_id INTEGER UNIQUE,              -- the claim: a message is answered once
    channel_id         INTEGER NOT NULL,
    guild_id           INTEGER,
    author_id          INTEGER NOT NULL,
    author_name        TEXT NOT NULL,
    place              TEXT NOT NULL CHECK (place IN ('dm', 'channel', 'thread', 'forum_post')),
    trigger            TEXT NOT NULL
        CHECK (trigger IN ('mention', 'reply', 'dm', 'thread', 'channel', 'forum', 'command')),
    question           TEXT,                        -- these three are what to answer after a crash; NULL once it ended
    replied_to         TEXT,                        -- JSON
    opening            TEXT,                        -- JSON
    wish               TEXT,
    state              TEXT NOT NULL
        CHECK (state IN ('received', 'answering', 'answered', 'failed', 'cancelled', 'queued', 'expired')),
    provider           TEXT,
    error              TEXT,
    received_at        INTEGER NOT NULL,
    ended_at           INTEGER, beside TEXT, retract INTEGER NOT NULL DEFAULT 0 CHECK (retract IN (0, 1)), replaces TEXT, question_id INTEGER, ask_last TEXT, hooked INTEGER NOT NULL DEFAULT 0 CHECK (hooked IN (0, 1)),
    CHECK ((ended_at IS NULL) = (state IN ('received', 'answering', 'queued')))
) STRICT;
CREATE INDEX turns_by_author ON turns (author_id);
CREATE INDEX turns_by_conversation ON turns (conversation_id, received_at);
CREATE INDEX turns_by_end ON turns (ended_at);
CREATE INDEX turns_by_question ON turns (question_id) WHERE question_id IS NOT NULL;
CREATE UNIQUE INDEX turns_by_replaced ON turns (replaces) WHERE replaces IS NOT NULL;
CREATE INDEX turns_to_retract ON turns (id) WHERE retract = 1;
