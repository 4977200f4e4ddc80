//! The standard streams of a process that serves a client over them.
//!
//! The runtime's own hand each read and each write to a thread that may wait, and come back from it: several threads are
//! woken for a frame, which takes longer than most calls. A pipe and a socket, which is what clients start a server
//! with, say when they can be read and written, so that a thread of the runtime does it itself.
//!
//! Must never make a stream non-blocking: it would be so for every process that has it, and stay so when this one has
//! ended. So the kernel is asked before each read and write, and no more is written at once than it then has room for.

use std::io::{self, StderrLock};
use std::os::fd::{AsFd, OwnedFd};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::FileType;
use rustix::io::Errno;
use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};

/// Bytes that a pipe takes without waiting once it says that it can be written, whatever else is in it (`PIPE_BUF`); a
/// socket takes at least as many.
const WRITE_MAX: usize = if cfg!(target_os = "linux") {
    4_096
} else {
    512
};

/// To ask, and not to wait.
const NOW: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 0,
};

/// What the client says.
pub(crate) fn input() -> Box<dyn AsyncRead + Unpin + Send> {
    match Watched::of(&io::stdin(), Interest::READABLE) {
        Some(stream) => Box::new(stream),
        None => Box::new(tokio::io::stdin()),
    }
}

/// What is said to the client.
pub(crate) fn output() -> Box<dyn AsyncWrite + Unpin + Send> {
    match Watched::of(&io::stdout(), Interest::WRITABLE) {
        Some(stream) => Box::new(stream),
        None => Box::new(tokio::io::stdout()),
    }
}

/// What is said in the log, for who reads it.
pub(crate) fn words() -> Words {
    Words(io::stderr().lock())
}

/// How long a line of the log waits for a reader that is behind. It holds up a thread, and over the standard streams all of
/// the server.
const PATIENCE: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 100_000_000,
};

/// Standard error of a server. Clients start one with a pipe there, and some never read it: a line that finds no room is
/// lost, or the server would answer nothing from then on. Holds the stream for the time of a line.
pub(crate) struct Words(StderrLock<'static>);

impl io::Write for Words {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        /// The last line found nobody: the next one does not wait.
        static UNREAD: AtomicBool = AtomicBool::new(false);
        said(&self.0, line, &UNREAD)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Writes as much of a line as goes at once. What finds no room is lost, as if it were written.
fn said(stream: &impl AsFd, line: &[u8], unread: &AtomicBool) -> io::Result<usize> {
    let mut part = line;
    if says_when(stream) {
        let wait = match unread.load(Ordering::Relaxed) {
            true => NOW,
            false => PATIENCE,
        };
        let has_room = can(stream, PollFlags::OUT, wait)?;
        unread.store(!has_room, Ordering::Relaxed);
        if !has_room {
            return Ok(line.len());
        }
        part = line.get(..WRITE_MAX).unwrap_or(line);
    }
    match rustix::io::retry_on_intr(|| rustix::io::write(stream, part)) {
        Ok(written) => Ok(written),
        // Somebody else made it non-blocking, and another process was sooner.
        Err(Errno::AGAIN) => Ok(line.len()),
        Err(error) => Err(error.into()),
    }
}

/// Whether a stream says when it can be read and written: a pipe and a socket do, and no file does. A terminal waits for a
/// person in the middle of a write.
fn says_when(stream: &impl AsFd) -> bool {
    rustix::fs::fstat(stream).is_ok_and(|about| {
        matches!(
            FileType::from_raw_mode(about.st_mode),
            FileType::Fifo | FileType::Socket
        )
    })
}

/// A pipe or a socket.
struct Watched(AsyncFd<OwnedFd>);

impl Watched {
    /// None of what a runtime cannot watch, such as a file, and of a terminal.
    #[expect(
        unsafe_code,
        reason = "the runtime takes no descriptor without a promise that it stays open"
    )]
    fn of(stream: &impl AsFd, interest: Interest) -> Option<Self> {
        if !says_when(stream) {
            return None;
        }
        let own = stream.as_fd().try_clone_to_owned().ok()?;
        // SAFETY: it is owned, and nothing else is ever put in its place: it stays open, and the same, until it is dropped.
        let watched = unsafe { AsyncFd::register_with_interest(own, interest) };
        watched.ok().map(Self)
    }
}

/// Whether that can be done without waiting, now or within the time; also where it would fail at once.
fn can(stream: &impl AsFd, what: PollFlags, within: Timespec) -> io::Result<bool> {
    let ask = || poll(&mut [PollFd::new(stream, what)], Some(&within));
    Ok(rustix::io::retry_on_intr(ask)? > 0)
}

impl AsyncRead for Watched {
    fn poll_read(
        self: Pin<&mut Self>,
        task: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            let mut turn = ready!(self.0.poll_read_ready(task))?;
            if !can(turn.get_inner(), PollFlags::IN, NOW)? {
                turn.clear_ready();
                continue;
            }
            match rustix::io::read(turn.get_inner(), into.initialize_unfilled()) {
                Ok(bytes) => {
                    into.advance(bytes);
                    return Poll::Ready(Ok(()));
                }
                // Somebody else made it non-blocking, and another process was sooner.
                Err(Errno::AGAIN) => turn.clear_ready(),
                Err(Errno::INTR) => {}
                Err(error) => return Poll::Ready(Err(error.into())),
            }
        }
    }
}

impl AsyncWrite for Watched {
    fn poll_write(
        self: Pin<&mut Self>,
        task: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let bytes = bytes.get(..WRITE_MAX).unwrap_or(bytes);
        loop {
            let mut turn = ready!(self.0.poll_write_ready(task))?;
            if !can(turn.get_inner(), PollFlags::OUT, NOW)? {
                turn.clear_ready();
                continue;
            }
            match rustix::io::write(turn.get_inner(), bytes) {
                Ok(written) => return Poll::Ready(Ok(written)),
                Err(Errno::AGAIN) => turn.clear_ready(),
                Err(Errno::INTR) => {}
                Err(error) => return Poll::Ready(Err(error.into())),
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::os::unix::net::UnixStream;
    use std::time::Duration;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    fn watched(stream: &impl AsFd, interest: Interest) -> Watched {
        Watched::of(stream, interest).expect("a pipe and a socket can be watched")
    }

    #[tokio::test]
    async fn a_frame_that_comes_late_is_read_and_the_end_of_the_stream_is_one() {
        let (ours, mut theirs) = io::pipe().unwrap();
        let mut input = watched(&ours, Interest::READABLE);
        let reading = tokio::spawn(async move {
            let mut all = Vec::new();
            input.read_to_end(&mut all).await.unwrap();
            all
        });
        for part in ["late", " and ", "later"] {
            tokio::time::sleep(Duration::from_millis(5)).await;
            theirs.write_all(part.as_bytes()).unwrap();
        }
        drop(theirs);
        assert_eq!(reading.await.unwrap(), b"late and later");
    }

    /// The runtime has one thread: a write that waited for the reader would wait for ever.
    #[tokio::test]
    async fn what_a_reader_does_not_take_holds_up_nobody_else() {
        let text = vec![b'x'; 3 << 20];
        let (mut pipe, into) = io::pipe().unwrap();
        let (mut socket, other) = UnixStream::pair().unwrap();
        let outputs = [
            watched(&into, Interest::WRITABLE),
            watched(&other, Interest::WRITABLE),
        ];
        let writing = outputs.map(|mut output| {
            let text = text.clone();
            tokio::spawn(async move { output.write_all(&text).await })
        });
        drop((into, other));
        tokio::time::sleep(Duration::from_millis(20)).await;
        assert!(writing.iter().all(|it| !it.is_finished()));
        let read = tokio::task::spawn_blocking(move || {
            let (mut one, mut two) = (Vec::new(), Vec::new());
            pipe.read_to_end(&mut one).unwrap();
            socket.read_to_end(&mut two).unwrap();
            (one, two)
        });
        for written in writing {
            written.await.unwrap().unwrap();
        }
        let (one, two) = read.await.unwrap();
        assert!(one == text && two == text);
    }

    #[tokio::test]
    async fn a_stream_stays_blocking_for_whoever_else_has_it() {
        let (ours, theirs) = io::pipe().unwrap();
        let _both = (
            watched(&ours, Interest::READABLE),
            watched(&theirs, Interest::WRITABLE),
        );
        for stream in [ours.as_fd(), theirs.as_fd()] {
            let flags = rustix::fs::fcntl_getfl(stream).unwrap();
            assert!(!flags.contains(rustix::fs::OFlags::NONBLOCK));
        }
    }

    /// As much is written as there is room for, and a thread that wrote the rest would wait for ever.
    #[test]
    fn a_line_for_which_nobody_makes_room_is_lost_and_the_next_one_is_told() {
        let (mut reader, log) = io::pipe().unwrap();
        let (unread, line) = (AtomicBool::new(false), [b'x'; WRITE_MAX]);
        let mut lines = 0;
        while !unread.load(Ordering::Relaxed) {
            assert_eq!(said(&log, &line, &unread).unwrap(), line.len());
            lines += 1;
        }
        let mut read = vec![0_u8; (lines - 1) * line.len()];
        reader.read_exact(&mut read).unwrap();
        assert_eq!(said(&log, b"told\n", &unread).unwrap(), 5);
        drop(log);
        let mut rest = String::new();
        reader.read_to_string(&mut rest).unwrap();
        assert_eq!(rest, "told\n");
    }

    #[tokio::test]
    async fn a_file_is_left_to_the_runtime() {
        let file = tempfile::tempfile().unwrap();
        assert!(Watched::of(&file, Interest::READABLE).is_none());
    }
}
