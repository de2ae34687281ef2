//! Invoices: whatever the text, it is read or refused, and what was read is the same in the other case
//! and with the scheme before it.

use bitcoin::Network;
use bitcoin::bech32::primitives::iter::Fe32IterExt;
use bitcoin::bech32::{Bech32, Fe32, Hrp};
use sendpay_node::{decode, unverified_payment_hash};
use sendpay_rpc::value::InvoiceString;

/// The text of an invoice; or, divided by the end of a line, what comes before its data and the data,
/// five bits to a byte. That one gets its checksum here, or nothing behind the checksum would be read.
pub(crate) fn run(bytes: &[u8]) {
    if let Ok(text) = std::str::from_utf8(bytes) {
        read(text);
    }
    if let Some(text) = with_checksum(bytes) {
        read(&text);
    }
}

fn with_checksum(bytes: &[u8]) -> Option<String> {
    let end = bytes.iter().position(|byte| *byte == b'\n')?;
    let (before, data) = bytes.split_at(end);
    let hrp = Hrp::parse(std::str::from_utf8(before).ok()?).ok()?;
    let data = data.iter().skip(1);
    let data = data.filter_map(|byte| Fe32::try_from(byte & 31).ok());
    Some(data.with_checksum::<Bech32>(&hrp).chars().collect())
}

fn read(text: &str) {
    let canonical = InvoiceString::canonical(text);
    let text = canonical.as_str();
    assert_eq!(
        InvoiceString::canonical(text).as_str(),
        InvoiceString::canonical(&text.to_ascii_uppercase()).as_str()
    );
    let read = decode(text, None);
    let ours = decode(text, Some(Network::Regtest));
    if let Ok(invoice) = &read {
        let prefixed = InvoiceString::canonical(&format!("lightning:{text}"));
        let again = decode(prefixed.as_str(), None).unwrap();
        assert_eq!(again.payment_hash, invoice.payment_hash);
        assert_eq!(again.amount_msat, invoice.amount_msat);
    }
    if let Ok(invoice) = &ours {
        assert_eq!(read.unwrap().payment_hash, invoice.payment_hash);
        assert_eq!(
            unverified_payment_hash(text, Network::Regtest),
            Some(invoice.payment_hash)
        );
    }
}
