//! Looks whether the bot may do what it is about to do, and names to moderators what is missing.

use super::{
    Door,
    given::Given,
    permissions::{Access, Overwrite, in_channel},
    rest::{Rest, RestError},
};
use crate::{
    chat::lacking::{Effect, Lacking, lacking},
    message::{ChannelId, GuildId, UnixMillis, UserId},
};
use serenity::{
    all::{CommandInteraction, Message},
    model::Permissions,
};
use tracing::warn;

impl Door {
    /// Whether the bot may answer a message; if not, the log says so, once a channel. What is not known Discord decides.
    pub(super) fn may_answer(&self, message: &Message) -> bool {
        let Some(guild) = message.guild_id.map(|it| GuildId(it.get())) else { return true };
        let channel = ChannelId(message.channel_id.get());
        let missing = self.access(guild, channel).map_or(Permissions::empty(), Access::missing_to_answer);
        if !missing.is_empty() && self.inner.places.rights.refuse(guild, channel) {
            warn!(%channel, %guild, %missing, "questions in a channel are not answered: the bot lacks permissions there");
        }
        missing.is_empty()
    }

    /// Whether a file can go with an answer.
    pub(super) fn may_attach(&self, guild: GuildId, channel: ChannelId) -> bool {
        self.access(guild, channel).is_none_or(|it| it.may.contains(Permissions::ATTACH_FILES))
    }

    /// What the bot may do in a channel or thread; none when too little is known.
    fn access(&self, guild: GuildId, channel: ChannelId) -> Option<Access> {
        let me = *self.inner.me.get()?;
        self.inner.places.access(guild, channel, me, UnixMillis::now())
    }

    /// What moderators are told of permissions that are missing: where they ask, in configured channels, and where somebody asked in
    /// vain. Nothing for others, and when nothing is missing.
    pub(super) fn lacking(&self, it: &CommandInteraction) -> String {
        let by = Given::from(it);
        let Some(guild) = by.guild.filter(|_| by.may_any(Permissions::MANAGE_GUILD)) else {
            return String::new();
        };
        let settings = &self.inner.settings.chat;
        let mut channels = vec![by.channel];
        channels.extend(settings.channels.iter().chain(&settings.forums).map(|it| ChannelId(*it)));
        channels.extend(self.inner.places.rights.refused(guild));
        let mut seen = Vec::new();
        channels.retain(|it| {
            !seen.contains(it) && {
                seen.push(*it);
                true
            }
        });
        let of = |channel| self.access(guild, channel).into_iter().flat_map(move |it| missing(channel, it));
        lacking(&channels.into_iter().flat_map(of).collect::<Vec<_>>())
    }
}

/// What is missing in a channel, and what follows from it (pure).
fn missing(channel: ChannelId, access: Access) -> Vec<Lacking> {
    let to_answer = access.missing_to_answer();
    if !to_answer.is_empty() {
        return vec![Lacking { channel, names: to_answer.to_string(), effect: Effect::NoAnswers }];
    }
    let effects = [
        (Permissions::READ_MESSAGE_HISTORY, Effect::NoReplies),
        (Permissions::ATTACH_FILES, Effect::NoFiles),
    ];
    let of = |(wanted, effect)| {
        let names = access.missing(wanted).to_string();
        (!names.is_empty()).then_some(Lacking { channel, names, effect })
    };
    effects.into_iter().filter_map(of).collect()
}

/// What is missing in a channel, asked over REST: for `check`, which hears no gateway.
///
/// # Errors
/// See [`RestError`]; `NotFound` when there is no such channel.
pub async fn missing_in(rest: &Rest, me: UserId, channel: ChannelId) -> Result<Vec<Lacking>, RestError> {
    let found = match rest.channel_rights(channel).await {
        Err(RestError::Forbidden { .. }) => {
            let names = Permissions::VIEW_CHANNEL.to_string();
            return Ok(vec![Lacking { channel, names, effect: Effect::NoAnswers }]);
        }
        found => found?,
    };
    let Some(guild) = found.guild else { return Ok(Vec::new()) };
    let (server, mine) = (rest.server_rights(guild).await?, rest.member_rights(guild, me).await?);
    let may = in_channel((guild, &server), (me, &mine), &found.overwrites, UnixMillis::now());
    Ok(missing(channel, Access { may, is_thread: found.has_threads_only, is_locked: false }))
}

/// A channel as far as rights go.
pub(super) struct ChannelRights {
    /// Its server.
    pub(super) guild: Option<GuildId>,
    /// It is a forum, where one can only write in posts.
    pub(super) has_threads_only: bool,
    /// Its exceptions.
    pub(super) overwrites: Vec<Overwrite>,
}
