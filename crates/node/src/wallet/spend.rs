//! Transactions that the wallet pays: which coins they take, and their signatures. Sending them is
//! the affair of who asks for them.

use bdk_wallet::KeychainKind;
use bdk_wallet::chain::ChainPosition;
use bdk_wallet::error::CreateTxError;
use bitcoin::psbt::ExtractTxError;
use bitcoin::{Amount, FeeRate, OutPoint, Psbt, ScriptBuf, Transaction};

use super::coin::{for_fees, spendable, worth};
use super::holdings::Holdings;
use super::select::Coins;
use super::{ChainWallet, FundError, Inner, settle};

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
    /// What the wallet must have left, in coins that channels' fees can be raised with.
    pub(crate) keep: Amount,
}

impl Spend {
    pub(crate) fn new(script: ScriptBuf, amount: Option<Amount>, feerate: FeeRate) -> Spend {
        Spend {
            script,
            amount,
            feerate,
            confirmations_min: None,
            outputs: None,
            keep: Amount::ZERO,
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
        self.make(spend, false).await
    }

    /// The same for an opening: nothing may stand on it before it is agreed on (`agreed`).
    pub(crate) async fn pay_for_opening(&self, spend: Spend) -> Result<Signed, FundError> {
        self.make(spend, true).await
    }

    async fn make(&self, spend: Spend, is_opening: bool) -> Result<Signed, FundError> {
        let (signed, ticket) = {
            let mut inner = self.lock();
            let unsigned = unsigned(&mut inner, &spend)?;
            let transaction = sign(self, &inner, unsigned.clone())?;
            if is_opening {
                inner.unsent.insert(transaction.compute_txid());
            }
            inner.held.see(transaction.clone());
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
        let psbt = unsigned(&mut inner, &all)?;
        Ok(paid_to(&psbt.unsigned_tx, &all.script))
    }

    /// What channels' fees can be raised with: coins in a block and change of our own, those that are in
    /// use for that among them.
    pub(crate) fn for_fees(&self) -> Amount {
        worth(&for_fees(&self.lock().held))
    }

    /// Whether a transaction is in a block that nobody expects to be taken back, or another that spends
    /// the same.
    pub(crate) fn has_ended(&self, transaction: &Transaction) -> bool {
        let inner = self.lock();
        let next = inner.held.next_height();
        let wallet = &inner.held.wallet;
        let is_deep = |txid| match wallet.get_tx(txid).map(|found| found.chain_position) {
            Some(ChainPosition::Confirmed { anchor, .. }) => {
                next.saturating_sub(anchor.block_id.height) >= DEEP
            }
            _ => false,
        };
        let mut others = wallet.tx_graph().direct_conflicts(transaction);
        is_deep(transaction.compute_txid()) || others.any(|(_, other)| is_deep(other))
    }
}

/// The transaction with all its signatures.
pub(super) fn sign(
    wallet: &ChainWallet,
    inner: &Inner,
    mut psbt: Psbt,
) -> Result<Transaction, FundError> {
    psbt.sign(&wallet.master, inner.held.wallet.secp_ctx())
        .map_err(|(_, causes)| FundError::Sign(format!("{causes:?}")))?;
    let finished = inner
        .held
        .finalize(&mut psbt)
        .map_err(|cause| FundError::Sign(cause.to_string()))?;
    if !finished {
        return Err(FundError::Sign("not all inputs are ours".into()));
    }
    psbt.extract_tx().map_err(|cause| match cause {
        ExtractTxError::AbsurdFeeRate { fee_rate, .. } => FundError::Absurd(fee_rate),
        cause => FundError::Sign(cause.to_string()),
    })
}

/// A transaction that leaves what must be left: of everything that is spent, as change.
fn unsigned(inner: &mut Inner, spend: &Spend) -> Result<Psbt, FundError> {
    let psbt = build(inner, spend, Amount::ZERO)?;
    let left = left_after(&inner.held, &psbt.unsigned_tx);
    let Some(missing) = spend
        .keep
        .checked_sub(left)
        .filter(|missing| *missing > Amount::ZERO)
    else {
        return Ok(psbt);
    };
    let refused = || FundError::Emergency(spend.keep);
    if spend.amount.is_some() {
        return Err(refused());
    }
    let psbt = build(inner, spend, missing).map_err(|_| refused())?;
    let is_paid = paid_to(&psbt.unsigned_tx, &spend.script) > Amount::ZERO;
    // Paid to ourselves, what is left over for the fee is missing again.
    let is_kept = left_after(&inner.held, &psbt.unsigned_tx) >= spend.keep;
    (is_paid && is_kept).then_some(psbt).ok_or_else(refused)
}

/// A transaction that has at least `change` coming back.
fn build(inner: &mut Inner, spend: &Spend, change: Amount) -> Result<Psbt, FundError> {
    let coins = spendable(inner, spend.outputs.as_deref(), spend.confirmations_min)?;
    let count = coins.len();
    let takes_all = spend.outputs.is_some() || spend.amount.is_none();
    let coins = Coins::new(&inner.held, coins, takes_all);
    let wallet = &mut inner.held.wallet;
    let change = (change > Amount::ZERO).then(|| {
        let script = wallet
            .next_unused_address(KeychainKind::Internal)
            .script_pubkey();
        let dust = script.minimal_non_dust();
        (script, change.max(dust))
    });
    let mut builder = wallet.build_tx().coin_selection(coins);
    builder.fee_rate(spend.feerate);
    if let Some((script, change)) = change {
        builder.add_recipient(script, change);
    }
    match spend.amount {
        Some(amount) => builder.add_recipient(spend.script.clone(), amount),
        None => builder.drain_wallet().drain_to(spend.script.clone()),
    };
    let mut psbt = builder.finish().map_err(|cause| match cause {
        CreateTxError::CoinSelection(lacking) => FundError::Afford {
            amount: spend.amount,
            coins: count,
            short: lacking
                .needed
                .checked_sub(lacking.available)
                .unwrap_or_default(),
        },
        CreateTxError::OutputBelowDustLimit(_) => FundError::Dust,
        cause => FundError::Create(cause),
    })?;
    inner.held.describe_inputs(&mut psbt);
    Ok(psbt)
}

fn paid_to(transaction: &Transaction, script: &ScriptBuf) -> Amount {
    let outputs = transaction.output.iter();
    let paid = outputs.filter(|output| output.script_pubkey == *script);
    paid.map(|output| output.value).sum()
}

/// What the wallet has for fees when this transaction is sent.
fn left_after(held: &Holdings, transaction: &Transaction) -> Amount {
    let spent: Vec<OutPoint> = transaction
        .input
        .iter()
        .map(|input| input.previous_output)
        .collect();
    let mut left = for_fees(held);
    left.retain(|coin| !spent.contains(&coin.outpoint));
    let outputs = transaction.output.iter();
    let back = outputs.filter(|output| held.is_mine(&output.script_pubkey));
    worth(&left) + back.map(|output| output.value).sum::<Amount>()
}
