//! What is measured, in which order, and how often.

use crate::{
    Trouble,
    figures::Latency,
    line::{Form, Line, question},
    load::{self, Load, one_by_one, side_by_side},
    model::{Manner, Model, is_whole_count},
    subject::{Kind, Subject},
};
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::{
    sync::Semaphore,
    task::JoinSet,
    time::{Instant, sleep, timeout},
};

/// A subject has started by then, also in a debug build on a busy machine.
const START_LIMIT: Duration = Duration::from_secs(20);
/// All streams are open by then.
const OPEN_LIMIT: Duration = Duration::from_secs(40);
/// And have ended so long after they were let go.
const END_LIMIT: Duration = Duration::from_secs(20);
/// Streams that are opened at once: what is measured is many streams, not many arrivals.
const OPENING: usize = 50;
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// How long a run takes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    /// Rounds of the latencies, and how long each subject is asked in one.
    pub(crate) rounds: usize,
    pub(crate) block: Duration,
    /// The same of the loads.
    pub(crate) load_rounds: usize,
    pub(crate) load: Duration,
    /// Connections of a load.
    pub(crate) connections: usize,
    /// Streams held open, and for how long after the last has begun.
    pub(crate) streams: usize,
    pub(crate) hold: Duration,
}

impl Pace {
    pub(crate) const WHOLE: Self = Self {
        rounds: 7,
        block: Duration::from_secs(1),
        load_rounds: 3,
        load: Duration::from_secs(5),
        connections: 48,
        streams: 1000,
        hold: Duration::from_secs(5),
    };
    pub(crate) const QUICK: Self = Self {
        rounds: 3,
        block: Duration::from_millis(250),
        load_rounds: 1,
        load: Duration::from_secs(1),
        hold: Duration::from_secs(1),
        ..Self::WHOLE
    };

    /// Open files of the busiest process: a held stream has two ends, in a proxy as in the benchmark itself.
    pub(crate) fn open_files(&self) -> usize {
        self.streams * 2 + SPARE_FILES
    }

    /// As many streams as these open files allow.
    fn streams_with(&self, open_files: usize) -> usize {
        self.streams.min(open_files.saturating_sub(SPARE_FILES) / 2)
    }
}

/// Files besides streams.
const SPARE_FILES: usize = 200;

/// Waits until a subject gives a right answer.
pub(crate) async fn is_ready(subject: &mut Subject) -> Result<(), Trouble> {
    let began = Instant::now();
    let question = question(Form::Whole);
    loop {
        let asked =
            async { Line::connect(subject.address).await?.ask(&question, Form::Whole, load::is_right).await };
        let Err(trouble) = asked.await else { return Ok(()) };
        if let Some(why) = subject.ended() {
            return Err(why.into());
        }
        if began.elapsed() > START_LIMIT {
            return Err(format!("no right answer within {START_LIMIT:?}: {trouble}").into());
        }
        sleep(LOOK_EVERY).await;
    }
}

/// Everything that is compared in rounds: a row a round, and in it a figure for each subject, in their order.
#[derive(Debug, Default)]
pub(crate) struct Rounds {
    pub(crate) whole: Vec<Vec<Latency>>,
    pub(crate) first_text: Vec<Vec<Latency>>,
    pub(crate) load_whole: Vec<Vec<Load>>,
    pub(crate) load_stream: Vec<Vec<Load>>,
}

/// Asks all subjects in turn, each round beginning with another one.
pub(crate) async fn in_rounds(subjects: &[Subject], model: &Model, pace: &Pace) -> Result<Rounds, Trouble> {
    let mut rounds = Rounds::default();
    for round in 0..pace.rounds {
        let (mut whole, mut first_text) = (row(subjects), row(subjects));
        for place in turn(round, subjects.len()) {
            whole[place] = one_by_one(&subjects[place], Form::Whole, pace.block, |it| it.whole).await?;
        }
        model.answer(Manner::Paced);
        for place in turn(round, subjects.len()) {
            first_text[place] =
                one_by_one(&subjects[place], Form::Stream, pace.block, |it| it.first_text).await?;
        }
        model.answer(Manner::AtOnce);
        rounds.whole.push(whole);
        rounds.first_text.push(first_text);
    }
    for round in 0..pace.load_rounds {
        for (form, rows) in [(Form::Whole, &mut rounds.load_whole), (Form::Stream, &mut rounds.load_stream)] {
            let mut loads = row(subjects);
            for place in turn(round, subjects.len()) {
                loads[place] = side_by_side(&subjects[place], form, pace.connections, pace.load).await?;
            }
            rows.push(loads);
        }
    }
    Ok(rounds)
}

fn row<T: Clone + Default>(subjects: &[Subject]) -> Vec<T> {
    vec![T::default(); subjects.len()]
}

/// The order of a round.
fn turn(round: usize, subjects: usize) -> impl Iterator<Item = usize> {
    (0..subjects).map(move |it| (it + round) % subjects)
}

/// What many streams at once take. Memory in KiB.
#[derive(Clone, Debug)]
pub(crate) struct Held {
    pub(crate) kind: Kind,
    pub(crate) at_rest: u64,
    pub(crate) held: u64,
    pub(crate) peak: u64,
    pub(crate) streams: usize,
    pub(crate) open_at_once: usize,
    pub(crate) whole: usize,
    pub(crate) first_error: Option<String>,
}

/// Opens the streams, holds them in the middle of their answers, lets them go, and looks that all end whole.
pub(crate) async fn held_streams(
    subject: &Subject,
    model: &Model,
    pace: &Pace,
    open_files: usize,
) -> Result<Held, Trouble> {
    let memory = || subject.memory().unwrap_or_default();
    let mut seen = Held {
        kind: subject.kind,
        at_rest: memory().0,
        held: 0,
        peak: 0,
        streams: pace.streams_with(open_files),
        open_at_once: 0,
        whole: 0,
        first_error: None,
    };
    model.answer(Manner::Held);
    let (open, doors) = (Arc::new(AtomicUsize::new(0)), Arc::new(Semaphore::new(OPENING)));
    let mut streams = JoinSet::new();
    for _ in 0..seen.streams {
        streams.spawn(stream(subject.address, Arc::clone(&open), Arc::clone(&doors)));
    }
    let began = Instant::now();
    while open.load(Ordering::Relaxed) < seen.streams && began.elapsed() < OPEN_LIMIT {
        sleep(LOOK_EVERY).await;
    }
    let began = Instant::now();
    while began.elapsed() < pace.hold {
        seen.held = seen.held.max(memory().0);
        sleep(LOOK_EVERY).await;
    }
    seen.open_at_once = open.load(Ordering::Relaxed);
    model.answer(Manner::AtOnce);
    let all = async {
        while let Some(ended) = streams.join_next().await {
            match ended.map_err(Trouble::from).and_then(|it| it) {
                Ok(()) => seen.whole += 1,
                Err(trouble) => _ = seen.first_error.get_or_insert_with(|| trouble.to_string()),
            }
        }
    };
    let _ = timeout(END_LIMIT, all).await;
    seen.peak = memory().1.max(seen.held);
    Ok(seen)
}

async fn stream(
    address: std::net::SocketAddr,
    open: Arc<AtomicUsize>,
    doors: Arc<Semaphore>,
) -> Result<(), Trouble> {
    let door = doors.acquire().await?;
    let mut line = Line::connect(address).await?;
    line.open(&question(Form::Stream)).await?;
    drop(door);
    open.fetch_add(1, Ordering::Relaxed);
    let ended = line.rest(Form::Stream, is_whole_count).await;
    open.fetch_sub(1, Ordering::Relaxed);
    ended
}

/// Turns whose first provider refuses.
#[derive(Clone, Debug)]
pub(crate) struct Failover {
    pub(crate) kind: Kind,
    pub(crate) alone: Latency,
    pub(crate) load: Load,
    /// Refusals for each answer under load.
    pub(crate) refused: f64,
}

/// Asks a subject whose first provider is the refusing model.
pub(crate) async fn failover(subject: &Subject, refusing: &Model, pace: &Pace) -> Result<Failover, Trouble> {
    let alone = one_by_one(subject, Form::Whole, pace.block, |it| it.whole).await?;
    let before = refusing.asked();
    let load = side_by_side(subject, Form::Whole, pace.connections, pace.load).await?;
    // Each connection asks once before the load is counted.
    let asked = load.answers + pace.connections as u64;
    let refused = (refusing.asked() - before) as f64 / asked as f64;
    Ok(Failover { kind: subject.kind, alone, load, refused })
}
