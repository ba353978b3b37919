//! The router API over real sockets, with scripted providers behind it: what a program is answered, byte by byte where it matters.

use crate::harness::{key_variable, provider_table};
use expect_test::{Expect, expect};
use neverdark::{
    app::{App, Failure, Rooms},
    config::{self, Env},
};
use proptest::prelude::*;
use reqwest::{Client, Response, StatusCode};
use serde_json::{Value, json};
use sim::providers::{Cast, Hooks, Providers};
use std::{fmt::Write, net::SocketAddr, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinHandle,
    time::{Instant, sleep, timeout},
};
use tokio_util::sync::CancellationToken;

/// No test waits longer for anything.
const PATIENCE: Duration = Duration::from_secs(20);
/// A caller that hangs up has its provider hung up on within this time: 100 ms are promised, and the machine may be busy.
const HUNG_UP_WITHIN: Duration = Duration::from_millis(250);

/// A running API.
pub(crate) struct Desk {
    pub(crate) providers: Providers,
    address: SocketAddr,
    client: Client,
    rooms: Rooms,
    stop: CancellationToken,
    served: JoinHandle<Result<(), Failure>>,
    folder: tempfile::TempDir,
}

impl Desk {
    /// With these providers, such as `alpha: 'Hello.' | beta: 500`, and these settings over the usual ones.
    pub(crate) async fn open(cast: &str, settings: &str, env: &[(&'static str, &str)]) -> Self {
        let cast = Cast::parse(cast).expect("the cast can be read");
        let providers = Providers::start(&cast, Hooks::default()).await.expect("ports are free");
        let folder = tempfile::tempdir().unwrap();
        let mut file = format!(
            "[discord]\nenabled = false\n[status]\nlisten = \"off\"\n[store]\nurl = \"sqlite://{}\"\n",
            folder.path().join("test.db").display()
        );
        let roles = providers.roles();
        for (place, role) in roles.iter().enumerate() {
            file += &provider_table(place, role);
        }
        let usual =
            "[router]\nstrategy = \"priority\"\nattempts_per_provider = 1\n[api]\nlisten = \"127.0.0.1:0\"\n";
        let path = folder.path().join("test.toml");
        std::fs::write(&path, format!("{usual}{settings}\n{file}")).unwrap();
        let keys = roles.into_iter().enumerate();
        let keys = keys.filter_map(|(place, role)| Some((key_variable(place), role.key?)));
        let env = env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let env: Env = keys.chain(env).collect();
        let loaded = config::load(Some(&path), &env).unwrap_or_else(|problems| panic!("{problems}"));
        let app = App::build(loaded.config, &env, fastrand::Rng::with_seed(7)).await.unwrap();
        let (rooms, stop) = (app.rooms.clone(), CancellationToken::new());
        let address = app.api_address().unwrap();
        #[expect(
            clippy::disallowed_methods,
            reason = "`close` waits for it, or it ends with the test's runtime"
        )]
        let served = tokio::spawn(app.run(stop.clone().cancelled_owned()));
        let client = Client::builder().no_proxy().timeout(PATIENCE).build().unwrap();
        Self { providers, address, client, rooms, stop, served, folder }
    }

    /// As [`Desk::open`] with nothing said.
    pub(crate) async fn with(cast: &str) -> Self {
        Self::open(cast, "", &[]).await
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(crate) async fn post(&self, body: &Value) -> Response {
        self.client.post(self.url("/v1/chat/completions")).json(body).send().await.expect("an answer")
    }

    /// Who was asked and how it went, in the order of the ledger.
    pub(crate) async fn ledger(&self) -> String {
        self.rooms.ledger.flush().await;
        self.rows().await
    }

    /// What the database has of it.
    async fn rows(&self) -> String {
        let database = format!("sqlite://{}", self.folder.path().join("test.db").display());
        let pool = sqlx::SqlitePool::connect(&database).await.unwrap();
        let rows: Vec<(String, String, Option<String>)> =
            sqlx::query_as("SELECT provider, outcome, failure FROM attempts ORDER BY id")
                .fetch_all(&pool)
                .await
                .unwrap();
        pool.close().await;
        let row = |(provider, outcome, failure): &(String, String, Option<String>)| {
            format!(
                "{provider} {outcome}{}",
                failure.as_ref().map(|it| format!(": {it}")).unwrap_or_default()
            )
        };
        rows.iter().map(row).collect::<Vec<_>>().join(" · ")
    }

    /// Waits until the ledger says so.
    async fn ledger_is(&self, expected: &str) {
        let began = Instant::now();
        while self.ledger().await != expected {
            assert!(began.elapsed() < PATIENCE, "the ledger says: {}", self.ledger().await);
            sleep(Duration::from_millis(5)).await;
        }
    }

    /// Stops the service as SIGTERM does, and waits for its end.
    async fn stopped(&mut self) {
        self.stop.cancel();
        let served = timeout(PATIENCE, &mut self.served).await;
        served.expect("it stops").expect("no panic").expect("it ends well");
    }

    pub(crate) async fn close(mut self) {
        self.stopped().await;
    }
}

/// A question, with these parameters over it.
pub(crate) fn asking(over: Value) -> Value {
    let mut body = json!({"model": "auto", "messages": [{"role": "user", "content": "hi"}]});
    let Value::Object(over) = over else { panic!("an object") };
    body.as_object_mut().unwrap().extend(over);
    body
}

/// What does not differ from run to run: without ids, times and the turn.
fn same_each_time(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("\"id\":\"chatcmpl-") {
        write!(out, "{before}\"id\":\"chatcmpl-…").unwrap();
        let after = &after[10..];
        let (between, after) = after.split_once("\"created\":").unwrap();
        write!(out, "{between}\"created\":…").unwrap();
        rest = after.trim_start_matches(|it: char| it.is_ascii_digit());
    }
    out + rest
}

/// An answer as people may read it: the status, our headers, the body; and how it ended, if not well.
pub(crate) async fn shown(mut response: Response) -> String {
    let mut out = format!("{}\n", response.status().as_u16());
    for name in ["content-type", "retry-after", "allow", "www-authenticate", "x-neverdark-provider"] {
        if let Some(value) = response.headers().get(name) {
            writeln!(out, "{name}: {}", value.to_str().unwrap()).unwrap();
        }
    }
    let mut body = Vec::new();
    let end = loop {
        match response.chunk().await {
            Ok(Some(chunk)) => body.extend_from_slice(&chunk),
            Ok(None) => break "",
            Err(_) => break "(cut off)",
        }
    };
    out + &same_each_time(&String::from_utf8(body).unwrap()) + end
}

/// Asks once, and compares the answer and the ledger.
async fn check(cast: &str, over: Value, expected: Expect) {
    let desk = Desk::with(cast).await;
    let answer = shown(desk.post(&asking(over)).await).await;
    expected.assert_eq(&format!("{}\n{}\n", answer.trim_end(), desk.ledger().await));
    desk.close().await;
}

#[tokio::test]
async fn a_whole_answer() {
    check("alpha: 'Hello, Ana.'", json!({}), expect![[r#"
        200
        content-type: application/json
        x-neverdark-provider: alpha
        {"id":"chatcmpl-…","object":"chat.completion","created":…,"model":"alpha-1","choices":[{"index":0,"message":{"role":"assistant","content":"Hello, Ana.","refusal":null},"logprobs":null,"finish_reason":"stop"}],"usage":{"prompt_tokens":9,"completion_tokens":3,"total_tokens":12}}
        alpha answered
    "#]]).await;
    check("alpha: 'Too long' finish=length", json!({}), expect![[r#"
        200
        content-type: application/json
        x-neverdark-provider: alpha
        {"id":"chatcmpl-…","object":"chat.completion","created":…,"model":"alpha-1","choices":[{"index":0,"message":{"role":"assistant","content":"Too long","refusal":null},"logprobs":null,"finish_reason":"length"}],"usage":{"prompt_tokens":9,"completion_tokens":2,"total_tokens":11}}
        alpha answered
    "#]]).await;
}

#[tokio::test]
async fn a_stream() {
    check("alpha: 'Hello, Ana.'", json!({"stream": true}), expect![[r#"
        200
        content-type: text/event-stream; charset=utf-8
        x-neverdark-provider: alpha
        data: {"id":"chatcmpl-…","object":"chat.completion.chunk","created":…,"model":"alpha-1","choices":[{"index":0,"delta":{"role":"assistant","content":"Hello,"},"finish_reason":null}]}

        data: {"id":"chatcmpl-…","object":"chat.completion.chunk","created":…,"model":"alpha-1","choices":[{"index":0,"delta":{"content":" Ana."},"finish_reason":null}]}

        data: {"id":"chatcmpl-…","object":"chat.completion.chunk","created":…,"model":"alpha-1","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}

        data: [DONE]
        alpha answered
    "#]]).await;
    let counted = json!({"stream": true, "stream_options": {"include_usage": true}});
    check("alpha: 'Hello.'", counted, expect![[r#"
        200
        content-type: text/event-stream; charset=utf-8
        x-neverdark-provider: alpha
        data: {"id":"chatcmpl-…","object":"chat.completion.chunk","created":…,"model":"alpha-1","choices":[{"index":0,"delta":{"role":"assistant","content":"Hello."},"finish_reason":null}],"usage":null}

        data: {"id":"chatcmpl-…","object":"chat.completion.chunk","created":…,"model":"alpha-1","choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"usage":null}

        data: {"id":"chatcmpl-…","object":"chat.completion.chunk","created":…,"model":"alpha-1","choices":[],"usage":{"prompt_tokens":9,"completion_tokens":2,"total_tokens":11}}

        data: [DONE]
        alpha answered
    "#]]).await;
}

#[tokio::test]
async fn a_failure_before_the_first_text_is_not_seen() {
    check("alpha: 500 | beta: 'Hello.'", json!({}), expect![[r#"
        200
        content-type: application/json
        x-neverdark-provider: beta
        {"id":"chatcmpl-…","object":"chat.completion","created":…,"model":"beta-1","choices":[{"index":0,"message":{"role":"assistant","content":"Hello.","refusal":null},"logprobs":null,"finish_reason":"stop"}],"usage":{"prompt_tokens":9,"completion_tokens":2,"total_tokens":11}}
        alpha failed: server_error · beta answered
    "#]]).await;
    check("alpha: 429 retry-after=30 | beta: 'Hello.'", json!({"stream": true}), expect![[r#"
        200
        content-type: text/event-stream; charset=utf-8
        x-neverdark-provider: beta
        data: {"id":"chatcmpl-…","object":"chat.completion.chunk","created":…,"model":"beta-1","choices":[{"index":0,"delta":{"role":"assistant","content":"Hello."},"finish_reason":null}]}

        data: {"id":"chatcmpl-…","object":"chat.completion.chunk","created":…,"model":"beta-1","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}

        data: [DONE]
        alpha failed: rate_limited · beta answered
    "#]]).await;
}

#[tokio::test]
async fn a_break_is_mended_where_nobody_can_see_it() {
    let broken = "alpha: 'One two three four' cut after=2 |";
    let cast = format!("{broken} beta: 'One two and that is all.'");
    check(&cast, json!({"stream": true}), expect![[r#"
        200
        content-type: text/event-stream; charset=utf-8
        x-neverdark-provider: alpha
        data: {"id":"chatcmpl-…","object":"chat.completion.chunk","created":…,"model":"alpha-1","choices":[{"index":0,"delta":{"role":"assistant","content":"One"},"finish_reason":null}]}

        data: {"id":"chatcmpl-…","object":"chat.completion.chunk","created":…,"model":"alpha-1","choices":[{"index":0,"delta":{"content":" two"},"finish_reason":null}]}

        data: {"id":"chatcmpl-…","object":"chat.completion.chunk","created":…,"model":"beta-1","choices":[{"index":0,"delta":{"content":" and"},"finish_reason":null}]}

        data: {"id":"chatcmpl-…","object":"chat.completion.chunk","created":…,"model":"beta-1","choices":[{"index":0,"delta":{"content":" that"},"finish_reason":null}]}

        data: {"id":"chatcmpl-…","object":"chat.completion.chunk","created":…,"model":"beta-1","choices":[{"index":0,"delta":{"content":" is"},"finish_reason":null}]}

        data: {"id":"chatcmpl-…","object":"chat.completion.chunk","created":…,"model":"beta-1","choices":[{"index":0,"delta":{"content":" all."},"finish_reason":null}]}

        data: {"id":"chatcmpl-…","object":"chat.completion.chunk","created":…,"model":"beta-1","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}

        data: [DONE]
        alpha failed: broken_stream · beta answered
    "#]]).await;
    // Gathered first, so that any answer will do.
    check(&format!("{broken} beta: 'Good day.'"), json!({}), expect![[r#"
        200
        content-type: application/json
        x-neverdark-provider: beta
        {"id":"chatcmpl-…","object":"chat.completion","created":…,"model":"beta-1","choices":[{"index":0,"message":{"role":"assistant","content":"Good day.","refusal":null},"logprobs":null,"finish_reason":"stop"}],"usage":{"prompt_tokens":9,"completion_tokens":3,"total_tokens":12}}
        alpha failed: broken_stream · beta answered
    "#]]).await;
}

#[tokio::test]
async fn a_break_that_can_be_seen_is_an_error_and_no_clean_end() {
    let broken = "alpha: 'One two three four' cut after=2";
    check(
        &format!("{broken} | beta: pace=20ms 'Oh! Good day to you all'"),
        json!({"stream": true}),
        expect![[r#"
            200
            content-type: text/event-stream; charset=utf-8
            x-neverdark-provider: alpha
            data: {"id":"chatcmpl-…","object":"chat.completion.chunk","created":…,"model":"alpha-1","choices":[{"index":0,"delta":{"role":"assistant","content":"One"},"finish_reason":null}]}

            data: {"id":"chatcmpl-…","object":"chat.completion.chunk","created":…,"model":"alpha-1","choices":[{"index":0,"delta":{"content":" two"},"finish_reason":null}]}

            data: {"error":{"message":"The answer broke off, and no provider could go on with it. What was sent is not a whole answer.","type":"server_error","param":null,"code":"stream_broken"}}

            (cut off)
            alpha failed: broken_stream · beta cancelled
        "#]],
    )
    .await;
    check(broken, json!({"stream": true}), expect![[r#"
        200
        content-type: text/event-stream; charset=utf-8
        x-neverdark-provider: alpha
        data: {"id":"chatcmpl-…","object":"chat.completion.chunk","created":…,"model":"alpha-1","choices":[{"index":0,"delta":{"role":"assistant","content":"One"},"finish_reason":null}]}

        data: {"id":"chatcmpl-…","object":"chat.completion.chunk","created":…,"model":"alpha-1","choices":[{"index":0,"delta":{"content":" two"},"finish_reason":null}]}

        data: {"error":{"message":"The answer broke off, and no provider could go on with it. What was sent is not a whole answer.","type":"server_error","param":null,"code":"stream_broken"}}

        (cut off)
        alpha failed: broken_stream
    "#]]).await;
    check(broken, json!({}), expect![[r#"
        503
        content-type: application/json
        {"error":{"message":"Every provider failed (alpha: broken_stream).","type":"server_error","param":null,"code":"all_providers_failed"}}
        alpha failed: broken_stream
    "#]]).await;
}

#[tokio::test]
async fn every_provider_failed() {
    check("alpha: 500 | beta: html", json!({"model": "beta"}), expect![[r#"
        503
        content-type: application/json
        {"error":{"message":"Every provider failed (beta: malformed, alpha: server_error).","type":"server_error","param":null,"code":"all_providers_failed"}}
        beta failed: malformed · alpha failed: server_error
    "#]]).await;
}

#[tokio::test]
async fn when_to_come_again() {
    let desk = Desk::with("alpha: 429 retry-after=29.9 | beta: 429 retry-after=60").await;
    expect![[r#"
        503
        content-type: application/json
        retry-after: 30
        {"error":{"message":"Every provider failed (alpha: rate_limited, beta: rate_limited).","type":"server_error","param":null,"code":"all_providers_failed"}}"#]].assert_eq(&shown(desk.post(&asking(json!({"stream": true}))).await).await);
    // Now both rest, and nobody is asked.
    let again = desk.post(&asking(json!({}))).await;
    assert_eq!(again.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(["30", "29", "28"].iter().any(|it| again.headers()["retry-after"] == it));
    assert_eq!(desk.providers.calls("alpha").len(), 1);
}

#[tokio::test]
async fn the_callers_own_faults() {
    check("alpha: 400 | beta: 400 | gamma: 'Hello.'", json!({}), expect![[r#"
        400
        content-type: application/json
        {"error":{"message":"Every provider that was asked refused the request (alpha: bad_request, beta: bad_request).","type":"invalid_request_error","param":null,"code":"bad_request"}}
        alpha failed: bad_request · beta failed: bad_request
    "#]]).await;
    check("alpha: error=context_length_exceeded", json!({"stream": true}), expect![[r#"
        400
        content-type: application/json
        {"error":{"message":"The messages are longer than the context of every model that was asked (alpha: context_too_long).","type":"invalid_request_error","param":"messages","code":"context_length_exceeded"}}
        alpha failed: context_too_long
    "#]]).await;
    check("alpha: 'No.' finish=content_filter", json!({}), expect![[r#"
        200
        content-type: application/json
        x-neverdark-provider: alpha
        {"id":"chatcmpl-…","object":"chat.completion","created":…,"model":"alpha-1","choices":[{"index":0,"message":{"role":"assistant","content":"No.","refusal":null},"logprobs":null,"finish_reason":"content_filter"}],"usage":{"prompt_tokens":9,"completion_tokens":1,"total_tokens":10}}
        alpha failed: content_filtered
    "#]]).await;
    check("alpha: error=content_filter", json!({"stream": true}), expect![[r#"
        200
        content-type: text/event-stream; charset=utf-8
        x-neverdark-provider: alpha
        data: {"id":"chatcmpl-…","object":"chat.completion.chunk","created":…,"model":"alpha","choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}]}

        data: {"id":"chatcmpl-…","object":"chat.completion.chunk","created":…,"model":"alpha","choices":[{"index":0,"delta":{},"finish_reason":"content_filter"}]}

        data: [DONE]
        alpha failed: content_filtered
    "#]]).await;
}

#[tokio::test]
async fn whom_to_ask() {
    let desk = Desk::with("alpha: 'I am alpha.' | beta: 'I am beta.' | gamma: 500").await;
    let who = async |model: &str, strict: &str| {
        let request = desk.client.post(desk.url("/v1/chat/completions")).header("x-neverdark-strict", strict);
        let answer = request.json(&asking(json!({"model": model}))).send().await.unwrap();
        let provider = answer.headers().get("x-neverdark-provider").map(|it| it.to_str().unwrap().to_owned());
        format!("{} {}", answer.status().as_u16(), provider.unwrap_or_default())
    };
    assert_eq!(who("auto", "false").await, "200 alpha");
    assert_eq!(who("auto", "true").await, "200 alpha");
    assert_eq!(who("beta", "false").await, "200 beta");
    assert_eq!(who("gamma", "false").await, "200 alpha");
    assert_eq!(who("gamma,beta", "false").await, "200 beta");
    assert_eq!(who("gamma,beta", "TRUE").await, "200 beta");
    assert_eq!(who("gamma", "true").await, "503 ");
    assert_eq!(who("delta", "false").await, "404 ");
    assert_eq!(who("auto", "maybe").await, "400 ");
}

#[tokio::test]
async fn the_list_of_models() {
    let desk = Desk::with("alpha: 'Hi.' | beta: model=gpt 'Hi.'").await;
    let get = async |path: &str| shown(desk.client.get(desk.url(path)).send().await.unwrap()).await;
    expect![[r#"
        200
        content-type: application/json
        {"object":"list","data":[{"id":"auto","object":"model","created":0,"owned_by":"neverdark"},{"id":"alpha","object":"model","created":0,"owned_by":"alpha-1"},{"id":"beta","object":"model","created":0,"owned_by":"gpt"}]}"#]].assert_eq(&get("/v1/models").await);
    expect![[r#"
        200
        content-type: application/json
        {"id":"beta","object":"model","created":0,"owned_by":"gpt"}"#]]
    .assert_eq(&get("/v1/models/beta").await);
    expect![[r#"
        404
        content-type: application/json
        {"error":{"message":"The model 'gamma' does not exist: use 'auto', a provider's name, or names separated by commas. GET /v1/models lists them.","type":"invalid_request_error","param":"model","code":"model_not_found"}}"#]].assert_eq(&get("/v1/models/gamma").await);
}

#[tokio::test]
async fn requests_that_are_none() {
    let desk = Desk::with("alpha: 'Hi.'").await;
    let sent = async |method: &str, path: &str, body: &'static str| {
        let method = method.parse().unwrap();
        shown(desk.client.request(method, desk.url(path)).body(body).send().await.unwrap()).await
    };
    expect![[r#"
        400
        content-type: application/json
        {"error":{"message":"The body of the request is not JSON: see line 1, column 1.","type":"invalid_request_error","param":null,"code":"invalid_json"}}"#]].assert_eq(&sent("POST", "/v1/chat/completions", "{").await);
    expect![[r#"
        400
        content-type: application/json
        {"error":{"message":"Missing required parameter: 'model'.","type":"invalid_request_error","param":"model","code":"missing_required_parameter"}}"#]].assert_eq(&sent("POST", "/v1/chat/completions", "{}").await);
    expect![[r#"
        405
        content-type: application/json
        allow: POST
        {"error":{"message":"This URL is for POST only.","type":"invalid_request_error","param":null,"code":"method_not_allowed"}}"#]].assert_eq(&sent("GET", "/v1/chat/completions", "").await);
    expect![[r#"
        405
        content-type: application/json
        allow: GET
        {"error":{"message":"This URL is for GET only.","type":"invalid_request_error","param":null,"code":"method_not_allowed"}}"#]].assert_eq(&sent("DELETE", "/v1/models/alpha", "").await);
    expect![[r#"
        404
        content-type: application/json
        {"error":{"message":"There is no such URL. There are POST /v1/chat/completions and GET /v1/models.","type":"invalid_request_error","param":null,"code":"unknown_url"}}"#]].assert_eq(&sent("POST", "/v1/completions", "{}").await);
    expect![""].assert_eq(&desk.ledger().await);
}

#[tokio::test]
async fn a_body_that_is_too_large() {
    let desk = Desk::with("alpha: 'Hi.'").await;
    let body = |size: usize| asking(json!({"messages": [{"role": "user", "content": "x".repeat(size)}]}));
    assert_eq!(desk.post(&body(10_000_000)).await.status(), StatusCode::OK);
    // A caller that reads nothing before it has sent everything reads why it was refused.
    let mut caller = TcpStream::connect(desk.address).await.unwrap();
    let body = body(11_000_000).to_string();
    let head =
        format!("POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n", body.len());
    caller.write_all((head + &body).as_bytes()).await.unwrap();
    let mut answer = String::new();
    timeout(PATIENCE, caller.read_to_string(&mut answer)).await.unwrap().unwrap();
    let (head, document) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 413 ") && head.contains("connection: close"), "{head}");
    expect![[r#"{"error":{"message":"The body of the request is larger than 10 MiB.","type":"invalid_request_error","param":null,"code":"request_too_large"}}"#]].assert_eq(document);
    // One that asks first need not send it.
    let mut caller = TcpStream::connect(desk.address).await.unwrap();
    let head = "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: 11000000\r\n\r\n";
    caller.write_all(head.as_bytes()).await.unwrap();
    let mut answer = String::new();
    timeout(PATIENCE, caller.read_to_string(&mut answer)).await.unwrap().unwrap();
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
}

#[tokio::test]
async fn a_key() {
    let desk = Desk::open("alpha: 'Hi.'", "", &[("NEVERDARK_API_KEY", "sk-right")]).await;
    let ask = async |key: Option<&str>, path: &str| {
        let request = desk.client.get(desk.url(path));
        shown(key.map_or(request.try_clone().unwrap(), |key| request.bearer_auth(key)).send().await.unwrap())
            .await
    };
    expect![[r#"
        401
        content-type: application/json
        www-authenticate: Bearer
        {"error":{"message":"The API key is missing or wrong. Send it as 'Authorization: Bearer KEY'.","type":"invalid_request_error","param":null,"code":"invalid_api_key"}}"#]].assert_eq(&ask(None, "/v1/models").await);
    assert!(ask(Some("sk-wrong"), "/v1/models").await.starts_with("401\n"));
    assert!(ask(Some("sk-wrong"), "/elsewhere").await.starts_with("401\n"));
    assert!(ask(Some("sk-right"), "/v1/models").await.starts_with("200\n"));
}

#[tokio::test]
async fn too_many_at_once() {
    let desk =
        Desk::open("alpha: pace=5ms 'A slow answer in a few words' stall after=3", "max_concurrent = 1", &[])
            .await;
    let first = desk.post(&asking(json!({"stream": true}))).await;
    assert_eq!(first.status(), StatusCode::OK);
    expect![[r#"
        429
        content-type: application/json
        retry-after: 1
        {"error":{"message":"Too many requests at once. Try again in a second.","type":"rate_limit_error","param":null,"code":"too_many_requests"}}"#]].assert_eq(&shown(desk.post(&asking(json!({}))).await).await);
    drop(first);
    // The place is free as soon as the first one has gone.
    desk.ledger_is("alpha cancelled").await;
    desk.providers.set("alpha", "'Hello.'").unwrap();
    assert_eq!(desk.post(&asking(json!({}))).await.status(), StatusCode::OK);
}

#[tokio::test]
async fn a_caller_that_hangs_up_is_not_answered_any_more() {
    for (behaviour, stream) in [
        ("hang", false),
        ("hang", true),
        ("'One two three four five' stall after=3", true),
        ("'One two three' stall after=2", false),
    ] {
        let desk = Desk::with(&format!("alpha: {behaviour}")).await;
        let body = asking(json!({"stream": stream})).to_string();
        let mut caller = TcpStream::connect(desk.address).await.unwrap();
        let head = format!(
            "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        caller.write_all((head + &body).as_bytes()).await.unwrap();
        while desk.providers.open_streams("alpha") == 0 {
            sleep(Duration::from_millis(2)).await;
        }
        if stream && behaviour != "hang" {
            assert!(caller.read(&mut [0; 1024]).await.unwrap() > 0);
        } else {
            sleep(Duration::from_millis(20)).await;
        }
        let gone = Instant::now();
        drop(caller);
        let noticed = async {
            while desk.providers.closed_early("alpha").is_empty() {
                sleep(Duration::from_millis(1)).await;
            }
        };
        timeout(PATIENCE, noticed).await.expect("the provider is hung up on");
        let took = desk.providers.closed_early("alpha")[0].at.duration_since(gone);
        assert!(took < HUNG_UP_WITHIN, "{behaviour}: {took:?}");
        desk.ledger_is("alpha cancelled").await;
        desk.close().await;
    }
}

#[tokio::test]
async fn a_request_is_passed_on_as_it_is() {
    let desk = Desk::with("alpha: 'Hi.'").await;
    let picture =
        json!([{"type": "text", "text": "what?"}, {"type": "image_url", "image_url": {"url": "data:,"}}]);
    let tools = json!([{"type": "function", "function": {"name": "now", "parameters": {}}}]);
    let over = json!({"model": "alpha", "messages": [{"role": "user", "content": picture}], "tools": tools, "x-new": [1]});
    assert_eq!(desk.post(&asking(over)).await.status(), StatusCode::OK);
    let call = &desk.providers.calls("alpha")[0];
    expect![[r#"{"messages":[{"content":[{"text":"what?","type":"text"},{"image_url":{"url":"data:,"},"type":"image_url"}],"role":"user"}],"model":"alpha-1","stream":true,"stream_options":{"include_usage":true},"tools":[{"function":{"name":"now","parameters":{}},"type":"function"}],"x-new":[1]}"#]].assert_eq(&call.body.to_string());
}

#[tokio::test]
async fn pictures_and_tools_go_to_who_can_take_them() {
    let over = json!({"tools": [{"type": "function", "function": {"name": "now"}}]});
    check("alpha: kind=completions 'Hi.' | beta: 'I can.'", over.clone(), expect![[r#"
        200
        content-type: application/json
        x-neverdark-provider: beta
        {"id":"chatcmpl-…","object":"chat.completion","created":…,"model":"beta-1","choices":[{"index":0,"message":{"role":"assistant","content":"I can.","refusal":null},"logprobs":null,"finish_reason":"stop"}],"usage":{"prompt_tokens":9,"completion_tokens":2,"total_tokens":11}}
        alpha failed: unsupported_parameter · beta answered
    "#]]).await;
    check("alpha: kind=completions 'Hi.'", over, expect![[r#"
        400
        content-type: application/json
        {"error":{"message":"Every provider that was asked refused the request (alpha: unsupported_parameter).","type":"invalid_request_error","param":null,"code":"unsupported_parameter"}}
        alpha failed: unsupported_parameter
    "#]]).await;
}

#[tokio::test]
async fn requests_under_way_are_finished_when_it_stops() {
    let desk = Desk::with("alpha: pace=30ms 'One two three four five six.'").await;
    let under_way = desk.post(&asking(json!({"stream": true}))).await;
    desk.stop.cancel();
    let answer = shown(under_way).await;
    assert!(answer.contains(" six.") && answer.ends_with("data: [DONE]\n\n"), "{answer}");
    let address = desk.address;
    desk.close().await;
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn a_stop_does_not_wait_for_ever() {
    let short = [("NEVERDARK__DISCORD__DRAIN", "50ms")];
    let mut desk = Desk::open("alpha: 'One two three' stall after=2", "", &short).await;
    let under_way = desk.post(&asking(json!({"stream": true}))).await;
    let began = Instant::now();
    desk.stopped().await;
    assert!(began.elapsed() < Duration::from_secs(2), "it took {:?}", began.elapsed());
    assert!(shown(under_way).await.ends_with("(cut off)"));
    assert_eq!(desk.rows().await, "alpha cancelled");
}

#[tokio::test]
async fn one_connection_serves_many_requests_and_nonsense_ends_it() {
    let desk = Desk::with("alpha: 'Hi.'").await;
    let mut caller = TcpStream::connect(desk.address).await.unwrap();
    let body = asking(json!({})).to_string();
    let request = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut read = Vec::new();
    for answers in 1..=3 {
        caller.write_all(request.as_bytes()).await.unwrap();
        while String::from_utf8_lossy(&read).matches("\"total_tokens\"").count() < answers {
            assert!(timeout(PATIENCE, caller.read_buf(&mut read)).await.unwrap().unwrap() > 0);
        }
    }
    caller.write_all(b"nonsense\r\n\r\n").await.unwrap();
    let mut rest = Vec::new();
    timeout(PATIENCE, caller.read_to_end(&mut rest)).await.unwrap().unwrap();
    assert!(String::from_utf8_lossy(&rest).contains(" 400 "), "{}", String::from_utf8_lossy(&rest));
}

/// All that is answered to these bytes, until the connection is closed.
async fn raw(desk: &Desk, bytes: &[u8]) -> String {
    let mut caller = TcpStream::connect(desk.address).await.unwrap();
    caller.write_all(bytes).await.unwrap();
    let mut answer = Vec::new();
    timeout(PATIENCE, caller.read_to_end(&mut answer)).await.expect("it is closed").unwrap();
    String::from_utf8(answer).unwrap()
}

#[tokio::test]
async fn a_body_that_breaks_off_is_told_so_and_not_to_come_again() {
    let desk = Desk::with("alpha: 'Hi.'").await;
    let head = "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n";
    let answer = raw(&desk, format!("{head}5\r\n{{\"mod\r\nzz\r\n").as_bytes()).await;
    let (head, document) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 400 ") && head.contains("connection: close"), "{head}");
    expect![[r#"{"error":{"message":"The body of the request broke off, or its chunks are malformed.","type":"invalid_request_error","param":null,"code":"invalid_body"}}"#]].assert_eq(document);
    expect![""].assert_eq(&desk.ledger().await);
}

#[tokio::test]
async fn who_is_refused_for_its_head_may_say_all_and_ask_again() {
    let desk = Desk::open("alpha: 'Hi.'", "", &[("NEVERDARK_API_KEY", "sk-right")]).await;
    // More than the sockets' buffers: the caller writes until somebody reads.
    let body = "x".repeat(9_000_000);
    let post = |path: &str, key: &str, more: &str, body: &str| {
        let length = body.len();
        format!(
            "POST {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\ncontent-length: {length}\r\n{more}\r\n{body}"
        )
    };
    let chat = "/v1/chat/completions";
    let right = post(chat, "sk-right", "connection: close\r\n", &asking(json!({})).to_string());
    for (refused, status) in [
        (post(chat, "sk-wrong", "", &body), 401),
        (post("/v1/completions", "sk-right", "", &body), 404),
        (post("/v1/models", "sk-right", "", &body), 405),
        (post(chat, "sk-right", "x-neverdark-strict: maybe\r\n", &body), 400),
    ] {
        let answers = raw(&desk, (refused + &right).as_bytes()).await;
        assert!(answers.starts_with(&format!("HTTP/1.1 {status} ")), "{answers}");
        assert!(answers.contains("HTTP/1.1 200 OK"), "{answers}");
    }
    // Who asks first is told at once, and need not send it.
    let expects = post(chat, "sk-wrong", "expect: 100-continue\r\n", "");
    let expects = expects.replace("content-length: 0", "content-length: 9000000");
    assert!(raw(&desk, expects.as_bytes()).await.starts_with("HTTP/1.1 401 "));
}

#[tokio::test]
async fn what_is_counted() {
    let desk = Desk::with("alpha: 'One two three' cut after=2").await;
    shown(desk.post(&asking(json!({"stream": true}))).await).await;
    shown(desk.post(&asking(json!({"model": "nobody"}))).await).await;
    let metrics = desk.rooms.metrics.render([]);
    for line in [
        "neverdark_api_requests_total{status=\"200\"} 1",
        "neverdark_api_requests_total{status=\"404\"} 1",
        "neverdark_api_streams_broken_total 1",
        "neverdark_turns_running 0",
    ] {
        assert!(metrics.contains(line), "{line} is missing in\n{metrics}");
    }
}

fn any_json() -> impl Strategy<Value = Value> {
    let words = prop_oneof!["auto", "alpha", "user", "tool", "text", "hi"].prop_map(Value::from);
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        words
    ];
    let key = prop_oneof!["role", "content", "type", "text", "name", "model", "messages", "stream"];
    leaf.prop_recursive(3, 16, 4, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((key.clone(), inner), 0..6)
                .prop_map(|it| Value::Object(it.into_iter().collect())),
        ]
    })
}

#[test]
fn whatever_is_sent_is_answered_with_json() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let desk = runtime.block_on(Desk::with("alpha: 'Hi.'"));
    let parameter =
        prop_oneof!["model", "messages", "stream", "stream_options", "n", "tools", "max_tokens", "stop"];
    let body = prop_oneof![
        any_json(),
        prop::collection::vec((parameter, any_json()), 0..4)
            .prop_map(|it| asking(Value::Object(it.into_iter().collect()))),
    ];
    proptest!(ProptestConfig::with_cases(96), |(body in body)| {
        let (status, kind, text) = runtime.block_on(async {
            let answer = desk.post(&body).await;
            let kind = answer.headers()["content-type"].to_str().unwrap().to_owned();
            (answer.status().as_u16(), kind, answer.text().await.unwrap())
        });
        prop_assert!([200, 400, 404].contains(&status), "{status} {text}");
        if kind == "application/json" {
            let document: Value = serde_json::from_str(&text).unwrap();
            prop_assert!(document["error"]["message"].is_string() || document["choices"].is_array());
        } else {
            prop_assert!(text.ends_with("data: [DONE]\n\n"));
        }
    });
}
