//! What a provider's table sends along as it is: further headers, query parameters and keys of the body, and what they may not be.

use super::settings::ProviderConfig;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use serde_json::Value;
use std::{collections::BTreeMap, fmt};

/// The keys of a provider's table that are tables with keys of anybody's choice.
pub(super) const FREE_TABLES: [&str; 3] = ["extra_headers", "extra_query", "extra_body"];

/// What is shown instead of a header's value.
const MASKED: &str = "…";

/// Headers by their names. A value may be a secret: it is neither shown nor written.
#[derive(Clone, Default)]
pub struct Headers(BTreeMap<String, SecretString>);

impl Headers {
    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Names and values, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &SecretString)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value))
    }
}

impl<N: Into<String>, V: Into<String>> FromIterator<(N, V)> for Headers {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(headers: I) -> Self {
        Self(
            headers
                .into_iter()
                .map(|(name, value)| (name.into(), SecretString::from(value.into())))
                .collect(),
        )
    }
}

impl PartialEq for Headers {
    fn eq(&self, other: &Self) -> bool {
        let exposed = |it: &Self| -> Vec<(String, String)> {
            it.iter().map(|(name, value)| (name.to_owned(), value.expose_secret().to_owned())).collect()
        };
        exposed(self) == exposed(other)
    }
}

impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl Serialize for Headers {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_map(self.0.keys().map(|name| (name, MASKED)))
    }
}

impl<'de> Deserialize<'de> for Headers {
    /// Its errors quote no value, as those of a map of text would.
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let wrong = || de::Error::custom("expected a table of names and values in quotes");
        let Value::Object(headers) = Value::deserialize(from)? else { return Err(wrong()) };
        let text = |(name, value): (String, Value)| match value {
            Value::String(value) => Ok((name, value)),
            _ => Err(wrong()),
        };
        headers.into_iter().map(text).collect()
    }
}

/// What is wrong with a provider's extras: the key, what, and what to do.
pub(super) fn problems(provider: &ProviderConfig) -> Vec<(&'static str, String, &'static str)> {
    let headers = provider.extra_headers.iter().filter_map(|(name, value)| {
        let (what, fix) = wrong_header(name, value.expose_secret())?;
        Some(("extra_headers", format!("the header `{}` {what}", shown(name)), fix))
    });
    let query = provider.extra_query.keys().filter_map(|name| {
        let (what, fix) = wrong_parameter(name)?;
        Some(("extra_query", format!("the parameter `{}` {what}", shown(name)), fix))
    });
    let body = provider.extra_body.keys().filter_map(|name| {
        let fix = wrong_body(name)?;
        Some(("extra_body", format!("`extra_body` may not set `{}`", shown(name)), fix))
    });
    headers.chain(query).chain(body).collect()
}

/// A name for a message: somebody may have put anything there.
fn shown(name: &str) -> String {
    name.chars().filter(|it| !it.is_control()).take(40).collect()
}

fn wrong_header(name: &str, value: &str) -> Option<(&'static str, &'static str)> {
    /// These say how a message travels, or what is in it; a second opinion would break it.
    const OURS: [&str; 14] = [
        "accept",
        "accept-encoding",
        "connection",
        "content-encoding",
        "content-length",
        "content-type",
        "expect",
        "host",
        "keep-alive",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "user-agent",
    ];
    let is_token = |it: char| it.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(it);
    let lower = name.to_ascii_lowercase();
    if name.is_empty() || !name.chars().all(is_token) {
        return Some((
            "has a name that no header can have",
            "Use letters, digits and `-`, such as \"X-Title\".",
        ));
    }
    if lower == "authorization" {
        return Some((
            "carries the key",
            "Use api_key_env or api_key_file; the key is then sent as this vendor wants it.",
        ));
    }
    if OURS.contains(&lower.as_str()) || lower.starts_with("proxy-") {
        return Some(("is set for every call already", "Remove it."));
    }
    if value == MASKED {
        let fix = "Write the value itself: `config show` prints this sign instead of it.";
        return Some(("has no value, only the sign that hides one", fix));
    }
    let is_visible = |it: char| it.is_ascii_graphic() || it == ' ';
    if value.is_empty() || value.trim() != value || !value.chars().all(is_visible) {
        let fix = "Use ASCII letters, digits and signs, without line breaks, and no spaces around them.";
        return Some(("has a value that no header can have", fix));
    }
    None
}

fn wrong_parameter(name: &str) -> Option<(&'static str, &'static str)> {
    const SECRETS: [&str; 8] =
        ["key", "api_key", "api-key", "apikey", "token", "access_token", "subscription-key", "secret"];
    if name.is_empty() {
        return Some(("has no name", "Give it one, such as api-version."));
    }
    // Addresses end in the logs of every proxy on the way.
    let fix = "Use api_key_env or api_key_file; the key is then sent in a header.";
    SECRETS
        .contains(&name.to_ascii_lowercase().as_str())
        .then_some(("is a key, which does not belong in an address", fix))
}

/// What to do instead of setting this key of the body, when it may not be set.
fn wrong_body(name: &str) -> Option<&'static str> {
    match name {
        "model" => Some("Use the key `model` of the provider's table."),
        "temperature" => Some("Use the key `temperature` of the provider's table."),
        "messages" | "prompt" | "input" | "contents" => Some("It is the conversation itself. Remove it."),
        "system" | "system_instruction" | "systemInstruction" | "instructions" => {
            Some("Use chat.system_prompt.")
        }
        "stream" | "n" | "best_of" | "echo" => Some("Answers are read as one stream each. Remove it."),
        "" => Some("Give it a name."),
        _ => None,
    }
}
