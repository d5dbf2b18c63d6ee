//! What a policy was told of a caller, as records have it: enough to ask the same again. It is written once for each
//! principal and copied into every record of theirs.

use std::borrow::Cow;

use scopegate_policy::{Caller, CallerKind, Clusters};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de, ser::SerializeMap};
use sha2::{Digest, Sha256};

use super::record::shows_a_secret;
use crate::Principal;

/// The longest facts that are recorded, in bytes. A user may be assigned to thousands of clusters, and what is longer would
/// make each of their requests a page of the log.
const FACTS_BYTES_MAX: usize = 8 << 10;

/// The facts of a caller without their kind. What is left out is what most callers have.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Told<'c> {
    /// Alone: a hash of facts that are too long for the log, or have a secret in them.
    #[serde(skip_serializing_if = "Option::is_none", borrow)]
    sha256: Option<Cow<'c, str>>,
    /// Left out where it is the record's `user`, or where there is none its `credential`.
    #[serde(skip_serializing_if = "Option::is_none", borrow)]
    subject: Option<Cow<'c, str>>,
    /// Left out where it is the record's.
    #[serde(skip_serializing_if = "Option::is_none", borrow)]
    organization: Option<Cow<'c, str>>,
    #[serde(skip_serializing_if = "is_empty")]
    roles: Cow<'c, [String]>,
    #[serde(skip_serializing_if = "is_empty")]
    permissions: Cow<'c, [String]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    scopes: Option<Cow<'c, [String]>>,
    /// Every cluster where it is left out, as below.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    clusters: Option<Cow<'c, [String]>>,
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    allowed_clusters: Option<Cow<'c, [String]>>,
    #[serde(skip_serializing_if = "Option::is_none", borrow)]
    agent_cluster: Option<Cow<'c, str>>,
    #[serde(skip_serializing_if = "is_false")]
    operator: bool,
    #[serde(skip_serializing_if = "is_false")]
    mfa: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    auth_time: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    credential_created: Option<i64>,
}

/// `null` would be every cluster: nobody writes that.
fn present<'de, 'c, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Cow<'c, [String]>>, D::Error> {
    Vec::deserialize(deserializer).map(|ids| Some(Cow::Owned(ids)))
}

fn is_empty(list: &[String]) -> bool {
    list.is_empty()
}

fn is_false(flag: &bool) -> bool {
    !flag
}

/// The facts of a principal as JSON, or their hash where they cannot be in the log.
pub(super) fn facts(principal: &Principal) -> Vec<u8> {
    let Principal { caller, .. } = principal;
    let only = |clusters| match clusters {
        &Clusters::All => None,
        Clusters::Only(ids) => Some(Cow::Borrowed(ids.as_slice())),
    };
    let own_subject = principal.user.unwrap_or(principal.credential).to_string();
    let other = |text: &'_ str, usual: String| (text != usual).then(|| text.to_owned().into());
    let told = Told {
        subject: other(&caller.subject, own_subject),
        organization: other(&caller.organization, principal.organization.to_string()),
        roles: Cow::Borrowed(&caller.roles),
        permissions: Cow::Borrowed(&caller.permissions),
        scopes: caller.scopes.as_deref().map(Cow::Borrowed),
        clusters: only(&caller.clusters),
        allowed_clusters: only(&caller.allowed_clusters),
        agent_cluster: caller.agent_cluster.as_deref().map(Cow::Borrowed),
        operator: caller.operator,
        mfa: caller.mfa,
        auth_time: caller.auth_time,
        credential_created: caller.credential_created,
        sha256: None,
    };
    // Texts and numbers into memory: there is nothing to fail at.
    let json = serde_json::to_string(&told).unwrap_or_default();
    if json.len() <= FACTS_BYTES_MAX && !shows_a_secret(&json) {
        return json.into_bytes();
    }
    let withheld = Told {
        sha256: Some(hex::encode(Sha256::digest(json)).into()),
        ..Told::default()
    };
    serde_json::to_vec(&withheld).unwrap_or_default()
}

/// What a record says of its caller besides the facts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Named<'r> {
    pub(crate) kind: CallerKind,
    pub(crate) organization: Option<&'r str>,
    pub(crate) user: Option<&'r str>,
    pub(crate) credential: Option<&'r str>,
}

impl Told<'_> {
    /// Whether the facts themselves are not in the log.
    pub(crate) fn is_withheld(&self) -> bool {
        self.sha256.is_some()
    }

    /// The caller that a policy was told of.
    ///
    /// # Errors
    /// What nothing says of them, for a caller of a gate would have it.
    pub(crate) fn caller(self, named: Named<'_>) -> Result<Caller, &'static str> {
        let or_named = |told: Option<Cow<'_, str>>, usual: Option<&str>| {
            told.map(Cow::into_owned).or(usual.map(str::to_owned))
        };
        let clusters = |only: Option<Cow<'_, [String]>>| match only {
            None => Clusters::All,
            Some(ids) => Clusters::Only(ids.into_owned()),
        };
        let subject = or_named(self.subject, named.user.or(named.credential));
        let organization = or_named(self.organization, named.organization);
        Ok(Caller {
            kind: named.kind,
            subject: subject.ok_or("credential")?,
            organization: organization.ok_or("organization")?,
            roles: self.roles.into_owned(),
            permissions: self.permissions.into_owned(),
            scopes: self.scopes.map(Cow::into_owned),
            clusters: clusters(self.clusters),
            allowed_clusters: clusters(self.allowed_clusters),
            agent_cluster: self.agent_cluster.map(Cow::into_owned),
            operator: self.operator,
            mfa: self.mfa,
            auth_time: self.auth_time,
            credential_created: self.credential_created,
        })
    }
}

/// Longest list of visible clusters that is recorded by name.
const VISIBLE_MAX: usize = 16;

/// The clusters that a policy's own answer shows, before the host bounds it: in records `"*"`, a list, or of a long one
/// (and of one that must not be in the log) its length and a hash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Visible {
    /// Every cluster.
    All,
    /// These, as the policy gave them.
    Only(Box<[String]>),
    /// So many, with this hash: SHA-256, in hex, of every id with a line feed behind it.
    Hashed {
        /// How many.
        count: usize,
        /// The hash.
        sha256: String,
    },
}

impl Visible {
    /// As records have it.
    pub fn of(clusters: &Clusters) -> Self {
        match clusters {
            Clusters::All => Self::All,
            Clusters::Only(ids)
                if ids.len() <= VISIBLE_MAX && !ids.iter().any(|id| shows_a_secret(id)) =>
            {
                Self::Only(ids.clone().into_boxed_slice())
            }
            Clusters::Only(ids) => Self::hashed(ids),
        }
    }

    /// The same clusters in the form that this has, so that the two can be compared.
    #[must_use]
    pub fn in_this_form(&self, clusters: &Clusters) -> Self {
        match (self, clusters) {
            (Self::Hashed { .. }, Clusters::Only(ids)) => Self::hashed(ids),
            (_, Clusters::Only(ids)) => Self::Only(ids.clone().into_boxed_slice()),
            (_, Clusters::All) => Self::All,
        }
    }

    fn hashed(ids: &[String]) -> Self {
        let mut hash = Sha256::new();
        for id in ids {
            hash.update(id);
            hash.update(b"\n");
        }
        Self::Hashed {
            count: ids.len(),
            sha256: hex::encode(hash.finalize()),
        }
    }
}

#[derive(Deserialize)]
#[serde(untagged, deny_unknown_fields)]
enum Shown {
    Word(String),
    Ids(Box<[String]>),
    Hashed { count: usize, sha256: String },
}

impl Serialize for Visible {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::All => serializer.serialize_str("*"),
            Self::Only(ids) => ids.serialize(serializer),
            Self::Hashed { count, sha256 } => {
                let mut map = serializer.serialize_map(Some(2))?;
                map.serialize_entry("count", count)?;
                map.serialize_entry("sha256", sha256)?;
                map.end()
            }
        }
    }
}

impl<'de> Deserialize<'de> for Visible {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Shown::deserialize(deserializer)? {
            Shown::Word(word) if word == "*" => Ok(Self::All),
            Shown::Word(word) => Err(de::Error::custom(format!("`{word}` is no set of clusters"))),
            Shown::Ids(ids) => Ok(Self::Only(ids)),
            Shown::Hashed { count, sha256 } => Ok(Self::Hashed { count, sha256 }),
        }
    }
}
