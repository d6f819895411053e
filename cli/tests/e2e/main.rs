//! The program as users meet it: real processes, real files, real signals, a real port.

mod access;
mod ask_tell;
#[cfg(feature = "object-store")]
mod bucket;
mod clock;
mod cluster;
mod data;
mod database;
mod disk;
mod external;
mod families;
mod faults;
mod genome;
mod inputs;
mod installed;
mod journal;
mod lies;
mod life;
mod local;
mod metrics;
mod outputs;
mod page;
mod pty;
mod rules;
mod slurm;
mod standby;
mod support;
mod tls;
mod top;
mod traces;
mod workers;
