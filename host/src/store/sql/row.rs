//! Reading columns: whatever is in the file, a row either makes sense or is an error that names it.

use std::collections::BTreeSet;

use jiff::Timestamp;
use scopegate_policy::{Clusters, is_cluster_id, permission};
use uuid::Uuid;

use crate::{
    factor::Sealed,
    key::KeyHash,
    name,
    password::PasswordHash,
    store::{
        Cluster, Credential, CredentialFacts, CredentialKind, Factor, LoginFacts, Node,
        OpenSession, Organization, Owner, PolicySource, PolicyVersion, Role, Session, SessionFacts,
        ShadowVersion, Standing, StoreError, User,
        database::{Column, Row},
    },
};

/// A gate of which nothing was heard for so long is not there.
const SILENT_MS_MAX: i64 = 10_000;
/// The last second of the year 9999: later times cannot be written as dates.
const TIME_MAX: i64 = 253_402_300_799;

/// A row of a table, by whose id errors name it. `alias` is what the query puts before the columns' names.
struct Fields<'r> {
    row: &'r Row,
    table: &'static str,
    alias: &'static str,
    id: String,
}

impl<'r> Fields<'r> {
    fn new(row: &'r Row, table: &'static str, alias: &'static str, id: &str) -> Self {
        let mut fields = Self {
            row,
            table,
            alias,
            id: "?".to_owned(),
        };
        if let Ok(id) = fields.get::<String>(id) {
            fields.id = id;
        }
        fields
    }

    fn corrupt(&self, column: &str, what: &str) -> StoreError {
        StoreError::Corrupt {
            table: self.table,
            id: self.id.clone(),
            what: format!("`{column}` {what}"),
        }
    }

    fn get<T: Column>(&self, column: &str) -> Result<T, StoreError> {
        let name = format!("{}{column}", self.alias);
        self.row
            .try_get(name.as_str())
            .map_err(|error| match error {
                sqlx::Error::ColumnDecode { source, .. } => {
                    self.corrupt(column, &format!("cannot be read: {source}"))
                }
                other => self.corrupt(column, &format!("cannot be read: {other}")),
            })
    }

    fn named(&self, column: &str, valid: fn(&str) -> bool) -> Result<String, StoreError> {
        let text: String = self.get(column)?;
        if valid(&text) {
            Ok(text)
        } else {
            Err(self.corrupt(column, "is not a valid name"))
        }
    }

    fn id(&self, column: &str) -> Result<Uuid, StoreError> {
        self.optional_id(column)?
            .ok_or_else(|| self.corrupt(column, "is missing"))
    }

    fn optional_id(&self, column: &str) -> Result<Option<Uuid>, StoreError> {
        let text: Option<String> = self.get(column)?;
        text.map(|text| Uuid::parse_str(&text).map_err(|_| self.corrupt(column, "is not a UUID")))
            .transpose()
    }

    fn time(&self, column: &str) -> Result<i64, StoreError> {
        self.optional_time(column)?
            .ok_or_else(|| self.corrupt(column, "is missing"))
    }

    fn optional_time(&self, column: &str) -> Result<Option<i64>, StoreError> {
        match self.get::<Option<i64>>(column)? {
            Some(time) if !(0..=TIME_MAX).contains(&time) => {
                Err(self.corrupt(column, "is not a time"))
            }
            time => Ok(time),
        }
    }

    fn names(
        &self,
        column: &str,
        valid: fn(&str) -> bool,
    ) -> Result<Option<Vec<String>>, StoreError> {
        let Some(text) = self.get::<Option<String>>(column)? else {
            return Ok(None);
        };
        let names: Vec<String> = serde_json::from_str(&text)
            .map_err(|_| self.corrupt(column, "is not a list of names"))?;
        match names.iter().find(|name| !valid(name)) {
            Some(_) => Err(self.corrupt(column, "has a name that is not valid")),
            None => Ok(Some(names)),
        }
    }

    fn clusters(&self, column: &str) -> Result<Clusters, StoreError> {
        let ids = self.names(column, is_cluster_id)?;
        Ok(ids.map_or(Clusters::All, Clusters::only))
    }
}

pub(super) fn organization(row: &Row) -> Result<Organization, StoreError> {
    let fields = Fields::new(row, "organizations", "", "id");
    Ok(Organization {
        id: fields.id("id")?,
        name: fields.named("name", name::is_title)?,
        created_at: fields.time("created_at")?,
        epoch: fields.get("epoch")?,
    })
}

pub(super) fn policy(row: &Row) -> Result<PolicyVersion, StoreError> {
    let fields = Fields::new(row, "policies", "", "digest");
    let word: String = fields.get("source")?;
    let source = PolicySource::ALL
        .into_iter()
        .find(|known| known.word() == word);
    Ok(PolicyVersion {
        digest: fields.get("digest")?,
        name: fields.get("name")?,
        version: fields.get("version")?,
        bytes: fields.get("bytes")?,
        added_at: fields.time("added_at")?,
        activated_at: fields.time("activated_at")?,
        activated_by: fields.get("activated_by")?,
        source: source.ok_or_else(|| fields.corrupt("source", "is not a known word"))?,
        configured: fields.get("configured")?,
    })
}

/// The active policy's digest and source, and the digest of the one in its shadow.
pub(super) fn standing(row: &Row) -> Result<Standing, StoreError> {
    let fields = Fields::new(row, "policies", "", "active");
    let word: Option<String> = fields.get("source")?;
    Ok(Standing {
        active: fields.get("active")?,
        is_fault: word.as_deref() == Some(PolicySource::Fault.word()),
        shadow: fields.get("shadow")?,
    })
}

/// A gate that serves, and for how long nothing was heard of it.
pub(super) fn node(row: &Row) -> Result<Node, StoreError> {
    let fields = Fields::new(row, "nodes", "", "id");
    let moment = |column| {
        let moment = Timestamp::from_millisecond(fields.get(column)?);
        moment.map_err(|_| fields.corrupt(column, "is not a time"))
    };
    Ok(Node {
        id: fields.id("id")?,
        name: fields.get("name")?,
        version: fields.get("version")?,
        started_at: moment("started_at")?,
        seen_at: moment("seen_at")?,
        is_here: fields.get::<i64>("silent")? < SILENT_MS_MAX,
        digest: fields.get("digest")?,
        since: moment("since")?,
        problem: fields.get("problem")?,
    })
}

/// With its component.
pub(super) fn shadow(row: &Row) -> Result<(ShadowVersion, Vec<u8>), StoreError> {
    let fields = Fields::new(row, "shadow", "", "digest");
    let version = ShadowVersion {
        digest: fields.get("digest")?,
        name: fields.get("name")?,
        version: fields.get("version")?,
        bytes: fields.get("bytes")?,
        pushed_at: fields.time("pushed_at")?,
        pushed_by: fields.get("pushed_by")?,
    };
    Ok((version, fields.get("component")?))
}

/// From columns whose names begin with `alias`.
pub(super) fn user(row: &Row, alias: &'static str) -> Result<User, StoreError> {
    let fields = Fields::new(row, "users", alias, "id");
    let organization = fields.optional_id("organization")?;
    let role: Option<String> = fields.get("role")?;
    if role
        .as_deref()
        .is_some_and(|role| !permission::is_word(role))
    {
        return Err(fields.corrupt("role", "is not a valid name"));
    }
    if organization.is_some() != role.is_some() {
        return Err(fields.corrupt("role", "and organization must be there together"));
    }
    // An operator's clusters are those of no organization.
    let clusters = match organization {
        Some(_) => fields.clusters("clusters")?,
        None => Clusters::Only(Vec::new()),
    };
    Ok(User {
        id: fields.id("id")?,
        organization,
        email: fields.named("email", name::is_email)?,
        role,
        clusters,
        created_at: fields.time("created_at")?,
        disabled_at: fields.optional_time("disabled_at")?,
        epoch: fields.get("epoch")?,
    })
}

pub(super) fn login(row: &Row) -> Result<LoginFacts, StoreError> {
    let fields = Fields::new(row, "users", "", "id");
    let phc: Option<String> = fields.get("password_hash")?;
    let parsed = phc.map(|phc| {
        PasswordHash::parse(phc)
            .map_err(|error| fields.corrupt("password_hash", &error.to_string()))
    });
    Ok(LoginFacts {
        user: user(row, "")?,
        password: parsed.transpose()?,
        factor: factor(row)?,
    })
}

/// The joined second factor, under `factor_`, if there is one.
fn factor(row: &Row) -> Result<Option<Factor>, StoreError> {
    let fields = Fields::new(row, "factors", "factor_", "user");
    if fields.get::<Option<String>>("user")?.is_none() {
        return Ok(None);
    }
    Ok(Some(Factor {
        secret: Sealed::from_bytes(fields.get("secret")?),
        created_at: fields.time("created_at")?,
        confirmed_at: fields.optional_time("confirmed_at")?,
        locked_until: fields.optional_time("locked_until")?,
        recovery_codes_left: u32::try_from(fields.get::<i64>("recovery_codes_left")?)
            .map_err(|_| fields.corrupt("recovery_codes_left", "is not a number of codes"))?,
    }))
}

pub(super) fn role(row: &Row) -> Result<Role, StoreError> {
    let fields = Fields::new(row, "roles", "", "name");
    Ok(Role {
        name: fields.named("name", permission::is_word)?,
        permissions: fields
            .names("permissions", is_pattern)?
            .ok_or_else(|| fields.corrupt("permissions", "is missing"))?,
        epoch: fields.get("epoch")?,
    })
}

pub(super) fn cluster(row: &Row) -> Result<Cluster, StoreError> {
    let fields = Fields::new(row, "clusters", "", "id");
    Ok(Cluster {
        id: fields.named("id", is_cluster_id)?,
        created_at: fields.time("created_at")?,
        deleted_at: fields.optional_time("deleted_at")?,
    })
}

pub(super) fn credential(row: &Row) -> Result<Credential, StoreError> {
    let fields = Fields::new(row, "credentials", "", "id");
    let cluster: Option<String> = fields.get("cluster")?;
    let kind = match (fields.get::<String>("kind")?.as_str(), &cluster) {
        ("api-key", None) => CredentialKind::ApiKey,
        ("agent", Some(id)) if is_cluster_id(id) => CredentialKind::Agent,
        _ => return Err(fields.corrupt("kind", "does not go with its cluster")),
    };
    Ok(Credential {
        id: fields.id("id")?,
        organization: fields.id("organization")?,
        kind,
        name: fields.named("name", name::is_title)?,
        owner: fields.optional_id("owner")?,
        owner_email: fields.get("owner_email")?,
        scopes: fields.names("scopes", permission::is_name)?,
        allowed_clusters: fields.clusters("allowed_clusters")?,
        cluster,
        prefix: fields.get("prefix")?,
        last_four: fields.get("last_four")?,
        created_at: fields.time("created_at")?,
        expires_at: fields.optional_time("expires_at")?,
        revoked_at: fields.optional_time("revoked_at")?,
        predecessor: fields.optional_id("predecessor")?,
        successor: fields.optional_id("successor")?,
        retires_at: fields.optional_time("retires_at")?,
        // Only lists ask for it: a request must not pay for it.
        last_used_at: row.try_get("last_used_at").unwrap_or_default(),
    })
}

pub(super) fn credential_facts(row: &Row) -> Result<CredentialFacts, StoreError> {
    let fields = Fields::new(row, "credentials", "", "id");
    let credential = credential(row)?;
    let hash: Vec<u8> = fields.get("hash")?;
    let hash = <[u8; 32]>::try_from(hash).map_err(|_| fields.corrupt("hash", "is not 32 bytes"))?;
    let owner = match credential.owner {
        Some(_) => {
            let owner = owner(row, &fields, "owner")?;
            if owner.user.organization != Some(credential.organization) {
                return Err(fields.corrupt("owner", "is in another organization"));
            }
            Some(owner)
        }
        None => None,
    };
    Ok(CredentialFacts {
        hash: KeyHash::from_bytes(hash),
        credential,
        owner,
        registered: registered(&fields)?,
        version: fields.get("version")?,
    })
}

pub(super) fn session_facts(row: &Row) -> Result<SessionFacts, StoreError> {
    let fields = Fields::new(row, "sessions", "", "id");
    Ok(SessionFacts {
        session: session(&fields)?,
        owner: owner(row, &fields, "user")?,
        factor_confirmed: fields.get("factor_confirmed")?,
        registered: registered(&fields)?,
        version: fields.get("version")?,
    })
}

pub(super) fn open_session(row: &Row) -> Result<OpenSession, StoreError> {
    let fields = Fields::new(row, "sessions", "", "id");
    Ok(OpenSession {
        session: session(&fields)?,
        created_at: fields.time("created_at")?,
        last_used_at: fields.optional_time("last_used_at")?,
    })
}

fn session(fields: &Fields<'_>) -> Result<Session, StoreError> {
    Ok(Session {
        id: fields.id("id")?,
        user: fields.id("user")?,
        auth_time: fields.time("auth_time")?,
        mfa: fields.get("mfa")?,
        expires_at: fields.time("expires_at")?,
        revoked_at: fields.optional_time("revoked_at")?,
    })
}

/// The joined user, under `user_`, whom a column of the row names, and their custom role's permissions.
fn owner(row: &Row, of: &Fields<'_>, column: &str) -> Result<Owner, StoreError> {
    let there: Option<String> = of.get("user_id")?;
    if there.is_none() {
        return Err(of.corrupt(column, "is a user who is not there"));
    }
    let user = user(row, "user_")?;
    let id = user.role.clone().unwrap_or_default();
    let role = Fields {
        row,
        table: "roles",
        alias: "role_",
        id,
    };
    Ok(Owner {
        custom_role: role.names("permissions", is_pattern)?,
        user,
    })
}

fn registered(fields: &Fields<'_>) -> Result<BTreeSet<String>, StoreError> {
    let ids = fields.names("registered", is_cluster_id)?;
    Ok(ids.unwrap_or_default().into_iter().collect())
}

fn is_pattern(text: &str) -> bool {
    permission::Pattern::parse(text).is_some()
}
