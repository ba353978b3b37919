//! The world: servers, people, channels and messages, as Discord would keep them.

use super::{
    Options, Request, RestFault, UserRef,
    limits::Limits,
    mentions::Allowed,
    permissions::{self, Overwrite, bits},
    session::Sessions,
    time,
    weather::Sky,
};
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet, HashMap, VecDeque},
    sync::Arc,
};
use tokio::{sync::watch, time::Instant};

/// Channel types.
pub(crate) mod kind {
    pub(crate) const TEXT: u8 = 0;
    pub(crate) const DM: u8 = 1;
    pub(crate) const ANNOUNCEMENT_THREAD: u8 = 10;
    pub(crate) const THREAD: u8 = 11;
    pub(crate) const PRIVATE_THREAD: u8 = 12;
    pub(crate) const FORUM: u8 = 15;
}

/// Message flags.
pub(crate) mod flag {
    pub(crate) const SUPPRESS_EMBEDS: u64 = 1 << 2;
    pub(crate) const HAS_THREAD: u64 = 1 << 5;
    pub(crate) const EPHEMERAL: u64 = 1 << 6;
    pub(crate) const LOADING: u64 = 1 << 7;
    pub(crate) const SUPPRESS_NOTIFICATIONS: u64 = 1 << 12;
    pub(crate) const COMPONENTS_V2: u64 = 1 << 15;
}

/// A forum's flag: a post needs a tag.
pub(crate) const REQUIRE_TAG: u64 = 1 << 4;

/// How many calls the log of requests holds.
const LOGGED: usize = 10_000;
/// How many messages a channel keeps, so that a long run does not grow for ever.
const KEPT: usize = 5000;

#[derive(Clone, Debug)]
pub(crate) struct User {
    pub(crate) id: u64,
    pub(crate) name: String,
    pub(crate) bot: bool,
    pub(crate) locale: String,
}

#[derive(Clone, Debug)]
pub(crate) struct Role {
    pub(crate) id: u64,
    pub(crate) name: String,
    pub(crate) permissions: u64,
    pub(crate) managed: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct Guild {
    pub(crate) id: u64,
    pub(crate) name: String,
    pub(crate) owner: u64,
    /// The first one is `@everyone`, which has the server's id.
    pub(crate) roles: Vec<Role>,
    /// Members, with their roles besides `@everyone`.
    pub(crate) members: BTreeMap<u64, Vec<u64>>,
}

#[derive(Clone, Debug)]
pub(crate) struct Tag {
    pub(crate) id: u64,
    pub(crate) name: String,
    pub(crate) moderated: bool,
}

/// What a thread or post has besides a channel.
#[derive(Clone, Debug)]
pub(crate) struct Thread {
    pub(crate) owner: u64,
    pub(crate) archived: bool,
    pub(crate) locked: bool,
    pub(crate) auto_archive: u64,
    pub(crate) archive_changed: u64,
    pub(crate) tags: Vec<u64>,
    pub(crate) members: BTreeSet<u64>,
    pub(crate) sent: u64,
}

#[derive(Clone, Debug)]
pub(crate) struct Channel {
    pub(crate) id: u64,
    pub(crate) kind: u8,
    pub(crate) guild: Option<u64>,
    pub(crate) parent: Option<u64>,
    pub(crate) name: String,
    pub(crate) topic: Option<String>,
    pub(crate) overwrites: Vec<Overwrite>,
    pub(crate) position: u64,
    pub(crate) nsfw: bool,
    pub(crate) slowmode: u64,
    pub(crate) flags: u64,
    pub(crate) tags: Vec<Tag>,
    pub(crate) last_message: Option<u64>,
    pub(crate) thread: Option<Thread>,
    /// The person at the other end of a DM.
    pub(crate) recipient: Option<u64>,
}

#[derive(Clone, Debug)]
pub(crate) struct File {
    pub(crate) id: u64,
    pub(crate) name: String,
    pub(crate) mime: String,
    pub(crate) bytes: Arc<[u8]>,
}

#[derive(Clone, Debug)]
pub(crate) struct Message {
    pub(crate) id: u64,
    pub(crate) channel: u64,
    pub(crate) author: u64,
    pub(crate) kind: u8,
    pub(crate) content: String,
    pub(crate) history: Vec<String>,
    pub(crate) edited: Option<u64>,
    pub(crate) flags: u64,
    pub(crate) reply: Option<u64>,
    pub(crate) mentions: Vec<u64>,
    pub(crate) mention_roles: Vec<u64>,
    pub(crate) mention_everyone: bool,
    pub(crate) pinged: Vec<String>,
    pub(crate) files: Vec<File>,
    pub(crate) embeds: Vec<Value>,
    pub(crate) components: Vec<Value>,
    /// Emoji, and who gave it.
    pub(crate) reactions: Vec<(String, BTreeSet<u64>)>,
    pub(crate) nonce: Option<Value>,
    pub(crate) pinned: bool,
    pub(crate) deleted: bool,
    pub(crate) interaction: Option<u64>,
    pub(crate) only_for: Option<u64>,
    pub(crate) webhook: bool,
}

/// A message to be.
#[derive(Clone, Debug)]
pub(crate) struct Draft {
    /// A given id: a forum post's first message has the post's.
    pub(crate) id: Option<u64>,
    pub(crate) channel: u64,
    pub(crate) author: u64,
    pub(crate) kind: u8,
    pub(crate) content: String,
    pub(crate) flags: u64,
    pub(crate) reply: Option<u64>,
    pub(crate) allowed: Allowed,
    pub(crate) files: Vec<File>,
    pub(crate) embeds: Vec<Value>,
    pub(crate) components: Vec<Value>,
    pub(crate) nonce: Option<Value>,
    pub(crate) interaction: Option<u64>,
    pub(crate) only_for: Option<u64>,
    pub(crate) webhook: bool,
}

impl Draft {
    /// Plain text by `author`.
    pub(crate) fn text(author: u64, channel: u64, content: &str) -> Self {
        Self {
            id: None,
            channel,
            author,
            kind: 0,
            content: content.into(),
            flags: 0,
            reply: None,
            allowed: Allowed::all(),
            files: Vec::new(),
            embeds: Vec::new(),
            components: Vec::new(),
            nonce: None,
            interaction: None,
            only_for: None,
            webhook: false,
        }
    }
}

/// A command as registered.
#[derive(Clone, Debug)]
pub(crate) struct Command {
    pub(crate) id: u64,
    /// The server it is for; none for everywhere.
    pub(crate) guild: Option<u64>,
    pub(crate) version: u64,
    /// As it was sent, with defaults filled in.
    pub(crate) body: Value,
}

/// Something that a person asked of the bot by a command or a click.
#[derive(Clone, Debug)]
pub(crate) struct Interaction {
    pub(crate) id: u64,
    pub(crate) token: String,
    /// Discord's interaction type: 2 command, 3 component, 4 autocomplete, 5 modal.
    pub(crate) kind: u8,
    pub(crate) user: u64,
    pub(crate) channel: u64,
    pub(crate) line: String,
    pub(crate) name: String,
    pub(crate) born: Instant,
    /// The type of the callback that acknowledged it.
    pub(crate) acked: Option<u8>,
    /// The message whose button was clicked.
    pub(crate) source: Option<u64>,
    /// The interaction that was answered with the form that this one fills in.
    pub(crate) trigger: Option<u64>,
    /// The first response, once there is one.
    pub(crate) original: Option<u64>,
    pub(crate) followups: Vec<u64>,
    /// Autocomplete's answer, or a modal.
    pub(crate) data: Value,
}

/// Everything there is. One lock guards it, and nothing waits while holding it.
pub(crate) struct World {
    pub(crate) home: u64,
    pub(crate) bot: u64,
    pub(crate) users: BTreeMap<u64, User>,
    pub(crate) guilds: BTreeMap<u64, Guild>,
    pub(crate) channels: BTreeMap<u64, Channel>,
    pub(crate) messages: BTreeMap<u64, Message>,
    pub(crate) of_channel: HashMap<u64, VecDeque<u64>>,
    pub(crate) commands: Vec<Command>,
    pub(crate) interactions: BTreeMap<u64, Interaction>,
    pub(crate) nonces: HashMap<(u64, String), (u64, Instant)>,
    pub(crate) typing: HashMap<u64, Instant>,
    pub(crate) presence: Value,
    pub(crate) sessions: Sessions,
    pub(crate) limits: Limits,
    pub(crate) faults: Vec<RestFault>,
    pub(crate) sky: Sky,
    pub(crate) requests: VecDeque<Request>,
    pub(crate) calls: BTreeMap<(&'static str, u16), u64>,
    pub(crate) content_granted: bool,
    pub(crate) started: Instant,
    /// Grows with every change that can be seen.
    pub(crate) version: watch::Sender<u64>,
    /// Where attached files are fetched from.
    pub(crate) origin: String,
    last_id: u64,
}

impl World {
    pub(crate) fn new(options: &Options) -> Self {
        let mut world = Self {
            home: 0,
            bot: 0,
            users: BTreeMap::new(),
            guilds: BTreeMap::new(),
            channels: BTreeMap::new(),
            messages: BTreeMap::new(),
            of_channel: HashMap::new(),
            commands: Vec::new(),
            interactions: BTreeMap::new(),
            nonces: HashMap::new(),
            typing: HashMap::new(),
            presence: Value::Null,
            sessions: Sessions::new(),
            limits: Limits::new(options.limits),
            faults: Vec::new(),
            sky: Sky::default(),
            requests: VecDeque::new(),
            calls: BTreeMap::new(),
            content_granted: options.message_content,
            started: Instant::now(),
            version: watch::Sender::new(0),
            origin: String::new(),
            last_id: 0,
        };
        world.bot = world.add_user("neverdark", true);
        world.home = world.add_guild("Harbour");
        world
    }

    pub(crate) fn next_id(&mut self) -> u64 {
        self.last_id = time::next_id(self.last_id);
        self.last_id
    }

    /// Something that can be seen has changed.
    pub(crate) fn touch(&self) {
        self.version.send_modify(|it| *it += 1);
    }

    pub(crate) fn bot_ref(&self) -> UserRef {
        UserRef { id: self.bot, name: self.name_of(self.bot) }
    }

    pub(crate) fn name_of(&self, user: u64) -> String {
        self.users.get(&user).map_or_else(|| user.to_string(), |it| it.name.clone())
    }

    pub(crate) fn add_user(&mut self, name: &str, bot: bool) -> u64 {
        let id = self.next_id();
        self.users.insert(id, User { id, name: name.into(), bot, locale: "en-US".into() });
        id
    }

    /// A user by name; with `bot` only among bots, else only among people.
    pub(crate) fn user_named(&self, name: &str, bot: bool) -> Option<u64> {
        self.users.values().find(|it| it.bot == bot && it.name == name).map(|it| it.id)
    }

    /// A new server with the bot in it, owned by a captain who never speaks.
    pub(crate) fn add_guild(&mut self, name: &str) -> u64 {
        let id = self.next_id();
        let owner = self.user_named("captain", false).unwrap_or_else(|| self.add_user("captain", false));
        let (moderators, bots) = (self.next_id(), self.next_id());
        let role =
            |id, name: &str, permissions, managed| Role { id, name: name.into(), permissions, managed };
        let roles = vec![
            role(id, "@everyone", permissions::EVERYONE, false),
            role(moderators, "Moderators", permissions::MODERATOR, false),
            role(bots, "neverdark", 326_417_632_320, true),
        ];
        let members = BTreeMap::from([(owner, Vec::new()), (self.bot, vec![bots])]);
        self.guilds.insert(id, Guild { id, name: name.into(), owner, roles, members });
        id
    }

    /// Notes a message's place in its channel.
    pub(crate) fn keep(&mut self, message: Message) {
        let list = self.of_channel.entry(message.channel).or_default();
        list.push_back(message.id);
        if list.len() > KEPT
            && let Some(oldest) = list.pop_front()
        {
            self.messages.remove(&oldest);
        }
        self.messages.insert(message.id, message);
    }

    /// A message that exists for Discord: neither deleted nor shown to one person only.
    pub(crate) fn live(&self, channel: u64, message: u64) -> Option<&Message> {
        self.messages.get(&message).filter(|it| it.channel == channel && !it.deleted && it.only_for.is_none())
    }

    /// Union of the permissions of somebody's roles in a server; the owner has all.
    pub(crate) fn base_permissions(&self, guild: &Guild, user: u64) -> u64 {
        if guild.owner == user {
            return permissions::ALL;
        }
        let Some(mine) = guild.members.get(&user) else { return 0 };
        let has = |role: &&Role| role.id == guild.id || mine.contains(&role.id);
        guild.roles.iter().filter(has).fold(0, |sum, it| sum | it.permissions)
    }

    /// What somebody may do in a channel. A thread takes its parent's overwrites.
    pub(crate) fn may(&self, user: u64, channel: u64) -> u64 {
        let Some(channel) = self.channels.get(&channel) else { return 0 };
        let Some(guild) = channel.guild.and_then(|it| self.guilds.get(&it)) else {
            let inside = channel.recipient == Some(user) || user == self.bot;
            return if inside { permissions::IN_DM } else { 0 };
        };
        let Some(roles) = guild.members.get(&user) else { return 0 };
        let parent = channel.thread.as_ref().and(channel.parent).and_then(|it| self.channels.get(&it));
        let base = self.base_permissions(guild, user);
        permissions::in_channel(guild.id, user, roles, base, &parent.unwrap_or(channel).overwrites)
    }

    pub(crate) fn sees(&self, user: u64, channel: u64) -> bool {
        self.may(user, channel) & bits::VIEW_CHANNEL != 0
    }

    pub(crate) fn is_forum(&self, channel: u64) -> bool {
        self.channels.get(&channel).is_some_and(|it| it.kind == kind::FORUM)
    }

    pub(crate) fn guild_of(&self, channel: u64) -> Option<u64> {
        self.channels.get(&channel)?.guild
    }

    /// Writes a call into the log.
    pub(crate) fn log(&mut self, request: Request) {
        *self.calls.entry((request.name, request.status)).or_default() += 1;
        self.requests.push_back(request);
        if self.requests.len() > LOGGED {
            self.requests.pop_front();
        }
    }

    pub(crate) fn presence_update(&mut self, body: &Value) {
        self.presence = body.clone();
        self.touch();
    }
}
