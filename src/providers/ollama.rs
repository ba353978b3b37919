//! The `ollama` dialect: `POST /api/chat` below the root of an Ollama server, a line of JSON a chunk.
//!
//! **The problem.** The server has a window of its own, some thousand tokens; of a longer prompt it drops the oldest messages, and in
//! an answer that grows beyond it the beginning, without a word. **The rule.** It is told the window that the operator configured, and
//! to say that a prompt is too long instead of cutting it. **The limits.** Versions before autumn 2025 cut all the same. No call of a
//! tool can be forced here, and no picture fetched: both are said to be unsupported. Whether to think can only be denied; a model that
//! cannot think refuses any other word about it.

use super::{
    Finish,
    answer::Said,
    asked::{self, Asked, Format, Part, Picture, ToolChoice, Turn},
    body::Body,
    dialect::{Dialect, Framing, Question},
    lax::{self, Count, List, Object, Present, Text},
    prompt_text,
    tool_calls::{Part as CallPart, Written},
    verdict,
};
use crate::{
    message::Role,
    outcome::{Failed, Usage},
};
use serde::Deserialize;
use serde_json::{Value, json};

pub(super) static DIALECT: Dialect = Dialect {
    questions: |_| "/api/chat".to_owned(),
    health: "/api/tags",
    models: "/api/tags",
    key_header: "authorization",
    headers: &[],
    write,
    renames: &[],
    names_speakers: prompt_text::has_several_speakers,
    framing: Framing::Lines,
    read,
    finish_may_be_early: false,
    trims_start: false,
};

fn write(question: Question<'_>) -> Result<Body<'_>, Failed> {
    let Question { prompt, model, context_window, temperature } = question;
    let asked = Asked::new(prompt, temperature)?;
    let mut body = Body::default();
    body.put("model", model);
    body.put("stream", true);
    body.put("truncate", false);
    body.put("shift", false);
    body.put("options.num_ctx", context_window);
    configure(&mut body, &asked);
    body.put_some("tools", tools(asked.tools, &asked.tool_choice)?);
    body.put("messages", messages(&asked.system, asked.turns)?);
    Ok(body)
}

fn configure(body: &mut Body<'_>, asked: &Asked) {
    body.put("options.num_predict", asked.reply_tokens);
    body.put_some("options.temperature", asked.temperature);
    body.put_some("options.top_p", asked.top_p);
    body.put_some("options.presence_penalty", asked.presence_penalty);
    body.put_some("options.frequency_penalty", asked.frequency_penalty);
    body.put_some("options.seed", asked.seed);
    if !asked.stop.is_empty() {
        body.put("options.stop", asked.stop.clone());
    }
    match &asked.format {
        Format::Text => {}
        Format::Json => body.put("format", "json"),
        Format::Schema { schema, .. } => body.put("format", schema.clone()),
    }
    if asked.effort.as_deref() == Some("none") {
        body.put("think", false);
    }
}

fn tools(tools: Vec<asked::Tool>, choice: &ToolChoice) -> Result<Option<Value>, Failed> {
    match choice {
        _ if tools.is_empty() => Ok(None),
        ToolChoice::Never => Ok(None),
        ToolChoice::Auto => Ok(Some(tools.into_iter().map(tool).collect())),
        ToolChoice::Required | ToolChoice::Named(_) => Err(asked::unsupported("tool_choice")),
    }
}

fn tool(tool: asked::Tool) -> Value {
    let nothing = || json!({ "type": "object", "properties": {} });
    let parameters = if tool.parameters.is_null() { nothing() } else { tool.parameters };
    let function = json!({ "name": tool.name, "parameters": parameters });
    json!({ "type": "function", "function": asked::with(function, "description", tool.description) })
}

fn messages(system: &str, turns: Vec<Turn>) -> Result<Vec<Value>, Failed> {
    let mut messages = Vec::new();
    if !system.is_empty() {
        messages.push(json!({ "role": "system", "content": system }));
    }
    for turn in turns {
        let mut message = Message::new(turn.role);
        for part in turn.parts {
            match part {
                Part::Text(text) => message.say(&text),
                Part::Picture(Picture::Here(image)) => message.images.push(Value::from(&*image.base64)),
                Part::Picture(Picture::At(_)) => return Err(asked::unsupported("image")),
                Part::Call { id, name, arguments } => {
                    let arguments = asked::object(arguments);
                    message
                        .calls
                        .push(json!({ "id": id, "function": { "name": name, "arguments": arguments } }));
                }
                Part::Result { id, name, text } => {
                    let before = std::mem::replace(&mut message, Message::new(turn.role));
                    messages.extend(before.written());
                    messages.push(
                        json!({ "role": "tool", "tool_name": name, "tool_call_id": id, "content": text }),
                    );
                }
            }
        }
        messages.extend(message.written());
    }
    Ok(messages)
}

/// A message that is being put together.
struct Message {
    role: Role,
    content: String,
    images: Vec<Value>,
    calls: Vec<Value>,
}

impl Message {
    fn new(role: Role) -> Self {
        Self { role, content: String::new(), images: Vec::new(), calls: Vec::new() }
    }

    fn say(&mut self, text: &str) {
        let gap = if self.content.is_empty() { "" } else { "\n" };
        self.content += gap;
        self.content += text;
    }

    /// Its JSON; none if there is nothing in it.
    fn written(self) -> Option<Value> {
        let Self { role, content, images, calls } = self;
        if content.is_empty() && images.is_empty() && calls.is_empty() {
            return None;
        }
        let written = json!({ "role": role, "content": content });
        let written = asked::with(written, "images", Some(images).filter(|it| !it.is_empty()));
        Some(asked::with(written, "tool_calls", Some(calls).filter(|it| !it.is_empty())))
    }
}

/// A line, or a whole answer.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Line<'a> {
    #[serde(borrow)]
    message: Object<Spoken<'a>>,
    done: Present,
    #[serde(borrow)]
    done_reason: Text<'a>,
    prompt_eval_count: Count,
    eval_count: Count,
    error: Present,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Spoken<'a> {
    #[serde(borrow)]
    content: Text<'a>,
    #[serde(borrow)]
    thinking: Text<'a>,
    /// Whole ones; their arguments are an object.
    #[serde(borrow)]
    tool_calls: List<Object<Written<'a>>>,
}

fn read(json: &str) -> serde_json::Result<Said> {
    let line: Line<'_> = lax::read(json)?;
    let known = line.message.0.is_some();
    let message = line.message.or_default();
    let calls = message.tool_calls.0.into_iter().filter_map(|it| it.0?.part());
    let (tokens_in, tokens_out) = (line.prompt_eval_count.0, line.eval_count.0);
    let is_counted = tokens_in.or(tokens_out).is_some();
    let is_last = line.done.0 && !line.error.0;
    Ok(Said {
        known,
        text: message.content.into_owned(),
        reasoning: message.thinking.into_owned(),
        calls: calls.map(call).collect(),
        usage: is_counted.then_some(Usage { tokens_in, tokens_out, is_estimated: false }),
        finish: is_last.then(|| finish(&line.done_reason.0)),
        complains: line.error.0,
        is_last,
        ..Said::default()
    })
}

fn call(mut part: CallPart) -> CallPart {
    if part.arguments.is_empty() {
        "{}".clone_into(&mut part.arguments);
    }
    CallPart { begins: true, ..part }
}

fn finish(word: &str) -> Finish {
    match word {
        // Old versions say no reason.
        "" | "stop" => Finish::Stop,
        "length" => Finish::Length,
        // `load` and `unload`, where nothing was asked, among them.
        other => Finish::Other(verdict::machine_word(other).unwrap_or_default()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        message::Prompt,
        providers::{any_json::any_json, body::Refused},
    };
    use expect_test::{Expect, expect};
    use proptest::prelude::*;
    use serde_json::Map;
    use std::sync::Arc;

    #[expect(clippy::needless_pass_by_value, reason = "reads as a literal")]
    fn check(request: Value, expected: Expect) {
        let request = Some(Arc::new(serde_json::from_value(request).unwrap()));
        let prompt = Prompt { request, reply_tokens: 5, ..Prompt::default() };
        let written =
            write(Question { prompt: &prompt, model: "m", context_window: 4096, temperature: None });
        let written = written.map(|body| body.write(&Refused::default(), &Map::new()).unwrap());
        expected.assert_eq(&match written {
            Ok(json) => String::from_utf8(json).unwrap(),
            Err(failed) => failed.to_string(),
        });
    }

    #[test]
    fn calls_and_results_are_messages_of_their_own() {
        let call = |id: &str, arguments: &str| json!({"id": id, "function": {"name": "now", "arguments": arguments}});
        let image = json!({"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}});
        check(
            json!({
                "messages": [
                    {"role": "user", "content": [{"type": "text", "text": "look"}, image, {"type": "text", "text": "when?"}]},
                    {"role": "assistant", "content": null, "tool_calls": [call("a", "{\"in\":1}"), call("b", "7")]},
                    {"role": "tool", "tool_call_id": "a", "content": "noon"},
                    {"role": "tool", "tool_call_id": "b", "content": "one"},
                    {"role": "user", "content": "so?"},
                ],
                "tools": [{"function": {"name": "now", "description": "The time."}}],
                "reasoning_effort": "none",
            }),
            expect![[
                r#"{"model":"m","stream":true,"truncate":false,"shift":false,"options":{"num_ctx":4096,"num_predict":5},"think":false,"tools":[{"function":{"description":"The time.","name":"now","parameters":{"properties":{},"type":"object"}},"type":"function"}],"messages":[{"content":"look\nwhen?","images":["AA=="],"role":"user"},{"content":"","role":"assistant","tool_calls":[{"function":{"arguments":{"in":1},"name":"now"},"id":"a"},{"function":{"arguments":{},"name":"now"},"id":"b"}]},{"content":"noon","role":"tool","tool_call_id":"a","tool_name":"now"},{"content":"one","role":"tool","tool_call_id":"b","tool_name":"now"},{"content":"so?","role":"user"}]}"#
            ]],
        );
    }

    #[test]
    fn tools_can_be_kept_away_but_not_forced() {
        let with = |choice: &str| json!({"messages": [{"role": "user", "content": "hi"}], "tools": [{"function": {"name": "now"}}], "tool_choice": choice, "reasoning_effort": "low"});
        check(
            with("none"),
            expect![[
                r#"{"model":"m","stream":true,"truncate":false,"shift":false,"options":{"num_ctx":4096,"num_predict":5},"messages":[{"content":"hi","role":"user"}]}"#
            ]],
        );
        check(with("required"), expect!["unsupported_parameter: tool_choice"]);
    }

    const KEYS: [&str; 10] = [
        "message",
        "content",
        "thinking",
        "tool_calls",
        "function",
        "name",
        "arguments",
        "done",
        "done_reason",
        "eval_count",
    ];
    const WORDS: [&str; 4] = ["stop", "length", "load", "unload"];

    proptest! {
        #[test]
        fn any_json_is_read(value in any_json(&KEYS, &WORDS)) {
            prop_assert!(read(&value.to_string()).is_ok());
        }
    }
}
