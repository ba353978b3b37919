//! How much may be asked: by a person, in a channel, on a server, within a time.
//!
//! **The problem.** One person with a script, or one busy channel, can use up what an operator pays for everybody. **The
//! rule.** So many turns in any stretch of the time that is set, counted where they are asked, before anything else is done;
//! what is refused is not counted. Whoever is refused is told once a while when to come back, and a channel hears no more
//! than a few such words: a flood that is answered is twice a flood. **The limits.** What is counted is in memory: after a
//! restart everybody may ask anew. The counts are bounded, too; in a flood of people the ones not heard for the longest are
//! forgotten, and may ask anew as well. Above 64 turns in a time, those within a 64th of it are counted together, and
//! that much longer.

use crate::{
    config::{LimitsConfig, Rate},
    message::{ChannelId, GuildId, UserId},
};
use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    hash::Hash,
    time::Duration,
};
use tokio::time::Instant;

/// So many people, channels or servers are counted at once; with 64 marks each that is 6 MB at the most.
const COUNTED: usize = 4096;
/// So many marks are kept for each.
const MARKS: u32 = 64;
/// Words to those who are refused: so many in a channel, whoever they are for.
const WORDS: Rate = Rate { count: 3, per: Duration::from_secs(10) };
/// Who found no place in line is told at most so often in a channel.
const BUSY_WORD: Rate = Rate { count: 1, per: Duration::from_secs(30) };

/// Who asks, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Asker {
    pub(crate) person: UserId,
    pub(crate) channel: ChannelId,
    pub(crate) server: Option<GuildId>,
}

/// Which limit was reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Scope {
    /// The person's.
    Person,
    /// The channel's.
    Channel,
    /// The server's.
    Server,
}

impl Scope {
    /// The word for it in the metrics.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Person => "person",
            Self::Channel => "channel",
            Self::Server => "server",
        }
    }
}

/// A turn that may not be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OverLimit {
    pub(crate) scope: Scope,
    /// When there is room again.
    pub(crate) wait: Duration,
}

/// All counts of the process.
#[derive(Debug)]
pub(crate) struct Limits {
    people: Option<Windows<UserId>>,
    channels: Option<Windows<ChannelId>>,
    servers: Option<Windows<GuildId>>,
    /// Who was told of which limit, and may be told again when.
    told: BTreeMap<(Scope, u64), Instant>,
    words: Windows<ChannelId>,
    busy_words: Windows<ChannelId>,
}

impl Limits {
    /// The limits as configured; nobody has asked yet.
    pub(crate) fn new(settings: &LimitsConfig) -> Self {
        Self {
            people: settings.per_user.map(Windows::new),
            channels: settings.per_channel.map(Windows::new),
            servers: settings.per_server.map(Windows::new),
            told: BTreeMap::new(),
            words: Windows::new(WORDS),
            busy_words: Windows::new(BUSY_WORD),
        }
    }

    /// Counts a turn, if all limits have room for it.
    ///
    /// # Errors
    /// One has none; of several, the one that has room last. Nothing is counted then.
    pub(crate) fn take(&mut self, asker: &Asker, now: Instant) -> Result<(), OverLimit> {
        let Self { people, channels, servers, .. } = self;
        let waits = [
            (Scope::Person, people.as_mut().and_then(|it| it.wait(&asker.person, now))),
            (Scope::Channel, channels.as_mut().and_then(|it| it.wait(&asker.channel, now))),
            (Scope::Server, asker.server.and_then(|server| servers.as_mut()?.wait(&server, now))),
        ];
        let longest = waits.into_iter().filter_map(|(scope, wait)| Some(OverLimit { scope, wait: wait? }));
        if let Some(over) = longest.max_by_key(|it| it.wait) {
            return Err(over);
        }
        people.iter_mut().for_each(|it| it.count(asker.person, now));
        channels.iter_mut().for_each(|it| it.count(asker.channel, now));
        if let (Some(server), Some(servers)) = (asker.server, servers) {
            servers.count(server, now);
        }
        Ok(())
    }

    /// Takes back what was counted last: it was no turn after all.
    pub(crate) fn give_back(&mut self, asker: &Asker) {
        self.people.iter_mut().for_each(|it| it.give_back(&asker.person));
        self.channels.iter_mut().for_each(|it| it.give_back(&asker.channel));
        if let (Some(server), Some(servers)) = (asker.server, &mut self.servers) {
            servers.give_back(&server);
        }
    }

    /// Whether somebody who was refused is to be told now: a person once for their limit, a channel once for its own and the
    /// server's, and never too many words in a channel.
    pub(crate) fn is_told(&mut self, over: OverLimit, asker: &Asker, now: Instant) -> bool {
        let per = match over.scope {
            Scope::Person => self.people.as_ref().map(|it| it.rate.per),
            Scope::Channel => self.channels.as_ref().map(|it| it.rate.per),
            Scope::Server => self.servers.as_ref().map(|it| it.rate.per),
        };
        let key = match over.scope {
            Scope::Person => (over.scope, asker.person.0),
            Scope::Channel | Scope::Server => (over.scope, asker.channel.0),
        };
        if self.told.get(&key).is_some_and(|again| now < *again)
            || self.words.wait(&asker.channel, now).is_some()
        {
            return false;
        }
        if self.told.len() >= COUNTED {
            self.told.retain(|_, again| now < *again);
        }
        if self.told.len() >= COUNTED {
            return false; // Nobody reads that many.
        }
        self.words.count(asker.channel, now);
        self.told.insert(key, now + per.unwrap_or_default().max(over.wait));
        true
    }

    /// Whether a channel is to be told now that the line is full.
    pub(crate) fn is_told_of_the_line(&mut self, channel: ChannelId, now: Instant) -> bool {
        let is_told = self.busy_words.wait(&channel, now).is_none();
        if is_told {
            self.busy_words.count(channel, now);
        }
        is_told
    }
}

/// What happened lately, for many keys: at most so often in any stretch of so long.
#[derive(Debug)]
struct Windows<K> {
    rate: Rate,
    /// What lies closer together than this is one mark, which stays for so much longer.
    grain: Duration,
    keys: HashMap<K, Window>,
    /// Who was heard when, so that the one not heard for the longest is found.
    heard: BTreeMap<(Instant, u64), K>,
    serial: u64,
}

/// Marks in the order of time: when, and how often.
#[derive(Debug)]
struct Window {
    marks: VecDeque<(Instant, u32)>,
    heard: (Instant, u64),
}

impl<K: Copy + Eq + Hash> Windows<K> {
    fn new(rate: Rate) -> Self {
        let grain = if rate.count <= MARKS { Duration::ZERO } else { rate.per / MARKS };
        Self { rate, grain, keys: HashMap::new(), heard: BTreeMap::new(), serial: 0 }
    }

    /// How long until once more is allowed; none: it is now.
    fn wait(&mut self, key: &K, now: Instant) -> Option<Duration> {
        let Rate { count, per } = self.rate;
        let window = self.keys.get_mut(key)?;
        let stays = per + self.grain;
        while window.marks.front().is_some_and(|(at, _)| *at + stays <= now) {
            window.marks.pop_front();
        }
        let total: u32 = window.marks.iter().map(|it| it.1).sum();
        if total < count {
            return None;
        }
        window.marks.front().map(|(at, _)| (*at + stays).saturating_duration_since(now))
    }

    fn count(&mut self, key: K, now: Instant) {
        self.forget_some(now);
        let heard = (now, self.serial);
        self.serial += 1;
        let window = self.keys.entry(key).or_insert_with(|| Window { marks: VecDeque::new(), heard });
        self.heard.remove(&std::mem::replace(&mut window.heard, heard));
        self.heard.insert(heard, key);
        match window.marks.back_mut() {
            Some((at, often)) if now.saturating_duration_since(*at) < self.grain => *often += 1,
            Some(_) | None => window.marks.push_back((now, 1)),
        }
    }

    fn give_back(&mut self, key: &K) {
        let Some(window) = self.keys.get_mut(key) else { return };
        if let Some(last) = window.marks.back_mut() {
            last.1 -= 1;
            if last.1 == 0 {
                window.marks.pop_back();
            }
        }
    }

    /// Those of whom nothing counts any more; and, if there are too many all the same, the one not heard for the longest.
    fn forget_some(&mut self, now: Instant) {
        while let Some((&(at, serial), _)) = self.heard.first_key_value() {
            if at + self.rate.per + self.grain > now && self.keys.len() < COUNTED {
                return;
            }
            if let Some(key) = self.heard.remove(&(at, serial)) {
                self.keys.remove(&key);
            }
        }
    }
}

#[cfg(test)]
mod tests;
