//! What a provider will do with a call, and the words for it.
//!
//! One call's behaviour is an answer and modifiers, in any order; `then` separates successive calls, the last one stays.
//!
//! | answer | does |
//! | --- | --- |
//! | `'text'`, `"text"` | says this, in pieces of a word each |
//! | `echo` | says "You said: " and the last line the person said |
//! | `lorem=6000` | says about that many characters of Markdown: headings, lists, code fences, CJK (`seed=7` for another one) |
//! | `500` | this HTTP status with the vendor's error body; `429 retry-after=30`: any `header-name=value` is sent, too |
//! | `error=insufficient_quota` | an error body with this code, and the status that belongs to it |
//! | `tale=6000` | tells the tale that the question's last word names, of at most about so many characters: the same provider
//! tells the same one again, another provider another one |
//! | `hang` | takes the call and never answers |
//! | `refuse` | refuses connections, until the provider is healed or told otherwise |
//! | `blackhole` | as `refuse`, but who wants to connect hears nothing at all |
//! | `reset` | resets the connection instead of answering |
//! | `html` | answers 200 with a web page, as proxies do; `502 html` for another status |
//! | `empty` | a whole answer without any text |
//! | `malformed` | answers 200 with JSON that ends in the middle |
//! | `close` | closes the connection without an answer |
//! | `silent` | as `hang`, and the health check is not answered either |
//! | `raw='data: …\n\n'` | this body as it stands, behind 200 or the status before it (`429 raw='…'`); several of them are sent as pieces. `\n` and `\r` are line ends; the content type is told by the first character, or by `content-type=…` |
//! | `bytes=1f8b08` | as `raw=`, in hexadecimal digits |
//! | `endless=text` | never stops: `text`, `thoughts`, `comments`, `events` (empty ones), or one `line` |
//! | `random seed=7 fail=0.3` | fails in one of several ways with this probability, else echoes or says the text; with `tale=`
//! it also breaks off anywhere in it, or falls silent there |
//!
//! | modifier | does |
//! | --- | --- |
//! | `delay=300ms` | waits before the answer's head |
//! | `pace=20ms` | waits between the pieces |
//! | `drip=1s` | sends one character in this time |
//! | `cut after=3` | ends the answer cleanly after three pieces, without the mark that it is finished |
//! | `drop after=3` | closes the connection in the middle of the body |
//! | `reset after=3` | resets the connection |
//! | `stall after=3` | sends no more, and keeps the connection |
//! | `error=overloaded_error after=3` | an error inside the 200 stream, in the dialect's own shape |
//! | `malformed after=3` | a broken piece |
//! | `notfinished` | the whole text, and then as `cut` |
//! | `hold` | before that fault (or before the piece `after=3`), waits up to 3 s until what was sent can be seen in Discord |
//! | `finish=length` | the reason why it ended: `stop`, `length`, `content_filter` |
//! | `reasoning='Hm.'` | thinks aloud before the text, where the dialect can |
//! | `whole` | answers a request for a stream with one JSON document, as some servers do |
//! | `keepalive=1s` | sends the stream's head at once, and a comment in this time while nothing else is to be sent |
//! | `crlf`, `cr` | lines of the stream end so, and not with LF |
//! | `bom` | a byte order mark before the stream |
//! | `bytewise` | every byte of the stream in a chunk of its own |
//! | `gzip` | the stream is compressed, and says so, although nobody asked for it |
//! | `call='now {"in":"Oslo"}'` | calls this tool, behind the text if there is one; several are called one after the other |
//! | `refuses=max_tokens` | refuses, in the vendor's words, a question that has this parameter, wherever it has it |
//!
//! JSON in lines has no comments: for Ollama, `keepalive` and `endless=comments` are empty lines, and `endless=events` empty
//! objects. `cr` and `finish=content_filter` mean nothing there, and are refused with the scene; so is `call=` for legacy
//! completions, which know no tools.
//!
//! A header's value may be a moment that is not known before: `retry-after=date+30s` (as HTTP writes a date), `rfc3339+30s`,
//! `epoch+30s` and `epoch-ms+30s` (seconds and milliseconds since 1970).

mod parse;
#[cfg(test)]
mod tests;

pub(crate) use parse::parse;

use super::{
    dialect::{Call, Finish},
    framing::{Framing, LineEnd},
    kind::Kind,
};
use std::time::Duration;

/// A tale that breaks off does so before so many pieces.
const FURTHEST: usize = 400;

/// One call's behaviour.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Behaviour {
    pub(crate) answer: Answer,
    pub(crate) fault: Option<Fault>,
    /// Wait until people see what was sent, before the fault.
    pub(crate) hold: bool,
    pub(crate) delay: Duration,
    pub(crate) pace: Duration,
    /// The time of one character.
    pub(crate) drip: Option<Duration>,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) finish: Finish,
    pub(crate) reasoning: Option<String>,
    pub(crate) whole: bool,
    /// The time between two comments while nothing else is sent.
    pub(crate) keepalive: Option<Duration>,
    pub(crate) framing: Framing,
    /// Parameters that are refused.
    pub(crate) refuses: Vec<String>,
    /// Tools that are called behind the text.
    pub(crate) calls: Vec<Call>,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Answer {
    Text(String),
    Echo,
    Lorem {
        size: usize,
        seed: u64,
    },
    Status {
        status: u16,
        code: Option<String>,
    },
    Page {
        status: u16,
    },
    Tale {
        size: usize,
    },
    Hang,
    Refuse,
    BlackHole,
    Reset,
    Empty,
    Malformed,
    Close,
    Silent,
    Raw {
        status: u16,
        pieces: Vec<Vec<u8>>,
    },
    Endless(Endless),
    Random {
        seed: u64,
        fail: f64,
        text: Option<String>,
    },
    /// As `Random`, and it tells a tale.
    RandomTale {
        seed: u64,
        fail: f64,
        size: usize,
    },
    /// Not in any scene: the vendor does not take the question.
    Refused {
        status: u16,
        body: serde_json::Value,
    },
}

impl Answer {
    /// Whether the model would speak, so that the question is looked at before.
    pub(crate) fn is_spoken(&self) -> bool {
        use Answer::{Echo, Empty, Endless, Lorem, Random, RandomTale, Tale, Text};
        matches!(
            self,
            Text(_)
                | Echo
                | Lorem { .. }
                | Tale { .. }
                | Empty
                | Endless(_)
                | Random { .. }
                | RandomTale { .. }
        )
    }
}

/// What never stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Endless {
    Text,
    Thoughts,
    Comments,
    Events,
    Line,
}

/// Something that happens in the middle of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    /// After so many pieces; when there are fewer, after the last one.
    pub(crate) after: usize,
    pub(crate) kind: FaultKind,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum FaultKind {
    /// Nothing goes wrong: it is only a place to `hold`.
    Nothing,
    Cut,
    Drop,
    Reset,
    Stall,
    Error(String),
    Malformed,
}

impl Behaviour {
    pub(crate) fn of(answer: Answer) -> Self {
        Self {
            answer,
            fault: None,
            hold: false,
            delay: Duration::ZERO,
            pace: Duration::ZERO,
            drip: None,
            headers: Vec::new(),
            finish: Finish::Stop,
            reasoning: None,
            whole: false,
            keepalive: None,
            framing: Framing::default(),
            refuses: Vec::new(),
            calls: Vec::new(),
        }
    }

    /// Looks whether a provider of this kind can do it.
    ///
    /// # Errors
    /// The word that makes no sense in its dialect, and what to write instead.
    pub(crate) fn fits(&self, kind: Kind) -> Result<(), String> {
        if kind == Kind::Completions && !self.calls.is_empty() {
            return Err("`call=` means nothing for legacy completions, which know no tools".into());
        }
        if kind != Kind::Ollama {
            return Ok(());
        }
        if self.framing.line_end == LineEnd::Cr {
            return Err("`cr` ends no line for Ollama, whose stream is JSON in lines: use `crlf`".into());
        }
        if self.finish == Finish::ContentFilter {
            return Err("Ollama filters nothing: it knows `finish=stop` and `finish=length`".into());
        }
        Ok(())
    }

    /// What `random` does at this draw: the same for the same seed and number.
    pub(crate) fn draw(&self, number: u64) -> Self {
        let (seed, fail, calm) = match &self.answer {
            Answer::Random { seed, fail, text } => {
                (seed, fail, text.clone().map_or(Answer::Echo, Answer::Text))
            }
            Answer::RandomTale { seed, fail, size } => (seed, fail, Answer::Tale { size: *size }),
            _ => return self.clone(),
        };
        let mut rng = fastrand::Rng::with_seed(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(number));
        let calm = Self { answer: calm, ..self.clone() };
        if rng.f64() >= *fail {
            return calm;
        }
        let broken = |after, kind| Self { fault: Some(Fault { after, kind }), ..calm.clone() };
        let answered = |answer| Self { answer, ..calm.clone() };
        let is_tale = matches!(calm.answer, Answer::Tale { .. });
        if is_tale && rng.bool() {
            // Anywhere in it, and more often near its beginning.
            let furthest = rng.usize(0..FURTHEST);
            let after = 1 + rng.usize(0..=furthest);
            let kinds = [FaultKind::Cut, FaultKind::Drop, FaultKind::Reset, FaultKind::Stall];
            return broken(after, kinds[rng.usize(0..kinds.len())].clone());
        }
        match rng.u8(0..8) {
            0 => answered(Answer::Status { status: 500, code: None }),
            1 => answered(Answer::Status { status: 503, code: None }),
            2 => Self {
                headers: vec![("retry-after".into(), "1".into())],
                ..answered(Answer::Status { status: 429, code: None })
            },
            3 => answered(Answer::Reset),
            4 => answered(Answer::Malformed),
            5 => broken(2, FaultKind::Cut),
            6 => broken(2, FaultKind::Reset),
            _ => broken(2, FaultKind::Error("overloaded_error".into())),
        }
    }
}

/// The HTTP status that vendors send with an error code.
pub(crate) fn status_of(code: &str) -> u16 {
    match code {
        "insufficient_quota" | "rate_limit_exceeded" | "rate_limit_error" => 429,
        "invalid_api_key" | "authentication_error" => 401,
        "insufficient_credits" | "billing_error" => 402,
        "permission_error" | "unsupported_country_region_territory" => 403,
        "model_not_found" | "not_found_error" => 404,
        "request_too_large" => 413,
        "overloaded_error" => 529,
        "unavailable_error" | "server_is_overloaded" | "slow_down" => 503,
        "api_error" | "server_error" => 500,
        _ => 400,
    }
}
