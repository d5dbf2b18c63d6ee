//! Pages: how much of a list is wanted, from where on, and where the next page begins.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use scopegate_host::store::{CredentialOrder, CredentialPlace, Page};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::error::Failed;

const LIMIT: u32 = 50;
const LIMIT_MAX: u32 = 200;

/// Which page of a list.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct PageParameters {
    /// Items at most
    #[param(minimum = 1, maximum = 200, default = 50, example = 50)]
    #[serde(default)]
    pub(super) limit: Option<u32>,
    /// `next_cursor` of the page before
    #[param(max_length = 512)]
    #[serde(default)]
    pub(super) cursor: Option<String>,
}

impl PageParameters {
    /// The page, of whose items there is one more, which tells whether another page follows.
    pub(super) fn page<K: std::str::FromStr>(&self) -> Result<Page<K>, Failed> {
        page(self.limit, self.cursor.as_deref())
    }
}

/// See [`PageParameters::page`].
pub(super) fn page<K: std::str::FromStr>(
    limit: Option<u32>,
    cursor: Option<&str>,
) -> Result<Page<K>, Failed> {
    let limit = limit.unwrap_or(LIMIT);
    if !(1..=LIMIT_MAX).contains(&limit) {
        return Err(Failed::invalid(format!("`limit` is 1 to {LIMIT_MAX}")));
    }
    let after = match cursor {
        None => None,
        Some(cursor) => {
            let read = || {
                let bytes = BASE64_URL_SAFE_NO_PAD.decode(cursor).ok()?;
                let text = String::from_utf8(bytes).ok()?;
                text.parse().ok().filter(|_| !text.is_empty())
            };
            Some(read().ok_or_else(|| {
                Failed::invalid("`cursor` is not the `next_cursor` of a page before")
            })?)
        }
    };
    Ok(Page {
        after,
        limit: limit + 1,
    })
}

/// See [`PageParameters::page`]. A place in a list of another order is none in this one.
pub(super) fn of_credentials(
    limit: Option<u32>,
    cursor: Option<&str>,
    order: CredentialOrder,
) -> Result<Page<CredentialPlace>, Failed> {
    let page: Page<CredentialPlace> = page(limit, cursor)?;
    match &page.after {
        Some(place) if place.order != order => Err(Failed::invalid(
            "`cursor` is the `next_cursor` of a page in another order",
        )),
        _ => Ok(page),
    }
}

/// A parameter of this name, with no more characters than the document says.
pub(super) fn bounded(
    name: &str,
    text: Option<String>,
    chars_max: usize,
) -> Result<Option<String>, Failed> {
    match text {
        Some(text) if text.chars().count() > chars_max => Err(Failed::invalid(format!(
            "`{name}` has at most {chars_max} characters"
        ))),
        text => Ok(text),
    }
}

/// A page of a list.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Listed<T> {
    /// The items
    pub(super) items: Vec<T>,
    /// Where the next page begins; `null` on the last one
    #[schema(example = "MDE5N2YwYzItNmMxZS03ZDU1LTlkN2UtMGE1YTNhMWM5YjEx")]
    pub(super) next_cursor: Option<String>,
}

impl<T> Listed<T> {
    /// A page of what was found for [`PageParameters::page`]; `key` tells an item's place.
    pub(super) fn of<F, K>(
        mut found: Vec<F>,
        page: &Page<K>,
        key: impl Fn(&F) -> String,
        view: impl Fn(F) -> T,
    ) -> Self {
        let wanted = page.limit.saturating_sub(1) as usize;
        let more = found.len() > wanted;
        found.truncate(wanted);
        let next_cursor = found
            .last()
            .filter(|_| more)
            .map(|last| BASE64_URL_SAFE_NO_PAD.encode(key(last)));
        Self {
            items: found.into_iter().map(view).collect(),
            next_cursor,
        }
    }

    /// The same; where all that was found is in it, the next page goes on from this place, if there is one.
    pub(super) fn going_on_from(mut self, place: Option<i64>) -> Self {
        let cursor = || place.map(|place| BASE64_URL_SAFE_NO_PAD.encode(place.to_string()));
        self.next_cursor = self.next_cursor.or_else(cursor);
        self
    }
}
