//! Sessions of users, for whoever looks after them.

use super::{Admin, AdminError, Reply};
use crate::store::{Change, Page};

/// Sessions that are read at once.
const PAGE: u32 = 1000;

impl Admin<'_> {
    pub(super) async fn list_sessions(
        &self,
        email: &str,
        now_ms: i64,
    ) -> Result<Reply, AdminError> {
        let user = self.user(email).await?.id;
        let mut sessions = Vec::new();
        let mut after = None;
        loop {
            let page = Page { after, limit: PAGE };
            let found = self
                .directory
                .store()
                .open_sessions(user, now_ms.div_euclid(1000), &page)
                .await?;
            let Some((last, _)) = found.last() else {
                return Ok(Reply::Sessions { sessions });
            };
            after = Some(*last);
            sessions.extend(found.into_iter().map(|(_, session)| session));
        }
    }

    pub(super) async fn end_sessions(&self, email: &str, now_ms: i64) -> Result<Reply, AdminError> {
        let user = self.user(email).await?.id;
        self.done(Change::EndSessions { user, except: None }, now_ms)
            .await
    }
}
