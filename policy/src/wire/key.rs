//! What the text of a key or agent token says before any look-up: its kind, and whether its checksum holds.

/// The characters of a key's secret part.
pub const BASE62: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/// Characters of entropy.
pub const ENTROPY_CHARS: usize = 30;
/// Characters of checksum behind them.
pub const CHECKSUM_CHARS: usize = 6;

/// What a key is for, which its text shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KeyKind {
    /// `<prefix>_live_…`: an API key.
    Live,
    /// `<prefix>_agent_…`: the token of one cluster's agent.
    Agent,
}

impl KeyKind {
    const ALL: [Self; 2] = [Self::Live, Self::Agent];

    /// The word between prefix and secret.
    pub fn word(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Agent => "agent",
        }
    }
}

/// What the text of a presented key tells before any look-up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyFormat {
    /// Our format, and its checksum holds: worth a look-up.
    Ours(KeyKind),
    /// Our format, and its checksum does not hold: refused without a look-up.
    BadChecksum,
    /// Another format: perhaps an imported key, so it is looked up too. A key of a foreign system that has our
    /// prefix and exactly our length would be taken for ours, and so cannot be imported.
    Foreign,
}

/// Recognises a presented key by the contract's prefix (without `_`).
pub fn recognise(prefix: &str, key: &str) -> KeyFormat {
    let Some(rest) = key
        .strip_prefix(prefix)
        .and_then(|rest| rest.strip_prefix('_'))
    else {
        return KeyFormat::Foreign;
    };
    let kinds = KeyKind::ALL.into_iter();
    let Some((kind, tail)) = kinds
        .filter_map(|kind| Some((kind, rest.strip_prefix(kind.word())?.strip_prefix('_')?)))
        .next()
    else {
        return KeyFormat::Foreign;
    };
    if tail.len() != ENTROPY_CHARS + CHECKSUM_CHARS
        || !tail.bytes().all(|b| b.is_ascii_alphanumeric())
    {
        return KeyFormat::Foreign;
    }
    let (entropy, written) = tail.as_bytes().split_at(ENTROPY_CHARS);
    if checksum(entropy).as_slice() == written {
        KeyFormat::Ours(kind)
    } else {
        KeyFormat::BadChecksum
    }
}

/// The checksum of a key's entropy: its CRC32 (IEEE) in base62.
pub fn checksum(entropy: &[u8]) -> [u8; CHECKSUM_CHARS] {
    let mut rest = crc32fast::hash(entropy);
    let mut text = [b'0'; CHECKSUM_CHARS];
    for slot in text.iter_mut().rev() {
        if let Some(digit) = BASE62.get((rest % 62) as usize) {
            *slot = *digit;
        }
        rest /= 62;
    }
    text
}
