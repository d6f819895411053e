//! TLS of workers and clients: whom they trust and what they show.

use std::path::{Path, PathBuf};

use clap::Args;
use hebbian_shared::limits::PEM_BYTES_MAX;
use hebbian_worker::session::{Coordinators, FILE_PREFIX, SessionError, endpoints};
use serde::Deserialize;
use tonic::transport::{Certificate, ClientTlsConfig, Endpoint, Identity};

use crate::configuration::DEFAULT_COORDINATOR;
use crate::failure::Failure;
use crate::files;

/// Certificates for addresses that begin with `https://`: flags of every client command, and section `worker.tls`.
#[derive(Clone, Debug, Default, Args, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct ClientTls {
    /// Trust coordinators with a certificate of this authority (PEM) [default: the system's authorities].
    #[arg(long = "tls-ca", value_name = "FILE", env = "HEBBIAN_TLS_CA", help_heading = "TLS")]
    pub(crate) ca: Option<PathBuf>,
    /// The certificate to show to the coordinator (PEM).
    #[arg(
        long = "tls-certificate",
        value_name = "FILE",
        env = "HEBBIAN_TLS_CERTIFICATE",
        help_heading = "TLS"
    )]
    pub(crate) certificate: Option<PathBuf>,
    /// The private key of the certificate (PEM).
    #[arg(long = "tls-key", value_name = "FILE", env = "HEBBIAN_TLS_KEY", help_heading = "TLS")]
    pub(crate) key: Option<PathBuf>,
}

impl ClientTls {
    /// The addresses that `field` names, as clients and workers take them. Certificates beside an address that does without
    /// would give a false sense of safety.
    pub(crate) fn endpoints(&self, field: &str, addresses: &[String]) -> Result<Vec<Endpoint>, Failure> {
        let refused = |error: SessionError| {
            let failure = Failure::bad_input(format_args!("{field}: {error}"));
            failure.hint(format_args!("write it as {DEFAULT_COORDINATOR}"))
        };
        let mut named = Vec::new();
        for address in addresses {
            match address.trim().strip_prefix(FILE_PREFIX) {
                Some(path) => named.extend(Coordinators::read(Path::new(path)).map_err(|error| {
                    let failure = Failure::unreachable(format_args!("{field}: {error}"));
                    failure.hint("a coordinator that is not there yet, or no more, has no such file")
                })?),
                None => named.push(address.clone()),
            }
        }
        let endpoints = endpoints(&named, &self.config()?).map_err(refused)?;
        let plain = endpoints.iter().map(Endpoint::uri).find(|uri| uri.scheme_str() != Some("https"));
        if let Some((plain, flag)) = plain.zip(self.first_flag()) {
            let plain = plain.to_string();
            let plain = plain.trim_end_matches('/');
            return Err(Failure::bad_input(format_args!(
                "{field}: {plain} is not encrypted, although {flag} is given"
            ))
            .hint("write https://, or leave the certificates out"));
        }
        Ok(endpoints)
    }

    /// The file that holds the addresses, if `field` names one in their place.
    pub(crate) fn file_of<'a>(field: &str, addresses: &'a [String]) -> Result<Option<&'a str>, Failure> {
        let file = addresses.iter().find_map(|address| address.trim().strip_prefix(FILE_PREFIX));
        match file {
            Some(path) if addresses.len() > 1 => Err(Failure::bad_input(format_args!(
                "{field}: {FILE_PREFIX}{path} cannot stand beside others"
            ))
            .hint("the file may hold several addresses, one a line")),
            file => Ok(file),
        }
    }

    /// The first of the flags that is given.
    pub(crate) fn first_flag(&self) -> Option<&'static str> {
        self.flags().find_map(|(path, flag)| path.map(|_| flag))
    }

    fn flags(&self) -> impl Iterator<Item = (Option<&Path>, &'static str)> {
        [(&self.ca, "--tls-ca"), (&self.certificate, "--tls-certificate"), (&self.key, "--tls-key")]
            .into_iter()
            .map(|(path, flag)| (path.as_deref(), flag))
    }

    /// The first of the flags that is given; variables are there for other commands.
    pub(crate) fn first_own_flag(&self) -> Option<&'static str> {
        self.flags().find_map(|(path, flag)| path.filter(|path| !is_variable(flag, path)).map(|_| flag))
    }

    /// Reads the files.
    pub(crate) fn config(&self) -> Result<ClientTlsConfig, Failure> {
        let (ca, certificate, key) = (self.ca.as_deref(), self.certificate.as_deref(), self.key.as_deref());
        let config = ClientTlsConfig::new();
        let config = match ca {
            Some(path) => {
                let pem = pem(path, "CERTIFICATE").map_err(|error| named(error, path, "--tls-ca"))?;
                config.ca_certificate(Certificate::from_pem(pem))
            }
            None => config.with_enabled_roots(),
        };
        match (certificate, key) {
            (None, None) => Ok(config),
            (Some(certificate), Some(key)) => {
                let shown = pem(certificate, "CERTIFICATE")
                    .map_err(|error| named(error, certificate, "--tls-certificate"))?;
                let secret = pem(key, "PRIVATE KEY").map_err(|error| named(error, key, "--tls-key"))?;
                Ok(config.identity(Identity::from_pem(shown, secret)))
            }
            (Some(_), None) => Err(Failure::bad_input("--tls-key: must be given with --tls-certificate")),
            (None, Some(_)) => Err(Failure::bad_input("--tls-certificate: must be given with --tls-key")),
        }
    }
}

/// The variable that stands for a flag.
fn variable(flag: &str) -> String {
    format!("HEBBIAN_{}", flag.trim_start_matches('-').replace('-', "_").to_uppercase())
}

/// Whether the variable that stands for a flag has this path.
pub(crate) fn is_variable(flag: &str, path: &Path) -> bool {
    std::env::var_os(variable(flag)).is_some_and(|value| *value == *path.as_os_str())
}

/// What is wrong with a file, and the variable that names it if no flag does.
fn named(failure: Failure, path: &Path, flag: &str) -> Failure {
    if is_variable(flag, path) { failure.of(&variable(flag)) } else { failure }
}

/// The text of a PEM file that holds a block of this kind.
fn pem(path: &Path, kind: &str) -> Result<String, Failure> {
    let text = files::read_text(path, PEM_BYTES_MAX)?;
    if text
        .lines()
        .any(|line| line.starts_with("-----BEGIN ") && line.trim_end().ends_with(&format!("{kind}-----")))
    {
        Ok(text)
    } else {
        let what = kind.to_lowercase();
        Err(Failure::bad_input(format_args!("{}: holds no {what} in PEM form", path.display())))
    }
}
