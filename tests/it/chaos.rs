//! Long runs against weather: everything that Discord and providers can do to the program, at random and at once.
//!
//! `NEVERDARK_CHAOS=1000` orders so many questions, `NEVERDARK_SEED=17` another run; see `docs/chaos.md`.

pub(crate) mod audit;
#[cfg(target_os = "linux")]
mod run;
#[cfg(target_os = "linux")]
mod storm;
#[cfg(target_os = "linux")]
mod town;

/// Settings for a quick run in which every question counts: short limits of time, and no limits for people.
pub(crate) const QUICK: [(&str, &str); 12] = [
    ("NEVERDARK__CHAT__BURST", "0s"),
    ("NEVERDARK__CHAT__QUEUE_WHEN_DOWN", "0s"),
    ("NEVERDARK__LIMITS__PER_USER", "off"),
    ("NEVERDARK__LIMITS__PER_CHANNEL", "off"),
    ("NEVERDARK__LIMITS__PER_SERVER", "off"),
    ("NEVERDARK__LIMITS__CONCURRENT_PER_USER", "100"),
    ("NEVERDARK__ROUTER__STALL_TIMEOUT", "3s"),
    ("NEVERDARK__ROUTER__FIRST_TOKEN_TIMEOUT", "10s"),
    ("NEVERDARK__ROUTER__BACKOFF__BASE", "10ms"),
    ("NEVERDARK__ROUTER__BACKOFF__MAX", "100ms"),
    ("NEVERDARK__ROUTER__BREAKER__REST", "500ms"),
    ("NEVERDARK__STATUS__LISTEN", "off"),
];
