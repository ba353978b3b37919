//! The ledger: every call to a provider is one row.
//!
//! **The problem.** Thousands of calls a second are thousands of rows, beside everything else on one core. **The rule.** Rows
//! come together, in one transaction, [`AT_ONCE`] in a statement. **The limits.** All rows of a call are written, or none.

use super::{Store, StoreError, count, millis, words::unknown};
use crate::{
    message::{TurnId, UnixMillis},
    outcome::{Attempt, Failed, Failure, Outcome, Usage},
};
use sqlx::{Sqlite, query::Query, sqlite::SqliteArguments};
use std::{sync::LazyLock, time::Duration};

const ATTEMPT_COLUMNS: &str = "turn_id, step, provider, model, started_at, outcome, failure, detail, http_status, \
     retry_after_ms, first_text_ms, total_ms, tokens_in, tokens_out, cost, estimated";
/// How many they are.
const COLUMNS: usize = 16;
/// Rows in one statement: 640 values, far below SQLite's limit of 32,766, and most of what more would gain.
const AT_ONCE: usize = 40;

/// The rows of a turn, which lie between its beginning and its end.
pub(super) const OF_TURN: &str = "turn_id = ?1 \
     AND started_at >= COALESCE((SELECT received_at FROM turns WHERE id = ?1), 0) \
     AND started_at <= COALESCE((SELECT ended_at FROM turns WHERE id = ?1) + ?2, 9223372036854775807)";
/// So far the clock may have been set back while a turn ran, before its attempts are taken for somebody else's.
pub(super) const CLOCK_SLACK_MS: i64 = 60_000;

static INSERT_ONE: LazyLock<String> = LazyLock::new(|| insert(1));
static INSERT_MANY: LazyLock<String> = LazyLock::new(|| insert(AT_ONCE));

impl Store {
    /// Writes attempts into the ledger, all of them or none. The turns need no rows of their own: `neverdark ask` has none.
    ///
    /// # Errors
    /// When the database cannot be written; then nothing was.
    pub async fn record_all(&self, rows: &[(TurnId, Attempt)]) -> Result<(), StoreError> {
        let mut tx = self.write().await?;
        let (chunks, rest) = rows.as_chunks::<AT_ONCE>();
        for chunk in chunks {
            chunk.iter().fold(sqlx::query(INSERT_MANY.as_str()), bind).execute(&mut *tx).await?;
        }
        for row in rest {
            bind(sqlx::query(INSERT_ONE.as_str()), row).execute(&mut *tx).await?;
        }
        Ok(tx.commit().await?)
    }

    /// The attempts of a turn, in the order in which they began. It is a matter of milliseconds for a turn that is in the
    /// store; for one that is not (`neverdark ask`, the router API) the whole ledger is read.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn attempts_of(&self, turn: &TurnId) -> Result<Vec<Attempt>, StoreError> {
        let rows: Vec<AttemptRow> = sqlx::query_as(sqlx::AssertSqlSafe(format!(
            "SELECT {ATTEMPT_COLUMNS} FROM attempts WHERE {OF_TURN} ORDER BY started_at, step, id"
        )))
        .bind(&turn.0)
        .bind(CLOCK_SLACK_MS)
        .fetch_all(&self.reader)
        .await?;
        Ok(rows.into_iter().map(|row| Ok(row.read()?.1)).collect::<Result<_, sqlx::Error>>()?)
    }
}

/// The statement for so many rows.
fn insert(rows: usize) -> String {
    let row = format!("({})", vec!["?"; COLUMNS].join(", "));
    format!("INSERT INTO attempts ({ATTEMPT_COLUMNS}) VALUES {}", vec![row; rows].join(", "))
}

/// Binds one more row, in the order of [`ATTEMPT_COLUMNS`].
fn bind<'q>(
    query: Query<'q, Sqlite, SqliteArguments>,
    (turn, attempt): &(TurnId, Attempt),
) -> Query<'q, Sqlite, SqliteArguments> {
    let failed = attempt.outcome.failed();
    query
        .bind(turn.0.clone())
        .bind(i64::from(attempt.step))
        .bind(attempt.provider.clone())
        .bind(attempt.model.clone())
        .bind(attempt.started_at.0)
        .bind(attempt.outcome.as_str())
        .bind(failed.map(|it| it.failure.as_str()))
        .bind(failed.map(|it| it.detail.clone()))
        .bind(failed.and_then(|it| it.http_status).map(i64::from))
        .bind(failed.and_then(|it| it.retry_after).map(millis))
        .bind(attempt.first_text.map(millis))
        .bind(millis(attempt.total))
        .bind(attempt.usage.tokens_in.map(whole))
        .bind(attempt.usage.tokens_out.map(whole))
        .bind(attempt.cost)
        .bind(attempt.usage.is_estimated)
}

fn whole(tokens: u64) -> i64 {
    i64::try_from(tokens).unwrap_or(i64::MAX)
}

#[derive(sqlx::FromRow)]
struct AttemptRow {
    turn_id: String,
    step: i64,
    provider: String,
    model: String,
    started_at: i64,
    outcome: String,
    failure: Option<String>,
    detail: Option<String>,
    http_status: Option<i64>,
    retry_after_ms: Option<i64>,
    first_text_ms: Option<i64>,
    total_ms: i64,
    tokens_in: Option<i64>,
    tokens_out: Option<i64>,
    cost: Option<f64>,
    estimated: bool,
}

impl AttemptRow {
    fn read(self) -> Result<(TurnId, Attempt), sqlx::Error> {
        let outcome = self.outcome()?;
        let span = |ms: i64| Duration::from_millis(count(ms));
        let attempt = Attempt {
            step: u32::try_from(self.step).map_err(|_| unknown("step"))?,
            provider: self.provider,
            model: self.model,
            started_at: UnixMillis(self.started_at),
            outcome,
            first_text: self.first_text_ms.map(span),
            total: span(self.total_ms),
            usage: Usage {
                tokens_in: self.tokens_in.map(count),
                tokens_out: self.tokens_out.map(count),
                is_estimated: self.estimated,
            },
            cost: self.cost,
        };
        Ok((TurnId(self.turn_id), attempt))
    }

    fn outcome(&self) -> Result<Outcome, sqlx::Error> {
        match (self.outcome.as_str(), self.failure.as_deref().and_then(Failure::parse)) {
            ("answered", _) => Ok(Outcome::Answered),
            ("overtaken", _) => Ok(Outcome::Overtaken),
            ("cancelled", _) => Ok(Outcome::Cancelled),
            ("failed", Some(failure)) => Ok(Outcome::Failed(Failed {
                failure,
                http_status: self.http_status.and_then(|it| u16::try_from(it).ok()),
                retry_after: self.retry_after_ms.map(|ms| Duration::from_millis(count(ms))),
                detail: self.detail.clone().unwrap_or_default(),
                request_id: None,
            })),
            _ => Err(unknown("outcome")),
        }
    }
}
