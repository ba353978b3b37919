//! The buttons below a reply: Stop, Try again, Regenerate, votes, and what is behind an answer.

use crate::{
    harness::{House, check},
    process::bot::{Home, until},
};
use expect_test::expect;
use sim::discord::Shown;

/// The words on a message's buttons.
fn labels(shown: &Shown) -> String {
    shown.buttons.iter().map(|(_, label)| format!("[{label}]")).collect()
}

/// The bot's messages in a channel that everybody sees, with their buttons.
fn replies(house: &House, channel: &str) -> Vec<String> {
    let all = house.answers(channel).into_iter().filter(|it| !it.ephemeral);
    all.map(|it| format!("{} {}", it.content, labels(&it))).collect()
}

/// The id of the button with this label below the bot's newest message that has it.
fn button(house: &House, channel: &str, label: &str) -> (u64, String) {
    let answers = house.answers(channel);
    let found = answers.iter().rev().find_map(|it| {
        let button = it.buttons.iter().find(|it| it.1 == label)?;
        Some((it.id, button.0.clone()))
    });
    found.unwrap_or_else(|| panic!("no button {label}: {answers:?}"))
}

/// Presses the newest button of this label, without waiting for what comes of it.
fn press(house: &House, person: &str, channel: &str, label: &str) {
    let (message, id) = button(house, channel, label);
    house.stage.discord.click(person, message, &id).unwrap();
}

#[tokio::test]
async fn stop_hangs_up_and_keeps_what_was_shown() {
    let house = House::open(
        "
        cast   alpha: 'Once upon a time there was a lighthouse that' stall after=8
        ana    in #help: @neverdark a story, please &
        until  'there was a lighthouse'
        ben    clicks Stop &
        until  'Only the person'
        ana    clicks Stop
        ",
    )
    .await;
    house.play().await;
    house
        .looks_like(&expect![[r#"
            #help
              ana         @neverdark a story, please
              neverdark  ↳ Once upon a time there was a lighthouse
                          -# stopped by ana
              neverdark  ↳ (only ben sees) Only the person who asked, and moderators, can stop it. You are welcome to ask me yourself.
            ledger
              alpha cancelled · (turn cancelled)
        "#]])
        .await;
    assert_eq!(house.stage.providers.closed_early("alpha").len(), 1, "the provider was hung up on");
    assert_eq!(labels(&house.answers("help")[0]), "[Try again][ℹ️]");
    house.close();
}

#[tokio::test]
async fn a_moderator_stops_for_others_and_the_asker_tries_again() {
    check(
        "
        cast   alpha: 'Once upon a time there was a lighthouse that' stall after=8 then 'The lighthouse spoke.'
        ana    in #help: @neverdark a story, please &
        until  'there was a lighthouse'
        mia*   clicks Stop
        ben    clicks Try again
        ana    clicks Try again
        ",
        expect![[r#"
            #help
              ana         @neverdark a story, please
              neverdark  ↳ The lighthouse spoke.
                          (rewritten)
              neverdark  ↳ (only ben sees) Only the person who asked, and moderators, can ask it again. You are welcome to ask me yourself.
            ledger
              alpha cancelled · (turn cancelled)
              alpha answered
        "#]],
    )
    .await;
}

#[tokio::test]
async fn an_ask_is_stopped_by_whoever_gave_it() {
    check(
        "
        cast   alpha: 'Once upon a time there was a lighthouse that' stall after=8 then 'The lighthouse spoke.'
        ana    runs /ask prompt:a story in #help &
        until  'there was a lighthouse'
        ana    clicks Stop
        ana    clicks Try again
        ",
        expect![[r#"
            #help
              ana         /ask prompt:a story
              neverdark   The lighthouse spoke.
                          (rewritten)
            ledger
              alpha cancelled · (turn cancelled)
              alpha answered
        "#]],
    )
    .await;
}

#[tokio::test]
async fn a_private_ask_is_asked_again_in_private() {
    let house = House::open(
        "
        cast   alpha: 'One.' then 'Two.'
        ana    runs /ask prompt:count private:true in #help
        ",
    )
    .await;
    house.play().await;
    let (message, id) = button(&house, "help", "Regenerate");
    house.stage.discord.click("ana", message, &id).unwrap();
    house.rest().await;
    house
        .looks_like(&expect![[r#"
        #help
          ana         /ask prompt:count private:true
          neverdark   (only ana sees) Two.
                      (rewritten)
        ledger
          alpha answered
          alpha answered
    "#]])
        .await;
    house.close();
}

#[tokio::test]
async fn regenerate_asks_somebody_else_and_the_memory_has_the_new_answer() {
    let house = House::open(
        "
        cast   alpha: 'Alpha here.' | beta: 'Beta here.' then 'Beta again.'
        ana    in #help: @neverdark who is there?
        ana    clicks Regenerate
        ana    in #help: @neverdark what did you say?
        ",
    )
    .await;
    house.play().await;
    house
        .looks_like(&expect![[r#"
        #help
          ana         @neverdark who is there?
          neverdark  ↳ Beta here.
                      (rewritten)
          ana         @neverdark what did you say?
          neverdark  ↳ Alpha here.
        ledger
          alpha answered
          beta answered
          alpha answered
    "#]])
        .await;
    assert_eq!(house.answers("help")[0].buttons.len(), 4, "an answer has all its buttons");
    expect![[r#"
        call 1
          system: Be kind.
          user: who is there?
        call 2
          system: Be kind.
          user: who is there?
          assistant: Beta here.
          user: what did you say?
    "#]]
    .assert_eq(&house.prompts("alpha"));
    let answers: Vec<(String,)> =
        house.rows("SELECT text FROM messages ORDER BY COALESCE(answers, id), id").await;
    let answers: Vec<String> = answers.into_iter().map(|it| it.0).collect();
    assert_eq!(answers, ["who is there?", "Beta here.", "what did you say?", "Alpha here."]);
    house.close();
}

#[tokio::test]
async fn three_parts_become_one_and_one_becomes_three() {
    let house = House::open(
        "
        cast   alpha: lorem=5000 | beta: 'A short one.'
        ana    in #help: @neverdark how much?
        ben    in #help: meanwhile
        ",
    )
    .await;
    house.play().await;
    let before: Vec<u64> = house.answers("help").iter().map(|it| it.id).collect();
    assert_eq!(before.len(), 3);
    house.act("ana clicks Regenerate").await;
    assert_eq!(replies(&house, "help"), ["A short one. [Regenerate][👍][👎][ℹ️]"]);
    assert_eq!(house.answers("help")[0].id, before[0], "in the same message");
    house.act("ana clicks Regenerate").await;
    let after = house.answers("help");
    assert_eq!(after.len(), 3);
    assert_eq!(after[0].id, before[0]);
    assert!(after.iter().all(|it| it.reply_to == after[0].reply_to), "each says what it belongs to");
    assert_eq!(after.iter().map(labels).collect::<Vec<_>>(), ["", "", "[Regenerate][👍][👎][ℹ️]"]);
    house.close();
}

#[tokio::test]
async fn pressing_twice_at_once_asks_once() {
    let house = House::open(
        "
        cast   alpha: 'One.' then delay=60ms 'Two.' then 'Three.'
        ana    in #help: @neverdark count
        ",
    )
    .await;
    house.play().await;
    let (message, id) = button(&house, "help", "Regenerate");
    for _ in 0..4 {
        house.stage.discord.click("ana", message, &id).unwrap();
    }
    house.rest().await;
    assert_eq!(replies(&house, "help"), ["Two. [Regenerate][👍][👎][ℹ️]"]);
    assert_eq!(house.stage.providers.calls("alpha").len(), 2);
    // Whoever still has the old button on the screen means the newest answer.
    let turns: Vec<(String,)> = house.rows("SELECT id FROM turns ORDER BY rowid").await;
    assert_eq!(turns.len(), 2);
    house.close();
}

#[tokio::test]
async fn one_that_waits_in_line_can_be_stopped_and_the_answer_comes_back() {
    let house = House::open(
        "
        cast   alpha: 'The first answer.' then 'Once upon a time there was a lighthouse that' stall after=8 then 'No.'
        ana    in #help: @neverdark one
        ",
    )
    .await;
    house.play().await;
    let discord = &house.stage.discord;
    let (message, regenerate) = button(&house, "help", "Regenerate");
    discord.say("ben", discord.channel("help"), "@neverdark two", None);
    discord.shown(None, "there was a lighthouse").await;
    discord.click("ana", message, &regenerate).unwrap();
    let has_stop = || labels(&discord.message(message).unwrap()) == "[Stop]";
    until("it is in line", async || has_stop().then_some(())).await;
    let stop = discord.message(message).unwrap().buttons[0].0.clone();
    discord.click("ana", message, &stop).unwrap();
    until("it is stopped", async || (!has_stop()).then_some(())).await;
    press(&house, "ben", "help", "Stop");
    house.rest().await;
    house
        .looks_like(&expect![[r#"
        #help
          ana         @neverdark one
          neverdark  ↳ The first answer.
                      -# this is the answer from before · the new one was stopped by ana
          ben         @neverdark two
          neverdark  ↳ Once upon a time there was a lighthouse
                      -# stopped by ben
        ledger
          alpha answered
          alpha cancelled · (turn cancelled)
          (turn cancelled)
    "#]])
        .await;
    assert_eq!(house.stage.providers.calls("alpha").len(), 2, "nobody was asked for it");
    house.close();
}

#[tokio::test]
async fn a_new_answer_that_fails_gives_the_old_one_back() {
    let house = House::open(
        "
        cast   alpha: 'The first answer.' then 400 then 'A better one.'
        ana    in #help: @neverdark one
        ana    clicks Regenerate
        ",
    )
    .await;
    house.play().await;
    house
        .looks_like(&expect![[r#"
        #help
          ana         @neverdark one
          neverdark  ↳ The first answer.
                      -# this is the answer from before · no other one could be had right now · <id>
        ledger
          alpha answered
          alpha failed: bad_request · (turn failed: bad_request)
    "#]])
        .await;
    house.act("ana clicks 👍\nana clicks Regenerate").await;
    house
        .looks_like(&expect![[r#"
        #help
          ana         @neverdark one
          neverdark  ↳ A better one.
                      (rewritten)
          neverdark  ↳ (only ana sees) Noted: a good answer. Thank you. Pressing it again takes it back.
        ledger
          alpha answered
          alpha failed: bad_request · (turn failed: bad_request)
          alpha answered
    "#]])
        .await;
    house.close();
}

#[tokio::test]
async fn stop_before_a_new_answer_has_words_keeps_the_old_one() {
    let house = House::open(
        "
        cast   alpha: 'The first answer.' then hang then 'A better one.'
        ana    in #help: @neverdark one
        ",
    )
    .await;
    house.play().await;
    let (message, id) = button(&house, "help", "Regenerate");
    house.stage.discord.click("ana", message, &id).unwrap();
    until("alpha is asked", async || (house.stage.providers.open_streams("alpha") == 1).then_some(())).await;
    assert_eq!(replies(&house, "help"), ["The first answer. [Stop]"]);
    press(&house, "ana", "help", "Stop");
    house.rest().await;
    house
        .looks_like(&expect![[r#"
        #help
          ana         @neverdark one
          neverdark  ↳ The first answer.
                      -# this is the answer from before · the new one was stopped by ana
        ledger
          alpha answered
          alpha cancelled · (turn cancelled)
    "#]])
        .await;
    assert_eq!(house.stage.providers.open_streams("alpha"), 0);
    let answers: Vec<(String,)> = house.rows("SELECT text FROM messages WHERE role = 'assistant'").await;
    assert_eq!(answers, [("The first answer.".to_owned(),)], "what can be read is remembered");
    house.close();
}

#[tokio::test]
async fn half_of_a_new_answer_is_not_remembered_and_nor_is_the_old_one() {
    let house = House::open(
        "
        cast   alpha: 'The first answer.' then 'Once upon a time there was a lighthouse that' stall after=8
        ana    in #help: @neverdark one
        ",
    )
    .await;
    house.play().await;
    let (message, id) = button(&house, "help", "Regenerate");
    house.stage.discord.click("ana", message, &id).unwrap();
    house.stage.discord.shown(None, "there was a lighthouse").await;
    press(&house, "ana", "help", "Stop");
    house.rest().await;
    house
        .looks_like(&expect![[r#"
        #help
          ana         @neverdark one
          neverdark  ↳ Once upon a time there was a lighthouse
                      -# stopped by ana
                      (rewritten)
        ledger
          alpha answered
          alpha cancelled · (turn cancelled)
    "#]])
        .await;
    assert_eq!(house.rows::<(i64,)>("SELECT 1 FROM messages WHERE role = 'assistant'").await, []);
    house.close();
}

#[tokio::test]
async fn a_question_that_is_gone_is_not_asked_again() {
    check(
        "
        cast   alpha: 'Two.'
        ben    in #other: @neverdark count
        ben    runs /reset in #other
        ben    clicks forget this conversation
        ben    clicks Regenerate
        ",
        expect![[r#"
            #other
              ben         @neverdark count
              neverdark  ↳ Two.
              ben         /reset
              neverdark   (only ben sees) Done. I start afresh here; the 2 messages before this are no longer used.
                          (rewritten)
              neverdark  ↳ (only ben sees) I can't ask that again: the question was deleted, or I was told to forget it.
            ledger
              alpha answered
        "#]],
    )
    .await;
}

#[tokio::test]
async fn votes_are_kept_changed_and_taken_back() {
    let house = House::open(
        "
        cast   alpha: 500 | beta: 'Hello.'
        ana    in #help: @neverdark hi
        ana    clicks 👍
        ben    clicks 👎
        ben    clicks 👍
        ana    clicks 👍
        ",
    )
    .await;
    house.play().await;
    house
        .looks_like(&expect![[r#"
        #help
          ana         @neverdark hi
          neverdark  ↳ Hello.
                      -# answered by beta · alpha had a server error
          neverdark  ↳ (only ana sees) Noted: a good answer. Thank you. Pressing it again takes it back.
          neverdark  ↳ (only ben sees) Noted: not a good answer. Thank you. Pressing it again takes it back.
          neverdark  ↳ (only ben sees) Noted: a good answer. Thank you. Pressing it again takes it back.
          neverdark  ↳ (only ana sees) Your vote is taken back.
        ledger
          alpha failed: server_error · beta answered
    "#]])
        .await;
    let ben = house.stage.discord.person("ben");
    let votes: Vec<(i64, i64, i64, String, String)> =
        house.rows("SELECT user_id, value, step, provider, model FROM feedback").await;
    assert_eq!(votes, [(ben.cast_signed(), 1, 1, "beta".to_owned(), "beta-1".to_owned())]);
    house.close();
}

#[tokio::test]
async fn adaptive_learns_from_votes_at_once() {
    let house = House::open(
        "
        cast   alpha: 'Alpha.' | beta: 'Beta.'
        config router.strategy=adaptive
        ana    in #help: @neverdark one
        ana    in #help: @neverdark two
        ana    clicks 👎
        ben    clicks 👎
        mia    clicks 👎
        noa    clicks 👎
        ana    in #help: @neverdark three
        ",
    )
    .await;
    house.play().await;
    let told: Vec<String> =
        house.answers("help").into_iter().filter(|it| !it.ephemeral).map(|it| it.content).collect();
    assert_eq!(told, ["Alpha.", "Alpha.", "Beta."]);
    house.close();
}

#[tokio::test]
async fn everybody_can_see_what_is_behind_an_answer() {
    let house = House::open(
        "
        cast   alpha: 429 retry-after=30 | beta: 'Hello.'
        mia*   runs /provider use alpha in #help
        ana    in #help: @neverdark hi
        ben    clicks ℹ️
        ",
    )
    .await;
    house.play().await;
    let told = house.transcript();
    let told = &told[told.find("(only ben sees)").unwrap()..];
    for part in [
        "(only ben sees) **Behind this answer**",
        "1. **alpha** (alpha-1) was rate limited · after ",
        "2. **beta** (beta-1) answered · first text after ",
        "-# **alpha** was put first in this channel by @mia",
    ] {
        assert!(told.contains(part), "{part} is missing in\n{told}");
    }
    house.close();
}

#[tokio::test]
async fn buttons_of_a_turn_that_is_gone_get_a_sentence() {
    let house = House::open(
        "
        cast   alpha: 'Hello.'
        ana    in #help: @neverdark hi
        ",
    )
    .await;
    house.play().await;
    house.write("DELETE FROM turns").await;
    house.act("ana clicks Regenerate\nana clicks 👍\nana clicks ℹ️").await;
    house
        .looks_like(&expect![[r#"
        #help
          ana         @neverdark hi
          neverdark  ↳ Hello.
          neverdark  ↳ (only ana sees) That reply is too old: I don't remember it any more. Please ask again.
          neverdark  ↳ (only ana sees) That reply is too old: I don't remember it any more. Please ask again.
          neverdark  ↳ (only ana sees) That reply is too old: I don't remember it any more. Please ask again.
        ledger
    "#]])
        .await;
    house.close();
}

#[tokio::test]
async fn nothing_of_it_needs_the_message_content() {
    let house = House::open(
        "
        cast   alpha: 'One.' then 'Two.'
        config discord.message_content=false
        ana    in #help: @neverdark count
        ana    clicks Regenerate
        ana    clicks 👍
        ",
    )
    .await;
    house.play().await;
    assert_eq!(replies(&house, "help"), ["Two. [Regenerate][👍][👎][ℹ️]"]);
    house.close();
}

/// Another answer is under way when the process is killed: the next one finishes it in the same messages.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_in_the_middle_of_another_answer() {
    let home =
        Home::new("alpha: lorem=4500 then 'Once upon a time there was a lighthouse that' stall after=8")
            .await;
    let harbour = home.stage.discord.channel("harbour");
    let bot = home.serve(&[]).await;
    home.stage.discord.say("ana", harbour, "@neverdark a story", None);
    let states = async |wanted: &[&str]| {
        (home.column("SELECT state FROM turns ORDER BY received_at").await == wanted).then_some(())
    };
    until("the first answer", async || states(&["answered"]).await).await;
    let first: Vec<Shown> = home.stage.discord.messages(harbour).into_iter().filter(|it| it.bot).collect();
    let last = first.last().unwrap();
    let id = last.buttons.iter().find(|it| it.1 == "Regenerate").unwrap().0.clone();
    home.stage.discord.click("ana", last.id, &id).unwrap();
    home.shown(harbour, "there was a lighthouse").await;
    bot.kill().await;

    home.stage.providers.set("alpha", "lorem=4500").expect("it can be healed");
    let bot = home.serve(&[]).await;
    until("both turns have ended", async || states(&["answered", "answered"]).await).await;
    let ended = bot.stop().await;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let after: Vec<Shown> =
        home.stage.discord.messages(harbour).into_iter().filter(|it| it.bot && !it.deleted).collect();
    let texts = |all: &[Shown]| all.iter().map(|it| it.content.clone()).collect::<Vec<_>>();
    assert_eq!(texts(&after), texts(&first));
    assert_eq!(after[0].id, first[0].id, "in the same message");
    assert_eq!(home.column("SELECT role FROM messages").await, ["user", "assistant"]);
}

/// The answer to a command can't be gone on with after a crash, since what entitled to it is gone. It can be tried again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_ask_that_a_crash_cut_off_can_be_tried_again() {
    let home = Home::new("alpha: 'Once upon a time there was a lighthouse that' stall after=8").await;
    let (discord, harbour) = (&home.stage.discord, home.stage.discord.channel("harbour"));
    let bot = home.serve(&[]).await;
    until("the commands are there", async || (!discord.commands().is_empty()).then_some(())).await;
    discord.slash("ana", harbour, "/ask prompt:a story").unwrap();
    home.shown(harbour, "there was a lighthouse").await;
    bot.kill().await;

    home.stage.providers.set("alpha", "'The lighthouse spoke.'").expect("it can be healed");
    let bot = home.serve(&[]).await;
    let states = async |wanted: &[&str]| {
        (home.column("SELECT state FROM turns ORDER BY rowid").await == wanted).then_some(())
    };
    until("the turn is given up", async || states(&["failed"]).await).await;
    let reply = || discord.messages(harbour).into_iter().rfind(|it| it.bot && !it.ephemeral).unwrap();
    for wanted in ["[Stop]", "[Try again][ℹ️]"] {
        until(wanted, async || (labels(&reply()) == wanted).then_some(())).await;
        let id = reply().buttons[0].0.clone();
        discord.click("ana", reply().id, &id).unwrap();
    }
    until("it is answered", async || states(&["failed", "answered"]).await).await;
    assert_eq!(home.answers(harbour), ["The lighthouse spoke."]);
    let ended = bot.stop().await;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
}

#[tokio::test]
async fn a_part_that_was_deleted_meanwhile_does_not_hide_the_new_answer() {
    let house = House::open(
        "
        cast   alpha: lorem=5000 then lorem=5000 seed=9
        ana    in #help: @neverdark how much?
        ",
    )
    .await;
    house.play().await;
    let before: Vec<u64> = house.answers("help").iter().map(|it| it.id).collect();
    house.stage.discord.delete(before[1]);
    house.act("ana clicks Regenerate").await;
    let after = house.answers("help");
    let ids: Vec<u64> = after.iter().map(|it| it.id).collect();
    assert_eq!(ids[0], before[0]);
    assert!(ids.is_sorted() && after.len() >= 3, "the parts are in their order: {ids:?}");
    let labels: Vec<String> = after.iter().map(labels).collect();
    assert!(labels[..labels.len() - 1].iter().all(String::is_empty), "{labels:?}");
    assert_eq!(labels.last().unwrap(), "[Regenerate][👍][👎][ℹ️]");
    house.close();
}

#[tokio::test]
async fn discords_faults_neither_lose_nor_double_a_press() {
    let house = House::open(
        "
        cast   alpha: 'One.' then 'Two.' then 'Three.'
        ana    in #help: @neverdark count
        discord lost on callback
        ana    clicks 👍
        discord 503 on callback
        ben    clicks 👍
        discord lost on callback
        ana    clicks Regenerate
        discord 429 retry-after=0.1 times=2 on edit
        ana    clicks Regenerate
        ",
    )
    .await;
    house.play().await;
    assert_eq!(replies(&house, "help"), ["Three. [Regenerate][👍][👎][ℹ️]"]);
    assert_eq!(house.stage.providers.calls("alpha").len(), 3);
    assert_eq!(house.rows::<(i64,)>("SELECT value FROM feedback").await, [(1,), (1,)]);
    house.close();
}
