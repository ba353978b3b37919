//! No stretch of time has more turns than allowed, and what is remembered is bounded.

use super::*;
use proptest::prelude::*;

fn rate(count: u32, seconds: u64) -> Option<Rate> {
    Some(Rate { count, per: Duration::from_secs(seconds) })
}

fn limits(per_user: Option<Rate>, per_channel: Option<Rate>, per_server: Option<Rate>) -> Limits {
    Limits::new(&LimitsConfig { per_user, per_channel, per_server, ..LimitsConfig::default() })
}

fn asker(person: u64, channel: u64, server: u64) -> Asker {
    Asker { person: UserId(person), channel: ChannelId(channel), server: Some(GuildId(server)) }
}

fn over(scope: Scope, seconds: u64) -> Result<(), OverLimit> {
    Err(OverLimit { scope, wait: Duration::from_secs(seconds) })
}

#[test]
fn each_limit_holds_where_it_is_set_and_says_when_to_come_back() {
    let begin = Instant::now();
    let at = |seconds| begin + Duration::from_secs(seconds);
    let mut limits = limits(rate(2, 60), rate(3, 100), rate(4, 1000));
    assert_eq!(limits.take(&asker(1, 1, 1), at(0)), Ok(()));
    assert_eq!(limits.take(&asker(1, 1, 1), at(10)), Ok(()));
    assert_eq!(limits.take(&asker(1, 2, 1), at(20)), over(Scope::Person, 40), "wherever they ask");
    assert_eq!(limits.take(&asker(2, 1, 1), at(20)), Ok(()));
    assert_eq!(limits.take(&asker(3, 1, 1), at(30)), over(Scope::Channel, 70));
    assert_eq!(limits.take(&asker(3, 2, 1), at(30)), Ok(()));
    assert_eq!(limits.take(&asker(4, 3, 1), at(40)), over(Scope::Server, 960));
    assert_eq!(limits.take(&asker(4, 3, 2), at(40)), Ok(()), "another server is another one");
    assert_eq!(
        limits.take(&Asker { server: None, ..asker(1, 9, 0) }, at(60)),
        Ok(()),
        "the first one is over"
    );
    assert_eq!(limits.take(&Asker { server: None, ..asker(1, 9, 0) }, at(69)), over(Scope::Person, 1));
}

#[test]
fn what_is_refused_or_given_back_does_not_count() {
    let now = Instant::now();
    let mut limits = limits(rate(1, 60), rate(1, 60), None);
    assert!(limits.take(&asker(1, 1, 1), now).is_ok());
    assert!(limits.take(&asker(2, 1, 1), now).is_err(), "the channel is full");
    assert!(limits.take(&asker(2, 2, 1), now).is_ok(), "and the person was not charged for it");
    limits.give_back(&asker(2, 2, 1));
    assert!(limits.take(&asker(2, 2, 1), now).is_ok());
}

#[test]
fn a_flood_hears_a_few_words() {
    let begin = Instant::now();
    let mut limits = limits(rate(1, 60), rate(1, 60), None);
    let mut words = 0;
    for number in 0..1000_u64 {
        let now = begin + Duration::from_millis(number * 10);
        let asker = asker(number % 50, 1, 1);
        if let Err(over) = limits.take(&asker, now) {
            words += u32::from(limits.is_told(over, &asker, now));
        }
    }
    assert_eq!(words, 1, "the channel's limit is told once, and it is the one that lasts the longest");
    let mut limits = self::limits(rate(1, 60), None, None);
    let mut words = 0;
    for number in 0..1000_u64 {
        let now = begin + Duration::from_millis(number * 10);
        let asker = asker(number % 50, 1, 1);
        if let Err(over) = limits.take(&asker, now) {
            words += u32::from(limits.is_told(over, &asker, now));
        }
    }
    assert_eq!(words, 3, "fifty people, but only so many words in a channel within ten seconds");
    assert!(limits.is_told_of_the_line(ChannelId(1), begin));
    assert!(!limits.is_told_of_the_line(ChannelId(1), begin + Duration::from_secs(29)));
    assert!(limits.is_told_of_the_line(ChannelId(1), begin + Duration::from_secs(30)));
}

#[test]
fn a_flood_of_people_does_not_grow() {
    let now = Instant::now();
    let mut windows = Windows::new(Rate { count: 1000, per: Duration::from_secs(60) });
    for number in 0..20_000_u64 {
        windows.count(UserId(number), now + Duration::from_micros(number));
    }
    assert_eq!((windows.keys.len(), windows.heard.len()), (COUNTED, COUNTED));
    assert!(windows.keys.contains_key(&UserId(19_999)) && !windows.keys.contains_key(&UserId(0)));
    for number in 0..100_000_u64 {
        windows.count(UserId(19_999), now + Duration::from_millis(number));
    }
    let marks = windows.keys[&UserId(19_999)].marks.len();
    windows.wait(&UserId(19_999), now + Duration::from_millis(100_000));
    assert!(windows.keys[&UserId(19_999)].marks.len() <= MARKS as usize + 2, "{marks}");
    windows.count(UserId(1), now + Duration::from_secs(1000));
    assert_eq!((windows.keys.len(), windows.heard.len()), (1, 1), "and what is over is forgotten");
}

proptest! {
    /// Whenever people ask: in no stretch of the time are more turns than allowed, and who waits as long as told may ask.
    #[test]
    fn never_more_than_allowed(count in 1..200_u32, gaps in proptest::collection::vec(0..3000_u64, 1..400)) {
        let per = Duration::from_secs(10);
        let mut windows = Windows::new(Rate { count, per });
        let (mut now, mut taken) = (Instant::now(), Vec::new());
        for gap in gaps {
            now += Duration::from_millis(gap / 20);
            if let Some(wait) = windows.wait(&UserId(1), now) {
                prop_assert!(wait <= per + per / MARKS, "{wait:?}");
                if gap % 2 == 0 {
                    continue;
                }
                now += wait;
                prop_assert_eq!(windows.wait(&UserId(1), now), None, "who waits as long as told may ask");
            }
            windows.count(UserId(1), now);
            taken.push(now);
            let recent = taken.iter().filter(|it| **it + per > now).count();
            prop_assert!(recent <= count as usize);
        }
    }
}
