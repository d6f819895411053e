//! Errors as gRPC statuses, with details that name the field or the resource at fault.

use hebbian_proto::convert::{ConvertError, run_name};
use hebbian_shared::spec::SpecError;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

use crate::handle::HandleError;

/// A request that does not stand for anything.
pub(super) fn invalid(error: &ConvertError) -> Status {
    let details = ErrorDetails::with_bad_request_violation(&error.field, &error.problem);
    Status::with_error_details(Code::InvalidArgument, error.to_string(), details)
}

/// A request that the driver refused.
pub(super) fn refused(error: &HandleError) -> Status {
    let message = error.to_string();
    let (code, details) = match error {
        HandleError::NoSuchRun(run) => {
            (Code::NotFound, ErrorDetails::with_resource_info("hebbian.v1.Run", run_name(*run), "", &message))
        }
        HandleError::NoSuchWorker(worker) => {
            let details =
                ErrorDetails::with_resource_info("hebbian.v1.Worker", worker.to_string(), "", &message);
            (Code::NotFound, details)
        }
        HandleError::Spec(error) => {
            let (field, problem) = match error {
                SpecError::Field { field, problem } => (format!("spec.{field}"), problem),
                SpecError::Syntax(problem) => ("spec".to_owned(), problem),
            };
            (Code::InvalidArgument, ErrorDetails::with_bad_request_violation(field, problem))
        }
        HandleError::RequestIdReused(_) => {
            (Code::AlreadyExists, ErrorDetails::with_bad_request_violation("request_id", &message))
        }
        HandleError::WrongState { run, problem } => {
            let details = ErrorDetails::with_precondition_failure_violation("STATE", run_name(*run), problem);
            (Code::FailedPrecondition, details)
        }
        HandleError::Limit(_) => {
            (Code::ResourceExhausted, ErrorDetails::with_quota_failure_violation("coordinator", &message))
        }
        HandleError::Journal(_) | HandleError::ShuttingDown => (Code::Unavailable, ErrorDetails::new()),
    };
    Status::with_error_details(code, message, details)
}
