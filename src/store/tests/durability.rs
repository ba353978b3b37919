//! What was acknowledged is there afterwards, and writers do not hinder each other.

use super::*;
use crate::message::ConversationId;
use futures::future::join_all;

#[tokio::test]
async fn fifty_writers_at_once_all_succeed() {
    let (_dir, store) = fresh().await;
    let all = join_all((1..=50).map(|id| {
        let store = store.clone();
        async move {
            let turn = asked(&store, id, "hi").await;
            store.set_answering(&turn).await.unwrap();
            store.note_part(&turn, 0, MessageId(1000 + id)).await.unwrap();
            store.recent(ConversationId(CHANNEL), Some(&turn), 40).await.unwrap();
            store.finish(&turn, &answered("hello"), at(60)).await.unwrap()
        }
    }));
    assert!(all.await.into_iter().all(|ended| ended));
    assert_eq!(number(&store, "SELECT COUNT(*) FROM messages").await, 100);
}

#[tokio::test]
async fn another_programs_lock_is_waited_for() {
    let (dir, store) = fresh().await;
    let path = dir.path().join("neverdark.db");
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(path);
    let other = sqlx::SqlitePool::connect_with(options).await.unwrap();
    let held = other.begin_with("BEGIN IMMEDIATE").await.unwrap();
    let (asked, ()) = tokio::join!(asked(&store, 1, "hi"), async {
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        held.rollback().await.unwrap();
    });
    assert_eq!(asked, turn("t1"));
}

#[tokio::test]
async fn a_store_that_was_dropped_lost_nothing() {
    let (dir, store) = fresh().await;
    let first = asked(&store, 1, "hi").await;
    store.note_part(&first, 0, MessageId(11)).await.unwrap();
    asked(&store, 2, "again").await;
    store.finish(&turn("t2"), &answered("yes"), at(9)).await.unwrap();
    drop(store);

    let store = Store::open(&url(&dir)).await.unwrap();
    let unfinished = store.unfinished(at(0), at(0), at(1000)).await.unwrap();
    assert_eq!(unfinished.len(), 1);
    assert_eq!((&unfinished[0].turn, &unfinished[0].inbound.text), (&first, &"hi".to_owned()));
    assert_eq!(unfinished[0].parts, [(0, MessageId(11))]);
    assert_eq!(store.recent(ConversationId(CHANNEL), None, 9).await.unwrap().len(), 3);
}

/// What a `kill -9` leaves behind is the file and its WAL: a copy of both, made while the store is open, is the same.
#[tokio::test]
async fn a_copy_of_the_files_in_mid_flight_has_everything() {
    let (dir, store) = fresh().await;
    asked(&store, 1, "hi").await;
    let copy = TempDir::new().unwrap();
    for name in ["neverdark.db", "neverdark.db-wal"] {
        std::fs::copy(dir.path().join(name), copy.path().join(name)).unwrap();
    }
    let restored = Store::open(&url(&copy)).await.unwrap();
    assert_eq!(restored.unfinished(at(0), at(0), at(1000)).await.unwrap().len(), 1);
    assert_eq!(restored.claim(&message(1, "hi"), &turn("other")).await.unwrap(), Claim::Duplicate);
}

#[tokio::test]
async fn closing_leaves_one_file() {
    let (dir, store) = fresh().await;
    asked(&store, 1, "hi").await;
    assert_eq!(store.path(), Some(dir.path().join("neverdark.db").as_path()));
    store.close().await.unwrap();
    let mut names: Vec<_> =
        std::fs::read_dir(dir.path()).unwrap().map(|it| it.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["neverdark.db", "neverdark.db.lock"]);
}
