//! An embedded Discord and scripted AI providers on loopback, so that a chat bot can be tried and tested as a whole with no
//! token, no key and no network.
//!
//! Only wire formats are spoken here: nothing is known of the bot that is on the other end, which takes the two addresses
//! for the real thing.
//!
//! - [`discord`]: the gateway, REST, and people who speak, click and look.
//! - [`providers`]: AI providers in four dialects, with faults by order.
//! - [`scenario`]: the text language in which a scene is written, and its player.
//! - [`transcript`]: what people saw, as text.
//!
//! What is simulated: everything that can be seen at a socket, with its faults: answers that stall, break off, or are never
//! given; connections that are refused, reset and lost; rate limits, permissions, and Discord's own rules for messages. What
//! is not: models (providers say what the scene has for them), TLS, voice, and whatever a chat bot does not meet.

pub mod discord;
pub mod providers;
pub mod scenario;
pub mod transcript;

use discord::Discord;
use providers::{Cast, Hooks, Providers};
use scenario::{Act, Deed, Place, Script};
use std::{io, sync::Arc};

/// A Discord and its providers.
#[derive(Clone, Debug)]
pub struct Stage {
    /// The embedded Discord.
    pub discord: Discord,
    /// The providers of the cast.
    pub providers: Providers,
}

impl Stage {
    /// Starts both, and lets the providers know what can be seen in Discord (for `hold`).
    ///
    /// # Errors
    /// When a port cannot be bound.
    pub async fn start(cast: &Cast, options: discord::Options) -> io::Result<Self> {
        let discord = Discord::start(options).await?;
        let seen = discord.clone();
        let shown = move |text: String| -> futures::future::BoxFuture<'static, ()> {
            let discord = seen.clone();
            Box::pin(async move { discord.shown(None, &text).await })
        };
        let providers = Providers::start(cast, Hooks { shown: Arc::new(shown) }).await?;
        Ok(Self { discord, providers })
    }

    /// Makes the people and places of a script, in the order in which they appear, so that they are there when the bot
    /// connects.
    pub fn set_up(&self, script: &Script) {
        for step in &script.steps {
            let Act::Person { name, moderator, deed } = &step.act else { continue };
            if *moderator {
                self.discord.moderator(name)
            } else {
                self.discord.person(name)
            };
            match deed {
                Deed::Post { forum, tags, .. } => {
                    self.discord.forum(forum, &tags.iter().map(String::as_str).collect::<Vec<_>>());
                }
                Deed::Open { channel, .. } => {
                    self.discord.channel(channel);
                }
                Deed::Say { place, .. } | Deed::Reply { place, .. } | Deed::Run { place, .. } => {
                    match place {
                        Place::Channel(name) => {
                            self.discord.channel(name);
                        }
                        Place::Dm => {
                            self.discord.dm(name);
                        }
                        // Its parent was there before it.
                        Place::Below { .. } => {}
                    }
                }
                Deed::Edit(_) | Deed::Delete | Deed::Click(_) => {}
            }
        }
    }

    /// The script's settings, with each `#name` of a channel or forum that is there replaced by its id, and each `@name` of a
    /// role.
    #[must_use]
    pub fn config(&self, script: &Script) -> Vec<(String, String)> {
        let mut places = self.discord.places();
        // A longer name first, so that `#help-me` is not taken for `#help`.
        places.sort_by_key(|place| std::cmp::Reverse(place.name.len()));
        let resolve = |value: &str| {
            let value = places
                .iter()
                .filter(|place| place.parent.is_none())
                .fold(value.to_owned(), |value, place| {
                    value.replace(&format!("#{}", place.name), &place.id.to_string())
                });
            let roles = self.discord.roles();
            roles.iter().fold(value, |value, (name, id)| value.replace(&format!("@{name}"), &id.to_string()))
        };
        script.config.iter().map(|(key, value)| (key.clone(), resolve(value))).collect()
    }
}
