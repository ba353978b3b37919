//! What a command that was given and a button that was pressed have in common: who did it, where, and the way to answer.

use super::{
    inbound,
    rest::{ApplicationId, Hook, InteractionId},
};
use crate::message::{ChannelId, GuildId, Speaker, UserId};
use secrecy::SecretString;
use serenity::{
    all::{CommandInteraction, ComponentInteraction, Member, User},
    model::Permissions,
};

/// A command or a press.
#[derive(Clone, Copy)]
pub(crate) struct Given<'a> {
    /// Its id.
    pub(crate) id: InteractionId,
    /// Where it was given.
    pub(crate) channel: ChannelId,
    /// On which server; none in a direct message.
    pub(crate) guild: Option<GuildId>,
    application: ApplicationId,
    token: &'a str,
    user: &'a User,
    member: Option<&'a Member>,
}

macro_rules! read {
    ($kind:ty, $member:ident) => {
        impl<'a> From<&'a $kind> for Given<'a> {
            fn from(it: &'a $kind) -> Self {
                Self {
                    id: InteractionId(it.id.get()),
                    channel: ChannelId(it.channel_id.get()),
                    guild: it.guild_id.map(|it| GuildId(it.get())),
                    application: ApplicationId(it.application_id.get()),
                    token: &it.token,
                    user: &it.user,
                    member: it.member.$member(),
                }
            }
        }
    };
}

read!(CommandInteraction, as_deref);
read!(ComponentInteraction, as_ref);

impl Given<'_> {
    /// Whose it is.
    pub(crate) fn user(&self) -> UserId {
        UserId(self.user.id.get())
    }

    /// Whose it is, by the name that people see.
    pub(crate) fn speaker(&self) -> Speaker {
        inbound::speaker(self.user, self.member.and_then(|it| it.nick.as_deref()))
    }

    /// The roles of whose it is; none outside of servers.
    pub(crate) fn roles(&self) -> impl Iterator<Item = u64> {
        self.member.into_iter().flat_map(|it| &it.roles).map(|it| it.get())
    }

    /// Whether the person has one of these permissions there, or all; nobody has any outside of servers.
    pub(crate) fn may_any(&self, wanted: Permissions) -> bool {
        let has = self.member.and_then(|it| it.permissions).unwrap_or_default();
        has.intersects(wanted | Permissions::ADMINISTRATOR)
    }

    /// Whether the person looks after what others say there: may manage its messages or the server.
    pub(crate) fn is_moderator(&self) -> bool {
        self.may_any(Permissions::MANAGE_MESSAGES | Permissions::MANAGE_GUILD)
    }

    /// The token that the first answer goes with.
    pub(crate) fn token(&self) -> SecretString {
        SecretString::from(self.token)
    }

    /// The way to the answers; `is_ephemeral`: only this person sees them.
    pub(crate) fn hook(&self, is_ephemeral: bool) -> Hook {
        Hook { application: self.application, token: self.token(), is_ephemeral }
    }
}
