//! Every payment ever sent, and the promises about it.
//!
//! The ledger keeps one record for every part of a payment (one HTLC) that the node ever tried to
//! send, with a status that is always true, and the invoices that others pay to us. It knows no
//! LDK, no async runtime and no clock: time is an argument, in milliseconds since 1970. Its
//! rows live in the one ordered file of `sendpay-store`, beside LDK's own state.
//!
//! # The promises
//!
//! Each is kept by a constraint of the schema (`schema.rs`) and by a check in the code.
//!
//! - **L1 record before send.** [`Ledger::begin`] resolves when the record is durable.
//! - **L2 settle once.** A status moves from pending to complete or failed, once. `settle.rs`
//! - **L3 proof before word.** Complete only with a preimage that proves the hash. `settle.rs`
//! - **L4 failure is certain.** A preimage for a failed record is kept in `late_preimage`, warned
//!   of, and that hash takes no new send. `settle.rs`
//! - **L5 every change is numbered**, in commit order, no number twice. `number.rs`
//! - **L6 readers never block senders**: each page is a bounded read on a reader of its own. `page.rs`
//! - **L7 no payment twice**, before or after a crash or a deletion. `repeat.rs`

mod amount;
mod begin;
mod changed;
mod cln;
mod count;
mod delete;
mod filter;
#[cfg(test)]
mod filtering;
#[cfg(test)]
mod filtering_times;
mod follow;
mod forward;
mod groups;
mod heads;
mod identifier;
mod import;
mod indexed;
mod invoice;
mod invoice_book;
mod invoice_end;
mod invoice_list;
mod ledger;
mod listed;
mod nodes;
mod number;
mod page;
mod payment;
#[cfg(test)]
mod plan;
mod position;
mod read;
mod repeat;
mod request;
mod retire;
mod route;
mod row;
mod schema;
mod self_pay;
mod settle;
mod settle_imported;
mod standing;
mod text;
mod walk;

pub use amount::Msat;
pub use begin::Begun;
pub use changed::Waiter;
pub use cln::{ClnInvoice, ClnPayment};
pub use delete::DeleteError;
pub use filter::{Direction, Filter, Order, Span};
pub use follow::{Change, ChangeKind};
pub use forward::{Forward, ForwardError, ForwardFilter, ForwardStatus, NewForward};
pub use groups::Group;
pub use identifier::{NodeId, NotHex, PaymentHash, PaymentId, Preimage, payment_id};
pub use import::{
    ImportBatch, ImportError, Imported, ImportedEnd, ImportedInvoice, ImportedPayment, ImportedUpTo,
};
pub use indexed::{Index, Indexed};
pub use invoice::{
    AddInvoiceError, CancelError, Cancelled, Hold, HoldError, Invoice, InvoiceFilter, InvoiceKey,
    InvoiceState, InvoiceStatus, NewInvoice, Paid, PaidError,
};
pub use invoice_end::{DeleteInvoiceError, DeletedInvoice};
pub use ledger::Ledger;
pub use listed::ListedPayment;
pub use payment::{Failure, GROUPID_MAX, NewPayment, NotAStatus, Payment, Status, Violation};
pub use position::Cursor;
pub use read::{Counters, ReadError, Sum, Totals, Warning};
pub use repeat::BeginError;
pub use request::{IDEMPOTENCY_KEY_BYTES_MAX, KeepRequestError, KeptRequest, RequestKey};
pub use retire::{Aged, AgedPage, RETIRED_A_COMMIT_MAX, RetireError};
pub use route::{Hop, ROUTE_HOPS_MAX, RouteError};
pub use self_pay::SelfPayError;
pub use sendpay_store::{Closed, OpenError, Store, Ticket};
pub use settle::{SettleError, Settled, SettledRecord};
pub use settle_imported::{ImportedPending, SettleImportedError};
pub use standing::{OutgoingPart, Standing};
