//! The pace of a channel: the growing replies in it share the edits that Discord allows there.
//!
//! **The problem.** Discord counts edits by channel. Five replies that are edited once a second each use up in one second what
//! is meant for five. **The rule.** One edit of a growing text in each interval, in turn; whoever's turn it is shows what is
//! newest then. The end of an answer waits for nobody, and counts. **The limits.** A pacer lives as long as replies do that
//! use it.

use crate::message::ChannelId;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};
use tokio::time::{Instant, sleep_until};

/// As many pacers are kept before those are taken out that nobody uses.
const KEPT: usize = 256;

/// All channels in which something is said.
#[derive(Debug, Default)]
pub(crate) struct Pacers(Mutex<HashMap<ChannelId, Weak<Pacer>>>);

impl Pacers {
    /// A channel's pacer.
    pub(crate) fn of(&self, channel: ChannelId) -> Arc<Pacer> {
        let mut pacers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if pacers.len() >= KEPT {
            pacers.retain(|_, it| it.strong_count() > 0);
        }
        if let Some(known) = pacers.get(&channel).and_then(Weak::upgrade) {
            return known;
        }
        let new = Arc::new(Pacer::default());
        pacers.insert(channel, Arc::downgrade(&new));
        new
    }
}

/// One channel's pace.
#[derive(Debug, Default)]
pub(crate) struct Pacer {
    /// Whoever has it is next; the others stand in line.
    line: tokio::sync::Mutex<()>,
    /// Before this no growing text is edited.
    free_at: Mutex<Option<Instant>>,
}

impl Pacer {
    /// Waits for one's turn to edit a growing text.
    pub(super) async fn turn(&self, interval: Duration) {
        let _first = self.line.lock().await;
        loop {
            // It may have moved while it was waited for.
            let Some(at) = self.free_at().filter(|it| *it > Instant::now()) else { break };
            sleep_until(at).await;
        }
        self.count(interval);
    }

    /// Something was edited.
    pub(super) fn count(&self, interval: Duration) {
        let next = Some(Instant::now() + interval);
        let mut free_at = self.free_at();
        *free_at = free_at.max(next);
    }

    fn free_at(&self) -> MutexGuard<'_, Option<Instant>> {
        self.free_at.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::future::join_all;

    const INTERVAL: Duration = Duration::from_millis(1200);

    #[tokio::test(start_paused = true)]
    async fn replies_in_a_channel_take_turns_and_none_is_forgotten() {
        let (pacers, start) = (Pacers::default(), Instant::now());
        let reply = |name: usize| {
            let pacer = pacers.of(ChannelId(5));
            async move {
                let mut turns = Vec::new();
                for _ in 0..4 {
                    pacer.turn(INTERVAL).await;
                    turns.push((start.elapsed().as_millis(), name));
                }
                turns
            }
        };
        let mut turns = join_all((0..3).map(reply)).await.concat();
        turns.sort_unstable();
        let expected: Vec<(u128, usize)> = (0..12).map(|it| (it as u128 * 1200, it % 3)).collect();
        assert_eq!(turns, expected);
        pacers.of(ChannelId(6)).turn(INTERVAL).await;
        assert_eq!(start.elapsed().as_millis(), 11 * 1200, "another channel has its own");
    }

    #[tokio::test(start_paused = true)]
    async fn an_end_counts_also_for_who_is_waiting_already() {
        let (pacer, start) = (Pacer::default(), Instant::now());
        pacer.turn(INTERVAL).await;
        let end = async {
            tokio::time::sleep(INTERVAL / 2).await;
            pacer.count(INTERVAL);
        };
        tokio::join!(pacer.turn(INTERVAL), end);
        assert_eq!(start.elapsed(), INTERVAL * 3 / 2);
    }
}
