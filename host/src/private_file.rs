//! Files that only their owner may read, and PEM, in which keys stand in them.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::Path,
};

use base64::{Engine, prelude::BASE64_STANDARD};
use secrecy::zeroize::Zeroizing;

/// Why such a file was not read.
#[derive(Debug)]
pub(crate) enum ReadError {
    /// The operating system says so.
    File(io::Error),
    /// Others can read it: its permission bits.
    Exposed(u32),
}

/// Reads a file that only its owner may read, or root and a group of ours. The permissions are those of the file that was
/// opened.
pub(crate) fn read(path: &Path) -> Result<Zeroizing<String>, ReadError> {
    let mut file = File::open(path).map_err(ReadError::File)?;
    let metadata = file.metadata().map_err(ReadError::File)?;
    let mode = metadata.mode() & 0o777;
    if !is_private(mode, metadata.uid(), rustix::process::geteuid().as_raw()) {
        return Err(ReadError::Exposed(mode));
    }
    let mut text = Zeroizing::new(String::new());
    file.read_to_string(&mut text).map_err(ReadError::File)?;
    Ok(text)
}

/// Whether a file with these permissions is a secret's. Kubernetes and others give secrets to root, and the group that is to
/// read them to the program: a program that is not root can own no file there. PostgreSQL takes its key by the same rule.
fn is_private(mode: u32, owner: u32, user: u32) -> bool {
    const ROOT: u32 = 0;
    let forbidden = match owner == ROOT && user != ROOT {
        true => 0o037,
        false => 0o077,
    };
    mode & forbidden == 0
}

/// Makes a file that is not there yet.
pub(crate) fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
}

/// Writes a file that is not there yet; it is on disk when this returns.
pub(crate) fn write_new(path: &Path, text: &str) -> io::Result<()> {
    let mut file = create(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

/// DER in PEM (RFC 7468): lines of 64 characters.
pub(crate) fn pem(label: &str, der: &[u8]) -> Zeroizing<String> {
    let text = Zeroizing::new(BASE64_STANDARD.encode(der));
    // As long as it will be: a text that grows leaves copies behind.
    let room = text.len() + text.len() / 64 + 2 * label.len() + 40;
    let mut pem = Zeroizing::new(String::with_capacity(room));
    for part in ["-----BEGIN ", label, "-----\n"] {
        pem.push_str(part);
    }
    let mut rest = text.as_str();
    while !rest.is_empty() {
        let (line, more) = rest.split_at(rest.len().min(64));
        pem.push_str(line);
        pem.push('\n');
        rest = more;
    }
    for part in ["-----END ", label, "-----\n"] {
        pem.push_str(part);
    }
    pem
}

#[cfg(test)]
mod tests {
    use super::is_private;

    #[test]
    fn a_group_reads_what_root_gave_it_and_nothing_else() {
        let (root, user) = (0, 65532);
        for (mode, owner, reader, is) in [
            (0o600, user, user, true),
            (0o400, user, user, true),
            (0o640, user, user, false),
            (0o440, root, user, true),
            (0o640, root, user, true),
            (0o660, root, user, false),
            (0o444, root, user, false),
            (0o600, root, root, true),
            (0o440, root, root, false),
        ] {
            assert_eq!(
                is_private(mode, owner, reader),
                is,
                "{mode:o} of {owner} for {reader}"
            );
        }
    }
}
