//! What the router API adds to a call, and what it takes: beside a direct call and nginx as a reverse proxy, in one run.
//!
//! `cargo bench --profile dist --bench gateway` prints Markdown tables; `-- --quick` takes 20 s, and `-- --program FILE` measures
//! another build of the program. The model behind all three is a scripted server that answers at once. The three are asked in
//! turn, round by round, so that whatever the machine does meanwhile hits all alike.
#![expect(clippy::print_stdout, reason = "a benchmark speaks to whoever runs it")]

mod figures;
mod line;
mod load;
mod machine;
mod measures;
mod model;
mod subject;
mod tables;

use measures::Pace;
use model::{Manner, Model};
use std::{
    error::Error,
    path::{Path, PathBuf},
    process::ExitCode,
};
use subject::{Kind, Setting, Subject};
use tables::Speed;
use tokio::runtime::Builder;

/// What went wrong, for the one who runs the benchmark.
type Trouble = Box<dyn Error + Send + Sync>;

struct Arguments {
    pace: Pace,
    program: PathBuf,
}

fn arguments() -> Result<Arguments, Trouble> {
    let mut arguments = Arguments { pace: Pace::WHOLE, program: env!("CARGO_BIN_EXE_neverdark").into() };
    let mut given = std::env::args().skip(1);
    while let Some(word) = given.next() {
        match word.as_str() {
            "--bench" => {} // cargo says this to every benchmark
            "--quick" => arguments.pace = Pace::QUICK,
            "--program" => arguments.program = given.next().ok_or("--program needs a file")?.into(),
            other => {
                return Err(format!("{other:?} is not known; there are --quick and --program FILE").into());
            }
        }
    }
    Ok(arguments)
}

fn main() -> ExitCode {
    match measure() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(trouble) => {
            println!("\nThe benchmark stopped: {trouble}");
            ExitCode::FAILURE
        }
    }
}

/// Runs it all; false if neverdark had to be left out.
fn measure() -> Result<bool, Trouble> {
    let Arguments { pace, program } = arguments()?;
    let folder = tempfile::tempdir()?;
    println!("{}", machine::describe()?);
    // Before anything starts: threads and children inherit where they may run and how many files they may open.
    let pinning = machine::pin();
    let files = machine::raise_open_files(pace.open_files());
    println!("{}\n{files}\nneverdark is {}.\n", pinning.said, build(&program));

    let (model, refusing) = (Model::start(Manner::AtOnce)?, Model::start(Manner::Refusing)?);
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let setting = Setting {
        program: &program,
        folder: folder.path(),
        pinning: &pinning,
        model: &model,
        refusing: &refusing,
    };
    let (mut subjects, mut is_complete) = (Vec::new(), true);
    for kind in [Kind::Direct, Kind::Nginx, Kind::Neverdark] {
        match runtime.block_on(started(kind, &setting)) {
            Ok(subject) => subjects.push(subject),
            Err(trouble) => {
                is_complete &= kind != Kind::Neverdark;
                println!("{} is left out: {trouble}\n", kind.name());
            }
        }
    }
    let kinds: Vec<_> = subjects.iter().map(|it| it.kind).collect();
    let rounds = runtime.block_on(measures::in_rounds(&subjects, &model, &pace))?;
    let speed = Speed { kinds: &kinds, rounds: &rounds };
    println!("{}", speed.table(&pace));
    drop(subjects);

    let (mut held, mut failovers) = (Vec::new(), Vec::new());
    // Fresh processes: what the load above left behind is not what streams take.
    for &kind in kinds.iter().filter(|&&it| it != Kind::Direct) {
        let subject = runtime.block_on(started(kind, &setting))?;
        let files = machine::open_files();
        held.push(runtime.block_on(measures::held_streams(&subject, &model, &pace, files))?);
    }
    println!("{}", tables::streams(&held));
    if is_complete {
        for kind in [Kind::Failover, Kind::FailoverWithBreaker] {
            let subject = runtime.block_on(started(kind, &setting))?;
            failovers.push(runtime.block_on(measures::failover(&subject, &refusing, &pace))?);
        }
        println!("{}\n{}", tables::failovers(&failovers), speed.goals(&held));
    }
    Ok(is_complete)
}

/// A subject that answers.
async fn started(kind: Kind, setting: &Setting<'_>) -> Result<Subject, Trouble> {
    let mut subject = Subject::start(kind, setting)?;
    measures::is_ready(&mut subject).await?;
    Ok(subject)
}

/// The folder below `target/` says which profile built it.
fn build(program: &Path) -> String {
    let profile = program.parent().and_then(|it| it.file_name()).unwrap_or_default().to_string_lossy();
    match &*profile {
        "dist" => "built with the profile `dist`".to_owned(),
        other => format!("built with the profile `{other}`: ITS FIGURES SAY NOTHING, use `--profile dist`"),
    }
}
