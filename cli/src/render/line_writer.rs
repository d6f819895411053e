//! Lines on standard error. None of them is vital: what cannot be written is dropped and counted, and in a process that
//! serves others nobody waits for whoever should read them.

use std::io::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use hebbian_shared::limits::LINES_WAITING_MAX;
use indicatif::ProgressBar;

/// How long the last lines may take.
const LAST_LINES: Duration = Duration::from_secs(1);

/// The progress line that is on the terminal at the moment; other lines are written above it.
static LIVE_LINE: Mutex<Option<ProgressBar>> = Mutex::new(None);
/// Lines that nobody got, since one was written.
static DROPPED: AtomicU64 = AtomicU64::new(0);
/// The way to the thread that writes, once there is one.
static WRITER: OnceLock<SyncSender<Said>> = OnceLock::new();

/// Something for the thread that writes.
enum Said {
    Line(Vec<u8>),
    /// Answered when all before it is written.
    Flush(SyncSender<()>),
}

/// Writes to standard error, above the progress line. Each write is one line or more; none of them fails.
pub(crate) struct LineWriter;

impl Write for LineWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        say(bytes);
        Ok(bytes.len())
    }

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        say(bytes);
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Makes the progress line give way to other lines, until it is taken away again.
pub(super) fn set_live_line(bar: Option<ProgressBar>) {
    *LIVE_LINE.lock().unwrap_or_else(PoisonError::into_inner) = bar;
}

/// From now on lines are written by a thread of their own, so that nothing waits for a reader that has stopped. Where there
/// can be no such thread, whoever has a line writes it.
pub(crate) fn write_aside() {
    let (sender, lines) = sync_channel(LINES_WAITING_MAX);
    let spawned = std::thread::Builder::new().name("log".to_owned()).spawn(move || write_all_of(&lines));
    if spawned.is_ok() {
        let _ = WRITER.set(sender);
    }
}

/// Waits a moment for the lines that wait.
pub(crate) fn flush() {
    let Some(writer) = WRITER.get() else { return };
    let (written, answer) = sync_channel(1);
    if writer.try_send(Said::Flush(written)).is_ok() {
        // Whoever does not read in this time will not read the rest.
        let _ = answer.recv_timeout(LAST_LINES);
    }
}

fn write_all_of(lines: &Receiver<Said>) {
    for said in lines {
        match said {
            Said::Line(line) => write_now(&line),
            Said::Flush(written) => drop(written.send(())),
        }
    }
}

fn say(bytes: &[u8]) {
    if bytes.is_empty() {
        return;
    }
    match WRITER.get().map(|writer| writer.try_send(Said::Line(bytes.to_vec()))) {
        None => {
            let bar = LIVE_LINE.lock().unwrap_or_else(PoisonError::into_inner).clone();
            match bar {
                Some(bar) => bar.suspend(|| write_now(bytes)),
                None => write_now(bytes),
            }
        }
        Some(Ok(())) => {}
        Some(Err(TrySendError::Full(_) | TrySendError::Disconnected(_))) => {
            DROPPED.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Writes lines, and before them how many could not be written.
fn write_now(bytes: &[u8]) {
    write_to(&mut io::stderr().lock(), &DROPPED, bytes);
}

fn write_to(output: &mut impl Write, dropped: &AtomicU64, bytes: &[u8]) {
    let before = dropped.load(Ordering::Relaxed);
    let told = match before {
        0 => Ok(()),
        // The last of them may have been written in part.
        1 => output.write_all(b"\nhebbian: a line before this one could not be written\n"),
        count => output
            .write_all(format!("\nhebbian: {count} lines before this one could not be written\n").as_bytes()),
    };
    let written = told.map(|()| {
        dropped.fetch_sub(before, Ordering::Relaxed);
        output.write_all(bytes)
    });
    if !matches!(written, Ok(Ok(()))) {
        dropped.fetch_add(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Has room for so many bytes, then for none.
    struct Disk {
        room: usize,
        text: Vec<u8>,
    }

    impl Write for Disk {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let fits = bytes.len().min(self.room);
            if fits == 0 {
                return Err(io::ErrorKind::StorageFull.into());
            }
            self.room -= fits;
            self.text.extend(&bytes[..fits]);
            Ok(fits)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn lines_that_cannot_be_written_are_dropped_and_counted() {
        let dropped = AtomicU64::new(0);
        let mut disk = Disk { room: 7, text: Vec::new() };
        for line in ["one\n", "second\n", "third\n", "fourth\n"] {
            write_to(&mut disk, &dropped, line.as_bytes());
        }
        assert_eq!(dropped.load(Ordering::Relaxed), 3);
        disk.room = 1000;
        write_to(&mut disk, &dropped, b"fifth\n");
        write_to(&mut disk, &dropped, b"sixth\n");
        let text = String::from_utf8(disk.text).unwrap();
        assert_eq!(text, "one\nsec\nhebbian: 3 lines before this one could not be written\nfifth\nsixth\n");
        assert_eq!(dropped.load(Ordering::Relaxed), 0);
    }
}
