//! Writes every call to a provider into the metrics, the log and the store, without anybody waiting for the disk.
//!
//! **The problem.** A turn must not wait until SQLite has synced a row, and thousands of calls a second must not be thousands
//! of transactions. **The rule.** Rows are kept in memory and written together, after `EVERY` or as soon as there are
//! `MANY_ROWS`; an attempt's row is there within a second of its end. What the store refuses is kept and tried again. **The
//! limits.** `kill -9` loses what was not written yet; when the store takes nothing, the oldest rows beyond `MOST_ROWS` are
//! lost and counted, and the log says so once.

mod storm;
#[cfg(test)]
mod tests;

use crate::{
    message::TurnId,
    metrics::Metrics,
    outcome::{Attempt, Failed, Outcome},
    store::Store,
};
use std::{
    collections::VecDeque,
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use storm::Storm;
use tokio::{
    sync::{Notify, OwnedMutexGuard},
    time::{Instant, sleep, timeout},
};
use tracing::{debug, error, info, warn};

/// How long a row waits for others at most.
const EVERY: Duration = Duration::from_millis(200);
/// How long a store that refused is left alone.
const AGAIN_AFTER: Duration = Duration::from_secs(1);
/// How long [`Ledger::flush`] waits: who asks for the ledger gets an answer also when the store takes nothing.
const FLUSH_WITHIN: Duration = Duration::from_secs(2);
/// So many rows are written at once without waiting for more; and no more in one transaction, so that a member's message
/// does not wait long for the writer.
const MANY_ROWS: usize = 1000;
/// The most rows kept in memory: some MiB.
const MOST_ROWS: usize = 20_000;

type Row = (TurnId, Attempt);

/// The ledger of a process. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Ledger(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    store: Store,
    metrics: Arc<Metrics>,
    waiting: Mutex<Waiting>,
    storm: Mutex<Storm>,
    /// A row waits, where none did.
    noted: Notify,
    /// [`MANY_ROWS`] wait.
    many: Notify,
    /// Held by whoever writes.
    writing: Arc<tokio::sync::Mutex<Writing>>,
}

/// The rows to be written, the oldest first.
#[derive(Debug, Default)]
struct Waiting {
    rows: VecDeque<Row>,
    /// How many were lost since the log last said that all is well.
    lost: u64,
}

#[derive(Debug, Default)]
struct Writing {
    is_refused: bool,
}

impl Ledger {
    /// A ledger that is kept in this store. Nothing is written before [`Ledger::keep`] or [`Ledger::flush`] runs.
    #[must_use]
    pub fn new(store: Store, metrics: Arc<Metrics>) -> Self {
        Self(Arc::new(Inner {
            store,
            metrics,
            waiting: Mutex::default(),
            storm: Mutex::default(),
            noted: Notify::new(),
            many: Notify::new(),
            writing: Arc::default(),
        }))
    }

    /// Takes note of a call that ended. Never waits for the store.
    pub fn note(&self, turn: &TurnId, attempt: Attempt) {
        self.0.metrics.attempt(&attempt);
        self.0.log(turn, &attempt);
        match self.0.add((turn.clone(), attempt)) {
            1 => self.0.noted.notify_one(),
            MANY_ROWS => self.0.many.notify_one(),
            _ => {}
        }
    }

    /// Writes what is noted, now, and waits for it, for two seconds at most. What the store refuses is kept, and tried again
    /// by [`Ledger::keep`].
    pub async fn flush(&self) {
        let _ = timeout(FLUSH_WITHIN, self.write_all()).await;
    }

    /// Writes what is noted, for ever. Sleeps while there is nothing to do.
    pub async fn keep(&self) -> std::convert::Infallible {
        loop {
            if self.0.waiting().rows.is_empty() {
                self.rest().await;
            }
            self.0.tell_left_out(Instant::now());
            // Others may come, and are written with it.
            let _ = timeout(EVERY, self.0.many.notified()).await;
            while !self.write_all().await {
                sleep(AGAIN_AFTER).await;
            }
        }
    }

    /// Waits for a row; meanwhile it is told which failures were not logged.
    async fn rest(&self) {
        let noted = self.0.noted.notified();
        tokio::pin!(noted);
        while !self.0.storm().is_over() {
            if timeout(storm::STRETCH, &mut noted).await.is_ok() {
                return;
            }
            self.0.tell_left_out(Instant::now());
        }
        noted.await;
    }

    /// Writes what is noted; says whether the store took it.
    async fn write_all(&self) -> bool {
        let permit = Arc::clone(&self.0.writing).lock_owned().await;
        let inner = Arc::clone(&self.0);
        #[expect(
            clippy::disallowed_methods,
            reason = "the next flush waits for it; and who goes away, such as a page's reader, must not leave rows behind \
                      of which nobody knows whether they were written"
        )]
        let written = tokio::spawn(async move { inner.write_all(permit).await });
        // It neither panics nor is it aborted while somebody waits for it.
        written.await.unwrap_or(false)
    }
}

impl Inner {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn storm(&self) -> MutexGuard<'_, Storm> {
        self.storm.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a row, in place of the oldest when there are too many. Says how many wait now.
    fn add(&self, row: Row) -> usize {
        let mut waiting = self.waiting();
        let oldest = if waiting.rows.len() < MOST_ROWS { None } else { waiting.rows.pop_front() };
        waiting.rows.push_back(row);
        let number = waiting.rows.len();
        self.lost(waiting, oldest.iter().len());
        number
    }

    /// Writes the rows that wait now, in bounded steps; the first that is refused goes back with those behind it.
    async fn write_all(&self, mut writing: OwnedMutexGuard<Writing>) -> bool {
        let mut left = self.waiting().rows.len();
        while left > 0 {
            let rows: Vec<Row> = {
                let mut waiting = self.waiting();
                let number = left.min(MANY_ROWS).min(waiting.rows.len());
                waiting.rows.drain(..number).collect()
            };
            left -= left.min(MANY_ROWS);
            if let Err(failure) = self.store.record_all(&rows).await {
                self.put_back(rows);
                if !mem::replace(&mut writing.is_refused, true) {
                    error!(error = %failure, "calls cannot be written into the ledger; they are kept and tried again");
                }
                return false;
            }
            if mem::take(&mut writing.is_refused) {
                info!("calls are written into the ledger again");
            }
        }
        self.settle();
        true
    }

    /// Puts rows back before those that came meanwhile, as many as there is room for.
    fn put_back(&self, rows: Vec<Row>) {
        let mut waiting = self.waiting();
        let too_many = (waiting.rows.len() + rows.len()).saturating_sub(MOST_ROWS);
        for row in rows.into_iter().skip(too_many).rev() {
            waiting.rows.push_front(row);
        }
        self.lost(waiting, too_many);
        self.noted.notify_one();
    }

    /// Counts rows that are lost; the first since all was well is told.
    fn lost(&self, mut waiting: MutexGuard<'_, Waiting>, rows: usize) {
        if rows == 0 {
            return;
        }
        let is_first = waiting.lost == 0;
        waiting.lost += rows as u64;
        drop(waiting);
        self.metrics.rows_lost(rows as u64);
        if is_first {
            error!("more than {MOST_ROWS} calls wait to be written into the ledger: the oldest are lost");
        }
    }

    /// Says how many rows were lost, once the store keeps up again, and gives back the memory of a long wait.
    fn settle(&self) {
        let mut waiting = self.waiting();
        if waiting.rows.len() > MANY_ROWS {
            return;
        }
        waiting.rows.shrink_to(2 * MANY_ROWS);
        let lost = mem::take(&mut waiting.lost);
        drop(waiting);
        if lost > 0 {
            warn!(lost, "{lost} calls are missing in the ledger; now it has room again");
        }
    }

    /// A failure once, where it is handled; what went well only for those who look closely.
    fn log(&self, turn: &TurnId, attempt: &Attempt) {
        let (provider, step) = (attempt.provider.as_str(), attempt.step);
        let took_ms = u64::try_from(attempt.total.as_millis()).unwrap_or(u64::MAX);
        match &attempt.outcome {
            Outcome::Failed(failed) => {
                let admitted = self.storm().admit(provider, Instant::now());
                let Some(left_out) = admitted else { return };
                tell_left_out(provider, left_out);
                let Failed { failure, http_status, detail, request_id, .. } = failed;
                warn!(%turn, provider, step, %failure, http_status, detail, request_id, took_ms, "{provider} failed: {failed}");
            }
            outcome => {
                let outcome = outcome.as_str();
                debug!(%turn, provider, step, outcome, took_ms, "{provider} {outcome} after {took_ms} ms");
            }
        }
    }

    fn tell_left_out(&self, now: Instant) {
        let untold = self.storm().untold(now);
        for (provider, left_out) in untold {
            tell_left_out(&provider, left_out);
        }
    }
}

/// A process that ends well has written everything.
impl Drop for Inner {
    fn drop(&mut self) {
        let rows = self.waiting.get_mut().unwrap_or_else(PoisonError::into_inner).rows.len();
        if rows > 0 {
            error!(rows, "{rows} calls were never written into the ledger");
        }
    }
}

fn tell_left_out(provider: &str, left_out: u64) {
    if left_out > 0 {
        warn!(provider, left_out, "{provider} failed {left_out} times more, which are not logged one by one");
    }
}
