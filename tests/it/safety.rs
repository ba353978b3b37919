//! A model that obeys an attacker harms nobody, and nothing is tried that the bot may not do.

use crate::harness::{House, check};
use expect_test::expect;
use sim::discord::bits;

/// Lies in wait in each answer: pings, a mask, an image, an invite, text turned round, hidden and heaped.
const HOSTILE: &str = "@everyone @here hello. [Your bank](https://evil.example/login \"bank\") and ![i](https://evil.example/i.png) \
     or HTTPS://evil.example/?q=secret, **https://evil.example** and discord.gg/evil. gpj.\u{202E}exe pass\u{200B}word \
     Z\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}algo. `https://in.code` stays.";

/// No link without its brackets, nor a mask, be it for a moment.
fn is_harmless(state: &str) -> bool {
    let text = state.replace("`https://in.code`", "");
    let lower = text.to_lowercase();
    let wrapped = |(at, _): (usize, &str)| lower[..at].ends_with('<');
    lower.match_indices("https://").all(wrapped)
        && !lower.contains("](")
        && !lower.contains(" discord.gg")
        && !lower.contains(['\u{202e}', '\u{200b}'])
}

/// What the last command told of permissions.
fn lacking(house: &House) -> String {
    house
        .transcript()
        .lines()
        .filter(|it| it.contains("I lack"))
        .map(|it| it.trim().to_owned() + "\n")
        .collect()
}

#[tokio::test]
async fn a_hostile_model_pings_nobody_and_nothing_unfurls() {
    check(
        &format!(
            "
            cast   alpha: whole '{HOSTILE}'
            ana    in #help: @neverdark hi
            ana    runs /ask hi in #help
            "
        ),
        expect![[r#"
            #help
              ana         @neverdark hi
              neverdark  ↳ @everyone @here hello. Your bank (<https://evil.example/login>) and i (<https://evil.example/i.png>) or <HTTPS://evil.example/?q=secret>, **<https://evil.example>** and <https://discord.gg/evil>. gpj.exe password Ź́́́́algo. `https://in.code` stays.
              ana         /ask hi
              neverdark   @everyone @here hello. Your bank (<https://evil.example/login>) and i (<https://evil.example/i.png>) or <HTTPS://evil.example/?q=secret>, **<https://evil.example>** and <https://discord.gg/evil>. gpj.exe password Ź́́́́algo. `https://in.code` stays.
            ledger
              alpha answered
              alpha answered
        "#]],
    )
    .await;
}

#[tokio::test]
async fn no_state_of_a_growing_answer_is_harmful() {
    let house = House::open("cast alpha: 'Hello.'").await;
    let role = house.stage.discord.guild();
    let long = format!("https://evil.example/{}", "a".repeat(3000));
    let code = "more code;\\n".repeat(150);
    let words = format!("<@&{role}> {HOSTILE} {long}\\n```\\nlet a = 1;\\n{code}```\\n{HOSTILE}");
    house
        .act(&format!(
            "
            break  alpha pace=2ms '{words}'
            ana    in #help: @neverdark hi
            "
        ))
        .await;
    let answers = house.answers("help");
    assert!(answers.len() >= 3, "{} messages", answers.len());
    let states: Vec<&String> = answers.iter().flat_map(|it| it.history.iter().chain([&it.content])).collect();
    assert!(states.len() > answers.len(), "people saw it grow");
    for state in states {
        assert!(is_harmless(state), "{state}");
        assert!(state.encode_utf16().count() <= 2000);
        assert_eq!(state.matches("```").count() % 2, 0, "an open fence: {state}");
    }
    for answer in &answers {
        assert!(answer.pinged.is_empty() && answer.embeds_suppressed, "{answer:?}");
    }
    let whole: String = answers.iter().map(|it| it.content.as_str()).collect();
    assert!(whole.matches('a').count() > 3000, "nothing is lost");
    house.close();
}

#[tokio::test]
async fn trusted_hosts_stay_as_the_model_wrote_them() {
    check(
        "
        cast   alpha: whole 'See https://en.wikipedia.org/wiki/Tide and [this](https://docs.rs/), not https://wikipedia.org.evil.example/.'
        config chat.trusted_links=wikipedia.org,docs.rs
        ana    in #help: @neverdark hi
        ",
        expect![[r#"
            #help
              ana         @neverdark hi
              neverdark  ↳ See https://en.wikipedia.org/wiki/Tide and [this](https://docs.rs/), not <https://wikipedia.org.evil.example/>.
            ledger
              alpha answered
        "#]],
    )
    .await;
}

#[tokio::test]
async fn where_it_may_not_speak_nobody_is_asked_and_moderators_are_told() {
    let house = House::open(
        "
        cast   alpha: echo
        ana    in #quiet: @neverdark hi
        ana    in #quiet: @neverdark hello?
        ana    in #help: @neverdark hi
        mia*   runs /status in #help
        ",
    )
    .await;
    let quiet = house.stage.discord.channel("quiet");
    house.stage.discord.deny(quiet, bits::SEND_MESSAGES);
    house.rest().await;
    house.play().await;
    assert_eq!(house.stage.providers.calls("alpha").len(), 1, "nobody pays for what nobody sees");
    assert!(house.stage.discord.counts("create").iter().all(|it| it.0 == 200), "nothing is refused");
    expect![[r#"
        ⚠️ I lack **Send Messages** in #quiet, so questions there get no answer.
    "#]]
    .assert_eq(&lacking(&house));
    house.stage.discord.deny(quiet, 0);
    house.rest().await;
    house.act("ana in #quiet: @neverdark now?").await;
    assert_eq!(house.answers("quiet").len(), 1);
    house.close();
}

#[tokio::test]
async fn without_the_history_it_answers_without_pointing_at_the_question() {
    let house = House::open(
        "
        cast   alpha: echo
        ana    in #help: @neverdark hi
        mia*   runs /status in #help
        ",
    )
    .await;
    let help = house.stage.discord.channel("help");
    house.stage.discord.deny(help, bits::READ_MESSAGE_HISTORY);
    house.rest().await;
    house.play().await;
    let transcript = house.transcript();
    assert!(transcript.contains("neverdark   You said: hi"), "not as a reply: {transcript}");
    expect![[r#"
        ⚠️ I lack **Read Message History** in #help, so answers there do not point at their question, and what was asked while the bot was away is not seen.
    "#]].assert_eq(&lacking(&house));
    house.close();
}

#[tokio::test]
async fn a_locked_thread_is_left_alone_and_an_archived_one_wakes_up() {
    let house = House::open(
        r#"
        cast   alpha: echo
        ana    opens "Plans" in #help: @neverdark help me plan
        "#,
    )
    .await;
    house.play().await;
    let help = house.stage.discord.channel("help");
    let plans = house.stage.discord.places().into_iter().find(|it| it.parent == Some(help)).unwrap().id;
    house.stage.discord.archive(plans, true, false);
    house.rest().await;
    house.act("ana in #help/Plans: are you awake?").await;
    house.stage.discord.archive(plans, false, true);
    house.stage.discord.deny(help, bits::MANAGE_THREADS);
    house.rest().await;
    house.act("mia* in #help/Plans: and now?").await;
    assert_eq!(house.stage.providers.calls("alpha").len(), 2);
    house.stage.discord.allow(help, bits::MANAGE_THREADS);
    house.rest().await;
    house.act("mia* in #help/Plans: and now?").await;
    assert_eq!(house.stage.providers.calls("alpha").len(), 3);
    house.stage.discord.deny(help, bits::SEND_MESSAGES_IN_THREADS);
    house.rest().await;
    house.act("mia* in #help/Plans: still there?").await;
    assert_eq!(house.stage.providers.calls("alpha").len(), 3);
    house.close();
}
