//! Ways to hosts that were not granted.

use serde_json::json;
use skillhost_e2e::{Web, response};

use super::{Case, case, host, run};

const INSIDE: &str = "refused: ErrorCode::DestinationIpProhibited";
const UNSOUND: &str = "refused: ErrorCode::HttpRequestUriInvalid";
const DENIED: &str = "refused: ErrorCode::HttpRequestDenied";

/// What is tried with `http = [{ host = "*:*" }]`.
pub(super) fn inside(port: &str) -> Vec<Case> {
    let http = |authority: String, got| {
        case(format!("`http://{authority}/`"), "wide_http", json!({"authority": authority}), got)
    };
    let mut cases: Vec<_> = [
        "127.0.0.1",
        "127.1",
        "127.0.1",
        "127.255.255.254",
        "2130706433",
        "0x7f000001",
        "0x7f.0.0.1",
        "017700000001",
        "0177.0.0.1",
        "0",
        "0.0.0.0",
        "localhost",
        "LOCALHOST",
        "localhost.",
        "[::1]",
        "[::]",
        "[0:0:0:0:0:0:0:1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[::127.0.0.1]",
        "[64:ff9b::7f00:1]",
        "[64:ff9b:1::7f00:1]",
        "[2002:7f00:1::]",
        "[2001:0:7f00:1::]",
        "[fe80::1]",
        "[fc00::1]",
        "[ff02::1]",
        "169.254.169.254",
        "[::ffff:169.254.169.254]",
        "10.0.0.1",
        "172.16.0.1",
        "192.168.0.1",
        "100.64.0.1",
        "198.18.0.1",
        "224.0.0.1",
        "255.255.255.255",
        "240.0.0.1",
        "192.0.0.1",
    ]
    .into_iter()
    .map(|host| http(format!("{host}:{port}"), INSIDE))
    .collect();
    cases.extend([
        http(format!("user@127.0.0.1:{port}"), UNSOUND),
        http(format!("example.com@127.0.0.1:{port}"), UNSOUND),
        http("256.256.256.256".into(), UNSOUND),
        http("127.0.0.1:".into(), UNSOUND),
        http("127.0.0.1:99999".into(), UNSOUND),
        http("example.com#@127.0.0.1".into(), UNSOUND),
        http("".into(), UNSOUND),
        case(
            "`CONNECT` through a public host",
            "wide_http",
            json!({"authority": "1.1.1.1", "method": "CONNECT"}),
            DENIED,
        ),
    ]);
    cases
}

/// What is tried with `http = [{ host = "127.0.0.1:PORT", methods = ["GET", "POST"], max_request = 1000, max_response =
/// 1000 }]`.
pub(super) fn bounds(port: &str) -> Vec<Case> {
    let at = format!("127.0.0.1:{port}");
    vec![
        case("the granted address", "one_http", json!({"authority": at}), "status 200, 2 bytes: ok"),
        case("another port of it", "one_http", json!({"authority": "127.0.0.1:1"}), DENIED),
        case("another address", "one_http", json!({"authority": format!("127.0.0.2:{port}")}), DENIED),
        case("a public host", "one_http", json!({"authority": "example.com"}), DENIED),
        case(
            "a name for the granted address",
            "one_http",
            json!({"authority": format!("localhost:{port}")}),
            DENIED,
        ),
        case("a method that was not granted", "one_http", json!({"authority": at, "method": "PUT"}), DENIED),
        case("a method in small letters", "one_http", json!({"authority": at, "method": "get"}), DENIED),
        case(
            "a response over its bound",
            "one_http",
            json!({"authority": at, "path": "/large"}),
            "refused: ErrorCode::HttpResponseBodySize(Some(1000))",
        ),
        case(
            "a request over its bound",
            "one_http",
            json!({"authority": at, "method": "POST", "body": 5000}),
            "refused: ErrorCode::HttpRequestBodySize(Some(1000))",
        ),
        case(
            "a redirect to another address is an answer, not followed",
            "one_http",
            json!({"authority": at, "path": "/redirect"}),
            "status 302, 0 bytes: ",
        ),
        case(
            "100 responses kept open",
            "one_http",
            json!({"authority": at, "hoard": 100}),
            "kept 16, then Some(ErrorCode::ConnectionLimitReached)",
        ),
        case("any host without a grant", "none_http", json!({"authority": at}), DENIED),
    ]
}

fn web() -> Web {
    Web::start(|asked| match asked.line.split(' ').nth(1) {
        Some("/large") => response("200 OK", &[], &[b'x'; 1001]),
        Some("/redirect") => response("302 Found", &["location: http://127.0.0.1:1/"], b""),
        _ => response("200 OK", &[], b"ok"),
    })
}

#[test]
fn no_spelling_of_an_address_leads_inside() {
    let web = web();
    let port = web.address().port().to_string();
    let mut client = host(&["wide"]).config("[skills.wide.grants]\nhttp = [{ host = \"*:*\" }]").stdio();
    let wrong = run(&mut client, &inside(&port));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(web.connections(), 0, "nobody came through");
}

#[test]
fn a_grant_holds_in_host_port_method_and_size() {
    let web = web();
    let port = web.address().port().to_string();
    let grant = format!(
        "[skills.one.grants]\nhttp = [{{ host = \"127.0.0.1:{port}\", methods = [\"GET\", \"POST\"], max_request = 1000, max_response = 1000 }}]"
    );
    let mut client = host(&["one", "none"]).config(&grant).stdio();
    let wrong = run(&mut client, &bounds(&port));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let line = client.wait_log("who asked for what", |line| {
        line["message"].as_str().is_some_and(|text| text.contains("no grant for this request"))
    });
    assert_eq!(line["span"]["tool"], "one_http", "{line}");
    // Whoever asks again and again does not fill the log.
    let many = client.call("none_http", json!({"authority": "127.0.0.1:1", "hoard": 100}));
    let id = &many["_meta"]["skillhost/correlation_id"];
    let (_, logs) = client.close();
    let told = logs.iter().filter(|line| line["span"]["correlation_id"] == *id && line["level"] == "WARN");
    assert_eq!(told.count(), 10);
}

#[test]
fn a_name_that_leads_inside_needs_a_grant_for_the_address() {
    let web = web();
    let at = format!("localhost:{}", web.address().port());
    let ask = json!({"authority": at});
    let name = "http = [{ host = \"localhost:*\" }]";
    let both = "http = [{ host = \"localhost:*\" }, { host = \"127.0.0.0/8:*\" }, { host = \"::1:*\" }]"
        .replace("::1:*", "[::1]:*");
    let host = host(&["name", "both"])
        .config(&format!("[skills.name.grants]\n{name}\n[skills.both.grants]\n{both}"));
    let mut client = host.stdio();
    assert_eq!(client.call("name_http", ask.clone())["content"][0]["text"], INSIDE);
    assert_eq!(client.call("both_http", ask)["content"][0]["text"], "status 200, 2 bytes: ok");
}

#[test]
fn the_hosts_own_listener_is_never_reached() {
    let host = host(&["wide"])
        .config("[skills.wide.grants]\nhttp = [{ host = \"127.0.0.0/8:*\", methods = [\"GET\", \"POST\"] }]");
    let server = host.serve();
    let own = server.url().trim_start_matches("http://").trim_end_matches("/mcp").to_owned();
    let call = json!({
        "jsonrpc": "2.0", "id": 1, "method": "tools/call",
        "params": {"name": "wide_http", "arguments": {"authority": own, "path": "/mcp"}, "_meta": {
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientInfo": {"name": "e2e", "version": "1"},
            "io.modelcontextprotocol/clientCapabilities": {},
        }},
    });
    let mut answer = ureq::post(server.url())
        .header("accept", "application/json, text/event-stream")
        .header("content-type", "application/json")
        .header("mcp-protocol-version", "2026-07-28")
        .header("mcp-method", "tools/call")
        .header("mcp-name", "wide_http")
        .send(call.to_string())
        .unwrap();
    let text = answer.body_mut().read_to_string().unwrap();
    assert!(text.contains("DestinationIpProhibited"), "{text}");
}
