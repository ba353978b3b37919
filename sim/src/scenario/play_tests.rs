//! Whole plays against a bot of a few lines, which asks the first provider of the cast and does nothing about faults.

use super::*;
use crate::{Stage, discord::Options, transcript::Look, transcript::transcript};
use expect_test::{Expect, expect};
use futures::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use tokio_tungstenite::{client_async, tungstenite::Message};

/// Plays the text, and compares what people saw.
async fn check(text: &str, expected: Expect) {
    let script = Script::parse(text).unwrap();
    let stage = Stage::start(&script.cast, Options::default()).await.unwrap();
    stage.set_up(&script);
    let idle = Arc::new(AtomicBool::new(true));
    #[expect(clippy::disallowed_methods, reason = "it ends with the test")]
    let bot = tokio::spawn(bot(stage.clone(), Arc::clone(&idle)));
    let settle = || -> futures::future::BoxFuture<'static, bool> {
        let idle = Arc::clone(&idle);
        Box::pin(async move {
            while !idle.load(Ordering::SeqCst) {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            true
        })
    };
    let played = play(&script, &stage, settle).await;
    let mut shown = transcript(&stage.discord, Look::BRIEF);
    if let Err(error) = played {
        shown += &error;
    }
    expected.assert_eq(&shown);
    bot.abort();
}

/// Connects, and answers every message, one after the other.
async fn bot(stage: Stage, idle: Arc<AtomicBool>) {
    let gateway = rest(&stage, "GET", "/gateway", &Value::Null).await["url"].as_str().unwrap().to_owned();
    let socket = TcpStream::connect(gateway.trim_start_matches("ws://")).await.unwrap();
    let (mut socket, _) = client_async(format!("{gateway}/?v=10&encoding=json"), socket).await.unwrap();
    let mut seen = Value::Null;
    while let Some(Ok(message)) = socket.next().await {
        let Message::Text(text) = message else { continue };
        let event: Value = serde_json::from_str(&text).unwrap();
        if event["s"].is_u64() {
            seen = event["s"].clone();
        }
        let answer = match event["op"].as_u64() {
            Some(10) => {
                let properties = json!({ "os": "linux", "browser": "test", "device": "test" });
                let token = stage.discord.token();
                json!({ "op": 2, "d": { "token": token, "intents": 0x9200 | 1, "properties": properties } })
            }
            Some(1) => json!({ "op": 1, "d": seen }),
            _ => Value::Null,
        };
        if answer.is_object() {
            socket.send(Message::Text(answer.to_string())).await.unwrap();
        }
        let data = &event["d"];
        // The line "ana started a thread" comes as a message, too.
        let spoken = data["type"] == 0 || data["type"] == 19;
        if event["t"] == "MESSAGE_CREATE" && spoken && data["author"]["bot"] != true {
            idle.store(false, Ordering::SeqCst);
            reply(&stage, data).await;
            idle.store(true, Ordering::SeqCst);
        }
    }
}

/// Creates a message with the first piece, and edits it with all of them when the answer is over, however it ended.
async fn reply(stage: &Stage, message: &Value) {
    let role = &stage.providers.roles()[0];
    let body = json!({ "stream": true, "messages": [{ "role": "user", "content": message["content"] }] });
    let address = role.base_url.trim_start_matches("http://").trim_end_matches("/v1").to_owned();
    let mut socket = TcpStream::connect(address).await.unwrap();
    send(&mut socket, "POST", "/v1/chat/completions", "", &body).await;
    let messages = format!("/channels/{}/messages", message["channel_id"].as_str().unwrap());
    let (mut bytes, mut shown) = (Vec::new(), None);
    loop {
        let over = socket.read_buf(&mut bytes).await.is_ok_and(|read| read == 0);
        let stream = String::from_utf8_lossy(&bytes).into_owned();
        let chunks = stream
            .lines()
            .filter_map(|line| serde_json::from_str::<Value>(line.strip_prefix("data: ")?).ok());
        let text: String =
            chunks.filter_map(|it| Some(it["choices"][0]["delta"]["content"].as_str()?.to_owned())).collect();
        match &shown {
            None if !text.is_empty() => {
                let reference = json!({ "message_id": message["id"] });
                let body = json!({ "content": text, "message_reference": reference });
                shown = Some(rest(stage, "POST", &messages, &body).await["id"].as_str().unwrap().to_owned());
            }
            Some(id) if over => {
                rest(stage, "PATCH", &format!("{messages}/{id}"), &json!({ "content": text + " (end)" }))
                    .await;
            }
            _ => {}
        }
        if over {
            return;
        }
    }
}

/// A call of Discord's REST API.
async fn rest(stage: &Stage, method: &str, path: &str, body: &Value) -> Value {
    let mut socket = TcpStream::connect(stage.discord.base().trim_start_matches("http://")).await.unwrap();
    let authorization = format!("authorization: Bot {}\r\n", stage.discord.token());
    send(&mut socket, method, &format!("/api/v10{path}"), &authorization, body).await;
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await.unwrap();
    let json = answer.split_once("\r\n\r\n").unwrap().1;
    serde_json::from_str(json).unwrap()
}

async fn send(socket: &mut TcpStream, method: &str, path: &str, header: &str, body: &Value) {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let request = format!(
        "{method} {path} HTTP/1.1\r\nhost: sim\r\nconnection: close\r\n{header}content-type: application/json\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    );
    socket.write_all(request.as_bytes()).await.unwrap();
}

#[tokio::test]
async fn a_play_and_its_transcript() {
    check(
        r#"
        cast  alpha: echo pace=1ms
        ana   in #help: @neverdark hi
        bob   in #help: @neverdark hello
              | there
        ana   replies in #help: and then?
        ana   edits: and now?
        ana   opens "Plans" in #help: go
        ana   in #help/Plans: on
        bob   in dm: psst
        bob   deletes
        mia   posts "Lost key" [urgent, rust] in #ideas: Where is it?
        break alpha 'One two three' cut after=2
        mia   in #ideas/Lost key: well?
        "#,
        expect![[r#"
            #help
              ana         @neverdark hi
              neverdark  ↳ You said: @neverdark hi (end)
                          (pings @ana)
              bob         @neverdark hello
                          there
              neverdark  ↳ You said: there (end)
                          (pings @bob)
              ana        ↳ and now?
                          (edited)
              neverdark  ↳ You said: and then? (end)
                          (pings @ana)
            DM with bob
              bob         psst
                          (deleted)
              neverdark  ↳ You said: psst (end)
                          (pings @bob)
            #help › Plans
              ana         go
              neverdark  ↳ You said: go (end)
                          (pings @ana)
              ana         on
              neverdark  ↳ You said: on (end)
                          (pings @ana)
            forum #ideas › Lost key [urgent, rust]
              mia         Where is it?
              neverdark  ↳ You said: Where is it? (end)
                          (pings @mia)
              mia         well?
              neverdark  ↳ One two (end)
                          (pings @mia)
        "#]],
    )
    .await;
}

#[tokio::test]
async fn hold_waits_until_it_can_be_seen() {
    check(
        "
        cast  alpha: 'One two three' cut after=2 hold
        ana   in #help: hi &
        until 'One two'
        ",
        expect![[r#"
            #help
              ana         hi
              neverdark  ↳ One two (end)
                          (pings @ana)
        "#]],
    )
    .await;
}

#[tokio::test]
async fn what_cannot_be_done_names_the_line() {
    check(
        "cast alpha: echo\n\nana in #help/Nowhere: hi",
        expect!["line 3: there is no thread or post `Nowhere` in #help"],
    )
    .await;
    check(
        "cast alpha: echo\nana replies in #help: hi",
        expect!["line 2: there is no message of the bot to reply to"],
    )
    .await;
    check("cast alpha: echo\nana edits: hi", expect!["line 2: ana has not said anything yet"]).await;
    check(
        "cast alpha: echo\nana runs /nothing in #help",
        expect!["line 2: no command /nothing is registered; there is none"],
    )
    .await;
    check("cast alpha: echo\nana clicks stop", expect!["line 2: no message of the bot has a button `stop`"])
        .await;
}

#[tokio::test]
async fn a_bot_that_does_not_come_to_rest_ends_the_play() {
    let script = Script::parse("cast alpha: echo\nana in #help: hi &\nana in #help: hello").unwrap();
    let stage = Stage::start(&script.cast, Options::default()).await.unwrap();
    #[expect(clippy::disallowed_methods, reason = "it ends with the test")]
    let bot = tokio::spawn(bot(stage.clone(), Arc::default()));
    let played = play(&script, &stage, || Box::pin(std::future::ready(false))).await;
    assert_eq!(played.unwrap_err(), "line 3: the bot did not come to rest");
    bot.abort();
}

#[tokio::test]
async fn settings_can_name_channels() {
    let script = Script::parse(
        "config chat.channels=[#help,#help-me] chat.system_prompt='#1: be kind.'\nana in #help: a\nana in #help-me: b",
    )
    .unwrap();
    let stage = Stage::start(&script.cast, Options::default()).await.unwrap();
    stage.set_up(&script);
    let (help, help_me) = (stage.discord.channel("help"), stage.discord.channel("help-me"));
    let expected =
        [("chat.channels", format!("[{help},{help_me}]")), ("chat.system_prompt", "#1: be kind.".into())];
    assert_eq!(stage.config(&script), expected.map(|(key, value)| (key.to_owned(), value)));
}
