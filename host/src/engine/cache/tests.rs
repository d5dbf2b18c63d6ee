//! Files that the gate did not write so, or that somebody else could write: none of them is trusted, and none of them is in
//! the way.

use std::{
    os::unix::fs::{PermissionsExt, symlink},
    time::{Duration, SystemTime},
};

use super::*;
use crate::{
    engine::{BadPolicy, ChildProgram, Compiler, Policy, Sandbox, SandboxConfig, build_document},
    keyring::KeyRing,
};

struct Place {
    directory: tempfile::TempDir,
    keys: KeyRing,
    component: Vec<u8>,
}

fn component(name: &str) -> Vec<u8> {
    let document = format!(
        "policy: {name}\npermissions:\n  clusters:read: {{ category: C, unlocks: c }}\nroles:\n  viewer: [clusters:read]\nroutes:\n  - {{ match: GET /v1/health, public: true }}\n"
    );
    build_document("policy.yaml", &document).unwrap()
}

impl Place {
    fn new() -> Self {
        Self {
            directory: tempfile::tempdir().unwrap(),
            keys: KeyRing::ephemeral().unwrap(),
            component: component("kept"),
        }
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("store.db.compiled")
    }

    fn cache(&self) -> CodeCache {
        CodeCache::open(self.path(), self.keys.sealing(), 3).unwrap()
    }

    fn sandbox(&self, compiler: Compiler) -> Sandbox {
        Sandbox::new(SandboxConfig {
            compiler,
            cache: Some(self.cache()),
            ..SandboxConfig::default()
        })
        .unwrap()
    }

    /// Compiles what is not there.
    fn load(&self) -> Policy {
        let sandbox = self.sandbox(Compiler::InProcess);
        sandbox.load(&self.component).unwrap()
    }

    /// Takes what is there, and cannot compile.
    fn load_kept(&self) -> Result<Policy, BadPolicy> {
        self.sandbox(nowhere()).load(&self.component)
    }

    fn assert_compiled_again(&self, why: &str) {
        let kept = self.load_kept();
        assert!(
            matches!(kept, Err(BadPolicy::Compiler(_))),
            "{why}: {kept:?}"
        );
        assert_eq!(self.load().description().name, "kept", "{why}");
        assert!(self.load_kept().is_ok(), "{why}: it was written anew");
    }

    /// The one file.
    fn file(&self) -> PathBuf {
        let files = files(&self.path());
        let [file] = files.as_slice() else {
            panic!("{files:?}");
        };
        file.clone()
    }
}

fn nowhere() -> Compiler {
    Compiler::Child(ChildProgram {
        path: "/nowhere/scopegate".into(),
        arguments: Vec::new(),
    })
}

fn files(directory: &Path) -> Vec<PathBuf> {
    let files = fs::read_dir(directory).unwrap();
    files.map(|file| file.unwrap().path()).collect()
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().mode() & 0o777
}

#[test]
fn code_is_compiled_once_and_then_taken_from_its_file() {
    let place = Place::new();
    assert!(place.load_kept().is_err(), "there is nothing yet");
    let compiled = place.load();
    let file = place.file();
    assert_eq!((mode(&place.path()), mode(&file)), (0o700, 0o600));
    let digest = compiled.digest().trim_start_matches("sha256:");
    let name = file.file_name().unwrap().to_str().unwrap();
    assert!(
        name.starts_with(digest) && name.ends_with(".cwasm"),
        "{name}"
    );

    let kept = place.load_kept().unwrap();
    assert_eq!(kept.digest(), compiled.digest());
    assert_eq!(kept.description(), compiled.description());
    assert!(kept.is_from_document() && kept.probe().is_ok());
}

#[test]
fn a_changed_file_is_never_trusted() {
    let place = Place::new();
    place.load();
    let file = place.file();
    let whole = fs::read(&file).unwrap();
    let (cache, engine) = (place.cache(), Limits::default().engine().unwrap());
    let digest = Sha256::digest(&place.component).into();
    let entry = Entry::new(digest, &engine, &Limits::default());
    assert!(cache.component(&entry, &engine).is_some());
    let refused = |bytes: &[u8], why: &str| {
        fs::write(&file, bytes).unwrap();
        assert_eq!(
            cache.read(&file, &entry).err(),
            Some(Unusable::Forged),
            "{why}"
        );
    };
    let everywhere = (0..whole.len()).step_by(whole.len() / 50);
    for place in (0..TAG_BYTES + 8)
        .chain(everywhere)
        .chain([whole.len() - 1])
    {
        let mut changed = whole.clone();
        changed[place] ^= 0x10;
        refused(&changed, &format!("byte {place}"));
    }
    for end in [
        0,
        1,
        TAG_BYTES - 1,
        TAG_BYTES,
        TAG_BYTES + 1,
        whole.len() / 2,
        whole.len() - 1,
    ] {
        refused(&whole[..end], &format!("cut at {end}"));
    }
    refused(&[whole.as_slice(), &[0]].concat(), "longer");
    refused(&whole[TAG_BYTES..], "without a tag");
    place.assert_compiled_again("without a tag");
    fs::write(&file, &whole[..whole.len() / 2]).unwrap();
    place.assert_compiled_again("cut");
}

#[test]
fn code_of_another_component_engine_or_gate_is_not_this_ones() {
    let place = Place::new();
    place.load();
    let file = place.file();
    // Written by this very gate, for another policy.
    let other = component("other");
    place.sandbox(Compiler::InProcess).load(&other).unwrap();
    let others = files(&place.path());
    let others = others.iter().find(|path| **path != file).unwrap();
    fs::rename(others, &file).unwrap();
    place.assert_compiled_again("another component's");

    // For other limits, under the name that those have.
    let sandbox = |limits: Limits| {
        let cache = Some(place.cache());
        let compiler = nowhere();
        Sandbox::new(SandboxConfig {
            limits,
            cache,
            compiler,
            ..SandboxConfig::default()
        })
        .unwrap()
    };
    let engine = Limits::large().engine().unwrap();
    let digest = Sha256::digest(&place.component).into();
    let large = Entry::new(digest, &engine, &Limits::large());
    fs::copy(&file, place.cache().path(&large)).unwrap();
    assert!(sandbox(Limits::default()).load(&place.component).is_ok());
    assert!(sandbox(Limits::large()).load(&place.component).is_err());

    // By a gate with another key file.
    let stranger = Place {
        keys: KeyRing::ephemeral().unwrap(),
        ..Place::new()
    };
    place.cache();
    stranger.load();
    fs::copy(stranger.file(), &file).unwrap();
    place.assert_compiled_again("another key's");

    // What has the right tag, and is code of nothing.
    let entry = Entry::new(
        digest,
        &Limits::default().engine().unwrap(),
        &Limits::default(),
    );
    place
        .cache()
        .keep(&entry, &Code::of_compiler(b"no code".to_vec()));
    place.assert_compiled_again("no code");
}

#[test]
fn what_stands_in_the_way_of_a_file_is_replaced() {
    let place = Place::new();
    place.load();
    let file = place.file();
    let elsewhere = place.directory.path().join("elsewhere");
    fs::rename(&file, &elsewhere).unwrap();
    symlink(&elsewhere, &file).unwrap();
    place.assert_compiled_again("a link, even to what was good");
    assert!(fs::symlink_metadata(&file).unwrap().is_file());
    fs::remove_file(&file).unwrap();
    let pipe = std::process::Command::new("mkfifo").arg(&file).status();
    assert!(pipe.unwrap().success());
    place.assert_compiled_again("a pipe");
    // What cannot be replaced is no reason not to load.
    fs::remove_file(&file).unwrap();
    fs::create_dir(&file).unwrap();
    assert_eq!(place.load().description().name, "kept");
}

#[test]
fn a_directory_that_others_can_write_is_not_used() {
    let place = Place::new();
    place.load();
    let open = || CodeCache::open(place.path(), place.keys.sealing(), 3);
    for mode in [0o777, 0o770, 0o702, 0o1777] {
        fs::set_permissions(place.path(), fs::Permissions::from_mode(mode)).unwrap();
        assert!(
            matches!(open(), Err(CacheError::NotOurs { .. })),
            "{mode:o}"
        );
    }
    fs::set_permissions(place.path(), fs::Permissions::from_mode(0o700)).unwrap();
    assert!(open().is_ok());
    let real = place.directory.path().join("real");
    fs::rename(place.path(), &real).unwrap();
    symlink(&real, place.path()).unwrap();
    assert!(matches!(open(), Err(CacheError::NotOurs { .. })), "a link");
    fs::remove_file(place.path()).unwrap();
    fs::write(place.path(), "").unwrap();
    assert!(matches!(open(), Err(CacheError::NotOurs { .. })), "a file");
    let nowhere = place.directory.path().join("no/such");
    let nowhere = CodeCache::open(nowhere, place.keys.sealing(), 3);
    assert!(matches!(nowhere, Err(CacheError::File { .. })));
    assert!(matches!(
        CodeCache::open(real, None, 3),
        Err(CacheError::NoKey)
    ));
}

#[test]
fn the_last_used_are_kept_and_what_another_version_made_is_not() {
    let place = Place::new();
    place.load();
    let first = place.file();
    for left in ["00-0123456789abcdef.cwasm", ".unfinished-x", "mine.txt"] {
        fs::write(place.path().join(left), "").unwrap();
    }
    let long_ago = SystemTime::now() - Duration::from_secs(3600);
    let age = |path: &Path| File::open(path).unwrap().set_modified(long_ago).unwrap();
    let sandbox = place.sandbox(Compiler::InProcess);
    let mut names = vec![first.clone()];
    for name in ["a", "b"] {
        sandbox.load(&component(name)).unwrap();
        let new = files(&place.path());
        let new = new.into_iter().find(|path| {
            path.extension().is_some_and(|end| end == EXTENSION) && !names.contains(path)
        });
        names.push(new.unwrap());
    }
    names.iter().for_each(|path| age(path));
    // Used again, it is the newest.
    place.load_kept().unwrap();
    sandbox.load(&component("c")).unwrap();
    let left = files(&place.path());
    assert!(left.contains(&first), "{left:?}");
    assert!(left.contains(&place.path().join("mine.txt")));
    assert_eq!(left.len(), 4, "{left:?}");
}
