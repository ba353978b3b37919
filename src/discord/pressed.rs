//! A button below a reply was pressed: acknowledged in time, checked, and done.
//!
//! **The problem.** Discord takes an acknowledgement within three seconds, gives the same press twice after a reconnect, and
//! lets everybody press. **The rule.** Whoever may not is told so, and only they see it; who may sees the reply change. A press
//! is claimed like a message: by its id, once. **The limits.** A reply that one person sees, or in a channel that the bot can't
//! see, is reached by the press's token alone: only the message with the button, for 15 minutes, and not after a restart.

use super::{
    Door, WORD_LIMIT,
    buttons::{self, Button},
    commands::{self, in_time},
    given::Given,
    inbound,
    outbound::{Part, Stage},
    rest::{Body, Hook, PAGE, Page, Rest, RestError, UNKNOWN_MESSAGE},
};
use crate::{
    chat::{
        Begun, Buttons, Chat, Turn,
        again::{Asked, Press, Presser, Stop},
    },
    message::{ChannelId, Inbound, MessageId, Trigger, TurnId, UnixMillis, UserId},
};
use serde_json::{Value, json};
use serenity::all::{ComponentInteraction, Message, MessageFlags, Permissions};
use std::time::Duration;
use tokio::time::Instant;
use tracing::{debug, warn};

/// Our clock and Discord's may differ by so much.
const SLACK: Duration = Duration::from_secs(60);

impl Door {
    /// Sees to a press of one of our buttons; others' are not ours to answer.
    pub(super) async fn press(&self, it: ComponentInteraction) {
        let at = UnixMillis::now();
        let Some((button, turn)) = buttons::read(&it.data.custom_id) else { return };
        let chat = &self.inner.chat;
        let given = Given::from(&it);
        let by = presser(&given, chat);
        let response = match button {
            Button::Stop => self.stop(&it, &turn, &by).await,
            Button::Solved => return self.solve(&given, at).await,
            Button::Again | Button::Regenerate => return self.ask_again(&it, button, &turn, &by, at).await,
            Button::Up | Button::Down => return self.vote(&it, button == Button::Up, &turn, &by, at).await,
            Button::Info => {
                let behind = in_time(chat, "info", chat.behind(&turn, given.channel, given.guild, at)).await;
                commands::privately(&behind.unwrap_or_else(|sorry| sorry))
            }
        };
        self.respond(&it, &response).await;
    }

    async fn stop(&self, it: &ComponentInteraction, turn: &TurnId, by: &Presser) -> Value {
        let chat = &self.inner.chat;
        match in_time(chat, "stop", chat.stop(turn, by)).await {
            Ok(Stop::Done) => deferred(),
            // The process that showed the button is gone, and nobody took it away.
            Ok(Stop::Over(buttons)) => {
                let buttons = self.as_below_an_answer(it, buttons).await;
                json!({ "type": 7, "data": {
                    "content": it.message.content, "components": buttons::rows(buttons, turn) } })
            }
            Ok(Stop::Refused(sentence)) | Err(sentence) => commands::privately(&sentence),
        }
    }

    /// A vote is acknowledged first: the same press heard twice must not take it back.
    async fn vote(
        &self,
        it: &ComponentInteraction,
        liked: bool,
        turn: &TurnId,
        by: &Presser,
        at: UnixMillis,
    ) {
        if !self.respond(it, &commands::announced(true)).await {
            return;
        }
        let chat = &self.inner.chat;
        let voted = in_time(chat, "vote", chat.vote(turn, by.user.id, liked, at)).await;
        let sentence = voted.unwrap_or_else(|sorry| sorry);
        self.say(&Stage::Interaction(Given::from(it).hook(true)), &sentence).await;
    }

    /// In a forum post there is one button more below an answer.
    async fn as_below_an_answer(&self, it: &ComponentInteraction, buttons: Buttons) -> Buttons {
        let here = self.inner.places.find(&self.inner.rest, ChannelId(it.channel_id.get())).await;
        match (buttons, here) {
            (Buttons::Answered, Ok(here)) => Buttons::below_an_answer(here.place),
            (other, _) => other,
        }
    }

    async fn ask_again(
        &self,
        it: &ComponentInteraction,
        button: Button,
        turn: &TurnId,
        by: &Presser,
        at: UnixMillis,
    ) {
        let chat = &self.inner.chat;
        if self.inner.closing.is_cancelled() {
            self.respond(it, &commands::privately(&chat.closing())).await;
            return;
        }
        let asked = match in_time(chat, "again", chat.question_again(turn, by)).await {
            Ok(Ok(asked)) => asked,
            Ok(Err(sentence)) | Err(sentence) => {
                self.respond(it, &commands::privately(&sentence)).await;
                return;
            }
        };
        if !self.respond(it, &deferred()).await {
            return; // It came too late, or was heard before.
        }
        let hook = Given::from(it).hook(is_private(it));
        let begun = match self.question(&asked, at).await {
            Ok(question) => {
                let press = Press {
                    id: MessageId(it.id.get()),
                    question: &question,
                    replaces: &asked.turn,
                    below: MessageId(it.message.id.get()),
                    ask_last: asked.answered_by.as_deref().filter(|_| button == Button::Regenerate),
                    is_hooked: is_hooked(it),
                };
                chat.begin_again(&asked, &press, by).await
            }
            Err(sentence) => Begun::Refused(sentence),
        };
        match begun {
            Begun::Turn(turn) => {
                let stage = stage(&turn, Some(hook));
                self.show_stop(it, &stage, &turn).await;
                self.answer(turn, stage, false);
            }
            Begun::Duplicate | Begun::Ignored => debug!("a question is being asked again already"),
            Begun::Refused(sentence) | Begun::Hushed(sentence) => {
                let hook = Hook { is_ephemeral: true, ..hook };
                let said =
                    self.inner.rest.follow_up(&hook, sentence.as_str(), Instant::now() + WORD_LIMIT).await;
                if let Err(failure) = said {
                    warn!(error = %failure, "a sentence could not be said");
                }
            }
        }
    }

    /// The question with what it points at; or the sentence that says that it was deleted. It is read as it is remembered.
    async fn question(&self, asked: &Asked, at: UnixMillis) -> Result<Inbound, String> {
        let chat = &self.inner.chat;
        let Some(mut question) = asked.question.clone() else { return Err(chat.command_failed()) };
        question.received_at = at;
        if question.trigger == Trigger::Command {
            return Ok(question);
        }
        let (channel, id) = (question.channel_id, question.message_id);
        match self.inner.rest.message::<Message>(channel, id).await {
            Ok(message) => {
                let whole = self.with_what_it_points_at(&message, &question).await;
                if let Some(Inbound { replied_to, opening, .. }) = whole {
                    (question.replied_to, question.opening) = (replied_to, opening);
                }
                Ok(question)
            }
            // It was deleted while nobody listened.
            Err(RestError::NotFound { code: UNKNOWN_MESSAGE }) => {
                self.take_back(id).await;
                Err(chat.question_is_gone())
            }
            Err(failure) => {
                warn!(error = %failure, "a question could not be looked up; it is asked again without what it points at");
                Ok(question)
            }
        }
    }

    async fn with_what_it_points_at(&self, message: &Message, question: &Inbound) -> Option<Inbound> {
        let me = self.inner.me.get().copied()?;
        let here = match question.guild_id {
            Some(_) => self.inner.places.find(&self.inner.rest, question.channel_id).await.ok()?,
            None => {
                return inbound::read(
                    message,
                    me,
                    &self.whereabouts(message).await,
                    question.trigger,
                    question.received_at,
                );
            }
        };
        let mut whole = inbound::read(message, me, &here, question.trigger, question.received_at)?;
        if let Some(opening) = &mut whole.opening {
            opening.starter = self.starter(&question.message_id, question.channel_id, &here, me).await;
        }
        Some(whole)
    }

    /// Shows at once that the press was heard: the reply stays, and can be stopped.
    async fn show_stop(&self, it: &ComponentInteraction, stage: &Stage, turn: &Turn) {
        let components = buttons::rows(Buttons::Running, &turn.id);
        let body = Body { content: &it.message.content, components: &components };
        let deadline = Instant::now() + WORD_LIMIT;
        let rest = &self.inner.rest;
        let shown = match stage {
            Stage::Channel { channel, .. } => {
                rest.edit_message(*channel, MessageId(it.message.id.get()), body, deadline).await
            }
            Stage::Interaction(hook) => rest.edit_response(hook, body, deadline).await.map(drop),
        };
        if let Err(failure) = shown {
            debug!(error = %failure, "that a question is asked again is not shown yet");
        }
    }

    /// Acknowledges a press. False when that came too late, or another process or the same event before did it.
    async fn respond(&self, it: &ComponentInteraction, response: &Value) -> bool {
        let given = Given::from(it);
        let responded = self.inner.rest.respond(given.id, &given.token(), response).await;
        if let Err(failure) = &responded {
            warn!(error = %failure, "a press could not be answered");
        }
        responded.is_ok()
    }
}

/// Discord's word for "heard; what becomes of it is seen soon".
fn deferred() -> Value {
    json!({ "type": 6 })
}

fn presser(it: &Given<'_>, chat: &Chat) -> Presser {
    Presser { user: it.speaker(), is_moderator: it.is_moderator(), is_exempt: chat.is_exempt(it.roles()) }
}

fn is_private(it: &ComponentInteraction) -> bool {
    it.message.flags.is_some_and(|it| it.contains(MessageFlags::EPHEMERAL))
}

/// Whether the message can be reached by the press's token only.
fn is_hooked(it: &ComponentInteraction) -> bool {
    let sees = it
        .app_permissions
        .is_none_or(|it| it.intersects(Permissions::VIEW_CHANNEL | Permissions::ADMINISTRATOR));
    is_private(it) || (it.guild_id.is_some() && !sees)
}

/// Where a turn that asks once more is shown. The answer to a command replies to no message: parts behind it reply to its first.
pub(super) fn stage(turn: &Turn, hook: Option<Hook>) -> Stage {
    match hook {
        Some(hook) if turn.is_hooked() => Stage::Interaction(hook),
        Some(_) | None => {
            let first = turn.parts.first().map(|(_, id)| *id);
            let question = first.filter(|_| turn.inbound.trigger == Trigger::Command);
            Stage::Channel {
                channel: turn.inbound.channel_id,
                question: question.unwrap_or(turn.inbound.message_id),
            }
        }
    }
}

/// The messages that a turn took over, and those that a process which died had posted behind them: all of these reply to the
/// question, since others may have spoken in between.
pub(super) async fn parts(
    rest: &Rest,
    stage: &Stage,
    turn: &Turn,
    me: Option<UserId>,
    is_resumed: bool,
) -> Vec<Part> {
    let mut parts: Vec<Part> = turn.parts.iter().map(|(_, id)| Part { id: *id, shown: None }).collect();
    let (Stage::Channel { channel, question }, Some(me), true) = (stage, me, is_resumed) else {
        return parts;
    };
    let since = MessageId::first_at(turn.inbound.received_at.minus(SLACK));
    match rest.messages::<Message>(*channel, Page::After(since), PAGE).await {
        Ok(mut messages) => {
            messages.sort_by_key(|it| it.id);
            let is_ours = |it: &&Message| {
                let replies_to = it.message_reference.as_ref().and_then(|it| it.message_id);
                it.author.id.get() == me.0 && replies_to.is_some_and(|it| it.get() == question.0)
            };
            for message in messages.iter().filter(is_ours) {
                let id = MessageId(message.id.get());
                if parts.iter().all(|it| it.id != id) {
                    parts.push(Part { id, shown: None });
                }
            }
        }
        Err(failure) => warn!(error = %failure, "could not look what was shown before the restart"),
    }
    parts
}
