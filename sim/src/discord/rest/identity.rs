//! Who the bot is, and the servers and people it meets.

use super::{Answer, Call};
use crate::discord::{errors::Fail, mentions::id_of, world::Guild};
use serde_json::{Value, json};

pub(crate) fn gateway(call: &mut Call<'_>) -> Result<Answer, Fail> {
    Answer::ok(json!({ "url": call.gateway_url }))
}

pub(crate) fn gateway_bot(call: &mut Call<'_>) -> Result<Answer, Fail> {
    let sessions = &call.world.sessions;
    let usual = (1000_u64.saturating_sub(sessions.counts.identifies), std::time::Duration::from_secs(86_400));
    let (remaining, reset_after) = sessions.allowance.unwrap_or(usual);
    let reset_after = u64::try_from(reset_after.as_millis()).unwrap_or(u64::MAX);
    Answer::ok(json!({
        "url": call.gateway_url, "shards": sessions.recommended,
        "session_start_limit": { "total": 1000, "remaining": remaining, "reset_after": reset_after, "max_concurrency": 1 },
    }))
}

pub(crate) fn me(call: &mut Call<'_>) -> Result<Answer, Fail> {
    Answer::ok(call.world.me_json())
}

pub(crate) fn user(call: &mut Call<'_>) -> Result<Answer, Fail> {
    let id = call.id(0)?;
    if !call.world.users.contains_key(&id) {
        return Err(Fail::unknown("User"));
    }
    Answer::ok(call.world.user_json(id))
}

pub(crate) fn my_guilds(call: &mut Call<'_>) -> Result<Answer, Fail> {
    let world = &*call.world;
    let one = |it: &Guild| {
        let permissions = world.base_permissions(it, world.bot).to_string();
        json!({ "id": it.id.to_string(), "name": it.name, "icon": null, "banner": null, "owner": false, "permissions": permissions, "features": [] })
    };
    Answer::ok(world.guilds.values().map(one).collect())
}

pub(crate) fn open_dm(call: &mut Call<'_>) -> Result<Answer, Fail> {
    let id = id_of(&call.body["recipient_id"]).ok_or_else(|| Fail::required("recipient_id"))?;
    match call.world.users.get(&id) {
        None => Err(Fail::unknown("User")),
        Some(it) if it.bot => Err(Fail::new(403, 50_007, "Cannot send messages to this user")),
        Some(_) => {
            let channel = call.world.dm_with(id);
            Answer::ok(call.world.channel_json(channel))
        }
    }
}

pub(crate) fn application(call: &mut Call<'_>) -> Result<Answer, Fail> {
    let world = &*call.world;
    let (id, owner) = (world.bot.to_string(), world.user_named("captain", false));
    let flags = world.application_flags();
    Answer::ok(json!({
        "id": id, "name": "neverdark", "icon": null, "description": "", "type": null, "bot": world.user_json(world.bot),
        "verify_key": "0".repeat(64), "flags": flags, "flags_new": flags.to_string(), "redirect_uris": [], "rpc_origins": [],
        "interactions_endpoint_url": null, "role_connections_verification_url": null, "team": null,
        "owner": owner.map(|it| world.user_json(it)), "approximate_guild_count": world.guilds.len(),
        "approximate_user_install_count": 0, "approximate_user_authorization_count": 0, "explicit_content_filter": 0,
        "bot_public": true, "bot_require_code_grant": false, "eligible_oauth2_scopes": [], "integration_types_config": { "0": {} },
    }))
}

fn known<'a>(call: &'a Call<'_>) -> Result<&'a Guild, Fail> {
    call.world.guilds.get(&call.id(0)?).ok_or_else(|| Fail::unknown("Guild"))
}

pub(crate) fn guild(call: &mut Call<'_>) -> Result<Answer, Fail> {
    let guild = known(call)?;
    let mut body = call.world.guild_json(guild);
    if call.asked("with_counts") == Some("true") {
        body["approximate_member_count"] = guild.members.len().into();
        body["approximate_presence_count"] = guild.members.len().into();
    }
    Answer::ok(body)
}

pub(crate) fn guild_channels(call: &mut Call<'_>) -> Result<Answer, Fail> {
    let guild = known(call)?.id;
    let world = &*call.world;
    let mine = world.channels.values().filter(|it| it.guild == Some(guild) && it.thread.is_none());
    Answer::ok(mine.map(|it| world.channel_json(it.id)).collect())
}

pub(crate) fn roles(call: &mut Call<'_>) -> Result<Answer, Fail> {
    let guild = known(call)?;
    Answer::ok(call.world.guild_json(guild)["roles"].clone())
}

pub(crate) fn member(call: &mut Call<'_>) -> Result<Answer, Fail> {
    let (guild, id) = (known(call)?, call.id(1)?);
    if !guild.members.contains_key(&id) {
        return Err(Fail::new(404, 10_007, "Unknown Member"));
    }
    Answer::ok(call.world.member_json(guild.id, id, true))
}

/// A list of something that is not simulated.
pub(crate) fn none(_: &mut Call<'_>) -> Result<Answer, Fail> {
    Answer::ok(Value::Array(Vec::new()))
}
