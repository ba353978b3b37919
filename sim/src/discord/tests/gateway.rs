//! The gateway: sessions, replays, faults and what each intent shows.

use super::{
    client::{Bot, INTENTS, call},
    free,
};
use crate::discord::{Discord, GatewayFault, Options, bits};
use serde_json::{Value, json};
use std::time::Duration;

#[tokio::test]
async fn a_session_gets_ready_its_servers_and_what_is_said() {
    let discord = free().await;
    let help = discord.channel("help");
    let mut bot = Bot::ready(&discord, INTENTS).await;
    let guild = bot.event("GUILD_CREATE").await;
    assert_eq!(
        (guild["name"].as_str(), guild["channels"][0]["name"].as_str()),
        (Some("Harbour"), Some("help"))
    );
    assert_eq!(bot.zipped, 2, "READY and GUILD_CREATE come compressed");
    let id = discord.say("ana", help, "@neverdark hi @moon", None);
    let said = bot.event("MESSAGE_CREATE").await;
    assert_eq!(said["id"], id.to_string());
    assert_eq!(said["content"], format!("<@{}> hi @moon", discord.bot().id));
    assert_eq!(said["mentions"][0]["username"], "neverdark");
    assert_eq!(discord.message(id).unwrap().pinged, ["neverdark"]);
    discord.connected().await;
    assert_eq!(discord.sessions().live, 1);
}

#[tokio::test]
async fn wrong_tokens_and_intents_are_closed_with_discords_codes() {
    let closed = async |discord: &Discord, body: Value| {
        let mut bot = Bot::connect(discord).await;
        bot.send(2, body).await;
        bot.next().await["closed"].clone()
    };
    let discord = Discord::start(Options { message_content: false, ..Options::default() }).await.unwrap();
    let token = discord.token().to_owned();
    assert_eq!(closed(&discord, json!({ "token": "x", "intents": 1 })).await, 4004);
    assert_eq!(closed(&discord, json!({ "token": token, "intents": 1_u64 << 40 })).await, 4013);
    assert_eq!(closed(&discord, json!({ "token": token, "intents": INTENTS })).await, 4014);
    assert_eq!(closed(&discord, json!({ "token": token, "intents": 1, "shard": [2, 2] })).await, 4010);
    assert_eq!(discord.sessions().last_fault, Some(4010));
    let mut bot = Bot::connect(&discord).await;
    bot.send(3, json!({})).await;
    assert_eq!(bot.next().await["closed"], 4003);
    let mut bot = Bot::connect(&discord).await;
    bot.send_raw(&"x".repeat(4097)).await;
    assert_eq!(bot.next().await["closed"], 4002);
}

#[tokio::test]
async fn too_many_payloads_are_4008_but_asked_heartbeats_are_free() {
    let discord = free().await;
    let mut bot = Bot::ready(&discord, 1 << 9).await;
    for _ in 0..200 {
        let (taken, ()) = tokio::join!(discord.barrier(), async {
            while bot.next().await["op"] != 1 {}
            let seq = bot.seq;
            bot.send(1, json!(seq)).await;
            assert_eq!(bot.next().await["op"], 11);
        });
        assert!(taken);
        discord.say("ana", discord.channel("help"), "x", None);
    }
    for _ in 0..130 {
        bot.send(3, json!({ "status": "idle", "activities": [] })).await;
    }
    loop {
        let payload = bot.next().await;
        if payload.get("closed").is_some() {
            assert_eq!(payload["closed"], 4008);
            break;
        }
    }
    assert_eq!(discord.presence().unwrap().0, "idle");
}

#[tokio::test]
async fn a_resume_replays_what_was_missed_in_order_and_then_says_so() {
    let discord = free().await;
    let help = discord.channel("help");
    for fault in [GatewayFault::Drop, GatewayFault::Reset, GatewayFault::Close(4000)] {
        let mut bot = Bot::ready(&discord, INTENTS).await;
        bot.event("GUILD_CREATE").await;
        discord.gateway(fault);
        let closed = bot.next().await["closed"].clone();
        assert_eq!(closed, if matches!(fault, GatewayFault::Close(_)) { json!(4000) } else { Value::Null });
        for text in ["one", "two"] {
            discord.say("ana", help, text, None);
        }
        let (session, seq) = bot.vanish();
        let mut again = Bot::connect(&discord).await;
        again.resume(&discord, &session, seq).await;
        assert_eq!(again.event("MESSAGE_CREATE").await["content"], "one");
        assert_eq!(again.next().await["d"]["content"], "two");
        assert_eq!(again.next().await["t"], "RESUMED");
        discord.say("ana", help, "three", None);
        assert_eq!(again.event("MESSAGE_CREATE").await["content"], "three");
    }
    assert_eq!((discord.sessions().identifies, discord.sessions().resumes), (3, 3));
}

#[tokio::test]
async fn ended_sessions_cannot_be_resumed() {
    let discord = free().await;
    for (fault, first) in [
        (
            GatewayFault::InvalidSession { resumable: false },
            json!({ "op": 9, "d": false, "s": null, "t": null }),
        ),
        (GatewayFault::Close(4009), json!({ "closed": 4009 })),
    ] {
        let mut bot = Bot::ready(&discord, 1 << 9).await;
        discord.gateway(fault);
        assert_eq!(bot.next().await, first);
        let (session, seq) = bot.vanish();
        let mut again = Bot::connect(&discord).await;
        again.resume(&discord, &session, seq).await;
        assert_eq!(again.next().await["d"], false);
    }
    let mut bot = Bot::ready(&discord, 1 << 9).await;
    discord.gateway(GatewayFault::InvalidSession { resumable: true });
    assert_eq!(bot.next().await["d"], true);
    let (session, seq) = (bot.session.clone(), bot.seq);
    bot.resume(&discord, &session, seq).await;
    assert_eq!(bot.next().await["t"], "RESUMED");
    discord.gateway(GatewayFault::Reconnect);
    assert_eq!(bot.next().await["op"], 7);
}

#[tokio::test]
async fn a_zombie_says_nothing_and_a_closed_door_resets() {
    let discord = free().await;
    let mut bot = Bot::ready(&discord, INTENTS).await;
    bot.event("GUILD_CREATE").await;
    discord.gateway(GatewayFault::Zombie(true));
    bot.send(1, json!(bot.seq)).await;
    discord.say("ana", discord.channel("help"), "hello?", None);
    let silence = tokio::time::timeout(Duration::from_millis(80), bot.next()).await;
    assert!(silence.is_err());
    assert!(!discord.barrier().await, "a frozen connection is told at once");
    discord.gateway(GatewayFault::Zombie(false));
    assert_eq!(bot.event("MESSAGE_CREATE").await["content"], "hello?");
    discord.gateway(GatewayFault::Refuse(true));
    let url = call(&discord, "GET", "/gateway", Value::Null).await.body["url"].as_str().unwrap().to_owned();
    let socket = tokio::net::TcpStream::connect(&url[5..]).await.unwrap();
    assert!(tokio_tungstenite::client_async(url.as_str(), socket).await.is_err());
}

#[tokio::test]
async fn without_the_content_intent_only_what_is_for_the_bot_has_content() {
    let discord = free().await;
    let help = discord.channel("help");
    let mut bot = Bot::ready(&discord, INTENTS & !(1 << 15)).await;
    bot.event("GUILD_CREATE").await;
    let mine = call(&discord, "POST", &format!("/channels/{help}/messages"), json!({ "content": "mine" }))
        .await
        .id();
    assert_eq!(bot.event("MESSAGE_CREATE").await["content"], "mine");
    let other = discord.say("bea", help, "secret", None);
    assert_eq!(bot.event("MESSAGE_CREATE").await["content"], "");
    discord.say("ana", help, "@neverdark look", Some(other));
    let asked = bot.event("MESSAGE_CREATE").await;
    assert!(asked["content"].as_str().unwrap().ends_with("look"));
    assert_eq!(asked["referenced_message"]["content"], "", "what it points at is not the bot's");
    discord.say("ana", help, "thanks", Some(mine));
    assert_eq!(bot.event("MESSAGE_CREATE").await["content"], "thanks", "a reply pings");
    discord.say("ana", discord.dm("ana"), "psst", None);
    let direct = bot.event("MESSAGE_CREATE").await;
    assert_eq!((direct["content"].as_str(), direct.get("guild_id")), (Some("psst"), None));
}

#[tokio::test]
async fn events_need_their_intents_and_the_right_to_see() {
    let discord = free().await;
    let (help, dm) = (discord.channel("help"), discord.dm("ana"));
    let mut bot = Bot::ready(&discord, 1 << 12 | 1 << 15).await;
    discord.say("ana", help, "in the channel", None);
    discord.say("ana", dm, "direct", None);
    assert_eq!(bot.until("direct").await, ["MESSAGE_CREATE"]);
    let mut bot = Bot::ready(&discord, INTENTS).await;
    discord.deny(help, bits::VIEW_CHANNEL);
    discord.say("ana", help, "unseen", None);
    discord.say("ana", discord.channel("open"), "seen", None);
    let names = bot.until("seen").await;
    assert_eq!(names.iter().filter(|it| *it == "MESSAGE_CREATE").count(), 1, "{names:?}");
}

#[tokio::test]
async fn a_forum_post_is_a_thread_and_then_its_message_with_the_same_id() {
    let discord = free().await;
    let forum = discord.forum("ideas", &["rust"]);
    let mut bot = Bot::ready(&discord, INTENTS).await;
    let post = discord.post("ana", forum, "Title", "@neverdark text", &["rust"]);
    let thread = bot.event("THREAD_CREATE").await;
    assert_eq!((&thread["newly_created"], &thread["type"]), (&json!(true), &json!(11)));
    assert_eq!(thread["applied_tags"].as_array().unwrap().len(), 1);
    let first = bot.event("MESSAGE_CREATE").await;
    assert_eq!(
        (first["id"].clone(), first["channel_id"].clone()),
        (json!(post.to_string()), json!(post.to_string()))
    );
    let started = discord.say("ana", discord.channel("help"), "let us talk", None);
    let thread = discord.start_thread("ana", discord.channel("help"), Some(started), "Plans");
    assert_eq!(thread, started);
    let starter = loop {
        let it = bot.event("MESSAGE_CREATE").await;
        if it["channel_id"].as_str() == Some(&thread.to_string()) {
            break it;
        }
    };
    assert_eq!(
        (&starter["type"], &starter["referenced_message"]["content"]),
        (&json!(21), &json!("let us talk"))
    );
}

#[tokio::test]
async fn clients_that_fall_silent_are_let_go() {
    let options = Options { heartbeat: Duration::from_millis(20), ..Options::default() };
    let discord = Discord::start(options).await.unwrap();
    let mut bot = Bot::ready(&discord, 1 << 9).await;
    assert_eq!(bot.next().await["closed"], 4009);
}

#[tokio::test]
async fn everything_ends_with_the_last_handle() {
    let discord = free().await;
    let mut bot = Bot::ready(&discord, INTENTS).await;
    let base = discord.base();
    let twin = discord.clone();
    drop(discord);
    twin.say("ana", twin.channel("help"), "still here", None);
    assert_eq!(bot.event("MESSAGE_CREATE").await["content"], "still here");
    drop(twin);
    assert_eq!(bot.next().await["closed"], Value::Null);
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(tokio::net::TcpStream::connect(base.replace("http://", "")).await.is_err());
}
