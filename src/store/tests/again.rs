//! A question that is asked once more: what was said and the reply's messages go over to the newest turn.

use super::*;
use crate::store::{Press, Unfinished};
use expect_test::{Expect, expect};

/// The press `id` below `below`, which asks a question once more.
fn press<'a>(id: u64, question: &'a Inbound, replaces: &'a TurnId, below: u64) -> Press<'a> {
    let (id, below) = (MessageId(id), MessageId(below));
    Press { id, question, replaces, below, ask_last: Some("alpha"), is_hooked: false }
}

/// A question, answered in three messages.
async fn told(store: &Store) -> (Inbound, TurnId) {
    let first = asked(store, 10, "why?").await;
    for part in 0..3 {
        store.note_part(&first, part, MessageId(11 + u64::from(part))).await.unwrap();
    }
    store.finish(&first, &answered("because"), at(20)).await.unwrap();
    (Inbound { received_at: at(50), ..message(10, "why?") }, first)
}

async fn lines(store: &Store, expected: Expect) {
    let conversation = message(1, "").conversation();
    let lines = store.recent(conversation, None, 50).await.unwrap();
    let line = |it: crate::store::StoredLine| format!("{:?}: {}\n", it.role, it.text);
    expected.assert_eq(&lines.into_iter().map(line).collect::<String>());
}

#[tokio::test]
async fn the_new_answer_takes_the_place_of_the_old_one() {
    let (_dir, store) = fresh().await;
    let (question, first) = told(&store).await;
    let later = asked(&store, 30, "and then?").await;
    store.finish(&later, &answered("then nothing"), at(40)).await.unwrap();

    let again = turn("again");
    assert_eq!(store.claim_press(&press(50, &question, &first, 13), &again).await.unwrap(), Claim::New);
    let before = store.recent(question.conversation(), Some(&again), 50).await.unwrap();
    assert_eq!(before, [], "it is asked as it was asked then");
    let parts = store.parts_of(&again).await.unwrap();
    assert_eq!(parts, [(0, MessageId(11)), (1, MessageId(12)), (2, MessageId(13))]);
    assert_eq!(store.parts_of(&first).await.unwrap(), []);
    let found = store.find(MessageId(12)).await.unwrap().unwrap();
    assert_eq!(found.text, "because", "people can still reply to any part of the old answer");

    store.finish(&again, &answered("who knows"), at(60)).await.unwrap();
    lines(
        &store,
        expect![[r#"
            User: why?
            Assistant: who knows
            User: and then?
            Assistant: then nothing
        "#]],
    )
    .await;
}

#[tokio::test]
async fn an_old_answer_stays_until_there_is_a_new_one() {
    let (_dir, store) = fresh().await;
    let (question, first) = told(&store).await;
    let (second, third) = (turn("second"), turn("third"));
    assert_eq!(store.claim_press(&press(50, &question, &first, 13), &second).await.unwrap(), Claim::New);
    store.finish(&second, &End::Cancelled, at(55)).await.unwrap();
    let asked = store.asked(&first).await.unwrap().unwrap();
    assert_eq!(
        (asked.turn.clone(), asked.is_over),
        (second.clone(), true),
        "an old button means the newest turn"
    );
    assert_eq!(asked.earlier.as_deref(), Some("because"));
    assert_eq!(asked.answered_by.as_deref(), Some("alpha"));
    assert_eq!(asked.question.unwrap().message_id, MessageId(10), "not the press");

    assert_eq!(store.claim_press(&press(60, &question, &second, 13), &third).await.unwrap(), Claim::New);
    assert!(!store.asked(&second).await.unwrap().unwrap().is_over);
    store.forget_answer(&third).await.unwrap();
    store.finish(&third, &End::Cancelled, at(65)).await.unwrap();
    let asked = store.asked(&first).await.unwrap().unwrap();
    assert_eq!(asked.earlier, None);
    lines(&store, expect![["User: why?\n"]]).await;
    assert_eq!(store.turns_behind(&third, 5).await.unwrap(), [first, second, third]);
}

#[tokio::test]
async fn a_press_is_claimed_once_and_a_turn_is_replaced_once() {
    let (_dir, store) = fresh().await;
    let (question, first) = told(&store).await;
    let claims = (0..8_u64).map(|n| {
        let (store, question, first) = (&store, &question, &first);
        async move {
            // Four presses, each heard twice.
            let press = press(50 + n / 2, question, first, 13);
            store.claim_press(&press, &turn(&format!("again{n}"))).await.unwrap()
        }
    });
    let claims = futures::future::join_all(claims).await;
    assert_eq!(claims.iter().filter(|it| **it == Claim::New).count(), 1, "{claims:?}");
    assert_eq!(number(&store, "SELECT COUNT(*) FROM turns").await, 2);
    let taken = store.claim_press(&press(90, &question, &turn("other"), 13), &first).await.unwrap();
    assert_eq!(taken, Claim::IdTaken);
}

#[tokio::test]
async fn it_is_finished_after_a_restart() {
    let (_dir, store) = fresh().await;
    let (question, first) = told(&store).await;
    let again = turn("again");
    assert_eq!(store.claim_press(&press(50, &question, &first, 12), &again).await.unwrap(), Claim::New);
    let unfinished = store.unfinished(at(0), at(0), at(100)).await.unwrap();
    let [Unfinished { turn, inbound, parts, again: Some(besides) }] = unfinished.as_slice() else {
        panic!("{unfinished:?}")
    };
    assert_eq!((turn, inbound), (&again, &question));
    assert_eq!(parts, &[(0, MessageId(11)), (1, MessageId(12))], "what was behind the button is gone");
    assert_eq!(besides.earlier.as_deref(), Some("because"));
    assert_eq!(besides.ask_last.as_deref(), Some("alpha"));

    assert!(store.forget_message(MessageId(10), at(60)).await.unwrap().was_known);
    assert_eq!(store.unfinished(at(0), at(0), at(100)).await.unwrap(), [], "what was forgotten is not asked");
    assert_eq!(number(&store, "SELECT COUNT(*) FROM turns WHERE question IS NOT NULL").await, 0);
    assert_eq!(store.asked(&first).await.unwrap().unwrap().question, None);
}

#[tokio::test]
async fn a_reset_forgets_the_question() {
    let (_dir, store) = fresh().await;
    let (question, first) = told(&store).await;
    assert!(store.asked(&first).await.unwrap().unwrap().question.is_some());
    store.clear(question.conversation(), at(30)).await.unwrap();
    assert_eq!(store.asked(&first).await.unwrap().unwrap().question, None);
    assert_eq!(store.asked(&turn("gone")).await.unwrap(), None);
}

#[tokio::test]
async fn a_vote_is_for_the_answer_that_stands() {
    let (_dir, store) = fresh().await;
    let (question, first) = told(&store).await;
    let again = turn("again");
    assert_eq!(store.claim_press(&press(50, &question, &first, 13), &again).await.unwrap(), Claim::New);
    store.finish(&again, &End::Cancelled, at(55)).await.unwrap();
    let vote = store.vote(&again, UserId(7), true, at(60)).await.unwrap().unwrap();
    assert_eq!((vote.provider.as_str(), vote.server), ("alpha", Some(SERVER)));
    assert_eq!(number(&store, "SELECT COUNT(*) FROM feedback WHERE turn_id = 't10' AND value = 1").await, 1);
    let votes = store.votes(at(0), at(100)).await.unwrap();
    assert_eq!(votes.into_iter().collect::<Vec<_>>(), [("alpha".to_owned(), (1, 0))]);
    assert_eq!(store.votes(at(61), at(100)).await.unwrap().len(), 0);
}
