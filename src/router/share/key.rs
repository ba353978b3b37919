//! What makes two questions the same (pure).

use super::super::{Ask, Circle, strategy::Wish};
use crate::message::{Line, Prompt};
use std::{
    fmt,
    hash::{BuildHasher, Hash, Hasher},
    mem,
    sync::Arc,
};

/// Everything that decides who is asked what, and who may see the answer. All of it is compared, so that no clash of hashes
/// can mix two answers.
#[derive(Clone)]
pub(super) struct Key(Arc<Asked>);

struct Asked {
    /// Reckoned once. Its seed is the process's own, so that nobody can make keys that clash.
    hash: u64,
    circle: Circle,
    wish: Wish,
    prompt: Arc<Prompt>,
    /// Whether a model may be told who speaks. Where none is, the same words of two people are the same question.
    is_named: bool,
}

impl Key {
    /// `is_named`: whether a provider that might be asked would tell its model the names of those who speak.
    pub(super) fn new(ask: &Ask, circle: Circle, is_named: bool, seed: &impl BuildHasher) -> Self {
        // Each part by name, so that a new one asks whether it belongs here. These do not: the same is sent, whoever asks when
        // from where; the circle says who may see it.
        let Ask { prompt, wish, sharing: _, session: _, server: _, started_at: _ } = ask;
        let mut asked = Asked { hash: 0, circle, wish: wish.clone(), prompt: Arc::clone(prompt), is_named };
        asked.hash = asked.reckon(seed.build_hasher());
        Self(Arc::new(asked))
    }

    /// Its hash.
    pub(super) fn reckoned(&self) -> u64 {
        self.0.hash
    }

    /// What it holds on to, in bytes, roughly.
    pub(super) fn bytes(&self) -> usize {
        let Asked { wish, prompt, .. } = &*self.0;
        let words: usize =
            wish.first.iter().chain(&wish.off).map(|it| mem::size_of::<String>() + it.len()).sum();
        let line =
            |it: &Line| mem::size_of::<Line>() + it.text.len() + it.speaker.as_ref().map_or(0, String::len);
        let lines: usize = prompt.lines.iter().map(line).sum();
        let parameter = |(name, json): (&str, &str)| mem::size_of::<String>() + name.len() + json.len();
        let request = prompt.request.as_ref().map_or(0, |it| it.parameters().map(parameter).sum());
        let images: usize = prompt.images.iter().map(|it| it.base64.len()).sum();
        mem::size_of::<Asked>()
            + mem::size_of::<Prompt>()
            + prompt.system.len()
            + words
            + lines
            + images
            + request
    }
}

impl Asked {
    fn reckon(&self, mut hasher: impl Hasher) -> u64 {
        let Prompt { system, lines, reply_tokens, images, loose, request } = &*self.prompt;
        let Wish { first, strict, off, last, strategy } = &self.wish;
        (self.circle, first, strict, off, last, strategy).hash(&mut hasher);
        (system, reply_tokens, images, loose, lines.len()).hash(&mut hasher);
        for Line { role, speaker, text } in lines {
            (role, speaker.as_ref().filter(|_| self.is_named), text).hash(&mut hasher);
        }
        if let Some(request) = request {
            request.parameters().for_each(|it| it.hash(&mut hasher));
        }
        hasher.finish()
    }

    fn asks_the_same(&self, other: &Self) -> bool {
        let Prompt { system, lines, reply_tokens, images, loose, request } = &*self.prompt;
        let said = |one: &Line, two: &Line| one.role == two.role && one.text == two.text;
        let by_whom = |one: &Line, two: &Line| !self.is_named || one.speaker == two.speaker;
        let both = lines.iter().zip(&other.prompt.lines);
        *system == other.prompt.system
            && *reply_tokens == other.prompt.reply_tokens
            && *images == other.prompt.images
            && *loose == other.prompt.loose
            && *request == other.prompt.request
            && lines.len() == other.prompt.lines.len()
            && both.into_iter().all(|(one, two)| said(one, two) && by_whom(one, two))
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        let (one, two) = (&*self.0, &*other.0);
        one.hash == two.hash
            && one.circle == two.circle
            && one.is_named == two.is_named
            && one.wish == two.wish
            && one.asks_the_same(two)
    }
}

impl Eq for Key {}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.0.hash);
    }
}

impl fmt::Debug for Key {
    /// What people say is not shown.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key").field("circle", &self.0.circle).finish_non_exhaustive()
    }
}
