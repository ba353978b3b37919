//! Chat completions as OpenAI answers them.

use super::dialect::{self, Call, Dialect, Reply, Shelf, Trouble, Wanted, bare, data};
use serde_json::{Value, json};

pub(crate) struct OpenAi;

/// A fixed moment, so that two runs give the same bytes.
pub(crate) const CREATED: u64 = 1_763_800_000;

impl OpenAi {
    fn chunk(reply: &Reply<'_>, delta: &Value, finish: Option<&str>) -> String {
        let mut chunk = Self::frame(reply);
        chunk["choices"] = json!([{ "index": 0, "delta": delta, "logprobs": null, "finish_reason": finish }]);
        if reply.asked.count_tokens {
            chunk["usage"] = Value::Null;
        }
        data(&chunk)
    }

    fn frame(reply: &Reply<'_>) -> Value {
        json!({
            "id": format!("chatcmpl-{}", reply.id),
            "object": "chat.completion.chunk",
            "created": CREATED,
            "model": reply.asked.model,
            "system_fingerprint": "fp_sim",
        })
    }
}

/// A call as a whole answer has it: the arguments are JSON in a text.
fn written(reply: &Reply<'_>, index: usize, call: &Call) -> Value {
    let function = json!({ "name": call.name, "arguments": call.arguments.to_string() });
    json!({ "id": reply.call_id("call", index), "type": "function", "function": function })
}

/// OpenAI's count of tokens.
pub(crate) fn usage(reply: &Reply<'_>) -> Value {
    let (tokens_in, tokens_out) = (reply.asked.tokens_in, reply.tokens_out);
    json!({ "prompt_tokens": tokens_in, "completion_tokens": tokens_out, "total_tokens": tokens_in + tokens_out })
}

/// A list of models. OpenAI says nothing of windows; where the scene does, vLLM's word for it and OpenRouter's are both there.
pub(crate) fn models(shelf: &Shelf<'_>) -> Value {
    let entry = |model: &String| {
        let mut entry = json!({ "id": model, "object": "model", "created": CREATED, "owned_by": "sim" });
        if let Some(window) = shelf.window {
            entry["max_model_len"] = window.into();
            entry["context_length"] = window.into();
        }
        entry
    };
    json!({ "object": "list", "data": shelf.models.iter().map(entry).collect::<Vec<_>>() })
}

impl Dialect for OpenAi {
    fn wanted(&self, method: &str, path: &str, body: &Value) -> Wanted {
        match (method, bare(path)) {
            ("POST", path) if path.ends_with("/chat/completions") => Wanted::Answer(dialect::chat(body)),
            ("GET", path) if path.ends_with("/models") => Wanted::Health,
            _ => Wanted::Nothing,
        }
    }

    fn opening(&self, reply: &Reply<'_>) -> String {
        Self::chunk(reply, &json!({ "role": "assistant", "content": "", "refusal": null }), None)
    }

    fn reasoning(&self, reply: &Reply<'_>, text: &str) -> String {
        Self::chunk(reply, &json!({ "reasoning_content": text }), None)
    }

    fn piece(&self, reply: &Reply<'_>, text: &str) -> String {
        Self::chunk(reply, &json!({ "content": text }), None)
    }

    fn ending(&self, reply: &Reply<'_>) -> String {
        let mut ending = String::new();
        for (index, call) in reply.calls.iter().enumerate() {
            let [first, second] = call.parts();
            let mut begun = written(reply, index, call);
            begun["index"] = index.into();
            begun["function"]["arguments"] = "".into();
            ending += &Self::chunk(reply, &json!({ "tool_calls": [begun] }), None);
            for part in [first, second] {
                let more = json!({ "index": index, "function": { "arguments": part } });
                ending += &Self::chunk(reply, &json!({ "tool_calls": [more] }), None);
            }
        }
        ending += &Self::chunk(reply, &json!({}), Some(reply.finish.openai()));
        if reply.asked.count_tokens {
            let mut counted = Self::frame(reply);
            counted["choices"] = json!([]);
            counted["usage"] = usage(reply);
            ending += &data(&counted);
        }
        ending + "data: [DONE]\n\n"
    }

    fn error_event(&self, _reply: &Reply<'_>, trouble: &Trouble<'_>) -> String {
        data(&self.error_body(trouble))
    }

    fn malformed_piece(&self) -> String {
        "data: {\"id\":\"chatcmpl-sim\",\"choices\":[{\"delta\":{\"content\":\"Hel\n\n".into()
    }

    fn whole(&self, reply: &Reply<'_>, text: &str) -> Value {
        let mut message = json!({ "role": "assistant", "content": text, "refusal": null });
        if let Some(thought) = reply.reasoning {
            message["reasoning_content"] = thought.into();
        }
        if !reply.speaks() {
            message["content"] = Value::Null;
        }
        if !reply.calls.is_empty() {
            let calls = reply.calls.iter().enumerate();
            message["tool_calls"] = calls.map(|(index, call)| written(reply, index, call)).collect();
        }
        json!({
            "id": format!("chatcmpl-{}", reply.id),
            "object": "chat.completion",
            "created": CREATED,
            "model": reply.asked.model,
            "choices": [{
                "index": 0,
                "message": message,
                "logprobs": null,
                "finish_reason": reply.finish.openai(),
            }],
            "usage": usage(reply),
        })
    }

    fn error_body(&self, trouble: &Trouble<'_>) -> Value {
        error(trouble)
    }

    fn healthy(&self, shelf: &Shelf<'_>) -> Value {
        models(shelf)
    }
}

/// OpenAI's type, parameter and sentence for an error code or status.
pub(crate) fn error(trouble: &Trouble<'_>) -> Value {
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
        (Some(code @ ("server_is_overloaded" | "slow_down")), _) => (
            "service_unavailable_error",
            Some(code),
            None,
            "Our servers are currently overloaded. Please try again later.",
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
    json!({ "error": { "message": message, "type": kind, "param": param, "code": code } })
}
