//! When a session with the gateway may begin (pure).
//!
//! **The problem.** Discord counts how often a bot's sessions begin, and resets its token when the day's number is used up; a
//! process that dies at its start, and is started again each time, uses up a thousand in an hour. **The rule.** The last
//! [`RESERVE`] starts are kept for people: with fewer left, nobody connects until the number is full again. And after
//! [`FREE`] starts in a row that came to nothing, each further one waits twice as long as the one before. **The limits.** A
//! start that followed a clean end, or one that was of use, never waits; and no wait is longer than [`LONGEST`] for a crash
//! loop, or [`ASK_AGAIN`] before Discord is asked how many are left now.

use super::rest::SessionStarts;
use std::time::Duration;

/// Starts that are left for whoever finds out what is wrong.
const RESERVE: u32 = 50;
/// Starts in vain that nothing is thought of: a machine that is set up, an update that goes wrong.
const FREE: u32 = 5;
/// The first wait after them.
const FIRST: Duration = Duration::from_secs(5);
/// The longest one: less than three hundred starts a day.
const LONGEST: Duration = Duration::from_secs(5 * 60);
/// How often it is looked, while connections are down, whether sessions begin in vain.
pub(super) const LOST_FOR: Duration = Duration::from_secs(20);
/// So many sessions that did not come up, besides one for each connection, are in vain.
const IN_VAIN: u32 = 3;
/// The pauses after that: at some ten sessions a time, less than six hundred a day.
const FIRST_ROUND: Duration = Duration::from_secs(30);
const LONGEST_ROUND: Duration = Duration::from_secs(20 * 60);
/// When Discord says that none are left, it is asked again after this time at the latest.
const ASK_AGAIN: Duration = Duration::from_secs(10 * 60);

/// How long a process waits before its first session, after so many starts in a row that came to nothing.
pub(super) fn after_starts_in_vain(in_vain: u32) -> Duration {
    match in_vain.checked_sub(FREE) {
        None => Duration::ZERO,
        Some(more) => FIRST.saturating_mul(1 << more.min(10)).min(LONGEST),
    }
}

/// How long to wait when sessions began in vain, so many times before.
pub(super) fn after_rounds_in_vain(rounds: u32) -> Duration {
    FIRST_ROUND.saturating_mul(1 << rounds.min(10)).min(LONGEST_ROUND)
}

/// Whether sessions begin in vain while connections are down: `first` were left some time ago.
pub(super) fn are_in_vain(first: u32, now: SessionStarts, shards: u32) -> bool {
    let begun = first.saturating_sub(now.remaining);
    begun >= IN_VAIN.saturating_add(shards) || (begun > 0 && !until_sessions(Some(now), shards).is_zero())
}

/// How long to wait for sessions, when `shards` of them are to begin: none when there are enough, or nobody says how many.
pub(super) fn until_sessions(starts: Option<SessionStarts>, shards: u32) -> Duration {
    match starts {
        Some(it) if it.remaining < RESERVE.saturating_add(shards) => {
            // A second more than it says, or else the last moment before it is hit.
            (Duration::from_millis(it.reset_after) + Duration::from_secs(1)).min(ASK_AGAIN)
        }
        Some(_) | None => Duration::ZERO,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crash_loop_waits_longer_each_time_and_a_restart_not_at_all() {
        let waits: Vec<u64> = (0..15).map(|it| after_starts_in_vain(it).as_secs()).collect();
        assert_eq!(waits, [0, 0, 0, 0, 0, 5, 10, 20, 40, 80, 160, 300, 300, 300, 300]);
        assert_eq!(after_starts_in_vain(u32::MAX), LONGEST);
    }

    #[test]
    fn the_last_sessions_are_not_used() {
        let wait = |remaining, reset_after, shards| {
            until_sessions(Some(SessionStarts { remaining, reset_after }), shards).as_secs()
        };
        assert_eq!(wait(1000, 5000, 1), 0);
        assert_eq!(wait(51, 5000, 1), 0);
        assert_eq!(wait(50, 5000, 1), 6);
        assert_eq!(wait(60, 5000, 16), 6, "each connection needs one");
        assert_eq!(wait(0, 86_400_000, 1), 600, "somebody may have reset it");
        assert_eq!(until_sessions(None, 1), Duration::ZERO);
    }

    #[test]
    fn a_session_for_each_connection_is_not_in_vain() {
        let left = |remaining| SessionStarts { remaining, reset_after: 1000 };
        assert!(!are_in_vain(900, left(900), 1));
        assert!(!are_in_vain(900, left(897), 1));
        assert!(are_in_vain(900, left(896), 1));
        assert!(!are_in_vain(900, left(884), 16), "sixteen connections come back, one after the other");
        assert!(are_in_vain(52, left(50), 1), "the reserve is not for this");
        assert!(!are_in_vain(50, left(50), 1), "nobody uses any");
        assert_eq!([0, 1, 9].map(|it| after_rounds_in_vain(it).as_secs()), [30, 60, 1200]);
    }

    #[test]
    fn a_day_of_crashes_stays_within_the_budget() {
        let (mut seconds, mut starts) = (0, 0);
        while seconds < 24 * 60 * 60 {
            seconds += 1 + after_starts_in_vain(starts).as_secs();
            starts += 1;
        }
        assert!(starts < 300, "{starts}");
    }
}
