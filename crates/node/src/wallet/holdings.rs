//! All that the wallet holds: BDK's wallet, which knows the p2wpkh addresses (BIP84), and the p2tr ones
//! (BIP86) beside it, as one.
//!
//! A BDK wallet has two descriptors and no more. But its graph of transactions takes what it is given, and
//! its change sets name descriptors by their ids: so the p2tr addresses are an index of their own over the
//! same graph, the same blocks and the same rows of the store. What is left that differs is here: which
//! transactions belong to us, and how an input is described and signed. Change is always p2wpkh.

use std::collections::HashSet;
use std::sync::Arc;

use bdk_wallet::chain::indexer::keychain_txout::{self, DEFAULT_LOOKAHEAD, KeychainTxOutIndex};
use bdk_wallet::chain::local_chain::CannotConnectError;
use bdk_wallet::chain::{
    BlockId, CanonicalizationParams, ConfirmationBlockTime, FullTxOut, Indexer, Merge, TxUpdate,
};
use bdk_wallet::descriptor::{DescriptorError, IntoWalletDescriptor};
use bdk_wallet::error::CreateTxError;
use bdk_wallet::miniscript::psbt::PsbtInputExt;
use bdk_wallet::signer::SignerError;
use bdk_wallet::template::Bip86;
use bdk_wallet::{
    ChangeSet, KeychainKind, LocalOutput, SignOptions, Update, Utxo, Wallet, WalletTx, WeightedUtxo,
};
use bitcoin::bip32::Xpriv;
use bitcoin::psbt::Input;
use bitcoin::{
    Block, BlockHash, OutPoint, Psbt, ScriptBuf, Sequence, Transaction, TxOut, Txid, Witness,
    transaction::Version,
};
use sendpay_chain::client::Confirmed;

use crate::clock::unix_seconds;
use crate::kept::GivenOut;

/// The addresses of others and those of change.
const KINDS: [KeychainKind; 2] = [KeychainKind::External, KeychainKind::Internal];

/// The p2tr addresses are all for others.
const TAPROOT: KeychainKind = KeychainKind::External;

/// Transactions that only one of their own kind may spend before they are in a block (BIP431).
const TRUC: Version = Version(3);

/// What kind an address is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddressKind {
    /// Version 0 witness (BIP84).
    P2wpkh,
    /// Version 1 witness, spent by its key (BIP86).
    P2tr,
}

pub(super) struct Holdings {
    /// BDK's wallet. Its lists of outputs and transactions are those of its own addresses alone.
    pub(super) wallet: Wallet,
    taproot: KeychainTxOutIndex<KeychainKind>,
    /// What changed of `taproot` since the last call of `take_changes`.
    revealed: keychain_txout::ChangeSet,
}

impl Holdings {
    /// The wallet with the p2tr addresses of the same seed, as far as these changes gave any out.
    pub(super) fn new(
        wallet: Wallet,
        master: Xpriv,
        known: keychain_txout::ChangeSet,
    ) -> Result<Holdings, DescriptorError> {
        let (descriptor, _keys) = Bip86(master, TAPROOT)
            .into_wallet_descriptor(wallet.secp_ctx(), wallet.network().into())?;
        let mut taproot = KeychainTxOutIndex::from_changeset(DEFAULT_LOOKAHEAD, false, known);
        let added = taproot.insert_descriptor(TAPROOT, descriptor);
        debug_assert_eq!(added, Ok(true), "the index was empty");
        let mut this = Holdings {
            wallet,
            taproot,
            revealed: keychain_txout::ChangeSet::default(),
        };
        for transaction in this.wallet.tx_graph().full_txs() {
            this.revealed.merge(this.taproot.index_tx(&transaction));
        }
        Ok(this)
    }

    /// What changed since the last call.
    pub(super) fn take_changes(&mut self) -> Option<ChangeSet> {
        let mut changes = self.wallet.take_staged().unwrap_or_default();
        changes.indexer.merge(std::mem::take(&mut self.revealed));
        (!changes.is_empty()).then_some(changes)
    }

    /// A new address for others.
    pub(super) fn new_script(&mut self, kind: AddressKind) -> Option<ScriptBuf> {
        match kind {
            AddressKind::P2wpkh => {
                let address = self.wallet.reveal_next_address(KeychainKind::External);
                Some(address.script_pubkey())
            }
            AddressKind::P2tr => {
                let ((_, script), changes) = self.taproot.reveal_next_spk(TAPROOT)?;
                self.revealed.merge(changes);
                Some(script)
            }
        }
    }

    /// Takes so many addresses as given out.
    pub(super) fn give_out(&mut self, given_out: GivenOut) {
        for (kind, count) in KINDS.into_iter().zip(given_out.addresses) {
            if let Some(last) = count.checked_sub(1) {
                self.wallet.reveal_addresses_to(kind, last).for_each(drop);
            }
        }
        if let Some(last) = given_out.p2tr_addresses.checked_sub(1)
            && let Some((_, changes)) = self.taproot.reveal_to_target(TAPROOT, last)
        {
            self.revealed.merge(changes);
        }
    }

    /// How many addresses were given out.
    pub(super) fn given_out(&self) -> GivenOut {
        let count = |last: Option<u32>| last.map_or(0, |last| last.saturating_add(1));
        GivenOut {
            addresses: KINDS.map(|kind| count(self.wallet.derivation_index(kind))),
            p2tr_addresses: count(self.taproot.last_revealed_index(TAPROOT)),
        }
    }

    /// Every script that may be paid: those of all addresses that were given out, and of some to come.
    pub(super) fn scripts(&self) -> Vec<ScriptBuf> {
        let own = self.wallet.spk_index().inner().all_spks().values();
        let taproot = self.taproot.inner().all_spks().values();
        own.chain(taproot).cloned().collect()
    }

    pub(super) fn is_mine(&self, script: &ScriptBuf) -> bool {
        self.wallet.is_mine(script.clone()) || self.is_taproot(script)
    }

    fn is_taproot(&self, script: &ScriptBuf) -> bool {
        self.taproot.index_of_spk(script.clone()).is_some()
    }

    fn outpoints(&self) -> impl Iterator<Item = ((KeychainKind, u32), OutPoint)> {
        let own = self.wallet.spk_index().outpoints().iter();
        own.chain(self.taproot.outpoints()).copied()
    }

    /// Every output that was ever paid to us.
    pub(super) fn outputs(&self) -> impl Iterator<Item = LocalOutput> {
        let tip = self.wallet.latest_checkpoint().block_id();
        let (chain, graph) = (self.wallet.local_chain(), self.wallet.tx_graph());
        let rules = CanonicalizationParams::default();
        graph
            .filter_chain_txouts(chain, tip, rules, self.outpoints())
            .map(local)
    }

    /// Every output of ours that no transaction of the wallet spends.
    pub(super) fn unspent(&self) -> impl Iterator<Item = LocalOutput> {
        self.outputs().filter(|output| !output.is_spent)
    }

    fn is_ours(&self, transaction: &Transaction) -> bool {
        self.wallet.spk_index().is_tx_relevant(transaction)
            || self.taproot.is_tx_relevant(transaction)
    }

    /// The transactions that pay us or spend what is ours, where the chain is now.
    pub(super) fn transactions(&self) -> impl Iterator<Item = WalletTx<'_>> {
        let tip = self.wallet.latest_checkpoint().block_id();
        let (chain, graph) = (self.wallet.local_chain(), self.wallet.tx_graph());
        graph
            .list_canonical_txs(chain, tip, CanonicalizationParams::default())
            .filter(|found| self.is_ours(&found.tx_node.tx))
    }

    fn index(&mut self, transaction: &Transaction) {
        self.revealed.merge(self.taproot.index_tx(transaction));
    }

    /// Takes a transaction of ours in that is in no block; one that was given up, again. Nothing that
    /// spends the same may count.
    pub(super) fn see(&mut self, transaction: Transaction) {
        self.index(&transaction);
        let txid = transaction.compute_txid();
        // Later than it was given up, whatever the clock does.
        let given_up = self.wallet.tx_graph().get_last_evicted(txid);
        let since = given_up.map_or(0, |given_up| given_up.saturating_add(1));
        let mut tx_update = TxUpdate::default();
        tx_update.seen_ats.insert((txid, unix_seconds().max(since)));
        tx_update.txs.push(Arc::new(transaction));
        self.add(tx_update, None);
    }

    /// Gives a transaction up that is in no block: what it spends is free again.
    pub(super) fn give_up(&mut self, txid: Txid) {
        let found = self.wallet.tx_graph().get_tx_node(txid);
        let last_seen = found.and_then(|found| found.last_seen).unwrap_or_default();
        let mut tx_update = TxUpdate::default();
        // What was seen at that second and not after is gone.
        let gone_at = unix_seconds().max(last_seen);
        tx_update.evicted_ats.insert((txid, gone_at));
        self.add(tx_update, None);
    }

    /// Takes a transaction in again that was given up, unless one that counts spends the same.
    pub(super) fn take_back(&mut self, transaction: &Transaction) {
        let txid = transaction.compute_txid();
        let counting: HashSet<Txid> = self
            .transactions()
            .map(|found| found.tx_node.txid)
            .collect();
        let mut conflicts = self.wallet.tx_graph().direct_conflicts(transaction);
        let stands = counting.contains(&txid);
        if !stands && !conflicts.any(|(_, other)| counting.contains(&other)) {
            drop(conflicts);
            self.see(transaction.clone());
        }
    }

    /// Joins a block to the wallet's chain, and takes what is ours in it.
    pub(super) fn take_block(
        &mut self,
        block: &Block,
        height: u32,
    ) -> Result<(), CannotConnectError> {
        // BDK takes what concerns its own addresses by itself.
        self.wallet.apply_block(block, height)?;
        let anchor = anchor(height, block.block_hash(), block.header.time);
        let mut tx_update = TxUpdate::default();
        for transaction in &block.txdata {
            self.index(transaction);
            let mut conflicts = self.wallet.tx_graph().direct_conflicts(transaction);
            if self.taproot.is_tx_relevant(transaction) || conflicts.next().is_some() {
                let txid = transaction.compute_txid();
                tx_update.anchors.insert((anchor, txid));
                tx_update.txs.push(Arc::new(transaction.clone()));
            }
        }
        self.add(tx_update, None);
        Ok(())
    }

    /// Takes a transaction of a block that was heard of already, if it is ours.
    pub(super) fn confirm_late(&mut self, late: &Confirmed) {
        self.index(&late.transaction);
        if !self.is_ours(&late.transaction) {
            return;
        }
        let anchor = anchor(late.height, late.header.block_hash(), late.header.time);
        let transaction = Arc::new(late.transaction.clone());
        let mut tx_update = TxUpdate::default();
        let txid = transaction.compute_txid();
        tx_update.anchors.insert((anchor, txid));
        tx_update.txs.push(transaction);
        self.add(tx_update, Some(anchor.block_id));
    }

    /// Takes a block of the chain in that may be older than the wallet's first.
    pub(super) fn know_block(&mut self, block: BlockId) {
        self.update(TxUpdate::default(), Some(block));
    }

    /// `block`: one that the wallet may not know yet, because it is older than its first.
    fn add(&mut self, tx_update: TxUpdate<ConfirmationBlockTime>, block: Option<BlockId>) {
        if tx_update.txs.is_empty() && tx_update.evicted_ats.is_empty() {
            return;
        }
        self.update(tx_update, block);
    }

    fn update(&mut self, tx_update: TxUpdate<ConfirmationBlockTime>, block: Option<BlockId>) {
        let chain = block.map(|block| self.wallet.latest_checkpoint().insert(block));
        let update = Update {
            tx_update,
            chain,
            ..Default::default()
        };
        if let Err(cause) = self.wallet.apply_update(update) {
            let height = block.map(|block| block.height);
            tracing::error!(height, %cause, "the wallet cannot join this block to its chain");
        }
    }
}

impl Holdings {
    /// The height of the block to come.
    pub(super) fn next_height(&self) -> u32 {
        self.wallet.latest_checkpoint().height().saturating_add(1)
    }

    /// Whether it is a coinbase.
    pub(super) fn is_coinbase(&self, txid: Txid) -> bool {
        let found = self.wallet.tx_graph().get_tx(txid);
        found.is_some_and(|found| found.is_coinbase())
    }

    /// Whether the output is of a transaction of version 3 (TRUC), unconfirmed, and so not to be spent by
    /// one of version 2.
    pub(super) fn is_truc(&self, output: &LocalOutput) -> bool {
        let parent = self.wallet.tx_graph().get_tx(output.outpoint.txid);
        output.chain_position.is_unconfirmed()
            && parent.is_some_and(|parent| parent.version == TRUC)
    }

    /// A coin as BDK's selection takes it: p2tr ones are strange to BDK, which is told what they weigh.
    pub(super) fn weighted(&self, output: LocalOutput) -> Option<WeightedUtxo> {
        let is_taproot = self.is_taproot(&output.txout.script_pubkey);
        let descriptor = if is_taproot {
            self.taproot.get_descriptor(TAPROOT)?
        } else {
            self.wallet.public_descriptor(output.keychain)
        };
        let satisfaction_weight = descriptor.max_weight_to_satisfy().ok()?;
        let utxo = if is_taproot {
            Utxo::Foreign {
                outpoint: output.outpoint,
                sequence: Sequence::ENABLE_RBF_NO_LOCKTIME,
                psbt_input: Box::new(spending(output.txout)),
            }
        } else {
            Utxo::Local(output)
        };
        Some(WeightedUtxo {
            satisfaction_weight,
            utxo,
        })
    }

    /// What a signer must know of an input that spends this output.
    pub(super) fn input(&self, output: LocalOutput) -> Result<Input, CreateTxError> {
        if !self.is_taproot(&output.txout.script_pubkey) {
            return self.wallet.get_psbt_input(output, None, true);
        }
        let mut input = spending(output.txout);
        self.describe(&mut input);
        Ok(input)
    }

    /// Writes into a PSBT with which keys its p2tr inputs are signed. BDK has written all else.
    pub(super) fn describe_inputs(&self, psbt: &mut Psbt) {
        for input in &mut psbt.inputs {
            self.describe(input);
        }
    }

    fn describe(&self, input: &mut Input) {
        let spent = input.witness_utxo.as_ref();
        let Some(&(_, index)) =
            spent.and_then(|spent| self.taproot.index_of_spk(spent.script_pubkey.clone()))
        else {
            return;
        };
        let Some(descriptor) = self.taproot.get_descriptor(TAPROOT) else {
            return;
        };
        let described = descriptor
            .at_derivation_index(index)
            .map_err(|cause| cause.to_string())
            .and_then(|descriptor| {
                let updated = input.update_with_descriptor_unchecked(&descriptor);
                updated.map_err(|cause| cause.to_string())
            });
        if let Err(cause) = described {
            // It stays without a signature, which who signs notices.
            tracing::error!(%cause, index, "a p2tr input cannot be described");
        }
    }

    /// Makes witnesses of the signatures. Whether every input has one.
    pub(super) fn finalize(&self, psbt: &mut Psbt) -> Result<bool, SignerError> {
        for input in &mut psbt.inputs {
            if let Some(signature) = input.tap_key_sig {
                *input = Input {
                    witness_utxo: input.witness_utxo.take(),
                    final_script_witness: Some(Witness::p2tr_key_spend(&signature)),
                    ..Input::default()
                };
            }
        }
        self.wallet.finalize_psbt(psbt, SignOptions::default())
    }
}

fn spending(output: TxOut) -> Input {
    Input {
        witness_utxo: Some(output),
        ..Input::default()
    }
}

fn anchor(height: u32, hash: BlockHash, time: u32) -> ConfirmationBlockTime {
    ConfirmationBlockTime {
        block_id: BlockId { height, hash },
        confirmation_time: u64::from(time),
    }
}

fn local(
    ((keychain, derivation_index), found): ((KeychainKind, u32), FullTxOut<ConfirmationBlockTime>),
) -> LocalOutput {
    LocalOutput {
        outpoint: found.outpoint,
        txout: found.txout,
        keychain,
        is_spent: found.spent_by.is_some(),
        derivation_index,
        chain_position: found.chain_position,
    }
}
