//! What people do: they speak, edit, open threads, run commands, click and react.

use super::{
    Discord, Refused, Speech,
    permissions::bits,
    threads::NewThread,
    time,
    world::{Draft, File, World, kind},
};

impl World {
    /// Somebody of the default server by name, made on first use.
    fn somebody(&mut self, name: &str) -> u64 {
        let name = name.trim_start_matches('@');
        if let Some(id) = self.user_named(name, false) {
            return id;
        }
        let id = self.add_user(name, false);
        let home = self.home;
        self.enter(home, id);
        id
    }

    /// Makes somebody a member of a server.
    fn enter(&mut self, guild: u64, user: u64) {
        if let Some(guild) = self.guilds.get_mut(&guild) {
            guild.members.entry(user).or_default();
        }
    }

    /// Text as typed, with `@name` of whoever is known as a mention; names are matched whole.
    fn with_mentions(&self, text: &str) -> String {
        let (mut out, mut rest) = (String::new(), text);
        while let Some(at) = rest.find('@') {
            let (before, after) = (&rest[..at], &rest[at + 1..]);
            let end = after
                .find(|it: char| !(it.is_alphanumeric() || it == '_' || it == '-'))
                .unwrap_or(after.len());
            let name = &after[..end];
            out.push_str(before);
            match self.user_named(name, true).or_else(|| self.user_named(name, false)) {
                Some(id) if !before.ends_with('<') => out.push_str(&format!("<@{id}>")),
                _ => {
                    out.push('@');
                    out.push_str(name);
                }
            }
            rest = &after[end..];
        }
        out + rest
    }

    /// Posts what somebody says.
    fn voice(&mut self, author: u64, channel: u64, speech: Speech) -> u64 {
        let files = speech
            .files
            .into_iter()
            .map(|(name, bytes)| {
                let mime = if name.ends_with(".txt") || name.ends_with(".md") {
                    "text/plain; charset=utf-8"
                } else {
                    "application/octet-stream"
                };
                File { id: self.next_id(), name, mime: mime.into(), bytes: bytes.into() }
            })
            .collect();
        let mut draft = Draft::text(author, channel, &self.with_mentions(&speech.text));
        draft.files = files;
        draft.reply = speech.reply_to;
        draft.kind = if speech.reply_to.is_some() { 19 } else { 0 };
        draft.allowed.replied_user = !speech.quiet;
        self.post(draft)
    }
}

impl Discord {
    /// Another server with the bot in it. A connected bot gets `GUILD_CREATE`.
    pub fn add_guild(&self, name: &str) -> u64 {
        let mut world = self.core.world();
        let id = world.add_guild(name);
        if let Some(guild) = world.guilds.get(&id) {
            let body = world.guild_create_json(guild);
            let scope = super::session::Scope { guild: Some(id), intent: super::session::intents::GUILDS };
            world.sessions.dispatch("GUILD_CREATE", scope, &body, None);
        }
        world.touch();
        id
    }

    /// A person's id: made on first use, a member of the default server.
    pub fn person(&self, name: &str) -> u64 {
        self.core.world().somebody(name)
    }

    /// Likewise, with the role of a moderator (Manage Server among others) in every server.
    pub fn moderator(&self, name: &str) -> u64 {
        let mut world = self.core.world();
        let id = world.somebody(name);
        for guild in world.guilds.values_mut() {
            let role = guild.roles.iter().find(|it| it.name == "Moderators").map(|it| it.id);
            let roles = guild.members.entry(id).or_default();
            if let Some(role) = role.filter(|it| !roles.contains(it)) {
                roles.push(role);
            }
        }
        id
    }

    /// Sets the language of a person's client, such as `de`.
    pub fn locale(&self, person: &str, locale: &str) {
        let mut world = self.core.world();
        let id = world.somebody(person);
        if let Some(user) = world.users.get_mut(&id) {
            user.locale = locale.into();
        }
    }

    /// A text channel of the default server, made on first use.
    pub fn channel(&self, name: &str) -> u64 {
        let home = self.guild();
        self.channel_in(home, name)
    }

    /// A text channel of some server, made on first use.
    pub fn channel_in(&self, guild: u64, name: &str) -> u64 {
        self.core.world().channel_named(guild, name, kind::TEXT)
    }

    /// A forum of the default server, made on first use; tags that it lacks are added.
    pub fn forum(&self, name: &str, tags: &[&str]) -> u64 {
        let mut world = self.core.world();
        let home = world.home;
        let id = world.channel_named(home, name, kind::FORUM);
        world.add_tags(id, tags);
        id
    }

    /// Whether posts of a forum need a tag.
    pub fn require_tag(&self, forum: u64, yes: bool) {
        let mut world = self.core.world();
        if let Some(it) = world.channels.get_mut(&forum) {
            it.flags = if yes {
                it.flags | super::world::REQUIRE_TAG
            } else {
                it.flags & !super::world::REQUIRE_TAG
            };
        }
        world.channel_changed(forum);
    }

    /// A person's DM with the bot.
    pub fn dm(&self, person: &str) -> u64 {
        let mut world = self.core.world();
        let id = world.somebody(person);
        world.dm_with(id)
    }

    /// Takes permissions from the bot in a channel (see [`super::bits`]); 0 gives them back.
    pub fn deny(&self, channel: u64, permission_bits: u64) {
        let mut world = self.core.world();
        let bot = world.bot;
        world.set_overwrite(channel, bot, 0, permission_bits);
    }

    /// Gives the bot permissions in a channel.
    pub fn allow(&self, channel: u64, permission_bits: u64) {
        let mut world = self.core.world();
        let bot = world.bot;
        world.set_overwrite(channel, bot, permission_bits, 0);
    }

    /// A person says something; `@neverdark` becomes a mention of the bot, `@ana` of Ana. A reply pings who it answers.
    pub fn say(&self, person: &str, channel: u64, text: &str, reply_to: Option<u64>) -> u64 {
        self.speak(person, channel, Speech { text: text.into(), reply_to, ..Speech::default() })
    }

    /// A person says something, with everything that can go with it.
    pub fn speak(&self, person: &str, channel: u64, speech: Speech) -> u64 {
        let mut world = self.core.world();
        let author = world.somebody(person);
        if let Some(guild) = world.guild_of(channel) {
            world.enter(guild, author);
        }
        world.voice(author, channel, speech)
    }

    /// Another bot (or, with `webhook`, a webhook) of this name says something.
    pub fn say_as_bot(&self, name: &str, channel: u64, text: &str, webhook: bool) -> u64 {
        let mut world = self.core.world();
        let author = world.user_named(name, true).unwrap_or_else(|| world.add_user(name, true));
        if let Some(guild) = world.guild_of(channel).filter(|_| !webhook) {
            world.enter(guild, author);
        }
        let mut draft = Draft::text(author, channel, &world.with_mentions(text));
        draft.webhook = webhook;
        world.post(draft)
    }

    /// A person types in a channel.
    pub fn types(&self, person: &str, channel: u64) {
        let mut world = self.core.world();
        let user = world.somebody(person);
        world.types(user, channel);
    }

    /// A person opens a thread, from a message or without one.
    pub fn start_thread(&self, person: &str, channel: u64, from_message: Option<u64>, title: &str) -> u64 {
        let mut world = self.core.world();
        let owner = world.somebody(person);
        let title = title.into();
        world.new_thread(NewThread {
            parent: channel,
            owner,
            title,
            from: from_message,
            kind: kind::THREAD,
            tags: Vec::new(),
            auto_archive: 4320,
        })
    }

    /// A person posts in a forum: `THREAD_CREATE`, then `MESSAGE_CREATE` with the same id. Tags the forum lacks are added.
    pub fn post(&self, person: &str, forum: u64, title: &str, text: &str, tags: &[&str]) -> u64 {
        let thread = self.open_post(person, forum, title, tags);
        self.first_message(person, thread, text);
        thread
    }

    /// The first half of [`Discord::post`]: `THREAD_CREATE` only. Nobody else can write there yet (40058).
    pub fn open_post(&self, person: &str, forum: u64, title: &str, tags: &[&str]) -> u64 {
        let mut world = self.core.world();
        let owner = world.somebody(person);
        world.add_tags(forum, tags);
        let known = world.channels.get(&forum).map_or(&[][..], |it| &it.tags);
        let tags = known.iter().filter(|it| tags.contains(&it.name.as_str())).map(|it| it.id).collect();
        let title = title.into();
        world.new_thread(NewThread {
            parent: forum,
            owner,
            title,
            from: None,
            kind: kind::THREAD,
            tags,
            auto_archive: 4320,
        })
    }

    /// A post's author or a moderator changes its title and tags. Tags that the forum lacks are added.
    pub fn retitle(&self, post: u64, title: &str, tags: &[&str]) {
        let mut world = self.core.world();
        let forum = world.channels.get(&post).and_then(|it| it.parent).unwrap_or(0);
        world.add_tags(forum, tags);
        let known = world.channels.get(&forum).map_or(&[][..], |it| &it.tags);
        let ids = known.iter().filter(|it| tags.contains(&it.name.as_str())).map(|it| it.id).collect();
        if let Some(it) = world.channels.get_mut(&post) {
            it.name = title.into();
            if let Some(thread) = &mut it.thread {
                thread.tags = ids;
            }
        }
        world.channel_changed(post);
    }

    /// The second half of [`Discord::post`].
    pub fn first_message(&self, person: &str, post: u64, text: &str) {
        let mut world = self.core.world();
        let author = world.somebody(person);
        let mut draft = Draft::text(author, post, &world.with_mentions(text));
        draft.id = Some(post);
        world.post(draft);
    }

    /// A message's author changes it.
    pub fn edit(&self, message: u64, text: &str) {
        let mut world = self.core.world();
        let text = world.with_mentions(text);
        world.rewrite(message, &super::mentions::Allowed::all(), |it| it.content = text);
    }

    /// A message is deleted.
    pub fn delete(&self, message: u64) {
        self.core.world().remove(message);
    }

    /// A moderator deletes several messages of a channel at once.
    pub fn delete_many(&self, channel: u64, messages: &[u64]) {
        self.core.world().remove_all(channel, messages);
    }

    /// A person reacts to a message.
    pub fn react(&self, person: &str, message: u64, emoji: &str) {
        let mut world = self.core.world();
        let user = world.somebody(person);
        world.react(user, message, emoji, true);
    }

    /// A person takes a reaction back.
    pub fn unreact(&self, person: &str, message: u64, emoji: &str) {
        let mut world = self.core.world();
        let user = world.somebody(person);
        world.react(user, message, emoji, false);
    }

    /// A moderator archives a thread or opens it again, and locks it or not.
    pub fn archive(&self, thread: u64, archived: bool, locked: bool) {
        let mut world = self.core.world();
        if let Some(it) = world.channels.get_mut(&thread).and_then(|it| it.thread.as_mut()) {
            (it.archived, it.locked, it.archive_changed) = (archived, locked, time::now_ms());
        }
        world.channel_changed(thread);
    }

    /// A channel or thread is deleted with everything in it.
    pub fn delete_channel(&self, channel: u64) {
        self.core.world().delete_channel(channel);
    }

    /// A person runs a slash command, such as `/provider use beta where:server`. The line is read against the registered
    /// commands: plain words fill the required options in their order (the last one takes what remains), `name:value` any.
    ///
    /// # Errors
    /// When no such command is registered, it is not offered to that person there, or the line does not fit its options.
    pub fn slash(&self, person: &str, channel: u64, line: &str) -> Result<u64, Refused> {
        let mut world = self.core.world();
        let user = world.somebody(person);
        world.run(user, channel, line, false)
    }

    /// A person is still typing the last value of a line: the bot is asked for its choices, see [`Discord::choices`].
    ///
    /// # Errors
    /// As [`Discord::slash`].
    pub fn complete(&self, person: &str, channel: u64, line: &str) -> Result<u64, Refused> {
        let mut world = self.core.world();
        let user = world.somebody(person);
        world.run(user, channel, line, true)
    }

    /// A person picks a message command ("Ask about this") on a message.
    ///
    /// # Errors
    /// When there is no such message or command.
    pub fn context(&self, person: &str, message: u64, name: &str) -> Result<u64, Refused> {
        let mut world = self.core.world();
        let user = world.somebody(person);
        world.run_on(user, message, name)
    }

    /// A person clicks a button.
    ///
    /// # Errors
    /// When the message has no such button, or that person does not see it.
    pub fn click(&self, person: &str, message: u64, custom_id: &str) -> Result<u64, Refused> {
        self.choose(person, message, custom_id, &[])
    }

    /// A person picks values of a menu.
    ///
    /// # Errors
    /// As [`Discord::click`].
    pub fn choose(
        &self,
        person: &str,
        message: u64,
        custom_id: &str,
        values: &[&str],
    ) -> Result<u64, Refused> {
        let mut world = self.core.world();
        let user = world.somebody(person);
        world.press(user, message, custom_id, values)
    }

    /// A person fills in the form that an interaction was answered with: custom ids and values.
    ///
    /// # Errors
    /// When it was not answered with a form.
    pub fn submit(&self, interaction: u64, fields: &[(&str, &str)]) -> Result<u64, Refused> {
        self.core.world().submit(interaction, fields)
    }

    /// Hides a channel from `@everyone` of its server, or shows it again.
    pub fn hide(&self, channel: u64, hidden: bool) {
        let mut world = self.core.world();
        let guild = world.guild_of(channel).unwrap_or(0);
        if let Some(it) = world.channels.get_mut(&channel) {
            it.overwrites.retain(|it| it.member || it.id != guild);
            if hidden {
                let deny = bits::VIEW_CHANNEL;
                it.overwrites.push(super::permissions::Overwrite {
                    id: guild,
                    member: false,
                    allow: 0,
                    deny,
                });
            }
        }
        world.channel_changed(channel);
    }
}
