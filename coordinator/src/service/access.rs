//! Tokens, for administrators.

use std::sync::Arc;

use hebbian_control::command::page::{Page, PageRequest};
use hebbian_proto::convert::ConvertError;
use hebbian_proto::figures::duration;
use hebbian_proto::v1;
use hebbian_proto::v1::access_service_server::AccessService;
use tonic::{Code, Request, Response, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

use super::audit;
use super::status::{invalid, refused};
use crate::access::table::{ADMINISTERS, Row};
use crate::access::{Access, AccessRefusal, Caller, NewToken, Role};

/// What each of its RPCs takes.
pub(crate) const RPCS: &[Row] = &[
    ("/hebbian.v1.AccessService/CreateToken", ADMINISTERS),
    ("/hebbian.v1.AccessService/ListTokens", ADMINISTERS),
    ("/hebbian.v1.AccessService/RevokeToken", ADMINISTERS),
];

/// Makes, shows and revokes tokens.
#[derive(Debug)]
pub(super) struct Tokens {
    access: Arc<Access>,
}

impl Tokens {
    pub(super) fn new(access: Arc<Access>) -> Self {
        Self { access }
    }

    /// Does something with the file of tokens, which may take its time.
    async fn change<T: Send + 'static>(
        &self,
        change: impl FnOnce(&Access) -> Result<T, AccessRefusal> + Send + 'static,
    ) -> Result<T, Status> {
        let access = Arc::clone(&self.access);
        let changed = tokio::task::spawn_blocking(move || change(&access)).await;
        changed.map_err(|error| Status::internal(error.to_string()))?.map_err(|refusal| status(&refusal))
    }
}

/// Whether somebody could go on without tokens: their certificate is an admin's.
fn has_other_way<T>(request: &Request<T>) -> bool {
    let caller = request.extensions().get::<Caller>();
    caller.is_some_and(|caller| caller.token.is_none() && caller.role == Role::Admin)
}

fn status(refusal: &AccessRefusal) -> Status {
    let message = refusal.to_string();
    let (code, details) = match refusal {
        AccessRefusal::Field { field, problem } => return invalid(&ConvertError::new(*field, problem)),
        AccessRefusal::Exists(_) => {
            (Code::AlreadyExists, ErrorDetails::with_bad_request_violation("name", &message))
        }
        AccessRefusal::NoSuchToken(name) => {
            (Code::NotFound, ErrorDetails::with_resource_info("hebbian.v1.Token", name, "", &message))
        }
        AccessRefusal::Precondition(_) => {
            let details = ErrorDetails::with_precondition_failure_violation("TOKENS", "", &message);
            (Code::FailedPrecondition, details)
        }
        AccessRefusal::Full => {
            (Code::ResourceExhausted, ErrorDetails::with_quota_failure_violation("coordinator", &message))
        }
        AccessRefusal::File(_) => (Code::Unavailable, ErrorDetails::new()),
    };
    Status::with_error_details(code, message, details)
}

#[tonic::async_trait]
impl AccessService for Tokens {
    async fn create_token(
        &self,
        request: Request<v1::CreateTokenRequest>,
    ) -> Result<Response<v1::CreateTokenResponse>, Status> {
        let (who, has_other_way) = (audit::who(&request), has_other_way(&request));
        let asked = request.into_inner();
        let role =
            Role::try_from(asked.role()).map_err(|problem| invalid(&ConvertError::new("role", problem)))?;
        let expires_in = match asked.expires_in {
            Some(time) if time.seconds < 0 || time.nanos < 0 => {
                return Err(invalid(&ConvertError::new("expires_in", "must not be negative")));
            }
            Some(time) => Some(duration(Some(time))),
            None => None,
        };
        let new = NewToken { name: asked.name, role, group: asked.group, expires_in };
        let by = who.clone();
        let (token, secret) = self.change(move |access| access.create(&new, &by, has_other_way)).await?;
        audit::done(&who, "made", &format_args!("the token `{}` with the role {role}", token.name));
        Ok(Response::new(v1::CreateTokenResponse { token: Some(token), secret: secret.text().to_owned() }))
    }

    async fn list_tokens(
        &self,
        request: Request<v1::ListTokensRequest>,
    ) -> Result<Response<v1::ListTokensResponse>, Status> {
        let v1::ListTokensRequest { page_size: size, page_token: token } = request.into_inner();
        let page = PageRequest { size, token };
        let size = page.size().map_err(|refusal| refused(&refusal))?;
        let after = page.position(|token| Some(token.to_owned())).map_err(|refusal| refused(&refusal))?;
        let tokens = self.access.list().into_iter();
        let rest = tokens.filter(|token| after.as_ref().is_none_or(|after| token.name > *after));
        let page = Page::of(rest, size, |token| token.name.clone());
        Ok(Response::new(v1::ListTokensResponse { tokens: page.items, next_page_token: page.next_token }))
    }

    async fn revoke_token(
        &self,
        request: Request<v1::RevokeTokenRequest>,
    ) -> Result<Response<v1::RevokeTokenResponse>, Status> {
        let (who, has_other_way) = (audit::who(&request), has_other_way(&request));
        let name = request.into_inner().name;
        let token = self.change(move |access| access.revoke(&name, has_other_way)).await?;
        audit::done(&who, "revoked", &format_args!("the token `{}`", token.name));
        Ok(Response::new(v1::RevokeTokenResponse { token: Some(token) }))
    }
}
