//! The records of a page as listings show them, read with as little work for each as can be: the
//! texts of all of them together, since those of neighbours stand side by side in the table of texts,
//! where walking along it costs a fraction of a look-up for each; no route, which no listing shows;
//! and nothing copied but the bodies of the texts, into one string.

use std::ops::Range;

use rusqlite::{Connection, Row};

use crate::nodes::NodesOfPage;
use crate::row::{TextOf, decode_listed};
use crate::{Failure, Msat, NodeId, Payment, PaymentHash, Preimage, ReadError, Status, Violation};

/// Texts that stand at most so far apart are read in one walk, with what is between them: a step
/// costs a tenth of a look-up.
const STEPS_MAX: i64 = 8;

/// All texts in a stretch of the table.
const TEXTS: &str = "SELECT id, body FROM text WHERE id BETWEEN ?1 AND ?2 ORDER BY id";

/// A record as listings show it: a [`Payment`] without its route and what goes with that. The texts
/// are lent while a page is visited ([`crate::Ledger::page`]); [`ListedPayment::into_owned`] keeps them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedPayment<Text = String> {
    /// Its number in the order of creation, from 1.
    pub created_index: u64,
    /// The number of its last change; `None` while it never changed.
    pub updated_index: Option<u64>,
    /// What is paid.
    pub payment_hash: PaymentHash,
    /// The try it belongs to.
    pub groupid: u64,
    /// The part of that try.
    pub partid: u64,
    /// The final node, where known.
    pub destination: Option<NodeId>,
    /// What this part delivers, in msat.
    pub amount_msat: Msat,
    /// What left us for it, fees included, in msat.
    pub amount_sent_msat: Msat,
    /// When it was begun, in ms since 1970.
    pub created_at_ms: u64,
    /// When it was settled, in ms since 1970; never before `created_at_ms`.
    pub completed_at_ms: Option<u64>,
    /// Where it stands.
    pub status: Status,
    /// The proof; there if and only if it is complete (L3).
    pub preimage: Option<Preimage>,
    /// The sender's own words for it.
    pub label: Option<Text>,
    /// The invoice it pays.
    pub bolt11: Option<Text>,
    /// The description whose hash the invoice has.
    pub description: Option<Text>,
    /// The height from which the first HTLC can be taken back.
    pub cltv_expiry: Option<u32>,
    /// Why it failed; only of a failed one, and there for every one of our own.
    pub failure: Option<Failure<Text>>,
}

impl<Text> ListedPayment<Text> {
    /// The same record with other texts.
    fn map<To>(&self, mut text: impl FnMut(TextOf, &Text) -> To) -> ListedPayment<To> {
        ListedPayment {
            created_index: self.created_index,
            updated_index: self.updated_index,
            payment_hash: self.payment_hash,
            groupid: self.groupid,
            partid: self.partid,
            destination: self.destination,
            amount_msat: self.amount_msat,
            amount_sent_msat: self.amount_sent_msat,
            created_at_ms: self.created_at_ms,
            completed_at_ms: self.completed_at_ms,
            status: self.status,
            preimage: self.preimage,
            // In the order in which a record's texts are stored.
            bolt11: self
                .bolt11
                .as_ref()
                .map(|bolt11| text(TextOf::Bolt11, bolt11)),
            label: self.label.as_ref().map(|label| text(TextOf::Label, label)),
            description: self
                .description
                .as_ref()
                .map(|description| text(TextOf::Description, description)),
            cltv_expiry: self.cltv_expiry,
            failure: self
                .failure
                .as_ref()
                .map(|failure| failure.map(|message| text(TextOf::Message, message))),
        }
    }

    /// What must hold of every record at every time.
    pub fn invariants(&self) -> Result<(), Violation> {
        let proved = self
            .preimage
            .map(|preimage| preimage.payment_hash() == self.payment_hash);
        if proved != (self.status == Status::Complete).then_some(true) {
            return Err(Violation::Proof(self.created_index));
        }
        let settled = self.status != Status::Pending;
        if self.completed_at_ms.is_some() != settled
            || self
                .completed_at_ms
                .is_some_and(|at| at < self.created_at_ms)
        {
            return Err(Violation::Settled(self.created_index));
        }
        if self.failure.is_some() && self.status != Status::Failed {
            return Err(Violation::Failure(self.created_index));
        }
        Ok(())
    }
}

impl ListedPayment<&str> {
    /// With texts of its own.
    pub fn into_owned(&self) -> ListedPayment {
        self.map(|_, text| (*text).to_owned())
    }
}

impl Payment {
    /// As listings show it.
    pub fn listed(&self) -> ListedPayment<&str> {
        ListedPayment {
            created_index: self.created_index,
            updated_index: self.updated_index,
            payment_hash: self.payment_hash,
            groupid: self.groupid,
            partid: self.partid,
            destination: self.destination,
            amount_msat: self.amount_msat,
            amount_sent_msat: self.amount_sent_msat,
            created_at_ms: self.created_at_ms,
            completed_at_ms: self.completed_at_ms,
            status: self.status,
            preimage: self.preimage,
            label: self.label.as_deref(),
            bolt11: self.bolt11.as_deref(),
            description: self.description.as_deref(),
            cltv_expiry: self.cltv_expiry,
            failure: self
                .failure
                .as_ref()
                .map(|failure| failure.map(|message| message.as_str())),
        }
    }
}

/// A text that a record has.
struct WantedText {
    /// Its row.
    row: i64,
    /// The record's place on the page.
    place: usize,
    of: TextOf,
}

/// The texts that a page still lacks.
#[derive(Default)]
pub(crate) struct Texts(Vec<WantedText>);

impl Texts {
    /// The record in this place has that row's text.
    pub(crate) fn want(&mut self, row: i64, place: usize, of: TextOf) {
        self.0.push(WantedText { row, place, of });
    }

    /// Reads them all, in their order in the table; in the snapshot in which the records were read.
    pub(crate) fn read(
        mut self,
        connection: &Connection,
        mut put: impl FnMut(usize, TextOf, &str),
    ) -> Result<(), rusqlite::Error> {
        // Nearly sorted: texts are stored in the order of their records.
        self.0.sort_unstable_by_key(|text| text.row);
        let mut statement = connection.prepare_cached(TEXTS)?;
        let near = |one: &WantedText, next: &WantedText| next.row - one.row <= STEPS_MAX;
        for run in self.0.chunk_by(near) {
            let (Some(first), Some(last)) = (run.first(), run.last()) else {
                continue;
            };
            let mut rows = statement.query([first.row, last.row])?;
            let mut run = run.iter().peekable();
            while let Some(row) = rows.next()? {
                let id: i64 = row.get(0)?;
                if run.next_if(|text| text.row < id).is_some() {
                    // A record that points to no text has none.
                    while run.next_if(|text| text.row < id).is_some() {}
                }
                if run.peek().is_none_or(|text| text.row != id) {
                    continue;
                }
                let body = row.get_ref(1)?.as_str()?;
                while let Some(text) = run.next_if(|text| text.row == id) {
                    put(text.place, text.of, body);
                }
            }
        }
        Ok(())
    }
}

/// The records of a page while they are read, each with the rows of its texts.
pub(crate) struct Gathered<'a> {
    pub(crate) payments: Vec<ListedPayment<i64>>,
    nodes: NodesOfPage<'a>,
}

/// Room that is made at once for a page: as many records as a listing's page has.
const ROOM: usize = 384;

impl<'a> Gathered<'a> {
    /// A page of so many records at most.
    pub(crate) fn of(rows_max: usize, nodes: NodesOfPage<'a>) -> Gathered<'a> {
        Gathered {
            payments: Vec::with_capacity(rows_max.min(ROOM)),
            nodes,
        }
    }

    /// Takes in a row of [`crate::row::LISTED_COLUMNS`].
    pub(crate) fn push(&mut self, row: &Row<'_>) -> Result<(), ReadError> {
        self.payments.push(decode_listed(row, &mut self.nodes)?);
        Ok(())
    }

    /// Visits the records with their texts, in order; in the snapshot in which they were read. How
    /// many there were, and the last of them.
    pub(crate) fn visit(
        self,
        connection: &Connection,
        visit: &mut dyn FnMut(&ListedPayment<&str>),
    ) -> Result<Visited, ReadError> {
        let Gathered { payments, nodes } = self;
        nodes.keep();
        let mut texts = Texts(Vec::with_capacity(2 * payments.len()));
        for (place, payment) in payments.iter().enumerate() {
            payment.map(|of, row| texts.want(*row, place, of));
        }
        let mut bodies = Bodies::of(payments.len());
        texts.read(connection, |place, of, body| bodies.put(place, of, body))?;
        for (place, payment) in payments.iter().enumerate() {
            let payment = payment.map(|of, _| bodies.get(place, of));
            if cfg!(debug_assertions) {
                payment.invariants()?;
            }
            visit(&payment);
        }
        Ok(Visited {
            count: payments.len(),
            last: payments
                .last()
                .map(|payment| (payment.created_index, payment.updated_index)),
        })
    }
}

/// What was visited.
#[derive(Clone, Copy)]
pub(crate) struct Visited {
    pub(crate) count: usize,
    /// `created_index` and `updated_index` of the last one.
    pub(crate) last: Option<(u64, Option<u64>)>,
}

/// The bodies of the texts of a page, one after the other.
struct Bodies {
    all: String,
    /// Where each stands: [`TextOf::COUNT`] for each record.
    places: Vec<Range<usize>>,
}

/// Room that is made at once for the texts of a record: an invoice of usual length.
const TEXT_ROOM: usize = 320;

impl Bodies {
    fn of(payments: usize) -> Bodies {
        Bodies {
            all: String::with_capacity(payments * TEXT_ROOM),
            places: vec![0..0; payments * TextOf::COUNT],
        }
    }

    fn put(&mut self, place: usize, of: TextOf, body: &str) {
        let from = self.all.len();
        self.all.push_str(body);
        if let Some(place) = self.places.get_mut(place * TextOf::COUNT + of as usize) {
            *place = from..self.all.len();
        }
    }

    fn get(&self, place: usize, of: TextOf) -> &str {
        let place = self.places.get(place * TextOf::COUNT + of as usize);
        place
            .and_then(|place| self.all.get(place.clone()))
            .unwrap_or_default()
    }
}
