//! The figures as Markdown tables, ready for docs/benchmarks.md (pure).

use crate::{
    figures::{Latency, Spread},
    load::Load,
    measures::{Failover, Held, Pace, Rounds},
    subject::Kind,
};
use std::fmt::Write;

/// No figure.
const NONE: &str = "";

/// Lines of a table.
struct Table(String);

impl Table {
    fn new(heads: &[&str]) -> Self {
        let rule: String = heads.iter().map(|_| " --- |").collect();
        Self(format!("| {} |\n|{rule}\n", heads.join(" | ")))
    }

    fn row(&mut self, what: &str, cells: impl IntoIterator<Item = String>) {
        let cells: String = cells.into_iter().map(|it| format!(" {it} |")).collect();
        // Writing to a String cannot fail.
        let _ = writeln!(self.0, "| {what} |{cells}");
    }
}

/// What is compared in rounds, with the order of its columns.
pub(crate) struct Speed<'a> {
    pub(crate) kinds: &'a [Kind],
    pub(crate) rounds: &'a Rounds,
}

type Part<T> = fn(&T) -> Option<f64>;

impl Speed<'_> {
    /// A figure of a column over the rounds.
    fn spread<T>(&self, rows: &[Vec<T>], kind: Kind, part: Part<T>) -> Option<Spread> {
        let place = self.kinds.iter().position(|&it| it == kind)?;
        Spread::of(rows.iter().filter_map(|row| part(&row[place])))
    }

    /// What a column adds to the direct call of the same round.
    fn added(&self, rows: &[Vec<Latency>], kind: Kind, part: Part<Latency>) -> Option<Spread> {
        let place = self.kinds.iter().position(|&it| it == kind)?;
        Spread::of(rows.iter().filter_map(|row| Some(part(&row[place])? - part(&row[0])?)))
    }

    fn latencies(&self, table: &mut Table, what: &str, rows: &[Vec<Latency>]) {
        let parts: [(&str, Part<Latency>); 2] = [("p50", |it| Some(it.p50)), ("p99", |it| Some(it.p99))];
        for (name, part) in parts {
            table.row(
                &format!("{what}, {name}, ms"),
                self.kinds.iter().map(|&kind| cell(self.spread(rows, kind, part))),
            );
            let added = |&kind: &Kind| match kind {
                Kind::Direct => NONE.to_owned(),
                _ => cell(self.added(rows, kind, part)),
            };
            table.row(&format!("… added to direct, {name}, ms"), self.kinds.iter().map(added));
        }
    }

    fn loads(&self, table: &mut Table, what: &str, rows: &[Vec<Load>]) {
        let parts: [(&str, Part<Load>); 2] = [
            ("a second", |it| Some(it.per_second())),
            ("for each second of its CPU time", Load::per_cpu_second),
        ];
        for (name, part) in parts {
            table.row(
                &format!("{what} {name}"),
                self.kinds.iter().map(|&kind| cell(self.spread(rows, kind, part))),
            );
        }
        let errors = |place: usize| rows.iter().map(|row| row[place].errors).sum::<u64>().to_string();
        table.row("… errors", (0..self.kinds.len()).map(errors));
    }

    /// The comparison.
    pub(crate) fn table(&self, pace: &Pace) -> String {
        let heads: Vec<_> = std::iter::once("what").chain(self.kinds.iter().map(|it| it.name())).collect();
        let mut table = Table::new(&heads);
        self.latencies(&mut table, "whole answer, one connection", &self.rounds.whole);
        self.latencies(&mut table, "first text of a stream, one connection", &self.rounds.first_text);
        let connections = pace.connections;
        self.loads(
            &mut table,
            &format!("whole answers, {connections} connections,"),
            &self.rounds.load_whole,
        );
        self.loads(&mut table, &format!("streams, {connections} connections,"), &self.rounds.load_stream);
        let (rounds, loads) = (pace.rounds, pace.load_rounds);
        let errors = self.rounds.load_whole.iter().chain(&self.rounds.load_stream).flatten();
        let first_error = errors.filter_map(|it| it.first_error.as_ref()).next();
        let first_error = first_error.map_or_else(String::new, |it| format!("\nThe first error: {it}\n"));
        format!("Median (least to most) of {rounds} rounds, of loads {loads}.\n\n{}{first_error}", table.0)
    }

    /// What was promised, and what came out.
    pub(crate) fn goals(&self, streams: &[Held]) -> String {
        let mut table = Table::new(&["goal", "measured", "kept"]);
        let mut goal = |what: &str, measured: Option<(f64, String)>, limit: f64, at_most: bool| {
            let (measured, kept) = match measured {
                Some((value, text)) if value.is_finite() => {
                    (text, if (value <= limit) == at_most { "yes" } else { "no" })
                }
                _ => ("not measured".to_owned(), "unknown"),
            };
            table.row(what, [measured, kept.to_owned()]);
        };
        let added =
            |rows: &[Vec<Latency>], kind| self.added(rows, kind, |it| Some(it.p50)).map(|it| it.median);
        let whole = |kind| added(&self.rounds.whole, kind);
        let ratio = whole(Kind::Neverdark).zip(whole(Kind::Nginx)).map(|(ours, theirs)| ours / theirs);
        goal(
            "added latency p50 at most twice nginx's",
            ratio.map(|it| (it, format!("{it:.2} times"))),
            2.0,
            true,
        );
        let per_core = self.spread(&self.rounds.load_whole, Kind::Neverdark, Load::per_cpu_second);
        let per_core = per_core.map(|it| (it.median, format!("{:.0}", it.median)));
        goal("at least 8,000 answers a second on one core", per_core, 8000.0, false);
        let first = added(&self.rounds.first_text, Kind::Neverdark).map(|it| (it, format!("{it:.3} ms")));
        goal("first text at most 0.5 ms later", first, 0.5, true);
        let held = streams.iter().find(|it| it.kind == Kind::Neverdark && it.whole == 1000);
        let held = held.map(|it| (mebibytes(it.held), format!("{:.1} MiB", mebibytes(it.held))));
        goal("at most 25 MiB with 1,000 streams", held, 25.0, true);
        table.0
    }
}

fn cell(spread: Option<Spread>) -> String {
    spread.map_or_else(|| NONE.to_owned(), |it| it.to_string())
}

fn mebibytes(kibibytes: u64) -> f64 {
    kibibytes as f64 / 1024.0
}

/// What streams that are held open take.
pub(crate) fn streams(streams: &[Held]) -> String {
    let mut table = Table::new(&[
        "streams held in mid-answer",
        "open at once",
        "ended whole",
        "MiB at rest",
        "MiB with the streams",
        "MiB at most",
    ]);
    for it in streams {
        let memory = [it.at_rest, it.held, it.peak].map(|it| format!("{:.1}", mebibytes(it)));
        let counts = [it.open_at_once, it.whole].map(|count| format!("{count} of {}", it.streams));
        table.row(it.kind.name(), counts.into_iter().chain(memory));
    }
    let errors =
        streams.iter().filter_map(|it| Some(format!("\n{}: {}\n", it.kind.name(), it.first_error.as_ref()?)));
    table.0 + &errors.collect::<String>()
}

/// Turns whose first provider refuses.
pub(crate) fn failovers(failovers: &[Failover]) -> String {
    let mut table = Table::new(&[
        "neverdark, first of two providers says 503",
        "answers a second",
        "for each second of its CPU time",
        "errors",
        "refusals an answer",
        "one connection, p50, ms",
    ]);
    for Failover { kind, alone, load, refused } in failovers {
        let cells = [
            format!("{:.0}", load.per_second()),
            load.per_cpu_second().map_or_else(|| NONE.to_owned(), |it| format!("{it:.0}")),
            load.errors.to_string(),
            format!("{refused:.2}"),
            format!("{:.3}", alone.p50),
        ];
        table.row(kind.name(), cells);
    }
    let errors = failovers
        .iter()
        .filter_map(|it| Some(format!("\n{}: {}\n", it.kind.name(), it.load.first_error.as_ref()?)));
    table.0 + &errors.collect::<String>()
}
