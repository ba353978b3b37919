//! Chat as Ollama answers it: a JSON document a line, streamed unless told otherwise, and errors of one word.

use super::dialect::{self, Dialect, Finish, Framed, Reply, Shelf, Trouble, Wanted, bare};
use serde_json::{Value, json};

pub(crate) struct Ollama;

/// The fixed moment of the other dialects, as Ollama writes it.
const CREATED_AT: &str = "2025-11-22T08:26:40.123456789Z";

/// Lines of JSON have no comments: the nearest thing is a line with nothing in it.
const LINES: Framed = Framed {
    content_type: "application/x-ndjson",
    comment: "\n",
    empty: "{}\n",
    line: "{\"message\":{\"role\":\"assistant\",\"content\":\"",
};

fn line(json: &Value) -> String {
    format!("{json}\n")
}

fn spoken(reply: &Reply<'_>, message: &Value) -> Value {
    json!({ "model": reply.asked.model, "created_at": CREATED_AT, "message": message, "done": false })
}

/// Calls have no ids here, and are never cut.
fn calls(reply: &Reply<'_>) -> Value {
    reply
        .calls
        .iter()
        .map(|call| json!({ "function": { "name": call.name, "arguments": call.arguments } }))
        .collect()
}

/// The last document, with what was counted. Times are nanoseconds, here 20 ms a token.
fn ended(reply: &Reply<'_>, message: &Value) -> Value {
    const TOKEN: usize = 20_000_000;
    let (tokens_in, tokens_out) = (reply.asked.tokens_in, reply.tokens_out);
    let mut last = spoken(reply, message);
    last["done"] = true.into();
    // Nothing is filtered here (whoever writes a scene with it is told so), and calls have no word.
    last["done_reason"] = if reply.finish == Finish::Length { "length" } else { "stop" }.into();
    last["total_duration"] = (TOKEN * (tokens_in + tokens_out)).into();
    last["load_duration"] = 1_000_000.into();
    last["prompt_eval_count"] = tokens_in.into();
    last["prompt_eval_duration"] = (TOKEN * tokens_in).into();
    last["eval_count"] = tokens_out.into();
    last["eval_duration"] = (TOKEN * tokens_out).into();
    last
}

impl Dialect for Ollama {
    fn framed(&self) -> &'static Framed {
        &LINES
    }

    fn wanted(&self, method: &str, path: &str, body: &Value) -> Wanted {
        match (method, bare(path)) {
            ("POST", path) if path.ends_with("/api/chat") => {
                let mut asked = dialect::chat(body);
                asked.stream = body["stream"] != false;
                Wanted::Answer(asked)
            }
            ("GET", path) if path.ends_with("/api/tags") => Wanted::Health,
            _ => Wanted::Nothing,
        }
    }

    fn opening(&self, _reply: &Reply<'_>) -> String {
        String::new()
    }

    fn reasoning(&self, reply: &Reply<'_>, text: &str) -> String {
        line(&spoken(reply, &json!({ "role": "assistant", "content": "", "thinking": text })))
    }

    fn piece(&self, reply: &Reply<'_>, text: &str) -> String {
        line(&spoken(reply, &json!({ "role": "assistant", "content": text })))
    }

    fn ending(&self, reply: &Reply<'_>) -> String {
        let mut ending = String::new();
        if !reply.calls.is_empty() {
            let message = json!({ "role": "assistant", "content": "", "tool_calls": calls(reply) });
            ending += &line(&spoken(reply, &message));
        }
        ending + &line(&ended(reply, &json!({ "role": "assistant", "content": "" })))
    }

    fn error_event(&self, _reply: &Reply<'_>, trouble: &Trouble<'_>) -> String {
        line(&self.error_body(trouble))
    }

    fn malformed_piece(&self) -> String {
        "{\"model\":\"sim\",\"message\":{\"role\":\"assistant\",\"content\":\"Hel\n".into()
    }

    fn whole(&self, reply: &Reply<'_>, text: &str) -> Value {
        let mut message = json!({ "role": "assistant", "content": text });
        if let Some(thought) = reply.reasoning {
            message["thinking"] = thought.into();
        }
        if !reply.calls.is_empty() {
            message["tool_calls"] = calls(reply);
        }
        ended(reply, &message)
    }

    fn error_body(&self, trouble: &Trouble<'_>) -> Value {
        let message = match (trouble.code, trouble.status) {
            (Some("context_length_exceeded"), _) => {
                "prompt too long; exceeded max context length by 808 tokens".to_owned()
            }
            (Some("insufficient_quota"), _) => {
                "you have reached your weekly usage limit, upgrade for higher limits: https://ollama.com/upgrade"
                    .to_owned()
            }
            (Some("invalid_api_key" | "authentication_error"), _) | (_, 401) => "unauthorized".to_owned(),
            (_, 404) => format!("model '{}' not found", trouble.model),
            (_, 403) => "this model requires a subscription, upgrade for access: https://ollama.com/upgrade".to_owned(),
            (_, 429) => "too many concurrent requests".to_owned(),
            (_, 503 | 529) => "server busy, please try again.  maximum pending requests exceeded".to_owned(),
            (_, 500..) => "llama runner process has terminated: exit status 2".to_owned(),
            (_, _) => "invalid request".to_owned(),
        };
        json!({ "error": message })
    }

    fn healthy(&self, shelf: &Shelf<'_>) -> Value {
        let entry = |model: &String| {
            // A name without a tag means this one, and is listed with it.
            let name = if model.contains(':') { model.clone() } else { format!("{model}:latest") };
            json!({
                "name": name,
                "model": name,
                "modified_at": CREATED_AT,
                "size": 2_019_393_189_u64,
                "digest": "a80c4f17acd55265feec403c7aef86be0c25983ab279d83f3bcd3abbcb5b8b72",
                "details": {
                    "parent_model": "",
                    "format": "gguf",
                    "family": "llama",
                    "families": ["llama"],
                    "parameter_size": "3.2B",
                    "quantization_level": "Q4_K_M",
                },
            })
        };
        json!({ "models": shelf.models.iter().map(entry).collect::<Vec<_>>() })
    }
}
