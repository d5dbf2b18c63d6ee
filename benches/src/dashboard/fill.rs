//! A store as one is after a busy month: keys of every kind, and records of what was asked with them.

use std::{
    collections::HashMap,
    net::Ipv4Addr,
    path::Path,
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use anyhow::{Context as _, Result};
use scopegate_host::{
    Cause, Clusters, Contract, Gate, KeyRing, Policies, Principal, Reason,
    admin::{Admin, Command, UserRequest},
    audit::{Audit, Judge, Outcome, Record, Sink},
    authenticate::Issuers,
    bundle::Trust,
    counters::Counters,
    directory::LookUp,
    engine::{Sandbox, SandboxConfig, build_document},
    key::KeyHash,
    password,
    policies::Configured,
    store::{Actor, Change, Credential, CredentialKind, Missing, NewCredential, Purpose, Store},
};
use scopegate_policy::{Grant, Restriction, Rule, documents};
use scopegate_server::assemble::{GateParts, checks, gate};
use secrecy::SecretString;
use uuid::Uuid;

/// Who has all keys, and may look at everything.
pub const ADMIN: &str = "admin@acme.example";
/// Their password.
pub const PASSWORD: &str = "correct horse battery staple";

/// Keys in one transaction.
const BATCH: u64 = 5_000;
/// Keys that call.
const CALLERS: u64 = 500;
/// How far back records go, in milliseconds.
const SPAN_MS: i64 = 30 * 24 * 3600 * 1000;
/// What is called like a route of the policy.
const PATTERN: &str = "/v1/clusters/{cluster}/workloads";

/// The gate on the store in this directory, with the built-in policy and its contract.
pub(super) async fn open(directory: &Path) -> Result<Gate> {
    let sandbox = Sandbox::new(SandboxConfig::default())?;
    let policy = sandbox.load(&component()?)?;
    let url = format!("sqlite://{}", directory.join("gate.db").display());
    let mut contract = Contract::builtin("scopegate").context("the contract is built in")?;
    contract.limits.session = u32::MAX;
    Ok(gate(GateParts {
        contract,
        policy: Arc::new(policy),
        store: Store::open(&url, Purpose::Serve, Missing::Create).await?,
        counters: Counters::memory(),
        keys: KeyRing::ephemeral()?.into(),
        issuers: Issuers::default(),
        trusted_proxies: Vec::new(),
        lines: Sink::None,
        record_requests: true,
        forward_credentials: false,
    })?)
}

/// The policies of a gate that [`open`] made.
pub(super) async fn policies(gate: &Arc<Gate>) -> Result<Policies> {
    let configured = Configured {
        key: "dashboard".into(),
        component: component()?.into(),
        policy: gate.policy(),
    };
    let checks = Arc::new(checks(SandboxConfig::default(), Trust::default())?);
    Ok(Policies::start(Arc::clone(gate), checks, configured, now_ms()).await?)
}

fn component() -> Result<Vec<u8>> {
    let document = documents::builtin("scopegate").context("the policy is built in")?;
    Ok(build_document("scopegate.yaml", document)?)
}

/// Makes a store with so many keys and records of requests, the last of them just now. [`ADMIN`] logs in with
/// [`PASSWORD`].
///
/// # Errors
/// When a change or a record is not made.
pub async fn fill(directory: &Path, keys: u64, records: u64) -> Result<()> {
    let gate = open(directory).await?;
    let now_ms = now_ms();
    let owner = people(&gate, now_ms - SPAN_MS).await?;
    let organizations = gate.directory().store().list_organizations().await?;
    let organization = organizations.first().context("an organization")?.id;
    for first in (0..keys).step_by(usize::try_from(BATCH)?) {
        let numbers = first..keys.min(first + BATCH);
        let import = Change::Import {
            organization,
            credentials: numbers
                .map(|number| key(number, keys, organization, owner, now_ms))
                .collect(),
        };
        gate.directory()
            .apply(import, Actor::Machine, now_ms - SPAN_MS)
            .await?;
    }
    let audit = Audit::in_store(gate.directory().clone(), true, &Sink::None)?;
    let callers = callers(&gate, keys, now_ms).await?;
    let description = Arc::clone(gate.policy().description());
    let routes = description.routes.iter();
    let route = routes
        .enumerate()
        .find(|(_, route)| route.pattern == PATTERN);
    let route = route.and_then(|(index, _)| u32::try_from(index).ok());
    let judge = Arc::new(Judge {
        digest: gate.policy().digest().to_owned(),
        description,
    });
    for number in 0..records {
        let at_ms = now_ms - SPAN_MS + scaled(number, records, SPAN_MS);
        let record = record(number, at_ms, &callers, route, &judge);
        // It waits for room, and fails when the store does.
        audit
            .record(record)
            .await
            .map_err(|_| anyhow::anyhow!("the audit cannot be written"))?;
    }
    audit.close().await;
    gate.close_audit().await;
    gate.directory().store().close().await;
    Ok(())
}

/// Makes an organization of three clusters, with an administrator.
async fn people(gate: &Gate, at_ms: i64) -> Result<Uuid> {
    let policy = gate.policy();
    let admin = Admin::new(gate.directory(), gate.contract(), policy.description());
    let organization = Command::OrganizationCreate {
        name: "acme".into(),
    };
    admin.execute(organization, at_ms).await?;
    for id in ["prod", "staging", "dev"] {
        let cluster = Command::ClusterAdd {
            organization: None,
            id: id.into(),
        };
        admin.execute(cluster, at_ms).await?;
    }
    let user = Command::UserAdd(UserRequest {
        organization: None,
        email: ADMIN.into(),
        password: Some(password::hash(&SecretString::from(PASSWORD))?),
        role: "admin".into(),
        clusters: None,
    });
    admin.execute(user, at_ms).await?;
    let store = gate.directory().store();
    let login = store.find_login(ADMIN).await?;
    Ok(login.context("a user")?.user.id)
}

/// The key of this number, so that nobody has to keep them all.
fn text(number: u64) -> String {
    format!("imported-key-of-the-dashboard-{number:012}")
}

fn key(number: u64, keys: u64, organization: Uuid, owner: Uuid, now_ms: i64) -> NewCredential {
    const TEAMS: [&str; 6] = ["Grafana", "ci", "backup", "Billing", "scanner", "export"];
    let text = text(number);
    let team = TEAMS
        .iter()
        .cycle()
        .nth(usize::try_from(number % 6).unwrap_or(0));
    let day = 24 * 3600;
    let credential = Credential {
        id: Uuid::now_v7(),
        organization,
        kind: CredentialKind::ApiKey,
        name: format!("{} {}", team.unwrap_or(&"ci"), scattered(number, keys)),
        owner: Some(owner),
        owner_email: None,
        scopes: (number % 4 != 0).then(|| vec!["clusters:read".into()]),
        allowed_clusters: match number % 3 {
            0 => Clusters::All,
            _ => Clusters::only(["prod", "staging"]),
        },
        cluster: None,
        prefix: "imported".into(),
        last_four: text.chars().skip(text.len().saturating_sub(4)).collect(),
        created_at: (now_ms - SPAN_MS + scaled(number, keys, SPAN_MS)) / 1000,
        expires_at: (number % 2 == 0)
            .then(|| now_ms / 1000 + day + scaled(scattered(number, keys), keys, SPAN_MS) / 1000),
        revoked_at: None,
        predecessor: None,
        successor: None,
        retires_at: None,
        last_used_at: None,
    };
    NewCredential {
        credential,
        hash: KeyHash::of(&text),
        idempotency: None,
    }
}

/// Some of the keys, as the gate knows who calls with them.
async fn callers(gate: &Gate, keys: u64, now_ms: i64) -> Result<Vec<Arc<Principal>>> {
    let mut callers = HashMap::new();
    for at in 0..CALLERS.min(keys) {
        let number = scattered(at, keys);
        let hash = KeyHash::of(&text(number));
        if let LookUp::Found(principal) = gate.directory().by_key(&hash, now_ms).await? {
            callers.insert(number, principal);
        }
    }
    Ok(callers.into_values().collect())
}

/// What came of a request: most are admitted, and few of the others are over a limit.
fn record(
    number: u64,
    at_ms: i64,
    callers: &[Arc<Principal>],
    route: Option<u32>,
    judge: &Arc<Judge>,
) -> Record {
    let at = usize::try_from(number.wrapping_mul(0x9e37_79b9) % callers.len().max(1) as u64);
    let principal = callers.get(at.unwrap_or_default()).cloned();
    let cause = match number % 50 {
        0 => Some(Cause::RateLimited),
        1 | 2 => Some(Cause::Denied(Reason::MissingPermission(
            "clusters:write".into(),
        ))),
        3 => Some(Cause::Denied(Reason::ClusterNotAllowed("dev".into()))),
        4 => Some(Cause::Denied(Reason::NoRoute)),
        _ => None,
    };
    let cluster = if number % 3 == 0 { "staging" } else { "prod" };
    Record {
        at_ms,
        request_id: Uuid::from_u128(u128::from(number)),
        principal,
        client: Ipv4Addr::new(192, 0, 2, (number % 250) as u8).into(),
        method: "GET".into(),
        path: format!("/v1/clusters/{cluster}/workloads").into(),
        outcome: match cause {
            Some(_) => Outcome::Refuse,
            None => Outcome::Admit,
        },
        rule: Some(Rule {
            route,
            grant: Grant::None,
            restriction: Restriction::None,
        }),
        cause,
        visible: None,
        policy: Some(Arc::clone(judge)),
        // Some tens of microseconds, and now and then some milliseconds.
        micros: 30 + number % 71 + if number % 97 == 0 { number % 9_000 } else { 0 },
        query: Vec::new(),
        headers: Vec::new(),
        count: 1,
        evaluation: None,
    }
}

/// Numbers below `count` without any order; hardly any of them twice.
fn scattered(at: u64, count: u64) -> u64 {
    at.wrapping_mul(0x9e37_79b9_7f4a_7c15) % count.max(1)
}

/// So much of a span as one number is of another.
fn scaled(number: u64, count: u64, span: i64) -> i64 {
    let part = i128::from(span) * i128::from(number) / i128::from(count.max(1));
    i64::try_from(part).unwrap_or(span)
}

fn now_ms() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(0, |now| i64::try_from(now.as_millis()).unwrap_or_default())
}

/// A moment as a query says it.
pub(super) fn moment(secs: i64) -> String {
    jiff::Timestamp::from_second(secs)
        .unwrap_or_default()
        .to_string()
}
