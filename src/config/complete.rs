//! What a provider's table leaves out.
//!
//! **The problem.** A well-known vendor needs only a name and a key: its address, dialect, prices and window are known. But what
//! is filled in must never surprise: above all, a vendor's key must not go to a host that is not the vendor's.
//!
//! **The rule.** What a table says goes before everything. What it leaves out comes from one vendor: the one that `vendor`
//! names; else the one of the provider's name, unless `base_url` leads elsewhere; else the one to whose own host `base_url`
//! leads, or, without `base_url`, whom the kind means. The key's variable, and the word that the vendor does not train on data, are
//! taken only where `base_url` is the vendor's own ([`Vendor::owns`]): elsewhere another party reads what is sent.
//!
//! **The limits.** A name alone says little when the address is another: such a table gets nothing of the vendor, and says so when
//! the vendor's key is at hand. Servers of one's own have no key, so there a name is enough wherever they are.

use super::{
    address::Address,
    local::USUAL_WINDOW,
    problem::Problem,
    secrets::Env,
    settings::{Origin, ProviderConfig, Source},
    values::Kind,
    vendors::Vendor,
};
use ::config::{Value, ValueKind};
use std::collections::BTreeSet;

/// The keys that a provider's table has, whatever their values are.
pub(super) type Said = BTreeSet<String>;

/// Which keys each table of `[[providers]]` has.
pub(super) fn said(tree: &Value) -> Vec<Said> {
    let ValueKind::Table(root) = &tree.kind else { return Vec::new() };
    let Some(ValueKind::Array(tables)) = root.get("providers").map(|it| &it.kind) else { return Vec::new() };
    let keys = |it: &Value| match &it.kind {
        ValueKind::Table(table) => Some(table.keys().cloned().collect()),
        _ => None,
    };
    tables.iter().filter_map(keys).collect()
}

/// Fills in what this table does not say; a warning when the key of its vendor was kept back.
pub(super) fn complete(
    index: usize,
    provider: &mut ProviderConfig,
    said: &Said,
    env: &Env,
) -> Option<Problem> {
    let end = provider.base_url.trim_end_matches('/').len();
    provider.base_url.truncate(end);
    let from_table = |key: &str| if said.contains(key) { Source::Table } else { Source::Usual };
    provider.sources.context_window = from_table("context_window");
    provider.sources.price = from_table("price");
    let vendor = vendor_of(provider, said);
    provider.vendor = provider.vendor.take().or_else(|| vendor.map(|it| it.name.clone()));
    let warning = key_kept_back(index, provider, vendor, said, env);
    let Some(vendor) = vendor else {
        if provider.base_url.is_empty() {
            provider.kind.default_base_url().clone_into(&mut provider.base_url);
        }
        modest_window(provider);
        return warning;
    };
    place(provider, vendor, said);
    key(provider, vendor, said, env);
    model(provider, vendor, said);
    if !said.contains("trains_on_data")
        && vendor.owns(&provider.base_url)
        && !leaves_the_machine(vendor, provider)
    {
        provider.trains_on_data = vendor.trains_on_data;
    }
    modest_window(provider);
    warning
}

/// Ollama makes room for as many tokens as it is told to: the usual window of vendors would fill the memory of most machines.
fn modest_window(provider: &mut ProviderConfig) {
    if provider.kind == Kind::Ollama && provider.sources.context_window == Source::Usual {
        provider.context_window = USUAL_WINDOW;
    }
}

/// The providers that the environment's keys make when no table names any, and a note that says which.
pub(super) fn discover(env: &Env) -> (Vec<ProviderConfig>, Vec<String>) {
    let found = |vendor: &Vendor| {
        let variable = vendor.key_env.iter().find(|it| env.get(it).is_some())?;
        vendor.default_model.as_ref()?;
        let origin = Origin::Key(variable.clone());
        let mut provider = ProviderConfig { name: vendor.name.clone(), origin, ..ProviderConfig::default() };
        complete(0, &mut provider, &Said::new(), env);
        Some(provider)
    };
    let providers: Vec<_> = Vendor::all().iter().filter_map(found).collect();
    let listed: Vec<_> =
        providers.iter().map(|it| format!("{} ({}, {})", it.name, it.api_key_env, it.model)).collect();
    let note =
        format!("no table names a provider; keys in the environment make the list: {}", listed.join(", "));
    let notes = if providers.is_empty() { Vec::new() } else { vec![note] };
    (providers, notes)
}

/// Whose entry fills this table in.
fn vendor_of(provider: &ProviderConfig, said: &Said) -> Option<&'static Vendor> {
    if let Some(name) = &provider.vendor {
        return Vendor::named(name);
    }
    let url = &provider.base_url;
    let by_name = Vendor::named(&provider.name).filter(|it| match url.is_empty() {
        true => !said.contains("kind") || it.address(provider.kind).is_some(),
        false => it.is_local() || it.owns(url),
    });
    by_name.or_else(|| if url.is_empty() { Vendor::of_kind(provider.kind) } else { Vendor::at(url) })
}

/// Dialect and address.
fn place(provider: &mut ProviderConfig, vendor: &Vendor, said: &Said) {
    if !said.contains("kind") {
        provider.kind =
            if provider.base_url.is_empty() { vendor.kind } else { vendor.kind_at(&provider.base_url) };
    }
    if provider.base_url.is_empty() {
        vendor.address(provider.kind).unwrap_or_default().clone_into(&mut provider.base_url);
    }
}

fn key(provider: &mut ProviderConfig, vendor: &Vendor, said: &Said, env: &Env) {
    let says_nothing = !said.contains("api_key_env") && provider.api_key_file.is_none();
    if says_nothing && vendor.owns(&provider.base_url) {
        let set = vendor.key_env.iter().find(|it| env.get(it).is_some());
        set.or(vendor.key_env.first()).into_iter().for_each(|it| it.clone_into(&mut provider.api_key_env));
    }
}

/// The model, and what is known of it.
fn model(provider: &mut ProviderConfig, vendor: &Vendor, said: &Said) {
    if let Some(usual) = vendor.default_model.as_ref().filter(|_| provider.model.is_empty()) {
        usual.clone_into(&mut provider.model);
        if !said.contains("extra_body") && provider.kind == vendor.kind {
            provider.extra_body = vendor.default_body.clone();
        }
    }
    let Some(known) = vendor.model(&provider.model) else { return };
    if let Some(window) = known.context_window.filter(|_| !said.contains("context_window")) {
        provider.context_window = window;
        provider.sources.context_window = Source::Vendors;
    }
    if let Some(price) = known.price.filter(|_| !said.contains("price")) {
        provider.price = Some(price);
        provider.sources.price = Source::Vendors;
    }
}

/// A local server that passes some models' questions on, as Ollama does with those of its cloud.
fn leaves_the_machine(vendor: &Vendor, provider: &ProviderConfig) -> bool {
    vendor.is_local() && provider.model.ends_with("cloud")
}

/// A key that is there, and would have been sent if the address were its vendor's.
fn key_kept_back(
    index: usize,
    provider: &ProviderConfig,
    vendor: Option<&Vendor>,
    said: &Said,
    env: &Env,
) -> Option<Problem> {
    let url = &provider.base_url;
    let vendor = vendor.or_else(|| Vendor::named(&provider.name))?;
    let variable = vendor.key_env.iter().find(|it| env.get(it).is_some())?;
    let has_key = said.contains("api_key_env") || provider.api_key_file.is_some();
    let host = Address::parse(url).ok()?.host();
    if has_key || vendor.owns(url) {
        return None;
    }
    let message =
        format!("{host} is not an address of {}, so the key in {variable} is not sent there", vendor.name);
    let fix = format!(
        "If it may know that key, write api_key_env = \"{variable}\"; if it needs none, api_key_env = \"\"."
    );
    Some(Problem::new(format!("providers[{index}].base_url"), message, fix))
}
