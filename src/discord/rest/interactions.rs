//! Answers to slash commands and buttons: they go through a token that the interaction brings, not through the bot's.

use super::{
    Body, File, READ, Rest, RestError, Target,
    call::{Call, Method},
    gone_is_done,
    shapes::{NOBODY, SUPPRESS_EMBEDS},
};
use crate::message::MessageId;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Serialize;
use std::{
    hash::{DefaultHasher, Hash as _, Hasher as _},
    time::Duration,
};
use tokio::time::Instant;

/// Discord waits three seconds for the first answer to an interaction, and some of them have passed when it arrives here.
const RESPOND: Duration = Duration::from_millis(2500);
/// Only the person who asked sees it.
pub(in crate::discord) const EPHEMERAL: u64 = 1 << 6;
/// Tokens share this many queues for pacing. The limiter keeps a queue for ever, but each command has a token of its own.
const QUEUES: u64 = 512;

/// The bot's application.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ApplicationId(pub u64);

/// A slash command that was typed, or a button that was pressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct InteractionId(pub u64);

/// The way to the answers of one interaction; good for 15 minutes.
#[derive(Clone, Debug)]
pub struct Hook {
    /// The bot's application.
    pub application: ApplicationId,
    /// The interaction's token.
    pub token: SecretString,
    /// Only the person who asked sees the answers.
    pub is_ephemeral: bool,
}

impl Hook {
    pub(super) fn call(&self, method: Method, below: &str, deadline: Instant) -> Call {
        let (application, token) = (self.application.0, self.token.expose_secret());
        let mut hasher = DefaultHasher::new();
        token.hash(&mut hasher);
        let queue = hasher.finish() % QUEUES;
        let path = format!("webhooks/{application}/{token}{below}");
        Call::new(method, path, deadline).by_token(Some(format!("webhooks/{application}/{queue}/messages")))
    }

    pub(super) fn to_message(&self, method: Method, message: MessageId, deadline: Instant) -> Call {
        self.call(method, &format!("/messages/{message}"), deadline)
    }

    pub(super) fn flags(&self) -> u64 {
        if self.is_ephemeral { EPHEMERAL } else { 0 }
    }
}

impl Rest {
    /// The first answer to an interaction. `response` is Discord's callback (`{"type": …, "data": …}`); where it says
    /// something, it pings nobody and shows no previews. When a repeat is told that there is an answer already, it was
    /// ours; when the first try is told so, another process was faster, and that is an error.
    ///
    /// # Errors
    /// See [`RestError`]; `NotFound` with code 10062 when it came too late.
    pub async fn respond<T: Serialize>(
        &self,
        interaction: InteractionId,
        token: &SecretString,
        response: &T,
    ) -> Result<(), RestError> {
        const ALREADY_ANSWERED: u32 = 40_060;
        let path = format!("interactions/{}/{}/callback", interaction.0, token.expose_secret());
        let mut body = serde_json::to_value(response).unwrap_or_default();
        quieten(&mut body);
        // Not paced: there is one for each interaction.
        let call = Call::new(Method::Post, path, Instant::now() + RESPOND).by_token(None).with(&body)?;
        let mut tries = 0;
        match self.send_counting(&call, &mut tries, |_| Some(())).await {
            Err(RestError::Invalid { code: ALREADY_ANSWERED, .. }) if tries > 1 => Ok(()),
            other => other,
        }
    }

    /// Puts `body` in the place of the first answer, also of "is thinking".
    ///
    /// # Errors
    /// See [`RestError`]; `NotFound` when the 15 minutes are over.
    pub async fn edit_response(
        &self,
        hook: &Hook,
        body: impl Into<Body<'_>>,
        deadline: Instant,
    ) -> Result<MessageId, RestError> {
        self.show(&Target::Response(hook), body.into(), None, deadline).await
    }

    /// The same, with a file.
    ///
    /// # Errors
    /// See [`RestError`]; `NotFound` when the 15 minutes are over.
    pub async fn edit_response_with_file(
        &self,
        hook: &Hook,
        body: impl Into<Body<'_>>,
        file: File<'_>,
        deadline: Instant,
    ) -> Result<MessageId, RestError> {
        self.show(&Target::Response(hook), body.into(), Some(file), deadline).await
    }

    /// Takes the first answer away.
    ///
    /// # Errors
    /// See [`RestError`].
    pub async fn delete_response(&self, hook: &Hook) -> Result<(), RestError> {
        let call = hook.call(Method::Delete, "/messages/@original", Instant::now() + READ);
        gone_is_done(self.send(&call, |_| Some(())).await)
    }

    /// A further answer. Discord takes no nonce here, so that it is repeated only when it surely did not arrive.
    ///
    /// # Errors
    /// See [`RestError`]; after `Timeout`, `Unavailable` or `Garbled` the message may be there.
    pub async fn follow_up(
        &self,
        hook: &Hook,
        body: impl Into<Body<'_>>,
        deadline: Instant,
    ) -> Result<MessageId, RestError> {
        self.show(&Target::FollowUp(hook), body.into(), None, deadline).await
    }

    /// Takes a further answer away.
    ///
    /// # Errors
    /// See [`RestError`].
    pub async fn delete_follow_up(&self, hook: &Hook, message: MessageId) -> Result<(), RestError> {
        self.note_deleted(message);
        let call = hook.to_message(Method::Delete, message, Instant::now() + READ);
        gone_is_done(self.send(&call, |_| Some(())).await)
    }
}

/// Makes sure that a callback which posts (4) or edits (7) a message pings nobody and shows no previews; embeds of our own
/// need the flag unset.
fn quieten(response: &mut serde_json::Value) {
    const POST: u64 = 4;
    const EDIT: u64 = 7;
    if !matches!(response["type"].as_u64(), Some(POST | EDIT)) {
        return;
    }
    if let Some(data) = response.get_mut("data").and_then(serde_json::Value::as_object_mut) {
        data.insert("allowed_mentions".to_owned(), serde_json::json!(NOBODY));
        if !data.contains_key("embeds") {
            let flags = data.get("flags").and_then(serde_json::Value::as_u64).unwrap_or(0);
            data.insert("flags".to_owned(), (flags | SUPPRESS_EMBEDS).into());
        }
    }
}
