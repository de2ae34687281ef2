//! Coins that raise the fees of channels' transactions: set aside for one claim each, so that nothing
//! else spends them, and kept so over a restart. Which transactions need them is LDK's affair
//! (`fee_bump.rs`), and so is the choice among the coins that are offered here.
//!
//! A claim may have been broadcast with any coin that was ever set aside for it, so all of them stay
//! set aside until nothing of the channel waits for a block any more.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bdk_wallet::{KeychainKind, LocalOutput};
use bitcoin::hashes::Hash;
use bitcoin::hex::{DisplayHex, FromHex};
use bitcoin::key::TweakedPublicKey;
use bitcoin::{Amount, OutPoint, Psbt, ScriptBuf, Transaction, TxOut, WPubkeyHash, XOnlyPublicKey};
use lightning::chain::ClaimId;
use lightning::ln::types::ChannelId;
use lightning::util::wallet_utils::{
    CoinSelection, CoinSelectionSource, Input, Utxo, Wallet as Chooser, WalletSource,
};
use sendpay_store::Store;
use serde_json::{Value, json};

use super::coin::{confirmed, worth};
use super::{ChainWallet, SharedWallet, WalletError, settle};
use crate::logger::NodeLogger;

const PRIMARY: &str = "sendpay";
const SECONDARY: &str = "bumps";

/// Bytes of a witness script before its program: the version, and the length of the program.
const WITNESS_HEAD_BYTES: usize = 2;

/// The coins of one claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SetAside {
    channel_id: ChannelId,
    coins: Vec<OutPoint>,
}

/// What is set aside, by claim.
pub(super) type Bumps = HashMap<[u8; 32], SetAside>;

/// All coins that are set aside.
pub(super) fn set_aside(bumps: &Bumps) -> HashSet<OutPoint> {
    let coins = bumps.values().flat_map(|aside| aside.coins.iter());
    coins.copied().collect()
}

/// What was set aside before the start.
pub(super) fn read(store: &Store) -> Result<Bumps, WalletError> {
    let failed = |cause: sendpay_store::kv::KvError| WalletError::Store(cause.to_string());
    let mut bumps = Bumps::new();
    for key in store.kv_list(PRIMARY, SECONDARY).map_err(failed)? {
        let Some(body) = store.kv_read(PRIMARY, SECONDARY, &key).map_err(failed)? else {
            continue;
        };
        let row: Value = serde_json::from_slice(&body).map_err(|source| WalletError::Damaged {
            key: key.clone(),
            source,
        })?;
        let claim = <[u8; 32]>::from_hex(&key).ok();
        match (claim, decode(&row)) {
            (Some(claim), Some(aside)) => drop(bumps.insert(claim, aside)),
            _ => return Err(WalletError::Store(format!("coins of claim {key}: {row}"))),
        }
    }
    Ok(bumps)
}

fn encode(aside: &SetAside) -> Vec<u8> {
    let coins: Vec<String> = aside.coins.iter().map(ToString::to_string).collect();
    let channel_id = aside.channel_id.0.to_lower_hex_string();
    json!({"channel_id": channel_id, "coins": coins})
        .to_string()
        .into_bytes()
}

fn decode(row: &Value) -> Option<SetAside> {
    let channel_id = <[u8; 32]>::from_hex(row.get("channel_id")?.as_str()?).ok()?;
    let coins = row.get("coins")?.as_array()?.iter();
    let coins: Option<Vec<OutPoint>> = coins.map(|coin| coin.as_str()?.parse().ok()).collect();
    Some(SetAside {
        channel_id: ChannelId(channel_id),
        coins: coins?,
    })
}

impl ChainWallet {
    /// What may be offered to a claim, what it had before first: its own coins; those and the ones that
    /// nothing else uses; and at last those of other claims too, as LDK wants it, because a claim that
    /// cannot get into any mempool must not keep them from one that can.
    fn offers(&self, claim: ClaimId) -> [Vec<Utxo>; 3] {
        let inner = self.lock();
        let taken = set_aside(&inner.bumps);
        let own = inner.bumps.get(&claim.0);
        let is_own = |coin: &OutPoint| own.is_some_and(|own| own.coins.contains(coin));
        let all = confirmed(&inner.held);
        let offer = |wanted: &dyn Fn(&OutPoint) -> bool| -> Vec<Utxo> {
            let coins = all.iter().filter(|coin| wanted(&coin.outpoint));
            coins.filter_map(utxo).collect()
        };
        [
            offer(&is_own),
            offer(&|coin| is_own(coin) || !taken.contains(coin)),
            offer(&|_| true),
        ]
    }

    /// Sets coins aside for a claim; returns when that is durable.
    async fn set_aside(
        &self,
        claim: ClaimId,
        channel_id: ChannelId,
        coins: impl Iterator<Item = OutPoint>,
    ) -> Result<(), String> {
        let ticket = {
            let mut inner = self.lock();
            let aside = inner.bumps.entry(claim.0).or_insert_with(|| SetAside {
                channel_id,
                coins: Vec::new(),
            });
            let before = aside.coins.len();
            for coin in coins {
                if !aside.coins.contains(&coin) {
                    aside.coins.push(coin);
                }
            }
            if aside.coins.len() == before {
                return Ok(());
            }
            let key = claim.0.to_lower_hex_string();
            self.store.kv_write(PRIMARY, SECONDARY, &key, encode(aside))
        };
        settle(Some(ticket)).await
    }

    /// Frees the coins of channels of which nothing waits for a block any more. What was spent of them
    /// is in a block by then.
    pub(crate) fn free(&self, is_over: impl Fn(ChannelId) -> bool) {
        let channels: HashSet<ChannelId> = {
            let inner = self.lock();
            inner.bumps.values().map(|aside| aside.channel_id).collect()
        };
        // Not under the wallet's lock: who is asked may hold locks of LDK's.
        let over: HashSet<ChannelId> = channels.into_iter().filter(|id| is_over(*id)).collect();
        if over.is_empty() {
            return;
        }
        let mut inner = self.lock();
        inner.bumps.retain(|claim, aside| {
            let ended = over.contains(&aside.channel_id);
            if ended {
                let key = claim.to_lower_hex_string();
                drop(self.store.kv_remove(PRIMARY, SECONDARY, &key));
            }
            !ended
        });
    }

    /// An address for what is left over, the same until it is used: most claims are never seen in a
    /// block in all their forms.
    async fn bump_change(&self) -> Result<ScriptBuf, String> {
        let (script, ticket) = {
            let mut inner = self.lock();
            let wallet = &mut inner.held.wallet;
            let address = wallet.next_unused_address(KeychainKind::Internal);
            (address.script_pubkey(), self.keep(&mut inner))
        };
        settle(ticket).await?;
        Ok(script)
    }

    fn transaction(&self, outpoint: OutPoint) -> Option<Transaction> {
        let inner = self.lock();
        let found = inner.held.wallet.get_tx(outpoint.txid)?;
        Some(found.tx_node.tx.as_ref().clone())
    }

    /// Signs the inputs that are the wallet's; those of the channel are LDK's to sign.
    fn sign_own_inputs(&self, mut psbt: Psbt) -> Result<Transaction, String> {
        let inner = self.lock();
        let held = &inner.held;
        let unspent: HashMap<OutPoint, LocalOutput> =
            held.unspent().map(|coin| (coin.outpoint, coin)).collect();
        let mut own = Vec::new();
        let inputs = psbt.unsigned_tx.input.iter().zip(&mut psbt.inputs);
        for (index, (input, known)) in inputs.enumerate() {
            let spent = known.witness_utxo.as_ref();
            if !spent.is_some_and(|spent| held.is_mine(&spent.script_pubkey)) {
                continue;
            }
            // A block may have come since it was chosen.
            let coin = unspent.get(&input.previous_output).cloned();
            let coin =
                coin.ok_or_else(|| format!("{} was spent meanwhile", input.previous_output))?;
            *known = held.input(coin).map_err(|cause| cause.to_string())?;
            own.push((index, input.previous_output));
        }
        // What it says of the channel's inputs is no error; whether ours are signed is seen below.
        let _inputs_of_the_channel = psbt.sign(&self.master, held.wallet.secp_ctx());
        held.finalize(&mut psbt)
            .map_err(|cause| cause.to_string())?;
        for (index, outpoint) in own {
            let signed = psbt.inputs.get(index);
            if signed.is_none_or(|signed| signed.final_script_witness.is_none()) {
                return Err(format!("{outpoint} could not be signed"));
            }
        }
        Ok(psbt.extract_tx_unchecked_fee_rate())
    }
}

/// A coin as LDK counts its weight. The wallet has p2wpkh and p2tr.
fn utxo(coin: &LocalOutput) -> Option<Utxo> {
    let (
        outpoint,
        TxOut {
            value,
            script_pubkey,
        },
    ) = (coin.outpoint, &coin.txout);
    let program = script_pubkey.as_bytes().get(WITNESS_HEAD_BYTES..)?;
    if script_pubkey.is_p2wpkh() {
        let hash = WPubkeyHash::from_slice(program).ok()?;
        return Some(Utxo::new_v0_p2wpkh(outpoint, *value, &hash));
    }
    let key = XOnlyPublicKey::from_slice(program).ok()?;
    // As it stands in the script: tweaked.
    let key = TweakedPublicKey::dangerous_assume_tweaked(key);
    script_pubkey
        .is_p2tr()
        .then(|| Utxo::new_v1_p2tr(outpoint, *value, key))
}

/// The wallet as LDK sees it for one channel's claims.
pub(crate) struct ClaimCoins {
    wallet: SharedWallet,
    logger: Arc<NodeLogger>,
    channel_id: ChannelId,
    short: AtomicBool,
}

impl ClaimCoins {
    pub(crate) fn new(
        wallet: SharedWallet,
        logger: Arc<NodeLogger>,
        channel_id: ChannelId,
    ) -> ClaimCoins {
        ClaimCoins {
            wallet,
            logger,
            channel_id,
            short: AtomicBool::new(false),
        }
    }

    /// Whether there were too few for what was last asked for.
    pub(crate) fn were_short(&self) -> bool {
        self.short.load(Ordering::Relaxed)
    }

    /// What the wallet has for claims, other claims' coins too.
    pub(crate) fn confirmed(&self) -> Amount {
        let inner = self.wallet.lock();
        worth(&confirmed(&inner.held))
    }
}

impl CoinSelectionSource for ClaimCoins {
    async fn select_confirmed_utxos(
        &self,
        claim_id: Option<ClaimId>,
        must_spend: Vec<Input>,
        must_pay_to: &[TxOut],
        target_feerate_sat_per_1000_weight: u32,
        max_tx_weight: u64,
    ) -> Result<CoinSelection, ()> {
        // Only splices have none, which this node does not do.
        let claim = claim_id.ok_or(())?;
        for coins in self.wallet.offers(claim) {
            let offer = Arc::new(Offer {
                coins,
                wallet: self.wallet.clone(),
            });
            let chosen = Chooser::new(offer, self.logger.clone())
                .select_confirmed_utxos(
                    claim_id,
                    must_spend.clone(),
                    must_pay_to,
                    target_feerate_sat_per_1000_weight,
                    max_tx_weight,
                )
                .await;
            let Ok(chosen) = chosen else { continue };
            let coins = chosen.confirmed_utxos.iter().map(|coin| coin.outpoint());
            self.short.store(false, Ordering::Relaxed);
            let kept = self.wallet.set_aside(claim, self.channel_id, coins).await;
            return kept.map(|()| chosen).map_err(|cause| {
                tracing::error!(%cause, "coins for a fee could not be set aside");
            });
        }
        self.short.store(true, Ordering::Relaxed);
        Err(())
    }

    async fn sign_psbt(&self, psbt: Psbt) -> Result<Transaction, ()> {
        self.wallet.sign_own_inputs(psbt).map_err(|cause| {
            tracing::error!(%cause, "a transaction that raises a fee could not be signed");
        })
    }
}

/// Some coins, as LDK's choice among them takes them.
struct Offer {
    coins: Vec<Utxo>,
    wallet: SharedWallet,
}

impl WalletSource for Offer {
    async fn list_confirmed_utxos(&self) -> Result<Vec<Utxo>, ()> {
        Ok(self.coins.clone())
    }

    async fn get_prevtx(&self, outpoint: OutPoint) -> Result<Transaction, ()> {
        self.wallet.transaction(outpoint).ok_or(())
    }

    async fn get_change_script(&self) -> Result<ScriptBuf, ()> {
        self.wallet.bump_change().await.map_err(|cause| {
            tracing::error!(%cause, "no address for what a fee leaves over");
        })
    }

    async fn sign_psbt(&self, psbt: Psbt) -> Result<Transaction, ()> {
        self.wallet.sign_own_inputs(psbt).map_err(|_| ())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_is_set_aside_is_read_back_as_it_was_written() {
        let outpoint = |byte: u8| OutPoint {
            txid: bitcoin::Txid::from_byte_array([byte; 32]),
            vout: u32::from(byte),
        };
        let aside = SetAside {
            channel_id: ChannelId([7; 32]),
            coins: vec![outpoint(1), outpoint(2)],
        };
        let row = serde_json::from_slice(&encode(&aside)).unwrap();
        assert_eq!(decode(&row), Some(aside));
        assert_eq!(decode(&json!({"channel_id": "07", "coins": []})), None);
    }
}
