//! What the tests share: a ledger of its own for each, and payments with plain numbers.

use sendpay_ledger::{
    Begun, Failure, Filter, Hop, Ledger, Msat, NewPayment, NodeId, Payment, PaymentHash, Preimage,
    Settled, SettledRecord, Store,
};
use tempfile::TempDir;

pub(crate) const NOW_MS: u64 = 1_700_000_000_000;

pub(crate) struct Scene {
    pub(crate) ledger: Ledger,
    pub(crate) store: Store,
    pub(crate) directory: TempDir,
}

impl Scene {
    pub(crate) fn new() -> Scene {
        let directory = TempDir::new().unwrap();
        let (store, ledger) = Ledger::open(&directory.path().join("ledger.sqlite")).unwrap();
        Scene {
            ledger,
            store,
            directory,
        }
    }

    pub(crate) fn record(&self, settled: SettledRecord) -> Payment {
        let filter = Filter {
            payment_hash: Some(settled.payment_hash),
            start: settled.created_index,
            ..Filter::default()
        };
        let mut found = None;
        let page = self.ledger.page(&filter, None, 1, &mut |payment| {
            found = Some((payment.groupid, payment.partid));
        });
        page.unwrap();
        let (groupid, partid) = found.unwrap();
        self.ledger
            .payment(settled.payment_hash, groupid, partid)
            .unwrap()
            .unwrap()
    }

    pub(crate) fn begin(&self, new: NewPayment) -> Payment {
        match self.ledger.begin(new, NOW_MS).wait().unwrap() {
            Ok(Begun::New(payment)) => payment,
            other => panic!("not new: {other:?}"),
        }
    }

    pub(crate) fn complete(&self, payment: &Payment, number: u8) -> Payment {
        let settled = self.ledger.complete(
            payment.payment_id(),
            payment.payment_hash,
            preimage(number),
            NOW_MS + 1000,
        );
        match settled.wait().unwrap() {
            Ok(Settled::Changed(record)) => self.record(record),
            other => panic!("not changed: {other:?}"),
        }
    }

    pub(crate) fn fail(&self, payment: &Payment) -> Payment {
        let settled = self.ledger.fail(
            payment.payment_id(),
            Some(payment.payment_hash),
            failure(),
            NOW_MS + 1000,
        );
        match settled.wait().unwrap() {
            Ok(Settled::Changed(record)) => self.record(record),
            other => panic!("not changed: {other:?}"),
        }
    }
}

pub(crate) fn preimage(number: u8) -> Preimage {
    Preimage([number; 32])
}

pub(crate) fn hash(number: u8) -> PaymentHash {
    preimage(number).payment_hash()
}

pub(crate) fn node(number: u8) -> NodeId {
    NodeId([number; 33])
}

pub(crate) fn msat(msat: u64) -> Msat {
    Msat::new(msat).unwrap()
}

pub(crate) fn failure() -> Failure {
    Failure {
        code: 204,
        failcode: Some(0x1007),
        erring_index: Some(1),
        erring_node: Some(node(3)),
        erring_channel: Some(u64::MAX),
        erring_direction: Some(1),
        message: "reply from remote".to_owned(),
    }
}

/// The part `partid` of group `groupid` of the payment `number`: 1000 msat to node 2.
pub(crate) fn part(number: u8, groupid: u64, partid: u64) -> NewPayment {
    NewPayment {
        payment_hash: hash(number),
        groupid: Some(groupid),
        partid,
        destination: Some(node(2)),
        amount_msat: msat(1000),
        amount_sent_msat: msat(1001),
        total_msat: (partid != 0).then(|| msat(3000)),
        label: None,
        bolt11: None,
        description: None,
        route: vec![Hop {
            node_id: node(2),
            short_channel_id: 7,
            direction: 0,
            amount_msat: msat(1000),
            delay: 42,
        }],
        cltv_expiry: Some(142),
        cap_msat: None,
        request: None,
    }
}
