//! What people change about a question while it is answered, or later.
//!
//! **The problem.** People send a thought in pieces, correct it, and take it back; a bot that answers what was meant two
//! seconds ago, or keeps what was deleted, is a bad listener. **The rule.** A further message of the asker within
//! `chat.burst` joins the question while nothing was shown; other words begin the turn anew in the same messages; a deleted question
//! ends the turn and takes question and answer out of memory and off the channel. What is claimed or forgotten is in the store before
//! anything else happens. **The limits.** A turn begins anew five times at most. What was deleted while the bot was away is
//! noticed only for turns that had not ended.

use super::Chat;
use crate::{
    message::{Attachment, ChannelId, Inbound, MessageId, Quoted, Role, Speaker, TurnId, UnixMillis, UserId},
    store::{Rewritten, StoredLine},
};
use std::time::Duration;
use tokio::time::timeout;
use tracing::{debug, error};

/// A turn that nobody wants any more ends within this time: the last post may be waiting for Discord.
const ENDS_WITHIN: Duration = Duration::from_secs(90);

/// The messages that showed an answer to a question that is gone.
#[derive(Debug)]
pub struct Retraction {
    /// The turn.
    pub turn: TurnId,
    /// The messages, with their channel.
    pub messages: Vec<(ChannelId, MessageId)>,
}

impl Chat {
    /// Whether a message is a further piece of a question of the same person that is being answered; then it is one now.
    pub async fn joins(&self, more: &Inbound) -> bool {
        let burst = self.settings.burst;
        let Some((turn, handle)) = (!burst.is_zero()).then(|| self.under_way.open_to(more, burst)).flatten()
        else {
            return false;
        };
        match self.store.join(&turn, more).await {
            Ok(true) if handle.add(more) => {
                debug!(%turn, "a further message joined the question");
                true
            }
            Ok(true) => {
                if let Err(failure) = self.store.unjoin(&turn, more.message_id).await {
                    error!(%turn, error = %failure, "a message came too late for its turn and could not be given its own");
                }
                false
            }
            Ok(false) => false,
            Err(failure) => {
                error!(%turn, error = %failure, "a further message could not be claimed");
                false
            }
        }
    }

    /// A message has other words: memory gets them, and a turn that answers it begins anew. Says whether it was known.
    pub async fn edited(&self, message: MessageId, text: &str) -> bool {
        match self.store.rewrite_message(message, text).await {
            Ok(Rewritten::Unknown) => false,
            Ok(Rewritten::Same | Rewritten::Changed { running: None }) => true,
            Ok(Rewritten::Changed { running: Some((turn, question)) }) => {
                if let Some(handle) = self.under_way.turn(&turn) {
                    handle.reword(&question);
                }
                true
            }
            Err(failure) => {
                error!(error = %failure, "an edited message could not be remembered as it is now");
                true
            }
        }
    }

    /// Where the files of a question are, for a turn that was taken up from the store.
    pub fn found_files(&self, question: MessageId, files: Vec<Attachment>) {
        if let Some(handle) = self.under_way.answering(question) {
            handle.find_files(files);
        }
    }

    /// A message was deleted: it is forgotten, and a turn that answers it ends. Gives the messages of the answer that are to be
    /// deleted with it, once nothing is added to them any more.
    pub async fn deleted(&self, message: MessageId, at: UnixMillis) -> Option<Retraction> {
        let asked = self.under_way.answering(message);
        if let Some(handle) = &asked {
            handle.give_up();
        }
        let forgotten = self.store.forget_message(message, at).await;
        let turn = match forgotten {
            Ok(forgotten) => forgotten.question_of?,
            Err(failure) => {
                error!(error = %failure, "a deleted message could not be forgotten");
                return None;
            }
        };
        if let Some(handle) = asked.or_else(|| self.under_way.turn(&turn)) {
            handle.give_up();
            // When it takes longer, the next start deletes what is left.
            timeout(ENDS_WITHIN, handle.ended()).await.ok()?;
        }
        self.retractions(Some(&turn)).await.pop()
    }

    /// Answers whose messages are to be deleted still: of one turn, or all, after a restart.
    pub async fn retractions(&self, of: Option<&TurnId>) -> Vec<Retraction> {
        let rows = self.store.retractions(of).await.unwrap_or_else(|failure| {
            error!(error = %failure, "could not look for answers to deleted questions");
            Vec::new()
        });
        let mut found: Vec<Retraction> = Vec::new();
        for (turn, channel, message) in rows {
            match found.last_mut().filter(|it| it.turn == turn) {
                Some(last) => last.messages.push((channel, message)),
                None => found.push(Retraction { turn, messages: vec![(channel, message)] }),
            }
        }
        found
    }

    /// The messages of an answer were deleted.
    pub async fn retracted(&self, turn: &TurnId) {
        if let Err(failure) = self.store.retracted(turn).await {
            error!(%turn, error = %failure, "a deleted answer could not be noted; it is looked for again after the next start");
        }
    }

    /// A message that is remembered, and the one that it replies to.
    pub async fn remembered_reply(&self, message: MessageId) -> Option<(Quoted, Option<MessageId>)> {
        let line = self.store.find(message).await.ok()??;
        let before = line.replied_to;
        Some((quoted(message, line), before))
    }

    /// What the bot is called, so that nobody else is in a prompt.
    pub fn is_called(&self, name: &str) {
        let _ = self.name.set(name.to_owned());
    }
}

fn quoted(message_id: MessageId, line: StoredLine) -> Quoted {
    let author =
        Speaker { id: line.author_id.unwrap_or(UserId(0)), name: line.author_name.unwrap_or_default() };
    Quoted { message_id, author, by_bot: line.role == Role::Assistant, text: line.text }
}
