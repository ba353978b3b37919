//! What members think of an answer, and what they can find out about it.

use super::{Chat, wording::pressed as wording};
use crate::{
    message::{ChannelId, GuildId, TurnId, UnixMillis, UserId},
    store::{Change, LESSONS_KEPT, StoreError},
};

/// So many turns behind one answer are told of: those that were to replace it and did not.
const TURNS: u32 = 5;

impl Chat {
    /// 👍 or 👎. Returns the sentence that thanks for it. The router that runs learns it, too: a vote that was changed or taken
    /// back is unlearned by learning everything anew.
    ///
    /// # Errors
    /// When the vote could not be stored.
    pub async fn vote(
        &self,
        turn: &TurnId,
        user: UserId,
        liked: bool,
        at: UnixMillis,
    ) -> Result<String, StoreError> {
        self.settled(turn).await;
        self.ledger.flush().await;
        let Some(vote) = self.store.vote(turn, user, liked, at).await? else {
            return Ok(wording::too_old());
        };
        match vote.change {
            Change::New => self.router.learn(&[vote.lesson()]),
            Change::Turned | Change::TakenBack => {
                self.router.learn_anew(&self.store.lessons(LESSONS_KEPT).await?);
            }
        }
        Ok(wording::voted(vote.change, liked))
    }

    /// ⓘ: the calls behind an answer, for people.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub async fn behind(
        &self,
        turn: &TurnId,
        channel: ChannelId,
        guild: Option<GuildId>,
        now: UnixMillis,
    ) -> Result<String, StoreError> {
        self.settled(turn).await;
        self.ledger.flush().await;
        let turns = self.store.turns_behind(turn, TURNS).await?;
        if turns.is_empty() {
            return Ok(wording::too_old());
        }
        let mut attempts = Vec::new();
        for turn in &turns {
            attempts.extend(self.store.attempts_of(turn).await?);
        }
        let pin = match guild {
            Some(_) => self.store.pin_for(channel, guild, now).await?,
            None => None,
        };
        Ok(wording::behind(&attempts, pin.as_ref(), turn))
    }
}
