use axum::{
    body::to_bytes,
    http::Method,
    middleware::{self, Next},
    response::IntoResponse,
};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use jsonwebtoken::{
    Algorithm, EncodingKey, Header, encode,
    jwk::{Jwk, JwkSet},
};
use serde_json::Value;
use skillhost_core::SystemClock;
use std::{
    sync::{Mutex, OnceLock},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};
use tower::ServiceExt as _;

use super::*;

const ISSUER: &str = "https://auth.example";
const RESOURCE: &str = "https://tools.example/mcp";
const NAMED: &str = "k1";

/// A P-256 key of these tests, as PKCS #8.
const KEY: &[u8] = include_bytes!("tests/key.der");

/// Everything that can be configured, in a folder of its own.
struct Place {
    folder: tempfile::TempDir,
    settings: AuthSettings,
}

fn place() -> Place {
    let folder = tempfile::tempdir().unwrap();
    let mut key = Jwk::from_encoding_key(&signing(), Algorithm::ES256).unwrap();
    key.common.key_id = Some(NAMED.into());
    let keys = folder.path().join("jwks.json");
    std::fs::write(&keys, serde_json::to_vec(&JwkSet { keys: vec![key] }).unwrap()).unwrap();
    let tokens = folder.path().join("tokens");
    let lines = [
        line("ci", "ci-token", &["read".into()]).unwrap(),
        line("ops", "ops-token", &["all".into()]).unwrap(),
    ];
    std::fs::write(&tokens, lines.join("\n")).unwrap();
    let settings = AuthSettings {
        tokens: Some(tokens),
        issuer: Some(ISSUER.into()),
        jwks: Some(keys.to_str().unwrap().into()),
        audience: vec![],
        resource: Some(RESOURCE.into()),
        scopes: [("read", vec!["text_*", "note://*"]), ("all", vec!["*"])]
            .map(|(scope, patterns)| (scope.to_owned(), patterns.into_iter().map(str::to_owned).collect()))
            .into(),
    };
    Place { folder, settings }
}

fn signing() -> EncodingKey {
    EncodingKey::from_ec_der(KEY)
}

fn now() -> u64 {
    SystemClock.wall().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// Time that goes on when it is told to.
#[derive(Default)]
struct Hand(Mutex<Duration>);

impl Clock for Hand {
    fn now(&self) -> Instant {
        static BEGIN: OnceLock<Instant> = OnceLock::new();
        *BEGIN.get_or_init(|| SystemClock.now()) + *self.0.lock().unwrap()
    }

    fn wall(&self) -> SystemTime {
        SystemClock.wall()
    }
}

impl Hand {
    fn passes(&self, seconds: u64) {
        *self.0.lock().unwrap() += Duration::from_secs(seconds);
    }
}

fn opened(settings: &AuthSettings) -> (Arc<Auth>, Arc<Hand>) {
    let hand = Arc::new(Hand::default());
    let clock: Arc<dyn Clock> = Arc::clone(&hand) as _;
    (Auth::open(settings, "127.0.0.1:1", &clock).unwrap().unwrap(), hand)
}

fn claims() -> Value {
    json!({"iss": ISSUER, "aud": RESOURCE, "sub": "ann", "exp": now() + 600, "scope": "read other"})
}

fn signed(claims: &Value) -> String {
    let header = Header { kid: Some(NAMED.into()), ..Header::new(Algorithm::ES256) };
    encode(&header, claims, &signing()).unwrap()
}

fn with(key: &str, value: Value) -> Value {
    let mut claims = claims();
    match value {
        Value::Null => claims.as_object_mut().unwrap().remove(key),
        value => claims.as_object_mut().unwrap().insert(key.into(), value),
    };
    claims
}

async fn who(auth: &Auth, token: &str) -> Result<Identity, String> {
    auth.identify(token).await.map_err(|refused| format!("{refused:?}"))
}

#[tokio::test]
async fn access_tokens_are_held_to_all_that_they_must_say() {
    let place = place();
    let (auth, _) = opened(&place.settings);
    let identity = who(&auth, &signed(&claims())).await.unwrap();
    assert_eq!(identity.caller.as_str(), "oauth:https://auth.example#ann");
    assert!(identity.access.allows("text_diff") && !identity.access.allows("json_query"));
    // Others write the same otherwise.
    let scp = with("scope", Value::Null);
    let mut scp = scp;
    scp["scp"] = json!(["all"]);
    assert!(who(&auth, &signed(&scp)).await.unwrap().access.allows("json_query"));
    let many = with("aud", json!(["https://other.example", RESOURCE]));
    assert!(who(&auth, &signed(&many)).await.is_ok());
    let machine = with("sub", Value::Null);
    let mut machine = machine;
    machine["client_id"] = json!("robot");
    let signature = |header: &str| {
        let message = format!("{}.e30", BASE64_URL_SAFE_NO_PAD.encode(header));
        let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &signing(), Algorithm::ES256).unwrap();
        format!("{message}.{signature}")
    };
    let critical = format!(r#"{{"alg":"ES256","kid":"{NAMED}","crit":["b64"],"b64":false}}"#);
    assert!(who(&auth, &signature(&critical)).await.unwrap_err().contains("`crit`"));
    // It could be anybody's `sub`.
    assert!(who(&auth, &signed(&machine)).await.unwrap_err().contains("`sub`"));
    // No scope of ours: known, and allowed nothing.
    let poor = who(&auth, &signed(&with("scope", json!("email")))).await.unwrap();
    assert!(!poor.access.allows("text_diff"));
    for (what, claims, why) in [
        ("expired", with("exp", json!(now() - 120)), "expired"),
        ("no end", with("exp", Value::Null), "lacks"),
        ("not yet", with("nbf", json!(now() + 600)), "not good yet"),
        ("another audience", with("aud", json!("https://other.example/mcp")), "somebody else"),
        ("no audience", with("aud", Value::Null), "lacks"),
        ("another issuer", with("iss", json!("https://evil.example")), "none of ours"),
        ("no issuer", with("iss", Value::Null), "Invalid"),
        ("nobody", with("sub", Value::Null), "names nobody"),
        ("control characters", with("sub", json!("a\nb")), "control characters"),
        ("too long", with("sub", json!("a".repeat(600))), "too long"),
    ] {
        let refused = who(&auth, &signed(&claims)).await.expect_err(what);
        assert!(refused.contains(why), "{what}: {refused}");
    }
}

#[tokio::test]
async fn nobody_signs_for_the_issuer() {
    let place = place();
    let (auth, hand) = opened(&place.settings);
    let good = signed(&claims());
    let [header, body, signature] = good.split('.').collect::<Vec<_>>()[..] else { panic!() };
    let other = with("sub", json!("root"));
    let forged = signed(&other);
    let forged_body = forged.split('.').nth(1).unwrap();
    let encode_text = |text: &str| {
        use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
        BASE64_URL_SAFE_NO_PAD.encode(text)
    };
    let none = format!("{}.{body}.", encode_text(r#"{"alg":"none","typ":"JWT"}"#));
    // The public key as a shared secret: the old trick.
    let public = std::fs::read(place.settings.jwks.as_ref().unwrap()).unwrap();
    let shared = Header { kid: Some(NAMED.into()), ..Header::new(Algorithm::HS256) };
    let shared = encode(&shared, &claims(), &EncodingKey::from_secret(&public)).unwrap();
    let unknown = Header { kid: Some("k2".into()), ..Header::new(Algorithm::ES256) };
    let unknown = encode(&unknown, &claims(), &signing()).unwrap();
    for token in [
        &format!("{header}.{forged_body}.{signature}"),
        &format!("{header}.{body}.{}", "A".repeat(signature.len())),
        &format!("{header}.{body}."),
        &none,
        &shared,
        &unknown,
        "",
        "a.b.c",
        "ci-token2",
        &"x".repeat(20_000),
    ] {
        assert!(who(&auth, token).await.is_err(), "{token}");
    }
    // Without an id there is only one key it can be.
    let plain = encode(&Header::new(Algorithm::ES256), &claims(), &signing()).unwrap();
    assert!(who(&auth, &plain).await.is_ok());
    // A key that is new is found, but the file is not read for each forged token.
    let path = place.settings.jwks.as_ref().unwrap();
    let renamed = std::fs::read_to_string(path).unwrap().replace(NAMED, "k2");
    std::fs::write(path, renamed).unwrap();
    assert!(who(&auth, &unknown).await.is_err(), "it was looked for just now");
    hand.passes(61);
    assert!(who(&auth, &unknown).await.is_ok());
    // Keys that cannot be had any more go on counting.
    std::fs::remove_file(path).unwrap();
    hand.passes(4_000);
    assert!(who(&auth, &unknown).await.is_ok());
}

#[tokio::test]
async fn tokens_by_their_hashes_and_a_file_that_changes() {
    let place = place();
    let (auth, hand) = opened(&place.settings);
    let ci = who(&auth, "ci-token").await.unwrap();
    assert_eq!(ci.caller.as_str(), "token:ci");
    assert!(ci.access.allows("note://a") && !ci.access.allows("fetch_get"));
    assert!(who(&auth, "ops-token").await.unwrap().access.allows("fetch_get"));
    // A token that is no JWT and is not in the file is nobody's.
    assert!(who(&auth, "CI-TOKEN").await.is_err());
    // Taken out, and put in.
    let file = place.settings.tokens.as_ref().unwrap();
    let lines = [line("ops", "ops-token", &["all".into()]).unwrap(), line("new", "new-token", &[]).unwrap()];
    std::fs::write(file, format!("{}\n", lines.join("\n"))).unwrap();
    hand.passes(2);
    assert!(who(&auth, "ci-token").await.is_err());
    assert_eq!(who(&auth, "new-token").await.unwrap().caller.as_str(), "token:new");
    // A file that is broken or gone lets nobody in.
    std::fs::write(file, "nonsense").unwrap();
    hand.passes(2);
    assert!(who(&auth, "ops-token").await.is_err());
    std::fs::remove_file(file).unwrap();
    hand.passes(2);
    assert!(who(&auth, "ops-token").await.is_err());
    drop(place.folder);
}

/// A server that tells who called, to those who may call.
fn served(settings: &AuthSettings) -> Router {
    let tell = |request: Request| async move {
        let identity = request.extensions().get::<Identity>().unwrap().clone();
        let caller = identity.caller.as_str().to_owned();
        let begins = request.headers().contains_key("x-begins");
        let mut response = caller.into_response();
        if begins {
            response.headers_mut().insert("mcp-session-id", HeaderValue::from_static("s1"));
        }
        response
    };
    let (auth, _) = opened(settings);
    let metadata = auth.metadata();
    let admit = move |request: Request, next: Next| {
        let auth = Arc::clone(&auth);
        async move { auth.admit(request, &Room::new(1 << 20), |request| next.run(request)).await }
    };
    Router::new().route("/mcp", axum::routing::any(tell)).layer(middleware::from_fn(admit)).merge(metadata)
}

async fn asked(router: &Router, headers: &[(&str, &str)], body: &str) -> (StatusCode, String, String) {
    send(router, Method::POST, headers, body).await
}

async fn send(
    router: &Router,
    method: Method,
    headers: &[(&str, &str)],
    body: &str,
) -> (StatusCode, String, String) {
    let mut request = Request::builder().method(method).uri("/mcp");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response = router.clone().oneshot(request.body(Body::from(body.to_owned())).unwrap()).await.unwrap();
    let challenge =
        response.headers().get(WWW_AUTHENTICATE).map_or("", |value| value.to_str().unwrap()).to_owned();
    let status = response.status();
    let text = to_bytes(response.into_body(), 1 << 20).await.unwrap();
    (status, challenge, String::from_utf8(text.to_vec()).unwrap())
}

#[tokio::test]
async fn who_says_nothing_is_told_where_to_ask() {
    let place = place();
    let router = served(&place.settings);
    let metadata = "https://tools.example/.well-known/oauth-protected-resource/mcp";
    for headers in [&[][..], &[("authorization", "Basic abc")], &[("authorization", "Bearer")]] {
        let (status, challenge, _) = asked(&router, headers, "{}").await;
        assert_eq!(status, StatusCode::UNAUTHORIZED);
        assert_eq!(challenge, format!("Bearer resource_metadata=\"{metadata}\""));
    }
    let (status, challenge, text) = asked(&router, &[("authorization", "Bearer nobody's")], "{}").await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    assert!(challenge.contains("error=\"invalid_token\""), "{challenge}");
    assert!(!text.contains("nobody's"));
    let (status, _, text) = asked(&router, &[("authorization", "Bearer ci-token")], "{}").await;
    assert_eq!((status, text.as_str()), (StatusCode::OK, "token:ci"));
    for path in [METADATA, &format!("{METADATA}/mcp")] {
        let request = Request::builder().uri(path).body(Body::empty()).unwrap();
        let response = router.clone().oneshot(request).await.unwrap();
        let told: Value =
            serde_json::from_slice(&to_bytes(response.into_body(), 1 << 20).await.unwrap()).unwrap();
        assert_eq!(told["resource"], RESOURCE);
        assert_eq!(told["authorization_servers"], json!([ISSUER]));
        assert_eq!(told["scopes_supported"], json!(["all", "read"]));
    }
}

#[tokio::test]
async fn metadata_stands_where_clients_are_sent() {
    let mut place = place();
    place.settings.resource = Some("https://tools.example/api/skills/?a=b".into());
    let router = served(&place.settings);
    let (_, challenge, _) = asked(&router, &[], "{}").await;
    assert_eq!(challenge, format!("Bearer resource_metadata=\"https://tools.example{METADATA}/api/skills\""));
    let request = Request::builder().uri(format!("{METADATA}/api/skills")).body(Body::empty()).unwrap();
    assert_eq!(router.oneshot(request).await.unwrap().status(), StatusCode::OK);
}

#[tokio::test]
async fn beyond_its_scopes_a_request_is_told_which_would_do() {
    let place = place();
    let router = served(&place.settings);
    let ci = [("authorization", "Bearer ci-token")];
    let call = |name: &str| json!({"method": "tools/call", "params": {"name": name}}).to_string();
    let held =
        json!({"method": "tools/call", "params": {"name": "saga_call", "arguments": {"tool": "json_query"}}});
    let read = |uri: &str| json!({"method": "resources/read", "params": {"uri": uri}}).to_string();
    for body in [
        call("json_query"),
        held.to_string(),
        read("file:///etc/passwd"),
        json!({"method": "prompts/get", "params": {"name": "json_ask"}}).to_string(),
    ] {
        let (status, challenge, _) = asked(&router, &ci, &body).await;
        assert_eq!(status, StatusCode::FORBIDDEN, "{body}");
        assert!(challenge.contains("error=\"insufficient_scope\", scope=\"all\""), "{challenge}");
    }
    for body in [
        call("text_diff"),
        call("undo_call"),
        read("note://a"),
        json!({"method": "tools/list"}).to_string(),
        "no JSON".to_owned(),
    ] {
        assert_eq!(asked(&router, &ci, &body).await.0, StatusCode::OK, "{body}");
    }
    let ops = [("authorization", "Bearer ops-token")];
    assert_eq!(asked(&router, &ops, &call("json_query")).await.0, StatusCode::OK);
}

#[tokio::test]
async fn a_session_is_its_callers_alone() {
    let place = place();
    let router = served(&place.settings);
    let ci = ("authorization", "Bearer ci-token");
    let ops = ("authorization", "Bearer ops-token");
    let session = ("mcp-session-id", "s1");
    assert_eq!(asked(&router, &[ci, session], "{}").await.0, StatusCode::NOT_FOUND, "not begun yet");
    assert_eq!(asked(&router, &[ci, ("x-begins", "1")], "{}").await.0, StatusCode::OK);
    assert_eq!(asked(&router, &[ci, session], "{}").await.0, StatusCode::OK);
    for method in [Method::POST, Method::GET, Method::DELETE] {
        let (status, ..) = send(&router, method, &[ops, session], "{}").await;
        assert_eq!(status, StatusCode::NOT_FOUND);
    }
    assert_eq!(send(&router, Method::DELETE, &[ci, session], "").await.0, StatusCode::OK);
    assert_eq!(asked(&router, &[ci, session], "{}").await.0, StatusCode::NOT_FOUND, "it has ended");
}
