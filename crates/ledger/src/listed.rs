//! The records of a page, with their texts read together: those of neighbours stand side by side in
//! the table of texts, where walking along it costs a fraction of a look-up for each.

use rusqlite::{Connection, Row};

use crate::row::{TextOf, decode_listed};
use crate::{Payment, ReadError};

/// Texts that stand at most so far apart are read in one walk, with what is between them: a step
/// costs a tenth of a look-up.
const STEPS_MAX: i64 = 8;

/// All texts in a stretch of the table.
const TEXTS: &str = "SELECT id, body FROM text WHERE id BETWEEN ?1 AND ?2 ORDER BY id";

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
        mut put: impl FnMut(usize, TextOf, String),
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
                while let Some(text) = run.next_if(|text| text.row <= id) {
                    if text.row == id {
                        put(text.place, text.of, row.get(1)?);
                    }
                }
            }
        }
        Ok(())
    }
}

/// The records of a page.
pub(crate) struct Listed {
    payments: Vec<Payment>,
    texts: Texts,
}

/// Room that is made at once for a page: as many records as a listing's page has.
const ROOM: usize = 256;

impl Listed {
    /// A page of so many records at most.
    pub(crate) fn of(rows_max: usize) -> Listed {
        Listed {
            payments: Vec::with_capacity(rows_max.min(ROOM)),
            texts: Texts::default(),
        }
    }

    /// Takes in a row of [`crate::row::LISTED_COLUMNS`]; the record lacks its texts still.
    pub(crate) fn push(&mut self, row: &Row<'_>) -> Result<(), ReadError> {
        let place = self.payments.len();
        let payment = decode_listed(row, |of, row| self.texts.want(row, place, of))?;
        self.payments.push(payment);
        Ok(())
    }

    /// The records with their texts.
    pub(crate) fn with_texts(self, connection: &Connection) -> Result<Vec<Payment>, ReadError> {
        let Listed {
            mut payments,
            texts,
        } = self;
        texts.read(connection, |place, of, body| {
            if let Some(payment) = payments.get_mut(place) {
                put(payment, of, body);
            }
        })?;
        Ok(payments)
    }
}

fn put(payment: &mut Payment, of: TextOf, body: String) {
    match of {
        TextOf::Label => payment.label = Some(body),
        TextOf::Bolt11 => payment.bolt11 = Some(body),
        TextOf::Description => payment.description = Some(body),
        TextOf::Message => {
            if let Some(failure) = &mut payment.failure {
                failure.message = body;
            }
        }
    }
}
