//! What people may ask for themselves: to see what is stored of them, to be forgotten, and to be left out.
//!
//! **The problem.** People whose words go to an AI provider must be able to say no, and no must hold: also for what others
//! quote of them, and for turns that are under way. **The rule.** Before a message is claimed it is looked up who opted out;
//! their questions are not taken, and their words do not travel with the questions of others. To be forgotten ends the
//! person's running turns first. **The limits.** An answer that the router remembers goes when its time is over
//! (`router.cache.ttl`). The messages on Discord are not touched: people delete theirs there.

use super::{Begun, Chat, wording};
use crate::{
    message::{Inbound, Quoted, Trigger, UnixMillis, UserId},
    store::StoreError,
};
use std::time::Duration;
use tokio::time::Instant;
use tracing::{error, info, warn};

/// Files up to this size, in bytes, are written anew right after somebody was forgotten: a second or two in which nobody else
/// writes. What was deleted from a larger one is overwritten, but copies that SQLite made in moving rows about stay until
/// `neverdark privacy forget` is run with the service stopped.
const SCRUB_UP_TO: u64 = 256 << 20;
/// At most so often: people could stop the service by being forgotten again and again.
const SCRUB_EVERY: Duration = Duration::from_secs(60);

impl Chat {
    /// Takes what opted-out people wrote out of a message. Some when the message itself is not to be answered.
    pub(super) async fn spare(&self, inbound: &mut Inbound) -> Option<Begun> {
        let quoted = |it: &Option<Quoted>| it.as_ref().filter(|it| !it.by_bot).map(|it| it.author.id);
        let starter = inbound.opening.as_ref().and_then(|it| quoted(&it.starter));
        let people = [Some(inbound.author.id), quoted(&inbound.replied_to), starter];
        let chain = inbound.beside.chain.iter().filter(|it| !it.by_bot).map(|it| it.author.id);
        let people: Vec<UserId> = people.into_iter().flatten().chain(chain).collect();
        let out = match self.store.opted_out(&people).await {
            Ok(out) => out,
            Err(failure) => {
                // Whoever opted out must not be asked about because the store is unwell.
                let id = self.new_id();
                error!(turn = %id, error = %failure, "it could not be read who opted out; a message is not answered");
                return Some(Begun::Refused(wording::store_is_unwell(&id)));
            }
        };
        if out.contains(&inbound.author.id) {
            let is_called = match inbound.trigger {
                Trigger::Mention | Trigger::Reply | Trigger::Dm | Trigger::Command => true,
                Trigger::Thread | Trigger::Channel | Trigger::Forum => false,
            };
            let is_told = self.limits().is_told_of_the_line(inbound.channel_id, Instant::now());
            return Some(match (is_called, is_told) {
                (true, true) => Begun::Refused(wording::opted_out()),
                (true, false) => Begun::Hushed(wording::opted_out()),
                (false, _) => Begun::Ignored,
            });
        }
        let is_out = |it: &Quoted| !it.by_bot && out.contains(&it.author.id);
        inbound.replied_to.take_if(|it| is_out(it));
        inbound.beside.chain.retain(|it| !is_out(it));
        // The title is theirs, too.
        inbound.opening.take_if(|it| it.starter.as_ref().is_some_and(is_out));
        None
    }

    /// Whether somebody wants to be left out.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn is_opted_out(&self, user: UserId) -> Result<bool, StoreError> {
        Ok(!self.store.opted_out(&[user]).await?.is_empty())
    }

    /// `/privacy export`: everything that is stored of a person, as JSON.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn export(&self, user: UserId) -> Result<String, StoreError> {
        let whole = self.store.export(user).await?;
        Ok(format!("{whole:#}\n"))
    }

    /// `/privacy forget`, after the person has said so twice.
    ///
    /// # Errors
    /// When the store could not forget; then nothing is forgotten.
    pub async fn forget(&self, user: UserId, now: UnixMillis) -> Result<String, StoreError> {
        self.stop_all_of(user);
        let gone = self.store.forget_person(user).await?;
        self.router.forget_answers();
        info!(lines = gone.lines, turns = gone.turns, votes = gone.votes, "a person was forgotten");
        if let Err(failure) = self.scrub(now).await {
            warn!(error = %failure, "what was forgotten may still be in the database's files for a while");
        }
        Ok(wording::forgotten(gone.lines))
    }

    /// Takes what was deleted out of the bytes of the files.
    async fn scrub(&self, now: UnixMillis) -> Result<(), StoreError> {
        let is_small = self.store.size().await? <= SCRUB_UP_TO;
        let is_due = is_small && {
            let mut last = self.scrubbed.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            let is_due = last.is_none_or(|it| now.since(it) >= SCRUB_EVERY);
            if is_due {
                *last = Some(now);
            }
            is_due
        };
        if is_due { self.store.scrub().await } else { self.store.empty_wal().await }
    }

    /// `/privacy opt-out`.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub async fn opt_out(&self, user: UserId, at: UnixMillis) -> Result<String, StoreError> {
        let is_new = self.store.opt_out(user, at).await?;
        self.stop_all_of(user);
        Ok(wording::opting_out(is_new))
    }

    /// `/privacy opt-in`.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub async fn opt_in(&self, user: UserId) -> Result<String, StoreError> {
        Ok(wording::opting_in(self.store.opt_in(user).await?))
    }

    /// Ends the turns of a person that wait or run.
    fn stop_all_of(&self, user: UserId) {
        for turn in self.under_way.asked_by(user) {
            turn.cancel.cancel();
        }
    }
}
