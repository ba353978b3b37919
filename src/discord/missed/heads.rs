//! Where something was said lately: each server tells, when a session begins, the newest message of each of its channels.

use crate::message::{ChannelId, GuildId, MessageId, UserId};
use serenity::all::{ChannelType, Guild, GuildChannel, Permissions};
use std::{
    collections::{HashMap, HashSet},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{
    sync::Notify,
    time::{Instant, timeout},
};

/// When no further server has told of itself for so long, those that are missing are not waited for: they are out of order.
const QUIET: Duration = Duration::from_secs(3);
/// A server's event may overtake the session's own, since serenity runs each in a task of its own. Less than the five seconds that
/// lie between two sessions at least: what a server told in the one before does not say what was missed since.
const OVERTAKES: Duration = Duration::from_secs(1);

/// A place and its newest message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) channel: ChannelId,
    /// The server; none for a direct message.
    pub(crate) guild: Option<GuildId>,
    /// The channel or forum that a thread or post is below.
    pub(crate) parent: Option<ChannelId>,
    pub(crate) newest: MessageId,
}

/// What the servers told when the latest session began.
#[derive(Debug, Default)]
pub(crate) struct Heads {
    guilds: Mutex<HashMap<GuildId, (Instant, Vec<Head>)>>,
    news: Notify,
}

impl Heads {
    /// A server told of itself; what is older than `after` is nothing new.
    pub(crate) fn learn(&self, guild: &Guild, me: Option<UserId>, after: MessageId, now: Instant) {
        let channels = guild.channels.values().chain(&guild.threads);
        let heads =
            channels.filter_map(|it| head(it).filter(|head| head.newest > after).map(|head| (it, head)));
        let heads = heads.filter(|(it, _)| may_read(guild, it, me)).map(|it| it.1).collect();
        self.all().insert(GuildId(guild.id.get()), (now, heads));
        self.news.notify_waiters();
    }

    /// What these servers told since the session that `began` then; waits for those that have not told yet.
    pub(crate) async fn of(&self, guilds: &[GuildId], began: Instant) -> Vec<Head> {
        loop {
            let news = self.news.notified();
            let are_there = {
                let all = self.all();
                let is_there = |it: &GuildId| all.get(it).is_some_and(|it| is_of(it.0, began));
                guilds.iter().all(is_there)
            };
            if are_there || timeout(QUIET, news).await.is_err() {
                break;
            }
        }
        let mut all = self.all();
        let told = guilds.iter().filter_map(|it| all.remove(it)).filter(|it| is_of(it.0, began));
        told.flat_map(|it| it.1).collect()
    }

    fn all(&self) -> MutexGuard<'_, HashMap<GuildId, (Instant, Vec<Head>)>> {
        self.guilds.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_of(told: Instant, began: Instant) -> bool {
    told + OVERTAKES >= began
}

fn head(channel: &GuildChannel) -> Option<Head> {
    match channel.kind {
        // A forum has no messages of its own: its posts come as threads.
        ChannelType::Category | ChannelType::Forum | ChannelType::Directory => return None,
        _ => {}
    }
    Some(Head {
        channel: ChannelId(channel.id.get()),
        guild: Some(GuildId(channel.guild_id.get())),
        parent: channel.parent_id.map(|it| ChannelId(it.get())),
        newest: MessageId(channel.last_message_id?.get()),
    })
}

/// Whether the bot may read what was said, as far as the server tells. A thread has the permissions of its channel.
fn may_read(guild: &Guild, channel: &GuildChannel, me: Option<UserId>) -> bool {
    let above = channel.thread_metadata.and(channel.parent_id).and_then(|it| guild.channels.get(&it));
    let member = me.and_then(|it| guild.members.get(&serenity::all::UserId::new(it.0)));
    let needed = Permissions::VIEW_CHANNEL | Permissions::READ_MESSAGE_HISTORY;
    member.is_none_or(|it| guild.user_permissions_in(above.unwrap_or(channel), it).contains(needed))
}

/// The places to look into, at most `at_most`: those with something new, where the bot is at home first, then the latest
/// first (pure).
pub(crate) fn worth_looking(
    mut heads: Vec<Head>,
    is_home: impl Fn(&Head) -> bool,
    after: MessageId,
    at_most: usize,
) -> Vec<Head> {
    heads.retain(|it| it.newest > after);
    heads.sort_by_key(|it| (!is_home(it), std::cmp::Reverse(it.newest), it.channel));
    let mut seen = HashSet::new();
    heads.retain(|it| seen.insert(it.channel));
    heads.truncate(at_most);
    heads
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(channel: u64, newest: u64) -> Head {
        Head { channel: ChannelId(channel), guild: Some(GuildId(1)), parent: None, newest: MessageId(newest) }
    }

    #[test]
    fn home_comes_first_then_the_latest_and_what_is_old_not_at_all() {
        let heads = vec![head(1, 90), head(2, 50), head(3, 70), head(4, 99), head(1, 90), head(5, 60)];
        let is_home = |it: &Head| matches!(it.channel.0, 3 | 5);
        let picked = |at_most| {
            let found = worth_looking(heads.clone(), is_home, MessageId(50), at_most);
            found.iter().map(|it| it.channel.0).collect::<Vec<_>>()
        };
        assert_eq!(picked(10), [3, 5, 4, 1]);
        assert_eq!(picked(3), [3, 5, 4]);
    }

    #[tokio::test(start_paused = true)]
    async fn who_does_not_tell_is_not_waited_for_and_who_told_long_ago_does_not_count() {
        let heads = Heads::default();
        let began = Instant::now() + Duration::from_secs(60);
        let tell = |guild, at| {
            heads.all().insert(GuildId(guild), (at, vec![head(guild, 9)]));
            heads.news.notify_waiters();
        };
        tell(1, began - Duration::from_secs(1));
        tell(2, began - Duration::from_secs(50));
        let found = heads.of(&[GuildId(1), GuildId(2), GuildId(3)], began).await;
        assert_eq!(found, [head(1, 9)]);
        let both = async {
            tokio::join!(heads.of(&[GuildId(4)], began), async {
                tokio::time::sleep(QUIET / 2).await;
                tell(4, began);
            })
        };
        assert_eq!(both.await.0, [head(4, 9)]);
    }
}
