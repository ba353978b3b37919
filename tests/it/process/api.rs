//! The program's router API as other programs use it: with OpenAI's own library for Python, where that is installed.

use super::bot::{Bot, Home, PATIENCE, until};
use expect_test::{Expect, expect};
use serde_json::{Value, json};
use std::{ffi::OsString, process::Command};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::timeout,
};

const KEY: &str = "sk-test";
const SCRIPT: &str = include_str!("openai_sdk.py");
const CAST: &str = "alpha: 'Hello, Ana.' | down: 500 | filter: 'No.' finish=content_filter | limited: 429 retry-after=30 | \
                    narrow: error=context_length_exceeded | broken: 'One two three' cut after=1";

/// A Python with the library; none: then its tests are left out, and say so.
#[expect(clippy::print_stdout, reason = "whoever runs the tests should know that one did nothing")]
fn python() -> Option<OsString> {
    let python = std::env::var_os("NEVERDARK_TEST_PYTHON").unwrap_or_else(|| "python3".into());
    let has_it =
        Command::new(&python).args(["-c", "import openai"]).output().is_ok_and(|it| it.status.success());
    if !has_it {
        println!("left out: {} has no `openai`; name another one in NEVERDARK_TEST_PYTHON", python.display());
    }
    has_it.then_some(python)
}

/// Starts the program without Discord; and where its API is.
async fn serve(home: &Home, settings: &[(&str, &str)]) -> (Bot, String) {
    let usual = [
        ("NEVERDARK__DISCORD__ENABLED", "false"),
        ("NEVERDARK__API__LISTEN", "127.0.0.1:0"),
        ("NEVERDARK__ROUTER__ATTEMPTS_PER_PROVIDER", "1"),
        ("NEVERDARK_API_KEY", KEY),
    ];
    let bot = home.run(&[&usual, settings].concat());
    let url = until("the log has the API's address", async || {
        let (_, after) =
            bot.log().split_once("router API: ").map(|(it, after)| (it.len(), after.to_owned()))?;
        after.split_whitespace().next().map(str::to_owned)
    });
    let url = url.await;
    (bot, url)
}

async fn check(home: &Home, settings: &[(&str, &str)], more: &[&str], expected: Expect) {
    let Some(python) = python() else { return };
    let (bot, url) = serve(home, settings).await;
    let mut command = Command::new(python);
    command.args(["-c", SCRIPT, &url, KEY]).args(more).env("NO_PROXY", "*");
    let script = Bot::start(command, "").ended().await;
    assert_eq!(script.code, Some(0), "{}{}", script.stdout, script.stderr);
    expected.assert_eq(&script.stdout);
    let ended = bot.stop().await;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert!(!ended.stderr.contains(KEY) && !ended.stderr.contains("Ana"), "{}", ended.stderr);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn openais_own_library_works() {
    let home = Home::new(CAST).await;
    check(
        &home,
        &[],
        &[],
        expect![[r#"
        models: auto alpha down filter limited narrow broken · alpha-1
        chat: Hello, Ana. stop 12 alpha
        turn: 10 True
        stream: Hello, Ana. assistant stop 12
        helper: Hello, Ana.
        failover: Hello, Ana.
        filter: content_filter
        wrong key: AuthenticationError 401 invalid_api_key None None
        unknown model: NotFoundError 404 model_not_found model None
        two choices: BadRequestError 400 unsupported_parameter n None
        too long: BadRequestError 400 context_length_exceeded messages None
        all failed: InternalServerError 503 all_providers_failed None 30
        no messages: BadRequestError 400 invalid_value messages None
        broken says: One
        broken stream: APIError stream_broken
    "#]],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn openais_own_library_calls_tools() {
    let home = Home::new(CAST).await;
    let (listener, handy) = handy().await;
    let last = home.stage.providers.roles().len();
    let key = |it: &str| format!("NEVERDARK__PROVIDERS__{last}__{it}");
    let settings = [
        (key("NAME"), "handy".to_owned()),
        (key("KIND"), "openai".to_owned()),
        (key("BASE_URL"), handy),
        (key("MODEL"), "handy-1".to_owned()),
    ];
    let settings: Vec<_> = settings.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    #[expect(clippy::disallowed_methods, reason = "ends with the test's runtime")]
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            answer(socket).await;
        }
    });
    check(
        &home,
        &settings,
        &["tools"],
        expect![[r#"
        models: auto alpha down filter limited narrow broken handy · alpha-1
        chat: Hello, Ana. stop 12 alpha
        turn: 10 True
        stream: Hello, Ana. assistant stop 12
        helper: Hello, Ana.
        failover: Hello, Ana.
        filter: content_filter
        wrong key: AuthenticationError 401 invalid_api_key None None
        unknown model: NotFoundError 404 model_not_found model None
        two choices: BadRequestError 400 unsupported_parameter n None
        too long: BadRequestError 400 context_length_exceeded messages None
        all failed: InternalServerError 503 all_providers_failed None 30
        no messages: BadRequestError 400 invalid_value messages None
        broken says: One
        broken stream: APIError stream_broken
        call: tool_calls function now {}
        then: It is noon.
        streamed call: now {}
    "#]],
    )
    .await;
}

/// A host whose model wants to know the time before it answers.
async fn handy() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/v1", listener.local_addr().unwrap());
    (listener, url)
}

async fn answer(mut socket: TcpStream) {
    let Some(asked) = body(&mut socket).await else { return };
    let was_told = asked["messages"].as_array().into_iter().flatten().any(|it| it["role"] == "tool");
    let name = asked["tools"][0]["function"]["name"].clone();
    let begun =
        json!({"index": 0, "id": "call_a", "type": "function", "function": {"name": name, "arguments": ""}});
    let more = json!({"index": 0, "function": {"arguments": "{}"}});
    let (deltas, finish) = if was_told {
        (
            vec![
                json!({"content": format!("It is {}.", asked["messages"][2]["content"].as_str().unwrap_or("late"))}),
            ],
            "stop",
        )
    } else {
        (vec![json!({"content": null, "tool_calls": [begun]}), json!({"tool_calls": [more]})], "tool_calls")
    };
    let mut text =
        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n".to_owned();
    for delta in deltas {
        text += &format!("data: {}\n\n", json!({"choices": [{"index": 0, "delta": delta}]}));
    }
    text +=
        &format!("data: {}\n\n", json!({"choices": [{"index": 0, "delta": {}, "finish_reason": finish}]}));
    let _ = socket.write_all((text + "data: [DONE]\n\n").as_bytes()).await;
}

/// The body of the request; none for one without (a look at its health).
async fn body(socket: &mut TcpStream) -> Option<Value> {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes);
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head
                .lines()
                .find_map(|it| it.to_lowercase().strip_prefix("content-length: ")?.parse().ok())?;
            if body.len() >= length {
                return serde_json::from_str(body).ok();
            }
        }
        if timeout(PATIENCE, socket.read_buf(&mut bytes)).await.ok()?.ok()? == 0 {
            return None;
        }
    }
}
