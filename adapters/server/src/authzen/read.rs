//! A question as JSON: what must be there is there, and is of its type. What is not known is ignored, as the specification
//! says.

use std::net::IpAddr;

use http::{HeaderMap, HeaderName, HeaderValue};
use jiff::Timestamp;
use scopegate_host::{
    CallerKind, Cause, Clusters,
    gate::{Around, Claims, SubjectName},
};
use scopegate_policy::is_cluster_id;
use serde_json::{Map, Value};

/// Texts in a list of claims, at most.
const CLAIMS_MAX: usize = 256;
/// And clusters.
const CLUSTERS_MAX: usize = 1_000;
/// Bytes of a claim at most.
const CLAIM_BYTES_MAX: usize = 253;
/// The role of agents whose roles are not said.
const AGENT_ROLE: &str = "agent";
/// Properties that say what a subject may.
const CLAIMS: [&str; 7] = [
    "roles",
    "permissions",
    "scopes",
    "clusters",
    "cluster",
    "mfa",
    "auth_time",
];

/// The shape is wrong; the text names the place.
pub(super) fn invalid(what: impl Into<String>) -> Cause {
    Cause::InvalidRequest(what.into())
}

/// The members of a question, each as it came.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Members<'v> {
    subject: Option<&'v Value>,
    action: Option<&'v Value>,
    resource: Option<&'v Value>,
    context: Option<&'v Value>,
}

impl<'v> Members<'v> {
    pub(super) fn of(asked: &'v Map<String, Value>) -> Self {
        Self {
            subject: asked.get("subject"),
            action: asked.get("action"),
            resource: asked.get("resource"),
            context: asked.get("context"),
        }
    }

    /// The same, with whole members of another question where it has none: nothing is merged within them.
    pub(super) fn or(self, defaults: Self) -> Self {
        Self {
            subject: self.subject.or(defaults.subject),
            action: self.action.or(defaults.action),
            resource: self.resource.or(defaults.resource),
            context: self.context.or(defaults.context),
        }
    }

    /// Checks that what is there has its type: of defaults, which need not be whole.
    pub(super) fn check(&self) -> Result<(), Cause> {
        let named = [
            ("subject", self.subject),
            ("action", self.action),
            ("resource", self.resource),
            ("context", self.context),
        ];
        for (name, value) in named {
            if let Some(value) = value {
                members(name, value)?;
            }
        }
        Ok(())
    }

    pub(super) fn subject(&self) -> Result<Thing<'v>, Cause> {
        Thing::read("subject", self.subject, true)
    }

    /// Of whom a search says the type alone.
    pub(super) fn subject_type(&self) -> Result<Thing<'v>, Cause> {
        Thing::read("subject", self.subject, false)
    }

    pub(super) fn resource(&self) -> Result<Thing<'v>, Cause> {
        Thing::read("resource", self.resource, true)
    }

    pub(super) fn resource_type(&self) -> Result<Thing<'v>, Cause> {
        Thing::read("resource", self.resource, false)
    }

    /// The action's name.
    pub(super) fn action(&self) -> Result<&'v str, Cause> {
        let action = required("action", self.action)?;
        properties("action", action)?;
        text("action", action, "name")
    }

    pub(super) fn context(&self, now_ms: i64) -> Result<Context, Cause> {
        match self.context {
            None => Ok(Context {
                headers: HeaderMap::new(),
                at_ms: now_ms,
                address: None,
            }),
            Some(context) => Context::read(members("context", context)?, now_ms),
        }
    }
}

/// A subject or a resource.
#[derive(Clone, Copy, Debug)]
pub(super) struct Thing<'v> {
    pub(super) kind: &'v str,
    /// Empty where none is wanted.
    pub(super) id: &'v str,
    pub(super) properties: Option<&'v Map<String, Value>>,
}

impl<'v> Thing<'v> {
    fn read(name: &str, value: Option<&'v Value>, has_id: bool) -> Result<Self, Cause> {
        let thing = required(name, value)?;
        Ok(Self {
            kind: text(name, thing, "type")?,
            id: match has_id {
                true => text(name, thing, "id")?,
                false => "",
            },
            properties: properties(name, thing)?,
        })
    }

    /// A property, if it is there.
    pub(super) fn property(&self, name: &str) -> Option<&'v Value> {
        self.properties.and_then(|properties| properties.get(name))
    }

    /// Whom this names, as a subject.
    pub(super) fn as_subject(&self) -> Result<SubjectName<'v>, Cause> {
        let kind = match self.kind {
            "anonymous" => return Ok(SubjectName::Anonymous),
            "user" | "session" => CallerKind::Session,
            "key" | "api_key" => CallerKind::ApiKey,
            "agent" => CallerKind::Agent,
            kind => return Ok(SubjectName::Other { kind, id: self.id }),
        };
        if CLAIMS.iter().any(|name| self.property(name).is_some()) {
            return self.claims(kind).map(SubjectName::Claimed);
        }
        Ok(match self.kind {
            "session" => SubjectName::Session(self.id),
            "agent" => SubjectName::Agent(self.id),
            "key" | "api_key" => SubjectName::Key(self.id),
            _ => SubjectName::User(self.id),
        })
    }

    fn claims(&self, kind: CallerKind) -> Result<Claims, Cause> {
        if self.id.is_empty() || self.id.len() > CLAIM_BYTES_MAX {
            let what = format!("`subject.id` has 1 to {CLAIM_BYTES_MAX} bytes where it is claimed");
            return Err(invalid(what));
        }
        let own = match self.property("cluster") {
            None if kind == CallerKind::Agent => {
                return Err(invalid(
                    "`subject.properties.cluster` is missing: an agent has one",
                ));
            }
            None => None,
            Some(Value::String(id)) if is_cluster_id(id) && kind == CallerKind::Agent => {
                Some(id.clone())
            }
            Some(_) => {
                let what = "`subject.properties.cluster` is not the id of an agent's cluster";
                return Err(invalid(what));
            }
        };
        let clusters = match self.texts("clusters", CLUSTERS_MAX)? {
            None => Clusters::All,
            // Of nothing it is none: that an empty list means all is a matter of minting.
            Some(ids) if ids.iter().all(|id| is_cluster_id(id)) => Clusters::only(ids),
            Some(_) => {
                let what = "`subject.properties.clusters` has what cannot be a cluster's id";
                return Err(invalid(what));
            }
        };
        let roles = self.texts("roles", CLAIMS_MAX)?;
        let usual = || match kind {
            CallerKind::Agent => vec![AGENT_ROLE.to_owned()],
            _ => Vec::new(),
        };
        Ok(Claims {
            kind,
            subject: self.id.to_owned(),
            roles: roles.unwrap_or_else(usual),
            permissions: self.texts("permissions", CLAIMS_MAX)?.unwrap_or_default(),
            scopes: self.texts("scopes", CLAIMS_MAX)?,
            clusters,
            agent_cluster: own,
            mfa: match self.property("mfa") {
                None => false,
                Some(Value::Bool(mfa)) => *mfa,
                Some(_) => return Err(invalid("`subject.properties.mfa` is not true or false")),
            },
            auth_time: match self.property("auth_time") {
                None => None,
                Some(time) => Some(time.as_i64().ok_or_else(|| {
                    invalid("`subject.properties.auth_time` is not a number of seconds")
                })?),
            },
        })
    }

    /// A list of claims.
    fn texts(&self, name: &str, max: usize) -> Result<Option<Vec<String>>, Cause> {
        let wrong = || {
            invalid(format!(
                "`subject.properties.{name}` is not a list of at most {max} texts of at most {CLAIM_BYTES_MAX} bytes"
            ))
        };
        let Some(value) = self.property(name) else {
            return Ok(None);
        };
        let items = value.as_array().filter(|items| items.len() <= max);
        let items = items.ok_or_else(wrong)?.iter();
        let texts = items.map(|item| item.as_str().filter(|text| text.len() <= CLAIM_BYTES_MAX));
        let texts: Option<Vec<String>> = texts.map(|text| text.map(str::to_owned)).collect();
        texts.map(Some).ok_or_else(wrong)
    }
}

/// What else is known of the request that is asked about.
#[derive(Clone, Debug)]
pub(super) struct Context {
    headers: HeaderMap,
    at_ms: i64,
    address: Option<IpAddr>,
}

impl Context {
    fn read(members: &Map<String, Value>, now_ms: i64) -> Result<Self, Cause> {
        let at_ms = match members.get("time") {
            None => now_ms,
            Some(time) => {
                let time = time
                    .as_str()
                    .and_then(|time| time.parse::<Timestamp>().ok());
                let time =
                    time.ok_or_else(|| invalid("`context.time` is not a time (RFC 3339)"))?;
                time.as_millisecond()
            }
        };
        let address = match members.get("ip") {
            None => None,
            Some(address) => {
                let address = address
                    .as_str()
                    .and_then(|address| address.parse::<IpAddr>().ok());
                let address = address.ok_or_else(|| invalid("`context.ip` is not an address"))?;
                Some(address.to_canonical())
            }
        };
        let mut headers = HeaderMap::new();
        if let Some(sent) = members.get("headers") {
            for (name, value) in self::members("context.headers", sent)? {
                let wrong = || invalid("`context.headers` has what is no header");
                let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| wrong())?;
                let value = value.as_str().ok_or_else(wrong)?;
                headers.append(name, HeaderValue::from_str(value).map_err(|_| wrong())?);
            }
        }
        Ok(Self {
            headers,
            at_ms,
            address,
        })
    }

    pub(super) fn around(&self) -> Around<'_> {
        Around {
            headers: &self.headers,
            at_ms: self.at_ms,
            address: self.address,
        }
    }
}

fn required<'v>(name: &str, value: Option<&'v Value>) -> Result<&'v Map<String, Value>, Cause> {
    members(
        name,
        value.ok_or_else(|| invalid(format!("`{name}` is missing")))?,
    )
}

/// The members of an object.
pub(super) fn members<'v>(name: &str, value: &'v Value) -> Result<&'v Map<String, Value>, Cause> {
    value
        .as_object()
        .ok_or_else(|| invalid(format!("`{name}` is not an object")))
}

fn properties<'v>(
    name: &str,
    thing: &'v Map<String, Value>,
) -> Result<Option<&'v Map<String, Value>>, Cause> {
    let properties = thing.get("properties");
    properties
        .map(|value| members(&format!("{name}.properties"), value))
        .transpose()
}

fn text<'v>(name: &str, thing: &'v Map<String, Value>, member: &str) -> Result<&'v str, Cause> {
    match thing.get(member) {
        Some(Value::String(text)) => Ok(text),
        Some(_) => Err(invalid(format!("`{name}.{member}` is not a text"))),
        None => Err(invalid(format!("`{name}.{member}` is missing"))),
    }
}
