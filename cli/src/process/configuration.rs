//! Configuration in layers: defaults < TOML file < environment < flags.
//!
//! It holds all that must not change a result (addresses, paths, leases, thread counts). Every layer is first read by
//! itself, so that an unknown key or a wrong value is reported with the file or the variable that it stands in.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io::Read as _;
use std::path::{Path, PathBuf};

use config::{Config, Environment, File, FileFormat, Value};
use hebbian_shared::limits::CONFIGURATION_BYTES_MAX;
use serde::de::DeserializeOwned;

/// What the names of all variables begin with; sections and keys follow, each after two underscores:
/// `HEBBIAN__SERVER__LISTEN`.
pub(crate) const ENVIRONMENT_PREFIX: &str = "HEBBIAN__";

/// Why a configuration was refused.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigurationError {
    /// The file cannot be read, is not TOML, has an unknown key or a wrong value.
    #[error("{}: {problem}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// A variable of the environment has an unknown key or a wrong value.
    #[error("environment variable {name}: {problem}")]
    Variable {
        /// The variable.
        name: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A flag has a wrong value, or the layers do not fit together.
    #[error("{0}")]
    Layers(String),
}

/// The layers above the defaults, lowest first.
#[derive(Debug, Default)]
pub(crate) struct Layers {
    file: Option<(PathBuf, String)>,
    variables: BTreeMap<String, String>,
    flags: Vec<(&'static str, Value)>,
}

impl Layers {
    /// No layers: the defaults.
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Adds the TOML file that the user named, if one was named.
    pub(crate) fn file(mut self, path: Option<&Path>) -> Result<Self, ConfigurationError> {
        let Some(path) = path else { return Ok(self) };
        let error = |problem: String| ConfigurationError::File { path: path.to_owned(), problem };
        let cannot_read = |io: std::io::Error| error(format!("cannot be read: {}", describe(&io)));
        // A device has no size, and no end.
        let mut text = String::new();
        let file = std::fs::File::open(path).map_err(cannot_read)?;
        file.take(CONFIGURATION_BYTES_MAX + 1).read_to_string(&mut text).map_err(cannot_read)?;
        if text.len() as u64 > CONFIGURATION_BYTES_MAX {
            return Err(error(format!(
                "has more than {CONFIGURATION_BYTES_MAX} bytes, which no configuration has"
            )));
        }
        self.file = Some((path.to_owned(), text));
        Ok(self)
    }

    /// Adds the variables whose names begin with [`ENVIRONMENT_PREFIX`]; in a process: `std::env::vars_os()`.
    pub(crate) fn environment(
        mut self,
        variables: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Result<Self, ConfigurationError> {
        for (name, value) in variables {
            let name = name.to_string_lossy().into_owned();
            if !name.starts_with(ENVIRONMENT_PREFIX) || is_blank(&value) {
                continue;
            }
            let Ok(value) = value.into_string() else {
                return Err(ConfigurationError::Variable { name, problem: "must be UTF-8".to_owned() });
            };
            self.variables.insert(name, value);
        }
        Ok(self)
    }

    /// Sets `key` (for example `server.listen`) if the flag was given.
    #[must_use]
    pub(crate) fn flag(mut self, key: &'static str, value: Option<impl Into<Value>>) -> Self {
        self.flags.extend(value.map(|value| (key, value.into())));
        self
    }

    /// The configuration: `T`'s defaults with all layers above them. `T` and its sections must be
    /// `#[serde(default, deny_unknown_fields)]`.
    pub(crate) fn load<T: DeserializeOwned>(self) -> Result<T, ConfigurationError> {
        let mut layers = Config::builder();
        if let Some((path, text)) = &self.file {
            if let Err(error) = hebbian_shared::spec::text::read_toml::<T>(text) {
                let problem = error.to_string();
                return Err(ConfigurationError::File { path: path.clone(), problem });
            }
            layers = layers.add_source(File::from_str(text, FileFormat::Toml));
        }
        for (name, value) in &self.variables {
            let source = Environment::with_prefix("HEBBIAN")
                .prefix_separator("__")
                .separator("__")
                .source(Some([(name.clone(), value.clone())].into_iter().collect()));
            let alone = Config::builder().add_source(source.clone()).build();
            if let Err(error) = alone.and_then(Config::try_deserialize::<T>) {
                let problem = plain(&error);
                return Err(ConfigurationError::Variable { name: name.clone(), problem });
            }
            layers = layers.add_source(source);
        }
        for (key, value) in self.flags {
            layers = layers
                .set_override(key, value)
                .map_err(|error| ConfigurationError::Layers(format!("{key}: {}", plain(&error))))?;
        }
        let merged = layers.build().and_then(Config::try_deserialize);
        merged.map_err(|error| ConfigurationError::Layers(plain(&error)))
    }
}

/// An error of the layers in one line.
fn plain(error: &config::ConfigError) -> String {
    error.to_string().replace('\n', " ")
}

/// An I/O error in words, without the operating system's number.
fn describe(error: &std::io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or(&text).to_lowercase()
}

/// Whether a variable of this value is none: scripts leave blank what they do not know.
pub(crate) fn is_blank(value: &OsStr) -> bool {
    value.to_str().is_some_and(|text| text.trim().is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Debug, Default, PartialEq, Deserialize)]
    #[serde(default, deny_unknown_fields)]
    struct Settings {
        server: Server,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(default, deny_unknown_fields)]
    struct Server {
        listen: String,
        port: u16,
        insecure: bool,
    }

    impl Default for Server {
        fn default() -> Self {
            Self { listen: "default".to_owned(), port: 1, insecure: false }
        }
    }

    fn load(
        file: Option<&str>,
        environment: &[(&str, &str)],
        flag: Option<&str>,
    ) -> Result<Settings, ConfigurationError> {
        let mut layers = Layers::new();
        layers.file = file.map(|text| (PathBuf::from("settings.toml"), text.to_owned()));
        let variables = environment.iter().map(|(name, value)| (OsString::from(name), OsString::from(value)));
        layers.environment(variables)?.flag("server.listen", flag).load()
    }

    fn check(file: Option<&str>, environment: &[(&str, &str)], expected: &[&str]) {
        let error = load(file, environment, None).expect_err("must be refused").to_string();
        assert!(!error.contains('\n'), "{error}");
        for part in expected {
            assert!(error.contains(part), "no `{part}` in: {error}");
        }
    }

    #[test]
    fn later_layers_win() {
        let file = Some("[server]\nlisten = \"file\"\nport = 2\n");
        let environment = [("HEBBIAN__SERVER__LISTEN", "environment"), ("HEBBIAN__SERVER__INSECURE", "true")];
        let listen = |settings: Settings| settings.server.listen;
        assert_eq!(load(None, &[], None).unwrap(), Settings::default());
        assert_eq!(
            load(file, &[], None).unwrap().server,
            Server { listen: "file".into(), port: 2, insecure: false }
        );
        let server = load(file, &environment, None).unwrap().server;
        assert_eq!(server, Server { listen: "environment".into(), port: 2, insecure: true });
        assert_eq!(listen(load(file, &environment, Some("flag")).unwrap()), "flag");
    }

    #[test]
    fn what_is_wrong_is_reported_with_where_it_stands() {
        check(
            Some("[server]\nlissten = \"x\"\n"),
            &[],
            &["settings.toml: line 2", "unknown field `lissten`"],
        );
        check(Some("[sever]\nlisten = \"x\"\n"), &[], &["settings.toml: line 1", "unknown field `sever`"]);
        check(Some("[server]\nport = 2.5\n"), &[], &["settings.toml: line 2", "2.5"]);
        check(Some("[server\n"), &[], &["settings.toml: line 1"]);
        check(None, &[("HEBBIAN__SERVER__LISSTEN", "x")], &["HEBBIAN__SERVER__LISSTEN", "lissten"]);
        check(None, &[("HEBBIAN__SERVER__PORT", "many")], &["HEBBIAN__SERVER__PORT", "many"]);
        check(None, &[("HEBBIAN__SERVER__PORT", "70000")], &["HEBBIAN__SERVER__PORT", "70000"]);
        check(None, &[("HEBBIAN__PORT", "1")], &["HEBBIAN__PORT", "port"]);
    }

    #[test]
    fn other_variables_are_left_alone() {
        let others =
            [("HEBBIAN_COORDINATOR", "http://127.0.0.1:1"), ("PATH", "/bin"), ("HEBBIAN__SERVER__PORT", " ")];
        assert_eq!(load(None, &others, None).unwrap(), Settings::default());
    }

    #[test]
    fn a_missing_file_is_named() {
        let error = Layers::new().file(Some(Path::new("no/such.toml"))).unwrap_err().to_string();
        assert_eq!(error, "no/such.toml: cannot be read: no such file or directory");
    }
}
