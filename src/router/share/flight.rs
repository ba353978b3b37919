//! Questions that are being asked.
//!
//! **The problem.** A question that several people ask at the same time would be paid for several times. **The rule.** The
//! first turn leads: it asks, and writes a [`Log`]; the others follow by reading it. A leader that goes away before the end
//! leaves its place to the first follower who notices. **The limits.** A leader that does not come for more is not waited for
//! ([`LEADER_PATIENCE`]): a person's slow connection must not be another's wait.

use super::{
    super::{End, Event, Exhausted},
    key::Key,
    log::{Log, Place, Read},
};
use std::{
    collections::{HashMap, hash_map::Entry},
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{
    sync::watch,
    time::{Instant, sleep_until},
};

/// So often a leader that waits shows that it is there.
pub(super) const BEAT: Duration = Duration::from_secs(1);
/// A leader that was not seen for so long has gone, or cannot keep up: two beats and a half.
const LEADER_PATIENCE: Duration = Duration::from_millis(2500);
/// A leader that was there first has its own end first, and its followers hear it.
const GRACE: Duration = Duration::from_millis(100);

/// The questions that are being asked, each once; as many as there are leaders.
#[derive(Default)]
pub(super) struct Flights(Mutex<HashMap<Key, Flight>>);

/// A leader's log, open to everybody who has it.
type Flight = Arc<watch::Sender<Log>>;

impl fmt::Debug for Flights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Flights").field("count", &self.all().len()).finish_non_exhaustive()
    }
}

impl Flights {
    /// Nothing under this lock can panic half-way through a change, so that a poisoned lock is still sound.
    fn all(&self) -> MutexGuard<'_, HashMap<Key, Flight>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether somebody asks something now.
    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.all().is_empty()
    }
}

/// What a turn finds when it comes.
pub(super) enum Found<K> {
    /// Somebody asks the same.
    Flight(Follower),
    /// The answer is known already.
    Known(K),
    /// It has to ask itself.
    Seat(Leader),
}

/// Finds out how to come by an answer. `known` looks for one that was given; nobody can begin or end a flight meanwhile, so
/// that no answer is missed in between. `instead_of`: a flight whose leader does not come any more.
pub(super) fn enter<K>(
    flights: &Arc<Flights>,
    key: &Key,
    instead_of: Option<&Follower>,
    now: Instant,
    known: impl FnOnce() -> Option<K>,
) -> Found<K> {
    let mut all = flights.all();
    let gone = match all.entry(key.clone()) {
        Entry::Occupied(it) if instead_of.is_none_or(|gone| !Arc::ptr_eq(&gone.flight, it.get())) => {
            return Found::Flight(Follower::new(it.get()));
        }
        Entry::Occupied(it) => Some(it.remove()),
        Entry::Vacant(_) => None,
    };
    let found = match known() {
        Some(known) => Found::Known(known),
        None => {
            let leader = Leader::new(Some((Arc::clone(flights), key.clone())), now);
            all.insert(key.clone(), Arc::clone(&leader.flight));
            Found::Seat(leader)
        }
    };
    drop(all);
    if let Some(gone) = gone {
        gone.send_if_modified(Log::leave);
    }
    found
}

/// Who asks, and writes the log. Leaves its place when dropped.
pub(super) struct Leader {
    flight: Flight,
    listed: Option<(Arc<Flights>, Key)>,
}

impl Leader {
    fn new(listed: Option<(Arc<Flights>, Key)>, now: Instant) -> Self {
        Self { flight: Arc::new(watch::Sender::new(Log::new(now))), listed }
    }

    /// One whom nobody follows.
    pub(super) fn alone(now: Instant) -> Self {
        Self::new(None, now)
    }

    /// It waits for more, and is there.
    pub(super) fn is_here(&self, now: Instant) {
        self.flight.send_if_modified(|log| {
            log.seen_at = now;
            false
        });
    }

    pub(super) fn note(&self, event: &Event, now: Instant) {
        self.flight.send_if_modified(|log| {
            log.seen_at = now;
            log.note(event)
        });
    }

    /// Looks at what was written.
    pub(super) fn look<T>(&self, look: impl FnOnce(&Log) -> T) -> T {
        look(&self.flight.borrow())
    }
}

impl Drop for Leader {
    fn drop(&mut self) {
        if let Some((flights, key)) = &self.listed {
            let mut all = flights.all();
            if all.get(key).is_some_and(|it| Arc::ptr_eq(it, &self.flight)) {
                all.remove(key);
            }
        }
        self.flight.send_if_modified(Log::leave);
    }
}

/// Who hears what another one is told.
pub(super) struct Follower {
    flight: Flight,
    news: watch::Receiver<Log>,
    place: Place,
}

/// What a follower hears.
#[expect(clippy::large_enum_variant, reason = "it is looked at once and not kept")]
pub(super) enum Heard {
    Event(Event),
    /// The leader went away; somebody else has to ask.
    Left,
    /// It is longer than what can be shared; everybody asks for himself.
    TooLong,
}

impl Follower {
    fn new(flight: &Flight) -> Self {
        Self { flight: Arc::clone(flight), news: flight.subscribe(), place: Place::default() }
    }

    /// Waits for what comes next, at most until the turn's `deadline`. May be dropped while it waits; nothing is lost.
    pub(super) async fn next(&mut self, deadline: Instant) -> Heard {
        let deadline = deadline + GRACE;
        loop {
            let gone_at = {
                let log = self.news.borrow_and_update();
                match log.read(&mut self.place) {
                    Read::Event(event) => return Heard::Event(event),
                    Read::Left => return Heard::Left,
                    Read::TooLong => return Heard::TooLong,
                    Read::Nothing => log.seen_at + LEADER_PATIENCE,
                }
            };
            let now = Instant::now();
            if now >= deadline {
                let exhausted = Exhausted { timed_out: true, ..Exhausted::default() };
                return Heard::Event(Event::Ended(End::Exhausted(exhausted)));
            }
            if now >= gone_at {
                return Heard::Left;
            }
            tokio::select! {
                biased;
                // It cannot be closed: this follower holds on to the sender.
                _ = self.news.changed() => {}
                () = sleep_until(gone_at.min(deadline)) => {}
            }
        }
    }
}
