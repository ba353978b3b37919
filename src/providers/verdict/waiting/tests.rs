//! What each vendor's way of saying "not before" comes to.

use super::*;
use expect_test::{Expect, expect};
use proptest::prelude::*;
use serde_json::json;

/// 22 November 2026, 12:00:00 UTC.
const NOW: UnixMillis = UnixMillis(1_795_348_800_000);

fn headers(lines: &str) -> HeaderMap {
    let lines = lines.split('\n').filter_map(|line| line.split_once(": "));
    lines
        .map(|(name, value)| {
            (name.trim().parse::<HeaderName>().unwrap(), HeaderValue::from_str(value).unwrap())
        })
        .collect()
}

/// A line each: the headers (` | ` between them), and the wait.
#[expect(clippy::needless_pass_by_value, reason = "reads as a literal")]
fn check(cases: &str, expected: Expect) {
    let lines = cases.lines().map(str::trim).filter(|line| !line.is_empty());
    let told = lines.map(|line| {
        let wait = in_headers(&headers(&line.replace(" | ", "\n")), Some(NOW));
        format!("{} ← {line}\n", wait.map_or_else(|| "—".to_owned(), |wait| format!("{wait:?}")))
    });
    expected.assert_eq(&told.collect::<String>());
}

#[expect(clippy::needless_pass_by_value, reason = "reads as a literal")]
fn check_texts(cases: &str, expected: Expect) {
    let lines = cases.lines().map(str::trim).filter(|line| !line.is_empty());
    let told = lines.map(|line| {
        let wait = spoken(&line.to_lowercase());
        format!("{} ← {line}\n", wait.map_or_else(|| "—".to_owned(), |wait| format!("{wait:?}")))
    });
    expected.assert_eq(&told.collect::<String>());
}

#[expect(clippy::needless_pass_by_value, reason = "reads as a literal")]
fn body(body: &Value, expected: Expect) {
    expected.assert_eq(&format!("{:?}", in_body(body, "", Some(NOW))));
}

#[test]
fn a_named_wait() {
    check(
        "retry-after: 7
         retry-after: 0.25
         retry-after:   7
         retry-after: 20s
         retry-after: 31536000
         retry-after: Sun, 22 Nov 2026 12:00:30 GMT
         retry-after: 2026-11-22T12:00:30Z
         retry-after: 1795348830
         retry-after: 2 | retry-after-ms: 1500
         retry-after: 2 | x-ms-retry-after-ms: 1250.5
         retry-after: 1 | retry-after-ms: 0
         retry-after: 1 | retry-after-ms: soon",
        expect![[r#"
            7s ← retry-after: 7
            250ms ← retry-after: 0.25
            7s ← retry-after:   7
            20s ← retry-after: 20s
            86400s ← retry-after: 31536000
            30s ← retry-after: Sun, 22 Nov 2026 12:00:30 GMT
            30s ← retry-after: 2026-11-22T12:00:30Z
            30s ← retry-after: 1795348830
            1.5s ← retry-after: 2 | retry-after-ms: 1500
            1.2505s ← retry-after: 2 | x-ms-retry-after-ms: 1250.5
            1s ← retry-after: 1 | retry-after-ms: 0
            1s ← retry-after: 1 | retry-after-ms: soon
        "#]],
    );
}

#[test]
fn no_time_at_all_says_nothing() {
    check(
        "retry-after: 0
         retry-after: soon
         retry-after: -1
         retry-after: NaN
         retry-after: inf
         retry-after: 1e300
         retry-after: 0x10
         retry-after: 5 apples
         retry-after: Sun, 22 Nov 2026 11:00:00 GMT
         retry-after: Sun, 99 Nov 2026 11:00:00 GMT
         retry-after-ms: -5
         retry-after-ms: inf
         x-ratelimit-remaining-tokens: 0 | x-ratelimit-reset-tokens: s
         x-ratelimit-remaining-tokens: 0 | x-ratelimit-reset-tokens: -3s
         x-ratelimit-remaining-tokens: NaN | x-ratelimit-reset-tokens: 3s
         x-ratelimit-remaining-tokens: 0
         ratelimit: r=0;t=
         date: Sun, 22 Nov 2026 12:00:30 GMT",
        expect![[r#"
            — ← retry-after: 0
            — ← retry-after: soon
            — ← retry-after: -1
            — ← retry-after: NaN
            — ← retry-after: inf
            — ← retry-after: 1e300
            — ← retry-after: 0x10
            — ← retry-after: 5 apples
            — ← retry-after: Sun, 22 Nov 2026 11:00:00 GMT
            — ← retry-after: Sun, 99 Nov 2026 11:00:00 GMT
            — ← retry-after-ms: -5
            — ← retry-after-ms: inf
            — ← x-ratelimit-remaining-tokens: 0 | x-ratelimit-reset-tokens: s
            — ← x-ratelimit-remaining-tokens: 0 | x-ratelimit-reset-tokens: -3s
            — ← x-ratelimit-remaining-tokens: NaN | x-ratelimit-reset-tokens: 3s
            — ← x-ratelimit-remaining-tokens: 0
            — ← ratelimit: r=0;t=
            — ← date: Sun, 22 Nov 2026 12:00:30 GMT
        "#]],
    );
}

#[test]
fn the_dimension_that_is_used_up() {
    check(
        "x-ratelimit-remaining-requests: 99 | x-ratelimit-reset-requests: 120ms | x-ratelimit-remaining-tokens: 0 | x-ratelimit-reset-tokens: 6m0s
         x-ratelimit-remaining-requests: 99 | x-ratelimit-reset-requests: 1h2m3.5s | x-ratelimit-remaining-tokens: 0 | x-ratelimit-reset-tokens: 120ms
         x-ratelimit-remaining-requests: 0 | x-ratelimit-reset-requests: 2s | x-ratelimit-remaining-tokens: 0 | x-ratelimit-reset-tokens: 1m2.5s
         x-ratelimit-remaining-requests: 1 | x-ratelimit-reset-requests: 2s | x-ratelimit-remaining-tokens: 3 | x-ratelimit-reset-tokens: 1m2.5s
         x-ratelimit-remaining-tokens: 0 | x-ratelimit-reset-tokens: 500µs
         x-ratelimit-remaining-tokens: 0 | x-ratelimit-reset-tokens: 1500us
         x-ratelimit-remaining-tokens: 0 | x-ratelimit-reset-tokens: 12ns
         x-ratelimit-remaining-requests: 0 | x-ratelimit-reset-requests: 12
         x-ratelimit-remaining-requests: 0 | x-ratelimit-reset-requests: 0 | x-ratelimit-renewalperiod-requests: 60
         x-ratelimit-remaining-requests: 0 | x-ratelimit-renewalperiod-requests: 10 | x-ratelimit-renewalperiod-tokens: 60
         x-ratelimit-remaining-req-minute: 0 | x-ratelimit-reset-req-minute: 42 | x-ratelimit-remaining-tokens-minute: 7 | x-ratelimit-reset-tokens-minute: 59
         anthropic-ratelimit-requests-remaining: 49 | anthropic-ratelimit-requests-reset: 2026-11-22T12:00:01Z | anthropic-ratelimit-input-tokens-remaining: 0 | anthropic-ratelimit-input-tokens-reset: 2026-11-22T12:00:15Z
         anthropic-ratelimit-output-tokens-remaining: 0 | anthropic-ratelimit-output-tokens-reset: 2026-11-22T12:00:15.250Z
         x-ratelimit-remaining: 0 | x-ratelimit-reset: 1795348805000
         x-ratelimit-remaining: 0 | x-ratelimit-reset: 1795348805
         ratelimit-remaining: 0 | ratelimit-reset: 50
         ratelimit: limit=100, remaining=0, reset=50
         ratelimit: limit=100, remaining=1, reset=50
         ratelimit: \"minute\";r=0;t=12, \"day\";r=99;t=3600
         ratelimit: \"minute\";r=9;t=12 | ratelimit: \"day\";r=0;t=3600
         retry-after: 7 | x-ratelimit-remaining-tokens: 0 | x-ratelimit-reset-tokens: 1m
         retry-after: 0 | x-ratelimit-remaining-tokens: 0 | x-ratelimit-reset-tokens: 1m",
        expect![[r#"
            360s ← x-ratelimit-remaining-requests: 99 | x-ratelimit-reset-requests: 120ms | x-ratelimit-remaining-tokens: 0 | x-ratelimit-reset-tokens: 6m0s
            120ms ← x-ratelimit-remaining-requests: 99 | x-ratelimit-reset-requests: 1h2m3.5s | x-ratelimit-remaining-tokens: 0 | x-ratelimit-reset-tokens: 120ms
            62.5s ← x-ratelimit-remaining-requests: 0 | x-ratelimit-reset-requests: 2s | x-ratelimit-remaining-tokens: 0 | x-ratelimit-reset-tokens: 1m2.5s
            — ← x-ratelimit-remaining-requests: 1 | x-ratelimit-reset-requests: 2s | x-ratelimit-remaining-tokens: 3 | x-ratelimit-reset-tokens: 1m2.5s
            500µs ← x-ratelimit-remaining-tokens: 0 | x-ratelimit-reset-tokens: 500µs
            1.5ms ← x-ratelimit-remaining-tokens: 0 | x-ratelimit-reset-tokens: 1500us
            12ns ← x-ratelimit-remaining-tokens: 0 | x-ratelimit-reset-tokens: 12ns
            12s ← x-ratelimit-remaining-requests: 0 | x-ratelimit-reset-requests: 12
            60s ← x-ratelimit-remaining-requests: 0 | x-ratelimit-reset-requests: 0 | x-ratelimit-renewalperiod-requests: 60
            10s ← x-ratelimit-remaining-requests: 0 | x-ratelimit-renewalperiod-requests: 10 | x-ratelimit-renewalperiod-tokens: 60
            42s ← x-ratelimit-remaining-req-minute: 0 | x-ratelimit-reset-req-minute: 42 | x-ratelimit-remaining-tokens-minute: 7 | x-ratelimit-reset-tokens-minute: 59
            15s ← anthropic-ratelimit-requests-remaining: 49 | anthropic-ratelimit-requests-reset: 2026-11-22T12:00:01Z | anthropic-ratelimit-input-tokens-remaining: 0 | anthropic-ratelimit-input-tokens-reset: 2026-11-22T12:00:15Z
            15.25s ← anthropic-ratelimit-output-tokens-remaining: 0 | anthropic-ratelimit-output-tokens-reset: 2026-11-22T12:00:15.250Z
            5s ← x-ratelimit-remaining: 0 | x-ratelimit-reset: 1795348805000
            5s ← x-ratelimit-remaining: 0 | x-ratelimit-reset: 1795348805
            50s ← ratelimit-remaining: 0 | ratelimit-reset: 50
            50s ← ratelimit: limit=100, remaining=0, reset=50
            — ← ratelimit: limit=100, remaining=1, reset=50
            12s ← ratelimit: "minute";r=0;t=12, "day";r=99;t=3600
            3600s ← ratelimit: "minute";r=9;t=12 | ratelimit: "day";r=0;t=3600
            7s ← retry-after: 7 | x-ratelimit-remaining-tokens: 0 | x-ratelimit-reset-tokens: 1m
            60s ← retry-after: 0 | x-ratelimit-remaining-tokens: 0 | x-ratelimit-reset-tokens: 1m
        "#]],
    );
}

#[test]
fn a_moment_is_read_by_the_clock_of_who_names_it() {
    check(
        "date: Sun, 22 Nov 2026 11:50:00 GMT | retry-after: Sun, 22 Nov 2026 11:50:30 GMT
         date: Sun, 22 Nov 2026 12:10:00 GMT | x-ratelimit-remaining: 0 | x-ratelimit-reset: 1795349430
         date: Sun, 22 Nov 2026 11:59:58 GMT | retry-after: Sun, 22 Nov 2026 12:00:30 GMT
         date: yesterday | retry-after: Sun, 22 Nov 2026 12:00:30 GMT",
        expect![[r#"
            30s ← date: Sun, 22 Nov 2026 11:50:00 GMT | retry-after: Sun, 22 Nov 2026 11:50:30 GMT
            30s ← date: Sun, 22 Nov 2026 12:10:00 GMT | x-ratelimit-remaining: 0 | x-ratelimit-reset: 1795349430
            30s ← date: Sun, 22 Nov 2026 11:59:58 GMT | retry-after: Sun, 22 Nov 2026 12:00:30 GMT
            30s ← date: yesterday | retry-after: Sun, 22 Nov 2026 12:00:30 GMT
        "#]],
    );
}

#[test]
fn fields_of_a_body() {
    body(
        &json!([{ "error": { "code": 429, "details": [
            { "@type": "type.googleapis.com/google.rpc.Help" },
            { "@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "48.927s" },
        ] } }]),
        expect!["Some(48.927s)"],
    );
    body(&json!({ "error": { "retry_after": 1.5 } }), expect!["Some(1.5s)"]);
    body(&json!({ "message": "x", "retry_after_ms": 250 }), expect!["Some(250ms)"]);
    body(&json!({ "error": "Model is loading", "estimated_time": 20.5 }), expect!["Some(20.5s)"]);
    body(&json!({ "error": { "metadata": { "retry_after_seconds": "9" } } }), expect!["Some(9s)"]);
    let repeated = json!({ "X-RateLimit-Limit": "50", "X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "1795348805000" });
    body(&json!({ "error": { "code": 429, "metadata": { "headers": repeated } } }), expect!["Some(5s)"]);
    for nothing in [json!(-1), json!(0), json!("soon"), json!(null), json!([7]), json!(1e300)] {
        body(&json!({ "error": { "retry_after": nothing, "retry_after_ms": nothing } }), expect!["None"]);
    }
}

#[test]
fn sentences() {
    check_texts(
        "Rate limit reached for m in organization o on tokens per min (TPM): Limit 10000. Please try again in 1.2s.
         Please try again in 120ms. Visit https://x/y to learn more.
         Please try again in 6m0s.
         Please try again in 1h2m3.5s
         Please try again in 20 seconds.
         Please try again in 1 minute and 5 seconds.
         Please retry after 7 seconds
         * Quota exceeded for metric: x, limit: 20\\nPlease retry in 48.927s.
         No deployments available. Try again in 30 seconds
         Please wait 3 minutes
         Try again in a moment, or try again after 2 sec
         Please try again later.
         Please try again in a few seconds
         try again in
         try again in 5
         try again in 5 apples
         try again in 1.2.3s
         try again in -5s
         try again in .s
         try again in ٣s
         try again in 99999999999999999999999999 days",
        expect![[r#"
            1.2s ← Rate limit reached for m in organization o on tokens per min (TPM): Limit 10000. Please try again in 1.2s.
            120ms ← Please try again in 120ms. Visit https://x/y to learn more.
            360s ← Please try again in 6m0s.
            3723.5s ← Please try again in 1h2m3.5s
            20s ← Please try again in 20 seconds.
            65s ← Please try again in 1 minute and 5 seconds.
            7s ← Please retry after 7 seconds
            48.927s ← * Quota exceeded for metric: x, limit: 20\nPlease retry in 48.927s.
            30s ← No deployments available. Try again in 30 seconds
            180s ← Please wait 3 minutes
            2s ← Try again in a moment, or try again after 2 sec
            — ← Please try again later.
            — ← Please try again in a few seconds
            — ← try again in
            — ← try again in 5
            — ← try again in 5 apples
            — ← try again in 1.2.3s
            — ← try again in -5s
            — ← try again in .s
            — ← try again in ٣s
            — ← try again in 99999999999999999999999999 days
        "#]],
    );
}

#[test]
fn a_header_is_believed_before_a_body() {
    let body =
        br#"{"error":{"message":"Please try again in 20s","code":"rate_limit_exceeded","retry_after":9}}"#;
    let said = |lines: &str| super::super::of_answer(429, &headers(lines), body, NOW).0.retry_after;
    assert_eq!(said("retry-after: 7"), Some(Duration::from_secs(7)));
    assert_eq!(said("retry-after: 0"), Some(Duration::from_secs(9)));
    assert_eq!(said(""), Some(Duration::from_secs(9)));
}

const NAMES: [&str; 12] = [
    "retry-after",
    "retry-after-ms",
    "x-ms-retry-after-ms",
    "date",
    "x-ratelimit-remaining-tokens",
    "x-ratelimit-reset-tokens",
    "x-ratelimit-renewalperiod-tokens",
    "anthropic-ratelimit-tokens-remaining",
    "anthropic-ratelimit-tokens-reset",
    "ratelimit",
    "ratelimit-remaining",
    "ratelimit-reset",
];

fn value() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        Just(b"0".to_vec()),
        "[0-9]{1,20}(\\.[0-9]{1,9})?(ns|us|ms|s|m|h)?".prop_map(String::into_bytes),
        "[0-9eE+.:TZ-]{0,30}".prop_map(String::into_bytes),
        "20[0-9]{2}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\\.[0-9]{0,12})?(Z|\\+00:00|\\+0)?"
            .prop_map(String::into_bytes),
        "\"[a-z]\";r=[0-9-]{1,3};t=[0-9.]{1,30}".prop_map(String::into_bytes),
        "[ -~\u{e4}]{0,24}".prop_map(String::into_bytes),
        proptest::collection::vec(32_u8..=255, 0..24),
    ]
}

proptest! {
    #[test]
    fn no_header_is_too_odd(pairs in proptest::collection::vec((0..NAMES.len(), value()), 0..8)) {
        let pairs = pairs.into_iter().filter_map(|(name, value)| {
            Some((HeaderName::from_static(NAMES[name]), HeaderValue::from_bytes(&value).ok()?))
        });
        let wait = in_headers(&pairs.collect(), Some(NOW));
        prop_assert!(wait.is_none_or(|wait| !wait.is_zero() && wait <= LONGEST_WAIT));
    }

    #[test]
    fn what_go_writes_is_read(hours in 0_u64..20, minutes in 0_u64..60, millis in 1_u64..60_000) {
        let seconds = millis as f64 / 1e3;
        let written = match (hours, minutes) {
            (0, 0) if millis < 1000 => format!("{millis}ms"),
            (0, 0) => format!("{seconds}s"),
            (0, _) => format!("{minutes}m{seconds}s"),
            _ => format!("{hours}h{minutes}m{seconds}s"),
        };
        let read = wait(&written, None).unwrap().as_secs_f64();
        prop_assert!((read - (hours * 3600 + minutes * 60) as f64 - seconds).abs() < 1e-6, "{}", written);
    }

    #[test]
    fn no_sentence_is_too_odd(text in "(try again in |retry after|[0-9.]{0,9}|s|ms|\u{b5}s|and |[ -~\u{e4}]{0,3}){0,12}") {
        prop_assert!(sane(spoken(&text)).is_none_or(|wait| wait <= LONGEST_WAIT));
    }
}
