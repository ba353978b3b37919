//! What is said while nobody listens is answered once somebody does: after a crash, a restart, and a lost session.

use crate::{
    harness::{House, without_id},
    process::bot::{Bot, Browser, Home, until},
};
use expect_test::expect;
use sim::{
    discord::{GatewayFault, RestEffect, RestFault, Speech},
    transcript::{Look, transcript},
};
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout};

/// What people saw, without the ids of turns.
fn seen(home: &Home) -> String {
    transcript(&home.stage.discord, Look::BRIEF).lines().map(|it| without_id(it) + "\n").collect()
}

/// Waits until so many turns have ended.
async fn ended(home: &Home, turns: usize) {
    until("every turn has ended", async || {
        let ended = home.column("SELECT state FROM turns WHERE ended_at IS NOT NULL").await;
        (ended.len() >= turns).then_some(())
    })
    .await;
}

/// Waits until the gap was looked into.
async fn looked(bot: &Bot) {
    bot.logged("looked for messages that were missed").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_said_while_the_process_was_dead_is_answered_once() {
    let home = Home::new("alpha: echo").await;
    let discord = &home.stage.discord;
    let (harbour, quay) = (discord.channel("harbour"), discord.channel("quay"));
    let (forum, direct) = (discord.forum("questions", &["knots"]), discord.dm("ana"));
    let forums = forum.to_string();
    let settings = [("NEVERDARK__CHAT__FORUMS", forums.as_str())];
    let bot = home.serve(&settings).await;
    let thread = discord.start_thread("ana", harbour, None, "Knots");
    for place in [harbour, direct, thread] {
        discord.say("ana", place, "@neverdark before", None);
    }
    ended(&home, 3).await;
    bot.kill().await;

    discord.say("ana", harbour, "@neverdark one", None);
    discord.say("ben", harbour, "small talk", None);
    let gone = discord.say("ben", harbour, "@neverdark forget it", None);
    discord.delete(gone);
    let edited = discord.say("ben", harbour, "@neverdark too", None);
    discord.edit(edited, "@neverdark two");
    discord.say("ana", quay, "@neverdark here, too", None);
    discord.say("ana", thread, "and a bowline?", None);
    discord.say("ana", direct, "and in private?", None);
    let post = discord.post("cleo", forum, "Which rope?", "For a small boat.", &["knots"]);
    discord.say("cleo", post, "It is a dinghy.", None);
    let foreign = discord.start_thread("ben", quay, None, "Ours");
    discord.say("ben", foreign, "just us", None);
    discord.say("ben", foreign, "@neverdark come in", None);
    discord.say("ben", foreign, "thanks", None);

    let bot = home.serve(&settings).await;
    discord.say("dora", quay, "@neverdark live", None);
    ended(&home, 13).await;
    looked(&bot).await;
    expect![[r#"
        #harbour
          ana         @neverdark before
          neverdark  ↳ You said: before
          ana         @neverdark one
          ben         small talk
          ben         @neverdark forget it
                      (deleted)
          ben         @neverdark two
                      (edited)
          neverdark  ↳ You said: one
          neverdark  ↳ You said: two
        #quay
          ana         @neverdark here, too
          dora        @neverdark live
          neverdark  ↳ You said: here, too
          neverdark  ↳ You said: live
        DM with ana
          ana         @neverdark before
          neverdark  ↳ You said: before
          ana         and in private?
          neverdark  ↳ You said: and in private?
        #harbour › Knots
          ana         @neverdark before
          neverdark  ↳ You said: before
          ana         and a bowline?
          neverdark  ↳ You said: and a bowline?
        forum #questions › Which rope? [knots]
          cleo        For a small boat.
          cleo        It is a dinghy.
          neverdark  ↳ You said: For a small boat.
          neverdark  ↳ You said: It is a dinghy.
        #quay › Ours
          ben         just us
          ben         @neverdark come in
          ben         thanks
          neverdark  ↳ You said: come in
          neverdark  ↳ You said: thanks
    "#]]
    .assert_eq(&seen(&home));
    assert_eq!(bot.stop().await.code, Some(0));
    let before = seen(&home);
    let bot = home.serve(&settings).await;
    looked(&bot).await;
    assert_eq!(bot.stop().await.code, Some(0));
    assert_eq!(seen(&home), before, "a restart without anything missed says nothing");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_flood_the_latest_are_answered_and_people_are_told() {
    let home = Home::new("alpha: echo").await;
    let discord = &home.stage.discord;
    let harbour = discord.channel("harbour");
    discord.set_limit("create", 1000, Duration::from_secs(1));
    let bot = home.serve(&[]).await;
    discord.say("ana", harbour, "@neverdark before", None);
    ended(&home, 1).await;
    bot.kill().await;
    for number in 1..=300 {
        discord.say("ana", harbour, &format!("@neverdark number {number}"), None);
    }
    for _ in 0..2 {
        let bot = home.serve(&[]).await;
        looked(&bot).await;
        ended(&home, 9).await;
        bot.kill().await;
    }
    let answers = home.answers(harbour).join("\n");
    expect![[r#"
        You said: before
        While I was away, more messages to me came in here than I can answer one by one. I go on with the latest ones; please ask again if an older one still matters.
        You said: number 293
        You said: number 294
        You said: number 295
        You said: number 296
        You said: number 297
        You said: number 298
        You said: number 299
        You said: number 300"#]].assert_eq(&answers);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_too_old_is_left_alone_and_what_was_begun_says_so() {
    const SHORT: [(&str, &str); 1] = [("NEVERDARK__CHAT__ANSWER_MISSED", "2s")];
    let home = Home::new("alpha: 'Once upon a time there was a lighthouse' stall after=7 then hang").await;
    let discord = &home.stage.discord;
    let (harbour, quay) = (discord.channel("harbour"), discord.channel("quay"));
    let bot = home.serve(&SHORT).await;
    discord.say("ana", harbour, "@neverdark a story", None);
    home.shown(harbour, "Once upon a time").await;
    discord.say("ben", quay, "@neverdark anybody?", None);
    until("both were asked", async || (home.stage.providers.calls("alpha").len() == 2).then_some(())).await;
    bot.kill().await;
    discord.say("ana", quay, "@neverdark too old", None);
    sleep(Duration::from_millis(2200)).await;
    discord.say("ana", harbour, "@neverdark just now", None);
    home.stage.providers.set("alpha", "'I am back.'").expect("it can be healed");
    let bot = home.serve(&SHORT).await;
    ended(&home, 3).await;
    looked(&bot).await;
    assert_eq!(bot.stop().await.code, Some(0));
    expect![[r#"
        #harbour
          ana         @neverdark a story
          neverdark  ↳ Once upon a time there was a
                      -# this answer broke off when I went away; please ask again · <id>
          ana         @neverdark just now
          neverdark  ↳ I am back.
        #quay
          ben         @neverdark anybody?
          ana         @neverdark too old
          neverdark  ↳ I was away before I could answer this, and by now it is too old to answer it unasked. Please ask again if it still matters.
                      -# <id>
    "#]]
    .assert_eq(&seen(&home));
    assert_eq!(
        home.column("SELECT state FROM turns ORDER BY state").await,
        ["answered", "expired", "expired"]
    );
}

/// Killed in the middle of catching up, twice: each message has one answer at the end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_kills_in_a_row_lose_nothing_and_double_nothing() {
    let home = Home::new("alpha: pace=20ms echo").await;
    let discord = &home.stage.discord;
    let places: Vec<u64> = (0..4).map(|it| discord.channel(&format!("place-{it}"))).collect();
    let bot = home.serve(&[]).await;
    discord.say("ana", places[0], "@neverdark before", None);
    ended(&home, 1).await;
    bot.kill().await;
    for (number, place) in places.iter().cycle().take(8).enumerate() {
        discord.say("ana", *place, &format!("@neverdark question number {number} of eight"), None);
    }
    for claimed in [3, 6] {
        let bot = home.serve(&[]).await;
        until("some were claimed", async || {
            (home.column("SELECT id FROM turns").await.len() >= claimed).then_some(())
        })
        .await;
        bot.kill().await;
    }
    let bot = home.serve(&[]).await;
    ended(&home, 9).await;
    looked(&bot).await;
    assert_eq!(bot.stop().await.code, Some(0));
    let mut answers: Vec<String> = places.iter().flat_map(|it| home.answers(*it)).collect();
    answers.sort_unstable();
    let wanted = (0..8).map(|it| format!("You said: question number {it} of eight"));
    let mut wanted: Vec<String> = wanted.chain(["You said: before".to_owned()]).collect();
    wanted.sort_unstable();
    assert_eq!(answers, wanted);
}

/// What Discord does not let us read at first is read later; until then nothing counts as heard.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_history_that_cannot_be_read_at_once_is_read_later() {
    let home = Home::new("alpha: echo").await;
    let discord = &home.stage.discord;
    let (harbour, hidden) = (discord.channel("harbour"), discord.channel("hidden"));
    let bot = home.serve(&[]).await;
    discord.say("ana", harbour, "@neverdark before", None);
    ended(&home, 1).await;
    bot.kill().await;
    discord.say("ana", harbour, "@neverdark meanwhile", None);
    discord.say("ana", hidden, "@neverdark and here", None);
    discord.deny(hidden, sim::discord::bits::READ_MESSAGE_HISTORY);
    discord.rest_fault(RestFault {
        method: None,
        route: "history".to_owned(),
        times: 1,
        effect: RestEffect::Status(400),
    });
    let bot = home.serve(&[]).await;
    home.shown(harbour, "meanwhile").await;
    looked(&bot).await;
    assert_eq!(bot.stop().await.code, Some(0));
    assert_eq!(home.answers(harbour), ["You said: before", "You said: meanwhile"]);
    assert_eq!(home.answers(hidden), [""; 0], "where it may not read it does not look");
}

/// The gateway is away for longer than serenity tries to resume: it begins a new session, and nothing is replayed.
#[tokio::test]
async fn what_was_said_while_the_gateway_was_lost_is_answered_once() {
    let house = House::open(
        "
        cast   alpha: echo
        ana    in #help: @neverdark before
        ana    in #other: hello
        ",
    )
    .await;
    house.play().await;
    let discord = &house.stage.discord;
    discord.gateway(GatewayFault::Refuse(true));
    discord.gateway(GatewayFault::Drop);
    let until_lost = async {
        while discord.sessions().live > 0 {
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(Duration::from_secs(5), until_lost).await.expect("the connection ends");
    sleep(Duration::from_millis(600)).await; // serenity tries to resume twice, at once, and then gives the session up.
    for (place, text) in
        [("help", "@neverdark one"), ("other", "@neverdark two"), ("help", "@neverdark three")]
    {
        discord.speak("ana", discord.channel(place), Speech { text: text.to_owned(), ..Speech::default() });
    }
    discord.gateway(GatewayFault::Refuse(false));
    timeout(Duration::from_secs(25), discord.connected()).await.expect("it is back");
    discord.say("ben", discord.channel("help"), "@neverdark live", None);
    house.rest().await;
    assert_eq!((discord.sessions().identifies, discord.sessions().resumes), (2, 0));
    house
        .looks_like(&expect![[r#"
            #help
              ana         @neverdark before
              neverdark  ↳ You said: before
              ana         @neverdark one
              ana         @neverdark three
              ben         @neverdark live
              neverdark  ↳ You said: one
              neverdark  ↳ You said: live
              neverdark  ↳ You said: three
            #other
              ana         hello
              ana         @neverdark two
              neverdark  ↳ You said: two
            ledger
              alpha answered
              alpha answered
              alpha answered
              alpha answered
              alpha answered
        "#]])
        .await;
    house.close();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_of_two_connections_looks_into_its_own_servers() {
    let home = Home::new("alpha: echo").await;
    let discord = &home.stage.discord;
    discord.set_shards(2);
    let mut guilds = vec![discord.guild()];
    while !guilds.iter().any(|it| (it >> 22) % 2 != (guilds[0] >> 22) % 2) {
        sleep(Duration::from_millis(1)).await;
        guilds.push(discord.add_guild("Another"));
    }
    let here = discord.channel("here");
    let there = discord.channel_in(*guilds.last().expect("there are two"), "there");
    let ready = async |bot: &Bot| {
        let (status, browser) = (bot.status().await, Browser::new());
        until("both connections are up", async || {
            (browser.get(&format!("{status}/readyz")).await.0 == 200).then_some(())
        })
        .await;
    };
    let bot = home.serve(&[]).await;
    assert_eq!(discord.sessions().identifies, 1, "not ready with one");
    ready(&bot).await;
    assert_eq!(discord.sessions().live, 2);
    for place in [here, there] {
        discord.say("ana", place, "@neverdark before", None);
    }
    ended(&home, 2).await;
    bot.kill().await;
    for place in [here, there] {
        discord.say("ana", place, "@neverdark meanwhile", None);
    }
    let bot = home.serve(&[]).await;
    ended(&home, 4).await;
    for place in [here, there] {
        assert_eq!(home.answers(place), ["You said: before", "You said: meanwhile"]);
    }
    assert_eq!(bot.stop().await.code, Some(0));
    let registered: u64 = discord.counts("set commands").iter().map(|it| it.1).sum();
    assert_eq!(registered, 1, "they did not change");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_few_sessions_left_nobody_connects_and_operators_are_told() {
    let home = Home::new("alpha: echo").await;
    let discord = &home.stage.discord;
    discord.set_sessions_left(Some((7, Duration::from_secs(3600))));
    let bot = home.run(&[]);
    let (status, browser) = (bot.status().await, Browser::new());
    let why = until("it says that it waits", async || {
        let (code, body) = browser.json(&format!("{status}/readyz")).await;
        (code == 503).then_some(())?;
        body["gateway_waits"].as_str().map(str::to_owned)
    });
    expect!["Discord lets this bot begin only 7 more sessions today, and resets its token after the last one, so the next session begins in 10 minutes"].assert_eq(&why.await);
    assert!(bot.log().contains("not connecting to Discord"), "{}", bot.log());
    let asked = Instant::now();
    assert_eq!(bot.stop().await.code, Some(0));
    assert!(asked.elapsed() < Duration::from_secs(5), "it took {:?}", asked.elapsed());
    assert_eq!(discord.sessions().connections, 0);

    discord.set_sessions_left(Some((7, Duration::from_millis(100))));
    let bot = home.run(&[]);
    bot.logged("not connecting to Discord").await;
    discord.set_sessions_left(None);
    bot.logged("connected to Discord").await;
    assert_eq!(bot.stop().await.code, Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_loop_slows_down_and_a_restart_does_not() {
    let home = Home::new("alpha: echo").await;
    let starts = async || home.column("SELECT in_vain || '' FROM starts").await.pop();
    for number in 1..=5 {
        let bot = home.serve(&[]).await;
        assert_eq!(starts().await, Some(number.to_string()));
        bot.kill().await;
    }
    let bot = home.run(&[]);
    bot.logged("the last 5 starts came to nothing, so the next session begins in 5 seconds").await;
    assert_eq!(bot.stop().await.code, Some(0), "a stop need not wait for it");
    assert_eq!(home.stage.discord.sessions().identifies, 5);

    let harbour = home.stage.discord.channel("harbour");
    let bot = home.serve(&[]).await;
    home.stage.discord.say("ana", harbour, "@neverdark are you well?", None);
    ended(&home, 1).await;
    bot.kill().await;
    for _ in 0..6 {
        let bot = home.serve(&[]).await;
        assert_eq!(bot.stop().await.code, Some(0));
        assert_eq!(starts().await.as_deref(), Some("0"), "it ended well");
    }
}
