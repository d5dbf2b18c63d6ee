//! The typed world, with a policy written by hand in an instance that is kept.
//!
//! The gate itself runs such a policy in fresh instances only, because nothing vouches for what it keeps between two
//! calls. This is the call alone: the records across the boundary, with the same engine settings as the gate's.

use anyhow::Result;
use scopegate_policy::Clusters;
use wasmtime::{
    Config, Engine, OptLevel, Store,
    component::{Component, Linker},
};

use crate::questions::Question;

mod bindings {
    wasmtime::component::bindgen!({
        path: "../wit/policy.wit",
        world: "policy",
        ownership: Borrowing { duplicate_if_necessary: true },
    });
}

use bindings::{Policy, exports::scopegate::policy::rules as wit};

/// The policy of `typed-policy/`, as a component.
pub const COMPONENT: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/typed-policy.wasm"));

/// Asks one instance again and again.
///
/// # Errors
/// When the component does not load.
pub fn pooled(question: &Question) -> Result<impl FnMut() -> bool + use<>> {
    let engine = engine()?;
    let component = Component::new(&engine, COMPONENT)?;
    let mut store = Store::new(&engine, ());
    store.set_hostcall_fuel(64 << 10);
    store.set_epoch_deadline(u64::MAX / 2);
    let policy = Policy::instantiate(&mut store, &component, &Linker::new(&engine))?;
    let (caller, request) = (question.caller.clone(), question.request.clone());
    Ok(move || {
        let (roles, permissions) = (strings(&caller.roles), strings(&caller.permissions));
        let scopes = caller.scopes.as_deref().map(strings);
        let (authority, allowed) = (ids(&caller.clusters), ids(&caller.allowed_clusters));
        let caller = wit::Caller {
            kind: wit::CallerKind::ApiKey,
            subject: &caller.subject,
            organization: &caller.organization,
            roles: &roles,
            permissions: &permissions,
            scopes: scopes.as_deref(),
            clusters: clusters(authority.as_deref()),
            allowed_clusters: clusters(allowed.as_deref()),
            agent_cluster: caller.agent_cluster.as_deref(),
            operator: caller.operator,
            mfa: caller.mfa,
            auth_time: caller.auth_time,
        };
        let request = wit::Request {
            method: &request.method,
            path: &request.path,
            query: &[],
            headers: &[],
            now: request.now,
        };
        let decision = policy
            .scopegate_policy_rules()
            .call_decide(&mut store, caller, request);
        decision.is_ok_and(|decision| matches!(decision.outcome, wit::Outcome::Allow(_)))
    })
}

fn engine() -> Result<Engine> {
    let mut config = Config::new();
    config
        .concurrency_support(false)
        .cranelift_nan_canonicalization(true)
        .epoch_interruption(true)
        .max_wasm_stack(256 << 10)
        .wasm_backtrace_max_frames(None)
        .cranelift_opt_level(OptLevel::Speed);
    Ok(Engine::new(&config)?)
}

fn strings(strings: &[String]) -> Vec<&str> {
    strings.iter().map(String::as_str).collect()
}

fn ids(clusters: &Clusters) -> Option<Vec<&str>> {
    match clusters {
        Clusters::All => None,
        Clusters::Only(ids) => Some(strings(ids)),
    }
}

fn clusters<'a>(ids: Option<&'a [&'a str]>) -> wit::ClustersParam<'a> {
    ids.map_or(wit::ClustersParam::All, wit::ClustersParam::Only)
}
