//! Who may ask, and who may change something.
//!
//! What is shown is for whoever reaches the address and names it: no other name leads here, and no other page asks. What changes
//! something needs a token besides, since other users of a machine reach its loopback, too.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use hyper::HeaderMap;
use hyper::header::{AUTHORIZATION, HOST, HeaderName, HeaderValue, ORIGIN};

/// Bytes of a token before they are written in hexadecimal.
const TOKEN_BYTES: usize = 16;

/// What whoever wants to change something has to show.
#[derive(Clone)]
pub struct Token(String);

impl Token {
    /// One that nobody can foresee; `None` if the operating system gives no random bytes.
    pub fn random() -> Option<Self> {
        let mut bytes = [0; TOKEN_BYTES];
        tokio_rustls::rustls::crypto::ring::default_provider().secure_random.fill(&mut bytes).ok()?;
        Some(Self(hebbian_proto::figures::hexadecimal(&bytes)))
    }

    /// As it stands in the address that is printed.
    pub fn text(&self) -> &str {
        &self.0
    }

    /// Compares in a time that says nothing of how much was right.
    fn is(&self, shown: &str) -> bool {
        let (own, shown) = (self.0.as_bytes(), shown.as_bytes());
        own.len() == shown.len() && own.iter().zip(shown).fold(0, |sum, (a, b)| sum | (a ^ b)) == 0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

fn header(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok())
}

/// Why a request is not answered, if it is not.
pub(super) fn refusal(headers: &HeaderMap, address: SocketAddr) -> Option<&'static str> {
    let host = header(headers, HOST).unwrap_or_default();
    if !is_ours(host, address) {
        return Some("this page is not of that host");
    }
    let foreign = |origin: &str| origin.split_once("://").is_none_or(|(_, from)| from != host);
    match headers.get(ORIGIN) {
        Some(origin) if origin.to_str().is_ok_and(|origin| !foreign(origin)) => None,
        Some(_) => Some("another page may not ask"),
        None => None,
    }
}

/// Whether a request shows the token.
pub(super) fn may_change(headers: &HeaderMap, token: &Token) -> bool {
    let shown = header(headers, AUTHORIZATION).and_then(|shown| shown.strip_prefix("Bearer "));
    shown.is_some_and(|shown| token.is(shown.trim()))
}

/// Whether a page of this name is meant: whoever makes another name lead here must not read what is here.
fn is_ours(host: &str, address: SocketAddr) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    let name = name.trim_start_matches('[').trim_end_matches(']');
    let literal: Option<IpAddr> = name.parse().ok();
    match literal {
        // An address that is written out was not led here by a name.
        Some(_) => true,
        None => name.eq_ignore_ascii_case("localhost") && address.ip().is_loopback(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_this_page() {
        let loopback = SocketAddr::from(([127, 0, 0, 1], 7421));
        let open = SocketAddr::from(([0, 0, 0, 0], 7421));
        for host in ["127.0.0.1:7421", "[::1]:7421", "10.0.0.1", "[::1]"] {
            assert!(is_ours(host, loopback) && is_ours(host, open), "{host}");
        }
        assert!(is_ours("LOCALHOST:1", loopback) && !is_ours("localhost:1", open));
        for host in ["", "evil.example:7421", "127.0.0.1.evil.example", "localhost.evil"] {
            assert!(!is_ours(host, loopback), "{host}");
        }
    }

    #[test]
    fn a_token_is_shown_whole_or_not_at_all() {
        let token = Token::random().unwrap();
        assert_eq!(token.text().len(), 2 * TOKEN_BYTES);
        assert_ne!(token.text(), Token::random().unwrap().text());
        let check = |shown: &str, expected: bool| {
            let mut headers = HeaderMap::new();
            headers.insert(AUTHORIZATION, HeaderValue::from_str(shown).unwrap());
            assert_eq!(may_change(&headers, &token), expected, "{shown}");
        };
        check(&format!("Bearer {}", token.text()), true);
        check(&format!("Bearer {}0", token.text()), false);
        check(&format!("Bearer {}", &token.text()[1..]), false);
        check(token.text(), false);
        check("Bearer ", false);
        assert!(!may_change(&HeaderMap::new(), &token));
        assert_eq!(format!("{token:?}"), "Token(..)");
    }
}
