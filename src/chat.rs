//! One turn, start to end: claim, wait for the lane, remember what was said, ask, let the draft grow, record.

mod changes;
pub mod choices;
mod context;
pub mod files;
mod lanes;
mod running;
mod wording;

use crate::{
    config::{ChatConfig, Footer},
    ledger::Ledger,
    message::{
        ChannelId, ConversationId, GuildId, Inbound, Line, MessageId, Prompt, Quoted, Role, TurnId,
        UnixMillis,
    },
    metrics::{Metrics, Running},
    outcome::{Attempt, Failure, Outcome},
    providers::Finish,
    router::{
        Ask, Circle, End, Event, Exhausted, Performance, ProviderStanding, Router, Sharing, Source,
        strategy::Wish,
    },
    store::{Claim, End as Ending, Store, StoreError, StoredLine, Unfinished},
};
pub use changes::Retraction;
use context::{Known, Past, Room};
use files::Fetch;
use lanes::{LaneGuard, Lanes, NoPlace, Ticket};
use running::{Registered, Said, UnderWay};
use std::{
    fmt,
    sync::{Arc, Mutex, OnceLock, PoisonError},
    time::Duration,
};
use tokio::{sync::watch, time::Instant};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, Span, error, info, info_span, warn};
use wording::Why;

/// What people are shown, as it grows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Draft {
    /// The text so far. It may also become another text, when another provider takes over.
    pub text: String,
    /// The last line below it; only at the end.
    pub footer: Option<String>,
    /// Nothing more comes.
    pub is_final: bool,
    /// What people can press below it.
    pub buttons: Buttons,
}

/// The buttons below a reply.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Buttons {
    /// None.
    None,
    /// The answer is on its way, and can be stopped.
    #[default]
    Running,
    /// It is whole.
    Answered,
    /// There is none, or half of one.
    Failed,
}

/// What became of a message.
#[derive(Debug)]
pub enum Begun {
    /// It is to be answered.
    Turn(Box<Turn>),
    /// It was taken before.
    Duplicate,
    /// It is not answered, for the reason in this sentence.
    Refused(String),
}

/// A message on its way to an answer.
pub struct Turn {
    /// Its id.
    pub id: TurnId,
    /// What is answered.
    pub inbound: Inbound,
    /// The messages that show a part of the answer already, after a restart.
    pub parts: Vec<(u32, MessageId)>,
    /// Ends the turn early: nobody wants the answer any more.
    pub cancel: CancellationToken,
    /// The span that everything about this turn is logged in.
    pub span: Span,
    ticket: Option<Ticket>,
    guard: Option<LaneGuard>,
    registered: Registered,
    _running: Running,
}

impl fmt::Debug for Turn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Turn").field("id", &self.id).finish_non_exhaustive()
    }
}

/// How a turn ended, to be stored once people have seen it.
#[must_use = "the turn is open until it is closed in the store"]
#[derive(Debug)]
pub struct Played(Ending);

impl Played {
    /// Whether it was stopped, and nobody was told anything.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.0 == Ending::Cancelled
    }
}

/// How conversations are held.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `[chat]`
    pub chat: ChatConfig,
    /// Whether identical questions in flight are asked once.
    pub coalesce: bool,
    /// When this process began: turns claimed later are its own, and not to be finished as another one's.
    pub born: UnixMillis,
}

/// The conversations of a process.
#[derive(Clone, Debug)]
pub struct Chat {
    router: Router,
    store: Store,
    metrics: Arc<Metrics>,
    ledger: Ledger,
    settings: Arc<ChatConfig>,
    coalesce: bool,
    born: UnixMillis,
    lanes: Lanes,
    under_way: UnderWay,
    files: Option<Arc<dyn Fetch>>,
    /// What the bot is called, once that is known.
    name: Arc<OnceLock<String>>,
    rng: Arc<Mutex<fastrand::Rng>>,
}

impl Chat {
    /// The conversations over this router and store. `rng` draws the ids of turns.
    #[must_use]
    pub fn new(
        router: Router,
        store: Store,
        metrics: Arc<Metrics>,
        ledger: Ledger,
        settings: Settings,
        rng: fastrand::Rng,
    ) -> Self {
        let rng = Arc::new(Mutex::new(rng));
        let Settings { chat, coalesce, born } = settings;
        Self {
            router,
            store,
            metrics,
            ledger,
            settings: Arc::new(chat),
            coalesce,
            born,
            lanes: Lanes::default(),
            under_way: UnderWay::default(),
            files: None,
            name: Arc::default(),
            rng,
        }
    }

    /// The same, able to read what people attach.
    #[must_use]
    pub fn with_files(self, files: Arc<dyn Fetch>) -> Self {
        Self { files: Some(files), ..self }
    }

    /// The metrics of the process.
    #[must_use]
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// The providers' names, in the usual order.
    #[must_use]
    pub fn provider_names(&self) -> Vec<&str> {
        self.router.names()
    }

    /// Each provider's standing now.
    #[must_use]
    pub fn standings(&self) -> Vec<ProviderStanding> {
        self.router.standings(Instant::now())
    }

    /// Whether the store takes what is written.
    ///
    /// # Errors
    /// It does not.
    pub async fn store_is_writable(&self) -> Result<(), StoreError> {
        self.store.ping_write().await
    }

    /// The ledger by provider, since a moment.
    ///
    /// # Errors
    /// When the ledger can't be read.
    pub async fn reliability(
        &self,
        since: UnixMillis,
        now: UnixMillis,
    ) -> Result<Vec<crate::store::ProviderReliability>, StoreError> {
        self.ledger.flush().await;
        self.store.reliability(since, now.plus(Duration::from_millis(1))).await
    }

    /// Whether the bot has been part of this conversation.
    pub async fn is_ours(&self, channel: ChannelId) -> bool {
        self.store.is_ours(channel).await.unwrap_or_else(|failure| {
            error!(error = %failure, "could not look up whether a conversation is ours");
            false
        })
    }

    /// A message that is remembered.
    pub async fn remembered(&self, message: MessageId) -> Option<Quoted> {
        Some(self.remembered_reply(message).await?.0)
    }

    /// `/help`.
    #[must_use]
    pub fn help(&self) -> String {
        wording::help()
    }

    /// What somebody is told who may not give a command here.
    #[must_use]
    pub fn only_moderators(&self, is_on_server: bool) -> String {
        if is_on_server { wording::only_moderators() } else { wording::only_on_servers() }
    }

    /// What somebody is told whose command could not be carried out.
    #[must_use]
    pub fn command_failed(&self) -> String {
        wording::command_failed()
    }

    /// `/reset`.
    ///
    /// # Errors
    /// When the store could not forget; then nothing is forgotten.
    pub async fn reset(&self, channel: ChannelId, at: UnixMillis) -> Result<String, StoreError> {
        Ok(wording::reset(self.store.clear(ConversationId(channel), at).await?))
    }

    /// Takes a message: claims it, so that it is answered once, and gets in line for its conversation.
    pub async fn begin(&self, inbound: Inbound) -> Begun {
        let ticket = match self.lanes.line_up(inbound.conversation(), inbound.message_id) {
            Ok(ticket) => ticket,
            Err(NoPlace::Full) => return Begun::Refused(wording::too_many_waiting()),
            Err(NoPlace::Taken) => return Begun::Duplicate,
        };
        let running = self.metrics.turn_running();
        // Three draws: a clash of 50 random bits happens once in a blue moon, three in a row never.
        for _ in 0..3 {
            let id = TurnId::random(&mut self.rng.lock().unwrap_or_else(PoisonError::into_inner));
            match self.store.claim(&inbound, &id).await {
                Ok(Claim::New) => {
                    return Begun::Turn(Box::new(self.turn(id, inbound, Vec::new(), ticket, running)));
                }
                Ok(Claim::Duplicate) => return Begun::Duplicate,
                Ok(Claim::IdTaken) => {}
                Err(failure) => {
                    error!(turn = %id, error = %failure, "a message could not be claimed and is not answered");
                    self.metrics.turn_ended("failed");
                    return Begun::Refused(wording::store_is_unwell(&id));
                }
            }
        }
        Begun::Duplicate
    }

    /// The turns that had not ended when the process did, in line to be finished; those that are too old are closed.
    pub async fn unfinished(&self, now: UnixMillis) -> Vec<Turn> {
        let oldest = now.minus(self.settings.answer_missed);
        let found = async {
            let expired = self.store.expire_unfinished(oldest, now).await?;
            Ok::<_, StoreError>((expired, self.store.unfinished(oldest, self.born).await?))
        };
        let (expired, unfinished) = match found.await {
            Ok(found) => found,
            Err(failure) => {
                error!(error = %failure, "could not look for turns that had not ended");
                return Vec::new();
            }
        };
        if expired + unfinished.len() as u64 > 0 {
            info!(expired, resumed = unfinished.len(), "turns had not ended when the process did");
        }
        let in_line = |it: Unfinished| {
            let ticket = self.lanes.line_up(it.inbound.conversation(), it.inbound.message_id).ok()?;
            Some(self.turn(it.turn, it.inbound, it.parts, ticket, self.metrics.turn_running()))
        };
        unfinished.into_iter().filter_map(in_line).collect()
    }

    fn turn(
        &self,
        id: TurnId,
        inbound: Inbound,
        parts: Vec<(u32, MessageId)>,
        ticket: Ticket,
        running: Running,
    ) -> Turn {
        let span = info_span!("turn", id = %id, conversation = %inbound.conversation());
        let cancel = CancellationToken::new();
        let registered = self.under_way.register(&id, &inbound, cancel.clone());
        let ticket = Some(ticket);
        Turn { id, inbound, parts, cancel, span, ticket, guard: None, registered, _running: running }
    }

    /// Waits for the conversation's lane.
    pub async fn enter(&self, turn: &mut Turn) {
        if let Some(ticket) = turn.ticket.take() {
            turn.guard = Some(ticket.enter().await);
        }
    }

    /// Asks, and lets the draft grow until it is final.
    pub async fn play(&self, turn: &Turn, draft: &watch::Sender<Draft>) -> Played {
        self.play_in_span(turn, draft).instrument(turn.span.clone()).await
    }

    async fn play_in_span(&self, turn: &Turn, draft: &watch::Sender<Draft>) -> Played {
        let inbound = &turn.inbound;
        let (wish, marked) = tokio::join!(
            self.wish(inbound.channel_id, inbound.guild_id, inbound.wish.as_deref(), inbound.received_at),
            self.store.set_answering(&turn.id),
        );
        if let Err(failure) = &marked {
            warn!(error = %failure, "a turn could not be marked as being answered");
        }
        let wish = wish.unwrap_or_else(|failure| {
            error!(error = %failure, "could not read what moderators chose; the usual order holds");
            Wish::default()
        });
        let mut said = turn.registered.said();
        loop {
            if let Some(played) = self.play_once(turn, &mut said, &wish, draft).await {
                return played;
            }
            info!("the question changed; the turn begins anew");
            draft.send_modify(|it| it.text.clear());
        }
    }

    /// Asks what was said last, until there is an end. None when other words were said meanwhile.
    async fn play_once(
        &self,
        turn: &Turn,
        said: &mut watch::Receiver<Said>,
        wish: &Wish,
        draft: &watch::Sender<Draft>,
    ) -> Option<Played> {
        let asked = said.borrow_and_update().clone();
        let inbound = asked.of(&turn.inbound);
        let mut prompt = Arc::new(self.prompt(turn, &inbound).await);
        let mut story = Story::default();
        let mut performance = self.router.play(&self.question(&inbound, &prompt, wish));
        loop {
            tokio::select! {
                biased;
                () = turn.cancel.cancelled() => return Some(self.cancelled(turn, performance)),
                Ok(()) = said.changed() => {
                    self.hang_up(turn, performance);
                    return None;
                }
                event = performance.next() => match event {
                    Some(Event::Attempt(attempt)) => {
                        self.ledger.note(&turn.id, attempt.clone());
                        story.attempts.push(attempt);
                    }
                    Some(Event::Opened { afresh, .. }) => {
                        if afresh {
                            draft.send_modify(|it| it.text.clear());
                        }
                    }
                    Some(Event::Text(text)) => draft.send_modify(|it| it.text.push_str(&text)),
                    // Nobody on Discord offers tools.
                    Some(Event::ToolCall(_)) => {}
                    Some(Event::Ended(end)) => match files::blindly(&prompt, &end) {
                        Some(blind) => {
                            prompt = Arc::new(blind);
                            performance = self.router.play(&self.question(&inbound, &prompt, wish));
                        }
                        None if !turn.registered.settle(&asked) => return None,
                        None => return Some(self.ended(turn, end, &story, draft)),
                    },
                    None => return Some(self.ended(turn, End::Exhausted(Exhausted::default()), &story, draft)),
                }
            }
        }
    }

    /// What a model is told of a question.
    async fn prompt(&self, turn: &Turn, inbound: &Inbound) -> Prompt {
        let files = async {
            match &self.files {
                Some(fetch) if !inbound.beside.files.is_empty() => {
                    fetch.fetch(inbound.beside.files.clone()).await
                }
                Some(_) | None => Vec::new(),
            }
        };
        let files = async {
            tokio::select! {
                files = files => files,
                () = turn.cancel.cancelled() => Vec::new(),
            }
        };
        let (past, files) = tokio::join!(self.history(turn), files);
        let (system, bot) = (self.settings.system_prompt.as_str(), self.name.get().map(String::as_str));
        context::fit(Known { system, inbound, past: &past, files: &files, bot }, self.room())
    }

    fn question(&self, inbound: &Inbound, prompt: &Arc<Prompt>, wish: &Wish) -> Ask {
        Ask {
            prompt: Arc::clone(prompt),
            wish: wish.clone(),
            sharing: Some(self.sharing(inbound)),
            session: inbound.channel_id.0,
            server: inbound.guild_id,
            started_at: inbound.received_at,
        }
    }

    /// Within a server people see each other's questions anyway; a direct message is nobody else's.
    fn sharing(&self, inbound: &Inbound) -> Sharing {
        let circle = inbound.guild_id.map_or(Circle::Channel(inbound.channel_id), Circle::Server);
        Sharing { circle, cached: true, in_flight: self.coalesce }
    }

    async fn history(&self, turn: &Turn) -> Vec<Past> {
        let conversation = turn.inbound.conversation();
        let recent = self.store.recent(conversation, Some(&turn.id), self.settings.context_messages).await;
        let lines = recent.unwrap_or_else(|failure| {
            error!(error = %failure, "could not read the conversation; it is answered without its past");
            Vec::new()
        });
        let past = |it: StoredLine| {
            let line = Line { role: it.role, speaker: it.author_name, text: it.text };
            Past { message_id: it.message_id, author: it.author_id, line }
        };
        lines.into_iter().map(past).collect()
    }

    fn room(&self) -> Room {
        let ChatConfig { context_messages, context_tokens, reply_tokens, .. } = *self.settings;
        Room { messages: context_messages as usize, tokens: context_tokens, reply_tokens }
    }

    fn cancelled(&self, turn: &Turn, performance: Performance) -> Played {
        self.hang_up(turn, performance);
        Played(Ending::Cancelled)
    }

    fn hang_up(&self, turn: &Turn, performance: Performance) {
        for attempt in performance.cancel() {
            self.ledger.note(&turn.id, attempt);
        }
    }

    fn ended(&self, turn: &Turn, end: End, story: &Story, draft: &watch::Sender<Draft>) -> Played {
        match end {
            End::Answered { provider, passed_over, finish, source } => {
                let cut_short = finish == Finish::Length;
                let others = story.others(&provider, &passed_over, &source);
                let footer = match self.settings.footer {
                    Footer::Never => None,
                    Footer::Failover if others.is_empty() => wording::footer(None, &others, cut_short),
                    Footer::Always | Footer::Failover => wording::footer(Some(&provider), &others, cut_short),
                };
                draft.send_modify(|it| {
                    (it.footer, it.is_final, it.buttons) = (footer, true, Buttons::Answered);
                });
                let text = draft.borrow().text.clone();
                Played(Ending::Answered { provider, text })
            }
            End::Exhausted(exhausted) => {
                let error = exhausted.failures.first().map_or("nobody_ready", |(_, it)| it.failure.as_str());
                let provider = exhausted.failures.last().map(|(name, _)| name.clone());
                error!(failure = error, tried = exhausted.failures.len(), "nobody could answer");
                draft.send_modify(|it| {
                    if exhausted.spoke && !it.text.trim().is_empty() {
                        let is_filtered = exhausted
                            .failures
                            .last()
                            .is_some_and(|(_, it)| it.failure == Failure::ContentFiltered);
                        it.footer = Some(wording::broken_off(is_filtered, &turn.id));
                    } else {
                        it.text = wording::apology(&exhausted, &turn.id);
                    }
                    (it.is_final, it.buttons) = (true, Buttons::Failed);
                });
                Played(Ending::Failed { provider, error: error.to_owned() })
            }
        }
    }

    /// A part of the answer is on Discord as this message.
    pub async fn note_part(&self, turn: &TurnId, part: u32, message: MessageId) {
        self.under_way.has_shown(turn);
        if let Err(failure) = self.store.note_part(turn, part, message).await {
            error!(%turn, error = %failure, "a posted part could not be stored; after a crash it would be posted again");
        }
    }

    /// People have seen the end: closes the turn.
    pub async fn close(&self, turn: &Turn, played: Played, now: UnixMillis) {
        self.end(turn, &played.0, now).await;
    }

    /// The answer could not be shown: closes the turn with the reason, a machine word.
    pub async fn close_unseen(&self, turn: &Turn, reason: &str, now: UnixMillis) {
        self.end(turn, &Ending::Failed { provider: None, error: reason.to_owned() }, now).await;
    }

    async fn end(&self, turn: &Turn, ending: &Ending, now: UnixMillis) {
        self.metrics.turn_ended(ending.as_str());
        let took_ms = u64::try_from(now.since(turn.inbound.received_at).as_millis()).unwrap_or(u64::MAX);
        match self.store.finish(&turn.id, ending, now).await {
            Ok(_) => turn
                .span
                .in_scope(|| info!(state = ending.as_str(), took_ms, "turn ended: {}", ending.as_str())),
            Err(failure) => {
                turn.span.in_scope(|| error!(error = %failure, "the end of a turn could not be stored"));
            }
        }
    }
}

/// What happened in a turn so far.
#[derive(Debug, Default)]
struct Story {
    attempts: Vec<Attempt>,
}

impl Story {
    /// Why the others did not answer: those that come before `provider`, and failures on the way, be it another turn's whose
    /// answer this is.
    fn others(
        &self,
        provider: &str,
        passed_over: &[(String, Failure)],
        source: &Source,
    ) -> Vec<(String, Why)> {
        let resting = passed_over.iter().map(|(name, failure)| (name.clone(), Why::Resting(*failure)));
        let calls = match source {
            Source::Joined { calls } => calls.as_slice(),
            Source::Asked | Source::Remembered => &[],
        };
        let tried = calls.iter().chain(&self.attempts).filter_map(|it| match &it.outcome {
            Outcome::Failed(failed) if it.provider != provider || failed.failure == Failure::BrokenStream => {
                Some((it.provider.clone(), Why::Failed(failed.failure)))
            }
            Outcome::Overtaken => Some((it.provider.clone(), Why::Slow)),
            Outcome::Failed(_) | Outcome::Answered | Outcome::Cancelled => None,
        });
        let mut others: Vec<(String, Why)> = Vec::new();
        for (name, why) in resting.chain(tried) {
            if let Some(known) = others.iter_mut().find(|(it, _)| *it == name) {
                known.1 = why;
            } else {
                others.push((name, why));
            }
        }
        others
    }
}

/// A turn without Discord: the `ask` command. Text comes as it is spoken; the ledger has every call.
impl Chat {
    /// Plays one question, telling each event after it was recorded.
    pub async fn ask(
        &self,
        text: &str,
        wish: &Wish,
        at: UnixMillis,
        mut hear: impl FnMut(&Event),
    ) -> (TurnId, Option<End>) {
        let id = TurnId::random(&mut self.rng.lock().unwrap_or_else(PoisonError::into_inner));
        let line = Line { role: Role::User, speaker: None, text: text.to_owned() };
        let system = self.settings.system_prompt.clone();
        let prompt = Prompt {
            system,
            lines: vec![line],
            reply_tokens: self.settings.reply_tokens,
            ..Prompt::default()
        };
        let ask = Ask { prompt: Arc::new(prompt), wish: wish.clone(), started_at: at, ..Ask::default() };
        let mut performance = self.router.play(&ask);
        while let Some(event) = performance.next().await {
            if let Event::Attempt(attempt) = &event {
                self.ledger.note(&id, attempt.clone());
            }
            hear(&event);
            if let Event::Ended(end) = event {
                self.ledger.flush().await;
                return (id, Some(end));
            }
        }
        (id, None)
    }

    /// What happened to a provider, in words: follows its name.
    #[must_use]
    pub fn because(failure: Failure) -> &'static str {
        wording::because(failure)
    }

    /// What a person at a terminal is told when nobody answered.
    #[must_use]
    pub fn apology(&self, exhausted: &Exhausted, turn: &TurnId) -> String {
        wording::apology(exhausted, turn)
    }
}

/// The server a message came from, for those who only need that.
impl Turn {
    /// Whether its question was deleted, so that nothing is to be shown of it any more.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        self.registered.is_gone()
    }

    /// The server, none in a DM.
    #[must_use]
    pub fn guild(&self) -> Option<GuildId> {
        self.inbound.guild_id
    }
}
