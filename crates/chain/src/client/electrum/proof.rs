//! Whether a block has a transaction: a path of hashes from it up to the root in the header.

use bitcoin::hashes::{Hash, HashEngine, sha256d};
use bitcoin::{Transaction, TxMerkleNode, Txid};
use serde::Deserialize;

/// The longest path: that of a block with a billion transactions.
const PATH_MAX: usize = 30;

/// The size, without witnesses, at which a transaction can be taken for two hashes of the tree.
const AMBIGUOUS_BYTES: usize = 64;

/// What `blockchain.transaction.get_merkle` answers.
#[derive(Debug, Deserialize)]
pub(super) struct Proof {
    /// Place in the block.
    pub(super) pos: usize,
    /// The other hashes on the way up, as they are shown, the lowest first.
    merkle: Vec<TxMerkleNode>,
}

impl Proof {
    /// The path of the first transaction of a block.
    pub(super) fn of_first(merkle: Vec<TxMerkleNode>) -> Proof {
        Proof { pos: 0, merkle }
    }

    /// Whether the transaction is at this place of a block with that root.
    pub(super) fn fits(&self, txid: Txid, root: TxMerkleNode) -> bool {
        if self.merkle.len() > PATH_MAX {
            return false;
        }
        let mut place = self.pos;
        let mut hash = txid.to_raw_hash();
        for other in &self.merkle {
            let other = other.to_raw_hash();
            let pair = if place.is_multiple_of(2) {
                [hash, other]
            } else {
                [other, hash]
            };
            let mut engine = sha256d::Hash::engine();
            for half in pair {
                engine.input(half.as_byte_array());
            }
            hash = sha256d::Hash::from_engine(engine);
            place /= 2;
        }
        // A place beyond the tree would be another one in it.
        place == 0 && hash == root.to_raw_hash()
    }
}

/// Whether it could be a pair of hashes in the tree, dressed as a transaction.
pub(super) fn is_ambiguous(transaction: &Transaction) -> bool {
    transaction.base_size() == AMBIGUOUS_BYTES
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;
    use bitcoin::hashes::sha256d::Hash as Sha256d;

    fn txid(number: u8) -> Txid {
        Txid::from_raw_hash(Sha256d::hash(&[number]))
    }

    fn parent(left: &[u8], right: &[u8]) -> TxMerkleNode {
        TxMerkleNode::from_raw_hash(Sha256d::hash(&[left, right].concat()))
    }

    /// A block of three: the third is paired with itself.
    fn tree() -> (TxMerkleNode, [Vec<TxMerkleNode>; 3]) {
        let [a, b, c] = [0, 1, 2].map(|number| TxMerkleNode::from(txid(number)));
        let left = parent(a.as_byte_array(), b.as_byte_array());
        let right = parent(c.as_byte_array(), c.as_byte_array());
        let root = parent(left.as_byte_array(), right.as_byte_array());
        (root, [vec![b, right], vec![a, right], vec![c, left]])
    }

    #[test]
    fn a_path_leads_from_its_transaction_at_its_place_to_the_root_and_from_no_other() {
        let (root, paths) = tree();
        for (pos, merkle) in paths.into_iter().enumerate() {
            let proof = Proof { pos, merkle };
            for number in 0..4 {
                let own = usize::from(number) == pos;
                assert_eq!(proof.fits(txid(number), root), own, "{number} at {pos}");
            }
            assert!(!proof.fits(txid(u8::try_from(pos).unwrap()), TxMerkleNode::all_zeros()));
        }
    }

    #[test]
    fn a_place_beyond_the_tree_is_none() {
        let (root, [first, ..]) = tree();
        let proof = Proof {
            pos: 4,
            merkle: first,
        };
        assert!(!proof.fits(txid(0), root));
    }

    #[test]
    fn a_path_that_is_too_long_is_not_walked() {
        let proof = Proof {
            pos: 0,
            merkle: vec![TxMerkleNode::all_zeros(); PATH_MAX + 1],
        };
        assert!(!proof.fits(txid(0), TxMerkleNode::all_zeros()));
    }
}
