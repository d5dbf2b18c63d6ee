//! Random questions to a policy: half of them near to what it knows, half of them hostile.

use std::net::IpAddr;

use scopegate_policy::{Caller, CallerKind, Clusters, Description, Request};

use crate::harness::random::Random;

const CLUSTERS: [&str; 8] = [
    "prod", "dev", "staging", "a:b", "x_y.z", "PROD", "1", "prod-1",
];
const STRANGE: [&str; 10] = [
    "",
    " ",
    "*",
    "a/b",
    "%2e%2e",
    "ä",
    "\u{0}",
    "prod\n",
    "..",
    "\u{10ffff}",
];
const NOW: i64 = 1_800_000_000;

/// Somebody, not always one whom a gate could have.
pub fn caller(random: &mut Random, policy: &Description) -> Caller {
    let kinds = [
        CallerKind::Anonymous,
        CallerKind::Session,
        CallerKind::Session,
        CallerKind::ApiKey,
        CallerKind::ApiKey,
        CallerKind::Agent,
    ];
    let kind = *random.one(&kinds);
    if kind == CallerKind::Anonymous && !random.once_in(4) {
        return Caller::anonymous();
    }
    let own = (kind == CallerKind::Agent) != random.once_in(12);
    Caller {
        kind,
        subject: (*random.one(&["someone", "", "ä"])).to_owned(),
        organization: "organization".to_owned(),
        roles: roles(random, policy),
        permissions: patterns(random, policy),
        scopes: random.once_in(2).then(|| patterns(random, policy)),
        clusters: clusters(random),
        allowed_clusters: clusters(random),
        agent_cluster: own.then(|| cluster(random)),
        operator: random.once_in(6),
        mfa: random.once_in(2),
        auth_time: match random.below(6) {
            0 => None,
            1 => Some(*random.one(&[i64::MIN, i64::MAX, 0, -1])),
            2 => Some(NOW - 10_000),
            3 => Some(NOW - 15 * 60 - 1 + random.below(3) as i64),
            4 => Some(NOW + 59 + random.below(3) as i64),
            _ => Some(NOW - random.below(900) as i64),
        },
        credential_created: match random.below(4) {
            0 => None,
            1 => Some(*random.one(&[i64::MIN, i64::MAX, 0, NOW, NOW + 1])),
            _ => Some(NOW - random.below(200 * 24 * 60 * 60) as i64),
        },
    }
}

fn roles(random: &mut Random, policy: &Description) -> Vec<String> {
    let count = if random.once_in(50) {
        300
    } else {
        random.below(4)
    };
    let known = |random: &mut Random| random.one(&policy.roles).name.clone();
    (0..count)
        .map(|_| match random.below(8) {
            0 => (*random.one(&STRANGE)).to_owned(),
            _ => known(random),
        })
        .collect()
}

/// Permissions with wildcards, and some that are none.
fn patterns(random: &mut Random, policy: &Description) -> Vec<String> {
    let count = if random.once_in(50) {
        200
    } else {
        random.below(4)
    };
    let pattern = |random: &mut Random| {
        let name = &random.one(&policy.permissions).name;
        let (resource, action) = name.split_once(':').expect("a permission");
        match random.below(10) {
            0 => "*".to_owned(),
            1 => "*:*".to_owned(),
            2 => format!("{resource}:*"),
            3 => format!("*:{action}"),
            4 => (*random.one(&STRANGE)).to_owned(),
            _ => name.clone(),
        }
    };
    (0..count).map(|_| pattern(random)).collect()
}

fn cluster(random: &mut Random) -> String {
    match random.below(12) {
        0 => (*random.one(&STRANGE)).to_owned(),
        1 => "c".repeat(252 + random.place(4)),
        2 => format!("many-{}", random.below(500)),
        _ => (*random.one(&CLUSTERS)).to_owned(),
    }
}

fn clusters(random: &mut Random) -> Clusters {
    let count = match random.below(12) {
        0..=4 => return Clusters::All,
        5 => 500,
        _ => random.below(4),
    };
    Clusters::only((0..count).map(|_| cluster(random)))
}

/// A request for one of the routes, or near to one.
pub fn request(random: &mut Random, policy: &Description) -> Request {
    let route = random.one(&policy.routes);
    let methods = ["GET", "HEAD", "POST", "PUT", "DELETE", "PURGE", "get", ""];
    let method = match route.method.as_str() {
        "*" => *random.one(&methods),
        method if !random.once_in(8) => method,
        _ => *random.one(&methods),
    };
    let mut segments: Vec<String> = Vec::new();
    for segment in route.pattern.split('/').skip(1) {
        match segment {
            "**" => {
                let count = if random.once_in(20) {
                    70
                } else {
                    random.below(4)
                };
                segments.extend((0..count).map(|_| cluster(random)));
            }
            parameter if parameter.starts_with('{') => segments.push(cluster(random)),
            literal => segments.push(literal.to_owned()),
        }
    }
    if random.once_in(4) {
        disturb(random, &mut segments);
    }
    let mut path = format!("/{}", segments.join("/"));
    match random.below(40) {
        0 => path.push('/'),
        1 => path = path.to_ascii_uppercase(),
        2 => path = (*random.one(&STRANGE)).to_owned(),
        3 => path.push_str(&"/x".repeat(3_000)),
        4 => path.push_str(&"y".repeat(65_600)),
        _ => {}
    }
    let mut query = Vec::new();
    let mut headers = Vec::new();
    for other in &policy.routes {
        use scopegate_policy::ClusterSource::{Header, Query};
        let (fields, name) = match &other.cluster {
            Query(name) => (&mut query, name),
            Header(name) => (&mut headers, name),
            _ => continue,
        };
        if fields.len() < 6 && random.once_in(3) {
            fields.push((name.clone(), cluster(random)));
        }
    }
    for name in &policy.headers {
        if random.once_in(2) {
            let value = *random.one(&["prod", "staging", "dev", "", "Prod", "ä"]);
            headers.push((name.clone(), value.to_owned()));
        }
    }
    if random.once_in(200) {
        query.extend((0..300).map(|number| (format!("f{number}"), cluster(random))));
    }
    Request {
        method: method.to_owned(),
        path,
        query,
        headers,
        now: match random.below(8) {
            0 => *random.one(&[i64::MIN, i64::MAX, 0]),
            1..4 => NOW,
            // Any minute of a week.
            _ => NOW + random.below(7 * 24 * 60 * 60) as i64,
        },
        address: address(random),
    }
}

fn address(random: &mut Random) -> Option<IpAddr> {
    const SOME: [&str; 7] = [
        "10.1.2.3",
        "10.255.255.255",
        "11.0.0.0",
        "::ffff:10.1.2.3",
        "192.0.2.7",
        "2001:db8::1",
        "::1",
    ];
    let some = random.one(&SOME).parse().expect("an address");
    (!random.once_in(6)).then_some(some)
}

fn disturb(random: &mut Random, segments: &mut Vec<String>) {
    if segments.is_empty() {
        segments.push(cluster(random));
        return;
    }
    let place = random.place(segments.len());
    match random.below(5) {
        0 => drop(segments.remove(place)),
        1 => segments.insert(place, cluster(random)),
        2 => segments[place] = segments[place].to_uppercase(),
        3 => segments[place] = segments[place].to_lowercase(),
        _ => segments[place] = cluster(random),
    }
}
