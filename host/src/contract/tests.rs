//! The built-in contracts say what their products promise; a broken one shows every mistake.

use serde_json::json;

use super::*;

fn builtin(name: &str) -> Contract {
    let text = Contract::builtin_text(name).unwrap();
    match Contract::from_yaml(&format!("{name}.yaml"), text) {
        Ok(contract) => contract,
        Err(report) => panic!("{report}"),
    }
}

/// The scopegate contract with one part of its text replaced, and what is wrong with it then.
fn problems_with(from: &str, to: &str) -> Vec<String> {
    let text = Contract::builtin_text("scopegate").unwrap();
    assert_eq!(
        text.matches(from).count(),
        1,
        "`{from}` must stand in the contract once"
    );
    let broken = text.replace(from, to);
    match Contract::from_yaml("broken.yaml", &broken) {
        Ok(_) => Vec::new(),
        Err(report) => report
            .places()
            .map(|place| place.message.to_owned())
            .collect(),
    }
}

#[test]
fn each_builtin_reads_and_names_its_policy() {
    for name in BUILTIN_NAMES {
        let contract = builtin(name);
        assert_eq!(
            (contract.name.as_str(), contract.policy.as_str()),
            (name, name)
        );
        assert!(Contract::builtin(name).is_some());
    }
    assert!(Contract::builtin("kubeadopt").is_none());
}

#[test]
fn credentials_stand_where_the_products_say() {
    let of = |name: &str| {
        let contract = builtin(name);
        (contract.schemes, contract.key_prefix)
    };
    assert_eq!(
        of("scopegate"),
        (
            vec![Scheme::Bearer, Scheme::ApiKey, Scheme::XApiKey],
            "sg".into()
        )
    );
    assert_eq!(
        of("k8cost"),
        (vec![Scheme::Bearer, Scheme::XApiKey], "k8c".into())
    );
    assert_eq!(
        of("kubewatch"),
        (vec![Scheme::Bearer, Scheme::XApiKey], "kw".into())
    );
    assert_eq!(of("kubeadapt"), (vec![Scheme::Bearer], "ka".into()));
    assert_eq!(
        of("kubevision"),
        (vec![Scheme::Bearer, Scheme::ApiKey], "kv".into())
    );
}

#[test]
fn screens_have_the_products_own_words() {
    let words = |name: &str| {
        let words = builtin(name).dashboard;
        (words.section.name(), words.keys, words.create, words.submit)
    };
    let hints = BUILTIN_NAMES.map(|name| builtin(name).dashboard.name_hint);
    let kubeadapts = "grafana-export";
    assert_eq!(
        hints,
        [
            kubeadapts,
            kubeadapts,
            "prod-agent",
            kubeadapts,
            "github-actions-deploy"
        ]
    );
    let of = |section, keys: &str, create: &str, submit: &str| {
        (
            section,
            keys.to_owned(),
            create.to_owned(),
            submit.to_owned(),
        )
    };
    let ours = of("Settings", "API Keys", "+ Create Key", "Create Key");
    assert_eq!(words("scopegate"), ours);
    assert_eq!(words("kubeadapt"), ours);
    let create = of("Settings", "API Keys", "Create Key", "Create Key");
    assert_eq!(words("kubewatch"), create);
    let tokens = of("Settings", "API Tokens", "+ Create Token", "Create Token");
    assert_eq!(words("k8cost"), tokens);
    let generate = of("Profile", "API Keys", "New API Key", "Generate");
    assert_eq!(words("kubevision"), generate);
    let headers = BUILTIN_NAMES.map(|name| builtin(name).key_header());
    assert_eq!(
        headers,
        [
            "Authorization: Bearer ",
            "X-API-Key: ",
            "X-API-Key: ",
            "Authorization: Bearer ",
            "Authorization: ApiKey "
        ]
    );
}

#[test]
fn presets_and_smoke_tests_are_of_the_contracts_own_policy() {
    for name in BUILTIN_NAMES {
        let contract = builtin(name);
        let document = scopegate_policy::documents::builtin(&contract.policy).unwrap();
        let tables = scopegate_policy::document::compile(name, document).unwrap();
        for preset in &contract.dashboard.presets {
            for scope in &preset.scopes {
                let known = tables
                    .description()
                    .permissions
                    .iter()
                    .find(|known| known.name == *scope);
                assert!(known.is_some_and(|known| known.scope), "{name}: {scope}");
            }
        }
        let smoke_test = contract.dashboard.smoke_test.unwrap();
        let mut routes = tables.description().routes.iter();
        assert!(
            routes.any(|route| route.method == "GET" && route.pattern == smoke_test),
            "{name}: {smoke_test}"
        );
    }
}

#[test]
fn a_dashboard_that_does_not_fit_the_contract_is_told() {
    for (from, to, told) in [
        (
            "schemes: [bearer, api-key, x-api-key]",
            "schemes: [x-api-key]",
            "keys are not presented like that here",
        ),
        (
            "  scopes: optional",
            "  scopes: forbidden",
            "keys carry no scopes here, so there is nothing to choose",
        ),
        (
            "\"recommendations:read\", \"clusters:read\"",
            "\"recommendations\", \"clusters:*\"",
            "`recommendations` is not a scope",
        ),
        (
            "create: + Create Key",
            "create: ''",
            "this does not fit on a screen",
        ),
        (
            "smoke_test: /v1/clusters",
            "smoke_test: /-/api/me",
            "`/-/api/me` is within the gate's own paths, `/-/`",
        ),
    ] {
        let problems = problems_with(from, to);
        assert!(
            problems.iter().any(|problem| problem == told),
            "{problems:?}"
        );
    }
}

#[test]
fn keys_have_the_authority_of_their_contract() {
    assert_eq!(builtin("scopegate").authority, Authority::Owner);
    assert_eq!(builtin("k8cost").authority, Authority::Owner);
    let fixed = Authority::Organization(vec!["metrics:read".into(), "agents:*".into()]);
    assert_eq!(builtin("kubewatch").authority, fixed);
    assert_eq!(builtin("kubeadapt").authority, Authority::Scopes);
    assert_eq!(builtin("kubevision").authority, Authority::Owner);
}

#[test]
fn a_fixed_authority_names_permissions_of_its_policy() {
    for name in BUILTIN_NAMES {
        let contract = builtin(name);
        let document = scopegate_policy::documents::builtin(&contract.policy).unwrap();
        let tables = scopegate_policy::document::compile(name, document).unwrap();
        let Authority::Organization(patterns) = contract.authority else {
            continue;
        };
        for pattern in patterns {
            assert!(
                tables.vocabulary().expand(&pattern).next().is_some(),
                "{name}: `{pattern}` grants nothing"
            );
        }
    }
}

#[test]
fn keys_never_expire_where_the_text_says_so() {
    let allowed = BUILTIN_NAMES.map(|name| builtin(name).minting.expiry_allowed);
    assert_eq!(allowed, [true, false, false, true, true]);
    let scopes = BUILTIN_NAMES.map(|name| {
        let minting = builtin(name).minting;
        (minting.scopes_allowed, minting.scopes_required)
    });
    assert_eq!(
        scopes,
        [
            (true, false),
            (false, false),
            (false, false),
            (true, true),
            (false, false)
        ]
    );
}

#[test]
fn sessions_log_in_and_refresh_as_the_products_say() {
    for name in BUILTIN_NAMES {
        let contract = builtin(name);
        assert_eq!(
            (contract.session.ttl_secs, contract.session.life_secs_max),
            (86_400, 604_800),
            "{name}"
        );
        assert_eq!(contract.sessions_on_api, name != "kubeadapt");
        assert_eq!(contract.login.is_some(), name != "kubeadapt");
        let refresh = !["kubewatch", "kubeadapt"].contains(&name);
        assert_eq!(
            contract.refresh_path.as_deref(),
            refresh.then_some("/auth/refresh"),
            "{name}"
        );
    }
}

#[test]
fn only_kubewatch_promises_an_algorithm() {
    for name in BUILTIN_NAMES {
        let promised = builtin(name).session.algorithm;
        let expected = (name == "kubewatch").then_some(jsonwebtoken::Algorithm::HS256);
        assert_eq!(promised, expected, "{name}");
    }
    let problems = problems_with(
        "  session_life: 7d",
        "  session_life: 7d\n  algorithm: none",
    );
    assert!(
        problems[0].contains("`none` is not a value of `algorithm`"),
        "{problems:?}"
    );
}

#[test]
fn the_login_reply_is_the_products_own() {
    let reply = |name: &str| {
        let login = builtin(name).login.unwrap();
        assert_eq!(login.path, "/auth/login");
        fill(&login.reply, &|word: &str| Some(json!(format!("<{word}>"))))
    };
    let user = json!({"id": "<user_id>", "email": "<email>", "role": "<role>"});
    let k8cost = json!({"token": "<token>", "expires_at": "<expires_at>", "user": user});
    for name in ["scopegate", "k8cost", "kubevision"] {
        assert_eq!(reply(name), k8cost);
    }
    let user =
        json!({"id": "user_<user_id>", "email": "<email>", "orgId": "org_<organization_id>"});
    assert_eq!(
        reply("kubewatch"),
        json!({"token": "<token>", "expiresAt": "<expires_at>", "user": user})
    );
}

#[test]
fn limits_are_the_texts_numbers() {
    for name in ["scopegate", "k8cost", "kubewatch", "kubeadapt"] {
        let limits = builtin(name).limits;
        assert_eq!(
            (
                limits.session,
                limits.api_key,
                limits.agent,
                limits.per_user
            ),
            (100, 200, 20, false)
        );
    }
    assert!(builtin("kubevision").limits.per_user);
}

#[test]
fn kubewatch_has_four_words_for_401() {
    let errors = builtin("kubewatch").errors;
    assert_eq!(errors.body, json!({"error": "{text}"}));
    assert!(errors.several_credentials_401);
    assert_eq!(errors.text("invalid-token", 401), Some("invalid token"));
    assert_eq!(errors.text("token-expired", 401), Some("token expired"));
    assert_eq!(
        errors.text("missing-org-id", 401),
        Some("missing org_id claim")
    );
    for code in [
        "not-authenticated",
        "unknown-credential",
        "revoked",
        "expired",
        "bad-login",
        "invalid_request",
    ] {
        assert_eq!(errors.text(code, 401), Some("unauthorized"), "{code}");
    }
}

#[test]
fn kubeadapt_has_one_text_for_401_and_one_for_a_missing_permission() {
    let errors = builtin("kubeadapt").errors;
    assert_eq!(errors.body, json!({"detail": "{text}"}));
    assert!(errors.several_credentials_401);
    for code in [
        "not-authenticated",
        "unknown-credential",
        "revoked",
        "invalid-token",
        "invalid_request",
    ] {
        let text = errors.text(code, 401);
        assert_eq!(
            text,
            Some("API key required. Use 'Authorization: Bearer <api_key>'"),
            "{code}"
        );
    }
    let text = errors.text("missing-permission", 403).unwrap();
    let filled = fill_text(text, &|word| {
        (word == "permission").then(|| json!("clusters:read"))
    });
    assert_eq!(filled, "Missing required permission: clusters:read");
}

#[test]
fn the_others_speak_problem_json() {
    for name in ["scopegate", "k8cost", "kubevision"] {
        let errors = builtin(name).errors;
        assert_eq!(errors.content_type, "application/problem+json");
        assert!(!errors.several_credentials_401);
        assert_eq!(errors.text("revoked", 401), None);
        let body = fill(&errors.body, &|word| (word == "status").then(|| json!(403)));
        assert_eq!(body.get("status"), Some(&json!(403)));
    }
}

#[test]
fn a_broken_contract_shows_everything_at_once_with_its_place() {
    let text = "\
contract: My Gate
policy: k8cots
credentials:
  schemes: [bearer, cookie, bearer]
  prefix: my_gate
keys:
  authority: { organization: [\"metrics:read\", metrics] }
  scopes: optional
  expiry: 90d
sessions:
  on_api: yes
  token_life: 8d
  session_life: 7d
login:
  path: /-/login/
  reply: { access: \"{tokn}\" }
refresh: auth/refresh?x
limits: { session: 0, api_key: 200, agent: lots, anonymous: 1, failures: 1, logins: 1, bucket: user, burst: 3 }
errors:
  realm: 'say \"hi\"'
  content_type: json
  body: { message: \"{detial}\" }
  texts: { rate_limited: slow down, \"302\": moved, revoked: \"gone: {cluster}\" }
  several_credentials: 402
";
    let report = Contract::from_yaml("mine.yaml", text).unwrap_err();
    let places: Vec<String> = report
        .places()
        .map(|p| format!("{}:{} {}", p.line, p.column, p.message))
        .collect();
    assert_eq!(places, EVERYTHING_WRONG, "{places:#?}");
    let helps: Vec<&str> = report.places().filter_map(|place| place.help).collect();
    for help in [
        "did you mean `k8cost`?",
        "did you mean `{token}`?",
        "did you mean `rate-limited`?",
    ] {
        assert!(helps.contains(&help), "{helps:#?}");
    }
}

const EVERYTHING_WRONG: [&str; 24] = [
    "1:11 `My Gate` is not a contract's name",
    "2:9 there is no built-in policy `k8cots`",
    "4:21 `cookie` is not a value of `schemes`",
    "4:29 this scheme is listed already",
    "5:11 `my_gate` is not a prefix",
    "7:47 `metrics` is not a permission",
    "9:11 `90d` is not a value of `expiry`",
    "11:11 `on_api` must be `true` or `false`, not the text `yes`",
    "12:3 a token cannot live longer than its session",
    "15:9 `/-/login/` is within the gate's own paths, `/-/`",
    "16:3 the reply never gives the token",
    "16:20 `{tokn}` is not a placeholder here",
    "17:10 `auth/refresh?x` is not a path",
    "18:20 `session` must be from 1 to 10000000, not `0`",
    "18:44 `agent` must be a whole number, not the text `lots`",
    "18:102 unknown key `burst` in limits",
    "20:10 a realm is printable ASCII without quotes and backslashes",
    "21:17 `json` is not a content type",
    "22:20 `{detial}` is not a placeholder here",
    "23:3 these texts are never shown",
    "23:12 `rate_limited` is neither a code nor a status",
    "23:37 `302` is neither a code nor a status",
    "23:60 `{cluster}` is not a placeholder here",
    "24:24 `several_credentials` must be from 400 to 401, not `402`",
];

#[test]
fn parts_that_contradict_each_other_are_refused() {
    let cases = [
        (
            "authority: owner",
            "authority: scopes",
            "keys whose authority is their scopes need at least one",
        ),
        (
            "on_api: true",
            "on_api: false",
            "a log-in whose sessions the API does not take",
        ),
        (
            "refresh: /auth/refresh",
            "refresh: /auth/login",
            "`/auth/login` is the path of the log-in already",
        ),
        (
            "token: \"{token}\"",
            "token: secret",
            "the reply never gives the token",
        ),
        (
            "schemes: [bearer, api-key, x-api-key]",
            "schemes: []",
            "no scheme is listed, so no credential could be presented",
        ),
        (
            "texts: {}",
            "texts: { revoked: gone }",
            "these texts are never shown",
        ),
        (
            "token_life: 24h",
            "token_life: 8d",
            "a token cannot live longer than its session",
        ),
    ];
    for (from, to, problem) in cases {
        assert_eq!(problems_with(from, to), [problem], "{to}");
    }
    let contract = Contract::builtin_text("kubewatch")
        .unwrap()
        .replace("bucket: credential", "bucket: user");
    let report = Contract::from_yaml("kubewatch.yaml", &contract).unwrap_err();
    assert!(
        report
            .to_string()
            .contains("`bucket: user` where keys have no owner"),
        "{report}"
    );
}

#[test]
fn nothing_at_all_is_a_report_too() {
    for text in ["", "[]", "contract", "contract: x\n", "{", "a: b: c"] {
        assert!(Contract::from_yaml("mine.yaml", text).is_err(), "{text:?}");
    }
}
