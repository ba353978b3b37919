//! Messages over REST: create, read, edit, delete, react and pin.

use super::{Answer, Call};
use crate::discord::{
    compose::{Body, Upload, empty},
    errors::Fail,
    mentions::id_of,
    permissions::bits,
    world::{Draft, File, World, flag, kind},
};
use serde_json::Value;
use std::time::Duration;
use tokio::time::Instant;

/// For how long a nonce is remembered.
const NONCE_LIFE: Duration = Duration::from_secs(180);

/// A channel that the bot sees.
pub(crate) fn place(call: &Call<'_>) -> Result<u64, Fail> {
    let id = call.id(0)?;
    if !call.world.channels.contains_key(&id) {
        return Err(Fail::unknown("Channel"));
    }
    if call.world.sees(call.world.bot, id) { Ok(id) } else { Err(Fail::missing_access()) }
}

/// Asks for permissions of the bot in a channel.
pub(crate) fn need(world: &World, channel: u64, bits: u64) -> Result<(), Fail> {
    if world.may(world.bot, channel) & bits == bits { Ok(()) } else { Err(Fail::missing_permissions()) }
}

/// A channel with its message, when it may be read.
fn target(call: &Call<'_>) -> Result<(u64, u64), Fail> {
    let (channel, id) = (place(call)?, call.id(1)?);
    match call.world.live(channel, id) {
        Some(_) => Ok((channel, id)),
        None => Err(Fail::unknown("Message")),
    }
}

/// A message's JSON as REST answers it.
pub(crate) fn shown(world: &World, id: u64) -> Value {
    world
        .messages
        .get(&id)
        .map_or(Value::Null, |it| world.visible_over_rest(it, world.message_json(it, true)))
}

/// Uploads with ids of their own.
pub(crate) fn files(world: &mut World, uploads: Vec<Upload>) -> Vec<File> {
    let file =
        |it: Upload| File { id: world.next_id(), name: it.name, mime: it.mime, bytes: it.bytes.into() };
    uploads.into_iter().map(file).collect()
}

/// Whether the bot may send here, and what.
pub(crate) fn may_send(world: &World, channel: u64, body: &Body) -> Result<(), Fail> {
    let Some(place) = world.channels.get(&channel) else { return Err(Fail::unknown("Channel")) };
    if place.kind == kind::FORUM {
        return Err(Fail::new(400, 50_008, "Cannot send messages in a non-text channel"));
    }
    let may = world.may(world.bot, channel);
    let send = if place.thread.is_some() { bits::SEND_MESSAGES_IN_THREADS } else { bits::SEND_MESSAGES };
    need(world, channel, send)?;
    if !body.files.is_empty() {
        need(world, channel, bits::ATTACH_FILES)?;
    }
    if body.embeds.as_ref().is_some_and(|it| !it.is_empty()) {
        need(world, channel, bits::EMBED_LINKS)?;
    }
    let Some(thread) = &place.thread else { return Ok(()) };
    if thread.locked && may & bits::MANAGE_THREADS == 0 {
        return Err(if thread.archived {
            Fail::archived()
        } else {
            Fail::new(400, 160_005, "Thread is locked")
        });
    }
    let is_post = place.parent.is_some_and(|it| world.is_forum(it));
    if is_post && !world.messages.contains_key(&channel) {
        let why = "Cannot message this thread until after the post author has sent an initial message";
        return Err(Fail::new(400, 40_058, why));
    }
    Ok(())
}

/// The message that a reply goes to, none when it is gone and that is no error.
fn replied(world: &World, channel: u64, body: &Body) -> Result<Option<u64>, Fail> {
    let Some(reply) = body.reply else { return Ok(None) };
    match world.live(channel, reply.message) {
        Some(_) if world.may(world.bot, channel) & bits::READ_MESSAGE_HISTORY == 0 => {
            Err(Fail::new(400, 160_002, "Cannot reply without permission to read message history"))
        }
        Some(it) if !matches!(it.kind, 0 | 19 | 20 | 23) => Err(Fail::form(
            "message_reference",
            "REPLIES_CANNOT_REPLY_TO_SYSTEM_MESSAGE",
            "Cannot reply to a system message",
        )),
        Some(_) => Ok(Some(reply.message)),
        None if reply.strict => {
            Err(Fail::form("message_reference", "MESSAGE_REFERENCE_UNKNOWN_MESSAGE", "Unknown message"))
        }
        None => Ok(None),
    }
}

pub(crate) fn create(call: &mut Call<'_>) -> Result<Answer, Fail> {
    let channel = place(call)?;
    let body = Body::read(&call.body, std::mem::take(&mut call.files))?;
    may_send(call.world, channel, &body)?;
    if body.is_empty() {
        return Err(empty());
    }
    let reply = replied(call.world, channel, &body)?;
    let world = &mut *call.world;
    let key = body.nonce.as_ref().map(|it| (channel, it.to_string()));
    world.nonces.retain(|_, it| it.1.elapsed() < NONCE_LIFE);
    if body.enforce_nonce
        && let Some((old, _)) = key.as_ref().and_then(|it| world.nonces.get(it))
    {
        // Discord answers the earlier message, even if it was deleted meanwhile.
        let mut answer = shown(world, *old);
        answer["nonce"] = body.nonce.unwrap_or_default();
        return Answer::ok(answer);
    }
    let files = files(world, body.files);
    let nonce = body.nonce.clone();
    let id = world.post(Draft {
        kind: if reply.is_some() { 19 } else { 0 },
        flags: body.flags.unwrap_or(0) & !flag::EPHEMERAL,
        reply,
        allowed: body.allowed,
        files,
        embeds: body.embeds.unwrap_or_default(),
        components: body.components.unwrap_or_default(),
        nonce: body.nonce,
        ..Draft::text(world.bot, channel, &body.content.unwrap_or_default())
    });
    if let Some(key) = key {
        world.nonces.insert(key, (id, Instant::now()));
    }
    let mut answer = shown(world, id);
    if let Some(nonce) = nonce {
        answer["nonce"] = nonce;
    }
    Answer::ok(answer)
}

pub(crate) fn list(call: &mut Call<'_>) -> Result<Answer, Fail> {
    let channel = place(call)?;
    let number = |key: &str| match call.asked(key) {
        None => Ok(None),
        Some(it) => it
            .parse::<u64>()
            .map(Some)
            .map_err(|_| Fail::form(key, "NUMBER_TYPE_COERCE", "Value is not an int.")),
    };
    let limit = number("limit")?.unwrap_or(50);
    if !(1..=100).contains(&limit) {
        return Err(Fail::form("limit", "NUMBER_TYPE_MAX", "int value should be between 1 and 100."));
    }
    let limit = usize::try_from(limit).unwrap_or(100);
    let world = &*call.world;
    if world.may(world.bot, channel) & bits::READ_MESSAGE_HISTORY == 0 {
        return Answer::ok(Value::Array(Vec::new()));
    }
    let mut ids: Vec<u64> = world.of_channel.get(&channel).into_iter().flatten().copied().collect();
    ids.retain(|it| world.live(channel, *it).is_some());
    ids.sort_unstable();
    let newest = |list: &[u64]| list[list.len().saturating_sub(limit)..].to_vec();
    let mut picked = if let Some(around) = number("around")? {
        let at = ids.partition_point(|it| *it < around);
        let from = at.saturating_sub(limit / 2);
        ids[from..(from + limit).min(ids.len())].to_vec()
    } else if let Some(before) = number("before")? {
        newest(&ids[..ids.partition_point(|it| *it < before)])
    } else if let Some(after) = number("after")? {
        ids[ids.partition_point(|it| *it <= after)..].iter().copied().take(limit).collect()
    } else {
        newest(&ids)
    };
    picked.reverse();
    Answer::ok(picked.into_iter().map(|it| shown(world, it)).collect())
}

pub(crate) fn get(call: &mut Call<'_>) -> Result<Answer, Fail> {
    let (channel, id) = target(call)?;
    need(call.world, channel, bits::READ_MESSAGE_HISTORY)?;
    Answer::ok(shown(call.world, id))
}

pub(crate) fn edit(call: &mut Call<'_>) -> Result<Answer, Fail> {
    let (channel, id) = target(call)?;
    let body = Body::read(&call.body, std::mem::take(&mut call.files))?;
    let world = &mut *call.world;
    let Some(message) = world.messages.get(&id) else { return Err(Fail::unknown("Message")) };
    if message.author != world.bot {
        return Err(Fail::new(403, 50_005, "Cannot edit a message authored by another user"));
    }
    if world.channels.get(&channel).and_then(|it| it.thread.as_ref()).is_some_and(|it| it.archived) {
        return Err(Fail::archived());
    }
    if !body.files.is_empty() {
        need(world, channel, bits::ATTACH_FILES)?;
    }
    apply(world, id, body)?;
    Answer::ok(shown(world, id))
}

/// Changes a message by an edit's body.
pub(crate) fn apply(world: &mut World, id: u64, body: Body) -> Result<(), Fail> {
    let Some(message) = world.messages.get(&id) else { return Err(Fail::unknown("Message")) };
    let keep = |it: &File| body.keep.as_ref().is_none_or(|keep| keep.contains(&it.id));
    let kept: Vec<File> = message.files.iter().filter(|it| keep(it)).cloned().collect();
    let nothing = body.content.as_ref().map_or(message.content.is_empty(), String::is_empty)
        && body.embeds.as_ref().map_or(message.embeds.is_empty(), Vec::is_empty)
        && body.components.as_ref().map_or(message.components.is_empty(), Vec::is_empty)
        && body.files.is_empty()
        && kept.is_empty();
    if nothing {
        return Err(empty());
    }
    let added = files(world, body.files);
    let (content, embeds, components, flags) = (body.content, body.embeds, body.components, body.flags);
    world.rewrite(id, &body.allowed, move |it| {
        it.content = content.unwrap_or_else(|| std::mem::take(&mut it.content));
        it.embeds = embeds.unwrap_or_else(|| std::mem::take(&mut it.embeds));
        it.components = components.unwrap_or_else(|| std::mem::take(&mut it.components));
        it.files = kept.into_iter().chain(added).collect();
        if let Some(flags) = flags {
            let settable = flag::SUPPRESS_EMBEDS | flag::COMPONENTS_V2;
            // The new style cannot be taken back.
            it.flags = it.flags & !flag::SUPPRESS_EMBEDS | flags & settable;
        }
        it.flags &= !flag::LOADING;
    });
    Ok(())
}

pub(crate) fn delete(call: &mut Call<'_>) -> Result<Answer, Fail> {
    let (channel, id) = target(call)?;
    let own = call.world.messages.get(&id).is_some_and(|it| it.author == call.world.bot);
    if !own {
        need(call.world, channel, bits::MANAGE_MESSAGES)?;
    }
    call.world.remove(id);
    Answer::nothing()
}

pub(crate) fn bulk_delete(call: &mut Call<'_>) -> Result<Answer, Fail> {
    let channel = place(call)?;
    need(call.world, channel, bits::MANAGE_MESSAGES)?;
    let ids: Vec<u64> = call.body["messages"].as_array().into_iter().flatten().filter_map(id_of).collect();
    if !(2..=100).contains(&ids.len()) {
        return Err(Fail::new(
            400,
            50_016,
            "Provided too few or too many messages to delete. Must provide at least 2 and fewer than 100 messages to delete",
        ));
    }
    if ids.iter().any(|it| call.world.age_ms(*it) > 14 * 86_400_000) {
        return Err(Fail::new(400, 50_034, "You can only bulk delete messages that are under 14 days old."));
    }
    call.world.remove_all(channel, &ids);
    Answer::nothing()
}

pub(crate) fn react(call: &mut Call<'_>) -> Result<Answer, Fail> {
    let (channel, id) = target(call)?;
    let emoji = call.param(2).to_owned();
    if emoji.is_empty() || emoji.is_ascii() && !emoji.contains(':') {
        return Err(Fail::unknown("Emoji"));
    }
    need(call.world, channel, bits::READ_MESSAGE_HISTORY)?;
    let there = call.world.messages.get(&id).is_some_and(|it| it.reactions.iter().any(|it| it.0 == emoji));
    if !there {
        need(call.world, channel, bits::ADD_REACTIONS)?;
    }
    let bot = call.world.bot;
    call.world.react(bot, id, &emoji, true);
    Answer::nothing()
}

pub(crate) fn unreact(call: &mut Call<'_>) -> Result<Answer, Fail> {
    let (_, id) = target(call)?;
    let (bot, emoji) = (call.world.bot, call.param(2).to_owned());
    call.world.react(bot, id, &emoji, false);
    Answer::nothing()
}

pub(crate) fn unreact_other(call: &mut Call<'_>) -> Result<Answer, Fail> {
    let (channel, id) = target(call)?;
    need(call.world, channel, bits::MANAGE_MESSAGES)?;
    let (user, emoji) = (call.id(3)?, call.param(2).to_owned());
    call.world.react(user, id, &emoji, false);
    Answer::nothing()
}

pub(crate) fn pins(call: &mut Call<'_>) -> Result<Answer, Fail> {
    let channel = place(call)?;
    let world = &*call.world;
    let all = world.messages.values().filter(|it| it.channel == channel && it.pinned && !it.deleted);
    Answer::ok(all.map(|it| shown(world, it.id)).collect())
}

fn set_pin(call: &mut Call<'_>, on: bool) -> Result<Answer, Fail> {
    let (channel, id) = target(call)?;
    need(call.world, channel, bits::PIN_MESSAGES)?;
    if let Some(message) = call.world.messages.get_mut(&id) {
        message.pinned = on;
    }
    call.world.announce("MESSAGE_UPDATE", id);
    Answer::nothing()
}

pub(crate) fn pin(call: &mut Call<'_>) -> Result<Answer, Fail> {
    set_pin(call, true)
}

pub(crate) fn unpin(call: &mut Call<'_>) -> Result<Answer, Fail> {
    set_pin(call, false)
}
