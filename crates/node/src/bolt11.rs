//! Reading BOLT 11 invoices, as plain data for those who know no LDK.

use bitcoin::secp256k1::ecdsa::RecoveryId;
use bitcoin::{Address, Network};
use lightning_invoice::{Bolt11Invoice, Bolt11InvoiceDescriptionRef, SignedRawBolt11Invoice};
use sendpay_ledger::{Msat, NodeId, PaymentHash};
use thiserror::Error;

/// Longest invoice that is looked at, in bytes; the longest seen in the wild have about 3,000.
pub const INVOICE_BYTES_MAX: usize = 16_384;

/// Why an invoice is refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Bolt11Error {
    /// Longer than [`INVOICE_BYTES_MAX`].
    #[error("longer than {INVOICE_BYTES_MAX} bytes")]
    TooLong,
    /// It does not parse.
    #[error("{0}")]
    Parse(String),
    /// It is for another chain.
    #[error("invoice is for another network ({found}, this node is on {ours})")]
    OtherNetwork {
        /// Its network.
        found: Network,
        /// Ours.
        ours: Network,
    },
    /// A feature that must be understood, and is not.
    #[error("invoice requires unknown features")]
    UnknownFeature,
    /// More than there is.
    #[error("amount is more than 21 million bitcoin")]
    Amount,
}

/// One hop of a private route that the invoice names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteHint {
    /// The node before the channel.
    pub node_id: NodeId,
    /// The channel.
    pub short_channel_id: u64,
    /// Its base fee, in msat.
    pub fee_base_msat: u32,
    /// Its proportional fee, in millionths.
    pub fee_proportional_millionths: u32,
    /// Its delay, in blocks.
    pub cltv_expiry_delta: u16,
}

/// What an invoice says.
#[derive(Clone, Debug)]
pub struct Bolt11 {
    /// `lnbcrt` and so on without the amount: the currency prefix.
    pub currency: String,
    /// Its network.
    pub network: Network,
    /// Who is paid.
    pub payee: NodeId,
    /// How much; None for any amount.
    pub amount_msat: Option<Msat>,
    /// What is paid.
    pub payment_hash: PaymentHash,
    /// Proves to the payee that the payer has the invoice.
    pub payment_secret: [u8; 32],
    /// Given back to the payee.
    pub payment_metadata: Option<Vec<u8>>,
    /// What it is for, unless there is only a hash of it.
    pub description: Option<String>,
    /// SHA256 of what it is for.
    pub description_hash: Option<[u8; 32]>,
    /// When it was made, in seconds since 1970.
    pub created_at: u64,
    /// Lifetime in seconds.
    pub expiry: u64,
    /// Blocks the last HTLC must have.
    pub min_final_cltv_expiry: u64,
    /// Feature bits, big endian.
    pub features: Vec<u8>,
    /// The payee takes payments in parts.
    pub basic_mpp: bool,
    /// Private routes.
    pub route_hints: Vec<Vec<RouteHint>>,
    /// On-chain addresses to pay instead.
    pub fallbacks: Vec<Address>,
    /// The signature: 64 bytes and the recovery id.
    pub signature: Vec<u8>,
}

/// Reads an invoice. With `ours`, one of another network is refused.
pub fn decode(text: &str, ours: Option<Network>) -> Result<Bolt11, Bolt11Error> {
    if text.len() > INVOICE_BYTES_MAX {
        return Err(Bolt11Error::TooLong);
    }
    let invoice: Bolt11Invoice = text
        .parse()
        .map_err(|cause| Bolt11Error::Parse(format!("{cause}")))?;
    let found = invoice.network();
    if let Some(ours) = ours
        && ours != found
    {
        return Err(Bolt11Error::OtherNetwork { found, ours });
    }
    if invoice
        .features()
        .is_some_and(|features| features.requires_unknown_bits())
    {
        return Err(Bolt11Error::UnknownFeature);
    }
    let amount_msat = match invoice.amount_milli_satoshis() {
        None => None,
        Some(amount) => Some(Msat::new(amount).ok_or(Bolt11Error::Amount)?),
    };
    let (description, description_hash) = match invoice.description() {
        Bolt11InvoiceDescriptionRef::Direct(text) => (Some(text.to_string()), None),
        Bolt11InvoiceDescriptionRef::Hash(hash) => {
            (None, Some(*AsRef::<[u8; 32]>::as_ref(&hash.0)))
        }
    };
    let signed = invoice.clone().into_signed_raw();
    let (recovery, signature) = signed.signature().serialize_compact();
    Ok(Bolt11 {
        currency: invoice.currency().to_string(),
        network: found,
        payee: NodeId(invoice.get_payee_pub_key().serialize()),
        amount_msat,
        payment_hash: PaymentHash(invoice.payment_hash().0),
        payment_secret: invoice.payment_secret().0,
        payment_metadata: invoice.payment_metadata().cloned(),
        description,
        description_hash,
        created_at: invoice.duration_since_epoch().as_secs(),
        expiry: invoice.expiry_time().as_secs(),
        min_final_cltv_expiry: invoice.min_final_cltv_expiry_delta(),
        features: invoice.features().map(feature_bytes).unwrap_or_default(),
        basic_mpp: invoice
            .features()
            .is_some_and(|features| features.supports_basic_mpp()),
        route_hints: hints(&invoice),
        fallbacks: invoice.fallback_addresses(),
        signature: with_recovery(&signature, recovery),
    })
}

/// The payment_hash of an invoice of our network whose checksum is right, without the look at its
/// signature that costs most of [`decode`]. Only to look for what is known of this very text.
pub fn unverified_payment_hash(text: &str, ours: Network) -> Option<PaymentHash> {
    if text.len() > INVOICE_BYTES_MAX {
        return None;
    }
    let signed: SignedRawBolt11Invoice = text.parse().ok()?;
    let invoice = signed.raw_invoice();
    let hash = invoice.payment_hash()?;
    (Network::from(invoice.currency()) == ours).then_some(PaymentHash(hash.0))
}

fn with_recovery(signature: &[u8; 64], recovery: RecoveryId) -> Vec<u8> {
    let mut bytes = signature.to_vec();
    bytes.push(u8::try_from(recovery.to_i32()).unwrap_or_default());
    bytes
}

/// The bits without the length that LDK's encoding starts with.
fn feature_bytes(features: &lightning::types::features::Bolt11InvoiceFeatures) -> Vec<u8> {
    let mut bytes: Vec<u8> = features.le_flags().to_vec();
    bytes.reverse();
    bytes
}

fn hints(invoice: &Bolt11Invoice) -> Vec<Vec<RouteHint>> {
    let hint = |hop: &lightning::routing::router::RouteHintHop| RouteHint {
        node_id: NodeId(hop.src_node_id.serialize()),
        short_channel_id: hop.short_channel_id,
        fee_base_msat: hop.fees.base_msat,
        fee_proportional_millionths: hop.fees.proportional_millionths,
        cltv_expiry_delta: hop.cltv_expiry_delta,
    };
    invoice
        .route_hints()
        .iter()
        .map(|hints| hints.0.iter().map(hint).collect())
        .collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// An example of BOLT 11: a donation of any amount on the Bitcoin network.
    const DONATION: &str = "lnbc1pvjluezsp5zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zygspp5\
        qqqsyqcyq5rqwzqfqqqsyqcyq5rqwzqfqqqsyqcyq5rqwzqfqypqdpl2pkx2ctnv5sxxmmwwd5kgetjypeh2ursdae\
        8g6twvus8g6rfwvs8qun0dfjkxaq9qrsgq357wnc5r2ueh7ck6q93dj32dlqnls087fxdwk8qakdyafkq3yap9us6v\
        52vjjsrvywa6rt52cm9r9zqt8r2t7mlcwspyetp5h2tztugp9lfyql";

    #[test]
    fn the_unverified_hash_is_that_of_the_invoice_and_of_no_other_text() {
        let invoice = decode(DONATION, Some(Network::Bitcoin)).unwrap();
        let hash = |text: &str, ours| unverified_payment_hash(text, ours);
        assert_eq!(hash(DONATION, Network::Bitcoin), Some(invoice.payment_hash));
        assert_eq!(hash(DONATION, Network::Regtest), None);
        // One letter else: the checksum is wrong.
        let other = DONATION.replacen("ezsp5", "ezsp6", 1);
        assert_ne!(other, DONATION);
        assert_eq!(hash(&other, Network::Bitcoin), None);
        assert_eq!(hash("", Network::Bitcoin), None);
        let long = format!("{DONATION}{}", "q".repeat(INVOICE_BYTES_MAX));
        assert_eq!(hash(&long, Network::Bitcoin), None);
    }
}
