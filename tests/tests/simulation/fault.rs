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
    GivenBack,
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
    ClockJump,
    SeveralRuns,
    KilledWhileValidating,
    KilledWhileRemeasuring,
    KilledWhileAdvancing,
    PausedWhileAdvancing,
    ExtendedWhileAdvancing,
    CancelledWhileAdvancing,
    SearchesTogether,
}

impl Fault {
    pub(crate) const ALL: [Self; 31] = [
        Self::ReportLost,
        Self::ReportDuplicated,
        Self::ReportLate,
        Self::ReportSentAgain,
        Self::WorkerError,
        Self::WorkerCrash,
        Self::WorkerHang,
        Self::WorkerSlow,
        Self::WorkerLeft,
        Self::GivenBack,
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
        Self::ClockJump,
        Self::SeveralRuns,
        Self::KilledWhileValidating,
        Self::KilledWhileRemeasuring,
        Self::KilledWhileAdvancing,
        Self::PausedWhileAdvancing,
        Self::ExtendedWhileAdvancing,
        Self::CancelledWhileAdvancing,
        Self::SearchesTogether,
    ];
}

pub(crate) type Faults = BTreeMap<Fault, u64>;
