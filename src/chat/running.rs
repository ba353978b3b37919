//! The turns that are under way, so that people can change their mind about them.

use crate::message::{Inbound, MessageId, TurnId, UserId};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};
use tokio_util::sync::CancellationToken;

/// All of them, waiting and asking. There are at most as many as the lanes have places.
#[derive(Clone, Debug, Default)]
pub(crate) struct UnderWay {
    turns: Arc<Mutex<HashMap<TurnId, Handle>>>,
}

/// What can be done about a turn from outside.
#[derive(Clone, Debug)]
pub(crate) struct Handle {
    /// The question.
    pub(crate) question: MessageId,
    /// Who asked.
    pub(crate) asker: UserId,
    /// Ends it early.
    pub(crate) cancel: CancellationToken,
}

/// The turn is known as long as this lives.
#[must_use = "dropping it takes the turn out of the list"]
#[derive(Debug)]
pub(crate) struct Registered {
    under_way: UnderWay,
    turn: TurnId,
}

impl UnderWay {
    /// Puts a turn on the list.
    pub(crate) fn register(&self, turn: &TurnId, inbound: &Inbound, cancel: CancellationToken) -> Registered {
        let handle = Handle { question: inbound.message_id, asker: inbound.author.id, cancel };
        self.turns.lock().unwrap_or_else(PoisonError::into_inner).insert(turn.clone(), handle);
        Registered { under_way: self.clone(), turn: turn.clone() }
    }

    /// A turn by its id; none when it has ended.
    pub(crate) fn turn(&self, turn: &TurnId) -> Option<Handle> {
        self.turns.lock().unwrap_or_else(PoisonError::into_inner).get(turn).cloned()
    }

    /// The turns of a person.
    pub(crate) fn asked_by(&self, user: UserId) -> Vec<Handle> {
        let turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        turns.values().filter(|it| it.asker == user).cloned().collect()
    }

    /// The turn that answers a message.
    pub(crate) fn answering(&self, question: MessageId) -> Option<Handle> {
        let turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        turns.values().find(|it| it.question == question).cloned()
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        self.under_way.turns.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.turn);
    }
}
