//! What members change their mind about: an answer is stopped, or a question asked once more.
//!
//! **The problem.** Whoever asks again has an answer on the screen, and may lose it for an apology. **The rule.** A new turn
//! goes on in the same messages; the answer from before stays until the new one has words, and comes back when it gets none.
//! What is remembered is what can be read. **The limits.** Only the asker and moderators may; what points at a question
//! (a quote, a post's title) is looked up anew, since it was not kept.

use super::{Begun, Chat, Draft, Turn, limits::Asker, running::Stopped, wording::pressed as wording};
pub use crate::store::{Asked, Press};
use crate::{
    chat::Buttons,
    message::{Place, Speaker, TurnId, UserId},
    store::{Resumption, StoreError},
};
use std::time::Duration;
use tokio::time::sleep;
use tracing::{error, warn};

/// A press may come a moment before the end of a turn is stored; so long it is waited for.
const SETTLES_WITHIN: Duration = Duration::from_secs(1);
/// How often that is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Who presses a button.
#[derive(Clone, Debug)]
pub struct Presser {
    /// The person.
    pub user: Speaker,
    /// Whether they may act for others here.
    pub is_moderator: bool,
    /// Whether no limit concerns them.
    pub is_exempt: bool,
}

impl Presser {
    fn may_act_for(&self, asker: UserId) -> bool {
        self.is_moderator || self.user.id == asker
    }
}

/// What became of the wish to stop a turn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stop {
    /// It is being stopped; its reply says so.
    Done,
    /// It is not, for the reason in this sentence.
    Refused(String),
    /// It had ended before: these buttons belong below its reply.
    Over(Buttons),
}

/// How a turn that was given up leaves its reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Left {
    /// As it is: nobody is told anything.
    Untold,
    /// With a word about it.
    Told,
    /// With a word about it, in the place of the answer from before.
    Replaced,
}

impl Chat {
    /// Stops a turn for somebody: hangs up on the provider.
    ///
    /// # Errors
    /// When the store cannot say what became of a turn that is not under way.
    pub async fn stop(&self, turn: &TurnId, by: &Presser) -> Result<Stop, StoreError> {
        if let Some(handle) = self.under_way.turn(turn) {
            if !by.may_act_for(handle.asker) {
                return Ok(Stop::Refused(wording::only_the_asker("stop it")));
            }
            handle.stop(&by.user.name);
            return Ok(Stop::Done);
        }
        Ok(match self.store.ended_as(turn).await? {
            Some(Some(state)) if state == "answered" => Stop::Over(Buttons::Answered),
            Some(Some(_)) => Stop::Over(Buttons::Failed),
            Some(None) => Stop::Refused(wording::not_yet()),
            None => Stop::Refused(wording::too_old()),
        })
    }

    /// The question that somebody wants answered once more; or the sentence that says why it is not.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn question_again(
        &self,
        turn: &TurnId,
        by: &Presser,
    ) -> Result<Result<Asked, String>, StoreError> {
        self.settled(turn).await;
        let Some(asked) = self.store.asked(turn).await? else { return Ok(Err(wording::too_old())) };
        if !by.may_act_for(asked.asker) {
            return Ok(Err(wording::only_the_asker("ask it again")));
        }
        if !asked.is_over {
            return Ok(Err(wording::at_it_already()));
        }
        if asked.question.is_none() {
            return Ok(Err(wording::question_is_gone()));
        }
        Ok(Ok(asked))
    }

    /// What somebody is told whose question was deleted.
    #[must_use]
    pub fn question_is_gone(&self) -> String {
        wording::question_is_gone()
    }

    /// Begins the turn that asks once more: claims the press, and gets in line for the conversation.
    pub async fn begin_again(&self, asked: &Asked, press: &Press<'_>, by: &Presser) -> Begun {
        let asker = Asker { person: by.user.id, ..super::begin::asker(press.question) };
        let claim = self.claim_again(asked, press, by.is_exempt);
        self.within_limits(asker, press.id, by.is_exempt, claim).await
    }

    async fn claim_again(&self, asked: &Asked, press: &Press<'_>, is_exempt: bool) -> Begun {
        let inbound = press.question;
        let ticket = match self.place(inbound, press.id, is_exempt).await {
            Ok(ticket) => ticket,
            Err(begun) => return begun,
        };
        let running = self.metrics.turn_running();
        let id = match self.draw(|id| async move { self.store.claim_press(press, &id).await }).await {
            Ok(Some(id)) => id,
            Ok(None) => return Begun::Duplicate,
            Err((id, failure)) => {
                error!(turn = %id, error = %failure, "a question could not be asked once more");
                return Begun::Refused(super::wording::command_failed());
            }
        };
        let parts = self.store.parts_of(&id).await.unwrap_or_else(|failure| {
            error!(turn = %id, error = %failure, "could not read which messages show a reply");
            vec![(0, press.below)]
        });
        let again = Resumption {
            ask_last: press.ask_last.map(str::to_owned),
            earlier: asked.earlier.clone(),
            is_hooked: press.is_hooked,
        };
        let term = self.term(inbound, press.is_hooked, inbound.received_at);
        let turn = self.turn(id, inbound.clone(), term, ticket, running);
        Begun::Turn(Box::new(Turn { parts, again: Some(again), ..turn }))
    }

    /// What somebody is told who presses while the bot stops.
    #[must_use]
    pub fn closing(&self) -> String {
        wording::closing()
    }

    /// Waits until a turn whose end people have seen already has ended in the store, too.
    pub(super) async fn settled(&self, turn: &TurnId) {
        let mut waited = Duration::ZERO;
        while waited < SETTLES_WITHIN && self.under_way.turn(turn).is_some_and(|it| it.is_shown()) {
            sleep(LOOK_EVERY).await;
            waited += LOOK_EVERY;
        }
    }

    /// Half of a new answer stands where the one from before stood: that one is remembered no more.
    pub(super) async fn forget_earlier(&self, turn: &Turn) {
        if turn.again.as_ref().is_some_and(|it| it.earlier.is_some())
            && let Err(failure) = self.store.forget_answer(&turn.id).await
        {
            turn.span.in_scope(|| warn!(error = %failure, "an answer that was replaced is still remembered"));
        }
    }
}

/// Makes the draft of a turn that somebody stopped its end.
pub(super) fn stopped(draft: &mut Draft, by: &Stopped, earlier: Option<&str>, place: Place) -> Left {
    let Some(name) = by.get() else { return Left::Untold };
    draft.is_final = true;
    draft.buttons = Buttons::Failed;
    let left = match earlier {
        Some(earlier) if draft.text.trim().is_empty() => {
            give_back(draft, earlier, place, wording::stopped_before_another(name));
            return Left::Told;
        }
        Some(_) => Left::Replaced,
        None => Left::Told,
    };
    if draft.text.trim().is_empty() {
        draft.text = wording::stopped_early();
    }
    draft.footer = Some(wording::stopped(name));
    left
}

/// Shows the answer from before again.
pub(super) fn give_back(draft: &mut Draft, earlier: &str, place: Place, footer: String) {
    earlier.clone_into(&mut draft.text);
    let buttons = Buttons::below_an_answer(place);
    (draft.footer, draft.is_final, draft.buttons) = (Some(footer), true, buttons);
}

/// Of turns that ask once more.
impl Turn {
    /// Whether only the press's own token reaches the messages of this turn.
    #[must_use]
    pub fn is_hooked(&self) -> bool {
        self.again.as_ref().is_some_and(|it| it.is_hooked)
    }

    /// Whether it asks a question once more, in messages that are there.
    #[must_use]
    pub fn is_again(&self) -> bool {
        self.again.is_some()
    }

    /// Whom to ask last.
    pub(super) fn ask_last(&self) -> Option<String> {
        self.again.as_ref().and_then(|it| it.ask_last.clone())
    }

    /// The answer that is to be replaced.
    pub(super) fn earlier(&self) -> Option<&str> {
        self.again.as_ref().and_then(|it| it.earlier.as_deref())
    }
}
