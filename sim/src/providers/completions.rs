//! Legacy completions: a flat prompt in, `choices[].text` out, as small vendors and local servers have them.

use super::{
    dialect::{Asked, Dialect, Reply, Shelf, Trouble, Wanted, bare, data, last_line, tokens},
    openai::{self, CREATED, usage},
};
use serde_json::{Value, json};

pub(crate) struct Completions;

impl Completions {
    fn chunk(reply: &Reply<'_>, text: &str, finish: Option<&str>, usage: &Value) -> Value {
        json!({
            "id": format!("cmpl-{}", reply.id),
            "object": "text_completion",
            "created": CREATED,
            "model": reply.asked.model,
            "choices": [{ "index": 0, "text": text, "logprobs": null, "finish_reason": finish }],
            "usage": usage,
        })
    }
}

/// The prompt ends with a cue such as `Assistant:`; the person's last line is before it.
fn asked(body: &Value) -> Asked {
    let prompt = body["prompt"].as_str().unwrap_or_default();
    let said = match prompt.trim_end().rsplit_once('\n') {
        Some((before, cue)) if cue.trim_end().ends_with(':') => before,
        _ => prompt,
    };
    Asked {
        stream: body["stream"] == true,
        model: body["model"].as_str().unwrap_or_default().to_owned(),
        question: last_line(said),
        tokens_in: tokens(prompt),
        count_tokens: true,
    }
}

impl Dialect for Completions {
    fn wanted(&self, method: &str, path: &str, body: &Value) -> Wanted {
        match (method, bare(path)) {
            ("POST", path) if path.ends_with("/completions") && !path.ends_with("/chat/completions") => {
                Wanted::Answer(asked(body))
            }
            ("GET", path) if path.ends_with("/health") => Wanted::Health,
            _ => Wanted::Nothing,
        }
    }

    fn opening(&self, _reply: &Reply<'_>) -> String {
        String::new()
    }

    fn reasoning(&self, _reply: &Reply<'_>, _text: &str) -> String {
        String::new()
    }

    fn piece(&self, reply: &Reply<'_>, text: &str) -> String {
        data(&Self::chunk(reply, text, None, &Value::Null))
    }

    fn ending(&self, reply: &Reply<'_>) -> String {
        data(&Self::chunk(reply, "", Some(reply.finish.openai()), &usage(reply))) + "data: [DONE]\n\n"
    }

    fn error_event(&self, _reply: &Reply<'_>, trouble: &Trouble<'_>) -> String {
        data(&self.error_body(trouble))
    }

    fn malformed_piece(&self) -> String {
        "data: {\"id\":\"cmpl-sim\",\"choices\":[{\"text\":\"Hel\n\n".into()
    }

    fn whole(&self, reply: &Reply<'_>, text: &str) -> Value {
        Self::chunk(reply, text, Some(reply.finish.openai()), &usage(reply))
    }

    fn error_body(&self, trouble: &Trouble<'_>) -> Value {
        openai::error(trouble)
    }

    fn healthy(&self, _shelf: &Shelf<'_>) -> Value {
        json!({ "status": "ok" })
    }
}
