//! Servers of one's own that are looked for: where, in which dialect, and what is believed of one that answers.
//!
//! **The problem.** Who has a model running on this machine should get an answer with nothing configured. But ports say little: any
//! program may have 8080, and what a server does not say of its model has to be guessed.
//!
//! **The rule.** Only when no table names a provider, the addresses of `router.local_servers` are asked for their models. A
//! port tells the dialect: 11434 is Ollama's, the others speak OpenAI's; elsewhere both are tried. One that answers becomes a
//! provider behind those whose keys were found. Its window is the one that its list says, else a modest one. It gets a minute for
//! its first word and a whole turn for its answer, where the router's limits are the usual ones: Ollama loads a model only when
//! it is asked, and a machine without a graphics card reads some hundred tokens a second.
//!
//! **The limits.** Our own router API is not taken for a provider, so that no question goes round in a circle; another
//! Neverdark's is.

use super::{
    address::Address,
    settings::{Config, Origin, ProviderConfig, RouterConfig, Source, Sources},
    values::{Kind, TrainsOnData},
    vendors::Vendor,
};
use std::time::Duration;

/// Tokens of prompt and answer, where the server does not say: what small models have, and small machines have memory for.
/// Ollama makes its window as large as it is told to.
pub(super) const USUAL_WINDOW: u32 = 8192;
/// For the first text of a local model.
const FIRST_TOKEN: Duration = Duration::from_secs(60);
/// What one is called whose port is nobody's.
const NAMELESS: &str = "local";

/// Where a server of one's own may be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalServer {
    /// Scheme, host and port.
    pub address: String,
    vendor: Option<&'static str>,
    is_private: bool,
}

impl Config {
    /// Whether no table names a provider, so that those who are found make the list.
    #[must_use]
    pub fn finds_providers(&self) -> bool {
        self.providers.iter().all(|it| matches!(it.origin, Origin::Key(_) | Origin::LocalServer(_)))
    }

    /// Where local servers are looked for; nowhere when a table names a provider.
    #[must_use]
    pub fn local_servers(&self) -> Vec<LocalServer> {
        let mut servers: Vec<LocalServer> = Vec::new();
        for text in self.router.local_servers.iter().filter(|_| self.finds_providers()) {
            let text = text.trim_end_matches('/');
            let Ok(address) = Address::parse(text) else { continue };
            let own_port = self.api.listen.map(|it| it.port());
            let is_own_api = own_port == Some(address.port) && address.is_loopback();
            if !is_own_api && servers.iter().all(|it| it.address != text) {
                servers.push(LocalServer {
                    address: text.to_owned(),
                    vendor: Vendor::usual_at(address.port).map(|it| it.name.as_str()),
                    is_private: address.is_private(),
                });
            }
        }
        servers
    }

    /// Whether a local server that is found may get this name.
    pub(super) fn may_find(&self, name: &str) -> bool {
        let is_number = |it: &str| !it.is_empty() && it.bytes().all(|it| it.is_ascii_digit());
        let bare = name.rsplit_once('-').filter(|(_, number)| is_number(number)).map_or(name, |(it, _)| it);
        let is_name = |it: &LocalServer| it.name() == bare;
        self.finds_providers() && self.local_servers().iter().any(is_name)
    }
}

impl LocalServer {
    fn name(&self) -> &'static str {
        self.vendor.unwrap_or(NAMELESS)
    }

    /// The dialects that may be spoken there, the likeliest first, each with its base address.
    #[must_use]
    pub fn dialects(&self) -> Vec<(Kind, String)> {
        let openai = (Kind::OpenAi, format!("{}/v1", self.address));
        let ollama = (Kind::Ollama, self.address.clone());
        match self.vendor.and_then(Vendor::named) {
            Some(vendor) if vendor.kind == Kind::Ollama => vec![ollama],
            Some(_) => vec![openai],
            None => vec![openai, ollama],
        }
    }

    /// The provider that this server is, beside those that the configuration has: in one of its dialects, with a model that it
    /// lists, and the window that the list gives it.
    #[must_use]
    pub fn provider(
        &self,
        (kind, base_url): (Kind, String),
        model: &str,
        window: Option<u32>,
        config: &Config,
    ) -> ProviderConfig {
        let is_free = |name: &String| config.providers.iter().all(|it| it.name != *name);
        let names = (1_u32..).map(|it| match it {
            1 => self.name().to_owned(),
            _ => format!("{}-{it}", self.name()),
        });
        let (usual, router) = (RouterConfig::default(), &config.router);
        let is_usual = |limit: fn(&RouterConfig) -> Duration| limit(router) == limit(&usual);
        ProviderConfig {
            name: names.into_iter().find(is_free).unwrap_or_default(),
            vendor: self.vendor.map(str::to_owned),
            kind,
            base_url,
            model: model.to_owned(),
            context_window: window.unwrap_or(USUAL_WINDOW),
            trains_on_data: if self.is_private { TrainsOnData::No } else { TrainsOnData::Unknown },
            first_token_timeout: is_usual(|it| it.first_token_timeout).then_some(FIRST_TOKEN),
            attempt_timeout: is_usual(|it| it.attempt_timeout).then_some(router.turn_timeout),
            origin: Origin::LocalServer(self.address.clone()),
            sources: Sources {
                context_window: if window.is_some() { Source::Server } else { Source::Usual },
                price: Source::Usual,
            },
            ..ProviderConfig::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Env, assemble};
    use super::*;
    use expect_test::{Expect, expect};
    use std::{fmt::Write as _, path::Path};

    fn config(toml: &str, env: &[(&str, &str)]) -> Config {
        let env: Env = env.iter().copied().collect();
        assemble(Some((Path::new("bot.toml"), toml)), &env).unwrap().config
    }

    /// What is asked where, and what becomes of it when everybody answers in the first dialect.
    fn check(toml: &str, env: &[(&str, &str)], window: Option<u32>, expect: &Expect) {
        let (mut config, mut said) = (config(toml, env), String::new());
        for server in config.local_servers() {
            let dialects = server.dialects();
            let urls: Vec<_> = dialects.iter().map(|(kind, url)| format!("{kind} {url}")).collect();
            let it = server.provider(dialects[0].clone(), "m", window, &config);
            let trains = format!("{:?}", it.trains_on_data).to_lowercase();
            let limits = it.time_limits(&config.router);
            writeln!(
                said,
                "{}: {}, window {}, trains: {trains}, {:?} {:?}",
                urls.join(" or "),
                it.name,
                it.context_window,
                limits.first_token,
                limits.attempt
            )
            .unwrap();
            config.providers.push(it);
        }
        assert!(config.finds_providers() || said.is_empty());
        expect.assert_eq(&said);
    }

    #[test]
    fn ports_tell_who_it_is() {
        check(
            "",
            &[("OPENAI_API_KEY", "k")],
            None,
            &expect![[r#"
            ollama http://127.0.0.1:11434: ollama, window 8192, trains: no, 60s 90s
            openai http://127.0.0.1:8080/v1: llamacpp, window 8192, trains: no, 60s 90s
            openai http://127.0.0.1:1234/v1: lmstudio, window 8192, trains: no, 60s 90s
            openai http://127.0.0.1:8000/v1: vllm, window 8192, trains: no, 60s 90s
        "#]],
        );
        let toml = "[router]\nlocal_servers = [\"http://localhost:11434/\", \"http://gpu.lan:11434\", \"http://localhost:11434\",\
                    \"http://gpu.lan:5000\", \"https://models.example.org\"]\nfirst_token_timeout = \"20s\"\nturn_timeout = \"3m\"";
        check(
            toml,
            &[],
            Some(4096),
            &expect![[r#"
            ollama http://localhost:11434: ollama, window 4096, trains: no, 20s 180s
            ollama http://gpu.lan:11434: ollama-2, window 4096, trains: no, 20s 180s
            openai http://gpu.lan:5000/v1 or ollama http://gpu.lan:5000: local, window 4096, trains: no, 20s 180s
            openai https://models.example.org/v1 or ollama https://models.example.org: local-2, window 4096, trains: unknown, 20s 180s
        "#]],
        );
    }

    #[test]
    fn nobody_is_asked_who_was_not_meant() {
        check("[router]\nlocal_servers = []", &[], None, &expect![""]);
        check("[[providers]]\nname = \"groq\"\n", &[], None, &expect![""]);
        check("", &[("NEVERDARK__PROVIDERS__0__NAME", "groq")], None, &expect![""]);
        let own = "[api]\nlisten = \"127.0.0.1:8080\"\n[router]\nlocal_servers = [\"http://localhost:8080\", \"http://gpu.lan:8080\"]";
        check(
            own,
            &[],
            None,
            &expect![[r#"
            openai http://gpu.lan:8080/v1: llamacpp, window 8192, trains: no, 60s 90s
        "#]],
        );
    }

    #[test]
    fn their_names_may_be_put_in_order() {
        let order = |names: &str| {
            let toml = format!("[router]\norder = [{names}]");
            assemble(Some((Path::new("bot.toml"), &toml)), &[("GROQ_API_KEY", "k")].into_iter().collect())
                .map_or_else(|it| it.0[0].message.clone(), |_| "fine".to_owned())
        };
        assert_eq!(order(r#""ollama", "groq", "llamacpp-2""#), "fine");
        expect!["`router.order` names `local`, and there is no such provider"]
            .assert_eq(&order(r#""local""#));
        expect!["`router.order` names `ollama-x`, and there is no such provider"]
            .assert_eq(&order(r#""ollama-x""#));
    }
}
