//! The names that a policy knows, and their numbers: what turns a caller's strings into bits.

use crate::description::{ClusterSource, Description};
use crate::permission::Pattern;

/// A policy's names, sorted for look-up. Made once for each policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vocabulary {
    /// Names in the catalogue's order, which is that of the bits.
    permissions: Vec<String>,
    permissions_sorted: Vec<u16>,
    scopes: Vec<bool>,
    roles: Vec<String>,
    roles_sorted: Vec<u16>,
    query: Vec<String>,
    headers: Vec<String>,
    fingerprint: u64,
}

impl Vocabulary {
    /// The names of a policy. Beyond 65,535 permissions or roles, which no compiled document has, further ones
    /// grant nothing.
    pub fn new(description: &Description) -> Self {
        let permissions: Vec<String> = description
            .permissions
            .iter()
            .take(usize::from(u16::MAX))
            .map(|p| p.name.clone())
            .collect();
        let roles: Vec<String> = description
            .roles
            .iter()
            .take(usize::from(u16::MAX))
            .map(|role| role.name.clone())
            .collect();
        let scopes = description.permissions.iter().map(|p| p.scope).collect();
        let (mut query, mut headers) = (Vec::new(), Vec::new());
        for route in &description.routes {
            match &route.cluster {
                ClusterSource::Query(name) => query.push(name.clone()),
                ClusterSource::Header(name) => headers.push(name.clone()),
                _ => {}
            }
        }
        headers.extend_from_slice(&description.headers);
        for names in [&mut query, &mut headers] {
            names.sort_unstable();
            names.dedup();
        }
        Self {
            permissions_sorted: sorted(&permissions),
            roles_sorted: sorted(&roles),
            fingerprint: fingerprint(description),
            permissions,
            scopes,
            roles,
            query,
            headers,
        }
    }

    /// Whether the catalogue has this permission.
    pub fn knows_permission(&self, name: &str) -> bool {
        self.permission(name).is_some()
    }

    /// Whether the catalogue has this permission and a key may carry it.
    pub fn is_scope(&self, name: &str) -> bool {
        self.permission(name)
            .and_then(|index| self.scopes.get(usize::from(index)))
            .is_some_and(|scope| *scope)
    }

    /// Whether the policy has a role of this name.
    pub fn knows_role(&self, name: &str) -> bool {
        self.role(name).is_some()
    }

    /// The catalogue's permissions that a pattern stands for, in the catalogue's order; none when it is not a
    /// pattern.
    pub fn expand<'v>(&'v self, pattern: &'v str) -> impl Iterator<Item = &'v str> {
        let pattern = Pattern::parse(pattern);
        self.permissions
            .iter()
            .map(String::as_str)
            .filter(move |name| pattern.is_some_and(|pattern| pattern.matches(name)))
    }

    /// Names of permissions, in the catalogue's order.
    pub fn permissions(&self) -> impl Iterator<Item = &str> {
        self.permissions.iter().map(String::as_str)
    }

    /// The query parameters that routes read, sorted. No others are told to the policy.
    pub fn query_names(&self) -> &[String] {
        &self.query
    }

    /// The headers that routes and conditions read, in lower case and sorted. No others are told to the policy.
    pub fn header_names(&self) -> &[String] {
        &self.headers
    }

    /// The number of a permission.
    pub(crate) fn permission(&self, name: &str) -> Option<u16> {
        find(&self.permissions, &self.permissions_sorted, name)
    }

    /// The number of a role.
    pub(crate) fn role(&self, name: &str) -> Option<u16> {
        find(&self.roles, &self.roles_sorted, name)
    }

    /// Bytes of a set of permissions.
    pub(crate) fn set_bytes(&self) -> usize {
        self.permissions.len().div_ceil(8)
    }

    /// Adds what a pattern stands for to a set of permissions.
    pub(crate) fn add(&self, set: &mut [u8], pattern: &str) {
        let mut add = |index: usize| {
            if let Some(byte) = set.get_mut(index / 8) {
                *byte |= 1 << (index % 8);
            }
        };
        match Pattern::parse(pattern) {
            Some(Pattern::Exact(name)) => {
                if let Some(index) = self.permission(name) {
                    add(usize::from(index));
                }
            }
            Some(pattern) => {
                let all = self.permissions.iter().enumerate();
                all.filter(|(_, name)| pattern.matches(name))
                    .for_each(|(index, _)| add(index));
            }
            None => {}
        }
    }

    /// Tells catalogues apart, so that bits which were made with one are not read with another.
    pub(crate) fn fingerprint(&self) -> u64 {
        self.fingerprint
    }
}

fn sorted(names: &[String]) -> Vec<u16> {
    let mut order: Vec<u16> = (0..=u16::MAX).take(names.len()).collect();
    order.sort_by(|a, b| names.get(usize::from(*a)).cmp(&names.get(usize::from(*b))));
    order
}

fn find(names: &[String], order: &[u16], name: &str) -> Option<u16> {
    let at = |index: &u16| names.get(usize::from(*index)).map_or("", String::as_str);
    order
        .binary_search_by(|index| at(index).cmp(name))
        .ok()
        .and_then(|place| order.get(place))
        .copied()
}

/// FNV-1a over the names whose order gives bits their meaning.
fn fingerprint(description: &Description) -> u64 {
    let permissions = description
        .permissions
        .iter()
        .map(|permission| permission.name.as_str());
    let roles = description.roles.iter().map(|role| role.name.as_str());
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    let mut eat = |byte: u8| hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    for name in permissions.chain(["\u{1}"]).chain(roles) {
        name.bytes().for_each(&mut eat);
        eat(0);
    }
    hash
}
