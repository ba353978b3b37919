//! The messages of a reply: the same few calls for a channel and for the answers to an interaction.
//!
//! **The problem.** A text that is handed over before its turn comes is old when it is sent. **The rule.** A growing text
//! takes its turn first ([`Rest::turn`]), and then says what it shows, in one try: what fails is shown by the next one. The
//! end of an answer is tried until its deadline ([`Rest::show`]).

use super::{
    Body, File, Hook, Permit, Rest, RestError, Urgency,
    call::{Call, Method},
    shapes::{Created, Draft, Edit, json},
};
use crate::message::{ChannelId, MessageId};
use serde::Serialize;
use tokio::time::Instant;

/// A message that is to be posted or changed.
#[derive(Clone, Debug)]
pub enum Target<'a> {
    /// A new message in a channel.
    Create {
        /// The channel.
        channel: ChannelId,
        /// The message that it replies to.
        reply_to: Option<MessageId>,
        /// Its own, at most 25 characters: with the same one Discord gives back the message that it has already.
        nonce: String,
    },
    /// A message of ours in a channel.
    Edit {
        /// The channel.
        channel: ChannelId,
        /// The message.
        message: MessageId,
    },
    /// The first answer to an interaction, which is "is thinking" before.
    Response(&'a Hook),
    /// A further answer to it. No nonce protects it: it is repeated only when it surely did not arrive.
    FollowUp(&'a Hook),
    /// A further answer that is there.
    EditFollowUp {
        /// The interaction's.
        hook: &'a Hook,
        /// The message.
        message: MessageId,
    },
}

impl Target<'_> {
    fn bare(&self, deadline: Instant) -> Call {
        match self {
            Self::Create { channel, .. } => Call::to_channel(Method::Post, *channel, "messages", deadline),
            Self::Edit { channel, message } => Call::to_message(Method::Patch, *channel, *message, deadline),
            Self::Response(hook) => hook.call(Method::Patch, "/messages/@original", deadline),
            Self::FollowUp(hook) => hook.call(Method::Post, "", deadline).once(),
            Self::EditFollowUp { hook, message } => hook.to_message(Method::Patch, *message, deadline),
        }
    }

    fn call(&self, body: Body<'_>, file: Option<File<'_>>, deadline: Instant) -> Result<Call, RestError> {
        let call = self.bare(deadline);
        match self {
            Self::Create { reply_to, nonce, .. } => with(call, &Draft::new(body, *reply_to, nonce), file),
            Self::Edit { .. } => with(call, &Edit::new(body, 0), file),
            Self::Response(hook) | Self::FollowUp(hook) | Self::EditFollowUp { hook, .. } => {
                with(call, &Edit::new(body, hook.flags()), file)
            }
        }
    }

    /// The message's id, where it is known before.
    fn known(&self) -> Option<MessageId> {
        match self {
            Self::Edit { message, .. } | Self::EditFollowUp { message, .. } => Some(*message),
            Self::Create { .. } | Self::Response(_) | Self::FollowUp(_) => None,
        }
    }
}

/// The file takes the place of those that the message has.
#[derive(Serialize)]
struct WithFile<'a, T> {
    #[serde(flatten)]
    message: &'a T,
    attachments: [Attachment<'a>; 1],
}

#[derive(Serialize)]
struct Attachment<'a> {
    id: u8,
    filename: &'a str,
}

fn with<T: Serialize>(call: Call, message: &T, file: Option<File<'_>>) -> Result<Call, RestError> {
    let Some(file) = file else { return call.with(message) };
    let attachments = [Attachment { id: 0, filename: file.name }];
    Ok(call.with(&WithFile { message, attachments })?.and_file(&file))
}

impl Rest {
    /// Waits until such a call may be made. Nothing was sent when this is dropped.
    ///
    /// # Errors
    /// See [`RestError`]; `RateLimited` as soon as it is known that the deadline comes first.
    pub async fn turn(
        &self,
        target: &Target<'_>,
        urgency: Urgency,
        deadline: Instant,
    ) -> Result<Permit, RestError> {
        self.permit(&target.bare(deadline).urgent(urgency)).await
    }

    /// Shows this in one try, and says which message it is.
    ///
    /// # Errors
    /// See [`RestError`]. After `Timeout`, `Unavailable` or `Garbled` it may be there.
    pub async fn show_once(
        &self,
        permit: Permit,
        target: &Target<'_>,
        body: Body<'_>,
        deadline: Instant,
    ) -> Result<MessageId, RestError> {
        let call = target.call(body, None, deadline)?;
        let answer = self.try_once(&call, permit).await?;
        read(target, &answer).ok_or(RestError::Garbled)
    }

    /// Shows this, before all that is still growing, and tries until the deadline.
    ///
    /// # Errors
    /// See [`RestError`].
    pub async fn show(
        &self,
        target: &Target<'_>,
        body: Body<'_>,
        file: Option<File<'_>>,
        deadline: Instant,
    ) -> Result<MessageId, RestError> {
        let call = target.call(body, file, deadline)?;
        self.send(&call, |it| read(target, it)).await
    }
}

fn read(target: &Target<'_>, answer: &[u8]) -> Option<MessageId> {
    target.known().or_else(|| json::<Created>(answer).map(|it| it.id))
}
