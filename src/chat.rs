//! One turn, start to end: claim, wait for the lane, remember what was said, ask, let the draft grow, record.

pub mod again;
mod ask;
pub mod away;
mod begin;
mod changes;
pub mod choices;
mod context;
pub mod files;
mod health;
pub mod lacking;
mod lanes;
mod limits;
mod play;
mod privacy;
mod queue;
mod rated;
mod registry;
mod running;
mod solved;
pub(crate) mod wording;

use crate::{
    config::{ChatConfig, LimitsConfig},
    ledger::Ledger,
    message::{ChannelId, ConversationId, GuildId, Inbound, MessageId, Place, Quoted, TurnId, UnixMillis},
    metrics::{Metrics, Running},
    router::{ProviderStanding, Router},
    store::{End as Ending, Resumption, Store, StoreError},
};
use again::Left;
pub use changes::Retraction;
use files::Fetch;
pub use health::Health;
use lanes::{AtOnce, LaneGuard, Lanes, Ticket};
use limits::Limits;
use queue::{Queue, Term};
use running::{Registered, UnderWay};
use std::{
    fmt,
    sync::{Arc, Mutex, OnceLock, PoisonError},
    time::Duration,
};
use tokio::{sync::watch, time::Instant};
use tokio_util::sync::CancellationToken;
use tracing::{Span, error, info};
pub(crate) use wording::whole_in_file;

/// So often is written what people have seen already. The store waits up to ten seconds each time.
const SLOW_TRIES: u32 = 6;

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

    fn new_id(&self) -> TurnId {
        TurnId::random(&mut self.rng.lock().unwrap_or_else(PoisonError::into_inner))
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

    /// A part of the answer is on Discord as this message.
    pub async fn note_part(&self, turn: &TurnId, part: u32, message: MessageId) {
        self.under_way.has_shown(turn);
        if let Err(failure) = insist(|| self.store.note_part(turn, part, message)).await {
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
        match insist(|| self.store.finish(&turn.id, ending, now)).await {
            Ok(_) => turn
                .span
                .in_scope(|| info!(state = ending.as_str(), took_ms, "turn ended: {}", ending.as_str())),
            Err(failure) => {
                turn.span.in_scope(|| error!(error = %failure, "the end of a turn could not be stored"));
            }
        }
    }
}

/// Writes what people have seen already: while the disk is slow, again and again. Each time the store waits for its turn.
async fn insist<T, Writing>(write: impl Fn() -> Writing) -> Result<T, StoreError>
where
    Writing: Future<Output = Result<T, StoreError>>,
{
    for _ in 1..SLOW_TRIES {
        match write().await {
            Err(StoreError::Busy { .. }) => {}
            done => return done,
        }
    }
    write().await
}

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

    /// The server, none in a DM.
    #[must_use]
    pub fn guild(&self) -> Option<GuildId> {
        self.inbound.guild_id
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::At;
    use std::cell::Cell;

    #[tokio::test]
    async fn what_people_have_seen_is_written_although_the_disk_is_slow() {
        let tried = Cell::new(0);
        let write = |busy: u32, then: fn() -> Result<(), StoreError>| {
            tried.set(0);
            let tried = &tried;
            insist(move || async move {
                tried.set(tried.get() + 1);
                if tried.get() <= busy { Err(StoreError::Busy { at: At(None) }) } else { then() }
            })
        };
        assert!(write(SLOW_TRIES - 1, || Ok(())).await.is_ok());
        assert!(matches!(write(SLOW_TRIES, || Ok(())).await, Err(StoreError::Busy { .. })));
        assert_eq!(tried.get(), SLOW_TRIES, "not for ever");
        assert!(matches!(write(1, || Err(StoreError::Closed)).await, Err(StoreError::Closed)));
        assert_eq!(tried.get(), 2, "what will not pass is not tried again");
    }
}
