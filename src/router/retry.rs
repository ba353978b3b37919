//! What a failure means for the rest of the turn, how long to wait before the same provider is asked again, and how much extra load is allowed.
//!
//! **The problem.** A fault may be the provider's, the moment's or the question's. The obvious way (three tries each, with
//! pauses) multiplies: tries × providers calls, most of them to somebody who already said no, while a healthy provider waits.
//! **The rule.** A failure is looked at once, here. While another provider can go on, nobody waits: the next one is asked at
//! once and the failed one goes to the end of the line, if asking it again makes sense at all. **The limits.** One number
//! of calls for the whole turn; repeats are paid from a budget that all turns fill, so that an outage is not made worse.

use crate::outcome::Failure;
use std::time::Duration;

/// What happens to the turn after a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Somebody else goes on; the same provider may be asked again later in the turn.
    OthersThenAgain,
    /// Somebody else goes on; asking the same provider again in this turn is no use.
    Others,
    /// Only somebody with a wider window can help.
    WiderWindow,
    /// One other opinion: the request itself looks wrong, and a second "bad request" ends the turn.
    OneOther,
    /// Nobody else is asked.
    Stop,
}

/// Decides what a failure means for the turn.
pub(crate) fn next(failure: Failure) -> Next {
    match failure {
        Failure::Overloaded
        | Failure::ServerError
        | Failure::Timeout
        | Failure::Connection
        | Failure::BrokenStream
        | Failure::Malformed
        | Failure::Empty
        | Failure::RateLimited => Next::OthersThenAgain,
        Failure::QuotaExhausted
        | Failure::Auth
        | Failure::RegionBlocked
        | Failure::ModelUnavailable
        | Failure::UnsupportedParameter => Next::Others,
        Failure::ContextTooLong => Next::WiderWindow,
        Failure::BadRequest => Next::OneOther,
        Failure::ContentFiltered => Next::Stop,
    }
}

/// Full jitter: anywhere between nothing and `base · 2^repeat`, at most `max`
/// (*Exponential Backoff and Jitter*, AWS Architecture Blog, 2015).
pub(crate) fn backoff(base: Duration, max: Duration, repeat: u32, rng: &mut fastrand::Rng) -> Duration {
    let ceiling = base.saturating_mul(2_u32.saturating_pow(repeat)).min(max);
    ceiling.mul_f64(rng.f64())
}

/// Extra calls that all turns together may make: every turn pays in a share, every extra call takes one out.
///
/// Why not a number of retries a turn: in an outage every turn would use all of them, and the provider that is about to
/// recover would get a multiple of its usual load.
#[derive(Debug)]
pub(crate) struct Budget {
    share: f64,
    balance: f64,
}

impl Budget {
    /// So that a quiet bot can repeat or hedge at all.
    const FLOOR: f64 = 3.0;
    /// So that a quiet night does not save up for a storm.
    const CEILING: f64 = 20.0;

    /// A budget that grows by `share` of an extra call a turn.
    pub(crate) fn new(share: f64) -> Self {
        Self { share, balance: Self::FLOOR }
    }

    /// A turn begins.
    pub(crate) fn pay_in(&mut self) {
        self.balance = (self.balance + self.share).min(Self::CEILING);
    }

    /// Takes out one extra call, if there is one. A share of zero allows none at all.
    pub(crate) fn take(&mut self) -> bool {
        let is_allowed = self.share > 0.0 && self.balance >= 1.0;
        if is_allowed {
            self.balance -= 1.0;
        }
        is_allowed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pause_grows_is_jittered_and_bounded() {
        let mut rng = fastrand::Rng::with_seed(7);
        let (base, max) = (Duration::from_millis(250), Duration::from_secs(8));
        for repeat in 0..40 {
            let ceiling = max.min(base * 2_u32.saturating_pow(repeat.min(10)));
            let pauses: Vec<_> = (0..200).map(|_| backoff(base, max, repeat, &mut rng)).collect();
            assert!(pauses.iter().all(|it| *it <= ceiling), "never above {ceiling:?}");
            assert!(pauses.iter().any(|it| *it > ceiling / 2), "uses the whole range");
            assert!(pauses.iter().any(|it| *it < ceiling / 2), "uses the whole range");
        }
    }

    #[test]
    fn extra_calls_are_a_share_of_the_turns() {
        let mut budget = Budget::new(0.2);
        let taken = (0..1000)
            .filter(|_| {
                budget.pay_in();
                budget.take()
            })
            .count();
        assert!((200..=203).contains(&taken), "a fifth and the floor, not {taken}");
        assert!(!Budget::new(0.0).take(), "no share, no extra calls");
    }
}
