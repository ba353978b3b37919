//! Reads the chunks that nearly all chunks are like straight from their bytes (pure).
//!
//! **The problem.** A chunk of one token has twenty values, and a tree of them in memory costs more than all that is done with
//! it. **The rule.** A chunk that says nothing but what is listed here is read without a tree. Whatever else a host says (a key
//! or a type that is not listed, an error, a part of a call of a tool, a rare finish) makes it another one, which is read as
//! before. **The limits.** Both ways must say the same of a chunk that both can read; a test compares them.

use crate::{
    outcome::Usage,
    providers::{Finish, answer::Said},
};
use serde::{Deserialize, de::IgnoredAny};
use std::borrow::Cow;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Chunk<'a> {
    #[serde(default, borrow)]
    choices: Vec<Choice<'a>>,
    #[serde(default)]
    usage: Option<Counts>,
    #[serde(default, borrow)]
    object: Option<Cow<'a, str>>,
    /// Several hosts send a null in every chunk.
    #[serde(default)]
    error: Option<IgnoredAny>,
    #[serde(default, rename = "id")]
    _id: IgnoredAny,
    #[serde(default, rename = "created")]
    _created: IgnoredAny,
    #[serde(default, rename = "model")]
    _model: IgnoredAny,
    #[serde(default, rename = "provider")]
    _provider: IgnoredAny,
    #[serde(default, rename = "system_fingerprint")]
    _system_fingerprint: IgnoredAny,
    #[serde(default, rename = "service_tier")]
    _service_tier: IgnoredAny,
    #[serde(default, rename = "obfuscation")]
    _obfuscation: IgnoredAny,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Choice<'a> {
    #[serde(default, borrow)]
    delta: Option<Delta<'a>>,
    #[serde(default, borrow)]
    finish_reason: Option<Cow<'a, str>>,
    #[serde(default, rename = "index")]
    _index: IgnoredAny,
    #[serde(default, rename = "logprobs")]
    _logprobs: IgnoredAny,
    #[serde(default, rename = "native_finish_reason")]
    _native_finish_reason: IgnoredAny,
    #[serde(default, rename = "content_filter_results")]
    _content_filter_results: IgnoredAny,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Delta<'a> {
    #[serde(default, borrow)]
    content: Option<Cow<'a, str>>,
    #[serde(default, borrow)]
    refusal: Option<Cow<'a, str>>,
    #[serde(default, borrow)]
    reasoning_content: Option<Cow<'a, str>>,
    #[serde(default, borrow)]
    reasoning: Option<Cow<'a, str>>,
    #[serde(default)]
    tool_calls: Option<IgnoredAny>,
    #[serde(default, rename = "role")]
    _role: IgnoredAny,
}

#[derive(Deserialize)]
struct Counts {
    #[serde(default)]
    prompt_tokens: Option<u64>,
    #[serde(default)]
    completion_tokens: Option<u64>,
}

/// What a plain chunk says; none if it is no plain one.
pub(super) fn read(data: &str) -> Option<Said> {
    // A list would be read as the values of an object.
    let chunk: Chunk<'_> = data.starts_with('{').then(|| serde_json::from_str(data).ok())??;
    if chunk.error.is_some() || chunk.object.as_deref() == Some("error") {
        return None;
    }
    let usage = chunk.usage.map(|it| Usage {
        tokens_in: it.prompt_tokens,
        tokens_out: it.completion_tokens,
        is_estimated: false,
    });
    let Some(choice) = chunk.choices.into_iter().next() else {
        return Some(Said { usage, ..Said::default() });
    };
    let finish = match choice.finish_reason.as_deref() {
        None | Some("") => None,
        Some("stop") => Some(Finish::Stop),
        Some("length") => Some(Finish::Length),
        Some("tool_calls") => Some(Finish::ToolCalls),
        Some("content_filter") => Some(Finish::ContentFilter),
        Some(_) => return None,
    };
    let said = Said { known: true, usage, finish, ..Said::default() };
    let Some(delta) = choice.delta else { return Some(said) };
    if delta.tool_calls.is_some() {
        return None;
    }
    let word = |word: Option<Cow<'_, str>>| word.map(Cow::into_owned).unwrap_or_default();
    let refusal = word(delta.refusal);
    Some(Said {
        text: word(delta.content) + &refusal,
        refused: !refusal.is_empty(),
        reasoning: word(delta.reasoning_content.or(delta.reasoning)),
        ..said
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    fn slowly(data: &str) -> String {
        format!("{:?}", super::super::read(&serde_json::from_str(data).unwrap()))
    }

    #[test]
    fn the_usual_chunks_are_plain() {
        for chunk in [
            r#"{"id":"x","object":"chat.completion.chunk","created":1,"model":"m","system_fingerprint":null,"choices":[{"index":0,"delta":{"role":"assistant","content":"","refusal":null},"logprobs":null,"finish_reason":null}],"usage":null,"obfuscation":"aa"}"#,
            r#"{"id":"x","choices":[{"index":0,"delta":{"content":"Hel\"lo 😀"},"finish_reason":null}]}"#,
            r#"{"choices":[{"delta":{"reasoning_content":"hm","content":null,"tool_calls":null}}],"error":null}"#,
            r#"{"choices":[{"index":0,"delta":{"refusal":"I cannot."},"finish_reason":"stop"}]}"#,
            r#"{"choices":[{"index":0,"delta":{},"finish_reason":"content_filter","content_filter_results":{}}]}"#,
            r#"{"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5,"completion_tokens_details":{"a":0}}}"#,
        ] {
            assert_eq!(read(chunk).map(|it| format!("{it:?}")), Some(slowly(chunk)), "{chunk}");
        }
    }

    #[test]
    fn others_are_not() {
        for chunk in [
            r#"{"object":"error","message":"x"}"#,
            r#"{"object":"error"}"#,
            r#"{"error":{"code":1}}"#,
            r#"{"error":""}"#,
            r#"{"choices":[{"delta":{},"finish_reason":"error"}]}"#,
            r#"{"choices":[{"delta":{},"finish_reason":"eos"}]}"#,
            r#"{"choices":[{"delta":{"tool_calls":[{"index":0}]}}]}"#,
            r#"{"choices":[{"delta":{"content":[{"type":"text","text":"x"}]}}]}"#,
            r#"{"choices":[{"message":{"content":"x"}}]}"#,
            r#"{"choices":[{"delta":{},"usage":{"prompt_tokens":1}}]}"#,
            r#"{"choices":[],"x_groq":{"usage":{"prompt_tokens":1}}}"#,
            r#"{"choices":[],"usage":{"prompt_tokens":1.5}}"#,
            r#"{"type":"error"}"#,
            "[]",
            "7",
            "{",
        ] {
            assert!(read(chunk).is_none(), "{chunk}");
        }
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<i64>().prop_map(Value::from),
            prop_oneof!["", "stop", "length", "error", "Hi"].prop_map(Value::from),
            "\\PC{0,4}".prop_map(Value::from),
        ];
        let key = prop_oneof!["content", "reasoning", "prompt_tokens", "code"];
        leaf.prop_recursive(2, 8, 3, move |inner| {
            prop::collection::vec((key.clone(), inner), 0..3)
                .prop_map(|it| Value::Object(it.into_iter().collect()))
        })
    }

    proptest! {
        #[test]
        fn both_ways_say_the_same(
            around in prop::collection::vec((prop_oneof!["usage", "error", "object", "id", "type"], any_json()), 0..3),
            choice in prop::collection::vec((prop_oneof!["delta", "message", "finish_reason", "usage", "index"], any_json()), 0..4),
            delta in prop::collection::vec(
                (prop_oneof!["content", "refusal", "reasoning", "reasoning_content", "role", "tool_calls"], any_json()), 0..4),
        ) {
            let mut inner = json!({ "delta": Value::Object(delta.into_iter().collect()) });
            inner.as_object_mut().unwrap().extend(choice);
            let mut chunk = json!({ "choices": [inner] });
            chunk.as_object_mut().unwrap().extend(around);
            let chunk = chunk.to_string();
            if let Some(said) = read(&chunk) {
                prop_assert_eq!(format!("{said:?}"), slowly(&chunk));
            }
        }
    }
}
