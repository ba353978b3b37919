//! The client against a Discord of a few lines: what is sent, what is repeated, what is waited for.

use super::*;
use expect_test::{Expect, expect};
use serde_json::{Value, json};
use std::{
    collections::VecDeque,
    sync::{Arc, PoisonError},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    time::{sleep, timeout},
};

/// What the scripted Discord does with a request.
#[derive(Clone)]
enum Answer {
    Send {
        status: u16,
        headers: String,
        body: String,
    },
    /// Takes the request and drops the connection.
    Lose,
    /// Never answers.
    Hang,
}

fn answer(status: u16, headers: &str, body: &str) -> Answer {
    Answer::Send { status, headers: headers.to_owned(), body: body.to_owned() }
}

/// A request as it came over the wire.
#[derive(Clone, Debug)]
struct Seen {
    at: Instant,
    line: String,
    headers: String,
    body: String,
}

impl Seen {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.lines().find_map(|it| it.strip_prefix(name)?.strip_prefix(": "))
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

/// A Discord that answers by a script, then always with the id 7. Raw sockets, because it has to lose answers.
struct Stage {
    seen: Arc<Mutex<Vec<Seen>>>,
    origin: String,
}

impl Stage {
    async fn start(script: impl IntoIterator<Item = Answer>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let origin = format!("http://{}", listener.local_addr().unwrap());
        let script = Arc::new(Mutex::new(script.into_iter().collect::<VecDeque<_>>()));
        let seen = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&seen);
        #[expect(clippy::disallowed_methods, reason = "ends with the test's runtime")]
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (log, script) = (Arc::clone(&log), Arc::clone(&script));
                tokio::spawn(serve(stream, log, script));
            }
        });
        Self { seen, origin }
    }

    fn rest(&self) -> Rest {
        rest(&self.origin)
    }

    fn seen(&self) -> Vec<Seen> {
        lock(&self.seen).clone()
    }
}

fn lock<T>(it: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    it.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The bot's token.
pub(in crate::discord) const TOKEN: &str = "s3cret";

pub(in crate::discord) fn rest(origin: &str) -> Rest {
    // Without certificates, which take long to load.
    let client = reqwest::Client::builder().no_proxy().tls_certs_only([]).build().unwrap();
    Rest::new(client, origin, &SecretString::from(TOKEN), fastrand::Rng::with_seed(1)).unwrap()
}

async fn serve(mut stream: TcpStream, log: Arc<Mutex<Vec<Seen>>>, script: Arc<Mutex<VecDeque<Answer>>>) {
    while let Some(seen) = read(&mut stream).await {
        lock(&log).push(seen);
        let answer = lock(&script).pop_front().unwrap_or_else(|| answer(200, "", r#"{"id":"7"}"#));
        match answer {
            Answer::Send { status, headers, body } => {
                let head = format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\n{headers}\r\n", body.len());
                stream.write_all((head + &body).as_bytes()).await.unwrap();
            }
            Answer::Lose => return,
            Answer::Hang => sleep(Duration::from_secs(60)).await,
        }
    }
}

async fn read(stream: &mut TcpStream) -> Option<Seen> {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let (line, headers) = head.split_once("\r\n")?;
            let line = line.trim_end_matches(" HTTP/1.1").to_owned();
            let seen = Seen { at: Instant::now(), line, headers: headers.to_owned(), body: body.to_owned() };
            if body.len() >= seen.header("content-length").map_or(0, |it| it.parse().unwrap()) {
                return Some(seen);
            }
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
}

const CHANNEL: ChannelId = ChannelId(5);
const MESSAGE: MessageId = MessageId(6);

fn within(ms: u64) -> Instant {
    Instant::now() + Duration::from_millis(ms)
}

async fn create(rest: &Rest, ms: u64) -> Result<MessageId, RestError> {
    rest.create_message(CHANNEL, "Hello.", None, "turn-1", within(ms)).await
}

async fn edit(rest: &Rest, ms: u64) -> Result<(), RestError> {
    rest.edit_message(CHANNEL, MESSAGE, "Hello, Ana.", within(ms)).await
}

fn hook() -> Hook {
    Hook { application: ApplicationId(9), token: SecretString::from("t0ken"), is_ephemeral: true }
}

/// Compares the lines and bodies of all requests.
fn check(stage: &Stage, expected: &Expect) {
    let lines: Vec<String> = stage.seen().iter().map(|it| format!("{} {}\n", it.line, it.body)).collect();
    expected.assert_eq(&lines.concat());
}

#[tokio::test]
async fn messages_ping_nobody_and_show_no_previews() {
    let stage = Stage::start([]).await;
    let rest = stage.rest();
    assert_eq!(rest.create_message(CHANNEL, "Hi", Some(MESSAGE), "n", within(900)).await, Ok(MessageId(7)));
    create(&rest, 900).await.unwrap();
    edit(&rest, 900).await.unwrap();
    rest.delete_message(CHANNEL, MESSAGE).await.unwrap();
    rest.trigger_typing(CHANNEL).await.unwrap();
    check(
        &stage,
        &expect![[r#"
            POST /api/v10/channels/5/messages {"content":"Hi","allowed_mentions":{"parse":[]},"flags":4,"nonce":"n","enforce_nonce":true,"message_reference":{"message_id":"6","fail_if_not_exists":false}}
            POST /api/v10/channels/5/messages {"content":"Hello.","allowed_mentions":{"parse":[]},"flags":4,"nonce":"turn-1","enforce_nonce":true}
            PATCH /api/v10/channels/5/messages/6 {"content":"Hello, Ana.","components":[],"allowed_mentions":{"parse":[]},"flags":4}
            DELETE /api/v10/channels/5/messages/6 
            POST /api/v10/channels/5/typing 
        "#]],
    );
    let seen = stage.seen();
    assert!(seen.iter().all(|it| it.header("authorization") == Some("Bot s3cret")));
    assert!(seen[0].header("user-agent").unwrap().starts_with("DiscordBot (https://"));
}

#[tokio::test]
async fn interactions_are_answered_by_their_token_alone() {
    let stage = Stage::start([]).await;
    let (rest, hook) = (stage.rest(), hook());
    let answer = json!({"type": 4, "data": {"content": "Hi @everyone", "flags": 64}});
    rest.respond(InteractionId(3), &hook.token, &answer).await.unwrap();
    rest.respond(InteractionId(4), &hook.token, &json!({"type": 5, "data": {"flags": 64}})).await.unwrap();
    assert_eq!(rest.edit_response(&hook, "One", within(900)).await, Ok(MessageId(7)));
    assert_eq!(rest.follow_up(&hook, "Two", within(900)).await, Ok(MessageId(7)));
    let further = Target::EditFollowUp { hook: &hook, message: MESSAGE };
    rest.show(&further, "Three".into(), None, within(900)).await.unwrap();
    rest.delete_follow_up(&hook, MESSAGE).await.unwrap();
    rest.delete_response(&hook).await.unwrap();
    check(
        &stage,
        &expect![[r#"
            POST /api/v10/interactions/3/t0ken/callback {"data":{"allowed_mentions":{"parse":[]},"content":"Hi @everyone","flags":68},"type":4}
            POST /api/v10/interactions/4/t0ken/callback {"data":{"flags":64},"type":5}
            PATCH /api/v10/webhooks/9/t0ken/messages/@original {"content":"One","components":[],"allowed_mentions":{"parse":[]},"flags":68}
            POST /api/v10/webhooks/9/t0ken {"content":"Two","components":[],"allowed_mentions":{"parse":[]},"flags":68}
            PATCH /api/v10/webhooks/9/t0ken/messages/6 {"content":"Three","components":[],"allowed_mentions":{"parse":[]},"flags":68}
            DELETE /api/v10/webhooks/9/t0ken/messages/6 
            DELETE /api/v10/webhooks/9/t0ken/messages/@original 
        "#]],
    );
    assert!(stage.seen().iter().all(|it| it.header("authorization").is_none()));
    assert!(!format!("{rest:?} {hook:?}").contains("t0ken") && !format!("{rest:?}").contains("s3cret"));
}

#[tokio::test]
async fn questions_are_read_into_small_values() {
    let post = r#"{"id":"8","type":11,"name":"Slow?","guild_id":"1","parent_id":"5","owner_id":"2","applied_tags":["4"],
        "thread_metadata":{"archived":true,"locked":false},"unknown":[1]}"#;
    let script = [
        post.to_owned(),
        r#"{"url":"ws://127.0.0.1:1","shards":1,"session_start_limit":{"total":1000,"remaining":999,"reset_after":5,"max_concurrency":1}}"#.to_owned(),
        r#"{"id":"2","username":"neverdark","bot":true}"#.to_owned(),
        r#"{"id":"9","flags":524288}"#.to_owned(),
        r#"[{"id":"1","content":"a"},{"no":"id"},{"id":"3","content":"b"}]"#.to_owned(),
        r#"[{"id":"1","name":"ask"}]"#.to_owned(),
    ];
    let stage = Stage::start(script.map(|it| answer(200, "", &it))).await;
    let rest = stage.rest();
    let channel = rest.channel(ChannelId(8)).await.unwrap();
    assert_eq!((channel.parent_id, channel.guild_id), (Some(ChannelId(5)), Some(GuildId(1))));
    assert!(channel.thread_metadata.unwrap().archived);
    assert_eq!(rest.gateway_bot().await.unwrap().session_start_limit.unwrap().remaining, 999);
    assert_eq!(rest.me().await.unwrap().username, "neverdark");
    assert!(rest.application().await.unwrap().may_read_messages());
    let messages: Vec<shapes::Created> = rest.messages(CHANNEL, Page::After(MESSAGE), 50).await.unwrap();
    assert_eq!(messages.iter().map(|it| it.id.0).collect::<Vec<_>>(), [1, 3]);
    let commands =
        rest.put_commands(ApplicationId(9), Some(GuildId(1)), &[json!({"name": "ask"})]).await.unwrap();
    assert_eq!(commands[0].name, "ask");
    check(
        &stage,
        &expect![[r#"
        GET /api/v10/channels/8 
        GET /api/v10/gateway/bot 
        GET /api/v10/users/@me 
        GET /api/v10/applications/@me 
        GET /api/v10/channels/5/messages?limit=50&after=6 
        PUT /api/v10/applications/9/guilds/1/commands [{"name":"ask"}]
    "#]],
    );
}

#[tokio::test]
async fn a_lost_answer_is_asked_for_again_with_the_same_nonce() {
    let garbled = || [answer(200, "", "<html>"), answer(200, "", r#"{"id":"7","odd":{"#)];
    let stage = Stage::start(garbled().into_iter().chain(garbled())).await;
    assert_eq!(create(&stage.rest(), 2000).await, Err(RestError::Garbled), "three times is no chance");
    let stage = Stage::start([Answer::Lose].into_iter().chain(garbled())).await;
    assert_eq!(create(&stage.rest(), 2000).await, Ok(MessageId(7)));
    let seen = stage.seen();
    assert_eq!(seen.len(), 4);
    assert!(seen.iter().all(|it| it.json()["nonce"] == "turn-1" && it.json()["enforce_nonce"] == true));
}

#[tokio::test]
async fn a_follow_up_is_not_repeated_when_it_may_have_arrived() {
    for lost in [Answer::Lose, answer(502, "", ""), answer(200, "", "?")] {
        let stage = Stage::start([lost]).await;
        assert!(stage.rest().follow_up(&hook(), "Hi", within(500)).await.is_err());
        assert_eq!(stage.seen().len(), 1);
    }
}

#[tokio::test]
async fn a_second_answer_to_an_interaction_is_ours_only_after_a_repeat() {
    let twice =
        || answer(400, "", r#"{"code":40060,"message":"Interaction has already been acknowledged."}"#);
    let body = json!({"type": 5});
    let stage = Stage::start([Answer::Lose, twice()]).await;
    assert_eq!(stage.rest().respond(InteractionId(3), &hook().token, &body).await, Ok(()));
    let stage = Stage::start([twice()]).await;
    let error = stage.rest().respond(InteractionId(3), &hook().token, &body).await.unwrap_err();
    assert!(matches!(error, RestError::Invalid { code: 40_060, .. }));
}

#[tokio::test]
async fn faults_of_discord_are_repeated() {
    let stage = Stage::start([answer(500, "", ""), answer(503, "", "<html>busy"), answer(504, "", "")]).await;
    assert_eq!(edit(&stage.rest(), 3000).await, Ok(()));
    assert_eq!(stage.seen().len(), 4);
}

#[tokio::test]
async fn nobody_there_is_told_before_the_deadline() {
    let rest = rest("http://127.0.0.1:1");
    let start = Instant::now();
    assert_eq!(edit(&rest, 300).await, Err(RestError::Unavailable { status: None }));
    assert!(start.elapsed() < Duration::from_secs(3), "{:?}", start.elapsed());
}

#[tokio::test]
async fn the_deadline_is_kept() {
    let stage = Stage::start([Answer::Hang]).await;
    let rest = stage.rest();
    let start = Instant::now();
    assert_eq!(edit(&rest, 100).await, Err(RestError::Timeout));
    assert!(start.elapsed() < Duration::from_secs(3), "{:?}", start.elapsed());
}

#[tokio::test]
async fn a_call_behind_one_that_hangs_keeps_its_deadline() {
    let stage = Stage::start([Answer::Hang]).await;
    let rest = stage.rest();
    let (first, second) = tokio::join!(edit(&rest, 400), edit(&rest, 100));
    assert_eq!((first, second), (Err(RestError::Timeout), Err(RestError::Timeout)));
    assert_eq!(edit(&rest, 300).await, Ok(()));
}

#[tokio::test]
async fn refusals_are_told_at_once() {
    for (status, body, error) in [
        (401, r#"{"message":"401: Unauthorized","code":0}"#, RestError::Unauthorized),
        (
            403,
            r#"{"message":"Missing Permissions","code":50013}"#,
            RestError::Forbidden { code: 50013, message: "Missing Permissions".to_owned() },
        ),
        (404, r#"{"message":"Unknown Message","code":10008}"#, RestError::NotFound { code: 10008 }),
        (
            400,
            r#"{"message":"Invalid Form Body","code":50035,"errors":{"content":{"_errors":[{"code":"BASE_TYPE_MAX_LENGTH","message":"secret"}]}}}"#,
            RestError::Invalid { status: 400, code: 50035, message: "Invalid Form Body".to_owned() },
        ),
        (413, "<html>", RestError::Invalid { status: 413, code: 0, message: String::new() }),
    ] {
        let stage = Stage::start([answer(status, "", body)]).await;
        assert_eq!(edit(&stage.rest(), 900).await, Err(error));
        assert_eq!(stage.seen().len(), 1);
    }
    let stage =
        Stage::start([answer(404, "", r#"{"code":10008}"#), answer(401, "", r#"{"code":50027}"#)]).await;
    assert_eq!(stage.rest().delete_message(CHANNEL, MESSAGE).await, Ok(()));
    let late = stage.rest().edit_response(&hook(), "Hi", within(900)).await;
    assert_eq!(late, Err(RestError::NotFound { code: 50027 }));
}

/// How long after the first request the others came.
fn gaps(stage: &Stage) -> Vec<u128> {
    let seen = stage.seen();
    seen.iter().map(|it| (it.at - seen[0].at).as_millis()).collect()
}

#[tokio::test]
async fn a_rate_limit_is_waited_for_exactly() {
    let limited = |header: &str, body: &str| answer(429, header, body);
    for (header, body) in [
        ("", r#"{"message":"You are being rate limited.","retry_after":0.15,"global":false}"#),
        ("retry-after: 0.15\r\n", r#"{"message":"","retry_after":0.01,"global":false}"#),
        ("retry-after: 0.15\r\n", "<html>error 1015"),
        ("x-ratelimit-scope: shared\r\n", r#"{"retry_after":0.15,"global":false}"#),
        ("x-ratelimit-scope: global\r\n", r#"{"retry_after":0.15,"global":true}"#),
    ] {
        let stage = Stage::start([limited(header, body)]).await;
        assert_eq!(edit(&stage.rest(), 900).await, Ok(()));
        let gaps = gaps(&stage);
        assert!(gaps.len() == 2 && (150..700).contains(&gaps[1]), "{gaps:?} for {header} {body}");
    }
}

#[tokio::test]
async fn a_rate_limit_beyond_the_deadline_is_told_at_once() {
    let stage =
        Stage::start([answer(429, "retry-after: 30\r\n", r#"{"retry_after":29.5,"global":false}"#)]).await;
    let (rest, wait) = (stage.rest(), Duration::from_secs(30));
    let start = Instant::now();
    assert_eq!(edit(&rest, 900).await, Err(RestError::RateLimited { retry_after: wait }));
    assert!(start.elapsed() < Duration::from_millis(800));
}

#[tokio::test]
async fn a_token_that_is_refused_is_not_tried_again_at_once() {
    let stage = Stage::start([answer(401, "", r#"{"message":"401: Unauthorized","code":0}"#)]).await;
    let rest = stage.rest();
    for _ in 0..5 {
        assert_eq!(create(&rest, 900).await, Err(RestError::Unauthorized));
        assert_eq!(rest.trigger_typing(ChannelId(8)).await, Err(RestError::Unauthorized));
    }
    assert!(rest.edit_response(&hook(), "Hi", within(900)).await.is_ok(), "its own token allows that");
    assert_eq!(stage.seen().len(), 2);
}

#[tokio::test]
async fn a_live_text_is_sent_once_and_an_end_until_it_is_there() {
    let target = Target::Edit { channel: CHANNEL, message: MESSAGE };
    let stage = Stage::start([answer(500, "", ""), answer(500, "", "")]).await;
    let rest = stage.rest();
    let permit = rest.turn(&target, Urgency::Live, within(900)).await.unwrap();
    let once = rest.show_once(permit, &target, "Grow".into(), within(900)).await;
    assert_eq!(once, Err(RestError::Unavailable { status: Some(500) }));
    assert_eq!(rest.show(&target, "Whole".into(), None, within(2000)).await, Ok(MESSAGE));
    assert_eq!(stage.seen().len(), 3);
    let waiting =
        Stage::start([answer(429, "retry-after: 600\r\n", r#"{"retry_after":600.0,"global":false}"#)]).await;
    let rest = waiting.rest();
    let (long, start) = (RestError::RateLimited { retry_after: Duration::from_secs(600) }, Instant::now());
    let permit = rest.turn(&target, Urgency::Live, within(900)).await.unwrap();
    assert_eq!(rest.show_once(permit, &target, "Grow".into(), within(900)).await, Err(long));
    let next = rest.turn(&target, Urgency::Live, within(900)).await.map(drop);
    assert!(matches!(next, Err(RestError::RateLimited { .. })), "{next:?}");
    assert!(start.elapsed() < Duration::from_millis(800) && waiting.seen().len() == 1);
}

#[tokio::test]
async fn a_global_limit_stops_everything_but_interactions() {
    let stage = Stage::start([answer(429, "", r#"{"retry_after":1.0,"global":true}"#)]).await;
    let rest = stage.rest();
    let wait = edit(&rest, 100).await.unwrap_err();
    assert_eq!(wait, RestError::RateLimited { retry_after: Duration::from_secs(1) });
    let other = rest.edit_message(ChannelId(55), MESSAGE, "Hi", within(100)).await;
    assert!(matches!(other, Err(RestError::RateLimited { .. })), "{other:?}");
    assert!(rest.edit_response(&hook(), "Hi", within(900)).await.is_ok());
    assert_eq!(edit(&rest, 1900).await, Ok(()));
    let gaps = gaps(&stage);
    assert!(gaps.len() == 3 && gaps[1] < 900 && gaps[2] >= 1000, "{gaps:?}");
}

#[tokio::test]
async fn a_bucket_paces_edits_of_different_messages() {
    let bucket = |remaining: u8, reset_after: f32| {
        let headers = format!(
            "x-ratelimit-bucket: abc\r\nx-ratelimit-limit: 2\r\nx-ratelimit-remaining: {remaining}\r\n\
             x-ratelimit-reset-after: {reset_after}\r\n"
        );
        answer(200, &headers, "{}")
    };
    let stage = Stage::start([bucket(1, 0.25), bucket(0, 0.2), bucket(1, 0.25), bucket(0, 5.0)]).await;
    let rest = stage.rest();
    for id in 1..=4 {
        rest.edit_message(CHANNEL, MessageId(id), "Hi", within(900)).await.unwrap();
    }
    let gaps = gaps(&stage);
    assert!(gaps[2] >= gaps[1] + 200 && gaps[1] < 200 && gaps[3] < gaps[2] + 200, "{gaps:?}");
    let late = timeout(Duration::from_millis(500), edit(&rest, 100)).await.unwrap();
    assert!(
        matches!(late, Err(RestError::RateLimited { retry_after }) if retry_after.as_millis() > 4500),
        "{late:?}"
    );
    assert!(rest.edit_message(ChannelId(55), MESSAGE, "Hi", within(900)).await.is_ok());
}
