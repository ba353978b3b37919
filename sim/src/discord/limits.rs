//! Rate limits: a bucket per call and major parameter, and one for the bot as a whole (pure but for the given time).

use std::{collections::HashMap, time::Duration};
use tokio::time::Instant;

/// How many calls in how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rule {
    pub(crate) calls: u32,
    pub(crate) window: Duration,
}

/// A window that runs: it begins with the first call and is full after `rule.calls`.
#[derive(Clone, Copy, Debug)]
struct Window {
    ends: Instant,
    used: u32,
}

/// What the headers of an answer say.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Standing {
    pub(crate) limit: u32,
    pub(crate) remaining: u32,
    pub(crate) reset_after: Duration,
    pub(crate) bucket: String,
}

/// Whether a call may go on.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Verdict {
    Go(Standing),
    /// The bucket is empty.
    Wait(Standing),
    /// The bot made too many calls of all kinds.
    WaitGlobally(Duration),
}

/// All buckets.
#[derive(Debug)]
pub(crate) struct Limits {
    pub(crate) on: bool,
    rules: HashMap<String, Rule>,
    windows: HashMap<(&'static str, String), Window>,
    global: Option<Window>,
}

const GLOBAL: &str = "global";

impl Limits {
    pub(crate) fn new(on: bool) -> Self {
        let second = Duration::from_secs(1);
        let rules = [
            ("create", 5, second * 5),
            ("edit", 5, second * 5),
            ("delete", 5, second),
            ("typing", 5, second * 5),
            ("react", 4, second),
            ("followup", 5, second * 2),
            ("edit original", 5, second * 2),
            ("edit followup", 5, second * 2),
            (GLOBAL, 50, second),
        ];
        let rules =
            rules.into_iter().map(|(name, calls, window)| (name.into(), Rule { calls, window })).collect();
        Self { on, rules, windows: HashMap::new(), global: None }
    }

    /// Sets a rule; what was used of the old one is forgotten.
    pub(crate) fn set(&mut self, name: &str, calls: u32, window: Duration) {
        self.rules.insert(name.into(), Rule { calls, window });
        self.windows.retain(|(of, _), _| *of != name);
        self.global = None;
    }

    fn rule(&self, name: &str) -> Rule {
        self.rules.get(name).copied().unwrap_or(Rule { calls: 50, window: Duration::from_secs(1) })
    }

    /// Counts a call, unless it has to wait.
    pub(crate) fn take(&mut self, name: &'static str, major: &str, exempt: bool, now: Instant) -> Verdict {
        let rule = self.rule(name);
        let global = self.rule(GLOBAL);
        if self.windows.len() > 10_000 {
            self.windows.retain(|_, it| it.ends > now);
        }
        if self.on && !exempt {
            let window = running(self.global, global, now);
            if window.used >= global.calls {
                return Verdict::WaitGlobally(window.ends - now);
            }
            self.global = Some(Window { used: window.used + 1, ..window });
        }
        let key = (name, major.to_owned());
        let window = running(self.windows.get(&key).copied(), rule, now);
        let full = self.on && window.used >= rule.calls;
        let used = if full { window.used } else { window.used + 1 };
        self.windows.insert(key, Window { used, ..window });
        let standing = Standing {
            limit: rule.calls,
            remaining: rule.calls.saturating_sub(used),
            reset_after: window.ends - now,
            bucket: bucket(name),
        };
        if full { Verdict::Wait(standing) } else { Verdict::Go(standing) }
    }
}

fn running(window: Option<Window>, rule: Rule, now: Instant) -> Window {
    window.filter(|it| it.ends > now).unwrap_or(Window { ends: now + rule.window, used: 0 })
}

/// A bucket's opaque name: the same for a call wherever it goes, as on Discord. (FNV-1a, so that it is stable.)
fn bucket(name: &str) -> String {
    let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    format!("{hash:016x}{:016x}", hash.rotate_left(21))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_sixth_message_in_five_seconds_waits_for_the_rest_of_the_window() {
        let start = Instant::now();
        let mut limits = Limits::new(true);
        for left in (0..5).rev() {
            assert!(
                matches!(limits.take("create", "1", false, start), Verdict::Go(it) if it.remaining == left)
            );
        }
        let later = start + Duration::from_secs(2);
        let Verdict::Wait(standing) = limits.take("create", "1", false, later) else { panic!("has to wait") };
        assert_eq!(standing.reset_after, Duration::from_secs(3));
        assert!(
            matches!(limits.take("create", "2", false, later), Verdict::Go(_)),
            "another channel is free"
        );
        assert!(matches!(limits.take("create", "1", false, start + Duration::from_secs(5)), Verdict::Go(_)));
    }

    #[tokio::test]
    async fn fifty_calls_a_second_are_the_most_and_interactions_are_exempt() {
        let now = Instant::now();
        let mut limits = Limits::new(true);
        for channel in 0..50 {
            assert!(matches!(limits.take("create", &channel.to_string(), false, now), Verdict::Go(_)));
        }
        assert!(matches!(limits.take("create", "x", false, now), Verdict::WaitGlobally(_)));
        assert!(matches!(limits.take("callback", "x", true, now), Verdict::Go(_)));
    }
}
