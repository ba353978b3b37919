//! Two ways to ask: one connection after its own answers, and many side by side.

use crate::{
    Trouble,
    figures::Latency,
    line::{Form, Line, Took, question},
    model,
    subject::Subject,
};
use std::{sync::Arc, time::Duration};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep},
};

/// Asked before a block, and not counted.
const WARM_UP: usize = 20;
/// After an error, so that a dead subject is not hammered.
const AFTER_ERROR: Duration = Duration::from_millis(10);

/// A model that answers at once or by pieces says this.
pub(crate) fn is_right(text: &str) -> bool {
    text.strip_prefix(model::WORDS[0])
        .and_then(|it| it.strip_prefix(model::WORDS[1]))
        .and_then(|it| it.strip_prefix(model::WORDS[2]))
        == Some("")
}

/// One connection, one question after the other for this long. Gives the latency of what `part` takes of each answer.
pub(crate) async fn one_by_one(
    subject: &Subject,
    form: Form,
    time: Duration,
    part: fn(Took) -> Duration,
) -> Result<Latency, Trouble> {
    let (question, mut took) = (question(form), Vec::new());
    let asked = async {
        let mut line = Line::connect(subject.address).await?;
        for _ in 0..WARM_UP {
            line.ask(&question, form, is_right).await?;
        }
        let end = Instant::now() + time;
        while Instant::now() < end {
            took.push(part(line.ask(&question, form, is_right).await?));
        }
        Ok(())
    };
    asked.await.map_err(|trouble: Trouble| format!("{}: {trouble}", subject.kind.name()))?;
    Ok(Latency::of(took))
}

/// What many connections got.
#[derive(Clone, Debug, Default)]
pub(crate) struct Load {
    /// Right and whole answers.
    pub(crate) answers: u64,
    pub(crate) seconds: f64,
    /// CPU time of the subject meanwhile, in seconds.
    pub(crate) cpu: Option<f64>,
    /// Everything that was not a right and whole answer.
    pub(crate) errors: u64,
    pub(crate) first_error: Option<String>,
}

impl Load {
    pub(crate) fn per_second(&self) -> f64 {
        self.answers as f64 / self.seconds
    }

    /// What a core that does nothing else would do.
    pub(crate) fn per_cpu_second(&self) -> Option<f64> {
        self.cpu.filter(|&it| it > 0.0).map(|cpu| self.answers as f64 / cpu)
    }
}

/// So many connections, each with one question after the other for this long.
pub(crate) async fn side_by_side(
    subject: &Subject,
    form: Form,
    connections: usize,
    time: Duration,
) -> Result<Load, Trouble> {
    let question: Arc<[u8]> = question(form).into();
    let mut lines = Vec::new();
    for _ in 0..connections {
        let mut line = Line::connect(subject.address).await?;
        line.ask(&question, form, is_right).await?;
        lines.push(line);
    }
    let (began, used) = (Instant::now(), subject.cpu());
    let mut workers = JoinSet::new();
    for line in lines {
        workers.spawn(worker(line, subject.address, Arc::clone(&question), form, began + time));
    }
    let mut load = Load::default();
    while let Some(worked) = workers.join_next().await {
        let Load { answers, errors, first_error, .. } = worked?;
        load.answers += answers;
        load.errors += errors;
        load.first_error = load.first_error.or(first_error);
    }
    load.seconds = began.elapsed().as_secs_f64();
    load.cpu = subject.cpu().zip(used).map(|(after, before)| after - before);
    Ok(load)
}

async fn worker(
    line: Line,
    address: std::net::SocketAddr,
    question: Arc<[u8]>,
    form: Form,
    end: Instant,
) -> Load {
    let (mut load, mut line) = (Load::default(), Some(line));
    while Instant::now() < end {
        let asked = async {
            let mut open = match line.take() {
                Some(line) => line,
                None => Line::connect(address).await?,
            };
            open.ask(&question, form, is_right).await?;
            Ok::<_, Trouble>(open)
        };
        match asked.await {
            Ok(open) => {
                load.answers += 1;
                line = Some(open);
            }
            Err(trouble) => {
                load.errors += 1;
                load.first_error.get_or_insert_with(|| trouble.to_string());
                sleep(AFTER_ERROR).await;
            }
        }
    }
    load
}
