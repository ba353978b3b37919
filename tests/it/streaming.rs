//! An answer grows while it is spoken; when it breaks off, the next provider's takes its place; a long one is split.

use crate::harness::{House, check};
use expect_test::expect;
use sim::discord::Shown;
use std::time::Duration;

#[tokio::test]
async fn an_answer_grows_in_place() {
    let house = House::open(
        "
        cast   alpha: pace=25ms 'One two three four five six seven eight nine ten eleven twelve thirteen.'
        ana    in #help: @neverdark count
        ",
    )
    .await;
    house.play().await;
    let answers = house.answers("help");
    let [answer] = answers.as_slice() else { panic!("one message, not {answers:?}") };
    assert!(answer.history.len() >= 2, "people saw it grow: {:?}", answer.history);
    assert!(answer.history.iter().all(|it| answer.content.starts_with(it.as_str())), "{:?}", answer.history);
    assert!(answer.history[0].len() > 10, "the first post says something: {:?}", answer.history[0]);
    house.close();
}

#[tokio::test]
async fn a_stream_that_is_cut_is_rewritten_in_place() {
    check(
        "
        cast   alpha: 'The Moon pulls on the water and so it rises and then' cut after=8 hold | beta: 'Two bulges, one Earth.'
        ana    in #help: @neverdark why are there tides?
        ",
        expect![[r#"
            #help
              ana         @neverdark why are there tides?
              neverdark  ↳ Two bulges, one Earth.
                          -# answered by beta · alpha broke off
                          (rewritten)
            ledger
              alpha failed: broken_stream · beta answered
        "#]],
    )
    .await;
}

#[tokio::test]
async fn a_stream_that_is_reset_is_rewritten_in_place() {
    check(
        "
        cast   alpha: 'The Moon pulls on the water and so it rises and then' reset after=8 hold | beta: 'Two bulges, one Earth.'
        ana    in #help: @neverdark why are there tides?
        ",
        expect![[r#"
            #help
              ana         @neverdark why are there tides?
              neverdark  ↳ Two bulges, one Earth.
                          -# answered by beta · alpha broke off
                          (rewritten)
            ledger
              alpha failed: broken_stream · beta answered
        "#]],
    )
    .await;
}

#[tokio::test]
async fn a_stream_that_stalls_is_rewritten_in_place() {
    check(
        "
        cast   alpha: 'The Moon pulls on the water and so it rises and then' stall after=8 hold | beta: 'Two bulges, one Earth.'
        config router.stall_timeout=400ms
        ana    in #help: @neverdark why are there tides?
        ",
        expect![[r#"
            #help
              ana         @neverdark why are there tides?
              neverdark  ↳ Two bulges, one Earth.
                          -# answered by beta · alpha broke off
                          (rewritten)
            ledger
              alpha failed: broken_stream · beta answered
        "#]],
    )
    .await;
}

#[tokio::test]
async fn a_stream_with_an_error_in_it_is_rewritten_in_place() {
    check(
        "
        cast   alpha: 'The Moon pulls on the water and so it rises and then' error=overloaded_error after=8 hold | beta: 'Two bulges, one Earth.'
        ana    in #help: @neverdark why are there tides?
        ",
        expect![[r#"
            #help
              ana         @neverdark why are there tides?
              neverdark  ↳ Two bulges, one Earth.
                          -# answered by beta · alpha broke off
                          (rewritten)
            ledger
              alpha failed: broken_stream · beta answered
        "#]],
    )
    .await;
}

#[tokio::test]
async fn an_answer_that_breaks_off_and_that_nobody_can_finish_says_so() {
    check(
        "
        cast   alpha: 'The Moon pulls on the water and so it rises and then' cut after=8 hold then 500 | beta: 500
        ana    in #help: @neverdark why are there tides?
        ",
        expect![[r#"
            #help
              ana         @neverdark why are there tides?
              neverdark  ↳ The Moon pulls on the water and so
                          -# this answer broke off and no other provider could take over; please ask again · <id>
            ledger
              alpha failed: broken_stream · beta failed: server_error · alpha failed: server_error · (turn failed: broken_stream)
        "#]],
    )
    .await;
}

#[tokio::test]
async fn a_broken_answer_is_not_remembered_but_the_one_that_replaced_it_is() {
    let house = House::open(
        "
        cast   alpha: 'Wrong words that are long enough to be seen' cut after=6 hold then 'Ten.' | beta: 'Nine.'
        ana    in #help: @neverdark four plus five?
        ana    in #help: @neverdark and one more?
        ",
    )
    .await;
    house.play().await;
    house
        .looks_like(&expect![[r#"
        #help
          ana         @neverdark four plus five?
          neverdark  ↳ Nine.
                      -# answered by beta · alpha broke off
                      (rewritten)
          ana         @neverdark and one more?
          neverdark  ↳ Ten.
        ledger
          alpha failed: broken_stream · beta answered
          alpha answered
    "#]])
        .await;
    assert!(!house.prompts("alpha").contains("Wrong"), "{}", house.prompts("alpha"));
    assert!(house.prompts("alpha").contains("assistant: Nine."), "{}", house.prompts("alpha"));
    house.close();
}

/// How Discord counts.
fn units(text: &str) -> usize {
    text.encode_utf16().count()
}

fn is_fence(line: &str) -> bool {
    line.trim_start().starts_with("```")
}

/// The parts as one text again: a fence that was closed at a part's end and opened again at the next one's beginning is
/// taken out.
fn joined(parts: &[Shown]) -> String {
    let mut whole = String::new();
    let mut open: Option<String> = None;
    for part in parts {
        let mut lines: Vec<&str> = part.content.lines().collect();
        if let Some(fence) = open.take() {
            assert_eq!(
                lines.first().copied(),
                Some(fence.as_str()),
                "the fence is opened again by the same line"
            );
            lines.remove(0);
        }
        let mut at_end = None;
        for line in part.content.lines().filter(|it| is_fence(it)) {
            at_end = if at_end.is_some() { None } else { Some(line.to_owned()) };
        }
        assert_eq!(at_end, None, "each part closes what it opens");
        whole.push_str(&lines.join("\n"));
        whole.push('\n');
    }
    whole
}

#[tokio::test]
async fn an_answer_of_6000_characters_is_split_into_whole_parts() {
    let house = House::open(
        "
        cast   alpha: lorem=6000
        ana    in #help: @neverdark tell me everything
        ",
    )
    .await;
    house.play().await;
    let parts = house.answers("help");
    assert!(parts.len() >= 3, "{} parts", parts.len());
    for part in &parts {
        assert!(units(&part.content) <= 2000, "{} units", units(&part.content));
        let fences = part.content.lines().filter(|it| is_fence(it)).count();
        assert_eq!(fences % 2, 0, "fences are balanced in\n{}", part.content);
    }
    let replies: Vec<_> = parts.iter().map(|it| it.reply_to.is_some()).collect();
    assert!(replies[0] && !replies[1..].contains(&true), "only the first part is a reply: {replies:?}");
    let posts = house.stage.discord.requests();
    let posts: Vec<_> = posts.iter().filter(|it| it.name == "create").collect();
    assert!(posts.len() >= parts.len(), "{posts:?}");
    assert!(posts.iter().all(|it| it.summary.contains("enforce_nonce=true")), "{posts:?}");
    let remembered: Vec<(String,)> = house.rows("SELECT text FROM messages WHERE role = 'assistant'").await;
    let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(words(&joined(&parts)), words(&remembered[0].0), "nothing is lost and nothing is added");
    house.close();
}

#[tokio::test]
async fn a_long_block_of_code_goes_on_in_the_next_part_as_code() {
    let lines: Vec<String> = (1..=120).map(|it| format!("let line_{it} = \"{it} of 120\";")).collect();
    let text = format!("Here:\\n```rust\\n{}\\n```\\nDone.", lines.join("\\n"));
    let house = House::open(&format!("cast alpha: '{text}'\nana in #help: @neverdark code, please")).await;
    house.play().await;
    let parts = house.answers("help");
    assert!(parts.len() >= 2, "{} parts", parts.len());
    for part in &parts {
        assert!(units(&part.content) <= 2000, "{} units", units(&part.content));
    }
    let mut whole = joined_across_fences(&parts);
    whole.push('\n');
    assert_eq!(whole, format!("{}\n", text.replace("\\n", "\n")));
    house.close();
}

/// The parts of one text whose only fence goes through all of them.
fn joined_across_fences(parts: &[Shown]) -> String {
    let texts: Vec<&str> = parts.iter().map(|it| it.content.as_str()).collect();
    let seam = "\n```";
    let mut whole = String::new();
    for (place, text) in texts.iter().enumerate() {
        let text =
            if place > 0 { text.strip_prefix("```rust\n").expect("opened by the same line") } else { text };
        let is_last = place + 1 == texts.len();
        let text =
            if is_last { text } else { text.strip_suffix(seam).expect("closed alone on the last line") };
        whole.push_str(text);
        if !is_last {
            whole.push('\n');
        }
    }
    whole
}

#[tokio::test]
async fn a_long_answer_to_ask_goes_on_in_follow_ups_that_only_that_person_sees() {
    let house = House::open(
        "
        cast   alpha: lorem=5000
        ana    runs /ask prompt:tell me everything private:true in #help
        ",
    )
    .await;
    house.play().await;
    let parts = house.answers("help");
    assert!(parts.len() >= 3, "{} parts", parts.len());
    for part in &parts {
        assert!(part.ephemeral && part.only_for.as_deref() == Some("ana"), "a private answer stays private");
        assert!(units(&part.content) <= 2000, "{} units", units(&part.content));
    }
    let remembered: Vec<(String,)> = house.rows("SELECT text FROM messages WHERE role = 'assistant'").await;
    let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(words(&joined(&parts)), words(&remembered[0].0));
    house.close();
}

#[tokio::test]
async fn an_answer_to_ask_that_breaks_off_is_rewritten_in_place() {
    check(
        "
        cast   alpha: 'The Moon pulls on the water and so it rises and then' cut after=8 hold | beta: 'Two bulges, one Earth.'
        ana    runs /ask prompt:why are there tides? in #help
        ",
        expect![[r#"
            #help
              ana         /ask prompt:why are there tides?
              neverdark   Two bulges, one Earth.
                          -# answered by beta · alpha broke off
                          (rewritten)
            ledger
              alpha failed: broken_stream · beta answered
        "#]],
    )
    .await;
}

#[tokio::test]
async fn an_answer_that_reached_its_limit_says_so() {
    check(
        "
        cast   alpha: 'One two three four five six seven' finish=length
        ana    in #help: @neverdark count to a million
        ",
        expect![[r#"
            #help
              ana         @neverdark count to a million
              neverdark  ↳ One two three four five six seven
                          -# the answer reached its limit of length and stops here
            ledger
              alpha answered
        "#]],
    )
    .await;
}

#[tokio::test]
async fn an_answer_that_never_ends_is_stopped_and_says_so() {
    let house = House::open(
        "
        cast   alpha: lorem=110000
        ana    in #help: @neverdark tell me everything there is
        ",
    )
    .await;
    house.play().await;
    let parts = house.answers("help");
    assert_eq!(parts.len(), 8, "the rest is in the file");
    let last = parts.last().unwrap().content.lines().last().unwrap().to_owned();
    expect![
        "-# this is the beginning; the whole answer is in the file · the answer reached its limit of length and stops here"
    ]
    .assert_eq(&last);
    assert!(house.ledger().await.contains("alpha cancelled"), "its provider is hung up on");
    house.close();
}

#[tokio::test]
async fn an_answer_of_too_many_parts_is_its_beginning_and_a_file() {
    let house = House::open(
        "
        cast   alpha: lorem=9000
        config chat.max_parts=2
        ana    in #help: @neverdark tell me everything
        ",
    )
    .await;
    house.play().await;
    let parts = house.answers("help");
    assert_eq!(parts.len(), 2);
    let remembered: Vec<(String,)> = house.rows("SELECT text FROM messages WHERE role = 'assistant'").await;
    assert_eq!(
        (parts[0].attachments.len(), parts[1].attachments.as_slice()),
        (0, &["answer.md".to_owned()][..])
    );
    let file = house.stage.discord.file(parts[1].id, "answer.md").unwrap();
    assert!(String::from_utf8(file).unwrap() == remembered[0].0, "the whole text is in the file");
    for part in &parts {
        assert!(units(&part.content) <= 2000);
        assert_eq!(part.content.lines().filter(|it| is_fence(it)).count() % 2, 0);
    }
    let last = parts[1].content.lines().last().unwrap();
    assert_eq!(last, "-# this is the beginning; the whole answer is in the file");
    assert!(parts[1].buttons.iter().any(|it| it.1 == "Regenerate"), "{:?}", parts[1].buttons);
    house.close();
}

#[tokio::test]
async fn where_no_file_may_be_attached_everything_is_a_message() {
    let house = House::open(
        "
        cast   alpha: lorem=9000
        config chat.max_parts=2
        ",
    )
    .await;
    let help = house.stage.discord.channel("help");
    house.stage.discord.deny(help, sim::discord::bits::ATTACH_FILES);
    house.act("ana in #help: @neverdark tell me everything").await;
    let parts = house.answers("help");
    let remembered: Vec<(String,)> = house.rows("SELECT text FROM messages WHERE role = 'assistant'").await;
    let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    assert!(parts.len() > 2, "{} parts", parts.len());
    assert_eq!(words(&joined(&parts)), words(&remembered[0].0), "nothing is lost");
    house.close();
}

#[tokio::test]
async fn an_answer_that_is_there_at_once_is_one_post() {
    let house = House::open(
        "
        cast   alpha: 'All of this was said in one breath, and so it is one message from the beginning.'
        ana    in #help: @neverdark hi
        ",
    )
    .await;
    house.play().await;
    let answers = house.answers("help");
    let buttons: Vec<&str> = answers[0].buttons.iter().map(|it| it.0.split(':').next().unwrap()).collect();
    assert_eq!(buttons, ["regenerate", "up", "down", "info"], "those of the end");
    let discord = &house.stage.discord;
    assert_eq!((discord.counts("create"), discord.counts("edit")), (vec![(200, 1)], Vec::new()));
    assert_eq!(discord.counts("typing"), Vec::new(), "nobody was seen typing");
    house.close();
}

#[tokio::test]
async fn what_people_see_is_no_older_than_an_interval_and_a_request() {
    let interval = Duration::from_millis(120);
    let words: Vec<String> = (1..=50).map(|it| format!("word{it}")).collect();
    let house = House::open(&format!(
        "cast alpha: pace=20ms '{}'\nconfig chat.edit_interval=120ms\nana in #help: @neverdark count",
        words.join(" ")
    ))
    .await;
    house.play().await;
    let requests = house.stage.discord.requests();
    let shown: Vec<Duration> =
        requests.iter().filter(|it| matches!(it.name, "create" | "edit")).map(|it| it.at).collect();
    // The end waits for no interval. A machine with other things to do holds up one or the other.
    let mut gaps: Vec<Duration> = shown.windows(2).map(|it| it[1] - it[0]).collect();
    gaps.pop();
    gaps.sort_unstable();
    let (median, request) = (gaps[gaps.len() / 2], Duration::from_millis(80));
    assert!(median <= interval + request && median + Duration::from_millis(25) >= interval, "{gaps:?}");
    let answers = house.answers("help");
    let states: Vec<usize> = answers[0].history.iter().map(|it| it.split_whitespace().count()).collect();
    // Each shows more than the one before; about six words are spoken in an interval.
    assert!(states.len() >= 6 && states.windows(2).all(|it| it[1] > it[0]), "{states:?}");
    house.close();
}
