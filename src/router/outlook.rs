//! Whether somebody could answer now: for turns that were given up, and wait.

use super::{
    Router,
    roster::Standing,
    strategy::{self, Wish},
};
use crate::outcome::Failure;
use std::time::Duration;
use tokio::time::Instant;

/// How it stands with those whom a wish leaves.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outlook {
    /// Somebody is well, as far as anybody knows.
    pub is_ready: bool,
    /// Somebody may be asked, be it that a turn would find out how they are.
    pub can_be_asked: bool,
    /// When the first of those who rest may be asked.
    pub soonest: Option<Instant>,
    /// What is wrong with those who are not ready.
    pub why: Vec<Failure>,
}

impl Router {
    /// How it stands with those whom `wish` leaves. [`Router::changes`] tells when to look again.
    #[must_use]
    pub fn outlook(&self, wish: &Wish, now: Instant) -> Outlook {
        let lineup = strategy::lineup(&self.names(), wish);
        let state = self.shared.state();
        let mut outlook = Outlook::default();
        for place in lineup.order {
            let standing = state.roster[place].standing(now);
            outlook.is_ready |= standing == Standing::Ready;
            outlook.can_be_asked |= standing.can_be_asked();
            outlook.why.extend(standing.why());
            if let Standing::Resting { until, .. } = standing {
                outlook.soonest = Some(outlook.soonest.map_or(until, |it| it.min(until)));
            }
        }
        outlook
    }

    /// The most that lies between two looks at a provider that is not well; none: nobody looks, and turns find out.
    #[must_use]
    pub fn looks_every(&self) -> Option<Duration> {
        self.shared.settings.health_check
    }

    /// The longest pause before somebody is asked again.
    #[must_use]
    pub fn longest_pause(&self) -> Duration {
        self.shared.settings.backoff.1
    }
}
