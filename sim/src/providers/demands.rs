//! What a vendor demands of a request, and the words in which it refuses one that does not fit.
//!
//! At the door each looks for a key where it has its place (and Anthropic for its version); then come the fields
//! ([`fields`], [`gemini`]), and last the parameters that the scene's `refuses=` names.

mod fields;
mod gemini;
#[cfg(test)]
mod tests;

use super::{dialect::bare, http::Request, kind::Kind};
use serde_json::{Value, json};

/// A status and a body.
pub(crate) type Refusal = (u16, Value);

/// Refuses who has not the key that is wanted; with no key wanted, everybody has it.
pub(crate) fn at_the_door(kind: Kind, request: &Request, wanted: Option<&str>) -> Option<Refusal> {
    let refusal = match (wanted, shown(kind, request)) {
        (Some(wanted), Some(shown)) if wanted == shown => None,
        (None, _) => None,
        (Some(_), shown) => Some(without_key(kind, shown.is_none())),
    };
    let versioned = kind != Kind::Anthropic || request.header("anthropic-version").is_some();
    refusal.or_else(|| (!versioned).then(|| anthropic(400, INVALID, "anthropic-version: header is required")))
}

/// Refuses a question that this vendor does not take.
pub(crate) fn of_a_question(kind: Kind, body: &Value, refuses: &[String]) -> Option<Refusal> {
    let wrong = match kind {
        Kind::OpenAiResponses => fields::responses(body),
        Kind::Anthropic => fields::anthropic(body),
        Kind::Gemini => gemini::refused(body),
        // Compatible servers differ too much to demand anything, and Ollama ignores what it does not know.
        Kind::OpenAi | Kind::Completions | Kind::Ollama => None,
    };
    wrong.or_else(|| {
        refuses.iter().find_map(|name| find(body, name).map(|at| parameter(kind, body, name, &at)))
    })
}

const INVALID: &str = "invalid_request_error";

fn openai(status: u16, code: Option<&str>, param: Option<&str>, message: &str) -> Refusal {
    (status, json!({ "error": { "message": message, "type": INVALID, "param": param, "code": code } }))
}

fn anthropic(status: u16, kind: &str, message: &str) -> Refusal {
    let error = json!({ "type": kind, "message": message });
    (status, json!({ "type": "error", "error": error, "request_id": "req_sim" }))
}

fn google(code: u16, status: &str, message: &str, details: &Value) -> Refusal {
    (code, json!({ "error": { "code": code, "message": message, "status": status, "details": details } }))
}

fn ollama(status: u16, message: &str) -> Refusal {
    (status, json!({ "error": message }))
}

/// The key, where this vendor has its place.
fn shown(kind: Kind, request: &Request) -> Option<&str> {
    let path = request.path.as_str();
    let query = path.strip_prefix(bare(path)).unwrap_or_default().trim_start_matches('?');
    match kind {
        Kind::Anthropic => request.header("x-api-key"),
        Kind::Gemini => request
            .header("x-goog-api-key")
            .or_else(|| query.split('&').find_map(|pair| pair.strip_prefix("key="))),
        _ => request.header("authorization").and_then(|value| value.strip_prefix("Bearer ")),
    }
}

fn without_key(kind: Kind, missing: bool) -> Refusal {
    match (kind, missing) {
        (Kind::Anthropic, true) => anthropic(401, "authentication_error", "x-api-key header is required"),
        (Kind::Anthropic, false) => anthropic(401, "authentication_error", "invalid x-api-key"),
        (Kind::Gemini, true) => google(
            403,
            "PERMISSION_DENIED",
            "Method doesn't allow unregistered callers (callers without established identity). Please use API Key or \
             other form of API consumer identity to call this API.",
            &json!([]),
        ),
        (Kind::Gemini, false) => google(
            400,
            "INVALID_ARGUMENT",
            "API key not valid. Please pass a valid API key.",
            &json!([{ "@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID" }]),
        ),
        (Kind::Ollama, _) => ollama(401, "unauthorized"),
        (_, true) => openai(
            401,
            None,
            None,
            "You didn't provide an API key. You need to provide your API key in an Authorization header using Bearer \
             auth (i.e. Authorization: Bearer YOUR_KEY).",
        ),
        (_, false) => openai(401, Some("invalid_api_key"), None, "Incorrect API key provided."),
    }
}

/// Where a parameter is: its path, as `generationConfig.temperature` or `messages[0].name`.
fn find(body: &Value, name: &str) -> Option<String> {
    match body {
        Value::Object(map) if map.contains_key(name) => Some(name.to_owned()),
        Value::Object(map) => map.iter().find_map(|(key, value)| {
            let rest = find(value, name)?;
            Some(format!("{key}{}{rest}", if rest.starts_with('[') { "" } else { "." }))
        }),
        Value::Array(items) => items
            .iter()
            .enumerate()
            .find_map(|(index, value)| Some(format!("[{index}].{}", find(value, name)?))),
        _ => None,
    }
}

/// The words for a parameter which this model does not take.
fn parameter(kind: Kind, body: &Value, name: &str, path: &str) -> Refusal {
    let model = body["model"].as_str().unwrap_or_default();
    match kind {
        Kind::OpenAi | Kind::OpenAiResponses | Kind::Completions => {
            let instead = match (kind, path) {
                (Kind::OpenAi, "max_tokens") => " Use 'max_completion_tokens' instead.",
                _ => "",
            };
            let message =
                format!("Unsupported parameter: '{path}' is not supported with this model.{instead}");
            openai(400, Some("unsupported_parameter"), Some(path), &message)
        }
        Kind::Anthropic => anthropic(400, INVALID, &format!("`{path}` is deprecated for this model.")),
        Kind::Gemini if name == "systemInstruction" => {
            google(400, "INVALID_ARGUMENT", "Developer instruction is not enabled for this model", &json!([]))
        }
        Kind::Gemini => {
            let place = path.strip_suffix(name).unwrap_or_default().trim_end_matches('.');
            gemini::unknown(&[(gemini::snake(place), name.to_owned())])
        }
        Kind::Ollama if matches!(name, "think" | "tools") => {
            let what = if name == "think" { "thinking" } else { name };
            ollama(400, &format!("\"{model}\" does not support {what}"))
        }
        Kind::Ollama => ollama(400, &format!("invalid options: {name}")),
    }
}
