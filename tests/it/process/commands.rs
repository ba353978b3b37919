//! The commands beside `run`: what stands on stdout, what on stderr, and the exit codes.

use super::bot::{Bot, Ended, Home, until};
use expect_test::{Expect, expect};
use serde_json::{Value, json};
use sim::discord::Options;
use std::fs;

async fn done(home: &Home, arguments: &[&str]) -> Ended {
    Bot::start(home.command(arguments), "").ended().await
}

/// What it says, with what differs from run to run replaced.
async fn check(home: &Home, arguments: &[&str], code: i32, expected: Expect) {
    let ended = done(home, arguments).await;
    expected.assert_eq(&steady(home, &ended.stdout));
    assert_eq!(ended.code, Some(code), "{}", ended.stderr);
}

fn steady(home: &Home, text: &str) -> String {
    let folder = home.path("").display().to_string();
    let text = text
        .replace(folder.trim_end_matches('/'), "DIR")
        .replace(&home.stage.discord.base(), "BASE")
        .replace(&home.stage.discord.bot().id.to_string(), "ID");
    let roles = home.stage.providers.roles();
    roles.iter().fold(text, |text, it| text.replace(&it.base_url, &format!("URL-OF-{}", it.name)))
}

fn json_of(ended: &Ended) -> Value {
    serde_json::from_str(&ended.stdout).expect("stdout holds JSON and nothing else")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn check_finds_nothing() {
    let home = Home::new("alpha: 'Hello.'").await;
    check(&home, &["check"], 0, expect![[r#"
        ok       configuration: DIR/neverdark.toml
        ok       provider alpha (alpha-1) is there
        ok       store: sqlite://data/neverdark.db can be written
        ok       Discord: the token is that of neverdark
        ok       Discord: the message content intent is granted
        warning  it is not known whether models are trained on what is sent to: alpha. Discord's terms let messages go only to providers that have agreed in writing to use them for you alone (Developer Terms 5b and 12a), and forbid training models on them (Developer Policy 21).
                 Look it up in the terms of your plan, then set trains_on_data = false (or true) in the provider's table.

        Invite the bot with: https://discord.com/oauth2/authorize?client_id=ID&scope=bot+applications.commands&permissions=274878024704

        No problems.
    "#]]).await;
    let ended = done(&home, &["check", "--json"]).await;
    assert_eq!((ended.code, json_of(&ended)["ok"].as_bool()), (Some(0), Some(true)), "{}", ended.stdout);
    assert!(json_of(&ended)["invite"].as_str().is_some_and(|it| it.contains("client_id=")));
    assert_eq!(home.stage.discord.sessions().connections, 0, "looking is not connecting");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn check_finds_everything_at_once() {
    let options = Options { message_content: false, ..Options::default() };
    let home = Home::with("alpha: 'Hello.' | beta: 'Hello.' | gamma: refuse", options).await;
    home.stage.providers.health("beta", false).expect("beta is there");
    fs::create_dir_all(home.path("data/neverdark.db")).expect("the folder can be written");
    check(&home, &["check"], 2, expect![[r#"
        ok       configuration: DIR/neverdark.toml
        ok       provider alpha (alpha-1) is there
        ok       Discord: the token is that of neverdark
        warning  it is not known whether models are trained on what is sent to: alpha, beta, gamma. Discord's terms let messages go only to providers that have agreed in writing to use them for you alone (Developer Terms 5b and 12a), and forbid training models on them (Developer Policy 21).
                 Look it up in the terms of your plan, then set trains_on_data = false (or true) in the provider's table.
        PROBLEM  provider beta was overloaded (overloaded (HTTP 503): service_unavailable). Check its base_url, its key and its model
        PROBLEM  provider gamma could not be reached (connection: refused). Check its base_url, its key and its model
        PROBLEM  the database data/neverdark.db is a folder: let store.url name a file in it, such as `sqlite://data/neverdark.db/neverdark.db`
        PROBLEM  Discord: the message content intent is not granted. Switch on "Message Content Intent" in the Developer Portal (Bot → Privileged Gateway Intents), or set discord.message_content = false

        Invite the bot with: https://discord.com/oauth2/authorize?client_id=ID&scope=bot+applications.commands&permissions=274878024704

        4 problems.
    "#]]).await;
    let ended = done(&home, &["check", "--json"]).await;
    assert_eq!(json_of(&ended)["problems"].as_array().map(Vec::len), Some(4), "{}", ended.stdout);
    assert_eq!(ended.code, Some(2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn check_names_a_wrong_token_and_wrong_settings() {
    let home = Home::new("alpha: 'Hello.'").await;
    let mut command = home.command(&["check"]);
    command.env("DISCORD_TOKEN", "another.bots.token");
    let ended = Bot::start(command, "").ended().await;
    expect![[r#"
        ok       configuration: DIR/neverdark.toml
        ok       provider alpha (alpha-1) is there
        ok       store: sqlite://data/neverdark.db can be written
        warning  it is not known whether models are trained on what is sent to: alpha. Discord's terms let messages go only to providers that have agreed in writing to use them for you alone (Developer Terms 5b and 12a), and forbid training models on them (Developer Policy 21).
                 Look it up in the terms of your plan, then set trains_on_data = false (or true) in the provider's table.
        PROBLEM  Discord does not accept the bot's token. Reset it in the Developer Portal (Bot → Reset Token) and set it anew

        1 problem.
    "#]].assert_eq(&steady(&home, &ended.stdout));
    assert_eq!(ended.code, Some(2));
    fs::write(home.path("neverdark.toml"), home.config().replace("strategy", "stratgy")).expect("writable");
    check(&home, &["check", "--json"], 2, expect![[r#"
        {"good":[],"invite":null,"notes":[],"ok":false,"problems":["DIR/neverdark.toml:7: unknown key `router.stratgy`: did you mean `strategy`?\nWrite `strategy`, or remove it."],"providers":[],"warnings":[]}
    "#]]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn check_offline_asks_nobody() {
    let home = Home::new("alpha: refuse").await;
    check(
        &home,
        &["check", "--offline"],
        0,
        expect![[r#"
            ok       configuration: DIR/neverdark.toml
            ok       providers: alpha
            ok       store: sqlite://data/neverdark.db can be written
            ok       Discord: a token is set
            warning  it is not known whether models are trained on what is sent to: alpha. Discord's terms let messages go only to providers that have agreed in writing to use them for you alone (Developer Terms 5b and 12a), and forbid training models on them (Developer Policy 21).
                     Look it up in the terms of your plan, then set trains_on_data = false (or true) in the provider's table.

            No problems.
        "#]],
    )
    .await;
    assert_eq!(home.stage.discord.requests(), []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_ledger_can_be_read_while_the_bot_runs() {
    let home = Home::new("alpha: 429 | beta: 'Hello.'").await;
    let before = done(&home, &["stats"]).await;
    assert_eq!(before.code, Some(2), "there is no database yet: {}", before.stderr);
    let harbour = home.stage.discord.channel("harbour");
    let bot = home.serve(&[]).await;
    home.stage.discord.say("ana", harbour, "@neverdark hi", None);
    home.shown(harbour, "Hello.").await;
    // An attempt's row is there within a second of its end.
    let rows = until("both calls are in the ledger", async || {
        let rows = json_of(&done(&home, &["stats", "--json"]).await);
        (rows.as_array().map(Vec::len) == Some(2)).then_some(rows)
    });
    let rows = rows.await;
    let words: Vec<_> = rows
        .as_array()
        .into_iter()
        .flatten()
        .map(|it| json!([it["provider"], it["answered"], it["failures"]]))
        .collect();
    assert_eq!(json!(words), json!([["alpha", 0, {"rate_limited": 1}], ["beta", 1, {}]]));
    let table = done(&home, &["stats", "--since", "1h"]).await;
    assert!(table.stdout.starts_with("provider "), "{}", table.stdout);
    check(
        &home,
        &["check", "--offline"],
        0,
        expect![[r#"
            ok       configuration: DIR/neverdark.toml
            ok       providers: alpha, beta
            ok       store: sqlite://data/neverdark.db is in use by a running bot
            ok       Discord: a token is set
            warning  it is not known whether models are trained on what is sent to: alpha, beta. Discord's terms let messages go only to providers that have agreed in writing to use them for you alone (Developer Terms 5b and 12a), and forbid training models on them (Developer Policy 21).
                     Look it up in the terms of your plan, then set trains_on_data = false (or true) in the provider's table.

            No problems.
        "#]],
    )
    .await;
    assert_eq!(bot.stop().await.code, Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ask_streams_the_answer() {
    let home = Home::new("alpha: 'One two three four five six.' stall after=1").await;
    let mut command = home.command(&["ask", "count, please"]);
    command.env("NEVERDARK__ROUTER__STALL_TIMEOUT", "60s");
    let bot = Bot::start(command, "");
    until("the first word is there", async || bot.said().contains("One").then_some(())).await;
    bot.signal("INT");
    let ended = bot.ended().await;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert!(!ended.stdout.contains("six"), "the rest was never sent: {}", ended.stdout);
    let home = Home::new("alpha: pace=1ms 'One two three four five six.'").await;
    let ended = done(&home, &["ask", "count, please"]).await;
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(0), "One two three four five six.\n"));
    assert!(ended.stderr.starts_with("neverdark: answered by alpha (turn "), "{}", ended.stderr);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ask_says_who_failed_on_stderr() {
    let home = Home::new("alpha: 401 | beta: 'Hello from beta.'").await;
    let ended = done(&home, &["ask", "hi"]).await;
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(0), "Hello from beta.\n"));
    expect![[r#"
        neverdark: alpha failed: auth (HTTP 401): invalid_api_key
        neverdark: answered by beta (turn <id>)
    "#]]
    .assert_eq(&without_id(&ended.stderr));
    let ended = done(&home, &["ask", "hi", "--json"]).await;
    let answer = json_of(&ended);
    assert_eq!((&answer["provider"], &answer["answer"]), (&json!("beta"), &json!("Hello from beta.")));
    assert_eq!(answer["attempts"][0]["failure"], json!("auth"), "{answer}");
    assert_eq!(done(&home, &["ask", "hi", "--provider", "beta"]).await.stderr.lines().count(), 1);
}

/// `turn abcdefghjk` and `-# abcdefghjk` with the id replaced.
fn without_id(text: &str) -> String {
    let is_id =
        |it: &str| it.len() == 10 && it.chars().all(|it| it.is_ascii_lowercase() || it.is_ascii_digit());
    let known = text.split(|it: char| !it.is_ascii_alphanumeric()).filter(|it| is_id(it));
    let after = |id: &&str| text.contains(&format!("turn {id}")) || text.contains(&format!("-# {id}"));
    known.filter(after).fold(text.to_owned(), |text, id| text.replace(id, "<id>"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ask_reads_stdin() {
    let home = Home::new("alpha: echo").await;
    let ended = Bot::start(home.command(&["ask", "-"]), "a question from a pipe").ended().await;
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(0), "You said: a question from a pipe\n"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ask_when_nobody_answers() {
    let home = Home::new("alpha: 500 | beta: refuse").await;
    let mut command = home.command(&["ask", "hi"]);
    command.env("NEVERDARK__ROUTER__ATTEMPTS_PER_PROVIDER", "1");
    let ended = Bot::start(command, "").ended().await;
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(3), ""));
    expect![[r#"
        neverdark: alpha failed: server_error (HTTP 500): server_error
        neverdark: beta failed: connection: refused
        neverdark: I can't reach any model right now (2 tried). Please try again in a moment.
        -# <id>
    "#]]
    .assert_eq(&without_id(&ended.stderr));
    let ended = done(&home, &["ask", "hi", "--json"]).await;
    assert_eq!((ended.code, &json_of(&ended)["answer"]), (Some(3), &Value::Null));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ask_an_unknown_provider() {
    let home = Home::new("alpha: 'Hello.' | beta: 'Hello.'").await;
    let ended = done(&home, &["ask", "hi", "--provider", "gamma"]).await;
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(2), ""));
    expect![[r#"
        neverdark: there is no provider named gamma; configured are: alpha, beta
    "#]]
    .assert_eq(&ended.stderr);
    assert_eq!(home.stage.providers.calls("alpha").len(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_that_has_gone_is_no_reason_to_panic() {
    let home = Home::new("alpha: 'Hello, and good night.'").await;
    let demo = home.path("short.scene");
    fs::write(&demo, "cast alpha: 'Hello.'\nana in #harbour: @neverdark hi\n").expect("writable");
    let demo = demo.display().to_string();
    for arguments in [
        &["ask", "hi"][..],
        &["ask", "hi", "--json"],
        &["check", "--offline"],
        &["config", "show"],
        &["demo", &demo],
        &["--help"],
    ] {
        // That nothing panicked is looked at there.
        let ended = Bot::unheard(home.command(arguments)).ended().await;
        assert!(ended.code.is_some(), "{arguments:?}: {ended:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_config_shows_can_be_read_back() {
    let home = Home::new("alpha: 'Hello.' | beta: 'Hello.'").await;
    let first = done(&home, &["config", "show"]).await;
    assert_eq!((first.code, first.stderr.as_str()), (Some(0), ""));
    assert!(!first.stdout.contains(home.stage.discord.token()), "the token is shown");
    fs::write(home.path("neverdark.toml"), &first.stdout).expect("writable");
    let again = done(&home, &["config", "show"]).await;
    assert_eq!(again.stderr, "");
    assert_eq!(again.stdout, first.stdout);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commands_are_registered_when_they_changed_and_after_a_failure() {
    let home = Home::new("alpha: echo").await;
    let discord = &home.stage.discord;
    let harbour = discord.channel("harbour");
    let registered = async |question: &str| {
        let bot = home.serve(&[]).await;
        discord.say("ana", harbour, &format!("@neverdark {question}"), None);
        home.shown(harbour, &format!("You said: {question}")).await;
        let log = bot.stop().await.stderr;
        (discord.counts("set commands"), log.contains("the commands could not be registered"))
    };
    let effect = sim::discord::RestEffect::Status(403);
    discord.rest_fault(sim::discord::RestFault {
        route: "set commands".to_owned(),
        method: None,
        effect,
        times: 1,
    });
    assert_eq!(registered("one").await, (vec![(403, 1)], true));
    assert_eq!(registered("two").await, (vec![(200, 1), (403, 1)], false), "it is tried again");
    assert_eq!(registered("three").await, (vec![(200, 1), (403, 1)], false), "nothing has changed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_is_shown_and_forgotten_from_the_command_line() {
    let home = Home::new("alpha: 'Hello.'").await;
    let harbour = home.stage.discord.channel("harbour");
    let ana = home.stage.discord.person("ana").to_string();
    let bot = home.serve(&[]).await;
    home.stage.discord.say("ana", harbour, "@neverdark remember the zebra", None);
    home.shown(harbour, "Hello.").await;
    let told = done(&home, &["privacy", "export", "--user", &ana]).await;
    assert_eq!(
        (told.code, json_of(&told)["messages"][0]["text"].as_str()),
        (Some(0), Some("remember the zebra"))
    );
    let busy = done(&home, &["privacy", "forget", "--user", &ana]).await;
    assert_eq!(busy.code, Some(2), "{}", busy.stderr);
    assert!(busy.stderr.contains("in use"), "{}", busy.stderr);
    bot.stop().await;
    check(
        &home,
        &["privacy", "forget", "--user", &ana],
        0,
        expect![[r#"
        Forgotten. Lines: 2. Turns: 1. Votes: 0.
    "#]],
    )
    .await;
    let told = done(&home, &["privacy", "export", "--user", &ana]).await;
    assert_eq!(json_of(&told)["messages"], json!([]));
    let bytes = fs::read(home.path("data/neverdark.db")).expect("the database is there");
    assert!(memchr::memmem::find(&bytes, b"zebra").is_none());
}
