//! Who plays: the providers of a scene, with what each does call by call.

use super::{
    behaviour::{self, Behaviour},
    dialect::Kind,
    words::{Word, words},
};

/// The providers of a scene, in the order of their lines.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Cast {
    pub(crate) roles: Vec<Role>,
}

/// One provider.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Role {
    pub(crate) name: String,
    pub(crate) kind: Kind,
    pub(crate) model: String,
    pub(crate) calls: Vec<Behaviour>,
}

impl Cast {
    /// Reads lines such as `alpha: 429 retry-after=30 | beta: kind=anthropic 'Hello, Ana.'`.
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
    let mut model = format!("{name}-1");
    let mut calls = Vec::new();
    for word in rest {
        match word.key.as_deref() {
            Some("kind") => kind = Kind::parse(&word.text)?,
            Some("model") => model.clone_from(&word.text),
            _ => calls.push(word.clone()),
        }
    }
    let calls = behaviour::parse(&calls).map_err(|error| format!("{name}: {error}"))?;
    Ok(Role { name: name.to_owned(), kind, model, calls })
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};

    #[expect(clippy::needless_pass_by_value, reason = "reads as a literal")]
    fn check(text: &str, expected: Expect) {
        let shown = match Cast::parse(text) {
            Ok(cast) => {
                let show =
                    |role: &Role| format!("{} {} {} {}", role.name, role.kind, role.model, role.calls.len());
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
    fn errors() {
        check(
            "alpha 500",
            expect!["error: `alpha`: expected a provider's name and a colon, as in `alpha: 'Hello.'`"],
        );
        check("alpha: 500 |", expect!["error: a provider is missing: expected `name: behaviour`"]);
        check("alpha: 500 | alpha: hang", expect!["error: there are two providers `alpha`"]);
        check(
            "alpha: kind=openia 500",
            expect!["error: `kind=openia`: expected openai, anthropic, gemini, completions"],
        );
        check(
            "alpha: 'a' 'b'",
            expect!["error: alpha: `'a'` and `'b'` are two answers: put `then` between them"],
        );
    }
}
