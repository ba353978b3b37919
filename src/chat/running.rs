//! The turns that are under way, so that people can change their mind about them.

use crate::message::{Inbound, MessageId, TurnId, UserId};
use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
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
    /// Who stopped it.
    pub(crate) stopped: Stopped,
    /// Whether its end is decided, and people may have seen it.
    is_shown: Arc<AtomicBool>,
}

impl Handle {
    /// Somebody stops it, and is named in its reply.
    pub(crate) fn stop(&self, name: &str) {
        self.stopped.set(name);
        self.cancel.cancel();
    }

    /// Whether its end is decided: it is a matter of moments until it is stored.
    pub(crate) fn is_shown(&self) -> bool {
        self.is_shown.load(Ordering::Relaxed)
    }
}

/// The name of whoever stopped a turn, if anybody did.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stopped(Arc<OnceLock<String>>);

impl Stopped {
    /// The first one is named.
    fn set(&self, name: &str) {
        let _ = self.0.set(name.to_owned());
    }

    pub(crate) fn get(&self) -> Option<&str> {
        self.0.get().map(String::as_str)
    }
}

/// The turn is known as long as this lives.
#[must_use = "dropping it takes the turn out of the list"]
#[derive(Debug)]
pub(crate) struct Registered {
    under_way: UnderWay,
    turn: TurnId,
    /// Who stopped it.
    pub(crate) stopped: Stopped,
    is_shown: Arc<AtomicBool>,
}

impl Registered {
    /// The turn's end is decided: what is pressed from now on is meant for what comes after it.
    pub(crate) fn is_shown(&self) {
        self.is_shown.store(true, Ordering::Relaxed);
    }
}

impl UnderWay {
    /// Puts a turn on the list.
    pub(crate) fn register(&self, turn: &TurnId, inbound: &Inbound, cancel: CancellationToken) -> Registered {
        let (stopped, is_shown) = (Stopped::default(), Arc::<AtomicBool>::default());
        let (asker, question) = (inbound.author.id, inbound.message_id);
        let handle =
            Handle { question, asker, cancel, stopped: stopped.clone(), is_shown: Arc::clone(&is_shown) };
        self.turns.lock().unwrap_or_else(PoisonError::into_inner).insert(turn.clone(), handle);
        Registered { under_way: self.clone(), turn: turn.clone(), stopped, is_shown }
    }

    /// A turn by its id; none when it has ended.
    pub(crate) fn turn(&self, turn: &TurnId) -> Option<Handle> {
        self.turns.lock().unwrap_or_else(PoisonError::into_inner).get(turn).cloned()
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
