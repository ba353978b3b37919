//! What a caller is told when there is no answer: an error in OpenAI's shape (pure).

use super::reply::{self, Reply};
use crate::{message::TurnId, outcome::Failure, router::Exhausted};
use hyper::{
    Response, StatusCode,
    header::{ALLOW, CONNECTION, HeaderName, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE},
};
use serde::Serialize;
use std::time::Duration;

/// `type` of what is the caller's to change.
const INVALID: &str = "invalid_request_error";
/// `type` of what is not.
const SERVER: &str = "server_error";
/// The most characters of a caller's own words that it is told again.
const MOST_QUOTED: usize = 64;

/// An error with its HTTP status.
#[derive(Clone, Debug)]
pub(super) struct Fault {
    status: StatusCode,
    error: Error,
    header: Option<Box<(HeaderName, HeaderValue)>>,
    turn: Option<TurnId>,
    /// The rest of the request is not read, so that nothing else can come over this connection.
    closes: bool,
}

#[derive(Clone, Debug, Serialize)]
struct Error {
    message: String,
    r#type: &'static str,
    param: Option<String>,
    code: Option<&'static str>,
}

#[derive(Serialize)]
struct Document<'a> {
    error: &'a Error,
}

impl Fault {
    fn new(status: StatusCode, r#type: &'static str, code: &'static str, message: impl Into<String>) -> Self {
        let error = Error { message: message.into(), r#type, param: None, code: Some(code) };
        Self { status, error, header: None, turn: None, closes: false }
    }

    fn about(mut self, param: impl Into<String>) -> Self {
        self.error.param = Some(param.into());
        self
    }

    fn with(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.header = Some(Box::new((name, value)));
        self
    }

    /// No key, or a wrong one.
    pub(super) fn wrong_key() -> Self {
        let message = "The API key is missing or wrong. Send it as 'Authorization: Bearer KEY'.";
        Self::new(StatusCode::UNAUTHORIZED, INVALID, "invalid_api_key", message)
            .with(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))
    }

    /// A path that is not there. It is not quoted: a caller may have put a key into it.
    pub(super) fn unknown_path() -> Self {
        let message = "There is no such URL. There are POST /v1/chat/completions and GET /v1/models.";
        Self::new(StatusCode::NOT_FOUND, INVALID, "unknown_url", message)
    }

    /// A method that the path does not have.
    pub(super) fn wrong_method(allowed: &'static str) -> Self {
        let message = format!("This URL is for {allowed} only.");
        Self::new(StatusCode::METHOD_NOT_ALLOWED, INVALID, "method_not_allowed", message)
            .with(ALLOW, HeaderValue::from_static(allowed))
    }

    /// More at once than the settings allow.
    pub(super) fn too_many() -> Self {
        let message = "Too many requests at once. Try again in a second.";
        Self::new(StatusCode::TOO_MANY_REQUESTS, "rate_limit_error", "too_many_requests", message)
            .with(RETRY_AFTER, HeaderValue::from_static("1"))
    }

    /// A body above this many bytes.
    pub(super) fn too_large(most: usize) -> Self {
        let message = format!("The body of the request is larger than {} MiB.", most / (1024 * 1024));
        let fault = Self::new(StatusCode::PAYLOAD_TOO_LARGE, INVALID, "request_too_large", message);
        Self { closes: true, ..fault }
    }

    /// A body that broke off, or whose chunks are none. To send the same again would not help.
    pub(super) fn broken_body() -> Self {
        let message = "The body of the request broke off, or its chunks are malformed.";
        let fault = Self::new(StatusCode::BAD_REQUEST, INVALID, "invalid_body", message);
        Self { closes: true, ..fault }
    }

    /// A body that did not come in time.
    pub(super) fn too_slow() -> Self {
        let message = "The body of the request did not come in time.";
        let fault = Self::new(StatusCode::REQUEST_TIMEOUT, INVALID, "request_timeout", message);
        Self { closes: true, ..fault }
    }

    /// A body that is not JSON.
    pub(super) fn no_json(line: usize, column: usize) -> Self {
        let message = format!("The body of the request is not JSON: see line {line}, column {column}.");
        Self::new(StatusCode::BAD_REQUEST, INVALID, "invalid_json", message)
    }

    /// A parameter that is not there.
    pub(super) fn missing(param: &str) -> Self {
        let message = format!("Missing required parameter: '{param}'.");
        Self::new(StatusCode::BAD_REQUEST, INVALID, "missing_required_parameter", message).about(param)
    }

    /// A parameter of a wrong type.
    pub(super) fn wrong_type(param: impl Into<String>, expected: &str, found: &str) -> Self {
        let param = param.into();
        let message = format!("Invalid type for '{param}': expected {expected}, but got {found} instead.");
        Self::new(StatusCode::BAD_REQUEST, INVALID, "invalid_type", message).about(param)
    }

    /// A parameter of the right type that makes no sense.
    pub(super) fn invalid(param: impl Into<String>, message: String) -> Self {
        Self::new(StatusCode::BAD_REQUEST, INVALID, "invalid_value", message).about(param)
    }

    /// A parameter that the router cannot serve.
    pub(super) fn unsupported(param: &str, instead: &str) -> Self {
        let message = format!("Unsupported parameter: '{param}'. {instead}");
        Self::new(StatusCode::BAD_REQUEST, INVALID, "unsupported_parameter", message).about(param)
    }

    /// A name that no provider has.
    pub(super) fn unknown_model(name: &str) -> Self {
        let name: String = name.chars().take(MOST_QUOTED).collect();
        let message = format!(
            "The model '{name}' does not exist: use 'auto', a provider's name, or names separated by commas. GET /v1/models lists them."
        );
        Self::new(StatusCode::NOT_FOUND, INVALID, "model_not_found", message).about("model")
    }

    /// Nobody answered.
    pub(super) fn exhausted(exhausted: &Exhausted, turn: &TurnId) -> Self {
        let first = exhausted.failures.first().map(|(_, failed)| failed.failure);
        let is_callers = exhausted.failures.iter().all(|(_, failed)| is_callers(failed.failure));
        let story = exhausted.failures.iter().map(|(name, failed)| format!("{name}: {}", failed.failure));
        let story = story.collect::<Vec<_>>().join(", ");
        let fault = match first.filter(|_| is_callers) {
            Some(Failure::ContextTooLong) => {
                let message = format!(
                    "The messages are longer than the context of every model that was asked ({story})."
                );
                Self::new(StatusCode::BAD_REQUEST, INVALID, "context_length_exceeded", message)
                    .about("messages")
            }
            Some(failure) => {
                let message = format!("Every provider that was asked refused the request ({story}).");
                Self::new(StatusCode::BAD_REQUEST, INVALID, failure.as_str(), message)
            }
            None => Self::all_failed(exhausted, &story),
        };
        Self { turn: Some(turn.clone()), ..fault }
    }

    fn all_failed(exhausted: &Exhausted, story: &str) -> Self {
        let message = match (story, exhausted.timed_out) {
            ("", false) => "No provider can be asked now: they rest after failures.".to_owned(),
            (story, false) => format!("Every provider failed ({story})."),
            ("", true) => "No provider answered in time.".to_owned(),
            (story, true) => format!("No provider answered in time ({story})."),
        };
        let fault = Self::new(StatusCode::SERVICE_UNAVAILABLE, SERVER, "all_providers_failed", message);
        match exhausted.try_again_in {
            Some(wait) => fault.with(RETRY_AFTER, HeaderValue::from(whole_seconds(wait))),
            None => fault,
        }
    }

    /// An answer that was sent in part and has no end; it is said inside of the stream.
    pub(super) fn stream_broken() -> Self {
        let message =
            "The answer broke off, and no provider could go on with it. What was sent is not a whole answer.";
        Self::new(StatusCode::BAD_GATEWAY, SERVER, "stream_broken", message)
    }

    /// The error as a document.
    pub(super) fn document(&self) -> Vec<u8> {
        // Plain strings: it cannot fail.
        serde_json::to_vec(&Document { error: &self.error }).unwrap_or_default()
    }

    /// The error as an answer.
    pub(super) fn response(self) -> Response<Reply> {
        let mut response = reply::json(self.status, self.document());
        if let Some((name, value)) = self.header.map(|it| *it) {
            response.headers_mut().insert(name, value);
        }
        if self.closes {
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        if let Some(turn) = &self.turn {
            reply::sign(&mut response, turn, None);
        }
        response
    }
}

/// Whose content filter had the last word, if one had.
pub(super) fn filter(exhausted: &Exhausted) -> Option<&str> {
    let last = exhausted.failures.last().filter(|(_, failed)| failed.failure == Failure::ContentFiltered);
    last.map(|(name, _)| name.as_str())
}

/// Whether the request is at fault and not the provider: it would fail again.
fn is_callers(failure: Failure) -> bool {
    failure.is_of_the_question() && failure != Failure::ContentFiltered
}

/// Rounded up, and never nothing: who comes too early is refused again.
fn whole_seconds(wait: Duration) -> u64 {
    (wait.as_secs() + u64::from(wait.subsec_nanos() > 0)).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::Failed;
    use expect_test::{Expect, expect};

    #[expect(clippy::needless_pass_by_value, reason = "reads as a literal")]
    fn check(failures: &[Failure], try_again_ms: Option<u64>, expected: Expect) {
        let failures = failures.iter().enumerate();
        let failures = failures.map(|(at, it)| (format!("p{at}"), Failed::new(*it, "secret")));
        let exhausted = Exhausted {
            failures: failures.collect(),
            try_again_in: try_again_ms.map(Duration::from_millis),
            ..Exhausted::default()
        };
        let fault = Fault::exhausted(&exhausted, &TurnId("0123456789".to_owned()));
        let wait = fault.header.as_ref().map(|it| format!("{}: {}\n", it.0, it.1.to_str().unwrap()));
        let body = String::from_utf8(fault.document()).unwrap();
        expected.assert_eq(&format!("{}\n{}{body}", fault.status.as_u16(), wait.unwrap_or_default()));
    }

    #[test]
    fn nobody_answered() {
        check(
            &[Failure::ServerError, Failure::RateLimited],
            Some(29_001),
            expect![[r#"
            503
            retry-after: 30
            {"error":{"message":"Every provider failed (p0: server_error, p1: rate_limited).","type":"server_error","param":null,"code":"all_providers_failed"}}"#]],
        );
        check(
            &[],
            Some(0),
            expect![[r#"
            503
            retry-after: 1
            {"error":{"message":"No provider can be asked now: they rest after failures.","type":"server_error","param":null,"code":"all_providers_failed"}}"#]],
        );
        check(
            &[Failure::Timeout, Failure::BadRequest],
            None,
            expect![[r#"
            503
            {"error":{"message":"Every provider failed (p0: timeout, p1: bad_request).","type":"server_error","param":null,"code":"all_providers_failed"}}"#]],
        );
    }

    #[test]
    fn the_callers_own_faults_are_400() {
        check(
            &[Failure::ContextTooLong],
            None,
            expect![[r#"
            400
            {"error":{"message":"The messages are longer than the context of every model that was asked (p0: context_too_long).","type":"invalid_request_error","param":"messages","code":"context_length_exceeded"}}"#]],
        );
        check(
            &[Failure::BadRequest, Failure::BadRequest],
            None,
            expect![[r#"
            400
            {"error":{"message":"Every provider that was asked refused the request (p0: bad_request, p1: bad_request).","type":"invalid_request_error","param":null,"code":"bad_request"}}"#]],
        );
        check(
            &[Failure::UnsupportedParameter, Failure::ContextTooLong],
            Some(5000),
            expect![[r#"
            400
            {"error":{"message":"Every provider that was asked refused the request (p0: unsupported_parameter, p1: context_too_long).","type":"invalid_request_error","param":null,"code":"unsupported_parameter"}}"#]],
        );
    }
}
