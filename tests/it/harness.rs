//! Plays a scene with the whole service: the real serenity client, real sockets, a SQLite file; only the addresses are a stage's.

use expect_test::Expect;
use neverdark::{
    app::{App, Failure, Rooms},
    config::{self, Env, Loaded},
};
use sim::{
    Stage,
    discord::{Options, Shown},
    providers::RoleInfo,
    scenario::{Script, play},
    transcript::{Look, transcript},
};
use sqlx::{Connection, SqliteConnection, sqlite::SqliteConnectOptions};
use std::{
    fmt::Write,
    path::{Path, PathBuf},
    time::Duration,
};
use tokio::{
    task::JoinHandle,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

/// How long the service may take to come to rest, and to stop.
const PATIENCE: Duration = Duration::from_secs(30);
/// So long nothing may go on before the service counts as at rest: an event that was just read may not be in hand yet.
const CALM: Duration = Duration::from_millis(12);

/// What a test has unless its scene says otherwise: quick, in the order of the cast, and each question asked anew.
const USUAL: &str = r#"
[chat]
system_prompt = "Be kind."
edit_interval = "30ms"
queue_when_down = "0s"
burst = "0s"
[limits]
per_user = "off"
concurrent_per_user = 100
[router]
strategy = "priority"
backoff = { base = "10ms", max = "100ms" }
coalesce = false
cache = { entries = 0 }
[status]
listen = "off"
"#;

/// Plays a scene, and compares what people saw, and the ledger.
pub(crate) async fn check(scene: &str, expected: Expect) {
    let house = House::open(scene).await;
    house.play().await;
    house.looks_like(&expected).await;
    house.close();
}

/// A running service on a stage.
pub(crate) struct House {
    pub(crate) stage: Stage,
    pub(crate) rooms: Rooms,
    script: Script,
    pub(crate) database: PathBuf,
    stop: CancellationToken,
    served: JoinHandle<Result<(), Failure>>,
    _folder: tempfile::TempDir,
}

impl House {
    /// Starts the service on the scene's stage, and waits until it is connected and at rest; plays nothing yet.
    pub(crate) async fn open(scene: &str) -> Self {
        let script = Script::parse(scene).unwrap_or_else(|mistakes| panic!("the scene:\n{mistakes}"));
        let stage = Stage::start(&script.cast, Options::default()).await.unwrap();
        stage.set_up(&script);
        // Discord's limits are wide here, so that a scene does not take seconds; `limits.rs` has a scene about the real ones.
        for call in ["create", "edit", "delete", "typing", "edit original", "followup", "edit followup"] {
            stage.discord.set_limit(call, 1000, Duration::from_secs(1));
        }
        let folder = tempfile::tempdir().unwrap();
        let loaded = configure(&stage, &script, folder.path());
        let app = App::build(loaded.config, &environment(&stage), fastrand::Rng::with_seed(7)).await.unwrap();
        let (rooms, stop) = (app.rooms.clone(), CancellationToken::new());
        let stopped = stop.clone().cancelled_owned();
        #[expect(clippy::disallowed_methods, reason = "`stop` waits for it and `close` aborts it")]
        let served = tokio::spawn(app.run(stopped));
        let database = folder.path().join("test.db");
        let house = Self { stage, rooms, script, database, stop, served, _folder: folder };
        timeout(PATIENCE, house.stage.discord.connected()).await.expect("the service connects");
        house.rest().await;
        house
    }

    /// Plays the scene.
    pub(crate) async fn play(&self) {
        self.perform(&self.script).await;
    }

    /// Plays some more lines.
    pub(crate) async fn act(&self, lines: &str) {
        self.perform(&Script::parse(lines).unwrap_or_else(|mistakes| panic!("the lines:\n{mistakes}"))).await;
    }

    async fn perform(&self, script: &Script) {
        let played = play(script, &self.stage, || Box::pin(self.settle())).await;
        if let Err(mistake) = played {
            panic!("{mistake}\n{}", self.transcript());
        }
    }

    /// Waits until the service has taken in everything, and has nothing left to do.
    pub(crate) async fn rest(&self) {
        let heard = timeout(PATIENCE, self.stage.discord.barrier()).await;
        assert!(heard.is_ok_and(|it| it) && self.settle().await, "the service comes to rest");
    }

    async fn settle(&self) -> bool {
        let metrics = self.rooms.chat.metrics();
        let look_every = CALM / 4;
        let rest = async {
            let mut calm = Duration::ZERO;
            while calm < CALM {
                sleep(look_every).await;
                calm = if metrics.is_idle() { calm + look_every } else { Duration::ZERO };
            }
        };
        timeout(PATIENCE, rest).await.is_ok()
    }

    /// What people saw, without the ids of turns, which are random, and without moments.
    pub(crate) fn transcript(&self) -> String {
        transcript(&self.stage.discord, Look::BRIEF)
            .lines()
            .map(|it| without_time(&without_id(it)) + "\n")
            .collect()
    }

    /// Compares what people saw, and the ledger.
    pub(crate) async fn looks_like(&self, expected: &Expect) {
        assert!(!self.served.is_finished(), "the service ended before its time");
        expected.assert_eq(&format!("{}ledger\n{}", self.transcript(), self.ledger().await));
    }

    /// Who was asked and how it went: a line a turn, read from the tables as another program would.
    pub(crate) async fn ledger(&self) -> String {
        self.rooms.ledger.flush().await;
        let mut out = String::new();
        let turns: Vec<(String, String, Option<String>)> =
            self.rows("SELECT id, state, error FROM turns ORDER BY rowid").await;
        for (turn, state, error) in turns {
            let attempts: Vec<(String, String, Option<String>, Option<i64>)> = self
                .rows(&format!(
                    "SELECT provider, outcome, failure, retry_after_ms FROM attempts WHERE turn_id = '{turn}' ORDER BY step, id"
                ))
                .await;
            let mut line: Vec<String> = attempts
                .into_iter()
                .map(|(provider, outcome, failure, retry_after)| {
                    let failure = failure.map(|it| format!(": {it}")).unwrap_or_default();
                    let after = retry_after.map(|ms| format!(" ({} s)", ms / 1000)).unwrap_or_default();
                    format!("{provider} {outcome}{failure}{after}")
                })
                .collect();
            if line.is_empty() && state == "answered" {
                line.push("(no call)".to_owned());
            }
            if state != "answered" {
                let error = error.map(|it| format!(": {it}")).unwrap_or_default();
                line.push(format!("(turn {state}{error})"));
            }
            writeln!(out, "  {}", line.join(" · ")).unwrap();
        }
        out
    }

    /// Rows of the database.
    pub(crate) async fn rows<R>(&self, query: &str) -> Vec<R>
    where
        R: for<'r> sqlx::FromRow<'r, sqlx::sqlite::SqliteRow> + Send + Unpin,
    {
        let options = SqliteConnectOptions::new().filename(&self.database).read_only(true);
        let mut connection = SqliteConnection::connect_with(&options).await.unwrap();
        let query = sqlx::AssertSqlSafe(query.to_owned());
        let rows = sqlx::query_as(query).fetch_all(&mut connection).await.unwrap();
        connection.close().await.unwrap();
        rows
    }

    /// Changes the database as another program would.
    pub(crate) async fn write(&self, query: &str) {
        let options = SqliteConnectOptions::new().filename(&self.database);
        let mut connection = SqliteConnection::connect_with(&options).await.unwrap();
        sqlx::raw_sql(sqlx::AssertSqlSafe(query.to_owned())).execute(&mut connection).await.unwrap();
        connection.close().await.unwrap();
    }

    /// What a provider was asked, call by call: the lines of each prompt.
    pub(crate) fn prompts(&self, provider: &str) -> String {
        let mut out = String::new();
        for (number, call) in self.stage.providers.calls(provider).iter().enumerate() {
            writeln!(out, "call {}", number + 1).unwrap();
            for message in call.body["messages"].as_array().expect("a chat completion's messages") {
                let text = message["content"].as_str().unwrap().replace("\n\n", "\n").replace('\n', "\n    ");
                writeln!(out, "  {}: {text}", message["role"].as_str().unwrap()).unwrap();
            }
        }
        out
    }

    /// The bot's messages in a channel, oldest first.
    pub(crate) fn answers(&self, channel: &str) -> Vec<Shown> {
        let me = self.stage.discord.bot().name;
        let messages = self.stage.discord.messages(self.stage.discord.channel(channel));
        messages.into_iter().filter(|it| it.author == me && !it.deleted).collect()
    }

    /// Ends the scene. The service must be up still; it is not waited for, since a goodbye to the gateway takes a second.
    pub(crate) fn close(self) {
        assert!(!self.served.is_finished(), "the service ended before its time");
        self.served.abort();
    }

    /// Stops the service as SIGTERM does, and waits for its end.
    pub(crate) async fn stop(self) {
        assert!(!self.served.is_finished(), "the service ended before its time");
        self.stop.cancel();
        let served = timeout(PATIENCE, self.served).await.expect("the service stops");
        served.expect("no panic").expect("the service ends well");
    }
}

/// A file as an operator would write one, with the stage's addresses; the scene's settings go over it.
fn configure(stage: &Stage, script: &Script, folder: &Path) -> Loaded {
    let mut file = format!(
        "{USUAL}[discord]\napi_base = \"{}\"\n[store]\nurl = \"sqlite://{}\"\n",
        stage.discord.base(),
        folder.join("test.db").display()
    );
    for (place, role) in stage.providers.roles().iter().enumerate() {
        file += &provider_table(place, role);
    }
    let path = folder.join("test.toml");
    std::fs::write(&path, file).unwrap();
    let variable = |key: &str| format!("NEVERDARK__{}", key.to_uppercase().replace('.', "__"));
    let env = stage.config(script).into_iter().map(|(key, value)| (variable(&key), value));
    config::load(Some(&path), &env.collect()).unwrap_or_else(|problems| panic!("{problems}"))
}

/// A provider's table, as an operator would write it; the key is in the environment ([`key_variable`]).
pub(crate) fn provider_table(place: usize, role: &RoleInfo) -> String {
    let RoleInfo { name, kind, base_url, model, key } = role;
    let key = key.as_ref().map(|_| key_variable(place)).unwrap_or_default();
    format!(
        "[[providers]]\nname = \"{name}\"\nkind = \"{kind}\"\nbase_url = \"{base_url}\"\nmodel = \"{model}\"\napi_key_env = \"{key}\"\n"
    )
}

/// The variable with the key of the provider at this place of the cast.
pub(crate) fn key_variable(place: usize) -> String {
    format!("KEY_OF_{place}")
}

/// The token and the keys; and one that nobody wants.
fn environment(stage: &Stage) -> Env {
    let keys = stage.providers.roles().into_iter().enumerate();
    let keys = keys.filter_map(|(place, role)| Some((key_variable(place), role.key?)));
    let others = [("DISCORD_TOKEN", stage.discord.token()), ("ANOTHER_KEY", "sk-another")];
    keys.chain(others.map(|(name, value)| (name.to_owned(), value.to_owned()))).collect()
}

/// A line of a transcript with moments, as Discord has them, as `<t>`.
fn without_time(line: &str) -> String {
    match line.split_once("<t:").and_then(|(before, rest)| Some((before, rest.split_once('>')?.1))) {
        Some((before, after)) => format!("{before}<t>{}", without_time(after)),
        None => line.to_owned(),
    }
}

/// A line of a transcript with the turn's id at its end as `<id>`.
pub(crate) fn without_id(line: &str) -> String {
    let is_id = |word: &str| {
        word.len() == 10 && word.bytes().all(|it| b"0123456789abcdefghjkmnpqrstvwxyz".contains(&it))
    };
    match line.rsplit_once(' ') {
        Some((rest, last)) if is_id(last) && (rest.ends_with("-#") || rest.ends_with(" ·")) => {
            format!("{rest} <id>")
        }
        _ => line.to_owned(),
    }
}
