use super::*;

fn rules(hosts: &[&str]) -> Vec<HttpRule> {
    hosts.iter().map(|hosts| HttpRule::new(hosts.parse().unwrap())).collect()
}

fn target(url: &str) -> Option<Target> {
    Target::of(&url.parse().ok()?)
}

fn admitted(hosts: &[&str], url: &str) -> bool {
    target(url).is_some_and(|target| admit(&rules(hosts), &Method::GET, &target).is_some())
}

#[test]
fn hosts_are_shown_as_they_are_written() {
    for text in [
        "example.com",
        "*.example.com",
        "*",
        "*:*",
        "example.com:8443",
        "10.0.0.0/8",
        "192.168.1.10:8080",
        "::1",
        "fd00::/8",
        "[::1]:80",
        "[fd00::/8]:*",
    ] {
        assert_eq!(text.parse::<Hosts>().unwrap().to_string(), text);
    }
    assert_eq!("[::1]:80".parse::<Hosts>().unwrap().port, Port::Exact(80));
    assert_eq!("EXAMPLE.com.".parse::<Hosts>().unwrap().to_string(), "example.com");
    assert_eq!("10.1.2.3/8".parse::<Hosts>().unwrap().to_string(), "10.0.0.0/8");
}

#[test]
fn what_is_no_host_is_refused() {
    for text in [
        "",
        "http://example.com",
        "example.com/path",
        "a b",
        "*.*.com",
        "ex*mple.com",
        "10.0.0.0/33",
        "a:b",
        "a:99999",
    ] {
        assert!(text.parse::<Hosts>().is_err(), "{text}");
    }
}

#[test]
fn names() {
    assert!(admitted(&["example.com"], "https://example.com/a"));
    assert!(admitted(&["example.com"], "http://EXAMPLE.com./a"));
    for other in [
        "https://a.example.com",
        "https://example.com.evil.org",
        "https://example.com:8443",
        "https://evil.org",
    ] {
        assert!(!admitted(&["example.com"], other), "{other}");
    }
    assert!(admitted(&["*.example.com"], "https://a.b.example.com"));
    for other in ["https://example.com", "https://.example.com", "https://evilexample.com"] {
        assert!(!admitted(&["*.example.com"], other), "{other}");
    }
    assert!(admitted(&["*"], "https://anything.org") && !admitted(&["*"], "https://anything.org:8443"));
    assert!(admitted(&["*:*"], "https://anything.org:8443"));
    assert!(!admitted(&[], "https://example.com"));
}

#[test]
fn what_hides_the_host_is_refused() {
    for url in ["https://example.com@evil.org", "https://user:pw@example.com", "https://example.com:99999"] {
        assert!(!admitted(&["example.com", "evil.org"], url), "{url}");
    }
}

#[test]
fn a_method_must_be_granted() {
    let target = target("https://example.com").unwrap();
    assert!(admit(&rules(&["example.com"]), &Method::POST, &target).is_none());
    let post = HttpRule { methods: vec![Method::POST], ..rules(&["example.com"]).remove(0) };
    assert!(admit(&[post], &Method::POST, &target).is_some());
}

#[test]
fn every_spelling_of_an_address_is_that_address() {
    for spelling in
        ["127.0.0.1", "2130706433", "0x7f000001", "017700000001", "0177.0.0.1", "127.1", "0x7f.1", "127.0.1"]
    {
        let target = target(&format!("http://{spelling}/")).unwrap();
        assert_eq!(target.ip(), Some("127.0.0.1".parse().unwrap()), "{spelling}");
    }
    let target = target("http://[::ffff:7f00:1]/").unwrap();
    assert_eq!(target.ip().map(address::plain), Some("127.0.0.1".parse().unwrap()));
}

#[test]
fn an_address_that_is_not_public_needs_a_grant_of_its_own() {
    let reach = |hosts: &[&str], at: &str, usual| reaches(&rules(hosts), at.parse().unwrap(), usual);
    assert!(reach(&["example.com"], "1.1.1.1:443", 443));
    assert!(!reach(&["example.com", "*", "*:*"], "127.0.0.1:443", 443));
    assert!(reach(&["example.com", "10.0.0.0/8"], "10.1.2.3:443", 443));
    assert!(!reach(&["10.0.0.0/8"], "10.1.2.3:22", 443));
    assert!(reach(&["10.0.0.0/8:22"], "10.1.2.3:22", 443));
    assert!(reach(&["127.0.0.1:8080"], "[::ffff:127.0.0.1]:8080", 80));
    assert!(!reach(&["127.0.0.1:8080"], "127.0.0.2:8080", 80));
}
