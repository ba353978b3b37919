//! Which providers moderators switched off, and the audit log that every choice is written to.

use super::{Store, StoreError};
use crate::message::{ChannelId, GuildId, Speaker, UnixMillis, UserId};
use sqlx::{Sqlite, Transaction};

/// Who changes something, from where and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct By {
    /// The server that it holds for.
    pub guild_id: GuildId,
    /// The channel in which the command was given.
    pub channel_id: Option<ChannelId>,
    /// The moderator.
    pub user: Speaker,
    /// When.
    pub at: UnixMillis,
}

/// A provider that moderators switched off in a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disabled {
    /// Its name as configured.
    pub provider: String,
    /// When it comes back by itself; none: until further notice.
    pub until: Option<UnixMillis>,
    /// The moderator.
    pub by: UserId,
    /// Since when.
    pub created_at: UnixMillis,
}

impl Store {
    /// Switches a provider off in a server.
    ///
    /// # Errors
    /// When the database cannot be written; then nothing was changed.
    pub async fn disable(
        &self,
        provider: &str,
        until: Option<UnixMillis>,
        by: &By,
    ) -> Result<(), StoreError> {
        let mut tx = self.write().await?;
        sqlx::query(
            "INSERT INTO disabled_providers (guild_id, provider, until, by_user, created_at) VALUES (?, ?, ?, ?, ?)
             ON CONFLICT (guild_id, provider) DO UPDATE SET until = excluded.until, by_user = excluded.by_user,
                 created_at = excluded.created_at",
        )
        .bind(by.guild_id.0.cast_signed())
        .bind(provider)
        .bind(until.map(|it| it.0))
        .bind(by.user.id.0.cast_signed())
        .bind(by.at.0)
        .execute(&mut *tx)
        .await?;
        audit(&mut tx, by, "disable", &format!("{provider}{}", span(until))).await?;
        Ok(tx.commit().await?)
    }

    /// Switches a provider on again. Says whether it was off.
    ///
    /// # Errors
    /// When the database cannot be written; then nothing was changed.
    pub async fn enable(&self, provider: &str, by: &By) -> Result<bool, StoreError> {
        let mut tx = self.write().await?;
        let gone = sqlx::query("DELETE FROM disabled_providers WHERE guild_id = ? AND provider = ?")
            .bind(by.guild_id.0.cast_signed())
            .bind(provider)
            .execute(&mut *tx)
            .await?;
        if gone.rows_affected() == 0 {
            tx.rollback().await?;
            return Ok(false);
        }
        audit(&mut tx, by, "enable", provider).await?;
        tx.commit().await?;
        Ok(true)
    }

    /// The providers that are off in a server now, by name.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn disabled_in(&self, guild: GuildId, now: UnixMillis) -> Result<Vec<Disabled>, StoreError> {
        let rows: Vec<(String, Option<i64>, i64, i64)> = sqlx::query_as(
            "SELECT provider, until, by_user, created_at FROM disabled_providers
             WHERE guild_id = ? AND (until IS NULL OR until > ?) ORDER BY provider",
        )
        .bind(guild.0.cast_signed())
        .bind(now.0)
        .fetch_all(&self.reader)
        .await?;
        let read = |(provider, until, by, created_at): (String, Option<i64>, i64, i64)| Disabled {
            provider,
            until: until.map(UnixMillis),
            by: UserId(by.cast_unsigned()),
            created_at: UnixMillis(created_at),
        };
        Ok(rows.into_iter().map(read).collect())
    }
}

/// Writes a change down, in the transaction that makes it.
pub(super) async fn audit(
    tx: &mut Transaction<'static, Sqlite>,
    by: &By,
    action: &str,
    detail: &str,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO audit (guild_id, channel_id, by_user, by_name, action, detail, at) VALUES (?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(by.guild_id.0.cast_signed())
    .bind(by.channel_id.map(|it| it.0.cast_signed()))
    .bind(by.user.id.0.cast_signed())
    .bind(&by.user.name)
    .bind(action)
    .bind(detail)
    .bind(by.at.0)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Milliseconds since 1970, as everywhere in the tables: who shows it knows the reader's clock.
pub(super) fn span(until: Option<UnixMillis>) -> String {
    until.map_or_else(String::new, |it| format!(", until {}", it.0))
}
