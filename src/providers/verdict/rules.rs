//! The table from which a failure's class is read: statuses, and what codes and texts say beside them.
//!
//! From recorded answers and the vendors' documentation. The order is the rule: what no waiting cures comes before the
//! rate limits, a minute's limit before the prompt's length (both speak of too many tokens), and the bare statuses last.

use super::Complaint;
use crate::outcome::Failure;

/// Something that a body may say.
pub(super) enum Sign {
    /// One of its codes or types is this.
    Word(&'static str),
    /// Its text has this in it.
    Text(&'static str),
}
use Sign::{Text, Word};

/// From this status to that one, with one of these signs (none: always), it is that class.
type Rule = (u16, u16, &'static [Sign], Failure);

/// The status of an error inside a stream that does not say which it would have had.
pub(super) const NO_STATUS: u16 = 0;
const ANY: u16 = 999;

/// The money.
const NO_MONEY: &[Sign] = &[
    Word("insufficient_quota"),
    Word("insufficient_balance"),
    Word("billing_hard_limit_reached"),
    Word("billing_not_active"),
    Word("billing_error"),
    // OpenAI, beside `insufficient_quota` where there is room for a type.
    Word("credit_balance_exhausted"),
    Word("organization_spend_limit_exceeded"),
    Word("organization_usage_limit_exceeded"),
    Word("project_spend_limit_exceeded"),
    Word("exceeded_current_quota_error"),
    // Anthropic, as 429 and as 400.
    Word("enforced_spend_limit_reached"),
    Text("api usage limits"),
    Text("spend limit"),
    Text("spending limit"),
    Text("credit balance"),
    Text("insufficient balance"),
    Text("insufficient credits"),
    Text("out of credits"),
    // xAI, with 403.
    Text("any credits"),
    Text("all available credits"),
    Text("included credits"),
];

/// What comes back tomorrow or next month. A limit "per day" that rolls (OpenAI, Groq) names its wait and is none of these.
const NO_MORE_TODAY: &[Sign] = &[
    // Gemini's quota ids; its text is the same for a minute's quota.
    Text("perday"),
    Text("free-models-per-day"),
    Text("daily free"),
    Text("/ month"),
    // Ollama's cloud; a session has five hours.
    Text("weekly usage limit"),
    Text("monthly usage limit"),
    Text("session usage limit"),
];

const TOO_FAST: &[Sign] = &[
    Word("rate_limit_exceeded"),
    Word("rate_limit_error"),
    Word("rate_limited"),
    Word("too_many_requests"),
    Word("resource_exhausted"),
    Text("rate limit"),
    Text("too many requests"),
    // Ollama's cloud.
    Text("too many concurrent requests"),
    Text("per minute"),
    Text("per min)"),
    Text("per min "),
    Text("tokens per min"),
    Text("perminute"),
];

const TOO_LONG: &[Sign] = &[
    Word("context_length_exceeded"),
    Word("exceed_context_size_error"),
    Word("too_many_prompt_tokens"),
    Word("string_above_max_length"),
    Text("context length"),
    Text("context window"),
    Text("context limit"),
    Text("prompt is too long"),
    Text("input is too long"),
    Text("input tokens exceeded"),
    Text("input token count"),
    Text("maximum prompt length"),
    Text("maximum model length"),
    Text("length of the messages"),
];

const FILTERED: &[Sign] = &[
    Word("content_filter"),
    Word("content_policy_violation"),
    Word("responsibleaipolicyviolation"),
    Word("data_inspection_failed"),
    // OpenAI's responses.
    Word("image_content_policy_violation"),
    Word("bio_policy"),
    Word("cyber_policy"),
    Word("misalignment_policy_violation"),
    Text("content filtering policy"),
    Text("content exists risk"),
    Text("flagged as potentially violating"),
];

const UNSUPPORTED: &[Sign] = &[
    Word("unsupported_parameter"),
    Word("unsupported_value"),
    Word("unknown_parameter"),
    Word("extra_forbidden"),
    // OpenAI's responses have at least 16 tokens.
    Word("integer_below_min_value"),
    Text("unsupported parameter"),
    Text("unknown parameter"),
    Text("unrecognized request argument"),
    Text("extra inputs are not permitted"),
    Text("argument not supported"),
    // Groq: "property 'x' is unsupported"; Gemini: "Unknown name … Cannot find field".
    Text("is unsupported"),
    Text("cannot find field"),
    // Anthropic: temperature; both temperature and `top_p`; a temperature or a forced tool for a model that thinks; a limit of
    // the answer above the model's; a schema with what it cannot say.
    Text("is deprecated for this model"),
    Text("cannot both be specified"),
    Text("when thinking is enabled"),
    Text("when tool_choice forces tool use"),
    Text("maximum allowed number of output tokens"),
    Text("output_config.format"),
    // Also Gemini: penalties, system prompts and JSON, of models that have them not.
    Text("is not enabled for"),
    // Ollama.
    Text("invalid options"),
    // OpenRouter, with 404: tools, pictures.
    Text("no endpoints found that support"),
];

const NOT_HERE: &[Sign] = &[
    Word("unsupported_country_region_territory"),
    Text("country, region, or territory not supported"),
    Text("location is not supported"),
    Text("not available in your country"),
    Text("not available in your region"),
];

const NO_MODEL: &[Sign] = &[
    Word("model_not_found"),
    Word("deploymentnotfound"),
    Word("model_decommissioned"),
    Word("model_not_available"),
    Word("model_not_supported"),
    Word("invalid_model"),
    // Ollama: it is there, and cannot be run on that machine.
    Text("requires more system memory"),
    Text("cannot run this remote model"),
];

const NO_MODEL_AS_BAD_REQUEST: &[Sign] = &[
    Text("not a valid model"),
    Text("model not exist"),
    Text("invalid model"),
    Text("model identifier is invalid"),
    Text("does not work with the specified model"),
    Text("no models loaded"),
];

const WRONG_KEY: &[Sign] = &[
    Word("invalid_api_key"),
    Word("api_key_invalid"),
    Word("wrong_api_key"),
    Word("authentication_error"),
    Word("invalid_authentication_error"),
];

/// What is found wrong with a question only when its answer has begun: OpenAI's responses fetch pictures and look at prompts then.
pub(super) const FOUND_LATE: &[Sign] = &[
    Word("invalid_prompt"),
    Word("invalid_image"),
    Word("invalid_image_format"),
    Word("invalid_base64_image"),
    Word("invalid_image_url"),
    Word("invalid_image_mode"),
    Word("image_too_large"),
    Word("image_too_small"),
    Word("image_parse_error"),
    Word("image_file_too_large"),
    Word("image_file_not_found"),
    Word("empty_image_file"),
    Word("unsupported_image_media_type"),
    Word("failed_to_download_image"),
];

/// What llama.cpp cannot do at all, dressed as its own fault.
const IMPOSSIBLE: &[Sign] = &[
    Text("--jinja"),
    Text("mmproj"),
    Text("input is not supported"),
    Text("grammar"),
    Text("json_schema"),
    Text("[json.exception"),
    Text("roles must alternate"),
];

const NO_CAPACITY: &[Sign] = &[
    Word("overloaded_error"),
    Word("overloaded"),
    Word("engine_overloaded"),
    Word("engine_overloaded_error"),
    Word("server_overloaded"),
    Word("unavailable_error"),
    Word("unavailable"),
    Word("capacity_exceeded"),
    Word("service_tier_capacity_exceeded"),
    Word("nocapacity"),
    // OpenAI, inside a stream.
    Word("server_is_overloaded"),
    Word("slow_down"),
];

/// The first rule that fits decides; the last ones fit everything.
const RULES: &[Rule] = &[
    (NO_STATUS, ANY, NO_MONEY, Failure::QuotaExhausted),
    (NO_STATUS, 429, NO_MORE_TODAY, Failure::QuotaExhausted),
    (402, 402, &[], Failure::QuotaExhausted),
    // Also with 413: Groq's answer to a request that is larger than a minute's tokens.
    (NO_STATUS, 429, TOO_FAST, Failure::RateLimited),
    // With 429, too (Azure's Grok): a minute's limit has been told above.
    (NO_STATUS, 500, TOO_LONG, Failure::ContextTooLong),
    (NO_STATUS, 500, &[Text("context size")], Failure::ContextTooLong),
    (400, 428, &[Word("too_many_tokens"), Text("too many tokens")], Failure::ContextTooLong),
    (413, 413, &[], Failure::ContextTooLong),
    (NO_STATUS, ANY, FILTERED, Failure::ContentFiltered),
    (403, 403, &[Text("moderation"), Text("flagged"), Text("usage guidelines")], Failure::ContentFiltered),
    (NO_STATUS, ANY, NOT_HERE, Failure::RegionBlocked),
    (451, 451, &[], Failure::RegionBlocked),
    (400, 422, UNSUPPORTED, Failure::UnsupportedParameter),
    (400, 400, &[Text("does not support")], Failure::UnsupportedParameter),
    (422, 422, &[Text("does not support")], Failure::UnsupportedParameter),
    (NO_STATUS, ANY, NO_MODEL, Failure::ModelUnavailable),
    (400, 422, NO_MODEL_AS_BAD_REQUEST, Failure::ModelUnavailable),
    (NO_STATUS, NO_STATUS, &[Word("not_found_error")], Failure::ModelUnavailable),
    (404, 404, &[], Failure::ModelUnavailable),
    (410, 410, &[], Failure::ModelUnavailable),
    // Keys; xAI and Gemini say it with a 400.
    (NO_STATUS, ANY, WRONG_KEY, Failure::Auth),
    (NO_STATUS, 400, &[Text("api key")], Failure::Auth),
    (NO_STATUS, NO_STATUS, &[Word("permission_error")], Failure::Auth),
    (401, 401, &[], Failure::Auth),
    (403, 403, &[], Failure::Auth),
    (407, 407, &[], Failure::Auth),
    (NO_STATUS, 499, FOUND_LATE, Failure::BadRequest),
    (500, 501, IMPOSSIBLE, Failure::BadRequest),
    (501, 501, &[], Failure::BadRequest),
    // Also a llama.cpp that still loads its model (503, `unavailable_error`).
    (NO_STATUS, ANY, NO_CAPACITY, Failure::Overloaded),
    // Ollama tells of its queue so, with 503; behind a proxy in the stream.
    (NO_STATUS, NO_STATUS, &[Text("overloaded"), Text("server busy")], Failure::Overloaded),
    (429, 429, &[Text("overloaded"), Text("capacity"), Text("high demand")], Failure::Overloaded),
    (498, 498, &[], Failure::Overloaded),
    (503, 503, &[], Failure::Overloaded),
    (529, 529, &[], Failure::Overloaded),
    (429, 429, &[], Failure::RateLimited),
    (NO_STATUS, ANY, &[Word("rate_limit_exceeded"), Word("rate_limit_error")], Failure::RateLimited),
    // What is left is told by the status.
    (NO_STATUS, NO_STATUS, &[Word("timeout_error"), Word("timeout")], Failure::Timeout),
    (408, 408, &[], Failure::Timeout),
    (300, 399, &[], Failure::Malformed),
    // A host behind this one failed; it was not ready; it gave up by itself.
    (424, 425, &[], Failure::ServerError),
    (499, 499, &[], Failure::ServerError),
    (400, 499, &[], Failure::BadRequest),
    (NO_STATUS, ANY, &[], Failure::ServerError),
];

/// The class of a failure with this status.
pub(super) fn class(status: u16, complaint: &Complaint) -> Failure {
    let fits = |&(from, to, signs, _): &Rule| {
        (from..=to).contains(&status) && (signs.is_empty() || says(complaint, signs))
    };
    RULES.iter().find(|rule| fits(rule)).map_or(Failure::ServerError, |rule| rule.3)
}

/// Whether it says one of these.
pub(super) fn says(complaint: &Complaint, signs: &[Sign]) -> bool {
    signs.iter().any(|sign| match sign {
        Word(word) => complaint.words.iter().any(|it| it == word),
        Text(text) => complaint.text.contains(text),
    })
}
