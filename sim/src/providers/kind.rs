//! The dialects by their names.

use super::{
    anthropic::Anthropic, completions::Completions, dialect::Dialect, gemini::Gemini, ollama::Ollama,
    openai::OpenAi, responses::Responses,
};
use std::fmt;

/// A provider's dialect, by the word that the bot's config has for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `POST …/chat/completions`, `GET …/models`.
    OpenAi,
    /// `POST …/responses`, `GET …/models`.
    OpenAiResponses,
    /// `POST …/messages`, `GET …/models`.
    Anthropic,
    /// `POST …/models/{model}:streamGenerateContent?alt=sse` and `:generateContent`, `GET …/models`.
    Gemini,
    /// `POST …/completions` with a flat prompt, `GET …/health`.
    Completions,
    /// `POST …/api/chat`, `GET …/api/tags`.
    Ollama,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::OpenAi, Self::OpenAiResponses, Self::Anthropic, Self::Gemini, Self::Completions, Self::Ollama];

    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::OpenAi => "openai",
            Self::OpenAiResponses => "openai-responses",
            Self::Anthropic => "anthropic",
            Self::Gemini => "gemini",
            Self::Completions => "completions",
            Self::Ollama => "ollama",
        }
    }

    /// Reads the word.
    ///
    /// # Errors
    /// An unknown word, with those that are known.
    pub fn parse(word: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.as_str() == word)
            .ok_or_else(|| format!("`kind={word}`: expected {}", Self::ALL.map(Self::as_str).join(", ")))
    }

    pub(crate) fn dialect(self) -> &'static dyn Dialect {
        match self {
            Self::OpenAi => &OpenAi,
            Self::OpenAiResponses => &Responses,
            Self::Anthropic => &Anthropic,
            Self::Gemini => &Gemini,
            Self::Completions => &Completions,
            Self::Ollama => &Ollama,
        }
    }

    /// What stands between a server's origin and the paths of this dialect.
    pub(crate) fn base_path(self) -> &'static str {
        match self {
            Self::Gemini => "/v1beta",
            Self::Ollama => "",
            _ => "/v1",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
