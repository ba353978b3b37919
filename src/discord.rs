//! The front door: takes what the gateway tells, and sees to it that each message and command gets its answer.

mod access;
mod attachments;
mod budget;
mod buttons;
mod changes;
mod commands;
mod confirm;
mod events;
mod forum;
mod frozen;
mod gateway;
mod given;
mod inbound;
mod intake;
mod marks;
mod missed;
mod on_message;
mod outbound;
mod permissions;
mod places;
mod presence;
mod pressed;
mod registered;
pub mod rest;
mod resumed;
mod shards;
mod solved;
pub mod text;

use crate::{
    chat::{Begun, Chat, Turn},
    config::{ChatConfig, RegisterCommands},
    message::{
        Beside, ChannelId, GuildId, Inbound, MessageId, Opening, Place, Quoted, Trigger, UnixMillis, UserId,
    },
};
pub use access::missing_in;
use commands::Command;
pub use gateway::GatewayFailure;
use given::Given;
use inbound::Verdict;
use intake::Intake;
use marks::Marks;
use missed::{Heads, Order};
use outbound::{Delivery, Pace, Pacers, Stage};
use places::{Places, Whereabouts};
use rest::Rest;
use serenity::all::{CommandInteraction, CommandType, Message};
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::{OnceCell, SetOnce, watch},
    time::{Instant, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{debug, warn};

/// A sentence to a person that is no part of an answer.
const WORD_LIMIT: Duration = Duration::from_secs(10);

/// READY comes before any message, but its task may run a little later.
const READY_WITHIN: Duration = Duration::from_secs(10);

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
    pacers: Pacers,
    intake: Intake,
    me: SetOnce<UserId>,
    tasks: TaskTracker,
    closing: CancellationToken,
    hang_up: CancellationToken,
    is_connected: watch::Sender<bool>,
    waits: watch::Sender<Option<String>>,
    marks: Marks,
    heads: Heads,
    order: Order,
    taken_up: OnceCell<()>,
    /// Held by the one task that tries again to register the commands.
    registering: tokio::sync::Mutex<()>,
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
        let chat = chat.with_files(Arc::new(attachments::Attachments::new(rest.files())));
        let inner = Inner {
            chat,
            rest,
            settings,
            places: Places::default(),
            pacers: Pacers::default(),
            intake: Intake::default(),
            me: SetOnce::new(),
            tasks,
            closing,
            hang_up,
            is_connected: watch::Sender::new(false),
            waits: watch::Sender::new(None),
            marks: Marks::default(),
            heads: Heads::default(),
            order: Order::default(),
            taken_up: OnceCell::new(),
            registering: tokio::sync::Mutex::default(),
        };
        Self { inner: Arc::new(inner) }
    }

    /// Whether gateway events arrive.
    #[must_use]
    pub fn connected(&self) -> watch::Receiver<bool> {
        self.inner.is_connected.subscribe()
    }

    async fn hear(&self, message: Message) {
        let received_at = UnixMillis::now();
        // serenity runs each event in a task of its own, so that the first message may overtake READY.
        let Ok(&me) = timeout(READY_WITHIN, self.inner.me.wait()).await else { return };
        if self.inner.closing.is_cancelled() || message.author.id.get() == me.0 {
            return;
        }
        let here = self.whereabouts(&message).await;
        let (channel, author) = (ChannelId(message.channel_id.get()), UserId(message.author.id.get()));
        let _in_line = self.inner.intake.enter(channel, author).await;
        let verdict = inbound::judge(&message, me, &here, &self.inner.settings.chat);
        debug!(id = message.id.get(), %channel, place = ?here.place, ?verdict, "a message was heard");
        if self.joins(&message, verdict, &here, received_at).await {
            return;
        }
        let trigger = match self.with_call(&message, me, verdict) {
            Verdict::Ignore => return,
            Verdict::Answer(trigger) => trigger,
            Verdict::AnswerIfOurs(trigger) => {
                if !self.inner.chat.is_ours(ChannelId(message.channel_id.get())).await
                    || self.leaves_it_to_people(&message, &here, received_at).await
                {
                    return;
                }
                trigger
            }
        };
        if !self.may_answer(&message) {
            return;
        }
        let Some(mut inbound) = inbound::read(&message, me, &here, trigger, received_at) else {
            self.inner.intake.was_called(channel, author, MessageId(message.id.get()));
            return;
        };
        inbound.beside.chain = self.chain(&message, &inbound).await;
        if let Some(opening) = &mut inbound.opening {
            opening.starter = self.starter(&inbound.message_id, inbound.channel_id, &here, me).await;
        }
        let stage = Stage::Channel { channel, question: inbound.message_id };
        let roles = message.member.iter().flat_map(|it| &it.roles).map(|it| it.get());
        self.take(inbound, self.inner.chat.is_exempt(roles), stage).await;
        self.see_changes(channel, MessageId(message.id.get())).await;
    }

    /// Claims the message and answers it in a task of its own. `is_exempt`: no limit concerns whoever asks.
    async fn take(&self, inbound: Inbound, is_exempt: bool, stage: Stage) {
        match self.inner.chat.begin(inbound, is_exempt).await {
            Begun::Turn(turn) => self.answer(turn, stage, false),
            Begun::Duplicate => debug!("a message was heard again and is not answered twice"),
            Begun::Ignored => {}
            Begun::Refused(sentence) => self.say(&stage, &sentence).await,
            Begun::Hushed(sentence) => match &stage {
                Stage::Channel { .. } => debug!("a message is not answered, and people were told so before"),
                // It was announced that something comes.
                Stage::Interaction(_) => self.say(&stage, &sentence).await,
            },
        }
    }

    fn answer(&self, turn: Box<Turn>, stage: Stage, is_resumed: bool) {
        let door = self.clone();
        self.inner.tasks.spawn(async move { door.serve_turn(turn, stage, is_resumed).await });
    }

    async fn serve_turn(&self, mut turn: Box<Turn>, stage: Stage, is_resumed: bool) {
        let Inner { chat, rest, settings, closing, hang_up, .. } = &*self.inner;
        let conversation = turn.inbound.conversation();
        // Nobody waits for the end of an outage before the process ends.
        let put_off = async {
            closing.cancelled().await;
            chat.is_put_off(conversation).await;
        };
        tokio::select! {
            biased;
            () = chat.enter(&mut turn) => {}
            () = hang_up.cancelled() => return,
            () = put_off => return,
        }
        let turn = &*turn;
        let before = async {
            let me = self.inner.me.get().copied();
            if is_resumed {
                self.read_again(turn.inbound.channel_id, turn.inbound.message_id).await;
            }
            let parts = match is_resumed {
                _ if turn.is_again() => Some(pressed::parts(rest, &stage, turn, me, is_resumed).await),
                true => Some(resumed::parts_of(rest, &stage, me, &turn.parts).await),
                false => None,
            };
            if is_resumed && let Some(parts) = &parts {
                resumed::note(chat, &turn.id, &turn.parts, parts).await;
            }
            parts
        };
        let before = tokio::select! {
            biased;
            () = hang_up.cancelled() => return,
            before = before => before,
        };
        let edit_interval = settings.chat.edit_interval;
        let may_attach = turn.guild().is_none_or(|it| self.may_attach(it, turn.inbound.channel_id));
        // What cannot end in a file is messages to its end.
        let max_parts = if may_attach { settings.chat.max_parts as usize } else { usize::MAX };
        let (trusted_links, pacer) = (&*settings.chat.trusted_links, stage.pacer(&self.inner.pacers));
        let pace = Pace { edit_interval, max_parts, trusted_links, pacer };
        let (draft, shown) = watch::channel(crate::chat::Draft::default());
        let noted = |part, message| chat.note_part(&turn.id, part, message);
        let delivery =
            Delivery::new(rest, &stage, &turn.id, pace, before, noted).far_from_its_question(turn.is_again());
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
        let queued = async {
            closing.cancelled().await;
            turn.is_queued().await;
        };
        let (played, delivered) = tokio::select! {
            biased;
            ended = both => ended,
            () = watched => return,
            () = queued => return turn.leave(),
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
        if it.data.kind == CommandType::Message {
            return self.run_on_message(&it, at).await;
        }
        let options = it.data.options();
        let Some(command) = commands::read(&it.data.name, &options) else {
            warn!(command = it.data.name, "a command is not known to this version");
            return;
        };
        let by = Given::from(&it);
        let response = match &command {
            Command::Ask { private, .. } => commands::announced(*private),
            Command::PrivacyExport => commands::announced(true),
            Command::PrivacyForget => Self::ask_to_forget(&it),
            Command::Reset => self.ask_to_reset(&it).await,
            other => {
                let lacking = if *other == Command::Status { self.lacking(&it) } else { String::new() };
                commands::privately(&(commands::answer(&self.inner.chat, &it, other, at).await + &lacking))
            }
        };
        if let Err(failure) = self.inner.rest.respond(by.id, &by.token(), &response).await {
            warn!(error = %failure, command = it.data.name, "a command could not be answered");
            return;
        }
        match command {
            Command::Ask { prompt, provider, private } => {
                let stage = Stage::Interaction(by.hook(private));
                let question = self.asked(&it, MessageId(it.id.get()), prompt, provider, at).await;
                self.take(question, self.is_exempt(&it), stage).await;
            }
            Command::PrivacyExport => self.export(&by.hook(true), by.user()).await,
            _ => {}
        }
    }

    /// Whether no limit concerns whoever gives a command.
    fn is_exempt(&self, it: &CommandInteraction) -> bool {
        self.inner.chat.is_exempt(Given::from(it).roles())
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
        let opening = match (&here, self.inner.me.get()) {
            (Some(here), Some(&me)) if matches!(here.place, Place::Thread | Place::ForumPost) => {
                let starter = self.starter(&message_id, channel_id, here, me).await;
                Some(Opening { title: here.title.clone(), tags: here.tags.clone(), starter })
            }
            _ => None,
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
            author: Given::from(it).speaker(),
            text: prompt.to_owned(),
            replied_to: None,
            opening,
            beside: Beside::default(),
            received_at: at,
            wish: provider.map(str::to_owned),
        }
    }
}
