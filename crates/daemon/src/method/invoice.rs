//! `invoice`.

use std::sync::Arc;

use bitcoin::address::NetworkUnchecked;
use bitcoin::{Address, Network};
use sendpay_ledger::{Msat, Preimage};
use sendpay_node::{Channel, NewBolt11, RouteHints};
use sendpay_rpc::method::invoice::{Invoice, InvoiceResult};
use sendpay_rpc::value::{AmountOrAny, ExposedChannels, Secret, TextList};
use sendpay_rpc::{Code, RpcError};

use crate::convert::hash;
use crate::daemon::Daemon;
use crate::error;

/// Longest label, in bytes (CLN).
const LABEL_BYTES_MAX: usize = 128;

/// Most on-chain addresses of one invoice: more make it too long for any code to be scanned.
const FALLBACKS_MAX: usize = 16;

pub(super) async fn run(daemon: &Arc<Daemon>, params: Invoice) -> Result<InvoiceResult, RpcError> {
    let hints = hints(params.exposeprivatechannels.as_ref());
    let fallbacks = match &params.fallbacks {
        Some(list) => fallbacks(list, daemon.network())?,
        None => Vec::new(),
    };
    let invoice = daemon
        .node()
        .new_invoice(NewBolt11 {
            label: label(params.label.as_str())?,
            amount_msat: amount(params.amount_msat)?,
            description: params.description.into_string(),
            description_hash_only: params.deschashonly,
            expiry: expiry(params.expiry)?,
            cltv: params.cltv,
            preimage: params
                .preimage
                .map(|preimage| Preimage(preimage.to_bytes())),
            payment_hash: None,
            hold: false,
            hints: hints.clone(),
            fallbacks,
        })
        .await
        .map_err(|cause| error::new_invoice(&cause))?;
    let wanted = invoice.amount_msat.map_or(1, |amount| amount.msat());
    let warnings = Warnings::of(&daemon.node().channels(), wanted, &hints);
    Ok(InvoiceResult {
        payment_hash: hash(invoice.payment_hash),
        expires_at: invoice.expires_at_ms / 1_000,
        bolt11: invoice.bolt11,
        payment_secret: Secret::from_bytes(invoice.payment_secret.unwrap_or_default()),
        created_index: invoice.created_index,
        warning_capacity: warnings
            .capacity
            .then(|| "Insufficient incoming channel capacity to pay invoice".into()),
        warning_offline: warnings
            .offline
            .then(|| "Insufficient incoming capacity, once offline peers were excluded".into()),
        warning_private_unused: warnings.private_unused.then(|| {
            "Insufficient incoming capacity, once private channels were excluded (try \
             exposeprivatechannels=true?)"
                .into()
        }),
        warning_mpp: warnings
            .mpp
            .then(|| "The invoice is only payable by MPP-capable payers.".into()),
    })
}

/// What a payer of that amount may run into; at most one but `mpp`, as in CLN.
#[derive(Debug, Default, PartialEq, Eq)]
struct Warnings {
    capacity: bool,
    offline: bool,
    private_unused: bool,
    mpp: bool,
}

impl Warnings {
    fn of(channels: &[Channel], wanted_msat: u64, hints: &RouteHints) -> Warnings {
        let ready = || channels.iter().filter(|channel| channel.ready);
        // Nobody finds an unannounced channel that no invoice names.
        let any_announced = ready().any(|channel| channel.announced);
        let named = |channel: &Channel| match hints {
            _ if channel.announced => true,
            RouteHints::Unannounced => true,
            RouteHints::None => false,
            RouteHints::WhereNeeded => !any_announced,
            RouteHints::Only(scids) => [channel.short_channel_id, channel.alias_local]
                .into_iter()
                .flatten()
                .any(|scid| scids.contains(&scid)),
        };
        let sum = |of: &dyn Fn(&Channel) -> bool| -> u64 {
            let chosen = ready().filter(|channel| of(channel));
            chosen.map(|channel| channel.receivable_msat).sum()
        };
        let best = ready()
            .filter(|channel| channel.usable && named(channel))
            .map(|channel| channel.receivable_msat)
            .max();
        let mut warnings = Warnings::default();
        if wanted_msat > sum(&|_| true) {
            warnings.capacity = true;
        } else if wanted_msat > sum(&|channel| named(channel)) {
            warnings.private_unused = true;
        } else if wanted_msat > sum(&|channel| named(channel) && channel.usable) {
            warnings.offline = true;
        } else {
            warnings.mpp = best.is_some_and(|best| wanted_msat > best);
        }
        warnings
    }
}

fn hints(exposed: Option<&ExposedChannels>) -> RouteHints {
    match exposed {
        None => RouteHints::WhereNeeded,
        Some(ExposedChannels::Unannounced(true)) => RouteHints::Unannounced,
        Some(ExposedChannels::Unannounced(false)) => RouteHints::None,
        Some(ExposedChannels::Only(channels)) => {
            RouteHints::Only(channels.iter().map(|channel| channel.0).collect())
        }
    }
}

/// CLN's errors for addresses that cannot stand in an invoice of this node.
fn fallbacks(list: &TextList, network: Network) -> Result<Vec<Address>, RpcError> {
    if list.0.len() > FALLBACKS_MAX {
        let should = format!("should be at most {FALLBACKS_MAX} addresses");
        return Err(RpcError::bad_param("fallbacks", &should));
    }
    let mut addresses = Vec::new();
    for text in &list.0 {
        let address: Address<NetworkUnchecked> = text
            .parse()
            .map_err(|_| RpcError::new(Code::Lightningd, "Fallback address not valid"))?;
        let address = address.require_network(network).map_err(|_| {
            let text = format!("Fallback address does not match our network {network}");
            RpcError::new(Code::Lightningd, text)
        })?;
        addresses.push(address);
    }
    Ok(addresses)
}

pub(super) fn label(text: &str) -> Result<String, RpcError> {
    if text.is_empty() || text.len() > LABEL_BYTES_MAX {
        let should = format!("should be from 1 to {LABEL_BYTES_MAX} bytes");
        return Err(RpcError::bad_param("label", &should));
    }
    Ok(text.to_owned())
}

pub(super) fn amount(amount: AmountOrAny) -> Result<Option<Msat>, RpcError> {
    match amount {
        AmountOrAny::Any => Ok(None),
        AmountOrAny::Amount(amount) => Msat::new(amount.msat().0).map(Some).ok_or_else(|| {
            RpcError::bad_param("amount_msat", "should be at most 21 million bitcoin")
        }),
    }
}

pub(super) fn expiry(seconds: u64) -> Result<u32, RpcError> {
    u32::try_from(seconds)
        .ok()
        .filter(|seconds| *seconds > 0)
        .ok_or_else(|| RpcError::bad_param("expiry", "should be from 1 to 4294967295 seconds"))
}
