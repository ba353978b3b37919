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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::providers::{answer, any_json::any_json};
    use proptest::prelude::*;
    use serde_json::Value;

    /// Keys and words that one dialect or another looks for.
    const KEYS: [&str; 52] = [
        "arguments",
        "base_resp",
        "blockReason",
        "candidates",
        "choices",
        "code",
        "completion_tokens",
        "content",
        "content_block",
        "delta",
        "detail",
        "done",
        "done_reason",
        "error",
        "eval_count",
        "finishReason",
        "finish_reason",
        "function",
        "functionCall",
        "id",
        "incomplete_details",
        "index",
        "input",
        "item",
        "message",
        "name",
        "object",
        "output",
        "output_index",
        "parts",
        "partial_json",
        "prompt_tokens",
        "promptFeedback",
        "reasoning",
        "reasoning_content",
        "refusal",
        "response",
        "role",
        "safetyRatings",
        "status",
        "stop_reason",
        "summary",
        "text",
        "thinking",
        "thought",
        "tool_calls",
        "type",
        "usage",
        "usageMetadata",
        "output_tokens",
        "input_tokens",
        "x_groq",
    ];
    const WORDS: [&str; 24] = [
        "",
        "<think>",
        "</think>",
        "STOP",
        "SAFETY",
        "assistant",
        "chat.completion",
        "chat.completion.chunk",
        "content_block_delta",
        "content_block_start",
        "error",
        "function",
        "hello",
        "length",
        "message_delta",
        "message_stop",
        "refusal",
        "response.completed",
        "response.output_text.delta",
        "stop",
        "text_delta",
        "thinking_delta",
        "tool_calls",
        "tool_use",
    ];

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(512))]

        #[test]
        fn any_json_is_read_by_every_dialect_and_an_answer_ends_once(
            documents in proptest::collection::vec(any_json(&KEYS, &WORDS), 0..4), is_lost in any::<bool>(), is_whole in any::<bool>(),
        ) {
            for kind in Kind::ALL {
                let dialect = of(kind);
                for document in &documents {
                    let _ = (dialect.read)(&document.to_string());
                }
                let body: String = match (dialect.framing, is_whole) {
                    (_, true) => documents.first().map(Value::to_string).unwrap_or_default(),
                    (Framing::Events, _) => documents.iter().map(|it| format!("data: {it}\n\n")).collect(),
                    (Framing::Lines, _) => documents.iter().map(|it| format!("{it}\n")).collect(),
                };
                let told: Vec<_> = answer::decode(dialect, [body.as_bytes()], is_lost).collect();
                let ends = told.iter().filter(|it| matches!(it, Ok(crate::providers::Piece::Finish(_)) | Err(_)));
                prop_assert_eq!(ends.count(), 1, "{:?} {}", kind, body);
            }
        }
    }
}
