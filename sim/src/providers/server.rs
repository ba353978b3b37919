//! One provider: its door, its connections, and what it remembers of them.

use super::{
    Call, Hooks, HungUp, RoleInfo,
    behaviour::{Answer, Behaviour},
    cast::Role,
    demands,
    dialect::{Shelf, Trouble, Wanted},
    door::Door,
    http::{Request, Wire, answer_head},
    kind::Kind,
    play::{End, LONG, Scene},
};
use serde_json::Value;
use std::{
    collections::VecDeque,
    fmt,
    future::poll_fn,
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::{net::TcpStream, runtime::Handle, sync::watch, task::JoinSet, time::Instant};

/// What is remembered of calls and of clients that hung up.
const MEMORY: usize = 1_000;
/// Connections at a time; more of them wait in the kernel's queue.
const MAX_CONNECTIONS: usize = 1_024;

/// One provider.
pub(crate) struct Server {
    role: Role,
    address: SocketAddr,
    hooks: Hooks,
    runtime: Handle,
    state: Mutex<State>,
    /// Whether the door is open; told to the door and to idle connections.
    open: watch::Sender<bool>,
}

pub(crate) struct State {
    door: Door,
    plan: Vec<Behaviour>,
    next: usize,
    draws: u64,
    pub(crate) healthy: bool,
    pub(crate) open: usize,
    pub(crate) calls: VecDeque<Call>,
    pub(crate) hung_up: VecDeque<HungUp>,
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("role", &self.role)
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

impl Server {
    /// Binds a free port.
    pub(crate) fn bind(role: &Role, hooks: Hooks) -> io::Result<Self> {
        let (door, address) = Door::new()?;
        let state = State {
            door,
            plan: role.calls.clone(),
            next: 0,
            draws: 0,
            healthy: true,
            open: 0,
            calls: VecDeque::new(),
            hung_up: VecDeque::new(),
        };
        let server = Self {
            role: role.clone(),
            address,
            hooks,
            runtime: Handle::current(),
            state: Mutex::new(state),
            open: watch::Sender::new(true),
        };
        server.mind_the_door(&mut server.state()).map_err(io::Error::other)?;
        Ok(server)
    }

    pub(crate) fn name(&self) -> &str {
        &self.role.name
    }

    pub(crate) fn info(&self) -> RoleInfo {
        RoleInfo {
            name: self.role.name.clone(),
            kind: self.role.kind,
            model: self.role.models.first().cloned().unwrap_or_default(),
            base_url: format!("http://{}{}", self.address, self.role.kind.base_path()),
            key: self.role.key.clone(),
        }
    }

    /// A panic of a test while it holds the lock does not concern the others.
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn kind(&self) -> Kind {
        self.role.kind
    }

    pub(crate) fn set(&self, plan: Vec<Behaviour>) -> Result<(), String> {
        let mut state = self.state();
        (state.plan, state.next) = (plan, 0);
        self.mind_the_door(&mut state)
    }

    pub(crate) fn heal(&self) -> Result<(), String> {
        self.state().healthy = true;
        self.set(self.role.calls.clone())
    }

    /// Opens or closes the door, as the next call's behaviour wants it.
    fn mind_the_door(&self, state: &mut State) -> Result<(), String> {
        // It may be opened from a thread which is not the runtime's.
        let _context = self.runtime.enter();
        let moved = match state.plan.get(state.next).map(|next| &next.answer) {
            Some(Answer::Refuse) => {
                state.door.close(self.address);
                Ok(())
            }
            Some(Answer::BlackHole) => state.door.fill_up(self.address),
            _ => state.door.open(self.address),
        };
        self.open.send_replace(state.door.is_open());
        moved.map_err(|error| format!("{}: the port cannot be had again: {error}", self.role.name))
    }

    /// Whether not even a health check is answered.
    fn is_silent(&self) -> bool {
        let state = self.state();
        state.plan.get(state.next).is_some_and(|it| it.answer == Answer::Silent)
    }

    /// Counts a call, and takes the behaviour for it.
    fn begin(self: &Arc<Self>, request: &Request, body: Value) -> (Behaviour, String, Answering) {
        let mut state = self.state();
        state.open += 1;
        state.draws += 1;
        let behaviour = state.plan.get(state.next).map(|it| it.draw(state.draws));
        let behaviour = behaviour.unwrap_or_else(|| Behaviour::of(Answer::Empty));
        let spoken = behaviour.answer.is_spoken();
        let refusal = spoken.then(|| self.refusal(request, &body, &behaviour.refuses)).flatten();
        let behaviour = match refusal {
            // What would have been answered is there for the next question.
            Some((status, body)) => Behaviour::of(Answer::Refused { status, body }),
            None => {
                state.next = (state.next + 1).min(state.plan.len().saturating_sub(1));
                behaviour
            }
        };
        let at = Instant::now();
        let call = Call { at, path: request.path.clone(), body, headers: request.headers.clone() };
        remember(&mut state.calls, call);
        (behaviour, format!("{}-{}", self.role.name, state.draws), Answering { server: Arc::clone(self), at })
    }

    /// The vendor's own refusal of a question, which no scene has to ask for.
    fn refusal(&self, request: &Request, body: &Value, refuses: &[String]) -> Option<demands::Refusal> {
        let kind = self.role.kind;
        let key = self.role.key.as_deref();
        demands::at_the_door(kind, request, key).or_else(|| demands::of_a_question(kind, body, refuses))
    }

    /// What is answered to anything but a question.
    fn aside(&self, request: &Request, health: bool) -> (u16, Value) {
        let dialect = self.role.kind.dialect();
        let Role { models, window, key, .. } = &self.role;
        let model = models.first().map_or("", String::as_str);
        let error =
            |status| (status, dialect.error_body(&Trouble { status, code: None, model, retry_after: None }));
        if !health {
            return error(404);
        }
        match demands::at_the_door(self.role.kind, request, key.as_deref()) {
            Some(refusal) => refusal,
            None if self.state().healthy => (200, dialect.healthy(&Shelf { models, window: *window })),
            None => error(503),
        }
    }
}

/// A call that is being answered; when it is dropped, the call is over.
struct Answering {
    server: Arc<Server>,
    at: Instant,
}

impl Answering {
    fn hung_up(&self) {
        let at = Instant::now();
        remember(&mut self.server.state().hung_up, HungUp { at, after: at.duration_since(self.at) });
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        let mut state = self.server.state();
        state.open = state.open.saturating_sub(1);
        // `'Hello.' then refuse`: the door closes when this call is over. Closing cannot fail.
        let _ = self.server.mind_the_door(&mut state);
    }
}

fn remember<T>(memory: &mut VecDeque<T>, new: T) {
    if memory.len() == MEMORY {
        memory.pop_front();
    }
    memory.push_back(new);
}

/// Serves until it is aborted; its connections end with it.
pub(crate) async fn run(server: Arc<Server>) {
    let mut connections = JoinSet::new();
    let mut open = server.open.subscribe();
    loop {
        tokio::select! {
            stream = accept(&server), if connections.len() < MAX_CONNECTIONS => {
                // A failed accept concerns one client; it will see it.
                if let Ok(stream) = stream {
                    connections.spawn(connection(Arc::clone(&server), stream));
                }
            }
            Some(_) = connections.join_next() => {}
            // The door was replaced: wait at the new one.
            _ = open.changed() => {}
        }
    }
}

/// Waits at the door without holding it, so that it can be closed meanwhile.
async fn accept(server: &Server) -> io::Result<TcpStream> {
    poll_fn(|context| server.state().door.poll_accept(context)).await
}

/// Answers one request after the other. An idle connection ends when the door closes, as when a process ends.
async fn connection(server: Arc<Server>, stream: TcpStream) {
    let mut wire = Wire::new(stream);
    let mut open = server.open.subscribe();
    loop {
        let request = tokio::select! {
            request = wire.request() => request,
            _ = open.wait_for(|open| !open) => return wire.reset(),
        };
        // A broken connection or a request that is no HTTP: there is nobody to tell.
        let Ok(Some(request)) = request else { return };
        match answer(&server, &mut wire, &request).await {
            Ok(End::Keep) => {}
            Ok(End::Close) => return wire.close().await,
            Ok(End::Reset) => return wire.reset(),
            Err(_) => return,
        }
    }
}

async fn answer(server: &Arc<Server>, wire: &mut Wire, request: &Request) -> io::Result<End> {
    let dialect = server.role.kind.dialect();
    let body = serde_json::from_slice(&request.body).unwrap_or_default();
    let (status, body) = match dialect.wanted(&request.method, &request.path, &body) {
        Wanted::Answer(asked) => {
            let (behaviour, id, answering) = server.begin(request, body);
            let hooks = &server.hooks;
            let scene =
                Scene { dialect, asked: &asked, behaviour: &behaviour, hooks, id, last: request.last() };
            let end = scene.play(wire).await;
            if end.is_err() {
                answering.hung_up();
            }
            return end;
        }
        Wanted::Health if server.is_silent() => {
            wire.pause(LONG).await?;
            return Ok(End::Close);
        }
        wanted => server.aside(request, wanted == Wanted::Health),
    };
    let body = body.to_string();
    wire.put(answer_head(status, "application/json", Some(body.len()), request.last(), &[])).await?;
    wire.put(body).await?;
    wire.flush().await?;
    Ok(if request.last() { End::Close } else { End::Keep })
}
