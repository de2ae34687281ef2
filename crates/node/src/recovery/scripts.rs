//! The scripts to which a peer's commitment can pay our balance, and what spends them.
//!
//! With LDK's second derivation of payment keys, which this node has used from its first channel on,
//! they are a thousand keys of the seed's in two forms: p2wpkh without anchors, and with anchors a
//! p2wsh that waits for one block.

use std::collections::HashMap;

use bitcoin::secp256k1::{PublicKey, Secp256k1};
use bitcoin::{Amount, ScriptBuf, TxOut};
use lightning::chain::transaction::OutPoint;
use lightning::ln::chan_utils::{ChannelTransactionParameters, get_countersigner_payment_script};
use lightning::sign::{
    ChannelSigner, SignerProvider, SpendableOutputDescriptor, StaticPaymentOutputDescriptor,
};
use lightning::types::features::ChannelTypeFeatures;

use super::watch::Found;
use crate::ldk::Keys;

/// Tries at finding a channel whose payment key is a given one of the thousand: that so many fail has
/// a chance of 1 in 10^13.
const TRIES_MAX: u64 = 30_000;

/// What a script of ours is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ours {
    /// Our balance in a peer's commitment.
    Balance,
    /// Where LDK has mutual closes pay us.
    MutualClose,
}

/// The scripts, and what each is.
pub(crate) struct Scripts(HashMap<ScriptBuf, Ours>);

impl Scripts {
    pub(crate) fn of(keys: &Keys) -> Scripts {
        let secp = Secp256k1::signing_only();
        let balances = keys.possible_v2_counterparty_closed_balance_spks(&secp);
        let mut scripts: HashMap<ScriptBuf, Ours> = balances
            .into_iter()
            .map(|script| (script, Ours::Balance))
            .collect();
        if let Ok(script) = keys.get_shutdown_scriptpubkey() {
            scripts.insert(script.into_inner(), Ours::MutualClose);
        }
        Scripts(scripts)
    }

    pub(crate) fn contains(&self, script: &ScriptBuf) -> bool {
        self.0.contains_key(script)
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = ScriptBuf> {
        self.0.keys().cloned()
    }

    /// What spends an output to one of them. None, with a line in the log, if there is no key for it.
    pub(crate) fn descriptor(
        &self,
        keys: &Keys,
        found: &Found,
    ) -> Option<SpendableOutputDescriptor> {
        let output = TxOut {
            value: Amount::from_sat(found.amount_sat),
            script_pubkey: found.script.clone(),
        };
        let outpoint = OutPoint {
            txid: found.outpoint.txid,
            index: u16::try_from(found.outpoint.vout).ok()?,
        };
        if self.0.get(&found.script) == Some(&Ours::MutualClose) {
            return Some(SpendableOutputDescriptor::StaticOutput {
                outpoint,
                output,
                channel_keys_id: None,
            });
        }
        let descriptor = balance(keys, outpoint, output);
        if descriptor.is_none() {
            tracing::error!(outpoint = %found.outpoint, "no key of the seed is found for this output");
        }
        descriptor
    }
}

/// LDK's descriptor for our balance in a peer's commitment. It names the channel by what its keys were
/// derived from, of which nothing but the payment key matters here, one of a thousand: so any other
/// channel with the same one does, and is found by trying.
fn balance(keys: &Keys, outpoint: OutPoint, output: TxOut) -> Option<SpendableOutputDescriptor> {
    let secp = Secp256k1::new();
    let plain = ChannelTypeFeatures::only_static_remote_key();
    let mut anchors = ChannelTypeFeatures::only_static_remote_key();
    anchors.set_anchors_zero_fee_htlc_tx_required();
    let pays = |point: &PublicKey, features: &ChannelTypeFeatures| {
        get_countersigner_payment_script(features, point) == output.script_pubkey
    };
    for number in 0..TRIES_MAX {
        let mut keys_id = [0; 32];
        for (to, from) in keys_id.iter_mut().zip(number.to_be_bytes()) {
            *to = from;
        }
        let signer = keys.derive_channel_signer(keys_id);
        let holder_pubkeys = signer.pubkeys(&secp);
        let point = holder_pubkeys.payment_point;
        let features = match (pays(&point, &plain), pays(&point, &anchors)) {
            (true, _) => plain.clone(),
            (_, true) => anchors.clone(),
            (false, false) => continue,
        };
        let parameters = ChannelTransactionParameters {
            holder_pubkeys,
            holder_selected_contest_delay: 0,
            is_outbound_from_holder: false,
            counterparty_parameters: None,
            funding_outpoint: None,
            splice_parent_funding_txid: None,
            channel_type_features: features,
            channel_value_satoshis: output.value.to_sat(),
        };
        return Some(SpendableOutputDescriptor::StaticPaymentOutput(
            StaticPaymentOutputDescriptor {
                outpoint,
                channel_value_satoshis: output.value.to_sat(),
                output,
                channel_keys_id: keys_id,
                channel_transaction_parameters: Some(parameters),
            },
        ));
    }
    None
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;
    use bitcoin::hashes::Hash;
    use bitcoin::{FeeRate, Txid};
    use lightning::sign::{KeysManager, OutputSpender};

    #[test]
    fn every_kind_of_output_that_can_pay_us_can_be_spent() {
        let keys = KeysManager::new(&[7; 32], 1, 1, true);
        let scripts = Scripts::of(&keys);
        let secp = Secp256k1::new();
        let balances = keys.possible_v2_counterparty_closed_balance_spks(&secp);
        let closing = keys.get_shutdown_scriptpubkey().unwrap().into_inner();
        // Without anchors, with them, and from the far end of the thousand.
        let of_each = [&balances[0], &balances[1], &balances[1999], &closing];
        for (number, script) in of_each.into_iter().enumerate() {
            let found = Found {
                outpoint: bitcoin::OutPoint::new(Txid::all_zeros(), 3),
                amount_sat: 100_000,
                script: script.clone(),
                height: 1,
                spends: Vec::new(),
            };
            assert!(scripts.contains(script));
            let descriptor = scripts.descriptor(&keys, &found).unwrap();
            let rate = FeeRate::from_sat_per_vb(1).unwrap().to_sat_per_kwu();
            let spend = keys.spend_spendable_outputs(
                &[&descriptor],
                Vec::new(),
                ScriptBuf::new_p2a(),
                u32::try_from(rate).unwrap(),
                None,
                &secp,
            );
            let spend = spend.unwrap();
            let after_one_block = spend.input[0].sequence.to_consensus_u32() == 1;
            assert_eq!(after_one_block, number == 1 || number == 2, "{number}");
        }
        assert!(!scripts.contains(&ScriptBuf::new_p2a()));
    }
}
