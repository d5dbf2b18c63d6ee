//! The corpus through a whole server: each caller is made in its store with the credential that a client would hold,
//! each case is a request on the wire, and the audit record says what was decided and why.

use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

use scopegate_host::{
    admin::{AgentRequest, Command, KeyRequest, Reply, UserRequest},
    contract::Scheme,
    engine::{Sandbox, SandboxConfig, build_document},
    replay::{self, Entry, Library, Replayed, Way},
    store::{Actor, Change, Expected},
    trial::{Caller, Case, NOW_DEFAULT, Outcome, Role, TestFile, User},
};
use scopegate_policy::ClusterSource;
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{
    answered::{Answered, difference},
    run::Implementation,
};
use crate::harness::{
    Options, PASSWORD, World, json_reply, people::password_hash, program::Program, raw,
};

/// Where the callers of a file are.
pub const ORGANIZATION: &str = "corpus";
/// Cases before the clock moves to the next minute: below every limit.
const CASES_A_MINUTE: usize = 15;

/// Where a client's requests go in.
pub struct Front {
    /// A client connects here.
    pub address: SocketAddr,
    /// Whether it is a proxy that asks the gate and forwards by itself, and so filters no list.
    pub asks: bool,
    /// Whether it decides by itself, so that the gate records nothing and its own log has the reasons: how long it takes
    /// to hear of what the gate knows.
    pub decides: Option<Duration>,
    /// What it is made of, as long as it is needed.
    pub programs: Vec<Program>,
}

/// Puts every case of a file to a server, and gives what came out differently.
pub async fn differences(file: &TestFile) -> Vec<String> {
    let own = async |world: &World| Front {
        address: world.running().public_addr(),
        asks: false,
        decides: None,
        programs: Vec::new(),
    };
    differences_through(file, |_| {}, own).await
}

/// The same through whatever `start` puts before a world, whose options `adjust` changes.
pub async fn differences_through(
    file: &TestFile,
    adjust: impl FnOnce(&mut Options),
    start: impl AsyncFnOnce(&World) -> Front,
) -> Vec<String> {
    let cases: Vec<&Case> = file
        .cases
        .iter()
        .filter(|case| is_forwarded(case))
        .collect();
    if cases.is_empty() {
        return Vec::new();
    }
    let (world, id) = world_of(file, adjust).await;
    let front = start(&world).await;
    let expected = expected(file, &front).await;
    let credentials = credentials(&world, id, file).await;
    let keeps_time = file.callers.values().any(|caller| minutes_ago(caller) > 0);
    let mut answers = Vec::new();
    for (index, case) in cases.iter().enumerate() {
        if index % CASES_A_MINUTE == 0 && !keeps_time {
            world.clock.advance(Duration::from_secs(61));
        }
        if let (0, Some(time)) = (index % CASES_A_MINUTE, front.decides) {
            tokio::time::sleep(time).await;
        }
        answers.push(ask(&world, &front, case, credentials.get(&case.caller)).await);
    }
    if front.decides.is_some() {
        let reasons = reasons(&front, answers.len()).await;
        for (answer, reason) in answers.iter_mut().zip(reasons) {
            answer.reason = Some(reason);
        }
    }
    let records = world.audit().await;
    let mut differences = match front.decides {
        Some(_) => Vec::new(),
        None => replayed(file, &records).await,
    };
    let asked = cases.into_iter().zip(&answers);
    differences.extend(asked.filter_map(|(case, answer)| {
        let expected = expected.get(&case.to_string()).unwrap_or(&case.expected);
        difference(file, case, expected, answer)
    }));
    differences
}

/// Why each request was refused, as the access log says that is written in JSON; nothing of one that was not.
async fn reasons(front: &Front, requests: usize) -> Vec<String> {
    let program = front.programs.first().expect("a program that decides");
    let begun = std::time::Instant::now();
    loop {
        let log = program.log();
        let lines = log.lines().filter(|line| line.starts_with('{'));
        let lines = lines.filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let reasons: Vec<String> = lines
            .map(|line| line["reason"].as_str().unwrap_or_default().to_owned())
            .collect();
        if reasons.len() >= requests {
            assert_eq!(reasons.len(), requests, "requests that nobody made");
            return reasons;
        }
        let waited = begun.elapsed();
        assert!(
            waited < Duration::from_secs(30),
            "{} lines of {requests}",
            reasons.len()
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// What is to come of a case where that is not what the policy alone says, by what it says of itself: nobody filters the lists of a
/// proxy that only asks, so whoever is restricted to clusters gets none.
async fn expected(file: &TestFile, front: &Front) -> BTreeMap<String, Outcome> {
    if !front.asks {
        return BTreeMap::new();
    }
    let routes = &file.subject.description().routes;
    let answers = Implementation::Native.answers(file).await;
    let of_lists = answers.into_iter().filter(|(case, answer)| {
        let route = answer
            .rule
            .route
            .and_then(|index| routes.get(index as usize));
        let lists = route.is_some_and(|route| matches!(route.cluster, ClusterSource::Lists(_)));
        lists
            && matches!(case.expected, Outcome::Allow(_))
            && is_restricted(&file.callers[&case.caller])
    });
    let refused = || Outcome::Deny {
        reason: "list-not-filterable".to_owned(),
        about: None,
    };
    // A line of the file may stand for many cases.
    of_lists
        .map(|(case, _)| (case.to_string(), refused()))
        .collect()
}

pub fn is_restricted(caller: &Caller) -> bool {
    match caller {
        Caller::Session { user, .. } => user.clusters.is_some(),
        Caller::Key { owner, allowed, .. } => {
            !allowed.is_empty() || owner.as_ref().is_some_and(|owner| owner.clusters.is_some())
        }
        Caller::Agent { .. } => true,
        Caller::Operator { .. } | Caller::Anonymous => false,
    }
}

/// Every record that a policy decided, decided again, in the component and natively: what is not as it was.
pub async fn replayed(file: &TestFile, records: &[Value]) -> Vec<String> {
    let text = file.subject.text().expect("a document");
    let sandbox = Sandbox::new(SandboxConfig::default()).expect("a sandbox");
    let mut library = Library::new(sandbox);
    let digest = library.add(
        &file.name,
        build_document(&file.name, text).expect("a component"),
    );
    let known = library.get(&digest).expect("it").expect("a policy");
    let (mut differences, mut decided) = (Vec::new(), 0);
    for record in records {
        match replay::read(&record.to_string()) {
            Ok(Entry::Decided(recorded)) => {
                decided += 1;
                assert_eq!(recorded.policy, digest);
                for way in [Way::Component, Way::Native] {
                    match replay::decide_again(&recorded, known, way).await {
                        Replayed::Identical => {}
                        other => differences.push(format!("{record}\n    {way:?}: {other:?}")),
                    }
                }
            }
            Ok(Entry::Undecided(_) | Entry::LetIn(_)) => {}
            other => differences.push(format!("{record}\n    {other:?}")),
        }
    }
    assert!(decided > 0, "{}: nothing was decided", file.name);
    differences
}

/// Whether the server puts the request to its policy and, if allowed, to the upstream. What is under `/-/` it answers
/// itself, and it has no management API yet: its own 404 would say nothing about the policy.
pub fn is_forwarded(case: &Case) -> bool {
    // Time on a server's clock only goes on.
    !case.request.path.starts_with("/-/") && case.now == NOW_DEFAULT
}

async fn ask(world: &World, front: &Front, case: &Case, credential: Option<&String>) -> Answered {
    let asked = &case.request;
    let target = if asked.query.is_empty() {
        asked.path.clone()
    } else {
        format!("{}?{}", asked.path, asked.query)
    };
    let mut headers: Vec<String> = asked
        .headers
        .iter()
        .map(|(name, value)| format!("{name}: {value}"))
        .collect();
    let address = asked
        .address
        .map(|address| format!("X-Forwarded-For: {address}"));
    headers.extend(address);
    headers.extend(credential.cloned());
    if !matches!(asked.method.as_str(), "GET" | "HEAD") {
        headers.push("Content-Length: 0".to_owned());
    }
    let headers: Vec<&str> = headers.iter().map(String::as_str).collect();
    let before = world.upstream.count();
    world.audit_tail().await;
    let line = format!("{} {target} HTTP/1.1", asked.method);
    let reply = raw::one_reply(front.address, &line, &headers).await;
    let mut records = world.audit_tail().await;
    records.retain(|record| record["kind"] != "change");
    let reached = world.upstream.count() > before;
    Answered {
        status: raw::status_of(&reply),
        reason: None,
        records,
        clusters: reached.then(|| {
            world
                .upstream
                .last()
                .header("x-scopegate-clusters")
                .to_owned()
        }),
    }
}

pub async fn world_of(file: &TestFile, adjust: impl FnOnce(&mut Options)) -> (World, Uuid) {
    let contract: &'static str = file.contract.name.clone().leak();
    let mut options = Options {
        policy: file.subject.text().map(|text| &*text.to_owned().leak()),
        people: false,
        // Cases come from addresses of their own.
        trusted_proxies: &["127.0.0.0/8"],
        ..Options::of(contract)
    };
    adjust(&mut options);
    let world = World::with(options).await;
    world.upstream.answers(|_| {
        json_reply(
            200,
            json!({ "clusters": [], "items": [], "data": { "items": [] } }),
        )
    });
    let name = ORGANIZATION.to_owned();
    let Reply::Organization { organization } =
        done(&world, Command::OrganizationCreate { name }).await
    else {
        panic!("another reply");
    };
    for cluster in file.clusters.union(&file.retired) {
        world.add_cluster(ORGANIZATION, cluster).await;
    }
    (world, organization.id)
}

pub async fn done(world: &World, command: Command) -> Reply {
    let shown = format!("{command:?}");
    world
        .command(command)
        .await
        .unwrap_or_else(|error| panic!("{shown}: {error}"))
}

/// How long ago the caller's credential was made.
fn minutes_ago(caller: &Caller) -> i64 {
    match caller {
        Caller::Session {
            signed_in_minutes_ago,
            ..
        }
        | Caller::Operator {
            signed_in_minutes_ago,
            ..
        } => *signed_in_minutes_ago,
        Caller::Key {
            minted_minutes_ago, ..
        }
        | Caller::Agent {
            minted_minutes_ago, ..
        } => *minted_minutes_ago,
        Caller::Anonymous => 0,
    }
}

/// The header of each caller's credential. The oldest come first, and the clock moves between.
pub async fn credentials(world: &World, id: Uuid, file: &TestFile) -> BTreeMap<String, String> {
    let mut callers: Vec<(&String, &Caller)> = file.callers.iter().collect();
    callers.sort_by_key(|(_, caller)| -minutes_ago(caller));
    let mut ago = callers.first().map_or(0, |(_, caller)| minutes_ago(caller));
    let mut headers = BTreeMap::new();
    for (name, caller) in callers {
        let minutes = minutes_ago(caller);
        let passed = u64::try_from(ago - minutes).expect("sorted");
        world.clock.advance(Duration::from_secs(passed * 60));
        ago = minutes;
        if let Some(header) = credential(world, id, file, name, caller).await {
            headers.insert(name.clone(), header);
        }
    }
    world.clock.advance(Duration::from_secs(
        u64::try_from(ago).expect("positive") * 60,
    ));
    for id in &file.retired {
        let organization = Some(ORGANIZATION.to_owned());
        let id = id.clone();
        done(world, Command::ClusterDelete { organization, id }).await;
    }
    headers
}

async fn credential(
    world: &World,
    id: Uuid,
    file: &TestFile,
    name: &str,
    caller: &Caller,
) -> Option<String> {
    let organization = Some(ORGANIZATION.to_owned());
    match caller {
        Caller::Anonymous => None,
        Caller::Session { user, mfa, .. } => {
            let email = add_user(world, id, name, user).await;
            Some(log_in(world, &email, *mfa).await)
        }
        Caller::Operator { mfa, .. } => {
            let email = format!("{name}@corpus.example");
            let password = Some(password_hash());
            let add = Command::OperatorAdd {
                email: email.clone(),
                password,
            };
            done(world, add).await;
            Some(log_in(world, &email, *mfa).await)
        }
        Caller::Key {
            owner,
            scopes,
            allowed,
            ..
        } => {
            let owner_email = match owner {
                // As the widest user there is: what the key may do later is not bounded by what its owner is now.
                Some(_) => {
                    let wide = User {
                        role: Role::Custom(vec!["*".to_owned()]),
                        clusters: None,
                    };
                    Some(add_user(world, id, name, &wide).await)
                }
                None => None,
            };
            let request = KeyRequest {
                organization,
                owner: owner_email.clone(),
                name: name.to_owned(),
                scopes: scopes.clone(),
                allowed_cluster_ids: allowed.clone(),
                expires_at: None,
            };
            let secret = minted(done(world, Command::KeyMint(request)).await);
            if let (Some(owner), Some(email)) = (owner, owner_email) {
                let role = role_of(world, id, name, &owner.role).await;
                done(
                    world,
                    Command::UserSetRole {
                        email: email.clone(),
                        role,
                    },
                )
                .await;
                let clusters = owner.clusters.clone();
                done(world, Command::UserSetClusters { email, clusters }).await;
            }
            Some(key_header(file, &secret))
        }
        Caller::Agent { cluster, .. } => {
            let request = AgentRequest {
                organization,
                cluster: cluster.clone(),
                ..AgentRequest::default()
            };
            let secret = minted(done(world, Command::AgentMint(request)).await);
            Some(format!("Authorization: Bearer {secret}"))
        }
    }
}

/// The header of a session; with a second factor if it is to have one, which it enrols itself.
async fn log_in(world: &World, email: &str, mfa: bool) -> String {
    let login = world.contract.login.clone().expect("a log-in");
    let body = json!({ "email": email, "password": PASSWORD });
    let reply = world.anonymous().post(&login.path, body).await;
    assert_eq!(reply.status, 200, "log-in of {email}: {}", reply.body);
    let token = reply.json()["token"].as_str().expect("a token").to_owned();
    if mfa {
        let manager = world.manager_with(&token);
        let begun = manager.post("/-/api/me/factor", json!({})).await.json();
        let url = begun["url"].as_str().expect("an otpauth URL");
        let totp = totp_rs::Totp::from_url(url).expect("an otpauth URL");
        let code = totp.generate(world.clock.now_ms().unsigned_abs() / 1000);
        let confirm = json!({ "otp": code.to_string() });
        let reply = manager.post("/-/api/me/factor/confirm", confirm).await;
        assert_eq!(reply.status, 201, "{email}: {}", reply.body);
    }
    format!("Authorization: Bearer {token}")
}

/// A key in the way that the contract prefers.
fn key_header(file: &TestFile, secret: &str) -> String {
    let schemes = &file.contract.schemes;
    if schemes.contains(&Scheme::XApiKey) {
        format!("X-API-Key: {secret}")
    } else if schemes.contains(&Scheme::ApiKey) {
        format!("Authorization: ApiKey {secret}")
    } else {
        format!("Authorization: Bearer {secret}")
    }
}

fn minted(reply: Reply) -> String {
    match reply {
        Reply::Minted { secret, .. } => secret.expose_secret().to_owned(),
        _ => panic!("minting answered with something else"),
    }
}

async fn add_user(world: &World, organization: Uuid, name: &str, user: &User) -> String {
    let email = format!("{name}@corpus.example");
    let role = role_of(world, organization, name, &user.role).await;
    let request = UserRequest {
        organization: Some(ORGANIZATION.to_owned()),
        email: email.clone(),
        password: Some(password_hash()),
        role,
        clusters: user.clusters.clone(),
    };
    done(world, Command::UserAdd(request)).await;
    email
}

async fn role_of(world: &World, organization: Uuid, name: &str, role: &Role) -> String {
    match role {
        Role::Builtin(role) => role.clone(),
        Role::Custom(permissions) => {
            let role = format!("{name}-role");
            // Past the checks of a command: an older policy may have had permissions that this one lacks.
            let set = Change::SetCustomRole {
                organization,
                name: role.clone(),
                permissions: permissions.clone(),
                expected: Expected::Anything,
            };
            let directory = world.running().gate().directory().clone();
            let made = directory.apply(set, Actor::Machine, world.clock.now_ms());
            made.await.expect("a role");
            role
        }
    }
}
