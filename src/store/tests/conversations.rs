//! What is in the context, and what is not any more.

use super::*;
use crate::{
    message::{Attachment, Beside, ConversationId, Role},
    store::{Pruned, Retracted, Rewritten, StoredLine},
};
use expect_test::{Expect, expect};

const HERE: ConversationId = ConversationId(CHANNEL);

fn show(lines: &[StoredLine]) -> String {
    let show = |it: &StoredLine| {
        let who = match it.role {
            Role::User => it.author_name.as_deref().unwrap_or("?"),
            Role::Assistant => "bot",
        };
        format!("{who}: {} (message {:?}, at {})\n", it.text, it.message_id.map(|id| id.0), it.created_at.0)
    };
    lines.iter().map(show).collect()
}

async fn check(store: &Store, before: Option<&TurnId>, limit: u32, expected: Expect) {
    expected.assert_eq(&show(&store.recent(HERE, before, limit).await.unwrap()));
}

async fn answer(store: &Store, turn: &TurnId, text: &str, posted: u64) {
    store.note_part(turn, 0, MessageId(posted)).await.unwrap();
    assert!(store.finish(turn, &answered(text), at(posted.cast_signed())).await.unwrap());
}

#[tokio::test]
async fn answers_stand_behind_their_questions() {
    let (_dir, store) = fresh().await;
    let first = asked(&store, 1, "one?").await;
    let second = asked(&store, 2, "two?").await;
    let third = asked(&store, 3, "three?").await;
    answer(&store, &second, "Two.", 20).await;
    answer(&store, &first, "One.", 21).await;
    let all = expect![[r#"
        Ana: one? (message Some(1), at 1)
        bot: One. (message Some(21), at 21)
        Ana: two? (message Some(2), at 2)
        bot: Two. (message Some(20), at 20)
    "#]];
    check(&store, Some(&third), 40, all).await;
    check(&store, Some(&first), 40, expect![""]).await;
    let last = expect![[r#"
        bot: Two. (message Some(20), at 20)
        Ana: three? (message Some(3), at 3)
    "#]];
    check(&store, None, 2, last).await;
    assert_eq!(store.recent(ConversationId(ChannelId(9)), None, 9).await.unwrap(), []);
}

#[tokio::test]
async fn a_reset_takes_away_what_was_said_and_what_is_being_said() {
    let (_dir, store) = fresh().await;
    let first = asked(&store, 1, "one?").await;
    answer(&store, &first, "One.", 10).await;
    let running = asked(&store, 2, "two?").await;
    assert_eq!(store.clear(HERE, at(11)).await.unwrap(), 3);
    assert_eq!(store.clear(HERE, at(11)).await.unwrap(), 0);
    answer(&store, &running, "Two.", 12).await;
    asked(&store, 3, "three?").await;
    check(
        &store,
        None,
        40,
        expect![[r#"
        Ana: three? (message Some(3), at 3)
    "#]],
    )
    .await;
    assert_eq!(number(&store, "SELECT cleared_at FROM conversations").await, 11);
    assert_eq!(store.clear(ConversationId(ChannelId(9)), at(1)).await.unwrap(), 0, "nothing was said there");
}

#[tokio::test]
async fn a_deleted_question_takes_its_answer_along() {
    let (_dir, store) = fresh().await;
    let first = asked(&store, 1, "one?").await;
    answer(&store, &first, "One.", 10).await;
    let second = asked(&store, 2, "two?").await;
    let gone = store.forget_message(MessageId(1), at(12)).await.unwrap();
    assert_eq!(gone, Retracted { was_known: true, question_of: Some(first.clone()) });
    let parts = [(first.clone(), CHANNEL, MessageId(10))];
    assert_eq!(store.retractions(None).await.unwrap(), parts, "its messages are to be deleted");
    store.retracted(&first).await.unwrap();
    assert_eq!(store.retractions(None).await.unwrap(), []);
    assert!(!store.forget_message(MessageId(1), at(12)).await.unwrap().was_known);
    assert_eq!(store.forget_message(MessageId(99), at(12)).await.unwrap(), Retracted::default());
    check(
        &store,
        None,
        40,
        expect![[r#"
        Ana: two? (message Some(2), at 2)
    "#]],
    )
    .await;

    // Deleted while it is answered: it is neither finished after a crash nor remembered.
    assert!(store.forget_message(MessageId(2), at(13)).await.unwrap().was_known);
    assert_eq!(store.unfinished(at(0), at(0), at(1000)).await.unwrap().len(), 0);
    assert!(!store.finish(&second, &answered("Two."), at(20)).await.unwrap(), "it has ended");
    check(&store, None, 40, expect![""]).await;
}

#[tokio::test]
async fn a_deleted_part_takes_the_answer_only() {
    let (_dir, store) = fresh().await;
    let first = asked(&store, 1, "one?").await;
    store.note_part(&first, 1, MessageId(11)).await.unwrap();
    answer(&store, &first, "One.", 10).await;
    let gone = store.forget_message(MessageId(11), at(12)).await.unwrap();
    assert_eq!(gone, Retracted { was_known: true, question_of: None });
    assert_eq!(store.retractions(None).await.unwrap(), []);
    check(
        &store,
        None,
        40,
        expect![[r#"
        Ana: one? (message Some(1), at 1)
    "#]],
    )
    .await;
}

#[tokio::test]
async fn a_message_is_found_by_any_of_its_parts() {
    let (_dir, store) = fresh().await;
    let first = asked(&store, 1, "one?").await;
    store.note_part(&first, 1, MessageId(11)).await.unwrap();
    answer(&store, &first, "One, and more.", 10).await;
    for id in [10, 11] {
        let line = store.find(MessageId(id)).await.unwrap().unwrap();
        assert_eq!(
            (line.role, line.text.as_str(), line.turn.as_ref()),
            (Role::Assistant, "One, and more.", Some(&first))
        );
    }
    let question = store.find(MessageId(1)).await.unwrap().unwrap();
    assert_eq!((question.role, question.author_id), (Role::User, Some(UserId(100))));
    assert_eq!(store.find(MessageId(99)).await.unwrap(), None);
    assert!(!format!("{question:?}").contains("one?"), "Debug shows no text");
}

#[tokio::test]
async fn a_conversation_is_ours_once_the_bot_was_asked_there() {
    let (_dir, store) = fresh().await;
    assert!(!store.is_ours(CHANNEL).await.unwrap());
    asked(&store, 1, "hi").await;
    assert!(store.is_ours(CHANNEL).await.unwrap());
    assert!(!store.is_ours(ChannelId(9)).await.unwrap());
}

#[tokio::test]
async fn what_is_old_goes() {
    let (_dir, store) = fresh().await;
    for id in 1..=3 {
        let turn = asked(&store, id, "hi").await;
        answer(&store, &turn, "hello", 10 * id).await;
        let row = (turn, super::ledger::attempt("alpha", id.cast_signed()));
        store.record_all(&[row]).await.unwrap();
    }
    let pruned = store.prune(at(3), at(2)).await.unwrap();
    assert_eq!(pruned, Pruned { messages: 2, attempts: 1, turns: 0 });
    check(
        &store,
        None,
        40,
        expect![[r#"
        Ana: hi (message Some(3), at 3)
        bot: hello (message Some(30), at 30)
    "#]],
    )
    .await;

    // Turns may go before their messages.
    assert_eq!(store.prune(at(3), at(31)).await.unwrap(), Pruned { messages: 0, attempts: 2, turns: 3 });
    let line = &store.recent(HERE, None, 1).await.unwrap()[0];
    assert_eq!((line.text.as_str(), line.turn.as_ref()), ("hello", None));
    assert_eq!(number(&store, "SELECT COUNT(*) FROM conversations").await, 1);
    assert_eq!(store.prune(at(99), at(99)).await.unwrap(), Pruned { messages: 1, attempts: 0, turns: 0 });
    assert_eq!(number(&store, "SELECT COUNT(*) FROM conversations").await, 0);
}

#[tokio::test]
async fn a_question_in_two_messages_is_one_question() {
    let (_dir, store) = fresh().await;
    let first = asked(&store, 1, "one").await;
    assert!(store.join(&first, &message(2, "and two?")).await.unwrap());
    assert!(!store.join(&first, &message(2, "and two?")).await.unwrap(), "it is claimed");
    assert_eq!(store.claim(&message(2, "and two?"), &turn("t2")).await.unwrap(), Claim::Duplicate);
    assert_eq!(store.unfinished(at(0), at(0), at(1000)).await.unwrap()[0].inbound.text, "one\nand two?");
    let another = asked(&store, 3, "three?").await;
    assert!(!store.join(&first, &message(3, "three?")).await.unwrap(), "it asks another turn");

    // It is rewritten and taken back line by line.
    let changed = store.rewrite_message(MessageId(2), "and 2?").await.unwrap();
    assert_eq!(changed, Rewritten::Changed { running: Some((first.clone(), "one\nand 2?".to_owned())) });
    assert_eq!(store.rewrite_message(MessageId(2), "and 2?").await.unwrap(), Rewritten::Same);
    assert_eq!(store.rewrite_message(MessageId(99), "hm").await.unwrap(), Rewritten::Unknown);
    assert!(store.join(&first, &message(4, "four")).await.unwrap());
    store.unjoin(&first, MessageId(4)).await.unwrap();
    check(&store, Some(&first), 40, expect![""]).await;
    answer(&store, &first, "One and two.", 10).await;
    assert_eq!(store.rewrite_message(MessageId(1), "1").await.unwrap(), Rewritten::Changed { running: None });
    check(
        &store,
        Some(&another),
        40,
        expect![[r#"
            Ana: 1 (message Some(1), at 1)
            Ana: and 2? (message Some(2), at 2)
            bot: One and two. (message Some(10), at 10)
        "#]],
    )
    .await;
    assert_eq!(store.forget_message(MessageId(2), at(20)).await.unwrap().question_of, Some(first));
    check(&store, Some(&another), 40, expect![""]).await;
}

#[tokio::test]
async fn what_goes_with_a_question_is_kept_until_it_ends_and_no_address_is() {
    let (_dir, store) = fresh().await;
    let file =
        |url: Option<&str>| Attachment { name: "crab.png".to_owned(), size: 7, url: url.map(str::to_owned) };
    let beside = |url| Beside { chain: Vec::new(), files: vec![file(url)] };
    let inbound = Inbound { beside: beside(Some("https://cdn.discordapp.com/secret")), ..message(1, "hi") };
    assert_eq!(store.claim(&inbound, &turn("t1")).await.unwrap(), Claim::New);
    assert_eq!(store.unfinished(at(0), at(0), at(1000)).await.unwrap()[0].inbound.beside, beside(None));
    let kept = "SELECT COUNT(*) FROM turns WHERE beside IS NOT NULL";
    assert_eq!(number(&store, kept).await, 1);
    answer(&store, &turn("t1"), "Hello.", 10).await;
    assert_eq!(number(&store, kept).await, 0);
}
