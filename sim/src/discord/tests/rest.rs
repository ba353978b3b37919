//! REST: messages, threads, permissions, limits and scripted faults.

use super::{
    client::{call, raw},
    free,
};
use crate::discord::{Discord, Options, RestEffect, RestFault, Speech, bits};
use expect_test::expect;
use serde_json::{Value, json};
use std::time::Duration;

async fn create(discord: &Discord, channel: u64, body: Value) -> super::client::Back {
    call(discord, "POST", &format!("/channels/{channel}/messages"), body).await
}

#[tokio::test]
async fn messages_are_made_changed_and_taken_away() {
    let discord = free().await;
    let help = discord.channel("help");
    let path = format!("/channels/{help}/messages");
    let made = create(&discord, help, json!({ "content": "Hel", "flags": 4 })).await;
    let id = made.id();
    assert_eq!((made.status, made.body["type"].clone()), (200, json!(0)));
    let edited = call(&discord, "PATCH", &format!("{path}/{id}"), json!({ "content": "Hello." })).await;
    assert_eq!((edited.status, edited.body["edited_timestamp"].is_string()), (200, true));
    let shown = discord.message(id).unwrap();
    assert_eq!(
        (shown.content.as_str(), shown.history.clone(), shown.embeds_suppressed),
        ("Hello.", vec!["Hel".to_owned()], true)
    );
    let other = discord.say("ana", help, "hers", None);
    assert_eq!(
        call(&discord, "PATCH", &format!("{path}/{other}"), json!({ "content": "x" })).await.failed(),
        (403, 50_005)
    );
    assert_eq!(
        call(&discord, "DELETE", &format!("{path}/{other}"), Value::Null).await.failed(),
        (403, 50_013)
    );
    assert_eq!(call(&discord, "DELETE", &format!("{path}/{id}"), Value::Null).await.status, 204);
    assert_eq!(call(&discord, "GET", &format!("{path}/{id}"), Value::Null).await.failed(), (404, 10_008));
    assert!(discord.message(id).unwrap().deleted);
    assert_eq!(create(&discord, 1, json!({ "content": "x" })).await.failed(), (404, 10_003));
    assert_eq!(create(&discord, help, json!({ "content": "" })).await.failed(), (400, 50_006));
    let long = create(&discord, help, json!({ "content": "a".repeat(2001) })).await;
    expect![[r#"{"code":50035,"errors":{"content":{"_errors":[{"code":"BASE_TYPE_MAX_LENGTH","message":"Must be 2000 or fewer in length."}]}},"message":"Invalid Form Body"}"#]].assert_eq(&long.body.to_string());
    let head = "GET /api/v10/users/@me HTTP/1.1\r\nauthorization: Bot wrong";
    let refused = raw(&discord, head, b"").await.unwrap();
    assert_eq!((refused.status, refused.body), (401, json!({ "message": "401: Unauthorized", "code": 0 })));
}

#[tokio::test]
async fn history_pages_as_discord_does() {
    let discord = free().await;
    let help = discord.channel("help");
    let ids: Vec<u64> = (0..5).map(|it| discord.say("ana", help, &format!("m{it}"), None)).collect();
    let list = async |query: String| {
        let back = call(&discord, "GET", &format!("/channels/{help}/messages?{query}"), Value::Null).await;
        let all = back.body.as_array().unwrap().iter().map(|it| it["content"].as_str().unwrap().to_owned());
        all.collect::<Vec<_>>().join(" ")
    };
    assert_eq!(list("&limit=2".into()).await, "m4 m3");
    assert_eq!(list(format!("before={}&limit=2", ids[3])).await, "m2 m1");
    assert_eq!(list(format!("after={}&limit=2", ids[0])).await, "m2 m1");
    assert_eq!(list(format!("around={}&limit=3", ids[2])).await, "m3 m2 m1");
    let bad = call(&discord, "GET", &format!("/channels/{help}/messages?limit=101"), Value::Null).await;
    assert_eq!(bad.failed(), (400, 50_035));
}

#[tokio::test]
async fn pings_are_parsed_again_at_an_edit_unless_that_is_forbidden() {
    let discord = free().await;
    let help = discord.channel("help");
    let ana = discord.person("ana");
    let text = format!("<@{ana}> @everyone");
    let none = json!({ "parse": [] });
    let quiet = create(&discord, help, json!({ "content": text, "allowed_mentions": none })).await;
    assert!(discord.message(quiet.id()).unwrap().pinged.is_empty());
    assert_eq!(quiet.body["mentions"], json!([]));
    let path = format!("/channels/{help}/messages/{}", quiet.id());
    call(&discord, "PATCH", &path, json!({ "content": format!("{text}!"), "allowed_mentions": none })).await;
    assert!(discord.message(quiet.id()).unwrap().pinged.is_empty());
    call(&discord, "PATCH", &path, json!({ "content": format!("{text}?") })).await;
    // The bot's role cannot mention everyone by itself, but `@everyone` of the server may.
    assert_eq!(discord.message(quiet.id()).unwrap().pinged, ["ana", "@everyone"]);
    let asked = discord.say("ana", help, "q", None);
    let reply = json!({ "content": "a", "message_reference": { "message_id": asked.to_string() } });
    assert_eq!(discord.message(create(&discord, help, reply.clone()).await.id()).unwrap().pinged, ["ana"]);
    let mut silent = reply;
    silent["allowed_mentions"] = none;
    let shown = discord.message(create(&discord, help, silent).await.id()).unwrap();
    assert_eq!((shown.pinged.len(), shown.reply_to), (0, Some(asked)));
}

#[tokio::test]
async fn replies_to_lost_messages_and_without_history_fail_as_said() {
    let discord = free().await;
    let help = discord.channel("help");
    let asked = discord.say("ana", help, "q", None);
    let reply = |strict: bool| json!({ "content": "a", "message_reference": { "message_id": asked, "fail_if_not_exists": strict } });
    discord.deny(help, bits::READ_MESSAGE_HISTORY);
    assert_eq!(create(&discord, help, reply(true)).await.failed(), (400, 160_002));
    discord.deny(help, 0);
    discord.delete(asked);
    assert_eq!(create(&discord, help, reply(true)).await.failed(), (400, 50_035));
    assert_eq!(create(&discord, help, reply(false)).await.status, 200);
}

#[tokio::test]
async fn a_nonce_makes_a_repeat_harmless_even_when_the_answer_was_lost() {
    let discord = free().await;
    let help = discord.channel("help");
    discord.rest_fault(RestFault {
        method: None,
        route: "create".into(),
        times: 1,
        effect: RestEffect::Lost,
    });
    let body = json!({ "content": "once", "nonce": "n1", "enforce_nonce": true });
    let head =
        format!("POST /api/v10/channels/{help}/messages HTTP/1.1\r\nauthorization: Bot {}", discord.token());
    assert!(raw(&discord, &head, body.to_string().as_bytes()).await.is_none(), "no answer");
    let again = create(&discord, help, body).await;
    assert_eq!((again.status, again.body["nonce"].clone()), (200, json!("n1")));
    assert_eq!(discord.messages(help).len(), 1);
    let statuses: Vec<u16> = discord.requests().iter().map(|it| it.status).collect();
    assert_eq!(statuses, [0, 200]);
    assert_eq!(discord.requests()[0].summary, "content[4] enforce_nonce=true nonce[2]");
}

#[tokio::test]
async fn faults_strike_the_calls_they_name_and_are_used_up() {
    let discord = free().await;
    let help = discord.channel("help");
    let strike = |route: &str, effect| {
        discord.rest_fault(RestFault { method: None, route: route.into(), times: 1, effect });
    };
    strike("edit", RestEffect::Status(500));
    strike("create", RestEffect::Status(502));
    strike("/messages", RestEffect::RateLimited { retry_after: Duration::from_millis(500), global: false });
    strike("create", RestEffect::Delay(Duration::from_millis(60)));
    let first = create(&discord, help, json!({ "content": "x" })).await;
    assert_eq!((first.status, first.headers["content-type"].as_str()), (502, "text/html"));
    let second = create(&discord, help, json!({ "content": "x" })).await;
    assert_eq!((second.status, second.body["retry_after"].as_f64()), (429, Some(0.5)));
    assert_eq!(second.headers["retry-after"], "1");
    let start = tokio::time::Instant::now();
    let third = create(&discord, help, json!({ "content": "x" })).await;
    assert!(third.status == 200 && start.elapsed() >= Duration::from_millis(60));
    let edit = call(
        &discord,
        "PATCH",
        &format!("/channels/{help}/messages/{}", third.id()),
        json!({ "content": "y" }),
    )
    .await;
    assert_eq!(edit.status, 500);
    assert_eq!(discord.messages(help).len(), 1, "a refused call does nothing");
    assert_eq!(discord.counts("create"), [(200, 1), (429, 1), (502, 1)]);
}

#[tokio::test]
async fn five_messages_in_five_seconds_and_headers_that_say_so() {
    let discord = Discord::start(Options::default()).await.unwrap();
    let help = discord.channel("help");
    for left in (0..5).rev() {
        let back = create(&discord, help, json!({ "content": "x" })).await;
        assert_eq!((back.headers["x-ratelimit-remaining"].clone(), back.status), (left.to_string(), 200));
    }
    let sixth = create(&discord, help, json!({ "content": "x" })).await;
    assert_eq!(sixth.status, 429);
    assert_eq!(
        (sixth.headers["x-ratelimit-scope"].as_str(), sixth.body["global"].clone()),
        ("user", json!(false))
    );
    let wait = sixth.body["retry_after"].as_f64().unwrap();
    assert!((4.0..=5.0).contains(&wait), "{wait}");
    let other = create(&discord, discord.channel("open"), json!({ "content": "x" })).await;
    assert_eq!(other.headers["x-ratelimit-bucket"], sixth.headers["x-ratelimit-bucket"]);
    assert_eq!(other.status, 200);
}

#[tokio::test]
async fn rights_are_asked_for_everywhere() {
    let discord = free().await;
    let help = discord.channel("help");
    let thread = discord.start_thread("ana", help, None, "Plans");
    discord.deny(help, bits::SEND_MESSAGES);
    assert_eq!(create(&discord, help, json!({ "content": "x" })).await.failed(), (403, 50_013));
    assert_eq!(
        create(&discord, thread, json!({ "content": "x" })).await.status,
        200,
        "threads have a right of their own"
    );
    discord.deny(help, bits::SEND_MESSAGES_IN_THREADS);
    assert_eq!(create(&discord, thread, json!({ "content": "x" })).await.failed(), (403, 50_013));
    discord.deny(help, bits::VIEW_CHANNEL);
    assert_eq!(create(&discord, help, json!({ "content": "x" })).await.failed(), (403, 50_001));
    discord.deny(help, 0);
    let said = discord.say("ana", help, "x", None);
    let path = format!("/channels/{help}/messages/{said}/reactions/%F0%9F%91%8D/@me");
    assert_eq!(call(&discord, "PUT", &path, Value::Null).await.status, 204);
    assert_eq!(discord.message(said).unwrap().reactions, [("👍".to_owned(), 1)]);
    discord.deny(help, bits::ADD_REACTIONS);
    let path = path.replace("%8D", "%8E");
    assert_eq!(call(&discord, "PUT", &path, Value::Null).await.failed(), (403, 50_013));
}

#[tokio::test]
async fn threads_wake_lock_and_are_made_once_a_message() {
    let discord = free().await;
    let help = discord.channel("help");
    let said = discord.say("ana", help, "x", None);
    let path = format!("/channels/{help}/messages/{said}/threads");
    let made = call(&discord, "POST", &path, json!({ "name": "Plans" })).await;
    assert_eq!((made.status, made.id()), (201, said));
    assert_eq!(call(&discord, "POST", &path, json!({ "name": "Again" })).await.failed(), (400, 160_004));
    let mine = create(&discord, said, json!({ "content": "here" })).await.id();
    discord.archive(said, true, false);
    let edit = format!("/channels/{said}/messages/{mine}");
    assert_eq!(call(&discord, "PATCH", &edit, json!({ "content": "y" })).await.failed(), (400, 50_083));
    assert_eq!(create(&discord, said, json!({ "content": "wakes" })).await.status, 200);
    assert_eq!(call(&discord, "PATCH", &edit, json!({ "content": "y" })).await.status, 200);
    discord.deny(help, bits::MANAGE_THREADS);
    discord.archive(said, true, true);
    assert_eq!(create(&discord, said, json!({ "content": "x" })).await.failed(), (400, 50_083));
    let rename = call(&discord, "PATCH", &format!("/channels/{said}"), json!({ "name": "N" })).await;
    assert_eq!(rename.failed(), (400, 50_083));
    let guild = discord.guild();
    let active = call(&discord, "GET", &format!("/guilds/{guild}/threads/active"), Value::Null).await;
    assert_eq!(active.body["threads"], json!([]));
}

#[tokio::test]
async fn forum_posts_need_tags_where_the_forum_says_so_and_their_author_first() {
    let discord = free().await;
    let forum = discord.forum("ideas", &["rust"]);
    let path = format!("/channels/{forum}/threads");
    let post =
        |tags: Value| json!({ "name": "Title", "message": { "content": "text" }, "applied_tags": tags });
    discord.require_tag(forum, true);
    assert_eq!(call(&discord, "POST", &path, post(json!([]))).await.failed(), (400, 40_067));
    let about = call(&discord, "GET", &format!("/channels/{forum}"), Value::Null).await;
    let tag = about.body["available_tags"][0]["id"].clone();
    assert_eq!(call(&discord, "POST", &path, post(json!([tag, "1"]))).await.failed(), (400, 50_035));
    let made = call(&discord, "POST", &path, post(json!([tag]))).await;
    assert_eq!((made.status, made.body["message"]["id"].clone()), (201, made.body["id"].clone()));
    assert_eq!(create(&discord, forum, json!({ "content": "x" })).await.failed(), (400, 50_008));
    let open = discord.open_post("ana", forum, "Hers", &[]);
    assert_eq!(create(&discord, open, json!({ "content": "x" })).await.failed(), (400, 40_058));
    discord.first_message("ana", open, "now");
    assert_eq!(create(&discord, open, json!({ "content": "x" })).await.status, 200);
}

#[tokio::test]
async fn files_come_and_go() {
    let discord = free().await;
    let help = discord.channel("help");
    let body = "--b\r\nContent-Disposition: form-data; name=\"payload_json\"\r\n\r\n{\"content\":\"see\"}\r\n\
                --b\r\nContent-Disposition: form-data; name=\"files[0]\"; filename=\"answer.md\"\r\n\r\n# Long\r\n--b--\r\n";
    let head = format!(
        "POST /api/v10/channels/{help}/messages HTTP/1.1\r\nauthorization: Bot {}\r\ncontent-type: multipart/form-data; boundary=b",
        discord.token()
    );
    let made = raw(&discord, &head, body.as_bytes()).await.unwrap();
    assert_eq!(discord.message(made.id()).unwrap().attachments, ["answer.md"]);
    assert_eq!(discord.file(made.id(), "answer.md").unwrap(), b"# Long");
    let files = vec![("log.txt".to_owned(), b"line".to_vec())];
    let hers = discord.speak("ana", help, Speech { text: "look".into(), files, ..Speech::default() });
    let back = call(&discord, "GET", &format!("/channels/{help}/messages/{hers}"), Value::Null).await;
    assert_eq!(
        (back.body["attachments"][0]["size"].clone(), back.body["attachments"][0]["filename"].clone()),
        (json!(4), json!("log.txt"))
    );
}

#[tokio::test]
async fn the_application_tells_whether_it_may_read_content() {
    for (granted, flags) in [(true, 1_u64 << 19), (false, 0)] {
        let discord =
            Discord::start(Options { message_content: granted, ..Options::default() }).await.unwrap();
        let about = call(&discord, "GET", "/applications/@me", Value::Null).await;
        assert_eq!(about.body["flags"], flags);
        let (help, other) = (discord.channel("help"), discord.channel("open"));
        discord.say("ana", help, "secret", None);
        discord.say("ana", other, "@neverdark hi", None);
        let list = async |channel: u64| {
            let back = call(&discord, "GET", &format!("/channels/{channel}/messages"), Value::Null).await;
            back.body[0]["content"].as_str().unwrap().is_empty()
        };
        assert_eq!(list(help).await, !granted, "without the grant REST hides content, too");
        assert!(!list(other).await);
    }
}

#[tokio::test]
async fn the_page_lets_one_look_and_speak() {
    let discord = free().await;
    let help = discord.channel("help");
    let page = raw(&discord, "GET / HTTP/1.1", b"").await.unwrap();
    assert_eq!((page.status, page.headers["content-type"].as_str()), (200, "text/html; charset=utf-8"));
    let said = json!({ "person": "ana", "channel": help.to_string(), "text": "hi" }).to_string();
    let head = "POST /sim/say HTTP/1.1\r\ncontent-type: application/json";
    assert_eq!(raw(&discord, head, said.as_bytes()).await.unwrap().status, 200);
    let foreign = format!("{head}\r\norigin: http://evil.example");
    assert_eq!(raw(&discord, &foreign, said.as_bytes()).await.unwrap().status, 403);
    let state = raw(&discord, "GET /sim/state HTTP/1.1", b"").await.unwrap();
    assert_eq!(state.body["places"][0]["messages"][0]["text"], "hi");
}
