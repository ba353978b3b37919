//! One running service with default settings on a stage of its own, and somebody who asks and watches.

use super::{
    super::demo,
    list::{ALPHA, BETA},
};
use crate::{
    app::{App, Failure, Rooms},
    config::{self, Env},
    router::{LOOK, roster::Standing},
};
use sim::{Stage, discord, providers::Cast};
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout};

/// How long one answer is waited for. A turn may take 90 s.
const PATIENCE: Duration = Duration::from_secs(120);
/// How often it is looked what people see, also when nothing changes there.
const LOOK_EVERY: Duration = Duration::from_millis(5);
/// The service is at rest when nothing went on for so long.
const CALM: Duration = Duration::from_millis(20);
/// A window that alpha's default is narrower than, in tokens.
const WIDER: u32 = 400_000;

/// A service that is about to run.
pub(super) struct House {
    pub(super) guest: Guest,
    app: App,
    _folder: tempfile::TempDir,
}

impl House {
    /// Builds the service and its stage. Only addresses are set, and that nobody is limited or queued: each
    /// fault is seen as it is. The last provider's window is wider if that is wanted.
    pub(super) async fn open(cast: &str, rooms: &[String], is_wider: bool) -> Result<Self, String> {
        let cast = Cast::parse(cast)?;
        let started = Stage::start(&cast, discord::Options::default()).await;
        let stage = started.map_err(|failure| format!("the stage could not start: {failure}"))?;
        for room in rooms {
            stage.discord.channel(room);
        }
        let folder = tempfile::tempdir();
        let folder = folder.map_err(|failure| format!("no temporary folder could be made: {failure}"))?;
        // One who asks a lot, and wants to see at once what becomes of it.
        let mut file =
            "[chat]\nqueue_when_down = \"0s\"\n[limits]\nper_user = \"off\"\nconcurrent_per_user = 1000\n"
                .to_owned();
        file += &demo::addresses(&stage, folder.path());
        if is_wider {
            // The last table is the last provider's.
            file += &format!("context_window = {WIDER}\n");
        }
        let path = folder.path().join("faults.toml");
        std::fs::write(&path, file).map_err(|failure| format!("the settings can't be written: {failure}"))?;
        let loaded = config::load(Some(&path), &Env::default()).map_err(|problems| problems.to_string())?;
        let app = App::build(loaded.config, &demo::environment(&stage), fastrand::Rng::new()).await;
        let app = app.map_err(|failure: Failure| failure.to_string())?;
        let guest = Guest { rooms: app.rooms.clone(), stage };
        Ok(Self { guest, app, _folder: folder })
    }

    /// Runs the service while `visit` lasts.
    pub(super) async fn host<T>(self, visit: impl Future<Output = T>) -> Result<T, String> {
        let Self { guest, app, _folder } = self;
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let visit = async {
            if timeout(PATIENCE, guest.is_at_home()).await.is_err() {
                return Err("the service did not connect to the embedded Discord".to_owned());
            }
            let seen = visit.await;
            drop(stop);
            Ok(seen)
        };
        let stopped = async {
            // It is dropped, not sent.
            let _ = stopped.await;
        };
        let (seen, served) = tokio::join!(visit, app.run(stopped));
        served.map_err(|failure| failure.to_string())?;
        seen
    }
}

/// Somebody who asks, and sees what people see.
#[derive(Clone)]
pub(super) struct Guest {
    pub(super) stage: Stage,
    rooms: Rooms,
}

/// When a watcher has seen enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Until {
    /// The service has nothing left to do; for a question that is the only one.
    Rest,
    /// The whole answer of somebody stands there.
    Whole,
    /// Anybody has begun to answer.
    Begun,
}

/// What people saw of one answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Seen {
    /// From the question to the first text.
    pub(super) first: Option<Duration>,
    /// From the question to the last change of the text.
    pub(super) last: Option<Duration>,
    /// What stands there at the end.
    pub(super) text: String,
    /// The small line below it, without its mark and the turn's id.
    pub(super) footer: Option<String>,
    /// What had been shown was replaced by something else.
    pub(super) rewritten: bool,
    /// The longest time for which alpha was to be left alone.
    pub(super) rests: Option<Duration>,
}

impl Guest {
    /// Resolves when the service is connected and has nothing left to do: it also looks for half-done turns and registers commands.
    async fn is_at_home(&self) {
        self.stage.discord.connected().await;
        self.stage.discord.barrier().await;
        let mut calm_since = Instant::now();
        while calm_since.elapsed() < CALM {
            sleep(LOOK_EVERY).await;
            if !self.rooms.chat.metrics().is_idle() {
                calm_since = Instant::now();
            }
        }
    }

    /// Asks one question in a channel and watches the answer.
    pub(super) async fn ask(&self, who: &str, room: &str, until: Until) -> Seen {
        let channel = self.stage.discord.channel(room);
        let mut changes = self.stage.discord.watch();
        let began = Instant::now();
        // In every room another question: the same one would be answered from the cache.
        let question = format!("@neverdark what about the sea of {room}?");
        self.stage.discord.say(who, channel, &question, None);
        let mut seen = Seen::default();
        let mut calm_since = began;
        while began.elapsed() < PATIENCE {
            changes.mark_unchanged();
            let (text, footer) = self.shown(channel);
            seen.note(text, footer, began.elapsed());
            seen.rests = seen.rests.max(self.rest_of_alpha());
            let is_idle = seen.is_anything() && self.rooms.chat.metrics().is_idle();
            if !is_idle {
                calm_since = Instant::now();
            }
            let is_enough = match until {
                Until::Rest => calm_since.elapsed() >= CALM,
                Until::Whole => seen.text == ALPHA || seen.text == BETA,
                Until::Begun => seen.first.is_some(),
            };
            if is_enough {
                break;
            }
            tokio::select! {
                _ = changes.changed() => {}
                () = sleep(LOOK_EVERY) => {}
            }
        }
        seen
    }

    /// The bot's messages in a channel as one text, and the small line at its end.
    fn shown(&self, channel: u64) -> (String, Option<String>) {
        let parts = self.stage.discord.messages(channel).into_iter().filter(|it| it.bot && !it.deleted);
        let text = parts.map(|it| it.content).collect::<Vec<_>>().join("\n");
        match text.rsplit_once("-# ") {
            Some((before, footer)) if before.is_empty() || before.ends_with('\n') => {
                (before.trim_end().to_owned(), Some(without_id(footer)))
            }
            _ => (text.trim_end().to_owned(), None),
        }
    }

    /// How long alpha was told to be left alone when it failed last; none when it can be asked.
    fn rest_of_alpha(&self) -> Option<Duration> {
        let standings = self.rooms.router.standings(Instant::now());
        let alpha = standings.into_iter().find(|it| it.name == "alpha")?;
        match alpha.standing {
            Standing::Resting { .. } => Some(alpha.resting_for? + alpha.last_failure?.0),
            Standing::Ready | Standing::Doubted { .. } | Standing::Probing { .. } => None,
        }
    }

    /// The calls that a provider got so far for turns, as it counted them.
    pub(super) fn calls(&self, provider: &str) -> usize {
        self.stage.providers.calls(provider).len() - self.looks(provider)
    }

    /// How often it was asked for a word in the background.
    pub(super) fn looks(&self, provider: &str) -> usize {
        let calls = self.stage.providers.calls(provider);
        calls.iter().filter(|it| it.body.to_string().contains(LOOK)).count()
    }
}

impl Seen {
    fn note(&mut self, text: String, footer: Option<String>, at: Duration) {
        self.footer = footer;
        if text == self.text {
            return;
        }
        self.rewritten |= !text.starts_with(&self.text);
        self.first = self.first.or(Some(at));
        self.last = Some(at);
        self.text = text;
    }

    fn is_anything(&self) -> bool {
        self.first.is_some() || self.footer.is_some()
    }
}

/// A footer without the turn's id, which differs from run to run.
fn without_id(footer: &str) -> String {
    let words: Vec<&str> = footer.split_whitespace().collect();
    let is_id = |word: &str| {
        word.len() == 10 && word.bytes().all(|it| b"0123456789abcdefghjkmnpqrstvwxyz".contains(&it))
    };
    let kept = match words.split_last() {
        Some((last, rest)) if is_id(last) && rest.last().is_none_or(|it| *it == "·") => rest,
        _ => &words,
    };
    kept.join(" ").trim_end_matches(" ·").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_seen_is_noted() {
        let mut seen = Seen::default();
        let at = Duration::from_millis;
        seen.note("Al".to_owned(), None, at(10));
        seen.note("Alpha".to_owned(), None, at(20));
        seen.note("Alpha".to_owned(), Some("so it is".to_owned()), at(30));
        assert_eq!((seen.first, seen.last, seen.rewritten), (Some(at(10)), Some(at(20)), false));
        seen.note("Beta".to_owned(), None, at(40));
        assert_eq!((seen.last, seen.rewritten, seen.footer), (Some(at(40)), true, None));
    }

    #[test]
    fn ids_differ_and_are_left_out() {
        assert_eq!(without_id("7k2m9x4q8d"), "");
        assert_eq!(without_id("it broke off · 7k2m9x4q8d\n"), "it broke off");
        assert_eq!(without_id("answered by beta · alpha broke off"), "answered by beta · alpha broke off");
        assert_eq!(without_id("answered by a1b2c3d4e5"), "answered by a1b2c3d4e5");
    }
}
