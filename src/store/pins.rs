//! Pins: which provider moderators put first in a channel or server.

use super::{
    By, Store, StoreError,
    choices::{audit, span},
    words::unknown,
};
use crate::message::{ChannelId, GuildId, UnixMillis, UserId};

/// Where a pin holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scope {
    /// In one channel; it comes before the server's.
    Channel(ChannelId),
    /// In the whole server.
    Server(GuildId),
}

impl Scope {
    fn word(self) -> &'static str {
        match self {
            Self::Channel(_) => "channel",
            Self::Server(_) => "server",
        }
    }

    fn id(self) -> i64 {
        match self {
            Self::Channel(it) => it.0.cast_signed(),
            Self::Server(it) => it.0.cast_signed(),
        }
    }
}

/// A moderator's choice of provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pin {
    /// Where it holds.
    pub scope: Scope,
    /// The server.
    pub guild_id: GuildId,
    /// The provider that comes first.
    pub provider: String,
    /// Whether it is the only one: no fallback.
    pub strict: bool,
    /// When it ends by itself; none: until further notice.
    pub until: Option<UnixMillis>,
    /// The moderator.
    pub by: UserId,
    /// Since when.
    pub created_at: UnixMillis,
}

impl Store {
    /// Puts a provider first in a channel or server, instead of the one pinned there before.
    ///
    /// # Errors
    /// When the database cannot be written; then nothing was changed.
    pub async fn pin(
        &self,
        scope: Scope,
        provider: &str,
        strict: bool,
        until: Option<UnixMillis>,
        by: &By,
    ) -> Result<(), StoreError> {
        let mut tx = self.write().await?;
        sqlx::query(
            "INSERT INTO pins (scope, scope_id, guild_id, provider, strict, until, by_user, created_at)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?)
             ON CONFLICT (scope, scope_id) DO UPDATE SET guild_id = excluded.guild_id, provider = excluded.provider,
                 strict = excluded.strict, until = excluded.until, by_user = excluded.by_user,
                 created_at = excluded.created_at",
        )
        .bind(scope.word())
        .bind(scope.id())
        .bind(by.guild_id.0.cast_signed())
        .bind(provider)
        .bind(i64::from(strict))
        .bind(until.map(|it| it.0))
        .bind(by.user.id.0.cast_signed())
        .bind(by.at.0)
        .execute(&mut *tx)
        .await?;
        let strictly = if strict { ", strict" } else { "" };
        audit(&mut tx, by, "pin", &format!("{provider}, {}{}{strictly}", place(scope), span(until))).await?;
        Ok(tx.commit().await?)
    }

    /// Takes the pin of a channel or server away. Says whether there was one.
    ///
    /// # Errors
    /// When the database cannot be written; then nothing was changed.
    pub async fn unpin(&self, scope: Scope, by: &By) -> Result<bool, StoreError> {
        let mut tx = self.write().await?;
        let gone = sqlx::query("DELETE FROM pins WHERE scope = ? AND scope_id = ? AND guild_id = ?")
            .bind(scope.word())
            .bind(scope.id())
            .bind(by.guild_id.0.cast_signed())
            .execute(&mut *tx)
            .await?;
        if gone.rows_affected() == 0 {
            tx.rollback().await?;
            return Ok(false);
        }
        audit(&mut tx, by, "unpin", &place(scope)).await?;
        tx.commit().await?;
        Ok(true)
    }

    /// The pin that holds in a channel now: its own, else the server's.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn pin_for(
        &self,
        channel: ChannelId,
        guild: Option<GuildId>,
        now: UnixMillis,
    ) -> Result<Option<Pin>, StoreError> {
        let row: Option<PinRow> = sqlx::query_as(
            "SELECT scope, scope_id, guild_id, provider, strict, until, by_user, created_at FROM pins
             WHERE ((scope = 'channel' AND scope_id = ?) OR (scope = 'server' AND scope_id = ?))
               AND (until IS NULL OR until > ?)
             ORDER BY scope LIMIT 1",
        )
        .bind(channel.0.cast_signed())
        .bind(guild.map(|it| it.0.cast_signed()))
        .bind(now.0)
        .fetch_optional(&self.reader)
        .await?;
        Ok(row.map(PinRow::pin).transpose()?)
    }
}

fn place(scope: Scope) -> String {
    match scope {
        Scope::Channel(it) => format!("in channel {it}"),
        Scope::Server(_) => "in the server".to_owned(),
    }
}

#[derive(sqlx::FromRow)]
struct PinRow {
    scope: String,
    scope_id: i64,
    guild_id: i64,
    provider: String,
    strict: bool,
    until: Option<i64>,
    by_user: i64,
    created_at: i64,
}

impl PinRow {
    fn pin(self) -> Result<Pin, sqlx::Error> {
        let id = self.scope_id.cast_unsigned();
        let scope = match self.scope.as_str() {
            "channel" => Scope::Channel(ChannelId(id)),
            "server" => Scope::Server(GuildId(id)),
            _ => return Err(unknown("scope")),
        };
        Ok(Pin {
            scope,
            guild_id: GuildId(self.guild_id.cast_unsigned()),
            provider: self.provider,
            strict: self.strict,
            until: self.until.map(UnixMillis),
            by: UserId(self.by_user.cast_unsigned()),
            created_at: UnixMillis(self.created_at),
        })
    }
}
