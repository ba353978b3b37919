//! One turn at a time in a conversation: whoever comes while one is running waits in line, oldest message first.

use crate::message::{ConversationId, MessageId};
use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, PoisonError},
};
use tokio::sync::oneshot;

/// So many messages may wait in one conversation. More is a flood that nobody would read the answers to.
const LONGEST_LINE: usize = 16;

/// Those who wait, by message. Discord's ids grow with time, so a message that was overtaken on its way here is served first all the same.
type Line = BTreeMap<MessageId, oneshot::Sender<()>>;

/// All lanes in use.
#[derive(Clone, Debug, Default)]
pub(crate) struct Lanes {
    busy: Arc<Mutex<HashMap<ConversationId, Line>>>,
}

/// Why there is no place in line.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum NoPlace {
    /// Too many are waiting.
    Full,
    /// The message has a place already: it was heard twice.
    Taken,
}

/// A place in line.
#[must_use = "dropping the ticket gives the place up"]
#[derive(Debug)]
pub(crate) struct Ticket {
    turn: oneshot::Receiver<()>,
    guard: LaneGuard,
}

/// The lane is held as long as this lives.
#[must_use = "dropping the guard lets the next one in"]
#[derive(Debug)]
pub(crate) struct LaneGuard {
    lanes: Lanes,
    conversation: ConversationId,
    message: MessageId,
}

impl Lanes {
    /// Gets in line, at once.
    ///
    /// # Errors
    /// Too many are waiting, or this message is.
    pub(crate) fn line_up(
        &self,
        conversation: ConversationId,
        message: MessageId,
    ) -> Result<Ticket, NoPlace> {
        let (call, turn) = oneshot::channel();
        let mut busy = self.busy.lock().unwrap_or_else(PoisonError::into_inner);
        match busy.get_mut(&conversation) {
            Some(line) if line.contains_key(&message) => return Err(NoPlace::Taken),
            Some(line) if line.len() >= LONGEST_LINE => return Err(NoPlace::Full),
            Some(line) => {
                line.insert(message, call);
            }
            None => {
                busy.insert(conversation, Line::new());
                // The receiver is right here, so that this cannot fail.
                let _ = call.send(());
            }
        }
        drop(busy);
        Ok(Ticket { turn, guard: LaneGuard { lanes: self.clone(), conversation, message } })
    }
}

impl Ticket {
    /// Waits until the lane is free. The turn before has a deadline, so this wait has one, too.
    pub(crate) async fn enter(self) -> LaneGuard {
        let Self { turn, guard } = self;
        // An error would mean that the line was dropped with the lanes: then the lane is free as well.
        let _ = turn.await;
        guard
    }
}

impl Drop for LaneGuard {
    fn drop(&mut self) {
        let mut busy = self.lanes.busy.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(line) = busy.get_mut(&self.conversation) else { return };
        if line.remove(&self.message).is_some() {
            return; // It gave up while waiting; somebody else has the lane.
        }
        while let Some((_, call)) = line.pop_first() {
            if call.send(()).is_ok() {
                return;
            }
        }
        busy.remove(&self.conversation);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::ChannelId;
    use futures::FutureExt;

    const HERE: ConversationId = ConversationId(ChannelId(1));
    const THERE: ConversationId = ConversationId(ChannelId(2));

    #[tokio::test]
    async fn one_at_a_time_oldest_first_and_other_lanes_are_free() {
        let lanes = Lanes::default();
        let first = lanes.line_up(HERE, MessageId(10)).unwrap().enter().await;
        let third = lanes.line_up(HERE, MessageId(12)).unwrap();
        let second = lanes.line_up(HERE, MessageId(11)).unwrap();
        let elsewhere = lanes.line_up(THERE, MessageId(13)).unwrap().enter().now_or_never();
        assert!(elsewhere.is_some(), "another conversation does not wait");
        let (mut second, mut third) = (Box::pin(second.enter()), Box::pin(third.enter()));
        assert!(second.as_mut().now_or_never().is_none());
        drop(first);
        assert!(third.as_mut().now_or_never().is_none(), "the older message goes first");
        let second = second.await;
        drop(second);
        drop(third.await);
        assert!(lanes.busy.lock().unwrap().keys().all(|it| *it != HERE), "an empty lane is forgotten");
    }

    #[tokio::test]
    async fn who_gives_up_lets_nobody_in_and_holds_nobody_up() {
        let lanes = Lanes::default();
        let first = lanes.line_up(HERE, MessageId(1)).unwrap().enter().await;
        let second = lanes.line_up(HERE, MessageId(2)).unwrap();
        let mut third = Box::pin(lanes.line_up(HERE, MessageId(3)).unwrap().enter());
        drop(second);
        assert!(third.as_mut().now_or_never().is_none(), "the first one still has the lane");
        drop(first);
        drop(third.await);
    }

    #[tokio::test]
    async fn a_message_that_is_heard_twice_has_one_place() {
        let lanes = Lanes::default();
        let first = lanes.line_up(HERE, MessageId(1)).unwrap().enter().await;
        let mut second = Box::pin(lanes.line_up(HERE, MessageId(2)).unwrap().enter());
        assert_eq!(lanes.line_up(HERE, MessageId(2)).unwrap_err(), NoPlace::Taken);
        drop(lanes.line_up(HERE, MessageId(1)).unwrap());
        assert!(second.as_mut().now_or_never().is_none(), "the first one still has the lane");
        drop(first);
        drop(second.await);
    }

    #[tokio::test]
    async fn a_line_is_bounded() {
        let lanes = Lanes::default();
        let guard = lanes.line_up(HERE, MessageId(0)).unwrap().enter().await;
        let tickets: Vec<_> = (1..=16).map(|it| lanes.line_up(HERE, MessageId(it)).unwrap()).collect();
        assert_eq!(lanes.line_up(HERE, MessageId(17)).unwrap_err(), NoPlace::Full);
        drop(guard);
        drop(tickets);
        assert!(lanes.busy.lock().unwrap().is_empty());
    }
}
