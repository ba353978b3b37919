//! `neverdark demo`: what a stranger tries first, with nothing set and nothing there.

use super::bot::{Bot, Ended, program};
use expect_test::expect;
use std::{fs, time::Duration};
use tempfile::TempDir;
use tokio::time::Instant;

/// It takes about two seconds; a busy machine may need more.
const LIMIT: Duration = Duration::from_secs(20);

async fn demo(folder: &TempDir, arguments: &[&str], typed: &str) -> Ended {
    let command = program(folder.path(), &[&["demo"], arguments].concat());
    let ended = Bot::start(command, typed).ended().await;
    assert_eq!(
        fs::read_dir(folder.path()).expect("it is there").count(),
        arguments.len(),
        "it left something"
    );
    ended
}

/// `after 537 ms` → `after … ms`
pub(crate) fn without_times(text: &str) -> String {
    let mut pieces = text.split("after ");
    let first = pieces.next().unwrap_or_default().to_owned();
    pieces.fold(first, |done, piece| {
        let rest = piece.trim_start_matches(|it: char| it.is_ascii_digit());
        done + if rest.len() < piece.len() { "after …" } else { "after " } + rest
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_shows_an_answer_a_failover_and_a_broken_stream() {
    let folder = TempDir::new().expect("a temporary folder");
    let began = Instant::now();
    let ended = demo(&folder, &[], "").await;
    println!("the demo took {:?}", began.elapsed());
    assert!(began.elapsed() < LIMIT, "it took {:?}", began.elapsed());
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
    for sight in [
        "The chat page: http://127.0.0.1:",
        "ledger      alpha answered after ",
        "-# answered by beta · alpha was overloaded",
        "-# answered by beta · alpha broke off",
        "(rewritten)",
        "alpha failed: broken stream after ",
        "1. **alpha** (alpha-1)",
        "Now you: ",
    ] {
        assert!(ended.stdout.contains(sight), "{sight:?} is not there:\n{}", ended.stdout);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_can_type() {
    let folder = TempDir::new().expect("a temporary folder");
    let typed = "hello there\n/provider list\n!break alpha 500\nstill there?\n!heal alpha\n\n!dance\n!break alpha nonsense\n\
                 !break zeta 500\n/nothing\nnonsense é ✓ \u{1f980}\n";
    let ended = demo(&folder, &[], typed).await;
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
    let after = ended.stdout.split_once("Ctrl-D ends\n").expect("one is asked to type").1;
    expect![[r#"
        what was typed:
          you         @neverdark hello there
          neverdark  ↳ You said: hello there
          ledger      alpha answered after … ms
          you         /provider list
          neverdark   (only you sees) **Providers**, in their order:
                      1. **alpha** (alpha-1) · 🟢 ready
                      2. **beta** (beta-1) · 🟢 ready
                  ⚡ alpha: 500
          you         @neverdark still there?
          neverdark  ↳ You said: still there?
                      -# answered by beta · alpha had a server error
          ledger      alpha failed: server error (HTTP 500) after … ms · beta answered after … ms
                  ⚡ alpha is well again
                  (I know !break PROVIDER BEHAVIOUR and !heal PROVIDER)
                  (`nonsense` is not a behaviour: known are 'text', echo, lorem=N, tale=N, a status such as 500, error=CODE, hang, refuse, blackhole, reset, html, empty, malformed, close, silent, raw='BODY', bytes=HEX, endless=WHAT, random, cut, drop, stall, notfinished, hold, whole, crlf, cr, bom, bytewise, gzip, keepalive=, delay=, pace=, drip=, after=, finish=, reasoning=, seed=, fail=, call=, refuses=, and HEADER-NAME=VALUE)
                  (there is no provider `zeta`: there are alpha, beta)
                  (no command /nothing is registered; there is /ask, /reset, /help, /privacy, /status, /provider)
          you         @neverdark nonsense é ✓ 🦀
          neverdark  ↳ Good evening! I am Neverdark: I answer here, and when one AI provider fails I ask the next one.
          ledger      alpha answered after … ms
    "#]].assert_eq(&format!("what was typed:\n{}", without_times(after)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_is_played_to_its_end() {
    let folder = TempDir::new().expect("a temporary folder");
    let file = folder.path().join("short.scene");
    fs::write(&file, "cast alpha: 429 retry-after=30 | beta: 'Hello, Ana.'\nana in #help: @neverdark hi\n")
        .expect("the folder can be written");
    let ended = demo(&folder, &["short.scene"], "what is typed is not read\n").await;
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
    expect![[r#"
        #help
          ana         @neverdark hi
          neverdark  ↳ Hello, Ana.
                      -# answered by beta · alpha was rate limited
          ledger      alpha failed: rate limited (HTTP 429) after … ms · beta answered after … ms
    "#]]
    .assert_eq(&without_times(&ended.stdout));
}

/// The file that docs/scenes.md speaks of. Each provider wants a key, which the bot is given.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn six_dialects_answer_one_after_the_other() {
    let folder = TempDir::new().expect("a temporary folder");
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/six-dialects.scene");
    let ended = Bot::start(program(folder.path(), &["demo", file]), "").ended().await;
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
    expect![[r#"
        #harbour
          ana         @neverdark who are you?
          neverdark  ↳ I speak chat completions.
          ana         @neverdark and you?
          neverdark  ↳ I speak responses.
                      -# answered by responses · chat was rate limited
          ana         @neverdark and you?
          neverdark  ↳ I speak messages.
                      -# answered by messages · chat is rate limited · responses was rate limited
          ana         @neverdark and you?
          neverdark  ↳ I generate content.
                      -# answered by content · chat is rate limited · responses is rate limited · messages was rate limited
          ana         @neverdark and you?
          neverdark  ↳ I complete a flat prompt.
                      -# answered by legacy · chat is rate limited · responses is rate limited · messages is rate limited · content was rate limited
          ana         @neverdark and you?
          neverdark  ↳ I answer in lines.
                      -# answered by lines · chat is rate limited · responses is rate limited · messages is rate limited · content is rate limited · legacy was rate limited
          mia         /provider list
          neverdark   (only mia sees) **Providers**, in their order:
                      1. **chat** (chat-1) · 🔴 resting for 10 minutes (rate limited)
                      2. **responses** (responses-1) · 🔴 resting for 10 minutes (rate limited)
                      3. **messages** (messages-1) · 🔴 resting for 10 minutes (rate limited)
                      4. **content** (content-1) · 🔴 resting for 10 minutes (rate limited)
                      5. **legacy** (legacy-1) · 🔴 resting for 10 minutes (rate limited)
                      6. **lines** (lines-1) · 🟢 ready
          ledger      chat answered after … ms
          ledger      chat failed: rate limited (HTTP 429) after … ms · responses answered after … ms
          ledger      responses failed: rate limited (HTTP 429) after … ms · messages answered after … ms
          ledger      messages failed: rate limited (HTTP 429) after … ms · content answered after … ms
          ledger      content failed: rate limited (HTTP 429) after … ms · legacy answered after … ms
          ledger      legacy failed: rate limited (HTTP 429) after … ms · lines answered after … ms
    "#]].assert_eq(&without_times(&ended.stdout));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mistakes_in_a_file_are_named_by_their_line() {
    let folder = TempDir::new().expect("a temporary folder");
    fs::write(
        folder.path().join("bad.scene"),
        "cast alpha: 'Hello.'\nana in #help: hi\nana dances\nheal zeta\n",
    )
    .expect("the folder can be written");
    let ended = demo(&folder, &["bad.scene"], "").await;
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(2), ""));
    expect![[r#"
        neverdark: the scenario has mistakes:
        line 3: ana: `dances`: expected `in #channel: …`, `replies in …: …`, `opens "Title" in #channel: …`, `posts "Title" [tags] in #forum: …`, `runs /command in …`, `edits: …`, `deletes`, `clicks …` or `uses "Command" on ben's message`
        line 4: there is no provider `zeta`: the cast is alpha
    "#]].assert_eq(&ended.stderr);

    let folder = TempDir::new().expect("a temporary folder");
    let ended = Bot::start(program(folder.path(), &["demo", "none.scene"]), "").ended().await;
    assert_eq!(ended.code, Some(2));
    expect![[r#"
        neverdark: the scenario none.scene can't be read: No such file or directory (os error 2)
    "#]]
    .assert_eq(&ended.stderr);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn its_port_can_be_chosen_and_may_be_taken() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let port = taken.local_addr().expect("it is bound").port().to_string();
    let folder = TempDir::new().expect("a temporary folder");
    let ended = Bot::start(program(folder.path(), &["demo", "--port", &port]), "").ended().await;
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(2), ""));
    expect![[r#"
        neverdark: the embedded Discord could not start: Address already in use (os error 98); is the port taken?
    "#]].assert_eq(&ended.stderr);
    drop(taken);
    let ended = Bot::start(program(folder.path(), &["demo", "--port", &port]), "").ended().await;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert!(
        ended.stdout.starts_with(&format!("The chat page: http://127.0.0.1:{port}\n")),
        "{}",
        ended.stdout
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_can_be_stopped_at_any_time() {
    let folder = TempDir::new().expect("a temporary folder");
    let bot = Bot::start(program(folder.path(), &["demo"]), "");
    super::bot::until("it has begun", async || bot.said().contains("The chat page").then_some(())).await;
    bot.signal("INT");
    assert_eq!(bot.ended().await.code, Some(0));
}
