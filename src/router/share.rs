//! Answers that are shared: what was answered before is given again, and what is being asked is asked once.
//!
//! **The problem.** People ask the same things, often at the same time; each call costs money, time and a part of a
//! provider's limits. **The rule.** Those who may see each other's answers ([`Circle`]) and to whom exactly the same would
//! be sent get the same answer: from the cache, or by following the turn that asks. Nothing but whole good answers is kept,
//! never a failure. **The limits.** Followers hear one whole answer whatever becomes of the turn they follow; when it goes
//! away, one of them asks. When it has asked everybody in vain, nobody asks again what has just failed.
//!
//! [`Circle`]: super::Circle

mod cache;
mod flight;
mod key;
mod log;

use super::{Ask, End, Event, Router, Sharing, Source, solo::Solo};
use crate::{outcome::Attempt, providers::Finish};
use cache::{Cache, Kept};
use flight::{BEAT, Flights, Follower, Found, Heard, Leader};
use key::Key;
use std::{fmt, hash::RandomState, sync::Arc, time::Duration};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};

/// What a router's turns share.
#[derive(Debug)]
pub(super) struct Share {
    cache: Option<Cache>,
    flights: Arc<Flights>,
    seed: RandomState,
}

impl Share {
    /// `cache`: the most answers that are kept, and for how long.
    pub(super) fn new(cache: (u32, Duration)) -> Self {
        Self { cache: Cache::new(cache.0, cache.1), flights: Arc::default(), seed: RandomState::new() }
    }

    /// Forgets what is kept.
    pub(super) fn forget(&self) {
        self.cache.iter().for_each(Cache::clear);
    }

    fn known(&self, key: &Key, terms: Sharing, now: Instant) -> Option<Arc<Kept>> {
        self.cache.as_ref().filter(|_| terms.cached)?.get(key, now)
    }

    fn enter(&self, key: &Key, terms: Sharing, gone: Option<&Follower>, now: Instant) -> Found<Arc<Kept>> {
        let known = || self.known(key, terms, now);
        if terms.in_flight {
            return flight::enter(&self.flights, key, gone, now, known);
        }
        known().map_or_else(|| Found::Seat(Leader::alone(now)), Found::Known)
    }
}

/// A turn under way: what its provider says, or what another turn hears or heard.
#[must_use = "nothing is asked before `next` is awaited"]
pub struct Performance(Part);

enum Part {
    /// It asks, and nobody else hears.
    Alone(Box<Solo>),
    Together(Box<Together>),
}

impl fmt::Debug for Performance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let role = match &self.0 {
            Part::Alone(_) => "alone",
            Part::Together(it) => it.role.as_str(),
        };
        f.debug_struct("Performance").field("role", &role).finish_non_exhaustive()
    }
}

impl Performance {
    pub(super) fn new(router: &Router, ask: &Ask, born: Instant) -> Self {
        let share = &router.shared.share;
        let is_of_use = |it: &Sharing| it.in_flight || (it.cached && share.cache.is_some());
        let Some(terms) = ask.sharing.filter(is_of_use) else {
            return Self(Part::Alone(Box::new(router.solo(ask, born))));
        };
        let is_named = router.shared.players.iter().any(|it| it.provider.names_speakers(&ask.prompt));
        Self(Part::Together(Box::new(Together {
            router: router.clone(),
            ask: ask.clone(),
            key: Key::new(ask, terms.circle, is_named, &share.seed),
            terms,
            born,
            spoke: false,
            role: Role::Coming,
        })))
    }

    /// The next thing that happens; none after [`Event::Ended`]. May be dropped while it waits; nothing is lost.
    pub async fn next(&mut self) -> Option<Event> {
        match &mut self.0 {
            Part::Alone(solo) => solo.next().await,
            Part::Together(turn) => turn.next().await,
        }
    }

    /// Nobody wants the answer any more: hangs up everywhere and returns the calls that were under way. What others hear
    /// goes on.
    #[must_use = "each call is a row of the ledger"]
    pub fn cancel(self) -> Vec<Attempt> {
        match self.0 {
            Part::Alone(solo) => solo.cancel(),
            Part::Together(turn) => match turn.role {
                // The seat is free when the calls have been hung up.
                Role::Leading(lead) => lead.solo.cancel(),
                Role::Coming | Role::Following(_) | Role::Remembering(_) | Role::Over => Vec::new(),
            },
        }
    }
}

/// A turn that may share.
struct Together {
    router: Router,
    ask: Ask,
    key: Key,
    terms: Sharing,
    born: Instant,
    /// The beginning of an answer was heard, so that another one begins afresh.
    spoke: bool,
    role: Role,
}

enum Role {
    /// It does not know yet how to come by its answer.
    Coming,
    Leading(Box<Lead>),
    Following(Follower),
    Remembering(std::vec::IntoIter<Event>),
    Over,
}

impl Role {
    fn as_str(&self) -> &'static str {
        match self {
            Self::Coming => "coming",
            Self::Leading(_) => "leading",
            Self::Following(_) => "following",
            Self::Remembering(_) => "remembering",
            Self::Over => "over",
        }
    }
}

/// Dropped in this order, so that whoever takes the seat finds no call of its own question under way.
struct Lead {
    solo: Solo,
    seat: Leader,
    beat: Interval,
}

impl Together {
    async fn next(&mut self) -> Option<Event> {
        loop {
            let event = match &mut self.role {
                Role::Coming => {
                    self.come(None);
                    continue;
                }
                Role::Leading(lead) => lead.next().await,
                Role::Remembering(events) => events.next(),
                Role::Over => None,
                Role::Following(follower) => {
                    let deadline = self.born + self.router.shared.settings.turn_timeout;
                    match follower.next(deadline).await {
                        Heard::Event(event) => Some(event),
                        Heard::Left => {
                            self.take_over();
                            continue;
                        }
                        Heard::TooLong => {
                            self.lead(Leader::alone(Instant::now()));
                            continue;
                        }
                    }
                }
            };
            return event.map(|it| self.told(it));
        }
    }

    /// Finds out how to come by the answer. `gone`: whom it cannot follow any more.
    fn come(&mut self, gone: Option<&Follower>) {
        let now = Instant::now();
        match self.router.shared.share.enter(&self.key, self.terms, gone, now) {
            Found::Flight(follower) => self.role = Role::Following(follower),
            Found::Known(kept) => self.role = Role::Remembering(remembered(&kept)),
            Found::Seat(leader) => self.lead(leader),
        }
    }

    fn take_over(&mut self) {
        if let Role::Following(gone) = std::mem::replace(&mut self.role, Role::Coming) {
            self.come(Some(&gone));
        }
    }

    fn lead(&mut self, seat: Leader) {
        // It has no more time than the turn has.
        let solo = self.router.solo(&self.ask, self.born);
        let mut beat = interval_at(Instant::now() + BEAT, BEAT);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        self.role = Role::Leading(Box::new(Lead { solo, seat, beat }));
    }

    /// An event as whoever listens to this turn is told it: by what was heard in this turn.
    fn told(&mut self, mut event: Event) -> Event {
        match &mut event {
            Event::Opened { afresh, .. } => {
                *afresh |= self.spoke;
                self.spoke = true;
            }
            Event::Ended(end) => {
                if let End::Exhausted(exhausted) = end {
                    exhausted.spoke |= self.spoke;
                }
                self.end();
            }
            Event::Attempt(_) | Event::Text(_) | Event::ToolCall(_) => {}
        }
        event
    }

    /// Keeps the answer if it is good, and only then leaves the seat: who comes now finds either.
    fn end(&mut self) {
        if let Role::Leading(lead) = &self.role
            && let Some(cache) = self.router.shared.share.cache.as_ref().filter(|_| self.terms.cached)
            && let Some(kept) = lead.seat.look(|log| log.kept(Instant::now()))
        {
            cache.keep(self.key.clone(), kept);
        }
        self.role = Role::Over;
    }
}

impl Lead {
    /// The next event, written down for the others. May be dropped while it waits; nothing is lost.
    async fn next(&mut self) -> Option<Event> {
        self.seat.is_here(Instant::now());
        let event = loop {
            tokio::select! {
                biased;
                event = self.solo.next() => break event?,
                now = self.beat.tick() => self.seat.is_here(now),
            }
        };
        self.seat.note(&event, Instant::now());
        Some(event)
    }
}

/// A kept answer, as events.
fn remembered(kept: &Kept) -> std::vec::IntoIter<Event> {
    let Kept { provider, model, text, at: _ } = kept;
    let (source, passed_over) = (Source::Remembered, Vec::new());
    vec![
        Event::Opened { provider: provider.clone(), model: model.clone(), afresh: false },
        Event::Text(text.clone()),
        Event::Ended(End::Answered { provider: provider.clone(), finish: Finish::Stop, passed_over, source }),
    ]
    .into_iter()
}

#[cfg(test)]
mod tests;
