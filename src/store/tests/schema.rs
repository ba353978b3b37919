//! The tables and the connections are what they are meant to be.

use super::*;
use crate::{outcome::Failure, outcome::Outcome, store::READERS};
use expect_test::expect_file;
use futures::future::try_join_all;
use sqlx::SqlitePool;

/// Other programs read these tables: a change here is a change of the contract.
#[tokio::test]
async fn the_schema_is_the_released_one() {
    let store = Store::open("sqlite::memory:").await.unwrap();
    let rows: Vec<String> = sqlx::query_scalar(
        "SELECT sql FROM sqlite_master WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite_%' AND name NOT LIKE '_sqlx_%'
         ORDER BY tbl_name, type DESC, name",
    )
    .fetch_all(&store.reader)
    .await
    .unwrap();
    expect_file!["schema.sql"].assert_eq(&(rows.join(";\n") + ";\n"));
}

async fn pragmas(pool: &SqlitePool, connections: u32) -> Vec<String> {
    let mut held = try_join_all((0..connections).map(|_| pool.acquire())).await.unwrap();
    let mut found = Vec::new();
    for connection in &mut held {
        let mut line = String::new();
        for pragma in ["journal_mode", "synchronous", "foreign_keys", "busy_timeout", "query_only"] {
            let query = sqlx::AssertSqlSafe(format!("SELECT CAST({pragma} AS TEXT) FROM pragma_{pragma}"));
            // The table's column is called `timeout` there.
            let query = if pragma == "busy_timeout" {
                sqlx::AssertSqlSafe("SELECT CAST(timeout AS TEXT) FROM pragma_busy_timeout".to_owned())
            } else {
                query
            };
            let value: String = sqlx::query_scalar(query).fetch_one(&mut **connection).await.unwrap();
            line += &format!("{pragma}={value} ");
        }
        found.push(line.trim_end().to_owned());
    }
    found
}

#[tokio::test]
async fn every_connection_is_durable_and_keeps_foreign_keys() {
    let (_dir, store) = fresh().await;
    let common = "journal_mode=wal synchronous=2 foreign_keys=1 busy_timeout=5000";
    assert_eq!(pragmas(&store.writer, 1).await, [format!("{common} query_only=0")]);
    assert_eq!(pragmas(&store.reader, READERS).await, vec![format!("{common} query_only=1"); 4]);
    assert_eq!(store.writer.options().get_max_connections(), 1);
}

#[tokio::test]
async fn every_failure_and_outcome_fits_the_checks() {
    let (_dir, store) = fresh().await;
    let sql: String = sqlx::query_scalar("SELECT sql FROM sqlite_master WHERE name = 'attempts'")
        .fetch_one(&store.reader)
        .await
        .unwrap();
    for failure in Failure::ALL {
        assert!(
            sql.contains(&format!("'{failure}'")),
            "{failure} is missing in the CHECK of attempts.failure"
        );
    }
    for outcome in [Outcome::Answered, Outcome::Overtaken, Outcome::Cancelled] {
        assert!(sql.contains(&format!("'{}'", outcome.as_str())), "{outcome:?}");
    }
    let refused = sqlx::query(
        "INSERT INTO attempts (turn_id, step, provider, model, started_at, outcome, total_ms)
         VALUES ('t', 0, 'a', 'm', 0, 'failed', 1)",
    );
    assert!(refused.execute(&store.writer).await.is_err(), "a failed attempt says why");
}
