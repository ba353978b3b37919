//! Plain data that is kept: how each call to a provider went.

use crate::message::{GuildId, UnixMillis};
use serde::{Deserialize, Serialize};
use std::{fmt, time::Duration};

/// Why an attempt did not answer. Each class is something that the router treats differently or operators must tell apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Failure {
    /// Too many requests or tokens for now; the provider may say until when.
    RateLimited,
    /// The money or the day's quota is used up: waiting a moment will not help.
    QuotaExhausted,
    /// The provider says that it has no capacity (503, 529, "overloaded").
    Overloaded,
    /// A fault of the provider (5xx).
    ServerError,
    /// No first text, no next piece, or no end within its limit.
    Timeout,
    /// No connection, or it was lost before the answer began.
    Connection,
    /// The answer began and did not end as it should: cut off, stalled, or an error inside the stream.
    BrokenStream,
    /// What came back is not what the dialect says (HTML with 200, bad JSON).
    Malformed,
    /// A whole answer without any text.
    Empty,
    /// The key is wrong, or may not use this model.
    Auth,
    /// The provider does not serve the place that this machine is in.
    RegionBlocked,
    /// There is no such model, or it is not loaded.
    ModelUnavailable,
    /// The prompt does not fit the model's window.
    ContextTooLong,
    /// The provider's content filter refused.
    ContentFiltered,
    /// The model does not take a parameter that was sent.
    UnsupportedParameter,
    /// The request itself is at fault; it would fail elsewhere, too.
    BadRequest,
}

impl Failure {
    /// Every class, in the order of the documentation.
    pub const ALL: [Self; 16] = [
        Self::RateLimited,
        Self::QuotaExhausted,
        Self::Overloaded,
        Self::ServerError,
        Self::Timeout,
        Self::Connection,
        Self::BrokenStream,
        Self::Malformed,
        Self::Empty,
        Self::Auth,
        Self::RegionBlocked,
        Self::ModelUnavailable,
        Self::ContextTooLong,
        Self::ContentFiltered,
        Self::UnsupportedParameter,
        Self::BadRequest,
    ];

    /// The word for it in the ledger, metrics and logs (`attempts.failure`).
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::RateLimited => "rate_limited",
            Self::QuotaExhausted => "quota_exhausted",
            Self::Overloaded => "overloaded",
            Self::ServerError => "server_error",
            Self::Timeout => "timeout",
            Self::Connection => "connection",
            Self::BrokenStream => "broken_stream",
            Self::Malformed => "malformed",
            Self::Empty => "empty",
            Self::Auth => "auth",
            Self::RegionBlocked => "region_blocked",
            Self::ModelUnavailable => "model_unavailable",
            Self::ContextTooLong => "context_too_long",
            Self::ContentFiltered => "content_filtered",
            Self::UnsupportedParameter => "unsupported_parameter",
            Self::BadRequest => "bad_request",
        }
    }

    /// Whether the question is at fault, so that it says nothing about the provider.
    #[must_use]
    pub fn is_of_the_question(self) -> bool {
        match self {
            Self::ContextTooLong | Self::ContentFiltered | Self::UnsupportedParameter | Self::BadRequest => {
                true
            }
            Self::RateLimited
            | Self::QuotaExhausted
            | Self::Overloaded
            | Self::ServerError
            | Self::Timeout
            | Self::Connection
            | Self::BrokenStream
            | Self::Malformed
            | Self::Empty
            | Self::Auth
            | Self::RegionBlocked
            | Self::ModelUnavailable => false,
        }
    }

    /// Whether the provider's service is in trouble, or busy, for now: it passes while nobody does anything. What the question,
    /// the key, the money, the place or the choice of model is at fault for does not.
    #[must_use]
    pub fn passes(self) -> bool {
        match self {
            Self::RateLimited
            | Self::Overloaded
            | Self::ServerError
            | Self::Timeout
            | Self::Connection
            | Self::BrokenStream
            | Self::Malformed
            | Self::Empty => true,
            Self::QuotaExhausted
            | Self::Auth
            | Self::RegionBlocked
            | Self::ModelUnavailable
            | Self::ContextTooLong
            | Self::ContentFiltered
            | Self::UnsupportedParameter
            | Self::BadRequest => false,
        }
    }

    /// Reads the word back.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|it| it.as_str() == word)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A failure with what is known of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failed {
    /// The class, which decides what happens next.
    pub failure: Failure,
    /// The HTTP status, when there was an answer at all.
    pub http_status: Option<u16>,
    /// How long the provider asked to be left alone.
    pub retry_after: Option<Duration>,
    /// A short machine word for operators (the vendor's error code or type, or our own, such as `no finish`); never
    /// the vendor's free text, which may quote the prompt or the key.
    pub detail: String,
    /// The id by which the vendor's support finds the call, where an answer named one.
    pub request_id: Option<String>,
}

impl Failed {
    /// A failure of this class, with a word for operators and nothing else known.
    pub fn new(failure: Failure, detail: impl Into<String>) -> Self {
        Self { failure, http_status: None, retry_after: None, detail: detail.into(), request_id: None }
    }
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.failure)?;
        if let Some(status) = self.http_status {
            write!(f, " (HTTP {status})")?;
        }
        if self.detail.is_empty() { Ok(()) } else { write!(f, ": {}", self.detail) }
    }
}

impl std::error::Error for Failed {}

/// How an attempt ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// A whole answer.
    Answered,
    /// It failed.
    Failed(Failed),
    /// Another provider was faster.
    Overtaken,
    /// Nobody wanted the answer any more.
    Cancelled,
}

impl Outcome {
    /// The word for it in the ledger and the metrics (`attempts.outcome`).
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::Failed(_) => "failed",
            Self::Overtaken => "overtaken",
            Self::Cancelled => "cancelled",
        }
    }

    /// The failure, if it is one.
    #[must_use]
    pub fn failed(&self) -> Option<&Failed> {
        match self {
            Self::Failed(failed) => Some(failed),
            Self::Answered | Self::Overtaken | Self::Cancelled => None,
        }
    }
}

/// Tokens that a call used, as the provider counts them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Tokens of the prompt.
    pub tokens_in: Option<u64>,
    /// Tokens of the answer.
    pub tokens_out: Option<u64>,
    /// The provider did not count (all of) them: they are reckoned from the length of what was sent and heard.
    pub is_estimated: bool,
}

impl Usage {
    /// Takes over what `later` says: vendors send counts cumulated, and not all of them each time.
    pub fn update(&mut self, later: Self) {
        self.tokens_in = later.tokens_in.or(self.tokens_in);
        self.tokens_out = later.tokens_out.or(self.tokens_out);
    }
}

/// One call to one provider: a row of the ledger.
#[derive(Clone, Debug, PartialEq)]
pub struct Attempt {
    /// Its place in the turn, from 0.
    pub step: u32,
    /// The provider's name as configured.
    pub provider: String,
    /// The model asked for.
    pub model: String,
    /// When the call began.
    pub started_at: UnixMillis,
    /// How it ended.
    pub outcome: Outcome,
    /// From the call to the first text.
    pub first_text: Option<Duration>,
    /// From the call to its end.
    pub total: Duration,
    /// Tokens used.
    pub usage: Usage,
    /// Money, by the configured prices, when both are known.
    pub cost: Option<f64>,
}

/// A provider's rest, as it is kept over a restart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rest {
    /// The provider's name as configured.
    pub provider: String,
    /// Its model: another model of the same provider is not at fault.
    pub model: String,
    /// What sent it to rest.
    pub why: Failure,
    /// When it may be asked again.
    pub until: UnixMillis,
    /// Whether one careful call decides afterwards; a rate limit is over when it is over.
    pub probe: bool,
    /// How many rests it had in a row; each is longer than the one before.
    pub rests: u32,
}

/// Something that the strategy `adaptive` learns from.
#[derive(Clone, Debug, PartialEq)]
pub struct Lesson {
    /// Where it happened; none for direct messages, the router API and `ask`.
    pub server: Option<GuildId>,
    /// The provider's name as configured.
    pub provider: String,
    /// What happened.
    pub taught: Taught,
}

/// What a lesson says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Taught {
    /// A call answered.
    Answered {
        /// From the call to the first text.
        first_text: Duration,
        /// Money, where it is known.
        cost: Option<f64>,
    },
    /// A call failed.
    Failed,
    /// A person liked the answer.
    Liked,
    /// A person did not.
    Disliked,
}
