//! How far a layer may expand.

/// Up to this size, expansion is nobody's concern: 1 GiB.
const ALWAYS: u64 = 1 << 30;
/// Above it, a layer may be so many times larger than its blob. Real layers are rarely above 10; gzip can reach 1030,
/// zstd 30000.
const RATIO: u64 = 200;

/// How many bytes a layer's tar may have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ExpandLimit {
    /// 1 GiB, or 200 times the blob's size if that is more.
    #[default]
    Plausible,
    /// So many bytes.
    Bytes(u64),
    /// No limit, for blobs of one's own.
    Unlimited,
}

impl ExpandLimit {
    /// The limit in bytes for a blob of `size` bytes.
    pub(super) fn bytes(self, size: u64) -> u64 {
        match self {
            Self::Plausible => size.saturating_mul(RATIO).max(ALWAYS),
            Self::Bytes(bytes) => bytes,
            Self::Unlimited => u64::MAX,
        }
    }
}
