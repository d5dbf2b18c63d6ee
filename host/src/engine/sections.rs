//! The custom sections of a component that was built from a document: the document itself and its digest.

use sha2::{Digest, Sha256};

const DOCUMENT: &str = "scopegate:document";
const DIGEST: &str = "scopegate:digest";
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
    let mut rest = component.strip_prefix(&PREAMBLE)?;
    while let Some((&id, after)) = rest.split_first() {
        let (length, after) = read_leb(after)?;
        let (body, after) = after.split_at_checked(length)?;
        rest = after;
        if id != 0 {
            continue;
        }
        let (length, body) = read_leb(body)?;
        let (name, data) = body.split_at_checked(length)?;
        if name == DOCUMENT.as_bytes() {
            return std::str::from_utf8(data).ok();
        }
    }
    None
}

/// `sha256:` and the hash in hex.
pub(super) fn digest_text(bytes: &[u8]) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(bytes)))
}

fn append_section(component: &mut Vec<u8>, name: &str, data: &[u8]) {
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
