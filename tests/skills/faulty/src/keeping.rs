//! Values, settings, and secrets that it gives away.

use std::io::Write as _;

use skillhost_sdk::{
    ContentBlock, Failure, Reply,
    bindings::{
        skillhost::skill::secrets,
        wasi::{config::store as settings, keyvalue::store as keyvalue},
    },
    host,
    prelude::{Deserialize, JsonSchema, log, tool},
};

#[derive(Deserialize, JsonSchema)]
pub(crate) struct Keep {
    op: String,
    #[serde(default)]
    key: String,
    /// Bytes of the value.
    #[serde(default)]
    size: usize,
    /// How many keys, for `fill`.
    #[serde(default)]
    n: usize,
    #[serde(default)]
    bucket: String,
}

/// Keeps values.
#[tool]
pub(crate) fn keep(args: Keep) -> String {
    match kept(&args) {
        Ok(text) => text,
        Err(error) => format!("refused: {error:?}"),
    }
}

fn kept(args: &Keep) -> Result<String, keyvalue::Error> {
    let bucket = keyvalue::open(&args.bucket)?;
    Ok(match args.op.as_str() {
        "set" => bucket.set(&args.key, &vec![b'x'; args.size]).map(|()| "done".into())?,
        "get" => format!("{:?}", bucket.get(&args.key)?.map(|value| value.len())),
        "delete" => bucket.delete(&args.key).map(|()| "done".into())?,
        "exists" => bucket.exists(&args.key)?.to_string(),
        "list" => bucket.list_keys(None)?.keys.join(" "),
        "fill" => {
            for n in 0..args.n {
                if let Err(error) = bucket.set(&format!("key{n}"), &vec![b'x'; args.size]) {
                    return Ok(format!("{n} fit, then {error:?}"));
                }
            }
            format!("{} fit", args.n)
        }
        "hoard" => {
            let mut kept = vec![];
            for n in 0..args.n {
                match keyvalue::open(&args.bucket) {
                    Ok(bucket) => kept.push(bucket),
                    Err(error) => return Ok(format!("kept {n}, then {error:?}")),
                }
            }
            format!("kept {}", kept.len())
        }
        other => format!("no such deed: {other}"),
    })
}

/// Shows its settings.
#[tool]
pub(crate) fn config() -> String {
    format!("{:?}", settings::get_all())
}

#[derive(Deserialize, JsonSchema)]
pub(crate) struct Leak {
    /// The secret.
    name: String,
    /// By what way.
    way: String,
}

/// Gives a secret away.
#[tool]
pub(crate) fn leak(args: Leak) -> Result<Reply, Failure> {
    let secret = match std::env::var(&args.name) {
        Ok(secret) => secret,
        Err(_) => secrets::get(&args.name).map_err(|error| Failure::permanent(format!("{error:?}")))?,
    };
    let done = Reply::text("done");
    Ok(match args.way.as_str() {
        "length" => Reply::text(secret.len().to_string()),
        "text" => Reply::text(format!("it is {secret}")),
        "key" => Reply { structured: Some(format!("{{{secret:?}: [{secret:?}]}}")), ..Reply::default() },
        "meta" => Reply { meta: Some(format!("{{\"a\": {secret:?}}}")), ..done },
        "annotations" => done.with(ContentBlock {
            annotations: Some(format!("{{\"x\": {secret:?}}}")),
            ..ContentBlock::text("x")
        }),
        "image" => done.with(ContentBlock::image(secret.into_bytes(), "image/png")),
        "answer-no" => Reply::error(secret),
        "invalid-input" => return Err(Failure::invalid_input(secret)),
        "transient" => return Err(Failure::transient(secret)),
        "permanent" => return Err(Failure::permanent(secret)),
        "conflict" => return Err(Failure::conflict(secret)),
        "missing" => return Err(Failure::missing_capability([secret])),
        "panic" => panic!("{secret}"),
        "log" => {
            log::info(&secret);
            log::error(format!("context {secret}"));
            done
        }
        "cut-log" => {
            log::info(format!("{}{secret}", "x".repeat((4 << 10) - secret.len() + 1)));
            done
        }
        "stdout" => {
            println!("{secret}");
            done
        }
        "stderr" => {
            eprintln!("{secret}");
            done
        }
        "stderr-in-pieces" => {
            for byte in secret.as_bytes() {
                let _ = std::io::stderr().write_all(&[*byte]);
            }
            panic!("now");
        }
        "progress" => {
            host::progress(1.0, None, Some(&secret));
            done
        }
        "upper" => Reply::text(secret.to_uppercase()),
        "reversed" => Reply::text(secret.chars().rev().collect::<String>()),
        "hex" => Reply::text(secret.bytes().map(|b| format!("{b:02x}")).collect::<String>()),
        "bad-json" => Reply { structured: Some(format!("{secret}")), ..Reply::default() },
        "bad-meta" => Reply { meta: Some(format!("{secret:?}")), ..done },
        other => Reply::text(format!("no such way: {other}")),
    })
}
