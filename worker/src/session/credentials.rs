//! What clients and workers show to a coordinator, and whom they trust.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, ClientTlsConfig, Uri};
use tonic::{Request, Status};

/// A connection whose requests show a token, if there is one.
pub type Authorised = InterceptedService<Channel, Bearer>;

/// Shows a token with every request.
#[derive(Clone, Debug, Default)]
pub struct Bearer(Option<MetadataValue<Ascii>>);

impl Bearer {
    /// Shows this token, or says why it can be none.
    pub fn new(token: &str) -> Result<Self, String> {
        let token = token.trim();
        if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err("holds no token: a token is one word, as `hebbian token create` prints it".to_owned());
        }
        let header = MetadataValue::try_from(format!("Bearer {token}"));
        let mut header = header.map_err(|_| "holds no token".to_owned())?;
        // Whoever prints a request does not print this.
        header.set_sensitive(true);
        Ok(Self(Some(header)))
    }

    /// Whether a token is shown.
    pub fn is_some(&self) -> bool {
        self.0.is_some()
    }

    /// A connection that shows it.
    pub fn with(self, channel: Channel) -> Authorised {
        InterceptedService::new(channel, self)
    }
}

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(header) = &self.0 {
            request.metadata_mut().insert("authorization", header.clone());
        }
        Ok(request)
    }
}

/// What is shown, and who is trusted.
#[derive(Clone, Debug, Default)]
pub struct Credentials {
    /// For addresses that begin with `https://`.
    pub tls: ClientTlsConfig,
    /// The token.
    pub bearer: Bearer,
    /// Whether the token may be sent where others can read it on the way.
    pub plaintext: bool,
}

impl Credentials {
    /// Refuses to send a token where others could read it on the way.
    pub fn check(&self, uri: &Uri) -> Result<(), String> {
        let host = uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
        let is_here = host.eq_ignore_ascii_case("localhost")
            || host.parse().is_ok_and(|address: IpAddr| address.to_canonical().is_loopback());
        if !self.bearer.is_some() || uri.scheme_str() == Some("https") || is_here || self.plaintext {
            return Ok(());
        }
        let uri = uri.to_string();
        let uri = uri.trim_end_matches('/');
        Err(format!(
            "{uri}: is not encrypted, and whoever is on the way could read the token; write https://, or --insecure on a private network"
        ))
    }
}

/// Where credentials come from. They are read before each connection: what was renewed meanwhile is shown by the next one.
#[derive(Clone)]
pub struct CredentialsSource {
    read: Arc<dyn Fn() -> Result<Credentials, String> + Send + Sync>,
    shows_certificate: bool,
}

impl CredentialsSource {
    /// Reads them from wherever they are; an error says what is wrong.
    pub fn new(read: impl Fn() -> Result<Credentials, String> + Send + Sync + 'static) -> Self {
        Self { read: Arc::new(read), shows_certificate: false }
    }

    /// Says whether there is a certificate among them, for advice where a connection breaks.
    #[must_use]
    pub fn with_certificate(self, shows_certificate: bool) -> Self {
        Self { shows_certificate, ..self }
    }

    pub(super) fn shows_certificate(&self) -> bool {
        self.shows_certificate
    }

    /// The same every time.
    pub fn fixed(credentials: Credentials) -> Self {
        Self::new(move || Ok(credentials.clone()))
    }

    pub(super) async fn read(&self) -> Result<Credentials, String> {
        let read = Arc::clone(&self.read);
        tokio::task::spawn_blocking(move || read()).await.map_err(|error| error.to_string())?
    }
}

impl fmt::Debug for CredentialsSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Source(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_not_sent_where_others_can_read_it() {
        let mut credentials =
            Credentials { bearer: Bearer::new(" hebbian_0\n").unwrap(), ..Credentials::default() };
        let may = |credentials: &Credentials, uri: &str| credentials.check(&uri.parse().unwrap()).is_ok();
        for uri in [
            "https://a:1",
            "http://localhost:1",
            "http://127.0.0.1:1",
            "http://127.9.9.9:1",
            "http://[::1]:1",
        ] {
            assert!(may(&credentials, uri), "{uri}");
        }
        for uri in [
            "http://a:1",
            "http://10.0.0.1:1",
            "http://[::2]:1",
            "http://localhost.example:1",
            "http://127.0.0.1.example:1",
        ] {
            assert!(!may(&credentials, uri), "{uri}");
        }
        credentials.plaintext = true;
        assert!(may(&credentials, "http://a:1"));
        assert!(may(&Credentials::default(), "http://a:1"), "there is no token to be read");
    }

    #[test]
    fn a_token_is_one_word_and_is_not_printed() {
        for text in ["", " ", "a b", "a\nb", "\u{e9}"] {
            assert!(Bearer::new(text).is_err(), "{text:?}");
        }
        let mut bearer = Bearer::new("hebbian_secret\n").unwrap();
        let request = bearer.call(Request::new(())).unwrap();
        assert_eq!(request.metadata().get("authorization").unwrap(), "Bearer hebbian_secret");
        assert!(!format!("{request:?} {bearer:?}").contains("secret"));
    }
}
