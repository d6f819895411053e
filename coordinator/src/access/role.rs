//! Roles.

use std::fmt;
use std::str::FromStr;

use hebbian_proto::v1;
use serde::{Deserialize, Serialize};

/// What somebody may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Attaches to compute, and fetches data sets.
    Worker,
    /// Looks.
    Observer,
    /// Looks, creates and changes runs, evaluates, and has workers leave.
    Operator,
    /// All of it, and tokens.
    Admin,
}

impl Role {
    /// All roles.
    pub const ALL: [Self; 4] = [Self::Worker, Self::Observer, Self::Operator, Self::Admin];

    /// What stands before a role in the address (a subject alternative name) by which a certificate names it.
    pub const URI: &str = "hebbian://role/";

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Worker => "worker",
            Self::Observer => "observer",
            Self::Operator => "operator",
            Self::Admin => "admin",
        }
    }

    /// Whether this role may do what takes the role `needed`.
    pub fn may(self, needed: Self) -> bool {
        match self {
            Self::Admin => true,
            Self::Operator => matches!(needed, Self::Operator | Self::Observer),
            Self::Observer | Self::Worker => self == needed,
        }
    }

    /// The role that the addresses of a certificate name, or what is wrong with them; none if they name none. Whatever has our scheme
    /// is meant as a role: what is written wrongly must not be taken for none, which may do more.
    pub fn of_uris<'a>(uris: impl Iterator<Item = &'a str>) -> Option<Result<Self, String>> {
        let scheme = |uri: &str| {
            uri.split_once(':').map_or_else(String::new, |(scheme, _)| scheme.to_ascii_lowercase())
        };
        let mut named =
            uris.filter(|uri| Self::URI.split_once(':').is_some_and(|(ours, _)| scheme(uri) == ours));
        let uri = named.next()?;
        if named.next().is_some() {
            return Some(Err("the certificate names more than one role".to_owned()));
        }
        let refused = |problem: String| format!("the certificate names a role that there is not: {problem}");
        let Some(role) = uri.strip_prefix(Self::URI) else {
            let uri: String = uri.chars().take(64).collect();
            return Some(Err(refused(format!("`{uri}`; it must be {}ROLE, in small letters", Self::URI))));
        };
        Some(role.parse().map_err(refused))
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Role {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|role| role.name() == text).ok_or_else(|| {
            let text: String = text.chars().take(32).collect();
            format!("`{text}` is no role; it must be worker, observer, operator or admin")
        })
    }
}

impl From<Role> for v1::Role {
    fn from(role: Role) -> Self {
        match role {
            Role::Worker => Self::Worker,
            Role::Observer => Self::Observer,
            Role::Operator => Self::Operator,
            Role::Admin => Self::Admin,
        }
    }
}

impl TryFrom<v1::Role> for Role {
    type Error = String;

    fn try_from(role: v1::Role) -> Result<Self, String> {
        match role {
            v1::Role::Worker => Ok(Self::Worker),
            v1::Role::Observer => Ok(Self::Observer),
            v1::Role::Operator => Ok(Self::Operator),
            v1::Role::Admin => Ok(Self::Admin),
            v1::Role::Unspecified => Err("must be worker, observer, operator or admin".to_owned()),
        }
    }
}
