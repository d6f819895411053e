//! Who is let in: every request of a connection is judged here, before it is given to a service.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hyper::HeaderMap;
use hyper::header::AUTHORIZATION;
use hyper::http::Extensions;
use tokio_util::sync::{CancellationToken, DropGuard};
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

use crate::access::table::{self, Needs};
use crate::access::{Access, Denied, Role, Shown};

/// What tokens are told by.
pub(crate) const BEARER: &str = "Bearer ";

/// Whoever has just made the first token is still to be given it.
const ANSWERED: Duration = Duration::from_secs(1);

/// The gate of one connection.
#[derive(Debug)]
pub(super) struct Gate {
    access: Arc<Access>,
    /// The role that the peer's certificate names, or what is wrong with it.
    certificate: Option<Result<Role, String>>,
    /// Cancelled when somebody who was let in here may no more.
    cut: CancellationToken,
    /// The tokens that are watched for that; none stands for the beginning of control.
    watched: Mutex<BTreeSet<Option<Arc<str>>>>,
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
        // Before it is judged: control may begin meanwhile.
        let begun = self.access.begun();
        match self.access.judge(what, rule, shown).map_err(|denied| status(&denied))? {
            Some(caller) => {
                if let Some(token) = &caller.token {
                    self.watch(Some(Arc::clone(token)), caller.clone().ended());
                }
                extensions.insert(caller);
            }
            None if matches!(rule.needs, Needs::Role(_)) => self.watch(None, async move {
                begun.cancelled().await;
                tokio::time::sleep(ANSWERED).await;
            }),
            None => {}
        }
        Ok(())
    }

    /// Ends the connection when that ends by which somebody was let in: its streams would go on.
    fn watch(&self, token: Option<Arc<str>>, ended: impl Future<Output = ()> + Send + 'static) {
        if !self.watched.lock().unwrap_or_else(PoisonError::into_inner).insert(token) {
            return;
        }
        let cut = self.cut.clone();
        tokio::spawn(async move {
            tokio::select! {
                () = ended => cut.cancel(),
                () = cut.cancelled() => {}
            }
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
