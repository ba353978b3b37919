//! What one turn has heard, for others to hear it, too (pure).

use super::{
    super::{End, Event, Source},
    cache::Kept,
};
use crate::{message::ToolCall, outcome::Attempt, providers::Finish};
use std::mem;
use tokio::time::Instant;

/// What is written down at most, in bytes: over twice what a turn lets an answer be. More is nobody's to follow.
const LONGEST_LOG: usize = 256 << 10;

/// A turn's answer so far.
#[derive(Debug)]
pub(super) struct Log {
    /// How many answers have begun; only the last one counts.
    answers: u32,
    provider: String,
    model: String,
    said: Vec<Said>,
    bytes: usize,
    /// One provider gives one answer, in one go.
    is_in_one_go: bool,
    /// The leader's calls.
    calls: Vec<Attempt>,
    stage: Stage,
    /// When its leader was last seen at work.
    pub(super) seen_at: Instant,
}

#[derive(Debug)]
enum Said {
    Text(String),
    ToolCall(ToolCall),
}

#[derive(Debug)]
enum Stage {
    Running,
    /// The last event.
    Over(End),
    /// Its leader went away before the end.
    Left,
    /// It is longer than what can be shared.
    TooLong,
}

/// How far somebody has read.
#[derive(Debug, Default)]
pub(super) struct Place {
    answer: u32,
    item: usize,
    byte: usize,
}

/// What somebody reads next.
#[expect(clippy::large_enum_variant, reason = "it is looked at once and not kept")]
#[derive(Debug)]
pub(super) enum Read {
    Event(Event),
    /// The leader went away; somebody else has to ask.
    Left,
    /// Everybody has to ask for himself.
    TooLong,
    /// Nothing yet.
    Nothing,
}

impl Log {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            answers: 0,
            provider: String::new(),
            model: String::new(),
            said: Vec::new(),
            bytes: 0,
            is_in_one_go: true,
            calls: Vec::new(),
            stage: Stage::Running,
            seen_at: now,
        }
    }

    /// Writes down what happened; whether others care.
    pub(super) fn note(&mut self, event: &Event) -> bool {
        if !matches!(self.stage, Stage::Running) {
            return false;
        }
        match event {
            Event::Attempt(attempt) => {
                self.is_in_one_go &= self.answers == 0 || attempt.outcome.failed().is_none();
                self.calls.push(attempt.clone());
                return false;
            }
            Event::Opened { provider, model, afresh } => {
                self.is_in_one_go &= self.answers == 0 && !afresh;
                self.answers += 1;
                provider.clone_into(&mut self.provider);
                model.clone_into(&mut self.model);
                (self.said, self.bytes) = (Vec::new(), 0);
            }
            Event::Text(text) => {
                self.bytes += text.len();
                match self.said.last_mut() {
                    Some(Said::Text(before)) => before.push_str(text),
                    Some(Said::ToolCall(_)) | None => self.said.push(Said::Text(text.clone())),
                }
            }
            Event::ToolCall(call) => {
                let words = [&call.id, &call.name].into_iter().flatten().map(String::len).sum::<usize>();
                self.bytes += mem::size_of::<Said>() + words + call.arguments.len();
                self.said.push(Said::ToolCall(call.clone()));
            }
            Event::Ended(end) => self.stage = Stage::Over(self.told_to_others(end)),
        }
        if self.bytes > LONGEST_LOG {
            (self.said, self.stage) = (Vec::new(), Stage::TooLong);
        }
        true
    }

    /// An answer's end as those are told it who did not ask.
    fn told_to_others(&self, end: &End) -> End {
        let mut end = end.clone();
        if let End::Answered { source, .. } = &mut end {
            *source = Source::Joined { calls: self.calls.clone() };
        }
        end
    }

    /// The leader went away; whether that is before the end.
    pub(super) fn leave(&mut self) -> bool {
        let is_running = matches!(self.stage, Stage::Running);
        if is_running {
            self.stage = Stage::Left;
        }
        is_running
    }

    /// What comes after `place`. Whether an answer begins afresh for the reader only the reader knows.
    pub(super) fn read(&self, place: &mut Place) -> Read {
        match self.stage {
            Stage::Left => return Read::Left,
            Stage::TooLong => return Read::TooLong,
            Stage::Running | Stage::Over(_) => {}
        }
        if place.answer != self.answers {
            *place = Place { answer: self.answers, ..Place::default() };
            let (provider, model) = (self.provider.clone(), self.model.clone());
            return Read::Event(Event::Opened { provider, model, afresh: false });
        }
        while let Some(said) = self.said.get(place.item) {
            match said {
                Said::Text(text) if place.byte < text.len() => {
                    let more = text[place.byte..].to_owned();
                    place.byte = text.len();
                    return Read::Event(Event::Text(more));
                }
                // It may grow, as long as it is the last one.
                Said::Text(_) if place.item + 1 == self.said.len() => break,
                Said::Text(_) => (place.item, place.byte) = (place.item + 1, 0),
                Said::ToolCall(call) => {
                    place.item += 1;
                    return Read::Event(Event::ToolCall(call.clone()));
                }
            }
        }
        match &self.stage {
            Stage::Over(end) => Read::Event(Event::Ended(end.clone())),
            Stage::Running | Stage::Left | Stage::TooLong => Read::Nothing,
        }
    }

    /// The answer to be given again, if it is worth it: whole, of one provider in one go, neither filtered nor cut short, and
    /// nothing but text.
    pub(super) fn kept(&self, now: Instant) -> Option<Kept> {
        match (&self.stage, self.said.as_slice()) {
            (Stage::Over(End::Answered { provider, finish: Finish::Stop, .. }), [Said::Text(text)])
                if self.is_in_one_go && *provider == self.provider && !text.trim().is_empty() =>
            {
                Some(Kept {
                    provider: self.provider.clone(),
                    model: self.model.clone(),
                    text: text.clone(),
                    at: now,
                })
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::Failure;
    use expect_test::{Expect, expect};

    fn log() -> Log {
        Log::new(Instant::now())
    }

    fn opened(provider: &str) -> Event {
        Event::Opened { provider: provider.to_owned(), model: "m".to_owned(), afresh: false }
    }

    fn text(text: &str) -> Event {
        Event::Text(text.to_owned())
    }

    fn call(name: &str) -> Event {
        Event::ToolCall(ToolCall { name: Some(name.to_owned()), ..ToolCall::default() })
    }

    fn ended(provider: &str) -> Event {
        let (provider, passed_over) = (provider.to_owned(), vec![("gamma".to_owned(), Failure::Auth)]);
        Event::Ended(End::Answered { provider, finish: Finish::Stop, passed_over, source: Source::Asked })
    }

    /// What there is to read from `place` on, a word an item.
    fn rest(log: &Log, place: &mut Place) -> String {
        let mut out = Vec::new();
        loop {
            out.push(match log.read(place) {
                Read::Event(Event::Opened { provider, .. }) => format!("<{provider}>"),
                Read::Event(Event::Text(text)) => text,
                Read::Event(Event::ToolCall(call)) => format!("{}()", call.name.unwrap_or_default()),
                Read::Event(Event::Ended(_)) => "end".to_owned(),
                Read::Event(Event::Attempt(_)) => "attempt".to_owned(),
                Read::Left => "left".to_owned(),
                Read::TooLong => "too long".to_owned(),
                Read::Nothing => "…".to_owned(),
            });
            if out.last().is_some_and(|it| ["end", "left", "too long", "…"].contains(&it.as_str())) {
                return out.join(" ");
            }
        }
    }

    /// What one hears who looks after each event, and what one hears who looks at the end.
    #[expect(clippy::needless_pass_by_value, reason = "reads better at the call")]
    fn check(events: &[Event], expected: Expect) {
        let (mut log, mut place, mut early) = (log(), Place::default(), Vec::new());
        for event in events {
            log.note(event);
            early.push(rest(&log, &mut place));
        }
        let late = rest(&log, &mut Place::default());
        expected.assert_eq(&format!("{} | {late}", early.join(" ")));
    }

    #[test]
    fn the_early_and_the_late_hear_the_same() {
        check(&[], expect![" | …"]);
        check(
            &[opened("alpha"), text("a"), text("b"), ended("alpha")],
            expect!["<alpha> … a … b … end | <alpha> ab end"],
        );
        check(
            &[opened("alpha"), call("f"), call("g"), text("a"), call("h"), ended("alpha")],
            expect!["<alpha> … f() … g() … a … h() … end | <alpha> f() g() a h() end"],
        );
        check(
            &[opened("alpha"), text("a"), text("b"), call("f"), text("c")],
            expect!["<alpha> … a … b … f() … c … | <alpha> ab f() c …"],
        );
        check(
            &[opened("alpha"), text("a"), opened("beta"), text("b"), ended("beta")],
            expect!["<alpha> … a … <beta> … b … end | <beta> b end"],
        );
        check(
            &[opened("alpha"), text("ä"), text("ö"), ended("alpha"), text("never")],
            expect!["<alpha> … ä … ö … end end | <alpha> äö end"],
        );
    }

    #[test]
    fn it_has_a_bound() {
        let long = "x".repeat(LONGEST_LOG);
        let mut log = log();
        log.note(&opened("alpha"));
        log.note(&text(&long));
        assert_eq!(log.said.len(), 1);
        log.note(&text("x"));
        assert!(log.said.is_empty());
        assert_eq!(rest(&log, &mut Place::default()), "too long");
        log.note(&ended("alpha"));
        assert!(log.kept(Instant::now()).is_none());
    }

    #[test]
    fn a_new_answer_has_all_the_room() {
        let mut log = log();
        for _ in 0..3 {
            log.note(&opened("alpha"));
            log.note(&text(&"x".repeat(LONGEST_LOG / 2 + 1)));
        }
        assert!(matches!(log.stage, Stage::Running));
    }

    #[test]
    fn what_is_kept_is_one_text_of_one_provider() {
        let kept = |events: &[Event]| {
            let mut log = log();
            for event in events {
                log.note(event);
            }
            log.kept(Instant::now()).map(|it| it.provider + ": " + &it.text)
        };
        let good = [opened("alpha"), text("a"), text("b"), ended("alpha")];
        assert_eq!(kept(&good), Some("alpha: ab".to_owned()));
        assert_eq!(kept(&good[..3]), None, "it has no end");
        assert_eq!(kept(&[opened("alpha"), text(" \n"), ended("alpha")]), None);
        assert_eq!(kept(&[opened("alpha"), text("a"), call("f"), ended("alpha")]), None);
        assert_eq!(kept(&[opened("alpha"), text("a"), ended("beta")]), None, "somebody else went on");
        assert_eq!(kept(&[opened("alpha"), text("a"), opened("beta"), text("b"), ended("beta")]), None);
    }

    #[test]
    fn an_end_stays_an_end() {
        let mut log = log();
        log.note(&ended("alpha"));
        assert!(!log.leave());
        assert_eq!(rest(&log, &mut Place::default()), "end");
    }
}
