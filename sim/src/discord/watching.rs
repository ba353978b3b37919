//! What can be seen from outside: what people see, what the bot did, and waiting until something is so.

use super::{
    Discord, Invocation, PlaceInfo, PlaceKind, Request, SessionCounts, Shown,
    interactions::components,
    world::{Channel, Interaction, Message, World, flag, kind},
};
use std::{collections::HashMap, time::Duration};
use tokio::{
    sync::watch,
    time::{Instant, timeout, timeout_at},
};

/// The longest that [`Discord::barrier`] waits.
const BARRIER: Duration = Duration::from_secs(10);
/// For how long typing is shown.
const TYPING: Duration = Duration::from_secs(10);

impl World {
    fn shown(&self, it: &Message) -> Shown {
        let mut pressed = Vec::new();
        components(&it.components, &mut pressed);
        let word = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
        // A button may have an emoji and no words.
        let label = |it: &serde_json::Value| {
            let words = word(&it["label"]);
            if words.is_empty() { word(&it["emoji"]["name"]) } else { words }
        };
        Shown {
            id: it.id,
            channel: it.channel,
            author: self.name_of(it.author),
            bot: self.users.get(&it.author).is_some_and(|it| it.bot),
            content: it.content.clone(),
            reply_to: it.reply,
            history: it.history.clone(),
            pinged: it.pinged.clone(),
            ephemeral: it.only_for.is_some(),
            only_for: it.only_for.map(|it| self.name_of(it)),
            deleted: it.deleted,
            attachments: it.files.iter().map(|it| it.name.clone()).collect(),
            embeds_suppressed: it.flags & flag::SUPPRESS_EMBEDS != 0,
            thinking: it.flags & flag::LOADING != 0,
            buttons: pressed.iter().map(|it| (word(&it["custom_id"]), label(it))).collect(),
            reactions: it.reactions.iter().map(|it| (it.0.clone(), it.1.len())).collect(),
            interaction: it.interaction,
            silent: it.flags & flag::SUPPRESS_NOTIFICATIONS != 0,
        }
    }

    fn place_info(&self, it: &Channel) -> PlaceInfo {
        let in_forum = it.parent.is_some_and(|it| self.is_forum(it));
        let forum = it.parent.and_then(|it| self.channels.get(&it));
        let tag = |id: &u64| forum?.tags.iter().find(|it| it.id == *id).map(|it| it.name.clone());
        PlaceInfo {
            id: it.id,
            name: it.name.clone(),
            kind: match (it.kind, in_forum) {
                (kind::DM, _) => PlaceKind::Dm,
                (kind::FORUM, _) => PlaceKind::Forum,
                (kind::TEXT, _) => PlaceKind::Text,
                (_, true) => PlaceKind::Post,
                (_, false) => PlaceKind::Thread,
            },
            parent: it.parent,
            guild: it.guild,
            tags: it.thread.iter().flat_map(|it| &it.tags).filter_map(tag).collect(),
            archived: it.thread.as_ref().is_some_and(|it| it.archived),
        }
    }

    fn invocation(&self, it: &Interaction) -> Invocation {
        Invocation {
            id: it.id,
            channel: it.channel,
            person: self.name_of(it.user),
            line: it.line.clone(),
            acknowledged: it.acked.is_some(),
        }
    }
}

impl Discord {
    /// The channel's messages as people see them, oldest first: deleted ones are marked, those for one person too.
    /// Lines that Discord itself writes ("started a thread") are left out.
    #[must_use]
    pub fn messages(&self, channel: u64) -> Vec<Shown> {
        let world = self.core.world();
        let ids = world.of_channel.get(&channel);
        let all = ids.into_iter().flatten().filter_map(|it| world.messages.get(it));
        all.filter(|it| matches!(it.kind, 0 | 19 | 20 | 23)).map(|it| world.shown(it)).collect()
    }

    /// One message.
    #[must_use]
    pub fn message(&self, id: u64) -> Option<Shown> {
        let world = self.core.world();
        world.messages.get(&id).map(|it| world.shown(it))
    }

    /// An attached file's bytes.
    #[must_use]
    pub fn file(&self, message: u64, name: &str) -> Option<Vec<u8>> {
        let world = self.core.world();
        let file = world.messages.get(&message)?.files.iter().find(|it| it.name == name)?;
        Some(file.bytes.to_vec())
    }

    /// The bot's first answer to an interaction, by now; [`Discord::answers_to`] has the follow-ups too.
    #[must_use]
    pub fn answer_to(&self, interaction: u64) -> Option<Shown> {
        self.answers_to(interaction).into_iter().next()
    }

    /// All messages that answer an interaction: the original response, then the follow-ups. For a click, the original is the
    /// message with the button when the bot changed that one.
    #[must_use]
    pub fn answers_to(&self, interaction: u64) -> Vec<Shown> {
        let world = self.core.world();
        let Some(it) = world.interactions.get(&interaction) else { return Vec::new() };
        let ids = it.original.into_iter().chain(it.followups.iter().copied());
        ids.filter_map(|it| world.messages.get(&it)).map(|it| world.shown(it)).collect()
    }

    /// What the bot offered for [`Discord::complete`]: the choices' names; none until it answered.
    #[must_use]
    pub fn choices(&self, interaction: u64) -> Option<Vec<String>> {
        let world = self.core.world();
        let list = world.interactions.get(&interaction).filter(|it| it.acked == Some(8))?.data.as_array()?;
        Some(list.iter().map(|it| it["name"].as_str().unwrap_or_default().to_owned()).collect())
    }

    /// The form that an interaction was answered with: its title.
    #[must_use]
    pub fn form(&self, interaction: u64) -> Option<String> {
        let world = self.core.world();
        let form = &world.interactions.get(&interaction).filter(|it| it.acked == Some(9))?.data;
        Some(form["title"].as_str().unwrap_or_default().to_owned())
    }

    /// Commands that were run in a channel, oldest first. Their ids sort among the messages'.
    #[must_use]
    pub fn invocations(&self, channel: u64) -> Vec<Invocation> {
        let world = self.core.world();
        let mine = world.interactions.values().filter(|it| it.channel == channel && it.kind == 2);
        mine.map(|it| world.invocation(it)).collect()
    }

    /// Channels, forums, threads, posts and DMs, in the order in which they were made.
    #[must_use]
    pub fn places(&self) -> Vec<PlaceInfo> {
        let world = self.core.world();
        let mut all: Vec<&Channel> = world.channels.values().collect();
        all.sort_by_key(|it| it.position);
        all.into_iter().map(|it| world.place_info(it)).collect()
    }

    /// Text with mentions as people read them: `@name`, `#channel`.
    #[must_use]
    pub fn readable(&self, text: &str) -> String {
        let world = self.core.world();
        let (mut out, mut rest) = (String::new(), text);
        while let Some(at) = rest.find('<') {
            let (before, after) = rest.split_at(at);
            out.push_str(before);
            let inside = after.find('>').map(|end| &after[1..end]);
            let name = inside.and_then(|it| {
                let user =
                    it.strip_prefix("@!").or_else(|| it.strip_prefix('@')).and_then(|it| it.parse().ok());
                let place = it.strip_prefix('#').and_then(|it| it.parse().ok());
                let user = user.and_then(|it: u64| world.users.get(&it)).map(|it| format!("@{}", it.name));
                user.or_else(|| Some(format!("#{}", world.channels.get(&place?)?.name)))
            });
            match (name, inside) {
                (Some(name), Some(inside)) => {
                    out.push_str(&name);
                    rest = &after[inside.len() + 2..];
                }
                _ => {
                    out.push('<');
                    rest = &after[1..];
                }
            }
        }
        out + rest
    }

    /// Names of the commands that are registered: `/ask`, or the bare name of a context command.
    #[must_use]
    pub fn commands(&self) -> Vec<String> {
        let world = self.core.world();
        let name = |it: &super::world::Command| {
            let slash = if it.body["type"] == 1 { "/" } else { "" };
            format!("{slash}{}", it.body["name"].as_str().unwrap_or_default())
        };
        world.commands.iter().map(name).collect()
    }

    /// The roles of the default server by name, with their ids.
    #[must_use]
    pub fn roles(&self) -> Vec<(String, u64)> {
        let world = self.core.world();
        let roles = world.guilds.get(&world.home).into_iter().flat_map(|it| &it.roles);
        roles.map(|it| (it.name.clone(), it.id)).collect()
    }

    /// Whether the bot is shown as typing in a channel.
    #[must_use]
    pub fn typing(&self, channel: u64) -> bool {
        self.core.world().typing.get(&channel).is_some_and(|it| it.elapsed() < TYPING)
    }

    /// The bot's presence: its status (`online`, `idle`, `dnd`) and the text of its activity.
    #[must_use]
    pub fn presence(&self) -> Option<(String, String)> {
        let world = self.core.world();
        let status = world.presence["status"].as_str()?.to_owned();
        let activity = &world.presence["activities"][0];
        let text = activity["state"].as_str().or_else(|| activity["name"].as_str()).unwrap_or_default();
        Some((status, text.to_owned()))
    }

    /// The latest REST calls, oldest first; at most 10,000 are kept.
    #[must_use]
    pub fn requests(&self) -> Vec<Request> {
        self.core.world().requests.iter().cloned().collect()
    }

    /// How many calls of a name (see `rest/routes.rs`) were answered with each status since the start.
    #[must_use]
    pub fn counts(&self, name: &str) -> Vec<(u16, u64)> {
        let world = self.core.world();
        world.calls.iter().filter(|it| it.0.0 == name).map(|it| (it.0.1, *it.1)).collect()
    }

    /// What clients of the gateway did.
    #[must_use]
    pub fn sessions(&self) -> SessionCounts {
        let world = self.core.world();
        let live = world.sessions.live().filter(|it| !world.sessions.frozen(it.1)).count();
        SessionCounts { live: live as u64, ..world.sessions.counts }
    }

    /// A number that grows with every change that can be seen.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<u64> {
        self.core.world().version.subscribe()
    }

    /// Waits until a session is READY or RESUMED. The caller bounds the wait.
    pub async fn connected(&self) {
        let mut pulse = self.core.world().sessions.pulse.subscribe();
        while self.sessions().live == 0 {
            if pulse.changed().await.is_err() {
                return;
            }
        }
    }

    /// Waits until the bot has taken in every event so far: op 1 asks its sessions for a heartbeat, and the answer's number
    /// says how far they are. False when that does not come about within 10 s, or the connection is frozen. The bot's
    /// handlers have been called by then, but need not have finished.
    pub async fn barrier(&self) -> bool {
        let deadline = Instant::now() + BARRIER;
        let mut pulse = self.core.world().sessions.pulse.subscribe();
        let mut asked: HashMap<String, (u64, u64)> = HashMap::new();
        loop {
            if let Some(done) = self.taken_in(&mut asked) {
                return done;
            }
            match timeout_at(deadline, pulse.changed()).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) | Err(_) => return false,
            }
        }
    }

    /// Whether all sessions are as far as they were when first seen here; asks those that are not, once a connection.
    fn taken_in(&self, asked: &mut HashMap<String, (u64, u64)>) -> Option<bool> {
        let world = self.core.world();
        let (mut any, mut behind, mut frozen) = (false, false, false);
        for (session, link) in world.sessions.live() {
            if world.sessions.frozen(link) {
                frozen = true;
                continue;
            }
            any = true;
            let entry = asked.entry(session.id.clone()).or_insert((session.seq, 0));
            if session.acked >= entry.0 {
                continue;
            }
            behind = true;
            if entry.1 != link {
                entry.1 = link;
                world.sessions.ask(link);
            }
        }
        match (any, behind) {
            (true, false) => Some(true),
            (true, true) => None,
            (false, _) => frozen.then_some(false),
        }
    }

    /// Waits until some message of the bot, in one channel or any, contains the text (also one for a single person). The
    /// caller bounds the wait.
    pub async fn shown(&self, channel: Option<u64>, needle: &str) {
        let mut version = self.watch();
        while !self.says(channel, needle) {
            if version.changed().await.is_err() {
                return;
            }
        }
    }

    /// As [`Discord::shown`] with a bound; false when it ran out.
    pub async fn shown_within(&self, channel: Option<u64>, needle: &str, wait: Duration) -> bool {
        timeout(wait, self.shown(channel, needle)).await.is_ok()
    }

    fn says(&self, channel: Option<u64>, needle: &str) -> bool {
        let world = self.core.world();
        let fits = |it: &&Message| {
            it.author == world.bot && !it.deleted && channel.is_none_or(|id| id == it.channel)
        };
        world.messages.values().rev().filter(fits).any(|it| it.content.contains(needle))
    }
}
