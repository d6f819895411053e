use std::fs;
use std::net::Ipv4Addr;
use std::path::Path;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use super::super::tls::TlsFiles;
use super::*;

/// A listener that hands every opened connection to the test.
fn listen(
    limits: ConnectionLimits,
    tls: Option<Arc<Tls>>,
) -> (SocketAddr, mpsc::UnboundedReceiver<Connection>) {
    let listener = bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
    let address = listener.local_addr().unwrap();
    let (opened, receiver) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        let mut connections = Box::pin(accept(listener, limits, tls, Lanes::one()));
        while let Some(Ok(connection)) = connections.next().await {
            if opened.send(connection).is_err() {
                return;
            }
        }
    });
    (address, receiver)
}

fn quick() -> ConnectionLimits {
    ConnectionLimits { opening_timeout: Duration::from_millis(100), ..ConnectionLimits::default() }
}

/// Whether the peer closes the connection without a word.
async fn is_closed(stream: &mut TcpStream) -> bool {
    let mut word = [0; 1];
    // A reset is as good an end as any.
    stream.read(&mut word).await.unwrap_or(0) == 0
}

#[tokio::test]
async fn who_says_nothing_or_something_else_is_given_up_and_others_are_served() {
    let (address, mut opened) = listen(quick(), None);
    let mut silent = TcpStream::connect(address).await.unwrap();
    let mut slow = TcpStream::connect(address).await.unwrap();
    slow.write_all(&PREFACE[..5]).await.unwrap();
    let mut foreign = TcpStream::connect(address).await.unwrap();
    foreign.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    let mut honest = TcpStream::connect(address).await.unwrap();
    honest.write_all(PREFACE).await.unwrap();
    let mut connection = opened.recv().await.unwrap();
    assert_eq!(connection.connect_info().tcp.remote_addr(), Some(honest.local_addr().unwrap()));
    // Nothing was taken from the stream.
    let mut words = [0; PREFACE.len()];
    connection.read_exact(&mut words).await.unwrap();
    assert_eq!(&words, PREFACE);
    for peer in [&mut silent, &mut slow, &mut foreign] {
        assert!(is_closed(peer).await);
    }
    assert!(opened.try_recv().is_err(), "only one of them was a client");
}

#[tokio::test]
async fn connections_beyond_the_limit_are_closed_until_one_ends() {
    let (address, mut opened) =
        listen(ConnectionLimits { connections_max: 1, ..ConnectionLimits::default() }, None);
    let mut first = TcpStream::connect(address).await.unwrap();
    first.write_all(PREFACE).await.unwrap();
    let connection = opened.recv().await.unwrap();
    let mut second = TcpStream::connect(address).await.unwrap();
    assert!(is_closed(&mut second).await);
    drop(connection);
    let mut third = TcpStream::connect(address).await.unwrap();
    third.write_all(PREFACE).await.unwrap();
    assert!(opened.recv().await.is_some());
}

#[tokio::test]
async fn silent_peers_hold_up_newcomers_only_until_they_are_given_up() {
    let (address, mut opened) = listen(ConnectionLimits { opening_max: 2, ..quick() }, None);
    let mut silent = Vec::new();
    for _ in 0..5 {
        silent.push(TcpStream::connect(address).await.unwrap());
    }
    let mut honest = TcpStream::connect(address).await.unwrap();
    honest.write_all(PREFACE).await.unwrap();
    let connection = opened.recv().await.unwrap();
    assert_eq!(connection.connect_info().tcp.remote_addr(), Some(honest.local_addr().unwrap()));
}

/// An authority and what it signs, as files.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

impl Authority {
    fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut parameters = CertificateParams::default();
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let pem = parameters.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::new(parameters, key), pem }
    }

    /// Writes `NAME.pem` and `NAME-key.pem` and the authority's own `NAME-ca.pem`.
    fn sign(&self, directory: &Path, name: &str) -> TlsFiles {
        let key = KeyPair::generate().unwrap();
        let mut parameters = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        if name.starts_with("expired") {
            parameters.not_after = rcgen::date_time_ymd(2020, 1, 1);
        }
        parameters.use_authority_key_identifier_extension = true;
        let certificate = parameters.signed_by(&key, &self.issuer).unwrap();
        let file = |suffix: &str| directory.join(format!("{name}{suffix}.pem"));
        fs::write(file(""), certificate.pem()).unwrap();
        fs::write(file("-key"), key.serialize_pem()).unwrap();
        fs::write(file("-ca"), &self.pem).unwrap();
        TlsFiles { certificate: file(""), key: file("-key"), client_ca: Some(file("-ca")), revoked: None }
    }
}

/// The serial number of a certificate.
fn serial(files: &TlsFiles) -> Vec<u8> {
    let certificate = CertificateDer::from_pem_file(&files.certificate).unwrap();
    x509_parser::parse_x509_certificate(&certificate).unwrap().1.raw_serial().to_vec()
}

impl Authority {
    /// A list of certificates that it revokes.
    fn revoke(&self, serials: &[Vec<u8>]) -> String {
        let revoked = |serial: &Vec<u8>| rcgen::RevokedCertParams {
            serial_number: rcgen::SerialNumber::from_slice(serial),
            revocation_time: rcgen::date_time_ymd(2026, 1, 1),
            reason_code: None,
            invalidity_date: None,
        };
        let list = rcgen::CertificateRevocationListParams {
            this_update: rcgen::date_time_ymd(2026, 1, 1),
            next_update: rcgen::date_time_ymd(2027, 1, 1),
            crl_number: rcgen::SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: serials.iter().map(revoked).collect(),
            key_identifier_method: rcgen::KeyIdMethod::Sha256,
        };
        list.signed_by(&self.issuer).unwrap().pem().unwrap()
    }
}

/// The first byte that the client reads through TLS, or why there is none.
async fn greet(address: SocketAddr, trusted: &Path, own: Option<&TlsFiles>) -> Result<u8, String> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(trusted).unwrap() {
        roots.add(certificate.unwrap()).unwrap();
    }
    let ring = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(ring).with_safe_default_protocol_versions().unwrap();
    let builder = builder.with_root_certificates(roots);
    let config = match own {
        None => builder.with_no_client_auth(),
        Some(files) => {
            let chain = CertificateDer::pem_file_iter(&files.certificate).unwrap();
            let key = PrivateKeyDer::from_pem_file(&files.key).unwrap();
            builder.with_client_auth_cert(chain.map(Result::unwrap).collect(), key).unwrap()
        }
    };
    let stream = TcpStream::connect(address).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let connected = TlsConnector::from(Arc::new(config)).connect(name, stream).await;
    let mut stream = connected.map_err(|error| error.to_string())?;
    // With TLS 1.3 the client learns with its first read whether it was let in.
    stream.read_u8().await.map_err(|error| error.to_string())
}

/// A listener that greets every client with one byte.
fn greeter(tls: &Arc<Tls>) -> SocketAddr {
    let (address, mut opened) = listen(ConnectionLimits::default(), Some(Arc::clone(tls)));
    tokio::spawn(async move {
        while let Some(mut connection) = opened.recv().await {
            connection.write_all(&[7]).await.unwrap();
            connection.shutdown().await.unwrap();
        }
    });
    address
}

fn check_refused(found: Result<u8, String>, reason: &str) {
    let problem = found.expect_err(reason);
    assert!(problem.contains(reason), "`{problem}` does not say `{reason}`");
}

#[tokio::test]
async fn mutual_tls_lets_in_who_has_a_certificate_of_the_authority_and_nobody_else() {
    let directory = tempfile::tempdir().unwrap();
    let ours = Authority::new();
    let server = ours.sign(directory.path(), "server");
    let client = ours.sign(directory.path(), "client");
    let stranger = Authority::new().sign(directory.path(), "stranger");
    let trusted = server.client_ca.clone().unwrap();
    let address = greeter(&Arc::new(Tls::load(server).unwrap()));
    assert_eq!(greet(address, &trusted, Some(&client)).await, Ok(7));
    check_refused(greet(address, &trusted, None).await, "CertificateRequired");
    check_refused(greet(address, &trusted, Some(&stranger)).await, "DecryptError");
    // The other way round: the client does not trust the coordinator.
    let foreign = stranger.client_ca.clone().unwrap();
    check_refused(greet(address, &foreign, Some(&client)).await, "invalid peer certificate");
}

#[tokio::test]
async fn without_a_client_authority_everybody_is_let_in() {
    let directory = tempfile::tempdir().unwrap();
    let server = Authority::new().sign(directory.path(), "server");
    let trusted = server.client_ca.clone().unwrap();
    let tls = Tls::load(TlsFiles { client_ca: None, ..server }).unwrap();
    assert!(!tls.is_mutual());
    assert_eq!(greet(greeter(&Arc::new(tls)), &trusted, None).await, Ok(7));
}

#[tokio::test]
async fn reloaded_certificates_are_for_new_connections_and_wrong_ones_change_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    let server = authority.sign(directory.path(), "server");
    let trusted = directory.path().join("trusted.pem");
    fs::copy(server.client_ca.as_ref().unwrap(), &trusted).unwrap();
    let tls = Arc::new(Tls::load(TlsFiles { client_ca: None, ..server.clone() }).unwrap());
    let address = greeter(&tls);
    assert_eq!(greet(address, &trusted, None).await, Ok(7));
    // Those who trust the authority would be locked out by another one's certificate.
    let foreign = Authority::new().sign(directory.path(), "server");
    let problem = tls.reload().unwrap_err().to_string();
    assert!(problem.contains("another authority"), "{problem}");
    assert_eq!(greet(address, &trusted, None).await, Ok(7));
    check_refused(
        greet(address, foreign.client_ca.as_ref().unwrap(), None).await,
        "invalid peer certificate",
    );
    authority.sign(directory.path(), "server");
    tls.reload().unwrap();
    assert_eq!(greet(address, &trusted, None).await, Ok(7));
    fs::write(&server.certificate, "no certificate").unwrap();
    let problem = tls.reload().unwrap_err().to_string();
    assert!(problem.ends_with("server.pem: holds no certificate in PEM form"), "{problem}");
    assert_eq!(greet(address, &trusted, None).await, Ok(7));
}

#[test]
fn files_that_do_not_fit_are_named() {
    let directory = tempfile::tempdir().unwrap();
    let files = Authority::new().sign(directory.path(), "server");
    let other = Authority::new().sign(directory.path(), "other");
    let check = |files: TlsFiles, ending: &str| {
        let problem = Tls::load(files).unwrap_err().to_string();
        assert!(problem.ends_with(ending), "`{problem}` does not end with `{ending}`");
    };
    check(
        TlsFiles { key: files.certificate.clone(), ..files.clone() },
        "server.pem: holds no private key in PEM form",
    );
    check(
        TlsFiles { certificate: files.key.clone(), ..files.clone() },
        "server-key.pem: holds no certificate in PEM form",
    );
    let absent = directory.path().join("absent.pem");
    check(
        TlsFiles { client_ca: Some(absent), ..files.clone() },
        "absent.pem: cannot be read: no such file or directory",
    );
    let problem = Tls::load(TlsFiles { key: other.key, ..files }).unwrap_err();
    assert!(problem.path.ends_with("other-key.pem"), "{problem}");
}

#[test]
fn why_a_certificate_is_not_accepted_is_told_by_its_kind() {
    use tokio_rustls::rustls::{CertificateError, Error};
    let moment = tokio_rustls::rustls::pki_types::UnixTime::now();
    let not_yet = CertificateError::NotValidYetContext { time: moment, not_before: moment };
    for (problem, expected) in [
        (CertificateError::Expired, "the peer's certificate has expired"),
        (
            CertificateError::ExpiredContext { time: moment, not_after: moment },
            "the peer's certificate has expired",
        ),
        (CertificateError::NotValidYet, "is not valid yet, or a clock is wrong"),
        (not_yet, "is not valid yet, or a clock is wrong"),
        (CertificateError::UnknownIssuer, "the authority of --tls-client-ca did not sign"),
        (CertificateError::BadSignature, "the authority of --tls-client-ca did not sign"),
        (CertificateError::Revoked, "was revoked (--tls-revoked)"),
        (CertificateError::InvalidPurpose, "the peer's certificate is not accepted"),
    ] {
        let told = explain(&io::Error::new(io::ErrorKind::InvalidData, Error::InvalidCertificate(problem)));
        assert!(told.contains(expected), "{told}");
    }
}

#[tokio::test]
async fn who_shows_an_expired_or_a_revoked_certificate_is_kept_out_and_open_connections_end() {
    let directory = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    let [server, lost, other, expired] =
        ["server", "lost", "other", "expired"].map(|name| authority.sign(directory.path(), name));
    let list = directory.path().join("revoked.pem");
    fs::write(&list, authority.revoke(&[vec![7]])).unwrap();
    let trusted = server.client_ca.clone().unwrap();
    let tls = Arc::new(Tls::load(TlsFiles { revoked: Some(list.clone()), ..server.clone() }).unwrap());
    let address = greeter(&tls);
    assert_eq!(greet(address, &trusted, Some(&lost)).await, Ok(7));
    check_refused(greet(address, &trusted, Some(&expired)).await, "CertificateExpired");
    let chain = |files: &TlsFiles| [CertificateDer::from_pem_file(&files.certificate).unwrap()];
    let (open, stays) = (tls.shown(&chain(&lost)), tls.shown(&chain(&other)));
    fs::write(&list, authority.revoke(&[vec![7], serial(&lost)])).unwrap();
    tls.reload().unwrap();
    assert_eq!((open.is_cancelled(), stays.is_cancelled()), (true, false));
    assert!(
        tls.shown(&chain(&lost)).is_cancelled(),
        "the list came between its handshake and its first word"
    );
    check_refused(greet(address, &trusted, Some(&lost)).await, "CertificateRevoked");
    assert_eq!(greet(address, &trusted, Some(&other)).await, Ok(7));
    // A list that has no effect is refused, and the one before stays.
    for (text, expected) in [
        (Authority::new().revoke(&[]), "that no authority of the peers has signed"),
        ("nothing".to_owned(), "revoked.pem: holds no list of revoked certificates"),
    ] {
        fs::write(&list, text).unwrap();
        let problem = tls.reload().unwrap_err().to_string();
        assert!(problem.contains(expected), "{problem}");
        check_refused(greet(address, &trusted, Some(&lost)).await, "CertificateRevoked");
    }
    for _ in 0..100 {
        tls.shown(&chain(&other));
    }
    assert!(tls.open.lock().unwrap().len() < 40, "connections that have ended are forgotten");
}
