//! What may stand in an address that begins with `postgresql://`, and where its password is.

use std::env;
use std::fs;
use std::net::IpAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode, TargetSessionAttrs};

/// How addresses of this kind begin.
const SCHEMES: [&str; 2] = ["postgresql://", "postgres://"];
/// Where a server of this machine listens, on Debian and on most others.
const SOCKETS: &str = "/var/run/postgresql";
/// How long it may take to reach a server.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// Parameters that are given on as they are.
const PLAIN: [&str; 8] =
    ["host", "hostaddr", "port", "user", "password", "dbname", "target_session_attrs", "connect_timeout"];
/// Parameters that are ours.
const OURS: [&str; 3] = ["sslmode", "sslrootcert", "passfile"];

/// Whether the connection is encrypted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Encryption {
    /// It is not.
    Off,
    /// Whoever answers is believed to be the server.
    Unchecked,
    /// The server has a certificate for its name, of one of the authorities in the file, or of the system's.
    Checked { roots: Option<PathBuf> },
}

/// A database, and how it is reached.
#[derive(Clone)]
pub(super) struct Target {
    pub(super) config: Config,
    pub(super) encryption: Encryption,
    /// The address for people, without the password.
    pub(super) name: String,
}

impl std::fmt::Debug for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Target").field(&self.name).finish()
    }
}

/// Whether an address is of this kind.
pub(in crate::journal) fn is_ours(url: &str) -> bool {
    SCHEMES.iter().any(|scheme| url.starts_with(scheme))
}

/// An address without its password: for messages.
pub(in crate::journal) fn redacted(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let (place, parameters) = rest.split_once('?').map_or((rest, None), |(place, some)| (place, Some(some)));
    // A password may have an `@` that nobody has escaped.
    let place = match place.rsplit_once('@') {
        Some((who, place)) => {
            let user = who.split_once(':').map_or(who, |(user, _)| user);
            format!("{user}@{place}")
        }
        None => place.to_owned(),
    };
    let told = |parameters: &str| {
        let secret = |parameter: &&str| !parameter.to_ascii_lowercase().starts_with("password");
        parameters.split('&').filter(secret).collect::<Vec<_>>().join("&")
    };
    match parameters.map(told).filter(|told| !told.is_empty()) {
        Some(told) => format!("{scheme}://{place}?{told}"),
        None => format!("{scheme}://{place}"),
    }
}

impl Target {
    /// The database at an address, or what is wrong with the address, and what would be right.
    pub(super) fn parse(url: &str) -> Result<Self, String> {
        let (place, parameters) = url.split_once('?').unwrap_or((url, ""));
        let mut mode = None;
        let (mut roots, mut passfile) = (None, None);
        let mut plain = Vec::new();
        for parameter in parameters.split('&').filter(|parameter| !parameter.is_empty()) {
            let (key, value) = parameter
                .split_once('=')
                .ok_or("has a parameter without a value; write `name=value` behind the `?`")?;
            match key {
                "sslmode" => mode = Some(value),
                "sslrootcert" => roots = Some(PathBuf::from(decoded(value))),
                "passfile" => passfile = Some(PathBuf::from(decoded(value))),
                key if PLAIN.contains(&key) => plain.push(parameter),
                _ => {
                    let known = [&OURS[..], &PLAIN[..]].concat().join(", ");
                    return Err(format!("has a parameter `{key}`, which is not known; known are {known}"));
                }
            }
        }
        let plain = if plain.is_empty() { place.to_owned() } else { format!("{place}?{}", plain.join("&")) };
        let mut config: Config = plain.parse().map_err(|error| misread(&error))?;
        if config.get_ports().contains(&0) {
            return Err(wrong_value("port"));
        }
        if config.get_dbname().is_none() {
            return Err("names no database: write `postgresql://USER@HOST/DATABASE`".to_owned());
        }
        if config.get_hosts().is_empty() {
            match env::var("PGHOST").ok().filter(|host| !host.is_empty()) {
                Some(host) => config.host(host),
                None if Path::new(SOCKETS).is_dir() => config.host(SOCKETS),
                None => config.host("localhost"),
            };
        }
        if config.get_user().is_none()
            && let Ok(user) = env::var("PGUSER")
        {
            config.user(user);
        }
        if config.get_hosts().len() > 1 {
            // Of several servers one is the primary.
            config.target_session_attrs(TargetSessionAttrs::ReadWrite);
        }
        let encryption = encryption(mode, roots, &config)?;
        let ssl = if encryption == Encryption::Off { SslMode::Disable } else { SslMode::Require };
        let timeout = config.get_connect_timeout().copied().unwrap_or(CONNECT_TIMEOUT);
        config
            .ssl_mode(ssl)
            .connect_timeout(timeout)
            .keepalives_idle(Duration::from_secs(2))
            .keepalives_interval(Duration::from_secs(1))
            .keepalives_retries(3)
            .tcp_user_timeout(Duration::from_secs(5));
        if config.get_password().is_none() {
            find_password(&mut config, passfile)?;
        }
        let name = redacted(url);
        Ok(Self { config, encryption, name })
    }
}

/// What is wrong with an address that cannot be read. What the parser says may repeat the address, but where it names a parameter it does not.
fn misread(error: &tokio_postgres::Error) -> String {
    let cause = std::error::Error::source(error).map(ToString::to_string).unwrap_or_default();
    let parameter = cause.strip_prefix("invalid value for option `").and_then(|rest| rest.strip_suffix('`'));
    parameter.map_or_else(
        || "is not understood: write `postgresql://USER@HOST:PORT/DATABASE`".to_owned(),
        wrong_value,
    )
}

/// What would be right for a parameter that has a value which cannot be meant.
fn wrong_value(parameter: &str) -> String {
    let right = match parameter {
        "port" => "a number from 1 to 65535, as in `postgresql://USER@HOST:5432/DATABASE`",
        "hostaddr" => "an IP address",
        "connect_timeout" => "a number of seconds",
        "target_session_attrs" => "any, read-write or read-only",
        _ => "as in `postgresql://USER@HOST:PORT/DATABASE`",
    };
    format!("has a wrong `{parameter}`; it must be {right}")
}

/// The bytes that stand behind `%20` and the like.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let code = match tail {
            [high, low, ..] if *first == b'%' => {
                str::from_utf8(&[*high, *low]).ok().and_then(|code| u8::from_str_radix(code, 16).ok())
            }
            _ => None,
        };
        bytes.push(code.unwrap_or(*first));
        rest = if code.is_some() { &tail[2..] } else { tail };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Whether what is sent to a host stays on this machine.
fn is_local(host: &Host) -> bool {
    match host {
        Host::Unix(_) => true,
        Host::Tcp(name) => {
            name == "localhost" || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
        }
    }
}

fn encryption(mode: Option<&str>, roots: Option<PathBuf>, config: &Config) -> Result<Encryption, String> {
    let local = config.get_hosts().iter().all(is_local);
    let sockets = config.get_hosts().iter().any(|host| matches!(host, Host::Unix(_)));
    if sockets && matches!(mode, Some("require" | "verify-full")) {
        return Err(
            "asks for TLS on a socket of this machine, which has none; leave `sslmode` out".to_owned()
        );
    }
    match mode {
        Some("disable") if roots.is_some() => {
            Err("has `sslrootcert` beside `sslmode=disable`; write `sslmode=verify-full`".to_owned())
        }
        Some("disable") => Ok(Encryption::Off),
        None if local && roots.is_none() => Ok(Encryption::Off),
        // As others do: an authority that is named is asked.
        Some("require") if roots.is_none() => Ok(Encryption::Unchecked),
        None | Some("require" | "verify-full") => Ok(Encryption::Checked { roots }),
        Some(mode @ ("prefer" | "allow" | "verify-ca")) => Err(format!(
            "has `sslmode={mode}`, which does not keep an attacker out; write `sslmode=verify-full`, or `sslmode=require` or \
             `sslmode=disable` if that is meant"
        )),
        Some(_) => Err("has an unknown `sslmode`; known are disable, require and verify-full".to_owned()),
    }
}

/// Takes the password from where PostgreSQL's own programs take it.
fn find_password(config: &mut Config, passfile: Option<PathBuf>) -> Result<(), String> {
    if passfile.is_none()
        && let Ok(password) = env::var("PGPASSWORD")
    {
        config.password(password);
        return Ok(());
    }
    let asked = passfile.or_else(|| env::var_os("PGPASSFILE").map(PathBuf::from));
    let usual = || env::var_os("HOME").map(|home| PathBuf::from(home).join(".pgpass"));
    let Some(path) = asked.clone().or_else(usual) else { return Ok(()) };
    let file = match fs::metadata(&path) {
        Ok(file) => file,
        // Nobody has asked for it, or there is a server that needs none.
        Err(_) if asked.is_none() => return Ok(()),
        Err(error) => {
            return Err(format!("has a password file {} that cannot be read: {error}", path.display()));
        }
    };
    if file.permissions().mode() & 0o077 != 0 {
        return Err(format!(
            "has a password file {} that others may read; `chmod 600` it, or set PGPASSWORD",
            path.display()
        ));
    }
    let text = fs::read_to_string(&path)
        .map_err(|error| format!("has a password file {} that cannot be read: {error}", path.display()))?;
    if let Some(password) = text.lines().find_map(|line| password_of(line, config)) {
        config.password(password);
    }
    Ok(())
}

/// The password in a line `host:port:database:user:password`, if it is the one of a server.
fn password_of(line: &str, config: &Config) -> Option<String> {
    if line.starts_with('#') {
        return None;
    }
    let mut fields = vec![String::new()];
    let mut characters = line.chars();
    while let Some(character) = characters.next() {
        match character {
            ':' if fields.len() < 5 => fields.push(String::new()),
            '\\' => fields.last_mut()?.extend(characters.next()),
            other => fields.last_mut()?.push(other),
        }
    }
    let [host, port, database, user, password] = fields.try_into().ok()?;
    let is = |field: &str, value: &str| field == "*" || field == value;
    let hosts = config.get_hosts().iter().map(|host| match host {
        Host::Tcp(name) => name.clone(),
        Host::Unix(_) => "localhost".to_owned(),
    });
    let ports: Vec<u16> = config.get_ports().to_vec();
    let port_of = |place: usize| ports.get(place).or(ports.first()).copied().unwrap_or(5432);
    let fits =
        hosts.enumerate().any(|(place, name)| is(&host, &name) && is(&port, &port_of(place).to_string()));
    let fits =
        fits && is(&database, config.get_dbname()?) && config.get_user().is_none_or(|name| is(&user, name));
    fits.then_some(password)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(url: &str) -> String {
        Target::parse(url).expect_err(url)
    }

    #[test]
    fn nobody_reads_a_password_in_a_message() {
        for (url, told) in [
            ("postgresql://h/d", "postgresql://h/d"),
            ("postgresql://u:secret@h:5/d", "postgresql://u@h:5/d"),
            ("postgres://u:se@cr:et@h/d?sslmode=require", "postgres://u@h/d?sslmode=require"),
            ("postgresql:///d?host=/run&password=secret", "postgresql:///d?host=/run"),
            ("postgresql://h/d?PASSWORD=secret", "postgresql://h/d"),
            ("sqlite:x", "sqlite:x"),
        ] {
            assert_eq!(redacted(url), told);
        }
        let target = Target::parse("postgresql://u:secret@localhost/d").unwrap();
        assert_eq!(target.config.get_password(), Some(&b"secret"[..]));
        assert!(!format!("{target:?}").contains("secret"));
    }

    #[test]
    fn what_is_sent_to_another_machine_is_encrypted_unless_somebody_says_otherwise() {
        let of = |url: &str| Target::parse(url).map(|target| target.encryption);
        let checked = || Ok(Encryption::Checked { roots: None });
        assert_eq!(of("postgresql:///d?host=/run"), Ok(Encryption::Off));
        assert_eq!(of("postgresql://127.0.0.1/d"), Ok(Encryption::Off));
        assert_eq!(of("postgresql://localhost,db/d"), checked());
        assert_eq!(of("postgresql://db.example/d"), checked());
        assert_eq!(of("postgresql://localhost/d?sslmode=verify-full"), checked());
        assert_eq!(of("postgresql://db/d?sslmode=require"), Ok(Encryption::Unchecked));
        assert_eq!(of("postgresql://db/d?sslmode=disable"), Ok(Encryption::Off));
        let roots = Some(PathBuf::from("/a b.pem"));
        for url in [
            "postgresql://db/d?sslrootcert=/a%20b.pem",
            "postgresql://db/d?sslmode=require&sslrootcert=/a b.pem",
        ] {
            assert_eq!(of(url), Ok(Encryption::Checked { roots: roots.clone() }));
        }
    }

    #[test]
    fn what_cannot_be_meant_is_refused_with_what_would_be_right() {
        for (url, expected) in [
            ("postgresql://", "names no database"),
            ("postgresql://h/d?port", "write `name=value`"),
            (
                "postgresql://u:secret@[h/d",
                "has a wrong `host`; it must be as in `postgresql://USER@HOST:PORT",
            ),
            (
                "postgresql://u%ff:secret@h/d",
                "is not understood: write `postgresql://USER@HOST:PORT/DATABASE`",
            ),
            ("postgresql://u:secret@h:x/d", "has a wrong `port`; it must be a number from 1 to 65535"),
            ("postgresql://h:99999/d", "has a wrong `port`; it must be a number from 1 to 65535"),
            ("postgresql://h:0/d", "has a wrong `port`; it must be a number from 1 to 65535"),
            ("postgresql://h/d?port=-1", "has a wrong `port`"),
            ("postgresql://h/d?hostaddr=x", "has a wrong `hostaddr`; it must be an IP address"),
            (
                "postgresql://h/d?connect_timeout=x",
                "has a wrong `connect_timeout`; it must be a number of seconds",
            ),
            ("postgresql://h/d?target_session_attrs=x", "it must be any, read-write or read-only"),
            ("postgresql://h/d?sslmode=prefer", "write `sslmode=verify-full`"),
            ("postgresql://h/d?sslmode=on", "known are disable, require and verify-full"),
            ("postgresql:///d?host=/run&sslmode=require", "leave `sslmode` out"),
            ("postgresql://h/d?schema=x", "a parameter `schema`, which is not known; known are sslmode, "),
            ("postgresql://h/d?x", "write `name=value`"),
            ("postgresql://h/d?passfile=/nowhere", "/nowhere that cannot be read"),
        ] {
            let problem = problem(url);
            assert!(problem.contains(expected) && !problem.contains("secret"), "{url}: {problem}");
        }
    }

    #[test]
    fn a_password_file_is_read_by_its_rules() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pass");
        fs::write(&path, "# no\ndb:5432:other:u:a\ndb:*:d:u:b\\:c\\\\:d\n*:*:*:*:last\n").unwrap();
        let url = |host: &str| format!("postgresql://u@{host}/d?sslmode=disable&passfile={}", path.display());
        assert!(problem(&url("db")).contains("others may read"));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        let password = |host: &str| {
            let config = Target::parse(&url(host)).unwrap().config;
            String::from_utf8(config.get_password().unwrap().to_vec()).unwrap()
        };
        assert_eq!(password("db"), "b:c\\:d");
        assert_eq!(password("elsewhere:7"), "last");
    }
}
