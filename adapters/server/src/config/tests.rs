//! What is read, and what is reported.

use scopegate_host::counters::redis::WhenAway;

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
        "OTEL_EXPORTER_OTLP_ENDPOINT" => Some("http://elsewhere:4318/base/".to_owned()),
        "OTEL_SERVICE_NAME" => Some("named elsewhere".to_owned()),
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
    let file = config.store.file().unwrap();
    assert!(file.is_absolute() && file.ends_with("gate.db"));
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
    assert_eq!(
        config.store.file(),
        Some(Path::new("/var/lib/scopegate.db"))
    );
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
            "5:8 `gate.db` is not a store: it must be `sqlite://` and the path of a file, or `postgres://` with a user, a host and a database",
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

#[test]
fn counters_are_a_word_a_url_or_a_map() {
    let counters = |text: &str| read(&format!("{LEAST}counters: {text}\n")).map(|c| c.counters);
    assert_eq!(read(LEAST).unwrap().counters, CountersConfig::default());
    assert_eq!(counters("memory").unwrap(), CountersConfig::default());
    let two = counters("{ url: memory, window: 2s }").unwrap();
    assert_eq!((two.window.secs(), two.redis), (2, None));

    let redis = counters("redis://redis.internal").unwrap().redis.unwrap();
    assert_eq!((redis.password, redis.ca), (None, None));
    assert_eq!(
        (redis.when_away, redis.timeout.as_millis()),
        (WhenAway::Confirm, 100)
    );
    let all = "{ url: 'rediss://redis.internal/1', password: { env: KEYS }, ca: mine.yaml, away: refuse, window: 1m, timeout_ms: 50 }";
    let all = counters(all).unwrap();
    let redis = all.redis.unwrap();
    assert!(
        redis
            .password
            .is_some_and(|path| path.ends_with("keys.json"))
    );
    assert!(redis.ca.is_some_and(|path| path.ends_with("mine.yaml")));
    assert_eq!(
        (redis.when_away, redis.timeout.as_millis()),
        (WhenAway::Refuse, 50)
    );
    assert_eq!((redis.url.tls, redis.url.database), (true, 1));
    let watched = "{ url: 'redis+sentinel://a/main', sentinel_password: keys.json }";
    let watched = counters(watched).unwrap().redis.unwrap();
    assert!(watched.password.is_none());
    let password = watched.sentinel_password;
    assert!(password.is_some_and(|path| path.ends_with("keys.json")));
}

#[test]
fn what_is_wrong_with_counters_is_said_at_once() {
    let problems = |text: &str| read(&format!("{LEAST}counters: {text}\n")).unwrap_err();
    assert_eq!(
        problems("redis://:s3cret@redis.internal"),
        ["3:11 there is a password in the URL"]
    );
    assert_eq!(problems("disk"), ["3:11 `disk` is not the URL of a Redis"]);
    assert_eq!(
        problems(
            "{ url: memory, password: keys.json, ca: mine.yaml, away: refuse, timeout_ms: 9 }"
        ),
        [
            "3:26 `password` goes with a Redis, and counts are kept in memory",
            "3:47 `ca` goes with a Redis, and counts are kept in memory",
            "3:62 `away` goes with a Redis, and counts are kept in memory",
            "3:76 `timeout_ms` goes with a Redis, and counts are kept in memory",
        ]
    );
    assert_eq!(
        problems(
            "{ url: 'redis://a', ca: mine.yaml, password: { env: NOT_SET }, away: wait, window: 2h, timeout_ms: 0, pool: 5 }"
        ),
        [
            "3:35 `ca` is of no use without TLS",
            "3:63 the environment variable `NOT_SET` is not set",
            "3:80 `wait` is not a value of `away`",
            "3:86 `window` must be from `1s` to `1h`",
            "3:110 `timeout_ms` must be from 1 to 5000, not `0`",
            "3:113 unknown key `pool` in `counters`",
        ]
    );
    assert_eq!(problems("{ away: refuse }").len(), 1, "where it is");
    assert_eq!(
        problems("{ url: 'redis://a', sentinel_password: keys.json }"),
        ["3:31 `sentinel_password` is of no use without sentinels"]
    );
    assert_eq!(
        problems("{ url: memory, sentinel_password: keys.json }"),
        ["3:26 `sentinel_password` goes with a Redis, and counts are kept in memory"]
    );
}

#[test]
fn traces_are_a_collector_or_a_map_that_variables_fill_in() {
    let traces = |text: &str| read(&format!("{LEAST}traces: {text}\n")).map(|config| config.traces);
    assert_eq!(read(LEAST).unwrap().traces, None);
    let short = traces("https://collector:4318").unwrap().unwrap();
    assert_eq!(short.endpoint, "https://collector:4318/v1/traces");
    assert_eq!((short.ratio, &*short.service), (None, "named elsewhere"));
    let whole = "{ endpoint: http://collector:4318, ca: mine.yaml, ratio: 0.25, service: gate }";
    let whole = traces(whole).unwrap().unwrap();
    assert_eq!((whole.ratio, &*whole.service), (Some(0.25), "gate"));
    assert!(whole.ca.is_some_and(|ca| ca.is_absolute()));
    let filled = traces("{ ratio: 1 }").unwrap().unwrap();
    assert_eq!(filled.endpoint, "http://elsewhere:4318/base/v1/traces");
    assert_eq!(filled.ratio, Some(1.0));
    for wrong in [
        "",
        "true",
        "collector:4318",
        "{ endpoint: 'http://token@collector' }",
        "{ ratio: 1.5 }",
        "{ ratio: nan }",
        "{ ratio: most }",
        "{ ca: missing.pem }",
        "{ headers: { authorization: secret } }",
    ] {
        assert!(traces(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn a_store_is_a_file_or_a_server_that_gates_share() {
    let store = |text: &str| {
        let text = format!("upstream: http://127.0.0.1:9000\n{text}\ncounters: redis://redis\n");
        read(&text).map(|config| config.store)
    };
    let url = store("store: postgres://gate@db.internal/scopegate").unwrap();
    assert!(url.file().is_none() && url.local.ends_with("scopegate"));
    let map = "store: { url: 'postgres://gate@db/gate', password: { env: KEYS }, ca: mine.yaml, connections_max: 8, statement_timeout: 2s, contact_max: 1h }";
    assert!(store(map).unwrap().file().is_none());
    for (wrong, problem) in [
        (
            "store: postgres://gate:hunter2@db/gate",
            "2:8 `postgres://gate@db/gate` is not a store: a password does not belong into it: give the map `{ url, password }` with a file, or set PGPASSWORD",
        ),
        (
            "store: { url: 'sqlite://gate.db' }",
            "2:15 the map is for stores on a server",
        ),
        (
            "store: { url: 'postgres://gate@db/gate', connections_max: 1 }",
            "2:59 `connections_max` must be from 5 to 1000, not `1`",
        ),
        (
            "store: { url: 'postgres://gate@db/gate', statement_timeout: 0s }",
            "2:42 `statement_timeout` must be at least `1s`",
        ),
        (
            "store: { url: 'postgres://gate@db/gate', contact_max: 0s }",
            "2:42 `contact_max` must be at least `1s`",
        ),
        (
            "store: sqlite://gate.db\nstate: .",
            "3:8 `state` goes with a store on a server",
        ),
        (
            "store: postgres://gate@db/gate\nstate: nowhere",
            "3:8 there is no directory `./nowhere`",
        ),
    ] {
        assert_eq!(store(wrong).unwrap_err(), [problem], "{wrong}");
    }
    let alone = "upstream: http://127.0.0.1:9000\nstore: postgres://gate@db/gate\n";
    assert_eq!(
        read(alone).unwrap_err(),
        ["2:1 a store on a server may be shared, and counters in memory may not"]
    );
}
