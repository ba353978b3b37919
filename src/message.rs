//! Plain data that travels: who said what and where, what a provider is asked, and what people are shown.

use serde::{Deserialize, Serialize};
use serde_json::{Value, value::RawValue};
use std::{collections::BTreeMap, fmt, ops::Range, sync::Arc, time::Duration};

macro_rules! snowflake {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub struct $name(pub u64);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

snowflake!(
    /// A person or a bot.
    UserId
);
snowflake!(
    /// A channel, a thread, a forum post or a DM.
    ChannelId
);
snowflake!(
    /// A message. Discord's ids grow with time, so that comparing two of one channel compares their age.
    MessageId
);
snowflake!(
    /// A server.
    GuildId
);

impl MessageId {
    /// The first millisecond that an id can tell: that of 2015 (<https://discord.com/developers/docs/reference#snowflakes>).
    const EPOCH: UnixMillis = UnixMillis(1_420_070_400_000);
    /// An id's lower bits tell those of one millisecond apart; the bits above them count milliseconds since [`Self::EPOCH`].
    const BITS_BELOW: u32 = 22;

    /// When it was said, by Discord's clock.
    #[must_use]
    pub fn said_at(self) -> UnixMillis {
        Self::EPOCH.plus(Duration::from_millis(self.0 >> Self::BITS_BELOW))
    }

    /// The smallest id that a message of this moment, or a later one, can have.
    #[must_use]
    pub fn first_at(at: UnixMillis) -> Self {
        Self(above(at.since(Self::EPOCH)))
    }

    /// The id of a message that was said so much earlier.
    #[must_use]
    pub fn minus(self, earlier: Duration) -> Self {
        Self(self.0.saturating_sub(above(earlier)))
    }
}

/// The upper bits of an id: so many milliseconds.
fn above(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX) << MessageId::BITS_BELOW
}

/// Where memory lives: a DM, channel, thread or forum post, by the id Discord gives that place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ConversationId(pub ChannelId);

impl fmt::Display for ConversationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// One message and its answer: ten characters a person can read out, also the id under an error message.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TurnId(pub String);

impl TurnId {
    /// Draws an id: 50 random bits in Crockford's base 32 (no i, l, o, u, so that it can be read aloud).
    pub fn random(rng: &mut fastrand::Rng) -> Self {
        const DIGITS: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
        Self((0..10).map(|_| char::from(DIGITS[rng.usize(0..32)])).collect())
    }
}

impl fmt::Display for TurnId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A moment: UTC milliseconds since 1970, as everywhere in the store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct UnixMillis(pub i64);

impl UnixMillis {
    const DAY: i64 = 24 * 60 * 60 * 1000;

    /// Reads the clock. Only doors call it (an event arrives, a command is typed); everything behind them is told the time.
    #[must_use]
    pub fn now() -> Self {
        #[expect(clippy::disallowed_methods, reason = "the one place where the wall clock is read")]
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        Self(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }

    /// The UTC day that it belongs to, counted from 1970.
    #[must_use]
    pub fn day(self) -> i64 {
        self.0.div_euclid(Self::DAY)
    }

    /// The beginning of its UTC day.
    #[must_use]
    pub fn start_of_day(self) -> Self {
        Self(self.day() * Self::DAY)
    }

    /// The moment `later` after this one.
    #[must_use]
    pub fn plus(self, later: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(later.as_millis()).unwrap_or(i64::MAX)))
    }

    /// The moment `earlier` before this one.
    #[must_use]
    pub fn minus(self, earlier: Duration) -> Self {
        Self(self.0.saturating_sub(i64::try_from(earlier.as_millis()).unwrap_or(i64::MAX)))
    }

    /// How long after `earlier` this moment is; zero when it is not after it.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

/// What sort of place a conversation lives in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Place {
    /// A direct message.
    Dm,
    /// A text channel.
    Channel,
    /// A thread below a text channel.
    Thread,
    /// A post in a forum.
    ForumPost,
}

/// Why the bot takes a message as meant for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Trigger {
    /// It was mentioned.
    Mention,
    /// Somebody replied to one of its messages.
    Reply,
    /// A direct message.
    Dm,
    /// A message in a thread that it was asked into.
    Thread,
    /// A message in one of the configured channels.
    Channel,
    /// A post in one of the configured forums, or a message in such a post.
    Forum,
    /// `/ask`.
    Command,
}

/// Who speaks.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Speaker {
    /// Discord's id.
    pub id: UserId,
    /// The name that people see.
    pub name: String,
}

/// A message that the bot has to answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inbound {
    /// The message's id; for `/ask` the interaction's. A turn is claimed by it, so that it is answered once.
    pub message_id: MessageId,
    /// Where it was said, and where the answer goes.
    pub channel_id: ChannelId,
    /// The server, none in a DM.
    pub guild_id: Option<GuildId>,
    /// What sort of place that is.
    pub place: Place,
    /// Why it is answered.
    pub trigger: Trigger,
    /// Who said it.
    pub author: Speaker,
    /// What was said, without the mention that called the bot.
    pub text: String,
    /// The message it replies to.
    pub replied_to: Option<Quoted>,
    /// What the thread or forum post is about, when the message was said in one.
    pub opening: Option<Opening>,
    /// What goes with it beside its text.
    pub beside: Beside,
    /// When the bot saw it.
    pub received_at: UnixMillis,
    /// The provider the person asked for by name (`/ask provider:`): it comes first, the others stay behind it.
    pub wish: Option<String>,
}

impl Inbound {
    /// Where this message's memory lives.
    #[must_use]
    pub fn conversation(&self) -> ConversationId {
        ConversationId(self.channel_id)
    }
}

/// A message that another one points at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quoted {
    /// Its id.
    pub message_id: MessageId,
    /// Who said it.
    pub author: Speaker,
    /// Whether the bot itself said it.
    pub by_bot: bool,
    /// What it says.
    pub text: String,
}

/// What goes with a question beside its text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Beside {
    /// What the quoted message replied to, and so on, the nearest first.
    pub chain: Vec<Quoted>,
    /// The files of the message, then those of the one it replies to.
    pub files: Vec<Attachment>,
}

/// A file that somebody attached to a message.
#[derive(Clone, PartialEq, Eq)]
pub struct Attachment {
    /// Its name.
    pub name: String,
    /// Its bytes, as Discord says.
    pub size: u64,
    /// Where it is for now: such addresses end, so that they are never stored.
    pub url: Option<String>,
}

impl fmt::Debug for Attachment {
    /// Neither what people call it nor where it is.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a file of {} bytes", self.size)
    }
}

/// What a thread or a forum post is about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Opening {
    /// The thread's or post's title.
    pub title: String,
    /// The post's tags, by name.
    pub tags: Vec<String>,
    /// The message that it began with, when the bot may read it.
    pub starter: Option<Quoted>,
}

/// Which side of the conversation a line is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// A person.
    User,
    /// The bot.
    Assistant,
}

/// One line of a conversation.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Line {
    /// Who is speaking.
    pub role: Role,
    /// The person's name, so that several can be told apart; none for the bot.
    pub speaker: Option<String>,
    /// What was said.
    pub text: String,
}

/// What a provider is asked: the same for every dialect.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Prompt {
    /// Who the bot is, and what it must know of the place it speaks in; empty for none.
    pub system: String,
    /// The conversation, oldest first; the last line is the question.
    pub lines: Vec<Line>,
    /// The most tokens the answer may have.
    pub reply_tokens: u32,
    /// Pictures that belong to the last line.
    pub images: Vec<Image>,
    /// The places of the lines that may be left out, the oldest first, where a provider's window is too small for all.
    pub loose: Range<usize>,
    /// What a program asked through the router API, in OpenAI's words, for the dialects that can say it as it is: tools,
    /// pictures and parameters are in here only. None for a question from Discord.
    pub request: Option<Arc<Request>>,
}

/// A picture, as vendors want it.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Image {
    /// Its sort, such as `image/png`.
    pub media_type: String,
    /// Its bytes in base 64, with padding.
    pub base64: Arc<str>,
}

impl fmt::Debug for Image {
    /// What people send is not shown.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} in {} bytes of base 64", self.media_type, self.base64.len())
    }
}

/// The body of a `POST /v1/chat/completions`, without `model`, `stream` and `stream_options`, which are the router's. Each
/// parameter is as it was written: models go by the order of a schema's properties, and no digit of a number is lost.
#[derive(Clone, Deserialize)]
pub struct Request(pub BTreeMap<String, Box<RawValue>>);

impl Request {
    /// A parameter, read; none if it is not there.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<Value> {
        serde_json::from_str(self.0.get(name)?.get()).ok()
    }

    /// All parameters by name, with their JSON.
    pub fn parameters(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.get()))
    }
}

impl PartialEq for Request {
    fn eq(&self, other: &Self) -> bool {
        self.parameters().eq(other.parameters())
    }
}

impl Eq for Request {}

impl fmt::Debug for Request {
    /// What people say is not shown.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// A part of a model's wish to call a tool of the program that asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ToolCall {
    /// Which of the answer's calls it belongs to, from 0.
    pub index: u32,
    /// The call's id; in its first part.
    pub id: Option<String>,
    /// The tool's name; in its first part.
    pub name: Option<String>,
    /// More of the arguments' JSON.
    pub arguments: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_messages_tell_their_time() {
        // The example of Discord's own documentation.
        let id = MessageId(175_928_847_299_117_063);
        let at = UnixMillis(1_462_015_105_796);
        assert_eq!(id.said_at(), at);
        let first = MessageId::first_at(at);
        assert_eq!(first.0, id.0 & !0x3F_FFFF);
        assert_eq!((first.said_at(), MessageId(first.0 - 1).said_at()), (at, UnixMillis(at.0 - 1)));
        assert_eq!(MessageId::first_at(UnixMillis(0)), MessageId(0), "before there were any");
    }

    #[test]
    fn an_earlier_id_keeps_its_lower_bits() {
        let id = MessageId(175_928_847_299_117_063);
        let earlier = id.minus(Duration::from_secs(10));
        assert_eq!(id.said_at().since(earlier.said_at()), Duration::from_secs(10));
        assert_eq!(id.0 & 0x3F_FFFF, earlier.0 & 0x3F_FFFF);
        assert_eq!(MessageId(7).minus(Duration::from_secs(10)), MessageId(0));
    }
}
