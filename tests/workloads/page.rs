//! The page about workloads: its configuration is one, and what it has one paste fits it.

use scopegate_host::authenticate::ProofConfig;
use serde_json::{Value, json};

use crate::{
    cli::{binary::repository, pages::blocks},
    harness::config,
};

/// The blocks of the page that are of this kind.
fn of_kind(info: &str) -> Vec<String> {
    let page = repository().join("docs/kubernetes-callers.md");
    let found = blocks(&page).into_iter().filter(|block| block.info == info);
    found.map(|block| block.text).collect()
}

fn manifests() -> Vec<Value> {
    let texts = of_kind("yaml manifest");
    let documents = texts.iter().flat_map(|text| text.split("---\n"));
    documents
        .map(|one| serde_saphyr::from_str(one).unwrap_or_else(|error| panic!("{one}: {error}")))
        .collect()
}

#[test]
fn what_is_pasted_fits_together() {
    let directory = tempfile::tempdir().expect("a directory");
    for name in ["ca.crt", "token"] {
        std::fs::write(directory.path().join(name), "x").expect("writable");
    }
    let mounted = "/var/run/secrets/kubernetes.io/serviceaccount/";
    let [shown] = &of_kind("yaml kubernetes")[..] else {
        panic!("one configuration");
    };
    let shown = shown.replace(mounted, "");
    let text = format!("upstream: http://127.0.0.1:9000\nstore: sqlite://gate.db\n{shown}");
    let config = config(&text, directory.path()).unwrap_or_else(|report| panic!("{report}"));
    let [cluster] = &config.kubernetes[..] else {
        panic!("one cluster");
    };
    assert!(matches!(&cluster.proof, ProofConfig::TokenReview(review) if review.cache_secs == 10));

    let manifests = manifests();
    let [account, deployment, binding] = &manifests[..] else {
        panic!("{manifests:?}");
    };
    let of = |kind: &str, version: &str| (json!(kind), json!(version));
    let is = |one: &Value| (one["kind"].clone(), one["apiVersion"].clone());
    assert_eq!(is(account), of("ServiceAccount", "v1"));
    assert_eq!(is(deployment), of("Deployment", "apps/v1"));
    assert_eq!(
        is(binding),
        of("ClusterRoleBinding", "rbac.authorization.k8s.io/v1")
    );
    // The account that may call is the one that the pod runs as.
    let metadata = &account["metadata"];
    let name = |of: &Value| of.as_str().expect("a name").to_owned();
    let account = format!(
        "{}/{}",
        name(&metadata["namespace"]),
        name(&metadata["name"])
    );
    assert_eq!(cluster.service_accounts, [account]);
    let pod = &deployment["spec"]["template"];
    assert_eq!(deployment["metadata"]["namespace"], metadata["namespace"]);
    assert_eq!(pod["spec"]["serviceAccountName"], metadata["name"]);
    assert_eq!(
        pod["metadata"]["labels"],
        deployment["spec"]["selector"]["matchLabels"]
    );
    // Its token is for the gate, for a time that is taken, and where the agent looks.
    let volume = &pod["spec"]["volumes"][0];
    let token = &volume["projected"]["sources"][0]["serviceAccountToken"];
    assert_eq!(cluster.audiences, [name(&token["audience"])]);
    let seconds = token["expirationSeconds"].as_i64().expect("a number");
    assert!(
        (600..=86_400).contains(&seconds),
        "what Kubernetes makes, and the gate takes"
    );
    assert_eq!(token["path"], "token");
    let mount = &pod["spec"]["containers"][0]["volumeMounts"][0];
    assert_eq!(
        (&mount["name"], &mount["readOnly"]),
        (&volume["name"], &json!(true))
    );
    assert_eq!(binding["roleRef"]["name"], "system:auth-delegator");
}
