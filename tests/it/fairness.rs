//! Limits and fair lines: nobody is starved by a flood, and a flood is not answered by another one.

use crate::harness::{House, check};
use expect_test::expect;
use std::time::Duration;
use tokio::time::{Instant, timeout};

#[tokio::test]
async fn who_asks_too_much_is_told_once_and_others_are_answered() {
    check(
        "
        cast   alpha: echo
        config limits.per_user=2/1h
        ana    in #help: @neverdark one
        ana    in #help: @neverdark two
        ana    in #help: @neverdark three
        ana    in #help: @neverdark four
        ana    in dm: five
        ana    runs /ask prompt:six in #help
        ben    in #help: @neverdark seven
        ",
        expect![[r#""#]],
    )
    .await;
}

#[tokio::test]
async fn a_channel_and_a_server_have_limits_of_their_own() {
    check(
        "
        cast   alpha: echo
        config limits.per_channel=2/1h limits.per_server=3/12h
        ana    in #help: @neverdark one
        ben    in #help: @neverdark two
        mia    in #help: @neverdark three
        mia    in #other: @neverdark four
        mia    in #third: @neverdark five
        mia    in dm: six
        ",
        expect![[r#""#]],
    )
    .await;
}

#[tokio::test]
async fn a_message_that_is_heard_twice_counts_once_and_is_not_refused_later() {
    let house = House::open(
        "
        cast   alpha: echo
        config limits.per_user=2/1h
        ana    in #help: @neverdark one
        gateway drop
        ana    in #help: @neverdark two
        ",
    )
    .await;
    house.play().await;
    house.looks_like(&expect![[r#""#]]).await;
    house.close();
}

#[tokio::test]
async fn a_persons_further_questions_wait_in_line_and_hold_nobody_up() {
    let house = House::open(
        "
        cast   alpha: 'First of all: one two.' hold stall after=2 then echo
        config limits.concurrent_per_user=1 router.stall_timeout=300ms router.attempts_per_provider=1
        ana    in #help: @neverdark one &
        until  'First'
        ana    in #other: @neverdark two &
        ben    in #other: @neverdark three &
        until  'You said: three'
        ",
    )
    .await;
    house.play().await;
    house.looks_like(&expect![[r#""#]]).await;
    house.close();
}

#[tokio::test]
async fn those_with_an_exempt_role_are_not_limited() {
    check(
        "
        cast   alpha: echo
        config limits.per_user=1/1h limits.exempt_roles=[@Moderators]
        mia*   in #help: @neverdark one
        mia*   in #help: @neverdark two
        mia*   runs /ask prompt:three in #help
        ana    in #help: @neverdark four
        ana    in #help: @neverdark five
        ",
        expect![[r#""#]],
    )
    .await;
}

/// Three hundred messages of thirty people at once in one channel, and somebody else with a question in another one.
#[tokio::test]
async fn a_raid_starves_nobody_and_is_not_answered_by_a_flood() {
    let house = House::open(
        "
        cast   alpha: delay=30ms echo
        config limits.concurrent=4 limits.concurrent_per_user=1
        ben    in #quiet: hello there
        ",
    )
    .await;
    house.play().await;
    let discord = &house.stage.discord;
    let (raided, quiet) = (discord.channel("raided"), discord.channel("quiet"));
    for number in 0..300 {
        discord.say(&format!("raider-{}", number % 30), raided, &format!("@neverdark {number}"), None);
    }
    let began = Instant::now();
    discord.say("ben", quiet, "@neverdark what is the tide?", None);
    let answered = discord.shown(Some(quiet), "what is the tide?");
    timeout(Duration::from_secs(5), answered).await.expect("somebody else is answered");
    let took = began.elapsed();
    let raiders = house.answers("raided").len();
    house.rest().await;
    assert!(raiders < 17, "{raiders} of the raid came first, and the other waited {took:?}");
    let said = house.answers("raided");
    let busy = said.iter().filter(|it| it.content.contains("still busy")).count();
    assert_eq!((said.len(), busy), (18, 1), "seventeen are answered, and the others hear one word");
    let metrics = house.rooms.chat.metrics().render([]);
    assert!(metrics.contains("neverdark_refused_total{why=\"line\"} 283\n"), "{metrics}");
    house.close();
}
