//! The loop that plays a plan: who is asked when, who wins, and who goes on when the winner breaks off.

use super::{
    Ask, End, Event, Exhausted, Player, Shared, Source, State,
    attempt::{self, First, Limits, Live, Opened, Spoken},
    ceilings::{Full, Ticket},
    reckon::{reckon, tokens_of},
    retry::{self, Next},
    room::{self, Measured},
    roster::{Begun, Standing},
    strategy::Plan,
};
use crate::{
    message::{GuildId, Prompt, ToolCall, UnixMillis},
    outcome::{Attempt, Failed, Failure, Lesson, Outcome, Taught, Usage},
    providers::Finish,
};
use futures::future::BoxFuture;
use std::{
    borrow::Cow,
    collections::VecDeque,
    fmt,
    future::poll_fn,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::Poll,
    time::Duration,
};
use tokio::{
    sync::watch,
    time::{Instant, sleep_until},
};

mod cue;

use cue::Cue;

/// What no honest answer reaches, in bytes: the limit of tokens bounds those. A provider that never stops would fill a channel.
const LONGEST_ANSWER: usize = 100_000;

/// The same for a program, which may want a book.
const LONGEST_OUTPUT: usize = 4 * 1024 * 1024;

/// A turn under way.
#[must_use = "nothing is asked before `next` is awaited"]
pub(super) struct Solo {
    shared: Arc<Shared>,
    prompt: Arc<Prompt>,
    /// What the prompt's parts cost, so that each call gets what fits; none for a program's, which is passed on as it is.
    measured: Option<Measured>,
    server: Option<GuildId>,
    started_at: UnixMillis,
    born: Instant,
    deadline: Instant,
    upcoming: Vec<Upcoming>,
    running: Vec<Call>,
    live: Option<(Meta, Live)>,
    calls_left: u32,
    /// Tokens of the prompt, and those together with the longest answer: reckoned.
    tokens_in: u64,
    tokens_ahead: u64,
    /// Tells when somebody's standing has changed.
    changed: watch::Receiver<()>,
    /// It has asked for looks at those who are not well.
    has_called: bool,
    step: u32,
    join: Option<Join>,
    idle_since: Instant,
    bad_requests: u32,
    failures: Vec<(String, Failed)>,
    spoke: bool,
    /// Bytes of the answer that is being spoken.
    heard: usize,
    told: VecDeque<Event>,
    is_over: bool,
}

impl fmt::Debug for Solo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Solo")
            .field("step", &self.step)
            .field("is_over", &self.is_over)
            .finish_non_exhaustive()
    }
}

#[derive(Clone, Copy, Debug)]
struct Upcoming {
    /// Its place in the plan.
    place: usize,
    provider: usize,
    joined_after: Option<Duration>,
    tries: u32,
    not_before: Instant,
}

#[derive(Debug)]
struct Meta {
    upcoming: Upcoming,
    begun: Begun,
    step: u32,
    started: Instant,
    first_text: Option<Duration>,
    /// When something came of it last, or it began.
    heard: Instant,
    /// Its place below the provider's ceilings; given back when the call is told.
    ticket: Option<Ticket>,
    is_sent: bool,
    /// It has cast doubt on its provider, once: should a look find that well, then this call is the odd one.
    has_doubted: bool,
}

/// When the next one joins those that are being waited for.
#[derive(Clone, Copy, Debug)]
struct Join {
    at: Instant,
    /// Whether that is an extra call, paid from the budget; it is none after a failure or in a race.
    is_extra: bool,
}

struct Call {
    meta: Meta,
    accepted: Arc<AtomicBool>,
    future: BoxFuture<'static, Result<Opened, Failed>>,
}

impl Solo {
    pub(super) fn new(shared: Arc<Shared>, ask: &Ask, plan: Plan, now: Instant) -> Self {
        let Ask { prompt, server, started_at, .. } = ask;
        let upcoming = plan.steps.into_iter().enumerate().map(|(place, step)| Upcoming {
            place,
            provider: step.provider,
            joined_after: step.joined_after,
            tries: 0,
            not_before: now,
        });
        let tokens_in = tokens_of(prompt);
        let measured = prompt.request.is_none().then(|| Measured::new(prompt));
        let mut solo = Self {
            changed: shared.changed.subscribe(),
            has_called: false,
            tokens_in,
            tokens_ahead: tokens_in + u64::from(prompt.reply_tokens),
            deadline: now + shared.settings.turn_timeout,
            shared,
            prompt: Arc::clone(prompt),
            measured,
            server: *server,
            started_at: *started_at,
            born: now,
            upcoming: upcoming.collect(),
            running: Vec::new(),
            live: None,
            calls_left: plan.calls,
            step: 0,
            join: None,
            idle_since: now,
            bad_requests: 0,
            failures: Vec::new(),
            spoke: false,
            heard: 0,
            told: VecDeque::new(),
            is_over: false,
        };
        solo.pass_over_the_narrow();
        solo
    }

    /// Those whose window does not even take the question are not asked; they are told of only when nobody else is there.
    fn pass_over_the_narrow(&mut self) {
        let players = &self.shared.players;
        let (fit, narrow): (Vec<_>, Vec<_>) = self
            .upcoming
            .drain(..)
            .partition(|it| left_out(players, &self.measured, &self.prompt, it.provider).is_some());
        self.upcoming = fit;
        if self.upcoming.is_empty() {
            let failed = |it: &Upcoming| {
                let name = players[it.provider].provider.name().to_owned();
                (name, Failed::new(Failure::ContextTooLong, "does not fit the window"))
            };
            self.failures = narrow.iter().map(failed).collect();
        }
    }

    /// The prompt as this provider's window takes it.
    fn fitted(&self, provider: usize) -> Arc<Prompt> {
        let left_out = left_out(&self.shared.players, &self.measured, &self.prompt, provider);
        match left_out.map(|it| room::without(&self.prompt, it)) {
            Some(Cow::Owned(shorter)) => Arc::new(shorter),
            Some(Cow::Borrowed(_)) | None => Arc::clone(&self.prompt),
        }
    }

    /// The next thing that happens; none after [`Event::Ended`]. May be dropped while it waits; nothing is lost.
    pub(super) async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.told.pop_front() {
                return Some(event);
            }
            if self.is_over {
                return None;
            }
            self.advance().await;
        }
    }

    /// Nobody wants the answer any more: hangs up everywhere and returns the calls that were under way.
    #[must_use = "each call is a row of the ledger"]
    pub(super) fn cancel(mut self) -> Vec<Attempt> {
        self.hang_up(&Outcome::Cancelled);
        let told = std::mem::take(&mut self.told);
        told.into_iter()
            .filter_map(|event| match event {
                Event::Attempt(attempt) => Some(attempt),
                Event::Opened { .. } | Event::Text(_) | Event::ToolCall(_) | Event::Ended(_) => None,
            })
            .collect()
    }

    async fn advance(&mut self) {
        if let Some((_, live)) = &mut self.live {
            let spoken = live.next().await;
            return self.hear(spoken);
        }
        let now = Instant::now();
        if now >= self.deadline {
            return self.time_is_up();
        }
        let wake = match self.cue(now) {
            Cue::Begin(index) => return self.begin(index, now),
            Cue::Wait(None) if self.running.is_empty() => return self.exhausted(false),
            Cue::Wait(wake) => wake.map_or(self.deadline, |it| it.min(self.deadline)),
        };
        let (running, changed) = (&mut self.running, &mut self.changed);
        tokio::select! {
            biased;
            (index, ended) = first_to_end(running), if !running.is_empty() => self.ended(index, ended),
            () = sleep_until(wake) => {
                if wake == self.deadline {
                    self.time_is_up();
                }
            }
            _ = changed.changed() => {}
        }
    }

    fn begin(&mut self, index: usize, now: Instant) {
        let mut upcoming = self.upcoming.remove(index);
        let player = &self.shared.players[upcoming.provider];
        let (begun, ticket) = {
            let mut guard = self.shared.state();
            let State { roster, gauges, repeats, .. } = &mut *guard;
            let (member, gauge) = (&mut roster[upcoming.provider], &mut gauges[upcoming.provider]);
            let at = self.at(now);
            // Another turn may have taken the probe's place, or the last one below the ceilings, in between.
            let may =
                member.standing(now).can_be_asked() && gauge.may_begin(now, at, self.tokens_ahead).is_ok();
            if may && upcoming.tries > 0 && !repeats.take() {
                return;
            }
            let Some(begun) = may.then(|| member.begin(now)).flatten() else {
                drop(guard);
                return self.upcoming.insert(index, upcoming);
            };
            (begun, gauge.begin(now, at, self.tokens_ahead).ok())
        };
        upcoming.tries += 1;
        self.calls_left -= 1;
        self.join = upcoming.joined_after.map(|after| Join { at: now + after, is_extra: !after.is_zero() });
        let accepted = Arc::new(AtomicBool::new(false));
        let (provider, prompt) = (Arc::clone(&player.provider), self.fitted(upcoming.provider));
        let limits =
            Limits { attempt: player.limits.attempt.min(self.deadline.duration_since(now)), ..player.limits };
        let future = attempt::open(provider, prompt, limits, now, Arc::clone(&accepted));
        let meta = Meta {
            upcoming,
            begun,
            step: self.step,
            started: now,
            first_text: None,
            heard: now,
            ticket,
            is_sent: false,
            has_doubted: false,
        };
        self.step += 1;
        self.running.push(Call { meta, accepted, future: Box::pin(future) });
    }

    fn ended(&mut self, index: usize, ended: Result<Opened, Failed>) {
        let Call { mut meta, accepted, .. } = self.running.remove(index);
        let now = Instant::now();
        match ended {
            Err(failed) => {
                let usage = self.unheard(&accepted);
                self.failed(meta, usage, failed, now);
            }
            Ok(opened) => {
                let took = now.duration_since(meta.started);
                (meta.first_text, meta.heard) = (Some(took), now);
                self.overtake();
                let player = &self.shared.players[meta.upcoming.provider];
                let gap = {
                    let mut state = self.shared.state();
                    let member = &mut state.roster[meta.upcoming.provider];
                    member.note_first_text(meta.begun, took, now);
                    member.gap_p95()
                };
                let end = self.deadline.min(meta.started + player.limits.attempt);
                let (provider, model) =
                    (player.provider.name().to_owned(), player.provider.model().to_owned());
                let (live, first) = Live::new(opened, player.limits.stall(gap), end, self.deadline, now);
                self.told.push_back(Event::Opened { provider, model, afresh: self.spoke });
                self.heard = 0;
                self.spoke = true;
                self.live = Some((meta, live));
                match first {
                    First::Text(text) => self.speak(text, now),
                    First::ToolCall(call) => self.call_tool(call, now),
                }
            }
        }
    }

    fn hear(&mut self, spoken: Spoken) {
        let now = Instant::now();
        match spoken {
            Spoken::Text(text, gap) => {
                if let Some((meta, _)) = &mut self.live {
                    meta.heard = now;
                    self.shared.state().roster[meta.upcoming.provider].note_gap(gap);
                }
                self.speak(text, now);
            }
            Spoken::ToolCall(call) => {
                if let Some((meta, _)) = &mut self.live {
                    meta.heard = now;
                }
                self.call_tool(call, now);
            }
            // Slow text is better than none.
            Spoken::Drips if !self.has_understudy(now) => {}
            Spoken::Drips => {
                if let Some((meta, _)) = &mut self.live {
                    // A drop now and then is as good as silence.
                    meta.heard = meta.started;
                }
                self.broke_off(Failed::new(Failure::BrokenStream, "too slow"), now);
            }
            Spoken::Done(Finish::ContentFilter) => {
                self.broke_off(Failed::new(Failure::ContentFiltered, "content_filter"), now);
            }
            Spoken::Done(Finish::Refusal) => {
                self.broke_off(Failed::new(Failure::ContentFiltered, "refusal"), now);
            }
            Spoken::Done(finish) => self.answered(Outcome::Answered, finish, now),
            Spoken::Failed(failed) => self.broke_off(failed, now),
            Spoken::TimeIsUp => self.time_is_up(),
        }
    }

    fn speak(&mut self, text: String, now: Instant) {
        let bytes = text.len();
        self.told.push_back(Event::Text(text));
        self.grows(bytes, now);
    }

    fn call_tool(&mut self, call: ToolCall, now: Instant) {
        let bytes = call.arguments.len();
        self.told.push_back(Event::ToolCall(call));
        self.grows(bytes, now);
    }

    /// The answer is longer by so much, and ends where no answer is longer.
    fn grows(&mut self, bytes: usize, now: Instant) {
        self.heard += bytes;
        let longest = if self.prompt.request.is_some() { LONGEST_OUTPUT } else { LONGEST_ANSWER };
        if self.heard > longest {
            self.answered(Outcome::Cancelled, Finish::Length, now);
        }
    }

    /// The live answer ends here: whole, or as long as an answer may be.
    fn answered(&mut self, outcome: Outcome, finish: Finish, now: Instant) {
        let Some((mut meta, live)) = self.live.take() else { return };
        let usage = reckon(live.usage(), self.tokens_in, self.heard);
        let provider = self.tell(&mut meta, usage, outcome, now);
        let passed_over = self.passed_over(&meta, now);
        self.told.push_back(Event::Ended(End::Answered {
            provider,
            finish,
            passed_over,
            source: Source::Asked,
        }));
        self.is_over = true;
    }

    /// What a call used of which nothing was heard: nothing, if the provider did not take the question.
    fn unheard(&self, accepted: &AtomicBool) -> Usage {
        let nothing = Usage::default();
        if accepted.load(Ordering::Relaxed) { reckon(nothing, self.tokens_in, 0) } else { nothing }
    }

    /// The time of day at a moment of this turn.
    fn at(&self, moment: Instant) -> UnixMillis {
        self.started_at.plus(moment.duration_since(self.born))
    }

    /// Those who were never asked and would have come before the winner, if they did not rest.
    fn passed_over(&self, winner: &Meta, now: Instant) -> Vec<(String, Failure)> {
        let state = self.shared.state();
        let before = self.upcoming.iter().filter(|it| it.place < winner.upcoming.place && it.tries == 0);
        let unwell = before.filter_map(|it| {
            let why = state.roster[it.provider].standing(now).why()?;
            Some((self.shared.players[it.provider].provider.name().to_owned(), why))
        });
        unwell.collect()
    }

    fn broke_off(&mut self, failed: Failed, now: Instant) {
        let Some((meta, live)) = self.live.take() else { return };
        let usage = reckon(live.usage(), self.tokens_in, self.heard);
        self.failed(meta, usage, failed, now);
        if !self.shared.settings.rewrite && !self.is_over {
            self.exhausted(false);
        }
    }

    /// A call failed: it is told, and decides who goes on.
    fn failed(&mut self, mut meta: Meta, usage: Usage, failed: Failed, now: Instant) {
        let failure = failed.failure;
        let name = self.tell(&mut meta, usage, Outcome::Failed(failed.clone()), now);
        self.failures.push((name, failed));
        self.idle_since = now;
        self.join = Some(Join { at: now, is_extra: false });
        match retry::next(failure) {
            Next::Others => {}
            Next::OthersThenAgain => self.again_later(meta.upcoming, now),
            Next::WiderWindow => {
                let players = &self.shared.players;
                let too_small = players[meta.upcoming.provider].provider.context_window();
                self.upcoming.retain(|it| players[it.provider].provider.context_window() > too_small);
            }
            Next::OneOther => {
                self.bad_requests += 1;
                if self.bad_requests > 1 {
                    self.exhausted(false);
                }
            }
            Next::Stop => self.exhausted(false),
        }
    }

    /// Puts a provider to the end of the line, if it may be asked again.
    fn again_later(&mut self, upcoming: Upcoming, now: Instant) {
        let settings = &self.shared.settings;
        if upcoming.tries < settings.attempts_per_provider {
            let (base, max) = settings.backoff;
            let pause = retry::backoff(base, max, upcoming.tries - 1, &mut self.shared.state().rng);
            self.upcoming.push(Upcoming { not_before: now + pause, ..upcoming });
        }
    }

    /// The first text is here: everybody else is hung up on, and stays available in case the winner breaks off.
    fn overtake(&mut self) {
        let now = Instant::now();
        let mut available = Vec::with_capacity(self.running.len() + self.upcoming.len());
        for mut call in std::mem::take(&mut self.running) {
            let usage = self.unheard(&call.accepted);
            self.note_no_text(&call.meta, now);
            self.tell(&mut call.meta, usage, Outcome::Overtaken, now);
            // It was no failure, so that it may be asked as if it had not been.
            self.calls_left += 1;
            available.push(Upcoming { tries: call.meta.upcoming.tries - 1, ..call.meta.upcoming });
        }
        // Before those that failed and may be asked again.
        available.append(&mut self.upcoming);
        self.upcoming = available;
        self.join = None;
    }

    /// A loser whose patience had run out: its first text would have come later than that. Without this a provider that is
    /// always overtaken would seem as fast as it once was.
    fn note_no_text(&self, meta: &Meta, now: Instant) {
        let took = now.duration_since(meta.started);
        if meta.upcoming.joined_after.is_some_and(|after| !after.is_zero() && took >= after) {
            self.shared.state().roster[meta.upcoming.provider].note_no_text(took);
        }
    }

    fn time_is_up(&mut self) {
        self.hang_up(&Outcome::Failed(Failed::new(Failure::Timeout, "turn timeout")));
        self.exhausted(true);
    }

    /// Ends every call under way with `outcome`.
    fn hang_up(&mut self, outcome: &Outcome) {
        let now = Instant::now();
        if self.running.is_empty() && self.live.is_none() {
            return;
        }
        let running = std::mem::take(&mut self.running).into_iter();
        let running = running.map(|it| (it.meta, self.unheard(&it.accepted)));
        let mut calls: Vec<_> = running.collect();
        let live = self.live.take();
        calls.extend(live.map(|(meta, live)| (meta, reckon(live.usage(), self.tokens_in, self.heard))));
        for (mut meta, usage) in calls {
            let name = self.tell(&mut meta, usage, outcome.clone(), now);
            if let Some(failed) = outcome.failed() {
                self.failures.push((name, failed.clone()));
            }
        }
    }

    fn exhausted(&mut self, timed_out: bool) {
        self.hang_up(&Outcome::Cancelled);
        let now = Instant::now();
        let try_again_in = self.try_again_in(now);
        let timed_out = timed_out || now >= self.deadline;
        let failures = std::mem::take(&mut self.failures);
        let exhausted = Exhausted { failures, try_again_in, spoke: self.spoke, timed_out };
        self.told.push_back(Event::Ended(End::Exhausted(exhausted)));
        self.is_over = true;
    }

    /// When the first of those who may answer this turn can be asked again; none: at once, or nobody knows.
    fn try_again_in(&self, now: Instant) -> Option<Duration> {
        let at = self.at(now);
        let state = self.shared.state();
        let players = self.shared.players.iter().enumerate();
        let in_line = players.filter(|(place, player)| {
            self.upcoming.iter().any(|it| it.provider == *place)
                || self.failures.iter().any(|(name, _)| name == player.provider.name())
        });
        let free_at = in_line.filter_map(|(place, _)| {
            let rested_at = match state.roster[place].standing(now) {
                Standing::Resting { until, .. } => until,
                Standing::Ready | Standing::Doubted { .. } | Standing::Probing { .. } => now,
            };
            match state.gauges[place].may_begin(now, at, self.tokens_ahead) {
                Ok(()) | Err(Full::WhenOneEnds) => Some(rested_at),
                Err(Full::Until(at)) => Some(rested_at.max(at)),
                Err(Full::Tomorrow) => None,
            }
        });
        let soonest = free_at.min()?;
        Some(soonest.saturating_duration_since(now)).filter(|it| !it.is_zero())
    }

    /// Tells a call's end to the roster and to whoever listens. Returns the provider's name.
    fn tell(&mut self, meta: &mut Meta, usage: Usage, outcome: Outcome, now: Instant) -> String {
        let provider = &self.shared.players[meta.upcoming.provider].provider;
        let cost = provider.cost(usage);
        self.settle(meta, usage, cost, &outcome, now);
        let attempt = Attempt {
            step: meta.step,
            provider: provider.name().to_owned(),
            model: provider.model().to_owned(),
            started_at: self.at(meta.started),
            outcome,
            first_text: meta.first_text,
            total: now.duration_since(meta.started),
            usage,
            cost,
        };
        let name = attempt.provider.clone();
        // One that was given up before anything was sent is no call.
        if meta.is_sent {
            self.told.push_back(Event::Attempt(attempt));
        }
        name
    }

    /// Tells a call's end to those who keep the books: breaker, ceilings, and what is learned.
    fn settle(&self, meta: &mut Meta, usage: Usage, cost: Option<f64>, outcome: &Outcome, now: Instant) {
        let place = meta.upcoming.provider;
        let at = self.at(now);
        let mut state = self.shared.state();
        let State { roster, gauges, bandit, .. } = &mut *state;
        let (member, gauge) = (&mut roster[place], &mut gauges[place]);
        let before = (member.standing(now), gauge.may_begin(now, at, 0));
        let silence = now.duration_since(meta.heard);
        member.record(meta.begun, outcome, silence, &self.shared.settings.breaker, now);
        if let Some(ticket) = meta.ticket.take() {
            gauge.end(ticket, usage, cost, now, at);
        }
        if let Some(taught) = taught(outcome, meta.first_text, cost) {
            let provider = self.shared.players[place].provider.name().to_owned();
            bandit.learn(&Lesson { server: self.server, provider, taught });
        }
        if (member.standing(now), gauge.may_begin(now, at, 0)) != before {
            self.shared.tell_all();
        }
    }
}

impl Drop for Solo {
    /// Whoever drops it must not keep a probe's place.
    fn drop(&mut self) {
        self.hang_up(&Outcome::Cancelled);
    }
}

/// How many of the loose lines this provider's window does not take; none when it does not take the question.
fn left_out(
    players: &[Player],
    measured: &Option<Measured>,
    prompt: &Prompt,
    provider: usize,
) -> Option<usize> {
    let Some(measured) = measured else { return Some(0) };
    measured.left_out(players[provider].provider.context_window(), prompt.reply_tokens)
}

/// What is learned from a call: nothing from one that nobody waited for, or whose question was at fault.
fn taught(outcome: &Outcome, first_text: Option<Duration>, cost: Option<f64>) -> Option<Taught> {
    match outcome {
        Outcome::Answered => first_text.map(|first_text| Taught::Answered { first_text, cost }),
        Outcome::Failed(failed) if failed.failure.is_of_the_question() => None,
        Outcome::Failed(_) => Some(Taught::Failed),
        Outcome::Overtaken | Outcome::Cancelled => None,
    }
}

async fn first_to_end(running: &mut [Call]) -> (usize, Result<Opened, Failed>) {
    poll_fn(|cx| {
        for (index, call) in running.iter_mut().enumerate() {
            call.meta.is_sent = true;
            if let Poll::Ready(ended) = call.future.as_mut().poll(cx) {
                return Poll::Ready((index, ended));
            }
        }
        Poll::Pending
    })
    .await
}

#[cfg(test)]
mod tests;
