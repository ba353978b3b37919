//! `neverdark run` with something wrong: one clear sentence with the fix, exit code 2, and nothing is lost.

use super::bot::{Bot, Home, program};
use expect_test::{Expect, expect};
use sim::discord::Options;
use std::{fs, net::TcpListener};

/// What the program says at its end, with what differs from run to run replaced.
async fn refused(home: &Home, command: std::process::Command) -> String {
    let files = ["neverdark.toml", "letter.txt"].map(|it| home.path(it));
    let before = files.each_ref().map(|it| fs::read(it).ok());
    let ended = Bot::start(command, "").ended().await;
    assert_eq!(ended.code, Some(2), "{}", ended.stderr);
    assert_eq!(ended.stdout, "");
    assert_eq!(files.each_ref().map(|it| fs::read(it).ok()), before, "a file was changed");
    let start = if ended.stderr.starts_with("neverdark: ") {
        0
    } else {
        ended.stderr.find("\nneverdark: ").unwrap_or(0) + 1
    };
    let folder = home.path("").display().to_string();
    ended.stderr[start..].replace(folder.trim_end_matches('/'), "DIR")
}

async fn check(settings: &[(&str, &str)], expected: Expect) {
    let home = Home::new("alpha: 'Hello.'").await;
    fs::create_dir(home.path("folder")).expect("the folder can be written");
    fs::write(home.path("letter.txt"), "A letter to my aunt, and no database at all. ".repeat(50))
        .expect("the folder can be written");
    let mut command = home.command(&["run"]);
    command.envs(settings.iter().copied());
    expected.assert_eq(&refused(&home, command).await);
}

/// With another configuration file.
async fn check_file(change: impl Fn(String) -> String, expected: Expect) {
    let home = Home::new("alpha: 'Hello.'").await;
    fs::write(home.path("neverdark.toml"), change(home.config())).expect("the folder can be written");
    expected.assert_eq(&refused(&home, home.command(&["run"])).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_token() {
    check(&[("DISCORD_TOKEN", "")], expect![[r#"
        neverdark: 1 problem in the configuration:
          1. the bot has no token: DISCORD_TOKEN is not set
             Take the token from https://discord.com/developers/applications (your application, Bot, Reset Token) and set DISCORD_TOKEN to it, or name a file with it in discord.token_file.
    "#]]).await;
    let home = Home::new("alpha: 'Hello.'").await;
    let mut command = home.command(&["run"]);
    command.env_remove("DISCORD_TOKEN");
    expect![[r#"
        neverdark: 1 problem in the configuration:
          1. the bot has no token: DISCORD_TOKEN is not set
             Take the token from https://discord.com/developers/applications (your application, Bot, Reset Token) and set DISCORD_TOKEN to it, or name a file with it in discord.token_file.
    "#]].assert_eq(&refused(&home, command).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_token() {
    check(&[("DISCORD_TOKEN", "another.bots.token")], expect![[r#"
        neverdark: Discord does not accept the bot's token. Reset it in the Developer Portal (Bot → Reset Token) and set it anew
    "#]]).await;
    check(&[("DISCORD_TOKEN", "grüße\nan.alle")], expect![[r#"
        neverdark: 1 problem in the configuration:
          1. what DISCORD_TOKEN holds cannot be a token: it has spaces or strange characters in it
             Take the token from https://discord.com/developers/applications (your application, Bot, Reset Token) again.
    "#]]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_intent_that_was_not_granted() {
    let home = Home::with("alpha: 'Hello.'", Options { message_content: false, ..Options::default() }).await;
    expect![[r#"
        neverdark: Discord does not grant this bot the intent to read messages. Switch on "Message Content Intent" in the Developer Portal (Bot → Privileged Gateway Intents), or set discord.message_content = false to work with mentions, replies, direct messages and commands only
    "#]].assert_eq(&refused(&home, home.command(&["run"])).await);
    let bot = home.serve(&[("NEVERDARK__DISCORD__MESSAGE_CONTENT", "false")]).await;
    assert_eq!(bot.stop().await.code, Some(0), "without it the bot works");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_that_are_not_there() {
    check_file(
        |it| it.replace("strategy", "stratgy").replace("edit_interval", "edit_intervall"),
        expect![[r#"
            neverdark: 2 problems in DIR/neverdark.toml:
              1. DIR/neverdark.toml:4: unknown key `chat.edit_intervall`: did you mean `edit_interval`?
                 Write `edit_interval`, or remove it.
              2. DIR/neverdark.toml:7: unknown key `router.stratgy`: did you mean `strategy`?
                 Write `strategy`, or remove it.
        "#]],
    )
    .await;
    check(&[("NEVERDARK__CHAT__FOOTERS", "always")], expect![[r#"
        neverdark: 1 problem in the configuration:
          1. environment variable NEVERDARK__CHAT__FOOTERS: there is no setting `chat.footers`: did you mean NEVERDARK__CHAT__FOOTER?
             Rename the variable to NEVERDARK__CHAT__FOOTER, or unset it.
    "#]]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn values_that_make_no_sense() {
    check_file(
        |it| it.replace("\"30ms\"", "\"soon\"").replace("\"priority\"", "\"priorities\""),
        expect![[r#"
            neverdark: 2 problems in DIR/neverdark.toml:
              1. DIR/neverdark.toml:4: `chat.edit_interval`: `soon` is not a time such as "1200ms", "15m" or "30d"
                 For example: edit_interval = "1200ms"
              2. DIR/neverdark.toml:7: `router.strategy`: `priorities` is not one of priority, race, hedged, weighted, round-robin, fastest, cheapest, adaptive; did you mean `priority`?
                 For example: strategy = "hedged"
        "#]],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn toml_that_is_none() {
    check_file(
        |it| it.replace("[router]", "[router"),
        expect![[r#"
            neverdark: 1 problem in DIR/neverdark.toml:
              1. DIR/neverdark.toml:6:8: this is not TOML: unclosed table, expected `]`
                 Text goes in quotes, a list in [ ], and each setting on a line of its own: key = value.
        "#]],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_is_not_there() {
    let home = Home::new("alpha: 'Hello.'").await;
    let command = program(&home.path(""), &["run", "--config", "nowhere.toml"]);
    expect![[r#"
        neverdark: 1 problem in the configuration:
          1. the configuration file nowhere.toml cannot be read: No such file or directory (os error 2)
             Check the path after --config.
    "#]]
    .assert_eq(&refused(&home, command).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_to_ask() {
    let home = Home::new("alpha: 'Hello.'").await;
    let mut command = program(&home.path("folder/.."), &["run"]);
    fs::create_dir(home.path("folder")).expect("the folder can be written");
    command.env("DISCORD_TOKEN", home.stage.discord.token()).env("NEVERDARK__STATUS__LISTEN", "off");
    expect![[r#"
        neverdark: 1 problem in the configuration:
          1. there is no provider, so nobody can answer: no table names one, no vendor's key makes one, and router.local_servers names no address to look at
             Set a vendor's key, such as OPENAI_API_KEY or ANTHROPIC_API_KEY, add a [[providers]] table to the configuration file, or start a local server before Neverdark.
    "#]]
    .assert_eq(&refused(&home, command).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn databases_that_cannot_be_used() {
    check(&[("NEVERDARK__STORE__URL", "sqlite://folder")], expect![[r#"
        neverdark: the database folder is a folder: let store.url name a file in it, such as `sqlite://folder/neverdark.db`
    "#]]).await;
    check(&[("NEVERDARK__STORE__URL", "sqlite://letter.txt")], expect![[r#"
        neverdark: the database letter.txt is not a SQLite file: let store.url name another file; this one was left as it is
    "#]]).await;
    check(&[("NEVERDARK__STORE__URL", "sqlite://letter.txt/neverdark.db")], expect![[r#"
        neverdark: the database letter.txt/neverdark.db cannot be opened for writing (File exists): let its folder exist and belong to the user that neverdark runs as, or change store.url
    "#]]).await;
    check(
        &[("NEVERDARK__STORE__URL", "postgres://localhost/neverdark")],
        expect![[r#"
        neverdark: 1 problem in the configuration:
          1. environment variable NEVERDARK__STORE__URL: `store.url` must begin with sqlite: and name a file
             Write "sqlite://neverdark.db", or "sqlite::memory:" to keep nothing.
    "#]],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_another_bot_has() {
    let home = Home::new("alpha: 'Hello.'").await;
    let bot = home.serve(&[]).await;
    expect![[r#"
        neverdark: the database data/neverdark.db is in use by another neverdark: stop that one first, or give this one its own store.url
    "#]].assert_eq(&refused(&home, home.command(&["run"])).await);
    assert_eq!(bot.stop().await.code, Some(0), "the first one goes on");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_port_that_is_taken() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = taken.local_addr().expect("it is bound").to_string();
    let home = Home::new("alpha: 'Hello.'").await;
    let mut command = home.command(&["run"]);
    command.env("NEVERDARK__STATUS__LISTEN", &address);
    expect![[r#"
        neverdark: status.listen: cannot listen on ADDRESS: Address already in use (os error 98). Another program has the port, or the address is not this machine's; choose another one
    "#]].assert_eq(&refused(&home, command).await.replace(&address, "ADDRESS"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn arguments_that_are_none() {
    let home = Home::new("alpha: 'Hello.'").await;
    for arguments in [&["runn"][..], &[], &["run", "--port", "3"], &["stats", "--since", "soon"]] {
        let ended = Bot::start(home.command(arguments), "").ended().await;
        assert_eq!((ended.code, ended.stdout.as_str()), (Some(2), ""), "{arguments:?}: {}", ended.stderr);
    }
}
