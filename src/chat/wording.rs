//! Every sentence that the bot itself says, so that it speaks with one voice.

pub(crate) mod pressed;
mod waiting;

use crate::{
    message::{TurnId, UnixMillis},
    outcome::Failure,
    router::{Exhausted, ProviderStanding, roster::Standing},
};
use std::{collections::BTreeSet, fmt::Write, time::Duration};
pub(crate) use waiting::{expired, notice, over_limit};

/// The last line below the beginning of an answer that is too long for messages: where the rest is, and the footer.
pub(crate) fn whole_in_file(footer: Option<&str>) -> String {
    let footer = footer.map(|it| format!(" · {}", it.trim_start_matches("-# "))).unwrap_or_default();
    format!("-# this is the beginning; the whole answer is in the file{footer}")
}

/// Why somebody else answered, in a footer: follows the provider's name.
pub(crate) fn because(failure: Failure) -> &'static str {
    match failure {
        Failure::RateLimited => "was rate limited",
        Failure::QuotaExhausted => "is out of quota",
        Failure::Overloaded => "was overloaded",
        Failure::ServerError => "had a server error",
        Failure::Timeout => "did not answer in time",
        Failure::Connection => "could not be reached",
        Failure::BrokenStream => "broke off",
        Failure::Malformed => "sent something unreadable",
        Failure::Empty => "sent an empty answer",
        Failure::Auth => "refused its key",
        Failure::RegionBlocked => "is not available here",
        Failure::ModelUnavailable => "does not have its model",
        Failure::ContextTooLong => "found the conversation too long",
        Failure::ContentFiltered => "declined to answer",
        Failure::UnsupportedParameter | Failure::BadRequest => "did not accept the request",
    }
}

/// Why a provider that would have come first did not answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Why {
    /// It was asked and failed.
    Failed(Failure),
    /// It was not asked, since it rests after this failure.
    Resting(Failure),
    /// Another one was faster.
    Slow,
}

/// `-# answered by beta · alpha was rate limited`. None when there is nothing to say.
pub(crate) fn footer(provider: Option<&str>, others: &[(String, Why)], cut_short: bool) -> Option<String> {
    let answered = provider.map(|it| format!("answered by {it}"));
    let others = others.iter().map(|(name, why)| {
        let why = match why {
            Why::Failed(failure) => because(*failure),
            Why::Resting(Failure::RateLimited) => "is rate limited",
            Why::Resting(
                failure @ (Failure::Auth
                | Failure::QuotaExhausted
                | Failure::RegionBlocked
                | Failure::ModelUnavailable),
            ) => because(*failure),
            Why::Resting(_) => "is resting after failures",
            Why::Slow => "was slow",
        };
        format!("{name} {why}")
    });
    let cut_short = cut_short.then(|| "the answer reached its limit of length and stops here".to_owned());
    let words: Vec<String> = answered.into_iter().chain(others).chain(cut_short).collect();
    (!words.is_empty()).then(|| format!("-# {}", words.join(" · ")))
}

/// The footer under an answer that has no end.
pub(crate) fn broken_off(is_filtered: bool, turn: &TurnId) -> String {
    let why = if is_filtered {
        "the provider's content filter ended this answer"
    } else {
        "this answer broke off and no other provider could take over; please ask again"
    };
    format!("-# {why} · {turn}")
}

/// What people are told when more was missed than is answered. Messages before the one that it replies to are done with.
pub(crate) const MORE_WAS_MISSED: &str = "While I was away, more messages to me came in here than I can answer one by one. I go \
     on with the latest ones; please ask again if an older one still matters.";

/// A question was taken before the bot went away, and is too old to be answered by itself now.
pub(crate) fn too_late(turn: &TurnId) -> String {
    format!(
        "I was away before I could answer this, and by now it is too old to answer it unasked. Please ask again if it still \
         matters.\n-# {turn}"
    )
}

/// The footer under an answer that was never finished, since the bot was away for too long.
pub(crate) fn left_half(turn: &TurnId) -> String {
    format!("-# this answer broke off when I went away; please ask again · {turn}")
}

/// The apology when nobody answered: what happened, what to do, and the id that operators find in the log.
pub(crate) fn apology(exhausted: &Exhausted, turn: &TurnId) -> String {
    let kinds: BTreeSet<Failure> = exhausted.failures.iter().map(|(_, failed)| failed.failure).collect();
    let all = |kind: Failure| kinds.len() == 1 && kinds.contains(&kind);
    let sentence = if kinds.contains(&Failure::ContentFiltered) {
        "The model declined to answer this. Asking in other words may help.".to_owned()
    } else if kinds.contains(&Failure::ContextTooLong) {
        "This conversation is too long for the models I can reach. `/reset` clears it, or ask in a new thread.".to_owned()
    } else if all(Failure::RateLimited) {
        format!("All the models I can ask are rate limited right now. {}", again(exhausted.try_again_in))
    } else if all(Failure::BadRequest) {
        "The models could not make sense of this request. Please put it differently.".to_owned()
    } else if !kinds.is_empty()
        && kinds.iter().all(|it| matches!(it, Failure::Auth | Failure::QuotaExhausted))
    {
        "My access to the models is not in order. Whoever runs me finds the cause in the log.".to_owned()
    } else if exhausted.timed_out {
        "The models took too long to answer. Please try again in a moment.".to_owned()
    } else {
        let tried: BTreeSet<&str> = exhausted.failures.iter().map(|(name, _)| name.as_str()).collect();
        let tried = match tried.len() {
            0 => String::new(),
            count => format!(" ({count} tried)"),
        };
        format!("I can't reach any model right now{tried}. {}", again(exhausted.try_again_in))
    };
    format!("{sentence}\n-# {turn}")
}

fn again(hint: Option<Duration>) -> String {
    match hint {
        Some(hint) if hint >= Duration::from_secs(5) => format!("Please try again in {}.", about(hint)),
        Some(_) | None => "Please try again in a moment.".to_owned(),
    }
}

/// A duration as people say it, rounded up: `30 seconds`, `2 minutes`, `3 hours`.
pub(crate) fn about(duration: Duration) -> String {
    let seconds = duration.as_millis().div_ceil(1000);
    let (count, unit) = match seconds {
        0..=99 => (seconds, "second"),
        100..=5399 => (seconds.div_ceil(60), "minute"),
        5400..=129_599 => (seconds.div_ceil(3600), "hour"),
        _ => (seconds.div_ceil(86_400), "day"),
    };
    if count == 1 { format!("1 {unit}") } else { format!("{count} {unit}s") }
}

/// Too many messages wait in one conversation.
pub(crate) fn too_many_waiting() -> String {
    "I am still busy with the messages before this one. Please wait for those answers, then ask again."
        .to_owned()
}

/// The answer was stopped because the bot shuts down for good.
pub(crate) fn store_is_unwell(turn: &TurnId) -> String {
    format!(
        "I can't take questions right now: my memory does not work. Whoever runs me finds the cause in the log.\n-# {turn}"
    )
}

/// `/reset`.
pub(crate) fn reset(forgotten: u64) -> String {
    match forgotten {
        0 => "There was nothing to forget here.".to_owned(),
        1 => "Done. I start afresh here; the 1 message before this is no longer used.".to_owned(),
        count => format!("Done. I start afresh here; the {count} messages before this are no longer used."),
    }
}

/// A command that could not be carried out.
pub(crate) fn command_failed() -> String {
    "That did not work, and nothing was changed. Please try again; whoever runs me finds the cause in the log.".to_owned()
}

/// A command that only moderators may use.
pub(crate) fn only_moderators() -> String {
    "Only members with the permission *Manage Server* can do that.".to_owned()
}

/// A command that makes sense on a server only.
pub(crate) fn only_on_servers() -> String {
    "That works on a server only: there are no moderators in a direct message.".to_owned()
}

/// A name that is not configured.
pub(crate) fn no_such_provider(name: &str, names: &[&str]) -> String {
    format!("There is no provider `{}`. I know: {}.", plain(name), names.join(", "))
}

/// A duration that can't be read.
pub(crate) fn no_such_duration(text: &str) -> String {
    format!("`{}` is not a duration. Write `30m`, `1h` or `7d`.", plain(text))
}

/// What a person typed, made safe to repeat within backticks.
fn plain(text: &str) -> String {
    text.chars().filter(|it| !it.is_control() && *it != '`').take(64).collect()
}

/// Where a choice holds.
pub(crate) fn place(is_server: bool) -> &'static str {
    if is_server { "on the whole server" } else { "in this channel" }
}

fn until(until: Option<UnixMillis>) -> String {
    // Discord shows the moment in each reader's own time zone.
    until.map_or_else(|| "until further notice".to_owned(), |it| format!("until <t:{}:t>", it.0 / 1000))
}

/// `/provider use`.
pub(crate) fn pinned(provider: &str, is_server: bool, end: Option<UnixMillis>, strict: bool) -> String {
    let behind = if strict {
        "Nobody else answers, even if it fails."
    } else {
        "The others stay behind it as fallback."
    };
    format!("**{provider}** comes first {} {}. {behind}", place(is_server), until(end))
}

/// `/provider auto`.
pub(crate) fn unpinned(was_pinned: bool, is_server: bool) -> String {
    if was_pinned {
        format!("The usual order is back {}.", place(is_server))
    } else {
        format!("No provider was pinned {}; the usual order holds.", place(is_server))
    }
}

/// `/provider disable`.
pub(crate) fn disabled(provider: &str, end: Option<UnixMillis>) -> String {
    format!("**{provider}** is off on this server {}.", until(end))
}

/// `/provider disable` of the last one.
pub(crate) fn last_provider(provider: &str) -> String {
    format!(
        "**{provider}** is the last provider that is on; nobody would be left to answer. Enable another one first."
    )
}

/// `/provider enable`.
pub(crate) fn enabled(provider: &str, was_off: bool) -> String {
    if was_off { format!("**{provider}** is on again.") } else { format!("**{provider}** was not off.") }
}

/// A provider as a moderator sees it in one place.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) standing: ProviderStanding,
    /// Off on this server; until when, if there is an end.
    pub(crate) off: Option<Option<UnixMillis>>,
    /// Pinned here; until when, and whether nobody else answers.
    pub(crate) pin: Option<(Option<UnixMillis>, bool)>,
    /// Of the last day: calls, and how many of them were answered.
    pub(crate) calls: u64,
    pub(crate) answered: u64,
    pub(crate) p50_first_text_ms: Option<u64>,
    pub(crate) p95_first_text_ms: Option<u64>,
}

/// The word for a standing: `ready`, `resting`, `probing` or `off`, and until when.
fn standing(seen: &Seen) -> String {
    if let Some(end) = seen.off {
        return format!("⚫ off {}", until(end));
    }
    match seen.standing.standing {
        Standing::Ready => "🟢 ready".to_owned(),
        Standing::Resting { why, .. } => {
            let left = seen.standing.resting_for.unwrap_or_default();
            format!("🔴 resting for {} ({})", about(left), why.as_str().replace('_', " "))
        }
        Standing::Doubted { .. } | Standing::Probing { .. } => "🟡 probing".to_owned(),
    }
}

/// `/provider list`: a line a provider, in the usual order.
pub(crate) fn list(providers: &[Seen]) -> String {
    let mut out = String::from("**Providers**, in their order:");
    for (place, seen) in providers.iter().enumerate() {
        let pin = match seen.pin {
            Some((end, strict)) => {
                format!(" · 📌 first here {}{}", until(end), if strict { ", strict" } else { "" })
            }
            None => String::new(),
        };
        let _ = write!(
            out,
            "\n{}. **{}** ({}) · {}{pin}",
            place + 1,
            seen.standing.name,
            seen.standing.model,
            standing(seen)
        );
    }
    out
}

/// `/status`: each provider's standing and its last day.
pub(crate) fn status(providers: &[Seen], turns: &[(String, u64)]) -> String {
    let mut out = String::from("**Status** of the last 24 hours");
    for seen in providers {
        let rate = match seen.calls {
            0 => "no calls".to_owned(),
            calls => {
                format!("{} of {calls} calls answered ({} %)", seen.answered, 100 * seen.answered / calls)
            }
        };
        let seconds = |ms: Option<u64>| {
            ms.map_or_else(|| "–".to_owned(), |ms| format!("{}.{} s", ms / 1000, ms % 1000 / 100))
        };
        let _ = write!(out, "\n**{}** · {} · {rate}", seen.standing.name, standing(seen));
        if seen.p50_first_text_ms.is_some() {
            let (p50, p95) = (seconds(seen.p50_first_text_ms), seconds(seen.p95_first_text_ms));
            let _ = write!(out, " · first text p50 {p50}, p95 {p95}");
        }
        if let Some((ago, failure)) = seen.standing.last_failure {
            let _ = write!(out, " · last failure {} ago: it {}", about(ago), because(failure));
        }
    }
    let turns: Vec<String> = turns.iter().map(|(state, count)| format!("{count} {state}")).collect();
    if !turns.is_empty() {
        let _ = write!(out, "\nTurns: {}", turns.join(", "));
    }
    out
}

/// `/help`.
pub(crate) fn help() -> String {
    "**Talk to me** by mentioning me, by replying to one of my messages, or in a direct message. \
     In a thread that you asked me into I read along.\n\
     `/ask` asks without a mention, if you like so that only you see the answer · `/reset` makes me forget this conversation\n\
     **Moderators** (*Manage Server*): `/status` shows how the AI providers are doing; `/provider list`, `use`, `auto`, `disable`, `enable` choose who answers.\n\
     When a provider fails, another one answers and a small line under the answer says so.\n\
     -# What you write to me is sent to an AI provider and stored for a limited time, so that I remember the \
     conversation; `/reset` makes me start afresh."
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::Failed;
    use expect_test::{Expect, expect};

    fn turn() -> TurnId {
        TurnId("7k2m9x4q8d".to_owned())
    }

    #[expect(clippy::needless_pass_by_value, reason = "reads better at the call")]
    fn check(kinds: &[Failure], again: Option<u64>, timed_out: bool, expected: Expect) {
        let failures =
            kinds.iter().enumerate().map(|(at, kind)| (format!("p{at}"), Failed::new(*kind, ""))).collect();
        let try_again_in = again.map(Duration::from_secs);
        expected.assert_eq(&apology(&Exhausted { failures, try_again_in, spoke: false, timed_out }, &turn()));
    }

    #[test]
    fn apologies() {
        use Failure::{
            Auth, BadRequest, Connection, ContentFiltered, ContextTooLong, RateLimited, ServerError,
        };
        check(
            &[ServerError, Connection, ServerError],
            None,
            false,
            expect![[r#"
            I can't reach any model right now (3 tried). Please try again in a moment.
            -# 7k2m9x4q8d"#]],
        );
        check(
            &[RateLimited, RateLimited],
            Some(30),
            false,
            expect![[r#"
            All the models I can ask are rate limited right now. Please try again in 30 seconds.
            -# 7k2m9x4q8d"#]],
        );
        check(
            &[Auth],
            Some(300),
            false,
            expect![[r#"
            My access to the models is not in order. Whoever runs me finds the cause in the log.
            -# 7k2m9x4q8d"#]],
        );
        check(
            &[ServerError, ContextTooLong],
            None,
            false,
            expect![[r#"
            This conversation is too long for the models I can reach. `/reset` clears it, or ask in a new thread.
            -# 7k2m9x4q8d"#]],
        );
        check(
            &[ContentFiltered],
            None,
            false,
            expect![[r#"
            The model declined to answer this. Asking in other words may help.
            -# 7k2m9x4q8d"#]],
        );
        check(
            &[BadRequest, BadRequest],
            None,
            false,
            expect![[r#"
            The models could not make sense of this request. Please put it differently.
            -# 7k2m9x4q8d"#]],
        );
        check(
            &[],
            Some(130),
            false,
            expect![[r#"
            I can't reach any model right now. Please try again in 3 minutes.
            -# 7k2m9x4q8d"#]],
        );
        check(
            &[],
            None,
            true,
            expect![[r#"
            The models took too long to answer. Please try again in a moment.
            -# 7k2m9x4q8d"#]],
        );
    }

    #[test]
    fn footers() {
        let others = [
            ("alpha".to_owned(), Why::Failed(Failure::RateLimited)),
            ("beta".to_owned(), Why::Resting(Failure::ServerError)),
            ("gamma".to_owned(), Why::Slow),
        ];
        expect![
            "-# answered by delta · alpha was rate limited · beta is resting after failures · gamma was slow"
        ]
        .assert_eq(&footer(Some("delta"), &others, false).unwrap());
        assert_eq!(footer(None, &[], false), None);
        expect!["-# the answer reached its limit of length and stops here"]
            .assert_eq(&footer(None, &[], true).unwrap());
    }

    #[test]
    fn every_failure_has_its_words_and_none_is_an_internal_name() {
        for failure in Failure::ALL {
            assert!(!because(failure).contains('_'));
        }
    }

    #[test]
    fn durations_are_said_as_people_say_them() {
        let said: Vec<_> = [1, 30, 100, 600, 7200, 200_000].map(|it| about(Duration::from_secs(it))).into();
        assert_eq!(said, ["1 second", "30 seconds", "2 minutes", "10 minutes", "2 hours", "3 days"]);
    }
}
