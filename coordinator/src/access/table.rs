//! What takes which role: every RPC, every page and every path of `/api` has its row here, and what has none is not answered.

use super::Role;
use crate::service::{access, cluster, data, dispatch, evaluation, run};

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

/// Nothing is needed.
const ANYBODY: Requirement = Requirement { needs: Needs::Nothing, reach: Reach::Runs };
/// For workers.
pub(crate) const WORKS: Requirement = needs(Role::Worker, Reach::Cluster);
/// For whoever may look at runs.
pub(crate) const LOOKS: Requirement = needs(Role::Observer, Reach::Runs);
/// For whoever may look at the whole cluster.
pub(crate) const LOOKS_AT_ALL: Requirement = needs(Role::Observer, Reach::Cluster);
/// For whoever may act on runs.
pub(crate) const ACTS: Requirement = needs(Role::Operator, Reach::Runs);
/// For whoever may act on the whole cluster.
pub(crate) const ACTS_ON_ALL: Requirement = needs(Role::Operator, Reach::Cluster);
/// For whoever gives roles to others.
pub(crate) const ADMINISTERS: Requirement = needs(Role::Admin, Reach::Cluster);

/// A row of the table of RPCs: the RPC's path, and what it takes.
pub type Row = (&'static str, Requirement);

/// Every RPC: the rows stand beside what answers them.
const RPCS: [&[Row]; 7] =
    [run::RPCS, cluster::RPCS, evaluation::RPCS, dispatch::RPCS, data::RPCS, access::RPCS, TOOLS];

/// Probes and tools that ask what there is say nothing of runs.
const TOOLS: &[Row] = &[
    ("/grpc.health.v1.Health/Check", ANYBODY),
    ("/grpc.health.v1.Health/Watch", ANYBODY),
    ("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", ANYBODY),
    ("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", ANYBODY),
];

/// Every RPC.
pub fn rpcs() -> impl Iterator<Item = Row> {
    RPCS.into_iter().flatten().copied()
}

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
    rpcs().find(|(of, _)| *of == path).map(|(_, rule)| rule)
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
