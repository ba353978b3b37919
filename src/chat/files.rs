//! What people attach to a question: what was read of it, and what can't be.

use crate::{
    message::{Attachment, Image, Prompt},
    outcome::Failure,
    router::End,
};
use futures::future::BoxFuture;
use std::fmt;

/// A file, as far as it could be read.
#[derive(Clone, PartialEq, Eq)]
pub struct Loaded {
    /// Its name.
    pub name: String,
    /// What is in it.
    pub content: Content,
}

/// What is in a file.
#[derive(Clone, PartialEq, Eq)]
pub enum Content {
    /// A picture.
    Picture(Image),
    /// Text.
    Text(String),
    /// Nothing for a model, for the reason in these words.
    Unreadable(&'static str),
}

/// Without what people call it.
impl fmt::Debug for Loaded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.content.fmt(f)
    }
}

/// Without what people sent.
impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Picture(_) => "a picture",
            Self::Text(_) => "a text",
            Self::Unreadable(why) => why,
        })
    }
}

/// Reads files from where they are.
pub trait Fetch: fmt::Debug + Send + Sync {
    /// Reads them, in their order, within a bound of time: what takes longer can't be read.
    fn fetch(&self, files: Vec<Attachment>) -> BoxFuture<'static, Vec<Loaded>>;
}

/// The question without its pictures, if it failed because of them and nothing was said yet.
pub(super) fn blindly(prompt: &Prompt, end: &End) -> Option<Prompt> {
    let End::Exhausted(exhausted) = end else { return None };
    // Some vendors do not say which parameter it is; and a window may be too small for pictures alone.
    let is_of_picture = |it: Failure| {
        matches!(it, Failure::UnsupportedParameter | Failure::BadRequest | Failure::ContextTooLong)
    };
    let is_refused = exhausted.failures.iter().any(|(_, it)| is_of_picture(it.failure));
    if prompt.images.is_empty() || exhausted.spoke || !is_refused {
        return None;
    }
    let mut blind = Prompt { images: Vec::new(), ..prompt.clone() };
    if let Some(question) = blind.lines.last_mut() {
        question.text.push_str("\n(The attached pictures were left out: you can't see pictures.)");
    }
    Some(blind)
}
