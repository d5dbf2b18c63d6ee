//! Builds the filter that decides inside Envoy (`adapters/proxy-wasm`): `$OUT_DIR/filter.wasm`, which the program embeds.

#[path = "../../host/guest_build.rs"]
mod guest_build;

use std::{convert::Infallible, error::Error, fs};

use guest_build::{Guest, variable};
use wasm_encoder::{
    ExportSection, Module,
    reencode::{self, Reencode, utils},
};
use wasmparser::{Export, Parser};

fn main() -> Result<(), Box<dyn Error>> {
    let root = variable("CARGO_MANIFEST_DIR")?
        .join("../..")
        .canonicalize()?;
    let out = variable("OUT_DIR")?;
    for input in [
        "host/guest_build.rs",
        "policy/src",
        "policy/documents",
        "policy/Cargo.toml",
        "adapters/proxy-wasm",
        "Cargo.toml",
        "Cargo.lock",
    ] {
        println!("cargo::rerun-if-changed={}", root.join(input).display());
    }
    let filter = Guest {
        package: "scopegate-proxy-wasm",
        target: "wasm32-wasip1",
        // Documents are read in there; an overflow traps instead of writing over data.
        link_args: &["-zstack-size=1048576", "--stack-first"],
    };
    let module = filter.build(&root, &out, "filter")?;
    let mut listening = Module::new();
    Deaf.parse_core_module(&mut listening, Parser::new(0), &fs::read(module)?)?;
    fs::write(out.join("filter.wasm"), listening.finish())?;
    Ok(())
}

/// What Envoy calls. The SDK has a function for everything that could happen to a connection, and Envoy would call each
/// that is there, several times for each request, for nothing.
const CALLED: [&str; 12] = [
    "memory",
    "_initialize",
    "proxy_abi_version_0_2_1",
    "proxy_on_configure",
    "proxy_on_context_create",
    "proxy_on_delete",
    "proxy_on_http_call_response",
    "proxy_on_memory_allocate",
    "proxy_on_request_headers",
    "proxy_on_response_headers",
    "proxy_on_tick",
    "proxy_on_vm_start",
];

/// Takes the other exports off.
struct Deaf;

impl Reencode for Deaf {
    type Error = Infallible;

    fn parse_export(
        &mut self,
        exports: &mut ExportSection,
        export: Export<'_>,
    ) -> Result<(), reencode::Error<Infallible>> {
        match CALLED.contains(&export.name) {
            true => utils::parse_export(self, exports, export),
            false => Ok(()),
        }
    }
}
