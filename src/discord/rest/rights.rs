//! What REST tells of roles and overwrites: for `check`, which hears no gateway.

use super::{Rest, RestError};
use crate::{
    discord::{
        access::ChannelRights,
        permissions::{Mine, Overwrite, Server},
    },
    message::{ChannelId, GuildId, UnixMillis, UserId},
};
use serde::Deserialize;
use serenity::model::Permissions;

/// Discord's numbers for forums and media channels.
const POSTS_ONLY: [u8; 2] = [15, 16];

#[derive(Deserialize)]
struct Channel {
    #[serde(rename = "type")]
    kind: u8,
    #[serde(default)]
    guild_id: Option<String>,
    #[serde(default)]
    permission_overwrites: Vec<Exception>,
}

#[derive(Deserialize)]
struct Exception {
    id: String,
    allow: Permissions,
    deny: Permissions,
}

#[derive(Deserialize)]
struct Guild {
    owner_id: String,
    roles: Vec<Role>,
}

#[derive(Deserialize)]
struct Role {
    id: String,
    permissions: Permissions,
}

#[derive(Deserialize)]
struct Member {
    #[serde(default)]
    roles: Vec<String>,
    #[serde(default)]
    communication_disabled_until: Option<serenity::model::Timestamp>,
}

/// An id as Discord writes it. One that cannot be read is nobody's.
fn id(text: &str) -> u64 {
    text.parse().unwrap_or(0)
}

impl Rest {
    /// A channel's server and exceptions.
    ///
    /// # Errors
    /// See [`RestError`]; `Forbidden` when the bot does not see it.
    pub(in crate::discord) async fn channel_rights(
        &self,
        channel: ChannelId,
    ) -> Result<ChannelRights, RestError> {
        let it: Channel = self.get(format!("channels/{channel}")).await?;
        let of = |it: Exception| Overwrite { id: id(&it.id), allow: it.allow, deny: it.deny };
        Ok(ChannelRights {
            guild: it.guild_id.map(|it| GuildId(id(&it))),
            has_threads_only: POSTS_ONLY.contains(&it.kind),
            overwrites: it.permission_overwrites.into_iter().map(of).collect(),
        })
    }

    /// A server's owner and roles.
    ///
    /// # Errors
    /// See [`RestError`].
    pub(in crate::discord) async fn server_rights(&self, guild: GuildId) -> Result<Server, RestError> {
        let it: Guild = self.get(format!("guilds/{guild}")).await?;
        let roles = it.roles.iter().map(|it| (id(&it.id), it.permissions)).collect();
        Ok(Server { owner: id(&it.owner_id), roles })
    }

    /// A member's roles.
    ///
    /// # Errors
    /// See [`RestError`].
    pub(in crate::discord) async fn member_rights(
        &self,
        guild: GuildId,
        user: UserId,
    ) -> Result<Mine, RestError> {
        let it: Member = self.get(format!("guilds/{guild}/members/{user}")).await?;
        Ok(Mine {
            roles: it.roles.iter().map(|it| id(it)).collect(),
            silent_until: it.communication_disabled_until.map(|it| UnixMillis(it.timestamp_millis())),
        })
    }
}
