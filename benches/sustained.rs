//! The program itself at a rate: how soon people see the first of an answer at ten turns a second, and what fifty a second cost.
//!
//! `cargo bench --profile dist --bench sustained` takes a minute; `-- --quick` a quarter of it. The real program runs as a child
//! against the embedded Discord and a provider that answers at once, both in this process, so that its CPU time and memory
//! (`/proc/PID/stat`, `/proc/PID/status`) are the bot's alone. Discord's limits are as they are: 50 calls a second, five
//! posts in five seconds in a channel.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a benchmark has no users and stops at the first trouble"
)]

use sim::{Stage, discord::Options, providers::Cast};
use std::{
    collections::HashSet,
    fs,
    process::{Child, Command, Stdio},
    sync::Arc,
    time::Duration,
};
use tempfile::TempDir;
use tokio::{
    task::JoinSet,
    time::{Instant, MissedTickBehavior, interval, sleep, timeout},
};

const PATIENCE: Duration = Duration::from_secs(30);
/// Side by side. At fifty turns a second each has one every two or three seconds, as five posts in five seconds allow.
const CHANNELS: usize = 128;
/// The kernel's unit of CPU time.
const TICKS_A_SECOND: f64 = 100.0;

/// The program while it runs.
struct Bot(Child);

impl Bot {
    fn proc(&self, file: &str) -> String {
        fs::read_to_string(format!("/proc/{}/{file}", self.0.id())).unwrap()
    }

    /// CPU time so far.
    fn cpu(&self) -> f64 {
        let stat = self.proc("stat");
        // The name may have spaces; user and system time are the 12th and 13th value behind it.
        let values: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
        (values[11].parse::<f64>().unwrap() + values[12].parse::<f64>().unwrap()) / TICKS_A_SECOND
    }

    /// A line of `status`, in MiB: `VmRSS` is the memory now, `VmHWM` the most so far.
    fn memory(&self, name: &str) -> f64 {
        let status = self.proc("status");
        let line = status.lines().find_map(|it| it.strip_prefix(name)).unwrap();
        line.split_whitespace().next().unwrap().parse::<f64>().unwrap() / 1024.0
    }
}

impl Drop for Bot {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

struct House {
    stage: Arc<Stage>,
    bot: Bot,
    _folder: TempDir,
}

async fn open() -> House {
    let cast =
        Cast::parse("alpha: 'An answer that is there at once, long enough to be worth showing.'").unwrap();
    let stage = Stage::start(&cast, Options::default()).await.unwrap();
    for channel in 0..CHANNELS {
        stage.discord.channel(&format!("c{channel}"));
    }
    let folder = tempfile::tempdir().unwrap();
    let role = &stage.providers.roles()[0];
    let file = folder.path().join("bench.toml");
    let text = format!(
        "[discord]\napi_base = \"{}\"\n[store]\nurl = \"sqlite://{}\"\n[status]\nlisten = \"off\"\n\
         [limits]\nper_user = \"off\"\nper_channel = \"off\"\nper_server = \"off\"\n\
         [router]\ncoalesce = false\ncache = {{ entries = 0 }}\n\
         [[providers]]\nname = \"{}\"\nbase_url = \"{}\"\nmodel = \"{}\"\nmax_concurrent = 0\n",
        stage.discord.base(),
        folder.path().join("bench.db").display(),
        role.name,
        role.base_url,
        role.model
    );
    fs::write(&file, text).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_neverdark"));
    command.args(["run", "--config", file.to_str().unwrap()]).env_clear().current_dir(folder.path());
    command.env("DISCORD_TOKEN", stage.discord.token()).env("NEVERDARK__LOG__LEVEL", "warn");
    command.env("NEVERDARK__ROUTER__LOCAL_SERVERS", "");
    let log = fs::File::create(folder.path().join("log")).unwrap();
    let bot = Bot(command.stdout(Stdio::null()).stderr(log).spawn().unwrap());
    let connected = timeout(PATIENCE, stage.discord.connected()).await;
    assert!(connected.is_ok(), "{}", fs::read_to_string(folder.path().join("log")).unwrap());
    House { stage: Arc::new(stage), bot, _folder: folder }
}

/// From the message to the first sight of its answer.
async fn turn(stage: Arc<Stage>, number: usize) -> Duration {
    let discord = &stage.discord;
    let channel = discord.channel(&format!("c{}", number % CHANNELS));
    // A person each: nobody is limited.
    let person = format!("p{number}");
    discord.person(&person);
    let mut changes = discord.watch();
    let began = Instant::now();
    let question = discord.say(&person, channel, &format!("@neverdark hello {number}"), None);
    let seen = async {
        while !discord.messages(channel).iter().any(|it| it.reply_to == Some(question)) {
            changes.changed().await.unwrap();
        }
        began.elapsed()
    };
    timeout(PATIENCE, seen).await.unwrap()
}

/// So many turns a second, whatever becomes of those before, for a time.
async fn run(house: &House, rate: u32, seconds: u32, from: usize) -> Vec<Duration> {
    let mut ticks = interval(Duration::from_secs(1) / rate);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut turns = JoinSet::new();
    for number in 0..(rate * seconds) as usize {
        ticks.tick().await;
        turns.spawn(turn(Arc::clone(&house.stage), from + number));
    }
    let mut took = turns.join_all().await;
    took.sort_unstable();
    took
}

fn report(what: &str, took: &[Duration], cpu: f64, seconds: f64, bot: &Bot) {
    let at = |share: f64| took[((took.len() - 1) as f64 * share) as usize];
    println!(
        "{what}: {} turns in {seconds:.1} s ({:.1} a second); event to first post p50 {:.1?}, p95 {:.1?}, p99 {:.1?}, most {:.1?}; \
         {:.0} % of one core ({:.2} ms a turn), {:.0} MiB now, {:.0} MiB at most",
        took.len(),
        took.len() as f64 / seconds,
        at(0.5),
        at(0.95),
        at(0.99),
        at(1.0),
        cpu / seconds * 100.0,
        cpu * 1000.0 / took.len() as f64,
        bot.memory("VmRSS:"),
        bot.memory("VmHWM:"),
    );
}

#[tokio::main]
async fn main() {
    let is_quick = std::env::args().any(|it| it == "--quick");
    let seconds = if is_quick { 5 } else { 20 };
    let load = fs::read_to_string("/proc/loadavg").unwrap();
    println!("load average before the run: {}", load.split(' ').next().unwrap());
    let house = open().await;
    let mut from = 0;
    // What is made once (statements, connections) is not what is measured.
    run(&house, 10, 2, from).await;
    from += 20;
    for rate in [10, 50] {
        let (began, before) = (Instant::now(), house.bot.cpu());
        let took = run(&house, rate, seconds, from).await;
        from += took.len();
        let passed = began.elapsed().as_secs_f64();
        report(&format!("{rate} a second"), &took, house.bot.cpu() - before, passed, &house.bot);
        sleep(Duration::from_secs(1)).await;
    }
    let requests = house.stage.discord.requests();
    let calls: HashSet<&str> = requests.iter().map(|it| it.name).collect();
    for call in calls {
        println!("{call}: {:?}", house.stage.discord.counts(call));
    }
}
