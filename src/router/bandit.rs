//! What `adaptive` has learned, server by server: which provider is worth asking first.
//!
//! **The problem.** Nobody knows beforehand which model a community likes, and what is known goes stale: providers get slower,
//! dearer, worse. **The rule.** A bandit with discounted means (Garivier and Moulines, *On Upper-Confidence Bound Policies for
//! Non-Stationary Bandit Problems*, 2008) and a fixed share of exploration. Each lesson is a reward between 0 and 1:
//!
//! | lesson | reward | counts |
//! | --- | --- | --- |
//! | a call failed | 0 | once |
//! | a call answered | 0.5 + 0.3 · speed + 0.2 · thrift | once |
//! | 👍 · 👎 | 1 · 0 | twice |
//!
//! Speed is 1 for a first text at once, a half after 2 s; thrift is 1 for nothing, a half for 0.01 money, and a half where the
//! cost is not known. With every lesson of a place all that was learned there fades; its weight is halved in [`HALF_LIFE`]
//! lessons. So an idle provider's figure drifts back to what it is elsewhere, and that to [`UNKNOWN`]: nobody is written off.
//! The best goes first; in one turn of twenty ([`EXPLORE`]) one of the others does, each as likely as the next.
//!
//! Why not Thompson sampling or an upper bound: people can be told "one turn in twenty", and they are the ones who wait.
//!
//! **The limits.** It only orders: who rests is passed over whatever was learned. Those who were overtaken teach nothing, as
//! nobody knows how they would have gone on. Long questions cost more wherever they go, and count against whom they went to.

use crate::{
    message::GuildId,
    outcome::{Lesson, Taught},
};
use std::{collections::BTreeMap, time::Duration};

/// The share of turns that begin with another provider than the best.
pub(super) const EXPLORE: f64 = 0.05;
/// After so many further lessons of a place a lesson counts half. Long enough for five visits to a provider that is
/// only explored, short enough to turn away from one that has become bad within forty turns.
pub(super) const HALF_LIFE: f64 = 100.0;
/// The reward expected of a provider nobody has heard of: below one that answers, above one that fails every second time.
pub(super) const UNKNOWN: f64 = 0.5;
/// How many lessons a server needs before they weigh more than what was learned elsewhere, and that before it weighs more than [`UNKNOWN`].
const DOUBT: f64 = 2.0;
/// 👍 and 👎 are rare, and what the rest is for.
const FEEDBACK: f64 = 2.0;
/// A first text after so long is half as good as one at once.
const HALF_SPEED: Duration = Duration::from_secs(2);
/// An answer for so much money is half as good as one for nothing.
const HALF_THRIFT: f64 = 0.01;
/// As many as one shard of Discord serves; beyond it the one that was taught least recently is forgotten.
const MOST_SERVERS: usize = 2_500;
/// What has faded to this is forgotten, so that providers that are gone leave nothing behind.
const FORGOTTEN: f64 = 0.01;

/// What the lessons so far say. The same lessons in the same order make the same bandit: replaying what is stored restores it.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Bandit {
    everywhere: Place,
    /// Direct messages, the router API and `ask` are a place of their own.
    places: BTreeMap<Option<GuildId>, Place>,
    lessons: u64,
}

/// What was learned in one place.
#[derive(Clone, Debug, Default, PartialEq)]
struct Place {
    arms: BTreeMap<String, Arm>,
    /// The number of its last lesson.
    taught: u64,
}

/// A provider in a place: lessons, each with its weight of today.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Arm {
    weight: f64,
    rewards: f64,
}

impl Bandit {
    /// Takes a lesson to heart.
    pub(super) fn learn(&mut self, lesson: &Lesson) {
        self.lessons += 1;
        self.everywhere.learn(lesson);
        let place = self.places.entry(lesson.server).or_default();
        place.taught = self.lessons;
        place.learn(lesson);
        if self.places.len() > MOST_SERVERS {
            let oldest = self.places.iter().min_by_key(|(_, place)| place.taught);
            if let Some(server) = oldest.map(|(&server, _)| server) {
                self.places.remove(&server);
            }
        }
    }

    /// The reward to expect of a provider in a place, between 0 and 1.
    #[must_use]
    pub(super) fn worth(&self, server: Option<GuildId>, provider: &str) -> f64 {
        let elsewhere = self.everywhere.worth(provider, UNKNOWN);
        self.places.get(&server).map_or(elsewhere, |place| place.worth(provider, elsewhere))
    }

    /// Places in `names`, the one to ask first at the front: the best one, or one of the others in a share of [`EXPLORE`].
    /// Those of equal worth keep their order. `names` are those who can be asked, so that no exploring is wasted on others.
    #[must_use]
    pub(super) fn order(
        &self,
        server: Option<GuildId>,
        names: &[&str],
        rng: &mut fastrand::Rng,
    ) -> Vec<usize> {
        let worth: Vec<f64> = names.iter().map(|name| self.worth(server, name)).collect();
        let mut order: Vec<usize> = (0..names.len()).collect();
        order.sort_by(|&a, &b| worth[b].total_cmp(&worth[a]));
        if order.len() > 1 && rng.f64() < EXPLORE {
            let other = rng.usize(1..order.len());
            order[..=other].rotate_right(1);
        }
        order
    }
}

impl Place {
    fn learn(&mut self, lesson: &Lesson) {
        let fading = 0.5_f64.powf(HALF_LIFE.recip());
        self.arms.retain(|_, arm| {
            arm.weight *= fading;
            arm.rewards *= fading;
            arm.weight > FORGOTTEN
        });
        let (reward, weight) = reward(lesson.taught);
        let arm = self.arms.entry(lesson.provider.clone()).or_default();
        arm.weight += weight;
        arm.rewards += weight * reward;
    }

    /// The mean reward, leaning on `otherwise` as long as little is known.
    fn worth(&self, provider: &str, otherwise: f64) -> f64 {
        let arm = self.arms.get(provider).copied().unwrap_or_default();
        (DOUBT * otherwise + arm.rewards) / (DOUBT + arm.weight)
    }
}

/// What a lesson is worth, and how much it counts.
fn reward(taught: Taught) -> (f64, f64) {
    match taught {
        Taught::Failed => (0.0, 1.0),
        Taught::Answered { first_text, cost } => {
            let half = HALF_SPEED.as_secs_f64();
            let speed = half / (half + first_text.as_secs_f64());
            let thrift = cost.map_or(0.5, |cost| HALF_THRIFT / (HALF_THRIFT + cost.max(0.0)));
            (0.5 + 0.3 * speed + 0.2 * thrift, 1.0)
        }
        Taught::Liked => (1.0, FEEDBACK),
        Taught::Disliked => (0.0, FEEDBACK),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NAMES: [&str; 3] = ["alpha", "beta", "gamma"];
    const HERE: Option<GuildId> = Some(GuildId(1));
    const THERE: Option<GuildId> = Some(GuildId(2));

    fn answered(first_text: f64) -> Taught {
        Taught::Answered { first_text: Duration::from_secs_f64(first_text), cost: None }
    }

    fn lesson(server: Option<GuildId>, provider: &str, taught: Taught) -> Lesson {
        Lesson { server, provider: provider.to_owned(), taught }
    }

    /// Plays turns: the first of the order is asked, and whoever fails is followed by the next. Returns who began each.
    fn play(
        bandit: &mut Bandit,
        arms: usize,
        turns: usize,
        rng: &mut fastrand::Rng,
        mut call: impl FnMut(usize, &mut fastrand::Rng) -> Vec<Taught>,
    ) -> Vec<usize> {
        let mut begun = Vec::new();
        for _ in 0..turns {
            let order = bandit.order(HERE, &NAMES[..arms], rng);
            begun.push(order[0]);
            for arm in order {
                let taught = call(arm, rng);
                taught.iter().for_each(|&it| bandit.learn(&lesson(HERE, NAMES[arm], it)));
                if !taught.contains(&Taught::Failed) {
                    break;
                }
            }
        }
        begun
    }

    /// How many of the turns in a range began with `arm`.
    fn share(begun: &[usize], arm: usize) -> f64 {
        begun.iter().filter(|&&it| it == arm).count() as f64 / begun.len() as f64
    }

    #[test]
    fn it_finds_the_better_one() {
        let (mut early, mut late) = (0.0, 0.0);
        for seed in 0..20 {
            let mut rng = fastrand::Rng::with_seed(seed);
            let begun = play(&mut Bandit::default(), 3, 1000, &mut rng, |arm, rng| {
                let fails = rng.f64() < [0.2, 0.2, 0.02][arm];
                vec![if fails { Taught::Failed } else { answered([2.0, 6.0, 1.0][arm] * (0.5 + rng.f64())) }]
            });
            let regret = |part: &[usize]| 1.0 - share(part, 2);
            early += regret(&begun[..50]) / 20.0;
            late += regret(&begun[500..]) / 20.0;
            assert!(regret(&begun[500..]) < 0.1, "seed {seed}: {}", regret(&begun[500..]));
        }
        assert!(late < early / 2.0 && late < EXPLORE + 0.01, "{early} then {late}");
    }

    #[test]
    fn it_turns_away_from_one_that_becomes_bad_and_back_again() {
        for seed in 0..20 {
            let mut rng = fastrand::Rng::with_seed(seed);
            let mut bandit = Bandit::default();
            let good = [1.0, 3.0];
            let well = |arm: usize, _: &mut fastrand::Rng| vec![answered(good[arm])];
            let begun = play(&mut bandit, 2, 300, &mut rng, well);
            assert!(share(&begun[150..], 0) > 0.88, "seed {seed}: {}", share(&begun[150..], 0));
            let ill = |arm: usize, _: &mut fastrand::Rng| {
                vec![if arm == 0 { Taught::Failed } else { answered(good[arm]) }]
            };
            let begun = play(&mut bandit, 2, 300, &mut rng, ill);
            assert!(share(&begun[40..], 0) < 0.1, "seed {seed}: {}", share(&begun[40..], 0));
            let begun = play(&mut bandit, 2, 1000, &mut rng, well);
            assert!(share(&begun[500..], 0) > 0.9, "seed {seed}: {}", share(&begun[500..], 0));
        }
    }

    #[test]
    fn dislike_outweighs_speed() {
        let mut rng = fastrand::Rng::with_seed(3);
        let begun = play(&mut Bandit::default(), 2, 600, &mut rng, |arm, rng| {
            // One answer in three of the quick one is disliked, and people are patient with the other.
            let mut taught = vec![answered([0.2, 4.0][arm])];
            taught.extend((arm == 0 && rng.f64() < 0.3).then_some(Taught::Disliked));
            taught
        });
        assert!(share(&begun[300..], 1) > 0.9, "{}", share(&begun[300..], 1));
        let (fast, slow) = (reward(answered(0.0)).0, reward(answered(60.0)).0);
        assert!(fast < reward(Taught::Liked).0 && slow > reward(Taught::Disliked).0);
    }

    #[test]
    fn money_counts_where_it_is_known() {
        let cost = |cost| reward(Taught::Answered { first_text: Duration::ZERO, cost }).0;
        assert!(cost(Some(0.0)) > cost(Some(0.001)) && cost(Some(0.001)) > cost(None));
        assert!((cost(None) - cost(Some(HALF_THRIFT))).abs() < 1e-9);
        assert!((cost(Some(0.0)) - 1.0).abs() < 1e-9 && (cost(Some(1e9)) - 0.8).abs() < 1e-6);
    }

    #[test]
    fn servers_learn_apart_and_a_new_one_leans_on_the_others() {
        let mut bandit = Bandit::default();
        for _ in 0..60 {
            bandit.learn(&lesson(HERE, "alpha", Taught::Liked));
            bandit.learn(&lesson(HERE, "beta", Taught::Disliked));
            bandit.learn(&lesson(THERE, "alpha", Taught::Disliked));
            bandit.learn(&lesson(THERE, "beta", Taught::Liked));
            bandit.learn(&lesson(Some(GuildId(4)), "gamma", Taught::Liked));
        }
        let best = |server| bandit.order(server, &NAMES, &mut fastrand::Rng::with_seed(1))[0];
        assert_eq!((best(HERE), best(THERE)), (0, 1));
        assert_eq!(best(Some(GuildId(3))), 2, "everybody who knows gamma likes it");
        // A few lessons do not yet outweigh what everybody says; a few more do.
        bandit.learn(&lesson(Some(GuildId(3)), "gamma", Taught::Failed));
        let after_one = bandit.worth(Some(GuildId(3)), "gamma");
        (0..4).for_each(|_| bandit.learn(&lesson(Some(GuildId(3)), "gamma", Taught::Failed)));
        let after_five = bandit.worth(Some(GuildId(3)), "gamma");
        assert!(after_one > 0.5 && after_five < 0.35, "{after_one} {after_five}");
    }

    #[test]
    fn one_turn_in_twenty_explores_and_everybody_gets_the_same_chance() {
        let mut bandit = Bandit::default();
        bandit.learn(&lesson(HERE, "beta", Taught::Liked));
        let mut rng = fastrand::Rng::with_seed(9);
        let draws: Vec<_> = (0..10_000).map(|_| bandit.order(HERE, &NAMES, &mut rng)).collect();
        let begun: Vec<_> = draws.iter().map(|it| it[0]).collect();
        assert!((1.0 - share(&begun, 1) - EXPLORE).abs() < 0.006, "{}", 1.0 - share(&begun, 1));
        assert!((share(&begun, 0) - share(&begun, 2)).abs() < 0.01);
        assert!(draws.iter().all(|it| it[0] == 1 || it[1] == 1), "the best is the next in line");
    }

    #[test]
    fn the_least_recently_taught_server_is_forgotten() {
        let mut bandit = Bandit::default();
        let most = u64::try_from(MOST_SERVERS).unwrap();
        for server in 0..most {
            bandit.learn(&lesson(Some(GuildId(server)), "alpha", Taught::Liked));
        }
        bandit.learn(&lesson(Some(GuildId(0)), "alpha", Taught::Liked));
        bandit.learn(&lesson(None, "alpha", Taught::Liked));
        assert_eq!(bandit.places.len(), MOST_SERVERS);
        assert!(bandit.places.contains_key(&Some(GuildId(0))) && bandit.places.contains_key(&None));
        assert!(!bandit.places.contains_key(&Some(GuildId(1))));
    }

    #[test]
    fn a_provider_that_is_gone_is_forgotten() {
        let mut bandit = Bandit::default();
        bandit.learn(&lesson(HERE, "gone", Taught::Liked));
        (0..1000).for_each(|_| bandit.learn(&lesson(HERE, "alpha", answered(1.0))));
        assert_eq!(bandit.everywhere.arms.len(), 1);
        assert!((bandit.worth(HERE, "gone") - UNKNOWN).abs() < 1e-9);
    }

    fn any_lesson() -> impl proptest::strategy::Strategy<Value = Lesson> {
        let taught = prop_oneof![
            (0..100_000_u64, proptest::option::of(0.0..1e6))
                .prop_map(|(ms, cost)| Taught::Answered { first_text: Duration::from_millis(ms), cost }),
            Just(Taught::Failed),
            Just(Taught::Liked),
            Just(Taught::Disliked),
        ];
        (proptest::option::of(0..4_u64), 0..3_usize, taught)
            .prop_map(|(server, provider, taught)| lesson(server.map(GuildId), NAMES[provider], taught))
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn the_same_lessons_make_the_same_bandit(
            lessons in proptest::collection::vec(any_lesson(), 0..200),
            seed: u64,
            server in proptest::option::of(0..5_u64),
        ) {
            let mut bandits = [Bandit::default(), Bandit::default()];
            for bandit in &mut bandits {
                lessons.iter().for_each(|it| bandit.learn(it));
            }
            let server = server.map(GuildId);
            let [first, again] =
                bandits.each_ref().map(|it| it.order(server, &NAMES, &mut fastrand::Rng::with_seed(seed)));
            prop_assert_eq!(&first, &again);
            let mut sorted = first;
            sorted.sort_unstable();
            prop_assert_eq!(sorted, [0, 1, 2]);
            for name in NAMES {
                prop_assert!((0.0..=1.0).contains(&bandits[0].worth(server, name)));
            }
        }
    }
}
