//! LDK's log lines without the secrets that its most verbose ones have in them: payment_secrets,
//! preimages, the secrets of old commitments.
//!
//! LDK writes them behind their names (`payment_secret: Some(02af…)`, `with preimage 02af…`,
//! `per_commitment_secret: [2, 175, …]`), so whatever bytes stand behind such a name are left out.
//! A test of the demo looks for every secret of a whole run in its log.

use std::fmt;

/// What the names of secrets end with.
const NAMES: [&str; 2] = ["secret", "preimage"];

/// What may stand between a name and its bytes, besides `Some`.
const BETWEEN: &[char] = &[' ', ':', '=', '(', '{', '"'];

/// A run of hex digits from this length on is taken for a secret: half of 32 bytes, so that a part
/// of one is none either.
const HEX_DIGITS_MIN: usize = 32;

const LEFT_OUT: &str = "<secret>";

/// Shows a text without the bytes of secrets. Nothing is done before it is shown.
pub(crate) struct WithoutSecrets<T>(pub(crate) T);

impl<T: fmt::Display> fmt::Display for WithoutSecrets<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.0.to_string();
        // As long as the text itself: places in the one are places in the other.
        let lower = text.to_ascii_lowercase();
        let mut shown = 0;
        while let Some(name) = end_of_name(lower.get(shown..).unwrap_or_default()) {
            let name = shown + name;
            let value = name + start_of_value(text.get(name..).unwrap_or_default());
            f.write_str(text.get(shown..value).unwrap_or_default())?;
            let length = length_of_bytes(text.get(value..).unwrap_or_default());
            if length > 0 {
                f.write_str(LEFT_OUT)?;
            }
            shown = value + length;
        }
        f.write_str(text.get(shown..).unwrap_or_default())
    }
}

/// Where the first name of a secret ends, in lower case.
fn end_of_name(text: &str) -> Option<usize> {
    let ends = NAMES
        .iter()
        .filter_map(|name| text.find(name).map(|start| start + name.len()));
    ends.min()
}

fn start_of_value(text: &str) -> usize {
    let value = text.trim_start_matches(BETWEEN);
    let value = value.strip_prefix("Some").unwrap_or(value);
    text.len() - value.trim_start_matches(BETWEEN).len()
}

/// How long the bytes at the start of the text are, in hex or as a list; 0 if there are none.
fn length_of_bytes(text: &str) -> usize {
    if text.starts_with('[') {
        return text.find(']').map_or(text.len(), |end| end + 1);
    }
    let digits = text.bytes().take_while(u8::is_ascii_hexdigit).count();
    if digits < HEX_DIGITS_MIN { 0 } else { digits }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_behind_the_name_of_a_secret_are_left_out_and_nothing_else() {
        let secret = "0b".repeat(32);
        let hash = "0a".repeat(32);
        let cases = [
            (
                format!("hash {hash} with preimage {secret} in"),
                format!("hash {hash} with preimage <secret> in"),
            ),
            (
                format!("payment_secret: Some({secret}), payment_preimage: {secret}, id: {hash}"),
                format!("payment_secret: Some(<secret>), payment_preimage: <secret>, id: {hash}"),
            ),
            (
                "per_commitment_secret: [1, 2, 3], next: [4]".to_owned(),
                "per_commitment_secret: <secret>, next: [4]".to_owned(),
            ),
            (
                format!("preimage: Some(PaymentPreimage({secret})), {hash}"),
                format!("preimage: Some(PaymentPreimage(<secret>)), {hash}"),
            ),
            (
                "no preimage: None, secret".to_owned(),
                "no preimage: None, secret".to_owned(),
            ),
            (format!("preimage {secret}"), "preimage <secret>".to_owned()),
        ];
        for (line, shown) in cases {
            assert_eq!(WithoutSecrets(&line).to_string(), shown);
        }
    }
}
