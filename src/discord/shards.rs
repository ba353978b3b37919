//! The connections of the client library: whether they are up, and those that ended by themselves begin anew.
//!
//! **The problem.** Whatever serenity cannot send for us to a connection that is just lost, such as a presence, ends that
//! connection's task for good: without a word, without another connection, and its stage stays what it was. **The rule.** Who
//! is up is looked at, and a connection whose task has ended is restarted. **The limits.** That one takes serenity ten seconds
//! and a new session; what was said meanwhile is looked for, as after every gap.

use serenity::{
    all::ShardId,
    gateway::{ConnectionStage, ShardManager, ShardMessenger},
};
use std::{convert::Infallible, time::Duration};
use tokio::{sync::watch, time::interval};
use tracing::warn;

/// How often it is looked whether the connections are up.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Looks whether the connections are up, all of them. serenity tells its handlers of a stage only together with an event
/// that came in, and of each connection by itself, so that nobody would hear of a gateway that takes none any more.
pub(super) async fn watch(
    shards: &ShardManager,
    count: u32,
    is_connected: &watch::Sender<bool>,
) -> Infallible {
    let mut looks = interval(LOOK_EVERY);
    let mut ended_before = None;
    loop {
        looks.tick().await;
        let (are_up, ended) = {
            let runners = shards.runners.lock().await;
            let ended: Option<ShardId> =
                runners.iter().find(|(_, it)| has_ended(&it.runner_tx)).map(|it| *it.0);
            let are_there = u32::try_from(runners.len()).is_ok_and(|it| it >= count);
            let are_up = runners.values().all(|it| it.stage == ConnectionStage::Connected);
            (are_there && are_up && ended.is_none(), ended)
        };
        is_connected.send_if_modified(|it| std::mem::replace(it, are_up) != are_up);
        // One that ends in the ordinary way is taken out a moment later.
        match ended {
            Some(shard) if ended_before == ended => {
                warn!(shard = shard.0, "a connection to Discord had ended unnoticed and begins anew");
                shards.restart(shard).await;
                ended_before = None;
            }
            _ => ended_before = ended,
        }
    }
}

/// Whether nobody listens to a connection's messages any more. serenity does not tell; the channel's `Debug` does.
fn has_ended(runner: &ShardMessenger) -> bool {
    format!("{runner:?}").contains("closed: true")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serenity::{
        all::{GatewayIntents, OnlineStatus, ShardRunnerMessage},
        client::ClientBuilder,
        http::HttpBuilder,
    };
    use sim::discord::{Discord, Options};
    use tokio::time::timeout;

    #[tokio::test]
    async fn a_connection_whose_task_ended_is_noticed() {
        let discord = Discord::start(Options::default()).await.unwrap();
        let http = HttpBuilder::new(discord.token()).proxy(discord.base()).ratelimiter_disabled(true).build();
        let mut client = ClientBuilder::new_with_http(http, GatewayIntents::GUILDS).await.unwrap();
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
        let limited = async {
            tokio::select! {
                () = scene => {}
                never = watch(&shards, 1, &is_up) => match never {},
                ended = client.start_shards(1) => panic!("{ended:?}"),
            }
        };
        timeout(Duration::from_secs(10), limited).await.unwrap();
    }
}
