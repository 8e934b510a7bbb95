//! The tools, one misdeed each.

use std::{io::Write as _, net::SocketAddrV4, time::Duration};

use crate::{effects, features, files, keeping, network};
use skillhost_sdk::prelude::{Deserialize, JsonSchema, Serialize, log, tool};
use skillhost_sdk::{
    Annotations, Content, ContentBlock, Context, Definition, Failure, InputRequired, Outcome, Pause, Reply,
    TaskSupport, Tool, ask, host,
    types::{self, ResourceBody, ResourceContents, ResourceLink},
};
use wasip2::sockets::{
    instance_network::instance_network,
    network::{ErrorCode, IpAddressFamily, IpSocketAddress, Ipv4SocketAddress},
    tcp_create_socket::create_tcp_socket,
};

/// All of them.
pub(crate) const ALL: &[Definition] = &[
    Definition::new("echo", describe_echo, call_echo),
    endless::definition(),
    recurse::definition(),
    overflow::definition(),
    allocate::definition(),
    return_bytes::definition(),
    log_flood::definition(),
    stdout_flood::definition(),
    stderr_flood::definition(),
    log_line::definition(),
    print::definition(),
    sleep::definition(),
    sleep_forever::definition(),
    trap::definition(),
    panic::definition(),
    exit::definition(),
    invalid_json::definition(),
    Definition::new("invalid_output", describe_invalid_output, call_invalid_output),
    fail::definition(),
    flaky::definition(),
    is_error::definition(),
    progress::definition(),
    cancelled::definition(),
    input_required::definition(),
    content::definition(),
    prepare_undo::definition(),
    call_tool::definition(),
    ask_client::definition(),
    context::definition(),
    read_file::definition(),
    connect::definition(),
    env::definition(),
    random::definition(),
    deep_json::definition(),
    bad_meta::definition(),
    effects::record::definition(),
    files::reach::definition(),
    files::folders::definition(),
    network::http::definition(),
    keeping::keep::definition(),
    keeping::config::definition(),
    keeping::leak::definition(),
    features::shout::definition(),
    features::changed::definition(),
];

/// Computes for ever.
pub(crate) fn spin() -> ! {
    let mut n = 0u64;
    loop {
        n = core::hint::black_box(n.wrapping_add(1));
    }
}

fn declare(name: &str, description: &str, output_schema: Option<&str>) -> Tool {
    let annotations =
        Annotations { read_only: Some(true), destructive: None, idempotent: None, open_world: None };
    Tool {
        name: name.into(),
        title: None,
        description: Some(description.into()),
        input_schema: r#"{"type":"object"}"#.into(),
        output_schema: output_schema.map(Into::into),
        annotations,
        undoable: false,
        durable: false,
        task: TaskSupport::No,
        icons: None,
        meta: None,
    }
}

fn describe_echo() -> Tool {
    declare("echo", "Returns its arguments.", None)
}

fn call_echo(_: &Context, arguments: Option<&str>) -> Result<Outcome, Failure> {
    let structured = format!(r#"{{"echo":{}}}"#, arguments.unwrap_or("null"));
    Ok(Reply { structured: Some(structured), ..Reply::default() }.into())
}

fn describe_invalid_output() -> Tool {
    let schema = r#"{"type":"object","properties":{"n":{"type":"integer"}},"required":["n"]}"#;
    declare("invalid_output", "Breaks its own output schema.", Some(schema))
}

fn call_invalid_output(_: &Context, _: Option<&str>) -> Result<Outcome, Failure> {
    Ok(Reply { structured: Some(r#"{"n":"no number"}"#.into()), ..Reply::default() }.into())
}

/// Computes for ever.
#[tool(name = "loop")]
fn endless() {
    spin();
}

/// Recurses until the stack is used up.
#[tool]
fn recurse() -> String {
    fn deeper(n: u64) -> u64 {
        let frame = core::hint::black_box([n; 64]);
        if n == u64::MAX { 0 } else { deeper(n + 1) + frame[63] }
    }
    deeper(0).to_string()
}

/// Recurses with nothing in memory, until WebAssembly's own stack is used up.
#[tool]
fn overflow(args: Milliseconds) -> String {
    // Neither a tail call nor a sum, which a compiler would make a loop of.
    #[inline(never)]
    fn deeper(n: u64) -> u64 {
        if n == 0 { 1 } else { deeper(n.wrapping_mul(3) | 1).rotate_left(5) ^ n }
    }
    deeper(args.ms | 1).to_string()
}

#[derive(Deserialize, JsonSchema)]
struct Bytes {
    /// How many.
    bytes: u64,
}

/// Allocates memory and touches every page of it.
#[tool]
fn allocate(args: Bytes) -> String {
    let Ok(bytes) = usize::try_from(args.bytes) else { panic!("more than a memory can have") };
    let mut memory: Vec<u8> = Vec::with_capacity(bytes);
    memory.resize(bytes, 1);
    core::hint::black_box(&memory).len().to_string()
}

/// Returns a text of this size.
#[tool]
fn return_bytes(args: Bytes) -> String {
    "x".repeat(usize::try_from(args.bytes).unwrap_or(usize::MAX))
}

#[derive(Deserialize, JsonSchema)]
struct Lines {
    /// How many; endless when absent.
    lines: Option<u64>,
}

/// Logs lines through wasi:logging.
#[tool]
fn log_flood(args: Lines) {
    for n in 0..args.lines.unwrap_or(u64::MAX) {
        log::info(&format!("line {n}"));
    }
}

/// Writes to stdout without end.
#[tool]
fn stdout_flood() {
    let mut stdout = std::io::stdout();
    while stdout.write_all(&[b'x'; 1024]).and_then(|()| stdout.write_all(b"\n")).is_ok() {}
}

/// Writes to stderr without end.
#[tool]
fn stderr_flood() {
    let mut stderr = std::io::stderr();
    while stderr.write_all(&[b'x'; 1024]).and_then(|()| stderr.write_all(b"\n")).is_ok() {}
}

#[derive(Deserialize, JsonSchema)]
struct LogLine {
    /// debug, info, warn or error.
    level: String,
    message: String,
}

/// Logs one line.
#[tool]
fn log_line(args: LogLine) {
    match args.level.as_str() {
        "debug" => log::debug(&args.message),
        "warn" => log::warn(&args.message),
        "error" => log::error(&args.message),
        _ => log::info(&args.message),
    }
}

#[derive(Deserialize, JsonSchema)]
struct Print {
    stdout: Option<String>,
    stderr: Option<String>,
}

/// Writes to stdout and stderr.
#[tool]
fn print(args: Print) {
    print!("{}", args.stdout.unwrap_or_default());
    let _ = std::io::stdout().flush();
    eprint!("{}", args.stderr.unwrap_or_default());
}

#[derive(Deserialize, JsonSchema)]
struct Milliseconds {
    ms: u64,
}

/// Sleeps.
#[tool]
fn sleep(args: Milliseconds) {
    std::thread::sleep(Duration::from_millis(args.ms));
}

/// Sleeps for ever.
#[tool]
fn sleep_forever() {
    std::thread::sleep(Duration::MAX);
}

/// Traps.
#[tool]
fn trap() {
    core::arch::wasm32::unreachable();
}

#[derive(Deserialize, JsonSchema)]
struct Message {
    message: String,
}

/// Panics, which writes to stderr and traps.
#[tool]
fn panic(args: Message) {
    panic!("{}", args.message);
}

#[derive(Deserialize, JsonSchema)]
struct Code {
    code: i32,
}

/// Exits the process.
#[tool]
fn exit(args: Code) {
    std::process::exit(args.code);
}

/// Returns a structured result that is not JSON.
#[tool]
fn invalid_json() -> Reply {
    Reply { structured: Some("{not json".into()), ..Reply::default() }
}

#[derive(Deserialize, JsonSchema)]
struct Fail {
    /// invalid-input, transient, permanent, conflict or missing-capability.
    kind: String,
    message: String,
    retry_after_ms: Option<u64>,
}

/// Fails in the way that is asked for.
#[tool]
fn fail(args: Fail) -> Result<(), Failure> {
    let message = args.message;
    Err(match (args.kind.as_str(), args.retry_after_ms) {
        ("invalid-input", _) => Failure::invalid_input(message),
        ("transient", None) => Failure::transient(message),
        ("transient", Some(ms)) => Failure::transient_for(message, Duration::from_millis(ms)),
        ("conflict", _) => Failure::conflict(message),
        ("missing-capability", _) => Failure::missing_capability([message]),
        _ => Failure::permanent(message),
    })
}

#[derive(Deserialize, JsonSchema)]
struct Flaky {
    /// Attempts that fail.
    failures: u32,
    /// transient or trap.
    kind: String,
}

/// Fails in its first attempts.
#[tool]
fn flaky(ctx: &Context, args: Flaky) -> Result<String, Failure> {
    match (ctx.attempt <= args.failures, args.kind.as_str()) {
        (false, _) => Ok(format!("attempt {} of {}", ctx.attempt, ctx.call_id)),
        (true, "trap") => core::arch::wasm32::unreachable(),
        (true, _) => Err(Failure::transient("not yet")),
    }
}

#[derive(Deserialize, JsonSchema)]
struct Text {
    text: String,
}

/// Answers "no".
#[tool]
fn is_error(args: Text) -> Reply {
    Reply::error(args.text)
}

#[derive(Deserialize, JsonSchema)]
struct Steps {
    steps: u32,
    ms_between: u64,
}

/// Reports progress step by step.
#[tool]
fn progress(args: Steps) {
    for step in 1..=args.steps {
        std::thread::sleep(Duration::from_millis(args.ms_between));
        host::progress(f64::from(step), Some(f64::from(args.steps)), Some("working"));
    }
}

/// Says whether the client has cancelled within this time.
#[tool]
fn cancelled(args: Milliseconds) -> String {
    for _ in 0..args.ms {
        if host::cancelled() {
            return "cancelled".into();
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    "not cancelled".into()
}

/// Asks, and asks the same whatever the answer.
#[tool]
fn input_required() -> InputRequired {
    let question = types::Question { key: "roots".into(), ask: types::Ask::Roots };
    InputRequired { questions: vec![question], state: Some(b"state".to_vec()) }
}

/// Returns a block of each kind.
#[tool]
fn content() -> Reply {
    let link = ResourceLink {
        uri: "file:///a".into(),
        name: "a".into(),
        title: None,
        description: None,
        mime_type: Some("text/plain".into()),
        size: Some(1),
        icons: None,
    };
    let resource = ResourceContents {
        uri: "file:///b".into(),
        mime_type: Some("text/plain".into()),
        body: ResourceBody::Text("b".into()),
        meta: None,
    };
    let annotated = ContentBlock {
        content: Content::Text("text".into()),
        annotations: Some(r#"{"audience":["user"],"priority":0.5}"#.into()),
        meta: Some(r#"{"own":1}"#.into()),
    };
    Reply::default()
        .with(annotated)
        .with(ContentBlock::image(vec![1, 2, 3], "image/png"))
        .with(ContentBlock::audio(vec![4, 5], "audio/wav"))
        .with(ContentBlock::link(link))
        .with(ContentBlock::resource(resource))
}

/// Asks the host to keep an undo token.
#[tool]
fn prepare_undo() -> String {
    format!("{:?}", host::prepare_undo("{}"))
}

#[derive(Deserialize, JsonSchema)]
struct Nested {
    name: String,
    /// A JSON text.
    #[serde(default)]
    arguments: Option<String>,
}

/// Calls another tool.
#[tool]
fn call_tool(args: Nested) -> String {
    format!("{:?}", host::call_tool(&args.name, args.arguments.as_deref()))
}

/// Asks the client for its roots, and shows what it said.
#[tool]
fn ask_client(ctx: &Context) -> Result<String, Pause> {
    Ok(format!("{:?}", ask::roots(ctx, "roots")?))
}

#[derive(Serialize, JsonSchema)]
struct Seen {
    call_id: String,
    correlation_id: String,
    attempt: u32,
    time_left_ms: u64,
    caller: String,
    client: String,
    meta: Option<String>,
    tools_changed: String,
}

/// Returns the context of the call.
#[tool]
fn context(ctx: &Context) -> Seen {
    Seen {
        call_id: ctx.call_id.clone(),
        correlation_id: ctx.correlation_id.clone(),
        attempt: ctx.attempt,
        time_left_ms: ctx.time_left_ms,
        caller: ctx.caller.clone(),
        client: format!("{:?}", ctx.client),
        meta: ctx.meta.clone(),
        tools_changed: format!("{:?}", host::tools_changed()),
    }
}

#[derive(Deserialize, JsonSchema)]
struct Path {
    path: String,
}

/// Reads a file.
#[tool]
fn read_file(args: Path) -> Result<String, Failure> {
    std::fs::read_to_string(args.path).map_err(|error| Failure::permanent(format_args!("error: {error}")))
}

#[derive(Deserialize, JsonSchema)]
struct Address {
    address: String,
}

/// Opens a TCP connection.
#[tool]
fn connect(args: Address) -> Result<Reply, Failure> {
    let address = args.address.parse().map_err(Failure::invalid_input)?;
    Ok(match try_connect(address) {
        Ok(()) => Reply::text("connected"),
        Err(error) => Reply::error(format!("error: {error:?}")),
    })
}

/// By WASI itself: the standard library knows no sockets on every target that skills are built for.
fn try_connect(address: SocketAddrV4) -> Result<(), ErrorCode> {
    let [a, b, c, d] = address.ip().octets();
    let remote = Ipv4SocketAddress { port: address.port(), address: (a, b, c, d) };
    let socket = create_tcp_socket(IpAddressFamily::Ipv4)?;
    socket.start_connect(&instance_network(), IpSocketAddress::Ipv4(remote))?;
    let ready = socket.subscribe();
    loop {
        ready.block();
        match socket.finish_connect() {
            Err(ErrorCode::WouldBlock) => {}
            result => return result.map(drop),
        }
    }
}

/// Shows the environment and the arguments of the process.
#[tool]
fn env() -> String {
    format!("{:?} {:?}", std::env::vars().collect::<Vec<_>>(), std::env::args().collect::<Vec<_>>())
}

/// Returns something random.
#[tool]
fn random() -> String {
    use std::hash::{BuildHasher as _, RandomState};
    format!("{:016x}", RandomState::new().hash_one(0))
}

#[derive(Deserialize, JsonSchema)]
struct Depth {
    depth: usize,
}

/// Returns a structured result that is nested this deep.
#[tool]
fn deep_json(args: Depth) -> Reply {
    let structured = format!("{}0{}", "[".repeat(args.depth), "]".repeat(args.depth));
    Reply { structured: Some(structured), ..Reply::default() }
}

/// Returns a `_meta` that is no object.
#[tool]
fn bad_meta() -> Reply {
    Reply { meta: Some("[1]".into()), ..Reply::text("") }
}
