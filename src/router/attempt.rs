//! One try: a call to a provider with its limits for the first text, for silence, for slowness and for the whole.

use crate::{
    message::{Prompt, ToolCall},
    outcome::{Failed, Failure, Usage},
    providers::{Finish, Piece, Pieces, Provider},
};
use futures::StreamExt;
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::time::{Instant, timeout_at};

/// How long one call may take, by parts.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// From the call to the first text. While the provider shows that it thinks, the wait begins anew.
    pub first_token: Duration,
    /// Silence between two pieces; none: eight times the provider's own p95 gap, within 3 s and 10 s.
    pub stall: Option<Duration>,
    /// The whole call.
    pub attempt: Duration,
}

/// Blank text is waited through, for what may follow it; no honest answer has so much of it before it, in bytes.
const LONGEST_BLANK: usize = 4096;
/// Before a provider's gaps are known.
const STALL_UNKNOWN: Duration = Duration::from_secs(5);
const STALL_MIN: Duration = Duration::from_secs(3);
const STALL_MAX: Duration = Duration::from_secs(10);
/// Some vendors count the tokens in a chunk after the one that says "finished". A whole answer is not kept waiting for long by that.
const USAGE_PATIENCE: Duration = Duration::from_millis(250);
/// Every so many bytes of text
const DRIP_FLOOR: usize = 15;
/// have so much time to come, be there keep-alives or not: three bytes a second, less than one token. The slowest machine that
/// anybody would take an answer from says a token a second, which is four.
const DRIP_WINDOW: Duration = Duration::from_secs(5);

impl Limits {
    /// The silence that is too long, for a provider with this p95 gap.
    pub(crate) fn stall(&self, gap_p95: Option<Duration>) -> Duration {
        self.stall
            .unwrap_or_else(|| gap_p95.map_or(STALL_UNKNOWN, |gap| (gap * 8).clamp(STALL_MIN, STALL_MAX)))
    }
}

/// The first that a person, or a program, can use.
pub(crate) enum First {
    /// Text; not blank.
    Text(String),
    /// A call to a tool.
    ToolCall(ToolCall),
}

/// A provider has begun to answer.
pub(crate) struct Opened {
    pub(crate) first: First,
    pub(crate) pieces: Pieces,
    pub(crate) usage: Usage,
}

/// Asks, and resolves with the first text that a person could read. `accepted` is set when the provider has taken the question:
/// from then on it counts tokens, whether anybody hears the answer or not.
pub(crate) async fn open(
    provider: Arc<dyn Provider>,
    prompt: Arc<Prompt>,
    limits: Limits,
    started: Instant,
    accepted: Arc<AtomicBool>,
) -> Result<Opened, Failed> {
    let end = started + limits.attempt;
    let mut patience = end.min(started + limits.first_token);
    let Ok(answer) = timeout_at(patience, provider.generate(prompt)).await else {
        return Err(Failed::new(Failure::Timeout, "no answer"));
    };
    let mut pieces = answer?;
    accepted.store(true, Ordering::Relaxed);
    let mut usage = Usage::default();
    let mut blank = String::new();
    loop {
        // A timer has no say while there is always something to read.
        if Instant::now() >= patience {
            return Err(Failed::new(Failure::Timeout, "no first text"));
        }
        let Ok(piece) = timeout_at(patience, pieces.next()).await else {
            return Err(Failed::new(Failure::Timeout, "no first text"));
        };
        match piece.unwrap_or_else(|| Err(Failed::new(Failure::BrokenStream, "no finish")))? {
            Piece::Text(text) => {
                blank.push_str(&text);
                if !text.trim().is_empty() {
                    return Ok(Opened { first: First::Text(blank), pieces, usage });
                }
                if blank.len() > LONGEST_BLANK {
                    return Err(Failed::new(Failure::Empty, "blank text without end"));
                }
            }
            Piece::ToolCall(call) => return Ok(Opened { first: First::ToolCall(call), pieces, usage }),
            Piece::Reasoning(_) => patience = end.min(Instant::now() + limits.first_token),
            Piece::Alive => {}
            Piece::Usage(more) => usage.update(more),
            Piece::Finish(Finish::ContentFilter | Finish::Refusal) => {
                return Err(Failed::new(Failure::ContentFiltered, "content_filter"));
            }
            Piece::Finish(Finish::Stop | Finish::Length | Finish::ToolCalls | Finish::Other(_)) => {
                return Err(Failed::new(Failure::Empty, "finish without text"));
            }
        }
    }
}

/// An answer that is being spoken.
pub(crate) struct Live {
    pieces: Pieces,
    usage: Usage,
    heard: Instant,
    stall: Duration,
    end: Instant,
    deadline: Instant,
    finish: Option<Finish>,
    window: Window,
    drips: bool,
}

/// What comes next of a live answer.
#[derive(Debug)]
pub(crate) enum Spoken {
    /// More text, and how long it took to come.
    Text(String, Duration),
    /// More of a call to a tool.
    ToolCall(ToolCall),
    /// It says something now and then, and less than anybody would wait for. It may go on all the same.
    Drips,
    /// The whole answer was given.
    Done(Finish),
    /// It broke off.
    Failed(Failed),
    /// The turn's time is over.
    TimeIsUp,
}

impl Live {
    /// `end` is the call's, `deadline` the turn's.
    pub(crate) fn new(
        opened: Opened,
        stall: Duration,
        end: Instant,
        deadline: Instant,
        now: Instant,
    ) -> (Self, First) {
        let Opened { first, pieces, usage } = opened;
        let window = Window { since: now, bytes: 0 };
        (Self { pieces, usage, heard: now, stall, end, deadline, finish: None, window, drips: false }, first)
    }

    pub(crate) fn usage(&self) -> Usage {
        self.usage
    }

    /// Waits for the next text. May be dropped while it waits; nothing is lost.
    pub(crate) async fn next(&mut self) -> Spoken {
        if std::mem::take(&mut self.drips) {
            return Spoken::Drips;
        }
        loop {
            let patience = match &self.finish {
                Some(_) => self.heard + USAGE_PATIENCE,
                None => self.end.min(self.heard + self.stall),
            };
            let until = patience.min(self.deadline);
            // A timer has no say while there is always something to read; but who was not listening may catch up.
            let last = if self.finish.is_some() { patience } else { self.end.min(self.deadline) };
            let next =
                if Instant::now() < last { timeout_at(until, self.pieces.next()).await.ok() } else { None };
            let piece = match (next, self.finish.take()) {
                (None | Some(None | Some(Err(_))), Some(finish)) => return Spoken::Done(finish),
                (Some(Some(Ok(piece))), finish) => {
                    self.finish = finish;
                    piece
                }
                (None, None) if until == self.deadline || Instant::now() >= self.deadline => {
                    return Spoken::TimeIsUp;
                }
                (None, None) if until == self.end || Instant::now() >= self.end => {
                    return Spoken::Failed(Failed::new(Failure::Timeout, "attempt timeout"));
                }
                (None, None) => return Spoken::Failed(Failed::new(Failure::BrokenStream, "stalled")),
                (Some(None), None) => return Spoken::Failed(Failed::new(Failure::BrokenStream, "no finish")),
                (Some(Some(Err(failed))), None) => return Spoken::Failed(failed),
            };
            if let Some(spoken) = self.take(piece, Instant::now()) {
                return spoken;
            }
        }
    }

    fn take(&mut self, piece: Piece, now: Instant) -> Option<Spoken> {
        // What comes behind the end neither postpones it nor is too slow.
        let is_open = self.finish.is_none();
        let gap = now.duration_since(self.heard);
        if is_open && !matches!(piece, Piece::Usage(_)) {
            self.heard = now;
        }
        match piece {
            Piece::Usage(more) => self.usage.update(more),
            Piece::Text(text) if !text.is_empty() => {
                // The text first: it may be the last that anybody gets of this answer.
                self.drips = is_open && self.window.is_too_slow(now);
                self.window.add(text.len(), now);
                return Some(Spoken::Text(text, gap));
            }
            Piece::ToolCall(call) => {
                self.window.add(DRIP_FLOOR, now);
                return Some(Spoken::ToolCall(call));
            }
            Piece::Reasoning(_) => self.window = Window { since: now, bytes: 0 },
            Piece::Text(_) | Piece::Alive => {}
            Piece::Finish(finish) => {
                self.finish = Some(finish);
                return None;
            }
        }
        (is_open && self.window.is_too_slow(now)).then_some(Spoken::Drips)
    }
}

/// The text that came since there was enough of it last.
#[derive(Clone, Copy)]
struct Window {
    since: Instant,
    bytes: usize,
}

impl Window {
    fn add(&mut self, bytes: usize, now: Instant) {
        self.bytes += bytes;
        if self.bytes >= DRIP_FLOOR {
            *self = Self { since: now, bytes: 0 };
        }
    }

    /// Whether there was too little for too long; it is said once, and then again after as long.
    fn is_too_slow(&mut self, now: Instant) -> bool {
        let is_too_slow = now.duration_since(self.since) >= DRIP_WINDOW;
        if is_too_slow {
            *self = Self { since: now, bytes: 0 };
        }
        is_too_slow
    }
}
