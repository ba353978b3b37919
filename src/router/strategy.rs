//! A strategy turns the providers that could go on and the wishes of people into a plan (pure).
//!
//! **The problem.** People wish for somebody, operators for speed, thrift or fairness, and whoever is chosen may be down: each
//! way to choose must leave a whole order behind it. **The rule.** Every strategy is a permutation of the candidates. The
//! wished-for come first, in the order of the wish, under every strategy; the strategy arranges the others behind them. It
//! chooses the order; whether a silent provider is joined by the next one after its `hedge_after` is the same for all, from
//! one budget: only `priority` waits for the failure. `race` starts all at once, or all the wished-for if there are any, and
//! then the others are its fallback. **The limits.** A plan knows nobody's standing: the loop passes over those who rest, so
//! that under `round-robin` the one behind a resting provider gets its share as well.

use std::time::Duration;

/// How the providers are put on stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
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
#[derive(Clone, Debug)]
pub(crate) struct Candidate<'a> {
    /// Its place in the router's list.
    pub(crate) provider: usize,
    /// Its name: `weighted` goes by it, so that a provider keeps its conversations wherever it stands in the list.
    pub(crate) name: &'a str,
    /// How long it may keep the stage to itself.
    pub(crate) hedge_after: Duration,
    /// Its share under `weighted`, as a part of everybody's weights.
    pub(crate) weight: u32,
    /// How long its first text usually takes; none: too little is known.
    pub(crate) first_text: Option<Duration>,
    /// Money per million tokens of prompt and of answer.
    pub(crate) price: Option<(f64, f64)>,
}

/// What a plan depends on beside the candidates: who asks, whose turn it is, and what was learned.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Draw<'a> {
    /// The conversation, for `weighted`.
    pub(crate) session: u64,
    /// How many turns there were before this one, for `round-robin` and `fastest`.
    pub(crate) round: u64,
    /// The order of the bandit for `adaptive`: places in the router's list. Whoever is not in it comes last.
    pub(crate) learned: &'a [usize],
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
    /// Whoever else takes part is asked before this one: people want another answer than its.
    pub last: Option<String>,
    /// Instead of the configured strategy.
    pub strategy: Option<Strategy>,
}

/// Who takes part, in order. Places in the router's list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Lineup {
    /// The wished-for first, the others as configured.
    pub(crate) order: Vec<usize>,
    /// How many of them were wished for.
    pub(crate) listed: usize,
}

/// What the router will try.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    /// In this order.
    pub(crate) steps: Vec<Step>,
    /// The most calls of the turn, repeats and extra calls included. A race spends a call on each of those it starts like
    /// everybody else; that the loop gives back the calls of those who were overtaken lets them follow a winner that breaks off.
    pub(crate) calls: u32,
}

impl Plan {
    /// Puts a provider at the end. The one before it is waited for until it has failed, or else this one might still be first.
    pub(crate) fn ask_last(&mut self, provider: usize) {
        let is_it = |it: &Step| it.provider == provider;
        if self.steps.len() < 2 || !self.steps.iter().any(is_it) {
            return;
        }
        self.steps.sort_by_key(is_it);
        let before = self.steps.len() - 2;
        self.steps[before].joined_after = None;
    }
}

/// One provider's place in the plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Step {
    /// Its place in the router's list.
    pub(crate) provider: usize,
    /// After so long without text the next one joins; none: only when this one has failed.
    pub(crate) joined_after: Option<Duration>,
}

/// Who takes part: the wished-for first, the switched-off not at all, nobody else when the wish is strict.
pub(crate) fn lineup(names: &[&str], wish: &Wish) -> Lineup {
    let place = |name: &String| names.iter().position(|it| it == name);
    let takes_part = |provider: usize| !wish.off.iter().any(|off| off == names[provider]);
    let mut order: Vec<usize> = Vec::with_capacity(names.len());
    for provider in wish.first.iter().filter_map(place).filter(|&it| takes_part(it)) {
        if !order.contains(&provider) {
            order.push(provider);
        }
    }
    let listed = order.len();
    if !wish.strict {
        let rest: Vec<_> = (0..names.len()).filter(|it| takes_part(*it) && !order.contains(it)).collect();
        order.extend(rest);
    }
    Lineup { order, listed }
}

/// The plan of `strategy` over the candidates, of whom the first `listed` were wished for and keep their places.
/// `attempts_per_provider` − 1 calls may be repeats, whoever they go to.
pub(crate) fn plan(
    strategy: Strategy,
    candidates: &[Candidate<'_>],
    listed: usize,
    attempts_per_provider: u32,
    draw: &Draw<'_>,
) -> Plan {
    let listed = listed.min(candidates.len());
    let (first, rest) = candidates.split_at(listed);
    let order = first.iter().chain(arranged(strategy, rest, draw));
    let steps = order.enumerate().map(|(place, it)| Step {
        provider: it.provider,
        joined_after: match strategy {
            Strategy::Priority => None,
            Strategy::Race if listed == 0 || place + 1 < listed => Some(Duration::ZERO),
            Strategy::Race
            | Strategy::Hedged
            | Strategy::Weighted
            | Strategy::RoundRobin
            | Strategy::Fastest
            | Strategy::Cheapest
            | Strategy::Adaptive => Some(it.hedge_after),
        },
    });
    let providers = u32::try_from(candidates.len()).unwrap_or(u32::MAX);
    Plan { steps: steps.collect(), calls: providers.saturating_add(attempts_per_provider.saturating_sub(1)) }
}

/// Those nobody wished for, as the strategy wants them. Equals keep their order.
fn arranged<'c, 'n>(
    strategy: Strategy,
    rest: &'c [Candidate<'n>],
    draw: &Draw<'_>,
) -> Vec<&'c Candidate<'n>> {
    let mut order: Vec<_> = rest.iter().collect();
    match strategy {
        Strategy::Priority | Strategy::Race | Strategy::Hedged => {}
        Strategy::Weighted => {
            order.sort_by(|a, b| rank(b, draw.session).total_cmp(&rank(a, draw.session)));
        }
        Strategy::RoundRobin => {
            let by = nth(draw.round, order.len());
            order.rotate_left(by);
        }
        Strategy::Fastest => return fastest(order, draw.round),
        Strategy::Cheapest => {
            order.sort_by(|a, b| typical_price(a).total_cmp(&typical_price(b)));
        }
        Strategy::Adaptive => {
            let place = |it: &Candidate<'_>| draw.learned.iter().position(|&learned| learned == it.provider);
            order.sort_by_key(|it| place(it).unwrap_or(usize::MAX));
        }
    }
    order
}

/// A provider's rank for a conversation; the highest goes first. Rendezvous hashing with weights (Schindelhauer and Schomaker,
/// *Weighted distributed hash tables*, 2005): `−weight / ln h` makes the highest rank fall to each in proportion to its weight, and as
/// no rank depends on the others, a provider that comes or goes takes or leaves its own share and moves nobody else.
fn rank(candidate: &Candidate<'_>, session: u64) -> f64 {
    // Above 0 and below 1: 52 bits and a half, which a double holds exactly.
    let h = ((hash(session, candidate.name) >> 12) as f64 + 0.5) / (1_u64 << 52) as f64;
    f64::from(candidate.weight) / -h.ln()
}

/// The same on every machine and in every version: a conversation keeps its provider over updates.
/// FNV-1a over the name, stirred into the session with the finalizer of `SplitMix64`.
fn hash(session: u64, name: &str) -> u64 {
    let name = name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    stir(stir(session) ^ name)
}

fn stir(seed: u64) -> u64 {
    let mut it = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    it = (it ^ (it >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    it = (it ^ (it >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    it ^ (it >> 31)
}

/// What a million tokens of a typical turn cost: three parts are prompt, one is answer. Unknown is dearer than anything.
fn typical_price(candidate: &Candidate<'_>) -> f64 {
    candidate.price.map_or(f64::INFINITY, |(input, output)| (3.0 * input + output) / 4.0)
}

/// One turn in so many begins with a provider of which too little is known.
const SCOUT_EVERY: u64 = 4;
/// One turn in so many begins with a known provider that is not the fastest, so that its figure stays fresh.
const REFRESH_EVERY: u64 = 20;

/// By the usual time to first text. Whoever is within a tenth of the fastest is as fast, and of those the first in order goes
/// first: two of a kind do not swap places with each measurement.
///
/// An unknown provider comes behind the known ones, but begins every fourth turn until it is known (several take turns). If
/// it were always first until measured, one that never speaks first would be, for ever. Every twentieth turn begins with one
/// of the slower ones, in turn, so that one that has become fast is found out.
fn fastest<'c, 'n>(rest: Vec<&'c Candidate<'n>>, round: u64) -> Vec<&'c Candidate<'n>> {
    let (mut known, unknown): (Vec<_>, Vec<_>) = rest.into_iter().partition(|it| it.first_text.is_some());
    let mut order = Vec::with_capacity(known.len() + unknown.len());
    while let Some(best) = known.iter().filter_map(|it| it.first_text).min() {
        let as_fast = best.saturating_add(best / 10);
        let next = known.iter().position(|it| it.first_text.is_some_and(|took| took <= as_fast));
        order.push(known.remove(next.unwrap_or(0)));
    }
    let leader = leader(round, order.len(), unknown.len());
    order.extend(unknown);
    if leader < order.len() {
        order[..=leader].rotate_right(1);
    }
    order
}

/// Who of `known` and then `unknown` providers begins a turn under `fastest`; 0 is the fastest.
fn leader(round: u64, known: usize, unknown: usize) -> usize {
    if round % SCOUT_EVERY == SCOUT_EVERY / 2 && unknown > 0 {
        known + nth(round / SCOUT_EVERY, unknown)
    } else if round.is_multiple_of(REFRESH_EVERY) && known > 1 {
        1 + nth(round / REFRESH_EVERY, known - 1)
    } else {
        0
    }
}

/// Whose turn it is among `of`; 0 if there is nobody.
fn nth(round: u64, of: usize) -> usize {
    let of = u64::try_from(of).unwrap_or(u64::MAX);
    round.checked_rem(of).and_then(|it| usize::try_from(it).ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests;
