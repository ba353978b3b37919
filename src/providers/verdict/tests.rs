//! Each vendor's failures as they were recorded or documented, and what they are taken for.

use super::*;
use crate::providers::any_json::any_json;
use expect_test::{Expect, expect, expect_file};
use proptest::prelude::*;
use reqwest::header::{HeaderName, HeaderValue};
use serde_json::json;
use std::{fmt::Write, fs, path::Path};

/// 22 November 2026, 12:00:00 UTC.
const NOW: UnixMillis = UnixMillis(1_795_348_800_000);

fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
    let pairs = pairs.iter();
    pairs
        .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap()))
        .collect()
}

fn line(failed: &Failed, said: &str) -> String {
    let wait = failed.retry_after.map(|wait| format!(" (again in {wait:?})")).unwrap_or_default();
    format!("{failed}{wait} ← {}\n", beginning(said))
}

/// So that each verdict stands beside what it is about, and the table can be read.
fn beginning(said: &str) -> String {
    said.chars().take(72).collect()
}

/// A line each: the status and the body.
#[expect(clippy::needless_pass_by_value, reason = "reads as a literal")]
fn check(answers: &str, expected: Expect) {
    let lines = answers.lines().map(str::trim).filter(|line| !line.is_empty());
    let told = lines.map(|answer| {
        let (status, body) = answer.split_once(' ').unwrap_or((answer, ""));
        line(&of_answer(status.parse().unwrap(), &HeaderMap::new(), body.as_bytes(), NOW).0, body)
    });
    expected.assert_eq(&told.collect::<String>());
}

/// A line each: a chunk of a stream.
#[expect(clippy::needless_pass_by_value, reason = "reads as a literal")]
fn check_chunks(chunks: &str, expected: Expect) {
    let lines = chunks.lines().map(str::trim).filter(|line| !line.is_empty());
    let told = lines.map(|chunk| match of_chunk(&serde_json::from_str(chunk).unwrap()) {
        Some(failed) => line(&failed, chunk),
        None => format!("no error ← {}\n", beginning(chunk)),
    });
    expected.assert_eq(&told.collect::<String>());
}

#[test]
fn rates() {
    check(
        r#"429 {"error":{"message":"Rate limit reached for m on requests per day (RPD): Limit 200. Please try again in 7m12s.","type":"requests","param":null,"code":"rate_limit_exceeded"}}
           429 {"error":{"message":"Request too large for m on tokens per min (TPM): Limit 10000, Requested 12000. The input or output tokens must be reduced.","type":"tokens","code":"rate_limit_exceeded"}}
           413 {"error":{"message":"Request too large for model m on tokens per minute (TPM): Limit 6000, Requested 7023, please reduce your message size and try again.","type":"tokens","code":"rate_limit_exceeded"}}
           429 {"error":{"code":"429","message":"Requests have exceeded call rate limit of your current S0 pricing tier. Please retry after 26 seconds."}}
           429 {"type":"error","error":{"type":"rate_limit_error","message":"This request would exceed your organization's rate limit of 40,000 input tokens per minute"},"request_id":"req_1"}
           429 [{"error":{"code":429,"message":"You exceeded your current quota, please check your plan and billing details. Please retry in 48.9s.","status":"RESOURCE_EXHAUSTED","details":[{"@type":"type.googleapis.com/google.rpc.QuotaFailure","violations":[{"quotaId":"GenerateContentInputTokensPerModelPerMinute-FreeTier"}]},{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"48s"}]}}]
           429 {"error":{"message":"Provider returned error","code":429,"metadata":{"raw":"m is temporarily rate-limited upstream. Please retry shortly.","provider_name":"P"}}}
           429 {"message":"Requests rate limit exceeded"}
           429 {"object":"error","message":"Rate limit exceeded","type":"rate_limited","param":null,"code":"1300"}
           429 {"message":"Too many tokens, please wait before trying again."}
           429 {"error":"Too many requests"}
           429 slow down
           429 <html>slow down</html>
           429"#,
        expect![[r#"
            rate_limited (HTTP 429): rate_limit_exceeded (again in 432s) ← {"error":{"message":"Rate limit reached for m on requests per day (RPD):
            rate_limited (HTTP 429): rate_limit_exceeded ← {"error":{"message":"Request too large for m on tokens per min (TPM): Li
            rate_limited (HTTP 413): rate_limit_exceeded ← {"error":{"message":"Request too large for model m on tokens per minute 
            rate_limited (HTTP 429) (again in 26s) ← {"error":{"code":"429","message":"Requests have exceeded call rate limit
            rate_limited (HTTP 429): rate_limit_error ← {"type":"error","error":{"type":"rate_limit_error","message":"This reque
            rate_limited (HTTP 429): resource_exhausted (again in 48s) ← [{"error":{"code":429,"message":"You exceeded your current quota, please
            rate_limited (HTTP 429) ← {"error":{"message":"Provider returned error","code":429,"metadata":{"ra
            rate_limited (HTTP 429) ← {"message":"Requests rate limit exceeded"}
            rate_limited (HTTP 429): rate_limited ← {"object":"error","message":"Rate limit exceeded","type":"rate_limited",
            rate_limited (HTTP 429) ← {"message":"Too many tokens, please wait before trying again."}
            rate_limited (HTTP 429) ← {"error":"Too many requests"}
            rate_limited (HTTP 429) ← slow down
            rate_limited (HTTP 429) ← <html>slow down</html>
            rate_limited (HTTP 429) ← 
        "#]],
    );
}

#[test]
fn money_and_the_day() {
    check(
        r#"429 {"error":{"message":"You exceeded your current quota, please check your plan and billing details.","type":"insufficient_quota","param":null,"code":"insufficient_quota"}}
           429 {"type":"error","error":{"type":"rate_limit_error","message":"spend","details":{"error_code":"enforced_spend_limit_reached"}}}
           400 {"type":"error","error":{"type":"invalid_request_error","message":"You have reached your specified API usage limits. You will regain access on 2026-12-01 at 00:00 UTC."}}
           400 {"type":"error","error":{"type":"invalid_request_error","message":"Your credit balance is too low to access the Anthropic API."}}
           429 {"error":{"code":429,"message":"You exceeded your current quota","status":"RESOURCE_EXHAUSTED","details":[{"@type":"type.googleapis.com/google.rpc.QuotaFailure","violations":[{"quotaId":"GenerateRequestsPerMinutePerProjectPerModel"},{"quotaId":"GenerateRequestsPerDayPerProjectPerModel-FreeTier"}]},{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"48s"}]}}
           429 {"error":{"message":"Rate limit exceeded: free-models-per-day","code":429,"metadata":{"headers":{"X-RateLimit-Limit":"50","X-RateLimit-Remaining":"0","X-RateLimit-Reset":"1795352400000"}}}}
           402 {"error":{"message":"Insufficient credits","code":402}}
           402 {"error":{"message":"Insufficient Balance","type":"unknown_error","code":"invalid_request_error"}}
           403 {"code":"The caller does not have permission to execute the specified operation","error":"Your newly created team doesn't have any credits yet."}
           429 {"message":"You are using a Trial key, which is limited to 1000 API calls / month."}"#,
        expect![[r#"
            quota_exhausted (HTTP 429): insufficient_quota ← {"error":{"message":"You exceeded your current quota, please check your 
            quota_exhausted (HTTP 429): enforced_spend_limit_reached ← {"type":"error","error":{"type":"rate_limit_error","message":"spend","de
            quota_exhausted (HTTP 400): invalid_request_error ← {"type":"error","error":{"type":"invalid_request_error","message":"You h
            quota_exhausted (HTTP 400): invalid_request_error ← {"type":"error","error":{"type":"invalid_request_error","message":"Your 
            quota_exhausted (HTTP 429): resource_exhausted ← {"error":{"code":429,"message":"You exceeded your current quota","status
            quota_exhausted (HTTP 429) (again in 3600s) ← {"error":{"message":"Rate limit exceeded: free-models-per-day","code":42
            quota_exhausted (HTTP 402) ← {"error":{"message":"Insufficient credits","code":402}}
            quota_exhausted (HTTP 402): invalid_request_error ← {"error":{"message":"Insufficient Balance","type":"unknown_error","code"
            quota_exhausted (HTTP 403) ← {"code":"The caller does not have permission to execute the specified op
            quota_exhausted (HTTP 429) ← {"message":"You are using a Trial key, which is limited to 1000 API call
        "#]],
    );
}

#[test]
fn keys_and_places() {
    check(
        r#"401 {"error":{"message":"Incorrect API key provided: sk-abc","type":"invalid_request_error","param":null,"code":"invalid_api_key"}}
           401 {"error":{"code":"401","message":"Access denied due to invalid subscription key or wrong API endpoint."}}
           401 {"type":"error","error":{"type":"authentication_error","message":"invalid x-api-key"}}
           400 [{"error":{"code":400,"message":"API key not valid. Please pass a valid API key.","status":"INVALID_ARGUMENT","details":[{"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"API_KEY_INVALID","domain":"googleapis.com"}]}}]
           401 {"error":{"message":"No auth credentials found","code":401}}
           401 {"detail":"Unauthorized"}
           400 {"code":"invalid-argument","error":"Incorrect API key provided: xa***"}
           400 {"code":"Client specified an invalid argument","error":"Incorrect API key provided: xa***"}
           401 {"message":"invalid api token"}
           403 {"message":"The security token included in the request is invalid."}
           403 {"error":"Authentication failed"}
           403 <html>forbidden</html>
           407
           403 {"error":{"code":"unsupported_country_region_territory","message":"Country, region, or territory not supported","param":null,"type":"request_forbidden"}}
           400 {"error":{"code":400,"message":"User location is not supported for the API use.","status":"FAILED_PRECONDITION"}}
           451"#,
        expect![[r#"
            auth (HTTP 401): invalid_api_key ← {"error":{"message":"Incorrect API key provided: sk-abc","type":"invalid
            auth (HTTP 401) ← {"error":{"code":"401","message":"Access denied due to invalid subscript
            auth (HTTP 401): authentication_error ← {"type":"error","error":{"type":"authentication_error","message":"invali
            auth (HTTP 400): api_key_invalid ← [{"error":{"code":400,"message":"API key not valid. Please pass a valid 
            auth (HTTP 401) ← {"error":{"message":"No auth credentials found","code":401}}
            auth (HTTP 401) ← {"detail":"Unauthorized"}
            auth (HTTP 400): invalid-argument ← {"code":"invalid-argument","error":"Incorrect API key provided: xa***"}
            auth (HTTP 400) ← {"code":"Client specified an invalid argument","error":"Incorrect API ke
            auth (HTTP 401) ← {"message":"invalid api token"}
            auth (HTTP 403) ← {"message":"The security token included in the request is invalid."}
            auth (HTTP 403) ← {"error":"Authentication failed"}
            auth (HTTP 403) ← <html>forbidden</html>
            auth (HTTP 407) ← 
            region_blocked (HTTP 403): unsupported_country_region_territory ← {"error":{"code":"unsupported_country_region_territory","message":"Count
            region_blocked (HTTP 400): failed_precondition ← {"error":{"code":400,"message":"User location is not supported for the A
            region_blocked (HTTP 451) ← 
        "#]],
    );
}

#[test]
fn lengths() {
    check(
        r#"400 {"error":{"message":"This model's maximum context length is 8192 tokens. However, your messages resulted in 9001 tokens.","type":"invalid_request_error","param":"messages","code":"context_length_exceeded"}}
           400 {"error":{"message":"Your input exceeds the context window of this model.","type":"invalid_request_error","param":"input","code":"context_length_exceeded"}}
           429 {"error":{"message":"This model's maximum context length is 131072 tokens.","code":"context_length_exceeded"}}
           429 {"code":"429","error":"This model's maximum prompt length is 131072 but the request contains 537812 tokens."}
           400 {"type":"error","error":{"type":"invalid_request_error","message":"prompt is too long: 213462 tokens > 200000 maximum"}}
           400 {"error":{"code":400,"message":"The input token count (1048577) exceeds the maximum number of tokens allowed (1048576).","status":"INVALID_ARGUMENT"}}
           400 {"error":{"message":"This endpoint's maximum context length is 8 tokens","code":400}}
           400 {"error":{"message":"Provider returned error","code":400,"metadata":{"raw":"{\"error\":{\"message\":\"prompt is too long: 9 tokens > 8 maximum\"}}","provider_name":"P"}}}
           400 {"object":"error","message":"Prompt contains 65673 tokens, too large for model with 32768 maximum context length","type":"invalid_request_error","code":"3051"}
           400 {"error":{"message":"Please reduce the length of the messages or completion.","type":"invalid_request_error","param":"messages","code":"context_length_exceeded"}}
           413 {"error":{"message":"Request Entity Too Large","type":"invalid_request_error","code":"request_too_large"}}
           400 {"error":{"message":"This model's maximum context length is 65536 tokens.","type":"invalid_request_error","param":null,"code":"invalid_request_error"}}
           400 {"message":"too many tokens: size limit exceeded","id":"1"}
           400 {"code":"TOO_MANY_TOKENS"}
           400 {"error":{"message":"Too long","type":"too_many_prompt_tokens","code":400}}
           400 {"message":"Input Tokens Exceeded: Number of input tokens exceeds maximum length."}
           400 {"error":"prompt too long; exceeded max context length by 12 tokens"}
           400 {"error":{"code":400,"message":"the request exceeds the available context size, try increasing it","type":"exceed_context_size_error","n_prompt_tokens":9,"n_ctx":8}}
           413 <html>too large</html>"#,
        expect![[r#"
            context_too_long (HTTP 400): context_length_exceeded ← {"error":{"message":"This model's maximum context length is 8192 tokens.
            context_too_long (HTTP 400): context_length_exceeded ← {"error":{"message":"Your input exceeds the context window of this model
            context_too_long (HTTP 429): context_length_exceeded ← {"error":{"message":"This model's maximum context length is 131072 token
            context_too_long (HTTP 429) ← {"code":"429","error":"This model's maximum prompt length is 131072 but 
            context_too_long (HTTP 400): invalid_request_error ← {"type":"error","error":{"type":"invalid_request_error","message":"promp
            context_too_long (HTTP 400): invalid_argument ← {"error":{"code":400,"message":"The input token count (1048577) exceeds 
            context_too_long (HTTP 400) ← {"error":{"message":"This endpoint's maximum context length is 8 tokens"
            context_too_long (HTTP 400) ← {"error":{"message":"Provider returned error","code":400,"metadata":{"ra
            context_too_long (HTTP 400): invalid_request_error ← {"object":"error","message":"Prompt contains 65673 tokens, too large for
            context_too_long (HTTP 400): context_length_exceeded ← {"error":{"message":"Please reduce the length of the messages or complet
            context_too_long (HTTP 413): request_too_large ← {"error":{"message":"Request Entity Too Large","type":"invalid_request_e
            context_too_long (HTTP 400): invalid_request_error ← {"error":{"message":"This model's maximum context length is 65536 tokens
            context_too_long (HTTP 400) ← {"message":"too many tokens: size limit exceeded","id":"1"}
            context_too_long (HTTP 400): too_many_tokens ← {"code":"TOO_MANY_TOKENS"}
            context_too_long (HTTP 400): too_many_prompt_tokens ← {"error":{"message":"Too long","type":"too_many_prompt_tokens","code":40
            context_too_long (HTTP 400) ← {"message":"Input Tokens Exceeded: Number of input tokens exceeds maximu
            context_too_long (HTTP 400) ← {"error":"prompt too long; exceeded max context length by 12 tokens"}
            context_too_long (HTTP 400): exceed_context_size_error ← {"error":{"code":400,"message":"the request exceeds the available contex
            context_too_long (HTTP 413) ← <html>too large</html>
        "#]],
    );
}

#[test]
fn filters_models_and_parameters() {
    check(
        r#"400 {"error":{"message":"The response was filtered","param":"prompt","code":"content_filter","status":400,"innererror":{"code":"ResponsibleAIPolicyViolation"}}}
           403 {"error":{"code":403,"message":"Your chosen model requires moderation and your input was flagged","metadata":{"reasons":["violence"],"flagged_input":"secret"}}}
           400 {"error":{"message":"Content Exists Risk","type":"invalid_request_error","code":"invalid_request_error"}}
           400 {"type":"error","error":{"type":"invalid_request_error","message":"Output blocked by content filtering policy"}}
           404 {"error":{"message":"The model does not exist","type":"invalid_request_error","param":null,"code":"model_not_found"}}
           404 {"error":{"code":"DeploymentNotFound","message":"The API deployment for this resource does not exist."}}
           404 {"type":"error","error":{"type":"not_found_error","message":"model: claude-x"}}
           400 {"error":{"message":"x/y is not a valid model ID","code":400}}
           400 {"error":{"message":"Model Not Exist","type":"invalid_request_error","code":"invalid_request_error"}}
           404 {"error":{"message":"model \"x\" not found, try pulling it first","type":"api_error"}}
           404 {"detail":"Not Found"}
           410
           400 {"error":{"message":"Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.","type":"invalid_request_error","param":"max_tokens","code":"unsupported_parameter"}}
           400 {"error":{"message":"Unsupported value: 'temperature' does not support 0.2 with this model.","param":"temperature","code":"unsupported_value"}}
           422 {"detail":[{"type":"extra_forbidden","loc":["body","stream_options"],"msg":"Extra inputs are not permitted","input":{"include_usage":true}}]}
           422 {"object":"error","message":{"detail":[{"type":"extra_forbidden","loc":["body","stream_options"],"msg":"Extra inputs are not permitted"}]},"type":"invalid_request_error"}
           400 {"error":{"message":"property 'stream_options' is unsupported","type":"invalid_request_error"}}
           404 {"error":{"message":"No endpoints found that support tool use","code":404}}
           400 {"error":{"message":"registry.ollama.ai/library/gemma does not support tools","type":"api_error"}}"#,
        expect![[r#"
            content_filtered (HTTP 400): content_filter ← {"error":{"message":"The response was filtered","param":"prompt","code":
            content_filtered (HTTP 403) ← {"error":{"code":403,"message":"Your chosen model requires moderation an
            content_filtered (HTTP 400): invalid_request_error ← {"error":{"message":"Content Exists Risk","type":"invalid_request_error"
            content_filtered (HTTP 400): invalid_request_error ← {"type":"error","error":{"type":"invalid_request_error","message":"Outpu
            model_unavailable (HTTP 404): model_not_found ← {"error":{"message":"The model does not exist","type":"invalid_request_e
            model_unavailable (HTTP 404): deploymentnotfound ← {"error":{"code":"DeploymentNotFound","message":"The API deployment for 
            model_unavailable (HTTP 404): not_found_error ← {"type":"error","error":{"type":"not_found_error","message":"model: clau
            model_unavailable (HTTP 400) ← {"error":{"message":"x/y is not a valid model ID","code":400}}
            model_unavailable (HTTP 400): invalid_request_error ← {"error":{"message":"Model Not Exist","type":"invalid_request_error","co
            model_unavailable (HTTP 404): api_error ← {"error":{"message":"model \"x\" not found, try pulling it first","type"
            model_unavailable (HTTP 404) ← {"detail":"Not Found"}
            model_unavailable (HTTP 410) ← 
            unsupported_parameter (HTTP 400): unsupported_parameter ← {"error":{"message":"Unsupported parameter: 'max_tokens' is not supporte
            unsupported_parameter (HTTP 400): unsupported_value ← {"error":{"message":"Unsupported value: 'temperature' does not support 0
            unsupported_parameter (HTTP 422): extra_forbidden ← {"detail":[{"type":"extra_forbidden","loc":["body","stream_options"],"ms
            unsupported_parameter (HTTP 422): extra_forbidden ← {"object":"error","message":{"detail":[{"type":"extra_forbidden","loc":[
            unsupported_parameter (HTTP 400): invalid_request_error ← {"error":{"message":"property 'stream_options' is unsupported","type":"i
            unsupported_parameter (HTTP 404) ← {"error":{"message":"No endpoints found that support tool use","code":40
            unsupported_parameter (HTTP 400): api_error ← {"error":{"message":"registry.ollama.ai/library/gemma does not support t
        "#]],
    );
}

#[test]
fn ollamas_own_words() {
    check(
        r#"404 {"error":"model \"x\" not found, try pulling it first"}
           404 {"error":"model 'x' not found"}
           400 {"error":"registry.ollama.ai/library/x:latest does not support tools"}
           400 {"error":"\"x\" does not support thinking"}
           400 {"error":"invalid options: temperature"}
           400 {"error":"the input length exceeds the context length"}
           500 {"error":"model requires more system memory (9.9 GiB) than is available (7.6 GiB)"}
           400 {"error":"this server cannot run this remote model"}
           500 {"error":"llama runner process has terminated: exit status 2"}
           503 {"error":"server busy, please try again.  maximum pending requests exceeded"}
           401 {"error":"unauthorized","signin_url":"https://ollama.com/connect"}
           429 {"error":"you (ana) have reached your weekly usage limit, upgrade for higher limits: https://ollama.com/upgrade"}
           429 {"error":"too many concurrent requests"}
           502 {"StatusCode":502,"Status":"502 Bad Gateway","error":"upstream error"}"#,
        expect![[r#"
            model_unavailable (HTTP 404) ← {"error":"model \"x\" not found, try pulling it first"}
            model_unavailable (HTTP 404) ← {"error":"model 'x' not found"}
            unsupported_parameter (HTTP 400) ← {"error":"registry.ollama.ai/library/x:latest does not support tools"}
            unsupported_parameter (HTTP 400) ← {"error":"\"x\" does not support thinking"}
            unsupported_parameter (HTTP 400) ← {"error":"invalid options: temperature"}
            context_too_long (HTTP 400) ← {"error":"the input length exceeds the context length"}
            model_unavailable (HTTP 500) ← {"error":"model requires more system memory (9.9 GiB) than is available 
            model_unavailable (HTTP 400) ← {"error":"this server cannot run this remote model"}
            server_error (HTTP 500) ← {"error":"llama runner process has terminated: exit status 2"}
            overloaded (HTTP 503) ← {"error":"server busy, please try again.  maximum pending requests excee
            auth (HTTP 401) ← {"error":"unauthorized","signin_url":"https://ollama.com/connect"}
            quota_exhausted (HTTP 429) ← {"error":"you (ana) have reached your weekly usage limit, upgrade for hi
            rate_limited (HTTP 429) ← {"error":"too many concurrent requests"}
            server_error (HTTP 502) ← {"StatusCode":502,"Status":"502 Bad Gateway","error":"upstream error"}
        "#]],
    );
    check_chunks(
        r#"{"error":"an error was encountered while running the model: unexpected EOF"}
           {"StatusCode":429,"Status":"429 Too Many Requests","error":"slow down"}
           {"error":"too many concurrent requests"}
           {"error":"server busy, please try again.  maximum pending requests exceeded"}
           [{"error":{"code":499,"status":"CANCELLED"}}]
           [7]"#,
        expect![[r#"
            server_error ← {"error":"an error was encountered while running the model: unexpected E
            rate_limited: status 429 ← {"StatusCode":429,"Status":"429 Too Many Requests","error":"slow down"}
            rate_limited ← {"error":"too many concurrent requests"}
            overloaded ← {"error":"server busy, please try again.  maximum pending requests excee
            server_error: cancelled ← [{"error":{"code":499,"status":"CANCELLED"}}]
            no error ← [7]
        "#]],
    );
}

#[test]
fn geminis_own_words() {
    check(
        r#"400 {"error":{"code":400,"message":"Penalty is not enabled for this model","status":"INVALID_ARGUMENT"}}
           400 {"error":{"code":400,"message":"Developer instruction is not enabled for models/gemma-3-27b-it","status":"INVALID_ARGUMENT"}}
           400 {"error":{"code":400,"message":"Invalid JSON payload received. Unknown name \"seed\" at 'generation_config': Cannot find field.","status":"INVALID_ARGUMENT"}}
           400 {"error":{"code":400,"message":"Forced function calling (ANY mode) with a response mime type: 'application/json' is unsupported","status":"INVALID_ARGUMENT"}}
           400 {"error":{"code":400,"message":"Thinking level MINIMAL is not supported for this model. Please retry with other thinking level.","status":"INVALID_ARGUMENT"}}
           404 {"error":{"code":404,"message":"models/x is not found for API version v1beta, or is not supported for generateContent.","status":"NOT_FOUND"}}"#,
        expect![[r#"
            unsupported_parameter (HTTP 400): invalid_argument ← {"error":{"code":400,"message":"Penalty is not enabled for this model","
            unsupported_parameter (HTTP 400): invalid_argument ← {"error":{"code":400,"message":"Developer instruction is not enabled for
            unsupported_parameter (HTTP 400): invalid_argument ← {"error":{"code":400,"message":"Invalid JSON payload received. Unknown n
            unsupported_parameter (HTTP 400): invalid_argument ← {"error":{"code":400,"message":"Forced function calling (ANY mode) with 
            unsupported_parameter (HTTP 400): invalid_argument ← {"error":{"code":400,"message":"Thinking level MINIMAL is not supported 
            model_unavailable (HTTP 404): not_found ← {"error":{"code":404,"message":"models/x is not found for API version v1
        "#]],
    );
}

#[test]
fn faults_of_the_request_and_of_the_server() {
    check(
        r#"400 {"error":{"message":"bad","type":"invalid_request_error"}}
           400 {"error":{"message":"Failed to call a function.","type":"invalid_request_error","code":"tool_use_failed","failed_generation":"rate limit"}}
           422 {"detail":[{"type":"missing","loc":["body","model"],"msg":"Field required","input":{"messages":[{"content":"What is a context window? Insufficient credits!"}]}}]}
           418 {"error":{"code":"sk_1234567890"}}
           405
           500 {"error":{"code":500,"message":"tools param requires --jinja flag","type":"server_error"}}
           500 {"error":{"code":500,"message":"image input is not supported - hint: if this is unexpected, you may need to provide the mmproj","type":"server_error"}}
           500 {"error":{"code":500,"message":"Cannot use custom grammar constraints with tools.","type":"server_error"}}
           501 {"error":{"code":501,"message":"This server does not support it","type":"not_supported_error"}}
           500 {"error":{"message":"The server had an error","type":"server_error"}}
           500 {"type":"error","error":{"type":"api_error","message":"Internal server error"}}
           500 {"error":{"code":500,"message":"An internal error has occurred.","status":"INTERNAL"}}
           502 {"error":{"code":502,"message":"Provider disconnected"}}
           502 <html>bad gateway: rate limit, api key</html>
           504 {"error":{"code":504,"message":"Deadline expired","status":"DEADLINE_EXCEEDED"}}
           520 error code: 520
           424 {"error":"failed dependency"}
           499 {"error":{"code":499,"message":"The operation was cancelled.","status":"CANCELLED"}}
           408
           503 {"error":{"code":503,"message":"Loading model","type":"unavailable_error"}}
           503 {"error":{"code":503,"message":"The model is overloaded. Please try again later.","status":"UNAVAILABLE"}}
           503 {"error":"Model m is currently loading","estimated_time":20.0}
           529 {"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}
           498 {"error":{"message":"Flex tier capacity exceeded"}}
           429 {"error":"Model is overloaded","error_type":"overloaded"}
           429 {"error":{"message":"The engine is currently overloaded, please try again later","type":"engine_overloaded_error"}}
           429 {"object":"error","message":"Service tier capacity exceeded for this model.","type":"service_tier_capacity_exceeded","code":"3505"}
           302"#,
        expect![[r#"
            bad_request (HTTP 400): invalid_request_error ← {"error":{"message":"bad","type":"invalid_request_error"}}
            bad_request (HTTP 400): tool_use_failed ← {"error":{"message":"Failed to call a function.","type":"invalid_request
            bad_request (HTTP 422): missing ← {"detail":[{"type":"missing","loc":["body","model"],"msg":"Field require
            bad_request (HTTP 418) ← {"error":{"code":"sk_1234567890"}}
            bad_request (HTTP 405) ← 
            unsupported_parameter (HTTP 500): server_error ← {"error":{"code":500,"message":"tools param requires --jinja flag","type
            unsupported_parameter (HTTP 500): server_error ← {"error":{"code":500,"message":"image input is not supported - hint: if 
            unsupported_parameter (HTTP 500): server_error ← {"error":{"code":500,"message":"Cannot use custom grammar constraints wi
            unsupported_parameter (HTTP 501): not_supported_error ← {"error":{"code":501,"message":"This server does not support it","type":
            server_error (HTTP 500): server_error ← {"error":{"message":"The server had an error","type":"server_error"}}
            server_error (HTTP 500): api_error ← {"type":"error","error":{"type":"api_error","message":"Internal server e
            server_error (HTTP 500): internal ← {"error":{"code":500,"message":"An internal error has occurred.","status
            server_error (HTTP 502) ← {"error":{"code":502,"message":"Provider disconnected"}}
            server_error (HTTP 502) ← <html>bad gateway: rate limit, api key</html>
            server_error (HTTP 504): deadline_exceeded ← {"error":{"code":504,"message":"Deadline expired","status":"DEADLINE_EXC
            server_error (HTTP 520) ← error code: 520
            server_error (HTTP 424) ← {"error":"failed dependency"}
            server_error (HTTP 499): cancelled ← {"error":{"code":499,"message":"The operation was cancelled.","status":"
            timeout (HTTP 408) ← 
            overloaded (HTTP 503): unavailable_error ← {"error":{"code":503,"message":"Loading model","type":"unavailable_error
            overloaded (HTTP 503): unavailable ← {"error":{"code":503,"message":"The model is overloaded. Please try agai
            overloaded (HTTP 503) (again in 20s) ← {"error":"Model m is currently loading","estimated_time":20.0}
            overloaded (HTTP 529): overloaded_error ← {"type":"error","error":{"type":"overloaded_error","message":"Overloaded
            overloaded (HTTP 498) ← {"error":{"message":"Flex tier capacity exceeded"}}
            overloaded (HTTP 429): overloaded ← {"error":"Model is overloaded","error_type":"overloaded"}
            overloaded (HTTP 429): engine_overloaded_error ← {"error":{"message":"The engine is currently overloaded, please try agai
            overloaded (HTTP 429): service_tier_capacity_exceeded ← {"object":"error","message":"Service tier capacity exceeded for this mod
            malformed (HTTP 302) ← 
        "#]],
    );
}

#[test]
fn errors_inside_a_stream() {
    check_chunks(
        r#"{"error":{"message":"Failed to call a function","type":"invalid_request_error","code":"tool_use_failed","failed_generation":"x","status_code":400}}
           {"error":{"message":"Too fast","type":"tokens","status_code":429}}
           {"error":{"code":400,"message":"Token limit reached"},"choices":[]}
           {"error":{"code":429,"message":"upstream"},"choices":[{"delta":{"content":""},"finish_reason":"error"}]}
           {"error":{"code":502,"message":"Provider disconnected"}}
           {"error":{"message":"Please try again in 1.5s","type":"tokens","code":"rate_limit_exceeded"}}
           {"error":{"message":"slow","code":"429","type":"None","param":"None"}}
           {"type":"error","code":"insufficient_quota","message":"You exceeded your current quota","param":null,"sequence_number":2}
           {"type":"response.failed","response":{"id":"resp_1","status":"failed","error":{"code":"server_error","message":"x"}}}
           {"type":"response.failed","response":{"status":"failed","error":{"code":"rate_limit_exceeded","message":"Please try again in 11s."}}}
           {"type":"response.failed","response":{"status":"failed","error":{"code":"invalid_prompt","message":"Invalid prompt."}}}
           {"type":"error","error":{"type":"invalid_request_error","code":"failed_to_download_image","message":"x","param":"url"}}
           {"type":"error","code":"cyber_policy","message":"x","param":null}
           {"type":"error","code":"server_is_overloaded","message":"Selected model is at capacity.","param":null}
           {"type":"response.failed","response":{"error":{"code":"project_spend_limit_exceeded","message":"x"}}}
           {"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}
           {"type":"error","error":{"type":"api_error","message":"Internal server error"}}
           {"type":"error","error":{"type":"rate_limit_error","message":"x","details":{"error_code":"enforced_spend_limit_reached"}}}
           {"error":{"code":499,"message":"The operation was cancelled.","status":"CANCELLED"}}
           {"error":{"code":503,"message":"The model is overloaded.","status":"UNAVAILABLE"}}
           {"error":{"code":400,"message":"API key not valid.","status":"INVALID_ARGUMENT"}}
           {"error":"model is overloaded"}
           {"error":"unexpected EOF"}
           {"object":"error","message":"This model's maximum context length is 8 tokens","type":"BadRequestError","param":null,"code":400}
           {"error":{"code":500,"message":"Context size has been exceeded.","type":"server_error"}}
           {"error":{"message":"Request timed out.","type":"timeout"}}
           {"error":true}
           {"error":null,"choices":[]}
           {"error":"","choices":[]}
           {"error":{},"choices":[]}
           {"error":false,"choices":[]}
           {"object":"chat.completion.chunk","choices":[]}
           {"type":"response.completed","response":{"error":null}}
           []"#,
        expect![[r#"
            server_error: tool_use_failed ← {"error":{"message":"Failed to call a function","type":"invalid_request_
            rate_limited: tokens ← {"error":{"message":"Too fast","type":"tokens","status_code":429}}
            server_error: status 400 ← {"error":{"code":400,"message":"Token limit reached"},"choices":[]}
            rate_limited: status 429 ← {"error":{"code":429,"message":"upstream"},"choices":[{"delta":{"content
            server_error: status 502 ← {"error":{"code":502,"message":"Provider disconnected"}}
            rate_limited: rate_limit_exceeded (again in 1.5s) ← {"error":{"message":"Please try again in 1.5s","type":"tokens","code":"r
            rate_limited: status 429 ← {"error":{"message":"slow","code":"429","type":"None","param":"None"}}
            quota_exhausted: insufficient_quota ← {"type":"error","code":"insufficient_quota","message":"You exceeded your
            server_error: server_error ← {"type":"response.failed","response":{"id":"resp_1","status":"failed","e
            rate_limited: rate_limit_exceeded (again in 11s) ← {"type":"response.failed","response":{"status":"failed","error":{"code":
            bad_request: invalid_prompt ← {"type":"response.failed","response":{"status":"failed","error":{"code":
            bad_request: failed_to_download_image ← {"type":"error","error":{"type":"invalid_request_error","code":"failed_t
            content_filtered: cyber_policy ← {"type":"error","code":"cyber_policy","message":"x","param":null}
            overloaded: server_is_overloaded ← {"type":"error","code":"server_is_overloaded","message":"Selected model 
            quota_exhausted: project_spend_limit_exceeded ← {"type":"response.failed","response":{"error":{"code":"project_spend_lim
            overloaded: overloaded_error ← {"type":"error","error":{"type":"overloaded_error","message":"Overloaded
            server_error: api_error ← {"type":"error","error":{"type":"api_error","message":"Internal server e
            quota_exhausted: enforced_spend_limit_reached ← {"type":"error","error":{"type":"rate_limit_error","message":"x","detail
            server_error: cancelled ← {"error":{"code":499,"message":"The operation was cancelled.","status":"
            overloaded: unavailable ← {"error":{"code":503,"message":"The model is overloaded.","status":"UNAV
            auth: invalid_argument ← {"error":{"code":400,"message":"API key not valid.","status":"INVALID_AR
            overloaded ← {"error":"model is overloaded"}
            server_error ← {"error":"unexpected EOF"}
            context_too_long: badrequesterror ← {"object":"error","message":"This model's maximum context length is 8 to
            overloaded: server_error ← {"error":{"code":500,"message":"Context size has been exceeded.","type":
            timeout: timeout ← {"error":{"message":"Request timed out.","type":"timeout"}}
            server_error ← {"error":true}
            no error ← {"error":null,"choices":[]}
            no error ← {"error":"","choices":[]}
            no error ← {"error":{},"choices":[]}
            no error ← {"error":false,"choices":[]}
            no error ← {"object":"chat.completion.chunk","choices":[]}
            no error ← {"type":"response.completed","response":{"error":null}}
            no error ← []
        "#]],
    );
    // Old llama.cpp: the object alone; and a text that is no JSON.
    let old = json!({ "code": 500, "message": "context shift", "type": "server_error" });
    expect!["server_error: server_error"].assert_eq(&of_error(&old).to_string());
    expect!["server_error"].assert_eq(&of_error(&json!("gone")).to_string());
}

/// What is usually sent, and may be refused.
const SENT: [&str; 20] = [
    "frequency_penalty",
    "logit_bias",
    "logprobs",
    "max_completion_tokens",
    "max_tokens",
    "messages",
    "model",
    "parallel_tool_calls",
    "presence_penalty",
    "reasoning_effort",
    "response_format",
    "seed",
    "stop",
    "stream",
    "stream_options",
    "temperature",
    "tools",
    "top_k",
    "top_p",
    "user",
];

fn about(complaint: &Complaint) -> Option<&'static str> {
    let mentioned = SENT.into_iter().filter_map(|param| Some((complaint.mentions(param)?, param)));
    mentioned.min().map(|(_, param)| param)
}

fn verdict(status: u16, headers: &HeaderMap, body: &str) -> String {
    let (failed, complaint) = match status {
        200 => {
            let chunk = serde_json::from_str(body).unwrap();
            (of_chunk(&chunk).unwrap(), Complaint::read(&chunk))
        }
        _ => of_answer(status, headers, body.as_bytes(), NOW),
    };
    let mut told = failed.failure.as_str().to_owned();
    if !failed.detail.is_empty() {
        write!(told, ", {}", failed.detail).unwrap();
    }
    if let Some(wait) = failed.retry_after {
        write!(told, ", again in {wait:?}").unwrap();
    }
    if failed.failure == Failure::UnsupportedParameter {
        write!(told, ", about {}", about(&complaint).unwrap_or("nothing that is usually sent")).unwrap();
    }
    told
}

/// The beginning of the file says how it is written.
#[test]
fn errors_of_vendors() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/providers/golden/errors.txt");
    let file = fs::read_to_string(&path).unwrap();
    let mut lines = file.lines().filter(|line| !line.starts_with("    →")).peekable();
    let mut shown = String::new();
    while let Some(line) = lines.next() {
        writeln!(shown, "{line}").unwrap();
        let (status, body) = line.split_once(' ').unwrap_or((line, ""));
        let Ok(status) = status.parse() else { continue };
        let mut headers = HeaderMap::new();
        while let Some(line) = lines.next_if(|line| line.starts_with("    ")) {
            writeln!(shown, "{line}").unwrap();
            let (name, value) = line.trim().split_once(": ").unwrap();
            headers.insert(name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
        }
        writeln!(shown, "    → {}", verdict(status, &headers, body)).unwrap();
    }
    expect_file![path].assert_eq(&shown);
}

#[test]
fn a_parameter_in_words() {
    let says = |text: &str| about(&Complaint::read(&json!({ "error": { "message": text } })));
    for text in [
        "Unsupported parameter: 'seed'",
        "`seed` is not supported",
        "unknown field \"seed\"",
        "extraneous key [seed] is not permitted",
        "seed: Extra inputs are not permitted",
        "Argument not supported: seed",
        "does not support parameter seed.",
        "the seed parameter is not supported",
        "Unknown name \"seed\" at 'generation_config': Cannot find field.",
        "Invalid value at 'generation_config.seed' (TYPE_INT32)",
        "body.seed: not permitted",
    ] {
        assert_eq!(says(text), Some("seed"), "{text}");
    }
    for text in [
        "The user has no access to this model, so stop it.",
        "Please stop the stream: it is not supported.",
        "seeds",
        "stop_token_ids",
        "not supported: unstop",
        "max tokens",
        "",
    ] {
        assert_eq!(says(text), None, "{text}");
    }
    assert_eq!(says("Use 'top_k' instead of 'top_p'."), Some("top_k"), "the first one");
    assert_eq!(says("topP, topK"), Some("top_p"));
    assert_eq!(says("PRESENCE_PENALTY and top_p"), Some("presence_penalty"));
    assert_eq!(says("max_tokens_to_sample: use max_tokens"), Some("max_tokens"));
}

#[test]
fn a_named_parameter_hides_what_the_text_speaks_of() {
    let says = |param: &str| {
        about(&Complaint::read(
            &json!({ "error": { "message": "use 'max_completion_tokens'", "param": param } }),
        ))
    };
    assert_eq!(says("max_tokens"), Some("max_tokens"));
    assert_eq!(says("stream_options.include_usage"), Some("stream_options"));
    assert_eq!(says("generationConfig.topP"), Some("top_p"));
    assert_eq!(says("messages[0].content"), Some("messages"));
    assert_eq!(says("something"), None);
    assert_eq!(says(""), Some("max_completion_tokens"));
    assert_eq!(says("None"), Some("max_completion_tokens"));
}

#[test]
fn what_is_quoted_is_no_vendors_word() {
    let of = |message: &str| {
        of_answer(
            400,
            &HeaderMap::new(),
            json!({ "error": { "message": message } }).to_string().as_bytes(),
            NOW,
        )
        .0
    };
    let quoted = r#"Bad value: {"error":{"code":"insufficient_quota","message":"x"}}"#;
    assert_eq!(of(quoted).to_string(), "bad_request (HTTP 400)");
    let litellm =
        r#"litellm.BadRequestError: OpenAIException - {"error":{"code":"insufficient_quota","message":"x"}}"#;
    assert_eq!(of(litellm).to_string(), "quota_exhausted (HTTP 400)", "believed, but not told");
    let passed_on = r#"{"error":{"code":"insufficient_quota","message":"x"}}"#;
    assert_eq!(of(passed_on).to_string(), "quota_exhausted (HTTP 400): insufficient_quota");
    let deep = (0..6).fold(passed_on.to_owned(), |it, _| json!({ "error": { "message": it } }).to_string());
    assert_eq!(of(&deep).failure, Failure::BadRequest, "there is an end to it");
}

#[test]
fn a_wait_is_told_where_time_cures() {
    let told = |status, body: &str, wait: &str| {
        of_answer(status, &headers(&[("retry-after", wait)]), body.as_bytes(), NOW).0.retry_after
    };
    let some = |seconds| Some(Duration::from_secs(seconds));
    assert_eq!(told(429, "", "7"), some(7));
    assert_eq!(told(503, "", "7"), some(7));
    assert_eq!(told(500, "", "7"), some(7));
    assert_eq!(told(400, "", "7"), None, "the same request is as bad in 7 s");
    assert_eq!(told(401, "", "7"), None);
    assert_eq!(told(402, "", "7"), None, "no money comes in 7 s");
    assert_eq!(told(402, "", "3600"), some(3600));
}

#[test]
fn the_vendors_id_of_the_request() {
    let id = |pairs: &[(&'static str, &str)]| of_answer(500, &headers(pairs), b"", NOW).0.request_id;
    assert_eq!(id(&[("request-id", "req_011C")]).as_deref(), Some("req_011C"));
    assert_eq!(id(&[("cf-ray", "9a-FRA"), ("x-request-id", "req-1")]).as_deref(), Some("req-1"));
    assert_eq!(id(&[("x-request-id", "two words")]), None);
    assert_eq!(id(&[("x-request-id", &"x".repeat(65))]), None);
    assert_eq!(id(&[]), None);
}

/// Says that it is about a minute's limit.
const RATES: [&str; 6] = [
    "Rate limit reached",
    "tokens per minute",
    "on tokens per min (TPM): Limit 6000",
    "Too many requests",
    "GenerateContentInputTokensPerModelPerMinute",
    "requests per minute",
];
/// Speaks of length.
const LENGTHS: [&str; 6] = [
    "maximum context length is 8 tokens",
    "context window",
    "input token count",
    "reduce the length of the messages",
    "prompt is too long",
    "too many tokens",
];

const HEADERS: [&str; 5] =
    ["retry-after", "retry-after-ms", "x-ratelimit-remaining-tokens", "x-ratelimit-reset", "x-request-id"];

/// What another vendor said, and beginnings of it.
const WITHIN: [&str; 5] = [
    r#"{"error":{"message":"{\"error\":{\"message\":\"{}\"}}","param":"top_p"}}"#,
    "XException - b'{\"error\":7}'",
    "XException - [[[",
    r#"[{"type":"extra_forbidden","loc":["body","seed"]}]"#,
    "{\"error\":\"\u{fc}",
];
const KEYS: [&str; 19] = [
    "error",
    "message",
    "detail",
    "details",
    "code",
    "type",
    "status",
    "metadata",
    "headers",
    "retry_after",
    "retryDelay",
    "violations",
    "response",
    "loc",
    "reason",
    "x-ratelimit-remaining",
    "param",
    "raw",
    "errors",
];

proptest! {
    #[test]
    fn a_minutes_limit_is_never_the_prompts_length(
        rate in proptest::sample::select(&RATES[..]),
        length in proptest::sample::select(&LENGTHS[..]),
        before in any::<bool>(),
        code in proptest::option::of(proptest::sample::select(&["tokens", "requests", "429", "context_length_exceeded"][..])),
        status in proptest::sample::select(&[429, 413][..]),
    ) {
        let message = if before { format!("{rate}. {length}.") } else { format!("{length}. {rate}.") };
        let body = json!({ "error": { "message": message, "code": code } }).to_string();
        let failed = of_answer(status, &HeaderMap::new(), body.as_bytes(), NOW).0;
        prop_assert_eq!(failed.failure, Failure::RateLimited);
    }

    #[test]
    fn no_body_is_too_odd(
        status in 300_u16..1000,
        body in any_json(&KEYS, &[&LENGTHS[..], &WITHIN].concat()),
        bytes in proptest::collection::vec(any::<u8>(), 0..60),
        header in 0..HEADERS.len(),
        value in proptest::collection::vec(32_u8..127, 0..24),
    ) {
        let headers: HeaderMap = [(HEADERS[header], HeaderValue::from_bytes(&value).unwrap())]
            .into_iter()
            .map(|(name, value)| (HeaderName::from_static(name), value))
            .collect();
        let (of_json, complaint) = of_answer(status, &headers, body.to_string().as_bytes(), NOW);
        prop_assert_eq!(&of_json, &of_answer(status, &headers, body.to_string().as_bytes(), NOW).0);
        about(&complaint);
        let of_bytes = of_answer(status, &headers, &bytes, NOW).0;
        let in_stream = of_error(&body);
        of_chunk(&body);
        for failed in [of_json, of_bytes, in_stream] {
            prop_assert!(failed.retry_after.is_none_or(|wait| wait <= Duration::from_secs(86_400)));
            let detail = failed.detail.strip_prefix("status ").unwrap_or(&failed.detail);
            prop_assert!(detail.is_empty() || detail.parse::<u16>().is_ok() || machine_word(detail).is_some());
        }
    }

    #[test]
    fn a_text_is_never_told(text in "[ -~]{0,60}") {
        let failed = of_answer(400, &HeaderMap::new(), json!({ "error": { "message": text } }).to_string().as_bytes(), NOW).0;
        prop_assert_eq!(failed.detail, "");
    }
}

/// What a llama.cpp server (of October 2026) and LiteLLM 1.106 in front of one answered when they were tried.
#[test]
fn answers_of_local_servers() {
    check(
        r#"503 {"error":{"message":"Loading model","type":"unavailable_error","code":503}}
           401 {"error":{"message":"Invalid API Key","type":"authentication_error","code":401}}
           400 {"error":{"code":400,"message":"request (4031 tokens) exceeds the available context size (2048 tokens), try increasing it","type":"exceed_context_size_error","n_prompt_tokens":4031,"n_ctx":2048}}
           500 {"error":{"code":500,"message":"Context size has been exceeded.","type":"server_error"}}
           400 {"error":{"code":400,"message":"model 'nosuch' not found","type":"invalid_request_error"}}
           400 {"error":{"code":400,"message":"model is not loaded","type":"invalid_request_error"}}
           404 {"error":{"message":"File Not Found","type":"not_found_error","code":404}}
           500 {"error":{"code":500,"message":"tools param requires --jinja flag","type":"server_error"}}
           500 {"error":{"code":500,"message":"image input is not supported - hint: if this is unexpected, you may need to provide the mmproj","type":"server_error"}}
           501 {"error":{"code":501,"message":"This server does not support embeddings. Start it with `--embeddings`","type":"not_supported_error"}}
           400 {"error":{"code":400,"message":"Unable to generate parser for this template. Automatic parser generation failed: Error: Jinja Exception: Conversation roles must alternate user/assistant/user/assistant/...","type":"invalid_request_error"}}
           400 {"error":{"code":400,"message":"Failed to initialize samplers: failed to parse grammar","type":"invalid_request_error"}}
           400 {"error":{"code":400,"message":"Field 'n': Value must be between 1 <= value <= 1, but got 2","type":"invalid_request_error"}}
           400 {"error":{"code":400,"message":"Expected 'messages' to be an array","type":"invalid_request_error"}}
           400 {"error":{"message":"No connected db.","type":"no_db_connection","param":null,"code":"400"}}
           400 {"error":{"message":"/chat/completions: Invalid model name passed in model=nosuch. Call `/v1/models` to view available models for your key.","type":"invalid_request_error","param":null,"code":"400"}}
           400 {"error":{"message":"litellm.ContextWindowExceededError: litellm.BadRequestError: ContextWindowExceededError: OpenAIException - request (4031 tokens) exceeds the available context size (2048 tokens), try increasing it","type":"invalid_request_error","param":null,"code":"400"}}
           500 {"error":{"message":"litellm.InternalServerError: InternalServerError: OpenAIException - image input is not supported - hint: if this is unexpected, you may need to provide the mmproj","type":"internal_server_error","param":null,"code":"500"}}
           401 {"error":{"message":"litellm.AuthenticationError: AuthenticationError: OpenAIException - Invalid API Key","type":"authentication_error","param":null,"code":"401"}}
           500 {"error":{"message":"litellm.InternalServerError: InternalServerError: OpenAIException - Connection error.","type":"internal_server_error","param":null,"code":"500"}}"#,
        expect![[r#"
            overloaded (HTTP 503): unavailable_error ← {"error":{"message":"Loading model","type":"unavailable_error","code":50
            auth (HTTP 401): authentication_error ← {"error":{"message":"Invalid API Key","type":"authentication_error","cod
            context_too_long (HTTP 400): exceed_context_size_error ← {"error":{"code":400,"message":"request (4031 tokens) exceeds the availa
            overloaded (HTTP 500): server_error ← {"error":{"code":500,"message":"Context size has been exceeded.","type":
            model_unavailable (HTTP 400): invalid_request_error ← {"error":{"code":400,"message":"model 'nosuch' not found","type":"invali
            model_unavailable (HTTP 400): invalid_request_error ← {"error":{"code":400,"message":"model is not loaded","type":"invalid_req
            model_unavailable (HTTP 404): not_found_error ← {"error":{"message":"File Not Found","type":"not_found_error","code":404
            unsupported_parameter (HTTP 500): server_error ← {"error":{"code":500,"message":"tools param requires --jinja flag","type
            unsupported_parameter (HTTP 500): server_error ← {"error":{"code":500,"message":"image input is not supported - hint: if 
            unsupported_parameter (HTTP 501): not_supported_error ← {"error":{"code":501,"message":"This server does not support embeddings.
            bad_request (HTTP 400): invalid_request_error ← {"error":{"code":400,"message":"Unable to generate parser for this templ
            bad_request (HTTP 400): invalid_request_error ← {"error":{"code":400,"message":"Failed to initialize samplers: failed to
            bad_request (HTTP 400): invalid_request_error ← {"error":{"code":400,"message":"Field 'n': Value must be between 1 <= va
            bad_request (HTTP 400): invalid_request_error ← {"error":{"code":400,"message":"Expected 'messages' to be an array","typ
            auth (HTTP 400): no_db_connection ← {"error":{"message":"No connected db.","type":"no_db_connection","param"
            model_unavailable (HTTP 400): invalid_request_error ← {"error":{"message":"/chat/completions: Invalid model name passed in mod
            context_too_long (HTTP 400): invalid_request_error ← {"error":{"message":"litellm.ContextWindowExceededError: litellm.BadRequ
            unsupported_parameter (HTTP 500): internal_server_error ← {"error":{"message":"litellm.InternalServerError: InternalServerError: O
            auth (HTTP 401): authentication_error ← {"error":{"message":"litellm.AuthenticationError: AuthenticationError: O
            server_error (HTTP 500): internal_server_error ← {"error":{"message":"litellm.InternalServerError: InternalServerError: O
        "#]],
    );
    // Not every "not found" is about the model.
    check(
        r#"400 {"error":{"message":"Tool 'x' not found in the request"}}"#,
        expect![[r#"
        bad_request (HTTP 400) ← {"error":{"message":"Tool 'x' not found in the request"}}
    "#]],
    );
    check_chunks(
        r#"{"error":{"code":500,"message":"Context size has been exceeded.","type":"server_error"}}
           {"error":"Context size has been exceeded."}
           {"error":{"message":"litellm.APIConnectionError: APIConnectionError: OpenAIException - Response payload is not completed: <TransferEncodingError: 400, message='Not enough data to satisfy transfer length header.'>","type":null,"param":null,"code":"500"}}"#,
        expect![[r#"
            overloaded: server_error ← {"error":{"code":500,"message":"Context size has been exceeded.","type":
            context_too_long ← {"error":"Context size has been exceeded."}
            server_error: status 500 ← {"error":{"message":"litellm.APIConnectionError: APIConnectionError: Ope
        "#]],
    );
}
