//! The ledger gives back what was written, and counts right.

use super::*;
use crate::{
    outcome::{Attempt, Failed, Failure, Outcome, Usage},
    store::ProviderReliability,
};
use proptest::prelude::*;
use std::time::Duration;

pub(super) fn attempt(provider: &str, started: i64) -> Attempt {
    Attempt {
        step: 0,
        provider: provider.to_owned(),
        model: "m".to_owned(),
        started_at: at(started),
        outcome: Outcome::Answered,
        first_text: Some(Duration::from_millis(40)),
        total: Duration::from_millis(200),
        usage: Usage { tokens_in: Some(10), tokens_out: Some(5), is_estimated: false },
        cost: Some(0.25),
    }
}

fn failed(provider: &str, started: i64, failure: Failure) -> Attempt {
    let outcome = Outcome::Failed(Failed {
        failure,
        http_status: Some(429),
        retry_after: Some(Duration::from_secs(30)),
        detail: "rate_limit_exceeded".to_owned(),
        request_id: None,
    });
    Attempt { outcome, first_text: None, usage: Usage::default(), cost: None, ..attempt(provider, started) }
}

#[tokio::test]
async fn attempts_come_back_as_they_were() {
    let (_dir, store) = fresh().await;
    let mut all = vec![
        attempt("alpha", 1),
        Attempt { outcome: Outcome::Overtaken, ..attempt("alpha", 2) },
        Attempt { outcome: Outcome::Cancelled, first_text: None, cost: None, ..attempt("alpha", 3) },
        Attempt { outcome: Outcome::Failed(Failed::new(Failure::Connection, "")), ..attempt("alpha", 4) },
    ];
    all.extend(Failure::ALL.into_iter().zip(5..).map(|(failure, started)| failed("beta", started, failure)));
    for (step, attempt) in all.iter_mut().enumerate() {
        attempt.step = u32::try_from(step).unwrap();
        // No row in `turns`, as with `ask`.
        store.record(&turn("x"), attempt).await.unwrap();
    }
    assert_eq!(store.attempts_of(&turn("x")).await.unwrap(), all);
    assert_eq!(store.attempts_of(&turn("y")).await.unwrap(), []);

    let last = store.last_failures(2).await.unwrap();
    let expected: Vec<_> = all.iter().rev().take(2).map(|it| (turn("x"), it.clone())).collect();
    assert_eq!(last, expected);
}

#[tokio::test]
async fn reliability_counts_each_provider() {
    let (_dir, store) = fresh().await;
    let rows = [
        failed("beta", 12, Failure::Timeout),
        failed("beta", 13, Failure::RateLimited),
        failed("beta", 14, Failure::RateLimited),
        attempt("alpha", 10),
        Attempt { first_text: Some(Duration::from_millis(60)), ..attempt("alpha", 11) },
        Attempt { outcome: Outcome::Overtaken, total: Duration::from_secs(9), ..attempt("alpha", 12) },
        Attempt { outcome: Outcome::Cancelled, first_text: None, ..attempt("alpha", 13) },
        attempt("alpha", 9),
        attempt("alpha", 20),
    ];
    for row in &rows {
        store.record(&turn("x"), row).await.unwrap();
    }
    let alpha = ProviderReliability {
        provider: "alpha".to_owned(),
        calls: 4,
        answered: 2,
        overtaken: 1,
        cancelled: 1,
        p50_first_text_ms: Some(40),
        p95_first_text_ms: Some(60),
        p50_total_ms: Some(200),
        tokens_in: 40,
        tokens_out: 20,
        cost: 1.0,
        ..ProviderReliability::default()
    };
    let beta = ProviderReliability {
        provider: "beta".to_owned(),
        calls: 3,
        failed: 3,
        failures: vec![("rate_limited".to_owned(), 2), ("timeout".to_owned(), 1)],
        ..ProviderReliability::default()
    };
    assert_eq!(store.reliability(at(10), at(20)).await.unwrap(), [alpha, beta]);
    assert_eq!(store.reliability(at(30), at(40)).await.unwrap(), []);
}

/// The nearest rank, counted the slow way.
fn nearest_rank(mut values: Vec<u64>, percent: usize) -> Option<u64> {
    values.sort_unstable();
    let place = (values.len() * percent).div_ceil(100);
    place.checked_sub(1).map(|it| values[it])
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    #[test]
    fn quantiles_are_exact(values in proptest::collection::vec(0_u64..500, 1..150)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let store = Store::open("sqlite::memory:").await.unwrap();
            for &ms in &values {
                let span = Duration::from_millis(ms);
                let row = Attempt { first_text: Some(span), total: span * 2, ..attempt("alpha", 1) };
                store.record(&turn("x"), &row).await.unwrap();
            }
            let found = store.reliability(at(0), at(2)).await.unwrap().remove(0);
            assert_eq!(found.p50_first_text_ms, nearest_rank(values.clone(), 50));
            assert_eq!(found.p95_first_text_ms, nearest_rank(values.clone(), 95));
            assert_eq!(found.p50_total_ms, nearest_rank(values, 50).map(|it| it * 2));
        });
    }
}
