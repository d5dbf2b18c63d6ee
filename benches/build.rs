//! Builds `typed-policy`, a policy written by hand, into a component: `$OUT_DIR/typed-policy.wasm`.

use std::{env, error::Error, fs, path::PathBuf, process::Command};

const TARGET: &str = "wasm32-unknown-unknown";

fn main() -> Result<(), Box<dyn Error>> {
    let root = variable("CARGO_MANIFEST_DIR")?.join("..").canonicalize()?;
    for input in ["benches/typed-policy", "wit", "Cargo.lock"] {
        println!("cargo::rerun-if-changed={}", root.join(input).display());
    }
    let out = variable("OUT_DIR")?;
    // Its own target directory: the outer build holds the lock on the shared one.
    let target_dir = out.join("guest");
    let mut cargo = Command::new(variable("CARGO")?);
    cargo
        .current_dir(&root)
        .args([
            "build",
            "--locked",
            "--package",
            "scopegate-typed-policy",
            "--profile",
            "guest",
        ])
        .args(["--target", TARGET, "--target-dir"])
        .arg(&target_dir);
    // The outer build's wrappers and flags are for the outer target.
    for (name, _) in env::vars_os() {
        let text = name.to_string_lossy();
        let outer = [
            "RUSTC",
            "RUSTFLAGS",
            "CLIPPY_",
            "CARGO_ENCODED_",
            "CARGO_CFG_",
            "CARGO_FEATURE_",
            "CARGO_PROFILE_",
        ];
        if outer.iter().any(|prefix| text.starts_with(prefix)) {
            cargo.env_remove(&name);
        }
    }
    // As the engine is built: a small stack, placed first.
    cargo.env(
        "CARGO_ENCODED_RUSTFLAGS",
        "-Clink-arg=-zstack-size=16384\u{1f}-Clink-arg=--stack-first",
    );
    if !cargo.status()?.success() {
        return Err("the typed policy did not build; its errors are above".into());
    }
    let module = fs::read(
        target_dir
            .join(TARGET)
            .join("guest")
            .join("scopegate_typed_policy.wasm"),
    )?;
    let component = wit_component::ComponentEncoder::default()
        .module(&module)?
        .validate(true)
        .encode()?;
    fs::write(out.join("typed-policy.wasm"), component)?;
    Ok(())
}

fn variable(name: &str) -> Result<PathBuf, Box<dyn Error>> {
    env::var_os(name)
        .map(PathBuf::from)
        .ok_or_else(|| format!("cargo does not set {name}").into())
}
