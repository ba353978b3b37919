//! Shows a growing draft as messages: typing, the first post, edits at a pace, splitting, and an end that is never lost.
//!
//! **The problem.** A model speaks fifty times a second, Discord takes about one edit a second, and an edit that waits in a
//! queue shows old text. **The rule.** Nothing is queued: when the last request has returned and the pace allows, the newest
//! text is shown. One request at a time for a reply; nothing is sent that is shown already. The end is shown at once, and if
//! an edit can't be made it is posted as a new message. **The limits.** What Discord refuses for good (no permission, the
//! channel is gone) ends the turn, so that nobody pays for text that nobody can see.

use super::{
    buttons,
    pressed::UNKNOWN_MESSAGE,
    rest::{Body, Hook, Rest, RestError},
    text,
};
use crate::{
    chat::{Buttons, Draft},
    message::{ChannelId, MessageId, TurnId},
};
use std::{future::Future, time::Duration};
use tokio::{
    sync::watch,
    time::{Instant, sleep, sleep_until},
};

/// Discord's limit for a message, in UTF-16 units.
const LIMIT: usize = 2000;
/// Nothing is typed for answers that come at once.
const TYPING_AFTER: Duration = Duration::from_millis(150);
/// Discord shows "is typing" for ten seconds.
const TYPING_EVERY: Duration = Duration::from_secs(8);
/// A notification shows the first post as it is at that moment: some words, not a syllable.
const USEFUL_CHARS: usize = 24;
/// But nobody waits longer than this for the first words to become more.
const USEFUL_WITHIN: Duration = Duration::from_millis(300);
/// A live post or edit that takes longer is given up; the next one shows newer text anyway.
const LIVE_LIMIT: Duration = Duration::from_secs(10);
/// The end of an answer is worth waiting for.
const FINAL_LIMIT: Duration = Duration::from_secs(60);

/// Where a reply is shown.
#[derive(Clone, Debug)]
pub(crate) enum Stage {
    /// As messages in a channel; the first one is a reply to the question.
    Channel {
        /// The channel.
        channel: ChannelId,
        /// The question.
        question: MessageId,
    },
    /// As the response to an interaction that was announced ("is thinking…").
    Interaction(Hook),
}

/// A message of the reply.
#[derive(Clone, Debug)]
pub(crate) struct Part {
    pub(crate) id: MessageId,
    /// What it shows; none when that is not known, after a restart.
    pub(crate) shown: Option<Shown>,
}

/// What one message of a reply shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Shown {
    pub(crate) text: String,
    pub(crate) buttons: Buttons,
}

/// How a reply is shown.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    /// The least time between two edits of the growing text.
    pub(crate) edit_interval: Duration,
}

/// A reply being shown.
pub(crate) struct Delivery<'a, Noted> {
    rest: &'a Rest,
    stage: &'a Stage,
    turn: &'a TurnId,
    pace: Pace,
    parts: Vec<Part>,
    /// Posts made so far, for their nonces: a repeated post must have the same, a new one another.
    posts: usize,
    /// The next post may have been made already. Discord then gives that message back, and it says what it said.
    is_doubtful: bool,
    /// Others may have spoken since: every part that is posted replies to the question, not only the first.
    is_far: bool,
    noted: Noted,
}

impl<'a, Noted, Done> Delivery<'a, Noted>
where
    Noted: Fn(u32, MessageId) -> Done,
    Done: Future<Output = ()>,
{
    /// A reply on `stage`; `before` are the parts that an earlier process showed of it, if one did. `noted` is told of each
    /// message as it is made.
    pub(crate) fn new(
        rest: &'a Rest,
        stage: &'a Stage,
        turn: &'a TurnId,
        pace: Pace,
        before: Option<Vec<Part>>,
        noted: Noted,
    ) -> Self {
        let is_doubtful = before.is_some();
        let parts = before.unwrap_or_default();
        Self { rest, stage, turn, pace, posts: parts.len(), is_doubtful, is_far: false, parts, noted }
    }

    /// Whether the question was said long ago: then every new part says what it belongs to.
    pub(crate) fn far_from_its_question(self, is_far: bool) -> Self {
        Self { is_far, ..self }
    }

    /// Shows the draft until it is final, or its sender is gone: then what is there stays as it is.
    ///
    /// # Errors
    /// Discord does not let the bot show it.
    pub(crate) async fn show(mut self, mut draft: watch::Receiver<Draft>) -> Result<(), RestError> {
        if self.parts.is_empty() {
            tokio::select! {
                biased;
                () = useful(&mut draft) => {}
                () = self.type_along() => {}
            }
        }
        loop {
            let now = draft.borrow_and_update().clone();
            if now.is_final {
                return self.finish(&now).await;
            }
            let paced = Instant::now() + self.pace.edit_interval;
            if !now.text.trim().is_empty() {
                match self.sync(&shown(&now), Instant::now() + LIVE_LIMIT).await {
                    Err(error) if is_final(&error) => return Err(error),
                    // What is lost now is shown by the next edit.
                    Ok(()) | Err(_) => {}
                }
            }
            if !next_change(&mut draft, paced).await {
                return Ok(());
            }
        }
    }

    async fn finish(&mut self, draft: &Draft) -> Result<(), RestError> {
        let shown = shown(draft);
        let deadline = Instant::now() + FINAL_LIMIT;
        match self.sync(&shown, deadline).await {
            Err(error) if !is_final(&error) => {
                // The messages can't be edited any more; people get the whole answer all the same.
                self.parts.clear();
                self.sync(&shown, Instant::now() + FINAL_LIMIT).await
            }
            ended => ended,
        }
    }

    /// Makes the messages show `wanted`: edits what differs, posts what is missing, deletes what is too much.
    async fn sync(&mut self, wanted: &[Shown], deadline: Instant) -> Result<(), RestError> {
        for (place, shown) in wanted.iter().enumerate() {
            self.drop_those_that_are_gone(place, shown, deadline).await?;
            if place == self.parts.len() {
                let was_doubtful = std::mem::replace(&mut self.is_doubtful, true);
                let id = self.post(place, shown, deadline).await?;
                (self.posts, self.is_doubtful) = (self.posts + 1, false);
                self.parts.push(Part { id, shown: (!was_doubtful).then(|| shown.clone()) });
                (self.noted)(u32::try_from(place).unwrap_or(u32::MAX), id).await;
            }
            if self.parts[place].shown.as_ref() != Some(shown) {
                self.edit(self.parts[place].id, shown, deadline).await?;
                self.parts[place].shown = Some(shown.clone());
            }
        }
        while self.parts.len() > wanted.len() {
            if let Some(part) = self.parts.pop() {
                self.delete(part.id).await?;
            }
        }
        Ok(())
    }

    /// Of the messages that another process or turn made some may be gone: they are found out by the first edit, and the next
    /// one takes their place.
    async fn drop_those_that_are_gone(
        &mut self,
        place: usize,
        shown: &Shown,
        deadline: Instant,
    ) -> Result<(), RestError> {
        while let Some(part) = self.parts.get(place).filter(|it| it.shown.is_none()) {
            let id = part.id;
            match self.edit(id, shown, deadline).await {
                Err(RestError::NotFound { code: UNKNOWN_MESSAGE }) => {
                    self.parts.remove(place);
                }
                Err(error) => return Err(error),
                Ok(()) => self.parts[place].shown = Some(shown.clone()),
            }
        }
        Ok(())
    }

    async fn post(&self, place: usize, shown: &Shown, deadline: Instant) -> Result<MessageId, RestError> {
        let components = buttons::rows(shown.buttons, self.turn);
        let body = Body { content: &shown.text, components: &components };
        match self.stage {
            Stage::Channel { channel, question } => {
                let reply_to = (place == 0 || self.is_far).then_some(*question);
                let nonce = nonce(self.turn, self.posts);
                self.rest.create_message(*channel, body, reply_to, &nonce, deadline).await
            }
            // The announcement becomes the first part.
            Stage::Interaction(hook) if place == 0 => self.rest.edit_response(hook, body, deadline).await,
            Stage::Interaction(hook) => self.rest.follow_up(hook, body, deadline).await,
        }
    }

    async fn edit(&self, id: MessageId, shown: &Shown, deadline: Instant) -> Result<(), RestError> {
        let components = buttons::rows(shown.buttons, self.turn);
        let body = Body { content: &shown.text, components: &components };
        match self.stage {
            Stage::Channel { channel, .. } => self.rest.edit_message(*channel, id, body, deadline).await,
            Stage::Interaction(hook) => self.rest.edit_follow_up(hook, id, body, deadline).await,
        }
    }

    async fn delete(&self, id: MessageId) -> Result<(), RestError> {
        match self.stage {
            Stage::Channel { channel, .. } => self.rest.delete_message(*channel, id).await,
            Stage::Interaction(hook) => self.rest.delete_follow_up(hook, id).await,
        }
    }

    /// Shows that somebody is at it. Whether that works does not matter to the answer. Never ends.
    async fn type_along(&self) {
        sleep(TYPING_AFTER).await;
        loop {
            if let Stage::Channel { channel, .. } = self.stage {
                let _ = self.rest.trigger_typing(*channel).await;
            }
            sleep(TYPING_EVERY).await;
        }
    }
}

/// Waits until there is something to show.
async fn useful(draft: &mut watch::Receiver<Draft>) {
    let has_words = |it: &Draft| it.is_final || !it.text.trim().is_empty();
    let is_enough = |it: &Draft| it.is_final || it.text.trim().chars().count() >= USEFUL_CHARS;
    if draft.wait_for(has_words).await.is_ok() {
        // Either is fine: enough text, or enough waiting. A sender that is gone is noticed by whoever comes next.
        let _ = tokio::time::timeout(USEFUL_WITHIN, draft.wait_for(is_enough)).await;
    }
}

/// Waits until there is something new and the pace allows to show it, or the end is there. False when nothing more will come.
async fn next_change(draft: &mut watch::Receiver<Draft>, paced: Instant) -> bool {
    if draft.changed().await.is_err() {
        return false;
    }
    let is_final = draft.borrow().is_final;
    if is_final {
        return true;
    }
    tokio::select! {
        biased;
        ended = draft.wait_for(|it| it.is_final) => ended.is_ok(),
        () = sleep_until(paced) => true,
    }
}

/// The messages that show a draft (pure).
fn shown(draft: &Draft) -> Vec<Shown> {
    let mut texts = text::parts(&text::tame(&draft.text), LIMIT);
    if let Some(footer) = &draft.footer {
        match texts.last_mut() {
            Some(last) if text::units(last) + 1 + text::units(footer) <= LIMIT => {
                last.push('\n');
                last.push_str(footer);
            }
            Some(_) | None => texts.push(footer.clone()),
        }
    }
    let mut shown: Vec<Shown> =
        texts.into_iter().map(|text| Shown { text, buttons: Buttons::None }).collect();
    if let Some(last) = shown.last_mut() {
        last.buttons = draft.buttons;
    }
    shown
}

/// The same for the same post, so that one that was repeated is not doubled; at most 25 characters, as Discord demands. A question
/// can have several turns, whose posts are not the same.
fn nonce(turn: &TurnId, post: usize) -> String {
    format!("{turn}.{}", post % 10_000)
}

/// Whether trying again, or another way, is no use.
fn is_final(error: &RestError) -> bool {
    matches!(error, RestError::Unauthorized | RestError::Forbidden { .. } | RestError::NotFound { .. })
}

/// The machine word for why an answer could not be shown.
pub(crate) fn word(error: &RestError) -> &'static str {
    match error {
        RestError::Unauthorized => "discord_unauthorized",
        RestError::Forbidden { .. } => "discord_forbidden",
        RestError::NotFound { .. } => "discord_not_found",
        RestError::RateLimited { .. } => "discord_rate_limited",
        RestError::Invalid { .. } => "discord_invalid",
        RestError::Timeout => "discord_timeout",
        RestError::Unavailable { .. } => "discord_unavailable",
        RestError::Garbled => "discord_garbled",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_footer_is_the_last_line_of_the_last_part() {
        let draft = |text: &str| Draft {
            text: text.to_owned(),
            footer: Some("-# answered by beta".to_owned()),
            is_final: true,
            buttons: Buttons::Answered,
        };
        let texts = |draft| shown(&draft).into_iter().map(|it| it.text).collect::<Vec<_>>();
        assert_eq!(texts(draft("Hello.")), ["Hello.\n-# answered by beta"]);
        let full = "x".repeat(1990);
        assert_eq!(texts(draft(&full)), [full.as_str(), "-# answered by beta"]);
        let buttons: Vec<Buttons> = shown(&draft(&full)).into_iter().map(|it| it.buttons).collect();
        assert_eq!(buttons, [Buttons::None, Buttons::Answered], "they stand below the last message");
    }

    #[test]
    fn a_nonce_fits() {
        let turn = TurnId("7k2m9x4q8d".to_owned());
        assert!(nonce(&turn, usize::MAX).len() <= 25);
        assert_ne!(nonce(&turn, 0), nonce(&turn, 1));
    }
}
