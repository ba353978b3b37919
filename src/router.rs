//! Plays a plan until one provider has answered, and returns what happens as events.
//!
//! **The problem.** Providers fail before they speak, while they speak, or by being slow; a turn has one deadline and one
//! answer. **The rule.** One loop plays every strategy: a step begins when the stage is free, when the one before it failed,
//! or when it has been silent for too long; the first text wins and the others are dropped. When the winner breaks off, the
//! loop goes on and the next provider's answer begins afresh. Nothing is spliced. **The limits.** The router knows neither
//! people nor the store: it tells what happened as [`Event`]s and whoever asked records them.

pub mod attempt;
mod bandit;
mod ceilings;
mod look;
mod outlook;
mod reckon;
pub mod retry;
pub mod room;
pub mod roster;
mod samples;
mod share;
mod solo;
pub mod strategy;

use crate::{
    message::{ChannelId, GuildId, Prompt, ToolCall, UnixMillis},
    outcome::{Attempt, Failed, Failure, Lesson, Rest},
    providers::{Finish, Provider},
};
use attempt::Limits;
use bandit::Bandit;
use ceilings::Gauge;
pub use look::LOOK;
pub use outlook::Outlook;
use retry::Budget;
use roster::{BreakerSettings, Member, Standing};
pub use share::Performance;
use share::Share;
use solo::Solo;
use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use strategy::{Candidate, Draw, Strategy, Wish};
use tokio::{sync::watch, time::Instant};

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
    /// The most that lies between two looks at a provider that is not well; none: nobody looks, and turns find out.
    pub health_check: Option<Duration>,
    /// The most answers that are kept to be given again (zero: none), and for how long.
    pub cache: (u32, Duration),
}

/// How much a provider may be asked.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Ceilings {
    /// Calls at once; zero: as many as come.
    pub concurrent: u32,
    /// Calls in a minute.
    pub requests_per_minute: Option<u32>,
    /// Tokens in a minute, of prompts and answers.
    pub tokens_per_minute: Option<u32>,
    /// Money in a day (UTC).
    pub daily_budget: Option<f64>,
}

/// Bounds of `hedge_after = "p95"`, and what holds before enough is known.
const HEDGE_MIN: Duration = Duration::from_millis(700);
const HEDGE_MAX: Duration = Duration::from_secs(4);
const HEDGE_UNKNOWN: Duration = Duration::from_millis(2500);
/// While another turn's probe of the only provider is out, look again so often.
const PROBE_POLL: Duration = Duration::from_millis(100);

/// A provider with its limits.
#[derive(Clone, Debug)]
pub struct Player {
    /// Whom to ask.
    pub provider: Arc<dyn Provider>,
    /// How long each call may take.
    pub limits: Limits,
    /// How much it may be asked.
    pub ceilings: Ceilings,
    /// Its share under `weighted`.
    pub weight: u32,
    /// Money per million tokens of prompt and of answer, for `cheapest`.
    pub price: Option<(f64, f64)>,
}

/// A question to the router.
#[derive(Clone, Debug, Default)]
pub struct Ask {
    /// What is asked.
    pub prompt: Arc<Prompt>,
    /// Whom people asked for.
    pub wish: Wish,
    /// Who may be given the same answer; none: nobody else, and it is not taken from anybody.
    pub sharing: Option<Sharing>,
    /// The conversation: what is sticky sticks to it.
    pub session: u64,
    /// Where the question comes from: `adaptive` learns server by server.
    pub server: Option<GuildId>,
    /// When it came.
    pub started_at: UnixMillis,
}

/// Which answers are shared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sharing {
    /// With whom.
    pub circle: Circle,
    /// Whole good answers given a while ago are given again.
    pub cached: bool,
    /// The same question in flight is asked once.
    pub in_flight: bool,
}

/// Those who may see each other's answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Circle {
    /// A server.
    Server(GuildId),
    /// The people of a direct message.
    Channel(ChannelId),
    /// The callers of the router API.
    Api,
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
    /// Tells those who wait that somebody's standing has changed, or that somebody has room again.
    changed: watch::Sender<()>,
    share: Share,
}

struct State {
    roster: Vec<Member>,
    gauges: Vec<Gauge>,
    hedges: Budget,
    repeats: Budget,
    bandit: Bandit,
    /// Turns so far.
    round: u64,
    rng: fastrand::Rng,
}

impl Shared {
    /// Nothing that runs under this lock can panic half-way through a change, so that a poisoned lock is still sound.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell_all(&self) {
        self.changed.send_replace(());
    }

    /// A turn has nobody to ask, and waits until then: those who are not well are looked at soon.
    fn want_looks(&self, until: Instant) {
        self.state().roster.iter_mut().for_each(|it| it.look.is_wanted(until));
        self.tell_all();
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
    /// A part of a call to a tool of the program that asked.
    ToolCall(ToolCall),
    /// The last event.
    Ended(End),
}

/// How a turn ended for the router.
#[derive(Clone, Debug)]
pub enum End {
    /// A whole answer was given.
    Answered {
        /// By whom.
        provider: String,
        /// Why the answer ends where it ends.
        finish: Finish,
        /// Who would have come before it, but rests, and after which failure.
        passed_over: Vec<(String, Failure)>,
        /// Where the answer comes from.
        source: Source,
    },
    /// Nobody gave a whole answer.
    Exhausted(Exhausted),
}

/// Where a whole answer comes from.
#[derive(Clone, Debug, PartialEq)]
pub enum Source {
    /// This turn asked; its calls were told as [`Event::Attempt`]s.
    Asked,
    /// Another turn asked the same at that time.
    Joined {
        /// Its calls, so that people can be told who failed on the way. They are in the ledger, as that turn's.
        calls: Vec<Attempt>,
    },
    /// It was given a while ago.
    Remembered,
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
            gauges: players.iter().map(|it| Gauge::new(it.ceilings)).collect(),
            hedges: Budget::new(settings.hedge_budget),
            repeats: Budget::new(settings.retry_budget),
            bandit: Bandit::default(),
            round: 0,
            rng,
        };
        let share = Share::new(settings.cache);
        let (state, changed) = (Mutex::new(state), watch::Sender::new(()));
        Self { shared: Arc::new(Shared { players, settings, state, changed, share }) }
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
                    Standing::Ready | Standing::Doubted { .. } | Standing::Probing { .. } => None,
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

    /// Looks after the providers that are not well, for ever: no turn waits for it, and turns find out themselves where nobody
    /// does it. `health_check` is the most that lies between two looks.
    pub async fn look_after(&self) -> std::convert::Infallible {
        self.shared.look_after().await
    }

    /// Tells when somebody's standing has changed: then [`Router::rests`] may be worth keeping.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<()> {
        self.shared.changed.subscribe()
    }

    /// Who rests, to be taken up after a restart. `now` and `at` are the same moment on two clocks.
    #[must_use]
    pub fn rests(&self, now: Instant, at: UnixMillis) -> Vec<Rest> {
        let state = self.shared.state();
        let players = self.shared.players.iter().zip(&state.roster);
        let resting = players.filter_map(|(player, member)| {
            let (why, until, probe, rests) = member.kept()?;
            Some(Rest {
                provider: player.provider.name().to_owned(),
                model: player.provider.model().to_owned(),
                why,
                until: at.plus(until.saturating_duration_since(now)),
                probe,
                rests,
            })
        });
        resting.collect()
    }

    /// Takes up rests from before a restart. Those of providers and models that are no more change nothing.
    pub fn take_up(&self, rests: &[Rest], now: Instant, at: UnixMillis) {
        let mut state = self.shared.state();
        for (player, member) in self.shared.players.iter().zip(&mut state.roster) {
            let is_its =
                |it: &&Rest| it.provider == player.provider.name() && it.model == player.provider.model();
            if let Some(rest) = rests.iter().find(is_its) {
                let kept = (rest.why, now + rest.until.since(at), rest.probe, rest.rests);
                member.take_up(kept, &self.shared.settings.breaker, now);
            }
        }
        drop(state);
        self.shared.tell_all();
    }

    /// Teaches `adaptive` what happened before this process began, or what people think of an answer. What this router's own calls
    /// teach, it knows.
    pub fn learn(&self, lessons: &[Lesson]) {
        let mut state = self.shared.state();
        lessons.iter().for_each(|it| state.bandit.learn(it));
    }

    /// Takes up what providers cost on the day of `at` before this process began.
    pub fn take_up_spending(&self, spent: &BTreeMap<String, f64>, at: UnixMillis) {
        let mut state = self.shared.state();
        for (player, gauge) in self.shared.players.iter().zip(&mut state.gauges) {
            if let Some(money) = spent.get(player.provider.name()) {
                gauge.restore_spent(*money, at);
            }
        }
    }

    /// Begins a turn. Nothing is sent before [`Performance::next`] is awaited; dropping the performance hangs up everywhere.
    pub fn play(&self, ask: &Ask) -> Performance {
        Performance::new(self, ask, Instant::now())
    }

    /// Forgets what `adaptive` has learned, and learns these lessons instead: some of the old ones hold no more.
    pub fn learn_anew(&self, lessons: &[Lesson]) {
        let mut state = self.shared.state();
        state.bandit = Bandit::default();
        lessons.iter().for_each(|it| state.bandit.learn(it));
    }

    /// Forgets the answers that are kept for whoever asks the same: somebody whose words may be among them wants them gone.
    pub fn forget_answers(&self) {
        self.shared.share.forget();
    }

    /// A turn of its own, whose time began at `now`.
    fn solo(&self, ask: &Ask, now: Instant) -> Solo {
        let Ask { wish, session, server, .. } = ask;
        let settings = &self.shared.settings;
        let names = self.names();
        let strategy::Lineup { order, listed } = strategy::lineup(&names, wish);
        let mut guard = self.shared.state();
        let state = &mut *guard;
        state.hedges.pay_in();
        state.repeats.pay_in();
        let round = state.round;
        state.round = round.wrapping_add(1);
        let candidates: Vec<_> = order.iter().map(|&it| self.candidate(it, &state.roster[it])).collect();
        let strategy = wish.strategy.unwrap_or(settings.strategy);
        let learned: Vec<usize> = if strategy == Strategy::Adaptive {
            let can = |&it: &usize| state.roster[it].standing(now).can_be_asked();
            let arms: Vec<usize> = order[listed..].iter().copied().filter(can).collect();
            let arm_names: Vec<&str> = arms.iter().map(|&it| names[it]).collect();
            let order = state.bandit.order(*server, &arm_names, &mut state.rng);
            order.into_iter().map(|it| arms[it]).collect()
        } else {
            Vec::new()
        };
        drop(guard);
        let draw = Draw { session: *session, round, learned: &learned };
        let mut plan = strategy::plan(strategy, &candidates, listed, settings.attempts_per_provider, &draw);
        if let Some(last) = names.iter().position(|it| wish.last.as_deref() == Some(*it)) {
            plan.ask_last(last);
        }
        Solo::new(Arc::clone(&self.shared), ask, plan, now)
    }

    /// What the strategies go by.
    fn candidate(&self, provider: usize, member: &Member) -> Candidate<'_> {
        let player = &self.shared.players[provider];
        let learned = member.first_text_p95();
        let p95 = learned.map_or(HEDGE_UNKNOWN, |it| it.clamp(HEDGE_MIN, HEDGE_MAX));
        Candidate {
            provider,
            name: player.provider.name(),
            hedge_after: self.shared.settings.hedge_after.unwrap_or(p95),
            weight: player.weight,
            first_text: member.first_text_median(),
            price: player.price,
        }
    }
}

#[cfg(test)]
mod tests;
