//! Content as Gemini generates it: CRLF framing, no `[DONE]`, and errors as bare JSON in the stream.

use super::dialect::{
    Asked, Call, Dialect, Finish, Reply, Shelf, Trouble, Wanted, bare, last_line, text_of, tokens,
};
use serde_json::{Value, json};

pub(crate) struct Gemini;

/// Gemini is the vendor whose events end with CRLF.
fn data(json: &Value) -> String {
    format!("data: {json}\r\n\r\n")
}

fn finish_reason(finish: Finish) -> &'static str {
    match finish {
        // It has no word for calls.
        Finish::Stop | Finish::Calls => "STOP",
        Finish::Length => "MAX_TOKENS",
        Finish::ContentFilter => "SAFETY",
    }
}

/// A call, always in one piece. There is a signature for what was thought, which has to be sent back with it.
fn function_call(call: &Call) -> Value {
    json!({ "functionCall": { "name": call.name, "args": call.arguments }, "thoughtSignature": "c2ln" })
}

impl Gemini {
    fn response(reply: &Reply<'_>, parts: &Value, finish: Option<Finish>) -> Value {
        let mut candidate = json!({ "content": { "parts": parts, "role": "model" }, "index": 0 });
        if let Some(finish) = finish {
            candidate["finishReason"] = finish_reason(finish).into();
        }
        let (tokens_in, tokens_out) = (reply.asked.tokens_in, reply.tokens_out);
        json!({
            "candidates": [candidate],
            "usageMetadata": {
                "promptTokenCount": tokens_in,
                "candidatesTokenCount": tokens_out,
                "totalTokenCount": tokens_in + tokens_out,
            },
            "modelVersion": reply.asked.model,
            "responseId": reply.id,
        })
    }
}

/// The model and the manner of the answer are in the path: `…/models/NAME:streamGenerateContent`.
fn asked(path: &str, stream: bool, body: &Value) -> Asked {
    let contents = body["contents"].as_array().map_or(&[][..], Vec::as_slice);
    let last = contents.iter().rev().find(|content| content["role"] != "model");
    let question = last.map(|content| text_of(&content["parts"], "text")).unwrap_or_default();
    let model = bare(path).rsplit('/').next().and_then(|last| last.split(':').next()).unwrap_or_default();
    Asked {
        stream,
        model: model.to_owned(),
        question: last_line(&question),
        tokens_in: tokens(&body["contents"].to_string()) + tokens(&body["systemInstruction"].to_string()),
        count_tokens: true,
    }
}

impl Dialect for Gemini {
    fn wanted(&self, method: &str, path: &str, body: &Value) -> Wanted {
        match (method, bare(path)) {
            ("POST", it) if it.ends_with(":streamGenerateContent") => {
                Wanted::Answer(asked(path, path.contains("alt=sse"), body))
            }
            ("POST", it) if it.ends_with(":generateContent") => Wanted::Answer(asked(path, false, body)),
            ("GET", it) if it.ends_with("/models") => Wanted::Health,
            _ => Wanted::Nothing,
        }
    }

    fn opening(&self, _reply: &Reply<'_>) -> String {
        String::new()
    }

    fn reasoning(&self, reply: &Reply<'_>, text: &str) -> String {
        data(&Self::response(reply, &json!([{ "text": text, "thought": true }]), None))
    }

    fn piece(&self, reply: &Reply<'_>, text: &str) -> String {
        data(&Self::response(reply, &json!([{ "text": text }]), None))
    }

    fn ending(&self, reply: &Reply<'_>) -> String {
        let calls: Vec<_> = reply.calls.iter().map(function_call).collect();
        let mut last = Self::response(reply, &json!([]), Some(reply.finish));
        last["candidates"][0]["content"] = json!({});
        match calls.as_slice() {
            [] => data(&last),
            calls => data(&Self::response(reply, &json!(calls), None)) + &data(&last),
        }
    }

    fn error_event(&self, _reply: &Reply<'_>, trouble: &Trouble<'_>) -> String {
        // Recorded so: pretty-printed, and without `data:`.
        format!("{:#}\r\n", self.error_body(trouble)).replace("\r\n", "\n").replace('\n', "\r\n")
    }

    fn malformed_piece(&self) -> String {
        "data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"Hel\r\n\r\n".into()
    }

    fn whole(&self, reply: &Reply<'_>, text: &str) -> Value {
        let thought = reply.reasoning.map(|thought| json!({ "text": thought, "thought": true }));
        let text = (!text.is_empty()).then(|| json!({ "text": text }));
        let parts: Value =
            thought.into_iter().chain(text).chain(reply.calls.iter().map(function_call)).collect();
        Self::response(reply, &parts, Some(reply.finish))
    }

    fn error_body(&self, trouble: &Trouble<'_>) -> Value {
        let (code, status, message) = match (trouble.code, trouble.status) {
            (Some("context_length_exceeded"), _) => (
                400,
                "INVALID_ARGUMENT",
                "The input token count (1048577) exceeds the maximum number of tokens allowed (1048576).",
            ),
            (Some("invalid_api_key" | "authentication_error"), _) | (None, 401) => {
                (400, "INVALID_ARGUMENT", "API key not valid. Please pass a valid API key.")
            }
            (_, 400) => (400, "INVALID_ARGUMENT", "Request contains an invalid argument."),
            (_, 403) => (403, "PERMISSION_DENIED", "Permission denied."),
            (_, 404) => (404, "NOT_FOUND", "The model is not found."),
            (_, 429) => (429, "RESOURCE_EXHAUSTED", "You exceeded your current quota."),
            (_, 503 | 529) => (503, "UNAVAILABLE", "The model is overloaded. Please try again later."),
            (_, 504) => (504, "DEADLINE_EXCEEDED", "The request timed out."),
            (_, status @ 500..) => (status, "INTERNAL", "An internal error has occurred."),
            (_, status) => (status, "FAILED_PRECONDITION", "The request failed."),
        };
        let mut details = Vec::new();
        if message.starts_with("API key") {
            details.push(
                json!({ "@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID" }),
            );
        }
        if trouble.code == Some("insufficient_quota") {
            details.push(json!({
                "@type": "type.googleapis.com/google.rpc.QuotaFailure",
                "violations": [{ "quotaId": "GenerateRequestsPerDayPerProjectPerModel" }],
            }));
        }
        if let Some(wait) = trouble.retry_after {
            let delay = format!("{}s", wait.as_secs_f64());
            details.push(json!({ "@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": delay }));
        }
        json!({ "error": { "code": code, "message": message, "status": status, "details": details } })
    }

    fn waits_in_body(&self) -> bool {
        true
    }

    fn healthy(&self, shelf: &Shelf<'_>) -> Value {
        let entry = |model: &String| {
            json!({
                "name": format!("models/{model}"),
                "version": "001",
                "displayName": model,
                "inputTokenLimit": shelf.window.unwrap_or(1_048_576),
                "outputTokenLimit": 65_536,
                "supportedGenerationMethods": ["generateContent", "countTokens"],
            })
        };
        json!({ "models": shelf.models.iter().map(entry).collect::<Vec<_>>() })
    }
}
