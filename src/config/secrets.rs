//! The environment, read once; and the secrets that it and files hold.

use super::{
    problem::Problem,
    settings::{Config, ProviderConfig},
};
use secrecy::{ExposeSecret as _, SecretString};
use std::{collections::BTreeMap, fmt, fs, path::Path};

/// The process's environment as it was at the start.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Env(BTreeMap<String, String>);

impl Env {
    /// Reads the process's environment: the one place that does.
    #[must_use]
    pub fn from_process() -> Self {
        let lossy = |it: std::ffi::OsString| it.to_string_lossy().into_owned();
        std::env::vars_os().map(|(name, value)| (lossy(name), lossy(value))).collect()
    }

    /// A variable's value. Empty is unset: that is what `NAME=${NAME:-}` in a compose file gives.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|it| !it.trim().is_empty())
    }

    /// The same with one more variable.
    #[must_use]
    pub fn with(&self, name: &str, value: &str) -> Self {
        let mut variables = self.0.clone();
        variables.insert(name.to_owned(), value.to_owned());
        Self(variables)
    }

    /// Every variable, sorted by name.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

impl<N: Into<String>, V: Into<String>> FromIterator<(N, V)> for Env {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(variables: I) -> Self {
        Self(variables.into_iter().map(|(name, value)| (name.into(), value.into())).collect())
    }
}

impl fmt::Debug for Env {
    /// Names only: values may be secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl Config {
    /// The bot's token, without the word `Bot` that some copy along with it.
    ///
    /// # Errors
    /// It is not set, its file cannot be read, or it cannot be a token.
    pub fn discord_token(&self, env: &Env) -> Result<SecretString, Problem> {
        const WHERE: &str = "Take the token from https://discord.com/developers/applications (your application, Bot, Reset Token)";
        let Some(path) = &self.discord.token_file else {
            let name = variable(&self.discord.token_env);
            let Some(token) = env.get(&self.discord.token_env) else {
                let message = format!("the bot has no token: {name} is not set");
                let fix =
                    format!("{WHERE} and set {name} to it, or name a file with it in discord.token_file.");
                return Err(Problem::new("discord.token_env", message, fix));
            };
            return clean(token, "Bot ").ok_or_else(|| {
                let message =
                    format!("what {name} holds cannot be a token: it has spaces or strange characters in it");
                Problem::new("discord.token_env", message, format!("{WHERE} again."))
            });
        };
        let token = read_file("discord.token_file", path)?;
        clean(token.expose_secret(), "Bot ").ok_or_else(|| {
            let message = format!(
                "what {} holds cannot be a token: it is empty or has more than one word",
                path.display()
            );
            Problem::new("discord.token_file", message, format!("{WHERE} and put only it in the file."))
        })
    }

    /// The key that callers of the router API must send; none when it is open, which only a loopback address may be.
    ///
    /// # Errors
    /// The address is not loopback and there is no key, or what is there cannot be one.
    pub fn router_api_key(&self, env: &Env) -> Result<Option<SecretString>, Problem> {
        let Some(listen) = self.api.listen else { return Ok(None) };
        let name = variable(&self.api.key_env);
        if let Some(text) = env.get(&self.api.key_env).filter(|it| !it.trim().is_empty()) {
            let message = format!(
                "{name} cannot be the key of the router API: it has spaces or strange characters in it"
            );
            let wrong = || Problem::new("api.key_env", message, "Use one word of letters, digits and signs.");
            return clean(text, "Bearer ").map(Some).ok_or_else(wrong);
        }
        if listen.ip().is_loopback() {
            return Ok(None);
        }
        let message = format!(
            "`api.listen` is {listen}, which others can reach, and there is no key: {name} is not set"
        );
        Err(Problem::new("api.listen", message, format!("Set {name}, or listen on 127.0.0.1.")))
    }
}

impl ProviderConfig {
    /// This provider's key; none when its table names none, as for a local server.
    ///
    /// # Errors
    /// The variable it names is not set, the file cannot be read, or what is there cannot be a key.
    pub fn api_key(&self, env: &Env) -> Result<Option<SecretString>, Problem> {
        let key = |name: &str| format!("providers.{}.{name}", self.name);
        let wrong = |which: &str, holder: &dyn fmt::Display| {
            let message = format!(
                "what {holder} holds cannot be the key of `{}`: it has spaces or strange characters in it",
                self.name
            );
            Problem::new(key(which), message, "Copy the key again; it is one word.")
        };
        if let Some(path) = &self.api_key_file {
            let text = read_file(&key("api_key_file"), path)?;
            return clean(text.expose_secret(), "Bearer ")
                .map(Some)
                .ok_or_else(|| wrong("api_key_file", &path.display()));
        }
        if self.api_key_env.is_empty() {
            return Ok(None);
        }
        let name = variable(&self.api_key_env);
        let Some(text) = env.get(&self.api_key_env) else {
            let message = format!("provider `{}` has no key: {name} is not set", self.name);
            let fix = format!("Set {name}; or write api_key_env = \"\" if this provider needs no key.");
            return Err(Problem::new(key("api_key_env"), message, fix));
        };
        clean(text, "Bearer ").map(Some).ok_or_else(|| wrong("api_key_env", &name))
    }
}

/// A variable's name for a message; not shown when somebody wrote the secret there instead.
fn variable(name: &str) -> &str {
    if is_variable_name(name) { name } else { "the variable it names" }
}

/// Whether this can be the name of a variable, and does not look like a secret that was written in its place.
pub(super) fn is_variable_name(name: &str) -> bool {
    /// Characters; names that people give in small letters are shorter, keys are longer.
    const LONGEST_SMALL: usize = 24;
    let legal = name.chars().all(|it| it.is_ascii_alphanumeric() || it == '_');
    let begins = name.starts_with(|it: char| it.is_ascii_alphabetic() || it == '_');
    let capital = !name.contains(|it: char| it.is_ascii_lowercase());
    legal && begins && (capital || name.len() < LONGEST_SMALL)
}

/// The secret without white space and `prefix`; none when it could not go into an HTTP header.
fn clean(text: &str, prefix: &str) -> Option<SecretString> {
    let text = text.trim();
    let text = text.strip_prefix(prefix).unwrap_or(text).trim();
    let fits = !text.is_empty() && text.chars().all(|it| it.is_ascii_graphic());
    fits.then(|| SecretString::from(text))
}

fn read_file(key: &str, path: &Path) -> Result<SecretString, Problem> {
    fs::read_to_string(path).map(SecretString::from).map_err(|why| {
        let message = format!("{} cannot be read: {why}", path.display());
        Problem::new(key, message, "Check the path, and that this user may read the file.")
    })
}
