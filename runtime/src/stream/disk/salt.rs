//! What tells a segment's own frames from bytes of a message that look like some.

use std::hash::{BuildHasher, Hasher, RandomState};

/// A number that whoever only sends messages can't know, new for each segment. A checksum is no secret; with the salt
/// under it, and in front of what it covers, no message can hold a frame or a seal of the segment that it is in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Salt(u64);

impl Salt {
    /// How many bytes it has.
    pub(super) const LENGTH: usize = 8;

    /// A new one. The standard library seeds its hashers from the system's random numbers.
    pub(super) fn random() -> Salt {
        Salt(RandomState::new().build_hasher().finish())
    }

    pub(super) fn from_bytes(bytes: [u8; Salt::LENGTH]) -> Salt {
        Salt(u64::from_le_bytes(bytes))
    }

    pub(super) fn bytes(self) -> [u8; Salt::LENGTH] {
        self.0.to_le_bytes()
    }
}
