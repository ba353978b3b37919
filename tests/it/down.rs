//! All providers are down: one notice, a place in the queue, and an answer by itself; and what the bot's dot shows.

use crate::harness::{House, check};
use expect_test::expect;
use std::time::Duration;
use tokio::time::timeout;

/// Nobody is there, and somebody looks every tenth of a second.
const DOWN: &str = "
    cast   alpha: 500 | beta: refuse
    config chat.queue_when_down=30m router.health_check=100ms
";

#[tokio::test]
async fn one_notice_a_channel_and_everybody_is_answered_when_somebody_is_back() {
    let house = House::open(DOWN).await;
    house
        .act(
            "
            ana    in #help: @neverdark one
            ben    in #help: @neverdark two
            ana    in #help: @neverdark three
            mia    in #other: @neverdark four
            ",
        )
        .await;
    let states: Vec<(String,)> = house.rows("SELECT state FROM turns ORDER BY rowid").await;
    assert_eq!(
        states.iter().map(|it| it.0.as_str()).collect::<Vec<_>>(),
        ["queued", "received", "received", "queued"]
    );
    expect![[r#""#]].assert_eq(&house.transcript());
    let buttons: Vec<_> = house.answers("help").into_iter().flat_map(|it| it.buttons).collect();
    assert_eq!(buttons.iter().map(|it| it.1.as_str()).collect::<Vec<_>>(), ["Stop"]);
    let metrics = house.rooms.chat.metrics().render([]);
    assert!(metrics.contains("neverdark_turns_queued 2\n"), "{metrics}");
    house.act("break alpha echo\nuntil 'four'\nuntil 'You said: three'").await;
    expect![[r#""#]].assert_eq(&house.transcript());
    let ends: Vec<(String, i64)> = house.rows("SELECT state, count(*) FROM turns GROUP BY state").await;
    assert_eq!(ends, [("answered".to_owned(), 4)]);
    house.close();
}

#[tokio::test]
async fn who_is_rate_limited_is_waited_for_as_long_as_it_asked_and_not_asked_before() {
    let house = House::open(
        "
        cast   alpha: 429 retry-after=1 then 'Hello, Ana.'
        config chat.queue_when_down=30m
        ana    in #help: @neverdark hi
        until  'Hello'
        ",
    )
    .await;
    house.play().await;
    house.looks_like(&expect![[r#""#]]).await;
    assert_eq!(house.stage.providers.calls("alpha").len(), 2);
    house.close();
}

#[tokio::test]
async fn what_will_not_mend_itself_is_not_waited_for() {
    check(
        "
        cast   alpha: error=context_length_exceeded | beta: 401
        config chat.queue_when_down=30m
        ana    in #help: @neverdark hi
        ",
        expect![[r#""#]],
    )
    .await;
    check(
        "
        cast   alpha: 401
        config chat.queue_when_down=30m
        ana    in #help: @neverdark hi
        ana    in #help: @neverdark and now?
        ",
        expect![[r#""#]],
    )
    .await;
}

#[tokio::test]
async fn who_waits_too_long_is_told_and_can_try_again() {
    let house = House::open(
        "
        cast   alpha: 500
        config chat.queue_when_down=400ms router.health_check=100ms
        ana    in #help: @neverdark hi
        ana    in #help: @neverdark are you there?
        until  'in time'
        ",
    )
    .await;
    house.play().await;
    // The second one's time is over soon after.
    let both = async {
        while house.answers("help").iter().filter(|it| it.content.contains("in time")).count() < 2 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(Duration::from_secs(5), both).await.expect("both are told");
    house.rest().await;
    let ends: Vec<(String,)> = house.rows("SELECT state FROM turns").await;
    assert!(ends.iter().all(|it| it.0 == "expired"), "{ends:?}");
    expect![[r#""#]].assert_eq(&house.transcript());
    let last = house.answers("help").pop().expect("it is there");
    assert!(last.buttons.iter().any(|it| it.1 == "Try again"), "{last:?}");
    house.close();
}

#[tokio::test]
async fn a_moderator_who_chooses_somebody_else_helps_those_who_wait() {
    let house = House::open(
        "
        cast   alpha: 'Alpha here.' | beta: refuse
        config chat.queue_when_down=30m router.health_check=100ms
        mia*   runs /provider use beta strict:true in #help
        ana    in #help: @neverdark hi
        mia*   runs /provider auto in #help
        break  beta 'Beta here.'
        until  'here.'
        ",
    )
    .await;
    house.play().await;
    house.looks_like(&expect![[r#""#]]).await;
    house.close();
}

#[tokio::test]
async fn a_command_is_queued_too_and_only_who_asked_in_private_sees_it() {
    let house = House::open(DOWN).await;
    house.act("ana runs /ask prompt:hi private:true in #help\nben in #help: @neverdark me, too").await;
    expect![[r#""#]].assert_eq(&house.transcript());
    house.act("break beta echo\nuntil 'You said: me, too'").await;
    expect![[r#""#]].assert_eq(&house.transcript());
    house.close();
}

#[tokio::test]
async fn the_dot_shows_how_the_providers_are() {
    let house = House::open(
        "
        cast   alpha: 'Hello.' | beta: refuse
        config router.health_check=off router.breaker.failures=1
        ",
    )
    .await;
    let presence = async |status: &str| {
        while house.stage.discord.presence().is_none_or(|it| it.0 != status) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        house.stage.discord.presence()
    };
    let shown = async |status| timeout(Duration::from_secs(5), presence(status)).await.expect(status);
    assert_eq!(shown("online").await, Some(("online".to_owned(), String::new())));
    house.act("break alpha 500\nana in #help: @neverdark hi").await;
    assert_eq!(shown("dnd").await, Some(("dnd".to_owned(), "all models down".to_owned())));
    // Each new connection is told at once.
    house.act("gateway invalid").await;
    house.close();
}
