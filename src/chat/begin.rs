//! How a message becomes a turn: within the limits, claimed, in line for its conversation.

use super::{
    Begun, Chat, Turn,
    lanes::{Caller, NoPlace, Ticket},
    limits::{Asker, Limits},
    queue::Term,
    wording,
};
use crate::{
    message::{ConversationId, Inbound, MessageId, Trigger, TurnId, UnixMillis},
    metrics::Running,
    router::Circle,
    store::{Claim, StoreError, Unfinished},
};
use std::{
    future::Future,
    sync::{MutexGuard, PoisonError},
};
use tokio::{
    sync::watch,
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, info_span};

impl Chat {
    /// Whether no limit concerns somebody with these roles.
    #[must_use]
    pub fn is_exempt(&self, mut roles: impl Iterator<Item = u64>) -> bool {
        roles.any(|it| self.exempt_roles.contains(&it))
    }

    /// Takes a message: sees whether it is within the limits, gets in line for its conversation, and claims it, so that it is
    /// answered once.
    pub async fn begin(&self, inbound: Inbound, is_exempt: bool) -> Begun {
        let (asker, message) = (asker(&inbound), inbound.message_id);
        self.within_limits(asker, message, is_exempt, self.claim(inbound, is_exempt)).await
    }

    /// Begins a turn if the limits have room for it; one that did not come to be is not counted.
    pub(super) async fn within_limits(
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

    pub(super) fn limits(&self) -> MutexGuard<'_, Limits> {
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

    async fn claim(&self, mut inbound: Inbound, is_exempt: bool) -> Begun {
        // Nothing is waited for before it: whoever spoke first has the first place.
        let ticket = match self.place(&inbound, inbound.message_id, is_exempt).await {
            Ok(ticket) => ticket,
            Err(begun) => return begun,
        };
        if let Some(refused) = self.spare(&mut inbound).await {
            return refused;
        }
        let running = self.metrics.turn_running();
        let asked = &inbound;
        match self.draw(|id| async move { self.store.claim(asked, &id).await }).await {
            Ok(Some(id)) => {
                let term = self.term(&inbound, false, inbound.received_at);
                Begun::Turn(Box::new(self.turn(id, inbound, term, ticket, running)))
            }
            Ok(None) => Begun::Duplicate,
            Err((id, failure)) => {
                error!(turn = %id, error = %failure, "a message could not be claimed and is not answered");
                self.metrics.turn_ended("failed");
                Begun::Refused(wording::store_is_unwell(&id))
            }
        }
    }

    /// A place in line for who comes newly; or what becomes of them without one.
    pub(super) async fn place(
        &self,
        inbound: &Inbound,
        message: MessageId,
        is_exempt: bool,
    ) -> Result<Ticket, Begun> {
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
            let is_hooked = it.again.as_ref().is_some_and(|it| it.is_hooked);
            let (term, was_queued) = (self.term(&it.inbound, is_hooked, now), queued.contains(&it.turn));
            let turn = self.turn(it.turn, it.inbound, term, ticket, self.metrics.turn_running());
            Some(Turn { parts: it.parts, again: it.again, was_queued, ..turn })
        };
        unfinished.into_iter().filter_map(in_line).collect()
    }

    /// What is not older is still answered; and the same for what waits in an outage.
    pub(super) fn oldest(&self, now: UnixMillis) -> (UnixMillis, UnixMillis) {
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

    /// How long a question waits when nobody can be reached; it is `at` now. `is_hooked`: see [`Turn::is_hooked`].
    pub(super) fn term(&self, inbound: &Inbound, is_hooked: bool, at: UnixMillis) -> Term {
        let by_token = is_hooked || inbound.trigger == Trigger::Command;
        Term::of(inbound.received_at, by_token, self.settings.queue_when_down, (Instant::now(), at))
    }

    /// Claims something with an id that no turn has. None when it was claimed before.
    pub(super) async fn draw<Claiming>(
        &self,
        claim: impl Fn(TurnId) -> Claiming,
    ) -> Result<Option<TurnId>, (TurnId, StoreError)>
    where
        Claiming: Future<Output = Result<Claim, StoreError>>,
    {
        // Three draws: a clash of 50 random bits happens once in a blue moon, three in a row never.
        for _ in 0..3 {
            let id = self.new_id();
            match claim(id.clone()).await {
                Ok(Claim::New) => return Ok(Some(id)),
                Ok(Claim::Duplicate) => return Ok(None),
                Ok(Claim::IdTaken) => {}
                Err(failure) => return Err((id, failure)),
            }
        }
        Ok(None)
    }

    pub(super) fn turn(
        &self,
        id: TurnId,
        inbound: Inbound,
        term: Term,
        ticket: Ticket,
        running: Running,
    ) -> Turn {
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
}

/// Who may see each other's answers, and share what the process can bear.
pub(super) fn circle(inbound: &Inbound) -> Circle {
    inbound.guild_id.map_or(Circle::Channel(inbound.channel_id), Circle::Server)
}

pub(super) fn asker(inbound: &Inbound) -> Asker {
    Asker { person: inbound.author.id, channel: inbound.channel_id, server: inbound.guild_id }
}
