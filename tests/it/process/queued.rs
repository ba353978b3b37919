//! A question waits for a provider to be back, and the process ends meanwhile: the promise holds.

use super::bot::{Home, until};
use std::time::Duration;
use tokio::time::Instant;

const QUICK: [(&str, &str); 2] =
    [("NEVERDARK__ROUTER__HEALTH_CHECK", "100ms"), ("NEVERDARK__ROUTER__BACKOFF__MAX", "300ms")];

async fn states(home: &Home) -> Vec<String> {
    home.column("SELECT state FROM turns ORDER BY received_at").await
}

/// Two questions in one channel, and nobody there.
async fn queued(home: &Home, harbour: u64) {
    home.stage.discord.say("ana", harbour, "@neverdark how is the harbour?", None);
    home.shown(harbour, "can't reach any model").await;
    home.stage.discord.say("ben", harbour, "@neverdark and the sea?", None);
    until("both are claimed", async || (states(home).await == ["queued", "received"]).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_kill_9_the_answer_takes_the_notices_place_and_the_next_one_follows() {
    let home = Home::new("alpha: 500 | beta: refuse").await;
    let harbour = home.stage.discord.channel("harbour");
    let bot = home.serve(&QUICK).await;
    queued(&home, harbour).await;
    bot.kill().await;

    // Still nobody: the notice stays as it is, and there is no second one.
    let bot = home.serve(&QUICK).await;
    until("it is queued again", async || (states(&home).await == ["queued", "received"]).then_some(())).await;
    assert_eq!(home.answers(harbour).len(), 1);
    home.stage.providers.set("alpha", "echo").expect("it can be healed");
    until("all have ended", async || (states(&home).await == ["answered"; 2]).then_some(())).await;
    assert_eq!(home.answers(harbour), ["You said: how is the harbour?", "You said: and the sea?"]);
    assert_eq!(bot.stop().await.code, Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sigterm_does_not_wait_for_the_end_of_an_outage() {
    let home = Home::new("alpha: 500").await;
    let harbour = home.stage.discord.channel("harbour");
    let bot = home.serve(&QUICK).await;
    queued(&home, harbour).await;
    let asked = Instant::now();
    assert_eq!(bot.stop().await.code, Some(0));
    assert!(asked.elapsed() < Duration::from_secs(5), "it took {:?}", asked.elapsed());
    assert_eq!(states(&home).await, ["queued", "received"]);

    home.stage.providers.set("alpha", "echo").expect("it can be healed");
    let bot = home.serve(&QUICK).await;
    until("all have ended", async || (states(&home).await == ["answered"; 2]).then_some(())).await;
    assert_eq!(home.answers(harbour), ["You said: how is the harbour?", "You said: and the sea?"]);
    bot.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_promise_whose_time_was_over_before_the_start_is_taken_back() {
    let home = Home::new("alpha: 500").await;
    let harbour = home.stage.discord.channel("harbour");
    let bot = home.serve(&QUICK).await;
    home.stage.discord.say("ana", harbour, "@neverdark how is the harbour?", None);
    home.shown(harbour, "can't reach any model").await;
    until("it is queued", async || (states(&home).await == ["queued"]).then_some(())).await;
    bot.kill().await;

    home.stage.providers.set("alpha", "echo").expect("it can be healed");
    let late = [
        QUICK[0],
        QUICK[1],
        ("NEVERDARK__CHAT__QUEUE_WHEN_DOWN", "1ms"),
        ("NEVERDARK__CHAT__ANSWER_MISSED", "1ms"),
    ];
    let bot = home.serve(&late).await;
    until("it has ended", async || (states(&home).await == ["expired"]).then_some(())).await;
    let said = home.answers(harbour);
    assert!(said.len() == 1 && said[0].starts_with("No model was back in time"), "{said:?}");
    bot.stop().await;
}
