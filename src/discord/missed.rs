//! Finds what was said while nobody listened, and has it answered as if it had just been heard.
//!
//! **The problem.** After a restart, or when Discord has dropped the session, what was said meanwhile is never told. People take a
//! bot that does not answer for dead. **The rule.** Whenever a session begins that is no continuation, the places in which
//! something was said since the mark ([`super::marks`]) are read, and what is meant for the bot goes the way of every message,
//! oldest first: the claim in the store sees to it that nothing is answered twice. **The limits.** Only what is younger than
//! `chat.answer_missed`; in each place the latest [`ANSWERED`] messages of the last [`PAGES`] pages, and one sentence about
//! the others; [`PLACES`] places, some at a time, and only while fewer than [`BUSY`] turns are running, so that people who
//! speak now come first. The first direct message of somebody new cannot be found: Discord does not list such channels.

mod heads;
mod order;

pub(crate) use heads::Heads;
pub(crate) use order::Order;

use super::{
    Door,
    inbound::{self, Verdict},
    marks::Gap,
    outbound::Stage,
    rest::{PAGE, Page, RestError},
};
use crate::message::{ChannelId, GuildId, MessageId, UnixMillis, UserId};
use futures::{StreamExt as _, stream};
use heads::{Head, worth_looking};
use serenity::all::{Message, Ready};
use std::{collections::HashSet, time::Duration};
use tokio::time::{Instant, sleep};
use tracing::{debug, info, warn};

/// Places looked into after one time away. At some twenty a second this takes ten seconds.
const PLACES: usize = 200;
/// Places looked into at the same time.
const AT_ONCE: usize = 3;
/// After each page. Together with [`AT_ONCE`] less than half of what Discord allows a bot.
const BREATH: Duration = Duration::from_millis(150);
/// Pages of a hundred messages read in one place, the newest first.
const PAGES: usize = 5;
/// Messages answered in one place: less than a conversation's line takes.
const ANSWERED: usize = 8;
/// While so many turns are running, what was missed waits.
const BUSY: i64 = 24;
/// How often it is looked whether there is room.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// Who speaks while their channel is still to be looked into waits for so long at most.
const LIVE_WAITS: Duration = Duration::from_secs(2);
/// What Discord did not let us read is tried again after this time, and then after twice as long each time.
const AGAIN_AFTER: Duration = Duration::from_secs(2);
const AGAIN_AT_MOST: Duration = Duration::from_secs(60);

/// A gateway message while it is looked at. Only when that is over does the mark pass it; and not when the process is
/// stopping, since then it may not have been looked at.
#[must_use = "the message counts as heard when this is dropped"]
pub(super) struct Hearing {
    door: Door,
    shard: u32,
    message: MessageId,
}

impl Drop for Hearing {
    fn drop(&mut self) {
        if !self.door.inner.closing.is_cancelled() {
            self.door.inner.marks.done(self.shard, self.message, Instant::now());
        }
    }
}

impl Door {
    /// A message is about to be looked at. What was missed in its channel goes first.
    pub(super) async fn hearing(&self, shard: u32, message: &Message) -> Hearing {
        let (id, channel) = (MessageId(message.id.get()), ChannelId(message.channel_id.get()));
        self.inner.marks.take(shard, id);
        let hearing = Hearing { door: self.clone(), shard, message: id };
        self.inner.order.wait(shard, channel, LIVE_WAITS).await;
        hearing
    }

    /// A server tells of itself.
    pub(super) fn learn_heads(&self, guild: &serenity::all::Guild) {
        let oldest = MessageId::first_at(UnixMillis::now().minus(self.inner.settings.chat.answer_missed));
        self.inner.heads.learn(guild, self.inner.me.get().copied(), oldest, Instant::now());
    }

    /// The gap before a session that has just begun.
    pub(super) fn gap_before(&self, ready: &Ready) -> Option<Gap> {
        let shard = ready.shard.map_or(0, |it| it.id.0);
        let gap = self.inner.marks.gap(shard, Instant::now(), UnixMillis::now());
        if gap.is_some() {
            self.inner.order.begin(shard);
        }
        gap
    }

    /// Looks into a gap, until that is done, another session begins, or the process stops: then it is looked into again.
    /// `guilds` are the servers of the session that `began` behind it.
    pub(super) async fn catch_up(&self, gap: Gap, guilds: Vec<GuildId>, began: Instant) {
        tokio::select! {
            biased;
            () = self.inner.closing.cancelled() => {}
            () = gap.overtaken.cancelled() => {}
            () = self.look(&gap, &guilds, began) => {
                self.inner.marks.close(&gap);
                self.inner.order.end(gap.shard);
            }
        }
    }

    async fn look(&self, gap: &Gap, guilds: &[GuildId], began: Instant) {
        let age = self.inner.settings.chat.answer_missed;
        if age.is_zero() {
            return;
        }
        let mut left = self.places(gap, guilds, began).await;
        let (mut found, mut pause) = (0, AGAIN_AFTER);
        let places = left.len();
        self.inner.order.expect(gap.shard, left.iter().map(|it| it.channel).collect());
        loop {
            let looks = stream::iter(left).map(|it| async move {
                let looked = self.look_into(it, gap.after).await;
                self.inner.order.done(gap.shard, it.channel);
                (it, looked)
            });
            let looks: Vec<_> = looks.buffer_unordered(AT_ONCE).collect().await;
            found += looks.iter().filter_map(|it| it.1.as_ref().ok()).sum::<usize>();
            left = looks.into_iter().filter(|it| it.1.is_err()).map(|it| it.0).collect();
            if left.is_empty() || began.elapsed() + pause > age {
                break;
            }
            sleep(pause).await;
            pause = (pause * 2).min(AGAIN_AT_MOST);
        }
        if !left.is_empty() {
            warn!(places = left.len(), "what was said while nobody listened could not be read everywhere");
        }
        if places > 0 {
            info!(places, found, "looked for messages that were missed: {found} to answer");
        }
    }

    /// The places in which something new may be found.
    async fn places(&self, gap: &Gap, guilds: &[GuildId], began: Instant) -> Vec<Head> {
        let (heads, recent) =
            tokio::join!(self.inner.heads.of(guilds, began), self.inner.chat.recent_places());
        let chat = &self.inner.settings.chat;
        let is_home = |it: &Head| {
            recent.places.contains(&it.channel)
                || chat.channels.contains(&it.channel.0)
                || it.parent.is_some_and(|it| chat.forums.contains(&it.0))
        };
        let after = gap.after.max(self.oldest());
        let mut places = worth_looking(heads, is_home, after, PLACES);
        // Direct messages belong to the first connection, and nobody tells what is new in them.
        if gap.shard == 0 {
            let newest = MessageId(u64::MAX);
            let direct = recent.direct.iter();
            places.extend(direct.map(|it| Head { channel: *it, guild: None, parent: None, newest }));
        }
        places
    }

    /// Everything before this is too old to be answered unasked.
    fn oldest(&self) -> MessageId {
        MessageId::first_at(UnixMillis::now().minus(self.inner.settings.chat.answer_missed))
    }

    /// Looks into one place. Says how many messages were found that are to be answered.
    async fn look_into(&self, place: Head, after: MessageId) -> Result<usize, RestError> {
        let messages = match self.read_back(place.channel, after.max(self.oldest())).await {
            Ok(messages) => messages,
            // It is not for us to read, or gone.
            Err(RestError::Forbidden { .. } | RestError::NotFound { .. }) => return Ok(0),
            Err(failure) => {
                debug!(error = %failure, channel = %place.channel, "could not read what was missed; it is tried again");
                return Err(failure);
            }
        };
        let Some(&me) = self.inner.me.get() else { return Ok(0) };
        let mut meant = self.meant(place, messages, me).await;
        let too_many = meant.len().saturating_sub(ANSWERED);
        let latest = meant.split_off(too_many);
        if let Some(last) = meant.last() {
            let stage = Stage::Channel { channel: place.channel, question: MessageId(last.id.get()) };
            self.say(&stage, &self.inner.chat.more_was_missed()).await;
        }
        let found = latest.len();
        for message in latest {
            while self.inner.chat.metrics().turns_running() >= BUSY {
                sleep(LOOK_EVERY).await;
            }
            self.hear(message).await;
        }
        Ok(found)
    }

    /// The messages of a place after one of them, oldest first. Deleted ones are not there any more, and edited ones say
    /// what they say now.
    async fn read_back(&self, channel: ChannelId, after: MessageId) -> Result<Vec<Message>, RestError> {
        let (mut all, mut page) = (Vec::new(), Page::Newest);
        for _ in 0..PAGES {
            let read: Vec<Message> = self.inner.rest.messages(channel, page, PAGE).await?;
            sleep(BREATH).await;
            let oldest = read.iter().map(|it| MessageId(it.id.get())).min();
            all.extend(read.into_iter().filter(|it| it.id.get() > after.0));
            match oldest {
                Some(oldest) if oldest > after => page = Page::Before(oldest),
                Some(_) | None => break,
            }
        }
        all.sort_by_key(|it| it.id);
        Ok(all)
    }

    /// Those of the messages that are for the bot, and that nobody has taken care of yet.
    async fn meant(&self, place: Head, mut messages: Vec<Message>, me: UserId) -> Vec<Message> {
        let ids: Vec<MessageId> = messages.iter().map(|it| MessageId(it.id.get())).collect();
        let claimed = self.inner.chat.claimed(&ids).await;
        let told = told(&messages, &claimed, me, &self.inner.chat.more_was_missed());
        let mut ours_since = self.inner.chat.ours_since(place.channel).await;
        let mut meant = Vec::new();
        for message in &mut messages {
            // REST leaves out what the gateway says.
            message.guild_id = place.guild.map(|it| serenity::all::GuildId::new(it.0));
            let here = self.whereabouts(message).await;
            let id = MessageId(message.id.get());
            let is_meant = match inbound::judge(message, me, &here, &self.inner.settings.chat) {
                Verdict::Ignore => false,
                Verdict::Answer(_) => {
                    ours_since = Some(ours_since.map_or(id, |it| it.min(id)));
                    true
                }
                // What was said before the bot was asked into a thread was not said to it.
                Verdict::AnswerIfOurs(_) => ours_since.is_some_and(|it| it < id),
            };
            if is_meant && !claimed.contains(&id) && !told.has(id) {
                meant.push(message.clone());
            }
        }
        meant
    }
}

/// Messages that were refused with a word.
#[derive(Debug, Default, PartialEq, Eq)]
struct Told {
    /// Each by itself.
    refused: HashSet<MessageId>,
    /// All up to this one.
    through: Option<MessageId>,
}

impl Told {
    fn has(&self, message: MessageId) -> bool {
        self.refused.contains(&message) || self.through.is_some_and(|it| message <= it)
    }
}

/// What we replied to without having claimed it: that was a word about not answering it (pure).
fn told(messages: &[Message], claimed: &HashSet<MessageId>, me: UserId, more_was_missed: &str) -> Told {
    let mut told = Told::default();
    for message in messages.iter().filter(|it| it.author.id.get() == me.0) {
        let replied_to = message.message_reference.as_ref().and_then(|it| it.message_id);
        let Some(to) = replied_to.map(|it| MessageId(it.get())).filter(|it| !claimed.contains(it)) else {
            continue;
        };
        told.refused.insert(to);
        if message.content == more_was_missed {
            told.through = told.through.max(Some(to));
        }
    }
    told
}
