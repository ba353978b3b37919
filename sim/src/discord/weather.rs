//! What goes wrong by chance, so that a long run meets every fault many times: calls of REST, and the order of events.

use super::{Discord, RestEffect};
use std::{collections::BTreeMap, time::Duration};

/// How much goes wrong: each number is out of a thousand calls or events, and zero at the beginning.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Weather {
    /// The faults are drawn from it.
    pub seed: u64,
    /// Calls answered by 500, 502 or 503; nothing is done.
    pub errors: u16,
    /// Calls that are carried out, and the answer is lost.
    pub lost: u16,
    /// Calls that are carried out, and the answer is no JSON.
    pub garbled: u16,
    /// Calls whose connection is reset before anything is done.
    pub reset: u16,
    /// Calls that are carried out up to 0.8 s later.
    pub slow: u16,
    /// Calls answered by 429, of the bucket or shared; nothing is done.
    pub limited: u16,
    /// Calls answered by 429 for the bot as a whole; nothing is done.
    pub limited_globally: u16,
    /// Events that come twice.
    pub twice: u16,
    /// New messages that come after the next event.
    pub swapped: u16,
}

/// The weather over REST.
#[derive(Debug, Default)]
pub(crate) struct Sky {
    weather: Weather,
    rng: Option<fastrand::Rng>,
    struck: BTreeMap<&'static str, u64>,
}

impl Sky {
    /// What happens to a call.
    pub(crate) fn strike(&mut self) -> Option<RestEffect> {
        let (it, rng) = (self.weather, self.rng.as_mut()?);
        let draw = rng.u16(0..1000);
        let mut border = 0;
        let kinds = [
            ("5xx", it.errors),
            ("answer lost", it.lost),
            ("garbled", it.garbled),
            ("reset", it.reset),
            ("slow", it.slow),
            ("429", it.limited),
            ("429 global", it.limited_globally),
        ];
        let mut within = |share: u16| {
            border += share;
            draw < border
        };
        let kind = kinds.into_iter().find(|(_, share)| within(*share))?.0;
        *self.struck.entry(kind).or_default() += 1;
        let wait = Duration::from_millis(rng.u64(100..800));
        Some(match kind {
            "5xx" => RestEffect::Status([500, 502, 503][rng.usize(0..3)]),
            "answer lost" => RestEffect::Lost,
            "garbled" => RestEffect::Garbled,
            "reset" => RestEffect::Reset,
            "slow" => RestEffect::Delay(wait),
            "429" if rng.bool() => RestEffect::SharedLimit { retry_after: wait },
            _ => RestEffect::RateLimited { retry_after: wait, global: kind == "429 global" },
        })
    }
}

/// What is done to an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Prank {
    None,
    Repeat,
    /// It waits for the next one.
    Hold,
}

/// The weather over the gateway.
#[derive(Debug, Default)]
pub(crate) struct Mischief {
    weather: Weather,
    rng: Option<fastrand::Rng>,
    done: BTreeMap<&'static str, u64>,
}

impl Mischief {
    /// What is done to this event; one at most waits.
    pub(crate) fn draw(&mut self, event: &str, one_waits: bool) -> Prank {
        let Some(rng) = &mut self.rng else { return Prank::None };
        let draw = rng.u16(0..1000);
        let (twice, swapped) = (self.weather.twice, self.weather.swapped);
        let (what, prank) = match draw {
            it if it < twice => ("event twice", Prank::Repeat),
            it if it < twice + swapped && event == "MESSAGE_CREATE" && !one_waits => {
                ("events swapped", Prank::Hold)
            }
            _ => return Prank::None,
        };
        *self.done.entry(what).or_default() += 1;
        prank
    }
}

impl Discord {
    /// From now on so much goes wrong; `Weather::default()` is calm.
    pub fn weather(&self, weather: Weather) {
        let mut world = self.core.world();
        let rng = || (weather != Weather::default()).then(|| fastrand::Rng::with_seed(weather.seed));
        (world.sky.weather, world.sky.rng) = (weather, rng());
        let mischief = &mut world.sessions.mischief;
        (mischief.weather, mischief.rng) = (weather, rng());
        world.sessions.release();
    }

    /// What went wrong by chance since the start, and how often.
    #[must_use]
    pub fn mishaps(&self) -> BTreeMap<&'static str, u64> {
        let world = self.core.world();
        let all = world.sky.struck.iter().chain(&world.sessions.mischief.done);
        all.map(|(what, times)| (*what, *times)).collect()
    }

    /// Which calls of REST, by name, were refused since the start, and with which status.
    #[must_use]
    pub fn refusals(&self) -> BTreeMap<(u16, &'static str), u64> {
        let world = self.core.world();
        let refused = world.calls.iter().filter(|((_, status), _)| (400..500).contains(status));
        refused.map(|((name, status), times)| ((*status, *name), *times)).collect()
    }

    /// How many calls of REST were answered with each status since the start; 0 for an answer that was lost.
    #[must_use]
    pub fn statuses(&self) -> BTreeMap<u16, u64> {
        let world = self.core.world();
        let mut all = BTreeMap::new();
        for ((_, status), times) in &world.calls {
            *all.entry(*status).or_default() += times;
        }
        all
    }
}
