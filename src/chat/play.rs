//! A turn is played: what was said is asked, the draft grows, and there is an end that can be stored.

use super::{
    Buttons, Chat, Draft, Ending, Played, Turn,
    again::{self, Left},
    begin::circle,
    context::{self, Known, Past, Room},
    files,
    queue::{self, Next, Rounds},
    running::Said,
    wording::{self, Why},
};
use crate::{
    config::{ChatConfig, Footer},
    message::{Inbound, Line, Prompt, TurnId},
    outcome::{Attempt, Failure, Outcome},
    providers::Finish,
    router::{Ask, End, Event, Exhausted, Performance, Sharing, Source, strategy::Wish},
    store::StoredLine,
};
use futures::{
    FutureExt as _,
    future::{Fuse, FusedFuture as _},
};
use std::{
    future::Future,
    pin::{Pin, pin},
    sync::Arc,
};
use tokio::{sync::watch, time::Instant};
use tracing::{Instrument as _, error, info, warn};

impl Chat {
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
            started_at: turn.term.clock(Instant::now()),
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
}

/// The turn was cancelled: whoever stopped it is named, and otherwise nobody is told anything.
pub(super) fn given_up(turn: &Turn, draft: &watch::Sender<Draft>) -> Played {
    let mut left = Left::Untold;
    turn.registered.mark_shown();
    let by = turn.registered.stopped();
    draft.send_modify(|it| left = again::stopped(it, by, turn.earlier(), turn.inbound.place));
    Played { end: Ending::Cancelled, left }
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
