//! Tokens, without their texts.

use std::time::{SystemTime, UNIX_EPOCH};

use hebbian_proto::figures::unix_ms;
use hebbian_proto::v1::Token;

use super::{Paint, text};

/// A line a token.
pub(crate) fn list(tokens: &[Token], _: Paint) -> String {
    if tokens.is_empty() {
        return "there are no tokens; `hebbian token create NAME --role admin` makes the first\n".to_owned();
    }
    let row = |token: &Token| {
        let group = if token.group.is_empty() { "all" } else { &token.group };
        vec![
            token.name.clone(),
            role(token),
            group.to_owned(),
            state(token),
            day(unix_ms(token.created)),
            token.created_by.clone(),
        ]
    };
    let header = ["token", "role", "runs", "state", "made", "by"];
    text::table(&header, &[], tokens.iter().map(row).collect())
}

fn role(token: &Token) -> String {
    token.role().as_str_name().trim_start_matches("ROLE_").to_lowercase()
}

fn day(unix_ms: u64) -> String {
    let moment = jiff::Timestamp::from_millisecond(unix_ms as i64).ok();
    moment.map_or_else(|| "-".to_owned(), |moment| moment.strftime("%Y-%m-%d %H:%M UTC").to_string())
}

fn state(token: &Token) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as u64;
    match (token.revoked, token.expires) {
        (revoked @ Some(_), _) => format!("revoked {}", day(unix_ms(revoked))),
        (None, end @ Some(_)) if unix_ms(end) <= now => format!("expired {}", day(unix_ms(end))),
        (None, end @ Some(_)) => format!("until {}", day(unix_ms(end))),
        (None, None) => "valid".to_owned(),
    }
}
