//! What a provider will do with a call, and the words for it.
//!
//! One call's behaviour is an answer and modifiers, in any order; `then` separates successive calls, the last one stays.
//!
//! | answer | does |
//! | --- | --- |
//! | `'text'`, `"text"` | says this, in pieces of a word each |
//! | `echo` | says "You said: " and the last line the person said |
//! | `lorem=6000` | says about that many characters of Markdown: headings, lists, code fences, CJK (`seed=7` for another one) |
//! | `500` | this HTTP status with the vendor's error body; `429 retry-after=30`: any `header-name=value` is sent, too |
//! | `error=insufficient_quota` | an error body with this code, and the status that belongs to it |
//! | `hang` | takes the call and never answers |
//! | `refuse` | refuses connections, until the provider is healed or told otherwise |
//! | `blackhole` | as `refuse`, but who wants to connect hears nothing at all |
//! | `reset` | resets the connection instead of answering |
//! | `html` | answers 200 with a web page, as proxies do; `502 html` for another status |
//! | `empty` | a whole answer without any text |
//! | `malformed` | answers 200 with JSON that ends in the middle |
//! | `random seed=7 fail=0.3` | fails in one of several ways with this probability, else echoes or says the text |
//!
//! | modifier | does |
//! | --- | --- |
//! | `delay=300ms` | waits before the answer's head |
//! | `pace=20ms` | waits between the pieces |
//! | `drip=1s` | sends one character in this time |
//! | `cut after=3` | ends the answer cleanly after three pieces, without the mark that it is finished |
//! | `drop after=3` | closes the connection in the middle of the body |
//! | `reset after=3` | resets the connection |
//! | `stall after=3` | sends no more, and keeps the connection |
//! | `error=overloaded_error after=3` | an error inside the 200 stream, in the dialect's own shape |
//! | `malformed after=3` | a broken piece |
//! | `notfinished` | the whole text, and then as `cut` |
//! | `hold` | before that fault (or before the piece `after=3`), waits up to 3 s until what was sent can be seen in Discord |
//! | `finish=length` | the reason why it ended: `stop`, `length`, `content_filter` |
//! | `reasoning='Hm.'` | thinks aloud before the text, where the dialect can |
//! | `whole` | answers a request for a stream with one JSON document, as some servers do |

use super::{dialect::Finish, words};
use std::time::Duration;
use words::Word;

/// What is said where a text is needed and none is given.
const SOME_TEXT: &str = "One two three four five six seven eight nine ten.";

const KNOWN: &str = "known are 'text', echo, lorem=N, a status such as 500, error=CODE, hang, refuse, blackhole, reset, html, empty, \
                     malformed, random, cut, drop, stall, notfinished, hold, whole, delay=, pace=, drip=, after=, finish=, \
                     reasoning=, seed=, fail=, and HEADER-NAME=VALUE";

/// One call's behaviour.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Behaviour {
    pub(crate) answer: Answer,
    pub(crate) fault: Option<Fault>,
    /// Wait until people see what was sent, before the fault.
    pub(crate) hold: bool,
    pub(crate) delay: Duration,
    pub(crate) pace: Duration,
    /// The time of one character.
    pub(crate) drip: Option<Duration>,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) finish: Finish,
    pub(crate) reasoning: Option<String>,
    pub(crate) whole: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Answer {
    Text(String),
    Echo,
    Lorem { size: usize, seed: u64 },
    Status { status: u16, code: Option<String> },
    Page { status: u16 },
    Hang,
    Refuse,
    BlackHole,
    Reset,
    Empty,
    Malformed,
    Random { seed: u64, fail: f64, text: Option<String> },
}

/// Something that happens in the middle of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    /// After so many pieces; when there are fewer, after the last one.
    pub(crate) after: usize,
    pub(crate) kind: FaultKind,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum FaultKind {
    /// Nothing goes wrong: it is only a place to `hold`.
    Nothing,
    Cut,
    Drop,
    Reset,
    Stall,
    Error(String),
    Malformed,
}

impl Behaviour {
    pub(crate) fn of(answer: Answer) -> Self {
        Self {
            answer,
            fault: None,
            hold: false,
            delay: Duration::ZERO,
            pace: Duration::ZERO,
            drip: None,
            headers: Vec::new(),
            finish: Finish::Stop,
            reasoning: None,
            whole: false,
        }
    }

    /// What `random` does at this draw: the same for the same seed and number.
    pub(crate) fn draw(&self, number: u64) -> Self {
        let Answer::Random { seed, fail, text } = &self.answer else { return self.clone() };
        let mut rng = fastrand::Rng::with_seed(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(number));
        let calm = Self { answer: text.clone().map_or(Answer::Echo, Answer::Text), ..self.clone() };
        if rng.f64() >= *fail {
            return calm;
        }
        let broken = |kind| Self { fault: Some(Fault { after: 2, kind }), ..calm.clone() };
        let answered = |answer| Self { answer, ..calm.clone() };
        match rng.u8(0..8) {
            0 => answered(Answer::Status { status: 500, code: None }),
            1 => answered(Answer::Status { status: 503, code: None }),
            2 => Self {
                headers: vec![("retry-after".into(), "1".into())],
                ..answered(Answer::Status { status: 429, code: None })
            },
            3 => answered(Answer::Reset),
            4 => answered(Answer::Malformed),
            5 => broken(FaultKind::Cut),
            6 => broken(FaultKind::Reset),
            _ => broken(FaultKind::Error("overloaded_error".into())),
        }
    }
}

/// Reads behaviours, separated by `then`.
///
/// # Errors
/// The word that is not understood, and what is known.
pub(crate) fn parse(words: &[Word]) -> Result<Vec<Behaviour>, String> {
    let calls = words.split(|word| word.bare() == Some("then")).map(one).collect::<Result<Vec<_>, _>>()?;
    let unseen = |call: &Behaviour| matches!(call.answer, Answer::Refuse | Answer::BlackHole);
    match calls.split_last() {
        Some((_, former)) if former.iter().any(unseen) => Err("nothing can come after `refuse` or `blackhole`: such a \
                                                               call is not seen, so it can't be counted; use `reset`"
            .into()),
        _ => Ok(calls),
    }
}

/// What was said of one call so far.
#[derive(Default)]
struct Draft {
    said: Option<(String, Answer)>,
    status: Option<u16>,
    html: bool,
    error: Option<String>,
    fault: Option<(String, FaultKind)>,
    after: Option<usize>,
    seed: Option<u64>,
    fail: Option<f64>,
    random: bool,
}

fn one(words: &[Word]) -> Result<Behaviour, String> {
    if words.is_empty() {
        return Err(format!("a behaviour is missing: {KNOWN}"));
    }
    let mut draft = Draft::default();
    let mut behaviour = Behaviour::of(Answer::Echo);
    for word in words {
        match (&word.key, word.quoted) {
            (None, true) => draft.say(word, Answer::Text(word.text.clone()))?,
            (None, false) => plain(&mut draft, &mut behaviour, word)?,
            (Some(key), _) => keyed(&mut draft, &mut behaviour, key, word)?,
        }
    }
    draft.finish(behaviour)
}

/// A word without a value.
fn plain(draft: &mut Draft, behaviour: &mut Behaviour, word: &Word) -> Result<(), String> {
    match word.text.as_str() {
        "echo" => draft.say(word, Answer::Echo)?,
        "hang" => draft.say(word, Answer::Hang)?,
        "refuse" => draft.say(word, Answer::Refuse)?,
        "blackhole" => draft.say(word, Answer::BlackHole)?,
        "empty" => draft.say(word, Answer::Empty)?,
        "html" => draft.html = true,
        "random" => draft.random = true,
        "hold" => behaviour.hold = true,
        "whole" => behaviour.whole = true,
        "cut" => draft.fault(word, FaultKind::Cut)?,
        "drop" => draft.fault(word, FaultKind::Drop)?,
        "reset" => draft.fault(word, FaultKind::Reset)?,
        "stall" => draft.fault(word, FaultKind::Stall)?,
        "malformed" => draft.fault(word, FaultKind::Malformed)?,
        "notfinished" => {
            draft.fault(word, FaultKind::Cut)?;
            draft.after = Some(usize::MAX);
        }
        number => match number.parse() {
            Ok(status @ 100..=599) => draft.status = Some(status),
            _ => return Err(format!("`{number}` is not a behaviour: {KNOWN}")),
        },
    }
    Ok(())
}

/// A word with a value.
fn keyed(draft: &mut Draft, behaviour: &mut Behaviour, key: &str, word: &Word) -> Result<(), String> {
    let value = word.text.as_str();
    match key {
        "lorem" => draft.say(word, Answer::Lorem { size: number(word)?, seed: 0 })?,
        "error" => draft.error = Some(value.to_owned()),
        "after" => draft.after = Some(number(word)?),
        "seed" => draft.seed = Some(number(word)?),
        "fail" => match number::<f64>(word)? {
            fail if (0.0..=1.0).contains(&fail) => draft.fail = Some(fail),
            _ => return Err(format!("`{}`: expected a probability from 0 to 1", word.written())),
        },
        "delay" => behaviour.delay = words::duration(value)?,
        "pace" => behaviour.pace = words::duration(value)?,
        "drip" => behaviour.drip = Some(words::duration(value)?),
        "reasoning" => behaviour.reasoning = Some(value.to_owned()),
        "finish" => behaviour.finish = Finish::parse(value)?,
        header if header.contains('-') && header.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') => {
            if value.contains(['\r', '\n']) {
                return Err(format!("the value of the header `{header}` has a line break"));
            }
            behaviour.headers.push((header.to_ascii_lowercase(), value.to_owned()));
        }
        _ => {
            return Err(format!(
                "`{}` is not a behaviour (and `{key}` is no header's name): {KNOWN}",
                word.written()
            ));
        }
    }
    Ok(())
}

fn number<T: std::str::FromStr>(word: &Word) -> Result<T, String> {
    word.text.parse().map_err(|_| format!("`{}`: expected a number behind the =", word.written()))
}

impl Draft {
    fn say(&mut self, word: &Word, answer: Answer) -> Result<(), String> {
        let word = word.written();
        match self.said.replace((word.clone(), answer)) {
            Some((former, _)) => {
                Err(format!("`{former}` and `{word}` are two answers: put `then` between them"))
            }
            None => Ok(()),
        }
    }

    fn fault(&mut self, word: &Word, kind: FaultKind) -> Result<(), String> {
        match self.fault.replace((word.text.clone(), kind)) {
            Some((former, _)) => {
                Err(format!("`{former}` and `{}` are two faults: there can be one", word.text))
            }
            None => Ok(()),
        }
    }

    /// Puts the words together; those that don't go together are errors, so that a scenario never does less than it says.
    fn finish(mut self, mut behaviour: Behaviour) -> Result<Behaviour, String> {
        self.error_is_a_fault()?;
        let alone = self.said.is_none() && self.status.is_none() && !self.html && !self.random;
        match (self.fault.take(), self.after) {
            (Some((_, kind)), Some(after)) => behaviour.fault = Some(Fault { after, kind }),
            (Some((_, FaultKind::Reset)), None) if alone => {
                self.said = Some((String::new(), Answer::Reset));
            }
            (Some((_, FaultKind::Malformed)), None) if alone => {
                self.said = Some((String::new(), Answer::Malformed));
            }
            (Some((_, kind)), None) if alone => behaviour.fault = Some(Fault { after: 0, kind }),
            (Some((word, _)), None) => return Err(format!("`{word}` needs to know when: `{word} after=3`")),
            (None, Some(after)) if behaviour.hold => {
                behaviour.fault = Some(Fault { after, kind: FaultKind::Nothing });
            }
            (None, Some(_)) => {
                return Err(
                    "`after=` goes with a fault: cut, drop, reset, stall, malformed, error= or hold".into()
                );
            }
            (None, None) => {}
        }
        if behaviour.hold && behaviour.fault.is_none() {
            return Err("`hold` needs to know when: `hold after=3`, or a fault with `after=`".into());
        }
        behaviour.answer = self.answer(behaviour.fault.is_some())?;
        let spoken = matches!(behaviour.answer, Answer::Text(_) | Answer::Echo | Answer::Lorem { .. });
        if behaviour.fault.is_some() && !spoken {
            return Err("a fault in the middle of an answer needs a text to be in".into());
        }
        Ok(behaviour)
    }

    /// `error=` with `after=` is a fault inside of the stream; alone it is an answer with a status.
    fn error_is_a_fault(&mut self) -> Result<(), String> {
        if self.after.is_none() {
            return Ok(());
        }
        match (self.error.take(), &self.fault) {
            (None, _) => Ok(()),
            (Some(code), None) => {
                self.fault = Some(("error".into(), FaultKind::Error(code)));
                Ok(())
            }
            (Some(_), Some((former, _))) => {
                Err(format!("`{former}` and `error` are two faults: there can be one"))
            }
        }
    }

    fn answer(self, fault: bool) -> Result<Answer, String> {
        let Self { said, status, html, error, seed, fail, random, .. } = self;
        let is_status = html || status.is_some() || error.is_some();
        match said {
            Some((word, _)) if is_status => Err(format!(
                "`{word}` and a status, page or error are two answers: put `then` between them, or say `error=… after=3`"
            )),
            said if random => match said {
                None => Ok(Answer::Random { seed: seed.unwrap_or(0), fail: fail.unwrap_or(0.3), text: None }),
                Some((_, Answer::Text(text))) => Ok(Answer::Random {
                    seed: seed.unwrap_or(0),
                    fail: fail.unwrap_or(0.3),
                    text: Some(text),
                }),
                Some((word, _)) => Err(format!("`random` goes with a 'text' or nothing, not with `{word}`")),
            },
            Some((_, Answer::Lorem { size, .. })) => Ok(Answer::Lorem { size, seed: seed.unwrap_or(0) }),
            Some((_, answer)) => Ok(answer),
            None if html => Ok(Answer::Page { status: status.unwrap_or(200) }),
            None => match (status, error) {
                (None, None) if fault => Ok(Answer::Text(SOME_TEXT.into())),
                (None, None) => Err(format!("an answer is missing: {KNOWN}")),
                (Some(status), code) => Ok(Answer::Status { status, code }),
                (None, Some(code)) => Ok(Answer::Status { status: status_of(&code), code: Some(code) }),
            },
        }
    }
}

/// The HTTP status that vendors send with an error code.
pub(crate) fn status_of(code: &str) -> u16 {
    match code {
        "insufficient_quota" | "rate_limit_exceeded" | "rate_limit_error" => 429,
        "invalid_api_key" | "authentication_error" => 401,
        "insufficient_credits" | "billing_error" => 402,
        "permission_error" | "unsupported_country_region_territory" => 403,
        "model_not_found" | "not_found_error" => 404,
        "request_too_large" => 413,
        "overloaded_error" => 529,
        "unavailable_error" => 503,
        "api_error" | "server_error" => 500,
        _ => 400,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
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
            shown +=
                &format!(" {hold} {delay:?} {pace:?} {drip:?} {headers:?} {finish:?} {reasoning:?} {whole}");
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
        check(
            "'a' hold",
            expect!["error: `hold` needs to know when: `hold after=3`, or a fault with `after=`"],
        );
        check("'a' cut reset after=1", expect!["error: `cut` and `reset` are two faults: there can be one"]);
        check(
            "refuse then 'a'",
            expect![
                "error: nothing can come after `refuse` or `blackhole`: such a call is not seen, so it can't be counted; use `reset`"
            ],
        );
        check("hang cut after=1", expect!["error: a fault in the middle of an answer needs a text to be in"]);
        check("lorem=many", expect!["error: `lorem=many`: expected a number behind the ="]);
        check(
            "'a' delay=3",
            expect!["error: `3` is not a time: expected one such as `300ms`, `1.5s` or `2m`"],
        );
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
}
