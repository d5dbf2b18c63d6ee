//! Files of the policy commands: reading documents, writing what is whole, and saying in a line what is in one.

use std::{fs, io::Write, path::Path};

use anyhow::Result;
use scopegate_policy::Description;
use serde_json::{Value, json};

use crate::failure::Failure;

/// A file's text.
pub(super) fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).map_err(|error| unreadable(path, &error).into())
}

/// Why a file was not read.
pub(super) fn unreadable(path: &Path, error: &std::io::Error) -> Failure {
    let what = if error.kind() == std::io::ErrorKind::InvalidData {
        "is not text in UTF-8".to_owned()
    } else {
        format!("cannot be read: {error}")
    };
    Failure::new(format!("`{}` {what}", path.display()))
}

/// Writes a file so that a server that watches it never sees half of it. A file that is there keeps who may read it.
pub(super) fn write_in_one_step(path: &Path, bytes: &[u8]) -> Result<()> {
    let write = || {
        let directory = match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        let kept = fs::metadata(path).map(|file| file.permissions()).ok();
        let mut file = tempfile::Builder::new()
            .permissions(kept.clone().unwrap_or_else(readable))
            .tempfile_in(directory)?;
        if let Some(kept) = kept {
            file.as_file().set_permissions(kept)?;
        }
        file.write_all(bytes)?;
        file.as_file().sync_all()?;
        file.persist(path)?;
        Ok(())
    };
    write().map_err(|error: std::io::Error| {
        let (path, kind) = (path.display(), error.kind());
        Failure::new(format!("`{path}` cannot be written: {kind}")).into()
    })
}

/// As other files are, the umask taken off; a temporary file would be its owner's alone.
fn readable() -> fs::Permissions {
    std::os::unix::fs::PermissionsExt::from_mode(0o666)
}

/// What the document itself has: the management API's permissions and routes are in every policy.
pub(super) fn summary(description: &Description) -> Value {
    json!({
        "policy": description.name,
        "version": description.version,
        "permissions": description.own_permissions().count(),
        "roles": description.roles.iter().map(|role| role.name.as_str()).collect::<Vec<_>>(),
        "routes": description.own_routes().count(),
    })
}

/// Adds the members of an object to another.
pub(super) fn extend(entry: &mut Value, more: &Value) {
    if let (Some(entry), Some(more)) = (entry.as_object_mut(), more.as_object()) {
        entry.extend(more.clone());
    }
}

/// A [`summary`] for people.
pub(super) fn sentence(entry: &Value) -> String {
    let roles: Vec<&str> = entry["roles"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    format!(
        "policy `{}`, {} permissions, {} routes, roles {}",
        text(&entry["policy"]),
        entry["permissions"],
        entry["routes"],
        roles.join(", ")
    )
}

/// A member that is a text.
pub(super) fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
