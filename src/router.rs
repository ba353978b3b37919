//! Plays a plan until one provider has answered, and returns what happens as events.
//!
//! **The problem.** Providers fail before they speak, while they speak, or by being slow; a turn has one deadline and one
//! answer. **The rule.** One loop plays every strategy: a step begins when the stage is free, when the one before it failed,
//! or when it has been silent for too long; the first text wins and the others are dropped. When the winner breaks off, the
//! loop goes on and the next provider's answer begins afresh. Nothing is spliced. **The limits.** The router knows neither
//! people nor the store: it tells what happened as [`Event`]s and whoever asked records them.

pub mod attempt;
pub mod retry;
pub mod roster;
pub mod strategy;

use crate::{
    message::{Prompt, UnixMillis},
    outcome::{Attempt, Failed, Failure, Outcome, Usage},
    providers::{Finish, Provider},
};
use attempt::{Limits, Live, Opened, Spoken};
use futures::future::BoxFuture;
use retry::{Budget, Next};
use roster::{BreakerSettings, Member, Standing};
use std::{
    collections::VecDeque,
    fmt,
    future::poll_fn,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::Poll,
    time::Duration,
};
use strategy::{Candidate, Strategy, Wish};
use tokio::time::{Instant, sleep_until, timeout};

/// How turns are routed.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How the providers are put on stage.
    pub strategy: Strategy,
    /// How often one provider may be asked in a turn; repeats share one allowance.
    pub attempts_per_provider: u32,
    /// The whole turn.
    pub turn_timeout: Duration,
    /// When the next provider joins under `hedged`; none: the provider's own p95 to first text.
    pub hedge_after: Option<Duration>,
    /// Share of turns that may start an extra call.
    pub hedge_budget: f64,
    /// Share of turns that may ask the same provider again.
    pub retry_budget: f64,
    /// The first pause before the same provider is asked again, and the longest.
    pub backoff: (Duration, Duration),
    /// When a provider rests.
    pub breaker: BreakerSettings,
    /// Whether an answer that broke off is answered anew by the next provider.
    pub rewrite: bool,
}

/// Bounds of `hedge_after = "p95"`, and what holds before enough is known.
const HEDGE_MIN: Duration = Duration::from_millis(700);
const HEDGE_MAX: Duration = Duration::from_secs(4);
const HEDGE_UNKNOWN: Duration = Duration::from_millis(2500);
/// While another turn's probe of the only provider is out, look again so often.
const PROBE_POLL: Duration = Duration::from_millis(100);
/// A health check that takes longer than that is no sign of health.
const HEALTH_LIMIT: Duration = Duration::from_secs(5);

/// A provider with its limits.
#[derive(Clone, Debug)]
pub struct Player {
    /// Whom to ask.
    pub provider: Arc<dyn Provider>,
    /// How long each call may take.
    pub limits: Limits,
}

/// The providers, their standing, and the rules.
#[derive(Clone)]
pub struct Router {
    shared: Arc<Shared>,
}

struct Shared {
    players: Vec<Player>,
    settings: Settings,
    state: Mutex<State>,
}

struct State {
    roster: Vec<Member>,
    hedges: Budget,
    repeats: Budget,
    rng: fastrand::Rng,
}

impl Shared {
    /// Nothing that runs under this lock can panic half-way through a change, so that a poisoned lock is still sound.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Router {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Router").field("providers", &self.names()).finish_non_exhaustive()
    }
}

/// One thing that happened in a turn, in order.
#[derive(Debug)]
pub enum Event {
    /// A call ended; a row for the ledger.
    Attempt(Attempt),
    /// A provider begins to answer; its text follows. `afresh`: what was heard before is void.
    Opened {
        /// The provider's name.
        provider: String,
        /// Its model.
        model: String,
        /// Whether text of another provider was heard before.
        afresh: bool,
    },
    /// More text.
    Text(String),
    /// The last event.
    Ended(End),
}

/// How a turn ended for the router.
#[derive(Debug)]
pub enum End {
    /// A whole answer was given.
    Answered {
        /// By whom.
        provider: String,
        /// Whether the answer stopped at the limit of tokens.
        cut_short: bool,
        /// Who would have come before it, but rests, and after which failure.
        passed_over: Vec<(String, Failure)>,
    },
    /// Nobody gave a whole answer.
    Exhausted(Exhausted),
}

/// Why nobody answered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Exhausted {
    /// Each failure, in order; empty when everybody was resting or switched off.
    pub failures: Vec<(String, Failed)>,
    /// When somebody could be asked again, if that is known.
    pub try_again_in: Option<Duration>,
    /// Whether text was heard that now has no end.
    pub spoke: bool,
    /// The turn's time was over.
    pub timed_out: bool,
}

/// A provider's standing, for people.
#[derive(Clone, Debug)]
pub struct ProviderStanding {
    /// Its name.
    pub name: String,
    /// Its model.
    pub model: String,
    /// Whether it can be asked.
    pub standing: Standing,
    /// How long it rests still.
    pub resting_for: Option<Duration>,
    /// 95 of 100 first texts came within this time.
    pub first_text_p95: Option<Duration>,
    /// How long ago it failed last, and how.
    pub last_failure: Option<(Duration, Failure)>,
}

impl Router {
    /// A router over these providers, in this order. `rng` draws the jitter.
    #[must_use]
    pub fn new(players: Vec<Player>, settings: Settings, rng: fastrand::Rng) -> Self {
        let state = State {
            roster: players.iter().map(|_| Member::default()).collect(),
            hedges: Budget::new(settings.hedge_budget),
            repeats: Budget::new(settings.retry_budget),
            rng,
        };
        Self { shared: Arc::new(Shared { players, settings, state: Mutex::new(state) }) }
    }

    /// The providers' names, in order.
    #[must_use]
    pub fn names(&self) -> Vec<&str> {
        self.shared.players.iter().map(|it| it.provider.name()).collect()
    }

    /// The providers, in order.
    pub fn providers(&self) -> impl Iterator<Item = Arc<dyn Provider>> {
        self.shared.players.iter().map(|it| Arc::clone(&it.provider))
    }

    /// The smallest window among the providers, in tokens: what a prompt must fit that any of them may get.
    #[must_use]
    pub fn context_window(&self) -> u32 {
        self.shared.players.iter().map(|it| it.provider.context_window()).min().unwrap_or(0)
    }

    /// Everybody's standing at `now`.
    #[must_use]
    pub fn standings(&self, now: Instant) -> Vec<ProviderStanding> {
        let state = self.shared.state();
        let players = self.shared.players.iter().zip(&state.roster);
        players
            .map(|(player, member)| {
                let standing = member.standing(now);
                let resting_for = match standing {
                    Standing::Resting { until, .. } => Some(until.saturating_duration_since(now)),
                    Standing::Ready | Standing::Probing { .. } => None,
                };
                ProviderStanding {
                    name: player.provider.name().to_owned(),
                    model: player.provider.model().to_owned(),
                    standing,
                    resting_for,
                    first_text_p95: member.first_text_p95(),
                    last_failure: member
                        .last_failure()
                        .map(|(at, failure)| (now.saturating_duration_since(at), failure)),
                }
            })
            .collect()
    }

    /// Asks the providers that rest after faults whether they are well again. In the background; no turn waits for it.
    pub async fn check_health(&self) {
        let now = Instant::now();
        let resting: Vec<_> = {
            let state = self.shared.state();
            (0..state.roster.len()).filter(|&it| state.roster[it].wants_health_check(now)).collect()
        };
        for provider in resting {
            let check = self.shared.players[provider].provider.health_check();
            if let Ok(Ok(())) = timeout(HEALTH_LIMIT, check).await {
                self.shared.state().roster[provider].is_healthy(Instant::now());
            }
        }
    }

    /// Begins a turn. Nothing is sent before [`Performance::next`] is awaited; dropping the performance hangs up everywhere.
    pub fn play(&self, prompt: Arc<Prompt>, wish: &Wish, started_at: UnixMillis) -> Performance {
        let settings = &self.shared.settings;
        let now = Instant::now();
        let mut state = self.shared.state();
        state.hedges.pay_in();
        state.repeats.pay_in();
        let candidates: Vec<_> = strategy::order(&self.names(), wish)
            .into_iter()
            .map(|provider| {
                let learned = state.roster[provider].first_text_p95();
                let p95 = learned.map_or(HEDGE_UNKNOWN, |it| it.clamp(HEDGE_MIN, HEDGE_MAX));
                Candidate { provider, hedge_after: settings.hedge_after.unwrap_or(p95) }
            })
            .collect();
        drop(state);
        let plan = strategy::plan(settings.strategy, &candidates, settings.attempts_per_provider);
        let upcoming = plan.steps.into_iter().enumerate().map(|(place, step)| Upcoming {
            place,
            provider: step.provider,
            joined_after: step.joined_after,
            tries: 0,
            not_before: now,
        });
        Performance {
            shared: Arc::clone(&self.shared),
            prompt,
            started_at,
            born: now,
            deadline: now + settings.turn_timeout,
            upcoming: upcoming.collect(),
            running: Vec::new(),
            live: None,
            calls_left: plan.calls,
            step: 0,
            join: None,
            idle_since: now,
            bad_requests: 0,
            failures: Vec::new(),
            spoke: false,
            told: VecDeque::new(),
            is_over: false,
        }
    }
}

/// A turn under way.
#[must_use = "nothing is asked before `next` is awaited"]
pub struct Performance {
    shared: Arc<Shared>,
    prompt: Arc<Prompt>,
    started_at: UnixMillis,
    born: Instant,
    deadline: Instant,
    upcoming: Vec<Upcoming>,
    running: Vec<Call>,
    live: Option<(Meta, Live)>,
    calls_left: u32,
    step: u32,
    join: Option<Join>,
    idle_since: Instant,
    bad_requests: u32,
    failures: Vec<(String, Failed)>,
    spoke: bool,
    told: VecDeque<Event>,
    is_over: bool,
}

impl fmt::Debug for Performance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Performance")
            .field("step", &self.step)
            .field("is_over", &self.is_over)
            .finish_non_exhaustive()
    }
}

#[derive(Clone, Copy, Debug)]
struct Upcoming {
    /// Its place in the plan.
    place: usize,
    provider: usize,
    joined_after: Option<Duration>,
    tries: u32,
    not_before: Instant,
}

#[derive(Clone, Copy, Debug)]
struct Meta {
    upcoming: Upcoming,
    step: u32,
    started: Instant,
    first_text: Option<Duration>,
}

/// When the next one joins those that are being waited for.
#[derive(Clone, Copy, Debug)]
struct Join {
    at: Instant,
    /// Whether that is an extra call, paid from the budget; it is none after a failure or in a race.
    is_extra: bool,
}

struct Call {
    meta: Meta,
    future: BoxFuture<'static, Result<Opened, Failed>>,
}

/// What the loop may do now.
enum Cue {
    Begin(usize),
    /// Nobody can begin before this moment; none: nobody at all.
    Wait(Option<Instant>),
}

impl Performance {
    /// The next thing that happens; none after [`Event::Ended`]. May be dropped while it waits; nothing is lost.
    pub async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.told.pop_front() {
                return Some(event);
            }
            if self.is_over {
                return None;
            }
            self.advance().await;
        }
    }

    /// Nobody wants the answer any more: hangs up everywhere and returns the calls that were under way.
    #[must_use = "each call is a row of the ledger"]
    pub fn cancel(mut self) -> Vec<Attempt> {
        self.told.clear();
        self.hang_up(&Outcome::Cancelled);
        let told = std::mem::take(&mut self.told);
        told.into_iter()
            .filter_map(|event| match event {
                Event::Attempt(attempt) => Some(attempt),
                Event::Opened { .. } | Event::Text(_) | Event::Ended(_) => None,
            })
            .collect()
    }

    async fn advance(&mut self) {
        if let Some((_, live)) = &mut self.live {
            tokio::select! {
                biased;
                spoken = live.next() => self.hear(spoken),
                () = sleep_until(self.deadline) => self.time_is_up(),
            }
            return;
        }
        let now = Instant::now();
        let wake = match self.cue(now) {
            Cue::Begin(index) => return self.begin(index, now),
            Cue::Wait(None) if self.running.is_empty() => return self.exhausted(false),
            Cue::Wait(wake) => wake,
        };
        let running = &mut self.running;
        tokio::select! {
            biased;
            (index, ended) = first_to_end(running), if !running.is_empty() => self.ended(index, ended),
            () = sleep_until(self.deadline) => self.time_is_up(),
            () = sleep_until(wake.unwrap_or(self.deadline)) => {}
        }
    }

    /// Who may begin now, or when to look again.
    fn cue(&mut self, now: Instant) -> Cue {
        let is_alone = self.running.is_empty();
        let is_extra = match self.join {
            _ if self.calls_left == 0 || self.upcoming.is_empty() => return Cue::Wait(None),
            _ if is_alone => false,
            Some(join) if join.at <= now => join.is_extra,
            Some(join) => return Cue::Wait(Some(join.at)),
            None => return Cue::Wait(None),
        };
        let patience = self.deadline.min(self.idle_since + self.shared.settings.backoff.1);
        let mut state = self.shared.state();
        let mut soonest: Option<Instant> = None;
        // Asking the same one again is for when nobody else is at it.
        for (index, it) in self.upcoming.iter().enumerate().filter(|(_, it)| is_alone || it.tries == 0) {
            let free_at = match state.roster[it.provider].standing(now) {
                Standing::Ready | Standing::Probing { busy: false, .. } => now,
                Standing::Probing { busy: true, .. } => now + PROBE_POLL,
                Standing::Resting { until, .. } => until,
            };
            let begins = free_at.max(it.not_before);
            if begins > now {
                soonest = Some(soonest.map_or(begins, |it| it.min(begins)));
            } else if !is_extra || state.hedges.take() {
                return Cue::Begin(index);
            } else {
                self.join = None;
                return Cue::Wait(None);
            }
        }
        Cue::Wait(soonest.filter(|at| *at < patience))
    }

    fn begin(&mut self, index: usize, now: Instant) {
        let mut upcoming = self.upcoming.remove(index);
        let player = &self.shared.players[upcoming.provider];
        {
            let mut state = self.shared.state();
            if upcoming.tries > 0 && !state.repeats.take() {
                return;
            }
            if !state.roster[upcoming.provider].begin(now) {
                // Another turn took the probe's place in between.
                upcoming.not_before = now + PROBE_POLL;
                drop(state);
                return self.upcoming.push(upcoming);
            }
        }
        upcoming.tries += 1;
        self.calls_left -= 1;
        self.join = upcoming.joined_after.map(|after| Join { at: now + after, is_extra: !after.is_zero() });
        let future =
            attempt::open(Arc::clone(&player.provider), Arc::clone(&self.prompt), player.limits, now);
        let meta = Meta { upcoming, step: self.step, started: now, first_text: None };
        self.step += 1;
        self.running.push(Call { meta, future: Box::pin(future) });
    }

    fn ended(&mut self, index: usize, ended: Result<Opened, Failed>) {
        let mut meta = self.running.remove(index).meta;
        let now = Instant::now();
        match ended {
            Err(failed) => self.failed(&meta, Usage::default(), failed, now),
            Ok(opened) => {
                let took = now.duration_since(meta.started);
                meta.first_text = Some(took);
                self.overtake();
                let player = &self.shared.players[meta.upcoming.provider];
                let gap = {
                    let mut state = self.shared.state();
                    let member = &mut state.roster[meta.upcoming.provider];
                    member.note_first_text(took);
                    member.gap_p95()
                };
                let end = meta.started + player.limits.attempt;
                let (first, live) = Live::new(opened, player.limits.stall(gap), end, now);
                let (provider, model) =
                    (player.provider.name().to_owned(), player.provider.model().to_owned());
                self.told.push_back(Event::Opened { provider, model, afresh: self.spoke });
                self.told.push_back(Event::Text(first));
                self.spoke = true;
                self.live = Some((meta, live));
            }
        }
    }

    fn hear(&mut self, spoken: Spoken) {
        let now = Instant::now();
        match spoken {
            Spoken::Text(text, gap) => {
                if let Some((meta, _)) = &self.live {
                    self.shared.state().roster[meta.upcoming.provider].note_gap(gap);
                }
                self.told.push_back(Event::Text(text));
            }
            Spoken::Done(Finish::ContentFilter) => {
                self.broke_off(Failed::new(Failure::ContentFiltered, "content_filter"), now);
            }
            Spoken::Done(finish) => {
                let Some((meta, live)) = self.live.take() else { return };
                let provider = self.tell(&meta, live.usage(), Outcome::Answered, now);
                let cut_short = finish == Finish::Length;
                let passed_over = self.passed_over(&meta, now);
                self.told.push_back(Event::Ended(End::Answered { provider, cut_short, passed_over }));
                self.is_over = true;
            }
            Spoken::Failed(failed) => self.broke_off(failed, now),
        }
    }

    /// Those who were never asked and would have come before the winner, if they did not rest.
    fn passed_over(&self, winner: &Meta, now: Instant) -> Vec<(String, Failure)> {
        let state = self.shared.state();
        let before = self.upcoming.iter().filter(|it| it.place < winner.upcoming.place && it.tries == 0);
        let resting = before.filter_map(|it| match state.roster[it.provider].standing(now) {
            Standing::Resting { why, .. } | Standing::Probing { why, .. } => {
                Some((self.shared.players[it.provider].provider.name().to_owned(), why))
            }
            Standing::Ready => None,
        });
        resting.collect()
    }

    fn broke_off(&mut self, failed: Failed, now: Instant) {
        let Some((meta, live)) = self.live.take() else { return };
        self.failed(&meta, live.usage(), failed, now);
        if !self.shared.settings.rewrite && !self.is_over {
            self.exhausted(false);
        }
    }

    /// A call failed: it is told, and decides who goes on.
    fn failed(&mut self, meta: &Meta, usage: Usage, failed: Failed, now: Instant) {
        let failure = failed.failure;
        let name = self.tell(meta, usage, Outcome::Failed(failed.clone()), now);
        self.failures.push((name, failed));
        self.idle_since = now;
        self.join = Some(Join { at: now, is_extra: false });
        match retry::next(failure) {
            Next::Others => {}
            Next::OthersThenAgain => self.again_later(meta.upcoming, now),
            Next::WiderWindow => {
                let players = &self.shared.players;
                let too_small = players[meta.upcoming.provider].provider.context_window();
                self.upcoming.retain(|it| players[it.provider].provider.context_window() > too_small);
            }
            Next::OneOther => {
                self.bad_requests += 1;
                if self.bad_requests > 1 {
                    self.exhausted(false);
                }
            }
            Next::Stop => self.exhausted(false),
        }
    }

    /// Puts a provider to the end of the line, if it may be asked again.
    fn again_later(&mut self, upcoming: Upcoming, now: Instant) {
        let settings = &self.shared.settings;
        if upcoming.tries < settings.attempts_per_provider {
            let (base, max) = settings.backoff;
            let pause = retry::backoff(base, max, upcoming.tries - 1, &mut self.shared.state().rng);
            self.upcoming.push(Upcoming { not_before: now + pause, ..upcoming });
        }
    }

    /// The first text is here: everybody else is hung up on, and stays available in case the winner breaks off.
    fn overtake(&mut self) {
        let now = Instant::now();
        let mut available = Vec::with_capacity(self.running.len() + self.upcoming.len());
        for call in std::mem::take(&mut self.running) {
            self.tell(&call.meta, Usage::default(), Outcome::Overtaken, now);
            // It was no failure, so that it may be asked as if it had not been.
            self.calls_left += 1;
            available.push(Upcoming { tries: call.meta.upcoming.tries - 1, ..call.meta.upcoming });
        }
        // Before those that failed and may be asked again.
        available.append(&mut self.upcoming);
        self.upcoming = available;
        self.join = None;
    }

    fn time_is_up(&mut self) {
        self.hang_up(&Outcome::Failed(Failed::new(Failure::Timeout, "turn timeout")));
        self.exhausted(true);
    }

    /// Ends every call under way with `outcome`.
    fn hang_up(&mut self, outcome: &Outcome) {
        let now = Instant::now();
        let running: Vec<_> = self.running.drain(..).map(|call| (call.meta, Usage::default())).collect();
        let live = self.live.take().map(|(meta, live)| (meta, live.usage()));
        for (meta, usage) in running.into_iter().chain(live) {
            let name = self.tell(&meta, usage, outcome.clone(), now);
            if let Some(failed) = outcome.failed() {
                self.failures.push((name, failed.clone()));
            }
        }
    }

    fn exhausted(&mut self, timed_out: bool) {
        self.hang_up(&Outcome::Cancelled);
        let now = Instant::now();
        let state = self.shared.state();
        let rests = state.roster.iter().filter_map(|member| match member.standing(now) {
            Standing::Resting { until, .. } => Some(until.saturating_duration_since(now)),
            Standing::Ready | Standing::Probing { .. } => None,
        });
        let try_again_in = rests.min();
        drop(state);
        let failures = std::mem::take(&mut self.failures);
        let exhausted = Exhausted { failures, try_again_in, spoke: self.spoke, timed_out };
        self.told.push_back(Event::Ended(End::Exhausted(exhausted)));
        self.is_over = true;
    }

    /// Tells a call's end to the roster and to whoever listens. Returns the provider's name.
    fn tell(&mut self, meta: &Meta, usage: Usage, outcome: Outcome, now: Instant) -> String {
        let place = meta.upcoming.provider;
        let provider = &self.shared.players[place].provider;
        self.shared.state().roster[place].record(&outcome, &self.shared.settings.breaker, now);
        let attempt = Attempt {
            step: meta.step,
            provider: provider.name().to_owned(),
            model: provider.model().to_owned(),
            started_at: self.started_at.plus(meta.started.duration_since(self.born)),
            outcome,
            first_text: meta.first_text,
            total: now.duration_since(meta.started),
            usage,
            cost: provider.cost(usage),
        };
        let name = attempt.provider.clone();
        self.told.push_back(Event::Attempt(attempt));
        name
    }
}

impl Drop for Performance {
    /// A dropped performance must not keep a probe's place.
    fn drop(&mut self) {
        self.hang_up(&Outcome::Cancelled);
    }
}

async fn first_to_end(running: &mut [Call]) -> (usize, Result<Opened, Failed>) {
    poll_fn(|cx| {
        for (index, call) in running.iter_mut().enumerate() {
            if let Poll::Ready(ended) = call.future.as_mut().poll(cx) {
                return Poll::Ready((index, ended));
            }
        }
        Poll::Pending
    })
    .await
}

#[cfg(test)]
mod tests;
