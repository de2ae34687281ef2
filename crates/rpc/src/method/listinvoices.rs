//! `listinvoices`: the invoices of this node.

use super::{Category, Example, Method};
use crate::params;
use crate::value::{Hash32, InvoiceString, Label, ListIndex, Msat, PlainText, Secret, Subsystem};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

params! {
    /// Shows invoices that this node has made, hold invoices included, oldest first. At most one
    /// of *label*, *invstring*, *payment_hash* and *offer_id* can be given; an invoice that does
    /// not exist is an empty list, no error.
    pub struct ListInvoices {
        /// The invoice with this label.
        optional label: Label,
        /// This invoice.
        optional invstring: InvoiceString,
        /// The invoice with this payment_hash.
        optional payment_hash: Hash32,
        /// Invoices of this offer. Offers are not supported yet, so there are none.
        optional offer_id: PlainText,
        /// The order to list in: `created` by created_index, `updated` by updated_index. Invoices
        /// that never changed come first by `updated`, and only if *start* is 0. The default is
        /// `created`.
        optional index: ListIndex,
        /// List from this index on. Needs *index*.
        default(0) start: u64,
        /// List at most so many invoices. Needs *index*.
        optional limit: u32,
    }
}

/// One invoice.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct InvoiceRecord {
    /// The label given when it was made.
    pub label: String,
    /// The invoice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bolt11: Option<String>,
    /// The invoice, if it is of BOLT 12: only of an import.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bolt12: Option<String>,
    /// The hash of the preimage.
    pub payment_hash: Hash32,
    /// What it asks for. Not there if the payer chooses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amount_msat: Option<Msat>,
    /// One of *unpaid*, *paid* or *expired*. A hold invoice that is held is *unpaid*, one that was
    /// cancelled is *expired*.
    pub status: String,
    /// Number of the payment in the order in which invoices were paid. There if it is paid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pay_index: Option<u64>,
    /// What was received; a payer may give more than asked for. There if it is paid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amount_received_msat: Option<Msat>,
    /// When it was paid, in seconds since 1970 (UNIX time). There if it is paid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paid_at: Option<u64>,
    /// The payer's proof of payment. There if it is paid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payment_preimage: Option<Secret>,
    /// What is paid for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Until when it can be paid, in seconds since 1970 (UNIX time).
    pub expires_at: u64,
    /// Number of the invoice in the order of creation, from 1.
    pub created_index: u64,
    /// Number of the last change in the order of changes, if it has changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub updated_index: Option<u64>,
    /// One of *open*, *held*, *settled*, *cancelled* or *expired*. There if it is a hold invoice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold_state: Option<String>,
    /// The block height by which a held payment must be settled: from there on it is given back.
    /// There once a payment was held.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claim_deadline: Option<u32>,
}

/// The result of `listinvoices`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ListInvoicesResult {
    /// The invoices, by created_index unless *index* says otherwise.
    pub invoices: Vec<InvoiceRecord>,
}

impl Method for ListInvoices {
    const NAME: &'static str = "listinvoices";
    const ALIASES: &'static [&'static str] = &["listinvoice"];
    const CATEGORY: Category = Category::Payment;
    const SUMMARY: &'static str = "show the invoices of this node";
    type Result = ListInvoicesResult;
    const SEE_ALSO: &'static [&'static str] =
        &["invoice", "holdinvoice", "waitinvoice", "delinvoice"];
    const LISTS: Option<Subsystem> = Some(Subsystem::Invoices);
    const EXAMPLES: &'static [Example] = &[Example {
        params: "order-17",
        shows: "The invoice with this label.",
    }];
}
