//! Application commands over REST, global and by server.

use super::{Answer, Call};
use crate::discord::{
    commands::{check, most},
    errors::Fail,
    json::merge,
    world::Command,
};
use serde_json::{Value, json};

/// The application that the call names has to be the bot's.
fn own(call: &Call<'_>) -> Result<(), Fail> {
    if call.param(0) == call.world.bot.to_string() { Ok(()) } else { Err(Fail::unknown("Application")) }
}

/// The server that the call names.
fn server(call: &Call<'_>) -> Result<Option<u64>, Fail> {
    own(call)?;
    let id = call.id(1)?;
    if call.world.guilds.contains_key(&id) { Ok(Some(id)) } else { Err(Fail::missing_access()) }
}

fn shown(call: &Call<'_>, it: &Command, localized: bool) -> Value {
    let mut body = json!({
        "id": it.id.to_string(), "application_id": call.world.bot.to_string(), "version": it.version.to_string(),
    });
    if let Some(guild) = it.guild {
        body["guild_id"] = guild.to_string().into();
    }
    merge(&mut body, it.body.clone());
    if it.guild.is_some() {
        // Commands of a server have neither.
        for key in ["dm_permission", "contexts"] {
            body.as_object_mut().and_then(|it| it.remove(key));
        }
    }
    if !localized {
        for key in ["name_localizations", "description_localizations"] {
            body.as_object_mut().and_then(|it| it.remove(key));
        }
    }
    body
}

fn all(call: &Call<'_>, guild: Option<u64>) -> Result<Answer, Fail> {
    let localized = call.asked("with_localizations") == Some("true");
    let mine = call.world.commands.iter().filter(|it| it.guild == guild);
    Answer::ok(mine.map(|it| shown(call, it, localized)).collect())
}

fn full(call: &Call<'_>, guild: Option<u64>, kind: u64) -> Result<(), Fail> {
    let there = call.world.commands.iter().filter(|it| it.guild == guild && it.body["type"] == kind).count();
    if there < most(kind) {
        Ok(())
    } else {
        Err(Fail::new(400, 30_032, "Maximum number of application commands reached"))
    }
}

/// Registers one command, or replaces the one of the same name and type, which keeps its id.
fn put(call: &mut Call<'_>, guild: Option<u64>, body: Value) -> (Command, bool) {
    let version = call.world.next_id();
    let same = |it: &&mut Command| {
        it.guild == guild && it.body["name"] == body["name"] && it.body["type"] == body["type"]
    };
    if let Some(old) = call.world.commands.iter_mut().find(same) {
        if old.body != body {
            (old.version, old.body) = (version, body);
        }
        return (old.clone(), false);
    }
    let command = Command { id: call.world.next_id(), guild, version, body };
    call.world.commands.push(command.clone());
    (command, true)
}

fn add(call: &mut Call<'_>, guild: Option<u64>) -> Result<Answer, Fail> {
    let body = check(&call.body, "")?;
    let known = call.world.commands.iter().any(|it| it.guild == guild && it.body["name"] == body["name"]);
    if !known {
        full(call, guild, body["type"].as_u64().unwrap_or(1))?;
    }
    let (command, new) = put(call, guild, body);
    let body = shown(call, &command, true);
    if new { Answer::created(body) } else { Answer::ok(body) }
}

fn set(call: &mut Call<'_>, guild: Option<u64>) -> Result<Answer, Fail> {
    let list = call.body.as_array().cloned().unwrap_or_default();
    let mut bodies = Vec::new();
    for (at, it) in list.iter().enumerate() {
        let body = check(it, &format!("{at}."))?;
        if bodies.iter().any(|other: &Value| other["name"] == body["name"] && other["type"] == body["type"]) {
            let why = "Application command names must be unique";
            return Err(Fail::form(&format!("{at}.name"), "APPLICATION_COMMANDS_DUPLICATE_NAME", why));
        }
        bodies.push(body);
    }
    for kind in 1..=3 {
        if bodies.iter().filter(|it| it["type"] == kind).count() > most(kind) {
            return Err(Fail::new(400, 30_032, "Maximum number of application commands reached"));
        }
    }
    call.world.commands.retain(|it| {
        it.guild != guild
            || bodies.iter().any(|body| body["name"] == it.body["name"] && body["type"] == it.body["type"])
    });
    let done: Vec<Command> = bodies.into_iter().map(|body| put(call, guild, body).0).collect();
    call.world.touch();
    Answer::ok(done.iter().map(|it| shown(call, it, true)).collect())
}

fn one(call: &Call<'_>, guild: Option<u64>, param: usize) -> Result<Command, Fail> {
    let id = call.id(param)?;
    let found = call.world.commands.iter().find(|it| it.id == id && it.guild == guild);
    found.cloned().ok_or_else(|| Fail::unknown("application command"))
}

fn change(call: &mut Call<'_>, guild: Option<u64>, param: usize) -> Result<Answer, Fail> {
    let mut command = one(call, guild, param)?;
    let mut body = command.body.clone();
    merge(&mut body, call.body.clone());
    body["type"] = command.body["type"].clone();
    command.body = check(&body, "")?;
    command.version = call.world.next_id();
    for it in call.world.commands.iter_mut().filter(|it| it.id == command.id) {
        *it = command.clone();
    }
    Answer::ok(shown(call, &command, true))
}

fn remove(call: &mut Call<'_>, guild: Option<u64>, param: usize) -> Result<Answer, Fail> {
    let id = one(call, guild, param)?.id;
    call.world.commands.retain(|it| it.id != id);
    Answer::nothing()
}

pub(crate) fn list(call: &mut Call<'_>) -> Result<Answer, Fail> {
    own(call)?;
    all(call, None)
}

pub(crate) fn list_local(call: &mut Call<'_>) -> Result<Answer, Fail> {
    let guild = server(call)?;
    all(call, guild)
}

pub(crate) fn replace(call: &mut Call<'_>) -> Result<Answer, Fail> {
    own(call)?;
    set(call, None)
}

pub(crate) fn replace_local(call: &mut Call<'_>) -> Result<Answer, Fail> {
    let guild = server(call)?;
    set(call, guild)
}

pub(crate) fn create(call: &mut Call<'_>) -> Result<Answer, Fail> {
    own(call)?;
    add(call, None)
}

pub(crate) fn create_local(call: &mut Call<'_>) -> Result<Answer, Fail> {
    let guild = server(call)?;
    add(call, guild)
}

pub(crate) fn get(call: &mut Call<'_>) -> Result<Answer, Fail> {
    own(call)?;
    let command = one(call, None, 1)?;
    Answer::ok(shown(call, &command, true))
}

pub(crate) fn get_local(call: &mut Call<'_>) -> Result<Answer, Fail> {
    let guild = server(call)?;
    let command = one(call, guild, 2)?;
    Answer::ok(shown(call, &command, true))
}

pub(crate) fn edit(call: &mut Call<'_>) -> Result<Answer, Fail> {
    own(call)?;
    change(call, None, 1)
}

pub(crate) fn edit_local(call: &mut Call<'_>) -> Result<Answer, Fail> {
    let guild = server(call)?;
    change(call, guild, 2)
}

pub(crate) fn delete(call: &mut Call<'_>) -> Result<Answer, Fail> {
    own(call)?;
    remove(call, None, 1)
}

pub(crate) fn delete_local(call: &mut Call<'_>) -> Result<Answer, Fail> {
    let guild = server(call)?;
    remove(call, guild, 2)
}

/// Nobody has changed permissions of commands here.
pub(crate) fn permissions(call: &mut Call<'_>) -> Result<Answer, Fail> {
    server(call)?;
    Answer::ok(Value::Array(Vec::new()))
}
