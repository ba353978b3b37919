//! Bodies as bytes, cut and split anywhere, and what is told of them.

use super::*;
use crate::providers::openai::DIALECT;
use expect_test::{Expect, expect};
use futures::{StreamExt, stream};
use proptest::prelude::*;
use std::fmt::Write;
use tokio::time::{Instant, sleep_until, timeout};

/// How the bytes end.
#[derive(Clone, Copy, Debug)]
enum Ending {
    Closed,
    Lost,
}

fn read(reads: &[&[u8]], ending: Ending) -> Vec<Result<Piece, Failed>> {
    decode(&DIALECT, reads.iter().copied(), matches!(ending, Ending::Lost)).collect()
}

/// What was told, text that follows text as one; a failure as its class and word.
fn shown(told: &[Result<Piece, Failed>]) -> String {
    let (mut lines, mut text) = (String::new(), String::new());
    for piece in told {
        if let Ok(Piece::Text(more)) = piece {
            text += more;
            continue;
        }
        if !text.is_empty() {
            writeln!(lines, "text     {:?}", std::mem::take(&mut text)).unwrap();
        }
        match piece {
            Ok(Piece::Usage(usage)) => {
                writeln!(lines, "usage    {:?} {:?}", usage.tokens_in, usage.tokens_out).unwrap();
            }
            Ok(piece) => writeln!(lines, "{piece:?}").unwrap(),
            Err(failed) => {
                let wait = failed.retry_after.map(|it| format!(" (again in {it:?})")).unwrap_or_default();
                writeln!(lines, "failed   {failed}{wait}").unwrap();
            }
        }
    }
    assert_eq!(text, "", "a text is followed by its end");
    lines
}

#[expect(clippy::needless_pass_by_value, reason = "reads as a literal")]
fn check(reads: &[&str], expected: Expect) {
    let reads: Vec<&[u8]> = reads.iter().map(|it| it.as_bytes()).collect();
    expected.assert_eq(&shown(&read(&reads, Ending::Closed)));
}

const ROLE: &str = "data: {\"choices\":[{\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}]}\n\n";
const HELLO: &str = "data: {\"choices\":[{\"delta\":{\"content\":\"Hello\"}}]}\n\n";
const ANA: &str = "data: {\"choices\":[{\"delta\":{\"content\":\", Ana\"}}]}\n\n";
const THOUGHT: &str = "data: {\"choices\":[{\"delta\":{\"reasoning\":\"hm\"}}]}\n\n";
const STOP: &str = "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n";
const LENGTH: &str = "data: {\"choices\":[{\"delta\":{\"content\":\"\"},\"finish_reason\":\"length\"}]}\n\n";
const USAGE: &str = "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":2}}\n\n";
const DONE: &str = "data: [DONE]\n\n";
const COMMENT: &str = ": OPENROUTER PROCESSING\n\n";
const LIMIT_REACHED: &str = "data: {\"error\":{\"code\":400,\"message\":\"Token limit reached\"},\"choices\":[{\"delta\":{},\"finish_reason\":\"length\"}]}\n\n";
const TOO_FAST: &str =
    "data: {\"error\":{\"code\":429,\"type\":\"tokens\",\"message\":\"Please try again in 1.5s\"}}\n\n";
const BROKE: &str = "data: {\"error\":{\"code\":502,\"message\":\"Provider disconnected\"}}\n\n";
/// As Gemini writes it: no `data:`, and line ends of another kind than the stream's.
const SPLICED: &str = "{\n  \"error\": {\n    \"code\": 499,\n    \"message\": \"The operation was cancelled: {\\\"\",\n    \"status\": \"CANCELLED\"\n  }\n}\n";
/// A finish in each chunk that has text.
const HELLO_STOP: &str =
    "data: {\"choices\":[{\"delta\":{\"content\":\"Hello\"},\"finish_reason\":\"stop\"}]}\n\n";
const ANA_STOP: &str =
    "data: {\"choices\":[{\"delta\":{\"content\":\", Ana\"},\"finish_reason\":\"stop\"}]}\n\n";

#[test]
fn a_sign_of_life_once_for_what_came_together() {
    check(
        &[COMMENT, ROLE, &[COMMENT, COMMENT, ROLE].concat()],
        expect![[r#"
        Alive
        Alive
        Alive
        failed   broken_stream (HTTP 200): no finish
    "#]],
    );
    // Not beside a text or a thought, and not behind a finish.
    check(
        &[&[COMMENT, HELLO, COMMENT].concat(), THOUGHT, &[STOP, COMMENT].concat(), USAGE],
        expect![[r#"
        text     "Hello"
        Reasoning("hm")
        usage    Some(1) Some(2)
        Finish(Stop)
    "#]],
    );
    // Pings, empty events, and white space before the first word.
    let blank = "data: {\"choices\":[{\"delta\":{\"content\":\" \\n\"}}]}\n\n";
    check(
        &["data:\n\n", "event: ping\ndata: {}\n\n", blank, HELLO, STOP],
        expect![[r#"
        Alive
        Alive
        Alive
        text     " \nHello"
        Finish(Stop)
    "#]],
    );
    // Half a line, or what the standard ignores, is none.
    check(
        &[": OPENROUTER", " PROCESSING", "\n", "retry: 10\n", "noise\n", HELLO, STOP],
        expect![[r#"
        Alive
        text     "Hello"
        Finish(Stop)
    "#]],
    );
}

#[test]
fn a_finish_that_text_follows_is_none() {
    check(
        &[HELLO_STOP, ANA_STOP],
        expect![[r#"
        text     "Hello, Ana"
        Finish(Stop)
    "#]],
    );
    check(
        &[HELLO_STOP, ANA_STOP, BROKE],
        expect![[r#"
            text     "Hello, Ana"
            failed   broken_stream (HTTP 200): status 502
        "#]],
    );
    check(
        &[HELLO_STOP, ANA],
        expect![[r#"
        text     "Hello, Ana"
        failed   broken_stream (HTTP 200): no finish
    "#]],
    );
    check(
        &[HELLO_STOP, ANA, DONE],
        expect![[r#"
        text     "Hello, Ana"
        Finish(Stop)
    "#]],
    );
    let lost = |reads: &[&str]| {
        let reads: Vec<&[u8]> = reads.iter().map(|it| it.as_bytes()).collect();
        shown(&read(&reads, Ending::Lost))
    };
    expect![[r#"
        text     "Hello, Ana"
        failed   broken_stream (HTTP 200): lost in the answer
    "#]]
    .assert_eq(&lost(&[HELLO_STOP, ANA_STOP]));
    expect![[r#"
        text     "Hello"
        Finish(Stop)
    "#]]
    .assert_eq(&lost(&[HELLO_STOP]));
}

#[test]
fn an_error_behind_the_finish_takes_nothing_back() {
    check(
        &[COMMENT, HELLO, LENGTH, LIMIT_REACHED, USAGE, DONE],
        expect![[r#"
        Alive
        text     "Hello"
        Finish(Length)
    "#]],
    );
    check(
        &[HELLO, STOP, BROKE],
        expect![[r#"
        text     "Hello"
        Finish(Stop)
    "#]],
    );
    // Without the finish before it, nobody said that this is all.
    check(
        &[HELLO, LIMIT_REACHED, DONE],
        expect![[r#"
            text     "Hello"
            failed   broken_stream (HTTP 200): status 400
        "#]],
    );
}

#[test]
fn errors_without_the_streams_form() {
    check(
        &[HELLO, SPLICED],
        expect![[r#"
        text     "Hello"
        failed   broken_stream (HTTP 200): cancelled
    "#]],
    );
    check(
        &[ROLE, &SPLICED.replace('\n', "\r\n")],
        expect![[r#"
        Alive
        failed   server_error (HTTP 200): cancelled
    "#]],
    );
    check(
        &[SPLICED],
        expect![[r#"
        failed   server_error (HTTP 200): cancelled
    "#]],
    );
    check(
        &[&format!("[{SPLICED}]")],
        expect![[r#"
        failed   server_error (HTTP 200): cancelled
    "#]],
    );
    check(
        &[HELLO, "{\"error\":", "{\"code\":429}}\n"],
        expect![[r#"
            text     "Hello"
            failed   rate_limited (HTTP 200): status 429
        "#]],
    );
    // JSON that is no error, or that never ends, changes nothing.
    check(
        &[HELLO, "{\"id\":\n7}\n", "[{\n", STOP],
        expect![[r#"
        text     "Hello"
        Finish(Stop)
    "#]],
    );
}

#[test]
fn errors_inside_the_stream() {
    check(
        &[ROLE, TOO_FAST],
        expect![[r#"
        Alive
        failed   rate_limited (HTTP 200): tokens (again in 1.5s)
    "#]],
    );
    check(
        &[HELLO, TOO_FAST, DONE],
        expect![[r#"
        text     "Hello"
        failed   rate_limited (HTTP 200): tokens (again in 1.5s)
    "#]],
    );
    check(
        &[HELLO, BROKE],
        expect![[r#"
            text     "Hello"
            failed   broken_stream (HTTP 200): status 502
        "#]],
    );
    let full = "data: {\"error\":{\"code\":500,\"message\":\"Context size has been exceeded.\"}}\n\n";
    check(
        &[full],
        expect![[r#"
            failed   overloaded (HTTP 200): status 500
        "#]],
    );
    check(
        &[HELLO, full],
        expect![[r#"
            text     "Hello"
            failed   broken_stream (HTTP 200): status 500
        "#]],
    );
    let nested = "data: {\"choices\":[{\"delta\":{\"content\":\"\"},\"error\":{\"code\":429,\"message\":\"x\"},\"finish_reason\":\"error\"}]}\n\n";
    check(
        &[ROLE, nested],
        expect![[r#"
            Alive
            failed   rate_limited (HTTP 200): status 429
        "#]],
    );
}

#[test]
fn events_that_are_errors() {
    let groq = "event: error\ndata: {\"error\":{\"message\":\"x\",\"type\":\"invalid_request_error\",\"code\":\"tool_use_failed\",\"status_code\":400}}\n\n";
    check(
        &[ROLE, groq],
        expect![[r#"
        Alive
        failed   server_error (HTTP 200): tool_use_failed
    "#]],
    );
    let responses = "event: response.failed\ndata: {\"type\":\"response.failed\",\"response\":{\"error\":{\"code\":\"insufficient_quota\",\"message\":\"x\"}}}\n\n";
    check(
        &[ROLE, responses],
        expect![[r#"
            Alive
            Alive
            failed   broken_stream (HTTP 200): no finish
        "#]],
    );
    check(
        &[ROLE, "error: {\"code\":500,\"message\":\"x\",\"type\":\"server_error\"}\n\n"],
        expect![[r#"
        Alive
        failed   server_error (HTTP 200): server_error
    "#]],
    );
    check(
        &[ROLE, "event: error\ndata: upstream says 429\n\n"],
        expect![[r#"
        Alive
        failed   server_error (HTTP 200)
    "#]],
    );
    let abort = "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"abort\"}]}\n\n";
    check(
        &[HELLO, abort, DONE],
        expect![[r#"
        text     "Hello"
        failed   broken_stream (HTTP 200): finish error
    "#]],
    );
    check(
        &[HELLO, "<html>\n<h1>502 Bad Gateway</h1>\n</html>"],
        expect![[r#"
        text     "Hello"
        failed   broken_stream (HTTP 200): no finish
    "#]],
    );
}

/// Bodies that answer whole, and some that fail.
fn bodies() -> Vec<String> {
    let whole = "{\"choices\":[{\"message\":{\"content\":\"Hello, {Ana}\"},\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":2}}";
    let mut bodies = vec![
        [ROLE, HELLO, ANA, STOP, USAGE, DONE].concat(),
        [COMMENT, THOUGHT, HELLO, LENGTH, LIMIT_REACHED, USAGE, DONE].concat(),
        [HELLO, ANA, STOP, BROKE].concat(),
        [HELLO, ANA, STOP].concat().trim_end().to_owned(),
        [HELLO, TOO_FAST, DONE].concat(),
        [HELLO, SPLICED].concat(),
        [ROLE, "error: {\"code\":500}\n\n"].concat(),
        [THOUGHT, STOP, DONE].concat(),
        [HELLO, "data: what?\n\n", STOP].concat(),
        ["\u{feff}", HELLO, "data: {\"choices\":[{\"delta\":{\"content\":\" — é😀\"}}]}\n\n", STOP].concat(),
        format!(" \n{whole}"),
        format!("[{SPLICED}]"),
        "<!doctype html><p>Welcome".to_owned(),
        "all is well\n".to_owned(),
    ];
    let crlf: Vec<String> = bodies.iter().map(|body| body.replace('\n', "\r\n")).collect();
    bodies.extend(crlf);
    bodies
}

/// The text and how it ended; none for a failure.
fn answer(told: &[Result<Piece, Failed>]) -> Option<(String, Finish)> {
    let Some(Ok(Piece::Finish(finish))) = told.last() else { return None };
    let text = told.iter().filter_map(|piece| match piece {
        Ok(Piece::Text(text)) => Some(text.as_str()),
        _ => None,
    });
    Some((text.collect(), finish.clone()))
}

/// There is one end, and it is the last thing told.
fn assert_ends_once(told: &[Result<Piece, Failed>]) {
    let is_end = |piece: &Result<Piece, Failed>| matches!(piece, Ok(Piece::Finish(_)) | Err(_));
    assert_eq!(told.iter().filter(|it| is_end(it)).count(), 1, "{told:?}");
    assert!(told.last().is_some_and(is_end), "{told:?}");
}

#[test]
fn a_body_that_is_cut_anywhere_fails_or_is_whole() {
    for body in bodies() {
        let whole = answer(&read(&[body.as_bytes()], Ending::Closed));
        for cut in 0..=body.len() {
            for ending in [Ending::Closed, Ending::Lost] {
                let told = read(&[&body.as_bytes()[..cut]], ending);
                assert_ends_once(&told);
                if let Some(answer) = answer(&told) {
                    assert_eq!(Some(answer), whole, "cut at {cut} ({ending:?}): {body}");
                }
            }
        }
    }
}

#[test]
fn a_body_reads_the_same_byte_by_byte() {
    let without_signs = |told: Vec<Result<Piece, Failed>>| {
        shown(&told.into_iter().filter(|it| *it != Ok(Piece::Alive)).collect::<Vec<_>>())
    };
    for body in bodies() {
        let bytes: Vec<&[u8]> = body.as_bytes().chunks(1).collect();
        let whole = without_signs(read(&[body.as_bytes()], Ending::Closed));
        assert_eq!(without_signs(read(&bytes, Ending::Closed)), whole, "{body}");
    }
}

/// A body whose parts come at these milliseconds, and whose socket then stays open.
fn body(parts: &'static [(u64, &'static str)]) -> Body<impl Stream<Item = reqwest::Result<&'static str>>> {
    let born = Instant::now();
    let bytes = stream::iter(parts).then(move |(at, bytes)| async move {
        sleep_until(born + Duration::from_millis(*at)).await;
        Ok(*bytes)
    });
    let bytes = Some(Box::pin(bytes.chain(stream::pending())));
    Body { bytes, usage_wait: None, reading: Reading::new(Answer::new(&DIALECT)) }
}

#[tokio::test(start_paused = true)]
async fn usage_is_waited_for_from_the_last_finish_on() {
    async fn ends_after(parts: &'static [(u64, &'static str)]) -> Option<u128> {
        let (born, mut body) = (Instant::now(), body(parts));
        let to_the_end = async { while body.next().await.is_some() {} };
        timeout(Duration::from_secs(60), to_the_end).await.ok()?;
        assert!(body.bytes.is_none(), "the socket is closed");
        Some(born.elapsed().as_millis())
    }
    assert_eq!(ends_after(&[(0, HELLO)]).await, None);
    assert_eq!(ends_after(&[(0, HELLO), (100, STOP)]).await, Some(1100));
    let silent = ends_after(&[(0, HELLO), (100, STOP), (600, COMMENT)]).await;
    assert_eq!(silent, Some(1100), "nothing was said");
    let repeated = ends_after(&[(0, HELLO), (100, STOP), (900, ANA_STOP)]).await;
    assert_eq!(repeated, Some(1900), "a host with a finish in every chunk");
    assert_eq!(ends_after(&[(0, HELLO), (100, STOP), (900, ANA_STOP), (1000, ANA)]).await, None);
}

/// Gemini's old models: nothing but the end of the body ends an answer.
#[tokio::test(start_paused = true)]
async fn where_each_chunk_has_a_finish_none_is_believed_for_being_followed_by_silence() {
    const CHUNK: &str = "data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"so\"}]},\"finishReason\":\"STOP\"}]}\r\n\r\n";
    let body = body(&[(0, CHUNK), (9000, CHUNK)]);
    let mut body = Body { reading: Reading::new(Answer::new(&crate::providers::gemini::DIALECT)), ..body };
    assert!(matches!(body.next().await, Some(Ok(Piece::Text(_)))));
    assert!(matches!(body.next().await, Some(Ok(Piece::Text(_)))));
    assert!(timeout(Duration::from_secs(60), body.next()).await.is_err(), "it goes on until the body ends");
}

#[tokio::test(start_paused = true)]
async fn behind_an_error_there_is_nothing_and_nobody_spins() {
    let mut body = body(&[(0, HELLO), (0, TOO_FAST)]);
    assert!(matches!(body.next().await, Some(Ok(Piece::Text(_)))));
    assert!(matches!(body.next().await, Some(Err(_))));
    for _ in 0..3 {
        assert_eq!(body.next().await, None);
    }
}

fn noise() -> impl Strategy<Value = Vec<u8>> {
    let known = [
        ROLE,
        HELLO,
        THOUGHT,
        STOP,
        LENGTH,
        USAGE,
        DONE,
        COMMENT,
        TOO_FAST,
        BROKE,
        SPLICED,
        HELLO_STOP,
        "{\n",
        "}\n",
        "\"\n",
        "\n",
        "data:",
        "event: error\n",
        "[",
    ];
    let piece = prop_oneof![
        4 => proptest::sample::select(known.to_vec()).prop_map(|it| it.as_bytes().to_vec()),
        1 => proptest::collection::vec(any::<u8>(), 0..12),
    ];
    proptest::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn noise_ends_once(stream in noise(), size in 1_usize..80, is_lost in any::<bool>()) {
        let ending = if is_lost { Ending::Lost } else { Ending::Closed };
        let told = read(&stream.chunks(size).collect::<Vec<_>>(), ending);
        assert_ends_once(&told);
        if let Some((text, _)) = answer(&told) {
            prop_assert!(!text.trim().is_empty());
        }
    }
}

#[test]
fn of_a_key_that_is_said_twice_the_last_one_counts() {
    let twice = "data: {\"choices\":[{\"delta\":{\"content\":\"no\",\"content\":\"Hello\"}}]}\n\n";
    check(&[twice, STOP], expect![[r#"
        text     "Hello"
        Finish(Stop)
    "#]]);
}

#[test]
fn half_a_character_in_arguments_costs_only_itself() {
    let call = r#"data: {"choices":[{"delta":{"tool_calls":[{"index":0,"id":"a","function":{"name":"say","arguments":"{\"x\":\"hi \ud83d"}}]}}]}"#;
    check(&[call, "\n\n", STOP], expect![[r#"
        ToolCall(ToolCall { index: 0, id: Some("a"), name: Some("say"), arguments: "{\"x\":\"hi �" })
        Finish(ToolCalls)
    "#]]);
}

/// As a tree it would take minutes, and the library's map of headers panics.
#[test]
fn an_error_as_long_as_an_answer_is_looked_at_in_part() {
    let many = |item: fn(usize) -> String| (0..100_000).map(item).collect::<Vec<_>>().join(",");
    let reasons = many(|it| format!("{{\"reason\":\"a{it}\"}}"));
    let headers = many(|it| format!("\"h{it}\":\"1\""));
    let error = format!(
        "data: {{\"error\":{{\"details\":[{reasons}],\"metadata\":{{\"headers\":{{{headers}}}}}}}}}\n\n"
    );
    check(&[&error], expect![[r#"
        failed   server_error (HTTP 200): a0
    "#]]);
}
