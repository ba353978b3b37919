//! The last measurements of something, and what most of them lie below (pure).

use std::{collections::VecDeque, time::Duration};

/// How many are remembered: enough for a 95th percentile, few enough to forget yesterday.
const REMEMBERED: usize = 128;
/// Fewer measurements than this say nothing of the rare ones,
const ENOUGH: usize = 5;
/// and fewer than this nothing of the usual.
const ENOUGH_FOR_HALF: usize = 2;

/// Measurements, the oldest first, and the same in order of size: a question costs nothing, and is asked for every turn.
#[derive(Debug, Default)]
pub(crate) struct Samples {
    recent: VecDeque<Duration>,
    sorted: Vec<Duration>,
}

impl Samples {
    /// Takes one more, and forgets the oldest when there are many.
    pub(crate) fn note(&mut self, sample: Duration) {
        if self.recent.len() == REMEMBERED
            && let Some(oldest) = self.recent.pop_front()
            && let Ok(at) = self.sorted.binary_search(&oldest)
        {
            self.sorted.remove(at);
        }
        self.recent.push_back(sample);
        let at = self.sorted.partition_point(|it| *it < sample);
        self.sorted.insert(at, sample);
    }

    /// So many of a hundred lie at or below it; none while there are too few to tell.
    pub(crate) fn percentile(&self, of_hundred: usize) -> Option<Duration> {
        let enough = if of_hundred <= 50 { ENOUGH_FOR_HALF } else { ENOUGH };
        if self.sorted.len() < enough {
            return None;
        }
        let rank = (self.sorted.len() * of_hundred).div_ceil(100).max(1);
        self.sorted.get(rank - 1).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn few_say_nothing() {
        let mut samples = Samples::default();
        (1..5).for_each(|it| samples.note(Duration::from_millis(it)));
        assert_eq!(samples.percentile(95), None);
        samples.note(Duration::from_millis(5));
        assert_eq!(samples.percentile(95), Some(Duration::from_millis(5)));
        assert_eq!(samples.percentile(50), Some(Duration::from_millis(3)));
    }

    proptest! {
        #[test]
        fn it_is_the_percentile_of_the_last_ones(all in prop::collection::vec(0_u64..50, 5..400)) {
            let mut samples = Samples::default();
            all.iter().for_each(|it| samples.note(Duration::from_millis(*it)));
            let mut last: Vec<u64> = all.iter().rev().take(REMEMBERED).copied().collect();
            last.sort_unstable();
            let rank = (last.len() * 95).div_ceil(100);
            prop_assert_eq!(samples.percentile(95), Some(Duration::from_millis(last[rank - 1])));
        }
    }
}
