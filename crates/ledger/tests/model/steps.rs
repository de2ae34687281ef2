//! What may happen to a ledger, at random: few hashes, groups and parts, so that repeats repeat.

use proptest::prelude::*;
use sendpay_ledger::{Failure, Hop, Msat, NewPayment, NodeId, PaymentHash, Preimage, Status};

#[derive(Clone, Debug)]
pub(crate) enum Step {
    Begin(NewPayment),
    /// A payment in three parts.
    Parts(NewPayment),
    /// LDK says that a record is paid: any there ever was, by its place among them.
    Complete(prop::sample::Index),
    /// With a preimage of another hash.
    CompleteWithoutProof(prop::sample::Index),
    Fail(prop::sample::Index, bool, Failure),
    /// An event of a record that never was.
    Stray(u8),
    Delete(u8, Status, Option<(u64, u64)>),
    /// The process dies; one call that nobody was told of is lost with it.
    Crash(Option<NewPayment>),
}

pub(crate) fn preimage(number: u8) -> Preimage {
    Preimage([number; 32])
}

pub(crate) fn hash(number: u8) -> PaymentHash {
    preimage(number).payment_hash()
}

fn node(number: u8) -> NodeId {
    NodeId([number; 33])
}

fn text(words: &'static [&'static str]) -> impl Strategy<Value = Option<String>> {
    prop::option::of(prop::sample::select(words).prop_map(str::to_owned))
}

prop_compose! {
    fn new_payment()(
        number in 0..3u8,
        groupid in prop::option::of(0..4u64),
        partid in 0..4u64,
        destination in prop::option::of(1..3u8),
        // Mostly the same, so that repeats repeat.
        amount in prop_oneof![4 => Just(1000u64), 1 => Just(2000u64), 1 => Just(0u64)],
        fee in 0..3u64,
        total in prop_oneof![
            4 => Just(Some(3000u64)), 1 => Just(Some(4000u64)), 2 => Just(None)
        ],
        label in text(&["shop", "rent"]),
        bolt11 in text(&["lnbcrt1", "lnbcrt2"]),
        description in text(&["coffee"]),
        hops in prop::collection::vec((1..4u8, any::<u64>(), 0..2u8), 0..3),
        cltv_expiry in prop::option::of(any::<u32>()),
        cap in prop::option::weighted(0.3, prop_oneof![3 => Just(3000u64), 1 => Just(2000)]),
    ) -> NewPayment {
        let msat = |msat| Msat::new(msat).unwrap();
        NewPayment {
            payment_hash: hash(number),
            groupid,
            partid,
            destination: destination.map(node),
            amount_msat: msat(amount),
            amount_sent_msat: msat(amount + fee),
            total_msat: total.map(msat),
            label,
            bolt11,
            description,
            route: hops
                .into_iter()
                .map(|(to, short_channel_id, direction)| Hop {
                    node_id: node(to),
                    short_channel_id,
                    direction,
                    amount_msat: msat(amount),
                    delay: 42,
                })
                .collect(),
            cltv_expiry,
            cap_msat: cap.map(msat),
            request: None,
        }
    }
}

prop_compose! {
    fn failure()(
        code in 202..=209i32,
        failcode in prop::option::of(any::<u16>()),
        erring_index in prop::option::of(0..3u32),
        erring_node in prop::option::of(1..4u8),
        erring_channel in prop::option::of(any::<u64>()),
        erring_direction in prop::option::of(0..2u8),
        message in prop::sample::select(&["reply from remote", "local failure"][..]),
    ) -> Failure {
        Failure {
            code,
            failcode,
            erring_index,
            erring_node: erring_node.map(node),
            erring_channel,
            erring_direction,
            message: message.to_owned(),
        }
    }
}

fn status() -> impl Strategy<Value = Status> {
    prop::sample::select(&[Status::Pending, Status::Complete, Status::Failed][..])
}

pub(crate) fn step() -> impl Strategy<Value = Step> {
    let part = prop::option::of((0..4u64, 0..4u64));
    prop_oneof![
        10 => new_payment().prop_map(Step::Begin),
        3 => new_payment().prop_map(Step::Parts),
        5 => any::<prop::sample::Index>().prop_map(Step::Complete),
        1 => any::<prop::sample::Index>().prop_map(Step::CompleteWithoutProof),
        6 => (any::<prop::sample::Index>(), any::<bool>(), failure())
            .prop_map(|(which, with_hash, failure)| Step::Fail(which, with_hash, failure)),
        1 => (0..3u8).prop_map(Step::Stray),
        3 => (0..3u8, status(), part)
            .prop_map(|(number, status, part)| Step::Delete(number, status, part)),
        1 => prop::option::of(new_payment()).prop_map(Step::Crash),
    ]
}
