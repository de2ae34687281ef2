//! Invoices: whatever the text, it is read or refused, and what was read is the same in the other case
//! and with the scheme before it.

use bitcoin::Network;
use sendpay_node::{decode, unverified_payment_hash};
use sendpay_rpc::value::InvoiceString;

/// The text of an invoice.
pub(crate) fn run(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
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
