//! Lets what was missed in a channel go before what is said there now, for a short time.

use crate::message::ChannelId;
use std::{
    collections::{BTreeMap, HashSet},
    time::Duration,
};
use tokio::{sync::watch, time::timeout};

/// What is still to be looked into.
#[derive(Debug)]
enum Left {
    /// Nobody knows yet: all of it.
    Everything,
    /// These.
    Places(HashSet<ChannelId>),
}

/// What is still to be looked into, by connection.
#[derive(Debug, Default)]
pub(crate) struct Order {
    left: watch::Sender<BTreeMap<u32, Left>>,
}

impl Order {
    /// A gap came up.
    pub(crate) fn begin(&self, shard: u32) {
        self.left.send_modify(|it| drop(it.insert(shard, Left::Everything)));
    }

    /// It is known where to look.
    pub(crate) fn expect(&self, shard: u32, places: HashSet<ChannelId>) {
        self.left.send_modify(|it| drop(it.insert(shard, Left::Places(places))));
    }

    /// A place was looked into.
    pub(crate) fn done(&self, shard: u32, place: ChannelId) {
        self.left.send_if_modified(|it| match it.get_mut(&shard) {
            Some(Left::Places(places)) => places.remove(&place),
            Some(Left::Everything) | None => false,
        });
    }

    /// Everything was.
    pub(crate) fn end(&self, shard: u32) {
        self.left.send_if_modified(|it| it.remove(&shard).is_some());
    }

    /// Waits until a place was looked into, or the time is up: what is missed must not hold up who speaks now.
    pub(crate) async fn wait(&self, shard: u32, place: ChannelId, at_most: Duration) {
        let is_free = |it: &BTreeMap<u32, Left>| match it.get(&shard) {
            Some(Left::Everything) => false,
            Some(Left::Places(places)) => !places.contains(&place),
            None => true,
        };
        let mut left = self.left.subscribe();
        // Either is fine: it was looked into, or the time is up.
        let _ = timeout(at_most, left.wait_for(is_free)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;
    use tokio::time::Instant;

    const HERE: ChannelId = ChannelId(1);
    const THERE: ChannelId = ChannelId(2);
    const LONG: Duration = Duration::from_secs(2);

    #[tokio::test(start_paused = true)]
    async fn who_speaks_now_waits_for_their_place_and_not_for_long() {
        let order = Order::default();
        assert!(order.wait(0, HERE, LONG).now_or_never().is_some(), "nothing was missed");
        order.begin(0);
        let mut here = Box::pin(order.wait(0, HERE, LONG));
        assert!(here.as_mut().now_or_never().is_none());
        assert!(order.wait(1, HERE, LONG).now_or_never().is_some(), "another connection");
        order.expect(0, [HERE, THERE].into());
        assert!(here.as_mut().now_or_never().is_none());
        order.done(0, HERE);
        assert!(here.as_mut().now_or_never().is_some());
        let asked = Instant::now();
        order.wait(0, THERE, LONG).await;
        assert_eq!(asked.elapsed(), LONG);
        order.end(0);
        assert!(order.wait(0, THERE, LONG).now_or_never().is_some());
    }
}
