//! What makes a dialect: addresses, headers, how a question is written and how an answer is read. Plain data and pure functions.
//!
//! Everything that waits (HTTP, time limits, ends of streams) is the same for all and lies elsewhere. A new dialect is one file
//! with one [`Dialect`] in it, and one line in [`of`].

use super::{Kind, answer::Said, anthropic, body::Body, completions, gemini, ollama, openai, responses};
use crate::{message::Prompt, outcome::Failed};

/// A way to speak with a vendor.
#[derive(Debug)]
pub(super) struct Dialect {
    /// Where a question to this model goes, below the base address; with a query where the vendor wants one.
    pub(super) questions: fn(model: &str) -> String,
    /// What is asked, without a prompt, to see whether the provider is well.
    pub(super) health: &'static str,
    /// Where the models are listed.
    pub(super) models: &'static str,
    /// The header that carries the key. `authorization` carries it as a bearer token.
    pub(super) key_header: &'static str,
    /// Headers that every call must have.
    pub(super) headers: &'static [(&'static str, &'static str)],
    /// Writes a question.
    pub(super) write: for<'a> fn(Question<'a>) -> Result<Body<'a>, Failed>,
    /// Two names of one parameter, of which a model may know only one.
    pub(super) renames: &'static [(&'static str, &'static str)],
    /// Whether the model would be told the names of those who speak in this prompt.
    pub(super) names_speakers: fn(&Prompt) -> bool,
    /// How the pieces of an answer are told apart.
    pub(super) framing: Framing,
    /// Reads one piece, or a whole answer; an error if it is no JSON.
    pub(super) read: fn(json: &str) -> serde_json::Result<Said>,
    /// Pieces before the last one may say that the answer ends: it is whole only when the body ends as it should.
    pub(super) finish_may_be_early: bool,
    /// White space before the first word belongs to the cue that the prompt ended with, not to the answer.
    pub(super) trims_start: bool,
}

/// What a question is written from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Question<'a> {
    pub(super) prompt: &'a Prompt,
    pub(super) model: &'a str,
    /// The most tokens that prompt and answer may have together.
    pub(super) context_window: u32,
    /// The operator's; a program's own goes before it.
    pub(super) temperature: Option<f64>,
}

/// How the pieces of an answer are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// Server-sent events.
    Events,
    /// One JSON document a line (NDJSON).
    Lines,
}

/// The dialect of a kind.
pub(super) fn of(kind: Kind) -> &'static Dialect {
    match kind {
        Kind::OpenAi => &openai::DIALECT,
        Kind::OpenAiResponses => &responses::DIALECT,
        Kind::Anthropic => &anthropic::DIALECT,
        Kind::Gemini => &gemini::DIALECT,
        Kind::Completions => &completions::DIALECT,
        Kind::Ollama => &ollama::DIALECT,
    }
}
