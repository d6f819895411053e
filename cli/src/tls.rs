//! TLS of workers and clients: whom they trust and what they show.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use clap::Args;
use hebbian_coordinator::service::tls::check_identity;
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
            match &error {
                // Whoever writes https:// is not to leave it out.
                SessionError::Address { problem, .. } if problem.contains("no native certs") => failure.hint(
                    "this machine has no authorities of its own: name the coordinator's with --tls-ca FILE or HEBBIAN_TLS_CA",
                ),
                SessionError::Address { address, .. } if address.trim().starts_with("https://") => {
                    failure.hint("write it as https://HOST:PORT")
                }
                _ => failure.hint(format_args!("write it as {DEFAULT_COORDINATOR}")),
            }
        };
        let mut named = Vec::new();
        for address in addresses {
            match address.trim().strip_prefix(FILE_PREFIX) {
                Some(path) => named.extend(Coordinators::read(Path::new(path)).map_err(|error| {
                    let failure = Failure::unreachable(format_args!("{field}: {error}"));
                    if Path::new(path).exists() {
                        return failure.hint(format_args!("each of its lines is as {DEFAULT_COORDINATOR}"));
                    }
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

    pub(crate) fn flags(&self) -> impl Iterator<Item = (Option<&Path>, &'static str)> {
        [(&self.ca, "--tls-ca"), (&self.certificate, "--tls-certificate"), (&self.key, "--tls-key")]
            .into_iter()
            .map(|(path, flag)| (path.as_deref(), flag))
    }

    /// The first of the flags that is given; variables are there for other commands.
    pub(crate) fn first_own_flag(&self) -> Option<&'static str> {
        self.flags().find_map(|(path, flag)| path.filter(|path| !is_variable(flag, path)).map(|_| flag))
    }

    /// Reads the files. What is wrong with one is told by its flag, or by the variable in the flag's place.
    pub(crate) fn config(&self) -> Result<ClientTlsConfig, Failure> {
        self.config_named(named)
    }

    /// The same; `named` says which file it was.
    pub(crate) fn config_named(
        &self,
        named: impl Fn(Failure, &Path, &str) -> Failure,
    ) -> Result<ClientTlsConfig, Failure> {
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
                check_identity((certificate, &shown), (key, &secret), SystemTime::now()).map_err(|error| {
                    let is_key = error.path == key.display().to_string();
                    let (path, flag) =
                        if is_key { (key, "--tls-key") } else { (certificate, "--tls-certificate") };
                    let failure = named(Failure::bad_input(&error), path, flag);
                    match &error.problem {
                        problem if problem.starts_with("has expired") => failure.hint(
                            "the coordinator's authority must sign another one: `hebbian certs --renew`, where that was made",
                        ),
                        problem if problem.starts_with("is valid only from") => {
                            failure.hint("is the clock right, here and where it was made?")
                        }
                        _ => failure,
                    }
                })?;
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

/// What is wrong with a file, and the flag that names it, or the variable if no flag does.
fn named(failure: Failure, path: &Path, flag: &str) -> Failure {
    if is_variable(flag, path) { failure.of(&variable(flag)) } else { failure.of(flag) }
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Writes a certificate that is valid in these years and its key, as NAME.pem and NAME-key.pem.
    fn write(folder: &Path, name: &str, years: (i32, i32)) {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut parameters = rcgen::CertificateParams::default();
        parameters.not_before = rcgen::date_time_ymd(years.0, 1, 1);
        parameters.not_after = rcgen::date_time_ymd(years.1, 1, 1);
        let certificate = parameters.self_signed(&key).unwrap();
        std::fs::write(folder.join(format!("{name}.pem")), certificate.pem()).unwrap();
        std::fs::write(folder.join(format!("{name}-key.pem")), key.serialize_pem()).unwrap();
    }

    #[test]
    fn what_is_shown_is_judged_before_anybody_is_called() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        for (name, years) in
            [("ann", (2020, 2200)), ("bob", (2020, 2200)), ("old", (2000, 2001)), ("new", (2190, 2200))]
        {
            write(folder.path(), name, years);
        }
        let addresses = ["https://localhost:1".to_owned()];
        let check = |certificate: &str, key: &str, expected: Result<(), (&str, &str)>| {
            let tls = ClientTls {
                ca: Some(path("ann.pem")),
                certificate: Some(path(certificate)),
                key: Some(path(key)),
            };
            match (tls.endpoints("--coordinator", &addresses), expected) {
                (Ok(_), Ok(())) => {}
                (Err(failure), Err((message, hint))) => {
                    let message = message.replace("DIR", &folder.path().display().to_string());
                    assert!(failure.message().starts_with(&message), "{}", failure.message());
                    assert!(failure.advice().unwrap_or_default().contains(hint), "{:?}", failure.advice());
                    assert!(!failure.advice().unwrap_or_default().contains("http://"), "not to leave TLS");
                }
                (found, _) => panic!("{certificate}: {found:?}"),
            }
        };
        check("ann.pem", "ann-key.pem", Ok(()));
        let key = "--tls-key: DIR/bob-key.pem: does not belong to the certificate in DIR/ann.pem";
        check("ann.pem", "bob-key.pem", Err((key, "")));
        let old = "--tls-certificate: DIR/old.pem: has expired: it was valid until";
        check("old.pem", "old-key.pem", Err((old, "certs --renew")));
        let new = "--tls-certificate: DIR/new.pem: is valid only from";
        check("new.pem", "new-key.pem", Err((new, "is the clock right")));
        std::fs::write(path("torn.pem"), "-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n")
            .unwrap();
        check("torn.pem", "ann-key.pem", Err(("--tls-certificate: DIR/torn.pem: holds no certificate", "")));
    }

    #[test]
    fn nobody_who_writes_https_is_told_to_leave_it() {
        let refused = ClientTls::default().endpoints("--coordinator", &["https://login1".to_owned()]);
        let failure = refused.unwrap_err();
        assert!(failure.message().contains("it needs a port"), "{}", failure.message());
        assert_eq!(failure.advice(), Some("write it as https://HOST:PORT"));
    }
}
