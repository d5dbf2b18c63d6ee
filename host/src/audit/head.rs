//! Signed heads, and the file that they are exported to: what shows that a store's end was cut off.
//!
//! The file is JSON lines. The first two are places of a fixed size that the running head is written to in turn, so
//! that one of them is whole whenever the process ends; the others are closed segments, one line for each.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{FileExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use base64::{Engine, prelude::BASE64_STANDARD};
use serde::{Deserialize, Serialize};

use super::{chain::Hash, key::AuditKey};

/// A running head's place in the file: its line, filled up with spaces.
const PLACE_BYTES: usize = 512;

/// Whether a head is the end of a whole segment or of what there is of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HeadState {
    /// More may follow in its segment.
    Running,
    /// Its segment is complete.
    Closed,
}

/// A signed statement: the record with this number has this hash.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Head {
    /// Whether its segment is complete.
    #[serde(rename = "head")]
    pub state: HeadState,
    /// The record's segment.
    pub segment: i64,
    /// The record's number.
    pub seq: i64,
    /// Its hash.
    #[serde(with = "hex_hash")]
    pub hash: Hash,
    /// The time of the record, or for a closed segment of the one that follows, in milliseconds since the epoch.
    pub at_ms: i64,
    /// Whose signature it is.
    pub key_id: String,
    /// Ed25519 over all of the above.
    #[serde(with = "base64_bytes")]
    pub signature: Vec<u8>,
}

impl Head {
    /// Signs.
    pub(crate) fn sign(
        key: &AuditKey,
        state: HeadState,
        (segment, seq): (i64, i64),
        hash: Hash,
        at_ms: i64,
    ) -> Self {
        let mut head = Self {
            state,
            segment,
            seq,
            hash,
            at_ms,
            key_id: key.id().to_owned(),
            signature: Vec::new(),
        };
        head.signature = key.sign(&head.message());
        head
    }

    /// What is signed: seven lines of text, each ended by a line feed.
    pub(crate) fn message(&self) -> Vec<u8> {
        let Self {
            segment,
            seq,
            at_ms,
            key_id,
            ..
        } = self;
        let state = match self.state {
            HeadState::Running => "running",
            HeadState::Closed => "closed",
        };
        let hash = hex::encode(self.hash);
        format!("scopegate audit head 1\n{state}\n{segment}\n{seq}\n{hash}\n{at_ms}\n{key_id}\n")
            .into_bytes()
    }
}

/// The file, as whoever signs holds it.
#[derive(Debug)]
pub(crate) struct HeadsFile {
    file: File,
    path: PathBuf,
    len: u64,
    /// The newest running head's number.
    newest: i64,
    /// Which place the next one goes to.
    place: u8,
}

/// What a file says.
#[derive(Debug, Default)]
pub struct ExportedHeads {
    /// Every head in it.
    pub heads: Vec<Head>,
    /// Lines that are none.
    pub damaged: usize,
}

impl ExportedHeads {
    /// Reads a file, also while it is written to.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn read(path: &Path) -> io::Result<Self> {
        let bytes = fs::read(path)?;
        let mut found = Self::default();
        for line in bytes.split(|byte| *byte == b'\n') {
            let line = line.trim_ascii();
            if line.is_empty() {
                continue;
            }
            match serde_json::from_slice(line) {
                Ok(head) => found.heads.push(head),
                Err(_) => found.damaged += 1,
            }
        }
        Ok(found)
    }

    /// The one with the highest number, whatever its signature is.
    #[cfg(test)]
    pub(crate) fn newest(&self) -> Option<&Head> {
        self.heads.iter().max_by_key(|head| head.seq)
    }
}

impl HeadsFile {
    /// Makes the file, or makes it anew, in one step that is on disk when this returns.
    pub(crate) fn write(path: &Path, running: Option<&Head>, closed: &[Head]) -> io::Result<Self> {
        let mut text = Vec::new();
        for _ in 0..2 {
            text.extend_from_slice(&place(running)?);
        }
        for head in closed {
            serde_json::to_writer(&mut text, head)?;
            text.push(b'\n');
        }
        let mut temporary = path.as_os_str().to_owned();
        temporary.push(".new");
        let temporary = PathBuf::from(temporary);
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o644)
            .open(&temporary)?;
        file.write_all(&text)?;
        file.sync_all()?;
        fs::rename(&temporary, path)?;
        let folder = path
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty());
        File::open(folder.unwrap_or(Path::new(".")))?.sync_all()?;
        Ok(Self {
            file,
            path: path.to_owned(),
            len: text.len() as u64,
            newest: running.map_or(0, |head| head.seq),
            place: 0,
        })
    }

    /// Writes what was signed since: closed segments, oldest first, and the running head. An older running head than
    /// the one that is there is left out: two changes may end in another order than they were made in.
    pub(crate) fn export(&mut self, closed: &[Head], running: &Head) -> io::Result<()> {
        for head in closed {
            let mut line = serde_json::to_vec(head)?;
            line.push(b'\n');
            self.file.write_all_at(&line, self.len)?;
            self.len += line.len() as u64;
            self.file.sync_data()?;
        }
        if running.seq <= self.newest {
            return Ok(());
        }
        let at = u64::from(self.place) * PLACE_BYTES as u64;
        self.file.write_all_at(&place(Some(running))?, at)?;
        self.place = 1 - self.place;
        self.newest = running.seq;
        Ok(())
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The newest running head's number.
    pub(crate) fn newest(&self) -> i64 {
        self.newest
    }

    pub(crate) fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }
}

fn place(head: Option<&Head>) -> io::Result<Vec<u8>> {
    let mut line = match head {
        Some(head) => serde_json::to_vec(head)?,
        None => Vec::new(),
    };
    // A head is half as long.
    line.resize(PLACE_BYTES - 1, b' ');
    line.push(b'\n');
    Ok(line)
}

mod hex_hash {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    use super::Hash;

    pub(super) fn serialize<S: Serializer>(hash: &Hash, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&hex::encode(hash))
    }

    pub(super) fn deserialize<'d, D: Deserializer<'d>>(deserializer: D) -> Result<Hash, D::Error> {
        let mut hash = Hash::default();
        let text = String::deserialize(deserializer)?;
        hex::decode_to_slice(text, &mut hash).map_err(D::Error::custom)?;
        Ok(hash)
    }
}

mod base64_bytes {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    use super::{BASE64_STANDARD, Engine};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&BASE64_STANDARD.encode(bytes))
    }

    pub(super) fn deserialize<'d, D: Deserializer<'d>>(
        deserializer: D,
    ) -> Result<Vec<u8>, D::Error> {
        let text = String::deserialize(deserializer)?;
        BASE64_STANDARD.decode(text).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(key: &AuditKey, state: HeadState, seq: i64) -> Head {
        Head::sign(key, state, (i64::MAX, seq), [255; 32], i64::MAX)
    }

    #[test]
    fn whatever_is_torn_off_one_running_head_is_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("heads.jsonl");
        let key = AuditKey::ephemeral().unwrap();
        let running = |seq| head(&key, HeadState::Running, seq);
        let closed = head(&key, HeadState::Closed, i64::MAX - 9);
        let mut file = HeadsFile::write(&path, None, &[]).unwrap();
        assert!(ExportedHeads::read(&path).unwrap().heads.is_empty());
        file.export(std::slice::from_ref(&closed), &running(i64::MAX - 5))
            .unwrap();
        file.export(&[], &running(i64::MAX - 3)).unwrap();
        // Late, and not written.
        file.export(&[], &running(i64::MAX - 4)).unwrap();
        let read = ExportedHeads::read(&path).unwrap();
        let places = [running(i64::MAX - 5), running(i64::MAX - 3), closed];
        assert_eq!(read.heads, places);
        assert!(
            key.public()
                .verifies(&read.heads[1].message(), &read.heads[1].signature)
        );

        let whole = fs::read(&path).unwrap();
        let before = &whole[..PLACE_BYTES];
        file.export(&[], &running(i64::MAX)).unwrap();
        let after = fs::read(&path).unwrap();
        for torn in 0..PLACE_BYTES {
            let mut bytes = after.clone();
            bytes[torn..PLACE_BYTES].copy_from_slice(&before[torn..]);
            fs::write(&path, &bytes).unwrap();
            let newest = ExportedHeads::read(&path)
                .unwrap()
                .newest()
                .cloned()
                .unwrap();
            assert!(newest.seq >= i64::MAX - 3);
        }
    }
}
