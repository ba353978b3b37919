//! The crash test: `kill -9` at random moments of streaming answers, a restart at once, and in the end one whole answer each.
//!
//! `NEVERDARK_CRASHES=200` orders so many kills in the middle of an answer, `NEVERDARK_SEED=17` another run; see `docs/chaos.md`.

use super::bot::{Bot, Home, PATIENCE};
use crate::chaos::{
    QUICK,
    audit::{Fate, Question, SORTS, Tables, audit, ordered},
};
use sim::discord::{RestEffect, RestFault, Weather};
use std::{fmt::Write as _, time::Duration};
use tokio::time::{Instant, sleep, timeout};

/// Kills in the middle of an answer, in the short form.
const KILLS: u64 = 8;
/// What tales are asked for with: the longest has four parts.
const SIZE: usize = 6_000;
/// At most so many changes that people see are waited for, and so long.
const CHANGES: u64 = 100;
const LONGEST: Duration = Duration::from_secs(5);
/// A conversation with so many open questions is left alone.
const OPEN: usize = 2;
/// The weather while people talk, in thousandths of all calls.
const RAIN: Weather = Weather {
    seed: 0,
    errors: 20,
    lost: 30,
    garbled: 10,
    reset: 10,
    slow: 30,
    limited: 0,
    limited_globally: 0,
    twice: 20,
    swapped: 20,
};
/// When the program is killed.
#[derive(Clone, Copy, Debug)]
enum Moment {
    /// So many changes that people see after it was connected, in the middle of an answer: counted, since a busy machine
    /// is slow.
    Talking(u64),
    /// So long after it was started.
    Starting(Duration),
    /// A message was just made, and the answer to the call was lost.
    Made,
}

fn settings() -> Vec<(&'static str, &'static str)> {
    [&QUICK[..], &[("NEVERDARK__CHAT__EDIT_INTERVAL", "60ms")]].concat()
}

/// Waits until it is connected, and tells its log when it is not.
async fn connected(bot: &Bot, kills: usize) {
    let began = Instant::now();
    while !bot.log().contains("connected to Discord") {
        assert!(began.elapsed() < PATIENCE, "not connected after {kills} kills:\n{}", bot.log());
        sleep(Duration::from_millis(5)).await;
    }
}

/// A run of the test.
struct Run {
    home: Home,
    rng: fastrand::Rng,
    places: Vec<(u64, &'static str)>,
    questions: Vec<Question>,
    /// A line for each kill: its moment, and the questions that were open.
    kills: Vec<String>,
    in_an_answer: u64,
}

impl Run {
    async fn new(seed: u64) -> Self {
        let cast = format!(
            "alpha: pace=1ms random seed={seed} fail=0.35 tale={SIZE} | beta: pace=2ms random seed={} fail=0.2 tale={SIZE} | \
             gamma: pace=1ms tale={SIZE}",
            seed + 1
        );
        let home = Home::new(&cast).await;
        let discord = &home.stage.discord;
        for call in ["create", "edit", "delete", "typing", "global"] {
            discord.set_limit(call, 10_000, Duration::from_secs(1));
        }
        let help = discord.channel("help");
        let places = vec![
            (help, "ana"),
            (discord.channel("harbour"), "ben"),
            (discord.channel("games"), "cem"),
            (discord.channel("music"), "dia"),
            (discord.start_thread("ana", help, None, "a thread"), "eva"),
            (discord.dm("fay"), "fay"),
        ];
        let rng = fastrand::Rng::with_seed(seed);
        Self { home, rng, places, questions: Vec::new(), kills: Vec::new(), in_an_answer: 0 }
    }

    /// Somebody asks for a tale.
    fn ask(&mut self, place: usize) {
        let (channel, person) = self.places[place];
        let title = format!("t{}", self.questions.len() + 1);
        let id = self.home.stage.discord.say(person, channel, &format!("@neverdark tell me {title}"), None);
        self.questions.push(Question { id, channel, titles: vec![title], fate: Fate::Kept });
    }

    /// The questions of a place whose end people have not seen.
    fn open(&self, channel: u64) -> Vec<&str> {
        let shown = self.home.answers(channel);
        let mine = self.questions.iter().filter(|it| it.channel == channel);
        let is_open = |it: &&str| {
            let end = format!("The end of {it}, says");
            shown.iter().all(|it| !it.contains(&end))
        };
        mine.map(|it| it.titles[0].as_str()).filter(is_open).collect()
    }

    /// People talk for so long.
    async fn talk(&mut self, time: Duration) {
        let until = Instant::now() + time;
        loop {
            let place = self.rng.usize(0..self.places.len());
            if self.open(self.places[place].0).len() < OPEN {
                self.ask(place);
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            sleep(left.min(Duration::from_millis(self.rng.u64(20..120)))).await;
        }
    }

    fn streams(&self) -> usize {
        ["alpha", "beta", "gamma"].iter().map(|it| self.home.stage.providers.open_streams(it)).sum()
    }

    /// Waits for the moment, and says whether it came.
    async fn wait(&mut self, bot: &Bot, moment: Moment) -> bool {
        match moment {
            Moment::Starting(time) => {
                self.talk(time).await;
                true
            }
            Moment::Talking(changes) => {
                connected(bot, self.kills.len()).await;
                let seen = self.home.stage.discord.watch();
                let (before, began) = (*seen.borrow(), Instant::now());
                let is_early = || *seen.borrow() < before + changes;
                while (is_early() || self.streams() == 0) && began.elapsed() < LONGEST {
                    self.talk(Duration::from_millis(5)).await;
                }
                true
            }
            Moment::Made => {
                connected(bot, self.kills.len()).await;
                let count =
                    |run: &Self| run.places.iter().map(|it| run.home.answers(it.0).len()).sum::<usize>();
                let before = count(self);
                self.home.stage.discord.rest_fault(RestFault {
                    method: None,
                    route: "create".to_owned(),
                    times: 2,
                    effect: RestEffect::Lost,
                });
                self.talk(Duration::from_millis(1)).await;
                let mut seen = self.home.stage.discord.watch();
                let made = timeout(Duration::from_secs(2), async {
                    while count(self) <= before && seen.changed().await.is_ok() {}
                });
                made.await.is_ok()
            }
        }
    }

    async fn crash(&mut self, bot: Bot) {
        let moment = match self.rng.u8(0..20) {
            0..2 => Moment::Starting(Duration::from_millis(self.rng.u64(0..400))),
            2..6 => Moment::Made,
            _ => Moment::Talking(self.rng.u64(0..CHANGES)),
        };
        let came = self.wait(&bot, moment).await;
        let streams = self.streams();
        bot.kill().await;
        self.no_crash_loop().await;
        self.home.stage.discord.heal_rest();
        self.in_an_answer += u64::from(came && streams > 0);
        let open: Vec<&str> = self.places.iter().flat_map(|it| self.open(it.0)).collect();
        let line =
            format!("kill {}: {moment:?}, {streams} streams, open: {}", self.kills.len() + 1, open.join(" "));
        self.kills.push(line);
    }

    /// A program that is killed all the time waits longer and longer before it connects again: not here.
    async fn no_crash_loop(&self) {
        let pool = sqlx::SqlitePool::connect(&self.home.database()).await.unwrap();
        // There is no such table in a database that was killed while it was made.
        let _ = sqlx::query("UPDATE starts SET in_vain = 0").execute(&pool).await;
        pool.close().await;
    }

    /// Lets everything come to its end, in calm weather.
    async fn end(&mut self) {
        self.home.stage.discord.weather(Weather::default());
        let bot = self.home.serve(&settings()).await;
        let file = self.home.path("data/neverdark.db");
        let began = Instant::now();
        while began.elapsed() < PATIENCE {
            sleep(Duration::from_millis(100)).await;
            if Tables::read(&file).await.is_done(&self.questions, &self.home.stage.discord) {
                break;
            }
        }
        let ended = bot.stop().await;
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_any_moment_it_gives_one_whole_answer_each() {
    let kills = ordered("NEVERDARK_CRASHES").unwrap_or(KILLS);
    let seed = ordered("NEVERDARK_SEED").unwrap_or(1);
    let mut run = Run::new(seed).await;
    run.home.stage.discord.weather(Weather { seed, ..RAIN });
    // Each place is known to the bot before anything happens.
    let bot = run.home.serve(&settings()).await;
    (0..run.places.len()).for_each(|it| run.ask(it));
    run.crash(bot).await;
    while run.in_an_answer < kills {
        assert!((run.kills.len() as u64) < kills * 2 + 10, "too few kills meet an answer");
        let bot = run.home.run(&settings());
        run.crash(bot).await;
    }
    run.end().await;

    let tables = Tables::read(&run.home.path("data/neverdark.db")).await;
    let findings = audit(&run.home.stage.discord, &tables, &run.questions, SIZE);
    let mut table = format!(
        "crash test, seed {seed}: {} kills, {} of them in the middle of an answer\n  questions {}\n  turns {:?}\n",
        run.kills.len(),
        run.in_an_answer,
        run.questions.len(),
        tables.states(),
    );
    let told: Vec<&str> = SORTS.into_iter().chain(["unheard", "refused"]).collect();
    for sort in &told {
        writeln!(table, "  {sort:<10} {}", findings.count(sort)).unwrap();
    }
    println!("{table}  mishaps {:?}", run.home.stage.discord.mishaps());
    let found = findings.told(&told);
    println!("{found}");
    let is_named = |line: &&String| {
        found.split([' ', '\n']).any(|it| it.starts_with('t') && line.contains(&format!(" {it} ")))
    };
    let moments: Vec<&String> = run.kills.iter().filter(is_named).collect();
    assert!(SORTS.iter().all(|it| findings.count(it) == 0), "{table}{found}{moments:#?}");
}
