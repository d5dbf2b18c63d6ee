//! Guests written by hand: core modules in WAT, made components of the worlds in `wit/`.

use std::fmt::Write as _;

use scopegate_policy::{
    ClusterSource, Clusters, Decision, Description, Grant, Outcome, PermissionInfo, Restriction,
    RoleInfo, RouteInfo, Rule,
};
use wit_component::{ComponentEncoder, StringEncoding};

use super::abi::{Memory, Version};

const DESCRIPTION: u32 = 1024;
const DECISION: u32 = 32 * 1024;
/// Where `cabi_realloc` starts to hand out memory.
const HEAP: u32 = 64 * 1024;

/// A guest. By default it allows everybody everything on its one route that is not public.
pub(crate) struct Guest {
    pub(crate) description: Description,
    pub(crate) decision: Decision,
    /// Instructions before the decision is returned.
    pub(crate) decide: String,
    /// Instructions before the description is returned.
    pub(crate) describe: String,
    /// The body of `decide-packed`; with one, the guest is of the world `engine`.
    pub(crate) packed: Option<String>,
    /// Which version of the worlds it is of.
    pub(crate) version: Version,
    /// Further items of the module.
    pub(crate) items: String,
    /// The memory's limits, in pages.
    pub(crate) memory: String,
    /// Overwrites words of the decision: offset and value.
    pub(crate) patches: Vec<(usize, u32)>,
}

impl Guest {
    pub(crate) fn new() -> Self {
        Self {
            description: description(),
            decision: Decision {
                outcome: Outcome::Allow(Clusters::All),
                rule: Rule {
                    route: Some(1),
                    grant: Grant::Role(0),
                    restriction: Restriction::None,
                },
            },
            decide: String::new(),
            describe: String::new(),
            packed: None,
            version: Version::V1_0,
            items: String::new(),
            memory: "4".to_owned(),
            patches: Vec::new(),
        }
    }

    /// A guest that does this when it is asked.
    pub(crate) fn deciding(instructions: &str) -> Self {
        Self {
            decide: instructions.to_owned(),
            ..Self::new()
        }
    }

    /// A guest of the world `engine` that gives this answer. Only the newest one is spoken.
    pub(crate) fn packed(answer: &str) -> Self {
        Self {
            packed: Some(answer.to_owned()),
            version: Version::V1_1,
            ..Self::new()
        }
    }

    pub(crate) fn core(&self) -> String {
        let memory = |base| Memory::at(base, self.version);
        let version = self.version.number();
        let mut decision = memory(DECISION);
        decision.bytes = memory(DECISION).decision(&self.decision);
        for (offset, value) in &self.patches {
            decision.put(*offset, *value);
        }
        let packed = self.packed.as_ref().map_or_else(String::new, |body| {
            format!(
                r#"(func (export "scopegate:policy/packed@{version}#configure") (param i32 i32) (result i32) unreachable)
                (func (export "scopegate:policy/packed@{version}#decide-packed") (param i32 i32) (result i64) {body})"#
            )
        });
        format!(
            r#"(module
                (memory (export "memory") {memory})
                (global $next (mut i32) (i32.const {HEAP}))
                (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
                    (local $block i32)
                    (local.set $block (i32.and (i32.add (global.get $next) (i32.const 7)) (i32.const -8)))
                    (global.set $next (i32.add (local.get $block) (local.get 3)))
                    (local.get $block))
                (func (export "scopegate:policy/rules@{version}#describe") (result i32)
                    {describe} (i32.const {DESCRIPTION}))
                (func (export "scopegate:policy/rules@{version}#decide") (param i32) (result i32)
                    {decide} (i32.const {DECISION}))
                {packed}
                {items}
                (data (i32.const {DESCRIPTION}) "{description}")
                (data (i32.const {DECISION}) "{decision}"))"#,
            memory = self.memory,
            describe = self.describe,
            decide = self.decide,
            items = self.items,
            description = escaped(&memory(DESCRIPTION).description(&self.description)),
            decision = escaped(&decision.bytes),
        )
    }

    pub(crate) fn build(&self) -> Vec<u8> {
        let world = if self.packed.is_some() {
            "engine"
        } else {
            "policy"
        };
        let wit = match self.version {
            Version::V1_0 => include_str!("../../wit/policy.wit"),
            Version::V1_1 => include_str!("../../wit/1.1/policy.wit"),
        };
        component(&self.core(), wit, world)
    }
}

/// A public route and one for everything else.
pub(crate) fn description() -> Description {
    let route = |method: &str, pattern: &str, requires: Option<&str>| RouteInfo {
        method: method.to_owned(),
        pattern: pattern.to_owned(),
        public: requires.is_none(),
        requires: requires.map(str::to_owned),
        when: None,
        cluster: ClusterSource::None,
    };
    Description {
        name: "by-hand".to_owned(),
        version: "1".to_owned(),
        permissions: vec![PermissionInfo {
            name: "clusters:read".to_owned(),
            category: "Clusters".to_owned(),
            unlocks: "Cluster inventory".to_owned(),
            scope: true,
        }],
        roles: vec![RoleInfo {
            name: "viewer".to_owned(),
            permissions: vec!["clusters:read".to_owned()],
            when: None,
        }],
        routes: vec![
            route("GET", "/v1/health", None),
            route("*", "/**", Some("clusters:read")),
        ],
        headers: Vec::new(),
    }
}

/// A core module as a component of a world.
pub(crate) fn component(core: &str, wit: &str, world: &str) -> Vec<u8> {
    let mut module = wat::parse_str(core).unwrap();
    let mut resolve = wit_parser::Resolve::default();
    let package = resolve.push_str("policy.wit", wit).unwrap();
    let world = resolve.select_world(&[package], Some(world)).unwrap();
    wit_component::embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8)
        .unwrap();
    ComponentEncoder::default()
        .module(&module)
        .unwrap()
        .validate(true)
        .encode()
        .unwrap()
}

fn escaped(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "\\{byte:02x}").unwrap();
        text
    })
}
