//! An embedded Discord on loopback: a gateway, REST v10, and people who speak, click and look.
//!
//! What is simulated is what a chat bot meets: servers with text channels, forums, threads and DMs, roles and overwrites,
//! messages with mentions, replies, files and buttons, slash commands, rate limits, and every way in which a connection
//! dies. What is not: voice, webhooks of servers, audit logs, polls, stickers, several bots. `rest/routes.rs` lists the calls.
//!
//! Three sides look at one `World`: the bot over `gateway.rs` and `rest.rs`; people through the methods of [`Discord`]
//! (`people.rs`) and the chat page (`page.rs`); and whoever watches the play (`watching.rs`).

mod commands;
mod compose;
mod errors;
mod gateway;
mod interactions;
mod json;
mod limits;
mod mentions;
mod messages;
mod page;
mod people;
mod permissions;
mod rest;
mod session;
mod slash;
mod threads;
pub(crate) mod time;
mod watching;
mod weather;
mod world;

#[cfg(test)]
mod tests;

pub use permissions::bits;
pub use weather::Weather;

use std::{
    fmt, io, net::Ipv4Addr, sync::Arc, sync::Mutex, sync::MutexGuard, sync::PoisonError, time::Duration,
};
use tokio::{net::TcpListener, sync::watch};
use world::World;

/// How the embedded Discord behaves.
#[derive(Clone)]
pub struct Options {
    /// The bot's token; any other is refused (REST 401, gateway 4004).
    pub token: String,
    /// Whether the application was granted the message content intent. Without it, asking for it closes with 4014, and
    /// messages that are not to the bot come without content, over REST too.
    pub message_content: bool,
    /// What HELLO asks for between two heartbeats. Discord asks for 41.25 s.
    pub heartbeat: Duration,
    /// Whether rate limits apply (5 messages and 5 edits in 5 s per channel, 50 calls a second in all).
    pub limits: bool,
    /// The port of REST and the chat page; none for any free one.
    pub port: Option<u16>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            token: "sim.token.of-the-embedded-discord".into(),
            message_content: true,
            heartbeat: Duration::from_millis(41_250),
            limits: true,
            port: None,
        }
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("message_content", &self.message_content)
            .field("heartbeat", &self.heartbeat)
            .field("limits", &self.limits)
            .field("port", &self.port)
            .finish_non_exhaustive()
    }
}

/// Somebody's id and name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserRef {
    /// Discord's id.
    pub id: u64,
    /// The name that people see.
    pub name: String,
}

/// A message as people see it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shown {
    /// Its id.
    pub id: u64,
    /// The channel, thread, post or DM it is in.
    pub channel: u64,
    /// Who said it, by name.
    pub author: String,
    /// Whether a bot said it (`author` tells which).
    pub bot: bool,
    /// What it says now; mentions are still `<@id>`, see [`Discord::readable`].
    pub content: String,
    /// The message it replies to.
    pub reply_to: Option<u64>,
    /// What it said before each edit, oldest first.
    pub history: Vec<String>,
    /// Who was notified by it, by name; `@everyone` and `@here` as such.
    pub pinged: Vec<String>,
    /// Whether only one person sees it.
    pub ephemeral: bool,
    /// Who that person is.
    pub only_for: Option<String>,
    /// Whether it was deleted.
    pub deleted: bool,
    /// Names of attached files; [`Discord::file`] has their bytes.
    pub attachments: Vec<String>,
    /// Whether links in it show no preview.
    pub embeds_suppressed: bool,
    /// Whether it is an answer that was only announced so far ("is thinking…").
    pub thinking: bool,
    /// Its buttons and menus: custom id, and label or else emoji.
    pub buttons: Vec<(String, String)>,
    /// Reactions: emoji, and how many people gave it.
    pub reactions: Vec<(String, usize)>,
    /// The interaction it answers.
    pub interaction: Option<u64>,
    /// Whether its sender asked for no notification (`SUPPRESS_NOTIFICATIONS`).
    pub silent: bool,
}

/// What sort of place a channel is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlaceKind {
    /// A text channel of a server.
    Text,
    /// A forum.
    Forum,
    /// A thread below a text channel.
    Thread,
    /// A post in a forum.
    Post,
    /// A direct message with the bot.
    Dm,
}

/// A channel, thread, post or DM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlaceInfo {
    /// Its id.
    pub id: u64,
    /// The channel's name, the thread's title, or the person's name for a DM.
    pub name: String,
    /// What sort of place it is.
    pub kind: PlaceKind,
    /// The channel or forum it is below.
    pub parent: Option<u64>,
    /// The server; none for a DM.
    pub guild: Option<u64>,
    /// A post's tags, by name.
    pub tags: Vec<String>,
    /// Whether it is archived.
    pub archived: bool,
}

/// A slash or context command that somebody ran.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invocation {
    /// The interaction's id.
    pub id: u64,
    /// Where it was run.
    pub channel: u64,
    /// Who ran it.
    pub person: String,
    /// What was typed.
    pub line: String,
    /// Whether the bot acknowledged it.
    pub acknowledged: bool,
}

/// Something that happens to the gateway. All but `Refuse` concern the connections there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GatewayFault {
    /// The connection ends without a close frame (FIN).
    Drop,
    /// The connection is reset (RST).
    Reset,
    /// Op 7: the client is asked to reconnect and resume.
    Reconnect,
    /// Op 9.
    InvalidSession {
        /// Whether the session survives.
        resumable: bool,
    },
    /// A close frame with this code. 4006, 4007 and 4009 also end the session.
    Close(u16),
    /// True: the connections freeze, nothing is read, sent or acknowledged; false: they go on.
    Zombie(bool),
    /// True: new connections are reset at once, until false.
    Refuse(bool),
}

/// What happens to a REST call.
#[derive(Clone, Debug, PartialEq)]
pub enum RestEffect {
    /// This status, and nothing is done.
    Status(u16),
    /// 429 with this wait, and nothing is done.
    RateLimited {
        /// How long to wait.
        retry_after: Duration,
        /// Whether the bot as a whole is limited.
        global: bool,
    },
    /// 429 with this wait, of the limit that all share who call there (`shared`), and nothing is done.
    SharedLimit {
        /// How long to wait.
        retry_after: Duration,
    },
    /// The call is done this much later.
    Delay(Duration),
    /// The call is done, and the connection is closed without an answer.
    Lost,
    /// The connection is reset before anything is done.
    Reset,
    /// The call is done, and what comes back is not what Discord says (HTML with 200).
    Garbled,
}

/// A fault for the next calls that match.
#[derive(Clone, Debug, PartialEq)]
pub struct RestFault {
    /// `POST`, `PATCH`, …; none for all.
    pub method: Option<String>,
    /// A call's name (`create`, `edit`, …: see `rest/routes.rs`), or a part of its path such as `/typing`; empty for all.
    pub route: String,
    /// How many calls; `u32::MAX` until [`Discord::heal_rest`].
    pub times: u32,
    /// What happens to them.
    pub effect: RestEffect,
}

/// A REST call that was answered, or lost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// When it came, since the start.
    pub at: Duration,
    /// Its method.
    pub method: String,
    /// Its path without the query; interaction tokens are shown as `TOKEN`.
    pub path: String,
    /// The call's name as in `rest/routes.rs`.
    pub name: &'static str,
    /// What was answered; 0 when the connection was closed instead.
    pub status: u16,
    /// The body's keys and sizes, never its text.
    pub summary: String,
}

/// What clients of the gateway did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SessionCounts {
    /// Connections accepted.
    pub connections: u64,
    /// IDENTIFYs that were accepted.
    pub identifies: u64,
    /// RESUMEs that were accepted.
    pub resumes: u64,
    /// RESUMEs that were answered by `INVALID_SESSION`.
    pub refused_resumes: u64,
    /// Heartbeats received.
    pub heartbeats: u64,
    /// Connections that are up, not frozen, and READY or RESUMED now.
    pub live: u64,
    /// The close code of the last connection that the gateway closed for a client's fault.
    pub last_fault: Option<u16>,
}

/// Why a person cannot do something, in words for whoever wrote the scene.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused(pub String);

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Refused {}

/// What a person says, for [`Discord::speak`].
#[derive(Clone, Debug, Default)]
pub struct Speech {
    /// The text; `@name` becomes a mention where somebody of that name is known.
    pub text: String,
    /// The message it replies to.
    pub reply_to: Option<u64>,
    /// Whether a reply notifies nobody ("ping off").
    pub quiet: bool,
    /// Files: name and bytes.
    pub files: Vec<(String, Vec<u8>)>,
}

/// What both servers share.
pub(crate) struct Core {
    world: Mutex<World>,
    options: Options,
    rest_port: u16,
    gateway_port: u16,
}

impl Core {
    /// The world. A panic of a test while it holds the lock does not concern the others.
    fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn base(&self) -> String {
        format!("http://127.0.0.1:{}", self.rest_port)
    }

    fn gateway_url(&self) -> String {
        format!("ws://127.0.0.1:{}", self.gateway_port)
    }
}

/// The embedded Discord. Clones are handles of the same one; its servers end with the last of them, or with [`Discord::stop`].
#[derive(Clone)]
pub struct Discord {
    core: Arc<Core>,
    stop: Arc<watch::Sender<bool>>,
}

impl fmt::Debug for Discord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Discord").field("base", &self.base()).finish_non_exhaustive()
    }
}

impl Discord {
    /// Starts REST, the chat page and the gateway on loopback.
    ///
    /// # Errors
    /// When a port cannot be bound.
    pub async fn start(options: Options) -> io::Result<Self> {
        let rest = TcpListener::bind((Ipv4Addr::LOCALHOST, options.port.unwrap_or(0))).await?;
        let sockets = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let core = Arc::new(Core {
            world: Mutex::new(World::new(&options)),
            rest_port: rest.local_addr()?.port(),
            gateway_port: sockets.local_addr()?.port(),
            options,
        });
        let (stop, stopped) = watch::channel(false);
        rest::serve(Arc::clone(&core), rest, stopped.clone());
        gateway::serve(Arc::clone(&core), sockets, stopped);
        Ok(Self { core, stop: Arc::new(stop) })
    }

    /// Ends both servers and all connections; the world can still be looked at.
    pub fn stop(&self) {
        self.stop.send_replace(true);
    }

    /// The origin of the REST API and the address of the chat page: `http://127.0.0.1:PORT`.
    #[must_use]
    pub fn base(&self) -> String {
        self.core.base()
    }

    /// The bot's token.
    #[must_use]
    pub fn token(&self) -> &str {
        &self.core.options.token
    }

    /// The bot; its application has the same id.
    #[must_use]
    pub fn bot(&self) -> UserRef {
        self.core.world().bot_ref()
    }

    /// The server that is always there, "Harbour".
    #[must_use]
    pub fn guild(&self) -> u64 {
        self.core.world().home
    }

    /// Makes something happen to the gateway.
    pub fn gateway(&self, fault: GatewayFault) {
        self.core.world().sessions.strike(fault);
    }

    /// Makes something happen to the next matching REST calls. Faults are used up in the order they were given.
    pub fn rest_fault(&self, fault: RestFault) {
        self.core.world().faults.push(fault);
    }

    /// Forgets all REST faults that are left.
    pub fn heal_rest(&self) {
        self.core.world().faults.clear();
    }

    /// Sets the rate limit of a call by its name as in `rest/routes.rs` (`create`, `edit`, …; `global` for all together).
    pub fn set_limit(&self, name: &str, calls: u32, window: Duration) {
        self.core.world().limits.set(name, calls, window);
    }
    /// How many connections the gateway recommends; one unless this was said.
    pub fn set_shards(&self, shards: u64) {
        self.core.world().sessions.recommended = shards.max(1);
    }

    /// What the bot is told of the sessions that it may still begin; none for the truth: what is left of a thousand.
    pub fn set_sessions_left(&self, left: Option<(u64, Duration)>) {
        self.core.world().sessions.allowance = left;
    }
}
