//! The parts of Discord's JSON that we write and read.

use super::ApplicationId;
use crate::message::{ChannelId, GuildId, MessageId, UserId};
use serde::{Deserialize, Deserializer, Serialize, de::DeserializeOwned};
use serde_json::Value;

/// Links in an answer get no preview: it would fetch what the model made up, and bury the text.
pub(super) const SUPPRESS_EMBEDS: u64 = 1 << 2;

/// Reads a body; none when it is not what it should be.
pub(super) fn json<T: DeserializeOwned>(body: &[u8]) -> Option<T> {
    serde_json::from_slice(body).ok()
}

/// Reads a list, without the items that cannot be read.
pub(super) fn list<T: DeserializeOwned>(body: &[u8]) -> Option<Vec<T>> {
    let items: Vec<Value> = json(body)?;
    Some(items.into_iter().filter_map(|it| serde_json::from_value(it).ok()).collect())
}

/// `{"parse": []}`: nobody is pinged. It must be on edits, too, or else Discord looks for mentions again.
#[derive(Debug, Serialize)]
pub(super) struct Nobody {
    parse: [(); 0],
}

/// See [`Nobody`].
pub(super) const NOBODY: Nobody = Nobody { parse: [] };

/// What a message shows.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Body<'a> {
    /// The text, at most 2,000 UTF-16 units.
    pub content: &'a str,
    /// Rows of buttons (Discord, *Component Reference*); none takes those away that are there.
    pub components: &'a [Value],
}

impl<'a> From<&'a str> for Body<'a> {
    fn from(content: &'a str) -> Self {
        Self { content, components: &[] }
    }
}

/// A new message.
#[derive(Serialize)]
pub(super) struct Draft<'a> {
    content: &'a str,
    #[serde(skip_serializing_if = "<[Value]>::is_empty")]
    components: &'a [Value],
    allowed_mentions: Nobody,
    flags: u64,
    nonce: &'a str,
    enforce_nonce: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    message_reference: Option<Reference>,
}

#[derive(Serialize)]
struct Reference {
    message_id: String,
    /// A question that was deleted meanwhile must not swallow its answer.
    fail_if_not_exists: bool,
}

impl<'a> Draft<'a> {
    pub(super) fn new(body: Body<'a>, reply_to: Option<MessageId>, nonce: &'a str) -> Self {
        let reference = |it: MessageId| Reference { message_id: it.to_string(), fail_if_not_exists: false };
        Self {
            content: body.content,
            components: body.components,
            allowed_mentions: NOBODY,
            flags: SUPPRESS_EMBEDS,
            nonce,
            enforce_nonce: true,
            message_reference: reply_to.map(reference),
        }
    }
}

/// What a message is to show from now on; also a follow-up to an interaction, which knows no nonce.
#[derive(Serialize)]
pub(super) struct Edit<'a> {
    content: &'a str,
    components: &'a [Value],
    allowed_mentions: Nobody,
    flags: u64,
}

impl<'a> Edit<'a> {
    /// `flags`: those the message has besides (Discord wants all of them each time).
    pub(super) fn new(body: Body<'a>, flags: u64) -> Self {
        Self {
            content: body.content,
            components: body.components,
            allowed_mentions: NOBODY,
            flags: flags | SUPPRESS_EMBEDS,
        }
    }
}

/// All that matters of something new: an answer with more in it than we know must not look like a failure.
#[derive(Deserialize)]
pub(super) struct Created {
    #[serde(deserialize_with = "id")]
    pub(super) id: MessageId,
}

/// A channel, thread, forum post or DM.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Channel {
    /// Its id.
    #[serde(deserialize_with = "id")]
    pub id: ChannelId,
    /// Discord's number for the kind: 0 text, 1 DM, 10 to 12 threads, 15 forum, 16 media.
    #[serde(rename = "type")]
    pub kind: u8,
    /// Its name or title; none for a DM.
    #[serde(default)]
    pub name: Option<String>,
    /// The server, none in a DM.
    #[serde(default, deserialize_with = "id_if_any")]
    pub guild_id: Option<GuildId>,
    /// The channel or forum that a thread or post belongs to; a channel's category.
    #[serde(default, deserialize_with = "id_if_any")]
    pub parent_id: Option<ChannelId>,
    /// Who began a thread or post.
    #[serde(default, deserialize_with = "id_if_any")]
    pub owner_id: Option<UserId>,
    /// The newest message, which may have been deleted.
    #[serde(default, deserialize_with = "id_if_any")]
    pub last_message_id: Option<MessageId>,
    /// A forum's tags.
    #[serde(default)]
    pub available_tags: Vec<Tag>,
    /// The ids of a post's tags.
    #[serde(default)]
    pub applied_tags: Vec<String>,
    /// A thread's state; none for what is no thread.
    #[serde(default)]
    pub thread_metadata: Option<ThreadState>,
}

/// A tag of a forum.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Tag {
    /// Its id, as in [`Channel::applied_tags`].
    pub id: String,
    /// What people read.
    pub name: String,
}

/// Whether one can write in a thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub struct ThreadState {
    /// Put away: a message brings it back, an edit fails.
    #[serde(default)]
    pub archived: bool,
    /// Closed by a moderator.
    #[serde(default)]
    pub locked: bool,
}

/// Where the gateway is.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct GatewayBot {
    /// `wss://…`.
    pub url: String,
    /// How many connections Discord recommends.
    #[serde(default)]
    pub shards: Option<u32>,
    /// How often a session may begin.
    #[serde(default)]
    pub session_start_limit: Option<SessionStarts>,
}

/// How often a session may begin. When the day's starts are used up, Discord resets the token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub struct SessionStarts {
    /// Starts left.
    pub remaining: u32,
    /// Milliseconds until the number is full again.
    pub reset_after: u64,
}

/// The bot's own account.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Me {
    /// Its id.
    #[serde(deserialize_with = "id")]
    pub id: UserId,
    /// Its name.
    pub username: String,
}

/// The bot's application.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Application {
    /// Its id; not always the bot's.
    #[serde(deserialize_with = "id")]
    pub id: ApplicationId,
    /// What it was granted.
    #[serde(default)]
    pub flags: u64,
}

impl Application {
    /// Whether it may read messages that neither mention it nor come by DM; otherwise the gateway closes with 4014 when
    /// the bot asks for them.
    #[must_use]
    pub fn may_read_messages(&self) -> bool {
        const MESSAGE_CONTENT: u64 = 1 << 18;
        const MESSAGE_CONTENT_LIMITED: u64 = 1 << 19;
        self.flags & (MESSAGE_CONTENT | MESSAGE_CONTENT_LIMITED) != 0
    }
}

/// A command as Discord has it now.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Registered {
    /// Its id, with which a text can name it: `</name:id>`.
    pub id: String,
    /// Its name.
    pub name: String,
}

/// Discord sends ids as strings, because JavaScript's numbers are too short for them; proxies sometimes send numbers.
#[derive(Deserialize)]
#[serde(untagged)]
enum Snowflake {
    Text(String),
    Number(u64),
}

/// What an id in JSON becomes.
trait Id: Sized {
    fn of(number: u64) -> Self;
}

macro_rules! ids {
    ($($id:ident),*) => {
        $(impl Id for $id {
            fn of(number: u64) -> Self {
                Self(number)
            }
        })*
    };
}

ids!(ApplicationId, ChannelId, GuildId, MessageId, UserId);

fn id<'de, T: Id, D: Deserializer<'de>>(it: D) -> Result<T, D::Error> {
    match Snowflake::deserialize(it)? {
        Snowflake::Text(it) => it.parse().map(T::of).map_err(serde::de::Error::custom),
        Snowflake::Number(it) => Ok(T::of(it)),
    }
}

fn id_if_any<'de, T: Id, D: Deserializer<'de>>(it: D) -> Result<Option<T>, D::Error> {
    #[derive(Deserialize)]
    #[serde(bound = "T: Id")]
    struct Given<T>(#[serde(deserialize_with = "id")] T);
    Ok(Option::<Given<T>>::deserialize(it)?.map(|it| it.0))
}
