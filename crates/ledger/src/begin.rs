//! The pending record, made before anything is sent (L1), if the repeat rules allow it (L7).

use std::sync::Arc;

use rusqlite::{Connection, params};
use sendpay_store::Ticket;

use crate::number::next_created;
use crate::repeat::{Earlier, Verdict, judge};
use crate::request::{begun_with_key, keep};
use crate::row::{deleted_payment, live_payment, sql};
use crate::text::{invoice_row, known_invoice_row, optional_node_row, optional_text_row};
use crate::{BeginError, Ledger, NewPayment, Payment, ReadError, Status, Violation, route};

/// What asking for a payment came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Begun {
    /// A new record, durable: it may be sent now.
    New(Payment),
    /// The same part is out already: nothing was recorded, send nothing.
    Pending(Payment),
    /// The same part was paid already: nothing was recorded, send nothing.
    Complete(Payment),
    /// The part that was begun with the same key has failed: nothing was recorded, send nothing.
    /// Only of a request with a key.
    Failed(Payment),
}

impl Ledger {
    /// Applies the repeat rules and makes the pending record, in one commit (L1, L7).
    /// A key that stands for an earlier request comes before the rules: its part is the answer.
    pub fn begin(&self, new: NewPayment, now_ms: u64) -> Ticket<Result<Begun, BeginError>> {
        let changed = Arc::clone(&self.payments_changed);
        self.store.enqueue_then(
            bytes(&new),
            move |connection| begin(connection, new, now_ms),
            move |outcome| {
                if let Ok(Begun::New(payment)) = outcome {
                    changed.wake(&payment.payment_hash);
                }
            },
        )
    }

    /// What [`Ledger::begin`] would say now; `None` for a new record. Writes nothing, promises
    /// nothing: another may begin it in between.
    pub fn peek(&self, new: &NewPayment) -> Result<Option<Begun>, BeginError> {
        self.store.read(|connection| {
            if let Some(begun) = begun_with_key(connection, new)? {
                return Ok(Some(begun));
            }
            match judge(connection, new)? {
                Verdict::New { .. } => Ok(None),
                Verdict::Same(earlier) => begun_before(connection, &earlier).map(Some),
            }
        })
    }
}

/// About how much memory a call with it holds.
pub(crate) fn bytes(new: &NewPayment) -> usize {
    let text = |text: &Option<String>| text.as_ref().map_or(0, String::len);
    let key = new.request.as_ref().map_or(0, |request| request.key.len());
    size_of::<NewPayment>()
        + key
        + size_of_val(new.route.as_slice())
        + text(&new.label)
        + text(&new.bolt11)
        + text(&new.description)
}

/// The rules and the record, inside a call.
pub(crate) fn begin(
    connection: &Connection,
    new: NewPayment,
    now_ms: u64,
) -> Result<Begun, BeginError> {
    if let Some(begun) = begun_with_key(connection, &new)? {
        return Ok(begun);
    }
    let request = new.request.clone();
    let begun = match judge(connection, &new)? {
        Verdict::New {
            groupid,
            is_first,
            follows,
        } => {
            let bolt11 = match &new.bolt11 {
                Some(bolt11) if is_first => Some(invoice_row(connection, bolt11)?),
                Some(bolt11) => Some(known_invoice_row(connection, &new.payment_hash, bolt11)?),
                None => None,
            };
            let place = Place { groupid, follows };
            Begun::New(insert(connection, new, bolt11, &place, now_ms)?)
        }
        Verdict::Same(earlier) => begun_before(connection, &earlier)?,
    };
    if let (
        Some(request),
        Begun::New(payment) | Begun::Pending(payment) | Begun::Complete(payment),
    ) = (request, &begun)
    {
        let hash = payment.payment_hash;
        keep(connection, &request, hash, payment.groupid, now_ms)?;
    }
    Ok(begun)
}

fn begun_before(connection: &Connection, earlier: &Earlier) -> Result<Begun, BeginError> {
    let found = match earlier.deleted {
        true => deleted_payment(connection, earlier.created_index)?,
        false => live_payment(connection, earlier.created_index)?,
    };
    // On a reader the record may have been settled or deleted since the rules looked at it.
    let payment = match found {
        Some(payment) => payment,
        None => deleted_payment(connection, earlier.created_index)?
            .ok_or(ReadError::Store(rusqlite::Error::QueryReturnedNoRows))?,
    };
    match payment.status {
        Status::Pending => Ok(Begun::Pending(payment)),
        Status::Complete => Ok(Begun::Complete(payment)),
        Status::Failed => Err(BeginError::GroupPartFailed {
            payment_hash: payment.payment_hash,
            groupid: payment.groupid,
            partid: payment.partid,
        }),
    }
}

/// Where a new record belongs.
struct Place {
    groupid: u64,
    /// The first record of the group, if this is another.
    follows: Option<i64>,
}

fn insert(
    connection: &Connection,
    new: NewPayment,
    bolt11: Option<i64>,
    &Place { groupid, follows }: &Place,
    now_ms: u64,
) -> Result<Payment, BeginError> {
    let total_msat = new.effective_total_msat();
    let route = route::encode(&new.route)?;
    let first_channel = new.route.first().map(|hop| hop.short_channel_id);
    let numbers = next_created(connection)?;
    connection
        .prepare_cached(
            "INSERT INTO payment (created_index, created_change, payment_hash, groupid, partid,
                 destination, amount_msat, amount_sent_msat, total_msat, created_at, label,
                 bolt11, description, cltv_expiry, first_channel, route, follows)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17)",
        )?
        .execute(params![
            numbers.index,
            numbers.change,
            new.payment_hash.as_bytes(),
            sql(groupid),
            sql(new.partid),
            optional_node_row(connection, new.destination.as_ref())?,
            sql(new.amount_msat.msat()),
            sql(new.amount_sent_msat.msat()),
            sql(total_msat.msat()),
            sql(now_ms),
            optional_text_row(connection, new.label.as_deref())?,
            bolt11,
            optional_text_row(connection, new.description.as_deref())?,
            new.cltv_expiry,
            first_channel.map(u64::cast_signed),
            &route,
            follows,
        ])?;
    let created_index = u64::try_from(numbers.index).map_err(|_| Violation::Value {
        created_index: 0,
        column: "created_index",
    })?;
    Ok(Payment {
        created_index,
        updated_index: None,
        payment_hash: new.payment_hash,
        groupid,
        partid: new.partid,
        destination: new.destination,
        amount_msat: new.amount_msat,
        amount_sent_msat: new.amount_sent_msat,
        total_msat,
        created_at_ms: now_ms,
        completed_at_ms: None,
        status: Status::Pending,
        preimage: None,
        label: new.label,
        bolt11: new.bolt11,
        description: new.description,
        cltv_expiry: new.cltv_expiry,
        first_channel,
        failure: None,
        own: true,
        route,
    })
}
