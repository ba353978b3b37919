//! The rows of a turn: how a message and its answer are written, and how the message is read back.

use super::{
    Resumption,
    kept::{KeptBeside, KeptOpening, KeptQuote, from_json, to_json},
    words::Word,
};
use crate::message::{
    Beside, ChannelId, GuildId, Inbound, MessageId, Opening, Place, Quoted, Role, Speaker, Trigger, TurnId,
    UnixMillis, UserId,
};
use sqlx::{Sqlite, Transaction};

pub(super) async fn touch_conversation(
    tx: &mut Transaction<'static, Sqlite>,
    inbound: &Inbound,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO conversations (id, guild_id, place, created_at, updated_at) VALUES (?, ?, ?, ?, ?)
         ON CONFLICT (id) DO UPDATE SET updated_at = excluded.updated_at",
    )
    .bind(inbound.conversation().0.0.cast_signed())
    .bind(inbound.guild_id.map(|it| it.0.cast_signed()))
    .bind(inbound.place.word())
    .bind(inbound.received_at.0)
    .bind(inbound.received_at.0)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Says whether the turn is new; if not, its message or its id is there already.
pub(super) async fn insert_turn(
    tx: &mut Transaction<'static, Sqlite>,
    inbound: &Inbound,
    turn: &TurnId,
) -> Result<bool, sqlx::Error> {
    let replied_to = inbound.replied_to.as_ref().map(|it| to_json(&KeptQuote::from(it))).transpose()?;
    let opening = inbound.opening.as_ref().map(|it| to_json(&KeptOpening::from(it))).transpose()?;
    let beside = (inbound.beside != Beside::default()).then(|| to_json(&KeptBeside::from(&inbound.beside)));
    let done = sqlx::query(
        "INSERT INTO turns (id, conversation_id, discord_message_id, channel_id, guild_id, author_id, author_name, place,
                            trigger, question, replied_to, opening, wish, beside, state, received_at)
         SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, 'received', ?15
         WHERE NOT EXISTS (SELECT 1 FROM joined WHERE message_id = ?3) ON CONFLICT DO NOTHING",
    )
    .bind(&turn.0)
    .bind(inbound.conversation().0.0.cast_signed())
    .bind(inbound.message_id.0.cast_signed())
    .bind(inbound.channel_id.0.cast_signed())
    .bind(inbound.guild_id.map(|it| it.0.cast_signed()))
    .bind(inbound.author.id.0.cast_signed())
    .bind(&inbound.author.name)
    .bind(inbound.place.word())
    .bind(inbound.trigger.word())
    .bind(&inbound.text)
    .bind(replied_to)
    .bind(opening)
    .bind(&inbound.wish)
    .bind(beside.transpose()?)
    .bind(inbound.received_at.0)
    .execute(&mut **tx)
    .await?;
    Ok(done.rows_affected() > 0)
}

pub(super) async fn insert_question(
    tx: &mut Transaction<'static, Sqlite>,
    inbound: &Inbound,
    turn: &TurnId,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO messages (conversation_id, turn_id, discord_message_id, role, author_id, author_name, text, created_at,
                               replied_to)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(inbound.conversation().0.0.cast_signed())
    .bind(&turn.0)
    .bind(inbound.message_id.0.cast_signed())
    .bind(Role::User.word())
    .bind(inbound.author.id.0.cast_signed())
    .bind(&inbound.author.name)
    .bind(&inbound.text)
    .bind(inbound.received_at.0)
    .bind(inbound.replied_to.as_ref().map(|it| it.message_id.0.cast_signed()))
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// The answer's message is the one with its first part. It stands behind the last line of its question; an answer from before
/// goes: this one takes its place.
pub(super) async fn insert_answer(
    tx: &mut Transaction<'static, Sqlite>,
    turn: &TurnId,
    text: &str,
    at: UnixMillis,
) -> Result<(), sqlx::Error> {
    sqlx::query("DELETE FROM messages WHERE turn_id = ? AND role = 'assistant'")
        .bind(&turn.0)
        .execute(&mut **tx)
        .await?;
    sqlx::query(
        "INSERT INTO messages (conversation_id, turn_id, answers, discord_message_id, role, text, created_at)
         SELECT q.conversation_id, q.turn_id, q.id,
                (SELECT message_id FROM reply_parts p WHERE p.turn_id = q.turn_id ORDER BY part LIMIT 1), ?, ?, ?
         FROM messages q WHERE q.id = (SELECT MAX(id) FROM messages WHERE turn_id = ? AND role = 'user')",
    )
    .bind(Role::Assistant.word())
    .bind(text)
    .bind(at.0)
    .bind(&turn.0)
    .execute(&mut **tx)
    .await?;
    sqlx::query(
        "UPDATE conversations SET updated_at = ? WHERE id = (SELECT conversation_id FROM turns WHERE id = ?)",
    )
    .bind(at.0)
    .bind(&turn.0)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

#[derive(sqlx::FromRow)]
pub(super) struct TurnRow {
    pub(super) id: String,
    discord_message_id: i64,
    channel_id: i64,
    guild_id: Option<i64>,
    author_id: i64,
    author_name: String,
    place: String,
    trigger: String,
    question: String,
    replied_to: Option<String>,
    opening: Option<String>,
    wish: Option<String>,
    #[sqlx(default)]
    beside: Option<String>,
    received_at: i64,
    question_id: Option<i64>,
    ask_last: Option<String>,
    hooked: bool,
    earlier: Option<String>,
}

impl TurnRow {
    /// What it has besides, if it asks once more: then its claim is a press, and the question another message.
    pub(super) fn again(&self) -> Option<Resumption> {
        self.question_id.map(|_| Resumption {
            ask_last: self.ask_last.clone(),
            earlier: self.earlier.clone(),
            is_hooked: self.hooked,
        })
    }

    pub(super) fn inbound(self) -> Result<Inbound, sqlx::Error> {
        let replied_to = self.replied_to.map(|it| from_json::<KeptQuote>("replied_to", &it)).transpose()?;
        let opening = self.opening.map(|it| from_json::<KeptOpening>("opening", &it)).transpose()?;
        let beside = self.beside.map(|it| from_json::<KeptBeside>("beside", &it)).transpose()?;
        Ok(Inbound {
            message_id: MessageId(self.question_id.unwrap_or(self.discord_message_id).cast_unsigned()),
            channel_id: ChannelId(self.channel_id.cast_unsigned()),
            guild_id: self.guild_id.map(|it| GuildId(it.cast_unsigned())),
            place: Place::read("place", &self.place)?,
            trigger: Trigger::read("trigger", &self.trigger)?,
            author: Speaker { id: UserId(self.author_id.cast_unsigned()), name: self.author_name },
            text: self.question,
            replied_to: replied_to.map(Quoted::from),
            opening: opening.map(Opening::from),
            beside: beside.map(Beside::from).unwrap_or_default(),
            received_at: UnixMillis(self.received_at),
            wish: self.wish,
        })
    }
}
