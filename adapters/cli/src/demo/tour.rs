//! The demo's guided tour: curl lines to paste, each with the status that it gives, in the words of one contract.

use std::{fmt::Write, path::Path};

use scopegate_host::Contract;
use serde_json::json;

use super::world::World;

/// Where one product's API has what the tour visits.
struct Sights {
    /// A list that every key of the demo may read.
    list: &'static str,
    /// What the viewer's key may not do: method and path.
    forbidden: (&'static str, &'static str),
    /// Something of the cluster `dev`, which the key restricted to `prod` may not see.
    elsewhere: &'static str,
    /// Where agents submit metrics.
    metrics: &'static str,
    /// Whether people log in on the API.
    login: bool,
}

const SCOPEGATE: Sights = Sights {
    list: "/v1/clusters",
    forbidden: ("DELETE", "/v1/clusters/dev"),
    elsewhere: "/v1/clusters/dev",
    metrics: "/v1/metrics",
    login: true,
};
const K8COST: Sights = Sights {
    list: "/api/v1/clusters",
    forbidden: ("DELETE", "/api/v1/clusters/dev"),
    elsewhere: "/api/v1/clusters/dev",
    metrics: "/api/v1/metrics",
    login: true,
};
const KUBEWATCH: Sights = Sights {
    list: "/api/v1/agents",
    forbidden: ("GET", "/api/v1/settings"),
    elsewhere: "/api/v1/clusters/dev/metrics",
    metrics: "/api/v1/metrics",
    login: true,
};
const KUBEADAPT: Sights = Sights {
    list: "/v1/clusters",
    forbidden: ("GET", "/v1/nodes"),
    elsewhere: "/v1/clusters/dev",
    metrics: "/v1/metrics",
    login: false,
};
const KUBEVISION: Sights = Sights {
    list: "/api/v1/clusters",
    forbidden: ("DELETE", "/api/v1/clusters/dev"),
    elsewhere: "/api/v1/clusters/dev",
    metrics: "/api/v1/metrics",
    login: true,
};

/// Well-formed, checksum and all, and in no store.
const UNKNOWN: &str = "zQWBuTSOoRi4A9spHcVY5ncnsDkxkJ0mLq17";

/// One line to paste.
struct Stop {
    /// What it shows, with the status first.
    says: String,
    /// The command.
    command: String,
}

/// All that the demo prints.
pub(crate) fn page(world: &World, directory: &Path) -> String {
    let mut page = format!("Scopegate speaks `{}` on {}\n\n", world.contract, world.url);
    page.push_str("# For another terminal, once:\n");
    let exports = [
        ("GATE", world.url.as_str()),
        ("ADMIN_KEY", world.key("demo-admin")),
        ("VIEWER_KEY", world.key("demo-viewer")),
        ("PROD_KEY", world.key("demo-prod")),
        ("AGENT_TOKEN", world.agent_token()),
    ];
    for (name, value) in exports {
        // Writing to a `String` cannot fail.
        let _ = writeln!(page, "export {name}={value}");
    }
    let _ = writeln!(
        page,
        "\n# The dashboard: {}/-/\n# Who can log in, there and on the API:",
        world.url
    );
    for user in &world.users {
        let _ = writeln!(page, "#   {}  {}", user.email, user.password);
    }
    for Stop { says, command } in stops(world) {
        let _ = write!(page, "\n# {says}\n{command}\n");
    }
    let audit = directory.join("audit.jsonl");
    let _ = write!(
        page,
        "\nEvery decision, as it is made: tail -f {}\nCtrl-C ends the demo and removes everything.",
        audit.display()
    );
    page
}

/// The whole tour of a world.
fn stops(world: &World) -> Vec<Stop> {
    let sights = match world.contract.as_str() {
        "k8cost" => K8COST,
        "kubewatch" => KUBEWATCH,
        "kubeadapt" => KUBEADAPT,
        "kubevision" => KUBEVISION,
        _ => SCOPEGATE,
    };
    // The demo's contract is one of those that are built in.
    let contract = Contract::builtin(&world.contract);
    let key_header = contract.map_or("", |contract| contract.key_header());
    let url = &world.url;
    let key = |name: &str| format!("-H '{}{}'", key_header, world.key(name));
    let agent = format!("-H 'Authorization: Bearer {}'", world.agent_token());
    let (method, path) = sights.forbidden;
    let mut stops = vec![
        stop(
            "200: a key of the admin sees every cluster",
            &key("demo-admin"),
            &format!("{url}{}", sights.list),
        ),
        stop(
            "200: a key restricted to `prod` sees `prod` alone, in the same list",
            &key("demo-prod"),
            &format!("{url}{}", sights.list),
        ),
        stop("401: no credential", "", &format!("{url}{}", sights.list)),
        stop(
            "401: a key that nobody minted",
            &format!("-H '{}{}'", key_header, unknown(world.key("demo-admin"))),
            &format!("{url}{}", sights.list),
        ),
        stop(
            "403: the key works and lacks the permission",
            &format!("-X {method} {}", key("demo-viewer")),
            &format!("{url}{path}"),
        ),
        stop(
            "403: the key works and `dev` is not among its clusters",
            &key("demo-prod"),
            &format!("{url}{}", sights.elsewhere),
        ),
        stop(
            "202: an agent submits metrics of its own cluster",
            &format!("{agent} -d '{{\"cpu\": 0.5}}'"),
            &format!("{url}{}", sights.metrics),
        ),
        Stop {
            says: "429 in the end: agents have 20 requests a minute".to_owned(),
            command: format!(
                "for i in $(seq 25); do curl -s -o /dev/null -w '%{{http_code}} ' {} -d '{{}}' {url}{}; done; echo",
                agent, sights.metrics
            ),
        },
    ];
    if sights.login {
        let credentials = world
            .users
            .first()
            .map(|user| json!({ "email": user.email, "password": user.password }));
        let body = credentials.unwrap_or_default();
        stops.push(stop(
            "200: a session, good for 24 hours",
            &format!("-H 'Content-Type: application/json' -d '{body}'"),
            &format!("{url}/auth/login"),
        ));
    }
    stops
}

fn stop(says: &str, arguments: &str, url: &str) -> Stop {
    let arguments = if arguments.is_empty() {
        String::new()
    } else {
        format!("{arguments} ")
    };
    Stop {
        says: says.to_owned(),
        command: format!("curl -s -w '\\n%{{http_code}}\\n' {arguments}{url}"),
    }
}

/// A key like this one, which nobody has.
fn unknown(key: &str) -> String {
    let prefix = key
        .rfind('_')
        .and_then(|end| key.get(..=end))
        .unwrap_or_default();
    format!("{prefix}{UNKNOWN}")
}
