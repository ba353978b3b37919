//! What is asked back before something is taken away for good, and a person's own data as a file.

use super::{
    Door,
    commands::{self, in_time, may_any},
    rest::{ApplicationId, Body, File, Hook, InteractionId},
};
use crate::{
    chat::wording,
    message::{ChannelId, Place, UnixMillis, UserId},
};
use secrecy::SecretString;
use serde_json::{Value, json};
use serenity::{
    all::{CommandInteraction, ComponentInteraction},
    model::Permissions,
};
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

/// Where a command or a button was used, as far as `/reset` is concerned.
struct Here {
    channel: ChannelId,
    is_on_server: bool,
    user: UserId,
    is_moderator: bool,
}

impl Door {
    /// `/reset`: the question back, or why not.
    pub(super) async fn ask_to_reset(&self, it: &CommandInteraction) -> Value {
        let here = Here {
            channel: ChannelId(it.channel_id.get()),
            is_on_server: it.guild_id.is_some(),
            user: UserId(it.user.id.get()),
            is_moderator: is_moderator(it.member.as_deref()),
        };
        match self.may_reset(&here).await {
            Ok(true) => Confirm::Reset.asked(&wording::reset_asks(here.is_on_server), here.user),
            Ok(false) => commands::privately(&wording::reset_needs_moderator()),
            Err(sorry) => commands::privately(&sorry),
        }
    }

    async fn may_reset(&self, here: &Here) -> Result<bool, String> {
        let chat = &self.inner.chat;
        let looked_up = async {
            let place = match here.is_on_server {
                true => self.inner.places.find(&self.inner.rest, here.channel).await.map(|it| it.place),
                false => Ok(Place::Dm),
            };
            // Who cannot be told where this is takes it for a place that others share.
            let place = place.unwrap_or(Place::Channel);
            chat.may_reset(here.channel, place, here.user, here.is_moderator).await
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
                rest.edit_response_with_file(hook, wording::exported().as_str(), &file, deadline).await
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
        let (id, token) = (InteractionId(it.id.get()), SecretString::from(it.token.clone()));
        let user = UserId(it.user.id.get());
        let done = match confirm {
            _ if user != asked => {
                let answer = commands::privately(&wording::not_yours());
                self.inner.rest.respond(id, &token, &answer).await
            }
            Confirm::Reset => {
                let sentence = self.reset(it, user).await;
                self.inner.rest.respond(id, &token, &instead(&sentence)).await
            }
            Confirm::Forget => {
                // It may take longer than Discord waits: acknowledged first.
                let acknowledged = self.inner.rest.respond(id, &token, &json!({"type": 6})).await;
                let sentence = self.forget(user).await;
                let application = ApplicationId(it.application_id.get());
                let hook = Hook { application, token, is_ephemeral: true };
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

    async fn reset(&self, it: &ComponentInteraction, user: UserId) -> String {
        let here = Here {
            channel: ChannelId(it.channel_id.get()),
            is_on_server: it.guild_id.is_some(),
            user,
            is_moderator: is_moderator(it.member.as_ref()),
        };
        // Others may have spoken since it was asked.
        match self.may_reset(&here).await {
            Ok(true) => {
                let reset = self.inner.chat.reset(here.channel, UnixMillis::now());
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

fn is_moderator(member: Option<&serenity::all::Member>) -> bool {
    may_any(member, Permissions::MANAGE_GUILD | Permissions::MANAGE_MESSAGES)
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
