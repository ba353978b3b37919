//! Interactions: how a command, click or form reaches the bot, and what becomes of it.

use super::{
    Refused,
    json::merge,
    mentions::id_of,
    permissions::bits,
    session::Scope,
    slash, time,
    world::{Command, Interaction, World},
};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::time::Instant;

/// How long a bot has to acknowledge.
pub(crate) const ACKNOWLEDGE: Duration = Duration::from_secs(3);
/// How long an interaction's token lives.
pub(crate) const TOKEN_LIFE: Duration = Duration::from_secs(15 * 60);

impl World {
    /// The command that somebody means in a place: the server's own comes before the global one.
    fn command(&self, channel: u64, kind: u64, name: &str) -> Option<&Command> {
        let guild = self.guild_of(channel);
        let fits = |it: &&Command| it.body["type"] == kind && it.body["name"] == name;
        let local = self.commands.iter().filter(fits).find(|it| it.guild.is_some() && it.guild == guild);
        local.or_else(|| self.commands.iter().filter(fits).find(|it| it.guild.is_none()))
    }

    /// Whether somebody is shown a command in a place.
    fn permit(&self, user: u64, channel: u64, command: &Command) -> Result<(), Refused> {
        let name = command.body["name"].as_str().unwrap_or_default();
        let refuse = |why: &str| Err(Refused(format!("{} cannot use '{name}': {why}", self.name_of(user))));
        let may = self.may(user, channel);
        let Some(guild) = self.guild_of(channel) else {
            let fits = match command.body["contexts"].as_array() {
                Some(contexts) => contexts.iter().any(|it| it == 1),
                None => command.body["dm_permission"] != false,
            };
            return if fits && may != 0 { Ok(()) } else { refuse("it is not offered in a DM") };
        };
        if command.body["contexts"].as_array().is_some_and(|it| it.iter().all(|it| it != 0)) {
            return refuse("it is not offered in servers");
        }
        if may & bits::USE_APPLICATION_COMMANDS == 0 {
            return refuse("no application commands here");
        }
        let base = self.guilds.get(&guild).map_or(0, |it| self.base_permissions(it, user));
        let administrator = base & bits::ADMINISTRATOR != 0;
        match command.body["default_member_permissions"].as_str().map(|it| it.parse().unwrap_or(u64::MAX)) {
            Some(0) if !administrator => refuse("for administrators only"),
            Some(needed) if may & needed != needed && !administrator => refuse("permissions are missing"),
            _ => Ok(()),
        }
    }

    /// Somebody runs `/name words` in a channel; with `focused`, they are still typing the last value.
    pub(crate) fn run(&mut self, user: u64, channel: u64, line: &str, focused: bool) -> Result<u64, Refused> {
        let body = line
            .trim()
            .strip_prefix('/')
            .ok_or_else(|| Refused(format!("'{line}' does not begin with /")))?;
        let (name, words) = body.split_once(char::is_whitespace).unwrap_or((body, ""));
        let Some(command) = self.command(channel, 1, name).cloned() else {
            return Err(Refused(format!(
                "no command /{name} is registered; there is {}",
                self.known_commands()
            )));
        };
        self.permit(user, channel, &command)?;
        let typed =
            slash::read(&command.body, words, focused, &|kind, word| self.resolve(channel, kind, word))?;
        let mut data = json!({
            "id": command.id.to_string(), "name": name, "type": 1, "options": typed.options,
            "resolved": self.resolved(channel, &typed.options),
        });
        if let Some(guild) = command.guild {
            data["guild_id"] = guild.to_string().into();
        }
        let kind = if focused { 4 } else { 2 };
        Ok(self.interact(user, channel, kind, (line.trim(), &full_name(name, &typed.options)), &data, None))
    }

    fn known_commands(&self) -> String {
        let names: Vec<String> = self
            .commands
            .iter()
            .filter(|it| it.body["type"] == 1)
            .filter_map(|it| it.body["name"].as_str())
            .map(|it| format!("/{it}"))
            .collect();
        if names.is_empty() { "none".into() } else { names.join(", ") }
    }

    /// Somebody picks a context command on a message.
    pub(crate) fn run_on(&mut self, user: u64, message: u64, name: &str) -> Result<u64, Refused> {
        let target = self.messages.get(&message).filter(|it| !it.deleted).cloned();
        let target = target.ok_or_else(|| Refused("there is no such message".into()))?;
        let Some(command) = self.command(target.channel, 3, name).cloned() else {
            return Err(Refused(format!("no message command '{name}' is registered")));
        };
        self.permit(user, target.channel, &command)?;
        let data = json!({
            "id": command.id.to_string(), "name": name, "type": 3, "target_id": message.to_string(),
            "resolved": { "messages": { message.to_string(): self.message_json(&target, false) } },
        });
        Ok(self.interact(user, target.channel, 2, (name, name), &data, None))
    }

    /// Somebody clicks a button, or picks values of a menu.
    pub(crate) fn press(
        &mut self,
        user: u64,
        message: u64,
        custom: &str,
        values: &[&str],
    ) -> Result<u64, Refused> {
        let Some(source) = self.messages.get(&message).filter(|it| !it.deleted) else {
            return Err(Refused("there is no such message".into()));
        };
        if source.only_for.is_some_and(|it| it != user) {
            return Err(Refused(format!("{} does not see that message", self.name_of(user))));
        }
        let channel = source.channel;
        let mut all = Vec::new();
        components(&source.components, &mut all);
        let Some(found) = all.iter().find(|it| it["custom_id"] == custom) else {
            let known: Vec<&str> = all.iter().filter_map(|it| it["custom_id"].as_str()).collect();
            return Err(Refused(format!("no component '{custom}'; there is {}", known.join(", "))));
        };
        if found["disabled"] == true {
            return Err(Refused(format!("'{custom}' is disabled")));
        }
        let mut data = json!({ "custom_id": custom, "component_type": found["type"] });
        if found["type"] != 2 {
            data["values"] = json!(values);
        }
        Ok(self.interact(user, channel, 3, (custom, custom), &data, Some(message)))
    }

    /// Somebody fills in the form that an interaction was answered with.
    pub(crate) fn submit(&mut self, interaction: u64, fields: &[(&str, &str)]) -> Result<u64, Refused> {
        let Some(former) = self.interactions.get(&interaction).filter(|it| it.acked == Some(9)).cloned()
        else {
            return Err(Refused("that interaction was not answered with a form".into()));
        };
        let field = |(name, value): &(&str, &str)| json!({ "type": 1, "components": [{ "type": 4, "custom_id": name, "value": value }] });
        let data = json!({
            "custom_id": former.data["custom_id"], "components": fields.iter().map(field).collect::<Vec<_>>(),
        });
        let id =
            self.interact(former.user, former.channel, 5, (&former.line, &former.name), &data, former.source);
        if let Some(it) = self.interactions.get_mut(&id) {
            it.trigger = Some(interaction);
        }
        Ok(id)
    }

    /// Notes an interaction and sends it to the bot.
    fn interact(
        &mut self,
        user: u64,
        channel: u64,
        kind: u8,
        words: (&str, &str),
        data: &Value,
        source: Option<u64>,
    ) -> u64 {
        let id = self.next_id();
        let token = format!("aW50ZXJhY3Rpb246{id}{:016x}{:016x}", fastrand::u64(..), fastrand::u64(..));
        let mut body = json!({
            "id": id.to_string(), "application_id": self.bot.to_string(), "type": kind, "data": data, "token": token,
            "version": 1, "channel_id": channel.to_string(), "channel": self.partial_channel(user, channel),
            "app_permissions": self.may(self.bot, channel).to_string(), "entitlements": [], "attachment_size_limit": 10_485_760,
            "locale": self.users.get(&user).map_or("en-US", |it| &it.locale),
        });
        match self.guild_of(channel) {
            Some(guild) => {
                let mut member = self.member_json(guild, user, true);
                merge(&mut member, json!({ "permissions": self.may(user, channel).to_string() }));
                merge(
                    &mut body,
                    json!({
                        "guild_id": guild.to_string(), "guild": { "id": guild.to_string(), "locale": "en-US", "features": [] },
                        "guild_locale": "en-US", "member": member, "context": 0,
                        "authorizing_integration_owners": { "0": guild.to_string() },
                    }),
                );
            }
            None => merge(
                &mut body,
                json!({
                    "user": self.user_json(user), "context": 1, "authorizing_integration_owners": { "0": "0" },
                }),
            ),
        }
        if let Some(message) = source.and_then(|it| self.messages.get(&it)) {
            body["message"] = self.message_json(message, false);
        }
        self.interactions.insert(
            id,
            Interaction {
                id,
                token,
                kind,
                user,
                channel,
                line: words.0.into(),
                name: words.1.into(),
                born: Instant::now(),
                acked: None,
                source,
                trigger: None,
                original: None,
                followups: Vec::new(),
                data: Value::Null,
            },
        );
        if self.interactions.len() > 10_000 {
            self.interactions.pop_first();
        }
        let guild = self.guild_of(channel);
        self.sessions.dispatch("INTERACTION_CREATE", Scope { guild, intent: 0 }, &body, None);
        self.touch();
        id
    }

    fn partial_channel(&self, user: u64, channel: u64) -> Value {
        let mut body = self.channel_json(channel);
        body["permissions"] = self.may(user, channel).to_string().into();
        body
    }

    /// What a word means for a user, channel, role or mentionable option.
    fn resolve(&self, channel: u64, kind: u64, word: &str) -> Option<u64> {
        let guild = self.guild_of(channel);
        let user = || {
            let id = word
                .parse()
                .ok()
                .or_else(|| self.user_named(word, false))
                .or_else(|| self.user_named(word, true))?;
            self.users.contains_key(&id).then_some(id)
        };
        let place = || {
            self.channels
                .values()
                .find(|it| it.guild == guild && (it.name == word || it.id.to_string() == word))
        };
        let role = || {
            let roles = &self.guilds.get(&guild?)?.roles;
            roles.iter().find(|it| it.name == word || it.id.to_string() == word).map(|it| it.id)
        };
        match kind {
            6 => user(),
            7 => place().map(|it| it.id),
            8 => role(),
            _ => user().or_else(role),
        }
    }

    /// The objects that options point at.
    fn resolved(&self, channel: u64, options: &[Value]) -> Value {
        let mut found = json!({});
        for it in options {
            if let Some(inner) = it["options"].as_array() {
                merge(&mut found, self.resolved(channel, inner));
            }
            let Some(id) =
                id_of(&it["value"]).filter(|_| it["type"].as_u64().is_some_and(|it| (6..=9).contains(&it)))
            else {
                continue;
            };
            let key = id.to_string();
            if self.users.contains_key(&id) {
                found["users"][&key] = self.user_json(id);
                if let Some(guild) = self.guild_of(channel) {
                    found["members"][&key] = self.member_json(guild, id, false);
                }
            } else if self.channels.contains_key(&id) {
                found["channels"][&key] = self.channel_json(id);
            }
        }
        found
    }

    /// An interaction whose token is still good.
    pub(crate) fn by_token(&self, token: &str) -> Option<&Interaction> {
        self.interactions.values().rev().find(|it| it.token == token && it.born.elapsed() < TOKEN_LIFE)
    }

    /// A message's age in milliseconds.
    pub(crate) fn age_ms(&self, message: u64) -> u64 {
        time::now_ms().saturating_sub(time::made_at(message))
    }
}

/// `provider use` for `/provider use …`.
fn full_name(name: &str, options: &[Value]) -> String {
    match options {
        [only] if only["type"].as_u64().is_some_and(|it| it <= 2) => {
            let inner = only["options"].as_array().map_or(&[][..], Vec::as_slice);
            format!("{name} {}", full_name(only["name"].as_str().unwrap_or_default(), inner))
        }
        _ => name.into(),
    }
}

/// All components that can be pressed, out of their rows, sections and containers.
pub(crate) fn components<'a>(list: &'a [Value], found: &mut Vec<&'a Value>) {
    for it in list {
        if it["custom_id"].is_string() {
            found.push(it);
        }
        if let Some(inner) = it["components"].as_array() {
            components(inner, found);
        }
        if it["accessory"].is_object() {
            components(std::slice::from_ref(&it["accessory"]), found);
        }
    }
}
