//! The chaos run: the real program, a town full of people, and every fault of Discord and of providers at once.

use super::{
    QUICK,
    audit::{Findings, SORTS, Tables, audit, ordered},
    storm::{RAIN, Storm},
    town::{Plan, Town},
};
use crate::process::bot::{Bot, Home};
use serde_json::Value;
use sim::discord::{Discord, Weather};
use std::{collections::BTreeMap, fmt::Write as _, path::Path, time::Duration};
use tokio::time::{Instant, sleep};

/// Questions in the short form, and from how many on a run is long.
const QUESTIONS: u64 = 60;
const LONG: u64 = 500;
/// What tales are asked for with: the longest has three parts.
const SIZE: usize = 5_000;
/// For so long the answers may take to end when nobody asks any more.
const END: Duration = Duration::from_secs(60);
/// How much more memory may be used at the end than in the middle.
const GROWTH: f64 = 0.10;
/// The share of requests that may be answered by a 429 that the bot brought about itself.
const LIMITED: f64 = 0.01;
/// Errors that the log may have: sentences that begin so.
const ALLOWED: [&str; 0] = [];

/// What the log has.
#[derive(Debug, Default)]
struct Log {
    errors: Vec<String>,
    warnings: BTreeMap<String, u64>,
    leaks: Vec<String>,
}

impl Log {
    fn read(text: &str, token: &str) -> Self {
        let mut log = Self::default();
        for line in text.lines() {
            let entry: Value = serde_json::from_str(line).unwrap_or_default();
            let message = entry["message"].as_str().unwrap_or(line);
            match entry["level"].as_str() {
                Some("ERROR") | None if !ALLOWED.iter().any(|it| message.starts_with(it)) => {
                    log.errors.push(line.chars().take(300).collect());
                }
                Some("WARN") => *log.warnings.entry(message.chars().take(60).collect()).or_default() += 1,
                _ => {}
            }
            if ["The tale of", "The end of", "tell me", token].iter().any(|it| line.contains(it)) {
                log.leaks.push(message.to_owned());
            }
        }
        log
    }
}

/// A run, over.
struct Report {
    findings: Findings,
    log: Log,
    memory: Vec<(Duration, u64)>,
    requests: u64,
    limited: u64,
    is_long: bool,
    table: String,
}

impl Report {
    /// The median of the memory around a moment of the run, given as a share of it.
    fn memory_at(&self, share: f64) -> u64 {
        let end = self.memory.last().map_or(Duration::ZERO, |it| it.0);
        let (from, to) = (end.mul_f64((share - 0.05).max(0.0)), end.mul_f64(share + 0.05));
        let within = |it: &&(Duration, u64)| it.0 >= from && it.0 <= to;
        let mut sizes: Vec<u64> = self.memory.iter().filter(within).map(|it| it.1).collect();
        sizes.sort_unstable();
        sizes.get(sizes.len() / 2).copied().unwrap_or_default()
    }

    /// How much the memory grew from the middle of the run to its end, as a share.
    fn growth(&self) -> f64 {
        let of = |share| u32::try_from(self.memory_at(share)).map_or(0.0, f64::from);
        of(0.95) / of(0.5) - 1.0
    }

    fn share_limited(&self) -> f64 {
        f64::from(u32::try_from(self.limited).unwrap_or(u32::MAX))
            / f64::from(u32::try_from(self.requests).unwrap_or(u32::MAX))
    }

    /// The checks that failed, a line each.
    fn failed(&self) -> String {
        let mut failed = self.findings.told(&SORTS);
        for error in self.log.errors.iter().take(5) {
            let _ = writeln!(failed, "an error in the log: {error}");
        }
        for leak in self.log.leaks.iter().take(5) {
            let _ = writeln!(failed, "text of people in the log: {leak}");
        }
        if self.share_limited() > LIMITED {
            let _ = writeln!(failed, "{} of {} requests were too many", self.limited, self.requests);
        }
        if self.is_long && self.growth() > GROWTH {
            let _ = writeln!(failed, "memory grew by {:.1} %", self.growth() * 100.0);
        }
        failed
    }
}

/// Lets people talk until so many questions are asked and answered, and looks at what is left.
async fn run(seed: u64, questions: u64) -> Report {
    let is_long = questions >= LONG;
    let cast = format!(
        "alpha: pace=4ms random seed={seed} fail=0.35 tale={SIZE} | beta: pace=6ms random seed={} fail=0.25 tale={SIZE} | \
         gamma: pace=3ms tale={SIZE}",
        seed + 1
    );
    let home = Home::new(&cast).await;
    let discord = &home.stage.discord;
    let mut rng = fastrand::Rng::with_seed(seed);
    let plan = if is_long {
        Plan { channels: 42, threads: 6, posts: 4, dms: 10 }
    } else {
        Plan { channels: 10, threads: 2, posts: 2, dms: 2 }
    };
    let mut town = Town::build(discord, plan, rng.fork());
    let settings = [
        ("NEVERDARK__CHAT__EDIT_INTERVAL", "400ms"),
        ("NEVERDARK__LOG__FORMAT", "json"),
        ("NEVERDARK__LOG__LEVEL", "info,neverdark=debug"),
        // Full long before the middle, or else their filling would look like a leak: what is kept, and how much each question has
        // of its conversation.
        ("NEVERDARK__ROUTER__CACHE__ENTRIES", "50"),
        ("NEVERDARK__CHAT__CONTEXT_MESSAGES", "6"),
    ];
    let bot = home.serve(&[&QUICK[..], &settings].concat()).await;
    let quiet = Duration::from_secs(if is_long { 10 } else { 3 });
    let mut storm = Storm::new(discord, rng.fork(), quiet);
    town.greet();
    sleep(Duration::from_secs(1)).await;
    discord.weather(Weather { seed, ..RAIN });
    let began = Instant::now();
    let mut memory = Vec::new();
    tokio::select! {
        () = storm.rage() => panic!("seed {seed}: it does not connect again after {:?}:\n{}", storm.faults, last_lines(&bot.log())),
        () = talk(discord, &mut town, &bot, questions, &mut rng, began, &mut memory) => {}
    }
    storm.calm();
    let (file, ended) = (home.path("data/neverdark.db"), Instant::now());
    while ended.elapsed() < END && !Tables::read(&file).await.is_done(&town.questions, discord) {
        sleep(Duration::from_millis(200)).await;
    }
    let took = began.elapsed();
    let (statuses, mishaps) = (discord.statuses(), discord.mishaps());
    let stopped = bot.stop().await;
    assert_eq!(stopped.code, Some(0), "{}", stopped.stderr);
    let tables = Tables::read(&file).await;
    let left = |what: &str| Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("chaos-{seed}.{what}"));
    std::fs::copy(&file, left("db")).unwrap();
    let log_file = left("log");
    std::fs::write(&log_file, format!("{}{}", stopped.stderr, calls(discord))).unwrap();
    let injected = ["429", "429 global"].iter().filter_map(|it| mishaps.get(it)).sum::<u64>();
    Report {
        findings: audit(discord, &tables, &town.questions, SIZE),
        log: Log::read(&stopped.stderr, discord.token()),
        memory,
        requests: statuses.values().sum(),
        limited: statuses.get(&429).copied().unwrap_or(0).saturating_sub(injected),
        is_long,
        table: format!(
            "chaos run, seed {seed}: {} questions in {} places, {took:.0?}\n  turns     {:?}\n  people    {:?}\n  gateway   {:?} {:?}\n  \
             mishaps   {mishaps:?}\n  requests  {statuses:?}\n  refused   {:?}\n  \
             its log is {}\n",
            town.questions.len(),
            town.places(),
            tables.states(),
            town.deeds,
            storm.faults,
            discord.sessions(),
            discord.refusals(),
            log_file.display(),
        ),
    }
}

/// The calls of Discord, a line each.
fn calls(discord: &Discord) -> String {
    let mut calls = String::new();
    for it in discord.requests() {
        writeln!(calls, "{:.3?} {} {} {} {}", it.at, it.method, it.path, it.status, it.summary).unwrap();
    }
    calls
}

/// The end of a log.
fn last_lines(log: &str) -> String {
    let lines: Vec<&str> = log.lines().collect();
    lines[lines.len().saturating_sub(60)..].join("\n")
}

async fn talk(
    discord: &Discord,
    town: &mut Town,
    bot: &Bot,
    questions: u64,
    rng: &mut fastrand::Rng,
    began: Instant,
    memory: &mut Vec<(Duration, u64)>,
) {
    while (town.questions.len() as u64) < questions {
        // While the bot is away people talk less, or most of a short run would be about that.
        if discord.sessions().live > 0 || rng.u8(0..6) == 0 {
            town.ask_somewhere();
        }
        if rng.u8(0..40) == 0 {
            town.change_a_mind();
        }
        memory.push((began.elapsed(), bot.memory_kib()));
        sleep(Duration::from_millis(rng.u64(20..120))).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_happens_each_question_ends_once() {
    let questions = ordered("NEVERDARK_CHAOS").unwrap_or(QUESTIONS);
    let seed = ordered("NEVERDARK_SEED").unwrap_or(1);
    let report = run(seed, questions).await;
    let mut table = report.table.clone();
    for sort in SORTS.iter().chain(&["unheard", "refused"]) {
        writeln!(table, "  {sort:<9} {}", report.findings.count(sort)).unwrap();
    }
    writeln!(
        table,
        "  429s      {} of {} requests ({:.2} %), without those of the weather",
        report.limited,
        report.requests,
        report.share_limited() * 100.0
    )
    .unwrap();
    writeln!(
        table,
        "  memory    KiB by tenths of the run {:?}, {:+.1} % from the middle to the end",
        (0..10).map(|it| report.memory_at(f64::from(it) / 10.0 + 0.05)).collect::<Vec<_>>(),
        report.growth() * 100.0
    )
    .unwrap();
    writeln!(
        table,
        "  log       {} errors, {} leaks, warnings {:?}",
        report.log.errors.len(),
        report.log.leaks.len(),
        report.log.warnings
    )
    .unwrap();
    println!("{table}{}", report.findings.told(&["unheard", "refused"]));
    let failed = report.failed();
    assert!(failed.is_empty(), "{table}{failed}");
}
