//! Channels over REST: read, change, delete, typing.

use super::{
    Answer, Call,
    messages::{need, place},
    threads,
};
use crate::discord::{
    errors::Fail,
    mentions::id_of,
    permissions::{Overwrite, bits},
    world::{Tag, kind},
};
use serde_json::Value;

pub(crate) fn get(call: &mut Call<'_>) -> Result<Answer, Fail> {
    let channel = place(call)?;
    Answer::ok(call.world.channel_json(channel))
}

pub(crate) fn patch(call: &mut Call<'_>) -> Result<Answer, Fail> {
    let id = place(call)?;
    let is_thread = call.world.channels.get(&id).is_some_and(|it| it.thread.is_some());
    if is_thread {
        return threads::patch(call, id);
    }
    need(call.world, id, bits::MANAGE_CHANNELS)?;
    let body = call.body.clone();
    if let Some(name) = body["name"].as_str()
        && !(1..=100).contains(&name.chars().count())
    {
        return Err(Fail::bad_length("name", 1, 100));
    }
    let tags = body["available_tags"].as_array().map(|it| read_tags(call, it)).transpose()?;
    if let Some(channel) = call.world.channels.get_mut(&id) {
        if let Some(name) = body["name"].as_str() {
            channel.name = name.into();
        }
        if let Some(topic) = body.get("topic") {
            channel.topic = topic.as_str().map(str::to_owned);
        }
        channel.nsfw = body["nsfw"].as_bool().unwrap_or(channel.nsfw);
        channel.slowmode = body["rate_limit_per_user"].as_u64().unwrap_or(channel.slowmode);
        channel.flags = body["flags"].as_u64().unwrap_or(channel.flags);
        if let Some(tags) = tags.filter(|_| channel.kind == kind::FORUM) {
            channel.tags = tags;
        }
        if let Some(list) = body["permission_overwrites"].as_array() {
            channel.overwrites = list.iter().filter_map(overwrite).collect();
        }
    }
    call.world.channel_changed(id);
    Answer::ok(call.world.channel_json(id))
}

fn overwrite(it: &Value) -> Option<Overwrite> {
    let bits = |key: &str| id_of(&it[key]).unwrap_or(0);
    Some(Overwrite {
        id: id_of(&it["id"])?,
        member: it["type"] == 1,
        allow: bits("allow"),
        deny: bits("deny"),
    })
}

fn read_tags(call: &mut Call<'_>, list: &[Value]) -> Result<Vec<Tag>, Fail> {
    if list.len() > 20 {
        return Err(Fail::bad_length("available_tags", 0, 20));
    }
    let mut tags = Vec::new();
    for (at, it) in list.iter().enumerate() {
        let name = it["name"].as_str().unwrap_or_default();
        if name.chars().count() > 20 {
            return Err(Fail::too_long(&format!("available_tags.{at}.name"), 20));
        }
        let id = id_of(&it["id"]).unwrap_or_else(|| call.world.next_id());
        tags.push(Tag { id, name: name.into(), moderated: it["moderated"].as_bool().unwrap_or(false) });
    }
    Ok(tags)
}

pub(crate) fn delete(call: &mut Call<'_>) -> Result<Answer, Fail> {
    let id = place(call)?;
    let body = call.world.channel_json(id);
    let thread = call.world.channels.get(&id).is_some_and(|it| it.thread.is_some());
    if call.world.guild_of(id).is_some() {
        need(call.world, id, if thread { bits::MANAGE_THREADS } else { bits::MANAGE_CHANNELS })?;
        call.world.delete_channel(id);
    }
    Answer::ok(body)
}

pub(crate) fn typing(call: &mut Call<'_>) -> Result<Answer, Fail> {
    let id = place(call)?;
    let thread = call.world.channels.get(&id).is_some_and(|it| it.thread.is_some());
    need(call.world, id, if thread { bits::SEND_MESSAGES_IN_THREADS } else { bits::SEND_MESSAGES })?;
    let bot = call.world.bot;
    call.world.types(bot, id);
    Answer::nothing()
}
