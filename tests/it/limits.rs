//! Discord limits, fails or forbids, and people get the answer once, or nobody pays for one that nobody can see.

use crate::harness::{House, check};
use expect_test::expect;
use sim::discord::bits;
use std::time::Duration;
use tokio::time::Instant;

#[tokio::test]
async fn a_rate_limit_on_edits_is_waited_for_and_the_end_is_shown() {
    check(
        "
        cast   alpha: pace=30ms 'One two three four five six seven eight nine ten.'
        discord 429 retry-after=0.3 on edit
        ana    in #help: @neverdark count
        ",
        expect![[r#"
            #help
              ana         @neverdark count
              neverdark  ↳ One two three four five six seven eight nine ten.
            ledger
              alpha answered
        "#]],
    )
    .await;
}

#[tokio::test]
async fn a_rate_limit_on_the_first_post_is_waited_for() {
    let house = House::open(
        "
        cast   alpha: 'Hello, Ana.'
        discord 429 retry-after=0.5 on create
        ana    in #help: @neverdark hi
        ",
    )
    .await;
    let began = Instant::now();
    house.play().await;
    assert!(began.elapsed() >= Duration::from_millis(500), "as long as Discord asks");
    house
        .looks_like(&expect![[r#"
        #help
          ana         @neverdark hi
          neverdark  ↳ Hello, Ana.
        ledger
          alpha answered
    "#]])
        .await;
    assert_eq!(house.stage.discord.counts("create"), [(200, 1), (429, 1)], "and not asked in between");
    house.close();
}

#[tokio::test]
async fn a_server_error_of_discord_is_repeated() {
    check(
        "
        cast   alpha: 'Hello, Ana.'
        discord 500 on create
        ana    in #help: @neverdark hi
        ",
        expect![[r#"
            #help
              ana         @neverdark hi
              neverdark  ↳ Hello, Ana.
            ledger
              alpha answered
        "#]],
    )
    .await;
}

#[tokio::test]
async fn a_post_whose_confirmation_is_lost_is_there_once() {
    let house = House::open(
        "
        cast   alpha: 'Hello, Ana.'
        discord lost on create
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
        ledger
          alpha answered
    "#]])
        .await;
    assert_eq!(house.answers("help").len(), 1);
    house.close();
}

#[tokio::test]
async fn where_it_may_not_speak_the_turn_ends_and_nobody_pays_for_the_answer() {
    let house = House::open("cast alpha: pace=30ms lorem=4000").await;
    house.act("discord 403 on create\n ana in #help: @neverdark hi").await;
    house
        .looks_like(&expect![[r#"
        #help
          ana         @neverdark hi
        ledger
          alpha cancelled · (turn failed: discord_forbidden)
    "#]])
        .await;
    assert_eq!(house.stage.providers.closed_early("alpha").len(), 1, "the provider was hung up on");
    house.act("discord heal").await;
    house.stage.providers.set("alpha", "'Hello, Ana.'").unwrap();
    house.act("ana in #help: @neverdark hi").await;
    assert!(!house.answers("help").is_empty(), "when it may speak again, it does");
    house.close();
}

#[tokio::test]
async fn when_the_last_edit_fails_the_whole_answer_is_posted_anew() {
    let house = House::open(
        "
        cast   alpha: 'One two three four five six seven eight nine ten.' hold after=6
        ana    in #help: @neverdark count &
        until  'six'
        discord 400 times=9 on edit
        ",
    )
    .await;
    house.play().await;
    house
        .looks_like(&expect![[r#"
        #help
          ana         @neverdark count
          neverdark  ↳ One two three four five six
          neverdark  ↳ One two three four five six seven eight nine ten.
        ledger
          alpha answered
    "#]])
        .await;
    house.close();
}

#[tokio::test]
async fn real_limits_of_discord_slow_an_answer_down_but_do_not_lose_it() {
    let house = House::open("cast alpha: pace=20ms 'One two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen.'").await;
    let discord = &house.stage.discord;
    for call in ["create", "edit"] {
        discord.set_limit(call, 2, Duration::from_secs(1));
    }
    house.act("ana in #help: @neverdark count").await;
    house.looks_like(&expect![[r#"
        #help
          ana         @neverdark count
          neverdark  ↳ One two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen.
        ledger
          alpha answered
    "#]]).await;
    let too_many = |name| discord.counts(name).iter().filter(|it| it.0 == 429).count();
    assert_eq!(too_many("create") + too_many("edit"), 0, "it keeps to what Discord announces");
    house.close();
}

#[tokio::test]
async fn edits_that_are_forbidden_for_ten_minutes_do_not_hold_up_the_end() {
    let house = House::open(
        "
        cast   alpha: 'One two three four five six seven eight nine ten.' hold after=6
        ana    in #help: @neverdark count &
        until  'six'
        discord 429 retry-after=600 on edit
        ",
    )
    .await;
    let began = Instant::now();
    house.play().await;
    assert!(began.elapsed() < Duration::from_secs(5), "it took {:?}", began.elapsed());
    house
        .looks_like(&expect![[r#"
        #help
          ana         @neverdark count
          neverdark  ↳ One two three four five six
          neverdark  ↳ One two three four five six seven eight nine ten.
        ledger
          alpha answered
    "#]])
        .await;
    assert_eq!(
        house.stage.discord.counts("edit").iter().filter(|it| it.0 == 429).map(|it| it.1).sum::<u64>(),
        1
    );
    house.close();
}

#[tokio::test]
async fn posts_that_are_forbidden_for_ten_minutes_end_the_turn() {
    let house = House::open(
        "
        cast   alpha: pace=30ms lorem=4000
        discord 429 retry-after=600 on create
        ana    in #help: @neverdark hi
        ",
    )
    .await;
    let began = Instant::now();
    house.play().await;
    assert!(began.elapsed() < Duration::from_secs(5), "it took {:?}", began.elapsed());
    assert!(house.ledger().await.contains("(turn failed: discord_rate_limited)"), "{}", house.ledger().await);
    assert_eq!(house.stage.discord.counts("create"), [(429, 1)]);
    assert_eq!(house.stage.providers.closed_early("alpha").len(), 1, "the provider was hung up on");
    house.close();
}

#[tokio::test]
async fn a_limit_of_the_bot_as_a_whole_holds_everything_for_as_long_as_discord_says() {
    let house = House::open(
        "
        cast   alpha: 'Hello.'
        discord 429 retry-after=0.3 global on create
        ana    in #help: @neverdark hi &
        ben    in #off-topic: @neverdark hi
        ",
    )
    .await;
    house.play().await;
    let discord = &house.stage.discord;
    assert_eq!(discord.counts("create").iter().find(|it| it.0 == 200), Some(&(200, 2)));
    let requests = discord.requests();
    let limited = requests.iter().rev().find(|it| it.status == 429).unwrap().at;
    let after: Vec<_> =
        requests.iter().filter(|it| it.status == 200 && it.name == "create").map(|it| it.at).collect();
    let is_late = |it: &&Duration| **it >= limited + Duration::from_millis(300);
    assert!(after.iter().filter(is_late).count() >= 1, "{limited:?} {after:?}");
    house.close();
}

#[tokio::test]
async fn a_channel_that_refuses_is_asked_three_more_times_at_most() {
    let house = House::open("cast alpha: 'Hello, Ana.'").await;
    house.act("discord 403 times=9 on create").await;
    for _ in 0..7 {
        house.act("ana in #help: @neverdark hi").await;
    }
    assert_eq!(house.stage.discord.counts("create"), [(403, 4)]);
    house.act("discord heal\n ben in #off-topic: @neverdark hi").await;
    assert_eq!(house.answers("off-topic").len(), 1, "others are not meant");
    house.close();
}

#[tokio::test]
async fn a_thread_that_is_closed_meanwhile_ends_the_turn() {
    let house = House::open("cast alpha: pace=30ms lorem=6000").await;
    let discord = &house.stage.discord;
    for (archived, locked) in [(true, false), (true, true)] {
        let thread = discord.start_thread("ana", discord.channel("help"), None, "Slow");
        discord.say("ana", thread, "@neverdark hi", None);
        let seen = async {
            let mut changes = discord.watch();
            while discord.messages(thread).len() < 2 {
                changes.changed().await.unwrap();
            }
        };
        tokio::time::timeout(Duration::from_secs(10), seen).await.unwrap();
        discord.archive(thread, archived, locked);
        let began = Instant::now();
        house.rest().await;
        assert!(began.elapsed() < Duration::from_millis(1500), "it took {:?}", began.elapsed());
    }
    let ledger = house.ledger().await;
    assert_eq!(ledger.matches("alpha cancelled · (turn failed: discord_invalid)").count(), 2, "{ledger}");
    house.close();
}

#[tokio::test]
async fn who_may_speak_but_not_read_what_was_said_answers_without_pointing_at_it() {
    let house = House::open("cast alpha: 'Hello, Ana.'").await;
    let help = house.stage.discord.channel("help");
    house.stage.discord.deny(help, bits::READ_MESSAGE_HISTORY);
    house.act("ana in #help: @neverdark hi").await;
    let answers = house.answers("help");
    assert_eq!(
        answers.iter().map(|it| (it.content.as_str(), it.reply_to)).collect::<Vec<_>>(),
        [("Hello, Ana.", None)]
    );
    house.close();
}
