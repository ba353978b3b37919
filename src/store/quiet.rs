//! Forum posts in which the bot is quiet until it is called, and what Discord has of its commands.

use super::{Store, StoreError};
use crate::message::{ChannelId, ConversationId, GuildId, UnixMillis, UserId};

/// Why the bot is quiet in a forum post.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quiet {
    /// It is solved.
    Solved,
    /// A person helps there.
    Helped,
}

impl Quiet {
    const fn word(self) -> &'static str {
        match self {
            Self::Solved => "solved",
            Self::Helped => "helped",
        }
    }
}

impl Store {
    /// Whether the bot is quiet in a post, and why.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn quiet_in(&self, post: ChannelId) -> Result<Option<Quiet>, StoreError> {
        let why: Option<String> = sqlx::query_scalar("SELECT why FROM quiet_posts WHERE channel_id = ?")
            .bind(post.0.cast_signed())
            .fetch_optional(&self.reader)
            .await?;
        Ok(why.map(|it| if it == Quiet::Solved.word() { Quiet::Solved } else { Quiet::Helped }))
    }

    /// Makes the bot quiet in a post. Says whether that is new; a solved post stays solved.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn be_quiet_in(&self, post: ChannelId, why: Quiet, at: UnixMillis) -> Result<bool, StoreError> {
        let done = sqlx::query(
            "INSERT INTO quiet_posts (channel_id, why, at) VALUES (?, ?, ?)
             ON CONFLICT (channel_id) DO UPDATE SET why = excluded.why, at = excluded.at
             WHERE why = 'helped' AND excluded.why = 'solved'",
        )
        .bind(post.0.cast_signed())
        .bind(why.word())
        .bind(at.0)
        .execute(&self.writer)
        .await?;
        Ok(done.rows_affected() > 0)
    }

    /// Whether the bot remembers here what anybody else than `user` said to it, since the last reset.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn others_spoke(&self, conversation: ConversationId, user: UserId) -> Result<bool, StoreError> {
        let others = sqlx::query_scalar(
            "SELECT EXISTS (SELECT 1 FROM messages m JOIN conversations c ON c.id = m.conversation_id
             WHERE c.id = ? AND m.role = 'user' AND m.author_id <> ? AND m.id > c.cleared_through)",
        )
        .bind(conversation.0.0.cast_signed())
        .bind(user.0.cast_signed())
        .fetch_one(&self.reader)
        .await?;
        Ok(others)
    }

    /// The places in which commands of an application are registered, each with what it has; no server: everywhere.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn registered(&self, application: u64) -> Result<Vec<(Option<GuildId>, String)>, StoreError> {
        let rows: Vec<(i64, String)> = sqlx::query_as(
            "SELECT guild_id, fingerprint FROM registered_commands WHERE application_id = ? ORDER BY guild_id",
        )
        .bind(application.cast_signed())
        .fetch_all(&self.reader)
        .await?;
        let read = |(guild, fingerprint): (i64, String)| {
            ((guild != 0).then(|| GuildId(guild.cast_unsigned())), fingerprint)
        };
        Ok(rows.into_iter().map(read).collect())
    }

    /// Notes what Discord has of an application's commands in a place; none: nothing any more.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn note_registered(
        &self,
        application: u64,
        guild: Option<GuildId>,
        fingerprint: Option<&str>,
        at: UnixMillis,
    ) -> Result<(), StoreError> {
        let guild = guild.map_or(0, |it| it.0.cast_signed());
        let query = match fingerprint {
            Some(_) => {
                "INSERT INTO registered_commands (application_id, guild_id, fingerprint, at) VALUES (?1, ?2, ?3, ?4)
                 ON CONFLICT DO UPDATE SET fingerprint = excluded.fingerprint, at = excluded.at"
            }
            None => "DELETE FROM registered_commands WHERE application_id = ?1 AND guild_id = ?2",
        };
        let query = sqlx::query(query).bind(application.cast_signed()).bind(guild);
        let query = if fingerprint.is_some() { query.bind(fingerprint).bind(at.0) } else { query };
        query.execute(&self.writer).await?;
        Ok(())
    }
}
