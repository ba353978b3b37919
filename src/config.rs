//! Every setting, from the file or the environment, read once at the start; whatever is wrong with them is reported at once.
//!
//! The `config` crate lays the environment over the file. The checks are ours: it would stop at the first mistake and
//! could not name its line.
//!
//! A setting is one field in `settings.rs` with its default. Its key in the file, its environment variable, the check of
//! its type and the guess at a misspelt key all follow from the field; `config/neverdark.toml` explains it to people, and a
//! test says so if it does not.

mod address;
mod check;
mod complete;
mod extras;
mod layers;
mod local;
mod problem;
mod secrets;
mod settings;
mod show;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_of_vendors;
mod validate;
mod values;
mod vendors;
mod words;

pub use extras::Headers;
pub use local::LocalServer;
pub use problem::{Problem, Problems};
pub use secrets::Env;
pub use settings::{
    ApiConfig, Backoff, Breaker, Cache, ChatConfig, Config, DiscordConfig, LimitsConfig, LogConfig, Origin,
    ProviderConfig, RouterConfig, Source, Sources, StatusConfig, StoreConfig, TimeLimits,
};
pub use show::effective_toml;
pub use validate::{require_providers, validate};
pub use values::{
    Footer, HedgeAfter, Kind, LogFormat, OnBrokenStream, Price, Rate, RegisterCommands, RespondTo,
    StallTimeout, Strategy, TrainsOnData,
};
pub use vendors::{Model, Vendor};

use ::config::ValueKind;
use check::{Checked, Shape, check};
use layers::Layer;
use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

/// The file that is read when nobody names one.
const USUAL_FILE: &str = "config/neverdark.toml";
/// The variable that names another one.
const FILE_VARIABLE: &str = "NEVERDARK_CONFIG";

/// A configuration that may be used, and what is worth saying about it.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The settings.
    pub config: Config,
    /// The file that was read; none when there is none.
    pub file: Option<PathBuf>,
    /// Keys that were kept back.
    pub warnings: Vec<Problem>,
    /// What else an operator may like to know, each a sentence without its full stop.
    pub notes: Vec<String>,
}

/// Reads the settings from `explicit`, else the file that `NEVERDARK_CONFIG` names, else `config/neverdark.toml` if it
/// exists; the environment goes over the file, and defaults fill the rest.
///
/// # Errors
/// Everything that is wrong, at once: a named file that cannot be read, TOML that is none, unknown keys, wrong types,
/// settings that make no sense.
pub fn load(explicit: Option<&Path>, env: &Env) -> Result<Loaded, Problems> {
    let named = explicit.or_else(|| env.get(FILE_VARIABLE).map(Path::new));
    let path = named.unwrap_or(Path::new(USUAL_FILE));
    match fs::read_to_string(path) {
        Ok(text) => assemble(Some((path, &text)), env),
        Err(why) if named.is_none() && why.kind() == io::ErrorKind::NotFound => assemble(None, env),
        Err(why) => {
            let message = format!("the configuration file {} cannot be read: {why}", path.display());
            let fix = match explicit {
                Some(_) => "Check the path after --config.",
                None if named.is_some() => "Check the path in NEVERDARK_CONFIG, or unset it.",
                None => "Let this user read it, or name another one with --config.",
            };
            Err(Problem::new("", message, fix).into())
        }
    }
}

/// The settings that a file's text and an environment make: [`load`] without the file system.
fn assemble(file: Option<(&Path, &str)>, env: &Env) -> Result<Loaded, Problems> {
    let from_file = match file {
        Some((path, text)) => Layer::from_toml(&path.to_string_lossy(), text).map_err(Problems::sorted)?,
        None => Layer::default(),
    };
    let listed = match from_file.0.get("providers").map(|it| &it.kind) {
        Some(ValueKind::Array(tables)) => tables.len(),
        _ => 0,
    };
    let shape = Shape::new();
    let mut problems = Vec::new();
    let tables = from_file.tables();
    let from_env = Layer::from_env(env, &shape, listed, &mut problems);
    let tree = ::config::Config::builder().add_source(from_file).add_source(from_env).build();
    let tree = tree.map_err(|why| Problem::new("", format!("the settings cannot be read: {why}"), ""))?.cache;

    let Checked { mut config, problems: unfit, named, places } = check(&tree, &shape, tables);
    problems.extend(unfit);
    for (index, provider) in config.providers.iter_mut().enumerate() {
        provider.origin = origin(index, listed, &places);
    }
    let (notes, kept_back) = complete(&mut config, &complete::said(&tree), env);
    let placed =
        |it: Problem| Problem { place: it.place.clone().or_else(|| place_of(&it.key, &places)), ..it };
    problems.extend(validate(&config).into_iter().filter(|it| !named.contains(&it.key)).map(placed));
    if problems.is_empty() {
        problems.extend(config.router_api_key(env).err().map(placed));
    }
    if !problems.is_empty() {
        return Err(Problems::sorted(problems));
    }
    let warnings = kept_back.into_iter().map(placed).collect();
    Ok(Loaded { config, file: file.map(|(path, _)| path.to_owned()), warnings, notes })
}

/// Where the provider of this number was found, when `listed` of them are in the file.
fn origin(index: usize, listed: usize, places: &BTreeMap<String, String>) -> Origin {
    let table = format!("providers[{index}]");
    if index >= listed {
        return Origin::Variables(layers::variable_name(&table));
    }
    let place = place_of(&table, places).filter(|it| !it.starts_with(problem::ENVIRONMENT));
    Origin::Table(place.unwrap_or_default())
}

/// Fills in what does not stand in the file: what providers' tables leave out, and the providers themselves when no table
/// names any. Returns notes and warnings.
fn complete(config: &mut Config, said: &[complete::Said], env: &Env) -> (Vec<String>, Vec<Problem>) {
    let end = config.discord.api_base.trim_end_matches('/').len();
    config.discord.api_base.truncate(end);
    if config.providers.is_empty() {
        let notes;
        (config.providers, notes) = complete::discover(env);
        return (notes, Vec::new());
    }
    let mut warnings = Vec::new();
    for (index, (provider, said)) in config.providers.iter_mut().zip(said).enumerate() {
        warnings.extend(complete::complete(index, provider, said, env));
    }
    (Vec::new(), warnings)
}

/// Where this key was written, or else the table that it is missing from, or else what stands beside it.
fn place_of(key: &str, places: &BTreeMap<String, String>) -> Option<String> {
    let mut key = key;
    loop {
        let below = format!("{key}.");
        let beside = || places.range(below.clone()..).next().filter(|(other, _)| other.starts_with(&below));
        if let Some(place) = places.get(key).or_else(|| beside().map(|(_, place)| place)) {
            return Some(place.clone());
        }
        key = &key[..key.rfind(['.', '['])?];
    }
}
