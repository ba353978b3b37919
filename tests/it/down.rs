//! All providers are down: one notice, a place in the queue, and an answer by itself; and what the bot's dot shows.

use crate::harness::{House, check};
use expect_test::expect;
use std::time::Duration;
use tokio::time::timeout;

/// Nobody is there, and somebody looks every tenth of a second.
const DOWN: &str = "
    cast   alpha: 500 | beta: refuse
    config chat.queue_when_down=30m chat.footer=never router.health_check=100ms
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
    expect![[r#"
        #help
          ana         @neverdark one
          neverdark  ↳ I can't reach any model right now (2 tried). I'll answer here when one is back; I keep trying until <t>.
          ben         @neverdark two
          ana         @neverdark three
        #other
          mia         @neverdark four
          neverdark  ↳ I can't reach any model right now (2 tried). I'll answer here when one is back; I keep trying until <t>.
    "#]].assert_eq(&house.transcript());
    let buttons: Vec<_> = house.answers("help").into_iter().flat_map(|it| it.buttons).collect();
    assert_eq!(buttons.iter().map(|it| it.1.as_str()).collect::<Vec<_>>(), ["Stop"]);
    let metrics = house.rooms.chat.metrics().render([]);
    assert!(metrics.contains("neverdark_turns_queued 2\n"), "{metrics}");
    house.act("break alpha echo\nuntil 'four'\nuntil 'You said: three'").await;
    house.rest().await;
    expect![[r#"
        #help
          ana         @neverdark one
          neverdark  ↳ You said: one
                      (rewritten)
          ben         @neverdark two
          ana         @neverdark three
          neverdark  ↳ You said: two
          neverdark  ↳ You said: three
        #other
          mia         @neverdark four
          neverdark  ↳ You said: four
                      (rewritten)
    "#]]
    .assert_eq(&house.transcript());
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
    house
        .looks_like(&expect![[r#"
        #help
          ana         @neverdark hi
          neverdark  ↳ Hello, Ana.
                      (rewritten)
        ledger
          alpha failed: rate_limited (1 s) · alpha answered
    "#]])
        .await;
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
    check(
        "
        cast   alpha: 401
        config chat.queue_when_down=30m
        ana    in #help: @neverdark hi
        ana    in #help: @neverdark and now?
        ",
        expect![[r#"
            #help
              ana         @neverdark hi
              neverdark  ↳ My access to the models is not in order. Whoever runs me finds the cause in the log.
                          -# <id>
              ana         @neverdark and now?
              neverdark  ↳ I can't reach any model right now. Please try again in 5 minutes.
                          -# <id>
            ledger
              alpha failed: auth · (turn failed: auth)
              (turn failed: nobody_ready)
        "#]],
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
    expect![[r#"
        #help
          ana         @neverdark hi
          neverdark  ↳ No model was back in time, so I could not answer this. Please ask again later.
                      -# <id>
                      (rewritten)
          ana         @neverdark are you there?
          neverdark  ↳ No model was back in time, so I could not answer this. Please ask again later.
                      -# <id>
    "#]]
    .assert_eq(&house.transcript());
    let last = house.answers("help").pop().expect("it is there");
    assert!(last.buttons.iter().any(|it| it.1 == "Try again"), "{last:?}");
    house.close();
}

#[tokio::test]
async fn who_does_not_want_to_wait_stops_it_and_the_next_in_line_gets_the_notice() {
    let house = House::open(DOWN).await;
    house
        .act(
            "
            ana    in #help: @neverdark one
            ben    in #help: @neverdark two
            ana    clicks stop
            ",
        )
        .await;
    let said: Vec<String> = house.answers("help").into_iter().map(|it| it.content).collect();
    assert!(said[0].ends_with("-# stopped by ana"), "{said:?}");
    assert!(said.len() == 2 && said[1].starts_with("I can't reach any model right now"), "{said:?}");
    let states: Vec<(String,)> = house.rows("SELECT state FROM turns ORDER BY rowid").await;
    assert_eq!(states.iter().map(|it| it.0.as_str()).collect::<Vec<_>>(), ["cancelled", "queued"]);
    house.act("break alpha echo\nuntil 'You said: two'").await;
    house.close();
}

#[tokio::test]
async fn who_was_not_answered_in_time_asks_once_more_by_a_button() {
    let house = House::open(
        "
        cast   alpha: 500
        config chat.queue_when_down=300ms router.health_check=100ms
        ana    in #help: @neverdark hi
        until  'in time'
        break  alpha 'Hello, Ana.'
        wait   300ms
        ana    clicks Try again
        ",
    )
    .await;
    house.play().await;
    let said: Vec<String> = house.answers("help").into_iter().map(|it| it.content).collect();
    assert_eq!(said, ["Hello, Ana."], "in the place of the word that nobody was back");
    house.close();
}

#[tokio::test]
async fn a_moderator_who_chooses_somebody_else_helps_those_who_wait() {
    let house = House::open(
        "
        cast   alpha: 'Alpha here.' | beta: refuse
        config chat.queue_when_down=30m chat.footer=never router.health_check=100ms
        mia*   runs /provider use beta strict:true in #help
        ana    in #help: @neverdark hi
        mia*   runs /provider auto in #help
        break  beta 'Beta here.'
        until  'here.'
        ",
    )
    .await;
    house.play().await;
    let seen = house.transcript();
    assert!(seen.contains("↳ Alpha here.\n              (rewritten)"), "{seen}");
    // How often the chosen one was tried meanwhile is a matter of time.
    assert!(house.ledger().await.ends_with("connection · alpha answered\n"), "{}", house.ledger().await);
    house.close();
}

#[tokio::test]
async fn a_command_is_queued_too_and_only_who_asked_in_private_sees_it() {
    // Who failed on the way is a matter of moments here.
    let house = House::open(&format!("{DOWN}    config chat.footer=never\n")).await;
    house.act("ana runs /ask prompt:hi private:true in #help\nben in #help: @neverdark me, too").await;
    expect![[r#"
        #help
          ana         /ask prompt:hi private:true
          neverdark   (only ana sees) I can't reach any model right now (2 tried). I'll answer here when one is back; I keep trying until <t>.
          ben         @neverdark me, too
    "#]].assert_eq(&house.transcript());
    house.act("break beta echo\nuntil 'You said: me, too'").await;
    expect![[r#"
        #help
          ana         /ask prompt:hi private:true
          neverdark   (only ana sees) You said: hi
                      (rewritten)
          ben         @neverdark me, too
          neverdark  ↳ You said: me, too
    "#]]
    .assert_eq(&house.transcript());
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
    house.close();
}
