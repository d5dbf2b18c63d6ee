//! The canonical ABI by hand: descriptions and decisions as a guest lays them out in its memory, so that hostile
//! guests can lie byte by byte.

use scopegate_policy::{
    ClusterSource, Clusters, Decision, Description, Grant, Outcome, Reason, Restriction,
};

/// A version of the worlds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Version {
    V1_0,
    V1_1,
}

impl Version {
    pub(super) fn number(self) -> &'static str {
        match self {
            Self::V1_0 => "1.0.0",
            Self::V1_1 => "1.1.0",
        }
    }

    /// What a record has more of from 1.1.0 on.
    fn more(self, bytes: usize) -> usize {
        match self {
            Self::V1_0 => 0,
            Self::V1_1 => bytes,
        }
    }
}

/// Bytes at an address of the guest's memory. Strings and lists go behind the record that points to them.
pub(super) struct Memory {
    base: u32,
    version: Version,
    pub(super) bytes: Vec<u8>,
}

impl Memory {
    pub(super) fn at(base: u32, version: Version) -> Self {
        Self {
            base,
            version,
            bytes: Vec::new(),
        }
    }

    /// Room for a record; its offset.
    fn reserve(&mut self, bytes: usize) -> usize {
        let start = self.bytes.len().next_multiple_of(8);
        self.bytes.resize(start + bytes, 0);
        start
    }

    pub(super) fn put(&mut self, offset: usize, value: u32) {
        self.bytes[offset..offset + 4].copy_from_slice(&value.to_le_bytes());
    }

    fn text(&mut self, offset: usize, text: &str) {
        let start = self.reserve(text.len());
        self.bytes[start..start + text.len()].copy_from_slice(text.as_bytes());
        self.put(offset, self.base + start as u32);
        self.put(offset + 4, text.len() as u32);
    }

    fn list<T>(
        &mut self,
        offset: usize,
        items: &[T],
        size: usize,
        mut write: impl FnMut(&mut Self, usize, &T),
    ) {
        let start = self.reserve(items.len() * size);
        self.put(offset, self.base + start as u32);
        self.put(offset + 4, items.len() as u32);
        for (index, item) in items.iter().enumerate() {
            write(self, start + index * size, item);
        }
    }

    fn texts(&mut self, offset: usize, texts: &[String]) {
        self.list(offset, texts, 8, |memory, offset, text| {
            memory.text(offset, text)
        });
    }

    pub(super) fn description(mut self, description: &Description) -> Vec<u8> {
        let when = self.version.more(12);
        let start = self.reserve(40 + self.version.more(8));
        self.text(start, &description.name);
        self.text(start + 8, &description.version);
        self.list(
            start + 16,
            &description.permissions,
            28,
            |memory, offset, permission| {
                memory.text(offset, &permission.name);
                memory.text(offset + 8, &permission.category);
                memory.text(offset + 16, &permission.unlocks);
                memory.put(offset + 24, u32::from(permission.scope));
            },
        );
        self.list(
            start + 24,
            &description.roles,
            16 + when,
            |memory, offset, role| {
                memory.text(offset, &role.name);
                memory.texts(offset + 8, &role.permissions);
                memory.when(offset + 16, role.when.as_ref());
            },
        );
        self.list(
            start + 32,
            &description.routes,
            60 + when,
            |memory, offset, route| {
                memory.text(offset, &route.method);
                memory.text(offset + 8, &route.pattern);
                memory.put(offset + 16, u32::from(route.public));
                if let Some(requires) = &route.requires {
                    memory.put(offset + 20, 1);
                    memory.text(offset + 24, requires);
                }
                memory.when(offset + 32, route.when.as_ref());
                memory.cluster_source(offset + 32 + when, &route.cluster);
            },
        );
        if self.version == Version::V1_1 {
            self.texts(start + 40, &description.headers);
        }
        self.bytes
    }

    /// Zeros where there is none, and nothing before 1.1.0.
    fn when(&mut self, offset: usize, when: Option<&String>) {
        if let (Version::V1_1, Some(when)) = (self.version, when) {
            self.put(offset, 1);
            self.text(offset + 4, when);
        }
    }

    fn cluster_source(&mut self, offset: usize, source: &ClusterSource) {
        let case = match source {
            ClusterSource::Spans => 0,
            ClusterSource::Path(index) => {
                self.put(offset + 4, *index);
                1
            }
            ClusterSource::Query(name) => {
                self.text(offset + 4, name);
                2
            }
            ClusterSource::Header(name) => {
                self.text(offset + 4, name);
                3
            }
            ClusterSource::None => 4,
            ClusterSource::Upstream => 5,
            ClusterSource::Lists(shape) => {
                self.text(offset + 4, &shape.items);
                self.text(offset + 12, &shape.cluster);
                self.texts(offset + 20, &shape.keep);
                6
            }
        };
        self.put(offset, case);
    }

    pub(super) fn decision(mut self, decision: &Decision) -> Vec<u8> {
        let start = self.reserve(36);
        match &decision.outcome {
            Outcome::Allow(Clusters::All) => {}
            Outcome::Allow(Clusters::Only(ids)) => {
                self.put(start + 4, 1);
                self.texts(start + 8, ids);
            }
            Outcome::Deny(reason) => {
                self.put(start, 1);
                self.put(start + 4, reason_case(reason, self.version));
                let text = match reason {
                    Reason::Other(word) => Some(word.as_str()),
                    reason => reason.subject(),
                };
                if let Some(text) = text {
                    self.text(start + 8, text);
                }
            }
        }
        if let Some(route) = decision.rule.route {
            self.put(start + 16, 1);
            self.put(start + 20, route);
        }
        let (case, role) = match decision.rule.grant {
            Grant::None => (0, 0),
            Grant::Role(role) => (1, role),
            Grant::Permission => (2, 0),
            Grant::Public => (3, 0),
        };
        self.put(start + 24, case);
        self.put(start + 28, role);
        self.put(
            start + 32,
            match decision.rule.restriction {
                Restriction::None => 0,
                Restriction::Scopes => 1,
                Restriction::AuthorityClusters => 2,
                Restriction::KeyClusters => 3,
                Restriction::AgentCluster => 4,
                Restriction::ReadOnly => 5,
            },
        );
        self.bytes
    }
}

fn reason_case(reason: &Reason, version: Version) -> u32 {
    match reason {
        Reason::NotAuthenticated => 0,
        Reason::NoRoute => 1,
        Reason::AmbiguousPath => 2,
        Reason::MissingPermission(_) => 3,
        Reason::ClusterNotAllowed(_) => 4,
        Reason::ClusterRequired => 5,
        Reason::ClustersRestricted => 6,
        Reason::ReadOnlyKey => 7,
        Reason::AgentOutsideCluster(_) => 8,
        Reason::OperatorRequired => 9,
        Reason::SignInRequired => 10,
        Reason::ConditionNotMet => 11,
        Reason::Other(_) => 11 + version.more(1) as u32,
    }
}
