//! The connection to Discord: where it is, whether it is up, and why it can't be served.

use super::{
    Door, budget, frozen,
    presence::{self, Presence},
    rest::{GatewayBot, RestError},
    shards,
};
use crate::{
    chat::away::{Mark, lasting},
    message::UnixMillis,
};
use secrecy::{ExposeSecret, SecretString};
use serenity::{
    client::{Client, ClientBuilder},
    gateway::GatewayError,
    http::HttpBuilder,
    model::gateway::GatewayIntents,
};
use std::{convert::Infallible, time::Duration};
use tokio::{
    sync::watch,
    time::{Instant, interval, sleep, timeout},
};
use tracing::{error, warn};

/// How often it is written down how far the gateway was heard: a kill costs a second look at what came since.
const KEEP_EVERY: Duration = Duration::from_secs(2);

/// Who was connected for so long did not start in vain.
const STEADY: Duration = Duration::from_secs(30);

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

/// How a client's time ended.
enum Ended {
    /// For good, or because the process stops.
    Done(Result<(), GatewayFailure>),
    /// Sessions begin and end at once. Whether one had come up before that.
    InVain(bool),
    /// Connections are down, and nothing moves any more.
    Stuck,
}

impl Door {
    /// Why nobody connects at present, if that is so.
    #[must_use]
    pub fn waits(&self) -> watch::Receiver<Option<String>> {
        self.inner.waits.subscribe()
    }

    /// Serves the gateway until `closing`.
    ///
    /// # Errors
    /// The token or the intents are refused, or Discord can't be reached at the start.
    pub async fn serve(self, token: &SecretString) -> Result<(), GatewayFailure> {
        let closing = self.inner.closing.clone();
        let in_vain = self.inner.chat.begin_start(UnixMillis::now()).await;
        let pause = budget::after_starts_in_vain(in_vain);
        let why = format!("the last {in_vain} starts came to nothing");
        let (mut rounds, mut is_first) = (0, true);
        tokio::select! {
            biased;
            () = closing.cancelled() => return Ok(()),
            () = self.wait(pause, &why) => {}
        }
        loop {
            let connected = tokio::select! {
                biased;
                () = closing.cancelled() => return Ok(()),
                connected = self.clone().connect(token) => connected,
            };
            let was_first = std::mem::replace(&mut is_first, false);
            match connected {
                Ok((client, shards)) => match self.serve_with(client, shards).await {
                    Ended::Done(ended) => return ended,
                    Ended::InVain(was_up) => rounds = if was_up { 0 } else { rounds + 1 },
                    Ended::Stuck => continue,
                },
                Err(failure @ GatewayFailure::Unreachable { .. }) if !was_first => {
                    warn!(error = %failure, "Discord cannot be asked for its gateway");
                }
                Err(failure) => return Err(failure),
            }
            tokio::select! {
                biased;
                () = closing.cancelled() => return Ok(()),
                () = self.wait(budget::after_rounds_in_vain(rounds), "sessions with Discord end as soon as they begin") => {}
            }
        }
    }

    /// Waits before the next connection, and lets operators know.
    async fn wait(&self, pause: Duration, why: &str) {
        if pause.is_zero() {
            return;
        }
        let why = format!("{why}, so the next session begins in {}", lasting(pause));
        warn!(seconds = pause.as_secs(), "not connecting to Discord: {why}");
        self.inner.waits.send_replace(Some(why));
        sleep(pause).await;
        self.inner.waits.send_replace(None);
    }

    async fn serve_with(&self, mut client: Client, shard_count: u32) -> Ended {
        let (closing, is_connected) = (&self.inner.closing, &self.inner.is_connected);
        let manager = client.shard_manager.clone();
        let chat = self.inner.chat.clone();
        let presence = move || Presence::now(&chat);
        let kept = self.inner.chat.marks().await;
        self.inner.marks.load(shard_count, &kept);
        let ended = tokio::select! {
            served = client.start_shards(shard_count) => Ended::Done(served.map_err(failure)),
            () = shards::watch(&manager, shard_count, is_connected, &presence, shards::SILENT) => {
                warn!("nothing moves in the connections to Discord; they are made anew");
                let _ = timeout(GOODBYE_LIMIT, shards::end(&manager, &presence())).await;
                Ended::Stuck
            }
            never = frozen::guard(&manager, presence.clone()) => match never {},
            never = presence::keep(&self.inner.chat, &manager) => match never {},
            never = self.keep_marks(shard_count) => match never {},
            never = self.tell_when_steady() => match never {},
            was_up = self.sessions_in_vain(shard_count) => {
                error!("sessions with Discord end as soon as they begin; the connection is given up for a while");
                let _ = timeout(GOODBYE_LIMIT, shards::end(&manager, &presence())).await;
                Ended::InVain(was_up)
            }
            // Before the first connection `start_shards` would not return after a shutdown, so it is not waited for.
            () = closing.cancelled() => {
                let was_up = *is_connected.borrow();
                let _ = timeout(GOODBYE_LIMIT, manager.shutdown_all()).await;
                if was_up {
                    self.inner.chat.start_went_well().await;
                }
                Ended::Done(Ok(()))
            }
        };
        is_connected.send_replace(false);
        self.inner
            .chat
            .keep_marks(&self.inner.marks.to_keep(shard_count, Instant::now()), UnixMillis::now())
            .await;
        ended
    }

    /// A client that knows where the gateway is, and how many connections Discord wants. Waits for as long as there are too
    /// few sessions left.
    async fn connect(self, token: &SecretString) -> Result<(Client, u32), GatewayFailure> {
        let base = self.inner.settings.api_base.clone();
        let (gateway, shards) = loop {
            let gateway = self.inner.rest.gateway_bot().await.map_err(|cause| match cause {
                RestError::Unauthorized => GatewayFailure::WrongToken,
                cause => GatewayFailure::Unreachable { base: base.clone(), cause },
            })?;
            let shards = gateway.shards.unwrap_or(1).max(1);
            let pause = budget::until_sessions(gateway.session_start_limit, shards);
            if pause.is_zero() {
                break (gateway, shards);
            }
            let left = gateway.session_start_limit.map_or(0, |it| it.remaining);
            self.wait(pause, &format!("Discord lets this bot begin only {left} more sessions today, and resets its token after the last one")).await;
        };
        // serenity asks for the gateway once more when it is built, and would go to the real Discord if that failed: its own
        // requests go to our base, and the address is set to what our own request was told.
        let http = HttpBuilder::new(token.expose_secret()).proxy(&base).ratelimiter_disabled(true).build();
        let intents = intents(self.inner.settings.message_content);
        let client = ClientBuilder::new_with_http(http, intents).event_handler(self).await;
        let client = client.map_err(|failure| GatewayFailure::Ended(failure.to_string()))?;
        gateway.url.clone_into(&mut *client.ws_url.lock().await);
        Ok((client, shards))
    }

    /// Writes down how far the gateway was heard, whenever that has changed.
    async fn keep_marks(&self, shards: u32) -> Infallible {
        let mut looks = interval(KEEP_EVERY);
        let mut kept: Vec<Mark> = Vec::new();
        loop {
            looks.tick().await;
            let marks = self.inner.marks.to_keep(shards, Instant::now());
            if marks != kept && self.inner.chat.keep_marks(&marks, UnixMillis::now()).await {
                kept = marks;
            }
        }
    }

    /// Writes down that this start came to something.
    async fn tell_when_steady(&self) -> Infallible {
        let mut is_connected = self.connected();
        loop {
            let _ = is_connected.wait_for(|it| *it).await;
            if timeout(STEADY, is_connected.wait_for(|it| !*it)).await.is_err() {
                self.inner.chat.start_went_well().await;
                return std::future::pending().await;
            }
        }
    }

    /// Ends when sessions begin, over and over, and none comes up. serenity would go on for ever, every five seconds, until the
    /// day's sessions are used up; Discord itself tells how many it has counted. Says whether one had come up before.
    async fn sessions_in_vain(&self, shards: u32) -> bool {
        let mut is_connected = self.connected();
        let mut was_up = false;
        loop {
            was_up |= *is_connected.borrow_and_update();
            let _ = is_connected.wait_for(|it| !*it).await;
            let mut first = None;
            while timeout(budget::LOST_FOR, is_connected.wait_for(|it| *it)).await.is_err() {
                let Ok(GatewayBot { session_start_limit: Some(now), .. }) =
                    self.inner.rest.gateway_bot().await
                else {
                    continue;
                };
                let first = *first.get_or_insert(now.remaining);
                if budget::are_in_vain(first, now, shards) {
                    return was_up;
                }
            }
        }
    }
}

/// Why serenity ended.
fn failure(failure: serenity::Error) -> GatewayFailure {
    match failure {
        serenity::Error::Gateway(GatewayError::InvalidAuthentication) => GatewayFailure::WrongToken,
        serenity::Error::Gateway(
            GatewayError::DisallowedGatewayIntents | GatewayError::InvalidGatewayIntents,
        ) => GatewayFailure::DisallowedIntents,
        failure => GatewayFailure::Ended(failure.to_string()),
    }
}

/// What the gateway is asked for.
fn intents(message_content: bool) -> GatewayIntents {
    let intents = GatewayIntents::GUILDS | GatewayIntents::GUILD_MESSAGES | GatewayIntents::DIRECT_MESSAGES;
    if message_content { intents | GatewayIntents::MESSAGE_CONTENT } else { intents }
}
