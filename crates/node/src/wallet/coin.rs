//! The coins of the wallet: what is shown of them, and which of them may be spent.

use bdk_wallet::{KeychainKind, LocalOutput};
use bitcoin::{Address, Amount, OutPoint, ScriptBuf};

use super::bump::set_aside;
use super::holdings::Holdings;
use super::{ChainWallet, FundError, Inner};

/// Blocks after which a coinbase can be spent, by consensus.
const COINBASE_MATURITY: u32 = bitcoin::blockdata::constants::COINBASE_MATURITY;

/// An unspent output of the wallet.
#[derive(Clone, Debug)]
pub struct Coin {
    /// Where it is.
    pub outpoint: OutPoint,
    /// How much, in satoshi.
    pub amount: Amount,
    /// Its script.
    pub script: ScriptBuf,
    /// Its address on our network, when the script has one.
    pub address: Option<Address>,
    /// Height of its block; None while unconfirmed.
    pub height: Option<u32>,
    /// From a coinbase that is not deep enough to be spent.
    pub immature: bool,
    /// Spent by a transaction that the wallet knows.
    pub spent: bool,
    /// Set aside to raise the fee of a channel's transaction.
    pub reserved: bool,
}

impl ChainWallet {
    /// Every unspent output; the spent ones too, if wanted.
    pub(crate) fn coins(&self, spent_too: bool) -> Vec<Coin> {
        let inner = self.lock();
        let reserved = set_aside(&inner.bumps);
        let outputs = inner.held.outputs();
        outputs
            .filter(|output| spent_too || !output.is_spent)
            .map(|output| Coin {
                outpoint: output.outpoint,
                amount: output.txout.value,
                address: Address::from_script(&output.txout.script_pubkey, self.network).ok(),
                height: height(&output),
                immature: is_immature(&inner.held, &output),
                spent: output.is_spent,
                reserved: !output.is_spent && reserved.contains(&output.outpoint),
                script: output.txout.script_pubkey,
            })
            .collect()
    }
}

/// The coins that a transaction may take: those that are named and no others, or all that are free.
///
/// `confirmations_min`: what a coin needs that is not named. None: one, or that it is change of ours.
/// Change of an opening that is not agreed on yet is not free.
pub(super) fn spendable(
    inner: &Inner,
    named: Option<&[OutPoint]>,
    confirmations_min: Option<u32>,
) -> Result<Vec<LocalOutput>, FundError> {
    let reserved = set_aside(&inner.bumps);
    let is_unsent = |coin: &OutPoint| inner.unsent.contains(&coin.txid);
    let mut coins: Vec<LocalOutput> = inner.held.unspent().collect();
    if let Some(named) = named {
        let is_taken = |coin: &&OutPoint| reserved.contains(coin) || is_unsent(coin);
        if let Some(coin) = named.iter().find(is_taken) {
            return Err(FundError::Reserved(*coin));
        }
        let is_known = |wanted: &OutPoint| coins.iter().any(|coin| coin.outpoint == *wanted);
        if let Some(unknown) = named.iter().find(|wanted| !is_known(wanted)) {
            return Err(FundError::UnknownOutput(*unknown));
        }
        coins.retain(|coin| named.contains(&coin.outpoint));
        return Ok(coins);
    }
    let next = inner.held.next_height();
    coins.retain(|coin| {
        let deep_enough = match confirmations_min {
            Some(least) => height(coin).map_or(0, |height| next.saturating_sub(height)) >= least,
            None => !is_strangers(coin),
        };
        let taken = reserved.contains(&coin.outpoint) || is_unsent(&coin.outpoint);
        deep_enough && !taken && !is_immature(&inner.held, coin) && !inner.held.is_truc(coin)
    });
    Ok(coins)
}

/// Coins in a block that may be spent now, those that are set aside among them.
pub(super) fn confirmed(held: &Holdings) -> Vec<LocalOutput> {
    let coins = held.unspent();
    coins
        .filter(|coin| height(coin).is_some() && !is_immature(held, coin))
        .collect()
}

/// Coins that channels' fees can be raised with, now or when our own change is in a block.
pub(super) fn for_fees(held: &Holdings) -> Vec<LocalOutput> {
    let coins = held.unspent();
    coins
        .filter(|coin| !is_strangers(coin) && !is_immature(held, coin))
        .collect()
}

pub(super) fn worth(coins: &[LocalOutput]) -> Amount {
    coins.iter().map(|coin| coin.txout.value).sum()
}

/// Of its block, or of one that spends it.
fn height(coin: &LocalOutput) -> Option<u32> {
    coin.chain_position.confirmation_height_upper_bound()
}

/// Whether it is the output of a coinbase that cannot be spent yet.
fn is_immature(held: &Holdings, coin: &LocalOutput) -> bool {
    let next = held.next_height();
    let young = height(coin).is_some_and(|height| height.saturating_add(COINBASE_MATURITY) > next);
    young && held.is_coinbase(coin.outpoint.txid)
}

/// An unconfirmed output that somebody else's transaction pays us: it may be replaced, and what
/// spends it would be lost with it. Our own unconfirmed change is ours to spend.
fn is_strangers(coin: &LocalOutput) -> bool {
    coin.keychain == KeychainKind::External && coin.chain_position.is_unconfirmed()
}
