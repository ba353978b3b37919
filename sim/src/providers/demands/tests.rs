//! Each vendor's table, a question a line.

use super::*;
use expect_test::{Expect, expect};

/// Asks with this changed in a question that is right, and shows the refusals, or that there is none.
#[expect(clippy::needless_pass_by_value, reason = "reads as a literal")]
fn check(kind: Kind, refuses: &[&str], changes: &[Value], expected: Expect) {
    let refuses: Vec<String> = refuses.iter().map(|&it| it.to_owned()).collect();
    let shown = changes.iter().map(|change| {
        let mut body = right(kind);
        for (key, value) in change.as_object().into_iter().flatten() {
            match (value, body.as_object_mut()) {
                (Value::Null, Some(body)) => drop(body.remove(key)),
                (value, _) => body[key] = value.clone(),
            }
        }
        match of_a_question(kind, &body, &refuses) {
            None => "taken".to_owned(),
            Some((status, body)) => format!("{status} {}", say(kind, &body["error"])),
        }
    });
    expected.assert_eq(&shown.collect::<Vec<_>>().join("\n"));
}

/// What is said, without what every refusal of the vendor has.
fn say(kind: Kind, error: &Value) -> String {
    match kind {
        Kind::OpenAi | Kind::OpenAiResponses | Kind::Completions => {
            assert_eq!(error["type"], "invalid_request_error");
            format!("{} {} {}", error["code"], error["param"], error["message"])
        }
        Kind::Anthropic => format!("{} {}", error["type"], error["message"]),
        Kind::Gemini => {
            let fields =
                error["details"][0]["fieldViolations"].as_array().map(Vec::as_slice).unwrap_or_default();
            let places: Vec<_> = fields.iter().filter_map(|it| it["field"].as_str()).collect();
            format!("{} {} {places:?}", error["status"], error["message"])
        }
        Kind::Ollama => error.to_string(),
    }
}

fn right(kind: Kind) -> Value {
    let messages = json!([{ "role": "user", "content": "Hi." }]);
    match kind {
        Kind::OpenAiResponses => json!({ "model": "m", "input": messages, "store": false }),
        Kind::Gemini => json!({ "contents": [{ "role": "user", "parts": [{ "text": "Hi." }] }] }),
        Kind::Completions => json!({ "model": "m", "prompt": "Hi." }),
        Kind::Ollama => json!({ "model": "m", "messages": messages }),
        Kind::OpenAi => json!({ "model": "m", "messages": messages }),
        Kind::Anthropic => json!({ "model": "m", "messages": messages, "max_tokens": 9 }),
    }
}

#[test]
fn anthropic_permits_no_extra_inputs() {
    let said = |content: Value| json!({ "messages": [{ "role": "user", "content": content }] });
    check(
        Kind::Anthropic,
        &[],
        &[
            json!({ "system": "Be kind.", "temperature": 0.5, "stop_sequences": ["\n"], "stream": true }),
            // Two of one role are put together there, so they are no fault.
            json!({ "messages": [{ "role": "user", "content": "Hi." }, { "role": "user", "content": "You?" }] }),
            json!({ "max_tokens": null, "stop": ["x"] }),
            json!({ "model": null }),
            json!({ "messages": null }),
            json!({ "messages": [] }),
            json!({ "messages": [{ "role": "assistant", "content": "Hi." }] }),
            json!({ "messages": [{ "role": "system", "content": "Hi." }] }),
            json!({ "messages": [{ "role": "tool", "content": "Hi." }] }),
            json!({ "messages": [{ "role": "user", "content": "Hi.", "name": "Ana" }] }),
            said(json!("")),
            said(json!(" \n")),
            said(json!([])),
            said(json!([{ "type": "text", "text": "a" }, { "type": "text", "text": "" }])),
            json!({ "system": [{ "type": "text", "text": "" }] }),
            json!({ "temperature": 1.5 }),
            json!({ "stop": ["x"] }),
            json!({ "max_completion_tokens": 9 }),
        ],
        expect![[r#"
            taken
            taken
            400 "invalid_request_error" "max_tokens: Field required"
            400 "invalid_request_error" "model: Field required"
            400 "invalid_request_error" "messages: Field required"
            400 "invalid_request_error" "messages: at least one message is required"
            400 "invalid_request_error" "messages: first message must use the \"user\" role"
            400 "invalid_request_error" "messages: Unexpected role \"system\". The Messages API accepts a top-level `system` parameter, not \"system\" as an input message role."
            400 "invalid_request_error" "messages.0.role: Input should be 'user' or 'assistant'"
            400 "invalid_request_error" "messages.0.name: Extra inputs are not permitted"
            400 "invalid_request_error" "messages.0: all messages must have non-empty content except for the optional final assistant message"
            400 "invalid_request_error" "messages: text content blocks must contain non-whitespace text"
            400 "invalid_request_error" "messages.0: all messages must have non-empty content except for the optional final assistant message"
            400 "invalid_request_error" "messages: text content blocks must be non-empty"
            400 "invalid_request_error" "system: text content blocks must be non-empty"
            400 "invalid_request_error" "temperature: range: 0..1"
            400 "invalid_request_error" "stop: Extra inputs are not permitted"
            400 "invalid_request_error" "max_completion_tokens: Extra inputs are not permitted""#]],
    );
}

#[test]
fn gemini_cannot_find_what_it_does_not_have() {
    let told = |content: Value| json!({ "contents": [content] });
    check(
        Kind::Gemini,
        &[],
        &[
            json!({ "generationConfig": { "maxOutputTokens": 9, "thinkingConfig": { "thinkingBudget": 0 } },
                    "system_instruction": { "parts": [{ "text": "Be kind." }] } }),
            json!({ "max_tokens": 9, "model": "m" }),
            json!({ "generationConfig": { "maxTokens": 9 } }),
            told(json!({ "role": "user", "content": "Hi." })),
            told(json!({ "role": "user", "parts": [{ "type": "text", "text": "Hi." }] })),
            told(json!({ "role": "assistant", "parts": [{ "text": "Hi." }] })),
            told(json!({ "role": "system", "parts": [{ "text": "Hi." }] })),
            told(json!({ "parts": [{ "text": "Hi." }] })),
            told(json!({ "role": "user", "parts": [] })),
            json!({ "contents": [] }),
        ],
        expect![[r#"
            taken
            400 "INVALID_ARGUMENT" "Invalid JSON payload received. Unknown name \"max_tokens\": Cannot find field.\nInvalid JSON payload received. Unknown name \"model\": Cannot find field." []
            400 "INVALID_ARGUMENT" "Invalid JSON payload received. Unknown name \"maxTokens\" at 'generation_config': Cannot find field." ["generation_config"]
            400 "INVALID_ARGUMENT" "Invalid JSON payload received. Unknown name \"content\" at 'contents[0]': Cannot find field." ["contents[0]"]
            400 "INVALID_ARGUMENT" "Invalid JSON payload received. Unknown name \"type\" at 'contents[0].parts[0]': Cannot find field." ["contents[0].parts[0]"]
            400 "INVALID_ARGUMENT" "Please use a valid role: user, model." []
            400 "INVALID_ARGUMENT" "Please use a valid role: user, model." []
            taken
            400 "INVALID_ARGUMENT" "* GenerateContentRequest.contents[0].parts: contents.parts must not be empty.\n" []
            400 "INVALID_ARGUMENT" "* GenerateContentRequest.contents: contents is not specified\n" []"#]],
    );
}

#[test]
fn responses_know_where_everything_has_moved() {
    let told = |item: Value| json!({ "input": [item] });
    check(
        Kind::OpenAiResponses,
        &[],
        &[
            json!({ "input": "Hi.", "instructions": "Be kind.", "max_output_tokens": 16, "stream": true }),
            told(json!({ "role": "user", "content": [{ "type": "input_text", "text": "Hi." }] })),
            told(json!({ "role": "assistant", "content": [{ "type": "output_text", "text": "Hi." }] })),
            json!({ "messages": [] }),
            json!({ "max_tokens": 9 }),
            json!({ "max_completion_tokens": 9 }),
            json!({ "reasoning_effort": "low" }),
            json!({ "stop": ["x"] }),
            json!({ "model": null }),
            json!({ "input": null }),
            json!({ "max_output_tokens": 9 }),
            told(json!({ "role": "tool", "content": "Hi." })),
            told(json!({ "role": "user", "content": "Hi.", "name": "Ana" })),
            told(json!({ "role": "user", "content": [{ "type": "text", "text": "Hi." }] })),
            told(json!({ "role": "assistant", "content": [{ "type": "input_text", "text": "Hi." }] })),
        ],
        expect![[r#"
            taken
            taken
            taken
            400 "unsupported_parameter" null "Unsupported parameter: 'messages'. In the Responses API, this parameter has moved to 'input'. Try again with the new parameter. See the API documentation for more information: https://platform.openai.com/docs/api-reference/responses/create."
            400 "unsupported_parameter" "max_tokens" "Unsupported parameter: 'max_tokens'. In the Responses API, this parameter has moved to 'max_output_tokens'. Try again with the new parameter. See the API documentation for more information: https://platform.openai.com/docs/api-reference/responses/create."
            400 "unsupported_parameter" "max_completion_tokens" "Unsupported parameter: 'max_completion_tokens'. In the Responses API, this parameter has moved to 'max_output_tokens'. Try again with the new parameter. See the API documentation for more information: https://platform.openai.com/docs/api-reference/responses/create."
            400 "unsupported_parameter" "reasoning_effort" "Unsupported parameter: 'reasoning_effort'. In the Responses API, this parameter has moved to 'reasoning.effort'. Try again with the new parameter. See the API documentation for more information: https://platform.openai.com/docs/api-reference/responses/create."
            400 "unknown_parameter" "stop" "Unknown parameter: 'stop'."
            400 "missing_required_parameter" "model" "Missing required parameter: 'model'."
            400 "missing_required_parameter" "input" "Missing required parameter: 'input'."
            400 "integer_below_min_value" "max_output_tokens" "Invalid 'max_output_tokens': integer below minimum value. Expected a value >= 16, but got 9 instead."
            400 "invalid_value" "input[0]" "Invalid value: 'tool'. Supported values are: 'assistant', 'system', 'developer', and 'user'."
            400 "unknown_parameter" "input[0].name" "Unknown parameter: 'input[0].name'."
            400 "invalid_value" "input[0].content[0]" "Invalid value: 'text'. Supported values are: 'input_text', 'input_image', and 'input_file'."
            400 "invalid_value" "input[0].content[0]" "Invalid value: 'input_text'. Supported values are: 'output_text' and 'refusal'.""#]],
    );
}

#[test]
fn others_take_what_they_do_not_know() {
    for kind in [Kind::OpenAi, Kind::Completions, Kind::Ollama] {
        check(kind, &[], &[json!({ "bogus": 1, "messages": [] })], expect!["taken"]);
    }
}

#[test]
fn a_parameter_is_refused_wherever_it_is() {
    check(
        Kind::OpenAi,
        &["max_tokens", "include_usage", "name"],
        &[
            json!({ "temperature": 1 }),
            json!({ "max_tokens": 9 }),
            json!({ "stream_options": { "include_usage": true } }),
            json!({ "messages": [{ "role": "user", "content": "Hi." }, { "role": "user", "name": "Ana" }] }),
        ],
        expect![[r#"
            taken
            400 "unsupported_parameter" "max_tokens" "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead."
            400 "unsupported_parameter" "stream_options.include_usage" "Unsupported parameter: 'stream_options.include_usage' is not supported with this model."
            400 "unsupported_parameter" "messages[1].name" "Unsupported parameter: 'messages[1].name' is not supported with this model.""#]],
    );
    check(
        Kind::OpenAiResponses,
        &["effort", "temperature"],
        &[json!({ "reasoning": { "effort": "low" } }), json!({ "temperature": 1 })],
        expect![[r#"
            400 "unsupported_parameter" "reasoning.effort" "Unsupported parameter: 'reasoning.effort' is not supported with this model."
            400 "unsupported_parameter" "temperature" "Unsupported parameter: 'temperature' is not supported with this model.""#]],
    );
    check(
        Kind::Anthropic,
        &["temperature"],
        &[json!({ "temperature": 1 })],
        expect![[r#"400 "invalid_request_error" "`temperature` is deprecated for this model.""#]],
    );
    check(
        Kind::Gemini,
        &["temperature", "thinkingBudget", "systemInstruction", "contents"],
        &[
            json!({ "generationConfig": { "temperature": 1 }, "contents": [{ "parts": [{ "text": "Hi." }] }] }),
            json!({ "generationConfig": { "thinkingConfig": { "thinkingBudget": 0 } } }),
            json!({ "systemInstruction": { "parts": [{ "text": "Be kind." }] } }),
            json!({}),
        ],
        expect![[r#"
            400 "INVALID_ARGUMENT" "Invalid JSON payload received. Unknown name \"temperature\" at 'generation_config': Cannot find field." ["generation_config"]
            400 "INVALID_ARGUMENT" "Invalid JSON payload received. Unknown name \"thinkingBudget\" at 'generation_config.thinking_config': Cannot find field." ["generation_config.thinking_config"]
            400 "INVALID_ARGUMENT" "Developer instruction is not enabled for this model" []
            400 "INVALID_ARGUMENT" "Invalid JSON payload received. Unknown name \"contents\": Cannot find field." []"#]],
    );
    check(
        Kind::Ollama,
        &["temperature", "think", "tools"],
        &[
            json!({ "options": { "temperature": 1 } }),
            json!({ "think": true }),
            json!({ "tools": [] }),
            json!({}),
        ],
        expect![[r#"
            400 "invalid options: temperature"
            400 "\"m\" does not support thinking"
            400 "\"m\" does not support tools"
            taken"#]],
    );
}
