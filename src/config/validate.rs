//! Do the settings make sense, each and together? Pure: it looks at nothing but the settings.

use super::{
    address::Address,
    extras,
    problem::Problem,
    secrets::is_variable_name,
    settings::{ChatConfig, Config, LimitsConfig, ProviderConfig, RouterConfig},
    values::{HedgeAfter, StallTimeout},
    vendors::Vendor,
    words::nearest,
};
use std::{collections::BTreeSet, fmt::Display, time::Duration};

/// Characters of a provider's name: it stands in footers and in lists that people choose from.
const LONGEST_NAME: usize = 32;
/// Discord counts edits in seconds; less than this would only ever be paced. Small enough for tests to be quick.
const LEAST_EDIT_INTERVAL: Duration = Duration::from_millis(20);
/// Messages of one reply: more is a flood.
const MOST_PARTS: u32 = 10;

/// Everything that is wrong with these settings.
#[must_use]
pub fn validate(config: &Config) -> Vec<Problem> {
    let mut found = Found(Vec::new());
    discord(config, &mut found);
    chat(&config.chat, &mut found);
    found.least("limits.concurrent_per_user", config.limits.concurrent_per_user, 1);
    router(&config.router, &mut found);
    order(config, &mut found);
    for (index, provider) in config.providers.iter().enumerate() {
        self::provider(index, provider, &config.providers, &mut found);
    }
    store(config, &mut found);
    servers(config, &mut found);
    log_level(&config.log.level, &mut found);
    found.0
}

/// Settings that this version knows and does not follow yet: nobody should have to find that out by trying.
#[must_use]
pub fn warnings(config: &Config) -> Vec<Problem> {
    let usual = Config::default();
    let limits = &config.limits;
    let LimitsConfig { per_user, per_channel, per_server, concurrent_per_user, exempt_roles } = &usual.limits;
    let idle = vec![
        ("chat.max_parts".to_owned(), config.chat.max_parts != usual.chat.max_parts),
        ("chat.queue_when_down".to_owned(), config.chat.queue_when_down != usual.chat.queue_when_down),
        ("chat.trusted_links".to_owned(), config.chat.trusted_links != usual.chat.trusted_links),
        ("limits.per_user".to_owned(), limits.per_user != *per_user),
        ("limits.per_channel".to_owned(), limits.per_channel != *per_channel),
        ("limits.per_server".to_owned(), limits.per_server != *per_server),
        ("limits.concurrent_per_user".to_owned(), limits.concurrent_per_user != *concurrent_per_user),
        ("limits.exempt_roles".to_owned(), limits.exempt_roles != *exempt_roles),
    ];
    let warning = |key: String| {
        let message = format!("`{key}` has no effect yet in this version");
        Problem::new(key, message, "Remove it, or leave it for a later version.")
    };
    idle.into_iter().filter(|(_, is_set)| *is_set).map(|(key, _)| warning(key)).collect()
}

/// Without a provider there is nobody to answer: for the commands that need one.
///
/// # Errors
/// There is none.
pub fn require_providers(config: &Config) -> Result<(), Problem> {
    if !config.providers.is_empty() {
        return Ok(());
    }
    let fix = "Set a vendor's key, such as OPENAI_API_KEY or ANTHROPIC_API_KEY, add a [[providers]] table to the configuration \
               file, or start a local server before Neverdark.";
    Err(Problem::new("providers", "there is no provider, so nobody can answer", fix))
}

struct Found(Vec<Problem>);

impl Found {
    fn add(&mut self, key: impl Into<String>, message: impl Into<String>, fix: impl Into<String>) {
        self.0.push(Problem::new(key, message, fix));
    }

    fn least(&mut self, key: &str, value: u32, least: u32) {
        if value < least {
            self.add(
                key,
                format!("`{key}` is {value}, and must be at least {least}"),
                format!("Set it to {least} or more."),
            );
        }
    }

    fn some_time(&mut self, key: &str, time: Duration) {
        if time.is_zero() {
            self.add(key, format!("`{key}` is no time at all"), "Give it a time above zero, such as \"5s\".");
        }
    }

    fn share(&mut self, key: &str, share: f64) {
        if !(0.0..=1.0).contains(&share) {
            self.add(key, format!("`{key}` is {share}, and is a share from 0 to 1"), "Write 5 % as 0.05.");
        }
    }

    fn money(&mut self, key: &str, money: f64) {
        if !(money.is_finite() && money >= 0.0) {
            self.add(
                key,
                format!("`{key}` is {money}, and must be 0 or more"),
                "Write the price as a number, such as 2.5.",
            );
        }
    }

    fn not_above(&mut self, low: (&str, Duration), high: (&str, Duration)) {
        if low.1 > high.1 {
            let message = format!("`{}` is longer than `{}`", low.0, high.0);
            self.add(low.0, message, "Lower the first or raise the second.");
        }
    }

    fn variable(&mut self, key: &str, name: &str) {
        if !(name.is_empty() || is_variable_name(name)) {
            // The text is not shown: what stands here instead of a name is most likely the secret itself.
            let message =
                format!("`{key}` must be the name of an environment variable, and what it says is none");
            self.add(
                key,
                message,
                "Write a name such as \"MY_KEY\" here, and set that variable to the secret.",
            );
        }
    }
}

fn discord(config: &Config, found: &mut Found) {
    let discord = &config.discord;
    if let Err(why) = origin(&discord.api_base) {
        let fix = "Write scheme and host only, such as \"https://discord.com\" or \"http://127.0.0.1:8080\".";
        found.add("discord.api_base", format!("`discord.api_base` {why}"), fix);
    }
    found.variable("discord.token_env", &discord.token_env);
    if discord.enabled && discord.token_env.is_empty() && discord.token_file.is_none() {
        let fix =
            "Write token_env = \"DISCORD_TOKEN\", or discord.token_file; or set discord.enabled to false.";
        found.add("discord.token_env", "`discord.token_env` is empty, so there is no token", fix);
    }
}

fn chat(chat: &ChatConfig, found: &mut Found) {
    found.least("chat.context_messages", chat.context_messages, 1);
    found.least("chat.context_tokens", chat.context_tokens, 1);
    found.least("chat.reply_tokens", chat.reply_tokens, 1);
    if chat.edit_interval < LEAST_EDIT_INTERVAL {
        let message = format!("`chat.edit_interval` is less than {} ms", LEAST_EDIT_INTERVAL.as_millis());
        found.add(
            "chat.edit_interval",
            message,
            "Discord slows a bot down that edits this often; \"1200ms\" is good.",
        );
    }
    if !(1..=MOST_PARTS).contains(&chat.max_parts) {
        let message = format!("`chat.max_parts` is {}, and must be from 1 to {MOST_PARTS}", chat.max_parts);
        found.add(
            "chat.max_parts",
            message,
            "A longer answer is sent as a file, so nothing is lost with fewer parts.",
        );
    }
}

fn router(router: &RouterConfig, found: &mut Found) {
    found.least("router.attempts_per_provider", router.attempts_per_provider, 1);
    for (key, time) in [
        ("router.connect_timeout", router.connect_timeout),
        ("router.first_token_timeout", router.first_token_timeout),
        ("router.attempt_timeout", router.attempt_timeout),
        ("router.turn_timeout", router.turn_timeout),
        ("router.breaker.window", router.breaker.window),
        ("router.breaker.rest", router.breaker.rest),
        ("router.breaker.max_rest", router.breaker.max_rest),
    ] {
        found.some_time(key, time);
    }
    if let StallTimeout::Fixed(time) = router.stall_timeout {
        found.some_time("router.stall_timeout", time);
    }
    if let HedgeAfter::Fixed(time) = router.hedge_after {
        found.some_time("router.hedge_after", time);
    }
    if let Some(every) = router.health_check.filter(Duration::is_zero) {
        found.some_time("router.health_check", every);
    }
    found.share("router.hedge_budget", router.hedge_budget);
    found.share("router.retry_budget", router.retry_budget);
    found.share("router.breaker.failure_rate", router.breaker.failure_rate);
    found.least("router.breaker.failures", router.breaker.failures, 1);
    found.least("router.breaker.min_calls", router.breaker.min_calls, 1);
    let (backoff, breaker) = (&router.backoff, &router.breaker);
    found.not_above(("router.backoff.base", backoff.base), ("router.backoff.max", backoff.max));
    found.not_above(("router.breaker.rest", breaker.rest), ("router.breaker.max_rest", breaker.max_rest));
    if router.cache.entries > 0 {
        found.some_time("router.cache.ttl", router.cache.ttl);
    }
    for address in &router.local_servers {
        if let Err(why) = origin(address) {
            let message = format!("an address of `router.local_servers` {why}");
            found.add(
                "router.local_servers",
                message,
                "Write scheme, host and port only, such as \"http://127.0.0.1:11434\".",
            );
        }
    }
}

/// Whether this is scheme, host and port only; the error is a clause that says what is wrong.
fn origin(address: &str) -> Result<(), &'static str> {
    match Address::parse(address)?.path {
        "" => Ok(()),
        _ => Err("has a path, and must end with the host or port"),
    }
}

fn order(config: &Config, found: &mut Found) {
    let names = || config.providers.iter().map(|it| it.name.as_str());
    let mut seen = BTreeSet::new();
    for name in &config.router.order {
        if !names().any(|it| it == name) && !config.may_find(name) {
            let fix = match nearest(name, names()) {
                Some(meant) => format!("Did you mean `{meant}`?"),
                None => format!("Use the providers' names: {}.", list(names())),
            };
            found.add(
                "router.order",
                format!("`router.order` names `{name}`, and there is no such provider"),
                fix,
            );
        } else if !seen.insert(name) {
            let message = format!("`router.order` names `{name}` twice");
            found.add("router.order", message, "Name each provider once.");
        }
    }
}

fn provider(index: usize, provider: &ProviderConfig, all: &[ProviderConfig], found: &mut Found) {
    let key = |name: &str| format!("providers[{index}].{name}");
    name(index, provider, all, found);
    place(provider, &key, found);
    if provider.model.trim().is_empty() {
        let message = format!("`{}` is missing", key("model"));
        found.add(key("model"), message, "Name the model to ask for, such as model = \"gpt-6-luna\".");
    }
    found.variable(&key("api_key_env"), &provider.api_key_env);
    if !provider.api_key_env.is_empty() && provider.api_key_file.is_some() {
        let message = format!("`providers[{index}]` has both api_key_env and api_key_file");
        found.add(key("api_key_file"), message, "Keep one of them.");
    }
    found.least(&key("context_window"), provider.context_window, 1);
    if let Some(warmth) = provider.temperature.filter(|it| !(0.0..=2.0).contains(it)) {
        let message = format!("`{}` is {warmth}, and must be from 0 to 2", key("temperature"));
        found.add(key("temperature"), message, "0 is sober, 1 is usual; some vendors stop at 1.");
    }
    for (name, message, fix) in extras::problems(provider) {
        found.add(key(name), format!("providers[{index}]: {message}"), fix);
    }
    money(provider, &key, found);
    time_limits(provider, &key, found);
}

/// Vendor and address.
fn place(provider: &ProviderConfig, key: &dyn Fn(&str) -> String, found: &mut Found) {
    let names = || Vendor::all().iter().map(|it| it.name.as_str());
    let vendor = provider.known_vendor();
    if let Some(name) = provider.vendor.as_deref().filter(|_| vendor.is_none()) {
        let message = format!("`{}` is `{name}`, and no vendor of that name is known", key("vendor"));
        let fix = match nearest(name, names()) {
            Some(meant) => format!("Did you mean `{meant}`?"),
            None => {
                format!("Remove it and write kind and base_url instead, or use one of: {}.", list(names()))
            }
        };
        found.add(key("vendor"), message, fix);
    }
    if provider.base_url.is_empty() {
        let whose = vendor.map_or_else(String::new, |it| format!(" of {}", it.name));
        let message = format!(
            "`{}` is missing: no address{whose} in the dialect `{}` is known",
            key("base_url"),
            provider.kind
        );
        let example = match provider.vendor.as_deref() {
            Some("azure") => "https://RESOURCE.openai.azure.com/openai/v1",
            _ => provider.kind.default_base_url(),
        };
        found.add(key("base_url"), message, format!("Write it like \"{example}\"."));
    } else if let Err(why) = Address::parse(&provider.base_url) {
        let fix = format!("Write it like \"{}\", or leave it out.", provider.kind.default_base_url());
        found.add(key("base_url"), format!("`{}` {why}", key("base_url")), fix);
    }
}

fn money(provider: &ProviderConfig, key: &dyn Fn(&str) -> String, found: &mut Found) {
    if let Some(price) = provider.price {
        found.money(&key("price.input"), price.input);
        found.money(&key("price.output"), price.output);
    }
    if let Some(budget) = provider.daily_budget {
        found.money(&key("daily_budget"), budget);
        if provider.price.is_none() {
            let message =
                format!("`{}` needs `price`: without it nobody knows what was spent", key("daily_budget"));
            found.add(
                key("daily_budget"),
                message,
                "Add price = { input = 2.5, output = 10.0 } with this model's prices.",
            );
        }
    }
}

fn time_limits(provider: &ProviderConfig, key: &dyn Fn(&str) -> String, found: &mut Found) {
    let stall = provider.stall_timeout.and_then(|it| match it {
        StallTimeout::Adaptive => None,
        StallTimeout::Fixed(time) => Some(time),
    });
    for (limit, time) in [
        ("connect_timeout", provider.connect_timeout),
        ("first_token_timeout", provider.first_token_timeout),
        ("stall_timeout", stall),
        ("attempt_timeout", provider.attempt_timeout),
    ] {
        if let Some(time) = time {
            found.some_time(&key(limit), time);
        }
    }
}

fn name(index: usize, provider: &ProviderConfig, all: &[ProviderConfig], found: &mut Found) {
    let (key, name) = (format!("providers[{index}].name"), &provider.name);
    let fits = |it: char| it.is_ascii_lowercase() || it.is_ascii_digit() || "._-".contains(it);
    if name.is_empty() {
        found.add(
            &key,
            format!("`{key}` is missing"),
            "Give the provider a name, such as name = \"openai\".",
        );
    } else if name.len() > LONGEST_NAME || !name.chars().all(fits) {
        let message = format!("`{key}` is `{name}`, and footers and commands need a simpler name");
        let fix = format!("Use a-z, 0-9, `.`, `_` and `-` only, at most {LONGEST_NAME} of them.");
        found.add(&key, message, fix);
    } else if name == "auto" {
        let message = format!("`{key}` is `auto`, which already means that the strategy chooses");
        found.add(&key, message, "Give it another name.");
    } else if let Some(first) = all[..index].iter().position(|it| it.name == *name) {
        let message =
            format!("two providers have the name `{name}`: providers[{first}] and providers[{index}]");
        found.add(&key, message, "Rename one of them: pins and the ledger tell providers apart by name.");
    }
}

fn store(config: &Config, found: &mut Found) {
    let path = config.store.url.strip_prefix("sqlite:").map(|it| it.trim_start_matches('/'));
    if path.is_none_or(str::is_empty) {
        let message = "`store.url` must begin with sqlite: and name a file";
        found.add(
            "store.url",
            message,
            "Write \"sqlite://neverdark.db\", or \"sqlite::memory:\" to keep nothing.",
        );
    }
    for (key, is_set) in [
        ("store.key_env", !config.store.key_env.is_empty()),
        ("store.key_file", config.store.key_file.is_some()),
    ] {
        if is_set {
            let message = format!("`{key}` asks for encryption at rest, which is not in this version yet");
            let fix = "Remove it and know that message text is then stored as it is, for example on an encrypted disk.";
            found.add(key, message, fix);
        }
    }
}

fn servers(config: &Config, found: &mut Found) {
    let (status, api) = (config.status.listen, &config.api);
    if let (Some(one), Some(other)) = (status, api.listen)
        && one == other
        && one.port() != 0
    {
        let message = format!("`status.listen` and `api.listen` are both {one}");
        found.add("api.listen", message, "Give one of them another port.");
    }
    found.variable("api.key_env", &api.key_env);
    if let Some(listen) = api.listen
        && !listen.ip().is_loopback()
        && api.key_env.is_empty()
    {
        let message =
            format!("`api.listen` is {listen}, which others can reach, and `api.key_env` names no key");
        found.add("api.listen", message, "Set api.key_env, or listen on 127.0.0.1.");
    }
    found.least("api.max_concurrent", api.max_concurrent, 1);
}

fn log_level(level: &str, found: &mut Found) {
    const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];
    let wrong = level.split(',').find(|part| {
        let level = part.rsplit_once('=').map_or(*part, |(_, level)| level);
        !LEVELS.contains(&level.trim().to_ascii_lowercase().as_str())
    });
    if let Some(part) = wrong {
        let message = format!("`log.level` has `{part}`, which is no level");
        let fix = format!("Use {}; or by target, such as \"info,neverdark=debug\".", list(LEVELS));
        found.add("log.level", message, fix);
    }
}

fn list(items: impl IntoIterator<Item = impl Display>) -> String {
    items.into_iter().map(|it| it.to_string()).collect::<Vec<_>>().join(", ")
}
