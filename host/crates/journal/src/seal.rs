//! Secret arguments at rest: XChaCha20-Poly1305 (draft-irtf-cfrg-xchacha) under a key in a file of its own.

use std::{
    fs::{self, OpenOptions},
    io::{self, Read as _, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    sync::OnceLock,
};

use chacha20poly1305::{
    Key, KeyInit as _, XChaCha20Poly1305, XNonce,
    aead::{Aead as _, Payload},
};
use skillhost_core::{CallId, Digest};

const KEY: usize = 32;
const NONCE: usize = 24;

/// Why something cannot be sealed or read again. For the operator's log: may hold a path.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// The key's file cannot be read or made.
    #[error("the key of the journal's secrets cannot be used: {0}")]
    Key(String),
    /// It was sealed with another key, for another call, or was changed.
    #[error("the secret arguments cannot be read: they were sealed with another key, or were changed")]
    Broken,
}

/// Seals and opens. The key is made with the first use and never replaced.
#[derive(Debug)]
pub struct Sealer {
    file: PathBuf,
    key: OnceLock<[u8; KEY]>,
}

impl Sealer {
    /// With the key in this file.
    #[must_use]
    pub fn new(file: PathBuf) -> Self {
        Self { file, key: OnceLock::new() }
    }

    /// Encrypt `secret` so that it can be read for this call alone.
    ///
    /// # Errors
    /// [`SealError::Key`].
    pub fn seal(&self, call: CallId, secret: &str) -> Result<Vec<u8>, SealError> {
        self.seal_for(call.as_bytes(), secret.as_bytes())
    }

    /// Encrypt `secret` so that it can be read by who names the same `purpose` alone.
    ///
    /// # Errors
    /// [`SealError::Key`].
    pub fn seal_for(&self, purpose: &[u8], secret: &[u8]) -> Result<Vec<u8>, SealError> {
        let mut nonce = [0; NONCE];
        getrandom::fill(&mut nonce).map_err(|error| SealError::Key(error.to_string()))?;
        let payload = Payload { msg: secret, aad: purpose };
        let sealed = self.cipher()?.encrypt(&XNonce::from(nonce), payload).map_err(|_| SealError::Broken)?;
        Ok([&nonce[..], &sealed].concat())
    }

    /// What was sealed for this call.
    ///
    /// # Errors
    /// [`SealError::Broken`], [`SealError::Key`].
    pub fn open(&self, call: CallId, sealed: &[u8]) -> Result<String, SealError> {
        String::from_utf8(self.open_for(call.as_bytes(), sealed)?).map_err(|_| SealError::Broken)
    }

    /// What was sealed for this purpose.
    ///
    /// # Errors
    /// [`SealError::Broken`], [`SealError::Key`].
    pub fn open_for(&self, purpose: &[u8], sealed: &[u8]) -> Result<Vec<u8>, SealError> {
        let (nonce, text) = sealed.split_first_chunk::<NONCE>().ok_or(SealError::Broken)?;
        let payload = Payload { msg: text, aad: purpose };
        self.cipher()?.decrypt(&XNonce::from(*nonce), payload).map_err(|_| SealError::Broken)
    }

    /// A fingerprint of arguments, which tells nothing of them to who lacks the key: secrets are often short.
    ///
    /// # Errors
    /// [`SealError::Key`].
    pub fn fingerprint(&self, canonical: &str) -> Result<Digest, SealError> {
        // The inner digest has a fixed length: nothing can be appended to what is hashed with the key.
        let inner = Digest::of(canonical.as_bytes());
        Ok(Digest::of(&[&self.key()?[..], inner.as_bytes()].concat()))
    }

    fn cipher(&self) -> Result<XChaCha20Poly1305, SealError> {
        Ok(XChaCha20Poly1305::new(&Key::from(*self.key()?)))
    }

    fn key(&self) -> Result<&[u8; KEY], SealError> {
        if let Some(key) = self.key.get() {
            return Ok(key);
        }
        let key =
            key(&self.file).map_err(|error| SealError::Key(format!("{}: {error}", self.file.display())))?;
        Ok(self.key.get_or_init(|| key))
    }
}

/// The key in the file. Two processes may come at once: whose file is there first wins, and it is never seen half-written.
fn key(file: &Path) -> io::Result<[u8; KEY]> {
    match read(file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        result => return result,
    }
    let mut key = [0; KEY];
    getrandom::fill(&mut key).map_err(io::Error::other)?;
    let mut random = [0; 8];
    getrandom::fill(&mut random).map_err(io::Error::other)?;
    let temporary = file.with_extension(format!("{:016x}.new", u64::from_ne_bytes(random)));
    let written = OpenOptions::new()
        .create_new(true)
        .write(true)
        .mode(0o600)
        .open(&temporary)
        .and_then(|mut new| new.write_all(&key).and_then(|()| new.sync_all()))
        .and_then(|()| match fs::hard_link(&temporary, file) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
            _ => Ok(()),
        })
        // Its name must be on disk before anything is sealed with it.
        .and_then(|()| fs::File::open(file.parent().unwrap_or(Path::new(".")))?.sync_all());
    let _ = fs::remove_file(&temporary);
    written?;
    read(file)
}

fn read(file: &Path) -> io::Result<[u8; KEY]> {
    let mut bytes = vec![];
    fs::File::open(file)?.take(KEY as u64 + 1).read_to_end(&mut bytes)?;
    bytes.try_into().map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "it does not hold 32 bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_same_key_and_call_read_it_again() {
        let folder = tempfile::tempdir().unwrap();
        let sealer = Sealer::new(folder.path().join("key"));
        let (one, other) = (CallId::new(), CallId::new());
        let sealed = sealer.seal(one, "hunter2").unwrap();
        assert!(!String::from_utf8_lossy(&sealed).contains("hunter2"));
        // Another process, later.
        let again = Sealer::new(folder.path().join("key"));
        assert_eq!(again.open(one, &sealed).unwrap(), "hunter2");
        assert_eq!(again.fingerprint("{}"), sealer.fingerprint("{}"));
        assert_eq!(again.open(other, &sealed), Err(SealError::Broken));
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert_eq!(again.open(one, &changed), Err(SealError::Broken), "byte {at}");
        }
        assert_eq!(again.open(one, &sealed[..7]), Err(SealError::Broken));
        let stranger = Sealer::new(folder.path().join("another"));
        assert_eq!(stranger.open(one, &sealed), Err(SealError::Broken));
        assert_ne!(stranger.fingerprint("{}"), sealer.fingerprint("{}"));
    }

    #[test]
    fn many_at_once_make_one_key() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("key");
        let prints: Vec<_> = std::thread::scope(|scope| {
            let made: Vec<_> = (0..8)
                .map(|_| scope.spawn(|| Sealer::new(file.clone()).fingerprint("{}").unwrap()))
                .collect();
            made.into_iter().map(|made| made.join().unwrap()).collect()
        });
        assert!(prints.iter().all(|print| *print == prints[0]));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_key_that_is_none_is_never_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("key");
        fs::write(&file, "short").unwrap();
        assert!(matches!(Sealer::new(file.clone()).seal(CallId::new(), "x"), Err(SealError::Key(_))));
        assert_eq!(fs::read(&file).unwrap(), b"short");
    }
}
