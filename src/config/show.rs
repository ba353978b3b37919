//! The effective configuration as TOML, for `neverdark config show`.

use super::settings::Config;
use serde::{Deserialize, Deserializer, Serialize, de};
use serde_json::Value as Json;
use std::{fmt, fmt::Write as _};

/// Writes every setting as TOML that loads as the same configuration.
///
/// No secret is in it: settings only name where secrets are, and the values of `extra_headers` are masked (so that these have
/// to be written again). A provider that was found in the environment becomes a table like the others.
#[must_use]
pub fn effective_toml(config: &Config) -> String {
    let mut out = String::new();
    section(&mut out, "[discord]", &config.discord);
    section(&mut out, "[chat]", &config.chat);
    section(&mut out, "[limits]", &config.limits);
    section(&mut out, "[router]", &config.router);
    for provider in &config.providers {
        section(&mut out, "[[providers]]", provider);
    }
    section(&mut out, "[store]", &config.store);
    section(&mut out, "[status]", &config.status);
    section(&mut out, "[api]", &config.api);
    section(&mut out, "[log]", &config.log);
    out
}

fn section(out: &mut String, header: &str, section: &impl Serialize) {
    if !out.is_empty() {
        out.push('\n');
    }
    out.push_str(header);
    out.push('\n');
    for (key, value) in pairs(section).0 {
        if !value.is_null() {
            // Writing to a String cannot fail.
            let _ = writeln!(out, "{key} = {}", inline(&value));
        }
    }
}

/// A value as TOML on one line.
pub(super) fn inline(value: &Json) -> String {
    match value {
        Json::Null => "\"\"".to_owned(),
        Json::Bool(it) => it.to_string(),
        Json::Number(it) => it.to_string(),
        // JSON's escapes are TOML's, but JSON leaves DEL as it is and TOML forbids it.
        Json::String(_) => value.to_string().replace('\u{7f}', "\\u007f"),
        Json::Array(items) => format!("[{}]", items.iter().map(inline).collect::<Vec<_>>().join(", ")),
        Json::Object(keys) => {
            let pair = |(name, value): (&String, &Json)| format!("{} = {}", key(name), inline(value));
            format!("{{ {} }}", keys.iter().map(pair).collect::<Vec<_>>().join(", "))
        }
    }
}

/// A key, in quotes where TOML wants them.
fn key(name: &str) -> String {
    let is_bare = |it: char| it.is_ascii_alphanumeric() || "_-".contains(it);
    if !name.is_empty() && name.chars().all(is_bare) { name.to_owned() } else { inline(&Json::from(name)) }
}

/// A section's keys in the order of its struct, which a JSON map would lose.
struct Pairs(Vec<(String, Json)>);

fn pairs(section: &impl Serialize) -> Pairs {
    let text = serde_json::to_string(section).unwrap_or_default();
    serde_json::from_str(&text).unwrap_or(Pairs(Vec::new()))
}

impl<'de> Deserialize<'de> for Pairs {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Reader;

        impl<'de> de::Visitor<'de> for Reader {
            type Value = Pairs;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a table")
            }

            fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<Pairs, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Pairs(pairs))
            }
        }
        from.deserialize_map(Reader)
    }
}
