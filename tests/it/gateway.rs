//! The connection to Discord is lost in every way there is, and each message is answered once all the same.

use crate::harness::{House, check};
use expect_test::expect;
use neverdark::{
    message::{ChannelId, GuildId, Inbound, MessageId, Place, Speaker, Trigger, TurnId, UnixMillis, UserId},
    store::Claim,
};
use sim::discord::GatewayFault;
use std::time::Duration;
use tokio::time::timeout;

#[tokio::test]
async fn a_message_sent_while_the_connection_is_lost_is_answered_once() {
    let house = House::open(
        "
        cast   alpha: echo
        ana    in #help: @neverdark before
        gateway drop
        ana    in #help: @neverdark meanwhile
        ana    in #help: @neverdark after
        ",
    )
    .await;
    house.play().await;
    house
        .looks_like(&expect![[r#"
        #help
          ana         @neverdark before
          neverdark  ↳ You said: before
          ana         @neverdark meanwhile
          neverdark  ↳ You said: meanwhile
          ana         @neverdark after
          neverdark  ↳ You said: after
        ledger
          alpha answered
          alpha answered
          alpha answered
    "#]])
        .await;
    let sessions = house.stage.discord.sessions();
    assert_eq!((sessions.identifies, sessions.resumes), (1, 1), "it resumes");
    house.close();
}

#[tokio::test]
async fn a_reset_connection_is_resumed() {
    let house = House::open(
        "
        cast   alpha: echo
        gateway reset
        ana    in #help: @neverdark meanwhile
        ",
    )
    .await;
    house.play().await;
    house
        .looks_like(&expect![[r#"
        #help
          ana         @neverdark meanwhile
          neverdark  ↳ You said: meanwhile
        ledger
          alpha answered
    "#]])
        .await;
    assert_eq!(house.stage.discord.sessions().resumes, 1);
    house.close();
}

#[tokio::test]
async fn discord_may_ask_to_reconnect_in_the_middle_of_an_answer() {
    let house = House::open(
        "
        cast   alpha: pace=40ms 'One two three four five six seven eight nine ten.'
        ana    in #help: @neverdark count &
        until  'three'
        gateway reconnect
        ana    in #other: @neverdark you, too
        ",
    )
    .await;
    house.play().await;
    house
        .looks_like(&expect![[r#"
        #help
          ana         @neverdark count
          neverdark  ↳ One two three four five six seven eight nine ten.
        #other
          ana         @neverdark you, too
          neverdark  ↳ One two three four five six seven eight nine ten.
        ledger
          alpha answered
          alpha answered
    "#]])
        .await;
    assert_eq!(house.stage.discord.sessions().resumes, 1);
    house.close();
}

#[tokio::test]
async fn after_an_invalid_session_the_bot_is_back() {
    let house = House::open(
        "
        cast   alpha: echo
        ana    in #help: @neverdark before
        gateway invalid
        ",
    )
    .await;
    house.play().await;
    let back = async {
        while house.stage.discord.sessions().identifies < 2 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(Duration::from_secs(20), back).await.expect("it identifies anew");
    house.act("ana in #help: @neverdark after").await;
    house
        .looks_like(&expect![[r#"
        #help
          ana         @neverdark before
          neverdark  ↳ You said: before
          ana         @neverdark after
          neverdark  ↳ You said: after
        ledger
          alpha answered
          alpha answered
    "#]])
        .await;
    house.close();
}

/// Another process, or this one before a crash, has the message already: a replay must change nothing.
#[tokio::test]
async fn a_message_that_was_claimed_before_is_not_answered_again() {
    let house = House::open("cast alpha: 'I should be silent.'").await;
    let discord = &house.stage.discord;
    let help = discord.channel("help");
    house.act("ana in #help: nothing for the bot").await;
    discord.gateway(GatewayFault::Zombie(true));
    let id = discord.say("ana", help, "@neverdark hi", None);
    let inbound = Inbound {
        message_id: MessageId(id),
        channel_id: ChannelId(help),
        guild_id: Some(GuildId(discord.guild())),
        place: Place::Channel,
        trigger: Trigger::Mention,
        author: Speaker { id: UserId(discord.person("ana")), name: "ana".to_owned() },
        text: "hi".to_owned(),
        replied_to: None,
        opening: None,
        beside: Default::default(),
        received_at: UnixMillis(1),
        wish: None,
    };
    let claim = house.rooms.store.claim(&inbound, &TurnId("7k2m9x4q8d".to_owned())).await.unwrap();
    assert_eq!(claim, Claim::New);
    discord.gateway(GatewayFault::Zombie(false));
    house.rest().await;
    house
        .looks_like(&expect![[r#"
        #help
          ana         nothing for the bot
          ana         @neverdark hi
        ledger
          (turn received)
    "#]])
        .await;
    house.close();
}

#[tokio::test]
async fn without_the_message_content_intent_mentions_replies_and_direct_messages_still_work() {
    check(
        "
        cast   alpha: echo
        config discord.message_content=false
        ana    in #help: @neverdark hi
        ana    in #help: small talk
        ana    in dm: hello
        ana    replies in #help: and you?
        ",
        expect![[r#"
            #help
              ana         @neverdark hi
              neverdark  ↳ You said: hi
              ana         small talk
              ana        ↳ and you?
              neverdark  ↳ You said: and you?
            DM with ana
              ana         hello
              neverdark  ↳ You said: hello
            ledger
              alpha answered
              alpha answered
              alpha answered
        "#]],
    )
    .await;
}

#[tokio::test]
async fn a_stop_in_the_middle_of_an_answer_waits_for_its_end() {
    let house =
        House::open("cast alpha: pace=50ms 'One two three four five six seven eight nine ten.'").await;
    let discord = house.stage.discord.clone();
    discord.say("ana", discord.channel("help"), "@neverdark count", None);
    discord.shown(None, "three").await;
    house.stop().await;
    assert!(discord.shown_within(None, "ten.", Duration::ZERO).await, "the answer is whole");
}
