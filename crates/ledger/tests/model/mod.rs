//! The reference: a plain list of records and the rules written down once more, as simply as they
//! can be, with no database, no index and no page.

use sendpay_ledger::{
    ChangeKind, Counters, Failure, Group, Hop, Msat, NewPayment, NodeId, Order, OutgoingPart,
    Payment, PaymentHash, Preimage, Standing, Status, Sum, Totals,
};

/// A record, with nothing hidden.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) created_index: u64,
    pub(crate) updated_index: Option<u64>,
    pub(crate) payment_hash: PaymentHash,
    pub(crate) groupid: u64,
    pub(crate) partid: u64,
    pub(crate) destination: Option<NodeId>,
    pub(crate) amount_msat: Msat,
    pub(crate) amount_sent_msat: Msat,
    pub(crate) total_msat: Msat,
    pub(crate) created_at_ms: u64,
    pub(crate) completed_at_ms: Option<u64>,
    pub(crate) status: Status,
    pub(crate) preimage: Option<Preimage>,
    pub(crate) label: Option<String>,
    pub(crate) bolt11: Option<String>,
    pub(crate) description: Option<String>,
    pub(crate) cltv_expiry: Option<u32>,
    pub(crate) first_channel: Option<u64>,
    pub(crate) failure: Option<Failure>,
    pub(crate) own: bool,
    pub(crate) route: Vec<Hop>,
}

impl From<&Payment> for Record {
    fn from(payment: &Payment) -> Record {
        let payment = payment.clone();
        Record {
            route: payment.route().unwrap(),
            created_index: payment.created_index,
            updated_index: payment.updated_index,
            payment_hash: payment.payment_hash,
            groupid: payment.groupid,
            partid: payment.partid,
            destination: payment.destination,
            amount_msat: payment.amount_msat,
            amount_sent_msat: payment.amount_sent_msat,
            total_msat: payment.total_msat,
            created_at_ms: payment.created_at_ms,
            completed_at_ms: payment.completed_at_ms,
            status: payment.status,
            preimage: payment.preimage,
            label: payment.label,
            bolt11: payment.bolt11,
            description: payment.description,
            cltv_expiry: payment.cltv_expiry,
            first_channel: payment.first_channel,
            failure: payment.failure,
            own: payment.own,
        }
    }
}

/// What was said, in words that ledger and model share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    New(Record),
    Pending(Record),
    Complete(Record),
    Changed(Record),
    Deleted(Vec<Record>),
    Word(&'static str),
    Refused(String),
}

#[derive(Clone, Default)]
pub(crate) struct Model {
    /// Live ones, in the order of creation.
    pub(crate) records: Vec<Record>,
    /// Deleted ones, in the order of creation.
    pub(crate) deleted: Vec<Record>,
    pub(crate) late: Vec<(PaymentHash, u64)>,
    pub(crate) counters: Counters,
    /// Every change there was, of which record: the first has the number 1.
    pub(crate) changes: Vec<(ChangeKind, u64)>,
}

impl Model {
    /// Every record there ever was of this hash, in the order of creation.
    fn history(&self, hash: &PaymentHash) -> Vec<&Record> {
        let mut all: Vec<&Record> = self
            .records
            .iter()
            .chain(&self.deleted)
            .filter(|record| record.payment_hash == *hash)
            .collect();
        all.sort_by_key(|record| record.created_index);
        all
    }

    /// A tombstone forgets the texts and the route.
    fn as_kept(&self, record: &Record) -> Record {
        let lives = |live: &&Record| live.created_index == record.created_index;
        if self.records.iter().any(|live| lives(&live)) {
            return record.clone();
        }
        Record {
            label: None,
            bolt11: None,
            description: None,
            cltv_expiry: None,
            first_channel: None,
            failure: None,
            route: Vec::new(),
            ..record.clone()
        }
    }

    /// `None` for a new one.
    pub(crate) fn judge(&self, new: &NewPayment) -> (u64, Option<Answer>) {
        let history = self.history(&new.payment_hash);
        let next = history.iter().map(|record| record.groupid).max();
        let groupid = new.groupid.unwrap_or(next.unwrap_or(0) + 1);
        let total = new.total_msat.unwrap_or(new.amount_msat);
        let refuse = |text: String| (groupid, Some(Answer::Refused(text)));
        let elsewhere = |record: &Record| {
            record.destination.is_some()
                && new.destination.is_some()
                && record.destination != new.destination
        };
        let mut out = 0;
        let mut paid = false;
        for record in history {
            let (had, asked) = (record.amount_msat, new.amount_msat);
            let same_part = record.partid == new.partid;
            let same_group = record.groupid == groupid;
            match record.status {
                Status::Complete if same_part && had != asked => {
                    return refuse(format!("Already succeeded with amount {had} (not {asked})"));
                }
                Status::Complete if same_part && elsewhere(record) => {
                    let node_id = record.destination.unwrap();
                    return refuse(format!("Already succeeded to {node_id}"));
                }
                Status::Complete if same_part => {
                    return (groupid, Some(Answer::Complete(self.as_kept(record))));
                }
                Status::Complete => paid = true,
                Status::Pending if !same_group => {
                    return refuse(format!(
                        "Payment with groupid={} still in progress, cannot retry before that \
                         completes.",
                        record.groupid
                    ));
                }
                Status::Pending if record.partid == 0 && new.partid != 0 => {
                    return refuse("Already have non-parallel payment in progress".to_owned());
                }
                Status::Pending if record.partid != 0 && new.partid == 0 => {
                    return refuse("Already have parallel payment in progress".to_owned());
                }
                Status::Pending if same_part && had != asked => {
                    return refuse(format!("Already pending with amount {had} (not {asked})"));
                }
                Status::Pending if same_part && elsewhere(record) => {
                    let node_id = record.destination.unwrap();
                    return refuse(format!("Already pending to {node_id}"));
                }
                Status::Pending if same_part => {
                    return (groupid, Some(Answer::Pending(record.clone())));
                }
                Status::Pending if record.total_msat != total => {
                    let was = record.total_msat;
                    return refuse(format!("msatoshi was previously {was}, now {total}"));
                }
                Status::Pending => out += had.msat(),
                Status::Failed if same_part && same_group => {
                    return refuse(format!(
                        "There already is a payment with payment_hash={}, groupid={groupid}, \
                         partid={}. Either change the partid, or wait for the payment to complete \
                         and start a new group.",
                        new.payment_hash, new.partid
                    ));
                }
                Status::Failed => {}
            }
        }
        let total = total.msat();
        if paid {
            return refuse("Already succeeded other parts".to_owned());
        }
        if total != 0 && out >= total {
            return refuse(format!(
                "Already have {out}msat of {total}msat payments in progress"
            ));
        }
        let adding = new.amount_msat.msat();
        if let Some(cap) = new.cap_msat.map(Msat::msat)
            && out + adding > cap
        {
            return refuse(format!(
                "Already have {out}msat of {cap}msat payments in progress, {adding}msat more \
                 would exceed it"
            ));
        }
        if self.late.iter().any(|(hash, _)| *hash == new.payment_hash) {
            return refuse(format!(
                "Already succeeded: payment_hash={} was claimed after its record had failed",
                new.payment_hash
            ));
        }
        (groupid, None)
    }

    pub(crate) fn begin(&mut self, new: &NewPayment, now_ms: u64) -> Answer {
        let (groupid, answer) = self.judge(new);
        if let Some(answer) = answer {
            return answer;
        }
        self.counters.created += 1;
        self.counters.change += 1;
        let record = Record {
            created_index: self.counters.created,
            updated_index: None,
            payment_hash: new.payment_hash,
            groupid,
            partid: new.partid,
            destination: new.destination,
            amount_msat: new.amount_msat,
            amount_sent_msat: new.amount_sent_msat,
            total_msat: new.total_msat.unwrap_or(new.amount_msat),
            created_at_ms: now_ms,
            completed_at_ms: None,
            status: Status::Pending,
            preimage: None,
            label: new.label.clone(),
            bolt11: new.bolt11.clone(),
            description: new.description.clone(),
            cltv_expiry: new.cltv_expiry,
            first_channel: new.route.first().map(|hop| hop.short_channel_id),
            failure: None,
            own: true,
            route: new.route.clone(),
        };
        self.records.push(record.clone());
        let change = (ChangeKind::Created, record.created_index);
        self.changes.push(change);
        Answer::New(record)
    }

    fn settle(&mut self, created_index: u64, now_ms: u64, end: impl FnOnce(&mut Record)) -> Answer {
        self.counters.updated += 1;
        self.counters.change += 1;
        self.changes.push((ChangeKind::Updated, created_index));
        let updated_index = self.counters.updated;
        let mut records = self.records.iter_mut();
        let record = records
            .find(|record| record.created_index == created_index)
            .unwrap();
        record.updated_index = Some(updated_index);
        record.completed_at_ms = Some(now_ms.max(record.created_at_ms));
        end(record);
        Answer::Changed(record.clone())
    }

    fn status_of(records: &[Record], created_index: u64) -> Option<Status> {
        records
            .iter()
            .find(|record| record.created_index == created_index)
            .map(|record| record.status)
    }

    pub(crate) fn complete(
        &mut self,
        created_index: u64,
        hash: PaymentHash,
        preimage: Preimage,
        now_ms: u64,
    ) -> Answer {
        if preimage.payment_hash() != hash {
            return Answer::Refused(format!("the preimage does not prove payment_hash {hash}"));
        }
        let live = Self::status_of(&self.records, created_index);
        match live.or(Self::status_of(&self.deleted, created_index)) {
            Some(Status::Pending) => self.settle(created_index, now_ms, |record| {
                record.status = Status::Complete;
                record.preimage = Some(preimage);
            }),
            Some(Status::Complete) if live.is_some() => Answer::Word("already so"),
            Some(Status::Failed) => {
                if self.late.iter().all(|(late, _)| *late != hash) {
                    self.late.push((hash, created_index));
                }
                Answer::Word("preimage kept")
            }
            _ => Answer::Word("unknown"),
        }
    }

    pub(crate) fn fail(
        &mut self,
        created_index: u64,
        with_hash: bool,
        failure: Failure,
        now_ms: u64,
    ) -> Answer {
        match Self::status_of(&self.records, created_index) {
            Some(Status::Pending) => self.settle(created_index, now_ms, |record| {
                record.status = Status::Failed;
                record.failure = Some(failure);
            }),
            Some(Status::Failed) if with_hash => Answer::Word("already so"),
            Some(Status::Complete) if with_hash => Answer::Word("complete stays"),
            _ => Answer::Word("unknown"),
        }
    }

    pub(crate) fn delete(
        &mut self,
        hash: PaymentHash,
        status: Status,
        part: Option<(u64, u64)>,
    ) -> Answer {
        if status == Status::Pending {
            return Answer::Refused("status: Cannot delete pending status".to_owned());
        }
        let of_hash: Vec<Record> = self
            .records
            .iter()
            .filter(|record| record.payment_hash == hash)
            .cloned()
            .collect();
        if of_hash.is_empty() {
            return Answer::Refused(format!("Unknown payment with payment_hash: {hash}"));
        }
        let chosen: Vec<Record> = of_hash
            .into_iter()
            .filter(|record| part.is_none_or(|part| part == (record.groupid, record.partid)))
            .collect();
        let (gone, others): (Vec<Record>, Vec<Record>) = chosen
            .into_iter()
            .partition(|record| record.status == status);
        if let (true, Some(other)) = (gone.is_empty(), others.last()) {
            return Answer::Refused(format!(
                "Payment with hash {hash} has {} status but it different from the one provided \
                 {status}",
                other.status
            ));
        }
        if gone.is_empty() {
            return Answer::Refused(
                "No payment for that payment_hash with that partid and groupid".to_owned(),
            );
        }
        self.counters.deleted += gone.len() as u64;
        self.counters.change += gone.len() as u64;
        let changes = gone.iter().map(|record| record.created_index);
        let changes = changes.map(|index| (ChangeKind::Deleted, index));
        self.changes.extend(changes);
        self.records.retain(|record| !gone.contains(record));
        self.deleted.extend(gone.iter().cloned());
        Answer::Deleted(gone)
    }

    /// What a listing shows, all of it.
    pub(crate) fn list(
        &self,
        hash: Option<PaymentHash>,
        status: Option<Status>,
        order: Order,
        start: u64,
    ) -> Vec<Record> {
        let mut listed: Vec<Record> = self
            .records
            .iter()
            .filter(|record| hash.is_none_or(|hash| hash == record.payment_hash))
            .filter(|record| status.is_none_or(|status| status == record.status))
            .filter(|record| in_window(order, start, record.created_index, record.updated_index))
            .cloned()
            .collect();
        if order == Order::Updated {
            // Never changed sorts before any number, and the sort keeps the order of creation.
            listed.sort_by_key(|record| record.updated_index);
        }
        listed
    }

    /// What a listing of groups shows, all of it.
    pub(crate) fn groups(
        &self,
        hash: Option<PaymentHash>,
        status: Option<Status>,
        order: Order,
        start: u64,
    ) -> Vec<Group> {
        let mut names: Vec<(PaymentHash, u64)> = Vec::new();
        for record in &self.records {
            let name = (record.payment_hash, record.groupid);
            if !names.contains(&name) {
                names.push(name);
            }
        }
        let mut groups: Vec<Group> = names
            .into_iter()
            .filter(|(of, _)| hash.is_none_or(|hash| hash == *of))
            .map(|name| self.sum_up(name))
            .filter(|group| status.is_none_or(|status| status == group.status))
            .filter(|group| in_window(order, start, group.created_index, group.updated_index))
            .collect();
        if order == Order::Updated {
            groups.sort_by_key(|group| group.updated_index);
        }
        groups
    }

    fn sum_up(&self, (payment_hash, groupid): (PaymentHash, u64)) -> Group {
        let parts: Vec<&Record> = self
            .records
            .iter()
            .filter(|record| (record.payment_hash, record.groupid) == (payment_hash, groupid))
            .collect();
        let with = |status| parts.iter().filter(move |part| part.status == status);
        let status = [Status::Complete, Status::Pending]
            .into_iter()
            .find(|status| with(*status).count() > 0)
            .unwrap_or(Status::Failed);
        let counted: Vec<&&Record> = parts
            .iter()
            .filter(|part| part.status != Status::Failed)
            .collect();
        let sum = |of: fn(&Record) -> Msat| {
            let msat = counted.iter().map(|part| of(part).msat()).sum();
            Msat::new(msat).unwrap()
        };
        Group {
            payment_hash,
            groupid,
            status,
            amount_msat: (!counted.is_empty()
                && counted.iter().all(|part| part.amount_msat != Msat::ZERO))
            .then(|| sum(|part| part.amount_msat)),
            amount_sent_msat: sum(|part| part.amount_sent_msat),
            number_of_parts: counted.len() as u64,
            created_index: parts[0].created_index,
            updated_index: parts.iter().filter_map(|part| part.updated_index).max(),
            created_at_ms: parts[0].created_at_ms,
            completed_at_ms: with(Status::Complete)
                .filter_map(|part| part.completed_at_ms)
                .min(),
            preimage: with(Status::Complete)
                .next_back()
                .and_then(|part| part.preimage),
            bolt11: parts.iter().find_map(|part| part.bolt11.clone()),
            description: parts.iter().find_map(|part| part.description.clone()),
            destination: parts[0].destination,
            label: parts[0].label.clone(),
            standing: self.standing(&parts, status),
        }
    }

    /// Whether the hash of these parts may be paid again.
    fn standing(&self, parts: &[&Record], status: Status) -> Standing {
        let hash = &parts[0].payment_hash;
        let any = |status| {
            let history = self.history(hash);
            history.iter().any(|record| record.status == status)
        };
        match status {
            Status::Complete => Standing::Complete,
            Status::Pending => {
                let mut out: Vec<OutgoingPart> = parts
                    .iter()
                    .filter(|part| part.status == Status::Pending)
                    .map(|part| OutgoingPart {
                        partid: part.partid,
                        first_channel: part.first_channel,
                        amount_sent_msat: part.amount_sent_msat,
                        cltv_expiry: part.cltv_expiry,
                    })
                    .collect();
                out.sort_by_key(|part| part.partid);
                Standing::Pending(out)
            }
            Status::Failed if self.late.iter().any(|(late, _)| late == hash) => {
                Standing::ClaimedLate
            }
            Status::Failed if any(Status::Complete) => Standing::OtherComplete,
            Status::Failed if any(Status::Pending) => Standing::OtherPending,
            Status::Failed => Standing::Free,
        }
    }

    pub(crate) fn totals(&self) -> Totals {
        let sum = |status| {
            let records = self.records.iter().filter(|record| record.status == status);
            records.fold(Sum::default(), |sum, record| {
                let sent = u128::from(record.amount_sent_msat.msat());
                let unknown = u128::from(record.amount_msat == Msat::ZERO);
                Sum {
                    count: sum.count + 1,
                    amount_msat: sum.amount_msat + u128::from(record.amount_msat.msat()),
                    amount_sent_msat: sum.amount_sent_msat + sent,
                    sent_for_unknown_msat: sum.sent_for_unknown_msat + unknown * sent,
                }
            })
        };
        Totals {
            pending: sum(Status::Pending),
            complete: sum(Status::Complete),
            failed: sum(Status::Failed),
        }
    }
}

fn in_window(order: Order, start: u64, created: u64, updated: Option<u64>) -> bool {
    match order {
        Order::Created => created >= start,
        Order::Updated => start == 0 || updated.is_some_and(|updated| updated >= start),
    }
}
