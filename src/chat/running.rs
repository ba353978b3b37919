//! The turns that are under way, so that people can change their mind about them.

use crate::message::{Attachment, Beside, ChannelId, Inbound, MessageId, Trigger, TurnId, UserId};
use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// So often a turn begins anew because its question changed: each time costs a prompt. Later changes are remembered, and
/// the answer is to the words before them.
const MOST_CHANGES: u32 = 5;

/// All of them, waiting and asking. There are at most as many as the lanes have places.
#[derive(Clone, Debug, Default)]
pub(crate) struct UnderWay {
    known: Arc<Mutex<Known>>,
}

#[derive(Debug, Default)]
struct Known {
    turns: HashMap<TurnId, Handle>,
    /// The newest turn of each person in each channel.
    newest: HashMap<(ChannelId, UserId), TurnId>,
}

/// What is asked, as people left it last.
#[derive(Clone, Debug)]
pub(crate) struct Said {
    /// The whole question.
    pub(crate) text: String,
    /// What goes with it.
    pub(crate) beside: Beside,
    /// Its last message.
    last: MessageId,
    /// How often it changed.
    changes: u32,
    /// The answer is whole; what is said now comes too late.
    is_settled: bool,
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
    stopped: Stopped,
    /// Its end is decided, and people may have seen it.
    is_shown: Arc<AtomicBool>,
    said: watch::Sender<Said>,
    has_shown: Arc<AtomicBool>,
    ended: CancellationToken,
}

/// The turn is known as long as this lives.
#[must_use = "dropping it takes the turn out of the list"]
#[derive(Debug)]
pub(crate) struct Registered {
    under_way: UnderWay,
    turn: TurnId,
    person: (ChannelId, UserId),
    handle: Handle,
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

impl UnderWay {
    /// Puts a turn on the list.
    pub(crate) fn register(&self, turn: &TurnId, inbound: &Inbound, cancel: CancellationToken) -> Registered {
        let said = Said {
            text: inbound.text.clone(),
            beside: inbound.beside.clone(),
            last: inbound.message_id,
            changes: 0,
            is_settled: false,
        };
        let handle = Handle {
            question: inbound.message_id,
            asker: inbound.author.id,
            cancel,
            stopped: Stopped::default(),
            is_shown: Arc::default(),
            said: watch::Sender::new(said),
            has_shown: Arc::default(),
            ended: CancellationToken::new(),
        };
        let person = (inbound.channel_id, inbound.author.id);
        let mut known = self.known();
        known.turns.insert(turn.clone(), handle.clone());
        if inbound.trigger != Trigger::Command {
            known.newest.insert(person, turn.clone());
        }
        drop(known);
        Registered { under_way: self.clone(), turn: turn.clone(), person, handle }
    }

    /// A turn by its id; none when it has ended.
    pub(crate) fn turn(&self, turn: &TurnId) -> Option<Handle> {
        self.known().turns.get(turn).cloned()
    }

    /// The turns of a person.
    pub(crate) fn asked_by(&self, user: UserId) -> Vec<Handle> {
        self.known().turns.values().filter(|it| it.asker == user).cloned().collect()
    }

    /// The turn that answers a message.
    pub(crate) fn answering(&self, question: MessageId) -> Option<Handle> {
        self.known().turns.values().find(|it| it.question == question).cloned()
    }

    /// The turn that a further message of its asker belongs to: it comes within `burst` of the last one, and nothing of the
    /// answer was shown.
    pub(crate) fn open_to(&self, more: &Inbound, burst: Duration) -> Option<(TurnId, Handle)> {
        let known = self.known();
        let turn = known.newest.get(&(more.channel_id, more.author.id))?;
        let handle = known.turns.get(turn)?;
        handle.is_open_to(more.message_id, burst).then(|| (turn.clone(), handle.clone()))
    }

    /// People have seen a part of this turn's answer.
    pub(crate) fn has_shown(&self, turn: &TurnId) {
        if let Some(handle) = self.known().turns.get(turn) {
            handle.has_shown.store(true, Ordering::Relaxed);
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
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

    fn is_open_to(&self, message: MessageId, burst: Duration) -> bool {
        let said = self.said.borrow();
        let is_soon = said.last < message && message.said_at().since(said.last.said_at()) <= burst;
        is_soon && said.may_change() && !self.cancel.is_cancelled() && !self.has_shown.load(Ordering::Relaxed)
    }

    /// Adds a further message to the question. False when the answer is whole already.
    pub(crate) fn add(&self, more: &Inbound) -> bool {
        self.said.send_if_modified(|it| {
            if it.is_settled {
                return false;
            }
            it.text = format!("{}\n{}", it.text, more.text);
            it.beside.files.extend(more.beside.files.iter().cloned());
            it.last = more.message_id;
            it.changes += 1;
            true
        })
    }

    /// Puts other words in the place of the question.
    pub(crate) fn reword(&self, text: &str) {
        self.said.send_if_modified(|it| {
            let is_new = it.may_change() && it.text != text;
            if is_new {
                text.clone_into(&mut it.text);
                it.changes += 1;
            }
            is_new
        });
    }

    /// The files as they are now, with their addresses, which are not stored. Only other files change the question; those of
    /// a question in several messages stay as they were.
    pub(crate) fn find_files(&self, files: Vec<Attachment>) {
        let named =
            |files: &[Attachment]| files.iter().map(|it| (it.name.clone(), it.size)).collect::<Vec<_>>();
        self.said.send_if_modified(|it| {
            if it.last != self.question {
                return false;
            }
            let is_other = it.may_change() && named(&it.beside.files) != named(&files);
            it.beside.files = files;
            it.changes += u32::from(is_other);
            is_other
        });
    }

    /// Nobody wants the answer: the question is gone.
    pub(crate) fn give_up(&self) {
        self.cancel.cancel();
    }

    /// Waits until the turn has ended.
    pub(crate) async fn ended(&self) {
        self.ended.cancelled().await;
    }
}

impl Said {
    fn may_change(&self) -> bool {
        !self.is_settled && self.changes < MOST_CHANGES
    }

    /// The message as it is now.
    pub(crate) fn of(&self, inbound: &Inbound) -> Inbound {
        Inbound { text: self.text.clone(), beside: self.beside.clone(), ..inbound.clone() }
    }
}

impl Registered {
    /// The turn's end is decided: what is pressed from now on is meant for what comes after it.
    pub(crate) fn mark_shown(&self) {
        self.handle.is_shown.store(true, Ordering::Relaxed);
    }

    /// Who stopped it.
    pub(crate) fn stopped(&self) -> &Stopped {
        &self.handle.stopped
    }

    /// What is asked, and whatever becomes of it.
    pub(crate) fn said(&self) -> watch::Receiver<Said> {
        self.handle.said.subscribe()
    }

    /// The answer to `to` is whole: nothing joins the question any more. False when it has changed since.
    pub(crate) fn settle(&self, to: &Said) -> bool {
        let mut is_settled = false;
        self.handle.said.send_if_modified(|it| {
            is_settled = it.changes == to.changes;
            it.is_settled |= is_settled;
            false
        });
        is_settled
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        let mut known = self.under_way.known();
        known.turns.remove(&self.turn);
        if known.newest.get(&self.person) == Some(&self.turn) {
            known.newest.remove(&self.person);
        }
        drop(known);
        self.handle.ended.cancel();
    }
}
