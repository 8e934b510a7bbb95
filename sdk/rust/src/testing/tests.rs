use super::*;
use crate::host::HostError;
use crate::{config, host, http, keyvalue, log, secrets};

#[test]
fn what_was_done_is_remembered() {
    let mock = Host::new().tool("other_tool", |arguments| {
        host::progress(2.0, None, arguments);
        Ok(Reply::text("done"))
    });
    mock.run(|| {
        host::progress(1.0, Some(2.0), None);
        log::warn("careful");
        host::prepare_undo("{}").unwrap();
        host::tools_changed().unwrap();
        assert_eq!(host::call_tool("other_tool", Some("{}")), Ok(Reply::text("done")));
        keyvalue::set("a", b"1").unwrap();
        keyvalue::set("b", b"2").unwrap();
        keyvalue::set("a", b"3").unwrap();
    });
    assert_eq!(mock.progress().iter().map(|report| report.progress).collect::<Vec<_>>(), [1.0, 2.0]);
    assert_eq!(mock.logs(), [Line { level: Level::Warn, context: String::new(), message: "careful".into() }]);
    assert_eq!((mock.undo_tokens(), mock.tools_changed()), (vec!["{}".to_owned()], 1));
    assert_eq!(mock.keyvalue(), [("a".to_owned(), b"3".to_vec()), ("b".to_owned(), b"2".to_vec())]);
}

#[test]
fn what_is_not_granted_is_denied() {
    Host::new().without_keyvalue().run(|| {
        assert!(matches!(secrets::get("x"), Err(HostError::Denied(_))));
        assert!(matches!(host::call_tool("x", None), Err(CallError::Refused(HostError::Denied(_)))));
        assert_eq!(keyvalue::get("x"), Err(keyvalue::Error::Denied));
        assert_eq!(http::Request::get("https://a.org").send(), Err(Error::Denied));
        assert_eq!(config::get("x"), None);
    });
}

#[test]
fn a_bucket_has_bounds() {
    let mock = Host::new().keyvalue_total(6);
    mock.run(|| {
        keyvalue::set("a", b"12345").unwrap();
        assert!(matches!(keyvalue::set("b", b""), Err(keyvalue::Error::Refused(_))));
        keyvalue::set("a", b"1234").unwrap();
        keyvalue::set("b", b"").unwrap();
    });
    assert!(Host::new().run(|| keyvalue::set("a", &vec![0; (1 << 20) + 1])).is_err());
}

#[test]
fn the_client_gives_up() {
    let mock = Host::new().cancel_after(1);
    mock.run(|| assert_eq!((host::cancelled(), host::cancelled()), (false, true)));
}

#[test]
fn a_call_says_of_so_many_resources_only_that_they_changed() {
    let mock = Host::new();
    mock.run(|| {
        for n in 0..1_000 {
            host::resource_updated(&format!("a://{n}")).unwrap();
        }
        assert!(matches!(host::resource_updated("a://x"), Err(HostError::Unavailable(_))));
    });
    assert_eq!(mock.resources_updated().len(), 1_000);
    assert!(matches!(host::resource_updated("a://x"), Err(HostError::NotOffered(_))), "nobody is there");
}

#[test]
fn a_response_is_cut_as_on_a_real_host() {
    let mock = Host::new().http(|_| Ok(Response::new(200, "12345")));
    let response = mock.run(|| Request::get("https://a.org").max_bytes(3).send()).unwrap();
    assert_eq!((response.text().as_str(), response.truncated), ("123", true));
    assert_eq!(mock.requests()[0].url(), "https://a.org");
}

#[test]
fn the_host_goes_when_its_run_ends() {
    let mock = Host::new().secret("a", "1");
    let panicked =
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| mock.run(|| panic!("on purpose"))));
    assert!(panicked.is_err());
    assert!(matches!(secrets::get("a"), Err(HostError::NotOffered(_))));
    let inner = Host::new();
    mock.run(|| {
        inner.run(|| assert!(secrets::get("a").is_err()));
        assert!(secrets::get("a").is_ok(), "the outer one is back");
    });
}
