//! Is a provider there? Asked once, without a prompt; the same question and the same words in `check` and `providers`.

use crate::{
    chat::Chat,
    outcome::{Failed, Failure},
    providers::Provider,
};
use std::time::Duration;
use tokio::time::{Instant, timeout};

/// What a provider answered to the question whether it is there.
#[derive(Clone, Debug)]
pub(super) enum Health {
    /// That it is, after so long.
    Ready(Duration),
    /// It failed.
    Failed(Failed),
    /// Nothing within this time.
    Silent(Duration),
}

impl Health {
    /// Asks a provider.
    pub(super) async fn of(provider: &dyn Provider, within: Duration) -> Self {
        let began = Instant::now();
        match timeout(within, provider.health_check()).await {
            Ok(Ok(())) => Self::Ready(began.elapsed()),
            Ok(Err(failed)) => Self::Failed(failed),
            Err(_) => Self::Silent(within),
        }
    }

    /// Why it can't be counted on.
    pub(super) fn failure(&self) -> Option<Failure> {
        match self {
            Self::Ready(_) => None,
            Self::Failed(failed) => Some(failed.failure),
            Self::Silent(_) => Some(Failure::Timeout),
        }
    }

    /// What is wrong and what to look at: what follows "provider NAME" in a sentence, without the full stop.
    pub(super) fn problem(&self) -> Option<String> {
        match self {
            Self::Ready(_) => None,
            Self::Failed(failed) => Some(format!(
                "{} ({failed}). Check its base_url, its key and its model",
                Chat::because(failed.failure)
            )),
            Self::Silent(within) => Some(format!(
                "did not answer within {} s. Check its base_url and the network",
                within.as_secs()
            )),
        }
    }
}
