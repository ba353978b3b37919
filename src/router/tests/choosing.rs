//! Whom the strategies, the ceilings and the budgets let go first, turn by turn.

use super::cast::{House, Script, house_of, house_with, question, settings};
use crate::{
    message::GuildId,
    outcome::{Lesson, Taught},
    router::{Ask, Ceilings, End, Event, Player, Settings, strategy::Strategy},
};
use expect_test::{Expect, expect};
use futures::future::join_all;
use std::time::Duration;
use tokio::time::sleep;

type Cast = Vec<(&'static str, Script, bool)>;

fn always(cast: &[(&'static str, &'static str)]) -> Cast {
    cast.iter().map(|(name, line)| (*name, Script::Times(vec![(u64::MAX, line)]), false)).collect()
}

async fn answered_by(house: &House, ask: &Ask) -> String {
    let mut performance = house.router.play(&Ask { prompt: question(), ..ask.clone() });
    while let Some(event) = performance.next().await {
        match event {
            Event::Ended(End::Answered { provider, .. }) => return provider,
            Event::Ended(End::Exhausted(_)) => return "nobody".to_owned(),
            Event::Attempt(_) | Event::Opened { .. } | Event::Text(_) | Event::ToolCall(_) => {}
        }
    }
    "no end".to_owned()
}

/// Who answers, turn after turn, in one conversation.
async fn turns(house: &House, count: usize) -> String {
    let mut answers = Vec::new();
    for _ in 0..count {
        answers.push(answered_by(house, &Ask::default()).await);
    }
    answers.join(" ")
}

async fn check(strategy: Strategy, count: usize, expected: Expect) {
    let cast = always(&[("alpha", "300ms ok"), ("beta", "100ms ok"), ("gamma", "200ms ok")]);
    let prices = [Some((3.0, 9.0)), None, Some((1.0, 2.0))];
    let house = house_with(cast, settings(strategy), |place, player| Player {
        price: prices[place],
        weight: [1, 1, 8][place],
        ..player
    });
    expected.assert_eq(&turns(&house, count).await);
}

#[tokio::test(start_paused = true)]
async fn each_strategy_has_its_own_first() {
    check(Strategy::Priority, 3, expect!["alpha alpha alpha"]).await;
    check(Strategy::Hedged, 3, expect!["alpha alpha alpha"]).await;
    check(Strategy::Race, 3, expect!["beta beta beta"]).await;
    check(Strategy::RoundRobin, 6, expect!["alpha beta gamma alpha beta gamma"]).await;
    check(Strategy::Cheapest, 3, expect!["gamma gamma gamma"]).await;
    check(Strategy::Weighted, 3, expect!["beta beta beta"]).await;
}

#[tokio::test(start_paused = true)]
async fn the_fastest_is_found_and_the_others_are_looked_at_now_and_then() {
    check(Strategy::Fastest, 70, expect!["alpha alpha beta alpha alpha alpha gamma alpha alpha alpha beta beta beta beta gamma beta beta beta beta beta alpha beta beta beta beta beta beta beta beta beta beta beta beta beta beta beta beta beta beta beta gamma beta beta beta beta beta beta beta beta beta beta beta beta beta beta beta beta beta beta beta alpha beta beta beta beta beta beta beta beta beta"]).await;
}

#[tokio::test(start_paused = true)]
async fn a_conversation_keeps_its_provider_and_others_have_theirs() {
    let cast = always(&[("alpha", "10ms ok"), ("beta", "10ms ok")]);
    let house = house_of(cast, settings(Strategy::Weighted));
    let mut told = String::new();
    for session in 0..8 {
        let ask = Ask { session, ..Ask::default() };
        let (once, again) = (answered_by(&house, &ask).await, answered_by(&house, &ask).await);
        assert_eq!(once, again);
        told += &format!("{once} ");
    }
    expect!["beta alpha beta alpha alpha alpha alpha beta "].assert_eq(&told);
}

#[tokio::test(start_paused = true)]
async fn lessons_of_before_and_thumbs_decide_under_adaptive() {
    let server = Some(GuildId(7));
    let house =
        || house_of(always(&[("alpha", "10ms ok"), ("beta", "10ms ok")]), settings(Strategy::Adaptive));
    let taught = |provider: &str, taught| Lesson { server, provider: provider.to_owned(), taught };
    let ask = Ask { server, ..Ask::default() };
    let bad_alpha = house();
    bad_alpha.router.learn(&vec![taught("alpha", Taught::Failed); 20]);
    let bad_beta = house();
    bad_beta.router.learn(&vec![taught("beta", Taught::Disliked); 20]);
    let mut told = String::new();
    for house in [bad_alpha, bad_beta] {
        for _ in 0..30 {
            told += &answered_by(&house, &ask).await[..1];
        }
        told += "\n";
    }
    expect![[r#"
        bbbbabbbbbbabbbbbbbbbbbbbbbbbb
        aaaabaaaaaabaaaaaaaaaaaaaaaaaa
    "#]]
    .assert_eq(&told);
}

/// Who answers when so many ask at once.
async fn crowd(house: &House, count: usize) -> String {
    let ask = Ask::default();
    let mut answers = join_all((0..count).map(|_| answered_by(house, &ask))).await;
    answers.sort();
    answers.join(" ")
}

fn with_ceilings(ceilings: Ceilings, price: f64) -> House {
    let cast = always(&[("alpha", "100ms ok"), ("beta", "100ms ok")]);
    house_with(cast, settings(Strategy::Priority), |place, player| {
        let ceilings = if place == 0 { ceilings } else { Ceilings::default() };
        Player { ceilings, price: Some((price, price)), ..player }
    })
}

#[tokio::test(start_paused = true)]
async fn whoever_is_at_its_ceiling_is_passed_over() {
    let two_at_once = with_ceilings(Ceilings { concurrent: 2, ..Ceilings::default() }, 1.0);
    expect!["alpha alpha beta beta beta"].assert_eq(&crowd(&two_at_once, 5).await);
    expect!["alpha"].assert_eq(&crowd(&two_at_once, 1).await);

    let three_a_minute = with_ceilings(Ceilings { requests_per_minute: Some(3), ..Ceilings::default() }, 1.0);
    expect!["alpha alpha alpha beta beta"].assert_eq(&turns(&three_a_minute, 5).await);
    sleep(Duration::from_secs(21)).await;
    expect!["alpha beta"].assert_eq(&turns(&three_a_minute, 2).await);

    // A question of these has 5 tokens, an answer may have 100 and has 5.
    let tokens = with_ceilings(Ceilings { tokens_per_minute: Some(120), ..Ceilings::default() }, 1.0);
    expect!["alpha alpha beta beta"].assert_eq(&turns(&tokens, 4).await);

    // Each answer costs 5.
    let money = with_ceilings(Ceilings { daily_budget: Some(9.0), ..Ceilings::default() }, 1.0);
    expect!["alpha alpha alpha beta"].assert_eq(&turns(&money, 4).await);
}

#[tokio::test(start_paused = true)]
async fn the_only_provider_at_its_ceiling_is_waited_for() {
    let house = house_with(always(&[("alpha", "300ms ok")]), settings(Strategy::Hedged), |_, player| {
        Player { ceilings: Ceilings { concurrent: 1, ..Ceilings::default() }, ..player }
    });
    expect!["alpha alpha alpha"].assert_eq(&crowd(&house, 3).await);
    assert_eq!(house.born.elapsed(), Duration::from_millis(900), "one after the other, and no later");
}

#[tokio::test(start_paused = true)]
async fn hedges_are_a_share_of_the_turns() {
    let settings = Settings { hedge_after: Some(Duration::from_secs(1)), ..settings(Strategy::Hedged) };
    let house = house_of(always(&[("alpha", "3s ok"), ("beta", "10ms ok")]), settings);
    let answers = turns(&house, 200).await;
    let hedged = answers.matches("beta").count();
    assert!((10..=13).contains(&hedged), "a twentieth of 200 and a floor of 3, not {hedged}");
}
