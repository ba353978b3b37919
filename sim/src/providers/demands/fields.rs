//! The fields that Anthropic and OpenAI know, and what must be in them: as much of it as clients get wrong.

use super::{INVALID, Refusal, openai};
use serde_json::{Value, json};

/// Found by asking for each with a wrong type: what is not among them is not permitted.
const ANTHROPIC: [&str; 18] = [
    "model",
    "messages",
    "max_tokens",
    "cache_control",
    "container",
    "inference_geo",
    "metadata",
    "output_config",
    "service_tier",
    "stop_sequences",
    "stream",
    "system",
    "temperature",
    "thinking",
    "tool_choice",
    "tools",
    "top_k",
    "top_p",
];

/// The fields of a response's request.
const RESPONSES: [&str; 33] = [
    "model",
    "input",
    "instructions",
    "max_output_tokens",
    "max_tool_calls",
    "temperature",
    "top_p",
    "top_logprobs",
    "stream",
    "stream_options",
    "text",
    "tools",
    "tool_choice",
    "parallel_tool_calls",
    "reasoning",
    "include",
    "store",
    "background",
    "previous_response_id",
    "conversation",
    "truncation",
    "metadata",
    "user",
    "safety_identifier",
    "prompt_cache_key",
    "prompt_cache_retention",
    "prompt_cache_options",
    "service_tier",
    "prompt",
    "context_management",
    "moderation",
    "presence_penalty",
    "frequency_penalty",
];

/// Chat's names, and where they are in a response's request.
const MOVED: [(&str, &str); 5] = [
    ("messages", "input"),
    ("max_tokens", "max_output_tokens"),
    ("max_completion_tokens", "max_output_tokens"),
    ("response_format", "text.format"),
    ("reasoning_effort", "reasoning.effort"),
];

pub(super) fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

pub(super) fn keys(value: &Value) -> impl Iterator<Item = &String> {
    value.as_object().into_iter().flat_map(serde_json::Map::keys)
}

/// What Anthropic finds wrong, in the order in which it looks.
pub(super) fn anthropic(body: &Value) -> Option<Refusal> {
    let messages = list(&body["messages"]);
    let message = if !body["model"].is_string() {
        Some("model: Field required".to_owned())
    } else if !body["messages"].is_array() {
        Some("messages: Field required".to_owned())
    } else if messages.is_empty() {
        Some("messages: at least one message is required".to_owned())
    } else {
        let first = (messages[0]["role"] != "user")
            .then(|| "messages: first message must use the \"user\" role".to_owned());
        let of_messages = messages.iter().enumerate().find_map(|(at, it)| anthropic_message(at, it));
        of_messages.or(first).or_else(|| empty_block("system", &body["system"])).or_else(|| limits(body))
    };
    message.map(|message| super::anthropic(400, INVALID, &message))
}

fn anthropic_message(at: usize, message: &Value) -> Option<String> {
    match message["role"].as_str() {
        Some("user" | "assistant") => {}
        Some("system") => {
            return Some(
                "messages: Unexpected role \"system\". The Messages API accepts a top-level `system` parameter, not \
                 \"system\" as an input message role."
                    .into(),
            );
        }
        _ => return Some(format!("messages.{at}.role: Input should be 'user' or 'assistant'")),
    }
    if let Some(key) = keys(message).find(|key| !matches!(key.as_str(), "role" | "content")) {
        return Some(format!("messages.{at}.{key}: Extra inputs are not permitted"));
    }
    if message["content"] == "" || message["content"] == json!([]) {
        return Some(format!(
            "messages.{at}: all messages must have non-empty content except for the optional final assistant message"
        ));
    }
    empty_block("messages", &message["content"])
}

/// A block of text without text.
fn empty_block(place: &str, content: &Value) -> Option<String> {
    let texts = list(content).iter().filter(|block| block["type"] == "text");
    texts.filter_map(|block| block["text"].as_str()).chain(content.as_str()).find_map(|text| {
        match (text, text.trim()) {
            ("", _) => Some(format!("{place}: text content blocks must be non-empty")),
            (_, "") => Some(format!("{place}: text content blocks must contain non-whitespace text")),
            _ => None,
        }
    })
}

fn limits(body: &Value) -> Option<String> {
    let unknown = keys(body).find(|key| !ANTHROPIC.contains(&key.as_str()));
    if body["max_tokens"].is_null() {
        Some("max_tokens: Field required".into())
    } else if body["temperature"].as_f64().is_some_and(|it| !(0.0..=1.0).contains(&it)) {
        Some("temperature: range: 0..1".into())
    } else {
        unknown.map(|key| format!("{key}: Extra inputs are not permitted"))
    }
}

/// What OpenAI finds wrong with the request of a response.
pub(super) fn responses(body: &Value) -> Option<Refusal> {
    let missing = |name: &str| {
        let message = format!("Missing required parameter: '{name}'.");
        openai(400, Some("missing_required_parameter"), Some(name), &message)
    };
    if let Some((old, new)) = MOVED.iter().find(|(old, _)| !body[*old].is_null()) {
        let message = format!(
            "Unsupported parameter: '{old}'. In the Responses API, this parameter has moved to '{new}'. Try again \
             with the new parameter. See the API documentation for more information: \
             https://platform.openai.com/docs/api-reference/responses/create."
        );
        // Recorded so: the one for `messages` names no parameter.
        return Some(openai(
            400,
            Some("unsupported_parameter"),
            (*old != "messages").then_some(*old),
            &message,
        ));
    }
    if let Some(name) = ["model", "input"].into_iter().find(|name| body[*name].is_null()) {
        return Some(missing(name));
    }
    let of_items = list(&body["input"]).iter().enumerate().find_map(|(at, it)| item(at, it));
    of_items.or_else(|| {
        let unknown = keys(body).find(|key| !RESPONSES.contains(&key.as_str()));
        unknown.map(|key| unknown_parameter(key))
    }).or_else(|| {
        let limit = body["max_output_tokens"].as_i64().filter(|limit| *limit < 16)?;
        let message = format!(
            "Invalid 'max_output_tokens': integer below minimum value. Expected a value >= 16, but got {limit} instead."
        );
        Some(openai(400, Some("integer_below_min_value"), Some("max_output_tokens"), &message))
    })
}

fn unknown_parameter(name: &str) -> Refusal {
    openai(400, Some("unknown_parameter"), Some(name), &format!("Unknown parameter: '{name}'."))
}

/// A message among the input: what the model said has other parts than what it was told.
fn item(at: usize, item: &Value) -> Option<Refusal> {
    let role = item["role"].as_str()?;
    let invalid = |param: &str, value: &str, values: &str| {
        let message = format!("Invalid value: '{value}'. Supported values are: {values}.");
        Some(openai(400, Some("invalid_value"), Some(param), &message))
    };
    if !matches!(role, "assistant" | "system" | "developer" | "user") {
        return invalid(&format!("input[{at}]"), role, "'assistant', 'system', 'developer', and 'user'");
    }
    let known = ["role", "content", "type", "id", "status", "phase"];
    if let Some(key) = keys(item).find(|key| !known.contains(&key.as_str())) {
        return Some(unknown_parameter(&format!("input[{at}].{key}")));
    }
    let (fits, values): (&[&str], _) = if role == "assistant" {
        (&["output_text", "refusal"], "'output_text' and 'refusal'")
    } else {
        (&["input_text", "input_image", "input_file"], "'input_text', 'input_image', and 'input_file'")
    };
    list(&item["content"]).iter().enumerate().find_map(|(number, part)| {
        let kind = part["type"].as_str().unwrap_or_default();
        if fits.contains(&kind) {
            None
        } else {
            invalid(&format!("input[{at}].content[{number}]"), kind, values)
        }
    })
}
