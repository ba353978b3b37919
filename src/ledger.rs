//! Writes every call to a provider into the metrics, the log and the store, without anybody waiting for the disk.
//!
//! **The problem.** A turn must not wait until SQLite has synced a row, and thousands of calls a second must not be thousands
//! of transactions. **The rule.** Rows are kept in memory and written together, [`EVERY`] or as soon as there are many; an
//! attempt's row is there within a second of its end. **The limits.** `kill -9` loses what was not written yet; when the store
//! takes nothing, the oldest rows beyond [`MOST_ROWS`] are dropped, counted, and the log says so once.

use crate::{
    message::TurnId,
    metrics::Metrics,
    outcome::{Attempt, Outcome},
    store::Store,
};
use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{sync::Notify, time::timeout};
use tracing::{debug, error, warn};

/// How long a row waits for others at most.
const EVERY: Duration = Duration::from_millis(200);
/// So many rows are written at once without waiting for more.
const MANY_ROWS: usize = 256;
/// The most rows kept in memory: at 300 bytes a row, some MiB.
const MOST_ROWS: usize = 20_000;

/// The ledger of a process. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Ledger(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    store: Store,
    metrics: Arc<Metrics>,
    rows: Mutex<VecDeque<(TurnId, Attempt)>>,
    many: Notify,
    writing: tokio::sync::Mutex<()>,
}

impl Ledger {
    /// A ledger that is kept in this store. Nothing is written before [`Ledger::keep`] or [`Ledger::flush`] runs.
    #[must_use]
    pub fn new(store: Store, metrics: Arc<Metrics>) -> Self {
        let (rows, many, writing) = (Mutex::default(), Notify::new(), tokio::sync::Mutex::default());
        Self(Arc::new(Inner { store, metrics, rows, many, writing }))
    }

    /// Takes note of a call that ended.
    pub fn note(&self, turn: &TurnId, attempt: &Attempt) {
        self.0.metrics.attempt(attempt);
        log(turn, attempt);
        let mut rows = self.0.rows.lock().unwrap_or_else(PoisonError::into_inner);
        if rows.len() == MOST_ROWS {
            rows.pop_front();
        }
        rows.push_back((turn.clone(), attempt.clone()));
        if rows.len() == MANY_ROWS {
            self.0.many.notify_one();
        }
    }

    /// Writes what is noted, now.
    pub async fn flush(&self) {
        let _one_at_a_time = self.0.writing.lock().await;
        let rows = std::mem::take(&mut *self.0.rows.lock().unwrap_or_else(PoisonError::into_inner));
        for (turn, attempt) in &rows {
            if let Err(failure) = self.0.store.record(turn, attempt).await {
                error!(error = %failure, provider = attempt.provider, "a call could not be written into the ledger");
            }
        }
    }

    /// Writes what is noted, for ever.
    pub async fn keep(&self) -> std::convert::Infallible {
        loop {
            let _ = timeout(EVERY, self.0.many.notified()).await;
            self.flush().await;
        }
    }
}

/// A failure once, where it is handled; what went well only for those who look closely.
fn log(turn: &TurnId, attempt: &Attempt) {
    let took_ms = u64::try_from(attempt.total.as_millis()).unwrap_or(u64::MAX);
    let (provider, step) = (attempt.provider.as_str(), attempt.step);
    match &attempt.outcome {
        Outcome::Failed(failed) => warn!(
            %turn,
            provider,
            step,
            failure = %failed.failure,
            http_status = failed.http_status,
            detail = failed.detail,
            request_id = failed.request_id,
            took_ms,
            "{provider} failed: {failed}"
        ),
        outcome => {
            let outcome = outcome.as_str();
            debug!(%turn, provider, step, outcome, took_ms, "{provider} {outcome} after {took_ms} ms");
        }
    }
}
