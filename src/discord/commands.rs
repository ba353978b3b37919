//! Slash commands: declared for Discord, read, checked and answered.

use crate::{
    chat::{Chat, choices::Moderator},
    message::{ChannelId, GuildId, Speaker, UnixMillis, UserId},
};
use serde_json::{Value, json};
use serenity::model::{
    Permissions,
    application::{CommandInteraction, ResolvedOption, ResolvedValue},
};
use std::time::Duration;
use tokio::time::timeout;
use tracing::error;

/// Discord takes an answer within three seconds.
const ANSWER_WITHIN: Duration = Duration::from_millis(2500);
/// Discord shows 25 choices at most.
const CHOICES: usize = 25;

/// What a command asks for.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Command<'a> {
    Ask { prompt: &'a str, provider: Option<&'a str>, private: bool },
    Reset,
    Help,
    Status,
    ProviderList,
    ProviderUse { name: &'a str, is_server: bool, lasts: Option<&'a str>, strict: bool },
    ProviderAuto { is_server: bool },
    ProviderDisable { name: &'a str, lasts: Option<&'a str> },
    ProviderEnable { name: &'a str },
}

impl Command<'_> {
    /// Whether only moderators may give it. Each command has to say so here.
    fn needs_moderator(&self) -> bool {
        match self {
            Self::Ask { .. } | Self::Reset | Self::Help => false,
            Self::Status
            | Self::ProviderList
            | Self::ProviderUse { .. }
            | Self::ProviderAuto { .. }
            | Self::ProviderDisable { .. }
            | Self::ProviderEnable { .. } => true,
        }
    }
}

/// Every command as Discord wants it declared (Discord, *Application Commands*).
pub(crate) fn declared() -> Vec<Value> {
    const TEXT: u8 = 3;
    const BOOLEAN: u8 = 5;
    let option = |kind: u8, name: &str, description: &str, required: bool| json!({"type": kind, "name": name, "description": description, "required": required});
    let provider = |description: &str, required: bool| {
        let mut it = option(TEXT, "name", description, required);
        it["autocomplete"] = json!(true);
        it
    };
    let lasts =
        option(TEXT, "for", "How long, such as 30m, 1h or 7d; until further notice without it", false);
    let mut place = option(TEXT, "where", "In this channel (usual), or on the whole server", false);
    place["choices"] = json!([{"name": "this channel", "value": "channel"}, {"name": "the whole server", "value": "server"}]);
    let sub = |name: &str, description: &str, options: Value| json!({"type": 1, "name": name, "description": description, "options": options});
    let manage_server = Permissions::MANAGE_GUILD.bits().to_string();
    let mut asked = provider("Who shall answer; the others stay behind as fallback", false);
    asked["name"] = json!("provider");
    vec![
        json!({"name": "ask", "description": "Ask me something", "contexts": [0, 1], "options": [
            option(TEXT, "prompt", "What you want to know", true), asked,
            option(BOOLEAN, "private", "Only you see the answer", false)]}),
        json!({"name": "reset", "description": "Make me forget this conversation", "contexts": [0, 1]}),
        json!({"name": "help", "description": "What I can do, and how to talk to me", "contexts": [0, 1]}),
        json!({"name": "status", "description": "How the AI providers are doing", "contexts": [0],
            "default_member_permissions": manage_server}),
        json!({"name": "provider", "description": "Choose which AI provider answers", "contexts": [0],
            "default_member_permissions": manage_server, "options": [
            sub("list", "All providers and how they are doing", json!([])),
            sub("use", "Let one provider answer first", json!([provider("The provider", true), place.clone(), lasts.clone(),
                option(BOOLEAN, "strict", "Nobody else answers, even if it fails", false)])),
            sub("auto", "Back to the usual order", json!([place])),
            sub("disable", "Switch a provider off on this server", json!([provider("The provider", true), lasts])),
            sub("enable", "Switch a provider on again", json!([provider("The provider", true)]))]}),
    ]
}

/// What a command asks for. None for one that this version does not know.
pub(crate) fn read<'a>(name: &str, options: &'a [ResolvedOption<'a>]) -> Option<Command<'a>> {
    Some(match name {
        "ask" => Command::Ask {
            prompt: text(options, "prompt")?,
            provider: text(options, "provider"),
            private: flag(options, "private"),
        },
        "reset" => Command::Reset,
        "help" => Command::Help,
        "status" => Command::Status,
        "provider" => {
            let sub = options.first()?;
            let ResolvedValue::SubCommand(options) = &sub.value else { return None };
            let is_server = text(options, "where") == Some("server");
            let lasts = text(options, "for");
            match sub.name {
                "list" => Command::ProviderList,
                "use" => Command::ProviderUse {
                    name: text(options, "name")?,
                    is_server,
                    lasts,
                    strict: flag(options, "strict"),
                },
                "auto" => Command::ProviderAuto { is_server },
                "disable" => Command::ProviderDisable { name: text(options, "name")?, lasts },
                "enable" => Command::ProviderEnable { name: text(options, "name")? },
                _ => return None,
            }
        }
        _ => return None,
    })
}

fn text<'a>(options: &'a [ResolvedOption<'a>], name: &str) -> Option<&'a str> {
    options.iter().find(|it| it.name == name).and_then(|it| match it.value {
        ResolvedValue::String(text) => Some(text.trim()),
        _ => None,
    })
}

fn flag(options: &[ResolvedOption<'_>], name: &str) -> bool {
    options.iter().any(|it| it.name == name && matches!(it.value, ResolvedValue::Boolean(true)))
}

/// Who gives a command. None outside of servers, and for members without *Manage Server*: Discord hides the commands from
/// them, but a server's admins can change that, so it is looked at again.
fn moderator(it: &CommandInteraction, at: UnixMillis) -> Option<Moderator> {
    let guild_id = GuildId(it.guild_id?.get());
    let permissions = it.member.as_ref()?.permissions?;
    permissions.intersects(Permissions::MANAGE_GUILD | Permissions::ADMINISTRATOR).then(|| Moderator {
        guild_id,
        channel_id: ChannelId(it.channel_id.get()),
        user: speaker(it),
        at,
    })
}

/// Who gives a command, by the name that people see.
pub(crate) fn speaker(it: &CommandInteraction) -> Speaker {
    let nick = it.member.as_ref().and_then(|it| it.nick.as_deref());
    let name = nick.or(it.user.global_name.as_deref()).unwrap_or(&it.user.name);
    Speaker { id: UserId(it.user.id.get()), name: name.to_owned() }
}

/// The sentence that answers a command; all but `/ask`, which is a turn. Always in time for Discord.
pub(crate) async fn answer(
    chat: &Chat,
    it: &CommandInteraction,
    command: &Command<'_>,
    at: UnixMillis,
) -> String {
    let moderator = moderator(it, at);
    if command.needs_moderator() && moderator.is_none() {
        return chat.only_moderators(it.guild_id.is_some());
    }
    let channel = ChannelId(it.channel_id.get());
    let guild = it.guild_id.map(|it| GuildId(it.get()));
    let answered = async {
        match (command, &moderator) {
            (Command::Help, _) => Ok(chat.help()),
            (Command::Reset, _) => chat.reset(channel, at).await,
            (Command::Status, _) => chat.status(channel, guild, at).await,
            (Command::ProviderList, Some(by)) => chat.list_providers(by).await,
            (Command::ProviderUse { name, is_server, lasts, strict }, Some(by)) => {
                chat.use_provider(by, name, *is_server, *lasts, *strict).await
            }
            (Command::ProviderAuto { is_server }, Some(by)) => chat.use_usual_order(by, *is_server).await,
            (Command::ProviderDisable { name, lasts }, Some(by)) => chat.disable(by, name, *lasts).await,
            (Command::ProviderEnable { name }, Some(by)) => chat.enable(by, name).await,
            (Command::Ask { .. }, _) | (_, None) => Ok(chat.only_moderators(guild.is_some())),
        }
    };
    match timeout(ANSWER_WITHIN, answered).await {
        Ok(Ok(sentence)) => sentence,
        Ok(Err(failure)) => {
            error!(error = %failure, command = it.data.name, "a command could not be carried out");
            chat.command_failed()
        }
        Err(_) => {
            error!(command = it.data.name, "a command took too long: the store does not answer");
            chat.command_failed()
        }
    }
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
    const EPHEMERAL: u64 = 1 << 6;
    json!({"type": 4, "data": {"content": sentence, "flags": EPHEMERAL, "allowed_mentions": {"parse": []}}})
}

/// "is thinking…": the answer follows as an edit.
pub(crate) fn announced(is_private: bool) -> Value {
    if is_private { json!({"type": 5, "data": {"flags": 1 << 6}}) } else { json!({"type": 5}) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn declarations_keep_discords_limits_and_the_contract() {
        let names: Vec<_> = declared().iter().map(|it| it["name"].as_str().unwrap().to_owned()).collect();
        assert_eq!(names, ["ask", "reset", "help", "status", "provider"]);
        let mut all = declared();
        while let Some(it) = all.pop() {
            let (name, description) = (it["name"].as_str().unwrap(), it["description"].as_str().unwrap());
            assert!(name.len() <= 32 && name.chars().all(|it| it.is_ascii_lowercase()), "{name}");
            assert!((1..=100).contains(&description.chars().count()), "{name}: {description}");
            all.extend(it["options"].as_array().cloned().unwrap_or_default());
        }
    }
}
