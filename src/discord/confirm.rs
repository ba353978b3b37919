//! What is asked back before something is taken away for good, and a person's own data as a file.

use super::{
    Door,
    commands::{self, in_time},
    given::Given,
    rest::{Body, File, Hook},
};
use crate::{
    chat::wording,
    message::{Place, UnixMillis, UserId},
};
use serde_json::{Value, json};
use serenity::all::{CommandInteraction, ComponentInteraction};
use std::time::Duration;
use tokio::time::Instant;
use tracing::{error, warn};

/// What somebody says yes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Confirm {
    Reset,
    Forget,
}

/// How long the outcome may take to be told, after the button was acknowledged.
const TELL_WITHIN: Duration = Duration::from_secs(30);
/// The largest file that is sent: Discord takes 10 MiB.
const LARGEST_FILE: usize = 9 << 20;

impl Confirm {
    fn word(self) -> &'static str {
        match self {
            Self::Reset => "reset-yes",
            Self::Forget => "forget-yes",
        }
    }

    /// A question that only the person sees, with one red button. It works after a restart, too: all is in its id.
    fn asked(self, sentence: &str, user: UserId) -> Value {
        const RED: u8 = 4;
        let label = match self {
            Self::Reset => "Forget this conversation",
            Self::Forget => "Delete everything about me",
        };
        let id = format!("{}:{user}", self.word());
        let button = json!({"type": 2, "style": RED, "label": label, "custom_id": id});
        let mut response = commands::privately(sentence);
        response["data"]["components"] = json!([{"type": 1, "components": [button]}]);
        response
    }

    fn read(custom_id: &str) -> Option<(Self, UserId)> {
        let (word, user) = custom_id.split_once(':')?;
        let confirm = [Self::Reset, Self::Forget].into_iter().find(|it| it.word() == word)?;
        Some((confirm, UserId(user.parse().ok()?)))
    }
}

/// The message with the button says this from now on, and has no button any more.
fn instead(sentence: &str) -> Value {
    json!({"type": 7, "data": {"content": sentence, "components": []}})
}

impl Door {
    /// `/reset`: the question back, or why not.
    pub(super) async fn ask_to_reset(&self, it: &CommandInteraction) -> Value {
        let by = Given::from(it);
        match self.may_reset(&by).await {
            Ok(true) => Confirm::Reset.asked(&wording::reset_asks(by.guild.is_some()), by.user()),
            Ok(false) => commands::privately(&wording::reset_needs_moderator()),
            Err(sorry) => commands::privately(&sorry),
        }
    }

    async fn may_reset(&self, by: &Given<'_>) -> Result<bool, String> {
        let chat = &self.inner.chat;
        let looked_up = async {
            let place = match by.guild {
                Some(_) => self.inner.places.find(&self.inner.rest, by.channel).await.map(|it| it.place),
                None => Ok(Place::Dm),
            };
            // Who cannot be told where this is takes it for a place that others share.
            let place = place.unwrap_or(Place::Channel);
            chat.may_reset(by.channel, place, by.user(), by.is_moderator()).await
        };
        in_time(chat, "reset", looked_up).await
    }

    /// `/privacy forget`: the question back.
    pub(super) fn ask_to_forget(it: &CommandInteraction) -> Value {
        Confirm::Forget.asked(&wording::forget_asks(), UserId(it.user.id.get()))
    }

    /// `/privacy export`, after "is thinking…": everything as a file.
    pub(super) async fn export(&self, hook: &Hook, user: UserId) {
        let deadline = Instant::now() + TELL_WITHIN;
        let rest = &self.inner.rest;
        let told = match self.inner.chat.export(user).await {
            Ok(whole) if whole.len() <= LARGEST_FILE => {
                let file = File { name: &format!("neverdark-{user}.json"), text: &whole };
                rest.edit_response_with_file(hook, wording::exported().as_str(), file, deadline).await
            }
            Ok(_) => rest.edit_response(hook, wording::export_too_large().as_str(), deadline).await,
            Err(failure) => {
                error!(error = %failure, "a person's data could not be read");
                rest.edit_response(hook, self.inner.chat.command_failed().as_str(), deadline).await
            }
        };
        if let Err(failure) = told {
            warn!(error = %failure, "a person's data could not be sent to them");
        }
    }

    /// A button that confirms. False when it is another one.
    pub(super) async fn confirmed(&self, it: &ComponentInteraction) -> bool {
        let Some((confirm, asked)) = Confirm::read(&it.data.custom_id) else { return false };
        let by = Given::from(it);
        let (id, user, hook) = (by.id, by.user(), by.hook(true));
        let done = match confirm {
            _ if user != asked => {
                let answer = commands::privately(&wording::not_yours());
                self.inner.rest.respond(id, &hook.token, &answer).await
            }
            Confirm::Reset => {
                let sentence = self.reset(&by).await;
                self.inner.rest.respond(id, &hook.token, &instead(&sentence)).await
            }
            Confirm::Forget => {
                // It may take longer than Discord waits: acknowledged first.
                let acknowledged = self.inner.rest.respond(id, &hook.token, &json!({"type": 6})).await;
                let sentence = self.forget(user).await;
                let body = Body { content: &sentence, components: &[] };
                let told = self.inner.rest.edit_response(&hook, body, Instant::now() + TELL_WITHIN).await;
                acknowledged.and(told.map(drop))
            }
        };
        if let Err(failure) = done {
            warn!(error = %failure, button = confirm.word(), "a button could not be answered");
        }
        true
    }

    async fn reset(&self, by: &Given<'_>) -> String {
        // Others may have spoken since it was asked.
        match self.may_reset(by).await {
            Ok(true) => {
                let reset = self.inner.chat.reset(by.channel, UnixMillis::now());
                in_time(&self.inner.chat, "reset", reset).await.unwrap_or_else(|sorry| sorry)
            }
            Ok(false) => wording::reset_needs_moderator(),
            Err(sorry) => sorry,
        }
    }

    async fn forget(&self, user: UserId) -> String {
        match self.inner.chat.forget(user, UnixMillis::now()).await {
            Ok(sentence) => sentence,
            Err(failure) => {
                error!(error = %failure, "a person could not be forgotten");
                self.inner.chat.command_failed()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_asked_is_read_back() {
        for confirm in [Confirm::Reset, Confirm::Forget] {
            let asked = confirm.asked("Sure?", UserId(7));
            let button = &asked["data"]["components"][0]["components"][0];
            assert_eq!(Confirm::read(button["custom_id"].as_str().unwrap()), Some((confirm, UserId(7))));
        }
        for other in ["stop:7k2m9x4q8d", "reset-yes", "reset-yes:ana", "forget:7"] {
            assert_eq!(Confirm::read(other), None, "{other}");
        }
    }
}
