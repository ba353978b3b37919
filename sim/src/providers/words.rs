//! Splits a line of the small language into words, so that quotes and `key=value` mean the same everywhere.

use std::{iter::Peekable, str::Chars, time::Duration};

/// One word of a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Word {
    /// What stands before the first `=`.
    pub(crate) key: Option<String>,
    /// The word itself, or what stands behind the `=`; without its quotes.
    pub(crate) text: String,
    /// Whether it was in quotes.
    pub(crate) quoted: bool,
}

impl Word {
    /// The word, if it is a plain one: no quotes, no `key=`.
    pub(crate) fn bare(&self) -> Option<&str> {
        (self.key.is_none() && !self.quoted).then_some(self.text.as_str())
    }

    /// The word as somebody would write it, for an error.
    pub(crate) fn written(&self) -> String {
        let text = if self.quoted { format!("'{}'", self.text) } else { self.text.clone() };
        match &self.key {
            Some(key) => format!("{key}={text}"),
            None => text,
        }
    }
}

/// Splits at white space; `'…'` and `"…"` hold together, with `\n`, `\r`, `\\` and a backslash before a quote inside.
///
/// # Errors
/// A quote that is not closed, or that is closed in the middle of a word (an apostrophe, mostly).
pub(crate) fn words(line: &str) -> Result<Vec<Word>, String> {
    let mut rest = line.chars().peekable();
    let mut found = Vec::new();
    loop {
        while rest.next_if(|c| c.is_whitespace()).is_some() {}
        let Some(&first) = rest.peek() else { return Ok(found) };
        if is_quote(first) {
            found.push(Word { key: None, text: quoted(&mut rest)?, quoted: true });
            continue;
        }
        let mut text = String::new();
        while let Some(c) = rest.next_if(|c| !c.is_whitespace() && *c != '=') {
            text.push(c);
        }
        if rest.next_if_eq(&'=').is_none() {
            found.push(Word { key: None, text, quoted: false });
        } else if rest.peek().copied().is_some_and(is_quote) {
            found.push(Word { key: Some(text), text: quoted(&mut rest)?, quoted: true });
        } else {
            let mut value = String::new();
            while let Some(c) = rest.next_if(|c| !c.is_whitespace()) {
                value.push(c);
            }
            found.push(Word { key: Some(text), text: value, quoted: false });
        }
    }
}

/// Reads a time such as `300ms`, `1.5s` or `2m`.
///
/// # Errors
/// Anything else, with what was expected.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let expected = || format!("`{text}` is not a time: expected one such as `300ms`, `1.5s` or `2m`");
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let number: f64 = digits.parse().map_err(|_| expected())?;
    let seconds = match &text[digits.len()..] {
        "ms" => number / 1000.0,
        "s" => number,
        "m" => number * 60.0,
        _ => return Err(expected()),
    };
    Duration::try_from_secs_f64(seconds).map_err(|_| expected())
}

fn is_quote(c: char) -> bool {
    matches!(c, '\'' | '"')
}

/// Reads from an opening quote to its end.
fn quoted(rest: &mut Peekable<Chars<'_>>) -> Result<String, String> {
    let mut text = String::new();
    let Some(quote) = rest.next() else { return Ok(text) };
    while let Some(c) = rest.next() {
        if c == quote {
            return match rest.peek() {
                Some(next) if !next.is_whitespace() => Err(format!(
                    "behind the {quote} that ends {quote}{text}{quote} there must be a space: \
                     write \\{quote} inside of a text, or use the other quotes"
                )),
                _ => Ok(text),
            };
        }
        match (c, rest.peek()) {
            ('\\', Some('n')) => text.push('\n'),
            ('\\', Some('r')) => text.push('\r'),
            ('\\', Some(&escaped)) if escaped == '\\' || is_quote(escaped) => text.push(escaped),
            _ => {
                text.push(c);
                continue;
            }
        }
        rest.next();
    }
    Err(format!("the text {quote}{text} has no closing {quote}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};

    #[expect(clippy::needless_pass_by_value, reason = "reads as a literal")]
    fn check(line: &str, expected: Expect) {
        let shown = match words(line) {
            Ok(words) => words.iter().map(Word::written).collect::<Vec<_>>().join(" ¦ "),
            Err(error) => format!("error: {error}"),
        };
        expected.assert_eq(&shown);
    }

    #[test]
    fn words_and_quotes() {
        check("429 retry-after=30 | 'Hello, Ana.'", expect!["429 ¦ retry-after=30 ¦ | ¦ 'Hello, Ana.'"]);
        check(r#"a="x y=z" 'It\'s' "it's""#, expect!["a='x y=z' ¦ 'It's' ¦ 'it's'"]);
        check(
            r"'one\ntwo \d'",
            expect![[r"
            'one
            two \d'"]],
        );
        check(
            "'It's fine'",
            expect![
                "error: behind the ' that ends 'It' there must be a space: write \\' inside of a text, or use the other quotes"
            ],
        );
        check("say 'open", expect!["error: the text 'open has no closing '"]);
    }

    #[test]
    fn durations() {
        assert_eq!(duration("300ms"), Ok(Duration::from_millis(300)));
        assert_eq!(duration("1.5s"), Ok(Duration::from_millis(1500)));
        assert_eq!(duration("2m"), Ok(Duration::from_secs(120)));
        for wrong in ["", "3", "s", "-1s", "3h", "1e99s", "ä", "3µs"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }
}
