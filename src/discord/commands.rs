//! Slash commands: declared for Discord, read, checked and answered.

mod declared;
mod languages;
mod read;

pub(crate) use declared::{ASK_ABOUT, SOLVED, declared};
pub(crate) use read::{Command, read};

use super::{given::Given, rest::EPHEMERAL};
use crate::{
    chat::{Chat, choices::Moderator},
    message::UnixMillis,
};
use serde_json::{Value, json};
use serenity::model::{Permissions, application::CommandInteraction};
use std::time::Duration;
use tokio::time::timeout;
use tracing::error;

/// Discord takes an answer within three seconds.
const ANSWER_WITHIN: Duration = Duration::from_millis(2500);
/// Discord shows 25 choices at most.
const CHOICES: usize = 25;

/// Who gives a command. None outside of servers, and for members without *Manage Server*: Discord hides the commands from
/// them, but a server's admins can change that, so it is looked at again.
fn moderator(by: &Given<'_>, at: UnixMillis) -> Option<Moderator> {
    let guild_id = by.guild?;
    let may = by.may_any(Permissions::MANAGE_GUILD);
    may.then(|| Moderator { guild_id, channel_id: by.channel, user: by.speaker(), at })
}

/// The sentence that answers a command; all but those that are a turn, a question back or a file. Always in time for Discord.
pub(crate) async fn answer(
    chat: &Chat,
    it: &CommandInteraction,
    command: &Command<'_>,
    at: UnixMillis,
) -> String {
    let by = Given::from(it);
    let moderator = moderator(&by, at);
    if command.needs_moderator() && moderator.is_none() {
        return chat.only_moderators(by.guild.is_some());
    }
    let (channel, guild, user) = (by.channel, by.guild, by.user());
    let answered = async {
        match (command, &moderator) {
            (Command::Help, _) => Ok(chat.help()),
            (Command::PrivacyOptOut, _) => chat.opt_out(user, at).await,
            (Command::PrivacyOptIn, _) => chat.opt_in(user).await,
            (Command::Status, _) => chat.status(channel, guild, at).await,
            (Command::ProviderList, Some(by)) => chat.list_providers(by).await,
            (Command::ProviderUse { name, is_server, lasts, strict }, Some(by)) => {
                chat.use_provider(by, name, *is_server, *lasts, *strict).await
            }
            (Command::ProviderAuto { is_server }, Some(by)) => chat.use_usual_order(by, *is_server).await,
            (Command::ProviderDisable { name, lasts }, Some(by)) => chat.disable(by, name, *lasts).await,
            (Command::ProviderEnable { name }, Some(by)) => chat.enable(by, name).await,
            (Command::Ask { .. } | Command::Reset | Command::PrivacyExport | Command::PrivacyForget, _)
            | (_, None) => Ok(chat.only_moderators(guild.is_some())),
        }
    };
    in_time(chat, &it.data.name, answered).await.unwrap_or_else(|sorry| sorry)
}

/// What `work` comes to, if it does so in time for Discord; otherwise the sentence that says that it did not. `what` is for the
/// log.
pub(crate) async fn in_time<T, E: std::fmt::Display>(
    chat: &Chat,
    what: &str,
    work: impl Future<Output = Result<T, E>>,
) -> Result<T, String> {
    match timeout(ANSWER_WITHIN, work).await {
        Ok(Ok(it)) => return Ok(it),
        Ok(Err(failure)) => {
            error!(error = %failure, command = what, "a command or press could not be carried out");
        }
        Err(_) => error!(command = what, "a command or press took too long: the store does not answer"),
    }
    Err(chat.command_failed())
}

/// The names that go on what was typed so far: Discord sends them while a person types.
pub(crate) fn complete(chat: &Chat, it: &CommandInteraction) -> Value {
    let typed = it.data.autocomplete().map_or(String::new(), |it| it.value.to_lowercase());
    let names = chat.provider_names();
    let fitting = names.iter().filter(|it| it.to_lowercase().contains(&typed)).take(CHOICES);
    let choices: Vec<Value> = fitting.map(|name| json!({"name": name, "value": name})).collect();
    json!({"type": 8, "data": {"choices": choices}})
}

/// An answer that only the person sees who gave the command.
pub(crate) fn privately(sentence: &str) -> Value {
    json!({"type": 4, "data": {"content": sentence, "flags": EPHEMERAL, "allowed_mentions": {"parse": []}}})
}

/// "is thinking…": the answer follows as an edit.
pub(crate) fn announced(is_private: bool) -> Value {
    if is_private { json!({"type": 5, "data": {"flags": EPHEMERAL}}) } else { json!({"type": 5}) }
}
