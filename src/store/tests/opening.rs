//! Opening a database that cannot be used says what to do.

use super::*;
use crate::store::{At, StoreError};
use expect_test::{Expect, expect};
use std::{fs, path::Path};

/// The error of opening `name` in `dir`, with the folder's name replaced.
async fn refused(dir: &Path, name: &str) -> String {
    let url = format!("sqlite://{}", dir.join(name).display());
    let error = Store::open(&url).await.expect_err("it cannot be used");
    error.to_string().replace(&dir.display().to_string(), "DIR")
}

async fn check(prepare: impl AsyncFnOnce(&Path), name: &str, expected: Expect) {
    let dir = TempDir::new().unwrap();
    prepare(dir.path()).await;
    expected.assert_eq(&refused(dir.path(), name).await);
}

/// A database with the tables, closed.
async fn made(path: &Path) {
    Store::open(&format!("sqlite://{}", path.display())).await.unwrap().close().await.unwrap();
}

#[tokio::test]
async fn a_folder() {
    check(
        async |dir| fs::create_dir(dir.join("data")).unwrap(),
        "data",
        expect!["the database DIR/data is a folder: let store.url name a file in it, such as `sqlite://DIR/data/neverdark.db`"],
    )
    .await;
}

#[tokio::test]
async fn a_folder_that_cannot_be_made() {
    check(
        async |dir| fs::write(dir.join("file"), "x").unwrap(),
        "file/data/nd.db",
        expect!["the database DIR/file/data/nd.db cannot be opened for writing (Not a directory): let its folder exist and belong to the user that neverdark runs as, or change store.url"],
    )
    .await;
}

#[tokio::test]
async fn something_else() {
    let text = "This is a letter to my aunt, and no database. ".repeat(30);
    check(
        async |dir| fs::write(dir.join("nd.db"), &text).unwrap(),
        "nd.db",
        expect![
            "the database DIR/nd.db is not a SQLite file: let store.url name another file; this one was left as it is"
        ],
    )
    .await;
}

#[tokio::test]
async fn a_damaged_file() {
    let damage = async |dir: &Path| {
        let path = dir.join("nd.db");
        made(&path).await;
        let mut bytes = fs::read(&path).unwrap();
        bytes[100..4096].fill(0x5a);
        fs::write(&path, bytes).unwrap();
    };
    check(
        damage,
        "nd.db",
        expect!["the database DIR/nd.db is damaged (database disk image is malformed): stop neverdark, keep a copy of the file, and put back a backup or try `sqlite3 FILE .recover`"],
    )
    .await;
}

async fn tamper(path: &Path, statement: &'static str) {
    made(path).await;
    let store = Store::open(&format!("sqlite://{}", path.display())).await.unwrap();
    sqlx::query(statement).execute(&store.writer).await.unwrap();
    store.close().await.unwrap();
}

#[tokio::test]
async fn a_newer_schema() {
    let newer = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
                 VALUES (99, 'from the future', TRUE, x'00', 0)";
    check(
        async |dir| tamper(&dir.join("nd.db"), newer).await,
        "nd.db",
        expect!["the database DIR/nd.db has schema 99, this neverdark knows up to 3: run the newer neverdark, or put back the backup made before the update"],
    )
    .await;
}

#[tokio::test]
async fn another_programs_tables() {
    let other = "DROP TABLE _sqlx_migrations";
    check(
        async |dir| tamper(&dir.join("nd.db"), other).await,
        "nd.db",
        expect!["the tables in DIR/nd.db could not be brought up to date (table conversations already exists): let store.url name a database that neverdark made, or put back a backup"],
    )
    .await;
}

#[tokio::test]
async fn a_second_process() {
    let (dir, first) = fresh().await;
    let in_use = expect![
        "the database DIR/neverdark.db is in use by another neverdark: stop that one first, or give this one its own store.url"
    ];
    in_use.assert_eq(&refused(dir.path(), "neverdark.db").await);

    // A link to the same file meets the same lock.
    std::os::unix::fs::symlink(dir.path().join("neverdark.db"), dir.path().join("link.db")).unwrap();
    in_use.assert_eq(&refused(dir.path(), "link.db").await);

    first.close().await.unwrap();
    Store::open(&url(&dir)).await.expect("the lock goes with the store");
}

#[tokio::test]
async fn wrong_addresses() {
    for url in ["postgres://localhost/nd", "neverdark.db", "sqlite://a.db?mode=ro", ""] {
        let error = Store::open(url).await.unwrap_err().to_string();
        assert_eq!(
            error,
            format!(
                "store.url `{url}` is not the address of a SQLite database: write `sqlite://folder/file.db`, without parameters"
            )
        );
    }
}

#[tokio::test]
async fn folders_are_made() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("a/b c/nd.db");
    made(&path).await;
    assert!(path.is_file());
}

#[tokio::test]
async fn reading_beside_a_running_bot() {
    let (dir, store) = fresh().await;
    let turn = asked(&store, 1, "hi").await;
    let reading = Store::open_read_only(&url(&dir)).await.unwrap();
    assert!(reading.is_ours(CHANNEL).await.unwrap());

    store.finish(&turn, &answered("hello"), at(5)).await.unwrap();
    assert_eq!(
        reading.recent(message(1, "").conversation(), None, 10).await.unwrap().len(),
        2,
        "it sees what is new"
    );

    expect!["the database cannot be opened for writing (attempt to write a readonly database): let its folder exist and belong to the user that neverdark runs as, or change store.url"]
    .assert_eq(&reading.ping_write().await.unwrap_err().to_string());
    reading.close().await.unwrap();
    store.ping_write().await.expect("the bot goes on");
    store.close().await.unwrap();

    let alone = Store::open_read_only(&url(&dir)).await.expect("also after the bot has stopped");
    assert!(alone.is_ours(CHANNEL).await.unwrap());
}

#[tokio::test]
async fn reading_what_is_not_there_or_not_ours() {
    let dir = TempDir::new().unwrap();
    let refused = async |name: &str| {
        let url = format!("sqlite://{}", dir.path().join(name).display());
        let error = Store::open_read_only(&url).await.unwrap_err();
        error.to_string().replace(&dir.path().display().to_string(), "DIR")
    };
    expect!["there is no database at DIR/none.db yet: check store.url, or start `neverdark run` once, which makes it"]
        .assert_eq(&refused("none.db").await);
    fs::write(dir.path().join("empty.db"), "").unwrap();
    expect!["the tables in DIR/empty.db could not be brought up to date (no such table: _sqlx_migrations): let store.url name a database that neverdark made, or put back a backup"]
        .assert_eq(&refused("empty.db").await);
    tamper(&dir.path().join("old.db"), "DELETE FROM _sqlx_migrations").await;
    expect!["the database DIR/old.db has schema 0, this neverdark needs 3: start `neverdark run` once, which updates it"]
        .assert_eq(&refused("old.db").await);
}

#[tokio::test]
async fn a_full_disk_is_named() {
    let (_dir, store) = fresh().await;
    // SQLite's own limit gives the same error as a full disk.
    sqlx::query("PRAGMA max_page_count = 1").execute(&store.writer).await.unwrap();
    let error = loop {
        let text = "x".repeat(10_000);
        let inbound = message(u64::from(fastrand::u32(..)), &text);
        match store.claim(&inbound, &TurnId::random(&mut fastrand::Rng::new())).await {
            Ok(_) => {}
            Err(error) => break error,
        }
    };
    assert!(matches!(error, StoreError::DiskFull { at: At(None) }), "{error:?}");
    expect![
        "the database cannot grow, because the disk is full: free some space; what was stored before is kept"
    ]
    .assert_eq(&error.to_string());
}

#[tokio::test]
async fn a_closed_store_says_so() {
    let (_dir, store) = fresh().await;
    store.close().await.unwrap();
    store.close().await.expect("closing twice does no harm");
    assert!(matches!(store.ping_write().await, Err(StoreError::Closed)));
}

#[tokio::test]
async fn in_memory_works_too() {
    let store = Store::open("sqlite::memory:").await.unwrap();
    let turn = asked(&store, 1, "hi").await;
    assert!(store.finish(&turn, &answered("hello"), at(5)).await.unwrap());
    assert_eq!(store.recent(message(1, "").conversation(), None, 10).await.unwrap().len(), 2);
    let other = Store::open("sqlite::memory:").await.unwrap();
    assert!(!other.is_ours(CHANNEL).await.unwrap(), "each has its own");
    store.close().await.unwrap();
}
