//! Who goes when: on a clock that stands still unless somebody waits.

use super::*;
use futures::future::join_all;
use tokio::time::sleep;

fn edit(channel: u64, urgency: Urgency, within_ms: u64) -> Wish {
    let route = Route::of("PATCH", &format!("channels/{channel}/messages/_"));
    Wish { route, is_bots: true, urgency, deadline: Instant::now() + Duration::from_millis(within_ms) }
}

fn said(limit: u32, remaining: u32, reset_after_ms: u64) -> Announced {
    let resets_at = Instant::now() + Duration::from_millis(reset_after_ms);
    Announced { bucket: 77, limit, remaining, resets_at }
}

/// Makes a call that takes a moment, and says when it went.
async fn call(gate: &Arc<Gate>, wish: Wish, answer: impl FnOnce() -> Option<Announced>) -> Duration {
    let permit = gate.enter(wish).await.unwrap();
    let went = Instant::now();
    sleep(Duration::from_millis(1)).await;
    permit.answered(Some(wish.route), answer().as_ref());
    went.elapsed()
}

#[tokio::test(start_paused = true)]
async fn the_end_of_an_answer_overtakes_what_is_growing() {
    let gate = Arc::new(Gate::default());
    call(&gate, edit(5, Urgency::Live, 1000), || Some(said(5, 0, 500))).await;
    let order = Mutex::new(Vec::new());
    let one = |name: &'static str, urgency| {
        let (gate, order, wish) = (&gate, &order, edit(5, urgency, 9000));
        async move {
            call(gate, wish, || None).await;
            order.lock().unwrap().push(name);
        }
    };
    let (courtesy, live, waited) = (Urgency::Courtesy, Urgency::Live, Urgency::Waited);
    let calls = [("typing", courtesy), ("live 1", live), ("live 2", live), ("end", waited), ("post", waited)];
    // One after the other, as no answer says how much room there is.
    call(&gate, edit(6, waited, 100), || None).await;
    join_all(calls.map(|(name, urgency)| one(name, urgency))).await;
    assert_eq!(order.into_inner().unwrap(), ["end", "post", "live 1", "live 2", "typing"]);
}

#[tokio::test(start_paused = true)]
async fn what_grows_leaves_the_last_room_of_a_bucket_to_an_end() {
    let gate = Arc::new(Gate::default());
    call(&gate, edit(5, Urgency::Live, 1000), || Some(said(5, 1, 5000))).await;
    let start = Instant::now();
    let live = async {
        call(&gate, edit(5, Urgency::Live, 9000), || None).await;
        start.elapsed()
    };
    let end = async {
        sleep(Duration::from_millis(100)).await;
        call(&gate, edit(5, Urgency::Waited, 9000), || Some(said(5, 0, 4899))).await;
        start.elapsed()
    };
    let (live, end) = tokio::join!(live, end);
    assert!(end < Duration::from_millis(110) && live >= Duration::from_secs(5), "{end:?} {live:?}");
}

#[tokio::test(start_paused = true)]
async fn a_wait_beyond_the_deadline_is_told_at_once() {
    let gate = Arc::new(Gate::default());
    let permit = gate.enter(edit(5, Urgency::Waited, 1000)).await.unwrap();
    permit.too_many(Instant::now() + Duration::from_secs(600), false);
    let start = Instant::now();
    let error = gate.enter(edit(5, Urgency::Waited, 60_000)).await.unwrap_err();
    assert_eq!(error, RestError::RateLimited { retry_after: Duration::from_secs(600) });
    assert_eq!(start.elapsed(), Duration::ZERO);
    assert!(gate.enter(edit(6, Urgency::Waited, 1000)).await.is_ok(), "another channel");
}

#[tokio::test(start_paused = true)]
async fn who_waits_already_hears_that_it_takes_too_long() {
    let gate = Arc::new(Gate::default());
    let first = gate.enter(edit(5, Urgency::Waited, 1000)).await.unwrap();
    let later = async {
        sleep(Duration::from_millis(50)).await;
        first.too_many(Instant::now() + Duration::from_secs(600), false);
    };
    let start = Instant::now();
    let (second, ()) = tokio::join!(gate.enter(edit(5, Urgency::Live, 10_000)), later);
    assert!(matches!(second, Err(RestError::RateLimited { .. })));
    assert_eq!(start.elapsed(), Duration::from_millis(50));
}

#[tokio::test(start_paused = true)]
async fn no_fifty_first_call_goes_within_a_second_and_what_is_urgent_finds_room() {
    let gate = Arc::new(Gate::default());
    let start = Instant::now();
    let one = |channel: u64, urgency| {
        let (gate, wish) = (&gate, edit(channel, urgency, 60_000));
        async move {
            let permit = gate.enter(wish).await.unwrap();
            let at = start.elapsed();
            permit.answered(None, None);
            (at, urgency)
        }
    };
    let live = join_all((0..200).map(|it| one(it, Urgency::Live)));
    let ends = async {
        sleep(Duration::from_millis(10)).await;
        join_all((300..310).map(|it| one(it, Urgency::Waited))).await
    };
    let (mut all, ends) = tokio::join!(live, ends);
    assert!(ends.iter().all(|(at, _)| *at <= Duration::from_millis(11)), "{ends:?}");
    all.extend(ends);
    all.sort_by_key(|it| it.0);
    for window in all.windows(GLOBAL + 1) {
        assert!(window[GLOBAL].0 - window[0].0 >= Duration::from_secs(1), "{window:?}");
    }
    assert!(start.elapsed() < Duration::from_secs(6));
}

#[tokio::test(start_paused = true)]
async fn whoever_goes_away_takes_nobodys_turn() {
    let gate = Arc::new(Gate::default());
    let first = gate.enter(edit(5, Urgency::Waited, 1000)).await.unwrap();
    for _ in 0..20 {
        let gone = tokio::time::timeout(Duration::from_millis(1), gate.enter(edit(5, Urgency::Live, 9000)));
        assert!(gone.await.is_err());
    }
    assert!(gate.state().waiting.is_empty());
    let (last, ()) = tokio::join!(gate.enter(edit(5, Urgency::Live, 9000)), async { drop(first) });
    assert!(last.is_ok());
}

#[tokio::test(start_paused = true)]
async fn more_than_can_be_served_are_refused() {
    let gate = Arc::new(Gate::default());
    let _first = gate.enter(edit(5, Urgency::Waited, 1000)).await.unwrap();
    let outcomes = join_all((0..MOST_WAITING + 7).map(|_| gate.enter(edit(5, Urgency::Live, 900)))).await;
    let refused = outcomes.iter().filter(|it| matches!(it, Err(RestError::RateLimited { .. }))).count();
    let late = outcomes.iter().filter(|it| matches!(it, Err(RestError::Timeout))).count();
    assert_eq!((refused, late), (7, MOST_WAITING));
}

#[tokio::test(start_paused = true)]
async fn a_global_pause_holds_the_bots_calls_and_not_those_of_interactions() {
    let gate = Arc::new(Gate::default());
    let start = Instant::now();
    let permit = gate.enter(edit(5, Urgency::Waited, 1000)).await.unwrap();
    permit.too_many(start + Duration::from_secs(2), true);
    let hook = Wish { is_bots: false, ..edit(6, Urgency::Waited, 1000) };
    drop(gate.enter(hook).await.unwrap());
    assert_eq!(start.elapsed(), Duration::ZERO);
    drop(gate.enter(edit(7, Urgency::Waited, 9000)).await.unwrap());
    assert_eq!(start.elapsed(), Duration::from_secs(2));
}

#[tokio::test(start_paused = true)]
async fn a_bucket_is_never_overdrawn_whatever_the_order_of_answers() {
    // A server that counts as Discord does: a window begins with the first call.
    for seed in 0..200 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let gate = Arc::new(Gate::default());
        let window = Arc::new(Mutex::new((Instant::now(), 0_u32)));
        let calls: Vec<_> = (0..30).map(|_| (rng.u64(0..4000), rng.u64(1..300), rng.bool())).collect();
        let overdrawn = join_all(calls.into_iter().map(|(at, takes, is_end)| {
            let (gate, window) = (Arc::clone(&gate), Arc::clone(&window));
            async move {
                sleep(Duration::from_millis(at)).await;
                let wish = edit(5, if is_end { Urgency::Waited } else { Urgency::Live }, 60_000);
                let permit = gate.enter(wish).await.unwrap();
                let (limit, now) = (5, Instant::now());
                let (used, ends) = {
                    let mut window = window.lock().unwrap();
                    if now >= window.0 {
                        *window = (now + Duration::from_secs(2), 0);
                    }
                    window.1 += 1;
                    (window.1, window.0)
                };
                sleep(Duration::from_millis(takes)).await;
                // The rest of the window is what the server said when it counted; the way back takes its time.
                let resets_at = ends.max(now) + Duration::from_millis(takes);
                let heard = Announced { bucket: 77, limit, remaining: limit.saturating_sub(used), resets_at };
                permit.answered(Some(wish.route), Some(&heard));
                used > limit
            }
        }));
        let overdrawn = overdrawn.await.into_iter().filter(|it| *it).count();
        assert_eq!(overdrawn, 0, "seed {seed}");
    }
}
