//! Tells Discord of the commands, when they are others than it knows.
//!
//! **The problem.** Discord lets an application write few commands in a day; a bot that registers them at each start, in a crash
//! loop, or server by server, runs out. **The rule.** A fingerprint of what was registered is kept by place; the whole set is
//! put there in one call when it differs, and places that are no longer configured are emptied. What fails is tried again later.
//! **The limits.** Commands that somebody else registered for the same application are not noticed until ours change.

use super::{Door, commands, rest::ApplicationId};
use crate::{
    config::RegisterCommands,
    message::{GuildId, UnixMillis},
};
use serde_json::Value;
use std::time::Duration;
use tokio::time::sleep;
use tracing::{debug, error, info, warn};

/// When a failed registration is tried again first; each further wait is twice as long.
const AGAIN_AFTER: Duration = Duration::from_secs(60);
/// The longest wait between two tries.
const AGAIN_AT_LEAST_EVERY: Duration = Duration::from_secs(60 * 60);

impl Door {
    /// Sees to it that Discord knows the commands, now or later.
    pub(super) async fn keep_registered(&self, application: ApplicationId) {
        let Err(failure) = self.register(application).await else { return };
        error!(error = %failure, "the commands could not be registered; the old ones stay, and it is tried again later");
        let door = self.clone();
        self.inner.tasks.spawn(async move {
            let Ok(_alone) = door.inner.registering.try_lock() else { return };
            let mut wait = AGAIN_AFTER;
            loop {
                let tried = async {
                    sleep(wait).await;
                    door.register(application).await
                };
                tokio::select! {
                    biased;
                    () = door.inner.closing.cancelled() => return,
                    tried = tried => match tried {
                        Ok(()) => return,
                        Err(failure) => debug!(error = %failure, "the commands could still not be registered"),
                    },
                }
                wait = (wait * 2).min(AGAIN_AT_LEAST_EVERY);
            }
        });
    }

    async fn register(&self, application: ApplicationId) -> Result<(), super::rest::RestError> {
        let declared = commands::declared();
        let print = fingerprint(&declared);
        let wanted: Vec<Option<GuildId>> = match &self.inner.settings.register_commands {
            RegisterCommands::Global => vec![None],
            RegisterCommands::Guilds(guilds) => guilds.iter().map(|it| Some(GuildId(*it))).collect(),
        };
        let known = self.inner.chat.registered(application.0).await.unwrap_or_else(|failure| {
            warn!(error = %failure, "could not read which commands are registered; they are registered again");
            Vec::new()
        });
        for (place, _) in known.iter().filter(|(place, _)| !wanted.contains(place)) {
            self.put(application, *place, &[], None).await?;
        }
        for place in wanted {
            if !known.iter().any(|(it, has)| *it == place && *has == print) {
                self.put(application, place, &declared, Some(&print)).await?;
            }
        }
        Ok(())
    }

    async fn put(
        &self,
        application: ApplicationId,
        place: Option<GuildId>,
        commands: &[Value],
        print: Option<&str>,
    ) -> Result<(), super::rest::RestError> {
        self.inner.rest.put_commands(application, place, commands).await?;
        info!(count = commands.len(), server = place.map(|it| it.0), "the commands were registered");
        let noted = self.inner.chat.note_registered(application.0, place, print, UnixMillis::now());
        if let Err(failure) = noted.await {
            warn!(error = %failure, "could not note which commands are registered; they will be registered again");
        }
        Ok(())
    }
}

/// Sixteen hexadecimal digits that differ when the commands do (FNV-1a: no secret, and the same in every build).
fn fingerprint(commands: &[Value]) -> String {
    let text = Value::from(commands).to_string();
    let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    format!("{hash:016x}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_fingerprint_is_of_what_is_declared() {
        let ask = json!({"name": "ask"});
        assert_eq!(fingerprint(&[]), "09612b07b5ecb5a5");
        assert_eq!(fingerprint(std::slice::from_ref(&ask)), fingerprint(&[json!({"name": "ask"})]));
        assert_ne!(fingerprint(&[ask]), fingerprint(&[json!({"name": "asks"})]));
    }
}
