//! Opens the database: finds the file, takes the lock, checks SQLite, brings the tables up to date.

use super::{ACQUIRE_WITHIN, BUSY_TIMEOUT, READERS, Store, StoreError, error};
use sqlx::{
    ConnectOptions as _, SqlitePool,
    migrate::Migrator,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};
use std::{
    fs::{self, File, TryLockError},
    path::{Path, PathBuf},
    str::FromStr as _,
    sync::Arc,
};

static MIGRATIONS: Migrator = sqlx::migrate!();

/// The first SQLite without the WAL-reset bug, which could damage a database under load.
const OLDEST_SQLITE: [u32; 3] = [3, 51, 3];

impl Store {
    /// Opens the database at `url` (`sqlite://file.db`, or `sqlite::memory:`, which is gone at the end), makes the file and
    /// its folder where they are missing, and brings the tables up to date. A lock file beside it keeps other processes
    /// out for as long as the store lives.
    ///
    /// # Errors
    /// Each with its fix: see [`StoreError`].
    pub async fn open(url: &str) -> Result<Self, StoreError> {
        let Some(path) = locate(url)? else { return in_memory(url).await };
        let lock = Some(Arc::new(claim_file(&path)?));
        let opened = |error| error::opening(&path, &error);

        let writing = options(&path).create_if_missing(true).journal_mode(SqliteJournalMode::Wal);
        let writer = pool(1).connect_with(writing.clone()).await.map_err(opened)?;
        check_sqlite(&writer).await?;
        migrate(&writer, &path).await?;

        let reading = writing.create_if_missing(false).pragma("query_only", "ON");
        let reader = pool(READERS).connect_with(reading).await.map_err(opened)?;
        Ok(Self { writer, reader, path: Some(path), lock })
    }

    /// Opens the database at `url` to be read, also while another process has it open: no lock, no migration, and every
    /// method that writes fails.
    ///
    /// # Errors
    /// Each with its fix: see [`StoreError`]; also when the tables are not exactly those that this program knows.
    pub async fn open_read_only(url: &str) -> Result<Self, StoreError> {
        let path = locate(url)?.ok_or_else(|| StoreError::Address { url: url.to_owned() })?;
        if !path.exists() {
            return Err(StoreError::Missing { path: path.display().to_string() });
        }
        let opened = |error| error::opening(&path, &error);
        let reader = pool(READERS).connect_with(options(&path).read_only(true)).await.map_err(opened)?;
        check_sqlite(&reader).await?;
        check_schema(&reader, &path).await?;
        Ok(Self { writer: reader.clone(), reader, path: Some(path), lock: None })
    }
}

/// The file that `url` names; none for a database in memory. Parameters are refused, as most would undo what is set here.
fn locate(url: &str) -> Result<Option<PathBuf>, StoreError> {
    let wrong = || StoreError::Address { url: url.to_owned() };
    if url == "sqlite::memory:" {
        return Ok(None);
    }
    if !url.starts_with("sqlite:") || url.contains('?') {
        return Err(wrong());
    }
    let path = SqliteConnectOptions::from_str(url).map_err(|_| wrong())?.get_filename().to_owned();
    if path.as_os_str().is_empty() {
        return Err(wrong());
    }
    if path.is_dir() {
        return Err(StoreError::Folder { path: path.display().to_string() });
    }
    // A link to the file must lead to the same lock as the file.
    Ok(Some(if path.is_symlink() { fs::canonicalize(&path).unwrap_or(path) } else { path }))
}

/// Makes the folder and locks `<file>.lock` for this process. The lock file stays: removing it would let two processes lock
/// two files of one name.
fn claim_file(path: &Path) -> Result<File, StoreError> {
    let failed = |cause| error::filing(path, &cause);
    if let Some(folder) = path.parent().filter(|it| !it.as_os_str().is_empty()) {
        fs::create_dir_all(folder).map_err(failed)?;
    }
    let mut beside = path.as_os_str().to_owned();
    beside.push(".lock");
    let file = File::options().create(true).truncate(false).write(true).open(beside).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StoreError::InUse { path: path.display().to_string() }),
        Err(TryLockError::Error(cause)) => Err(failed(cause)),
    }
}

/// A database in memory belongs to one connection, so that reading and writing share it.
async fn in_memory(url: &str) -> Result<Store, StoreError> {
    let path = Path::new(url);
    let options = SqliteConnectOptions::from_str(url).map_err(|cause| error::opening(path, &cause))?;
    let one = pool(1).connect_with(settled(options)).await.map_err(|cause| error::opening(path, &cause))?;
    check_sqlite(&one).await?;
    migrate(&one, path).await?;
    Ok(Store { writer: one.clone(), reader: one, path: None, lock: None })
}

fn options(path: &Path) -> SqliteConnectOptions {
    settled(SqliteConnectOptions::new().filename(path))
}

/// What every connection has. Statements are not logged: they would drown what operators look for.
fn settled(options: SqliteConnectOptions) -> SqliteConnectOptions {
    options
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        // What was deleted is overwritten: see `privacy.rs`.
        .pragma("secure_delete", "ON")
        // In KiB, for each connection: what is read is little, and the system keeps the file's pages anyway.
        .pragma("cache_size", "-512")
        .busy_timeout(BUSY_TIMEOUT)
        .disable_statement_logging()
}

/// Connections stay open: a database in memory lives as long as its connection, and a new one costs more than an idle one.
fn pool(connections: u32) -> SqlitePoolOptions {
    SqlitePoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(ACQUIRE_WITHIN)
        .idle_timeout(None)
        .max_lifetime(None)
        .test_before_acquire(false)
}

async fn check_sqlite(pool: &SqlitePool) -> Result<(), StoreError> {
    let found: String = sqlx::query_scalar("SELECT sqlite_version()").fetch_one(pool).await?;
    if is_new_enough(&found) { Ok(()) } else { Err(StoreError::OldSqlite { found }) }
}

fn is_new_enough(version: &str) -> bool {
    let numbers: Vec<u32> = version.split('.').map_while(|it| it.parse().ok()).collect();
    numbers.as_slice() >= OLDEST_SQLITE.as_slice()
}

async fn migrate(writer: &SqlitePool, path: &Path) -> Result<(), StoreError> {
    MIGRATIONS.run(writer).await.map_err(|error| error::migrating(path, newest(), &error))
}

/// The newest schema that this program knows.
fn newest() -> i64 {
    MIGRATIONS.iter().map(|it| it.version).max().unwrap_or(0)
}

async fn check_schema(reader: &SqlitePool, path: &Path) -> Result<(), StoreError> {
    let applied =
        sqlx::query_scalar::<_, Option<i64>>("SELECT MAX(version) FROM _sqlx_migrations WHERE success");
    let found = match applied.fetch_one(reader).await.map_err(|error| error::opening(path, &error)) {
        Ok(found) => found.unwrap_or(0),
        Err(StoreError::Other { cause, .. }) => {
            return Err(StoreError::Schema { path: path.display().to_string(), cause });
        }
        Err(other) => return Err(other),
    };
    let (path, known) = (path.display().to_string(), newest());
    match found.cmp(&known) {
        std::cmp::Ordering::Less => Err(StoreError::Older { path, found, known }),
        std::cmp::Ordering::Equal => Ok(()),
        std::cmp::Ordering::Greater => Err(StoreError::Newer { path, found, known }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_as_numbers() {
        for (version, good) in [
            ("3.51.3", true),
            ("3.51.2", false),
            ("3.40.1", false),
            ("3.100.0", true),
            ("4.0", true),
            ("3.51", false),
            ("", false),
        ] {
            assert_eq!(is_new_enough(version), good, "{version}");
        }
    }

    #[test]
    fn an_address_names_a_file_or_memory() {
        let file = |url| locate(url).ok().map(|it| it.map(|it| it.display().to_string()));
        assert_eq!(file("sqlite://neverdark.db"), Some(Some("neverdark.db".to_owned())));
        assert_eq!(file("sqlite:data/a%3Fb.db"), Some(Some("data/a?b.db".to_owned())));
        assert_eq!(file("sqlite:///var/lib/nd.db"), Some(Some("/var/lib/nd.db".to_owned())));
        assert_eq!(file("sqlite::memory:"), Some(None));
        for url in
            ["", "neverdark.db", "postgres://localhost/nd", "sqlite:", "sqlite://", "sqlite://a.db?mode=ro"]
        {
            assert_eq!(file(url), None, "{url}");
        }
    }
}
