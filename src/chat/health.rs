//! How the providers are doing, all together.

use super::Chat;
use crate::router::{ProviderStanding, roster::Standing};
use std::time::Duration;
use tokio::time::Instant;

/// How many providers are well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Health {
    /// So many are.
    pub well: usize,
    /// Of so many.
    pub all: usize,
    /// When that may change without anybody telling: a rest ends.
    pub changes_in: Option<Duration>,
}

impl Chat {
    /// How many providers are well now.
    #[must_use]
    pub fn health(&self) -> Health {
        health(&self.router.standings(Instant::now()))
    }
}

/// One that is only doubted counts as well: whether it is, is found out within seconds.
fn health(standings: &[ProviderStanding]) -> Health {
    let is_well = |it: &&ProviderStanding| match it.standing {
        Standing::Ready | Standing::Doubted { .. } => true,
        Standing::Resting { .. } | Standing::Probing { .. } => false,
    };
    Health {
        well: standings.iter().filter(is_well).count(),
        all: standings.len(),
        changes_in: standings.iter().filter_map(|it| it.resting_for).min(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::Failure;

    #[test]
    fn those_who_rest_are_not_well_and_those_who_are_doubted_are() {
        let now = Instant::now();
        let why = Failure::ServerError;
        let rest = Duration::from_secs(20);
        let standings = [
            (Standing::Ready, None),
            (Standing::Doubted { why }, None),
            (Standing::Probing { busy: false, why }, None),
            (Standing::Resting { until: now + rest, why }, Some(rest)),
            (Standing::Resting { until: now + rest * 2, why }, Some(rest * 2)),
        ];
        let standings = standings.map(|(standing, resting_for)| ProviderStanding {
            name: "alpha".to_owned(),
            model: "m".to_owned(),
            standing,
            resting_for,
            first_text_p95: None,
            last_failure: None,
        });
        assert_eq!(health(&standings), Health { well: 2, all: 5, changes_in: Some(rest) });
        assert_eq!(health(&standings[..1]), Health { well: 1, all: 1, changes_in: None });
    }
}
