//! What the conversations know of the time when nobody listened: how far it was heard before, and what was left undone.

use super::{Chat, wording};
pub use crate::store::{Mark, Recent, Unfinished};
use crate::{
    message::{ChannelId, MessageId, TurnId, UnixMillis},
    store::{End, StoreError},
};
use std::{collections::HashSet, time::Duration};
use tracing::{error, info, warn};

impl Chat {
    /// How far the gateway was heard before this process.
    pub async fn marks(&self) -> Vec<Mark> {
        or_none("how far the gateway was heard", self.store.marks().await)
    }

    /// Keeps how far the gateway was heard. False when the store did not take it.
    pub async fn keep_marks(&self, marks: &[Mark], at: UnixMillis) -> bool {
        let kept = self.store.keep_marks(marks, at).await;
        if let Err(failure) = &kept {
            warn!(error = %failure, "how far the gateway was heard could not be stored; after a crash more is looked at again");
        }
        kept.is_ok()
    }

    /// The process begins to serve: how many starts in a row before it came to nothing.
    pub async fn begin_start(&self, at: UnixMillis) -> u32 {
        or_none("how the starts before this one went", self.store.begin_start(at).await)
    }

    /// The process has been of use, or ends as it should.
    pub async fn start_went_well(&self) {
        or_none("that this start went well", self.store.start_went_well().await);
    }

    /// Where the bot has spoken lately.
    pub async fn recent_places(&self) -> Recent {
        or_none("where the bot has spoken", self.store.recent_places().await)
    }

    /// Those of `messages` that are taken care of.
    pub async fn claimed(&self, messages: &[MessageId]) -> HashSet<MessageId> {
        or_none("which messages were taken", self.store.claimed(messages).await)
    }

    /// The message since which the bot takes part in a conversation.
    pub async fn ours_since(&self, channel: ChannelId) -> Option<MessageId> {
        or_none("since when a conversation is ours", self.store.first_claim(channel).await)
    }

    /// The turns of processes before that are too old to be answered now.
    pub async fn overdue(&self, now: UnixMillis) -> Vec<Unfinished> {
        let (oldest, oldest_queued) = self.oldest(now);
        or_none("which turns are too old", self.store.overdue(oldest, oldest_queued).await)
    }

    /// People know that this turn is not answered any more: closes it.
    pub async fn expire(&self, turn: &TurnId, now: UnixMillis) {
        self.metrics.turn_ended(End::Expired.as_str());
        or_none("that a turn is too old", self.store.finish(turn, &End::Expired, now).await);
    }

    /// Closes the turns that are too old and that nobody can be told about.
    pub async fn expire_others(&self, now: UnixMillis) {
        let (oldest, oldest_queued) = self.oldest(now);
        let expired = self.store.expire_unfinished(oldest, oldest_queued, now).await;
        let expired = or_none("which turns are too old", expired);
        if expired > 0 {
            info!(expired, "turns were too old to be told about");
        }
    }

    /// What people are told whose question is too old to be answered by itself.
    #[must_use]
    pub fn too_late(&self, turn: &TurnId) -> String {
        wording::too_late(turn)
    }

    /// The last line under an answer that was never finished.
    #[must_use]
    pub fn left_half(&self, turn: &TurnId) -> String {
        wording::left_half(turn)
    }

    /// What people are told when more was missed than is answered.
    #[must_use]
    pub fn more_was_missed(&self) -> String {
        wording::MORE_WAS_MISSED.to_owned()
    }
}

/// A duration as people say it: `30 seconds`, `2 minutes`.
#[must_use]
pub fn lasting(duration: Duration) -> String {
    wording::about(duration)
}

/// What the store says; when it can't, nothing, and the log has the cause.
fn or_none<T: Default>(what: &str, said: Result<T, StoreError>) -> T {
    said.unwrap_or_else(|failure| {
        error!(error = %failure, "the store could not be asked, or told, {what}");
        T::default()
    })
}
