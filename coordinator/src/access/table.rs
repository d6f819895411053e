//! What takes which role: every RPC, every page and every path of `/api` has its row here, and what has none is not answered.

use super::Role;

/// What is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needs {
    /// Nothing.
    Nothing,
    /// A role, where access is controlled.
    Role(Role),
}

/// What something is about: whether there is a part of it for callers that may only see a group of runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// About runs, of which those of other groups are left out; or about nothing in particular.
    Runs,
    /// About the whole cluster.
    Cluster,
}

/// What is needed for something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Requirement {
    /// Which role.
    pub needs: Needs,
    /// About what it is.
    pub reach: Reach,
}

const fn needs(role: Role, reach: Reach) -> Requirement {
    Requirement { needs: Needs::Role(role), reach }
}

const ANYBODY: Requirement = Requirement { needs: Needs::Nothing, reach: Reach::Runs };
const WORKS: Requirement = needs(Role::Worker, Reach::Cluster);
const LOOKS: Requirement = needs(Role::Observer, Reach::Runs);
const LOOKS_AT_ALL: Requirement = needs(Role::Observer, Reach::Cluster);
const ACTS: Requirement = needs(Role::Operator, Reach::Runs);
const ACTS_ON_ALL: Requirement = needs(Role::Operator, Reach::Cluster);
const ADMINISTERS: Requirement = needs(Role::Admin, Reach::Cluster);

/// Every RPC.
pub const RPCS: [(&str, Requirement); 28] = [
    ("/hebbian.v1.RunService/CreateRun", ACTS),
    ("/hebbian.v1.RunService/GetRun", LOOKS),
    ("/hebbian.v1.RunService/ListRuns", LOOKS),
    ("/hebbian.v1.RunService/PauseRun", ACTS),
    ("/hebbian.v1.RunService/ResumeRun", ACTS),
    ("/hebbian.v1.RunService/CancelRun", ACTS),
    ("/hebbian.v1.RunService/DeleteRun", ACTS),
    ("/hebbian.v1.RunService/ExtendRun", ACTS),
    ("/hebbian.v1.RunService/AddRunNote", ACTS),
    ("/hebbian.v1.RunService/ForkRun", ACTS),
    ("/hebbian.v1.RunService/WatchRun", LOOKS),
    ("/hebbian.v1.RunService/GetRunResult", LOOKS),
    ("/hebbian.v1.RunService/GetWarmStart", LOOKS),
    ("/hebbian.v1.RunService/ListGenerations", LOOKS),
    ("/hebbian.v1.ClusterService/ListWorkers", LOOKS_AT_ALL),
    ("/hebbian.v1.ClusterService/DrainWorker", ACTS_ON_ALL),
    ("/hebbian.v1.ClusterService/GetCoordinatorStatus", LOOKS_AT_ALL),
    ("/hebbian.v1.ClusterService/StepDown", ACTS_ON_ALL),
    ("/hebbian.v1.EvaluationService/Evaluate", ACTS_ON_ALL),
    ("/hebbian.v1.DispatchService/Attach", WORKS),
    ("/hebbian.v1.DataService/GetDataSet", WORKS),
    ("/hebbian.v1.AccessService/CreateToken", ADMINISTERS),
    ("/hebbian.v1.AccessService/ListTokens", ADMINISTERS),
    ("/hebbian.v1.AccessService/RevokeToken", ADMINISTERS),
    // Probes and tools that ask what there is say nothing of runs.
    ("/grpc.health.v1.Health/Check", ANYBODY),
    ("/grpc.health.v1.Health/Watch", ANYBODY),
    ("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", ANYBODY),
    ("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", ANYBODY),
];

/// Every page, what belongs to pages, and `/api`, by method and path; `*` is any one part.
pub const PAGES: [(&str, &str, Requirement); 29] = [
    ("GET", "/live.js", ANYBODY),
    ("GET", "/icon.svg", ANYBODY),
    ("GET", "/style.css", ANYBODY),
    ("GET", "/", LOOKS_AT_ALL),
    ("GET", "/body", LOOKS_AT_ALL),
    ("GET", "/cluster", LOOKS_AT_ALL),
    ("GET", "/cluster/body", LOOKS_AT_ALL),
    ("GET", "/events", LOOKS_AT_ALL),
    ("GET", "/compare/*", LOOKS_AT_ALL),
    ("GET", "/compare/*/body", LOOKS_AT_ALL),
    ("GET", "/runs/*", LOOKS_AT_ALL),
    ("GET", "/runs/*/body", LOOKS_AT_ALL),
    ("GET", "/runs/*/events", LOOKS_AT_ALL),
    ("GET", "/runs/*/demonstrated", LOOKS_AT_ALL),
    ("GET", "/metrics", LOOKS_AT_ALL),
    ("GET", "/api/openapi.json", ANYBODY),
    ("GET", "/api/status", LOOKS_AT_ALL),
    ("GET", "/api/runs", LOOKS_AT_ALL),
    ("GET", "/api/runs/*", LOOKS_AT_ALL),
    ("GET", "/api/runs/*/result", LOOKS_AT_ALL),
    ("GET", "/api/runs/*/generations", LOOKS_AT_ALL),
    ("GET", "/api/workers", LOOKS_AT_ALL),
    ("POST", "/api/runs/*/pause", ACTS_ON_ALL),
    ("POST", "/api/runs/*/resume", ACTS_ON_ALL),
    ("POST", "/api/runs/*/cancel", ACTS_ON_ALL),
    ("POST", "/api/runs/*/note", ACTS_ON_ALL),
    ("POST", "/api/runs/*/extend", ACTS_ON_ALL),
    ("POST", "/api/runs/*/fork", ACTS_ON_ALL),
    ("POST", "/api/workers/*/drain", ACTS_ON_ALL),
];

/// What an RPC takes; none if there is no such RPC.
pub fn rpc(path: &str) -> Option<Requirement> {
    RPCS.iter().find(|(of, _)| *of == path).map(|(_, rule)| *rule)
}

/// What a page takes; none if there is no such page.
pub fn page(method: &str, path: &str) -> Option<Requirement> {
    let is = |pattern: &str| {
        let (mut pattern, mut path) = (pattern.split('/'), path.split('/'));
        loop {
            match (pattern.next(), path.next()) {
                (None, None) => return true,
                (Some(expected), Some(part)) if expected == "*" || expected == part => {}
                _ => return false,
            }
        }
    };
    PAGES.iter().find(|(of, pattern, _)| *of == method && is(pattern)).map(|(_, _, rule)| *rule)
}
