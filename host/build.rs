//! Builds the policy engine (`policy/component`) for wasm and makes it a component: `$OUT_DIR/engine.wasm`, which the
//! host embeds. So a plain `cargo build` needs nothing but the toolchain that `rust-toolchain.toml` names.

use std::{
    env,
    error::Error,
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

const TARGET: &str = "wasm32-unknown-unknown";
/// A decision needs 2 KiB of it. First in memory, so that an overflow traps instead of writing over data.
const STACK_BYTES: usize = 16 * 1024;

fn main() -> Result<(), Box<dyn Error>> {
    let root = variable("CARGO_MANIFEST_DIR")?.join("..").canonicalize()?;
    let out = variable("OUT_DIR")?;
    for input in [
        "policy/src",
        "policy/Cargo.toml",
        "policy/component",
        "wit",
        "Cargo.toml",
        "Cargo.lock",
    ] {
        println!("cargo::rerun-if-changed={}", root.join(input).display());
    }

    ensure_target()?;
    // A directory of its own, because the outer build holds the lock on the shared one; beside all build scripts'
    // output, so that a build with other features finds what an earlier one made.
    let target_dir = out.ancestors().nth(3).unwrap_or(&out).join("guest");
    let core = build_guest(&root, &target_dir)?;
    let component = wit_component::ComponentEncoder::default()
        .module(&fs::read(core)?)?
        .validate(true)
        .encode()?;
    fs::write(out.join("engine.wasm"), component)?;
    Ok(())
}

/// The guest as a core module.
fn build_guest(root: &Path, target_dir: &Path) -> Result<PathBuf, Box<dyn Error>> {
    // What is already downloaded is enough in most builds, and a build without a network must work then.
    if !guest_build(root, target_dir, true)?.status()?.success()
        && !guest_build(root, target_dir, false)?.status()?.success()
    {
        return Err("the policy engine did not build; its errors are above".into());
    }
    Ok(target_dir
        .join(TARGET)
        .join("guest")
        .join("scopegate_guest.wasm"))
}

fn guest_build(root: &Path, target_dir: &Path, offline: bool) -> Result<Command, Box<dyn Error>> {
    let mut cargo = Command::new(variable("CARGO")?);
    cargo
        .current_dir(root)
        .args([
            "build",
            "--locked",
            "--package",
            "scopegate-guest",
            "--profile",
            "guest",
        ])
        .args(["--target", TARGET, "--target-dir"])
        .arg(target_dir);
    if offline {
        cargo.arg("--offline");
    }
    // The outer build's compiler, wrappers and flags are for the outer target.
    for (name, _) in env::vars_os() {
        let Some(text) = name.to_str() else { continue };
        let inherited = matches!(
            text,
            "RUSTC"
                | "RUSTDOC"
                | "RUSTC_LINKER"
                | "RUSTFLAGS"
                | "RUSTDOCFLAGS"
                | "TARGET"
                | "HOST"
                | "PROFILE"
                | "OPT_LEVEL"
                | "DEBUG"
                | "OUT_DIR"
                | "NUM_JOBS"
        ) || [
            "RUSTC_WORKSPACE_WRAPPER",
            "RUSTC_WRAPPER",
            "CLIPPY_",
            "CARGO_ENCODED_",
            "CARGO_CFG_",
            "CARGO_FEATURE_",
            "CARGO_PKG_",
            "CARGO_MANIFEST_",
            "CARGO_BUILD_",
            "CARGO_PROFILE_",
            "CARGO_TARGET_",
            "__CARGO_",
        ]
        .iter()
        .any(|prefix| text.starts_with(prefix));
        if inherited {
            cargo.env_remove(&name);
        }
    }
    cargo.env(
        "CARGO_ENCODED_RUSTFLAGS",
        guest_flags(root)?.join(OsStr::new("\u{1f}")),
    );
    Ok(cargo)
}

fn guest_flags(root: &Path) -> Result<Vec<std::ffi::OsString>, Box<dyn Error>> {
    let mut flags: Vec<std::ffi::OsString> = vec![
        format!("-Clink-arg=-zstack-size={STACK_BYTES}").into(),
        "-Clink-arg=--stack-first".into(),
    ];
    // Panic messages name source files: without the builder's directories, every machine builds the same bytes.
    let mut remap = |from: &Path, to: &str| {
        let mut flag = std::ffi::OsString::from("--remap-path-prefix=");
        flag.push(from);
        flag.push("=");
        flag.push(to);
        flags.push(flag);
    };
    remap(root, "/scopegate");
    let cargo_home = env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(|| env::var_os("HOME").map(|home| Path::new(&home).join(".cargo")));
    if let Some(home) = cargo_home {
        remap(&home, "/cargo");
    }
    Ok(flags)
}

/// The wasm target's standard library: `rustup` installs it where it is missing.
fn ensure_target() -> Result<(), Box<dyn Error>> {
    if has_target()? {
        return Ok(());
    }
    let added = Command::new("rustup")
        .args(["target", "add", TARGET])
        .status();
    if added.is_ok_and(|status| status.success()) && has_target()? {
        return Ok(());
    }
    Err(format!("the standard library for {TARGET} is missing and could not be installed; run: rustup target add {TARGET}").into())
}

fn has_target() -> Result<bool, Box<dyn Error>> {
    let output = Command::new(variable("RUSTC")?)
        .args(["--print", "target-libdir", "--target", TARGET])
        .output()?;
    Ok(output.status.success() && Path::new(String::from_utf8(output.stdout)?.trim()).is_dir())
}

fn variable(name: &str) -> Result<PathBuf, Box<dyn Error>> {
    env::var_os(name)
        .map(PathBuf::from)
        .ok_or_else(|| format!("cargo does not set {name}").into())
}
