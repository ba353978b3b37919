//! One turn, start to end: claim, wait for the lane, remember what was said, ask, let the draft grow, record.

pub mod again;
pub mod away;
mod changes;
pub mod choices;
mod context;
pub mod files;
mod health;
pub mod lacking;
mod lanes;
mod limits;
mod privacy;
mod queue;
mod rated;
mod registry;
mod running;
mod solved;
pub(crate) mod wording;

use crate::{
    config::{ChatConfig, Footer, LimitsConfig},
    ledger::Ledger,
    message::{
        ChannelId, ConversationId, GuildId, Inbound, Line, MessageId, Place, Prompt, Quoted, Role, TurnId,
        UnixMillis,
    },
    metrics::{Metrics, Running},
    outcome::{Attempt, Failure, Outcome},
    providers::Finish,
    router::{
        Ask, Circle, End, Event, Exhausted, Performance, ProviderStanding, Router, Sharing, Source,
        strategy::Wish,
    },
    store::{Claim, End as Ending, Resumption, Store, StoreError, StoredLine, Unfinished},
};
use again::Left;
pub use changes::Retraction;
use context::{Known, Past, Room};
use files::Fetch;
use futures::{
    FutureExt as _,
    future::{Fuse, FusedFuture as _},
};
pub use health::Health;
use lanes::{AtOnce, Caller, LaneGuard, Lanes, NoPlace, Ticket};
use limits::{Asker, Limits};
use queue::{Next, Queue, Rounds, Term};
use running::{Registered, Said, UnderWay};
use std::{
    fmt,
    future::Future,
    pin::{Pin, pin},
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    time::Duration,
};
use tokio::{
    sync::watch,
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, Span, error, info, info_span, warn};
use wording::Why;
pub(crate) use wording::whole_in_file;

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
    /// It is whole, and may have solved a forum post.
    AnsweredInPost,
    /// There is none, or half of one.
    Failed,
}

impl Buttons {
    /// Those of a whole answer.
    pub(crate) fn below_an_answer(place: Place) -> Self {
        match place {
            Place::ForumPost => Self::AnsweredInPost,
            Place::Dm | Place::Channel | Place::Thread => Self::Answered,
        }
    }
}

/// What became of a message.
#[derive(Debug)]
pub enum Begun {
    /// It is to be answered.
    Turn(Box<Turn>),
    /// It was taken before.
    Duplicate,
    /// It is not answered, and there is nothing to say about that.
    Ignored,
    /// It is not answered, for the reason in this sentence.
    Refused(String),
    /// The same, and people were told a moment ago: the sentence is for whoever waits for a word, as after a command.
    Hushed(String),
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
    again: Option<Resumption>,
    registered: Registered,
    /// How long it waits when nobody can be reached.
    term: Term,
    /// Whether it waits so now.
    queued: watch::Sender<bool>,
    /// It was queued before a restart.
    was_queued: bool,
    /// It could not begin in time.
    is_late: bool,
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
pub struct Played {
    end: Ending,
    left: Left,
}

impl Played {
    /// Whether it was stopped, and nobody was told anything.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.end == Ending::Cancelled && self.left == Left::Untold
    }
}

/// How conversations are held.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `[chat]`
    pub chat: ChatConfig,
    /// `[limits]`
    pub limits: LimitsConfig,
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
    limits: Arc<Mutex<Limits>>,
    exempt_roles: Arc<[u64]>,
    queue: Queue,
    under_way: UnderWay,
    files: Option<Arc<dyn Fetch>>,
    /// What the bot is called, once that is known.
    name: Arc<OnceLock<String>>,
    rng: Arc<Mutex<fastrand::Rng>>,
    /// When the database's files were last rid of what somebody wanted forgotten.
    scrubbed: Arc<Mutex<Option<UnixMillis>>>,
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
        let Settings { chat, limits, coalesce, born } = settings;
        let many = |count: u32| usize::try_from(count).unwrap_or(usize::MAX);
        let at_once =
            AtOnce { turns: many(limits.concurrent), of_a_person: many(limits.concurrent_per_user) };
        Self {
            router,
            store,
            metrics,
            ledger,
            settings: Arc::new(chat),
            coalesce,
            born,
            lanes: Lanes::new(at_once),
            limits: Arc::new(Mutex::new(Limits::new(&limits))),
            exempt_roles: limits.exempt_roles.into(),
            queue: Queue::default(),
            under_way: UnderWay::default(),
            files: None,
            name: Arc::default(),
            rng,
            scrubbed: Arc::default(),
        }
    }

    fn rng(&self) -> MutexGuard<'_, fastrand::Rng> {
        self.rng.lock().unwrap_or_else(PoisonError::into_inner)
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

    /// Tells when a provider's standing has changed.
    #[must_use]
    pub fn provider_changes(&self) -> watch::Receiver<()> {
        self.router.changes()
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

    /// Whether no limit concerns somebody with these roles.
    #[must_use]
    pub fn is_exempt(&self, mut roles: impl Iterator<Item = u64>) -> bool {
        roles.any(|it| self.exempt_roles.contains(&it))
    }

    /// Takes a message: sees whether it is within the limits, gets in line for its conversation, and claims it, so that it is
    /// answered once.
    pub async fn begin(&self, mut inbound: Inbound, is_exempt: bool) -> Begun {
        let (asker, message) = (asker(&inbound), inbound.message_id);
        let claim = async {
            match self.spare(&mut inbound).await {
                Some(refused) => refused,
                None => self.claim(inbound, is_exempt).await,
            }
        };
        self.within_limits(asker, message, is_exempt, claim).await
    }

    /// Begins a turn if the limits have room for it; one that did not come to be is not counted.
    async fn within_limits(
        &self,
        asker: Asker,
        claim: MessageId,
        is_exempt: bool,
        begin: impl Future<Output = Begun>,
    ) -> Begun {
        if !is_exempt {
            let now = Instant::now();
            let taken = self.limits().take(&asker, now);
            if let Err(over) = taken {
                self.metrics.refused(over.scope.as_str());
                let is_told = self.limits().is_told(over, &asker, now);
                return self.refuse(claim, wording::over_limit(over), is_told).await;
            }
        }
        let begun = begin.await;
        if !is_exempt && !matches!(begun, Begun::Turn(_)) {
            self.limits().give_back(&asker);
        }
        begun
    }

    fn limits(&self) -> MutexGuard<'_, Limits> {
        self.limits.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A message that has no place; unless it has its turn already, and was heard again.
    async fn refuse(&self, message: MessageId, sentence: String, is_told: bool) -> Begun {
        if !is_told {
            return Begun::Hushed(sentence);
        }
        match self.store.has_turn(message).await {
            Ok(true) => Begun::Duplicate,
            Ok(false) | Err(_) => Begun::Refused(sentence),
        }
    }

    async fn claim(&self, inbound: Inbound, is_exempt: bool) -> Begun {
        let ticket = match self.place(&inbound, inbound.message_id, is_exempt).await {
            Ok(ticket) => ticket,
            Err(begun) => return begun,
        };
        let running = self.metrics.turn_running();
        // Three draws: a clash of 50 random bits happens once in a blue moon, three in a row never.
        for _ in 0..3 {
            let id = TurnId::random(&mut self.rng.lock().unwrap_or_else(PoisonError::into_inner));
            match self.store.claim(&inbound, &id).await {
                Ok(Claim::New) => {
                    let term = self.term(&inbound, inbound.received_at);
                    return Begun::Turn(Box::new(self.turn(id, inbound, term, ticket, running)));
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

    /// A place in line for who comes newly; or what becomes of them without one.
    async fn place(&self, inbound: &Inbound, message: MessageId, is_exempt: bool) -> Result<Ticket, Begun> {
        match self.line_up(inbound, message, is_exempt, false) {
            Ok(ticket) => Ok(ticket),
            Err(NoPlace::Full) => {
                self.metrics.refused("line");
                let is_told = self.limits().is_told_of_the_line(inbound.channel_id, Instant::now());
                Err(self.refuse(message, wording::too_many_waiting(), is_told).await)
            }
            Err(NoPlace::Taken) => Err(Begun::Duplicate),
        }
    }

    /// The turns that had not ended when the process did, in line to be finished. Those that are too old are not
    /// among them: see [`Chat::overdue`].
    pub async fn unfinished(&self, now: UnixMillis) -> Vec<Turn> {
        let (oldest, oldest_queued) = self.oldest(now);
        let found = async {
            let unfinished = self.store.unfinished(oldest, oldest_queued, self.born).await?;
            Ok::<_, StoreError>((unfinished, self.store.queued().await?))
        };
        let (unfinished, queued) = match found.await {
            Ok(found) => found,
            Err(failure) => {
                error!(error = %failure, "could not look for turns that had not ended");
                return Vec::new();
            }
        };
        if !unfinished.is_empty() {
            info!(resumed = unfinished.len(), "turns had not ended when the process did");
        }
        let in_line = |it: Unfinished| {
            let ticket = self.line_up(&it.inbound, it.inbound.message_id, false, true).ok()?;
            let (term, was_queued) = (self.term(&it.inbound, now), queued.contains(&it.turn));
            let turn = self.turn(it.turn, it.inbound, term, ticket, self.metrics.turn_running());
            Some(Turn { parts: it.parts, again: it.again, was_queued, ..turn })
        };
        unfinished.into_iter().filter_map(in_line).collect()
    }

    /// What is not older is still answered; and the same for what waits in an outage.
    fn oldest(&self, now: UnixMillis) -> (UnixMillis, UnixMillis) {
        (now.minus(self.settings.answer_missed), now.minus(self.settings.queue_when_down))
    }

    fn line_up(
        &self,
        inbound: &Inbound,
        message: MessageId,
        is_exempt: bool,
        was_accepted: bool,
    ) -> Result<Ticket, NoPlace> {
        let caller = Caller {
            conversation: inbound.conversation(),
            message,
            person: inbound.author.id,
            circle: circle(inbound),
            is_exempt,
        };
        self.lanes.line_up(caller, was_accepted, self.metrics.turn_waiting())
    }

    /// How long a question waits when nobody can be reached; it is `at` now.
    fn term(&self, inbound: &Inbound, at: UnixMillis) -> Term {
        Term::of(inbound, self.settings.queue_when_down, Instant::now(), at)
    }

    fn turn(&self, id: TurnId, inbound: Inbound, term: Term, ticket: Ticket, running: Running) -> Turn {
        let span = info_span!("turn", id = %id, conversation = %inbound.conversation());
        let cancel = CancellationToken::new();
        let registered = self.under_way.register(&id, &inbound, cancel.clone());
        Turn {
            id,
            inbound,
            parts: Vec::new(),
            cancel,
            span,
            ticket: Some(ticket),
            guard: None,
            term,
            queued: watch::Sender::new(false),
            was_queued: false,
            is_late: false,
            again: None,
            registered,
            _running: running,
        }
    }

    /// Waits for the conversation's lane; not longer than a command can be answered, or than anybody wants an answer.
    pub async fn enter(&self, turn: &mut Turn) {
        let Some(ticket) = turn.ticket.take() else { return };
        let late = async {
            match turn.term.answer_by {
                Some(at) => sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            guard = ticket.enter() => turn.guard = Some(guard),
            () = turn.cancel.cancelled() => {}
            () = late => turn.is_late = true,
        }
    }

    /// Waits until a conversation is held up by a turn that waits for any provider to be back. For ever, if it never is.
    pub async fn is_put_off(&self, conversation: ConversationId) {
        self.lanes.put_off(conversation).await;
    }

    /// Asks, and lets the draft grow until it is final.
    pub async fn play(&self, turn: &Turn, draft: &watch::Sender<Draft>) -> Played {
        self.play_in_span(turn, draft).instrument(turn.span.clone()).await
    }

    async fn play_in_span(&self, turn: &Turn, draft: &watch::Sender<Draft>) -> Played {
        let inbound = &turn.inbound;
        if turn.is_late || (turn.was_queued && turn.term.is_over(Instant::now())) {
            return queue::expired(turn, draft);
        }
        let wish =
            self.wish(inbound.channel_id, inbound.guild_id, inbound.wish.as_deref(), inbound.received_at);
        let mut wish = wish.await.unwrap_or_else(|failure| {
            error!(error = %failure, "could not read what moderators chose; the usual order holds");
            Wish::default()
        });
        wish.last = turn.ask_last();
        // The provider is not kept waiting for a commit.
        let mut marking = pin!(self.mark_answering(&turn.id).fuse());
        let mut said = turn.registered.said();
        loop {
            if let Some(played) = self.play_once(turn, &mut said, &wish, marking.as_mut(), draft).await {
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
        mut marking: Pin<&mut Fuse<impl Future<Output = ()>>>,
        draft: &watch::Sender<Draft>,
    ) -> Option<Played> {
        let asked = said.borrow_and_update().clone();
        let inbound = asked.of(&turn.inbound);
        let prompt = Arc::new(self.prompt(turn, &inbound).await);
        let (mut story, mut rounds) = (Story::default(), Rounds::default());
        let mut ask = self.question(turn, &inbound, prompt, wish);
        let mut performance = self.router.play(&ask);
        loop {
            let ended = tokio::select! {
                biased;
                () = turn.cancel.cancelled() => return Some(self.cancelled(turn, performance, draft)),
                Ok(()) = said.changed() => {
                    self.hang_up(turn, performance);
                    return None;
                }
                () = &mut marking, if !marking.is_terminated() => continue,
                event = performance.next() => match event {
                    Some(Event::Attempt(mut attempt)) => {
                        attempt.step = rounds.step(attempt.step);
                        self.ledger.note(&turn.id, attempt.clone());
                        story.attempts.push(attempt);
                        continue;
                    }
                    Some(Event::Opened { afresh, .. }) => {
                        if rounds.is_answered() || afresh {
                            draft.send_modify(|it| it.text.clear());
                        }
                        continue;
                    }
                    Some(Event::Text(text)) => {
                        draft.send_modify(|it| it.text.push_str(&text));
                        continue;
                    }
                    // Nobody on Discord offers tools.
                    Some(Event::ToolCall(_)) => continue,
                    Some(Event::Ended(end)) => end,
                    None => End::Exhausted(Exhausted::default()),
                }
            };
            if let Some(blind) = files::blindly(&ask.prompt, &ended) {
                ask.prompt = Arc::new(blind);
                performance = self.router.play(&ask);
                continue;
            }
            if let End::Exhausted(exhausted) = &ended {
                if !marking.is_terminated() {
                    // It may hold the one connection that writes.
                    marking.as_mut().await;
                }
                let given_up = (exhausted, story.attempts.len());
                match self.try_later(turn, &mut ask, given_up, &mut rounds, draft).await {
                    Next::Ask => {
                        (story, performance) = (Story::default(), self.router.play(&ask));
                        continue;
                    }
                    Next::End(played) => return Some(played),
                    Next::GiveUp => {}
                }
            }
            return turn.registered.settle(&asked).then(|| self.ended(turn, ended, &story, draft));
        }
    }

    async fn mark_answering(&self, turn: &TurnId) {
        if let Err(failure) = self.store.set_answering(turn).await {
            warn!(error = %failure, "a turn could not be marked as being answered");
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

    fn question(&self, turn: &Turn, inbound: &Inbound, prompt: Arc<Prompt>, wish: &Wish) -> Ask {
        Ask {
            prompt,
            wish: wish.clone(),
            // Whoever asks once more does not want what is known already.
            sharing: (!turn.is_again()).then(|| self.sharing(inbound)),
            session: inbound.channel_id.0,
            server: inbound.guild_id,
            started_at: inbound.received_at,
        }
    }

    /// Within a server people see each other's questions anyway; a direct message is nobody else's.
    fn sharing(&self, inbound: &Inbound) -> Sharing {
        Sharing { circle: circle(inbound), cached: true, in_flight: self.coalesce }
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

    fn cancelled(&self, turn: &Turn, performance: Performance, draft: &watch::Sender<Draft>) -> Played {
        self.hang_up(turn, performance);
        given_up(turn, draft)
    }

    fn hang_up(&self, turn: &Turn, performance: Performance) {
        for attempt in performance.cancel() {
            self.ledger.note(&turn.id, attempt);
        }
    }

    fn ended(&self, turn: &Turn, end: End, story: &Story, draft: &watch::Sender<Draft>) -> Played {
        turn.registered.mark_shown();
        match end {
            End::Answered { provider, passed_over, finish, source } => {
                let cut_short = finish == Finish::Length;
                let others = story.others(&provider, &passed_over, &source);
                let footer = match self.settings.footer {
                    Footer::Never => None,
                    Footer::Failover if others.is_empty() => wording::footer(None, &others, cut_short),
                    Footer::Always | Footer::Failover => wording::footer(Some(&provider), &others, cut_short),
                };
                let buttons = Buttons::below_an_answer(turn.inbound.place);
                draft.send_modify(|it| {
                    (it.footer, it.is_final, it.buttons) = (footer, true, buttons);
                });
                let text = draft.borrow().text.clone();
                Played { end: Ending::Answered { provider, text }, left: Left::Told }
            }
            End::Exhausted(exhausted) => {
                let error = exhausted.failures.first().map_or("nobody_ready", |(_, it)| it.failure.as_str());
                let provider = exhausted.failures.last().map(|(name, _)| name.clone());
                error!(failure = error, tried = exhausted.failures.len(), "nobody could answer");
                draft.send_modify(|it| {
                    if let Some(earlier) = turn.earlier() {
                        again::give_back(
                            it,
                            earlier,
                            turn.inbound.place,
                            wording::pressed::no_other_answer(&turn.id),
                        );
                        return;
                    }
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
                let end = Ending::Failed { provider, error: error.to_owned() };
                Played { end, left: Left::Told }
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
        if played.left == Left::Replaced {
            self.forget_earlier(turn).await;
        }
        self.end(turn, &played.end, now).await;
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

/// Who may see each other's answers, and share what the process can bear.
/// The turn was cancelled: whoever stopped it is named, and otherwise nobody is told anything.
fn given_up(turn: &Turn, draft: &watch::Sender<Draft>) -> Played {
    let mut left = Left::Untold;
    turn.registered.mark_shown();
    let by = turn.registered.stopped();
    draft.send_modify(|it| left = again::stopped(it, by, turn.earlier(), turn.inbound.place));
    Played { end: Ending::Cancelled, left }
}

fn circle(inbound: &Inbound) -> Circle {
    inbound.guild_id.map_or(Circle::Channel(inbound.channel_id), Circle::Server)
}

fn asker(inbound: &Inbound) -> Asker {
    Asker { person: inbound.author.id, channel: inbound.channel_id, server: inbound.guild_id }
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
    /// Waits until the turn waits for any provider to be back. For ever, if it never does.
    pub async fn is_queued(&self) {
        // The sender is the turn's own.
        let _ = self.queued.subscribe().wait_for(|it| *it).await;
    }

    /// The process ends, and this turn goes on after the next start: nobody behind it begins now.
    pub fn leave(&self) {
        self.guard.iter().for_each(LaneGuard::leave);
    }

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
