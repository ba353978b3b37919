//! The router with scripted providers and a paused clock: what happens, and when, as a transcript.

use super::*;
use crate::{
    outcome::{Outcome, Usage},
    providers::{Finish, Piece, Pieces},
};
use expect_test::{Expect, expect};
use futures::{FutureExt, StreamExt, future::BoxFuture, stream};
use std::{collections::VecDeque, fmt::Write};

/// `300ms ok`, `0ms 500`, `0ms 429/30`, `1s hang`, `100ms cut` …: what it does on each call, the last one for ever.
#[derive(Debug)]
struct Scripted {
    name: &'static str,
    lines: Mutex<VecDeque<&'static str>>,
    window: u32,
    log: Arc<Mutex<Vec<String>>>,
    born: Instant,
}

impl Provider for Scripted {
    fn name(&self) -> &str {
        self.name
    }
    fn model(&self) -> &str {
        "script"
    }
    fn context_window(&self) -> u32 {
        self.window
    }
    fn cost(&self, _: Usage) -> Option<f64> {
        None
    }
    fn generate(&self, _: Arc<Prompt>) -> BoxFuture<'static, Result<Pieces, Failed>> {
        let line = {
            let mut lines = self.lines.lock().unwrap();
            if lines.len() > 1 { lines.pop_front().unwrap() } else { lines[0] }
        };
        self.log.lock().unwrap().push(format!(
            "{:<7} {} is asked",
            format!("{:?}", self.born.elapsed()),
            self.name
        ));
        let name = self.name;
        async move {
            let (wait, what) = line.split_once(' ').unwrap();
            tokio::time::sleep(humantime::parse_duration(wait).unwrap()).await;
            let text = |text: &str| Ok(Piece::Text(text.to_owned()));
            let fail = |failure| Failed::new(failure, "");
            let pieces: Vec<Result<Piece, Failed>> = match what.split_once('/').unwrap_or((what, "")) {
                ("ok", _) => vec![text("hello from "), text(name), Ok(Piece::Finish(Finish::Stop))],
                ("cut", _) => vec![text("half an "), Err(fail(Failure::BrokenStream))],
                ("blank", _) => vec![text(" \n"), Ok(Piece::Finish(Finish::Stop))],
                ("think", _) => vec![Ok(Piece::Reasoning("hm".to_owned()))],
                ("silent" | "stall", _) => vec![],
                ("429", after) => {
                    let retry_after = after.parse().ok().map(Duration::from_secs_f64);
                    return Err(Failed { retry_after, ..fail(Failure::RateLimited) });
                }
                (word, _) => return Err(fail(Failure::parse(word).unwrap())),
            };
            let stays_open = matches!(what, "silent" | "stall" | "think");
            let begun = if what == "stall" { vec![text("half an ")] } else { vec![] };
            let rest = if stays_open { stream::pending().boxed() } else { stream::empty().boxed() };
            Ok(stream::iter(begun).chain(stream::iter(pieces)).chain(rest).boxed())
        }
        .boxed()
    }
    fn health_check(&self) -> BoxFuture<'static, Result<(), Failed>> {
        async { Ok(()) }.boxed()
    }
}

struct House {
    router: Router,
    log: Arc<Mutex<Vec<String>>>,
    born: Instant,
}

fn settings(strategy: Strategy) -> Settings {
    Settings {
        strategy,
        attempts_per_provider: 2,
        turn_timeout: Duration::from_secs(90),
        hedge_after: None,
        hedge_budget: 0.05,
        retry_budget: 0.2,
        backoff: (Duration::from_millis(250), Duration::from_secs(8)),
        breaker: BreakerSettings {
            failures: 5,
            failure_rate: 0.5,
            min_calls: 10,
            window: Duration::from_secs(30),
            rest: Duration::from_secs(15),
            max_rest: Duration::from_secs(300),
        },
        rewrite: true,
        health_check: None,
        cache: (0, Duration::ZERO),
    }
}

fn house(cast: &[(&'static str, &[&'static str])], settings: Settings) -> House {
    let log = Arc::<Mutex<Vec<String>>>::default();
    let born = Instant::now();
    let limits =
        Limits { first_token: Duration::from_secs(10), stall: None, attempt: Duration::from_secs(60) };
    let players = cast.iter().enumerate().map(|(place, (name, lines))| {
        let lines = Mutex::new(lines.iter().copied().collect());
        let window = 1000 * (1 + u32::try_from(place).unwrap());
        Player {
            provider: Arc::new(Scripted { name, lines, window, log: Arc::clone(&log), born }),
            limits,
            ceilings: Ceilings::default(),
            weight: 1,
            price: None,
        }
    });
    let router = Router::new(players.collect(), settings, fastrand::Rng::with_seed(1));
    House { router, log, born }
}

impl House {
    /// Plays one turn and writes down what happens.
    async fn turn(&self, wish: &Wish) -> String {
        let prompt = Arc::new(Prompt { reply_tokens: 100, ..Prompt::default() });
        let mut performance = self.router.play(&Ask { prompt, wish: wish.clone(), ..Ask::default() });
        while let Some(event) = performance.next().await {
            let line = match event {
                Event::Attempt(it) => {
                    let how = match &it.outcome {
                        Outcome::Failed(failed) => failed.failure.as_str(),
                        it => it.as_str(),
                    };
                    format!("{} {how} after {:?}", it.provider, it.total)
                }
                Event::Opened { provider, afresh, .. } => {
                    format!("{provider} speaks{}", if afresh { ", afresh" } else { "" })
                }
                Event::Text(text) => format!("“{text}”"),
                Event::ToolCall(call) => format!("{call:?}"),
                Event::Ended(End::Answered { provider, .. }) => format!("answered by {provider}"),
                Event::Ended(End::Exhausted(it)) => {
                    format!("nobody answered; again in {:?}, timed out: {}", it.try_again_in, it.timed_out)
                }
            };
            self.log.lock().unwrap().push(format!("{:<7}   {line}", format!("{:?}", self.born.elapsed())));
        }
        let mut out = String::new();
        for line in self.log.lock().unwrap().drain(..) {
            writeln!(out, "{line}").unwrap();
        }
        out
    }
}

async fn check(cast: &[(&'static str, &[&'static str])], strategy: Strategy, expected: Expect) {
    let house = house(cast, settings(strategy));
    expected.assert_eq(&house.turn(&Wish::default()).await);
}

#[tokio::test(start_paused = true)]
async fn a_rate_limited_provider_is_covered_by_the_next_one_at_once() {
    check(
        &[("alpha", &["100ms 429/30"]), ("beta", &["400ms ok"])],
        Strategy::Priority,
        expect![[r#"
        0ns     alpha is asked
        100ms     alpha rate_limited after 100ms
        100ms   beta is asked
        500ms     beta speaks
        500ms     “hello from ”
        500ms     “beta”
        500ms     beta answered after 400ms
        500ms     answered by beta
    "#]],
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_while_another_can_go_on() {
    let cast: [(&str, &[&str]); 3] =
        [("alpha", &["10ms server_error"]), ("beta", &["20ms connection"]), ("gamma", &["30ms ok"])];
    check(
        &cast,
        Strategy::Priority,
        expect![[r#"
        0ns     alpha is asked
        10ms      alpha server_error after 10ms
        10ms    beta is asked
        30ms      beta connection after 20ms
        30ms    gamma is asked
        60ms      gamma speaks
        60ms      “hello from ”
        60ms      “gamma”
        60ms      gamma answered after 30ms
        60ms      answered by gamma
    "#]],
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn the_only_provider_is_asked_again_after_a_pause() {
    check(
        &[("alpha", &["10ms server_error", "10ms ok"])],
        Strategy::Priority,
        expect![[r#"
        0ns     alpha is asked
        10ms      alpha server_error after 10ms
        175ms   alpha is asked
        185ms     alpha speaks
        185ms     “hello from ”
        185ms     “alpha”
        185ms     alpha answered after 10ms
        185ms     answered by alpha
    "#]],
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_short_rest_of_the_only_provider_is_waited_for() {
    let house = house(&[("alpha", &["10ms 429/2", "10ms ok"])], settings(Strategy::Priority));
    expect![[r#"
        0ns     alpha is asked
        10ms      alpha rate_limited after 10ms
        10ms      nobody answered; again in Some(2s), timed out: false
    "#]]
    .assert_eq(&house.turn(&Wish::default()).await);
    expect![[r#"
        2.01s   alpha is asked
        2.02s     alpha speaks
        2.02s     “hello from ”
        2.02s     “alpha”
        2.02s     alpha answered after 10ms
        2.02s     answered by alpha
    "#]]
    .assert_eq(&house.turn(&Wish::default()).await);
}

#[tokio::test(start_paused = true)]
async fn a_silent_provider_costs_its_limit_and_no_more() {
    check(
        &[("alpha", &["0ms silent"]), ("beta", &["50ms ok"])],
        Strategy::Priority,
        expect![[r#"
        0ns     alpha is asked
        10s       alpha timeout after 10s
        10s     beta is asked
        10.05s    beta speaks
        10.05s    “hello from ”
        10.05s    “beta”
        10.05s    beta answered after 50ms
        10.05s    answered by beta
    "#]],
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_slow_provider_is_hedged_and_the_faster_one_wins() {
    check(
        &[("alpha", &["9s ok"]), ("beta", &["300ms ok"])],
        Strategy::Hedged,
        expect![[r#"
        0ns     alpha is asked
        2.5s    beta is asked
        2.8s      alpha overtaken after 2.8s
        2.8s      beta speaks
        2.8s      “hello from ”
        2.8s      “beta”
        2.8s      beta answered after 300ms
        2.8s      answered by beta
    "#]],
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn in_a_race_the_first_text_wins() {
    let cast: [(&str, &[&str]); 3] =
        [("alpha", &["900ms ok"]), ("beta", &["700ms overloaded"]), ("gamma", &["800ms ok"])];
    check(
        &cast,
        Strategy::Race,
        expect![[r#"
        0ns     alpha is asked
        0ns     beta is asked
        0ns     gamma is asked
        700ms     beta overloaded after 700ms
        800ms     alpha overtaken after 800ms
        800ms     gamma speaks
        800ms     “hello from ”
        800ms     “gamma”
        800ms     gamma answered after 800ms
        800ms     answered by gamma
    "#]],
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_breaks_off_is_answered_afresh_by_the_next() {
    check(
        &[("alpha", &["10ms cut"]), ("beta", &["20ms ok"])],
        Strategy::Priority,
        expect![[r#"
        0ns     alpha is asked
        10ms      alpha speaks
        10ms      “half an ”
        10ms      alpha broken_stream after 10ms
        10ms    beta is asked
        30ms      beta speaks, afresh
        30ms      “hello from ”
        30ms      “beta”
        30ms      beta answered after 20ms
        30ms      answered by beta
    "#]],
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_stalls_is_answered_afresh_by_the_next() {
    check(
        &[("alpha", &["10ms stall"]), ("beta", &["20ms ok"])],
        Strategy::Priority,
        expect![[r#"
        0ns     alpha is asked
        10ms      alpha speaks
        10ms      “half an ”
        5.01s     alpha broken_stream after 5.01s
        5.01s   beta is asked
        5.03s     beta speaks, afresh
        5.03s     “hello from ”
        5.03s     “beta”
        5.03s     beta answered after 20ms
        5.03s     answered by beta
    "#]],
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn the_loser_of_a_race_can_still_save_the_turn() {
    check(
        &[("alpha", &["10ms cut"]), ("beta", &["20ms ok"])],
        Strategy::Race,
        expect![[r#"
        0ns     alpha is asked
        0ns     beta is asked
        10ms      beta overtaken after 10ms
        10ms      alpha speaks
        10ms      “half an ”
        10ms      alpha broken_stream after 10ms
        10ms    beta is asked
        30ms      beta speaks, afresh
        30ms      “hello from ”
        30ms      “beta”
        30ms      beta answered after 20ms
        30ms      answered by beta
    "#]],
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn blank_text_is_no_answer() {
    check(
        &[("alpha", &["10ms blank"]), ("beta", &["20ms ok"])],
        Strategy::Priority,
        expect![[r#"
        0ns     alpha is asked
        10ms      alpha empty after 10ms
        10ms    beta is asked
        30ms      beta speaks
        30ms      “hello from ”
        30ms      “beta”
        30ms      beta answered after 20ms
        30ms      answered by beta
    "#]],
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_not_shopped_around() {
    check(
        &[("alpha", &["10ms content_filtered"]), ("beta", &["20ms ok"])],
        Strategy::Priority,
        expect![[r#"
        0ns     alpha is asked
        10ms      alpha content_filtered after 10ms
        10ms      nobody answered; again in None, timed out: false
    "#]],
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_bad_request_gets_one_other_opinion() {
    let cast: [(&str, &[&str]); 3] =
        [("alpha", &["10ms bad_request"]), ("beta", &["10ms bad_request"]), ("gamma", &["10ms ok"])];
    check(
        &cast,
        Strategy::Priority,
        expect![[r#"
        0ns     alpha is asked
        10ms      alpha bad_request after 10ms
        10ms    beta is asked
        20ms      beta bad_request after 10ms
        20ms      nobody answered; again in None, timed out: false
    "#]],
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_long_prompt_goes_to_a_wider_window() {
    let cast: [(&str, &[&str]); 2] = [("small", &["10ms context_too_long"]), ("wide", &["10ms ok"])];
    check(
        &cast,
        Strategy::Priority,
        expect![[r#"
        0ns     small is asked
        10ms      small context_too_long after 10ms
        10ms    wide is asked
        20ms      wide speaks
        20ms      “hello from ”
        20ms      “wide”
        20ms      wide answered after 10ms
        20ms      answered by wide
    "#]],
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn when_nobody_answers_every_reason_is_told_and_no_pause_follows_the_last() {
    check(
        &[("alpha", &["0ms auth"]), ("beta", &["10ms server_error"])],
        Strategy::Priority,
        expect![[r#"
        0ns     alpha is asked
        0ns       alpha auth after 0ns
        0ns     beta is asked
        10ms      beta server_error after 10ms
        175ms   beta is asked
        185ms     beta server_error after 10ms
        185ms     nobody answered; again in Some(299.815s), timed out: false
    "#]],
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn the_turn_has_one_deadline() {
    let mut settings = settings(Strategy::Priority);
    settings.turn_timeout = Duration::from_secs(15);
    let house = house(&[("alpha", &["0ms silent"]), ("beta", &["0ms think"])], settings);
    expect![[r#"
        0ns     alpha is asked
        10s       alpha timeout after 10s
        10s     beta is asked
        15s       beta timeout after 5s
        15s       nobody answered; again in None, timed out: true
    "#]]
    .assert_eq(&house.turn(&Wish::default()).await);
}

#[tokio::test(start_paused = true)]
async fn a_pin_comes_first_and_strict_means_nobody_else() {
    let cast: [(&str, &[&str]); 2] = [("alpha", &["10ms ok"]), ("beta", &["10ms auth"])];
    let house = house(&cast, settings(Strategy::Priority));
    let pin = |strict| Wish { first: vec!["beta".to_owned()], strict, ..Wish::default() };
    expect![[r#"
        0ns     beta is asked
        10ms      beta auth after 10ms
        10ms    alpha is asked
        20ms      alpha speaks
        20ms      “hello from ”
        20ms      “alpha”
        20ms      alpha answered after 10ms
        20ms      answered by alpha
    "#]]
    .assert_eq(&house.turn(&pin(false)).await);
    expect![[r#"
        20ms      nobody answered; again in Some(299.99s), timed out: false
    "#]]
    .assert_eq(&house.turn(&pin(true)).await);
}

#[tokio::test(start_paused = true)]
async fn a_tripped_provider_is_left_alone_and_taken_back_after_one_probe() {
    let cast: [(&str, &[&str]); 2] = [
        (
            "alpha",
            &[
                "1ms server_error",
                "1ms server_error",
                "1ms server_error",
                "1ms server_error",
                "1ms server_error",
                "1ms ok",
            ],
        ),
        ("beta", &["1ms ok"]),
    ];
    let house = house(&cast, settings(Strategy::Priority));
    for _ in 0..5 {
        house.turn(&Wish::default()).await;
    }
    expect![[r#"
        10ms    beta is asked
        11ms      beta speaks
        11ms      “hello from ”
        11ms      “beta”
        11ms      beta answered after 1ms
        11ms      answered by beta
    "#]]
    .assert_eq(&house.turn(&Wish::default()).await);
    tokio::time::sleep(Duration::from_secs(15)).await;
    expect![[r#"
        15.011s alpha is asked
        15.012s   alpha speaks
        15.012s   “hello from ”
        15.012s   “alpha”
        15.012s   alpha answered after 1ms
        15.012s   answered by alpha
    "#]]
    .assert_eq(&house.turn(&Wish::default()).await);
}

#[tokio::test(start_paused = true)]
async fn cancelling_tells_what_was_under_way() {
    let house = house(&[("alpha", &["0ms stall"])], settings(Strategy::Priority));
    let prompt = Arc::new(Prompt { reply_tokens: 100, ..Prompt::default() });
    let mut performance = house.router.play(&Ask { prompt, started_at: UnixMillis(5), ..Ask::default() });
    assert!(matches!(performance.next().await, Some(Event::Opened { .. })));
    let cut = performance.cancel();
    assert_eq!(cut.len(), 1);
    assert_eq!(cut[0].outcome, Outcome::Cancelled);
    assert_eq!(cut[0].started_at, UnixMillis(5));
}

/// Random casts, random faults, many turns: each ends once, in time, within its calls; and whoever is healthy wins.
#[tokio::test(start_paused = true)]
async fn random_casts_always_end_once_and_a_healthy_provider_wins() {
    const FAULTS: [&str; 12] = [
        "5ms server_error",
        "5ms overloaded",
        "0ms connection",
        "5ms 429/3",
        "5ms 429",
        "0ms silent",
        "5ms stall",
        "5ms cut",
        "5ms blank",
        "5ms auth",
        "5ms quota_exhausted",
        "5ms malformed",
    ];
    const NAMES: [&str; 4] = ["alpha", "beta", "gamma", "delta"];
    for seed in 0..400 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let strategy = [Strategy::Priority, Strategy::Hedged, Strategy::Race][rng.usize(0..3)];
        let healthy = rng.usize(0..4);
        let cast: Vec<(&'static str, Vec<&'static str>)> = NAMES
            .iter()
            .enumerate()
            .map(|(place, name)| {
                let line = if place == healthy { "40ms ok" } else { FAULTS[rng.usize(0..FAULTS.len())] };
                (*name, vec![line])
            })
            .collect();
        let borrowed: Vec<(&'static str, &[&'static str])> =
            cast.iter().map(|(n, l)| (*n, l.as_slice())).collect();
        let house = house(&borrowed, settings(strategy));
        for _ in 0..5 {
            let began = Instant::now();
            let story = house.turn(&Wish::default()).await;
            let ends = story.matches("answered by").count();
            assert_eq!(ends, 1, "seed {seed}: a healthy provider wins\n{story}");
            assert!(began.elapsed() <= Duration::from_secs(90), "seed {seed}: in time\n{story}");
            let most = if strategy == Strategy::Race { 4 + 3 + 2 + 1 } else { 5 };
            assert!(story.matches("is asked").count() <= most, "seed {seed}: within the calls\n{story}");
        }
    }
}
