//! Shows a growing draft as messages: typing, the first post, edits at a pace, splitting, and an end that is never lost.
//!
//! **The problem.** A model speaks fifty times a second, Discord takes about one edit a second, and an edit that waits in a
//! queue shows old text. **The rule.** Nothing is queued: a reply waits for its turn, and then shows what is newest. One request
//! at a time for a reply; nothing is sent that is shown already. An answer that is there at once is posted whole. The end waits
//! for no pace, and if an edit can't be made it is posted as a new message. **The limits.** What Discord refuses for good (no
//! permission, the channel is gone, the thread is closed) ends the turn, so that nobody pays for text that nobody can see.

mod pacer;
#[cfg(test)]
mod past;
mod plan;

use super::{
    buttons,
    rest::{Body, File, Hook, NO_REPLIES, Permit, Rest, RestError, Target, UNKNOWN_MESSAGE, Urgency},
    text,
};
use crate::{
    chat::{Buttons, Draft},
    message::{ChannelId, MessageId, TurnId},
};
pub(crate) use pacer::{Pacer, Pacers};
use plan::Step;
use std::{future::Future, pin::pin, sync::Arc, time::Duration};
use tokio::{
    sync::watch,
    time::{Instant, sleep, sleep_until, timeout},
};

/// Nothing is typed for answers that come at once.
const TYPING_AFTER: Duration = Duration::from_millis(150);
/// Discord shows "is typing" for ten seconds.
const TYPING_EVERY: Duration = Duration::from_secs(8);
/// Typing that arrives behind the post would stay for ten seconds; but the post waits no longer than this for it.
const TYPING_ENDS_WITHIN: Duration = Duration::from_millis(250);
/// A notification shows the first post as it is at that moment: some words, not a syllable.
const USEFUL_CHARS: usize = 24;
/// But nobody waits longer than this for the first words to become more.
const USEFUL_WITHIN: Duration = Duration::from_millis(300);
/// An answer that came in one go has its end a moment later, and is worth one post instead of a post and an edit.
const WHOLE_WITHIN: Duration = Duration::from_millis(3);
/// A live post or edit that waits longer for its turn looks again what is to be done.
const LIVE_LIMIT: Duration = Duration::from_secs(10);
/// How long the one try of a live post or edit may take: the end has to wait for it.
const LIVE_TRY: Duration = Duration::from_secs(5);
/// The end of an answer is worth waiting for.
const FINAL_LIMIT: Duration = Duration::from_secs(60);
/// The name of the file with an answer that is too long for messages.
const FILE_NAME: &str = "answer.md";

/// More posts than a reply has: their nonces are nobody's, or those of a process before this one that had to jump, too. For the
/// nonce of a post that was made already Discord gives back that message, even if it was deleted since.
const AFRESH: usize = 5000;

/// So many messages of a reply may be gone while it is shown, besides those that a process before this one made: who goes on
/// deleting them does not want it.
const GONE: usize = 5;

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

impl Stage {
    /// The pacer of those who share Discord's limit for edits with this reply.
    pub(crate) fn pacer(&self, pacers: &Pacers) -> Arc<Pacer> {
        match self {
            Self::Channel { channel, .. } => pacers.of(*channel),
            // Each interaction has a limit of its own.
            Self::Interaction(_) => Arc::default(),
        }
    }
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
    /// The whole answer is below it as a file.
    pub(crate) has_file: bool,
}

/// How a reply is shown.
#[derive(Clone, Debug)]
pub(crate) struct Pace<'a> {
    /// The least time between two edits of growing texts in a channel.
    pub(crate) edit_interval: Duration,
    /// The most messages.
    pub(crate) max_parts: usize,
    /// Hosts whose links are shown as the model wrote them.
    pub(crate) trusted_links: &'a [String],
    /// Whom it shares its edits with.
    pub(crate) pacer: Arc<Pacer>,
}

/// A reply being shown.
pub(crate) struct Delivery<'a, Noted> {
    rest: &'a Rest,
    stage: &'a Stage,
    turn: &'a TurnId,
    pace: Pace<'a>,
    parts: Vec<Part>,
    /// Posts made so far, for their nonces: a repeated post must have the same, a new one another.
    posts: usize,
    /// The next post may have been made already. Discord then gives that message back, and it says what it said.
    is_doubtful: bool,
    /// A process before this one posted parts, more perhaps than are there now: each nonce may have been used.
    has_past: bool,
    /// How many messages may be gone yet before this is given up.
    gone_left: usize,
    /// Others may have spoken since: every part that is posted replies to the question, not only the first.
    is_far: bool,
    /// The messages could not be edited, and the answer is posted anew.
    is_anew: bool,
    /// Discord does not let the bot point at the question.
    is_loose: bool,
    /// The reply's own next edit comes not before this.
    not_before: Option<Instant>,
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
        pace: Pace<'a>,
        before: Option<Vec<Part>>,
        noted: Noted,
    ) -> Self {
        let has_past = before.is_some();
        let parts = before.unwrap_or_default();
        Self {
            rest,
            stage,
            turn,
            pace,
            posts: parts.len(),
            is_doubtful: has_past,
            has_past,
            gone_left: parts.len() + GONE,
            parts,
            is_far: false,
            is_anew: false,
            is_loose: false,
            not_before: None,
            noted,
        }
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
            self.until_useful(&mut draft).await;
        }
        let (mut faults, mut in_vain) = (0, None);
        loop {
            let now = draft.borrow_and_update().clone();
            if now.is_final {
                return self.finish(&now).await;
            }
            let Some(step) = self.next(&now) else {
                if draft.changed().await.is_err() {
                    return Ok(());
                }
                // Looking more often than something may be done is of no use, and a look at a long text is work.
                tokio::select! {
                    biased;
                    is_there = end(&mut draft) => if !is_there { return Ok(()) },
                    () = sleep_until(self.not_before.max(in_vain).unwrap_or_else(Instant::now)) => {}
                }
                in_vain = Some(Instant::now() + self.pace.edit_interval);
                continue;
            };
            in_vain = None;
            let turn = tokio::select! {
                biased;
                is_there = end(&mut draft) => if is_there { continue } else { return Ok(()) },
                turn = self.turn(step) => turn,
            };
            let done = match turn {
                Ok(permit) => {
                    let newest = draft.borrow_and_update().clone();
                    self.take(step, &newest, permit).await
                }
                Err(error) => Err(error),
            };
            let wait = match done {
                Ok(()) => {
                    faults = 0;
                    continue;
                }
                Err(error) if self.is_hopeless(&error) => return Err(error),
                Err(RestError::RateLimited { retry_after }) => retry_after,
                Err(_) => {
                    faults += 1;
                    self.rest.backoff(faults)
                }
            };
            // What was lost now is shown later; the end does not wait for that.
            tokio::select! {
                biased;
                is_there = end(&mut draft) => if !is_there { return Ok(()) },
                () = sleep(wait) => {}
            }
        }
    }

    /// What its messages are to show, `most` of them.
    fn wanted(&self, draft: &Draft, most: usize) -> Vec<Shown> {
        plan::shown(draft, self.pace.trusted_links, most)
    }

    /// What is to be done about a growing draft. Without words what is there stays: they come.
    fn next(&self, draft: &Draft) -> Option<Step> {
        if draft.text.trim().is_empty() {
            return None;
        }
        plan::next(&self.parts, &self.wanted(draft, self.pace.max_parts))
    }

    /// Waits until a live step may be done; nothing was sent when this is dropped.
    async fn turn(&self, step: Step) -> Result<Option<Permit>, RestError> {
        let urgency = if self.parts.is_empty() { Urgency::Waited } else { Urgency::Live };
        let place = match step {
            // It goes by itself, as nothing in it gets old.
            Step::Delete => return Ok(None),
            Step::Post(place) => place,
            Step::Edit(place) => {
                if let Some(at) = self.not_before {
                    sleep_until(at).await;
                }
                self.pace.pacer.turn(self.pace.edit_interval).await;
                place
            }
        };
        self.rest.turn(&self.target(place), urgency, Instant::now() + LIVE_LIMIT).await.map(Some)
    }

    /// Does a live step in one try, with what is newest now; nothing if something else is to be done by now.
    async fn take(&mut self, step: Step, draft: &Draft, permit: Option<Permit>) -> Result<(), RestError> {
        let mut wanted = self.wanted(draft, self.pace.max_parts);
        if draft.is_final || plan::next(&self.parts, &wanted) != Some(step) {
            return Ok(());
        }
        let (Step::Edit(place) | Step::Post(place), Some(permit)) = (step, permit) else {
            return self.delete_last().await;
        };
        self.not_before = Some(Instant::now() + self.pace.edit_interval);
        let shown = wanted.swap_remove(place);
        let target = self.target(place);
        let components = buttons::rows(shown.buttons, self.turn);
        let body = Body { content: &shown.text, components: &components };
        let was_doubtful = self.doubt(step);
        let done = self.rest.show_once(permit, &target, body, Instant::now() + LIVE_TRY).await;
        self.done(step, shown, done, was_doubtful).await
    }

    /// Shows the end.
    async fn finish(&mut self, draft: &Draft) -> Result<(), RestError> {
        let mut most = self.pace.max_parts;
        let mut ended = self.settle(draft, most).await;
        if matches!(ended, Err(RestError::Forbidden { .. } | RestError::Invalid { .. }))
            && self.wanted(draft, most).iter().any(|it| it.has_file)
        {
            // It may be the file that is refused: then everything is a message.
            most = usize::MAX;
            ended = self.settle(draft, most).await;
        }
        match ended {
            Err(error) if !is_final(&error) => {
                // The messages can't be edited any more; people get the whole answer all the same.
                self.parts.clear();
                self.is_anew = true;
                self.settle(draft, most).await
            }
            ended => ended,
        }
    }

    /// Makes the messages show all of a final draft.
    async fn settle(&mut self, draft: &Draft, most: usize) -> Result<(), RestError> {
        let deadline = Instant::now() + FINAL_LIMIT;
        let wanted = self.wanted(draft, most);
        while let Some(step) = plan::next(&self.parts, &wanted) {
            let (Step::Edit(place) | Step::Post(place)) = step else {
                self.delete_last().await?;
                continue;
            };
            let shown = wanted[place].clone();
            let target = self.target(place);
            let components = buttons::rows(shown.buttons, self.turn);
            let body = Body { content: &shown.text, components: &components };
            let whole = text::tame(if shown.has_file { &draft.text } else { "" });
            let file = shown.has_file.then_some(File { name: FILE_NAME, text: &whole });
            let was_doubtful = self.doubt(step);
            let done = self.rest.show(&target, body, file, deadline).await;
            if matches!(step, Step::Edit(_)) {
                self.pace.pacer.count(self.pace.edit_interval);
            }
            self.done(step, shown, done, was_doubtful).await?;
        }
        Ok(())
    }

    /// A post is doubtful until it was confirmed. Says whether it was before.
    fn doubt(&mut self, step: Step) -> bool {
        matches!(step, Step::Post(_)) && std::mem::replace(&mut self.is_doubtful, true)
    }

    /// Takes down how a step went.
    async fn done(
        &mut self,
        step: Step,
        shown: Shown,
        done: Result<MessageId, RestError>,
        was_doubtful: bool,
    ) -> Result<(), RestError> {
        let id = match done {
            Ok(id) => id,
            Err(
                RestError::Invalid { code: NO_REPLIES, .. } | RestError::Forbidden { code: NO_REPLIES, .. },
            ) if !self.is_loose => {
                // It may speak but not read the history, and so not reply to what is in it.
                (self.is_loose, self.is_doubtful) = (true, was_doubtful);
                return Ok(());
            }
            // A person deleted it, or a process before this one did: the next one takes its place.
            Err(RestError::NotFound { code: UNKNOWN_MESSAGE })
                if let Step::Edit(place) = step
                    && place < self.parts.len()
                    && self.gone_left > 0 =>
            {
                self.is_gone(place).await;
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        match step {
            // After a restart there may be fewer parts than posts were made, so that a nonce gives back what is a part already.
            Step::Post(_) if self.parts.iter().any(|it| it.id == id) => self.posts += 1,
            Step::Post(place) => {
                (self.posts, self.is_doubtful) = (self.posts + 1, self.has_past);
                self.parts.push(Part { id, shown: (!was_doubtful).then_some(shown) });
                self.note(place, id).await;
            }
            Step::Edit(place) => {
                if let Some(part) = self.parts.get_mut(place) {
                    part.shown = Some(shown);
                }
            }
            Step::Delete => {}
        }
        Ok(())
    }

    /// A message is not there any more; those behind it move up.
    async fn is_gone(&mut self, place: usize) {
        self.parts.remove(place);
        (self.posts, self.gone_left) = (self.posts + AFRESH, self.gone_left - 1);
        for (place, part) in self.parts.iter().enumerate().skip(place) {
            self.note(place, part.id).await;
        }
    }

    async fn note(&self, place: usize, id: MessageId) {
        (self.noted)(u32::try_from(place).unwrap_or(u32::MAX), id).await;
    }

    async fn delete_last(&mut self) -> Result<(), RestError> {
        let Some(part) = self.parts.pop() else { return Ok(()) };
        match self.stage {
            Stage::Channel { channel, .. } => self.rest.delete_message(*channel, part.id).await,
            Stage::Interaction(hook) => self.rest.delete_follow_up(hook, part.id).await,
        }
    }

    /// The message at a place: the one that is there, or a new one.
    fn target(&self, place: usize) -> Target<'a> {
        match (self.stage, self.parts.get(place)) {
            (Stage::Channel { channel, .. }, Some(part)) => {
                Target::Edit { channel: *channel, message: part.id }
            }
            (Stage::Channel { channel, question }, None) => Target::Create {
                channel: *channel,
                reply_to: ((place == 0 || self.is_far) && !self.is_loose).then_some(*question),
                nonce: nonce(self.turn, self.posts),
            },
            (Stage::Interaction(hook), Some(part)) => Target::EditFollowUp { hook, message: part.id },
            // The announcement becomes the first part.
            (Stage::Interaction(hook), None) if place == 0 && !self.is_anew => Target::Response(hook),
            (Stage::Interaction(hook), None) => Target::FollowUp(hook),
        }
    }

    /// Whether nobody will see this answer in time.
    fn is_hopeless(&self, error: &RestError) -> bool {
        match error {
            RestError::RateLimited { retry_after } => self.parts.is_empty() && *retry_after > FINAL_LIMIT,
            other => is_final(other),
        }
    }

    /// Waits until there is something to show; shows meanwhile that somebody is at it. Whether that works does not matter to
    /// the answer.
    async fn until_useful(&self, draft: &mut watch::Receiver<Draft>) {
        let mut useful = pin!(useful(draft));
        let mut every = TYPING_AFTER;
        while timeout(every, &mut useful).await.is_err() {
            every = TYPING_EVERY;
            let Stage::Channel { channel, .. } = self.stage else { continue };
            let mut typing = pin!(self.rest.trigger_typing(*channel));
            tokio::select! {
                biased;
                _ = &mut typing => {}
                () = &mut useful => {
                    let _ = timeout(TYPING_ENDS_WITHIN, typing).await;
                    return;
                }
            }
        }
    }
}

/// Waits until there is something to show.
async fn useful(draft: &mut watch::Receiver<Draft>) {
    let has_words = |it: &Draft| it.is_final || !it.text.trim().is_empty();
    let is_enough = |it: &Draft| it.is_final || it.text.trim().chars().count() >= USEFUL_CHARS;
    if draft.wait_for(has_words).await.is_ok() {
        // Either is fine: enough text, or enough waiting. A sender that is gone is noticed by whoever comes next.
        let _ = timeout(USEFUL_WITHIN, draft.wait_for(is_enough)).await;
        let _ = timeout(WHOLE_WITHIN, draft.wait_for(|it| it.is_final)).await;
    }
}

/// Waits for the end. False when none will come.
async fn end(draft: &mut watch::Receiver<Draft>) -> bool {
    draft.wait_for(|it| it.is_final).await.is_ok()
}

/// The same for the same post of a turn, so that one that was repeated is not doubled; at most 25 characters, as Discord
/// demands.
fn nonce(turn: &TurnId, post: usize) -> String {
    format!("{:.16}.{}", turn.0, post % 100_000_000)
}

/// Whether trying again, or another way, is no use.
fn is_final(error: &RestError) -> bool {
    /// Wrong kind of channel, an archived thread, a locked one.
    const CLOSED: [u32; 3] = [50_008, 50_083, 160_005];
    match error {
        RestError::Unauthorized | RestError::Forbidden { .. } | RestError::NotFound { .. } => true,
        RestError::Invalid { code, .. } => CLOSED.contains(code),
        RestError::RateLimited { .. }
        | RestError::Timeout
        | RestError::Unavailable { .. }
        | RestError::Garbled => false,
    }
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
    fn a_nonce_fits_and_is_the_turns_own() {
        let turn = |it: &str| TurnId(it.to_owned());
        assert_eq!(nonce(&turn("7k2m9x4q8d"), 0), "7k2m9x4q8d.0");
        assert!(nonce(&turn(&"x".repeat(99)), usize::MAX).len() <= 25);
        assert_ne!(nonce(&turn("a"), 0), nonce(&turn("a"), 1));
        assert_ne!(
            nonce(&turn("a"), 0),
            nonce(&turn("b"), 0),
            "a question may be answered twice, by two turns"
        );
    }

    #[test]
    fn closed_places_end_a_turn_at_once() {
        let invalid = |code| RestError::Invalid { status: 400, code, message: String::new() };
        assert!([50_008, 50_083, 160_005].map(invalid).iter().all(is_final));
        assert!([50_035, 200_000, 30_046].map(invalid).iter().all(|it| !is_final(it)));
        assert!(is_final(&RestError::Forbidden { code: 50_001, message: String::new() }));
        assert!(is_final(&RestError::NotFound { code: 10_003 }));
    }
}
