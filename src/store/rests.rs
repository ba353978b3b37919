//! Which providers are left alone for now, so that a restart does not ask them too early.

use super::{Store, StoreError, words::unknown};
use crate::{
    message::UnixMillis,
    outcome::{Failure, Rest},
};

impl Store {
    /// Keeps these rests and forgets all others, at once. Of two of one provider and model the last is kept.
    ///
    /// # Errors
    /// When the database cannot be written; then the rests of before are kept.
    pub async fn keep_rests(&self, rests: &[Rest]) -> Result<(), StoreError> {
        let mut tx = self.write().await?;
        sqlx::query("DELETE FROM rests").execute(&mut *tx).await?;
        for rest in rests {
            sqlx::query(
                "INSERT OR REPLACE INTO rests (provider, model, why, until, probe, rests) VALUES (?, ?, ?, ?, ?, ?)",
            )
            .bind(&rest.provider)
            .bind(&rest.model)
            .bind(rest.why.as_str())
            .bind(rest.until.0)
            .bind(rest.probe)
            .bind(rest.rests)
            .execute(&mut *tx)
            .await?;
        }
        Ok(tx.commit().await?)
    }

    /// The rests that were kept last, by provider and model; also those that are over by now.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn rests(&self) -> Result<Vec<Rest>, StoreError> {
        let rows: Vec<(String, String, String, i64, bool, u32)> = sqlx::query_as(
            "SELECT provider, model, why, until, probe, rests FROM rests ORDER BY provider, model",
        )
        .fetch_all(&self.reader)
        .await?;
        let read = |(provider, model, why, until, probe, rests): (String, String, String, _, _, _)| {
            let why = Failure::parse(&why).ok_or_else(|| unknown("why"))?;
            Ok(Rest { provider, model, why, until: UnixMillis(until), probe, rests })
        };
        Ok(rows.into_iter().map(read).collect::<Result<_, sqlx::Error>>()?)
    }
}
