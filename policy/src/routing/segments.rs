//! The segments of a path, found and hashed once, where the question is packed.

/// A segment in a packed question: where it starts and ends in the path (`u16` each), and its hash (`u32`).
pub(crate) type Entry = [u8; 8];

/// A path's segments as they stand in a packed question.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Segments<'q> {
    entries: &'q [Entry],
    path: &'q [u8],
}

impl<'q> Segments<'q> {
    /// From the entries and the path with its leading slash.
    pub(crate) fn new(entries: &'q [u8], path: &'q [u8]) -> Self {
        Self {
            entries: entries.as_chunks().0,
            path,
        }
    }

    /// The path; empty for the root.
    pub(crate) fn path(&self) -> &'q [u8] {
        self.path
    }

    /// A segment and its hash.
    pub(crate) fn get(&self, index: usize) -> Option<(&'q [u8], u32)> {
        let [s0, s1, e0, e1, h0, h1, h2, h3] = *self.entries.get(index)?;
        let (start, end) = (u16::from_le_bytes([s0, s1]), u16::from_le_bytes([e0, e1]));
        let segment = self.path.get(usize::from(start)..usize::from(end))?;
        Some((segment, u32::from_le_bytes([h0, h1, h2, h3])))
    }
}

/// The entry of the segment at `start..end` of a path.
pub(crate) fn entry(start: u16, end: u16, segment: &[u8]) -> Entry {
    let ([s0, s1], [e0, e1]) = (start.to_le_bytes(), end.to_le_bytes());
    let [h0, h1, h2, h3] = hash::<false>(segment).to_le_bytes();
    [s0, s1, e0, e1, h0, h1, h2, h3]
}

/// The fixed hash of a segment, or of the segment in lower case. Words overlap at the end of a segment, so that
/// none is read byte by byte.
pub(super) fn hash<const FOLD: bool>(segment: &[u8]) -> u32 {
    let fold = |word: u64| if FOLD { to_lower(word) } else { word };
    let start = (segment.len() as u64).wrapping_mul(MULTIPLIER);
    let state = if let Some(last) = segment.last_chunk::<8>() {
        let (chunks, _) = segment.as_chunks::<8>();
        let state = chunks.iter().fold(start, |state, chunk| {
            mix(state, fold(u64::from_le_bytes(*chunk)))
        });
        mix(state, fold(u64::from_le_bytes(*last)))
    } else if let (Some(first), Some(last)) =
        (segment.first_chunk::<4>(), segment.last_chunk::<4>())
    {
        let word =
            u64::from(u32::from_le_bytes(*first)) | u64::from(u32::from_le_bytes(*last)) << 32;
        mix(start, fold(word))
    } else {
        let word = segment
            .iter()
            .fold(0, |word, byte| word << 8 | u64::from(*byte));
        mix(start, fold(word))
    };
    (state ^ (state >> 32)) as u32
}

const MULTIPLIER: u64 = 0x9e37_79b9_7f4a_7c15;

fn mix(state: u64, word: u64) -> u64 {
    let mixed = (state ^ word).wrapping_mul(MULTIPLIER);
    mixed ^ (mixed >> 29)
}

/// Eight bytes in lower case: bit 7 of a byte's two sums tells whether it is from `A` to `Z`.
fn to_lower(word: u64) -> u64 {
    const EACH: u64 = 0x0101_0101_0101_0101;
    let low_bits = word & (0x7f * EACH);
    let above_z = low_bits + (0x7f - u64::from(b'Z')) * EACH;
    let from_a = low_bits + (0x80 - u64::from(b'A')) * EACH;
    let is_upper = !word & (from_a ^ above_z) & (0x80 * EACH);
    word | is_upper >> 2
}

#[cfg(test)]
mod tests {
    use super::hash;

    #[test]
    fn folding_is_hashing_in_lower_case() {
        let all: Vec<u8> = (0..=255).collect();
        for text in [
            b"".as_slice(),
            b"a",
            b"Ab",
            b"NODES",
            b"Clusters",
            b"eu-west-1-Production",
            &all,
        ] {
            assert_eq!(
                hash::<true>(text),
                hash::<false>(&text.to_ascii_lowercase()),
                "{text:?}"
            );
        }
    }

    #[test]
    fn every_byte_and_the_length_count() {
        for len in 1..30 {
            let text = vec![b'x'; len];
            assert_ne!(hash::<false>(&text), hash::<false>(&vec![b'x'; len + 1]));
            for place in 0..len {
                let mut other = text.clone();
                other[place] = b'y';
                assert_ne!(
                    hash::<false>(&text),
                    hash::<false>(&other),
                    "{place} of {len}"
                );
            }
        }
    }
}
