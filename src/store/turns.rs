//! Turns: each message is claimed once, and ends once.

use super::{
    Resumption, Store, StoreError,
    turn_rows::{TurnRow, insert_answer, insert_question, insert_turn, touch_conversation},
};
use crate::message::{Inbound, MessageId, TurnId, UnixMillis};
use std::fmt;

/// The most unfinished turns that are given back after a restart; more would be a flood, not a conversation.
const UNFINISHED_AT_MOST: i64 = 1000;

/// What became of the wish to answer a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "only a new turn may be answered"]
pub enum Claim {
    /// It is ours to answer.
    New,
    /// It was claimed before: a replay by the gateway, or a duplicate.
    Duplicate,
    /// Another turn has this id: draw a new one and claim again.
    IdTaken,
}

/// How a turn ended.
#[derive(Clone, PartialEq, Eq)]
pub enum End {
    /// With a whole answer.
    Answered {
        /// The provider's name.
        provider: String,
        /// The answer as the model wrote it, without the footer.
        text: String,
    },
    /// With an apology. What was shown before it is not remembered: half an answer is none.
    Failed {
        /// The provider that came last, if any was asked.
        provider: Option<String>,
        /// A machine word, such as a failure class; never text of people or vendors.
        error: String,
    },
    /// Somebody stopped it, or deleted the question.
    Cancelled,
    /// It was too old to be answered.
    Expired,
}

impl End {
    /// The word for it in `turns.state` and the metrics.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Answered { .. } => "answered",
            Self::Failed { .. } => "failed",
            Self::Cancelled => "cancelled",
            Self::Expired => "expired",
        }
    }

    fn provider(&self) -> Option<&str> {
        match self {
            Self::Answered { provider, .. } => Some(provider),
            Self::Failed { provider, .. } => provider.as_deref(),
            Self::Cancelled | Self::Expired => None,
        }
    }

    fn error(&self) -> Option<&str> {
        match self {
            Self::Failed { error, .. } => Some(error),
            Self::Answered { .. } | Self::Cancelled | Self::Expired => None,
        }
    }
}

/// Without the answer's text.
impl fmt::Debug for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "End({}, provider: {:?}, error: {:?})", self.as_str(), self.provider(), self.error())
    }
}

/// A turn that had not ended when the process did.
#[derive(Clone, PartialEq, Eq)]
pub struct Unfinished {
    /// Its id.
    pub turn: TurnId,
    /// What to answer.
    pub inbound: Inbound,
    /// The messages that already show a part of the answer, by their place in it.
    pub parts: Vec<(u32, MessageId)>,
    /// Of a turn that asks once more.
    pub again: Option<Resumption>,
}

/// Without the question's text.
impl fmt::Debug for Unfinished {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Unfinished({}, message {}, parts: {:?})", self.turn, self.inbound.message_id, self.parts)
    }
}

impl Store {
    /// The turns whose messages were received at or after a moment, in the order in which they were claimed.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn turns_since(&self, since: UnixMillis) -> Result<Vec<TurnId>, StoreError> {
        let rows: Vec<(String,)> =
            sqlx::query_as("SELECT id FROM turns WHERE received_at >= ? ORDER BY rowid")
                .bind(since.0)
                .fetch_all(&self.reader)
                .await?;
        Ok(rows.into_iter().map(|(id,)| TurnId(id)).collect())
    }

    /// Claims a message for a turn, and stores the question, before anything is done about it.
    ///
    /// # Errors
    /// When the database cannot be written; then the message must not be answered.
    pub async fn claim(&self, inbound: &Inbound, turn: &TurnId) -> Result<Claim, StoreError> {
        let mut tx = self.write().await?;
        touch_conversation(&mut tx, inbound).await?;
        if insert_turn(&mut tx, inbound, turn).await? {
            insert_question(&mut tx, inbound, turn).await?;
            tx.commit().await?;
            return Ok(Claim::New);
        }
        let same: bool = sqlx::query_scalar(
            "SELECT EXISTS (SELECT 1 FROM turns WHERE discord_message_id = ?1)
                     OR EXISTS (SELECT 1 FROM joined WHERE message_id = ?1)",
        )
        .bind(inbound.message_id.0.cast_signed())
        .fetch_one(&mut *tx)
        .await?;
        tx.rollback().await?;
        Ok(if same { Claim::Duplicate } else { Claim::IdTaken })
    }

    /// Notes that a turn is being answered. Says false when it has ended already.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn set_answering(&self, turn: &TurnId) -> Result<bool, StoreError> {
        let done = sqlx::query("UPDATE turns SET state = 'answering' WHERE id = ? AND ended_at IS NULL")
            .bind(&turn.0)
            .execute(&self.writer)
            .await?;
        Ok(done.rows_affected() > 0)
    }

    /// Notes the message that shows a part of the answer, so that a restart goes on in it. Parts count from 0.
    ///
    /// # Errors
    /// When the database cannot be written, or there is no such turn.
    pub async fn note_part(&self, turn: &TurnId, part: u32, message: MessageId) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO reply_parts (turn_id, part, message_id) VALUES (?, ?, ?)
             ON CONFLICT (turn_id, part) DO UPDATE SET message_id = excluded.message_id",
        )
        .bind(&turn.0)
        .bind(i64::from(part))
        .bind(message.0.cast_signed())
        .execute(&self.writer)
        .await?;
        Ok(())
    }

    /// Ends a turn, and remembers the answer, all at once. Says false, and changes nothing, when it had ended before. An
    /// answer whose question was forgotten meanwhile is not remembered either.
    ///
    /// # Errors
    /// When the database cannot be written; then the turn is still unfinished.
    pub async fn finish(&self, turn: &TurnId, end: &End, at: UnixMillis) -> Result<bool, StoreError> {
        let mut tx = self.write().await?;
        let ended = sqlx::query(
            "UPDATE turns SET state = ?, provider = ?, error = ?, ended_at = ?,
                    question = NULL, replied_to = NULL, opening = NULL
             WHERE id = ? AND ended_at IS NULL",
        )
        .bind(end.as_str())
        .bind(end.provider())
        .bind(end.error())
        .bind(at.0)
        .bind(&turn.0)
        .execute(&mut *tx)
        .await?;
        if ended.rows_affected() == 0 {
            tx.rollback().await?;
            return Ok(false);
        }
        if let End::Answered { text, .. } = end {
            insert_answer(&mut tx, turn, text, at).await?;
        }
        tx.commit().await?;
        Ok(true)
    }

    /// The turns to finish after a restart, oldest first: received between the two moments, not ended, question not forgotten.
    /// Those that are queued are among them however old they are, since people were promised an answer; and those of the same
    /// conversation that wait behind them, if they came after `queued_after`.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn unfinished(
        &self,
        newer_than: UnixMillis,
        queued_after: UnixMillis,
        older_than: UnixMillis,
    ) -> Result<Vec<Unfinished>, StoreError> {
        let rows: Vec<TurnRow> = sqlx::query_as(
            "SELECT id, discord_message_id, channel_id, guild_id, author_id, author_name, place, trigger, question,
                    replied_to, opening, wish, beside, received_at, question_id, ask_last, hooked,
                    (SELECT text FROM messages a WHERE a.turn_id = turns.id AND a.role = 'assistant') AS earlier
             FROM turns
             WHERE ended_at IS NULL AND received_at < ?
               AND (state = 'queued' OR received_at > ? OR received_at > ? AND conversation_id IN
                        (SELECT conversation_id FROM turns WHERE ended_at IS NULL AND state = 'queued'))
               AND question IS NOT NULL AND discord_message_id IS NOT NULL
               AND (question_id IS NULL OR EXISTS
                    (SELECT 1 FROM messages q WHERE q.turn_id = turns.id AND q.role = 'user'))
             ORDER BY received_at, discord_message_id LIMIT ?",
        )
        .bind(older_than.0)
        .bind(newer_than.0)
        .bind(queued_after.0)
        .bind(UNFINISHED_AT_MOST)
        .fetch_all(&self.reader)
        .await?;
        self.with_parts(rows).await
    }

    /// Ends the turns received at or before `older_than` that nobody will finish any more (see [`Self::unfinished`]). Says how
    /// many.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn expire_unfinished(
        &self,
        older_than: UnixMillis,
        queued_after: UnixMillis,
        at: UnixMillis,
    ) -> Result<u64, StoreError> {
        let done = sqlx::query(
            "UPDATE turns SET state = 'expired', ended_at = ?, question = NULL, replied_to = NULL, opening = NULL
             WHERE ended_at IS NULL AND state IN ('received', 'answering') AND received_at <= ?
               AND (received_at <= ? OR conversation_id NOT IN
                        (SELECT conversation_id FROM turns WHERE ended_at IS NULL AND state = 'queued'))",
        )
        .bind(at.0)
        .bind(older_than.0)
        .bind(queued_after.0)
        .execute(&self.writer)
        .await?;
        Ok(done.rows_affected())
    }
}
