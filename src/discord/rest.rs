//! Every REST call that this product makes to Discord.
//!
//! The problem: a library's client that waits without end holds up a reply, one that drops `Retry-After` runs into a ban,
//! and a create that is repeated blindly answers twice.
//!
//! The rule: each call has a deadline, and one of four ends. It is done; Discord refuses (401, 403, 404, 400: told at
//! once); Discord asks for patience beyond the deadline ([`RestError::RateLimited`], with the time); or nothing came back
//! until the deadline. Until then faults of the network and of Discord are repeated with full jitter, and a rate limit is
//! waited for exactly. Creates carry a nonce that Discord enforces, so that a repeat cannot double a message.
//!
//! Its limits: what a repeat could double and no nonce protects (a follow-up to an interaction) is repeated only when
//! it surely never arrived. Ids of messages are left out of the keys for pacing, or else each new message would be edited
//! once without waiting its turn.

mod call;
mod files;
mod gate;
mod interactions;
mod multipart;
mod posts;
mod refusals;
mod replies;
mod rights;
mod shapes;

pub(crate) use files::{Download, Files};
pub use gate::{Permit, Urgency};
pub(super) use interactions::EPHEMERAL;
pub use interactions::{ApplicationId, Hook, InteractionId};
pub use multipart::File;
pub use replies::Target;
pub use shapes::{Application, Body, Channel, GatewayBot, Me, Registered, SessionStarts, Tag, ThreadState};

use crate::message::{ChannelId, GuildId, MessageId};
use call::{Call, Method};
use gate::Gate;
use refusals::Refusals;
use reqwest::header::HeaderValue;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Serialize, de::DeserializeOwned};
use shapes::{json, list};
use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::time::Instant;

/// Discord: *Unknown Message*.
pub(super) const UNKNOWN_MESSAGE: u32 = 10_008;
/// Discord: the bot may not read the history, and so not point at a message of it.
pub(super) const NO_REPLIES: u32 = 160_002;
/// As many messages as Discord gives at once ([`Rest::messages`]).
pub(super) const PAGE: u8 = 100;
/// How long a question to Discord may take: a person waits for what depends on it.
const READ: Duration = Duration::from_secs(10);
/// Typing is a courtesy; when it comes later than this, the answer is there.
const TYPING: Duration = Duration::from_secs(3);
/// Deleting may wait for its turn; nobody waits for it.
const DELETE: Duration = Duration::from_secs(30);
/// Discord lets a bot write few commands in a time and answers slowly.
const COMMANDS: Duration = Duration::from_secs(60);

/// Why a call to Discord failed. Never holds what a message says, nor a token.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RestError {
    /// 401: the token is wrong or was reset. Asking again only brings a ban nearer.
    #[error("Discord does not accept the bot's token (401)")]
    Unauthorized,
    /// 403: a permission is missing, or a person blocked the bot.
    #[error("Discord forbids it: {message} ({code})")]
    Forbidden {
        /// Discord's error code, 0 if it gave none.
        code: u32,
        /// Discord's own sentence for the code.
        message: String,
    },
    /// 404: it is not there (any more).
    #[error("Discord does not know it (404, code {code})")]
    NotFound {
        /// Discord's error code, 0 if it gave none.
        code: u32,
    },
    /// Discord asks for patience, longer than the deadline allows.
    #[error("Discord asks to wait {retry_after:?}")]
    RateLimited {
        /// How long from now.
        retry_after: Duration,
    },
    /// Discord refuses the request itself (400 and the other 4xx); it would do so again.
    #[error("Discord refuses the request: {message} (HTTP {status}, code {code})")]
    Invalid {
        /// The HTTP status.
        status: u16,
        /// Discord's error code, 0 if it gave none.
        code: u32,
        /// Discord's own sentence for the code.
        message: String,
    },
    /// No answer before the deadline.
    #[error("Discord did not answer in time")]
    Timeout,
    /// A fault of Discord or of the way to it, also after repeats.
    #[error("Discord cannot be reached{}", .status.map(|it| format!(" (HTTP {it})")).unwrap_or_default())]
    Unavailable {
        /// The HTTP status, when there was an answer at all.
        status: Option<u16>,
    },
    /// Discord said yes, but in words that cannot be read. What was asked for may have happened.
    #[error("Discord's answer cannot be read")]
    Garbled,
}

/// Which messages of a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Page {
    /// The newest.
    Newest,
    /// Those before a message.
    Before(MessageId),
    /// Those after a message.
    After(MessageId),
}

/// The client. One for the whole process, since Discord's limits are for the bot as a whole.
#[derive(Debug)]
pub struct Rest {
    client: reqwest::Client,
    /// Ends in `/api/v10/`.
    base: String,
    /// Marked as sensitive, so that its `Debug` hides it.
    authorization: HeaderValue,
    gate: Arc<Gate>,
    refusals: Mutex<Refusals>,
    /// What this bot deleted last, so that nobody takes it for a person's wish.
    deleted: Mutex<VecDeque<MessageId>>,
    rng: Mutex<fastrand::Rng>,
}

impl Rest {
    /// A client for the API at `origin` (`https://discord.com`, a proxy or a simulator). `client` should follow no redirects
    /// and repeat nothing by itself.
    ///
    /// # Errors
    /// `Unauthorized` when the token has characters that no token has.
    pub fn new(
        client: reqwest::Client,
        origin: &str,
        token: &SecretString,
        rng: fastrand::Rng,
    ) -> Result<Self, RestError> {
        let mut authorization = HeaderValue::from_str(&format!("Bot {}", token.expose_secret()))
            .map_err(|_| RestError::Unauthorized)?;
        authorization.set_sensitive(true);
        Ok(Self {
            client,
            base: format!("{}/api/v10/", origin.trim_end_matches('/')),
            authorization,
            gate: Arc::default(),
            refusals: Mutex::default(),
            deleted: Mutex::default(),
            rng: Mutex::new(rng),
        })
    }

    /// Posts a message that pings nobody and shows no previews. `nonce` (at most 25 characters, Discord's limit) must be
    /// this message's own: with the same one, Discord gives back the message that it already has. Where the bot may not read the
    /// history, it is posted without being a reply.
    ///
    /// # Errors
    /// See [`RestError`].
    pub async fn create_message(
        &self,
        channel: ChannelId,
        body: impl Into<Body<'_>>,
        reply_to: Option<MessageId>,
        nonce: &str,
        deadline: Instant,
    ) -> Result<MessageId, RestError> {
        let body = body.into();
        let create = |reply_to| Target::Create { channel, reply_to, nonce: nonce.to_owned() };
        match self.show(&create(reply_to), body, None, deadline).await {
            Err(
                RestError::Invalid { code: NO_REPLIES, .. } | RestError::Forbidden { code: NO_REPLIES, .. },
            ) if reply_to.is_some() => self.show(&create(None), body, None, deadline).await,
            posted => posted,
        }
    }

    /// Puts `body` in the place of what a message shows.
    ///
    /// # Errors
    /// See [`RestError`].
    pub async fn edit_message(
        &self,
        channel: ChannelId,
        message: MessageId,
        body: impl Into<Body<'_>>,
        deadline: Instant,
    ) -> Result<(), RestError> {
        self.show(&Target::Edit { channel, message }, body.into(), None, deadline).await.map(drop)
    }

    /// Deletes a message; it is well when it was deleted already.
    ///
    /// # Errors
    /// See [`RestError`].
    pub async fn delete_message(&self, channel: ChannelId, message: MessageId) -> Result<(), RestError> {
        self.note_deleted(message);
        let call = Call::to_message(Method::Delete, channel, message, Instant::now() + DELETE);
        gone_is_done(self.send(&call, |_| Some(())).await)
    }

    /// Whether this bot itself deleted the message, among its last 1,024: the gateway tells of those, too.
    pub(crate) fn was_deleted_by_us(&self, message: MessageId) -> bool {
        self.deleted.lock().unwrap_or_else(PoisonError::into_inner).contains(&message)
    }

    fn note_deleted(&self, message: MessageId) {
        const REMEMBERED: usize = 1024;
        let mut deleted = self.deleted.lock().unwrap_or_else(PoisonError::into_inner);
        if deleted.len() >= REMEMBERED {
            deleted.pop_front();
        }
        deleted.push_back(message);
    }

    /// Shows that the bot is writing, for ten seconds or until it posts.
    ///
    /// # Errors
    /// See [`RestError`].
    pub async fn trigger_typing(&self, channel: ChannelId) -> Result<(), RestError> {
        let call = Call::to_channel(Method::Post, channel, "typing", Instant::now() + TYPING);
        self.send(&call.urgent(Urgency::Courtesy), |_| Some(())).await
    }

    /// One message, as the type that the caller reads messages with.
    ///
    /// # Errors
    /// See [`RestError`].
    pub async fn message<T: DeserializeOwned>(
        &self,
        channel: ChannelId,
        message: MessageId,
    ) -> Result<T, RestError> {
        self.send(&Call::to_message(Method::Get, channel, message, Instant::now() + READ), json).await
    }

    /// Up to `limit` (1 to 100) messages of a channel, newest first, as Discord gives them. A message that cannot be read
    /// is left out: one of an unknown kind must not hide the others.
    ///
    /// # Errors
    /// See [`RestError`].
    pub async fn messages<T: DeserializeOwned>(
        &self,
        channel: ChannelId,
        page: Page,
        limit: u8,
    ) -> Result<Vec<T>, RestError> {
        let which = match page {
            Page::Newest => String::new(),
            Page::Before(id) => format!("&before={id}"),
            Page::After(id) => format!("&after={id}"),
        };
        let route = format!("channels/{channel}/messages");
        let path = format!("{route}?limit={limit}{which}");
        self.send(&Call::new(Method::Get, path, Instant::now() + READ).paced_as(route), list).await
    }

    /// A channel, thread, forum post or DM.
    ///
    /// # Errors
    /// See [`RestError`].
    pub async fn channel(&self, channel: ChannelId) -> Result<Channel, RestError> {
        self.get(format!("channels/{channel}")).await
    }

    /// Where the gateway is, and how often the bot may begin a session today.
    ///
    /// # Errors
    /// See [`RestError`].
    pub async fn gateway_bot(&self) -> Result<GatewayBot, RestError> {
        self.get("gateway/bot".to_owned()).await
    }

    /// Who the bot is.
    ///
    /// # Errors
    /// See [`RestError`].
    pub async fn me(&self) -> Result<Me, RestError> {
        self.get("users/@me".to_owned()).await
    }

    /// The bot's application: its id, and which intents it was granted.
    ///
    /// # Errors
    /// See [`RestError`].
    pub async fn application(&self) -> Result<Application, RestError> {
        self.get("applications/@me".to_owned()).await
    }

    /// Puts these commands in the place of all that are registered, in one server or everywhere.
    ///
    /// # Errors
    /// See [`RestError`].
    pub async fn put_commands<T: Serialize>(
        &self,
        application: ApplicationId,
        guild: Option<GuildId>,
        commands: &[T],
    ) -> Result<Vec<Registered>, RestError> {
        let place = guild.map_or_else(String::new, |it| format!("guilds/{it}/"));
        let path = format!("applications/{}/{place}commands", application.0);
        let call = Call::new(Method::Put, path, Instant::now() + COMMANDS).with(commands)?;
        self.send(&call, list).await
    }

    async fn get<T: DeserializeOwned>(&self, path: String) -> Result<T, RestError> {
        self.send(&Call::new(Method::Get, path, Instant::now() + READ), json).await
    }
}

/// What is not there any more need not be deleted.
fn gone_is_done(outcome: Result<(), RestError>) -> Result<(), RestError> {
    match outcome {
        Err(RestError::NotFound { .. }) => Ok(()),
        other => other,
    }
}

#[cfg(test)]
pub(super) mod tests;
