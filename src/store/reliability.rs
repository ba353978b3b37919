//! What the ledger says: how reliable and how fast each provider was, and how turns ended.

use super::{Store, StoreError, count};
use crate::message::UnixMillis;
use std::collections::BTreeMap;

/// What the ledger says about one provider in a stretch of time.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ProviderReliability {
    /// Its name as configured.
    pub provider: String,
    /// Attempts.
    pub calls: u64,
    /// Attempts that gave a whole answer.
    pub answered: u64,
    /// Attempts that failed.
    pub failed: u64,
    /// Attempts that lost a race.
    pub overtaken: u64,
    /// Attempts that nobody waited for any more.
    pub cancelled: u64,
    /// How often it failed in which way, the most frequent first.
    pub failures: Vec<(String, u64)>,
    /// From the call to the first text, in milliseconds, half of the attempts that gave any were as fast (nearest rank).
    pub p50_first_text_ms: Option<u64>,
    /// The same for 95 in 100 attempts.
    pub p95_first_text_ms: Option<u64>,
    /// From the call to the end, in milliseconds, half of the attempts that answered were as fast (nearest rank).
    pub p50_total_ms: Option<u64>,
    /// 👍 given to its answers in that time.
    pub liked: u64,
    /// 👎 given to its answers in that time.
    pub disliked: u64,
    /// Tokens of all prompts, as far as they were counted.
    pub tokens_in: u64,
    /// Tokens of all answers, as far as they were counted.
    pub tokens_out: u64,
    /// Money, as far as prices are configured.
    pub cost: f64,
    /// Whether some of these tokens, and so of the money, are reckoned and not counted by the provider.
    pub is_estimated: bool,
}

impl Store {
    /// How turns ended since a moment: the state's word and how many, by word.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn turn_ends(&self, since: UnixMillis) -> Result<Vec<(String, u64)>, StoreError> {
        let rows: Vec<(String, i64)> = sqlx::query_as(
            "SELECT state, COUNT(*) FROM turns WHERE ended_at >= ? GROUP BY state ORDER BY state",
        )
        .bind(since.0)
        .fetch_all(&self.reader)
        .await?;
        Ok(rows.into_iter().map(|(state, number)| (state, count(number))).collect())
    }

    /// How reliable each provider was, for the attempts that began at or after `since` and before `until`; by name.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn reliability(
        &self,
        since: UnixMillis,
        until: UnixMillis,
    ) -> Result<Vec<ProviderReliability>, StoreError> {
        let mut found: BTreeMap<String, ProviderReliability> = BTreeMap::new();
        for row in self.totals(since, until).await? {
            found.insert(row.provider.clone(), row);
        }
        for (provider, failure, number) in self.failures(since, until).await? {
            if let Some(it) = found.get_mut(&provider) {
                it.failures.push((failure, count(number)));
            }
        }
        for (provider, p50, p95) in self.quantiles(FIRST_TEXT, since, until).await? {
            if let Some(it) = found.get_mut(&provider) {
                (it.p50_first_text_ms, it.p95_first_text_ms) = (Some(count(p50)), Some(count(p95)));
            }
        }
        for (provider, p50, _) in self.quantiles(TOTAL, since, until).await? {
            if let Some(it) = found.get_mut(&provider) {
                it.p50_total_ms = Some(count(p50));
            }
        }
        for (provider, (liked, disliked)) in self.votes(since, until).await? {
            if let Some(it) = found.get_mut(&provider) {
                (it.liked, it.disliked) = (liked, disliked);
            }
        }
        Ok(found.into_values().collect())
    }

    /// The money that each provider took, by its name, for the attempts that began at or after `since`. Who has no price is
    /// not in it.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn spent_since(&self, since: UnixMillis) -> Result<BTreeMap<String, f64>, StoreError> {
        let rows: Vec<(String, f64)> = sqlx::query_as(
            "SELECT provider, SUM(cost) FROM attempts WHERE started_at >= ? AND cost IS NOT NULL GROUP BY provider",
        )
        .bind(since.0)
        .fetch_all(&self.reader)
        .await?;
        Ok(rows.into_iter().collect())
    }

    async fn totals(
        &self,
        since: UnixMillis,
        until: UnixMillis,
    ) -> Result<Vec<ProviderReliability>, sqlx::Error> {
        type Row = (String, i64, i64, i64, i64, i64, i64, i64, f64, bool);
        let rows: Vec<Row> = sqlx::query_as(
            "SELECT provider, COUNT(*),
                    COALESCE(SUM(CASE WHEN outcome = 'answered' THEN 1 ELSE 0 END), 0),
                    COALESCE(SUM(CASE WHEN outcome = 'failed' THEN 1 ELSE 0 END), 0),
                    COALESCE(SUM(CASE WHEN outcome = 'overtaken' THEN 1 ELSE 0 END), 0),
                    COALESCE(SUM(CASE WHEN outcome = 'cancelled' THEN 1 ELSE 0 END), 0),
                    COALESCE(SUM(tokens_in), 0), COALESCE(SUM(tokens_out), 0), COALESCE(SUM(cost), 0.0),
                    MAX(estimated)
             FROM attempts WHERE started_at >= ? AND started_at < ? GROUP BY provider",
        )
        .bind(since.0)
        .bind(until.0)
        .fetch_all(&self.reader)
        .await?;
        let read = |row: Row| {
            let (provider, calls, answered, failed, overtaken, cancelled, tokens_in, tokens_out, ..) = row;
            ProviderReliability {
                provider,
                calls: count(calls),
                answered: count(answered),
                failed: count(failed),
                overtaken: count(overtaken),
                cancelled: count(cancelled),
                tokens_in: count(tokens_in),
                tokens_out: count(tokens_out),
                cost: row.8,
                is_estimated: row.9,
                ..ProviderReliability::default()
            }
        };
        Ok(rows.into_iter().map(read).collect())
    }

    async fn failures(
        &self,
        since: UnixMillis,
        until: UnixMillis,
    ) -> Result<Vec<(String, String, i64)>, sqlx::Error> {
        sqlx::query_as(
            "SELECT provider, failure, COUNT(*) AS number FROM attempts
             WHERE started_at >= ? AND started_at < ? AND failure IS NOT NULL
             GROUP BY provider, failure ORDER BY provider, number DESC, failure",
        )
        .bind(since.0)
        .bind(until.0)
        .fetch_all(&self.reader)
        .await
    }

    /// Each provider's median and 95th percentile by `statement`, exact: the value at the nearest rank.
    async fn quantiles(
        &self,
        statement: &'static str,
        since: UnixMillis,
        until: UnixMillis,
    ) -> Result<Vec<(String, i64, i64)>, sqlx::Error> {
        sqlx::query_as(statement).bind(since.0).bind(until.0).fetch_all(&self.reader).await
    }
}

macro_rules! quantiles {
    ($column:literal, $of:literal) => {
        concat!(
            "SELECT provider, MAX(CASE WHEN place = (number * 50 + 99) / 100 THEN ms END),
                    MAX(CASE WHEN place = (number * 95 + 99) / 100 THEN ms END)
             FROM (SELECT provider, ",
            $column,
            " AS ms, COUNT(*) OVER (PARTITION BY provider) AS number,
                          ROW_NUMBER() OVER (PARTITION BY provider ORDER BY ",
            $column,
            ") AS place
                   FROM attempts WHERE started_at >= ? AND started_at < ? AND ",
            $of,
            ") AS ranked
             GROUP BY provider"
        )
    };
}

/// Time to the first text, of every attempt that gave any: a loser's is as true as a winner's.
const FIRST_TEXT: &str = quantiles!("first_text_ms", "first_text_ms IS NOT NULL");

/// Time to the end, of attempts that answered: those that were cut off would make a slow provider look fast.
const TOTAL: &str = quantiles!("total_ms", "outcome = 'answered'");
