//! Who may call Discord next: the bot's limit, the buckets that Discord announces, and who is waited for.
//!
//! **The problem.** Calls that wait in one line make the end of an answer wait behind ten growing ones; a client that lets all
//! go at once when a bucket is full again runs into the next 429. **The rule.** A call goes when its bucket and the bot as a
//! whole have room; among those that wait, the more urgent first, then the older. What is not urgent leaves the last room to
//! what is. A wait that cannot end before the deadline is told at once. **The limits.** A bucket is unknown until the first
//! answer, and until then one call at a time finds it out. At most [`MOST_WAITING`] wait; further ones are refused.

use super::RestError;
use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    hash::{DefaultHasher, Hash as _, Hasher as _},
    pin::pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{
    sync::{Notify, oneshot},
    time::{Instant, sleep_until},
};

/// Calls a second of the bot as a whole: Discord's documented limit.
const GLOBAL: usize = 50;
/// A second, and a little: what left here a second apart may arrive closer together.
const SECOND: Duration = Duration::from_millis(1005);
/// So many may wait. It is minutes of Discord's patience: who comes later would wait in vain.
const MOST_WAITING: usize = 2000;
/// Buckets that are remembered before those are forgotten in which nothing goes on.
const KEPT_QUEUES: usize = 1024;
/// Two moments this close together are the end of the same window.
const SAME_WINDOW: Duration = Duration::from_millis(250);

/// How much somebody waits for a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Urgency {
    /// Somebody waits for it: a first post, the end of an answer, what a turn needs to begin.
    Waited,
    /// A growing text: the next one is newer anyway.
    Live,
    /// Typing.
    Courtesy,
}

impl Urgency {
    /// The bot's calls a second of which this sort may have made the last one.
    fn share_of_global(self) -> usize {
        match self {
            Self::Waited => GLOBAL,
            Self::Live => GLOBAL - 10,
            Self::Courtesy => GLOBAL - 20,
        }
    }

    /// What it leaves of a bucket.
    fn leaves(self, limit: u32) -> u32 {
        match self {
            Self::Waited => 0,
            Self::Live | Self::Courtesy => u32::from(limit > 1),
        }
    }
}

/// What is asked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wish {
    pub(super) route: Route,
    /// It counts for the limit of the bot as a whole.
    pub(super) is_bots: bool,
    pub(super) urgency: Urgency,
    pub(super) deadline: Instant,
}

/// A sort of call at a place. Discord's buckets are for a sort of call, each place having its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Route {
    sort: u64,
    place: u64,
}

impl Route {
    /// From a method and a path below the API's root, such as `channels/5/messages/_`.
    pub(super) fn of(method: &str, path: &str) -> Self {
        let (mut sort, mut place) = (DefaultHasher::new(), DefaultHasher::new());
        method.hash(&mut sort);
        let mut segments = path.split('/').peekable();
        let kind = segments.peek().copied().unwrap_or_default();
        let of_place = match kind {
            "channels" | "guilds" => 2,
            "webhooks" => 3,
            _ => 0,
        };
        for (at, segment) in segments.enumerate() {
            let is_id = segment.bytes().all(|it| it.is_ascii_digit());
            if is_id {
                "_".hash(&mut sort);
            } else {
                segment.hash(&mut sort);
            }
            if at < of_place {
                segment.hash(&mut place);
            }
        }
        Self { sort: sort.finish(), place: place.finish() }
    }
}

/// A bucket's state, as an answer's headers tell it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Announced {
    pub(super) bucket: u64,
    pub(super) limit: u32,
    pub(super) remaining: u32,
    pub(super) resets_at: Instant,
}

impl Announced {
    pub(super) fn id(bucket: &str) -> u64 {
        let mut hasher = DefaultHasher::new();
        bucket.hash(&mut hasher);
        hasher.finish()
    }
}

/// A bucket at a place; before it is known, the route stands for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Key(u64, u64);

#[derive(Debug, Default)]
struct Queue {
    in_flight: u32,
    /// Known from the first answer on.
    limit: Option<u32>,
    remaining: u32,
    resets_at: Option<Instant>,
    /// Discord said 429.
    blocked_until: Option<Instant>,
}

/// Whether a call may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Room {
    Now,
    /// Not before this moment.
    At(Instant),
    /// When another one has come back.
    Later,
}

impl Queue {
    fn is_idle(&self, now: Instant) -> bool {
        self.in_flight == 0 && self.blocked_until.max(self.resets_at).is_none_or(|it| it <= now)
    }

    fn room(&mut self, urgency: Urgency, now: Instant) -> Room {
        if let Some(until) = self.blocked_until {
            if until > now {
                return Room::At(until);
            }
            self.blocked_until = None;
        }
        let Some(limit) = self.limit else {
            return if self.in_flight == 0 { Room::Now } else { Room::Later };
        };
        if self.resets_at.is_some_and(|it| it <= now) {
            self.resets_at = None;
            self.remaining = limit.saturating_sub(self.in_flight);
        }
        if self.remaining > urgency.leaves(limit) {
            return Room::Now;
        }
        match self.resets_at {
            Some(at) => Room::At(at),
            // Nobody is under way who would tell more: somebody has to find out.
            None if self.in_flight == 0 => Room::Now,
            None => Room::Later,
        }
    }

    fn heard(&mut self, it: &Announced) {
        // Those that are under way may not have been counted yet.
        let mut remaining = it.remaining.saturating_sub(self.in_flight);
        if let Some(at) = self.resets_at {
            let apart = at.max(it.resets_at) - at.min(it.resets_at);
            if apart <= SAME_WINDOW {
                // Answers may overtake each other; within a window there is never more room again.
                remaining = remaining.min(self.remaining);
            }
        }
        (self.limit, self.remaining) = (Some(it.limit.max(1)), remaining);
        self.resets_at = Some(self.resets_at.unwrap_or(it.resets_at).max(it.resets_at));
    }
}

#[derive(Debug)]
struct Waiter {
    wish: Wish,
    granted: oneshot::Sender<Permit>,
}

/// Where somebody stands in line: more urgent first, then older.
type Ticket = (Urgency, u64);

#[derive(Debug, Default)]
struct State {
    buckets: HashMap<u64, u64>,
    queues: HashMap<Key, Queue>,
    waiting: BTreeMap<Ticket, Waiter>,
    tickets: u64,
    /// When the bot's last calls were made, oldest first, as long as they count.
    sent: VecDeque<Instant>,
    paused_until: Option<Instant>,
}

impl State {
    fn key(&self, route: Route) -> Key {
        Key(self.buckets.get(&route.sort).copied().unwrap_or(route.sort), route.place)
    }

    /// What the bot's limit as a whole says.
    fn global_room(&mut self, wish: &Wish, now: Instant) -> Room {
        if !wish.is_bots {
            return Room::Now;
        }
        if let Some(until) = self.paused_until.filter(|it| *it > now) {
            return Room::At(until);
        }
        while self.sent.front().is_some_and(|it| *it + SECOND <= now) {
            self.sent.pop_front();
        }
        match self.sent.len().checked_sub(wish.urgency.share_of_global()) {
            None => Room::Now,
            Some(over) => self.sent.get(over).map_or(Room::Now, |it| Room::At(*it + SECOND)),
        }
    }

    fn room(&mut self, wish: &Wish, now: Instant) -> Room {
        let key = self.key(wish.route);
        let own = self.queues.entry(key).or_default().room(wish.urgency, now);
        match (own, self.global_room(wish, now)) {
            (Room::Now, global) => global,
            (Room::At(own), Room::At(global)) => Room::At(own.max(global)),
            (own, _) => own,
        }
    }

    fn grant(&mut self, wish: &Wish, now: Instant) -> Key {
        let key = self.key(wish.route);
        let queue = self.queues.entry(key).or_default();
        queue.in_flight += 1;
        queue.remaining = queue.remaining.saturating_sub(1);
        if wish.is_bots {
            self.sent.push_back(now);
        }
        if self.queues.len() > KEPT_QUEUES {
            self.queues.retain(|_, it| !it.is_idle(now));
        }
        key
    }

    /// Whom to let go now, in line.
    fn next(&mut self, now: Instant) -> Vec<Ticket> {
        let line: Vec<(Ticket, Wish)> = self.waiting.iter().map(|(at, it)| (*at, it.wish)).collect();
        let mut full: Vec<Key> = Vec::new();
        let mut going = Vec::new();
        for (ticket, wish) in line {
            let key = self.key(wish.route);
            // Nobody overtakes in a queue.
            if full.contains(&key) {
                continue;
            }
            if self.room(&wish, now) == Room::Now {
                self.grant(&wish, now);
                going.push(ticket);
            } else {
                full.push(key);
            }
        }
        going
    }
}

/// The gate. One for the whole process, since Discord's limits are for the bot as a whole.
#[derive(Debug, Default)]
pub(super) struct Gate {
    state: Mutex<State>,
    /// Somebody's wait may end at another time than it seemed.
    changed: Notify,
}

impl Gate {
    /// Waits until a call may be made.
    ///
    /// # Errors
    /// `RateLimited` as soon as it is known that this comes after the deadline; `Timeout` at the deadline.
    pub(super) async fn enter(self: &Arc<Self>, wish: Wish) -> Result<Permit, RestError> {
        let (ticket, mut granted) = match self.line_up(wish)? {
            Ok(permit) => return Ok(permit),
            Err(place) => place,
        };
        let _place = Place { gate: self, ticket };
        loop {
            let mut changed = pin!(self.changed.notified());
            changed.as_mut().enable();
            let now = Instant::now();
            let room = self.state().room(&wish, now);
            let at = match room {
                Room::At(at) if at >= wish.deadline => {
                    return Err(RestError::RateLimited { retry_after: at - now });
                }
                _ if now >= wish.deadline => return Err(RestError::Timeout),
                Room::At(at) => at,
                Room::Now => {
                    // Whoever would have looked may have been woken for something else.
                    self.let_go();
                    wish.deadline
                }
                Room::Later => wish.deadline,
            };
            tokio::select! {
                biased;
                Ok(permit) = &mut granted => return Ok(permit),
                () = changed => {}
                () = sleep_until(at) => self.let_go(),
            }
        }
    }

    /// A call may be made at once, or waits in line.
    fn line_up(
        self: &Arc<Self>,
        wish: Wish,
    ) -> Result<Result<Permit, (Ticket, oneshot::Receiver<Permit>)>, RestError> {
        let now = Instant::now();
        let mut state = self.state();
        if state.waiting.is_empty() && state.room(&wish, now) == Room::Now {
            let key = state.grant(&wish, now);
            return Ok(Ok(Permit::new(self, key)));
        }
        if state.waiting.len() >= MOST_WAITING {
            return Err(RestError::RateLimited { retry_after: SECOND });
        }
        let (granted, waits) = oneshot::channel();
        let ticket = (wish.urgency, state.tickets);
        state.tickets += 1;
        state.waiting.insert(ticket, Waiter { wish, granted });
        drop(state);
        self.let_go();
        Ok(Err((ticket, waits)))
    }

    /// Lets those go that may.
    fn let_go(self: &Arc<Self>) {
        let mut unused = Vec::new();
        let mut state = self.state();
        for ticket in state.next(Instant::now()) {
            if let Some(Waiter { wish, granted }) = state.waiting.remove(&ticket) {
                let key = state.key(wish.route);
                // Somebody who has just gone gives it back, but not while the state is locked.
                unused.extend(granted.send(Permit::new(self, key)).err());
            }
        }
        drop(state);
        drop(unused);
    }

    /// Nothing of the bot's is sent until then.
    fn pause(&self, until: Instant) {
        let mut state = self.state();
        state.paused_until = state.paused_until.max(Some(until));
        drop(state);
        self.changed.notify_waiters();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Somebody in line, who leaves it in any case.
struct Place<'a> {
    gate: &'a Gate,
    ticket: Ticket,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let left = self.gate.state().waiting.remove(&self.ticket);
        drop(left);
    }
}

/// One call may be made. Without an answer it is given back by dropping it.
#[must_use = "dropping it gives the turn back"]
#[derive(Debug)]
pub struct Permit(Option<(Arc<Gate>, Key)>);

impl Permit {
    fn new(gate: &Arc<Gate>, key: Key) -> Self {
        Self(Some((Arc::clone(gate), key)))
    }

    /// For what has no limit.
    pub(super) fn free() -> Self {
        Self(None)
    }

    /// Discord answered, and may have said how its bucket is.
    pub(super) fn answered(mut self, sort: Option<Route>, said: Option<&Announced>) {
        let Some((gate, key)) = self.0.take() else { return };
        give_back(&gate, key, |state| {
            let (Some(route), Some(said)) = (sort, said) else { return false };
            state.buckets.insert(route.sort, said.bucket);
            let queue = state.queues.entry(Key(said.bucket, key.1)).or_default();
            queue.heard(said);
            queue.remaining <= 1
        });
    }

    /// Discord asked for patience: in this bucket, or for all that the bot does.
    pub(super) fn too_many(mut self, until: Instant, is_global: bool) {
        let Some((gate, key)) = self.0.take() else { return };
        give_back(&gate, key, |state| {
            if !is_global {
                let queue = state.queues.entry(key).or_default();
                queue.blocked_until = queue.blocked_until.max(Some(until));
            }
            true
        });
        if is_global {
            gate.pause(until);
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some((gate, key)) = self.0.take() {
            give_back(&gate, key, |_| false);
        }
    }
}

/// `learn` says whether those that wait may have to wait longer than it seemed.
fn give_back(gate: &Arc<Gate>, key: Key, learn: impl FnOnce(&mut State) -> bool) {
    let mut state = gate.state();
    if let Some(queue) = state.queues.get_mut(&key) {
        queue.in_flight = queue.in_flight.saturating_sub(1);
    }
    let is_longer = learn(&mut state);
    let anybody = !state.waiting.is_empty();
    drop(state);
    if anybody {
        gate.let_go();
        if is_longer {
            gate.changed.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests;
