//! Channels, forums, threads and DMs: how they come to be and change.

use super::{
    json::{merge, thread_member},
    permissions::Overwrite,
    session::{Scope, intents},
    time,
    world::{Channel, Draft, Tag, Thread, World, flag, kind},
};
use serde_json::json;
use std::collections::BTreeSet;

/// How a thread is made.
pub(crate) struct NewThread {
    pub(crate) parent: u64,
    pub(crate) owner: u64,
    pub(crate) title: String,
    /// The message it starts from.
    pub(crate) from: Option<u64>,
    pub(crate) kind: u8,
    pub(crate) tags: Vec<u64>,
    pub(crate) auto_archive: u64,
}

impl World {
    fn new_channel(&mut self, id: u64, kind: u8, guild: Option<u64>, name: &str) -> &mut Channel {
        let position = self.channels.len() as u64;
        self.channels.entry(id).or_insert(Channel {
            id,
            kind,
            guild,
            parent: None,
            name: name.into(),
            topic: None,
            overwrites: Vec::new(),
            position,
            nsfw: false,
            slowmode: 0,
            flags: 0,
            tags: Vec::new(),
            last_message: None,
            thread: None,
            recipient: None,
        })
    }

    /// A text channel or forum of a server by name, made when there is none.
    pub(crate) fn channel_named(&mut self, guild: u64, name: &str, of_kind: u8) -> u64 {
        let name = name.trim_start_matches('#');
        let same = |it: &&Channel| it.guild == Some(guild) && it.kind == of_kind && it.name == name;
        if let Some(found) = self.channels.values().find(same) {
            return found.id;
        }
        let id = self.next_id();
        self.new_channel(id, of_kind, Some(guild), name);
        let body = self.channel_json(id);
        // Discord tells bots of channels that they cannot see, too.
        self.sessions.dispatch(
            "CHANNEL_CREATE",
            Scope { guild: Some(guild), intent: intents::GUILDS },
            &body,
            None,
        );
        self.touch();
        id
    }

    /// Adds tags that a forum does not have yet.
    pub(crate) fn add_tags(&mut self, forum: u64, tags: &[&str]) {
        let mut changed = false;
        for name in tags {
            let known =
                self.channels.get(&forum).is_some_and(|it| it.tags.iter().any(|tag| tag.name == *name));
            let id = self.next_id();
            if let Some(channel) = self.channels.get_mut(&forum).filter(|_| !known) {
                channel.tags.push(Tag { id, name: (*name).into(), moderated: false });
                changed = true;
            }
        }
        if changed {
            self.channel_changed(forum);
        }
    }

    /// The DM of somebody with the bot.
    pub(crate) fn dm_with(&mut self, user: u64) -> u64 {
        if let Some(found) = self.channels.values().find(|it| it.recipient == Some(user)) {
            return found.id;
        }
        let id = self.next_id();
        let name = self.name_of(user);
        self.new_channel(id, kind::DM, None, &name).recipient = Some(user);
        self.touch();
        id
    }

    /// Tells of a channel or thread as it is now.
    pub(crate) fn channel_changed(&mut self, id: u64) {
        let body = self.channel_json(id);
        let thread = self.channels.get(&id).is_some_and(|it| it.thread.is_some());
        let name = if thread { "THREAD_UPDATE" } else { "CHANNEL_UPDATE" };
        self.tell(name, id, intents::GUILDS, intents::DIRECT_MESSAGES, &body, None);
    }

    /// Sets an overwrite for one member.
    pub(crate) fn set_overwrite(&mut self, channel: u64, user: u64, allow: u64, deny: u64) {
        let guild = self.guild_of(channel);
        if let Some(it) = self.channels.get_mut(&channel) {
            it.overwrites.retain(|it| it.id != user);
            if allow | deny != 0 {
                it.overwrites.push(Overwrite { id: user, member: true, allow, deny });
            }
        }
        let body = self.channel_json(channel);
        self.sessions.dispatch("CHANNEL_UPDATE", Scope { guild, intent: intents::GUILDS }, &body, None);
        self.touch();
    }

    /// Makes a thread and tells of it. Its id is the message's it starts from.
    pub(crate) fn new_thread(&mut self, new: NewThread) -> u64 {
        let id = new.from.unwrap_or_else(|| self.next_id());
        let guild = self.guild_of(new.parent);
        let thread = Thread {
            owner: new.owner,
            archived: false,
            locked: false,
            auto_archive: new.auto_archive,
            archive_changed: time::now_ms(),
            tags: new.tags,
            members: BTreeSet::from([new.owner]),
            sent: 0,
        };
        let channel = self.new_channel(id, new.kind, guild, &new.title);
        channel.parent = Some(new.parent);
        channel.thread = Some(thread);
        let mut body = self.channel_json(id);
        merge(&mut body, json!({ "newly_created": true }));
        self.tell("THREAD_CREATE", id, intents::GUILDS, 0, &body, None);
        if new.from.is_some() {
            if let Some(message) = self.messages.get_mut(&id) {
                message.flags |= flag::HAS_THREAD;
            }
            self.announce("MESSAGE_UPDATE", id);
            // The thread begins with a line that points at the message.
            let mut starter = Draft::text(new.owner, id, "");
            (starter.kind, starter.reply) = (21, Some(id));
            self.post(starter);
        } else if !self.is_forum(new.parent) {
            // The channel gets a line that says so.
            let mut line = Draft::text(new.owner, new.parent, &new.title);
            line.kind = 18;
            self.post(line);
        }
        id
    }

    /// A message was sent to a thread: it counts, its author joins, and an archived thread wakes up.
    pub(crate) fn wake_thread(&mut self, channel: u64, author: u64, counts: bool) {
        let Some(thread) = self.channels.get_mut(&channel).and_then(|it| it.thread.as_mut()) else { return };
        thread.sent += u64::from(counts);
        if thread.archived {
            thread.archived = false;
            thread.archive_changed = time::now_ms();
            self.channel_changed(channel);
        }
        if counts {
            self.join_thread(channel, author);
        }
    }

    /// Puts somebody into a thread.
    pub(crate) fn join_thread(&mut self, id: u64, user: u64) {
        let guild = self.guild_of(id);
        let Some(thread) = self.channels.get_mut(&id).and_then(|it| it.thread.as_mut()) else { return };
        if !thread.members.insert(user) {
            return;
        }
        let count = thread.members.len();
        let mut member = thread_member(id, user);
        merge(
            &mut member,
            json!({ "member": guild.map(|it| self.member_json(it, user, true)), "presence": null }),
        );
        let body = json!({
            "id": id.to_string(), "guild_id": guild.map(|it| it.to_string()), "member_count": count,
            "added_members": [member], "removed_member_ids": [],
        });
        // Without the members intent a bot is only told of itself.
        let intent = if user == self.bot { intents::GUILDS } else { intents::GUILD_MEMBERS };
        self.tell("THREAD_MEMBERS_UPDATE", id, intent, 0, &body, None);
    }

    /// Takes somebody out of a thread.
    pub(crate) fn leave_thread(&mut self, id: u64, user: u64) {
        if let Some(thread) = self.channels.get_mut(&id).and_then(|it| it.thread.as_mut()) {
            thread.members.remove(&user);
        }
        self.touch();
    }

    /// Removes a channel or thread with what is in it.
    pub(crate) fn delete_channel(&mut self, id: u64) {
        let body = self.channel_json(id);
        let thread = self.channels.get(&id).is_some_and(|it| it.thread.is_some());
        let name = if thread { "THREAD_DELETE" } else { "CHANNEL_DELETE" };
        self.tell(name, id, intents::GUILDS, 0, &body, None);
        self.channels.retain(|_, it| it.id != id && it.parent != Some(id));
        self.touch();
    }
}
