//! What happens when a message is posted, changed or removed: who is notified, and which events follow.

use super::{
    json::stripped,
    mentions::{self, Allowed},
    permissions::bits,
    session::intents,
    time,
    world::{Draft, Message, World},
};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use tokio::time::Instant;

const MESSAGES: (u64, u64) = (intents::GUILD_MESSAGES, intents::DIRECT_MESSAGES);
const REACTIONS: (u64, u64) = (intents::GUILD_MESSAGE_REACTIONS, intents::DIRECT_MESSAGE_REACTIONS);

/// What a text's mentions come to.
#[derive(Default)]
struct Called {
    users: Vec<u64>,
    roles: Vec<u64>,
    everyone: bool,
    pinged: Vec<String>,
}

impl World {
    /// Posts a message and tells everybody. Permissions and limits were checked before.
    pub(crate) fn post(&mut self, draft: Draft) -> u64 {
        let id = draft.id.unwrap_or_else(|| self.next_id());
        let silent = draft.only_for.is_some();
        let called = self.called(&draft.content, &draft.allowed, draft.author, draft.channel, draft.reply);
        let message = Message {
            id,
            channel: draft.channel,
            author: draft.author,
            kind: draft.kind,
            content: draft.content,
            history: Vec::new(),
            edited: None,
            flags: draft.flags,
            reply: draft.reply,
            mentions: called.users,
            mention_roles: called.roles,
            mention_everyone: called.everyone,
            pinged: if silent { Vec::new() } else { called.pinged },
            files: draft.files,
            embeds: draft.embeds,
            components: draft.components,
            reactions: Vec::new(),
            nonce: draft.nonce,
            pinned: false,
            deleted: false,
            interaction: draft.interaction,
            only_for: draft.only_for,
            webhook: draft.webhook,
        };
        let channel = draft.channel;
        self.wake_thread(channel, draft.author, draft.kind == 0 || draft.kind == 19);
        if !silent && let Some(place) = self.channels.get_mut(&channel) {
            place.last_message = Some(id);
        }
        if draft.author == self.bot {
            self.typing.remove(&channel);
        }
        let nonce = message.nonce.clone();
        self.keep(message);
        self.announce("MESSAGE_CREATE", id);
        // A nonce comes back with the answer and the event of the creation only.
        if nonce.is_some()
            && let Some(message) = self.messages.get_mut(&id)
        {
            message.nonce = None;
        }
        id
    }

    /// Works out who is mentioned and who is notified.
    fn called(&self, text: &str, allowed: &Allowed, author: u64, channel: u64, reply: Option<u64>) -> Called {
        let found = mentions::find(text);
        let guild = self.guild_of(channel).and_then(|it| self.guilds.get(&it));
        let everyone =
            guild.is_some() && self.may(author, channel) & bits::MENTION_EVERYONE != 0 && allowed.everyone;
        let known = |id: &u64| self.users.contains_key(id) && allowed.users.has(*id);
        let mut users: Vec<u64> = found.users.iter().copied().filter(known).collect();
        let replied = reply.and_then(|it| self.live(channel, it)).map(|it| it.author);
        if let Some(replied) = replied.filter(|it| allowed.replied_user && !users.contains(it)) {
            users.push(replied);
        }
        let roles: Vec<u64> = found
            .roles
            .iter()
            .copied()
            .filter(|id| {
                guild.is_some_and(|it| it.roles.iter().any(|role| role.id == *id)) && allowed.roles.has(*id)
            })
            .collect();
        let mut pinged: Vec<String> = users
            .iter()
            .filter(|id| **id != author && self.sees(**id, channel))
            .map(|id| self.name_of(*id))
            .collect();
        for role in guild.into_iter().flat_map(|it| &it.roles).filter(|it| roles.contains(&it.id)) {
            pinged.push(format!("@{}", role.name));
        }
        for (is, name) in [(found.everyone, "@everyone"), (found.here, "@here")] {
            if is && everyone {
                pinged.push(name.into());
            }
        }
        Called { users, roles, everyone: everyone && (found.everyone || found.here), pinged }
    }

    /// Changes a message; what it was is kept for whoever watches. Mentions are parsed again, and notify those who are new.
    pub(crate) fn rewrite(&mut self, id: u64, allowed: &Allowed, change: impl FnOnce(&mut Message)) {
        let Some(before) = self.messages.get(&id) else { return };
        let (former, was_loading) = (before.content.clone(), before.flags & super::world::flag::LOADING != 0);
        let Some(message) = self.messages.get_mut(&id) else { return };
        change(message);
        let (content, author, channel, reply) =
            (message.content.clone(), message.author, message.channel, message.reply);
        let called = self.called(&content, allowed, author, channel, reply);
        let Some(message) = self.messages.get_mut(&id) else { return };
        message.edited = Some(time::now_ms());
        message.mentions = called.users;
        message.mention_roles = called.roles;
        message.mention_everyone = called.everyone;
        if message.only_for.is_none() {
            for name in called.pinged {
                if !message.pinged.contains(&name) {
                    message.pinged.push(name);
                }
            }
        }
        if former != content && !was_loading {
            message.history.push(former);
        }
        self.announce("MESSAGE_UPDATE", id);
    }

    /// Takes a message away.
    pub(crate) fn remove(&mut self, id: u64) {
        let Some(message) = self.messages.get_mut(&id) else { return };
        message.deleted = true;
        let (channel, private) = (message.channel, message.only_for.is_some());
        if private {
            self.touch();
            return;
        }
        let body = self.ids(channel, json!({ "id": id.to_string() }));
        self.tell("MESSAGE_DELETE", channel, MESSAGES.0, MESSAGES.1, &body, None);
    }

    /// Takes several away at once.
    pub(crate) fn remove_all(&mut self, channel: u64, ids: &[u64]) {
        for id in ids {
            if let Some(message) = self.messages.get_mut(id).filter(|it| it.channel == channel) {
                message.deleted = true;
            }
        }
        let gone: Vec<String> = ids.iter().map(u64::to_string).collect();
        let body = self.ids(channel, json!({ "ids": gone }));
        self.tell("MESSAGE_DELETE_BULK", channel, MESSAGES.0, MESSAGES.1, &body, None);
    }

    /// Gives or takes a reaction; false when nothing changed.
    pub(crate) fn react(&mut self, user: u64, id: u64, emoji: &str, on: bool) -> bool {
        let Some(message) = self.messages.get_mut(&id) else { return false };
        let at = message.reactions.iter().position(|it| it.0 == emoji);
        let changed = match (on, at) {
            (true, None) => {
                message.reactions.push((emoji.into(), BTreeSet::from([user])));
                true
            }
            (true, Some(at)) => message.reactions[at].1.insert(user),
            (false, None) => false,
            (false, Some(at)) => {
                let was = message.reactions[at].1.remove(&user);
                message.reactions.retain(|it| !it.1.is_empty());
                was
            }
        };
        if !changed {
            return false;
        }
        let (channel, author) = (message.channel, message.author);
        let mut body = self.ids(channel, json!({
            "user_id": user.to_string(), "message_id": id.to_string(), "emoji": super::json::emoji_json(emoji),
            "burst": false, "type": 0,
        }));
        if on {
            body["message_author_id"] = author.to_string().into();
            if let Some(guild) = self.guild_of(channel) {
                body["member"] = self.member_json(guild, user, true);
            }
        }
        let name = if on { "MESSAGE_REACTION_ADD" } else { "MESSAGE_REACTION_REMOVE" };
        self.tell(name, channel, REACTIONS.0, REACTIONS.1, &body, None);
        true
    }

    /// Somebody types.
    pub(crate) fn types(&mut self, user: u64, channel: u64) {
        if user == self.bot {
            self.typing.insert(channel, Instant::now());
        }
        let mut body =
            self.ids(channel, json!({ "user_id": user.to_string(), "timestamp": time::now_ms() / 1000 }));
        if let Some(guild) = self.guild_of(channel) {
            body["member"] = self.member_json(guild, user, true);
        }
        self.tell(
            "TYPING_START",
            channel,
            intents::GUILD_MESSAGE_TYPING,
            intents::DIRECT_MESSAGE_TYPING,
            &body,
            None,
        );
    }

    /// An event's body with the channel and, where there is one, the server.
    fn ids(&self, channel: u64, mut body: Value) -> Value {
        body["channel_id"] = channel.to_string().into();
        if let Some(guild) = self.guild_of(channel) {
            body["guild_id"] = guild.to_string().into();
        }
        body
    }

    /// Tells of a message as it is now; what needs the content intent is taken out for sessions without it.
    pub(crate) fn announce(&mut self, name: &str, id: u64) {
        let Some(message) = self.messages.get(&id) else { return };
        let (channel, private) = (message.channel, message.only_for.is_some());
        let body = self.message_event(message);
        let mut plain = if self.is_for_bot(message) { body.clone() } else { stripped(body.clone()) };
        let target = message.reply.and_then(|it| self.live(channel, it));
        if target.is_some_and(|it| !self.is_for_bot(it))
            && let Some(inner) = plain.get_mut("referenced_message").filter(|it| it.is_object())
        {
            *inner = stripped(inner.take());
        }
        // Messages that one person sees arrive as direct ones do.
        let in_guild = if private { MESSAGES.1 } else { MESSAGES.0 };
        self.tell(name, channel, in_guild, MESSAGES.1, &body, Some(&plain));
    }
}
