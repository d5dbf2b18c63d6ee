//! Looking for records.

use uuid::Uuid;

use super::line::{self, RecordKind};

/// Which records are wanted: those that are all of this. The default is every record.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Of this organization alone. Whoever asks for an organization's records must set it.
    pub organization: Option<Uuid>,
    /// Requests and changes of this user.
    pub user: Option<Uuid>,
    /// Requests and changes of this credential or session.
    pub credential: Option<Uuid>,
    /// Changes of this: the id of a key, a user, a session or a cluster, or the name of a role.
    pub subject: Option<String>,
    /// Requests or changes.
    pub kind: Option<RecordKind>,
    /// Changes of this kind, such as `key.mint`.
    pub action: Option<String>,
    /// Requests with this outcome: `admit` or `refuse`.
    pub outcome: Option<String>,
    /// Requests refused for this reason, such as `missing-permission`.
    pub reason: Option<String>,
    /// Requests whose path begins with this.
    pub path: Option<String>,
    /// From this moment on, in milliseconds since the epoch.
    pub since_ms: Option<i64>,
    /// Before this moment.
    pub until_ms: Option<i64>,
}

/// What a search found. It looks at a bounded number of records, so that it may have found few or none and still have
/// older ones to look at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Searched {
    /// Newest first.
    pub records: Vec<Found>,
    /// The number to go on before; `None` where every record was looked at.
    pub older: Option<i64>,
}

/// A record that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Its number.
    pub seq: i64,
    /// Its line: a JSON object. Its fields are in docs/audit.md.
    pub line: String,
}

impl Found {
    /// Its line with its number as the first member, `seq`: as lines are written outside the store.
    pub fn numbered(&self) -> String {
        let mut text = Vec::new();
        line::numbered(self.seq, &self.line, &mut text);
        String::from_utf8_lossy(&text).trim_end().to_owned()
    }
}
