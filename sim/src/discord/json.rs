//! Users, servers, channels and messages as Discord writes them.

use super::{
    permissions::Overwrite,
    session::{Scope, intents},
    time::{iso, made_at},
    world::{Channel, File, Guild, Interaction, Message, Role, User, World, flag, kind},
};
use serde_json::{Map, Value, json};

fn s(id: u64) -> String {
    id.to_string()
}

impl World {
    pub(crate) fn user_json(&self, id: u64) -> Value {
        self.users
            .get(&id)
            .map_or_else(|| json!({ "id": s(id), "username": "Deleted User", "discriminator": "0" }), user)
    }

    pub(crate) fn me_json(&self) -> Value {
        let mut me = self.user_json(self.bot);
        let extra = json!({ "mfa_enabled": false, "verified": true, "email": null, "locale": "en-US" });
        merge(&mut me, extra);
        me
    }

    pub(crate) fn member_json(&self, guild: u64, id: u64, with_user: bool) -> Value {
        let roles = self.guilds.get(&guild).and_then(|it| it.members.get(&id));
        let mut member = json!({
            "roles": roles.into_iter().flatten().copied().map(s).collect::<Vec<_>>(),
            "joined_at": iso(made_at(id)), "nick": null, "avatar": null, "banner": null, "premium_since": null,
            "communication_disabled_until": null, "pending": false, "deaf": false, "mute": false, "flags": 0,
        });
        if with_user {
            member["user"] = self.user_json(id);
        }
        member
    }

    /// A channel, thread or DM.
    pub(crate) fn channel_json(&self, id: u64) -> Value {
        let Some(it) = self.channels.get(&id) else { return Value::Null };
        let mut body = json!({
            "id": s(id), "type": it.kind, "flags": it.flags,
            "last_message_id": it.last_message.map(s), "last_pin_timestamp": null,
        });
        let rest = if it.kind == kind::DM {
            json!({ "recipients": it.recipient.map(|user| self.user_json(user)).into_iter().collect::<Vec<_>>() })
        } else if it.thread.is_some() {
            self.thread_part(it)
        } else {
            guild_channel_part(it)
        };
        merge(&mut body, rest);
        body
    }

    fn thread_part(&self, it: &Channel) -> Value {
        let Some(thread) = &it.thread else { return Value::Null };
        let shown = self.of_channel.get(&it.id).map_or(0, std::collections::VecDeque::len);
        let mut body = json!({
            "guild_id": it.guild.map(s), "parent_id": it.parent.map(s), "name": it.name, "owner_id": s(thread.owner),
            "rate_limit_per_user": it.slowmode, "bitrate": 64_000, "user_limit": 0, "rtc_region": null,
            "message_count": shown.min(thread.sent.try_into().unwrap_or(usize::MAX)),
            "total_message_sent": thread.sent, "member_count": thread.members.len().min(50),
            "thread_metadata": {
                "archived": thread.archived, "locked": thread.locked, "auto_archive_duration": thread.auto_archive,
                "archive_timestamp": iso(thread.archive_changed), "create_timestamp": iso(made_at(it.id)),
            },
        });
        if !thread.tags.is_empty() || it.parent.is_some_and(|it| self.is_forum(it)) {
            body["applied_tags"] = thread.tags.iter().copied().map(s).collect();
        }
        if thread.members.contains(&self.bot) {
            body["member"] = thread_member(it.id, self.bot);
        }
        body
    }

    pub(crate) fn guild_json(&self, guild: &Guild) -> Value {
        json!({
            "id": s(guild.id), "name": guild.name, "icon": null, "description": null, "home_header": null, "splash": null,
            "discovery_splash": null, "features": [], "banner": null, "owner_id": s(guild.owner), "application_id": null,
            "region": "deprecated", "afk_channel_id": null, "afk_timeout": 300, "system_channel_id": null,
            "system_channel_flags": 0, "widget_enabled": false, "widget_channel_id": null, "verification_level": 0,
            "roles": guild.roles.iter().enumerate().map(|(at, it)| role(it, at)).collect::<Vec<_>>(),
            "default_message_notifications": 1, "mfa_level": 0, "explicit_content_filter": 0, "max_presences": null,
            "max_members": 500_000, "max_stage_video_channel_users": 50, "max_video_channel_users": 25,
            "vanity_url_code": null, "premium_tier": 0, "premium_subscription_count": 0, "preferred_locale": "en-US",
            "rules_channel_id": null, "safety_alerts_channel_id": null, "public_updates_channel_id": null,
            "premium_progress_bar_enabled": false, "nsfw": false, "nsfw_level": 0, "emojis": [], "stickers": [],
            "incidents_data": null,
        })
    }

    /// `GUILD_CREATE`'s body: the server with everything in it that the bot sees.
    pub(crate) fn guild_create_json(&self, guild: &Guild) -> Value {
        let seen = |thread: bool| -> Vec<Value> {
            let mine = |it: &&Channel| it.guild == Some(guild.id) && it.thread.is_some() == thread;
            let shown = |it: &&Channel| match &it.thread {
                Some(thread) => !thread.archived && self.sees(self.bot, it.id),
                // Discord lists channels that a bot cannot see, too.
                None => true,
            };
            self.channels.values().filter(mine).filter(shown).map(|it| self.channel_json(it.id)).collect()
        };
        let mut body = self.guild_json(guild);
        let extra = json!({
            "joined_at": iso(made_at(guild.id)), "large": false, "unavailable": false, "member_count": guild.members.len(),
            "voice_states": [], "members": guild.members.keys().map(|it| self.member_json(guild.id, *it, true)).collect::<Vec<_>>(),
            "channels": seen(false), "threads": seen(true), "presences": [], "stage_instances": [],
            "guild_scheduled_events": [], "soundboard_sounds": [],
        });
        merge(&mut body, extra);
        body
    }

    /// A message as REST shows it; `deep` adds the one that it replies to.
    pub(crate) fn message_json(&self, it: &Message, deep: bool) -> Value {
        let mut body = json!({
            "id": s(it.id), "channel_id": s(it.channel), "type": it.kind, "content": it.content, "author": self.user_json(it.author),
            "timestamp": iso(made_at(it.id)), "edited_timestamp": it.edited.map(iso), "tts": false, "flags": it.flags,
            "mention_everyone": it.mention_everyone, "mention_roles": it.mention_roles.iter().copied().map(s).collect::<Vec<_>>(),
            "mentions": it.mentions.iter().map(|user| self.user_json(*user)).collect::<Vec<_>>(),
            "attachments": it.files.iter().map(|file| self.file_json(it, file)).collect::<Vec<_>>(),
            "embeds": it.embeds, "components": it.components, "pinned": it.pinned,
        });
        let Value::Object(map) = &mut body else { return body };
        self.add_links(it, deep, map);
        if !it.reactions.is_empty() {
            let one = |(emoji, users): &(String, std::collections::BTreeSet<u64>)| {
                json!({
                    "emoji": emoji_json(emoji), "count": users.len(), "count_details": { "normal": users.len(), "burst": 0 },
                    "burst_colors": [], "me_burst": false, "me": users.contains(&self.bot),
                })
            };
            map.insert("reactions".into(), it.reactions.iter().map(one).collect());
        }
        body
    }

    /// Reply, thread, interaction and the other optional fields of a message.
    fn add_links(&self, it: &Message, deep: bool, map: &mut Map<String, Value>) {
        if let Some(target) = it.reply {
            let place =
                if it.kind == 21 { self.channels.get(&it.channel).and_then(|c| c.parent) } else { None };
            let mut reference =
                json!({ "type": 0, "channel_id": s(place.unwrap_or(it.channel)), "message_id": s(target) });
            if let Some(guild) = self.guild_of(it.channel) {
                reference["guild_id"] = s(guild).into();
            }
            map.insert("message_reference".into(), reference);
            if deep {
                let original = self.live(place.unwrap_or(it.channel), target);
                let mut shown = original
                    .map_or(Value::Null, |it| self.visible_over_rest(it, self.message_json(it, false)));
                // The inner message comes without its reactions.
                shown.as_object_mut().and_then(|it| it.remove("reactions"));
                map.insert("referenced_message".into(), shown);
            }
        }
        if it.flags & flag::HAS_THREAD != 0 && self.channels.contains_key(&it.id) {
            map.insert("thread".into(), self.channel_json(it.id));
        }
        if let Some(nonce) = &it.nonce {
            map.insert("nonce".into(), nonce.clone());
        }
        if it.webhook {
            map.insert("webhook_id".into(), s(it.author).into());
        }
        if let Some(interaction) = it.interaction.and_then(|id| self.interactions.get(&id)) {
            map.insert("application_id".into(), s(self.bot).into());
            map.insert("webhook_id".into(), s(self.bot).into());
            let mut metadata = self.interaction_metadata(interaction);
            if let Some(original) = interaction.original.filter(|id| *id != it.id) {
                metadata["original_response_message_id"] = s(original).into();
            }
            map.insert("interaction_metadata".into(), metadata);
            if interaction.kind == 2 && it.kind == 20 {
                let name = &interaction.name;
                map.insert(
                    "interaction".into(),
                    json!({ "id": s(interaction.id), "type": 2, "name": name, "user": self.user_json(interaction.user) }),
                );
            }
        }
    }

    /// Where a message comes from that answers an interaction; for a form, also what brought the form up.
    fn interaction_metadata(&self, it: &Interaction) -> Value {
        let mut body = json!({
            "id": s(it.id), "type": it.kind, "user": self.user_json(it.user),
            "authorizing_integration_owners": { "0": s(self.guild_of(it.channel).unwrap_or(0)) },
        });
        match (it.kind, it.source, it.trigger.and_then(|id| self.interactions.get(&id))) {
            (5, _, Some(trigger)) => {
                body["triggering_interaction_metadata"] = self.interaction_metadata(trigger);
            }
            (3, Some(source), _) => body["interacted_message_id"] = s(source).into(),
            _ => {}
        }
        body
    }

    fn file_json(&self, message: &Message, file: &File) -> Value {
        let url = format!("{}/attachments/{}/{}/{}", self.origin, message.channel, file.id, file.name);
        json!({
            "id": s(file.id), "filename": file.name, "size": file.bytes.len(), "url": url, "proxy_url": url,
            "content_type": file.mime, "ephemeral": message.only_for.is_some(),
        })
    }

    /// The same message in a gateway event: with the server and the author's membership.
    pub(crate) fn message_event(&self, it: &Message) -> Value {
        let mut body = self.message_json(it, true);
        if let Some(guild) = self.guild_of(it.channel)
            && it.only_for.is_none()
        {
            body["guild_id"] = s(guild).into();
            if !it.webhook {
                body["member"] = self.member_json(guild, it.author, false);
            }
            let mentions: Vec<Value> = it
                .mentions
                .iter()
                .map(|user| {
                    let mut body = self.user_json(*user);
                    body["member"] = self.member_json(guild, *user, false);
                    body
                })
                .collect();
            body["mentions"] = mentions.into();
        }
        body
    }

    /// Whether content is shown to a bot without the content intent: its own, to it, or in a DM.
    pub(crate) fn is_for_bot(&self, it: &Message) -> bool {
        it.author == self.bot || it.mentions.contains(&self.bot) || self.guild_of(it.channel).is_none()
    }

    /// What REST shows of a message: without the granted intent its content is empty unless it is the bot's business.
    pub(crate) fn visible_over_rest(&self, it: &Message, body: Value) -> Value {
        if self.content_granted || self.is_for_bot(it) { body } else { stripped(body) }
    }

    /// READY and a `GUILD_CREATE` for each server, to a new session.
    pub(crate) fn welcome(&mut self, session: &str, gateway_url: &str) {
        let Some((asked, shard)) = self.sessions.get(session).map(|it| (it.intents, it.shard)) else {
            return;
        };
        let mine: Vec<&Guild> =
            self.guilds.values().filter(|it| (it.id >> 22) % shard.1 == shard.0).collect();
        let ready = json!({
            "v": 10, "user": self.me_json(), "user_settings": {}, "session_type": "normal", "session_id": session,
            "resume_gateway_url": gateway_url, "relationships": [], "private_channels": [], "presences": [], "guild_join_requests": [],
            "geo_ordered_rtc_regions": [], "guilds": mine.iter().map(|it| json!({ "id": s(it.id), "unavailable": true })).collect::<Vec<_>>(),
            "shard": [shard.0, shard.1], "application": { "id": s(self.bot), "flags": self.application_flags() }, "_trace": [],
        });
        let guilds: Vec<Value> = mine.iter().map(|it| self.guild_create_json(it)).collect();
        self.sessions.send_to(session, "READY", &ready);
        if asked & intents::GUILDS != 0 {
            for guild in &guilds {
                self.sessions.send_to(session, "GUILD_CREATE", guild);
            }
        }
        self.touch();
    }

    /// The flags of `/applications/@me`: bit 19 says that the content intent is granted to a small bot, bit 23 that it has commands.
    pub(crate) fn application_flags(&self) -> u64 {
        u64::from(self.content_granted) << 19 | u64::from(!self.commands.is_empty()) << 23
    }

    /// `GUILD_MEMBERS_CHUNK` for op 8.
    pub(crate) fn member_chunk(&self, guild: u64, asked: &Value) -> Value {
        let members = self.guilds.get(&guild).map(|it| &it.members);
        let query = asked["query"].as_str().unwrap_or_default();
        let shown =
            members.into_iter().flat_map(|it| it.keys()).filter(|id| self.name_of(**id).starts_with(query));
        json!({
            "guild_id": s(guild), "members": shown.map(|it| self.member_json(guild, *it, true)).collect::<Vec<_>>(),
            "chunk_index": 0, "chunk_count": 1, "not_found": [], "nonce": asked["nonce"],
        })
    }

    /// Tells the sessions of something in a channel, if the bot sees it.
    pub(crate) fn tell(
        &mut self,
        name: &str,
        channel: u64,
        in_guild: u64,
        in_dm: u64,
        body: &Value,
        stripped: Option<&Value>,
    ) {
        let guild = self.guild_of(channel);
        if self.sees(self.bot, channel) {
            let intent = if guild.is_some() { in_guild } else { in_dm };
            self.sessions.dispatch(name, Scope { guild, intent }, body, stripped);
        }
        self.touch();
    }
}

fn user(it: &User) -> Value {
    json!({
        "id": s(it.id), "username": it.name, "global_name": if it.bot { Value::Null } else { it.name.clone().into() },
        "discriminator": if it.bot { "1234" } else { "0" }, "avatar": null, "bot": it.bot, "system": false, "public_flags": 0,
        "flags": 0, "banner": null, "accent_color": null, "primary_guild": null, "avatar_decoration_data": null, "collectibles": null,
    })
}

fn role(it: &Role, position: usize) -> Value {
    json!({
        "id": s(it.id), "name": it.name, "permissions": s(it.permissions), "position": position, "color": 0,
        "colors": { "primary_color": 0, "secondary_color": null, "tertiary_color": null }, "hoist": false,
        "managed": it.managed, "mentionable": false, "icon": null, "unicode_emoji": null, "flags": 0,
    })
}

fn overwrite(it: &Overwrite) -> Value {
    json!({ "id": s(it.id), "type": u8::from(it.member), "allow": s(it.allow), "deny": s(it.deny) })
}

fn guild_channel_part(it: &Channel) -> Value {
    let mut body = json!({
        "guild_id": it.guild.map(s), "name": it.name, "position": it.position, "parent_id": it.parent.map(s), "topic": it.topic,
        "nsfw": it.nsfw, "rate_limit_per_user": it.slowmode,
        "permission_overwrites": it.overwrites.iter().map(overwrite).collect::<Vec<_>>(),
    });
    if it.kind == kind::FORUM {
        let tag = |it: &super::world::Tag| json!({ "id": s(it.id), "name": it.name, "moderated": it.moderated, "emoji_id": null, "emoji_name": null });
        let extra = json!({
            "available_tags": it.tags.iter().map(tag).collect::<Vec<_>>(), "default_reaction_emoji": null,
            "default_sort_order": null, "default_forum_layout": 0
        });
        merge(&mut body, extra);
    }
    body
}

/// A thread's member.
pub(crate) fn thread_member(thread: u64, user: u64) -> Value {
    json!({ "id": s(thread), "user_id": s(user), "join_timestamp": iso(made_at(thread)), "flags": 1 })
}

/// A message without what the content intent is for.
pub(crate) fn stripped(mut body: Value) -> Value {
    merge(&mut body, json!({ "content": "", "embeds": [], "attachments": [], "components": [] }));
    body
}

/// An emoji as in a URL: the character itself, or `name:id`.
pub(crate) fn emoji_json(emoji: &str) -> Value {
    match emoji.split_once(':') {
        Some((name, id)) => json!({ "id": id, "name": name }),
        None => json!({ "id": null, "name": emoji }),
    }
}

/// Puts the fields of `more` into `body`.
pub(crate) fn merge(body: &mut Value, more: Value) {
    if let (Value::Object(body), Value::Object(more)) = (body, more) {
        body.extend(more);
    }
}
