//! A process in a pseudo-terminal, and the screen that a person would see.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::process::{Child, Command};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{InputModes, LocalModes, OutputModes, Winsize, tcgetattr, tcsetwinsize};

/// How long a condition may take to come true.
const DEADLINE: Duration = Duration::from_secs(120);

/// What was written, and the screen that it makes.
struct Written {
    bytes: Vec<u8>,
    parser: vt100::Parser,
}

/// See the module. The process ends with it.
pub(crate) struct Pty {
    keyboard: File,
    terminal: File,
    written: Arc<Mutex<Written>>,
    child: Child,
}

/// How a terminal takes what is typed, and what is printed.
pub(crate) type Modes = (LocalModes, InputModes, OutputModes);

impl Pty {
    /// Starts a command in a terminal of its own.
    pub(crate) fn start(command: &Command, rows: u16, columns: u16) -> Self {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let name = ptsname(&master, Vec::new()).unwrap().into_string().unwrap();
        let terminal = File::options().read(true).write(true).open(name).unwrap();
        tcsetwinsize(&terminal, size(rows, columns)).unwrap();
        // The terminal becomes that of the process, so that it hears of another size.
        let mut started = Command::new("setsid");
        started.arg("--ctty").arg(command.get_program()).args(command.get_args());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => started.env(name, value),
                None => started.env_remove(name),
            };
        }
        if let Some(directory) = command.get_current_dir() {
            started.current_dir(directory);
        }
        let end = || OwnedFd::from(terminal.try_clone().unwrap());
        started.env("TERM", "xterm-256color").stdin(end()).stdout(end()).stderr(end());
        let child = started.spawn().unwrap();
        let written =
            Arc::new(Mutex::new(Written { bytes: Vec::new(), parser: vt100::Parser::new(rows, columns, 0) }));
        let mut screen = File::from(master.as_fd().try_clone_to_owned().unwrap());
        let sink = Arc::clone(&written);
        std::thread::spawn(move || {
            let mut chunk = [0; 4096];
            while let Ok(length @ 1..) = screen.read(&mut chunk) {
                let mut written = sink.lock().unwrap();
                written.bytes.extend(&chunk[..length]);
                written.parser.process(&chunk[..length]);
            }
        });
        Self { keyboard: File::from(master), terminal, written, child }
    }

    /// The process's number.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Types.
    pub(crate) fn press(&mut self, keys: &str) {
        self.keyboard.write_all(keys.as_bytes()).unwrap();
    }

    /// Gives the terminal another size.
    pub(crate) fn resize(&self, rows: u16, columns: u16) {
        self.written.lock().unwrap().parser.screen_mut().set_size(rows, columns);
        tcsetwinsize(&self.terminal, size(rows, columns)).unwrap();
    }

    /// The screen.
    pub(crate) fn screen(&self) -> vt100::Screen {
        self.written.lock().unwrap().parser.screen().clone()
    }

    /// All that was ever written.
    pub(crate) fn written(&self) -> String {
        String::from_utf8_lossy(&self.written.lock().unwrap().bytes).into_owned()
    }

    /// How the terminal takes what is typed.
    pub(crate) fn modes(&self) -> Modes {
        let modes = tcgetattr(&self.terminal).unwrap();
        (modes.local_modes, modes.input_modes, modes.output_modes)
    }

    /// Waits until the screen is as somebody expects.
    pub(crate) fn until(&mut self, what: &str, shows: impl Fn(&vt100::Screen) -> bool) {
        let start = Instant::now();
        while !shows(&self.screen()) {
            let ended = self.child.try_wait().unwrap();
            let late = start.elapsed() >= DEADLINE;
            assert!(
                !late && ended.is_none(),
                "{what}: ended {ended:?}, and shows\n{}",
                self.screen().contents()
            );
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Waits until the screen holds a text.
    pub(crate) fn until_shown(&mut self, text: &str) {
        self.until(&format!("`{text}` is shown"), |screen| screen.contents().contains(text));
    }

    /// Waits for the end; the exit code. All that was written is there then.
    pub(crate) fn exit_code(&mut self) -> Option<i32> {
        let start = Instant::now();
        let code = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status.code();
            }
            assert!(start.elapsed() < DEADLINE, "it goes on, and shows\n{}", self.screen().contents());
            std::thread::sleep(Duration::from_millis(10));
        };
        // Behind all that the process has written.
        let mark = "\x1b]2;the end\x07";
        self.terminal.write_all(mark.as_bytes()).unwrap();
        while !self.written().ends_with(mark) {
            assert!(start.elapsed() < DEADLINE, "the terminal is silent");
            std::thread::sleep(Duration::from_millis(10));
        }
        code
    }
}

impl Drop for Pty {
    fn drop(&mut self) {
        // It may have ended before.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn size(rows: u16, columns: u16) -> Winsize {
    Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 }
}
