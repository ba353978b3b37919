//! What people change while the bot is away: a question deleted or edited then, and an answer that could not be taken back.

use super::bot::{Home, until};
use sim::discord::{RestEffect, RestFault, Speech};
use std::time::Duration;

const SLOW: &str = "pace=60ms 'The tide comes in twice a day, and so on, and so on, and so on, and so on.' hold stall after=9";
const PNG: &[u8] = b"\x89PNG\r\n\x1a\n and so on";

/// A bot that is killed while it answers a question with a picture. Gives the channel and the question.
async fn killed_while_answering(home: &Home) -> (u64, u64) {
    let discord = &home.stage.discord;
    let harbour = discord.channel("harbour");
    let bot = home.serve(&[("NEVERDARK__CHAT__BURST", "700ms")]).await;
    let speech = Speech {
        text: "@neverdark what is a tide?".to_owned(),
        files: vec![("tide.png".to_owned(), PNG.to_vec())],
        ..Speech::default()
    };
    let question = discord.speak("ana", harbour, speech);
    home.shown(harbour, "The tide comes in").await;
    bot.kill().await;
    (harbour, question)
}

async fn state_is(home: &Home, state: &str) {
    let states = async || {
        let states = home.column("SELECT state || retract FROM turns").await;
        (states == [format!("{state}0")]).then_some(())
    };
    until("the turn has ended", states).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_question_deleted_while_the_bot_was_away_takes_its_half_an_answer_along() {
    let home = Home::new(&format!("alpha: {SLOW}")).await;
    let (harbour, question) = killed_while_answering(&home).await;
    home.stage.discord.delete(question);
    let bot = home.serve(&[("NEVERDARK__CHAT__BURST", "700ms")]).await;
    state_is(&home, "cancelled").await;
    assert!(home.answers(harbour).is_empty(), "{:?}", home.answers(harbour));
    bot.kill().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_question_edited_while_the_bot_was_away_is_answered_as_it_is_now_with_its_picture() {
    let home = Home::new(&format!("alpha: {SLOW}")).await;
    let (harbour, question) = killed_while_answering(&home).await;
    home.stage.discord.edit(question, "@neverdark what is a spring tide?");
    home.stage.providers.set("alpha", "'It is a high one.'").expect("it can be healed");
    let bot = home.serve(&[("NEVERDARK__CHAT__BURST", "700ms")]).await;
    state_is(&home, "answered").await;
    assert_eq!(home.answers(harbour), ["It is a high one."]);
    let calls = home.stage.providers.calls("alpha");
    let asked = calls.last().expect("it was asked").body["messages"].to_string();
    assert!(asked.contains("what is a spring tide?") && asked.contains("image_url"), "{asked}");
    bot.kill().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_could_not_be_taken_back_is_after_the_next_start() {
    let home = Home::new("alpha: 'Twice a day.'").await;
    let discord = &home.stage.discord;
    let harbour = discord.channel("harbour");
    let bot = home.serve(&[("NEVERDARK__CHAT__BURST", "700ms")]).await;
    let question = discord.say("ana", harbour, "@neverdark how often is the tide in?", None);
    state_is(&home, "answered").await;
    let effect = RestEffect::Delay(Duration::from_secs(60));
    discord.rest_fault(RestFault { method: None, route: "delete".to_owned(), times: u32::MAX, effect });
    discord.delete(question);
    let noted =
        async || (home.column("SELECT CAST(retract AS TEXT) FROM turns").await == ["1"]).then_some(());
    until("the deletion is noted", noted).await;
    assert_eq!(home.answers(harbour), ["Twice a day."]);
    bot.kill().await;
    discord.heal_rest();
    let bot = home.serve(&[("NEVERDARK__CHAT__BURST", "700ms")]).await;
    state_is(&home, "answered").await;
    assert!(home.answers(harbour).is_empty(), "{:?}", home.answers(harbour));
    assert!(home.column("SELECT text FROM messages").await.is_empty());
    bot.kill().await;
}
