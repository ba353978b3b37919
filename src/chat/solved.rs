//! When the bot leaves a forum post, or a conversation's past, alone.

use super::Chat;
use crate::{
    message::{ChannelId, ConversationId, Place, UnixMillis, UserId},
    store::{Quiet, StoreError},
};
use tracing::error;

impl Chat {
    /// Whether the bot speaks in a post only when it is called: it is solved, or a person helps there.
    pub async fn is_quiet_in(&self, post: ChannelId) -> bool {
        let why = self.store.quiet_in(post).await.unwrap_or_else(|failure| {
            error!(error = %failure, "could not look up whether a post is solved");
            None
        });
        why.is_some()
    }

    /// Whether a post is marked as solved.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn is_solved(&self, post: ChannelId) -> Result<bool, StoreError> {
        Ok(self.store.quiet_in(post).await? == Some(Quiet::Solved))
    }

    /// A post is solved. Says whether that is new.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub async fn solve(&self, post: ChannelId, at: UnixMillis) -> Result<bool, StoreError> {
        self.store.be_quiet_in(post, Quiet::Solved, at).await
    }

    /// A person helps in a post: the bot holds back from now on.
    pub async fn leave_to_people(&self, post: ChannelId, at: UnixMillis) {
        if let Err(failure) = self.store.be_quiet_in(post, Quiet::Helped, at).await {
            error!(error = %failure, "could not note that a person helps in a post");
        }
    }

    /// Whether somebody may make the bot forget a conversation: in a shared channel moderators, and who is the only one that
    /// it remembers there; in direct messages, threads and posts everybody who is there.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn may_reset(
        &self,
        channel: ChannelId,
        place: Place,
        user: UserId,
        is_moderator: bool,
    ) -> Result<bool, StoreError> {
        match place {
            Place::Dm | Place::Thread | Place::ForumPost => Ok(true),
            Place::Channel if is_moderator => Ok(true),
            Place::Channel => Ok(!self.store.others_spoke(ConversationId(channel), user).await?),
        }
    }
}
