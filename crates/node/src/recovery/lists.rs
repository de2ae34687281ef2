//! What a recovery begins with: the lists of channels that are brought back, made one.

use std::cmp::Reverse;

use bitcoin::secp256k1::PublicKey;
use sendpay_store::Store;

use super::{RecoveryError, STATE_AT, State};
use crate::kept::{GivenOut, Kept, KeptChannel};
use crate::peer;

/// Addresses that the wallet looks for beyond those that it had given out when the backup was made.
const ADDRESSES_BEYOND: u32 = 200;

/// State that the node keeps under a name: primary and secondary namespace, key, what is kept.
pub type KeptRow = ([String; 3], Vec<u8>);

/// What a store must hold for the node to recover what these lists name when it starts; the newest one
/// is believed where they differ.
///
/// # Errors
/// If one is of another node or network.
pub fn recovery_rows(
    lists: &[Kept],
    ours: PublicKey,
    network: bitcoin::Network,
    birthday: Option<u32>,
) -> Result<Vec<KeptRow>, RecoveryError> {
    let mut lists: Vec<&Kept> = lists.iter().collect();
    lists.sort_by_key(|kept| Reverse(kept.made_at));
    for kept in &lists {
        kept.check(ours, network)?;
    }
    let open = all_channels(&lists);
    let mut rows = Vec::new();
    for channel in &open {
        if let Some(address) = channel.addresses.first() {
            rows.push((
                peer::kept_at(&channel.node_id),
                address.clone().into_bytes(),
            ));
        }
    }
    rows.extend(lists.iter().find_map(|kept| kept.sweeps_row()));
    let earliest = lists.iter().map(|kept| kept.birthday).min();
    let most = |count: fn(&GivenOut) -> u32| {
        let most = lists.iter().map(|kept| count(&kept.given_out)).max();
        most.unwrap_or(0).saturating_add(ADDRESSES_BEYOND)
    };
    let given_out = GivenOut {
        addresses: [
            most(|given_out| given_out.addresses[0]),
            most(|given_out| given_out.addresses[1]),
        ],
        p2tr_addresses: most(|given_out| given_out.p2tr_addresses),
    };
    let state = State {
        birthday: birthday.or(earliest).unwrap_or(0),
        given_out,
        open,
        closed: Vec::new(),
        found: Vec::new(),
        seen: None,
        lists: lists.iter().map(|kept| kept.made_at).collect(),
    };
    rows.push((STATE_AT.map(str::to_owned), serde_json::to_vec(&state)?));
    Ok(rows)
}

/// The channels of all lists, the newest first; each with every address that one of them has.
fn all_channels(lists: &[&Kept]) -> Vec<KeptChannel> {
    let mut all: Vec<KeptChannel> = Vec::new();
    for channel in lists.iter().flat_map(|kept| &kept.channels) {
        match all
            .iter_mut()
            .find(|known| known.funding == channel.funding)
        {
            None => all.push(channel.clone()),
            Some(known) => {
                for address in &channel.addresses {
                    if !known.addresses.contains(address) {
                        known.addresses.push(address.clone());
                    }
                }
                known.script = known.script.take().or_else(|| channel.script.clone());
            }
        }
    }
    all
}

/// Whether a recovery began with this list, or, of one that stands for nothing else, has its channels
/// from elsewhere.
///
/// # Errors
/// If what is kept of the recovery cannot be read.
pub fn recovery_has(store: &Store, list: &Kept, is_alone: bool) -> Result<bool, RecoveryError> {
    let Some(state) = State::read(store)? else {
        return Ok(false);
    };
    let has = |channel: &KeptChannel| {
        let closed = state.closed.iter().map(|closed| &closed.channel);
        let mut known = state.open.iter().chain(closed);
        known.any(|known| known.funding == channel.funding)
    };
    Ok(state.lists.contains(&list.made_at) || is_alone && list.channels.iter().all(has))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;
    use bitcoin::hashes::Hash;
    use bitcoin::{Network, OutPoint, Txid};

    fn id() -> PublicKey {
        let hex = "0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798";
        hex.parse().unwrap()
    }

    fn list(made_at: u64, channels: &[(u32, &[&str])], sweeps: Option<&str>) -> Kept {
        let channel = |(vout, addresses): &(u32, &[&str])| KeptChannel {
            node_id: id(),
            addresses: addresses
                .iter()
                .map(|&address| address.to_owned())
                .collect(),
            channel_id: format!("{vout:064}"),
            funding: OutPoint::new(Txid::all_zeros(), *vout),
            script: None,
            amount_sat: 1,
        };
        Kept {
            node_id: id(),
            network: Network::Regtest,
            made_at,
            birthday: 0,
            given_out: GivenOut::default(),
            channels: channels.iter().map(channel).collect(),
            sweeps: sweeps.map(str::to_owned),
        }
    }

    #[test]
    fn of_two_lists_the_newer_one_is_believed_whichever_comes_first() {
        let old = list(
            1,
            &[(0, &["old:1", "both:1"]), (1, &["gone:1"])],
            Some("01"),
        );
        let new = list(2, &[(0, &["new:1", "both:1"])], Some("02"));
        for lists in [[&old, &new], [&new, &old]].map(|lists| lists.map(Clone::clone)) {
            let rows = recovery_rows(&lists, id(), Network::Regtest, None).unwrap();
            let [reached, _, sweeps, (_, state)] = &rows[..] else {
                panic!("{rows:?}")
            };
            assert_eq!(reached.1, b"new:1");
            assert_eq!(sweeps.1, [2]);
            let state: State = serde_json::from_slice(state).unwrap();
            let addresses: Vec<_> = state.open.iter().map(|open| &open.addresses[..]).collect();
            assert_eq!(addresses, [&["new:1", "both:1", "old:1"][..], &["gone:1"]]);
            assert_eq!(state.lists, [2, 1]);
        }
    }
}
