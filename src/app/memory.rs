//! What a process takes over from the one before it, and leaves to the next: rests, spending, and what `adaptive` has learned.

use crate::{
    message::UnixMillis,
    outcome::Rest,
    router::Router,
    store::{LESSONS_KEPT, Store, StoreError},
};
use std::{convert::Infallible, time::Duration};
use tokio::time::{Instant, sleep};
use tracing::error;

/// Rests are kept together that change within this time: an outage changes several.
const SETTLES: Duration = Duration::from_millis(100);

/// Tells the router what the store knows of its providers.
///
/// # Errors
/// When the database cannot be read.
pub(super) async fn recall(router: &Router, store: &Store, at: UnixMillis) -> Result<(), StoreError> {
    let today = at.start_of_day();
    router.take_up(&store.rests().await?, Instant::now(), at);
    router.take_up_spending(&store.spent_since(today).await?, at);
    router.learn(&store.lessons(LESSONS_KEPT).await?);
    Ok(())
}

/// Keeps who rests, for ever: whenever it has changed.
pub(super) async fn keep_rests(router: &Router, store: &Store) -> Infallible {
    let mut changes = router.changes();
    let mut kept = Vec::new();
    loop {
        let rests = router.rests(Instant::now(), UnixMillis::now());
        // The two clocks are read a little apart: the same moment may come out a millisecond later.
        let word = |it: &Rest| (it.provider.clone(), it.why, it.until.0 / 1000, it.rests);
        let words: Vec<_> = rests.iter().map(word).collect();
        if kept != words && keep(store, &rests).await {
            kept = words;
        }
        sleep(SETTLES).await;
        if changes.changed().await.is_err() {
            return std::future::pending().await;
        }
    }
}

/// Keeps who rests, before the process ends.
pub(super) async fn keep_rests_now(router: &Router, store: &Store) {
    keep(store, &router.rests(Instant::now(), UnixMillis::now())).await;
}

async fn keep(store: &Store, rests: &[Rest]) -> bool {
    let kept = store.keep_rests(rests).await;
    if let Err(failure) = &kept {
        error!(error = %failure, "the rests of providers could not be kept");
    }
    kept.is_ok()
}
