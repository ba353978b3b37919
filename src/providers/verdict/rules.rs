//! The table from which a failure's class is read: statuses, and what codes and texts say beside them.
//!
//! From recorded answers, the vendors' documentation and reports of users. The order is the rule: what no waiting cures comes
//! before the rate limits, a minute's limit before the prompt's length (both speak of too many tokens), and the bare statuses last.
//! A code is believed anywhere, a text where it can hardly be a part of somebody's prompt: errors may quote it.

use super::Complaint;
use crate::outcome::Failure;

/// Something that a body may say.
pub(super) enum Sign {
    /// One of its codes or types is this.
    Word(&'static str),
    /// Its text has this in it.
    Text(&'static str),
    /// Its text has the first in it, and after that the second: a name stands between them.
    Around(&'static str, &'static str),
}
use Sign::{Around, Text, Word};

/// From this status to that one, with one of these signs (none: always), it is that class.
type Rule = (u16, u16, &'static [Sign], Failure);

/// The status of an error inside a stream that does not say which it would have had.
pub(super) const NO_STATUS: u16 = 0;
const ANY: u16 = 999;

/// The money.
const NO_MONEY: &[Sign] = &[
    Word("insufficient_quota"),         // OpenAI, Azure, and whoever speaks like them
    Word("billing_hard_limit_reached"), // OpenAI
    Word("credit_balance_exhausted"),   // OpenAI
    Word("organization_spend_limit_exceeded"), // OpenAI
    Word("organization_usage_limit_exceeded"), // OpenAI
    Word("project_spend_limit_exceeded"), // OpenAI
    Word("billing_not_active"),         // OpenAI
    Word("billing_error"),              // Anthropic
    Word("enforced_spend_limit_reached"), // Anthropic, with 429
    Text("api usage limits"),           // Anthropic, with 400
    Text("credit balance"),             // Anthropic, with 400
    Word("insufficient_balance"),       // Groq's kin, Novita
    Text("insufficient balance"),       // DeepSeek, Zhipu (1113)
    Text("balance is insufficient"),    // SiliconFlow
    Word("exceeded_current_quota_error"), // Moonshot, with 429
    Word("arrearage"),                  // Alibaba, with 400
    Word("allocationquota.freetieronly"), // Alibaba, with 403
    Text("insufficient credits"),       // OpenRouter
    Text("requires more credits"),      // OpenRouter: fewer `max_tokens` would do
    Text("out of credits"),             // xAI, Vercel
    Text("any credits"),                // xAI, with 403: a team without any
    Text("all available credits"),      // xAI, with 403 and 429
    Text("spend limit"),                // Groq
    Text("spending limit"),             // xAI; Fireworks, with 412
    Text("included credits"),           // Hugging Face
    Text("credits are depleted"),       // Gemini, prepaid
    Word("billing_disabled"),           // Google, with 403
    Word("budget_exceeded"),            // LiteLLM, with 400 and 429
    Text("budget has been exceeded"),   // LiteLLM
    Text("exceededbudget"),             // LiteLLM
    Text("crossed budget"),             // LiteLLM, with 429
];

/// What comes back tomorrow or next month. A limit "per day" that rolls (OpenAI, Groq) names its wait and is none of these.
const NO_MORE_TODAY: &[Sign] = &[
    Text("perday"),              // Gemini's quota ids; its text is the same for a minute's quota
    Text("per_model_per_day"),   // Gemini, where only the text names the quota
    Text("free-models-per-day"), // OpenRouter
    Text("daily free"),          // Cloudflare
    Text("/ month"),             // Cohere's trial keys
    Text("usage limit"),         // Ollama's cloud: of the hours, of the week
    Text("tokens per day, please wait"), // Bedrock
    Text("per day limit exceeded"), // Cerebras
    Text("byday"),               // GitHub's `UserByModelByDay`
];

const TOO_FAST: &[Sign] = &[
    Word("rate_limit_exceeded"), // OpenAI, Groq
    Word("rate_limit_error"),    // Anthropic
    Word("rate_limited"),        // Mistral
    Word("resource_exhausted"),  // Google
    Word("too_many_requests"),
    Word("ratelimitreached"),    // GitHub
    Word("throttlingexception"), // Bedrock
    Word("limit_requests"),      // Alibaba
    Text("rate limit"),
    Text("rate-limited"), // OpenRouter, of whoever is behind it
    Text("too many requests"),
    Text("too many concurrent requests"), // Ollama's cloud
    Text("per minute"),
    Text("per min)"),
    Text("per min "),
    Text("tokens per min"),
    Text("perminute"), // Gemini's quota ids
];

const TOO_LONG: &[Sign] = &[
    Word("context_length_exceeded"),   // OpenAI, Azure, Groq, Cerebras, Together
    Word("context_window_exceeded"),   // gateways
    Word("exceed_context_size_error"), // llama.cpp
    Word("context_exceeded"),          // small local servers
    Word("too_many_prompt_tokens"),    // Perplexity
    Word("tokens_limit_reached"),      // GitHub
    Text("context length"),            // nearly everybody
    Text("context window"),            // OpenAI's Responses, MiniMax
    Text("context limit"),             // Anthropic: the prompt and `max_tokens` together
    Text("context size"),              // llama.cpp, with 400 and 500
    Text("prompt is too long"),        // Anthropic, Fireworks
    Text("prompt too long"),           // Ollama's cloud
    Text("input is too long"),         // Bedrock
    Text("input tokens exceeded"),     // Bedrock
    Text("max input tokens"),          // Bedrock
    Text("input token count"),         // Gemini
    Text("maximum prompt length"),     // xAI
    Text("maximum model length"),      // vLLM
    Text("maximum input length"),      // vLLM
    Text("is too long and exceeds limit"), // vLLM
    Text("length of the messages"),    // Groq, Cerebras
    Text("`inputs` must have less than"), // TGI
    Text("`inputs` tokens + `max_new_token"), // TGI, Together
    Text("exceeded model token limit"), // Moonshot
    Text("range of input length should be"), // Alibaba
    Text("prompt exceeds max length"), // Zhipu (1261)
    Text("more than max tokens allowed"), // Zhipu
    Text("input tokens exceed the"),   // OpenAI
    Text("content': string too long"), // OpenAI, of a message; other parameters are too long otherwise
    Text("prompt token count"),        // GitHub's Copilot
];

/// With 429 it is a minute's limit.
const TOO_LONG_UNLESS_LIMITED: &[Sign] = &[
    Word("too_many_tokens"), // Cohere
    Text("too many tokens"), // Cohere; Bedrock's limits, with 429
];

const FILTERED: &[Sign] = &[
    Word("content_filter"),                     // Azure, Moonshot
    Word("responsibleaipolicyviolation"),       // Azure
    Text("content management policy"),          // Azure
    Word("content_policy_violation"),           // OpenAI
    Word("image_content_policy_violation"),     // OpenAI
    Word("bio_policy"),                         // OpenAI
    Word("cyber_policy"),                       // OpenAI
    Word("misalignment_policy_violation"),      // OpenAI
    Text("flagged as potentially violating"),   // OpenAI's reasoning models
    Text("violates our usage polic"),           // OpenAI
    Text("rejected as a result of our safety"), // OpenAI
    Text("content filtering policy"),           // Anthropic
    Text("content exists risk"),                // DeepSeek
    Text("considered high risk"),               // Moonshot
    Word("data_inspection_failed"),             // Alibaba
    Word("datainspectionfailed"),               // Alibaba
    Text("敏感内容"),                           // Zhipu (1301)
    Word("prohibited_content"),                 // Gemini
];

const FILTERED_AS_FORBIDDEN: &[Sign] = &[
    Text("requires moderation"),       // OpenRouter
    Text("your input was flagged"),    // OpenRouter
    Text("violates usage guidelines"), // xAI
];

const NOT_HERE: &[Sign] = &[
    Word("unsupported_country_region_territory"), // OpenAI
    Text("country, region, or territory not supported"),
    Text("location is not supported"),     // Gemini, with 400
    Text("unsupported countries"),         // Anthropic behind Bedrock
    Text("check your network settings"),   // Groq, with 403
    Text("not available in your country"), // gateways
    Text("not available in your region"),  // OpenRouter, xAI
    Text("error code: 1009"),              // Cloudflare, for whom the owner shut out a country
];

const NO_MODEL: &[Sign] = &[
    Word("model_not_found"),                // OpenAI, Groq, Cerebras, LM Studio
    Word("deploymentnotfound"),             // Azure
    Word("unknown_model"),                  // GitHub
    Word("model_decommissioned"),           // Groq, with 400
    Word("model_terms_required"),           // Groq, with 400
    Word("model_permission_blocked_org"),   // Groq, with 403
    Word("model_not_available"),            // Together, with 400
    Word("dedicated_endpoint_not_running"), // Together, with 400
    Word("model_not_supported"),            // Hugging Face, with 400
    Word("invalid_model"),                  // Mistral, Perplexity, with 400
    Word("resourcenotfoundexception"),      // Bedrock
    Word("key_model_access_denied"),        // LiteLLM, with 401
    Word("team_model_access_denied"),       // LiteLLM, with 401
    Text("requires more system memory"),    // Ollama, with 500
    Text("cannot run this remote model"),   // Ollama, with 400
];

const NO_MODEL_AS_BAD_REQUEST: &[Sign] = &[
    Text("not a valid model"),                // OpenRouter
    Text("model not exist"),                  // DeepSeek
    Text("model does not exist"),             // vLLM's kin
    Text("invalid model"),                    // LiteLLM, Perplexity
    Text("model identifier is invalid"),      // Bedrock
    Text("on-demand throughput"),             // Bedrock
    Text("have access to the model"),         // Bedrock, with 403
    Text("does not work with the specified"), // Azure
    Text("is not supported by any provider"), // Hugging Face
    Text("to use publisher model"),           // Vertex
    Text("模型不存在"),                       // Zhipu (1211)
    Text("no models loaded"),                 // LM Studio
    Text("model is unloaded"),                // LM Studio
    Text("model unloaded"),                   // LM Studio
    Text("failed to load model"),             // LM Studio
    Text("model is not loaded"),              // llama.cpp as the router of several models
    Around("model '", "' not found"),         // the same
];

/// The model, or the host, cannot do what was asked for; another may.
const UNSUPPORTED: &[Sign] = &[
    Word("unsupported_parameter"),                 // OpenAI
    Word("unsupported_value"),                     // OpenAI
    Word("unknown_parameter"),                     // OpenAI
    Word("extra_forbidden"),                       // Mistral, vLLM, whoever is made with FastAPI
    Word("unsupportedparamserror"),                // LiteLLM
    Text("unsupported parameter"),                 // OpenAI
    Text("unsupported param:"),                    // llama.cpp
    Text("unknown parameter"),                     // OpenAI
    Text("unrecognized request argument"),         // OpenAI, of old
    Text("is only supported by certain models"),   // OpenAI: pictures
    Text("extra inputs are not permitted"),        // Anthropic, Mistral, vLLM
    Text("extra fields not permitted"),            // old servers made with FastAPI
    Text("extraneous key"),                        // Bedrock
    Text("unrecognized key"),                      // Venice
    Text("additional properties are not allowed"), // Cerebras, Fireworks
    Text("unknown field"),                         // Cohere, hosts made with Go
    Text("does not support parameter"),            // xAI
    Text("not supported on this model"),           // xAI
    Text("not supported with this model"),         // OpenAI
    Text("not supported by this model"),           // xAI, Fireworks
    Text("not supported for this model"),          // Vertex
    Text("parameter is not supported"),
    Text("is unsupported"),                   // Groq: "property 'x' is unsupported"
    Text("` must be one of `"),               // Groq: another effort
    Text("content must be a string"),         // Groq: pictures
    Text("cannot find field"),                // Gemini: "Unknown name … Cannot find field"
    Text("is not enabled for"),               // Gemini: tools, penalties; Mistral: pictures
    Text("is deprecated for this model"),     // Anthropic
    Text("cannot both be specified"),         // Anthropic: temperature and top_p
    Text("when thinking is enabled"),         // Anthropic: a temperature
    Text("when tool_choice forces tool use"), // Anthropic: thoughts
    Text("maximum allowed number of output tokens"), // Anthropic
    Text("output_config.format"),             // Anthropic: a schema that it cannot say
    Text("invalid options"),                  // Ollama
    Word("integer_below_min_value"),          // OpenAI's Responses have at least 16 tokens
    Text("unknown variant `image_url`"),      // DeepSeek
    Text("not a multimodal model"),           // vLLM
    Text("--enable-auto-tool-choice"),        // vLLM
    Text("data required for image input"),    // Ollama
    Text("no endpoints found that support"),  // OpenRouter, with 404: tools, pictures
    Text("that can handle the requested pa"), // OpenRouter, with 404: required parameters
];

const UNSUPPORTED_AS_BAD_REQUEST: &[Sign] = &[
    Text("does not support"),  // OpenAI, Ollama, DeepSeek
    Text("doesn't support"),   // Bedrock
    Text("do not support"),    // gateways
    Text("not yet supported"), // vLLM
];

/// What llama.cpp cannot do as it was started, dressed as its own fault.
const UNSUPPORTED_AS_SERVER_ERROR: &[Sign] = &[
    Text("--jinja"),
    Text("mmproj"),
    Text("input is not supported"),
    Text("grammar"),
    Text("json_schema"),
    Text("roles must alternate"),
];

/// Also llama.cpp's.
const BAD_REQUEST_AS_SERVER_ERROR: &[Sign] = &[Text("[json.exception")];

/// What is found wrong with a question only when its answer has begun: OpenAI's Responses fetch pictures and look at prompts then.
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

/// A fault of the host's own, dressed as one of the request.
const SERVER_ERROR_AS_BAD_REQUEST: &[Sign] = &[
    Text("the model has crashed"), // LM Studio
    Text("channel error"),         // LM Studio
];

const WRONG_KEY: &[Sign] = &[
    Word("no_db_connection"), // LiteLLM without a database, with 400: it can look up no key but its own
    Word("invalid_api_key"),  // OpenAI, Groq
    Word("expired_api_key"),  // Groq
    Word("wrong_api_key"),    // Cerebras
    Word("api_key_invalid"),  // Gemini, with 400
    Word("consumer_suspended"), // Gemini
    Word("authentication_error"), // Anthropic, DeepSeek
    Word("invalid_authentication_error"), // Moonshot
    Word("unauthenticated"),  // Google
];

const NO_CAPACITY: &[Sign] = &[
    Word("overloaded_error"),               // Anthropic
    Word("overloaded"),                     // TGI
    Word("engine_overloaded"),              // Together
    Word("engine_overloaded_error"),        // Moonshot
    Word("server_overloaded"),              // DeepSeek's kin
    Word("queue_exceeded"),                 // Cerebras, with 429
    Word("unavailable_error"),              // llama.cpp
    Word("unavailable"),                    // Google
    Word("server_is_overloaded"),           // OpenAI, inside a stream
    Word("slow_down"),                      // OpenAI, inside a stream
    Word("capacity_exceeded"),              // Groq
    Word("service_tier_capacity_exceeded"), // Mistral, with 429
    Word("nocapacity"),                     // Azure
    Word("modelnotreadyexception"),         // Bedrock, with 429
    Word("serviceunavailableexception"),    // Bedrock
];

const NO_CAPACITY_AS_RATE_LIMIT: &[Sign] = &[
    Text("overloaded"),
    Text("capacity"),
    Text("high demand"),  // Azure
    Text("high traffic"), // Cerebras
    Text("not ready for inference"),
];

/// The first rule that fits decides; the last ones fit everything.
const RULES: &[Rule] = &[
    (NO_STATUS, ANY, NO_MONEY, Failure::QuotaExhausted),
    (NO_STATUS, 429, NO_MORE_TODAY, Failure::QuotaExhausted),
    (402, 402, &[], Failure::QuotaExhausted),
    // Also with 413: Groq's answer to a request that is larger than a minute's tokens.
    (NO_STATUS, 429, TOO_FAST, Failure::RateLimited),
    // With 429, too (Azure's Grok): a minute's limit has been told above.
    // llama.cpp's slots share one context, and others have filled it; LM Studio says the same of one conversation, without a 500.
    (500, 500, &[Text("context size has been exceeded")], Failure::Overloaded),
    (NO_STATUS, 500, TOO_LONG, Failure::ContextTooLong),
    (400, 428, TOO_LONG_UNLESS_LIMITED, Failure::ContextTooLong),
    (413, 413, &[], Failure::ContextTooLong),
    (NO_STATUS, ANY, FILTERED, Failure::ContentFiltered),
    (400, 403, FILTERED_AS_FORBIDDEN, Failure::ContentFiltered),
    // Portkey's guardrails.
    (446, 446, &[], Failure::ContentFiltered),
    (NO_STATUS, ANY, NOT_HERE, Failure::RegionBlocked),
    (451, 451, &[], Failure::RegionBlocked),
    (NO_STATUS, ANY, NO_MODEL, Failure::ModelUnavailable),
    (400, 422, NO_MODEL_AS_BAD_REQUEST, Failure::ModelUnavailable),
    (400, 422, UNSUPPORTED, Failure::UnsupportedParameter),
    (400, 400, UNSUPPORTED_AS_BAD_REQUEST, Failure::UnsupportedParameter),
    (422, 422, UNSUPPORTED_AS_BAD_REQUEST, Failure::UnsupportedParameter),
    (500, 501, UNSUPPORTED_AS_SERVER_ERROR, Failure::UnsupportedParameter),
    (NO_STATUS, NO_STATUS, &[Word("not_found_error")], Failure::ModelUnavailable),
    (404, 404, &[], Failure::ModelUnavailable),
    (410, 410, &[], Failure::ModelUnavailable),
    // Keys; xAI and Gemini say it with a 400.
    (NO_STATUS, ANY, WRONG_KEY, Failure::Auth),
    (NO_STATUS, 400, &[Text("api key")], Failure::Auth),
    (NO_STATUS, NO_STATUS, &[Word("permission_error"), Word("permission_denied")], Failure::Auth),
    (401, 401, &[], Failure::Auth),
    (403, 403, &[], Failure::Auth),
    (407, 407, &[], Failure::Auth),
    (NO_STATUS, 499, FOUND_LATE, Failure::BadRequest),
    (500, 501, BAD_REQUEST_AS_SERVER_ERROR, Failure::BadRequest),
    (501, 501, &[], Failure::UnsupportedParameter),
    // Also a llama.cpp that still loads its model (503, `unavailable_error`).
    (NO_STATUS, ANY, NO_CAPACITY, Failure::Overloaded),
    // Ollama tells of its queue so, with 503; behind a proxy in the stream.
    (NO_STATUS, NO_STATUS, &[Text("overloaded"), Text("server busy")], Failure::Overloaded),
    (429, 429, NO_CAPACITY_AS_RATE_LIMIT, Failure::Overloaded),
    (498, 498, &[], Failure::Overloaded),
    (503, 503, &[], Failure::Overloaded),
    (529, 529, &[], Failure::Overloaded),
    (429, 429, &[], Failure::RateLimited),
    (NO_STATUS, ANY, &[Word("rate_limit_exceeded"), Word("rate_limit_error")], Failure::RateLimited),
    // What is left is told by the status.
    (NO_STATUS, NO_STATUS, &[Word("timeout_error"), Word("timeout")], Failure::Timeout),
    (408, 408, &[], Failure::Timeout),
    (300, 399, &[], Failure::Malformed),
    (400, 422, SERVER_ERROR_AS_BAD_REQUEST, Failure::ServerError),
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
        Around(before, after) => {
            complaint.text.split_once(before).is_some_and(|(_, rest)| rest.contains(after))
        }
    })
}
