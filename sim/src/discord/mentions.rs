//! Which mentions a text has, and which of them `allowed_mentions` lets through (pure).

use super::errors::Fail;
use serde_json::Value;

/// The mentions of a text, each once, in order; code is not looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) users: Vec<u64>,
    pub(crate) roles: Vec<u64>,
    pub(crate) everyone: bool,
    pub(crate) here: bool,
}

/// Finds the mentions of `text`.
pub(crate) fn find(text: &str) -> Found {
    let mut found = Found::default();
    for piece in outside_code(text) {
        found.everyone |= piece.contains("@everyone");
        found.here |= piece.contains("@here");
        for rest in piece.split("<@").skip(1) {
            let Some((inside, _)) = rest.split_once('>') else { continue };
            let (list, digits) = match inside.strip_prefix('&') {
                Some(digits) => (&mut found.roles, digits),
                None => (&mut found.users, inside.strip_prefix('!').unwrap_or(inside)),
            };
            if let Ok(id) = digits.parse()
                && !list.contains(&id)
            {
                list.push(id);
            }
        }
    }
    found
}

/// The parts of `text` that are in no code span and no code block. A run of backticks that is not closed is text.
fn outside_code(text: &str) -> Vec<&str> {
    let (mut parts, mut rest) = (Vec::new(), text);
    while let Some(start) = rest.find('`') {
        let ticks = rest[start..].bytes().take_while(|it| *it == b'`').count();
        let marker = &rest[start..start + ticks];
        let Some(end) = rest[start + ticks..].find(marker) else { break };
        parts.push(&rest[..start]);
        rest = &rest[start + ticks + end + ticks..];
    }
    parts.push(rest);
    parts
}

/// One kind of mention that is let through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Which {
    All,
    Only(Vec<u64>),
}

impl Which {
    pub(crate) fn has(&self, id: u64) -> bool {
        match self {
            Self::All => true,
            Self::Only(ids) => ids.contains(&id),
        }
    }
}

/// `allowed_mentions`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Allowed {
    pub(crate) users: Which,
    pub(crate) roles: Which,
    pub(crate) everyone: bool,
    pub(crate) replied_user: bool,
}

impl Allowed {
    /// What holds when nothing is said: everything is parsed. That is what makes bots ping whole servers.
    pub(crate) fn all() -> Self {
        Self { users: Which::All, roles: Which::All, everyone: true, replied_user: true }
    }

    /// Reads the object; none or null is [`Allowed::all`].
    pub(crate) fn read(value: Option<&Value>) -> Result<Self, Fail> {
        let Some(Value::Object(map)) = value else { return Ok(Self::all()) };
        let parse: Vec<&str> = map
            .get("parse")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        if let Some(odd) = parse.iter().find(|it| !["users", "roles", "everyone"].contains(it)) {
            return Err(Fail::choice("allowed_mentions.parse.0", odd));
        }
        let which = |key: &str| {
            let ids: Vec<u64> =
                map.get(key).and_then(Value::as_array).into_iter().flatten().filter_map(id_of).collect();
            match (parse.contains(&key), ids.is_empty()) {
                (true, false) => Err(Fail::form(
                    "allowed_mentions",
                    "MESSAGE_ALLOWED_MENTIONS_PARSE_EXCLUSIVE",
                    &format!("parse:[\"{key}\"] and {key}: [ids...] are mutually exclusive."),
                )),
                (true, true) => Ok(Which::All),
                (false, _) if ids.len() > 100 => Err(Fail::too_long(&format!("allowed_mentions.{key}"), 100)),
                (false, _) => Ok(Which::Only(ids)),
            }
        };
        Ok(Self {
            users: which("users")?,
            roles: which("roles")?,
            everyone: parse.contains(&"everyone"),
            replied_user: map.get("replied_user").and_then(Value::as_bool).unwrap_or(false),
        })
    }
}

/// An id as Discord writes and takes it: a string or a number.
pub(crate) fn id_of(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_str()?.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};
    use serde_json::json;

    fn check(text: &str, expect: &Expect) {
        let it = find(text);
        expect.assert_eq(&format!(
            "users {:?} roles {:?} everyone {} here {}",
            it.users, it.roles, it.everyone, it.here
        ));
    }

    #[test]
    fn mentions_in_code_do_not_count() {
        check(
            "hi <@1> <@!2> <@&3> @everyone <@1>",
            &expect!["users [1, 2] roles [3] everyone true here false"],
        );
        check(
            "`<@1>` and ```\n@everyone <@2>\n``` then @here",
            &expect!["users [] roles [] everyone false here true"],
        );
        check("an open ` is text: <@1>", &expect!["users [1] roles [] everyone false here false"]);
    }

    #[test]
    fn allowed_mentions_default_to_everything_and_an_object_to_nothing() {
        assert_eq!(Allowed::read(None).unwrap(), Allowed::all());
        let none = Allowed::read(Some(&json!({}))).unwrap();
        assert!(!none.everyone && !none.replied_user && !none.users.has(1));
        assert!(Allowed::read(Some(&json!({ "users": ["1"] }))).unwrap().users.has(1));
        let both = Allowed::read(Some(&json!({ "parse": ["users"], "users": ["1"] })));
        assert_eq!(both.unwrap_err().code, 50_035);
    }
}
