//! What the six wire formats have in common: reading a question, and the bytes of an answer.

use serde_json::Value;
use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

/// Why an answer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Finish {
    Stop,
    Length,
    ContentFilter,
    /// It waits for what the tools say; never in a scene, as it goes with `call=`.
    Calls,
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
            Self::Calls => "tool_calls",
        }
    }
}

/// A call of one of the program's tools.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Call {
    /// The tool's name.
    pub(crate) name: String,
    /// An object.
    pub(crate) arguments: Value,
}

impl Call {
    /// Its arguments as vendors stream them: JSON in two parts, neither of which is any.
    pub(crate) fn parts(&self) -> [String; 2] {
        let json = self.arguments.to_string();
        let middle = (1..=json.len().div_ceil(2)).rev().find(|at| json.is_char_boundary(*at)).unwrap_or(0);
        let (first, second) = json.split_at(middle);
        [first.to_owned(), second.to_owned()]
    }
}

/// What a request asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// An answer.
    Answer(Asked),
    /// Whether the provider is well, or which models it has.
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
    /// All that it will have said, for the dialect that repeats it at the end.
    pub(crate) text: &'a str,
    /// Which tools it calls behind the text.
    pub(crate) calls: &'a [Call],
    pub(crate) tokens_out: usize,
    /// Events so far, for the dialect that numbers them.
    pub(crate) events: AtomicU64,
}

impl Reply<'_> {
    /// The number of the next event, from zero.
    pub(crate) fn number(&self) -> u64 {
        self.events.fetch_add(1, Ordering::Relaxed)
    }

    /// Whether there is a text, or at least a place for one: who only calls tools says nothing.
    pub(crate) fn speaks(&self) -> bool {
        !self.text.is_empty() || self.calls.is_empty()
    }

    /// The id of the call with this number, in a vendor's manner.
    pub(crate) fn call_id(&self, prefix: &str, number: usize) -> String {
        format!("{prefix}_{}_{number}", self.id)
    }
}

/// An error as a vendor tells it.
pub(crate) struct Trouble<'a> {
    pub(crate) status: u16,
    pub(crate) code: Option<&'a str>,
    /// The model that was asked for.
    pub(crate) model: &'a str,
    /// For the vendor that says it in the body.
    pub(crate) retry_after: Option<Duration>,
}

/// The models that a provider has.
pub(crate) struct Shelf<'a> {
    /// At least one.
    pub(crate) models: &'a [String],
    /// How many tokens each takes, if the scene says so.
    pub(crate) window: Option<u32>,
}

/// How a stream is framed, and what stands in it that says nothing.
pub(crate) struct Framed {
    pub(crate) content_type: &'static str,
    /// Keeps the connection alive.
    pub(crate) comment: &'static str,
    /// An event that is empty.
    pub(crate) empty: &'static str,
    /// The beginning of a line that never ends.
    pub(crate) line: &'static str,
}

/// Server-sent events.
const EVENTS: Framed = Framed {
    content_type: "text/event-stream",
    comment: ": keep-alive\n\n",
    empty: "data:\n\n",
    line: "data: ",
};

/// One wire format. The methods return bytes of a body as text; who sends them, and when, is not known here.
pub(crate) trait Dialect: Sync {
    /// How its streams are framed.
    fn framed(&self) -> &'static Framed {
        &EVENTS
    }
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
    /// What a whole stream ends with: the calls of tools, and the finish.
    fn ending(&self, reply: &Reply<'_>) -> String;
    /// An error inside a stream.
    fn error_event(&self, reply: &Reply<'_>, trouble: &Trouble<'_>) -> String;
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
    /// What `GET …/models`, `…/health` or `…/api/tags` answers when the provider is well.
    fn healthy(&self, shelf: &Shelf<'_>) -> Value;
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
