//! Figures in Prometheus' text format, and what Linux says of the process that has them. No label has values that grow without bound.

use std::fmt::{Display, Write as _};
use std::fs;

use crate::timing::{BOUNDS_S, Histogram};

/// What `/metrics` answers is of this type.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Metrics that have been written.
#[derive(Debug, Default)]
pub struct Metrics(String);

impl Metrics {
    /// Begins a family: what its samples have in common.
    pub fn family(&mut self, name: &str, kind: &str, help: &str) {
        let _ = write!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
    }

    /// A sample of the family that was begun last, by the value of a label. A value is a word of the program's own.
    pub fn labelled(&mut self, name: &str, (label, value): (&str, &str), figure: impl Display) {
        let _ = writeln!(self.0, "{name}{{{label}=\"{value}\"}} {figure}");
    }

    /// A family with one sample.
    pub fn one(&mut self, name: &str, kind: &str, help: &str, value: impl Display) {
        self.family(name, kind, help);
        let _ = writeln!(self.0, "{name} {value}");
    }

    /// The program's version.
    pub fn build(&mut self, version: &str) {
        let version: String =
            version.chars().filter(|c| c.is_ascii_alphanumeric() || ".-+".contains(*c)).collect();
        self.family("hebbian_build_info", "gauge", "The program's version; always 1.");
        self.labelled("hebbian_build_info", ("version", &version), 1);
    }

    /// Memory and processor time of this process.
    pub fn process(&mut self) {
        let Process { resident_bytes, cpu_s } = process();
        if let Some(bytes) = resident_bytes {
            self.one("process_resident_memory_bytes", "gauge", "Resident memory.", bytes);
        }
        if let Some(seconds) = cpu_s {
            let help = "Time of all threads on processors.";
            self.one("process_cpu_seconds_total", "counter", help, seconds);
        }
    }

    pub(super) fn histogram(&mut self, name: &str, help: &str, histogram: &Histogram) {
        self.family(name, "histogram", help);
        let (counts, sum) = histogram.read();
        for (count, bound) in counts.iter().zip(BOUNDS_S) {
            let _ = writeln!(self.0, "{name}_bucket{{le=\"{bound}\"}} {count}");
        }
        let all = counts[counts.len() - 1];
        let _ = writeln!(self.0, "{name}_bucket{{le=\"+Inf\"}} {all}\n{name}_sum {sum}\n{name}_count {all}");
    }

    /// All of them.
    pub fn text(self) -> String {
        self.0
    }
}

/// What is written of the process itself.
struct Process {
    resident_bytes: Option<f64>,
    cpu_s: Option<f64>,
}

/// What Linux says of this process; a file in memory is read in no time.
fn process() -> Process {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let kilobytes = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB")?.parse::<f64>().ok());
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // Behind the name, which may hold anything: fields 14 and 15 are the time in hundredths of a second.
    let fields: Vec<f64> = stat
        .rsplit_once(')')
        .map(|(_, rest)| {
            rest.split_whitespace().skip(11).take(2).filter_map(|field| field.parse().ok()).collect()
        })
        .unwrap_or_default();
    let cpu_s = (fields.len() == 2).then(|| (fields[0] + fields[1]) / 100.0);
    Process { resident_bytes: kilobytes.map(|kilobytes| kilobytes * 1024.0), cpu_s }
}
