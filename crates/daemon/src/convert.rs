//! From the ledger's and the node's values to what the contract shows, in one place.
//!
//! Plain functions: neither side knows the other, so no `From` can stand between them. Every
//! method that shows a payment uses `payment` here.

use sendpay_ledger as ledger;
use sendpay_ledger::Status;
use sendpay_node::{Paying, code};
use sendpay_rpc::failcode;
use sendpay_rpc::method::listinvoices::InvoiceRecord;
use sendpay_rpc::method::listpays::PaymentGroup;
use sendpay_rpc::payment::{Failure, Payment, invoice_members};
use sendpay_rpc::value::{Amounts, Hash32, Msat, NodeId, PaymentStatus, Scid, Secret};

use crate::attempts;

/// Milliseconds in a second: the ledger keeps the former, the contract shows the latter.
const MILLIS: u64 = 1_000;

/// A record as every method shows it.
pub(crate) fn payment(payment: &ledger::Payment, amounts: Amounts) -> Payment {
    listed(&payment.listed(), amounts).into_owned()
}

/// The same, for those who write it at once and keep nothing.
pub(crate) fn listed<'a>(
    payment: &ledger::ListedPayment<&'a str>,
    amounts: Amounts,
) -> Payment<&'a str> {
    let (bolt11, bolt12) = invoice_members(payment.bolt11);
    let pending = payment.status == Status::Pending;
    Payment {
        created_index: payment.created_index,
        id: payment.created_index,
        payment_hash: hash(payment.payment_hash),
        groupid: payment.groupid,
        updated_index: payment.updated_index,
        partid: Some(payment.partid).filter(|partid| *partid != 0),
        destination: payment.destination.map(node_id),
        amount_msat: Some(payment.amount_msat.msat())
            .filter(|amount| *amount != 0)
            .map(|amount| amounts.payment(amount)),
        amount_sent_msat: amounts.payment(payment.amount_sent_msat.msat()),
        created_at: payment.created_at_ms / MILLIS,
        completed_at: payment.completed_at_ms.map(|at| at / MILLIS),
        status: status(payment.status),
        payment_preimage: payment.preimage.map(secret),
        label: payment.label,
        bolt11,
        bolt12,
        description: payment.description,
        erroronion: None,
        cltv_expiry: payment.cltv_expiry.filter(|_| pending),
        failure: payment.failure.as_ref().map(failure).unwrap_or_default(),
    }
}

/// Why a record failed.
pub(crate) fn failure<Text: AsRef<str>>(failure: &ledger::Failure<Text>) -> Failure {
    Failure {
        code: Some(failure.code),
        erring_index: failure.erring_index,
        failcode: failure.failcode,
        failcodename: failure
            .failcode
            .and_then(failcode::name)
            .map(ToOwned::to_owned),
        erring_node: failure.erring_node.map(node_id),
        erring_channel: failure.erring_channel.map(Scid),
        erring_direction: failure.erring_direction,
        raw_message: None,
        message: Some(failure_text(failure)),
    }
}

/// The sentence that `waitsendpay` gives for a failure; CLN's where CLN has one.
pub(crate) fn failure_text<Text: AsRef<str>>(failure: &ledger::Failure<Text>) -> String {
    if failure.code == code::UNPARSEABLE_ONION {
        return "Malformed error reply".into();
    }
    let message = failure.message.as_ref();
    match failure.failcode {
        Some(code) => match failcode::name(code) {
            Some(name) => format!("failed: {name} ({message})"),
            None => format!("failed: {code} ({message})"),
        },
        None => message.to_owned(),
    }
}

/// Whether a group has failed so far, and more of it may be sent.
pub(crate) fn is_between_tries(group: &ledger::Group, paying: Option<&Paying>) -> bool {
    group.status == ledger::Status::Failed
        && paying.is_some_and(|paying| paying.groupid == Some(group.groupid))
}

/// A group as `listpays` shows it at that height, without its parts. What is under way of its hash says
/// whether it has ended: between two tries it is pending.
pub(crate) fn group<'g>(
    group: &'g ledger::Group,
    paying: Option<&Paying>,
    height: u32,
    amounts: Amounts,
) -> PaymentGroup<&'g str> {
    let (bolt11, bolt12) = invoice_members(group.bolt11.as_deref());
    let (safe_to_retry, safe_to_retry_reason) =
        attempts::safe_to_retry(&group.standing, paying.is_some());
    let goes_on = is_between_tries(group, paying);
    PaymentGroup {
        bolt11,
        bolt12,
        description: group.description.as_deref(),
        destination: group.destination.map(node_id),
        payment_hash: hash(group.payment_hash),
        status: match goes_on {
            true => status(ledger::Status::Pending),
            false => status(group.status),
        },
        created_at: group.created_at_ms / MILLIS,
        completed_at: group
            .completed_at_ms
            .filter(|_| !goes_on)
            .map(|at| at / MILLIS),
        label: group.label.as_deref(),
        preimage: group.preimage.map(secret),
        amount_msat: group
            .amount_msat
            .map(|amount| amounts.payment(amount.msat())),
        amount_sent_msat: amounts.payment(group.amount_sent_msat.msat()),
        number_of_parts: Some(group.number_of_parts).filter(|parts| *parts > 1),
        created_index: group.created_index,
        updated_index: group.updated_index,
        htlcs: match goes_on {
            true => Some(Vec::new()),
            false => attempts::htlcs(&group.standing, height, amounts),
        },
        safe_to_retry,
        safe_to_retry_reason,
        attempts: None,
    }
}

/// An invoice at that time.
pub(crate) fn invoice(invoice: &ledger::Invoice, now_ms: u64) -> InvoiceRecord {
    let paid = invoice.state == ledger::InvoiceState::Paid;
    let string = Some(invoice.bolt11.clone()).filter(|string| !string.is_empty());
    let (bolt11, bolt12) = invoice_members(string);
    InvoiceRecord {
        label: invoice.label.clone(),
        bolt11,
        bolt12,
        payment_hash: hash(invoice.payment_hash),
        amount_msat: invoice.amount_msat.map(|amount| Msat(amount.msat())),
        status: invoice.status(now_ms).to_string(),
        pay_index: invoice.pay_index,
        amount_received_msat: invoice
            .amount_received_msat
            .map(|amount| Msat(amount.msat())),
        paid_at: invoice.paid_at_ms.map(|at| at / MILLIS),
        payment_preimage: invoice.preimage.filter(|_| paid).map(secret),
        description: invoice.description.clone(),
        expires_at: invoice.expires_at_ms / MILLIS,
        created_index: invoice.created_index,
        updated_index: invoice.updated_index,
        hold_state: invoice.hold.then(|| hold_state(invoice, now_ms).to_owned()),
        claim_deadline: invoice.claim_deadline,
    }
}

/// open, held, settled, cancelled or expired.
pub(crate) fn hold_state(invoice: &ledger::Invoice, now_ms: u64) -> &'static str {
    match invoice.state {
        ledger::InvoiceState::Paid => "settled",
        ledger::InvoiceState::Cancelled => "cancelled",
        ledger::InvoiceState::Held => "held",
        ledger::InvoiceState::Expired => "expired",
        ledger::InvoiceState::Open if invoice.expired(now_ms) => "expired",
        ledger::InvoiceState::Open => "open",
    }
}

pub(crate) fn status(status: Status) -> PaymentStatus {
    match status {
        Status::Pending => PaymentStatus::Pending,
        Status::Complete => PaymentStatus::Complete,
        Status::Failed => PaymentStatus::Failed,
    }
}

pub(crate) fn from_status(status: PaymentStatus) -> Status {
    match status {
        PaymentStatus::Pending => Status::Pending,
        PaymentStatus::Complete => Status::Complete,
        PaymentStatus::Failed => Status::Failed,
    }
}

pub(crate) fn hash(hash: ledger::PaymentHash) -> Hash32 {
    Hash32::from_bytes(hash.0)
}

pub(crate) fn from_hash(hash: Hash32) -> ledger::PaymentHash {
    ledger::PaymentHash(hash.to_bytes())
}

pub(crate) fn node_id(node: ledger::NodeId) -> NodeId {
    NodeId::from_bytes(node.0)
}

pub(crate) fn from_node_id(node: NodeId) -> ledger::NodeId {
    ledger::NodeId(node.to_bytes())
}

pub(crate) fn secret(preimage: ledger::Preimage) -> Secret {
    Secret::from_bytes(preimage.0)
}
