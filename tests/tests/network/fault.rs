//! What the network and the machines do, and how often it met a run that was under way.

use std::collections::BTreeMap;
use std::time::Duration;

use hebbian_shared::seed::{ChaCha8Rng, Seed, index_below};
use turmoil::Sim;

use super::host::{COORDINATOR, Shared, worker_name};

/// Faults strike until then, so that every schedule ends.
const CALM: Duration = Duration::from_secs(8);

/// Every kind of fault, counted when it met a run that was under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fault {
    /// A worker's machine died while it was attached.
    WorkerKilled,
    /// The coordinator's machine died and came back on its journal.
    CoordinatorKilled,
    /// Nothing passed between an attached worker and the coordinator.
    Partition,
    /// Only what the worker says was lost.
    PartitionOneWay,
    /// What passed between them was held back and delivered later.
    Delay,
    /// A connection was lost and a worker opened another.
    Reconnected,
}

impl Fault {
    pub(crate) const ALL: [Self; 6] = [
        Self::WorkerKilled,
        Self::CoordinatorKilled,
        Self::Partition,
        Self::PartitionOneWay,
        Self::Delay,
        Self::Reconnected,
    ];
}

pub(crate) type Faults = BTreeMap<Fault, u64>;

/// What ends a fault.
#[derive(Clone, Debug)]
enum Repair {
    Bounce(String),
    Reconnect(String),
    Release(String),
}

/// The faults of a schedule, as they come.
pub(crate) struct Schedule {
    rng: ChaCha8Rng,
    workers: usize,
    next: Duration,
    repairs: BTreeMap<(Duration, u64), Repair>,
    struck: u64,
    faults: Faults,
}

impl Schedule {
    pub(crate) fn new(number: u64, workers: usize) -> Self {
        let rng = Seed::new(number).unwrap().rng();
        let next = Duration::from_millis(150);
        Self { rng, workers, next, repairs: BTreeMap::new(), struck: 0, faults: Faults::new() }
    }

    fn below(&mut self, end: u32) -> u32 {
        index_below(&mut self.rng, end)
    }

    /// The longest that a message takes.
    pub(crate) fn latency(&mut self) -> Duration {
        Duration::from_millis([2, 10, 40][self.below(3) as usize])
    }

    fn milliseconds(&mut self, least: u32, most: u32) -> Duration {
        Duration::from_millis(u64::from(least + self.below(most - least)))
    }

    /// Does what is due.
    pub(crate) fn strike(&mut self, sim: &mut Sim<'_>, shared: &Shared) {
        let now = sim.elapsed();
        while let Some(entry) = self.repairs.first_entry()
            && (entry.key().0 <= now || now >= CALM)
        {
            match entry.remove() {
                Repair::Bounce(host) => sim.bounce(host),
                Repair::Reconnect(host) => sim.repair(host, COORDINATOR),
                Repair::Release(host) => sim.release(host, COORDINATOR),
            }
        }
        if now < self.next || now >= CALM {
            return;
        }
        self.next = now + self.milliseconds(80, 400);
        self.struck += 1;
        let place = self.below(self.workers as u32) as usize;
        let name = worker_name(place);
        let under_way = shared.under_way();
        let attached = under_way && shared.is_connected(place);
        if self.repairs.values().any(|repair| match repair {
            Repair::Bounce(host) | Repair::Reconnect(host) | Repair::Release(host) => *host == name,
        }) {
            return;
        }
        let kind = self.below(8);
        let (fault, hit, repair, after) = match kind {
            0 | 1 => {
                sim.crash(name.as_str());
                shared.disconnected(place);
                (Fault::WorkerKilled, attached, Repair::Bounce(name), self.milliseconds(20, 1500))
            }
            2 => {
                if !sim.is_host_running(COORDINATOR) {
                    return;
                }
                sim.crash(COORDINATOR);
                let repair = Repair::Bounce(COORDINATOR.to_owned());
                (Fault::CoordinatorKilled, under_way, repair, self.milliseconds(20, 1000))
            }
            3 | 4 => {
                sim.partition(name.as_str(), COORDINATOR);
                (Fault::Partition, attached, Repair::Reconnect(name), self.milliseconds(50, 4000))
            }
            5 => {
                sim.partition_oneway(name.as_str(), COORDINATOR);
                (Fault::PartitionOneWay, attached, Repair::Reconnect(name), self.milliseconds(50, 4000))
            }
            _ => {
                sim.hold(name.as_str(), COORDINATOR);
                (Fault::Delay, attached, Repair::Release(name), self.milliseconds(50, 1500))
            }
        };
        if hit {
            *self.faults.entry(fault).or_default() += 1;
        }
        self.repairs.insert((now + after, self.struck), repair);
    }

    pub(crate) fn into_faults(mut self, shared: &Shared) -> Faults {
        let more = shared.connections().saturating_sub(self.workers as u64);
        *self.faults.entry(Fault::Reconnected).or_default() += more;
        self.faults
    }
}
