//! The one interface to AI providers, and how one is made from what is configured.
//!
//! Each dialect is a file below; all of them say the same [`Piece`]s and the same failures, so that everything above is
//! the same for all. Nothing here is tried twice, waits for a breaker or has a time limit for an answer: that is the
//! router's. Dropping a [`Pieces`] stream closes its connection.

mod answer;
mod anthropic;
#[cfg(test)]
mod any_json;
mod asked;
mod body;
mod completions;
mod dialect;
mod gemini;
#[cfg(test)]
mod golden;
mod lax;
mod lines;
mod models;
mod ollama;
mod openai;
mod prompt_text;
mod remote;
mod responses;
#[cfg(test)]
mod scripted;
mod sse;
mod tool_calls;
mod verdict;
pub mod wire;

use crate::{
    message::{Prompt, ToolCall, UnixMillis},
    outcome::{Failed, Usage},
};
use futures::{future::BoxFuture, stream::BoxStream};
use reqwest::{Client, header::HeaderMap};
use secrecy::SecretString;
use serde_json::{Map, Value};
use std::{collections::BTreeMap, fmt, sync::Arc};

/// A piece of an answer.
#[derive(Clone, Debug, PartialEq)]
pub enum Piece {
    /// Text for people. Never empty, and the first one has a word in it.
    Text(String),
    /// The model's thoughts: a sign of life, never shown.
    Reasoning(String),
    /// A part of a call to a tool of the program that asked; such an answer may have no text at all.
    ToolCall(ToolCall),
    /// Something came that says nothing: a comment that keeps the connection, a chunk with a role only. At most once for
    /// what came together, and not when a text or a thought came with it.
    Alive,
    /// Tokens used by the whole call; at most once, right before the end, be it a finish or a failure.
    Usage(Usage),
    /// The answer is whole. Always the last piece.
    Finish(Finish),
}

/// Why a whole answer ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finish {
    /// The model had said everything.
    Stop,
    /// It reached the most tokens that it was allowed.
    Length,
    /// The vendor's filter cut it.
    ContentFilter,
    /// The text is the model's refusal.
    Refusal,
    /// It waits for what the tools say.
    ToolCalls,
    /// Another machine word of the vendor; empty if it was none.
    Other(String),
}

/// An answer while it comes: it ends with [`Piece::Finish`] or with one failure, never silently.
pub type Pieces = BoxStream<'static, Result<Piece, Failed>>;

/// One configured way to a model.
pub trait Provider: Send + Sync + fmt::Debug {
    /// Its name as configured.
    fn name(&self) -> &str;

    /// The model that is asked for.
    fn model(&self) -> &str;

    /// The most tokens that prompt and answer may have together.
    fn context_window(&self) -> u32;

    /// What this usage costs by the configured prices; none if either is not known.
    fn cost(&self, usage: Usage) -> Option<f64>;

    /// Whether the model would be told the names of those who speak in this prompt. Where not, the same words of somebody
    /// else are the same question, and may get the same answer.
    fn names_speakers(&self, _prompt: &Prompt) -> bool {
        true
    }

    /// Sends the prompt; resolves when the answer's head is here. Dropping the future or the stream ends the call.
    fn generate(&self, prompt: Arc<Prompt>) -> BoxFuture<'static, Result<Pieces, Failed>>;

    /// Asks the provider, without a prompt, whether it is there. An address that has no such question (404, 405) is a
    /// `BadRequest` with the detail `no health path`: it says that the provider is reached, and nothing of its health.
    fn health_check(&self) -> BoxFuture<'static, Result<(), Failed>>;
}

/// The dialects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// OpenAI's chat completions, and everything compatible.
    OpenAi,
    /// OpenAI's responses.
    OpenAiResponses,
    /// Anthropic's messages.
    Anthropic,
    /// Gemini's `generateContent`.
    Gemini,
    /// Legacy completions with a flat prompt.
    Completions,
    /// Ollama's own chat.
    Ollama,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::OpenAi, Self::OpenAiResponses, Self::Anthropic, Self::Gemini, Self::Completions, Self::Ollama];

    /// Its name in settings.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::OpenAi => "openai",
            Self::OpenAiResponses => "openai-responses",
            Self::Anthropic => "anthropic",
            Self::Gemini => "gemini",
            Self::Completions => "completions",
            Self::Ollama => "ollama",
        }
    }
}

/// What a provider is made from.
#[derive(Clone, Debug)]
pub struct ProviderSpec {
    /// Its name as configured.
    pub name: String,
    /// Its dialect.
    pub kind: Kind,
    /// The address below which the dialect's paths are; a slash at its end changes nothing.
    pub base_url: String,
    /// None for a local server; then no `Authorization` is sent.
    pub api_key: Option<SecretString>,
    /// The header that carries the key, where it is not the dialect's own (Azure).
    pub key_header: Option<String>,
    /// Headers that every call has beside the dialect's.
    pub headers: BTreeMap<String, SecretString>,
    /// What every address ends with, behind a question mark.
    pub query: BTreeMap<String, String>,
    /// Parameters of every question; they take the place of those of the same name.
    pub body: Map<String, Value>,
    /// How freely the model chooses its words; none: as the vendor thinks best.
    pub temperature: Option<f64>,
    /// The model, in the vendor's words.
    pub model: String,
    /// The most tokens that prompt and answer may have together.
    pub context_window: u32,
    /// Money per million tokens of prompt and of answer.
    pub price: Option<(f64, f64)>,
}

impl ProviderSpec {
    fn cost(&self, usage: Usage) -> Option<f64> {
        let (input, output) = self.price?;
        let money = |tokens: u64, price: f64| tokens as f64 * price / 1e6;
        Some(money(usage.tokens_in?, input) + money(usage.tokens_out?, output))
    }
}

/// Why a provider cannot be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// The address is none, or has parts that would end up in logs or in the wrong place.
    #[error("base_url must be an http:// or https:// address without user, password, query and fragment")]
    BaseUrl,
    /// The key cannot be sent.
    #[error(
        "the API key has characters that no HTTP header may have; look for a line break or a quotation mark"
    )]
    ApiKey,
    /// A header of the operator's cannot be sent.
    #[error("a header's name or value has characters that no HTTP header may have")]
    Header,
}

/// Makes a provider that calls through this client (see [`wire::Clients`]).
///
/// # Errors
/// The address, the key or a header can never work.
pub fn build(spec: ProviderSpec, client: Client) -> Result<Arc<dyn Provider>, Unfit> {
    Ok(Arc::new(remote::Remote::new(spec, client)?))
}

/// What the body of an answer with 200 says that comes in these reads and then ends; or, if `is_lost`, breaks off. This is how
/// the answers of providers are read, without a socket: for benchmarks, fuzzing and recordings.
pub fn decode<'a>(
    kind: Kind,
    reads: impl IntoIterator<Item = &'a [u8]>,
    is_lost: bool,
) -> impl Iterator<Item = Result<Piece, Failed>> {
    answer::decode(dialect::of(kind), reads, is_lost)
}

/// The class of an answer with a status that is no 2xx, read from status, headers and body; `now` is the moment to which the
/// moments in it are compared.
#[must_use]
pub fn classify(status: u16, headers: &HeaderMap, body: &[u8], now: UnixMillis) -> Failed {
    verdict::of_answer(status, headers, body, now).0
}

/// A model that a provider lists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Model {
    /// Its name in requests.
    pub id: String,
    /// The most tokens that prompt and answer may have together, if the list says so.
    pub context_window: Option<u32>,
}

/// Asks a provider for its models; the model that the spec names does not matter.
///
/// # Errors
/// The outer one: the spec can never work. The inner one: it did not answer, or not with a list.
pub fn list_models(
    spec: ProviderSpec,
    client: Client,
) -> Result<BoxFuture<'static, Result<Vec<Model>, Failed>>, Unfit> {
    Ok(remote::Remote::new(spec, client)?.models())
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    fn spec(base_url: &str, api_key: Option<&str>) -> ProviderSpec {
        ProviderSpec {
            name: "alpha".to_owned(),
            kind: Kind::OpenAi,
            base_url: base_url.to_owned(),
            api_key: api_key.map(Into::into),
            key_header: None,
            headers: BTreeMap::new(),
            query: BTreeMap::new(),
            body: Map::new(),
            temperature: None,
            model: "m-1".to_owned(),
            context_window: 8192,
            price: Some((2.5, 10.0)),
        }
    }

    fn built(base_url: &str, api_key: Option<&str>) -> Result<String, Unfit> {
        build(spec(base_url, api_key), scripted::CLIENT.clone()).map(|provider| format!("{provider:?}"))
    }

    #[test]
    fn what_can_never_work_is_refused_and_no_key_is_shown() {
        for url in [
            "",
            "api.openai.com/v1",
            "ftp://x/v1",
            "http://",
            "http://a:b@x/v1",
            "http://x/?a=b",
            "http://x/#a",
        ] {
            assert_eq!(built(url, None), Err(Unfit::BaseUrl), "{url}");
        }
        assert_eq!(built("http://x/v1", Some("sk\n1")), Err(Unfit::ApiKey));
        let shown = built("http://x/v1", Some("sk-secret")).unwrap()
            + &format!("{:?}", spec("http://x", Some("sk-secret")));
        assert!(!shown.contains("secret"), "{shown}");
    }

    #[test]
    fn the_cost_is_known_when_price_and_both_counts_are() {
        let known = Usage { tokens_in: Some(1_000_000), tokens_out: Some(200_000), is_estimated: false };
        expect!["Some(4.5)"].assert_eq(&format!("{:?}", spec("", None).cost(known)));
        assert_eq!(spec("", None).cost(Usage { tokens_out: None, ..known }), None);
        assert_eq!(ProviderSpec { price: None, ..spec("", None) }.cost(known), None);
    }
}
