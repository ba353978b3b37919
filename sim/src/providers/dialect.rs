//! What the four wire formats have in common: reading a question, and the bytes of an answer.

use super::{anthropic::Anthropic, completions::Completions, gemini::Gemini, openai::OpenAi};
use serde_json::Value;
use std::{fmt, time::Duration};

/// A provider's dialect, by the word that the bot's config has for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `POST …/chat/completions`, `GET …/models`.
    OpenAi,
    /// `POST …/messages`, `GET …/models`.
    Anthropic,
    /// `POST …/models/{model}:streamGenerateContent?alt=sse` and `:generateContent`, `GET …/models`.
    Gemini,
    /// `POST …/completions` with a flat prompt, `GET …/health`.
    Completions,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::OpenAi, Self::Anthropic, Self::Gemini, Self::Completions];

    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::OpenAi => "openai",
            Self::Anthropic => "anthropic",
            Self::Gemini => "gemini",
            Self::Completions => "completions",
        }
    }

    /// Reads the word.
    ///
    /// # Errors
    /// An unknown word, with those that are known.
    pub fn parse(word: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.as_str() == word)
            .ok_or_else(|| format!("`kind={word}`: expected {}", Self::ALL.map(Self::as_str).join(", ")))
    }

    pub(crate) fn dialect(self) -> &'static dyn Dialect {
        match self {
            Self::OpenAi => &OpenAi,
            Self::Anthropic => &Anthropic,
            Self::Gemini => &Gemini,
            Self::Completions => &Completions,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Why an answer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Finish {
    Stop,
    Length,
    ContentFilter,
}

impl Finish {
    pub(crate) fn parse(word: &str) -> Result<Self, String> {
        match word {
            "stop" => Ok(Self::Stop),
            "length" => Ok(Self::Length),
            "content_filter" => Ok(Self::ContentFilter),
            _ => Err(format!("`finish={word}`: expected stop, length or content_filter")),
        }
    }

    /// OpenAI's word, which most others took over.
    pub(crate) fn openai(self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::Length => "length",
            Self::ContentFilter => "content_filter",
        }
    }
}

/// What a request asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// An answer.
    Answer(Asked),
    /// Whether the provider is well.
    Health,
    /// A path that this vendor does not have.
    Nothing,
}

/// A question.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Asked {
    pub(crate) stream: bool,
    pub(crate) model: String,
    /// The last line that the person said.
    pub(crate) question: String,
    /// The question's tokens, roughly.
    pub(crate) tokens_in: usize,
    /// OpenAI counts a stream's tokens only when it is asked to.
    pub(crate) count_tokens: bool,
}

/// An answer under way.
pub(crate) struct Reply<'a> {
    pub(crate) asked: &'a Asked,
    /// Unique among this provider's answers.
    pub(crate) id: String,
    pub(crate) finish: Finish,
    /// What it thinks aloud before the text.
    pub(crate) reasoning: Option<&'a str>,
    pub(crate) tokens_out: usize,
}

/// An error as a vendor tells it.
pub(crate) struct Trouble<'a> {
    pub(crate) status: u16,
    pub(crate) code: Option<&'a str>,
    /// For the vendor that says it in the body.
    pub(crate) retry_after: Option<Duration>,
}

/// One wire format. The methods return bytes of a body as text; who sends them, and when, is not known here.
pub(crate) trait Dialect: Sync {
    /// What this request asks for; `path` includes the query.
    fn wanted(&self, method: &str, path: &str, body: &Value) -> Wanted;
    /// What a stream begins with.
    fn opening(&self, reply: &Reply<'_>) -> String;
    /// A piece of thinking aloud; empty where the dialect has no place for it.
    fn reasoning(&self, reply: &Reply<'_>, text: &str) -> String;
    /// What stands between the thinking aloud and the text.
    fn thought(&self, _reply: &Reply<'_>) -> String {
        String::new()
    }
    /// A piece of the text.
    fn piece(&self, reply: &Reply<'_>, text: &str) -> String;
    /// What a whole stream ends with.
    fn ending(&self, reply: &Reply<'_>) -> String;
    /// An error inside a stream.
    fn error_event(&self, trouble: &Trouble<'_>) -> String;
    /// A piece that is not what the dialect says.
    fn malformed_piece(&self) -> String;
    /// The whole answer as one document.
    fn whole(&self, reply: &Reply<'_>, text: &str) -> Value;
    /// The body of an error.
    fn error_body(&self, trouble: &Trouble<'_>) -> Value;
    /// Whether the vendor has no `retry-after` header, and says it in the body instead.
    fn waits_in_body(&self) -> bool {
        false
    }
    /// What `GET …/models` or `…/health` answers when the provider is well.
    fn healthy(&self, model: &str) -> Value;
}

/// Tokens of a text, roughly: four characters each.
pub(crate) fn tokens(text: &str) -> usize {
    text.chars().count().div_ceil(4)
}

/// The path without its query.
pub(crate) fn bare(path: &str) -> &str {
    path.split_once('?').map_or(path, |(bare, _)| bare)
}

/// A server-sent event with only data, as most vendors frame it.
pub(crate) fn data(json: &Value) -> String {
    format!("data: {json}\n\n")
}

/// Reads `messages` as OpenAI and Anthropic have them.
pub(crate) fn chat(body: &Value) -> Asked {
    let messages = body["messages"].as_array().map_or(&[][..], Vec::as_slice);
    let last = messages.iter().rev().find(|message| message["role"] == "user");
    let question = last.map(|message| text_of(&message["content"], "text")).unwrap_or_default();
    Asked {
        stream: body["stream"] == true,
        model: body["model"].as_str().unwrap_or_default().to_owned(),
        question: last_line(&question),
        tokens_in: tokens(&body["messages"].to_string()) + tokens(&body["system"].to_string()),
        count_tokens: body["stream_options"]["include_usage"] == true,
    }
}

/// A text, or the texts of a list of parts.
pub(crate) fn text_of(content: &Value, key: &str) -> String {
    match content {
        Value::String(text) => text.clone(),
        Value::Array(parts) => {
            parts.iter().filter_map(|part| part[key].as_str()).collect::<Vec<_>>().join("\n")
        }
        _ => String::new(),
    }
}

/// The last line that is not empty, without a leading `Name: `.
pub(crate) fn last_line(text: &str) -> String {
    let line = text.lines().rev().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
    match line.split_once(": ") {
        Some((name, said)) if !name.is_empty() && !name.contains(char::is_whitespace) => said.to_owned(),
        _ => line.to_owned(),
    }
}

/// OpenAI's type, parameter and sentence for an error code or status.
pub(crate) fn openai_error(trouble: &Trouble<'_>) -> Value {
    let (kind, code, param, message) = match (trouble.code, trouble.status) {
        (Some("insufficient_quota"), _) => {
            ("insufficient_quota", Some("insufficient_quota"), None, "You exceeded your current quota.")
        }
        (Some("context_length_exceeded"), _) => (
            "invalid_request_error",
            Some("context_length_exceeded"),
            Some("messages"),
            "This model's maximum context length is 8192 tokens. However, your messages resulted in 9000 tokens.",
        ),
        (Some("unsupported_parameter"), _) => (
            "invalid_request_error",
            Some("unsupported_parameter"),
            Some("max_tokens"),
            "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.",
        ),
        (Some(code @ ("server_error" | "overloaded_error" | "api_error" | "unavailable_error")), _) => {
            (code, None, None, "The server had an error while processing your request.")
        }
        (Some(code), 429) => ("requests", Some(code), None, "Rate limit reached for requests."),
        (Some(code), _) => ("invalid_request_error", Some(code), None, "Your request was rejected."),
        (None, 401) => {
            ("invalid_request_error", Some("invalid_api_key"), None, "Incorrect API key provided.")
        }
        (None, 403) => ("invalid_request_error", None, None, "You are not allowed to do this."),
        (None, 404) => {
            ("invalid_request_error", Some("model_not_found"), Some("model"), "The model does not exist.")
        }
        (None, 429) => ("requests", Some("rate_limit_exceeded"), None, "Rate limit reached for requests."),
        (None, 503) => {
            ("service_unavailable", None, None, "The engine is currently overloaded, please try again later.")
        }
        (None, 500..) => {
            ("server_error", None, None, "The server had an error while processing your request.")
        }
        (None, _) => ("invalid_request_error", None, None, "Your request was rejected."),
    };
    serde_json::json!({ "error": { "message": message, "type": kind, "param": param, "code": code } })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_line_is_what_the_person_said() {
        assert_eq!(last_line("Ana: hi\n\nBob: and now?\n"), "and now?");
        assert_eq!(last_line("a title: with words"), "a title: with words");
        assert_eq!(last_line(""), "");
    }
}
