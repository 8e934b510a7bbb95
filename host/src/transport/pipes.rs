//! stdin and stdout as the kernel tells that they are ready.
//!
//! tokio's own hand each read and each write to a thread, because not all files can tell: that is two hops between threads a call, and
//! more than the call. Pipes and sockets, which are what clients give, can. What they share with other processes stays as it is:
//! `O_NONBLOCK` belongs to what is open and not to who opened it, so a pipe is opened once more, and a socket is asked each time not to wait.

use std::{
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    pin::Pin,
    task::{Context, Poll, ready},
};

use rustix::{
    fs::{FileType, fstat, fstatfs},
    net::{RecvFlags, SendFlags, recv, send},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, Interest, ReadBuf, unix::AsyncFd},
    net::unix::pipe,
};

pub(super) type Input = Pin<Box<dyn AsyncRead + Send>>;
pub(super) type Output = Pin<Box<dyn AsyncWrite + Send>>;

/// Must be called within a runtime, as all below.
pub(super) fn stdin() -> Input {
    match ready_input(io::stdin().as_fd()) {
        Ok(Some(input)) => input,
        Ok(None) => Box::pin(tokio::io::stdin()),
        Err(error) => {
            tracing::debug!(%error, "stdin is read by a thread of its own");
            Box::pin(tokio::io::stdin())
        }
    }
}

pub(super) fn stdout() -> Output {
    match ready_output(io::stdout().as_fd()) {
        Ok(Some(output)) => output,
        Ok(None) => Box::pin(tokio::io::stdout()),
        Err(error) => {
            tracing::debug!(%error, "stdout is written by a thread of its own");
            Box::pin(tokio::io::stdout())
        }
    }
}

/// None where it is a file, a terminal, or a pipe with a name.
fn ready_input(fd: BorrowedFd<'_>) -> io::Result<Option<Input>> {
    Ok(match kind(fd)? {
        FileType::Fifo if is_nameless(fd)? => {
            Some(Box::pin(pipe::OpenOptions::new().open_receiver(again(fd))?))
        }
        FileType::Socket => Some(Box::pin(Socket::new(fd, Interest::READABLE)?)),
        _ => None,
    })
}

fn ready_output(fd: BorrowedFd<'_>) -> io::Result<Option<Output>> {
    Ok(match kind(fd)? {
        FileType::Fifo if is_nameless(fd)? => {
            Some(Box::pin(pipe::OpenOptions::new().open_sender(again(fd))?))
        }
        FileType::Socket => Some(Box::pin(Socket::new(fd, Interest::WRITABLE)?)),
        _ => None,
    })
}

fn kind(fd: BorrowedFd<'_>) -> io::Result<FileType> {
    Ok(FileType::from_raw_mode(fstat(fd)?.st_mode))
}

/// Whoever opens a pipe with a name whose writers are gone already is not told that they are.
fn is_nameless(fd: BorrowedFd<'_>) -> io::Result<bool> {
    /// The file system of pipes without a name, of Linux.
    const PIPEFS: u64 = 0x5049_5045;
    Ok(u64::try_from(fstatfs(fd)?.f_type).is_ok_and(|kind| kind == PIPEFS))
}

/// Where Linux opens the same pipe once more. Elsewhere there is no such path, and threads read and write.
fn again(fd: BorrowedFd<'_>) -> String {
    format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&fd))
}

/// A socket that may be somebody else's as well.
struct Socket(AsyncFd<OwnedFd>);

impl Socket {
    fn new(fd: BorrowedFd<'_>, interest: Interest) -> io::Result<Self> {
        // tokio 1.54 would have this unsafe for types that may close their descriptor meanwhile. An `OwnedFd` does not.
        #[expect(deprecated, reason = "what has come in its stead is unsafe")]
        Ok(Self(AsyncFd::with_interest(fd.try_clone_to_owned()?, interest)?))
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            let mut ready = ready!(self.0.poll_read_ready(cx))?;
            let into = buffer.initialize_unfilled();
            let read = ready.try_io(|fd| Ok(recv(fd, into, RecvFlags::DONTWAIT)?.0));
            match read {
                Ok(Ok(read)) => {
                    // There was no more: nobody has to ask again to be told so.
                    if read > 0 && read < buffer.remaining() {
                        ready.clear_ready();
                    }
                    buffer.advance(read);
                    return Poll::Ready(Ok(()));
                }
                Ok(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(Err(error)) => return Poll::Ready(Err(error)),
                Err(_would_block) => {}
            }
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        loop {
            let mut ready = ready!(self.0.poll_write_ready(cx))?;
            match ready.try_io(|fd| Ok(send(fd, bytes, SendFlags::DONTWAIT | SendFlags::NOSIGNAL)?)) {
                Ok(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(written) => return Poll::Ready(written),
                Err(_would_block) => {}
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    /// The other side sees the end when the process ends, as with any stdout.
    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;

    use rustix::fs::{Mode, OFlags, fcntl_getfl};
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    /// More than fits into a pipe or a socket at once.
    const MUCH: usize = 8 << 20;

    async fn carries(
        (input, mut far_in): (BorrowedFd<'_>, impl io::Write + Send + 'static),
        (output, mut far_out): (BorrowedFd<'_>, impl io::Read + Send + 'static),
    ) {
        let mut read = ready_input(input).unwrap().expect("it can tell");
        let mut written = ready_output(output).unwrap().expect("it can tell");
        let feeding = std::thread::spawn(move || far_in.write_all(&vec![7; MUCH]).unwrap());
        let mut all = vec![];
        read.read_to_end(&mut all).await.unwrap();
        feeding.join().unwrap();
        assert!(all.len() == MUCH && all.iter().all(|byte| *byte == 7));
        let draining = std::thread::spawn(move || {
            let mut all = vec![0; MUCH];
            far_out.read_exact(&mut all).unwrap();
            all
        });
        written.write_all(&all).await.unwrap();
        written.flush().await.unwrap();
        assert!(draining.join().unwrap() == all);
        for fd in [input, output] {
            assert!(!fcntl_getfl(fd).unwrap().contains(OFlags::NONBLOCK), "others may have it open as well");
        }
    }

    #[tokio::test]
    async fn pipes_tell_that_they_are_ready() {
        let ((input, far_in), (far_out, output)) = (io::pipe().unwrap(), io::pipe().unwrap());
        carries((input.as_fd(), far_in), (output.as_fd(), far_out)).await;
    }

    #[tokio::test]
    async fn sockets_tell_that_they_are_ready() {
        let ((input, far_in), (output, far_out)) = (UnixStream::pair().unwrap(), UnixStream::pair().unwrap());
        carries((input.as_fd(), far_in), (output.as_fd(), far_out)).await;
    }

    #[tokio::test]
    async fn pipes_with_a_name_do_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("fifo");
        rustix::fs::mknodat(rustix::fs::CWD, &path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        let both = std::fs::File::options().read(true).write(true).open(&path).unwrap();
        assert!(ready_input(both.as_fd()).unwrap().is_none());
        assert!(ready_output(both.as_fd()).unwrap().is_none());
    }

    #[tokio::test]
    async fn files_do_not() {
        let file = tempfile::tempfile().unwrap();
        assert!(ready_input(file.as_fd()).unwrap().is_none());
        assert!(ready_output(file.as_fd()).unwrap().is_none());
    }

    #[tokio::test]
    async fn whom_nobody_reads_is_told() {
        let (output, far) = UnixStream::pair().unwrap();
        let mut written = ready_output(output.as_fd()).unwrap().unwrap();
        drop(far);
        assert_eq!(written.write_all(b"x").await.unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    }
}
