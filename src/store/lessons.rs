//! What the strategy `adaptive` learns from: how calls went, and what people thought of the answers.
//!
//! **The problem.** What was learned has to survive a restart, and must not be kept twice. **The rule.** The ledger and the
//! feedback are the memory: their newest rows are learned again. **The limits.** A question's own faults teach nothing of the
//! provider; a loser's and a cancelled call neither.

use super::{Store, StoreError, count, words::unknown};
use crate::{
    message::GuildId,
    outcome::{Lesson, Taught},
};
use std::time::Duration;

/// The newest lessons that are learned again: with a half-life of a hundred, older ones weigh nothing.
pub const LESSONS_KEPT: u32 = 5000;

/// The newest lessons, the newest first. A call taught when it ended; ids grow in the order in which calls ended.
pub(super) const LESSONS: &str = "
    SELECT guild_id, provider, taught, first_text_ms, cost FROM (
        SELECT * FROM (
            SELECT a.started_at + a.total_ms AS at, t.guild_id, a.provider, a.outcome AS taught,
                   COALESCE(a.first_text_ms, a.total_ms) AS first_text_ms, a.cost
            FROM attempts a LEFT JOIN turns t ON t.id = a.turn_id
            WHERE a.outcome = 'answered' OR a.outcome = 'failed' AND a.failure NOT IN
                ('context_too_long', 'content_filtered', 'unsupported_parameter', 'bad_request')
            ORDER BY a.id DESC LIMIT ?1)
        UNION ALL
        SELECT * FROM (
            SELECT f.at, t.guild_id, t.provider, CASE WHEN f.value > 0 THEN 'liked' ELSE 'disliked' END, NULL, NULL
            FROM feedback f JOIN turns t ON t.id = f.turn_id
            WHERE t.state = 'answered' AND t.provider IS NOT NULL
            ORDER BY f.at DESC LIMIT ?1)
        ORDER BY at DESC LIMIT ?1)";

impl Store {
    /// The newest `most` lessons, the oldest of them first: calls that answered or failed by the provider's fault, and
    /// feedback, for the provider that gave the answer.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn lessons(&self, most: u32) -> Result<Vec<Lesson>, StoreError> {
        let rows: Vec<LessonRow> =
            sqlx::query_as(LESSONS).bind(i64::from(most)).fetch_all(&self.reader).await?;
        Ok(rows.into_iter().rev().map(LessonRow::read).collect::<Result<_, _>>()?)
    }
}

#[derive(sqlx::FromRow)]
struct LessonRow {
    guild_id: Option<i64>,
    provider: String,
    taught: String,
    first_text_ms: Option<i64>,
    cost: Option<f64>,
}

impl LessonRow {
    fn read(self) -> Result<Lesson, sqlx::Error> {
        let first_text = Duration::from_millis(self.first_text_ms.map_or(0, count));
        let taught = match self.taught.as_str() {
            "answered" => Taught::Answered { first_text, cost: self.cost },
            "failed" => Taught::Failed,
            "liked" => Taught::Liked,
            "disliked" => Taught::Disliked,
            _ => return Err(unknown("taught")),
        };
        let server = self.guild_id.map(|it| GuildId(it.cast_unsigned()));
        Ok(Lesson { server, provider: self.provider, taught })
    }
}
