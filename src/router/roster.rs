//! Who can go on, and each one's standing: a pure breaker per provider that is told outcomes and the time, and answers questions.
//!
//! **The problem.** A provider that fails should be left alone for a while, tried carefully, and taken back; people must not
//! be the ones who find out each time, nor the ones who wait. **The rule.** It rests after `failures` in a row, or when
//! `failure_rate` of at least `min_calls` within `window` failed; each further rest is twice as long, up to `max_rest`. After
//! the rest one probe at a time decides. A provider that names a time (`Retry-After`) is not asked before it, by anybody. A
//! later deadline is never replaced by an earlier one. One that lets people wait is doubted at once: while the background
//! looks after it (`look.rs`), turns go to others first. What turns find outranks what looks find: when a provider was found
//! well and fails a turn all the same, the next look has to wait as long as a rest is. **The limits.** Faults of the question
//! (too long, filtered, bad request) say nothing about the provider. Calls that began before a rest did do not make it longer,
//! and those that began before it was found well again do not begin another one.

use super::{look::Look, samples::Samples};
use crate::outcome::{Failed, Failure, Outcome};
use std::{collections::VecDeque, time::Duration};
use tokio::time::Instant;

/// When a provider rests, and for how long.
#[derive(Clone, Copy, Debug)]
pub struct BreakerSettings {
    /// So many failures in a row.
    pub failures: u32,
    /// Or this share of the calls in `window`,
    pub failure_rate: f64,
    /// if there were at least so many.
    pub min_calls: u32,
    /// What counts as recent.
    pub window: Duration,
    /// The first rest.
    pub rest: Duration,
    /// The longest.
    pub max_rest: Duration,
}

/// A provider may name a long time; after a quarter of an hour it is worth asking again in any case.
const LONGEST_HINT: Duration = Duration::from_secs(15 * 60);
/// Rate limited without a hint: the first pause, doubled with each further one.
const UNHINTED_PAUSE: Duration = Duration::from_secs(2);
/// How many recent calls are remembered for each provider.
const REMEMBERED: usize = 128;
/// How long a turn's probe may be out before another one may start: the longest that an attempt can take, by default and then some.
const PROBE_PATIENCE: Duration = Duration::from_secs(120);
/// Whoever says nothing for longer than this before it fails has let somebody wait.
const A_WAIT: Duration = Duration::from_millis(700);

/// Whether a provider can be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It can.
    Ready,
    /// It can, but it let people wait, and nobody knows yet whether it will again: others come first.
    Doubted {
        /// What it is suspected of.
        why: Failure,
    },
    /// Not before the time, because of the failure.
    Resting {
        /// When it may be asked again.
        until: Instant,
        /// What sent it to rest.
        why: Failure,
    },
    /// Its rest is over and one call is finding out how it is; `busy` while that call is under way.
    Probing {
        /// Whether the one call is under way.
        busy: bool,
        /// What sent it to rest before.
        why: Failure,
    },
}

impl Standing {
    /// Whether a call may begin.
    #[must_use]
    pub fn can_be_asked(self) -> bool {
        match self {
            Self::Ready | Self::Doubted { .. } | Self::Probing { busy: false, .. } => true,
            Self::Probing { busy: true, .. } | Self::Resting { .. } => false,
        }
    }

    /// The word for it, everywhere.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Resting { .. } => "resting",
            Self::Doubted { .. } | Self::Probing { .. } => "probing",
        }
    }

    /// What is wrong with it; none when it is ready.
    #[must_use]
    pub fn why(self) -> Option<Failure> {
        match self {
            Self::Ready => None,
            Self::Doubted { why } | Self::Resting { why, .. } | Self::Probing { why, .. } => Some(why),
        }
    }
}

/// A call that began: give it back to [`Member::record`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Begun {
    at: Instant,
    is_probe: bool,
}

/// One provider's recent past.
#[derive(Debug, Default)]
pub(crate) struct Member {
    recent: VecDeque<(Instant, bool)>,
    in_a_row: u32,
    unhinted: u32,
    rests: u32,
    resting: Option<Rest>,
    /// The provider itself named this time.
    named: Option<Instant>,
    doubt: Option<Failure>,
    probe_since: Option<Instant>,
    /// When it was found well again: how calls from before fail says nothing of it now.
    well_since: Option<Instant>,
    /// It was found well, and has answered no turn since.
    is_vouched: bool,
    /// Looks were wrong about it, and are not believed before this time.
    distrusted: Option<Instant>,
    pub(super) look: Look,
    first_texts: Samples,
    gaps: Samples,
    last_failure: Option<(Instant, Failure)>,
}

#[derive(Clone, Copy, Debug)]
struct Rest {
    since: Instant,
    until: Instant,
    why: Failure,
    /// Whether one careful call decides afterwards; a rate limit is over when it is over.
    probe: bool,
}

impl Member {
    /// Whether it can be asked at `now`.
    pub(crate) fn standing(&self, now: Instant) -> Standing {
        match self.resting {
            Some(rest) if now < rest.until => Standing::Resting { until: rest.until, why: rest.why },
            Some(rest) if rest.probe => Standing::Probing {
                busy: self.look.is_busy()
                    || self.probe_since.is_some_and(|since| now < since + PROBE_PATIENCE),
                why: rest.why,
            },
            _ => self.doubt.map_or(Standing::Ready, |why| Standing::Doubted { why }),
        }
    }

    /// A call begins, if it may. Takes the one probe's place where there is one.
    pub(crate) fn begin(&mut self, now: Instant) -> Option<Begun> {
        match self.standing(now) {
            Standing::Ready | Standing::Doubted { .. } => Some(Begun { at: now, is_probe: false }),
            Standing::Probing { busy: false, .. } => {
                self.probe_since = Some(now);
                Some(Begun { at: now, is_probe: true })
            }
            Standing::Probing { busy: true, .. } | Standing::Resting { .. } => None,
        }
    }

    /// A call ended at `now`, after so long without a piece.
    pub(crate) fn record(
        &mut self,
        begun: Begun,
        outcome: &Outcome,
        silence: Duration,
        settings: &BreakerSettings,
        now: Instant,
    ) {
        if begun.is_probe {
            self.probe_since = None;
        }
        match outcome {
            Outcome::Answered => {
                self.note(now, true);
                if self.resting.is_none_or(|rest| begun.at >= rest.since || !rest.probe) {
                    (self.rests, self.unhinted, self.in_a_row) = (0, 0, 0);
                    self.is_well(now);
                    (self.is_vouched, self.distrusted) = (false, None);
                }
            }
            Outcome::Failed(failed) => {
                self.last_failure = Some((now, failed.failure));
                self.fail(failed, begun, silence, settings, now);
            }
            Outcome::Overtaken | Outcome::Cancelled => {}
        }
    }

    /// It has shown that it answers. A time that it named itself stays; and until a turn has its answer, the next failure counts
    /// with those before it.
    pub(super) fn is_well(&mut self, now: Instant) {
        if self.doubt.take().is_some() || self.resting.is_some_and(|rest| rest.probe) {
            (self.well_since, self.is_vouched) = (Some(now), true);
        }
        let is_named = self.named.is_some_and(|until| now < until);
        self.resting = self.resting.filter(|_| is_named).map(|rest| Rest { probe: false, ..rest });
        self.look.is_over();
    }

    /// It is asked a question only to see how it is, and fails: whoever was in doubt is sent to rest.
    pub(super) fn is_ill(&mut self, failed: &Failed, settings: &BreakerSettings, now: Instant) {
        self.last_failure = Some((now, failed.failure));
        match failed.failure {
            Failure::RateLimited
            | Failure::QuotaExhausted
            | Failure::Auth
            | Failure::RegionBlocked
            | Failure::ModelUnavailable => {
                self.fail(failed, Begun { at: now, is_probe: false }, Duration::ZERO, settings, now);
            }
            why if self.doubt.take().is_some() => self.open(why, settings, now),
            _ => {}
        }
    }

    fn fail(
        &mut self,
        failed: &Failed,
        begun: Begun,
        silence: Duration,
        settings: &BreakerSettings,
        now: Instant,
    ) {
        let (why, hint) = (failed.failure, failed.retry_after);
        match why {
            Failure::ContextTooLong
            | Failure::ContentFiltered
            | Failure::UnsupportedParameter
            | Failure::BadRequest => return,
            Failure::RateLimited => {
                let pause = hint.unwrap_or_else(|| {
                    // Calls that are refused together are one refusal.
                    let is_new = self.resting.is_none_or(|rest| begun.at >= rest.since);
                    self.unhinted = self.unhinted.saturating_add(u32::from(is_new)).max(1);
                    doubled(UNHINTED_PAUSE, self.unhinted - 1).min(settings.max_rest)
                });
                return self.is_named(now + pause.min(LONGEST_HINT), why, now);
            }
            Failure::QuotaExhausted | Failure::Auth | Failure::RegionBlocked | Failure::ModelUnavailable => {
                // A short hint beside such a failure speaks of something else.
                let rest = hint.map_or(settings.max_rest, |it| it.min(LONGEST_HINT).max(settings.max_rest));
                return self.rest(now + rest, why, true, now);
            }
            Failure::Overloaded
            | Failure::ServerError
            | Failure::Timeout
            | Failure::Connection
            | Failure::BrokenStream
            | Failure::Malformed
            | Failure::Empty => {}
        }
        if let Some(hint) = hint {
            self.is_named(now + hint.min(LONGEST_HINT), why, now);
        }
        if self.is_past(begun) {
            return;
        }
        self.note(now, false);
        self.in_a_row = self.in_a_row.saturating_add(1);
        if begun.is_probe || self.is_tripped(settings, now) {
            self.open(why, settings, now);
        } else if silence >= A_WAIT {
            self.is_doubted(begun, why, settings, now);
        }
    }

    /// Whether a call began before it was sent to rest, or found well: then it tells nothing new.
    fn is_past(&self, begun: Begun) -> bool {
        self.resting.is_some_and(|rest| rest.probe && begun.at < rest.since)
            || self.well_since.is_some_and(|since| begun.at < since)
    }

    /// It lets this call wait. Says whether that is new.
    pub(crate) fn is_doubted(
        &mut self,
        begun: Begun,
        why: Failure,
        settings: &BreakerSettings,
        now: Instant,
    ) -> bool {
        let is_new = self.standing(now) == Standing::Ready && !self.is_past(begun);
        if is_new {
            if self.is_vouched {
                self.next_rest(settings, now);
            }
            self.doubt = Some(why);
            self.look.falls_ill(now, true);
        }
        is_new
    }

    /// The breaker opens.
    fn open(&mut self, why: Failure, settings: &BreakerSettings, now: Instant) {
        let until = self.next_rest(settings, now);
        // Whoever is found well after that has one try.
        self.in_a_row = settings.failures.saturating_sub(1);
        self.recent.clear();
        self.rest(until, why, true, now);
    }

    /// When the next rest would end. If it was found well since the last one, that was wrong: looks have to wait as long.
    fn next_rest(&mut self, settings: &BreakerSettings, now: Instant) -> Instant {
        let until = now + doubled(settings.rest, self.rests).min(settings.max_rest);
        self.rests = self.rests.saturating_add(1);
        if std::mem::take(&mut self.is_vouched) {
            self.distrusted = Some(until);
        }
        until
    }

    fn is_tripped(&self, settings: &BreakerSettings, now: Instant) -> bool {
        let recent = self.recent.iter().filter(|(at, _)| now.duration_since(*at) <= settings.window);
        let (calls, failed) =
            recent.fold((0_u32, 0_u32), |(calls, failed), (_, ok)| (calls + 1, failed + u32::from(!ok)));
        let by_rate = calls >= settings.min_calls.max(1)
            && f64::from(failed) >= settings.failure_rate * f64::from(calls);
        self.in_a_row >= settings.failures || by_rate
    }

    /// The provider itself says when it may be asked again.
    fn is_named(&mut self, until: Instant, why: Failure, now: Instant) {
        self.named = Some(self.named.map_or(until, |old| old.max(until)));
        self.rest(until, why, false, now);
    }

    fn rest(&mut self, until: Instant, why: Failure, probe: bool, now: Instant) {
        let rest = Rest { since: now, until, why, probe };
        self.resting = Some(match self.resting.filter(|old| old.probe || now < old.until) {
            Some(old) if old.until > until => Rest { probe: old.probe || probe, ..old },
            Some(old) => Rest { probe: old.probe || probe, ..rest },
            None => rest,
        });
        self.doubt = None;
        if probe {
            self.look.falls_ill(now, false);
        }
    }

    /// From when on the background may look at it; none: nothing is to be found out. Not before a time that it named, nor as
    /// long as looks are not believed; and when key or purse are at fault not before its rest is over: a look cures neither.
    pub(super) fn may_be_looked_at(&self, now: Instant) -> Option<Instant> {
        let named = self.named.max(self.distrusted).unwrap_or(now);
        // A rate limit is over when it is over, and says nothing of what came after it.
        match self.resting.filter(|rest| rest.probe || now < rest.until) {
            Some(rest) if !rest.probe => None,
            Some(Rest {
                why: Failure::Auth | Failure::QuotaExhausted | Failure::RegionBlocked,
                until,
                ..
            }) => Some(named.max(until)),
            Some(_) => Some(named),
            None => self.doubt.map(|_| named),
        }
    }

    /// The first text of a call came after this long. A probe has shown by that what it was to show: nobody waits for its end.
    pub(crate) fn note_first_text(&mut self, begun: Begun, after: Duration, now: Instant) {
        self.first_texts.note(after);
        let ends_rest = begun.is_probe && matches!(self.standing(now), Standing::Probing { .. });
        if ends_rest {
            self.resting = None;
        }
        if self.doubt.take().is_some() || ends_rest {
            self.well_since = Some(begun.at);
            self.look.is_over();
        }
    }

    /// It was given up after this long without text: the first text would have come later still.
    pub(crate) fn note_no_text(&mut self, after: Duration) {
        self.first_texts.note(after);
    }

    /// The next piece came after this long.
    pub(crate) fn note_gap(&mut self, gap: Duration) {
        self.gaps.note(gap);
    }

    /// The time within which 95 of 100 first texts came.
    pub(crate) fn first_text_p95(&self) -> Option<Duration> {
        self.first_texts.percentile(95)
    }

    /// The time within which half of the first texts came.
    pub(crate) fn first_text_median(&self) -> Option<Duration> {
        self.first_texts.percentile(50)
    }

    /// The time within which 95 of 100 pieces followed the former.
    pub(crate) fn gap_p95(&self) -> Option<Duration> {
        self.gaps.percentile(95)
    }

    /// What went wrong last, and when.
    pub(crate) fn last_failure(&self) -> Option<(Instant, Failure)> {
        self.last_failure
    }

    /// The rest that it has, for keeping: why, until when, whether a probe decides, and how many it had in a row.
    pub(crate) fn kept(&self) -> Option<(Failure, Instant, bool, u32)> {
        self.resting.map(|rest| (rest.why, rest.until, rest.probe, self.rests))
    }

    /// Takes up a rest from before a restart. Where the configuration was at fault somebody may have mended it: that is looked at
    /// at once.
    pub(crate) fn take_up(
        &mut self,
        (why, until, probe, rests): (Failure, Instant, bool, u32),
        settings: &BreakerSettings,
        now: Instant,
    ) {
        // One of the two clocks that it was reckoned by may have been wrong: no rest is longer than this.
        let until = until.min(now + LONGEST_HINT.max(settings.max_rest));
        self.rests = rests;
        if matches!(why, Failure::Auth | Failure::RegionBlocked | Failure::ModelUnavailable) {
            self.look.falls_ill(now, true);
            return self.rest(now, why, true, now);
        }
        if probe { self.rest(until, why, true, now) } else { self.is_named(until, why, now) }
    }

    fn note(&mut self, now: Instant, ok: bool) {
        if self.recent.len() == REMEMBERED {
            self.recent.pop_front();
        }
        self.recent.push_back((now, ok));
    }
}

/// `base · 2^times`.
fn doubled(base: Duration, times: u32) -> Duration {
    base.saturating_mul(2_u32.saturating_pow(times))
}

#[cfg(test)]
mod tests;
