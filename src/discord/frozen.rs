//! Frees the process from a lost connection that holds all of it.
//!
//! **The problem.** serenity reads from a session that could not be resumed without a pause, until a heartbeat is due: for up to 41
//! seconds. A task that never waits takes one of the runtime's threads, and the others may sleep on while nobody looks after timers and
//! sockets: no answer goes on, and nobody in the runtime could tell. **The rule.** A thread of its own hears the runtime's
//! beat. When there was none for [`FROZEN`], every connection gets something to send, which ends the task of one that is
//! lost; [`super::shards`] has it begin anew. **The limits.** Until then everything stands still. A machine that was held up
//! itself looks the same: then Discord is told a presence that it knows, once.

use super::presence::Presence;
use serenity::gateway::{ConnectionStage, ShardManager, ShardMessenger};
use std::{
    convert::Infallible,
    sync::{
        Arc,
        mpsc::{self, RecvTimeoutError},
    },
    thread,
    time::Duration,
};
use tokio::time::interval;
use tracing::warn;

/// How often the runtime says that it goes on.
const BEAT: Duration = Duration::from_millis(100);
/// Without a beat for so long it does not.
const FROZEN: Duration = Duration::from_millis(700);

/// Watches over the runtime for as long as this is awaited.
pub(super) async fn guard(
    shards: &Arc<ShardManager>,
    presence: impl Fn() -> Presence + Send + 'static,
) -> Infallible {
    let (beat, beats) = mpsc::sync_channel(1);
    let shards = Arc::clone(shards);
    let free = move || free(&shards, &presence());
    let guard = thread::Builder::new().name("guard".to_owned());
    if let Err(failure) = guard.spawn(move || listen(&beats, FROZEN, free)) {
        warn!(error = %failure, "nobody watches whether a lost connection holds up the process");
    }
    let mut beats = interval(BEAT);
    loop {
        beats.tick().await;
        // The last one was not heard yet, or there is no such thread.
        let _ = beat.try_send(());
    }
}

/// Calls `free` whenever a beat did not come in time, once until the next one comes. Ends with the beats.
fn listen(beats: &mpsc::Receiver<()>, patience: Duration, free: impl Fn() -> bool) {
    let mut is_frozen = false;
    loop {
        match beats.recv_timeout(patience) {
            Ok(()) => is_frozen = false,
            Err(RecvTimeoutError::Timeout) if is_frozen => {}
            // It may be held up in the middle of what this needs: then once more.
            Err(RecvTimeoutError::Timeout) => is_frozen = free(),
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

/// Gives each connection something to send. False when it cannot be said which there are.
fn free(shards: &ShardManager, presence: &Presence) -> bool {
    let Ok(runners) = shards.runners.try_lock() else { return false };
    // One that begins may say nothing but who it is. The stage of one that could not be resumed is either of these.
    let may_speak =
        |it: ConnectionStage| matches!(it, ConnectionStage::Connected | ConnectionStage::Connecting);
    for runner in runners.values().filter(|it| may_speak(it.stage)) {
        poke(&runner.runner_tx, presence);
    }
    true
}

/// Ends the task of a connection that is lost: who cannot send something ends, and hears nothing else. (Who is told to close such
/// a connection waits for the answer without a pause, for ever.)
pub(super) fn poke(connection: &ShardMessenger, presence: &Presence) {
    let (activity, status) = presence.parts();
    connection.set_presence(activity, status);
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicBool, Ordering};

    #[test]
    fn one_alarm_for_each_time_without_beats() {
        let (beat, beats) = mpsc::sync_channel(1);
        let (alarm, alarms) = mpsc::channel();
        let is_locked_at_first = AtomicBool::new(true);
        let free = move || {
            alarm.send(()).unwrap();
            !is_locked_at_first.swap(false, Ordering::SeqCst)
        };
        let patience = Duration::from_millis(20);
        let guard = thread::spawn(move || listen(&beats, patience, free));
        for _ in 0..2 {
            alarms.recv().unwrap();
        }
        assert!(
            alarms.recv_timeout(patience * 5).is_err(),
            "once more, since it could not be done, and not again"
        );
        beat.send(()).unwrap();
        alarms.recv().unwrap();
        drop(beat);
        guard.join().unwrap();
    }
}
