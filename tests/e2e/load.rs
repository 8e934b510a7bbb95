//! Guests that loop do not keep others from being served.

use serde_json::json;

use crate::samples;

/// Two guests loop for as long as they may, on two threads for guests; a thousand calls beside them are
/// all answered, none of them by its deadline.
#[test]
fn a_thousand_calls_beside_two_looping_guests() {
    let host = samples().config(
        "[engine]\nthreads = 2\ninstances = 64\n[skills.faulty]\ntimeout = \"10m\"\nfuel = 9000000000000000000",
    );
    let mut client = host.stdio();
    client.tools();
    let loops: Vec<_> = (0..2).map(|_| client.begin_call("faulty_loop", json!({}))).collect();
    let batches = if std::env::var_os("SKILLHOST_NIGHTLY").is_some() { 2_000 } else { 20 };
    for batch in 0..batches {
        let calls: Vec<_> = (0..50)
            .map(|n| {
                (n, client.begin_call("text_word_count", json!({"text": "word ".repeat(n + batch % 100)})))
            })
            .collect();
        for (n, call) in calls {
            let result = client.wait(call)["result"].take();
            assert_eq!(result["structuredContent"]["words"], n + batch % 100, "{result}");
        }
    }
    for id in loops {
        client.send(
            &json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": id}}),
        );
    }
    for _ in 0..2 {
        client.wait_log("the loops' end", |line| line["outcome"] == "cancelled");
    }
}
