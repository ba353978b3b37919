//! Every setting, its meaning and its default; `config/neverdark.toml` says the same for people, and a test compares them.

use super::{
    extras::Headers,
    values::{
        Footer, HedgeAfter, Kind, LogFormat, OnBrokenStream, Price, Rate, RegisterCommands, RespondTo,
        StallTimeout, Strategy, TrainsOnData,
    },
    vendors::Vendor,
    words::{ids, maybe, off, text},
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    path::PathBuf,
    time::Duration,
};

const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(86_400);

/// All settings.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The connection to Discord.
    pub discord: DiscordConfig,
    /// When and how the bot answers.
    pub chat: ChatConfig,
    /// How much one person, channel or server may ask.
    pub limits: LimitsConfig,
    /// How providers are tried.
    pub router: RouterConfig,
    /// The providers, in the order of their tables.
    pub providers: Vec<ProviderConfig>,
    /// Where conversations and outcomes are kept.
    pub store: StoreConfig,
    /// The status server.
    pub status: StatusConfig,
    /// The router for other programs.
    pub api: ApiConfig,
    /// The log.
    pub log: LogConfig,
}

/// `[discord]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DiscordConfig {
    /// `false`: no Discord at all, only the status server and the router API.
    pub enabled: bool,
    /// The environment variable that holds the bot's token.
    pub token_env: String,
    /// A file that holds the token; it goes before the variable.
    #[serde(with = "maybe")]
    pub token_file: Option<PathBuf>,
    /// The origin of the REST API, without a slash at its end.
    pub api_base: String,
    /// Where slash commands are registered.
    pub register_commands: RegisterCommands,
    /// How long SIGTERM waits for running turns.
    #[serde(with = "text")]
    pub drain: Duration,
    /// Whether the bot asks for the privileged intent that shows it every message's text.
    pub message_content: bool,
}

impl Default for DiscordConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            token_env: "DISCORD_TOKEN".to_owned(),
            token_file: None,
            api_base: "https://discord.com".to_owned(),
            register_commands: RegisterCommands::Global,
            drain: Duration::from_secs(25), // container runtimes kill after 30 s
            message_content: true,
        }
    }
}

/// `[chat]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ChatConfig {
    /// What every provider is told of who it is.
    pub system_prompt: String,
    /// Which messages the bot answers.
    pub respond_to: BTreeSet<RespondTo>,
    /// Channels in which it answers every message.
    #[serde(with = "ids")]
    pub channels: Vec<u64>,
    /// Forums in which it answers every new post.
    #[serde(with = "ids")]
    pub forums: Vec<u64>,
    /// The most past messages that go with a question.
    pub context_messages: u32,
    /// The most tokens of past messages that go with a question.
    pub context_tokens: u32,
    /// The most tokens of an answer.
    pub reply_tokens: u32,
    /// The least time between two edits of growing answers in one channel.
    #[serde(with = "text")]
    pub edit_interval: Duration,
    /// When a reply says who gave it.
    pub footer: Footer,
    /// The most messages of one reply; a longer answer is its beginning and a file.
    pub max_parts: u32,
    /// A further message of the same person within this time joins the turn; zero: never.
    #[serde(with = "text")]
    pub burst: Duration,
    /// Hosts whose links stay as the model wrote them; no link unfurls by itself.
    pub trusted_links: Vec<String>,
    /// How old a message may be that came while the bot was away, and is answered when it is back.
    #[serde(with = "text")]
    pub answer_missed: Duration,
    /// How long a question waits for a provider when all are down.
    #[serde(with = "text")]
    pub queue_when_down: Duration,
    /// Whether the bot goes quiet in a forum post once a person helps there.
    pub quiet_when_helped: bool,
}

impl Default for ChatConfig {
    fn default() -> Self {
        Self {
            system_prompt: SYSTEM_PROMPT.to_owned(),
            respond_to: RespondTo::ALL.iter().copied().collect(),
            channels: Vec::new(),
            forums: Vec::new(),
            context_messages: 40,
            context_tokens: 8000,
            reply_tokens: 1024,
            edit_interval: Duration::from_millis(1200), // Discord allows about five edits in five seconds and channel
            footer: Footer::Failover,
            max_parts: 8,
            burst: Duration::from_millis(700),
            trusted_links: Vec::new(),
            answer_missed: 15 * MINUTE,
            queue_when_down: 30 * MINUTE,
            quiet_when_helped: true,
        }
    }
}

const SYSTEM_PROMPT: &str = "You are a helpful member of a Discord server. Several people may talk to you; each of \
    their messages begins with the name of who wrote it. Answer the last one, in the language it is written in, briefly \
    and to the point, with Discord's Markdown where it helps. If you do not know something, say so.";

/// `[limits]`: they concern Discord turns only.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LimitsConfig {
    /// Turns of one person.
    #[serde(with = "off")]
    pub per_user: Option<Rate>,
    /// Turns in one channel.
    #[serde(with = "off")]
    pub per_channel: Option<Rate>,
    /// Turns in one server.
    #[serde(with = "off")]
    pub per_server: Option<Rate>,
    /// Turns of one person that may run at once.
    pub concurrent_per_user: u32,
    /// Turns that may run at once in all.
    pub concurrent: u32,
    /// Roles that no limit concerns.
    #[serde(with = "ids")]
    pub exempt_roles: Vec<u64>,
}

impl Default for LimitsConfig {
    fn default() -> Self {
        Self {
            per_user: Some(Rate { count: 10, per: MINUTE }),
            per_channel: None,
            per_server: None,
            concurrent_per_user: 1,
            concurrent: 256, // at five seconds an answer as many turns a second as Discord lets a bot post messages
            exempt_roles: Vec::new(),
        }
    }
}

/// `[router]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RouterConfig {
    /// In which order, and when, providers are tried.
    pub strategy: Strategy,
    /// Providers' names in the order to try them; empty: the order of the tables.
    pub order: Vec<String>,
    /// The most attempts at one provider in one turn.
    pub attempts_per_provider: u32,
    /// For the connection.
    #[serde(with = "text")]
    pub connect_timeout: Duration,
    /// From the call to the first text.
    #[serde(with = "text")]
    pub first_token_timeout: Duration,
    /// Between two pieces.
    pub stall_timeout: StallTimeout,
    /// For one attempt.
    #[serde(with = "text")]
    pub attempt_timeout: Duration,
    /// For the whole turn.
    #[serde(with = "text")]
    pub turn_timeout: Duration,
    /// When the next provider joins a silent one, under every strategy but `priority` and `race`.
    pub hedge_after: HedgeAfter,
    /// The share of turns that may start an extra call.
    pub hedge_budget: f64,
    /// Whether identical questions of Discord turns in flight are asked once.
    pub coalesce: bool,
    /// The pause before a retry.
    pub backoff: Backoff,
    /// Retries for each first attempt, over all traffic.
    pub retry_budget: f64,
    /// When a provider is left alone.
    pub breaker: Breaker,
    /// How often providers are probed in the background; none: never.
    #[serde(with = "off")]
    pub health_check: Option<Duration>,
    /// What happens to text that people saw when the stream behind it breaks.
    pub on_broken_stream: OnBrokenStream,
    /// Answers that are given again.
    pub cache: Cache,
    /// Origins at which a local server is looked for when no table names a provider; empty: nowhere.
    pub local_servers: Vec<String>,
}

impl Default for RouterConfig {
    fn default() -> Self {
        Self {
            strategy: Strategy::Hedged,
            order: Vec::new(),
            attempts_per_provider: 2,
            connect_timeout: Duration::from_secs(3),
            first_token_timeout: Duration::from_secs(10),
            stall_timeout: StallTimeout::Adaptive,
            attempt_timeout: Duration::from_secs(60),
            turn_timeout: Duration::from_secs(90),
            hedge_after: HedgeAfter::P95,
            hedge_budget: 0.05,
            coalesce: true,
            backoff: Backoff::default(),
            retry_budget: 0.2,
            breaker: Breaker::default(),
            health_check: Some(Duration::from_secs(30)),
            on_broken_stream: OnBrokenStream::Rewrite,
            cache: Cache::default(),
            local_servers: LOCAL_SERVERS.map(str::to_owned).to_vec(),
        }
    }
}

impl RouterConfig {
    /// The place of a provider of this name in `order`. Those that it does not name come behind all others, in the order of
    /// their tables when they are sorted by this.
    #[must_use]
    pub fn rank(&self, name: &str) -> usize {
        self.order.iter().position(|it| it == name).unwrap_or(self.order.len())
    }
}

/// The usual ports of Ollama, llama.cpp's server, LM Studio and vLLM.
const LOCAL_SERVERS: [&str; 4] =
    ["http://127.0.0.1:11434", "http://127.0.0.1:8080", "http://127.0.0.1:1234", "http://127.0.0.1:8000"];

/// `router.backoff`: full jitter, so each pause is drawn between zero and its bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Backoff {
    /// The bound of the first pause; it doubles with each retry.
    #[serde(with = "text")]
    pub base: Duration,
    /// The bound of every pause.
    #[serde(with = "text")]
    pub max: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { base: Duration::from_millis(250), max: Duration::from_secs(8) }
    }
}

/// `router.breaker`
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Breaker {
    /// Failures in a row that rest a provider.
    pub failures: u32,
    /// The share of failures in `window` that rests it, from 0 to 1.
    pub failure_rate: f64,
    /// Calls in `window` below which the share says nothing.
    pub min_calls: u32,
    /// The time that the share looks back on.
    #[serde(with = "text")]
    pub window: Duration,
    /// The first rest; it doubles while probes fail.
    #[serde(with = "text")]
    pub rest: Duration,
    /// The longest rest.
    #[serde(with = "text")]
    pub max_rest: Duration,
}

impl Default for Breaker {
    fn default() -> Self {
        Self {
            failures: 5,
            failure_rate: 0.5,
            min_calls: 10,
            window: Duration::from_secs(30),
            rest: Duration::from_secs(15),
            max_rest: 5 * MINUTE,
        }
    }
}

/// `router.cache`
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Cache {
    /// The most answers kept; zero: none.
    pub entries: u32,
    /// How long an answer is kept.
    #[serde(with = "text")]
    pub ttl: Duration,
}

impl Default for Cache {
    fn default() -> Self {
        Self { entries: 1000, ttl: 10 * MINUTE }
    }
}

/// One table of `[[providers]]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ProviderConfig {
    /// The name in footers, commands and the ledger: lower-case letters, digits, `.`, `_` and `-`.
    pub name: String,
    /// Whose table entry fills in what this one leaves out. Loading fills it in from the name, the kind or the address; none: of
    /// no vendor that is known.
    pub vendor: Option<String>,
    /// Its dialect. Loading fills it in where the file leaves it out, and likewise `base_url`, `api_key_env`, `model`,
    /// `context_window`, `price` and `trains_on_data`.
    pub kind: Kind,
    /// What its paths are put behind, without a slash at its end.
    pub base_url: String,
    /// The environment variable that holds its key; empty: none.
    pub api_key_env: String,
    /// A file that holds its key.
    #[serde(with = "maybe")]
    pub api_key_file: Option<PathBuf>,
    /// The model asked for.
    pub model: String,
    /// How freely the model chooses its words; none: as the vendor likes it.
    pub temperature: Option<f64>,
    /// Headers that go with every call. Their values are shown to nobody.
    #[serde(skip_serializing_if = "Headers::is_empty")]
    pub extra_headers: Headers,
    /// What is added to every address after the `?`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub extra_query: BTreeMap<String, String>,
    /// Keys that are added to every question.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub extra_body: Map<String, Value>,
    /// Its share under the strategy `weighted`.
    pub weight: u32,
    /// The most calls at once; zero: no ceiling.
    pub max_concurrent: u32,
    /// The most calls in a minute; none: no ceiling.
    pub requests_per_minute: Option<u32>,
    /// The most tokens in a minute, of prompts and answers; none: no ceiling.
    pub tokens_per_minute: Option<u32>,
    /// Tokens that prompt and answer may have together.
    pub context_window: u32,
    /// What its tokens cost, when that is known.
    pub price: Option<Price>,
    /// The most money a day.
    pub daily_budget: Option<f64>,
    /// Whether its vendor trains models on what it is sent.
    pub trains_on_data: TrainsOnData,
    /// Instead of the router's.
    #[serde(with = "maybe")]
    pub connect_timeout: Option<Duration>,
    /// Instead of the router's.
    #[serde(with = "maybe")]
    pub first_token_timeout: Option<Duration>,
    /// Instead of the router's.
    #[serde(with = "maybe")]
    pub stall_timeout: Option<StallTimeout>,
    /// Instead of the router's.
    #[serde(with = "maybe")]
    pub attempt_timeout: Option<Duration>,
    /// Where this provider was found.
    #[serde(skip)]
    pub origin: Origin,
    /// Where what is known of its model was found.
    #[serde(skip)]
    pub sources: Sources,
}

impl Default for ProviderConfig {
    fn default() -> Self {
        Self {
            name: String::new(),
            vendor: None,
            kind: Kind::OpenAi,
            base_url: String::new(),
            api_key_env: String::new(),
            api_key_file: None,
            model: String::new(),
            temperature: None,
            extra_headers: Headers::default(),
            extra_query: BTreeMap::new(),
            extra_body: Map::new(),
            weight: 1,
            max_concurrent: 64,
            requests_per_minute: None,
            tokens_per_minute: None,
            context_window: 128_000,
            price: None,
            daily_budget: None,
            trains_on_data: TrainsOnData::Unknown,
            connect_timeout: None,
            first_token_timeout: None,
            stall_timeout: None,
            attempt_timeout: None,
            origin: Origin::default(),
            sources: Sources::default(),
        }
    }
}

/// Where a provider was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A table in the file, at this `FILE:LINE`; empty: the line is not known.
    Table(String),
    /// A table made of environment variables whose names begin so.
    Variables(String),
    /// A vendor's key in the environment variable of this name.
    Key(String),
    /// A local server that answered at this address.
    LocalServer(String),
}

impl Default for Origin {
    fn default() -> Self {
        Self::Table(String::new())
    }
}

/// Where a value of a provider was found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// Its table.
    Table,
    /// The built-in list of vendors.
    Vendors,
    /// The list of models that its server gives.
    Server,
    /// Nowhere: it is the usual value, if there is one.
    #[default]
    Usual,
}

/// Where what is known of a provider's model was found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sources {
    /// `context_window`.
    pub context_window: Source,
    /// `price`.
    pub price: Source,
}

/// The time limits of one attempt at one provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeLimits {
    /// For the connection.
    pub connect: Duration,
    /// From the call to the first text.
    pub first_token: Duration,
    /// Between two pieces.
    pub stall: StallTimeout,
    /// For the attempt.
    pub attempt: Duration,
}

impl ProviderConfig {
    /// The vendor that is known of it.
    #[must_use]
    pub fn known_vendor(&self) -> Option<&'static Vendor> {
        self.vendor.as_deref().and_then(Vendor::named)
    }

    /// The header that carries its key, where that is not the one of its dialect.
    #[must_use]
    pub fn key_header(&self) -> Option<&'static str> {
        self.known_vendor()?.key_header.as_deref()
    }

    /// The router's time limits, with those that this provider's table sets again.
    #[must_use]
    pub fn time_limits(&self, router: &RouterConfig) -> TimeLimits {
        TimeLimits {
            connect: self.connect_timeout.unwrap_or(router.connect_timeout),
            first_token: self.first_token_timeout.unwrap_or(router.first_token_timeout),
            stall: self.stall_timeout.unwrap_or(router.stall_timeout),
            attempt: self.attempt_timeout.unwrap_or(router.attempt_timeout),
        }
    }
}

/// `[store]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StoreConfig {
    /// `sqlite://PATH`, or `sqlite::memory:`.
    pub url: String,
    /// The environment variable that holds the key for encryption at rest; empty: none.
    pub key_env: String,
    /// A file that holds that key.
    #[serde(with = "maybe")]
    pub key_file: Option<PathBuf>,
    /// How long messages are kept.
    #[serde(with = "text")]
    pub keep_messages: Duration,
    /// How long outcomes are kept.
    #[serde(with = "text")]
    pub keep_outcomes: Duration,
}

impl Default for StoreConfig {
    fn default() -> Self {
        Self {
            url: "sqlite://neverdark.db".to_owned(),
            key_env: String::new(),
            key_file: None,
            keep_messages: 30 * DAY,
            keep_outcomes: 180 * DAY,
        }
    }
}

/// `[status]`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StatusConfig {
    /// The address it listens on; none: no status server.
    #[serde(with = "off")]
    pub listen: Option<SocketAddr>,
}

impl Default for StatusConfig {
    fn default() -> Self {
        Self { listen: Some(SocketAddr::from(([127, 0, 0, 1], 9464))) }
    }
}

/// `[api]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ApiConfig {
    /// The address it listens on; none: no router API.
    #[serde(with = "off")]
    pub listen: Option<SocketAddr>,
    /// The environment variable that holds the key callers must send; required unless the address is loopback.
    pub key_env: String,
    /// The most requests at once; beyond it 429.
    pub max_concurrent: u32,
    /// Whether identical requests in flight are asked once.
    pub coalesce: bool,
}

impl Default for ApiConfig {
    fn default() -> Self {
        Self { listen: None, key_env: "NEVERDARK_API_KEY".to_owned(), max_concurrent: 1024, coalesce: false }
    }
}

/// `[log]`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LogConfig {
    /// How its lines look.
    pub format: LogFormat,
    /// From which level on; also by target, as in `info,neverdark=debug`.
    pub level: String,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self { format: LogFormat::Text, level: "info".to_owned() }
    }
}
