//! The policy engine as a component: WIT types to policy types and back, and the memory they live in.
//!
//! It is built once and embedded in the host. Compiling a document instantiates it, calls `configure` with the
//! checked tables and takes a snapshot: every later instance starts from there.

mod arena;
mod convert;

use std::sync::OnceLock;

use scopegate_policy::{Tables, packed};

use crate::bindings::exports::scopegate::policy::{packed as world_packed, rules};

mod bindings {
    wit_bindgen::generate!({
        path: "../../wit/1.1",
        world: "engine",
        disable_run_ctors_once_workaround: true,
    });
}

#[cfg_attr(target_family = "wasm", global_allocator)]
static ARENA: arena::Arena = arena::Arena::new();

/// What `configure` was given; part of the snapshot.
static TABLES: OnceLock<Tables> = OnceLock::new();

struct Guest;

impl world_packed::Guest for Guest {
    fn configure(mut tables: Vec<u8>) -> Result<(), String> {
        if TABLES.get().is_some() {
            return Err("the engine is already configured".to_owned());
        }
        let decoded = ARENA.keep(tables.len(), || {
            Tables::decode(&tables).map(|tables| {
                TABLES.get_or_init(|| tables);
            })
        });
        // What is not zero would be in the snapshot.
        tables.fill(0);
        // The message was allocated among what is kept: the caller gets a copy that is not.
        decoded.map_err(|message| message.as_str().to_owned())
    }

    fn decide_packed(question: Vec<u8>) -> u64 {
        packed::answer(tables(), &question)
    }
}

impl rules::Guest for Guest {
    fn describe() -> rules::Description {
        convert::description(tables().description().clone())
    }

    fn decide(caller: rules::Caller, request: rules::Request) -> rules::Decision {
        let decision = scopegate_policy::decide(
            tables(),
            &convert::caller(caller),
            &convert::request(request),
        );
        convert::decision(decision)
    }
}

/// The tables; an engine that was never configured traps.
fn tables() -> &'static Tables {
    match TABLES.get() {
        Some(tables) => tables,
        None => std::process::abort(),
    }
}

#[expect(unsafe_code, reason = "generated: the component's exported functions")]
mod exports {
    crate::bindings::export!(Guest with_types_in crate::bindings);

    use super::Guest;
}
