//! Pages of credentials, in the order that is asked for.

use super::{
    page::{credentials, kind_text},
    read::credential_columns,
    row,
};
use crate::store::{
    Credential, CredentialColumn, CredentialFilter, CredentialPlace, CredentialValue,
    EXPIRING_SECS, Page, State, Store, StoreError,
    database::{Builder, Dialect, Kind},
};

/// After and before every id. The beginning of a list is a place too, so that every page begins with a search of the index.
const LAST: &str = "~";
const FIRST: &str = "";

/// A piece of a list: those that have what the list is ordered by, or those that lack it and come after them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store) enum Part {
    /// The first piece, or the only one.
    Having,
    /// The second one.
    Lacking,
}

impl Store {
    /// A page of an organization's credentials, in the filter's order, which a place to begin after is one of.
    pub async fn page_credentials(
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
        let mut tx = self.database.snapshot(Kind::Search).await?;
        let dialect = tx.dialect();
        let query = piece(dialect, filter, first, after, page.limit).build();
        let mut rows = query.fetch_all(&mut tx).await?;
        let left = usize::try_from(page.limit).map_or(0, |limit| limit.saturating_sub(rows.len()));
        if left > 0 && first == Part::Having && may_lack(filter.order.by) {
            let left = u32::try_from(left).unwrap_or(page.limit);
            let query = piece(dialect, filter, Part::Lacking, None, left).build();
            rows.extend(query.fetch_all(&mut tx).await?);
        }
        rows.iter().map(row::credential).collect()
    }
}

/// The statement for a piece of a list. What narrows it is in the statement itself: the database chooses an index before it
/// knows what is bound. A `+` keeps SQLite from another index.
pub(in crate::store) fn piece(
    dialect: Dialect,
    filter: &CredentialFilter,
    part: Part,
    after: Option<&CredentialPlace>,
    limit: u32,
) -> Builder {
    let mut query = Builder::new(dialect, credentials!("WHERE "));
    match filter.owner {
        Some(owner) => {
            query.push("c.owner = ").push_bind(owner.to_string());
            query.either(" AND +c.organization = ", " AND c.organization = ");
            query.push_bind(filter.organization.to_string());
            query.either(" AND +c.kind = ", " AND c.kind = ");
            query.push_bind(kind_text(filter.kind));
        }
        None => {
            query.push("c.organization = ");
            query.push_bind(filter.organization.to_string());
            // No other index has the order of the ids.
            match filter.order.by {
                CredentialColumn::CreatedAt => query.either(" AND +c.kind = ", " AND c.kind = "),
                _ => query.push(" AND c.kind = "),
            };
            query.push_bind(kind_text(filter.kind));
        }
    }
    begin(&mut query, dialect, filter, part, after);
    narrow(&mut query, filter);
    let direction = match filter.order.is_descending {
        true => " DESC",
        false => " ASC",
    };
    query.push(" ORDER BY ");
    if let (Some(column), Part::Having) = (column(dialect, filter.order.by), part) {
        query.push(column).push(direction).push(", ");
    }
    query.push("c.id").push(direction);
    query.push(" LIMIT ").push_bind(limit);
    query
}

/// Where the piece begins.
fn begin(
    query: &mut Builder,
    dialect: Dialect,
    filter: &CredentialFilter,
    part: Part,
    after: Option<&CredentialPlace>,
) {
    let (beyond, from, start) = match filter.order.is_descending {
        true => (" < ", " <= ", LAST),
        false => (" > ", " >= ", FIRST),
    };
    let id = after.map_or_else(|| start.to_owned(), |place| place.id.to_string());
    let column = column(dialect, filter.order.by);
    match (column, part, after.map(|place| &place.value)) {
        (Some(column), Part::Having, Some(CredentialValue::Name(name))) => {
            let name = name.to_ascii_lowercase();
            // The index is searched by the name alone: in SQLite a pair with a collation is no search of it.
            query.push(" AND ").push(column).push(from);
            query.push_bind(name.clone());
            query.push(" AND (").push(column).push(", c.id)");
            query.push(beyond).push("(").push_bind(name);
            query.push(", ").push_bind(id).push(")");
        }
        (Some(column), Part::Having, Some(CredentialValue::Time(Some(at)))) => {
            query.push(" AND (").push(column).push(", c.id)");
            query.push(beyond).push("(").push_bind(*at);
            query.push(", ").push_bind(id).push(")");
        }
        (Some(column), Part::Having, _) => {
            // Of times: a search of the index, which a test for NULL is not.
            if may_lack(filter.order.by) {
                query.push(" AND ").push(column).push(" >= 0");
            }
        }
        (column, _, _) => {
            if let Some(column) = column {
                query.push(" AND ").push(column).push(" IS NULL");
            }
            query.push(" AND c.id").push(beyond).push_bind(id);
        }
    }
}

/// What is asked for besides.
fn narrow(query: &mut Builder, filter: &CredentialFilter) {
    if let Some(clusters) = &filter.clusters {
        query.either(
            " AND c.cluster IN (SELECT value FROM json_each(",
            " AND c.cluster IN (SELECT json_array_elements_text(CAST(",
        );
        query.push_bind(serde_json::Value::from(clusters.as_slice()).to_string());
        query.either("))", " AS json)))");
    }
    if let Some(name) = &filter.name {
        query.either(" AND instr", " AND strpos");
        query.push("(lower(c.name), ");
        query.push_bind(name.to_ascii_lowercase()).push(") > 0");
    }
    if let Some(state) = filter.state {
        let ends_by = |query: &mut Builder, moment: i64| {
            query.push("coalesce(c.expires_at <= ").push_bind(moment);
            query.push(", FALSE) OR coalesce(c.retires_at <= ");
            query.push_bind(moment).push(", FALSE)");
        };
        query.push(" AND CASE WHEN c.revoked_at IS NOT NULL THEN 'revoked' WHEN ");
        ends_by(query, filter.now);
        query.push(" THEN 'expired' WHEN ");
        ends_by(query, filter.now.saturating_add(EXPIRING_SECS));
        query.push(" THEN 'expiring' ELSE 'active' END = ");
        query.push_bind(state_text(state));
    }
}

/// The column, with how it is compared; nothing for the one that ids have the order of.
fn column(dialect: Dialect, by: CredentialColumn) -> Option<&'static str> {
    match (by, dialect) {
        (CredentialColumn::CreatedAt, _) => None,
        (CredentialColumn::Name, Dialect::Sqlite) => Some("c.name COLLATE NOCASE"),
        (CredentialColumn::Name, Dialect::Postgres) => Some("lower(c.name)"),
        (CredentialColumn::LastUsedAt, _) => Some("c.used_at"),
        (CredentialColumn::ExpiresAt, _) => Some("c.expires_at"),
    }
}

fn may_lack(by: CredentialColumn) -> bool {
    matches!(
        by,
        CredentialColumn::LastUsedAt | CredentialColumn::ExpiresAt
    )
}

fn state_text(state: State) -> &'static str {
    match state {
        State::Active => "active",
        State::Expiring => "expiring",
        State::Expired => "expired",
        State::Revoked => "revoked",
    }
}
