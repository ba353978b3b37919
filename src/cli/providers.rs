//! `neverdark providers`: who is configured or was found, from where, which models they have, and how they are now.

mod json;
mod text;

use super::{Exit, health::Health, wrong_config};
use crate::{
    app,
    config::{self, Config, Env, Kind, Loaded, ProviderConfig},
    message::UnixMillis,
    outcome::{Failed, Rest},
    providers::{self, Model, Provider, wire::Clients},
    store::{Store, StoreError},
};
use futures::future::{BoxFuture, join_all};
use std::{cmp::Reverse, path::Path, sync::Arc, time::Duration};
use tokio::time::timeout;

/// For each provider's answers; they are all asked at once. Somebody sits and waits.
const WITHIN: Duration = Duration::from_secs(3);
/// The most models that are named in the place of one that is not listed.
const MOST_NEAR: usize = 3;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Ask nobody; local servers are not looked for then, either
    #[arg(long)]
    offline: bool,
    /// Name all the models that each provider lists
    #[arg(long, conflicts_with = "offline")]
    models: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// How a provider is.
#[derive(Debug)]
enum Now {
    /// Nobody asked it.
    NotAsked,
    /// It can't be asked, for this reason.
    Unfit(String),
    /// What it answered.
    Asked(Health),
}

/// What is known of a provider.
#[derive(Debug)]
struct Seen<'a> {
    provider: &'a ProviderConfig,
    /// Whether its key is there and can be one.
    has_key: bool,
    now: Now,
    /// What it lists; none: it was not asked, or gives no list.
    models: Option<Vec<Model>>,
    /// What the store remembers.
    rest: Option<Rest>,
}

/// All of it.
#[derive(Debug)]
struct Report<'a> {
    providers: Vec<Seen<'a>>,
    notes: Vec<String>,
    at: UnixMillis,
    /// Whether all models are named.
    names_models: bool,
}

pub(crate) async fn run(arguments: Arguments, explicit: Option<&Path>, env: &Env) -> Exit {
    let mut loaded = match config::load(explicit, env) {
        Ok(loaded) => loaded,
        Err(problems) => return wrong_config(&problems),
    };
    let found = match arguments.offline {
        true => config::require_providers(&loaded.config),
        false => app::find_local_servers(&mut loaded).await,
    };
    if let Err(problem) = found {
        return wrong_config(&problem.into());
    }
    let Loaded { config, warnings, mut notes, .. } = loaded;
    notes.extend(warnings.iter().filter(|it| it.key.starts_with("providers")).map(ToString::to_string));
    let at = UnixMillis::now();
    let rests = remembered(&config, at).await.unwrap_or_else(|failure| {
        notes.push(format!("who rests could not be read: {failure}"));
        Vec::new()
    });
    let providers = look(&config, env, arguments.offline, &rests).await;
    let report = Report { providers, notes, at, names_models: arguments.models };
    if arguments.json {
        say_line!("{}", report.json());
    } else {
        say!("{}", report.text());
    }
    Exit::Done
}

/// Who rests at this moment, by the store; nobody where there is none yet. It is only read, also beside a running bot.
async fn remembered(config: &Config, at: UnixMillis) -> Result<Vec<Rest>, StoreError> {
    if config.store.url == "sqlite::memory:" {
        return Ok(Vec::new());
    }
    let store = match Store::open_read_only(&config.store.url).await {
        Err(StoreError::Missing { .. }) => return Ok(Vec::new()),
        opened => opened?,
    };
    let rests = store.rests().await?;
    store.close().await?;
    Ok(rests.into_iter().filter(|it| it.until > at).collect())
}

/// Looks at every provider, in the order in which they are tried.
async fn look<'a>(config: &'a Config, env: &Env, offline: bool, rests: &[Rest]) -> Vec<Seen<'a>> {
    let mut providers: Vec<_> = config.providers.iter().collect();
    providers.sort_by_key(|it| config.router.rank(&it.name));
    let mut clients = Clients::default();
    let looks = providers.into_iter().map(|provider| {
        let questions = (!offline).then(|| Questions::to(provider, env, &mut clients));
        let has_key = provider.api_key(env).is_ok_and(|it| it.is_some());
        let is_its = |it: &&Rest| it.provider == provider.name && it.model == provider.model;
        let rest = rests.iter().find(is_its).cloned();
        async move {
            let (now, models) = match questions {
                None => (Now::NotAsked, None),
                Some(Err(why)) => (Now::Unfit(why), None),
                Some(Ok(questions)) => questions.ask().await,
            };
            Seen { provider, has_key, now, models, rest }
        }
    });
    let looks: Vec<_> = looks.collect();
    join_all(looks).await
}

/// What a provider is asked.
struct Questions {
    provider: Arc<dyn Provider>,
    models: BoxFuture<'static, Result<Vec<Model>, Failed>>,
}

impl Questions {
    /// The questions to a provider; the error says why it can't be asked.
    fn to(provider: &ProviderConfig, env: &Env, clients: &mut Clients) -> Result<Self, String> {
        let spec = app::spec(provider, env).map_err(|problem| problem.message)?;
        let client = clients
            .get(WITHIN, &provider.base_url)
            .map_err(|failure| format!("the HTTP client could not be made: {failure}"))?;
        let models = providers::list_models(spec.clone(), client.clone()).map_err(|it| it.to_string())?;
        let provider = providers::build(spec, client).map_err(|it| it.to_string())?;
        Ok(Self { provider, models })
    }

    async fn ask(self) -> (Now, Option<Vec<Model>>) {
        let health = Health::of(&*self.provider, WITHIN);
        let (health, models) = tokio::join!(health, timeout(WITHIN, self.models));
        (Now::Asked(health), models.ok().and_then(Result::ok))
    }
}

impl Seen<'_> {
    /// Its model in its list; none: it is not in it, or there is no list.
    fn listed(&self) -> Option<&Model> {
        let ProviderConfig { kind, model, .. } = self.provider;
        // Ollama takes a name without a tag for this one.
        let latest = (*kind == Kind::Ollama).then(|| format!("{model}:latest"));
        let is_it = |it: &&Model| it.id == *model || Some(&it.id) == latest.as_ref();
        self.models.as_ref()?.iter().find(is_it)
    }

    /// The listed models that may be meant, the likeliest first: where the list is short all of it.
    fn near(&self) -> Vec<&str> {
        let models = self.models.as_deref().filter(|_| self.listed().is_none()).unwrap_or_default();
        near(&self.provider.model, models.iter().map(|it| it.id.as_str()))
    }
}

/// The likest of these names, the likest first; all of them where they are few.
fn near<'a>(wanted: &str, names: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    /// Jaro and Winkler's number, in thousandths: above it names have a beginning or most letters in common.
    const LIKE: u32 = 850;
    let wanted = wanted.to_lowercase();
    let likeness = |name: &str| {
        let name = name.to_lowercase();
        let is_part = name.contains(&wanted) || wanted.contains(&name);
        (strsim::jaro_winkler(&wanted, &name) * 1000.0) as u32 + if is_part { 1000 } else { 0 }
    };
    let mut names: Vec<_> = names.map(|name| (likeness(name), name)).collect();
    names.sort_by_key(|(likeness, _)| Reverse(*likeness));
    let is_short = names.len() <= MOST_NEAR;
    let near = names.into_iter().filter(|(likeness, _)| is_short || *likeness >= LIKE);
    near.take(MOST_NEAR).map(|(_, name)| name).collect()
}

#[cfg(test)]
mod tests {
    use super::near;

    #[test]
    fn a_slip_finds_its_model() {
        let names = ["whisper-1", "gpt-6-sol", "gpt-4o", "gpt-4o-mini", "gpt-6-luna", "o3"];
        assert_eq!(near("gpt-4o-mni", names.into_iter()), ["gpt-4o", "gpt-4o-mini"]);
        assert_eq!(near("Gpt-6-Luna", names.into_iter())[0], "gpt-6-luna");
        assert!(near("claude", names.into_iter()).is_empty());
        assert_eq!(near("xyz", ["b", "a"].into_iter()), ["b", "a"]);
    }
}
