//! Making invoices: what they say, the ways to us that they name, and what the ledger keeps of them.
//! How they are paid is in `invoice.rs`.

use bitcoin::Address;
use bitcoin::hashes::{Hash, sha256};
use lightning::ln::channel_state::ChannelDetails;
use lightning::ln::channelmanager::{Bolt11InvoiceParameters, MIN_FINAL_CLTV_EXPIRY_DELTA};
use lightning::routing::router::{RouteHint, RouteHintHop};
use lightning::sign::{NodeSigner, Recipient};
use lightning::types::payment::PaymentHash as LdkPaymentHash;
use lightning::types::routing::RoutingFees;
use lightning_invoice::{
    Bolt11Invoice, Bolt11InvoiceDescription, Description, Fallback, PrivateRoute, RawTaggedField,
    Sha256, TaggedField,
};
use sendpay_ledger::{AddInvoiceError, Closed, Invoice, Msat, NewInvoice, PaymentHash, Preimage};
use thiserror::Error;

use crate::Inner;
use crate::clock::unix_millis;

/// Least `min_final_cltv_expiry_delta` of an invoice: LDK fails an HTLC back 39 blocks before its
/// end and refuses one that has less than 3 blocks more.
pub const CLTV_MIN: u32 = MIN_FINAL_CLTV_EXPIRY_DELTA as u32;

/// LDK adds these to what it is asked for.
const CLTV_ADDED: u32 = 3;

/// Default of a hold invoice: a day of blocks beyond LDK's fail-back margin.
pub const HOLD_CLTV_DEFAULT: u32 = CLTV_MIN + 144;

/// Most blocks an invoice may ask for: beyond this no node forwards.
pub const CLTV_MAX: u32 = crate::route::TOTAL_DELAY_MAX;

/// Most ways that an invoice names: each makes it some 80 characters longer.
const HINTS_MAX: usize = 3;

/// What to ask for.
#[derive(Clone)]
pub struct NewBolt11 {
    /// Unique name.
    pub label: String,
    /// None for any amount.
    pub amount_msat: Option<Msat>,
    /// What it is for.
    pub description: String,
    /// Put only the description's hash into the invoice.
    pub description_hash_only: bool,
    /// Lifetime in seconds.
    pub expiry: u32,
    /// `min_final_cltv_expiry_delta` in blocks; at least [`CLTV_MIN`].
    pub cltv: Option<u32>,
    /// A preimage of the caller's.
    pub preimage: Option<Preimage>,
    /// Only for hold invoices: a hash whose preimage comes later.
    pub payment_hash: Option<PaymentHash>,
    /// Hold its HTLCs.
    pub hold: bool,
    /// Channels whose peers the invoice names as ways to us.
    pub hints: RouteHints,
    /// On-chain addresses to pay instead, the preferred one first.
    pub fallbacks: Vec<Address>,
}

/// Which channels an invoice names as ways to us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RouteHints {
    /// Unannounced ones, where no announced one can be used.
    WhereNeeded,
    /// Unannounced ones too.
    Unannounced,
    /// None.
    None,
    /// These, by short_channel_id or alias, announced or not.
    Only(Vec<u64>),
}

/// Why no invoice was made.
#[derive(Debug, Error)]
pub enum NewInvoiceError {
    /// Outside of what can be received.
    #[error("cltv: should be between {CLTV_MIN} and {CLTV_MAX} blocks")]
    Cltv,
    /// Too long for an invoice.
    #[error("description: should be at most 639 bytes, or give deschashonly")]
    Description,
    /// A preimage and a hash that do not belong together.
    #[error("payment_hash: is not the hash of preimage")]
    HashMismatch,
    /// No randomness for a preimage.
    #[error("no randomness for a preimage: {0}")]
    Entropy(String),
    /// None of the channels named can be a way to us (902).
    #[error("None of those hints were suitable local channels")]
    Hints,
    /// LDK did not make it.
    #[error("the invoice could not be made: {0}")]
    Ldk(String),
    /// The ledger has one of that label or hash.
    #[error(transparent)]
    Add(#[from] AddInvoiceError),
    /// The node is stopping.
    #[error(transparent)]
    Closed(#[from] Closed),
}

impl Inner {
    /// Makes an invoice; it is durable before it is shown.
    pub(crate) async fn new_invoice(&self, new: NewBolt11) -> Result<Invoice, NewInvoiceError> {
        let invoice = self.make_invoice(new)?;
        let expires_at_ms = invoice.expires_at_ms;
        let added = self.ledger.add_invoice(invoice, unix_millis()).await??;
        self.lapses_at(expires_at_ms);
        Ok(added)
    }

    /// Makes an invoice and keeps nothing of it.
    pub(crate) fn make_invoice(&self, new: NewBolt11) -> Result<NewInvoice, NewInvoiceError> {
        let default = if new.hold {
            HOLD_CLTV_DEFAULT
        } else {
            CLTV_MIN
        };
        let cltv = new.cltv.unwrap_or(default);
        if !(CLTV_MIN..=CLTV_MAX).contains(&cltv) {
            return Err(NewInvoiceError::Cltv);
        }
        let (payment_hash, preimage) = hash_and_preimage(&new)?;
        let description = describe(&new)?;
        let expires_at_ms = unix_millis() + u64::from(new.expiry) * 1_000;
        let invoice = self
            .manager
            .create_bolt11_invoice(Bolt11InvoiceParameters {
                amount_msats: new.amount_msat.map(|amount| amount.msat()),
                description,
                invoice_expiry_delta_secs: Some(new.expiry),
                min_final_cltv_expiry_delta: u16::try_from(cltv - CLTV_ADDED).ok(),
                payment_hash: Some(LdkPaymentHash(payment_hash.0)),
                payment_metadata: None,
            })
            .map_err(|cause| NewInvoiceError::Ldk(cause.to_string()))?;
        let invoice = self.with_hints_and_fallbacks(invoice, &new)?;
        Ok(NewInvoice {
            label: new.label,
            payment_hash,
            preimage,
            payment_secret: Some(invoice.payment_secret().0),
            bolt11: invoice.to_string(),
            description: Some(new.description),
            amount_msat: new.amount_msat,
            expires_at_ms,
            cltv,
            hold: new.hold,
        })
    }

    /// LDK's invoice with the ways and addresses that were asked for, signed again. LDK chooses the
    /// ways by itself and takes no addresses.
    fn with_hints_and_fallbacks(
        &self,
        invoice: Bolt11Invoice,
        new: &NewBolt11,
    ) -> Result<Bolt11Invoice, NewInvoiceError> {
        let hints = match &new.hints {
            RouteHints::WhereNeeded => None,
            chosen => Some(self.route_hints(chosen, new.amount_msat)?),
        };
        if hints.is_none() && new.fallbacks.is_empty() {
            return Ok(invoice);
        }
        let (mut raw, _, _) = invoice.into_signed_raw().into_parts();
        let fields = &mut raw.data.tagged_fields;
        if let Some(hints) = hints {
            let is_hint = |field: &RawTaggedField| {
                matches!(
                    field,
                    RawTaggedField::KnownSemantics(TaggedField::PrivateRoute(_))
                )
            };
            fields.retain(|field| !is_hint(field));
            for hint in hints {
                let way = PrivateRoute::new(RouteHint(vec![hint])).map_err(ldk)?;
                fields.push(TaggedField::PrivateRoute(way).into());
            }
        }
        for address in &new.fallbacks {
            fields.push(TaggedField::Fallback(fallback(address)?).into());
        }
        let signature = self.keys.sign_invoice(&raw, Recipient::Node);
        let signed = raw
            .sign(|_| signature)
            .map_err(|()| NewInvoiceError::Ldk("it could not be signed".into()))?;
        Bolt11Invoice::from_signed(signed).map_err(ldk)
    }

    /// The last hops of ways to us over the chosen channels, those that can receive most first.
    fn route_hints(
        &self,
        chosen: &RouteHints,
        amount: Option<Msat>,
    ) -> Result<Vec<RouteHintHop>, NewInvoiceError> {
        let goes_by = |channel: &ChannelDetails, scid: &u64| {
            channel.short_channel_id == Some(*scid) || channel.inbound_scid_alias == Some(*scid)
        };
        let mut channels = self.manager.list_channels();
        channels.retain(|channel| {
            channel.is_channel_ready
                && match chosen {
                    RouteHints::None => false,
                    RouteHints::WhereNeeded | RouteHints::Unannounced => !channel.is_announced,
                    RouteHints::Only(scids) => scids.iter().any(|scid| goes_by(channel, scid)),
                }
        });
        channels.sort_by_key(|channel| {
            std::cmp::Reverse((channel.is_usable, channel.inbound_capacity_msat))
        });
        // Those that can take the amount by themselves now, if there are such.
        let enough = |channel: &&ChannelDetails| {
            channel.is_usable
                && channel.inbound_capacity_msat >= amount.map_or(1, |amount| amount.msat())
        };
        let sufficient = channels.iter().filter(enough).count();
        let hints: Vec<_> = channels
            .iter()
            .take(if sufficient == 0 {
                HINTS_MAX
            } else {
                sufficient
            })
            .filter_map(hint)
            .take(HINTS_MAX)
            .collect();
        match chosen {
            RouteHints::Only(_) if hints.is_empty() => Err(NewInvoiceError::Hints),
            _ => Ok(hints),
        }
    }
}

fn hash_and_preimage(new: &NewBolt11) -> Result<(PaymentHash, Option<Preimage>), NewInvoiceError> {
    match (new.preimage, new.payment_hash) {
        (Some(preimage), None) => Ok((preimage.payment_hash(), Some(preimage))),
        (Some(preimage), Some(hash)) if preimage.payment_hash() == hash => {
            Ok((hash, Some(preimage)))
        }
        (Some(_), Some(_)) => Err(NewInvoiceError::HashMismatch),
        (None, Some(hash)) => Ok((hash, None)),
        (None, None) => {
            let mut bytes = [0u8; 32];
            getrandom::fill(&mut bytes)
                .map_err(|cause| NewInvoiceError::Entropy(cause.to_string()))?;
            let preimage = Preimage(bytes);
            Ok((preimage.payment_hash(), Some(preimage)))
        }
    }
}

fn describe(new: &NewBolt11) -> Result<Bolt11InvoiceDescription, NewInvoiceError> {
    if new.description_hash_only {
        let hash = sha256::Hash::hash(new.description.as_bytes());
        return Ok(Bolt11InvoiceDescription::Hash(Sha256(hash)));
    }
    Description::new(new.description.clone())
        .map(Bolt11InvoiceDescription::Direct)
        .map_err(|_| NewInvoiceError::Description)
}

/// The last hop of a way to us over that channel, if its peer has said what it asks for.
fn hint(channel: &ChannelDetails) -> Option<RouteHintHop> {
    let asked = channel.counterparty.forwarding_info.as_ref()?;
    Some(RouteHintHop {
        src_node_id: channel.counterparty.node_id,
        short_channel_id: channel.get_inbound_payment_scid()?,
        fees: RoutingFees {
            base_msat: asked.fee_base_msat,
            proportional_millionths: asked.fee_proportional_millionths,
        },
        cltv_expiry_delta: asked.cltv_expiry_delta,
        htlc_minimum_msat: channel.inbound_htlc_minimum_msat,
        htlc_maximum_msat: channel.inbound_htlc_maximum_msat,
    })
}

fn fallback(address: &Address) -> Result<Fallback, NewInvoiceError> {
    if let Some(program) = address.witness_program() {
        return Ok(Fallback::SegWitProgram {
            version: program.version(),
            program: program.program().as_bytes().to_vec(),
        });
    }
    match (address.pubkey_hash(), address.script_hash()) {
        (Some(hash), _) => Ok(Fallback::PubKeyHash(hash)),
        (_, Some(hash)) => Ok(Fallback::ScriptHash(hash)),
        (None, None) => Err(NewInvoiceError::Ldk("an address of no known kind".into())),
    }
}

fn ldk(cause: impl std::fmt::Display) -> NewInvoiceError {
    NewInvoiceError::Ldk(cause.to_string())
}
