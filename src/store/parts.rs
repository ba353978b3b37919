//! Which messages show which part of a reply.

use super::{Store, StoreError, Unfinished, turn_rows::TurnRow};
use crate::message::{MessageId, TurnId};
use std::collections::HashMap;

/// The parts of a reply, in its order: their places and messages.
type Parts = Vec<(u32, MessageId)>;

impl Store {
    /// The messages that show a turn's reply, in its order.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn parts_of(&self, turn: &TurnId) -> Result<Parts, StoreError> {
        let rows: Vec<(i64, i64)> =
            sqlx::query_as("SELECT part, message_id FROM reply_parts WHERE turn_id = ? ORDER BY part")
                .bind(&turn.0)
                .fetch_all(&self.reader)
                .await?;
        Ok(rows.into_iter().map(part).collect())
    }

    /// These turns, which have not ended, with what is shown of their replies.
    pub(super) async fn with_parts(&self, turns: Vec<TurnRow>) -> Result<Vec<Unfinished>, StoreError> {
        let rows: Vec<(String, i64, i64)> = sqlx::query_as(
            "SELECT p.turn_id, p.part, p.message_id FROM reply_parts p JOIN turns t ON t.id = p.turn_id
             WHERE t.ended_at IS NULL ORDER BY p.turn_id, p.part",
        )
        .fetch_all(&self.reader)
        .await?;
        let mut by_turn: HashMap<String, Parts> = HashMap::new();
        for (turn, place, message) in rows {
            by_turn.entry(turn).or_default().push(part((place, message)));
        }
        let whole = |row: TurnRow| {
            let parts = by_turn.remove(&row.id).unwrap_or_default();
            let (turn, again) = (TurnId(row.id.clone()), row.again());
            Ok(Unfinished { turn, inbound: row.inbound()?, parts, again })
        };
        turns.into_iter().map(whole).collect()
    }
}

fn part((place, message): (i64, i64)) -> (u32, MessageId) {
    (u32::try_from(place).unwrap_or(u32::MAX), MessageId(message.cast_unsigned()))
}
