//! What the lines need to know: which turns wait for a provider to be back, and whether a message has a turn.

use super::{Store, StoreError};
use crate::message::{MessageId, TurnId};

impl Store {
    /// Notes that a turn waits until somebody can be reached. Says false when it has ended already.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn set_queued(&self, turn: &TurnId) -> Result<bool, StoreError> {
        let done = sqlx::query("UPDATE turns SET state = 'queued' WHERE id = ? AND ended_at IS NULL")
            .bind(&turn.0)
            .execute(&self.writer)
            .await?;
        Ok(done.rows_affected() > 0)
    }

    /// The turns that are queued.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn queued(&self) -> Result<Vec<TurnId>, StoreError> {
        let rows: Vec<(String,)> =
            sqlx::query_as("SELECT id FROM turns WHERE ended_at IS NULL AND state = 'queued'")
                .fetch_all(&self.reader)
                .await?;
        Ok(rows.into_iter().map(|(id,)| TurnId(id)).collect())
    }

    /// Whether a message was claimed before.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn has_turn(&self, message: MessageId) -> Result<bool, StoreError> {
        let found = sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM turns WHERE discord_message_id = ?)")
            .bind(message.0.cast_signed())
            .fetch_one(&self.reader)
            .await?;
        Ok(found)
    }
}
