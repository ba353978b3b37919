//! What Discord demands of an application command before it is registered (pure).

use super::{errors::Fail, json::merge};
use serde_json::{Map, Value, json};

/// How many commands of a type (1 chat input, 2 user, 3 message) an application may have in one place.
pub(crate) fn most(kind: u64) -> usize {
    if kind == 1 { 100 } else { 15 }
}

/// The most characters in names, descriptions and values of one command.
const TOTAL: usize = 8000;

/// Checks a command and fills in what was left out; `path` is put before the paths of faults (`0.` in a list).
pub(crate) fn check(body: &Value, path: &str) -> Result<Value, Fail> {
    let kind = match &body["type"] {
        Value::Null => 1,
        it => it
            .as_u64()
            .filter(|it| (1..=3).contains(it))
            .ok_or_else(|| Fail::choice(&format!("{path}type"), &it.to_string()))?,
    };
    let name = body["name"].as_str().ok_or_else(|| Fail::required(&format!("{path}name")))?;
    if kind == 1 {
        slash_name(name, &format!("{path}name"))?;
        text(body, "description", 1, 100, path)?;
    } else {
        length(name, 1, 32, &format!("{path}name"))?;
        if !body["description"].as_str().unwrap_or_default().is_empty() || !list(body, "options").is_empty() {
            return Err(Fail::form(
                &format!("{path}description"),
                "APPLICATION_COMMAND_DESCRIPTION_INVALID",
                "Context menu commands cannot have description",
            ));
        }
    }
    localized(body, path, kind == 1)?;
    options(list(body, "options"), &format!("{path}options."), 0)?;
    if size(body) > TOTAL {
        return Err(Fail::form(
            path.trim_end_matches('.'),
            "APPLICATION_COMMAND_TOO_LARGE",
            "Command exceeds maximum size (8000)",
        ));
    }
    if let Some(bits) = body["default_member_permissions"].as_str()
        && bits.parse::<u64>().is_err()
    {
        return Err(Fail::form(
            &format!("{path}default_member_permissions"),
            "NUMBER_TYPE_COERCE",
            "Value is not an int.",
        ));
    }
    let mut full = json!({
        "type": kind, "description": "", "options": [], "default_member_permissions": null, "dm_permission": true,
        "nsfw": false, "contexts": null, "integration_types": [0], "name_localizations": null, "description_localizations": null,
    });
    merge(&mut full, known_keys(body));
    full["type"] = kind.into();
    Ok(full)
}

/// The keys that Discord keeps, without nulls for those that have a default.
fn known_keys(body: &Value) -> Value {
    const KEYS: [&str; 9] = [
        "name",
        "description",
        "options",
        "default_member_permissions",
        "dm_permission",
        "nsfw",
        "contexts",
        "integration_types",
        "name_localizations",
    ];
    let mut kept = Map::new();
    for key in KEYS.into_iter().chain(["description_localizations"]) {
        if let Some(value) = body.get(key).filter(|it| !it.is_null()) {
            kept.insert(key.into(), value.clone());
        }
    }
    Value::Object(kept)
}

fn list<'a>(body: &'a Value, key: &str) -> &'a [Value] {
    body[key].as_array().map_or(&[], Vec::as_slice)
}

fn length(text: &str, least: usize, most: usize, path: &str) -> Result<(), Fail> {
    let count = text.chars().count();
    if (least..=most).contains(&count) { Ok(()) } else { Err(Fail::bad_length(path, least, most)) }
}

fn text(body: &Value, key: &str, least: usize, most: usize, path: &str) -> Result<(), Fail> {
    let path = format!("{path}{key}");
    let text = body[key].as_str().ok_or_else(|| Fail::required(&path))?;
    length(text, least, most, &path)
}

/// `^[-_'\p{L}\p{N}]{1,32}$`, and no capitals where the letter has a small form.
fn slash_name(name: &str, path: &str) -> Result<(), Fail> {
    length(name, 1, 32, path)?;
    let fits = |it: char| matches!(it, '-' | '_' | '\'') || it.is_alphanumeric();
    if name.chars().all(fits) && name.to_lowercase() == name {
        Ok(())
    } else {
        Err(Fail::form(path, "APPLICATION_COMMAND_INVALID_NAME", "Command name is invalid"))
    }
}

fn localized(body: &Value, path: &str, slash: bool) -> Result<(), Fail> {
    for (locale, name) in body["name_localizations"].as_object().into_iter().flatten() {
        let path = format!("{path}name_localizations.{locale}");
        match name.as_str() {
            Some(name) if slash => slash_name(name, &path)?,
            Some(name) => length(name, 1, 32, &path)?,
            None => return Err(Fail::required(&path)),
        }
    }
    for (locale, text) in body["description_localizations"].as_object().into_iter().flatten() {
        length(
            text.as_str().unwrap_or_default(),
            1,
            100,
            &format!("{path}description_localizations.{locale}"),
        )?;
    }
    Ok(())
}

/// Checks the options of a command, group or subcommand.
fn options(all: &[Value], path: &str, depth: u8) -> Result<(), Fail> {
    if all.len() > 25 {
        return Err(Fail::bad_length(path.trim_end_matches('.'), 0, 25));
    }
    let (mut names, mut optional, mut nested) = (Vec::new(), false, 0);
    for (at, it) in all.iter().enumerate() {
        let path = format!("{path}{at}.");
        let kind = it["type"].as_u64().filter(|it| (1..=11).contains(it));
        let kind = kind.ok_or_else(|| Fail::choice(&format!("{path}type"), &it["type"].to_string()))?;
        let name = it["name"].as_str().ok_or_else(|| Fail::required(&format!("{path}name")))?;
        slash_name(name, &format!("{path}name"))?;
        text(it, "description", 1, 100, &path)?;
        localized(it, &path, true)?;
        if names.contains(&name) {
            let why = "Command option names must be unique";
            return Err(Fail::form(&format!("{path}name"), "APPLICATION_COMMAND_OPTIONS_NAME_INVALID", why));
        }
        names.push(name);
        if kind <= 2 {
            nested += 1;
            if depth >= 2 || (depth == 1 && kind == 2) {
                let why = "Sub-commands cannot be nested this deep";
                return Err(Fail::form(
                    &format!("{path}type"),
                    "APPLICATION_COMMAND_OPTIONS_TYPE_INVALID",
                    why,
                ));
            }
            options(list(it, "options"), &format!("{path}options."), depth + 1)?;
            continue;
        }
        let required = it["required"].as_bool().unwrap_or(false);
        if required && optional {
            let why = "Required options must be placed before non-required options";
            return Err(Fail::form(
                &format!("{path}required"),
                "APPLICATION_COMMAND_OPTIONS_REQUIRED_INVALID",
                why,
            ));
        }
        optional |= !required;
        choices(it, kind, &path)?;
    }
    if nested != 0 && nested != all.len() {
        let why = "Sub-command and sub-command group option types are mutually exclusive to all other types";
        return Err(Fail::form(path.trim_end_matches('.'), "APPLICATION_COMMAND_OPTIONS_TYPE_INVALID", why));
    }
    Ok(())
}

/// Choices and autocomplete: for strings and numbers only, and not both.
fn choices(option: &Value, kind: u64, path: &str) -> Result<(), Fail> {
    let all = list(option, "choices");
    let completes = option["autocomplete"].as_bool().unwrap_or(false);
    if completes && (!all.is_empty() || !matches!(kind, 3 | 4 | 10)) {
        let why = "Autocomplete needs a string or number option without choices";
        return Err(Fail::form(
            &format!("{path}autocomplete"),
            "APPLICATION_COMMAND_OPTIONS_AUTOCOMPLETE_INVALID",
            why,
        ));
    }
    if all.len() > 25 {
        return Err(Fail::bad_length(&format!("{path}choices"), 0, 25));
    }
    for (at, it) in all.iter().enumerate() {
        let path = format!("{path}choices.{at}.");
        text(it, "name", 1, 100, &path)?;
        let fits = if kind == 3 {
            it["value"].as_str().is_some_and(|it| it.chars().count() <= 100)
        } else {
            it["value"].is_number()
        };
        if !fits {
            return Err(Fail::too_long(&format!("{path}value"), 100));
        }
    }
    Ok(())
}

/// Characters in names, descriptions and values.
fn size(body: &Value) -> usize {
    let of = |key: &str| body[key].as_str().map_or(0, |it| it.chars().count());
    let inner = |key: &str| list(body, key).iter().map(size).sum::<usize>();
    of("name") + of("description") + of("value") + inner("options") + inner("choices")
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};

    fn say(body: &Value, expect: &Expect) {
        expect.assert_eq(&match check(body, "") {
            Ok(it) => format!("ok: type {} dm {}", it["type"], it["dm_permission"]),
            Err(it) => it.errors.map_or(it.message, |it| it.to_string()),
        });
    }

    #[test]
    fn commands_are_checked_as_discord_checks_them() {
        say(&json!({ "name": "ask", "description": "d" }), &expect!["ok: type 1 dm true"]);
        say(
            &json!({ "name": "Ask about this", "type": 3, "description": "" }),
            &expect!["ok: type 3 dm true"],
        );
        say(
            &json!({ "name": "Ask", "description": "d" }),
            &expect![[
                r#"{"name":{"_errors":[{"code":"APPLICATION_COMMAND_INVALID_NAME","message":"Command name is invalid"}]}}"#
            ]],
        );
        say(
            &json!({ "name": "ask" }),
            &expect![[
                r#"{"description":{"_errors":[{"code":"BASE_TYPE_REQUIRED","message":"This field is required"}]}}"#
            ]],
        );
        let option = |name: &str, required: bool| json!({ "type": 3, "name": name, "description": "d", "required": required });
        let body =
            json!({ "name": "a", "description": "d", "options": [option("x", false), option("y", true)] });
        say(
            &body,
            &expect![[
                r#"{"options":{"1":{"required":{"_errors":[{"code":"APPLICATION_COMMAND_OPTIONS_REQUIRED_INVALID","message":"Required options must be placed before non-required options"}]}}}}"#
            ]],
        );
        let mixed = json!({ "name": "a", "description": "d", "options": [option("x", true), { "type": 1, "name": "s", "description": "d" }] });
        say(
            &mixed,
            &expect![[
                r#"{"options":{"_errors":[{"code":"APPLICATION_COMMAND_OPTIONS_TYPE_INVALID","message":"Sub-command and sub-command group option types are mutually exclusive to all other types"}]}}"#
            ]],
        );
        let completing = json!({ "type": 3, "name": "x", "description": "d", "autocomplete": true, "choices": [{ "name": "a", "value": "a" }] });
        say(
            &json!({ "name": "a", "description": "d", "options": [completing] }),
            &expect![[
                r#"{"options":{"0":{"autocomplete":{"_errors":[{"code":"APPLICATION_COMMAND_OPTIONS_AUTOCOMPLETE_INVALID","message":"Autocomplete needs a string or number option without choices"}]}}}}"#
            ]],
        );
        let many: Vec<Value> = (0..26).map(|it| option(&format!("o{it}"), true)).collect();
        say(
            &json!({ "name": "a", "description": "d", "options": many }),
            &expect![[
                r#"{"options":{"_errors":[{"code":"BASE_TYPE_BAD_LENGTH","message":"Must be between 0 and 25 in length."}]}}"#
            ]],
        );
    }
}
