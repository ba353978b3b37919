//! The router's own share of a turn: providers in the process that answer at once, and turns that are heard to their end.
//!
//! `cargo bench --profile dist --bench router`. The first figure is the provider without a router; what the others are
//! above it is the router's.
#![expect(clippy::unwrap_used, reason = "a benchmark has no users and stops at the first trouble")]

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use futures::{FutureExt, StreamExt, future::BoxFuture, stream};
use neverdark::{
    message::{GuildId, Line, Prompt, Role, UnixMillis},
    outcome::{Failed, Failure, Usage},
    providers::{Finish, Piece, Pieces, Provider},
    router::{
        Ask, Ceilings, Circle, End, Event, Player, Router, Settings, Sharing, attempt::Limits,
        roster::BreakerSettings, strategy::Strategy,
    },
};
use std::{hint::black_box, sync::Arc, time::Duration};
use tokio::{
    runtime::{Builder, Runtime},
    time::Instant,
};

const ANSWER: &str = "An answer that is there at once.";

/// Answers at once, or refuses at once.
#[derive(Debug)]
struct AtOnce {
    name: String,
    refuses: bool,
}

impl Provider for AtOnce {
    fn name(&self) -> &str {
        &self.name
    }

    fn model(&self) -> &str {
        "at-once"
    }

    fn context_window(&self) -> u32 {
        128_000
    }

    fn cost(&self, _: Usage) -> Option<f64> {
        Some(0.001)
    }

    fn generate(&self, _: Arc<Prompt>) -> BoxFuture<'static, Result<Pieces, Failed>> {
        let refuses = self.refuses;
        async move {
            if refuses {
                return Err(Failed { http_status: Some(503), ..Failed::new(Failure::Overloaded, "503") });
            }
            let usage = Usage { tokens_in: Some(120), tokens_out: Some(8), is_estimated: false };
            let pieces =
                [Piece::Text(ANSWER.to_owned()), Piece::Usage(usage), Piece::Finish(Finish::Stop)].map(Ok);
            Ok(stream::iter(pieces).boxed())
        }
        .boxed()
    }

    fn health_check(&self) -> BoxFuture<'static, Result<(), Failed>> {
        async { Ok(()) }.boxed()
    }
}

/// So many providers; the first `refusing` ones always refuse.
fn players(count: usize, refusing: usize) -> Vec<Player> {
    let player = |place: usize| Player {
        provider: Arc::new(AtOnce { name: format!("provider-{place}"), refuses: place < refusing }),
        limits: Limits {
            first_token: Duration::from_secs(10),
            stall: None,
            attempt: Duration::from_secs(60),
        },
        ceilings: Ceilings { concurrent: 64, ..Ceilings::default() },
        weight: 1,
        price: Some((2.5, 10.0)),
    };
    (0..count).map(player).collect()
}

/// As by default, but the breaker never opens: each turn is to meet the provider that refuses.
fn router(strategy: Strategy, players: Vec<Player>) -> Router {
    let settings = Settings {
        strategy,
        attempts_per_provider: 2,
        turn_timeout: Duration::from_secs(90),
        hedge_after: None,
        hedge_budget: 0.05,
        retry_budget: 0.2,
        backoff: (Duration::from_millis(250), Duration::from_secs(8)),
        breaker: BreakerSettings {
            failures: u32::MAX,
            failure_rate: 1.0,
            min_calls: u32::MAX,
            window: Duration::from_secs(30),
            rest: Duration::from_secs(15),
            max_rest: Duration::from_secs(300),
        },
        rewrite: true,
        health_check: None,
        cache: (1000, Duration::from_secs(600)),
    };
    Router::new(players, settings, fastrand::Rng::with_seed(1))
}

/// A question with a past of `lines`.
fn ask(lines: usize) -> Ask {
    let line = |place: usize| Line {
        role: if place.is_multiple_of(2) { Role::User } else { Role::Assistant },
        speaker: (place.is_multiple_of(2)).then(|| "Ana".to_owned()),
        text: format!(
            "{place}: the lamp in the hall goes out whenever somebody opens the door to the garden."
        ),
    };
    let prompt = Prompt {
        system: "You are a helpful electrician.".to_owned(),
        lines: (0..lines).map(line).collect(),
        reply_tokens: 256,
        ..Prompt::default()
    };
    Ask { prompt: Arc::new(prompt), started_at: UnixMillis(1_700_000_000_000), ..Ask::default() }
}

/// Plays a turn and hears it to its end, which must be an answer.
async fn turn(router: &Router, ask: &Ask) {
    let mut performance = router.play(ask);
    let mut is_answered = false;
    while let Some(event) = performance.next().await {
        is_answered |= matches!(event, Event::Ended(End::Answered { .. }));
        black_box(event);
    }
    assert!(is_answered, "a turn without an answer is not what is measured");
}

/// The provider itself, heard to its end.
async fn alone(provider: &AtOnce, prompt: &Arc<Prompt>) {
    let mut pieces = provider.generate(Arc::clone(prompt)).await.unwrap();
    while let Some(piece) = pieces.next().await {
        black_box(piece.unwrap());
    }
}

/// One runtime entry for all turns of a sample: it is the router that is measured.
fn measure(runtime: &Runtime, times: u64, mut once: impl AsyncFnMut()) -> Duration {
    runtime.block_on(async {
        let began = Instant::now();
        for _ in 0..times {
            once().await;
        }
        began.elapsed()
    })
}

fn turns(criterion: &mut Criterion) {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let short = ask(10);
    let provider = AtOnce { name: "alone".to_owned(), refuses: false };
    criterion.bench_function("no router", |bencher| {
        bencher.iter_custom(|times| measure(&runtime, times, async || alone(&provider, &short.prompt).await));
    });
    let mut play = |group: &str, id: BenchmarkId, router: &Router, ask: &Ask| {
        let mut group = criterion.benchmark_group(group);
        group.bench_function(id, |bencher| {
            bencher.iter_custom(|times| measure(&runtime, times, async || turn(router, ask).await));
        });
        group.finish();
    };
    let strategies =
        [("priority", Strategy::Priority), ("hedged", Strategy::Hedged), ("adaptive", Strategy::Adaptive)];
    for (name, strategy) in strategies {
        for count in [1, 3, 8] {
            let router = router(strategy, players(count, 0));
            for lines in [10, 200] {
                let id = BenchmarkId::new(format!("{count} providers"), format!("{lines} lines"));
                play(name, id, &router, &ask(lines));
            }
        }
    }
    for count in [3, 8] {
        let router = router(Strategy::Priority, players(count, 1));
        play("the first refuses", BenchmarkId::from_parameter(format!("{count} providers")), &router, &short);
    }
    // What a turn of Discord pays for looking whether the same question is in flight.
    let sharing = Some(Sharing { circle: Circle::Server(GuildId(1)), cached: false, in_flight: true });
    for lines in [10, 200] {
        let router = router(Strategy::Hedged, players(3, 0));
        let shared = Ask { sharing, ..ask(lines) };
        play("asked once", BenchmarkId::from_parameter(format!("{lines} lines")), &router, &shared);
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .warm_up_time(Duration::from_secs(1))
        .measurement_time(Duration::from_secs(2))
        .sample_size(50)
        .without_plots();
    targets = turns
}
criterion_main!(benches);
