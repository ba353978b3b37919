//! What people change about what they said: more of a question, another wording, or that it was never said.

use super::{Store, StoreError, turn_rows::insert_question};
use crate::message::{ChannelId, Inbound, MessageId, TurnId, UnixMillis};
use sqlx::{Sqlite, Transaction};
use std::fmt;

/// What was known of a message that is gone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Retracted {
    /// Whether there was anything to forget.
    pub was_known: bool,
    /// The turn that it asked; its reply is to be deleted, see [`Store::retractions`].
    pub question_of: Option<TurnId>,
}

/// What came of another wording.
#[derive(Clone, PartialEq, Eq)]
pub enum Rewritten {
    /// The message is not remembered.
    Unknown,
    /// It says what it said.
    Same,
    /// Memory has the new words.
    Changed {
        /// The turn that it asks, and that turn's whole question; none when that has ended.
        running: Option<(TurnId, String)>,
    },
}

/// Without what was said.
impl fmt::Debug for Rewritten {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown => f.write_str("Unknown"),
            Self::Same => f.write_str("Same"),
            Self::Changed { running } => write!(f, "Changed({:?})", running.as_ref().map(|(turn, _)| turn)),
        }
    }
}

impl Store {
    /// Takes a deleted message out of memory: a question, also one in several messages, with its answer; an answer when any of
    /// its parts was deleted. A turn that was answering it has ended with that. One query when the message is not known.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn forget_message(&self, message: MessageId, at: UnixMillis) -> Result<Retracted, StoreError> {
        let id = message.0.cast_signed();
        let is_known: bool = sqlx::query_scalar(
            "SELECT EXISTS (SELECT 1 FROM messages WHERE discord_message_id = ?1)
                 OR EXISTS (SELECT 1 FROM turns WHERE discord_message_id = ?1)
                 OR EXISTS (SELECT 1 FROM turns WHERE question_id = ?1)
                 OR EXISTS (SELECT 1 FROM joined WHERE message_id = ?1)
                 OR EXISTS (SELECT 1 FROM reply_parts WHERE message_id = ?1)",
        )
        .bind(id)
        .fetch_one(&self.reader)
        .await?;
        if !is_known {
            return Ok(Retracted::default());
        }
        let mut tx = self.write().await?;
        let turn: Option<String> = sqlx::query_scalar(
            // Lines and messages belong to the newest turn that answers a question.
            "SELECT turn_id FROM messages WHERE discord_message_id = ?1 AND role = 'user' AND turn_id IS NOT NULL
             UNION ALL SELECT * FROM (SELECT id FROM turns WHERE question_id = ?1 ORDER BY received_at DESC LIMIT 1)
             UNION ALL SELECT id FROM turns WHERE discord_message_id = ?1 AND trigger <> 'command'
             UNION ALL SELECT turn_id FROM joined WHERE message_id = ?1 LIMIT 1",
        )
        .bind(id)
        .fetch_optional(&mut *tx)
        .await?;
        let ended = sqlx::query(
            "UPDATE turns SET question = NULL, replied_to = NULL, opening = NULL, retract = 1,
                    state = CASE WHEN ended_at IS NULL THEN 'cancelled' ELSE state END, ended_at = COALESCE(ended_at, ?2)
             WHERE id = ?1 AND (ended_at IS NULL OR EXISTS (SELECT 1 FROM reply_parts WHERE turn_id = ?1))",
        )
        .bind(&turn)
        .bind(at.0)
        .execute(&mut *tx)
        .await?;
        // The answer goes with its question by the foreign key, also when the turn is not kept any more.
        let lines = sqlx::query(
            "DELETE FROM messages WHERE discord_message_id = ?1 OR (role = 'user' AND turn_id = ?2) OR
                    (role = 'assistant' AND turn_id IN (SELECT turn_id FROM reply_parts WHERE message_id = ?1))",
        )
        .bind(id)
        .bind(&turn)
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        let was_known = lines.rows_affected() + ended.rows_affected() > 0;
        Ok(Retracted { was_known, question_of: turn.map(TurnId) })
    }

    /// Puts another wording in the place of what a person's message said. One query when nothing changes.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn rewrite_message(&self, message: MessageId, text: &str) -> Result<Rewritten, StoreError> {
        let id = message.0.cast_signed();
        let known: Option<(i64, String, Option<String>)> = sqlx::query_as(
            "SELECT id, text, turn_id FROM messages WHERE discord_message_id = ? AND role = 'user' ORDER BY id DESC LIMIT 1",
        )
        .bind(id)
        .fetch_optional(&self.reader)
        .await?;
        let (line, turn) = match known {
            None => return Ok(Rewritten::Unknown),
            Some((_, before, _)) if before == text => return Ok(Rewritten::Same),
            Some((line, _, turn)) => (line, turn),
        };
        let mut tx = self.write().await?;
        sqlx::query("UPDATE messages SET text = ? WHERE id = ?")
            .bind(text)
            .bind(line)
            .execute(&mut *tx)
            .await?;
        let question = match &turn {
            Some(turn) => whole_question(&mut tx, turn).await?,
            None => None,
        };
        tx.commit().await?;
        Ok(Rewritten::Changed { running: turn.map(TurnId).zip(question) })
    }

    /// Claims a further message of the same person for a turn, and adds it to its question. False when that turn has ended, or
    /// the message was claimed before.
    ///
    /// # Errors
    /// When the database cannot be written; then it is not claimed.
    pub async fn join(&self, turn: &TurnId, more: &Inbound) -> Result<bool, StoreError> {
        let mut tx = self.write().await?;
        let claimed = sqlx::query(
            "INSERT INTO joined (message_id, turn_id)
             SELECT ?1, id FROM turns WHERE id = ?2 AND ended_at IS NULL
                AND NOT EXISTS (SELECT 1 FROM turns WHERE discord_message_id = ?1)
             ON CONFLICT DO NOTHING",
        )
        .bind(more.message_id.0.cast_signed())
        .bind(&turn.0)
        .execute(&mut *tx)
        .await?;
        if claimed.rows_affected() == 0 {
            tx.rollback().await?;
            return Ok(false);
        }
        insert_question(&mut tx, more, turn).await?;
        whole_question(&mut tx, &turn.0).await?;
        tx.commit().await?;
        Ok(true)
    }

    /// Takes back what [`Store::join`] did: the answer was there before it.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn unjoin(&self, turn: &TurnId, message: MessageId) -> Result<(), StoreError> {
        let mut tx = self.write().await?;
        let id = message.0.cast_signed();
        sqlx::query("DELETE FROM joined WHERE message_id = ?").bind(id).execute(&mut *tx).await?;
        sqlx::query("DELETE FROM messages WHERE discord_message_id = ? AND role = 'user' AND turn_id = ?")
            .bind(id)
            .bind(&turn.0)
            .execute(&mut *tx)
            .await?;
        whole_question(&mut tx, &turn.0).await?;
        tx.commit().await?;
        Ok(())
    }

    /// The messages of replies whose questions were deleted, and that are still to be deleted: of one turn, or of all.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn retractions(
        &self,
        of: Option<&TurnId>,
    ) -> Result<Vec<(TurnId, ChannelId, MessageId)>, StoreError> {
        const AT_MOST: i64 = 1000;
        let rows: Vec<(String, i64, i64)> = sqlx::query_as(
            "SELECT t.id, t.channel_id, p.message_id FROM turns t JOIN reply_parts p ON p.turn_id = t.id
             WHERE t.retract = 1 AND (?1 IS NULL OR t.id = ?1) ORDER BY t.id, p.part LIMIT ?2",
        )
        .bind(of.map(|it| &it.0))
        .bind(AT_MOST)
        .fetch_all(&self.reader)
        .await?;
        let part = |(turn, channel, message): (String, i64, i64)| {
            (TurnId(turn), ChannelId(channel.cast_unsigned()), MessageId(message.cast_unsigned()))
        };
        Ok(rows.into_iter().map(part).collect())
    }

    /// The messages of a turn's reply are gone.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn retracted(&self, turn: &TurnId) -> Result<(), StoreError> {
        let mut tx = self.write().await?;
        sqlx::query("DELETE FROM reply_parts WHERE turn_id = ?").bind(&turn.0).execute(&mut *tx).await?;
        sqlx::query("UPDATE turns SET retract = 0 WHERE id = ?").bind(&turn.0).execute(&mut *tx).await?;
        tx.commit().await?;
        Ok(())
    }
}

/// Writes a running turn's question anew from its lines. None when it has ended.
async fn whole_question(
    tx: &mut Transaction<'static, Sqlite>,
    turn: &str,
) -> Result<Option<String>, sqlx::Error> {
    let question: Option<Option<String>> = sqlx::query_scalar(
        "UPDATE turns SET question = (SELECT group_concat(text, char(10)) FROM
                (SELECT text FROM messages WHERE turn_id = ?1 AND role = 'user' ORDER BY discord_message_id))
         WHERE id = ?1 AND ended_at IS NULL AND question IS NOT NULL RETURNING question",
    )
    .bind(turn)
    .fetch_optional(&mut **tx)
    .await?;
    Ok(question.flatten())
}
