//! A provider fails before it speaks, and somebody else answers; or nobody can.

use crate::harness::{House, check};
use expect_test::expect;
use std::time::Duration;

#[tokio::test]
async fn a_rate_limited_provider_is_covered_by_the_next_one_and_left_alone_as_long_as_it_asked() {
    let house = House::open(
        "
        cast   alpha: 429 retry-after=30 | beta: 'Hello, Ana.'
        ana    in #help: @neverdark hi
        ana    in #help: @neverdark and again
        ",
    )
    .await;
    house.play().await;
    house
        .looks_like(&expect![[r#"
        #help
          ana         @neverdark hi
          neverdark  ↳ Hello, Ana.
                      -# answered by beta · alpha was rate limited
          ana         @neverdark and again
          neverdark  ↳ Hello, Ana.
                      -# answered by beta · alpha is rate limited
        ledger
          alpha failed: rate_limited (30 s) · beta answered
          beta answered
    "#]])
        .await;
    assert_eq!(house.stage.providers.calls("alpha").len(), 1);
    house.close();
}

#[tokio::test]
async fn a_provider_with_a_server_error_is_covered_by_the_next_one() {
    check(
        "
        cast   alpha: 500 | beta: 'Hello, Ana.'
        ana    in #help: @neverdark hi
        ",
        expect![[r#"
            #help
              ana         @neverdark hi
              neverdark  ↳ Hello, Ana.
                          -# answered by beta · alpha had a server error
            ledger
              alpha failed: server_error · beta answered
        "#]],
    )
    .await;
}

#[tokio::test]
async fn a_silent_provider_is_covered_by_the_next_one_and_hung_up_on() {
    let house = House::open(
        "
        cast   alpha: hang | beta: 'Hello, Ana.'
        config router.first_token_timeout=200ms
        ana    in #help: @neverdark hi
        ",
    )
    .await;
    house.play().await;
    house
        .looks_like(&expect![[r#"
        #help
          ana         @neverdark hi
          neverdark  ↳ Hello, Ana.
                      -# answered by beta · alpha did not answer in time
        ledger
          alpha failed: timeout · beta answered
    "#]])
        .await;
    let hung_up = house.stage.providers.closed_early("alpha");
    assert_eq!(hung_up.len(), 1);
    assert!(hung_up[0].after < Duration::from_secs(2), "nobody pays for what nobody waits for");
    house.close();
}

#[tokio::test]
async fn a_provider_that_refuses_connections_is_covered_by_the_next_one() {
    check(
        "
        cast   alpha: refuse | beta: 'Hello, Ana.'
        ana    in #help: @neverdark hi
        ",
        expect![[r#"
            #help
              ana         @neverdark hi
              neverdark  ↳ Hello, Ana.
                          -# answered by beta · alpha could not be reached
            ledger
              alpha failed: connection · beta answered
        "#]],
    )
    .await;
}

#[tokio::test]
async fn a_web_page_instead_of_an_answer_is_never_shown() {
    check(
        "
        cast   alpha: html | beta: 'Hello, Ana.'
        ana    in #help: @neverdark hi
        ",
        expect![[r#"
            #help
              ana         @neverdark hi
              neverdark  ↳ Hello, Ana.
                          -# answered by beta · alpha sent something unreadable
            ledger
              alpha failed: malformed · beta answered
        "#]],
    )
    .await;
}

#[tokio::test]
async fn an_empty_answer_is_none() {
    check(
        "
        cast   alpha: empty | beta: 'Hello, Ana.'
        ana    in #help: @neverdark hi
        ",
        expect![[r#"
            #help
              ana         @neverdark hi
              neverdark  ↳ Hello, Ana.
                          -# answered by beta · alpha sent an empty answer
            ledger
              alpha failed: empty · beta answered
        "#]],
    )
    .await;
}

#[tokio::test]
async fn an_error_inside_of_a_good_stream_is_an_error() {
    check(
        "
        cast   alpha: error=overloaded_error after=0 'never shown' | beta: 'Hello, Ana.'
        ana    in #help: @neverdark hi
        ",
        expect![[r#"
            #help
              ana         @neverdark hi
              neverdark  ↳ Hello, Ana.
                          -# answered by beta · alpha was overloaded
            ledger
              alpha failed: overloaded · beta answered
        "#]],
    )
    .await;
}

#[tokio::test]
async fn a_provider_out_of_quota_is_covered_by_the_next_one() {
    check(
        "
        cast   alpha: error=insufficient_quota | beta: 'Hello, Ana.'
        ana    in #help: @neverdark hi
        ",
        expect![[r#"
            #help
              ana         @neverdark hi
              neverdark  ↳ Hello, Ana.
                          -# answered by beta · alpha is out of quota
            ledger
              alpha failed: quota_exhausted · beta answered
        "#]],
    )
    .await;
}

#[tokio::test]
async fn a_wrong_key_is_covered_by_the_next_one_and_not_tried_again_for_each_message() {
    let house = House::open(
        "
        cast   alpha: error=invalid_api_key | beta: 'Hello, Ana.'
        ana    in #help: @neverdark hi
        ana    in #help: @neverdark still there?
        ",
    )
    .await;
    house.play().await;
    house
        .looks_like(&expect![[r#"
            #help
              ana         @neverdark hi
              neverdark  ↳ Hello, Ana.
                          -# answered by beta · alpha refused its key
              ana         @neverdark still there?
              neverdark  ↳ Hello, Ana.
                          -# answered by beta · alpha refused its key
            ledger
              alpha failed: auth · beta answered
              beta answered
        "#]])
        .await;
    assert_eq!(house.stage.providers.calls("alpha").len(), 1);
    house.close();
}

#[tokio::test]
async fn the_only_provider_is_asked_again() {
    check(
        "
        cast   alpha: 503 then 'Hello, Ana.'
        ana    in #help: @neverdark hi
        ",
        expect![[r#"
            #help
              ana         @neverdark hi
              neverdark  ↳ Hello, Ana.
            ledger
              alpha failed: overloaded · alpha answered
        "#]],
    )
    .await;
}

#[tokio::test]
async fn when_every_provider_is_down_people_get_a_friendly_sentence_and_nothing_raw() {
    check(
        "
        cast   alpha: 500 | beta: refuse | gamma: html
        ana    in #help: @neverdark hi
        ana    in dm: hi
        ",
        expect![[r#"
            #help
              ana         @neverdark hi
              neverdark  ↳ I can't reach any model right now (3 tried). Please try again in a moment.
                          -# <id>
            DM with ana
              ana         hi
              neverdark  ↳ I can't reach any model right now (3 tried). Please try again in a moment.
                          -# <id>
            ledger
              alpha failed: server_error · beta failed: connection · gamma failed: malformed · alpha failed: server_error · (turn failed: server_error)
              alpha failed: server_error · beta failed: connection · gamma failed: malformed · alpha failed: server_error · (turn failed: server_error)
        "#]],
    )
    .await;
}

#[tokio::test]
async fn when_every_provider_is_rate_limited_people_are_told_until_when() {
    check(
        "
        cast   alpha: 429 retry-after=90 | beta: 429 retry-after=40
        ana    in #help: @neverdark hi
        ",
        expect![[r#"
            #help
              ana         @neverdark hi
              neverdark  ↳ All the models I can ask are rate limited right now. Please try again in 40 seconds.
                          -# <id>
            ledger
              alpha failed: rate_limited (90 s) · beta failed: rate_limited (40 s) · (turn failed: rate_limited)
        "#]],
    )
    .await;
}

#[tokio::test]
async fn after_a_recovery_the_usual_provider_answers_again() {
    check(
        "
        cast   alpha: 'Alpha here.' | beta: 'Beta here.'
        break  alpha 500
        ana    in #help: @neverdark hi
        heal   alpha
        ana    in #help: @neverdark and now?
        ",
        expect![[r#"
            #help
              ana         @neverdark hi
              neverdark  ↳ Beta here.
                          -# answered by beta · alpha had a server error
              ana         @neverdark and now?
              neverdark  ↳ Alpha here.
            ledger
              alpha failed: server_error · beta answered
              alpha answered
        "#]],
    )
    .await;
}

#[tokio::test]
async fn a_legacy_completions_provider_takes_over_with_the_same_conversation() {
    let house = House::open(
        "
        cast   alpha: 500 | beta: kind=completions 'Hello, Ana.'
        ana    in #help: @neverdark hi
        ",
    )
    .await;
    house.play().await;
    house
        .looks_like(&expect![[r#"
        #help
          ana         @neverdark hi
          neverdark  ↳ Hello, Ana.
                      -# answered by beta · alpha had a server error
        ledger
          alpha failed: server_error · beta answered
    "#]])
        .await;
    let calls = house.stage.providers.calls("beta");
    expect![[r#"
        Be kind.

        ana: hi
        Assistant:"#]]
    .assert_eq(calls[0].body["prompt"].as_str().unwrap());
    house.close();
}

#[tokio::test]
async fn a_slow_provider_is_joined_by_the_next_one_when_hedged_and_hung_up_on() {
    let house = House::open(
        "
        cast   alpha: delay=3s 'Too late.' | beta: 'Hello, Ana.'
        config router.strategy=hedged router.hedge_after=150ms
        ana    in #help: @neverdark hi
        ",
    )
    .await;
    house.play().await;
    house
        .looks_like(&expect![[r#"
        #help
          ana         @neverdark hi
          neverdark  ↳ Hello, Ana.
                      -# answered by beta · alpha was slow
        ledger
          alpha overtaken · beta answered
    "#]])
        .await;
    let hung_up = house.stage.providers.closed_early("alpha");
    assert_eq!(hung_up.len(), 1);
    // Joined after 150 ms, and hung up on as soon as the other one speaks; the machine may be busy.
    assert!(hung_up[0].after < Duration::from_millis(400), "{:?}", hung_up[0].after);
    house.close();
}

#[tokio::test]
async fn a_race_is_won_by_the_first_text() {
    check(
        "
        cast   alpha: delay=900ms 'Alpha here.' | beta: delay=200ms 'Beta here.' | gamma: 500
        config router.strategy=race
        ana    in #help: @neverdark hi
        ",
        expect![[r#"
            #help
              ana         @neverdark hi
              neverdark  ↳ Beta here.
                          -# answered by beta · gamma had a server error · alpha was slow
            ledger
              alpha overtaken · beta answered · gamma failed: server_error
        "#]],
    )
    .await;
}

#[tokio::test]
async fn a_turn_ends_when_its_time_is_up() {
    check(
        "
        cast   alpha: hang | beta: hang
        config router.first_token_timeout=10s router.turn_timeout=300ms
        ana    in #help: @neverdark hi
        ana    runs /ask prompt:hi private:true in #help
        ",
        expect![[r#"
            #help
              ana         @neverdark hi
              neverdark  ↳ The models took too long to answer. Please try again in a moment.
                          -# <id>
              ana         /ask prompt:hi private:true
              neverdark   (only ana sees) The models took too long to answer. Please try again in a moment.
                          -# <id>
            ledger
              alpha failed: timeout · (turn failed: timeout)
              alpha failed: timeout · (turn failed: timeout)
        "#]],
    )
    .await;
}

#[tokio::test]
async fn a_refusal_of_the_model_is_not_asked_around() {
    check(
        "
        cast   alpha: finish=content_filter '' | beta: 'Never asked.'
        ana    in #help: @neverdark hi
        ",
        expect![[r#"
            #help
              ana         @neverdark hi
              neverdark  ↳ The model declined to answer this. Asking in other words may help.
                          -# <id>
            ledger
              alpha failed: content_filtered · (turn failed: content_filtered)
        "#]],
    )
    .await;
}

#[tokio::test]
async fn a_conversation_that_is_too_long_for_everybody_is_said_to_be() {
    check(
        "
        cast   alpha: error=context_length_exceeded | beta: error=context_length_exceeded
        ana    in #help: @neverdark hi
        ",
        expect![[r#"
            #help
              ana         @neverdark hi
              neverdark  ↳ This conversation is too long for the models I can reach. `/reset` clears it, or ask in a new thread.
                          -# <id>
            ledger
              alpha failed: context_too_long · (turn failed: context_too_long)
        "#]],
    )
    .await;
}
