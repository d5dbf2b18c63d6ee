//! The custom sections of a component that was built from a document: the document itself and its digest; and behind
//! them those of a bundle, its tests and then its signatures.

use sha2::{Digest, Sha256};

const DOCUMENT: &str = "scopegate:document";
const DIGEST: &str = "scopegate:digest";
/// A file of tests.
pub(crate) const TESTS: &str = "scopegate:tests";
/// A signature over everything before the first one.
pub(crate) const SIGNATURE: &str = "scopegate:signature";
/// Magic number, version and layer of a component (component model binary format).
const PREAMBLE: [u8; 8] = [0x00, 0x61, 0x73, 0x6d, 0x0d, 0x00, 0x01, 0x00];

/// Appends the document and the digest of what was appended.
pub(super) fn append(component: &mut Vec<u8>, document: &str) {
    append_section(component, DOCUMENT, document.as_bytes());
    append_section(
        component,
        DIGEST,
        digest_text(document.as_bytes()).as_bytes(),
    );
}

/// The document that a component carries. That it carries one proves nothing.
pub fn document(component: &[u8]) -> Option<&str> {
    let section = all(component).find(|section| section.name == DOCUMENT)?;
    std::str::from_utf8(section.data).ok()
}

/// A custom section.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Section<'c> {
    pub(crate) name: &'c str,
    pub(crate) data: &'c [u8],
    /// Where it starts in the component.
    start: usize,
}

/// What a component is without what a bundle adds to it.
pub(super) fn bare(component: &[u8]) -> &[u8] {
    let start = behind(component).next().map(|section| section.start);
    before(component, start)
}

/// What of a component is signed.
pub(crate) fn unsigned(component: &[u8]) -> &[u8] {
    let signature = behind(component).find(|section| section.name == SIGNATURE);
    before(component, signature.map(|section| section.start))
}

fn before(component: &[u8], end: Option<usize>) -> &[u8] {
    end.and_then(|end| component.get(..end))
        .unwrap_or(component)
}

/// What a bundle adds: tests and then signatures, with nothing else between or behind them. Nothing, where it is otherwise.
pub(crate) fn behind(component: &[u8]) -> impl Iterator<Item = Section<'_>> {
    let mut rest = Reader::new(component);
    let mut found: Vec<Section<'_>> = Vec::new();
    while let Some(read) = rest.next_section() {
        match read {
            Some(section) if section.name == SIGNATURE => found.push(section),
            Some(section)
                if section.name == TESTS && found.last().is_none_or(|last| last.name == TESTS) =>
            {
                found.push(section);
            }
            _ => found.clear(),
        }
    }
    if !rest.is_whole() {
        found.clear();
    }
    found.into_iter()
}

fn all(component: &[u8]) -> impl Iterator<Item = Section<'_>> {
    let mut rest = Reader::new(component);
    std::iter::from_fn(move || rest.next_section()).flatten()
}

/// Goes from section to section.
struct Reader<'c> {
    whole: &'c [u8],
    at: Option<usize>,
}

impl<'c> Reader<'c> {
    fn new(whole: &'c [u8]) -> Self {
        Self {
            whole,
            at: whole.starts_with(&PREAMBLE).then_some(PREAMBLE.len()),
        }
    }

    /// The next section, `Some(None)` for one that is not a custom one.
    fn next_section(&mut self) -> Option<Option<Section<'c>>> {
        let start = self.at?;
        let rest = self.whole.get(start..)?;
        let (&id, after) = rest.split_first()?;
        let read = || {
            let (length, after) = read_leb(after)?;
            let (body, after) = after.split_at_checked(length)?;
            let section = if id == 0 {
                let (length, body) = read_leb(body)?;
                let (name, data) = body.split_at_checked(length)?;
                let name = std::str::from_utf8(name).ok()?;
                Some(Section { name, data, start })
            } else {
                None
            };
            Some((section, self.whole.len() - after.len()))
        };
        let read = read();
        self.at = read.map(|(_, next)| next);
        read.map(|(section, _)| section)
    }

    /// Whether everything was read.
    fn is_whole(&self) -> bool {
        self.at == Some(self.whole.len())
    }
}

/// `sha256:` and the hash in hex.
pub(super) fn digest_text(bytes: &[u8]) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(bytes)))
}

pub(crate) fn append_section(component: &mut Vec<u8>, name: &str, data: &[u8]) {
    let mut body = Vec::with_capacity(name.len() + data.len() + 5);
    write_leb(&mut body, name.len());
    body.extend_from_slice(name.as_bytes());
    body.extend_from_slice(data);
    component.push(0);
    write_leb(component, body.len());
    component.extend_from_slice(&body);
}

fn write_leb(out: &mut Vec<u8>, mut value: usize) {
    loop {
        let byte = (value & 0x7f) as u8;
        value >>= 7;
        if value == 0 {
            out.push(byte);
            return;
        }
        out.push(byte | 0x80);
    }
}

/// An unsigned LEB128 number of at most 32 bits, and what follows it.
fn read_leb(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let mut value = 0_u64;
    for (index, byte) in bytes.iter().enumerate().take(5) {
        value |= u64::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            let value = usize::try_from(u32::try_from(value).ok()?).ok()?;
            return Some((value, bytes.get(index + 1..)?));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_is_found_again() {
        let mut component = PREAMBLE.to_vec();
        append_section(&mut component, "other", &[7; 300]);
        let text = "policy: small\n".repeat(40);
        append(&mut component, &text);
        assert_eq!(document(&component), Some(text.as_str()));
        for end in 0..component.len() {
            let _ = document(&component[..end]);
        }
    }
}
