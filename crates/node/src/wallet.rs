//! The on-chain wallet: BDK, with its changes kept in the one ordered file.
//!
//! It follows the chain as a listener beside LDK's own, makes addresses, pays (`spend.rs`), raises the
//! fees of channels' transactions (`bump.rs`), and takes what closed channels pay back. What it holds, by
//! which addresses, is in `holdings.rs`. Which blocks there are is `chain.rs`'s affair.

mod bump;
mod coin;
mod holdings;
mod select;
mod spend;
mod stuck;
#[cfg(test)]
mod tests;

pub(crate) use bump::ClaimCoins;
pub use coin::Coin;
pub use holdings::AddressKind;
pub(crate) use spend::Spend;
pub(crate) use stuck::Raised;
pub use stuck::StuckError;

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bdk_wallet::chain::{BlockId, ChainPosition, Merge};
use bdk_wallet::error::CreateTxError;
use bdk_wallet::template::Bip84;
use bdk_wallet::{ChangeSet, KeychainKind, LoadError, Wallet};
use bitcoin::bip32::Xpriv;
use bitcoin::block::Header;
use bitcoin::{
    Address, Amount, Block, BlockHash, FeeRate, Network, OutPoint, ScriptBuf, Transaction, Txid,
};
use lightning::chain::transaction::TransactionData;
use lightning::chain::{BlockLocator, Listen};
use lightning::sign::ChangeDestinationSource;
use sendpay_chain::client::Confirmed;
use sendpay_store::Store;
use sendpay_store::kv::KvError;
use thiserror::Error;

use crate::chain;
use crate::kept::GivenOut;
use crate::keys::Seed;
use holdings::Holdings;

const PRIMARY: &str = "sendpay";
const SECONDARY: &str = "wallet";

/// Changes kept as rows of their own before they are folded into one at the next start.
const ROWS_MAX: usize = 500;

/// Why the wallet could not be opened.
#[derive(Debug, Error)]
pub enum WalletError {
    /// Its rows cannot be read or written.
    #[error("cannot read the wallet from the store: {0}")]
    Store(String),
    /// A row is not what this version writes.
    #[error("the wallet's change {key} is damaged: {source}")]
    Damaged {
        /// Key of the row.
        key: String,
        /// What the decoder said.
        source: serde_json::Error,
    },
    /// The rows belong to another seed or network.
    #[error("the stored wallet does not belong to this seed: {0}")]
    Load(#[from] Box<LoadError>),
    /// The seed makes no descriptors.
    #[error("the seed makes no wallet: {0}")]
    Descriptor(String),
    /// The first block cannot be joined to the wallet's chain.
    #[error("the wallet cannot start at the tip: {0}")]
    Tip(String),
}

/// Why no transaction was made.
#[derive(Debug, Error)]
pub enum FundError {
    /// Too little in the coins that may be spent.
    #[error(
        "Could not afford {} using all {coins} available UTXOs: {}sat short",
        amount.map_or("all".to_owned(), |amount| format!("{}sat", amount.to_sat())),
        short.to_sat()
    )]
    Afford {
        /// What was to be paid; None is everything.
        amount: Option<Amount>,
        /// How many coins there are to choose from.
        coins: usize,
        /// What is missing, fee included.
        short: Amount,
    },
    /// Too little for a higher fee.
    #[error("a fee that high needs {}sat, and there are {}sat", needed.to_sat(), available.to_sat())]
    TooLittle {
        /// What is needed, payments included.
        needed: Amount,
        /// What can be spent for it.
        available: Amount,
    },
    /// An output that would be too small to be relayed.
    #[error("Receive amount is below dust limit")]
    Dust,
    /// No unspent output of the wallet.
    #[error("Unknown UTXO {0}")]
    UnknownOutput(OutPoint),
    /// An output that raises the fee of a channel's transaction, or is change of an opening that is not
    /// agreed on yet.
    #[error("UTXO {0} already reserved")]
    Reserved(OutPoint),
    /// What would be left is less than what channels with anchors need.
    #[error("We would not have enough left for min-emergency-msat {}sat", .0.to_sat())]
    Emergency(Amount),
    /// The wallet cannot build it for another reason.
    #[error("{0}")]
    Create(CreateTxError),
    /// A rate that nobody can mean: more than 25,000 sat for a virtual byte.
    #[error("feerate: {} sat for 1000 weight units is taken for a mistake", .0.to_sat_per_kwu())]
    Absurd(FeeRate),
    /// The wallet could not sign all inputs.
    #[error("cannot sign the transaction: {0}")]
    Sign(String),
    /// All addresses of the kind were given out.
    #[error("the wallet has no more addresses of this kind")]
    NoAddress,
    /// The wallet's change could not be made durable.
    #[error("cannot store the wallet's change: {0}")]
    Store(String),
    /// Amounts over 21 million bitcoin.
    #[error("the amount is too large")]
    Amount,
}

struct Inner {
    held: Holdings,
    next_row: u64,
    bumps: bump::Bumps,
    /// Fund channels that their peers have not signed for yet: whoever sent one now could lose what is in
    /// the channel, and what spends its change is lost when the opening is given up. Not kept: at a start
    /// those that were not agreed on are forgotten (`review.rs`).
    unsent: HashSet<Txid>,
}

/// The wallet, shared by the RPC side, LDK's sweeper and the chain.
pub(crate) struct ChainWallet {
    inner: Mutex<Inner>,
    store: Store,
    network: Network,
    master: Xpriv,
}

impl ChainWallet {
    /// Loads the wallet, or makes one whose first block is `tip` (nothing before it can be ours) and
    /// that has given out so many addresses.
    pub(crate) async fn open(
        store: Store,
        seed: &Seed,
        network: Network,
        tip: BlockLocator,
        given_out: GivenOut,
    ) -> Result<ChainWallet, WalletError> {
        let (changes, keys) = read_changes(&store)?;
        let next_row = keys
            .last()
            .and_then(|key| key.parse::<u64>().ok())
            .map_or(0, |row| row + 1);
        let external = Bip84(seed.master(), KeychainKind::External);
        let internal = Bip84(seed.master(), KeychainKind::Internal);
        let loaded = Wallet::load()
            .descriptor(KeychainKind::External, Some(external.clone()))
            .descriptor(KeychainKind::Internal, Some(internal.clone()))
            .check_network(network)
            .load_wallet_no_persist(changes.clone().unwrap_or_default())
            .map_err(Box::new)?;
        let is_new = loaded.is_none();
        let wallet = match loaded {
            Some(wallet) => wallet,
            None => {
                let mut wallet = Wallet::create(external, internal)
                    .network(network)
                    .create_wallet_no_persist()
                    .map_err(|cause| WalletError::Descriptor(cause.to_string()))?;
                // The network's first block stands there already.
                let known = chain::blocks(&tip).filter(|(height, _)| *height > 0);
                let start = known.fold(wallet.latest_checkpoint(), |start, (height, hash)| {
                    start.insert(BlockId { height, hash })
                });
                let update = bdk_wallet::Update {
                    chain: Some(start),
                    ..Default::default()
                };
                wallet
                    .apply_update(update)
                    .map_err(|cause| WalletError::Tip(cause.to_string()))?;
                wallet
            }
        };
        let known = changes.clone().unwrap_or_default().indexer;
        let mut held = Holdings::new(wallet, seed.master(), known)
            .map_err(|cause| WalletError::Descriptor(cause.to_string()))?;
        if is_new {
            held.give_out(given_out);
        }
        let bumps = bump::read(&store)?;
        let this = ChainWallet {
            inner: Mutex::new(Inner {
                held,
                next_row,
                bumps,
                unsent: HashSet::new(),
            }),
            store,
            network,
            master: seed.master(),
        };
        if keys.len() > ROWS_MAX
            && let Some(changes) = changes
        {
            this.fold(changes, keys).await?;
        }
        let ticket = this.keep(&mut this.lock());
        settle(ticket).await.map_err(WalletError::Store)?;
        Ok(this)
    }

    /// Whether there is a wallet in the store.
    pub(crate) fn is_kept(store: &Store) -> Result<bool, WalletError> {
        let keys = store.kv_list(PRIMARY, SECONDARY);
        let keys = keys.map_err(|cause| WalletError::Store(cause.to_string()))?;
        Ok(!keys.is_empty())
    }

    /// Writes all changes as one row, then removes the rows it replaces. They are queued together,
    /// and merging a change twice is harmless.
    async fn fold(&self, changes: ChangeSet, keys: Vec<String>) -> Result<(), WalletError> {
        let row = {
            let mut inner = self.lock();
            let row = inner.next_row;
            inner.next_row += 1;
            row
        };
        let key = row_key(row);
        let body = serde_json::to_vec(&changes).map_err(|source| WalletError::Damaged {
            key: key.clone(),
            source,
        })?;
        let written = self.store.kv_write(PRIMARY, SECONDARY, &key, body);
        for key in keys {
            drop(self.store.kv_remove(PRIMARY, SECONDARY, &key));
        }
        let written = written
            .await
            .map_err(|cause| WalletError::Store(cause.to_string()))?;
        written.map_err(|cause| WalletError::Store(cause.to_string()))
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues what changed in the wallet since the last call.
    fn keep(&self, inner: &mut Inner) -> Option<KvTicket> {
        let changes = inner.held.take_changes()?;
        let body = match serde_json::to_vec(&changes) {
            Ok(body) => body,
            Err(cause) => {
                // A change set is plain data; were it not, funds could be forgotten: stop here.
                tracing::error!(%cause, "cannot encode the wallet's change");
                std::process::abort();
            }
        };
        let row = inner.next_row;
        inner.next_row += 1;
        Some(self.store.kv_write(PRIMARY, SECONDARY, &row_key(row), body))
    }

    /// The last block that the wallet has seen.
    pub(crate) fn best_block(&self) -> BlockLocator {
        let tip = self.lock().held.wallet.latest_checkpoint();
        let mut blocks = tip.iter();
        let mut locator = BlockLocator::new(tip.hash(), tip.height());
        blocks.next();
        let mut height = tip.height();
        for (slot, block) in locator.previous_blocks.iter_mut().zip(blocks) {
            // Only unbroken ancestors may stand here.
            if height.checked_sub(1) != Some(block.height()) {
                break;
            }
            height = block.height();
            *slot = Some(block.hash());
        }
        locator
    }

    /// The height below which it was paid nothing, and how many addresses it has given out.
    pub(crate) fn extent(&self) -> (u32, GivenOut) {
        let inner = self.lock();
        let blocks = inner.held.wallet.latest_checkpoint();
        // The first is the network's first, whenever the wallet was made.
        let heights = blocks.iter().map(|block| block.height());
        let birthday = heights.filter(|height| *height > 0).last();
        (birthday.unwrap_or(0), inner.held.given_out())
    }

    /// A new address, durable before it is shown.
    pub(crate) async fn new_address(&self, kind: AddressKind) -> Result<Address, FundError> {
        let (script, ticket) = {
            let mut inner = self.lock();
            (inner.held.new_script(kind), self.keep(&mut inner))
        };
        settle(ticket).await.map_err(FundError::Store)?;
        let script = script.ok_or(FundError::NoAddress)?;
        Address::from_script(&script, self.network).map_err(|_| FundError::NoAddress)
    }

    /// Forgets a transaction that will not be sent, so that its inputs are free again. Durable with the
    /// ticket.
    pub(crate) fn forget(&self, txid: Txid) -> Option<KvTicket> {
        let mut inner = self.lock();
        inner.held.give_up(txid);
        inner.unsent.remove(&txid);
        self.keep(&mut inner)
    }

    /// The peer has signed for the channel that a transaction funds: it is sent.
    pub(crate) fn agreed(&self, txid: Txid) {
        self.lock().unsent.remove(&txid);
    }

    /// Every script that may be paid.
    pub(crate) fn scripts(&self) -> Vec<ScriptBuf> {
        self.lock().held.scripts()
    }

    /// The transactions of the wallet that are in blocks, with these.
    pub(crate) fn confirmed(&self) -> Vec<(Txid, u32, BlockHash)> {
        let inner = self.lock();
        let blocks = inner
            .held
            .transactions()
            .filter_map(|found| match found.chain_position {
                ChainPosition::Confirmed { anchor, .. } => {
                    let BlockId { height, hash } = anchor.block_id;
                    Some((found.tx_node.txid, height, hash))
                }
                ChainPosition::Unconfirmed { .. } => None,
            });
        blocks.collect()
    }

    /// Takes a transaction of a block that the wallet has heard of already.
    pub(crate) fn confirm_late(&self, late: &Confirmed) {
        let mut inner = self.lock();
        inner.held.confirm_late(late);
        drop(self.keep(&mut inner));
    }

    /// Our own transactions that are in no block.
    pub(crate) fn unconfirmed(&self) -> Vec<Transaction> {
        let inner = self.lock();
        inner
            .held
            .transactions()
            .filter(|found| !found.chain_position.is_confirmed())
            .map(|found| found.tx_node.tx.as_ref().clone())
            .collect()
    }
}

pub(crate) type KvTicket = sendpay_store::Ticket<Result<(), KvError>>;

/// Waits until it is durable.
pub(crate) async fn settle(ticket: Option<KvTicket>) -> Result<(), String> {
    match ticket {
        None => Ok(()),
        Some(ticket) => match ticket.await {
            Ok(written) => written.map_err(|cause| cause.to_string()),
            Err(closed) => Err(closed.to_string()),
        },
    }
}

/// Rows sort by name in the order in which they were written.
fn row_key(row: u64) -> String {
    format!("{row:020}")
}

/// All rows merged, and their keys in order.
fn read_changes(store: &Store) -> Result<(Option<ChangeSet>, Vec<String>), WalletError> {
    let failed = |cause: KvError| WalletError::Store(cause.to_string());
    let mut keys = store.kv_list(PRIMARY, SECONDARY).map_err(failed)?;
    keys.sort();
    let mut all: Option<ChangeSet> = None;
    for key in &keys {
        let Some(body) = store.kv_read(PRIMARY, SECONDARY, key).map_err(failed)? else {
            continue;
        };
        let change: ChangeSet =
            serde_json::from_slice(&body).map_err(|source| WalletError::Damaged {
                key: key.clone(),
                source,
            })?;
        match &mut all {
            Some(all) => all.merge(change),
            None => all = Some(change),
        }
    }
    Ok((all, keys))
}

impl Listen for ChainWallet {
    /// A block with only those of its transactions that pay or spend from the wallet.
    fn filtered_block_connected(&self, header: &Header, data: &TransactionData, height: u32) {
        let block = Block {
            header: *header,
            txdata: data.iter().map(|(_, found)| (*found).clone()).collect(),
        };
        // BDK looks at the transactions one by one: it does not miss the others.
        self.block_connected(&block, height);
    }

    fn block_connected(&self, block: &Block, height: u32) {
        let mut inner = self.lock();
        if let Err(cause) = inner.held.take_block(block, height) {
            tracing::error!(height, %cause, "the wallet cannot join this block to its chain");
        }
        drop(self.keep(&mut inner));
    }

    fn blocks_disconnected(&self, fork: BlockLocator) {
        // The next block that connects takes the place of those above this one, which may be older than
        // the wallet: nothing could connect to it then.
        let mut inner = self.lock();
        inner.held.know_block(BlockId {
            height: fork.height,
            hash: fork.block_hash,
        });
        drop(self.keep(&mut inner));
    }
}

impl ChangeDestinationSource for ChainWallet {
    async fn get_change_destination_script(&self) -> Result<ScriptBuf, ()> {
        let (script, ticket) = {
            let mut inner = self.lock();
            let wallet = &mut inner.held.wallet;
            let address = wallet.reveal_next_address(KeychainKind::Internal);
            (address.script_pubkey(), self.keep(&mut inner))
        };
        settle(ticket).await.map_err(|_| ())?;
        Ok(script)
    }
}

/// So that the wallet can stand in a list of listeners.
pub(crate) type SharedWallet = Arc<ChainWallet>;
