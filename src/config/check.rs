//! Are the keys known, and are their values of the right type? Every mistake is found, not only the first.

use super::{
    extras::FREE_TABLES,
    layers::variable_name,
    problem::{ENVIRONMENT, Problem},
    settings::{Config, ProviderConfig},
    show,
    values::Price,
    words::nearest,
};
use ::config::{Map, Value, ValueKind};
use serde_json::Value as Json;
use std::collections::{BTreeMap, BTreeSet};

/// More providers than anybody lists; a bound, so that a slip in a variable's number makes no endless list.
pub(super) const MOST_PROVIDERS: usize = 100;

/// Whether this key's table is read whole: half of a price means nothing, and the keys of the free tables are not ours.
fn is_whole(name: &str) -> bool {
    name == "price" || FREE_TABLES.contains(&name)
}

/// Every key there is, each with its default, or where that says nothing another value, as an example of its type.
pub(super) struct Shape(Json);

impl Shape {
    pub(super) fn new() -> Self {
        let provider = ProviderConfig {
            vendor: Some("groq".to_owned()),
            temperature: Some(0.7),
            extra_headers: [("X-Title", "My bot")].into_iter().collect(),
            extra_query: [("api-version".to_owned(), "2024-10-21".to_owned())].into(),
            extra_body: std::iter::once(("reasoning_effort".to_owned(), "low".into())).collect(),
            price: Some(Price { input: 1.0, output: 1.0 }),
            daily_budget: Some(1.0),
            requests_per_minute: Some(1),
            tokens_per_minute: Some(1),
            ..ProviderConfig::default()
        };
        let mut example = Config { providers: vec![provider], ..Config::default() };
        // An empty list would show nobody how its items are written.
        for ids in [&mut example.chat.channels, &mut example.chat.forums, &mut example.limits.exempt_roles] {
            ids.push(1_234_567_890_123_456_789);
        }
        example.chat.trusted_links.push("wikipedia.org".to_owned());
        example.router.order.push("openai".to_owned());
        let mut shape = serde_json::to_value(example).unwrap_or_default();
        // A header's value is masked, which would be no example.
        if let Some(value) = shape.pointer_mut("/providers/0/extra_headers/X-Title") {
            *value = "My bot".into();
        }
        Self(shape)
    }

    pub(super) fn root(&self) -> &Json {
        &self.0
    }
}

/// What the check found.
pub(super) struct Checked {
    /// The settings that are in order; the others have their defaults.
    pub(super) config: Config,
    /// What is wrong with the rest.
    pub(super) problems: Vec<Problem>,
    /// Keys about which nothing more need be said: a problem has named them.
    pub(super) named: BTreeSet<String>,
    /// Where each key was written.
    pub(super) places: BTreeMap<String, String>,
}

/// Compares a tree of settings with the shape, and reads it; `tables` says where the file's tables begin.
pub(super) fn check(tree: &Value, shape: &Shape, tables: BTreeMap<String, String>) -> Checked {
    let mut walk = Walk { places: tables, ..Walk::default() };
    let good = match (&tree.kind, shape.root()) {
        (ValueKind::Table(table), Json::Object(keys)) => walk.table(&mut Vec::new(), table, keys, shape),
        _ => Json::Object(serde_json::Map::new()),
    };
    let config = serde_json::from_value(good).unwrap_or_else(|why| {
        walk.problems.push(Problem::new("", format!("the settings do not fit together: {why}"), ""));
        Config::default()
    });
    Checked { config, problems: walk.problems, named: walk.named, places: walk.places }
}

/// One step from the root to a setting.
#[derive(Clone)]
enum Step {
    Key(String),
    Index(usize),
}

#[derive(Default)]
struct Walk {
    problems: Vec<Problem>,
    named: BTreeSet<String>,
    places: BTreeMap<String, String>,
}

impl Walk {
    fn table(
        &mut self,
        path: &mut Vec<Step>,
        table: &Map<String, Value>,
        keys: &serde_json::Map<String, Json>,
        shape: &Shape,
    ) -> Json {
        let mut good = serde_json::Map::new();
        // The map has no order of its own; sorted, the same file gives the same messages.
        for (name, value) in table.iter().collect::<BTreeMap<_, _>>() {
            path.push(Step::Key(name.clone()));
            match keys.get(name) {
                Some(example) => {
                    self.remember_place(path, value);
                    let fine = self.setting(path, name, value, example, shape);
                    good.extend(fine.map(|it| (name.clone(), it)));
                }
                None => self.unknown(path, name, value, keys, shape),
            }
            path.pop();
        }
        Json::Object(good)
    }

    fn setting(
        &mut self,
        path: &mut Vec<Step>,
        name: &str,
        value: &Value,
        example: &Json,
        shape: &Shape,
    ) -> Option<Json> {
        match (example, &value.kind) {
            (Json::Object(keys), ValueKind::Table(table)) if !is_whole(name) => {
                Some(self.table(path, table, keys, shape))
            }
            (Json::Object(_), _) if path.len() == 1 => {
                let fix = format!("Write the line [{name}], and its settings below it.");
                self.report(path, value, format!("`{name}` is a section, not a value"), fix);
                None
            }
            (Json::Array(items), _) if path.len() == 1 => {
                let ValueKind::Array(tables) = &value.kind else {
                    let fix = format!("Write [[{name}]], with two brackets, above each of them.");
                    self.report(path, value, format!("`{name}` is a list of tables"), fix);
                    return None;
                };
                let keys = items.first().and_then(Json::as_object)?;
                Some(Json::Array(self.tables(path, tables, keys, shape)))
            }
            _ => self.leaf(path, value, example),
        }
    }

    fn tables(
        &mut self,
        path: &mut Vec<Step>,
        tables: &[Value],
        keys: &serde_json::Map<String, Json>,
        shape: &Shape,
    ) -> Vec<Json> {
        let mut good = Vec::new();
        for (index, value) in tables.iter().enumerate() {
            path.push(Step::Index(index));
            self.remember_place(path, value);
            if let ValueKind::Table(table) = &value.kind {
                good.push(self.table(path, table, keys, shape));
            } else {
                let fix = "Write [[providers]], with two brackets, above each of them.";
                self.report(path, value, format!("`{}` is not a table", key_of(path)), fix.to_owned());
            }
            path.pop();
        }
        good
    }

    /// Reads one setting as if it were alone, so that no mistake hides another.
    fn leaf(&mut self, path: &[Step], value: &Value, example: &Json) -> Option<Json> {
        let json = to_json(value);
        let alone = path.iter().rev().fold(json.clone(), |inner, step| match step {
            Step::Key(name) => Json::Object(std::iter::once((name.clone(), inner)).collect()),
            Step::Index(_) => Json::Array(vec![inner]),
        });
        let Err(why) = serde_json::from_value::<Config>(alone) else { return Some(json) };
        let key = key_of(path);
        let is_table = example.is_object();
        let json_example = example.to_string();
        let example = show::inline(example);
        let fix = match value.origin() {
            Some(place) if place.starts_with(ENVIRONMENT) && is_table => {
                format!("For example: {}='{json_example}'", variable_name(&key))
            }
            Some(place) if place.starts_with(ENVIRONMENT) => {
                format!("For example: {}={}", variable_name(&key), example.trim_matches(['"', '[', ']']))
            }
            _ => format!("For example: {} = {example}", last_name(path)),
        };
        self.report(path, value, format!("`{key}`: {}", plain(&why.to_string())), fix);
        None
    }

    fn unknown(
        &mut self,
        path: &[Step],
        name: &str,
        value: &Value,
        keys: &serde_json::Map<String, Json>,
        shape: &Shape,
    ) {
        let key = key_of(path);
        let parent = key_of(&path[..path.len().saturating_sub(1)]);
        if let Some(problem) = literal_secret(&parent, &key, name) {
            self.named.insert(problem.key.clone());
            self.problems.push(Problem { place: self.place(&key, value), ..problem });
            return;
        }
        let what = if parent.is_empty() { "section" } else { "key" };
        let known = || keys.keys().map(String::as_str);
        if let Some(meant) = nearest(name, known()) {
            self.named.insert(if parent.is_empty() { meant.to_owned() } else { format!("{parent}.{meant}") });
            let message = format!("unknown {what} `{key}`: did you mean `{meant}`?");
            return self.report(path, value, message, format!("Write `{meant}`, or remove it."));
        }
        if let Some(section) = section_with(name, shape) {
            let message = format!("unknown {what} `{key}`: `{name}` belongs in [{section}]");
            return self.report(path, value, message, format!("Move it below the line [{section}]."));
        }
        let fix = format!("Remove it, or use one of: {}.", known().collect::<Vec<_>>().join(", "));
        self.report(path, value, format!("unknown {what} `{key}`"), fix);
    }

    fn report(&mut self, path: &[Step], value: &Value, message: String, fix: String) {
        let key = key_of(path);
        self.named.insert(key.clone());
        let place = self.place(&key, value);
        self.problems.push(Problem { key, message, fix, place });
    }

    /// The layers are laid over each other table by table, and only values keep their places in that.
    fn place(&self, key: &str, value: &Value) -> Option<String> {
        value.origin().map(str::to_owned).or_else(|| self.places.get(key).cloned())
    }

    fn remember_place(&mut self, path: &[Step], value: &Value) {
        if let Some(place) = value.origin() {
            self.places.insert(key_of(path), place.to_owned());
        }
    }
}

/// The problem of a secret that stands in a file; none when the key is not a secret's.
///
/// Its value is not shown: the message may end in a log or in a bug report.
pub(super) fn literal_secret(parent: &str, key: &str, name: &str) -> Option<Problem> {
    let (by_env, by_file) = match (parent, name) {
        (parent, "api_key" | "key" | "apikey" | "token" | "secret") if parent.starts_with("providers") => {
            ("api_key_env = \"OPENAI_API_KEY\"", Some("api_key_file"))
        }
        ("discord", "token" | "bot_token" | "key" | "secret") => {
            ("token_env = \"DISCORD_TOKEN\"", Some("token_file"))
        }
        ("api", "key" | "api_key" | "token") => ("key_env = \"NEVERDARK_API_KEY\"", None),
        ("store", "key") => ("key_env = \"NEVERDARK_STORE_KEY\"", Some("key_file")),
        _ => return None,
    };
    let or_file = by_file.map_or_else(String::new, |it| format!(", or {it} to name a file"));
    let fix = format!("Use {by_env} to name the variable that holds it{or_file}.");
    Some(Problem::new(key, format!("unknown key `{key}`: keys do not belong in files"), fix))
}

/// The one section that has a key of this name.
fn section_with<'a>(name: &str, shape: &'a Shape) -> Option<&'a str> {
    let sections = shape.root().as_object()?;
    let mut found =
        sections.iter().filter(|(_, keys)| keys.get(name).is_some()).map(|(section, _)| section.as_str());
    let first = found.next()?;
    found.next().is_none().then_some(first)
}

fn key_of(path: &[Step]) -> String {
    let mut key = String::new();
    for step in path {
        match step {
            Step::Key(name) if key.is_empty() => key.push_str(name),
            Step::Key(name) => key.extend([".", name]),
            Step::Index(index) => key.push_str(&format!("[{index}]")),
        }
    }
    key
}

fn last_name(path: &[Step]) -> &str {
    match path.last() {
        Some(Step::Key(name)) => name,
        Some(Step::Index(_)) | None => "",
    }
}

fn to_json(value: &Value) -> Json {
    match &value.kind {
        ValueKind::Nil => Json::Null,
        ValueKind::Boolean(it) => Json::from(*it),
        ValueKind::I64(it) => Json::from(*it),
        ValueKind::U64(it) => Json::from(*it),
        ValueKind::I128(it) => Json::from(it.to_string()),
        ValueKind::U128(it) => Json::from(it.to_string()),
        // JSON has no such numbers; as text the type is refused and the message shows what was written.
        ValueKind::Float(it) if !it.is_finite() => Json::from(it.to_string()),
        ValueKind::Float(it) => Json::from(*it),
        ValueKind::String(it) => Json::from(it.as_str()),
        ValueKind::Table(it) => it.iter().map(|(name, value)| (name.clone(), to_json(value))).collect(),
        ValueKind::Array(it) => it.iter().map(to_json).collect(),
    }
}

/// Serde's sentence without Rust's names for types.
fn plain(why: &str) -> String {
    const WORDS: [(&str, &str); 12] = [
        ("expected u32", "expected a whole number from 0 on"),
        ("expected f64", "expected a number"),
        ("expected a boolean", "expected true or false"),
        ("expected a string", "expected text in quotes"),
        ("expected a sequence", "expected a list in [ ]"),
        ("expected a map", "expected a table in { }"),
        ("invalid type: ", "got "),
        ("invalid value: ", "got "),
        ("got string ", "got "),
        ("got integer ", "got "),
        ("got floating point ", "got "),
        ("got boolean ", "got "),
    ];
    let plain = WORDS.iter().fold(why.to_owned(), |text, (rust, word)| text.replace(rust, word));
    let mut shown: String = plain.chars().take(LONGEST_MESSAGE).collect();
    if shown.len() < plain.len() {
        shown.push('…');
    }
    shown
}

/// Characters; a value that is quoted in a message may be of any length.
const LONGEST_MESSAGE: usize = 240;
