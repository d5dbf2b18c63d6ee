//! Users, roles, clusters, agents and organizations over the API.

use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::{Value, json};

use super::{Office, PASSWORD, status, unused};
use crate::cli::binary::{run_with, shell, text};

#[test]
fn an_administrator_looks_after_people() {
    let office = Office::open("scopegate");
    let root = office.token("root@example.com");
    let set = ["role", "set", "on-call", "--permission", "*:read"];
    assert_eq!(office.json(&root, &set)["permissions"], json!(["*:read"]));
    let set = ["role", "set", "on-call", "--permission", "clusters:read"];
    assert_eq!(
        office.json(&root, &set)["permissions"],
        json!(["clusters:read"]),
        "changed"
    );

    let add = [
        "user",
        "add",
        "ada@example.com",
        "--role",
        "on-call",
        "--cluster",
        "prod",
        "--invite",
    ];
    let invited = office.json(&root, &add);
    assert_eq!(
        (&invited["email"], &invited["clusters"]),
        (&json!("ada@example.com"), &json!(["prod"]))
    );
    let again = office.ask(&root, &["user", "invite", "ADA@example.com"]);
    let body = json!({ "invitation": again.stdout.trim(), "password": PASSWORD });
    let accepted = super::super::own_gate::status(
        &format!("{}/-/invitation", office.management),
        &format!("-H 'Content-Type: application/json' -d '{body}'"),
    );
    assert!(accepted.starts_with('2'), "{accepted}: {}", again.stderr);
    let ada = office.token("ada@example.com");
    assert_eq!(office.json(&ada, &["whoami"])["clusters"], json!(["prod"]));

    let changed = |arguments: &[&str]| office.json(&root, arguments)["changed"].clone();
    let role = ["user", "set-role", "ada@example.com", "--role", "viewer"];
    assert_eq!(
        (changed(&role), changed(&role)),
        (json!(true), json!(false))
    );
    let clusters = ["user", "set-clusters", "ada@example.com", "--all"];
    assert_eq!(
        (changed(&clusters), changed(&clusters)),
        (json!(true), json!(false))
    );
    assert_eq!(changed(&["role", "delete", "on-call"]), true);
    let users = office.json(&root, &["user", "list"]);
    assert_eq!(users, office.there(&["user", "list"]));
    assert_eq!(
        office.json(&root, &["role", "list"]),
        office.there(&["role", "list"])
    );

    let ada = office.token("ada@example.com");
    let listed = office.json(&root, &["session", "list", "--user", "ada@example.com"]);
    assert!(!listed.as_array().expect("a list").is_empty());
    assert_eq!(
        changed(&["session", "end", "--user", "ada@example.com"]),
        true
    );
    office.fails(&ada, &["whoami"], 1, "");
    assert_eq!(
        changed(&["user", "remove-factor", "ada@example.com"]),
        false,
        "there was none"
    );
    assert_eq!(changed(&["user", "disable", "ada@example.com"]), true);
    assert_eq!(changed(&["user", "disable", "ada@example.com"]), false);

    // The audit has all of it, by who did it.
    let search = [
        "audit",
        "search",
        "--user",
        "root@example.com",
        "--kind",
        "change",
    ];
    let found = office.ask(
        &root,
        &[&search[..], &["--output", "json", "--limit", "300"]].concat(),
    );
    let lines = found.stdout.lines().map(serde_json::from_str::<Value>);
    let lines: Vec<Value> = lines.map(|line| line.expect("JSON")).collect();
    let actions: Vec<&str> = lines
        .iter()
        .filter_map(|line| line["action"].as_str())
        .collect();
    for action in ["role.set", "user.disable"] {
        assert!(actions.contains(&action), "{action}: {actions:?}");
    }
    let one = office.ask(
        &root,
        &[&search[..], &["--limit", "1", "--since", "1h"]].concat(),
    );
    assert_eq!(one.stdout.lines().count(), 1, "{}", one.stderr);
    let viewer = office.token("viewer@example.com");
    office.fails(&viewer, &["user", "list"], 1, "manage:users");
    office.fails(&viewer, &["audit", "search"], 1, "manage:audit");
}

#[test]
fn clusters_and_their_agents() {
    let office = Office::open("scopegate");
    let root = office.token("root@example.com");
    let added = office.json(&root, &["cluster", "add", "eu-1", "--with-agent"]);
    let first = &added[0]["agent"]["secret"];
    let metrics = format!("{}/v1/metrics -d '{{}}'", office.url);
    let bearer = "Authorization: Bearer ";
    assert_eq!(status(&metrics, bearer, first), "502", "admitted");

    let mint = [
        "agent",
        "mint",
        "--cluster",
        "prod",
        "--format",
        "kubernetes-secret",
    ];
    let secret = office.ask(&root, &mint);
    let secret: Value = serde_saphyr::from_str(&secret.stdout).expect("a manifest");
    assert_eq!(secret["metadata"]["name"], "scopegate-agent");
    let token = secret["data"]["api-token"].as_str().expect("base64");
    let token = BASE64_STANDARD.decode(token).expect("base64");
    let token = json!(String::from_utf8(token).expect("a text"));
    assert_eq!(status(&metrics, bearer, &token), "502", "admitted");

    let rotated = office.json(&root, &["agent", "rotate", "prod", "--overlap", "0s"]);
    assert_eq!(status(&metrics, bearer, &token), "401");
    assert_eq!(
        status(&metrics, bearer, &rotated["secret"]),
        "502",
        "admitted"
    );
    let listed = office.json(&root, &["agent", "list"]);
    assert_eq!(unused(&listed), unused(&office.there(&["agent", "list"])));
    let id = rotated["id"].as_str().expect("an id");
    office.json(&root, &["agent", "revoke", id, "eu-1"]);
    assert_eq!(status(&metrics, bearer, first), "401");
    office.json(&root, &["cluster", "delete", "eu-1"]);
    let listed = office.json(&root, &["cluster", "list"]);
    let ids: Vec<&Value> = listed
        .as_array()
        .expect("a list")
        .iter()
        .map(|one| &one["id"])
        .collect();
    assert_eq!(ids, ["dev", "prod"]);
    office.fails(&root, &["cluster", "add", "eu-1"], 1, "never used again");
    office.fails(
        &root,
        &["agent", "mint", "--cluster", "pord"],
        2,
        "did you mean `prod`?",
    );
}

#[test]
fn operators_make_organizations_and_take_keys_over() {
    let office = Office::open("scopegate");
    let add = ["operator", "add", "ops@example.com"];
    let added = run_with(
        office.gate.path(),
        &[("SCOPEGATE_PASSWORD", PASSWORD)],
        "",
        &add,
    );
    assert!(added.status.success(), "{}", text(&added.stderr));
    let ops = office.token("ops@example.com");
    let acme = office.json(
        &ops,
        &["organization", "add", "Acme", "--admin", "root@acme.test"],
    );
    assert_eq!(acme["admin"]["email"], "root@acme.test");
    assert!(acme["admin"]["invitation"].is_string());
    let listed = office.json(&ops, &["organization", "list"]);
    assert_eq!(listed, office.there(&["organization", "list"]));

    let hash = hex::encode(<sha2::Sha256 as sha2::Digest>::digest("an old key"));
    let key = json!({ "name": "old", "sha256": hash, "owner": "root@acme.test", "expires_at": "2099-01-01T00:00:00Z" });
    let variables = [("SCOPEGATE_TOKEN", ops.as_str())];
    let import = ["key", "import", "-", "--organization", "Acme"];
    let imported = office.run(&variables, &key.to_string(), &import);
    assert_eq!(
        (imported.code, imported.stdout.trim()),
        (Some(0), "imported 1 key"),
        "{}",
        imported.stderr
    );
    let keys = office.there(&["key", "list", "--organization", "Acme"]);
    assert_eq!(
        (&keys[0]["name"], &keys[0]["expires_at"]),
        (&json!("old"), &json!("2099-01-01T00:00:00Z"))
    );
    let unsaid = office.run(&variables, &key.to_string(), &["key", "import", "-"]);
    assert_eq!(unsaid.code, Some(2), "{}", unsaid.stderr);
}

#[test]
fn a_second_factor_is_asked_for() {
    let office = Office::open("scopegate");
    let token = office.token("viewer@example.com");
    let api = |path: &str, body: &str| -> Value {
        let call = format!(
            "curl -s -X POST -H 'Authorization: Bearer {token}' -H 'Content-Type: application/json' -d '{body}' {}/-/api/me/factor{path}",
            office.management
        );
        serde_json::from_slice(&shell(&call).stdout).expect("JSON")
    };
    let secret = api("", "")["secret"].as_str().expect("base32").to_owned();
    let code = shell(&format!(
        "python3 - <<'END'\nimport base64,hmac,struct,time\ns='{secret}'; k=base64.b32decode(s+'='*(-len(s)%8))\nh=hmac.new(k,struct.pack('>Q',int(time.time())//30),'sha1').digest(); o=h[-1]&15\nprint('%06d'%((struct.unpack('>I',h[o:o+4])[0]&0x7fffffff)%1000000))\nEND"
    ));
    let confirmed = api(
        "/confirm",
        &json!({ "otp": text(&code.stdout).trim() }).to_string(),
    );
    let recovery = confirmed["recovery_codes"][0]
        .as_str()
        .expect("a code")
        .to_owned();

    let login = [
        "login",
        "--email",
        "viewer@example.com",
        "--password-file",
        "-",
    ];
    let without = office.run(&[], PASSWORD, &login);
    assert_eq!((without.code, without.stdout.as_str()), (Some(1), ""));
    assert!(without.stderr.contains("--otp"), "{}", without.stderr);
    let with = office.run(&[], PASSWORD, &[&login[..], &["--otp", &recovery]].concat());
    assert_eq!(with.code, Some(0), "{}", with.stderr);
    assert_eq!(office.json(with.stdout.trim(), &["whoami"])["mfa"], true);
}
