//! What a call is about to destroy, kept for its undo: in the undo token when that has room, in the skill's bucket
//! otherwise. The host deletes it there when the call can no longer be taken back.
use std::io::{self, ErrorKind, Read};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};
use skillhost_sdk::keyvalue::Error;
use skillhost_sdk::{Context, Failure, Undo, host, keyvalue};

/// Bytes of a value in the bucket, which takes 1 MiB unless its operator says otherwise.
const CHUNK: usize = 512 << 10;
/// Bytes of a token.
const TOKEN: usize = 64 << 10;

/// The undo token. The plan says what to do with the contents; what it is, only its tool knows.
#[derive(Default, Serialize, Deserialize)]
struct Token {
    /// None when it is in the bucket, with the contents before it.
    plan: Option<Box<RawValue>>,
    /// In base64, beside a plan that is here.
    contents: String,
    /// Whose part of the bucket it is.
    attempt: u32,
    chunks: u32,
    plan_at: u64,
    plan_len: u64,
}

/// Takes contents before the first effect of a call.
pub(crate) struct Keeper<'a> {
    ctx: &'a Context,
    pending: Vec<u8>,
    chunks: u32,
    len: u64,
    prepared: bool,
}

impl<'a> Keeper<'a> {
    pub(crate) fn new(ctx: &'a Context) -> Self {
        Self { ctx, pending: vec![], chunks: 0, len: 0, prepared: false }
    }

    /// Where the next contents will begin.
    pub(crate) fn at(&self) -> u64 {
        self.len
    }

    pub(crate) fn push(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.pending.extend_from_slice(bytes);
        self.len += bytes.len() as u64;
        while self.pending.len() >= CHUNK {
            let rest = self.pending.split_off(CHUNK);
            self.store()?;
            self.pending = rest;
        }
        Ok(())
    }

    /// Makes the plan and the contents durable. Nothing may have been changed before, everything may be after it.
    pub(crate) fn prepare(self, plan: &impl Serialize) -> Result<Kept, Failure> {
        self.prepared(to_raw_value(plan).map_err(Failure::permanent)?)
    }

    fn prepared(mut self, plan: Box<RawValue>) -> Result<Kept, Failure> {
        let bucket = Bucket::of(self.ctx, self.ctx.attempt);
        let (plan_at, plan_len) = (self.len, plan.get().len());
        if self.chunks == 0 && plan_len < TOKEN {
            let contents = BASE64.encode(&self.pending);
            let token = json(&Token { plan: Some(plan.clone()), contents, ..Token::default() })?;
            if token.len() <= TOKEN {
                host::prepare_undo(&token)?;
                self.prepared = true;
                return Ok(Kept::Here(std::mem::take(&mut self.pending)));
            }
        }
        self.push(plan.get().as_bytes())?;
        self.store()?;
        let token = Token {
            attempt: self.ctx.attempt,
            chunks: self.chunks,
            plan_at,
            plan_len: plan_len as u64,
            ..Token::default()
        };
        host::prepare_undo(&json(&token)?)?;
        self.prepared = true;
        Ok(Kept::Bucket(bucket))
    }

    /// Stores what is pending as a chunk.
    fn store(&mut self) -> Result<(), Failure> {
        keyvalue::set(&Bucket::of(self.ctx, self.ctx.attempt).key(self.chunks), &self.pending)
            .map_err(refused)?;
        self.pending.clear();
        self.chunks += 1;
        Ok(())
    }
}

/// A call that ends before it has prepared its undo changes nothing and keeps nothing.
impl Drop for Keeper<'_> {
    fn drop(&mut self) {
        if !self.prepared {
            let bucket = Bucket::of(self.ctx, self.ctx.attempt);
            for n in 0..self.chunks {
                // What stays, the host deletes.
                let _ = keyvalue::delete(&bucket.key(n));
            }
        }
    }
}

fn refused(error: Error) -> Failure {
    match error {
        Error::Denied => Failure::permanent(
            "nothing was changed: what would be lost is too large to keep it for an undo, unless this skill has a \
             bucket; its operator writes keyvalue = true into [skills.files.grants]",
        ),
        other => Failure::permanent(format_args!(
            "nothing was changed: what would be lost cannot be kept for an undo: {other}; its operator writes larger \
             bounds into [skills.files.grants], such as keyvalue = {{ total = \"256 MiB\" }}"
        )),
    }
}

fn json(token: &Token) -> Result<String, Failure> {
    serde_json::to_string(token).map_err(Failure::permanent)
}

/// The part of the skill's bucket that one attempt of a call writes to.
pub(crate) struct Bucket {
    prefix: String,
}

impl Bucket {
    fn of(ctx: &Context, attempt: u32) -> Self {
        Self { prefix: format!("{}/{attempt}", ctx.call_id) }
    }

    fn key(&self, chunk: u32) -> String {
        format!("{}/{chunk}", self.prefix)
    }
}

/// What was kept.
pub(crate) enum Kept {
    Here(Vec<u8>),
    Bucket(Bucket),
}

impl Kept {
    /// The plan and the contents of the call that is taken back; none when it never began.
    pub(crate) fn of<P: DeserializeOwned>(undo: &Undo<'_>) -> Result<Option<(P, Self)>, Failure> {
        let Some((plan, kept)) = Self::found(undo)? else { return Ok(None) };
        Ok(Some((serde_json::from_str(&plan).map_err(Self::gone)?, kept)))
    }

    fn found(undo: &Undo<'_>) -> Result<Option<(String, Self)>, Failure> {
        let Some(token) = undo.token::<Token>()? else { return Ok(None) };
        if let Some(plan) = token.plan {
            let contents = BASE64.decode(token.contents).map_err(|_| Self::gone("the token is not whole"))?;
            return Ok(Some((plan.get().to_owned(), Self::Here(contents))));
        }
        let bucket = Bucket::of(undo.ctx, token.attempt);
        for n in 0..token.chunks {
            if !keyvalue::exists(&bucket.key(n)).map_err(Self::gone)? {
                return Err(Self::gone("it is no longer in the skill's bucket"));
            }
        }
        let (kept, mut plan) = (Self::Bucket(bucket), String::new());
        kept.reader(token.plan_at, token.plan_len).read_to_string(&mut plan).map_err(Self::gone)?;
        Ok(Some((plan, kept)))
    }

    fn gone(why: impl std::fmt::Display) -> Failure {
        Failure::permanent(format_args!("what was there before cannot be read: {why}"))
    }

    /// The `len` bytes from `at` on.
    pub(crate) fn reader(&self, at: u64, len: u64) -> Box<dyn Read + '_> {
        match self {
            Self::Here(contents) => {
                let contents = usize::try_from(at).ok().and_then(|at| contents.get(at..)).unwrap_or_default();
                Box::new(contents.take(len))
            }
            Self::Bucket(bucket) => Box::new(Chunks { bucket, at, chunk: None }.take(len)),
        }
    }
}

/// Reads through the chunks of a bucket, of which it holds one at a time.
struct Chunks<'a> {
    bucket: &'a Bucket,
    at: u64,
    chunk: Option<(u32, Vec<u8>)>,
}

impl Read for Chunks<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = u32::try_from(self.at / CHUNK as u64).map_err(|_| ErrorKind::InvalidInput)?;
        let from = (self.at % CHUNK as u64) as usize;
        let chunk = match self.chunk.take() {
            Some((held, chunk)) if held == n => chunk,
            _ => keyvalue::get(&self.bucket.key(n)).map_err(io::Error::other)?.unwrap_or_default(),
        };
        let count = chunk.get(from..).unwrap_or_default().read(buffer)?;
        self.chunk = Some((n, chunk));
        self.at += count as u64;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use skillhost_sdk::testing::Host;

    use super::*;

    /// The plan and the contents, out and in again, with the number of values in the bucket.
    fn around(plan: &str, contents: &[u8]) -> (String, Vec<u8>, usize) {
        let (mock, ctx) = (Host::new(), Context::for_tests());
        mock.run(|| {
            let mut keeper = Keeper::new(&ctx);
            keeper.push(contents).unwrap();
            keeper.prepare(&plan).unwrap();
            let token = mock.undo_tokens().pop();
            let undo = Undo { ctx: &ctx, raw_token: token.as_deref(), force: false };
            let (plan, kept) = Kept::of::<String>(&undo).unwrap().unwrap();
            let mut read = vec![];
            kept.reader(0, contents.len() as u64).read_to_end(&mut read).unwrap();
            (plan, read, mock.keyvalue().len())
        })
    }

    #[test]
    fn small_things_are_in_the_token_and_large_ones_in_the_bucket() {
        let sizes = [(0, 0), (40_000, 0), (60_000, 1), (CHUNK, 2), (CHUNK + 1, 2), (3 * CHUNK + 7, 4)];
        for (len, values) in sizes {
            let contents: Vec<u8> = (0..len).map(|n| (n % 251) as u8).collect();
            assert_eq!(around("plan", &contents), ("plan".into(), contents, values), "{len}");
        }
        let plan = "p".repeat(70_000);
        assert_eq!(around(&plan, b"small"), (plan, b"small".to_vec(), 1), "a plan may be large as well");
    }

    #[test]
    fn a_part_is_read_across_chunks() {
        let (mock, ctx) = (Host::new(), Context::for_tests());
        mock.run(|| {
            let contents: Vec<u8> = (0..3 * CHUNK).map(|n| (n % 251) as u8).collect();
            let mut keeper = Keeper::new(&ctx);
            keeper.push(&contents).unwrap();
            let kept = keeper.prepare(&()).unwrap();
            let (at, len) = (CHUNK - 10, CHUNK + 20);
            let mut part = vec![];
            kept.reader(at as u64, len as u64).read_to_end(&mut part).unwrap();
            assert!(part == contents[at..at + len]);
        });
    }

    #[test]
    fn without_a_bucket_it_says_what_to_write_and_keeps_nothing() {
        let ctx = Context::for_tests();
        Host::new().without_keyvalue().run(|| {
            let mut keeper = Keeper::new(&ctx);
            let Err(Failure::Permanent(message)) = keeper.push(&vec![0; CHUNK]) else { panic!("kept") };
            assert!(message.contains("keyvalue = true"), "{message}");
        });
        let mock = Host::new().keyvalue_total(2 * CHUNK as u64);
        mock.run(|| {
            let mut keeper = Keeper::new(&ctx);
            let Err(Failure::Permanent(message)) = keeper.push(&vec![0; 3 * CHUNK]) else { panic!("kept") };
            assert!(message.contains("keyvalue = { total"), "{message}");
        });
        assert!(mock.keyvalue().is_empty() && mock.undo_tokens().is_empty());
    }

    #[test]
    fn attempts_do_not_overwrite_each_others_contents() {
        let mock = Host::new();
        mock.run(|| {
            for attempt in [1, 2] {
                let ctx = Context { attempt, ..Context::for_tests() };
                let mut keeper = Keeper::new(&ctx);
                keeper.push(&vec![attempt as u8; 100_000]).unwrap();
                keeper.prepare(&()).unwrap();
            }
            let (ctx, tokens) = (Context::for_tests(), mock.undo_tokens());
            let undo = Undo { ctx: &ctx, raw_token: Some(&tokens[0]), force: false };
            let (_, kept) = Kept::of::<()>(&undo).unwrap().unwrap();
            let mut first = [0];
            kept.reader(0, 1).read_exact(&mut first).unwrap();
            assert_eq!(first, [1]);
            for (key, _) in mock.keyvalue() {
                assert!(key.starts_with(&format!("{}/", ctx.call_id)), "{key}");
                keyvalue::delete(&key).unwrap();
            }
            assert!(matches!(Kept::of::<()>(&undo), Err(Failure::Permanent(_))), "it is gone");
        });
    }
}
