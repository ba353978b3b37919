//! The machine: what it is, which core belongs to whom, and how many files a process may open.

use crate::Trouble;
use std::{
    fs,
    process::{Command, Output, id},
};

/// Who runs where.
#[derive(Debug)]
pub(crate) struct Pinning {
    /// The one core of whoever is measured; none: nobody is bound to a core.
    subject: Option<String>,
    /// What was done, for the report.
    pub(crate) said: String,
}

impl Pinning {
    /// A command for whoever is measured.
    pub(crate) fn command(&self, program: &str) -> Command {
        match &self.subject {
            Some(core) => {
                let mut command = Command::new("taskset");
                command.args(["-c", core, program]);
                command
            }
            None => Command::new(program),
        }
    }
}

/// Leaves the first core to whoever is measured: load and model run on all the others.
pub(crate) fn pin() -> Pinning {
    let cores = cores();
    let nobody = |why: &str| Pinning {
        subject: None,
        said: format!(
            "Nobody is bound to a core ({why}): the figures are rougher, and \"on one core\" is by CPU time only."
        ),
    };
    let Some((subject, others)) = cores.split_first().filter(|(_, others)| !others.is_empty()) else {
        return nobody("there is only one");
    };
    let others = others.join(",");
    match run("taskset", &["-a", "-p", "-c", &others, &id().to_string()]) {
        Some(_) => Pinning {
            subject: Some(subject.clone()),
            said: format!("Whoever is measured runs on core {subject}; load and model on {others}."),
        },
        None => nobody("`taskset` of util-linux is missing or refused"),
    }
}

/// The cores that this process may use.
fn cores() -> Vec<String> {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let list = status.lines().find_map(|it| it.strip_prefix("Cpus_allowed_list:")).unwrap_or("0").trim();
    let ranges = list.split(',').filter_map(|range| {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        Some(first.parse::<u32>().ok()?..=last.parse::<u32>().ok()?)
    });
    ranges.flatten().map(|it| it.to_string()).collect()
}

/// How many files each of our processes may open.
pub(crate) fn open_files() -> usize {
    let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let line = limits.lines().find_map(|it| it.strip_prefix("Max open files"));
    let soft = line.and_then(|it| it.split_whitespace().next()).unwrap_or("1024");
    soft.parse().unwrap_or(usize::MAX)
}

/// Raises the number of open files as far as it goes without being root. Says so if `needed` is not reached.
pub(crate) fn raise_open_files(needed: usize) -> String {
    if open_files() < needed {
        // The soft limit alone: up to the hard one everybody may.
        run("prlimit", &["--pid", &id().to_string(), &format!("--nofile={needed}:")]);
    }
    match open_files() {
        enough if enough >= needed => format!("{enough} files may be open."),
        few => format!(
            "Only {few} files may be open: fewer streams are held. `ulimit -n {needed}` before the run helps."
        ),
    }
}

/// Cores, processor, kernel, and how busy it is before anything starts.
pub(crate) fn describe() -> Result<String, Trouble> {
    let processor = fs::read_to_string("/proc/cpuinfo")?;
    let model =
        processor.lines().find(|it| it.starts_with("model name")).and_then(|it| it.split(": ").nth(1));
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease")?;
    let load = fs::read_to_string("/proc/loadavg")?;
    Ok(format!(
        "{} cores, {}, Linux {}; load average before the run {}.",
        std::thread::available_parallelism()?,
        model.unwrap_or(std::env::consts::ARCH),
        kernel.trim(),
        load.split(' ').next().unwrap_or("unknown")
    ))
}

fn run(program: &str, arguments: &[&str]) -> Option<Output> {
    Command::new(program).args(arguments).output().ok().filter(|it| it.status.success())
}
