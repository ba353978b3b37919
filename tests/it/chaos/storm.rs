//! What happens to the gateway in a long run: one fault after the other, each when the connection is up again.

use sim::discord::{Discord, GatewayFault, Weather};
use std::{collections::BTreeMap, time::Duration};
use tokio::time::{Instant, sleep, timeout};

/// The weather, in thousandths of all calls and events.
pub(crate) const RAIN: Weather = Weather {
    seed: 0,
    errors: 20,
    lost: 20,
    garbled: 10,
    reset: 10,
    slow: 30,
    limited: 10,
    limited_globally: 1,
    twice: 30,
    swapped: 30,
};
/// A session that cannot be resumed, or a gateway that refuses, takes serenity five seconds, so there are not many of them.
const NEW_SESSION_EVERY: Duration = Duration::from_secs(12);
/// What has not connected again after this long does not.
const PATIENCE: Duration = Duration::from_secs(30);

/// The faults of a run.
#[derive(Debug)]
pub(crate) struct Storm {
    discord: Discord,
    rng: fastrand::Rng,
    /// How often each happened.
    pub(crate) faults: BTreeMap<String, u64>,
    new_session: Instant,
}

impl Storm {
    /// The first session that cannot be resumed is lost after `quiet`.
    pub(crate) fn new(discord: &Discord, rng: fastrand::Rng, quiet: Duration) -> Self {
        Self { discord: discord.clone(), rng, faults: BTreeMap::new(), new_session: Instant::now() + quiet }
    }

    /// Ends only when the bot does not connect again.
    pub(crate) async fn rage(&mut self) {
        loop {
            sleep(Duration::from_millis(self.rng.u64(200..1500))).await;
            if timeout(PATIENCE, self.discord.connected()).await.is_err() {
                return;
            }
            self.strike().await;
        }
    }

    async fn strike(&mut self) {
        let is_time = Instant::now() >= self.new_session;
        let fault = if is_time {
            self.new_session = Instant::now() + NEW_SESSION_EVERY;
            match self.rng.u8(0..3) {
                0 => GatewayFault::InvalidSession { resumable: false },
                1 => GatewayFault::Close(4009),
                _ => GatewayFault::Refuse(true),
            }
        } else {
            match self.rng.u8(0..6) {
                0 => GatewayFault::Drop,
                1 => GatewayFault::Reset,
                2 => GatewayFault::Reconnect,
                3 => GatewayFault::InvalidSession { resumable: true },
                4 => GatewayFault::Close(4000),
                _ => GatewayFault::Zombie(true),
            }
        };
        *self.faults.entry(format!("{fault:?}")).or_default() += 1;
        self.discord.gateway(fault);
        let pause = Duration::from_millis(self.rng.u64(100..600));
        match fault {
            GatewayFault::Zombie(_) => {
                sleep(pause).await;
                self.discord.gateway(GatewayFault::Zombie(false));
            }
            GatewayFault::Refuse(_) => {
                self.discord.gateway(GatewayFault::Drop);
                sleep(pause).await;
                self.discord.gateway(GatewayFault::Refuse(false));
            }
            _ => {}
        }
    }

    /// Ends whatever still goes on.
    pub(crate) fn calm(&self) {
        self.discord.gateway(GatewayFault::Refuse(false));
        self.discord.gateway(GatewayFault::Zombie(false));
        self.discord.weather(Weather::default());
    }
}
