//! The documents of an answer as OpenAI writes them, straight into a buffer (pure).

use crate::{
    message::{ToolCall, TurnId, UnixMillis},
    outcome::Usage,
    providers::Finish,
};
use serde::Serialize;
use std::io::Write;

/// What the chunks of an answer have in common.
#[derive(Clone, Debug)]
pub(super) struct Chunks {
    id: TurnId,
    /// Seconds since 1970.
    created: i64,
    /// Whether the caller wants the tokens counted at the end of a stream.
    counts: bool,
    /// Each chunk's beginning, for the model that speaks.
    head: Vec<u8>,
}

/// Appends this as JSON: a string with its quotation marks.
fn json(out: &mut Vec<u8>, value: &impl Serialize) {
    // Writing strings and numbers into memory cannot fail.
    let _ = serde_json::to_writer(out, value);
}

/// Appends this as it is.
fn raw(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(text.as_bytes());
}

impl Chunks {
    pub(super) fn new(id: &TurnId, started_at: UnixMillis, counts: bool) -> Self {
        Self { id: id.clone(), created: started_at.0.div_euclid(1000), counts, head: Vec::new() }
    }

    /// From here on this model speaks.
    pub(super) fn speaks(&mut self, model: &str) {
        let mut head = b"data: ".to_vec();
        self.open(&mut head, "chat.completion.chunk", model);
        self.head = head;
    }

    /// Everything in front of the choices.
    fn open(&self, out: &mut Vec<u8>, object: &str, model: &str) {
        let Self { id, created, .. } = self;
        let _ = write!(out, r#"{{"id":"chatcmpl-{id}","object":"{object}","created":{created},"model":"#);
        json(out, &model);
        raw(out, r#","choices":["#);
    }

    fn close(&self, out: &mut Vec<u8>) {
        raw(out, if self.counts { "],\"usage\":null}\n\n" } else { "]}\n\n" });
    }

    fn begin(&self, out: &mut Vec<u8>, is_first: bool) {
        out.extend_from_slice(&self.head);
        raw(out, r#"{"index":0,"delta":{"#);
        raw(out, if is_first { r#""role":"assistant","# } else { "" });
    }

    /// More text; the first chunk says who speaks, too.
    pub(super) fn text(&self, out: &mut Vec<u8>, text: &str, is_first: bool) {
        self.begin(out, is_first);
        raw(out, r#""content":"#);
        json(out, &text);
        raw(out, r#"},"finish_reason":null}"#);
        self.close(out);
    }

    /// A part of a call of a tool.
    pub(super) fn call(&self, out: &mut Vec<u8>, call: &ToolCall, is_first: bool) {
        self.begin(out, is_first);
        raw(out, if is_first { r#""content":null,"# } else { "" });
        let _ = write!(out, r#""tool_calls":[{{"index":{}"#, call.index);
        if let Some(id) = &call.id {
            raw(out, r#","id":"#);
            json(out, id);
            raw(out, r#","type":"function""#);
        }
        raw(out, r#","function":{"#);
        if let Some(name) = &call.name {
            raw(out, r#""name":"#);
            json(out, name);
            raw(out, ",");
        }
        raw(out, r#""arguments":"#);
        json(out, &call.arguments);
        raw(out, r#"}}]},"finish_reason":null}"#);
        self.close(out);
    }

    /// The end of a whole answer.
    pub(super) fn finish(&self, out: &mut Vec<u8>, word: &str, usage: Usage) {
        out.extend_from_slice(&self.head);
        let _ = write!(out, r#"{{"index":0,"delta":{{}},"finish_reason":"{word}"}}"#);
        self.close(out);
        if self.counts {
            out.extend_from_slice(&self.head);
            raw(out, r#"],"usage":"#);
            json(out, &Counted::from(usage));
            raw(out, "}\n\n");
        }
        raw(out, "data: [DONE]\n\n");
    }

    /// A whole answer at once.
    pub(super) fn document(
        &self,
        model: &str,
        message: &impl Serialize,
        finish: &str,
        usage: Usage,
    ) -> Vec<u8> {
        let mut out = Vec::new();
        self.open(&mut out, "chat.completion", model);
        raw(&mut out, r#"{"index":0,"message":"#);
        json(&mut out, message);
        let _ = write!(out, r#","logprobs":null,"finish_reason":"{finish}"}}],"usage":"#);
        json(&mut out, &Counted::from(usage));
        raw(&mut out, "}");
        out
    }
}

/// An event of a stream that holds this document.
pub(super) fn event(out: &mut Vec<u8>, document: &[u8]) {
    raw(out, "data: ");
    out.extend_from_slice(document);
    raw(out, "\n\n");
}

/// OpenAI's word for the end of an answer.
pub(super) fn word(finish: &Finish, has_calls: bool) -> &'static str {
    match finish {
        Finish::Length => "length",
        Finish::ContentFilter | Finish::Refusal => "content_filter",
        // Some hosts say `stop` behind calls, and programs look at this word first.
        Finish::Stop | Finish::ToolCalls | Finish::Other(_) if has_calls => "tool_calls",
        Finish::Stop | Finish::ToolCalls | Finish::Other(_) => "stop",
    }
}

#[derive(Serialize)]
struct Counted {
    prompt_tokens: u64,
    completion_tokens: u64,
    total_tokens: u64,
}

impl From<Usage> for Counted {
    fn from(usage: Usage) -> Self {
        let (prompt_tokens, completion_tokens) =
            (usage.tokens_in.unwrap_or_default(), usage.tokens_out.unwrap_or_default());
        Self {
            prompt_tokens,
            completion_tokens,
            total_tokens: prompt_tokens.saturating_add(completion_tokens),
        }
    }
}

#[derive(Serialize)]
struct Model<'a> {
    id: &'a str,
    object: &'static str,
    created: u64,
    owned_by: &'a str,
}

impl<'a> Model<'a> {
    fn new(id: &'a str, owned_by: &'a str) -> Self {
        Self { id, object: "model", created: 0, owned_by }
    }
}

#[derive(Serialize)]
struct Models<'a> {
    object: &'static str,
    data: Vec<Model<'a>>,
}

/// A provider as a model: its name, and what model is behind it.
pub(super) fn model(name: &str, owner: &str) -> Vec<u8> {
    let mut out = Vec::new();
    json(&mut out, &Model::new(name, owner));
    out
}

/// All of them.
pub(super) fn models(all: &[(String, String)]) -> Vec<u8> {
    let mut out = Vec::new();
    let data = all.iter().map(|(name, owner)| Model::new(name, owner)).collect();
    json(&mut out, &Models { object: "list", data });
    out
}
