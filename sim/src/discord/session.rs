//! Gateway sessions: what each one is sent, what it still has to take in, and how it is resumed.

use super::{
    GatewayFault, SessionCounts,
    weather::{Mischief, Prank},
};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};
use tokio::sync::{Notify, mpsc, watch};

/// Gateway intents that matter here.
pub(crate) mod intents {
    pub(crate) const GUILDS: u64 = 1;
    pub(crate) const GUILD_MEMBERS: u64 = 1 << 1;
    pub(crate) const GUILD_PRESENCES: u64 = 1 << 8;
    pub(crate) const GUILD_MESSAGES: u64 = 1 << 9;
    pub(crate) const GUILD_MESSAGE_REACTIONS: u64 = 1 << 10;
    pub(crate) const GUILD_MESSAGE_TYPING: u64 = 1 << 11;
    pub(crate) const DIRECT_MESSAGES: u64 = 1 << 12;
    pub(crate) const DIRECT_MESSAGE_REACTIONS: u64 = 1 << 13;
    pub(crate) const DIRECT_MESSAGE_TYPING: u64 = 1 << 14;
    pub(crate) const MESSAGE_CONTENT: u64 = 1 << 15;
    /// Every bit that Discord knows.
    pub(crate) const KNOWN: u64 = 0x3_FFFF & !(1 << 17) | 1 << 16 | 1 << 20 | 1 << 21 | 1 << 24 | 1 << 25;
}

/// How many events a session keeps for a RESUME; older ones are gone, and with them the session.
const REPLAY: usize = 5000;
/// How many sessions are remembered after their connection ended.
const REMEMBERED: usize = 16;

/// What a connection is told besides events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Control {
    Drop,
    Reset,
    Reconnect,
    Invalid(bool),
    Close(u16),
    Freeze(bool),
    /// Op 1: send a heartbeat now.
    Heartbeat,
}

/// The world's end of a connection.
#[derive(Debug)]
pub(crate) struct Link {
    control: mpsc::Sender<Control>,
    wake: Arc<Notify>,
    frozen: bool,
    /// Where its events end, once something struck it: what happens later is missed, not sent by a lucky moment.
    ends_at: Option<u64>,
}

impl Link {
    pub(crate) fn new(control: mpsc::Sender<Control>, wake: Arc<Notify>) -> Self {
        Self { control, wake, frozen: false, ends_at: None }
    }
}

/// An event as it goes over the wire.
#[derive(Clone, Debug)]
pub(crate) struct Logged {
    pub(crate) seq: u64,
    pub(crate) text: Arc<str>,
    /// Whether a client that asked for compression gets it compressed.
    pub(crate) big: bool,
}

/// One session.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) id: String,
    pub(crate) intents: u64,
    /// This shard, and how many there are.
    pub(crate) shard: (u64, u64),
    pub(crate) compress: bool,
    pub(crate) seq: u64,
    log: VecDeque<Logged>,
    /// The highest sequence number that a heartbeat told.
    pub(crate) acked: u64,
    /// The connection it is on.
    pub(crate) link: Option<u64>,
}

impl Session {
    fn push(&mut self, name: &str, body: &Value) {
        self.seq += 1;
        let text = json!({ "op": 0, "t": name, "s": self.seq, "d": body }).to_string();
        self.log.push_back(Logged {
            seq: self.seq,
            text: text.into(),
            big: matches!(name, "READY" | "GUILD_CREATE"),
        });
        if self.log.len() > REPLAY {
            self.log.pop_front();
        }
    }

    fn takes(&self, scope: Scope) -> bool {
        let shard = scope.guild.map_or(0, |guild| (guild >> 22) % self.shard.1.max(1));
        shard == self.shard.0 && (scope.intent == 0 || self.intents & scope.intent != 0)
    }
}

/// Which sessions an event is for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scope {
    pub(crate) guild: Option<u64>,
    /// Any of these intents; 0 for no intent needed.
    pub(crate) intent: u64,
}

/// An event that comes after its successor.
#[derive(Debug)]
struct Held {
    name: String,
    scope: Scope,
    body: Value,
    stripped: Option<Value>,
}

/// All connections and sessions.
#[derive(Debug)]
pub(crate) struct Sessions {
    list: Vec<Session>,
    links: BTreeMap<u64, Link>,
    made: u64,
    /// Whether new connections are reset at once.
    pub(crate) refuse: bool,
    /// How many connections are recommended.
    pub(crate) recommended: u64,
    /// Sessions that may still begin, and for how long; none for as many as are left of a thousand.
    pub(crate) allowance: Option<(u64, std::time::Duration)>,
    pub(crate) counts: SessionCounts,
    /// Whether events come twice, or after their successor.
    pub(crate) mischief: Mischief,
    held: Option<Held>,
    /// Grows with every heartbeat, READY, RESUMED and lost connection.
    pub(crate) pulse: watch::Sender<u64>,
}

impl Sessions {
    pub(crate) fn new() -> Self {
        Self {
            list: Vec::new(),
            links: BTreeMap::new(),
            made: 0,
            refuse: false,
            recommended: 1,
            allowance: None,
            counts: SessionCounts::default(),
            mischief: Mischief::default(),
            held: None,
            pulse: watch::Sender::new(0),
        }
    }

    fn beat(&self) {
        self.pulse.send_modify(|it| *it += 1);
    }

    /// Takes a connection in and gives it a number.
    pub(crate) fn connect(&mut self, link: Link) -> u64 {
        self.counts.connections += 1;
        self.links.insert(self.counts.connections, link);
        self.counts.connections
    }

    /// A connection ended. Its session can be resumed unless `kill`.
    pub(crate) fn disconnect(&mut self, number: u64, kill: bool) {
        self.links.remove(&number);
        if kill {
            self.list.retain(|it| it.link != Some(number));
        }
        for session in self.list.iter_mut().filter(|it| it.link == Some(number)) {
            session.link = None;
        }
        self.beat();
    }

    /// Begins a session on a connection and returns its id.
    pub(crate) fn identify(&mut self, link: u64, intents: u64, shard: (u64, u64), compress: bool) -> String {
        self.made += 1;
        self.counts.identifies += 1;
        if let Some(link) = self.links.get_mut(&link) {
            link.ends_at = None;
        }
        let id = format!("{:032x}", u128::from(self.made) << 64 | u128::from(fastrand::u64(..)));
        if self.list.len() >= REMEMBERED
            && let Some(oldest) = self.list.iter().position(|it| it.link.is_none())
        {
            self.list.remove(oldest);
        }
        self.list.push(Session {
            id: id.clone(),
            intents,
            shard,
            compress,
            seq: 0,
            log: VecDeque::new(),
            acked: 0,
            link: Some(link),
        });
        self.beat();
        id
    }

    /// Puts a session on another connection, to be replayed from after `seq`; false when that cannot be done.
    pub(crate) fn resume(&mut self, link: u64, id: &str, seq: u64) -> bool {
        let found = self.list.iter_mut().find(|it| it.id == id);
        let Some(session) =
            found.filter(|it| seq <= it.seq && it.log.front().is_none_or(|e| e.seq <= seq + 1))
        else {
            self.counts.refused_resumes += 1;
            return false;
        };
        let former = session.link.replace(link);
        if let Some(link) = self.links.get_mut(&link) {
            link.ends_at = None;
        }
        session.push("RESUMED", &json!({ "_trace": [] }));
        if let Some(old) = former.filter(|it| *it != link).and_then(|it| self.links.get(&it)) {
            let _ = old.control.try_send(Control::Drop);
        }
        self.counts.resumes += 1;
        self.beat();
        true
    }

    pub(crate) fn get(&self, id: &str) -> Option<&Session> {
        self.list.iter().find(|it| it.id == id)
    }

    /// The events of a session after `seq` that its connection still gets, the next one first.
    pub(crate) fn after(&self, id: &str, seq: u64) -> Vec<Logged> {
        let Some(session) = self.get(id) else { return Vec::new() };
        let ends_at =
            session.link.and_then(|it| self.links.get(&it)).and_then(|it| it.ends_at).unwrap_or(u64::MAX);
        session.log.iter().filter(|it| it.seq > seq && it.seq <= ends_at).cloned().collect()
    }

    /// A heartbeat came.
    pub(crate) fn heartbeat(&mut self, id: Option<&str>, seq: u64) {
        self.counts.heartbeats += 1;
        for session in self.list.iter_mut().filter(|it| Some(it.id.as_str()) == id) {
            session.acked = session.acked.max(seq);
        }
        self.beat();
    }

    /// Sends an event to one session.
    pub(crate) fn send_to(&mut self, id: &str, name: &str, body: &Value) {
        for session in self.list.iter_mut().filter(|it| it.id == id) {
            session.push(name, body);
            if let Some(link) = session.link.and_then(|it| self.links.get(&it)) {
                link.wake.notify_one();
            }
        }
    }

    /// Sends an event to every session that it is for. Sessions without the content intent get `stripped`, where there is one.
    pub(crate) fn dispatch(&mut self, name: &str, scope: Scope, body: &Value, stripped: Option<&Value>) {
        let prank = self.mischief.draw(name, self.held.is_some());
        if prank == Prank::Hold {
            let stripped = stripped.cloned();
            self.held = Some(Held { name: name.to_owned(), scope, body: body.clone(), stripped });
            return;
        }
        self.deliver(name, scope, body, stripped);
        if prank == Prank::Repeat {
            self.deliver(name, scope, body, stripped);
        }
        self.release();
    }

    /// Sends the event that was held back, if one was.
    pub(crate) fn release(&mut self) {
        if let Some(held) = self.held.take() {
            self.deliver(&held.name, held.scope, &held.body, held.stripped.as_ref());
        }
    }

    fn deliver(&mut self, name: &str, scope: Scope, body: &Value, stripped: Option<&Value>) {
        for session in self.list.iter_mut().filter(|it| it.takes(scope)) {
            let plain = session.intents & intents::MESSAGE_CONTENT == 0;
            session.push(name, stripped.filter(|_| plain).unwrap_or(body));
            if let Some(link) = session.link.and_then(|it| self.links.get(&it)) {
                link.wake.notify_one();
            }
        }
    }

    /// Makes something happen to the connections.
    pub(crate) fn strike(&mut self, fault: GatewayFault) {
        let control = match fault {
            GatewayFault::Refuse(refuse) => {
                self.refuse = refuse;
                return;
            }
            GatewayFault::Drop => Control::Drop,
            GatewayFault::Reset => Control::Reset,
            GatewayFault::Reconnect => Control::Reconnect,
            GatewayFault::InvalidSession { resumable } => Control::Invalid(resumable),
            GatewayFault::Close(code) => Control::Close(code),
            GatewayFault::Zombie(frozen) => Control::Freeze(frozen),
        };
        for (number, link) in &mut self.links {
            if let Control::Freeze(frozen) = control {
                link.frozen = frozen;
            }
            let seq = self.list.iter().find(|it| it.link == Some(*number)).map(|it| it.seq);
            link.ends_at = seq.filter(|_| !matches!(control, Control::Reconnect | Control::Freeze(false)));
            let _ = link.control.try_send(control);
        }
        if matches!(control, Control::Invalid(false) | Control::Close(4006 | 4007 | 4009)) {
            self.list.clear();
        }
    }

    /// Sessions that are on a connection.
    pub(crate) fn live(&self) -> impl Iterator<Item = (&Session, u64)> {
        self.list.iter().filter_map(|it| Some((it, it.link?)))
    }

    /// Whether a connection is frozen.
    pub(crate) fn frozen(&self, link: u64) -> bool {
        self.links.get(&link).is_some_and(|it| it.frozen)
    }

    /// Asks a connection's client for a heartbeat.
    pub(crate) fn ask(&self, link: u64) {
        if let Some(link) = self.links.get(&link) {
            let _ = link.control.try_send(Control::Heartbeat);
        }
    }
}
