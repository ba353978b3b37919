//! The connections of the client library: whether they are up, and those that are lost begin anew.
//!
//! **The problem.** serenity loses connections for good, without a word, in several ways. What it cannot send for us to one that
//! was just lost, such as a presence, ends that connection's task, and its stage stays what it was. One that could not be
//! resumed, since nobody took it, is read from as fast as the processor can until a heartbeat is due. And a gateway that takes
//! a connection and never says a word is waited for without a limit. **The rule.** Stages and heartbeats are looked at; a
//! connection that will not come up by itself, or that has shown no sign of life for [`SILENT`], is renewed, and if not
//! even that moves anything, the whole client is. **The limits.** It takes serenity five seconds or more and a new session; what
//! was said meanwhile is looked for, as after every gap.

use super::{frozen::poke, presence::Presence};
use serenity::{
    all::ShardId,
    gateway::{ConnectionStage, ShardManager, ShardMessenger, ShardRunnerInfo},
};
use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};
use tokio::{
    sync::watch,
    time::{Instant, interval},
};
use tracing::warn;

/// How often it is looked whether the connections are up.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// How long a connection may show no sign of life. Discord asks for a heartbeat every 41 seconds (Discord, *Gateway*), and serenity
/// itself renews one whose heartbeat was not answered when the next one is due.
pub(super) const SILENT: Duration = Duration::from_secs(120);

/// What is wrong with a connection that will not come up by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trouble {
    /// Its task has ended.
    Ended,
    /// It could not be resumed. While a connection is being made serenity tells no stage; that of one that is to be made is
    /// told only when that failed.
    Unresumed,
    /// It shows no sign of life.
    Silent,
}

/// The latest signs of life: stages, and how long the last heartbeat was under way, whenever one of them changed.
#[derive(Debug, Default)]
struct Signs(BTreeMap<ShardId, (ConnectionStage, Option<Duration>, Instant)>);

impl Signs {
    /// Takes down how the connections are now. Says whether some came or went.
    fn take(&mut self, runners: &HashMap<ShardId, ShardRunnerInfo>, now: Instant) -> bool {
        let before: Vec<ShardId> = self.0.keys().copied().collect();
        self.0.retain(|it, _| runners.contains_key(it));
        for (id, it) in runners {
            let last = self.0.entry(*id).or_insert((it.stage, it.latency, now));
            if (last.0, last.1) != (it.stage, it.latency) {
                *last = (it.stage, it.latency, now);
            }
        }
        !before.iter().eq(self.0.keys())
    }

    fn trouble(
        &self,
        runners: &HashMap<ShardId, ShardRunnerInfo>,
        not_since: Option<Instant>,
    ) -> Option<(ShardId, Trouble)> {
        self.0.iter().find_map(|(id, (stage, _, last))| {
            let trouble = match stage {
                _ if has_ended(&runners.get(id)?.runner_tx) => Trouble::Ended,
                ConnectionStage::Connecting => Trouble::Unresumed,
                _ if not_since.is_some_and(|it| *last <= it) => Trouble::Silent,
                _ => return None,
            };
            Some((*id, trouble))
        })
    }

    fn are_up(&self, count: u32) -> bool {
        !self.are_missing(count) && self.0.values().all(|it| it.0 == ConnectionStage::Connected)
    }

    fn are_missing(&self, count: u32) -> bool {
        u32::try_from(self.0.len()).is_ok_and(|it| it < count)
    }
}

/// Looks whether the connections are up, all of them. Ends when some are missing and nothing moves any more for `silent`. serenity
/// tells its handlers of a stage only together with an event that came in, and of each connection by itself, so that nobody
/// would hear of a gateway that takes none any more.
pub(super) async fn watch(
    shards: &ShardManager,
    count: u32,
    is_connected: &watch::Sender<bool>,
    presence: impl Fn() -> Presence,
    silent: Duration,
) {
    let mut looks = interval(LOOK_EVERY);
    let (mut signs, mut before, mut moved_at) = (Signs::default(), None, Instant::now());
    loop {
        let now = looks.tick().await;
        let trouble = {
            let runners = shards.runners.lock().await;
            if signs.take(&runners, now) {
                moved_at = now;
            }
            signs.trouble(&runners, now.checked_sub(silent))
        };
        let are_up = signs.are_up(count) && trouble.is_none();
        is_connected.send_if_modified(|it| std::mem::replace(it, are_up) != are_up);
        // One that ends in the ordinary way is taken out a moment later.
        if let Some((shard, trouble)) = trouble.filter(|_| before == trouble) {
            warn!(
                shard = shard.0,
                "a connection to Discord was lost unnoticed ({trouble:?}) and begins anew"
            );
            if let Some(runner) = shards.runners.lock().await.get(&shard) {
                poke(&runner.runner_tx, &presence());
            }
            // serenity may be at it already when it could not be resumed; otherwise its task ends now.
            if trouble != Trouble::Unresumed {
                shards.restart(shard).await;
            }
            before = None;
        } else {
            before = trouble;
        }
        if signs.are_missing(count) && now.duration_since(moved_at) >= silent {
            return;
        }
    }
}

/// Ends all connections, for a client that is given up.
pub(super) async fn end(shards: &ShardManager, presence: &Presence) {
    shards.runners.lock().await.values().for_each(|it| poke(&it.runner_tx, presence));
    shards.shutdown_all().await;
}

/// Whether nobody listens to a connection's messages any more. serenity does not tell; the channel's `Debug` does.
fn has_ended(runner: &ShardMessenger) -> bool {
    format!("{runner:?}").contains("closed: true")
}

#[cfg(test)]
mod tests {
    use super::{super::frozen::guard, *};
    use crate::chat::Health;
    use serenity::{
        all::{GatewayIntents, OnlineStatus, ShardRunnerMessage},
        client::ClientBuilder,
        http::HttpBuilder,
    };
    use sim::discord::{Discord, GatewayFault, Options};
    use tokio::{
        net::TcpListener,
        time::{sleep, timeout},
    };

    async fn client(discord: &Discord) -> serenity::Client {
        let http = HttpBuilder::new(discord.token()).proxy(discord.base()).ratelimiter_disabled(true).build();
        ClientBuilder::new_with_http(http, GatewayIntents::GUILDS).await.unwrap()
    }

    fn well() -> Presence {
        Presence::of(Health { well: 1, all: 1, changes_in: None })
    }

    /// Plays a scene while a client is served and looked after, until the scene is over or nothing has moved for so long.
    async fn play(
        mut client: serenity::Client,
        silent: Duration,
        is_up: &watch::Sender<bool>,
        scene: impl Future<Output = ()>,
    ) {
        let shards = client.shard_manager.clone();
        let limited = async {
            tokio::select! {
                () = scene => {}
                never = guard(&shards, well) => match never {},
                () = watch(&shards, 1, is_up, well, silent) => {}
                ended = client.start_shards(1) => panic!("{ended:?}"),
            }
        };
        timeout(Duration::from_secs(10), limited).await.unwrap();
    }

    #[tokio::test]
    async fn a_connection_whose_task_ended_is_noticed() {
        let discord = Discord::start(Options::default()).await.unwrap();
        let client = client(&discord).await;
        let (shards, is_up) = (client.shard_manager.clone(), watch::Sender::new(false));
        let mut up = is_up.subscribe();
        let scene = async {
            up.wait_for(|it| *it).await.unwrap();
            for runner in shards.runners.lock().await.values() {
                // As a presence on a connection that was lost a moment ago.
                runner.runner_tx.send_to_shard(ShardRunnerMessage::Close(4000, None));
                runner.runner_tx.set_presence(None, OnlineStatus::Idle);
            }
            up.wait_for(|it| !*it).await.unwrap();
            let stages: Vec<_> = shards.runners.lock().await.values().map(|it| it.stage).collect();
            assert_eq!(stages, [ConnectionStage::Connected], "serenity does not know");
            // That it begins anew takes serenity ten seconds, and is not waited for here.
        };
        play(client, SILENT, &is_up, scene).await;
    }

    // A task that never waits has a thread for itself.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn one_that_could_not_be_resumed_is_not_read_from_until_a_heartbeat_is_due() {
        let discord = Discord::start(Options::default()).await.unwrap();
        let client = client(&discord).await;
        let (shards, is_up) = (client.shard_manager.clone(), watch::Sender::new(false));
        let mut up = is_up.subscribe();
        let scene = async {
            up.wait_for(|it| *it).await.unwrap();
            discord.gateway(GatewayFault::Refuse(true));
            discord.gateway(GatewayFault::Reset);
            up.wait_for(|it| !*it).await.unwrap();
            // Its task ends, long before serenity takes it out.
            while !shards.runners.lock().await.values().all(|it| has_ended(&it.runner_tx)) {
                sleep(Duration::from_millis(20)).await;
            }
        };
        play(client, SILENT, &is_up, scene).await;
    }

    #[tokio::test]
    async fn one_without_a_sign_of_life_is_not_up() {
        let heartbeat = Duration::from_millis(200);
        let discord = Discord::start(Options { heartbeat, ..Options::default() }).await.unwrap();
        let (client, is_up) = (client(&discord).await, watch::Sender::new(false));
        let (address, mute) = (client.ws_url.clone(), mute().await);
        let mut up = is_up.subscribe();
        let silent = LOOK_EVERY * 3;
        let scene = async {
            up.wait_for(|it| *it).await.unwrap();
            assert!(timeout(silent * 2, up.wait_for(|it| !*it)).await.is_err(), "heartbeats are signs");
            *address.lock().await = mute.0;
            discord.gateway(GatewayFault::Drop);
            up.wait_for(|it| !*it).await.unwrap();
        };
        play(client, silent, &is_up, scene).await;
    }

    #[tokio::test]
    async fn a_gateway_that_never_says_a_word_is_given_up() {
        let discord = Discord::start(Options::default()).await.unwrap();
        let (client, is_up) = (client(&discord).await, watch::Sender::new(false));
        let mute = mute().await;
        *client.ws_url.lock().await = mute.0;
        play(client, LOOK_EVERY * 2, &is_up, std::future::pending()).await;
    }

    /// The address of a gateway that takes connections, for as long as the listener lives, and says nothing.
    async fn mute() -> (String, TcpListener) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        (format!("ws://{}", listener.local_addr().unwrap()), listener)
    }
}
