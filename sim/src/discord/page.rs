//! The chat page: looks at the world in a browser, and lets one type as a person.

use super::{Core, Discord, PlaceKind, Speech};
use axum::{
    Json, Router,
    extract::{Path, Query, State},
    http::{StatusCode, header},
    response::{Html, IntoResponse},
    routing::{get, post},
};
use serde::Deserialize;
use serde_json::{Value, json};
use std::{collections::HashMap, sync::Arc, time::Duration};
use tokio::sync::watch;

/// How long a request for news is held.
const HOLD: Duration = Duration::from_secs(20);
/// How many messages of a place are shown.
const SHOWN: usize = 200;

pub(crate) fn routes() -> Router<Arc<Core>> {
    Router::new()
        .route("/", get(async || Html(include_str!("page.html"))))
        .route("/sim/state", get(state))
        .route("/sim/say", post(say))
        .route("/sim/click", post(click))
        .route("/attachments/{channel}/{file}/{name}", get(file))
}

/// A handle for the methods of [`Discord`]; it keeps no server alive.
fn handle(core: Arc<Core>) -> Discord {
    Discord { core, stop: Arc::new(watch::Sender::new(false)) }
}

/// Everything the page shows, as soon as it is newer than `?after=VERSION`.
async fn state(State(core): State<Arc<Core>>, Query(asked): Query<HashMap<String, u64>>) -> Json<Value> {
    let discord = handle(core);
    let mut version = discord.watch();
    let after = asked.get("after").copied().unwrap_or(0);
    // Whether something came or the time is up: the page gets what there is.
    let _ = tokio::time::timeout(HOLD, version.wait_for(|it| *it > after)).await;
    let now = *version.borrow();
    let place = |it: &super::PlaceInfo| {
        let kind = match it.kind {
            PlaceKind::Text => "text",
            PlaceKind::Forum => "forum",
            PlaceKind::Thread => "thread",
            PlaceKind::Post => "post",
            PlaceKind::Dm => "dm",
        };
        json!({
            "id": it.id.to_string(), "name": it.name, "kind": kind, "parent": it.parent.map(|it| it.to_string()), "tags": it.tags,
            "typing": discord.typing(it.id), "messages": messages(&discord, it.id),
        })
    };
    Json(json!({
        "version": now, "bot": discord.bot().name, "presence": discord.presence(), "live": discord.sessions().live,
        "commands": discord.commands(), "places": discord.places().iter().map(place).collect::<Vec<_>>(),
    }))
}

fn messages(discord: &Discord, channel: u64) -> Vec<Value> {
    let mut lines: Vec<(u64, Value)> = discord.messages(channel).into_iter().filter(|it| !it.deleted).map(|it| {
        (it.id, json!({
            "id": it.id.to_string(), "author": it.author, "bot": it.bot, "text": discord.readable(&it.content),
            "reply": it.reply_to.and_then(|id| discord.message(id)).map(|it| json!([it.author, discord.readable(&it.content)])),
            "edits": it.history.len(), "only": it.only_for, "thinking": it.thinking, "buttons": it.buttons,
            "reactions": it.reactions, "files": it.attachments,
        }))
    }).collect();
    lines.extend(discord.invocations(channel).into_iter().map(|it| {
        (it.id, json!({ "id": it.id.to_string(), "author": it.person, "bot": false, "text": it.line, "command": true }))
    }));
    lines.sort_by_key(|it| it.0);
    let from = lines.len().saturating_sub(SHOWN);
    lines.split_off(from).into_iter().map(|it| it.1).collect()
}

/// What the page's form sends. Ids are text, since JavaScript's numbers are too small for them.
#[derive(Deserialize)]
struct Said {
    person: String,
    channel: String,
    text: String,
    #[serde(default)]
    reply_to: Option<String>,
}

/// Refuses calls that another site's page made: the page is for whoever sits at this machine.
fn foreign(headers: &axum::http::HeaderMap) -> bool {
    let origin =
        headers.get(header::ORIGIN).and_then(|it| it.to_str().ok()).and_then(|it| it.strip_prefix("http://"));
    let host = headers.get(header::HOST).and_then(|it| it.to_str().ok());
    headers.contains_key(header::ORIGIN) && origin != host
}

async fn say(
    State(core): State<Arc<Core>>,
    headers: axum::http::HeaderMap,
    Json(said): Json<Said>,
) -> (StatusCode, String) {
    if foreign(&headers) {
        return (StatusCode::FORBIDDEN, "not from this page".into());
    }
    let discord = handle(core);
    let places = discord.places();
    let place = said.channel.parse::<u64>().ok().and_then(|id| places.iter().find(|it| it.id == id));
    let (Some(place), false) = (place, said.text.trim().is_empty()) else {
        return (StatusCode::BAD_REQUEST, "nothing to say, or nowhere".into());
    };
    if said.text.starts_with('/') {
        return match discord.slash(&said.person, place.id, &said.text) {
            Ok(id) => (StatusCode::OK, id.to_string()),
            Err(refused) => (StatusCode::BAD_REQUEST, refused.0),
        };
    }
    if place.kind == PlaceKind::Forum {
        let title: String = said.text.lines().next().unwrap_or_default().chars().take(90).collect();
        return (StatusCode::OK, discord.post(&said.person, place.id, &title, &said.text, &[]).to_string());
    }
    let reply_to = said.reply_to.and_then(|it| it.parse().ok());
    let speech = Speech { text: said.text, reply_to, ..Speech::default() };
    (StatusCode::OK, discord.speak(&said.person, place.id, speech).to_string())
}

/// A click on a button of the page.
#[derive(Deserialize)]
struct Clicked {
    person: String,
    message: String,
    custom_id: String,
}

async fn click(
    State(core): State<Arc<Core>>,
    headers: axum::http::HeaderMap,
    Json(it): Json<Clicked>,
) -> (StatusCode, String) {
    if foreign(&headers) {
        return (StatusCode::FORBIDDEN, "not from this page".into());
    }
    match handle(core).click(&it.person, it.message.parse().unwrap_or(0), &it.custom_id) {
        Ok(id) => (StatusCode::OK, id.to_string()),
        Err(refused) => (StatusCode::BAD_REQUEST, refused.0),
    }
}

/// Discord's file host.
async fn file(
    State(core): State<Arc<Core>>,
    Path((_, file, _)): Path<(u64, u64, String)>,
) -> impl IntoResponse {
    let world = core.world();
    let found = world.messages.values().flat_map(|it| &it.files).find(|it| it.id == file);
    match found {
        Some(it) => (StatusCode::OK, [(header::CONTENT_TYPE, it.mime.clone())], it.bytes.to_vec()),
        None => (StatusCode::NOT_FOUND, [(header::CONTENT_TYPE, "text/plain".into())], Vec::new()),
    }
}
