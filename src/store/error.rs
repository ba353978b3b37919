//! What can go wrong with the database, each as one sentence with the cause and what to do.

use sqlx::migrate::MigrateError;
use std::{fmt, io, path::Path};

/// Why the store could not be opened, or could not do what it was asked. `Display` is written for operators.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// `store.url` cannot be read.
    #[error(
        "store.url `{url}` is not the address of a SQLite database: write `sqlite://folder/file.db`, without parameters"
    )]
    Address {
        /// What was configured.
        url: String,
    },
    /// There is no such file, and it was opened only to be read.
    #[error(
        "there is no database at {path} yet: check store.url, or start `neverdark run` once, which makes it"
    )]
    Missing {
        /// The file.
        path: String,
    },
    /// The address names a folder.
    #[error(
        "the database {path} is a folder: let store.url name a file in it, such as `sqlite://{path}/neverdark.db`"
    )]
    Folder {
        /// The folder.
        path: String,
    },
    /// The file or its folder cannot be made, read or written.
    #[error(
        "{at} cannot be opened for writing ({cause}): let its folder exist and belong to the user that \
             neverdark runs as, or change store.url"
    )]
    NotWritable {
        /// Which database.
        at: At,
        /// What the system said.
        cause: String,
    },
    /// Another process holds the file.
    #[error(
        "the database {path} is in use by another neverdark: stop that one first, or give this one its own store.url"
    )]
    InUse {
        /// The file.
        path: String,
    },
    /// The file holds something else.
    #[error("{at} is not a SQLite file: let store.url name another file; this one was left as it is")]
    NotADatabase {
        /// Which database.
        at: At,
    },
    /// The file is damaged.
    #[error(
        "{at} is damaged ({cause}): stop neverdark, keep a copy of the file, and put back a backup or try `sqlite3 FILE .recover`"
    )]
    Corrupt {
        /// Which database.
        at: At,
        /// What SQLite said.
        cause: String,
    },
    /// A later program made the tables.
    #[error(
        "the database {path} has schema {found}, this neverdark knows up to {known}: run the newer neverdark, or put back the \
             backup made before the update"
    )]
    Newer {
        /// The file.
        path: String,
        /// The schema in the file.
        found: i64,
        /// The newest schema in the program.
        known: i64,
    },
    /// An earlier program made the tables, and the file was opened only to be read.
    #[error(
        "the database {path} has schema {found}, this neverdark needs {known}: start `neverdark run` once, which updates it"
    )]
    Older {
        /// The file.
        path: String,
        /// The schema in the file.
        found: i64,
        /// The newest schema in the program.
        known: i64,
    },
    /// The tables differ from what the program's migrations make.
    #[error(
        "the tables in {path} could not be brought up to date ({cause}): let store.url name a database that neverdark made, \
             or put back a backup"
    )]
    Schema {
        /// The file.
        path: String,
        /// What SQLite or the migrator said.
        cause: String,
    },
    /// No room.
    #[error("{at} cannot grow, because the disk is full: free some space; what was stored before is kept")]
    DiskFull {
        /// Which database.
        at: At,
    },
    /// SQLite without the fix of its WAL-reset bug, which could damage the file.
    #[error(
        "this program was built with SQLite {found}, which may damage a database; it needs 3.51.3 or later: build it with the \
             bundled SQLite"
    )]
    OldSqlite {
        /// The version that was linked.
        found: String,
    },
    /// Somebody else kept the file or the connections busy for too long.
    #[error("{at} was busy for too long: another program holds it, or the disk is slow")]
    Busy {
        /// Which database.
        at: At,
    },
    /// The store was closed before.
    #[error("the store is closed, because neverdark is stopping")]
    Closed,
    /// Anything else that SQLite said.
    #[error("{at} could not be used: {cause}")]
    Other {
        /// Which database.
        at: At,
        /// What SQLite said; never a stored value.
        cause: String,
    },
}

/// Which database a sentence speaks of: by its path while it is opened, `the database` later, when there is only one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct At(pub Option<String>);

impl StoreError {
    /// Whether another process has the file: then it is at least known to work.
    #[must_use]
    pub fn is_in_use(&self) -> bool {
        matches!(self, Self::InUse { .. })
    }
}

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some(path) => write!(f, "the database {path}"),
            None => f.write_str("the database"),
        }
    }
}

/// A query of a running store failed.
impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        sort(&error, None)
    }
}

/// The database at `path` could not be opened.
pub(super) fn opening(path: &Path, error: &sqlx::Error) -> StoreError {
    sort(error, Some(path.display().to_string()))
}

/// The file or folder at `path` could not be made or locked.
pub(super) fn filing(path: &Path, error: &io::Error) -> StoreError {
    let at = At(Some(path.display().to_string()));
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => StoreError::DiskFull { at },
        _ => StoreError::NotWritable { at, cause: plain(error) },
    }
}

/// The tables at `path` could not be brought up to date; `known` is the newest schema in this program.
pub(super) fn migrating(path: &Path, known: i64, error: &MigrateError) -> StoreError {
    let named = || path.display().to_string();
    match error {
        MigrateError::VersionMissing(found) if *found > known => {
            StoreError::Newer { path: named(), found: *found, known }
        }
        MigrateError::Execute(cause) | MigrateError::ExecuteMigration(cause, _) => match opening(path, cause)
        {
            StoreError::Other { cause, .. } => StoreError::Schema { path: named(), cause },
            sorted => sorted,
        },
        other => StoreError::Schema { path: named(), cause: other.to_string() },
    }
}

/// SQLite's result codes that mean something to operators (<https://sqlite.org/rescode.html>); the low byte is the class.
fn sort(error: &sqlx::Error, path: Option<String>) -> StoreError {
    /// `SQLITE_IOERR_SHMSIZE`: the shared-memory file could not grow, which is how a full disk may first be seen.
    const SHM_SIZE: i64 = 4874;
    let at = At(path);
    let code: Option<i64> = match error {
        sqlx::Error::Database(cause) => cause.code().and_then(|code| code.parse().ok()),
        sqlx::Error::PoolTimedOut => return StoreError::Busy { at },
        sqlx::Error::PoolClosed | sqlx::Error::WorkerCrashed => return StoreError::Closed,
        _ => None,
    };
    let cause = match error {
        sqlx::Error::Database(cause) => cause.message().to_owned(),
        // Its text may quote the stored value.
        sqlx::Error::ColumnDecode { index, .. } => {
            format!("column {index} holds something that this program does not know")
        }
        other => other.to_string(),
    };
    match (code, code.map(|code| code & 0xff)) {
        (Some(SHM_SIZE), _) | (_, Some(13)) => StoreError::DiskFull { at },
        (_, Some(5 | 6)) => StoreError::Busy { at },
        (_, Some(3 | 8 | 14 | 23)) => StoreError::NotWritable { at, cause },
        (_, Some(11)) => StoreError::Corrupt { at, cause },
        (_, Some(26)) => StoreError::NotADatabase { at },
        _ => StoreError::Other { at, cause },
    }
}

/// What the system said, without the number behind it.
fn plain(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or_default().to_owned()
}
