//! What operators count: one registry, typed labels, names that dashboards rely on.

use crate::outcome::{Attempt, Outcome};
use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{
        counter::Counter,
        family::Family,
        gauge::Gauge,
        histogram::{Histogram, exponential_buckets},
    },
    registry::{Registry, Unit},
};
use std::{
    collections::HashSet,
    fmt,
    sync::{Arc, PoisonError, RwLock},
};

/// `{provider, outcome}`.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct AttemptLabels {
    provider: Arc<str>,
    outcome: &'static str,
}

/// `{provider, failure}`.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct FailureLabels {
    provider: Arc<str>,
    failure: &'static str,
}

/// `{provider}`.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ProviderLabels {
    provider: Arc<str>,
}

/// `{end}`.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct EndLabels {
    end: &'static str,
}

/// `{why}`.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct RefusedLabels {
    why: &'static str,
}

/// `{event}`.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct EventLabels {
    event: &'static str,
}

/// `{status}`.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct StatusLabels {
    status: u32,
}

/// All metrics of the process.
pub struct Metrics {
    registry: Registry,
    attempts: Family<AttemptLabels, Counter>,
    failures: Family<FailureLabels, Counter>,
    turns: Family<EndLabels, Counter>,
    first_text: Family<ProviderLabels, Histogram>,
    provider_ready: Family<ProviderLabels, Gauge>,
    gateway: Family<EventLabels, Counter>,
    turns_running: Gauge,
    turns_waiting: Gauge,
    turns_queued: Gauge,
    refused: Family<RefusedLabels, Counter>,
    events_in_hand: Gauge,
    rows_lost: Counter,
    /// Each provider's name, once: a label costs no memory for every call.
    names: RwLock<HashSet<Arc<str>>>,
    api_requests: Family<StatusLabels, Counter>,
    api_streams_broken: Counter,
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

impl Default for Metrics {
    fn default() -> Self {
        // 10 ms to 41 s, in steps of two: from a local model's first word to the limit of a patient person.
        let histogram = || Histogram::new(exponential_buckets(0.01, 2.0, 13));
        let mut metrics = Self {
            registry: Registry::with_prefix("neverdark"),
            attempts: Family::default(),
            failures: Family::default(),
            turns: Family::default(),
            first_text: Family::new_with_constructor(histogram),
            provider_ready: Family::default(),
            gateway: Family::default(),
            turns_running: Gauge::default(),
            turns_waiting: Gauge::default(),
            turns_queued: Gauge::default(),
            refused: Family::default(),
            events_in_hand: Gauge::default(),
            rows_lost: Counter::default(),
            names: RwLock::default(),
            api_requests: Family::default(),
            api_streams_broken: Counter::default(),
        };
        metrics.register_lines();
        let registry = &mut metrics.registry;
        registry.register("attempts", "Calls to providers by how they ended", metrics.attempts.clone());
        registry.register("attempt_failures", "Failed calls to providers by class", metrics.failures.clone());
        registry.register("turns", "Turns by how they ended", metrics.turns.clone());
        registry.register_with_unit(
            "first_text",
            "From the call to a provider to its first text",
            Unit::Seconds,
            metrics.first_text.clone(),
        );
        registry.register(
            "provider_ready",
            "1 if the provider can be asked, 0 while it rests",
            metrics.provider_ready.clone(),
        );
        registry.register("gateway_events", "Gateway events by kind", metrics.gateway.clone());
        registry.register("turns_running", "Turns under way", metrics.turns_running.clone());
        registry.register(
            "gateway_events_in_hand",
            "Gateway events that are being looked at",
            metrics.events_in_hand.clone(),
        );
        registry.register(
            "ledger_rows_lost",
            "Calls that the ledger could not keep until the store took them",
            metrics.rows_lost.clone(),
        );
        registry.register(
            "api_requests",
            "Requests to the router API by status",
            metrics.api_requests.clone(),
        );
        registry.register(
            "api_streams_broken",
            "Streams of the router API that began and could not be brought to an end",
            metrics.api_streams_broken.clone(),
        );
        metrics
    }
}

impl Metrics {
    /// Those who wait, and those who may not.
    fn register_lines(&mut self) {
        let registry = &mut self.registry;
        registry.register("turns_waiting", "Turns in line, of those under way", self.turns_waiting.clone());
        registry.register(
            "turns_queued",
            "Turns that wait for any provider to be back, of those under way",
            self.turns_queued.clone(),
        );
        registry.register("refused", "Messages that were not answered, by why", self.refused.clone());
    }

    /// Counts a message that is not answered: a limit was reached (`person`, `channel`, `server`), or the line is full (`line`).
    pub fn refused(&self, why: &'static str) {
        self.refused.get_or_create(&RefusedLabels { why }).inc();
    }

    /// A turn is in line; it is counted as waiting while the guard lives.
    pub fn turn_waiting(&self) -> Waiting {
        self.turns_waiting.inc();
        Waiting(self.turns_waiting.clone())
    }

    /// A turn waits until any provider is back; it is counted as queued while the guard lives.
    pub fn turn_queued(&self) -> Waiting {
        self.turns_queued.inc();
        Waiting(self.turns_queued.clone())
    }

    /// Counts a call.
    pub fn attempt(&self, attempt: &Attempt) {
        let provider = self.name(&attempt.provider);
        let outcome = attempt.outcome.as_str();
        self.attempts.get_or_create(&AttemptLabels { provider: Arc::clone(&provider), outcome }).inc();
        if let Outcome::Failed(failed) = &attempt.outcome {
            let failure = failed.failure.as_str();
            self.failures.get_or_create(&FailureLabels { provider: Arc::clone(&provider), failure }).inc();
        }
        if let Some(first_text) = attempt.first_text {
            self.first_text.get_or_create(&ProviderLabels { provider }).observe(first_text.as_secs_f64());
        }
    }

    /// A provider's name as a label. There are as many as were ever configured while the process ran.
    fn name(&self, provider: &str) -> Arc<str> {
        let known = self.names.read().unwrap_or_else(PoisonError::into_inner).get(provider).cloned();
        known.unwrap_or_else(|| {
            let name: Arc<str> = provider.into();
            self.names.write().unwrap_or_else(PoisonError::into_inner).insert(Arc::clone(&name));
            name
        })
    }

    /// Counts rows that the ledger lost.
    pub fn rows_lost(&self, rows: u64) {
        self.rows_lost.inc_by(rows);
    }

    /// Counts the end of a turn.
    pub fn turn_ended(&self, end: &'static str) {
        self.turns.get_or_create(&EndLabels { end }).inc();
    }

    /// Counts a gateway event (`ready`, `resumed`, `message`, …); it is in hand while the guard lives.
    pub fn gateway_event(&self, event: &'static str) -> Running {
        self.gateway.get_or_create(&EventLabels { event }).inc();
        self.events_in_hand.inc();
        Running(self.events_in_hand.clone())
    }

    /// Counts a request to the router API, when the head of its answer goes out.
    pub fn api_request(&self, status: u16) {
        self.api_requests.get_or_create(&StatusLabels { status: status.into() }).inc();
    }

    /// Counts a stream of the router API that ends with an error.
    pub fn api_stream_broken(&self) {
        self.api_streams_broken.inc();
    }

    /// Whether no event is in hand and no turn is running: those under way all wait for a provider to be back, or for those who do.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        let waiting = self.turns_waiting.get() + self.turns_queued.get();
        self.events_in_hand.get() == 0 && self.turns_running.get() <= waiting
    }

    /// A turn begins; it is counted as running while the guard lives.
    pub fn turn_running(&self) -> Running {
        self.turns_running.inc();
        Running(self.turns_running.clone())
    }

    /// Turns under way.
    #[must_use]
    pub fn turns_running(&self) -> i64 {
        self.turns_running.get()
    }

    /// The text format of Prometheus, with `ready` saying for each provider whether it can be asked.
    #[must_use]
    pub fn render(&self, ready: impl IntoIterator<Item = (String, bool)>) -> String {
        for (provider, is_ready) in ready {
            let provider = self.name(&provider);
            self.provider_ready.get_or_create(&ProviderLabels { provider }).set(i64::from(is_ready));
        }
        let mut out = String::new();
        // Writing to a String cannot fail.
        let _ = encode(&mut out, &self.registry);
        out
    }
}

/// Counts something as under way while it lives.
#[must_use]
#[derive(Debug)]
pub struct Running(Gauge);

/// Counts something as waiting while it lives.
#[must_use]
#[derive(Debug)]
pub struct Waiting(Gauge);

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.dec();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{message::UnixMillis, outcome::Usage};
    use std::time::Duration;

    #[test]
    fn the_names_of_the_contract_are_there() {
        let metrics = Metrics::default();
        metrics.attempt(&Attempt {
            step: 0,
            provider: "alpha".to_owned(),
            model: "m".to_owned(),
            started_at: UnixMillis(0),
            outcome: Outcome::Answered,
            first_text: Some(Duration::from_millis(300)),
            total: Duration::from_secs(1),
            usage: Usage::default(),
            cost: None,
        });
        metrics.turn_ended("answered");
        metrics.rows_lost(3);
        let running = metrics.turn_running();
        let text = metrics.render([("alpha".to_owned(), true)]);
        for line in [
            "neverdark_attempts_total{provider=\"alpha\",outcome=\"answered\"} 1",
            "neverdark_turns_total{end=\"answered\"} 1",
            "neverdark_first_text_seconds_count{provider=\"alpha\"} 1",
            "neverdark_provider_ready{provider=\"alpha\"} 1",
            "neverdark_turns_running 1",
            "neverdark_ledger_rows_lost_total 3",
        ] {
            assert!(text.contains(line), "{line} is missing in\n{text}");
        }
        drop(running);
        assert_eq!(metrics.turns_running(), 0);
    }
}
