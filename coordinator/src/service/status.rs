//! Errors as gRPC statuses, with details that name the field or the resource at fault.

use hebbian_control::command::Refusal;
use hebbian_proto::convert::{ConvertError, run_name};
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

use crate::driver::Ask;
use crate::handle::Handle;

/// A request that does not stand for anything.
pub(super) fn invalid(error: &ConvertError) -> Status {
    let details = ErrorDetails::with_bad_request_violation(&error.field, &error.problem);
    Status::with_error_details(Code::InvalidArgument, error.to_string(), details)
}

/// The driver's answer.
pub(super) async fn ask<A: Ask>(handle: &Handle, ask: A) -> Result<A::Answer, Status> {
    handle.ask(ask).await.map_err(|error| refused(&error))
}

/// A request that the driver refused.
pub(super) fn refused(error: &Refusal) -> Status {
    let message = error.to_string();
    let (code, details) = match error {
        Refusal::NoSuchRun(run) => {
            (Code::NotFound, ErrorDetails::with_resource_info("hebbian.v1.Run", run_name(*run), "", &message))
        }
        Refusal::NoSuchWorker(worker) => {
            let details =
                ErrorDetails::with_resource_info("hebbian.v1.Worker", worker.to_string(), "", &message);
            (Code::NotFound, details)
        }
        Refusal::Spec(error) => {
            let ConvertError { field, problem } = ConvertError::of_spec(error);
            (Code::InvalidArgument, ErrorDetails::with_bad_request_violation(field, problem))
        }
        Refusal::Field { field, problem } => {
            (Code::InvalidArgument, ErrorDetails::with_bad_request_violation(*field, problem))
        }
        Refusal::RequestIdReused(_) => {
            (Code::AlreadyExists, ErrorDetails::with_bad_request_violation("request_id", &message))
        }
        Refusal::WrongState { run, problem } => {
            let details = ErrorDetails::with_precondition_failure_violation("STATE", run_name(*run), problem);
            (Code::FailedPrecondition, details)
        }
        Refusal::Limit(_) => {
            (Code::ResourceExhausted, ErrorDetails::with_quota_failure_violation("coordinator", &message))
        }
        Refusal::NoStandby => {
            let details =
                ErrorDetails::with_precondition_failure_violation("STANDBY", "coordinator", &message);
            (Code::FailedPrecondition, details)
        }
        Refusal::Journal(_) | Refusal::ShuttingDown => (Code::Unavailable, ErrorDetails::new()),
    };
    Status::with_error_details(code, message, details)
}
