//! Marks under a clock that the test turns.

use super::*;

fn limits() -> Limits {
    let seconds = Duration::from_secs;
    Limits { max_connections: 1, header_timeout: seconds(10), idle_timeout: seconds(75), stall_timeout: seconds(60) }
}

fn overdue(activity: &Activity, start: Instant, after: u64) -> (Option<Overdue>, u64) {
    let deadline = activity.deadline(&limits(), start + Duration::from_secs(after));
    (deadline.overdue, (deadline.at - start).as_secs())
}

#[test]
fn a_fresh_connection_has_the_header_timeout_whatever_trickles_in() {
    let start = Instant::now();
    let activity = Activity::new(start);
    activity.read(b"G");
    activity.wrote();
    assert_eq!(overdue(&activity, start, 9), (Some(Overdue::Header), 10));
    assert!(activity.expects_request());
}

#[test]
fn a_client_is_stalled_only_while_it_is_its_turn() {
    let start = Instant::now();
    let activity = Activity::new(start);
    let exchange = activity.begin(false, false);
    assert_eq!(overdue(&activity, start, 100), (None, 160), "we owe the answer");
    exchange.handed();
    assert_eq!(overdue(&activity, start, 100), (Some(Overdue::Stalled), 160));
    assert_eq!(overdue(&activity, start, 101), (Some(Overdue::Stalled), 160), "since it was seen first");
    activity.wrote();
    assert_eq!(overdue(&activity, start, 120), (Some(Overdue::Stalled), 180), "it takes bytes");
    assert_eq!(overdue(&activity, start, 121), (Some(Overdue::Stalled), 180));
    exchange.waiting();
    assert_eq!(overdue(&activity, start, 131), (None, 191));
}

#[test]
fn no_time_counts_while_only_an_answer_is_owed() {
    let start = Instant::now();
    let second = |after| start + Duration::from_secs(after);
    let activity = Activity::new(start);
    let overdue =
        |clock: u64| activity.look(&limits(), || second(clock)).map(|deadline| (deadline.overdue, deadline.at));
    assert_eq!(overdue(1), Some((Some(Overdue::Header), second(10))), "a request is yet to come");
    let exchange = activity.begin(false, false);
    activity.read(b"GET / HTTP/1.1\r\n");
    assert_eq!(overdue(2), None);
    exchange.handed();
    assert_eq!(overdue(3), Some((Some(Overdue::Stalled), second(63))), "it is the client's turn");
    exchange.waiting();
    assert_eq!(overdue(4), None);
    drop(exchange);
    assert_eq!(overdue(30), Some((Some(Overdue::Header), second(40))), "the next head counts from the answer's end");
    let _stream = activity.begin(true, false);
    assert_eq!(overdue(50), Some((None, second(110))), "a stream's turn may change beside the connection");
}

#[test]
fn pings_on_a_multiplexed_connection_are_no_progress() {
    let start = Instant::now();
    let activity = Activity::new(start);
    let exchange = activity.begin(true, false);
    exchange.handed();
    activity.settle(start);
    activity.wrote();
    assert_eq!(overdue(&activity, start, 51), (Some(Overdue::StalledStream), 60));
    drop(exchange);
    activity.settle(start + Duration::from_secs(52));
    activity.read(b"ping");
    assert_eq!(overdue(&activity, start, 60), (Some(Overdue::Idle), 127));
    assert!(!activity.expects_request());
}

#[test]
fn a_stream_is_overdue_by_its_own_account() {
    let start = Instant::now();
    let second = |after| start + Duration::from_secs(after);
    let activity = Activity::new(start);
    let streams: Vec<_> = (0..3).map(|_| activity.begin(true, false)).collect();
    let cut = activity.newest_cut().expect("three are in flight");
    streams[0].handed();
    streams[2].handed();
    activity.settle(start);
    drop(activity.begin(true, false));
    activity.settle(second(40));
    streams[0].progress().expect("a stream has one").took();
    assert_eq!(overdue(&activity, start, 50), (Some(Overdue::StalledStream), 60));
    assert_eq!((activity.cut_streams(&limits(), second(59)), cut.is_cancelled()), (0, false));
    assert_eq!((activity.cut_streams(&limits(), second(60)), cut.is_cancelled()), (1, true));
    assert_eq!(overdue(&activity, start, 60), (Some(Overdue::StalledStream), 110), "the slow reader goes on");
    streams[2].handed();
    streams[0].waiting();
    assert_eq!(overdue(&activity, start, 70), (None, 130), "we owe the rest, and what is cut stays cut");
}

#[test]
fn between_two_requests_the_idle_timeout_counts_until_a_byte_comes() {
    let start = Instant::now();
    let activity = Activity::new(start);
    drop(activity.begin(false, false));
    activity.settle(start);
    assert_eq!(overdue(&activity, start, 1), (Some(Overdue::Idle), 75));
    assert!(!activity.expects_request());
    activity.read(b"GET / HTTP/1.1\r\n");
    activity.settle(start + Duration::from_secs(20));
    activity.read(b"Host: a\r\n");
    assert_eq!(overdue(&activity, start, 29), (Some(Overdue::Header), 30));
    assert!(activity.expects_request());
}

#[test]
fn what_comes_behind_a_request_in_flight_is_a_head_unless_it_is_whole_or_content() {
    for (behind, content, expected) in [
        ("GET / HTTP/1.1\r\n", false, Overdue::Header),
        ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", false, Overdue::Idle),
        ("GET / HTTP/1.1\nHost: a\n\n", false, Overdue::Idle),
        ("content", true, Overdue::Idle),
    ] {
        let start = Instant::now();
        let activity = Activity::new(start);
        activity.read(b"GET / HTTP/1.1\r\nHost: a\r\n\r");
        activity.read(b"\n");
        let exchange = activity.begin(false, content);
        activity.read(behind.as_bytes());
        drop(exchange);
        assert_eq!(overdue(&activity, start, 0).0, Some(expected), "{behind:?}");
        assert_eq!(activity.expects_request(), expected == Overdue::Header, "{behind:?}");
    }
}
