//! Transactions that the wallet pays: which coins they take, and their signatures. Sending them is
//! the affair of who asks for them.

use bdk_wallet::chain::ChainPosition;
use bdk_wallet::error::CreateTxError;
use bdk_wallet::{AddUtxoError, SignOptions, Wallet};
use bitcoin::{Amount, FeeRate, OutPoint, Psbt, ScriptBuf, Transaction, Txid};

use super::{ChainWallet, FundError, settle, strangers};
use crate::clock::unix_seconds;

/// Blocks after which nobody expects a transaction to be taken back; LDK's own depth.
const DEEP: u32 = 6;

/// What to pay, and with which coins.
#[derive(Clone, Debug)]
pub(crate) struct Spend {
    /// To this script.
    pub(crate) script: ScriptBuf,
    /// How much; None is everything, less the fee.
    pub(crate) amount: Option<Amount>,
    /// At this rate.
    pub(crate) feerate: FeeRate,
    /// Confirmations that a coin needs. None: one, or that it is change of ours.
    pub(crate) confirmations_min: Option<u32>,
    /// All of these coins and no others, whatever their confirmations.
    pub(crate) outputs: Option<Vec<OutPoint>>,
}

impl Spend {
    pub(crate) fn new(script: ScriptBuf, amount: Option<Amount>, feerate: FeeRate) -> Spend {
        Spend {
            script,
            amount,
            feerate,
            confirmations_min: None,
            outputs: None,
        }
    }
}

/// A transaction of the wallet.
#[derive(Clone, Debug)]
pub(crate) struct Signed {
    pub(crate) transaction: Transaction,
    /// The same before it was signed.
    pub(crate) unsigned: Psbt,
}

impl ChainWallet {
    /// A signed transaction, its inputs taken so that no other transaction uses them.
    pub(crate) async fn pay(&self, spend: Spend) -> Result<Signed, FundError> {
        let (signed, ticket) = {
            let mut inner = self.lock();
            let unsigned = unsigned(&mut inner.wallet, &spend)?;
            let mut psbt = unsigned.clone();
            psbt.sign(&self.master, inner.wallet.secp_ctx())
                .map_err(|(_, causes)| FundError::Sign(format!("{causes:?}")))?;
            let finished = inner
                .wallet
                .finalize_psbt(&mut psbt, SignOptions::default())
                .map_err(|cause| FundError::Sign(cause.to_string()))?;
            if !finished {
                return Err(FundError::Sign("not all inputs are ours".into()));
            }
            let transaction = psbt
                .extract_tx()
                .map_err(|cause| FundError::Sign(cause.to_string()))?;
            inner
                .wallet
                .apply_unconfirmed_txs([(transaction.clone(), unix_seconds())]);
            let signed = Signed {
                transaction,
                unsigned,
            };
            (signed, self.keep(&mut inner))
        };
        settle(ticket).await.map_err(FundError::Store)?;
        Ok(signed)
    }

    /// What a transaction to this script would pay if it took every coin that it may.
    pub(crate) fn most(&self, spend: &Spend) -> Result<Amount, FundError> {
        let mut inner = self.lock();
        let all = Spend {
            amount: None,
            ..spend.clone()
        };
        let psbt = unsigned(&mut inner.wallet, &all)?;
        let total = psbt.unsigned_tx.output.iter();
        Ok(Amount::from_sat(
            total.map(|output| output.value.to_sat()).sum(),
        ))
    }

    /// Whether a transaction is in a block that nobody expects to be taken back.
    pub(crate) fn is_deep(&self, txid: Txid) -> bool {
        let inner = self.lock();
        let tip = inner.wallet.latest_checkpoint().height();
        let position = inner.wallet.get_tx(txid).map(|found| found.chain_position);
        match position {
            Some(ChainPosition::Confirmed { anchor, .. }) => {
                tip.saturating_add(1).saturating_sub(anchor.block_id.height) >= DEEP
            }
            _ => false,
        }
    }
}

fn unsigned(wallet: &mut Wallet, spend: &Spend) -> Result<Psbt, FundError> {
    let strangers = strangers(wallet);
    let coins = usable(wallet, spend, &strangers);
    let mut builder = wallet.build_tx();
    builder.fee_rate(spend.feerate);
    match (&spend.outputs, spend.confirmations_min) {
        (Some(outputs), _) => {
            let added = builder.add_utxos(outputs);
            added.map_err(|AddUtxoError::UnknownUtxo(output)| FundError::UnknownOutput(output))?;
            builder.manually_selected_only();
        }
        (None, Some(confirmations)) => {
            builder.exclude_below_confirmations(confirmations);
        }
        (None, None) => {
            builder.unspendable(strangers);
        }
    }
    match spend.amount {
        Some(amount) => {
            builder.add_recipient(spend.script.clone(), amount);
        }
        None => {
            builder.drain_to(spend.script.clone());
            if spend.outputs.is_none() {
                builder.drain_wallet();
            }
        }
    }
    builder.finish().map_err(|cause| match cause {
        CreateTxError::CoinSelection(lacking) => FundError::Afford {
            amount: spend.amount,
            coins,
            short: lacking
                .needed
                .checked_sub(lacking.available)
                .unwrap_or_default(),
        },
        CreateTxError::OutputBelowDustLimit(_) => FundError::Dust,
        cause => FundError::Create(cause),
    })
}

/// How many coins there are to choose from.
fn usable(wallet: &Wallet, spend: &Spend, strangers: &[OutPoint]) -> usize {
    if let Some(outputs) = &spend.outputs {
        return outputs.len();
    }
    let next = wallet.latest_checkpoint().height().saturating_add(1);
    let coins = wallet.list_unspent().filter(|coin| {
        let height = coin.chain_position.confirmation_height_upper_bound();
        let confirmations = height.map_or(0, |height| next.saturating_sub(height));
        match spend.confirmations_min {
            Some(least) => confirmations >= least,
            None => !strangers.contains(&coin.outpoint),
        }
    });
    coins.count()
}
