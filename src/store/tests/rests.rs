//! Rests come back after a restart as they were.

use super::*;
use crate::outcome::{Failure, Rest};

fn rest(provider: &str, why: Failure, until: i64) -> Rest {
    Rest {
        provider: provider.to_owned(),
        model: "m".to_owned(),
        why,
        until: at(until),
        probe: true,
        rests: 2,
    }
}

#[tokio::test]
async fn rests_come_back_after_a_restart() {
    let (dir, store) = fresh().await;
    assert_eq!(store.rests().await.unwrap(), []);
    let mut all: Vec<_> =
        Failure::ALL.into_iter().zip(10..).map(|(why, it)| rest(&format!("p{it}"), why, it)).collect();
    all[3] = Rest { model: "other".to_owned(), probe: false, rests: u32::MAX, ..all[2].clone() };
    store.keep_rests(&all).await.unwrap();
    store.close().await.unwrap();

    let store = Store::open(&url(&dir)).await.unwrap();
    assert_eq!(store.rests().await.unwrap(), all);
}

#[tokio::test]
async fn only_the_last_rests_are_kept() {
    let (_dir, store) = fresh().await;
    store.keep_rests(&[rest("alpha", Failure::Auth, 1), rest("beta", Failure::Timeout, 2)]).await.unwrap();
    let last = rest("alpha", Failure::Overloaded, 4);
    store.keep_rests(&[rest("alpha", Failure::Timeout, 3), last.clone()]).await.unwrap();
    assert_eq!(store.rests().await.unwrap(), [last]);
    store.keep_rests(&[]).await.unwrap();
    assert_eq!(store.rests().await.unwrap(), []);
}

#[tokio::test]
async fn an_unknown_word_is_no_rest() {
    let (_dir, store) = fresh().await;
    let strange = "INSERT INTO rests VALUES ('alpha', 'm', 'bored', 1, 1, 1)";
    sqlx::query(strange).execute(&store.writer).await.unwrap();
    let said = store.rests().await.unwrap_err().to_string();
    assert!(said.contains("column why") && !said.contains("bored"), "{said}");
}
