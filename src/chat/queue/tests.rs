//! Who waits, for how long, and how many are let go at once.

use super::*;
use crate::outcome::Failed;
use expect_test::expect;
use futures::FutureExt;

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn a_question_waits_as_long_as_is_set_and_a_command_no_longer_than_it_can_be_answered() {
    let now = Instant::now();
    let term = |by_token, queue, passed: u64| {
        let at = UnixMillis(1_000_000).plus(seconds(passed));
        let term = Term::of(UnixMillis(1_000_000), by_token, seconds(queue), (now, at));
        assert_eq!(term.clock(now + seconds(9)), at.plus(seconds(9)));
        let left = |it: Instant| it.duration_since(now).as_secs();
        (term.may_wait, left(term.until), term.answer_by.map(left))
    };
    assert_eq!(term(false, 1800, 0), (true, 1800, None));
    assert_eq!(term(false, 1800, 1000), (true, 800, None), "also after a restart");
    assert_eq!(term(false, 1800, 9000), (true, 0, None));
    assert!(!term(false, 0, 0).0);
    assert_eq!(term(true, 1800, 0), (true, 840, Some(840)));
    assert_eq!(term(true, 60, 0), (true, 60, Some(840)));
}

#[test]
fn an_outage_is_waited_for_and_nothing_else() {
    use Failure::{
        Auth, BadRequest, ContentFiltered, ContextTooLong, QuotaExhausted, RateLimited, ServerError,
    };
    let check = |failures: &[Failure], why: &[Failure]| {
        let failures = failures.iter().map(|it| ("alpha".to_owned(), Failed::new(*it, ""))).collect();
        let outlook = Outlook { why: why.to_vec(), ..Outlook::default() };
        may_pass(&Exhausted { failures, ..Exhausted::default() }, &outlook)
    };
    assert!(check(&[ServerError], &[]));
    assert!(check(&[Auth, RateLimited], &[]), "one of them may be back");
    assert!(check(&[BadRequest, ServerError], &[]));
    assert!(!check(&[ServerError, ContentFiltered], &[]));
    assert!(!check(&[ServerError, ContextTooLong], &[]));
    assert!(!check(&[BadRequest], &[]));
    assert!(!check(&[Auth, QuotaExhausted], &[ServerError]));
    assert!(check(&[], &[Auth, ServerError]), "nobody was asked, since all rest");
    assert!(!check(&[], &[Auth]));
    assert!(check(&[], &[]), "everybody is at a ceiling");
}

/// When a turn that was given up after so many rounds asks again, second by second: `R` somebody is ready, `d` somebody can be
/// asked, `.` nobody.
fn check(rounds: u32, looks_every: Option<u64>, course: &str) -> String {
    let begin = Instant::now();
    let outlook = |it: char| Outlook { is_ready: it == 'R', can_be_asked: it != '.', ..Outlook::default() };
    let pauses = (seconds(8), looks_every.map(seconds));
    let first = course.chars().next().unwrap_or('.');
    let patience = Patience::after(&outlook(first), rounds, pauses, begin);
    for (second, it) in course.chars().enumerate() {
        let now = begin + seconds(second as u64);
        match patience.may_ask(&outlook(it), now) {
            Ok(()) => return format!("asks after {second} s"),
            Err(Some(at)) => assert!(at > now, "it wakes later"),
            Err(None) => assert_eq!(it, '.', "somebody may be asked some time"),
        }
    }
    "waits".to_owned()
}

#[test]
fn who_is_found_well_is_asked_at_once_and_who_seems_well_after_a_pause() {
    let dark = ".".repeat(100);
    let said = [
        check(0, Some(30), &dark),
        check(0, Some(30), &("...".to_owned() + &"R".repeat(100))),
        check(5, Some(30), &("...".to_owned() + &"R".repeat(100))),
        check(0, Some(30), &"R".repeat(100)),
        check(1, Some(30), &"R".repeat(100)),
        check(9, Some(30), &"R".repeat(100)),
        check(0, Some(30), &("R....".to_owned() + &"R".repeat(100))),
        check(0, Some(30), &"d".repeat(100)),
        check(0, None, &("...".to_owned() + &"d".repeat(100))),
        check(1, None, &"d".repeat(100)),
    ];
    expect![[r#"
        waits
        asks after 3 s
        asks after 3 s
        asks after 8 s
        asks after 16 s
        asks after 30 s
        asks after 8 s
        asks after 30 s
        asks after 8 s
        asks after 16 s"#]]
    .assert_eq(&said.join("\n"));
}

type Waits<'a> = Vec<(i64, futures::future::BoxFuture<'a, Permit>)>;

/// Outside of a runtime, which would let a task that polls so much wait.
#[test]
fn a_few_are_let_go_at_first_the_oldest_first_and_more_as_they_are_answered() {
    let queue = Queue::default();
    let mut waiting: Waits<'_> =
        (0..200).rev().map(|it| (it, queue.let_go(UnixMillis(it)).boxed())).collect();
    let let_go = |waiting: &mut Waits<'_>| {
        let mut gone = Vec::new();
        for (at, mut it) in std::mem::take(waiting) {
            match it.as_mut().now_or_never() {
                Some(permit) => gone.push((at, permit)),
                None => waiting.push((at, it)),
            }
        }
        gone
    };
    // Each is polled once, so that all are in line; the first two to come are let go.
    let mut permits = let_go(&mut waiting);
    assert_eq!(permits.len(), 2);
    let mut sizes = Vec::new();
    for _ in 0..7 {
        permits.into_iter().for_each(|(_, it): (i64, Permit)| it.answered());
        permits = let_go(&mut waiting);
        sizes.push(permits.len());
        assert!(permits.iter().all(|(at, _)| waiting.iter().all(|(later, _)| at < later)), "the oldest");
    }
    assert_eq!(sizes[..3], [8, 64, 64], "{sizes:?}");
    drop(permits);
    drop(waiting);
    let gate = queue.gate();
    assert_eq!((gate.asking, gate.queued), (0, 0));
}

#[tokio::test]
async fn when_one_fails_it_begins_with_a_few_again_and_who_gives_up_is_not_waited_for() {
    let queue = Queue::default();
    queue.gate().at_once = 64;
    queue.let_go(UnixMillis(0)).await.refused();
    let first = queue.let_go(UnixMillis(1)).await;
    let _second = queue.let_go(UnixMillis(2)).await;
    let mut third = Box::pin(queue.let_go(UnixMillis(3)));
    assert!(third.as_mut().now_or_never().is_none());
    let mut fourth = Box::pin(queue.let_go(UnixMillis(4)));
    assert!(fourth.as_mut().now_or_never().is_none());
    drop(third);
    drop(first);
    assert!(fourth.now_or_never().is_some());
}

#[test]
fn the_queue_is_bounded() {
    let queue = Queue::default();
    let places: Vec<_> = std::iter::from_fn(|| queue.place()).collect();
    assert_eq!(places.len(), 1000);
    drop(places);
    assert!(queue.place().is_some());
}
