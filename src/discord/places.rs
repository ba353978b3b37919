//! What the bot knows of channels, threads and forum posts: told by the gateway, looked up where it was not.

use super::{
    permissions::{Access, Rights},
    rest::{Channel, Rest, RestError},
};
use crate::message::{ChannelId, GuildId, Place, UnixMillis, UserId};
use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

/// So many places are remembered; beyond that, the memory is emptied and filled anew by look-ups. A place takes some 200 bytes.
const REMEMBERED: usize = 50_000;

/// Discord's channel types that matter here (Discord, *Channel Types*).
mod kind {
    pub(super) const DM: u8 = 1;
    pub(super) const ANNOUNCEMENT_THREAD: u8 = 10;
    pub(super) const PUBLIC_THREAD: u8 = 11;
    pub(super) const PRIVATE_THREAD: u8 = 12;
    pub(super) const FORUM: u8 = 15;
    pub(super) const MEDIA: u8 = 16;
}

/// Where something was said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Whereabouts {
    /// What sort of place it is.
    pub(crate) place: Place,
    /// The channel or forum above a thread or post.
    pub(crate) parent: Option<ChannelId>,
    /// The title of a thread or post.
    pub(crate) title: String,
    /// A post's tags, by name.
    pub(crate) tags: Vec<String>,
}

/// All known places.
#[derive(Debug, Default)]
pub(crate) struct Places {
    known: Mutex<HashMap<ChannelId, Channel>>,
    /// What the bot may do where.
    pub(crate) rights: Rights,
}

impl Places {
    /// The gateway or REST told of a place.
    pub(crate) fn learn(&self, channel: Channel) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= REMEMBERED {
            known.clear();
        }
        known.insert(channel.id, channel);
    }

    /// A place is gone.
    pub(crate) fn forget(&self, channel: ChannelId) {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).remove(&channel);
    }

    /// Where `channel` is; asks Discord if nobody told.
    pub(crate) async fn find(&self, rest: &Rest, channel: ChannelId) -> Result<Whereabouts, RestError> {
        let here = self.channel(rest, channel).await?;
        let parent = match here.parent_id {
            Some(parent) if is_thread(here.kind) => self.channel(rest, parent).await.ok(),
            Some(_) | None => None,
        };
        Ok(whereabouts(&here, parent.as_ref()))
    }

    /// What the bot `me` may do in a channel or thread; none when the gateway did not tell enough.
    pub(crate) fn access(
        &self,
        guild: GuildId,
        channel: ChannelId,
        me: UserId,
        now: UnixMillis,
    ) -> Option<Access> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner).get(&channel).cloned()?;
        let is_thread = is_thread(known.kind);
        let above = known.parent_id.filter(|_| is_thread).unwrap_or(channel);
        let may = self.rights.may(guild, above, me, now)?;
        let has_threads_only = matches!(known.kind, kind::FORUM | kind::MEDIA);
        let is_locked = known.thread_metadata.is_some_and(|it| it.locked);
        Some(Access { may, is_thread: is_thread || has_threads_only, is_locked })
    }

    async fn channel(&self, rest: &Rest, channel: ChannelId) -> Result<Channel, RestError> {
        if let Some(known) = self.known.lock().unwrap_or_else(PoisonError::into_inner).get(&channel) {
            return Ok(known.clone());
        }
        let found = rest.channel(channel).await?;
        self.learn(found.clone());
        Ok(found)
    }
}

fn is_thread(kind: u8) -> bool {
    matches!(kind, kind::ANNOUNCEMENT_THREAD | kind::PUBLIC_THREAD | kind::PRIVATE_THREAD)
}

/// What a channel and the one above it say together (pure).
fn whereabouts(here: &Channel, parent: Option<&Channel>) -> Whereabouts {
    let is_forum = parent.is_some_and(|it| matches!(it.kind, kind::FORUM | kind::MEDIA));
    let place = match here.kind {
        kind::DM => Place::Dm,
        it if is_thread(it) && is_forum => Place::ForumPost,
        it if is_thread(it) => Place::Thread,
        _ => Place::Channel,
    };
    let tags = parent.map(|it| it.available_tags.as_slice()).unwrap_or_default();
    let tags = tags.iter().filter(|tag| here.applied_tags.contains(&tag.id)).map(|tag| tag.name.clone());
    Whereabouts {
        place,
        parent: here.parent_id,
        title: here.name.clone().unwrap_or_default(),
        tags: tags.collect(),
    }
}
