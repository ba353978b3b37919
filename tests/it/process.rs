//! The real program as a child process against the embedded Discord: what an operator meets, and what a crash leaves.

mod api;
#[cfg(target_os = "linux")]
mod asking;
pub(crate) mod bot;
mod commands;
mod crash;
pub(crate) mod demo;
mod permissions;
mod providers;
#[cfg(target_os = "linux")]
mod proxy;
mod queued;
mod second_thoughts;
mod serving;
mod stopping;
#[cfg(target_os = "linux")]
mod tls;
mod upgrades;
mod wrong;
