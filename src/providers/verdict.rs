//! Says which class of failure an answer is, and how long its provider asks to be left alone (pure).
//!
//! A status alone misleads in both directions: a 429 may mean "never again today" (`insufficient_quota`), a 400 may mean
//! a wrong key (xAI, Gemini) and a 500 a request that cannot work (llama.cpp). So the body's words come first. Nothing
//! asks which vendor it is: gateways pass on the words of others, and what the words mean does not differ between them.
//! The vendor's free text is looked at here and goes no further: it may quote the prompt or the key.

mod complaint;
mod rules;
#[cfg(test)]
mod tests;
mod waiting;

use crate::{
    message::UnixMillis,
    outcome::{Failed, Failure},
};
pub(super) use complaint::{Complaint, machine_word};
use reqwest::header::HeaderMap;
use serde_json::Value;
use std::time::Duration;

/// When the day's quota or the money is used up, a shorter wait is about something else: Gemini names the seconds until
/// the next minute's bucket beside a quota that comes back tomorrow.
const QUOTA_WAIT: Duration = Duration::from_secs(60);

/// A failed answer: any status but a 2xx.
pub(super) fn of_answer(
    status: u16,
    headers: &HeaderMap,
    body: &[u8],
    now: UnixMillis,
) -> (Failed, Complaint) {
    // A body that is no JSON has no codes, but its text may still tell.
    let body = serde_json::from_slice(body)
        .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(body).into_owned()));
    let complaint = Complaint::read(&body);
    let failure = rules::class(status, &complaint);
    let now = Some(now);
    let wait = waiting::in_headers(headers, now).or_else(|| waiting::in_body(&body, &complaint.text, now));
    let failed = Failed {
        failure,
        http_status: Some(status),
        retry_after: wait.filter(|wait| is_cured(failure, *wait)),
        detail: complaint.detail(),
        request_id: request_id(headers),
    };
    (failed, complaint)
}

/// An error inside an answer that had begun with 200. "Bad request" is hardly a verdict here: the request had been accepted.
/// A wait counts when it is a time from now; there is no clock here for a moment.
pub(super) fn of_error(error: &Value) -> Failed {
    let complaint = Complaint::read(error);
    let failure = match rules::class(complaint.status.unwrap_or(rules::NO_STATUS), &complaint) {
        Failure::BadRequest if !rules::says(&complaint, rules::FOUND_LATE) => Failure::ServerError,
        failure => failure,
    };
    let wait = waiting::in_body(error, &complaint.text, None).filter(|wait| is_cured(failure, *wait));
    // The answer's own status says 200.
    let detail = match (complaint.detail(), complaint.status) {
        (detail, Some(status)) if detail.is_empty() => format!("status {status}"),
        (detail, _) => detail,
    };
    Failed { retry_after: wait, ..Failed::new(failure, detail) }
}

/// The error that a chunk of a stream, or a whole answer with 200, is or has in it.
pub(super) fn of_chunk(chunk: &Value) -> Option<Failed> {
    // Gemini's errors may come in a list.
    let chunk = chunk.get(0).unwrap_or(chunk);
    let is_one = complaint::is_error(&chunk["error"])
        // OpenAI's newer interface, and old vLLM servers.
        || complaint::is_error(&chunk["response"]["error"])
        || chunk["type"] == "error"
        || chunk["object"] == "error";
    // OpenRouter puts it into the choice, too.
    let in_choice = || chunk.pointer("/choices/0").and_then(of_chunk);
    if is_one { Some(of_error(chunk)) } else { in_choice() }
}

/// Whether waiting that long cures it. What no time cures has no wait, whatever headers came along: a request that used
/// up the minute's last tokens may be a bad one, too.
fn is_cured(failure: Failure, wait: Duration) -> bool {
    match failure {
        Failure::RateLimited
        | Failure::Overloaded
        | Failure::ServerError
        | Failure::Timeout
        | Failure::Connection
        | Failure::BrokenStream
        | Failure::Malformed
        | Failure::Empty
        | Failure::ModelUnavailable => true,
        Failure::QuotaExhausted => wait >= QUOTA_WAIT,
        Failure::Auth
        | Failure::RegionBlocked
        | Failure::ContextTooLong
        | Failure::ContentFiltered
        | Failure::UnsupportedParameter
        | Failure::BadRequest => false,
    }
}

/// The id by which the vendor's support finds this answer.
pub(super) fn request_id(headers: &HeaderMap) -> Option<String> {
    const NAMES: [&str; 6] =
        ["x-request-id", "request-id", "x-generation-id", "apim-request-id", "x-amzn-requestid", "cf-ray"];
    let id = NAMES.into_iter().find_map(|name| headers.get(name))?.to_str().ok()?;
    let is_plain = id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.:".contains(&byte));
    ((1..=64).contains(&id.len()) && is_plain).then(|| id.to_owned())
}
