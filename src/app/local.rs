//! Looks for servers of one's own, when no table names a provider, and takes those into the list that have a model.
//!
//! **The problem.** A start must not wait for what is not there, and must not send questions to a program that only happens to
//! have the port. **The rule.** All addresses are asked for their models at once, and whoever has not answered with a real
//! list of them half a second later is not there. The first listed model that can chat is taken. **The limits.** One look at
//! the start: who comes later is found after the next start. What a model is for is read from its name; one of Ollama's
//! that runs in its cloud is left alone, for "local" would not be true of it.

use crate::{
    config::{self, Kind, Loaded, LocalServer, Problem},
    outcome::{Failed, Failure},
    providers::{self, Model, ProviderSpec, wire::Clients},
};
use futures::future::join_all;
use std::{collections::BTreeMap, time::Duration};
use tokio::time::{Instant, timeout_at};

/// For all addresses together. Loopback answers or refuses within some milliseconds; the rest is for a busy machine.
const WITHIN: Duration = Duration::from_millis(500);

/// What words in a model's name say that it is not for chatting. Beginnings are enough for the long ones.
const BEGINNINGS: [&str; 12] = [
    "embed",
    "rerank",
    "whisper",
    "transcri",
    "moderation",
    "speech",
    "minilm",
    "colbert",
    "diffusion",
    "mmproj",
    "paraphrase",
    "shieldgemma",
];
const WORDS: [&str; 17] = [
    "tts", "stt", "asr", "clip", "siglip", "bge", "gte", "e5", "bert", "guard", "guard3", "flux", "sdxl",
    "vae", "kokoro", "piper", "parakeet",
];

/// Adds the local servers that answer now to the providers that keys made, behind them, and notes them. Changes nothing when a
/// table names a provider.
///
/// # Errors
/// There is no provider at all; the problem names every address that was asked, and what was amiss there.
pub async fn find_local_servers(loaded: &mut Loaded) -> Result<(), Problem> {
    if !loaded.config.finds_providers() {
        return Ok(());
    }
    let servers = loaded.config.local_servers();
    let found = ask_all(&servers).await;
    let (mut listed, mut looked_at) = (Vec::new(), Vec::new());
    for (server, found) in servers.iter().zip(found) {
        let address = &server.address;
        match found {
            // A prompt is made to fit everybody who may get it: one tiny window would cost all others the conversation's past.
            Found::Model { model, .. }
                if model.context_window.is_some_and(|it| it <= 2 * loaded.config.chat.reply_tokens) =>
            {
                let window = model.context_window.unwrap_or_default();
                loaded.notes.push(format!(
                    "{address} has a window of {window} tokens, too few beside an answer (chat.reply_tokens), so it is no provider"
                ));
                looked_at.push(format!("{address} (its window is too small)"));
            }
            Found::Model { dialect, model } => {
                let provider = server.provider(dialect, &model.id, model.context_window, &loaded.config);
                listed.push(format!("{} ({address}, {})", provider.name, provider.model));
                loaded.config.providers.push(provider);
            }
            Found::NoModel(what) => {
                loaded.notes.push(format!("{address} {what}, so it is no provider"));
                looked_at.push(format!("{address} ({what})"));
            }
            Found::Other(what) => looked_at.push(format!("{address} ({what})")),
            Found::Nothing => looked_at.push(address.clone()),
        }
    }
    if !listed.is_empty() {
        loaded
            .notes
            .push(format!("no table names a provider; local servers are in the list: {}", listed.join(", ")));
    }
    config::require_providers(&loaded.config).map_err(|problem| {
        let looked_at = match looked_at.join(", ") {
            none if none.is_empty() => "router.local_servers names no address to look at".to_owned(),
            some => format!("no local server with a model was found at {some}"),
        };
        let message =
            format!("{}: no table names one, no vendor's key makes one, and {looked_at}", problem.message);
        Problem { message, ..problem }
    })
}

/// What an address is found to be.
#[derive(Debug)]
enum Found {
    /// A server with a model.
    Model { dialect: (Kind, String), model: Model },
    /// A server without one, with a clause that says so.
    NoModel(&'static str),
    /// Something else, or nothing in time.
    Other(&'static str),
    /// Nothing.
    Nothing,
}

impl Found {
    /// The lower, the more is known.
    fn rank(&self) -> u8 {
        match self {
            Self::Model { .. } => 0,
            Self::NoModel(_) => 1,
            Self::Other(_) => 2,
            Self::Nothing => 3,
        }
    }
}

/// Asks every server, in all its dialects, at once.
async fn ask_all(servers: &[LocalServer]) -> Vec<Found> {
    let mut clients = Clients::default();
    let questions: Vec<Vec<_>> = servers
        .iter()
        .map(|server| server.dialects().into_iter().map(|it| (question(&it, &mut clients), it)).collect())
        .collect();
    // Making a client takes a while; the time is for the servers.
    let deadline = Instant::now() + WITHIN;
    join_all(questions.into_iter().map(|dialects| async move {
        let asked = dialects.into_iter().map(|(question, dialect)| async move {
            match question {
                Some(question) => match timeout_at(deadline, question).await {
                    Ok(answer) => judge(answer, dialect),
                    Err(_) => Found::Other("no answer within half a second"),
                },
                None => Found::Other("it can't be asked"),
            }
        });
        // Of two that are as good, the first.
        join_all(asked).await.into_iter().min_by_key(Found::rank).unwrap_or(Found::Nothing)
    }))
    .await
}

/// The question which models there are; none if the address or this machine's TLS is unfit for any.
fn question(
    (kind, base_url): &(Kind, String),
    clients: &mut Clients,
) -> Option<impl Future<Output = Result<Vec<Model>, Failed>> + use<>> {
    let spec = ProviderSpec {
        name: "local".to_owned(),
        kind: super::kind(*kind),
        base_url: base_url.clone(),
        api_key: None,
        key_header: None,
        headers: BTreeMap::new(),
        query: BTreeMap::new(),
        body: serde_json::Map::new(),
        temperature: None,
        model: String::new(),
        context_window: 0,
        price: None,
    };
    let client = clients.get(WITHIN, base_url).ok()?;
    providers::list_models(spec, client).ok()
}

fn judge(answer: Result<Vec<Model>, Failed>, dialect: (Kind, String)) -> Found {
    match answer {
        Ok(models) if models.is_empty() => Found::NoModel("has no model"),
        Ok(models) => match models.into_iter().find(|it| can_chat(&it.id, dialect.0)) {
            Some(model) => Found::Model { dialect, model },
            None => Found::NoModel("has no model that can chat here"),
        },
        Err(failed) => match failed.failure {
            Failure::Connection => Found::Nothing,
            Failure::Auth => Found::Other("it wants a key, so it needs a table"),
            Failure::RateLimited
            | Failure::QuotaExhausted
            | Failure::Overloaded
            | Failure::ServerError
            | Failure::Timeout
            | Failure::BrokenStream
            | Failure::Malformed
            | Failure::Empty
            | Failure::RegionBlocked
            | Failure::ModelUnavailable
            | Failure::ContextTooLong
            | Failure::ContentFiltered
            | Failure::UnsupportedParameter
            | Failure::BadRequest => Found::Other("what answers there lists no models"),
        },
    }
}

/// Whether a model of this name is one to talk to, and runs where it is listed.
fn can_chat(id: &str, kind: Kind) -> bool {
    let id = id.to_ascii_lowercase();
    let mut words = id.split(|it: char| !it.is_ascii_alphanumeric());
    let is_other = words.any(|word| WORDS.contains(&word)) || BEGINNINGS.iter().any(|it| id.contains(it));
    !(is_other || kind == Kind::Ollama && id.ends_with("cloud"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn models_to_talk_to() {
        for id in [
            "llama3.2:1b",
            "qwen2.5-0.5b-instruct",
            "SmolLM2-135M-Instruct.Q4_1.gguf",
            "/models/eclipse-7b.gguf",
            "default",
            "openai/gpt-oss-20b",
            "gpt-oss:20b",
            "bertin-gpt-j-6b",
        ] {
            assert!(can_chat(id, Kind::Ollama), "{id}");
        }
        for id in [
            "nomic-embed-text:latest",
            "text-embedding-nomic-embed-text-v1.5",
            "BAAI/bge-m3",
            "intfloat/e5-large-v2",
            "all-minilm:22m",
            "whisper-large-v3",
            "tts-1",
            "openai/clip-vit-base",
            "jina-reranker-v2",
            "llama-guard3:8b",
            "embeddinggemma",
            "gpt-oss:120b-cloud",
            "glm-5:cloud",
        ] {
            assert!(!can_chat(id, Kind::Ollama), "{id}");
        }
        assert!(can_chat("my-cloud", Kind::OpenAi), "only Ollama says it so");
    }
}
