//! Hostile and broken guests: each is refused or contained in clear words, and the next request on a good policy is
//! unharmed.

mod abi;
mod bytes;
pub(crate) mod guest;
mod isolation;
mod limits;
mod nonsense;
mod overload;
mod trial;
mod worlds;

use std::{collections::BTreeSet, sync::LazyLock, time::Duration};

use scopegate_host::engine::{
    BadPolicy, CallerRef, DecideError, Isolation, Limits, PackedCaller, Policy, Sandbox,
    SandboxConfig, Worlds, build_document,
};
use scopegate_policy::{
    Caller, CallerKind, Clusters, Decision, Outcome, Request, packed::RequestRef,
};

/// The policy that must go on working whatever its neighbours do.
const GOOD: &str = r#"
policy: good
permissions:
  clusters:read: { category: Clusters, unlocks: Cluster inventory }
  clusters:write: { category: Clusters, unlocks: Changing clusters }
roles:
  viewer: [clusters:read]
routes:
  - { match: GET /v1/health, public: true }
  - { match: "GET /v1/clusters/{cluster}/**", requires: clusters:read }
  - { match: "POST /v1/clusters/{cluster}", requires: clusters:write }
  - { match: GET /v1/organization, requires: clusters:read, cluster: none }
"#;

fn sandbox(isolation: Isolation) -> Sandbox {
    sandbox_with(isolation, Limits::default(), Worlds::All)
}

fn sandbox_with(isolation: Isolation, limits: Limits, worlds: Worlds) -> Sandbox {
    Sandbox::new(SandboxConfig {
        limits,
        isolation,
        worlds,
        ..SandboxConfig::default()
    })
    .unwrap()
}

fn good(sandbox: &Sandbox) -> Policy {
    sandbox
        .load(&build_document("good.yaml", GOOD).unwrap())
        .unwrap()
}

fn viewer() -> Caller {
    Caller {
        kind: CallerKind::Session,
        subject: "somebody".to_owned(),
        organization: "an-organization".to_owned(),
        roles: vec!["viewer".to_owned()],
        clusters: Clusters::All,
        allowed_clusters: Clusters::All,
        ..Caller::anonymous()
    }
}

fn get(path: &str) -> Request {
    Request {
        method: "GET".to_owned(),
        path: path.to_owned(),
        query: Vec::new(),
        headers: Vec::new(),
        now: 1_800_000_000,
        address: None,
    }
}

/// What the policy itself answers.
async fn ask(policy: &Policy, caller: &Caller, request: &Request) -> Result<Decision, DecideError> {
    let packed = PackedCaller::default();
    policy
        .decide(
            &CallerRef {
                caller,
                packed: &packed,
            },
            &RequestRef::from(request),
        )
        .await
}

/// What a gate gets, in an organization with the clusters `prod` and `dev`.
async fn ask_bounded(
    policy: &Policy,
    caller: &Caller,
    request: &Request,
) -> Result<Decision, DecideError> {
    let packed = PackedCaller::default();
    let registered: BTreeSet<String> = ["prod", "dev"].map(str::to_owned).into();
    policy
        .decide_bounded(
            &CallerRef {
                caller,
                packed: &packed,
            },
            &RequestRef::from(request),
            &registered,
        )
        .await
}

async fn assert_unharmed(good: &Policy) {
    let allowed = ask(good, &viewer(), &get("/v1/clusters/prod/nodes"))
        .await
        .unwrap();
    assert_eq!(allowed.outcome, Outcome::Allow(Clusters::only(["prod"])));
    let refused = ask(good, &Caller::anonymous(), &get("/v1/clusters/prod/nodes"))
        .await
        .unwrap();
    assert!(matches!(refused.outcome, Outcome::Deny(_)));
}

/// The text of the fault that a hostile guest ends in; a good policy beside it must not notice.
async fn fault_of(hostile: &[u8]) -> String {
    // One for all tests: compiling the good policy takes longer than most of them.
    static SHARED: LazyLock<(Sandbox, Policy)> = LazyLock::new(|| {
        let sandbox = sandbox(Isolation::Fresh);
        let good = good(&sandbox);
        (sandbox, good)
    });
    let (sandbox, good) = &*SHARED;
    let hostile = sandbox.load(hostile).unwrap();
    let mut text = String::new();
    for _ in 0..2 {
        match ask(&hostile, &viewer(), &get("/v1/organization")).await {
            Err(DecideError::Fault(why)) => text = why,
            other => panic!("no fault: {other:?}"),
        }
        assert_unharmed(good).await;
    }
    text
}

fn refused(sandbox: &Sandbox, component: &[u8]) -> BadPolicy {
    sandbox
        .load(component)
        .map(|policy| policy.digest().to_owned())
        .unwrap_err()
}

/// Far more than any deadline of the sandbox, even on a busy machine.
const SOON: Duration = Duration::from_secs(5);
