//! TLS of the coordinator's port: a certificate, and with a client authority only peers that have one too.

use std::collections::BTreeSet;
use std::io::Read as _;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hebbian_shared::limits::PEM_BYTES_MAX;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer, pem};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::sign::{CertifiedKey, SingleCertAndKey};
use tokio_rustls::rustls::{Error, InconsistentKeys, RootCertStore, ServerConfig};
use tokio_util::sync::CancellationToken;
use x509_parser::extensions::{GeneralName, ParsedExtension};

use crate::regular_file;

use crate::access::Role;

/// For so long before its end a certificate is warned of.
const CERTIFICATE_WARNING: Duration = Duration::from_secs(14 * 86_400);

/// Where a coordinator's certificates are: PEM files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// The coordinator's certificate, followed by those between it and its authority.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
    /// Authorities whose certificates let a peer in (mutual TLS); none lets everybody in.
    pub client_ca: Option<PathBuf>,
    /// Lists of those authorities' certificates that were revoked (X.509 CRLs): whoever shows one of them is not let in.
    pub revoked: Option<PathBuf>,
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

/// Certificates in use. New connections take those of the last successful [`Tls::reload`]; open ones keep theirs, unless the peer's has been
/// revoked.
#[derive(Debug)]
pub struct Tls {
    files: TlsFiles,
    used: Mutex<Used>,
    /// Connections whose peers have shown certificates. Some may have ended.
    pub(super) open: Mutex<Vec<(Vec<Named>, Weak<CancellationToken>)>>,
}

/// What tells a certificate from all others: its issuer's name and its serial number, as they are encoded.
pub(super) type Named = (Vec<u8>, Vec<u8>);

/// A connection whose peer has shown a certificate: cancelled when that is revoked. To be held until its end.
pub(super) type Shown = Arc<CancellationToken>;

/// What new connections get.
#[derive(Clone, Debug)]
struct Used {
    config: Arc<ServerConfig>,
    /// What the coordinator's certificate says.
    certificate: Facts,
    /// The authority above the coordinator's certificate and those that follow it in its file.
    authority: Vec<u8>,
    /// When the first of all certificates ends.
    first_end: (SystemTime, PathBuf),
    /// Certificates of peers that were revoked.
    revoked: Arc<BTreeSet<Named>>,
}

impl Tls {
    /// Reads the files.
    pub fn load(files: TlsFiles) -> Result<Self, TlsError> {
        let used = Mutex::new(read(&files, SystemTime::now())?);
        Ok(Self { files, used, open: Mutex::default() })
    }

    /// Reads the files again. If that fails, the certificates in use stay in use. It also fails where the new certificate would
    /// keep out those whom the present one lets in: where it lacks a name of it, or where another authority signed it.
    pub fn reload(&self) -> Result<(), TlsError> {
        let new = read(&self.files, SystemTime::now())?;
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(lost) = used.certificate.names.difference(&new.certificate.names).next() {
            let problem = format!(
                "lacks the name `{lost}` of the certificate in use; restart the coordinator to drop that name"
            );
            return Err(TlsError::new(&self.files.certificate, problem));
        }
        if used.authority != new.authority {
            let problem = "is signed by another authority than the certificate in use, which workers and clients may not trust; \
                           restart the coordinator to change the authority";
            return Err(TlsError::new(&self.files.certificate, problem));
        }
        let revoked = Arc::clone(&new.revoked);
        *used = new;
        // Still under the lock: whoever is shown after it is compared with the new list.
        for (named, open) in self.open.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            if let Some(open) = open.upgrade().filter(|_| named.iter().any(|named| revoked.contains(named))) {
                open.cancel();
            }
        }
        Ok(())
    }

    /// Follows a connection whose peer has shown a certificate with those between it and its authority.
    pub(super) fn shown(&self, chain: &[CertificateDer<'_>]) -> Shown {
        let named: Vec<Named> = chain.iter().filter_map(named).collect();
        let shown = Shown::default();
        let used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        // The list may have been read between the handshake and now.
        if named.iter().any(|named| used.revoked.contains(named)) {
            shown.cancel();
        }
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        // What has ended is forgotten whenever there are twice as many.
        if open.len() == open.capacity() {
            open.retain(|(_, open)| open.strong_count() > 0);
            let live = open.len();
            open.reserve(live.max(16));
        }
        open.push((named, Arc::downgrade(&shown)));
        shown
    }

    /// How many certificates are revoked.
    pub fn revoked(&self) -> usize {
        self.used.lock().unwrap_or_else(PoisonError::into_inner).revoked.len()
    }

    /// The certificate that ends first, if that is soon: its file, and in how many days.
    pub fn ends_soon(&self) -> Option<(PathBuf, u64)> {
        let (end, path) = self.used.lock().unwrap_or_else(PoisonError::into_inner).first_end.clone();
        let left = end.duration_since(SystemTime::now()).unwrap_or_default();
        (left < CERTIFICATE_WARNING).then_some((path, left.as_secs() / 86_400))
    }

    /// When the certificate that ends first does.
    pub(crate) fn first_end(&self) -> SystemTime {
        self.used.lock().unwrap_or_else(PoisonError::into_inner).first_end.0
    }

    /// Whether peers must show a certificate.
    pub fn is_mutual(&self) -> bool {
        self.files.client_ca.is_some()
    }

    /// The handshake with the certificates of this moment.
    pub(super) fn acceptor(&self) -> TlsAcceptor {
        Arc::clone(&self.used.lock().unwrap_or_else(PoisonError::into_inner).config).into()
    }
}

fn named(certificate: &CertificateDer<'_>) -> Option<Named> {
    let (_, certificate) = x509_parser::parse_x509_certificate(certificate).ok()?;
    Some((certificate.issuer().as_raw().to_vec(), certificate.raw_serial().to_vec()))
}

/// What a certificate says.
#[derive(Clone, Debug)]
struct Facts {
    /// Names and addresses that it is for.
    names: BTreeSet<String>,
    end: SystemTime,
}

/// What tells the key that signed a certificate from others: its identifier; where the certificate does not say it, the name of its owner,
/// and its own key where it signed itself.
fn authority(path: &Path, certificate: &CertificateDer<'_>) -> Result<Vec<u8>, TlsError> {
    let (_, certificate) = x509_parser::parse_x509_certificate(certificate)
        .map_err(|error| TlsError::new(path, format!("holds a certificate that cannot be read: {error}")))?;
    let identifier = certificate.iter_extensions().find_map(|extension| match extension.parsed_extension() {
        ParsedExtension::AuthorityKeyIdentifier(authority) => authority.key_identifier.as_ref(),
        _ => None,
    });
    Ok(match identifier {
        Some(identifier) => identifier.0.to_vec(),
        None if certificate.issuer() == certificate.subject() => certificate.public_key().raw.to_vec(),
        None => certificate.issuer().as_raw().to_vec(),
    })
}

/// Judges a certificate and its key, which somebody else shows, as a coordinator judges its own: texts in PEM form and the files that hold
/// them. The key must belong to the certificate, and that must be valid at this moment.
pub fn check_identity(
    (certificate, chain): (&Path, &str),
    (key, private): (&Path, &str),
    now: SystemTime,
) -> Result<(), TlsError> {
    let chain = parsed_certificates(certificate, chain.as_bytes())?;
    facts(certificate, &chain[0], now)?;
    identity((certificate, chain), (key, private.as_bytes())).map(drop)
}

/// A certificate, with those between it and its authority, and the key that must belong to it.
fn identity(
    (certificate, chain): (&Path, Vec<CertificateDer<'static>>),
    (key, private): (&Path, &[u8]),
) -> Result<CertifiedKey, TlsError> {
    let private =
        PrivateKeyDer::from_pem_slice(private).map_err(|error| TlsError::pem(key, "private key", &error))?;
    CertifiedKey::from_der(chain, private, &ring::default_provider()).map_err(|error| match error {
        Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
            TlsError::new(key, format!("does not belong to the certificate in {}", certificate.display()))
        }
        other => TlsError::new(key, other.to_string()),
    })
}

/// Reads what a certificate of a file says, and refuses one that is not valid at this moment.
fn facts(path: &Path, certificate: &CertificateDer<'_>, now: SystemTime) -> Result<Facts, TlsError> {
    let refused = |problem: String| TlsError::new(path, problem);
    let (_, certificate) = x509_parser::parse_x509_certificate(certificate)
        .map_err(|error| refused(format!("holds a certificate that cannot be read: {error}")))?;
    let moment = |time: x509_parser::time::ASN1Time| {
        UNIX_EPOCH + Duration::from_secs(u64::try_from(time.timestamp()).unwrap_or(0))
    };
    let validity = certificate.validity();
    let (start, end) = (moment(validity.not_before), moment(validity.not_after));
    if now < start {
        return Err(refused(format!("is valid only from {} on", validity.not_before)));
    }
    if now >= end {
        return Err(refused(format!("has expired: it was valid until {}", validity.not_after)));
    }
    let alternative = certificate.subject_alternative_name().ok().flatten();
    let general = alternative.iter().flat_map(|names| &names.value.general_names);
    let names = general.map(|name| match name {
        GeneralName::DNSName(name) => name.to_ascii_lowercase(),
        GeneralName::IPAddress(bytes) => match **bytes {
            [a, b, c, d] => Ipv4Addr::new(a, b, c, d).to_string(),
            _ => <[u8; 16]>::try_from(*bytes)
                .map_or_else(|_| name.to_string(), |bytes| Ipv6Addr::from(bytes).to_string()),
        },
        other => other.to_string(),
    });
    Ok(Facts { names: names.collect(), end })
}

fn read(files: &TlsFiles, now: SystemTime) -> Result<Used, TlsError> {
    let TlsFiles { certificate, key, client_ca, revoked } = files;
    let chain = certificates(certificate)?;
    let own = facts(certificate, &chain[0], now)?;
    let authority = authority(certificate, &chain[chain.len() - 1])?;
    let mut first_end = (own.end, certificate.clone());
    let shown = identity((certificate, chain), (key, &bytes(key)?))?;
    let provider = Arc::new(ring::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| TlsError::new(certificate, error.to_string()))?;
    let mut listed = BTreeSet::new();
    let builder = match client_ca {
        None => builder.with_no_client_auth(),
        Some(path) => {
            let mut roots = RootCertStore::empty();
            let authorities = certificates(path)?;
            for authority in &authorities {
                let end = facts(path, authority, now)?.end;
                if end < first_end.0 {
                    first_end = (end, path.clone());
                }
                roots.add(authority.clone()).map_err(|error| TlsError::new(path, error.to_string()))?;
            }
            let lists = match revoked {
                Some(path) => lists(path, &authorities, &mut listed)?,
                None => Vec::new(),
            };
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
                .with_crls(lists)
                // One of the authorities may have a list, and others not.
                .allow_unknown_revocation_status()
                .build()
                .map_err(|error| TlsError::new(revoked.as_ref().unwrap_or(path), error.to_string()))?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    let mut config = builder.with_cert_resolver(Arc::new(SingleCertAndKey::from(shown)));
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(Used { config: Arc::new(config), certificate: own, authority, first_end, revoked: Arc::new(listed) })
}

/// Reads lists of revoked certificates. A list that none of the authorities has signed would have no effect.
fn lists(
    path: &Path,
    authorities: &[CertificateDer<'_>],
    listed: &mut BTreeSet<Named>,
) -> Result<Vec<CertificateRevocationListDer<'static>>, TlsError> {
    let refused = |error: pem::Error| TlsError::pem(path, "list of revoked certificates (X509 CRL)", &error);
    let bytes = bytes(path)?;
    let found = CertificateRevocationListDer::pem_slice_iter(&bytes);
    let found = found.collect::<Result<Vec<_>, _>>().map_err(refused)?;
    if found.is_empty() {
        return Err(refused(pem::Error::NoItemsFound));
    }
    for list in &found {
        let (_, list) = x509_parser::parse_x509_crl(list)
            .map_err(|error| TlsError::new(path, format!("holds a list that cannot be read: {error}")))?;
        let has_signed = |authority: &CertificateDer<'_>| {
            x509_parser::parse_x509_certificate(authority).is_ok_and(|(_, authority)| {
                authority.subject() == list.issuer() && list.verify_signature(authority.public_key()).is_ok()
            })
        };
        if !authorities.iter().any(has_signed) {
            let problem =
                format!("holds a list of `{}` that no authority of the peers has signed", list.issuer());
            return Err(TlsError::new(path, problem));
        }
        let issuer = list.issuer().as_raw();
        let named = list.iter_revoked_certificates().map(|of| (issuer.to_vec(), of.raw_serial().to_vec()));
        listed.extend(named);
    }
    Ok(found)
}

/// The content of a PEM file, without a mark of the order of its bytes.
fn bytes(path: &Path) -> Result<Vec<u8>, TlsError> {
    let mut bytes = Vec::new();
    regular_file::open(path)
        .and_then(|file| file.take(PEM_BYTES_MAX + 1).read_to_end(&mut bytes))
        .map_err(|error| TlsError::pem(path, "text", &pem::Error::Io(error)))?;
    if bytes.len() as u64 > PEM_BYTES_MAX {
        return Err(TlsError::new(path, format!("is larger than the limit of {PEM_BYTES_MAX} bytes")));
    }
    Ok(bytes.strip_prefix(b"\xef\xbb\xbf").map_or(bytes.clone(), <[u8]>::to_vec))
}

/// All certificates of a file, at least one.
fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    parsed_certificates(path, &bytes(path)?)
}

/// All certificates of what was read from a file, at least one.
fn parsed_certificates(path: &Path, bytes: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let refused = |error: pem::Error| TlsError::pem(path, "certificate", &error);
    let found = CertificateDer::pem_slice_iter(bytes).collect::<Result<Vec<_>, _>>().map_err(refused)?;
    if found.is_empty() { Err(refused(pem::Error::NoItemsFound)) } else { Ok(found) }
}

/// Whom a certificate names, for people, and the role that it names, or what is wrong with that.
pub(super) fn holder(certificate: &CertificateDer<'_>) -> Option<(String, Option<Result<Role, String>>)> {
    let (_, certificate) = x509_parser::parse_x509_certificate(certificate).ok()?;
    let alternative = certificate.subject_alternative_name().ok().flatten();
    let general = alternative.iter().flat_map(|names| &names.value.general_names);
    let uris = general.filter_map(|name| match name {
        GeneralName::URI(uri) => Some(*uri),
        _ => None,
    });
    Some((certificate.subject().to_string(), Role::of_uris(uris)))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use rcgen::{CertificateParams, CertifiedIssuer, KeyPair, date_time_ymd};

    use super::*;

    type Authority = CertifiedIssuer<'static, KeyPair>;

    fn new_authority() -> Authority {
        CertifiedIssuer::self_signed(CertificateParams::default(), KeyPair::generate().unwrap()).unwrap()
    }

    /// Writes a certificate of an authority, or of none but its own, for `names`, valid in these years.
    fn write(files: &TlsFiles, names: &[&str], years: (i32, i32), authority: Option<&Authority>) {
        let mut parameters =
            CertificateParams::new(names.iter().map(ToString::to_string).collect::<Vec<_>>()).unwrap();
        (parameters.not_before, parameters.not_after) =
            (date_time_ymd(years.0, 1, 1), date_time_ymd(years.1, 1, 1));
        let key = KeyPair::generate().unwrap();
        fs::write(&files.key, key.serialize_pem()).unwrap();
        parameters.use_authority_key_identifier_extension = authority.is_some();
        let certificate = match authority {
            Some(authority) => parameters.signed_by(&key, authority),
            None => parameters.self_signed(&key),
        };
        fs::write(&files.certificate, certificate.unwrap().pem()).unwrap();
    }

    #[test]
    fn a_certificate_that_would_lock_everybody_out_is_refused_and_the_old_one_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let files =
            TlsFiles { certificate: path("c.pem"), key: path("k.pem"), client_ca: None, revoked: None };
        let refused = |error: TlsError, expected: &str| {
            assert!(error.problem.contains(expected), "{error}");
            assert_eq!(error.path, files.certificate.display().to_string());
        };
        let (ours, foreign) = (new_authority(), new_authority());
        write(&files, &["a.lan", "10.0.0.1"], (2000, 2001), Some(&ours));
        refused(Tls::load(files.clone()).unwrap_err(), "has expired: it was valid until");
        write(&files, &["a.lan", "10.0.0.1"], (2020, 2200), Some(&ours));
        let tls = Tls::load(files.clone()).unwrap();
        assert_eq!(tls.ends_soon(), None);
        let config = || Arc::clone(&tls.used.lock().unwrap().config);
        let before = config();
        for (names, years, signer, expected) in [
            (&["a.lan", "10.0.0.1"][..], (2000, 2001), Some(&ours), "has expired"),
            (&["a.lan", "10.0.0.1"], (2190, 2200), Some(&ours), "is valid only from"),
            (&["b.lan", "10.0.0.1"], (2020, 2200), Some(&ours), "lacks the name `a.lan`"),
            (&["A.LAN", "::1"], (2020, 2200), Some(&ours), "lacks the name `10.0.0.1`"),
            (&["a.lan", "10.0.0.1"], (2020, 2200), Some(&foreign), "is signed by another authority"),
            (&["a.lan", "10.0.0.1"], (2020, 2200), None, "is signed by another authority"),
        ] {
            write(&files, names, years, signer);
            refused(tls.reload().unwrap_err(), expected);
            assert!(Arc::ptr_eq(&config(), &before));
        }
        write(&files, &["b.lan", "a.lan", "10.0.0.1"], (2020, 2200), Some(&ours));
        // Some editors begin a text with a mark of the order of its bytes.
        let text = fs::read(&files.certificate).unwrap();
        fs::write(&files.certificate, [b"\xef\xbb\xbf", &text[..]].concat()).unwrap();
        tls.reload().unwrap();
        assert!(!Arc::ptr_eq(&config(), &before));
    }

    #[test]
    fn a_key_of_another_certificate_is_named_with_both_files() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let files = |certificate: &str, key: &str| TlsFiles {
            certificate: path(certificate),
            key: path(key),
            client_ca: None,
            revoked: None,
        };
        write(&files("a.pem", "a-key.pem"), &["a.lan"], (2020, 2200), None);
        write(&files("b.pem", "b-key.pem"), &["a.lan"], (2020, 2200), None);
        let judged = |certificate: &str, key: &str| {
            let [chain, private] = [certificate, key].map(|name| fs::read_to_string(path(name)).unwrap());
            check_identity((&path(certificate), &chain), (&path(key), &private), SystemTime::now())
        };
        judged("a.pem", "a-key.pem").unwrap();
        let [key, certificate] = ["b-key.pem", "a.pem"].map(|name| path(name).display().to_string());
        let expected = format!("{key}: does not belong to the certificate in {certificate}");
        assert_eq!(judged("a.pem", "b-key.pem").unwrap_err().to_string(), expected);
        // The coordinator's own, in the same words.
        assert_eq!(Tls::load(files("a.pem", "b-key.pem")).unwrap_err().to_string(), expected);
        write(&files("old.pem", "old-key.pem"), &["a.lan"], (2000, 2001), None);
        write(&files("new.pem", "new-key.pem"), &["a.lan"], (2190, 2200), None);
        for (name, expected) in [("old", "has expired: it was valid until"), ("new", "is valid only from")] {
            let error = judged(&format!("{name}.pem"), &format!("{name}-key.pem")).unwrap_err();
            assert!(error.problem.contains(expected), "{error}");
            assert_eq!(error.path, path(&format!("{name}.pem")).display().to_string());
        }
    }

    #[test]
    fn an_end_that_is_near_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let files =
            TlsFiles { certificate: path("c.pem"), key: path("k.pem"), client_ca: None, revoked: None };
        write(&files, &["a.lan"], (2020, 2200), None);
        let tls = Tls::load(files).unwrap();
        let day = Duration::from_secs(86_400);
        tls.used.lock().unwrap().first_end.0 = SystemTime::now() + 13 * day + day / 2;
        assert_eq!(tls.ends_soon(), Some((path("c.pem"), 13)));
        tls.used.lock().unwrap().first_end.0 = SystemTime::now() + 15 * day;
        assert_eq!(tls.ends_soon(), None);
    }
}
