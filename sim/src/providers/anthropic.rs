//! Messages as Anthropic answers them.

use super::dialect::{self, Call, Dialect, Finish, Reply, Shelf, Trouble, Wanted, bare};
use serde_json::{Value, json};

pub(crate) struct Anthropic;

/// An event with its name in the frame and in the data, as Anthropic sends both.
fn event(json: &Value) -> String {
    format!("event: {}\ndata: {json}\n\n", json["type"].as_str().unwrap_or_default())
}

fn begin(index: usize, block: &Value) -> String {
    event(&json!({ "type": "content_block_start", "index": index, "content_block": block }))
}

fn delta(index: usize, delta: &Value) -> String {
    event(&json!({ "type": "content_block_delta", "index": index, "delta": delta }))
}

fn end(index: usize) -> String {
    event(&json!({ "type": "content_block_stop", "index": index }))
}

/// The block for the text, if there will be any.
fn text_begins(reply: &Reply<'_>) -> String {
    let block = json!({ "type": "text", "text": "" });
    if reply.speaks() { begin(text_block(reply), &block) } else { String::new() }
}

/// A call; its arguments are no text, and come in the pieces behind its beginning.
fn tool_use(reply: &Reply<'_>, number: usize, call: &Call, input: &Value) -> Value {
    json!({ "type": "tool_use", "id": reply.call_id("toolu", number), "name": call.name, "input": input })
}

/// The text is the second block when there was a thought before it.
fn text_block(reply: &Reply<'_>) -> usize {
    usize::from(reply.reasoning.is_some())
}

fn stop_reason(finish: Finish) -> &'static str {
    match finish {
        Finish::Stop => "end_turn",
        Finish::Length => "max_tokens",
        Finish::ContentFilter => "refusal",
        Finish::Calls => "tool_use",
    }
}

impl Anthropic {
    fn message(reply: &Reply<'_>, content: &Value, stop: Option<&str>, tokens_out: usize) -> Value {
        json!({
            "id": format!("msg_{}", reply.id),
            "type": "message",
            "role": "assistant",
            "model": reply.asked.model,
            "content": content,
            "stop_reason": stop,
            "stop_sequence": null,
            "usage": { "input_tokens": reply.asked.tokens_in, "output_tokens": tokens_out },
        })
    }
}

impl Dialect for Anthropic {
    fn wanted(&self, method: &str, path: &str, body: &Value) -> Wanted {
        match (method, bare(path)) {
            ("POST", path) if path.ends_with("/messages") => Wanted::Answer(dialect::chat(body)),
            ("GET", path) if path.ends_with("/models") => Wanted::Health,
            _ => Wanted::Nothing,
        }
    }

    fn opening(&self, reply: &Reply<'_>) -> String {
        let start = json!({ "type": "message_start", "message": Self::message(reply, &json!([]), None, 1) });
        let block = match reply.reasoning {
            Some(_) => begin(0, &json!({ "type": "thinking", "thinking": "", "signature": "" })),
            None => text_begins(reply),
        };
        event(&start) + &block + &event(&json!({ "type": "ping" }))
    }

    fn reasoning(&self, _reply: &Reply<'_>, text: &str) -> String {
        delta(0, &json!({ "type": "thinking_delta", "thinking": text }))
    }

    fn thought(&self, reply: &Reply<'_>) -> String {
        delta(0, &json!({ "type": "signature_delta", "signature": "c2ln" })) + &end(0) + &text_begins(reply)
    }

    fn piece(&self, reply: &Reply<'_>, text: &str) -> String {
        delta(text_block(reply), &json!({ "type": "text_delta", "text": text }))
    }

    fn ending(&self, reply: &Reply<'_>) -> String {
        let stop = json!({ "stop_reason": stop_reason(reply.finish), "stop_sequence": null });
        let usage = json!({ "output_tokens": reply.tokens_out });
        let mut ending = String::new();
        let mut block = text_block(reply);
        if reply.speaks() {
            ending += &end(block);
            block += 1;
        }
        for (number, call) in reply.calls.iter().enumerate() {
            ending += &begin(block, &tool_use(reply, number, call, &json!({})));
            for part in call.parts() {
                ending += &delta(block, &json!({ "type": "input_json_delta", "partial_json": part }));
            }
            ending += &end(block);
            block += 1;
        }
        ending
            + &event(&json!({ "type": "message_delta", "delta": stop, "usage": usage }))
            + &event(&json!({ "type": "message_stop" }))
    }

    fn error_event(&self, _reply: &Reply<'_>, trouble: &Trouble<'_>) -> String {
        event(&self.error_body(trouble))
    }

    fn malformed_piece(&self) -> String {
        "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"delta\":{\"text\":\"Hel\n\n"
            .into()
    }

    fn whole(&self, reply: &Reply<'_>, text: &str) -> Value {
        let mut blocks = Vec::new();
        if let Some(thought) = reply.reasoning {
            blocks.push(json!({ "type": "thinking", "thinking": thought, "signature": "c2ln" }));
        }
        if !text.is_empty() {
            blocks.push(json!({ "type": "text", "text": text }));
        }
        let calls = reply.calls.iter().enumerate();
        blocks.extend(calls.map(|(number, call)| tool_use(reply, number, call, &call.arguments)));
        Self::message(reply, &Value::Array(blocks), Some(stop_reason(reply.finish)), reply.tokens_out)
    }

    fn error_body(&self, trouble: &Trouble<'_>) -> Value {
        let (kind, message) = match (trouble.code, trouble.status) {
            (Some("context_length_exceeded"), _) => {
                ("invalid_request_error", "prompt is too long: 210000 tokens > 200000 maximum")
            }
            (Some("overloaded_error"), _) | (None, 503 | 529) => ("overloaded_error", "Overloaded"),
            (Some("insufficient_quota"), _) => {
                ("rate_limit_error", "You have reached your specified API usage limits.")
            }
            (Some(code), _) => (code, "The request failed."),
            (None, 401) => ("authentication_error", "invalid x-api-key"),
            (None, 402) => ("billing_error", "Your credit balance is too low."),
            (None, 403) => ("permission_error", "You do not have permission."),
            (None, 404) => ("not_found_error", "model: not found"),
            (None, 413) => ("request_too_large", "Request exceeds the maximum size."),
            (None, 429) => ("rate_limit_error", "This request would exceed your rate limit."),
            (None, 500..) => ("api_error", "Internal server error"),
            (None, _) => ("invalid_request_error", "The request is not valid."),
        };
        let mut error = json!({ "type": kind, "message": message });
        if trouble.code == Some("insufficient_quota") {
            error["details"] = json!({ "error_code": "enforced_spend_limit_reached" });
        }
        json!({ "type": "error", "error": error, "request_id": "req_sim" })
    }

    fn healthy(&self, shelf: &Shelf<'_>) -> Value {
        let entry = |model: &String| {
            let mut entry = json!({
                "type": "model", "id": model, "display_name": model, "created_at": "2025-11-22T00:00:00Z",
            });
            if let Some(window) = shelf.window {
                entry["max_input_tokens"] = window.into();
            }
            entry
        };
        let (first, last) = (shelf.models.first(), shelf.models.last());
        let models: Vec<_> = shelf.models.iter().map(entry).collect();
        json!({ "data": models, "first_id": first, "last_id": last, "has_more": false })
    }
}
