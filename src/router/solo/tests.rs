//! What two threads may do to each other between a decision and its deed, in the order in which it hurts.

use super::*;
use crate::router::{
    Ceilings, Router,
    strategy::Strategy,
    tests::cast::{Script, house_with, question, settings},
};

fn solo(router: &Router) -> Solo {
    router.solo(&Ask { prompt: question(), ..Ask::default() }, Instant::now())
}

fn router(ceilings: Ceilings) -> Router {
    let script = Script::Times(vec![(u64::MAX, "100ms ok")]);
    let settings = settings(Strategy::Priority);
    house_with(vec![("alpha", script, false)], settings, |_, player| super::super::Player {
        ceilings,
        ..player
    })
    .router
}

/// Two turns decide for the same provider at the same moment; says how many calls that makes.
fn both_begin(router: &Router) -> (usize, usize) {
    let now = Instant::now();
    let (mut first, mut second) = (solo(router), solo(router));
    for turn in [&mut first, &mut second] {
        assert!(matches!(turn.cue(now), Cue::Begin(0)));
    }
    first.begin(0, now);
    second.begin(0, now);
    assert!(matches!(second.cue(now), Cue::Wait(_)), "whoever came second waits");
    (first.running.len(), second.running.len())
}

#[tokio::test(start_paused = true)]
async fn the_last_place_below_a_ceiling_is_taken_once() {
    for ceilings in [
        Ceilings { concurrent: 1, ..Ceilings::default() },
        Ceilings { requests_per_minute: Some(1), ..Ceilings::default() },
    ] {
        assert_eq!(both_begin(&router(ceilings)), (1, 0));
    }
}

#[tokio::test(start_paused = true)]
async fn a_probe_is_one_and_leaves_its_place_when_the_turn_is_dropped() {
    let router = router(Ceilings::default());
    let rest = crate::outcome::Rest {
        provider: "alpha".to_owned(),
        model: "script".to_owned(),
        why: Failure::Timeout,
        until: UnixMillis(0),
        probe: true,
        rests: 1,
    };
    router.take_up(&[rest], Instant::now(), UnixMillis(0));
    assert_eq!(both_begin(&router), (1, 0));
    // Both are dropped, and nothing is kept.
    assert_eq!(both_begin(&router), (1, 0));
}

/// A call that was refused at the last moment has taken nothing from what all turns share.
#[tokio::test(start_paused = true)]
async fn who_comes_second_pays_nothing() {
    let router = router(Ceilings { concurrent: 1, ..Ceilings::default() });
    let now = Instant::now();
    let (mut first, mut second) = (solo(&router), solo(&router));
    second.upcoming[0].tries = 1;
    assert!(matches!(second.cue(now), Cue::Begin(0)));
    first.begin(0, now);
    let before = format!("{:?}", router.shared.state().repeats);
    second.begin(0, now);
    assert_eq!(format!("{:?}", router.shared.state().repeats), before);
    assert_eq!(second.upcoming.len(), 1, "and keeps its place in line");
}
