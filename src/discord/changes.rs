//! What people do to messages after they were said: edits, deletions, and further pieces of a question.
//!
//! **The problem.** Discord tells of an edit also when only a preview was added, tells of our own edits and deletions as of
//! anybody's, and tells nothing of what happened while the bot was away. **The rule.** Words that have not changed change nothing, and what
//! the bot did itself is not heard. A deleted question takes its answer with it, also after a restart. An edit that calls
//! the bot is answered when the message is not older than five minutes and was not answered before. **The limits.** Without the
//! message content intent an edit of a message that does not call the bot comes without words, and changes nothing.

use super::{
    Door,
    inbound::{self, Verdict},
    intake::Change,
    places::Whereabouts,
    rest::{RestError, UNKNOWN_MESSAGE},
};
use crate::{
    chat::Retraction,
    message::{ChannelId, Inbound, MessageId, Quoted, Trigger, UnixMillis, UserId},
};
use futures::{StreamExt, stream};
use serenity::all::{Message, MessageReference, MessageUpdateEvent};
use std::time::Duration;
use tokio::time::timeout;
use tracing::{debug, warn};

/// An edit makes a question of a message that is not older than this.
const EDITED_WITHIN: Duration = Duration::from_secs(300);
/// So many messages of a chain of replies go with a question beside the one that it replies to,
const LONGEST_CHAIN: usize = 6;
/// of which so many are asked of Discord, when memory has no more,
const MOST_ASKED: usize = 3;
/// all within this time: an answer waits for it.
const CHAIN_WITHIN: Duration = Duration::from_secs(2);

impl Door {
    /// A message was changed.
    pub(super) async fn changed(&self, event: MessageUpdateEvent) {
        let Some(&me) = self.inner.me.get() else { return };
        let is_mine = event.author.as_ref().is_some_and(|it| it.id.get() == me.0);
        let (Some(content), false) = (&event.content, is_mine) else { return };
        let files = event.attachments.as_deref().unwrap_or_default();
        if content.is_empty() && files.is_empty() {
            return; // Without the intent nobody's words come; and no person can empty a message.
        }
        let message = MessageId(event.id.get());
        self.inner.intake.note(message, Change::Edited);
        let text = inbound::said(content, event.mentions.as_deref().unwrap_or_default(), files, me);
        if !self.inner.chat.edited(message, &text).await {
            self.called_by_edit(event, me).await;
        }
    }

    /// An edit that makes a question of a message that was none is answered, if it is recent.
    async fn called_by_edit(&self, event: MessageUpdateEvent, me: UserId) {
        let age = UnixMillis::now().since(MessageId(event.id.get()).said_at());
        let is_calling = event.content.as_deref().is_some_and(|it| inbound::mentions(it, me));
        if event.edited_timestamp.is_none() || age > EDITED_WITHIN || !is_calling {
            return;
        }
        let (channel, id) = (ChannelId(event.channel_id.get()), MessageId(event.id.get()));
        match self.inner.rest.message::<Message>(channel, id).await {
            Ok(mut message) => {
                // What REST leaves out.
                message.guild_id = event.guild_id;
                message.member = event.member.flatten().or(message.member);
                self.hear(message).await;
            }
            Err(failure) => debug!(error = %failure, "an edited message could not be read"),
        }
    }

    /// Messages were deleted, by whomever.
    pub(super) async fn deleted(&self, messages: Vec<MessageId>) {
        /// A moderator deletes a hundred at once.
        const AT_ONCE: usize = 8;
        let by_people = messages.into_iter().filter(|it| !self.inner.rest.was_deleted_by_us(*it));
        let forget = async |message| {
            self.inner.intake.note(message, Change::Deleted);
            self.take_back(message).await;
        };
        stream::iter(by_people).for_each_concurrent(AT_ONCE, forget).await;
    }

    pub(super) async fn take_back(&self, message: MessageId) {
        if let Some(retraction) = self.inner.chat.deleted(message, UnixMillis::now()).await {
            self.retract(retraction).await;
        }
    }

    /// The same, where the turn itself must go on to end.
    fn forget_meanwhile(&self, message: MessageId) {
        let door = self.clone();
        self.inner.tasks.spawn(async move { door.take_back(message).await });
    }

    /// Deletes what was answered to a question that is gone. What can't be deleted now is tried again after the next start.
    async fn retract(&self, retraction: Retraction) {
        for (channel, message) in &retraction.messages {
            match self.inner.rest.delete_message(*channel, *message).await {
                Ok(()) => {}
                // It will not become possible.
                Err(RestError::Forbidden { .. } | RestError::Invalid { .. }) => {}
                Err(failure) => {
                    warn!(error = %failure, "an answer to a deleted question could not be deleted");
                    return;
                }
            }
        }
        self.inner.chat.retracted(&retraction.turn).await;
    }

    /// Deletes what the last process could not.
    pub(super) async fn retract_the_rest(&self) {
        for retraction in self.inner.chat.retractions(None).await {
            self.retract(retraction).await;
        }
    }

    /// What was changed before the message was taken in.
    pub(super) async fn see_changes(&self, channel: ChannelId, message: MessageId) {
        match self.inner.intake.change(message) {
            None => {}
            Some(Change::Deleted) => self.forget_meanwhile(message),
            Some(Change::Edited) => self.read_again(channel, message).await,
        }
    }

    /// A question as it is now, with the addresses of its files, which are not stored.
    pub(super) async fn read_again(&self, channel: ChannelId, id: MessageId) {
        let Some(&me) = self.inner.me.get() else { return };
        match self.inner.rest.message::<Message>(channel, id).await {
            Ok(message) if message.content.is_empty() && message.attachments.is_empty() => {}
            Ok(message) => {
                let text = inbound::said(&message.content, &message.mentions, &message.attachments, me);
                self.inner.chat.found_files(id, inbound::files(&message));
                self.inner.chat.edited(id, &text).await;
            }
            // The message; a channel that is gone says so when the answer is posted.
            Err(RestError::NotFound { code: UNKNOWN_MESSAGE }) => self.forget_meanwhile(id),
            Err(failure) => debug!(error = %failure, "a question could not be read again"),
        }
    }

    /// Whether a message is a further piece of a question of the same person; then it needs no answer of its own. One that replies to
    /// another message, begins a post, or speaks to others is none.
    pub(super) async fn joins(
        &self,
        message: &Message,
        verdict: Verdict,
        here: &Whereabouts,
        at: UnixMillis,
    ) -> bool {
        let Some(&me) = self.inner.me.get() else { return false };
        if !inbound::may_join(message, me, verdict) {
            return false;
        }
        match inbound::read(message, me, here, Trigger::Mention, at) {
            Some(more) => self.inner.chat.joins(&more).await,
            None => false,
        }
    }

    /// A message that is not for the bot is, when the same person called it just before and said nothing.
    pub(super) fn with_call(&self, message: &Message, me: UserId, verdict: Verdict) -> Verdict {
        let burst = self.inner.settings.chat.burst;
        let (channel, author) = (ChannelId(message.channel_id.get()), UserId(message.author.id.get()));
        let may_follow =
            !burst.is_zero() && verdict == Verdict::Ignore && inbound::may_join(message, me, verdict);
        let id = MessageId(message.id.get());
        if may_follow && self.inner.intake.follows_a_call(channel, author, id, burst) {
            return Verdict::Answer(Trigger::Mention);
        }
        verdict
    }

    /// What the message that a question replies to replied to, and so on, the nearest first.
    pub(super) async fn chain(&self, message: &Message, inbound: &Inbound) -> Vec<Quoted> {
        let Some(&me) = self.inner.me.get() else { return Vec::new() };
        let quoted = message.referenced_message.as_deref();
        let mut next = quoted.and_then(|it| before(it.message_reference.as_ref(), inbound.channel_id));
        let mut chain = Vec::new();
        let mut asked = 0;
        let follow = async {
            while let Some(id) = next.take().filter(|_| chain.len() < LONGEST_CHAIN) {
                if let Some((known, replied_to)) = self.inner.chat.remembered_reply(id).await {
                    next = replied_to;
                    chain.push(known);
                } else if asked < MOST_ASKED {
                    asked += 1;
                    let Ok(found) = self.inner.rest.message::<Message>(inbound.channel_id, id).await else {
                        break;
                    };
                    next = before(found.message_reference.as_ref(), inbound.channel_id);
                    chain.push(inbound::quote(&found, me));
                }
            }
        };
        // What there is by then is enough.
        let _ = timeout(CHAIN_WITHIN, follow).await;
        chain
    }
}

/// The message of the same channel that is referred to.
fn before(reference: Option<&MessageReference>, channel: ChannelId) -> Option<MessageId> {
    let reference = reference.filter(|it| it.channel_id.get() == channel.0)?;
    reference.message_id.map(|it| MessageId(it.get()))
}
