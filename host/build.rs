//! Builds the policy engine (`policy/component`) for wasm and makes it a component: `$OUT_DIR/engine.wasm`, which the
//! host embeds. So a plain `cargo build` needs nothing but the toolchain that `rust-toolchain.toml` names.

mod guest_build;

use std::{error::Error, fs};

use guest_build::{Guest, variable};

/// A decision needs 2 KiB of it. First in memory, so that an overflow traps instead of writing over data.
const STACK: [&str; 2] = ["-zstack-size=16384", "--stack-first"];

fn main() -> Result<(), Box<dyn Error>> {
    let root = variable("CARGO_MANIFEST_DIR")?.join("..").canonicalize()?;
    let out = variable("OUT_DIR")?;
    for input in [
        "host/guest_build.rs",
        "policy/src",
        "policy/Cargo.toml",
        "policy/component",
        "wit",
        "Cargo.toml",
        "Cargo.lock",
    ] {
        println!("cargo::rerun-if-changed={}", root.join(input).display());
    }
    let engine = Guest {
        package: "scopegate-guest",
        target: "wasm32-unknown-unknown",
        link_args: &STACK,
    };
    let core = engine.build(&root, &out, "guest")?;
    let component = wit_component::ComponentEncoder::default()
        .module(&fs::read(core)?)?
        .validate(true)
        .encode()?;
    fs::write(out.join("engine.wasm"), component)?;
    Ok(())
}
