//! Reads the body of a message that a bot creates or edits, and checks it as Discord does (pure).

use super::{
    errors::Fail,
    interactions::components,
    mentions::{Allowed, id_of},
    world::flag,
};
use serde_json::Value;

/// The most characters of a message, counted as UTF-16 code units.
pub(crate) const CONTENT: usize = 2000;
/// The most bytes of one file.
const FILE: usize = 10 * 1024 * 1024;
/// The flags that a bot may set.
const SETTABLE: u64 =
    flag::SUPPRESS_EMBEDS | flag::EPHEMERAL | flag::SUPPRESS_NOTIFICATIONS | flag::COMPONENTS_V2 | 1 << 13;

/// A file of a multipart body.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Upload {
    pub(crate) name: String,
    pub(crate) mime: String,
    pub(crate) bytes: Vec<u8>,
}

/// The message that a reply answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reply {
    pub(crate) message: u64,
    /// Whether a missing message is an error.
    pub(crate) strict: bool,
}

/// A message's body. What is none was not in it.
#[derive(Clone, Debug)]
pub(crate) struct Body {
    pub(crate) content: Option<String>,
    pub(crate) embeds: Option<Vec<Value>>,
    pub(crate) components: Option<Vec<Value>>,
    pub(crate) flags: Option<u64>,
    pub(crate) allowed: Allowed,
    pub(crate) files: Vec<Upload>,
    /// Ids of the files that stay, at an edit.
    pub(crate) keep: Option<Vec<u64>>,
    pub(crate) reply: Option<Reply>,
    pub(crate) nonce: Option<Value>,
    pub(crate) enforce_nonce: bool,
}

impl Body {
    /// Reads and checks a body.
    pub(crate) fn read(body: &Value, files: Vec<Upload>) -> Result<Self, Fail> {
        let read = Self {
            content: content(body)?,
            embeds: array(body, "embeds")?,
            components: array(body, "components")?,
            flags: match body.get("flags") {
                None | Some(Value::Null) => None,
                Some(it) => {
                    Some(it.as_u64().ok_or_else(|| Fail::choice("flags", &it.to_string()))? & SETTABLE)
                }
            },
            allowed: Allowed::read(body.get("allowed_mentions"))?,
            keep: kept(body),
            reply: reply(body)?,
            nonce: nonce(body)?,
            enforce_nonce: body["enforce_nonce"].as_bool().unwrap_or(false),
            files,
        };
        read.check()?;
        Ok(read)
    }

    fn check(&self) -> Result<(), Fail> {
        if self.content.as_ref().is_some_and(|it| it.encode_utf16().count() > CONTENT) {
            return Err(Fail::too_long("content", CONTENT));
        }
        embeds(self.embeds.as_deref().unwrap_or_default())?;
        if self.files.len() > 10 {
            return Err(Fail::bad_length("files", 0, 10));
        }
        if self.files.iter().any(|it| it.bytes.len() > FILE) {
            return Err(Fail::new(413, 40_005, "Request entity too large"));
        }
        let new_style = self.flags.unwrap_or(0) & flag::COMPONENTS_V2 != 0;
        if new_style
            && (self.content.as_ref().is_some_and(|it| !it.is_empty())
                || self.embeds.as_ref().is_some_and(|it| !it.is_empty()))
        {
            let why = "The 'content' field cannot be used when using MessageFlags.IS_COMPONENTS_V2";
            return Err(Fail::form("content", "MESSAGE_CANNOT_USE_LEGACY_FIELDS_WITH_COMPONENTS_V2", why));
        }
        rows(self.components.as_deref().unwrap_or_default(), new_style)
    }

    /// Whether there is nothing that could be shown.
    pub(crate) fn is_empty(&self) -> bool {
        self.content.as_ref().is_none_or(|it| it.trim().is_empty())
            && self.files.is_empty()
            && self.embeds.as_ref().is_none_or(Vec::is_empty)
            && self.components.as_ref().is_none_or(Vec::is_empty)
    }
}

/// The error for a message without anything in it.
pub(crate) fn empty() -> Fail {
    Fail::new(400, 50_006, "Cannot send an empty message")
}

fn content(body: &Value) -> Result<Option<String>, Fail> {
    match body.get("content") {
        None => Ok(None),
        Some(Value::Null) => Ok(Some(String::new())),
        Some(Value::String(text)) => Ok(Some(text.trim().to_owned())),
        Some(Value::Number(it)) => Ok(Some(it.to_string())),
        Some(_) => Err(Fail::form("content", "STRING_TYPE_CONVERT", "Could not interpret value as string.")),
    }
}

fn array(body: &Value, key: &str) -> Result<Option<Vec<Value>>, Fail> {
    match body.get(key) {
        None => Ok(None),
        Some(Value::Null) => Ok(Some(Vec::new())),
        Some(Value::Array(list)) => Ok(Some(list.clone())),
        Some(_) => Err(Fail::form(key, "LIST_TYPE_CONVERT", "Only iterables may be used in a ListType")),
    }
}

/// `attachments` of an edit: entries without a file of this request are those that stay.
fn kept(body: &Value) -> Option<Vec<u64>> {
    Some(body.get("attachments")?.as_array()?.iter().filter_map(|it| id_of(&it["id"])).collect())
}

fn reply(body: &Value) -> Result<Option<Reply>, Fail> {
    let reference = match body.get("message_reference") {
        None | Some(Value::Null) => return Ok(None),
        Some(it) => it,
    };
    let message =
        id_of(&reference["message_id"]).ok_or_else(|| Fail::required("message_reference.message_id"))?;
    Ok(Some(Reply { message, strict: reference["fail_if_not_exists"].as_bool().unwrap_or(true) }))
}

fn nonce(body: &Value) -> Result<Option<Value>, Fail> {
    match body.get("nonce") {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(it)) if it.chars().count() > 25 => Err(Fail::too_long("nonce", 25)),
        Some(it) => Ok(Some(it.clone())),
    }
}

fn embeds(all: &[Value]) -> Result<(), Fail> {
    if all.len() > 10 {
        return Err(Fail::bad_length("embeds", 0, 10));
    }
    let mut total = 0;
    for (at, it) in all.iter().enumerate() {
        let mut part = |text: &Value, path: &str, most: usize| {
            let count = text.as_str().map_or(0, |it| it.encode_utf16().count());
            total += count;
            if count > most { Err(Fail::too_long(&format!("embeds.{at}.{path}"), most)) } else { Ok(()) }
        };
        part(&it["title"], "title", 256)?;
        part(&it["description"], "description", 4096)?;
        part(&it["footer"]["text"], "footer.text", 2048)?;
        part(&it["author"]["name"], "author.name", 256)?;
        let fields = it["fields"].as_array().map_or(&[][..], Vec::as_slice);
        if fields.len() > 25 {
            return Err(Fail::bad_length(&format!("embeds.{at}.fields"), 0, 25));
        }
        for (nth, field) in fields.iter().enumerate() {
            part(&field["name"], &format!("fields.{nth}.name"), 256)?;
            part(&field["value"], &format!("fields.{nth}.value"), 1024)?;
        }
    }
    if total > 6000 {
        let why = "Embed size exceeds maximum size of 6000";
        return Err(Fail::form("embeds", "MAX_EMBED_SIZE_EXCEEDED", why));
    }
    Ok(())
}

/// Rows of buttons and menus: at most 5 with 5 buttons each (40 components in the new style), each custom id once.
fn rows(all: &[Value], new_style: bool) -> Result<(), Fail> {
    let most = if new_style { 40 } else { 5 };
    if all.len() > most {
        return Err(Fail::bad_length("components", 1, most));
    }
    for (at, row) in all.iter().enumerate() {
        let inner = row["components"].as_array().map_or(&[][..], Vec::as_slice);
        if !new_style && row["type"] != 1 {
            return Err(Fail::choice(&format!("components.{at}.type"), &row["type"].to_string()));
        }
        if row["type"] == 1 && (inner.is_empty() || inner.len() > 5) {
            return Err(Fail::bad_length(&format!("components.{at}.components"), 1, 5));
        }
    }
    let (mut pressed, mut ids) = (Vec::new(), Vec::new());
    components(all, &mut pressed);
    for it in pressed {
        let id = it["custom_id"].as_str().unwrap_or_default();
        if id.is_empty() || id.chars().count() > 100 {
            return Err(Fail::bad_length("components.0.components.0.custom_id", 1, 100));
        }
        if it["label"].as_str().is_some_and(|it| it.chars().count() > 80) {
            return Err(Fail::too_long("components.0.components.0.label", 80));
        }
        if ids.contains(&id) {
            let why = "Component custom id cannot be duplicated";
            return Err(Fail::form(
                "components.0.components.0.custom_id",
                "COMPONENT_CUSTOM_ID_DUPLICATED",
                why,
            ));
        }
        ids.push(id);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};
    use serde_json::json;

    fn check(body: &Value, expect: &Expect) {
        expect.assert_eq(&match Body::read(body, Vec::new()) {
            Ok(it) => format!("ok, empty {}", it.is_empty()),
            Err(it) => it.errors.map_or(it.message, |it| it.to_string()),
        });
    }

    #[test]
    fn bodies_are_checked() {
        check(&json!({ "content": "a".repeat(2000) }), &expect!["ok, empty false"]);
        check(&json!({ "content": "🦀".repeat(1000) }), &expect!["ok, empty false"]);
        check(
            &json!({ "content": "🦀".repeat(1001) }),
            &expect![[
                r#"{"content":{"_errors":[{"code":"BASE_TYPE_MAX_LENGTH","message":"Must be 2000 or fewer in length."}]}}"#
            ]],
        );
        check(&json!({ "content": " \n" }), &expect!["ok, empty true"]);
        check(
            &json!({ "nonce": "x".repeat(26) }),
            &expect![[
                r#"{"nonce":{"_errors":[{"code":"BASE_TYPE_MAX_LENGTH","message":"Must be 25 or fewer in length."}]}}"#
            ]],
        );
        let button = json!({ "type": 2, "custom_id": "a", "style": 1, "label": "A" });
        check(
            &json!({ "components": [{ "type": 1, "components": [button, button] }] }),
            &expect![[
                r#"{"components":{"0":{"components":{"0":{"custom_id":{"_errors":[{"code":"COMPONENT_CUSTOM_ID_DUPLICATED","message":"Component custom id cannot be duplicated"}]}}}}}}"#
            ]],
        );
    }
}
