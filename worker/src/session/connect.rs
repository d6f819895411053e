//! Connections to coordinators, over TCP or over memory.

use std::error::Error;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use hyper_util::rt::TokioIo;
use tokio::io::DuplexStream;
use tokio::sync::mpsc;
use tonic::transport::{ClientTlsConfig, Endpoint, Uri};

use hebbian_shared::limits::ADDRESS_FILE_BYTES_MAX;

use super::SessionError;
use super::credentials::{Authorised, Bearer, Credentials, CredentialsSource};

/// Bytes that may wait in each direction of a connection over memory.
const MEMORY_BUFFER: usize = 1 << 20;
/// What stands before the path of a file that holds addresses.
pub const FILE_PREFIX: &str = "file:";

/// Settings of connections. TLS belongs to the addresses: see [`Coordinators::parse`].
#[derive(Clone, Debug)]
pub struct ConnectionSettings {
    /// How long connecting and being welcomed may take.
    pub connect_timeout: Duration,
    /// A connection that was silent for so long is asked for a sign of life (an HTTP/2 ping).
    pub keep_alive_interval: Duration,
    /// A connection that does not answer in this time is given up: it is what notices a silent partition.
    pub keep_alive_timeout: Duration,
}

impl Default for ConnectionSettings {
    /// A coordinator that vanished without a word is noticed within fourteen seconds. Nothing is lost by that time: what the
    /// worker holds, the coordinator gives to others within three.
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(5),
            keep_alive_interval: Duration::from_secs(12),
            keep_alive_timeout: Duration::from_secs(2),
        }
    }
}

/// Where a worker finds its coordinator.
#[derive(Clone, Debug)]
pub enum Coordinators {
    /// Addresses that are tried in turn, each as [`endpoints`] takes it.
    Addresses {
        /// The addresses, at least one.
        addresses: Vec<String>,
        /// What is shown there.
        source: CredentialsSource,
    },
    /// A file with addresses, which is read before each attempt: a coordinator that moves writes its new one.
    File {
        /// The file, in the form of [`Coordinators::read`].
        path: PathBuf,
        /// What is shown there.
        source: CredentialsSource,
        /// Whether addresses that do without TLS are refused.
        tls_only: bool,
    },
    /// A listener in this process: one end of a duplex goes into it.
    Memory(mpsc::Sender<DuplexStream>),
}

impl Coordinators {
    /// Takes addresses as [`endpoints`] reads them, for a worker that shows no token.
    pub fn parse<S: AsRef<str>>(addresses: &[S], tls: &ClientTlsConfig) -> Result<Self, SessionError> {
        endpoints(addresses, tls)?;
        let addresses = addresses.iter().map(|address| address.as_ref().to_owned()).collect();
        let credentials = Credentials { tls: tls.clone(), ..Credentials::default() };
        Ok(Self::Addresses { addresses, source: CredentialsSource::fixed(credentials) })
    }

    /// The addresses in a file, one a line; blank lines and those that begin with `#` are none.
    pub fn read(path: &Path) -> Result<Vec<String>, SessionError> {
        let refused = |problem: String| SessionError::Address {
            address: format!("{FILE_PREFIX}{}", path.display()),
            problem,
        };
        let mut text = String::new();
        // To open a pipe would wait for a writer, whatever this process is told meanwhile.
        let is_other = std::fs::metadata(path).is_ok_and(|found| !found.is_file());
        if is_other {
            return Err(refused("is a device, a pipe or a directory; it must be a regular file".to_owned()));
        }
        File::open(path)
            .and_then(|file| file.take(ADDRESS_FILE_BYTES_MAX + 1).read_to_string(&mut text))
            .map_err(|error| refused(format!("the file cannot be read: {error}")))?;
        if text.len() as u64 > ADDRESS_FILE_BYTES_MAX {
            return Err(refused(format!("the file has more than {ADDRESS_FILE_BYTES_MAX} bytes")));
        }
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        let addresses: Vec<String> = lines.map(str::to_owned).collect();
        if addresses.is_empty() {
            return Err(refused("the file holds no address".to_owned()));
        }
        for address in &addresses {
            parts(address)
                .map_err(|problem| refused(format!("its line `{address}` is no address: {problem}")))?;
        }
        Ok(addresses)
    }

    /// What is spoken at the address that is next.
    pub(super) fn security(&self, attempt: usize) -> Security {
        match self {
            Self::File { tls_only, source, .. } => Security::new(*tls_only, source.shows_certificate()),
            Self::Addresses { addresses, source } => {
                let tls = addresses[attempt % addresses.len()].trim().starts_with("https://");
                Security::new(tls, source.shows_certificate())
            }
            Self::Memory(_) => Security::Plain,
        }
    }

    /// Connects; the attempt's number says which address is next.
    pub(super) async fn connect(
        &self,
        settings: &ConnectionSettings,
        attempt: usize,
    ) -> Result<Authorised, String> {
        let configured = |endpoint: Endpoint| {
            endpoint
                .connect_timeout(settings.connect_timeout)
                .http2_keep_alive_interval(settings.keep_alive_interval)
                .keep_alive_timeout(settings.keep_alive_timeout)
                .keep_alive_while_idle(true)
                .tcp_nodelay(true)
        };
        match self {
            Self::Addresses { addresses, source } => {
                let credentials = source.read().await?;
                let address = &addresses[attempt % addresses.len()];
                let endpoint = endpoint(address, &credentials.tls).map_err(|error| error.to_string())?;
                dial(configured(endpoint), credentials).await
            }
            Self::File { path, source, tls_only } => {
                let path = path.clone();
                // A shared disk may take its time.
                let read = tokio::task::spawn_blocking(move || Self::read(&path)).await;
                let addresses =
                    read.map_err(|error| error.to_string())?.map_err(|error| error.to_string())?;
                let credentials = source.read().await?;
                let address = &addresses[attempt % addresses.len()];
                let endpoint = endpoint(address, &credentials.tls).map_err(|error| error.to_string())?;
                if *tls_only && endpoint.uri().scheme_str() != Some("https") {
                    return Err(format!("{address}: is not encrypted, although certificates are given"));
                }
                dial(configured(endpoint), credentials).await
            }
            Self::Memory(dial) => {
                let dial = dial.clone();
                let connector = tower::service_fn(move |_: Uri| {
                    let dial = dial.clone();
                    async move {
                        let (ours, theirs) = tokio::io::duplex(MEMORY_BUFFER);
                        let gone = |_| io::Error::new(io::ErrorKind::ConnectionRefused, "it does not listen");
                        dial.send(theirs).await.map_err(gone)?;
                        Ok::<_, io::Error>(TokioIo::new(ours))
                    }
                });
                // The name is never looked up.
                let channel = configured(Endpoint::from_static("http://coordinator"))
                    .connect_with_connector(connector)
                    .await
                    .map_err(|error| format!("the coordinator of this process: {}", chain(&error)))?;
                Ok(Bearer::default().with(channel))
            }
        }
    }
}

async fn dial(endpoint: Endpoint, credentials: Credentials) -> Result<Authorised, String> {
    let uri = endpoint.uri().clone();
    credentials.check(&uri)?;
    let channel = endpoint.connect().await.map_err(|error| format!("{uri}: {}", chain(&error)))?;
    Ok(credentials.bearer.with(channel))
}

/// Reads addresses such as `http://host:7420`; `host:7420` means the same. `tls` is for those that begin with `https://`.
pub fn endpoints<S: AsRef<str>>(
    addresses: &[S],
    tls: &ClientTlsConfig,
) -> Result<Vec<Endpoint>, SessionError> {
    if addresses.is_empty() {
        return Err(SessionError::NoCoordinator);
    }
    addresses.iter().map(|address| endpoint(address.as_ref(), tls)).collect()
}

/// Reads an address: `http://HOST:PORT`, `https://HOST:PORT`, or `HOST:PORT`, which is the first of them.
fn endpoint(address: &str, tls: &ClientTlsConfig) -> Result<Endpoint, SessionError> {
    let refused = |problem: String| SessionError::Address { address: address.to_owned(), problem };
    let (scheme, place) = parts(address).map_err(refused)?;
    let endpoint =
        Endpoint::from_shared(format!("{scheme}://{place}")).map_err(|error| refused(chain(&error)))?;
    if scheme == "http" {
        return Ok(endpoint);
    }
    endpoint.tls_config(tls.clone()).map_err(|error| refused(chain(&error)))
}

/// Scheme and place of an address, or what is wrong with it.
fn parts(address: &str) -> Result<(&str, &str), String> {
    let address = address.trim();
    let (scheme, place) = match address.split_once("://") {
        Some((scheme @ ("http" | "https"), place)) => (scheme, place),
        Some((scheme, _)) => return Err(format!("the scheme must be http or https, not {scheme}")),
        None => ("http", address),
    };
    let place = place.strip_suffix('/').unwrap_or(place);
    if let Some(c) = place.chars().find(|c| "/?#@\\".contains(*c) || c.is_whitespace() || c.is_control()) {
        return Err(format!("a host and a port have no {c:?}; write for example http://localhost:7420"));
    }
    let (host, port) = match place.rsplit_once(':') {
        // The last part of an IPv6 address is no port.
        Some((host, port)) if !port.contains(']') => (host, port),
        _ => return Err("it needs a port, for example http://localhost:7420".to_owned()),
    };
    if host.is_empty() {
        return Err("it names no host, for example http://localhost:7420".to_owned());
    }
    if !port.parse::<u16>().is_ok_and(|port| port > 0) {
        return Err(format!("a port is a number from 1 to 65535, not `{port}`"));
    }
    Ok((scheme, place))
}

/// What this end of a connection speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Security {
    /// No TLS.
    Plain,
    /// TLS, without a certificate of its own.
    Tls,
    /// TLS, with a certificate that the coordinator may refuse.
    Certificate,
}

impl Security {
    /// Of an end that speaks TLS or not, and has a certificate to show there or not.
    pub fn new(tls: bool, shows_certificate: bool) -> Self {
        match (tls, shows_certificate) {
            (false, _) => Self::Plain,
            (true, false) => Self::Tls,
            (true, true) => Self::Certificate,
        }
    }
}

/// What helps where a connection broke because one end wants TLS, or a certificate, and the other does not know it or refuses it; by
/// the error's text and what this end speaks. Whose connection is just closed does not always learn why.
pub fn remedy(problem: &str, security: Security) -> Option<&'static str> {
    let problem = problem.to_lowercase();
    let is = |causes: &[&str]| causes.iter().any(|cause| problem.contains(cause));
    if problem.contains("invalid peer certificate") {
        return Some(if is(&["certificate expired"]) {
            "the coordinator's certificate has expired: it needs another one of its authority (`hebbian certs --renew` makes one, and SIGHUP has \
             it read)"
        } else if is(&["certificate not valid yet"]) {
            "is the clock right, here and where the coordinator's certificate was made?"
        } else if is(&["certificate not valid for name"]) {
            "write the coordinator's address with a name that its certificate has"
        } else {
            "name the authority that signed it with --tls-ca FILE or HEBBIAN_TLS_CA"
        });
    }
    let broken = is(&[
        "frame with invalid size",
        "connection closed",
        "broken pipe",
        "connection reset",
        "handshake eof",
    ]);
    if is(&["certificaterequired"]) {
        Some(
            "the coordinator lets in only workers with a certificate: --tls-certificate FILE and --tls-key FILE",
        )
    } else if is(&["certificateexpired"]) {
        Some(
            "the certificate that is shown here (--tls-certificate) has expired: the coordinator's authority must sign another one",
        )
    } else if is(&["certificaterevoked"]) {
        Some(
            "the certificate that is shown here (--tls-certificate) was revoked: the coordinator's authority must sign another one",
        )
    } else if is(&["decrypterror", "unknownca", "badcertificate"]) {
        Some(
            "the coordinator does not trust this certificate: the authority of its --tls-client-ca must sign it",
        )
    } else if is(&["invalidcontenttype"]) {
        Some("the coordinator does not speak TLS: write http:// instead of https://")
    } else if broken && security == Security::Certificate {
        Some(
            "the coordinator may have refused the certificate that is shown here (--tls-certificate): one that was revoked, or that another \
             authority than those of its --tls-client-ca has signed; if it has no TLS, write http://; its log says which",
        )
    } else if broken && security == Security::Tls {
        Some(
            "if the coordinator wants a certificate, give one of its authority (--tls-certificate FILE and --tls-key FILE); if it \
             has no TLS, write http://; its log says which",
        )
    } else if broken {
        Some(
            "if the coordinator speaks TLS, write https:// and name its authority with --tls-ca FILE; its log says so",
        )
    } else {
        None
    }
}

/// An error with its causes, in one line: tonic's own message says "transport error" only.
pub(super) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_addresses_is_read_line_by_line() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("coordinator");
        let check = |text: &str, expected: Result<&[&str], &str>| {
            std::fs::write(&path, text).unwrap();
            match (Coordinators::read(&path), expected) {
                (Ok(found), Ok(addresses)) => assert_eq!(found, addresses),
                (Err(error), Err(message)) => assert!(error.to_string().contains(message), "{error}"),
                (found, _) => panic!("{text:?} gave {found:?}"),
            }
        };
        check("https://a:1\n", Ok(&["https://a:1"]));
        check("# moved\n\n a:1 \nb:2", Ok(&["a:1", "b:2"]));
        check("\n", Err("holds no address"));
        check("a:1\nhttp://b:99999\n", Err("its line `http://b:99999` is no address: a port is a number"));
        check(&"a".repeat(5000), Err("more than 4096 bytes"));
        std::fs::remove_file(&path).unwrap();
        assert!(Coordinators::read(&path).unwrap_err().to_string().contains("cannot be read"));
        for other in [Path::new("/dev/zero"), Path::new("/")] {
            assert!(Coordinators::read(other).unwrap_err().to_string().contains("must be a regular file"));
        }
    }

    #[test]
    fn who_lacks_tls_or_a_certificate_is_told_what_helps() {
        let certain = |problem: &str, security: Security, expected: Option<&str>| {
            let found = remedy(problem, security);
            assert_eq!(found.is_some(), expected.is_some(), "{problem}: {found:?}");
            let expected = expected.unwrap_or_default();
            assert!(found.unwrap_or_default().contains(expected), "{problem}: {found:?}");
        };
        let check = |problem: &str, tls: bool, expected: Option<&str>| {
            certain(problem, Security::new(tls, false), expected);
        };
        // As the libraries put it.
        let alert = "transport error: received fatal alert: ";
        check(&format!("{alert}CertificateRequired"), true, Some("only workers with a certificate"));
        check(&format!("{alert}DecryptError"), true, Some("must sign it"));
        check("http2 error: connection error detected: frame with invalid size", false, Some("https://"));
        check("received corrupt message of type InvalidContentType", true, Some("http://"));
        check("operation was canceled: connection closed", true, Some("--tls-certificate FILE"));
        check("connection reset by peer", false, Some("https://"));
        check("received fatal alert: CertificateExpired", true, Some("--tls-certificate) has expired"));
        check("received fatal alert: CertificateRevoked", true, Some("--tls-certificate) was revoked"));
        // The reason gets lost where the coordinator closes the connection before it is read.
        for broken in ["broken pipe", "connection closed", "connection reset by peer", "tls handshake eof"] {
            certain(broken, Security::Certificate, Some("may have refused the certificate"));
        }
        certain(&format!("{alert}CertificateRevoked"), Security::Certificate, Some("was revoked"));
        certain("broken pipe", Security::new(false, true), Some("https://"));
        let invalid = |problem: &str, remedy| {
            check(&format!("invalid peer certificate: {problem}"), true, Some(remedy));
        };
        invalid("UnknownIssuer", "--tls-ca FILE");
        invalid(
            "certificate expired: verification time 9 (UNIX), but",
            "the coordinator's certificate has expired",
        );
        invalid("certificate not valid yet: verification time 9 (UNIX), but", "is the clock right");
        invalid(
            "certificate not valid for name \"a\"; certificate is only valid for b",
            "a name that its certificate has",
        );
        check("tcp connect error: connection refused", true, None);
    }
}
