//! Suspicions of a review, each as the smallest world in which it would show.

use super::cast::{House, Script, house_of, house_with, question, settings};
use crate::{
    outcome::{Failed, Failure, Rest},
    providers::{Piece, Pieces, Provider},
    router::{
        Ask, Ceilings, End, Event, LOOK, Player, Router, Settings, UnixMillis,
        attempt::Limits,
        roster::Standing,
        strategy::{Strategy, Wish},
    },
};
use futures::{FutureExt, StreamExt, future::BoxFuture, future::join_all, stream};
use std::{collections::VecDeque, sync::Arc, time::Duration};
use tokio::time::{Instant, sleep, sleep_until, timeout};

fn looked_after(strategy: Strategy) -> Settings {
    Settings { health_check: Some(Duration::from_secs(30)), ..settings(strategy) }
}

fn calls(lines: &[&'static str]) -> Script {
    Script::Calls(std::sync::Mutex::new(lines.iter().copied().collect::<VecDeque<_>>()))
}

const WELL: &[&str] = &["100ms ok"];

/// Plays something while the background looks after the providers.
async fn beside_looks<T>(house: &House, play: impl Future<Output = T>) -> T {
    tokio::select! {
        never = house.router.look_after() => match never {},
        told = play => told,
    }
}

/// The first provider lets somebody wait.
fn is_doubted(router: &Router) {
    let (now, breaker) = (Instant::now(), router.shared.settings.breaker);
    let member = &mut router.shared.state().roster[0];
    let begun = member.begin(now).unwrap();
    assert!(member.is_doubted(begun, Failure::Timeout, &breaker, now));
    router.shared.tell_all();
}

/// Who was heard first, and after how long.
async fn first_text(house: &House) -> (String, Duration) {
    let began = Instant::now();
    let mut performance = house.router.play(&Ask { prompt: question(), ..Ask::default() });
    let mut first = ("nobody".to_owned(), Duration::ZERO);
    while let Some(event) = performance.next().await {
        if let Event::Opened { provider, .. } = event {
            first = (provider, began.elapsed());
        }
    }
    first
}

/// A rest that is over is over: whoever is doubted after it is looked at, and comes back.
#[tokio::test(start_paused = true)]
async fn who_is_doubted_after_a_rate_limit_is_looked_at() {
    let alpha = Script::Times(vec![(1000, "5ms 429/2"), (20_000, "0ms hang"), (u64::MAX, "100ms ok")]);
    let house =
        house_of(vec![("alpha", alpha, false), ("beta", calls(WELL), false)], looked_after(Strategy::Hedged));
    let play = async {
        first_text(&house).await;
        sleep_until(house.born + Duration::from_secs(5)).await;
        assert_eq!(first_text(&house).await.0, "beta");
        sleep_until(house.born + Duration::from_secs(30)).await;
        assert_eq!(first_text(&house).await.0, "alpha");
    };
    beside_looks(&house, play).await;
}

/// Twenty calls that are refused in the same breath are one refusal, not twenty.
#[tokio::test(start_paused = true)]
async fn a_burst_of_refusals_is_one_refusal() {
    let house = house_of(
        vec![("alpha", calls(&["5ms 429"]), false), ("beta", calls(WELL), false)],
        settings(Strategy::Priority),
    );
    join_all((0..20).map(|_| first_text(&house))).await;
    let standing = house.router.standings(house.born + Duration::from_millis(5))[0].resting_for;
    assert_eq!(standing, Some(Duration::from_secs(2)));
}

/// That a provider takes no more questions says nothing about those that it took.
#[tokio::test(start_paused = true)]
async fn a_rate_limit_of_one_turn_does_not_double_the_others() {
    let alpha = calls(&["900ms ok", "900ms ok", "900ms ok", "50ms 429/30"]);
    let house =
        house_of(vec![("alpha", alpha, false), ("beta", calls(WELL), false)], settings(Strategy::Hedged));
    join_all((0..4).map(|_| first_text(&house))).await;
    let told = house.told();
    assert_eq!(told.matches("beta is asked").count(), 1, "{told}");
}

/// A provider that says OK when it is looked at and hangs when people ask.
#[tokio::test(start_paused = true)]
async fn looks_that_lie_do_not_cost_every_turn() {
    for (turns, most) in [("0ms hang", 9), ("3s timeout", 9), ("5ms stall", 16), ("5ms server_error", 16)] {
        let house = house_of(
            vec![
                ("alpha", Script::TwoFaced { looks: "50ms ok", turns }, false),
                ("beta", calls(WELL), false),
            ],
            looked_after(Strategy::Hedged),
        );
        let play = async {
            for turn in 0..60 {
                sleep_until(house.born + Duration::from_secs(turn * 20)).await;
                first_text(&house).await;
            }
        };
        beside_looks(&house, play).await;
        let asked = house.told().matches("alpha is asked").count();
        assert!(asked <= most, "{turns}: {asked} of 60 turns");
    }
}

/// A probe that speaks has shown what it was to show: the others need not wait for the end of its speech.
#[tokio::test(start_paused = true)]
async fn nobody_waits_for_the_end_of_a_probes_answer() {
    let alpha = Script::Times(vec![(1000, "1ms connection"), (u64::MAX, "100ms lecture")]);
    let house = house_of(vec![("alpha", alpha, false)], settings(Strategy::Priority));
    for _ in 0..5 {
        first_text(&house).await;
    }
    sleep_until(house.born + Duration::from_secs(20)).await;
    let second = async {
        sleep(Duration::from_secs(2)).await;
        first_text(&house).await
    };
    let (first, second) = tokio::join!(first_text(&house), second);
    assert_eq!(first, ("alpha".to_owned(), Duration::from_millis(1100)));
    assert_eq!(second, ("alpha".to_owned(), Duration::from_millis(1100)));
}

/// Slow text is given up for somebody who can go on, not for somebody who has no room.
#[tokio::test(start_paused = true)]
async fn slow_text_is_kept_when_the_next_one_is_full() {
    let house = house_with(
        vec![("alpha", calls(&["0ms drip"]), false), ("beta", calls(WELL), false)],
        settings(Strategy::Priority),
        |place, mut player| {
            player.ceilings.daily_budget = (place == 1).then_some(0.0);
            player
        },
    );
    let told = house.turn(&Wish::default()).await;
    assert!(told.ends_with("answered by alpha\n"), "{told}");
}

/// Where nobody looks after them, doubt is no reason to stay with slow text.
#[tokio::test(start_paused = true)]
async fn without_looks_a_doubted_provider_is_an_understudy() {
    let house = house_of(
        vec![("alpha", calls(&["0ms drip"]), false), ("beta", calls(&["2s server_error", "10ms ok"]), false)],
        settings(Strategy::Priority),
    );
    house.turn(&Wish { first: vec!["beta".to_owned()], ..Wish::default() }).await;
    let told = house.turn(&Wish::default()).await;
    assert!(told.ends_with("answered by beta\n"), "{told}");
}

/// An answer that has said that it ends is whole, whatever is sent behind it.
#[tokio::test(start_paused = true)]
async fn nothing_behind_the_end_spoils_it() {
    for (what, within) in [("0ms linger", 1), ("0ms late", 6)] {
        let house = house_of(
            vec![("alpha", calls(&[what]), false), ("beta", calls(WELL), false)],
            settings(Strategy::Priority),
        );
        let told = house.turn(&Wish::default()).await;
        assert!(told.ends_with("answered by alpha\n"), "{told}");
        assert!(house.born.elapsed() < Duration::from_secs(within), "{told}");
    }
}

/// Neither tools nor blanks without an end are taken for ever.
#[tokio::test(start_paused = true)]
async fn a_flood_has_an_end() {
    let house = house_of(vec![("alpha", calls(&["0ms tools"]), false)], settings(Strategy::Priority));
    let mut performance = house.router.play(&Ask { prompt: question(), ..Ask::default() });
    let mut heard = 0;
    while let Some(event) = performance.next().await {
        if let Event::ToolCall(call) = event {
            heard += call.arguments.len();
        }
    }
    assert!(heard < 5 * 1024 * 1024, "{heard} bytes");
    let house = house_of(
        vec![("alpha", calls(&["0ms spaces"]), false), ("beta", calls(WELL), false)],
        settings(Strategy::Priority),
    );
    let told = house.turn(&Wish::default()).await;
    assert!(told.contains("alpha empty") && told.ends_with("answered by beta\n"), "{told}");
}

/// When somebody may be asked again is said of those who may be asked at all.
#[tokio::test(start_paused = true)]
async fn people_are_not_told_when_others_are_back() {
    let house = house_of(
        vec![("alpha", calls(&["0ms 429/10"]), false), ("beta", calls(&["0ms 429/100"]), false)],
        settings(Strategy::Priority),
    );
    house.turn(&Wish::default()).await;
    let wish = Wish { first: vec!["beta".to_owned()], strict: true, ..Wish::default() };
    let told = house.turn(&wish).await;
    assert!(told.contains("again in Some(100s)"), "{told}");
}

/// A wall clock that was wrong, here or before the restart, keeps nobody out for longer than any rest is.
#[tokio::test(start_paused = true)]
async fn a_rest_from_a_wrong_clock_is_bounded() {
    let house = house_of(vec![("alpha", calls(WELL), false)], settings(Strategy::Priority));
    for (why, probe, most) in [(Failure::RateLimited, false, 900), (Failure::Timeout, true, 900)] {
        let until = UnixMillis(i64::MAX);
        let rest =
            Rest { provider: "alpha".to_owned(), model: "script".to_owned(), why, until, probe, rests: 1 };
        house.router.take_up(&[rest], house.born, UnixMillis(0));
        let resting = house.router.standings(house.born)[0].resting_for;
        assert!(resting <= Some(Duration::from_secs(most)), "{resting:?}");
    }
}

/// Calls from before a provider was found well again do not send it back to rest.
#[tokio::test(start_paused = true)]
async fn calls_from_before_a_recovery_do_not_begin_another_rest() {
    let alpha = Script::Times(vec![(4000, "0ms hang"), (u64::MAX, "100ms ok")]);
    let house = house_of(
        vec![("alpha", alpha, false), ("beta", Script::Times(vec![(u64::MAX, "8s ok")]), false)],
        looked_after(Strategy::Priority),
    );
    let play = async {
        let crowd = join_all((0..10).map(|_| first_text(&house)));
        let later = async {
            sleep_until(house.born + Duration::from_secs(1)).await;
            is_doubted(&house.router);
            sleep_until(house.born + Duration::from_millis(9900)).await;
            let before = house.router.standings(Instant::now())[0].standing;
            sleep_until(house.born + Duration::from_millis(10_100)).await;
            (before, house.router.standings(Instant::now())[0].standing)
        };
        tokio::join!(crowd, later).1
    };
    assert_eq!(beside_looks(&house, play).await, (Standing::Ready, Standing::Ready));
}

/// A provider whose health address says one thing, and whose answers do another.
#[derive(Debug)]
struct Moody {
    health: Failure,
    /// It panics when it is looked at.
    panics: bool,
}

impl Provider for Moody {
    fn name(&self) -> &str {
        "moody"
    }
    fn model(&self) -> &str {
        "moody"
    }
    fn context_window(&self) -> u32 {
        1000
    }
    fn cost(&self, _: crate::outcome::Usage) -> Option<f64> {
        None
    }
    fn generate(&self, prompt: Arc<crate::message::Prompt>) -> BoxFuture<'static, Result<Pieces, Failed>> {
        let is_look = prompt.lines.first().is_some_and(|it| it.text == LOOK);
        assert!(!(is_look && self.panics), "a parser that panics");
        let thoughts = stream::repeat_with(|| Ok(Piece::Reasoning("hm".to_owned())));
        // As from a socket that never runs dry.
        let thoughts = thoughts.then(|it| tokio::task::coop::consume_budget().map(|()| it));
        async move { if is_look { Err(Failed::new(Failure::BadRequest, "")) } else { Ok(thoughts.boxed()) } }
            .boxed()
    }
    fn health_check(&self) -> BoxFuture<'static, Result<(), Failed>> {
        let failure = self.health;
        async move { Err(Failed::new(failure, "")) }.boxed()
    }
}

fn router_over(moody: Moody, settings: Settings) -> Router {
    let limits =
        Limits { first_token: Duration::from_secs(10), stall: None, attempt: Duration::from_secs(2) };
    let provider = Arc::new(moody);
    let player = Player { provider, limits, ceilings: Ceilings::default(), weight: 1, price: None };
    Router::new(vec![player], settings, fastrand::Rng::with_seed(1))
}

async fn moody(health: Failure, panics: bool) -> Standing {
    let router = router_over(Moody { health, panics }, looked_after(Strategy::Hedged));
    let play = async {
        is_doubted(&router);
        sleep(Duration::from_secs(1)).await;
        router.standings(Instant::now())[0].standing
    };
    tokio::select! {
        never = router.look_after() => match never {},
        standing = play => standing,
    }
}

#[tokio::test(start_paused = true)]
async fn a_health_address_that_is_closed_to_us_says_nothing() {
    for health in [Failure::Auth, Failure::ModelUnavailable, Failure::RegionBlocked, Failure::QuotaExhausted]
    {
        assert_eq!(moody(health, false).await, Standing::Ready, "{health}");
    }
    assert!(matches!(moody(Failure::ServerError, false).await, Standing::Resting { .. }));
}

#[tokio::test(start_paused = true)]
async fn a_look_that_panics_is_a_look_that_fails() {
    assert!(matches!(moody(Failure::BadRequest, true).await, Standing::Resting { .. }));
}

/// As the socket is never dry, the turn's own clock has no say. This is the real clock: the paused one stands still meanwhile.
#[tokio::test]
async fn a_provider_that_never_pauses_does_not_outlast_the_turn() {
    let settings = Settings { turn_timeout: Duration::from_millis(100), ..settings(Strategy::Priority) };
    let router = router_over(Moody { health: Failure::BadRequest, panics: false }, settings);
    let began = Instant::now();
    let mut performance = router.play(&Ask { prompt: question(), ..Ask::default() });
    while performance.next().await.is_some() {}
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
}

/// The end of a turn is its end, also for a provider that never lets go.
#[tokio::test(start_paused = true)]
async fn a_turn_whose_time_is_up_says_so() {
    let settings =
        Settings { turn_timeout: Duration::from_secs(5), rewrite: false, ..settings(Strategy::Priority) };
    let house = house_of(vec![("alpha", calls(&["0ms lecture"]), false)], settings);
    let mut performance = house.router.play(&Ask { prompt: question(), ..Ask::default() });
    let mut last = None;
    while let Some(event) = performance.next().await {
        last = Some(event);
    }
    assert!(matches!(last, Some(Event::Ended(End::Exhausted(it))) if it.timed_out));
    assert_eq!(house.born.elapsed(), Duration::from_secs(5));
}

/// Who follows somebody that failed is no extra call, however many others are still waited for.
#[tokio::test(start_paused = true)]
async fn who_follows_a_failure_is_not_paid_from_the_hedges() {
    let cast = vec![
        ("alpha", calls(&["0ms silent"]), false),
        ("beta", calls(&["500ms server_error"]), false),
        ("gamma", calls(WELL), false),
    ];
    let house = house_of(cast, settings(Strategy::Hedged));
    // One is left, for beta.
    assert!((0..2).all(|_| house.router.shared.state().hedges.take()));
    assert_eq!(first_text(&house).await, ("gamma".to_owned(), Duration::from_millis(3100)));
}

#[tokio::test(start_paused = true)]
async fn nobody_is_asked_again_while_another_is_still_waited_for() {
    let house = house_of(
        vec![("alpha", calls(&["5s ok"]), false), ("beta", calls(&["100ms server_error"]), false)],
        settings(Strategy::Hedged),
    );
    let told = house.turn(&Wish::default()).await;
    assert!(told.ends_with("answered by alpha\n"), "{told}");
    assert_eq!(told.matches("beta is asked").count(), 1, "{told}");
}

/// A provider that is overtaken each time does not seem as fast as it once was.
#[tokio::test(start_paused = true)]
async fn who_is_overtaken_is_known_to_be_slow() {
    let mut lines = vec!["100ms ok"; 6];
    lines.push("9s ok");
    let house = house_of(
        vec![("alpha", calls(&lines), false), ("beta", calls(WELL), false)],
        settings(Strategy::Hedged),
    );
    for _ in 0..7 {
        first_text(&house).await;
    }
    let p95 = house.router.standings(Instant::now())[0].first_text_p95;
    assert_eq!(p95, Some(Duration::from_millis(800)));
}

/// However a call ends, its place below the ceilings is free again.
#[tokio::test(start_paused = true)]
async fn no_place_below_a_ceiling_is_lost() {
    for lines in [["0ms hang", "50ms ok"], ["0ms stall", "50ms ok"]] {
        let house = house_with(
            vec![("alpha", calls(&lines), false)],
            settings(Strategy::Priority),
            |_, mut player| {
                player.ceilings.concurrent = 1;
                player
            },
        );
        assert!(timeout(Duration::from_secs(1), first_text(&house)).await.is_err());
        assert_eq!(first_text(&house).await, ("alpha".to_owned(), Duration::from_millis(50)));
    }
}
