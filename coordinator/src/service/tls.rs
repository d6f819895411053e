//! TLS of the coordinator's port: a certificate, and with a client authority only peers that have one too.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, pem};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig};

/// Where a coordinator's certificates are: PEM files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// The coordinator's certificate, followed by those between it and its authority.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
    /// Authorities whose certificates let a peer in (mutual TLS); none lets everybody in.
    pub client_ca: Option<PathBuf>,
}

/// Why certificates cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {problem}")]
pub struct TlsError {
    /// The file that is to blame.
    pub path: String,
    /// What is wrong with it.
    pub problem: String,
}

impl TlsError {
    fn new(path: &Path, problem: impl Into<String>) -> Self {
        Self { path: path.display().to_string(), problem: problem.into() }
    }

    fn pem(path: &Path, what: &str, error: &pem::Error) -> Self {
        match error {
            pem::Error::Io(error) => {
                let text = error.to_string();
                let problem = text.split(" (os error").next().unwrap_or(&text).to_lowercase();
                Self::new(path, format!("cannot be read: {problem}"))
            }
            pem::Error::NoItemsFound => Self::new(path, format!("holds no {what} in PEM form")),
            other => Self::new(path, format!("holds no {what} in PEM form: {other}")),
        }
    }
}

/// Certificates in use. New connections take those of the last successful [`Tls::reload`]; open ones keep theirs.
#[derive(Debug)]
pub struct Tls {
    files: TlsFiles,
    config: Mutex<Arc<ServerConfig>>,
}

impl Tls {
    /// Reads the files.
    pub fn load(files: TlsFiles) -> Result<Self, TlsError> {
        let config = Mutex::new(read(&files)?);
        Ok(Self { files, config })
    }

    /// Reads the files again. If that fails, the certificates in use stay in use.
    pub fn reload(&self) -> Result<(), TlsError> {
        let config = read(&self.files)?;
        *self.config.lock().unwrap_or_else(PoisonError::into_inner) = config;
        Ok(())
    }

    /// Whether peers must show a certificate.
    pub fn is_mutual(&self) -> bool {
        self.files.client_ca.is_some()
    }

    /// The handshake with the certificates of this moment.
    pub(super) fn acceptor(&self) -> TlsAcceptor {
        Arc::clone(&self.config.lock().unwrap_or_else(PoisonError::into_inner)).into()
    }
}

fn read(files: &TlsFiles) -> Result<Arc<ServerConfig>, TlsError> {
    let TlsFiles { certificate, key, client_ca } = files;
    let chain = certificates(certificate)?;
    let private =
        PrivateKeyDer::from_pem_file(key).map_err(|error| TlsError::pem(key, "private key", &error))?;
    let provider = Arc::new(ring::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| TlsError::new(certificate, error.to_string()))?;
    let builder = match client_ca {
        None => builder.with_no_client_auth(),
        Some(path) => {
            let mut roots = RootCertStore::empty();
            for authority in certificates(path)? {
                roots.add(authority).map_err(|error| TlsError::new(path, error.to_string()))?;
            }
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
                .build()
                .map_err(|error| TlsError::new(path, error.to_string()))?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    // The key is the one that may belong to another certificate.
    let mut config =
        builder.with_single_cert(chain, private).map_err(|error| TlsError::new(key, error.to_string()))?;
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(Arc::new(config))
}

/// All certificates of a file, at least one.
fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let refused = |error: pem::Error| TlsError::pem(path, "certificate", &error);
    let found = CertificateDer::pem_file_iter(path).map_err(refused)?;
    let found = found.collect::<Result<Vec<_>, _>>().map_err(refused)?;
    if found.is_empty() { Err(refused(pem::Error::NoItemsFound)) } else { Ok(found) }
}
