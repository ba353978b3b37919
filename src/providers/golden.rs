//! Recordings of every dialect, read whole, split anywhere and cut anywhere; and the requests that are sent for them.
//!
//! `golden/KIND/NAME.body` is the body of an answer with 200 as it came from a socket, `NAME.pieces` what it says, and
//! `golden/KIND/requests.txt` what is sent for each of [`prompts`]. `UPDATE_EXPECT=1 cargo test golden` writes the latter two anew.

use super::{
    Finish, Kind, Piece, ProviderSpec, answer, decode, dialect,
    scripted::{self, Scripted, answered, said},
};
use crate::{
    message::{Image, Prompt},
    outcome::{Failed, Usage},
};
use expect_test::expect_file;
use serde_json::{Value, json};
use std::{
    fmt::Write,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

type Told = Vec<Result<Piece, Failed>>;

fn folder(kind: Kind) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src/providers/golden").join(kind.as_str())
}

/// The recordings of a kind, by name.
fn recordings(kind: Kind) -> Vec<(PathBuf, Vec<u8>)> {
    let entries = fs::read_dir(folder(kind)).unwrap_or_else(|why| panic!("{kind:?}: {why}"));
    let mut paths: Vec<PathBuf> = entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|it| it == "body"))
        .collect();
    paths.sort();
    assert!(!paths.is_empty(), "{kind:?} has no recordings");
    paths.into_iter().map(|path| (path.clone(), fs::read(path).unwrap())).collect()
}

fn all() -> impl Iterator<Item = (Kind, PathBuf, Vec<u8>)> {
    Kind::ALL
        .into_iter()
        .flat_map(|kind| recordings(kind).into_iter().map(move |(path, body)| (kind, path, body)))
}

/// Signs of life depend on how the bytes fall.
fn read(kind: Kind, reads: &[&[u8]], is_lost: bool) -> Told {
    let mut told: Told = decode(kind, reads.iter().copied(), is_lost).collect();
    told.retain(|piece| !matches!(piece, Ok(Piece::Alive)));
    told
}

fn shown(told: &Told) -> String {
    let mut lines = String::new();
    for piece in told {
        match piece {
            Ok(Piece::Text(text)) => writeln!(lines, "text     {text:?}"),
            Ok(Piece::Reasoning(thought)) => writeln!(lines, "thought  {thought:?}"),
            Ok(Piece::ToolCall(call)) => {
                let (id, name) = (call.id.as_deref().unwrap_or("-"), call.name.as_deref().unwrap_or("-"));
                writeln!(lines, "call     {} {id} {name} {:?}", call.index, call.arguments)
            }
            Ok(Piece::Usage(Usage { tokens_in, tokens_out, .. })) => {
                writeln!(lines, "usage    {tokens_in:?} {tokens_out:?}")
            }
            Ok(Piece::Finish(finish)) => writeln!(lines, "finish   {finish:?}"),
            Ok(Piece::Alive) => Ok(()),
            Err(failed) => match failed.retry_after {
                Some(wait) => writeln!(lines, "failed   {failed} (again in {wait:?})"),
                None => writeln!(lines, "failed   {failed}"),
            },
        }
        .unwrap();
    }
    lines
}

fn text(told: &Told) -> String {
    told.iter()
        .filter_map(|piece| if let Ok(Piece::Text(text)) = piece { Some(&**text) } else { None })
        .collect()
}

fn finish(told: &Told) -> Option<&Finish> {
    told.iter().find_map(|piece| if let Ok(Piece::Finish(finish)) = piece { Some(finish) } else { None })
}

#[test]
fn what_recordings_say() {
    for (kind, path, body) in all() {
        expect_file![path.with_extension("pieces")].assert_eq(&shown(&read(kind, &[&body], false)));
    }
}

#[test]
fn recordings_split_anywhere_say_the_same() {
    let mut rng = fastrand::Rng::with_seed(4);
    for (kind, path, body) in all() {
        let whole = read(kind, &[&body], false);
        assert_eq!(read(kind, &body.chunks(1).collect::<Vec<_>>(), false), whole, "{path:?} byte by byte");
        for _ in 0..100 {
            let (mut reads, mut rest) = (Vec::new(), &body[..]);
            while !rest.is_empty() {
                let (read, later) = rest.split_at(rng.usize(1..=rest.len().min(200)));
                reads.push(read);
                rest = later;
            }
            assert_eq!(
                read(kind, &reads, false),
                whole,
                "{path:?} split at {:?}",
                reads.iter().map(|it| it.len()).collect::<Vec<_>>()
            );
        }
    }
}

/// However much of it came: it ends once, says nothing that the whole does not, and is whole only with a finish.
#[test]
fn recordings_cut_anywhere_are_whole_or_broken() {
    for (kind, path, body) in all() {
        let whole = read(kind, &[&body], false);
        let (whole_text, whole_finish) = (text(&whole), finish(&whole));
        answer::cut_everywhere(dialect::of(kind), &body, |length, is_lost, told| {
            let is_end = |it: &Result<Piece, Failed>| matches!(it, Ok(Piece::Finish(_)) | Err(_));
            let ends_once =
                told.iter().filter(|it| is_end(it)).count() == 1 && told.last().is_some_and(is_end);
            let text = text(&told);
            // Where pieces before the last one have a finish, a clean end behind one of them looks like the real one.
            let may_be_early = kind == Kind::Gemini && !is_lost;
            let is_whole = |said| may_be_early || text == whole_text && whole_finish == Some(said);
            assert!(
                ends_once && whole_text.starts_with(&text) && finish(&told).is_none_or(is_whole),
                "{path:?} cut at {length}, lost: {is_lost}\n{}",
                shown(&told)
            );
        });
    }
}

/// What is asked of every dialect.
fn prompts() -> Vec<(&'static str, Prompt)> {
    let lines = vec![
        answered("I was here before."),
        said("Ana", "hi"),
        said("Bo: x", "hello"),
        answered("Hey."),
        said("Ana", "who?"),
    ];
    let talk = Prompt { system: "Be kind.".to_owned(), lines, reply_tokens: 64, ..Prompt::default() };
    let alone = Prompt { lines: vec![said("Ana", "hi")], reply_tokens: 64, ..Prompt::default() };
    let image = Image { media_type: "image/png".to_owned(), base64: Arc::from("iVBORw0KGgo=") };
    let picture = Prompt { images: vec![image], ..alone.clone() };
    let program = |body: Value| Prompt {
        reply_tokens: 99,
        request: Some(Arc::new(serde_json::from_value(body).unwrap())),
        ..Prompt::default()
    };
    let tools = json!([{"type": "function", "function": {"name": "now", "description": "The time.", "parameters": {"type": "object", "properties": {"zone": {"type": "string"}}}}}]);
    let called = json!([{"id": "c1", "type": "function", "function": {"name": "now", "arguments": "{\"zone\":\"UTC\"}"}}]);
    vec![
        ("one speaker, no system prompt", alone),
        ("several speakers, the bot first", talk),
        ("a picture", picture),
        (
            "a program's parameters",
            program(json!({
                "messages": [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "hi"}, {"role": "user", "content": "there"}],
                "max_tokens": 99, "temperature": 0.5, "top_p": 0.9, "stop": ["END"], "seed": 7, "frequency_penalty": 0.1,
                "presence_penalty": 0.2, "reasoning_effort": "low", "user": "u",
            })),
        ),
        (
            "a program's pictures",
            program(json!({
                "messages": [{"role": "user", "content": [
                    {"type": "text", "text": "what is this?"},
                    {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}},
                    {"type": "image_url", "image_url": {"url": "https://example.com/cat.png"}},
                ]}],
            })),
        ),
        (
            "a program's tools",
            program(json!({
                "messages": [
                    {"role": "user", "content": "what time is it?"},
                    {"role": "assistant", "content": null, "tool_calls": called},
                    {"role": "tool", "tool_call_id": "c1", "content": "7 o'clock"},
                ],
                "tools": tools, "tool_choice": "required", "parallel_tool_calls": false,
            })),
        ),
        (
            "one tool by name",
            program(json!({
                "messages": [{"role": "user", "content": "what time is it?"}],
                "tools": tools, "tool_choice": {"type": "function", "function": {"name": "now"}},
            })),
        ),
        (
            "a program's schema",
            program(json!({
                "messages": [{"role": "user", "content": "hi"}],
                "response_format": {"type": "json_schema", "json_schema": {"name": "greeting", "strict": true, "schema": {"type": "object"}}},
            })),
        ),
        (
            "JSON of any shape",
            program(json!({
                "messages": [{"role": "user", "content": "hi"}], "response_format": {"type": "json_object"},
            })),
        ),
    ]
}

#[tokio::test]
async fn what_is_sent() {
    for kind in Kind::ALL {
        let mut sent = String::new();
        for (what, prompt) in prompts() {
            writeln!(sent, "# {what}").unwrap();
            // Hung up on: only the request is looked at.
            let mut endpoint = Scripted::start(vec![]).await;
            let spec = ProviderSpec {
                temperature: Some(0.7),
                ..scripted::spec(kind, &endpoint.base_url, Some("k-1"))
            };
            let asked =
                super::build(spec, scripted::CLIENT.clone()).unwrap().generate(Arc::new(prompt)).await;
            match asked.map(|_| ()).unwrap_err() {
                refused
                    if refused.http_status.is_none()
                        && refused.failure.as_str() == "unsupported_parameter" =>
                {
                    writeln!(sent, "refused: {refused}\n").unwrap();
                }
                _ => {
                    let request = endpoint.request_text().await;
                    let (head, body) = request.split_once("\n\n").unwrap();
                    let body: Value = serde_json::from_str(body).unwrap();
                    let head: Vec<&str> =
                        head.lines().filter(|it| !it.starts_with("content-length")).collect();
                    writeln!(sent, "{}\n\n{body:#}\n", head.join("\n")).unwrap();
                }
            }
        }
        expect_file![folder(kind).join("requests.txt")].assert_eq(&sent);
    }
}
