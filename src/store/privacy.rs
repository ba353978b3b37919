//! What people may ask of the store: to see what it has of them, to be forgotten, and to be left out.
//!
//! **The problem.** A deleted row is still in the file: SQLite marks its place as free, moves copies of rows about inside its
//! pages, and keeps former pages in the WAL. **The rule.** Freed bytes are overwritten (`secure_delete`, on every
//! connection); [`Store::scrub`] then writes the whole file anew and empties the WAL, so that nothing of what went is left in
//! either. **The limits.** Copies of the file that somebody made are not reached, nor what a disk keeps of overwritten blocks.
//! The audit log keeps the number of who changed a server's settings, without the name: a server may know that.

use super::{Store, StoreError, count};
use crate::message::{UnixMillis, UserId};
use serde_json::{Value, json};
use sqlx::Row as _;

/// How often the WAL is tried to be emptied while others read from it.
const CHECKPOINT_TRIES: u32 = 5;

/// How much of a person went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Forgotten {
    /// Lines of conversations, with the answers to them.
    pub lines: u64,
    /// Turns that name nobody any more.
    pub turns: u64,
    /// Votes.
    pub votes: u64,
}

/// What there is of a person, a row an object: its name in the export, and the query. Ids are text, since they are too long for
/// the numbers of many programs.
const EXPORTS: [(&str, &str); 6] = [
    (
        "messages",
        "SELECT json_object('at', m.created_at, 'conversation', CAST(m.conversation_id AS TEXT), 'turn', m.turn_id,
                'message', CAST(m.discord_message_id AS TEXT), 'name', m.author_name, 'text', m.text,
                'answers', (SELECT json_group_array(a.text) FROM messages a WHERE a.answers = m.id))
         FROM messages m WHERE m.author_id = ? ORDER BY m.id",
    ),
    (
        "turns",
        "SELECT json_object('at', received_at, 'turn', id, 'conversation', CAST(conversation_id AS TEXT),
                'server', CAST(guild_id AS TEXT), 'message', CAST(discord_message_id AS TEXT), 'name', author_name,
                'place', place, 'trigger', trigger, 'state', state, 'provider', provider, 'ended_at', ended_at,
                'question', question)
         FROM turns WHERE author_id = ? ORDER BY received_at",
    ),
    (
        "votes",
        "SELECT json_object('at', at, 'turn', turn_id, 'value', value) FROM feedback WHERE user_id = ? ORDER BY at",
    ),
    (
        "audit",
        "SELECT json_object('at', at, 'server', CAST(guild_id AS TEXT), 'channel', CAST(channel_id AS TEXT),
                'name', by_name, 'action', action, 'detail', detail)
         FROM audit WHERE by_user = ? ORDER BY id",
    ),
    (
        "pins",
        "SELECT json_object('at', created_at, 'server', CAST(guild_id AS TEXT), 'provider', provider)
         FROM pins WHERE by_user = ? ORDER BY created_at",
    ),
    (
        "switched_off",
        "SELECT json_object('at', created_at, 'server', CAST(guild_id AS TEXT), 'provider', provider)
         FROM disabled_providers WHERE by_user = ? ORDER BY created_at",
    ),
];

/// What is done to forget a person, in this order; each with the person's id alone.
mod forget {
    /// Answers go with their questions, by the foreign key.
    pub(super) const ANSWERS: &str =
        "SELECT COUNT(*) FROM messages WHERE answers IN (SELECT id FROM messages WHERE author_id = ?)";
    pub(super) const LINES: &str = "DELETE FROM messages WHERE author_id = ?";
    pub(super) const TURNS: &str =
        "UPDATE turns SET author_id = 0, author_name = '', question = NULL, replied_to = NULL, opening = NULL
         WHERE author_id = ?";
    pub(super) const VOTES: &str = "DELETE FROM feedback WHERE user_id = ?";
    /// What others pointed at in turns that have not ended.
    pub(super) const QUOTES: &str = "UPDATE turns SET replied_to = NULL WHERE ended_at IS NULL AND json_extract(replied_to, '$.author_id') = ?";
    pub(super) const STARTERS: &str = "UPDATE turns SET opening = json_set(opening, '$.starter', NULL)
         WHERE ended_at IS NULL AND json_extract(opening, '$.starter.author_id') = ?";
    pub(super) const CHAINS: &str = "UPDATE turns SET beside = NULL WHERE ended_at IS NULL AND EXISTS
         (SELECT 1 FROM json_each(beside, '$.chain') WHERE json_extract(value, '$.author_id') = ?)";
    pub(super) const NAMES: &str = "UPDATE audit SET by_name = '' WHERE by_user = ?";
}

impl Store {
    /// Which of these people want to be left out.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn opted_out(&self, people: &[UserId]) -> Result<Vec<UserId>, StoreError> {
        let ids: Vec<i64> = people.iter().map(|it| it.0.cast_signed()).collect();
        let found: Vec<i64> = sqlx::query_scalar(
            "SELECT user_id FROM opt_outs WHERE user_id IN (SELECT value FROM json_each(?))",
        )
        .bind(json!(ids).to_string())
        .fetch_all(&self.reader)
        .await?;
        Ok(found.into_iter().map(|it| UserId(it.cast_unsigned())).collect())
    }

    /// Leaves a person out from now on. Says whether that is new.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn opt_out(&self, user: UserId, at: UnixMillis) -> Result<bool, StoreError> {
        let done = sqlx::query("INSERT INTO opt_outs (user_id, at) VALUES (?, ?) ON CONFLICT DO NOTHING")
            .bind(user.0.cast_signed())
            .bind(at.0)
            .execute(&self.writer)
            .await?;
        Ok(done.rows_affected() > 0)
    }

    /// Takes a person in again. Says whether that is new.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn opt_in(&self, user: UserId) -> Result<bool, StoreError> {
        let done = sqlx::query("DELETE FROM opt_outs WHERE user_id = ?")
            .bind(user.0.cast_signed())
            .execute(&self.writer)
            .await?;
        Ok(done.rows_affected() > 0)
    }

    /// Everything that is stored about a person.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn export(&self, user: UserId) -> Result<Value, StoreError> {
        let mut whole = json!({ "user": user.to_string() });
        for (name, query) in EXPORTS {
            let rows = sqlx::query(query).bind(user.0.cast_signed()).fetch_all(&self.reader).await?;
            let read = |row: &sqlx::sqlite::SqliteRow| {
                let text: String = row.try_get(0)?;
                serde_json::from_str::<Value>(&text).map_err(|cause| sqlx::Error::Decode(cause.into()))
            };
            whole[name] = rows.iter().map(read).collect::<Result<Vec<_>, sqlx::Error>>()?.into();
        }
        let since: Option<i64> = sqlx::query_scalar("SELECT at FROM opt_outs WHERE user_id = ?")
            .bind(user.0.cast_signed())
            .fetch_optional(&self.reader)
            .await?;
        whole["opted_out_since"] = json!(since);
        Ok(whole)
    }

    /// Forgets a person, all at once: what they said and what was answered to it, their votes and their names. Turns stay for
    /// the statistics, as nobody's and without text. That they opted out is remembered, or else it would not hold. For the
    /// file itself see [`Store::scrub`].
    ///
    /// # Errors
    /// When the database cannot be written; then nothing is forgotten.
    pub async fn forget_person(&self, user: UserId) -> Result<Forgotten, StoreError> {
        let id = user.0.cast_signed();
        let mut tx = self.write().await?;
        let answers: i64 = sqlx::query_scalar(forget::ANSWERS).bind(id).fetch_one(&mut *tx).await?;
        let mut done = [0; 7];
        let steps = [
            forget::LINES,
            forget::TURNS,
            forget::VOTES,
            forget::QUOTES,
            forget::STARTERS,
            forget::CHAINS,
            forget::NAMES,
        ];
        for (done, step) in done.iter_mut().zip(steps) {
            *done = sqlx::query(step).bind(id).execute(&mut *tx).await?.rows_affected();
        }
        tx.commit().await?;
        let [lines, turns, votes, ..] = done;
        Ok(Forgotten { lines: lines + count(answers), turns, votes })
    }

    /// How large the file is, in bytes.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn size(&self) -> Result<u64, StoreError> {
        let bytes =
            sqlx::query_scalar("SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()")
                .fetch_one(&self.reader)
                .await?;
        Ok(count(bytes))
    }

    /// Writes the whole file anew without what was deleted, and empties the WAL. Takes about a second for 100 MB, during which
    /// nobody else writes.
    ///
    /// # Errors
    /// When the database cannot be written, or somebody reads from it for so long that the WAL cannot be emptied.
    pub async fn scrub(&self) -> Result<(), StoreError> {
        sqlx::query("VACUUM").execute(&self.writer).await?;
        self.empty_wal().await
    }

    /// Moves everything into the main file, and leaves nothing in the WAL.
    ///
    /// # Errors
    /// When the database cannot be written, or somebody reads from it for too long.
    pub async fn empty_wal(&self) -> Result<(), StoreError> {
        for _ in 0..CHECKPOINT_TRIES {
            let row = sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").fetch_one(&self.writer).await?;
            if row.try_get::<i64, _>(0)? == 0 {
                return Ok(());
            }
        }
        Err(StoreError::Busy { at: super::At(None) })
    }
}
