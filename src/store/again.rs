//! Questions that are asked once more: one turn takes the place of another, with its messages and its place in the memory.
//!
//! **The problem.** Another answer to the same question stands in the same messages and at the same place of the conversation,
//! and a crash in the middle must leave one of the two, whole. **The rule.** What was said and the messages that show the reply
//! belong to the newest turn of a question: they go over to it in the transaction that claims the press. The answer from
//! before is remembered until another one takes its place. **The limits.** A turn is replaced once; whoever presses an old
//! button means the newest turn.

use super::{
    Claim, Store, StoreError,
    turn_rows::{TurnRow, insert_turn, touch_conversation},
};
use crate::message::{Inbound, MessageId, TurnId, UserId};
use std::fmt;

/// A question that was asked, and how far the newest turn about it is.
#[derive(Clone, PartialEq, Eq)]
pub struct Asked {
    /// The newest turn about it.
    pub turn: TurnId,
    /// Who asked.
    pub asker: UserId,
    /// Whether that turn has ended.
    pub is_over: bool,
    /// What was asked, without what it pointed at; none when it was forgotten.
    pub question: Option<Inbound>,
    /// Who gave the answer that stands, if there is one.
    pub answered_by: Option<String>,
    /// The answer that stands.
    pub earlier: Option<String>,
}

/// Without what was said.
impl fmt::Debug for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Asked({}, over: {}, known: {})", self.turn, self.is_over, self.question.is_some())
    }
}

/// A press that asks a question once more.
#[derive(Clone, Copy)]
pub struct Press<'a> {
    /// The interaction: it is claimed once.
    pub id: MessageId,
    /// The question, with what it points at; received when the button was pressed.
    pub question: &'a Inbound,
    /// The newest turn about it.
    pub replaces: &'a TurnId,
    /// The message with the button: the last one of the reply.
    pub below: MessageId,
    /// The provider to ask last.
    pub ask_last: Option<&'a str>,
    /// Whether only the press's own token reaches that message.
    pub is_hooked: bool,
}

/// Without what was said.
impl fmt::Debug for Press<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Press({}, replaces {})", self.id, self.replaces)
    }
}

/// What a turn that asks once more has besides its question.
#[derive(Clone, PartialEq, Eq)]
pub struct Resumption {
    /// The provider to ask last.
    pub ask_last: Option<String>,
    /// The answer that it is to replace.
    pub earlier: Option<String>,
    /// Whether only the press's own token reached its messages.
    pub is_hooked: bool,
}

/// Without what was said.
impl fmt::Debug for Resumption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Resumption(ask last {:?}, hooked: {})", self.ask_last, self.is_hooked)
    }
}

/// From a turn back to the one whose answer stands: that one is the last.
const BACK: &str = "WITH RECURSIVE back (id, depth) AS (
        SELECT ?1, 0 UNION ALL
        SELECT t.replaces, b.depth + 1 FROM turns t JOIN back b ON t.id = b.id
        WHERE t.state <> 'answered' AND t.replaces IS NOT NULL)";

impl Store {
    /// The question that a turn was about. None when the turn is not known (any more).
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn asked(&self, turn: &TurnId) -> Result<Option<Asked>, StoreError> {
        let newest: Option<(String, i64, bool)> = sqlx::query_as(
            "WITH RECURSIVE later (id) AS (SELECT ?1 UNION SELECT t.id FROM turns t JOIN later l ON t.replaces = l.id)
             SELECT id, author_id, ended_at IS NOT NULL FROM turns t
             WHERE id IN later AND NOT EXISTS (SELECT 1 FROM turns n WHERE n.replaces = t.id)",
        )
        .bind(&turn.0)
        .fetch_optional(&self.reader)
        .await?;
        let Some((newest, asker, is_over)) = newest else { return Ok(None) };
        let row: Option<TurnRow> = sqlx::query_as(
            "SELECT t.id, t.discord_message_id, t.channel_id, t.guild_id, t.author_id, t.author_name, t.place, t.trigger,
                    (SELECT GROUP_CONCAT(text, char(10)) FROM
                        (SELECT text FROM messages WHERE turn_id = t.id AND role = 'user' ORDER BY id)) AS question,
                    NULL AS replied_to, NULL AS opening, t.wish, t.received_at, t.question_id, t.ask_last, t.hooked,
                    NULL AS earlier
             FROM turns t JOIN conversations c ON c.id = t.conversation_id
             WHERE t.id = ? AND t.discord_message_id IS NOT NULL
               AND EXISTS (SELECT 1 FROM messages q WHERE q.turn_id = t.id AND q.role = 'user' AND q.id > c.cleared_through)",
        )
        .bind(&newest)
        .fetch_optional(&self.reader)
        .await?;
        let earlier =
            sqlx::query_scalar("SELECT text FROM messages WHERE turn_id = ? AND role = 'assistant'")
                .bind(&newest)
                .fetch_optional(&self.reader)
                .await?;
        let turn = TurnId(newest);
        Ok(Some(Asked {
            answered_by: self.answered_by(&turn).await?.map(|(_, provider)| provider),
            turn,
            asker: UserId(asker.cast_unsigned()),
            is_over,
            question: row.map(TurnRow::inbound).transpose()?,
            earlier,
        }))
    }

    /// Claims a press for a turn that asks the question once more, and hands the reply's messages and what was said over to it.
    /// `Duplicate` also when the turn before was replaced meanwhile: somebody else pressed at the same time.
    ///
    /// # Errors
    /// When the database cannot be written; then nothing has changed.
    pub async fn claim_press(&self, press: &Press<'_>, turn: &TurnId) -> Result<Claim, StoreError> {
        let mut tx = self.write().await?;
        let (taken, id_taken): (bool, bool) = sqlx::query_as(
            "SELECT EXISTS (SELECT 1 FROM turns WHERE discord_message_id = ?1 OR replaces = ?2),
                    EXISTS (SELECT 1 FROM turns WHERE id = ?3)",
        )
        .bind(press.id.0.cast_signed())
        .bind(&press.replaces.0)
        .bind(&turn.0)
        .fetch_one(&mut *tx)
        .await?;
        if taken || id_taken {
            tx.rollback().await?;
            return Ok(if taken { Claim::Duplicate } else { Claim::IdTaken });
        }
        let claim = Inbound { message_id: press.id, ..press.question.clone() };
        touch_conversation(&mut tx, &claim).await?;
        insert_turn(&mut tx, &claim, turn).await?;
        sqlx::query("UPDATE turns SET replaces = ?, question_id = ?, ask_last = ?, hooked = ? WHERE id = ?")
            .bind(&press.replaces.0)
            .bind(press.question.message_id.0.cast_signed())
            .bind(press.ask_last)
            .bind(press.is_hooked)
            .bind(&turn.0)
            .execute(&mut *tx)
            .await?;
        sqlx::query("UPDATE messages SET turn_id = ? WHERE turn_id = ?")
            .bind(&turn.0)
            .bind(&press.replaces.0)
            .execute(&mut *tx)
            .await?;
        hand_over(&mut tx, press, turn).await?;
        tx.commit().await?;
        Ok(Claim::New)
    }

    /// Takes the answer to a turn's question out of memory: half of another one stands in its place.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn forget_answer(&self, turn: &TurnId) -> Result<(), StoreError> {
        sqlx::query("DELETE FROM messages WHERE turn_id = ? AND role = 'assistant'")
            .bind(&turn.0)
            .execute(&self.writer)
            .await?;
        Ok(())
    }

    /// Whether a turn has ended, and its state's word; none when it is not known.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn ended_as(&self, turn: &TurnId) -> Result<Option<Option<String>>, StoreError> {
        let row: Option<(String, bool)> =
            sqlx::query_as("SELECT state, ended_at IS NOT NULL FROM turns WHERE id = ?")
                .bind(&turn.0)
                .fetch_optional(&self.reader)
                .await?;
        Ok(row.map(|(state, is_over)| is_over.then_some(state)))
    }

    /// The turns behind the answer that stands in a turn's reply, the one that gave it first; at most `most`. Empty when the
    /// turn is not known.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn turns_behind(&self, turn: &TurnId, most: u32) -> Result<Vec<TurnId>, StoreError> {
        let query = format!(
            "{BACK} SELECT t.id FROM turns t JOIN back b ON t.id = b.id ORDER BY b.depth DESC LIMIT ?2"
        );
        let rows: Vec<(String,)> = sqlx::query_as(sqlx::AssertSqlSafe(query))
            .bind(&turn.0)
            .bind(i64::from(most))
            .fetch_all(&self.reader)
            .await?;
        Ok(rows.into_iter().map(|(id,)| TurnId(id)).collect())
    }

    /// The turn that gave the answer which stands in a turn's reply, and its provider.
    pub(super) async fn answered_by(&self, turn: &TurnId) -> Result<Option<(TurnId, String)>, StoreError> {
        let query = format!(
            "{BACK} SELECT t.id, t.provider FROM turns t JOIN back b ON t.id = b.id
             WHERE t.state = 'answered' AND t.provider IS NOT NULL"
        );
        let row: Option<(String, String)> =
            sqlx::query_as(sqlx::AssertSqlSafe(query)).bind(&turn.0).fetch_optional(&self.reader).await?;
        Ok(row.map(|(id, provider)| (TurnId(id), provider)))
    }
}

/// Gives the messages of the reply to another turn: those up to the one with the button. What was noted behind it is gone.
async fn hand_over(
    tx: &mut sqlx::Transaction<'static, sqlx::Sqlite>,
    press: &Press<'_>,
    turn: &TurnId,
) -> Result<(), sqlx::Error> {
    let known: Vec<(i64,)> =
        sqlx::query_as("SELECT message_id FROM reply_parts WHERE turn_id = ? ORDER BY part")
            .bind(&press.replaces.0)
            .fetch_all(&mut **tx)
            .await?;
    let below = press.below.0.cast_signed();
    let mut parts: Vec<i64> = known.into_iter().map(|(id,)| id).take_while(|&id| id != below).collect();
    if press.is_hooked {
        parts.clear(); // The press reaches its own message alone.
    }
    parts.push(below);
    sqlx::query("DELETE FROM reply_parts WHERE turn_id = ?")
        .bind(&press.replaces.0)
        .execute(&mut **tx)
        .await?;
    for (part, message) in (0_i64..).zip(parts) {
        sqlx::query("INSERT INTO reply_parts (turn_id, part, message_id) VALUES (?, ?, ?)")
            .bind(&turn.0)
            .bind(part)
            .bind(message)
            .execute(&mut **tx)
            .await?;
    }
    Ok(())
}
