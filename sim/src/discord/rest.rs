//! The REST side: every call passes authentication, scripted faults and rate limits before it touches the world.

mod channels;
mod commands;
mod identity;
mod interactions;
mod messages;
mod multipart;
mod routes;
mod socket;
mod threads;

use super::{
    Core, Request, RestEffect,
    compose::Upload,
    errors::Fail,
    limits::{Standing, Verdict},
    world::World,
};
use axum::{
    Router,
    body::{Body, to_bytes},
    extract::{ConnectInfo, State},
    http::{HeaderName, HeaderValue, Method, StatusCode, header},
    response::Response,
};
use routes::{Found, find};
use serde_json::{Value, json};
use socket::{Doorman, Grip};
use std::{sync::Arc, time::Duration};
use tokio::{net::TcpListener, sync::watch, time::Instant};

/// The largest body that Discord takes.
const LARGEST: usize = 25 * 1024 * 1024;

/// The scope of the limit for the bot as a whole.
const GLOBAL: &str = "global";

/// What a call answers.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Option<Value>,
}

impl Answer {
    pub(crate) fn ok(body: Value) -> Result<Self, Fail> {
        Ok(Self { status: 200, body: Some(body) })
    }

    pub(crate) fn created(body: Value) -> Result<Self, Fail> {
        Ok(Self { status: 201, body: Some(body) })
    }

    pub(crate) fn nothing() -> Result<Self, Fail> {
        Ok(Self { status: 204, body: None })
    }
}

/// A call on its way through the world.
pub(crate) struct Call<'a> {
    pub(crate) world: &'a mut World,
    /// The path's parameters, in order.
    pub(crate) params: Vec<String>,
    pub(crate) query: Vec<(String, String)>,
    pub(crate) body: Value,
    pub(crate) files: Vec<Upload>,
    pub(crate) gateway_url: String,
}

impl Call<'_> {
    /// A parameter that has to be an id.
    pub(crate) fn id(&self, at: usize) -> Result<u64, Fail> {
        let text = self.params.get(at).map_or("", String::as_str);
        text.parse().map_err(|_| {
            Fail::form("id", "NUMBER_TYPE_COERCE", &format!("Value \"{text}\" is not snowflake."))
        })
    }

    pub(crate) fn param(&self, at: usize) -> &str {
        self.params.get(at).map_or("", String::as_str)
    }

    pub(crate) fn asked(&self, key: &str) -> Option<&str> {
        self.query.iter().find(|it| it.0 == key).map(|it| it.1.as_str())
    }
}

/// Serves until `stopped` says so.
pub(crate) fn serve(core: Arc<Core>, listener: TcpListener, mut stopped: watch::Receiver<bool>) {
    core.world().origin = core.base();
    let app: Router = super::page::routes().fallback(call).with_state(core);
    let service = app.into_make_service_with_connect_info::<Grip>();
    let door = Doorman::new(listener, stopped.clone());
    #[expect(clippy::disallowed_methods, reason = "ends by itself when the last handle is dropped")]
    tokio::spawn(async move {
        tokio::select! {
            _ = stopped.changed() => {}
            _ = axum::serve(door, service) => {}
        }
    });
}

/// One call: what came in, taken apart.
struct Incoming {
    method: Method,
    path: String,
    query: Vec<(String, String)>,
    authorized: bool,
    body: Value,
    files: Vec<Upload>,
    summary: String,
}

async fn call(
    State(core): State<Arc<Core>>,
    ConnectInfo(grip): ConnectInfo<Grip>,
    request: axum::extract::Request,
) -> Response {
    let at = core.world().started.elapsed();
    let incoming = match take(&core, request).await {
        Ok(it) => it,
        Err(fail) => return plain(fail.status, Some(&fail.body())),
    };
    let found = find(incoming.method.as_str(), &incoming.path);
    let (name, shown) = match &found {
        Found::Call(route, params) => (route.name, routes::without_token(route, params, &incoming.path)),
        Found::WrongMethod | Found::Nothing => ("unknown", incoming.path.clone()),
    };
    let (method, summary) = (incoming.method.to_string(), incoming.summary.clone());
    let (response, status) = answer(&core, &grip, found, incoming).await;
    core.world().log(Request { at, method, path: shown, name, status, summary });
    response
}

/// Faults, limits, and then the call itself. The status is 0 when the connection is cut instead.
async fn answer(core: &Core, grip: &Grip, found: Found<'_>, incoming: Incoming) -> (Response, u16) {
    let (route, params) = match found {
        Found::Call(route, params) => (route, params),
        Found::WrongMethod => return refused(&Fail::wrong_method()),
        Found::Nothing => return refused(&Fail::not_found()),
    };
    if route.secret && !incoming.authorized {
        return refused(&Fail::unauthorized());
    }
    let fault = strike(&mut core.world(), route, &incoming);
    match &fault {
        Some(RestEffect::Status(status)) => return failed(*status),
        Some(RestEffect::RateLimited { retry_after, global }) => {
            return limited(*retry_after, if *global { GLOBAL } else { "user" }, None);
        }
        Some(RestEffect::SharedLimit { retry_after }) => return limited(*retry_after, "shared", None),
        Some(RestEffect::Reset) => {
            grip.reset();
            return (Response::default(), 0);
        }
        Some(RestEffect::Delay(wait)) => tokio::time::sleep(*wait).await,
        Some(RestEffect::Lost | RestEffect::Garbled) | None => {}
    }
    let mut world = core.world();
    let major = routes::major(route, &params);
    let standing = match world.limits.take(route.name, &major, route.free, Instant::now()) {
        Verdict::Go(standing) => standing,
        Verdict::Wait(standing) => return limited(standing.reset_after, "user", Some(&standing)),
        Verdict::WaitGlobally(wait) => return limited(wait, GLOBAL, None),
    };
    let (query, body, files) = (incoming.query, incoming.body, incoming.files);
    let mut call = Call { world: &mut world, params, query, body, files, gateway_url: core.gateway_url() };
    let done =
        (route.run)(&mut call).unwrap_or_else(|fail| Answer { status: fail.status, body: Some(fail.body()) });
    match fault {
        Some(RestEffect::Lost) => {
            grip.cut();
            return (Response::default(), 0);
        }
        Some(RestEffect::Garbled) => return (html(200), 200),
        _ => {}
    }
    let mut response = plain(done.status, done.body.as_ref());
    if route.secret {
        add_headers(&mut response, &standing);
    }
    (response, done.status)
}

/// The first fault that fits; it is used up.
fn strike(world: &mut World, route: &routes::Route, incoming: &Incoming) -> Option<RestEffect> {
    let fits = |it: &super::RestFault| {
        let method = it.method.as_ref().is_none_or(|it| incoming.method.as_str().eq_ignore_ascii_case(it));
        method
            && (it.route.is_empty()
                || it.route == route.name
                || it.route.starts_with('/') && incoming.path.contains(&it.route))
    };
    let Some(at) = world.faults.iter().position(fits) else { return world.sky.strike() };
    let fault = &mut world.faults[at];
    let effect = fault.effect.clone();
    if fault.times != u32::MAX {
        fault.times = fault.times.saturating_sub(1);
    }
    if fault.times == 0 {
        world.faults.remove(at);
    }
    Some(effect)
}

async fn take(core: &Core, request: axum::extract::Request) -> Result<Incoming, Fail> {
    let (parts, body) = request.into_parts();
    let text = |name: HeaderName| {
        parts.headers.get(name).and_then(|it| it.to_str().ok()).unwrap_or_default().to_owned()
    };
    let bytes =
        to_bytes(body, LARGEST).await.map_err(|_| Fail::new(413, 40_005, "Request entity too large"))?;
    let kind = text(header::CONTENT_TYPE);
    let (body, files) = if let Some(boundary) = multipart::boundary(&kind) {
        multipart::read(&bytes, &boundary).ok_or_else(bad_json)?
    } else if bytes.is_empty() {
        (Value::Null, Vec::new())
    } else {
        (serde_json::from_slice(&bytes).map_err(|_| bad_json())?, Vec::new())
    };
    let query = parts.uri.query().unwrap_or_default().split('&').filter_map(|it| it.split_once('='));
    let authorized =
        text(header::AUTHORIZATION).strip_prefix("Bot ").is_some_and(|it| it == core.options.token);
    Ok(Incoming {
        summary: summary(&body, &files),
        query: query.map(|(key, value)| (key.into(), routes::decoded(value))).collect(),
        method: parts.method,
        path: parts.uri.path().to_owned(),
        authorized,
        body,
        files,
    })
}

fn bad_json() -> Fail {
    Fail::new(400, 50_109, "The request body contains invalid JSON.")
}

/// Which keys a body has, and how long its text is: never what it says.
fn summary(body: &Value, files: &[Upload]) -> String {
    let mut words: Vec<String> = body
        .as_object()
        .into_iter()
        .flatten()
        .map(|(key, value)| match value {
            Value::String(text) => format!("{key}[{}]", text.chars().count()),
            Value::Array(list) => format!("{key}({})", list.len()),
            Value::Bool(it) => format!("{key}={it}"),
            Value::Number(it) => format!("{key}={it}"),
            Value::Null | Value::Object(_) => key.clone(),
        })
        .collect();
    words.extend(files.iter().map(|it| format!("file[{}]", it.bytes.len())));
    words.join(" ")
}

fn plain(status: u16, body: Option<&Value>) -> Response {
    let mut response = Response::new(body.map_or_else(Body::empty, |it| Body::from(it.to_string())));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    if body.is_some() {
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    }
    response
}

fn html(status: u16) -> Response {
    let mut response =
        Response::new(Body::from("<html><body><h1>Something is in the way</h1></body></html>"));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html"));
    response
}

fn refused(fail: &Fail) -> (Response, u16) {
    (plain(fail.status, Some(&fail.body())), fail.status)
}

/// A scripted status. Faults of a gateway in front (502, 503, 504) are HTML, as from Cloudflare.
fn failed(status: u16) -> (Response, u16) {
    match status {
        401 => refused(&Fail::unauthorized()),
        403 => refused(&Fail::missing_permissions()),
        404 => refused(&Fail::not_found()),
        502..=504 => (html(status), status),
        _ => refused(&Fail::new(status, 0, &format!("{status}: Scripted"))),
    }
}

fn limited(wait: Duration, scope: &str, standing: Option<&Standing>) -> (Response, u16) {
    let global = scope == GLOBAL;
    let body =
        json!({ "message": "You are being rate limited.", "retry_after": seconds(wait), "global": global });
    let mut response = plain(429, Some(&body));
    if let Some(standing) = standing {
        add_headers(&mut response, standing);
    }
    put(&mut response, "retry-after", &format!("{}", wait.as_secs_f64().ceil()));
    put(&mut response, "x-ratelimit-scope", scope);
    if global {
        put(&mut response, "x-ratelimit-global", "true");
    }
    (response, 429)
}

/// Seconds with milliseconds, rounded up: who waits that long may come again.
fn seconds(wait: Duration) -> f64 {
    (wait.as_secs_f64() * 1000.0).ceil() / 1000.0
}

fn add_headers(response: &mut Response, standing: &Standing) {
    #[expect(clippy::cast_precision_loss, reason = "milliseconds since 1970 fit an f64 exactly")]
    let now = super::time::now_ms() as f64 / 1000.0;
    let after = seconds(standing.reset_after);
    put(response, "x-ratelimit-limit", &standing.limit.to_string());
    put(response, "x-ratelimit-remaining", &standing.remaining.to_string());
    put(response, "x-ratelimit-reset", &format!("{:.3}", now + after));
    put(response, "x-ratelimit-reset-after", &format!("{after:.3}"));
    put(response, "x-ratelimit-bucket", &standing.bucket);
}

fn put(response: &mut Response, name: &'static str, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(HeaderName::from_static(name), value);
    }
}
