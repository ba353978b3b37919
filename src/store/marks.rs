//! What the gateway needs to know of the process before: how far it was heard, and how often it began in vain.

use super::{Store, StoreError, turn_rows::TurnRow, turns::Unfinished};
use crate::message::{ChannelId, MessageId, UnixMillis};
use std::{collections::HashSet, time::Duration};

/// A start after a longer pause than this is no part of a crash loop.
const LOOP_WITHIN: Duration = Duration::from_secs(30 * 60);
/// The most conversations that are looked into after a time away.
const RECENT_AT_MOST: i64 = 1000;
/// The most direct messages among them: each costs a call, since nobody tells which of them have something new.
const DIRECT_AT_MOST: i64 = 50;
/// The most turns of one start that people are told about as too old.
const OVERDUE_AT_MOST: i64 = 100;

/// How far a connection of the gateway was heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// Which connection.
    pub shard: u32,
    /// Of how many.
    pub shards: u32,
    /// Every message up to this one was looked at.
    pub message: MessageId,
}

/// Where the bot has spoken lately.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recent {
    /// All places.
    pub places: HashSet<ChannelId>,
    /// The direct messages among them, the latest first.
    pub direct: Vec<ChannelId>,
}

impl Store {
    /// Puts these marks in the place of all others.
    ///
    /// # Errors
    /// When the database cannot be written; then the marks of before are kept.
    pub async fn keep_marks(&self, marks: &[Mark], at: UnixMillis) -> Result<(), StoreError> {
        let mut tx = self.write().await?;
        sqlx::query("DELETE FROM marks").execute(&mut *tx).await?;
        for mark in marks {
            sqlx::query("INSERT INTO marks (shard, shards, message_id, at) VALUES (?, ?, ?, ?)")
                .bind(i64::from(mark.shard))
                .bind(i64::from(mark.shards))
                .bind(mark.message.0.cast_signed())
                .bind(at.0)
                .execute(&mut *tx)
                .await?;
        }
        Ok(tx.commit().await?)
    }

    /// The marks that were kept last. In a database from before there were any, the newest message that was answered is
    /// the mark of the only connection.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn marks(&self) -> Result<Vec<Mark>, StoreError> {
        let rows: Vec<(u32, u32, i64)> =
            sqlx::query_as("SELECT shard, shards, message_id FROM marks ORDER BY shard")
                .fetch_all(&self.reader)
                .await?;
        if rows.is_empty() {
            let newest: Option<i64> = sqlx::query_scalar("SELECT MAX(discord_message_id) FROM turns")
                .fetch_one(&self.reader)
                .await?;
            let mark = |id: i64| Mark { shard: 0, shards: 1, message: MessageId(id.cast_unsigned()) };
            return Ok(newest.map(mark).into_iter().collect());
        }
        let mark = |(shard, shards, id): (u32, u32, i64)| Mark {
            shard,
            shards,
            message: MessageId(id.cast_unsigned()),
        };
        Ok(rows.into_iter().map(mark).collect())
    }

    /// The process begins to serve. Says how many starts in a row before this one came to nothing: they were neither told of
    /// by [`Store::start_went_well`], nor was a turn answered after them.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn begin_start(&self, at: UnixMillis) -> Result<u32, StoreError> {
        let mut tx = self.write().await?;
        let before: Option<(i64, u32)> = sqlx::query_as(
            "SELECT at, CASE WHEN EXISTS (SELECT 1 FROM turns WHERE ended_at >= starts.at AND state = 'answered')
                             THEN 0 ELSE in_vain END FROM starts",
        )
        .fetch_optional(&mut *tx)
        .await?;
        let in_vain = match before {
            Some((before, in_vain)) if at.since(UnixMillis(before)) < LOOP_WITHIN => in_vain,
            Some(_) | None => 0,
        };
        sqlx::query("INSERT OR REPLACE INTO starts (id, at, in_vain) VALUES (1, ?, ?)")
            .bind(at.0)
            .bind(i64::from(in_vain) + 1)
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        Ok(in_vain)
    }

    /// The process has been of use, or ends as it should.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn start_went_well(&self) -> Result<(), StoreError> {
        sqlx::query("UPDATE starts SET in_vain = 0").execute(&self.writer).await?;
        Ok(())
    }

    /// Where the bot has spoken lately.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn recent_places(&self) -> Result<Recent, StoreError> {
        let of = |id: i64| ChannelId(id.cast_unsigned());
        let places: Vec<i64> =
            sqlx::query_scalar("SELECT id FROM conversations ORDER BY updated_at DESC LIMIT ?")
                .bind(RECENT_AT_MOST)
                .fetch_all(&self.reader)
                .await?;
        let direct: Vec<i64> = sqlx::query_scalar(
            "SELECT id FROM conversations WHERE place = 'dm' ORDER BY updated_at DESC LIMIT ?",
        )
        .bind(DIRECT_AT_MOST)
        .fetch_all(&self.reader)
        .await?;
        Ok(Recent {
            places: places.into_iter().map(of).collect(),
            direct: direct.into_iter().map(of).collect(),
        })
    }

    /// Those of `messages` that were claimed.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn claimed(&self, messages: &[MessageId]) -> Result<HashSet<MessageId>, StoreError> {
        let mut found = HashSet::new();
        for message in messages {
            let is_claimed: bool = sqlx::query_scalar(
                "SELECT EXISTS (SELECT 1 FROM turns WHERE discord_message_id = ?1)
                     OR EXISTS (SELECT 1 FROM joined WHERE message_id = ?1)",
            )
            .bind(message.0.cast_signed())
            .fetch_one(&self.reader)
            .await?;
            if is_claimed {
                found.insert(*message);
            }
        }
        Ok(found)
    }

    /// The first message of a conversation that was claimed: since then the bot takes part in it.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn first_claim(&self, channel: ChannelId) -> Result<Option<MessageId>, StoreError> {
        let first: Option<i64> =
            sqlx::query_scalar("SELECT MIN(discord_message_id) FROM turns WHERE conversation_id = ?")
                .bind(channel.0.cast_signed())
                .fetch_one(&self.reader)
                .await?;
        Ok(first.map(|it| MessageId(it.cast_unsigned())))
    }

    /// The newest turns that were received at or before a moment, had not ended, and are too old to be answered. The oldest
    /// of them come first.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn overdue(
        &self,
        older_than: UnixMillis,
        queued_after: UnixMillis,
    ) -> Result<Vec<Unfinished>, StoreError> {
        let mut rows: Vec<TurnRow> = sqlx::query_as(
            "SELECT id, discord_message_id, channel_id, guild_id, author_id, author_name, place, trigger, question,
                    replied_to, opening, wish, beside, received_at, question_id, ask_last, hooked,
                    (SELECT text FROM messages a WHERE a.turn_id = turns.id AND a.role = 'assistant') AS earlier
             FROM turns
             WHERE ended_at IS NULL AND state IN ('received', 'answering') AND received_at <= ?
               AND (received_at <= ? OR conversation_id NOT IN
                        (SELECT conversation_id FROM turns WHERE ended_at IS NULL AND state = 'queued'))
               AND question IS NOT NULL AND discord_message_id IS NOT NULL
             ORDER BY received_at DESC LIMIT ?",
        )
        .bind(older_than.0)
        .bind(queued_after.0)
        .bind(OVERDUE_AT_MOST)
        .fetch_all(&self.reader)
        .await?;
        rows.reverse();
        self.with_parts(rows).await
    }
}
