//! `neverdark demo --faults` and `--outage`: what people see of each fault that providers are known to commit, measured.
//!
//! The whole service runs with default settings against an embedded Discord and two scripted providers, one stage a fault.
//! The clock stands at the person's side: from the question to what can be read in Discord.

mod house;
mod list;
mod outage;
mod table;

use super::{Exit, fail};
use house::{House, Until};
use list::Fault;
use sim::providers::Kind;
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use table::Row;
use tokio::{sync::mpsc, task::JoinSet, time::sleep};
use tokio_util::sync::CancellationToken;

/// How many stages play side by side: they wait most of the time, and two slow cores must not be what is measured.
const AT_ONCE: usize = 8;
/// Those that take long have the cores to themselves at first: their hedge is due by then.
const QUIET: Duration = Duration::from_secs(3);
/// They ask one after the other, so that their first moments do not share the cores.
const ONE_BY_ONE: Duration = Duration::from_millis(30);

/// What is wanted of the measurements.
#[derive(Debug)]
pub(super) struct Wanted {
    /// Those with this word in their names.
    pub(super) only: Option<String>,
    /// Alpha speaks this dialect, and what is nothing in it is left out; none: the list's own.
    pub(super) kind: Option<Kind>,
    /// Not those that take long.
    pub(super) is_quick: bool,
    /// JSON instead of Markdown.
    pub(super) as_json: bool,
}

/// Plays the faults and prints what came of them.
pub(super) async fn run(wanted: &Wanted) -> Exit {
    let all = match list::all() {
        Ok(all) => all,
        Err(mistake) => return fail(Exit::Failed, &format!("the list of faults has a mistake: {mistake}")),
    };
    let named: Vec<&Fault> = all.iter().filter(|it| wanted.has(it)).collect();
    if named.is_empty() {
        let word = wanted.only.as_deref().unwrap_or_default();
        let mut groups: Vec<&str> = all.iter().map(|it| it.group.as_str()).collect();
        groups.dedup();
        let groups = groups.join(" · ");
        return fail(
            Exit::Config,
            &format!("no fault has `{word}` in its name or its group. The groups are: {groups}"),
        );
    }
    let told = |it: &Fault| wanted.kind.map_or_else(|| Some(it.clone()), |kind| it.in_kind(kind));
    let chosen: Vec<Fault> = named.iter().filter_map(|it| told(it)).collect();
    let left_out = named.into_iter().filter(|it| told(it).is_none()).map(|it| it.name.clone());
    let left_out: Vec<String> = left_out.collect();
    let rows = match play_all(chosen).await {
        Ok(rows) => rows,
        Err(failure) => return fail(Exit::Failed, &failure),
    };
    if wanted.as_json {
        let rows: Vec<_> = rows.iter().map(Row::json).collect();
        say_line!("{:#}", serde_json::json!({ "faults": rows, "left_out": left_out }));
    } else {
        say!("{}", table::markdown(&rows, &left_out));
    }
    if rows.iter().all(|it| it.faults_found().is_empty()) { Exit::Done } else { Exit::Failed }
}

pub(super) use outage::run as run_outage;

impl Wanted {
    fn has(&self, fault: &Fault) -> bool {
        let is_named = self.only.as_ref().is_none_or(|word| fault.has(word));
        is_named && !(self.is_quick && fault.is_slow)
    }
}

/// Plays all of them: those that take a minute beside the others, which come in batches. The rows come back in the order of
/// the list.
async fn play_all(chosen: Vec<Fault>) -> Result<Vec<Row>, String> {
    let progress = Progress { all: chosen.len(), done: Arc::default() };
    let numbered = chosen.into_iter().enumerate();
    let (long, mut others): (Vec<_>, Vec<_>) = numbered.partition(|(_, fault)| fault.is_long());
    // Those that take some seconds are put together: a batch lasts as long as its longest.
    others.sort_by_key(|(_, fault)| (fault.is_slow, fault.first.is_some()));
    let quiet = if long.is_empty() { Duration::ZERO } else { QUIET };
    let mut long = Batch::begin(long, &progress);
    long.ask().await;
    sleep(quiet).await;
    let mut batches = Vec::new();
    for faults in others.chunks(AT_ONCE) {
        let mut batch = Batch::begin(faults.to_vec(), &progress);
        batch.ask().await;
        batch.see().await;
        batches.push(batch);
    }
    long.see().await;
    let mut rows = Vec::new();
    for mut batch in batches.into_iter().chain([long]) {
        while let Some(played) = batch.plays.join_next().await {
            rows.push(played.map_err(|failure| failure.to_string())??);
        }
    }
    rows.sort_by_key(|(place, _)| *place);
    Ok(rows.into_iter().map(|(_, row)| row).collect())
}

/// Tells on stderr what is done.
#[derive(Clone)]
struct Progress {
    all: usize,
    done: Arc<AtomicUsize>,
}

impl Progress {
    fn tell(&self, row: &Row) {
        let done = self.done.fetch_add(1, Ordering::Relaxed) + 1;
        complain!("[{done}/{}] {}: {}", self.all, row.fault.name, row.sees());
    }
}

/// Faults that are played at once. Building a service takes a core for a while, so that all are built before anybody asks.
struct Batch {
    plays: JoinSet<Result<(usize, Row), String>>,
    /// Each end when every play has dropped its own.
    building: mpsc::Receiver<()>,
    asking: mpsc::Receiver<()>,
    go: CancellationToken,
}

impl Batch {
    fn begin(faults: Vec<(usize, Fault)>, progress: &Progress) -> Self {
        let ((built, building), (asked, asking)) = (mpsc::channel(1), mpsc::channel(1));
        let go = CancellationToken::new();
        let mut plays = JoinSet::new();
        let begins = std::iter::successors(Some(Duration::ZERO), |it| Some(*it + ONE_BY_ONE));
        for ((place, fault), after) in faults.into_iter().zip(begins) {
            let cues = Cues { built: built.clone(), go: go.clone(), after, asked: asked.clone() };
            let progress = progress.clone();
            plays.spawn(async move {
                let row = play(fault, cues).await?;
                progress.tell(&row);
                Ok((place, row))
            });
        }
        Self { plays, building, asking, go }
    }

    /// When every service is built, everybody asks.
    async fn ask(&mut self) {
        // Nothing is ever sent: it ends.
        while self.building.recv().await.is_some() {}
        self.go.cancel();
    }

    /// Returns when everybody has seen what there was to see; the goodbyes take a second that the next batch can use.
    async fn see(&mut self) {
        while self.asking.recv().await.is_some() {}
    }
}

/// What a play waits for, and what it tells by dropping.
struct Cues {
    built: mpsc::Sender<()>,
    go: CancellationToken,
    /// It asks so long after `go`.
    after: Duration,
    asked: mpsc::Sender<()>,
}

/// One fault on its own stage: one question, and what came of it.
async fn play(fault: Fault, cues: Cues) -> Result<Row, String> {
    const ROOM: &str = "harbour";
    let named = |failure: String| format!("{}: {failure}", fault.name);
    let house = House::open(&fault.cast(), &[ROOM.to_owned()], fault.is_wider).await.map_err(named)?;
    if fault.is_ill {
        house.guest.stage.providers.health("alpha", false)?;
    }
    let guest = house.guest.clone();
    let visit = async {
        let Cues { built, go, after, asked } = cues;
        drop(built);
        go.cancelled().await;
        sleep(after).await;
        let seen = guest.ask("ana", ROOM, Until::Rest).await;
        drop(asked);
        (seen, (guest.calls("alpha"), guest.calls("beta")))
    };
    let (seen, calls) = Box::pin(house.host(visit)).await.map_err(named)?;
    Ok(Row { fault, seen, calls })
}
