//! 👍 and 👎: one vote a person and answer, with the call that gave the answer.

use super::{Store, StoreError, count};
use crate::{
    message::{GuildId, TurnId, UnixMillis, UserId},
    outcome::{Lesson, Outcome, Taught},
};
use std::collections::BTreeMap;

/// What became of a vote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vote {
    /// Against what the person thought before.
    pub change: Change,
    /// Whether they like the answer.
    pub liked: bool,
    /// Where it was given; none in a direct message.
    pub server: Option<GuildId>,
    /// Whose answer it is.
    pub provider: String,
}

/// A vote against what the same person thought before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// It is their first.
    New,
    /// They thought otherwise.
    Turned,
    /// They thought the same: it is taken back.
    TakenBack,
}

impl Vote {
    /// What it teaches, while it stands.
    #[must_use]
    pub fn lesson(&self) -> Lesson {
        let taught = if self.liked { Taught::Liked } else { Taught::Disliked };
        Lesson { server: self.server, provider: self.provider.clone(), taught }
    }
}

/// Each provider's votes: how many liked its answers, and how many did not.
pub type Votes = BTreeMap<String, (u64, u64)>;

impl Store {
    /// Keeps whether a person likes the answer that stands in a turn's reply, in place of what they thought before; the same
    /// again takes it back. None when there is no such answer (any more).
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn vote(
        &self,
        turn: &TurnId,
        user: UserId,
        liked: bool,
        at: UnixMillis,
    ) -> Result<Option<Vote>, StoreError> {
        let Some((turn, provider)) = self.answered_by(turn).await? else { return Ok(None) };
        let calls = self.attempts_of(&turn).await?;
        let call = calls.iter().rfind(|it| it.outcome == Outcome::Answered && it.provider == provider);
        let value = if liked { 1 } else { -1 };
        let mut tx = self.write().await?;
        let server: Option<Option<i64>> = sqlx::query_scalar("SELECT guild_id FROM turns WHERE id = ?")
            .bind(&turn.0)
            .fetch_optional(&mut *tx)
            .await?;
        let Some(server) = server else { return Ok(None) }; // It was pruned meanwhile.
        let before: Option<i64> =
            sqlx::query_scalar("SELECT value FROM feedback WHERE turn_id = ? AND user_id = ?")
                .bind(&turn.0)
                .bind(user.0.cast_signed())
                .fetch_optional(&mut *tx)
                .await?;
        let change = match before {
            None => Change::New,
            Some(before) if before == value => Change::TakenBack,
            Some(_) => Change::Turned,
        };
        let query = if change == Change::TakenBack {
            sqlx::query("DELETE FROM feedback WHERE turn_id = ?1 AND user_id = ?2")
        } else {
            sqlx::query(
                "INSERT INTO feedback (turn_id, user_id, value, at, step, provider, model) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
                 ON CONFLICT (turn_id, user_id) DO UPDATE SET value = excluded.value, at = excluded.at",
            )
        };
        let query = query.bind(&turn.0).bind(user.0.cast_signed());
        let query = match change {
            Change::TakenBack => query,
            Change::New | Change::Turned => query
                .bind(value)
                .bind(at.0)
                .bind(call.map(|it| i64::from(it.step)))
                .bind(&provider)
                .bind(call.map(|it| it.model.as_str())),
        };
        query.execute(&mut *tx).await?;
        tx.commit().await?;
        let server = server.map(|it| GuildId(it.cast_unsigned()));
        Ok(Some(Vote { change, liked, server, provider }))
    }

    /// The votes of a stretch of time by provider: given at or after `since` and before `until`.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn votes(&self, since: UnixMillis, until: UnixMillis) -> Result<Votes, StoreError> {
        let rows: Vec<(String, i64, i64)> = sqlx::query_as(
            "SELECT COALESCE(f.provider, t.provider) AS name, SUM(f.value > 0), SUM(f.value < 0)
             FROM feedback f JOIN turns t ON t.id = f.turn_id
             WHERE f.at >= ? AND f.at < ? AND COALESCE(f.provider, t.provider) IS NOT NULL GROUP BY name",
        )
        .bind(since.0)
        .bind(until.0)
        .fetch_all(&self.reader)
        .await?;
        Ok(rows.into_iter().map(|(name, up, down)| (name, (count(up), count(down)))).collect())
    }
}
