//! CORS, IP filters and clocks as tables.

use std::time::{Duration, UNIX_EPOCH};

use serde_json::{Value, json};

use super::super::row::State;
use super::*;
use crate::check::diagnosis::tests::scene;

fn settings(cors: Value, ip_filter: Value) -> BucketSettings {
    serde_json::from_value(json!({"cors": cors, "ipFilter": ip_filter})).expect("settings")
}

#[test]
fn cors_on_the_bucket_matters_only_to_redirects() {
    let named = json!([{"origin": ["https://label.example.com"]}]);
    for (cors_rules, redirects, state) in [
        (json!([]), Redirects::Never, State::Ok),
        (json!([]), Redirects::Sometimes, State::Ok),
        (named.clone(), Redirects::Sometimes, State::Ok),
        (json!([]), Redirects::Always, State::Warn),
        (named, Redirects::Always, State::Warn),
        (json!([{"origin": ["*"]}]), Redirects::Always, State::Ok),
        (json!([{"origin": "nonsense"}]), Redirects::Always, State::Warn),
    ] {
        let outcome = cors(&settings(cors_rules, Value::Null), redirects, &scene());
        assert_eq!(outcome.state, state, "{outcome:?}");
    }
}

#[test]
fn an_ip_filter_matters_to_browsers_only_where_they_are_redirected() {
    let filter = |mode: &str| json!({"mode": mode, "publicNetworkSource": {"allowedIpCidrRanges": ["10.0.0.0/8"]}});
    for (json, redirects, state) in [
        (Value::Null, Redirects::Always, State::Ok),
        (filter("Disabled"), Redirects::Always, State::Ok),
        (filter("Enabled"), Redirects::Never, State::Ok),
        (filter("Enabled"), Redirects::Sometimes, State::Warn),
        (json!({"mode": "Enabled", "ofTheFuture": 1}), Redirects::Always, State::Warn),
        (json!({"mode": "Disabled", "ofTheFuture": 1}), Redirects::Always, State::Ok),
    ] {
        assert_eq!(ip_filter(&settings(json!([]), json.clone()), redirects, &scene()).state, state, "{json}");
    }
}

#[test]
fn clients_are_redirected_only_where_it_can_be_signed() {
    for (delivery, anyone, can_sign, expected) in [
        (Delivery::SignedUrl, false, true, Redirects::Always),
        (Delivery::SignedUrl, true, false, Redirects::Never),
        (Delivery::Auto, true, true, Redirects::Sometimes),
        (Delivery::Auto, false, true, Redirects::Never),
        (Delivery::Proxy, true, true, Redirects::Never),
    ] {
        assert_eq!(Redirects::of(delivery, anyone, can_sign), expected);
    }
}

#[test]
fn a_clock_is_compared_both_ways() {
    let at = |seconds: u64| UNIX_EPOCH + Duration::from_secs(seconds);
    for (theirs, ours, state) in [
        (1000, 1000, State::Ok),
        (1000, 1004, State::Ok),
        (1000, 970, State::Ok),
        (1000, 1090, State::Warn),
        (1000, 900, State::Warn),
        (1000, 1300, State::Fail),
        (1000, 100, State::Fail),
    ] {
        let skew = skew(at(theirs), at(ours), Duration::ZERO);
        assert_eq!(clock(skew).state, state, "{skew:?}");
    }
    assert_eq!(skew(at(10), at(12), Duration::from_secs(4)), Skew::Ahead(Duration::ZERO));
}
