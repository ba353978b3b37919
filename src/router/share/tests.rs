//! Shared answers with scripted providers and a paused clock: who is asked, and what each of several people hears.

use super::{
    super::{strategy::Wish, *},
    key::Key,
};
use crate::{
    message::{Line, Role as Side},
    outcome::Usage,
    providers::{Piece, Pieces},
};
use expect_test::{Expect, expect};
use futures::{FutureExt, StreamExt, future::BoxFuture, future::join_all, stream};
use std::{
    collections::VecDeque,
    fmt::Write,
    hash::{BuildHasherDefault, Hasher},
};
use tokio::time::sleep;

/// A provider that follows its lines, a line a call, the last one for ever: `10ms say, 10ms say, stop`. What it says tells whose
/// it is: `alpha-2.1` is the first word of alpha's second call.
#[derive(Debug)]
struct Scripted {
    name: &'static str,
    lines: Mutex<VecDeque<&'static str>>,
    calls: Mutex<u32>,
    names_speakers: bool,
    house: Arc<Log>,
}

#[derive(Debug)]
struct Log {
    lines: Mutex<Vec<String>>,
    born: Instant,
}

impl Log {
    fn add(&self, line: &str) {
        let at = format!("{:?}", self.born.elapsed());
        self.lines.lock().unwrap().push(format!("{at:<6} {line}"));
    }
}

impl Provider for Scripted {
    fn name(&self) -> &str {
        self.name
    }
    fn model(&self) -> &str {
        "script"
    }
    fn context_window(&self) -> u32 {
        8000
    }
    fn cost(&self, _: Usage) -> Option<f64> {
        None
    }
    fn names_speakers(&self, _: &Prompt) -> bool {
        self.names_speakers
    }
    fn generate(&self, _: Arc<Prompt>) -> BoxFuture<'static, Result<Pieces, Failed>> {
        let mut lines = self.lines.lock().unwrap();
        let line = if lines.len() > 1 { lines.pop_front().unwrap() } else { lines[0] };
        let mut calls = self.calls.lock().unwrap();
        *calls += 1;
        self.house.add(&format!("{} is asked", self.name));
        let voice = format!("{}-{calls}", self.name);
        let steps = line.split(", ").enumerate();
        let pieces = stream::iter(steps).then(move |(place, step)| {
            let (wait, word) = step.split_once(' ').unwrap_or(("0ms", step));
            let (wait, voice) = (humantime::parse_duration(wait).unwrap(), voice.clone());
            async move {
                sleep(wait).await;
                Ok(match word {
                    "say" => Piece::Text(format!("{voice}.{} ", place + 1)),
                    "much" => Piece::Text("much ".repeat(60_000)),
                    "call" => Piece::ToolCall(ToolCall { name: Some(voice), ..ToolCall::default() }),
                    "stop" => Piece::Finish(Finish::Stop),
                    "length" => Piece::Finish(Finish::Length),
                    "filter" => Piece::Finish(Finish::ContentFilter),
                    "other" => Piece::Finish(Finish::Other("eos".to_owned())),
                    fault => return Err(Failed::new(Failure::parse(fault).unwrap(), "")),
                })
            }
        });
        async move { Ok(pieces.boxed()) }.boxed()
    }
    fn health_check(&self) -> BoxFuture<'static, Result<(), Failed>> {
        async { Ok(()) }.boxed()
    }
}

struct House {
    router: Router,
    log: Arc<Log>,
}

fn settings(cache: u32) -> Settings {
    Settings {
        strategy: Strategy::Priority,
        attempts_per_provider: 1,
        turn_timeout: Duration::from_secs(90),
        hedge_after: None,
        hedge_budget: 0.05,
        retry_budget: 0.2,
        backoff: (Duration::from_millis(250), Duration::from_secs(8)),
        breaker: BreakerSettings {
            failures: 50,
            failure_rate: 1.0,
            min_calls: 1000,
            window: Duration::from_secs(30),
            rest: Duration::from_secs(15),
            max_rest: Duration::from_secs(300),
        },
        rewrite: true,
        health_check: None,
        cache: (cache, Duration::from_secs(600)),
    }
}

fn house_of(cast: &[(&'static str, &[&'static str])], cache: u32, names_speakers: bool) -> House {
    let log = Arc::new(Log { lines: Mutex::default(), born: Instant::now() });
    let limits =
        Limits { first_token: Duration::from_secs(10), stall: None, attempt: Duration::from_secs(60) };
    let players = cast.iter().map(|(name, lines)| Player {
        provider: Arc::new(Scripted {
            name,
            lines: Mutex::new(lines.iter().copied().collect()),
            calls: Mutex::default(),
            names_speakers,
            house: Arc::clone(&log),
        }),
        limits,
        ceilings: Ceilings::default(),
        weight: 1,
        price: None,
    });
    House { router: Router::new(players.collect(), settings(cache), fastrand::Rng::with_seed(1)), log }
}

/// With a cache of ten minutes.
fn house(cast: &[(&'static str, &[&'static str])]) -> House {
    house_of(cast, 100, true)
}

fn line(speaker: &str, text: &str) -> Line {
    Line { role: Side::User, speaker: Some(speaker.to_owned()), text: text.to_owned() }
}

/// A question that may share everything, on server 1.
fn ask() -> Ask {
    let prompt = Prompt { lines: vec![line("Ana", "why?")], reply_tokens: 100, ..Prompt::default() };
    let circle = Circle::Server(GuildId(1));
    let sharing = Some(Sharing { circle, cached: true, in_flight: true });
    Ask { prompt: Arc::new(prompt), sharing, ..Ask::default() }
}

fn with(change: impl FnOnce(&mut Ask, &mut Prompt)) -> Ask {
    let mut ask = ask();
    let mut prompt = Prompt::clone(&ask.prompt);
    change(&mut ask, &mut prompt);
    Ask { prompt: Arc::new(prompt), ..ask }
}

const MS: Duration = Duration::from_millis(1);

impl House {
    /// Hears a turn that begins at `from` until its end, or until it is cancelled at `until`. Returns what was heard.
    async fn hear(&self, who: &str, ask: Ask, from: u32, until: Option<u32>) -> String {
        let mut heard = String::new();
        sleep(MS * from).await;
        let mut performance = self.router.play(&ask);
        let until = self.log.born + until.map_or(Duration::from_secs(9999), |it| MS * it);
        loop {
            let event = tokio::select! {
                biased;
                () = tokio::time::sleep_until(until) => {
                    let cut = performance.cancel();
                    self.log.add(&format!("  {who} cancels {} calls", cut.len()));
                    return "cancelled".to_owned();
                }
                event = performance.next() => event,
            };
            let Some(event) = event else { return heard };
            let line = match event {
                Event::Attempt(it) => {
                    format!(
                        "{} {}",
                        it.provider,
                        it.outcome.failed().map_or(it.outcome.as_str(), |it| it.failure.as_str())
                    )
                }
                Event::Opened { provider, afresh, .. } => {
                    assert!(afresh || heard.is_empty(), "{who}: {heard}");
                    heard.clear();
                    format!("{provider} speaks{}", if afresh { ", afresh" } else { "" })
                }
                Event::Text(text) => {
                    heard.push_str(&text);
                    format!("“{}”", if text.len() > 99 { "…" } else { &text })
                }
                Event::ToolCall(call) => format!("calls {}", call.name.unwrap_or_default()),
                Event::Ended(End::Answered { provider, source, .. }) => {
                    let how = match source {
                        Source::Asked => "asked".to_owned(),
                        Source::Joined { calls } => format!("joined, of {} calls", calls.len()),
                        Source::Remembered => "remembered".to_owned(),
                    };
                    assert!(performance.next().await.is_none());
                    format!("answered by {provider} ({how})")
                }
                Event::Ended(End::Exhausted(it)) => {
                    heard = "nobody answered".to_owned();
                    format!("{} failures, spoke {}, timed out {}", it.failures.len(), it.spoke, it.timed_out)
                }
            };
            self.log.add(&format!("  {who}: {line}"));
        }
    }

    /// The transcript since the last time it was taken. When nothing goes on, nothing may be left behind.
    fn story(&self) -> String {
        assert!(self.router.shared.share.flights.is_empty());
        let mut out = String::new();
        for line in self.log.lines.lock().unwrap().drain(..) {
            writeln!(out, "{}", line.trim_end()).unwrap();
        }
        out
    }

    /// How many calls a turn costs now.
    async fn cost(&self, ask: Ask) -> usize {
        self.hear("ana", ask, 0, None).await;
        self.story().matches("is asked").count()
    }
}

/// Several who ask the same: who, from when, until when.
async fn together(house: &House, people: &[(&str, u32, Option<u32>)], expected: Expect) {
    join_all(people.iter().map(|&(who, from, until)| house.hear(who, ask(), from, until))).await;
    expected.assert_eq(&house.story());
}

#[tokio::test(start_paused = true)]
async fn a_question_that_was_answered_costs_no_call_until_the_answer_is_old() {
    let house = house(&[("alpha", &["10ms say, 10ms say, stop"])]);
    house.hear("ana", ask(), 0, None).await;
    house.hear("ben", ask(), 5, None).await;
    sleep(Duration::from_secs(600)).await;
    house.hear("eve", ask(), 0, None).await;
    expect![[r#"
        0ns    alpha is asked
        10ms     ana: alpha speaks
        10ms     ana: “alpha-1.1 ”
        20ms     ana: “alpha-1.2 ”
        20ms     ana: alpha answered
        20ms     ana: answered by alpha (asked)
        25ms     ben: alpha speaks
        25ms     ben: “alpha-1.1 alpha-1.2 ”
        25ms     ben: answered by alpha (remembered)
        600.025s alpha is asked
        600.035s   eve: alpha speaks
        600.035s   eve: “alpha-2.1 ”
        600.045s   eve: “alpha-2.2 ”
        600.045s   eve: alpha answered
        600.045s   eve: answered by alpha (asked)
    "#]]
    .assert_eq(&house.story());
}

#[tokio::test(start_paused = true)]
async fn without_a_cache_and_without_joining_everybody_asks() {
    let alone = |sharing| Ask { sharing, ..ask() };
    let terms = ask().sharing.unwrap();
    let house = house(&[("alpha", &["10ms say, stop"])]);
    for sharing in [None, Some(Sharing { cached: false, in_flight: false, ..terms })] {
        assert_eq!((house.cost(alone(sharing)).await, house.cost(alone(sharing)).await), (1, 1));
    }
    let joining = alone(Some(Sharing { cached: false, ..terms }));
    assert_eq!((house.cost(joining.clone()).await, house.cost(joining).await), (1, 1), "nothing is kept");
    let caching = alone(Some(Sharing { in_flight: false, ..terms }));
    join_all([house.hear("ana", caching.clone(), 0, None), house.hear("ben", caching.clone(), 0, None)])
        .await;
    assert_eq!(house.story().matches("is asked").count(), 2, "nobody is joined");
    assert_eq!(house.cost(caching).await, 0);
    let none = house_of(&[("alpha", &["10ms say, stop"])], 0, true);
    assert_eq!((none.cost(ask()).await, none.cost(ask()).await), (1, 1));
}

/// Each of them is another question than `ask`, and than all others.
fn others() -> Vec<Ask> {
    let terms = ask().sharing.unwrap();
    let in_circle = |circle| Ask { sharing: Some(Sharing { circle, ..terms }), ..ask() };
    let wish = |wish: Wish| Ask { wish, ..ask() };
    let request = |temperature: f64| {
        let body = serde_json::json!({ "temperature": temperature });
        with(|_, it| it.request = Some(Arc::new(serde_json::from_value(body).unwrap())))
    };
    vec![
        in_circle(Circle::Server(GuildId(2))),
        in_circle(Circle::Channel(ChannelId(1))),
        in_circle(Circle::Api),
        wish(Wish { first: vec!["beta".to_owned()], ..Wish::default() }),
        wish(Wish { first: vec!["beta".to_owned()], strict: true, ..Wish::default() }),
        wish(Wish { off: vec!["beta".to_owned()], ..Wish::default() }),
        wish(Wish { strategy: Some(Strategy::Cheapest), ..Wish::default() }),
        with(|_, it| it.system = "Be kind.".to_owned()),
        with(|_, it| it.reply_tokens = 101),
        with(|_, it| it.lines[0].text = "how?".to_owned()),
        with(|_, it| it.lines[0].speaker = Some("Ben".to_owned())),
        with(|_, it| it.lines[0].speaker = None),
        with(|_, it| it.lines[0].role = Side::Assistant),
        with(|_, it| it.lines.insert(0, line("Ana", "why?"))),
        with(|_, it| it.lines.clear()),
        request(0.5),
        request(0.7),
    ]
}

#[tokio::test(start_paused = true)]
async fn whatever_differs_is_another_question() {
    let house = house(&[("alpha", &["10ms say, stop"]), ("beta", &["10ms say, stop"])]);
    assert_eq!((house.cost(ask()).await, house.cost(ask()).await), (1, 0));
    for other in others() {
        let shown = format!("{other:?}");
        assert_eq!((house.cost(other.clone()).await, house.cost(other).await), (1, 0), "{shown}");
    }
    let same =
        with(|ask, _| (ask.session, ask.server, ask.started_at) = (7, Some(GuildId(1)), UnixMillis(7)));
    assert_eq!(house.cost(same).await, 0, "who asks where and when is not sent");
}

/// A hasher to which everything is the same.
#[derive(Default)]
struct Blind;

impl Hasher for Blind {
    fn finish(&self) -> u64 {
        0
    }
    fn write(&mut self, _: &[u8]) {}
}

#[test]
fn no_clash_of_hashes_makes_two_questions_one() {
    let key = |ask: &Ask, is_named| {
        Key::new(ask, ask.sharing.unwrap().circle, is_named, &BuildHasherDefault::<Blind>::default())
    };
    let mut asks = others();
    asks.push(ask());
    for (place, ask) in asks.iter().enumerate() {
        assert!(key(ask, true) == key(&ask.clone(), true));
        assert!(key(ask, true) != key(ask, false));
        assert!(asks[..place].iter().all(|it| key(it, true) != key(ask, true)), "{ask:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn where_no_model_is_told_names_the_same_words_are_the_same_question() {
    let house = house_of(&[("alpha", &["10ms say, stop"])], 100, false);
    let ben = || with(|_, it| it.lines[0].speaker = Some("Ben".to_owned()));
    assert_eq!((house.cost(ask()).await, house.cost(ben()).await), (1, 0));
    let other = with(|_, it| it.lines = vec![line("Ben", "how?")]);
    assert_eq!(house.cost(other).await, 1);
}

#[tokio::test(start_paused = true)]
async fn only_whole_good_answers_are_kept() {
    let bad = [
        "10ms say, length",
        "10ms say, filter",
        "10ms say, other",
        "10ms say, broken_stream",
        "10ms server_error",
        "10ms stop",
        "10ms much, stop",
    ];
    for line in bad {
        let house = house(&[("alpha", &[line, "10ms say, stop"])]);
        assert_eq!((house.cost(ask()).await, house.cost(ask()).await), (1, 1), "{line}");
        assert_eq!(house.cost(ask()).await, 0, "{line}");
    }
    let failed_before = house(&[("alpha", &["10ms server_error"]), ("beta", &["10ms say, stop"])]);
    assert_eq!((failed_before.cost(ask()).await, failed_before.cost(ask()).await), (2, 0));
    let rewritten = house(&[("alpha", &["10ms say, broken_stream"]), ("beta", &["10ms say, stop"])]);
    assert_eq!((rewritten.cost(ask()).await, rewritten.cost(ask()).await), (2, 2));
}

#[tokio::test(start_paused = true)]
async fn two_at_once_cost_one_call_and_a_late_one_hears_everything() {
    together(
        &house(&[("alpha", &["10ms say, 10ms say, 10ms say, stop"])]),
        &[("ana", 0, None), ("ben", 0, None), ("eve", 25, None)],
        expect![[r#"
            0ns    alpha is asked
            10ms     ana: alpha speaks
            10ms     ana: “alpha-1.1 ”
            10ms     ben: alpha speaks
            10ms     ben: “alpha-1.1 ”
            20ms     ana: “alpha-1.2 ”
            20ms     ben: “alpha-1.2 ”
            25ms     eve: alpha speaks
            25ms     eve: “alpha-1.1 alpha-1.2 ”
            30ms     ana: “alpha-1.3 ”
            30ms     ana: alpha answered
            30ms     ana: answered by alpha (asked)
            30ms     ben: “alpha-1.3 ”
            30ms     ben: answered by alpha (joined, of 1 calls)
            30ms     eve: “alpha-1.3 ”
            30ms     eve: answered by alpha (joined, of 1 calls)
        "#]],
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn when_the_one_who_asked_cancels_another_asks_and_hears_one_whole_answer_afresh() {
    together(
        &house(&[("alpha", &["10ms say, 10ms say, 10ms say, stop"])]),
        &[("ana", 0, Some(15)), ("ben", 0, None), ("eve", 0, None)],
        expect![[r#"
            0ns    alpha is asked
            10ms     ana: alpha speaks
            10ms     ana: “alpha-1.1 ”
            10ms     ben: alpha speaks
            10ms     ben: “alpha-1.1 ”
            10ms     eve: alpha speaks
            10ms     eve: “alpha-1.1 ”
            15ms     ana cancels 1 calls
            15ms   alpha is asked
            25ms     ben: alpha speaks, afresh
            25ms     ben: “alpha-2.1 ”
            25ms     eve: alpha speaks, afresh
            25ms     eve: “alpha-2.1 ”
            35ms     ben: “alpha-2.2 ”
            35ms     eve: “alpha-2.2 ”
            45ms     ben: “alpha-2.3 ”
            45ms     ben: alpha answered
            45ms     ben: answered by alpha (asked)
            45ms     eve: “alpha-2.3 ”
            45ms     eve: answered by alpha (joined, of 1 calls)
        "#]],
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn one_who_listens_and_cancels_changes_nothing() {
    together(
        &house(&[("alpha", &["10ms say, 10ms say, stop"])]),
        &[("ana", 0, None), ("ben", 0, Some(15))],
        expect![[r#"
            0ns    alpha is asked
            10ms     ana: alpha speaks
            10ms     ana: “alpha-1.1 ”
            10ms     ben: alpha speaks
            10ms     ben: “alpha-1.1 ”
            15ms     ben cancels 0 calls
            20ms     ana: “alpha-1.2 ”
            20ms     ana: alpha answered
            20ms     ana: answered by alpha (asked)
        "#]],
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_failover_is_heard_by_all_and_a_late_one_hears_only_the_new_answer() {
    together(
        &house(&[("alpha", &["10ms say, 10ms broken_stream"]), ("beta", &["10ms say, 10ms say, stop"])]),
        &[("ana", 0, None), ("ben", 5, None), ("eve", 35, None)],
        expect![[r#"
            0ns    alpha is asked
            10ms     ana: alpha speaks
            10ms     ana: “alpha-1.1 ”
            10ms     ben: alpha speaks
            10ms     ben: “alpha-1.1 ”
            20ms     ana: alpha broken_stream
            20ms   beta is asked
            30ms     ana: beta speaks, afresh
            30ms     ana: “beta-1.1 ”
            30ms     ben: beta speaks, afresh
            30ms     ben: “beta-1.1 ”
            35ms     eve: beta speaks
            35ms     eve: “beta-1.1 ”
            40ms     ana: “beta-1.2 ”
            40ms     ana: beta answered
            40ms     ana: answered by beta (asked)
            40ms     ben: “beta-1.2 ”
            40ms     ben: answered by beta (joined, of 2 calls)
            40ms     eve: “beta-1.2 ”
            40ms     eve: answered by beta (joined, of 2 calls)
        "#]],
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn what_failed_everywhere_is_not_asked_again_by_those_who_waited() {
    let house = house(&[("alpha", &["10ms say, 10ms broken_stream"]), ("beta", &["10ms server_error"])]);
    together(
        &house,
        &[("ana", 0, None), ("ben", 5, None)],
        expect![[r#"
        0ns    alpha is asked
        10ms     ana: alpha speaks
        10ms     ana: “alpha-1.1 ”
        10ms     ben: alpha speaks
        10ms     ben: “alpha-1.1 ”
        20ms     ana: alpha broken_stream
        20ms   beta is asked
        30ms     ana: beta server_error
        30ms     ana: 2 failures, spoke true, timed out false
        30ms     ben: 2 failures, spoke true, timed out false
    "#]],
    )
    .await;
    assert_eq!(house.cost(ask()).await, 2, "the next one asks: nothing of it is kept");
}

#[tokio::test(start_paused = true)]
async fn one_who_asks_and_does_not_listen_is_not_waited_for() {
    let house = house(&[("alpha", &["10ms say, 10ms say, stop"])]);
    let mut sleeper = house.router.play(&ask());
    assert!(matches!(sleeper.next().await, Some(Event::Opened { .. })));
    house.hear("ben", ask(), 5, None).await;
    expect![[r#"
        0ns    alpha is asked
        15ms     ben: alpha speaks
        2.51s  alpha is asked
        2.52s    ben: alpha speaks, afresh
        2.52s    ben: “alpha-2.1 ”
        2.53s    ben: “alpha-2.2 ”
        2.53s    ben: alpha answered
        2.53s    ben: answered by alpha (asked)
    "#]]
    .assert_eq(&house.story());
    while let Some(event) = sleeper.next().await {
        assert!(!matches!(event, Event::Ended(End::Exhausted(_))), "it goes on by itself");
    }
}

#[tokio::test(start_paused = true)]
async fn one_who_asks_is_waited_for_while_a_provider_thinks() {
    let house = house(&[("alpha", &["9s say, stop"])]);
    together(
        &house,
        &[("ana", 0, None), ("ben", 5, None)],
        expect![[r#"
        0ns    alpha is asked
        9s       ana: alpha speaks
        9s       ana: “alpha-1.1 ”
        9s       ana: alpha answered
        9s       ana: answered by alpha (asked)
        9s       ben: alpha speaks
        9s       ben: “alpha-1.1 ”
        9s       ben: answered by alpha (joined, of 1 calls)
    "#]],
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn nothing_is_asked_before_the_first_look_and_nobody_waits_for_it() {
    let house = house(&[("alpha", &["10ms say, stop"])]);
    let idle = house.router.play(&ask());
    assert!(house.router.shared.share.flights.is_empty());
    assert_eq!(house.cost(ask()).await, 1);
    assert!(idle.cancel().is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_too_long_to_share_is_asked_for_by_each() {
    let house = house(&[("alpha", &["10ms say, 10ms much"])]);
    together(
        &house,
        &[("ana", 0, None), ("ben", 5, None), ("eve", 5, None)],
        expect![[r#"
        0ns    alpha is asked
        10ms     ana: alpha speaks
        10ms     ana: “alpha-1.1 ”
        10ms     ben: alpha speaks
        10ms     ben: “alpha-1.1 ”
        10ms     eve: alpha speaks
        10ms     eve: “alpha-1.1 ”
        20ms     ana: “…”
        20ms     ana: alpha cancelled
        20ms     ana: answered by alpha (asked)
        20ms   alpha is asked
        20ms   alpha is asked
        30ms     ben: alpha speaks, afresh
        30ms     ben: “alpha-2.1 ”
        30ms     eve: alpha speaks, afresh
        30ms     eve: “alpha-3.1 ”
        40ms     ben: “…”
        40ms     ben: alpha cancelled
        40ms     ben: answered by alpha (asked)
        40ms     eve: “…”
        40ms     eve: alpha cancelled
        40ms     eve: answered by alpha (asked)
    "#]],
    )
    .await;
}

/// Five ask the same at random moments, some go away: everybody who stays ends once, with one call's whole answer.
#[tokio::test(start_paused = true)]
async fn random_casts_give_everybody_one_whole_answer() {
    const ALPHA: [&str; 5] = [
        "20ms say, 20ms say, 20ms say, stop",
        "20ms say, 20ms say, 20ms broken_stream",
        "20ms server_error",
        "20ms say, 3s say, 20ms say, stop",
        "4s say, 20ms say, 20ms say, stop",
    ];
    for seed in 0..300 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut script: Vec<_> = (0..8).map(|_| ALPHA[rng.usize(0..5)]).collect();
        script.push(ALPHA[0]);
        let house = house_of(
            &[("alpha", &script), ("beta", &["15ms say, 15ms say, 15ms say, stop"])],
            9 * rng.u32(0..2),
            true,
        );
        let people: Vec<(u32, Option<u32>)> = (0..5)
            .map(|_| {
                let from = rng.u32(0..150);
                (from, rng.bool().then(|| from + rng.u32(0..150)))
            })
            .collect();
        let turns = people.iter().map(|&(from, until)| house.hear("x", ask(), from, until));
        let heard = join_all(turns).await;
        let story = house.story();
        let ends = story.matches("answered by").count() + story.matches("cancels").count();
        assert_eq!(ends, 5, "seed {seed}: everybody ends once\n{story}");
        assert!(!story.contains("failures"), "seed {seed}: beta is well\n{story}");
        for heard in heard.iter().filter(|it| *it != "cancelled") {
            let voice = heard.split('.').next().unwrap();
            let whole = format!("{voice}.1 {voice}.2 {voice}.3 ");
            assert_eq!(*heard, whole, "seed {seed}: one whole answer\n{story}");
        }
        let stay = people.iter().filter(|(_, until)| until.is_none()).count();
        let leave = people.len() - stay;
        let most = 2 * (1 + leave) + 2 * stay;
        assert!(story.matches("is asked").count() <= most, "seed {seed}: {most} calls at most\n{story}");
    }
}
