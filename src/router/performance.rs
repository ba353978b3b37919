//! The loop that plays a plan: who is asked when, who wins, and who goes on when the winner breaks off.

use super::{
    End, Event, Exhausted, PROBE_POLL, Shared, Source,
    attempt::{self, Live, Opened, Spoken},
    retry::{self, Next},
    roster::Standing,
    strategy::Plan,
};
use crate::{
    message::{Prompt, UnixMillis},
    outcome::{Attempt, Failed, Failure, Outcome, Usage},
    providers::Finish,
};
use futures::future::BoxFuture;
use std::{collections::VecDeque, fmt, future::poll_fn, sync::Arc, task::Poll, time::Duration};
use tokio::time::{Instant, sleep_until};

/// What no honest answer reaches, in bytes: the limit of tokens bounds those. A provider that never stops would fill a channel.
const LONGEST_ANSWER: usize = 100_000;

/// A turn under way.
#[must_use = "nothing is asked before `next` is awaited"]
pub(super) struct Performance {
    shared: Arc<Shared>,
    prompt: Arc<Prompt>,
    started_at: UnixMillis,
    born: Instant,
    deadline: Instant,
    upcoming: Vec<Upcoming>,
    running: Vec<Call>,
    live: Option<(Meta, Live)>,
    calls_left: u32,
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

impl fmt::Debug for Performance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Performance")
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

#[derive(Clone, Copy, Debug)]
struct Meta {
    upcoming: Upcoming,
    step: u32,
    started: Instant,
    first_text: Option<Duration>,
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
    future: BoxFuture<'static, Result<Opened, Failed>>,
}

/// What the loop may do now.
enum Cue {
    Begin(usize),
    /// Nobody can begin before this moment; none: nobody at all.
    Wait(Option<Instant>),
}

impl Performance {
    pub(super) fn new(
        shared: Arc<Shared>,
        prompt: Arc<Prompt>,
        plan: Plan,
        started_at: UnixMillis,
        now: Instant,
    ) -> Self {
        let upcoming = plan.steps.into_iter().enumerate().map(|(place, step)| Upcoming {
            place,
            provider: step.provider,
            joined_after: step.joined_after,
            tries: 0,
            not_before: now,
        });
        Self {
            deadline: now + shared.settings.turn_timeout,
            shared,
            prompt,
            started_at,
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
        self.told.clear();
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
            tokio::select! {
                biased;
                spoken = live.next() => self.hear(spoken),
                () = sleep_until(self.deadline) => self.time_is_up(),
            }
            return;
        }
        let now = Instant::now();
        let wake = match self.cue(now) {
            Cue::Begin(index) => return self.begin(index, now),
            Cue::Wait(None) if self.running.is_empty() => return self.exhausted(false),
            Cue::Wait(wake) => wake,
        };
        let running = &mut self.running;
        tokio::select! {
            biased;
            (index, ended) = first_to_end(running), if !running.is_empty() => self.ended(index, ended),
            () = sleep_until(self.deadline) => self.time_is_up(),
            () = sleep_until(wake.unwrap_or(self.deadline)) => {}
        }
    }

    /// Who may begin now, or when to look again.
    fn cue(&mut self, now: Instant) -> Cue {
        let is_alone = self.running.is_empty();
        let is_extra = match self.join {
            _ if self.calls_left == 0 || self.upcoming.is_empty() => return Cue::Wait(None),
            _ if is_alone => false,
            Some(join) if join.at <= now => join.is_extra,
            Some(join) => return Cue::Wait(Some(join.at)),
            None => return Cue::Wait(None),
        };
        let patience = self.deadline.min(self.idle_since + self.shared.settings.backoff.1);
        let mut state = self.shared.state();
        let mut soonest: Option<Instant> = None;
        // Asking the same one again is for when nobody else is at it.
        for (index, it) in self.upcoming.iter().enumerate().filter(|(_, it)| is_alone || it.tries == 0) {
            let free_at = match state.roster[it.provider].standing(now) {
                Standing::Ready | Standing::Probing { busy: false, .. } => now,
                Standing::Probing { busy: true, .. } => now + PROBE_POLL,
                Standing::Resting { until, .. } => until,
            };
            let begins = free_at.max(it.not_before);
            if begins > now {
                soonest = Some(soonest.map_or(begins, |it| it.min(begins)));
            } else if !is_extra || state.hedges.take() {
                return Cue::Begin(index);
            } else {
                self.join = None;
                return Cue::Wait(None);
            }
        }
        Cue::Wait(soonest.filter(|at| *at < patience))
    }

    fn begin(&mut self, index: usize, now: Instant) {
        let mut upcoming = self.upcoming.remove(index);
        let player = &self.shared.players[upcoming.provider];
        {
            let mut state = self.shared.state();
            if upcoming.tries > 0 && !state.repeats.take() {
                return;
            }
            if !state.roster[upcoming.provider].begin(now) {
                // Another turn took the probe's place in between.
                upcoming.not_before = now + PROBE_POLL;
                drop(state);
                return self.upcoming.push(upcoming);
            }
        }
        upcoming.tries += 1;
        self.calls_left -= 1;
        self.join = upcoming.joined_after.map(|after| Join { at: now + after, is_extra: !after.is_zero() });
        let future =
            attempt::open(Arc::clone(&player.provider), Arc::clone(&self.prompt), player.limits, now);
        let meta = Meta { upcoming, step: self.step, started: now, first_text: None };
        self.step += 1;
        self.running.push(Call { meta, future: Box::pin(future) });
    }

    fn ended(&mut self, index: usize, ended: Result<Opened, Failed>) {
        let mut meta = self.running.remove(index).meta;
        let now = Instant::now();
        match ended {
            Err(failed) => self.failed(&meta, Usage::default(), failed, now),
            Ok(opened) => {
                let took = now.duration_since(meta.started);
                meta.first_text = Some(took);
                self.overtake();
                let player = &self.shared.players[meta.upcoming.provider];
                let gap = {
                    let mut state = self.shared.state();
                    let member = &mut state.roster[meta.upcoming.provider];
                    member.note_first_text(took);
                    member.gap_p95()
                };
                let end = meta.started + player.limits.attempt;
                let (first, live) = Live::new(opened, player.limits.stall(gap), end, now);
                let (provider, model) =
                    (player.provider.name().to_owned(), player.provider.model().to_owned());
                self.told.push_back(Event::Opened { provider, model, afresh: self.spoke });
                self.heard = first.len();
                self.told.push_back(Event::Text(first));
                self.spoke = true;
                self.live = Some((meta, live));
            }
        }
    }

    fn hear(&mut self, spoken: Spoken) {
        let now = Instant::now();
        match spoken {
            Spoken::Text(text, gap) => {
                if let Some((meta, _)) = &self.live {
                    self.shared.state().roster[meta.upcoming.provider].note_gap(gap);
                }
                self.heard += text.len();
                self.told.push_back(Event::Text(text));
                if self.heard > LONGEST_ANSWER {
                    self.answered(Outcome::Cancelled, Finish::Length, now);
                }
            }
            Spoken::Done(Finish::ContentFilter) => {
                self.broke_off(Failed::new(Failure::ContentFiltered, "content_filter"), now);
            }
            Spoken::Done(finish) => self.answered(Outcome::Answered, finish, now),
            Spoken::Failed(failed) => self.broke_off(failed, now),
        }
    }

    /// The live answer ends here: whole, or as long as an answer may be.
    fn answered(&mut self, outcome: Outcome, finish: Finish, now: Instant) {
        let Some((meta, live)) = self.live.take() else { return };
        let provider = self.tell(&meta, live.usage(), outcome, now);
        let passed_over = self.passed_over(&meta, now);
        self.told.push_back(Event::Ended(End::Answered {
            provider,
            finish,
            passed_over,
            source: Source::Asked,
        }));
        self.is_over = true;
    }

    /// Those who were never asked and would have come before the winner, if they did not rest.
    fn passed_over(&self, winner: &Meta, now: Instant) -> Vec<(String, Failure)> {
        let state = self.shared.state();
        let before = self.upcoming.iter().filter(|it| it.place < winner.upcoming.place && it.tries == 0);
        let resting = before.filter_map(|it| match state.roster[it.provider].standing(now) {
            Standing::Resting { why, .. } | Standing::Probing { why, .. } => {
                Some((self.shared.players[it.provider].provider.name().to_owned(), why))
            }
            Standing::Ready => None,
        });
        resting.collect()
    }

    fn broke_off(&mut self, failed: Failed, now: Instant) {
        let Some((meta, live)) = self.live.take() else { return };
        self.failed(&meta, live.usage(), failed, now);
        if !self.shared.settings.rewrite && !self.is_over {
            self.exhausted(false);
        }
    }

    /// A call failed: it is told, and decides who goes on.
    fn failed(&mut self, meta: &Meta, usage: Usage, failed: Failed, now: Instant) {
        let failure = failed.failure;
        let name = self.tell(meta, usage, Outcome::Failed(failed.clone()), now);
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
        for call in std::mem::take(&mut self.running) {
            self.tell(&call.meta, Usage::default(), Outcome::Overtaken, now);
            // It was no failure, so that it may be asked as if it had not been.
            self.calls_left += 1;
            available.push(Upcoming { tries: call.meta.upcoming.tries - 1, ..call.meta.upcoming });
        }
        // Before those that failed and may be asked again.
        available.append(&mut self.upcoming);
        self.upcoming = available;
        self.join = None;
    }

    fn time_is_up(&mut self) {
        self.hang_up(&Outcome::Failed(Failed::new(Failure::Timeout, "turn timeout")));
        self.exhausted(true);
    }

    /// Ends every call under way with `outcome`.
    fn hang_up(&mut self, outcome: &Outcome) {
        let now = Instant::now();
        let running: Vec<_> = self.running.drain(..).map(|call| (call.meta, Usage::default())).collect();
        let live = self.live.take().map(|(meta, live)| (meta, live.usage()));
        for (meta, usage) in running.into_iter().chain(live) {
            let name = self.tell(&meta, usage, outcome.clone(), now);
            if let Some(failed) = outcome.failed() {
                self.failures.push((name, failed.clone()));
            }
        }
    }

    fn exhausted(&mut self, timed_out: bool) {
        self.hang_up(&Outcome::Cancelled);
        let now = Instant::now();
        let state = self.shared.state();
        let rests = state.roster.iter().filter_map(|member| match member.standing(now) {
            Standing::Resting { until, .. } => Some(until.saturating_duration_since(now)),
            Standing::Ready | Standing::Probing { .. } => None,
        });
        let try_again_in = rests.min();
        drop(state);
        let failures = std::mem::take(&mut self.failures);
        let exhausted = Exhausted { failures, try_again_in, spoke: self.spoke, timed_out };
        self.told.push_back(Event::Ended(End::Exhausted(exhausted)));
        self.is_over = true;
    }

    /// Tells a call's end to the roster and to whoever listens. Returns the provider's name.
    fn tell(&mut self, meta: &Meta, usage: Usage, outcome: Outcome, now: Instant) -> String {
        let place = meta.upcoming.provider;
        let provider = &self.shared.players[place].provider;
        self.shared.state().roster[place].record(&outcome, &self.shared.settings.breaker, now);
        let attempt = Attempt {
            step: meta.step,
            provider: provider.name().to_owned(),
            model: provider.model().to_owned(),
            started_at: self.started_at.plus(meta.started.duration_since(self.born)),
            outcome,
            first_text: meta.first_text,
            total: now.duration_since(meta.started),
            usage,
            cost: provider.cost(usage),
        };
        let name = attempt.provider.clone();
        self.told.push_back(Event::Attempt(attempt));
        name
    }
}

impl Drop for Performance {
    /// A dropped performance must not keep a probe's place.
    fn drop(&mut self) {
        self.hang_up(&Outcome::Cancelled);
    }
}

async fn first_to_end(running: &mut [Call]) -> (usize, Result<Opened, Failed>) {
    poll_fn(|cx| {
        for (index, call) in running.iter_mut().enumerate() {
            if let Poll::Ready(ended) = call.future.as_mut().poll(cx) {
                return Poll::Ready((index, ended));
            }
        }
        Poll::Pending
    })
    .await
}
