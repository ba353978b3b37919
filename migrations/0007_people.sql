-- What people asked for themselves, and forum posts that were left to people. Never edit a released migration: write the next one.

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
