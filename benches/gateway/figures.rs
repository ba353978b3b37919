//! Figures: percentiles of one block, and how they spread over the rounds (pure).

use std::{fmt, time::Duration};

/// Percentiles of some durations, in milliseconds.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Latency {
    pub(crate) p50: f64,
    pub(crate) p99: f64,
}

impl Latency {
    pub(crate) fn of(mut took: Vec<Duration>) -> Self {
        took.sort_unstable();
        let at = |share: f64| {
            let place = (took.len().saturating_sub(1) as f64 * share).round() as usize;
            took.get(place).map_or(0.0, |it| it.as_secs_f64() * 1e3)
        };
        Self { p50: at(0.5), p99: at(0.99) }
    }
}

/// A figure over all rounds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spread {
    pub(crate) min: f64,
    pub(crate) median: f64,
    pub(crate) max: f64,
}

impl Spread {
    /// None without any figure.
    pub(crate) fn of(figures: impl Iterator<Item = f64>) -> Option<Self> {
        let mut figures: Vec<_> = figures.collect();
        figures.sort_unstable_by(f64::total_cmp);
        let (&min, &max) = (figures.first()?, figures.last()?);
        let (low, high) = (figures[(figures.len() - 1) / 2], figures[figures.len() / 2]);
        Some(Self { min, median: f64::midpoint(low, high), max })
    }
}

impl fmt::Display for Spread {
    /// Milliseconds (or less than 100 of anything) with three digits, counts whole: `0.094 (0.091 to 0.110)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { min, median, max } = self;
        if max.abs() < 100.0 {
            write!(f, "{median:.3} ({min:.3} to {max:.3})")
        } else {
            write!(f, "{median:.0} ({min:.0} to {max:.0})")
        }
    }
}
