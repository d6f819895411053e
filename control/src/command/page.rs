//! Pages of lists.

use super::Refusal;
use hebbian_shared::limits::PAGE_SIZE_MAX;

/// The size of a page if none is asked for.
const SIZE_DEFAULT: u32 = 100;

/// Which page of a list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PageRequest {
    /// The most elements to answer with; 0 for the default.
    pub size: u32,
    /// The token that the page before ended with; empty for the first page.
    pub token: String,
}

/// A page of a list.
#[derive(Clone, Debug, PartialEq)]
pub struct Page<T> {
    /// The elements.
    pub items: Vec<T>,
    /// What the next page's request names; empty after the last page.
    pub next_token: String,
}

impl PageRequest {
    /// The most elements to answer with.
    pub fn size(&self) -> Result<usize, Refusal> {
        match self.size {
            0 => Ok(SIZE_DEFAULT as usize),
            1..=PAGE_SIZE_MAX => Ok(self.size as usize),
            asked => {
                Err(Refusal::field("page_size", format!("must be at most {PAGE_SIZE_MAX}, not {asked}")))
            }
        }
    }

    /// The position that the token names; `None` for the first page.
    pub fn position<T>(&self, parse: impl FnOnce(&str) -> Option<T>) -> Result<Option<T>, Refusal> {
        if self.token.is_empty() {
            return Ok(None);
        }
        let problem = "must be empty or the next_page_token of an answer to the same request";
        parse(&self.token).map(Some).ok_or_else(|| Refusal::field("page_token", problem))
    }
}

impl<T> Page<T> {
    /// The first `size` of the elements; `token` names the one after which the next page begins.
    pub fn of(items: impl IntoIterator<Item = T>, size: usize, token: impl FnOnce(&T) -> String) -> Self {
        let mut rest = items.into_iter();
        let items: Vec<T> = rest.by_ref().take(size).collect();
        let next = if rest.next().is_some() { items.last().map(token) } else { None };
        Self { items, next_token: next.unwrap_or_default() }
    }
}
