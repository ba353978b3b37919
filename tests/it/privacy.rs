//! What people may ask for themselves: to see what is stored, to be forgotten, to be left out.

use crate::harness::{House, check};
use expect_test::expect;

const MARK: &str = "zebra-in-the-harbour";

/// Which of the database's files have the mark in them.
fn marked(house: &House) -> Vec<String> {
    let folder = house.database.parent().unwrap();
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if memchr::memmem::find(&std::fs::read(&path).unwrap(), MARK.as_bytes()).is_some() {
            found.push(path.file_name().unwrap().to_string_lossy().into_owned());
        }
    }
    found
}

#[tokio::test]
async fn a_person_is_forgotten_after_being_asked_once() {
    let house = House::open(&format!(
        "
        cast   alpha: 'You like the {MARK}.' then 'Who are you?'
        ana    in #help: @neverdark I like the {MARK}
        ben    in #help: @neverdark hello
        ana    runs /privacy forget in #help
        ",
    ))
    .await;
    house.play().await;
    assert!(!marked(&house).is_empty(), "it is stored until she says yes");
    house.act("ana clicks Delete everything about me\nben in #help: @neverdark who am I?").await;
    assert_eq!(marked(&house), Vec::<String>::new());
    let names: Vec<(String, i64)> =
        house.rows("SELECT author_name, author_id > 0 FROM turns ORDER BY rowid").await;
    assert_eq!(names, [(String::new(), 0), ("ben".to_owned(), 1), ("ben".to_owned(), 1)]);
    let seen = house.transcript().replace(MARK, "…");
    expect![[r#"
        #help
          ana         @neverdark I like the …
          neverdark  ↳ You like the ….
          ben         @neverdark hello
          neverdark  ↳ Who are you?
          ana         /privacy forget
          neverdark   (only ana sees) Done. 2 messages and answers are gone. If you also want to keep me from storing new ones: `/privacy opt-out`.
                      (rewritten)
          ben         @neverdark who am I?
          neverdark  ↳ Who are you?
    "#]].assert_eq(&seen);
    house.close();
}

#[tokio::test]
async fn to_be_forgotten_ends_what_is_under_way() {
    let house = House::open(&format!(
        "
        cast   alpha: pace=20ms 'The {MARK} sleeps tonight, and so do the boats, the lamps and the nets.' stall after=9
        ana    in #help: @neverdark what does the {MARK} do? &
        until  'sleeps tonight'
        ana    runs /privacy forget in #help &
        until  'Shall I delete'
        ana    clicks delete everything about me &
        until  'Done.'
        ",
    ))
    .await;
    house.play().await;
    let turns: Vec<(String, Option<String>)> = house.rows("SELECT state, question FROM turns").await;
    assert_eq!(turns, [("cancelled".to_owned(), None)]);
    assert_eq!(marked(&house), Vec::<String>::new());
    house.close();
}

#[tokio::test]
async fn who_opted_out_is_not_heard_and_not_passed_on() {
    let house = House::open(
        r"
        cast   alpha: 'Noted.' then 'I do not know.'
        config chat.channels=[#lounge]
        ana    in #help: @neverdark my number is 5
        ana    runs /privacy opt-out in #help
        ana    runs /privacy opt-out in #help
        ana    in #help: @neverdark and now?
        ana    in dm: and here?
        ana    in #lounge: and there?
        ana    runs /ask and so? in #help
        ben    in #help: @neverdark what is her number?
        ",
    )
    .await;
    house.play().await;
    let discord = &house.stage.discord;
    let help = discord.channel("help");
    let said = discord.say("ana", help, "it is still 5", None);
    discord.say("ben", help, "@neverdark what does she say?", Some(said));
    house.rest().await;
    discord.context("ben", said, "Ask about this").unwrap();
    house.rest().await;
    expect![[r#"
        call 1
          system: Be kind.
          user: my number is 5
        call 2
          system: Be kind.
          user: what is her number?
        call 3
          system: Be kind.
          user: what is her number?
          assistant: I do not know.
          user: what does she say?
    "#]]
    .assert_eq(&house.prompts("alpha"));
    house.act("ana runs /privacy opt-in in #help\nana in #help: @neverdark hello again").await;
    house.looks_like(&expect![[r#"
        #help
          ana         @neverdark my number is 5
          neverdark  ↳ Noted.
          ana         /privacy opt-out
          neverdark   (only ana sees) Done. From now on I neither store nor pass on what you write, and I can't answer you. What I have from before is left out of my context and goes in time; `/privacy forget` deletes it now. `/privacy opt-in` brings you back.
          ana         /privacy opt-out
          neverdark   (only ana sees) You are out already. `/privacy opt-in` brings you back.
          ana         @neverdark and now?
          neverdark  ↳ You opted out, so I don't read your messages; `/privacy opt-in` changes that.
          ana         /ask and so?
          neverdark   You opted out, so I don't read your messages; `/privacy opt-in` changes that.
          ben         @neverdark what is her number?
          neverdark  ↳ I do not know.
          ana         it is still 5
          ben        ↳ @neverdark what does she say?
          neverdark  ↳ I do not know.
          ben         Ask about this
          neverdark   (only ben sees) Whoever wrote that opted out, so I don't read it.
          ana         /privacy opt-in
          neverdark   (only ana sees) Welcome back. What you write to me is stored for a limited time and sent to an AI provider again.
          ana         @neverdark hello again
          neverdark  ↳ I do not know.
        DM with ana
          ana         and here?
          neverdark  ↳ You opted out, so I don't read your messages; `/privacy opt-in` changes that.
        #lounge
          ana         and there?
        ledger
          alpha answered
          alpha answered
          alpha answered
          alpha answered
    "#]]).await;
    let stored: Vec<(String,)> = house.rows("SELECT text FROM messages WHERE author_name = 'ana'").await;
    assert_eq!(stored, [("my number is 5".to_owned(),), ("hello again".to_owned(),)]);
    house.close();
}

#[tokio::test]
async fn an_export_is_a_file_that_only_the_person_sees() {
    let house = House::open(
        "
        cast   alpha: 'A language.'
        ana    in #help: @neverdark what is rust?
        ana    runs /privacy export in #help
        ",
    )
    .await;
    house.play().await;
    let discord = &house.stage.discord;
    let ana = discord.person("ana").to_string();
    expect![[r#"
        #help
          ana         @neverdark what is rust?
          neverdark  ↳ A language.
          ana         /privacy export
          neverdark   (only ana sees) Here is everything that I have stored about you.
                      (file neverdark-ANA.json)
    "#]]
    .assert_eq(&house.transcript().replace(&ana, "ANA"));
    let shown = discord.messages(discord.channel("help")).pop().unwrap();
    let file = discord.file(shown.id, &shown.attachments[0]).unwrap();
    let whole: serde_json::Value = serde_json::from_slice(&file).unwrap();
    assert_eq!(whole["user"], ana);
    assert_eq!(whole["messages"][0]["text"], "what is rust?");
    assert_eq!(whole["messages"][0]["answers"][0], "A language.");
    assert_eq!(whole["turns"][0]["state"], "answered");
    house.close();
}

#[tokio::test]
async fn a_reset_is_asked_once_and_in_a_shared_channel_it_is_for_moderators() {
    check(
        "
        cast   alpha: 'Hello.'
        ana    runs /reset in #help
        ana    clicks forget this conversation
        ana    in #help: @neverdark I am Ana
        ana    runs /reset in #help
        ben    in #help: @neverdark I am Ben
        ana    clicks forget this conversation
        ben    runs /reset in #help
        mia*   runs /reset in #help
        mia    clicks forget this conversation
        ana    in dm: hi
        ana    runs /reset in dm
        ana    clicks forget this conversation
        ",
        expect![[r#"
            #help
              ana         /reset
              neverdark   (only ana sees) There was nothing to forget here.
                          (rewritten)
              ana         @neverdark I am Ana
              neverdark  ↳ Hello.
              ana         /reset
              neverdark   (only ana sees) Others talked to me here, too, so only moderators (*Manage Messages* or *Manage Server*) can make me forget it. In a thread or a direct message you can do it yourself.
                          (rewritten)
              ben         @neverdark I am Ben
              neverdark  ↳ Hello.
              ben         /reset
              neverdark   (only ben sees) Others talked to me here, too, so only moderators (*Manage Messages* or *Manage Server*) can make me forget it. In a thread or a direct message you can do it yourself.
              mia         /reset
              neverdark   (only mia sees) Done. I start afresh here; the 4 messages before this are no longer used.
                          (rewritten)
            DM with ana
              ana         hi
              neverdark  ↳ Hello.
              ana         /reset
              neverdark   (only ana sees) Done. I start afresh here; the 2 messages before this are no longer used.
                          (rewritten)
            ledger
              alpha answered
              alpha answered
              alpha answered
        "#]],
    )
    .await;
}

#[tokio::test]
async fn a_post_of_somebody_who_opted_out_is_no_context_for_others() {
    let house = House::open(
        r#"
        cast   alpha: 'About what?'
        config chat.forums=[#ideas]
        ana    runs /privacy opt-out in #help
        ana    posts "My crab" [rust] in #ideas: He says E0382.
        ben    in #ideas/My crab: @neverdark any idea?
        "#,
    )
    .await;
    house.play().await;
    expect![[r#"
        call 1
          system: Be kind.
          user: any idea?
    "#]]
    .assert_eq(&house.prompts("alpha"));
    house.close();
}
