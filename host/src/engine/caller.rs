//! A caller as a policy is asked about: the facts, and their packed form, which is made once for each credential and
//! policy, so that a warm decision does no work on strings.

use std::{fmt, sync::Arc};

use arc_swap::ArcSwapOption;
use scopegate_policy::{Caller, Vocabulary, packed};

/// The SHA-256 of a component.
pub(super) type Digest = [u8; 32];

/// The slot for a caller's packed form, kept beside the facts that it was made from. It holds the form for one
/// policy, the last that was asked.
#[derive(Default)]
pub struct PackedCaller(ArcSwapOption<Packed>);

struct Packed {
    policy: Digest,
    bytes: Box<[u8]>,
}

/// A caller and the slot that belongs to it.
#[derive(Clone, Copy, Debug)]
pub struct CallerRef<'a> {
    /// The facts. They never change while the slot lives.
    pub caller: &'a Caller,
    /// The slot.
    pub packed: &'a PackedCaller,
}

impl CallerRef<'_> {
    /// Writes the packed form for this policy into `question`.
    pub(super) fn pack(&self, policy: &Digest, vocabulary: &Vocabulary, question: &mut Vec<u8>) {
        let packed = self.packed.0.load();
        if let Some(packed) = &*packed
            && packed.policy == *policy
        {
            question.extend_from_slice(&packed.bytes);
            return;
        }
        let bytes = packed::pack_caller(vocabulary, self.caller);
        question.extend_from_slice(&bytes);
        self.packed.0.store(Some(Arc::new(Packed {
            policy: *policy,
            bytes: bytes.into_boxed_slice(),
        })));
    }
}

impl fmt::Debug for PackedCaller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PackedCaller")
    }
}
