//! Random policy documents: few routes and many, names with every character that is allowed, deep patterns, routes that
//! overlap, each of the guards and of the places for a cluster.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::harness::random::Random;

const METHODS: [&str; 7] = ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "*"];
/// Few, so that routes overlap; with the characters that stand in a path and mean something elsewhere.
const LITERALS: [&str; 13] = [
    "v1",
    "v2",
    "nodes",
    "a",
    "b",
    "-x",
    "api",
    ".well-known",
    "$&'()+,=:@!",
    "~",
    "prod",
    "a.b_c-d",
    "metrics",
];
const FIELDS: [&str; 6] = [
    "cluster",
    "cluster_id",
    "x-cluster-id",
    "c",
    "x",
    "cluster-id",
];
const QUERY_ONLY: [&str; 4] = ["Cluster Id", "\"", "ä[]", "a&b=c"];

/// Of each kind of value, operator and function; some are errors for some requests.
const CONDITIONS: [&str; 14] = [
    "true",
    "caller.mfa",
    "!caller.mfa || caller.kind == 'session'",
    "request.method == 'GET' && request.path.startsWith('/v')",
    "cidr('10.0.0.0/8').containsIP(request.address)",
    "cidr('2001:db8::/32').containsIP(request.address) || caller.mfa",
    "request.time.getHours('+02:00') >= 8 && request.time.getHours('+02:00') < 18",
    "!(request.time.getDayOfWeek() in [0, 6])",
    "request.time < timestamp('2027-01-01T00:00:00Z')",
    "caller.credential_age < duration('2160h')",
    "has(caller.signed_in_age) && caller.signed_in_age < duration('10m')",
    "request.headers['x-env'] in ['prod', 'staging']",
    "has(caller.credential_age) ? request.headers['x-env'] != 'dev' : caller.mfa",
    "caller.credential_age < duration('1h') || request.headers['x-env'].size() > 2",
];

/// A document's text. Nearly all of them compile; what does not is another one's turn.
pub fn random(random: &mut Random) -> String {
    let permissions = permissions(random);
    let mut text = format!("policy: {}\npermissions:\n", word(random, 20));
    for name in &permissions {
        let scope = if random.once_in(5) {
            "{ scope: false }"
        } else {
            ""
        };
        text += &format!("  {}: {scope}\n", json!(name));
    }
    text += "roles:\n";
    let mut roles = BTreeSet::from(["agent".to_owned()]);
    let count = if random.once_in(10) {
        200
    } else {
        random.below(8)
    };
    roles.extend((0..count).map(|_| format!("r{}", word(random, 6))));
    for role in &roles {
        let held: BTreeSet<String> = (0..random.below(5))
            .map(|_| held(random, &permissions))
            .collect();
        let (role, held) = (json!(role), json!(held));
        text += &match condition(random) {
            Some(when) => format!("  {role}: {{ permissions: {held}, when: {when} }}\n"),
            None => format!("  {role}: {held}\n"),
        };
    }
    if random.once_in(6) {
        // Scopes that no GET asks for would be a mistake.
        let every: BTreeSet<&String> = permissions.iter().collect();
        text += "keys: { read_only: true }\nroutes:\n";
        for (index, name) in every.iter().enumerate() {
            text += &format!(
                "  - {{ match: GET /read-{index}, requires: {} }}\n",
                json!(name)
            );
        }
    } else {
        text += "routes:\n  - { match: GET /read-0, public: true }\n";
    }
    // One spelling in a document: routes that differ only in case are a mistake.
    let clusters = *random.one(&["clusters", "Clusters", "CLUSTERS"]);
    let mut seen = BTreeSet::new();
    let count = if random.once_in(8) {
        400
    } else {
        1 + random.below(40)
    };
    for _ in 0..count {
        let (pattern, shape, has_cluster) = pattern(random, clusters);
        let method = *random.one(&METHODS);
        if seen.insert((method, shape)) {
            let mut guard = guard(random, &permissions, method, has_cluster);
            if let Some(when) = condition(random) {
                guard += &format!(", when: {when}");
            }
            text += &format!(
                "  - {{ match: {}, {guard} }}\n",
                json!(format!("{method} {pattern}"))
            );
        }
    }
    text
}

fn condition(random: &mut Random) -> Option<Value> {
    let when = *random.one(&CONDITIONS);
    random.once_in(4).then(|| json!(when))
}

fn word(random: &mut Random, len_max: u64) -> String {
    const CHARS: &[u8] = b"abcxyz0189_-";
    let len = 1 + random.below(len_max);
    (0..len).map(|_| char::from(*random.one(CHARS))).collect()
}

fn permissions(random: &mut Random) -> Vec<String> {
    let count = if random.once_in(10) {
        300
    } else {
        1 + random.below(12)
    };
    let mut names = BTreeSet::new();
    for _ in 0..count {
        let len_max = if random.once_in(20) { 60 } else { 3 };
        // A letter first, so that none is called `manage`.
        names.insert(format!("r{}:{}", word(random, len_max), word(random, 2)));
    }
    names.into_iter().collect()
}

/// What a role holds: a name, or a pattern that matches something.
fn held(random: &mut Random, permissions: &[String]) -> String {
    let name = random.one(permissions);
    let (resource, action) = name.split_once(':').expect("a permission");
    match random.below(8) {
        0 => "*".to_owned(),
        1 => format!("{resource}:*"),
        2 => format!("*:{action}"),
        _ => name.clone(),
    }
}

/// A pattern, what it matches without the names of parameters, and whether the path names a cluster.
fn pattern(random: &mut Random, clusters: &str) -> (String, String, bool) {
    let depth = match random.below(20) {
        0 => 50 + random.below(13),
        1 => 0,
        _ => 1 + random.below(6),
    };
    let (mut pattern, mut shape) = (String::new(), String::new());
    let mut has_cluster = false;
    for index in 0..depth {
        match random.below(6) {
            0 if !has_cluster => {
                has_cluster = true;
                pattern += "/{cluster}";
                shape += "/{}";
            }
            1 | 2 => {
                pattern += &format!("/{{p{index}}}");
                shape += "/{}";
            }
            _ => {
                let literal = match random.below(40) {
                    0 => "l".repeat(150),
                    1..5 => clusters.to_owned(),
                    _ => (*random.one(&LITERALS)).to_owned(),
                };
                pattern += &format!("/{literal}");
                shape += &format!("/{literal}");
            }
        }
    }
    // `/-` is the gate's own.
    if pattern.starts_with("/-") {
        pattern.insert_str(0, "/v1");
        shape.insert_str(0, "/v1");
    }
    if random.once_in(3) {
        pattern += "/**";
        shape += "/**";
    }
    if pattern.is_empty() {
        pattern.push('/');
        shape.push('/');
    }
    (pattern, shape, has_cluster)
}

fn guard(random: &mut Random, permissions: &[String], method: &str, has_cluster: bool) -> String {
    if random.once_in(10) {
        return "public: true".to_owned();
    }
    let mut guard = match random.below(12) {
        0 => "operator: true".to_owned(),
        1 => format!(
            "operator: true, requires: {}",
            json!(random.one(permissions))
        ),
        _ => format!("requires: {}", json!(random.one(permissions))),
    };
    if random.once_in(6) {
        guard += ", sign_in: true";
    }
    if has_cluster {
        return guard;
    }
    match random.below(7) {
        0 => guard += ", cluster: none",
        1 => guard += ", cluster: upstream",
        2 => {
            let all: Vec<&str> = FIELDS.into_iter().chain(QUERY_ONLY).collect();
            guard += &format!(", cluster: {{ query: {} }}", json!(random.one(&all)));
        }
        3 | 4 => {
            let names = ["cluster", "x-cluster-id", "X-Other", "c", "cluster-id"];
            guard += &format!(", cluster: {{ header: {} }}", random.one(&names));
        }
        5 if method == "GET" => guard += ", lists: { items: /items, cluster: /id }",
        _ => {}
    }
    guard
}
