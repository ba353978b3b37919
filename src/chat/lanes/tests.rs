//! Lines are fair and bounded, and what is given up leaves nothing behind.

use super::*;
use crate::{
    message::{ChannelId, GuildId},
    metrics::Metrics,
};
use futures::FutureExt;
use proptest::prelude::*;

const MANY: AtOnce = AtOnce { turns: 100, of_a_person: 100 };

/// A message of a person in a channel of a server.
fn of(server: u64, channel: u64, person: u64, message: u64) -> Caller {
    Caller {
        conversation: ConversationId(ChannelId(channel)),
        message: MessageId(message),
        person: UserId(person),
        circle: Circle::Server(GuildId(server)),
        is_exempt: false,
    }
}

fn waiting() -> Waiting {
    Metrics::default().turn_waiting()
}

impl Lanes {
    fn ticket(&self, caller: Caller) -> Ticket {
        self.line_up(caller, false, waiting()).unwrap()
    }

    fn is_forgotten(&self) -> bool {
        let state = self.state();
        state.waiting.is_empty()
            && state.running.is_empty()
            && state.busy.is_empty()
            && state.taken.is_empty()
            && state.servers.is_empty()
            && state.people.is_empty()
    }
}

/// Whoever of these may begin now, by message; they begin.
fn begun(tickets: &mut Vec<Ticket>) -> Vec<(u64, LaneGuard)> {
    let mut begun = Vec::new();
    for mut ticket in std::mem::take(tickets) {
        match ticket.called.try_recv() {
            Ok(()) => begun.push((ticket.guard.caller.message.0, ticket.guard)),
            Err(_) => tickets.push(ticket),
        }
    }
    begun
}

/// In which order all of these are served, one after the other.
fn order(mut tickets: Vec<Ticket>, first: LaneGuard) -> Vec<u64> {
    let mut order = Vec::new();
    let mut running = vec![(0, first)];
    while !running.is_empty() {
        drop(running);
        running = begun(&mut tickets);
        order.extend(running.iter().map(|it| it.0));
    }
    assert!(tickets.is_empty(), "everybody is served");
    order
}

#[tokio::test]
async fn one_at_a_time_oldest_first_and_other_lanes_are_free() {
    let lanes = Lanes::new(MANY);
    let first = lanes.ticket(of(1, 1, 1, 10)).enter().await;
    let third = lanes.ticket(of(1, 1, 1, 12));
    let second = lanes.ticket(of(1, 1, 1, 11));
    let elsewhere = lanes.ticket(of(1, 2, 1, 13)).enter().now_or_never();
    assert!(elsewhere.is_some(), "another conversation does not wait");
    drop(elsewhere);
    assert_eq!(order(vec![third, second], first), [11, 12], "the older message goes first");
    assert!(lanes.is_forgotten());
}

#[tokio::test]
async fn who_gives_up_lets_nobody_in_and_holds_nobody_up() {
    let lanes = Lanes::new(MANY);
    let first = lanes.ticket(of(1, 1, 1, 1)).enter().await;
    let second = lanes.ticket(of(1, 1, 1, 2));
    let mut third = Box::pin(lanes.ticket(of(1, 1, 1, 3)).enter());
    drop(second);
    assert!(third.as_mut().now_or_never().is_none(), "the first one still has the lane");
    drop(first);
    drop(third.await);
    assert!(lanes.is_forgotten());
}

#[tokio::test]
async fn a_message_that_is_heard_twice_has_one_place() {
    let lanes = Lanes::new(MANY);
    let first = lanes.ticket(of(1, 1, 1, 1)).enter().await;
    let second = lanes.ticket(of(1, 1, 1, 2));
    for again in [1, 2] {
        let refused = lanes.line_up(of(1, 1, 1, again), false, waiting()).unwrap_err();
        assert_eq!(refused, NoPlace::Taken, "running or waiting");
    }
    assert_eq!(order(vec![second], first), [2]);
}

#[tokio::test]
async fn a_person_has_a_few_at_once_and_the_others_wait_without_holding_anybody_up() {
    let lanes = Lanes::new(AtOnce { turns: 100, of_a_person: 1 });
    let first = lanes.ticket(of(1, 1, 7, 1)).enter().await;
    let mut elsewhere = vec![lanes.ticket(of(1, 2, 7, 2))];
    assert!(begun(&mut elsewhere).is_empty(), "one at a time, wherever it is");
    let other = lanes.ticket(of(1, 2, 8, 3)).enter().now_or_never();
    assert!(other.is_some(), "who waits for their own turn does not have the lane");
    let exempt = Caller { is_exempt: true, ..of(1, 3, 7, 4) };
    assert!(lanes.ticket(exempt).enter().now_or_never().is_some());
    drop(other);
    drop(first);
    assert_eq!(begun(&mut elsewhere).len(), 1);
    drop(elsewhere);
    assert!(lanes.is_forgotten());
}

#[tokio::test]
async fn servers_are_served_in_turn_and_in_them_people() {
    let lanes = Lanes::new(AtOnce { turns: 1, of_a_person: 1 });
    let first = lanes.ticket(of(1, 1, 1, 1)).enter().await;
    // A flood of server 1, where person 1 is the loudest; then two messages of server 2, and one of server 3.
    let flood = [(1, 10), (1, 11), (1, 12), (2, 13), (1, 14)];
    let mut tickets: Vec<Ticket> =
        flood.into_iter().map(|(person, message)| lanes.ticket(of(1, message, person, message))).collect();
    tickets.push(lanes.ticket(of(2, 50, 5, 20)));
    tickets.push(lanes.ticket(of(2, 51, 5, 21)));
    tickets.push(lanes.ticket(of(3, 60, 6, 22)));
    assert_eq!(order(tickets, first), [20, 22, 13, 21, 10, 11, 12, 14]);
    assert!(lanes.is_forgotten());
}

#[tokio::test]
async fn in_one_channel_a_quiet_person_is_not_behind_all_of_a_loud_one() {
    let lanes = Lanes::new(AtOnce { turns: 10, of_a_person: 1 });
    let first = lanes.ticket(of(1, 1, 1, 1)).enter().await;
    let loud = (2..8).map(|it| lanes.ticket(of(1, 1, 1, it)));
    let mut tickets: Vec<Ticket> = loud.collect();
    tickets.push(lanes.ticket(of(1, 1, 2, 8)));
    assert_eq!(order(tickets, first), [8, 2, 3, 4, 5, 6, 7]);
}

#[tokio::test]
async fn lines_are_bounded_and_what_was_accepted_has_a_place() {
    let lanes = Lanes::new(AtOnce { turns: 1, of_a_person: 1 });
    let full = |caller| lanes.line_up(caller, false, waiting()).map(drop).unwrap_err();
    let guard = lanes.ticket(of(1, 1, 1, 0)).enter().await;
    let mut tickets: Vec<Ticket> = (1..=16).map(|it| lanes.ticket(of(1, 1, it, it))).collect();
    assert_eq!(full(of(1, 1, 99, 17)), NoPlace::Full, "a conversation's line");
    tickets.push(lanes.line_up(of(1, 1, 99, 17), true, waiting()).unwrap());
    tickets.extend((100..116).map(|it| lanes.ticket(of(1, it, 50, it))));
    assert_eq!(full(of(1, 200, 50, 200)), NoPlace::Full, "a person's");
    let of_server = tickets.len();
    tickets
        .extend((0..256 - of_server as u64).map(|it| lanes.ticket(of(1, 1000 + it, 1000 + it, 1000 + it))));
    assert_eq!(full(of(1, 3000, 3000, 3000)), NoPlace::Full, "a server's");
    tickets.extend((0..768).map(|it| lanes.ticket(of(2 + it / 200, 5000 + it, 5000 + it, 5000 + it))));
    assert_eq!(full(of(9, 9000, 9000, 9000)), NoPlace::Full, "the whole house");
    drop(tickets);
    drop(guard);
    assert!(lanes.is_forgotten());
}

#[tokio::test]
async fn who_is_put_off_keeps_the_conversation_and_lets_others_run() {
    let lanes = Lanes::new(AtOnce { turns: 1, of_a_person: 1 });
    let first = lanes.ticket(of(1, 1, 1, 1)).enter().await;
    let mut here = vec![lanes.ticket(of(1, 1, 2, 2))];
    let mut elsewhere = vec![lanes.ticket(of(1, 2, 1, 3))];
    assert!(lanes.put_off(first.caller.conversation).now_or_never().is_none());
    first.put_off();
    assert!(lanes.put_off(first.caller.conversation).now_or_never().is_some());
    assert!(begun(&mut here).is_empty(), "the conversation is still taken");
    let others = begun(&mut elsewhere);
    assert_eq!(others.len(), 1, "also the same person's, elsewhere");
    assert!(first.go_on(waiting()).now_or_never().is_none(), "there is no room");
    drop(others);
    // The future was dropped while it waited, and called afterwards: the guard has what it was given.
    assert_eq!(lanes.state().running.len(), 1);
    drop(first);
    assert_eq!(begun(&mut here).len(), 1);
    assert!(lanes.is_forgotten());
}

#[derive(Clone, Debug)]
enum Deed {
    Comes(Caller),
    Begins,
    GivesUp(usize),
    Ends(usize),
    PutOff(usize),
    GoesOn(usize),
}

fn deed() -> impl Strategy<Value = Deed> {
    prop_oneof![
        (0..3_u64, 0..3_u64, 0..3_u64, 0..1000_u64).prop_map(|(server, channel, person, message)| {
            Deed::Comes(of(server, server * 10 + channel, person, message))
        }),
        Just(Deed::Begins),
        (0..8_usize).prop_map(Deed::GivesUp),
        (0..8_usize).prop_map(Deed::Ends),
        (0..8_usize).prop_map(Deed::PutOff),
        (0..8_usize).prop_map(Deed::GoesOn),
    ]
}

proptest! {
    /// Whatever people do, no bound is passed, nobody who may begin waits, and at the end nothing is left behind.
    #[test]
    fn nothing_is_lost_and_nothing_is_left(deeds in proptest::collection::vec(deed(), 0..80)) {
        let at_once = AtOnce { turns: 3, of_a_person: 2 };
        let lanes = Lanes::new(at_once);
        let (mut tickets, mut guards) = (Vec::new(), Vec::<(bool, LaneGuard)>::new());
        for deed in deeds {
            match deed {
                Deed::Comes(caller) => tickets.extend(lanes.line_up(caller, false, waiting()).ok()),
                Deed::Begins => guards.extend(begun(&mut tickets).into_iter().map(|it| (false, it.1))),
                Deed::GivesUp(at) if at < tickets.len() => drop(tickets.remove(at)),
                Deed::Ends(at) if at < guards.len() => drop(guards.remove(at)),
                Deed::PutOff(at) if at < guards.len() => {
                    guards[at].1.put_off();
                    guards[at].0 = true;
                }
                Deed::GoesOn(at) if at < guards.len() && guards[at].0 => {
                    // What is given up while it waits to go on is given up for good, as a turn would.
                    let (_, guard) = guards.remove(at);
                    let _ = guard.go_on(waiting()).now_or_never();
                }
                Deed::GivesUp(_) | Deed::Ends(_) | Deed::PutOff(_) | Deed::GoesOn(_) => {}
            }
            let state = lanes.state();
            prop_assert!(state.running.len() <= at_once.turns);
            prop_assert!(state.people.values().all(|it| it.running <= at_once.of_a_person));
            prop_assert!(state.next().is_none(), "nobody who may begin waits");
        }
        drop(tickets);
        drop(guards);
        prop_assert!(lanes.is_forgotten());
    }
}
