//! Scripted AI providers on loopback: real sockets, six dialects, and faults by order.
//!
//! Each provider is an HTTP/1.1 server of its own. What it does with the next calls is said in a few words
//! (`429 retry-after=30 then 'Hello, Ana.'`): see `providers/behaviour.rs` for all of them. Health (`GET …/models`,
//! `…/health`, `…/api/tags`) is a separate switch, because a provider that is healthy and does not answer is a fault, too.

mod anthropic;
mod behaviour;
mod cast;
mod clock;
mod completions;
mod demands;
mod dialect;
mod door;
mod framing;
mod gemini;
mod http;
mod kind;
mod lorem;
mod ollama;
mod openai;
mod play;
mod responses;
mod server;
mod tale;
pub(crate) mod words;

#[cfg(test)]
mod tests;

pub use cast::Cast;
pub use kind::Kind;
pub use tale::tale;

use futures::future::BoxFuture;
use server::Server;
use std::{fmt, io, sync::Arc, time::Duration};
use tokio::{task::JoinHandle, time::Instant};

/// What providers ask of the world around them.
#[derive(Clone)]
pub struct Hooks {
    /// Resolves when people can see this text; behind `hold`.
    pub shown: Arc<dyn Fn(String) -> BoxFuture<'static, ()> + Send + Sync>,
}

impl Default for Hooks {
    /// Nobody is there to see: `hold` does not wait.
    fn default() -> Self {
        Self { shown: Arc::new(|_| Box::pin(std::future::ready(()))) }
    }
}

impl fmt::Debug for Hooks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hooks").finish_non_exhaustive()
    }
}

/// A call for an answer, as it came in. Health checks are not among them.
#[derive(Clone)]
pub struct Call {
    /// When it was read.
    pub at: Instant,
    /// The path with its query.
    pub path: String,
    /// The body; null if it is not JSON.
    pub body: serde_json::Value,
    /// Names in lower case, and values.
    pub headers: Vec<(String, String)>,
}

impl Call {
    /// A header's value, by its name in lower case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

impl fmt::Debug for Call {
    // What people said and the key are in there: neither is for a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call").field("at", &self.at).field("path", &self.path).finish_non_exhaustive()
    }
}

/// A client hung up before the end of its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HungUp {
    /// When it was noticed.
    pub at: Instant,
    /// How long after the call.
    pub after: Duration,
}

/// A provider of the cast, as a client has to know it.
#[derive(Clone, PartialEq, Eq)]
pub struct RoleInfo {
    /// Its name.
    pub name: String,
    /// Its dialect.
    pub kind: Kind,
    /// The model to ask it for.
    pub model: String,
    /// Where it is: what the dialect's paths are put behind, such as `http://127.0.0.1:4000/v1`.
    pub base_url: String,
    /// The key without which it refuses everything; none: it asks for none.
    pub key: Option<String>,
}

impl fmt::Debug for RoleInfo {
    // Without the key, as wherever there is one.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RoleInfo")
            .field("name", &self.name)
            .field("kind", &self.kind)
            .field("model", &self.model)
            .field("base_url", &self.base_url)
            .finish_non_exhaustive()
    }
}

/// The providers of a scene while they run. Clones are handles of the same ones, which end with the last handle.
#[derive(Clone, Debug)]
pub struct Providers {
    running: Arc<Running>,
}

#[derive(Debug)]
struct Running {
    servers: Vec<Arc<Server>>,
    tasks: Vec<JoinHandle<()>>,
}

impl Drop for Running {
    fn drop(&mut self) {
        // The tasks own their connections, which end with them.
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

impl Providers {
    /// Starts one server for each of the cast, each on a free port.
    ///
    /// # Errors
    /// When no port can be bound.
    #[expect(
        clippy::unused_async,
        reason = "says that it needs a runtime, as the servers begin to listen here"
    )]
    pub async fn start(cast: &Cast, hooks: Hooks) -> io::Result<Self> {
        let servers = cast
            .roles
            .iter()
            .map(|role| Server::bind(role, hooks.clone()).map(Arc::new))
            .collect::<io::Result<Vec<_>>>()?;
        #[expect(
            clippy::disallowed_methods,
            reason = "the last handle aborts them; a simulator has nothing to finish"
        )]
        let tasks = servers.iter().map(|server| tokio::spawn(server::run(Arc::clone(server)))).collect();
        Ok(Self { running: Arc::new(Running { servers, tasks }) })
    }

    /// Everybody, in the order of the cast.
    #[must_use]
    pub fn roles(&self) -> Vec<RoleInfo> {
        self.running.servers.iter().map(|server| server.info()).collect()
    }

    /// Names and dialects, in the order of the cast.
    #[must_use]
    pub fn names_and_kinds(&self) -> Vec<(String, Kind)> {
        self.roles().into_iter().map(|role| (role.name, role.kind)).collect()
    }

    /// A provider's address: what the dialect's paths are put behind.
    #[must_use]
    pub fn base_url(&self, name: &str) -> Option<String> {
        Some(self.server(name).ok()?.info().base_url)
    }

    /// Gives a provider a new behaviour, beginning with its next call. With `refuse` and `blackhole` its door closes at
    /// once; a call that is being answered goes on.
    ///
    /// # Errors
    /// An unknown name, or a word that is not understood, with what is known. Opening the door again can fail, when
    /// another program took the port meanwhile.
    pub fn set(&self, name: &str, behaviour: &str) -> Result<(), String> {
        let (server, words) = (self.server(name)?, words::words(behaviour)?);
        server.set(cast::Role::behaviours(server.kind(), &words)?)
    }

    /// Gives a provider the behaviour that the cast had for it, from its first call on, and its health.
    ///
    /// # Errors
    /// An unknown name; or the port was taken meanwhile.
    pub fn heal(&self, name: &str) -> Result<(), String> {
        self.server(name)?.heal()
    }

    /// Whether the provider's health check says that it is well. It says so from the start, whatever else it does.
    ///
    /// # Errors
    /// An unknown name.
    pub fn health(&self, name: &str, ok: bool) -> Result<(), String> {
        self.server(name)?.state().healthy = ok;
        Ok(())
    }

    /// The latest calls (up to 1,000), oldest first; none for an unknown name.
    #[must_use]
    pub fn calls(&self, name: &str) -> Vec<Call> {
        self.server(name).map(|server| server.state().calls.iter().cloned().collect()).unwrap_or_default()
    }

    /// How many calls are being answered now.
    #[must_use]
    pub fn open_streams(&self, name: &str) -> usize {
        self.server(name).map(|server| server.state().open).unwrap_or_default()
    }

    /// The latest clients (up to 1,000) that hung up before the end of their answer, oldest first.
    #[must_use]
    pub fn closed_early(&self, name: &str) -> Vec<HungUp> {
        self.server(name).map(|server| server.state().hung_up.iter().copied().collect()).unwrap_or_default()
    }

    fn server(&self, name: &str) -> Result<&Arc<Server>, String> {
        self.running.servers.iter().find(|server| server.name() == name).ok_or_else(|| {
            let names: Vec<_> = self.running.servers.iter().map(|server| server.name()).collect();
            format!("there is no provider `{name}`: there are {}", names.join(", "))
        })
    }
}
