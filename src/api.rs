//! The router API: other programs ask over HTTP, in OpenAI's words, and get the same router as Discord.
//!
//! **The problem.** Bytes that a program has read cannot be taken back, and it must never take half an answer for a whole one.
//! **The rule.** Nothing is sent before the first text, so that every failure before it is the next provider's business. After
//! a break the stream goes on only where the next answer begins with exactly what was sent; else it ends with an error and no
//! clean end. A caller that hangs up cancels the turn. **The limits.** One choice an answer, no log probabilities; HTTP/1.1
//! without TLS, which is a reverse proxy's work.

mod chunks;
mod door;
mod fault;
mod intake;
mod patience;
mod question;
mod reply;
mod turn;
mod voice;
mod whole;

use crate::{
    ledger::Ledger,
    message::{TurnId, UnixMillis},
    metrics::Metrics,
    router::{Ask, Circle, End, Router, Sharing, strategy::Wish},
};
use chunks::Chunks;
pub use door::serve;
use fault::Fault;
use hyper::{
    Method, Request, Response, StatusCode,
    body::{Bytes, Incoming},
    header,
    http::request::Parts,
};
use question::Question;
use reply::Reply;
use secrecy::{ExposeSecret, SecretString};
use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use turn::Turn;
use voice::{Heard, Voice};
use whole::Whole;

/// The header that leaves nobody behind those who are asked for by name.
const STRICT: &str = "x-neverdark-strict";
/// Below it stand the answers' models, one by one.
const MODELS: &str = "/v1/models";

/// How the router API behaves.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The key that callers must send; none: it is open.
    pub key: Option<SecretString>,
    /// The most requests at once.
    pub max_concurrent: u32,
    /// Whether the same question in flight is asked once.
    pub coalesce: bool,
    /// The most tokens of an answer to a caller that says nothing about it, for providers that must be told.
    pub reply_tokens: u32,
}

/// What a request wants.
enum Wanted {
    /// An answer of the router.
    Answer {
        /// Its place among the requests.
        place: OwnedSemaphorePermit,
        /// Nobody stays behind those who are named.
        strict: bool,
    },
    /// What is known without asking anybody.
    Document(Vec<u8>),
}

/// The router API. Cheap to clone.
#[derive(Clone)]
pub struct Api(Arc<Inner>);

struct Inner {
    router: Router,
    ledger: Ledger,
    metrics: Arc<Metrics>,
    settings: Settings,
    places: Arc<Semaphore>,
    rng: Mutex<fastrand::Rng>,
}

impl fmt::Debug for Api {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Api").field("settings", &self.0.settings).finish_non_exhaustive()
    }
}

impl Api {
    /// The API over this router. `rng` draws the turns' ids.
    #[must_use]
    pub fn new(
        router: Router,
        ledger: Ledger,
        metrics: Arc<Metrics>,
        settings: Settings,
        rng: fastrand::Rng,
    ) -> Self {
        let places = Arc::new(Semaphore::new(settings.max_concurrent as usize));
        Self(Arc::new(Inner { router, ledger, metrics, settings, places, rng: Mutex::new(rng) }))
    }

    /// Answers one request.
    async fn answer(&self, request: Request<Incoming>) -> Response<Reply> {
        let response = self.routed(request).await.unwrap_or_else(|fault| fault.response());
        self.0.metrics.api_request(response.status().as_u16());
        response
    }

    async fn routed(&self, request: Request<Incoming>) -> Result<Response<Reply>, Fault> {
        let (head, body) = request.into_parts();
        match self.admitted(&head) {
            Ok(Wanted::Answer { place, strict }) => {
                let asks_first = intake::asks_first(&head);
                // It would keep the connection's buffer from being used again, as long as the answer takes.
                drop(head);
                let body = intake::whole(asks_first, body).await?;
                self.chat(body, place, strict).await
            }
            Ok(Wanted::Document(document)) => Ok(reply::json(StatusCode::OK, document)),
            Err(fault) => {
                intake::skip(intake::asks_first(&head), body).await;
                Err(fault)
            }
        }
    }

    /// What a head asks for, if it may.
    fn admitted(&self, head: &Parts) -> Result<Wanted, Fault> {
        let sent = head.headers.get(header::AUTHORIZATION).map(header::HeaderValue::as_bytes);
        if let Some(key) = &self.0.settings.key
            && !is_key(key.expose_secret().as_bytes(), sent)
        {
            return Err(Fault::wrong_key());
        }
        let is = |method: Method| head.method == method;
        match head.uri.path() {
            "/v1/chat/completions" if is(Method::POST) => {
                let place = Arc::clone(&self.0.places).try_acquire_owned();
                let place = place.map_err(|_| Fault::too_many())?;
                Ok(Wanted::Answer { place, strict: is_strict(head)? })
            }
            "/v1/chat/completions" => Err(Fault::wrong_method("POST")),
            MODELS if is(Method::GET) => Ok(Wanted::Document(self.models())),
            path => match path.strip_prefix(MODELS).and_then(|it| it.strip_prefix('/')) {
                Some(name) if is(Method::GET) => self.model(name).map(Wanted::Document),
                None if path != MODELS => Err(Fault::unknown_path()),
                Some(_) | None => Err(Fault::wrong_method("GET")),
            },
        }
    }

    async fn chat(
        &self,
        body: Bytes,
        place: OwnedSemaphorePermit,
        strict: bool,
    ) -> Result<Response<Reply>, Fault> {
        let Inner { router, ledger, metrics, settings, rng, .. } = &*self.0;
        let started_at = UnixMillis::now();
        let Question { prompt, first, streams, counts, session } =
            question::read(&body, &router.names(), settings.reply_tokens)?;
        drop(body);
        let sharing = Sharing { circle: Circle::Api, cached: false, in_flight: true };
        let ask = Ask {
            prompt: Arc::new(prompt),
            wish: Wish { strict: strict && !first.is_empty(), first, ..Wish::default() },
            sharing: settings.coalesce.then_some(sharing),
            session,
            server: None,
            started_at,
        };
        let id = TurnId::random(&mut rng.lock().unwrap_or_else(PoisonError::into_inner));
        let turn = Turn::new(id, router.play(&ask), ledger.clone(), (place, metrics.turn_running()));
        let chunks = Chunks::new(turn.id(), started_at, counts);
        if streams { self.stream(turn, Voice::new(chunks)).await } else { whole(turn, chunks).await }
    }

    /// Answers piece by piece, with a head as soon as there is something to say.
    async fn stream(&self, mut turn: Turn, mut voice: Voice) -> Result<Response<Reply>, Fault> {
        let mut begun = Vec::new();
        loop {
            let heard = voice.hear(turn.next().await, &mut begun);
            if let Heard::Nobody(exhausted) = &heard {
                return Err(Fault::exhausted(exhausted, turn.id()));
            }
            if !begun.is_empty() {
                let (id, provider) = (turn.id().clone(), voice.provider().to_owned());
                let metrics = Arc::clone(&self.0.metrics);
                let body = Reply::stream(begun, |out| tell(turn, voice, heard, out, metrics));
                let mut response = Response::new(body);
                response.headers_mut().insert(header::CONTENT_TYPE, reply::EVENTS);
                response.headers_mut().insert(header::CACHE_CONTROL, reply::NO_CACHE);
                reply::sign(&mut response, &id, Some(&provider));
                return Ok(response);
            }
        }
    }

    /// `auto` and every provider, as a list.
    fn models(&self) -> Vec<u8> {
        let providers = self.0.router.providers().map(|it| (it.name().to_owned(), it.model().to_owned()));
        let all = std::iter::once(("auto".to_owned(), "neverdark".to_owned())).chain(providers);
        chunks::models(&all.collect::<Vec<_>>())
    }

    fn model(&self, name: &str) -> Result<Vec<u8>, Fault> {
        let provider = self.0.router.providers().find(|it| it.name() == name);
        let owner = match &provider {
            Some(provider) => provider.model(),
            None if name == "auto" => "neverdark",
            None => return Err(Fault::unknown_model(name)),
        };
        Ok(chunks::model(name, owner))
    }
}

/// Goes on with an answer whose beginning was sent. Returns whether it came to a whole end.
async fn tell(
    mut turn: Turn,
    mut voice: Voice,
    mut heard: Heard,
    out: reply::Out,
    metrics: Arc<Metrics>,
) -> bool {
    loop {
        match heard {
            Heard::More => {}
            Heard::Whole => return true,
            Heard::Broken | Heard::Nobody(_) => {
                metrics.api_stream_broken();
                return false;
            }
        }
        let event = turn.next().await;
        heard = voice.hear(event, &mut out.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

/// Gathers the answer, so that a rewrite of it is not seen.
async fn whole(mut turn: Turn, chunks: Chunks) -> Result<Response<Reply>, Fault> {
    let mut whole = Whole::default();
    let end = loop {
        if let Some(end) = whole.hear(turn.next().await) {
            break end;
        }
    };
    let finish = match end {
        End::Answered { finish, .. } => finish,
        End::Exhausted(exhausted) => match fault::filter(&exhausted) {
            Some(name) => whole.filtered(name),
            None => return Err(Fault::exhausted(&exhausted, turn.id())),
        },
    };
    let mut response = reply::json(StatusCode::OK, whole.document(&chunks, &finish));
    reply::sign(&mut response, turn.id(), whole.provider());
    Ok(response)
}

/// Whether the header says that nobody stays behind those who are named.
fn is_strict(head: &Parts) -> Result<bool, Fault> {
    match head.headers.get(STRICT).map(|it| it.as_bytes().to_ascii_lowercase()).as_deref() {
        Some(b"true") => Ok(true),
        None | Some(b"false") => Ok(false),
        Some(_) => Err(Fault::invalid(
            STRICT,
            format!("The header {STRICT} must be 'true', or it must be left out."),
        )),
    }
}

/// Whether `Authorization` has this key. How long it takes says nothing about where the first difference is.
fn is_key(key: &[u8], sent: Option<&[u8]>) -> bool {
    let scheme = |sent: &[u8]| sent.get(..7).is_some_and(|it| it.eq_ignore_ascii_case(b"bearer "));
    let Some(sent) = sent.filter(|it| scheme(it)).map(|it| it[7..].trim_ascii()) else { return false };
    let different =
        key.iter().zip(sent).fold(0, |all, (one, other)| std::hint::black_box(all | (one ^ other)));
    sent.len() == key.len() && different == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_compared_whole() {
        let is = |sent: &str| is_key(b"secret", Some(sent.as_bytes()));
        assert!(is("Bearer secret") && is("bearer  secret "));
        for wrong in [
            "",
            "secret",
            "Basic secret",
            "Bearer",
            "Bearer ",
            "Bearer secre",
            "Bearer secrets",
            "Bearer sEcret",
        ] {
            assert!(!is(wrong), "{wrong:?}");
        }
        assert!(!is_key(b"secret", None));
    }
}
