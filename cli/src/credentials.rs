//! What clients and workers show to a coordinator: certificates, and a token where it controls access.

use std::fs;
use std::path::{Path, PathBuf};

use clap::Args;
use hebbian_shared::limits::TOKEN_FILE_BYTES_MAX;
use hebbian_worker::session::{Bearer, Coordinators, Credentials, CredentialsSource};
use tonic::transport::Endpoint;

use crate::failure::Failure;
use crate::files;
use crate::tls::{ClientTls, is_variable};

/// Certificates and a token.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct ClientCredentials {
    #[command(flatten)]
    pub(crate) tls: ClientTls,
    #[command(flatten)]
    pub(crate) token: ClientToken,
}

/// A token. It is never an argument: whoever lists processes would read it.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct ClientToken {
    /// A file that holds a token, for coordinators that control access; `hebbian token create` makes one.
    #[arg(long = "token-file", value_name = "FILE", env = "HEBBIAN_TOKEN_FILE", help_heading = "Access")]
    pub(crate) file: Option<PathBuf>,
    /// Show the token also to another machine's address without TLS, where whoever is on the way can read it. A worker also shows its
    /// metrics to other machines.
    #[arg(long = "insecure", help_heading = "Access")]
    pub(crate) plaintext: bool,
}

impl ClientToken {
    /// The first of the flags that is given; a variable is there for other commands.
    fn first_own_flag(&self) -> Option<&'static str> {
        let file = self.file.as_deref().filter(|path| !is_variable("--token-file", path));
        file.map(|_| "--token-file").or_else(|| self.plaintext.then_some("--insecure"))
    }

    /// Reads the file.
    fn bearer(&self) -> Result<Bearer, Failure> {
        let Some(path) = &self.file else { return Ok(Bearer::default()) };
        let read = files::read_text(path, TOKEN_FILE_BYTES_MAX).and_then(|text| {
            Bearer::new(&text)
                .map_err(|problem| Failure::bad_input(format_args!("{}: {problem}", path.display())))
        });
        read.map_err(|failure| {
            if is_variable("--token-file", path) { failure.of("HEBBIAN_TOKEN_FILE") } else { failure }
        })
    }
}

impl ClientCredentials {
    /// Refuses flags where no connection is opened, which `place` says.
    pub(crate) fn check_unused(&self, place: &str) -> Result<(), Failure> {
        let Some(flag) = self.tls.first_own_flag().or_else(|| self.token.first_own_flag()) else {
            return Ok(());
        };
        let failure = Failure::bad_input(format_args!("{flag}: has no effect {place}"));
        Err(failure
            .hint(format_args!("name a coordinator by --coordinator https://HOST:PORT, or leave {flag} out")))
    }

    /// Reads files that will be read once more: a pipe has its text once, and whoever opens one waits for a writer, whatever the process is
    /// told meanwhile.
    fn read_again(&self) -> Result<Credentials, Failure> {
        let token = (self.token.file.as_deref(), "--token-file");
        for (path, flag) in self.tls.flags().chain([token]) {
            let Some(path) = path else { continue };
            if files::is_standard(path) || fs::metadata(path).is_ok_and(|found| !found.is_file()) {
                return Err(Failure::bad_input(format_args!(
                    "{flag}: {}: is no regular file",
                    path.display()
                ))
                .hint("a worker reads it before each connection; write it to a file"));
            }
        }
        self.read()
    }

    fn read(&self) -> Result<Credentials, Failure> {
        let (tls, bearer) = (self.tls.config()?, self.token.bearer()?);
        Ok(Credentials { tls, bearer, plaintext: self.token.plaintext })
    }

    /// The addresses that `field` names, and what is shown there.
    pub(crate) fn endpoints(
        &self,
        field: &str,
        addresses: &[String],
    ) -> Result<(Vec<Endpoint>, Bearer), Failure> {
        let credentials = self.read()?;
        let endpoints = self.tls.endpoints(field, addresses)?;
        for endpoint in &endpoints {
            credentials
                .check(endpoint.uri())
                .map_err(|problem| Failure::bad_input(format_args!("{field}: {problem}")))?;
        }
        Ok((endpoints, credentials.bearer))
    }

    /// Where a worker looks for its coordinator: at addresses, or at those in a file, which may change. Certificates and token are read
    /// again before each connection, so that whoever renews them need not restart the worker.
    pub(crate) fn coordinators(&self, field: &str, addresses: &[String]) -> Result<Coordinators, Failure> {
        let credentials = self.clone();
        // What is wrong at the start is told at once.
        self.read_again()?;
        let source = CredentialsSource::new(move || {
            credentials.read_again().map_err(|failure| failure.message().to_owned())
        })
        .with_certificate(self.tls.certificate.is_some());
        if let Some(path) = ClientTls::file_of(field, addresses)? {
            let tls_only = self.tls.first_flag().is_some();
            Ok(Coordinators::File { path: Path::new(path).to_owned(), source, tls_only })
        } else {
            self.endpoints(field, addresses)?;
            Ok(Coordinators::Addresses { addresses: addresses.to_vec(), source })
        }
    }
}
