//! Trying again: what is decided, and what is done.

use std::time::{Duration, SystemTime};

use lockgate_sdk::retry::{
    Clock, Decision, LONGEST_RETRY_AFTER, Policy, SystemClock, Verdict, is_retried,
    parse_retry_after,
};
use lockgate_sdk::{Failure, FailureKind};

const AGAIN: Verdict = Verdict::Again { after: None };

fn seconds(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}

fn after(wait: f64) -> Verdict {
    Verdict::Again { after: Some(seconds(wait)) }
}

#[test]
fn which_statuses_are_tried_again() {
    for status in [408, 425, 429, 500, 501, 502, 503, 504, 599] {
        assert!(is_retried(status), "{status}");
    }
    for status in [200, 204, 301, 304, 400, 401, 403, 404, 409, 410, 418, 499, 600, 0] {
        assert!(!is_retried(status), "{status}");
    }
}

#[test]
fn waits_double_up_to_the_longest_within_their_range() {
    let policy = Policy { attempts: u32::MAX, deadline: Duration::MAX, ..Policy::default() };
    let wait = |attempt, chance| match policy.decide(attempt, Duration::ZERO, AGAIN, chance) {
        Decision::Wait(wait) => wait.as_secs_f64(),
        other => panic!("{other:?}"),
    };
    let longest: Vec<f64> = (1..=10).map(|attempt| wait(attempt, 1.0)).collect();
    assert_eq!(longest, [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0, 60.0]);
    for attempt in 1..=10 {
        assert_eq!(wait(attempt, 0.0) * 2.0, wait(attempt, 1.0));
    }
    assert_eq!(wait(1000, 1.0), 60.0);
    for odd in [f64::NAN, f64::INFINITY, -1.0, 2.0] {
        assert_eq!(wait(1, odd), 0.5, "{odd}");
    }
}

#[test]
fn what_the_other_side_asks_for_is_the_least() {
    let decide = |verdict| Policy::default().decide(3, Duration::ZERO, verdict, 0.0);
    assert_eq!(decide(after(90.0)), Decision::Wait(seconds(90.0)));
    // Nothing at all is not waited for: the other side may say so in each answer.
    assert_eq!(decide(after(0.0)), Decision::Wait(seconds(1.0)));
}

#[test]
fn attempts_and_time_end() {
    let policy = Policy { attempts: 3, deadline: seconds(10.0), ..Policy::default() };
    let decide = |attempt, elapsed, verdict| policy.decide(attempt, seconds(elapsed), verdict, 1.0);
    assert_eq!(decide(1, 0.0, Verdict::Final), Decision::Final);
    assert_eq!(decide(3, 0.0, AGAIN), Decision::NoAttemptsLeft);
    assert_eq!(decide(1, 9.5, AGAIN), Decision::Wait(seconds(0.5)));
    assert_eq!(decide(1, 9.6, AGAIN), Decision::NoTimeLeft);
    assert_eq!(decide(1, 0.0, after(11.0)), Decision::NoTimeLeft);
    assert_eq!(policy.decide(1, Duration::MAX, AGAIN, 1.0), Decision::NoTimeLeft);
    let none = Policy { attempts: 0, ..policy };
    assert_eq!(none.decide(1, Duration::ZERO, AGAIN, 1.0), Decision::NoAttemptsLeft);
}

#[test]
fn retry_after_is_seconds_or_a_date() {
    let now = SystemTime::UNIX_EPOCH + seconds(1_445_412_470.0);
    let cases = [
        ("0", Some(0.0)),
        (" 7 ", Some(7.0)),
        ("Wed, 21 Oct 2015 07:28:00 GMT", Some(10.0)),
        ("Wednesday, 21-Oct-15 07:28:00 GMT", Some(10.0)),
        ("Wed Oct 21 07:28:00 2015", Some(10.0)),
        // It is past.
        ("Wed, 21 Oct 2015 07:00:00 GMT", Some(0.0)),
        ("", None),
        ("-1", None),
        ("1.5", None),
        ("+1", None),
        ("soon", None),
        ("Wed, 21 Oct 2015 07:28:00 +0200", None),
    ];
    for (text, wait) in cases {
        assert_eq!(parse_retry_after(text, now), wait.map(seconds), "{text:?}");
    }
    for forever in ["99999999", &"9".repeat(5000), "Fri, 31 Dec 9999 23:59:59 GMT"] {
        assert_eq!(parse_retry_after(forever, now), Some(LONGEST_RETRY_AFTER));
    }
}

/// Time that passes only by waiting, and attempts that take a second.
#[derive(Default)]
struct FakeClock {
    now: Duration,
    waits: Vec<Duration>,
}

impl Clock for FakeClock {
    fn now(&mut self) -> Duration {
        self.now
    }

    fn sleep(&mut self, wait: Duration) {
        self.now += wait;
        self.waits.push(wait);
    }

    fn chance(&mut self) -> f64 {
        1.0
    }
}

#[test]
fn an_operation_is_done_until_it_works() {
    let mut clock = FakeClock::default();
    let mut left = 3;
    let result = Policy::default().run_with("counting", &mut clock, || {
        left -= 1;
        if left > 0 { Err(Failure::transient("busy")) } else { Ok(left) }
    });
    assert_eq!(result, Ok(0));
    assert_eq!(clock.waits, [seconds(0.5), seconds(1.0)]);
}

#[test]
fn what_is_final_is_done_once() {
    for failure in [Failure::config("wrong"), Failure::system("odd")] {
        let (mut clock, mut count) = (FakeClock::default(), 0);
        let result: Result<(), Failure> = Policy::default().run_with("x", &mut clock, || {
            count += 1;
            Err(failure.clone())
        });
        assert_eq!((result, count), (Err(failure), 1));
        assert!(clock.waits.is_empty());
    }
}

#[test]
fn the_last_error_is_the_answer() {
    let (mut clock, mut count) = (FakeClock::default(), 0);
    let policy = Policy { attempts: 4, ..Policy::default() };
    let result: Result<(), Failure> = policy.run_with("x", &mut clock, || {
        count += 1;
        Err(Failure::transient(format!("busy {count}")).retry_after(seconds(3.0)))
    });
    let failure = result.unwrap_err();
    assert_eq!((failure.kind, &*failure.message), (FailureKind::Transient, "busy 4"));
    assert_eq!(failure.retry_after_ms, Some(3000));
    assert_eq!(clock.waits, [seconds(3.0); 3]);
}

#[test]
fn a_wait_that_is_too_long_is_left_to_the_host() {
    let mut clock = FakeClock::default();
    let result: Result<(), Failure> = Policy::default()
        .run_with("x", &mut clock, || Err(Failure::transient("busy").retry_after(seconds(3600.0))));
    assert_eq!(result.unwrap_err().retry_after_ms, Some(3_600_000));
    assert!(clock.waits.is_empty());
}

#[test]
fn chance_is_a_part_and_differs() {
    let mut clock = SystemClock::default();
    let chances: Vec<f64> = (0..100).map(|_| clock.chance()).collect();
    assert!(chances.iter().all(|chance| (0.0..=1.0).contains(chance)));
    assert!(chances.iter().any(|chance| *chance < 0.5) && chances.iter().any(|c| *c > 0.5));
}
