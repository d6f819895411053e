//! The terminal as `hebbian top` takes it, and gives it back: at the end, after a panic and after a signal.

use std::io::{self, IsTerminal as _};

use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{Event, read};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use super::draw;
use crate::failure::Failure;
use crate::render::colour_allowed;
use crate::top::Top;

/// A terminal that is drawn on. Dropping it gives the terminal back; a panic does so before it speaks.
pub(crate) struct Screen {
    terminal: DefaultTerminal,
    colours: bool,
}

impl Screen {
    /// Takes the terminal.
    pub(crate) fn open() -> Result<Self, Failure> {
        if !(io::stdout().is_terminal() && io::stdin().is_terminal()) {
            return Err(Failure::bad_input("`hebbian top` needs a terminal, for its picture and its keys")
                .hint("`hebbian list`, `hebbian status RUN` and `hebbian watch RUN` print text"));
        }
        let terminal = ratatui::try_init().map_err(|error| failed(&error))?;
        Ok(Self { terminal, colours: colour_allowed() })
    }

    /// Draws what is known, in the size that the terminal has now.
    pub(crate) fn show(&mut self, top: &Top) -> Result<(), Failure> {
        let colours = self.colours;
        self.terminal.draw(|frame| draw(frame, top, colours)).map(drop).map_err(|error| failed(&error))
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // There is nobody to tell.
        let _ = ratatui::try_restore();
    }
}

fn failed(error: &io::Error) -> Failure {
    Failure::failed(format_args!("the terminal cannot be used: {error}"))
}

/// Keys and sizes from now on, read by a thread of their own. It ends with the process; the channel with the terminal.
pub(crate) fn events() -> Result<UnboundedReceiver<Event>, Failure> {
    let (sender, receiver) = unbounded_channel();
    let listen = move || {
        while let Ok(event) = read() {
            if sender.send(event).is_err() {
                break;
            }
        }
    };
    std::thread::Builder::new()
        .name("keys".to_owned())
        .spawn(listen)
        .map(|_| receiver)
        .map_err(|error| Failure::failed(format_args!("a thread cannot be started: {error}")))
}

#[cfg(test)]
mod tests;
