//! A provider that dies and comes back: who waits for it, who finds out, and when it is asked again.

use super::cast::{House, Script, house_of, question, settings};
use crate::router::{Ask, End, Event, Settings, strategy::Strategy};
use expect_test::{Expect, expect};
use std::{fmt::Write, time::Duration};
use tokio::time::{Instant, sleep, sleep_until};

fn looked_after(strategy: Strategy) -> Settings {
    Settings { health_check: Some(Duration::from_secs(30)), ..settings(strategy) }
}

/// Plays twenty turns over a minute in which alpha does `dead`, and then a turn every half second until alpha is back. Says how long
/// each waited for its first text.
async fn outage(dead: &'static str, lies: bool, strategy: Strategy) -> String {
    let alpha = Script::Times(vec![(10_000, "300ms ok"), (70_000, dead), (u64::MAX, "300ms ok")]);
    let beta = Script::Times(vec![(u64::MAX, "400ms ok")]);
    let house = house_of(vec![("alpha", alpha, lies), ("beta", beta, false)], looked_after(strategy));
    let look_after = house.router.look_after();
    let play = async {
        let mut out = String::new();
        for _ in 0..6 {
            writeln!(out, "before {}", first_text(&house).await).unwrap();
        }
        out.clear();
        let mut waits = Vec::new();
        for turn in 0..20 {
            sleep_until(house.born + Duration::from_millis(10_000 + turn * 3000)).await;
            waits.push(first_text(&house).await);
        }
        let asked = house.told();
        for (number, wait) in waits.iter().enumerate() {
            if number == 0 || waits[number - 1] != *wait {
                writeln!(out, "from turn {}: {wait}", number + 1).unwrap();
            }
        }
        let (asked, looked) =
            (asked.matches("alpha is asked").count() - 6, asked.matches("alpha is looked").count());
        writeln!(out, "alpha was asked {asked} times and looked at {looked} times").unwrap();
        sleep_until(house.born + Duration::from_secs(70)).await;
        while !first_text(&house).await.starts_with("alpha") {
            sleep(Duration::from_millis(500)).await;
        }
        let back = house.born.elapsed().saturating_sub(Duration::from_secs(70));
        assert!(back < Duration::from_secs(5), "back after {back:?}");
        out
    };
    tokio::select! {
        never = look_after => match never {},
        out = play => out,
    }
}

/// Who was heard first in a turn, and after how long.
async fn first_text(house: &House) -> String {
    let began = Instant::now();
    let mut performance = house.router.play(&Ask { prompt: question(), ..Ask::default() });
    let mut first = String::new();
    while let Some(event) = performance.next().await {
        match event {
            Event::Opened { provider, .. } => first = format!("{provider} after {:?}", began.elapsed()),
            Event::Ended(End::Exhausted(_)) => first = "nobody".to_owned(),
            _ => {}
        }
    }
    first
}

async fn check(dead: &'static str, lies: bool, strategy: Strategy, expected: Expect) {
    expected.assert_eq(&outage(dead, lies, strategy).await);
}

#[tokio::test(start_paused = true)]
async fn a_silent_minute_is_felt_by_one_turn() {
    check(
        "0ms silent",
        false,
        Strategy::Hedged,
        expect![[r#"
        from turn 1: beta after 1.1s
        from turn 2: beta after 400ms
        alpha was asked 1 times and looked at 5 times
    "#]],
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn also_when_its_health_address_says_that_all_is_well() {
    check(
        "0ms hang",
        true,
        Strategy::Hedged,
        expect![[r#"
            from turn 1: beta after 1.1s
            from turn 2: beta after 400ms
            alpha was asked 1 times and looked at 22 times
        "#]],
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_minute_of_errors_is_not_felt_at_all() {
    check(
        "5ms overloaded",
        false,
        Strategy::Hedged,
        expect![[r#"
            from turn 1: beta after 405ms
            from turn 6: beta after 400ms
            alpha was asked 5 times and looked at 5 times
        "#]],
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_minute_of_errors_behind_a_lying_health_address() {
    check(
        "5ms server_error",
        true,
        Strategy::Priority,
        expect![[r#"
            from turn 1: beta after 405ms
            from turn 6: beta after 400ms
            alpha was asked 5 times and looked at 21 times
        "#]],
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn without_hedging_one_turn_pays_the_limit() {
    check(
        "0ms silent",
        false,
        Strategy::Priority,
        expect![[r#"
        from turn 1: beta after 10.4s
        from turn 2: beta after 400ms
        alpha was asked 1 times and looked at 4 times
    "#]],
    )
    .await;
}

/// Twenty at once, when the outage begins.
#[tokio::test(start_paused = true)]
async fn a_crowd_is_let_go_as_soon_as_somebody_knows() {
    let alpha = Script::Times(vec![(u64::MAX, "0ms hang")]);
    let beta = Script::Times(vec![(u64::MAX, "400ms ok")]);
    let house =
        house_of(vec![("alpha", alpha, false), ("beta", beta, false)], looked_after(Strategy::Hedged));
    let crowd = futures::future::join_all((0..20).map(|_| first_text(&house)));
    let mut waits = tokio::select! {
        never = house.router.look_after() => match never {},
        waits = crowd => waits,
    };
    waits.dedup();
    expect![[r#"
        [
            "beta after 2.9s",
            "beta after 7.9s",
        ]
    "#]]
    .assert_debug_eq(&waits);
}

/// All are down, and one comes back while a turn waits.
#[tokio::test(start_paused = true)]
async fn a_turn_with_nobody_to_ask_waits_a_little_for_good_news() {
    let alpha = || Script::Times(vec![(60_500, "0ms connection"), (u64::MAX, "100ms ok")]);
    let house =
        house_of(vec![("alpha", alpha(), false), ("beta", alpha(), false)], looked_after(Strategy::Hedged));
    let play = async {
        for _ in 0..10 {
            first_text(&house).await;
        }
        sleep_until(house.born + Duration::from_secs(30)).await;
        let before = format!("{} at {:?}", first_text(&house).await, house.born.elapsed());
        sleep_until(house.born + Duration::from_secs(60)).await;
        format!("{before}; {} at {:?}", first_text(&house).await, house.born.elapsed())
    };
    let told = tokio::select! {
        never = house.router.look_after() => match never {},
        told = play => told,
    };
    expect!["nobody at 32s; alpha after 1.031s at 61.031s"].assert_eq(&told);
}

/// Ten minutes in which nobody answers, a turn every second: how many calls that makes, and that it is over as soon as it is over.
#[tokio::test(start_paused = true)]
async fn a_total_outage_is_not_made_worse() {
    let script = || Script::Times(vec![(600_000, "5ms overloaded"), (u64::MAX, "300ms ok")]);
    let cast = vec![("alpha", script(), false), ("beta", script(), true), ("gamma", script(), true)];
    let house = house_of(cast, looked_after(Strategy::Hedged));
    let turn = async |second| {
        sleep_until(house.born + Duration::from_secs(second)).await;
        first_text(&house).await
    };
    let play = async {
        futures::future::join_all((0..590).map(turn)).await;
        let log = house.told();
        sleep_until(house.born + Duration::from_millis(600_100)).await;
        let mut back = first_text(&house).await;
        while back == "nobody" {
            back = first_text(&house).await;
        }
        let back = format!("{back}, {:?} later", house.born.elapsed() - Duration::from_secs(600));
        let (asked, looked) = (log.matches("is asked").count(), log.matches("is looked at").count());
        format!("{asked} calls and {looked} looks for 590 turns; then {back}")
    };
    let told = tokio::select! {
        never = house.router.look_after() => match never {},
        told = play => told,
    };
    expect!["30 calls and 427 looks for 590 turns; then alpha after 600ms, 700ms later"].assert_eq(&told);
}
