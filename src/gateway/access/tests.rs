//! Rules as tables: who comes near, and who is let in.

use super::*;
use crate::gateway::subject::Subject;

fn networks() -> Networks {
    let office = ["203.0.113.0/24", "2001:db8::/32"].iter().map(|net| net.parse().expect("legal")).collect();
    Networks::from([("office".to_owned(), office)])
}

fn config(allow: AllowList, deny: &[&str]) -> Config {
    Config { allow: Some(allow), deny: deny.iter().map(|&net| net.to_owned()).collect(), ip_filter_file: None }
}

fn list(entries: &[&str]) -> AllowList {
    AllowList::Networks(entries.iter().map(|&entry| entry.to_owned()).collect())
}

fn client(address: &str) -> ClientAddr {
    ClientAddr::from(address.parse::<std::net::IpAddr>().expect("legal"))
}

#[test]
fn deny_comes_before_allow_and_nobody_is_admitted_by_default() {
    let access =
        Access::new(&config(list(&["office", "198.51.100.7"]), &["203.0.113.66"]), &networks(), None).expect("legal");
    for (address, expected) in [
        ("203.0.113.1", Ok(())),
        ("203.0.113.66", Err(Denied::Listed)),
        ("::ffff:203.0.113.66", Err(Denied::Listed)),
        ("::ffff:203.0.113.1", Ok(())),
        ("198.51.100.7", Ok(())),
        ("198.51.100.8", Err(Denied::NotAllowed)),
        ("2001:db8:1::1", Ok(())),
        ("2001:db9::1", Err(Denied::NotAllowed)),
        ("::", Err(Denied::NotAllowed)),
    ] {
        assert_eq!(access.admit(client(address), None).map(|_| ()), expected, "{address}");
    }
    assert!(!access.is_anyone());
}

#[test]
fn nothing_is_open_because_a_list_is_empty() {
    let refused = |config: &Config| Access::new(config, &networks(), None).expect_err("must be refused");
    assert_eq!(refused(&Config::default()), AccessError::Missing);
    assert_eq!(refused(&config(list(&[]), &[])), AccessError::Empty);
    assert_eq!(refused(&config(AllowList::Word("all".into()), &[])), AccessError::Word("all".into()));
    assert_eq!(refused(&config(list(&["anyone"]), &[])), AccessError::AnyoneInList(List::Allow));
    assert_eq!(refused(&config(list(&["offcie"]), &[])).key(), "allow");
    assert_eq!(refused(&config(AllowList::Word("anyone".into()), &["offcie"])).key(), "deny");
}

#[test]
fn anyone_is_anyone_only_without_exceptions() {
    let anyone = || AllowList::Word("anyone".into());
    let open = Access::new(&config(anyone(), &[]), &networks(), None).expect("legal");
    assert!(open.is_anyone() && open.admit(client("1.2.3.4"), None).is_ok());
    let but = Access::new(&config(anyone(), &["1.2.3.4"]), &networks(), None).expect("legal");
    assert!(!but.is_anyone() && but.admit(client("1.2.3.4"), None).is_err());
}

#[test]
fn a_token_is_demanded_besides_all_else() {
    let access = Access::new(&config(list(&["office"]), &[]), &networks(), None).expect("legal").with_token();
    let near = || access.approach(client("203.0.113.1"), None).expect("inside");
    assert_eq!(near().admit(|| Err(LinkRefusal::Missing)), Err(Denied::Unidentified));
    assert_eq!(near().admit_by_vendor(VendorProof::of(None)), Err(Denied::Unidentified));
    assert_eq!(access.approach(client("198.51.100.8"), None), Err(Denied::NotAllowed));
    let anyone = config(AllowList::Word("anyone".into()), &[]);
    assert!(!Access::new(&anyone, &networks(), None).expect("legal").with_token().is_anyone());
}

#[test]
fn links_count_where_they_are_demanded() {
    use Demand as D;
    let good = || Ok(Verified::new(Subject::new("annotator-17").ok(), "00000000000000ff".parse().expect("an id")));
    let none = || Err(LinkRefusal::Missing);
    let config = config(list(&["office"]), &["203.0.113.66"]);
    let missing = Denied::Link(LinkRefusal::Missing);
    for (demand, address, without, with) in [
        (D::Network, "203.0.113.1", Ok(None), Ok(None)),
        (D::Network, "8.8.8.8", Err(Denied::NotAllowed), Err(Denied::NotAllowed)),
        (D::Link, "203.0.113.1", Err(missing), Ok(Some("annotator-17"))),
        (D::Link, "8.8.8.8", Err(missing), Ok(Some("annotator-17"))),
        (D::NetworkAndLink, "203.0.113.1", Err(missing), Ok(Some("annotator-17"))),
        (D::NetworkAndLink, "8.8.8.8", Err(Denied::NotAllowed), Err(Denied::NotAllowed)),
        (D::NetworkOrLink, "203.0.113.1", Ok(None), Ok(Some("annotator-17"))),
        (D::NetworkOrLink, "8.8.8.8", Err(missing), Ok(Some("annotator-17"))),
    ] {
        let access = Access::demanding(demand, &config, &networks(), None).expect("legal");
        assert!(!access.is_anyone());
        for (shown, expected) in [(none as fn() -> _, without), (good as fn() -> _, with)] {
            let admitted = access.approach(client(address), None).and_then(|approach| approach.admit(shown));
            let subject = admitted.as_ref().map(|admitted| admitted.subject().map(Subject::as_str));
            assert_eq!(subject.map_err(|denied| *denied), expected, "{demand:?} {address}");
            if let Ok(admitted) = &admitted {
                assert_eq!(admitted.link().is_some(), admitted.subject().is_some());
            }
        }
        let banned = access.approach(client("203.0.113.66"), None).expect_err("on the deny list");
        assert_eq!(banned, Denied::Listed, "{demand:?}");
    }
}

#[test]
fn by_link_alone_no_network_is_needed_and_links_are_not_anyone() {
    let by_link = Access::demanding(Demand::Link, &Config::default(), &networks(), None).expect("legal");
    assert!(by_link.admit(client("1.2.3.4"), None).is_err());
    for demand in [Demand::NetworkAndLink, Demand::NetworkOrLink] {
        let refused = Access::demanding(demand, &Config::default(), &networks(), None);
        assert_eq!(refused, Err(AccessError::Missing));
        let open = config(AllowList::Word("anyone".into()), &[]);
        assert!(!Access::demanding(demand, &open, &networks(), None).expect("legal").is_anyone());
    }
}
