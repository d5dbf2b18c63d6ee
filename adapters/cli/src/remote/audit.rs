//! The audit of one's organization over the API.

use anyhow::Result;
use serde_json::Value;
use uuid::Uuid;

use super::{Remote, view::Listed};

/// Records on a page: as many as the API gives.
const PAGE: u32 = 200;

/// Which records are searched for.
#[derive(Debug)]
pub(crate) struct AuditQuery {
    /// The caller's own, by name or id.
    pub(crate) organization: Option<String>,
    /// A user, by e-mail address or id.
    pub(crate) user: Option<String>,
    /// The other parameters of the API.
    pub(crate) filter: Vec<(&'static str, Option<String>)>,
}

impl Remote {
    /// Finds records, newest first and at most so many, and hands them over page by page.
    pub(crate) async fn search_audit(
        &self,
        query: AuditQuery,
        limit: u32,
        mut found: impl FnMut(&[Value]) -> Result<()>,
    ) -> Result<()> {
        self.require_home(query.organization.as_deref()).await?;
        let user = match query.user {
            Some(user) if Uuid::parse_str(&user).is_ok() => Some(user),
            Some(email) => Some(self.user(&email).await?.id.to_string()),
            None => None,
        };
        let filter = [vec![("user", user)], query.filter].concat();
        let (mut cursor, mut left): (Option<String>, u32) = (None, limit);
        while left > 0 {
            let size = left.min(PAGE).to_string();
            let mut call = self.gate.get(&["audit"]).query("limit", &size);
            for (name, value) in &filter {
                if let Some(value) = value {
                    call = call.query(name, value);
                }
            }
            if let Some(cursor) = &cursor {
                call = call.query("cursor", cursor);
            }
            let page: Listed<Value> = call.json().await?;
            found(&page.items)?;
            let count = u32::try_from(page.items.len()).unwrap_or(u32::MAX);
            left = left.saturating_sub(count);
            match page.next_cursor {
                Some(next) if count > 0 => cursor = Some(next),
                _ => break,
            }
        }
        Ok(())
    }
}
