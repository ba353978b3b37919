//! Looks after providers that are not well, in the background, so that no turn has to find out whether they are back.
//!
//! **The problem.** After an outage somebody must be the first to try. The obvious way lets a person's turn be the probe, who
//! then waits, or trusts a health address, which may say that all is well while every answer fails. **The rule.** The health
//! address is asked first, since it costs nothing; when it says that all is well, the provider is asked for one word. Only
//! words prove that it speaks. One look at a time for each provider: at once when it let somebody wait, then every two seconds,
//! later after a sixteenth of the time that it has been ill, at the latest every `health_check`. A turn that finds nobody
//! ready makes them come sooner. **The limits.** A look is no attempt of a turn and has no row in the ledger; it costs
//! some ten tokens, once an outage as a rule. Health addresses lie in both directions: every fourth look passes them by.

use super::{
    Shared,
    roster::{BreakerSettings, Member},
};
use crate::{
    message::{Line, Prompt, Role},
    outcome::{Failed, Failure},
    providers::{Piece, Provider},
};
use futures::{FutureExt, StreamExt};
use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};
use tokio::time::{Instant, timeout_at};

/// The least that lies between two looks.
const OFTEN: Duration = Duration::from_secs(2);
/// The same, and the most, while turns have nobody to ask: soon enough for them, and no second load for who is down for long.
const WANTED: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(4));
/// The longer it has been ill, the less often it is looked at.
const SHARE_OF_ILLNESS: u32 = 16;
/// So long a provider may take to say its word at the least, twice its own p95 otherwise.
const PATIENCE: Duration = Duration::from_millis(2500);
/// The same for one that is not known; at every fourth look it has all the time of an attempt, should it be as slow as that.
const PATIENCE_UNKNOWN: Duration = Duration::from_secs(5);
/// One look in so many does not ask the health address first.
const TRUST: u32 = 4;
/// What it is asked: a look can be told from a turn by that.
pub const LOOK: &str = "Reply with the word OK.";
/// Enough for a word, and above what some vendors want as the least.
const WORD_TOKENS: u32 = 16;

/// When a provider is looked at next.
#[derive(Debug, Default)]
pub(super) struct Look {
    ill_since: Option<Instant>,
    last: Option<Instant>,
    wanted_until: Option<Instant>,
    is_busy: bool,
    count: u32,
}

impl Look {
    /// It is not well; `at_once`: somebody waits for it.
    pub(super) fn falls_ill(&mut self, now: Instant, at_once: bool) {
        if self.ill_since.is_none() {
            *self = Self { ill_since: Some(now), is_busy: self.is_busy, ..Self::default() };
            self.last = (!at_once).then_some(now);
        }
    }

    /// It is well.
    pub(super) fn is_over(&mut self) {
        *self = Self { is_busy: self.is_busy, ..Self::default() };
    }

    /// A turn has nobody to ask, and waits until then.
    pub(super) fn is_wanted(&mut self, until: Instant) {
        self.wanted_until = Some(until);
    }

    /// Whether one is under way.
    pub(super) fn is_busy(&self) -> bool {
        self.is_busy
    }

    /// When the next one is due; none: it is well, or looked at now.
    fn due(&self, now: Instant, every: Duration) -> Option<Instant> {
        let ill_since = self.ill_since.filter(|_| !self.is_busy)?;
        let Some(last) = self.last else { return Some(ill_since) };
        let ill_for = now.saturating_duration_since(ill_since);
        let pause = match self.wanted_until {
            Some(until) if now < until => {
                (ill_for / SHARE_OF_ILLNESS / 2).clamp(WANTED.0, WANTED.1).min(every)
            }
            _ => (ill_for / SHARE_OF_ILLNESS).clamp(OFTEN.min(every), every),
        };
        Some(last + pause)
    }
}

impl Member {
    /// When this provider is to be looked at; none: it needs no look.
    pub(super) fn look_due(&self, now: Instant, every: Duration) -> Option<Instant> {
        Some(self.look.due(now, every)?.max(self.may_be_looked_at(now)?))
    }

    /// A look begins; true if it asks the health address first.
    fn look_begins(&mut self, now: Instant) -> bool {
        let look = &mut self.look;
        (look.last, look.is_busy) = (Some(now), true);
        look.count = look.count.wrapping_add(1);
        !look.count.is_multiple_of(TRUST)
    }

    /// A look ended.
    fn look_ended(&mut self, found: Result<(), Failed>, settings: &BreakerSettings, now: Instant) {
        self.look.is_busy = false;
        match found {
            Ok(()) => self.is_well(now),
            Err(failed) => self.is_ill(&failed, settings, now),
        }
    }
}

/// A look at one provider.
struct Round {
    place: usize,
    asks_health: bool,
    patience: Duration,
}

impl Shared {
    /// Those whose time has come, and when the next one's does.
    fn due(&self, now: Instant, every: Duration) -> (Vec<Round>, Option<Instant>) {
        let mut state = self.state();
        let (mut due, mut next) = (Vec::new(), None::<Instant>);
        for (place, member) in state.roster.iter_mut().enumerate() {
            match member.look_due(now, every) {
                Some(at) if at <= now => {
                    let limit = self.players[place].limits.first_token;
                    let asks_health = member.look_begins(now);
                    let patience = match member.first_text_p95() {
                        Some(p95) => (p95 * 2).max(PATIENCE),
                        None if asks_health => PATIENCE_UNKNOWN,
                        None => limit,
                    };
                    due.push(Round { place, asks_health, patience: patience.min(limit) });
                }
                Some(at) => next = Some(next.map_or(at, |it| it.min(at))),
                None => {}
            }
        }
        (due, next)
    }

    async fn look(&self, round: Round) -> (usize, Result<(), Failed>) {
        let provider = &self.players[round.place].provider;
        let until = Instant::now() + round.patience;
        let found = async {
            if round.asks_health {
                match provider.health_check().await {
                    // Its service is in trouble. A health address that is closed to this key, or is not there, says nothing: keys
                    // that may ask and may not list the models are common.
                    Err(failed) if failed.failure.passes() => return Err(failed),
                    Ok(()) | Err(_) => {}
                }
            }
            a_word(&**provider).await
        };
        // All providers are looked after by one task, which must outlive what one of them makes us stumble over.
        let found = AssertUnwindSafe(found).catch_unwind();
        let found = match timeout_at(until, found).await {
            Ok(Ok(found)) => found,
            Ok(Err(_)) => Err(Failed::new(Failure::Malformed, "panic")),
            Err(_) => Err(Failed::new(Failure::Timeout, "no word")),
        };
        (round.place, found)
    }

    /// Looks after whoever is not well, for ever.
    pub(super) async fn look_after(&self) -> std::convert::Infallible {
        let Some(every) = self.settings.health_check else { return std::future::pending().await };
        let mut changed = self.changed.subscribe();
        let mut rounds = futures::stream::FuturesUnordered::new();
        loop {
            let (due, next) = self.due(Instant::now(), every);
            rounds.extend(due.into_iter().map(|round| self.look(round)));
            let next = async {
                match next {
                    Some(at) => tokio::time::sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                Some((place, found)) = rounds.next(), if !rounds.is_empty() => {
                    let breaker = &self.settings.breaker;
                    self.state().roster[place].look_ended(found, breaker, Instant::now());
                    self.tell_all();
                }
                _ = changed.changed() => {}
                () = next => {}
            }
        }
    }
}

/// Asks for one word. Whatever shows that a model is at work will do, also that the few tokens went into thoughts, or that it does
/// not like this question.
async fn a_word(provider: &dyn Provider) -> Result<(), Failed> {
    let line = Line { role: Role::User, speaker: None, text: LOOK.to_owned() };
    let prompt =
        Prompt { system: String::new(), lines: vec![line], reply_tokens: WORD_TOKENS, ..Prompt::default() };
    let said = async {
        let mut pieces = provider.generate(Arc::new(prompt)).await?;
        while let Some(piece) = pieces.next().await {
            match piece? {
                Piece::Text(_) | Piece::Reasoning(_) | Piece::ToolCall(_) | Piece::Finish(_) => return Ok(()),
                Piece::Usage(_) | Piece::Alive => {}
            }
        }
        Err(Failed::new(Failure::BrokenStream, "no finish"))
    };
    match said.await {
        Err(failed) if failed.failure == Failure::Empty || failed.failure.is_of_the_question() => Ok(()),
        said => said,
    }
}
