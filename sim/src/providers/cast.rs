//! Who plays: the providers of a scene, with what each does call by call.

use super::{
    behaviour::{self, Behaviour},
    kind::Kind,
    words::{Word, words},
};
use std::fmt;

/// The providers of a scene, in the order of their lines.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Cast {
    pub(crate) roles: Vec<Role>,
}

/// One provider.
#[derive(Clone, PartialEq)]
pub(crate) struct Role {
    pub(crate) name: String,
    pub(crate) kind: Kind,
    /// At least one; the first is the one to ask for.
    pub(crate) models: Vec<String>,
    /// How many tokens each takes, if it is said.
    pub(crate) window: Option<u32>,
    /// The key that it wants; none: it asks for none.
    pub(crate) key: Option<String>,
    pub(crate) calls: Vec<Behaviour>,
}

impl Role {
    /// The behaviours behind a name or a `break`.
    ///
    /// # Errors
    /// A word that is not understood, or that this dialect has no place for.
    pub(crate) fn behaviours(kind: Kind, words: &[Word]) -> Result<Vec<Behaviour>, String> {
        let calls = behaviour::parse(words)?;
        calls.iter().try_for_each(|call| call.fits(kind))?;
        Ok(calls)
    }
}

impl fmt::Debug for Role {
    // Without the key, as wherever there is one.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Role")
            .field("name", &self.name)
            .field("kind", &self.kind)
            .field("models", &self.models)
            .field("calls", &self.calls)
            .finish_non_exhaustive()
    }
}

impl Cast {
    /// Reads lines such as `alpha: 429 retry-after=30 | beta: kind=anthropic 'Hello, Ana.'`.
    ///
    /// Before the behaviour: `kind=ollama`, `model=small,large` (the first is the one to ask for), `window=8192` (the tokens
    /// that each takes), `key=sk-1` (which everybody has to show).
    ///
    /// # Errors
    /// The word that is not understood, with what was expected.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut cast = Self::default();
        for line in text.lines().filter(|line| !line.trim().is_empty()) {
            cast.add(line)?;
        }
        Ok(cast)
    }

    /// Adds the providers of one more line.
    ///
    /// # Errors
    /// As [`Cast::parse`]; also a name that is there already.
    pub fn add(&mut self, line: &str) -> Result<(), String> {
        for words in words(line)?.split(|word| word.bare() == Some("|")) {
            let role = role(words)?;
            if self.roles.iter().any(|former| former.name == role.name) {
                return Err(format!("there are two providers `{}`", role.name));
            }
            self.roles.push(role);
        }
        Ok(())
    }

    /// The providers' names.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.roles.iter().map(|role| role.name.as_str())
    }

    /// Whether nobody plays.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.roles.is_empty()
    }
}

fn role(words: &[Word]) -> Result<Role, String> {
    let Some((first, rest)) = words.split_first() else {
        return Err("a provider is missing: expected `name: behaviour`".into());
    };
    let name = first.bare().and_then(|word| word.strip_suffix(':')).unwrap_or_default();
    if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.')) {
        return Err(format!(
            "`{}`: expected a provider's name and a colon, as in `alpha: 'Hello.'`",
            first.written()
        ));
    }
    let mut kind = Kind::OpenAi;
    let mut models = vec![format!("{name}-1")];
    let (mut window, mut key) = (None, None);
    let mut calls = Vec::new();
    for word in rest {
        match word.key.as_deref() {
            Some("kind") => kind = Kind::parse(&word.text)?,
            Some("model") => models = word.text.split(',').map(str::to_owned).collect(),
            Some("window") => match word.text.parse() {
                Ok(tokens) => window = Some(tokens),
                Err(_) => return Err(format!("`{}`: expected a number of tokens", word.written())),
            },
            Some("key") => key = Some(word.text.clone()),
            _ => calls.push(word.clone()),
        }
    }
    let calls = Role::behaviours(kind, &calls).map_err(|error| format!("{name}: {error}"))?;
    Ok(Role { name: name.to_owned(), kind, models, window, key, calls })
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};

    #[expect(clippy::needless_pass_by_value, reason = "reads as a literal")]
    fn check(text: &str, expected: Expect) {
        let shown = match Cast::parse(text) {
            Ok(cast) => {
                let show = |role: &Role| {
                    format!("{} {} {} {}", role.name, role.kind, role.models[0], role.calls.len())
                };
                cast.roles.iter().map(show).collect::<Vec<_>>().join("\n")
            }
            Err(error) => format!("error: {error}"),
        };
        expected.assert_eq(&shown);
    }

    #[test]
    fn several_lines_add_up() {
        check(
            "alpha: 429 retry-after=30 then 'a | b' | beta: kind=anthropic model=claude 'Hello, Ana.'\n\ngamma: hang kind=gemini",
            expect![[r"
                alpha openai alpha-1 2
                beta anthropic claude 1
                gamma gemini gamma-1 1"]],
        );
    }

    #[test]
    fn the_key_is_not_shown() {
        let cast = Cast::parse("alpha: key=sk-secret model=small,large window=8192 'Hi.'").unwrap();
        assert_eq!(cast.roles[0].key.as_deref(), Some("sk-secret"));
        assert_eq!((cast.roles[0].models.len(), cast.roles[0].window), (2, Some(8192)));
        assert!(!format!("{cast:?}").contains("secret"));
    }

    #[test]
    fn errors() {
        check(
            "alpha 500",
            expect!["error: `alpha`: expected a provider's name and a colon, as in `alpha: 'Hello.'`"],
        );
        check("alpha: window=big 500", expect!["error: `window=big`: expected a number of tokens"]);
        check(
            "alpha: kind=ollama 'Hi.' cr",
            expect!["error: alpha: `cr` ends no line for Ollama, whose stream is JSON in lines: use `crlf`"],
        );
        check("alpha: 500 |", expect!["error: a provider is missing: expected `name: behaviour`"]);
        check("alpha: 500 | alpha: hang", expect!["error: there are two providers `alpha`"]);
        check(
            "alpha: kind=openia 500",
            expect![
                "error: `kind=openia`: expected openai, openai-responses, anthropic, gemini, completions, ollama"
            ],
        );
        check(
            "alpha: 'a' 'b'",
            expect!["error: alpha: `'a'` and `'b'` are two answers: put `then` between them"],
        );
    }
}
