//! The bot's own share of a turn: the real service against the embedded Discord and a provider that answers at once.
//!
//! `cargo bench --profile dist --bench turn` prints criterion's estimates and, after them, the percentiles of every single
//! turn. What is measured is the whole path on loopback: gateway event, claim in SQLite (synced to disk), context, the
//! provider's HTTP call and the POST to Discord, which the embedded Discord's own work is a part of.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a benchmark has no users and stops at the first trouble"
)]

use criterion::{Criterion, criterion_group, criterion_main};
use neverdark::{
    app::{App, Rooms},
    config::{self, Env},
};
use sim::{Stage, discord::Options, providers::Cast};
use std::{fs, time::Duration};
use tempfile::TempDir;
use tokio::{
    runtime::Runtime,
    time::{Instant, sleep, timeout},
};
use tokio_util::sync::CancellationToken;

const PATIENCE: Duration = Duration::from_secs(20);
/// Conversations that are answered side by side.
const CHANNELS: usize = 32;

struct House {
    stage: Stage,
    rooms: Rooms,
    stop: CancellationToken,
    _folder: TempDir,
}

async fn open() -> House {
    let cast =
        Cast::parse("alpha: 'An answer that is there at once, long enough to be worth showing.'").unwrap();
    let stage = Stage::start(&cast, Options::default()).await.unwrap();
    // No answer is shared, since it is always the same question. Wide buckets: it is the bot that is measured, not its patience. Discord's 50 calls a second for a bot stay: the client
    // keeps them by itself, and they are the ceiling of the second figure.
    for call in ["create", "edit", "typing", "global"] {
        stage.discord.set_limit(call, 60_000, Duration::from_secs(1));
    }
    for channel in 0..CHANNELS {
        stage.discord.channel(&format!("c{channel}"));
    }
    let folder = tempfile::tempdir().unwrap();
    let role = &stage.providers.roles()[0];
    let file = folder.path().join("bench.toml");
    let text = format!(
        "[discord]\napi_base = \"{}\"\n[store]\nurl = \"sqlite://{}\"\n[status]\nlisten = \"off\"\n\
         [router]\ncoalesce = false\ncache = {{ entries = 0 }}\n[limits]\nper_user = \"off\"\nconcurrent_per_user = 10000\n\
         [[providers]]\nname = \"{}\"\nbase_url = \"{}\"\nmodel = \"{}\"\n",
        stage.discord.base(),
        folder.path().join("bench.db").display(),
        role.name,
        role.base_url,
        role.model
    );
    fs::write(&file, text).unwrap();
    let env: Env = [("DISCORD_TOKEN", stage.discord.token())].into_iter().collect();
    let loaded = config::load(Some(&file), &env).unwrap();
    let app = App::build(loaded.config, &env, fastrand::Rng::with_seed(1)).await.unwrap();
    let (rooms, stop) = (app.rooms.clone(), CancellationToken::new());
    let stopped = stop.clone();
    #[expect(clippy::disallowed_methods, reason = "it ends with the benchmark")]
    tokio::spawn(async move { Box::pin(app.run(stopped.cancelled())).await.unwrap() });
    timeout(PATIENCE, stage.discord.connected()).await.unwrap();
    House { stage, rooms, stop, _folder: folder }
}

impl House {
    /// From the message to the first sight of the answer.
    async fn first_sight(&self) -> Duration {
        let discord = &self.stage.discord;
        let channel = discord.channel("c0");
        let before = discord.messages(channel).len();
        let mut changes = discord.watch();
        let began = Instant::now();
        discord.say("ana", channel, "@neverdark hello", None);
        let seen = async {
            while discord.messages(channel).len() < before + 2 {
                changes.changed().await.unwrap();
            }
            began.elapsed()
        };
        let took = timeout(PATIENCE, seen).await.unwrap();
        self.idle().await;
        took
    }

    /// A turn in each channel at once, until all are closed in the store.
    async fn side_by_side(&self) -> Duration {
        let began = Instant::now();
        for channel in 0..CHANNELS {
            self.stage.discord.say(
                "ana",
                self.stage.discord.channel(&format!("c{channel}")),
                "@neverdark hello",
                None,
            );
        }
        assert!(timeout(PATIENCE, self.stage.discord.barrier()).await.unwrap());
        self.idle().await;
        began.elapsed()
    }

    async fn idle(&self) {
        while !self.rooms.chat.metrics().is_idle() {
            sleep(Duration::from_micros(200)).await;
        }
    }
}

fn turn(criterion: &mut Criterion) {
    let runtime = Runtime::new().unwrap();
    let house = runtime.block_on(open());
    let mut seen = Vec::new();
    criterion.bench_function("event to first post", |bencher| {
        bencher.iter_custom(|times| {
            runtime.block_on(async {
                let mut total = Duration::ZERO;
                for _ in 0..times {
                    let took = house.first_sight().await;
                    seen.push(took);
                    total += took;
                }
                total
            })
        });
    });
    seen.sort_unstable();
    let at = |share: f64| seen.get(((seen.len() as f64 - 1.0) * share) as usize).copied().unwrap_or_default();
    println!(
        "event to first post, {} turns: p50 {:?}, p95 {:?}, p99 {:?}, most {:?}\n",
        seen.len(),
        at(0.5),
        at(0.95),
        at(0.99),
        at(1.0)
    );
    let mut best = f64::INFINITY;
    let (mut turns, mut spent) = (0, 0.0);
    criterion.bench_function("32 turns side by side", |bencher| {
        bencher.iter_custom(|times| {
            runtime.block_on(async {
                let mut total = Duration::ZERO;
                for _ in 0..times {
                    let took = house.side_by_side().await;
                    best = best.min(took.as_secs_f64());
                    turns += CHANNELS;
                    spent += took.as_secs_f64();
                    total += took;
                }
                total
            })
        });
    });
    let channels = CHANNELS as f64;
    println!("turns a second: {:.0} on average, {:.0} at best", turns as f64 / spent, channels / best);
    house.stop.cancel();
    runtime.shutdown_timeout(Duration::from_secs(5));
}

criterion_group! {
    name = turns;
    config = Criterion::default().sample_size(20).measurement_time(Duration::from_secs(8)).without_plots();
    targets = turn
}
criterion_main!(turns);
