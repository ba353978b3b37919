//! The ledger: every call to a provider is one row.

use super::{Store, StoreError, count, millis, words::unknown};
use crate::{
    message::{TurnId, UnixMillis},
    outcome::{Attempt, Failed, Failure, Outcome, Usage},
};
use std::time::Duration;

const ATTEMPT_COLUMNS: &str = "turn_id, step, provider, model, started_at, outcome, failure, detail, http_status, \
     retry_after_ms, first_text_ms, total_ms, tokens_in, tokens_out, cost";

impl Store {
    /// Writes an attempt into the ledger. The turn needs no row of its own: `neverdark ask` has none.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn record(&self, turn: &TurnId, attempt: &Attempt) -> Result<(), StoreError> {
        let failed = attempt.outcome.failed();
        sqlx::query(
            "INSERT INTO attempts (turn_id, step, provider, model, started_at, outcome, failure, detail, http_status,
                                   retry_after_ms, first_text_ms, total_ms, tokens_in, tokens_out, cost)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        )
        .bind(&turn.0)
        .bind(i64::from(attempt.step))
        .bind(&attempt.provider)
        .bind(&attempt.model)
        .bind(attempt.started_at.0)
        .bind(attempt.outcome.as_str())
        .bind(failed.map(|it| it.failure.as_str()))
        .bind(failed.map(|it| it.detail.as_str()))
        .bind(failed.and_then(|it| it.http_status).map(i64::from))
        .bind(failed.and_then(|it| it.retry_after).map(millis))
        .bind(attempt.first_text.map(millis))
        .bind(millis(attempt.total))
        .bind(attempt.usage.tokens_in.map(whole))
        .bind(attempt.usage.tokens_out.map(whole))
        .bind(attempt.cost)
        .execute(&self.writer)
        .await?;
        Ok(())
    }

    /// The attempts of a turn, in the order in which they began.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn attempts_of(&self, turn: &TurnId) -> Result<Vec<Attempt>, StoreError> {
        let rows: Vec<AttemptRow> = sqlx::query_as(sqlx::AssertSqlSafe(format!(
            "SELECT {ATTEMPT_COLUMNS} FROM attempts WHERE turn_id = ? ORDER BY started_at, step, id"
        )))
        .bind(&turn.0)
        .fetch_all(&self.reader)
        .await?;
        Ok(rows.into_iter().map(|row| Ok(row.read()?.1)).collect::<Result<_, sqlx::Error>>()?)
    }

    /// The last attempts that failed, the newest first.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn last_failures(&self, limit: u32) -> Result<Vec<(TurnId, Attempt)>, StoreError> {
        let rows: Vec<AttemptRow> = sqlx::query_as(sqlx::AssertSqlSafe(format!(
            "SELECT {ATTEMPT_COLUMNS} FROM attempts WHERE outcome = 'failed' ORDER BY started_at DESC, id DESC LIMIT ?"
        )))
        .bind(i64::from(limit))
        .fetch_all(&self.reader)
        .await?;
        Ok(rows.into_iter().map(AttemptRow::read).collect::<Result<_, _>>()?)
    }
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
                is_estimated: false,
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
