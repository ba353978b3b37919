//! How people's names stand in a prompt, and whether a prompt is more than text (pure).

use crate::message::{Line, Prompt, Request, Role};
use serde_json::Value;

/// The longest name that is told to a model, in characters: Discord's own limit.
const MAX_NAME: usize = 32;

/// Whether more than one person speaks, so that the model must be told who says what.
pub(super) fn has_several_speakers(prompt: &Prompt) -> bool {
    let mut names = speakers(prompt);
    let first = names.next();
    names.any(|name| Some(name) != first)
}

/// A line as one text; a person's with the name before it if `is_named`.
pub(super) fn spoken(line: &Line, is_named: bool) -> String {
    match &line.speaker {
        Some(name) if is_named && line.role == Role::User => format!("{}: {}", label(name), line.text),
        _ => line.text.clone(),
    }
}

/// Everybody who speaks, oldest line first, as often as they do.
pub(super) fn speakers(prompt: &Prompt) -> impl DoubleEndedIterator<Item = &str> {
    prompt.lines.iter().filter(|line| line.role == Role::User).filter_map(|line| line.speaker.as_deref())
}

/// A name as one short word or line: a name must not be able to begin a line of its own.
pub(super) fn label(name: &str) -> String {
    let plain: String =
        name.chars().map(|c| if c.is_control() || c == ':' { ' ' } else { c }).take(MAX_NAME).collect();
    let plain = plain.split_whitespace().collect::<Vec<_>>().join(" ");
    if plain.is_empty() { "User".to_owned() } else { plain }
}

/// What a program asks for that no flat text can say: `tools`, `image`, `response_format`, or another sort of part.
pub(super) fn beyond_text(said: &Request) -> Option<&'static str> {
    let is_some = |value: &Value| !value.is_null() && value.as_array().is_none_or(|list| !list.is_empty());
    if said.get("tools").is_some_and(|it| is_some(&it)) {
        return Some("tools");
    }
    if said.get("response_format").is_some_and(|it| is_some(&it) && it["type"] != "text") {
        return Some("response_format");
    }
    let messages = said.get("messages");
    messages.as_ref().and_then(Value::as_array).into_iter().flatten().find_map(|message| {
        if message["role"] == "tool" || is_some(&message["tool_calls"]) {
            return Some("tools");
        }
        let parts = message["content"].as_array().into_iter().flatten();
        parts.filter_map(|part| part["type"].as_str()).find_map(|sort| match sort {
            "text" | "refusal" => None,
            "image_url" => Some("image"),
            "input_audio" => Some("audio"),
            _ => Some("file"),
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_no_flat_text_can_say_is_found() {
        let beyond = |body: Value| beyond_text(&serde_json::from_value(body).unwrap());
        let said = |content: Value| json!({"messages": [{"role": "user", "content": content}]});
        assert_eq!(beyond(said(json!("hi"))), None);
        assert_eq!(beyond(said(json!([{"type": "text", "text": "hi"}]))), None);
        assert_eq!(beyond(said(json!([{"type": "image_url"}]))), Some("image"));
        assert_eq!(beyond(said(json!([{"type": "input_audio"}]))), Some("audio"));
        assert_eq!(beyond(json!({"tools": []})), None);
        assert_eq!(beyond(json!({"tools": [{}]})), Some("tools"));
        assert_eq!(beyond(json!({"messages": [{"role": "tool", "content": "7"}]})), Some("tools"));
        assert_eq!(beyond(json!({"response_format": {"type": "text"}})), None);
        assert_eq!(beyond(json!({"response_format": {"type": "json_object"}})), Some("response_format"));
        assert_eq!(beyond(json!({"messages": 7})), None);
    }
}
