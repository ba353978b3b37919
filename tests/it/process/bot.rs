//! The program as a child: starts it, reads what it says, signals it, and waits for it; every wait has an end.

use serde_json::Value;
use sim::{
    Stage,
    discord::{Options, Shown},
    providers::Cast,
};
use std::{
    collections::HashSet,
    fmt::Write as _,
    fs,
    io::{Read, Write as _},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex, PoisonError},
    thread::{self, JoinHandle},
    time::Duration,
};
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

/// What has not come about after this long does not come about; the machine may be busy with other tests.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
/// How often a condition is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// Waits for something to come about.
///
/// # Panics
/// With `what` when it does not.
pub(crate) async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(it) = look().await {
            return it;
        }
        assert!(began.elapsed() < PATIENCE, "this did not come about: {what}");
        sleep(LOOK_EVERY).await;
    }
}

/// A stage, and a folder with a configuration for it.
pub(crate) struct Home {
    pub(crate) stage: Stage,
    folder: TempDir,
}

impl Home {
    /// With these providers, such as `alpha: 'Hello.' | beta: 500`.
    pub(crate) async fn new(cast: &str) -> Self {
        Self::with(cast, Options::default()).await
    }

    pub(crate) async fn with(cast: &str, options: Options) -> Self {
        let cast = Cast::parse(cast).expect("the cast can be read");
        let stage = Stage::start(&cast, options).await.expect("ports are free");
        let home = Self { stage, folder: TempDir::new().expect("a temporary folder") };
        fs::write(home.path("neverdark.toml"), home.config()).expect("the folder can be written");
        home
    }

    /// The configuration as an operator would write it, with the stage's addresses.
    pub(crate) fn config(&self) -> String {
        let mut file = format!(
            "[discord]\napi_base = \"{}\"\n[chat]\nedit_interval = \"30ms\"\nburst = \"0s\"\n[router]\nstrategy = \"priority\"\n\
             [limits]\nper_user = \"off\"\nconcurrent_per_user = 100\n\
             [store]\nurl = \"sqlite://data/neverdark.db\"\n[status]\nlisten = \"127.0.0.1:0\"\n",
            self.stage.discord.base()
        );
        for role in self.stage.providers.roles() {
            let (name, kind, url, model) = (role.name, role.kind, role.base_url, role.model);
            write!(
                file,
                "[[providers]]\nname = \"{name}\"\nkind = \"{kind}\"\nbase_url = \"{url}\"\nmodel = \"{model}\"\n"
            )
            .expect("writing to a String cannot fail");
        }
        file
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn database(&self) -> String {
        format!("sqlite://{}", self.path("data/neverdark.db").display())
    }

    /// `neverdark` with these arguments and the stage's configuration. Nothing of the tester's environment reaches it.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = program(self.folder.path(), arguments);
        command.env("NEVERDARK_CONFIG", self.path("neverdark.toml"));
        command.env("DISCORD_TOKEN", self.stage.discord.token());
        command
    }

    /// `neverdark run` with these settings over the file's.
    pub(crate) fn run(&self, settings: &[(&str, &str)]) -> Bot {
        let mut command = self.command(&["run"]);
        command.envs(settings.iter().copied());
        Bot::start(command, "")
    }

    /// `neverdark run`, and the bot is connected to Discord.
    pub(crate) async fn serve(&self, settings: &[(&str, &str)]) -> Bot {
        let bot = self.run(settings);
        bot.logged("connected to Discord").await;
        bot
    }

    /// What the bot's messages in a channel say now.
    pub(crate) fn answers(&self, channel: u64) -> Vec<String> {
        let shown = |it: Shown| (it.bot && !it.deleted).then_some(it.content);
        self.stage.discord.messages(channel).into_iter().filter_map(shown).collect()
    }

    /// Waits until people can read this.
    pub(crate) async fn shown(&self, channel: u64, text: &str) {
        assert!(
            self.stage.discord.shown_within(Some(channel), text, PATIENCE).await,
            "{text:?} is not shown but {:?}",
            self.answers(channel)
        );
    }

    /// One column of the database, as text, while nobody or somebody else has it open.
    pub(crate) async fn column(&self, query: &'static str) -> Vec<String> {
        let pool = sqlx::SqlitePool::connect(&self.database()).await.expect("the database is there");
        let rows = sqlx::query_scalar(query).fetch_all(&pool).await.expect("the query is right");
        pool.close().await;
        rows
    }
}

/// `neverdark` with these arguments, in this folder, and with an empty environment. What this machine runs at the usual ports of
/// local servers is not looked for.
pub(crate) fn program(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_neverdark"));
    command.args(arguments).current_dir(folder).env_clear();
    command.env("NEVERDARK__ROUTER__LOCAL_SERVERS", "");
    command
}

/// The program while it runs; it ends with this value at the latest.
pub(crate) struct Bot {
    child: Child,
    stdout: Heard,
    stderr: Heard,
}

/// How the program ended.
#[derive(Debug)]
pub(crate) struct Ended {
    /// The exit code; none after a signal that killed it.
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Bot {
    /// Starts a command that finds `typed` on stdin, and the end after it.
    pub(crate) fn start(command: Command, typed: &str) -> Self {
        Self::heard(command, typed, true)
    }

    /// Starts a command whose stdout is closed: the reader of a pipe has gone.
    pub(crate) fn unheard(command: Command) -> Self {
        Self::heard(command, "", false)
    }

    fn heard(mut command: Command, typed: &str, is_heard: bool) -> Self {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the program can be started");
        let mut stdin = child.stdin.take().expect("stdin is piped");
        let typed = typed.to_owned();
        // Who does not read it all closes the pipe, which is their right.
        thread::spawn(move || stdin.write_all(typed.as_bytes()));
        let stdout = child.stdout.take().expect("stdout is piped");
        let stdout = if is_heard { Heard::from(stdout) } else { Heard::from(std::io::empty()) };
        let stderr = Heard::from(child.stderr.take().expect("stderr is piped"));
        Self { child, stdout, stderr }
    }

    /// What it said on stderr so far.
    pub(crate) fn log(&self) -> String {
        self.stderr.text()
    }

    /// What it said on stdout so far.
    pub(crate) fn said(&self) -> String {
        self.stdout.text()
    }

    /// Waits until the log has this.
    pub(crate) async fn logged(&self, text: &str) {
        until(&format!("{text:?} is logged"), async || self.log().contains(text).then_some(())).await;
    }

    /// The status server's address, from the log: `http://127.0.0.1:PORT`.
    pub(crate) async fn status(&self) -> String {
        const BEFORE: &str = "status server: ";
        until("the log has the status server's address", async || {
            let log = self.log();
            let (_, after) = log.split_once(BEFORE)?;
            let (address, _) = after.split_once("/readyz")?;
            Some(address.to_owned())
        })
        .await
    }

    /// `TERM` or `INT`.
    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("sh").arg("-c").arg(format!("kill -{name} {}", self.child.id())).status();
        assert!(sent.expect("there is a shell").success(), "the signal was not sent");
    }

    /// `kill -9`.
    pub(crate) async fn kill(mut self) -> Ended {
        self.child.kill().expect("it runs");
        self.ended().await
    }

    /// `SIGTERM`, and the end.
    pub(crate) async fn stop(self) -> Ended {
        self.signal("TERM");
        self.ended().await
    }

    /// Waits until it ends by itself.
    pub(crate) async fn ended(mut self) -> Ended {
        let status = until("the program ends", async || self.child.try_wait().expect("it can be waited for"));
        let code = status.await.code();
        let ended = Ended { code, stdout: self.stdout.whole(), stderr: self.stderr.whole() };
        assert!(!ended.stderr.contains("panicked"), "{}", ended.stderr);
        ended
    }

    /// The memory that it has made its own, in KiB: what it holds without the pages of its files, which come as code is first run.
    #[cfg(target_os = "linux")]
    pub(crate) fn memory_kib(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("it runs");
        let size = status.lines().find_map(|it| it.strip_prefix("RssAnon:")).expect("the kernel says so");
        size.trim().trim_end_matches(" kB").parse().expect("a number")
    }

    /// Where its sockets lead, as `ADDRESS:PORT` in the kernel's hexadecimal form (`0100007F` is 127.0.0.1).
    #[cfg(target_os = "linux")]
    pub(crate) fn peers(&self) -> HashSet<String> {
        let of_process = |name: &str| format!("/proc/{}/{name}", self.child.id());
        let files = fs::read_dir(of_process("fd")).expect("it runs");
        let sockets: HashSet<String> = files
            .filter_map(|it| fs::read_link(it.ok()?.path()).ok())
            .filter_map(|it| Some(it.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned()))
            .collect();
        let mut peers = HashSet::new();
        for table in ["net/tcp", "net/tcp6", "net/udp", "net/udp6"] {
            let rows = fs::read_to_string(of_process(table)).unwrap_or_default();
            for row in rows.lines().skip(1) {
                let columns: Vec<&str> = row.split_whitespace().collect();
                if sockets.contains(columns[9]) {
                    peers.insert(columns[2].to_owned());
                }
            }
        }
        peers
    }
}

impl Drop for Bot {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A pipe that is read as it fills.
struct Heard {
    text: Arc<Mutex<Vec<u8>>>,
    reader: Option<JoinHandle<()>>,
}

impl Heard {
    fn from(mut pipe: impl Read + Send + 'static) -> Self {
        let text = Arc::new(Mutex::new(Vec::new()));
        let heard = Arc::clone(&text);
        let reader = thread::spawn(move || {
            let mut piece = [0; 4096];
            while let Ok(size @ 1..) = pipe.read(&mut piece) {
                heard.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(&piece[..size]);
            }
        });
        Self { text, reader: Some(reader) }
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.text.lock().unwrap_or_else(PoisonError::into_inner)).into_owned()
    }

    /// All of it, once the program has ended.
    fn whole(&mut self) -> String {
        if let Some(reader) = self.reader.take() {
            reader.join().expect("a reader does not panic");
        }
        self.text()
    }
}

/// A client for the status server.
pub(crate) struct Browser(reqwest::Client);

impl Browser {
    pub(crate) fn new() -> Self {
        let client = reqwest::Client::builder().no_proxy().timeout(PATIENCE).build();
        Self(client.expect("a client can be made"))
    }

    pub(crate) async fn get(&self, url: &str) -> (u16, String) {
        let response = self.0.get(url).send().await.expect("the status server answers");
        (response.status().as_u16(), response.text().await.expect("with a text"))
    }

    pub(crate) async fn json(&self, url: &str) -> (u16, Value) {
        let (status, body) = self.get(url).await;
        (status, serde_json::from_str(&body).expect("the body is JSON"))
    }
}
