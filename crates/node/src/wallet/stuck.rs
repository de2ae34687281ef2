//! Transactions of the wallet that wait too long for a block: another in their place, or a child that
//! pays for them. Sending them is `stuck.rs`'s affair.

use std::collections::HashSet;

use bdk_wallet::error::{BuildFeeBumpError, CreateTxError};
use bdk_wallet::psbt::PsbtUtils;
use bdk_wallet::{KeychainKind, LocalOutput, Wallet};
use bitcoin::{Amount, FeeRate, Psbt, ScriptBuf, Transaction, Txid};
use thiserror::Error;

use super::bump::set_aside;
use super::coin::spendable;
use super::holdings::Holdings;
use super::select::Coins;
use super::spend::sign;
use super::{ChainWallet, FundError, Inner, KvTicket, settle};

/// Why no fee was raised.
#[derive(Debug, Error)]
pub enum StuckError {
    /// No transaction of the wallet.
    #[error("{0} is no transaction of this wallet")]
    Unknown(Txid),
    /// It needs no more fee.
    #[error("{0} is in a block already")]
    Confirmed(Txid),
    /// It has that rate or a higher one.
    #[error("{txid} pays {} sat for 1000 weight units already: name a higher rate", rate.to_sat_per_kwu())]
    RateTooLow {
        /// The transaction.
        txid: Txid,
        /// What it pays.
        rate: FeeRate,
    },
    /// It, or what it stands on, funds a channel that is still being opened.
    #[error(
        "{0} is not sent yet: the channel that it funds is not agreed on yet, its peer has not signed"
    )]
    NotAgreed(Txid),
    /// It can neither be replaced nor does it pay anything to the wallet.
    #[error("{0} cannot be replaced, and pays this wallet nothing that a child could spend")]
    NoOutput(Txid),
    /// The wallet cannot pay for it.
    #[error(transparent)]
    Fund(#[from] FundError),
}

/// What has the higher fee.
#[derive(Clone, Debug)]
pub(crate) struct Raised {
    pub(crate) transaction: Transaction,
    /// What it pays for, parents first; None: it stands in the place of what was asked about.
    pub(crate) parents: Option<Vec<Transaction>>,
}

impl ChainWallet {
    /// A signed transaction that has the rate that another should have, its inputs taken. `replaceable`:
    /// nobody relies on the other's id.
    pub(crate) async fn raise(
        &self,
        txid: Txid,
        rate: FeeRate,
        replaceable: bool,
    ) -> Result<Raised, StuckError> {
        let (raised, ticket) = {
            let mut inner = self.lock();
            let stuck = waiting(&inner.held.wallet, txid)?;
            let parents = with_ancestors(&inner.held.wallet, stuck.clone());
            let mut txids = parents.iter().map(Transaction::compute_txid);
            if let Some(unsent) = txids.find(|txid| inner.unsent.contains(txid)) {
                return Err(StuckError::NotAgreed(unsent));
            }
            let has = inner.held.wallet.calculate_fee_rate(&stuck).ok();
            if let Some(has) = has.filter(|has| *has >= rate) {
                return Err(StuckError::RateTooLow { txid, rate: has });
            }
            let raised = if replaceable && !has_children(&inner.held, txid) {
                let psbt = replacement(&mut inner, txid, rate)?;
                let transaction = sign(self, &inner, psbt)?;
                inner.held.give_up(txid);
                Raised {
                    transaction,
                    parents: None,
                }
            } else {
                let psbt = child(&mut inner, txid, &parents, rate)?;
                Raised {
                    transaction: sign(self, &inner, psbt)?,
                    parents: Some(parents),
                }
            };
            inner.held.see(raised.transaction.clone());
            (raised, self.keep(&mut inner))
        };
        settle(ticket).await.map_err(FundError::Store)?;
        Ok(raised)
    }

    /// One of the wallet's transactions that is in no block.
    pub(crate) fn waiting(&self, txid: Txid) -> Result<Transaction, StuckError> {
        waiting(&self.lock().held.wallet, txid)
    }

    /// Takes a transaction in again that another did not take the place of after all; unless one that
    /// counts spends the same. Durable with the ticket.
    pub(crate) fn take_back(&self, transaction: &Transaction) -> Option<KvTicket> {
        let mut inner = self.lock();
        inner.held.take_back(transaction);
        self.keep(&mut inner)
    }
}

fn waiting(wallet: &Wallet, txid: Txid) -> Result<Transaction, StuckError> {
    let found = wallet.get_tx(txid).ok_or(StuckError::Unknown(txid))?;
    if found.chain_position.is_confirmed() {
        return Err(StuckError::Confirmed(txid));
    }
    Ok(found.tx_node.tx.as_ref().clone())
}

/// Whether another of our transactions spends an output: replacing it would undo that one.
fn has_children(held: &Holdings, txid: Txid) -> bool {
    let mut transactions = held.transactions();
    transactions.any(|found| {
        let mut inputs = found.tx_node.tx.input.iter();
        inputs.any(|input| input.previous_output.txid == txid)
    })
}

/// A transaction with those that it stands on and that are in no block, parents first.
fn with_ancestors(wallet: &Wallet, transaction: Transaction) -> Vec<Transaction> {
    let mut family = vec![transaction];
    let mut seen: HashSet<Txid> = HashSet::new();
    let mut next = 0;
    while let Some(one) = family.get(next) {
        let parents: HashSet<Txid> = one
            .input
            .iter()
            .map(|input| input.previous_output.txid)
            .collect();
        for parent in parents {
            if seen.insert(parent)
                && let Ok(parent) = waiting(wallet, parent)
            {
                family.push(parent);
            }
        }
        next += 1;
    }
    family.reverse();
    family
}

/// The same payments with a higher fee, which comes out of the change or of more coins in blocks.
fn replacement(inner: &mut Inner, txid: Txid, rate: FeeRate) -> Result<Psbt, StuckError> {
    let in_a_block = Some(1);
    let coins = spendable(inner, None, in_a_block)?;
    let coins = Coins::new(&inner.held, coins, false);
    let own = waiting(&inner.held.wallet, txid)?;
    let own = match &own.output[..] {
        [output] if inner.held.is_mine(&output.script_pubkey) => Some(output.script_pubkey.clone()),
        _ => None,
    };
    let builder = inner
        .held
        .wallet
        .build_fee_bump(txid)
        .map_err(|cause| match cause {
            BuildFeeBumpError::TransactionConfirmed(_) => StuckError::Confirmed(txid),
            _ => StuckError::NoOutput(txid),
        })?;
    let mut builder = builder.coin_selection(coins);
    builder.fee_rate(rate);
    if let Some(own) = own {
        // All of it is change, such as what is left by a child that pays for its parent.
        builder.set_recipients(Vec::new()).drain_to(own);
    }
    let mut psbt = builder.finish().map_err(lacking)?;
    inner.held.describe_inputs(&mut psbt);
    Ok(psbt)
}

/// A transaction that brings what another pays us to an address of our own, with a fee for both.
fn child(
    inner: &mut Inner,
    txid: Txid,
    parents: &[Transaction],
    rate: FeeRate,
) -> Result<Psbt, StuckError> {
    let reserved = set_aside(&inner.bumps);
    let mut outputs: Vec<LocalOutput> = inner.held.unspent().collect();
    outputs.retain(|coin| coin.outpoint.txid == txid && !reserved.contains(&coin.outpoint));
    if outputs.is_empty() {
        return Err(StuckError::NoOutput(txid));
    }
    let held = &mut inner.held;
    let script = held
        .wallet
        .next_unused_address(KeychainKind::Internal)
        .script_pubkey();
    let alone = draining(held, &outputs, &script, Fee::At(rate))?;
    // A fee that is not known counts as none: somebody else's transaction.
    let lacks = parents.iter().map(|parent| {
        let should = rate.fee_wu(parent.weight()).unwrap_or(Amount::MAX_MONEY);
        let has = held.wallet.calculate_fee(parent).unwrap_or_default();
        should.checked_sub(has).unwrap_or_default()
    });
    let lacks: Amount = lacks.sum();
    let fee = alone.fee_amount().unwrap_or_default() + lacks;
    draining(held, &outputs, &script, Fee::Of(fee))
}

enum Fee {
    At(FeeRate),
    Of(Amount),
}

/// Brings these coins, less the fee, to a script.
fn draining(
    held: &mut Holdings,
    coins: &[LocalOutput],
    script: &ScriptBuf,
    fee: Fee,
) -> Result<Psbt, StuckError> {
    let coins = Coins::new(held, coins.to_vec(), true);
    let mut builder = held.wallet.build_tx().coin_selection(coins);
    match fee {
        Fee::At(rate) => builder.fee_rate(rate),
        Fee::Of(fee) => builder.fee_absolute(fee),
    };
    builder.drain_wallet().drain_to(script.clone());
    let mut psbt = builder.finish().map_err(lacking)?;
    held.describe_inputs(&mut psbt);
    Ok(psbt)
}

fn lacking(cause: CreateTxError) -> FundError {
    match cause {
        CreateTxError::CoinSelection(lacking) => FundError::TooLittle {
            needed: lacking.needed,
            available: lacking.available,
        },
        CreateTxError::OutputBelowDustLimit(_) => FundError::Dust,
        cause => FundError::Create(cause),
    }
}
