//! Turns that wait for any provider to be back, when all of them are down.
//!
//! **The problem.** In an outage an apology makes people ask again and again, and who is told "later" has to remember. If all
//! who wait are let go at once when the first provider is back, it is down again. **The rule.** The first question of a
//! conversation gets a notice and waits in its lane; those behind it wait in silence. As soon as somebody is ready they are
//! asked, a few at a time: twice as many with each that is being answered, and from the beginning again when one fails.
//! The answer takes the notice's place. If nobody is ready before its time is over, the turn ends with a word about that.
//! **The limits.** Only an outage is waited for: what is wrong with the question, or with the keys, will not mend itself. A
//! thousand turns can be queued, and the next one gets its apology at once. A provider that counts as ready although it just
//! failed a turn is not asked again at once by that turn, but after a pause that doubles.

use super::{
    Buttons, Chat, Draft, Ending, Played, Turn,
    again::{self, Left},
    play::given_up,
    wording,
};
use crate::{
    message::UnixMillis,
    outcome::Failure,
    router::{Ask, Exhausted, Outlook, strategy::Wish},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{
    sync::{oneshot, watch},
    time::{Instant, sleep_until},
};
use tracing::{error, info, warn};

/// So many turns are queued at once, each some 20 KB with its task. More is an outage that nobody would catch up with.
const QUEUED_AT_MOST: usize = 1000;
/// An interaction's token is good for 15 minutes; the answer has to be there before that.
const COMMAND_LIMIT: Duration = Duration::from_secs(14 * 60);
/// Turns that are let go at once when somebody is back, at first and at the most.
const AT_ONCE: (usize, usize) = (2, 64);
/// The longest pause before a turn asks somebody again who just failed it. Also how long it waits for somebody to be found
/// well before it tries one that it may ask.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Until when a turn may be queued.
#[derive(Clone, Copy, Debug)]
pub(super) struct Term {
    /// On the clock that waits are measured with.
    until: Instant,
    /// The same moment for people.
    at: UnixMillis,
    /// One moment on both clocks.
    since: (Instant, UnixMillis),
    /// Whether it may be queued at all.
    may_wait: bool,
    /// A command has to be answered until then, come what may.
    pub(super) answer_by: Option<Instant>,
}

impl Term {
    /// The term of a question, when `since` is the same moment on two clocks. `by_token`: an interaction's token is the only way
    /// to its reply.
    pub(super) fn of(
        received_at: UnixMillis,
        by_token: bool,
        queue_when_down: Duration,
        since: (Instant, UnixMillis),
    ) -> Self {
        let limit = by_token.then_some(COMMAND_LIMIT);
        let end = received_at.plus(limit.map_or(queue_when_down, |it| it.min(queue_when_down)));
        let when = |it: UnixMillis| since.0 + it.since(since.1);
        let answer_by = limit.map(|it| when(received_at.plus(it)));
        Self { until: when(end), at: end, since, may_wait: !queue_when_down.is_zero(), answer_by }
    }

    /// Whether it is over.
    pub(super) fn is_over(&self, now: Instant) -> bool {
        now >= self.until
    }

    /// What people's clocks say.
    pub(super) fn clock(&self, now: Instant) -> UnixMillis {
        let (then, at) = self.since;
        at.plus(now.saturating_duration_since(then))
    }
}

/// Whether waiting may help (pure): at least one failed in a way that passes, and the question itself is not at fault.
fn may_pass(exhausted: &Exhausted, outlook: &Outlook) -> bool {
    let of_turn: BTreeSet<Failure> = exhausted.failures.iter().map(|(_, it)| it.failure).collect();
    if of_turn.contains(&Failure::ContentFiltered) || of_turn.contains(&Failure::ContextTooLong) {
        return false;
    }
    if of_turn.is_empty() {
        return outlook.why.is_empty() || outlook.why.iter().any(|it| it.passes());
    }
    of_turn.into_iter().any(Failure::passes)
}

/// When a queued turn may ask again.
#[derive(Clone, Copy, Debug)]
struct Patience {
    /// Not before, even if somebody is ready.
    ready: Instant,
    /// Not before, if nobody is, but somebody may be asked.
    try_out: Instant,
}

impl Patience {
    /// That of a turn that has just been given up, after so many rounds before (pure).
    fn after(outlook: &Outlook, rounds: u32, pauses: (Duration, Option<Duration>), now: Instant) -> Self {
        let (first, looks_every) = pauses;
        let pause = first.saturating_mul(1 << rounds.min(16)).min(LONGEST_PAUSE);
        // Somebody who counts as well has just failed us; or nobody looks, and the turn is the one who finds out.
        let is_misled = outlook.is_ready || (looks_every.is_none() && outlook.can_be_asked);
        let ready = if is_misled { now + pause } else { now };
        let look = looks_every.map_or(pause, |it| it.clamp(pause, LONGEST_PAUSE.max(pause)));
        Self { ready, try_out: now + look }
    }

    /// Whether the turn may ask now; else when to look again at the latest, if there is such a time (pure).
    fn may_ask(self, outlook: &Outlook, now: Instant) -> Result<(), Option<Instant>> {
        if (outlook.is_ready && now >= self.ready) || (outlook.can_be_asked && now >= self.try_out) {
            return Ok(());
        }
        // A rate limit is over when it is over, and nobody tells.
        let (ready, try_out) =
            (outlook.is_ready.then_some(self.ready), outlook.can_be_asked.then_some(self.try_out));
        let times = [ready, try_out, outlook.soonest];
        Err(times.into_iter().flatten().filter(|it| *it > now).min())
    }
}

/// All queued turns of a process.
#[derive(Clone, Debug, Default)]
pub(super) struct Queue {
    gate: Arc<Mutex<Gate>>,
}

/// How many are let go, and who waits for that: the oldest question first.
#[derive(Debug)]
struct Gate {
    queued: usize,
    asking: usize,
    at_once: usize,
    waiting: BTreeMap<(UnixMillis, u64), oneshot::Sender<Permit>>,
    serial: u64,
}

impl Default for Gate {
    fn default() -> Self {
        Self { queued: 0, asking: 0, at_once: AT_ONCE.0, waiting: BTreeMap::new(), serial: 0 }
    }
}

/// A place in the queue; it counts as long as it lives.
#[derive(Debug)]
struct Place {
    queue: Queue,
}

/// A queued turn that asks again.
#[derive(Debug)]
pub(super) struct Permit {
    queue: Queue,
    was_good: Option<bool>,
}

impl Queue {
    fn gate(&self) -> MutexGuard<'_, Gate> {
        self.gate.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn place(&self) -> Option<Place> {
        let mut gate = self.gate();
        if gate.queued >= QUEUED_AT_MOST {
            return None;
        }
        gate.queued += 1;
        Some(Place { queue: self.clone() })
    }

    /// Waits to be let go. Who drops the future is not waited for.
    async fn let_go(&self, since: UnixMillis) -> Permit {
        let called = {
            let mut gate = self.gate();
            let (call, called) = oneshot::channel();
            let serial = gate.serial;
            gate.serial += 1;
            gate.waiting.insert((since, serial), call);
            called
        };
        self.let_some_go();
        match called.await {
            Ok(permit) => permit,
            // Nobody drops a waiting one unheard; if it were so, it would be free to go.
            Err(_) => Permit { queue: self.clone(), was_good: None },
        }
    }

    fn let_some_go(&self) {
        loop {
            let call = {
                let mut gate = self.gate();
                if gate.asking >= gate.at_once {
                    return;
                }
                let Some((_, call)) = gate.waiting.pop_first() else { return };
                if call.is_closed() {
                    continue;
                }
                gate.asking += 1;
                call
            };
            // One that gave up just now drops its permit, which lets the next one go.
            drop(call.send(Permit { queue: self.clone(), was_good: None }));
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.queue.gate().queued -= 1;
    }
}

impl Permit {
    /// It is being answered: more can be let go.
    pub(super) fn answered(mut self) {
        self.was_good = Some(true);
    }

    /// Nobody could be reached again.
    pub(super) fn refused(mut self) {
        self.was_good = Some(false);
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        {
            let mut gate = self.queue.gate();
            gate.asking = gate.asking.saturating_sub(1);
            gate.at_once = match self.was_good {
                Some(true) => (gate.at_once * 2).min(AT_ONCE.1),
                Some(false) => AT_ONCE.0,
                None => gate.at_once,
            };
        }
        self.queue.let_some_go();
    }
}

/// What a turn that nobody answered is to do.
pub(super) enum Next {
    /// Ask again.
    Ask,
    /// It has ended.
    End(Played),
    /// It ends as it would without a queue.
    GiveUp,
}

/// The rounds of a turn: each time that it was queued another one begins.
#[derive(Debug, Default)]
pub(super) struct Rounds {
    /// So many are over.
    over: u32,
    /// So many calls were made in them.
    calls: u32,
    /// What is shown is the notice.
    is_noticed: bool,
    permit: Option<Permit>,
}

impl Rounds {
    /// The place of a call in the whole turn, from its place in this round.
    pub(super) fn step(&self, step: u32) -> u32 {
        self.calls + step
    }

    /// Somebody begins to answer. Says whether what is shown has to go.
    pub(super) fn is_answered(&mut self) -> bool {
        if let Some(permit) = self.permit.take() {
            permit.answered();
        }
        std::mem::take(&mut self.is_noticed)
    }
}

/// Shows others that the turn is queued, as long as it lives.
struct Sign<'a>(&'a watch::Sender<bool>);

impl Drop for Sign<'_> {
    fn drop(&mut self) {
        self.0.send_replace(false);
    }
}

impl Chat {
    /// The router has given this turn up, after so many calls. Waits until somebody may be asked again, if that is worth it.
    pub(super) async fn try_later(
        &self,
        turn: &Turn,
        ask: &mut Ask,
        (exhausted, calls): (&Exhausted, usize),
        rounds: &mut Rounds,
        draft: &watch::Sender<Draft>,
    ) -> Next {
        if let Some(permit) = rounds.permit.take() {
            permit.refused();
        }
        let now = Instant::now();
        let outlook = self.router.outlook(&ask.wish, now);
        // Who has an answer already keeps it rather than waits for another one.
        if turn.earlier().is_some()
            || !turn.term.may_wait
            || exhausted.spoke
            || !may_pass(exhausted, &outlook)
        {
            return Next::GiveUp;
        }
        if turn.term.is_over(now) {
            return Next::End(expired(turn, draft));
        }
        let Some(_place) = self.queue.place() else { return Next::GiveUp };
        let pauses = (self.router.longest_pause(), self.router.looks_every());
        let patience = Patience::after(&outlook, rounds.over, pauses, now);
        if let Err(failure) = self.store.set_queued(&turn.id).await {
            error!(error = %failure, "a turn could not be marked as queued; a restart may find it too old");
        }
        info!(tried = exhausted.failures.len(), "nobody could be reached; the question is queued");
        if !std::mem::replace(&mut rounds.is_noticed, true) {
            draft.send_modify(|it| it.text = wording::notice(exhausted, turn.term.at));
        }
        rounds.over += 1;
        rounds.calls += u32::try_from(calls).unwrap_or(u32::MAX);
        turn.queued.send_replace(true);
        let _sign = Sign(&turn.queued);
        let queued = self.metrics.turn_queued();
        let guard = turn.guard.as_ref();
        guard.inspect(|it| it.put_off());
        let back = async {
            let permit = self.somebody(turn, &ask.wish, patience).await;
            if let Some(guard) = guard {
                let waiting = self.metrics.turn_waiting();
                drop(queued);
                guard.go_on(waiting).await;
            }
            permit
        };
        let permit = tokio::select! {
            biased;
            () = turn.cancel.cancelled() => {
                // The notice is no answer; what is said instead is up to whoever cancelled.
                draft.send_modify(|it| it.text.clear());
                return Next::End(given_up(turn, draft));
            }
            permit = back => permit,
            () = sleep_until(turn.term.until) => return Next::End(expired(turn, draft)),
        };
        rounds.permit = Some(permit);
        self.ask_anew(turn, ask).await;
        Next::Ask
    }

    /// Moderators may have chosen somebody else meanwhile.
    async fn ask_anew(&self, turn: &Turn, ask: &mut Ask) {
        let inbound = &turn.inbound;
        ask.started_at = turn.term.clock(Instant::now());
        let wish = self.wish(inbound.channel_id, inbound.guild_id, inbound.wish.as_deref(), ask.started_at);
        let (wish, marked) = tokio::join!(wish, self.store.set_answering(&turn.id));
        match wish {
            Ok(wish) => ask.wish = Wish { last: turn.ask_last(), ..wish },
            Err(failure) => error!(error = %failure, "could not read what moderators chose; it is as it was"),
        }
        if let Err(failure) = marked {
            warn!(error = %failure, "a turn could not be marked as being answered");
        }
    }

    /// Waits until somebody may be asked, and it is this turn's turn to do so.
    async fn somebody(&self, turn: &Turn, wish: &Wish, patience: Patience) -> Permit {
        let mut changes = self.router.changes();
        loop {
            changes.mark_unchanged();
            let now = Instant::now();
            match patience.may_ask(&self.router.outlook(wish, now), now) {
                Ok(()) => {
                    let permit = self.queue.let_go(turn.inbound.received_at).await;
                    let now = Instant::now();
                    if patience.may_ask(&self.router.outlook(wish, now), now).is_ok() {
                        return permit;
                    }
                }
                Err(look_at) => {
                    let later = async {
                        match look_at {
                            Some(at) => sleep_until(at).await,
                            None => std::future::pending().await,
                        }
                    };
                    tokio::select! {
                        // The router lives as long as this chat.
                        _ = changes.changed() => {}
                        () = later => {}
                    }
                }
            }
        }
    }
}

/// The turn's time is over, and nobody came back.
pub(super) fn expired(turn: &Turn, draft: &watch::Sender<Draft>) -> Played {
    draft.send_modify(|it| match turn.earlier() {
        Some(earlier) => {
            again::give_back(it, earlier, turn.inbound.place, wording::pressed::no_other_answer(&turn.id));
        }
        None => {
            it.text = wording::expired(&turn.id);
            (it.is_final, it.buttons) = (true, Buttons::Failed);
        }
    });
    Played { end: Ending::Expired, left: Left::Told }
}

#[cfg(test)]
mod tests;
