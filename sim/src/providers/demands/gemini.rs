//! The fields that Gemini knows, by their places, and how it tells of others.

use super::{
    Refusal,
    fields::{keys, list},
    google,
};
use serde_json::{Value, json};

/// Gemini's, by where they are; each also in `snake_case`.
const TOP: [&str; 9] = [
    "contents",
    "tools",
    "toolConfig",
    "safetySettings",
    "systemInstruction",
    "generationConfig",
    "cachedContent",
    "serviceTier",
    "store",
];
const CONFIG: [&str; 18] = [
    "stopSequences",
    "responseMimeType",
    "responseSchema",
    "responseJsonSchema",
    "responseModalities",
    "candidateCount",
    "maxOutputTokens",
    "temperature",
    "topP",
    "topK",
    "seed",
    "presencePenalty",
    "frequencyPenalty",
    "responseLogprobs",
    "logprobs",
    "speechConfig",
    "thinkingConfig",
    "mediaResolution",
];
const CONTENT: [&str; 2] = ["role", "parts"];
const PART: [&str; 10] = [
    "text",
    "thought",
    "thoughtSignature",
    "inlineData",
    "fileData",
    "functionCall",
    "functionResponse",
    "executableCode",
    "codeExecutionResult",
    "videoMetadata",
];

/// What Gemini finds wrong.
pub(super) fn refused(body: &Value) -> Option<Refusal> {
    let mut found = Vec::new();
    let mut look = |place: &str, value: &Value, known: &[&str]| {
        let strange = keys(value).filter(|key| !known.contains(&camel(key).as_str()));
        found.extend(strange.map(|key| (place.to_owned(), key.clone())));
    };
    look("", body, &TOP);
    let either = |camel: &str, snake: &str| if body[camel].is_null() { &body[snake] } else { &body[camel] };
    look("generation_config", either("generationConfig", "generation_config"), &CONFIG);
    let told = either("systemInstruction", "system_instruction");
    let contents = list(&body["contents"]).iter().enumerate();
    let places = contents.map(|(at, content)| (format!("contents[{at}]"), content));
    for (place, content) in places.chain([("system_instruction".to_owned(), told)]) {
        look(&place, content, &CONTENT);
        for (number, part) in list(&content["parts"]).iter().enumerate() {
            look(&format!("{place}.parts[{number}]"), part, &PART);
        }
    }
    if !found.is_empty() {
        return Some(unknown(&found));
    }
    let contents = list(&body["contents"]);
    let message = if contents.is_empty() {
        "* GenerateContentRequest.contents: contents is not specified\n".to_owned()
    } else if let Some(at) = contents.iter().position(|it| list(&it["parts"]).is_empty()) {
        format!("* GenerateContentRequest.contents[{at}].parts: contents.parts must not be empty.\n")
    } else if contents
        .iter()
        .any(|it| !matches!(it["role"].as_str(), None | Some("user" | "model" | "function")))
    {
        "Please use a valid role: user, model.".to_owned()
    } else {
        return None;
    };
    Some(google(400, "INVALID_ARGUMENT", &message, &json!([])))
}

/// Fields that Gemini does not have, each with its place.
pub(super) fn unknown(fields: &[(String, String)]) -> Refusal {
    let (mut messages, mut violations) = (Vec::new(), Vec::new());
    for (place, name) in fields {
        let at = if place.is_empty() { String::new() } else { format!(" at '{place}'") };
        let message =
            format!("Invalid JSON payload received. Unknown name \"{name}\"{at}: Cannot find field.");
        let mut violation = json!({ "description": message });
        if !place.is_empty() {
            violation["field"] = place.as_str().into();
        }
        violations.push(violation);
        messages.push(message);
    }
    let details =
        json!([{ "@type": "type.googleapis.com/google.rpc.BadRequest", "fieldViolations": violations }]);
    google(400, "INVALID_ARGUMENT", &messages.join("\n"), &details)
}

/// `system_instruction` → `systemInstruction`, as Google's JSON takes both.
fn camel(name: &str) -> String {
    let mut words = name.split('_');
    let first = words.next().unwrap_or_default().to_owned();
    words.fold(first, |name, word| {
        let mut rest = word.chars();
        let head = rest.next().map(|c| c.to_ascii_uppercase());
        name.chars().chain(head).chain(rest).collect()
    })
}

/// `generationConfig` → `generation_config`, as Google names places.
pub(super) fn snake(name: &str) -> String {
    let mut out = String::new();
    for c in name.chars() {
        if c.is_ascii_uppercase() {
            out.push('_');
        }
        out.push(c.to_ascii_lowercase());
    }
    out
}
