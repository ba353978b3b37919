//! Reads the body of a request: what the router must know of it, and the rest as it is, for who can say it (pure).

use super::fault::Fault;
use crate::message::{Line, Prompt, Request, Role};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::{
    collections::BTreeMap,
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
};

/// What a caller asks.
#[derive(Debug)]
pub(super) struct Question {
    pub(super) prompt: Prompt,
    /// The providers it names, in its order; none for `auto`.
    pub(super) first: Vec<String>,
    /// It wants the answer piece by piece.
    pub(super) streams: bool,
    /// It wants the tokens counted at the end of the stream.
    pub(super) counts: bool,
    /// The same for all requests of a conversation, as far as can be seen.
    pub(super) session: u64,
}

/// A parameter as it was written: nothing of it is changed on its way, and what is not looked at is not taken apart.
type Raw = RawValue;
type Said = BTreeMap<String, Box<Raw>>;
/// An object within one. A key that is said twice has its last value, as everywhere.
type Parts<'a> = BTreeMap<String, &'a Raw>;

/// Reads it. `names` are the providers', `reply_tokens` the most tokens of an answer when the caller does not say.
pub(super) fn read(body: &[u8], names: &[&str], reply_tokens: u32) -> Result<Question, Fault> {
    let mut said: Said = serde_json::from_slice(body).map_err(|mistake| match body.trim_ascii_start() {
        // Every value may be anything: only the whole can be of a wrong sort.
        [first, ..] if mistake.is_data() => Fault::wrong_type("body", "an object", sort_of(*first)),
        _ => Fault::no_json(mistake.line(), mistake.column()),
    })?;
    let first = models(&said, names)?;
    supported(&said)?;
    let streams = flag(given(&said, "stream"), "stream")?;
    let counts = counts(&said, streams)?;
    let reply_tokens =
        limit(&said, "max_completion_tokens")?.or(limit(&said, "max_tokens")?).unwrap_or(reply_tokens);
    let mut prompt = Prompt { reply_tokens, ..Prompt::default() };
    messages(&said, &mut prompt)?;
    let session = session(&said, &prompt);
    for ours in ["model", "stream", "stream_options"] {
        said.remove(ours);
    }
    prompt.request = Some(Arc::new(Request(said)));
    Ok(Question { prompt, first, streams, counts, session })
}

/// A parameter; a null is none.
fn given<'a>(said: &'a Said, param: &str) -> Option<&'a Raw> {
    said.get(param).map(|it| &**it).filter(|it| !is_null(it))
}

fn is_null(value: &Raw) -> bool {
    value.get() == "null"
}

/// The value, if it is of this sort. What is no sort of number or text that can be held is none, either.
fn held<'a, T: Deserialize<'a>>(value: &'a Raw) -> Option<T> {
    serde_json::from_str(value.get()).ok()
}

fn is_string(value: &Raw) -> bool {
    value.get().starts_with('"')
}

fn string(value: &Raw, param: &dyn Fn() -> String) -> Result<String, Fault> {
    held(value).ok_or_else(|| {
        let param = param();
        let message = format!("Invalid value for '{param}': an escape in it is no character.");
        Fault::invalid(param, message)
    })
}

/// `model`: `auto`, a provider's name, or several with commas between them.
fn models(said: &Said, names: &[&str]) -> Result<Vec<String>, Fault> {
    let model = match given(said, "model") {
        None => return Err(Fault::missing("model")),
        Some(model) if is_string(model) => string(model, &|| "model".to_owned())?,
        Some(other) => return Err(Fault::wrong_type("model", "a string", sort(other))),
    };
    let mut first: Vec<String> = Vec::new();
    for name in model.split(',').map(str::trim) {
        let is_known = name == "auto" || names.contains(&name);
        if !is_known {
            return Err(Fault::unknown_model(name));
        }
        if name != "auto" && !first.iter().any(|it| it == name) {
            first.push(name.to_owned());
        }
    }
    Ok(first)
}

/// What would make an answer of another shape than the router's, and so cannot be passed on.
fn supported(said: &Said) -> Result<(), Fault> {
    match given(said, "n").map(|n| (n, held::<u64>(n))) {
        None | Some((_, Some(1))) => {}
        Some((_, Some(2..))) => {
            return Err(Fault::unsupported("n", "There is one choice an answer: leave it out."));
        }
        Some((other, Some(0) | None)) => return Err(no_count("n", other)),
    }
    let no_probabilities =
        "Providers count them differently, and an answer may come from any of them: leave it out.";
    if flag(given(said, "logprobs"), "logprobs")? {
        return Err(Fault::unsupported("logprobs", no_probabilities));
    }
    if given(said, "top_logprobs").is_some_and(|it| held::<u64>(it) != Some(0)) {
        return Err(Fault::unsupported("top_logprobs", no_probabilities));
    }
    if given(said, "functions").is_some() {
        return Err(Fault::unsupported("functions", "Use 'tools' instead."));
    }
    let modalities: Option<Vec<&Raw>> = given(said, "modalities").and_then(held);
    if modalities.into_iter().flatten().any(|it| it.get() != r#""text""#) {
        return Err(Fault::unsupported("modalities", "Answers are text."));
    }
    match given(said, "tools").map(sort) {
        None | Some("an array") => Ok(()),
        Some(other) => Err(Fault::wrong_type("tools", "an array", other)),
    }
}

fn counts(said: &Said, streams: bool) -> Result<bool, Fault> {
    let Some(options) = given(said, "stream_options") else { return Ok(false) };
    match held::<Parts<'_>>(options) {
        None => Err(Fault::wrong_type("stream_options", "an object", sort(options))),
        Some(_) if !streams => {
            let message = "The parameter 'stream_options' is only for streams.".to_owned();
            Err(Fault::invalid("stream_options", message))
        }
        Some(options) => flag(options.get("include_usage").copied(), "stream_options.include_usage"),
    }
}

fn flag(value: Option<&Raw>, param: &str) -> Result<bool, Fault> {
    match value.map(Raw::get) {
        None | Some("null" | "false") => Ok(false),
        Some("true") => Ok(true),
        Some(other) => Err(Fault::wrong_type(param, "a boolean", sort_in(other))),
    }
}

/// The most tokens that the caller wants.
fn limit(said: &Said, param: &str) -> Result<Option<u32>, Fault> {
    let Some(value) = given(said, param) else { return Ok(None) };
    match held::<u64>(value) {
        Some(limit @ 1..) => Ok(Some(u32::try_from(limit).unwrap_or(u32::MAX))),
        Some(0) | None => Err(no_count(param, value)),
    }
}

fn no_count(param: &str, value: &Raw) -> Fault {
    const EXPECTED: &str = "an integer above zero";
    match sort(value) {
        "an integer" | "a decimal" => {
            Fault::invalid(param, format!("Invalid value for '{param}': expected {EXPECTED}."))
        }
        other => Fault::wrong_type(param, EXPECTED, other),
    }
}

/// The text of the messages, for who knows only text, and to reckon its length.
fn messages(said: &Said, prompt: &mut Prompt) -> Result<(), Fault> {
    let Some(messages) = given(said, "messages") else { return Err(Fault::missing("messages")) };
    let Some(messages) = held::<Vec<&Raw>>(messages) else {
        return Err(Fault::wrong_type("messages", "an array of objects", sort(messages)));
    };
    if messages.is_empty() {
        let message = "Invalid 'messages': an empty array; at least one message is needed.".to_owned();
        return Err(Fault::invalid("messages", message));
    }
    for (index, message) in messages.into_iter().enumerate() {
        let at = |what: &str| format!("messages[{index}]{what}");
        let Some(message) = held::<Parts<'_>>(message) else {
            return Err(Fault::wrong_type(at(""), "an object", sort(message)));
        };
        let role = match message.get("role") {
            Some(role) if is_string(role) => string(role, &|| at(".role"))?,
            Some(other) if !is_null(other) => {
                return Err(Fault::wrong_type(at(".role"), "a string", sort(other)));
            }
            Some(_) | None => return Err(Fault::missing(&at(".role"))),
        };
        let text = text(message.get("content").copied(), role == "assistant", &|| at(".content"))?;
        let name = message.get("name").and_then(|it| held(it));
        match role.as_str() {
            "system" | "developer" => {
                let gap = if prompt.system.is_empty() { "" } else { "\n\n" };
                prompt.system = std::mem::take(&mut prompt.system) + gap + &text;
            }
            "user" => prompt.lines.push(Line { role: Role::User, speaker: name, text }),
            "assistant" => prompt.lines.push(Line { role: Role::Assistant, speaker: None, text }),
            "tool" | "function" => prompt.lines.push(Line { role: Role::User, speaker: None, text }),
            _ => {
                let known = "'system', 'developer', 'user', 'assistant' and 'tool'";
                return Err(Fault::invalid(at(".role"), format!("Invalid role: there are {known}.")));
            }
        }
    }
    Ok(())
}

/// The text of a message's content: a string, or the text parts of a list. `may_lack`: calls of tools stand in its place.
fn text(content: Option<&Raw>, may_lack: bool, param: &dyn Fn() -> String) -> Result<String, Fault> {
    const EXPECTED: &str = "a string or an array of objects";
    let content = match content {
        Some(content) if is_string(content) => return string(content, param),
        Some(content) if may_lack && is_null(content) => return Ok(String::new()),
        Some(content) => content,
        None if may_lack => return Ok(String::new()),
        None => return Err(Fault::missing(&param())),
    };
    let Some(parts) = held::<Vec<&Raw>>(content) else {
        return Err(Fault::wrong_type(param(), EXPECTED, sort(content)));
    };
    let mut text = String::new();
    for (index, part) in parts.into_iter().enumerate() {
        let at = |what: &str| format!("{}[{index}]{what}", param());
        let Some(part) = held::<Parts<'_>>(part) else {
            return Err(Fault::wrong_type(at(""), "an object", sort(part)));
        };
        let word = match part.get("type").and_then(|it| held::<String>(it)).as_deref() {
            Some(sort @ ("text" | "refusal")) => part.get(sort).copied(),
            Some(_) => continue,
            None => return Err(Fault::missing(&at(".type"))),
        };
        let Some(word) = word.filter(|it| is_string(it)) else {
            return Err(Fault::wrong_type(at(".text"), "a string", word.map_or("nothing", sort)));
        };
        text += if text.is_empty() { "" } else { "\n" };
        text += &string(word, &|| at(".text"))?;
    }
    Ok(text)
}

/// A caller may say whose conversation it is; else its beginning tells, which each request repeats.
fn session(said: &Said, prompt: &Prompt) -> u64 {
    let named = ["prompt_cache_key", "user", "safety_identifier"];
    let named = named.into_iter().find_map(|key| held::<String>(said.get(key)?));
    let mut hasher = DefaultHasher::new();
    match named {
        Some(name) => name.hash(&mut hasher),
        None => (&prompt.system, prompt.lines.first()).hash(&mut hasher),
    }
    hasher.finish()
}

/// What a value is, in words.
fn sort(value: &Raw) -> &'static str {
    sort_in(value.get())
}

fn sort_in(json: &str) -> &'static str {
    match json.as_bytes() {
        [b'-' | b'0'..=b'9', rest @ ..] if rest.iter().any(|it| matches!(it, b'.' | b'e' | b'E')) => {
            "a decimal"
        }
        [first, ..] => sort_of(*first),
        [] => "nothing",
    }
}

/// What begins with this.
fn sort_of(first: u8) -> &'static str {
    match first {
        b'n' => "null",
        b't' | b'f' => "a boolean",
        b'"' => "a string",
        b'[' => "an array",
        b'{' => "an object",
        _ => "an integer",
    }
}

#[cfg(test)]
mod tests;
