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

/// Reads a file that only its owner may read. The permissions are those of the file that was opened.
pub(crate) fn read(path: &Path) -> Result<Zeroizing<String>, ReadError> {
    let mut file = File::open(path).map_err(ReadError::File)?;
    let mode = file.metadata().map_err(ReadError::File)?.mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(ReadError::Exposed(mode));
    }
    let mut text = Zeroizing::new(String::new());
    file.read_to_string(&mut text).map_err(ReadError::File)?;
    Ok(text)
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
