//! Tests of the ceilings: what each answers in words, and that random traffic never gets past one.

use super::*;
use expect_test::{Expect, expect};
use proptest::prelude::*;
use std::fmt::Write;

/// 2026-07-01 12:00 UTC.
const NOON: UnixMillis = UnixMillis(1_782_907_200_000);

fn used(tokens: u64) -> Usage {
    Usage { tokens_in: Some(tokens), tokens_out: Some(0), is_estimated: false }
}

/// Plays `seconds begin TOKENS` and `seconds end INDEX TOKENS COST` lines (`-` for not known); prints the answer to each.
#[expect(clippy::needless_pass_by_value, reason = "reads better at the call")]
fn check(ceilings: Ceilings, script: &str, expected: Expect) {
    let born = Instant::now();
    let mut gauge = Gauge::new(ceilings);
    let mut tickets = Vec::new();
    let mut out = String::new();
    for line in script.lines().map(str::trim) {
        let words: Vec<_> = line.split(' ').collect();
        let after = Duration::from_secs_f64(words[0].parse().unwrap());
        let (now, at) = (born + after, NOON.plus(after));
        let answer = match words[1] {
            "begin" => match gauge.begin(now, at, words[2].parse().unwrap()) {
                Ok(ticket) => {
                    tickets.push(Some(ticket));
                    format!("call {}", tickets.len() - 1)
                }
                Err(Full::Until(then)) => format!("full until {:?}", then.duration_since(born)),
                Err(full) => format!("{full:?}"),
            },
            _ => {
                let ticket = tickets[words[2].parse::<usize>().unwrap()].take().unwrap();
                let usage = words[3].parse().map_or(Usage::default(), used);
                gauge.end(ticket, usage, words[4].parse().ok(), now, at);
                format!("{} running, {} spent", gauge.running, gauge.spent(at))
            }
        };
        writeln!(out, "{line:<18} → {answer}").unwrap();
    }
    expected.assert_eq(&out);
}

#[test]
fn calls_at_once() {
    check(
        Ceilings { concurrent: 2, ..Ceilings::default() },
        "0 begin 10
         0 begin 10
         0 begin 10
         1 end 0 - -
         1 begin 10
         1 begin 10",
        expect![[r"
            0 begin 10         → call 0
            0 begin 10         → call 1
            0 begin 10         → WhenOneEnds
            1 end 0 - -        → 1 running, 0 spent
            1 begin 10         → call 2
            1 begin 10         → WhenOneEnds
        "]],
    );
}

#[test]
fn a_minute_of_calls_may_begin_at_once_and_then_one_by_one() {
    check(
        Ceilings { requests_per_minute: Some(3), ..Ceilings::default() },
        "0 begin 10
         0 begin 10
         0 begin 10
         0 begin 10
         5 begin 10
         5 end 0 - -
         20 begin 10
         20 begin 10
         100 begin 10",
        expect![[r"
            0 begin 10         → call 0
            0 begin 10         → call 1
            0 begin 10         → call 2
            0 begin 10         → full until 20s
            5 begin 10         → full until 20s
            5 end 0 - -        → 2 running, 0 spent
            20 begin 10        → call 3
            20 begin 10        → full until 40s
            100 begin 10       → call 4
        "]],
    );
}

#[test]
fn tokens_are_reckoned_and_then_corrected() {
    check(
        Ceilings { tokens_per_minute: Some(6000), ..Ceilings::default() },
        "0 begin 4000
         0 begin 4000
         1 end 0 1000 -
         1 begin 4000
         2 begin 4000
         2 end 1 - -
         3 begin 4000
         60 begin 1000
         61 end 2 90000 -
         62 begin 1
         661 begin 1",
        expect![[r"
            0 begin 4000       → call 0
            0 begin 4000       → full until 20s
            1 end 0 1000 -     → 0 running, 0 spent
            1 begin 4000       → call 1
            2 begin 4000       → full until 30s
            2 end 1 - -        → 0 running, 0 spent
            3 begin 4000       → full until 30s
            60 begin 1000      → call 2
            61 end 2 90000 -   → 0 running, 0 spent
            62 begin 1         → full until 601.01s
            661 begin 1        → call 3
        "]],
    );
}

#[test]
fn nobody_gives_back_what_the_bucket_has_spilled() {
    let ceilings = Ceilings { tokens_per_minute: Some(900), ..Ceilings::default() };
    // The bucket has been full again for ten seconds when call 1 empties it: there is nothing left to give back.
    check(
        ceilings,
        "0 begin 300
         30 begin 900
         30 end 0 0 -
         30 begin 300",
        expect![[r"
            0 begin 300        → call 0
            30 begin 900       → call 1
            30 end 0 0 -       → 1 running, 0 spent
            30 begin 300       → full until 50s
        "]],
    );
    // What call 0 gave back is what let the bucket fill up: call 1 may not count on it a second time.
    check(
        ceilings,
        "0 begin 600
         0 begin 300
         0 end 0 0 -
         20 begin 900
         20 end 1 0 -
         20 begin 300",
        expect![[r"
            0 begin 600        → call 0
            0 begin 300        → call 1
            0 end 0 0 -        → 1 running, 0 spent
            20 begin 900       → call 2
            20 end 1 0 -       → 1 running, 0 spent
            20 begin 300       → full until 40s
        "]],
    );
}

#[test]
fn a_call_larger_than_the_ceiling_waits_for_a_full_bucket() {
    check(
        Ceilings { tokens_per_minute: Some(600), ..Ceilings::default() },
        "0 begin 100
         0 begin 5000
         10 begin 5000
         11 begin 1",
        expect![[r"
            0 begin 100        → call 0
            0 begin 5000       → full until 10s
            10 begin 5000      → call 1
            11 begin 1         → call 2
        "]],
    );
}

#[test]
fn money_stops_the_next_call_until_tomorrow() {
    check(
        Ceilings { daily_budget: Some(1.0), ..Ceilings::default() },
        "0 begin 10
         0 begin 10
         1 end 0 - 0.75
         1 begin 10
         2 end 1 - 0.25
         2 begin 10
         43199 begin 10
         43200 begin 10
         43200 end 2 - 0.125
         43200 end 3 - 0.125
         43199 begin 10",
        expect![[r"
            0 begin 10         → call 0
            0 begin 10         → call 1
            1 end 0 - 0.75     → 1 running, 0.75 spent
            1 begin 10         → call 2
            2 end 1 - 0.25     → 1 running, 1 spent
            2 begin 10         → Tomorrow
            43199 begin 10     → Tomorrow
            43200 begin 10     → call 3
            43200 end 2 - 0.125 → 1 running, 0.125 spent
            43200 end 3 - 0.125 → 0 running, 0.25 spent
            43199 begin 10     → call 4
        "]],
    );
}

#[test]
fn yesterday_and_nonsense_cost_nothing_and_a_clock_set_back_begins_anew() {
    let mut gauge = Gauge::new(Ceilings { daily_budget: Some(1.0), ..Ceilings::default() });
    let now = Instant::now();
    let day = Duration::from_secs(24 * 60 * 60);
    gauge.restore_spent(0.5, NOON);
    gauge.restore_spent(f64::NAN, NOON);
    gauge.restore_spent(-3.0, NOON);
    assert!((gauge.spent(NOON) - 0.5).abs() < 1e-9);
    gauge.restore_spent(0.5, NOON);
    assert_eq!(gauge.may_begin(now, NOON, 1), Err(Full::Tomorrow));
    assert_eq!(gauge.may_begin(now, NOON.minus(day), 1), Err(Full::Tomorrow), "a late one of the day before");
    assert_eq!(gauge.may_begin(now, NOON.minus(2 * day), 1), Ok(()));
    assert_eq!(gauge.may_begin(now, NOON.plus(day), 1), Ok(()));
    gauge.restore_spent(0.25, NOON.plus(day));
    assert!((gauge.spent(NOON.plus(day)) - 0.25).abs() < 1e-9);
}

#[test]
fn a_ceiling_of_zero_is_none_and_nothing_overflows() {
    let none = Ceilings {
        concurrent: 0,
        requests_per_minute: Some(0),
        tokens_per_minute: Some(0),
        daily_budget: None,
    };
    let now = Instant::now();
    let mut gauge = Gauge::new(none);
    let tickets: Vec<_> = (0..5000).map(|_| gauge.begin(now, NOON, u64::MAX).unwrap()).collect();
    tickets.into_iter().for_each(|it| gauge.end(it, used(u64::MAX), Some(f64::MAX), now, NOON));
    let mut gauge = Gauge::new(Ceilings { tokens_per_minute: Some(1), ..none });
    let nonsense = Usage { tokens_in: Some(u64::MAX), tokens_out: Some(u64::MAX), is_estimated: false };
    let ticket = gauge.begin(now, UnixMillis(i64::MAX), u64::MAX).unwrap();
    gauge.end(ticket, nonsense, Some(f64::INFINITY), now, UnixMillis(i64::MIN));
    let Err(Full::Until(then)) = gauge.may_begin(now, NOON, 1) else { panic!("there is a debt") };
    assert!(then <= now + LONGEST_DEBT, "nonsense does not lock it for ever");
}

/// One thing that happens in a trace.
#[derive(Clone, Debug)]
enum Deed {
    Wait(Duration),
    Begin { reckoned: u64 },
    End { which: usize, used: u64, cost: f64 },
}

fn any_deeds() -> impl proptest::strategy::Strategy<Value = Vec<Deed>> {
    let deed = prop_oneof![
        1 => (0..20_000_u64).prop_map(|ms| Deed::Wait(Duration::from_millis(ms))),
        3 => (0..1200_u64).prop_map(|reckoned| Deed::Begin { reckoned }),
        2 => (any::<usize>(), 0..1200_u64, 0.0..0.4).prop_map(|(which, used, cost)| Deed::End { which, used, cost }),
    ];
    proptest::collection::vec(deed, 0..120)
}

/// A call that began: when, with which ticket, and what counts for its time.
struct Begun {
    at: Duration,
    ticket: Option<Ticket>,
    counts: u64,
}

/// Plays a trace and returns the calls that began, in order; checks what must hold at each moment.
fn play(ceilings: Ceilings, deeds: &[Deed]) -> Result<Vec<Begun>, TestCaseError> {
    let born = Instant::now();
    let mut gauge = Gauge::new(ceilings);
    let mut after = Duration::ZERO;
    let mut begun: Vec<Begun> = Vec::new();
    let (mut running, mut spent) = (0_u32, 0.0);
    for deed in deeds {
        let (now, at) = (born + after, NOON.plus(after));
        match *deed {
            Deed::Wait(time) => after += time,
            Deed::Begin { reckoned } => match gauge.begin(now, at, reckoned) {
                Ok(ticket) => {
                    running += 1;
                    prop_assert!(running <= ceilings.concurrent, "too many at once");
                    prop_assert!(ceilings.daily_budget.is_none_or(|cap| spent < cap), "the money is spent");
                    let counts = reckoned.min(ceilings.tokens_per_minute.map_or(u64::MAX, u64::from));
                    begun.push(Begun { at: after, ticket: Some(ticket), counts });
                }
                Err(Full::Until(then)) => {
                    let early = then.checked_sub(Duration::from_nanos(1)).unwrap();
                    prop_assert!(matches!(gauge.may_begin(early, at, reckoned), Err(Full::Until(_))));
                    prop_assert!(!matches!(gauge.may_begin(then, at, reckoned), Err(Full::Until(_))));
                }
                Err(Full::WhenOneEnds) => prop_assert_eq!(running, ceilings.concurrent),
                Err(Full::Tomorrow) => prop_assert!(ceilings.daily_budget.is_some_and(|cap| spent >= cap)),
            },
            Deed::End { which, used: real, cost } => {
                let mut open: Vec<_> = begun.iter_mut().filter(|it| it.ticket.is_some()).collect();
                let Some(which) = which.checked_rem(open.len()) else { continue };
                let call = &mut open[which];
                gauge.end(call.ticket.take().unwrap(), used(real), Some(cost), now, at);
                call.counts = call.counts.min(real);
                running -= 1;
                spent += cost;
            }
        }
    }
    Ok(begun)
}

/// In any time, however long, no more than a minute's worth and the refill of that time.
fn never_more_than(
    begun: &[Begun],
    a_minute: u32,
    counts: impl Fn(&Begun) -> u64,
) -> Result<(), TestCaseError> {
    for (first, since) in begun.iter().enumerate() {
        let mut sum = 0;
        for until in &begun[first..] {
            sum += counts(until);
            let refill = f64::from(a_minute) * (until.at - since.at).as_secs_f64() / 60.0;
            let most = f64::from(a_minute) + refill + 1e-3;
            prop_assert!(sum as f64 <= most, "{sum} from {:?} to {:?}", since.at, until.at);
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_trace_gets_past_a_ceiling(
        deeds in any_deeds(),
        concurrent in 1..20_u32,
        requests in 1..30_u32,
        tokens in 300..3000_u32,
        daily_budget in proptest::option::of(0.5..3.0),
    ) {
        let (requests_per_minute, tokens_per_minute) = (Some(requests), Some(tokens));
        let ceilings = Ceilings { concurrent, requests_per_minute, tokens_per_minute, daily_budget };
        let begun = play(ceilings, &deeds)?;
        never_more_than(&begun, requests, |_| 1)?;
    }

    /// Tokens alone, so that they are what binds. What counts is the lesser of reckoned and real: what was given back is free.
    #[test]
    fn what_is_given_back_lets_nobody_past_the_ceiling(deeds in any_deeds(), tokens in 300..3000_u32) {
        let ceilings = Ceilings { concurrent: 1000, tokens_per_minute: Some(tokens), ..Ceilings::default() };
        never_more_than(&play(ceilings, &deeds)?, tokens, |it| it.counts)?;
    }
}
