//! Neverdark: a Discord chatbot service that keeps answering when an AI provider does not.
//!
//! The path of one message, which is also the order to read this crate in:
//!
//! 1. [`discord`] hears an event from the gateway; `discord::inbound` decides whether it is meant for the bot.
//! 2. [`chat`] claims the message in the [`store`], waits for the conversation's lane and fits what was said before into a [`message::Prompt`].
//! 3. [`router`] plays a plan over the [`providers`] and tells what happens as [`router::Event`]s.
//! 4. [`chat`] turns events into a [`chat::Draft`] that grows, and records every attempt.
//! 5. `discord::outbound` shows the draft: posts, edits at Discord's pace, splits; then the turn is closed in the [`store`].
//!
//! Data goes down, values come back. `tests/it/tidy.rs` checks who may know whom.

pub mod api;
pub mod app;
pub mod chat;
pub mod cli;
pub mod config;
pub mod discord;
pub mod ledger;
pub mod message;
pub mod metrics;
pub mod outcome;
pub mod providers;
pub mod router;
pub mod status;
pub mod store;
