//! Strings of JSON: most of a listing, and nearly all of it as it is. Many bytes are looked at together for
//! one that must be escaped.

/// Bytes looked at together for one that must be escaped.
const RUN: usize = 32;

fn must_be_escaped(byte: u8) -> bool {
    // No shortcuts: so that a run of bytes is compared at once.
    (byte < 0x20) | (byte == b'"') | (byte == b'\\')
}

/// Whether one of eight bytes must be escaped, all looked at together: a byte below 0x20, or one that a
/// pattern makes zero, borrows into its high bit.
fn any_must_be_escaped(eight: [u8; 8]) -> bool {
    const EACH: u64 = u64::MAX / 0xff;
    let bytes = u64::from_le_bytes(eight);
    let below = |bytes: u64, limit: u64| bytes.wrapping_sub(EACH * limit) & !bytes;
    let quote = bytes ^ (EACH * b'"' as u64);
    let backslash = bytes ^ (EACH * b'\\' as u64);
    (below(bytes, 0x20) | below(quote, 1) | below(backslash, 1)) & (EACH * 0x80) != 0
}

/// How many bytes from the start on need no escape.
fn clean(bytes: &[u8]) -> usize {
    let (runs, _) = bytes.as_chunks::<RUN>();
    let is_clean = |run: &&[u8; RUN]| {
        !run.iter()
            .fold(false, |dirty, byte| dirty | must_be_escaped(*byte))
    };
    let start = runs.iter().take_while(is_clean).count() * RUN;
    let rest = bytes.get(start..).unwrap_or_default();
    let (eights, _) = rest.as_chunks::<8>();
    let more = eights
        .iter()
        .take_while(|eight| !any_must_be_escaped(**eight));
    let start = start + more.count() * 8;
    let rest = bytes.get(start..).unwrap_or_default();
    let more = rest.iter().take_while(|byte| !must_be_escaped(**byte));
    start + more.count()
}

/// The inside of a string.
pub(super) fn append_escaped(bytes: &mut Vec<u8>, text: &str) {
    let mut rest = text.as_bytes();
    loop {
        let (as_it_is, from) = rest.split_at_checked(clean(rest)).unwrap_or((rest, &[]));
        bytes.extend_from_slice(as_it_is);
        let Some((byte, after)) = from.split_first() else {
            return;
        };
        let short = match byte {
            0x08 => b'b',
            b'\t' => b't',
            b'\n' => b'n',
            0x0c => b'f',
            b'\r' => b'r',
            b'"' | b'\\' => *byte,
            _ => {
                const DIGITS: &[u8; 16] = b"0123456789abcdef";
                // Below 0x20.
                let low = DIGITS.get(usize::from(byte & 0xf)).unwrap_or(&b'0');
                bytes.extend_from_slice(&[b'\\', b'u', b'0', b'0', b'0' + (byte >> 4), *low]);
                rest = after;
                continue;
            }
        };
        bytes.extend_from_slice(&[b'\\', short]);
        rest = after;
    }
}

/// A string, with its quotes.
pub(super) fn append_string(bytes: &mut Vec<u8>, text: &str) {
    bytes.push(b'"');
    append_escaped(bytes, text);
    bytes.push(b'"');
}
