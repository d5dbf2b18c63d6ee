//! What is not a policy: imports, other worlds, missing functions, core modules.

use scopegate_host::engine::{BadPolicy, Isolation, Worlds};
use scopegate_policy::{Outcome, Reason};

use super::{abi::Version, ask, get, guest, guest::Guest, refused, sandbox, sandbox_with, viewer};

fn wat(text: &str) -> Vec<u8> {
    wat::parse_str(text).unwrap()
}

#[test]
fn imports_are_refused_by_name() {
    let sandbox = sandbox(Isolation::Fresh);
    let component = wat(r#"(component
            (import "wasi:clocks/wall-clock@0.2.0" (instance))
            (import "host" (func)))"#);
    let error = refused(&sandbox, &component);
    assert_eq!(
        error.to_string(),
        "a policy has no imports, and this component imports `wasi:clocks/wall-clock@0.2.0`, `host`"
    );
}

#[test]
fn other_worlds_are_refused_by_what_is_missing() {
    let sandbox = sandbox(Isolation::Fresh);
    let empty = refused(&sandbox, &wat("(component)"));
    assert_eq!(
        empty.to_string(),
        "this component is not a policy: it exports neither `scopegate:policy/rules@1.1.0` nor `scopegate:policy/rules@1.0.0`"
    );

    let half = guest::component(
        r#"(module (memory (export "memory") 1)
            (func (export "scopegate:policy/rules@1.0.0#describe") (result i32) unreachable))"#,
        "package scopegate:policy@1.0.0; interface rules { describe: func() -> u32; } world policy { export rules; }",
        "policy",
    );
    let error = refused(&sandbox, &half).to_string();
    assert!(
        error.contains("`scopegate:policy/rules@1.0.0` has no function `decide`"),
        "{error}"
    );

    let other_types = guest::component(
        r#"(module (memory (export "memory") 1)
            (func (export "scopegate:policy/rules@1.0.0#describe") (result i32) unreachable)
            (func (export "scopegate:policy/rules@1.0.0#decide") (param i32) (result i32) unreachable))"#,
        "package scopegate:policy@1.0.0;
        interface rules { describe: func() -> u32; decide: func(what: u32) -> bool; }
        world policy { export rules; }",
        "policy",
    );
    let error = refused(&sandbox, &other_types);
    assert!(
        matches!(&error, BadPolicy::WrongWorld(text) if text.starts_with("`describe`:")),
        "{error}"
    );
}

#[test]
fn what_is_no_component_is_refused() {
    let sandbox = sandbox(Isolation::Fresh);
    for bytes in [
        wat("(module)"),
        Vec::new(),
        b"policy: text\n".to_vec(),
        vec![0; 64],
        b"\0asm\x0d\0\x01\0\xff".to_vec(),
    ] {
        let error = refused(&sandbox, &bytes);
        assert!(matches!(error, BadPolicy::Invalid(_)), "{error}");
    }
}

#[test]
fn wasm_that_a_policy_does_not_need_is_refused() {
    let sandbox = sandbox(Isolation::Fresh);
    for item in [
        "(memory 1) (memory 1)",
        "(memory i64 1)",
        "(tag (param i32))",
        "(type (struct (field i32)))",
        "(func (result v128) (i8x16.relaxed_swizzle (v128.const i64x2 0 0) (v128.const i64x2 0 0)))",
    ] {
        let component = wat(&format!("(component (core module {item}))"));
        let error = refused(&sandbox, &component);
        assert!(matches!(error, BadPolicy::Invalid(_)), "{item}: {error}");
    }
}

#[tokio::test]
async fn the_newest_world_is_spoken_first() {
    let guest = Guest::packed("unreachable").build();
    let newest = sandbox(Isolation::Fresh).load(&guest).unwrap();
    assert!(ask(&newest, &viewer(), &get("/v1/x")).await.is_err());

    let typed = sandbox_with(Isolation::Fresh, Default::default(), Worlds::PolicyOnly);
    let typed = typed.load(&guest).unwrap();
    assert!(ask(&typed, &viewer(), &get("/v1/x")).await.is_ok());
}

#[tokio::test]
async fn every_released_version_is_spoken() {
    for version in [Version::V1_0, Version::V1_1] {
        let mut guest = Guest::new();
        guest.version = version;
        guest.decision.outcome = Outcome::Deny(Reason::Other("in-its-own-word".to_owned()));
        if version == Version::V1_1 {
            guest.description.roles[0].when = Some("caller.mfa".to_owned());
            guest.description.routes[1].when = Some("request.method == 'GET'".to_owned());
            guest.description.headers = vec!["x-env".to_owned()];
        }
        let policy = sandbox(Isolation::Fresh).load(&guest.build()).unwrap();
        assert_eq!(**policy.description(), guest.description, "{version:?}");
        let decision = ask(&policy, &viewer(), &get("/v1/x")).await.unwrap();
        assert_eq!(decision, guest.decision, "{version:?}");
    }
    let mut guest = Guest::new();
    guest.version = Version::V1_1;
    guest.decision.outcome = Outcome::Deny(Reason::ConditionNotMet);
    let policy = sandbox(Isolation::Fresh).load(&guest.build()).unwrap();
    let decision = ask(&policy, &viewer(), &get("/v1/x")).await.unwrap();
    assert_eq!(decision.outcome, guest.decision.outcome);
}

/// Its questions were packed in another way, so it is asked as a policy in any language is.
#[tokio::test]
async fn an_engine_of_an_older_version_is_asked_in_types() {
    let mut guest = Guest::packed("unreachable");
    guest.version = Version::V1_0;
    let policy = sandbox(Isolation::Fresh).load(&guest.build()).unwrap();
    assert!(ask(&policy, &viewer(), &get("/v1/x")).await.is_ok());
}
