//! Who is let in: every request of a connection is judged here, before it is given to a service.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use hyper::HeaderMap;
use hyper::header::AUTHORIZATION;
use hyper::http::Extensions;
use tokio_util::sync::{CancellationToken, DropGuard};
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

use crate::access::{Access, Caller, Denied, Role, Shown, table};

/// What tokens are told by.
pub(crate) const BEARER: &str = "Bearer ";

/// The gate of one connection.
#[derive(Debug)]
pub(super) struct Gate {
    access: Arc<Access>,
    /// The role that the peer's certificate names, or what is wrong with it.
    certificate: Option<Result<Role, String>>,
    /// Cancelled when somebody who was let in here may no more.
    cut: CancellationToken,
    /// The tokens that are watched for that.
    watched: Mutex<BTreeSet<Arc<str>>>,
}

impl Gate {
    /// The gate, what is cancelled when the connection is to end, and what is to be dropped at its end.
    pub(super) fn new(
        access: Arc<Access>,
        certificate: Option<Result<Role, String>>,
    ) -> (Arc<Self>, CancellationToken, DropGuard) {
        let cut = CancellationToken::new();
        let gate = Self { access, certificate, cut: cut.clone(), watched: Mutex::default() };
        (Arc::new(gate), cut.clone(), cut.drop_guard())
    }

    /// Lets a request in, and tells its service whose it is; or refuses it.
    pub(super) fn judge(
        &self,
        path: &str,
        headers: &HeaderMap,
        extensions: &mut Extensions,
    ) -> Result<(), Status> {
        let Some(rule) = table::rpc(path) else {
            return Err(Status::unimplemented(format!("there is no RPC {path}")));
        };
        let what = path.rsplit('/').next().unwrap_or(path);
        let token = shown(headers);
        let shown = Shown { token, certificate: self.certificate.as_ref() };
        let caller = self.access.judge(what, rule, shown).map_err(|denied| status(&denied))?;
        if let Some(caller) = caller {
            self.watch(&caller);
            extensions.insert(caller);
        }
        Ok(())
    }

    /// Ends the connection when the token that it was used with ends: its streams would go on.
    fn watch(&self, caller: &Caller) {
        let Some(token) = &caller.token else { return };
        if !self.watched.lock().unwrap_or_else(PoisonError::into_inner).insert(Arc::clone(token)) {
            return;
        }
        let (cut, revoked, expires) = (self.cut.clone(), caller.revoked.clone(), caller.expires);
        tokio::spawn(async move {
            let expired = async {
                match expires {
                    Some(end) => {
                        let left = end.duration_since(SystemTime::now()).unwrap_or_default();
                        tokio::time::sleep(left).await;
                    }
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = revoked.cancelled() => {}
                () = expired => {}
                () = cut.cancelled() => return,
            }
            cut.cancel();
        });
    }
}

/// The token that a request shows, or what it shows in its place.
fn shown(headers: &HeaderMap) -> Option<&str> {
    let header = headers.get(AUTHORIZATION)?;
    let text = header.to_str().unwrap_or_default();
    Some(text.strip_prefix(BEARER).unwrap_or(text).trim())
}

fn status(denied: &Denied) -> Status {
    let message = denied.to_string();
    let (code, reason) = match denied {
        Denied::Unknown(_) => (Code::Unauthenticated, "UNAUTHENTICATED"),
        Denied::Forbidden(_) => (Code::PermissionDenied, "ROLE"),
    };
    let details = ErrorDetails::with_error_info(reason, "hebbian", std::collections::HashMap::new());
    Status::with_error_details(code, message, details)
}
