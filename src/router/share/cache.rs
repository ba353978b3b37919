//! Answers that were given a while ago.
//!
//! **The problem.** In a busy place the same is asked again and again, and each answer costs time and money. **The rule.** A
//! whole good answer (see [`super::log::Log::kept`]) is given again to whoever asks the same within its age. **The limits.** A
//! number of answers, [`MAX_BYTES`] for all of them, and their age; what is asked often stays longest.

use super::key::Key;
use std::{mem, sync::Arc, time::Duration};
use tokio::time::Instant;

/// All answers and their questions together.
pub(super) const MAX_BYTES: u64 = 32 << 20;
/// moka panics over a thousand years; nobody waits for this one either.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 3600);
/// What moka itself needs for an entry, roughly.
const PER_ENTRY: usize = 200;

/// An answer to be given again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Kept {
    pub(super) provider: String,
    pub(super) model: String,
    pub(super) text: String,
    pub(super) at: Instant,
}

/// Answers by the hash of their question. moka holds on to the keys of entries that are gone until it needs their places, thousands
/// of them; the question itself, with its whole conversation, goes with its answer.
#[derive(Debug)]
pub(super) struct Cache {
    answers: moka::sync::Cache<u64, (Key, Arc<Kept>)>,
    age: Duration,
}

impl Cache {
    /// At most so many answers, none of them older than `age`; none for none.
    pub(super) fn new(entries: u32, age: Duration) -> Option<Self> {
        let entries = u64::from(entries);
        // moka knows one bound. Where each answer weighs its share of the bytes or more, the bytes bound the number, too.
        let share = MAX_BYTES.checked_div(entries)?.max(1);
        let weigh = move |_: &u64, (key, kept): &(Key, Arc<Kept>)| {
            let Kept { provider, model, text, at: _ } = &**kept;
            let bytes =
                PER_ENTRY + mem::size_of::<Kept>() + provider.len() + model.len() + text.len() + key.bytes();
            u32::try_from((bytes as u64).max(share)).unwrap_or(u32::MAX)
        };
        let answers = moka::sync::Cache::builder()
            .max_capacity(MAX_BYTES.min(entries.saturating_mul(share)))
            .weigher(weigh)
            // So that the old ones leave the memory, too. What counts is our own clock.
            .time_to_live(age.min(LONGEST))
            .build();
        Some(Self { answers, age })
    }

    pub(super) fn get(&self, key: &Key, now: Instant) -> Option<Arc<Kept>> {
        let (known, kept) = self.answers.get(&key.reckoned())?;
        (known == *key && now.saturating_duration_since(kept.at) < self.age).then_some(kept)
    }

    /// Forgets all of them.
    pub(super) fn clear(&self) {
        self.answers.invalidate_all();
        self.answers.run_pending_tasks();
    }

    pub(super) fn keep(&self, key: Key, kept: Kept) {
        self.answers.insert(key.reckoned(), (key, Arc::new(kept)));
        // Otherwise it would be over its bounds until moka finds the time.
        self.answers.run_pending_tasks();
    }
}

#[cfg(test)]
mod tests {
    use super::{super::super::*, *};
    use crate::message::{Line, Role};
    use std::hash::RandomState;

    fn key(text: &str, seed: &RandomState) -> Key {
        let line = Line { role: Role::User, speaker: None, text: text.to_owned() };
        let prompt = Arc::new(Prompt { lines: vec![line], ..Prompt::default() });
        Key::new(&Ask { prompt, ..Ask::default() }, Circle::Api, true, seed)
    }

    fn kept(text: String) -> Kept {
        Kept { provider: "alpha".to_owned(), model: "m".to_owned(), text, at: Instant::now() }
    }

    /// Keeps so many answers of so many bytes, and says how many and what weight are left.
    fn left(entries: u32, answers: usize, bytes: usize) -> (u64, u64) {
        let (cache, seed) = (Cache::new(entries, Duration::from_secs(600)).unwrap(), RandomState::new());
        for number in 0..answers {
            cache.keep(key(&number.to_string(), &seed), kept("x".repeat(bytes)));
            assert!(
                cache.answers.weighted_size() <= MAX_BYTES
                    && cache.answers.entry_count() <= u64::from(entries)
            );
        }
        (cache.answers.entry_count(), cache.answers.weighted_size())
    }

    #[test]
    fn its_number_is_bounded() {
        assert_eq!(left(3, 10, 5).0, 3);
        assert_eq!(left(1, 10, 5).0, 1);
        assert_eq!(left(1000, 1500, 5).0, 1000);
    }

    #[test]
    fn its_bytes_are_bounded() {
        let (count, bytes) = left(1000, 100, 1 << 20);
        assert_eq!(count, 31, "of a little more than a MiB each");
        assert!(bytes <= MAX_BYTES);
        assert_eq!(left(1000, 2, 40 << 20).0, 0, "one that is larger than all of it");
    }

    #[test]
    fn a_question_whose_answer_is_gone_is_gone_too() {
        let (cache, seed) = (Cache::new(3, Duration::from_secs(600)).unwrap(), RandomState::new());
        let prompts: Vec<_> = (0..100)
            .map(|number| {
                let prompt = Arc::new(Prompt { system: number.to_string(), ..Prompt::default() });
                let ask = Ask { prompt: Arc::clone(&prompt), ..Ask::default() };
                cache.keep(Key::new(&ask, Circle::Api, true, &seed), kept("yes".to_owned()));
                Arc::downgrade(&prompt)
            })
            .collect();
        // Those that are going are let go of a little later.
        assert!(prompts.iter().filter(|it| it.strong_count() > 0).count() < 80);
    }

    #[test]
    fn a_large_question_counts_like_a_large_answer() {
        let (cache, seed) = (Cache::new(1000, Duration::from_secs(600)).unwrap(), RandomState::new());
        for number in 0..60 {
            cache.keep(key(&format!("{number}{}", "x".repeat(1 << 20)), &seed), kept("yes".to_owned()));
        }
        assert_eq!(cache.answers.entry_count(), 31);
    }

    #[test]
    fn none_is_made_for_nothing_and_no_size_or_age_is_too_much() {
        assert!(Cache::new(0, Duration::from_secs(600)).is_none());
        let cache = Cache::new(u32::MAX, Duration::MAX).unwrap();
        let seed = RandomState::new();
        cache.keep(key("why?", &seed), kept("therefore".to_owned()));
        assert!(cache.get(&key("why?", &seed), Instant::now()).is_some());
        assert!(cache.get(&key("how?", &seed), Instant::now()).is_none());
    }

    #[test]
    fn it_forgets_all_at_once_and_keeps_what_comes_then() {
        let (cache, seed) = (Cache::new(9, Duration::from_secs(600)).unwrap(), RandomState::new());
        let is_known = |text: &str| cache.get(&key(text, &seed), Instant::now()).is_some();
        cache.keep(key("why?", &seed), kept("therefore".to_owned()));
        cache.clear();
        assert_eq!((is_known("why?"), cache.answers.entry_count()), (false, 0));
        cache.keep(key("why?", &seed), kept("therefore".to_owned()));
        assert!(is_known("why?"));
    }

    #[tokio::test(start_paused = true)]
    async fn it_forgets_by_the_clock_of_the_runtime() {
        let (cache, seed) = (Cache::new(9, Duration::from_secs(600)).unwrap(), RandomState::new());
        cache.keep(key("why?", &seed), kept("therefore".to_owned()));
        tokio::time::advance(Duration::from_millis(599_999)).await;
        assert!(cache.get(&key("why?", &seed), Instant::now()).is_some());
        tokio::time::advance(Duration::from_millis(1)).await;
        assert!(cache.get(&key("why?", &seed), Instant::now()).is_none());
    }
}
