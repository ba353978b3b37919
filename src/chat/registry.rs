//! What Discord has of the bot's commands, as the store remembers it.

use super::Chat;
use crate::{
    message::{GuildId, UnixMillis},
    store::StoreError,
};

impl Chat {
    /// The places in which an application's commands are registered, each with a fingerprint of them; no server: everywhere.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn registered(&self, application: u64) -> Result<Vec<(Option<GuildId>, String)>, StoreError> {
        self.store.registered(application).await
    }

    /// Notes what is registered in a place now; none: nothing any more.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub async fn note_registered(
        &self,
        application: u64,
        guild: Option<GuildId>,
        fingerprint: Option<&str>,
        at: UnixMillis,
    ) -> Result<(), StoreError> {
        self.store.note_registered(application, guild, fingerprint, at).await
    }
}
