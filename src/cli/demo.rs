//! `neverdark demo`: the whole service against an embedded Discord and scripted providers; nothing but the addresses is
//! different from the real thing.

use super::{Exit, ended, fail, faults, wrong_config};
use crate::{
    app::{self, App, Rooms},
    config::{self, Env, Loaded},
    message::UnixMillis,
    outcome::{Attempt, Outcome},
};
use sim::{
    Stage, discord,
    providers::Kind,
    scenario::{Act, Deed, Place, Player, Script, play},
    transcript::{Look, transcript},
};
use std::{
    fmt::Write,
    path::{Path, PathBuf},
    time::Duration,
};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

/// The conversation that the demo begins with.
const FIRST: &str = include_str!("demo/first.scene");
/// How long the bot may take for one answer before the demo goes on without it.
const PATIENCE: Duration = Duration::from_secs(120);
/// How often it is looked whether the bot has come to rest.
const LOOK_EVERY: Duration = Duration::from_millis(3);
/// Whom the terminal speaks for, and where.
const YOU: &str = "you";
const HERE: &str = "harbour";

#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("measured").args(["faults", "outage"]))]
pub(crate) struct Arguments {
    /// Play this scenario file and end
    file: Option<PathBuf>,
    /// The port of the chat page; any free one without it
    #[arg(long)]
    port: Option<u16>,
    /// Who answers: the script's providers, or those of the configuration
    #[arg(long, value_enum, default_value = "script")]
    providers: Who,
    /// Measure what people see of each fault that providers are known to commit, and print a table; 1 if any ended badly
    #[arg(long, conflicts_with_all = ["file", "port", "providers", "outage"])]
    faults: bool,
    /// Measure an outage of a minute under way, and print a table; 1 if people noticed too much of it
    #[arg(long, conflicts_with_all = ["file", "port", "providers"])]
    outage: bool,
    /// Only the faults or outages with this word in their names or groups
    #[arg(long, value_name = "WORD", requires = "measured")]
    only: Option<String>,
    /// Let alpha speak this dialect: openai, openai-responses, anthropic, gemini, completions or ollama
    #[arg(long, value_name = "KIND", value_parser = Kind::parse, requires = "faults", conflicts_with = "outage")]
    kind: Option<Kind>,
    /// Without the faults that take more than about five seconds
    #[arg(long, requires = "faults", conflicts_with = "outage")]
    quick: bool,
    /// JSON instead of tables
    #[arg(long, requires = "measured")]
    json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Who {
    Script,
    Config,
}

pub(crate) async fn run(arguments: Arguments, explicit: Option<&Path>, env: &Env) -> Exit {
    let Arguments { only, kind, quick, json, .. } = &arguments;
    let wanted = faults::Wanted { only: only.clone(), kind: *kind, is_quick: *quick, as_json: *json };
    match () {
        () if arguments.faults => faults::run(&wanted).await,
        () if arguments.outage => faults::run_outage(&wanted).await,
        () => Box::pin(converse(arguments, explicit, env)).await,
    }
}

/// Plays a scene, or talks.
async fn converse(arguments: Arguments, explicit: Option<&Path>, env: &Env) -> Exit {
    let text = match &arguments.file {
        Some(file) => match std::fs::read_to_string(file) {
            Ok(text) => text,
            Err(failure) => {
                return fail(
                    Exit::Config,
                    &format!("the scenario {} can't be read: {failure}", file.display()),
                );
            }
        },
        None => FIRST.to_owned(),
    };
    let script = match Script::parse(&text) {
        Ok(script) => script,
        Err(mistakes) => return fail(Exit::Config, &format!("the scenario has mistakes:\n{mistakes}")),
    };
    let options = discord::Options { port: arguments.port, ..discord::Options::default() };
    let stage = match Stage::start(&script.cast, options).await {
        Ok(stage) => stage,
        Err(failure) => {
            return fail(
                Exit::Config,
                &format!("the embedded Discord could not start: {failure}; is the port taken?"),
            );
        }
    };
    stage.set_up(&script);
    let folder = match tempfile::tempdir() {
        Ok(folder) => folder,
        Err(failure) => return fail(Exit::Failed, &format!("no temporary folder could be made: {failure}")),
    };
    let configured = match arguments.providers {
        Who::Script => None,
        Who::Config => match load(explicit, env).await {
            Ok(loaded) => Some(loaded),
            Err(problems) => return wrong_config(&problems),
        },
    };
    let loaded = match configure(&stage, &script, folder.path(), configured) {
        Ok(loaded) => loaded,
        Err(problems) => return wrong_config(&problems),
    };
    let env = match arguments.providers {
        Who::Config => env.with("DISCORD_TOKEN", stage.discord.token()),
        Who::Script => environment(&stage),
    };
    let app = match App::build(loaded.config, &env, fastrand::Rng::new()).await {
        Ok(app) => app,
        Err(failure) => return ended(&failure),
    };
    let has_cast = arguments.providers == Who::Script;
    let show = Show { rooms: app.rooms.clone(), has_cast, stage, began: UnixMillis::now() };
    let stop = CancellationToken::new();
    let played = async {
        let exit = match arguments.file {
            Some(_) => show.play_file(&script).await,
            None => show.play_live(&script).await,
        };
        stop.cancel();
        exit
    };
    let (exit, served) = tokio::join!(played, app.run(stop.cancelled()));
    match served {
        Err(failure) => ended(&failure),
        Ok(()) => exit,
    }
}

/// The configured providers, and those that are found.
async fn load(explicit: Option<&Path>, env: &Env) -> Result<Loaded, config::Problems> {
    let mut loaded = config::load(explicit, env)?;
    app::find_local_servers(&mut loaded).await?;
    Ok(loaded)
}

/// The configuration: a file as an operator would write one, with the stage's addresses and the script's settings.
fn configure(
    stage: &Stage,
    script: &Script,
    folder: &Path,
    configured: Option<Loaded>,
) -> Result<Loaded, config::Problems> {
    // Whoever tries things out asks a lot.
    let file = format!(
        "[chat]\nedit_interval = \"300ms\"\n[limits]\nper_user = \"off\"\n{}",
        addresses(stage, folder)
    );
    let path = folder.join("demo.toml");
    std::fs::write(&path, file).map_err(|failure| {
        config::Problems(vec![config::Problem::new(
            "demo",
            failure.to_string(),
            "let the temporary folder be writable",
        )])
    })?;
    let env = stage.config(script).into_iter().map(|(key, value)| (variable(&key), value));
    let mut loaded = config::load(Some(&path), &env.collect())?;
    if let Some(configured) = configured {
        loaded.config.providers = configured.config.providers;
        loaded.config.router = configured.config.router;
    }
    Ok(loaded)
}

/// What has to be set to be on a stage, as TOML: where Discord is, where the database is, and a table a provider.
pub(super) fn addresses(stage: &Stage, folder: &Path) -> String {
    let mut file = format!(
        "[discord]\napi_base = \"{}\"\n[store]\nurl = \"sqlite://{}\"\n[status]\nlisten = \"off\"\n",
        stage.discord.base(),
        folder.join("demo.db").display()
    );
    for (place, role) in stage.providers.roles().iter().enumerate() {
        let key = role.key.as_ref().map(|_| key_variable(place)).unwrap_or_default();
        // Writing to a String cannot fail.
        let _ = writeln!(
            file,
            "[[providers]]\nname = \"{}\"\nkind = \"{}\"\nbase_url = \"{}\"\nmodel = \"{}\"\napi_key_env = \"{key}\"",
            role.name, role.kind, role.base_url, role.model
        );
    }
    file
}

/// The variables that go with [`addresses`]: the bot's token, and the providers' keys.
pub(super) fn environment(stage: &Stage) -> Env {
    let keys = stage.providers.roles().into_iter().enumerate();
    let keys = keys.filter_map(|(place, role)| Some((key_variable(place), role.key?)));
    keys.chain([("DISCORD_TOKEN".to_owned(), stage.discord.token().to_owned())]).collect()
}

/// The variable with the key of the provider at this place of the cast.
fn key_variable(place: usize) -> String {
    format!("KEY_OF_{place}")
}

/// `router.strategy` as an environment variable.
fn variable(key: &str) -> String {
    format!("NEVERDARK__{}", key.to_uppercase().replace('.', "__"))
}

struct Show {
    rooms: Rooms,
    /// Whether the script's providers answer, and not those of the configuration.
    has_cast: bool,
    stage: Stage,
    began: UnixMillis,
}

impl Show {
    async fn settle(&self) -> bool {
        let metrics = self.rooms.chat.metrics();
        let rest = async {
            let mut calm = 0;
            // An event that was just taken in may not have begun to be looked at.
            while calm < 3 {
                sleep(LOOK_EVERY).await;
                calm = if metrics.is_idle() { calm + 1 } else { 0 };
            }
        };
        timeout(PATIENCE, rest).await.is_ok()
    }

    /// Plays a file and prints what people saw, and the ledger.
    async fn play_file(&self, script: &Script) -> Exit {
        let played = play(script, &self.stage, || Box::pin(self.settle())).await;
        say!("{}", transcript(&self.stage.discord, Look::default()));
        say!("{}", self.ledger(0).await.1);
        match played {
            Ok(()) => Exit::Done,
            Err(mistake) => fail(Exit::Failed, &mistake),
        }
    }

    /// Plays the first conversation, printing as it goes, then whatever is typed.
    async fn play_live(&self, script: &Script) -> Exit {
        say_line!("The chat page: {}\n", self.stage.discord.base());
        if timeout(PATIENCE, self.stage.discord.connected()).await.is_err() {
            return fail(Exit::Failed, &"the bot did not connect to the embedded Discord");
        }
        let mut told = Told::default();
        let mut player = Player::new(&self.stage);
        for step in &script.steps {
            let concerns_the_cast = matches!(step.act, Act::Break { .. } | Act::Heal(_) | Act::Health { .. });
            if concerns_the_cast && !self.has_cast {
                continue;
            }
            announce(&step.act);
            if let Err(mistake) = player.perform(&step.act).await {
                return fail(Exit::Failed, &mistake);
            }
            self.rest().await;
            self.tell(&mut told).await;
        }
        say_line!(
            "\nNow you: a line is a message to the bot · /provider list (or any other command) · !break alpha 500 · !heal alpha · Ctrl-D ends"
        );
        let mut lines = BufReader::new(tokio::io::stdin()).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            match act(line.trim()) {
                None => {}
                Some(Err(mistake)) => say_line!("          ({mistake})"),
                Some(Ok(act)) => {
                    match player.perform(&act).await {
                        Ok(()) => announce(&act),
                        Err(mistake) => say_line!("          ({mistake})"),
                    }
                    self.rest().await;
                    self.tell(&mut told).await;
                }
            }
        }
        Exit::Done
    }

    /// Waits until the bot has heard everything and has nothing left to do.
    async fn rest(&self) {
        if let Ok(true) = timeout(PATIENCE, self.stage.discord.barrier()).await {
            self.settle().await;
        }
    }

    /// Prints what is new since the last time.
    async fn tell(&self, told: &mut Told) {
        let now = transcript(&self.stage.discord, Look::default());
        match now.strip_prefix(told.transcript.as_str()) {
            Some(new) => say!("{new}"),
            // Something above has changed, such as a message that was deleted.
            None => say!("{now}"),
        }
        let (turns, ledger) = self.ledger(told.turns).await;
        say!("{ledger}");
        *told = Told { transcript: now, turns };
    }

    /// Who was asked, and how it went: a line for each turn after the first `told`.
    async fn ledger(&self, told: usize) -> (usize, String) {
        let turns = self.rooms.store.turns_since(self.began).await.unwrap_or_default();
        let mut out = String::new();
        for turn in turns.iter().skip(told) {
            self.rooms.ledger.flush().await;
            let attempts = self.rooms.store.attempts_of(turn).await.unwrap_or_default();
            let attempts: Vec<String> = attempts.iter().map(attempt).collect();
            let _ = writeln!(out, "  ledger      {}", attempts.join(" · "));
        }
        (turns.len(), out)
    }
}

#[derive(Default)]
struct Told {
    transcript: String,
    turns: usize,
}

/// `alpha failed: overloaded (HTTP 503) after 2 ms`
fn attempt(it: &Attempt) -> String {
    let how = match &it.outcome {
        Outcome::Failed(failed) => {
            let status = failed
                .http_status
                .filter(|it| *it != 200)
                .map(|it| format!(" (HTTP {it})"))
                .unwrap_or_default();
            format!("failed: {}{status}", failed.failure.as_str().replace('_', " "))
        }
        outcome => outcome.as_str().to_owned(),
    };
    format!("{} {how} after {} ms", it.provider, it.total.as_millis())
}

/// What happens behind the scenes is said, for nobody could see it.
fn announce(act: &Act) {
    match act {
        Act::Break { provider, behaviour } => say_line!("          ⚡ {provider}: {behaviour}"),
        Act::Heal(provider) => say_line!("          ⚡ {provider} is well again"),
        _ => {}
    }
}

/// What a typed line means.
fn act(line: &str) -> Option<Result<Act, String>> {
    if line.is_empty() {
        return None;
    }
    let place = Place::Channel(HERE.to_owned());
    let person = |deed| Act::Person { name: YOU.to_owned(), moderator: true, deed };
    Some(match line.strip_prefix('!') {
        Some(order) => {
            match order.trim().split_once(' ').map_or((order.trim(), ""), |(verb, rest)| (verb, rest.trim()))
            {
                ("heal", provider) if !provider.is_empty() => Ok(Act::Heal(provider.to_owned())),
                ("break", rest) => match rest.split_once(' ') {
                    Some((provider, behaviour)) => Ok(Act::Break {
                        provider: provider.to_owned(),
                        behaviour: behaviour.trim().to_owned(),
                    }),
                    None => Err("write !break PROVIDER BEHAVIOUR, such as !break alpha 500".to_owned()),
                },
                _ => Err("I know !break PROVIDER BEHAVIOUR and !heal PROVIDER".to_owned()),
            }
        }
        None if line.starts_with('/') => Ok(person(Deed::Run { place, command: line.to_owned() })),
        None => {
            let text =
                if line.contains("@neverdark") { line.to_owned() } else { format!("@neverdark {line}") };
            Ok(person(Deed::Say { place, text }))
        }
    })
}
