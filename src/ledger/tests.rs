//! The ledger over a real database file that is slow, refuses, and takes rows again.

use super::*;
use crate::{
    message::UnixMillis,
    outcome::{Failure, Usage},
};
use std::{future::Future, io, pin::pin};
use tempfile::TempDir;
use tokio::time::timeout;

struct House {
    _dir: TempDir,
    ledger: Ledger,
    metrics: Arc<Metrics>,
    /// Another program that has the same file open.
    other: sqlx::SqlitePool,
}

async fn house() -> House {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("neverdark.db");
    let store = Store::open(&format!("sqlite://{}", path.display())).await.unwrap();
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(path);
    let other = sqlx::SqlitePool::connect_with(options).await.unwrap();
    let metrics = Arc::new(Metrics::default());
    let ledger = Ledger::new(store, Arc::clone(&metrics));
    House { _dir: dir, ledger, metrics, other }
}

impl House {
    /// From now on the table takes no rows.
    async fn refuse(&self) {
        let trigger =
            "CREATE TRIGGER closed BEFORE INSERT ON attempts BEGIN SELECT RAISE(ABORT, 'closed'); END";
        sqlx::query(trigger).execute(&self.other).await.unwrap();
    }

    async fn accept(&self) {
        sqlx::query("DROP TRIGGER closed").execute(&self.other).await.unwrap();
    }

    /// The steps of the rows in the file, in the order in which they were written.
    async fn steps(&self) -> Vec<u32> {
        sqlx::query_scalar("SELECT step FROM attempts ORDER BY id").fetch_all(&self.other).await.unwrap()
    }

    /// The same as ranges, such as `0..20 30..31`.
    async fn written(&self) -> String {
        ranges(&self.steps().await)
    }

    /// Runs `doing` while the ledger is kept.
    async fn meanwhile<T>(&self, doing: impl Future<Output = T>) -> T {
        tokio::select! {
            never = self.ledger.keep() => match never {},
            done = doing => done,
        }
    }

    async fn until_written(&self, rows: usize, within: Duration) {
        let written = async {
            while self.steps().await.len() < rows {
                sleep(Duration::from_millis(2)).await;
            }
        };
        timeout(within, written).await.expect("the rows are there in time");
    }

    fn note(&self, steps: std::ops::Range<u32>) {
        for step in steps {
            self.ledger.note(&turn(), attempt(step, Outcome::Answered));
        }
    }

    fn lost(&self) -> u64 {
        let text = self.metrics.render([]);
        let line = text.lines().find_map(|it| it.strip_prefix("neverdark_ledger_rows_lost_total "));
        line.unwrap().parse().unwrap()
    }
}

fn ranges(steps: &[u32]) -> String {
    let runs = steps.chunk_by(|one, next| one + 1 == *next);
    runs.map(|it| format!("{}..{}", it[0], it[0] as usize + it.len())).collect::<Vec<_>>().join(" ")
}

fn turn() -> TurnId {
    TurnId("0123456789".to_owned())
}

fn attempt(step: u32, outcome: Outcome) -> Attempt {
    Attempt {
        step,
        provider: "alpha".to_owned(),
        model: "m".to_owned(),
        started_at: UnixMillis(1),
        outcome,
        first_text: Some(Duration::from_millis(40)),
        total: Duration::from_millis(200),
        usage: Usage::default(),
        cost: None,
    }
}

/// What was logged on this thread since.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn listen() -> (Self, tracing::subscriber::DefaultGuard) {
        let log = Self::default();
        let writer = log.clone();
        let lines = tracing_subscriber::fmt().with_writer(move || writer.clone()).with_ansi(false);
        let guard = tracing::subscriber::set_default(lines.without_time().with_target(false).finish());
        (log, guard)
    }

    fn lines(&self, about: &str) -> Vec<String> {
        let text = String::from_utf8(self.0.lock().unwrap().clone()).unwrap();
        text.lines().filter(|it| it.contains(about)).map(str::to_owned).collect()
    }

    async fn until(&self, about: &str) {
        let logged = async {
            while self.lines(about).is_empty() {
                sleep(Duration::from_millis(2)).await;
            }
        };
        timeout(PATIENCE, logged).await.expect("it is logged");
    }
}

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

const SECOND: Duration = Duration::from_secs(1);
/// Where the limit is not what is tried.
const PATIENCE: Duration = Duration::from_secs(30);

#[tokio::test]
async fn a_row_is_there_within_a_second() {
    let house = house().await;
    house
        .meanwhile(async {
            house.note(0..1);
            house.until_written(1, SECOND).await;
            house.note(1..3);
            house.until_written(3, SECOND).await;
        })
        .await;
}

#[tokio::test]
async fn many_rows_do_not_wait_for_more() {
    let house = house().await;
    let many = u32::try_from(MANY_ROWS).unwrap();
    let mut told = pin!(house.ledger.0.many.notified());
    house.note(0..many - 1);
    assert!(futures::poll!(&mut told).is_pending());
    house.note(many - 1..many);
    assert!(futures::poll!(&mut told).is_ready());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn of_many_who_note_at_once_nothing_is_lost_or_doubled() {
    let house = house().await;
    house
        .meanwhile(async {
            std::thread::scope(|scope| {
                for it in 0..4 {
                    let house = &house;
                    scope.spawn(move || house.note(it * 1500..(it + 1) * 1500));
                }
            });
            house.until_written(6000, PATIENCE).await;
        })
        .await;
    let mut steps = house.steps().await;
    steps.sort_unstable();
    assert_eq!(ranges(&steps), "0..6000");
}

#[tokio::test]
async fn what_is_refused_is_kept_and_told_once() {
    let (log, _guard) = Log::listen();
    let house = house().await;
    house.refuse().await;
    house.note(0..1500);
    for _ in 0..3 {
        house.ledger.flush().await;
    }
    house.note(1500..1510);
    house.ledger.flush().await;
    assert_eq!(house.written().await, "");
    let said = ["ERROR calls cannot be written into the ledger; they are kept and tried again \
         error=the database could not be used: closed"];
    assert_eq!(log.lines("written").iter().map(|it| it.trim()).collect::<Vec<_>>(), said);

    house.accept().await;
    house.meanwhile(house.until_written(1510, PATIENCE)).await;
    assert_eq!(house.written().await, "0..1510", "in their order");
    assert_eq!(log.lines("written").len(), 2);
    assert_eq!(log.lines("INFO calls are written into the ledger again").len(), 1);
    assert_eq!(house.lost(), 0);
}

#[tokio::test]
async fn another_programs_lock_delays_rows_only() {
    let house = house().await;
    house
        .meanwhile(async {
            let held = house.other.begin_with("BEGIN IMMEDIATE").await.unwrap();
            house.note(0..10);
            timeout(EVERY * 2, house.ledger.flush()).await.expect_err("it waits for the lock");
            house.note(10..20);
            held.rollback().await.unwrap();
            house.until_written(20, PATIENCE).await;
        })
        .await;
    assert_eq!(house.written().await, "0..20");
}

#[tokio::test]
async fn too_many_rows_are_counted() {
    let (log, _guard) = Log::listen();
    let house = house().await;
    house.refuse().await;
    let most = u32::try_from(MOST_ROWS).unwrap();
    house.note(0..most + 7);
    assert_eq!(house.lost(), 7);
    // Rows that come while others are tried take the place of the oldest, too.
    let rows: Vec<_> = house.ledger.0.waiting().rows.drain(..10).collect();
    house.note(most + 7..most + 12);
    house.ledger.0.put_back(rows);
    assert_eq!(house.lost(), 12);
    assert_eq!(log.lines("the oldest are lost").len(), 1);

    house.accept().await;
    house.meanwhile(log.until("12 calls are missing in the ledger")).await;
    assert_eq!(house.written().await, "12..20012", "the newest are kept");
    assert_eq!(log.lines("12 calls are missing in the ledger").len(), 1);
}

#[tokio::test]
async fn who_goes_away_leaves_nothing_half_done() {
    let house = house().await;
    for round in 0..50 {
        house.note(round * 10..(round + 1) * 10);
        {
            let mut flush = pin!(house.ledger.flush());
            for _ in 0..round % 6 {
                let _ = futures::poll!(&mut flush);
                tokio::task::yield_now().await;
            }
        }
    }
    house.ledger.flush().await;
    assert_eq!(house.written().await, "0..500");
}

#[tokio::test]
async fn a_storm_of_failures_is_a_few_lines() {
    let (log, _guard) = Log::listen();
    let house = house().await;
    for step in 0..500 {
        let failed = Failed { http_status: Some(503), ..Failed::new(Failure::Overloaded, "busy") };
        house.ledger.note(&turn(), attempt(step, Outcome::Failed(failed)));
    }
    let lines = log.lines("alpha failed: overloaded (HTTP 503): busy");
    assert_eq!(lines.len(), storm::LINES as usize, "{lines:?}");
    house.meanwhile(log.until("alpha failed 495 times more")).await;
    assert_eq!(house.steps().await.len(), 500, "the ledger has them all");
}

#[tokio::test]
async fn what_could_never_be_written_is_told() {
    let (log, _guard) = Log::listen();
    let House { ledger, .. } = house().await;
    ledger.note(&turn(), attempt(0, Outcome::Answered));
    drop(ledger);
    assert_eq!(log.lines("ERROR 1 calls were never written into the ledger").len(), 1);
}
