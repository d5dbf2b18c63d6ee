//! Guests that want too much: time, memory, tables, stack, or the host's memory.

use std::time::Instant;

use scopegate_host::engine::{BadPolicy, Isolation, Limits, Worlds};

use super::{SOON, fault_of, guest::Guest, refused, sandbox, sandbox_with};

async fn fault(guest: &Guest) -> String {
    let start = Instant::now();
    let text = fault_of(&guest.build()).await;
    assert!(start.elapsed() < 4 * SOON, "it took {:?}", start.elapsed());
    text
}

#[tokio::test]
async fn an_endless_loop_is_interrupted() {
    let text = fault(&Guest::deciding("(loop $again (br $again))")).await;
    assert_eq!(text, "it ran longer than a policy may");
    let packed = fault(&Guest::packed("(loop $again (br $again)) (i64.const 1)")).await;
    assert_eq!(packed, "it ran longer than a policy may");
}

#[tokio::test]
async fn an_endless_recursion_between_functions_is_stopped_by_the_stack() {
    let guest = Guest {
        items: "(func $down (param i32) (result i32) (i32.add (local.get 0) (call $down (i32.add (local.get 0) (i32.const 1)))))".to_owned(),
        ..Guest::deciding("(drop (call $down (i32.const 0)))")
    };
    assert!(fault(&guest).await.contains("call stack exhausted"));
}

#[tokio::test]
async fn huge_bulk_operations_end_at_the_deadline() {
    // Each fill cannot be interrupted, but it cannot be larger than the memory either.
    let guest = Guest {
        memory: "256".to_owned(),
        ..Guest::deciding(
            "(loop $again (memory.fill (i32.const 65536) (i32.const 7) (i32.const 16000000)) (br $again))",
        )
    };
    assert_eq!(fault(&guest).await, "it ran longer than a policy may");
}

#[tokio::test]
async fn a_memory_that_grows_too_far_is_a_fault() {
    let guest = Guest::deciding("(loop $again (drop (memory.grow (i32.const 16))) (br $again))");
    assert!(fault(&guest).await.contains("its memory would grow to"));
    let at_once = Guest::deciding("(drop (memory.grow (i32.const 60000)))");
    assert!(fault(&at_once).await.contains("its memory would grow to"));
}

#[tokio::test]
async fn a_table_that_grows_too_far_is_a_fault() {
    let guest = Guest {
        items: "(table $table 1 funcref)".to_owned(),
        ..Guest::deciding(
            "(loop $again (drop (table.grow $table (ref.null func) (i32.const 1000))) (br $again))",
        )
    };
    assert!(fault(&guest).await.contains("a table would grow to"));
}

#[tokio::test]
async fn an_enormous_answer_is_refused_before_it_is_copied() {
    // A list of a million strings: the host would make a vector of them.
    let mut guest = Guest {
        memory: "255".to_owned(),
        ..Guest::new()
    };
    guest.patches = vec![(4, 1), (8, 65_536), (12, 1_000_000)];
    let start = Instant::now();
    assert!(fault(&guest).await.contains("fuel"));
    assert!(start.elapsed() < 4 * SOON);
}

#[test]
fn memories_and_tables_beyond_the_limits_are_refused_at_load() {
    let sandbox = sandbox(Isolation::Fresh);
    for guest in [
        Guest {
            memory: "300".to_owned(),
            ..Guest::new()
        },
        Guest {
            items: "(table 1000000 funcref)".to_owned(),
            ..Guest::new()
        },
    ] {
        let error = refused(&sandbox, &guest.build());
        assert!(
            matches!(&error, BadPolicy::Invalid(text) if text.contains("exceeds the limit")),
            "{error}"
        );
    }
}

#[test]
fn a_start_function_or_a_description_cannot_hold_the_sandbox_up() {
    let limits = Limits {
        describe_ticks_max: 5,
        ..Limits::default()
    };
    let sandbox = sandbox_with(Isolation::Fresh, limits, Worlds::All);
    let endless = "(loop $again (br $again))";
    let start = Guest {
        items: format!("(func $start {endless}) (start $start)"),
        ..Guest::new()
    };
    let describe = Guest {
        describe: endless.to_owned(),
        ..Guest::new()
    };
    for guest in [start, describe] {
        let error = refused(&sandbox, &guest.build());
        assert_eq!(
            error,
            BadPolicy::Fault("it ran longer than a policy may".to_owned())
        );
    }
    let trap = Guest {
        items: "(func $start unreachable) (start $start)".to_owned(),
        ..Guest::new()
    };
    let error = refused(&sandbox, &trap.build());
    assert!(
        matches!(&error, BadPolicy::Fault(text) if text.contains("unreachable")),
        "{error}"
    );
}

#[test]
fn a_component_may_only_be_so_large() {
    let limits = Limits {
        component_bytes_max: 1000,
        ..Limits::default()
    };
    let sandbox = sandbox_with(Isolation::Fresh, limits, Worlds::All);
    let guest = Guest::new().build();
    assert_eq!(
        refused(&sandbox, &guest),
        BadPolicy::TooLarge {
            bytes: guest.len(),
            bytes_max: 1000
        }
    );
}
