//! Bad candidates of every kind: each is refused in words that say what to do, and the policy before goes on.

use scopegate_host::engine::build_document;

use super::{active, by_hand, component, operator, push, world};
use crate::sandbox::guest::{Guest, component as guest_of};

/// Each kind, what the refusal says of it, and what it says to do.
fn bad() -> Vec<(&'static str, Vec<u8>, &'static str, &'static str)> {
    let import = r#"(component (import "wasi:clocks/wall-clock@0.2.0" (instance)))"#;
    let mut cut_off = component(2, "");
    cut_off.truncate(cut_off.len() / 2);
    let other_world = guest_of(
        r#"(module (memory (export "memory") 1) (func (export "hello") (result i32) (i32.const 1)))"#,
        "package other:hello@1.0.0; world greeter { export hello: func() -> u32; }",
        "greeter",
    );
    let described = |instructions: &str| Guest {
        describe: instructions.to_owned(),
        ..Guest::new()
    };
    vec![
        (
            "no component",
            b"not wasm at all".to_vec(),
            "not a component",
            "push the whole file",
        ),
        ("cut off", cut_off, "not a component", "push the whole file"),
        (
            "imports",
            wat::parse_str(import).unwrap(),
            "imports `wasi:clocks",
            "without a standard library",
        ),
        (
            "another world",
            other_world,
            "it does not export",
            "wit/policy.wit",
        ),
        (
            "an endless describe",
            described("(loop $again (br $again))").build(),
            "ran longer",
            "`describe` must end soon",
        ),
        (
            "a greedy describe",
            described("(loop $again (drop (memory.grow (i32.const 16))) (br $again))").build(),
            "its memory would grow",
            "within the memory",
        ),
        (
            "a decide that traps",
            Guest::deciding("unreachable").build(),
            "fails when it is asked",
            "correct `decide`",
        ),
        (
            "an endless decide",
            Guest::deciding("(loop $again (br $again))").build(),
            "ran longer",
            "correct `decide`",
        ),
        (
            "a greedy decide",
            Guest::deciding("(drop (memory.grow (i32.const 60000)))").build(),
            "its memory would grow",
            "correct `decide`",
        ),
        (
            "another description",
            Guest {
                description: {
                    let mut description = crate::sandbox::guest::description();
                    description.name = String::new();
                    description
                },
                ..Guest::new()
            }
            .build(),
            "description makes no sense",
            "correct what `describe` gives",
        ),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_is_refused_in_words_that_say_what_to_do() {
    let world = world().await;
    let operator = operator(&world).await;
    let viewer = world.session("viewer").await;
    let first = active(&world);
    for (kind, component, why, help) in bad() {
        let refused = push(&operator, component).await;
        assert_eq!(refused.status, 422, "{kind}: {}", refused.body);
        assert!(
            refused.body.contains(why) && refused.body.contains(help),
            "{kind}: {}",
            refused.body
        );
        assert_eq!(active(&world), first, "{kind}");
        assert_eq!(viewer.get("/v1/clusters/prod").await.status, 200, "{kind}");
    }
    // A good one that was written by hand is none of them: it refuses everything, and makes sense.
    let pushed = push(&operator, by_hand()).await;
    assert_eq!(pushed.status, 201, "{}", pushed.body);
    assert_ne!(active(&world), first);
}

#[test]
fn one_that_is_too_large_is_not_even_compiled() {
    let checks = crate::harness::checks();
    let refused = checks.check(&vec![0; (8 << 20) + 1]).map(drop).unwrap_err();
    assert!(
        refused.to_string().contains("more than 8388608"),
        "{refused}"
    );
    assert!(refused.help().contains("strip it"));
}

#[test]
fn what_the_products_ship_passes() {
    let checks = crate::harness::checks();
    for name in scopegate_policy::documents::names() {
        let text = scopegate_policy::documents::builtin(name).expect("built in");
        let component = build_document(name, text).expect("a policy");
        checks
            .check(&component)
            .unwrap_or_else(|error| panic!("{name}: {error}"));
    }
}
