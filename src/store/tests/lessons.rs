//! The newest calls and feedback are lessons, in the order in which they happened.

use super::{ledger::attempt, *};
use crate::outcome::{Attempt, Failed, Failure, Lesson, Outcome, Taught};
use crate::store::Change;
use expect_test::{Expect, expect};
use std::time::Duration;

async fn voted(store: &Store, turn: &TurnId, user: u64, liked: bool, when: i64) -> Option<Change> {
    store.vote(turn, UserId(user), liked, at(when)).await.unwrap().map(|it| it.change)
}

async fn check(store: &Store, most: u32, expected: Expect) {
    let line = |it: Lesson| {
        let place = it.server.map_or("nowhere".to_owned(), |it| format!("server {it}"));
        format!("{place}: {} {:?}\n", it.provider, it.taught)
    };
    let lessons: String = store.lessons(most).await.unwrap().into_iter().map(line).collect();
    expected.assert_eq(&lessons);
}

fn ended(provider: &str, started: i64, outcome: Outcome) -> Attempt {
    Attempt { outcome, cost: None, ..attempt(provider, started) }
}

fn failed(provider: &str, started: i64, failure: Failure) -> Attempt {
    ended(provider, started, Outcome::Failed(Failed::new(failure, "")))
}

#[tokio::test]
async fn calls_and_feedback_teach() {
    let (_dir, store) = fresh().await;
    let here = asked(&store, 1, "hi").await;
    let dm = turn("dm");
    let inbound = Inbound { guild_id: None, place: Place::Dm, ..message(2, "hi") };
    assert_eq!(store.claim(&inbound, &dm).await.unwrap(), Claim::New);
    let rows = [
        (here.clone(), failed("beta", 100, Failure::Timeout)),
        (here.clone(), attempt("alpha", 150)),
        (turn("api"), Attempt { first_text: None, ..attempt("beta", 900) }),
        (here.clone(), ended("beta", 200, Outcome::Overtaken)),
        (here.clone(), ended("beta", 201, Outcome::Cancelled)),
        (dm.clone(), failed("alpha", 1000, Failure::BrokenStream)),
        (dm, Attempt { total: Duration::from_millis(300), ..ended("gamma", 2000, Outcome::Answered) }),
    ];
    store.record_all(&rows).await.unwrap();
    assert!(store.finish(&here, &answered("hello"), at(400)).await.unwrap());

    assert_eq!(voted(&store, &here, 7, false, 1500).await, Some(Change::New));
    assert_eq!(voted(&store, &here, 8, false, 500).await, Some(Change::New));
    assert_eq!(voted(&store, &here, 7, true, 1600).await, Some(Change::Turned), "one may think again");
    check(
        &store,
        100,
        expect![[r#"
        server 1: beta Failed
        server 1: alpha Answered { first_text: 40ms, cost: Some(0.25) }
        server 1: alpha Disliked
        nowhere: beta Answered { first_text: 200ms, cost: Some(0.25) }
        nowhere: alpha Failed
        server 1: alpha Liked
        nowhere: gamma Answered { first_text: 40ms, cost: None }
    "#]],
    )
    .await;
    check(
        &store,
        3,
        expect![[r#"
        nowhere: alpha Failed
        server 1: alpha Liked
        nowhere: gamma Answered { first_text: 40ms, cost: None }
    "#]],
    )
    .await;
    check(&store, 0, expect![""]).await;
}

#[tokio::test]
async fn a_questions_own_faults_teach_nothing() {
    let (_dir, store) = fresh().await;
    let rows: Vec<_> =
        Failure::ALL.into_iter().zip(0..).map(|(it, at)| (turn("x"), failed(it.as_str(), at, it))).collect();
    store.record_all(&rows).await.unwrap();
    let taught: Vec<_> = store.lessons(100).await.unwrap().into_iter().map(|it| it.provider).collect();
    let expected: Vec<_> = Failure::ALL.into_iter().map(Failure::as_str).take(12).collect();
    assert_eq!(taught, expected);
    assert_eq!(Failure::ALL[12], Failure::ContextTooLong, "the last four are the question's");
    assert_eq!(store.lessons(1).await.unwrap().len(), 1, "they do not take a lesson's place");
}

#[tokio::test]
async fn feedback_needs_a_turn_and_an_answer() {
    let (_dir, store) = fresh().await;
    assert_eq!(voted(&store, &turn("gone"), 7, true, 5).await, None);
    let apologised = asked(&store, 1, "hi").await;
    let end = End::Failed { provider: Some("alpha".to_owned()), error: "timeout".to_owned() };
    store.finish(&apologised, &end, at(4)).await.unwrap();
    assert_eq!(voted(&store, &apologised, 7, false, 5).await, None, "an apology is no provider's answer");
    assert_eq!(store.lessons(9).await.unwrap(), []);

    let answer = asked(&store, 2, "hi").await;
    store.finish(&answer, &answered("hello"), at(4)).await.unwrap();
    assert_eq!(voted(&store, &answer, 7, true, 5).await, Some(Change::New));
    let liked = Lesson { server: Some(SERVER), provider: "alpha".to_owned(), taught: Taught::Liked };
    assert_eq!(store.lessons(9).await.unwrap(), [liked]);
    store.prune(at(0), at(10)).await.unwrap();
    assert_eq!(number(&store, "SELECT COUNT(*) FROM feedback").await, 0, "it goes with its turn");
}
