//! Stopping at any moment, and what comes after: each message ends in one whole answer, whatever happened in between.

use super::bot::{Ended, Home, until};
use sim::discord::{GatewayFault, RestEffect, RestFault};
use std::time::Duration;
use tokio::time::Instant;

/// An answer that takes about a second, so that something can happen in its middle.
const SLOW: &str = "pace=30ms 'The harbour lies asleep tonight: the lamps are lit, the boats are in, and nobody but the \
                    tide is still at work, as it was yesterday and will be tomorrow.'";
const SLOW_BEGINS: &str = "The harbour lies asleep";
const SLOW_WHOLE: &str = "The harbour lies asleep tonight: the lamps are lit, the boats are in, and nobody but the tide is \
                          still at work, as it was yesterday and will be tomorrow.";
/// A stop without anything to wait for; it takes some hundredths of a second on a machine with nothing else to do.
const FAST: Duration = Duration::from_secs(5);

/// What is in the store when everything has an end.
async fn states(home: &Home) -> Vec<String> {
    home.column("SELECT state FROM turns ORDER BY received_at").await
}

fn stopped(ended: &Ended) {
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sigterm_lets_an_answer_be_finished() {
    let home = Home::new(&format!("alpha: {SLOW}")).await;
    let harbour = home.stage.discord.channel("harbour");
    let bot = home.serve(&[]).await;
    home.stage.discord.say("ana", harbour, "@neverdark how is the harbour?", None);
    home.shown(harbour, SLOW_BEGINS).await;
    bot.signal("TERM");
    assert_ne!(home.answers(harbour), [SLOW_WHOLE], "it was too fast to be interrupted");
    bot.logged("stopping").await;
    home.stage.discord.say("ben", harbour, "@neverdark and I?", None);
    stopped(&bot.ended().await);
    assert_eq!(home.answers(harbour), [SLOW_WHOLE]);
    assert_eq!(states(&home).await, ["answered"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_drain_cannot_wait_for_is_finished_after_the_next_start() {
    let home =
        Home::new("alpha: 'Once upon a time there was a lighthouse that stayed silent' stall after=8").await;
    let harbour = home.stage.discord.channel("harbour");
    let bot = home.serve(&[("NEVERDARK__DISCORD__DRAIN", "300ms")]).await;
    home.stage.discord.say("ana", harbour, "@neverdark a story, please", None);
    home.shown(harbour, "Once upon a time").await;
    let asked = Instant::now();
    stopped(&bot.stop().await);
    assert!(asked.elapsed() < FAST, "it took {:?}", asked.elapsed());
    assert_eq!(states(&home).await, ["answering"]);
    assert_eq!(home.column("SELECT outcome FROM attempts").await, ["cancelled"]);

    home.stage.providers.set("alpha", "'The lighthouse spoke.'").expect("it can be healed");
    let bot = home.serve(&[]).await;
    home.shown(harbour, "The lighthouse spoke.").await;
    stopped(&bot.stop().await);
    assert_eq!(home.answers(harbour), ["The lighthouse spoke."]);
    assert_eq!(states(&home).await, ["answered"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_before_the_first_connection_waits_for_nothing() {
    for signal in ["TERM", "INT"] {
        let home = Home::new("alpha: 'Hello.'").await;
        home.stage.discord.gateway(GatewayFault::Refuse(true));
        let bot = home.run(&[]);
        bot.status().await;
        until("the gateway is asked for", async || {
            (!home.stage.discord.counts("gateway").is_empty()).then_some(())
        })
        .await;
        let asked = Instant::now();
        bot.signal(signal);
        stopped(&bot.ended().await);
        assert!(asked.elapsed() < FAST, "{signal} took {:?}", asked.elapsed());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_while_discord_is_silent_waits_for_nothing() {
    let home = Home::new("alpha: 'Hello.'").await;
    let effect = RestEffect::Delay(Duration::from_secs(60));
    let route = "/gateway".to_owned();
    home.stage.discord.rest_fault(RestFault { method: None, route, times: u32::MAX, effect });
    let bot = home.run(&[]);
    bot.status().await;
    let asked = Instant::now();
    stopped(&bot.stop().await);
    assert!(asked.elapsed() < FAST, "it took {:?}", asked.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ctrl_c_stops_like_sigterm() {
    let home = Home::new(&format!("alpha: {SLOW}")).await;
    let harbour = home.stage.discord.channel("harbour");
    let bot = home.serve(&[]).await;
    home.stage.discord.say("ana", harbour, "@neverdark how is the harbour?", None);
    home.shown(harbour, SLOW_BEGINS).await;
    bot.signal("INT");
    stopped(&bot.ended().await);
    assert_eq!(home.answers(harbour), [SLOW_WHOLE]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_signal_does_not_wait() {
    let home = Home::new("alpha: hang").await;
    let harbour = home.stage.discord.channel("harbour");
    let bot = home.serve(&[]).await;
    home.stage.discord.say("ana", harbour, "@neverdark anybody?", None);
    until("alpha was asked", async || (home.stage.providers.open_streams("alpha") == 1).then_some(())).await;
    bot.signal("TERM");
    bot.logged("stopping").await;
    let asked = Instant::now();
    bot.signal("INT");
    stopped(&bot.ended().await);
    assert!(asked.elapsed() < FAST, "it took {:?}", asked.elapsed());
    assert_eq!(states(&home).await, ["answering"], "it is finished after the next start");
}

/// Kills the bot when `moment` has come, starts it again with a provider that is well, and expects one whole answer.
async fn killed_when(cast: &str, moment: impl AsyncFn(&Home, u64)) {
    let home = Home::new(cast).await;
    let harbour = home.stage.discord.channel("harbour");
    let bot = home.serve(&[]).await;
    home.stage.discord.say("ana", harbour, "@neverdark how is the harbour?", None);
    moment(&home, harbour).await;
    let ended = bot.kill().await;
    assert_eq!(ended.code, None);
    let before: Vec<u64> = shown(&home, harbour);

    home.stage.discord.heal_rest();
    home.stage.providers.set("alpha", "'Calm, and every boat is in.'").expect("it can be healed");
    let bot = home.serve(&[]).await;
    until("the turn has ended", async || (states(&home).await == ["answered"]).then_some(())).await;
    stopped(&bot.stop().await);
    assert_eq!(home.answers(harbour), ["Calm, and every boat is in."]);
    let after = shown(&home, harbour);
    assert!(
        before.is_empty() || before[0] == after[0],
        "another message was made: {before:?}, then {after:?}"
    );
}

fn shown(home: &Home, channel: u64) -> Vec<u64> {
    let messages = home.stage.discord.messages(channel);
    messages.iter().filter(|it| it.bot && !it.deleted).map(|it| it.id).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_in_the_middle_of_an_answer() {
    killed_when(&format!("alpha: {SLOW}"), async |home, harbour| home.shown(harbour, SLOW_BEGINS).await)
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_before_anything_was_shown() {
    killed_when("alpha: hang", async |home, _| {
        until("alpha was asked", async || (home.stage.providers.open_streams("alpha") == 1).then_some(()))
            .await;
    })
    .await;
}

/// The message is on Discord, but the bot was never told so: Discord gives it back for the same nonce, as it was.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_before_it_knew_that_it_had_posted() {
    let effects = [(1, RestEffect::Lost), (u32::MAX, RestEffect::Delay(Duration::from_secs(60)))];
    killed_when("alpha: 'Too late for you, I am afraid, as the' stall after=9", async |home, harbour| {
        for (times, effect) in effects.clone() {
            let route = "create".to_owned();
            home.stage.discord.rest_fault(RestFault { method: None, route, times, effect });
        }
        home.shown(harbour, "Too late for you").await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_with_several_parts_shown() {
    killed_when("alpha: pace=1ms lorem=5000 hold after=700", async |home, harbour| {
        until("two parts are shown", async || (home.answers(harbour).len() >= 2).then_some(())).await;
    })
    .await;
}

/// What is noted of an answer may be gone: deleted by a moderator, or by the bot itself just before it died.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_with_a_part_that_is_gone_afterwards() {
    let home = Home::new("alpha: pace=1ms lorem=5000 hold after=700").await;
    let harbour = home.stage.discord.channel("harbour");
    let bot = home.serve(&[]).await;
    home.stage.discord.say("ana", harbour, "@neverdark how is the harbour?", None);
    let noted =
        async || (home.column("SELECT '' || message_id FROM reply_parts").await.len() >= 2).then_some(());
    until("two parts are noted", noted).await;
    bot.kill().await;
    home.stage.discord.delete(shown(&home, harbour)[1]);

    home.stage.providers.set("alpha", "lorem=3000").expect("it can be healed");
    let bot = home.serve(&[]).await;
    until("the turn has ended", async || {
        states(&home).await.iter().all(|it| it != "answering").then_some(())
    })
    .await;
    stopped(&bot.stop().await);
    assert_eq!(states(&home).await, ["answered"]);
    assert!(home.answers(harbour).len() >= 2, "{:?}", home.answers(harbour));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_provider_that_named_a_time_is_left_alone_over_a_kill() {
    let home = Home::new("alpha: 429 retry-after=300 then 'Too early!' | beta: 'I am beta.'").await;
    let harbour = home.stage.discord.channel("harbour");
    let bot = home.serve(&[]).await;
    home.stage.discord.say("ana", harbour, "@neverdark one", None);
    home.shown(harbour, "I am beta.").await;
    let kept = async || home.column("SELECT provider || ' ' || why FROM rests").await.pop();
    assert_eq!(until("the rest is kept", kept).await, "alpha rate_limited");
    // Or the next process would rightly ask once more for an answer that it cannot know to be whole.
    let closed = async || {
        (home.column("SELECT state FROM turns").await.pop().as_deref() == Some("answered")).then_some(())
    };
    until("the turn is closed", closed).await;
    bot.kill().await;

    let bot = home.serve(&[]).await;
    home.stage.discord.say("ana", harbour, "@neverdark two", None);
    until("the second answer", async || (home.answers(harbour).len() == 2).then_some(())).await;
    stopped(&bot.stop().await);
    assert_eq!(home.stage.providers.calls("alpha").len(), 1, "not before the time it named");
    assert_eq!(home.stage.providers.calls("beta").len(), 2);
}
