//! The connection to Discord: where it is, whether it is up, and why it can't be served.

use super::{Door, presence, rest::RestError};
use secrecy::{ExposeSecret, SecretString};
use serenity::{
    client::{Client, ClientBuilder},
    gateway::{ConnectionStage, GatewayError, ShardManager},
    http::HttpBuilder,
    model::gateway::GatewayIntents,
};
use std::{convert::Infallible, time::Duration};
use tokio::{
    sync::watch,
    time::{interval, timeout},
};

/// How often it is looked whether the connections are up.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// How long the connections may take to close.
const GOODBYE_LIMIT: Duration = Duration::from_secs(5);

/// Why the gateway can't be served.
#[derive(Debug, thiserror::Error)]
pub enum GatewayFailure {
    /// The token is wrong.
    #[error(
        "Discord does not accept the bot's token. Reset it in the Developer Portal (Bot → Reset Token) and set it anew"
    )]
    WrongToken,
    /// The portal does not grant the message content intent.
    #[error(
        "Discord does not grant this bot the intent to read messages. Switch on \"Message Content Intent\" in the Developer \
         Portal (Bot → Privileged Gateway Intents), or set discord.message_content = false to work with mentions, replies, \
         direct messages and commands only"
    )]
    DisallowedIntents,
    /// Discord could not be reached at all.
    #[error(
        "Discord could not be reached at {base}: {cause}. Check the network, and discord.api_base if you set it"
    )]
    Unreachable {
        /// The address that was tried.
        base: String,
        /// What happened.
        cause: RestError,
    },
    /// The client library gave up.
    #[error("the connection to Discord ended for good: {0}")]
    Ended(String),
}

impl GatewayFailure {
    /// Whether somebody has to change the configuration; trying again is no use.
    #[must_use]
    pub fn is_config(&self) -> bool {
        match self {
            Self::WrongToken | Self::DisallowedIntents => true,
            Self::Unreachable { .. } | Self::Ended(_) => false,
        }
    }
}

impl Door {
    /// Serves the gateway until `closing`.
    ///
    /// # Errors
    /// The token or the intents are refused, or Discord can't be reached at the start.
    pub async fn serve(self, token: &SecretString) -> Result<(), GatewayFailure> {
        let (closing, is_connected) = (self.inner.closing.clone(), self.inner.is_connected.clone());
        let chat = self.inner.chat.clone();
        let (mut client, shard_count) = tokio::select! {
            biased;
            () = closing.cancelled() => return Ok(()),
            client = self.connect(token) => client?,
        };
        let shards = client.shard_manager.clone();
        tokio::select! {
            served = client.start_shards(shard_count) => match served {
                Ok(()) => Ok(()),
                Err(serenity::Error::Gateway(GatewayError::InvalidAuthentication)) => Err(GatewayFailure::WrongToken),
                Err(serenity::Error::Gateway(
                    GatewayError::DisallowedGatewayIntents | GatewayError::InvalidGatewayIntents,
                )) => Err(GatewayFailure::DisallowedIntents),
                Err(failure) => Err(GatewayFailure::Ended(failure.to_string())),
            },
            never = watch_shards(&shards, &is_connected) => match never {},
            never = presence::keep(&chat, &shards) => match never {},
            // Before the first connection `start_shards` would not return after a shutdown, so it is not waited for.
            () = closing.cancelled() => {
                let _ = timeout(GOODBYE_LIMIT, shards.shutdown_all()).await;
                Ok(())
            }
        }
    }

    /// A client that knows where the gateway is, and how many connections Discord wants.
    async fn connect(self, token: &SecretString) -> Result<(Client, u32), GatewayFailure> {
        let base = self.inner.settings.api_base.clone();
        let gateway = self.inner.rest.gateway_bot().await.map_err(|cause| match cause {
            RestError::Unauthorized => GatewayFailure::WrongToken,
            cause => GatewayFailure::Unreachable { base: base.clone(), cause },
        })?;
        // serenity asks for the gateway once more when it is built, and would go to the real Discord if that failed: its own
        // requests go to our base, and the address is set to what our own request was told.
        let http = HttpBuilder::new(token.expose_secret()).proxy(&base).ratelimiter_disabled(true).build();
        let intents = intents(self.inner.settings.message_content);
        let client = ClientBuilder::new_with_http(http, intents).event_handler(self).await;
        let client = client.map_err(|failure| GatewayFailure::Ended(failure.to_string()))?;
        gateway.url.clone_into(&mut *client.ws_url.lock().await);
        Ok((client, gateway.shards.unwrap_or(1).max(1)))
    }
}

/// Looks whether the connections are up, all of them. serenity tells its handlers of a stage only together with an event
/// that came in, and of each connection by itself, so that nobody would hear of a gateway that takes none any more.
async fn watch_shards(shards: &ShardManager, is_connected: &watch::Sender<bool>) -> Infallible {
    let mut looks = interval(LOOK_EVERY);
    loop {
        looks.tick().await;
        let now = {
            let runners = shards.runners.lock().await;
            !runners.is_empty() && runners.values().all(|it| it.stage == ConnectionStage::Connected)
        };
        is_connected.send_if_modified(|it| std::mem::replace(it, now) != now);
    }
}

/// What the gateway is asked for.
fn intents(message_content: bool) -> GatewayIntents {
    let intents = GatewayIntents::GUILDS | GatewayIntents::GUILD_MESSAGES | GatewayIntents::DIRECT_MESSAGES;
    if message_content { intents | GatewayIntents::MESSAGE_CONTENT } else { intents }
}
