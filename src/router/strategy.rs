//! A strategy turns the providers that could go on and the wishes of people into a plan (pure).

use std::time::Duration;

/// How the providers are put on stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strategy {
    /// One after the other, each when the former failed.
    Priority,
    /// In order, and the next one joins when the former is slow to start.
    Hedged,
    /// All at once; the first text wins.
    Race,
    /// By weight, the same provider for a whole conversation.
    Weighted,
    /// In turn.
    RoundRobin,
    /// By measured time to first text.
    Fastest,
    /// By price.
    Cheapest,
    /// By what outcomes and feedback taught.
    Adaptive,
}

/// A provider that may take part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Candidate {
    /// Its place in the router's list.
    pub(crate) provider: usize,
    /// How long it may keep the stage to itself under `hedged`.
    pub(crate) hedge_after: Duration,
}

/// Whom people asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wish {
    /// These come first, in this order; the rest of the order stays behind them.
    pub first: Vec<String>,
    /// Nobody but those in `first`.
    pub strict: bool,
    /// Providers that a moderator has switched off here.
    pub off: Vec<String>,
    /// Instead of the configured strategy.
    pub strategy: Option<Strategy>,
}

/// What the router will try.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    /// In this order.
    pub(crate) steps: Vec<Step>,
    /// The most calls of the turn, repeats and extra calls included.
    pub(crate) calls: u32,
}

/// One provider's place in the plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Step {
    /// Its place in the router's list.
    pub(crate) provider: usize,
    /// After so long without text the next one joins; none: only when this one has failed.
    pub(crate) joined_after: Option<Duration>,
}

/// Who takes part, in which order: the wished-for first, the switched-off not at all. Places in `names`.
pub(crate) fn order(names: &[&str], wish: &Wish) -> Vec<usize> {
    let place = |name: &String| names.iter().position(|it| it == name);
    let mut order: Vec<usize> = Vec::with_capacity(names.len());
    let rest = if wish.strict { 0..0 } else { 0..names.len() };
    for provider in wish.first.iter().filter_map(place).chain(rest) {
        if !order.contains(&provider) {
            order.push(provider);
        }
    }
    order.retain(|&provider| !wish.off.iter().any(|off| off == names[provider]));
    order
}

/// The plan of `strategy` over the candidates, in their order. `attempts_per_provider` − 1 calls may be repeats, whoever they go to.
pub(crate) fn plan(strategy: Strategy, candidates: &[Candidate], attempts_per_provider: u32) -> Plan {
    let steps = candidates
        .iter()
        .map(|it| Step {
            provider: it.provider,
            joined_after: match strategy {
                Strategy::Priority
                | Strategy::Weighted
                | Strategy::RoundRobin
                | Strategy::Fastest
                | Strategy::Cheapest
                | Strategy::Adaptive => None,
                Strategy::Hedged => Some(it.hedge_after),
                Strategy::Race => Some(Duration::ZERO),
            },
        })
        .collect();
    let providers = u32::try_from(candidates.len()).unwrap_or(u32::MAX);
    Plan { steps, calls: providers.saturating_add(attempts_per_provider.saturating_sub(1)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wish(first: &[&str], strict: bool, off: &[&str]) -> Wish {
        let owned = |list: &[&str]| list.iter().map(|&it| it.to_owned()).collect();
        Wish { first: owned(first), strict, off: owned(off), strategy: None }
    }

    #[test]
    fn wishes_come_first_and_the_rest_stays_behind() {
        let names = ["alpha", "beta", "gamma"];
        assert_eq!(order(&names, &Wish::default()), [0, 1, 2]);
        assert_eq!(order(&names, &wish(&["gamma"], false, &[])), [2, 0, 1]);
        assert_eq!(order(&names, &wish(&["gamma"], true, &[])), [2]);
        assert_eq!(order(&names, &wish(&["gamma", "beta"], false, &["alpha"])), [2, 1]);
        assert_eq!(order(&names, &wish(&["nobody"], false, &[])), [0, 1, 2], "a stale pin changes nothing");
        assert_eq!(order(&names, &wish(&["beta"], true, &["beta"])), [0_usize; 0]);
    }

    #[test]
    fn calls_are_one_budget_not_a_product() {
        let candidates: Vec<_> =
            (0..3).map(|provider| Candidate { provider, hedge_after: Duration::from_secs(1) }).collect();
        assert_eq!(plan(Strategy::Priority, &candidates, 2).calls, 4);
        assert_eq!(plan(Strategy::Priority, &candidates[..1], 2).calls, 2);
        assert!(
            plan(Strategy::Race, &candidates, 2)
                .steps
                .iter()
                .all(|it| it.joined_after == Some(Duration::ZERO))
        );
    }
}
