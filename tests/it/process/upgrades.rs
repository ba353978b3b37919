//! Each schema that was ever released, with a row in every table, is brought up to date and loses nothing.
//!
//! A new schema needs one file more in `schema/`: rows for the tables as they were then, in SQL.

use neverdark::store::Store;
use sqlx::{AssertSqlSafe, SqlitePool, migrate::Migrator, sqlite::SqliteConnectOptions};
use std::{collections::BTreeMap, path::Path};
use tempfile::TempDir;

/// The schemas, and rows as they were written at that time.
const SCHEMAS: [(i64, &str); 3] = [
    (1, include_str!("schema/0001.sql")),
    (2, include_str!("schema/0002.sql")),
    (3, include_str!("schema/0003.sql")),
];

#[tokio::test]
async fn every_released_schema_keeps_its_rows() {
    let migrations = Migrator::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations")).await;
    let migrations = migrations.expect("the migrations can be read");
    let newest = migrations.iter().map(|it| it.version).max();
    assert_eq!(SCHEMAS.last().map(|it| it.0), newest, "the newest schema has no rows in {}", file!());
    for (version, rows) in SCHEMAS {
        let folder = TempDir::new().expect("a temporary folder");
        let path = folder.path().join("neverdark.db");
        let before = made(&migrations, version, rows, &path).await;
        let empty: Vec<_> = before.iter().filter(|(_, count)| **count == 0).map(|(table, _)| table).collect();
        assert!(empty.is_empty(), "schema {version} has no row for {empty:?}");

        let url = format!("sqlite://{}", path.display());
        let store = Store::open(&url).await.expect("it is brought up to date");
        store.ping_write().await.expect("it can be written");
        store.close().await.expect("it can be closed");
        let pool = SqlitePool::connect(&url).await.expect("it can be read");
        let after = counts(&pool).await;
        for (table, count) in &before {
            assert_eq!(after.get(table), Some(count), "rows of {table} in schema {version}");
        }
        let broken: Vec<String> = sqlx::query_scalar("SELECT \"table\" FROM pragma_foreign_key_check")
            .fetch_all(&pool)
            .await
            .expect("it can be checked");
        assert_eq!(broken, Vec::<String>::new());
        pool.close().await;
    }
}

/// A database as the program of that time left it, and how many rows its tables have.
async fn made(migrations: &Migrator, version: i64, rows: &'static str, path: &Path) -> BTreeMap<String, i64> {
    let options = SqliteConnectOptions::new().filename(path).create_if_missing(true);
    let pool = SqlitePool::connect_with(options).await.expect("it can be made");
    let known = migrations.iter().filter(|it| it.version <= version).cloned().collect::<Vec<_>>();
    let migrator = Migrator { migrations: known.into(), ..Migrator::DEFAULT };
    migrator.run(&pool).await.expect("the old schema can be made");
    sqlx::raw_sql(rows).execute(&pool).await.expect("the rows fit their schema");
    let counts = counts(&pool).await;
    pool.close().await;
    counts
}

/// The program's tables and their sizes.
async fn counts(pool: &SqlitePool) -> BTreeMap<String, i64> {
    let tables: Vec<String> = sqlx::query_scalar(
        "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%' AND name NOT LIKE '_sqlx%'",
    )
    .fetch_all(pool)
    .await
    .expect("it can be read");
    let mut counts = BTreeMap::new();
    for table in tables {
        let query = AssertSqlSafe(format!("SELECT COUNT(*) FROM {table}"));
        let count = sqlx::query_scalar(query).fetch_one(pool).await.expect("it can be counted");
        counts.insert(table, count);
    }
    counts
}
