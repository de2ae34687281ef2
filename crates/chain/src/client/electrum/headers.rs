//! The headers of the best chain, as far down as somebody asked for: each with its work, each linked
//! to the next.
//!
//! An Electrum server tells no sum of work, so it is counted from here: from a fixed sum at the first
//! header that was seen. Only differences of it mean anything. Asking servers is `mod.rs`'s.

use std::collections::{BTreeMap, HashMap};

use bitcoin::block::Header;
use bitcoin::params::Params;
use bitcoin::{BlockHash, Network, Work};
use lightning_block_sync::BlockHeaderData;

/// Headers that are kept: those of some seven years. Nothing that is watched is older.
pub(super) const HEADERS_MAX: usize = 400_000;

/// The least difficulty that a block of the real network may have: what it was in 2018, a hundredth of
/// that of today. So a first server cannot begin with a chain that it made at home.
const DIFFICULTY_MIN: u128 = 1_000_000_000_000;

/// Why a header is not taken.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum HeaderError {
    /// Its hash is above its target.
    NoWork,
    /// Its target is easier than any of this network.
    TooEasy,
    /// It is not below, or above, the one that it should be.
    NotLinked,
}

impl std::fmt::Display for HeaderError {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            HeaderError::NoWork => "a header without the work that it claims",
            HeaderError::TooEasy => "a header with less work than this network asks for",
            HeaderError::NotLinked => "a header that is not linked to the next",
        })
    }
}

/// Whether a header has the work that it claims, and claims enough.
pub(super) fn check_work(header: &Header, network: Network) -> Result<(), HeaderError> {
    let target = header.target();
    // First: nothing divides by the target of one that nothing meets.
    let worked = header.validate_pow(target);
    worked.map_err(|_| HeaderError::NoWork)?;
    let params = Params::new(network);
    let easy = network == Network::Bitcoin && header.difficulty(&params) < DIFFICULTY_MIN;
    if target > params.max_attainable_target || easy {
        return Err(HeaderError::TooEasy);
    }
    Ok(())
}

/// What is known of the chain.
#[derive(Default)]
pub(super) struct Headers {
    /// Every header that was linked to the chain, with those that were taken back.
    known: HashMap<BlockHash, BlockHeaderData>,
    /// The best chain of the server that was asked last, without gaps.
    best: BTreeMap<u32, BlockHash>,
}

impl Headers {
    pub(super) fn of(&self, hash: &BlockHash) -> Option<BlockHeaderData> {
        self.known.get(hash).copied()
    }

    pub(super) fn at(&self, height: u32) -> Option<BlockHeaderData> {
        self.of(self.best.get(&height)?)
    }

    pub(super) fn tip(&self) -> Option<BlockHeaderData> {
        let (_, hash) = self.best.last_key_value()?;
        self.of(hash)
    }

    pub(super) fn lowest(&self) -> Option<BlockHeaderData> {
        let (_, hash) = self.best.first_key_value()?;
        self.of(hash)
    }

    /// The first header that is believed.
    pub(super) fn begin(&mut self, header: Header, height: u32) {
        // High enough to count down from, low enough to count up from.
        let mut bytes = [0; 32];
        if let Some(byte) = bytes.first_mut() {
            *byte = 0x40;
        }
        let chainwork = Work::from_be_bytes(bytes);
        self.put(BlockHeaderData {
            header,
            height,
            chainwork,
        });
    }

    fn put(&mut self, data: BlockHeaderData) {
        let hash = data.header.block_hash();
        self.known.insert(hash, data);
        self.best.insert(data.height, hash);
    }

    /// Takes the header below the lowest.
    pub(super) fn prepend(&mut self, header: Header) -> Result<(), HeaderError> {
        let above = self.lowest().ok_or(HeaderError::NotLinked)?;
        let height = above.height.checked_sub(1);
        if header.block_hash() != above.header.prev_blockhash {
            return Err(HeaderError::NotLinked);
        }
        self.put(BlockHeaderData {
            header,
            height: height.ok_or(HeaderError::NotLinked)?,
            chainwork: above.chainwork - above.header.work(),
        });
        Ok(())
    }

    /// Takes the headers above a known one, from the lowest to the tip, as the best chain.
    pub(super) fn extend(&mut self, ascending: &[Header]) -> Result<(), HeaderError> {
        let mut below = match ascending.first() {
            Some(first) => self.of(&first.prev_blockhash),
            None => return Ok(()),
        };
        let mut taken = Vec::with_capacity(ascending.len());
        for header in ascending {
            let under = below.ok_or(HeaderError::NotLinked)?;
            if header.prev_blockhash != under.header.block_hash() {
                return Err(HeaderError::NotLinked);
            }
            let data = BlockHeaderData {
                header: *header,
                height: under.height.saturating_add(1),
                chainwork: under.chainwork + header.work(),
            };
            taken.push(data);
            below = Some(data);
        }
        for data in taken {
            self.known.insert(data.header.block_hash(), data);
        }
        if let Some(tip) = below {
            self.lead_to(tip);
        }
        Ok(())
    }

    /// Makes the chain that ends with a known header the best one.
    pub(super) fn lead_to(&mut self, tip: BlockHeaderData) {
        self.best.split_off(&tip.height.saturating_add(1));
        let mut next = Some(tip);
        while let Some(data) = next {
            let hash = data.header.block_hash();
            let before = self.best.insert(data.height, hash);
            if before == Some(hash) && data.height != tip.height {
                break;
            }
            next = self.of(&data.header.prev_blockhash);
        }
    }

    pub(super) fn is_full(&self) -> bool {
        self.known.len() >= HEADERS_MAX
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;
    use bitcoin::TxMerkleNode;
    use bitcoin::blockdata::constants::genesis_block;
    use bitcoin::hashes::Hash;

    /// Headers one above the other, of a branch with that number.
    fn branch(below: Header, number: u8, count: usize) -> Vec<Header> {
        let mut headers = Vec::new();
        let mut under = below;
        for _ in 0..count {
            let mut header = under;
            header.prev_blockhash = under.block_hash();
            header.merkle_root = TxMerkleNode::from_byte_array([number; 32]);
            while check_work(&header, Network::Regtest).is_err() {
                header.nonce += 1;
            }
            headers.push(header);
            under = header;
        }
        headers
    }

    #[test]
    fn the_best_chain_is_that_of_the_tip_when_branches_come_and_come_back() {
        let genesis = genesis_block(Network::Regtest).header;
        let mut headers = Headers::default();
        headers.begin(genesis, 0);
        let first = branch(genesis, 1, 3);
        headers.extend(&first).unwrap();
        let second = branch(first[0], 2, 4);
        headers.extend(&second).unwrap();
        // The first comes back, longer: what was known of it is the best again.
        let more = branch(first[2], 1, 3);
        headers.extend(&more).unwrap();
        let expected: Vec<Header> = [genesis]
            .into_iter()
            .chain(first.clone())
            .chain(more)
            .collect();
        let best = |headers: &Headers| -> Vec<Header> {
            let at = (0..).map_while(|height| headers.at(height));
            at.map(|data| data.header).collect()
        };
        assert_eq!(best(&headers), expected);
        assert_eq!(headers.tip().unwrap().height, 6);
        // A shorter one is the server's best, after a block was taken back.
        headers.lead_to(headers.of(&first[1].block_hash()).unwrap());
        assert_eq!(best(&headers), expected[..3]);
        // Work is counted alike on all branches.
        let work = |header: &Header| headers.of(&header.block_hash()).unwrap().chainwork;
        assert_eq!(work(&first[1]), work(&second[0]));
        assert!(work(&second[3]) > work(&first[2]));
    }

    #[test]
    fn what_is_not_linked_or_has_no_work_is_not_taken() {
        let genesis = genesis_block(Network::Regtest).header;
        let mut headers = Headers::default();
        headers.begin(genesis, 0);
        let chain = branch(genesis, 1, 3);
        assert_eq!(headers.extend(&chain[1..]), Err(HeaderError::NotLinked));
        let gap = [chain[0], chain[2]];
        assert_eq!(headers.extend(&gap), Err(HeaderError::NotLinked));
        assert_eq!(headers.tip().unwrap().height, 0);

        let mut above = Headers::default();
        above.begin(chain[2], 3);
        assert_eq!(above.prepend(chain[0]), Err(HeaderError::NotLinked));
        above.prepend(chain[1]).unwrap();
        assert_eq!(above.lowest().unwrap().height, 2);

        let mut lazy = chain[0];
        while check_work(&lazy, Network::Regtest).is_ok() {
            lazy.nonce += 1;
        }
        assert_eq!(
            check_work(&lazy, Network::Regtest),
            Err(HeaderError::NoWork)
        );
        // Regtest's work is none on the real network, and a target of nothing divides nothing.
        for network in [Network::Bitcoin, Network::Signet] {
            assert_eq!(check_work(&chain[0], network), Err(HeaderError::TooEasy));
        }
        lazy.bits = bitcoin::CompactTarget::from_consensus(0);
        assert_eq!(
            check_work(&lazy, Network::Bitcoin),
            Err(HeaderError::NoWork)
        );
    }
}
