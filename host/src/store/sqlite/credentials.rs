//! Pages of credentials, in the order that is asked for.

use sqlx::{QueryBuilder, Sqlite as Database};

use super::{
    Sqlite,
    page::{credentials, kind_text},
    row, unavailable,
};
use crate::store::{
    Credential, CredentialColumn, CredentialFilter, CredentialPlace, CredentialValue,
    EXPIRING_SECS, Page, State, StoreError,
};

/// After and before every id. The beginning of a list is a place too, so that every page begins with a search of the index.
const LAST: &str = "~";
const FIRST: &str = "";

/// A piece of a list: those that have what the list is ordered by, or those that lack it and come after them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// The first piece, or the only one.
    Having,
    /// The second one.
    Lacking,
}

impl Sqlite {
    /// In the filter's order, which a place to begin after is one of.
    pub(in crate::store) async fn page_credentials(
        &self,
        filter: &CredentialFilter,
        page: &Page<CredentialPlace>,
    ) -> Result<Vec<Credential>, StoreError> {
        let after = page.after.as_ref();
        let lacks = |place: &CredentialPlace| place.value == CredentialValue::Time(None);
        let first = match after.is_some_and(lacks) {
            true => Part::Lacking,
            false => Part::Having,
        };
        // One transaction: both pieces are of one moment.
        let mut tx = self.searchers.begin().await.map_err(unavailable)?;
        let mut query = piece(filter, first, after, page.limit);
        let rows = query.build().fetch_all(&mut *tx).await;
        let mut rows = rows.map_err(unavailable)?;
        let left = usize::try_from(page.limit).map_or(0, |limit| limit.saturating_sub(rows.len()));
        if left > 0 && first == Part::Having && may_lack(filter.order.by) {
            let left = u32::try_from(left).unwrap_or(page.limit);
            let mut query = piece(filter, Part::Lacking, None, left);
            let more = query.build().fetch_all(&mut *tx).await;
            rows.extend(more.map_err(unavailable)?);
        }
        rows.iter().map(row::credential).collect()
    }
}

/// The statement for a piece of a list. What narrows it is in the statement itself: the database chooses an index before it
/// knows what is bound. A `+` keeps it from another index.
pub(super) fn piece(
    filter: &CredentialFilter,
    part: Part,
    after: Option<&CredentialPlace>,
    limit: u32,
) -> QueryBuilder<Database> {
    let mut query = QueryBuilder::new(credentials!("WHERE "));
    match filter.owner {
        Some(owner) => {
            query.push("c.owner = ").push_bind(owner.to_string());
            query.push(" AND +c.organization = ");
            query.push_bind(filter.organization.to_string());
            query
                .push(" AND +c.kind = ")
                .push_bind(kind_text(filter.kind));
        }
        None => {
            query.push("c.organization = ");
            query.push_bind(filter.organization.to_string());
            // No other index has the order of the ids.
            let plus = if filter.order.by == CredentialColumn::CreatedAt {
                "+"
            } else {
                ""
            };
            query.push(format_args!(" AND {plus}c.kind = "));
            query.push_bind(kind_text(filter.kind));
        }
    }
    begin(&mut query, filter, part, after);
    narrow(&mut query, filter);
    let (direction, column) = (direction(filter), column(filter.order.by));
    query.push(" ORDER BY ");
    if let (Some(column), Part::Having) = (column, part) {
        query.push(format_args!("c.{column} {direction}, "));
    }
    query.push(format_args!("c.id {direction} LIMIT "));
    query.push_bind(limit);
    query
}

/// Where the piece begins.
fn begin(
    query: &mut QueryBuilder<Database>,
    filter: &CredentialFilter,
    part: Part,
    after: Option<&CredentialPlace>,
) {
    let (comparison, start) = match filter.order.is_descending {
        true => ("<", LAST),
        false => (">", FIRST),
    };
    let id = after.map_or_else(|| start.to_owned(), |place| place.id.to_string());
    let column = column(filter.order.by);
    match (column, part, after.map(|place| &place.value)) {
        (Some(column), Part::Having, Some(CredentialValue::Name(name))) => {
            // The index is searched by the name alone: a pair with a collation is no search of it.
            query.push(format_args!(" AND c.{column} {comparison}= "));
            query.push_bind(name.clone());
            query.push(format_args!(" AND (c.{column}, c.id) {comparison} ("));
            query.push_bind(name.clone()).push(", ").push_bind(id);
            query.push(")");
        }
        (Some(column), Part::Having, Some(CredentialValue::Time(Some(at)))) => {
            query.push(format_args!(" AND (c.{column}, c.id) {comparison} ("));
            query.push_bind(*at).push(", ").push_bind(id).push(")");
        }
        (Some(column), Part::Having, _) => {
            // Of times: a search of the index, which a test for NULL is not.
            if may_lack(filter.order.by) {
                query.push(format_args!(" AND c.{column} >= 0"));
            }
        }
        (column, _, _) => {
            if let Some(column) = column {
                query.push(format_args!(" AND c.{column} IS NULL"));
            }
            query.push(format_args!(" AND c.id {comparison} "));
            query.push_bind(id);
        }
    }
}

/// What is asked for besides.
fn narrow(query: &mut QueryBuilder<Database>, filter: &CredentialFilter) {
    if let Some(clusters) = &filter.clusters {
        query.push(" AND c.cluster IN (SELECT value FROM json_each(");
        query.push_bind(serde_json::Value::from(clusters.as_slice()).to_string());
        query.push("))");
    }
    if let Some(name) = &filter.name {
        query.push(" AND instr(lower(c.name), lower(");
        query.push_bind(name.clone()).push(")) > 0");
    }
    if let Some(state) = filter.state {
        // The end is the earlier of two moments that may be missing; 1 << 62 is never.
        const END: &str = "min(ifnull(c.expires_at, 1 << 62), ifnull(c.retires_at, 1 << 62))";
        query.push(format_args!(
            " AND CASE WHEN c.revoked_at IS NOT NULL THEN 'revoked' WHEN {END} <= "
        ));
        query.push_bind(filter.now);
        query.push(format_args!(" THEN 'expired' WHEN {END} - "));
        query.push_bind(filter.now).push(" <= ");
        query.push_bind(EXPIRING_SECS);
        query.push(" THEN 'expiring' ELSE 'active' END = ");
        query.push_bind(state_text(state));
    }
}

/// The column, with how it is compared; nothing for the one that ids have the order of.
fn column(by: CredentialColumn) -> Option<&'static str> {
    match by {
        CredentialColumn::CreatedAt => None,
        CredentialColumn::Name => Some("name COLLATE NOCASE"),
        CredentialColumn::LastUsedAt => Some("used_at"),
        CredentialColumn::ExpiresAt => Some("expires_at"),
    }
}

fn may_lack(by: CredentialColumn) -> bool {
    matches!(
        by,
        CredentialColumn::LastUsedAt | CredentialColumn::ExpiresAt
    )
}

fn direction(filter: &CredentialFilter) -> &'static str {
    match filter.order.is_descending {
        true => "DESC",
        false => "ASC",
    }
}

fn state_text(state: State) -> &'static str {
    match state {
        State::Active => "active",
        State::Expiring => "expiring",
        State::Expired => "expired",
        State::Revoked => "revoked",
    }
}
