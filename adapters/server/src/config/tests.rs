//! What is read, and what is reported.

use super::*;

mod kubernetes;

fn read(text: &str) -> Result<Config, Vec<String>> {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("keys.json"), "{}").unwrap();
    std::fs::write(directory.path().join("mine.yaml"), "").unwrap();
    let keys = directory.path().join("keys.json").display().to_string();
    let environment = |name: &str| match name {
        "KEYS" => Some(keys.clone()),
        "EMPTY" => Some(String::new()),
        _ => None,
    };
    Config::read("scopegate.yaml", text, directory.path(), environment).map_err(|report| {
        let here = directory.path().display().to_string();
        report
            .places()
            .map(|p| format!("{}:{} {}", p.line, p.column, p.message.replace(&here, ".")))
            .collect()
    })
}

const LEAST: &str = "upstream: http://127.0.0.1:9000\nstore: sqlite://gate.db\n";

#[test]
fn the_least_configuration_is_on_loopback_and_strict() {
    let config = read(LEAST).unwrap();
    assert_eq!(config.contract, ContractSource::Builtin("scopegate".into()));
    assert_eq!(config.policy, PolicySource::OfContract);
    assert!(config.listen.ip().is_loopback());
    assert!(matches!(config.management, Management::Listen(address) if address.ip().is_loopback()));
    assert_eq!(config.isolation, Isolation::Fresh);
    assert!(config.trusted_proxies.is_empty() && !config.forward_credentials);
    assert!(config.store.starts_with("sqlite:///") && config.store.ends_with("/gate.db"));
}

#[test]
fn everything_can_be_said() {
    let config = read(
        "listen: '[::]:443'
contract: kubeadapt
policy: mine.yaml
policy_keys: [mine.yaml]
upstream: { url: 'https://api.internal:8443/base', host: preserve }
store: sqlite:///var/lib/scopegate.db
counters: memory
isolation: pooled
trusted_proxies: [10.0.0.0/8, '2001:db8::1']
audit: audit.jsonl
management: { listen: shared }
public_url: https://api.example.com/base
envoy: { listen: '0.0.0.0:9191', tls: { certificate: mine.yaml, key: { env: KEYS }, client_ca: mine.yaml } }
sessions: { keys: { env: KEYS } }
forward_credentials: true
issuers:
  - issuer: https://idp.example.com
    audiences: [scopegate]
    organization: 0190a7c4-0000-7000-8000-000000000001
    algorithms: [RS256, ES256]
    jwks: https://idp.example.com/keys
limits: { list_bytes_max: 1000, response_time: 5s, drain_time: 1m }
",
    )
    .unwrap();
    assert_eq!(config.store, "sqlite:///var/lib/scopegate.db");
    assert!(matches!(&config.policy, PolicySource::Document(path) if path.ends_with("mine.yaml")));
    assert!(config.policy_keys[0].ends_with("mine.yaml"));
    assert!(config.upstream.preserve_host);
    assert_eq!(config.management, Management::Shared);
    assert_eq!(
        config.public_url.unwrap().to_string(),
        "https://api.example.com/base"
    );
    let envoy = config.envoy.unwrap();
    assert_eq!(envoy.listen.port(), 9191);
    assert!(
        envoy
            .tls
            .is_some_and(|tls| tls.key.ends_with("keys.json") && tls.client_ca.is_some())
    );
    assert_eq!(config.issuers[0].issuer, "https://idp.example.com");
    assert_eq!(config.trusted_proxies.len(), 2);
    assert_eq!((config.list_bytes_max, config.drain.as_secs()), (1000, 60));
    assert_eq!(config.proxy.response.as_secs(), 5);
}

#[test]
fn every_mistake_is_reported_at_once() {
    let problems = read(
        "listen: here
contract: k8cots
policy: nowhere.yaml
upstream: ftp://x
store: gate.db
isolation: shared
trusted_proxies: [everyone]
sessions: { keys: { env: NOT_SET } }
issuers:
  - { issuer: x, audiences: [], algorithms: [HS256], jwks: 'http://x/keys', organization: y }
limits: { drain_time: 0s, list_bytes_max: 0 }
audit: { lines: no/such.jsonl, key: { env: NOT_SET }, keep: 0s, colour: red }
colour: red
",
    )
    .unwrap_err();
    assert_eq!(
        problems,
        [
            "1:9 `here` is not an address to listen on",
            "2:11 `k8cots` is neither a built-in contract nor a `.yaml` file",
            "3:9 cannot read the file `./nowhere.yaml`: No such file or directory (os error 2)",
            "4:11 `ftp://x` is not the URL of a server",
            "5:8 `gate.db` is not a store",
            "6:12 `shared` is not a value of `isolation`",
            "7:19 `everyone` is neither an address nor a network",
            "8:26 the environment variable `NOT_SET` is not set",
            "10:18 `audiences` must name at least one",
            "10:46 `HS256` is not an algorithm that is verified",
            "10:60 `http://x/keys` is no https URL",
            "11:11 `drain_time` must be at least `1s`",
            "11:43 `list_bytes_max` must be from 1 to 4294967296, not `0`",
            "12:8 `key` and `heads` of `audit` go together",
            "12:17 there is no directory for the file `./no/such.jsonl`",
            "12:44 the environment variable `NOT_SET` is not set",
            "12:55 `keep` must be at least `1s`",
            "12:65 unknown key `colour` in `audit`",
            "13:1 unknown key `colour` in the configuration",
        ]
    );
}

#[test]
fn a_secret_that_is_not_set_is_no_configuration() {
    for keys in [
        "{ env: EMPTY }",
        "{ env: NOT_SET }",
        "missing.json",
        "{}",
        "{ env: KEYS, file: keys.json }",
    ] {
        read(&format!("{LEAST}sessions: {{ keys: {keys} }}\n")).unwrap_err();
    }
    read(&format!("{LEAST}policy_keys: []\n")).unwrap_err();
    read(&format!("{LEAST}policy_keys: [nowhere.pub]\n")).unwrap_err();
    read(&format!("{LEAST}sessions: {{}}\n")).unwrap_err();
    read(&format!("{LEAST}sessions: {{ keys: keys.json }}\n")).unwrap();
}

/// A listener that was meant to have TLS never goes without.
#[test]
fn envoy_has_the_tls_that_is_asked_for_or_is_no_configuration() {
    let envoy = |text: &str| read(&format!("{LEAST}envoy: {text}\n")).map(|config| config.envoy);
    assert_eq!(read(LEAST).unwrap().envoy, None);
    let plain = envoy("{ listen: '127.0.0.1:9191' }").unwrap().unwrap();
    assert_eq!(plain.tls, None);
    for wrong in [
        "{}",
        "9191",
        "{ listen: here }",
        "{ listen: '127.0.0.1:9191', tls: {} }",
        "{ listen: '127.0.0.1:9191', tls: }",
        "{ listen: '127.0.0.1:9191', tls: true }",
        "{ listen: '127.0.0.1:9191', tls: { certificate: mine.yaml } }",
        "{ listen: '127.0.0.1:9191', tls: { certificate: mine.yaml, key: missing.pem } }",
        "{ listen: '127.0.0.1:9191', tls: { certificate: mine.yaml, key: keys.json, ca: mine.yaml } }",
        "{ listen: '127.0.0.1:9191', tls: { certificate: mine.yaml, key: keys.json, client_ca: none.pem } }",
    ] {
        assert!(envoy(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn a_proxy_that_asks_must_be_trusted() {
    let check = |text: &str| read(&format!("{LEAST}{text}\n")).map(|config| config.check);
    assert_eq!(read(LEAST).unwrap().check, None);
    let asks = "trusted_proxies: [10.0.0.1]\ncheck: { dialect: envoy }";
    assert_eq!(check(asks).unwrap(), Some(Dialect::Envoy));
    let nobody = check("check: { dialect: nginx }").unwrap_err();
    assert_eq!(
        nobody,
        ["3:1 `check` answers nobody without `trusted_proxies`"]
    );
    for wrong in [
        "trusted_proxies: []\ncheck: { dialect: nginx }",
        "trusted_proxies: [10.0.0.1]\ncheck: {}",
        "trusted_proxies: [10.0.0.1]\ncheck: nginx",
        "trusted_proxies: [10.0.0.1]\ncheck: { dialect: apache }",
        "trusted_proxies: [10.0.0.1]\ncheck: { dialect: nginx, path: /check }",
    ] {
        check(wrong).unwrap_err();
    }
}

#[test]
fn the_audit_is_a_word_or_a_map() {
    let audit = |text: &str| read(&format!("{LEAST}audit: {text}\n")).map(|config| config.audit);
    let word = read(LEAST).unwrap().audit;
    assert_eq!((&word.lines, word.store), (&Sink::Stdout, true));
    assert_eq!((&word.seal, word.keep), (&None, None));
    assert_eq!(audit("none").unwrap().lines, Sink::None);
    assert!(matches!(audit("a.jsonl").unwrap().lines, Sink::File(path) if path.is_absolute()));
    let all = "{ lines: none, store: false, key: { env: KEYS }, heads: heads.jsonl, keep: 90d }";
    let all = audit(all).unwrap();
    assert!(!all.store);
    let seal = all.seal.unwrap();
    assert!(seal.key.ends_with("keys.json") && seal.heads.ends_with("heads.jsonl"));
    assert_eq!(all.keep.unwrap().as_secs(), 90 * 86_400);
    // A key without heads shows no cut-off end, and a key that is not there signs nothing.
    for wrong in [
        "{ key: keys.json }",
        "{ heads: heads.jsonl }",
        "{ key: missing.json, heads: heads.jsonl }",
        "{ lines: a.jsonl, keep: 90 }",
    ] {
        audit(wrong).unwrap_err();
    }
}
