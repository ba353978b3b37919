//! The `anthropic` dialect: `POST /messages`, spoken by Anthropic and by hosts that took it over.
//!
//! A message is a list of blocks. Text and tools are read from them, and thoughts as a sign of life; what the vendor's own tools
//! do (searches, code) is for nobody here. An answer is whole when its `stop_reason` was said.

use super::{
    Finish,
    answer::Said,
    asked::{self, Asked, Format, Part, Picture, Tool, ToolChoice, Turn},
    body::Body,
    dialect::{Dialect, Framing, Question},
    lax::{self, Count, List, Object, Present, Text},
    prompt_text, tool_calls, verdict,
};
use crate::{
    message::Role,
    outcome::{Failed, Usage},
};
use serde::Deserialize;
use serde_json::{Map, Value, json, value::RawValue};

pub(super) static DIALECT: Dialect = Dialect {
    questions: |_| "/messages".to_owned(),
    health: "/models?limit=1",
    // Twenty are listed where no limit is given.
    models: "/models?limit=1000",
    key_header: "x-api-key",
    headers: &[("anthropic-version", "2023-06-01")],
    write,
    renames: &[],
    names_speakers: prompt_text::has_several_speakers,
    framing: Framing::Events,
    read,
    finish_may_be_early: false,
    trims_start: false,
};

fn write(question: Question<'_>) -> Result<Body<'_>, Failed> {
    let asked = Asked::new(question.prompt, None)?;
    let mut body = Body::default();
    body.put("model", question.model);
    body.put("max_tokens", asked.reply_tokens);
    body.put("stream", true);
    let (temperature, top_p) = sampling(&asked, question.temperature);
    body.put_some("temperature", temperature);
    body.put_some("top_p", top_p);
    body.put_some("output_config.effort", asked.effort.as_deref().and_then(effort));
    body.put_some("output_config.format", output_format(asked.format)?);
    body.put_some("stop_sequences", stop_sequences(asked.stop)?);
    put_tools(&mut body, &asked.turns, asked.tools, &asked.tool_choice, asked.parallel_tools);
    let system = Some(asked.system).filter(|it| !it.trim().is_empty());
    if asked.turns.is_empty() {
        // A program may ask with a system prompt alone; no messages at all would be refused.
        body.put("messages", json!([{ "role": Role::User, "content": system }]));
    } else {
        body.put_some("system", system);
        body.put("messages", messages(asked.turns));
    }
    Ok(body)
}

/// Temperature and `top_p`, of which newer models take one only: the temperature, unless only the other is the program's own. At 1
/// both vendors' models choose as they were trained to; higher ones are taken for 1, as Anthropic's own layer for OpenAI's
/// programs does.
fn sampling(asked: &Asked, operators: Option<f64>) -> (Option<f64>, Option<f64>) {
    let temperature = asked.temperature.or(operators.filter(|_| asked.top_p.is_none()));
    (temperature.map(|it| it.clamp(0.0, 1.0)), asked.top_p.filter(|_| temperature.is_none()))
}

/// OpenAI's word in Anthropic's. The higher ones are taken by some models only, and then not without thinking.
fn effort(word: &str) -> Option<&'static str> {
    match word {
        "none" | "minimal" | "low" => Some("low"),
        "medium" => Some("medium"),
        "high" | "xhigh" | "max" => Some("high"),
        _ => None,
    }
}

/// The schema that the answer must have; there is no way to demand JSON of any shape.
fn output_format(format: Format) -> Result<Option<Value>, Failed> {
    match format {
        Format::Text => Ok(None),
        Format::Schema { mut schema, .. } if schema.is_object() => {
            close(&mut schema);
            Ok(Some(json!({ "type": "json_schema", "schema": schema })))
        }
        Format::Json | Format::Schema { .. } => Err(asked::unsupported("response_format")),
    }
}

/// Anthropic takes only objects that say that they have no other properties. What fits such a schema fits the program's, too;
/// an object without any known property would never have one, and is left to be refused.
fn close(schema: &mut Value) {
    if let Value::Object(object) = schema {
        let lists_all = object.get("properties").and_then(Value::as_object).is_some_and(|it| !it.is_empty());
        if lists_all && object.get("type").is_some_and(|it| it == "object") {
            object.entry("additionalProperties").or_insert(Value::Bool(false));
        }
        object.values_mut().for_each(close);
    } else if let Value::Array(list) = schema {
        list.iter_mut().for_each(close);
    }
}

/// A stop of white space alone is refused; without it the answer would be another one, so somebody else must be asked.
fn stop_sequences(stop: Vec<String>) -> Result<Option<Vec<String>>, Failed> {
    if stop.iter().any(|it| it.trim().is_empty()) {
        return Err(asked::unsupported("stop"));
    }
    Ok(Some(stop).filter(|it| !it.is_empty()))
}

/// The tools and whether one must be called. `strict` is left out, as Anthropic's own layer for OpenAI's programs does: schemas that
/// are fine for OpenAI would be refused.
fn put_tools(
    body: &mut Body<'_>,
    turns: &[Turn],
    tools: Vec<Tool>,
    choice: &ToolChoice,
    parallel: Option<bool>,
) {
    if tools.is_empty() {
        // Calls in the conversation are refused where no tool is known; they are known, and not to be called.
        let called = called(turns);
        if !called.is_empty() {
            let known = |name| json!({ "name": name, "input_schema": { "type": "object" } });
            body.put("tools", called.into_iter().map(known).collect::<Vec<_>>());
            body.put("tool_choice", json!({ "type": "none" }));
        }
        return;
    }
    body.put("tools", tools.into_iter().map(tool).collect::<Vec<_>>());
    let mut choice = match choice {
        ToolChoice::Never => return body.put("tool_choice", json!({ "type": "none" })),
        ToolChoice::Auto if parallel != Some(false) => return,
        ToolChoice::Auto => json!({ "type": "auto" }),
        ToolChoice::Required => json!({ "type": "any" }),
        ToolChoice::Named(name) => json!({ "type": "tool", "name": name }),
    };
    if parallel == Some(false) {
        choice["disable_parallel_tool_use"] = Value::Bool(true);
    }
    body.put("tool_choice", choice);
}

fn tool(tool: Tool) -> Value {
    let mut schema = match tool.parameters {
        Value::Object(schema) => schema,
        _ => Map::new(),
    };
    schema.entry("type").or_insert_with(|| Value::from("object"));
    asked::with(json!({ "name": tool.name, "input_schema": schema }), "description", tool.description)
}

/// The names of the tools that were called, each once.
fn called(turns: &[Turn]) -> Vec<&str> {
    let mut names: Vec<&str> = Vec::new();
    for part in turns.iter().flat_map(|turn| &turn.parts) {
        if let Part::Call { name, .. } = part
            && !names.contains(&&**name)
        {
            names.push(name);
        }
    }
    names
}

/// Messages whose roles alternate. What tools said stands first; white space at the end of an answer that is to be continued is
/// refused.
fn messages(mut turns: Vec<Turn>) -> Vec<Value> {
    if let Some(Turn { role: Role::Assistant, parts }) = turns.last_mut()
        && let Some(Part::Text(text)) = parts.last_mut()
    {
        text.truncate(text.trim_end().len());
    }
    let written = turns.into_iter().map(|Turn { role, mut parts }| {
        parts.sort_by_key(|part| !matches!(part, Part::Result { .. }));
        json!({ "role": role, "content": asked::content(parts, |part| Some(block(part))) })
    });
    written.collect()
}

fn block(part: Part) -> Value {
    match part {
        Part::Text(text) => json!({ "type": "text", "text": text }),
        Part::Picture(Picture::At(url)) => {
            json!({ "type": "image", "source": { "type": "url", "url": url } })
        }
        Part::Picture(Picture::Here(image)) => {
            // A name that other vendors take, too.
            let media_type = if image.media_type == "image/jpg" { "image/jpeg" } else { &image.media_type };
            let source = json!({ "type": "base64", "media_type": media_type, "data": &*image.base64 });
            json!({ "type": "image", "source": source })
        }
        Part::Call { id, name, arguments } => {
            json!({ "type": "tool_use", "id": tool_id(&id), "name": name, "input": asked::object(arguments) })
        }
        Part::Result { id, text, .. } => {
            let result = json!({ "type": "tool_result", "tool_use_id": tool_id(&id) });
            asked::with(result, "content", Some(text).filter(|text| !text.trim().is_empty()))
        }
    }
}

/// An id in the letters that Anthropic takes: the call may be another vendor's, such as `functions.now:0`.
fn tool_id(id: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' };
    if id.is_empty() { "_".to_owned() } else { id.chars().map(plain).collect() }
}

/// An event.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Event<'a> {
    #[serde(borrow, rename = "type")]
    sort: Text<'a>,
    /// Which block of the message it is about.
    index: Count,
    #[serde(borrow)]
    message: Object<Message<'a>>,
    #[serde(borrow)]
    content_block: Object<Block<'a>>,
    #[serde(borrow)]
    delta: Object<Delta<'a>>,
    usage: Object<Counts>,
    error: Present,
}

/// A whole answer, or how one begins: then without blocks and a reason, but where the vendor's own tools went before.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Message<'a> {
    #[serde(borrow)]
    content: Option<List<Object<Block<'a>>>>,
    #[serde(borrow)]
    stop_reason: Text<'a>,
    usage: Object<Counts>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Block<'a> {
    #[serde(borrow, rename = "type")]
    sort: Text<'a>,
    #[serde(borrow)]
    text: Text<'a>,
    #[serde(borrow)]
    thinking: Text<'a>,
    #[serde(borrow)]
    id: Text<'a>,
    #[serde(borrow)]
    name: Text<'a>,
    #[serde(borrow)]
    input: Option<&'a RawValue>,
}

/// More of a block; or of the message, which has the reason.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Delta<'a> {
    #[serde(borrow, rename = "type")]
    sort: Text<'a>,
    #[serde(borrow)]
    text: Text<'a>,
    #[serde(borrow)]
    thinking: Text<'a>,
    #[serde(borrow)]
    partial_json: Text<'a>,
    #[serde(borrow)]
    stop_reason: Text<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Counts {
    input_tokens: Count,
    cache_creation_input_tokens: Count,
    cache_read_input_tokens: Count,
    output_tokens: Count,
}

fn read(json: &str) -> serde_json::Result<Said> {
    let event: Event<'_> = lax::read(json)?;
    let mut said = Said::default();
    if event.sort.0 == "message" {
        lax::read::<Message<'_>>(json)?.tell(&mut said);
        return Ok(said);
    }
    said.complains = event.sort.0 == "error" || event.error.0;
    said.is_last = event.sort.0 == "message_stop";
    said.usage = event.usage.0.map(Counts::usage);
    if let Some(message) = event.message.0 {
        message.tell(&mut said);
    }
    if let Some(block) = event.content_block.0 {
        block.tell(event.index.0, &mut said);
    }
    if let Some(delta) = event.delta.0 {
        delta.tell(event.index.0, &mut said);
    }
    Ok(said)
}

impl Message<'_> {
    fn tell(self, said: &mut Said) {
        said.known = self.content.is_some();
        for block in self.content.unwrap_or_default().0.into_iter().filter_map(|it| it.0) {
            block.tell(None, said);
        }
        said.finish = finish(&self.stop_reason.0);
        said.usage = self.usage.0.map(Counts::usage);
        if said.finish.is_none() {
            // A message that begins counts its first tokens, and says nothing of what follows.
            said.usage = said.usage.map(|usage| Usage { tokens_out: None, ..usage });
        }
    }
}

impl Block<'_> {
    /// The blocks of the vendor's own tools say nothing.
    fn tell(self, index: Option<u64>, said: &mut Said) {
        match &*self.sort.0 {
            "text" => said.text.push_str(&self.text.0),
            "thinking" => said.reasoning.push_str(&self.thinking.0),
            "tool_use" => said.calls.push(tool_calls::Part {
                index,
                id: self.id.into_owned(),
                name: self.name.into_owned(),
                arguments: self
                    .input
                    .filter(|it| !is_empty(it))
                    .map(tool_calls::arguments)
                    .unwrap_or_default(),
                begins: true,
            }),
            _ => {}
        }
    }
}

/// Whether an object has nothing in it: where arguments follow in pieces, an empty one holds their place.
fn is_empty(object: &RawValue) -> bool {
    object.get().bytes().all(|byte| b"{} \t\r\n".contains(&byte))
}

impl Delta<'_> {
    fn tell(self, index: Option<u64>, said: &mut Said) {
        match &*self.sort.0 {
            "text_delta" => said.text = self.text.into_owned(),
            "thinking_delta" => said.reasoning = self.thinking.into_owned(),
            // The first one is empty. Those of the vendor's own tools belong to no call that was told, and are dropped for it.
            "input_json_delta" if !self.partial_json.0.is_empty() => said.calls.push(tool_calls::Part {
                index,
                arguments: self.partial_json.into_owned(),
                ..tool_calls::Part::default()
            }),
            _ => {}
        }
        said.finish = finish(&self.stop_reason.0).or(said.finish.take());
    }
}

impl Counts {
    /// What was read from a cache or put into one is not among the input. No prompt has no tokens: hosts that cannot count yet say 0.
    fn usage(self) -> Usage {
        let parts = [self.input_tokens, self.cache_creation_input_tokens, self.cache_read_input_tokens];
        let tokens_in =
            self.input_tokens.0.map(|_| parts.iter().filter_map(|it| it.0).fold(0_u64, u64::saturating_add));
        Usage {
            tokens_in: tokens_in.filter(|tokens| *tokens > 0),
            tokens_out: self.output_tokens.0,
            is_estimated: false,
        }
    }
}

/// Why the answer ends. `refusal` is not the model's: classifiers broke it off, and what there is of the text is none. With
/// `pause_turn` the vendor's own tools took too many rounds: it stops before its end, at a limit, though not at one of tokens.
fn finish(word: &str) -> Option<Finish> {
    Some(match word {
        "" => return None,
        "end_turn" | "stop_sequence" => Finish::Stop,
        "max_tokens" | "model_context_window_exceeded" | "pause_turn" => Finish::Length,
        "tool_use" => Finish::ToolCalls,
        "refusal" => Finish::ContentFilter,
        other => Finish::Other(verdict::machine_word(other).unwrap_or_default()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        message::{Prompt, UnixMillis},
        providers::{
            Kind, ProviderSpec,
            any_json::any_json,
            body::Refused,
            build, classify,
            scripted::{self, Act, Scripted, answer, events, told},
        },
    };
    use expect_test::{Expect, expect};
    use proptest::prelude::*;
    use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
    use std::{fmt::Write, sync::Arc};

    fn sent(body: Value, operators: Option<f64>) -> Result<Value, Failed> {
        let request = Some(Arc::new(serde_json::from_value(body).unwrap()));
        let prompt = Prompt { request, reply_tokens: 9, ..Prompt::default() };
        let question = Question { prompt: &prompt, model: "m", context_window: 8192, temperature: operators };
        let json = write(question)?.write(&Refused::default(), &Map::new()).unwrap();
        Ok(serde_json::from_slice(&json).unwrap())
    }

    /// What is sent but for what is always the same.
    #[expect(clippy::needless_pass_by_value, reason = "reads as a literal")]
    fn check(body: Value, expected: Expect) {
        let told = sent(body, Some(0.3)).map(|mut it| {
            let all = it.as_object_mut().unwrap();
            for (name, usual) in [
                ("model", json!("m")),
                ("max_tokens", json!(9)),
                ("stream", json!(true)),
                ("temperature", json!(0.3)),
                ("messages", json!([{ "role": "user", "content": "hi" }])),
            ] {
                if all.get(name) == Some(&usual) {
                    all.remove(name);
                }
            }
            it.to_string()
        });
        expected.assert_eq(&told.unwrap_or_else(|failed| failed.to_string()));
    }

    #[expect(clippy::needless_pass_by_value, reason = "reads as a literal")]
    fn hi(more: Value) -> Value {
        let mut body = json!({ "messages": [{ "role": "user", "content": "hi" }] });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body
    }

    #[test]
    fn how_freely_words_are_chosen() {
        check(hi(json!({ "temperature": 1.7 })), expect![[r#"{"temperature":1.0}"#]]);
        check(hi(json!({ "temperature": -1 })), expect![[r#"{"temperature":0.0}"#]]);
        check(hi(json!({ "temperature": 0.5, "top_p": 0.9 })), expect![[r#"{"temperature":0.5}"#]]);
        check(hi(json!({ "top_p": 0.9 })), expect![[r#"{"top_p":0.9}"#]]);
        for (word, told) in [
            ("none", json!("low")),
            ("minimal", json!("low")),
            ("medium", json!("medium")),
            ("xhigh", json!("high")),
            ("somewhat", Value::Null),
        ] {
            let body = sent(hi(json!({ "reasoning_effort": word })), None).unwrap();
            assert_eq!(body["output_config"]["effort"], told, "{word}");
        }
    }

    #[test]
    fn stops() {
        check(hi(json!({ "stop": ["END", "\n."] })), expect![[r#"{"stop_sequences":["END","\n."]}"#]]);
        check(hi(json!({ "stop": ["END", "\n"] })), expect!["unsupported_parameter: stop"]);
    }

    #[test]
    fn formats() {
        let schema = |schema: Value| {
            hi(
                json!({ "response_format": { "type": "json_schema", "json_schema": { "name": "a", "schema": schema } } }),
            )
        };
        check(
            schema(json!({
                "type": "object",
                "properties": {
                    "properties": { "type": "array", "items": { "type": "object", "properties": { "a": {} } } },
                    "open": { "type": "object", "properties": { "a": {} }, "additionalProperties": true },
                    "any": { "type": "object" },
                },
                "$defs": { "b": { "type": "object", "properties": { "c": {} } } },
            })),
            expect![[
                r#"{"output_config":{"format":{"schema":{"$defs":{"b":{"additionalProperties":false,"properties":{"c":{}},"type":"object"}},"additionalProperties":false,"properties":{"any":{"type":"object"},"open":{"additionalProperties":true,"properties":{"a":{}},"type":"object"},"properties":{"items":{"additionalProperties":false,"properties":{"a":{}},"type":"object"},"type":"array"}},"type":"object"},"type":"json_schema"}}}"#
            ]],
        );
        check(schema(Value::Null), expect!["unsupported_parameter: response_format"]);
        check(
            hi(json!({ "response_format": { "type": "json_object" } })),
            expect!["unsupported_parameter: response_format"],
        );
        check(hi(json!({ "response_format": { "type": "text" } })), expect!["{}"]);
    }

    #[test]
    fn tools() {
        let tool = |parameters: Value| json!([{ "type": "function", "function": { "name": "now", "strict": true, "parameters": parameters } }]);
        check(
            hi(json!({ "tools": tool(Value::Null) })),
            expect![[r#"{"tools":[{"input_schema":{"type":"object"},"name":"now"}]}"#]],
        );
        check(
            hi(json!({ "tools": tool(json!({ "anyOf": [] })), "parallel_tool_calls": false })),
            expect![[
                r#"{"tool_choice":{"disable_parallel_tool_use":true,"type":"auto"},"tools":[{"input_schema":{"anyOf":[],"type":"object"},"name":"now"}]}"#
            ]],
        );
        check(
            hi(json!({ "tools": tool(json!({})), "tool_choice": "none", "parallel_tool_calls": false })),
            expect![[
                r#"{"tool_choice":{"type":"none"},"tools":[{"input_schema":{"type":"object"},"name":"now"}]}"#
            ]],
        );
        check(
            hi(json!({ "tools": tool(json!({})), "tool_choice": "required", "parallel_tool_calls": true })),
            expect![[
                r#"{"tool_choice":{"type":"any"},"tools":[{"input_schema":{"type":"object"},"name":"now"}]}"#
            ]],
        );
        check(hi(json!({ "tools": [], "tool_choice": "auto", "parallel_tool_calls": false })), expect!["{}"]);
    }

    #[test]
    fn what_tools_said_stands_first_in_one_turn() {
        let call = |id: &str, arguments: &str| json!({ "id": id, "type": "function", "function": { "name": "now", "arguments": arguments } });
        check(
            json!({ "messages": [
                { "role": "user", "content": "hi" },
                { "role": "assistant", "content": "I look.", "tool_calls": [call("functions.now:0", "{}"), call("", "[7]")] },
                { "role": "user", "content": "and?" },
                { "role": "tool", "tool_call_id": "functions.now:0", "content": "7 o'clock" },
                { "role": "tool", "tool_call_id": "", "content": " " },
                { "role": "user", "content": "well?" },
            ] }),
            expect![[
                r#"{"messages":[{"content":"hi","role":"user"},{"content":[{"text":"I look.","type":"text"},{"id":"functions_now_0","input":{},"name":"now","type":"tool_use"},{"id":"_","input":{},"name":"now","type":"tool_use"}],"role":"assistant"},{"content":[{"content":"7 o'clock","tool_use_id":"functions_now_0","type":"tool_result"},{"tool_use_id":"_","type":"tool_result"},{"text":"and?","type":"text"},{"text":"well?","type":"text"}],"role":"user"}],"tool_choice":{"type":"none"},"tools":[{"input_schema":{"type":"object"},"name":"now"}]}"#
            ]],
        );
    }

    #[test]
    fn messages_as_they_are_taken() {
        check(
            json!({ "messages": [{ "role": "user", "content": "hi" }, { "role": "assistant", "content": "Once upon \n" }] }),
            expect![[
                r#"{"messages":[{"content":"hi","role":"user"},{"content":"Once upon","role":"assistant"}]}"#
            ]],
        );
        check(
            json!({ "messages": [{ "role": "system", "content": "Be kind." }] }),
            expect![[r#"{"messages":[{"content":"Be kind.","role":"user"}]}"#]],
        );
        check(
            json!({ "messages": [{ "role": "user", "content": [{ "type": "image_url", "image_url": { "url": "data:image/jpg;base64,AA" } }] }] }),
            expect![[
                r#"{"messages":[{"content":[{"source":{"data":"AA","media_type":"image/jpeg","type":"base64"},"type":"image"}],"role":"user"}]}"#
            ]],
        );
        let blank =
            Prompt { system: " ".to_owned(), lines: vec![scripted::said("Ana", "hi")], ..Prompt::default() };
        let question = Question { prompt: &blank, model: "m", context_window: 8192, temperature: None };
        let json = write(question).unwrap().write(&Refused::default(), &Map::new()).unwrap();
        expect![[
            r#"{"model":"m","max_tokens":0,"stream":true,"messages":[{"content":"hi","role":"user"}]}"#
        ]]
        .assert_eq(std::str::from_utf8(&json).unwrap());
    }

    /// Status, type and text of each.
    const REFUSALS: &str = "\
        429 rate_limit_error This request would exceed your organization's rate limit of 50,000 input tokens per minute. Please reduce the prompt length or the maximum tokens requested, or try again later.
        400 invalid_request_error You have reached your specified API usage limits. You will regain access on 2026-12-01 at 00:00 UTC.
        400 invalid_request_error Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing to upgrade or purchase credits.
        402 billing_error There is an issue with your billing.
        400 invalid_request_error prompt is too long: 210000 tokens > 200000 maximum
        400 invalid_request_error input length and `max_tokens` exceed context limit: 199000 + 4096 > 200000, decrease input length or `max_tokens` and try again
        413 request_too_large Request exceeds the maximum size
        404 not_found_error model: claude-9
        401 authentication_error invalid x-api-key
        403 permission_error Your API key does not have permission to use the specified resource.
        529 overloaded_error Overloaded
        500 api_error Internal server error
        504 timeout_error Request timed out
        400 invalid_request_error Output blocked by content filtering policy
        400 invalid_request_error `temperature` is deprecated for this model.
        400 invalid_request_error `temperature` and `top_p` cannot both be specified for this model. Please use only one.
        400 invalid_request_error `temperature` may only be set to 1 when thinking is enabled.
        400 invalid_request_error Thinking may not be enabled when tool_choice forces tool use.
        400 invalid_request_error This model does not support the effort parameter.
        400 invalid_request_error This model does not support assistant message prefill. The conversation must end with a user message.
        400 invalid_request_error max_tokens: 99999 > 8192, which is the maximum allowed number of output tokens for m
        400 invalid_request_error output_config.format.schema: For 'object' type, 'additionalProperties' must be explicitly set to false
        400 invalid_request_error output_config.format: Extra inputs are not permitted
        400 invalid_request_error messages: text content blocks must contain non-whitespace text
        400 invalid_request_error messages.1: `tool_use` ids were found without `tool_result` blocks immediately after: c1.";

    /// `x-should-retry` says what the vendor's own libraries do, and nothing that the body does not; a wait counts where time cures.
    #[test]
    fn what_its_refusals_mean() {
        let mut table = String::new();
        for refusal in REFUSALS.lines().map(str::trim) {
            let [status, kind, text] = refusal.splitn(3, ' ').collect::<Vec<_>>()[..] else {
                panic!("{refusal}")
            };
            let body =
                json!({ "type": "error", "error": { "type": kind, "message": text }, "request_id": "req_1" })
                    .to_string();
            let told = ["true", "false"].map(|retries| {
                let header = |name, value| (HeaderName::from_static(name), HeaderValue::from_static(value));
                let headers =
                    HeaderMap::from_iter([header("x-should-retry", retries), header("retry-after", "30")]);
                classify(status.parse().unwrap(), &headers, body.as_bytes(), UnixMillis(0))
            });
            assert_eq!(told[0], told[1]);
            let wait = told[0].retry_after.map(|it| format!(" again in {it:?}")).unwrap_or_default();
            let text: String = text.chars().take(60).collect();
            writeln!(table, "{}{wait}: {status} {text}", told[0].failure).unwrap();
        }
        expect![[r#"
            rate_limited again in 30s: 429 This request would exceed your organization's rate limit of 
            quota_exhausted: 400 You have reached your specified API usage limits. You will r
            quota_exhausted: 400 Your credit balance is too low to access the Anthropic API. 
            quota_exhausted: 402 There is an issue with your billing.
            context_too_long: 400 prompt is too long: 210000 tokens > 200000 maximum
            context_too_long: 400 input length and `max_tokens` exceed context limit: 199000 +
            context_too_long: 413 Request exceeds the maximum size
            model_unavailable again in 30s: 404 model: claude-9
            auth: 401 invalid x-api-key
            auth: 403 Your API key does not have permission to use the specified r
            overloaded again in 30s: 529 Overloaded
            server_error again in 30s: 500 Internal server error
            server_error again in 30s: 504 Request timed out
            content_filtered: 400 Output blocked by content filtering policy
            unsupported_parameter: 400 `temperature` is deprecated for this model.
            unsupported_parameter: 400 `temperature` and `top_p` cannot both be specified for this 
            unsupported_parameter: 400 `temperature` may only be set to 1 when thinking is enabled.
            unsupported_parameter: 400 Thinking may not be enabled when tool_choice forces tool use
            unsupported_parameter: 400 This model does not support the effort parameter.
            unsupported_parameter: 400 This model does not support assistant message prefill. The c
            unsupported_parameter: 400 max_tokens: 99999 > 8192, which is the maximum allowed numbe
            unsupported_parameter: 400 output_config.format.schema: For 'object' type, 'additionalP
            unsupported_parameter: 400 output_config.format: Extra inputs are not permitted
            bad_request: 400 messages: text content blocks must contain non-whitespace te
            bad_request: 400 messages.1: `tool_use` ids were found without `tool_result` 
        "#]]
        .assert_eq(&table);
    }

    const BEGIN: &str =
        r#"{"type":"content_block_start","index":0,"content_block":{"type":"text","text":"Hello"}}"#;
    const END: &str =
        r#"{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":3}}"#;
    const LAST: &str = r#"{"type":"message_stop"}"#;

    fn refused(text: &str) -> Vec<Act> {
        let body = json!({ "type": "error", "error": { "type": "invalid_request_error", "message": text } });
        vec![answer("400 Bad Request", "application/json", &body.to_string())]
    }

    fn whole() -> Vec<Act> {
        vec![events(&[BEGIN, END, LAST])]
    }

    /// Asks twice; which of the questions, repeated ones among them, had this parameter.
    async fn asked(
        acts: Vec<Vec<Act>>,
        spec: impl FnOnce(&mut ProviderSpec),
        param: &str,
        prompt: Prompt,
    ) -> Vec<bool> {
        let count = acts.len();
        let mut endpoint = Scripted::start(acts).await;
        let mut made = scripted::spec(Kind::Anthropic, &endpoint.base_url, Some("k-1"));
        spec(&mut made);
        let provider = build(made, scripted::CLIENT.clone()).unwrap();
        let prompt = Arc::new(prompt);
        for _ in 0..2 {
            assert!(provider.generate(Arc::clone(&prompt)).await.is_ok());
        }
        let mut had = Vec::new();
        for _ in 0..count {
            had.push(endpoint.request().await.contains(&format!("\"{param}\"")));
        }
        had
    }

    fn programs(body: Value) -> Prompt {
        Prompt {
            request: Some(Arc::new(serde_json::from_value(body).unwrap())),
            reply_tokens: 9,
            ..Prompt::default()
        }
    }

    #[tokio::test]
    async fn what_a_model_does_not_take_is_left_out_once_and_remembered() {
        let warm = |spec: &mut ProviderSpec| spec.temperature = Some(0.5);
        for text in
            ["`temperature` is deprecated for this model.", "temperature is deprecated for this model."]
        {
            let had =
                asked(vec![refused(text), whole(), whole()], warm, "temperature", programs(hi(json!({}))))
                    .await;
            assert_eq!(had, [true, false, false], "{text}");
        }
        // The operator's `top_p` stays.
        let both = |spec: &mut ProviderSpec| {
            spec.temperature = Some(0.5);
            spec.body.insert("top_p".to_owned(), json!(0.9));
        };
        let text = "`temperature` and `top_p` cannot both be specified for this model. Please use only one.";
        let had =
            asked(vec![refused(text), whole(), whole()], both, "temperature", programs(hi(json!({})))).await;
        assert_eq!(had, [true, false, false]);
        for text in [
            "This model does not support the effort parameter.",
            "output_config.effort: Extra inputs are not permitted",
        ] {
            let prompt = programs(hi(json!({ "reasoning_effort": "low" })));
            let had = asked(vec![refused(text), whole(), whole()], |_| {}, "output_config", prompt).await;
            assert_eq!(had, [true, false, false], "{text}");
        }
    }

    #[tokio::test]
    async fn a_demanded_format_is_never_left_out() {
        let refusal = "output_config.format: Extra inputs are not permitted";
        let mut endpoint = Scripted::start(vec![refused(refusal), whole()]).await;
        let schema = json!({ "response_format": { "type": "json_schema", "json_schema": { "name": "a", "schema": { "type": "object" } } } });
        let provider = endpoint.provider(Kind::Anthropic, Some("k-1"));
        let ended = provider.generate(Arc::new(programs(hi(schema)))).await.map(|_| ()).unwrap_err();
        expect!["unsupported_parameter (HTTP 400): invalid_request_error"].assert_eq(&ended.to_string());
        assert!(endpoint.request().await.contains("json_schema"));
    }

    #[tokio::test]
    async fn a_stream_that_goes_on_behind_the_last_word_is_not_waited_for() {
        let end = vec![events(&[BEGIN, END, LAST]), Act::AwaitClose];
        let mut endpoint = Scripted::start(vec![end]).await;
        let begun = tokio::time::Instant::now();
        expect![[r#"
            text     "Hello"
            usage    None Some(3)
            finish   Stop
        "#]]
        .assert_eq(&told(&*endpoint.provider(Kind::Anthropic, None)).await);
        assert!(begun.elapsed() < std::time::Duration::from_millis(900));
        endpoint.request().await;
        assert_eq!(endpoint.request().await, "closed");
    }

    const KEYS: [&str; 18] = [
        "type",
        "index",
        "message",
        "content_block",
        "delta",
        "usage",
        "error",
        "content",
        "stop_reason",
        "text",
        "thinking",
        "id",
        "name",
        "input",
        "partial_json",
        "input_tokens",
        "cache_read_input_tokens",
        "output_tokens",
    ];
    const WORDS: [&str; 12] = [
        "message",
        "message_start",
        "message_stop",
        "content_block_start",
        "text",
        "text_delta",
        "thinking",
        "tool_use",
        "input_json_delta",
        "error",
        "refusal",
        "end_turn",
    ];

    proptest! {
        #[test]
        fn any_json_is_read(json in any_json(&KEYS, &WORDS)) {
            let said = read(&json.to_string()).unwrap();
            prop_assert!(said.error.is_none());
        }
    }
}
