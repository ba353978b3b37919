//! The embedded Discord, tried over its wires by small clients of its own.

mod client;
mod gateway;
mod interactions;
mod rest;
mod weather;

use super::{Discord, Options};

/// A Discord without rate limits, to be quick.
async fn free() -> Discord {
    Discord::start(Options { limits: false, ..Options::default() }).await.unwrap()
}
