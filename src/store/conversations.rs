//! Conversations: what was said in a place, as far as it is remembered.

use super::{Store, StoreError, words::Word};
use crate::message::{ChannelId, ConversationId, MessageId, Role, TurnId, UnixMillis, UserId};
use std::fmt;

/// A line of a conversation as it is stored.
#[derive(Clone, PartialEq, Eq)]
pub struct StoredLine {
    /// Who is speaking.
    pub role: Role,
    /// The person; none for the bot.
    pub author_id: Option<UserId>,
    /// The person's name at that time; none for the bot.
    pub author_name: Option<String>,
    /// What was said; for the bot the whole answer, however many messages show it.
    pub text: String,
    /// The message on Discord; for an answer the one with its first part, none when it was never posted.
    pub message_id: Option<MessageId>,
    /// The turn it belongs to, while that is kept.
    pub turn: Option<TurnId>,
    /// When it was received, or the answer was whole.
    pub created_at: UnixMillis,
    /// The message that it replies to, if that is known; for an answer its question, where one line was looked for.
    pub replied_to: Option<MessageId>,
}

/// Without what was said.
impl fmt::Debug for StoredLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StoredLine({:?}, message {:?}, {} bytes)", self.role, self.message_id, self.text.len())
    }
}

impl Store {
    /// The last `limit` lines of a conversation, oldest first, each answer right behind its question: what was asked
    /// before the question of `before` (everything without it), and after the last reset.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn recent(
        &self,
        conversation: ConversationId,
        before: Option<&TurnId>,
        limit: u32,
    ) -> Result<Vec<StoredLine>, StoreError> {
        let rows: Vec<LineRow> = sqlx::query_as(
            "SELECT m.role, m.author_id, m.author_name, m.text, m.discord_message_id, m.turn_id, m.created_at, m.replied_to
             FROM messages m
             WHERE m.conversation_id = ?1
               AND COALESCE(m.answers, m.id) > (SELECT cleared_through FROM conversations WHERE id = ?1)
               AND NOT EXISTS (SELECT 1 FROM messages q JOIN opt_outs o ON o.user_id = q.author_id
                               WHERE q.id = COALESCE(m.answers, m.id))
               AND COALESCE(m.answers, m.id) < COALESCE(
                     (SELECT MIN(q.id) FROM messages q WHERE q.turn_id = ?2 AND q.role = 'user'), 9223372036854775807)
             ORDER BY COALESCE(m.answers, m.id) DESC, m.id DESC LIMIT ?3",
        )
        .bind(conversation.0.0.cast_signed())
        .bind(before.map(|it| it.0.as_str()))
        .bind(i64::from(limit))
        .fetch_all(&self.reader)
        .await?;
        Ok(rows.into_iter().rev().map(LineRow::line).collect::<Result<_, _>>()?)
    }

    /// Forgets what was said so far (`/reset`): it is not in the context any more, and goes when its time is over. Answers
    /// that are being made to it belong to it. Says how many lines went out of the context.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn clear(&self, conversation: ConversationId, at: UnixMillis) -> Result<u64, StoreError> {
        let mut tx = self.write().await?;
        let id = conversation.0.0.cast_signed();
        let lines: i64 = sqlx::query_scalar(
            "SELECT COUNT(*) FROM messages m JOIN conversations c ON c.id = m.conversation_id
             WHERE c.id = ? AND COALESCE(m.answers, m.id) > c.cleared_through",
        )
        .bind(id)
        .fetch_one(&mut *tx)
        .await?;
        sqlx::query(
            "UPDATE conversations SET cleared_at = ?, updated_at = ?,
                    cleared_through = COALESCE((SELECT MAX(id) FROM messages WHERE conversation_id = ?), cleared_through)
             WHERE id = ?",
        )
        .bind(at.0)
        .bind(at.0)
        .bind(id)
        .bind(id)
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(super::count(lines))
    }

    /// Whether the bot takes part in the conversation in this channel: it was asked there before.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn is_ours(&self, channel: ChannelId) -> Result<bool, StoreError> {
        let ours = sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM turns WHERE conversation_id = ?)")
            .bind(channel.0.cast_signed())
            .fetch_one(&self.reader)
            .await?;
        Ok(ours)
    }

    /// What a message says, if it is remembered; for any part of an answer the whole answer.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn find(&self, message: MessageId) -> Result<Option<StoredLine>, StoreError> {
        let row: Option<LineRow> = sqlx::query_as(
            "SELECT role, author_id, author_name, text, discord_message_id, turn_id, created_at,
                    COALESCE(replied_to, (SELECT q.discord_message_id FROM messages q WHERE q.id = m.answers)) AS replied_to
             FROM messages m
             WHERE discord_message_id = ?1 OR
                   (role = 'assistant' AND turn_id IN (SELECT turn_id FROM reply_parts WHERE message_id = ?1))
             ORDER BY id DESC LIMIT 1",
        )
        .bind(message.0.cast_signed())
        .fetch_optional(&self.reader)
        .await?;
        Ok(row.map(LineRow::line).transpose()?)
    }
}

#[derive(sqlx::FromRow)]
struct LineRow {
    role: String,
    author_id: Option<i64>,
    author_name: Option<String>,
    text: String,
    discord_message_id: Option<i64>,
    turn_id: Option<String>,
    created_at: i64,
    replied_to: Option<i64>,
}

impl LineRow {
    fn line(self) -> Result<StoredLine, sqlx::Error> {
        Ok(StoredLine {
            role: Role::read("role", &self.role)?,
            author_id: self.author_id.map(|it| UserId(it.cast_unsigned())),
            author_name: self.author_name,
            text: self.text,
            message_id: self.discord_message_id.map(|it| MessageId(it.cast_unsigned())),
            turn: self.turn_id.map(TurnId),
            created_at: UnixMillis(self.created_at),
            replied_to: self.replied_to.map(|it| MessageId(it.cast_unsigned())),
        })
    }
}
