//! `kubernetes`: what is read of clusters whose workloads call, and what is reported.

use scopegate_host::authenticate::{IssuerKeys, ProofConfig};

use super::{LEAST, read};

#[test]
fn clusters_are_proven_by_their_keys_or_their_api_server() {
    let config = read(&format!(
        "{LEAST}kubernetes:
  - cluster: prod
    organization: 0190a7c4-0000-7000-8000-000000000001
    issuer: https://kubernetes.default.svc.cluster.local
    audiences: [scopegate-prod]
    jwks: {{ url: 'https://kubernetes.default.svc/openid/v1/jwks', ca: mine.yaml, token: keys.json }}
    service_accounts: [monitoring/agent]
  - cluster: staging
    organization: 0190a7c4-0000-7000-8000-000000000001
    issuer: https://kubernetes.default.svc.cluster.local
    audiences: [scopegate-staging]
    token_review: {{ url: 'https://10.0.0.1:6443', ca: mine.yaml, token: keys.json }}
    service_accounts: [monitoring/agent, 'agents/*']
    leeway: 5s
  - cluster: dev
    organization: 0190a7c4-0000-7000-8000-000000000001
    issuer: https://dev
    audiences: [scopegate-prod]
    keys: [{{ algorithm: ES256, public_key: mine.yaml }}]
    algorithms: [ES256]
    service_accounts: [a/b]
"
    ))
    .unwrap();
    let [prod, staging, dev] = &config.kubernetes[..] else {
        panic!("three of them");
    };
    assert_eq!((prod.cluster.as_str(), prod.leeway_secs), ("prod", 0));
    let ProofConfig::Signature {
        algorithms,
        keys: IssuerKeys::Jwks(place),
    } = &prod.proof
    else {
        panic!("{:?}", prod.proof);
    };
    assert_eq!(algorithms.len(), 2);
    assert!(place.url.ends_with("/jwks") && place.ca_file.is_some());
    assert!(
        place
            .token_file
            .as_ref()
            .is_some_and(|path| path.ends_with("keys.json"))
    );
    let ProofConfig::TokenReview(review) = &staging.proof else {
        panic!("{:?}", staging.proof);
    };
    assert_eq!((review.cache_secs, staging.leeway_secs), (10, 5));
    assert!(matches!(
        &dev.proof,
        ProofConfig::Signature { algorithms, keys: IssuerKeys::Fixed(keys) }
            if algorithms.len() == 1 && keys.len() == 1
    ));
}

#[test]
fn every_mistake_about_a_cluster_has_its_place() {
    let problems = read(&format!(
        "{LEAST}issuers:
  - {{ issuer: 'https://id', audiences: [a], algorithms: [RS256], jwks: 'https://id/keys', organization: 0190a7c4-0000-7000-8000-000000000001 }}
kubernetes:
  - cluster: a b
    organization: acme
    issuer: https://k
    audiences: [https://k]
    service_accounts: [agent, '*/agent', 'monitoring/*', monitoring/agent-*]
    jwks: http://k/keys
  - cluster: prod
    organization: 0190a7c4-0000-7000-8000-000000000001
    issuer: https://id
    audiences: []
    algorithms: [HS256]
    service_accounts: []
    jwks: {{ url: 'https://k/keys', tokn: keys.json }}
  - cluster: prod
    issuer: https://k
    jwks: https://k/keys
    token_review: {{}}
  - cluster: prod
    organization: 0190a7c4-0000-7000-8000-000000000001
    issuer: https://k
    audiences: [b]
    algorithms: [RS256]
    service_accounts: [a/b]
    token_review: {{ url: 'https://k', ca: missing.pem, cache_time: 1h }}
"
    ))
    .unwrap_err();
    assert_eq!(
        problems,
        [
            "6:14 `a b` is not the id of a cluster",
            "7:19 `acme` is not the id of an organization",
            "9:17 `https://k` is the audience of the API server",
            "10:24 `agent` is not a namespace and the name of a service account, as in `monitoring/agent`",
            "10:31 `*/agent` is of every namespace: whoever may make one would be an agent",
            "10:58 `monitoring/agent-*` is not of a service account: a name has at most 253 lower-case letters, \
             digits, `-` and `.`, and starts and ends with a letter or digit",
            "11:11 `http://k/keys` is no https URL",
            "14:13 `https://id` is one of `issuers` as well",
            "15:5 `audiences` must name at least one",
            "16:18 `HS256` is not an algorithm that is verified",
            "17:5 `service_accounts` must name at least one",
            "18:36 unknown key `tokn` in `jwks`",
            "19:5 missing key `organization` in a cluster",
            "19:5 missing key `audiences` in a cluster",
            "19:5 missing key `service_accounts` in a cluster",
            "19:5 a cluster has `jwks`, `keys` or `token_review`, one of them",
            "27:5 `algorithms` goes with `jwks` or `keys`",
            "29:19 missing key `token` in `token_review`",
            "29:43 cannot read the file `./missing.pem`: No such file or directory (os error 2)",
            "29:56 `cache_time` is at most `60s`",
        ]
    );
}

#[test]
fn whose_a_token_is_is_never_a_question() {
    let problems = read(&format!(
        "{LEAST}issuers:
  - {{ issuer: 'https://id', audiences: [a], algorithms: [RS256], jwks: 'https://id/keys', organization: 0190a7c4-0000-7000-8000-000000000001 }}
kubernetes:
  - cluster: prod
    organization: 0190a7c4-0000-7000-8000-000000000001
    issuer: https://id
    audiences: [b]
    service_accounts: [a/b]
    jwks: https://k/keys
  - cluster: staging
    organization: 0190a7c4-0000-7000-8000-000000000001
    issuer: https://k
    audiences: [b, c]
    service_accounts: [a/b]
    jwks: https://k/keys
  - cluster: dev
    organization: 0190a7c4-0000-7000-8000-000000000001
    issuer: https://k
    audiences: [c, d]
    service_accounts: [a/b]
    jwks: https://k/keys
"
    ))
    .unwrap_err();
    assert_eq!(
        problems,
        [
            "8:13 `https://id` is one of `issuers` as well",
            "20:13 another cluster has the issuer `https://k` and one of these audiences",
        ]
    );
}
