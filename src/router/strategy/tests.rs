//! Tests of the strategies: the order of each in words, and what must hold for every cast.

use super::{Strategy, *};
use expect_test::{Expect, expect};
use proptest::{prelude::*, strategy::Strategy as _};
use std::fmt::Write;

const ALL: [Strategy; 8] = [
    Strategy::Priority,
    Strategy::Hedged,
    Strategy::Race,
    Strategy::Weighted,
    Strategy::RoundRobin,
    Strategy::Fastest,
    Strategy::Cheapest,
    Strategy::Adaptive,
];
const NAMES: [&str; 6] = ["alpha", "beta", "gamma", "delta", "epsilon", "zeta"];

fn candidate(provider: usize) -> Candidate<'static> {
    Candidate {
        provider,
        name: NAMES[provider],
        hedge_after: Duration::from_secs(1 + provider as u64),
        weight: 1,
        first_text: None,
        price: None,
    }
}

fn cast(size: usize) -> Vec<Candidate<'static>> {
    (0..size).map(candidate).collect()
}

fn places(plan: &Plan) -> Vec<usize> {
    plan.steps.iter().map(|it| it.provider).collect()
}

fn names(plan: &Plan) -> String {
    plan.steps.iter().map(|it| NAMES[it.provider]).collect::<Vec<_>>().join(" ")
}

/// Four providers with figures that differ, and what each strategy makes of them.
#[expect(clippy::needless_pass_by_value, reason = "reads better at the call")]
fn check(listed: usize, draw: Draw<'_>, expected: Expect) {
    let mut cast = cast(4);
    let figures = [(900, (2.5, 10.0)), (850, (0.1, 0.4)), (400, (3.0, 0.0)), (0, (0.0, 0.0))];
    for (it, (ms, price)) in cast.iter_mut().zip(figures) {
        it.first_text = (ms > 0).then(|| Duration::from_millis(ms));
        it.price = (ms > 0).then_some(price);
    }
    let mut out = String::new();
    for strategy in ALL {
        write!(out, "{:<11}", format!("{strategy:?}")).unwrap();
        for step in plan(strategy, &cast, listed, 2, &draw).steps {
            let joined = step.joined_after.map_or("…".to_owned(), |it| format!("{}s", it.as_secs()));
            write!(out, " {} {joined}", NAMES[step.provider]).unwrap();
        }
        out.push('\n');
    }
    expected.assert_eq(&out);
}

#[test]
fn every_strategy_has_its_order() {
    let draw = Draw { session: 7, round: 1, learned: &[3, 1, 0, 2] };
    check(
        0,
        draw,
        expect![[r"
        Priority    alpha … beta … gamma … delta …
        Hedged      alpha 1s beta 2s gamma 3s delta 4s
        Race        alpha 0s beta 0s gamma 0s delta 0s
        Weighted    delta 4s beta 2s gamma 3s alpha 1s
        RoundRobin  beta 2s gamma 3s delta 4s alpha 1s
        Fastest     gamma 3s alpha 1s beta 2s delta 4s
        Cheapest    beta 2s gamma 3s alpha 1s delta 4s
        Adaptive    delta 4s beta 2s alpha 1s gamma 3s
    "]],
    );
}

#[test]
fn the_wished_for_keep_their_places_under_every_strategy() {
    let draw = Draw { session: 7, round: 1, learned: &[3, 1, 0] };
    check(
        2,
        draw,
        expect![[r"
        Priority    alpha … beta … gamma … delta …
        Hedged      alpha 1s beta 2s gamma 3s delta 4s
        Race        alpha 0s beta 2s gamma 3s delta 4s
        Weighted    alpha 1s beta 2s delta 4s gamma 3s
        RoundRobin  alpha 1s beta 2s delta 4s gamma 3s
        Fastest     alpha 1s beta 2s gamma 3s delta 4s
        Cheapest    alpha 1s beta 2s gamma 3s delta 4s
        Adaptive    alpha 1s beta 2s delta 4s gamma 3s
    "]],
    );
}

fn wish(first: &[&str], strict: bool, off: &[&str]) -> Wish {
    let owned = |list: &[&str]| list.iter().map(|&it| it.to_owned()).collect();
    Wish { first: owned(first), strict, off: owned(off), last: None, strategy: None }
}

#[test]
fn wishes_come_first_and_the_rest_stays_behind() {
    let check = |wish: Wish, listed: usize, order: &[usize]| {
        let names = ["alpha", "beta", "gamma"];
        assert_eq!(lineup(&names, &wish), Lineup { order: order.to_vec(), listed }, "{wish:?}");
    };
    check(Wish::default(), 0, &[0, 1, 2]);
    check(wish(&["gamma"], false, &[]), 1, &[2, 0, 1]);
    check(wish(&["gamma"], true, &[]), 1, &[2]);
    check(wish(&["gamma", "beta"], false, &["alpha"]), 2, &[2, 1]);
    check(wish(&["gamma", "gamma"], false, &[]), 1, &[2, 0, 1]);
    // A stale pin changes nothing, and one that is switched off is none.
    check(wish(&["nobody"], false, &[]), 0, &[0, 1, 2]);
    check(wish(&["beta"], false, &["beta"]), 0, &[0, 2]);
    check(wish(&["beta"], true, &["beta"]), 0, &[]);
}

#[test]
fn calls_are_one_budget_not_a_product() {
    for strategy in ALL {
        assert_eq!(plan(strategy, &cast(3), 0, 2, &Draw::default()).calls, 4);
        assert_eq!(plan(strategy, &cast(1), 0, 2, &Draw::default()).calls, 2);
        assert_eq!(plan(strategy, &cast(2), 0, 0, &Draw::default()).calls, 2);
    }
}

#[test]
fn round_robin_gives_everybody_the_same_number_of_turns() {
    let mut first = [0; 3];
    for round in 0..300 {
        let draw = Draw { round, ..Draw::default() };
        first[places(&plan(Strategy::RoundRobin, &cast(3), 0, 2, &draw))[0]] += 1;
    }
    assert_eq!(first, [100; 3]);
}

/// Ids as Discord makes them: the time in the high bits, few bits that differ.
fn sessions() -> impl Iterator<Item = u64> {
    (0..20_000_u64).map(|it| (1_100_000_000_000 + it * 977) << 22)
}

/// The places of a conversation's providers in the cast.
fn ranked(cast: &[Candidate<'_>], session: u64) -> Vec<usize> {
    places(&plan(Strategy::Weighted, cast, 0, 2, &Draw { session, ..Draw::default() }))
}

#[test]
fn weights_are_shares_of_the_conversations() {
    let mut cast = cast(4);
    for (it, weight) in cast.iter_mut().zip([5, 3, 2, 0]) {
        it.weight = weight;
    }
    let mut count = [0_u32; 4];
    sessions().for_each(|session| count[ranked(&cast, session)[0]] += 1);
    for (count, share) in count.into_iter().zip([0.5, 0.3, 0.2, 0.0]) {
        let found = f64::from(count) / 20_000.0;
        assert!((found - share).abs() <= 0.03 * share, "{found} is not {share}");
    }
    assert_eq!(ranked(&cast, 1)[3], 3, "no weight: the last resort");
}

#[test]
fn a_provider_that_goes_moves_only_its_own_conversations() {
    let mut cast = cast(4);
    cast[2].weight = 3;
    let mut fewer = cast.clone();
    fewer.remove(1);
    // The others have other places now: only the name counts.
    fewer.reverse();
    fewer.iter_mut().enumerate().for_each(|(place, it)| it.provider = place);
    for session in sessions() {
        let before = ranked(&cast, session).into_iter().map(|it| cast[it].name).filter(|it| *it != NAMES[1]);
        let after = ranked(&fewer, session).into_iter().map(|it| fewer[it].name);
        assert!(before.eq(after), "whoever is left keeps the order");
    }
}

#[test]
fn a_conversation_keeps_its_provider_over_versions_of_the_program() {
    let arms: Vec<_> = (0..12).map(|session| ranked(&cast(4), session)[0]).collect();
    expect!["[1, 2, 2, 2, 2, 3, 0, 3, 3, 3, 3, 3]"].assert_eq(&format!("{arms:?}"));
}

fn fastest_of(millis: &[u64], round: u64) -> String {
    let mut cast = cast(millis.len());
    for (it, &ms) in cast.iter_mut().zip(millis) {
        it.first_text = (ms > 0).then(|| Duration::from_millis(ms));
    }
    names(&plan(Strategy::Fastest, &cast, 0, 2, &Draw { round, ..Draw::default() }))
}

#[test]
fn a_tenth_faster_is_not_faster() {
    assert_eq!(fastest_of(&[999, 1001], 1), "alpha beta");
    assert_eq!(fastest_of(&[1001, 999], 1), "alpha beta");
    assert_eq!(fastest_of(&[1100, 1000, 900], 1), "gamma alpha beta");
    assert_eq!(fastest_of(&[1200, 1000], 1), "beta alpha");
}

#[test]
fn the_unknown_and_the_slower_are_heard_now_and_then() {
    let mut begun = std::collections::BTreeMap::<String, u32>::new();
    for round in 0..200 {
        let order = fastest_of(&[900, 500, 700, 0, 0], round);
        *begun.entry(order.split(' ').next().unwrap().to_owned()).or_default() += 1;
    }
    expect![[r#"{"alpha": 5, "beta": 140, "delta": 25, "epsilon": 25, "gamma": 5}"#]]
        .assert_eq(&format!("{begun:?}"));
    assert_eq!(fastest_of(&[0, 0], 1), "alpha beta", "nobody is known: as configured");
    assert_eq!(fastest_of(&[0, 0], 6), "beta alpha");
    assert_eq!(fastest_of(&[900], 0), "alpha");
}

fn any_candidates() -> impl proptest::strategy::Strategy<Value = Vec<Candidate<'static>>> {
    let figures = (
        0..4_u32,
        proptest::option::of((0..5000_u64).prop_map(Duration::from_millis)),
        proptest::option::of((0.0..10.0, 0.0..40.0)),
    );
    proptest::collection::vec(figures, 0..=NAMES.len()).prop_map(|figures| {
        let with = |(provider, (weight, first_text, price))| Candidate {
            weight,
            first_text,
            price,
            ..candidate(provider)
        };
        figures.into_iter().enumerate().map(with).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_plan_is_a_permutation_that_begins_with_the_wished_for(
        candidates in any_candidates(),
        listed in 0..8_usize,
        session: u64,
        round: u64,
        learned in proptest::collection::vec(0..8_usize, 0..8),
    ) {
        let draw = Draw { session, round, learned: &learned };
        for strategy in ALL {
            let plan = plan(strategy, &candidates, listed, 2, &draw);
            let order = places(&plan);
            let listed = listed.min(candidates.len());
            prop_assert_eq!(&order[..listed], &(0..listed).collect::<Vec<_>>()[..]);
            let mut sorted = order;
            sorted.sort_unstable();
            prop_assert_eq!(sorted, (0..candidates.len()).collect::<Vec<_>>());
            for (place, step) in plan.steps.iter().enumerate() {
                let at_once = step.joined_after == Some(Duration::ZERO);
                prop_assert_eq!(at_once, strategy == Strategy::Race && (listed == 0 || place + 1 < listed));
                prop_assert_eq!(step.joined_after.is_none(), strategy == Strategy::Priority);
            }
        }
    }
}
