//! The breaker on paper: a script of calls and looks, and the standing after each; and random traces.

use super::*;
use crate::outcome::Failed;
use expect_test::{Expect, expect};
use proptest::prelude::*;
use std::fmt::Write;

const SETTINGS: BreakerSettings = BreakerSettings {
    failures: 5,
    failure_rate: 0.5,
    min_calls: 10,
    window: Duration::from_secs(30),
    rest: Duration::from_secs(15),
    max_rest: Duration::from_secs(300),
};

/// Plays `seconds word` lines: `ok`, a failure class, `429=hint`, each a call that begins and ends then (`took` seconds after
/// its beginning: `timeout took=3`); `well` and `ill`, a look from the background; `look`, nothing. Prints the standing after each.
#[expect(clippy::needless_pass_by_value, reason = "reads better at the call")]
fn check(script: &str, expected: Expect) {
    let born = Instant::now();
    let mut member = Member::default();
    let mut out = String::new();
    for line in script.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (at, words) = line.split_once(' ').unwrap();
        let now = born + Duration::from_secs_f64(at.parse().unwrap());
        let (word, took) = words.split_once(" took=").unwrap_or((words, "0"));
        let began = now - Duration::from_secs_f64(took.parse().unwrap());
        let (word, hint) = word.split_once('=').unwrap_or((word, ""));
        let fail = |failure| {
            let retry_after = hint.parse().ok().map(Duration::from_secs);
            Failed { retry_after, ..Failed::new(failure, "") }
        };
        match word {
            "well" => member.is_well(now),
            "ill" => member.is_ill(&fail(Failure::Timeout), &SETTINGS, now),
            "look" => {}
            _ => {
                let failure = if word == "429" { Some(Failure::RateLimited) } else { Failure::parse(word) };
                let outcome = failure.map_or(Outcome::Answered, |it| Outcome::Failed(fail(it)));
                if let Some(begun) = member.begin(began) {
                    member.record(begun, &outcome, now - began, &SETTINGS, now);
                }
            }
        }
        let standing = match member.standing(now) {
            Standing::Ready => "ready".to_owned(),
            Standing::Doubted { why } => format!("doubted, {why}"),
            Standing::Resting { until, why } => {
                format!("resting until {:?}, {why}", until.duration_since(born))
            }
            Standing::Probing { busy, .. } => format!("probing, busy: {busy}"),
        };
        writeln!(out, "{line:<18} → {standing}").unwrap();
    }
    expected.assert_eq(&out);
}

#[test]
fn five_failures_in_a_row_rest_it_and_a_probe_brings_it_back() {
    check(
        "0 server_error
         1 server_error
         2 server_error
         3 server_error
         4 server_error
         10 server_error
         19 look
         19 ok
         20 server_error",
        expect![[r"
            0 server_error     → ready
            1 server_error     → ready
            2 server_error     → ready
            3 server_error     → ready
            4 server_error     → resting until 19s, server_error
            10 server_error    → resting until 19s, server_error
            19 look            → probing, busy: false
            19 ok              → ready
            20 server_error    → ready
        "]],
    );
}

#[test]
fn each_failed_probe_doubles_the_rest() {
    check(
        "0 timeout
         0 timeout
         0 timeout
         0 timeout
         0 timeout
         15 timeout
         45 timeout
         105 ok
         106 look",
        expect![[r"
            0 timeout          → ready
            0 timeout          → ready
            0 timeout          → ready
            0 timeout          → ready
            0 timeout          → resting until 15s, timeout
            15 timeout         → resting until 45s, timeout
            45 timeout         → resting until 105s, timeout
            105 ok             → ready
            106 look           → ready
        "]],
    );
}

#[test]
fn a_named_time_is_kept_and_a_later_one_is_never_shortened() {
    check(
        "0 429=30
         1 429=5
         29.9 look
         30 look
         30 429=3
         31 auth",
        expect![[r"
            0 429=30           → resting until 30s, rate_limited
            1 429=5            → resting until 30s, rate_limited
            29.9 look          → resting until 30s, rate_limited
            30 look            → ready
            30 429=3           → resting until 33s, rate_limited
            31 auth            → resting until 33s, rate_limited
        "]],
    );
}

#[test]
fn a_wrong_key_is_not_looked_at_before_its_rest_is_over() {
    let now = Instant::now();
    let every = Duration::from_secs(30);
    let mut member = Member::default();
    let begun = member.begin(now).unwrap();
    member.record(begun, &Outcome::Failed(Failed::new(Failure::Auth, "")), Duration::ZERO, &SETTINGS, now);
    assert_eq!(member.look_due(now, every), Some(now + SETTINGS.max_rest));
    let begun = member.begin(now + SETTINGS.max_rest).expect("a probe");
    member.record(begun, &Outcome::Answered, Duration::ZERO, &SETTINGS, now + SETTINGS.max_rest);
    assert_eq!(member.look_due(now, every), None);
}

#[test]
fn a_look_ends_the_rest_of_a_breaker() {
    check(
        "0 connection
         0 connection
         0 connection
         0 connection
         0 connection
         5 well
         6 ok",
        expect![[r#"
            0 connection       → ready
            0 connection       → ready
            0 connection       → ready
            0 connection       → ready
            0 connection       → resting until 15s, connection
            5 well             → ready
            6 ok               → ready
        "#]],
    );
}

#[test]
fn faults_of_the_question_say_nothing_about_the_provider() {
    check(
        "0 bad_request
         0 bad_request
         0 content_filtered
         0 context_too_long
         0 bad_request
         0 bad_request",
        expect![[r"
            0 bad_request      → ready
            0 bad_request      → ready
            0 content_filtered → ready
            0 context_too_long → ready
            0 bad_request      → ready
            0 bad_request      → ready
        "]],
    );
}

#[test]
fn whoever_lets_people_wait_is_doubted_until_it_speaks_or_a_look_decides() {
    check(
        "0 server_error
         1 timeout took=10
         2 well
         2 timeout took=1
         2 ok
         3 timeout took=1
         4 ill
         5 ill
         19 look
         19 ok
         20 timeout took=1
         21 ok",
        expect![[r#"
            0 server_error     → ready
            1 timeout took=10  → doubted, timeout
            2 well             → ready
            2 timeout took=1   → ready
            2 ok               → ready
            3 timeout took=1   → doubted, timeout
            4 ill              → resting until 19s, timeout
            5 ill              → resting until 19s, timeout
            19 look            → probing, busy: false
            19 ok              → ready
            20 timeout took=1  → doubted, timeout
            21 ok              → ready
        "#]],
    );
}

#[test]
fn a_named_time_outlasts_a_look() {
    check(
        "0 429=30
         5 well
         29 look
         30 ok
         31 overloaded=20
         32 overloaded
         40 well",
        expect![[r#"
            0 429=30           → resting until 30s, rate_limited
            5 well             → resting until 30s, rate_limited
            29 look            → resting until 30s, rate_limited
            30 ok              → ready
            31 overloaded=20   → resting until 51s, overloaded
            32 overloaded      → resting until 51s, overloaded
            40 well            → resting until 51s, overloaded
        "#]],
    );
}

#[test]
fn calls_from_before_the_rest_do_not_make_it_longer() {
    let (born, fail) = (Instant::now(), Outcome::Failed(Failed::new(Failure::ServerError, "")));
    let at = |second| born + Duration::from_secs(second);
    let mut member = Member::default();
    let calls: Vec<Begun> = (0..20).map(|_| member.begin(at(0)).unwrap()).collect();
    for begun in calls {
        member.record(begun, &fail, Duration::ZERO, &SETTINGS, at(1));
    }
    assert!(matches!(member.standing(at(1)), Standing::Resting { until, .. } if until == at(16)));
}

#[test]
fn of_two_times_that_it_named_the_later_one_holds_for_turns_and_for_looks() {
    let born = Instant::now();
    let at = |second| born + Duration::from_secs(second);
    let mut member = Member::default();
    let calls: Vec<Begun> = (0..7).map(|_| member.begin(at(0)).unwrap()).collect();
    for (number, begun) in (1..).zip(calls) {
        let failed = match number {
            1 => {
                Failed { retry_after: Some(Duration::from_secs(30)), ..Failed::new(Failure::RateLimited, "") }
            }
            2 => {
                Failed { retry_after: Some(Duration::from_secs(5)), ..Failed::new(Failure::RateLimited, "") }
            }
            _ => Failed::new(Failure::ServerError, ""),
        };
        member.record(begun, &Outcome::Failed(failed), Duration::ZERO, &SETTINGS, at(number));
        let standing = member.standing(at(number));
        assert!(
            matches!(standing, Standing::Resting { until, .. } if until == at(31)),
            "{number}: {standing:?}"
        );
    }
    assert_eq!(member.look_due(at(8), Duration::from_secs(30)), Some(at(31)));
}

#[test]
fn a_probe_that_is_never_heard_of_again_keeps_nobody_out() {
    let now = Instant::now();
    let mut member = Member::default();
    member.take_up((Failure::Timeout, now, true, 1), &SETTINGS, now);
    assert!(member.begin(now).is_some());
    assert!(member.begin(now + PROBE_PATIENCE / 2).is_none());
    assert!(member.begin(now + PROBE_PATIENCE).is_some());
}

#[test]
fn one_probe_at_a_time() {
    let now = Instant::now();
    let mut member = Member::default();
    let key = Outcome::Failed(Failed::new(Failure::Auth, ""));
    let begun = member.begin(now).unwrap();
    member.record(begun, &key, Duration::ZERO, &SETTINGS, now);
    let later = now + SETTINGS.max_rest;
    let probe = member.begin(later).expect("the probe");
    assert!(member.begin(later).is_none(), "one at a time");
    member.record(probe, &Outcome::Cancelled, Duration::ZERO, &SETTINGS, later);
    assert!(member.begin(later).is_some(), "a probe that told nothing leaves its place");
}

#[test]
fn a_rest_is_taken_up_after_a_restart() {
    let now = Instant::now();
    let mut member = Member::default();
    member.take_up((Failure::Timeout, now + Duration::from_secs(9), true, 2), &SETTINGS, now);
    assert_eq!(member.kept(), Some((Failure::Timeout, now + Duration::from_secs(9), true, 2)));
    let later = now + Duration::from_secs(9);
    let probe = member.begin(later).unwrap();
    member.record(
        probe,
        &Outcome::Failed(Failed::new(Failure::Timeout, "")),
        Duration::ZERO,
        &SETTINGS,
        later,
    );
    assert_eq!(member.kept().unwrap().1, later + SETTINGS.rest * 4, "the third rest");
}

/// What happens in a random trace.
#[derive(Clone, Debug)]
enum Happens {
    Call { fails: Option<(Failure, Option<u64>)>, took: u64 },
    Look { finds: bool },
}

fn happens() -> impl Strategy<Value = (u64, Happens)> {
    let failure = prop::sample::select(Failure::ALL.to_vec());
    let fails = prop::option::weighted(0.6, (failure, prop::option::weighted(0.2, 0_u64..2000)));
    let call = (fails, 0_u64..12_000).prop_map(|(fails, took)| Happens::Call { fails, took });
    let look = prop::bool::ANY.prop_map(|finds| Happens::Look { finds });
    (0_u64..20_000, prop_oneof![4 => call, 1 => look])
}

proptest! {
    /// Over any trace: it opens after enough failures in a row, is never stuck in a rest, and closes when it answers.
    #[test]
    fn it_opens_and_closes_and_is_never_stuck(trace in prop::collection::vec(happens(), 1..120)) {
        let born = Instant::now();
        let mut now = born;
        let mut member = Member::default();
        let mut in_a_row = 0;
        for (after, happens) in trace {
            now += Duration::from_millis(after);
            match happens {
                Happens::Look { finds: true } => {
                    if member.look_due(now, Duration::from_secs(30)).is_some_and(|at| at <= now) {
                        member.is_well(now);
                        in_a_row = 0;
                        prop_assert_eq!(member.standing(now), Standing::Ready);
                    }
                }
                Happens::Look { finds: false } => {
                    member.is_ill(&Failed::new(Failure::Timeout, ""), &SETTINGS, now);
                }
                Happens::Call { fails, took } => {
                    let Some(begun) = member.begin(now) else {
                        prop_assert!(!member.standing(now).can_be_asked());
                        continue;
                    };
                    now += Duration::from_millis(took);
                    let outcome = fails.map_or(Outcome::Answered, |(failure, hint)| {
                        let retry_after = hint.map(Duration::from_secs);
                        Outcome::Failed(Failed { retry_after, ..Failed::new(failure, "") })
                    });
                    let counts = matches!(fails, Some((
                        Failure::Overloaded | Failure::ServerError | Failure::Timeout | Failure::Connection
                        | Failure::BrokenStream | Failure::Malformed | Failure::Empty, _)));
                    member.record(begun, &outcome, Duration::ZERO, &SETTINGS, now);
                    in_a_row = match &outcome {
                        Outcome::Answered => 0,
                        _ if counts => in_a_row + 1,
                        _ => in_a_row,
                    };
                    if in_a_row >= SETTINGS.failures {
                        prop_assert!(!member.standing(now).can_be_asked(), "it opens");
                        in_a_row = 0;
                    }
                    if let Some((_, Some(hint))) = fails.filter(|(it, _)| *it == Failure::RateLimited) {
                        let end = now + Duration::from_secs(hint).min(LONGEST_HINT);
                        let before = end.checked_sub(Duration::from_millis(1)).unwrap_or(end);
                        prop_assert!(hint == 0 || !member.standing(before).can_be_asked(), "the named time is kept");
                    }
                }
            }
            // Whatever happened: it may be asked again within the longest rest, and one good answer makes it ready.
            let at_last = now + LONGEST_HINT.max(SETTINGS.max_rest);
            prop_assert!(member.standing(at_last).can_be_asked(), "not stuck: {:?}", member.standing(at_last));
        }
        let at_last = now + LONGEST_HINT + PROBE_PATIENCE;
        let begun = member.begin(at_last);
        prop_assert!(begun.is_some());
        if let Some(begun) = begun {
            member.record(begun, &Outcome::Answered, Duration::ZERO, &SETTINGS, at_last);
        }
        prop_assert_eq!(member.standing(at_last), Standing::Ready);
    }
}
