//! Control: runs, the engine over all of them, and the scheduler that hands their episodes to workers.
//!
//! Pure: events go in with the time, effects come out. Nothing here reads a clock, a file or a socket.

pub mod command;
pub mod engine;
pub mod run;
pub mod scheduler;
