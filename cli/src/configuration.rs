//! The configuration of the long-running processes: all that must not change a result.
//!
//! Layers: the defaults below < a TOML file (`--config`) < environment `HEBBIAN__SECTION__KEY` < flags. One file may
//! serve coordinator and workers: each reads its own sections and checks all of them.

use std::path::{Path, PathBuf};

use crate::process::configuration::{ConfigurationError, Layers};
use crate::process::logging::LogSettings;
use serde::Deserialize;

use crate::failure::Failure;
use crate::tls::ClientTls;
use crate::web::{DEFAULT_ADDRESS, OFF};

/// The port that a coordinator listens on unless it is told otherwise.
pub(crate) const DEFAULT_PORT: u16 = 7420;

/// Where clients and workers look for a coordinator unless they are told otherwise.
pub(crate) const DEFAULT_COORDINATOR: &str = "http://127.0.0.1:7420";

/// All sections.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Configuration {
    /// Log lines of every process.
    pub(crate) log: LogSettings,
    /// How the coordinator is reached.
    pub(crate) server: ServerSettings,
    /// Who may do what.
    pub(crate) access: AccessSection,
    /// Where the coordinator keeps its journal.
    pub(crate) storage: StorageSettings,
    /// What the coordinator keeps for how long.
    pub(crate) retention: RetentionSettings,
    pub(crate) cluster: ClusterSettings,
    /// Copies of the coordinator's journal.
    pub(crate) backup: BackupSettings,
    /// Where traces of coordinator and worker go.
    pub(crate) traces: TracesSettings,
    /// The worker.
    pub(crate) worker: WorkerSettings,
}

/// Section `server`.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct ServerSettings {
    /// Address and port to listen on; port 0 takes a free one.
    pub(crate) listen: String,
    /// Whether to listen on other addresses than loopback without TLS.
    pub(crate) insecure: bool,
    /// Address and port of the live page and the metrics; `off` for none.
    pub(crate) web: String,
    /// A file that receives the address, once it is listened on.
    pub(crate) address_file: Option<PathBuf>,
    /// Certificates; without them there is no TLS.
    pub(crate) tls: ServerTlsSettings,
}

/// Section `server.tls`: PEM files.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct ServerTlsSettings {
    /// The coordinator's certificate and those between it and its authority.
    pub(crate) certificate: Option<PathBuf>,
    /// Its private key.
    pub(crate) key: Option<PathBuf>,
    /// Authorities; with them only peers that show a certificate of theirs are let in.
    pub(crate) client_ca: Option<PathBuf>,
    /// Lists of certificates of those authorities that were revoked.
    pub(crate) revoked: Option<PathBuf>,
}

impl Default for ServerSettings {
    fn default() -> Self {
        Self {
            listen: format!("127.0.0.1:{DEFAULT_PORT}"),
            insecure: false,
            web: DEFAULT_ADDRESS.to_owned(),
            address_file: None,
            tls: ServerTlsSettings::default(),
        }
    }
}

/// Section `access`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct AccessSection {
    /// Whether nobody is let in without a token or a certificate that names a role, although there is no token yet.
    pub(crate) required: bool,
    /// The file that keeps tokens; beside the journal if absent.
    pub(crate) tokens: Option<PathBuf>,
}

/// Section `storage`.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct StorageSettings {
    /// `sqlite:PATH`, `postgresql://USER@HOST/DATABASE`, or `memory:` for a coordinator that forgets.
    pub(crate) url: String,
    /// Whether to wait until the journal's leader is gone.
    pub(crate) standby: bool,
    /// The directory of data sets that workers may fetch; `hebbian/data` below `XDG_DATA_HOME` or `~/.local/share` if
    /// absent.
    pub(crate) data: Option<PathBuf>,
}

impl Default for StorageSettings {
    fn default() -> Self {
        Self { url: "sqlite:hebbian.sqlite".to_owned(), standby: false, data: None }
    }
}

/// Section `retention`.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct RetentionSettings {
    /// Days for which runs are kept after their end; 0 for ever.
    pub(crate) keep_days: u32,
    /// The most runs that are kept after their end, those that ended last; 0 for all.
    pub(crate) keep_runs: u32,
    /// Generations from one snapshot that is kept to the next, beside a run's last two; 0 for none.
    pub(crate) snapshots_every: u32,
    /// Whether the clock is right although it is far from the moment at which the journal was last written.
    pub(crate) clock_confirmed: bool,
}

impl Default for RetentionSettings {
    fn default() -> Self {
        Self { keep_days: 0, keep_runs: 0, snapshots_every: 100, clock_confirmed: false }
    }
}

/// Section `backup`.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct BackupSettings {
    /// Where copies go; none without it.
    pub(crate) directory: Option<PathBuf>,
    /// Or the bucket where they go: `s3://BUCKET/PREFIX`.
    pub(crate) url: Option<String>,
    /// From one copy to the next, for example `1h`.
    pub(crate) every: String,
    /// The most copies that are kept, the newest ones; 0 for all.
    pub(crate) keep: u32,
}

impl Default for BackupSettings {
    fn default() -> Self {
        Self { directory: None, url: None, every: "1h".to_owned(), keep: 24 }
    }
}

/// Section `traces`.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct TracesSettings {
    /// A collector of OpenTelemetry, for example `http://127.0.0.1:4317`; `off` for none. Absent: what the variables of OpenTelemetry say.
    pub(crate) endpoint: Option<String>,
    /// The least time from one traced generation of a run to its next one, for example `1s`.
    pub(crate) every: String,
}

impl Default for TracesSettings {
    fn default() -> Self {
        Self { endpoint: None, every: humantime::format_duration(hebbian_trace::EVERY).to_string() }
    }
}

/// Section `cluster`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct ClusterSettings {
    /// The share of episodes that a second worker computes, too, from 0 to 1.
    pub(crate) recheck: f64,
}

/// Section `worker`.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct WorkerSettings {
    /// Addresses of coordinators, tried in turn: a list, or one text with commas.
    #[serde(deserialize_with = "list_or_commas")]
    pub(crate) coordinators: Vec<String>,
    /// Compute threads; all cores if absent. With `exec` the number of its processes.
    pub(crate) threads: Option<u32>,
    /// A command of the shell that evaluates external problems, in place of training networks.
    pub(crate) exec: Option<String>,
    /// The external problems that it evaluates, a list or one text with commas; all if there are none.
    #[serde(deserialize_with = "list_or_commas")]
    pub(crate) serves: Vec<String>,
    /// How long SIGTERM lets it finish what it has begun, for example `10s`.
    pub(crate) grace: String,
    /// How long it does without a coordinator before it ends, for example `5min`; for ever if absent.
    pub(crate) patience: Option<String>,
    /// A name for people; the host's name if absent.
    pub(crate) name: Option<String>,
    /// The directory of data sets; `hebbian/data` below `XDG_DATA_HOME` or `~/.local/share` if absent.
    pub(crate) data: Option<PathBuf>,
    /// Where `/metrics` is served; `off` for nowhere.
    pub(crate) metrics: String,
    /// Certificates, for addresses that begin with `https://`.
    pub(crate) tls: ClientTls,
    /// A file that holds a token, for coordinators that control access.
    pub(crate) token_file: Option<PathBuf>,
    /// Whether the token is shown to other machines' addresses without TLS, and the metrics to other machines.
    pub(crate) insecure: bool,
}

impl Default for WorkerSettings {
    fn default() -> Self {
        Self {
            coordinators: vec![DEFAULT_COORDINATOR.to_owned()],
            threads: None,
            exec: None,
            serves: Vec::new(),
            grace: "10s".to_owned(),
            patience: None,
            name: None,
            data: None,
            metrics: OFF.to_owned(),
            tls: ClientTls::default(),
            token_file: None,
            insecure: false,
        }
    }
}

/// Environment and flags have only text, where a file has lists.
fn list_or_commas<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "expected a list of texts, or one text with commas")]
    enum Written {
        List(Vec<String>),
        Commas(String),
    }
    let texts = match Written::deserialize(deserializer)? {
        Written::List(texts) => texts,
        Written::Commas(text) => text.split(',').map(|part| part.trim().to_owned()).collect(),
    };
    Ok(texts.into_iter().filter(|text| !text.is_empty()).collect())
}

impl Configuration {
    /// Reads the file and the environment, then what `flags` sets above them.
    pub(crate) fn load(file: Option<&Path>, flags: impl FnOnce(Layers) -> Layers) -> Result<Self, Failure> {
        let refused = |error: ConfigurationError| Failure::bad_input(error);
        let layers = Layers::new().file(file).map_err(refused)?;
        let layers = layers.environment(std::env::vars_os()).map_err(refused)?;
        flags(layers).load().map_err(refused)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn coordinators(value: &str) -> Vec<String> {
        let environment = [("HEBBIAN__WORKER__COORDINATORS".into(), value.into())];
        let layers = Layers::new().environment(environment).unwrap();
        layers.load::<Configuration>().unwrap().worker.coordinators
    }

    #[test]
    fn the_shipped_files_and_the_defaults_are_valid() {
        for file in ["coordinator.toml", "worker.toml"] {
            let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/config").join(file);
            let layers = Layers::new().file(Some(&path)).unwrap();
            let shipped = layers.load::<Configuration>().unwrap();
            // The files show the defaults, so that a reader can trust both.
            assert_eq!(format!("{shipped:?}"), format!("{:?}", Configuration::default()), "{file}");
        }
        assert_eq!(
            Configuration::default().worker.coordinators,
            [format!("http://127.0.0.1:{DEFAULT_PORT}")]
        );
    }

    /// See `tests/tests/fuzz.rs`.
    #[test]
    fn bytes_that_nobody_wrote_are_read_or_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("hebbian.toml");
        let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/config/coordinator.toml");
        let corpus = [std::fs::read(shipped).unwrap(), b"[worker]\nthreads = 3\nname = \"a\"\n".to_vec()];
        hebbian_tests::fuzz::fuzz("configuration", &corpus, |bytes| {
            std::fs::write(&path, bytes).unwrap();
            let layers = Layers::new().file(Some(&path));
            layers.and_then(Layers::load::<Configuration>).is_ok()
        });
    }

    #[test]
    fn coordinators_may_be_written_with_commas() {
        assert_eq!(coordinators("http://a:1"), ["http://a:1"]);
        assert_eq!(coordinators("http://a:1, http://b:2,"), ["http://a:1", "http://b:2"]);
    }
}
