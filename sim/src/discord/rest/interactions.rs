//! Answers to interactions: the callback, the original response and follow-ups.

use super::{
    Answer, Call,
    messages::{apply, files},
};
use crate::discord::{
    compose::{Body, empty},
    errors::Fail,
    interactions::ACKNOWLEDGE,
    world::{Draft, Interaction, World, flag},
};
use serde_json::{Value, json};

/// Kinds of callback.
mod reply {
    pub(super) const MESSAGE: u8 = 4;
    pub(super) const DEFERRED: u8 = 5;
    pub(super) const DEFERRED_UPDATE: u8 = 6;
    pub(super) const UPDATE: u8 = 7;
    pub(super) const CHOICES: u8 = 8;
    pub(super) const MODAL: u8 = 9;
}

pub(crate) fn callback(call: &mut Call<'_>) -> Result<Answer, Fail> {
    let id = call.id(0)?;
    let found = call.world.interactions.get(&id).filter(|it| it.token == call.param(1)).cloned();
    let interaction = found.ok_or_else(|| Fail::unknown("interaction"))?;
    if interaction.acked.is_some() {
        return Err(Fail::new(400, 40_060, "Interaction has already been acknowledged."));
    }
    if interaction.born.elapsed() > ACKNOWLEDGE {
        return Err(Fail::unknown("interaction"));
    }
    let body = call.body.clone();
    let kind = body["type"].as_u64().and_then(|it| u8::try_from(it).ok()).unwrap_or(0);
    fits(kind, &interaction)?;
    let message = match kind {
        reply::MESSAGE | reply::DEFERRED => Some(respond(call, &interaction, kind)?),
        reply::UPDATE => {
            let source = interaction.source.ok_or_else(|| Fail::unknown("Message"))?;
            let body = Body::read(&body["data"], std::mem::take(&mut call.files))?;
            apply(call.world, source, body)?;
            Some(source)
        }
        reply::DEFERRED_UPDATE => interaction.source,
        reply::CHOICES => {
            choices(&body["data"]["choices"])?;
            None
        }
        _ => {
            modal(&body["data"])?;
            None
        }
    };
    if let Some(it) = call.world.interactions.get_mut(&id) {
        it.acked = Some(kind);
        it.original = message;
        it.data = match kind {
            reply::CHOICES => body["data"]["choices"].clone(),
            reply::MODAL => body["data"].clone(),
            _ => Value::Null,
        };
    }
    call.world.touch();
    if call.asked("with_response") != Some("true") {
        return Answer::nothing();
    }
    let shown = message.map_or(Value::Null, |it| json!({ "type": kind, "message": shown(call.world, it) }));
    Answer::ok(json!({
        "interaction": { "id": id.to_string(), "type": interaction.kind, "response_message_id": message.map(|it| it.to_string()),
                         "response_message_loading": kind == reply::DEFERRED, "response_message_ephemeral": false },
        "resource": shown,
    }))
}

/// Which callback goes with which interaction.
fn fits(kind: u8, interaction: &Interaction) -> Result<(), Fail> {
    let good = match kind {
        reply::MESSAGE | reply::DEFERRED => interaction.kind != 4,
        reply::DEFERRED_UPDATE | reply::UPDATE => interaction.source.is_some(),
        reply::CHOICES => interaction.kind == 4,
        reply::MODAL => matches!(interaction.kind, 2 | 3),
        _ => false,
    };
    if good { Ok(()) } else { Err(Fail::choice("type", &kind.to_string())) }
}

/// The first message, or the announcement of one.
fn respond(call: &mut Call<'_>, interaction: &Interaction, kind: u8) -> Result<u64, Fail> {
    let body = Body::read(&call.body["data"], std::mem::take(&mut call.files))?;
    if kind == reply::DEFERRED {
        let flags = body.flags.unwrap_or(0) & flag::EPHEMERAL | flag::LOADING;
        let blank = Body::read(&Value::Null, Vec::new())?;
        return Ok(post(call.world, interaction, blank, flags, None));
    }
    if body.is_empty() {
        return Err(empty());
    }
    let flags = body.flags.unwrap_or(0);
    Ok(post(call.world, interaction, body, flags, None))
}

/// Posts a message as an answer. A follow-up replies to the original.
fn post(world: &mut World, interaction: &Interaction, body: Body, flags: u64, original: Option<u64>) -> u64 {
    let files = files(world, body.files);
    let command = interaction.kind == 2 && original.is_none();
    let bot = world.bot;
    world.post(Draft {
        kind: if command {
            20
        } else if original.is_some() || interaction.source.is_some() {
            19
        } else {
            0
        },
        flags,
        reply: original.or(interaction.source),
        allowed: body.allowed,
        files,
        embeds: body.embeds.unwrap_or_default(),
        components: body.components.unwrap_or_default(),
        interaction: Some(interaction.id),
        only_for: (flags & flag::EPHEMERAL != 0).then_some(interaction.user),
        ..Draft::text(bot, interaction.channel, &body.content.unwrap_or_default())
    })
}

fn choices(list: &Value) -> Result<(), Fail> {
    let list = list.as_array().map_or(&[][..], Vec::as_slice);
    if list.len() > 25 {
        return Err(Fail::bad_length("data.choices", 0, 25));
    }
    for (at, it) in list.iter().enumerate() {
        let name = it["name"].as_str().unwrap_or_default().chars().count();
        if !(1..=100).contains(&name) {
            return Err(Fail::bad_length(&format!("data.choices.{at}.name"), 1, 100));
        }
        if it["value"].as_str().is_some_and(|it| it.chars().count() > 100) {
            return Err(Fail::too_long(&format!("data.choices.{at}.value"), 100));
        }
    }
    Ok(())
}

fn modal(data: &Value) -> Result<(), Fail> {
    let title = data["title"].as_str().unwrap_or_default().chars().count();
    if !(1..=45).contains(&title) {
        return Err(Fail::bad_length("data.title", 1, 45));
    }
    match data["components"].as_array() {
        Some(it) if (1..=5).contains(&it.len()) => Ok(()),
        _ => Err(Fail::bad_length("data.components", 1, 5)),
    }
}

/// An answer's JSON; what one person sees is shown to the bot, which wrote it.
fn shown(world: &World, id: u64) -> Value {
    world.messages.get(&id).map_or(Value::Null, |it| world.message_json(it, true))
}

/// The interaction that a webhook path names.
fn by_token(call: &Call<'_>) -> Result<Interaction, Fail> {
    if call.param(0) != call.world.bot.to_string() {
        return Err(Fail::unknown("Webhook"));
    }
    match call.world.by_token(call.param(1)) {
        None => Err(Fail::new(401, 50_027, "Invalid Webhook Token")),
        // Before the callback there is nothing behind the token.
        Some(it) if it.acked.is_none() => Err(Fail::unknown("Webhook")),
        Some(it) => Ok(it.clone()),
    }
}

fn first(call: &Call<'_>) -> Result<u64, Fail> {
    let id = by_token(call)?.original.ok_or_else(|| Fail::unknown("Message"))?;
    if call.world.messages.get(&id).is_some_and(|it| !it.deleted) {
        Ok(id)
    } else {
        Err(Fail::unknown("Message"))
    }
}

fn later(call: &Call<'_>) -> Result<u64, Fail> {
    let (interaction, id) = (by_token(call)?, call.id(2)?);
    let own = interaction.original == Some(id) || interaction.followups.contains(&id);
    let there = call.world.messages.get(&id).is_some_and(|it| !it.deleted);
    if own && there { Ok(id) } else { Err(Fail::unknown("Message")) }
}

fn change(call: &mut Call<'_>, id: u64) -> Result<Answer, Fail> {
    let body = Body::read(&call.body, std::mem::take(&mut call.files))?;
    apply(call.world, id, body)?;
    Answer::ok(shown(call.world, id))
}

pub(crate) fn original(call: &mut Call<'_>) -> Result<Answer, Fail> {
    let id = first(call)?;
    Answer::ok(shown(call.world, id))
}

pub(crate) fn edit_original(call: &mut Call<'_>) -> Result<Answer, Fail> {
    let id = first(call)?;
    change(call, id)
}

pub(crate) fn delete_original(call: &mut Call<'_>) -> Result<Answer, Fail> {
    let id = first(call)?;
    call.world.remove(id);
    Answer::nothing()
}

pub(crate) fn followup(call: &mut Call<'_>) -> Result<Answer, Fail> {
    let interaction = by_token(call)?;
    let body = Body::read(&call.body, std::mem::take(&mut call.files))?;
    if body.is_empty() {
        return Err(empty());
    }
    // The first follow-up after a deferred answer takes its place, and its visibility.
    let announced = interaction.original.filter(|id| {
        call.world.messages.get(id).is_some_and(|it| it.flags & flag::LOADING != 0 && !it.deleted)
    });
    if let Some(id) = announced {
        apply(call.world, id, body)?;
        return Answer::ok(shown(call.world, id));
    }
    let flags = body.flags.unwrap_or(0);
    let id = post(call.world, &interaction, body, flags, interaction.original);
    if let Some(it) = call.world.interactions.get_mut(&interaction.id) {
        it.followups.push(id);
    }
    Answer::ok(shown(call.world, id))
}

pub(crate) fn get_followup(call: &mut Call<'_>) -> Result<Answer, Fail> {
    let id = later(call)?;
    Answer::ok(shown(call.world, id))
}

pub(crate) fn edit_followup(call: &mut Call<'_>) -> Result<Answer, Fail> {
    let id = later(call)?;
    change(call, id)
}

pub(crate) fn delete_followup(call: &mut Call<'_>) -> Result<Answer, Fail> {
    let id = later(call)?;
    call.world.remove(id);
    Answer::nothing()
}
