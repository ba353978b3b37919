//! The providers as JSON, for programs; `docs/providers.md` documents the fields.

use super::{Now, Report, Seen};
use crate::config::{Origin, ProviderConfig, Vendor};
use serde_json::{Value, json};

impl Report<'_> {
    pub(super) fn json(&self) -> Value {
        let providers: Vec<_> = self.providers.iter().map(|it| it.json(self.names_models)).collect();
        json!({"providers": providers, "vendors_checked": Vendor::checked(), "notes": self.notes})
    }
}

impl Seen<'_> {
    fn json(&self, names_models: bool) -> Value {
        let ProviderConfig { name, kind, vendor, model, base_url, api_key_env, api_key_file, .. } =
            self.provider;
        let ProviderConfig { context_window, price, trains_on_data, sources, origin, .. } = self.provider;
        let (place, at) = match origin {
            Origin::Table(at) => ("table", at),
            Origin::Variables(at) => ("variables", at),
            Origin::Key(at) => ("key", at),
            Origin::LocalServer(at) => ("local_server", at),
        };
        let (ready, failure, problem) = match &self.now {
            Now::NotAsked => (None, None, None),
            Now::Unfit(why) => (Some(false), None, Some(why.clone())),
            Now::Asked(health) => {
                let failure = health.failure();
                (Some(failure.is_none()), failure.map(|it| it.as_str()), health.problem())
            }
        };
        json!({
            "name": name, "kind": kind, "vendor": vendor, "base_url": base_url, "model": model,
            "found": {"in": place, "at": at},
            "key": {
                "variable": Some(api_key_env).filter(|it| !it.is_empty()),
                "file": api_key_file,
                "is_set": self.has_key,
            },
            "context_window": context_window, "context_window_from": sources.context_window,
            "price": price, "price_from": price.map(|_| sources.price),
            "trains_on_data": trains_on_data,
            "models": self.models_json(names_models),
            "ready": ready, "failure": failure, "problem": problem,
            "rest": self.rest.as_ref().map(|it| json!({"until": it.until.0, "why": it.why.as_str()})),
        })
    }

    fn models_json(&self, names_models: bool) -> Option<Value> {
        let models = self.models.as_ref()?;
        let named = || -> Vec<_> {
            models.iter().map(|it| json!({"id": it.id, "context_window": it.context_window})).collect()
        };
        Some(json!({
            "count": models.len(),
            "has_model": self.listed().is_some(),
            "near": self.near(),
            "context_window": self.listed().and_then(|it| it.context_window),
            "all": names_models.then(named),
        }))
    }
}
