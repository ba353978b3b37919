//! Placeholder until the real one is merged.
use super::Ceilings;
use crate::{message::UnixMillis, outcome::Usage};
use tokio::time::Instant;
pub(crate) enum Full {
    Until(Instant),
    WhenOneEnds,
    Tomorrow,
}
#[derive(Debug)]
pub(crate) struct Gauge;
impl Gauge {
    pub(crate) fn new(_: Ceilings) -> Self {
        Self
    }
    pub(crate) fn may_begin(&self, _: Instant, _: UnixMillis, _: u64) -> Result<(), Full> {
        Ok(())
    }
    pub(crate) fn begin(&mut self, _: Instant, _: u64) {}
    pub(crate) fn end(&mut self, _: Instant, _: UnixMillis, _: u64, _: Usage, _: Option<f64>) -> bool {
        false
    }
}
