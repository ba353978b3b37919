//! How people's names stand in a prompt (pure).

use crate::message::{Prompt, Role};

/// The longest name that is told to a model, in characters: Discord's own limit.
const MAX_NAME: usize = 32;

/// Whether more than one person speaks, so that the model must be told who says what.
pub(super) fn has_several_speakers(prompt: &Prompt) -> bool {
    let mut names = speakers(prompt);
    let first = names.next();
    names.any(|name| Some(name) != first)
}

/// Everybody who speaks, oldest line first, as often as they do.
pub(super) fn speakers(prompt: &Prompt) -> impl DoubleEndedIterator<Item = &str> {
    prompt.lines.iter().filter(|line| line.role == Role::User).filter_map(|line| line.speaker.as_deref())
}

/// A name as one short word or line: a name must not be able to begin a line of its own.
pub(super) fn label(name: &str) -> String {
    let plain: String =
        name.chars().map(|c| if c.is_control() || c == ':' { ' ' } else { c }).take(MAX_NAME).collect();
    let plain = plain.split_whitespace().collect::<Vec<_>>().join(" ");
    if plain.is_empty() { "User".to_owned() } else { plain }
}
