//! The `openai-responses` dialect: `POST /responses` of OpenAI and Azure, and of those who took it over (OpenRouter, xAI, LM Studio, vLLM).
//!
//! **The problem.** An answer is a list of items (thoughts, messages, calls), each told in pieces and then once more whole: when a
//! text, an item and the answer are done. The ids of items may change from event to event, the fields come in any order, and some
//! hosts leave out the pieces, others the repetitions. **The rule.** Pieces are told as they come, and put together by
//! `output_index`. What is said once more counts only where nothing had been said. **The limits.** `stop` does not exist here, and a
//! program's is an error, as another provider can do it; `seed` does not either, and is left out. The vendor's own tools (searches
//! and the like) are not asked for, and their calls are no calls of a program's tools.

use super::{
    Finish,
    answer::Said,
    asked::{self, Asked, Format, Part, Tool, ToolChoice},
    body::Body,
    dialect::{Dialect, Framing, Question},
    lax::{self, Count, List, Object, Present, Text, TextOrList},
    prompt_text,
    tool_calls::{self, arguments},
    verdict,
};
use crate::{
    message::Role,
    outcome::{Failed, Failure, Usage},
};
use serde::Deserialize;
use serde_json::{Value, json, value::RawValue};

pub(super) static DIALECT: Dialect = Dialect {
    questions: |_| "/responses".to_owned(),
    health: "/models",
    models: "/models",
    key_header: "authorization",
    headers: &[],
    write,
    renames: &[],
    names_speakers: prompt_text::has_several_speakers,
    framing: Framing::Events,
    read,
    finish_may_be_early: false,
    trims_start: false,
};

fn write(question: Question<'_>) -> Result<Body<'_>, Failed> {
    let asked = Asked::new(question.prompt, question.temperature)?;
    if !asked.stop.is_empty() {
        return Err(asked::unsupported("stop"));
    }
    let mut body = Body::default();
    body.put("model", question.model);
    body.put("stream", true);
    // What people say stays here.
    body.put("store", false);
    body.put("max_output_tokens", asked.reply_tokens);
    body.put_some("temperature", asked.temperature);
    body.put_some("top_p", asked.top_p);
    // Younger than the interface, and not of every host; zero is what programs send for nothing.
    body.put_some("presence_penalty", asked.presence_penalty.filter(|it| *it != 0.0));
    body.put_some("frequency_penalty", asked.frequency_penalty.filter(|it| *it != 0.0));
    body.put_some("reasoning.effort", asked.effort);
    let mut input = Vec::new();
    match asked.system {
        system if system.is_empty() => {}
        // JSON has to be spoken of in the input, and instructions are none.
        system if asked.format == Format::Json => {
            input.push(message("system", &system.into()));
        }
        system => body.put("instructions", system),
    }
    for turn in asked.turns {
        add(&mut input, turn.role, turn.parts);
    }
    body.put("input", input);
    body.put_some("text.format", format(asked.format));
    if !asked.tools.is_empty() {
        body.put("tools", asked.tools.into_iter().map(tool).collect::<Vec<_>>());
        body.put_some("tool_choice", tool_choice(asked.tool_choice));
        body.put_some("parallel_tool_calls", asked.parallel_tools);
    }
    Ok(body)
}

fn message(role: &str, content: &Value) -> Value {
    json!({ "type": "message", "role": role, "content": content })
}

/// Adds what one side says: calls and what tools say are items beside the messages.
fn add(input: &mut Vec<Value>, role: Role, parts: Vec<Part>) {
    let mut said = Vec::new();
    for part in parts {
        let item = match part {
            Part::Text(_) | Part::Picture(_) => {
                said.push(part);
                continue;
            }
            Part::Call { id, name, arguments } => {
                let arguments = arguments.to_string();
                json!({ "type": "function_call", "call_id": id, "name": name, "arguments": arguments })
            }
            Part::Result { id, text, .. } => {
                json!({ "type": "function_call_output", "call_id": id, "output": text })
            }
        };
        input.extend(spoken(role, &mut said));
        input.push(item);
    }
    input.extend(spoken(role, &mut said));
}

/// The message of these parts, which are taken; none of none.
fn spoken(role: Role, parts: &mut Vec<Part>) -> Option<Value> {
    let (role, text_type) = match role {
        Role::User => ("user", "input_text"),
        Role::Assistant => ("assistant", "output_text"),
    };
    let written = |part| match part {
        Part::Text(text) => Some(json!({ "type": text_type, "text": text })),
        Part::Picture(picture) => Some(json!({ "type": "input_image", "image_url": picture.into_url() })),
        Part::Call { .. } | Part::Result { .. } => None,
    };
    let parts = Some(std::mem::take(parts)).filter(|parts| !parts.is_empty())?;
    Some(message(role, &asked::content(parts, written)))
}

fn format(format: Format) -> Option<Value> {
    match format {
        Format::Text => None,
        Format::Json => Some(json!({ "type": "json_object" })),
        Format::Schema { name, schema, strict } => {
            let format = json!({ "type": "json_schema", "name": name, "schema": schema });
            Some(asked::with(format, "strict", strict))
        }
    }
}

/// A tool. Nothing said, its schema would be strict here, which most schemas are not fit for.
fn tool(tool: Tool) -> Value {
    let parameters = match tool.parameters {
        Value::Null => json!({ "type": "object", "properties": {} }),
        schema => schema,
    };
    let strict = tool.strict.unwrap_or(false);
    let written =
        json!({ "type": "function", "name": tool.name, "parameters": parameters, "strict": strict });
    asked::with(written, "description", tool.description)
}

fn tool_choice(choice: ToolChoice) -> Option<Value> {
    match choice {
        ToolChoice::Auto => None,
        ToolChoice::Never => Some("none".into()),
        ToolChoice::Required => Some("required".into()),
        ToolChoice::Named(name) => Some(json!({ "type": "function", "name": name })),
    }
}

/// What happened to the answer.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Event<'a> {
    #[serde(borrow, rename = "type")]
    sort: Text<'a>,
    #[serde(borrow)]
    delta: Text<'a>,
    output_index: Count,
    /// Most events have neither of these, and need not carry the room for them around.
    #[serde(borrow)]
    item: Object<Box<Item<'a>>>,
    #[serde(borrow)]
    response: Object<Box<Response<'a>>>,
    error: Present,
}

/// The answer as far as it is.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Response<'a> {
    #[serde(borrow)]
    object: Text<'a>,
    #[serde(borrow)]
    status: Text<'a>,
    #[serde(borrow)]
    incomplete_details: Object<Details<'a>>,
    #[serde(borrow)]
    output: List<Object<Item<'a>>>,
    usage: Object<Counts>,
    error: Present,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Details<'a> {
    #[serde(borrow)]
    reason: Text<'a>,
}

/// A message, a thought, a call, or something of the vendor's own.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Item<'a> {
    #[serde(borrow, rename = "type")]
    sort: Text<'a>,
    #[serde(borrow)]
    content: TextOrList<'a, Object<Content<'a>>>,
    #[serde(borrow)]
    summary: List<Object<Content<'a>>>,
    #[serde(borrow)]
    id: Text<'a>,
    #[serde(borrow)]
    call_id: Text<'a>,
    #[serde(borrow)]
    name: Text<'a>,
    #[serde(borrow)]
    arguments: Option<&'a RawValue>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Content<'a> {
    #[serde(borrow)]
    text: Text<'a>,
    #[serde(borrow)]
    refusal: Text<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Counts {
    input_tokens: Count,
    output_tokens: Count,
}

fn read(json: &str) -> serde_json::Result<Said> {
    let event: Event<'_> = lax::read(json)?;
    if event.sort.0.is_empty() {
        // No event: a whole answer, or an error in nobody's words.
        let response: Response<'_> = lax::read(json)?;
        let mut said = Said { known: response.object.0 == "response", ..Said::default() };
        said.known |= !response.output.0.is_empty();
        response.thoughts(&mut said);
        response.end("", &mut said);
        return Ok(said);
    }
    Ok(event.said())
}

impl Event<'_> {
    fn said(self) -> Said {
        let mut said = Said { known: self.sort.0.starts_with("response."), ..Said::default() };
        said.complains = self.error.0 || self.sort.0 == "error";
        match &*self.sort.0 {
            // The other name is of OpenRouter's documentation.
            "response.output_text.delta" | "response.content_part.delta" => {
                said.text = self.delta.into_owned();
            }
            "response.refusal.delta" => {
                said.refused = !self.delta.0.is_empty();
                said.text = self.delta.into_owned();
            }
            "response.function_call_arguments.delta" => {
                let arguments = self.delta.into_owned();
                let index = self.output_index.0;
                said.calls.push(tool_calls::Part { index, arguments, ..tool_calls::Part::default() });
            }
            "response.output_item.added" => {
                let item = self.item.or_default();
                said.begins_message = item.sort.0 == "message";
                // Some hosts have the arguments in here already, and say them again in pieces.
                said.calls.extend(item.call(self.output_index.0).map(|call| tool_calls::Part {
                    begins: true,
                    arguments: String::new(),
                    ..call
                }));
            }
            "response.output_item.done" => {
                said.repeats = true;
                let item = self.item.or_default();
                said.calls.extend(item.call(self.output_index.0));
            }
            "response.completed"
            | "response.incomplete"
            | "response.failed"
            | "response.cancelled"
            | "response.done" => {
                (said.repeats, said.is_last) = (true, true);
                let response = self.response.or_default();
                response.end(self.sort.0.trim_start_matches("response."), &mut said);
            }
            // `reasoning_summary_text`, `reasoning_text`, and older ones.
            other if other.starts_with("response.reasoning") && other.ends_with(".delta") => {
                said.reasoning = self.delta.into_owned();
            }
            // The answer begins; or something repeats what was said, is the vendor's own affair, or is not known yet.
            _ => {
                if let Some(response) = self.response.0 {
                    said.usage = response.usage();
                    said.complains |= response.error.0;
                }
            }
        }
        said
    }
}

impl Response<'_> {
    fn usage(&self) -> Option<Usage> {
        self.usage.0.as_ref().map(|it| Usage {
            tokens_in: it.input_tokens.0,
            tokens_out: it.output_tokens.0,
            is_estimated: false,
        })
    }

    fn thoughts(&self, said: &mut Said) {
        let items = self.output.0.iter().filter_map(|it| it.0.as_ref());
        for item in items.filter(|item| item.sort.0 == "reasoning") {
            let thoughts = item.summary.0.iter().chain(&item.content.list).filter_map(|it| it.0.as_ref());
            thoughts.for_each(|thought| said.reasoning.push_str(&thought.text.0));
        }
    }

    /// How it ends, and all that it says. `event` is the last word of the event's name; a status may say that the answer is not as whole as that.
    fn end(self, event: &str, said: &mut Said) {
        said.usage = self.usage();
        said.complains |= self.error.0;
        for (index, item) in self.output.0.into_iter().enumerate() {
            let item = item.or_default();
            if item.sort.0 == "message" {
                item.message(said);
            } else {
                said.calls.extend(item.call(u64::try_from(index).ok()));
            }
        }
        let status = match (event, &*self.status.0) {
            ("completed" | "done" | "", status @ ("completed" | "incomplete" | "failed" | "cancelled")) => {
                status
            }
            (event, _) => event,
        };
        if !said.complains {
            let (finish, error) = finish(status, &self.incomplete_details.or_default().reason.0);
            (said.finish, said.error) = (finish, error.map(Box::new));
        }
    }
}

impl Item<'_> {
    /// Its text, with a gap to the message before it.
    fn message(self, said: &mut Said) {
        let gap = if said.text.is_empty() { "" } else { "\n\n" };
        let mut text = self.content.text.into_owned();
        for part in self.content.list.into_iter().filter_map(|it| it.0) {
            said.refused |= !part.refusal.0.is_empty();
            text.push_str(&part.text.0);
            text.push_str(&part.refusal.0);
        }
        if !text.is_empty() {
            said.text += gap;
            said.text += &text;
        }
    }

    /// The call of a program's tool that it is.
    fn call(self, index: Option<u64>) -> Option<tool_calls::Part> {
        (self.sort.0 == "function_call").then(|| tool_calls::Part {
            index,
            id: self.call_id.or(self.id).into_owned(),
            name: self.name.into_owned(),
            arguments: self.arguments.map(arguments).unwrap_or_default(),
            begins: false,
        })
    }
}

/// Why an answer with this status ends: a finish, or an error.
fn finish(status: &str, reason: &str) -> (Option<Finish>, Option<Failed>) {
    match (status, reason) {
        ("completed" | "done", _) => (Some(Finish::Stop), None),
        ("incomplete", "max_output_tokens" | "max_tokens" | "length" | "") => (Some(Finish::Length), None),
        ("incomplete", "content_filter") => (Some(Finish::ContentFilter), None),
        // It was cut for a reason that nobody asked for.
        ("incomplete", other) => {
            let word = verdict::machine_word(other).unwrap_or_else(|| "incomplete".to_owned());
            (None, Some(Failed::new(Failure::ServerError, word)))
        }
        ("failed" | "cancelled", _) => (None, Some(Failed::new(Failure::ServerError, status))),
        _ => (None, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        message::Prompt,
        providers::{Kind, Piece, body::Refused, decode, scripted},
    };
    use expect_test::{Expect, expect};
    use proptest::prelude::*;
    use serde_json::Map;
    use std::sync::Arc;

    #[expect(clippy::needless_pass_by_value, reason = "reads as a literal")]
    fn check(request: Value, expected: Expect) {
        let request = Some(Arc::new(serde_json::from_value(request).unwrap()));
        let prompt = Prompt { request, reply_tokens: 5, ..Prompt::default() };
        let question = Question { prompt: &prompt, model: "m", context_window: 8192, temperature: None };
        let written = write(question).map(|body| body.write(&Refused::default(), &Map::new()).unwrap());
        expected.assert_eq(
            &written.map_or_else(|failed| failed.to_string(), |it| String::from_utf8(it).unwrap()),
        );
    }

    #[test]
    fn a_programs_parameters() {
        check(
            json!({
                "messages": [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "hi"}],
                "temperature": 0, "top_p": 0.9, "presence_penalty": 0.2, "frequency_penalty": 0, "seed": 7, "stop": [],
                "reasoning_effort": "low", "parallel_tool_calls": true, "tool_choice": "none", "user": "u", "x": 1,
            }),
            expect![[
                r#"{"model":"m","stream":true,"store":false,"max_output_tokens":5,"temperature":0.0,"top_p":0.9,"presence_penalty":0.2,"reasoning":{"effort":"low"},"instructions":"Be kind.","input":[{"content":"hi","role":"user","type":"message"}]}"#
            ]],
        );
        check(json!({"messages": [], "stop": "END"}), expect!["unsupported_parameter: stop"]);
    }

    #[test]
    fn items_are_in_the_order_in_which_they_were_said() {
        let call = |id: &str| json!({"id": id, "function": {"name": "now", "arguments": "{}"}});
        check(
            json!({"messages": [
                {"role": "user", "content": "now?"},
                {"role": "assistant", "content": "Let me look.", "tool_calls": [call("c1"), call("c2")]},
                {"role": "tool", "tool_call_id": "c1", "content": "7"},
                {"role": "tool", "tool_call_id": "c2", "content": ""},
                {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://x/y.png"}}]},
                {"role": "assistant", "content": [{"type": "text", "text": "Seven."}, {"type": "refusal", "refusal": "No."}]},
            ]}),
            expect![[
                r#"{"model":"m","stream":true,"store":false,"max_output_tokens":5,"input":[{"content":"now?","role":"user","type":"message"},{"content":"Let me look.","role":"assistant","type":"message"},{"arguments":"{}","call_id":"c1","name":"now","type":"function_call"},{"arguments":"{}","call_id":"c2","name":"now","type":"function_call"},{"call_id":"c1","output":"7","type":"function_call_output"},{"call_id":"c2","output":"","type":"function_call_output"},{"content":[{"image_url":"https://x/y.png","type":"input_image"}],"role":"user","type":"message"},{"content":"Seven.\nNo.","role":"assistant","type":"message"}]}"#
            ]],
        );
    }

    #[test]
    fn tools() {
        check(
            json!({
                "messages": [{"role": "user", "content": "now?"}],
                "tools": [
                    {"type": "function", "function": {"name": "now"}},
                    {"type": "function", "function": {"name": "at", "description": "d", "strict": true, "parameters": {"type": "object"}}},
                ],
                "tool_choice": "none", "parallel_tool_calls": true,
            }),
            expect![[
                r#"{"model":"m","stream":true,"store":false,"max_output_tokens":5,"input":[{"content":"now?","role":"user","type":"message"}],"tools":[{"name":"now","parameters":{"properties":{},"type":"object"},"strict":false,"type":"function"},{"description":"d","name":"at","parameters":{"type":"object"},"strict":true,"type":"function"}],"tool_choice":"none","parallel_tool_calls":true}"#
            ]],
        );
    }

    #[test]
    fn the_system_prompt_is_a_message_where_instructions_do_not_count() {
        let system = json!({"role": "system", "content": "Answer in JSON."});
        check(
            json!({"messages": [system, {"role": "user", "content": "hi"}], "response_format": {"type": "json_object"}}),
            expect![[
                r#"{"model":"m","stream":true,"store":false,"max_output_tokens":5,"input":[{"content":"Answer in JSON.","role":"system","type":"message"},{"content":"hi","role":"user","type":"message"}],"text":{"format":{"type":"json_object"}}}"#
            ]],
        );
    }

    #[tokio::test]
    async fn too_small_a_limit_is_for_others() {
        let refusal = r#"{"error":{"message":"Invalid 'max_output_tokens': integer below minimum value. Expected a value >= 16, but got 5 instead.","type":"invalid_request_error","param":"max_output_tokens","code":"integer_below_min_value"}}"#;
        let refused = vec![scripted::answer("400 Bad Request", "application/json", refusal)];
        let endpoint = scripted::Scripted::start(vec![refused]).await;
        let told = scripted::told(&*endpoint.provider(Kind::OpenAiResponses, None)).await;
        expect!["refused  unsupported_parameter (HTTP 400): integer_below_min_value"].assert_eq(&told);
    }

    #[tokio::test]
    async fn what_a_reasoning_model_refuses_is_left_out() {
        let refusal = |param: &str| {
            let message = format!("Unsupported parameter: '{param}' is not supported with this model.");
            let error =
                json!({"message": message, "type": "invalid_request_error", "param": param, "code": null});
            vec![scripted::answer(
                "400 Bad Request",
                "application/json",
                &json!({"error": error}).to_string(),
            )]
        };
        let whole = r#"{"object":"response","status":"completed","output":[{"type":"message","content":[{"type":"output_text","text":"Hi"}]}]}"#;
        let acts = [
            refusal("top_p"),
            refusal("reasoning.effort"),
            vec![scripted::answer("200 OK", "application/json", whole)],
        ];
        let mut endpoint = scripted::Scripted::start(acts.into()).await;
        let request =
            json!({"messages": [{"role": "user", "content": "hi"}], "top_p": 0.5, "reasoning_effort": "low"});
        let request = Some(Arc::new(serde_json::from_value(request).unwrap()));
        let prompt = Arc::new(Prompt { request, reply_tokens: 64, ..Prompt::default() });
        assert!(endpoint.provider(Kind::OpenAiResponses, None).generate(prompt).await.is_ok());
        let mut sent = Vec::new();
        for _ in 0..3 {
            let request = endpoint.request().await;
            sent.push((request.contains("top_p"), request.contains("low")));
        }
        assert_eq!(sent, [(true, true), (false, true), (false, false)]);
    }

    /// An item of an answer: a message or a call.
    #[derive(Clone, Debug)]
    enum Told {
        Message(Vec<String>),
        Call(Vec<String>),
    }

    fn told() -> impl Strategy<Value = Told> {
        let pieces = || prop::collection::vec("[a-zé😀 ]{0,5}[a-z]", 1..4);
        prop_oneof![pieces().prop_map(Told::Message), pieces().prop_map(Told::Call)]
    }

    impl Told {
        fn item(&self, at: usize) -> Value {
            match self {
                Self::Message(pieces) => {
                    json!({"type": "message", "content": [{"type": "output_text", "text": pieces.concat()}]})
                }
                Self::Call(pieces) => {
                    json!({"type": "function_call", "call_id": format!("c{at}"), "name": "now", "arguments": pieces.concat()})
                }
            }
        }

        /// Its pieces, between what begins and what ends it.
        fn events(&self, at: usize, begins: bool, pieces: bool, ends: bool) -> Vec<Value> {
            let (sort, said, empty) = match self {
                Self::Message(said) => ("output_text", said, json!({"type": "message", "content": []})),
                Self::Call(said) => {
                    let mut empty = self.item(at);
                    empty["arguments"] = "".into();
                    ("function_call_arguments", said, empty)
                }
            };
            let begin = json!({"type": "response.output_item.added", "output_index": at, "item": empty});
            let delta =
                |delta| json!({"type": format!("response.{sort}.delta"), "output_index": at, "delta": delta});
            let end = json!({"type": "response.output_item.done", "output_index": at, "item": self.item(at)});
            let mut events = Vec::new();
            events.extend(begins.then_some(begin));
            events.extend(said.iter().map(delta).filter(|_| pieces));
            events.extend(ends.then_some(end));
            events
        }
    }

    /// Text and calls of a stream of these events, put together.
    fn put_together(events: &[Value]) -> (String, Vec<(String, String)>, bool) {
        let body: String = events.iter().map(|event| format!("data: {event}\n\n")).collect();
        let (mut text, mut calls, mut is_whole) = (String::new(), Vec::<(String, String)>::new(), false);
        for piece in decode(Kind::OpenAiResponses, [body.as_bytes()], false) {
            match piece {
                Ok(Piece::Text(more)) => text.push_str(&more),
                Ok(Piece::ToolCall(call)) => {
                    calls.extend(call.id.map(|id| (id, String::new())));
                    calls[call.index as usize].1.push_str(&call.arguments);
                }
                Ok(Piece::Finish(_)) => is_whole = true,
                Ok(Piece::Reasoning(_) | Piece::Alive | Piece::Usage(_)) | Err(_) => {}
            }
        }
        (text, calls, is_whole)
    }

    proptest! {
        #[test]
        fn whatever_a_host_leaves_out_the_answer_is_the_same(items in prop::collection::vec(told(), 1..5)) {
            let output: Vec<Value> = items.iter().enumerate().map(|(at, it)| it.item(at)).collect();
            let stream = |begins, pieces, ends, output: &[Value]| {
                let items = items.iter().enumerate();
                let mut events: Vec<Value> =
                    items.flat_map(|(at, it)| it.events(at, begins, pieces, ends)).collect();
                events.push(json!({"type": "response.completed", "response": {"status": "completed", "output": output}}));
                put_together(&events)
            };
            let whole = stream(true, true, true, &output);
            prop_assert!(whole.2);
            prop_assert_eq!(&stream(true, true, true, &[]), &whole, "no output at the end");
            prop_assert_eq!(&stream(true, true, false, &[]), &whole, "only pieces");
            prop_assert_eq!(&stream(false, false, true, &output), &whole, "only what is done");
            prop_assert_eq!(&stream(false, false, false, &output), &whole, "only the end");
        }

        #[test]
        fn no_document_is_too_strange(
            sort in "(response\\.)?(output_item\\.(added|done)|output_text\\.delta|completed|incomplete|error|)",
            key in "(item|response|delta|error|output|output_index|status)",
            inner in "(type|output|content|error|arguments|status|usage|incomplete_details)",
            value in "(null|7|-1\\.5|true|\"x\"|\"message\"|\"function_call\"|\\[\\]|\\{\\}|\\[null,\\{\"type\":\"message\",\"content\":7\\}\\])",
        ) {
            for value in [value.clone(), format!("[{value}]"), format!("{{\"{inner}\":{value}}}")] {
                let json = format!("{{\"type\":\"{sort}\",\"{key}\":{value}}}");
                prop_assert!(read(&json).is_ok(), "{}", json);
            }
        }
    }
}
