//! Reads a script; every line that is not understood is reported, with what was expected.

use super::{
    Act, Script, Step,
    faults::{gateway, rest_fault},
    people::person,
};
use crate::providers::{
    Cast,
    words::{Word, duration, words},
};

impl Script {
    /// Reads a script.
    ///
    /// # Errors
    /// One line of text for each line that is not understood: its number, the word, and what was expected.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut script = Self::default();
        let mut errors = Vec::new();
        for (number, line) in logical_lines(text) {
            errors.extend(script.add(number, &line).err().map(|error| (number, error)));
        }
        // The cast may stand below.
        for step in &script.steps {
            errors.extend(script.knows_its_cast(&step.act).err().map(|error| (step.line, error)));
        }
        if errors.is_empty() {
            return Ok(script);
        }
        errors.sort();
        let lines: Vec<_> = errors.iter().map(|(number, error)| format!("line {number}: {error}")).collect();
        Err(lines.join("\n"))
    }

    fn add(&mut self, number: usize, line: &str) -> Result<(), String> {
        let (first, rest) = first_word(line);
        match first {
            "cast" => {
                let lines: Vec<_> = rest.lines().map(without_comment).collect();
                self.cast.add(&lines.join(" | "))
            }
            "config" => {
                for word in words(without_comment(rest))? {
                    let Word { key: Some(key), text, .. } = word else {
                        return Err(format!("`{}`: expected `section.key=value`", word.written()));
                    };
                    self.config.push((key, text));
                }
                Ok(())
            }
            _ => {
                self.steps.push(step(number, line)?);
                Ok(())
            }
        }
    }

    /// A provider's name with a slip in it is better found before the play than in the middle of it.
    fn knows_its_cast(&self, act: &Act) -> Result<(), String> {
        let (Act::Break { provider, .. } | Act::Heal(provider) | Act::Health { provider, .. }) = act else {
            return Ok(());
        };
        let names: Vec<_> = self.cast.names().collect();
        if names.is_empty() || names.contains(&provider.as_str()) {
            return Ok(());
        }
        Err(format!("there is no provider `{provider}`: the cast is {}", names.join(", ")))
    }
}

impl Step {
    /// Reads one line, such as one that somebody types while the play runs.
    ///
    /// # Errors
    /// What is not understood, and what was expected.
    pub fn parse(line: &str) -> Result<Self, String> {
        step(1, line.trim())
    }
}

/// The lines with their numbers, without comments and empty ones, and with their continuations.
fn logical_lines(text: &str) -> Vec<(usize, String)> {
    let mut lines: Vec<(usize, String)> = Vec::new();
    let mut depth = 0;
    for (number, line) in text.lines().enumerate() {
        let bare = line.trim();
        let indent = line.len() - line.trim_start().len();
        if bare.is_empty() || bare.starts_with("//") {
            continue;
        }
        match (bare.strip_prefix('|'), lines.last_mut()) {
            (Some(more), Some((_, former))) if indent > depth => {
                former.push('\n');
                former.push_str(more.strip_prefix(' ').unwrap_or(more));
            }
            _ => {
                depth = indent;
                lines.push((number + 1, bare.to_owned()));
            }
        }
    }
    lines
}

/// A comment behind a line that is not speech. Two spaces, so that an address is none.
fn without_comment(line: &str) -> &str {
    line.split_once("  //").map_or(line, |(line, _)| line).trim_end()
}

pub(super) fn first_word(line: &str) -> (&str, &str) {
    let line = line.trim_start();
    line.split_once(char::is_whitespace).map_or((line, ""), |(first, rest)| (first, rest.trim_start()))
}

fn step(line: usize, text: &str) -> Result<Step, String> {
    let (first, rest) = first_word(text);
    let bare = without_comment(rest);
    let act = match first {
        "break" => breaks(bare)?,
        "heal" => Act::Heal(one_word(bare, "heal", "a provider's name")?.to_owned()),
        "health" => health(bare)?,
        "gateway" => Act::Gateway(gateway(bare)?),
        "discord" if bare == "heal" => Act::HealRest,
        "discord" => Act::Rest(rest_fault(bare)?),
        "wait" => Act::Wait(duration(one_word(bare, "wait", "a time such as 300ms")?)?),
        "until" => match words(bare)?.as_slice() {
            [Word { text, quoted: true, .. }] => Act::Until(text.clone()),
            _ => return Err("`until`: expected a text in quotes".into()),
        },
        _ => {
            let (rest, waits) = match rest.strip_suffix(" &") {
                Some(rest) => (rest.trim_end(), false),
                None => (rest, true),
            };
            return Ok(Step { line, act: person(first, rest)?, waits });
        }
    };
    Ok(Step { line, act, waits: false })
}

fn one_word<'a>(text: &'a str, what: &str, expected: &str) -> Result<&'a str, String> {
    if text.is_empty() || text.contains(char::is_whitespace) {
        return Err(format!("`{}`: expected {expected}", format!("{what} {text}").trim_end()));
    }
    Ok(text)
}

fn breaks(rest: &str) -> Result<Act, String> {
    let (provider, behaviour) = first_word(rest);
    // Read as a cast, so that a slip is found before the play.
    Cast::parse(&format!("{provider}: {behaviour}"))?;
    Ok(Act::Break { provider: provider.to_owned(), behaviour: behaviour.to_owned() })
}

fn health(rest: &str) -> Result<Act, String> {
    let (provider, word) = first_word(rest);
    let ok = match word {
        "good" => true,
        "bad" => false,
        _ => return Err(format!("`health {rest}`: expected a provider's name, and `good` or `bad`")),
    };
    Ok(Act::Health { provider: provider.to_owned(), ok })
}
