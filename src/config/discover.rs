//! Which providers the well-known environment keys make, when no table names any.

use super::{
    secrets::Env,
    settings::{Origin, ProviderConfig},
    values::Kind,
};

/// A key that vendors' own tools read, and the provider it makes.
struct WellKnown {
    variable: &'static str,
    name: &'static str,
    kind: Kind,
    /// What is asked for when nobody chose a model: the vendor's small one, so that a surprise costs little.
    model: &'static str,
}

/// In the order in which the providers are tried.
const WELL_KNOWN: [WellKnown; 4] = [
    WellKnown { variable: "OPENAI_API_KEY", name: "openai", kind: Kind::OpenAi, model: "gpt-4o-mini" },
    // The kinds of these two are not built yet: until they are, their keys only make a note.
    WellKnown {
        variable: "ANTHROPIC_API_KEY",
        name: "anthropic",
        kind: Kind::Anthropic,
        model: "claude-haiku-4-5",
    },
    WellKnown { variable: "GEMINI_API_KEY", name: "gemini", kind: Kind::Gemini, model: "gemini-2.5-flash" },
    // InterWest publishes no documentation: address (Kind::default_base_url) and model are the best that is known.
    WellKnown {
        variable: "INTERWEST_API_KEY",
        name: "interwest",
        kind: Kind::Completions,
        model: "interwest-1",
    },
];

/// The providers that the environment's keys make, and notes on the keys that make none.
pub(super) fn discover(env: &Env) -> (Vec<ProviderConfig>, Vec<String>) {
    let (mut providers, mut notes) = (Vec::new(), Vec::new());
    for it in WELL_KNOWN.iter().filter(|it| env.get(it.variable).is_some()) {
        if it.kind.is_built() {
            providers.push(ProviderConfig {
                name: it.name.to_owned(),
                kind: it.kind,
                base_url: it.kind.default_base_url().to_owned(),
                api_key_env: it.variable.to_owned(),
                model: it.model.to_owned(),
                origin: Origin::Environment(it.variable.to_owned()),
                ..ProviderConfig::default()
            });
        } else {
            let (variable, kind) = (it.variable, it.kind);
            notes.push(format!(
                "{variable} is set, but kind `{kind}` is not in this version yet: it makes no provider"
            ));
        }
    }
    (providers, notes)
}
