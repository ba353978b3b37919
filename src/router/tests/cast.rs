//! Scripted providers in the process, and a house with a router over them.

use crate::{
    message::{Line, Prompt, Role, ToolCall},
    outcome::{Failed, Failure, Outcome, Usage},
    providers::{Finish, Piece, Pieces, Provider},
    router::{
        Ask, Ceilings, End, Event, Player, Router, Settings,
        attempt::Limits,
        roster::BreakerSettings,
        strategy::{Strategy, Wish},
    },
};
use futures::{FutureExt, StreamExt, future::BoxFuture, stream};
use std::{
    collections::VecDeque,
    fmt::Write,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::time::{Instant, sleep};

/// What a provider does: `300ms ok`, `0ms server_error`, `0ms 429/30`, `1s silent`, `100ms cut` …
#[derive(Debug)]
pub(in crate::router) enum Script {
    /// On each call the next line, the last one for ever.
    Calls(Mutex<VecDeque<&'static str>>),
    /// Each line until so many milliseconds after the beginning, the last one for ever.
    Times(Vec<(u64, &'static str)>),
    /// One line for the looks of the background, and one for the questions of people.
    TwoFaced {
        /// To a look.
        looks: &'static str,
        /// To a turn.
        turns: &'static str,
    },
}

/// Tokio's timers tick in milliseconds; and calls that were under way when the time was named do not count.
const SLACK: Duration = Duration::from_millis(2);

/// A provider with a script.
#[derive(Debug)]
pub(in crate::router) struct Scripted {
    pub(in crate::router) name: &'static str,
    pub(in crate::router) script: Script,
    pub(in crate::router) window: u32,
    /// Its health address always says that all is well.
    pub(in crate::router) lies: bool,
    pub(in crate::router) log: Arc<Mutex<Vec<String>>>,
    pub(in crate::router) born: Instant,
    /// It has said that it is not to be asked before.
    pub(in crate::router) named: Arc<Mutex<Option<Instant>>>,
}

impl Scripted {
    fn line(&self, is_look: bool) -> &'static str {
        match &self.script {
            Script::TwoFaced { looks, turns } => {
                if is_look {
                    looks
                } else {
                    turns
                }
            }
            Script::Calls(lines) => {
                let mut lines = lines.lock().unwrap();
                if lines.len() > 1 { lines.pop_front().unwrap() } else { lines[0] }
            }
            Script::Times(lines) => {
                let now = u64::try_from(self.born.elapsed().as_millis()).unwrap();
                lines.iter().find(|(until, _)| now < *until).or(lines.last()).unwrap().1
            }
        }
    }

    fn note(&self, what: &str) {
        let at = format!("{:?}", self.born.elapsed());
        self.log.lock().unwrap().push(format!("{at:<7} {} {what}", self.name));
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
        self.window
    }
    fn cost(&self, usage: Usage) -> Option<f64> {
        Some(usage.tokens_out? as f64)
    }
    fn generate(&self, prompt: Arc<Prompt>) -> BoxFuture<'static, Result<Pieces, Failed>> {
        let is_look = prompt.lines.first().is_some_and(|it| it.text == crate::router::LOOK);
        self.note(if is_look { "is looked at" } else { "is asked" });
        let (name, (wait, what)) = (self.name, self.line(is_look).split_once(' ').unwrap());
        let wait = humantime::parse_duration(wait).unwrap();
        let named = Arc::clone(&self.named);
        if named.lock().unwrap().is_some_and(|until| Instant::now() + SLACK < until) {
            self.note("is asked too early");
        }
        async move {
            sleep(wait).await;
            if let Some(seconds) = what.strip_prefix("429/") {
                // The router keeps such a time for a quarter of an hour at the most.
                let pause = Duration::from_secs(seconds.parse().unwrap()).min(Duration::from_secs(900));
                *named.lock().unwrap() = Some(Instant::now() + pause);
            }
            speak(name, what).await
        }
        .boxed()
    }
    fn health_check(&self) -> BoxFuture<'static, Result<(), Failed>> {
        let what = match &self.script {
            Script::Times(_) if !self.lies => self.line(true).split_once(' ').unwrap().1,
            Script::Times(_) | Script::Calls(_) | Script::TwoFaced { .. } => "ok",
        };
        async move {
            match what {
                "hang" | "silent" => std::future::pending().await,
                what => Failure::parse(what).map_or(Ok(()), |failure| Err(Failed::new(failure, ""))),
            }
        }
        .boxed()
    }
}

async fn speak(name: &'static str, what: &'static str) -> Result<Pieces, Failed> {
    let text = |text: &str| Ok(Piece::Text(text.to_owned()));
    let stop = || Ok(Piece::Finish(Finish::Stop));
    let fail = |failure| Failed::new(failure, "");
    let with_pause = |piece: Piece, pause: u64| {
        stream::repeat(piece).then(move |it| async move {
            sleep(Duration::from_millis(pause)).await;
            Ok(it)
        })
    };
    let (word, argument) = what.split_once('/').unwrap_or((what, ""));
    Ok(match word {
        "ok" => stream::iter([text("hello from "), text(name), stop()]).boxed(),
        "filtered" => stream::iter([text("well, "), Ok(Piece::Finish(Finish::ContentFilter))]).boxed(),
        "cut" => stream::iter([text("half an "), Err(fail(Failure::BrokenStream))]).boxed(),
        "blank" => stream::iter([text(" \n"), stop()]).boxed(),
        "hang" => std::future::pending().await,
        "silent" => stream::pending().boxed(),
        "stall" => stream::iter([text("half an ")]).chain(stream::pending()).boxed(),
        "think" => stream::iter([Ok(Piece::Reasoning("hm".to_owned()))]).chain(stream::pending()).boxed(),
        "muse" => with_pause(Piece::Reasoning("hm".to_owned()), 1000)
            .take(14)
            .chain(stream::iter([text("aha"), stop()]))
            .boxed(),
        "murmur" => with_pause(Piece::Alive, 1000).boxed(),
        "drip" => {
            with_pause(Piece::Text("x".to_owned()), 1000).take(30).chain(stream::iter([stop()])).boxed()
        }
        "lecture" => with_pause(Piece::Text("word after word ".to_owned()), 1000)
            .take(20)
            .chain(stream::iter([stop()]))
            .boxed(),
        "linger" => stream::iter([text("all of it"), stop()]).chain(with_pause(Piece::Alive, 100)).boxed(),
        "late" => stream::iter([text("all of it")])
            .chain(with_pause(Piece::Finish(Finish::Stop), 4900).take(1))
            .chain(with_pause(Piece::Usage(Usage::default()), 150).take(1))
            .boxed(),
        "tools" => stream::repeat(Piece::ToolCall(ToolCall {
            index: 0,
            id: None,
            name: None,
            arguments: "x".repeat(64 * 1024),
        }))
        .map(Ok)
        .take(1000)
        .boxed(),
        "spaces" => stream::repeat(Piece::Text(" ".to_owned())).map(Ok).take(200_000).boxed(),
        "mumble" => stream::iter([text("half an ")]).chain(with_pause(Piece::Alive, 1000)).boxed(),
        "429" => {
            let retry_after = argument.parse().ok().map(Duration::from_secs_f64);
            return Err(Failed { retry_after, ..fail(Failure::RateLimited) });
        }
        word => return Err(fail(Failure::parse(word).unwrap())),
    })
}

/// A router over a cast, and a log of what happened.
pub(in crate::router) struct House {
    pub(in crate::router) router: Router,
    pub(in crate::router) log: Arc<Mutex<Vec<String>>>,
    pub(in crate::router) born: Instant,
}

pub(in crate::router) fn settings(strategy: Strategy) -> Settings {
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

/// A provider of the cast, with the usual limits.
pub(in crate::router) fn player(provider: Scripted) -> Player {
    Player {
        provider: Arc::new(provider),
        limits: Limits {
            first_token: Duration::from_secs(10),
            stall: None,
            attempt: Duration::from_secs(60),
        },
        ceilings: Ceilings::default(),
        weight: 1,
        price: None,
    }
}

/// A house whose providers do something else at each call.
pub(in crate::router) fn house(cast: &[(&'static str, &[&'static str])], settings: Settings) -> House {
    let scripts = cast
        .iter()
        .map(|(name, lines)| (*name, Script::Calls(Mutex::new(lines.iter().copied().collect())), false));
    house_of(scripts.collect(), settings)
}

/// A house of (name, script, whether its health address lies).
pub(in crate::router) fn house_of(cast: Vec<(&'static str, Script, bool)>, settings: Settings) -> House {
    house_with(cast, settings, |_, player| player)
}

/// The same, with more said of each provider: its place, and what it is otherwise.
pub(in crate::router) fn house_with(
    cast: Vec<(&'static str, Script, bool)>,
    settings: Settings,
    mut more: impl FnMut(usize, Player) -> Player,
) -> House {
    let log = Arc::<Mutex<Vec<String>>>::default();
    let born = Instant::now();
    let players = cast.into_iter().enumerate().map(|(place, (name, script, lies))| {
        let window = 1000 * (1 + u32::try_from(place).unwrap());
        let scripted =
            Scripted { name, script, window, lies, log: Arc::clone(&log), born, named: Arc::default() };
        more(place, player(scripted))
    });
    let router = Router::new(players.collect(), settings, fastrand::Rng::with_seed(1));
    House { router, log, born }
}

/// A short question.
pub(in crate::router) fn question() -> Arc<Prompt> {
    let line = Line { role: Role::User, speaker: None, text: "Who are you?".to_owned() };
    Arc::new(Prompt { lines: vec![line], reply_tokens: 100, ..Prompt::default() })
}

impl House {
    /// Plays one turn and writes down what happens.
    pub(super) async fn turn(&self, wish: &Wish) -> String {
        self.ask(&Ask { prompt: question(), wish: wish.clone(), ..Ask::default() }).await
    }

    /// Plays one turn and writes down what happens.
    pub(super) async fn ask(&self, ask: &Ask) -> String {
        let mut performance = self.router.play(ask);
        while let Some(event) = performance.next().await {
            let line = shown(&event);
            self.log.lock().unwrap().push(format!("{:<7}   {line}", format!("{:?}", self.born.elapsed())));
        }
        self.told()
    }

    /// What was written down since the last time.
    pub(super) fn told(&self) -> String {
        let mut out = String::new();
        for line in self.log.lock().unwrap().drain(..) {
            writeln!(out, "{line}").unwrap();
        }
        out
    }
}

fn shown(event: &Event) -> String {
    match event {
        Event::Attempt(it) => {
            let how = match &it.outcome {
                Outcome::Failed(failed) => failed.failure.as_str(),
                it => it.as_str(),
            };
            format!("{} {how} after {:?}", it.provider, it.total)
        }
        Event::Opened { provider, afresh, .. } => {
            format!("{provider} speaks{}", if *afresh { ", afresh" } else { "" })
        }
        Event::Text(text) => format!("“{text}”"),
        Event::ToolCall(call) => format!("{call:?}"),
        Event::Ended(End::Answered { provider, .. }) => format!("answered by {provider}"),
        Event::Ended(End::Exhausted(it)) => {
            format!("nobody answered; again in {:?}, timed out: {}", it.try_again_in, it.timed_out)
        }
    }
}
