//! The `openai` dialect: `POST /chat/completions`, spoken by OpenAI, Azure, Groq, Mistral, vLLM, llama.cpp and many more.
//!
//! They differ in small things, all of them read here: chunks without choices, content as a list, three names for the
//! model's thoughts, usage in four places, errors inside a stream. Two things that some hosts refuse are left out or
//! renamed when they say so, and that is remembered. What a program asked through the router API is sent as it came, tools,
//! pictures and unknown parameters included: only the model and the way it is streamed are ours.

use super::{
    Endpoint, Finish, Pieces, Provider,
    answer::{self, Dialect, Said},
    prompt_text,
    tool_calls::Part,
    verdict, wire,
};
use crate::{
    message::{Prompt, Request, Role},
    outcome::{Failed, Failure, Usage},
};
use futures::{FutureExt, future::BoxFuture};
use reqwest::{Response, header};
use serde::{Serialize, Serializer, ser::SerializeMap};
use serde_json::{Value, json};
use std::sync::{
    Arc,
    atomic::{AtomicU8, Ordering},
};

mod plain;

pub(super) const DIALECT: Dialect = Dialect { plain: plain::read, read, trims_start: false };

/// A provider of this kind.
#[derive(Debug)]
pub(super) struct OpenAi(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    endpoint: Endpoint,
    /// What this host's model has refused so far, as bits.
    quirks: AtomicU8,
}

/// OpenAI's newer models want `max_completion_tokens`; nearly everybody else knows only `max_tokens`.
const NEW_TOKEN_LIMIT: u8 = 1;
/// Some hosts refuse `stream_options`; usage is then unknown.
const NO_STREAM_OPTIONS: u8 = 2;
/// A program said `max_completion_tokens`, and the host knows only `max_tokens`.
const OLD_TOKEN_LIMIT: u8 = 4;
const JSON: header::HeaderValue = header::HeaderValue::from_static("application/json");
const MAX_TOKENS: &str = "max_tokens";
const MAX_COMPLETION_TOKENS: &str = "max_completion_tokens";

impl OpenAi {
    pub(super) fn new(endpoint: Endpoint) -> Self {
        Self(Arc::new(Inner { endpoint, quirks: AtomicU8::new(0) }))
    }
}

impl Provider for OpenAi {
    fn name(&self) -> &str {
        &self.0.endpoint.spec.name
    }

    fn model(&self) -> &str {
        &self.0.endpoint.spec.model
    }

    fn context_window(&self) -> u32 {
        self.0.endpoint.spec.context_window
    }

    fn cost(&self, usage: Usage) -> Option<f64> {
        self.0.endpoint.spec.cost(usage)
    }

    fn names_speakers(&self, prompt: &Prompt) -> bool {
        prompt_text::has_several_speakers(prompt)
    }

    fn generate(&self, prompt: Arc<Prompt>) -> BoxFuture<'static, Result<Pieces, Failed>> {
        let inner = Arc::clone(&self.0);
        async move { Ok(answer::pieces(inner.open(&prompt).await?, DIALECT)) }.boxed()
    }

    fn health_check(&self) -> BoxFuture<'static, Result<(), Failed>> {
        self.0.endpoint.health("/models").boxed()
    }
}

impl Inner {
    /// Asks; and asks again at once, in the other way, where the host says that it does not take a parameter.
    async fn open(&self, prompt: &Prompt) -> Result<Response, Failed> {
        let mut quirks = self.quirks.load(Ordering::Relaxed);
        loop {
            let body = request(&self.endpoint.spec.model, prompt, quirks)
                .map_err(|_| Failed::new(Failure::BadRequest, "no json"))?;
            let post = self.endpoint.post().header(header::CONTENT_TYPE, JSON);
            let refused = match wire::send(post.body(body)).await {
                Ok(response) => {
                    self.quirks.fetch_or(quirks, Ordering::Relaxed);
                    return Ok(response);
                }
                Err(refused) => refused,
            };
            match quirk_behind(&refused, prompt, quirks) & !quirks {
                0 => return Err(refused.failed),
                another => quirks |= another,
            }
        }
    }
}

fn quirk_behind(refused: &wire::Refused, prompt: &Prompt, quirks: u8) -> u8 {
    let complaint = &refused.complaint;
    match () {
        () if refused.failed.failure != Failure::UnsupportedParameter => 0,
        // The complaint about the one often names the other as the cure.
        () if sends(prompt, quirks, MAX_TOKENS) && complaint.is_about(MAX_TOKENS) => NEW_TOKEN_LIMIT,
        () if sends(prompt, quirks, MAX_COMPLETION_TOKENS) && complaint.is_about(MAX_COMPLETION_TOKENS) => {
            OLD_TOKEN_LIMIT
        }
        () if complaint.is_about("stream_options") => NO_STREAM_OPTIONS,
        () => 0,
    }
}

/// Whether the request has a token limit under this name.
fn sends(prompt: &Prompt, quirks: u8, limit: &str) -> bool {
    match &prompt.request {
        Some(request) => request.0.keys().any(|key| renamed(key, quirks) == limit),
        None => renamed(MAX_TOKENS, quirks) == limit,
    }
}

/// What this host calls a parameter.
fn renamed(key: &str, quirks: u8) -> &str {
    match (key, quirks & (NEW_TOKEN_LIMIT | OLD_TOKEN_LIMIT)) {
        (MAX_TOKENS, NEW_TOKEN_LIMIT) => MAX_COMPLETION_TOKENS,
        (MAX_COMPLETION_TOKENS, OLD_TOKEN_LIMIT) => MAX_TOKENS,
        (key, _) => key,
    }
}

/// The body of the request.
fn request(model: &str, prompt: &Prompt, quirks: u8) -> serde_json::Result<Vec<u8>> {
    if let Some(request) = &prompt.request {
        return serde_json::to_vec(&PassedOn { model, request, quirks });
    }
    let mut body = json!({ "model": model, "messages": messages(prompt), "stream": true });
    body[renamed(MAX_TOKENS, quirks)] = json!(prompt.reply_tokens);
    if quirks & NO_STREAM_OPTIONS == 0 {
        body["stream_options"] = json!({ "include_usage": true });
    }
    serde_json::to_vec(&body)
}

/// A program's own request, with what is ours in it.
struct PassedOn<'a> {
    model: &'a str,
    request: &'a Request,
    quirks: u8,
}

impl Serialize for PassedOn<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { model, request: Request(said), quirks } = self;
        let mut body = serializer.serialize_map(None)?;
        body.serialize_entry("model", model)?;
        body.serialize_entry("stream", &true)?;
        if quirks & NO_STREAM_OPTIONS == 0 {
            body.serialize_entry("stream_options", &StreamOptions { include_usage: true })?;
        }
        for (key, value) in said {
            let name = renamed(key, *quirks);
            let is_ours = matches!(name, "model" | "stream" | "stream_options");
            let is_double = name != key && said.contains_key(name);
            if !is_ours && !is_double {
                body.serialize_entry(name, value)?;
            }
        }
        body.end()
    }
}

#[derive(Serialize)]
struct StreamOptions {
    include_usage: bool,
}

/// The prompt as messages whose roles alternate, as several hosts' templates want it.
fn messages(prompt: &Prompt) -> Vec<Value> {
    let mut turns: Vec<(Role, String)> = Vec::new();
    let named = prompt_text::has_several_speakers(prompt);
    for line in &prompt.lines {
        let text = match &line.speaker {
            Some(name) if named && line.role == Role::User => {
                format!("{}: {}", prompt_text::label(name), line.text)
            }
            _ => line.text.clone(),
        };
        match turns.last_mut() {
            Some((role, before)) if *role == line.role => *before += &format!("\n{text}"),
            _ => turns.push((line.role, text)),
        }
    }
    let system = (!prompt.system.is_empty()).then(|| json!({ "role": "system", "content": prompt.system }));
    let turns = turns.into_iter().map(|(role, text)| json!({ "role": role, "content": text }));
    system.into_iter().chain(turns).collect()
}

/// Reads a chunk (`delta`) or a whole answer (`message`).
fn read(chunk: &Value) -> Said {
    let choice = &chunk["choices"][0];
    let said = ["delta", "message"].into_iter().map(|at| &choice[at]).find(|it| it.is_object());
    let said = said.unwrap_or(&Value::Null);
    let (mut text, mut reasoning) = (String::new(), String::new());
    add_content(&said["content"], &mut text, &mut reasoning);
    if let Some(thought) = ["reasoning_content", "reasoning"].into_iter().find_map(|at| said[at].as_str()) {
        reasoning.push_str(thought);
    }
    let refusal = said["refusal"].as_str().unwrap_or_default();
    let (finish, error) = finish(chunk, choice);
    Said {
        known: choice.is_object(),
        text: text + refusal,
        calls: Part::list(&said["tool_calls"]),
        reasoning,
        refused: !refusal.is_empty(),
        usage: usage(chunk),
        finish,
        error,
    }
}

/// Content is a string, or (Mistral) a list of parts, some of which are thoughts.
fn add_content(content: &Value, text: &mut String, reasoning: &mut String) {
    if let Some(content) = content.as_str() {
        text.push_str(content);
    }
    for part in content.as_array().into_iter().flatten() {
        if let Some(said) = part["text"].as_str() {
            text.push_str(said);
        }
        let thoughts = part["thinking"].as_array().into_iter().flatten();
        thoughts.filter_map(|thought| thought["text"].as_str()).for_each(|said| reasoning.push_str(said));
    }
}

/// Why a chunk says that the answer ends: a finish, or an error. The same in both of OpenAI's dialects.
pub(super) fn finish(chunk: &Value, choice: &Value) -> (Option<Finish>, Option<Failed>) {
    // OpenRouter puts the error into the choice, too.
    if let Some(failed) = verdict::of_chunk(chunk).or_else(|| verdict::of_chunk(choice)) {
        return (None, Some(failed));
    }
    let finish = match choice["finish_reason"].as_str() {
        None | Some("") => return (None, None),
        // `abort` is vLLM's, when its engine was stopped.
        Some("error" | "abort") => {
            return (None, Some(Failed::new(Failure::ServerError, "finish error")));
        }
        Some("insufficient_system_resource") => {
            return (None, Some(Failed::new(Failure::Overloaded, "insufficient_system_resource")));
        }
        Some("stop" | "eos" | "eos_token" | "stop_sequence" | "end_turn") => Finish::Stop,
        Some("length" | "max_tokens" | "model_length") => Finish::Length,
        Some("content_filter" | "safety") => Finish::ContentFilter,
        Some("tool_calls") => Finish::ToolCalls,
        Some(other) => Finish::Other(verdict::machine_word(other).unwrap_or_default()),
    };
    (Some(finish), None)
}

/// Usage stands beside the choices, in the choice (Moonshot) or below `x_groq`; vLLM sends a null until the end.
pub(super) fn usage(chunk: &Value) -> Option<Usage> {
    let places = [&chunk["usage"], &chunk["choices"][0]["usage"], &chunk["x_groq"]["usage"]];
    let usage = places.into_iter().find(|usage| usage.is_object())?;
    Some(Usage {
        tokens_in: usage["prompt_tokens"].as_u64(),
        tokens_out: usage["completion_tokens"].as_u64(),
        is_estimated: false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::providers::{
        Kind,
        scripted::{Act, Scripted, answer, answered, events, prompt, provider, said, told},
    };
    use expect_test::{Expect, expect};
    use futures::StreamExt;
    use std::time::Duration;
    use tokio::time::timeout;

    const HELLO: &str = r#"{"choices":[{"index":0,"delta":{"content":"Hello"}}]}"#;
    const STOP: &str = r#"{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#;

    fn sent(model: &str, prompt: &Prompt, quirks: u8) -> String {
        String::from_utf8(request(model, prompt, quirks).unwrap()).unwrap()
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

            {"max_tokens":64,"messages":[{"content":"Be kind.","role":"system"},{"content":"Ana: hi\nBo x: hello","role":"user"},{"content":"Hey.","role":"assistant"},{"content":"Ana: who?","role":"user"}],"model":"m-1","stream":true,"stream_options":{"include_usage":true}}"#]].assert_eq(&request);
    }

    #[test]
    fn one_speaker_needs_no_name_and_no_system_no_message() {
        let prompt = prompt("", vec![said("Ana", "hi"), said("Ana", "there")]);
        expect![[r#"{"max_completion_tokens":64,"messages":[{"content":"hi\nthere","role":"user"}],"model":"m","stream":true}"#]].assert_eq(&sent("m", &prompt, NEW_TOKEN_LIMIT | NO_STREAM_OPTIONS));
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
        expect![[r#"{"model":"m","stream":true,"stream_options":{"include_usage":true},"max_tokens":5,"messages":[{"content":[{"text":"what is this?","type":"text"},{"image_url":{"url":"data:image/png;base64,AA"},"type":"image_url"}],"name":"ana","role":"user"}],"tools":[{"function":{"name":"now"},"type":"function"}],"x-new":[1.5,null]}"#]].assert_eq(&sent("m", &passed_on(body), 0));
    }

    #[test]
    fn a_token_limit_has_the_hosts_name() {
        let sent = |body: Value, quirks| sent("m", &passed_on(body), NO_STREAM_OPTIONS | quirks);
        expect![[r#"{"model":"m","stream":true,"max_completion_tokens":5}"#]]
            .assert_eq(&sent(json!({"max_tokens": 5}), NEW_TOKEN_LIMIT));
        expect![[r#"{"model":"m","stream":true,"max_tokens":5}"#]]
            .assert_eq(&sent(json!({"max_completion_tokens": 5}), OLD_TOKEN_LIMIT));
        expect![[r#"{"model":"m","stream":true,"max_tokens":6}"#]]
            .assert_eq(&sent(json!({"max_completion_tokens": 5, "max_tokens": 6}), OLD_TOKEN_LIMIT));
        expect![[r#"{"model":"m","stream":true}"#]].assert_eq(&sent(json!({}), NEW_TOKEN_LIMIT));
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
            finish   ContentFilter
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
        assert_eq!(timeout(Duration::from_millis(250), endpoint.request()).await.unwrap(), "closed");
    }

    #[tokio::test]
    async fn dropping_the_call_closes_the_socket() {
        let mut endpoint = Scripted::start(vec![vec![Act::AwaitClose]]).await;
        let asked = endpoint.provider(Kind::OpenAi, None).generate(prompt("", vec![said("Ana", "hi")]));
        assert!(timeout(Duration::from_millis(50), asked).await.is_err());
        endpoint.request().await;
        assert_eq!(timeout(Duration::from_millis(250), endpoint.request()).await.unwrap(), "closed");
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
