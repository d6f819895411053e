//! Which of several coordinators is asked, and again when the one that led goes away meanwhile.

use std::time::{Duration, Instant};

use hebbian_proto::v1::cluster_service_server::SERVICE_NAME as CLUSTER;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use super::{Client, ClientArguments};
use crate::failure::{Failure, FailureKind};

/// For so long it is waited before all addresses are tried again.
const PAUSE: Duration = Duration::from_millis(100);

/// What is asked again of whoever leads then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Again {
    /// Everything: what was done is not done twice.
    Always,
    /// What certainly was not done.
    Undone,
    /// Nothing: it is the moment that is asked for.
    Never,
}

/// What an address of several says of itself, the best one first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Standing {
    Serves,
    /// It leads, and its journal is in trouble: it can be looked at, and says what is wrong.
    Leads,
    /// A standby, or somebody who does not say.
    Waits,
}

/// Whoever is to be asked.
struct Found {
    client: Client,
    standing: Standing,
    /// Whether there are others that may lead.
    several: bool,
}

impl Client {
    /// Connects: of several addresses to the first that serves, or else to one that leads, or else to one that answers.
    pub(crate) async fn connect(arguments: &ClientArguments) -> Result<Self, Failure> {
        find(arguments).await.map(|found| found.client).map_err(|(failure, _)| failure)
    }

    /// The same, and while none of several addresses leads, they are tried again until the time is over.
    pub(crate) async fn connect_when_led(arguments: &ClientArguments) -> Result<Self, Failure> {
        when_led(arguments, Instant::now() + arguments.timeout).await.map(|found| found.client)
    }

    /// What it says of its standing.
    async fn standing(&self) -> Standing {
        let serves = async |service: &str| {
            let request = HealthCheckRequest { service: service.to_owned() };
            let asked = self.answer(HealthClient::new(self.channel()).check(request)).await;
            asked.map(|health| health.status() == ServingStatus::Serving)
        };
        match serves("").await {
            Ok(true) => Standing::Serves,
            // A leader answers for its cluster whatever its journal is like, and a standby does not.
            Ok(false) if serves(CLUSTER).await.is_ok_and(|leads| leads) => Standing::Leads,
            Ok(false) | Err(_) => Standing::Waits,
        }
    }
}

/// Tries each address once. With a failure comes whether there are several.
async fn find(arguments: &ClientArguments) -> Result<Found, (Failure, bool)> {
    let (field, endpoints, bearer) = arguments.endpoints().map_err(|failure| (failure, false))?;
    let several = endpoints.len() > 1;
    let shown = (&bearer, arguments.credentials.tls.certificate.is_some());
    let (mut failed, mut best) = (None, None::<Found>);
    for endpoint in endpoints {
        match Client::connect_to(endpoint, arguments.timeout, shown).await {
            // One of several may be a standby.
            Ok(client) => {
                let standing = if several { client.standing().await } else { Standing::Serves };
                if standing == Standing::Serves {
                    return Ok(Found { client, standing, several });
                }
                if best.as_ref().is_none_or(|best| standing < best.standing) {
                    best = Some(Found { client, standing, several });
                }
            }
            // Of several, the first one is the one that should be there.
            Err(failure) => drop(failed.get_or_insert(failure)),
        }
    }
    best.ok_or_else(|| {
        let none = || Failure::bad_input(format_args!("{field}: names no coordinator"));
        (failed.unwrap_or_else(none), several)
    })
}

/// Tries all addresses until one leads, or the time is over; at least once.
async fn when_led(arguments: &ClientArguments, deadline: Instant) -> Result<Found, Failure> {
    loop {
        let found = find(arguments).await;
        let again = match &found {
            Ok(found) => found.standing == Standing::Waits,
            Err((failure, several)) => *several && failure.kind() == FailureKind::Unreachable,
        };
        if !again || Instant::now() >= deadline {
            return found.map_err(|(failure, _)| failure);
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Asks whoever leads. If that one goes away meanwhile, the next one is asked, as far as that is safe and until the time is over. One address
/// is asked once.
pub(crate) async fn ask<T>(
    arguments: &ClientArguments,
    again: Again,
    work: impl AsyncFn(Client) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let deadline = Instant::now() + arguments.timeout;
    if again == Again::Never {
        return work(Client::connect(arguments).await?).await;
    }
    loop {
        let Found { client, several, .. } = when_led(arguments, deadline).await?;
        let failure = match work(client).await {
            Err(failure) if several && failure.kind() == FailureKind::Unreachable => failure,
            done => return done,
        };
        if !(again == Again::Always || failure.is_undone()) || Instant::now() >= deadline {
            return Err(failure);
        }
        tokio::time::sleep(PAUSE).await;
    }
}
