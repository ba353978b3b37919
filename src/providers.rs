//! The one interface to AI providers, and how one is made from what is configured.
//!
//! Each dialect is a file below; all of them say the same [`Piece`]s and the same failures, so that everything above is
//! the same for all. Nothing here is tried twice, waits for a breaker or has a time limit for an answer: that is the
//! router's. Dropping a [`Pieces`] stream closes its connection.

mod answer;
mod completions;
mod openai;
mod prompt_text;
#[cfg(test)]
mod scripted;
pub mod sse;
mod tool_calls;
mod verdict;
pub mod wire;

use crate::{
    message::{Prompt, ToolCall},
    outcome::{Failed, Failure, Usage},
};
use futures::{future::BoxFuture, stream::BoxStream};
use reqwest::{Client, RequestBuilder, Url, header::HeaderValue};
use secrecy::{ExposeSecret, SecretString};
use std::{fmt, future::Future, sync::Arc};

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
    /// The vendor's filter cut it, or the text is the model's refusal.
    ContentFilter,
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
    /// Chat completions.
    OpenAi,
    /// Legacy completions with a flat prompt.
    Completions,
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
}

/// Makes a provider that calls through this client (see [`wire::Clients`]).
///
/// # Errors
/// The address or the key can never work.
pub fn build(spec: ProviderSpec, client: Client) -> Result<Arc<dyn Provider>, Unfit> {
    let endpoint = Endpoint::new(spec, client)?;
    Ok(match endpoint.spec.kind {
        Kind::OpenAi => Arc::new(openai::OpenAi::new(endpoint)),
        Kind::Completions => Arc::new(completions::Completions::new(endpoint)),
    })
}

fn is_plain(url: &Url) -> bool {
    let has_login = !url.username().is_empty() || url.password().is_some();
    matches!(url.scheme(), "http" | "https")
        && !has_login
        && url.query().is_none()
        && url.fragment().is_none()
}

/// What every dialect calls with.
struct Endpoint {
    spec: ProviderSpec,
    client: Client,
    authorization: Option<HeaderValue>,
    /// Where questions go; parsed once.
    questions: Url,
}

impl Endpoint {
    fn new(mut spec: ProviderSpec, client: Client) -> Result<Self, Unfit> {
        Url::parse(&spec.base_url).ok().filter(is_plain).ok_or(Unfit::BaseUrl)?;
        spec.base_url.truncate(spec.base_url.trim_end_matches('/').len());
        let path = match spec.kind {
            Kind::OpenAi => "/chat/completions",
            Kind::Completions => "/completions",
        };
        let questions = Url::parse(&format!("{}{path}", spec.base_url)).map_err(|_| Unfit::BaseUrl)?;
        let authorization = spec.api_key.as_ref().map(|key| {
            let mut value = HeaderValue::try_from(format!("Bearer {}", key.expose_secret().trim()))?;
            value.set_sensitive(true);
            Ok::<_, reqwest::header::InvalidHeaderValue>(value)
        });
        let authorization = authorization.transpose().map_err(|_| Unfit::ApiKey)?;
        Ok(Self { spec, client, authorization, questions })
    }

    fn post(&self) -> RequestBuilder {
        self.with_key(self.client.post(self.questions.clone()))
    }

    fn with_key(&self, request: RequestBuilder) -> RequestBuilder {
        match &self.authorization {
            Some(value) => request.header(reqwest::header::AUTHORIZATION, value),
            None => request,
        }
    }

    /// Whether `GET path` is answered with a 2xx that is no web page.
    fn health(&self, path: &str) -> impl Future<Output = Result<(), Failed>> + Send + use<> {
        let request = self.with_key(self.client.get(format!("{}{path}", self.spec.base_url)));
        async move {
            let response = match wire::send(request).await {
                Ok(response) => response,
                Err(wire::Refused { failed, .. }) if matches!(failed.http_status, Some(404 | 405)) => {
                    let failure = Failure::BadRequest;
                    return Err(Failed { failure, detail: "no health path".to_owned(), ..failed });
                }
                Err(refused) => return Err(refused.failed),
            };
            let status = response.status().as_u16();
            if wire::beginning(response, 256).await.trim_ascii_start().starts_with(b"<") {
                return Err(Failed { http_status: Some(status), ..Failed::new(Failure::Malformed, "html") });
            }
            Ok(())
        }
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { spec, .. } = self;
        f.debug_struct("Endpoint").field("name", &spec.name).field("kind", &spec.kind).finish_non_exhaustive()
    }
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
