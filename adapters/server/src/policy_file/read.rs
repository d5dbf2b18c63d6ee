//! Reading a file whoever may have put it there: never waiting for a writer, and never more than is wanted.

use std::{
    fs::File,
    io::{self, ErrorKind, Read},
    path::Path,
};

use rustix::fs::{Mode, OFlags, open};

/// The bytes of a regular file, or of the one that a link leads to.
pub(super) fn regular(path: &Path, bytes_max: usize) -> io::Result<Vec<u8>> {
    // A pipe that nobody writes to would be waited for, and a terminal would become this process's own.
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = File::from(open(path, flags, Mode::empty())?);
    // Of what was opened, not of what is called so by now.
    if !file.metadata()?.is_file() {
        let what = "it is not a regular file";
        return Err(io::Error::new(ErrorKind::InvalidInput, what));
    }
    let mut bytes = Vec::new();
    // What it says of its size may not be so any more.
    let at_most = bytes_max as u64 + 1;
    file.take(at_most).read_to_end(&mut bytes)?;
    if bytes.len() > bytes_max {
        let what = format!("it has more than {bytes_max} bytes");
        return Err(io::Error::new(ErrorKind::FileTooLarge, what));
    }
    Ok(bytes)
}

/// The same of a file that is text.
pub(super) fn text(path: &Path, bytes_max: usize) -> io::Result<String> {
    String::from_utf8(regular(path, bytes_max)?)
        .map_err(|_| io::Error::new(ErrorKind::InvalidData, "it is not UTF-8"))
}

/// Whether it is the file itself that is wrong: it cannot be read before it has changed.
pub(super) fn is_for_good(error: &io::Error) -> bool {
    // The operating system's own may pass; that there is no file is seen when there is one.
    error.raw_os_error().is_none() || error.kind() == ErrorKind::NotFound
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn only_regular_files_are_read_and_only_so_far() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name| directory.path().join(name);
        let made = Command::new("mkfifo").arg(path("pipe")).status().unwrap();
        assert!(made.success());
        for wrong in [path("pipe"), path("."), "/dev/zero".into()] {
            let error = regular(&wrong, 10).unwrap_err();
            assert_eq!(error.to_string(), "it is not a regular file", "{wrong:?}");
            assert!(is_for_good(&error));
        }

        std::fs::write(path("ten"), "0123456789").unwrap();
        std::os::unix::fs::symlink("ten", path("link")).unwrap();
        assert_eq!(text(&path("link"), 10).unwrap(), "0123456789");
        let error = regular(&path("ten"), 9).unwrap_err();
        assert_eq!(error.to_string(), "it has more than 9 bytes");
        assert!(is_for_good(&error));
        std::fs::write(path("latin"), b"caf\xe9").unwrap();
        assert!(is_for_good(&text(&path("latin"), 10).unwrap_err()));
        assert!(is_for_good(&regular(&path("none"), 10).unwrap_err()));
        std::os::unix::fs::symlink("loop", path("loop")).unwrap();
        assert!(!is_for_good(&regular(&path("loop"), 10).unwrap_err()));
    }
}
