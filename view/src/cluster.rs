//! How much a cluster computes, over time.

use crate::chart::{Chart, Line};
use crate::number::{seconds, short};
use crate::picture::{Picture, Table};

/// Points that are kept; when there are more, two become one.
const POINTS_MAX: usize = 600;

/// Episodes a second since the coordinator's start: a fold over looks at it that stays small.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Throughput {
    points: Vec<Look>,
    /// Looks that become one point.
    every: u32,
    looks: u32,
    last: Option<(f64, u64)>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Look {
    at_s: f64,
    for_s: f64,
    episodes: f64,
    workers: u32,
}

impl Throughput {
    /// Takes how the coordinator stands: seconds since its start, episodes settled since then, and attached workers.
    pub fn take(&mut self, uptime_s: f64, settled: u64, workers: u32) {
        let Some((before_s, before)) = self.last.replace((uptime_s, settled)) else { return };
        let for_s = uptime_s - before_s;
        if for_s <= 0.0 {
            return;
        }
        let look = Look { at_s: uptime_s, for_s, episodes: settled.saturating_sub(before) as f64, workers };
        let every = self.every.max(1);
        match self.points.last_mut().filter(|_| !self.looks.is_multiple_of(every)) {
            Some(last) => join(last, look),
            None => self.points.push(look),
        }
        self.looks += 1;
        if self.points.len() > POINTS_MAX {
            let joined = self.points.chunks(2).map(|pair| {
                let mut first = pair[0];
                pair[1..].iter().for_each(|look| join(&mut first, *look));
                first
            });
            self.points = joined.collect();
            (self.every, self.looks) = (2 * every, 0);
        }
    }

    /// Episodes a second at the last look.
    pub fn rate(&self) -> Option<f64> {
        self.points.last().map(|look| look.episodes / look.for_s)
    }

    /// The pictures: throughput, and attached workers.
    pub fn pictures(&self) -> [Picture; 2] {
        let says = match self.rate() {
            None => "Nothing was measured yet.".to_owned(),
            Some(rate) => format!("At last {} episodes a second settled.", short(rate)),
        };
        let rate = self.picture(("throughput", "Throughput", "episodes a second"), says, |look| {
            look.episodes / look.for_s
        });
        let workers = self.points.last().map_or(0, |look| look.workers);
        let says = format!("At last {workers} were attached.");
        [rate, self.picture(("workers", "Attached workers", "workers"), says, |look| f64::from(look.workers))]
    }

    fn picture(
        &self,
        (id, title, axis): (&'static str, &str, &'static str),
        says: String,
        value: fn(&Look) -> f64,
    ) -> Picture {
        let mut chart = Chart::new(id, title, "minutes since the coordinator's start", axis);
        chart.y_counted = id == "workers";
        let points = self.points.iter().map(|look| (look.at_s / 60.0, Some(value(look)))).collect();
        chart.lines.push(Line { name: String::new(), colour: 0, paths: vec![points], thin: false });
        (chart.nothing, chart.says) = ("nothing was measured yet", says);
        let row = |look: &Look| {
            vec![seconds(look.at_s), short(look.episodes / look.for_s), look.workers.to_string()]
        };
        let rows = self.points.iter().map(row).collect();
        chart.table = Table::new(&["since the start", "episodes a second", "workers"], rows);
        chart.draw()
    }
}

fn join(first: &mut Look, next: Look) {
    first.at_s = next.at_s;
    first.for_s += next.for_s;
    first.episodes += next.episodes;
    first.workers = next.workers;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_time_stays_small_and_loses_no_episode() {
        let mut throughput = Throughput::default();
        assert_eq!(throughput.rate(), None);
        for look in 0..5000_u32 {
            throughput.take(f64::from(look), u64::from(look) * 10, 3);
        }
        assert!(throughput.points.len() <= POINTS_MAX && throughput.points.len() > POINTS_MAX / 2);
        assert_eq!(throughput.points.iter().map(|look| look.episodes).sum::<f64>(), 49_990.0);
        assert!(throughput.points.iter().all(|look| look.episodes / look.for_s == 10.0));
        assert!(throughput.pictures()[0].svg().contains("At last 10.0 episodes a second settled."));
    }
}
