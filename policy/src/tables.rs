//! A policy after it was checked: what it says of itself, and the tables that decisions are read from.

use serde::{Deserialize, Serialize};

use crate::condition::{Condition, Op};
use crate::description::{ClusterSource, Description};
use crate::permission;
use crate::routing::{self, Routes, pattern};
use crate::vocabulary::Vocabulary;

/// Permissions of a catalogue at most.
pub const PERMISSIONS_MAX: usize = 4096;
/// Roles of a policy at most.
pub const ROLES_MAX: usize = 4096;
/// No permission is needed.
const NO_PERMISSION: u16 = u16::MAX;
/// There is no condition.
const NO_CONDITION: u16 = u16::MAX;
/// The first byte of the codec: another layout gets another number.
const FORMAT: u8 = 3;

/// What a route asks for besides what its [`crate::RouteInfo`] says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouteOptions {
    /// Only an operator of the gate passes.
    pub operator: bool,
    /// Only a session whose user signed in at most [`crate::SIGN_IN_SECS_MAX`] seconds ago passes.
    pub sign_in: bool,
    /// It is a route of the gate's own management API, [`crate::MANAGEMENT_PATH`]. Without a permission and without
    /// `operator` it is for every session and API key. Agents have no route there, and keys that only read elsewhere
    /// may write here.
    pub management: bool,
}

/// A policy as it was written, checked: all that the tables are made from, and what the codec carries.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rules {
    /// What it says of itself.
    pub description: Description,
    /// For each route of the description.
    pub options: Vec<RouteOptions>,
    /// Whether API keys may only GET.
    pub keys_read_only: bool,
    /// The conditions that routes and roles name by their texts: each once, in the order of these.
    pub conditions: Vec<Condition>,
}

/// A checked policy, ready to decide.
#[derive(Clone, Debug)]
pub struct Tables {
    rules: Rules,
    vocabulary: Vocabulary,
    pub(crate) routes: Routes,
    /// For each route.
    pub(crate) marks: Vec<RouteMark>,
    /// One set of permissions for each role, [`Vocabulary::set_bytes`] each.
    roles: Vec<u8>,
    /// For each role the number of its condition; empty when none has one.
    role_conditions: Vec<u16>,
}

/// A route as a decision reads it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RouteMark {
    requires: u16,
    condition: u16,
    pub(crate) public: bool,
    pub(crate) operator: bool,
    pub(crate) sign_in: bool,
    pub(crate) management: bool,
    pub(crate) cluster: ClusterMark,
}

/// Where a route's cluster is, as a decision reads it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum ClusterMark {
    Spans,
    Path(u16),
    /// The name is in the route's description.
    Query,
    Header,
    /// No cluster's data, or narrowed afterwards: by the upstream, or item by item.
    Narrowed,
}

impl RouteMark {
    /// The permission that the route needs.
    pub(crate) fn requires(self) -> Option<u16> {
        (self.requires != NO_PERMISSION).then_some(self.requires)
    }

    /// Whether the route has a condition.
    pub(crate) fn has_condition(self) -> bool {
        self.condition != NO_CONDITION
    }
}

impl Tables {
    /// Tables from rules. A document's own mistakes are found before, with their places; this is the check that
    /// nothing gets around.
    ///
    /// # Errors
    /// What is wrong with the rules, in one sentence.
    pub fn new(rules: Rules) -> Result<Self, String> {
        Self::build(rules).map_err(str::to_owned)
    }

    fn build(rules: Rules) -> Result<Self, &'static str> {
        let description = &rules.description;
        let vocabulary = Vocabulary::new(description);
        check_names(description)?;
        if rules.options.len() != description.routes.len() {
            return Err("the routes and their options differ in number");
        }
        check_conditions(&rules.conditions)?;
        let number = |when: &Option<String>| number_of(&rules.conditions, when.as_deref());
        let mut role_conditions = Vec::new();
        if description.roles.iter().any(|role| role.when.is_some()) {
            for role in &description.roles {
                role_conditions.push(number(&role.when)?);
            }
        }
        let mut roles = Vec::with_capacity(description.roles.len() * vocabulary.set_bytes());
        for role in &description.roles {
            let mut set = vec![0; vocabulary.set_bytes()];
            for name in &role.permissions {
                if !vocabulary.knows_permission(name) {
                    return Err("a role has a permission that is not in the catalogue");
                }
                vocabulary.add(&mut set, name);
            }
            roles.extend_from_slice(&set);
        }
        let mut marks = Vec::with_capacity(description.routes.len());
        for (route, options) in description.routes.iter().zip(&rules.options) {
            let requires = match &route.requires {
                Some(name) => vocabulary
                    .permission(name)
                    .ok_or("a route's permission is not in the catalogue")?,
                None if route.public || options.operator || options.management => NO_PERMISSION,
                None => return Err("a route neither is public nor requires a permission"),
            };
            if route.public && (route.requires.is_some() || options.operator || options.sign_in) {
                return Err("a public route requires something");
            }
            if options.management != route.is_management() {
                return Err("a route is management's by its path or by its options, not by both");
            }
            if options.management && route.public {
                return Err("a route of the management API is public");
            }
            let cluster = cluster_mark(&route.cluster, &route.pattern)?;
            let RouteOptions {
                operator,
                sign_in,
                management,
            } = *options;
            marks.push(RouteMark {
                requires,
                condition: number(&route.when)?,
                public: route.public,
                operator,
                sign_in,
                management,
                cluster,
            });
        }
        let routes = description
            .routes
            .iter()
            .map(|r| (r.method.as_str(), r.pattern.as_str()));
        let routes = routing::build(routes)?;
        Ok(Self {
            vocabulary,
            routes,
            marks,
            roles,
            role_conditions,
            rules,
        })
    }

    /// Whether a condition reads the client's address; otherwise nobody needs to know it.
    pub fn reads_address(&self) -> bool {
        self.rules.conditions.iter().any(Condition::reads_address)
    }

    /// What the policy says of itself.
    pub fn description(&self) -> &Description {
        &self.rules.description
    }

    /// All that the tables were made from.
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// The policy's names.
    pub fn vocabulary(&self) -> &Vocabulary {
        &self.vocabulary
    }

    /// For [`Tables::decode`].
    pub fn encode(&self) -> Vec<u8> {
        // Plain data into memory: postcard has nothing to fail at.
        postcard::to_extend(&self.rules, vec![FORMAT]).unwrap_or_default()
    }

    /// The tables of [`Tables::encode`].
    ///
    /// # Errors
    /// What is wrong with the bytes.
    pub fn decode(bytes: &[u8]) -> Result<Self, String> {
        match bytes.split_first() {
            Some((&FORMAT, rest)) => match postcard::take_from_bytes(rest) {
                Ok((rules, [])) => Self::new(rules),
                _ => Err("the tables are cut off or not tables".to_owned()),
            },
            _ => Err("these are not tables of this version".to_owned()),
        }
    }

    /// Whether a role has a permission, both by number.
    pub(crate) fn role_has(&self, role: u16, permission: u16) -> bool {
        let start = usize::from(role) * self.vocabulary.set_bytes();
        self.roles
            .get(start..)
            .is_some_and(|set| set_has(set, permission))
    }

    /// The code of a route's condition. A condition that is not there is one that no request meets.
    pub(crate) fn route_condition(&self, route: RouteMark) -> &[Op] {
        self.condition(route.condition)
    }

    /// The code of a role's condition, where it has one.
    pub(crate) fn role_condition(&self, role: u16) -> Option<&[Op]> {
        let number = *self.role_conditions.get(usize::from(role))?;
        (number != NO_CONDITION).then(|| self.condition(number))
    }

    fn condition(&self, number: u16) -> &[Op] {
        let condition = self.rules.conditions.get(usize::from(number));
        condition.map_or(&[], Condition::code)
    }

    /// The parameter or header that a route reads its cluster from.
    pub(crate) fn cluster_field(&self, route: u16) -> Option<&str> {
        match &self
            .rules
            .description
            .routes
            .get(usize::from(route))?
            .cluster
        {
            ClusterSource::Query(name) | ClusterSource::Header(name) => Some(name),
            _ => None,
        }
    }
}

/// Whether a set of permissions has this one.
pub(crate) fn set_has(set: &[u8], permission: u16) -> bool {
    set.get(usize::from(permission) / 8)
        .is_some_and(|byte| byte >> (permission % 8) & 1 == 1)
}

fn check_names(description: &Description) -> Result<(), &'static str> {
    if description.permissions.len() > PERMISSIONS_MAX {
        return Err("there are too many permissions");
    }
    if description.roles.len() > ROLES_MAX {
        return Err("there are too many roles");
    }
    if description
        .permissions
        .iter()
        .any(|p| !permission::is_name(&p.name))
    {
        return Err("a permission's name is not one");
    }
    if has_twice(description.permissions.iter().map(|p| p.name.as_str())) {
        return Err("a permission is in the catalogue twice");
    }
    if has_twice(description.roles.iter().map(|role| role.name.as_str())) {
        return Err("a role is there twice");
    }
    Ok(())
}

fn check_conditions(conditions: &[Condition]) -> Result<(), &'static str> {
    if conditions.len() >= usize::from(NO_CONDITION) {
        return Err("there are too many conditions");
    }
    if !conditions.is_sorted_by(|a, b| a.text < b.text) {
        return Err("the conditions are not in order");
    }
    conditions.iter().try_for_each(Condition::verify)
}

/// The number of the condition of this text.
fn number_of(conditions: &[Condition], when: Option<&str>) -> Result<u16, &'static str> {
    let Some(when) = when else {
        return Ok(NO_CONDITION);
    };
    let found = conditions.binary_search_by(|condition| condition.text.as_str().cmp(when));
    let found = found.ok().and_then(|number| u16::try_from(number).ok());
    found.ok_or("a condition was not compiled")
}

fn has_twice<'n>(names: impl Iterator<Item = &'n str>) -> bool {
    let mut names: Vec<&str> = names.collect();
    names.sort_unstable();
    !names.is_sorted_by(|a, b| a < b)
}

fn cluster_mark(source: &ClusterSource, pattern: &str) -> Result<ClusterMark, &'static str> {
    Ok(match source {
        ClusterSource::Spans => ClusterMark::Spans,
        ClusterSource::None | ClusterSource::Upstream | ClusterSource::Lists(_) => {
            ClusterMark::Narrowed
        }
        ClusterSource::Query(_) => ClusterMark::Query,
        ClusterSource::Header(_) => ClusterMark::Header,
        ClusterSource::Path(index) => {
            let segments = pattern::parse(pattern).map_err(|bad| bad.message)?;
            match segments.get(*index as usize) {
                Some(pattern::Segment::Parameter(_)) => ClusterMark::Path(
                    u16::try_from(*index).map_err(|_| "a route has too many segments")?,
                ),
                _ => return Err("a route's cluster is not a parameter of its pattern"),
            }
        }
    })
}
