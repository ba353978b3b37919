//! Who may begin, and who waits: one turn at a time in a conversation, a few for a person, so many in all; fairly.
//!
//! **The problem.** A first-come line lets whoever shouts most be heard most: a hundred messages of one person, or of one
//! server, stand before everybody else's. **The rule.** A turn may begin when its conversation is free, its person has
//! fewer turns running than allowed, and fewer run in the process than it can bear. Of those that may, the next one is of
//! the server that was served the longest ago (a direct message counts as a server of its own), there of the person who was
//! served the longest ago, there the oldest message. **The limits.** Every line is bounded, for a conversation, a person, a
//! server and in all; beyond that there is no place. Turns that a restart left unfinished have one in any case, since they
//! were accepted before.

use crate::{
    message::{ConversationId, MessageId, UserId},
    metrics::Waiting,
    router::Circle,
};
use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};
use tokio::sync::{oneshot, watch};

/// So many messages may wait in one conversation, and of one person. More is a flood that nobody would read the answers to.
const LONGEST_LINE: usize = 16;
/// So many may wait of one server: a quarter of the room, so that one server can't take it all.
const OF_A_SERVER: usize = 256;
/// So many may wait in all: some 20 KB each with their tasks.
const IN_ALL: usize = 1024;

/// What may run at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct AtOnce {
    /// In the process.
    pub(crate) turns: usize,
    /// Of one person.
    pub(crate) of_a_person: usize,
}

/// Whose turn it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Caller {
    /// Where its memory lives.
    pub(crate) conversation: ConversationId,
    /// The message. Discord's ids grow with time, so that one that was overtaken on its way here is served first all the same.
    pub(crate) message: MessageId,
    /// Who asks.
    pub(crate) person: UserId,
    /// The server, or the direct message.
    pub(crate) circle: Circle,
    /// No limit concerns this person.
    pub(crate) is_exempt: bool,
}

/// Why there is no place in line.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum NoPlace {
    /// Too many are waiting.
    Full,
    /// The message has a place already: it was heard twice.
    Taken,
}

/// All lanes in use.
#[derive(Clone, Debug)]
pub(crate) struct Lanes {
    state: Arc<Mutex<State>>,
    /// Tells that a turn was put off, or taken up again.
    put_off: Arc<watch::Sender<()>>,
}

#[derive(Debug)]
struct State {
    at_once: AtOnce,
    waiting: BTreeMap<u64, InLine>,
    running: HashMap<u64, Caller>,
    /// Conversations that somebody has; true if that one was put off until somebody can be reached.
    busy: HashMap<ConversationId, bool>,
    /// Messages that have a place, waiting or running.
    taken: HashSet<MessageId>,
    servers: HashMap<Circle, Share>,
    people: HashMap<UserId, Share>,
    /// Numbers tickets.
    tickets: u64,
    /// Counts turns that began, to tell who was served the longest ago.
    served: u64,
}

#[derive(Debug)]
struct InLine {
    caller: Caller,
    /// It has its conversation already: it was put off, and goes on.
    has_conversation: bool,
    call: oneshot::Sender<()>,
    /// Counted as waiting until it is called.
    _waiting: Waiting,
}

/// What somebody has of the whole. Forgotten when nothing of theirs is left.
#[derive(Debug, Default)]
struct Share {
    /// Turns with a place, waiting, running or put off.
    turns: usize,
    waiting: usize,
    running: usize,
    /// When a turn of theirs began last.
    served: u64,
}

/// A place in line.
#[must_use = "dropping the ticket gives the place up"]
#[derive(Debug)]
pub(crate) struct Ticket {
    called: oneshot::Receiver<()>,
    guard: LaneGuard,
}

/// The lane is held as long as this lives.
#[must_use = "dropping the guard lets the next one in"]
#[derive(Debug)]
pub(crate) struct LaneGuard {
    lanes: Lanes,
    caller: Caller,
    number: u64,
    /// The conversation is not given back.
    keeps: AtomicBool,
}

impl Lanes {
    /// Lanes in which so much may run at once; at least one turn.
    pub(crate) fn new(at_once: AtOnce) -> Self {
        let state = State {
            at_once,
            waiting: BTreeMap::new(),
            running: HashMap::new(),
            busy: HashMap::new(),
            taken: HashSet::new(),
            servers: HashMap::new(),
            people: HashMap::new(),
            tickets: 0,
            served: 0,
        };
        Self { state: Arc::new(Mutex::new(state)), put_off: Arc::new(watch::Sender::new(())) }
    }

    /// Gets in line, at once. `was_accepted`: the message had a place before a restart, and has one now, however long the line.
    ///
    /// # Errors
    /// Too many are waiting, or this message has a place.
    pub(crate) fn line_up(
        &self,
        caller: Caller,
        was_accepted: bool,
        waiting: Waiting,
    ) -> Result<Ticket, NoPlace> {
        let mut state = self.state();
        if state.taken.contains(&caller.message) {
            return Err(NoPlace::Taken);
        }
        if !was_accepted && state.is_full(&caller) {
            return Err(NoPlace::Full);
        }
        state.taken.insert(caller.message);
        state.servers.entry(caller.circle).or_default().turns += 1;
        state.people.entry(caller.person).or_default().turns += 1;
        let number = state.tickets;
        state.tickets += 1;
        let called = state.wait(number, caller, false, waiting);
        state.call_those_who_may();
        drop(state);
        Ok(Ticket {
            called,
            guard: LaneGuard { lanes: self.clone(), caller, number, keeps: AtomicBool::new(false) },
        })
    }

    /// Waits until whoever has this conversation was put off. For ever, if that never happens.
    pub(crate) async fn put_off(&self, conversation: ConversationId) {
        let mut changes = self.put_off.subscribe();
        while self.state().busy.get(&conversation) != Some(&true) {
            if changes.changed().await.is_err() {
                return std::future::pending().await;
            }
        }
    }

    /// Nothing that runs under this lock can panic half-way through a change, so that a poisoned lock is still sound.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn is_full(&self, caller: &Caller) -> bool {
        let of_server = self.servers.get(&caller.circle).map_or(0, |it| it.waiting);
        let of_person = self.people.get(&caller.person).map_or(0, |it| it.waiting);
        let here =
            || self.waiting.values().filter(|it| it.caller.conversation == caller.conversation).count();
        self.waiting.len() >= IN_ALL
            || of_server >= OF_A_SERVER
            || of_person >= LONGEST_LINE
            || here() >= LONGEST_LINE
    }

    fn wait(
        &mut self,
        number: u64,
        caller: Caller,
        has_conversation: bool,
        waiting: Waiting,
    ) -> oneshot::Receiver<()> {
        let (call, called) = oneshot::channel();
        self.count(&caller, |share| share.waiting += 1);
        self.waiting.insert(number, InLine { caller, has_conversation, call, _waiting: waiting });
        called
    }

    /// Changes what is counted of a caller's server and person.
    fn count(&mut self, caller: &Caller, change: impl Fn(&mut Share)) {
        let shares =
            self.servers.get_mut(&caller.circle).into_iter().chain(self.people.get_mut(&caller.person));
        shares.for_each(change);
    }

    /// The number of who is next: of those who may begin, whose server and person were served the longest ago.
    fn next(&self) -> Option<u64> {
        if self.running.len() >= self.at_once.turns.max(1) {
            return None;
        }
        let may = |it: &&InLine| {
            let runs = self.people.get(&it.caller.person).map_or(0, |it| it.running);
            let is_free = it.has_conversation || !self.busy.contains_key(&it.caller.conversation);
            is_free && (it.caller.is_exempt || runs < self.at_once.of_a_person.max(1))
        };
        let served = |it: &InLine| {
            let of_server = self.servers.get(&it.caller.circle).map_or(0, |it| it.served);
            (of_server, self.people.get(&it.caller.person).map_or(0, |it| it.served), it.caller.message)
        };
        let may_begin = self.waiting.iter().filter(|(_, it)| may(it));
        may_begin.min_by_key(|(number, it)| (served(it), **number)).map(|(number, _)| *number)
    }

    fn call_those_who_may(&mut self) {
        while let Some(number) = self.next() {
            let Some(it) = self.waiting.remove(&number) else { return };
            self.served += 1;
            let served = self.served;
            self.count(&it.caller, |share| {
                share.waiting -= 1;
                share.running += 1;
                share.served = served;
            });
            self.busy.insert(it.caller.conversation, false);
            self.running.insert(number, it.caller);
            // Whoever gave up meanwhile drops its guard, which lets the next one in.
            let _ = it.call.send(());
        }
    }

    /// A turn waits or runs no more. Says whether it had its conversation.
    fn ends(&mut self, number: u64, caller: &Caller) -> bool {
        if let Some(waited) = self.waiting.remove(&number) {
            self.count(caller, |share| share.waiting -= 1);
            return waited.has_conversation;
        }
        if self.running.remove(&number).is_some() {
            self.count(caller, |share| share.running -= 1);
        }
        true
    }

    fn forget(&mut self, caller: &Caller) {
        self.taken.remove(&caller.message);
        self.count(caller, |share| share.turns -= 1);
        if self.servers.get(&caller.circle).is_some_and(|it| it.turns == 0) {
            self.servers.remove(&caller.circle);
        }
        if self.people.get(&caller.person).is_some_and(|it| it.turns == 0) {
            self.people.remove(&caller.person);
        }
    }
}

impl Ticket {
    /// Waits until the turn may begin. The turns before have deadlines, so this wait has one, too.
    pub(crate) async fn enter(self) -> LaneGuard {
        let Self { called, guard } = self;
        // An error would mean that the line was dropped with the lanes: then the lane is free as well.
        let _ = called.await;
        guard
    }
}

impl LaneGuard {
    /// Keeps the conversation, and lets others run meanwhile: this turn waits until somebody can be reached.
    pub(crate) fn put_off(&self) {
        let mut state = self.lanes.state();
        if state.running.remove(&self.number).is_some() {
            state.count(&self.caller, |share| share.running -= 1);
            state.busy.insert(self.caller.conversation, true);
            state.call_those_who_may();
            drop(state);
            self.lanes.put_off.send_replace(());
        }
    }

    /// The process ends: keeps the conversation for good, so that nobody behind this turn begins any more.
    pub(crate) fn leave(&self) {
        self.keeps.store(true, Ordering::Relaxed);
    }

    /// Goes on after [`Self::put_off`], when there is room. Dropping the future leaves the turn put off or going on; either way
    /// the guard gives back what it has.
    pub(crate) async fn go_on(&self, waiting: Waiting) {
        let called = {
            let mut state = self.lanes.state();
            let called = state.wait(self.number, self.caller, true, waiting);
            state.call_those_who_may();
            called
        };
        let _ = called.await;
    }
}

impl Drop for LaneGuard {
    fn drop(&mut self) {
        let mut state = self.lanes.state();
        if state.ends(self.number, &self.caller) && !self.keeps.load(Ordering::Relaxed) {
            state.busy.remove(&self.caller.conversation);
        }
        state.forget(&self.caller);
        state.call_those_who_may();
    }
}

#[cfg(test)]
mod tests;
