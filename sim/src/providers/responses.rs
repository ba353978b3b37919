//! Responses as OpenAI answers them: events with names and numbers, one answer in several nested parts, no `[DONE]`.

use super::{
    dialect::{
        Asked, Call, Dialect, Finish, Reply, Shelf, Trouble, Wanted, bare, last_line, text_of, tokens,
    },
    openai::{self, CREATED},
};
use serde_json::{Value, json};

pub(crate) struct Responses;

/// An event with its name in the frame and in the data, and its number.
fn event(reply: &Reply<'_>, name: &str, mut data: Value) -> String {
    data["type"] = name.into();
    data["sequence_number"] = reply.number().into();
    format!("event: {name}\ndata: {data}\n\n")
}

/// Where the text stands: behind the thought, when there is one.
fn text_index(reply: &Reply<'_>) -> usize {
    usize::from(reply.reasoning.is_some())
}

fn status(finish: Finish) -> &'static str {
    if matches!(finish, Finish::Stop | Finish::Calls) { "completed" } else { "incomplete" }
}

fn output_text(text: &str) -> Value {
    json!({ "type": "output_text", "annotations": [], "logprobs": [], "text": text })
}

fn summary(text: &str) -> Value {
    json!({ "type": "summary_text", "text": text })
}

fn thought_id(reply: &Reply<'_>) -> String {
    format!("rs_{}", reply.id)
}

fn message_id(reply: &Reply<'_>) -> String {
    format!("msg_{}", reply.id)
}

fn thought_item(reply: &Reply<'_>, said: &[&str]) -> Value {
    let said: Vec<_> = said.iter().map(|text| summary(text)).collect();
    json!({ "id": thought_id(reply), "type": "reasoning", "summary": said })
}

fn message_item(reply: &Reply<'_>, status: &str, said: &[&str]) -> Value {
    let said: Vec<_> = said.iter().map(|text| output_text(text)).collect();
    json!({ "id": message_id(reply), "type": "message", "status": status, "role": "assistant", "content": said })
}

/// What every event that tells of the whole answer carries.
fn response(reply: &Reply<'_>, status: &str) -> Value {
    json!({
        "id": format!("resp_{}", reply.id),
        "object": "response",
        "created_at": CREATED,
        "status": status,
        "background": false,
        "error": null,
        "incomplete_details": null,
        "instructions": null,
        "max_output_tokens": null,
        "model": reply.asked.model,
        "output": [],
        "parallel_tool_calls": true,
        "previous_response_id": null,
        "reasoning": { "effort": null, "summary": null },
        "store": true,
        "temperature": 1.0,
        "text": { "format": { "type": "text" } },
        "tool_choice": "auto",
        "tools": [],
        "top_p": 1.0,
        "truncation": "disabled",
        "usage": null,
        "metadata": {},
    })
}

/// The answer when it is over.
fn ended(reply: &Reply<'_>) -> Value {
    let mut whole = response(reply, status(reply.finish));
    let thought = reply.reasoning.map(|thought| thought_item(reply, &[thought]));
    let message = reply.speaks().then(|| message_item(reply, status(reply.finish), &[reply.text]));
    let calls =
        reply.calls.iter().enumerate().map(|(number, call)| call_item(reply, number, call, "completed"));
    whole["output"] = thought.into_iter().chain(message).chain(calls).collect();
    whole["incomplete_details"] = match reply.finish {
        Finish::Stop | Finish::Calls => Value::Null,
        Finish::Length => json!({ "reason": "max_output_tokens" }),
        Finish::ContentFilter => json!({ "reason": "content_filter" }),
    };
    let (tokens_in, tokens_out) = (reply.asked.tokens_in, reply.tokens_out);
    whole["usage"] = json!({
        "input_tokens": tokens_in,
        "input_tokens_details": { "cached_tokens": 0 },
        "output_tokens": tokens_out,
        "output_tokens_details": { "reasoning_tokens": reply.reasoning.map_or(0, tokens) },
        "total_tokens": tokens_in + tokens_out,
    });
    whole
}

/// A call of a tool, an item of its own with two ids: the item's, and the one by which its result is told.
fn call_item(reply: &Reply<'_>, number: usize, call: &Call, status: &str) -> Value {
    let arguments = if status == "completed" { call.arguments.to_string() } else { String::new() };
    json!({
        "id": reply.call_id("fc", number),
        "type": "function_call",
        "status": status,
        "arguments": arguments,
        "call_id": reply.call_id("call", number),
        "name": call.name,
    })
}

/// The events of a call, which is the item with this index.
fn called(reply: &Reply<'_>, number: usize, index: usize, call: &Call) -> String {
    let item = |status| json!({ "output_index": index, "item": call_item(reply, number, call, status) });
    let place = json!({ "item_id": reply.call_id("fc", number), "output_index": index });
    let with = |key: &str, text: String| {
        let mut place = place.clone();
        place[key] = text.into();
        place
    };
    let mut events = event(reply, "response.output_item.added", item("in_progress"));
    for part in call.parts() {
        events += &event(reply, "response.function_call_arguments.delta", with("delta", part));
    }
    let whole = with("arguments", call.arguments.to_string());
    events
        + &event(reply, "response.function_call_arguments.done", whole)
        + &event(reply, "response.output_item.done", item("completed"))
}

/// The message begins, as the next part of the answer; if there will be one.
fn message_begins(reply: &Reply<'_>) -> String {
    if !reply.speaks() {
        return String::new();
    }
    let (index, id) = (text_index(reply), message_id(reply));
    let item = message_item(reply, "in_progress", &[]);
    event(reply, "response.output_item.added", json!({ "output_index": index, "item": item }))
        + &event(
            reply,
            "response.content_part.added",
            json!({ "item_id": id, "output_index": index, "content_index": 0, "part": output_text("") }),
        )
}

/// The message ends, and is told once more.
fn message_ends(reply: &Reply<'_>) -> String {
    let (index, id, text) = (text_index(reply), message_id(reply), reply.text);
    let said =
        json!({ "item_id": id, "output_index": index, "content_index": 0, "text": text, "logprobs": [] });
    let part = json!({ "item_id": id, "output_index": index, "content_index": 0, "part": output_text(text) });
    let item = message_item(reply, status(reply.finish), &[text]);
    event(reply, "response.output_text.done", said)
        + &event(reply, "response.content_part.done", part)
        + &event(reply, "response.output_item.done", json!({ "output_index": index, "item": item }))
}

/// `input` is a text, or a list of messages whose content is a text or a list of parts.
fn asked(body: &Value) -> Asked {
    let said = match &body["input"] {
        Value::Array(items) => {
            let last = items.iter().rev().find(|item| item["role"] == "user");
            last.map(|item| text_of(&item["content"], "text")).unwrap_or_default()
        }
        text => text_of(text, "text"),
    };
    Asked {
        stream: body["stream"] == true,
        model: body["model"].as_str().unwrap_or_default().to_owned(),
        question: last_line(&said),
        tokens_in: tokens(&body["input"].to_string()) + tokens(&body["instructions"].to_string()),
        count_tokens: true,
    }
}

impl Dialect for Responses {
    fn wanted(&self, method: &str, path: &str, body: &Value) -> Wanted {
        match (method, bare(path)) {
            ("POST", path) if path.ends_with("/responses") => Wanted::Answer(asked(body)),
            ("GET", path) if path.ends_with("/models") => Wanted::Health,
            _ => Wanted::Nothing,
        }
    }

    fn opening(&self, reply: &Reply<'_>) -> String {
        let begun = json!({ "response": response(reply, "in_progress") });
        let head =
            event(reply, "response.created", begun.clone()) + &event(reply, "response.in_progress", begun);
        if reply.reasoning.is_none() {
            return head + &message_begins(reply);
        }
        let part = json!({ "item_id": thought_id(reply), "output_index": 0, "summary_index": 0, "part": summary("") });
        head + &event(
            reply,
            "response.output_item.added",
            json!({ "output_index": 0, "item": thought_item(reply, &[]) }),
        ) + &event(reply, "response.reasoning_summary_part.added", part)
    }

    fn reasoning(&self, reply: &Reply<'_>, text: &str) -> String {
        let place =
            json!({ "item_id": thought_id(reply), "output_index": 0, "summary_index": 0, "delta": text });
        event(reply, "response.reasoning_summary_text.delta", place)
    }

    fn thought(&self, reply: &Reply<'_>) -> String {
        let thought = reply.reasoning.unwrap_or_default();
        let place = json!({ "item_id": thought_id(reply), "output_index": 0, "summary_index": 0 });
        let with = |key: &str, value: Value| {
            let mut place = place.clone();
            place[key] = value;
            place
        };
        let item = thought_item(reply, &[thought]);
        event(reply, "response.reasoning_summary_text.done", with("text", thought.into()))
            + &event(reply, "response.reasoning_summary_part.done", with("part", summary(thought)))
            + &event(reply, "response.output_item.done", json!({ "output_index": 0, "item": item }))
            + &message_begins(reply)
    }

    fn piece(&self, reply: &Reply<'_>, text: &str) -> String {
        let (index, id) = (text_index(reply), message_id(reply));
        let place = json!({ "item_id": id, "output_index": index, "content_index": 0 });
        let mut delta = place;
        delta["delta"] = text.into();
        delta["logprobs"] = json!([]);
        event(reply, "response.output_text.delta", delta)
    }

    fn ending(&self, reply: &Reply<'_>) -> String {
        let mut ending = if reply.speaks() { message_ends(reply) } else { String::new() };
        let first = text_index(reply) + usize::from(reply.speaks());
        for (number, call) in reply.calls.iter().enumerate() {
            ending += &called(reply, number, first + number, call);
        }
        let name = format!("response.{}", status(reply.finish));
        ending + &event(reply, &name, json!({ "response": ended(reply) }))
    }

    fn error_event(&self, reply: &Reply<'_>, trouble: &Trouble<'_>) -> String {
        // Recorded so: the error by itself, and then the answer that failed of it, which has no type and always a code.
        let error = self.error_body(trouble);
        let code = error["error"]["code"].as_str().unwrap_or("server_error");
        let mut failed = response(reply, "failed");
        failed["error"] = json!({ "code": code, "message": error["error"]["message"] });
        event(reply, "error", error) + &event(reply, "response.failed", json!({ "response": failed }))
    }

    fn malformed_piece(&self) -> String {
        "event: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\",\"delta\":\"Hel\n\n"
            .into()
    }

    fn whole(&self, reply: &Reply<'_>, _text: &str) -> Value {
        ended(reply)
    }

    fn error_body(&self, trouble: &Trouble<'_>) -> Value {
        let mut body = openai::error(trouble);
        if trouble.code == Some("context_length_exceeded") {
            body["error"]["param"] = "input".into();
            body["error"]["message"] =
                "Your input exceeds the context window of this model. Please adjust your input and try again."
                    .into();
        }
        body
    }

    fn healthy(&self, shelf: &Shelf<'_>) -> Value {
        openai::models(shelf)
    }
}
