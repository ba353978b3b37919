//! Reads the words for a behaviour.

use super::{Answer, Behaviour, Endless, Fault, FaultKind, status_of};
use crate::providers::{
    clock,
    dialect::{Call, Finish},
    framing::LineEnd,
    words,
};
use std::time::Duration;
use words::Word;

/// What is said where a text is needed and none is given.
const SOME_TEXT: &str = "One two three four five six seven eight nine ten.";

pub(super) const KNOWN: &str = "known are 'text', echo, lorem=N, tale=N, a status such as 500, error=CODE, hang, refuse, blackhole, reset, html, empty, \
                     malformed, close, silent, raw='BODY', bytes=HEX, endless=WHAT, random, cut, drop, stall, notfinished, \
                     hold, whole, crlf, cr, bom, bytewise, gzip, keepalive=, delay=, pace=, drip=, after=, finish=, \
                     reasoning=, seed=, fail=, call=, refuses=, and HEADER-NAME=VALUE";

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
    raw: Vec<Vec<u8>>,
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
        "close" => draft.say(word, Answer::Close)?,
        "silent" => draft.say(word, Answer::Silent)?,
        "html" => draft.html = true,
        "crlf" => behaviour.framing.line_end = LineEnd::CrLf,
        "cr" => behaviour.framing.line_end = LineEnd::Cr,
        "bom" => behaviour.framing.bom = true,
        "bytewise" => behaviour.framing.bytewise = true,
        "gzip" => behaviour.framing.gzip = true,
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
        "tale" => draft.say(word, Answer::Tale { size: number(word)? })?,
        "raw" => draft.raw.push(value.as_bytes().to_vec()),
        "bytes" => draft.raw.push(hex(word)?),
        "endless" => draft.say(word, Answer::Endless(endless(value)?))?,
        "error" => draft.error = Some(value.to_owned()),
        "after" => draft.after = Some(number(word)?),
        "seed" => draft.seed = Some(number(word)?),
        "fail" => match number::<f64>(word)? {
            fail if (0.0..=1.0).contains(&fail) => draft.fail = Some(fail),
            _ => return Err(format!("`{}`: expected a probability from 0 to 1", word.written())),
        },
        "delay" => behaviour.delay = words::duration(value)?,
        "pace" => behaviour.pace = words::duration(value)?,
        "keepalive" => match words::duration(value)? {
            Duration::ZERO => return Err("`keepalive=` needs a time above zero".into()),
            every => behaviour.keepalive = Some(every),
        },
        "drip" => behaviour.drip = Some(words::duration(value)?),
        "reasoning" => behaviour.reasoning = Some(value.to_owned()),
        "call" => behaviour.calls.push(call(value)?),
        "refuses" => behaviour.refuses.extend(value.split(',').map(str::to_owned)),
        "finish" => behaviour.finish = Finish::parse(value)?,
        header if header.contains('-') && header.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') => {
            if value.contains(['\r', '\n']) {
                return Err(format!("the value of the header `{header}` has a line break"));
            }
            clock::check(value)?;
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

/// `now {"in":"Oslo"}`: a tool's name, and its arguments if it has any.
fn call(value: &str) -> Result<Call, String> {
    let (name, arguments) = value.trim().split_once(' ').unwrap_or((value, "{}"));
    match serde_json::from_str(arguments) {
        Ok(arguments @ serde_json::Value::Object(_)) if !name.is_empty() => {
            Ok(Call { name: name.to_owned(), arguments })
        }
        _ => Err(format!(
            "`call='{value}'`: expected a tool's name and a JSON object, as in `call='now {{}}'`"
        )),
    }
}

fn endless(what: &str) -> Result<Endless, String> {
    Ok(match what {
        "text" => Endless::Text,
        "thoughts" => Endless::Thoughts,
        "comments" => Endless::Comments,
        "events" => Endless::Events,
        "line" => Endless::Line,
        _ => {
            return Err(format!("`endless={what}`: expected text, thoughts, comments, events or line"));
        }
    })
}

fn hex(word: &Word) -> Result<Vec<u8>, String> {
    let wrong =
        || format!("`{}`: expected an even number of hexadecimal digits behind the =", word.written());
    let pairs = word.text.as_bytes().chunks(2);
    let byte = |pair: &[u8]| {
        let digits = std::str::from_utf8(pair).ok().filter(|it| it.len() == 2 && !it.starts_with('+'))?;
        u8::from_str_radix(digits, 16).ok()
    };
    pairs.map(byte).collect::<Option<_>>().ok_or_else(wrong)
}

fn number<T: std::str::FromStr>(word: &Word) -> Result<T, String> {
    word.text.parse().map_err(|_| format!("`{}`: expected a number behind the =", word.written()))
}

/// Calls are said by a model, and are why its answer ends.
fn calls_fit(behaviour: &mut Behaviour) -> Result<(), String> {
    use Answer::{Echo, Empty, Lorem, Text};
    if behaviour.calls.is_empty() {
        return Ok(());
    }
    if !matches!(behaviour.answer, Text(_) | Echo | Lorem { .. } | Empty) || behaviour.finish != Finish::Stop
    {
        return Err(
            "`call=` goes with a text or nothing, and without `finish=`: the calls are why it ends".into()
        );
    }
    behaviour.finish = Finish::Calls;
    Ok(())
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
        let is_silent = self.said.is_none() && self.raw.is_empty();
        let alone = is_silent && self.status.is_none() && !self.html && !self.random;
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
        if alone && self.fault.is_none() && self.error.is_none() && !behaviour.calls.is_empty() {
            self.said = Some((String::new(), Answer::Empty));
        }
        behaviour.answer = self.answer(behaviour.fault.is_some())?;
        calls_fit(&mut behaviour)?;
        let spoken = match behaviour.answer {
            Answer::Text(_)
            | Answer::Echo
            | Answer::Lorem { .. }
            | Answer::Tale { .. }
            | Answer::Raw { .. } => true,
            _ if behaviour.fault.is_some() => {
                return Err("a fault in the middle of an answer needs a text to be in".into());
            }
            Answer::Empty | Answer::Hang => true,
            _ => false,
        };
        if behaviour.keepalive.is_some() && (!spoken || behaviour.whole) {
            return Err("`keepalive=` goes with a stream: a text, `raw=`, `empty`, `hang` or a stall".into());
        }
        if !behaviour.refuses.is_empty() && !behaviour.answer.is_spoken() {
            return Err(
                "`refuses=` goes with an answer of the model, for the questions that it does take".into()
            );
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
        let Self { said, status, html, error, seed, fail, random, raw, .. } = self;
        if !raw.is_empty() {
            return match said {
                None if !html && error.is_none() && !random => {
                    Ok(Answer::Raw { status: status.unwrap_or(200), pieces: raw })
                }
                _ => {
                    Err("`raw=` and `bytes=` are a whole answer: only a status may stand beside them".into())
                }
            };
        }
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
                Some((_, Answer::Tale { size })) => {
                    Ok(Answer::RandomTale { seed: seed.unwrap_or(0), fail: fail.unwrap_or(0.3), size })
                }
                Some((word, _)) => {
                    Err(format!("`random` goes with a 'text', `tale=` or nothing, not with `{word}`"))
                }
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
