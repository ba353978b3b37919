//! The real program as a child process against the embedded Discord: what an operator meets, and what a crash leaves.

mod api;
pub(crate) mod bot;
mod commands;
pub(crate) mod demo;
mod providers;
mod serving;
mod stopping;
mod upgrades;
mod wrong;
