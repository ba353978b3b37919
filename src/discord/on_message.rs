//! Commands on a message: *Ask about this* and *Solved*. They bring the message along, also where the bot may not read it.

use super::{
    Door, Stage,
    commands::{self, ASK_ABOUT, SOLVED, in_time},
    given::Given,
    inbound,
};
use crate::{
    chat::wording,
    message::{MessageId, UnixMillis},
};
use serenity::all::{CommandInteraction, Message, ResolvedTarget};
use tracing::warn;

/// What the model is asked about the message that is pointed at.
const ABOUT_IT: &str = "What do you say to this message? Answer it, or explain it.";

impl Door {
    /// Answers a command on a message.
    pub(super) async fn run_on_message(&self, it: &CommandInteraction, at: UnixMillis) {
        match (it.data.name.as_str(), it.data.target()) {
            (ASK_ABOUT, Some(ResolvedTarget::Message(target))) => self.ask_about(it, target, at).await,
            (SOLVED, Some(_)) => self.solve(&Given::from(it), at).await,
            (name, _) => warn!(command = name, "a command is not known to this version"),
        }
    }

    async fn ask_about(&self, it: &CommandInteraction, target: &Message, at: UnixMillis) {
        let Some(&me) = self.inner.me.get() else { return };
        let quoted = inbound::quote(target, me);
        let is_out = async {
            if quoted.by_bot { Ok(false) } else { self.inner.chat.is_opted_out(quoted.author.id).await }
        };
        let refused = match in_time(&self.inner.chat, ASK_ABOUT, is_out).await {
            Err(sorry) => Some(sorry),
            Ok(true) => Some(wording::author_opted_out()),
            Ok(false) => quoted.text.trim().is_empty().then(wording::nothing_to_read),
        };
        let by = Given::from(it);
        let hook = by.hook(false);
        let response = match &refused {
            Some(sentence) => commands::privately(sentence),
            None => commands::announced(false),
        };
        if let Err(failure) = self.inner.rest.respond(by.id, &hook.token, &response).await {
            warn!(error = %failure, command = ASK_ABOUT, "a command could not be answered");
            return;
        }
        if refused.is_some() {
            return;
        }
        let mut inbound = self.asked(it, MessageId(it.id.get()), ABOUT_IT, None, at).await;
        inbound.replied_to = Some(quoted);
        self.take(inbound, self.is_exempt(it), Stage::Interaction(hook)).await;
    }
}
