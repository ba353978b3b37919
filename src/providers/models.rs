//! Reads a list of models, in whatever vendor's words (pure).

use super::{
    Model,
    lax::{Count, List, Object, Text},
};
use serde::Deserialize;

/// OpenAI's and Anthropic's `data`, Gemini's and Ollama's `models`.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Listed<'a> {
    #[serde(borrow)]
    data: Option<List<Object<Item<'a>>>>,
    #[serde(borrow)]
    models: Option<List<Object<Item<'a>>>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Item<'a> {
    #[serde(borrow)]
    id: Text<'a>,
    #[serde(borrow)]
    name: Text<'a>,
    /// OpenRouter, Together.
    context_length: Count,
    /// vLLM.
    max_model_len: Count,
    /// Groq.
    context_window: Count,
    /// Mistral.
    max_context_length: Count,
    #[serde(rename = "inputTokenLimit")]
    input_token_limit: Count,
    /// Anthropic.
    max_input_tokens: Count,
    /// llama.cpp.
    meta: Object<Meta>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Meta {
    n_ctx: Count,
}

impl Item<'_> {
    fn into_model(self) -> Option<Model> {
        // Gemini's are called `models/…`.
        let id = self.id.or(self.name).into_owned();
        let id = id.strip_prefix("models/").unwrap_or(&id).to_owned();
        let windows = [
            self.context_length,
            self.max_model_len,
            self.context_window,
            self.max_context_length,
            self.input_token_limit,
            self.max_input_tokens,
            self.meta.or_default().n_ctx,
        ];
        let window = windows.into_iter().find_map(|it| it.0.filter(|window| *window > 0));
        let context_window = window.and_then(|window| u32::try_from(window).ok());
        (!id.is_empty()).then_some(Model { id, context_window })
    }
}

/// The models that a body lists; none if it is no such list.
pub(super) fn read(body: &[u8]) -> Option<Vec<Model>> {
    let body = std::str::from_utf8(body).ok()?.trim_start_matches('\u{feff}').trim();
    let items = if body.starts_with('[') {
        serde_json::from_str(body).ok()?
    } else {
        let listed: Listed<'_> = super::lax::read(body).ok()?;
        // llama.cpp has both.
        listed.data.or(listed.models)?
    };
    let List::<Object<Item<'_>>>(items) = items;
    Some(items.into_iter().filter_map(|it| it.0?.into_model()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};

    #[expect(clippy::needless_pass_by_value, reason = "reads as a literal")]
    fn check(body: &str, expected: Expect) {
        let shown = |model: Model| match model.context_window {
            Some(window) => format!("{} ({window})", model.id),
            None => model.id,
        };
        let listed = read(body.as_bytes()).map(|it| it.into_iter().map(shown).collect::<Vec<_>>().join(", "));
        expected.assert_eq(&listed.unwrap_or_else(|| "no list".to_owned()));
    }

    #[test]
    fn lists_of_all_vendors() {
        check(
            r#"{"object":"list","data":[{"id":"gpt-4o","object":"model"},{"id":"o3"}]}"#,
            expect!["gpt-4o, o3"],
        );
        check(r#"{"data":[{"id":"a/b","context_length":4096,"pricing":{}}]}"#, expect!["a/b (4096)"]);
        check(
            r#"{"data":[{"type":"model","id":"claude-haiku-4-5","display_name":"x"}],"has_more":false}"#,
            expect!["claude-haiku-4-5"],
        );
        check(
            r#"{"models":[{"name":"models/gemini-2.5-flash","inputTokenLimit":1048576}]}"#,
            expect!["gemini-2.5-flash (1048576)"],
        );
        check(
            r#"{"models":[{"name":"llama3.2:1b","model":"llama3.2:1b","size":1}]}"#,
            expect!["llama3.2:1b"],
        );
        check(
            r#"{"models":[{"name":"x"}],"object":"list","data":[{"id":"x.gguf","meta":{"n_ctx_train":8192,"n_ctx":2048}}]}"#,
            expect!["x.gguf (2048)"],
        );
        check(r#"[{"id":"m"},{"id":7},8,{}]"#, expect!["m"]);
        check(r#"{"data":[]}"#, expect![""]);
        for other in ["", "<html>", "{}", "7", "[", r#"{"error":{}}"#] {
            check(other, expect!["no list"]);
        }
    }
}
