//! Events in, bytes out: what a caller of a stream reads.

use super::*;
use crate::{
    message::{ToolCall, TurnId, UnixMillis},
    outcome::{Attempt, Failed, Failure, Outcome},
    router::Source,
};
use expect_test::{Expect, expect};
use proptest::prelude::*;
use serde_json::Value;
use std::{fmt::Write, time::Duration};

fn voice(counts: bool) -> Voice {
    Voice::new(Chunks::new(&TurnId("0123456789".to_owned()), UnixMillis(1_700_000_000_999), counts))
}

/// Events, written short: `alpha>` opens, `text` is text, `7!` a call, `.` a whole end, `x` nobody, `f` a filter.
fn events(script: &str) -> Vec<Event> {
    script.split('|').flat_map(event).collect()
}

fn event(word: &str) -> Vec<Event> {
    let attempt = |provider: &str| {
        Event::Attempt(Attempt {
            step: 0,
            provider: provider.to_owned(),
            model: "m".to_owned(),
            started_at: UnixMillis(0),
            outcome: Outcome::Answered,
            first_text: None,
            total: Duration::ZERO,
            usage: Usage { tokens_in: Some(7), tokens_out: Some(2), is_estimated: false },
            cost: None,
        })
    };
    let exhausted = |failure| {
        let failures = vec![("alpha".to_owned(), Failed::new(failure, ""))];
        vec![Event::Ended(End::Exhausted(Exhausted { failures, ..Exhausted::default() }))]
    };
    match word {
        "." => {
            let (finish, provider) = (Finish::Stop, "beta".to_owned());
            vec![
                attempt("beta"),
                Event::Ended(End::Answered {
                    provider,
                    finish,
                    passed_over: Vec::new(),
                    source: Source::Asked,
                }),
            ]
        }
        "x" => exhausted(Failure::ServerError),
        "f" => exhausted(Failure::ContentFiltered),
        word => match (word.strip_suffix('>'), word.strip_suffix('!')) {
            (Some(name), _) => {
                let (provider, model) = (name.to_owned(), format!("{name}-1"));
                vec![Event::Opened { provider, model, afresh: false }]
            }
            (None, Some(arguments)) => {
                let (id, name) = (Some("id".to_owned()), Some("now".to_owned()));
                vec![Event::ToolCall(ToolCall { index: 0, id, name, arguments: arguments.to_owned() })]
            }
            (None, None) => vec![Event::Text(word.to_owned())],
        },
    }
}

/// Plays events; the bytes, and what they came to.
fn played(voice: &mut Voice, events: Vec<Event>) -> (String, &'static str) {
    let mut out = Vec::new();
    for event in events {
        let end = match voice.hear(event, &mut out) {
            Heard::More => continue,
            Heard::Whole => "whole",
            Heard::Broken => "broken",
            Heard::Nobody(_) => "nobody",
        };
        return (String::from_utf8(out).unwrap(), end);
    }
    (String::from_utf8(out).unwrap(), "more")
}

/// What a caller understands: the text, and how it ends.
#[expect(clippy::needless_pass_by_value, reason = "reads as a literal")]
fn check(script: &str, expected: Expect) {
    let (bytes, end) = played(&mut voice(false), events(script));
    let mut shown = String::new();
    for data in bytes.split_terminator("\n\n").map(|it| it.strip_prefix("data: ").unwrap()) {
        let Ok(chunk) = serde_json::from_str::<Value>(data) else {
            writeln!(shown, "{data}").unwrap();
            continue;
        };
        let choice = &chunk["choices"][0];
        match (&chunk["error"]["code"], &choice["finish_reason"]) {
            (Value::Null, Value::Null) => writeln!(shown, "{} {}", chunk["model"], choice["delta"]),
            (Value::Null, finish) => writeln!(shown, "{finish}"),
            (code, _) => writeln!(shown, "error {code}"),
        }
        .unwrap();
    }
    expected.assert_eq(&(shown + end));
}

#[test]
fn byte_for_byte() {
    let (bytes, _) = played(&mut voice(true), events("beta>|Hel\"|lo\n|7!|."));
    expect![[r#"
        data: {"id":"chatcmpl-0123456789","object":"chat.completion.chunk","created":1700000000,"model":"beta-1","choices":[{"index":0,"delta":{"role":"assistant","content":"Hel\""},"finish_reason":null}],"usage":null}

        data: {"id":"chatcmpl-0123456789","object":"chat.completion.chunk","created":1700000000,"model":"beta-1","choices":[{"index":0,"delta":{"content":"lo\n"},"finish_reason":null}],"usage":null}

        data: {"id":"chatcmpl-0123456789","object":"chat.completion.chunk","created":1700000000,"model":"beta-1","choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"id","type":"function","function":{"name":"now","arguments":"7"}}]},"finish_reason":null}],"usage":null}

        data: {"id":"chatcmpl-0123456789","object":"chat.completion.chunk","created":1700000000,"model":"beta-1","choices":[{"index":0,"delta":{},"finish_reason":"tool_calls"}],"usage":null}

        data: {"id":"chatcmpl-0123456789","object":"chat.completion.chunk","created":1700000000,"model":"beta-1","choices":[],"usage":{"prompt_tokens":7,"completion_tokens":2,"total_tokens":9}}

        data: [DONE]

    "#]].assert_eq(&bytes);
}

#[test]
fn whole_answers() {
    check(
        "alpha>|a|b|.",
        expect![[r#"
        "alpha-1" {"content":"a","role":"assistant"}
        "alpha-1" {"content":"b"}
        "stop"
        [DONE]
        whole"#]],
    );
    check(
        "alpha>|{}!|.",
        expect![[r#"
        "alpha-1" {"content":null,"role":"assistant","tool_calls":[{"function":{"arguments":"{}","name":"now"},"id":"id","index":0,"type":"function"}]}
        "tool_calls"
        [DONE]
        whole"#]],
    );
    check(
        "alpha>|f",
        expect![[r#"
        "alpha-1" {"content":"","role":"assistant"}
        "content_filter"
        [DONE]
        whole"#]],
    );
    check(
        "alpha>|a|f",
        expect![[r#"
        "alpha-1" {"content":"a","role":"assistant"}
        "content_filter"
        [DONE]
        whole"#]],
    );
    check(
        "f",
        expect![[r#"
        "alpha" {"content":"","role":"assistant"}
        "content_filter"
        [DONE]
        whole"#]],
    );
}

#[test]
fn nobody() {
    check("x", expect!["nobody"]);
}

#[test]
fn an_answer_that_goes_on_without_a_seam() {
    check(
        "alpha>|one |two|beta>|one| two three|.",
        expect![[r#"
        "alpha-1" {"content":"one ","role":"assistant"}
        "alpha-1" {"content":"two"}
        "beta-1" {"content":" three"}
        "stop"
        [DONE]
        whole"#]],
    );
    check(
        "alpha>|one|beta>|o|n|e|.",
        expect![[r#"
        "alpha-1" {"content":"one","role":"assistant"}
        "stop"
        [DONE]
        whole"#]],
    );
    check(
        "alpha>|one|beta>|one|{}!|.",
        expect![[r#"
        "alpha-1" {"content":"one","role":"assistant"}
        "beta-1" {"tool_calls":[{"function":{"arguments":"{}","name":"now"},"id":"id","index":0,"type":"function"}]}
        "tool_calls"
        [DONE]
        whole"#]],
    );
    check(
        "alpha>|one|beta>|o|gamma>|one two|.",
        expect![[r#"
        "alpha-1" {"content":"one","role":"assistant"}
        "gamma-1" {"content":" two"}
        "stop"
        [DONE]
        whole"#]],
    );
}

#[test]
fn an_answer_that_cannot_go_on() {
    check(
        "alpha>|one|beta>|on|ly",
        expect![[r#"
        "alpha-1" {"content":"one","role":"assistant"}
        error "stream_broken"
        broken"#]],
    );
    check(
        "alpha>|one|beta>|o|.",
        expect![[r#"
        "alpha-1" {"content":"one","role":"assistant"}
        error "stream_broken"
        broken"#]],
    );
    check(
        "alpha>|one|beta>|o|{}!",
        expect![[r#"
        "alpha-1" {"content":"one","role":"assistant"}
        error "stream_broken"
        broken"#]],
    );
    check(
        "alpha>|one|x",
        expect![[r#"
        "alpha-1" {"content":"one","role":"assistant"}
        error "stream_broken"
        broken"#]],
    );
    check(
        "alpha>|one|beta>|f",
        expect![[r#"
        "alpha-1" {"content":"one","role":"assistant"}
        error "stream_broken"
        broken"#]],
    );
    check(
        "alpha>|{}!|beta>",
        expect![[r#"
        "alpha-1" {"content":null,"role":"assistant","tool_calls":[{"function":{"arguments":"{}","name":"now"},"id":"id","index":0,"type":"function"}]}
        error "stream_broken"
        broken"#]],
    );
}

proptest! {
    /// However two answers are cut into pieces: the caller reads the beginning of the second one and no other text, and a
    /// whole end only behind all of it.
    #[test]
    fn no_text_is_ever_of_two_answers(
        first in prop::collection::vec("[aé]{1,3}", 1..5),
        second in prop::collection::vec("[aé]{1,3}", 1..8),
    ) {
        let mut told = vec![Event::Opened { provider: "alpha".to_owned(), model: "m".to_owned(), afresh: false }];
        told.extend(first.iter().cloned().map(Event::Text));
        told.push(Event::Opened { provider: "beta".to_owned(), model: "m".to_owned(), afresh: true });
        told.extend(second.iter().cloned().map(Event::Text));
        told.extend(event("."));
        let (bytes, end) = played(&mut voice(false), told);
        let read: String = bytes
            .split_terminator("\n\n")
            .filter_map(|it| serde_json::from_str::<Value>(it.strip_prefix("data: ")?).ok())
            .filter_map(|chunk| chunk["choices"][0]["delta"]["content"].as_str().map(str::to_owned))
            .collect();
        let (first, second) = (first.concat(), second.concat());
        if second.starts_with(&first) {
            prop_assert_eq!((read.as_str(), end), (second.as_str(), "whole"));
        } else {
            prop_assert_eq!((read.as_str(), end), (first.as_str(), "broken"));
        }
    }
}
