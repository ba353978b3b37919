//! Says which class of failure an answer is: by its status, its headers and its body (pure).
//!
//! A status alone misleads in both directions: a 429 may mean "never again today" (`insufficient_quota`), a 400 may mean
//! a wrong key (xAI, Gemini) and a 500 a request that cannot work (llama.cpp). So the body's words come first. The
//! vendor's free text is looked at here and goes no further: it may quote the prompt or the key.

use crate::{
    message::UnixMillis,
    outcome::{Failed, Failure},
};
use reqwest::header::HeaderMap;
use serde_json::Value;
use std::time::Duration;

/// What the body of a failure says, as far as the vendors' shapes go.
#[derive(Default)]
pub(super) struct Complaint {
    /// Codes and types, the most exact one first.
    words: Vec<String>,
    /// The parameter that is at fault.
    param: String,
    /// The free text, in small letters.
    text: String,
    /// The status that an error inside a 200 stream would have had.
    status: Option<u16>,
}

impl Complaint {
    /// Reads `{"error":{…}}`, `{"error":"…"}`, `[{"error":…}]`, `{"message":…}`, `{"detail":…}` and a bare error object.
    pub(super) fn read(body: &Value) -> Self {
        let body = body.get(0).unwrap_or(body);
        let error = body.get("error").filter(|error| !error.is_null()).unwrap_or(body);
        let word = |at: &str| error.pointer(at).or_else(|| body.pointer(at)).and_then(Value::as_str);
        let words = ["/code", "/details/error_code", "/innererror/code", "/type", "/status"];
        let text = error.get("message").or_else(|| error.get("detail")).unwrap_or(error);
        let number = |at: &str| {
            let value = error.get(at)?;
            let number = value.as_u64().or_else(|| value.as_str()?.parse().ok())?;
            u16::try_from(number).ok().filter(|status| (400..600).contains(status))
        };
        Self {
            words: words.into_iter().filter_map(word).map(str::to_lowercase).collect(),
            param: word("/param").unwrap_or_default().to_lowercase(),
            text: text.as_str().map_or_else(|| text.to_string(), str::to_owned).to_lowercase(),
            status: number("status_code").or_else(|| number("code")).or_else(|| number("status")),
        }
    }

    /// Whether it is about this parameter.
    pub(super) fn is_about(&self, param: &str) -> bool {
        self.param == param || self.text.contains(param)
    }

    /// What operators see of it: the first code or type that is surely one.
    fn detail(&self) -> String {
        self.words.iter().find_map(|word| machine_word(word)).unwrap_or_default()
    }
}

/// The word, if it is one that a machine says: no sentence, no bare number (the status says as much), and nothing with
/// as many digits as a key has.
pub(super) fn machine_word(word: &str) -> Option<String> {
    let plain = word.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-'))
        && word.contains(|c: char| c.is_ascii_alphabetic());
    let short = (1..=48).contains(&word.len()) && word.bytes().filter(u8::is_ascii_digit).count() <= 4;
    (plain && short).then(|| word.to_owned())
}

/// Something that a body may say.
enum Sign {
    /// One of its codes or types is this.
    Word(&'static str),
    /// Its text has this in it.
    Text(&'static str),
}
use Sign::{Text, Word};

/// From this status to that one, with one of these signs (none: always), it is that class.
type Rule = (u16, u16, &'static [Sign], Failure);

/// The statuses of an error inside a stream that does not say which it would have had.
const NO_STATUS: u16 = 0;
const ANY: u16 = 999;

/// The first rule that fits decides; the last ones fit everything. From recorded answers and the vendors' documentation.
const RULES: &[Rule] = &[
    // Money and the day's quota, also as a 429 or a 400: waiting a moment does not help.
    (NO_STATUS, ANY, &[Word("insufficient_quota"), Word("insufficient_balance")], Failure::QuotaExhausted),
    (
        NO_STATUS,
        ANY,
        &[Word("billing_hard_limit_reached"), Word("billing_not_active")],
        Failure::QuotaExhausted,
    ),
    (NO_STATUS, ANY, &[Word("enforced_spend_limit_reached"), Text("spend limit")], Failure::QuotaExhausted),
    (NO_STATUS, ANY, &[Text("credit balance"), Text("insufficient credits")], Failure::QuotaExhausted),
    (402, 402, &[], Failure::QuotaExhausted),
    // The prompt's length. A 429 is excluded: "too many tokens" there means a minute's.
    (NO_STATUS, ANY, &[Word("context_length_exceeded")], Failure::ContextTooLong),
    (NO_STATUS, ANY, &[Word("exceed_context_size_error")], Failure::ContextTooLong),
    (NO_STATUS, ANY, &[Word("too_many_prompt_tokens")], Failure::ContextTooLong),
    (NO_STATUS, 428, &[Text("context length"), Text("context window")], Failure::ContextTooLong),
    (NO_STATUS, 428, &[Text("prompt is too long"), Text("input token count")], Failure::ContextTooLong),
    (NO_STATUS, 500, &[Text("available context size")], Failure::ContextTooLong),
    (413, 413, &[], Failure::ContextTooLong),
    // Filters.
    (NO_STATUS, ANY, &[Word("content_filter"), Word("content_policy_violation")], Failure::ContentFiltered),
    (NO_STATUS, ANY, &[Word("responsibleaipolicyviolation")], Failure::ContentFiltered),
    (403, 403, &[Text("moderation"), Text("flagged")], Failure::ContentFiltered),
    // Parameters.
    (400, 422, &[Word("unsupported_parameter"), Word("unsupported_value")], Failure::UnsupportedParameter),
    (400, 422, &[Text("unsupported parameter")], Failure::UnsupportedParameter),
    (400, 422, &[Text("unrecognized request argument")], Failure::UnsupportedParameter),
    (400, 422, &[Word("extra_forbidden"), Text("extra_forbidden")], Failure::UnsupportedParameter),
    // Places.
    (NO_STATUS, ANY, &[Word("unsupported_country_region_territory")], Failure::RegionBlocked),
    (400, 403, &[Text("location is not supported")], Failure::RegionBlocked),
    (451, 451, &[], Failure::RegionBlocked),
    // Models.
    (NO_STATUS, ANY, &[Word("model_not_found"), Word("deploymentnotfound")], Failure::ModelUnavailable),
    (400, 422, &[Text("not a valid model"), Text("model not exist")], Failure::ModelUnavailable),
    (404, 404, &[], Failure::ModelUnavailable),
    (410, 410, &[], Failure::ModelUnavailable),
    // Keys; xAI and Gemini say it with a 400.
    (NO_STATUS, ANY, &[Word("invalid_api_key"), Word("authentication_error")], Failure::Auth),
    (400, 400, &[Text("api key")], Failure::Auth),
    (401, 401, &[], Failure::Auth),
    (403, 403, &[], Failure::Auth),
    (407, 407, &[], Failure::Auth),
    // What llama.cpp cannot do at all, dressed as its own fault.
    (500, 501, &[Text("--jinja"), Text("mmproj")], Failure::BadRequest),
    (501, 501, &[], Failure::BadRequest),
    // Capacity, also a llama.cpp that still loads its model (503, `unavailable_error`).
    (NO_STATUS, ANY, &[Word("overloaded_error"), Word("overloaded")], Failure::Overloaded),
    (NO_STATUS, ANY, &[Word("engine_overloaded"), Word("server_overloaded")], Failure::Overloaded),
    (NO_STATUS, ANY, &[Word("unavailable_error"), Word("capacity_exceeded")], Failure::Overloaded),
    (NO_STATUS, NO_STATUS, &[Text("overloaded")], Failure::Overloaded),
    (498, 498, &[], Failure::Overloaded),
    (503, 503, &[], Failure::Overloaded),
    (529, 529, &[], Failure::Overloaded),
    // Rates.
    (429, 429, &[], Failure::RateLimited),
    (NO_STATUS, ANY, &[Word("rate_limit_exceeded"), Word("rate_limit_error")], Failure::RateLimited),
    // What is left is told by the status.
    (408, 408, &[], Failure::Timeout),
    (300, 399, &[], Failure::Malformed),
    (400, 499, &[], Failure::BadRequest),
    (NO_STATUS, ANY, &[], Failure::ServerError),
];

fn class(status: u16, complaint: &Complaint) -> Failure {
    let says = |sign: &Sign| match sign {
        Word(word) => complaint.words.iter().any(|it| it == word),
        Text(text) => complaint.text.contains(text),
    };
    let fits = |&(from, to, signs, _): &Rule| {
        (from..=to).contains(&status) && (signs.is_empty() || signs.iter().any(says))
    };
    RULES.iter().find(|rule| fits(rule)).map_or(Failure::ServerError, |rule| rule.3)
}

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
    let failed = Failed {
        failure: class(status, &complaint),
        http_status: Some(status),
        retry_after: retry_after(headers, now),
        detail: complaint.detail(),
    };
    (failed, complaint)
}

/// An error inside an answer that had begun with 200. "Bad request" is no verdict here: the request had been accepted.
pub(super) fn of_error(error: &Value) -> Failed {
    let complaint = Complaint::read(error);
    let failure = match class(complaint.status.unwrap_or(NO_STATUS), &complaint) {
        Failure::BadRequest => Failure::ServerError,
        failure => failure,
    };
    Failed::new(failure, complaint.detail())
}

/// Nobody means more than a day; a longer wait is taken for a day.
const LONGEST_WAIT: Duration = Duration::from_secs(24 * 60 * 60);

/// How long the headers ask to be left alone: `retry-after-ms`, `retry-after`, else the reset of the dimension that is
/// used up. Only of use on failures: Anthropic sends `retry-after` on good answers, too.
fn retry_after(headers: &HeaderMap, now: UnixMillis) -> Option<Duration> {
    let header = |name: &str| headers.get(name)?.to_str().ok().map(str::trim);
    // Azure sends `retry-after-ms: 0` beside `retry-after: 1`.
    let exact =
        header("retry-after-ms").and_then(|ms| seconds(ms, 0.001)).filter(|wait| *wait > Duration::ZERO);
    let said = exact.or_else(|| {
        let value = header("retry-after")?;
        seconds(value, 1.0).or_else(|| Some(unix_millis(httpdate::parse_http_date(value).ok()?)?.since(now)))
    });
    let used_up = ["-requests", "-tokens", ""].into_iter().filter_map(|dimension| {
        let left: f64 = header(&format!("x-ratelimit-remaining{dimension}"))?.parse().ok()?;
        let reset = header(&format!("x-ratelimit-reset{dimension}"))?;
        if left <= 0.0 { reset_in(reset, now) } else { None }
    });
    said.or_else(|| used_up.max()).map(|wait| wait.min(LONGEST_WAIT))
}

fn unix_millis(date: std::time::SystemTime) -> Option<UnixMillis> {
    let since = date.duration_since(std::time::UNIX_EPOCH).ok()?;
    i64::try_from(since.as_millis()).ok().map(UnixMillis)
}

/// A number of seconds (times `unit`), with or without a fraction; none for anything else.
fn seconds(value: &str, unit: f64) -> Option<Duration> {
    Duration::try_from_secs_f64(value.parse::<f64>().ok()? * unit).ok()
}

/// A reset header: OpenAI's `6m0s` and `120ms`, Azure's seconds, or a moment in seconds or milliseconds since 1970.
fn reset_in(value: &str, now: UnixMillis) -> Option<Duration> {
    const A_MOMENT: Duration = Duration::from_secs(1_000_000_000);
    let Some(number) = seconds(value, 1.0) else { return go_duration(value) };
    if number < A_MOMENT {
        return Some(number);
    }
    let millis = if number < A_MOMENT * 100 { number.as_millis() } else { u128::from(number.as_secs()) };
    Some(UnixMillis(i64::try_from(millis).ok()?).since(now))
}

/// A duration as Go writes it: `1h2m3.5s`, `120ms`.
fn go_duration(value: &str) -> Option<Duration> {
    let mut rest = value;
    let mut sum = Duration::ZERO;
    while !rest.is_empty() {
        let unit_at = rest.find(|c: char| c.is_ascii_alphabetic())?;
        let (number, tail) = rest.split_at(unit_at);
        let number_at = tail.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(number_at);
        let unit = match unit {
            "h" => 3600.0,
            "m" => 60.0,
            "s" => 1.0,
            "ms" => 0.001,
            _ => return None,
        };
        sum = sum.checked_add(seconds(number, unit)?)?;
        rest = tail;
    }
    (!value.is_empty()).then_some(sum)
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};
    use proptest::prelude::*;
    use reqwest::header::{HeaderName, HeaderValue};

    /// 22 November 2026, 12:00:00 UTC.
    const NOW: UnixMillis = UnixMillis(1_795_348_800_000);

    fn headers(lines: &str) -> HeaderMap {
        lines
            .lines()
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| {
                (name.trim().parse::<HeaderName>().unwrap(), HeaderValue::from_str(value).unwrap())
            })
            .collect()
    }

    /// Answers as vendors gave them.
    const ANSWERS: &[(u16, &str)] = &[
        (429, r#"{"error":{"message":"Rate limit reached","type":"tokens","code":"rate_limit_exceeded"}}"#),
        (
            429,
            r#"{"error":{"message":"You exceeded…","type":"insufficient_quota","code":"insufficient_quota"}}"#,
        ),
        (429, r#"{"error":{"code":"429","message":"Requests have exceeded call rate limit"}}"#),
        (429, "slow down"),
        (
            400,
            r#"{"error":{"type":"invalid_request_error","message":"reached your specified API usage spend limit"}}"#,
        ),
        (402, r#"{"error":{"message":"Insufficient credits","code":402}}"#),
        (
            401,
            r#"{"error":{"message":"Incorrect API key provided: sk-abc","type":"invalid_request_error","code":"invalid_api_key"}}"#,
        ),
        (401, r#"{"detail":"Unauthorized"}"#),
        (403, r#"{"message":"User is not authorized"}"#),
        (
            400,
            r#"{"code":"Client specified an invalid argument","error":"Incorrect API key provided: xa***"}"#,
        ),
        (400, r#"[{"error":{"code":400,"message":"API key not valid.","status":"INVALID_ARGUMENT"}}]"#),
        (403, r#"{"error":{"code":403,"message":"Your input was flagged"}}"#),
        (403, r#"{"error":{"code":"unsupported_country_region_territory","type":"request_forbidden"}}"#),
        (451, ""),
        (404, r#"{"error":{"message":"The model does not exist","code":"model_not_found"}}"#),
        (404, "<html>not here</html>"),
        (400, r#"{"error":{"message":"x/y is not a valid model ID","code":400}}"#),
        (
            400,
            r#"{"error":{"message":"This model's maximum context length is 8192 tokens","code":"context_length_exceeded","param":"messages"}}"#,
        ),
        (400, r#"{"error":{"message":"This endpoint's maximum context length is 8 tokens","code":400}}"#),
        (
            400,
            r#"{"error":{"code":400,"message":"request exceeds the available context size","type":"exceed_context_size_error","n_ctx":512}}"#,
        ),
        (413, "too large"),
        (400, r#"{"error":{"code":"content_filter","innererror":{"code":"ResponsibleAIPolicyViolation"}}}"#),
        (
            400,
            r#"{"error":{"message":"Unsupported parameter: 'max_tokens'","code":"unsupported_parameter","param":"max_tokens"}}"#,
        ),
        (422, r#"{"detail":[{"type":"extra_forbidden","loc":["body","stream_options"]}]}"#),
        (400, r#"{"error":{"message":"bad","type":"invalid_request_error"}}"#),
        (408, ""),
        (500, r#"{"error":{"message":"The server had an error","type":"server_error"}}"#),
        (
            500,
            r#"{"error":{"code":500,"message":"tools param requires --jinja flag","type":"server_error"}}"#,
        ),
        (501, ""),
        (502, "<html>bad gateway</html>"),
        (503, r#"{"error":{"code":503,"message":"Loading model","type":"unavailable_error"}}"#),
        (504, ""),
        (529, r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#),
        (302, ""),
        (418, r#"{"error":{"code":"sk_1234567890"}}"#),
    ];

    #[test]
    fn the_table_of_answers() {
        let table: String = ANSWERS
            .iter()
            .map(|(status, body)| {
                format!("{}\n", of_answer(*status, &HeaderMap::new(), body.as_bytes(), NOW).0)
            })
            .collect();
        expect![[r#"
            rate_limited (HTTP 429): rate_limit_exceeded
            quota_exhausted (HTTP 429): insufficient_quota
            rate_limited (HTTP 429)
            rate_limited (HTTP 429)
            quota_exhausted (HTTP 400): invalid_request_error
            quota_exhausted (HTTP 402)
            auth (HTTP 401): invalid_api_key
            auth (HTTP 401)
            auth (HTTP 403)
            auth (HTTP 400)
            auth (HTTP 400): invalid_argument
            content_filtered (HTTP 403)
            region_blocked (HTTP 403): unsupported_country_region_territory
            region_blocked (HTTP 451)
            model_unavailable (HTTP 404): model_not_found
            model_unavailable (HTTP 404)
            model_unavailable (HTTP 400)
            context_too_long (HTTP 400): context_length_exceeded
            context_too_long (HTTP 400)
            context_too_long (HTTP 400): exceed_context_size_error
            context_too_long (HTTP 413)
            content_filtered (HTTP 400): content_filter
            unsupported_parameter (HTTP 400): unsupported_parameter
            unsupported_parameter (HTTP 422)
            bad_request (HTTP 400): invalid_request_error
            timeout (HTTP 408)
            server_error (HTTP 500): server_error
            bad_request (HTTP 500): server_error
            bad_request (HTTP 501)
            server_error (HTTP 502)
            overloaded (HTTP 503): unavailable_error
            server_error (HTTP 504)
            overloaded (HTTP 529): overloaded_error
            malformed (HTTP 302)
            bad_request (HTTP 418)
        "#]]
        .assert_eq(&table);
    }

    #[test]
    fn the_table_of_errors_inside_a_stream() {
        let errors = [
            r#"{"error":{"message":"Failed to call a function","code":"tool_use_failed","status_code":400}}"#,
            r#"{"error":{"code":400,"message":"Token limit reached"}}"#,
            r#"{"error":{"code":429,"message":"upstream"}}"#,
            r#"{"error":{"code":502,"message":"Provider disconnected"}}"#,
            r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#,
            r#"{"error":"model is overloaded"}"#,
            r#"{"error":{"code":"insufficient_quota"}}"#,
            r#"{"code":500,"message":"context shift","type":"server_error"}"#,
            r#""gone""#,
        ];
        let table: String = errors
            .iter()
            .map(|error| format!("{}\n", of_error(&serde_json::from_str(error).unwrap())))
            .collect();
        expect![[r#"
            server_error: tool_use_failed
            server_error
            rate_limited
            server_error
            overloaded: overloaded_error
            overloaded
            quota_exhausted: insufficient_quota
            server_error: server_error
            server_error
        "#]]
        .assert_eq(&table);
    }

    fn wait(lines: &str, expected: &Expect) {
        expected.assert_eq(&format!("{:?}", retry_after(&headers(lines), NOW)));
    }

    #[test]
    fn how_long_to_leave_it_alone() {
        wait("", &expect!["None"]);
        wait("retry-after: 7", &expect!["Some(7s)"]);
        wait("retry-after: 0.25", &expect!["Some(250ms)"]);
        wait("retry-after: 31536000", &expect!["Some(86400s)"]);
        wait("retry-after: soon", &expect!["None"]);
        wait("retry-after: -1", &expect!["None"]);
        wait("retry-after: NaN", &expect!["None"]);
        wait("retry-after: inf", &expect!["None"]);
        wait("retry-after: Sun, 22 Nov 2026 12:00:30 GMT", &expect!["Some(30s)"]);
        wait("retry-after: Sun, 22 Nov 2026 11:00:00 GMT", &expect!["Some(0ns)"]);
        wait("retry-after: 2\nretry-after-ms: 1500", &expect!["Some(1.5s)"]);
        wait("retry-after: 1\nretry-after-ms: 0", &expect!["Some(1s)"]);
        // The dimension that is used up, not the smallest and not the largest.
        let both = "x-ratelimit-remaining-requests: 99\nx-ratelimit-reset-requests: 6m0s\n\
                    x-ratelimit-remaining-tokens: 0\nx-ratelimit-reset-tokens: 1m2.5s";
        wait(both, &expect!["Some(62.5s)"]);
        wait("x-ratelimit-remaining-tokens: 0\nx-ratelimit-reset-tokens: 120ms", &expect!["Some(120ms)"]);
        wait("x-ratelimit-remaining-requests: 0\nx-ratelimit-reset-requests: 12", &expect!["Some(12s)"]);
        wait("x-ratelimit-remaining: 0\nx-ratelimit-reset: 1795348805000", &expect!["Some(5s)"]);
        wait("x-ratelimit-remaining: 0\nx-ratelimit-reset: 1795348805", &expect!["Some(5s)"]);
        wait("x-ratelimit-remaining-tokens: 0\nx-ratelimit-reset-tokens: s", &expect!["None"]);
    }

    proptest! {
        #[test]
        fn no_header_and_no_body_is_too_odd(status in 300_u16..600, header in "[ -~]{0,24}", body in ".{0,60}") {
            let lines = ["retry-after", "retry-after-ms", "x-ratelimit-reset-tokens"]
                .map(|name| format!("{name}: {header}\n"))
                .concat() + "x-ratelimit-remaining-tokens: 0";
            let (failed, _) = of_answer(status, &headers(&lines), body.as_bytes(), NOW);
            prop_assert!(failed.retry_after.is_none_or(|wait| wait <= LONGEST_WAIT));
            prop_assert_eq!(failed.detail, "");
        }
    }
}
