//! One call: paced, sent, and repeated until it has an end.

use super::{
    Rest, RestError,
    gate::{Announced, Permit, Route, Urgency, Wish},
    multipart::{self, File},
    refusals::Refusals,
};
use crate::message::{ChannelId, MessageId};
use reqwest::{Response, StatusCode, header};
use serde::{Deserialize, Serialize};
use std::{
    borrow::Cow,
    sync::{MutexGuard, PoisonError},
    time::Duration,
};
use tokio::time::{Instant, sleep, timeout_at};

/// As Discord wants it, or else its guard (Cloudflare) may block the bot.
pub(super) const USER_AGENT: &str =
    concat!("DiscordBot (https://github.com/neverdark/neverdark, ", env!("CARGO_PKG_VERSION"), ")");
/// How long one try may take. Discord answers in half a second; a try that hangs holds up all calls of its bucket.
const TRY: Duration = Duration::from_secs(10);
/// The first repeat comes within this time, each further one within twice as much.
const BACKOFF: Duration = Duration::from_millis(150);
/// At most this long between two tries: a deadline is not far.
const MAX_BACKOFF: Duration = Duration::from_secs(2);
/// How often something is asked again whose answer cannot be read: it may be cut off by chance, but not each time.
const GARBLED_TRIES: u32 = 3;
/// A page of a hundred long messages with their attachments is below 1 MiB.
const MAX_BODY: usize = 8 << 20;
/// A rate limit that is not stated: Discord always states it, so this is somebody in between.
const UNSTATED_WAIT: Duration = Duration::from_secs(1);
/// The longest wait that is believed; Discord's longest limits are for a day.
const LONGEST_WAIT: Duration = Duration::from_secs(24 * 60 * 60);

/// What is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Method {
    Delete,
    Get,
    Patch,
    Post,
    Put,
}

impl Method {
    fn name(self) -> &'static str {
        match self {
            Self::Delete => "DELETE",
            Self::Get => "GET",
            Self::Patch => "PATCH",
            Self::Post => "POST",
            Self::Put => "PUT",
        }
    }
}

/// What is sent, and how.
pub(super) struct Call {
    method: Method,
    /// Path and query below `/api/v10/`; may hold an interaction's token, so it is never logged.
    path: String,
    /// The path as the limiter knows it and logs it: without query, message ids and tokens. None: not paced.
    route: Option<String>,
    body: Option<Vec<u8>>,
    content_type: Cow<'static, str>,
    deadline: Instant,
    urgency: Urgency,
    /// The channel that it says something in.
    channel: Option<ChannelId>,
    /// It carries the bot's token, and so counts for the limit over all.
    is_bots: bool,
    /// Doing it twice is the same as doing it once.
    is_repeatable: bool,
}

/// Why a try did not succeed.
enum Setback {
    /// It would fail again.
    Final(RestError),
    /// A fault: worth a repeat after a random wait. What it is without one.
    Fault(RestError),
    /// Discord says when to come back.
    Wait(Duration),
}

impl Call {
    pub(super) fn new(method: Method, path: String, deadline: Instant) -> Self {
        let route = Some(path.clone());
        Self {
            method,
            path,
            route,
            body: None,
            content_type: Cow::Borrowed("application/json"),
            deadline,
            urgency: Urgency::Waited,
            channel: None,
            is_bots: true,
            is_repeatable: true,
        }
    }

    /// A call below a channel, in which something is said there.
    pub(super) fn to_channel(method: Method, channel: ChannelId, below: &str, deadline: Instant) -> Self {
        let call = Self::new(method, format!("channels/{channel}/{below}"), deadline);
        Self { channel: Some(channel), ..call }
    }

    pub(super) fn to_message(
        method: Method,
        channel: ChannelId,
        message: MessageId,
        deadline: Instant,
    ) -> Self {
        let call = Self::to_channel(method, channel, &format!("messages/{message}"), deadline);
        call.paced_as(format!("channels/{channel}/messages/_"))
    }

    /// Sends this as the body.
    pub(super) fn with<T: Serialize + ?Sized>(mut self, body: &T) -> Result<Self, RestError> {
        let refused = |_| RestError::Invalid { status: 400, code: 0, message: "not JSON".to_owned() };
        self.body = Some(serde_json::to_vec(body).map_err(refused)?);
        Ok(self)
    }

    /// Sends this file beside the body.
    pub(super) fn and_file(mut self, file: &File<'_>) -> Self {
        let payload = self.body.take().unwrap_or_default();
        let (body, content_type) = multipart::write(&payload, file);
        (self.body, self.content_type) = (Some(body), Cow::Owned(content_type));
        self
    }

    pub(super) fn urgent(mut self, urgency: Urgency) -> Self {
        self.urgency = urgency;
        self
    }

    pub(super) fn paced_as(mut self, route: String) -> Self {
        self.route = Some(route);
        self
    }

    /// A call that an interaction's token allows: without the bot's token, and outside the limit over all.
    pub(super) fn by_token(mut self, route: Option<String>) -> Self {
        self.is_bots = false;
        self.route = route;
        self
    }

    /// A call that would act twice if it arrived twice.
    pub(super) fn once(mut self) -> Self {
        self.is_repeatable = false;
        self
    }

    fn gated(&self) -> Option<Route> {
        self.route.as_deref().map(|path| Route::of(self.method.name(), path))
    }

    fn left(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }

    /// A fault after which the call may have been carried out.
    fn doubtful(&self, error: RestError) -> Setback {
        if self.is_repeatable { Setback::Fault(error) } else { Setback::Final(error) }
    }
}

impl Rest {
    /// Carries a call out; `read` takes what is needed from the answer's body.
    pub(super) async fn send<T>(
        &self,
        call: &Call,
        read: impl Fn(&[u8]) -> Option<T>,
    ) -> Result<T, RestError> {
        self.send_counting(call, &mut 0, read).await
    }

    /// The same, and counts the tries.
    pub(super) async fn send_counting<T>(
        &self,
        call: &Call,
        tries: &mut u32,
        read: impl Fn(&[u8]) -> Option<T>,
    ) -> Result<T, RestError> {
        let mut garbled = 0;
        loop {
            *tries += 1;
            let setback = match self.attempt(call).await {
                Ok(body) => {
                    if let Some(it) = read(&body) {
                        return Ok(it);
                    }
                    garbled += 1;
                    match garbled {
                        GARBLED_TRIES => Setback::Final(RestError::Garbled),
                        _ => call.doubtful(RestError::Garbled),
                    }
                }
                Err(setback) => setback,
            };
            let (wait, error) = match setback {
                Setback::Final(error) => return Err(error),
                Setback::Fault(error) => (self.backoff(*tries), error),
                Setback::Wait(wait) => (wait, RestError::RateLimited { retry_after: wait }),
            };
            if wait >= call.left() {
                return Err(error);
            }
            tracing::debug!(
                method = call.method.name(),
                route = call.route,
                wait_ms = wait.as_millis(),
                "Discord is asked again: {error}"
            );
            sleep(wait).await;
        }
    }

    async fn attempt(&self, call: &Call) -> Result<Vec<u8>, Setback> {
        let permit = self.permit(call).await.map_err(Setback::Final)?;
        self.attempt_with(call, permit).await
    }

    /// One try, which has its turn already; every setback is the end.
    pub(super) async fn try_once(&self, call: &Call, permit: Permit) -> Result<Vec<u8>, RestError> {
        self.attempt_with(call, permit).await.map_err(|setback| match setback {
            Setback::Final(error) | Setback::Fault(error) => error,
            Setback::Wait(wait) => RestError::RateLimited { retry_after: wait },
        })
    }

    async fn attempt_with(&self, call: &Call, permit: Permit) -> Result<Vec<u8>, Setback> {
        let deadline = call.deadline.min(Instant::now() + TRY);
        let response = match timeout_at(deadline, self.request(call).send()).await {
            Ok(Ok(response)) => response,
            // Nothing was sent, so that a repeat is always safe.
            Ok(Err(error)) if error.is_connect() => {
                return Err(Setback::Fault(RestError::Unavailable { status: None }));
            }
            Ok(Err(_)) => return Err(call.doubtful(RestError::Unavailable { status: None })),
            Err(_) => return Err(call.doubtful(RestError::Timeout)),
        };
        let status = response.status();
        if status == StatusCode::TOO_MANY_REQUESTS {
            return Err(self.too_many(call, permit, response, deadline).await);
        }
        permit.answered(call.gated(), limit(response.headers()).as_ref());
        let body = timeout_at(deadline, body(response)).await;
        let body = body.ok().flatten().ok_or(RestError::Unavailable { status: None });
        let judged = judge(call, status, body);
        if call.is_bots {
            match &judged {
                Ok(_) => self.refusals().succeeded(call.channel),
                Err(Setback::Final(error)) => self.refusals().failed(call.channel, error, Instant::now()),
                Err(Setback::Fault(_) | Setback::Wait(_)) => {}
            }
        }
        judged
    }

    async fn too_many(&self, call: &Call, permit: Permit, response: Response, deadline: Instant) -> Setback {
        let headers = response.headers().clone();
        let body = timeout_at(deadline, body(response)).await.ok().flatten().unwrap_or_default();
        let TooMany { wait, is_global, is_shared } = TooMany::read(&headers, &body);
        let now = Instant::now();
        // What an interaction's token is told stays with its queue.
        permit.too_many(now + wait, is_global && call.is_bots);
        if !is_shared {
            self.refusals().too_many(now);
        }
        tracing::warn!(
            method = call.method.name(),
            route = call.route,
            retry_after_ms = wait.as_millis(),
            global = is_global,
            "Discord asks for patience (429)."
        );
        Setback::Wait(wait)
    }

    /// Waits for this call's turn.
    pub(super) async fn permit(&self, call: &Call) -> Result<Permit, RestError> {
        if call.is_bots {
            self.refusals().check(call.channel, Instant::now())?;
        }
        let Some(route) = call.gated() else { return Ok(Permit::free()) };
        let Call { is_bots, urgency, deadline, .. } = *call;
        self.gate.enter(Wish { route, is_bots, urgency, deadline }).await
    }

    fn request(&self, call: &Call) -> reqwest::RequestBuilder {
        let method = match call.method {
            Method::Delete => reqwest::Method::DELETE,
            Method::Patch => reqwest::Method::PATCH,
            Method::Post => reqwest::Method::POST,
            Method::Put => reqwest::Method::PUT,
            Method::Get => reqwest::Method::GET,
        };
        let mut request = self.client.request(method, format!("{}{}", self.base, call.path));
        request = request.header(header::USER_AGENT, USER_AGENT);
        if call.is_bots {
            request = request.header(header::AUTHORIZATION, self.authorization.clone());
        }
        match &call.body {
            Some(body) => request.header(header::CONTENT_TYPE, &*call.content_type).body(body.clone()),
            // Some servers refuse a POST that does not say that it is empty.
            None if call.method != Method::Get => request.header(header::CONTENT_LENGTH, 0),
            None => request,
        }
    }

    fn refusals(&self) -> MutexGuard<'_, Refusals> {
        self.refusals.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How long to wait after so many tries: anything from nothing to the backoff of this try, so that many calls that failed at once do not return at once.
    pub(crate) fn backoff(&self, tries: u32) -> Duration {
        let most = BACKOFF.saturating_mul(1 << tries.saturating_sub(1).min(10)).min(MAX_BACKOFF);
        let mut rng = self.rng.lock().unwrap_or_else(PoisonError::into_inner);
        most.mul_f64(rng.f64())
    }
}

/// What an answer other than 429 means.
fn judge(call: &Call, status: StatusCode, body: Result<Vec<u8>, RestError>) -> Result<Vec<u8>, Setback> {
    if status.is_success() {
        return body.map_err(|it| call.doubtful(it));
    }
    if status.is_server_error() || status == StatusCode::REQUEST_TIMEOUT {
        return Err(call.doubtful(RestError::Unavailable { status: Some(status.as_u16()) }));
    }
    let Refusal { code, message } = serde_json::from_slice(&body.unwrap_or_default()).unwrap_or_default();
    let message: String = message.chars().filter(|it| !it.is_control()).take(120).collect();
    Err(Setback::Final(match status {
        StatusCode::UNAUTHORIZED if call.is_bots => RestError::Unauthorized,
        // An interaction's token is over after 15 minutes.
        StatusCode::UNAUTHORIZED | StatusCode::NOT_FOUND => RestError::NotFound { code },
        StatusCode::FORBIDDEN => RestError::Forbidden { code, message },
        _ => RestError::Invalid { status: status.as_u16(), code, message },
    }))
}

/// Discord's error body, without the details that quote what was sent.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Refusal {
    code: u32,
    message: String,
}

/// What a 429 says.
struct TooMany {
    wait: Duration,
    /// It is meant for everything that this bot does, not for this route.
    is_global: bool,
    /// Others used up what all share; it is no fault of the bot's.
    is_shared: bool,
}

impl TooMany {
    /// Header and body say the same, the header in whole seconds. When they do not, the longer wait is the safe one.
    fn read(headers: &header::HeaderMap, body: &[u8]) -> Self {
        #[derive(Deserialize)]
        struct Body {
            retry_after: f64,
            #[serde(default)]
            global: bool,
        }
        let body: Option<Body> = serde_json::from_slice(body).ok();
        let header = number(headers, header::RETRY_AFTER.as_str());
        let wait = [body.as_ref().map(|it| it.retry_after), header].into_iter().flatten().map(seconds).max();
        // Without a body of Discord's own it comes from its guard (Cloudflare), which means the whole machine.
        let scope = text(headers, "x-ratelimit-scope");
        let is_global = scope == Some("global")
            || headers.contains_key("x-ratelimit-global")
            || body.is_none_or(|it| it.global);
        Self { wait: wait.unwrap_or(UNSTATED_WAIT), is_global, is_shared: scope == Some("shared") }
    }
}

/// The state of the bucket that this route belongs to.
fn limit(headers: &header::HeaderMap) -> Option<Announced> {
    let whole = |name| text(headers, name)?.parse().ok();
    let reset_after = seconds(number(headers, "x-ratelimit-reset-after")?);
    Some(Announced {
        bucket: Announced::id(text(headers, "x-ratelimit-bucket")?),
        limit: whole("x-ratelimit-limit")?,
        remaining: whole("x-ratelimit-remaining")?,
        resets_at: Instant::now() + reset_after,
    })
}

fn text<'a>(headers: &'a header::HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

fn number(headers: &header::HeaderMap, name: &str) -> Option<f64> {
    text(headers, name)?.trim().parse().ok()
}

fn seconds(it: f64) -> Duration {
    Duration::try_from_secs_f64(it).unwrap_or(UNSTATED_WAIT).min(LONGEST_WAIT)
}

/// The whole body; none when it breaks off or has no end.
async fn body(mut response: Response) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.ok()? {
        if body.len() + chunk.len() > MAX_BODY {
            return None;
        }
        body.extend_from_slice(&chunk);
    }
    Some(body)
}
