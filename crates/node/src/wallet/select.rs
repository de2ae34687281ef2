//! The choice among coins. How is BDK's affair; among which is ours: BDK's own list has neither p2tr coins
//! nor what is set aside.

use bdk_wallet::coin_selection::{
    CoinSelectionAlgorithm, CoinSelectionResult, DefaultCoinSelectionAlgorithm, InsufficientFunds,
};
use bdk_wallet::{LocalOutput, WeightedUtxo};
use bitcoin::key::rand::RngCore;
use bitcoin::{Amount, FeeRate, Script};

use super::holdings::Holdings;

/// The coins that one transaction may take.
#[derive(Debug)]
pub(super) struct Coins {
    coins: Vec<WeightedUtxo>,
    takes_all: bool,
}

impl Coins {
    /// `takes_all`: it takes all of these, and nothing that BDK would add. Else as many as it needs beside
    /// those that BDK says it must take.
    pub(super) fn new(held: &Holdings, coins: Vec<LocalOutput>, takes_all: bool) -> Coins {
        let coins = coins.into_iter().filter_map(|coin| held.weighted(coin));
        Coins {
            coins: coins.collect(),
            takes_all,
        }
    }
}

impl CoinSelectionAlgorithm for Coins {
    fn coin_select<R: RngCore>(
        &self,
        required: Vec<WeightedUtxo>,
        _of_bdk: Vec<WeightedUtxo>,
        fee_rate: FeeRate,
        target_amount: Amount,
        drain_script: &Script,
        rand: &mut R,
    ) -> Result<CoinSelectionResult, InsufficientFunds> {
        let (required, optional) = if self.takes_all {
            (self.coins.clone(), Vec::new())
        } else {
            (required, self.coins.clone())
        };
        let choice = DefaultCoinSelectionAlgorithm::default();
        choice.coin_select(
            required,
            optional,
            fee_rate,
            target_amount,
            drain_script,
            rand,
        )
    }
}
