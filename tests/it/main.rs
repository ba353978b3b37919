//! The whole service, tried from outside: scenes on an embedded Discord with scripted providers, and the shape of the house.
#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "all of it is tests, also what stands outside of `#[test]`"
)]

mod api;
mod buttons;
mod chaos;
mod commands;
mod context;
mod conversations;
mod dialects;
mod docs;
mod down;
mod fairness;
mod fallback;
mod faults;
mod forums;
mod gateway;
mod harness;
mod http;
mod limits;
mod missed;
mod privacy;
mod process;
mod safety;
mod sharing;
mod streaming;
mod tidy;
mod vendor;
