//! Who can go on, and each one's standing: a pure breaker per provider that is told outcomes and the time, and answers questions.
//!
//! **The problem.** A provider that fails should be left alone for a while, tried carefully, and taken back; people must not
//! be the ones who find out each time. **The rule.** It rests after `failures` in a row, or when `failure_rate` of at least
//! `min_calls` within `window` failed; each further rest is twice as long, up to `max_rest`. After the rest one probe at a
//! time decides. A provider that names a time (`Retry-After`) rests until then, whatever the breaker thinks. A later deadline
//! is never replaced by an earlier one. **The limits.** Faults of the question (too long, filtered, bad request) say nothing about the provider.

use crate::outcome::{Failure, Outcome};
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
/// How many recent calls, first texts and gaps are remembered for each provider.
const REMEMBERED: usize = 128;
/// Fewer measurements than this say nothing.
const ENOUGH: usize = 5;
/// How long a probe may be out before another one may start: the longest that an attempt can take, by default and then some.
const PROBE_PATIENCE: Duration = Duration::from_secs(120);

/// Whether a provider can be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It can.
    Ready,
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
            Self::Ready | Self::Probing { busy: false, .. } => true,
            Self::Probing { busy: true, .. } | Self::Resting { .. } => false,
        }
    }
}

/// One provider's recent past.
#[derive(Debug, Default)]
pub(crate) struct Member {
    recent: VecDeque<(Instant, bool)>,
    in_a_row: u32,
    unhinted: u32,
    rests: u32,
    resting: Option<Rest>,
    probe_since: Option<Instant>,
    first_texts: VecDeque<Duration>,
    gaps: VecDeque<Duration>,
    last_failure: Option<(Instant, Failure)>,
}

#[derive(Clone, Copy, Debug)]
struct Rest {
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
                busy: self.probe_since.is_some_and(|since| now < since + PROBE_PATIENCE),
                why: rest.why,
            },
            _ => Standing::Ready,
        }
    }

    /// A call begins: true if it may. Takes the one probe's place where there is one.
    pub(crate) fn begin(&mut self, now: Instant) -> bool {
        match self.standing(now) {
            Standing::Ready => true,
            Standing::Probing { busy: false, .. } => {
                self.probe_since = Some(now);
                true
            }
            Standing::Probing { busy: true, .. } | Standing::Resting { .. } => false,
        }
    }

    /// A call ended at `now`.
    pub(crate) fn record(&mut self, outcome: &Outcome, settings: &BreakerSettings, now: Instant) {
        self.probe_since = None;
        match outcome {
            Outcome::Answered => {
                self.note(now, true);
                self.in_a_row = 0;
                self.unhinted = 0;
                self.rests = 0;
                self.resting = self.resting.filter(|rest| now < rest.until);
            }
            Outcome::Failed(failed) => {
                self.last_failure = Some((now, failed.failure));
                self.fail(failed.failure, failed.retry_after, settings, now);
            }
            Outcome::Overtaken | Outcome::Cancelled => {}
        }
    }

    fn fail(&mut self, why: Failure, hint: Option<Duration>, settings: &BreakerSettings, now: Instant) {
        let is_its_fault = match why {
            Failure::ContextTooLong
            | Failure::ContentFiltered
            | Failure::UnsupportedParameter
            | Failure::BadRequest => return,
            Failure::RateLimited => {
                let pause = hint.unwrap_or_else(|| {
                    self.unhinted = self.unhinted.saturating_add(1);
                    UNHINTED_PAUSE
                        .saturating_mul(2_u32.saturating_pow(self.unhinted - 1))
                        .min(settings.max_rest)
                });
                self.rest(now + pause.min(LONGEST_HINT), why, false);
                return;
            }
            Failure::QuotaExhausted | Failure::Auth | Failure::RegionBlocked | Failure::ModelUnavailable => {
                let rest = hint.unwrap_or(settings.max_rest).clamp(settings.rest, LONGEST_HINT);
                self.rest(now + rest, why, true);
                return;
            }
            Failure::Overloaded
            | Failure::ServerError
            | Failure::Timeout
            | Failure::Connection
            | Failure::BrokenStream
            | Failure::Malformed
            | Failure::Empty => true,
        };
        self.note(now, !is_its_fault);
        self.in_a_row = self.in_a_row.saturating_add(1);
        if let Some(hint) = hint {
            self.rest(now + hint.min(LONGEST_HINT), why, false);
        }
        let was_probe = self.resting.is_some_and(|rest| rest.probe && now >= rest.until);
        if was_probe || self.is_tripped(settings, now) {
            let rest = settings.rest.saturating_mul(2_u32.saturating_pow(self.rests)).min(settings.max_rest);
            self.rests = self.rests.saturating_add(1);
            self.in_a_row = 0;
            self.recent.clear();
            self.rest(now + rest, why, true);
        }
    }

    fn is_tripped(&self, settings: &BreakerSettings, now: Instant) -> bool {
        let recent = self.recent.iter().filter(|(at, _)| now.duration_since(*at) <= settings.window);
        let (calls, failed) =
            recent.fold((0_u32, 0_u32), |(calls, failed), (_, ok)| (calls + 1, failed + u32::from(!ok)));
        let by_rate = calls >= settings.min_calls.max(1)
            && f64::from(failed) >= settings.failure_rate * f64::from(calls);
        self.in_a_row >= settings.failures || by_rate
    }

    fn rest(&mut self, until: Instant, why: Failure, probe: bool) {
        let rest = Rest { until, why, probe };
        self.resting = Some(match self.resting {
            Some(old) if old.until > until => Rest { probe: old.probe || probe, ..old },
            Some(_) | None => rest,
        });
    }

    /// A health check went well: the rest of a breaker is over early, and a probe may decide. A rate limit, a wrong key or an
    /// empty purse is not cured by that.
    pub(crate) fn is_healthy(&mut self, now: Instant) {
        if let Some(rest) = &mut self.resting
            && rest.probe
            && !matches!(rest.why, Failure::Auth | Failure::QuotaExhausted | Failure::RegionBlocked)
        {
            rest.until = rest.until.min(now);
        }
    }

    /// Whether a background health check could bring it back.
    pub(crate) fn wants_health_check(&self, now: Instant) -> bool {
        matches!(self.standing(now), Standing::Resting { .. }) && self.resting.is_some_and(|rest| rest.probe)
    }

    /// The first text came after this long.
    pub(crate) fn note_first_text(&mut self, after: Duration) {
        remember(&mut self.first_texts, after);
    }

    /// The next piece came after this long.
    pub(crate) fn note_gap(&mut self, gap: Duration) {
        remember(&mut self.gaps, gap);
    }

    /// The time within which 95 of 100 first texts came.
    pub(crate) fn first_text_p95(&self) -> Option<Duration> {
        p95(&self.first_texts)
    }

    /// The time within which 95 of 100 pieces followed the former.
    pub(crate) fn gap_p95(&self) -> Option<Duration> {
        p95(&self.gaps)
    }

    /// What went wrong last, and when.
    pub(crate) fn last_failure(&self) -> Option<(Instant, Failure)> {
        self.last_failure
    }

    fn note(&mut self, now: Instant, ok: bool) {
        remember(&mut self.recent, (now, ok));
    }
}

fn remember<T>(list: &mut VecDeque<T>, item: T) {
    if list.len() == REMEMBERED {
        list.pop_front();
    }
    list.push_back(item);
}

fn p95(list: &VecDeque<Duration>) -> Option<Duration> {
    if list.len() < ENOUGH {
        return None;
    }
    let mut sorted: Vec<_> = list.iter().copied().collect();
    sorted.sort_unstable();
    sorted.get((sorted.len() * 95).div_ceil(100) - 1).copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::Failed;
    use expect_test::{Expect, expect};
    use std::fmt::Write;

    const SETTINGS: BreakerSettings = BreakerSettings {
        failures: 5,
        failure_rate: 0.5,
        min_calls: 10,
        window: Duration::from_secs(30),
        rest: Duration::from_secs(15),
        max_rest: Duration::from_secs(300),
    };

    /// Plays `seconds word` lines: a failure class, `ok`, `healthy` or `429=hint`; prints the standing after each.
    #[expect(clippy::needless_pass_by_value, reason = "reads better at the call")]
    fn check(script: &str, expected: Expect) {
        let born = Instant::now();
        let mut member = Member::default();
        let mut out = String::new();
        for line in script.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let (at, word) = line.split_once(' ').unwrap();
            let now = born + Duration::from_secs_f64(at.parse().unwrap());
            let fail = |failure, hint: Option<u64>| {
                let retry_after = hint.map(Duration::from_secs);
                Outcome::Failed(Failed { retry_after, ..Failed::new(failure, "") })
            };
            let may = member.begin(now);
            match word.split_once('=').unwrap_or((word, "")) {
                ("healthy", _) => member.is_healthy(now),
                ("look", _) => member.probe_since = None,
                (_, _) if !may => {}
                ("ok", _) => member.record(&Outcome::Answered, &SETTINGS, now),
                ("429", hint) => {
                    member.record(&fail(Failure::RateLimited, hint.parse().ok()), &SETTINGS, now);
                }
                (word, _) => member.record(&fail(Failure::parse(word).unwrap(), None), &SETTINGS, now),
            }
            let standing = match member.standing(now) {
                Standing::Ready => "ready".to_owned(),
                Standing::Resting { until, why } => {
                    format!("resting until {:?}, {why}", until.duration_since(born))
                }
                Standing::Probing { busy, .. } => format!("probing, busy: {busy}"),
            };
            writeln!(out, "{line:<18} → {standing}").unwrap();
        }
        expected.assert_eq(&out);
    }

    #[test]
    fn five_failures_in_a_row_rest_it_and_a_probe_brings_it_back() {
        check(
            "0 server_error
             1 server_error
             2 server_error
             3 server_error
             4 server_error
             10 server_error
             19 look
             19 ok
             20 server_error",
            expect![[r"
                0 server_error     → ready
                1 server_error     → ready
                2 server_error     → ready
                3 server_error     → ready
                4 server_error     → resting until 19s, server_error
                10 server_error    → resting until 19s, server_error
                19 look            → probing, busy: false
                19 ok              → ready
                20 server_error    → ready
            "]],
        );
    }

    #[test]
    fn each_failed_probe_doubles_the_rest() {
        check(
            "0 timeout
             0 timeout
             0 timeout
             0 timeout
             0 timeout
             15 timeout
             45 timeout
             105 ok
             106 look",
            expect![[r"
                0 timeout          → ready
                0 timeout          → ready
                0 timeout          → ready
                0 timeout          → ready
                0 timeout          → resting until 15s, timeout
                15 timeout         → resting until 45s, timeout
                45 timeout         → resting until 105s, timeout
                105 ok             → ready
                106 look           → ready
            "]],
        );
    }

    #[test]
    fn a_named_time_is_kept_and_a_later_one_is_never_shortened() {
        check(
            "0 429=30
             1 429=5
             29.9 look
             30 look
             30 429=3
             31 auth",
            expect![[r"
                0 429=30           → resting until 30s, rate_limited
                1 429=5            → resting until 30s, rate_limited
                29.9 look          → resting until 30s, rate_limited
                30 look            → ready
                30 429=3           → resting until 33s, rate_limited
                31 auth            → resting until 33s, rate_limited
            "]],
        );
    }

    #[test]
    fn a_wrong_key_rests_it_and_a_health_check_does_not_cure_that() {
        check(
            "0 auth
             30 healthy
             300 look",
            expect![[r"
                0 auth             → resting until 300s, auth
                30 healthy         → resting until 300s, auth
                300 look           → probing, busy: false
            "]],
        );
    }

    #[test]
    fn a_health_check_ends_the_rest_of_a_breaker() {
        check(
            "0 connection
             0 connection
             0 connection
             0 connection
             0 connection
             5 healthy
             6 ok",
            expect![[r#"
                0 connection       → ready
                0 connection       → ready
                0 connection       → ready
                0 connection       → ready
                0 connection       → resting until 15s, connection
                5 healthy          → probing, busy: false
                6 ok               → ready
            "#]],
        );
    }

    #[test]
    fn faults_of_the_question_say_nothing_about_the_provider() {
        check(
            "0 bad_request
             0 bad_request
             0 content_filtered
             0 context_too_long
             0 bad_request
             0 bad_request",
            expect![[r"
                0 bad_request      → ready
                0 bad_request      → ready
                0 content_filtered → ready
                0 context_too_long → ready
                0 bad_request      → ready
                0 bad_request      → ready
            "]],
        );
    }
}
