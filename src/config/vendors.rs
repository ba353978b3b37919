//! What is known of the vendors of models: the data of `vendors.toml`, and how a provider's table finds its own in it.

use super::{
    address::Address,
    values::{Kind, Price, TrainsOnData},
};
use serde::Deserialize;
use std::sync::LazyLock;

const TEXT: &str = include_str!("vendors.toml");

static TABLE: LazyLock<Table> = LazyLock::new(|| toml::from_str(TEXT).unwrap_or_default());

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    checked: String,
    vendors: Vec<Vendor>,
}

/// A vendor of models, or a server that people run themselves. `vendors.toml` says what each field means.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Vendor {
    /// What a provider's `name` or `vendor` says.
    pub name: String,
    /// The dialect that it speaks at [`Vendor::base_url`].
    pub kind: Kind,
    /// Where it answers; empty: each customer has an address of its own.
    #[serde(default)]
    pub base_url: String,
    /// Where it answers in OpenAI's dialect, when that is not its own; empty: nowhere else.
    #[serde(default)]
    openai_url: String,
    /// Further hosts of the same vendor.
    #[serde(default)]
    hosts: Vec<String>,
    /// The variables that may hold its key, the usual one first; none: it needs no key.
    #[serde(default)]
    pub key_env: Vec<String>,
    /// The header that carries the key, where the dialect's own is not the right one.
    pub key_header: Option<String>,
    /// Whether it trains on what it is sent.
    #[serde(default)]
    pub trains_on_data: TrainsOnData,
    /// The model that is asked for when nobody chose one.
    pub default_model: Option<String>,
    /// What is sent along with [`Vendor::default_model`].
    #[serde(default)]
    pub default_body: serde_json::Map<String, serde_json::Value>,
    #[serde(default)]
    models: Vec<Model>,
}

/// A model, and its dated versions.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Model {
    /// Its name at this vendor.
    pub id: String,
    /// Tokens that prompt and answer may have together.
    pub context_window: Option<u32>,
    /// US dollars.
    pub price: Option<Price>,
}

impl Vendor {
    /// Every vendor, in the order in which those that are found by their keys are tried.
    #[must_use]
    pub fn all() -> &'static [Self] {
        &TABLE.vendors
    }

    /// The day on which the table was checked: `YYYY-MM-DD`.
    #[must_use]
    pub fn checked() -> &'static str {
        &TABLE.checked
    }

    /// The vendor of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<&'static Self> {
        Self::all().iter().find(|it| it.name == name)
    }

    /// The vendor that a kind means when a table says nothing else.
    pub(super) fn of_kind(kind: Kind) -> Option<&'static Self> {
        Self::named(match kind {
            Kind::OpenAi | Kind::OpenAiResponses => "openai",
            Kind::Anthropic => "anthropic",
            Kind::Gemini => "gemini",
            Kind::Completions => "interwest",
            Kind::Ollama => "ollama",
        })
    }

    /// The vendor to whose own host this address leads. A server of one's own has no such host: what answers at its port
    /// may be anything.
    pub(super) fn at(address: &str) -> Option<&'static Self> {
        Self::all().iter().find(|it| !it.is_local() && it.owns(address))
    }

    /// The server of one's own that usually listens at this port.
    pub(super) fn usual_at(port: u16) -> Option<&'static Self> {
        let is_there = |it: &&Self| Address::parse(&it.base_url).is_ok_and(|own| own.port == port);
        Self::all().iter().filter(|it| it.is_local()).find(is_there)
    }

    /// Whether people run it themselves.
    #[must_use]
    pub fn is_local(&self) -> bool {
        self.key_env.is_empty()
    }

    /// Whether what is sent to this address reaches this vendor and nobody else: then its key may go there.
    #[must_use]
    pub fn owns(&self, address: &str) -> bool {
        let Ok(there) = Address::parse(address) else { return false };
        if self.is_local() {
            return there.is_private();
        }
        self.hosts.iter().any(|host| there.is_of(host))
            || Address::parse(&self.base_url).is_ok_and(|own| there.is_at(&own))
    }

    /// Where it answers in this dialect, if it does.
    pub(super) fn address(&self, kind: Kind) -> Option<&str> {
        let address = match (kind, self.kind) {
            (kind, own) if kind == own => &self.base_url,
            (Kind::OpenAiResponses, Kind::OpenAi) => &self.base_url,
            (Kind::OpenAi, _) => &self.openai_url,
            _ => return None,
        };
        Some(address.as_str()).filter(|it| !it.is_empty())
    }

    /// The dialect that it most likely speaks at this address: its own where the path ends as that of its own address does.
    pub(super) fn kind_at(&self, address: &str) -> Kind {
        let path = |it| Address::parse(it).map_or("", |it| it.path);
        let (own, there) = (path(&self.base_url), path(address));
        let is_own = if own.is_empty() { there.is_empty() } else { there.ends_with(own) };
        if is_own { self.kind } else { Kind::OpenAi }
    }

    /// What is known of this model: of the one with the longest name that this is, or is a version of.
    #[must_use]
    pub fn model(&self, name: &str) -> Option<&Model> {
        let known = self.models.iter().filter(|it| name.strip_prefix(it.id.as_str()).is_some_and(is_version));
        known.max_by_key(|it| it.id.len())
    }
}

/// Whether this is all that tells a version of a model from the model: a date, a number of several digits, `latest`,
/// `preview`. `gpt-4o-mini` is no version of `gpt-4o`, nor `claude-opus-4-5` of `claude-opus-4`: they have other prices.
fn is_version(rest: &str) -> bool {
    let Some(parts) = rest.strip_prefix(['-', '@']) else { return rest.is_empty() };
    parts.split('-').all(|part| {
        matches!(part, "latest" | "preview")
            || (part.len() >= 2 && part.bytes().all(|it| it.is_ascii_digit()))
    })
}

#[cfg(test)]
mod tests {
    use super::{Address, Kind, TABLE, TEXT, Table, Vendor};
    use crate::config::secrets::is_variable_name;
    use std::collections::BTreeSet;

    #[test]
    fn the_table_is_in_order() {
        let table: Table = toml::from_str(TEXT).unwrap();
        assert!(table.checked.len() == 10 && table.vendors.len() >= 20, "{}", table.checked);
        let mut names = BTreeSet::new();
        for vendor in &table.vendors {
            let name = &vendor.name;
            assert!(names.insert(name), "{name} twice");
            for url in [&vendor.base_url, &vendor.openai_url].into_iter().filter(|it| !it.is_empty()) {
                let address = Address::parse(url).unwrap_or_else(|why| panic!("{name}: {why}"));
                assert!(vendor.owns(url) && !url.ends_with('/'), "{name}");
                assert_eq!(url.starts_with("http://"), vendor.is_local(), "{name}: a key needs TLS");
                assert_eq!(address.is_private(), vendor.is_local(), "{name}");
            }
            assert!(!vendor.base_url.is_empty() || !vendor.hosts.is_empty(), "{name} is nowhere");
            assert!(
                vendor.hosts.iter().all(|it| *it == it.to_lowercase() && it.matches('.').count() > 1),
                "{name}"
            );
            assert!(vendor.key_env.iter().all(|it| is_variable_name(it)), "{name}");
            assert!(vendor.default_body.is_empty() || vendor.default_model.is_some(), "{name}");
            if let Some(model) = vendor.default_model.as_deref().filter(|_| name != "interwest") {
                let cost =
                    vendor.model(model).and_then(|it| it.price).unwrap_or_else(|| panic!("{name}: {model}"));
                assert!(cost.output <= 5.0, "{name}: {model} is not the small one");
            }
            let ids: BTreeSet<_> = vendor.models.iter().map(|it| &it.id).collect();
            assert_eq!(ids.len(), vendor.models.len(), "{name} has a model twice");
            for model in &vendor.models {
                let fits = |it: f64| (0.01..=100.0).contains(&it);
                assert!(
                    model.price.is_none_or(|it| fits(it.input) && fits(it.output) && it.input <= it.output),
                    "{model:?}"
                );
                assert!(model.context_window.is_none_or(|it| (4096..=10_000_000).contains(&it)), "{model:?}");
            }
        }
    }

    #[test]
    fn each_kind_has_the_vendor_whose_address_it_defaults_to() {
        for kind in Kind::ALL {
            let address = Vendor::of_kind(*kind).and_then(|it| it.address(*kind));
            assert_eq!(address, Some(kind.default_base_url()), "{kind}");
        }
    }

    #[test]
    fn a_key_is_of_one_vendor_only() {
        let mut variables = BTreeSet::new();
        assert!(TABLE.vendors.iter().flat_map(|it| &it.key_env).all(|it| variables.insert(it)));
    }

    #[test]
    fn a_version_has_its_models_price_and_a_sibling_has_not() {
        let model = |vendor: &str, name: &str| {
            Vendor::named(vendor).unwrap().model(name).map_or("none", |it| it.id.as_str()).to_owned()
        };
        for (vendor, name, found) in [
            ("openai", "gpt-4o-mini-2024-07-18", "gpt-4o-mini"),
            ("openai", "gpt-4o-2024-11-20", "gpt-4o"),
            ("openai", "gpt-4o", "gpt-4o"),
            ("openai", "gpt-4o-audio-preview", "none"),
            ("openai", "gpt-4", "none"),
            ("anthropic", "claude-haiku-4-5-20251001", "claude-haiku-4-5"),
            ("anthropic", "claude-opus-5-5", "claude-opus-5-5"),
            ("anthropic", "claude-opus-5-7", "none"),
            ("mistral", "mistral-small-latest", "mistral-small"),
            ("mistral", "mistral-large-4-0", "mistral-large-4-0"),
            ("cohere", "command-r7b-12-2024", "command-r7b"),
            ("openrouter", "openai/gpt-6-luna:free", "none"),
        ] {
            assert_eq!(model(vendor, name), found, "{name}");
        }
    }

    #[test]
    fn the_dialect_follows_the_address() {
        let kind = |vendor: &str, url: &str| Vendor::named(vendor).unwrap().kind_at(url);
        assert_eq!(kind("gemini", "https://generativelanguage.googleapis.com/v1beta"), Kind::Gemini);
        assert_eq!(kind("gemini", "https://generativelanguage.googleapis.com/v1beta/openai/"), Kind::OpenAi);
        assert_eq!(kind("ollama", "http://box:11434"), Kind::Ollama);
        assert_eq!(kind("ollama", "http://box:11434/v1"), Kind::OpenAi);
        assert_eq!(kind("anthropic", "https://proxy.example.org/anthropic/v1"), Kind::Anthropic);
    }
}
