//! What a turn carries besides its question, kept as JSON until the turn has ended.

use super::words::unknown;
use crate::message::{Attachment, Beside, MessageId, Opening, Quoted, Speaker, UserId};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

#[derive(Serialize, Deserialize)]
pub(super) struct KeptQuote {
    message_id: MessageId,
    author_id: UserId,
    author_name: String,
    by_bot: bool,
    text: String,
}

#[derive(Serialize, Deserialize)]
pub(super) struct KeptOpening {
    title: String,
    tags: Vec<String>,
    starter: Option<KeptQuote>,
}

/// Files by name and size only: their addresses end after a day, and their bytes are nobody's business later.
#[derive(Serialize, Deserialize)]
pub(super) struct KeptBeside {
    #[serde(default)]
    chain: Vec<KeptQuote>,
    #[serde(default)]
    files: Vec<(String, u64)>,
}

impl From<&Beside> for KeptBeside {
    fn from(it: &Beside) -> Self {
        let files = it.files.iter().map(|file| (file.name.clone(), file.size));
        Self { chain: it.chain.iter().map(KeptQuote::from).collect(), files: files.collect() }
    }
}

impl From<KeptBeside> for Beside {
    fn from(it: KeptBeside) -> Self {
        let files = it.files.into_iter().map(|(name, size)| Attachment { name, size, url: None });
        Self { chain: it.chain.into_iter().map(Quoted::from).collect(), files: files.collect() }
    }
}

impl From<&Quoted> for KeptQuote {
    fn from(it: &Quoted) -> Self {
        let Quoted { message_id, author: Speaker { id, name }, by_bot, text } = it.clone();
        Self { message_id, author_id: id, author_name: name, by_bot, text }
    }
}

impl From<KeptQuote> for Quoted {
    fn from(it: KeptQuote) -> Self {
        let author = Speaker { id: it.author_id, name: it.author_name };
        Self { message_id: it.message_id, author, by_bot: it.by_bot, text: it.text }
    }
}

impl From<&Opening> for KeptOpening {
    fn from(it: &Opening) -> Self {
        Self {
            title: it.title.clone(),
            tags: it.tags.clone(),
            starter: it.starter.as_ref().map(KeptQuote::from),
        }
    }
}

impl From<KeptOpening> for Opening {
    fn from(it: KeptOpening) -> Self {
        Self { title: it.title, tags: it.tags, starter: it.starter.map(Quoted::from) }
    }
}

/// Writes `it` as JSON.
pub(super) fn to_json(it: &impl Serialize) -> Result<String, sqlx::Error> {
    serde_json::to_string(it).map_err(|cause| sqlx::Error::Encode(cause.into()))
}

/// Reads JSON back. The error names the column only: serde's would quote what people said.
pub(super) fn from_json<T: DeserializeOwned>(column: &str, json: &str) -> Result<T, sqlx::Error> {
    serde_json::from_str(json).map_err(|_| unknown(column))
}
