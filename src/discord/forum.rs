//! When the bot holds back in a forum post: it is solved, or a person helps there.
//!
//! **The problem.** In a forum people help people; a bot that answers every line talks into that. **The rule.** What does not
//! call the bot is left alone in a post that is solved, and from the moment on when somebody other than the post's author
//! writes there without calling it (`chat.quiet_when_helped`). A mention or a reply to the bot is answered all the same. **The
//! limits.** Who helps and who has the same question can't be told apart.

use super::{Door, places::Whereabouts};
use crate::message::{ChannelId, Place, UnixMillis, UserId};
use serenity::all::Message;

impl Door {
    /// Whether a message that does not call the bot is left to the people of the post.
    pub(super) async fn leaves_it_to_people(
        &self,
        message: &Message,
        here: &Whereabouts,
        at: UnixMillis,
    ) -> bool {
        if here.place != Place::ForumPost {
            return false;
        }
        let (chat, post) = (&self.inner.chat, ChannelId(message.channel_id.get()));
        if chat.is_quiet_in(post).await {
            return true;
        }
        if !self.inner.settings.chat.quiet_when_helped {
            return false;
        }
        let channel = self.inner.places.channel(&self.inner.rest, post).await.ok();
        let owner = channel.and_then(|it| it.owner_id);
        // Where nobody knows who opened the post, nobody is taken for a helper.
        let is_helper = owner.is_some_and(|it| it != UserId(message.author.id.get()));
        if is_helper {
            chat.leave_to_people(post, at).await;
        }
        is_helper
    }
}

#[cfg(test)]
mod tests {
    use crate::discord::{places::is_forum, rest::Channel};

    #[test]
    fn posts_are_written_in_forums_and_media_channels() {
        let channel = |kind: u8| -> Channel {
            serde_json::from_value(serde_json::json!({"id": "1", "type": kind})).unwrap()
        };
        let forums: Vec<u8> = (0..=16).filter(|it| is_forum(&channel(*it))).collect();
        assert_eq!(forums, [15, 16]);
    }
}
