//! The `gemini` dialect: `POST /models/{model}:streamGenerateContent`, Google's own way to speak with Gemini.
//!
//! **The problem.** A chunk may say that the answer ends though it does not, and an answer that was cut looks like a whole one; a
//! prompt that was refused is answered with 200 and no candidate; calls of tools come back only with a signature that programs, who
//! speak OpenAI's words, never saw. **The rule.** An answer is whole when its body ends as it should and a reason was said; a refusal
//! is a failure of that class; calls that stand in the conversation carry the signature that Google documents for those that another
//! model made. **The limits.** How hard to think is not passed on: each generation of models wants another parameter for it, and
//! refuses the others'; an operator sets it in `body`. Calls of tools come whole: their arguments in parts are another mode, which is
//! not asked for.

use super::{
    Finish,
    answer::Said,
    asked::{self, Asked, Format, Picture, ToolChoice, Turn},
    body::Body,
    dialect::{Dialect, Framing, Question},
    lax::{self, Count, First, List, Object, Present, Text},
    prompt_text,
    tool_calls::{self, Part as CallPart},
    verdict,
};
use crate::{
    message::Role,
    outcome::{Failed, Failure, Usage},
};
use serde::Deserialize;
use serde_json::{Value, json, value::RawValue};

pub(super) static DIALECT: Dialect = Dialect {
    questions,
    health: "/models",
    models: "/models",
    key_header: "x-goog-api-key",
    headers: &[],
    write,
    renames: &[],
    names_speakers: prompt_text::has_several_speakers,
    framing: Framing::Events,
    read,
    finish_may_be_early: true,
    trims_start: false,
};

/// The most texts at which an answer may end (documented).
const MOST_STOPS: usize = 5;
/// What Google documents in the place of the signature of a call that this model did not make, or whose signature is lost. Gemini 3
/// refuses a conversation without one; older models do not look at it.
const NO_SIGNATURE: &str = "skip_thought_signature_validator";

/// `x`, `models/x` and `tunedModels/x` are all names of models.
fn questions(model: &str) -> String {
    let name = model.strip_prefix("models/").unwrap_or(model);
    let folder = if name.starts_with("tunedModels/") { "" } else { "models/" };
    let mut path = format!("/{folder}");
    for byte in name.bytes() {
        match byte {
            b'-' | b'.' | b'_' | b'~' | b'/' | b':' | b'@' => path.push(char::from(byte)),
            _ if byte.is_ascii_alphanumeric() => path.push(char::from(byte)),
            _ => path += &format!("%{byte:02X}"),
        }
    }
    path + ":streamGenerateContent?alt=sse"
}

fn write(question: Question<'_>) -> Result<Body<'_>, Failed> {
    let asked = Asked::new(question.prompt, question.temperature)?;
    if asked.stop.len() > MOST_STOPS {
        return Err(asked::unsupported("stop"));
    }
    let mut body = Body::default();
    if !asked.system.is_empty() {
        body.put("systemInstruction", json!({ "parts": [{ "text": asked.system }] }));
    }
    configure(&mut body, &asked);
    if !asked.tools.is_empty() {
        let tools: Value = asked.tools.into_iter().map(tool).collect();
        body.put("tools", json!([{ "functionDeclarations": tools }]));
        let choice = match asked.tool_choice {
            ToolChoice::Auto => None,
            ToolChoice::Never => Some(json!({ "mode": "NONE" })),
            ToolChoice::Required => Some(json!({ "mode": "ANY" })),
            ToolChoice::Named(name) => Some(json!({ "mode": "ANY", "allowedFunctionNames": [name] })),
        };
        body.put_some("toolConfig", choice.map(|choice| json!({ "functionCallingConfig": choice })));
    }
    body.put("contents", asked.turns.into_iter().map(content).collect::<Value>());
    Ok(body)
}

fn configure(body: &mut Body<'_>, asked: &Asked) {
    body.put("generationConfig.maxOutputTokens", asked.reply_tokens);
    body.put_some("generationConfig.temperature", asked.temperature);
    body.put_some("generationConfig.topP", asked.top_p);
    body.put_some("generationConfig.presencePenalty", asked.presence_penalty.and_then(penalty));
    body.put_some("generationConfig.frequencyPenalty", asked.frequency_penalty.and_then(penalty));
    // 32 bits here: the same seed stays the same.
    let seed = asked.seed.and_then(|seed| i32::try_from(seed % i64::from(i32::MAX)).ok());
    body.put_some("generationConfig.seed", seed);
    if !asked.stop.is_empty() {
        body.put("generationConfig.stopSequences", asked.stop.clone());
    }
    match &asked.format {
        Format::Text => {}
        Format::Json => body.put("generationConfig.responseMimeType", "application/json"),
        Format::Schema { schema, .. } => {
            body.put("generationConfig.responseMimeType", "application/json");
            body.put("generationConfig.responseJsonSchema", schema.clone());
        }
    }
}

/// Many programs send a penalty of nothing, and many models refuse any.
fn penalty(penalty: f64) -> Option<f64> {
    (penalty.abs() > f64::EPSILON).then_some(penalty)
}

fn tool(tool: asked::Tool) -> Value {
    let written = asked::with(json!({ "name": tool.name }), "description", tool.description);
    asked::with(written, "parametersJsonSchema", Some(tool.parameters).filter(|it| !it.is_null()))
}

fn content(turn: Turn) -> Value {
    let role = match turn.role {
        Role::User => "user",
        Role::Assistant => "model",
    };
    let mut parts: Vec<Value> = turn.parts.into_iter().map(part).collect();
    // Of several calls the first one has the signature of all.
    if let Some(call) = parts.iter_mut().find(|part| part.get("functionCall").is_some()) {
        call["thoughtSignature"] = NO_SIGNATURE.into();
    }
    json!({ "role": role, "parts": parts })
}

fn part(part: asked::Part) -> Value {
    match part {
        asked::Part::Text(text) => json!({ "text": text }),
        asked::Part::Picture(Picture::Here(image)) => {
            json!({ "inlineData": { "mimeType": image.media_type, "data": &*image.base64 } })
        }
        asked::Part::Picture(Picture::At(url)) => {
            json!({ "fileData": asked::with(json!({ "fileUri": url }), "mimeType", media_type(&url)) })
        }
        asked::Part::Call { id, name, arguments } => {
            let call = json!({ "name": name, "args": asked::object(arguments) });
            json!({ "functionCall": with_id(id, call) })
        }
        asked::Part::Result { id, name, text } => {
            // As it is: a number that becomes one of this interface loses digits.
            let result = json!({ "name": name, "response": { "output": text } });
            json!({ "functionResponse": with_id(id, result) })
        }
    }
}

/// Newer models tell parallel calls of one tool apart by their ids.
fn with_id(id: String, value: Value) -> Value {
    asked::with(value, "id", Some(id).filter(|id| !id.is_empty()))
}

/// What the end of an address says of its picture; the vendor, which fetches it, sees for itself otherwise.
fn media_type(url: &str) -> Option<&'static str> {
    let path = url.split(['?', '#']).next().unwrap_or_default();
    let (_, ending) = path.rsplit_once('.')?;
    Some(match ending.to_ascii_lowercase().as_str() {
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "webp" => "image/webp",
        "gif" => "image/gif",
        "heic" => "image/heic",
        "heif" => "image/heif",
        _ => return None,
    })
}

/// A chunk, or a whole answer.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Chunk<'a> {
    #[serde(borrow)]
    candidates: First<Candidate<'a>>,
    #[serde(borrow)]
    prompt_feedback: Object<Feedback<'a>>,
    usage_metadata: Object<Counts>,
    error: Present,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Candidate<'a> {
    /// Missing or `{}` where there is nothing to say.
    #[serde(borrow)]
    content: Object<Content<'a>>,
    #[serde(borrow)]
    finish_reason: Text<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Content<'a> {
    #[serde(borrow)]
    parts: List<Object<Part<'a>>>,
}

/// A part. What the vendor's own tools do has other keys: code that it runs, pages that it looks up.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Part<'a> {
    #[serde(borrow)]
    text: Text<'a>,
    thought: Present,
    #[serde(borrow)]
    function_call: Object<Call<'a>>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Call<'a> {
    #[serde(borrow)]
    id: Text<'a>,
    #[serde(borrow)]
    name: Text<'a>,
    #[serde(borrow)]
    args: Option<&'a RawValue>,
    /// More follows in parts that name paths, not JSON.
    will_continue: Present,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Feedback<'a> {
    #[serde(borrow)]
    block_reason: Text<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Counts {
    prompt_token_count: Count,
    tool_use_prompt_token_count: Count,
    candidates_token_count: Count,
    thoughts_token_count: Count,
}

fn read(json: &str) -> serde_json::Result<Said> {
    let chunk: Chunk<'_> = lax::read(json)?;
    let mut said = Said {
        usage: chunk.usage_metadata.0.as_ref().and_then(usage),
        complains: chunk.error.0,
        ..Said::default()
    };
    let Some(candidate) = chunk.candidates.0 else {
        let reason = chunk.prompt_feedback.or_default().block_reason;
        said.error = blocked(&reason.0).map(Box::new);
        return Ok(said);
    };
    said.known = true;
    for part in candidate.content.or_default().parts.0.into_iter().filter_map(|it| it.0) {
        add(&mut said, part);
    }
    if said.error.is_none() && !said.complains {
        let (finish, error) = finish(&candidate.finish_reason.0);
        (said.finish, said.error) = (finish, error.map(Box::new));
    }
    Ok(said)
}

fn add(said: &mut Said, part: Part<'_>) {
    let text = if part.thought.0 { &mut said.reasoning } else { &mut said.text };
    if text.is_empty() {
        *text = part.text.into_owned();
    } else {
        text.push_str(&part.text.0);
    }
    let Some(call) = part.function_call.0 else { return };
    if call.will_continue.0 {
        said.error = Some(Box::new(Failed::new(Failure::Malformed, "arguments in parts")));
    } else if !call.name.0.is_empty() {
        let arguments = call.args.map(tool_calls::arguments).filter(|it| !it.is_empty());
        said.calls.push(CallPart {
            index: None,
            id: call.id.into_owned(),
            name: call.name.into_owned(),
            arguments: arguments.unwrap_or_else(|| "{}".to_owned()),
            begins: true,
        });
    }
}

/// Thoughts and what the vendor's own tools found are counted apart, and paid for.
fn usage(counts: &Counts) -> Option<Usage> {
    let sum = |one: Count, two: Count| match (one.0, two.0) {
        (None, None) => None,
        (one, two) => Some(one.unwrap_or(0).saturating_add(two.unwrap_or(0))),
    };
    let tokens_in = sum(counts.prompt_token_count, counts.tool_use_prompt_token_count);
    let tokens_out = sum(counts.candidates_token_count, counts.thoughts_token_count);
    tokens_in.or(tokens_out)?;
    Some(Usage { tokens_in, tokens_out, is_estimated: false })
}

/// The prompt was refused: there is no candidate.
fn blocked(reason: &str) -> Option<Failed> {
    let word = || verdict::machine_word(&reason.to_ascii_lowercase()).unwrap_or_default();
    (!reason.is_empty()).then(|| Failed::new(Failure::ContentFiltered, word()))
}

/// Why a chunk says that the answer ends: a finish, or an error.
fn finish(word: &str) -> (Option<Finish>, Option<Failed>) {
    let finish = match word {
        "" | "FINISH_REASON_UNSPECIFIED" => return (None, None),
        // A call that the model got wrong, so that there is none.
        "MALFORMED_FUNCTION_CALL"
        | "UNEXPECTED_TOOL_CALL"
        | "TOO_MANY_TOOL_CALLS"
        | "MALFORMED_RESPONSE"
        | "MISSING_THOUGHT_SIGNATURE" => {
            return (None, Some(Failed::new(Failure::Malformed, word.to_ascii_lowercase())));
        }
        "STOP" => Finish::Stop,
        "MAX_TOKENS" => Finish::Length,
        "SAFETY"
        | "RECITATION"
        | "LANGUAGE"
        | "BLOCKLIST"
        | "PROHIBITED_CONTENT"
        | "SPII"
        | "MODEL_ARMOR"
        | "IMAGE_SAFETY"
        | "IMAGE_PROHIBITED_CONTENT"
        | "IMAGE_RECITATION" => Finish::ContentFilter,
        other => Finish::Other(verdict::machine_word(other).unwrap_or_default()),
    };
    (Some(finish), None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        message::Prompt,
        providers::{
            Kind,
            any_json::any_json,
            body::Refused,
            scripted::{Act, Scripted, answer, events, provider, told},
        },
    };
    use expect_test::{Expect, expect};
    use proptest::prelude::*;
    use serde_json::Map;
    use std::{sync::Arc, time::Duration};

    #[test]
    fn names_of_models() {
        let path = |model| questions(model).split(':').next().map(str::to_owned).unwrap();
        assert_eq!(questions("gemini-x"), "/models/gemini-x:streamGenerateContent?alt=sse");
        assert_eq!(path("models/gemini-x"), "/models/gemini-x");
        assert_eq!(path("tunedModels/mine-7"), "/tunedModels/mine-7");
        assert_eq!(path("google/gemini-x"), "/models/google/gemini-x");
        assert_eq!(path("a b?c#d%é"), "/models/a%20b%3Fc%23d%25%C3%A9");
    }

    fn asked(request: Value) -> Arc<Prompt> {
        let request = Some(Arc::new(serde_json::from_value(request).unwrap()));
        Arc::new(Prompt { request, reply_tokens: 5, ..Prompt::default() })
    }

    #[expect(clippy::needless_pass_by_value, reason = "reads as a literal")]
    fn check(request: Value, expected: Expect) {
        let prompt = asked(request);
        let written =
            write(Question { prompt: &prompt, model: "m", context_window: 8192, temperature: None });
        let written = written.map(|body| body.write(&Refused::default(), &Map::new()).unwrap());
        expected.assert_eq(&match written {
            Ok(json) => String::from_utf8(json).unwrap(),
            Err(failed) => failed.to_string(),
        });
    }

    #[test]
    fn calls_in_the_conversation() {
        let call = |id: &str, arguments: &str| json!({"id": id, "function": {"name": "now", "arguments": arguments}});
        check(
            json!({"messages": [
                {"role": "user", "content": "when?"},
                {"role": "assistant", "content": "Wait.", "tool_calls": [call("a", "{}"), call("b", "[7]"), call("", "7")]},
                {"role": "tool", "tool_call_id": "b", "content": "noon"},
                {"role": "tool", "tool_call_id": "a", "content": "{\"at\":12345678901234567890}"},
                {"role": "user", "content": "so?"},
            ]}),
            expect![[
                r#"{"generationConfig":{"maxOutputTokens":5},"contents":[{"parts":[{"text":"when?"}],"role":"user"},{"parts":[{"text":"Wait."},{"functionCall":{"args":{},"id":"a","name":"now"},"thoughtSignature":"skip_thought_signature_validator"},{"functionCall":{"args":{},"id":"b","name":"now"}},{"functionCall":{"args":{},"name":"now"}}],"role":"model"},{"parts":[{"functionResponse":{"id":"b","name":"now","response":{"output":"noon"}}},{"functionResponse":{"id":"a","name":"now","response":{"output":"{\"at\":12345678901234567890}"}}},{"text":"so?"}],"role":"user"}]}"#
            ]],
        );
    }

    #[test]
    fn parameters_that_differ_here() {
        let tools = json!([{"function": {"name": "now"}}]);
        check(
            json!({
                "messages": [{"role": "system", "content": "Say hi."}], "tools": tools, "tool_choice": "none",
                "presence_penalty": 0, "frequency_penalty": 0.0, "seed": 4_294_967_298_u64,
            }),
            expect![[
                r#"{"generationConfig":{"maxOutputTokens":5,"seed":4},"tools":[{"functionDeclarations":[{"name":"now"}]}],"toolConfig":{"functionCallingConfig":{"mode":"NONE"}},"contents":[{"parts":[{"text":"Say hi."}],"role":"user"}]}"#
            ]],
        );
        let image = json!({"type": "image_url", "image_url": {"url": "https://example.com/cat?as=.png"}});
        check(
            json!({"messages": [{"role": "user", "content": [image]}], "tool_choice": "required"}),
            expect![[
                r#"{"generationConfig":{"maxOutputTokens":5},"contents":[{"parts":[{"fileData":{"fileUri":"https://example.com/cat?as=.png"}}],"role":"user"}]}"#
            ]],
        );
        check(json!({"stop": ["a", "b", "c", "d", "e", "f"]}), expect!["unsupported_parameter: stop"]);
    }

    #[tokio::test]
    async fn a_model_without_penalties_is_asked_without_them() {
        let no = r#"{"error":{"code":400,"message":"Penalty is not enabled for models/gemini-x","status":"INVALID_ARGUMENT"}}"#;
        let no = || vec![answer("400 Bad Request", "application/json", no)];
        let hi = r#"{"candidates":[{"content":{"parts":[{"text":"hi"}]},"finishReason":"STOP"}]}"#;
        let mut endpoint = Scripted::start(vec![no(), no(), vec![events(&[hi])]]).await;
        let request = json!({"messages": [{"role": "user", "content": "hi"}], "presence_penalty": 1, "frequency_penalty": 1, "seed": 7});
        assert!(endpoint.provider(Kind::Gemini, None).generate(asked(request)).await.is_ok());
        let mut sent = Vec::new();
        for _ in 0..3 {
            let request = endpoint.request().await;
            sent.push(["presencePenalty", "frequencyPenalty", "seed"].map(|name| request.contains(name)));
        }
        assert_eq!(sent[0], [true; 3]);
        assert_eq!(sent[1].iter().filter(|it| **it).count(), 2);
        assert_eq!(sent[2], [false, false, true]);
    }

    #[tokio::test]
    async fn behind_a_finish_the_answer_may_go_on() {
        let chunk = |text: &str| {
            format!("data: {{\"candidates\":[{{\"content\":{{\"parts\":[{{\"text\":\"{text}\"}}]}},\"finishReason\":\"STOP\"}}]}}\r\n\r\n").into_bytes()
        };
        let begin = || vec![events(&[]), Act::Send(chunk("Hello")), Act::Wait(Duration::from_millis(1200))];
        let whole = begin().into_iter().chain([Act::Send(chunk(", Ana"))]).collect();
        let lost = begin().into_iter().chain([Act::Reset]).collect();
        let endpoint = Scripted::start(vec![whole, lost]).await;
        let provider = provider(Kind::Gemini, &endpoint.base_url, None);
        expect![[r#"
            text     "Hello, Ana"
            finish   Stop
        "#]]
        .assert_eq(&told(&*provider).await);
        expect![[r#"
            text     "Hello"
            failed   broken_stream (HTTP 200): lost in the answer
        "#]]
        .assert_eq(&told(&*provider).await);
    }

    const KEYS: [&str; 14] = [
        "candidates",
        "content",
        "parts",
        "text",
        "thought",
        "functionCall",
        "name",
        "args",
        "id",
        "finishReason",
        "promptFeedback",
        "blockReason",
        "usageMetadata",
        "promptTokenCount",
    ];
    const WORDS: [&str; 4] = ["STOP", "MAX_TOKENS", "SAFETY", "MALFORMED_FUNCTION_CALL"];

    proptest! {
        #[test]
        fn any_json_is_read(value in any_json(&KEYS, &WORDS)) {
            prop_assert!(read(&value.to_string()).is_ok());
        }

        #[test]
        fn a_name_stays_within_its_path(model in ".{0,40}") {
            let path = questions(&model);
            prop_assert!(path.strip_suffix(":streamGenerateContent?alt=sse").is_some_and(|it| !it.contains(['?', '#', ' '])));
            prop_assert!(path.is_ascii());
        }
    }
}
