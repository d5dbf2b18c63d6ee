//! The custom sections of a component that was built from a document: the document itself and its digest; and behind
//! them those of a bundle: its tests, then what it says of itself, then its signatures.

use sha2::{Digest, Sha256};

const DOCUMENT: &str = "scopegate:document";
const DIGEST: &str = "scopegate:digest";
/// A file of tests.
pub(crate) const TESTS: &str = "scopegate:tests";
/// What a bundle says of itself, in JSON.
pub(crate) const METADATA: &str = "scopegate:metadata";
/// A signature over everything before the first one.
pub(crate) const SIGNATURE: &str = "scopegate:signature";
/// Magic number, version and layer of a component (component model binary format).
pub(crate) const PREAMBLE: [u8; 8] = [0x00, 0x61, 0x73, 0x6d, 0x0d, 0x00, 0x01, 0x00];

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

/// What a component is without its metadata and what is behind that.
pub(crate) fn without_metadata(component: &[u8]) -> &[u8] {
    let metadata = behind(component).find(|section| section.name == METADATA);
    before(component, metadata.map(|section| section.start))
}

/// What of a component is signed.
pub(crate) fn unsigned(component: &[u8]) -> &[u8] {
    let signature = behind(component).find(|section| section.name == SIGNATURE);
    before(component, signature.map(|section| section.start))
}

/// Whether these bytes are a component's sections, each to its end. What is in them may be wrong still.
pub(crate) fn is_whole(component: &[u8]) -> bool {
    let mut sections = Reader::new(component);
    while sections.next_section().is_some() {}
    sections.is_whole()
}

fn before(component: &[u8], end: Option<usize>) -> &[u8] {
    end.and_then(|end| component.get(..end))
        .unwrap_or(component)
}

/// What a bundle adds: tests, then metadata, then signatures, with nothing else between or behind them. Nothing, where it is
/// otherwise.
pub(crate) fn behind(component: &[u8]) -> impl Iterator<Item = Section<'_>> {
    let mut rest = Reader::new(component);
    let mut found: Vec<Section<'_>> = Vec::new();
    while let Some(read) = rest.next_section() {
        match read {
            Some(section) if section.name == SIGNATURE => found.push(section),
            Some(section)
                if section.name == METADATA && found.iter().all(|before| before.name == TESTS) =>
            {
                found.push(section);
            }
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
pub(crate) fn digest_text(bytes: &[u8]) -> String {
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

    /// What wasmtime's own parser sees on the outermost level: custom sections, by name and data. `None`: it refuses the file,
    /// and then so does the sandbox.
    fn as_wasmtime_reads(bytes: &[u8]) -> Option<Vec<(String, Vec<u8>)>> {
        use wasmparser::{Parser, Payload};
        let (mut depth, mut found) = (0_usize, Vec::new());
        for payload in Parser::new(0).parse_all(bytes) {
            match payload.ok()? {
                Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
                Payload::End(_) => depth = depth.saturating_sub(1),
                Payload::CustomSection(section) if depth == 0 => {
                    found.push((section.name().to_owned(), section.data().to_vec()));
                }
                _ => {}
            }
        }
        Some(found)
    }

    fn as_read_here(bytes: &[u8]) -> Vec<(String, Vec<u8>)> {
        all(bytes)
            .map(|section| (section.name.to_owned(), section.data.to_vec()))
            .collect()
    }

    fn section(id: u8, body: &[u8]) -> Vec<u8> {
        let mut bytes = vec![id];
        write_leb(&mut bytes, body.len());
        bytes.extend_from_slice(body);
        bytes
    }

    /// The same, with the length in five bytes, as some encoders reserve them.
    fn padded(name: &str, data: &[u8]) -> Vec<u8> {
        let mut name_bytes = vec![name.len() as u8 | 0x80, 0x80, 0];
        name_bytes.extend_from_slice(name.as_bytes());
        name_bytes.extend_from_slice(data);
        let length = name_bytes.len() as u32;
        let mut bytes = vec![0];
        bytes.extend((0..4).map(|seven| (length >> (7 * seven)) as u8 | 0x80));
        bytes.push(0);
        bytes.extend_from_slice(&name_bytes);
        bytes
    }

    #[test]
    fn what_hides_in_a_component_is_not_taken_for_its_own() {
        let custom = |name: &str, data: &[u8]| {
            let mut bytes = Vec::new();
            append_section(&mut bytes, name, data);
            bytes
        };
        let forged = [
            custom(DOCUMENT, b"policy: forged"),
            custom(TESTS, b"t\0forged"),
            custom(METADATA, b"{}"),
            custom(SIGNATURE, &[7; 80]),
        ]
        .concat();
        let core = [b"\0asm\x01\0\0\0".as_slice(), &forged].concat();
        let nested = [PREAMBLE.as_slice(), &forged].concat();
        for inner in [section(1, &core), section(4, &nested)] {
            let whole = [PREAMBLE.as_slice(), &inner].concat();
            assert_eq!(as_wasmtime_reads(&whole), Some(Vec::new()));
            assert_eq!(document(&whole), None);
            assert_eq!(behind(&whole).count(), 0);
            assert_eq!(unsigned(&whole), whole);
            // Code behind a bundle's sections makes them anybody's.
            let whole = [PREAMBLE.as_slice(), &forged, &inner].concat();
            assert_eq!(behind(&whole).count(), 0);
            assert_eq!(bare(&whole), whole);
        }
        // Longer numbers than needed are numbers all the same.
        let whole = [PREAMBLE.as_slice(), &padded(DOCUMENT, b"policy: padded")].concat();
        assert_eq!(as_wasmtime_reads(&whole), Some(as_read_here(&whole)));
        assert_eq!(document(&whole), Some("policy: padded"));
        let tests = [PREAMBLE.as_slice(), &padded(TESTS, b"t\0padded")].concat();
        assert_eq!(behind(&tests).count(), 1);
        // Past the end; a number that is too long or too large; a name that is none.
        let past = [PREAMBLE.as_slice(), &[0, 200, 1, b'x']].concat();
        let long = [
            PREAMBLE.as_slice(),
            &[0, 0x82, 0x80, 0x80, 0x80, 0x80, 0, 1, b'x'],
        ]
        .concat();
        let large = [
            PREAMBLE.as_slice(),
            &[0, 0x82, 0x80, 0x80, 0x80, 0x10, 1, b'x'],
        ]
        .concat();
        let unnamed = [PREAMBLE.as_slice(), &[0, 2, 1, 0xff]].concat();
        for refused in [past, long, large, unnamed] {
            assert_eq!(as_wasmtime_reads(&refused), None, "{refused:?}");
            let signed = [refused.as_slice(), &custom(SIGNATURE, &[7; 80])].concat();
            assert_eq!(behind(&signed).count(), 0, "{refused:?}");
        }
        // Twice: the first document is the one that counts, and metadata is nobody's.
        let twice = [custom(DOCUMENT, b"a"), custom(DOCUMENT, b"b")].concat();
        let whole = [PREAMBLE.as_slice(), &twice].concat();
        assert_eq!(document(&whole), Some("a"));
        let twice = [custom(METADATA, b"{}"), custom(METADATA, b"{}")].concat();
        let whole = [PREAMBLE.as_slice(), &twice].concat();
        assert_eq!(behind(&whole).count(), 0);
    }

    #[test]
    fn sections_are_read_as_wasmtime_reads_them() {
        let mut random = 7_u64;
        let mut below = move |bound: usize| {
            random = random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            (random >> 33) as usize % bound
        };
        let mut whole = PREAMBLE.to_vec();
        append(&mut whole, "policy: small\n");
        append_section(&mut whole, TESTS, b"a.test.yaml\0cases: []");
        append_section(&mut whole, METADATA, b"{}");
        append_section(&mut whole, SIGNATURE, &[7; 80]);
        assert_eq!(as_wasmtime_reads(&whole), Some(as_read_here(&whole)));
        let mut read = 0;
        for _ in 0..20_000 {
            let mut mutant = whole.clone();
            for _ in 0..=below(3) {
                let place = 8 + below(mutant.len() - 8);
                match below(4) {
                    0 => mutant[place] = [0, 1, 4, 0x7f, 0x80, 0xff][below(6)],
                    1 => mutant[place] ^= 1 << below(8),
                    2 => drop(mutant.remove(place)),
                    _ => mutant.insert(place, [0, 0x80, 0xff][below(3)]),
                }
            }
            if let Some(theirs) = as_wasmtime_reads(&mutant) {
                assert_eq!(theirs, as_read_here(&mutant), "{mutant:?}");
                read += 1;
            }
        }
        assert!(read > 1000, "{read} were read");
    }

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
