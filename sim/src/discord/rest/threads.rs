//! Threads and forum posts over REST.

use super::{
    Answer, Call,
    messages::{files, need, place, shown},
};
use crate::discord::{
    compose::{Body, empty},
    errors::Fail,
    json::{merge, thread_member},
    mentions::id_of,
    permissions::bits,
    threads::NewThread,
    time,
    world::{Draft, REQUIRE_TAG, Thread, World, kind},
};
use serde_json::{Value, json};

fn title(body: &Value) -> Result<String, Fail> {
    let name = body["name"].as_str().ok_or_else(|| Fail::required("name"))?;
    if (1..=100).contains(&name.chars().count()) {
        Ok(name.into())
    } else {
        Err(Fail::bad_length("name", 1, 100))
    }
}

fn auto_archive(body: &Value) -> Result<u64, Fail> {
    match &body["auto_archive_duration"] {
        Value::Null => Ok(4320),
        it => it
            .as_u64()
            .filter(|it| [60, 1440, 4320, 10_080].contains(it))
            .ok_or_else(|| Fail::choice("auto_archive_duration", &it.to_string())),
    }
}

pub(crate) fn from_message(call: &mut Call<'_>) -> Result<Answer, Fail> {
    let (parent, message) = (place(call)?, call.id(1)?);
    let world = &mut *call.world;
    if world.channels.get(&parent).is_none_or(|it| it.kind != kind::TEXT) {
        return Err(Fail::new(400, 50_024, "Cannot execute action on this channel type"));
    }
    if world.live(parent, message).is_none() {
        return Err(Fail::unknown("Message"));
    }
    need(world, parent, bits::CREATE_PUBLIC_THREADS | bits::READ_MESSAGE_HISTORY)?;
    let (title, auto_archive) = (title(&call.body)?, auto_archive(&call.body)?);
    if world.channels.contains_key(&message) {
        return Err(Fail::new(400, 160_004, "A thread has already been created for this message"));
    }
    let (owner, kind) = (world.bot, kind::THREAD);
    let id = world.new_thread(NewThread {
        parent,
        owner,
        title,
        from: Some(message),
        kind,
        tags: Vec::new(),
        auto_archive,
    });
    Answer::created(world.channel_json(id))
}

pub(crate) fn create(call: &mut Call<'_>) -> Result<Answer, Fail> {
    let parent = place(call)?;
    if call.world.is_forum(parent) {
        return post(call, parent);
    }
    if call.world.channels.get(&parent).is_none_or(|it| it.kind != kind::TEXT) {
        return Err(Fail::new(400, 50_024, "Cannot execute action on this channel type"));
    }
    let (title, auto_archive) = (title(&call.body)?, auto_archive(&call.body)?);
    // Without a type it is a private one.
    let kind = match call.body["type"].as_u64() {
        None | Some(12) => kind::PRIVATE_THREAD,
        Some(11) => kind::THREAD,
        Some(10) => kind::ANNOUNCEMENT_THREAD,
        Some(other) => return Err(Fail::choice("type", &other.to_string())),
    };
    let bit =
        if kind == kind::PRIVATE_THREAD { bits::CREATE_PRIVATE_THREADS } else { bits::CREATE_PUBLIC_THREADS };
    need(call.world, parent, bit)?;
    let owner = call.world.bot;
    let id = call.world.new_thread(NewThread {
        parent,
        owner,
        title,
        from: None,
        kind,
        tags: Vec::new(),
        auto_archive,
    });
    Answer::created(call.world.channel_json(id))
}

/// A post in a forum: a thread with its first message, which has the same id.
fn post(call: &mut Call<'_>, parent: u64) -> Result<Answer, Fail> {
    // In a forum, opening a post needs SEND_MESSAGES only.
    need(call.world, parent, bits::SEND_MESSAGES)?;
    let (title, auto_archive) = (title(&call.body)?, auto_archive(&call.body)?);
    let body = Body::read(&call.body["message"], std::mem::take(&mut call.files))?;
    if body.is_empty() {
        return Err(empty());
    }
    let tags = tags(call.world, parent, &call.body["applied_tags"], true)?;
    let world = &mut *call.world;
    let owner = world.bot;
    let id = world.new_thread(NewThread {
        parent,
        owner,
        title,
        from: None,
        kind: kind::THREAD,
        tags,
        auto_archive,
    });
    let files = files(world, body.files);
    world.post(Draft {
        id: Some(id),
        allowed: body.allowed,
        flags: body.flags.unwrap_or(0),
        files,
        embeds: body.embeds.unwrap_or_default(),
        components: body.components.unwrap_or_default(),
        ..Draft::text(owner, id, &body.content.unwrap_or_default())
    });
    let mut answer = world.channel_json(id);
    merge(&mut answer, json!({ "message": shown(world, id) }));
    Answer::created(answer)
}

/// Checks tags of a post: known, at most 5, at least one where the forum wants it.
fn tags(world: &World, forum: u64, wanted: &Value, creating: bool) -> Result<Vec<u64>, Fail> {
    let Some(forum) = world.channels.get(&forum) else { return Err(Fail::unknown("Channel")) };
    let ids: Vec<u64> = wanted.as_array().into_iter().flatten().filter_map(id_of).collect();
    if ids.len() > 5 {
        return Err(Fail::bad_length("applied_tags", 0, 5));
    }
    for id in &ids {
        let Some(tag) = forum.tags.iter().find(|it| it.id == *id) else {
            return Err(Fail::form("applied_tags", "TAG_UNKNOWN", "Unknown tag"));
        };
        if tag.moderated {
            need(world, forum.id, bits::MANAGE_THREADS)?;
        }
    }
    if creating && ids.is_empty() && forum.flags & REQUIRE_TAG != 0 {
        return Err(Fail::new(400, 40_067, "A tag is required to create a forum post in this channel"));
    }
    Ok(ids)
}

/// Changes a thread: its owner may rename it and set tags, everything else needs `MANAGE_THREADS`; anybody may un-archive it.
pub(crate) fn patch(call: &mut Call<'_>, id: u64) -> Result<Answer, Fail> {
    let body = call.body.clone();
    let Some(channel) = call.world.channels.get(&id) else { return Err(Fail::unknown("Channel")) };
    let (Some(thread), Some(parent)) = (&channel.thread, channel.parent) else {
        return Err(Fail::unknown("Channel"));
    };
    let manages = call.world.may(call.world.bot, id) & bits::MANAGE_THREADS != 0;
    let own = thread.owner == call.world.bot;
    let opens = body["archived"] == false;
    let keys: Vec<&str> =
        body.as_object().into_iter().flatten().filter(|it| !it.1.is_null()).map(|it| it.0.as_str()).collect();
    let locks = keys.contains(&"locked") && body["locked"] != thread.locked;
    let only_opens = keys.iter().all(|it| *it == "archived") && opens && !thread.locked;
    if !manages && (locks || (!own && !only_opens)) {
        return Err(Fail::missing_permissions());
    }
    if thread.archived && !opens {
        return Err(Fail::archived());
    }
    let name = if keys.contains(&"name") { Some(title(&body)?) } else { None };
    let archive = if keys.contains(&"auto_archive_duration") { Some(auto_archive(&body)?) } else { None };
    let tags = if keys.contains(&"applied_tags") {
        Some(tags(call.world, parent, &body["applied_tags"], false)?)
    } else {
        None
    };
    if let Some(channel) = call.world.channels.get_mut(&id) {
        channel.name = name.unwrap_or_else(|| std::mem::take(&mut channel.name));
        channel.slowmode = body["rate_limit_per_user"].as_u64().unwrap_or(channel.slowmode);
        channel.flags = body["flags"].as_u64().unwrap_or(channel.flags);
        if let Some(thread) = &mut channel.thread {
            set(thread, &body, archive, tags);
        }
    }
    call.world.channel_changed(id);
    Answer::ok(call.world.channel_json(id))
}

fn set(thread: &mut Thread, body: &Value, archive: Option<u64>, tags: Option<Vec<u64>>) {
    thread.auto_archive = archive.unwrap_or(thread.auto_archive);
    thread.locked = body["locked"].as_bool().unwrap_or(thread.locked);
    if let Some(tags) = tags {
        thread.tags = tags;
    }
    let archived = body["archived"].as_bool().unwrap_or(thread.archived);
    if archived != thread.archived {
        (thread.archived, thread.archive_changed) = (archived, time::now_ms());
    }
}

fn listed(world: &World, wanted: impl Fn(&crate::discord::world::Channel, &Thread) -> bool) -> Value {
    let fits = |it: &&crate::discord::world::Channel| {
        it.thread.as_ref().is_some_and(|thread| wanted(it, thread)) && world.sees(world.bot, it.id)
    };
    let mine = |it: &&crate::discord::world::Channel| {
        it.thread.as_ref().is_some_and(|it| it.members.contains(&world.bot))
    };
    let all: Vec<_> = world.channels.values().rev().filter(fits).collect();
    json!({
        "threads": all.iter().map(|it| world.channel_json(it.id)).collect::<Vec<_>>(),
        "members": all.iter().copied().filter(mine).map(|it| thread_member(it.id, world.bot)).collect::<Vec<_>>(),
        "has_more": false,
    })
}

pub(crate) fn active(call: &mut Call<'_>) -> Result<Answer, Fail> {
    let guild = call.id(0)?;
    if !call.world.guilds.contains_key(&guild) {
        return Err(Fail::unknown("Guild"));
    }
    Answer::ok(listed(call.world, |it, thread| it.guild == Some(guild) && !thread.archived))
}

pub(crate) fn archived(call: &mut Call<'_>) -> Result<Answer, Fail> {
    let parent = place(call)?;
    need(call.world, parent, bits::READ_MESSAGE_HISTORY)?;
    Answer::ok(listed(call.world, |it, thread| {
        it.parent == Some(parent) && thread.archived && it.kind == kind::THREAD
    }))
}

/// A thread that the bot sees and that is not archived.
fn open_thread(call: &Call<'_>) -> Result<u64, Fail> {
    let id = place(call)?;
    match call.world.channels.get(&id).and_then(|it| it.thread.as_ref()) {
        None => Err(Fail::unknown("Channel")),
        Some(it) if it.archived => Err(Fail::archived()),
        Some(_) => Ok(id),
    }
}

fn joined(call: &Call<'_>, id: u64) -> Vec<u64> {
    let thread = call.world.channels.get(&id).and_then(|it| it.thread.as_ref());
    thread.map_or_else(Vec::new, |it| it.members.iter().copied().collect())
}

pub(crate) fn members(call: &mut Call<'_>) -> Result<Answer, Fail> {
    let id = place(call)?;
    Answer::ok(joined(call, id).into_iter().map(|it| thread_member(id, it)).collect())
}

pub(crate) fn member(call: &mut Call<'_>) -> Result<Answer, Fail> {
    let id = place(call)?;
    let user = if call.param(1) == "@me" { call.world.bot } else { call.id(1)? };
    if joined(call, id).contains(&user) {
        Answer::ok(thread_member(id, user))
    } else {
        Err(Fail::new(404, 10_007, "Unknown Member"))
    }
}

pub(crate) fn join(call: &mut Call<'_>) -> Result<Answer, Fail> {
    let id = open_thread(call)?;
    let bot = call.world.bot;
    call.world.join_thread(id, bot);
    Answer::nothing()
}

pub(crate) fn leave(call: &mut Call<'_>) -> Result<Answer, Fail> {
    let id = open_thread(call)?;
    let bot = call.world.bot;
    call.world.leave_thread(id, bot);
    Answer::nothing()
}

pub(crate) fn add(call: &mut Call<'_>) -> Result<Answer, Fail> {
    let (id, user) = (open_thread(call)?, call.id(1)?);
    need(call.world, id, bits::SEND_MESSAGES_IN_THREADS)?;
    call.world.join_thread(id, user);
    Answer::nothing()
}

pub(crate) fn take(call: &mut Call<'_>) -> Result<Answer, Fail> {
    let (id, user) = (open_thread(call)?, call.id(1)?);
    need(call.world, id, bits::MANAGE_THREADS)?;
    call.world.leave_thread(id, user);
    Answer::nothing()
}
