//! Builds the filter that decides inside Envoy (`adapters/proxy-wasm`): `$OUT_DIR/filter.wasm`, which the program embeds.

#[path = "../../host/guest_build.rs"]
mod guest_build;

use std::{error::Error, fs};

use guest_build::{Guest, variable};

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
    fs::copy(module, out.join("filter.wasm"))?;
    Ok(())
}
