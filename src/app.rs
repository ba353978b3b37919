//! Wiring only: from the configuration to rooms that know each other, from start to the end of the last turn.

mod local;
mod memory;

pub use local::find_local_servers;

use crate::{
    api::{self, Api},
    chat::{self, Chat},
    config::{self, Config, Env, HedgeAfter, Problem, Problems, StallTimeout},
    discord::{Door, GatewayFailure, rest::Rest},
    ledger::Ledger,
    message::UnixMillis,
    metrics::Metrics,
    providers::{self, ProviderSpec, wire::Clients},
    router::{
        Ceilings, Player, Router, Settings, attempt::Limits, roster::BreakerSettings, strategy::Strategy,
    },
    status::{self, Status},
    store::{Store, StoreError},
};
use secrecy::SecretString;
use std::{future::Future, io, net::SocketAddr, sync::Arc, time::Duration};
use tokio::{
    net::TcpListener,
    time::{MissedTickBehavior, interval, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{error, info, warn};

/// How often rows beyond their age are taken out of the store.
const PRUNE_EVERY: Duration = Duration::from_secs(3600);
/// After the turns were told to stop, so long for them to write down where they are.
const HANG_UP_LIMIT: Duration = Duration::from_secs(3);
/// How long the gateway may take to say goodbye.
const GOODBYE_LIMIT: Duration = Duration::from_secs(6);

/// Why the service can't start, or did not end well.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// Something in the configuration has to be changed.
    #[error("{0}")]
    Config(Problems),
    /// The database can't be used.
    #[error("{0}")]
    Store(#[from] StoreError),
    /// An address can't be listened on.
    #[error(
        "{key}: cannot listen on {address}: {cause}. Another program has the port, or the address is not this machine's; choose another one"
    )]
    Listen {
        /// The configuration key.
        key: &'static str,
        /// Its value.
        address: SocketAddr,
        /// What the system says.
        cause: io::Error,
    },
    /// Discord.
    #[error("{0}")]
    Gateway(#[from] GatewayFailure),
    /// The status server ended by itself.
    #[error("the status server ended: {0}")]
    Status(io::Error),
}

impl Failure {
    /// Whether it is a matter of configuration (exit code 2) rather than of running (1).
    #[must_use]
    pub fn is_config(&self) -> bool {
        match self {
            Self::Config(_) | Self::Store(_) | Self::Listen { .. } => true,
            Self::Gateway(failure) => failure.is_config(),
            Self::Status(_) => false,
        }
    }
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        Self::Config(Problems(vec![problem]))
    }
}

/// Everything but the doors: providers, router, store and conversations.
#[derive(Clone, Debug)]
pub struct Rooms {
    /// The conversations.
    pub chat: Chat,
    /// The router below them.
    pub router: Router,
    /// Where every call is written.
    pub ledger: Ledger,
    /// The store below them.
    pub store: Store,
    /// What everybody counts.
    pub metrics: Arc<Metrics>,
}

impl Rooms {
    /// Builds them. `rng` is where all chance comes from.
    ///
    /// # Errors
    /// The configuration or the database can't be used.
    pub async fn open(config: &Config, env: &Env, rng: &mut fastrand::Rng) -> Result<Self, Failure> {
        let router = router(config, env, rng.fork())?;
        let store = Store::open(&config.store.url).await?;
        let metrics = Arc::new(Metrics::default());
        let ledger = Ledger::new(store.clone(), Arc::clone(&metrics));
        let (chat, coalesce) = (config.chat.clone(), config.router.coalesce);
        let settings =
            chat::Settings { chat, limits: config.limits.clone(), coalesce, born: UnixMillis::now() };
        let counting = Arc::clone(&metrics);
        let chat = Chat::new(router.clone(), store.clone(), counting, ledger.clone(), settings, rng.fork());
        Ok(Self { chat, router, ledger, store, metrics })
    }
}

/// The router over the configured providers.
///
/// # Errors
/// No provider, or one that can't be made; all problems at once.
pub fn router(config: &Config, env: &Env, rng: fastrand::Rng) -> Result<Router, Failure> {
    config::require_providers(config)?;
    let mut clients = Clients::default();
    let mut players = Vec::new();
    let mut problems = Vec::new();
    for (place, provider) in config.providers.iter().enumerate() {
        match player(config, provider, place, env, &mut clients) {
            Ok(player) => players.push(player),
            Err(problem) => problems.push(problem),
        }
    }
    if !problems.is_empty() {
        return Err(Failure::Config(Problems(problems)));
    }
    players.sort_by_key(|it| config.router.rank(it.provider.name()));
    Ok(Router::new(players, settings(&config.router), rng))
}

/// What a provider is made from, key and all.
///
/// # Errors
/// Its key is not where its table says, or cannot be one.
pub fn spec(provider: &config::ProviderConfig, env: &Env) -> Result<ProviderSpec, Problem> {
    let headers = provider.extra_headers.iter();
    Ok(ProviderSpec {
        name: provider.name.clone(),
        kind: kind(provider.kind),
        base_url: provider.base_url.clone(),
        api_key: provider.api_key(env)?,
        key_header: provider.key_header().map(str::to_owned),
        headers: headers.map(|(name, value)| (name.to_owned(), value.clone())).collect(),
        query: provider.extra_query.clone(),
        body: provider.extra_body.clone(),
        temperature: provider.temperature,
        model: provider.model.clone(),
        context_window: provider.context_window,
        price: provider.price.map(|it| (it.input, it.output)),
    })
}

fn kind(kind: config::Kind) -> providers::Kind {
    match kind {
        config::Kind::OpenAi => providers::Kind::OpenAi,
        config::Kind::OpenAiResponses => providers::Kind::OpenAiResponses,
        config::Kind::Anthropic => providers::Kind::Anthropic,
        config::Kind::Gemini => providers::Kind::Gemini,
        config::Kind::Completions => providers::Kind::Completions,
        config::Kind::Ollama => providers::Kind::Ollama,
    }
}

fn player(
    config: &Config,
    provider: &config::ProviderConfig,
    place: usize,
    env: &Env,
    clients: &mut Clients,
) -> Result<Player, Problem> {
    let spec = spec(provider, env)?;
    let limits = provider.time_limits(&config.router);
    let ceilings = Ceilings {
        concurrent: provider.max_concurrent,
        requests_per_minute: provider.requests_per_minute,
        tokens_per_minute: provider.tokens_per_minute,
        daily_budget: provider.daily_budget,
    };
    let (weight, price) = (provider.weight, spec.price);
    let key = format!("providers[{place}]");
    let unfit = |what: String| Problem::new(key.clone(), what, "correct the provider's table".to_owned());
    let client = clients
        .get(limits.connect, &provider.base_url)
        .map_err(|failure| unfit(format!("the HTTP client could not be made: {failure}")))?;
    let provider = providers::build(spec, client).map_err(|failure| unfit(failure.to_string()))?;
    let stall = match limits.stall {
        StallTimeout::Adaptive => None,
        StallTimeout::Fixed(limit) => Some(limit),
    };
    let limits = Limits { first_token: limits.first_token, stall, attempt: limits.attempt };
    Ok(Player { provider, limits, ceilings, weight, price })
}

fn settings(router: &config::RouterConfig) -> Settings {
    let breaker = router.breaker;
    Settings {
        strategy: match router.strategy {
            config::Strategy::Priority => Strategy::Priority,
            config::Strategy::Race => Strategy::Race,
            config::Strategy::Hedged => Strategy::Hedged,
            config::Strategy::Weighted => Strategy::Weighted,
            config::Strategy::RoundRobin => Strategy::RoundRobin,
            config::Strategy::Fastest => Strategy::Fastest,
            config::Strategy::Cheapest => Strategy::Cheapest,
            config::Strategy::Adaptive => Strategy::Adaptive,
        },
        attempts_per_provider: router.attempts_per_provider,
        turn_timeout: router.turn_timeout,
        hedge_after: match router.hedge_after {
            HedgeAfter::P95 => None,
            HedgeAfter::Fixed(after) => Some(after),
        },
        hedge_budget: router.hedge_budget,
        retry_budget: router.retry_budget,
        backoff: (router.backoff.base, router.backoff.max),
        breaker: BreakerSettings {
            failures: breaker.failures,
            failure_rate: breaker.failure_rate,
            min_calls: breaker.min_calls,
            window: breaker.window,
            rest: breaker.rest,
            max_rest: breaker.max_rest,
        },
        rewrite: router.on_broken_stream == config::OnBrokenStream::Rewrite,
        health_check: router.health_check,
        cache: (router.cache.entries, router.cache.ttl),
    }
}

/// A service that is up; it ends when [`App::run`] does.
#[derive(Debug)]
pub struct App {
    config: Config,
    /// What the doors lead to.
    pub rooms: Rooms,
    discord: Option<(Door, SecretString)>,
    status: Option<TcpListener>,
    api: Option<(TcpListener, Api)>,
    tasks: TaskTracker,
    closing: CancellationToken,
    hang_up: CancellationToken,
}

impl App {
    /// Builds everything and binds every address, but talks to nobody yet.
    ///
    /// # Errors
    /// Whatever somebody has to mend before it can run; see [`Failure::is_config`].
    pub async fn build(config: Config, env: &Env, mut rng: fastrand::Rng) -> Result<Self, Failure> {
        let token = if config.discord.enabled { Some(config.discord_token(env)?) } else { None };
        let rooms = Rooms::open(&config, env, &mut rng).await?;
        memory::recall(&rooms.router, &rooms.store, UnixMillis::now()).await?;
        let (tasks, closing, hang_up) =
            (TaskTracker::new(), CancellationToken::new(), CancellationToken::new());
        let discord = match token {
            Some(token) => {
                let rest = rest(&config, &token, rng.fork())?;
                let settings = crate::discord::Settings {
                    api_base: config.discord.api_base.clone(),
                    message_content: config.discord.message_content,
                    register_commands: config.discord.register_commands.clone(),
                    chat: config.chat.clone(),
                };
                let chat = rooms.chat.clone();
                let door = Door::new(chat, rest, settings, tasks.clone(), closing.clone(), hang_up.clone());
                Some((door, token))
            }
            None => None,
        };
        let status = match config.status.listen {
            Some(address) => Some(listen("status.listen", address).await?),
            None => None,
        };
        let api = match config.api.listen {
            Some(address) => {
                let api = api(&config, env, &rooms, rng.fork())?;
                Some((listen("api.listen", address).await?, api))
            }
            None => None,
        };
        Ok(Self { config, rooms, discord, status, api, tasks, closing, hang_up })
    }

    /// Where the router API listens.
    #[must_use]
    pub fn api_address(&self) -> Option<SocketAddr> {
        self.api.as_ref().and_then(|(listener, _)| listener.local_addr().ok())
    }

    /// Where the status server listens.
    #[must_use]
    pub fn status_address(&self) -> Option<SocketAddr> {
        self.status.as_ref().and_then(|it| it.local_addr().ok())
    }

    /// Serves until `stop`, then lets running turns finish for as long as `discord.drain` says. A second `stop` does not wait.
    ///
    /// # Errors
    /// What ended the service before its time.
    pub async fn run(self, stop: impl Future<Output = ()>) -> Result<(), Failure> {
        let Self { config, rooms, discord, status, api, tasks, closing, hang_up } = self;
        let up = CancellationToken::new();
        let gateway = discord.as_ref().map(|(door, _)| door.connected());
        let gateway_waits = discord.as_ref().map(|(door, _)| door.waits());
        let status_server = async {
            match status {
                Some(listener) => {
                    let status = Status { chat: rooms.chat.clone(), gateway, gateway_waits };
                    let end = up.clone().cancelled_owned();
                    status::serve(listener, status, end).await.map_err(Failure::Status)
                }
                None => {
                    up.cancelled().await;
                    Ok(())
                }
            }
        };
        let api_server = async {
            if let Some((listener, api)) = api {
                api::serve(listener, api, tasks.clone(), closing.clone(), hang_up.clone()).await;
            }
        };
        let gateway = async {
            match discord {
                Some((door, token)) => door.serve(&token).await.map_err(Failure::Gateway),
                None => {
                    closing.cancelled().await;
                    Ok(())
                }
            }
        };
        let work = async {
            tokio::pin!(gateway);
            let ended = tokio::select! {
                biased;
                () = stop => None,
                ended = &mut gateway => Some(ended),
            };
            info!("stopping: no new turns; {} are running", rooms.chat.metrics().turns_running());
            closing.cancel();
            tasks.close();
            let goodbye = async {
                match ended {
                    Some(ended) => ended,
                    // It was told by `closing`; one that hangs is left behind.
                    None => timeout(GOODBYE_LIMIT, gateway).await.unwrap_or(Ok(())),
                }
            };
            let drain = async {
                if timeout(config.discord.drain, tasks.wait()).await.is_err() {
                    warn!("some turns did not end in time; they are finished after the next start");
                    hang_up.cancel();
                    let _ = timeout(HANG_UP_LIMIT, tasks.wait()).await;
                }
            };
            let (ended, ()) = tokio::join!(goodbye, drain);
            up.cancel();
            ended
        };
        let (served, status, ()) = tokio::select! {
            // Also while turns finish: their calls are written, and those who fell ill are kept.
            never = background(&config, &rooms) => match never {},
            ended = async { tokio::join!(work, status_server, api_server) } => ended,
        };
        rooms.ledger.flush().await;
        memory::keep_rests_now(&rooms.router, &rooms.store).await;
        if let Err(failure) = rooms.store.close().await {
            error!(error = %failure, "the database could not be closed well; nothing is lost by that");
        }
        served.and(status)
    }
}

async fn listen(key: &'static str, address: SocketAddr) -> Result<TcpListener, Failure> {
    TcpListener::bind(address).await.map_err(|cause| Failure::Listen { key, address, cause })
}

/// The router API over the rooms.
fn api(config: &Config, env: &Env, rooms: &Rooms, rng: fastrand::Rng) -> Result<Api, Problem> {
    let settings = api::Settings {
        key: config.router_api_key(env)?,
        max_concurrent: config.api.max_concurrent,
        coalesce: config.api.coalesce,
        reply_tokens: config.chat.reply_tokens,
    };
    let (router, ledger) = (rooms.router.clone(), rooms.ledger.clone());
    Ok(Api::new(router, ledger, Arc::clone(&rooms.metrics), settings, rng))
}

/// What goes on beside the turns, for ever.
async fn background(config: &Config, rooms: &Rooms) -> std::convert::Infallible {
    let prune = async {
        let mut hourly = interval(PRUNE_EVERY);
        hourly.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            hourly.tick().await;
            let now = UnixMillis::now();
            let (messages, outcomes) =
                (now.minus(config.store.keep_messages), now.minus(config.store.keep_outcomes));
            if let Err(failure) = rooms.store.prune(messages, outcomes).await {
                error!(error = %failure, "old rows could not be taken out of the database");
            }
        }
    };
    let rests = memory::keep_rests(&rooms.router, &rooms.store);
    tokio::join!(rooms.router.look_after(), prune, rooms.ledger.keep(), rests).0
}

/// The client for Discord's REST API.
///
/// # Errors
/// The token has characters that no token has, or the system's certificates can't be read.
pub fn rest(config: &Config, token: &SecretString, rng: fastrand::Rng) -> Result<Rest, Failure> {
    let base = &config.discord.api_base;
    let client = providers::wire::client(config.router.connect_timeout, base).map_err(|failure| {
        Problem::new(
            "discord.api_base",
            format!("the HTTP client could not be made: {failure}"),
            "check the system's CA certificates",
        )
    })?;
    Ok(Rest::new(client, base, token, rng).map_err(|_| GatewayFailure::WrongToken)?)
}
