//! What is wrong with a configuration, for the person who has to mend it.

use std::fmt;

/// One thing that is wrong: what, where, and what to do about it. It never holds a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The setting, such as `router.stall_timeout` or `providers[0].model`; empty when it is not about one.
    pub key: String,
    /// What is wrong, a sentence without its full stop.
    pub message: String,
    /// What to do, a sentence.
    pub fix: String,
    /// Where it was written: `FILE:LINE`, `FILE:LINE:COLUMN`, or `environment variable NAME`.
    pub place: Option<String>,
}

impl Problem {
    /// A problem whose place is not known yet.
    pub fn new(key: impl Into<String>, message: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { key: key.into(), message: message.into(), fix: fix.into(), place: None }
    }

    /// The same problem at this place.
    #[must_use]
    pub fn at(mut self, place: impl Into<String>) -> Self {
        self.place = Some(place.into());
        self
    }

    /// The file it is in, and the line there; none when it is in no file.
    fn in_file(&self) -> Option<(&str, u32)> {
        let place = self.place.as_deref().filter(|it| !it.starts_with(ENVIRONMENT))?;
        let mut numbers = place.splitn(3, ':').skip(1).map_while(|it| it.parse().ok());
        let file = place.split(':').next().unwrap_or(place);
        Some((file, numbers.next().unwrap_or(0)))
    }
}

/// What the place of something in the environment begins with.
pub(super) const ENVIRONMENT: &str = "environment variable ";

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(place) = &self.place {
            write!(f, "{place}: ")?;
        }
        write!(f, "{}", self.message)?;
        if self.fix.is_empty() { Ok(()) } else { write!(f, "\n{}", self.fix) }
    }
}

impl std::error::Error for Problem {}

/// Everything that is wrong with a configuration, in the order of the file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Problems(pub Vec<Problem>);

impl Problems {
    /// Puts them in the order in which a person meets them: down the file, then the rest.
    pub(super) fn sorted(mut problems: Vec<Problem>) -> Self {
        problems.sort_by_key(|it| it.in_file().map_or(u32::MAX, |(_, line)| line));
        Self(problems)
    }

    /// The one file that all of them are in.
    fn file(&self) -> Option<&str> {
        let (first, _) = self.0.first()?.in_file()?;
        self.0.iter().all(|it| it.in_file().is_some_and(|(file, _)| file == first)).then_some(first)
    }
}

impl From<Problem> for Problems {
    fn from(problem: Problem) -> Self {
        Self(vec![problem])
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.0.len();
        write!(f, "{count} {} in ", if count == 1 { "problem" } else { "problems" })?;
        write!(f, "{}:", self.file().unwrap_or("the configuration"))?;
        for (number, problem) in self.0.iter().enumerate() {
            let lines = problem.to_string().replace('\n', "\n     ");
            write!(f, "\n{:3}. {lines}", number + 1)?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}
