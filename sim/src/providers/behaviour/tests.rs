//! Each word is read, and what does not go together is told.

use super::{parse::KNOWN, *};
use crate::providers::words;
use expect_test::{Expect, expect};

#[expect(clippy::needless_pass_by_value, reason = "reads as a literal")]
fn check(text: &str, expected: Expect) {
    let shown = match words::words(text).and_then(|words| parse(&words)) {
        Ok(calls) => calls.iter().map(show).collect::<Vec<_>>().join("\n"),
        Err(error) => format!("error: {}", error.replace(KNOWN, "(all words)")),
    };
    expected.assert_eq(&shown);
}

fn show(it: &Behaviour) -> String {
    let calm = Behaviour::of(it.answer.clone());
    let mut shown = format!("{:?}", it.answer);
    if let Some(fault) = &it.fault {
        shown += &format!(" {:?}@{}", fault.kind, fault.after);
    }
    if *it != (Behaviour { fault: it.fault.clone(), ..calm }) {
        let Behaviour { hold, delay, pace, drip, headers, finish, reasoning, whole, .. } = it;
        shown += &format!(" {hold} {delay:?} {pace:?} {drip:?} {headers:?} {finish:?} {reasoning:?} {whole}");
        let Behaviour { keepalive, framing, refuses, calls, .. } = it;
        for call in calls {
            shown += &format!(" call {} {}", call.name, call.arguments);
        }
        if !refuses.is_empty() {
            shown += &format!(" refuses {refuses:?}");
        }
        if let Some(every) = keepalive {
            shown += &format!(" keepalive {every:?}");
        }
        if *framing != Framing::default() {
            shown += &format!(" {framing:?}");
        }
    }
    shown
}

#[test]
fn answers() {
    check("'Hello, Ana.'", expect![[r#"Text("Hello, Ana.")"#]]);
    check(
        "echo then lorem=6000 seed=2",
        expect![[r#"
        Echo
        Lorem { size: 6000, seed: 2 }"#]],
    );
    check("500", expect!["Status { status: 500, code: None }"]);
    check(
        "429 retry-after=30",
        expect![[
            r#"Status { status: 429, code: None } false 0ns 0ns None [("retry-after", "30")] Stop None false"#
        ]],
    );
    check(
        "error=insufficient_quota",
        expect![[r#"Status { status: 429, code: Some("insufficient_quota") }"#]],
    );
    check(
        "hang then reset then html then empty then malformed then refuse",
        expect![[r#"
        Hang
        Reset
        Page { status: 200 }
        Empty
        Malformed
        Refuse"#]],
    );
    check("502 html", expect!["Page { status: 502 }"]);
    check("random seed=7 fail=0.25", expect!["Random { seed: 7, fail: 0.25, text: None }"]);
}

#[test]
fn modifiers() {
    check(
        "'a' delay=300ms pace=20ms drip=1s finish=length reasoning='Hm.' whole",
        expect![[r#"Text("a") false 300ms 20ms Some(1s) [] Length Some("Hm.") true"#]],
    );
    check(
        "'a b c' reset after=2 hold",
        expect![[r#"Text("a b c") Reset@2 true 0ns 0ns None [] Stop None false"#]],
    );
    check("echo error=overloaded_error after=3", expect![[r#"Echo Error("overloaded_error")@3"#]]);
    check("stall", expect![[r#"Text("One two three four five six seven eight nine ten.") Stall@0"#]]);
    check("'a' hold after=1", expect![[r#"Text("a") Nothing@1 true 0ns 0ns None [] Stop None false"#]]);
    check("'a' notfinished", expect![[r#"Text("a") Cut@18446744073709551615"#]]);
}

#[test]
fn parameters_are_refused_where_the_model_would_speak() {
    check(
        "'a' refuses=max_tokens,top_p refuses=stop then random refuses=think",
        expect![[r#"
        Text("a") false 0ns 0ns None [] Stop None false refuses ["max_tokens", "top_p", "stop"]
        Random { seed: 0, fail: 0.3, text: None } false 0ns 0ns None [] Stop None false refuses ["think"]"#]],
    );
    check(
        "500 refuses=max_tokens",
        expect!["error: `refuses=` goes with an answer of the model, for the questions that it does take"],
    );
}

#[test]
fn tools_are_called_behind_a_text_or_alone() {
    check(
        r#"'a' call='now {"in":"Oslo"}' call=where then call=now"#,
        expect![[r#"
        Text("a") false 0ns 0ns None [] Calls None false call now {"in":"Oslo"} call where {}
        Empty false 0ns 0ns None [] Calls None false call now {}"#]],
    );
    check(
        "call='now [7]'",
        expect!["error: `call='now [7]'`: expected a tool's name and a JSON object, as in `call='now {}'`"],
    );
    check(
        "call=''",
        expect!["error: `call=''`: expected a tool's name and a JSON object, as in `call='now {}'`"],
    );
    check(
        "500 call=now",
        expect![
            "error: `call=` goes with a text or nothing, and without `finish=`: the calls are why it ends"
        ],
    );
    check(
        "'a' call=now finish=length",
        expect![
            "error: `call=` goes with a text or nothing, and without `finish=`: the calls are why it ends"
        ],
    );
    check("call=now cut after=1", expect!["error: a fault in the middle of an answer needs a text to be in"]);
    let calls = parse(&words::words("call=now").unwrap()).unwrap();
    for kind in Kind::ALL {
        assert_eq!(calls[0].fits(kind).is_err(), kind == Kind::Completions, "{kind}");
    }
}

#[test]
fn errors_name_the_word() {
    check("helo", expect!["error: `helo` is not a behaviour: (all words)"]);
    check(
        "dealy=3ms 'a'",
        expect!["error: `dealy=3ms` is not a behaviour (and `dealy` is no header's name): (all words)"],
    );
    check("'a' 'b'", expect!["error: `'a'` and `'b'` are two answers: put `then` between them"]);
    check(
        "'a' 500",
        expect![
            "error: `'a'` and a status, page or error are two answers: put `then` between them, or say `error=… after=3`"
        ],
    );
    check("'a' cut", expect!["error: `cut` needs to know when: `cut after=3`"]);
    check(
        "'a' after=3",
        expect!["error: `after=` goes with a fault: cut, drop, reset, stall, malformed, error= or hold"],
    );
    check("'a' hold", expect!["error: `hold` needs to know when: `hold after=3`, or a fault with `after=`"]);
    check("'a' cut reset after=1", expect!["error: `cut` and `reset` are two faults: there can be one"]);
    check(
        "refuse then 'a'",
        expect![
            "error: nothing can come after `refuse` or `blackhole`: such a call is not seen, so it can't be counted; use `reset`"
        ],
    );
    check("hang cut after=1", expect!["error: a fault in the middle of an answer needs a text to be in"]);
    check("lorem=many", expect!["error: `lorem=many`: expected a number behind the ="]);
    check("'a' delay=3", expect!["error: `3` is not a time: expected one such as `300ms`, `1.5s` or `2m`"]);
    check("fail=2 random", expect!["error: `fail=2`: expected a probability from 0 to 1"]);
    check("delay=3s", expect!["error: an answer is missing: (all words)"]);
    check("'a' finish=soon", expect!["error: `finish=soon`: expected stop, length or content_filter"]);
}

#[test]
fn random_is_the_same_for_the_same_seed() {
    let random = Behaviour::of(Answer::Random { seed: 7, fail: 0.3, text: None });
    let draws = |it: &Behaviour| (0..200).map(|n| it.draw(n)).collect::<Vec<_>>();
    assert_eq!(draws(&random), draws(&random));
    let calm = draws(&random).iter().filter(|it| **it == Behaviour::of(Answer::Echo)).count();
    assert!((120..160).contains(&calm), "{calm} of 200 went well");
}

#[test]
fn bodies_and_framing() {
    check(
        "429 raw='{\"error\":\"slow down\"}' retry-after=date+30s",
        expect![[
            r#"Raw { status: 429, pieces: [[123, 34, 101, 114, 114, 111, 114, 34, 58, 34, 115, 108, 111, 119, 32, 100, 111, 119, 110, 34, 125]] } false 0ns 0ns None [("retry-after", "date+30s")] Stop None false"#
        ]],
    );
    check(
        "raw='a' bytes=62ff raw='' cut after=2",
        expect!["Raw { status: 200, pieces: [[97], [98, 255], []] } Cut@2"],
    );
    check(
        "close then silent then endless=line",
        expect![[r#"
        Close
        Silent
        Endless(Line)"#]],
    );
    check("hang keepalive=1s", expect!["Hang false 0ns 0ns None [] Stop None false keepalive 1s"]);
    check(
        "'a' crlf bom bytewise then 'a' cr gzip",
        expect![[r#"
        Text("a") false 0ns 0ns None [] Stop None false Framing { line_end: CrLf, bom: true, bytewise: true, gzip: false }
        Text("a") false 0ns 0ns None [] Stop None false Framing { line_end: Cr, bom: false, bytewise: false, gzip: true }"#]],
    );
    check(
        "raw='a' 'b'",
        expect!["error: `raw=` and `bytes=` are a whole answer: only a status may stand beside them"],
    );
    check(
        "bytes=1f8",
        expect!["error: `bytes=1f8`: expected an even number of hexadecimal digits behind the ="],
    );
    check(
        "bytes=+1",
        expect!["error: `bytes=+1`: expected an even number of hexadecimal digits behind the ="],
    );
    check(
        "endless=noise",
        expect!["error: `endless=noise`: expected text, thoughts, comments, events or line"],
    );
    check(
        "500 keepalive=1s",
        expect!["error: `keepalive=` goes with a stream: a text, `raw=`, `empty`, `hang` or a stall"],
    );
    check("'a' keepalive=0s", expect!["error: `keepalive=` needs a time above zero"]);
    check(
        "429 retry-after=date+soon",
        expect!["error: `soon` is not a time: expected one such as `300ms`, `1.5s` or `2m`"],
    );
}
