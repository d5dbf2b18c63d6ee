//! The Helm chart: rendered by Helm, its manifests checked against Kubernetes' own schemas, its configuration read by the gate.

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Command, Stdio},
};

use regex::{Captures, Regex};
use scopegate_server::Config;
use serde_json::{Value, json};

use super::{deployed, ran, succeeds, wheel};
use crate::harness::config;

/// The oldest Kubernetes that the chart takes, and the newest whose schemas there are.
const KUBERNETES: [&str; 2] = ["1.30", "1.37"];

/// The least that must be set.
const LEAST: [&str; 2] = [
    "upstream=http://api:3000",
    "keys.sessions.existingSecret=keys",
];

fn helm(values: &[&str], file: Option<&Path>) -> Command {
    let mut helm = Command::new(wheel("helm"));
    helm.args(["template", "gate"])
        .arg(deployed("helm/scopegate"));
    helm.args(values.iter().flat_map(|value| ["--set", value]));
    helm.args(file.iter().flat_map(|file| [Path::new("--values"), file]));
    helm.stdin(Stdio::null());
    helm
}

fn manifests(mut helm: Command) -> Vec<Value> {
    let rendered = succeeds(&mut helm);
    let documents = rendered.split("\n---\n").map(|text| {
        serde_saphyr::from_str::<Value>(text).unwrap_or_else(|error| panic!("{error}:\n{text}"))
    });
    documents.filter(|document| !document.is_null()).collect()
}

fn least() -> Vec<Value> {
    manifests(helm(&LEAST, None))
}

fn many() -> Vec<Value> {
    let values = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/many.yaml");
    manifests(helm(&[], Some(&values)))
}

fn kinds(manifests: &[Value]) -> Vec<&str> {
    let kinds = manifests.iter().map(|one| one["kind"].as_str());
    let mut kinds: Vec<&str> = kinds.map(|kind| kind.expect("a kind")).collect();
    kinds.sort_unstable();
    kinds
}

fn the<'m>(manifests: &'m [Value], kind: &str) -> &'m Value {
    let found = manifests.iter().find(|one| one["kind"] == kind);
    found.unwrap_or_else(|| panic!("no {kind} in {:?}", kinds(manifests)))
}

fn pod(manifests: &[Value]) -> &Value {
    &the(manifests, "Deployment")["spec"]["template"]["spec"]
}

/// `scopegate.yaml`, as the pod has it.
fn configuration(manifests: &[Value]) -> &str {
    let found = manifests
        .iter()
        .find_map(|one| one["data"]["scopegate.yaml"].as_str());
    found.expect("a ConfigMap with it")
}

#[test]
fn helm_and_kubernetes_take_it() {
    let mut lint = Command::new(wheel("helm"));
    lint.args(["lint", "--strict"])
        .arg(deployed("helm/scopegate"));
    succeeds(lint.args(LEAST.iter().flat_map(|value| ["--set", value])));
    for (name, manifests) in [("least", least()), ("many", many())] {
        // Kubernetes itself has no schemas of what operators bring.
        let own = |one: &&Value| one["apiVersion"] != "monitoring.coreos.com/v1";
        let own: Vec<String> = manifests.iter().filter(own).map(Value::to_string).collect();
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join(format!("{name}.yaml"));
        fs::write(&path, own.join("\n---\n")).expect("written");
        for version in KUBERNETES {
            let mut validate = Command::new(wheel("kubernetes-validate"));
            validate.args(["--strict", "--kubernetes-version", version]);
            succeeds(validate.arg(&path));
        }
    }
}

#[test]
fn one_gate_keeps_its_store_on_a_volume() {
    let manifests = least();
    assert_eq!(
        kinds(&manifests),
        [
            "ConfigMap",
            "Deployment",
            "NetworkPolicy",
            "PersistentVolumeClaim",
            "Service",
            "Service",
            "ServiceAccount"
        ]
    );
    let deployment = &the(&manifests, "Deployment")["spec"];
    assert_eq!(deployment["replicas"], 1);
    // Two on one volume would not start.
    assert_eq!(deployment["strategy"], json!({ "type": "Recreate" }));
    let claim = the(&manifests, "PersistentVolumeClaim");
    assert_eq!(
        claim["metadata"]["annotations"]["helm.sh/resource-policy"],
        "keep"
    );
}

#[test]
fn pods_have_no_privilege_and_write_to_one_place() {
    for manifests in [least(), many()] {
        let pod = pod(&manifests);
        assert_eq!(pod["automountServiceAccountToken"], false);
        assert_eq!(
            pod["securityContext"],
            json!({
                "runAsNonRoot": true, "runAsUser": 65532, "runAsGroup": 65532, "fsGroup": 65532,
                "fsGroupChangePolicy": "OnRootMismatch", "seccompProfile": { "type": "RuntimeDefault" },
            })
        );
        let containers = [&pod["containers"], &pod["initContainers"]];
        for container in containers.into_iter().filter_map(Value::as_array).flatten() {
            let context = &container["securityContext"];
            assert_eq!(context["readOnlyRootFilesystem"], true);
            assert_eq!(context["allowPrivilegeEscalation"], false);
            assert_eq!(context["capabilities"]["drop"], json!(["ALL"]));
            let mounts = container["volumeMounts"].as_array().expect("mounts");
            let own = |mount: &&Value| mount["name"] != "ca";
            let written: Vec<_> = mounts
                .iter()
                .filter(own)
                .filter(|mount| mount["readOnly"] != true)
                .map(|mount| &mount["mountPath"])
                .collect();
            assert_eq!(written, ["/var/lib/scopegate"]);
        }
        let secrets = pod["volumes"].to_string();
        // Read by the group alone, which is the pod's.
        let mode = format!("\"mode\":{}", 0o440);
        assert!(secrets.contains(&mode), "{secrets}");
    }
}

#[test]
fn a_pod_that_stops_has_time_for_all_of_it() {
    let values = ["drainSeconds=40", "preStopSleepSeconds=7"];
    let manifests = manifests(helm(&[&LEAST[..], &values].concat(), None));
    let pod = pod(&manifests);
    assert_eq!(
        pod["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"],
        7
    );
    assert!(configuration(&manifests).contains("drain_time: 40s"));
    let grace = pod["terminationGracePeriodSeconds"]
        .as_u64()
        .expect("seconds");
    assert!(grace >= 7 + 40 + 10, "{grace}");
    let probe = |name: &str| &pod["containers"][0][name]["httpGet"]["path"];
    assert_eq!(probe("livenessProbe"), "/-/healthy");
    assert_eq!(probe("readinessProbe"), "/-/ready");
}

#[test]
fn several_gates_stand_apart_and_are_never_all_away() {
    let manifests = many();
    let deployment = &the(&manifests, "Deployment")["spec"];
    // The autoscaler says how many.
    assert!(deployment.get("replicas").is_none());
    assert_eq!(deployment["strategy"]["rollingUpdate"]["maxUnavailable"], 0);
    let budget = &the(&manifests, "PodDisruptionBudget")["spec"];
    assert_eq!(budget["maxUnavailable"], 1);
    let spread = pod(&manifests)["topologySpreadConstraints"].as_array();
    assert_eq!(spread.expect("constraints").len(), 2);
    assert!(!kinds(&manifests).contains(&"PersistentVolumeClaim"));
    // Nobody reaches management but pods of the gate and who is named.
    let rules = the(&manifests, "NetworkPolicy")["spec"]["ingress"].clone();
    assert_eq!(rules[1]["ports"][0]["port"], "management");
    assert_eq!(rules[1]["from"].as_array().expect("sources").len(), 2);
}

#[test]
fn what_the_operators_read_is_what_stands_beside_the_chart() {
    let manifests = many();
    let alerts = fs::read_to_string(deployed("prometheus/alerts.yaml")).expect("alerts");
    let alerts: Value = serde_saphyr::from_str(&alerts).expect("YAML");
    assert_eq!(the(&manifests, "PrometheusRule")["spec"], alerts);
    let shown = manifests
        .iter()
        .find_map(|one| one["data"]["scopegate.json"].as_str());
    let dashboard = fs::read_to_string(deployed("grafana/dashboard.json")).expect("a dashboard");
    assert_eq!(shown.expect("a ConfigMap").trim(), dashboard.trim());
    let monitor = &the(&manifests, "ServiceMonitor")["spec"];
    assert_eq!(monitor["endpoints"][0]["path"], "/-/metrics");
    // What it selects is there.
    let labels = monitor["selector"]["matchLabels"]
        .as_object()
        .expect("labels");
    let is_selected = |one: &&Value| {
        one["kind"] == "Service"
            && labels
                .iter()
                .all(|(name, value)| one["metadata"]["labels"][name] == *value)
    };
    let selected: Vec<_> = manifests.iter().filter(is_selected).collect();
    assert_eq!(selected.len(), 1);
    assert_eq!(
        selected[0]["spec"]["ports"][0]["name"],
        monitor["endpoints"][0]["port"]
    );
}

/// What the gate makes of it, with the files of the pod in a folder of the test's.
fn read(manifests: &[Value]) -> Config {
    let folder = tempfile::tempdir().expect("a folder");
    let here = folder.path().display();
    let files = Regex::new("/(run|etc|var)/[^\\s\"]+").expect("a pattern");
    let text = files.replace_all(configuration(manifests), |found: &Captures| {
        let path = folder.path().join(&found[0][1..]);
        fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        fs::write(&path, "secret").expect("written");
        fs::set_permissions(&path, Permissions::from_mode(0o440)).expect("the pod's group");
        format!("{here}{}", &found[0])
    });
    config(&text, folder.path()).unwrap_or_else(|report| panic!("{report}\n{text}"))
}

#[test]
fn the_gate_reads_the_configuration() {
    let values = [
        "keys.audit.existingSecret=audit",
        "policy.existingConfigMap=rules",
        "settings.trusted_proxies={10.0.0.0/8}",
        "settings.traces=http://collector:4318",
        "settings.limits.connections_max=100",
    ];
    let config = read(&manifests(helm(&[&LEAST[..], &values].concat(), None)));
    assert!(config.listen.ip().is_unspecified());
    assert_eq!(config.connections.connections_max, 100);
    assert_eq!(config.drain.as_secs(), 25);
    assert_eq!(config.trusted_proxies.len(), 1);
    assert!(config.store.file().is_some());
    let traces = config.traces.expect("traces");
    assert_eq!(
        traces.endpoint.to_string(),
        "http://collector:4318/v1/traces"
    );
    let config = read(&many());
    assert_eq!(config.store.file(), None);
    assert!(config.counters.redis.is_some());
    assert!(config.session_keys.is_some() && config.audit.seal.is_some());
}

#[test]
fn several_gates_are_told_where_they_meet_and_never_a_secret() {
    let manifests = many();
    let told: Value = serde_saphyr::from_str(configuration(&manifests)).expect("YAML");
    assert_eq!(
        told["store"],
        json!({
            "url": "postgres://scopegate@db:5432/scopegate?sslmode=verify-full",
            "password": "/run/secrets/store/password",
            "ca": "/run/secrets/store/ca.pem",
            "connections_max": 16,
        })
    );
    assert_eq!(
        told["counters"],
        json!({
            "url": "rediss+sentinel://redis/main",
            "password": "/run/secrets/counters/password",
            "sentinel_password": "/run/secrets/counters/sentinel-password",
            "away": "confirm",
        })
    );
    // Each file that is named is mounted.
    let volumes = pod(&manifests)["volumes"].to_string();
    for file in [
        "store/password",
        "store/ca.pem",
        "counters/password",
        "counters/sentinel-password",
        "admin/password",
    ] {
        assert!(
            volumes.contains(&format!("\"path\":\"{file}\"")),
            "{file}: {volumes}"
        );
    }
    assert!(!kinds(&manifests).contains(&"Secret"));
}

#[test]
fn what_cannot_work_is_refused_before_it_is_installed() {
    let many = ["replicaCount=3"];
    let scaled = ["autoscaling.enabled=true"];
    let meeting = ["replicaCount=3", "store.url=postgres://gate@db/gate"];
    for (values, told) in [
        (
            &many[..],
            "several gates need one store that they share: set `store.url` to a postgres:// URL",
        ),
        (&scaled, "several gates need one store that they share"),
        (
            &meeting,
            "several gates need counters that they share: set `counters.url` to a redis:// URL",
        ),
        (
            &["store.url=postgres://gate:secret@db/gate"],
            "there is a password in `store.url`",
        ),
        (
            &["counters.url=redis://:secret@redis"],
            "there is a password in `counters.url`",
        ),
        (
            &["settings.listen=0.0.0.0:1"],
            "`settings.listen` is set by the chart",
        ),
        (&["settings.limits.drain_time=1s"], "use `drainSeconds`"),
        (
            &["policy.builtin=scopegate", "policy.existingConfigMap=rules"],
            "cannot both be set",
        ),
        (&["upstream="], "`upstream` is not set"),
        (
            &["keys.sessions.existingSecret="],
            "`keys.sessions.existingSecret` is not set",
        ),
        // The schema of the values.
        (
            &["replicas=3"],
            "Additional property replicas is not allowed",
        ),
        (&["store.url=mysql://db/gate"], "Does not match pattern"),
        (&["upstream=http://user@api"], "Does not match pattern"),
        (&["drainSeconds=soon"], "Invalid type"),
    ] {
        let (is_well, _, said) = ran(&mut helm(&[&LEAST[..], values].concat(), None));
        assert!(!is_well && said.contains(told), "{values:?}: {said}");
    }
}
