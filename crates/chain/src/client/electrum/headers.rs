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
            self.put(data);
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
