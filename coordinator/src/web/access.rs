//! Who may ask, and who may change something.
//!
//! No other name than the address leads here, and no other page asks. While the coordinator controls access, whoever asks shows one of its
//! tokens: as a password to a browser, or as programs do. While it does not, what is shown is for whoever reaches the address, and what changes
//! something needs the page's own token, since other users of a machine reach its loopback, too.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use hyper::header::{ACCEPT_ENCODING, AUTHORIZATION, HOST, HeaderName, HeaderValue, ORIGIN};
use hyper::{HeaderMap, StatusCode};
use tokio_util::sync::CancellationToken;

use super::api::RequestError;
use crate::access::table::{self, Needs};
use crate::access::{Access, Caller, Denied, Role, Shown};
use crate::service::gate::BEARER;

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

/// Whether an answer by gzip is taken.
pub(super) fn takes_gzip(headers: &HeaderMap) -> bool {
    let takes = |coding: &str| match coding.split_once(';') {
        Some((name, quality)) => name.trim() == "gzip" && quality.trim() != "q=0",
        None => coding.trim() == "gzip",
    };
    header(headers, ACCEPT_ENCODING).is_some_and(|codings| codings.split(',').any(takes))
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

/// What whoever looks at a page may do, as its script is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum May {
    /// Act, if they have the page's own token.
    ByPageToken,
    /// Look only.
    Look,
    /// Act.
    Act,
}

impl May {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::ByPageToken => "token",
            Self::Look => "look",
            Self::Act => "act",
        }
    }
}

/// Somebody who was let in.
#[derive(Clone, Debug)]
pub(super) struct Visitor {
    /// For notes and for the audit.
    pub(super) who: String,
    pub(super) may: May,
    /// By what.
    by: By,
}

/// What somebody was let in by.
#[derive(Clone, Debug)]
enum By {
    /// A token of the coordinator's; none for what is for everybody.
    Token(Option<Caller>),
    /// Nothing, until control of access begins.
    Openness(CancellationToken),
}

impl Visitor {
    /// Comes back when they may no more: what they listen to ends then.
    pub(super) async fn ended(self) {
        match self.by {
            By::Token(Some(caller)) => caller.ended().await,
            By::Token(None) => std::future::pending().await,
            By::Openness(begun) => begun.cancelled().await,
        }
    }
}

/// Lets somebody in, if what they ask for is there and they may. With the refusal: whether a token is asked for.
pub(super) fn judge(
    (access, own): (&Access, &Token),
    (method, path): (&str, &str),
    headers: &HeaderMap,
) -> Result<Visitor, (RequestError, bool)> {
    let refused = |status, why: &str| Err((RequestError(status, why.to_owned()), false));
    let Some(rule) = table::page(method, path) else {
        return if method == "GET" || (method == "POST" && path.starts_with("/api/")) {
            Err((RequestError::nothing(), false))
        } else {
            refused(StatusCode::METHOD_NOT_ALLOWED, "that is answered to GET only")
        };
    };
    let token = shown(headers);
    // Before it is judged: control may begin meanwhile.
    let begun = access.begun();
    if access.is_on() {
        let shown = Shown { token: token.as_deref(), certificate: None };
        let judged = access.judge(&format!("{method} {path}"), rule, shown);
        let caller = judged.map_err(|denied| match denied {
            Denied::Unknown(why) => (RequestError(StatusCode::UNAUTHORIZED, why), true),
            Denied::Forbidden(why) => (RequestError(StatusCode::FORBIDDEN, why), false),
        })?;
        let may = caller.as_ref().is_some_and(|caller| caller.role.may(Role::Operator));
        let token = caller.as_ref().and_then(|caller| caller.token.as_ref());
        let named = token.map(|name| format!(" (token `{name}`)"));
        let who = format!("{WHO}{}", named.unwrap_or_default());
        return Ok(Visitor { who, may: if may { May::Act } else { May::Look }, by: By::Token(caller) });
    }
    if rule.needs == Needs::Role(Role::Operator) && !token.is_some_and(|token| own.is(&token)) {
        return refused(
            StatusCode::UNAUTHORIZED,
            "whatever changes something needs the token of the address that was printed at the start",
        );
    }
    Ok(Visitor { who: WHO.to_owned(), may: May::ByPageToken, by: By::Openness(begun) })
}

/// Who it was that did something by the page.
const WHO: &str = "the live page";

/// The token that a request shows: programs and the page's script say it, browsers give it as the password that somebody has typed.
fn shown(headers: &HeaderMap) -> Option<String> {
    let header = headers.get(AUTHORIZATION)?.to_str().unwrap_or_default();
    if let Some((scheme, token)) = header.split_once(' ')
        && scheme.eq_ignore_ascii_case(BEARER.trim_end())
    {
        return Some(token.trim().to_owned());
    }
    let password = header.strip_prefix("Basic ").and_then(|coded| {
        let text = String::from_utf8(BASE64_STANDARD.decode(coded.trim()).ok()?).ok()?;
        Some(text.split_once(':')?.1.trim().to_owned())
    });
    Some(password.unwrap_or_default())
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
        let (access, token) = (Access::open(), Token::random().unwrap());
        assert_eq!(token.text().len(), 2 * TOKEN_BYTES);
        assert_ne!(token.text(), Token::random().unwrap().text());
        let may =
            |headers: &HeaderMap| judge((&access, &token), ("POST", "/api/runs/1/pause"), headers).is_ok();
        let check = |shown: &str, expected: bool| {
            let mut headers = HeaderMap::new();
            headers.insert(AUTHORIZATION, HeaderValue::from_str(shown).unwrap());
            assert_eq!(may(&headers), expected, "{shown}");
        };
        let basic = |text: &str| format!("Basic {}", BASE64_STANDARD.encode(text));
        check(&format!("Bearer {}", token.text()), true);
        check(&format!("bearer {}", token.text()), true);
        check(&format!("Bearer {}0", token.text()), false);
        check(&format!("Bearer {}", &token.text()[1..]), false);
        check(token.text(), false);
        check("Bearer ", false);
        check(&basic(&format!("anybody:{}", token.text())), true);
        check(&basic(token.text()), false);
        check("Basic !", false);
        assert!(!may(&HeaderMap::new()));
        assert_eq!(format!("{token:?}"), "Token(..)");
    }
}
