//! The Containerfile, as hadolint reads it, and what it promises: one file, no root, no shell.

use std::{
    fs,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    path::Path,
    process::Command,
};

use super::{deployed, succeeds, wheel};
use crate::{harness::program::debian, workspace::root};

fn lines() -> Vec<String> {
    let text = fs::read_to_string(deployed("container/Containerfile")).expect("a Containerfile");
    // One instruction a line.
    let text = text.replace("\\\n", " ");
    let lines = text.lines().map(str::trim);
    lines
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect()
}

#[test]
fn a_linter_finds_nothing_in_it() {
    let file = deployed("container/Containerfile");
    let mut hadolint = Command::new(wheel("hadolint"));
    succeeds(hadolint.args(["--failure-threshold", "style"]).arg(file));
}

#[test]
fn the_image_is_one_file_that_runs_as_nobody() {
    let lines = lines();
    let last = lines.iter().rposition(|line| line.starts_with("FROM "));
    let image = &lines[last.expect("a stage")..];
    assert_eq!(image[0], "FROM scratch");
    let has = |line: &str| {
        assert!(
            image.iter().any(|has| has == line),
            "no `{line}` in {image:#?}"
        )
    };
    has("USER 65532:65532");
    has(r#"ENTRYPOINT ["/scopegate"]"#);
    has(r#"CMD ["serve"]"#);
    has(r#"VOLUME ["/var/lib/scopegate"]"#);
    has("EXPOSE 8080 9080");
    // There is nothing that could run a command.
    assert!(
        !image.iter().any(|line| line.starts_with("RUN ")),
        "{image:#?}"
    );
    let copied: Vec<_> = image
        .iter()
        .filter(|line| line.starts_with("COPY "))
        .collect();
    assert!(
        copied
            .iter()
            .all(|line| line.starts_with("COPY --from=build ")),
        "{copied:?}"
    );
}

/// The last stage needs nothing from elsewhere, so it is built here: with a stand-in for what the first one makes.
#[test]
fn the_image_has_the_program_and_a_place_that_it_may_write_to() {
    let file = fs::read_to_string(deployed("container/Containerfile")).expect("a Containerfile");
    let (_, last) = file.rsplit_once("\nFROM ").expect("two stages");
    let folder = tempfile::tempdir().expect("a folder");
    let place = |name: &str| folder.path().join(name).display().to_string();
    fs::write(place("Containerfile"), format!("FROM {last}")).expect("written");
    let made = folder.path().join("made/image");
    let data = made.join("data/scopegate");
    fs::create_dir_all(&data).expect("made");
    fs::set_permissions(&data, fs::Permissions::from_mode(0o700)).expect("a mode");
    fs::write(made.join("scopegate"), "a stand-in").expect("written");
    let buildah = || {
        let mut buildah = Command::new(debian("buildah", "buildah"));
        buildah.args(["--storage-driver", "vfs", "--root", &place("storage")]);
        buildah.args(["--runroot", &place("run")]);
        buildah
    };
    let build = format!("build={}", place("made"));
    let mut bud = buildah();
    bud.args([
        "bud",
        "--quiet",
        "--isolation",
        "chroot",
        "--build-context",
        &build,
    ]);
    succeeds(
        bud.args(["--tag", "gate", "--file", &place("Containerfile")])
            .arg(folder.path()),
    );
    let container = succeeds(buildah().args(["from", "localhost/gate"]));
    let root = succeeds(buildah().args(["mount", container.trim()]));
    let root = Path::new(root.trim());
    let mut files = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            match path.is_dir() {
                true => folders.push(path),
                false => files.push(path),
            }
        }
    }
    assert_eq!(files, [root.join("scopegate")]);
    let place = root
        .join("var/lib/scopegate")
        .metadata()
        .expect("it is there");
    assert_eq!(
        (place.uid(), place.gid(), place.mode() & 0o777),
        (65532, 65532, 0o700)
    );
    succeeds(buildah().args(["rm", container.trim()]));
}

/// A member of the workspace that is not copied would stop the build, and a folder that is not there too.
#[test]
fn the_build_has_what_it_needs() {
    let lines = lines();
    let copied: Vec<&str> = lines
        .iter()
        .filter_map(|line| line.strip_prefix("COPY "))
        .filter(|line| !line.starts_with("--"))
        .flat_map(|line| line.split(' ').rev().skip(1))
        .collect();
    for path in &copied {
        assert!(root().join(path).exists(), "`{path}` is not there");
    }
    let manifest = fs::read_to_string(root().join("Cargo.toml")).expect("the workspace");
    let members = manifest.split_once("members = [").expect("members").1;
    let members = members.split(']').next().unwrap_or_default();
    for member in members.split('"').skip(1).step_by(2) {
        let folder = member.split('/').next().unwrap_or_default();
        assert!(
            copied.contains(&folder),
            "`{folder}` is not copied: {copied:?}"
        );
    }
    let context = fs::read_to_string(deployed("container/Containerfile.dockerignore"));
    let context = context.expect("what the build does not read");
    for path in copied {
        assert!(
            context.lines().any(|line| line == format!("!{path}")),
            "`{path}` is left out by the .dockerignore"
        );
    }
    let toolchain = fs::read_to_string(root().join("rust-toolchain.toml")).expect("a toolchain");
    let channel = toolchain.split('"').nth(1).expect("a channel");
    let from = format!("FROM docker.io/library/rust:{channel}-slim-bookworm AS build");
    assert!(lines.contains(&from), "another Rust than `{channel}`");
}
