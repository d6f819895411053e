//! What goes wrong with machines: crashes, hangs, partitions, power losses, full disks.

use hebbian_control::engine::effect::Event;
use hebbian_shared::dispatch::FromWorker;
use hebbian_shared::seed::{index_below, uniform};

use super::fault::Fault;
use super::{Happening, World};

impl World {
    pub(super) fn trouble(&mut self) {
        if self.now >= self.calm {
            return self.calm_down();
        }
        self.after(60, Happening::Trouble);
        let place = index_below(&mut self.rng, self.workers.len() as u32) as usize;
        match index_below(&mut self.rng, 13) {
            0 | 1 => {
                self.count(Fault::WorkerCrash);
                self.restart(place);
            }
            2 => {
                self.count(Fault::WorkerHang);
                self.workers[place].hanging = true;
            }
            3 | 4 => {
                self.count(Fault::Partition);
                self.workers[place].reachable = false;
                // Noticed by the worker's keep-alive or, if not, by the coordinator's lease.
                if uniform(&mut self.rng) < 0.5
                    && let Some(session) = self.workers[place].session
                {
                    self.after(100, Happening::StreamEnds(session));
                }
            }
            5 | 6 => {
                for worker in &mut self.workers {
                    worker.reachable = true;
                }
            }
            7 => {
                self.count(Fault::CoordinatorKilled);
                self.kill_coordinator(false);
            }
            8 => {
                self.count(Fault::PowerLoss);
                self.kill_coordinator(true);
            }
            9 => {
                self.disk.full = !self.disk.full;
                if self.disk.full {
                    self.count(Fault::DiskFull);
                }
            }
            11 => {
                // The coordinator's machine was asleep: everything it waits for is overdue at once.
                self.count(Fault::ClockJump);
                let seconds = [1, 5, 3600][index_below(&mut self.rng, 3) as usize];
                self.clock_ahead += seconds * 1_000_000;
                self.handle(Event::Tick);
            }
            10 => {
                if self.workers[place].session.is_some() {
                    self.count(Fault::WorkerLeft);
                    self.workers[place].leaving = true;
                    self.say(place, FromWorker::Leaving);
                    self.give_back(place);
                    let session = self.workers[place].session;
                    if let Some(session) = session {
                        self.after(200, Happening::StreamEnds(session));
                    }
                }
            }
            _ => {
                for worker in &mut self.workers {
                    worker.hanging = false;
                }
            }
        }
    }

    /// The process dies with all it knew; the stream's end is noticed at once or never.
    pub(super) fn restart(&mut self, place: usize) {
        let worker = &mut self.workers[place];
        let session = worker.session.take();
        worker.life += 1;
        worker.queue.clear();
        worker.unacknowledged.clear();
        worker.premature.clear();
        worker.sequence = 0;
        worker.computing = false;
        worker.hanging = false;
        let life = worker.life;
        if let Some(session) = session
            && uniform(&mut self.rng) < 0.7
        {
            self.after(10, Happening::StreamEnds(session));
        }
        self.after(100, Happening::Connect(place, life));
    }

    /// From here on nothing goes wrong any more: what is broken is replaced.
    pub(super) fn calm_down(&mut self) {
        self.disk.full = false;
        for place in 0..self.workers.len() {
            self.workers[place].reachable = true;
            self.workers[place].rejects = false;
            if let Some(session) = self.workers[place].session {
                self.after(10, Happening::StreamEnds(session));
            }
            self.restart(place);
        }
    }
}
