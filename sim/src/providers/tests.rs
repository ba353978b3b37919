//! Every dialect, streaming and whole, with every fault, over a raw socket.

mod calls;
mod refusals;

use super::*;
use expect_test::{Expect, expect};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{sleep, timeout},
};

/// How long a silent provider is listened to.
const SILENCE: Duration = Duration::from_millis(400);

/// What a client saw of one call.
#[derive(Debug)]
struct Seen {
    /// None when there was no head.
    head: Option<String>,
    body: String,
    /// How it ended: `whole`, `cut off`, `reset`, `silent`, `refused`.
    end: &'static str,
}

impl Seen {
    fn status(&self) -> &str {
        self.head.as_deref().and_then(|head| head.split(' ').nth(1)).unwrap_or("-")
    }
}

async fn start(cast: &str) -> Providers {
    Providers::start(&Cast::parse(cast).unwrap(), Hooks::default()).await.unwrap()
}

fn address(providers: &Providers, name: &str) -> String {
    let url = providers.base_url(name).unwrap();
    url.trim_start_matches("http://").split('/').next().unwrap().to_owned()
}

/// The request that a client of this dialect makes.
fn question(kind: Kind, stream: bool) -> (&'static str, Value) {
    let messages = json!([{ "role": "user", "content": "Be kind.\nhow are you?" }]);
    match kind {
        Kind::OpenAi => (
            "/v1/chat/completions",
            json!({ "model": "m", "messages": messages, "stream": stream, "stream_options": { "include_usage": true } }),
        ),
        Kind::OpenAiResponses => {
            let input = json!([{ "role": "user", "content": "Be kind.\nhow are you?" }]);
            ("/v1/responses", json!({ "model": "m", "input": input, "stream": stream }))
        }
        Kind::Anthropic => (
            "/v1/messages",
            json!({ "model": "m", "messages": messages, "max_tokens": 99, "stream": stream }),
        ),
        Kind::Ollama if stream => ("/api/chat", json!({ "model": "m", "messages": messages })),
        Kind::Ollama => ("/api/chat", json!({ "model": "m", "messages": messages, "stream": false })),
        Kind::Gemini => {
            let parts = json!([{ "text": "how are you?" }]);
            let path = if stream {
                "/v1beta/models/m:streamGenerateContent?alt=sse"
            } else {
                "/v1beta/models/m:generateContent"
            };
            (path, json!({ "contents": [{ "role": "user", "parts": parts }] }))
        }
        Kind::Completions => {
            let prompt = "Be kind.\n\nAna: how are you?\nAssistant:";
            ("/v1/completions", json!({ "model": "m", "prompt": prompt, "stream": stream }))
        }
    }
}

async fn ask(providers: &Providers, name: &str, kind: Kind, stream: bool) -> Seen {
    let (path, body) = question(kind, stream);
    match timeout(SILENCE, TcpStream::connect(address(providers, name))).await {
        Ok(Ok(mut socket)) => exchange(&mut socket, "POST", path, &body.to_string()).await,
        Err(_) => Seen { head: None, body: String::new(), end: "not connected" },
        Ok(Err(_)) => Seen { head: None, body: String::new(), end: "refused" },
    }
}

async fn exchange(socket: &mut TcpStream, method: &str, path: &str, body: &str) -> Seen {
    exchange_with("anthropic-version: 2023-06-01\r\n", socket, method, path, body).await
}

/// Each header ends its line.
async fn exchange_with(headers: &str, socket: &mut TcpStream, method: &str, path: &str, body: &str) -> Seen {
    let length = body.len();
    let request =
        format!("{method} {path} HTTP/1.1\r\nhost: sim\r\n{headers}content-length: {length}\r\n\r\n{body}");
    // The provider may be gone already; then reading tells how.
    let _ = socket.write_all(request.as_bytes()).await;
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some(body) = text.split_once("\r\n\r\n").and_then(|(head, body)| whole(head, body)) {
            return seen(&text, Some(body), "whole");
        }
        match timeout(SILENCE, socket.read_buf(&mut bytes)).await {
            Err(_) => return seen(&text, None, "silent"),
            Ok(Err(_)) => return seen(&text, None, "reset"),
            Ok(Ok(0)) => return seen(&text, None, "cut off"),
            Ok(Ok(_)) => {}
        }
    }
}

fn seen(text: &str, body: Option<String>, end: &'static str) -> Seen {
    let (head, rest) = match text.split_once("\r\n\r\n") {
        Some((head, rest)) => (Some(head.to_owned()), rest),
        None => (None, ""),
    };
    Seen { head, body: body.unwrap_or_else(|| unchunk(rest).0), end }
}

/// The body, if it is whole.
fn whole(head: &str, body: &str) -> Option<String> {
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    match length {
        Some(length) => (body.len() >= length.parse().unwrap()).then(|| body.to_owned()),
        None => {
            let (text, ended) = unchunk(body);
            ended.then_some(text)
        }
    }
}

/// The text of the chunks, and whether the last one is there; what is no chunk stays as it is.
fn unchunk(mut rest: &str) -> (String, bool) {
    let mut text = String::new();
    while let Some((size, more)) = rest.split_once("\r\n") {
        let Ok(size) = usize::from_str_radix(size, 16) else { return (rest.to_owned(), false) };
        if size == 0 {
            return (text, true);
        }
        let Some(chunk) = more.get(..size) else { break };
        text += chunk;
        rest = more.get(size + 2..).unwrap_or_default();
    }
    (text, false)
}

/// The text that a client of the dialect would show, and whether it was told that this is all.
fn understood(kind: Kind, body: &str) -> (String, bool) {
    let mut text = String::new();
    let mut finished = false;
    let is_lines = kind == Kind::Ollama;
    let lines =
        body.lines().filter_map(|line| if is_lines { Some(line) } else { line.strip_prefix("data: ") });
    let whole = (!is_lines).then_some(body);
    let documents = lines.chain(whole).filter_map(|it| serde_json::from_str::<Value>(it).ok());
    for it in documents {
        let choice = &it["choices"][0];
        let candidate = &it["candidates"][0];
        let (piece, end) = match kind {
            Kind::OpenAi if !choice["message"].is_null() => {
                (&choice["message"]["content"], &choice["finish_reason"])
            }
            Kind::OpenAi => (&choice["delta"]["content"], &choice["finish_reason"]),
            Kind::Completions => (&choice["text"], &choice["finish_reason"]),
            Kind::Gemini => (&candidate["content"]["parts"][0]["text"], &candidate["finishReason"]),
            Kind::OpenAiResponses if it["object"] == "response" => {
                (&it["output"][0]["content"][0]["text"], &it["status"])
            }
            Kind::OpenAiResponses if it["type"] == "response.output_text.delta" => {
                (&it["delta"], &Value::Null)
            }
            Kind::OpenAiResponses if it["response"]["status"] == "in_progress" => {
                (&Value::Null, &Value::Null)
            }
            Kind::OpenAiResponses => (&Value::Null, &it["response"]["usage"]["total_tokens"]),
            Kind::Ollama => (&it["message"]["content"], &it["done_reason"]),
            Kind::Anthropic if it["content"].is_array() => (&it["content"][0]["text"], &it["stop_reason"]),
            Kind::Anthropic => (&it["delta"]["text"], &it["delta"]["stop_reason"]),
        };
        text += piece.as_str().unwrap_or_default();
        finished |= end.is_string() || end.is_number();
    }
    (text, finished)
}

/// What each dialect's client saw: status, end, text, and what else was said.
async fn matrix(behaviour: &str, stream: bool) -> Vec<String> {
    let mut lines = Vec::new();
    for kind in Kind::ALL {
        let providers = start(&format!("alpha: kind={kind} {behaviour}")).await;
        let seen = ask(&providers, "alpha", kind, stream).await;
        let (text, finished) = understood(kind, &seen.body);
        let mut line = format!("{} {}", seen.status(), seen.end);
        if !text.is_empty() || finished {
            line += &format!(" {text:?}{}", if finished { " finished" } else { "" });
        }
        line += &what_else(&seen.body);
        lines.push(line);
    }
    lines
}

/// Errors and what is no JSON, wherever in the body they are.
fn what_else(body: &str) -> String {
    let starts = ["{\"error\"", "{\"type\":\"error\"", "{\r\n"];
    if let Some(at) = starts.iter().find_map(|start| body.find(start)) {
        let json: String = body[at..].lines().take_while(|line| !line.is_empty()).collect();
        return serde_json::from_str(&json).map_or(format!(" {json}"), |json| format!(" {}", steady(&json)));
    }
    let data: Vec<_> = body.lines().filter_map(|line| line.strip_prefix("data: ")).collect();
    let documents = if data.is_empty() { body.lines().collect() } else { data };
    let broken =
        documents.into_iter().find(|it| *it != "[DONE]" && serde_json::from_str::<Value>(it).is_err());
    match broken {
        Some(text) if text.starts_with('<') => " a page".into(),
        Some(text) if !text.is_empty() => " broken JSON".into(),
        _ => String::new(),
    }
}

/// JSON with its keys in order: whether a map keeps theirs depends on who else is in the build.
fn steady(json: &Value) -> String {
    match json {
        Value::Object(map) => {
            let mut fields: Vec<_> =
                map.iter().map(|(key, value)| format!("{key:?}:{}", steady(value))).collect();
            fields.sort();
            format!("{{{}}}", fields.join(","))
        }
        Value::Array(items) => format!("[{}]", items.iter().map(steady).collect::<Vec<_>>().join(",")),
        plain => plain.to_string(),
    }
}

/// Where several saw the same, it is said once.
async fn check(behaviour: &str, expected: Expect) {
    let (stream, whole) = (matrix(behaviour, true).await, matrix(behaviour, false).await);
    let shown = if stream == whole {
        brief("", &stream)
    } else {
        format!("{}\n{}", brief("stream", &stream), brief("whole", &whole))
    };
    expected.assert_eq(&shown);
}

fn brief(what: &str, lines: &[String]) -> String {
    if lines.iter().all(|line| *line == lines[0]) {
        return format!("{what:6} {}", lines[0]).trim_start().to_owned();
    }
    let kinds = Kind::ALL.iter().zip(lines);
    kinds
        .map(|(kind, line)| format!("{what:6} {kind:16} {line}").trim_start().to_owned())
        .collect::<Vec<_>>()
        .join("\n")
}

/// The bytes of a stream.
async fn golden(kind: Kind, expected: Expect) {
    let providers = start(&format!("alpha: kind={kind} 'Hi Ana.' reasoning='Hm.'")).await;
    let seen = ask(&providers, "alpha", kind, true).await;
    let lines = seen.body.replace('\r', "␍");
    let lines =
        lines.lines().map(|line| match line.split_once("data: ").map(|(_, it)| it.trim_end_matches('␍')) {
            Some(data) => {
                line.replace(data, &serde_json::from_str(data).map_or(data.to_owned(), |json| steady(&json)))
            }
            None => line.to_owned(),
        });
    expected.assert_eq(&lines.collect::<Vec<_>>().join("\n"));
}

#[tokio::test]
async fn answers() {
    check("'Hello, dear Ana.'", expect![[r#"200 whole "Hello, dear Ana." finished"#]]).await;
    check("echo", expect![[r#"200 whole "You said: how are you?" finished"#]]).await;
    check("empty", expect![[r#"200 whole "" finished"#]]).await;
    check("'Hi Ana.' finish=length", expect![[r#"200 whole "Hi Ana." finished"#]]).await;
    check("'Hi Ana.' whole", expect![[r#"200 whole "Hi Ana." finished"#]]).await;
}

#[tokio::test]
async fn failures_instead_of_an_answer() {
    check("500", expect![[r#"
        openai           500 whole {"error":{"code":null,"message":"The server had an error while processing your request.","param":null,"type":"server_error"}}
        openai-responses 500 whole {"error":{"code":null,"message":"The server had an error while processing your request.","param":null,"type":"server_error"}}
        anthropic        500 whole {"error":{"message":"Internal server error","type":"api_error"},"request_id":"req_sim","type":"error"}
        gemini           500 whole {"error":{"code":500,"details":[],"message":"An internal error has occurred.","status":"INTERNAL"}}
        completions      500 whole {"error":{"code":null,"message":"The server had an error while processing your request.","param":null,"type":"server_error"}}
        ollama           500 whole {"error":"llama runner process has terminated: exit status 2"}"#]]).await;
    check("429 retry-after=30", expect![[r#"
        openai           429 whole {"error":{"code":"rate_limit_exceeded","message":"Rate limit reached for requests.","param":null,"type":"requests"}}
        openai-responses 429 whole {"error":{"code":"rate_limit_exceeded","message":"Rate limit reached for requests.","param":null,"type":"requests"}}
        anthropic        429 whole {"error":{"message":"This request would exceed your rate limit.","type":"rate_limit_error"},"request_id":"req_sim","type":"error"}
        gemini           429 whole {"error":{"code":429,"details":[{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"30s"}],"message":"You exceeded your current quota.","status":"RESOURCE_EXHAUSTED"}}
        completions      429 whole {"error":{"code":"rate_limit_exceeded","message":"Rate limit reached for requests.","param":null,"type":"requests"}}
        ollama           429 whole {"error":"too many concurrent requests"}"#]]).await;
    check("503", expect![[r#"
        openai           503 whole {"error":{"code":null,"message":"The engine is currently overloaded, please try again later.","param":null,"type":"service_unavailable"}}
        openai-responses 503 whole {"error":{"code":null,"message":"The engine is currently overloaded, please try again later.","param":null,"type":"service_unavailable"}}
        anthropic        503 whole {"error":{"message":"Overloaded","type":"overloaded_error"},"request_id":"req_sim","type":"error"}
        gemini           503 whole {"error":{"code":503,"details":[],"message":"The model is overloaded. Please try again later.","status":"UNAVAILABLE"}}
        completions      503 whole {"error":{"code":null,"message":"The engine is currently overloaded, please try again later.","param":null,"type":"service_unavailable"}}
        ollama           503 whole {"error":"server busy, please try again.  maximum pending requests exceeded"}"#]]).await;
    check("401", expect![[r#"
        openai           401 whole {"error":{"code":"invalid_api_key","message":"Incorrect API key provided.","param":null,"type":"invalid_request_error"}}
        openai-responses 401 whole {"error":{"code":"invalid_api_key","message":"Incorrect API key provided.","param":null,"type":"invalid_request_error"}}
        anthropic        401 whole {"error":{"message":"invalid x-api-key","type":"authentication_error"},"request_id":"req_sim","type":"error"}
        gemini           400 whole {"error":{"code":400,"details":[{"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"API_KEY_INVALID"}],"message":"API key not valid. Please pass a valid API key.","status":"INVALID_ARGUMENT"}}
        completions      401 whole {"error":{"code":"invalid_api_key","message":"Incorrect API key provided.","param":null,"type":"invalid_request_error"}}
        ollama           401 whole {"error":"unauthorized"}"#]]).await;
    check("error=insufficient_quota", expect![[r#"
        openai           429 whole {"error":{"code":"insufficient_quota","message":"You exceeded your current quota.","param":null,"type":"insufficient_quota"}}
        openai-responses 429 whole {"error":{"code":"insufficient_quota","message":"You exceeded your current quota.","param":null,"type":"insufficient_quota"}}
        anthropic        429 whole {"error":{"details":{"error_code":"enforced_spend_limit_reached"},"message":"You have reached your specified API usage limits.","type":"rate_limit_error"},"request_id":"req_sim","type":"error"}
        gemini           429 whole {"error":{"code":429,"details":[{"@type":"type.googleapis.com/google.rpc.QuotaFailure","violations":[{"quotaId":"GenerateRequestsPerDayPerProjectPerModel"}]}],"message":"You exceeded your current quota.","status":"RESOURCE_EXHAUSTED"}}
        completions      429 whole {"error":{"code":"insufficient_quota","message":"You exceeded your current quota.","param":null,"type":"insufficient_quota"}}
        ollama           429 whole {"error":"you have reached your weekly usage limit, upgrade for higher limits: https://ollama.com/upgrade"}"#]]).await;
    check("error=context_length_exceeded", expect![[r#"
        openai           400 whole {"error":{"code":"context_length_exceeded","message":"This model's maximum context length is 8192 tokens. However, your messages resulted in 9000 tokens.","param":"messages","type":"invalid_request_error"}}
        openai-responses 400 whole {"error":{"code":"context_length_exceeded","message":"Your input exceeds the context window of this model. Please adjust your input and try again.","param":"input","type":"invalid_request_error"}}
        anthropic        400 whole {"error":{"message":"prompt is too long: 210000 tokens > 200000 maximum","type":"invalid_request_error"},"request_id":"req_sim","type":"error"}
        gemini           400 whole {"error":{"code":400,"details":[],"message":"The input token count (1048577) exceeds the maximum number of tokens allowed (1048576).","status":"INVALID_ARGUMENT"}}
        completions      400 whole {"error":{"code":"context_length_exceeded","message":"This model's maximum context length is 8192 tokens. However, your messages resulted in 9000 tokens.","param":"messages","type":"invalid_request_error"}}
        ollama           400 whole {"error":"prompt too long; exceeded max context length by 808 tokens"}"#]]).await;
    check("error=overloaded_error", expect![[r#"
        openai           529 whole {"error":{"code":null,"message":"The server had an error while processing your request.","param":null,"type":"overloaded_error"}}
        openai-responses 529 whole {"error":{"code":null,"message":"The server had an error while processing your request.","param":null,"type":"overloaded_error"}}
        anthropic        529 whole {"error":{"message":"Overloaded","type":"overloaded_error"},"request_id":"req_sim","type":"error"}
        gemini           503 whole {"error":{"code":503,"details":[],"message":"The model is overloaded. Please try again later.","status":"UNAVAILABLE"}}
        completions      529 whole {"error":{"code":null,"message":"The server had an error while processing your request.","param":null,"type":"overloaded_error"}}
        ollama           529 whole {"error":"server busy, please try again.  maximum pending requests exceeded"}"#]]).await;
    check("hang", expect!["- silent"]).await;
    check("refuse", expect!["- refused"]).await;
    check("blackhole", expect!["- not connected"]).await;
    check("reset", expect!["- reset"]).await;
    check("html", expect!["200 whole a page"]).await;
    check("502 html", expect!["502 whole a page"]).await;
    check("malformed", expect!["200 whole broken JSON"]).await;
}

#[tokio::test]
async fn failures_in_the_middle() {
    check(
        "'One two three four.' cut after=2",
        expect![[r#"
        stream 200 whole "One two"
        whole  200 cut off"#]],
    )
    .await;
    check(
        "'One two three four.' drop after=2",
        expect![[r#"
        stream 200 cut off "One two"
        whole  200 cut off"#]],
    )
    .await;
    check(
        "'One two three four.' reset after=2",
        expect![[r#"
        stream 200 reset "One two"
        whole  200 reset"#]],
    )
    .await;
    check(
        "'One two three four.' stall after=2",
        expect![[r#"
        stream 200 silent "One two"
        whole  200 silent"#]],
    )
    .await;
    check(
        "'One two three four.' malformed after=2",
        expect![[r#"
            stream 200 whole "One two" broken JSON
            whole  200 whole broken JSON"#]],
    )
    .await;
    check("'One two three four.' error=overloaded_error after=2", expect![[r#"
        stream openai           200 whole "One two" {"error":{"code":null,"message":"The server had an error while processing your request.","param":null,"type":"overloaded_error"}}
        stream openai-responses 200 whole "One two" {"error":{"code":null,"message":"The server had an error while processing your request.","param":null,"type":"overloaded_error"},"sequence_number":6,"type":"error"}
        stream anthropic        200 whole "One two" {"error":{"message":"Overloaded","type":"overloaded_error"},"request_id":"req_sim","type":"error"}
        stream gemini           200 whole "One two" {"error":{"code":503,"details":[],"message":"The model is overloaded. Please try again later.","status":"UNAVAILABLE"}}
        stream completions      200 whole "One two" {"error":{"code":null,"message":"The server had an error while processing your request.","param":null,"type":"overloaded_error"}}
        stream ollama           200 whole "One two" {"error":"server busy, please try again.  maximum pending requests exceeded"}
        whole  openai           529 whole {"error":{"code":null,"message":"The server had an error while processing your request.","param":null,"type":"overloaded_error"}}
        whole  openai-responses 529 whole {"error":{"code":null,"message":"The server had an error while processing your request.","param":null,"type":"overloaded_error"}}
        whole  anthropic        529 whole {"error":{"message":"Overloaded","type":"overloaded_error"},"request_id":"req_sim","type":"error"}
        whole  gemini           503 whole {"error":{"code":503,"details":[],"message":"The model is overloaded. Please try again later.","status":"UNAVAILABLE"}}
        whole  completions      529 whole {"error":{"code":null,"message":"The server had an error while processing your request.","param":null,"type":"overloaded_error"}}
        whole  ollama           529 whole {"error":"server busy, please try again.  maximum pending requests exceeded"}"#]]).await;
    check(
        "'One two three four.' notfinished",
        expect![[r#"
        stream 200 whole "One two three four."
        whole  200 cut off"#]],
    )
    .await;
}

#[tokio::test]
async fn bodies_as_they_stand() {
    let providers = start(
        "alpha: 429 raw='{\"error\":\"slow\"}' retry-after-ms=7 then raw='data: one\\n\\n' raw=': two\\r\\n' bytes=64c3a9 \
         then raw='<html>' content-type=text/x-odd then raw=''",
    )
    .await;
    let mut shown = String::new();
    for _ in 0..4 {
        let seen = ask(&providers, "alpha", Kind::OpenAi, true).await;
        let head = seen.head.unwrap().replace('\r', "");
        let head = head.lines().filter(|it| !it.starts_with("cache") && !it.starts_with("transfer"));
        let head = head.collect::<Vec<_>>().join(" ¦ ");
        shown += &format!("{head}\n    {:?} {}\n", seen.body, seen.end);
    }
    expect![[r#"
        HTTP/1.1 429 Too Many Requests ¦ content-type: application/json ¦ retry-after-ms: 7
            "{\"error\":\"slow\"}" whole
        HTTP/1.1 200 OK ¦ content-type: text/event-stream
            "data: one\n\n: two\r\ndé" whole
        HTTP/1.1 200 OK ¦ content-type: text/x-odd
            "<html>" whole
        HTTP/1.1 200 OK ¦ content-type: text/event-stream
            "" whole
    "#]]
    .assert_eq(&shown);
    for (fault, end) in [("cut", "whole"), ("drop", "cut off"), ("reset", "reset"), ("stall", "silent")] {
        let providers = start(&format!("alpha: raw='a' raw='b' {fault} after=1")).await;
        let seen = ask(&providers, "alpha", Kind::OpenAi, true).await;
        assert_eq!((seen.body.as_str(), seen.end), ("a", end), "{fault}");
    }
}

#[tokio::test]
async fn framing() {
    let cast = "alpha: 'Hé.' crlf bom | beta: 'Hé.' cr bytewise | gamma: 'Hé.' gzip";
    let providers = start(cast).await;
    let seen = ask(&providers, "alpha", Kind::OpenAi, true).await;
    assert!(seen.body.starts_with("\u{feff}data: {"), "{}", seen.body);
    assert_eq!(seen.body.matches('\n').count(), seen.body.matches("\r\n").count());
    assert_eq!(seen.body.matches("\r\n\r\n").count(), 5);
    // Read by lines, since a letter of two bytes is in two chunks here.
    let bytes = ask_raw(&providers, "beta").await;
    let ones = bytes.windows(6).filter(|it| it.starts_with(b"1\r\n") && it.ends_with(b"\r\n"));
    assert!(ones.count() > 300);
    assert!(!bytes.windows(6).any(|it| it == b"1\r\n\n\r\n"), "no line ends with LF");
    let seen = ask(&providers, "gamma", Kind::OpenAi, true).await;
    assert!(seen.head.unwrap().contains("\r\ncontent-encoding: gzip"));
    assert!(!seen.body.contains("data:"));
}

/// All that comes until the provider is silent.
async fn ask_raw(providers: &Providers, name: &str) -> Vec<u8> {
    let (path, body) = question(Kind::OpenAi, true);
    let body = body.to_string();
    let mut socket = TcpStream::connect(address(providers, name)).await.unwrap();
    let request = format!("POST {path} HTTP/1.1\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut bytes = Vec::new();
    while let Ok(Ok(1..)) = timeout(SILENCE, socket.read_buf(&mut bytes)).await {
        if bytes.len() > 4_000_000 {
            break;
        }
    }
    bytes
}

#[tokio::test]
async fn comments_keep_a_stream_alive() {
    let providers = start(
        "alpha: 'Hi.' delay=120ms keepalive=20ms | beta: hang keepalive=20ms | gamma: 'One two.' stall after=1 keepalive=20ms",
    )
    .await;
    for (name, text, finished) in [("alpha", "Hi.", true), ("beta", "", false), ("gamma", "One", false)] {
        let (path, body) = question(Kind::OpenAi, true);
        let body = body.to_string();
        let mut socket = TcpStream::connect(address(&providers, name)).await.unwrap();
        let request = format!("POST {path} HTTP/1.1\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        socket.write_all(request.as_bytes()).await.unwrap();
        let mut bytes = Vec::new();
        let read = async {
            while !bytes.ends_with(b"0\r\n\r\n") && socket.read_buf(&mut bytes).await.unwrap() > 0 {}
        };
        let ended = timeout(Duration::from_millis(300), read).await.is_ok();
        let body = String::from_utf8(bytes).unwrap();
        let comments = body.matches(": keep-alive\n\n").count();
        assert!((3..=15).contains(&comments), "{name}: {comments}");
        assert_eq!(ended, finished, "{name}");
        assert_eq!(understood(Kind::OpenAi, &body).0, text, "{name}");
    }
}

#[tokio::test]
async fn what_never_stops_is_told_that_its_client_has_gone() {
    for (what, sight) in [
        ("text", "again and "),
        ("thoughts", "hm, "),
        ("comments", ": keep-alive"),
        ("events", "data:\n\n"),
        ("line", "xxxxxxxx"),
    ] {
        let providers = start(&format!("alpha: endless={what}")).await;
        let bytes = ask_raw(&providers, "alpha").await;
        assert!(bytes.len() > 4_000_000, "{what}: {}", bytes.len());
        assert!(String::from_utf8_lossy(&bytes).contains(sight), "{what}");
        let gone = async {
            while providers.closed_early("alpha").is_empty() {
                sleep(Duration::from_millis(1)).await;
            }
        };
        assert!(timeout(Duration::from_secs(5), gone).await.is_ok(), "{what}");
    }
}

#[tokio::test]
async fn silence_is_also_that_of_the_health_check() {
    let providers = start("alpha: 'Hi.' | beta: close").await;
    providers.set("alpha", "silent").unwrap();
    assert_eq!(ask(&providers, "alpha", Kind::OpenAi, true).await.end, "silent");
    let health = async || {
        let mut socket = TcpStream::connect(address(&providers, "alpha")).await.unwrap();
        exchange(&mut socket, "GET", "/v1/models", "").await.end
    };
    assert_eq!(health().await, "silent");
    providers.heal("alpha").unwrap();
    assert_eq!(health().await, "whole");
    let seen = ask(&providers, "beta", Kind::OpenAi, true).await;
    assert_eq!((seen.status(), seen.end), ("-", "cut off"));
}

#[tokio::test]
async fn the_bytes_of_a_chat_completion() {
    golden(Kind::OpenAi, expect![[r#"
        data: {"choices":[{"delta":{"content":"","refusal":null,"role":"assistant"},"finish_reason":null,"index":0,"logprobs":null}],"created":1763800000,"id":"chatcmpl-alpha-1","model":"m","object":"chat.completion.chunk","system_fingerprint":"fp_sim","usage":null}

        data: {"choices":[{"delta":{"reasoning_content":"Hm."},"finish_reason":null,"index":0,"logprobs":null}],"created":1763800000,"id":"chatcmpl-alpha-1","model":"m","object":"chat.completion.chunk","system_fingerprint":"fp_sim","usage":null}

        data: {"choices":[{"delta":{"content":"Hi"},"finish_reason":null,"index":0,"logprobs":null}],"created":1763800000,"id":"chatcmpl-alpha-1","model":"m","object":"chat.completion.chunk","system_fingerprint":"fp_sim","usage":null}

        data: {"choices":[{"delta":{"content":" Ana."},"finish_reason":null,"index":0,"logprobs":null}],"created":1763800000,"id":"chatcmpl-alpha-1","model":"m","object":"chat.completion.chunk","system_fingerprint":"fp_sim","usage":null}

        data: {"choices":[{"delta":{},"finish_reason":"stop","index":0,"logprobs":null}],"created":1763800000,"id":"chatcmpl-alpha-1","model":"m","object":"chat.completion.chunk","system_fingerprint":"fp_sim","usage":null}

        data: {"choices":[],"created":1763800000,"id":"chatcmpl-alpha-1","model":"m","object":"chat.completion.chunk","system_fingerprint":"fp_sim","usage":{"completion_tokens":3,"prompt_tokens":14,"total_tokens":17}}

        data: [DONE]
    "#]]).await;
}

#[tokio::test]
async fn the_bytes_of_a_message() {
    golden(Kind::Anthropic, expect![[r#"
        event: message_start
        data: {"message":{"content":[],"id":"msg_alpha-1","model":"m","role":"assistant","stop_reason":null,"stop_sequence":null,"type":"message","usage":{"input_tokens":14,"output_tokens":1}},"type":"message_start"}

        event: content_block_start
        data: {"content_block":{"signature":"","thinking":"","type":"thinking"},"index":0,"type":"content_block_start"}

        event: ping
        data: {"type":"ping"}

        event: content_block_delta
        data: {"delta":{"thinking":"Hm.","type":"thinking_delta"},"index":0,"type":"content_block_delta"}

        event: content_block_delta
        data: {"delta":{"signature":"c2ln","type":"signature_delta"},"index":0,"type":"content_block_delta"}

        event: content_block_stop
        data: {"index":0,"type":"content_block_stop"}

        event: content_block_start
        data: {"content_block":{"text":"","type":"text"},"index":1,"type":"content_block_start"}

        event: content_block_delta
        data: {"delta":{"text":"Hi","type":"text_delta"},"index":1,"type":"content_block_delta"}

        event: content_block_delta
        data: {"delta":{"text":" Ana.","type":"text_delta"},"index":1,"type":"content_block_delta"}

        event: content_block_stop
        data: {"index":1,"type":"content_block_stop"}

        event: message_delta
        data: {"delta":{"stop_reason":"end_turn","stop_sequence":null},"type":"message_delta","usage":{"output_tokens":3}}

        event: message_stop
        data: {"type":"message_stop"}
    "#]]).await;
}

#[tokio::test]
async fn the_bytes_of_generated_content() {
    golden(Kind::Gemini, expect![[r#"
        data: {"candidates":[{"content":{"parts":[{"text":"Hm.","thought":true}],"role":"model"},"index":0}],"modelVersion":"m","responseId":"alpha-1","usageMetadata":{"candidatesTokenCount":3,"promptTokenCount":14,"totalTokenCount":17}}␍
        ␍
        data: {"candidates":[{"content":{"parts":[{"text":"Hi"}],"role":"model"},"index":0}],"modelVersion":"m","responseId":"alpha-1","usageMetadata":{"candidatesTokenCount":3,"promptTokenCount":14,"totalTokenCount":17}}␍
        ␍
        data: {"candidates":[{"content":{"parts":[{"text":" Ana."}],"role":"model"},"index":0}],"modelVersion":"m","responseId":"alpha-1","usageMetadata":{"candidatesTokenCount":3,"promptTokenCount":14,"totalTokenCount":17}}␍
        ␍
        data: {"candidates":[{"content":{},"finishReason":"STOP","index":0}],"modelVersion":"m","responseId":"alpha-1","usageMetadata":{"candidatesTokenCount":3,"promptTokenCount":14,"totalTokenCount":17}}␍
        ␍"#]]).await;
}

#[tokio::test]
async fn the_bytes_of_a_completion() {
    golden(Kind::Completions, expect![[r#"
        data: {"choices":[{"finish_reason":null,"index":0,"logprobs":null,"text":"Hi"}],"created":1763800000,"id":"cmpl-alpha-1","model":"m","object":"text_completion","usage":null}

        data: {"choices":[{"finish_reason":null,"index":0,"logprobs":null,"text":" Ana."}],"created":1763800000,"id":"cmpl-alpha-1","model":"m","object":"text_completion","usage":null}

        data: {"choices":[{"finish_reason":"stop","index":0,"logprobs":null,"text":""}],"created":1763800000,"id":"cmpl-alpha-1","model":"m","object":"text_completion","usage":{"completion_tokens":3,"prompt_tokens":10,"total_tokens":13}}

        data: [DONE]
    "#]]).await;
}

#[tokio::test]
async fn the_bytes_of_a_response() {
    golden(Kind::OpenAiResponses, expect![[r#"
        event: response.created
        data: {"response":{"background":false,"created_at":1763800000,"error":null,"id":"resp_alpha-1","incomplete_details":null,"instructions":null,"max_output_tokens":null,"metadata":{},"model":"m","object":"response","output":[],"parallel_tool_calls":true,"previous_response_id":null,"reasoning":{"effort":null,"summary":null},"status":"in_progress","store":true,"temperature":1.0,"text":{"format":{"type":"text"}},"tool_choice":"auto","tools":[],"top_p":1.0,"truncation":"disabled","usage":null},"sequence_number":0,"type":"response.created"}

        event: response.in_progress
        data: {"response":{"background":false,"created_at":1763800000,"error":null,"id":"resp_alpha-1","incomplete_details":null,"instructions":null,"max_output_tokens":null,"metadata":{},"model":"m","object":"response","output":[],"parallel_tool_calls":true,"previous_response_id":null,"reasoning":{"effort":null,"summary":null},"status":"in_progress","store":true,"temperature":1.0,"text":{"format":{"type":"text"}},"tool_choice":"auto","tools":[],"top_p":1.0,"truncation":"disabled","usage":null},"sequence_number":1,"type":"response.in_progress"}

        event: response.output_item.added
        data: {"item":{"id":"rs_alpha-1","summary":[],"type":"reasoning"},"output_index":0,"sequence_number":2,"type":"response.output_item.added"}

        event: response.reasoning_summary_part.added
        data: {"item_id":"rs_alpha-1","output_index":0,"part":{"text":"","type":"summary_text"},"sequence_number":3,"summary_index":0,"type":"response.reasoning_summary_part.added"}

        event: response.reasoning_summary_text.delta
        data: {"delta":"Hm.","item_id":"rs_alpha-1","output_index":0,"sequence_number":4,"summary_index":0,"type":"response.reasoning_summary_text.delta"}

        event: response.reasoning_summary_text.done
        data: {"item_id":"rs_alpha-1","output_index":0,"sequence_number":5,"summary_index":0,"text":"Hm.","type":"response.reasoning_summary_text.done"}

        event: response.reasoning_summary_part.done
        data: {"item_id":"rs_alpha-1","output_index":0,"part":{"text":"Hm.","type":"summary_text"},"sequence_number":6,"summary_index":0,"type":"response.reasoning_summary_part.done"}

        event: response.output_item.done
        data: {"item":{"id":"rs_alpha-1","summary":[{"text":"Hm.","type":"summary_text"}],"type":"reasoning"},"output_index":0,"sequence_number":7,"type":"response.output_item.done"}

        event: response.output_item.added
        data: {"item":{"content":[],"id":"msg_alpha-1","role":"assistant","status":"in_progress","type":"message"},"output_index":1,"sequence_number":8,"type":"response.output_item.added"}

        event: response.content_part.added
        data: {"content_index":0,"item_id":"msg_alpha-1","output_index":1,"part":{"annotations":[],"logprobs":[],"text":"","type":"output_text"},"sequence_number":9,"type":"response.content_part.added"}

        event: response.output_text.delta
        data: {"content_index":0,"delta":"Hi","item_id":"msg_alpha-1","logprobs":[],"output_index":1,"sequence_number":10,"type":"response.output_text.delta"}

        event: response.output_text.delta
        data: {"content_index":0,"delta":" Ana.","item_id":"msg_alpha-1","logprobs":[],"output_index":1,"sequence_number":11,"type":"response.output_text.delta"}

        event: response.output_text.done
        data: {"content_index":0,"item_id":"msg_alpha-1","logprobs":[],"output_index":1,"sequence_number":12,"text":"Hi Ana.","type":"response.output_text.done"}

        event: response.content_part.done
        data: {"content_index":0,"item_id":"msg_alpha-1","output_index":1,"part":{"annotations":[],"logprobs":[],"text":"Hi Ana.","type":"output_text"},"sequence_number":13,"type":"response.content_part.done"}

        event: response.output_item.done
        data: {"item":{"content":[{"annotations":[],"logprobs":[],"text":"Hi Ana.","type":"output_text"}],"id":"msg_alpha-1","role":"assistant","status":"completed","type":"message"},"output_index":1,"sequence_number":14,"type":"response.output_item.done"}

        event: response.completed
        data: {"response":{"background":false,"created_at":1763800000,"error":null,"id":"resp_alpha-1","incomplete_details":null,"instructions":null,"max_output_tokens":null,"metadata":{},"model":"m","object":"response","output":[{"id":"rs_alpha-1","summary":[{"text":"Hm.","type":"summary_text"}],"type":"reasoning"},{"content":[{"annotations":[],"logprobs":[],"text":"Hi Ana.","type":"output_text"}],"id":"msg_alpha-1","role":"assistant","status":"completed","type":"message"}],"parallel_tool_calls":true,"previous_response_id":null,"reasoning":{"effort":null,"summary":null},"status":"completed","store":true,"temperature":1.0,"text":{"format":{"type":"text"}},"tool_choice":"auto","tools":[],"top_p":1.0,"truncation":"disabled","usage":{"input_tokens":14,"input_tokens_details":{"cached_tokens":0},"output_tokens":3,"output_tokens_details":{"reasoning_tokens":1},"total_tokens":17}},"sequence_number":15,"type":"response.completed"}
    "#]]).await;
}

#[tokio::test]
async fn the_bytes_of_a_chat_in_lines() {
    golden(Kind::Ollama, expect![[r#"
        {"created_at":"2025-11-22T08:26:40.123456789Z","done":false,"message":{"content":"","role":"assistant","thinking":"Hm."},"model":"m"}
        {"created_at":"2025-11-22T08:26:40.123456789Z","done":false,"message":{"content":"Hi","role":"assistant"},"model":"m"}
        {"created_at":"2025-11-22T08:26:40.123456789Z","done":false,"message":{"content":" Ana.","role":"assistant"},"model":"m"}
        {"created_at":"2025-11-22T08:26:40.123456789Z","done":true,"done_reason":"stop","eval_count":3,"eval_duration":60000000,"load_duration":1000000,"message":{"content":"","role":"assistant"},"model":"m","prompt_eval_count":14,"prompt_eval_duration":280000000,"total_duration":340000000}"#]]).await;
}

#[tokio::test]
async fn the_whole_answers_of_the_newer_dialects() {
    async fn whole(kind: Kind) -> String {
        let cast = format!("alpha: kind={kind} 'Hi Ana.' reasoning='Hm.' finish=length");
        let seen = ask(&start(&cast).await, "alpha", kind, false).await;
        steady(&serde_json::from_str(&seen.body).unwrap())
    }
    expect![[r#"{"background":false,"created_at":1763800000,"error":null,"id":"resp_alpha-1","incomplete_details":{"reason":"max_output_tokens"},"instructions":null,"max_output_tokens":null,"metadata":{},"model":"m","object":"response","output":[{"id":"rs_alpha-1","summary":[{"text":"Hm.","type":"summary_text"}],"type":"reasoning"},{"content":[{"annotations":[],"logprobs":[],"text":"Hi Ana.","type":"output_text"}],"id":"msg_alpha-1","role":"assistant","status":"incomplete","type":"message"}],"parallel_tool_calls":true,"previous_response_id":null,"reasoning":{"effort":null,"summary":null},"status":"incomplete","store":true,"temperature":1.0,"text":{"format":{"type":"text"}},"tool_choice":"auto","tools":[],"top_p":1.0,"truncation":"disabled","usage":{"input_tokens":14,"input_tokens_details":{"cached_tokens":0},"output_tokens":3,"output_tokens_details":{"reasoning_tokens":1},"total_tokens":17}}"#]].assert_eq(&whole(Kind::OpenAiResponses).await);
    expect![[r#"{"created_at":"2025-11-22T08:26:40.123456789Z","done":true,"done_reason":"length","eval_count":3,"eval_duration":60000000,"load_duration":1000000,"message":{"content":"Hi Ana.","role":"assistant","thinking":"Hm."},"model":"m","prompt_eval_count":14,"prompt_eval_duration":280000000,"total_duration":340000000}"#]].assert_eq(&whole(Kind::Ollama).await);
}

#[tokio::test]
async fn a_response_ends_in_the_words_for_why() {
    let mut shown = String::new();
    for how in
        ["'Hi.' finish=length", "'Hi.' finish=content_filter", "'Hi.' error=server_is_overloaded after=1"]
    {
        let providers = start(&format!("alpha: kind=openai-responses {how}")).await;
        let seen = ask(&providers, "alpha", Kind::OpenAiResponses, true).await;
        let events = seen.body.split("\n\n").filter(|it| !it.is_empty());
        let events: Vec<_> = events.map(|it| it.split_once("\ndata: ").unwrap()).collect();
        let numbers = events.iter().map(|(_, data)| serde_json::from_str::<Value>(data).unwrap());
        let numbers: Vec<_> = numbers.map(|it| it["sequence_number"].as_u64().unwrap()).collect();
        assert!(numbers.iter().copied().eq(0..numbers.len() as u64), "{how}: {numbers:?}");
        let (name, data) = events.last().unwrap();
        let last = &serde_json::from_str::<Value>(data).unwrap()["response"];
        let why = [&last["status"], &last["incomplete_details"], &last["error"]].map(steady).join(" ");
        shown += &format!("{name} {why}\n");
    }
    expect![[r#"
        event: response.incomplete "incomplete" {"reason":"max_output_tokens"} null
        event: response.incomplete "incomplete" {"reason":"content_filter"} null
        event: response.failed "failed" null {"code":"server_is_overloaded","message":"Our servers are currently overloaded. Please try again later."}
    "#]].assert_eq(&shown);
}

/// Words about frames mean in lines what is nearest to them.
#[tokio::test]
async fn lines_have_frames_of_their_own() {
    let cast = "alpha: kind=ollama 'Hé.' crlf bom | beta: kind=ollama 'Hi.' delay=90ms keepalive=20ms \
                | gamma: kind=ollama endless=events | delta: kind=ollama endless=line | eps: kind=ollama raw='{\"done\":true}\\n'";
    let providers = start(cast).await;
    let mut shown = String::new();
    for name in ["alpha", "beta", "eps"] {
        let seen = ask(&providers, name, Kind::Ollama, true).await;
        let head = seen.head.unwrap();
        let kind = head.lines().find(|line| line.starts_with("content-type")).unwrap().to_owned();
        let empty = seen.body.lines().filter(|line| line.is_empty()).count();
        // How many lines keep it alive depends on the machine.
        let crlf = seen.body.matches("\r\n").count() == seen.body.matches('\n').count();
        let bom = seen.body.starts_with('\u{feff}');
        shown += &format!("{name} {kind} bom {bom} crlf {crlf} some empty {} {}\n", empty > 1, seen.end);
    }
    expect![[r#"
        alpha content-type: application/x-ndjson bom true crlf true some empty false whole
        beta content-type: application/x-ndjson bom false crlf false some empty true whole
        eps content-type: application/x-ndjson bom false crlf false some empty false whole
    "#]]
    .assert_eq(&shown);
    for (name, sight) in [("gamma", "{}\n"), ("delta", "\"content\":\"\r\n400\r\nxxxx")] {
        let body = question(Kind::Ollama, true).1.to_string();
        let mut socket = TcpStream::connect(address(&providers, name)).await.unwrap();
        let request = format!("POST /api/chat HTTP/1.1\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        socket.write_all(request.as_bytes()).await.unwrap();
        let mut bytes = Vec::new();
        while bytes.len() < 10_000 {
            assert!(socket.read_buf(&mut bytes).await.unwrap() > 0);
        }
        assert!(String::from_utf8_lossy(&bytes).contains(sight), "{name}");
    }
    for wrong in ["'Hi.' cr", "'Hi.' finish=content_filter"] {
        assert!(Cast::parse(&format!("alpha: kind=ollama {wrong}")).is_err(), "{wrong}");
        assert!(providers.set("alpha", wrong).is_err(), "{wrong}");
    }
}

#[tokio::test]
async fn headers_are_sent_but_where_the_vendor_has_none() {
    let providers = start(
        "alpha: 429 retry-after=30 x-ratelimit-remaining-tokens=0 | beta: kind=gemini 429 retry-after=30",
    )
    .await;
    let seen = ask(&providers, "alpha", Kind::OpenAi, true).await;
    expect![[r#"
        HTTP/1.1 429 Too Many Requests
        content-type: application/json
        content-length: 116
        retry-after: 30
        x-ratelimit-remaining-tokens: 0"#]]
    .assert_eq(&seen.head.unwrap().replace('\r', ""));
    let seen = ask(&providers, "beta", Kind::Gemini, true).await;
    assert!(!seen.head.unwrap().contains("retry-after"));
    assert!(seen.body.contains(r#""retryDelay":"30s""#), "{}", seen.body);
}

#[tokio::test]
async fn successive_calls_and_keep_alive() {
    let providers = start("alpha: 500 then 'One.' then 'Two.'").await;
    let mut socket = TcpStream::connect(address(&providers, "alpha")).await.unwrap();
    let (path, body) = question(Kind::OpenAi, true);
    let mut texts = Vec::new();
    for _ in 0..4 {
        let seen = exchange(&mut socket, "POST", path, &body.to_string()).await;
        texts.push(format!("{} {}", seen.status(), understood(Kind::OpenAi, &seen.body).0));
    }
    assert_eq!(texts, ["500 ", "200 One.", "200 Two.", "200 Two."]);
    assert_eq!(providers.calls("alpha").len(), 4);
    providers.heal("alpha").unwrap();
    let seen = exchange(&mut socket, "POST", path, &body.to_string()).await;
    assert_eq!(seen.status(), "500", "healed is: from the first call on");
    assert_eq!(providers.calls("alpha")[0].body["messages"][0]["role"], "user");
    assert_eq!(providers.calls("alpha")[0].header("host"), Some("sim"));
    assert!(providers.closed_early("alpha").is_empty());
}

#[tokio::test]
async fn a_provider_is_broken_and_healed_while_it_runs() {
    let providers = start("alpha: 'Hello.' | beta: echo").await;
    let text = async |seen: Seen| format!("{} {}", seen.end, understood(Kind::OpenAi, &seen.body).0);
    let call = async || text(ask(&providers, "alpha", Kind::OpenAi, true).await).await;
    assert_eq!(call().await, "whole Hello.");
    for _ in 0..3 {
        providers.set("alpha", "refuse").unwrap();
        assert_eq!(call().await, "refused ");
        providers.set("alpha", "blackhole").unwrap();
        assert_eq!(call().await, "not connected ");
        providers.heal("alpha").unwrap();
        assert_eq!(call().await, "whole Hello.");
    }
    providers.set("alpha", "'Bye.' then refuse").unwrap();
    assert_eq!(call().await, "whole Bye.");
    while providers.open_streams("alpha") > 0 {
        sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(call().await, "refused ");
    assert_eq!(
        providers.set("gamma", "500").unwrap_err(),
        "there is no provider `gamma`: there are alpha, beta"
    );
    assert!(providers.set("alpha", "oops").is_err());
}

#[tokio::test]
async fn an_idle_connection_ends_when_the_door_closes() {
    let providers = start("alpha: 'Hello.'").await;
    let mut socket = TcpStream::connect(address(&providers, "alpha")).await.unwrap();
    let (path, body) = question(Kind::OpenAi, true);
    assert_eq!(exchange(&mut socket, "POST", path, &body.to_string()).await.end, "whole");
    providers.set("alpha", "refuse").unwrap();
    let end = timeout(Duration::from_secs(1), socket.read(&mut [0; 16])).await.unwrap();
    assert!(!matches!(end, Ok(1..)), "{end:?}");
}

#[tokio::test]
async fn a_client_that_hangs_up_is_noticed() {
    for behaviour in
        ["hang", "'a b c d e f g h' pace=40ms", "'a b' stall after=1", "'a' delay=5s", "'a b' drip=40ms"]
    {
        let providers = start(&format!("alpha: {behaviour}")).await;
        let mut socket = TcpStream::connect(address(&providers, "alpha")).await.unwrap();
        let (path, body) = question(Kind::OpenAi, true);
        let body = body.to_string();
        let request = format!("POST {path} HTTP/1.1\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        socket.write_all(request.as_bytes()).await.unwrap();
        sleep(Duration::from_millis(30)).await;
        assert_eq!(providers.open_streams("alpha"), 1, "{behaviour}");
        drop(socket);
        sleep(Duration::from_millis(30)).await;
        assert_eq!(providers.open_streams("alpha"), 0, "{behaviour}");
        let [hung_up] = providers.closed_early("alpha")[..] else { panic!("not noticed: {behaviour}") };
        assert!((20..200).contains(&hung_up.after.as_millis()), "{behaviour} {hung_up:?}");
    }
}

#[tokio::test]
async fn health_is_a_switch_of_its_own() {
    for kind in Kind::ALL {
        let providers = start(&format!("alpha: kind={kind} 500")).await;
        let path = match kind {
            Kind::Completions => "/health",
            Kind::Ollama => "/api/tags",
            _ => "/v1/models",
        };
        let mut socket = TcpStream::connect(address(&providers, "alpha")).await.unwrap();
        assert_eq!(exchange(&mut socket, "GET", path, "").await.status(), "200");
        providers.health("alpha", false).unwrap();
        assert_eq!(exchange(&mut socket, "GET", path, "").await.status(), "503");
        assert_eq!(exchange(&mut socket, "GET", "/nowhere", "").await.status(), "404");
        assert!(providers.calls("alpha").is_empty());
    }
}

#[tokio::test]
async fn hold_waits_until_the_text_is_seen() {
    let (tell, told) = tokio::sync::watch::channel(String::new());
    let hooks = Hooks {
        shown: Arc::new(move |text| {
            tell.send_replace(text);
            Box::pin(sleep(Duration::from_millis(80)))
        }),
    };
    let cast = Cast::parse("alpha: 'One two three' cut after=2 hold").unwrap();
    let providers = Providers::start(&cast, hooks).await.unwrap();
    let seen = ask(&providers, "alpha", Kind::OpenAi, true).await;
    assert_eq!(understood(Kind::OpenAi, &seen.body), ("One two".into(), false));
    assert_eq!(*told.borrow(), "One two");
    assert!(providers.calls("alpha")[0].at.elapsed() >= Duration::from_millis(80));
}

#[tokio::test]
async fn the_servers_end_with_the_last_handle() {
    let providers = start("alpha: hang").await;
    let address = address(&providers, "alpha");
    let other = providers.clone();
    drop(providers);
    assert!(TcpStream::connect(&address).await.is_ok());
    drop(other);
    sleep(Duration::from_millis(20)).await;
    assert!(TcpStream::connect(&address).await.is_err());
}
