//! How far the gateway was heard, so that what was missed can be found.
//!
//! **The problem.** A process that dies, and a session that is lost for good, leave a gap that no replay fills. What is in it can
//! be read over REST, if one knows where it begins; to store that for every message would cost more than the messages.
//! **The rule.** Each connection has one mark: the newest message that it told of, once that was looked at and has settled
//! for [`SETTLES`]. It never passes a message that is still in hand, nor the beginning of a gap that is still being looked
//! into. A mark may be too old, which costs a look at what was claimed already; it is never too new. **The limits.** Ids of
//! messages are Discord's own clock, so that a connection that is silent without being closed moves nothing.

use crate::{
    chat::away::Mark,
    message::{MessageId, UnixMillis},
};
use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// serenity runs each event in a task of its own: a message of a new session may be heard before it is known that there is
/// a new one. By this time it is.
const SETTLES: Duration = Duration::from_secs(5);
/// Messages that settle together.
const TOGETHER: Duration = Duration::from_millis(250);
/// Discord keeps the order within a channel, not between servers: so much older messages may still have been on their way.
const OVERLAP: Duration = Duration::from_secs(10);

/// The marks of all connections.
#[derive(Debug, Default)]
pub(crate) struct Marks {
    shards: Mutex<BTreeMap<u32, Heard>>,
}

/// What was heard of one connection.
#[derive(Debug, Default)]
struct Heard {
    /// Looked at, and settled.
    settled: Option<MessageId>,
    /// Looked at, not settled yet.
    fresh: VecDeque<(Instant, MessageId)>,
    /// Being looked at, and how often.
    in_hand: BTreeMap<MessageId, u32>,
    /// The gap that is being looked into.
    gap: Option<Gap>,
}

/// A time for which a connection was not heard.
#[derive(Clone, Debug)]
pub(crate) struct Gap {
    pub(crate) shard: u32,
    /// Everything up to this message was heard.
    pub(crate) after: MessageId,
    /// Cancelled when another gap came up, which has this one in it.
    pub(crate) overtaken: CancellationToken,
}

impl Marks {
    /// Begins where the process before ended. The marks of another number of connections say nothing about each of these,
    /// so the oldest of them holds for all; so it does for a connection that had not come up yet.
    pub(crate) fn load(&self, shards: u32, kept: &[Mark]) {
        let is_same = kept.iter().all(|it| it.shards == shards);
        let oldest = kept.iter().map(|it| it.message).min();
        let mut all = self.all();
        for shard in 0..shards {
            let own = kept.iter().find(|it| is_same && it.shard == shard).map(|it| it.message);
            let heard = all.entry(shard).or_default();
            heard.settled = heard.settled.or(own).or(oldest);
        }
    }

    /// A message is being looked at.
    pub(crate) fn take(&self, shard: u32, message: MessageId) {
        *self.all().entry(shard).or_default().in_hand.entry(message).or_default() += 1;
    }

    /// It was looked at.
    pub(crate) fn done(&self, shard: u32, message: MessageId, now: Instant) {
        let mut all = self.all();
        let heard = all.entry(shard).or_default();
        if let Some(count) = heard.in_hand.get_mut(&message) {
            *count -= 1;
            if *count == 0 {
                heard.in_hand.remove(&message);
            }
        }
        match heard.fresh.back_mut() {
            Some((since, newest)) if now.saturating_duration_since(*since) < TOGETHER => {
                *newest = message.max(*newest);
            }
            Some(_) | None => heard.fresh.push_back((now, message)),
        }
        heard.settle(now);
    }

    /// A new session began: the gap before it. None when nobody listened before, so that nothing was missed.
    pub(crate) fn gap(&self, shard: u32, now: Instant, at: UnixMillis) -> Option<Gap> {
        let mut all = self.all();
        let heard = all.entry(shard).or_default();
        heard.settle(now);
        let Some(mark) = heard.mark() else {
            heard.settled = Some(MessageId::first_at(at).minus(OVERLAP));
            return None;
        };
        if let Some(former) = &heard.gap {
            former.overtaken.cancel();
        }
        let gap = Gap { shard, after: mark.minus(OVERLAP), overtaken: CancellationToken::new() };
        // The mark itself, or else it would go back by the overlap with every session.
        heard.gap = Some(Gap { after: mark, ..gap.clone() });
        Some(gap)
    }

    /// The gap was looked into.
    pub(crate) fn close(&self, gap: &Gap) {
        if gap.overtaken.is_cancelled() {
            return;
        }
        if let Some(heard) = self.all().get_mut(&gap.shard) {
            heard.gap = None;
        }
    }

    /// The marks to be kept.
    pub(crate) fn to_keep(&self, shards: u32, now: Instant) -> Vec<Mark> {
        let mut all = self.all();
        let marks = all.iter_mut().filter_map(|(shard, heard)| {
            heard.settle(now);
            Some(Mark { shard: *shard, shards, message: heard.mark()? })
        });
        marks.collect()
    }

    fn all(&self) -> MutexGuard<'_, BTreeMap<u32, Heard>> {
        self.shards.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Heard {
    fn settle(&mut self, now: Instant) {
        while let Some((_, message)) =
            self.fresh.pop_front_if(|it| now.saturating_duration_since(it.0) >= SETTLES)
        {
            self.settled = self.settled.max(Some(message));
        }
    }

    fn mark(&self) -> Option<MessageId> {
        let in_hand = self.in_hand.keys().next().map(|it| MessageId(it.0.saturating_sub(1)));
        let gap = self.gap.as_ref().map(|it| it.after);
        self.settled.map(|it| [in_hand, gap].into_iter().flatten().fold(it, MessageId::min))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: UnixMillis = UnixMillis(1_800_000_000_000);

    /// A message so many seconds after noon.
    fn said(seconds: i64) -> MessageId {
        MessageId::first_at(UnixMillis(NOON.0 + seconds * 1000))
    }

    fn kept(marks: &Marks, now: Instant) -> Vec<i64> {
        let seconds = |it: &Mark| (it.message.said_at().0 - NOON.0).div_euclid(1000);
        marks.to_keep(1, now).iter().map(seconds).collect()
    }

    #[test]
    fn a_mark_never_passes_what_is_in_hand_or_has_not_settled() {
        let (marks, now) = (Marks::default(), Instant::now());
        assert!(marks.gap(0, now, NOON).is_none(), "nobody listened before");
        assert_eq!(kept(&marks, now), [-10]);
        for second in [1, 2, 3] {
            marks.take(0, said(second));
        }
        for second in [3, 1] {
            marks.done(0, said(second), now);
        }
        assert_eq!(kept(&marks, now), [-10]);
        let now = now + SETTLES;
        assert_eq!(kept(&marks, now), [1], "the second one is in hand still: just before it");
        marks.done(0, said(2), now);
        assert_eq!(kept(&marks, now), [3]);
    }

    #[test]
    fn a_mark_does_not_pass_a_gap_until_that_was_looked_into() {
        let (marks, now) = (Marks::default(), Instant::now());
        marks.load(1, &[Mark { shard: 0, shards: 1, message: said(0) }]);
        let first = marks.gap(0, now, NOON).unwrap();
        assert_eq!(first.after, said(-10), "what was on its way is looked at again");
        marks.take(0, said(60));
        marks.done(0, said(60), now);
        let now = now + SETTLES;
        assert_eq!(kept(&marks, now), [0]);
        let second = marks.gap(0, now, NOON).unwrap();
        assert!(first.overtaken.is_cancelled());
        assert_eq!(second.after, said(-10), "it has the first one in it");
        marks.close(&first);
        assert_eq!(kept(&marks, now), [0], "a gap that was overtaken closes nothing");
        marks.close(&second);
        assert_eq!(kept(&marks, now), [60]);
    }

    #[test]
    fn a_message_of_the_new_session_that_overtakes_its_beginning_hides_nothing() {
        let (marks, now) = (Marks::default(), Instant::now());
        marks.load(1, &[Mark { shard: 0, shards: 1, message: said(0) }]);
        marks.take(0, said(300));
        marks.done(0, said(300), now);
        assert_eq!(marks.gap(0, now + Duration::from_secs(1), NOON).unwrap().after, said(-10));
    }

    #[test]
    fn another_number_of_connections_begins_at_the_oldest_mark() {
        let (marks, now) = (Marks::default(), Instant::now());
        let of = |shard, message| Mark { shard, shards: 2, message };
        marks.load(2, &[of(0, said(7)), of(1, said(5))]);
        assert_eq!(kept(&marks, now), [7, 5]);
        let marks = Marks::default();
        marks.load(3, &[of(0, said(7)), of(1, said(5))]);
        assert_eq!(kept(&marks, now), [5, 5, 5]);
        let marks = Marks::default();
        marks.load(2, &[of(0, said(7))]);
        assert_eq!(kept(&marks, now), [7, 7], "the second one was not up yet");
    }
}
