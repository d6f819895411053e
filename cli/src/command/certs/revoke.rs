//! `hebbian certs revoke`: the list of certificates that an authority has taken back (an X.509 CRL).

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::Args;
use hebbian_shared::limits::PEM_BYTES_MAX;
use rcgen::{CertificateRevocationListParams, KeyIdMethod, RevokedCertParams, SerialNumber};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, CertificateRevocationListDer};
use x509_parser::parse_x509_crl;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::{DAYS, authority, failed};
use crate::failure::Failure;
use crate::files;

/// The bytes of a serial number that authorities give (RFC 5280, section 4.1.2.2).
const SERIAL_BYTES_MAX: usize = 20;

/// Revoke certificates.
///
/// The coordinator reads the list with --tls-revoked, and again at SIGHUP: whoever shows one of these certificates is kept out from then
/// on, and connections that are open with it end. Nobody can take that back; make a new certificate.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  hebbian certs revoke alice.pem                            a file, or one of that name in --out
  hebbian certs revoke 5f3a9c21d0                           a serial number, as `openssl x509 -serial -in FILE` shows it")]
pub(super) struct Arguments {
    /// The authority's directory, with ca.pem and ca-key.pem; the list there is revoked.pem.
    #[arg(long, value_name = "DIR", default_value = "certs")]
    out: PathBuf,
    /// Certificates: files (PEM), or serial numbers in hexadecimal digits. Without any the list is made anew as it is; an empty one, if
    /// there is none.
    #[arg(value_name = "CERTIFICATE")]
    certificates: Vec<String>,
}

/// A certificate that was revoked: its serial number, and when, in seconds since 1970 UTC.
struct Revoked {
    serial: Vec<u8>,
    unix_s: u64,
}

/// Adds certificates to the list; what was done, for people.
pub(super) fn revoke(Arguments { out, certificates }: &Arguments) -> Result<String, Failure> {
    let own = out.join("ca.pem");
    if !own.exists() {
        return Err(Failure::bad_input(format_args!("--out: there is no authority in {}", out.display()))
            .hint("name the directory that `hebbian certs` has written, with ca.pem and ca-key.pem"));
    }
    let (issuer, _) = authority(out)?;
    let own = certificate(&own)?;
    let list = out.join("revoked.pem");
    let mut revoked = if list.exists() { read(&list, &own)? } else { Vec::new() };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let (mut added, mut known) = (0, 0);
    for named in certificates {
        let serial = serial(out, named, &own)?;
        if revoked.iter().any(|of| of.serial == serial) {
            known += 1;
        } else {
            revoked.push(Revoked { serial, unix_s: now });
            added += 1;
        }
    }
    let moment = |unix_s: u64| rcgen::date_time_ymd(1970, 1, 1) + Duration::from_secs(unix_s);
    let entries = revoked.iter().map(|of| RevokedCertParams {
        serial_number: SerialNumber::from_slice(&of.serial),
        revocation_time: moment(of.unix_s),
        reason_code: None,
        invalidity_date: None,
    });
    let parameters = CertificateRevocationListParams {
        this_update: moment(now),
        next_update: moment(now + u64::from(DAYS) * 86_400),
        // Each list has a higher one.
        crl_number: SerialNumber::from(now),
        issuing_distribution_point: None,
        revoked_certs: entries.collect(),
        key_identifier_method: KeyIdMethod::Sha256,
    };
    let signed = parameters.signed_by(&issuer).and_then(|signed| signed.pem());
    files::write(&list, signed.map_err(|error| failed(&error))?)?;
    let before = if known > 0 { format!(" ({known} were in it before)") } else { String::new() };
    Ok(format!(
        "{added} added to {}{before}, which has {}; give it to coordinators (--tls-revoked), and send them SIGHUP\n",
        list.display(),
        revoked.len()
    ))
}

/// The certificate in a file.
fn certificate(path: &Path) -> Result<CertificateDer<'static>, Failure> {
    let text = files::read_text(path, PEM_BYTES_MAX)?;
    CertificateDer::from_pem_slice(text.as_bytes())
        .map_err(|_| Failure::bad_input(format_args!("{}: holds no certificate in PEM form", path.display())))
}

fn parsed<'a>(path: &Path, certificate: &'a CertificateDer<'_>) -> Result<X509Certificate<'a>, Failure> {
    X509Certificate::from_der(certificate).map(|(_, parsed)| parsed).map_err(|error| {
        Failure::bad_input(format_args!(
            "{}: holds a certificate that cannot be read: {error}",
            path.display()
        ))
    })
}

/// The serial number that is meant.
fn serial(out: &Path, named: &str, own: &CertificateDer<'_>) -> Result<Vec<u8>, Failure> {
    let inside = out.join(named);
    let path = [Path::new(named), &inside].into_iter().find(|path| path.is_file());
    let Some(path) = path else {
        let digits: String = named.chars().filter(|digit| *digit != ':').collect();
        let digits = if digits.len() % 2 == 1 { format!("0{digits}") } else { digits };
        let bytes = digits.as_bytes().chunks(2).map(|pair| {
            let pair =
                str::from_utf8(pair).ok().filter(|pair| pair.bytes().all(|digit| digit.is_ascii_hexdigit()));
            pair.and_then(|pair| u8::from_str_radix(pair, 16).ok())
        });
        let bytes: Option<Vec<u8>> = bytes.collect();
        let bytes = bytes
            .map(|bytes| canonical(&bytes))
            .filter(|bytes| (1..=SERIAL_BYTES_MAX).contains(&bytes.len()));
        return bytes.ok_or_else(|| {
            Failure::bad_input(format_args!(
                "`{named}` is neither a file, nor one in {}, nor a serial number in hexadecimal digits",
                out.display()
            ))
        });
    };
    let shown = certificate(path)?;
    let (shown, own) = (parsed(path, &shown)?, parsed(Path::new("ca.pem"), own)?);
    if shown.issuer() != own.subject() || shown.verify_signature(Some(own.public_key())).is_err() {
        return Err(Failure::bad_input(format_args!(
            "{}: was not signed by the authority in {}, and only that one could revoke it",
            path.display(),
            out.display()
        )));
    }
    if shown.is_ca() {
        return Err(Failure::bad_input(format_args!("{}: is an authority itself", path.display()))
            .hint("without it nobody is let in; make a new authority in another --out"));
    }
    Ok(canonical(shown.raw_serial()))
}

/// A serial number without zeros before it.
fn canonical(bytes: &[u8]) -> Vec<u8> {
    bytes.iter().copied().skip_while(|byte| *byte == 0).collect()
}

/// What a list has already.
fn read(path: &Path, own: &CertificateDer<'_>) -> Result<Vec<Revoked>, Failure> {
    let refused = |problem: &str| Failure::bad_input(format_args!("{}: {problem}", path.display()));
    let text = files::read_text(path, PEM_BYTES_MAX)?;
    let list = CertificateRevocationListDer::from_pem_slice(text.as_bytes())
        .map_err(|_| refused("holds no list of revoked certificates (X509 CRL) in PEM form"))?;
    let (_, list) = parse_x509_crl(&list).map_err(|_| refused("holds a list that cannot be read"))?;
    let own = parsed(Path::new("ca.pem"), own)?;
    if list.issuer() != own.subject() || list.verify_signature(own.public_key()).is_err() {
        return Err(
            refused("was not signed by the authority beside it").hint("move it away to begin a new one")
        );
    }
    let entries = list.iter_revoked_certificates().map(|of| Revoked {
        serial: canonical(of.raw_serial()),
        unix_s: u64::try_from(of.revocation_date.timestamp()).unwrap_or(0),
    });
    Ok(entries.collect())
}
