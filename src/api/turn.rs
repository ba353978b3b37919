//! One request's turn of the router: whatever becomes of the caller, every call to a provider is in the ledger.

use crate::{
    ledger::Ledger,
    message::TurnId,
    metrics::Running,
    router::{End, Event, Exhausted, Performance},
};
use tokio::sync::OwnedSemaphorePermit;

/// A turn under way. Dropping it hangs up on the providers: the caller has gone, or wants no more.
#[derive(Debug)]
pub(super) struct Turn {
    id: TurnId,
    performance: Option<Performance>,
    ledger: Ledger,
    _place: (OwnedSemaphorePermit, Running),
}

impl Turn {
    /// A turn that keeps its `place` among the requests until it ends.
    pub(super) fn new(
        id: TurnId,
        performance: Performance,
        ledger: Ledger,
        place: (OwnedSemaphorePermit, Running),
    ) -> Self {
        Self { id, performance: Some(performance), ledger, _place: place }
    }

    pub(super) fn id(&self) -> &TurnId {
        &self.id
    }

    /// What happens next. After the end, the end again, of nobody.
    pub(super) async fn next(&mut self) -> Event {
        let event = match &mut self.performance {
            Some(performance) => performance.next().await,
            None => None,
        };
        match event {
            Some(Event::Attempt(attempt)) => {
                self.ledger.note(&self.id, attempt.clone());
                Event::Attempt(attempt)
            }
            Some(event) => event,
            None => Event::Ended(End::Exhausted(Exhausted::default())),
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let cancelled = self.performance.take().map(Performance::cancel);
        for attempt in cancelled.into_iter().flatten() {
            self.ledger.note(&self.id, attempt);
        }
    }
}
