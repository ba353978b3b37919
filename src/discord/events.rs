//! What the gateway tells, a few lines an event.

use super::{
    Door, commands,
    given::Given,
    presence::Presence,
    rest::{self, ApplicationId},
};
use crate::message::{ChannelId, GuildId, MessageId, UserId};
use serenity::all::{
    self, Context, EventHandler, Guild, GuildChannel, GuildMemberUpdateEvent, Interaction, Member, Message,
    MessageUpdateEvent, PartialGuild, PartialGuildChannel, Ready, ResumedEvent, Role, RoleId,
    UnavailableGuild,
};
use tokio::time::Instant;
use tracing::{debug, info};

/// The same as REST tells it.
fn known(channel: &GuildChannel) -> rest::Channel {
    let tags = channel.available_tags.iter();
    rest::Channel {
        id: ChannelId(channel.id.get()),
        kind: u8::from(channel.kind),
        guild_id: Some(GuildId(channel.guild_id.get())),
        parent_id: channel.parent_id.map(|it| ChannelId(it.get())),
        name: Some(channel.name.clone()),
        applied_tags: channel.applied_tags.iter().map(ToString::to_string).collect(),
        available_tags: tags.map(|it| rest::Tag { id: it.id.to_string(), name: it.name.clone() }).collect(),
        owner_id: channel.owner_id.map(|it| UserId(it.get())),
        last_message_id: None,
        thread_metadata: channel
            .thread_metadata
            .map(|it| rest::ThreadState { archived: it.archived, locked: it.locked }),
    }
}

#[serenity::async_trait]
impl EventHandler for Door {
    async fn ready(&self, context: Context, ready: Ready) {
        let _in_hand = self.inner.chat.metrics().gateway_event("ready");
        let began = Instant::now();
        let _ = self.inner.me.set(UserId(ready.user.id.get()));
        let gap = self.gap_before(&ready);
        self.inner.chat.is_called(&ready.user.name);
        info!(
            user = ready.user.name,
            guilds = ready.guilds.len(),
            "connected to Discord as {}",
            ready.user.name
        );
        let (activity, status) = Presence::now(&self.inner.chat).parts();
        context.set_presence(activity, status);
        if ready.shard.is_none_or(|it| it.total == 1) {
            self.inner.is_connected.send_replace(true);
        }
        // serenity runs each event in a task of its own, so that nobody waits for this.
        self.take_up().await;
        let catch_up = async {
            if let Some(gap) = gap {
                self.catch_up(gap, ready.guilds.iter().map(|it| GuildId(it.id.get())).collect(), began).await;
            }
        };
        tokio::join!(self.keep_registered(ApplicationId(ready.application.id.get())), catch_up);
    }

    async fn resume(&self, _: Context, _: ResumedEvent) {
        let _in_hand = self.inner.chat.metrics().gateway_event("resumed");
        info!("the connection to Discord was resumed");
    }

    async fn message(&self, context: Context, message: Message) {
        let _in_hand = self.inner.chat.metrics().gateway_event("message");
        let _hearing = self.hearing(context.shard_id.0, &message).await;
        self.hear(message).await;
    }

    async fn message_update(
        &self,
        _: Context,
        _: Option<Message>,
        _: Option<Message>,
        event: MessageUpdateEvent,
    ) {
        let _in_hand = self.inner.chat.metrics().gateway_event("message_update");
        Box::pin(self.changed(event)).await;
    }

    async fn message_delete(
        &self,
        _: Context,
        _: all::ChannelId,
        message: all::MessageId,
        _: Option<all::GuildId>,
    ) {
        let _in_hand = self.inner.chat.metrics().gateway_event("message_delete");
        self.deleted(vec![MessageId(message.get())]).await;
    }

    async fn message_delete_bulk(
        &self,
        _: Context,
        _: all::ChannelId,
        messages: Vec<all::MessageId>,
        _: Option<all::GuildId>,
    ) {
        let _in_hand = self.inner.chat.metrics().gateway_event("message_delete_bulk");
        self.deleted(messages.into_iter().map(|it| MessageId(it.get())).collect()).await;
    }

    async fn interaction_create(&self, _: Context, interaction: Interaction) {
        let _in_hand = self.inner.chat.metrics().gateway_event("interaction");
        match interaction {
            Interaction::Command(it) => self.run_command(it).await,
            Interaction::Autocomplete(it) => {
                let choices = commands::complete(&self.inner.chat, &it);
                let by = Given::from(&it);
                if let Err(failure) = self.inner.rest.respond(by.id, &by.token(), &choices).await {
                    debug!(error = %failure, "choices came too late");
                }
            }
            Interaction::Component(it) => {
                let is_confirmation = self.confirmed(&it).await;
                if !is_confirmation {
                    self.press(it).await;
                }
            }
            _ => {}
        }
    }

    async fn guild_create(&self, _: Context, guild: Guild, _: Option<bool>) {
        self.inner.places.rights.learn_server(&guild);
        for channel in guild.channels.values().chain(&guild.threads) {
            self.inner.places.learn(known(channel));
        }
        self.learn_heads(&guild);
    }

    async fn channel_create(&self, _: Context, channel: GuildChannel) {
        self.inner.places.rights.learn_channel(&channel);
        self.inner.places.learn(known(&channel));
    }

    async fn channel_update(&self, _: Context, _: Option<GuildChannel>, new: GuildChannel) {
        self.inner.places.rights.learn_channel(&new);
        self.inner.places.learn(known(&new));
    }

    async fn channel_delete(&self, _: Context, channel: GuildChannel, _: Option<Vec<Message>>) {
        self.inner.places.rights.forget_channel(ChannelId(channel.id.get()));
        self.inner.places.forget(ChannelId(channel.id.get()));
    }

    async fn thread_create(&self, _: Context, thread: GuildChannel) {
        self.inner.places.learn(known(&thread));
    }

    async fn thread_update(&self, _: Context, _: Option<GuildChannel>, new: GuildChannel) {
        self.inner.places.learn(known(&new));
    }

    async fn thread_delete(&self, _: Context, thread: PartialGuildChannel, _: Option<GuildChannel>) {
        self.inner.places.forget(ChannelId(thread.id.get()));
    }

    async fn guild_update(&self, _: Context, _: Option<Guild>, new: PartialGuild) {
        self.inner.places.rights.learn_owner(&new);
    }

    async fn guild_delete(&self, _: Context, gone: UnavailableGuild, _: Option<Guild>) {
        // One that is only unavailable comes back, and tells everything again.
        self.inner.places.rights.forget_server(GuildId(gone.id.get()));
    }

    async fn guild_role_create(&self, _: Context, new: Role) {
        self.inner.places.rights.learn_role(&new);
    }

    async fn guild_role_update(&self, _: Context, _: Option<Role>, new: Role) {
        self.inner.places.rights.learn_role(&new);
    }

    async fn guild_role_delete(
        &self,
        _: Context,
        guild: serenity::all::GuildId,
        gone: RoleId,
        _: Option<Role>,
    ) {
        self.inner.places.rights.forget_role(GuildId(guild.get()), gone.get());
    }

    async fn guild_member_update(
        &self,
        _: Context,
        _: Option<Member>,
        _: Option<Member>,
        event: GuildMemberUpdateEvent,
    ) {
        self.inner.places.rights.learn_member(&event);
    }
}
