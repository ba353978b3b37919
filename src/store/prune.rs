//! Lets go of what is older than the operator wants to keep.

use super::{Store, StoreError};
use crate::message::UnixMillis;

/// How many rows went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pruned {
    /// Lines of conversations; answers that went with their questions are not counted.
    pub messages: u64,
    /// Rows of the ledger.
    pub attempts: u64,
    /// Ended turns with their parts and feedback.
    pub turns: u64,
}

/// Rows in one statement: some milliseconds, so that a member's message never waits long for the writer.
const BATCH: i64 = 500;

impl Store {
    /// Deletes lines older than `messages_before`, and attempts, ended turns, empty conversations and expired choices older
    /// than `outcomes_before`; in small steps, between which others write.
    ///
    /// # Errors
    /// When the database cannot be written; what went until then stays away.
    pub async fn prune(
        &self,
        messages_before: UnixMillis,
        outcomes_before: UnixMillis,
    ) -> Result<Pruned, StoreError> {
        let messages = self
            .delete(
                "DELETE FROM messages WHERE id IN (SELECT id FROM messages WHERE created_at < ? LIMIT ?)",
                messages_before,
            )
            .await?;
        let attempts = self
            .delete(
                "DELETE FROM attempts WHERE id IN (SELECT id FROM attempts WHERE started_at < ? LIMIT ?)",
                outcomes_before,
            )
            .await?;
        let turns = self
            .delete(
                "DELETE FROM turns WHERE id IN (SELECT id FROM turns WHERE ended_at < ? LIMIT ?)",
                outcomes_before,
            )
            .await?;
        self.delete(
            "DELETE FROM conversations WHERE id IN (SELECT c.id FROM conversations c WHERE c.updated_at < ?
               AND NOT EXISTS (SELECT 1 FROM turns t WHERE t.conversation_id = c.id)
               AND NOT EXISTS (SELECT 1 FROM messages m WHERE m.conversation_id = c.id) LIMIT ?)",
            outcomes_before,
        )
        .await?;
        self.delete(
            "DELETE FROM pins WHERE (scope, scope_id) IN (SELECT scope, scope_id FROM pins WHERE until < ? LIMIT ?)",
            outcomes_before,
        )
        .await?;
        self.delete(
            "DELETE FROM disabled_providers WHERE (guild_id, provider) IN
               (SELECT guild_id, provider FROM disabled_providers WHERE until < ? LIMIT ?)",
            outcomes_before,
        )
        .await?;
        self.delete(
            "DELETE FROM quiet_posts WHERE channel_id IN (SELECT channel_id FROM quiet_posts WHERE at < ? LIMIT ?)",
            outcomes_before,
        )
        .await?;
        Ok(Pruned { messages, attempts, turns })
    }

    /// Runs `statement` with a time and a number of rows until nothing is left to delete.
    async fn delete(&self, statement: &'static str, before: UnixMillis) -> Result<u64, StoreError> {
        let mut gone = 0;
        loop {
            let done = sqlx::query(statement)
                .bind(before.0)
                .bind(BATCH)
                .execute(&self.writer)
                .await?
                .rows_affected();
            gone += done;
            if done == 0 {
                return Ok(gone);
            }
        }
    }
}
