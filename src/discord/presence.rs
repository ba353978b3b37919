//! Shows by the bot's dot and status text how the providers are doing.
//!
//! **The problem.** In an outage people try the bot to find out whether it works. **The rule.** Online: all are well. Idle: some
//! are not. Do not disturb: none is. Told when it has changed for a second, since an outage takes one after the other, and to
//! each connection when it is READY. **The limits.** Discord takes five such messages in 20 s from a connection; one in 15 s is
//! sent at the most, and it tells how it stands by then.

use crate::chat::{Chat, Health};
use serenity::{
    all::OnlineStatus,
    gateway::{ActivityData, ConnectionStage, ShardManager},
};
use std::{convert::Infallible, future::Future};
use tokio::{
    sync::watch,
    time::{Duration, Instant, sleep_until},
};

/// The least that lies between two changes; a READY comes on top, once a connection.
const PAUSE: Duration = Duration::from_secs(15);

/// What does not last that long is not told.
const SETTLES: Duration = Duration::from_secs(1);

/// What people see below the bot's name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Presence {
    status: OnlineStatus,
    text: Option<String>,
}

impl Presence {
    /// How the providers are doing now.
    pub(super) fn now(chat: &Chat) -> Self {
        Self::of(chat.health())
    }

    pub(super) fn of(health: Health) -> Self {
        let Health { well, all, .. } = health;
        if well == all {
            Self { status: OnlineStatus::Online, text: None }
        } else if well == 0 {
            Self { status: OnlineStatus::DoNotDisturb, text: Some("all models down".to_owned()) }
        } else {
            Self { status: OnlineStatus::Idle, text: Some(format!("{well} of {all} models ready")) }
        }
    }

    /// In serenity's words.
    pub(super) fn parts(&self) -> (Option<ActivityData>, OnlineStatus) {
        (self.text.as_deref().map(ActivityData::custom), self.status)
    }
}

/// Shows each change on all connections, for ever.
pub(super) async fn keep(chat: &Chat, shards: &ShardManager) -> Infallible {
    let tell = |presence: Presence| async move {
        // Before it is READY a connection may say nothing but who it is: it is closed with 4003 otherwise, and told at its READY.
        let runners = shards.runners.lock().await;
        for shard in runners.values().filter(|it| it.stage == ConnectionStage::Connected) {
            let (activity, status) = presence.parts();
            shard.runner_tx.set_presence(activity, status);
        }
    };
    follow(|| chat.health(), chat.provider_changes(), tell).await
}

/// Tells of each change of what is to be shown, at a pace.
async fn follow<Done: Future<Output = ()>>(
    health: impl Fn() -> Health,
    mut changes: watch::Receiver<()>,
    tell: impl Fn(Presence) -> Done,
) -> Infallible {
    let mut shown = Presence::of(health());
    let (mut not_before, mut differs_since) = (Instant::now(), None);
    loop {
        changes.mark_unchanged();
        let (now, health) = (Instant::now(), health());
        let wanted = Presence::of(health);
        differs_since = (wanted != shown).then(|| differs_since.unwrap_or(now));
        let due = differs_since.map(|since| not_before.max(since + SETTLES));
        if due.is_some_and(|it| it <= now) {
            tell(wanted.clone()).await;
            (shown, not_before) = (wanted, now + PAUSE);
            continue;
        }
        let by_itself = health.changes_in.map(|it| now + it.max(Duration::from_millis(1)));
        let wakes = by_itself.into_iter().chain(due).min();
        let later = async {
            match wakes {
                Some(at) => sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            changed = changes.changed() => if changed.is_err() {
                return std::future::pending().await;
            },
            () = later => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;
    use std::sync::{Arc, Mutex};
    use tokio::time::sleep;

    #[tokio::test(start_paused = true)]
    async fn each_change_is_told_but_not_too_often() {
        let began = Instant::now();
        let (health, told) = (Arc::new(Mutex::new((3, None))), Arc::new(Mutex::new(String::new())));
        let changes = watch::Sender::new(());
        let now = {
            let health = Arc::clone(&health);
            move || {
                let (well, until): (usize, Option<Instant>) = *health.lock().unwrap();
                let is_over = until.is_some_and(|it| it <= Instant::now());
                let changes_in = until.filter(|_| !is_over).map(|it| it - Instant::now());
                Health { well: if is_over { 3 } else { well }, all: 3, changes_in }
            }
        };
        let tell = {
            let told = Arc::clone(&told);
            move |it: Presence| {
                let line = format!("{:>2} s: {:?} {:?}\n", began.elapsed().as_secs(), it.status, it.text);
                told.lock().unwrap().push_str(&line);
                std::future::ready(())
            }
        };
        let play = async {
            let set = |well, until| {
                *health.lock().unwrap() = (well, until);
                changes.send_replace(());
            };
            sleep(Duration::from_secs(10)).await;
            set(2, None);
            sleep(Duration::from_millis(900)).await;
            set(3, None);
            sleep(Duration::from_millis(100)).await;
            set(1, None);
            sleep(Duration::from_millis(1500)).await;
            set(0, None);
            sleep(Duration::from_secs(30)).await;
            set(0, None);
            // A rest that ends by itself.
            set(0, Some(Instant::now() + Duration::from_secs(7)));
            sleep(Duration::from_secs(60)).await;
        };
        tokio::select! {
            never = follow(now, changes.subscribe(), tell) => match never {},
            () = play => {}
        }
        expect![[r#"
            12 s: Idle Some("1 of 3 models ready")
            27 s: DoNotDisturb Some("all models down")
            50 s: Online None
        "#]]
        .assert_eq(&told.lock().unwrap());
    }
}
