//! How much a provider may be asked: calls at once, calls and tokens a minute, money a day.
//!
//! **The problem.** A vendor's limit is best not met at all: its 429 costs a call, a rest and somebody's patience; and money that is
//! spent does not come back. **The rule.** A gauge per provider that is asked before each call and told of its end. A minute's
//! ceiling is a bucket that holds one minute's worth and refills evenly: a burst may empty it, and never does more than a minute's
//! worth plus the refill begin in any time. Tokens are taken as reckoned beforehand and corrected by what the call really used.
//! Money stops the next call once the day's cap (UTC) is reached.
//!
//! Why not `governor`: it reads its own clock, and it has no way to give tokens back. Here time is an argument, and the bucket is
//! one moment: when it will be full again, as in the generic cell rate algorithm (ITU-T I.371).
//!
//! **The limits.** What a running call costs is known at its end: a day may cost its cap and what was under way when that was
//! reached. A call that is larger than the ceiling waits for a full bucket, and goes.

use super::Ceilings;
use crate::{message::UnixMillis, outcome::Usage};
use std::time::Duration;
use tokio::time::Instant;

/// What a bucket holds, in time: so long does it take to fill it.
const MINUTE: Duration = Duration::from_secs(60);
/// The longest that one call's tokens can keep a bucket from filling: a provider that counts nonsense must not be out for ever.
const LONGEST_DEBT: Duration = Duration::from_secs(10 * 60);

/// Why a provider may not be asked now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Full {
    /// Its minute is used up; at this time there is room for this call, if no other takes it.
    Until(Instant),
    /// As many calls as it may have are under way.
    WhenOneEnds,
    /// The day's money is spent.
    Tomorrow,
}

/// One provider's use of its ceilings.
#[derive(Debug)]
pub(super) struct Gauge {
    concurrent: u32,
    running: u32,
    requests: Option<Minute>,
    tokens: Option<Minute>,
    daily_budget: Option<f64>,
    spent: f64,
    day: i64,
}

/// A call under way. It goes back to [`Gauge::end`], however the call ends.
#[derive(Debug)]
#[must_use = "a call that does not end keeps its place for ever"]
pub(super) struct Ticket {
    tokens: Option<Taken>,
}

impl Gauge {
    /// Nothing used yet. A ceiling of zero calls or tokens is none, as with `max_concurrent`.
    #[must_use]
    pub(super) fn new(ceilings: Ceilings) -> Self {
        Self {
            concurrent: ceilings.concurrent,
            running: 0,
            requests: Minute::new(ceilings.requests_per_minute),
            tokens: Minute::new(ceilings.tokens_per_minute),
            daily_budget: ceilings.daily_budget,
            spent: 0.0,
            day: i64::MIN,
        }
    }

    /// Whether a call of about so many tokens, prompt and answer, may begin; `at` is the same moment as `now` by the wall clock.
    ///
    /// # Errors
    /// The ceiling that is reached; where there are several, the one that is known to last longest.
    pub(super) fn may_begin(&self, now: Instant, at: UnixMillis, tokens: u64) -> Result<(), Full> {
        if self.daily_budget.is_some_and(|cap| self.spent(at) >= cap) {
            return Err(Full::Tomorrow);
        }
        let wait = |minute: &Option<Minute>, amount| minute.as_ref().map(|it| it.wait(amount, now));
        let wait = wait(&self.requests, 1).max(wait(&self.tokens, tokens)).unwrap_or_default();
        if !wait.is_zero() {
            return Err(Full::Until(now + wait));
        }
        if self.concurrent > 0 && self.running >= self.concurrent {
            return Err(Full::WhenOneEnds);
        }
        Ok(())
    }

    /// Begins a call, if it may.
    ///
    /// # Errors
    /// As [`Self::may_begin`]; then nothing is taken.
    pub(super) fn begin(&mut self, now: Instant, at: UnixMillis, tokens: u64) -> Result<Ticket, Full> {
        self.may_begin(now, at, tokens)?;
        self.running = self.running.saturating_add(1);
        if let Some(requests) = &mut self.requests {
            requests.take(1, now);
        }
        Ok(Ticket { tokens: self.tokens.as_mut().map(|it| it.take(tokens, now)) })
    }

    /// A call ended. Its real tokens replace the reckoned ones where both sides are known, also if they are more;
    /// `cost` counts for the day in which it ended.
    pub(super) fn end(
        &mut self,
        ticket: Ticket,
        usage: Usage,
        cost: Option<f64>,
        now: Instant,
        at: UnixMillis,
    ) {
        let Ticket { tokens: taken } = ticket;
        self.running = self.running.saturating_sub(1);
        let used = usage.tokens_in.zip(usage.tokens_out).map(|(sent, heard)| sent.saturating_add(heard));
        if let (Some(tokens), Some(taken), Some(used)) = (&mut self.tokens, taken, used) {
            tokens.correct(&taken, used, now);
        }
        self.restore_spent(cost.unwrap_or(0.0), at);
    }

    /// Adds money that was spent on the day of `at`: at the start, what the ledger knows of today.
    pub(super) fn restore_spent(&mut self, money: f64, at: UnixMillis) {
        self.spent = self.spent(at);
        if !self.is_today(at) {
            self.day = at.day();
        }
        if money.is_finite() && money > 0.0 {
            self.spent += money;
        }
    }

    /// The money spent so far on the day of `at`.
    #[must_use]
    pub(super) fn spent(&self, at: UnixMillis) -> f64 {
        if self.is_today(at) { self.spent } else { 0.0 }
    }

    /// Whether a moment counts for the day that is kept. So does the day before: turns that came before midnight end after those
    /// that came later, and must not begin that day anew. A clock that was set back further does.
    fn is_today(&self, at: UnixMillis) -> bool {
        let day = at.day();
        day == self.day || day.saturating_add(1) == self.day
    }
}
/// A bucket that holds a minute's worth and refills evenly.
#[derive(Debug)]
struct Minute {
    /// How much goes into it: more than nothing.
    allowance: u32,
    /// When it will be full; none: it has always been.
    full_at: Option<Instant>,
    /// All that was ever given back, as time.
    returned: Duration,
}

/// What a call took from a bucket.
#[derive(Debug)]
struct Taken {
    amount: u64,
    /// When the bucket would have been full after that.
    full_at: Instant,
    /// What had been given back by then.
    returned: Duration,
}

impl Minute {
    fn new(allowance: Option<u32>) -> Option<Self> {
        let allowance = allowance.filter(|&it| it > 0)?;
        Some(Self { allowance, full_at: None, returned: Duration::ZERO })
    }

    /// How long it takes to refill an amount. Rounded down, so that a whole minute's worth fits into the bucket.
    fn time(&self, amount: u64) -> Duration {
        let nanos = u128::from(amount) * MINUTE.as_nanos() / u128::from(self.allowance);
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX)).min(LONGEST_DEBT)
    }

    /// How much is missing at `now`, as time.
    fn missing(&self, now: Instant) -> Duration {
        self.full_at.map_or(Duration::ZERO, |it| it.saturating_duration_since(now))
    }

    /// How much a call takes: all that there can be, if it is larger.
    fn share(&self, amount: u64) -> u64 {
        amount.min(u64::from(self.allowance))
    }

    /// How long until there is room for an amount.
    fn wait(&self, amount: u64, now: Instant) -> Duration {
        (self.missing(now) + self.time(self.share(amount))).saturating_sub(MINUTE)
    }

    fn take(&mut self, amount: u64, now: Instant) -> Taken {
        let amount = self.share(amount);
        let full_at = now + self.missing(now) + self.time(amount);
        self.full_at = Some(full_at);
        Taken { amount, full_at, returned: self.returned }
    }

    /// Puts `used` in the place of what was taken.
    ///
    /// What was not used is given back only as far as the bucket cannot have refilled it since. Otherwise a call that gives
    /// back what a full bucket spilled would let more begin than a minute's worth: the time that was missing when it began,
    /// less the time since, less what others gave back since, is what there is room for.
    fn correct(&mut self, taken: &Taken, used: u64, now: Instant) {
        if used > taken.amount {
            let missing = self.missing(now).saturating_add(self.time(used - taken.amount));
            self.full_at = Some(now + missing.min(LONGEST_DEBT));
            return;
        }
        let others = self.returned.saturating_sub(taken.returned);
        let room = taken.full_at.saturating_duration_since(now).saturating_sub(others);
        let back = self.time(taken.amount - used).min(room);
        self.full_at = Some(now + self.missing(now).saturating_sub(back));
        self.returned = self.returned.saturating_add(back);
    }
}

#[cfg(test)]
mod tests;
