//! The outage: alpha is dead for a minute while people go on asking; who waits, and when is alpha back?

use super::{
    super::{Exit, fail},
    Wanted,
    house::{Guest, House, Seen, Until},
    list::{ALPHA, BETA},
    table::time,
};
use futures::future::{join_all, try_join_all};
use serde_json::json;
use std::{fmt::Write, time::Duration};
use tokio::time::{Instant, sleep, sleep_until};

/// How long alpha is dead.
const OUTAGE: Duration = Duration::from_secs(60);
/// Turns in the outage, and the time between two of them.
const TURNS: u32 = 20;
const BETWEEN: Duration = Duration::from_secs(3);
/// Turns before it, from which the router learns how quick alpha is.
const WARM_UP: u32 = 10;
/// The first text comes so much later than the fallback's own: somebody waited for the dead provider.
const WAITED: Duration = Duration::from_millis(500);
/// After it, somebody asks so often until alpha answers, and so often at most.
const LOOK_EVERY: Duration = Duration::from_millis(500);
const LOOKS: u32 = 120;

/// What must come of it: turns that wait, time over the fallback's own median, and the way back.
const MOST_WAIT: usize = 2;
const MOST_OVER: Duration = Duration::from_millis(20);
const MOST_BACK: Duration = Duration::from_secs(5);

/// A way to be dead: its name, what a call meets, and whether the health check says so, where it says anything.
const KINDS: [(&str, &str, bool); 3] = [
    ("silent: takes every call and answers none", "silent", true),
    ("503: answers every call with an error", "503", false),
    ("refused: takes no connection", "refuse", true),
];

/// What came of one outage.
#[derive(Clone, Debug)]
struct Record {
    kind: &'static str,
    turns: Vec<Seen>,
    /// The calls that alpha got while it was dead, as far as it could count them.
    /// Of turns, and of those who look after it.
    calls: (usize, usize),
    /// From alpha's recovery to the first text that it gave; none: not within a minute.
    back: Option<Duration>,
}

/// Plays the outages side by side, and prints what came of them.
pub(crate) async fn run(wanted: &Wanted) -> Exit {
    let word = wanted.only.as_deref().unwrap_or_default().to_lowercase();
    let chosen: Vec<_> = KINDS.into_iter().filter(|(name, _, _)| name.contains(&word)).collect();
    if chosen.is_empty() {
        return fail(
            Exit::Config,
            &format!("no outage has `{word}` in its name. There are: silent, 503, refused"),
        );
    }
    complain!("{} outages of a minute each, side by side; this takes a minute and a half", chosen.len());
    let outages = try_join_all(chosen.into_iter().map(|(kind, how, is_well)| {
        Box::pin(async move {
            let record = outage(kind, how, is_well).await?;
            complain!("{kind}: alpha answers again after {}", record.back.map_or("–".to_owned(), time));
            Ok::<_, String>(record)
        })
    }));
    let (alone, records) = match tokio::try_join!(Box::pin(fallback_alone()), outages) {
        Ok(measured) => measured,
        Err(failure) => return fail(Exit::Failed, &failure),
    };
    let alone = Medians::of(&alone);
    if wanted.as_json {
        let rows: Vec<_> = records.iter().map(|it| it.json(&alone)).collect();
        say_line!("{:#}", json!({ "outages": rows }));
    } else {
        say!("{}", markdown(&records, &alone));
    }
    if records.iter().all(|it| it.is_as_expected(&alone)) { Exit::Done } else { Exit::Failed }
}

/// The same questions at the same pace to beta alone.
async fn fallback_alone() -> Result<Vec<Seen>, String> {
    let house = House::open(&format!("beta: '{BETA}'"), &rooms(), false).await?;
    let guest = house.guest.clone();
    Box::pin(house.host(async { questions(&guest, "turn", TURNS, BETWEEN).await })).await
}

async fn outage(kind: &'static str, how: &str, is_well: bool) -> Result<Record, String> {
    let house = House::open(&format!("alpha: '{ALPHA}' | beta: '{BETA}'"), &rooms(), false).await?;
    let guest = house.guest.clone();
    let visit = async {
        questions(&guest, "before", WARM_UP, BETWEEN / 10).await;
        let providers = &guest.stage.providers;
        providers.set("alpha", how)?;
        providers.health("alpha", is_well)?;
        let (began, before, looks) = (Instant::now(), guest.calls("alpha"), guest.looks("alpha"));
        let healed = async {
            sleep_until(began + OUTAGE).await;
            let calls = (guest.calls("alpha") - before, guest.looks("alpha") - looks);
            providers.heal("alpha")?;
            Ok::<_, String>((calls, way_back(&guest).await))
        };
        let (turns, healed) = tokio::join!(questions(&guest, "turn", TURNS, BETWEEN), healed);
        let (calls, back) = healed?;
        Ok(Record { kind, turns, calls, back })
    };
    Box::pin(house.host(visit)).await?
}

/// Every question has a channel of its own, so that none waits for another one's answer.
fn rooms() -> Vec<String> {
    let named = |name: &'static str, count| (0..count).map(move |it| format!("{name}-{it}"));
    named("before", WARM_UP).chain(named("turn", TURNS)).chain(named("after", LOOKS)).collect()
}

/// Asks at an even pace, whatever becomes of the answers.
async fn questions(guest: &Guest, room: &str, count: u32, between: Duration) -> Vec<Seen> {
    let began = Instant::now();
    let asked = (0..count).map(|number| {
        let place = format!("{room}-{number}");
        async move {
            sleep_until(began + between / 2 + between * number).await;
            guest.ask(&place, &place, Until::Whole).await
        }
    });
    join_all(asked).await
}

/// From now until the first text by alpha.
async fn way_back(guest: &Guest) -> Option<Duration> {
    let healed = Instant::now();
    for number in 0..LOOKS {
        let place = format!("after-{number}");
        let asked = Instant::now();
        let seen = guest.ask(&place, &place, Until::Begun).await;
        if seen.text.starts_with("Alpha") {
            return Some(asked.duration_since(healed) + seen.first.unwrap_or_default());
        }
        if healed.elapsed() > LOOK_EVERY * LOOKS {
            break;
        }
        sleep(LOOK_EVERY.saturating_sub(asked.elapsed())).await;
    }
    None
}

/// The middle of many times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Medians {
    first: Duration,
    whole: Duration,
}

impl Medians {
    fn of(turns: &[Seen]) -> Self {
        let middle = |time: fn(&Seen) -> Option<Duration>| {
            let mut times: Vec<Duration> = turns.iter().filter_map(time).collect();
            times.sort_unstable();
            times.get(times.len() / 2).copied().unwrap_or_default()
        };
        Self { first: middle(|it| it.first), whole: middle(|it| it.last) }
    }
}

impl Record {
    /// Turns whose first text came later than the fallback's own, by more than a moment.
    fn waited(&self, alone: &Medians) -> usize {
        let is_late = |it: &&Seen| it.first.is_none_or(|first| first > alone.first + WAITED);
        self.turns.iter().filter(is_late).count()
    }

    fn unanswered(&self) -> usize {
        self.turns.iter().filter(|it| it.text != BETA && it.text != ALPHA).count()
    }

    fn over(&self, alone: &Medians) -> Duration {
        Medians::of(&self.turns).whole.saturating_sub(alone.whole)
    }

    fn is_as_expected(&self, alone: &Medians) -> bool {
        self.unanswered() == 0
            && self.waited(alone) <= MOST_WAIT
            && self.over(alone) <= MOST_OVER
            && self.back.is_some_and(|it| it <= MOST_BACK)
    }

    fn json(&self, alone: &Medians) -> serde_json::Value {
        let ms = |it: Duration| u64::try_from(it.as_millis()).unwrap_or(u64::MAX);
        let medians = Medians::of(&self.turns);
        json!({
            "outage": self.kind,
            "turns": self.turns.len(),
            "unanswered": self.unanswered(),
            "waited": self.waited(alone),
            "median_first_text_ms": ms(medians.first),
            "median_whole_answer_ms": ms(medians.whole),
            "fallback_alone_first_text_ms": ms(alone.first),
            "fallback_alone_whole_answer_ms": ms(alone.whole),
            "first_text_ms": self.turns.iter().map(|it| it.first.map(ms)).collect::<Vec<_>>(),
            "calls_to_alpha": self.calls.0,
            "looks_at_alpha": self.calls.1,
            "back_after_ms": self.back.map(ms),
            "as_expected": self.is_as_expected(alone),
        })
    }
}

fn markdown(records: &[Record], alone: &Medians) -> String {
    let mut out = format!(
        "| alpha is dead for {} | turns that waited | longest wait | median first text | median whole answer | calls + looks that alpha got | back after | unanswered |\n\
         | --- | --- | --- | --- | --- | --- | --- | --- |\n",
        time(OUTAGE)
    );
    for it in records {
        let medians = Medians::of(&it.turns);
        let longest = it.turns.iter().filter_map(|it| it.first).max().unwrap_or_default();
        let back = it.back.map_or("not within a minute".to_owned(), time);
        // Writing to a String cannot fail.
        let _ = writeln!(
            out,
            "| {} | {} of {} | {} | {} | {} (+{} ms) | {} + {} | {back} | {} |",
            it.kind,
            it.waited(alone),
            it.turns.len(),
            time(longest),
            time(medians.first),
            time(medians.whole),
            it.over(alone).as_millis(),
            it.calls.0,
            it.calls.1,
            it.unanswered()
        );
    }
    let _ = writeln!(
        out,
        "| *the fallback alone* | – | – | {} | {} | – | – | – |\n| *must be* | ≤ {MOST_WAIT} | | | ≤ +{} ms | | ≤ {} | 0 |",
        time(alone.first),
        time(alone.whole),
        MOST_OVER.as_millis(),
        time(MOST_BACK)
    );
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    fn seen(first: u64, whole: u64, text: &str) -> Seen {
        let ms = |it| Some(Duration::from_millis(it));
        Seen { first: ms(first), last: ms(whole), text: text.to_owned(), ..Seen::default() }
    }

    #[test]
    fn an_outage_is_counted() {
        let alone = Medians::of(&[seen(10, 1200, BETA), seen(12, 1210, BETA), seen(500, 1900, BETA)]);
        assert_eq!(alone, Medians { first: Duration::from_millis(12), whole: Duration::from_millis(1210) });
        let turns = vec![
            seen(2500, 3700, BETA),
            seen(512, 1712, BETA),
            seen(513, 1215, BETA),
            seen(9, 1200, "Sorry."),
        ];
        let record = Record { kind: "silent", turns, calls: (2, 9), back: Some(Duration::from_millis(4200)) };
        expect![[r#"
            | alpha is dead for 60 s | turns that waited | longest wait | median first text | median whole answer | calls + looks that alpha got | back after | unanswered |
            | --- | --- | --- | --- | --- | --- | --- | --- |
            | silent | 2 of 4 | 2.5 s | 510 ms | 1.7 s (+502 ms) | 2 + 9 | not within a minute | 1 |
            | silent | 2 of 4 | 2.5 s | 510 ms | 1.7 s (+502 ms) | 2 + 9 | 4.2 s | 1 |
            | *the fallback alone* | – | – | 10 ms | 1.2 s | – | – | – |
            | *must be* | ≤ 2 | | | ≤ +20 ms | | ≤ 5 s | 0 |
        "#]]
            .assert_eq(&markdown(&[Record { back: None, ..record.clone() }, record.clone()], &alone));
        expect![[r#"{"as_expected":false,"back_after_ms":4200,"calls_to_alpha":2,"fallback_alone_first_text_ms":12,"fallback_alone_whole_answer_ms":1210,"first_text_ms":[2500,512,513,9],"looks_at_alpha":9,"median_first_text_ms":513,"median_whole_answer_ms":1712,"outage":"silent","turns":4,"unanswered":1,"waited":2}"#]].assert_eq(&record.json(&alone).to_string());
        assert!(!record.is_as_expected(&alone), "one is unanswered");
        let quick = Record { turns: vec![seen(9, 1200, BETA); 3], ..record };
        assert!(quick.is_as_expected(&alone));
        assert!(!Record { back: None, ..quick }.is_as_expected(&alone), "it must come back");
    }
}
