//! The providers as a page for people, at most a hundred columns wide.

use super::{MOST_NEAR, Now, Report, Seen};
use crate::{
    cli::health::Health,
    config::{Origin, Price, ProviderConfig, Source, TrainsOnData, Vendor},
    message::UnixMillis,
    outcome::Rest,
};
use std::{
    fmt::Write,
    time::{Duration, UNIX_EPOCH},
};

/// Columns.
const WIDTH: usize = 100;
/// Where the text behind a label begins.
const INDENT: usize = 12;
/// The end of the year 9999, in milliseconds since 1970.
const LAST_MOMENT: u64 = 253_402_300_799_999;

impl Report<'_> {
    pub(super) fn text(&self) -> String {
        let mut out = String::new();
        for seen in &self.providers {
            seen.write(&mut out, self.at, self.names_models);
        }
        for note in &self.notes {
            line(&mut out, "note", note);
        }
        let asked = self.providers.iter().filter(|it| !matches!(it.now, Now::NotAsked)).count();
        let ready = self.providers.iter().filter(|it| it.is_ready()).count();
        if asked > 0 {
            // Writing to a String cannot fail, here and below.
            let _ =
                writeln!(out, "{}{ready} of {asked} ready.", if self.notes.is_empty() { "" } else { "\n" });
        }
        out
    }
}

impl Seen<'_> {
    fn is_ready(&self) -> bool {
        matches!(self.now, Now::Asked(Health::Ready(_)))
    }

    fn write(&self, out: &mut String, at: UnixMillis, names_models: bool) {
        let ProviderConfig { name, kind, base_url, sources, context_window, .. } = self.provider;
        let problem = match &self.now {
            Now::NotAsked => None,
            Now::Unfit(why) => Some(why.clone()),
            Now::Asked(health) => health.problem(),
        };
        let _ = match &self.now {
            Now::NotAsked => writeln!(out, "{name}"),
            Now::Asked(Health::Ready(after)) => writeln!(out, "{name}: ready after {} ms", after.as_millis()),
            Now::Asked(_) | Now::Unfit(_) => writeln!(out, "{name}: not ready"),
        };
        problem.iter().for_each(|it| line(out, "problem", it));
        self.rest.iter().for_each(|it| line(out, "rests", &rests(it, at)));
        line(out, "found", &self.found());
        line(out, "address", &format!("{base_url} (kind {kind})"));
        line(out, "key", &self.key());
        line(out, "model", &self.model());
        let listed = self.listed().and_then(|it| it.context_window).filter(|it| it < context_window);
        let less = listed.map_or_else(String::new, |it| format!("; but it lists {it}"));
        line(out, "window", &format!("{context_window} tokens ({}){less}", source(sources.context_window)));
        line(
            out,
            "price",
            &match self.provider.price {
                Some(Price { input, output }) => {
                    format!("{input} in, {output} out, per million tokens ({})", source(sources.price))
                }
                None => "not known".to_owned(),
            },
        );
        line(
            out,
            "training",
            match self.provider.trains_on_data {
                TrainsOnData::Yes => "yes: models are trained on what is sent",
                TrainsOnData::No => "no",
                TrainsOnData::Unknown => "not known",
            },
        );
        let models = self.models.iter().flatten().filter(|_| names_models);
        for (number, it) in models.enumerate() {
            let window = it.context_window.map_or_else(String::new, |it| format!(" ({it} tokens)"));
            line(out, if number == 0 { "models" } else { "" }, &format!("{}{window}", it.id));
        }
        out.push('\n');
    }

    fn found(&self) -> String {
        match &self.provider.origin {
            Origin::Table(at) if at.is_empty() => "a table".to_owned(),
            Origin::Table(at) => format!("the table at {at}"),
            Origin::Variables(at) => format!("the variables {at}__…"),
            Origin::Key(at) => format!("the key in {at}"),
            Origin::LocalServer(at) => format!("a local server at {at}"),
        }
    }

    fn key(&self) -> String {
        let ProviderConfig { api_key_env, api_key_file, .. } = self.provider;
        let state = if self.has_key { "set" } else { "missing or unusable" };
        match api_key_file {
            Some(file) => format!("the file {}, {state}", file.display()),
            None if api_key_env.is_empty() => "none".to_owned(),
            None => format!("{api_key_env}, {state}"),
        }
    }

    fn model(&self) -> String {
        let model = &self.provider.model;
        let Some(models) = &self.models else {
            let is_asked = matches!(self.now, Now::Asked(_));
            return if is_asked { format!("{model} (it gives no list)") } else { model.clone() };
        };
        let near = self.near().join(", ");
        match (models.len(), self.listed()) {
            (1, Some(_)) => format!("{model}, the one that it lists"),
            (count, Some(_)) => format!("{model}, one of {count} that it lists"),
            (0, None) => format!("{model}, and it lists none"),
            (..=MOST_NEAR, None) => format!("{model}, but it lists: {near}"),
            (count, None) if near.is_empty() => {
                format!("{model}, which is not among the {count} that it lists")
            }
            (count, None) => format!("{model}, which is not among the {count} that it lists; near: {near}"),
        }
    }
}

fn rests(rest: &Rest, at: UnixMillis) -> String {
    // A moment beyond the year 9999 has no such form.
    let until = u64::try_from(rest.until.0).unwrap_or_default().min(LAST_MOMENT);
    let left = Duration::from_secs(rest.until.since(at).as_secs());
    format!(
        "for another {}, until {}: {}",
        humantime::format_duration(left),
        humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_millis(until)),
        rest.why
    )
}

fn source(source: Source) -> String {
    match source {
        Source::Table => "its table".to_owned(),
        Source::Vendors => format!("built-in list of {}", Vendor::checked()),
        Source::Server => "its list of models".to_owned(),
        Source::Usual => "the usual value".to_owned(),
    }
}

/// A label and its text, which goes on below itself where it is long.
fn line(out: &mut String, label: &str, text: &str) {
    let mut column = INDENT;
    let _ = write!(out, "  {label:<width$}", width = INDENT - 2);
    for (place, word) in text.split_whitespace().enumerate() {
        let length = word.chars().count();
        if place > 0 && column + 1 + length > WIDTH {
            let _ = write!(out, "\n{:INDENT$}{word}", "");
            column = INDENT + length;
        } else {
            let space = if place > 0 { " " } else { "" };
            let _ = write!(out, "{space}{word}");
            column += length + space.len();
        }
    }
    out.push('\n');
}
