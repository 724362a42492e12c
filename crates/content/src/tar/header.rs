//! The 512-byte header block: fields, numbers, checksum.

use std::ops::Range;

/// Everything in a tar is a multiple of this many bytes.
pub(super) const BLOCK: usize = 512;

const NAME: Range<usize> = 0..100;
const MODE: Range<usize> = 100..108;
const UID: Range<usize> = 108..116;
const GID: Range<usize> = 116..124;
const SIZE: Range<usize> = 124..136;
const MTIME: Range<usize> = 136..148;
const CHECKSUM: Range<usize> = 148..156;
const TYPE: usize = 156;
const LINK: Range<usize> = 157..257;
const MAGIC: Range<usize> = 257..263;
const VERSION: Range<usize> = 263..265;
const MAJOR: Range<usize> = 329..337;
const MINOR: Range<usize> = 337..345;
const PREFIX: Range<usize> = 345..500;

/// The longest name and link target of the name fields.
pub(super) const NAME_LENGTH: usize = NAME.end;
/// The longest prefix.
pub(super) const PREFIX_LENGTH: usize = PREFIX.end - PREFIX.start;
/// The largest number in a field of eight bytes.
pub(super) const MAX_SHORT: u64 = 0o7_777_777;
/// The largest number in a field of twelve bytes.
pub(super) const MAX_LONG: u64 = 0o77_777_777_777;

/// One header block.
#[derive(Clone)]
pub(super) struct Header(pub(super) [u8; BLOCK]);

/// Whether a file that begins like this is a tar, by the checksum of its first header. A block of zeros is the end of an
/// empty tar, but also the beginning of many other files: it is none.
pub fn is_tar(head: &[u8]) -> bool {
    let block = head.get(..BLOCK).and_then(|block| <[u8; BLOCK]>::try_from(block).ok());
    block.is_some_and(|block| block[0] != 0 && Header(block).checksum_is_valid())
}

/// Reading.
impl Header {
    pub(super) fn checksum_is_valid(&self) -> bool {
        let Some(stored) = number(&self.0[CHECKSUM]) else { return false };
        let (mut unsigned, mut signed) = (0_i64, 0_i64);
        for (at, byte) in self.0.iter().enumerate() {
            let byte = if CHECKSUM.contains(&at) { b' ' } else { *byte };
            unsigned += i64::from(byte);
            // Some old tars summed up signed characters.
            signed += i64::from(byte.cast_signed());
        }
        stored == unsigned || stored == signed
    }

    pub(super) fn flag(&self) -> u8 {
        self.0[TYPE]
    }

    /// Name with its prefix, as it stands there.
    pub(super) fn path(&self) -> Vec<u8> {
        let name = until_nul(&self.0[NAME]);
        let is_posix = &self.0[MAGIC] == b"ustar\0";
        let is_star = is_posix && &self.0[508..512] == b"tar\0";
        // GNU (`ustar `) and star keep times in (a part of) the prefix field.
        let prefix = match (is_posix, is_star) {
            (true, true) => until_nul(&self.0[PREFIX.start..PREFIX.start + 131]),
            (true, false) => until_nul(&self.0[PREFIX]),
            (false, _) => &[],
        };
        match prefix.is_empty() {
            true => name.to_vec(),
            false => [prefix, b"/", name].concat(),
        }
    }

    pub(super) fn link(&self) -> Vec<u8> {
        until_nul(&self.0[LINK]).to_vec()
    }

    pub(super) fn mode(&self) -> Option<u32> {
        unsigned(&self.0[MODE]).and_then(|mode| u32::try_from(mode).ok())
    }

    pub(super) fn uid(&self) -> Option<u64> {
        unsigned(&self.0[UID])
    }

    pub(super) fn gid(&self) -> Option<u64> {
        unsigned(&self.0[GID])
    }

    pub(super) fn size(&self) -> Option<u64> {
        unsigned(&self.0[SIZE])
    }

    pub(super) fn mtime(&self) -> Option<i64> {
        number(&self.0[MTIME])
    }

    pub(super) fn major(&self) -> Option<u32> {
        unsigned(&self.0[MAJOR]).and_then(|major| u32::try_from(major).ok())
    }

    pub(super) fn minor(&self) -> Option<u32> {
        unsigned(&self.0[MINOR]).and_then(|minor| u32::try_from(minor).ok())
    }
}

/// Writing.
impl Header {
    /// A ustar header whose numbers are all zero.
    pub(super) fn ustar(flag: u8) -> Self {
        let mut block = [0; BLOCK];
        block[TYPE] = flag;
        block[MAGIC].copy_from_slice(b"ustar\0");
        block[VERSION].copy_from_slice(b"00");
        let mut header = Self(block);
        for field in [MODE, UID, GID, SIZE, MTIME, MAJOR, MINOR] {
            header.octal(field, 0);
        }
        header
    }

    pub(super) fn set_path(&mut self, prefix: &[u8], name: &[u8]) {
        self.bytes(PREFIX, prefix);
        self.bytes(NAME, name);
    }

    pub(super) fn set_link(&mut self, target: &[u8]) {
        self.bytes(LINK, target);
    }

    pub(super) fn set_mode(&mut self, mode: u32) {
        self.octal(MODE, u64::from(mode & 0o7777));
    }

    pub(super) fn set_uid(&mut self, uid: u64) {
        self.octal(UID, uid);
    }

    pub(super) fn set_gid(&mut self, gid: u64) {
        self.octal(GID, gid);
    }

    pub(super) fn set_size(&mut self, size: u64) {
        self.octal(SIZE, size);
    }

    pub(super) fn set_mtime(&mut self, mtime: u64) {
        self.octal(MTIME, mtime);
    }

    pub(super) fn set_device(&mut self, major: u32, minor: u32) {
        self.octal(MAJOR, u64::from(major));
        self.octal(MINOR, u64::from(minor));
    }

    /// Sums up the block; to be called last.
    pub(super) fn seal(mut self) -> [u8; BLOCK] {
        self.0[CHECKSUM].fill(b' ');
        let sum: u64 = self.0.iter().map(|byte| u64::from(*byte)).sum();
        // Six digits, NUL, space, as all tars write it.
        self.octal(CHECKSUM.start..CHECKSUM.end - 1, sum);
        self.0
    }

    fn bytes(&mut self, field: Range<usize>, bytes: &[u8]) {
        let room = &mut self.0[field];
        let length = bytes.len().min(room.len());
        room[..length].copy_from_slice(&bytes[..length]);
    }

    fn octal(&mut self, field: Range<usize>, mut value: u64) {
        let room = &mut self.0[field];
        let Some((last, digits)) = room.split_last_mut() else { return };
        *last = 0;
        for digit in digits.iter_mut().rev() {
            *digit = b'0' + (value & 7) as u8;
            value >>= 3;
        }
        debug_assert_eq!(value, 0, "the caller chooses PAX for numbers that do not fit");
    }
}

/// A numeric field: octal digits, or GNU's base-256 when the first bit is set. None when it is neither or does not fit.
pub(super) fn number(field: &[u8]) -> Option<i64> {
    match field.first() {
        Some(first) if first & 0x80 != 0 => base_256(field),
        _ => octal(field),
    }
}

fn unsigned(field: &[u8]) -> Option<u64> {
    number(field).and_then(|value| u64::try_from(value).ok())
}

fn octal(field: &[u8]) -> Option<i64> {
    let start = field.iter().position(|byte| !matches!(byte, b' ' | 0)).unwrap_or(field.len());
    let mut value = 0_i64;
    for byte in &field[start..] {
        match byte {
            b'0'..=b'7' => value = value.checked_mul(8)?.checked_add(i64::from(byte - b'0'))?,
            b' ' | 0 => break,
            _ => return None,
        }
    }
    Some(value)
}

fn base_256(field: &[u8]) -> Option<i64> {
    // Two's complement, of which the first bit only says that it is one.
    let negative = field[0] & 0x40 != 0;
    let flip = if negative { 0xff } else { 0 };
    let mut value = 0_u64;
    for (at, byte) in field.iter().enumerate() {
        let byte = (byte ^ flip) & if at == 0 { 0x7f } else { 0xff };
        if value >> 56 != 0 {
            return None;
        }
        value = value << 8 | u64::from(byte);
    }
    let value = i64::try_from(value).ok()?;
    Some(if negative { !value } else { value })
}

fn until_nul(field: &[u8]) -> &[u8] {
    field.split(|byte| *byte == 0).next().unwrap_or(field)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_octal_or_base_256() {
        for (field, want) in [
            (&b"0000644\0"[..], Some(0o644)),
            (b"    644 ", Some(0o644)),
            (b"644 \0\0\0\0", Some(0o644)),
            (b"\0\0\0\0\0\0\0\0", Some(0)),
            (b"        ", Some(0)),
            (b"77777777777\0", Some(0o77_777_777_777)),
            (b"777777777777", Some(0o777_777_777_777)),
            (b"\x80\0\0\0\0\0\0\x05", Some(5)),
            (b"\x80\0\0\0\0\0\0\x02\0\0\0\0", Some(8 << 30)),
            (b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", Some(-1)),
            (b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xfe", Some(-2)),
            (b"\x80\0\0\0\x7f\xff\xff\xff\xff\xff\xff\xff", Some(i64::MAX)),
            (b"\x80\0\0\0\x80\0\0\0\0\0\0\0", None),
            (b"\x81\0\0\0\0\0\0\0\0\0\0\0", None),
            (b"0000648\0", None),
            (b"-000644\0", None),
            (b"0x644\0\0\0", None),
        ] {
            assert_eq!(number(field), want, "{}", field.escape_ascii());
        }
    }

    #[test]
    fn a_sealed_header_has_a_valid_checksum_until_a_bit_changes() {
        let mut header = Header::ustar(b'0');
        header.set_path(b"", b"etc/passwd");
        header.set_mode(0o4755);
        let block = header.seal();
        assert!(Header(block).checksum_is_valid());
        for at in 0..BLOCK {
            let mut broken = block;
            broken[at] ^= 1;
            // The last byte of the checksum field is its terminator's second half.
            assert!(!Header(broken).checksum_is_valid() || (154..156).contains(&at), "byte {at}");
        }
    }
}
