//! What moderators chose, and what they see of the providers: the words behind `/provider` and `/status`.

use super::{Chat, wording};
use crate::{
    message::{ChannelId, GuildId, Speaker, UnixMillis},
    router::strategy::Wish,
    store::{By, Disabled, Pin, Scope, StoreError},
};
use std::time::Duration;
use tokio::time::Instant;

/// Who gives a command, where and when.
#[derive(Clone, Debug)]
pub struct Moderator {
    /// The server.
    pub guild_id: GuildId,
    /// The channel.
    pub channel_id: ChannelId,
    /// The person.
    pub user: Speaker,
    /// When.
    pub at: UnixMillis,
}

impl Moderator {
    fn by(&self) -> By {
        By {
            guild_id: self.guild_id,
            channel_id: Some(self.channel_id),
            user: self.user.clone(),
            at: self.at,
        }
    }

    fn scope(&self, is_server: bool) -> Scope {
        if is_server { Scope::Server(self.guild_id) } else { Scope::Channel(self.channel_id) }
    }
}

/// The longest a pin or a switch may be asked to last; longer is meant as "until further notice".
const LONGEST: Duration = Duration::from_secs(366 * 86_400);

/// Reads `30m`, `1h`, `7d`.
fn end(at: UnixMillis, lasts: Option<&str>) -> Result<Option<UnixMillis>, String> {
    let Some(text) = lasts else { return Ok(None) };
    match humantime::parse_duration(text.trim()) {
        Ok(lasts) if !lasts.is_zero() && lasts <= LONGEST => Ok(Some(at.plus(lasts))),
        Ok(_) | Err(_) => Err(wording::no_such_duration(text)),
    }
}

impl Chat {
    /// Whom people asked for in this place at this time: the person's own wish first, then the pin; without what is off here.
    pub(super) async fn wish(
        &self,
        channel: ChannelId,
        guild: Option<GuildId>,
        own: Option<&str>,
        now: UnixMillis,
    ) -> Result<Wish, StoreError> {
        let Some(guild_id) = guild else {
            return Ok(Wish { first: own.map(str::to_owned).into_iter().collect(), ..Wish::default() });
        };
        let pin = self.store.pin_for(channel, guild, now).await?;
        let off = self.store.disabled_in(guild_id, now).await?;
        let strict = own.is_none() && pin.as_ref().is_some_and(|it| it.strict);
        let first = own.map(str::to_owned).into_iter().chain(pin.map(|it| it.provider));
        Ok(Wish {
            first: first.collect(),
            strict,
            off: off.into_iter().map(|it| it.provider).collect(),
            last: None,
            strategy: None,
        })
    }

    /// `/provider use`.
    ///
    /// # Errors
    /// When the choice could not be stored; then nothing has changed.
    pub async fn use_provider(
        &self,
        by: &Moderator,
        name: &str,
        is_server: bool,
        lasts: Option<&str>,
        strict: bool,
    ) -> Result<String, StoreError> {
        let end = match (self.known(name), end(by.at, lasts)) {
            (Ok(()), Ok(end)) => end,
            (Err(sentence), _) | (_, Err(sentence)) => return Ok(sentence),
        };
        self.store.pin(by.scope(is_server), name, strict, end, &by.by()).await?;
        Ok(wording::pinned(name, is_server, end, strict))
    }

    /// `/provider auto`.
    ///
    /// # Errors
    /// When the choice could not be stored; then nothing has changed.
    pub async fn use_usual_order(&self, by: &Moderator, is_server: bool) -> Result<String, StoreError> {
        let was_pinned = self.store.unpin(by.scope(is_server), &by.by()).await?;
        Ok(wording::unpinned(was_pinned, is_server))
    }

    /// `/provider disable`.
    ///
    /// # Errors
    /// When the choice could not be stored; then nothing has changed.
    pub async fn disable(
        &self,
        by: &Moderator,
        name: &str,
        lasts: Option<&str>,
    ) -> Result<String, StoreError> {
        let end = match (self.known(name), end(by.at, lasts)) {
            (Ok(()), Ok(end)) => end,
            (Err(sentence), _) | (_, Err(sentence)) => return Ok(sentence),
        };
        let off = self.store.disabled_in(by.guild_id, by.at).await?;
        let is_on = |it: &&str| *it != name && !off.iter().any(|off| off.provider == *it);
        if !self.router.names().iter().any(is_on) {
            return Ok(wording::last_provider(name));
        }
        self.store.disable(name, end, &by.by()).await?;
        Ok(wording::disabled(name, end))
    }

    /// `/provider enable`.
    ///
    /// # Errors
    /// When the choice could not be stored; then nothing has changed.
    pub async fn enable(&self, by: &Moderator, name: &str) -> Result<String, StoreError> {
        if let Err(sentence) = self.known(name) {
            return Ok(sentence);
        }
        let was_off = self.store.enable(name, &by.by()).await?;
        Ok(wording::enabled(name, was_off))
    }

    /// `/provider list`.
    ///
    /// # Errors
    /// When the choices can't be read.
    pub async fn list_providers(&self, by: &Moderator) -> Result<String, StoreError> {
        Ok(wording::list(&self.seen(by.channel_id, Some(by.guild_id), by.at).await?))
    }

    /// `/status`.
    ///
    /// # Errors
    /// When the ledger can't be read.
    pub async fn status(
        &self,
        channel: ChannelId,
        guild: Option<GuildId>,
        at: UnixMillis,
    ) -> Result<String, StoreError> {
        let turns = self.store.turn_ends(at.minus(DAY)).await?;
        Ok(wording::status(&self.seen(channel, guild, at).await?, &turns))
    }

    fn known(&self, name: &str) -> Result<(), String> {
        let names = self.router.names();
        if names.contains(&name) { Ok(()) } else { Err(wording::no_such_provider(name, &names)) }
    }

    async fn seen(
        &self,
        channel: ChannelId,
        guild: Option<GuildId>,
        at: UnixMillis,
    ) -> Result<Vec<wording::Seen>, StoreError> {
        let (pin, off) = match guild {
            Some(guild_id) => {
                (self.store.pin_for(channel, guild, at).await?, self.store.disabled_in(guild_id, at).await?)
            }
            None => (None, Vec::new()),
        };
        self.ledger.flush().await;
        let ledger = self.store.reliability(at.minus(DAY), at.plus(DAY)).await?;
        let standings = self.router.standings(Instant::now());
        let see = |standing: crate::router::ProviderStanding| {
            let off = off.iter().find(|it: &&Disabled| it.provider == standing.name).map(|it| it.until);
            let pin = pin.as_ref().filter(|it: &&Pin| it.provider == standing.name);
            let pin = pin.map(|it| (it.until, it.strict));
            let row = ledger.iter().find(|it| it.provider == standing.name);
            wording::Seen {
                off,
                pin,
                calls: row.map_or(0, |it| it.calls - it.overtaken - it.cancelled),
                answered: row.map_or(0, |it| it.answered),
                p50_first_text_ms: row.and_then(|it| it.p50_first_text_ms),
                p95_first_text_ms: row.and_then(|it| it.p95_first_text_ms),
                standing,
            }
        };
        Ok(standings.into_iter().map(see).collect())
    }
}

const DAY: Duration = Duration::from_secs(86_400);
