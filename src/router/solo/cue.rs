//! Who goes on next: the decisions of the loop, made afresh whenever something has happened.
//!
//! **The problem.** Somebody may be resting, full, doubted or being waited for, and the obvious list of names to go through
//! knows nothing of that. **The rule.** The first in line who is ready; else the first whom others would come before (doubted,
//! or after a rest, one turn at a time); else nobody, until the soonest may, somebody is found to be well, or the patience is
//! over. **The limits.** Nobody is asked while it rests, however urgent the turn is.

use super::{
    super::{PROBE_POLL, State, ceilings::Full, roster::Standing},
    Call, Solo, Upcoming,
};
use crate::outcome::Failure;
use std::{sync::Arc, time::Duration};
use tokio::time::Instant;

/// When nobody is ready and somebody is being looked at, a turn waits so long for good news.
const LAST_HOPE: Duration = Duration::from_secs(2);

/// What the loop may do now.
pub(super) enum Cue {
    /// Let this one of those in line begin.
    Begin(usize),
    /// Nobody can begin before this moment; none: nobody at all.
    Wait(Option<Instant>),
}

/// Whom the loop finds.
enum Choice {
    /// This one of those in line.
    Place(usize),
    /// Nobody.
    Nobody {
        /// When the first of them may.
        soonest: Option<Instant>,
        /// Somebody may become well, or free, before.
        is_hope: bool,
    },
}

impl Solo {
    /// Who may begin now, or when to look again.
    pub(super) fn cue(&mut self, now: Instant) -> Cue {
        if self.calls_left == 0 || self.upcoming.is_empty() {
            return Cue::Wait(None);
        }
        let is_alone = self.running.is_empty();
        let is_extra = match self.join {
            _ if is_alone => false,
            Some(join) if join.at <= now => join.is_extra,
            _ if self.is_forsaken(now) => false,
            join => return Cue::Wait(join.map(|it| it.at)),
        };
        let shared = Arc::clone(&self.shared);
        let mut state = shared.state();
        if is_extra {
            self.doubt_the_silent(&mut state, now);
        }
        match self.choose(&mut state, is_alone, now) {
            Choice::Nobody { soonest, is_hope } => {
                drop(state);
                if is_hope && is_alone && !std::mem::replace(&mut self.has_called, true) {
                    shared.want_looks(self.idle_since + LAST_HOPE);
                }
                let patience = self.idle_since + shared.settings.backoff.1;
                let hope = (is_hope && is_alone).then_some(self.idle_since + LAST_HOPE);
                let wakes = soonest.filter(|at| *at < patience).into_iter().chain(hope);
                Cue::Wait(wakes.filter(|at| *at > now && *at < self.deadline).min())
            }
            Choice::Place(_) if is_extra && !state.hedges.take() => {
                self.join = None;
                Cue::Wait(None)
            }
            Choice::Place(index) => Cue::Begin(index),
        }
    }

    /// Whether somebody else than the turns finds out who is well.
    fn is_looked_after(&self) -> bool {
        self.shared.settings.health_check.is_some()
    }

    /// Who of those in line may begin at once: the first who is ready, else the first whom others would come before.
    fn choose(&self, state: &mut State, is_alone: bool, now: Instant) -> Choice {
        let is_looked_after = self.is_looked_after();
        let at = self.at(now);
        let (mut second, mut soonest, mut is_hope) = (None, None::<Instant>, false);
        // Asking the same one again is for when nobody else is at it.
        for (index, it) in self.upcoming.iter().enumerate().filter(|(_, it)| is_alone || it.tries == 0) {
            let standing = state.roster[it.provider].standing(now);
            let free_at = match standing {
                Standing::Ready | Standing::Doubted { .. } | Standing::Probing { busy: false, .. } => now,
                Standing::Probing { busy: true, .. } => now + PROBE_POLL,
                Standing::Resting { until, .. } => until,
            };
            let may = state.gauges[it.provider].may_begin(now, at, self.tokens_ahead);
            let free_at = match may {
                Ok(()) => free_at,
                Err(Full::Until(at)) => free_at.max(at),
                Err(Full::WhenOneEnds) => {
                    is_hope = true;
                    continue;
                }
                Err(Full::Tomorrow) => continue,
            };
            let begins = free_at.max(it.not_before);
            let is_late = is_looked_after && standing != Standing::Ready;
            is_hope |= is_late && state.roster[it.provider].may_be_looked_at(now).is_some_and(|at| at <= now);
            match (begins <= now, is_late) {
                (true, false) => return Choice::Place(index),
                (true, true) => second = second.or(Some(index)),
                (false, _) => soonest = Some(soonest.map_or(begins, |it| it.min(begins))),
            }
        }
        second.map_or(Choice::Nobody { soonest, is_hope }, Choice::Place)
    }

    /// Whether everybody who is being waited for was sent to rest meanwhile. That one takes no more questions says nothing about
    /// those that it took.
    fn is_forsaken(&self, now: Instant) -> bool {
        let state = self.shared.state();
        let rests = |it: &Call| match state.roster[it.meta.upcoming.provider].standing(now) {
            Standing::Resting { why, .. } => !matches!(why, Failure::RateLimited | Failure::QuotaExhausted),
            Standing::Ready | Standing::Doubted { .. } | Standing::Probing { .. } => false,
        };
        self.running.iter().all(rests)
    }

    /// Their patience has run out: other turns go to others first, until somebody knows more.
    fn doubt_the_silent(&mut self, state: &mut State, now: Instant) {
        if self.shared.settings.health_check.is_none() {
            return;
        }
        for call in &mut self.running {
            let meta = &mut call.meta;
            let is_silent =
                meta.upcoming.joined_after.is_some_and(|after| now.duration_since(meta.started) >= after);
            let is_new = is_silent && !std::mem::replace(&mut meta.has_doubted, is_silent);
            let member = &mut state.roster[meta.upcoming.provider];
            let breaker = &self.shared.settings.breaker;
            if is_new && member.is_doubted(meta.begun, Failure::Timeout, breaker, now) {
                self.shared.tell_all();
            }
        }
    }

    /// Whether somebody else could go on at once who has not been asked.
    pub(super) fn has_understudy(&self, now: Instant) -> bool {
        let is_looked_after = self.is_looked_after();
        let at = self.at(now);
        let state = self.shared.state();
        let is_ready = |it: &Upcoming| {
            let standing = state.roster[it.provider].standing(now);
            let is_well = standing == Standing::Ready || (!is_looked_after && standing.can_be_asked());
            is_well && state.gauges[it.provider].may_begin(now, at, self.tokens_ahead).is_ok()
        };
        self.calls_left > 0 && self.upcoming.iter().any(|it| it.tries == 0 && is_ready(it))
    }
}
