//! How long a provider asks to be left alone: from its headers, else from its body (pure).
//!
//! **The problem.** Each vendor says it in another way, and beside the one number that counts there are others: how long
//! until a budget is full that is not used up at all. The smallest of them is asked too early, the largest too late.
//! **The rule.** A header that names the wait, the one in milliseconds first; else the reset of the dimension that is
//! used up (`remaining` is 0), the latest if there are several; else the body: a named field, then "try again in 1.2s".
//! **The limits.** Of failures only: Anthropic sends `retry-after` on good answers, too. A wait of nothing, or of what is
//! no time at all, says nothing: the router has its own pauses. A longer wait than a day is taken for a day.

#[cfg(test)]
mod tests;

use super::complaint::error_in;
use crate::message::UnixMillis;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use serde_json::Value;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Nobody means more than a day.
const LONGEST_WAIT: Duration = Duration::from_secs(24 * 60 * 60);
/// A clock that differs more from the provider's than an answer's way and a rounded second explain is wrong.
const CLOCKS_DIFFER: Duration = Duration::from_secs(5);

/// What the headers say. `now` is for those that name a moment.
pub(super) fn in_headers(headers: &HeaderMap, now: Option<UnixMillis>) -> Option<Duration> {
    let now = now.map(|now| their_now(headers, now));
    // Azure sends `retry-after-ms: 0` beside `retry-after: 1`.
    let millis = ["retry-after-ms", "x-ms-retry-after-ms"]
        .into_iter()
        .find_map(|name| Duration::try_from_secs_f64(text(headers, name)?.parse::<f64>().ok()? / 1e3).ok());
    sane(millis)
        .or_else(|| sane(wait(text(headers, "retry-after")?, now)))
        .or_else(|| sane(used_up(headers, now)))
        .or_else(|| sane(headers.get_all("ratelimit").iter().filter_map(used_up_policy).max()))
}

/// What a body says. `words` is its free text in small letters.
pub(super) fn in_body(body: &Value, words: &str, now: Option<UnixMillis>) -> Option<Duration> {
    let (error, around) = error_in(body);
    let places = [error, &error["metadata"], around];
    let details = error["details"].as_array().into_iter().flatten();
    let gemini = details.filter_map(|it| wait(it["retryDelay"].as_str()?, None)).max();
    // OpenRouter repeats the headers of whoever is behind it.
    let headers = || in_headers(&header_map(&error["metadata"]["headers"]), now);
    let fields = || places.into_iter().find_map(|it| field(it, now));
    sane(gemini).or_else(|| sane(fields())).or_else(headers).or_else(|| sane(spoken(words)))
}

/// None for no time at all; nobody means more than a day.
fn sane(wait: Option<Duration>) -> Option<Duration> {
    wait.filter(|wait| !wait.is_zero()).map(|wait| wait.min(LONGEST_WAIT))
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    // No header of these is outside of ASCII, but for the µ of Go's microseconds.
    std::str::from_utf8(headers.get(name)?.as_bytes()).ok().map(str::trim)
}

/// The moment as the provider's clock has it, if ours is wrong: the moments that it names are its own.
fn their_now(headers: &HeaderMap, now: UnixMillis) -> UnixMillis {
    let theirs = text(headers, "date").and_then(|date| unix_millis(httpdate::parse_http_date(date).ok()?));
    theirs.filter(|theirs| theirs.since(now).max(now.since(*theirs)) > CLOCKS_DIFFER).unwrap_or(now)
}

/// The latest reset of what is used up: `x-ratelimit-remaining-tokens` beside `x-ratelimit-reset-tokens` (OpenAI, Groq,
/// Mistral), `anthropic-ratelimit-tokens-remaining` beside `…-reset`, `x-ratelimit-remaining` (OpenRouter),
/// `ratelimit-remaining` (a draft of the IETF). Azure may name only the period in which it fills up again.
fn used_up(headers: &HeaderMap, now: Option<UnixMillis>) -> Option<Duration> {
    let resets = headers.iter().filter_map(|(name, left)| {
        let name = name.as_str();
        let is_one = name.contains("ratelimit") || name.contains("rate-limit");
        let left: f64 = left.to_str().ok()?.trim().parse().ok()?;
        if !is_one || !name.contains("remaining") || left > 0.0 || left.is_nan() {
            return None;
        }
        let beside = |word| wait(text(headers, &name.replacen("remaining", word, 1))?, now);
        sane(beside("reset")).or_else(|| beside("renewalperiod"))
    });
    resets.max()
}

/// `"minute";r=0;t=12, "day";r=9;t=3600` (the IETF's draft), or `limit=10, remaining=0, reset=12` (an older one).
fn used_up_policy(value: &HeaderValue) -> Option<Duration> {
    let value = value.to_str().ok()?;
    let one_policy = value.contains("remaining=").then(|| value.replace(',', ";"));
    let policies = one_policy.as_deref().unwrap_or(value).split(',');
    let resets = policies.filter_map(|policy| {
        let of = |names: [&str; 2]| {
            let mut parts = policy.split(';').filter_map(|part| part.trim().split_once('='));
            parts.find(|(name, _)| names.contains(name)).map(|(_, value)| value)
        };
        let left: f64 = of(["r", "remaining"])?.parse().ok()?;
        if left <= 0.0 { wait(of(["t", "reset"])?, None) } else { None }
    });
    resets.max()
}

fn header_map(headers: &Value) -> HeaderMap {
    /// No honest answer has as many; the library's map panics at 32,768.
    const MOST_HEADERS: usize = 128;
    let pairs = headers.as_object().into_iter().flatten().take(MOST_HEADERS);
    let pairs = pairs.filter_map(|(name, value)| {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        Some((name.parse::<HeaderName>().ok()?, HeaderValue::try_from(value).ok()?))
    });
    pairs.collect()
}

/// A field with the wait in it; `estimated_time` is a Hugging Face server that loads its model.
fn field(place: &Value, now: Option<UnixMillis>) -> Option<Duration> {
    const SECONDS: [&str; 4] = ["retry_after", "retryAfter", "retry_after_seconds", "estimated_time"];
    let millis = place["retry_after_ms"].as_f64();
    let seconds = SECONDS.into_iter().find_map(|name| match place.get(name)? {
        Value::Number(seconds) => number(seconds.as_f64()?, now),
        Value::String(text) => wait(text, now),
        _ => None,
    });
    millis.and_then(|millis| Duration::try_from_secs_f64(millis / 1e3).ok()).or(seconds)
}

/// A wait as any vendor writes it: seconds, a span such as `6m0s`, or a moment: a number since 1970, an HTTP date, RFC 3339.
fn wait(value: &str, now: Option<UnixMillis>) -> Option<Duration> {
    let value = value.trim();
    if let Ok(seconds) = value.parse() {
        return number(seconds, now);
    }
    if let Some((span, "")) = span(value) {
        return Some(span);
    }
    let moment = httpdate::parse_http_date(value).ok();
    let moment = moment.or_else(|| humantime::parse_rfc3339_weak(value).ok())?;
    Some(unix_millis(moment)?.since(now?))
}

/// Seconds from now; or from 1970 if they are so many, or milliseconds if they are even more.
fn number(number: f64, now: Option<UnixMillis>) -> Option<Duration> {
    /// In 2001; as a wait it would be 31 years.
    const A_MOMENT: f64 = 1e9;
    /// The year 5138 in seconds, 1973 in milliseconds.
    const IN_MILLIS: f64 = 1e11;
    /// The year 5138 in milliseconds.
    const NO_MOMENT: f64 = 1e14;
    let millis = match number {
        _ if number < A_MOMENT => return Duration::try_from_secs_f64(number).ok(),
        _ if number < IN_MILLIS => number * 1e3,
        _ if number < NO_MOMENT => number,
        _ => return None,
    };
    Some(UnixMillis(millis as i64).since(now?))
}

fn unix_millis(moment: SystemTime) -> Option<UnixMillis> {
    let since = moment.duration_since(UNIX_EPOCH).ok()?;
    i64::try_from(since.as_millis()).ok().map(UnixMillis)
}

/// The wait in a sentence.
fn spoken(words: &str) -> Option<Duration> {
    const CUES: [&str; 6] =
        ["try again in", "try again after", "retry in", "retry after", "retrying in", "please wait"];
    let behind =
        |cue: &'static str| words.match_indices(cue).filter_map(move |(at, _)| words.get(at + cue.len()..));
    CUES.into_iter()
        .flat_map(behind)
        .find_map(|rest| span(rest.trim_start_matches([' ', ':', '~'])))
        .map(|(span, _)| span)
}

/// A span at the beginning of a text, and what follows it: `1h2m3.5s` and `120ms` as Go writes them, `20 seconds`,
/// `1 minute and 5 seconds`.
fn span(text: &str) -> Option<(Duration, &str)> {
    let (mut sum, mut rest) = one_span(text)?;
    loop {
        let next = rest.trim_start();
        let Some((more, behind)) = one_span(next.strip_prefix("and ").unwrap_or(next)) else {
            return Some((sum, rest));
        };
        sum = sum.checked_add(more)?;
        rest = behind;
    }
}

fn one_span(text: &str) -> Option<(Duration, &str)> {
    let (number, rest) =
        text.split_at(text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len()));
    let rest = rest.trim_start();
    let (unit, rest) = rest.split_at(rest.find(|c: char| !c.is_alphabetic()).unwrap_or(rest.len()));
    let unit = match unit {
        "d" | "day" | "days" => 86_400.0,
        "h" | "hour" | "hours" => 3600.0,
        "m" | "min" | "mins" | "minute" | "minutes" => 60.0,
        "s" | "sec" | "secs" | "second" | "seconds" => 1.0,
        "ms" | "millisecond" | "milliseconds" => 1e-3,
        // Both of Unicode's letters for it.
        "us" | "\u{b5}s" | "\u{3bc}s" => 1e-6,
        "ns" => 1e-9,
        _ => return None,
    };
    Some((Duration::try_from_secs_f64(number.parse::<f64>().ok()? * unit).ok()?, rest))
}
