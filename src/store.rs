//! Keeps what must survive a restart: turns, conversations, the ledger, and the choices of moderators.
//!
//! One SQLite file, written by one connection, so that writers wait in a fair queue here instead of meeting
//! `SQLITE_BUSY`, and read by four others, which WAL lets read while something is written. `synchronous=FULL`: what a
//! method has acknowledged outlives a power cut.

mod again;
mod changes;
mod choices;
mod conversations;
mod error;
mod feedback;
mod kept;
mod ledger;
mod lessons;
mod marks;
mod open;
mod parts;
mod pins;
mod privacy;
mod prune;
mod queue;
mod quiet;
mod reliability;
mod rests;
#[cfg(test)]
mod tests;
mod turn_rows;
mod turns;
mod words;

pub use again::{Asked, Press, Resumption};
pub use changes::{Retracted, Rewritten};
pub use choices::{By, Disabled};
pub use conversations::StoredLine;
pub use error::{At, StoreError};
pub use feedback::{Change, Vote, Votes};
pub use lessons::LESSONS_KEPT;
pub use marks::{Mark, Recent};
pub use pins::{Pin, Scope};
pub use privacy::Forgotten;
pub use prune::Pruned;
pub use quiet::Quiet;
pub use reliability::ProviderReliability;
pub use turns::{Claim, End, Unfinished};

use sqlx::{Sqlite, SqlitePool, Transaction};
use std::{fs::File, path::PathBuf, sync::Arc, time::Duration};

/// How long a method waits for a free connection: fifty commits in a row on a slow disk, and still less than a member waits.
const ACQUIRE_WITHIN: Duration = Duration::from_secs(10);
/// How long SQLite waits for a lock that another program holds (a backup, a person with `sqlite3`).
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// How long [`Store::close`] waits for running queries and for the checkpoint.
const CLOSE_WITHIN: Duration = Duration::from_secs(5);
/// Connections that read at the same time: enough for context, status pages and completions on a small machine.
const READERS: u32 = 4;

/// The open database. Clones share the connections and the lock, which is held until the last of them is gone.
#[derive(Clone, Debug)]
pub struct Store {
    writer: SqlitePool,
    reader: SqlitePool,
    path: Option<PathBuf>,
    lock: Option<Arc<File>>,
}

impl Store {
    /// Where the database is; none for one in memory.
    #[must_use]
    pub fn path(&self) -> Option<&std::path::Path> {
        self.path.as_deref()
    }

    /// Writes one tiny row, for the readiness probe: a lost mount, a stuck writer and mostly a full disk are seen here
    /// (SQLite may still find room for one row).
    ///
    /// # Errors
    /// When nothing can be written.
    pub async fn ping_write(&self) -> Result<(), StoreError> {
        sqlx::query("UPDATE probe SET count = count + 1 WHERE id = 1").execute(&self.writer).await?;
        Ok(())
    }

    /// Moves everything into the main file and closes it, so that it can be copied as it is. Later calls answer
    /// [`StoreError::Closed`]. Nothing is lost without it.
    ///
    /// # Errors
    /// When running queries or the checkpoint took longer than five seconds, or the disk refused it.
    pub async fn close(&self) -> Result<(), StoreError> {
        let closing = async {
            self.reader.close().await;
            let checkpoint = match self.path {
                Some(_) if self.lock.is_some() => {
                    sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").execute(&self.writer).await.map(drop)
                }
                _ => Ok(()),
            };
            self.writer.close().await;
            checkpoint
        };
        let closed = tokio::time::timeout(CLOSE_WITHIN, closing).await;
        if let Some(lock) = &self.lock {
            // It goes with the file's last handle anyway.
            let _ = lock.unlock();
        }
        match closed {
            Ok(Ok(()) | Err(sqlx::Error::PoolClosed)) => Ok(()),
            Ok(Err(error)) => Err(error.into()),
            Err(_) => Err(StoreError::Busy { at: At(None) }),
        }
    }

    /// Begins to write. `IMMEDIATE`, so that the lock is waited for here and not lost in the middle.
    async fn write(&self) -> Result<Transaction<'static, Sqlite>, sqlx::Error> {
        self.writer.begin_with("BEGIN IMMEDIATE").await
    }
}

/// A duration as the tables keep it.
fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// A number of rows or tokens as SQLite counts them.
fn count(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}
