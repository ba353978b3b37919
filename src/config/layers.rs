//! Where settings come from: the file and the environment, each as one layer in which every value knows its place.

use super::{
    check::{self, Shape},
    extras::FREE_TABLES,
    problem::{ENVIRONMENT, Problem},
    secrets::Env,
    words::nearest,
};
use ::config::{ConfigError, Map, Source, Value, ValueKind};
use std::collections::{BTreeMap, BTreeSet};
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

/// What the environment's names of settings begin with; the double underscore stands for a dot.
const PREFIX: &str = "NEVERDARK__";

/// One source of settings.
#[derive(Clone, Debug, Default)]
pub(super) struct Layer(pub(super) Map<String, Value>);

impl Source for Layer {
    fn clone_into_box(&self) -> Box<dyn Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<Map<String, Value>, ConfigError> {
        Ok(self.0.clone())
    }
}

impl Layer {
    /// Reads a file's text; `name` is how its places begin.
    ///
    /// The `toml` crate is asked, not `config`'s own file source: it knows the line of every key, and reports every
    /// mistake in the syntax instead of the first.
    pub(super) fn from_toml(name: &str, text: &str) -> Result<Self, Vec<Problem>> {
        let (table, errors) = DeTable::parse_recoverable(text);
        let file = File { name, text };
        if errors.is_empty() {
            return Ok(Self(file.table(table.get_ref())));
        }
        let problem = |it: &toml::de::Error| {
            let fix =
                "Text goes in quotes, a list in [ ], and each setting on a line of its own: key = value.";
            let (line, column) = file.position(it.span().map_or(0, |span| span.start));
            Problem::new("", format!("this is not TOML: {}", it.message()), fix)
                .at(format!("{name}:{line}:{column}"))
        };
        // One slip often breaks what follows it on its line: the first error of a line is the one that helps.
        let mut lines = BTreeSet::new();
        let first_of_line =
            |it: &&toml::de::Error| lines.insert(file.position(it.span().map_or(0, |span| span.start)).0);
        Err(errors.iter().filter(first_of_line).map(problem).collect())
    }

    /// Where each table begins.
    pub(super) fn tables(&self) -> BTreeMap<String, String> {
        fn below(parent: &str, table: &Map<String, Value>, places: &mut BTreeMap<String, String>) {
            for (name, value) in table {
                let key = if parent.is_empty() { name.clone() } else { format!("{parent}.{name}") };
                if let ValueKind::Table(table) = &value.kind {
                    below(&key, table, places);
                    places.extend(value.origin().map(|place| (key, place.to_owned())));
                }
            }
        }
        let mut places = BTreeMap::new();
        below("", &self.0, &mut places);
        places
    }

    /// Reads the variables that begin with `NEVERDARK__`; `listed` providers are in the file.
    pub(super) fn from_env(env: &Env, shape: &Shape, listed: usize, problems: &mut Vec<Problem>) -> Self {
        let mut layer = Self::default();
        let mut indexes = BTreeSet::new();
        for (name, value) in env.iter().filter(|(name, _)| name.starts_with(PREFIX)) {
            let place = format!("{ENVIRONMENT}{name}");
            match Variable::resolve(name, shape) {
                Ok(variable) => {
                    indexes.extend(variable.index);
                    let kind = typed(value, variable.shape, &place);
                    layer.0.insert(variable.key, Value::new(Some(&place), kind));
                }
                Err(problem) => problems.push(problem.at(place)),
            }
        }
        let fresh: Vec<usize> = indexes.into_iter().filter(|index| *index >= listed).collect();
        if let Some((want, got)) = (listed..).zip(&fresh).find(|(want, got)| want != *got) {
            // A hole would become a provider without a name: better to say what is wrong than to report its parts.
            layer
                .0
                .retain(|key, _| !fresh.iter().any(|index| key.starts_with(&format!("providers[{index}]"))));
            problems.push(
                Problem::new(
                    format!("providers[{got}]"),
                    format!("there is no provider {want}, so provider {got} cannot follow it"),
                    format!(
                        "Number further providers from {want}: {PREFIX}PROVIDERS__{want}__NAME and so on."
                    ),
                )
                .at(format!("{ENVIRONMENT}{PREFIX}PROVIDERS__{got}__…")),
            );
        }
        layer
    }
}

/// The name of the variable that sets this key: `NEVERDARK__PROVIDERS__0__MODEL` for `providers[0].model`.
pub(super) fn variable_name(key: &str) -> String {
    let key = key.replace('[', ".").replace(']', "");
    format!("{PREFIX}{}", key.replace('.', "__").to_uppercase())
}

/// Whether this is the key of a table with keys of anybody's choice. Variables' names have no small letters and no `-`, so such
/// a table is one variable, as JSON.
fn is_free(key: &str) -> bool {
    key.rsplit('.').next().is_some_and(|it| FREE_TABLES.contains(&it))
}

/// A variable that names a setting.
struct Variable<'a> {
    key: String,
    shape: &'a serde_json::Value,
    /// Which provider it is about.
    index: Option<usize>,
}

impl<'a> Variable<'a> {
    fn resolve(name: &str, shape: &'a Shape) -> Result<Self, Problem> {
        let mut found = Variable { key: String::new(), shape: shape.root(), index: None };
        for part in name.trim_start_matches(PREFIX).to_lowercase().split("__") {
            found = found.step(part)?;
        }
        let is_ours = !found.key.is_empty() && !is_free(&found.key);
        if let Some(keys) = found.shape.as_object().filter(|_| is_ours) {
            let first = keys.keys().next().map_or("", String::as_str);
            let example = variable_name(&format!("{}.{first}", found.key));
            let fix = format!("Set its keys one by one, such as {example}.");
            return Err(Problem::new(&found.key, format!("`{}` is a table, not a value", found.key), fix));
        }
        if found.shape.as_array().is_some_and(|it| it.first().is_some_and(serde_json::Value::is_object)) {
            let fix = "Number the providers, such as NEVERDARK__PROVIDERS__0__MODEL.";
            return Err(Problem::new(&found.key, "`providers` is a list of tables, not a value", fix));
        }
        Ok(found)
    }

    fn step(self, part: &str) -> Result<Self, Problem> {
        match self.shape {
            _ if is_free(&self.key) => {
                let message = format!("the keys of `{}` cannot be set one by one", self.key);
                let fix = format!("Write the whole table as JSON in {}.", variable_name(&self.key));
                Err(Problem::new(&self.key, message, fix))
            }
            serde_json::Value::Object(keys) => {
                let key = if self.key.is_empty() { part.to_owned() } else { format!("{}.{part}", self.key) };
                match keys.get(part) {
                    Some(shape) => Ok(Self { key, shape, ..self }),
                    None => Err(unknown_variable(&self.key, &key, part, keys.keys().map(String::as_str))),
                }
            }
            serde_json::Value::Array(items) if items.first().is_some_and(serde_json::Value::is_object) => {
                let index = part.parse().ok().filter(|index| *index < check::MOST_PROVIDERS);
                let index: usize = index.ok_or_else(|| {
                    let fix = "Number the providers from 0, such as NEVERDARK__PROVIDERS__0__MODEL.";
                    Problem::new(&self.key, format!("`{part}` is not the number of a provider"), fix)
                })?;
                Ok(Self { key: format!("{}[{index}]", self.key), shape: &items[0], index: Some(index) })
            }
            _ => {
                let fix = format!("Set it with {}.", variable_name(&self.key));
                Err(Problem::new(
                    &self.key,
                    format!("`{}` is a value and has no key `{part}`", self.key),
                    fix,
                ))
            }
        }
    }
}

fn unknown_variable<'a>(
    parent: &str,
    key: &str,
    part: &str,
    known: impl Iterator<Item = &'a str> + Clone,
) -> Problem {
    if check::literal_secret(parent, key, part).is_some() {
        let message = format!("there is no setting `{key}`: settings name the variable that holds a key");
        let names_it = match parent {
            "discord" => "discord.token_env".to_owned(),
            "api" | "store" => format!("{parent}.key_env"),
            _ => format!("{parent}.api_key_env"),
        };
        let fix = format!("Set {} to the name of that variable.", variable_name(&names_it));
        return Problem::new(key, message, fix);
    }
    let name = |it: &str| {
        if parent.is_empty() { variable_name(it) } else { variable_name(&format!("{parent}.{it}")) }
    };
    match nearest(part, known.clone()) {
        Some(meant) => {
            let meant = name(meant);
            Problem::new(
                key,
                format!("there is no setting `{key}`: did you mean {meant}?"),
                format!("Rename the variable to {meant}, or unset it."),
            )
        }
        None => {
            let known: Vec<&str> = known.collect();
            let fix = format!("Unset it, or use one of: {}.", known.join(", "));
            Problem::new(key, format!("there is no setting `{key}`"), fix)
        }
    }
}

/// A variable's text as the type that its setting has; left as text where it cannot be, so that the check complains.
fn typed(value: &str, shape: &serde_json::Value, place: &String) -> ValueKind {
    let text = || ValueKind::String(value.to_owned());
    match shape {
        serde_json::Value::Bool(_) => value.parse().map_or_else(|_| text(), ValueKind::Boolean),
        serde_json::Value::Number(_) => (value.parse().map(ValueKind::I64))
            .or_else(|_| value.parse().map(ValueKind::Float))
            .unwrap_or_else(|_| text()),
        serde_json::Value::Array(_) => {
            // With the file's brackets and quotes, or without.
            let bare = value.trim();
            let bare = bare.strip_prefix('[').and_then(|it| it.strip_suffix(']')).unwrap_or(bare);
            let parts = bare.split(',').map(|it| it.trim().trim_matches('"')).filter(|it| !it.is_empty());
            ValueKind::Array(parts.map(|it| Value::new(Some(place), it)).collect())
        }
        serde_json::Value::Object(_) => match serde_json::from_str(value) {
            Ok(table @ serde_json::Value::Object(_)) => from_json(table, place).kind,
            _ => text(),
        },
        serde_json::Value::Null | serde_json::Value::String(_) => text(),
    }
}

fn from_json(value: serde_json::Value, place: &String) -> Value {
    let kind = match value {
        serde_json::Value::Null => ValueKind::Nil,
        serde_json::Value::Bool(it) => ValueKind::Boolean(it),
        serde_json::Value::Number(it) => match it.as_i64() {
            Some(whole) => ValueKind::I64(whole),
            None => it.as_f64().map_or(ValueKind::Nil, ValueKind::Float),
        },
        serde_json::Value::String(it) => ValueKind::String(it),
        serde_json::Value::Array(items) => {
            ValueKind::Array(items.into_iter().map(|it| from_json(it, place)).collect())
        }
        serde_json::Value::Object(keys) => {
            ValueKind::Table(keys.into_iter().map(|(key, it)| (key, from_json(it, place))).collect())
        }
    };
    Value::new(Some(place), kind)
}

/// A file while it is read.
struct File<'a> {
    name: &'a str,
    text: &'a str,
}

impl File<'_> {
    /// Line and column of a byte, both from 1.
    fn position(&self, byte: usize) -> (usize, usize) {
        let before = self.text.get(..byte).unwrap_or(self.text);
        let line = before.rsplit('\n').next().unwrap_or_default();
        (before.matches('\n').count() + 1, line.chars().count() + 1)
    }

    fn table(&self, table: &DeTable<'_>) -> Map<String, Value> {
        let entry = |(key, value): (&Spanned<_>, &Spanned<DeValue<'_>>)| {
            let name: &std::borrow::Cow<'_, str> = key.get_ref();
            (name.clone().into_owned(), self.value(value, key.span().start))
        };
        table.iter().map(entry).collect()
    }

    fn value(&self, value: &Spanned<DeValue<'_>>, start: usize) -> Value {
        let place = format!("{}:{}", self.name, self.position(start).0);
        let kind = match value.get_ref() {
            DeValue::String(text) => ValueKind::String(text.to_string()),
            DeValue::Boolean(it) => ValueKind::Boolean(*it),
            DeValue::Integer(it) => {
                let signed = i64::from_str_radix(it.as_str(), it.radix()).map(ValueKind::I64);
                let wide =
                    signed.or_else(|_| u64::from_str_radix(it.as_str(), it.radix()).map(ValueKind::U64));
                wide.unwrap_or_else(|_| ValueKind::String(it.as_str().to_owned()))
            }
            DeValue::Float(it) => it.as_str().parse().map_or_else(|_| ValueKind::Nil, ValueKind::Float),
            DeValue::Datetime(it) => ValueKind::String(it.to_string()),
            DeValue::Array(items) => {
                ValueKind::Array(items.iter().map(|it| self.value(it, it.span().start)).collect())
            }
            DeValue::Table(table) => ValueKind::Table(self.table(table)),
        };
        Value::new(Some(&place), kind)
    }
}
