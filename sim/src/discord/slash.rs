//! What somebody types after a slash, read against the commands that are registered (pure).

use super::Refused;
use serde_json::{Value, json};

/// A line that fits a command: the options as Discord sends them.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Typed {
    pub(crate) options: Vec<Value>,
}

/// Turns a word into a user, channel or role: the option's type, and what was typed.
pub(crate) type Resolve<'a> = &'a dyn Fn(u64, &str) -> Option<u64>;

/// Reads `words` (what follows the command's name) against a command. With `focused`, the last value is still being typed:
/// it is marked as such, and nothing is required any more.
pub(crate) fn read(
    command: &Value,
    words: &str,
    focused: bool,
    resolve: Resolve<'_>,
) -> Result<Typed, Refused> {
    let declared = command["options"].as_array().map_or(&[][..], Vec::as_slice);
    Ok(Typed { options: level(declared, words.trim(), focused, resolve)? })
}

fn level(
    declared: &[Value],
    words: &str,
    focused: bool,
    resolve: Resolve<'_>,
) -> Result<Vec<Value>, Refused> {
    let nested = declared.iter().any(|it| it["type"].as_u64().is_some_and(|it| it <= 2));
    if !nested {
        return values(declared, words, focused, resolve);
    }
    let (name, rest) = words.split_once(char::is_whitespace).unwrap_or((words, ""));
    let Some(sub) = declared.iter().find(|it| it["name"] == name) else {
        let known: Vec<&str> = declared.iter().filter_map(|it| it["name"].as_str()).collect();
        return Err(Refused(format!("no subcommand '{name}'; there is {}", known.join(", "))));
    };
    let inner = sub["options"].as_array().map_or(&[][..], Vec::as_slice);
    let options = level(inner, rest.trim(), focused, resolve)?;
    Ok(vec![json!({ "name": name, "type": sub["type"], "options": options })])
}

fn name_of(option: &Value) -> &str {
    option["name"].as_str().unwrap_or_default()
}

/// `name:value` words and plain ones. Plain words fill the options that are left in their order, one each; the last
/// required one takes all that remain (so does the last one, where none is required).
fn values(
    declared: &[Value],
    words: &str,
    focused: bool,
    resolve: Resolve<'_>,
) -> Result<Vec<Value>, Refused> {
    let mut given: Vec<(usize, String)> = Vec::new();
    let mut plain: Vec<&str> = Vec::new();
    for word in split(words) {
        let named = word
            .split_once(':')
            .and_then(|(name, value)| Some((declared.iter().position(|it| name_of(it) == name)?, value)));
        match (named, given.last_mut()) {
            (Some((at, value)), _) => given.push((at, unquoted(value).into())),
            // What follows a named value goes on with it.
            (None, Some((_, value))) => {
                value.push(' ');
                value.push_str(unquoted(word));
            }
            (None, None) => plain.push(word),
        }
    }
    let named = given.last().map(|it| it.0);
    let left: Vec<usize> = (0..declared.len()).filter(|at| given.iter().all(|it| it.0 != *at)).collect();
    let required: Vec<usize> = left.iter().copied().filter(|at| declared[*at]["required"] == true).collect();
    let takers = if required.is_empty() { left } else { required };
    let mut plain = plain.into_iter().peekable();
    for (nth, at) in takers.iter().enumerate() {
        if plain.peek().is_none() {
            break;
        }
        let last = nth + 1 == takers.len();
        let take = if last { usize::MAX } else { 1 };
        let value: Vec<&str> = plain.by_ref().take(take).map(unquoted).collect();
        given.push((*at, value.join(" ")));
    }
    if let Some(word) = plain.next() {
        return Err(Refused(format!("'{word}' fits no option")));
    }
    if let Some(missing) = declared
        .iter()
        .enumerate()
        .find(|(at, it)| !focused && it["required"] == true && given.iter().all(|g| g.0 != *at))
    {
        return Err(Refused(format!("the option '{}' is required", name_of(missing.1))));
    }
    let focus = named.or_else(|| given.last().map(|it| it.0)).filter(|_| focused);
    given.sort_by_key(|it| it.0);
    given.iter().map(|(at, text)| option(&declared[*at], text, focus == Some(*at), resolve)).collect()
}

/// Words at white space; double quotes hold some together.
fn split(words: &str) -> Vec<&str> {
    let (mut found, mut start, mut quoted) = (Vec::new(), None, false);
    for (at, it) in words.char_indices() {
        if it == '"' {
            quoted = !quoted;
        }
        match (it.is_whitespace() && !quoted, start) {
            (true, Some(from)) => {
                found.push(&words[from..at]);
                start = None;
            }
            (false, None) => start = Some(at),
            _ => {}
        }
    }
    found.extend(start.map(|from| &words[from..]));
    found
}

fn unquoted(word: &str) -> &str {
    word.strip_prefix('"').and_then(|it| it.strip_suffix('"')).unwrap_or(word)
}

/// One option with its value in its type, checked as Discord's client checks it.
fn option(declared: &Value, text: &str, focused: bool, resolve: Resolve<'_>) -> Result<Value, Refused> {
    let name = name_of(declared);
    let kind = declared["type"].as_u64().unwrap_or(3);
    if focused {
        return Ok(json!({ "name": name, "type": kind, "value": text, "focused": true }));
    }
    let refuse = |why: &str| Refused(format!("'{text}' for '{name}': {why}"));
    let choices = declared["choices"].as_array().map_or(&[][..], Vec::as_slice);
    let value = if choices.is_empty() {
        typed(kind, text, resolve).ok_or_else(|| refuse("not of the option's type"))?
    } else {
        let same = |it: &&Value| {
            it["name"] == text
                || it["value"] == text
                || text.parse::<i64>().is_ok_and(|number| it["value"] == number)
        };
        choices.iter().find(same).ok_or_else(|| refuse("not one of the choices"))?["value"].clone()
    };
    let length = text.chars().count() as u64;
    let (least, most) = (declared["min_length"].as_u64(), declared["max_length"].as_u64());
    if kind == 3 && (least.is_some_and(|it| length < it) || most.is_some_and(|it| length > it)) {
        return Err(refuse("too short or too long"));
    }
    let (low, high) = (declared["min_value"].as_f64(), declared["max_value"].as_f64());
    if let Some(number) = value.as_f64()
        && (low.is_some_and(|it| number < it) || high.is_some_and(|it| number > it))
    {
        return Err(refuse("too small or too large"));
    }
    Ok(json!({ "name": name, "type": kind, "value": value }))
}

fn typed(kind: u64, text: &str, resolve: Resolve<'_>) -> Option<Value> {
    match kind {
        4 => text.parse::<i64>().ok().map(Value::from),
        5 => match text.to_lowercase().as_str() {
            "true" | "yes" => Some(true.into()),
            "false" | "no" => Some(false.into()),
            _ => None,
        },
        6..=9 => resolve(kind, text.trim_start_matches(['@', '#'])).map(|it| it.to_string().into()),
        10 => text.parse::<f64>().ok().map(Value::from),
        _ => Some(text.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};

    fn provider() -> Value {
        let text = |name: &str, required: bool| json!({ "type": 3, "name": name, "required": required });
        let mut wheres = text("where", false);
        wheres["choices"] =
            json!([{ "name": "channel", "value": "channel" }, { "name": "server", "value": "server" }]);
        json!({ "options": [
            { "type": 1, "name": "use", "options": [text("name", true), wheres, text("for", false), { "type": 5, "name": "strict" }] },
            { "type": 1, "name": "list" },
        ] })
    }

    fn check(command: &Value, words: &str, expect: &Expect) {
        let typed = read(command, words, false, &|_, _| None);
        expect.assert_eq(&typed.map_or_else(|it| it.0, |it| json!(it.options).to_string()));
    }

    #[test]
    fn lines_are_read_against_the_command() {
        let it = provider();
        check(
            &it,
            "use beta where:server strict:true",
            &expect![[
                r#"[{"name":"use","options":[{"name":"name","type":3,"value":"beta"},{"name":"where","type":3,"value":"server"},{"name":"strict","type":5,"value":true}],"type":1}]"#
            ]],
        );
        check(&it, "list", &expect![[r#"[{"name":"list","options":[],"type":1}]"#]]);
        check(&it, "use", &expect!["the option 'name' is required"]);
        check(&it, "use beta where:moon", &expect!["'moon' for 'where': not one of the choices"]);
        check(&it, "drop", &expect!["no subcommand 'drop'; there is use, list"]);
        check(&it, "list now", &expect!["'now' fits no option"]);
    }

    #[test]
    fn the_last_required_option_takes_the_rest() {
        let ask = json!({ "options": [{ "type": 3, "name": "prompt", "required": true }, { "type": 3, "name": "provider" }] });
        check(
            &ask,
            "what is: a crate? provider:beta",
            &expect![[
                r#"[{"name":"prompt","type":3,"value":"what is: a crate?"},{"name":"provider","type":3,"value":"beta"}]"#
            ]],
        );
        let stats = json!({ "options": [{ "type": 3, "name": "window" }] });
        check(&stats, "24h", &expect![[r#"[{"name":"window","type":3,"value":"24h"}]"#]]);
        check(&stats, "", &expect!["[]"]);
    }
}
