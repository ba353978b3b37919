//! A message is claimed once, and its turn ends once.

use super::*;
use crate::message::{Opening, Quoted};
use proptest::prelude::*;

#[tokio::test]
async fn a_message_is_claimed_once() {
    let (_dir, store) = fresh().await;
    assert_eq!(store.claim(&message(1, "hi"), &turn("a")).await.unwrap(), Claim::New);
    assert_eq!(store.claim(&message(1, "hi"), &turn("b")).await.unwrap(), Claim::Duplicate);
    assert_eq!(store.claim(&message(1, "hi"), &turn("a")).await.unwrap(), Claim::Duplicate);
    assert_eq!(store.claim(&message(2, "hi"), &turn("a")).await.unwrap(), Claim::IdTaken);
    assert_eq!(number(&store, "SELECT COUNT(*) FROM messages").await, 1, "the question is stored once, too");
}

#[tokio::test]
async fn of_many_claims_at_once_one_wins() {
    let (_dir, store) = fresh().await;
    let claims = (0..20).map(|n| {
        let store = &store;
        async move { store.claim(&message(1, "hi"), &turn(&n.to_string())).await.unwrap() }
    });
    let claims = futures::future::join_all(claims).await;
    assert_eq!(claims.into_iter().filter(|it| *it == Claim::New).count(), 1);
}

#[tokio::test]
async fn a_turn_ends_once() {
    let (_dir, store) = fresh().await;
    let turn = asked(&store, 1, "hi").await;
    assert!(store.set_answering(&turn).await.unwrap());
    store.note_part(&turn, 0, MessageId(11)).await.unwrap();
    assert!(store.finish(&turn, &answered("hello"), at(5)).await.unwrap());
    assert!(!store.finish(&turn, &End::Cancelled, at(6)).await.unwrap());
    assert!(!store.set_answering(&turn).await.unwrap());
    assert_eq!(store.turn_ends(at(0)).await.unwrap(), [("answered".to_owned(), 1)]);
    assert_eq!(number(&store, "SELECT COUNT(*) FROM turns WHERE question IS NOT NULL").await, 0);
    let answers = "SELECT COUNT(*) FROM messages WHERE role = 'assistant' AND discord_message_id = 11 AND text = 'hello'";
    assert_eq!(number(&store, answers).await, 1);
}

#[tokio::test]
async fn every_other_end_remembers_the_question_only() {
    let (_dir, store) = fresh().await;
    let failed = End::Failed { provider: Some("alpha".to_owned()), error: "timeout".to_owned() };
    for (id, end) in [(1, failed), (2, End::Cancelled), (3, End::Expired)] {
        let turn = asked(&store, id, "hi").await;
        assert!(store.finish(&turn, &end, at(10)).await.unwrap());
    }
    let ends = store.turn_ends(at(10)).await.unwrap();
    assert_eq!(ends, [("cancelled".to_owned(), 1), ("expired".to_owned(), 1), ("failed".to_owned(), 1)]);
    assert_eq!(store.turn_ends(at(11)).await.unwrap(), []);
    assert_eq!(number(&store, "SELECT COUNT(*) FROM messages WHERE role = 'user'").await, 3);
    assert_eq!(number(&store, "SELECT COUNT(*) FROM messages WHERE role = 'assistant'").await, 0);
    assert_eq!(
        number(&store, "SELECT COUNT(*) FROM turns WHERE error = 'timeout' AND provider = 'alpha'").await,
        1
    );
}

#[tokio::test]
async fn unfinished_turns_come_back_whole() {
    let (_dir, store) = fresh().await;
    let quote = |id| Quoted {
        message_id: MessageId(id),
        author: Speaker { id: UserId(u64::MAX), name: "Bo \"the\" Ü".to_owned() },
        by_bot: true,
        text: "said\nbefore".to_owned(),
    };
    let mut inbound = message(7, "what?");
    inbound.wish = Some("beta".to_owned());
    inbound.replied_to = Some(quote(5));
    inbound.opening = Some(Opening {
        title: "Help".to_owned(),
        tags: vec!["a".to_owned(), "b".to_owned()],
        starter: Some(quote(6)),
    });
    let _ = store.claim(&inbound, &turn("x")).await.unwrap();
    store.set_answering(&turn("x")).await.unwrap();
    store.note_part(&turn("x"), 1, MessageId(72)).await.unwrap();
    store.note_part(&turn("x"), 0, MessageId(70)).await.unwrap();
    store.note_part(&turn("x"), 0, MessageId(71)).await.unwrap();
    let plain = Inbound { guild_id: None, place: Place::Dm, trigger: Trigger::Dm, ..message(8, "later") };
    let _ = store.claim(&plain, &turn("y")).await.unwrap();

    let found = store.unfinished(at(6), at(6), at(1000)).await.unwrap();
    assert_eq!(found.iter().map(|it| &it.inbound).collect::<Vec<_>>(), [&inbound, &plain]);
    assert_eq!(found[0].parts, [(0, MessageId(71)), (1, MessageId(72))], "a part may get another message");
    assert_eq!(found[1].parts, []);
    assert!(!format!("{found:?}").contains("what?"), "Debug shows no text");
    assert_eq!(store.unfinished(at(7), at(7), at(1000)).await.unwrap().len(), 1, "only newer ones");
    assert_eq!(
        store.unfinished(at(6), at(6), at(8)).await.unwrap().len(),
        1,
        "and those before this process"
    );

    assert_eq!(store.expire_unfinished(at(7), at(7), at(20)).await.unwrap(), 1);
    let left = store.unfinished(at(0), at(0), at(1000)).await.unwrap();
    assert_eq!(left.iter().map(|it| it.turn.0.as_str()).collect::<Vec<_>>(), ["y"]);
    assert_eq!(store.turn_ends(at(20)).await.unwrap(), [("expired".to_owned(), 1)]);
}

#[tokio::test]
async fn queued_turns_outlive_the_others_and_so_do_those_behind_them() {
    let (_dir, store) = fresh().await;
    let in_channel = |id: u64, channel| Inbound { channel_id: ChannelId(channel), ..message(id, "hi") };
    for (id, channel) in [(1, 70), (2, 70), (5, 70), (6, 71)] {
        let _ = store.claim(&in_channel(id, channel), &turn(&id.to_string())).await.unwrap();
    }
    assert!(store.set_queued(&turn("1")).await.unwrap());
    assert_eq!(store.queued().await.unwrap(), [turn("1")]);
    assert!(store.has_turn(MessageId(5)).await.unwrap() && !store.has_turn(MessageId(7)).await.unwrap());
    // Older than 8 is too old; in a queue, older than 3 is; the queued one itself never is.
    assert_eq!(store.expire_unfinished(at(8), at(3), at(20)).await.unwrap(), 2);
    let left = store.unfinished(at(8), at(3), at(1000)).await.unwrap();
    assert_eq!(left.iter().map(|it| it.turn.0.as_str()).collect::<Vec<_>>(), ["1", "5"]);
    store.set_answering(&turn("1")).await.unwrap();
    assert_eq!(store.queued().await.unwrap(), []);
    assert!(store.finish(&turn("1"), &End::Expired, at(30)).await.unwrap());
    assert!(!store.set_queued(&turn("1")).await.unwrap(), "what has ended is not queued");
}

#[tokio::test]
async fn a_part_needs_its_turn() {
    let (_dir, store) = fresh().await;
    let error = store.note_part(&turn("none"), 0, MessageId(1)).await.unwrap_err();
    expect_test::expect!["the database could not be used: FOREIGN KEY constraint failed"]
        .assert_eq(&error.to_string());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, ..ProptestConfig::default() })]

    /// Whatever people type comes back as it was, and any 64-bit id does.
    #[test]
    fn any_text_and_id_survives(id in any::<u64>(), text in any::<String>(), name in any::<String>(), title in any::<String>()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let store = Store::open("sqlite::memory:").await.unwrap();
            let mut inbound = message(id, &text);
            inbound.received_at = at(1);
            inbound.author.name = name;
            inbound.opening = Some(Opening { title, ..Opening::default() });
            let _ = store.claim(&inbound, &turn("x")).await.unwrap();
            let found = store.unfinished(at(0), at(0), at(1000)).await.unwrap();
            assert_eq!(found[0].inbound, inbound);
            assert_eq!(store.find(MessageId(id)).await.unwrap().unwrap().text, inbound.text);
        });
    }
}
