//! The `openai` dialect: `POST /chat/completions`, spoken by OpenAI, Azure, Groq, Mistral, vLLM, llama.cpp and many more.
//!
//! They differ in small things, all of them read here: chunks without choices, content as a list, three names for the
//! model's thoughts, usage in four places, errors inside a stream. What a program asked through the router API is sent as it came,
//! tools, pictures and unknown parameters included: only the model and the way it is streamed are ours.

use super::{
    Finish,
    answer::Said,
    asked::{self, Asked},
    body::Body,
    dialect::{Dialect, Framing, Question},
    lax::{self, Count, First, List, Object, Present, Text, TextOrList},
    prompt_text,
    tool_calls::Written,
    verdict,
};
use crate::outcome::{Failed, Failure, Usage};
use serde::Deserialize;
use serde_json::{Value, json};

pub(super) static DIALECT: Dialect = Dialect {
    questions: |_| "/chat/completions".to_owned(),
    health: "/models",
    models: "/models",
    key_header: "authorization",
    headers: &[],
    write,
    // OpenAI's newer models want the one; nearly everybody else knows only the other.
    renames: &[("max_tokens", "max_completion_tokens")],
    names_speakers: prompt_text::has_several_speakers,
    framing: Framing::Events,
    read,
    finish_may_be_early: false,
    trims_start: false,
};

fn write(question: Question<'_>) -> Result<Body<'_>, Failed> {
    let Question { prompt, model, temperature, .. } = question;
    let mut body = Body::default();
    body.put("model", model);
    body.put("stream", true);
    body.put("stream_options", json!({ "include_usage": true }));
    let Some(request) = prompt.request.as_deref() else {
        body.put("max_tokens", prompt.reply_tokens);
        body.put_some("temperature", temperature);
        body.put("messages", messages(Asked::new(prompt, None)?));
        return Ok(body);
    };
    body.put_some("temperature", temperature.filter(|_| !request.0.contains_key("temperature")));
    let is_ours = |name: &str| matches!(name, "model" | "stream" | "stream_options");
    for (name, value) in request.0.iter().filter(|(name, _)| !is_ours(name)) {
        body.pass_on(name, value);
    }
    Ok(body)
}

/// Messages whose roles alternate, as several hosts' templates want it.
fn messages(asked: Asked) -> Vec<Value> {
    let system = (!asked.system.is_empty()).then(|| json!({ "role": "system", "content": asked.system }));
    let turns = asked
        .turns
        .into_iter()
        .map(|turn| json!({ "role": turn.role, "content": asked::content(turn.parts, written) }));
    system.into_iter().chain(turns).collect()
}

/// A part of a person's words; calls of tools come from programs only, whose words are passed on.
fn written(part: asked::Part) -> Option<Value> {
    match part {
        asked::Part::Text(text) => Some(json!({ "type": "text", "text": text })),
        asked::Part::Picture(picture) => {
            Some(json!({ "type": "image_url", "image_url": { "url": picture.into_url() } }))
        }
        asked::Part::Call { .. } | asked::Part::Result { .. } => None,
    }
}

/// A chunk, or a whole answer.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Chunk<'a> {
    #[serde(borrow)]
    pub(super) choices: First<Choice<'a>>,
    usage: Object<Counts>,
    x_groq: Object<Groq>,
    error: Present,
    #[serde(borrow, rename = "type")]
    sort: Text<'a>,
    #[serde(borrow)]
    object: Text<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Choice<'a> {
    /// In a chunk.
    #[serde(borrow)]
    delta: Object<Message<'a>>,
    /// In a whole answer.
    #[serde(borrow)]
    message: Object<Message<'a>>,
    /// In both of the legacy dialect.
    #[serde(borrow)]
    pub(super) text: Text<'a>,
    #[serde(borrow)]
    finish_reason: Text<'a>,
    /// Moonshot.
    usage: Object<Counts>,
    /// OpenRouter.
    error: Present,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Message<'a> {
    /// A list at Mistral.
    #[serde(borrow)]
    content: TextOrList<'a, Object<Part<'a>>>,
    #[serde(borrow)]
    refusal: Text<'a>,
    #[serde(borrow)]
    reasoning_content: Text<'a>,
    #[serde(borrow)]
    reasoning: Text<'a>,
    #[serde(borrow)]
    tool_calls: List<Object<Written<'a>>>,
}

impl Message<'_> {
    fn is_empty(&self) -> bool {
        let texts = [&self.content.text, &self.refusal, &self.reasoning_content, &self.reasoning];
        texts.iter().all(|it| it.0.is_empty()) && self.content.list.is_empty() && self.tool_calls.0.is_empty()
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Part<'a> {
    #[serde(borrow)]
    text: Text<'a>,
    #[serde(borrow)]
    thinking: List<Object<Thought<'a>>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Thought<'a> {
    #[serde(borrow)]
    text: Text<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Counts {
    prompt_tokens: Count,
    completion_tokens: Count,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Groq {
    usage: Object<Counts>,
}

fn read(json: &str) -> serde_json::Result<Said> {
    let mut chunk: Chunk<'_> = lax::read(json)?;
    let mut said = Said::default();
    let message = chunk.message();
    if let Some(message) = message {
        said.text = message.content.text.into_owned();
        for part in message.content.list.into_iter().filter_map(|it| it.0) {
            said.text.push_str(&part.text.0);
            let thoughts = part.thinking.0.into_iter().filter_map(|it| it.0);
            thoughts.for_each(|thought| said.reasoning.push_str(&thought.text.0));
        }
        said.reasoning.push_str(&message.reasoning_content.or(message.reasoning).0);
        said.refused = !message.refusal.0.is_empty();
        said.text.push_str(&message.refusal.0);
        said.calls = message.tool_calls.0.into_iter().filter_map(|it| it.0?.part()).collect();
    }
    chunk.end(&mut said);
    Ok(said)
}

impl<'a> Chunk<'a> {
    /// What is said. Perplexity has both in each chunk, all that was said so far as the message, and in a whole answer an empty delta.
    fn message(&mut self) -> Option<Message<'a>> {
        let is_whole = self.object.0 == "chat.completion";
        let is_part = !is_whole && self.object.0.starts_with("chat.");
        let choice = self.choices.0.as_mut()?;
        let (delta, message) = (std::mem::take(&mut choice.delta).0, std::mem::take(&mut choice.message).0);
        match (delta, message) {
            (delta, Some(_)) if is_part => delta,
            (Some(delta), Some(message)) if is_whole && delta.is_empty() => Some(message),
            (delta, message) => delta.or(message),
        }
    }

    /// What both of OpenAI's older dialects have beside the text. Usage stands beside the choices, in the choice or below
    /// `x_groq`; vLLM sends a null until the end.
    pub(super) fn end(self, said: &mut Said) {
        let choice = self.choices.0;
        said.known |= choice.is_some();
        let choice = choice.unwrap_or_default();
        said.complains = self.error.0 || choice.error.0 || self.sort.0 == "error" || self.object.0 == "error";
        let usage = self.usage.0.or(choice.usage.0).or_else(|| self.x_groq.0?.usage.0);
        let usage = usage.map(|it| Usage {
            tokens_in: it.prompt_tokens.0,
            tokens_out: it.completion_tokens.0,
            is_estimated: false,
        });
        said.usage = usage.or(said.usage);
        if !said.complains && !choice.finish_reason.0.is_empty() {
            let (finish, error) = finish(&choice.finish_reason.0);
            (said.finish, said.error) = (finish, error.map(Box::new));
        }
    }
}

/// Why a chunk says that the answer ends: a finish, or an error. Gateways pass on the words of whoever is behind them, Gemini's in
/// capitals, and with a reason behind a colon.
fn finish(word: &str) -> (Option<Finish>, Option<Failed>) {
    let word = word.split(':').next().unwrap_or_default().to_ascii_lowercase();
    let finish = match &*word {
        "" => return (None, None),
        // `abort` is vLLM's, when its engine was stopped.
        "error" | "abort" | "aborted" | "network_error" => {
            return (None, Some(Failed::new(Failure::ServerError, "finish error")));
        }
        "insufficient_system_resource" => {
            return (None, Some(Failed::new(Failure::Overloaded, "insufficient_system_resource")));
        }
        "stop" | "eos" | "eos_token" | "stop_sequence" | "end_turn" => Finish::Stop,
        "length" | "max_tokens" | "max_output_tokens" | "model_length" | "model_context_window_exceeded" => {
            Finish::Length
        }
        "content_filter" | "safety" | "sensitive" | "recitation" | "prohibited_content" => {
            Finish::ContentFilter
        }
        "refusal" => Finish::Refusal,
        "tool_calls" | "tool_use" => Finish::ToolCalls,
        other => Finish::Other(verdict::machine_word(other).unwrap_or_default()),
    };
    (Some(finish), None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::{Image, Prompt};
    use crate::providers::{
        Kind,
        body::Refused,
        scripted::{Act, Scripted, answer, answered, events, prompt, provider, said, told},
    };
    use expect_test::{Expect, expect};
    use futures::StreamExt;
    use serde_json::Map;
    use std::{sync::Arc, time::Duration};

    const HELLO: &str = r#"{"choices":[{"index":0,"delta":{"content":"Hello"}}]}"#;
    const STOP: &str = r#"{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#;

    fn sent(prompt: &Prompt) -> String {
        let question = Question { prompt, model: "m", context_window: 8192, temperature: Some(0.5) };
        let json = write(question).unwrap().write(&Refused::default(), &Map::new()).unwrap();
        String::from_utf8(json).unwrap()
    }

    async fn check(acts: Vec<Act>, expected: Expect) {
        let endpoint = Scripted::start(vec![acts]).await;
        expected.assert_eq(&told(&*endpoint.provider(Kind::OpenAi, None)).await);
    }

    async fn check_events(data: &[&str], expected: Expect) {
        check(vec![events(data)], expected).await;
    }

    #[tokio::test]
    async fn the_request_byte_for_byte() {
        let mut endpoint = Scripted::start(vec![]).await;
        let lines = vec![said("Ana", "hi"), said("Bo: x", "hello"), answered("Hey."), said("Ana", "who?")];
        let asked = endpoint.provider(Kind::OpenAi, Some("sk-1")).generate(prompt("Be kind.", lines)).await;
        assert!(asked.is_err());
        let request = endpoint.request_text().await;
        expect![[r#"
            POST /v1/chat/completions HTTP/1.1
            authorization: Bearer sk-1
            content-type: application/json
            accept: */*
            user-agent: neverdark/0.1.0
            host: HOST
            content-length: 262

            {"model":"m-1","stream":true,"stream_options":{"include_usage":true},"max_tokens":64,"messages":[{"content":"Be kind.","role":"system"},{"content":"Ana: hi\nBo x: hello","role":"user"},{"content":"Hey.","role":"assistant"},{"content":"Ana: who?","role":"user"}]}"#]].assert_eq(&request);
    }

    #[test]
    fn one_speaker_needs_no_name_and_no_system_no_message() {
        let prompt = prompt("", vec![said("Ana", "hi"), said("Ana", "there")]);
        expect![[r#"{"model":"m","stream":true,"stream_options":{"include_usage":true},"max_tokens":64,"temperature":0.5,"messages":[{"content":"hi\nthere","role":"user"}]}"#]].assert_eq(&sent(&prompt));
    }

    #[test]
    fn pictures_belong_to_the_last_line() {
        let images = vec![Image { media_type: "image/png".to_owned(), base64: Arc::from("AA==") }];
        let prompt =
            Prompt { lines: vec![said("Ana", "look")], images, reply_tokens: 5, ..Prompt::default() };
        expect![[r#"{"model":"m","stream":true,"stream_options":{"include_usage":true},"max_tokens":5,"temperature":0.5,"messages":[{"content":[{"text":"look","type":"text"},{"image_url":{"url":"data:image/png;base64,AA=="},"type":"image_url"}],"role":"user"}]}"#]].assert_eq(&sent(&prompt));
    }

    fn passed_on(body: Value) -> Prompt {
        Prompt { request: Some(Arc::new(serde_json::from_value(body).unwrap())), ..Prompt::default() }
    }

    #[test]
    fn a_programs_request_is_passed_on_as_it_is() {
        let body = json!({
            "messages": [{"role": "user", "name": "ana", "content": [
                {"type": "text", "text": "what is this?"},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA"}},
            ]}],
            "max_tokens": 5,
            "stream": false,
            "tools": [{"type": "function", "function": {"name": "now"}}],
            "x-new": [1.5, null],
        });
        expect![[r#"{"model":"m","stream":true,"stream_options":{"include_usage":true},"temperature":0.5,"max_tokens":5,"messages":[{"content":[{"text":"what is this?","type":"text"},{"image_url":{"url":"data:image/png;base64,AA"},"type":"image_url"}],"name":"ana","role":"user"}],"tools":[{"function":{"name":"now"},"type":"function"}],"x-new":[1.5,null]}"#]].assert_eq(&sent(&passed_on(body)));
    }

    #[tokio::test]
    async fn a_programs_new_token_limit_is_renamed_for_an_old_host() {
        let refusal = r#"{"error":{"message":"Extra inputs are not permitted: max_completion_tokens","code":"extra_forbidden"}}"#;
        let refused = vec![answer("422 Unprocessable Entity", "application/json", refusal)];
        let mut endpoint = Scripted::start(vec![refused, vec![events(&[HELLO, STOP])]]).await;
        let prompt = Arc::new(passed_on(json!({"max_completion_tokens": 5})));
        assert!(endpoint.provider(Kind::OpenAi, None).generate(prompt).await.is_ok());
        let mut limits = Vec::new();
        for _ in 0..2 {
            limits.push(endpoint.request().await.contains(r#""max_tokens":5"#));
        }
        assert_eq!(limits, [false, true]);
    }

    #[tokio::test]
    async fn calls_of_tools() {
        let call = r#"{"choices":[{"delta":{"content":null,"tool_calls":[{"index":0,"id":"a","type":"function","function":{"name":"now","arguments":""}}]}}]}"#;
        let more = r#"{"choices":[{"delta":{"tool_calls":[{"index":0,"function":{"arguments":"{}"}}]}}]}"#;
        let end = r#"{"choices":[{"delta":{},"finish_reason":"tool_calls"}]}"#;
        check_events(
            &[call, more, end, "[DONE]"],
            expect![[r#"
            call     ToolCall { index: 0, id: Some("a"), name: Some("now"), arguments: "" }
            call     ToolCall { index: 0, id: None, name: None, arguments: "{}" }
            finish   ToolCalls
        "#]],
        )
        .await;
        check_events(
            &[HELLO, call],
            expect![[r#"
            text     "Hello"
            call     ToolCall { index: 0, id: Some("a"), name: Some("now"), arguments: "" }
            failed   broken_stream (HTTP 200): no finish
        "#]],
        )
        .await;
        check_events(
            &[call, r#"{"error":{"message":"x","type":"server_error"}}"#],
            expect![[r#"
            call     ToolCall { index: 0, id: Some("a"), name: Some("now"), arguments: "" }
            failed   broken_stream (HTTP 200): server_error
        "#]],
        )
        .await;
        let whole = r#"{"choices":[{"message":{"content":null,"tool_calls":[{"id":"a","type":"function","function":{"name":"now","arguments":"{}"}}]},"finish_reason":"tool_calls"}]}"#;
        check(
            vec![answer("200 OK", "application/json", whole)],
            expect![[r#"
            call     ToolCall { index: 0, id: Some("a"), name: Some("now"), arguments: "{}" }
            finish   ToolCalls
        "#]],
        )
        .await;
        check_events(
            &[end],
            expect![[r#"
            failed   empty (HTTP 200): no text
        "#]],
        )
        .await;
    }

    #[tokio::test]
    async fn without_a_key_no_authorization_is_sent() {
        let mut endpoint = Scripted::start(vec![vec![events(&[HELLO, STOP])]]).await;
        told(&*endpoint.provider(Kind::OpenAi, None)).await;
        assert!(!endpoint.request().await.to_lowercase().contains("authorization"));
    }

    #[tokio::test]
    async fn a_whole_stream() {
        check_events(
            &[
                r#"{"choices":[],"prompt_filter_results":[]}"#,
                r#"{"choices":[{"index":0,"delta":{"role":"assistant","content":"","refusal":null}}],"usage":null}"#,
                HELLO,
                r#"{"choices":[{"index":0,"delta":{"content":", Ana 👋"}}]}"#,
                r#"{"choices":[{"index":0,"delta":{"content":null}}]}"#,
                STOP,
                r#"{"choices":[],"usage":{"prompt_tokens":9,"completion_tokens":3}}"#,
                "[DONE]",
            ],
            expect![[r#"
                text     "Hello, Ana 👋"
                usage    Some(9) Some(3)
                finish   Stop
            "#]],
        )
        .await;
    }

    #[tokio::test]
    async fn what_hosts_do_differently() {
        // No [DONE], the finish with the last text, usage in the same chunk.
        check_events(
            &[r#"{"choices":[{"delta":{"content":"Hi"},"finish_reason":"length"}],"usage":{"prompt_tokens":1,"completion_tokens":2}}"#],
            expect![[r#"
                text     "Hi"
                usage    Some(1) Some(2)
                finish   Length
            "#]],
        )
        .await;
        // Mistral: a list, with thoughts in it.
        check_events(
            &[
                r#"{"choices":[{"delta":{"content":[{"type":"thinking","thinking":[{"type":"text","text":"hm"}]}]}}]}"#,
                r#"{"choices":[{"delta":{"content":[{"type":"text","text":"Hi"}]},"finish_reason":"stop"}]}"#,
            ],
            expect![[r#"
                thought  "hm"
                text     "Hi"
                finish   Stop
            "#]],
        )
        .await;
        // DeepSeek and Groq: thoughts beside the text, usage below x_groq.
        check_events(
            &[
                r#"{"choices":[{"delta":{"reasoning_content":"let me see"}}]}"#,
                r#"{"choices":[{"delta":{"reasoning":"ah"}}]}"#,
                r#"{"choices":[{"delta":{"content":"Hi"}}]}"#,
                r#"{"choices":[{"delta":{},"finish_reason":"stop"}],"x_groq":{"usage":{"prompt_tokens":4,"completion_tokens":5}}}"#,
            ],
            expect![[r#"
                thought  "let me see"
                thought  "ah"
                text     "Hi"
                usage    Some(4) Some(5)
                finish   Stop
            "#]],
        )
        .await;
        // OpenRouter: comments, two finishes, and an error that only says `length` again.
        let comment = ": OPENROUTER PROCESSING\n\n".to_owned();
        let error = r#"{"error":{"code":400,"message":"Token limit reached"},"choices":[{"delta":{"content":""},"finish_reason":"length"}]}"#;
        let length = r#"{"choices":[{"delta":{"content":"Hi"},"finish_reason":"length"}]}"#;
        let again = r#"{"choices":[{"delta":{"content":""},"finish_reason":"length"}],"usage":{"prompt_tokens":1,"completion_tokens":2}}"#;
        let body = comment + &[length, again, error, "[DONE]"].map(|it| format!("data: {it}\n\n")).concat();
        check(
            vec![answer("200 OK", "text/event-stream", &body)],
            expect![[r#"
                text     "Hi"
                usage    Some(1) Some(2)
                finish   Length
            "#]],
        )
        .await;
        // A refusal is the model's own words.
        check_events(
            &[r#"{"choices":[{"delta":{"refusal":"I cannot."}}]}"#, STOP],
            expect![[r#"
                text     "I cannot."
                finish   Refusal
            "#]],
        )
        .await;
        check_events(
            &[HELLO, r#"{"choices":[{"delta":{},"finish_reason":"content_filter"}]}"#],
            expect![[r#"
                text     "Hello"
                finish   ContentFilter
            "#]],
        )
        .await;
        check_events(
            &[HELLO, r#"{"choices":[{"delta":{},"finish_reason":"tool_calls"}]}"#],
            expect![[r#"
                text     "Hello"
                finish   ToolCalls
            "#]],
        )
        .await;
    }

    #[tokio::test]
    async fn a_whole_answer_to_a_request_for_a_stream() {
        let whole = r#"{"choices":[{"message":{"role":"assistant","content":"Hello"},"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":2}}"#;
        check(
            vec![answer("200 OK", "application/json", whole)],
            expect![[r#"
            text     "Hello"
            usage    Some(1) Some(2)
            finish   Stop
        "#]],
        )
        .await;
        let bare = r#"  {"choices":[{"message":{"content":"Hello"}}]}"#;
        check(
            vec![answer("200 OK", "text/plain", bare)],
            expect![[r#"
            text     "Hello"
            finish   Stop
        "#]],
        )
        .await;
        check(
            vec![answer("200 OK", "application/json", &whole[..60])],
            expect![[r#"
            failed   malformed (HTTP 200): bad json
        "#]],
        )
        .await;
        check(
            vec![answer("200 OK", "application/json", r#"{"id":"x"}"#)],
            expect![[r#"
            failed   malformed (HTTP 200): no choices
        "#]],
        )
        .await;
        let error = r#"{"error":{"message":"quota","code":"insufficient_quota"}}"#;
        check(
            vec![answer("200 OK", "application/json", error)],
            expect![[r#"
            failed   quota_exhausted (HTTP 200): insufficient_quota
        "#]],
        )
        .await;
    }

    #[tokio::test]
    async fn a_stream_that_does_not_say_that_it_ends_is_broken() {
        check_events(
            &[HELLO],
            expect![[r#"
            text     "Hello"
            failed   broken_stream (HTTP 200): no finish
        "#]],
        )
        .await;
        check_events(
            &[HELLO, "[DONE]"],
            expect![[r#"
            text     "Hello"
            failed   broken_stream (HTTP 200): no finish
        "#]],
        )
        .await;
        check_events(
            &[r#"{"choices":[{"delta":{"role":"assistant"}}]}"#],
            expect![[r#"
            failed   broken_stream (HTTP 200): no finish
        "#]],
        )
        .await;
        check_events(
            &[HELLO, r#"{"choices":[{"delta":{},"finish_reason":""}]}"#],
            expect![[r#"
            text     "Hello"
            failed   broken_stream (HTTP 200): no finish
        "#]],
        )
        .await;
    }

    #[tokio::test]
    async fn a_lost_socket() {
        let wait = || Act::Wait(Duration::from_millis(30));
        check(vec![Act::Reset], expect!["refused  connection: lost before the answer"]).await;
        check(
            vec![events(&[]), wait(), Act::Reset],
            expect![[r#"
            failed   connection (HTTP 200): lost in the answer
        "#]],
        )
        .await;
        check(
            vec![events(&[HELLO]), wait(), Act::Reset],
            expect![[r#"
            text     "Hello"
            failed   broken_stream (HTTP 200): lost in the answer
        "#]],
        )
        .await;
        check(
            vec![events(&[HELLO, STOP]), wait(), Act::Reset],
            expect![[r#"
            text     "Hello"
            finish   Stop
        "#]],
        )
        .await;
        let short = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: 900\r\n\r\ndata: ";
        check(
            vec![Act::Send(format!("{short}{HELLO}\n\n").into_bytes())],
            expect![[r#"
            text     "Hello"
            failed   broken_stream (HTTP 200): lost in the answer
        "#]],
        )
        .await;
        let nobody = provider(Kind::OpenAi, "http://127.0.0.1:1/v1", None);
        expect!["refused  connection: refused"].assert_eq(&told(&*nobody).await);
    }

    #[tokio::test]
    async fn an_error_inside_the_stream() {
        let overloaded = r#"{"error":{"type":"overloaded_error","message":"secret words"}}"#;
        check_events(
            &[overloaded],
            expect![[r#"
            failed   overloaded (HTTP 200): overloaded_error
        "#]],
        )
        .await;
        check_events(
            &[HELLO, overloaded],
            expect![[r#"
            text     "Hello"
            failed   broken_stream (HTTP 200): overloaded_error
        "#]],
        )
        .await;
        check_events(
            &[HELLO, r#"{"error":{"code":"insufficient_quota"}}"#],
            expect![[r#"
            text     "Hello"
            failed   quota_exhausted (HTTP 200): insufficient_quota
        "#]],
        )
        .await;
        check_events(
            &[r#"{"error":"it broke"}"#],
            expect![[r#"
            failed   server_error (HTTP 200)
        "#]],
        )
        .await;
        check_events(
            &[r#"{"choices":[{"delta":{},"finish_reason":"error"}]}"#],
            expect![[r#"
            failed   server_error (HTTP 200): finish error
        "#]],
        )
        .await;
        let named = "event: error\ndata: {\"error\":{\"code\":\"tool_use_failed\",\"status_code\":400}}\n\n";
        check(
            vec![answer("200 OK", "text/event-stream", named)],
            expect![[r#"
            failed   server_error (HTTP 200): tool_use_failed
        "#]],
        )
        .await;
        let old = "error: {\"code\":500,\"message\":\"x\",\"type\":\"server_error\"}\n\n";
        check(
            vec![answer("200 OK", "text/event-stream", old)],
            expect![[r#"
            failed   server_error (HTTP 200): server_error
        "#]],
        )
        .await;
    }

    #[tokio::test]
    async fn nonsense() {
        check(
            vec![answer("200 OK", "text/html", "\n<!doctype html><p>Welcome")],
            expect![[r#"
            failed   malformed (HTTP 200): html
        "#]],
        )
        .await;
        check(
            vec![answer("200 OK", "text/event-stream", "")],
            expect![[r#"
            failed   malformed (HTTP 200): empty body
        "#]],
        )
        .await;
        check(
            vec![answer("200 OK", "text/plain", "all is well\n")],
            expect![[r#"
            failed   malformed (HTTP 200): no events
        "#]],
        )
        .await;
        check_events(
            &["{\"choices\":[{"],
            expect![[r#"
            failed   malformed (HTTP 200): bad json
        "#]],
        )
        .await;
        check_events(
            &[HELLO, "what?"],
            expect![[r#"
            text     "Hello"
            failed   broken_stream (HTTP 200): bad json
        "#]],
        )
        .await;
        check(
            vec![answer("302 Found\r\nlocation: http://127.0.0.1:1/", "text/html", "")],
            expect!["refused  malformed (HTTP 302): redirect"],
        )
        .await;
    }

    #[tokio::test]
    async fn an_answer_without_text_is_a_failure() {
        check_events(
            &[STOP],
            expect![[r#"
            failed   empty (HTTP 200): no text
        "#]],
        )
        .await;
        check_events(
            &[r#"{"choices":[{"delta":{"content":" \n "}}]}"#, STOP],
            expect![[r#"
            failed   empty (HTTP 200): no text
        "#]],
        )
        .await;
        check_events(
            &[r#"{"choices":[{"delta":{"reasoning":"hm"},"finish_reason":"length"}]}"#],
            expect![[r#"
                thought  "hm"
                failed   empty (HTTP 200): reasoning only
            "#]],
        )
        .await;
        check_events(
            &[r#"{"choices":[{"delta":{},"finish_reason":"content_filter"}]}"#],
            expect![[r#"
            failed   content_filtered (HTTP 200): content_filter
        "#]],
        )
        .await;
    }

    #[tokio::test]
    async fn refusals_are_typed_and_leak_no_text() {
        let body = r#"{"error":{"message":"Rate limit for sk-1","code":"rate_limit_exceeded"}}"#;
        check(
            vec![answer("429 Too Many Requests\r\nretry-after: 30", "application/json", body)],
            expect!["refused  rate_limited (HTTP 429): rate_limit_exceeded (again in 30s)"],
        )
        .await;
        check(
            vec![answer("503 Service Unavailable", "text/html", "<html>")],
            expect!["refused  overloaded (HTTP 503)"],
        )
        .await;
        // A body that never ends is not waited for.
        let hang = vec![answer("500 Internal", "text/plain", "x"), Act::Wait(Duration::from_secs(9))];
        check(hang, expect!["refused  server_error (HTTP 500)"]).await;
    }

    #[tokio::test]
    async fn a_stream_cut_anywhere_reads_the_same() {
        let comma = r#"{"choices":[{"delta":{"content":" — é😀"}}]}"#;
        let body =
            [HELLO, comma, STOP, "[DONE]"].map(|it| format!("data: {it}\r\n\r\n")).concat().into_bytes();
        let whole = "text     \"Hello — é😀\"\nfinish   Stop\n";
        let mut rng = fastrand::Rng::with_seed(7);
        for _ in 0..12 {
            let mut acts = vec![answer("200 OK", "text/event-stream", "")];
            let mut rest = &body[..];
            while !rest.is_empty() {
                let (now, later) = rest.split_at(rng.usize(1..=rest.len().min(60)));
                acts.extend([Act::Send(now.to_vec()), Act::Wait(Duration::from_micros(300))]);
                rest = later;
            }
            let endpoint = Scripted::start(vec![acts]).await;
            assert_eq!(told(&*endpoint.provider(Kind::OpenAi, None)).await, whole);
        }
    }

    #[tokio::test]
    async fn usage_is_not_waited_for_long() {
        let acts = vec![events(&[HELLO, STOP]), Act::Wait(Duration::from_secs(9))];
        check(
            acts,
            expect![[r#"
            text     "Hello"
            finish   Stop
        "#]],
        )
        .await;
    }

    #[tokio::test]
    async fn dropping_the_answer_closes_the_socket() {
        let mut endpoint = Scripted::start(vec![vec![events(&[HELLO]), Act::AwaitClose]]).await;
        let asked = endpoint.provider(Kind::OpenAi, None).generate(prompt("", vec![said("Ana", "hi")]));
        let mut pieces = asked.await.unwrap();
        assert!(pieces.next().await.unwrap().is_ok());
        endpoint.request().await;
        drop(pieces);
        assert_eq!(endpoint.request().await, "closed");
    }

    #[tokio::test]
    async fn dropping_the_call_closes_the_socket() {
        let mut endpoint = Scripted::start(vec![vec![Act::AwaitClose]]).await;
        let asked = endpoint.provider(Kind::OpenAi, None).generate(prompt("", vec![said("Ana", "hi")]));
        tokio::select! {
            answered = asked => panic!("nobody answers: {:?}", answered.err()),
            _ = endpoint.request() => {}
        }
        assert_eq!(endpoint.request().await, "closed");
    }

    #[tokio::test]
    async fn a_finished_connection_is_used_again() {
        let body = [HELLO, STOP, "[DONE]"].map(|it| format!("data: {it}\n\n")).concat();
        let whole = format!(
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n0\r\n\r\n",
            body.len()
        );
        // The endpoint takes one connection at a time: a second one would wait forever.
        let acts = || vec![Act::Send(whole.clone().into_bytes()), Act::Keep];
        let endpoint = Scripted::start(vec![acts(), acts()]).await;
        let provider = endpoint.provider(Kind::OpenAi, None);
        assert_eq!(told(&*provider).await, told(&*provider).await);
    }

    #[tokio::test]
    async fn the_token_limit_is_renamed_once_and_remembered() {
        let refusal = r#"{"error":{"message":"Unsupported parameter: 'max_tokens'","code":"unsupported_parameter","param":"max_tokens"}}"#;
        let refused = vec![answer("400 Bad Request", "application/json", refusal)];
        let whole = || vec![events(&[HELLO, STOP])];
        let mut endpoint = Scripted::start(vec![refused, whole(), whole()]).await;
        let provider = endpoint.provider(Kind::OpenAi, None);
        expect![[r#"
            text     "Hello"
            finish   Stop
        "#]]
        .assert_eq(&told(&*provider).await);
        told(&*provider).await;
        let mut limits = Vec::new();
        for _ in 0..3 {
            limits.push(endpoint.request().await.contains(r#""max_completion_tokens":64"#));
        }
        assert_eq!(limits, [false, true, true]);
    }

    #[tokio::test]
    async fn a_parameter_is_not_renamed_twice() {
        let refusal = r#"{"error":{"code":"unsupported_parameter","param":"max_tokens"}}"#;
        let refused = || vec![answer("400 Bad Request", "application/json", refusal)];
        let mut endpoint = Scripted::start(vec![refused(), refused(), vec![events(&[HELLO, STOP])]]).await;
        expect!["refused  unsupported_parameter (HTTP 400): unsupported_parameter"]
            .assert_eq(&told(&*endpoint.provider(Kind::OpenAi, None)).await);
        endpoint.request().await;
        endpoint.request().await;
    }

    #[tokio::test]
    async fn health() {
        let health = async |status: &str, body: &str| {
            let mut endpoint = Scripted::start(vec![vec![answer(status, "application/json", body)]]).await;
            let ended = endpoint.provider(Kind::OpenAi, Some("sk-1")).health_check().await;
            let first = endpoint.request().await.lines().next().unwrap_or_default().to_owned();
            format!("{first} -> {}", ended.map_or_else(|failed| failed.to_string(), |()| "well".to_owned()))
        };
        expect!["GET /v1/models HTTP/1.1 -> well"].assert_eq(&health("200 OK", r#"{"data":[]}"#).await);
        expect!["GET /v1/models HTTP/1.1 -> malformed (HTTP 200): html"]
            .assert_eq(&health("200 OK", "<html>").await);
        expect!["GET /v1/models HTTP/1.1 -> bad_request (HTTP 404): no health path"]
            .assert_eq(&health("404 Not Found", "").await);
        expect!["GET /v1/models HTTP/1.1 -> auth (HTTP 401): invalid_api_key"]
            .assert_eq(&health("401 Unauthorized", r#"{"error":{"code":"invalid_api_key"}}"#).await);
    }
}
