//! Which failures are worth a line in the log.
//!
//! **The problem.** A provider that is down fails hundreds of times a second, and a log of that hides everything else. **The
//! rule.** Of each provider [`LINES`] failures in a [`STRETCH`] are logged one by one; how many were left out is said once
//! afterwards. **The limits.** The first failures are logged, not the most telling ones; metrics and ledger have them all.

use std::{collections::HashMap, time::Duration};
use tokio::time::Instant;

/// So many failures of one provider are logged in a stretch: enough to see whether they are alike.
pub(super) const LINES: u32 = 5;
/// The time in which they are counted.
pub(super) const STRETCH: Duration = Duration::from_secs(1);

/// How much was logged of each provider's failures.
#[derive(Debug, Default)]
pub(super) struct Storm(HashMap<String, Lately>);

#[derive(Debug)]
struct Lately {
    since: Instant,
    logged: u32,
    left_out: u64,
}

impl Storm {
    /// Whether a failure at `now` is logged; if so, how many before it were left out and are to be told now.
    pub(super) fn admit(&mut self, provider: &str, now: Instant) -> Option<u64> {
        let Some(it) = self.0.get_mut(provider) else {
            self.0.insert(provider.to_owned(), Lately { since: now, logged: 1, left_out: 0 });
            return Some(0);
        };
        if it.is_over(now) {
            let left_out = it.left_out;
            *it = Lately { since: now, logged: 1, left_out: 0 };
            return Some(left_out);
        }
        if it.logged < LINES {
            it.logged += 1;
            return Some(0);
        }
        it.left_out += 1;
        None
    }

    /// The providers whose stretch is over, with the number of failures that are still to be told.
    pub(super) fn untold(&mut self, now: Instant) -> Vec<(String, u64)> {
        let over = self.0.iter_mut().filter(|(_, it)| it.left_out > 0 && it.is_over(now));
        over.map(|(provider, it)| (provider.clone(), std::mem::take(&mut it.left_out))).collect()
    }

    /// Whether nothing is left to be told.
    pub(super) fn is_over(&self) -> bool {
        self.0.values().all(|it| it.left_out == 0)
    }
}

impl Lately {
    fn is_over(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.since) >= STRETCH
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(began: Instant, millis: u64) -> Instant {
        began + Duration::from_millis(millis)
    }

    #[tokio::test(start_paused = true)]
    async fn a_few_lines_a_second_and_the_rest_as_a_number() {
        let (mut storm, began) = (Storm::default(), Instant::now());
        let logged: Vec<_> = (0..100).map(|it| storm.admit("alpha", after(began, it * 5))).collect();
        assert_eq!(logged[..5], [Some(0); 5]);
        assert_eq!(logged[5..], [None; 95]);
        assert_eq!(storm.admit("beta", after(began, 500)), Some(0), "each provider has its own lines");

        assert_eq!(storm.untold(after(began, 999)), []);
        assert!(!storm.is_over());
        assert_eq!(storm.untold(after(began, 1000)), [("alpha".to_owned(), 95)]);
        assert!(storm.is_over());
        assert_eq!(storm.admit("alpha", after(began, 1001)), Some(0), "it was told");
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_left_out_is_told_with_the_next_line() {
        let (mut storm, began) = (Storm::default(), Instant::now());
        let mut told = 0;
        let mut lines = 0;
        for it in 0..10_000 {
            if let Some(left_out) = storm.admit("alpha", after(began, it)) {
                (told, lines) = (told + left_out, lines + 1);
            }
        }
        assert_eq!(lines, 50);
        let late: u64 = storm.untold(after(began, 20_000)).into_iter().map(|(_, it)| it).sum();
        assert_eq!(told + late + lines, 10_000, "every failure is a line or counted in one");
    }
}
