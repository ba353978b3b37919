//! What came of the faults, as Markdown for people and JSON for programs (pure).

use super::{
    house::Seen,
    list::{ALPHA, BETA, Expected, Fault},
};
use serde_json::{Value, json};
use sim::providers::Kind;
use std::{fmt::Write, time::Duration};

/// A rest may be told with whole seconds only, and is looked at a moment later.
const ABOUT: Duration = Duration::from_millis(1100);
/// Longer texts than this are told by their length.
const LONG: usize = 200;

/// What came of one fault.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) fault: Fault,
    pub(super) seen: Seen,
    /// As alpha and beta counted them.
    pub(super) calls: (usize, usize),
}

impl Row {
    /// What people see at the end.
    pub(super) fn sees(&self) -> String {
        let Seen { text, footer, rewritten, .. } = &self.seen;
        let who = match text.as_str() {
            ALPHA => "alpha's answer".to_owned(),
            BETA => "beta's answer".to_owned(),
            "" => "no text".to_owned(),
            text if ALPHA.starts_with(text) || BETA.starts_with(text) => format!("only “{text}”"),
            text if text.len() > LONG => {
                let thousands = text.chars().count() / 1000;
                format!("{thousands},000 characters")
            }
            text => format!("“{text}”"),
        };
        let rewritten = if *rewritten { ", rewritten" } else { "" };
        let footer = footer.as_ref().filter(|it| !it.is_empty()).map(|it| format!(" · *{it}*"));
        format!("{who}{rewritten}{}", footer.unwrap_or_default()).replace('\n', " ")
    }

    /// `1 + 1`
    fn calls(&self) -> String {
        format!("{} + {}", self.calls.0, self.calls.1)
    }

    /// What is not as it must be; empty when all is well.
    pub(super) fn faults_found(&self) -> Vec<String> {
        let Self { fault, seen, .. } = self;
        let mut found = Vec::new();
        let is_well = match fault.expected {
            Expected::Alpha => seen.text == ALPHA,
            Expected::Beta => seen.text == BETA,
            Expected::Either => seen.text == ALPHA || seen.text == BETA,
            Expected::Told => seen.footer.as_ref().is_some_and(|it| !it.starts_with("answered by")),
        };
        if !is_well {
            found.push(match fault.expected {
                Expected::Alpha => "alpha's whole answer was expected".to_owned(),
                Expected::Beta => "beta's whole answer was expected".to_owned(),
                Expected::Either => "a whole answer was expected".to_owned(),
                Expected::Told => "people must be told that there is no whole answer".to_owned(),
            });
        }
        if let Some(rest) = fault.rests {
            let is = seen.rests.unwrap_or_default();
            if is.abs_diff(rest) > ABOUT.min(rest / 2) {
                found.push(format!("alpha must be left alone for {}, and rests {}", time(rest), time(is)));
            }
        }
        for (what, limit, is) in
            [("first text", fault.first, seen.first), ("whole answer", fault.whole, seen.last)]
        {
            if let Some(limit) = limit
                && is.is_none_or(|it| it > limit)
            {
                found.push(format!("the {what} must be there within {}", time(limit)));
            }
        }
        found
    }

    pub(super) fn json(&self) -> Value {
        let ms = |it: Option<Duration>| it.map(|it| u64::try_from(it.as_millis()).unwrap_or(u64::MAX));
        let Self { fault, seen, calls } = self;
        json!({
            "group": fault.group,
            "fault": fault.name,
            "dialect": fault.kind.as_str(),
            "sees": self.sees(),
            "by_chance": fault.is_by_chance,
            "first_text_ms": ms(seen.first),
            "whole_answer_ms": ms(seen.last),
            "calls": { "alpha": calls.0, "beta": calls.1 },
            "alpha_rests_ms": ms(seen.rests),
            "not_as_expected": self.faults_found(),
        })
    }
}

/// All rows, a table a group; and what was not as expected. `left_out` is nothing in alpha's dialect.
pub(super) fn markdown(rows: &[Row], left_out: &[String]) -> String {
    let mut out = String::new();
    let mut group = "";
    let mut kind = None;
    for row in rows {
        // Writing to a String cannot fail.
        if row.fault.group != group {
            group = &row.fault.group;
            let gap = if out.is_empty() { "" } else { "\n" };
            let speaks = match kind.replace(row.fault.kind) {
                former if former == Some(row.fault.kind) => String::new(),
                Some(_) => format!("Here alpha speaks `{}`.\n\n", row.fault.kind),
                None => format!("alpha speaks `{}`, beta `{}`.\n\n", row.fault.kind, Kind::OpenAi),
            };
            let _ = writeln!(
                out,
                "{gap}### {group}\n\n{speaks}| alpha's fault | people see | first text | whole answer | calls α + β | alpha then rests |\n\
                 | --- | --- | --- | --- | --- | --- |"
            );
        }
        let or_none = |it: Option<Duration>| it.map_or("–".to_owned(), time);
        let _ = writeln!(
            out,
            "| {} | {} | {} | {} | {} | {} |",
            row.fault.name,
            row.sees(),
            or_none(row.seen.first),
            or_none(row.seen.last),
            row.calls(),
            or_none(row.seen.rests)
        );
    }
    let found: Vec<String> = rows
        .iter()
        .filter(|row| !row.faults_found().is_empty())
        .map(|row| format!("- {}: {}\n", row.fault.name, row.faults_found().join("; ")))
        .collect();
    let (all, wrong) = (rows.len(), found.len());
    let _ = writeln!(out, "\n{} of {all} faults ended as they must.", all - wrong);
    if !left_out.is_empty() {
        let (count, names) = (left_out.len(), left_out.join(" · "));
        let _ = writeln!(out, "\n{count} are bytes of another dialect, or nothing in this one: {names}");
    }
    if wrong > 0 {
        let _ = write!(out, "\nNot as expected:\n\n{}", found.concat());
    }
    out
}

/// A time as people say it: `20 ms`, `1.3 s`, `15 min`. Finer would be noise.
pub(super) fn time(it: Duration) -> String {
    let ms = it.as_millis();
    match ms {
        0..10 => format!("{ms} ms"),
        10..995 => format!("{} ms", (ms + 5) / 10 * 10),
        995..120_000 => {
            let tenths = (ms + 50) / 100;
            let fraction =
                if tenths.is_multiple_of(10) { String::new() } else { format!(".{}", tenths % 10) };
            format!("{}{fraction} s", tenths / 10)
        }
        _ => format!("{} min", (ms + 30_000) / 60_000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::faults::list;
    use expect_test::expect;

    fn row(name: &str, seen: Seen) -> Row {
        let fault = list::all().unwrap().into_iter().find(|it| it.name == name).unwrap();
        Row { fault, seen, calls: (1, 1) }
    }

    #[test]
    fn a_table_for_people_and_one_for_programs() {
        let ms = |it| Some(Duration::from_millis(it));
        let beta = Seen { first: ms(23), last: ms(1234), text: BETA.to_owned(), ..Seen::default() };
        let rows = [
            row("429, Retry-After in seconds", Seen { rests: ms(29_950), ..beta.clone() }),
            row("429, Retry-After as a date", Seen { rests: ms(2_000), ..beta.clone() }),
            row(
                "cut after text",
                Seen {
                    rewritten: true,
                    footer: Some("answered by beta · alpha broke off".to_owned()),
                    ..beta.clone()
                },
            ),
            row("silent", Seen { first: ms(31_000), ..beta }),
            row(
                "both are silent",
                Seen { text: "Sorry.\nReally.".to_owned(), footer: Some(String::new()), ..Seen::default() },
            ),
            row("a good answer", Seen { text: "Alpha says:".to_owned(), ..Seen::default() }),
            row("only thoughts", Seen::default()),
        ];
        expect![[r#"
            ### Too many requests

            alpha speaks `openai`, beta `openai`.

            | alpha's fault | people see | first text | whole answer | calls α + β | alpha then rests |
            | --- | --- | --- | --- | --- | --- |
            | 429, Retry-After in seconds | beta's answer | 20 ms | 1.2 s | 1 + 1 | 30 s |
            | 429, Retry-After as a date | beta's answer | 20 ms | 1.2 s | 1 + 1 | 2 s |

            ### Streams that fail after text

            | alpha's fault | people see | first text | whole answer | calls α + β | alpha then rests |
            | --- | --- | --- | --- | --- | --- |
            | cut after text | beta's answer, rewritten · *answered by beta · alpha broke off* | 20 ms | 1.2 s | 1 + 1 | – |

            ### Connections

            | alpha's fault | people see | first text | whole answer | calls α + β | alpha then rests |
            | --- | --- | --- | --- | --- | --- |
            | silent | beta's answer | 31 s | 1.2 s | 1 + 1 | – |

            ### Nobody is well

            | alpha's fault | people see | first text | whole answer | calls α + β | alpha then rests |
            | --- | --- | --- | --- | --- | --- |
            | both are silent | “Sorry. Really.” | – | – | 1 + 1 | – |

            ### Not faults: it must simply work

            | alpha's fault | people see | first text | whole answer | calls α + β | alpha then rests |
            | --- | --- | --- | --- | --- | --- |
            | a good answer | only “Alpha says:” | – | – | 1 + 1 | – |

            ### A 200 that is no answer

            | alpha's fault | people see | first text | whole answer | calls α + β | alpha then rests |
            | --- | --- | --- | --- | --- | --- |
            | only thoughts | no text | – | – | 1 + 1 | – |

            3 of 7 faults ended as they must.

            1 are bytes of another dialect, or nothing in this one: lines that end with CR

            Not as expected:

            - 429, Retry-After as a date: alpha must be left alone for 30 s, and rests 2 s
            - silent: the first text must be there within 4 s
            - a good answer: alpha's whole answer was expected
            - only thoughts: beta's whole answer was expected
        "#]].assert_eq(&markdown(&rows, &["lines that end with CR".to_owned()]));
        expect![[r#"{"alpha_rests_ms":2000,"by_chance":false,"calls":{"alpha":1,"beta":1},"dialect":"openai","fault":"429, Retry-After as a date","first_text_ms":23,"group":"Too many requests","not_as_expected":["alpha must be left alone for 30 s, and rests 2 s"],"sees":"beta's answer","whole_answer_ms":1234}"#]].assert_eq(&rows[1].json().to_string());
    }

    #[test]
    fn times_as_people_say_them() {
        let said =
            [3, 14, 994, 995, 1049, 1250, 30_000, 119_000, 900_000].map(|it| time(Duration::from_millis(it)));
        expect!["3 ms · 10 ms · 990 ms · 1 s · 1 s · 1.3 s · 30 s · 119 s · 15 min"]
            .assert_eq(&said.join(" · "));
    }
}
