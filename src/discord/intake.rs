//! What is known of messages while they are taken in: the order of a person's messages, calls without a question, and what was
//! changed before it was taken in.
//!
//! **The problem.** The gateway's events are handled at the same time, so that a deletion may overtake its message, and the
//! second half of a question its first. **The rule.** A person's messages in a channel are taken in one after the other; what was changed or
//! deleted lately is remembered, and looked at once a message is claimed. **The limits.** The last 1,024 changes, and as many calls.

use crate::message::{ChannelId, MessageId, UserId};
use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::sync::OwnedMutexGuard;

/// So many changes, and calls, are remembered.
const REMEMBERED: usize = 1024;

type Person = (ChannelId, UserId);

/// What is known.
#[derive(Debug, Default)]
pub(super) struct Intake {
    lines: Mutex<HashMap<Person, Arc<tokio::sync::Mutex<()>>>>,
    calls: Mutex<VecDeque<(Person, MessageId)>>,
    changed: Mutex<VecDeque<(MessageId, Change)>>,
}

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// It has other words.
    Edited,
    /// It is gone.
    Deleted,
}

/// A person's next message waits as long as this lives.
#[derive(Debug)]
pub(super) struct InLine<'a> {
    intake: &'a Intake,
    person: Person,
    line: Option<OwnedMutexGuard<()>>,
}

impl Intake {
    /// Waits until this person's message before this one is taken in.
    pub(super) async fn enter(&self, channel: ChannelId, author: UserId) -> InLine<'_> {
        let person = (channel, author);
        let line = Arc::clone(locked(&self.lines).entry(person).or_default());
        InLine { intake: self, person, line: Some(line.lock_owned().await) }
    }

    /// Somebody called the bot, and said nothing else.
    pub(super) fn was_called(&self, channel: ChannelId, author: UserId, message: MessageId) {
        push(&mut locked(&self.calls), ((channel, author), message));
    }

    /// Whether the same person called the bot shortly before this message. A call is good for one question.
    pub(super) fn follows_a_call(
        &self,
        channel: ChannelId,
        author: UserId,
        message: MessageId,
        burst: Duration,
    ) -> bool {
        let mut calls = locked(&self.calls);
        let is_it = |(person, call): &(Person, MessageId)| {
            let is_soon = *call < message && message.said_at().since(call.said_at()) <= burst;
            *person == (channel, author) && is_soon
        };
        let place = calls.iter().rposition(is_it);
        place.and_then(|it| calls.remove(it)).is_some()
    }

    /// Something became of a message.
    pub(super) fn note(&self, message: MessageId, change: Change) {
        push(&mut locked(&self.changed), (message, change));
    }

    /// What became of a message lately; that it is gone counts most.
    pub(super) fn change(&self, message: MessageId) -> Option<Change> {
        let changed = locked(&self.changed);
        let mut its = changed.iter().filter(|(id, _)| *id == message).map(|(_, change)| *change);
        let first = its.next()?;
        let is_gone = first == Change::Deleted || its.any(|it| it == Change::Deleted);
        Some(if is_gone { Change::Deleted } else { Change::Edited })
    }
}

impl Drop for InLine<'_> {
    fn drop(&mut self) {
        let mut lines = locked(&self.intake.lines);
        self.line = None;
        // One is the table's own: nobody waits.
        if lines.get(&self.person).is_some_and(|it| Arc::strong_count(it) == 1) {
            lines.remove(&self.person);
        }
    }
}

fn push<T>(queue: &mut VecDeque<T>, it: T) {
    if queue.len() >= REMEMBERED {
        queue.pop_front();
    }
    queue.push_back(it);
}

fn locked<T>(it: &Mutex<T>) -> MutexGuard<'_, T> {
    it.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::UnixMillis;
    use futures::FutureExt;

    const HERE: ChannelId = ChannelId(1);
    const ANA: UserId = UserId(2);
    const BURST: Duration = Duration::from_millis(700);

    fn said_at(millis: i64) -> MessageId {
        MessageId::first_at(UnixMillis(1_800_000_000_000 + millis))
    }

    #[tokio::test]
    async fn a_persons_messages_come_one_after_the_other_and_nobody_elses_wait() {
        let intake = Intake::default();
        let first = intake.enter(HERE, ANA).await;
        assert!(intake.enter(HERE, UserId(3)).now_or_never().is_some());
        let mut second = Box::pin(intake.enter(HERE, ANA));
        assert!(second.as_mut().now_or_never().is_none());
        drop(first);
        drop(second.await);
        assert!(locked(&intake.lines).is_empty(), "nothing is left of them");
    }

    #[test]
    fn a_call_is_good_for_one_question_for_a_while() {
        let intake = Intake::default();
        let follows = |millis| intake.follows_a_call(HERE, ANA, said_at(millis), BURST);
        assert!(!follows(100));
        intake.was_called(HERE, ANA, said_at(100));
        assert!(!intake.follows_a_call(HERE, UserId(3), said_at(200), BURST), "another person's");
        assert!(!follows(90), "it was said before");
        assert!(!follows(801), "too late");
        assert!(follows(800));
        assert!(!follows(800), "it is used up");
    }

    #[test]
    fn that_a_message_is_gone_counts_most_and_memory_is_bounded() {
        let intake = Intake::default();
        intake.note(MessageId(1), Change::Deleted);
        intake.note(MessageId(1), Change::Edited);
        assert_eq!(intake.change(MessageId(1)), Some(Change::Deleted));
        (10..10 + REMEMBERED as u64).for_each(|it| intake.note(MessageId(it), Change::Edited));
        assert_eq!(intake.change(MessageId(1)), None);
        assert_eq!(locked(&intake.changed).len(), REMEMBERED);
    }
}
