//! What Discord refuses is not asked for again and again: its guard bans machines with 10,000 invalid calls in ten minutes.
//!
//! **The rule.** After a refusal in a channel (403, or 404 for the channel itself) at most [`FURTHER`] further calls are made
//! there within [`WHILE`]; one that succeeds ends this. After a 401 nothing is sent for [`WHILE`], then one call tries. After
//! [`MOST_INVALID`] invalid calls in ten minutes nothing is sent for the rest of them. **The limits.** Only calls about
//! messages and typing count for a channel: who may not tag a post may still answer in it. At most [`CHANNELS`] channels are
//! remembered.

use super::RestError;
use crate::message::ChannelId;
use std::{collections::HashMap, time::Duration};
use tokio::time::Instant;

/// So many calls after the first refusal, in case that it was one of the message and not of the channel.
const FURTHER: u32 = 3;
/// Long enough to be harmless, short enough for the person who mends the permissions and tries again.
const WHILE: Duration = Duration::from_secs(60);
/// Discord's window for invalid calls.
const WINDOW: Duration = Duration::from_secs(600);
/// Of the 10,000, with room for other programs on this machine.
const MOST_INVALID: u32 = 8000;
/// Channels that are remembered; a bot that is forbidden in more of them has another problem.
const CHANNELS: usize = 4096;
/// "Unknown Channel"; a message that is not there says nothing of its channel.
const UNKNOWN_CHANNEL: u32 = 10_003;

#[derive(Debug)]
struct Refused {
    since: Instant,
    calls: u32,
    error: RestError,
}

/// What was refused lately.
#[derive(Debug, Default)]
pub(super) struct Refusals {
    no_token_until: Option<Instant>,
    channels: HashMap<ChannelId, Refused>,
    window: Option<(Instant, u32)>,
}

impl Refusals {
    /// Whether a call with the bot's token may be made.
    ///
    /// # Errors
    /// What Discord would say.
    pub(super) fn check(&self, channel: Option<ChannelId>, now: Instant) -> Result<(), RestError> {
        if self.no_token_until.is_some_and(|it| it > now) {
            return Err(RestError::Unauthorized);
        }
        if let Some((since, invalid)) = self.window
            && invalid >= MOST_INVALID
            && since + WINDOW > now
        {
            return Err(RestError::RateLimited { retry_after: since + WINDOW - now });
        }
        match channel.and_then(|it| self.channels.get(&it)) {
            Some(it) if it.calls > FURTHER && it.since + WHILE > now => Err(it.error.clone()),
            _ => Ok(()),
        }
    }

    /// A call succeeded.
    pub(super) fn succeeded(&mut self, channel: Option<ChannelId>) {
        self.no_token_until = None;
        if let Some(channel) = channel {
            self.channels.remove(&channel);
        }
    }

    /// A call failed.
    pub(super) fn failed(&mut self, channel: Option<ChannelId>, error: &RestError, now: Instant) {
        let is_of_channel = match error {
            RestError::Unauthorized => {
                self.no_token_until = Some(now + WHILE);
                self.count(now);
                return;
            }
            RestError::Forbidden { .. } => {
                self.count(now);
                true
            }
            RestError::NotFound { code } => *code == UNKNOWN_CHANNEL,
            _ => false,
        };
        let Some(channel) = channel.filter(|_| is_of_channel) else { return };
        if self.channels.len() >= CHANNELS {
            self.channels.retain(|_, it| it.since + WHILE > now);
        }
        if self.channels.len() >= CHANNELS && !self.channels.contains_key(&channel) {
            return;
        }
        let fresh = || Refused { since: now, calls: 0, error: error.clone() };
        let refused = self.channels.entry(channel).or_insert_with(fresh);
        if refused.since + WHILE <= now {
            *refused = fresh();
        }
        refused.calls += 1;
    }

    /// A 429 that was the bot's own fault.
    pub(super) fn too_many(&mut self, now: Instant) {
        self.count(now);
    }

    fn count(&mut self, now: Instant) {
        match &mut self.window {
            Some((since, invalid)) if *since + WINDOW > now => *invalid += 1,
            window => *window = Some((now, 1)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::UNKNOWN_MESSAGE, *};

    const HERE: Option<ChannelId> = Some(ChannelId(5));
    const THERE: Option<ChannelId> = Some(ChannelId(6));

    fn forbidden() -> RestError {
        RestError::Forbidden { code: 50_013, message: "Missing Permissions".to_owned() }
    }

    #[tokio::test]
    async fn a_channel_that_refuses_is_left_alone_for_a_while() {
        let (mut refusals, start) = (Refusals::default(), Instant::now());
        let mut calls = 0;
        for second in 0..200 {
            let now = start + Duration::from_secs(second);
            if refusals.check(HERE, now).is_ok() {
                calls += 1;
                refusals.failed(HERE, &forbidden(), now);
            }
            assert_eq!(refusals.check(THERE, now), Ok(()), "others are not meant");
        }
        assert_eq!(calls, 16, "the first and three further ones in each of four minutes");
        refusals.succeeded(HERE);
        assert_eq!(refusals.check(HERE, start + Duration::from_secs(200)), Ok(()));
    }

    #[tokio::test]
    async fn a_message_that_is_gone_says_nothing_of_its_channel() {
        let (mut refusals, now) = (Refusals::default(), Instant::now());
        for _ in 0..9 {
            refusals.failed(HERE, &RestError::NotFound { code: UNKNOWN_MESSAGE }, now);
        }
        assert_eq!(refusals.check(HERE, now), Ok(()));
        for _ in 0..4 {
            refusals.failed(HERE, &RestError::NotFound { code: UNKNOWN_CHANNEL }, now);
        }
        assert_eq!(refusals.check(HERE, now), Err(RestError::NotFound { code: UNKNOWN_CHANNEL }));
    }

    #[tokio::test]
    async fn a_wrong_token_stops_everything_and_so_do_too_many_invalid_calls() {
        let (mut refusals, now) = (Refusals::default(), Instant::now());
        refusals.failed(HERE, &RestError::Unauthorized, now);
        assert_eq!(refusals.check(THERE, now), Err(RestError::Unauthorized));
        assert_eq!(refusals.check(None, now + WHILE), Ok(()), "one tries");
        for _ in 0..MOST_INVALID {
            refusals.too_many(now);
        }
        let later = now + WHILE;
        let left = WINDOW - WHILE;
        assert_eq!(refusals.check(None, later), Err(RestError::RateLimited { retry_after: left }));
        assert_eq!(refusals.check(None, now + WINDOW), Ok(()));
    }
}
