//! Pages of lists.

use hebbian_proto::convert::ConvertError;
use tonic::Status;

use super::status::invalid;

/// The largest page.
const PAGE_SIZE_MAX: u32 = 500;
/// The page of a client that does not say.
const PAGE_SIZE_DEFAULT: u32 = 100;

/// The number of elements to answer with.
pub(super) fn size(asked: u32) -> Result<usize, Status> {
    match asked {
        0 => Ok(PAGE_SIZE_DEFAULT as usize),
        1..=PAGE_SIZE_MAX => Ok(asked as usize),
        _ => {
            let problem = format!("must be at most {PAGE_SIZE_MAX}, not {asked}");
            Err(invalid(&ConvertError::new("page_size", problem)))
        }
    }
}

/// The position that a token names; `None` for the first page.
pub(super) fn position<T>(token: &str, parse: impl FnOnce(&str) -> Option<T>) -> Result<Option<T>, Status> {
    if token.is_empty() {
        return Ok(None);
    }
    let problem = "must be empty or the next_page_token of an answer to the same request";
    parse(token).map(Some).ok_or_else(|| invalid(&ConvertError::new("page_token", problem)))
}

/// At most `size` elements from `start` on, and the token of the element after which the next page begins.
pub(super) fn cut<T>(
    all: Vec<T>,
    start: usize,
    size: usize,
    token: impl FnOnce(&T) -> String,
) -> (Vec<T>, String) {
    let rest = all.len().saturating_sub(start);
    let page: Vec<T> = all.into_iter().skip(start).take(size).collect();
    let next = if rest > size { page.last().map(token) } else { None };
    (page, next.unwrap_or_default())
}
