//! `hebbian health`

use clap::Args;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use super::{LogArguments, ask};
use crate::client::{Again, ClientArguments};
use crate::failure::{Failure, FailureKind};
use crate::render;

/// Ask a coordinator whether it is healthy, for container probes: exit code 0 if it serves, 1 if it does not because it is a
/// standby or its journal cannot be written, 4 if nothing answers.
///
/// `--service ready` asks whether it does its part, as a leader or as a standby that could take over; `--service live` whether it answers at all.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Ask for one service, for example `ready` or `hebbian.v1.DispatchService`; without it, for the whole coordinator.
    #[arg(long, value_name = "NAME", default_value = "", hide_default_value = true)]
    service: String,
    #[command(flatten)]
    client: ClientArguments,
}

pub(super) fn execute(arguments: Arguments, log: &LogArguments) -> Result<(), Failure> {
    let Arguments { service, client } = arguments;
    ask(log, &client, Again::Never, async |client| {
        let mut health = HealthClient::new(client.channel());
        let request = HealthCheckRequest { service: service.clone() };
        let response =
            client.answer(health.check(request)).await.map_err(|failure| match failure.kind() {
                FailureKind::NotFound => {
                    Failure::not_found(format_args!("--service: {} has no service `{service}`", client.url()))
                }
                _ => failure,
            })?;
        if response.status() == ServingStatus::Serving {
            render::out("serving\n")
        } else {
            let (what, why) = if service == "ready" {
                (
                    "ready",
                    "it is a leader whose journal cannot be written, or a standby that could not take over; its log says why",
                )
            } else {
                ("serving", "its journal cannot be written, or it is a standby; `hebbian status` says which")
            };
            let failure = Failure::failed(format_args!("{}: the coordinator is not {what}", client.url()));
            Err(failure.hint(why))
        }
    })
}
