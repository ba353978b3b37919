//! Chat completions as OpenAI answers them.

use super::dialect::{self, Dialect, Reply, Trouble, Wanted, bare, data};
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

/// OpenAI's count of tokens.
pub(crate) fn usage(reply: &Reply<'_>) -> Value {
    let (tokens_in, tokens_out) = (reply.asked.tokens_in, reply.tokens_out);
    json!({ "prompt_tokens": tokens_in, "completion_tokens": tokens_out, "total_tokens": tokens_in + tokens_out })
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
        let mut ending = Self::chunk(reply, &json!({}), Some(reply.finish.openai()));
        if reply.asked.count_tokens {
            let mut counted = Self::frame(reply);
            counted["choices"] = json!([]);
            counted["usage"] = usage(reply);
            ending += &data(&counted);
        }
        ending + "data: [DONE]\n\n"
    }

    fn error_event(&self, trouble: &Trouble<'_>) -> String {
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
        dialect::openai_error(trouble)
    }

    fn healthy(&self, model: &str) -> Value {
        json!({ "object": "list", "data": [{ "id": model, "object": "model", "created": CREATED, "owned_by": "sim" }] })
    }
}
