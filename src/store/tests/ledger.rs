//! The ledger gives back what was written, and counts right.

use super::*;
use crate::{
    outcome::{Attempt, Failed, Failure, Outcome, Usage},
    store::{ProviderReliability, ledger::CLOCK_SLACK_MS},
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

async fn record(store: &Store, name: &str, attempts: &[Attempt]) {
    let rows: Vec<_> = attempts.iter().map(|it| (turn(name), it.clone())).collect();
    store.record_all(&rows).await.unwrap();
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
        attempt.usage.is_estimated = step % 2 == 1;
    }
    // No row in `turns`, as with `ask`.
    record(&store, "x", &all).await;
    assert_eq!(store.attempts_of(&turn("x")).await.unwrap(), all);
    assert_eq!(store.attempts_of(&turn("y")).await.unwrap(), []);
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
    record(&store, "x", &rows).await;
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

#[tokio::test]
async fn many_rows_come_back_in_order() {
    let (_dir, store) = fresh().await;
    for number in [0, 1, 39, 40, 41, 1000] {
        let attempts: Vec<_> =
            (0..number).map(|it| failed(&format!("p{it}"), it, Failure::Timeout)).collect();
        let name = number.to_string();
        record(&store, &name, &attempts).await;
        assert_eq!(store.attempts_of(&turn(&name)).await.unwrap(), attempts);
    }
}

#[tokio::test]
async fn all_rows_are_written_or_none() {
    let (_dir, store) = fresh().await;
    let fussy = "CREATE TRIGGER fussy BEFORE INSERT ON attempts WHEN NEW.provider = 'unwanted'
                 BEGIN SELECT RAISE(ABORT, 'no'); END";
    sqlx::query(fussy).execute(&store.writer).await.unwrap();
    let mut rows: Vec<_> = (0..100).map(|it| (turn("x"), attempt("alpha", it))).collect();
    "unwanted".clone_into(&mut rows[90].1.provider);
    assert!(store.record_all(&rows).await.is_err());
    assert_eq!(number(&store, "SELECT COUNT(*) FROM attempts").await, 0);
    "wanted".clone_into(&mut rows[90].1.provider);
    store.record_all(&rows).await.unwrap();
    assert_eq!(number(&store, "SELECT COUNT(*) FROM attempts").await, 100);
}

#[tokio::test]
async fn a_turns_attempts_are_found_by_its_time() {
    let (_dir, store) = fresh().await;
    let one = asked(&store, 1000, "hi").await;
    let two = asked(&store, 1000 + 1, "hi").await;
    let attempts = [attempt("alpha", 1000), attempt("beta", 1500), attempt("gamma", 4000 + CLOCK_SLACK_MS)];
    record(&store, &one.0, &attempts).await;
    record(&store, &two.0, &attempts[1..2]).await;
    assert_eq!(store.attempts_of(&one).await.unwrap(), attempts, "while it runs");
    store.finish(&one, &answered("hello"), at(4000)).await.unwrap();
    assert_eq!(store.attempts_of(&one).await.unwrap(), attempts, "and afterwards");
    assert_eq!(store.attempts_of(&two).await.unwrap(), attempts[1..2]);
}

#[tokio::test]
async fn what_is_reckoned_is_said() {
    let (_dir, store) = fresh().await;
    let mut reckoned = attempt("alpha", 11);
    reckoned.usage.is_estimated = true;
    record(&store, "x", &[attempt("alpha", 10), reckoned, attempt("beta", 11)]).await;
    let estimated = async |since, until| {
        let rows = store.reliability(at(since), at(until)).await.unwrap();
        rows.into_iter().map(|it| (it.provider, it.is_estimated)).collect::<Vec<_>>()
    };
    assert_eq!(estimated(10, 20).await, [("alpha".to_owned(), true), ("beta".to_owned(), false)]);
    assert_eq!(estimated(10, 11).await, [("alpha".to_owned(), false)]);
}

#[tokio::test]
async fn money_is_summed_by_provider() {
    let (_dir, store) = fresh().await;
    let free = Attempt { cost: None, ..attempt("free", 12) };
    let lost = Attempt { outcome: Outcome::Overtaken, ..attempt("beta", 12) };
    record(&store, "x", &[attempt("alpha", 9), attempt("alpha", 10), attempt("alpha", 11), lost, free]).await;
    let expected = [("alpha".to_owned(), 0.5), ("beta".to_owned(), 0.25)];
    assert_eq!(store.spent_since(at(10)).await.unwrap(), expected.into());
    assert_eq!(store.spent_since(at(13)).await.unwrap(), [].into());
}

/// No query reads the whole ledger where an index knows better, and no index is idle.
#[tokio::test]
async fn the_ledgers_queries_use_its_indexes() {
    let (_dir, store) = fresh().await;
    let plan = async |query: &str| {
        let explain = sqlx::AssertSqlSafe(format!("EXPLAIN QUERY PLAN {query}"));
        let rows: Vec<(i64, i64, i64, String)> =
            sqlx::query_as(explain).fetch_all(&store.reader).await.unwrap();
        rows.into_iter().map(|it| it.3).collect::<Vec<_>>().join("; ")
    };
    for (query, index) in [
        (
            "SELECT provider, SUM(cost) FROM attempts WHERE started_at >= 5 AND cost > 0 GROUP BY provider",
            "attempts_by_start",
        ),
        ("SELECT id FROM attempts WHERE started_at < 5 LIMIT 500", "attempts_by_start"),
    ] {
        let found = plan(query).await;
        assert!(found.contains(index), "{query}: {found}");
    }
    let of_turn = crate::store::ledger::OF_TURN;
    let found = plan(&format!("SELECT * FROM attempts WHERE {of_turn} ORDER BY started_at, step, id")).await;
    assert!(found.contains("attempts_by_start (started_at>? AND started_at<?)"), "{found}");
    let lessons = plan(crate::store::lessons::LESSONS).await;
    assert!(
        lessons.contains("SCAN a;") && !lessons.contains("SCAN t"),
        "newest rows first, by id: {lessons}"
    );
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
            let rows = values.iter().map(|&ms| {
                let span = Duration::from_millis(ms);
                Attempt { first_text: Some(span), total: span * 2, ..attempt("alpha", 1) }
            });
            record(&store, "x", &rows.collect::<Vec<_>>()).await;
            let found = store.reliability(at(0), at(2)).await.unwrap().remove(0);
            assert_eq!(found.p50_first_text_ms, nearest_rank(values.clone(), 50));
            assert_eq!(found.p95_first_text_ms, nearest_rank(values.clone(), 95));
            assert_eq!(found.p50_total_ms, nearest_rank(values, 50).map(|it| it * 2));
        });
    }
}
