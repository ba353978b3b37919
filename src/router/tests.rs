//! The router with scripted providers and a paused clock: what happens, and when, as a transcript.

pub(super) mod cast;
mod choosing;
mod outage;
mod review;
mod seeds;

use super::{strategy::Strategy, *};
use crate::outcome::Outcome;
use cast::{house, question, settings};
use expect_test::{Expect, expect};

async fn check(cast: &[(&'static str, &[&'static str])], strategy: Strategy, expected: Expect) {
    let house = house(cast, settings(strategy));
    expected.assert_eq(&house.turn(&Wish::default()).await);
}

#[tokio::test(start_paused = true)]
async fn a_rate_limited_provider_is_covered_by_the_next_one_at_once() {
    check(
        &[("alpha", &["100ms 429/30"]), ("beta", &["400ms ok"])],
        Strategy::Priority,
        expect![[r#"
        0ns     alpha is asked
        100ms     alpha rate_limited after 100ms
        100ms   beta is asked
        500ms     beta speaks
        500ms     “hello from ”
        500ms     “beta”
        500ms     beta answered after 400ms
        500ms     answered by beta
    "#]],
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_while_another_can_go_on() {
    let cast: [(&str, &[&str]); 3] =
        [("alpha", &["10ms server_error"]), ("beta", &["20ms connection"]), ("gamma", &["30ms ok"])];
    check(
        &cast,
        Strategy::Priority,
        expect![[r#"
        0ns     alpha is asked
        10ms      alpha server_error after 10ms
        10ms    beta is asked
        30ms      beta connection after 20ms
        30ms    gamma is asked
        60ms      gamma speaks
        60ms      “hello from ”
        60ms      “gamma”
        60ms      gamma answered after 30ms
        60ms      answered by gamma
    "#]],
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn the_only_provider_is_asked_again_after_a_pause() {
    check(
        &[("alpha", &["10ms server_error", "10ms ok"])],
        Strategy::Priority,
        expect![[r#"
        0ns     alpha is asked
        10ms      alpha server_error after 10ms
        175ms   alpha is asked
        185ms     alpha speaks
        185ms     “hello from ”
        185ms     “alpha”
        185ms     alpha answered after 10ms
        185ms     answered by alpha
    "#]],
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_short_rest_of_the_only_provider_is_waited_for() {
    let house = house(&[("alpha", &["10ms 429/2", "10ms ok"])], settings(Strategy::Priority));
    expect![[r#"
        0ns     alpha is asked
        10ms      alpha rate_limited after 10ms
        2.01s   alpha is asked
        2.02s     alpha speaks
        2.02s     “hello from ”
        2.02s     “alpha”
        2.02s     alpha answered after 10ms
        2.02s     answered by alpha
    "#]]
    .assert_eq(&house.turn(&Wish::default()).await);
    expect![[r#"
        2.02s   alpha is asked
        2.03s     alpha speaks
        2.03s     “hello from ”
        2.03s     “alpha”
        2.03s     alpha answered after 10ms
        2.03s     answered by alpha
    "#]]
    .assert_eq(&house.turn(&Wish::default()).await);
}

#[tokio::test(start_paused = true)]
async fn a_silent_provider_costs_its_limit_and_no_more() {
    check(
        &[("alpha", &["0ms silent"]), ("beta", &["50ms ok"])],
        Strategy::Priority,
        expect![[r#"
        0ns     alpha is asked
        10s       alpha timeout after 10s
        10s     beta is asked
        10.05s    beta speaks
        10.05s    “hello from ”
        10.05s    “beta”
        10.05s    beta answered after 50ms
        10.05s    answered by beta
    "#]],
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_slow_provider_is_hedged_and_the_faster_one_wins() {
    check(
        &[("alpha", &["9s ok"]), ("beta", &["300ms ok"])],
        Strategy::Hedged,
        expect![[r#"
        0ns     alpha is asked
        2.5s    beta is asked
        2.8s      alpha overtaken after 2.8s
        2.8s      beta speaks
        2.8s      “hello from ”
        2.8s      “beta”
        2.8s      beta answered after 300ms
        2.8s      answered by beta
    "#]],
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn in_a_race_the_first_text_wins() {
    let cast: [(&str, &[&str]); 3] =
        [("alpha", &["900ms ok"]), ("beta", &["700ms overloaded"]), ("gamma", &["800ms ok"])];
    check(
        &cast,
        Strategy::Race,
        expect![[r#"
        0ns     alpha is asked
        0ns     beta is asked
        0ns     gamma is asked
        700ms     beta overloaded after 700ms
        800ms     alpha overtaken after 800ms
        800ms     gamma speaks
        800ms     “hello from ”
        800ms     “gamma”
        800ms     gamma answered after 800ms
        800ms     answered by gamma
    "#]],
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_breaks_off_is_answered_afresh_by_the_next() {
    check(
        &[("alpha", &["10ms cut"]), ("beta", &["20ms ok"])],
        Strategy::Priority,
        expect![[r#"
        0ns     alpha is asked
        10ms      alpha speaks
        10ms      “half an ”
        10ms      alpha broken_stream after 10ms
        10ms    beta is asked
        30ms      beta speaks, afresh
        30ms      “hello from ”
        30ms      “beta”
        30ms      beta answered after 20ms
        30ms      answered by beta
    "#]],
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_stalls_is_answered_afresh_by_the_next() {
    check(
        &[("alpha", &["10ms stall"]), ("beta", &["20ms ok"])],
        Strategy::Priority,
        expect![[r#"
        0ns     alpha is asked
        10ms      alpha speaks
        10ms      “half an ”
        5.01s     alpha broken_stream after 5.01s
        5.01s   beta is asked
        5.03s     beta speaks, afresh
        5.03s     “hello from ”
        5.03s     “beta”
        5.03s     beta answered after 20ms
        5.03s     answered by beta
    "#]],
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn the_loser_of_a_race_can_still_save_the_turn() {
    check(
        &[("alpha", &["10ms cut"]), ("beta", &["20ms ok"])],
        Strategy::Race,
        expect![[r#"
        0ns     alpha is asked
        0ns     beta is asked
        10ms      beta overtaken after 10ms
        10ms      alpha speaks
        10ms      “half an ”
        10ms      alpha broken_stream after 10ms
        10ms    beta is asked
        30ms      beta speaks, afresh
        30ms      “hello from ”
        30ms      “beta”
        30ms      beta answered after 20ms
        30ms      answered by beta
    "#]],
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn blank_text_is_no_answer() {
    check(
        &[("alpha", &["10ms blank"]), ("beta", &["20ms ok"])],
        Strategy::Priority,
        expect![[r#"
        0ns     alpha is asked
        10ms      alpha empty after 10ms
        10ms    beta is asked
        30ms      beta speaks
        30ms      “hello from ”
        30ms      “beta”
        30ms      beta answered after 20ms
        30ms      answered by beta
    "#]],
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_not_shopped_around() {
    check(
        &[("alpha", &["10ms content_filtered"]), ("beta", &["20ms ok"])],
        Strategy::Priority,
        expect![[r#"
        0ns     alpha is asked
        10ms      alpha content_filtered after 10ms
        10ms      nobody answered; again in None, timed out: false
    "#]],
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_bad_request_gets_one_other_opinion() {
    let cast: [(&str, &[&str]); 3] =
        [("alpha", &["10ms bad_request"]), ("beta", &["10ms bad_request"]), ("gamma", &["10ms ok"])];
    check(
        &cast,
        Strategy::Priority,
        expect![[r#"
        0ns     alpha is asked
        10ms      alpha bad_request after 10ms
        10ms    beta is asked
        20ms      beta bad_request after 10ms
        20ms      nobody answered; again in None, timed out: false
    "#]],
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_long_prompt_goes_to_a_wider_window() {
    let cast: [(&str, &[&str]); 2] = [("small", &["10ms context_too_long"]), ("wide", &["10ms ok"])];
    check(
        &cast,
        Strategy::Priority,
        expect![[r#"
        0ns     small is asked
        10ms      small context_too_long after 10ms
        10ms    wide is asked
        20ms      wide speaks
        20ms      “hello from ”
        20ms      “wide”
        20ms      wide answered after 10ms
        20ms      answered by wide
    "#]],
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn when_nobody_answers_every_reason_is_told_and_no_pause_follows_the_last() {
    check(
        &[("alpha", &["0ms auth"]), ("beta", &["10ms server_error"])],
        Strategy::Priority,
        expect![[r#"
            0ns     alpha is asked
            0ns       alpha auth after 0ns
            0ns     beta is asked
            10ms      beta server_error after 10ms
            175ms   beta is asked
            185ms     beta server_error after 10ms
            185ms     nobody answered; again in None, timed out: false
        "#]],
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn the_turn_has_one_deadline() {
    let mut settings = settings(Strategy::Priority);
    settings.turn_timeout = Duration::from_secs(15);
    let house = house(&[("alpha", &["0ms silent"]), ("beta", &["0ms think"])], settings);
    expect![[r#"
        0ns     alpha is asked
        10s       alpha timeout after 10s
        10s     beta is asked
        15s       beta timeout after 5s
        15s       nobody answered; again in None, timed out: true
    "#]]
    .assert_eq(&house.turn(&Wish::default()).await);
}

#[tokio::test(start_paused = true)]
async fn the_deadline_holds_for_an_answer_that_is_being_spoken() {
    let mut settings = settings(Strategy::Priority);
    settings.turn_timeout = Duration::from_secs(2);
    let house = house(&[("alpha", &["10ms stall"]), ("beta", &["10ms ok"])], settings);
    expect![[r#"
        0ns     alpha is asked
        10ms      alpha speaks
        10ms      “half an ”
        2s        alpha timeout after 2s
        2s        nobody answered; again in None, timed out: true
    "#]]
    .assert_eq(&house.turn(&Wish::default()).await);
}

#[tokio::test(start_paused = true)]
async fn a_pin_comes_first_and_strict_means_nobody_else() {
    let cast: [(&str, &[&str]); 2] = [("alpha", &["10ms ok"]), ("beta", &["10ms auth"])];
    let house = house(&cast, settings(Strategy::Priority));
    let pin = |strict| Wish { first: vec!["beta".to_owned()], strict, ..Wish::default() };
    expect![[r#"
        0ns     beta is asked
        10ms      beta auth after 10ms
        10ms    alpha is asked
        20ms      alpha speaks
        20ms      “hello from ”
        20ms      “alpha”
        20ms      alpha answered after 10ms
        20ms      answered by alpha
    "#]]
    .assert_eq(&house.turn(&pin(false)).await);
    expect![[r#"
        20ms      nobody answered; again in Some(299.99s), timed out: false
    "#]]
    .assert_eq(&house.turn(&pin(true)).await);
}

#[tokio::test(start_paused = true)]
async fn a_tripped_provider_is_left_alone_and_taken_back_after_one_probe() {
    let cast: [(&str, &[&str]); 2] = [
        (
            "alpha",
            &[
                "1ms server_error",
                "1ms server_error",
                "1ms server_error",
                "1ms server_error",
                "1ms server_error",
                "1ms ok",
            ],
        ),
        ("beta", &["1ms ok"]),
    ];
    let house = house(&cast, settings(Strategy::Priority));
    for _ in 0..5 {
        house.turn(&Wish::default()).await;
    }
    expect![[r#"
        10ms    beta is asked
        11ms      beta speaks
        11ms      “hello from ”
        11ms      “beta”
        11ms      beta answered after 1ms
        11ms      answered by beta
    "#]]
    .assert_eq(&house.turn(&Wish::default()).await);
    tokio::time::sleep(Duration::from_secs(15)).await;
    expect![[r#"
        15.011s alpha is asked
        15.012s   alpha speaks
        15.012s   “hello from ”
        15.012s   “alpha”
        15.012s   alpha answered after 1ms
        15.012s   answered by alpha
    "#]]
    .assert_eq(&house.turn(&Wish::default()).await);
}

#[tokio::test(start_paused = true)]
async fn cancelling_tells_what_was_under_way() {
    let house = house(&[("alpha", &["0ms stall"])], settings(Strategy::Priority));
    let mut performance =
        house.router.play(&Ask { prompt: question(), started_at: UnixMillis(5), ..Ask::default() });
    assert!(matches!(performance.next().await, Some(Event::Opened { .. })));
    let cut = performance.cancel();
    assert_eq!(cut.len(), 1);
    assert_eq!(cut[0].outcome, Outcome::Cancelled);
    assert_eq!(cut[0].started_at, UnixMillis(5));
}

#[tokio::test(start_paused = true)]
async fn keep_alives_do_not_postpone_the_first_text() {
    check(
        &[("alpha", &["0ms murmur"]), ("beta", &["50ms ok"])],
        Strategy::Priority,
        expect![[r#"
        0ns     alpha is asked
        10s       alpha timeout after 10s
        10s     beta is asked
        10.05s    beta speaks
        10.05s    “hello from ”
        10.05s    “beta”
        10.05s    beta answered after 50ms
        10.05s    answered by beta
    "#]],
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn thinking_does() {
    check(
        &[("alpha", &["0ms muse"]), ("beta", &["50ms ok"])],
        Strategy::Priority,
        expect![[r#"
        0ns     alpha is asked
        14s       alpha speaks
        14s       “aha”
        14s       alpha answered after 14s
        14s       answered by alpha
    "#]],
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_only_drips_is_given_up_while_somebody_else_can_go_on() {
    check(
        &[("alpha", &["0ms drip"]), ("beta", &["50ms ok"])],
        Strategy::Priority,
        expect![[r#"
        0ns     alpha is asked
        1s        alpha speaks
        1s        “x”
        2s        “x”
        3s        “x”
        4s        “x”
        5s        “x”
        6s        “x”
        6s        alpha broken_stream after 6s
        6s      beta is asked
        6.05s     beta speaks, afresh
        6.05s     “hello from ”
        6.05s     “beta”
        6.05s     beta answered after 50ms
        6.05s     answered by beta
    "#]],
    )
    .await;
    let told = house(&[("alpha", &["0ms drip"])], settings(Strategy::Priority)).turn(&Wish::default()).await;
    assert!(told.ends_with("answered by alpha\n"), "slow text is better than none\n{told}");
}

#[tokio::test(start_paused = true)]
async fn keep_alives_in_an_answer_are_no_silence_but_no_text_either() {
    check(
        &[("alpha", &["0ms mumble"]), ("beta", &["50ms ok"])],
        Strategy::Priority,
        expect![[r#"
        0ns     alpha is asked
        0ns       alpha speaks
        0ns       “half an ”
        5s        alpha broken_stream after 5s
        5s      beta is asked
        5.05s     beta speaks, afresh
        5.05s     “hello from ”
        5.05s     “beta”
        5.05s     beta answered after 50ms
        5.05s     answered by beta
    "#]],
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn what_a_provider_did_not_count_is_reckoned_and_marked() {
    let cast: [(&str, &[&str]); 2] = [("alpha", &["0ms silent"]), ("beta", &["100ms ok"])];
    let house = house(&cast, settings(Strategy::Hedged));
    let mut performance = house.router.play(&Ask { prompt: question(), ..Ask::default() });
    let mut told = String::new();
    while let Some(event) = performance.next().await {
        if let Event::Attempt(it) = event {
            told += &format!("{} {} {:?} costs {:?}\n", it.provider, it.outcome.as_str(), it.usage, it.cost);
        }
    }
    expect![[r#"
        alpha overtaken Usage { tokens_in: Some(5), tokens_out: Some(0), is_estimated: true } costs Some(0.0)
        beta answered Usage { tokens_in: Some(5), tokens_out: Some(4), is_estimated: true } costs Some(4.0)
    "#]]
    .assert_eq(&told);
}
