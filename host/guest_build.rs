//! Building a crate of the workspace for wasm from a build script: for `host/build.rs` and `adapters/cli/build.rs`.

use std::{
    env,
    error::Error,
    ffi::{OsStr, OsString},
    path::{Path, PathBuf},
    process::Command,
};

/// What is built.
pub(crate) struct Guest<'g> {
    /// The package.
    pub(crate) package: &'g str,
    /// For which target.
    pub(crate) target: &'g str,
    /// What the linker is told besides.
    pub(crate) link_args: &'g [&'g str],
}

impl Guest<'_> {
    /// Builds it in a directory of its own beside all build scripts' output, because the outer build holds the lock on the
    /// shared one: where the module is.
    pub(crate) fn build(
        &self,
        root: &Path,
        out: &Path,
        directory: &str,
    ) -> Result<PathBuf, Box<dyn Error>> {
        ensure_target(self.target)?;
        // Beside them, so that a build with other features finds what an earlier one made.
        let target_dir = out.ancestors().nth(3).unwrap_or(out).join(directory);
        // What is already downloaded is enough in most builds, and a build without a network must work then.
        if !self.command(root, &target_dir, true)?.status()?.success()
            && !self.command(root, &target_dir, false)?.status()?.success()
        {
            return Err(format!("`{}` did not build; its errors are above", self.package).into());
        }
        let file = format!("{}.wasm", self.package.replace('-', "_"));
        Ok(target_dir.join(self.target).join("guest").join(file))
    }

    fn command(
        &self,
        root: &Path,
        target_dir: &Path,
        offline: bool,
    ) -> Result<Command, Box<dyn Error>> {
        let mut cargo = Command::new(variable("CARGO")?);
        cargo
            .current_dir(root)
            .args([
                "build",
                "--locked",
                "--package",
                self.package,
                "--profile",
                "guest",
            ])
            .args(["--target", self.target, "--target-dir"])
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
            self.flags(root).join(OsStr::new("\u{1f}")),
        );
        Ok(cargo)
    }

    fn flags(&self, root: &Path) -> Vec<OsString> {
        let link_args = self.link_args.iter();
        let mut flags: Vec<OsString> = link_args
            .map(|arg| format!("-Clink-arg={arg}").into())
            .collect();
        // Panic messages name source files: without the builder's directories, every machine builds the same bytes.
        let mut remap = |from: &Path, to: &str| {
            let mut flag = OsString::from("--remap-path-prefix=");
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
        flags
    }
}

/// The wasm target's standard library: `rustup` installs it where it is missing.
fn ensure_target(target: &str) -> Result<(), Box<dyn Error>> {
    if has_target(target)? {
        return Ok(());
    }
    let added = Command::new("rustup")
        .args(["target", "add", target])
        .status();
    if added.is_ok_and(|status| status.success()) && has_target(target)? {
        return Ok(());
    }
    Err(format!("the standard library for {target} is missing and could not be installed; run: rustup target add {target}").into())
}

fn has_target(target: &str) -> Result<bool, Box<dyn Error>> {
    let output = Command::new(variable("RUSTC")?)
        .args(["--print", "target-libdir", "--target", target])
        .output()?;
    Ok(output.status.success() && Path::new(String::from_utf8(output.stdout)?.trim()).is_dir())
}

/// A variable that cargo sets.
pub(crate) fn variable(name: &str) -> Result<PathBuf, Box<dyn Error>> {
    env::var_os(name)
        .map(PathBuf::from)
        .ok_or_else(|| format!("cargo does not set {name}").into())
}
