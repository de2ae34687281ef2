//! The import itself: every row is read once before any is recorded; then they are recorded in small
//! commits, in CLN's order, from where an earlier import ended.

use std::collections::VecDeque;

use sendpay_ledger::{
    Closed, ImportBatch, Imported, ImportedEnd, ImportedPending, Ledger, PaymentHash, ReadError,
    SettleImportedError, Ticket,
};

use crate::cell::RowError;
use crate::file::{ClnFile, OpenError};
use crate::invoices::{self, InvoiceFacts};
use crate::payments;
use crate::version::{INVOICES, PAYMENTS, select};

/// Rows of one call of the store. SQLite goes through all pages that the call has changed so far at
/// the end of each statement: with 500 rows that took most of the time.
const ROWS_A_CALL: usize = 32;

/// Calls that are on their way while the next rows are read. The store commits together what waits:
/// enough that its fsync is spread thin, and few enough that a start after a kill repeats little.
const CALLS_QUEUED_MAX: usize = 64;

/// How much was imported.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// What this import recorded.
    pub added: Imported,
    /// Payments of an earlier import that were pending, and that the file says the end of by now.
    pub settled: u64,
    /// Of those recorded: payments that are pending.
    pub pending: u64,
    /// Of those pending: payments that CLN called complete and had no proof for.
    pub unproven: u64,
}

/// What an import is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Reading every row, to refuse a bad file before anything is changed.
    Checking,
    /// Recording them.
    Recording,
}

/// How far a step has come, in rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// What it does.
    pub step: Step,
    /// Rows it is done with.
    pub done: u64,
    /// Rows there are.
    pub of: u64,
}

/// Why an import failed. What it had recorded stays, and the next one goes on from there.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The file.
    #[error(transparent)]
    File(#[from] OpenError),
    /// A row that no lightningd writes; nothing was recorded.
    #[error("the file is damaged: {0}")]
    Row(#[from] RowError),
    /// Another file was imported under this name.
    #[error(
        "another file was imported as {origin} before: its {table} {id} is not the one of this \
         file; if this is another node, give it a name of its own with --name"
    )]
    OtherNode {
        /// The name.
        origin: String,
        /// Where they differ.
        table: &'static str,
        /// The row that differs.
        id: i64,
    },
    /// Somebody wrote to the file.
    #[error("the file was changed while it was read; stop lightningd and import again")]
    Changed,
    /// The ledger could not be read.
    #[error("the ledger could not be read")]
    Read(#[from] ReadError),
    /// The ledger refused.
    #[error("the ledger could not record it")]
    Record(#[from] sendpay_ledger::ImportError),
    /// The ledger refused the end of one that was pending.
    #[error("the ledger could not settle one that was pending")]
    Settle(#[from] SettleImportedError),
    /// The store was closed.
    #[error(transparent)]
    Closed(#[from] Closed),
}

/// Records the file's payments and invoices as history of the node `origin`. `facts` reads an
/// invoice; `progress` is told after each commit.
pub fn import(
    ledger: &Ledger,
    file: &ClnFile,
    origin: &str,
    facts: Facts<'_>,
    progress: &mut dyn FnMut(Progress),
) -> Result<Summary, ImportError> {
    let done = ledger.imported_up_to(origin)?;
    same_node(file, origin, "payments", done.payment)?;
    same_node(file, origin, "invoices", done.invoice)?;
    let run = Run {
        file,
        after_payment: done.payment.map_or(-1, |(id, _)| id),
        after_invoice: done.invoice.map_or(-1, |(id, _)| id),
    };
    let before = ledger.imported_pending(origin)?;
    let of = run.count()?;
    let mut checked = 0;
    run.batches(&|_| None, &mut |batch, _| {
        checked += rows(&batch);
        progress(Progress {
            step: Step::Checking,
            done: checked,
            of,
        });
        Ok(())
    })?;
    let mut summary = Summary::default();
    let mut queued: VecDeque<(u64, Ticket<_>)> = VecDeque::new();
    let mut recorded = 0;
    let mut await_one = |queued: &mut VecDeque<(u64, Ticket<Result<Imported, _>>)>,
                         summary: &mut Summary|
     -> Result<(), ImportError> {
        if let Some((rows, ticket)) = queued.pop_front() {
            let added = ticket.wait()??;
            summary.added.payments += added.payments;
            summary.added.invoices += added.invoices;
            recorded += rows;
            progress(Progress {
                step: Step::Recording,
                done: recorded,
                of,
            });
        }
        Ok(())
    };
    run.batches(facts, &mut |batch, unproven| {
        summary.unproven += unproven;
        summary.pending += pending(&batch);
        queued.push_back((rows(&batch), ledger.import(origin, batch)));
        while queued.len() >= CALLS_QUEUED_MAX {
            await_one(&mut queued, &mut summary)?;
        }
        Ok(())
    })?;
    while !queued.is_empty() {
        await_one(&mut queued, &mut summary)?;
    }
    summary.settled = run.settle(ledger, before)?;
    match file.is_unchanged() {
        true => Ok(summary),
        false => Err(ImportError::Changed),
    }
}

fn rows(batch: &ImportBatch) -> u64 {
    let rows = batch.payments.len() + batch.invoices.len();
    u64::try_from(rows).unwrap_or(u64::MAX)
}

fn pending(batch: &ImportBatch) -> u64 {
    let pending = batch
        .payments
        .iter()
        .filter(|payment| payment.end == ImportedEnd::Pending);
    u64::try_from(pending.count()).unwrap_or(u64::MAX)
}

/// The last row of an earlier import must be the one in this file, if it is still there.
fn same_node(
    file: &ClnFile,
    origin: &str,
    table: &'static str,
    last: Option<(i64, PaymentHash)>,
) -> Result<(), ImportError> {
    let Some((id, hash)) = last else {
        return Ok(());
    };
    let differs = file
        .connection
        .prepare(&format!(
            "SELECT 1 FROM {table} WHERE id = ?1 AND payment_hash <> ?2"
        ))
        .and_then(|mut statement| statement.exists((id, hash.as_bytes())))
        .map_err(|cause| file.failed(cause))?;
    match differs {
        true => Err(ImportError::OtherNode {
            origin: origin.to_owned(),
            table,
            id,
        }),
        false => Ok(()),
    }
}

/// Reads an invoice, or cannot.
type Facts<'a> = &'a dyn Fn(&str) -> Option<InvoiceFacts>;

/// Takes a batch, and how many of it are unproven.
type Take<'a> = &'a mut dyn FnMut(ImportBatch, u64) -> Result<(), ImportError>;

/// One pass over what is new.
struct Run<'a> {
    file: &'a ClnFile,
    after_payment: i64,
    after_invoice: i64,
}

impl Run<'_> {
    fn count(&self) -> Result<u64, OpenError> {
        let count = self.file.connection.query_row(
            "SELECT (SELECT count(*) FROM payments WHERE id > ?1)
                 + (SELECT count(*) FROM invoices WHERE id > ?2)",
            [self.after_payment, self.after_invoice],
            |row| row.get::<_, i64>(0),
        );
        let count = count.map_err(|cause| self.file.failed(cause))?;
        Ok(count.cast_unsigned())
    }

    fn batches(&self, facts: Facts<'_>, take: Take<'_>) -> Result<(), ImportError> {
        self.payments(take)?;
        self.invoices(facts, take)
    }

    /// Ends what was pending at an earlier import, where the file has it ended. Returns how many.
    fn settle(&self, ledger: &Ledger, pending: Vec<ImportedPending>) -> Result<u64, ImportError> {
        let failed = |cause| self.file.failed(cause);
        let statement = select("payments", PAYMENTS, self.file.version, "WHERE id = ?1");
        let mut statement = self.file.connection.prepare(&statement).map_err(failed)?;
        let mut settled = 0;
        for record in pending {
            let mut found = statement.query([record.origin_id]).map_err(failed)?;
            let Some(row) = found.next().map_err(failed)? else {
                continue;
            };
            let payment = payments::read(row)?.payment;
            if payment.payment_hash == record.payment_hash && payment.end != ImportedEnd::Pending {
                settled += u64::from(ledger.end_imported(record, payment.end).wait()??);
            }
        }
        Ok(settled)
    }

    fn payments(&self, take: Take<'_>) -> Result<(), ImportError> {
        let failed = |cause| self.file.failed(cause);
        let statement = select(
            "payments",
            PAYMENTS,
            self.file.version,
            "WHERE id > ?1 ORDER BY id",
        );
        let mut statement = self.file.connection.prepare(&statement).map_err(failed)?;
        let mut found = statement.query([self.after_payment]).map_err(failed)?;
        let (mut batch, mut unproven) = (ImportBatch::default(), 0);
        while let Some(row) = found.next().map_err(failed)? {
            let read = payments::read(row)?;
            unproven += u64::from(read.unproven);
            batch.bytes += read.bytes;
            batch.payments.push(read.payment);
            if batch.payments.len() == ROWS_A_CALL {
                take(std::mem::take(&mut batch), std::mem::take(&mut unproven))?;
            }
        }
        take(batch, unproven)
    }

    fn invoices(&self, facts: Facts<'_>, take: Take<'_>) -> Result<(), ImportError> {
        let failed = |cause| self.file.failed(cause);
        let statement = select(
            "invoices",
            INVOICES,
            self.file.version,
            "WHERE id > ?1 ORDER BY id",
        );
        let mut statement = self.file.connection.prepare(&statement).map_err(failed)?;
        let mut found = statement.query([self.after_invoice]).map_err(failed)?;
        let mut batch = ImportBatch::default();
        while let Some(row) = found.next().map_err(failed)? {
            let (invoice, bytes) = invoices::read(row, facts)?;
            batch.bytes += bytes;
            batch.invoices.push(invoice);
            if batch.invoices.len() == ROWS_A_CALL {
                take(std::mem::take(&mut batch), 0)?;
            }
        }
        take(batch, 0)
    }
}
