//! `hebbian certs`

mod revoke;

use std::fs;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use hebbian_coordinator::access::Role;
use hebbian_shared::limits::{PEM_BYTES_MAX, TOKEN_NAME_MAX};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, SanType,
};
use rustls_pki_types::ServerName;

use super::LogArguments;
use crate::failure::Failure;
use crate::{files, render};

/// How long certificates are valid: what browsers accept at most, and long enough for a cluster.
const DAYS: u16 = 825;

/// Make certificates for TLS: an authority, a certificate for the coordinator and one for workers and clients.
///
/// They are for a cluster of your own: whoever has the files of the authority can let others in, so keep ca-key.pem
/// away from the machines. Where DIR holds an authority already, it signs the others. No certificate that is there is replaced without --renew.
#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "Example:
  hebbian certs --out certs --name coordinator.lan
  hebbian coordinator --listen 0.0.0.0:7420 --tls-certificate certs/coordinator.pem \\
      --tls-key certs/coordinator-key.pem --tls-client-ca certs/ca.pem
  hebbian worker --coordinator https://coordinator.lan:7420 --tls-ca certs/ca.pem \\
      --tls-certificate certs/client.pem --tls-key certs/client-key.pem
  hebbian certs --out certs --role worker                      worker.pem, which may only compute
  hebbian certs --out certs --role operator --as alice         alice.pem
  hebbian certs --out certs --role operator --as alice --renew another alice.pem; the old one is kept as alice.pem.1
  hebbian certs --out certs --name coordinator.lan --renew     the same of coordinator.pem and client.pem, before they expire
  hebbian certs revoke --out certs alice.pem                   nobody is let in by it any more, see --tls-revoked of the coordinator"
)]
pub(super) struct Arguments {
    #[command(subcommand)]
    what: Option<What>,
    /// Where to write ca.pem, ca-key.pem, coordinator.pem, coordinator-key.pem, client.pem and client-key.pem.
    #[arg(long, value_name = "DIR", default_value = "certs")]
    out: PathBuf,
    /// A name or address by which the coordinator is reached, besides `localhost`, `127.0.0.1` and `::1`; may be repeated.
    #[arg(long = "name", value_name = "HOST")]
    names: Vec<String>,
    /// Make one certificate more, of a role: worker, observer, operator or admin. Where there is an authority, only that one is made. It is
    /// ROLE.pem with ROLE-key.pem, or as --as says.
    #[arg(long, value_name = "ROLE")]
    role: Option<Role>,
    /// With --role: the name of the certificate and of its files.
    #[arg(long = "as", value_name = "NAME", requires = "role")]
    named: Option<String>,
    /// Replace certificates that are there, and their keys. The old certificates are kept beside them, as NAME.pem.1 and so on: they are valid
    /// until they end or are revoked.
    #[arg(long)]
    renew: bool,
}

/// What becomes of certificates that are there already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Present {
    /// They are not replaced.
    Refused,
    /// They are kept beside the new ones.
    Kept,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Revoke certificates of the authority in a directory: adds them to its list, revoked.pem.
    Revoke(revoke::Arguments),
}

pub(super) fn execute(arguments: &Arguments, log: &LogArguments) -> Result<(), Failure> {
    log.set_up()?;
    if let Some(What::Revoke(arguments)) = &arguments.what {
        return render::out(&revoke::revoke(arguments)?);
    }
    let present = if arguments.renew { Present::Kept } else { Present::Refused };
    let Some(role) = arguments.role else {
        return render::out(&make(&arguments.out, &arguments.names, present)?);
    };
    let name = arguments.named.as_deref().unwrap_or(role.name());
    // Before anything is written.
    check_name(name)?;
    check_present(&arguments.out, &[name], present)?;
    let mut wrote = String::new();
    if !arguments.out.join("ca.pem").exists() {
        wrote = make(&arguments.out, &arguments.names, present)?;
    } else if let Some(host) = arguments.names.first() {
        return Err(Failure::bad_input(format_args!(
            "--name {host}: is of the coordinator's certificate, and with --role only one of the role {role} is made"
        )));
    }
    wrote += &make_for(&arguments.out, role, name)?;
    render::out(&wrote)
}

/// Refuses what can be no name of a role's certificate and its files.
fn check_name(name: &str) -> Result<(), Failure> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.@".contains(c);
    // NAME-key.pem is the key of NAME.pem.
    let is_own = ["ca", "coordinator", "client", "revoked"].contains(&name) || name.ends_with("-key");
    if name.len() > TOKEN_NAME_MAX
        || !name.starts_with(|c: char| c.is_ascii_alphanumeric())
        || !name.chars().all(plain)
        || is_own
    {
        return Err(Failure::bad_input(format_args!(
            "--as: must have 1 to {TOKEN_NAME_MAX} of the characters a-z, A-Z, 0-9, `-`, `_`, `.` and `@`, begin with a letter or a digit, and \
             not be ca, coordinator, client or revoked, nor end with -key, not {name:?}"
        )));
    }
    Ok(())
}

/// Refuses to replace what is there: the certificate would stay valid, and who has its key could not be kept out without the file.
fn check_present(out: &Path, names: &[&str], present: Present) -> Result<(), Failure> {
    let mut files = names.iter().flat_map(|name| [format!("{name}.pem"), format!("{name}-key.pem")]);
    let Some(there) = files.find(|file| present == Present::Refused && is_there(&out.join(file))) else {
        return Ok(());
    };
    Err(Failure::bad_input(format_args!("{}: is there already", out.join(there).display())).hint(
        "--renew makes a new one, and keeps the old certificate beside it, which stays valid; if its key got lost, `hebbian certs revoke` \
         takes it back",
    ))
}

/// Whether a name is taken, if only by a link that leads nowhere.
fn is_there(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok()
}

/// Makes a certificate that names a role; what was done, for people.
fn make_for(out: &Path, role: Role, name: &str) -> Result<String, Failure> {
    let mut parameters = parameters(name, Vec::new(), ExtendedKeyUsagePurpose::ClientAuth)?;
    let uri = format!("{}{role}", Role::URI).try_into().map_err(|error| failed(&error))?;
    parameters.subject_alt_names.push(SanType::URI(uri));
    let (authority, _) = authority(out)?;
    let kept = issue(out, name, &parameters, &authority)?;
    Ok(format!(
        "wrote {name}.pem with its key to {}, of the role {role}{}\n",
        out.display(),
        told(&Vec::from_iter(kept))
    ))
}

/// Where certificates are that were replaced, for people.
fn told(kept: &[String]) -> String {
    let [first, ..] = kept else { return String::new() };
    let (is, them) = if kept.len() == 1 { ("is kept as", "it ends") } else { ("are kept as", "they end") };
    format!(
        "; what was there {is} {}, and valid until {them} or `hebbian certs revoke {first}`",
        kept.join(" and ")
    )
}

/// Makes the certificates; what was done, for people.
pub(super) fn make(out: &Path, names: &[String], present: Present) -> Result<String, Failure> {
    if let Some(wrong) = names.iter().find(|name| ServerName::try_from(name.as_str()).is_err()) {
        return Err(Failure::bad_input(format_args!("--name: `{wrong}` is not a host's name or address"))
            .hint("write it without scheme and port, for example --name coordinator.lan"));
    }
    if files::is_standard(out) {
        return Err(Failure::bad_input(
            "--out: must be a directory for six files, not standard output (`-`)",
        ));
    }
    check_present(out, &["coordinator", "client"], present)?;
    let mut all = vec!["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()];
    all.extend(names.iter().filter(|name| !all.contains(name)).cloned().collect::<Vec<_>>());
    // Before anything is written.
    let coordinator = parameters("hebbian coordinator", all.clone(), ExtendedKeyUsagePurpose::ServerAuth)?;
    let client = parameters("hebbian client", Vec::new(), ExtendedKeyUsagePurpose::ClientAuth)?;
    fs::create_dir_all(out).map_err(|error| Failure::writing(out, "--out: cannot be created", &error))?;
    let (authority, found) = authority(out)?;
    let kept =
        [issue(out, "coordinator", &coordinator, &authority)?, issue(out, "client", &client, &authority)?];
    let signer = if found { "the authority that was there" } else { "a new authority" };
    Ok(format!(
        "wrote coordinator.pem and client.pem with their keys to {}, signed by {signer}; the coordinator is {}{}\n",
        out.display(),
        all.join(", "),
        told(&kept.into_iter().flatten().collect::<Vec<_>>())
    ))
}

fn failed(error: &rcgen::Error) -> Failure {
    Failure::failed(format_args!("the certificates cannot be made: {error}"))
}

fn named(name: &str) -> DistinguishedName {
    let mut distinguished = DistinguishedName::new();
    distinguished.push(DnType::CommonName, name);
    distinguished
}

fn validity(parameters: &mut CertificateParams) {
    let now = jiff::Zoned::now().date();
    let date = |date: jiff::civil::Date| {
        rcgen::date_time_ymd(i32::from(date.year()), date.month() as u8, date.day() as u8)
    };
    // From yesterday on: clocks differ.
    parameters.not_before = date(now.saturating_sub(jiff::Span::new().days(1)));
    parameters.not_after = date(now.saturating_add(jiff::Span::new().days(DAYS)));
}

/// What a certificate says.
fn parameters(
    name: &str,
    hosts: Vec<String>,
    usage: ExtendedKeyUsagePurpose,
) -> Result<CertificateParams, Failure> {
    let mut parameters = CertificateParams::new(hosts).map_err(|error| failed(&error))?;
    parameters.distinguished_name = named(name);
    parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    parameters.extended_key_usages = vec![usage];
    parameters.use_authority_key_identifier_extension = true;
    validity(&mut parameters);
    Ok(parameters)
}

/// The authority in the directory and whether it was there before.
fn authority(directory: &Path) -> Result<(Issuer<'static, KeyPair>, bool), Failure> {
    let (certificate, key) = (directory.join("ca.pem"), directory.join("ca-key.pem"));
    match (certificate.exists(), key.exists()) {
        (true, true) => {
            let private = KeyPair::from_pem(&files::read_text(&key, PEM_BYTES_MAX)?).map_err(|error| {
                Failure::bad_input(format_args!("{}: holds no private key: {error}", key.display()))
            })?;
            let issuer = Issuer::from_ca_cert_pem(&files::read_text(&certificate, PEM_BYTES_MAX)?, private);
            let issuer = issuer.map_err(|error| {
                Failure::bad_input(format_args!("{}: holds no authority: {error}", certificate.display()))
            })?;
            Ok((issuer, true))
        }
        (false, false) => {
            let private = KeyPair::generate().map_err(|error| failed(&error))?;
            let mut parameters = CertificateParams::default();
            parameters.distinguished_name = named("hebbian authority");
            parameters.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
            parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
            validity(&mut parameters);
            let signed = parameters.self_signed(&private).map_err(|error| failed(&error))?;
            files::write_secret(&key, &private.serialize_pem())?;
            files::write(&certificate, signed.pem())?;
            Ok((Issuer::new(parameters, private), false))
        }
        (there, _) => {
            let (there, missing) = if there { (certificate, key) } else { (key, certificate) };
            Err(Failure::bad_input(format_args!(
                "{}: is missing beside {}; an authority is both",
                missing.display(),
                there.display()
            ))
            .hint("name another --out for a new authority"))
        }
    }
}

/// Writes a certificate and its new key; the name of the file that keeps the certificate which was there.
fn issue(
    directory: &Path,
    name: &str,
    parameters: &CertificateParams,
    authority: &Issuer<'static, KeyPair>,
) -> Result<Option<String>, Failure> {
    let key = KeyPair::generate().map_err(|error| failed(&error))?;
    let certificate = parameters.signed_by(&key, authority).map_err(|error| failed(&error))?;
    let path = directory.join(format!("{name}.pem"));
    // First of all: it cannot be revoked by name without its file.
    let kept = if path.exists() { Some(keep(&path, directory, name)?) } else { None };
    files::write_secret(&directory.join(format!("{name}-key.pem")), &key.serialize_pem())?;
    files::write(&path, certificate.pem())?;
    Ok(kept)
}

/// Copies a certificate to a name of its own beside it: the name.
fn keep(path: &Path, directory: &Path, name: &str) -> Result<String, Failure> {
    let content = files::read_bytes(path, PEM_BYTES_MAX)?;
    let mut number = 1_u32;
    let kept = loop {
        let kept = format!("{name}.pem.{number}");
        if !is_there(&directory.join(&kept)) {
            break kept;
        }
        number += 1;
    };
    files::write(&directory.join(&kept), content)?;
    Ok(kept)
}
