//! Reads the body of a request: what the router must know of it, and the rest as it is, for who can say it (pure).

use super::fault::Fault;
use crate::message::{Line, Prompt, Request, Role};
use serde_json::{Map, Value};
use std::{
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

/// Reads it. `names` are the providers', `reply_tokens` the most tokens of an answer when the caller does not say.
pub(super) fn read(body: &[u8], names: &[&str], reply_tokens: u32) -> Result<Question, Fault> {
    let body =
        serde_json::from_slice(body).map_err(|mistake| Fault::no_json(mistake.line(), mistake.column()))?;
    let Value::Object(mut said) = body else {
        return Err(Fault::wrong_type("body", "an object", sort(&body)));
    };
    let first = models(&said, names)?;
    supported(&said)?;
    let streams = flag(said.get("stream"), "stream")?;
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

/// `model`: `auto`, a provider's name, or several with commas between them.
fn models(said: &Map<String, Value>, names: &[&str]) -> Result<Vec<String>, Fault> {
    let model = match said.get("model") {
        None | Some(Value::Null) => return Err(Fault::missing("model")),
        Some(Value::String(model)) => model,
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
fn supported(said: &Map<String, Value>) -> Result<(), Fault> {
    match said.get("n") {
        None | Some(Value::Null) => {}
        Some(Value::Number(n)) if n.as_u64() == Some(1) => {}
        Some(Value::Number(n)) if n.as_u64().is_some_and(|n| n > 1) => {
            return Err(Fault::unsupported("n", "There is one choice an answer: leave it out."));
        }
        Some(other) => return Err(no_count("n", other)),
    }
    let no_probabilities =
        "Providers count them differently, and an answer may come from any of them: leave it out.";
    if flag(said.get("logprobs"), "logprobs")? {
        return Err(Fault::unsupported("logprobs", no_probabilities));
    }
    if said.get("top_logprobs").is_some_and(|it| !it.is_null() && it.as_u64() != Some(0)) {
        return Err(Fault::unsupported("top_logprobs", no_probabilities));
    }
    if said.get("functions").is_some_and(|it| !it.is_null()) {
        return Err(Fault::unsupported("functions", "Use 'tools' instead."));
    }
    let modalities = said.get("modalities").and_then(Value::as_array);
    if modalities.into_iter().flatten().any(|it| it != "text") {
        return Err(Fault::unsupported("modalities", "Answers are text."));
    }
    match said.get("tools") {
        None | Some(Value::Null | Value::Array(_)) => Ok(()),
        Some(other) => Err(Fault::wrong_type("tools", "an array", sort(other))),
    }
}

fn counts(said: &Map<String, Value>, streams: bool) -> Result<bool, Fault> {
    match said.get("stream_options") {
        None | Some(Value::Null) => Ok(false),
        Some(Value::Object(_)) if !streams => {
            let message = "The parameter 'stream_options' is only for streams.".to_owned();
            Err(Fault::invalid("stream_options", message))
        }
        Some(Value::Object(options)) => flag(options.get("include_usage"), "stream_options.include_usage"),
        Some(other) => Err(Fault::wrong_type("stream_options", "an object", sort(other))),
    }
}

fn flag(value: Option<&Value>, param: &str) -> Result<bool, Fault> {
    match value {
        None | Some(Value::Null) => Ok(false),
        Some(Value::Bool(flag)) => Ok(*flag),
        Some(other) => Err(Fault::wrong_type(param, "a boolean", sort(other))),
    }
}

/// The most tokens that the caller wants.
fn limit(said: &Map<String, Value>, param: &str) -> Result<Option<u32>, Fault> {
    match said.get(param) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => match value.as_u64() {
            Some(limit @ 1..) => Ok(Some(u32::try_from(limit).unwrap_or(u32::MAX))),
            Some(0) | None => Err(no_count(param, value)),
        },
    }
}

fn no_count(param: &str, value: &Value) -> Fault {
    const EXPECTED: &str = "an integer above zero";
    match value {
        Value::Number(_) => {
            Fault::invalid(param, format!("Invalid value for '{param}': expected {EXPECTED}."))
        }
        other => Fault::wrong_type(param, EXPECTED, sort(other)),
    }
}

/// The text of the messages, for who knows only text, and to reckon its length.
fn messages(said: &Map<String, Value>, prompt: &mut Prompt) -> Result<(), Fault> {
    let messages = match said.get("messages") {
        None | Some(Value::Null) => return Err(Fault::missing("messages")),
        Some(Value::Array(messages)) if messages.is_empty() => {
            let message = "Invalid 'messages': an empty array; at least one message is needed.".to_owned();
            return Err(Fault::invalid("messages", message));
        }
        Some(Value::Array(messages)) => messages,
        Some(other) => return Err(Fault::wrong_type("messages", "an array of objects", sort(other))),
    };
    for (index, message) in messages.iter().enumerate() {
        let at = |what: &str| format!("messages[{index}]{what}");
        let Value::Object(message) = message else {
            return Err(Fault::wrong_type(at(""), "an object", sort(message)));
        };
        let role = match message.get("role") {
            None | Some(Value::Null) => return Err(Fault::missing(&at(".role"))),
            Some(Value::String(role)) => role.as_str(),
            Some(other) => return Err(Fault::wrong_type(at(".role"), "a string", sort(other))),
        };
        let text = text(message.get("content"), role == "assistant", &at(".content"))?;
        let name = message.get("name").and_then(Value::as_str).map(str::to_owned);
        match role {
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
fn text(content: Option<&Value>, may_lack: bool, param: &str) -> Result<String, Fault> {
    const EXPECTED: &str = "a string or an array of objects";
    let parts = match content {
        Some(Value::String(text)) => return Ok(text.clone()),
        Some(Value::Array(parts)) => parts,
        None | Some(Value::Null) if may_lack => return Ok(String::new()),
        None => return Err(Fault::missing(param)),
        Some(other) => return Err(Fault::wrong_type(param, EXPECTED, sort(other))),
    };
    let mut text = String::new();
    for (index, part) in parts.iter().enumerate() {
        let at = |what: &str| format!("{param}[{index}]{what}");
        let Value::Object(part) = part else {
            return Err(Fault::wrong_type(at(""), "an object", sort(part)));
        };
        let word = match part.get("type").and_then(Value::as_str) {
            Some(sort @ ("text" | "refusal")) => part.get(sort),
            Some(_) => continue,
            None => return Err(Fault::missing(&at(".type"))),
        };
        let Some(Value::String(word)) = word else {
            return Err(Fault::wrong_type(at(".text"), "a string", word.map_or("nothing", sort)));
        };
        text += if text.is_empty() { "" } else { "\n" };
        text += word;
    }
    Ok(text)
}

/// A caller may say whose conversation it is; else its beginning tells, which each request repeats.
fn session(said: &Map<String, Value>, prompt: &Prompt) -> u64 {
    let named = ["prompt_cache_key", "user", "safety_identifier"];
    let named = named.into_iter().find_map(|key| said.get(key)?.as_str());
    let mut hasher = DefaultHasher::new();
    match named {
        Some(name) => name.hash(&mut hasher),
        None => (&prompt.system, prompt.lines.first()).hash(&mut hasher),
    }
    hasher.finish()
}

/// What a value is, in words.
fn sort(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(number) if number.is_f64() => "a decimal",
        Value::Number(_) => "an integer",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests;
