//! Lists: by name, filtered by path, in pages of up to 1000 with a marker for the next.

use aws_protocol::ApiError;
use core_state::State;
use core_step::page;
use core_types::AccountId;

use crate::rows::entity::{Entity, Key};

/// One page as IAM's answers have it.
pub struct Page<T> {
    pub items: Vec<T>,
    pub marker: Option<String>,
    pub is_truncated: Option<bool>,
}

impl<T> Page<T> {
    pub fn map<U>(self, into: impl FnMut(T) -> U) -> Page<U> {
        let Page { items, marker, is_truncated } = self;
        Page { items: items.into_iter().map(into).collect(), marker, is_truncated }
    }
}

/// What a list call says about pages.
#[derive(Clone, Copy)]
pub struct Asked<'a> {
    pub list: &'static str,
    pub marker: Option<&'a str>,
    pub max_items: Option<i32>,
}

/// AWS: 100 a page unless told otherwise.
const PAGE: usize = 100;

impl Asked<'_> {
    /// The cursor behind which the page begins; empty for the beginning.
    pub fn after(&self) -> Result<String, ApiError> {
        page::open(self.list, self.marker)
            .map(Option::unwrap_or_default)
            .map_err(|_| ApiError::validation("Invalid Marker."))
    }

    pub fn take<T>(
        &self,
        items: impl IntoIterator<Item = T>,
        cursor: impl Fn(&T) -> String,
    ) -> Page<T> {
        let size = self.max_items.and_then(|n| usize::try_from(n).ok()).unwrap_or(PAGE).max(1);
        let page::Page { items, next } = page::page(self.list, size, items, cursor);
        Page { items, is_truncated: Some(next.is_some()), marker: next }
    }

    /// A page of things that are in the order of their cursors.
    pub fn page<T>(
        &self,
        items: impl IntoIterator<Item = T>,
        cursor: impl Fn(&T) -> String,
    ) -> Result<Page<T>, ApiError> {
        let after = self.after()?;
        let rest = items.into_iter().filter(|item| after.is_empty() || cursor(item) > after);
        Ok(self.take(rest, &cursor))
    }

    /// A page of an account's rows under a path, by name.
    pub fn rows<'s, R: Entity<Key = Key>>(
        &self,
        state: &'s State,
        account: AccountId,
        path_prefix: Option<&str>,
    ) -> Result<Page<&'s R>, ApiError> {
        let after = self.after()?;
        let rows = of_account::<R>(state, account, &after);
        let rows = rows.filter(|row| under(row.head().path.as_ref(), path_prefix));
        Ok(self.take(rows, |row| row.key().1.to_string()))
    }
}

/// An account's rows in key order, behind a key.
pub fn of_account<'s, R: Entity<Key = Key>>(
    state: &'s State,
    account: AccountId,
    after: &str,
) -> impl Iterator<Item = &'s R> {
    let first: Key = (account, after.into());
    let behind = first.clone();
    state
        .scan::<R>(first)
        .take_while(move |row| row.head().account == account)
        .filter(move |row| behind.1.is_empty() || row.key() > behind)
}

pub fn under(path: &str, prefix: Option<&str>) -> bool {
    prefix.is_none_or(|prefix| path.starts_with(prefix))
}
