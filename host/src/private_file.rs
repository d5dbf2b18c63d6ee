//! Files that only their owner may read.

use std::{
    fs::File,
    io::{self, Read},
    os::unix::fs::MetadataExt,
    path::Path,
};

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
