//! How providers are found, and what `neverdark providers` says of them.

use super::{
    bot::{Bot, Ended, Home, PATIENCE, program, until},
    demo::without_times,
};
use expect_test::{Expect, expect};
use neverdark::{
    message::UnixMillis,
    outcome::{Failure, Rest},
    store::Store,
};
use serde_json::{Value, json};
use std::{
    fs,
    io::{Read, Write as _},
    net::TcpListener,
    process::Command,
    thread,
};
use tempfile::TempDir;
use tokio::time::Instant;

/// What a program says that is no provider: it has the port, and answers everything with a page.
fn web_page() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = origin(&listener);
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _ = stream.read(&mut [0; 4096]);
            let page = "<!DOCTYPE html><h1>Hello</h1>";
            let _ = write!(
                stream,
                "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{page}",
                page.len()
            );
        }
    });
    address
}

fn origin(listener: &TcpListener) -> String {
    format!("http://{}", listener.local_addr().expect("it is bound"))
}

/// An address where nobody listens.
fn nobody() -> String {
    origin(&TcpListener::bind("127.0.0.1:0").expect("a port is free"))
}

/// A stage of which the program knows nothing but where a local server may be.
struct Found {
    home: Home,
    folder: TempDir,
    addresses: Vec<String>,
}

impl Found {
    async fn new(cast: &str) -> Self {
        let home = Home::new(cast).await;
        let roles = home.stage.providers.roles();
        let addresses = roles.iter().map(|it| it.base_url.trim_end_matches("/v1").to_owned()).collect();
        Self { home, folder: TempDir::new().expect("a temporary folder"), addresses }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = program(self.folder.path(), arguments);
        command.env("NEVERDARK__ROUTER__LOCAL_SERVERS", self.addresses.join(","));
        command.env("NEVERDARK__STATUS__LISTEN", "off");
        command.env("DISCORD_TOKEN", self.home.stage.discord.token());
        command.env("NEVERDARK__DISCORD__API_BASE", self.home.stage.discord.base());
        // Whatever is sent to a vendor ends there.
        command.env("HTTPS_PROXY", nobody());
        command
    }

    /// Runs it until it finds so many servers: on a busy machine they may not answer in time.
    async fn finds(&self, count: usize, command: impl Fn() -> Command) -> Ended {
        until("the local servers are found", async || {
            let ended = Bot::start(command(), "").ended().await;
            (ended.stdout.matches("local_server\"").count() == count).then_some(ended)
        })
        .await
    }

    /// With the addresses by their places.
    fn steady(&self, text: &str) -> String {
        let addresses = self.addresses.iter().enumerate();
        addresses.fold(text.to_owned(), |text, (place, it)| text.replace(it, &format!("http://{place}")))
    }
}

fn json_of(ended: &Ended) -> Value {
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    serde_json::from_str(&ended.stdout).expect("stdout holds JSON and nothing else")
}

/// Without what differs from run to run and from system to system.
fn steady(home: &Home, text: &str) -> String {
    let folder = home.path("").display().to_string();
    let roles = home.stage.providers.roles();
    let text = roles.iter().fold(text.to_owned(), |text, it| text.replace(&it.base_url, "URL"));
    without_times(&text.replace(folder.trim_end_matches('/'), "DIR"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn local_servers_are_found_and_answer() {
    let found = Found::new(
        "alpha: model=nomic-embed-text,qwen2.5-0.5b window=4096 'Hello from here.' | beta: kind=ollama model=llama3.2 'Hi.'",
    )
    .await;
    let all = found.finds(2, || found.command(&["providers", "--json"])).await;
    let providers = json_of(&all)["providers"].clone();
    let short = |it: &Value| {
        let keys = [
            "name",
            "kind",
            "base_url",
            "model",
            "context_window",
            "context_window_from",
            "trains_on_data",
            "ready",
        ];
        keys.map(|key| it[key].to_string()).join(" ")
    };
    let shown: Vec<_> = providers.as_array().expect("a list").iter().map(short).collect();
    expect![[r#"
        "local" "openai" "http://0/v1" "qwen2.5-0.5b" 4096 "server" false true
        "local-2" "ollama" "http://1" "llama3.2:latest" 8192 "usual" false true"#]]
    .assert_eq(&found.steady(&shown.join("\n")));
    expect![[
        r#""no table names a provider; local servers are in the list: local (http://0, qwen2.5-0.5b), local-2 (http://1, llama3.2:latest)""#
    ]]
    .assert_eq(&found.steady(&json_of(&all)["notes"][0].to_string()));

    let answered = until("it is found and asked", async || {
        let ended = Bot::start(found.command(&["ask", "hi"]), "").ended().await;
        (ended.code == Some(0)).then_some(ended)
    })
    .await;
    assert_eq!(answered.stdout, "Hello from here.\n");
    assert_eq!(found.home.stage.providers.calls("alpha")[0].body["model"], json!("qwen2.5-0.5b"));
    let checked = Bot::start(found.command(&["check"]), "").ended().await;
    assert!(checked.stdout.contains("provider local (qwen2.5-0.5b) is there"), "{}", checked.stdout);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_comes_before_a_local_server() {
    let found = Found::new("alpha: 'Hello from here.'").await;
    let command = || {
        let mut command = found.command(&["providers", "--json"]);
        command.env("GROQ_API_KEY", "gsk-verysecret");
        command
    };
    let all = found.finds(1, command).await;
    assert!(!format!("{all:?}").contains("verysecret"));
    let all = json_of(&all);
    let names = |key: &str| [all["providers"][0][key].clone(), all["providers"][1][key].clone()];
    assert_eq!(names("name"), [json!("groq"), json!("local")]);
    assert_eq!(names("ready"), [json!(false), json!(true)]);
    assert_eq!(all["providers"][0]["found"], json!({"in": "key", "at": "GROQ_API_KEY"}));
    assert_eq!(all["providers"][0]["key"], json!({"variable": "GROQ_API_KEY", "file": null, "is_set": true}));
    assert_eq!(all["providers"][0]["failure"], json!("connection"));
    assert_eq!(all["notes"].as_array().map(Vec::len), Some(2), "{all}");
    // By the operator's order it comes first; and a table ends all looking.
    let ordered = || {
        let mut command = command();
        command.env("NEVERDARK__ROUTER__ORDER", "local,groq");
        command
    };
    let all = json_of(&found.finds(1, ordered).await);
    assert_eq!(all["providers"][0]["name"], json!("local"));
    let mut command = command();
    command.env("NEVERDARK__PROVIDERS__0__NAME", "groq");
    let all = json_of(&Bot::start(command, "").ended().await);
    assert_eq!((all["providers"].as_array().map(Vec::len), &all["notes"]), (Some(1), &json!([])));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_provider_is_named() {
    let mut found = Found::new(
        "alpha: silent | beta: key=sk-1 'x' | gamma: kind=ollama model=nomic-embed-text,gpt-oss:20b-cloud 'x'",
    )
    .await;
    found.addresses.extend([web_page(), nobody()]);
    let expected = expect![[r#"
        neverdark: 1 problem in the configuration:
          1. there is no provider, so nobody can answer: no table names one, no vendor's key makes one, and no local server with a model was found at http://0 (no answer within half a second), http://1 (it wants a key, so it needs a table), http://2 (has no model that can chat here), http://3 (what answers there lists no models), http://4
             Set a vendor's key, such as OPENAI_API_KEY or ANTHROPIC_API_KEY, add a [[providers]] table to the configuration file, or start a local server before Neverdark.
    "#]];
    for arguments in [
        &["providers"][..],
        &["providers", "--json"],
        &["ask", "hi"],
        &["run"],
        &["demo", "--providers", "config"],
    ] {
        let said = until("all that answer do so in time", async || {
            let began = Instant::now();
            let ended = Bot::start(found.command(arguments), "").ended().await;
            assert_eq!((ended.code, ended.stdout.as_str()), (Some(2), ""), "{arguments:?}");
            assert!(began.elapsed() < PATIENCE / 3, "{arguments:?} took {:?}", began.elapsed());
            (ended.stderr.matches("no answer").count() == 1).then_some(ended.stderr)
        })
        .await;
        expected.assert_eq(&found.steady(&said));
    }
    let ended = Bot::start(found.command(&["check", "--json"]), "").ended().await;
    assert_eq!(ended.code, Some(2));
    assert_eq!(ended.stdout.matches("nobody can answer").count(), 1, "{}", ended.stdout);
}

/// What `providers` prints.
async fn check(home: &Home, arguments: &[&str], expected: Expect) {
    let ended = Bot::start(home.command(&[&["providers"], arguments].concat()), "").ended().await;
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""), "{}", ended.stdout);
    let long = ended.stdout.lines().find(|it| it.chars().count() > 100);
    assert_eq!(long.filter(|it| !it.contains('/')), None, "too long");
    expected.assert_eq(&steady(home, &ended.stdout));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_kind_says_what_it_has() {
    let kinds = ["openai", "openai-responses", "anthropic", "gemini", "ollama", "completions"];
    let cast: Vec<_> =
        kinds.map(|it| format!("{it}-1: kind={it} model=m,n,gpt-6-luna window=4096 'x'")).into();
    let home = Home::new(&cast.join(" | ")).await;
    let file = home
        .config()
        .replace("name = \"gemini-1\"\nkind", "name = \"gemini-1\"\ncontext_window = 4000\nkind");
    let (first, rest) = file.split_once("\"m\"").expect("a model");
    fs::write(home.path("neverdark.toml"), format!("{first}\"gpt-6-lunar\"{rest}")).expect("writable");
    check(
        &home,
        &[],
        expect![[r#"
            openai-1: ready after … ms
              found     the table at DIR/neverdark.toml:15
              address   URL (kind openai)
              key       none
              model     gpt-6-lunar, but it lists: gpt-6-luna, n, m
              window    128000 tokens (the usual value)
              price     not known
              training  not known

            openai-responses-1: ready after … ms
              found     the table at DIR/neverdark.toml:20
              address   URL (kind openai-responses)
              key       none
              model     m, one of 3 that it lists
              window    128000 tokens (the usual value); but it lists 4096
              price     not known
              training  not known

            anthropic-1: ready after … ms
              found     the table at DIR/neverdark.toml:25
              address   URL (kind anthropic)
              key       none
              model     m, one of 3 that it lists
              window    128000 tokens (the usual value); but it lists 4096
              price     not known
              training  not known

            gemini-1: ready after … ms
              found     the table at DIR/neverdark.toml:30
              address   URL (kind gemini)
              key       none
              model     m, one of 3 that it lists
              window    4000 tokens (its table)
              price     not known
              training  not known

            ollama-1: ready after … ms
              found     the table at DIR/neverdark.toml:36
              address   URL (kind ollama)
              key       none
              model     m, one of 3 that it lists
              window    8192 tokens (the usual value)
              price     not known
              training  not known

            completions-1: ready after … ms
              found     the table at DIR/neverdark.toml:41
              address   URL (kind completions)
              key       none
              model     m (it gives no list)
              window    128000 tokens (the usual value)
              price     not known
              training  not known

            6 of 6 ready.
        "#]],
    )
    .await;
    assert!(!home.path("data").exists(), "looking makes no database");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_not_well_says_why() {
    let home = Home::new("alpha: key=sk-1 'x' | beta: 'x' | gamma: 'x' | delta: silent").await;
    home.stage.providers.health("beta", false).expect("beta is there");
    let file = home.config().replace("name = \"gamma\"", "name = \"gamma\"\napi_key_env = \"A_KEY\"");
    fs::write(home.path("neverdark.toml"), file).expect("writable");
    let rest = |provider: &str, why, until| Rest {
        provider: provider.to_owned(),
        model: format!("{provider}-1"),
        why,
        until,
        probe: true,
        rests: 1,
    };
    let later = UnixMillis(4_102_444_800_000);
    let store = Store::open(&home.database()).await.expect("it can be made");
    let rests = [
        rest("alpha", Failure::Auth, later),
        rest("beta", Failure::Overloaded, UnixMillis(1)),
        Rest { model: "another".to_owned(), ..rest("gamma", Failure::RateLimited, later) },
    ];
    store.keep_rests(&rests).await.expect("it can be written");
    // While it is open here, as a running bot has it.
    let command = || home.command(&["providers", "--json"]);
    let all = json_of(&Bot::start(command(), "").ended().await);
    let of = |key: &str| -> Vec<Value> { (0..4).map(|it| all["providers"][it][key].clone()).collect() };
    assert_eq!(of("ready"), [false, false, false, false].map(Value::from));
    assert_eq!(of("failure"), [json!("auth"), json!("overloaded"), Value::Null, json!("timeout")]);
    assert_eq!(of("rest"), [json!({"until": later.0, "why": "auth"}), Value::Null, Value::Null, Value::Null]);
    store.close().await.expect("it can be closed");
    let ended = Bot::start(home.command(&["providers"]), "").ended().await;
    let (before, after) = ended.stdout.split_once("for another ").expect("a rest");
    let (_, after) = after.split_once(", until").expect("its end");
    expect![[r#"
        alpha: not ready
          problem   refused its key (auth (HTTP 401): invalid_request_error). Check its base_url, its key
                    and its model
          rests     for another …, until 2100-01-01T00:00:00Z: auth
          found     the table at DIR/neverdark.toml:15
          address   URL (kind openai)
          key       none
          model     alpha-1 (it gives no list)
          window    128000 tokens (the usual value)
          price     not known
          training  not known

        beta: not ready
          problem   was overloaded (overloaded (HTTP 503): service_unavailable). Check its base_url, its key
                    and its model
          found     the table at DIR/neverdark.toml:20
          address   URL (kind openai)
          key       none
          model     beta-1 (it gives no list)
          window    128000 tokens (the usual value)
          price     not known
          training  not known

        gamma: not ready
          problem   provider `gamma` has no key: A_KEY is not set
          found     the table at DIR/neverdark.toml:25
          address   URL (kind openai)
          key       A_KEY, missing or unusable
          model     gamma-1
          window    128000 tokens (the usual value)
          price     not known
          training  not known

        delta: not ready
          problem   did not answer within 3 s. Check its base_url and the network
          found     the table at DIR/neverdark.toml:31
          address   URL (kind openai)
          key       none
          model     delta-1 (it gives no list)
          window    128000 tokens (the usual value)
          price     not known
          training  not known

        0 of 4 ready.
    "#]]
    .assert_eq(&steady(&home, &format!("{before}for another …, until{after}")));
    assert_eq!(ended.code, Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn offline_asks_nobody_and_models_names_all() {
    let home = Home::new("alpha: model=m,n window=4096 'x'").await;
    fs::write(
        home.path("neverdark.toml"),
        home.config() + "context_window = 4000\nprice = { input = 1, output = 2.5 }\n",
    )
    .expect("writable");
    check(
        &home,
        &["--offline"],
        expect![[r#"
            alpha
              found     the table at DIR/neverdark.toml:15
              address   URL (kind openai)
              key       none
              model     m
              window    4000 tokens (its table)
              price     1 in, 2.5 out, per million tokens (its table)
              training  not known

        "#]],
    )
    .await;
    check(
        &home,
        &["--models"],
        expect![[r#"
            alpha: ready after … ms
              found     the table at DIR/neverdark.toml:15
              address   URL (kind openai)
              key       none
              model     m, one of 2 that it lists
              window    4000 tokens (its table)
              price     1 in, 2.5 out, per million tokens (its table)
              training  not known
              models    m (4096 tokens)
                        n (4096 tokens)

            1 of 1 ready.
        "#]],
    )
    .await;
    let ended = Bot::start(home.command(&["providers", "--models", "--json"]), "").ended().await;
    let models = json_of(&ended)["providers"][0]["models"].clone();
    assert_eq!(
        models["all"],
        json!([{"id": "m", "context_window": 4096}, {"id": "n", "context_window": 4096}])
    );
    for arguments in [&["providers", "--models", "--offline"][..], &["providers", "alpha"]] {
        assert_eq!(Bot::start(home.command(arguments), "").ended().await.code, Some(2));
    }
    fs::write(home.path("neverdark.toml"), home.config().replace("strategy", "stratgy")).expect("writable");
    let ended = Bot::start(home.command(&["providers", "--json"]), "").ended().await;
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(2), ""));
    let empty = TempDir::new().expect("a temporary folder");
    let ended = Bot::start(program(empty.path(), &["providers", "--offline"]), "").ended().await;
    assert_eq!(ended.code, Some(2), "{}", ended.stderr);
}
