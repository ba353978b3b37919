//! What the bot says to those who press its buttons.

use super::because;
use crate::{
    message::TurnId,
    outcome::{Attempt, Outcome},
    store::{Change, Pin, Scope},
};
use std::{fmt::Write, time::Duration};

/// Calls that are told one by one; a message has room for these whatever the names are.
const CALLS: usize = 10;
/// A name on Discord has 32 characters at most.
const NAME: usize = 32;

/// A person's name, so that it is read as it is and not as Markdown.
fn name(name: &str) -> String {
    let mut out = String::new();
    for it in name.chars().filter(|it| !it.is_control()).take(NAME) {
        if it.is_ascii_punctuation() && !matches!(it, '.' | ',' | '\'' | '!' | '?') {
            out.push('\\');
        }
        out.push(it);
    }
    out
}

/// The footer below what there was of an answer.
pub(crate) fn stopped(by: &str) -> String {
    format!("-# stopped by {}", name(by))
}

/// In place of an answer that had no words yet.
pub(crate) fn stopped_early() -> String {
    "This was stopped before there was an answer.".to_owned()
}

/// The footer below the answer from before, when another one was stopped before it had words.
pub(crate) fn stopped_before_another(by: &str) -> String {
    format!("-# this is the answer from before · the new one was stopped by {}", name(by))
}

/// The footer below the answer from before, when nobody gave another one.
pub(crate) fn no_other_answer(turn: &TurnId) -> String {
    format!("-# this is the answer from before · no other one could be had right now · {turn}")
}

/// A button that is not theirs; `what` they wanted to do.
pub(crate) fn only_the_asker(what: &str) -> String {
    format!("Only the person who asked, and moderators, can {what}. You are welcome to ask me yourself.")
}

/// A button of a reply that nothing is known of any more.
pub(crate) fn too_old() -> String {
    "That reply is too old: I don't remember it any more. Please ask again.".to_owned()
}

/// The question is being asked again already.
pub(crate) fn at_it_already() -> String {
    "I am at it already; the answer appears here.".to_owned()
}

/// A turn that this process has not taken up yet.
pub(crate) fn not_yet() -> String {
    "I have just started and am still looking through my notes. Please press it again in a moment.".to_owned()
}

/// The question was deleted, or forgotten by a reset.
pub(crate) fn question_is_gone() -> String {
    "I can't ask that again: the question was deleted, or I was told to forget it.".to_owned()
}

/// The bot is about to stop.
pub(crate) fn closing() -> String {
    "I am about to restart. Please press it again in a minute.".to_owned()
}

/// 👍 or 👎.
pub(crate) fn voted(change: Change, liked: bool) -> String {
    match (change, liked) {
        (Change::TakenBack, _) => "Your vote is taken back.".to_owned(),
        (Change::New | Change::Turned, true) => {
            "Noted: a good answer. Thank you. Pressing it again takes it back.".to_owned()
        }
        (Change::New | Change::Turned, false) => {
            "Noted: not a good answer. Thank you. Pressing it again takes it back.".to_owned()
        }
    }
}

/// ⓘ: the calls behind an answer, in the order in which they began.
pub(crate) fn behind(attempts: &[Attempt], pin: Option<&Pin>, turn: &TurnId) -> String {
    let mut out = String::from("**Behind this answer**");
    if attempts.is_empty() {
        out.push_str(
            "\nNobody was asked for it: it was known already, or asked by somebody else at the same time.",
        );
    }
    let left_out = attempts.len().saturating_sub(CALLS);
    if left_out > 0 {
        let _ = write!(out, "\n{left_out} earlier calls are left out.");
    }
    for (place, it) in attempts.iter().enumerate().skip(left_out) {
        let _ = write!(out, "\n{}. {}", place + 1, call(it));
    }
    if let Some(pin) = pin {
        let place = super::place(matches!(pin.scope, Scope::Server(_)));
        let strict = if pin.strict { ", and nobody else answers" } else { "" };
        let _ = write!(out, "\n-# **{}** was put first {place} by <@{}>{strict}", pin.provider, pin.by);
    }
    let _ = write!(out, "\n-# {turn}");
    out
}

/// One call: who, how it went, how long it took, what it used.
fn call(it: &Attempt) -> String {
    let went = match &it.outcome {
        Outcome::Answered => "answered",
        Outcome::Failed(failed) => because(failed.failure),
        Outcome::Overtaken => "was slower than another one",
        Outcome::Cancelled => "was hung up on",
    };
    let mut out = format!("**{}** ({}) {went}", it.provider, it.model);
    match it.first_text {
        Some(first) => {
            let _ = write!(out, " · first text after {}, {} in all", seconds(first), seconds(it.total));
        }
        None => {
            let _ = write!(out, " · after {}", seconds(it.total));
        }
    }
    let about = if it.usage.is_estimated { "about " } else { "" };
    if let (Some(tokens_in), Some(tokens_out)) = (it.usage.tokens_in, it.usage.tokens_out) {
        let _ = write!(out, " · {about}{tokens_in} tokens in, {tokens_out} out");
    }
    if let Some(cost) = it.cost {
        let _ = write!(out, " · cost {about}{cost:.4}");
    }
    out
}

/// `45 ms`, `1.2 s`.
fn seconds(span: Duration) -> String {
    let ms = span.as_millis();
    if ms < 1000 { format!("{ms} ms") } else { format!("{}.{} s", ms / 1000, ms % 1000 / 100) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        message::{ChannelId, GuildId, UnixMillis, UserId},
        outcome::{Failed, Failure, Usage},
    };
    use expect_test::expect;

    fn attempt(provider: &str, outcome: Outcome) -> Attempt {
        Attempt {
            step: 0,
            provider: provider.to_owned(),
            model: format!("{provider}-1"),
            started_at: UnixMillis(0),
            outcome,
            first_text: None,
            total: Duration::from_millis(120),
            usage: Usage::default(),
            cost: None,
        }
    }

    #[test]
    fn what_is_behind_an_answer() {
        let turn = TurnId("7k2m9x4q8d".to_owned());
        let answered = Attempt {
            first_text: Some(Duration::from_millis(340)),
            total: Duration::from_millis(2780),
            usage: Usage { tokens_in: Some(812), tokens_out: Some(154), is_estimated: true },
            cost: Some(0.0021),
            ..attempt("beta", Outcome::Answered)
        };
        let calls = [
            attempt("alpha", Outcome::Failed(Failed::new(Failure::RateLimited, "secret detail"))),
            attempt("gamma", Outcome::Overtaken),
            answered,
        ];
        let pin = Pin {
            scope: Scope::Channel(ChannelId(1)),
            guild_id: GuildId(1),
            provider: "alpha".to_owned(),
            strict: false,
            until: None,
            by: UserId(77),
            created_at: UnixMillis(0),
        };
        expect![[r#"
            **Behind this answer**
            1. **alpha** (alpha-1) was rate limited · after 120 ms
            2. **gamma** (gamma-1) was slower than another one · after 120 ms
            3. **beta** (beta-1) answered · first text after 340 ms, 2.7 s in all · about 812 tokens in, 154 out · cost about 0.0021
            -# **alpha** was put first in this channel by <@77>
            -# 7k2m9x4q8d"#]]
        .assert_eq(&behind(&calls, Some(&pin), &turn));
        expect![[r#"
            **Behind this answer**
            Nobody was asked for it: it was known already, or asked by somebody else at the same time.
            -# 7k2m9x4q8d"#]]
        .assert_eq(&behind(&[], None, &turn));
        let many = vec![attempt(&"p".repeat(64), Outcome::Cancelled); 40];
        assert!(behind(&many, Some(&pin), &turn).len() < 2000, "it fits into a message");
    }

    #[test]
    fn a_name_is_read_as_it_is() {
        assert_eq!(stopped("Ana"), "-# stopped by Ana");
        assert_eq!(stopped("**Ben** <@1>\n# @everyone"), r"-# stopped by \*\*Ben\*\* \<\@1\>\# \@everyone");
    }
}
