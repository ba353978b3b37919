//! What people are told who have to wait: for a provider, for their turn, or until they may ask again.

use super::about;
use crate::{
    chat::limits::{OverLimit, Scope},
    message::{TurnId, UnixMillis},
    outcome::Failure,
    router::Exhausted,
};
use std::collections::BTreeSet;

/// The one notice of a conversation while nobody can be reached; it becomes the answer.
pub(crate) fn notice(exhausted: &Exhausted, until: UnixMillis) -> String {
    let failures = &exhausted.failures;
    let is_busy = !failures.is_empty() && failures.iter().all(|(_, it)| it.failure == Failure::RateLimited);
    let tried: BTreeSet<&str> = failures.iter().map(|(name, _)| name.as_str()).collect();
    let what = match (is_busy, tried.len()) {
        (true, _) => "All the models I can ask are rate limited right now.".to_owned(),
        (false, 0) => "I can't reach any model right now.".to_owned(),
        (false, count) => format!("I can't reach any model right now ({count} tried)."),
    };
    // Discord shows the moment in each reader's own time zone.
    format!("{what} I'll answer here when one is back; I keep trying until <t:{}:t>.", until.0 / 1000)
}

/// Nobody was back in time.
pub(crate) fn expired(turn: &TurnId) -> String {
    format!("No model was back in time, so I could not answer this. Please ask again later.\n-# {turn}")
}

/// A limit was reached.
pub(crate) fn over_limit(over: OverLimit) -> String {
    let who = match over.scope {
        Scope::Person => "That is as much as I may answer you for now.",
        Scope::Channel => "That is as much as I may answer in this channel for now.",
        Scope::Server => "That is as much as I may answer on this server for now.",
    };
    format!("{who} Please ask again in {}.", about(over.wait))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::Failed;
    use expect_test::expect;
    use std::time::Duration;

    #[test]
    fn what_those_hear_who_wait() {
        let exhausted = |kinds: &[Failure]| Exhausted {
            failures: kinds.iter().map(|it| (format!("p-{it}"), Failed::new(*it, ""))).collect(),
            ..Exhausted::default()
        };
        let until = UnixMillis(1_700_000_000_000);
        let limit = |scope, seconds| over_limit(OverLimit { scope, wait: Duration::from_secs(seconds) });
        let said = [
            notice(&exhausted(&[Failure::ServerError, Failure::Timeout, Failure::RateLimited]), until),
            notice(&exhausted(&[Failure::RateLimited]), until),
            notice(&exhausted(&[]), until),
            expired(&TurnId("7k2m9x4q8d".to_owned())),
            limit(Scope::Person, 40),
            limit(Scope::Channel, 300),
            limit(Scope::Server, 7200),
        ];
        expect![[r#"
            I can't reach any model right now (3 tried). I'll answer here when one is back; I keep trying until <t:1700000000:t>.
            All the models I can ask are rate limited right now. I'll answer here when one is back; I keep trying until <t:1700000000:t>.
            I can't reach any model right now. I'll answer here when one is back; I keep trying until <t:1700000000:t>.
            No model was back in time, so I could not answer this. Please ask again later.
            -# 7k2m9x4q8d
            That is as much as I may answer you for now. Please ask again in 40 seconds.
            That is as much as I may answer in this channel for now. Please ask again in 5 minutes.
            That is as much as I may answer on this server for now. Please ask again in 2 hours."#]].assert_eq(&said.join("\n"));
    }
}
