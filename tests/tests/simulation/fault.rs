//! What can go wrong, and how often it did.

use std::collections::BTreeMap;

/// Every kind of fault, counted when it really happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fault {
    ReportLost,
    ReportDuplicated,
    ReportLate,
    ReportSentAgain,
    WorkerError,
    WorkerCrash,
    WorkerHang,
    WorkerSlow,
    WorkerLeft,
    Rejection,
    WrongFingerprint,
    WrongSemantics,
    Partition,
    CoordinatorKilledBetweenEffects,
    CoordinatorKilled,
    PowerLoss,
    SettlementsRolledBack,
    DiskFull,
    Paused,
    RunPausedItself,
    LeaseExpired,
    SeveralRuns,
}

impl Fault {
    pub(crate) const ALL: [Self; 22] = [
        Self::ReportLost,
        Self::ReportDuplicated,
        Self::ReportLate,
        Self::ReportSentAgain,
        Self::WorkerError,
        Self::WorkerCrash,
        Self::WorkerHang,
        Self::WorkerSlow,
        Self::WorkerLeft,
        Self::Rejection,
        Self::WrongFingerprint,
        Self::WrongSemantics,
        Self::Partition,
        Self::CoordinatorKilledBetweenEffects,
        Self::CoordinatorKilled,
        Self::PowerLoss,
        Self::SettlementsRolledBack,
        Self::DiskFull,
        Self::Paused,
        Self::RunPausedItself,
        Self::LeaseExpired,
        Self::SeveralRuns,
    ];
}

pub(crate) type Faults = BTreeMap<Fault, u64>;
