//! The front door: hears the gateway's events and hands messages and commands on, a few lines an event.

mod commands;
mod inbound;
mod outbound;
mod places;
pub mod rest;
mod resumed;
pub mod text;

use crate::{
    chat::{Begun, Chat, Turn},
    config::{ChatConfig, RegisterCommands},
    message::{ChannelId, GuildId, Inbound, MessageId, Place, Quoted, Trigger, UnixMillis, UserId},
};
use commands::Command;
use inbound::Verdict;
use outbound::{Delivery, Pace, Stage};
use places::{Places, Whereabouts};
use rest::{ApplicationId, Hook, InteractionId, Rest, RestError};
use secrecy::{ExposeSecret, SecretString};
use serenity::{
    all::{
        CommandInteraction, Context, EventHandler, Guild, GuildChannel, Interaction, Message,
        PartialGuildChannel, Ready, ResumedEvent, ShardStageUpdateEvent,
    },
    client::{Client, ClientBuilder},
    gateway::{ConnectionStage, GatewayError, ShardManager},
    http::HttpBuilder,
    model::gateway::GatewayIntents,
};
use std::{
    convert::Infallible,
    sync::{Arc, OnceLock},
    time::Duration,
};
use tokio::{
    sync::{SetOnce, watch},
    time::{Instant, interval, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{debug, error, info, warn};

/// A sentence to a person that is no part of an answer.
const WORD_LIMIT: Duration = Duration::from_secs(10);

/// READY comes before any message, but its task may run a little later.
const READY_WITHIN: Duration = Duration::from_secs(10);

/// How often it is looked whether the connections are up.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// How long the connections may take to close.
const GOODBYE_LIMIT: Duration = Duration::from_secs(5);

/// What the door needs to know.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The origin of the REST API.
    pub api_base: String,
    /// Whether the bot may read all messages.
    pub message_content: bool,
    /// Where commands are registered.
    pub register_commands: RegisterCommands,
    /// When and how it answers.
    pub chat: ChatConfig,
}

/// Why the gateway can't be served.
#[derive(Debug, thiserror::Error)]
pub enum GatewayFailure {
    /// The token is wrong.
    #[error(
        "Discord does not accept the bot's token. Reset it in the Developer Portal (Bot → Reset Token) and set it anew"
    )]
    WrongToken,
    /// The portal does not grant the message content intent.
    #[error(
        "Discord does not grant this bot the intent to read messages. Switch on \"Message Content Intent\" in the Developer \
         Portal (Bot → Privileged Gateway Intents), or set discord.message_content = false to work with mentions, replies, \
         direct messages and commands only"
    )]
    DisallowedIntents,
    /// Discord could not be reached at all.
    #[error(
        "Discord could not be reached at {base}: {cause}. Check the network, and discord.api_base if you set it"
    )]
    Unreachable {
        /// The address that was tried.
        base: String,
        /// What happened.
        cause: RestError,
    },
    /// The client library gave up.
    #[error("the connection to Discord ended for good: {0}")]
    Ended(String),
}

impl GatewayFailure {
    /// Whether somebody has to change the configuration; trying again is no use.
    #[must_use]
    pub fn is_config(&self) -> bool {
        match self {
            Self::WrongToken | Self::DisallowedIntents => true,
            Self::Unreachable { .. } | Self::Ended(_) => false,
        }
    }
}

/// The door, shared by all events.
#[derive(Clone)]
pub struct Door {
    inner: Arc<Inner>,
}

impl std::fmt::Debug for Door {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Door").finish_non_exhaustive()
    }
}

struct Inner {
    chat: Chat,
    rest: Rest,
    settings: Settings,
    places: Places,
    me: SetOnce<UserId>,
    tasks: TaskTracker,
    closing: CancellationToken,
    hang_up: CancellationToken,
    is_connected: watch::Sender<bool>,
    is_resumed_from_store: OnceLock<()>,
}

impl Door {
    /// A door for these conversations. `tasks` has every turn; `closing` stops the intake; `hang_up` stops running turns,
    /// which are finished after the next start.
    #[must_use]
    pub fn new(
        chat: Chat,
        rest: Rest,
        settings: Settings,
        tasks: TaskTracker,
        closing: CancellationToken,
        hang_up: CancellationToken,
    ) -> Self {
        let inner = Inner {
            chat,
            rest,
            settings,
            places: Places::default(),
            me: SetOnce::new(),
            tasks,
            closing,
            hang_up,
            is_connected: watch::Sender::new(false),
            is_resumed_from_store: OnceLock::new(),
        };
        Self { inner: Arc::new(inner) }
    }

    /// Whether gateway events arrive.
    #[must_use]
    pub fn connected(&self) -> watch::Receiver<bool> {
        self.inner.is_connected.subscribe()
    }

    /// Serves the gateway until `closing`.
    ///
    /// # Errors
    /// The token or the intents are refused, or Discord can't be reached at the start.
    pub async fn serve(self, token: &SecretString) -> Result<(), GatewayFailure> {
        let (closing, is_connected) = (self.inner.closing.clone(), self.inner.is_connected.clone());
        let (mut client, shard_count) = tokio::select! {
            biased;
            () = closing.cancelled() => return Ok(()),
            client = self.connect(token) => client?,
        };
        let shards = client.shard_manager.clone();
        tokio::select! {
            served = client.start_shards(shard_count) => match served {
                Ok(()) => Ok(()),
                Err(serenity::Error::Gateway(GatewayError::InvalidAuthentication)) => Err(GatewayFailure::WrongToken),
                Err(serenity::Error::Gateway(
                    GatewayError::DisallowedGatewayIntents | GatewayError::InvalidGatewayIntents,
                )) => Err(GatewayFailure::DisallowedIntents),
                Err(failure) => Err(GatewayFailure::Ended(failure.to_string())),
            },
            never = watch_shards(&shards, &is_connected) => match never {},
            // Before the first connection `start_shards` would not return after a shutdown, so it is not waited for.
            () = closing.cancelled() => {
                let _ = timeout(GOODBYE_LIMIT, shards.shutdown_all()).await;
                Ok(())
            }
        }
    }

    /// A client that knows where the gateway is, and how many connections Discord wants.
    async fn connect(self, token: &SecretString) -> Result<(Client, u32), GatewayFailure> {
        let base = self.inner.settings.api_base.clone();
        let gateway = self.inner.rest.gateway_bot().await.map_err(|cause| match cause {
            RestError::Unauthorized => GatewayFailure::WrongToken,
            cause => GatewayFailure::Unreachable { base: base.clone(), cause },
        })?;
        // serenity asks for the gateway once more when it is built, and would go to the real Discord if that failed: its own
        // requests go to our base, and the address is set to what our own request was told.
        let http = HttpBuilder::new(token.expose_secret()).proxy(&base).ratelimiter_disabled(true).build();
        let intents = intents(self.inner.settings.message_content);
        let client = ClientBuilder::new_with_http(http, intents).event_handler(self).await;
        let client = client.map_err(|failure| GatewayFailure::Ended(failure.to_string()))?;
        gateway.url.clone_into(&mut *client.ws_url.lock().await);
        Ok((client, gateway.shards.unwrap_or(1).max(1)))
    }

    fn me(&self) -> Option<UserId> {
        self.inner.me.get().copied()
    }

    fn is_closing(&self) -> bool {
        self.inner.closing.is_cancelled()
    }

    async fn hear(&self, message: Message) {
        let received_at = UnixMillis::now();
        // serenity runs each event in a task of its own, so that the first message may overtake READY.
        let Ok(&me) = timeout(READY_WITHIN, self.inner.me.wait()).await else { return };
        if self.is_closing() || message.author.id.get() == me.0 {
            return;
        }
        let here = self.whereabouts(&message).await;
        let settings = &self.inner.settings.chat;
        let trigger = match inbound::judge(&message, me, &here, settings) {
            Verdict::Ignore => return,
            Verdict::Answer(trigger) => trigger,
            Verdict::AnswerIfOurs(trigger) => {
                if !self.inner.chat.is_ours(ChannelId(message.channel_id.get())).await {
                    return;
                }
                trigger
            }
        };
        let Some(mut inbound) = inbound::read(&message, me, &here, trigger, received_at) else { return };
        if let Some(opening) = &mut inbound.opening {
            opening.starter = self.starter(&inbound.message_id, inbound.channel_id, &here, me).await;
        }
        let stage = Stage::Channel { channel: inbound.channel_id, question: inbound.message_id };
        self.take(inbound, stage).await;
    }

    /// Claims the message and answers it in a task of its own.
    async fn take(&self, inbound: Inbound, stage: Stage) {
        match self.inner.chat.begin(inbound).await {
            Begun::Turn(turn) => self.answer(turn, stage, false),
            Begun::Duplicate => debug!("a message was heard again and is not answered twice"),
            Begun::Refused(sentence) => self.say(&stage, &sentence).await,
        }
    }

    fn answer(&self, turn: Box<Turn>, stage: Stage, is_resumed: bool) {
        let door = self.clone();
        self.inner.tasks.spawn(async move { door.serve_turn(turn, stage, is_resumed).await });
    }

    async fn serve_turn(&self, mut turn: Box<Turn>, stage: Stage, is_resumed: bool) {
        let Inner { chat, rest, settings, hang_up, .. } = &*self.inner;
        tokio::select! {
            biased;
            () = chat.enter(&mut turn) => {}
            () = hang_up.cancelled() => return,
        }
        let turn = &*turn;
        let before = async {
            match is_resumed {
                true => Some(resumed::parts(rest, &stage, self.me(), &turn.parts).await),
                false => None,
            }
        };
        let before = tokio::select! {
            biased;
            () = hang_up.cancelled() => return,
            before = before => before,
        };
        let pace = Pace { edit_interval: settings.chat.edit_interval };
        let (draft, shown) = watch::channel(crate::chat::Draft::default());
        let noted = |part, message| chat.note_part(&turn.id, part, message);
        let delivery = Delivery::new(rest, &stage, pace, before, noted);
        let play = async move {
            let played = chat.play(turn, &draft).await;
            drop(draft);
            played
        };
        let deliver = async {
            let delivered = delivery.show(shown).await;
            if delivered.is_err() {
                turn.cancel.cancel();
            }
            delivered
        };
        let both = async { tokio::join!(play, deliver) };
        let watched = async {
            hang_up.cancelled().await;
            turn.cancel.cancel();
            std::future::pending::<()>().await;
        };
        let (played, delivered) = tokio::select! {
            biased;
            ended = both => ended,
            () = watched => return,
        };
        match delivered {
            Ok(()) if hang_up.is_cancelled() && played.is_cancelled() => {} // It is finished after the next start.
            Ok(()) => chat.close(turn, played, UnixMillis::now()).await,
            Err(failure) => {
                turn.span.in_scope(|| warn!(error = %failure, "the answer could not be shown"));
                chat.close_unseen(turn, outbound::word(&failure), UnixMillis::now()).await;
            }
        }
    }

    /// Says a sentence that is no part of an answer. If even that fails, there is nobody to tell but the log.
    async fn say(&self, stage: &Stage, sentence: &str) {
        let rest = &self.inner.rest;
        let deadline = Instant::now() + WORD_LIMIT;
        let said = match stage {
            Stage::Channel { channel, question } => {
                let nonce = format!("w.{:x}", question.0);
                rest.create_message(*channel, sentence, Some(*question), &nonce, deadline).await.map(drop)
            }
            Stage::Interaction(hook) => rest.edit_response(hook, sentence, deadline).await.map(drop),
        };
        if let Err(failure) = said {
            warn!(error = %failure, "a sentence could not be said");
        }
    }

    async fn whereabouts(&self, message: &Message) -> Whereabouts {
        let plain = |place| Whereabouts { place, parent: None, title: String::new(), tags: Vec::new() };
        if message.guild_id.is_none() {
            return plain(Place::Dm);
        }
        let channel = ChannelId(message.channel_id.get());
        self.inner.places.find(&self.inner.rest, channel).await.unwrap_or_else(|failure| {
            warn!(error = %failure, %channel, "could not look a channel up; it is taken as a plain one");
            plain(Place::Channel)
        })
    }

    /// The message that a thread or post began with: its id is the thread's.
    async fn starter(
        &self,
        asked: &MessageId,
        channel: ChannelId,
        here: &Whereabouts,
        me: UserId,
    ) -> Option<Quoted> {
        let id = MessageId(channel.0);
        if *asked == id {
            return None; // It is the question itself.
        }
        if let Some(known) = self.inner.chat.remembered(id).await {
            return Some(known);
        }
        // A post's starter is in the post; a thread's is in the channel above it.
        let place = if here.place == Place::ForumPost { channel } else { here.parent? };
        let found: Message = self.inner.rest.message(place, id).await.ok()?;
        Some(inbound::quote(&found, me))
    }

    async fn run_command(&self, it: CommandInteraction) {
        let at = UnixMillis::now();
        let options = it.data.options();
        let Some(command) = commands::read(&it.data.name, &options) else {
            warn!(command = it.data.name, "a command is not known to this version");
            return;
        };
        let rest = &self.inner.rest;
        let token = SecretString::from(it.token.clone());
        let response = match &command {
            Command::Ask { private, .. } => commands::announced(*private),
            other => commands::privately(&commands::answer(&self.inner.chat, &it, other, at).await),
        };
        if let Err(failure) = rest.respond(InteractionId(it.id.get()), &token, &response).await {
            warn!(error = %failure, command = it.data.name, "a command could not be answered");
            return;
        }
        if let Command::Ask { prompt, provider, private } = command {
            let (id, application) = (MessageId(it.id.get()), ApplicationId(it.application_id.get()));
            let stage = Stage::Interaction(Hook { application, token, is_ephemeral: private });
            self.take(self.asked(&it, id, prompt, provider, at).await, stage).await;
        }
    }

    async fn asked(
        &self,
        it: &CommandInteraction,
        message_id: MessageId,
        prompt: &str,
        provider: Option<&str>,
        at: UnixMillis,
    ) -> Inbound {
        let channel_id = ChannelId(it.channel_id.get());
        let here = match it.guild_id {
            Some(_) => self.inner.places.find(&self.inner.rest, channel_id).await.ok(),
            None => None,
        };
        let place = match (&here, it.guild_id) {
            (Some(here), _) => here.place,
            (None, Some(_)) => Place::Channel,
            (None, None) => Place::Dm,
        };
        Inbound {
            message_id,
            channel_id,
            guild_id: it.guild_id.map(|it| GuildId(it.get())),
            place,
            trigger: Trigger::Command,
            author: commands::speaker(it),
            text: prompt.to_owned(),
            replied_to: None,
            opening: None,
            received_at: at,
            wish: provider.map(str::to_owned),
        }
    }

    /// The first READY: registers the commands, and finishes what the last process could not.
    async fn arrive(&self, application: ApplicationId) {
        if self.inner.is_resumed_from_store.set(()).is_err() {
            return;
        }
        for turn in self.inner.chat.unfinished(UnixMillis::now()).await {
            if turn.inbound.trigger == Trigger::Command {
                // What entitled to answer is gone with the process, and the answer may have been a private one.
                self.inner.chat.close_unseen(&turn, "interaction_lost", UnixMillis::now()).await;
                continue;
            }
            let stage =
                Stage::Channel { channel: turn.inbound.channel_id, question: turn.inbound.message_id };
            self.answer(Box::new(turn), stage, true);
        }
        let scopes: Vec<Option<GuildId>> = match &self.inner.settings.register_commands {
            RegisterCommands::Global => vec![None],
            RegisterCommands::Guilds(guilds) => guilds.iter().map(|it| Some(GuildId(*it))).collect(),
        };
        for scope in scopes {
            if let Err(failure) =
                self.inner.rest.put_commands(application, scope, &commands::declared()).await
            {
                error!(error = %failure, "the slash commands could not be registered; the old ones stay");
            }
        }
    }
}

/// Looks whether the connections are up. serenity tells its handlers of a stage only together with an event that came in,
/// so that nobody would hear of a gateway that takes no connections any more.
async fn watch_shards(shards: &ShardManager, is_connected: &watch::Sender<bool>) -> Infallible {
    let mut looks = interval(LOOK_EVERY);
    loop {
        looks.tick().await;
        let now = {
            let runners = shards.runners.lock().await;
            !runners.is_empty() && runners.values().all(|it| it.stage == ConnectionStage::Connected)
        };
        is_connected.send_if_modified(|it| std::mem::replace(it, now) != now);
    }
}

/// What the gateway is asked for.
fn intents(message_content: bool) -> GatewayIntents {
    let intents = GatewayIntents::GUILDS | GatewayIntents::GUILD_MESSAGES | GatewayIntents::DIRECT_MESSAGES;
    if message_content { intents | GatewayIntents::MESSAGE_CONTENT } else { intents }
}

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
        owner_id: None,
        last_message_id: None,
        thread_metadata: None,
    }
}

#[serenity::async_trait]
impl EventHandler for Door {
    async fn ready(&self, _: Context, ready: Ready) {
        let _in_hand = self.inner.chat.metrics().gateway_event("ready");
        let _ = self.inner.me.set(UserId(ready.user.id.get()));
        info!(
            user = ready.user.name,
            guilds = ready.guilds.len(),
            "connected to Discord as {}",
            ready.user.name
        );
        self.inner.is_connected.send_replace(true);
        // serenity runs each event in a task of its own, so that nobody waits for this.
        self.arrive(ApplicationId(ready.application.id.get())).await;
    }

    async fn resume(&self, _: Context, _: ResumedEvent) {
        let _in_hand = self.inner.chat.metrics().gateway_event("resumed");
        info!("the connection to Discord was resumed");
        self.inner.is_connected.send_replace(true);
    }

    async fn shard_stage_update(&self, _: Context, event: ShardStageUpdateEvent) {
        let is_connected = event.new == ConnectionStage::Connected;
        self.inner.is_connected.send_if_modified(|it| {
            let changed = *it != is_connected;
            *it = is_connected;
            changed
        });
        debug!(stage = %event.new, "the connection to Discord changed");
    }

    async fn message(&self, _: Context, message: Message) {
        let _in_hand = self.inner.chat.metrics().gateway_event("message");
        self.hear(message).await;
    }

    async fn interaction_create(&self, _: Context, interaction: Interaction) {
        let _in_hand = self.inner.chat.metrics().gateway_event("interaction");
        match interaction {
            Interaction::Command(it) => self.run_command(it).await,
            Interaction::Autocomplete(it) => {
                let choices = commands::complete(&self.inner.chat, &it);
                let token = SecretString::from(it.token.clone());
                let id = InteractionId(it.id.get());
                if let Err(failure) = self.inner.rest.respond(id, &token, &choices).await {
                    debug!(error = %failure, "choices came too late");
                }
            }
            _ => {}
        }
    }

    async fn guild_create(&self, _: Context, guild: Guild, _: Option<bool>) {
        for channel in guild.channels.values().chain(&guild.threads) {
            self.inner.places.learn(known(channel));
        }
    }

    async fn channel_create(&self, _: Context, channel: GuildChannel) {
        self.inner.places.learn(known(&channel));
    }

    async fn channel_update(&self, _: Context, _: Option<GuildChannel>, new: GuildChannel) {
        self.inner.places.learn(known(&new));
    }

    async fn channel_delete(&self, _: Context, channel: GuildChannel, _: Option<Vec<Message>>) {
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
}
