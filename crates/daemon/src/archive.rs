//! The archive: records that are about to be removed, one line of JSON each, on disk before the
//! commit that removes them.
//!
//! A crash between the two leaves a record in the archive and in the ledger; it is archived again
//! before it is removed, so it may be there twice, and never not at all. A line that a crash or a
//! full disk cut short is taken away before the next is written: its record is still in the ledger.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use sendpay_ledger::{self as ledger, RouteError};
use sendpay_rpc::payment::Payment;
use sendpay_rpc::value::{Amounts, NodeId, PaymentMsat, Scid};
use serde::Serialize;

use crate::convert;

/// What every line begins with: a file that ends otherwise is not ours to cut.
const LINE_START: &[u8] = b"{\"archived_at\":";

/// The longest line: the texts of a record are below 1 MiB, six times as long at most when escaped.
const LINE_BYTES_MAX: u64 = 16 << 20;

/// Why nothing was archived.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ArchiveError {
    /// The file system refuses.
    #[error("cannot write the archive {}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// The file is something else.
    #[error("{} is no archive of ours: it does not end with one of its lines", .0.display())]
    Foreign(PathBuf),
    /// A record's route cannot be read.
    #[error("the route of record {created_index} cannot be read")]
    Route {
        /// The record.
        created_index: u64,
        /// Why.
        #[source]
        source: RouteError,
    },
    /// A record cannot be written as JSON.
    #[error("a record cannot be written as JSON")]
    Json(#[from] serde_json::Error),
}

/// One line.
#[derive(Serialize)]
struct Line {
    /// In seconds since 1970.
    archived_at: u64,
    /// As `listsendpays` showed it.
    payment: Payment,
    /// All parts of its group together.
    total_msat: PaymentMsat,
    /// The way it took.
    route: Vec<Hop>,
}

#[derive(Serialize)]
struct Hop {
    id: NodeId,
    channel: Scid,
    direction: u8,
    amount_msat: PaymentMsat,
    delay: u32,
}

/// An open archive.
#[derive(Debug)]
pub(crate) struct Archive {
    path: PathBuf,
    file: File,
}

impl Archive {
    /// Opens or makes the file, readable by its owner only since preimages are in it. What is left
    /// of a line that was cut short is taken away.
    pub(crate) fn open(path: &Path) -> Result<Archive, ArchiveError> {
        let failed = |source| ArchiveError::Io {
            path: path.to_owned(),
            source,
        };
        let file = OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .mode(0o600)
            .open(path)
            .map_err(failed)?;
        let mut archive = Archive {
            path: path.to_owned(),
            file,
        };
        let torn = archive.torn().map_err(failed)?;
        if let Some((at, torn)) = torn {
            let compared = torn.len().min(LINE_START.len());
            if torn.get(..compared) != LINE_START.get(..compared) {
                return Err(ArchiveError::Foreign(path.to_owned()));
            }
            tracing::warn!(path = %path.display(), "taking an unfinished line out of the archive");
            archive.file.set_len(at).map_err(failed)?;
        }
        // The file itself may be new: its name must survive as its lines do.
        let directory = path
            .parent()
            .filter(|parent| !parent.as_os_str().is_empty());
        File::open(directory.unwrap_or(Path::new(".")))
            .and_then(|directory| directory.sync_all())
            .map_err(failed)?;
        Ok(archive)
    }

    /// What stands after the last line, and where, if anything does.
    fn torn(&mut self) -> io::Result<Option<(u64, Vec<u8>)>> {
        let length = self.file.metadata()?.len();
        let start = length.saturating_sub(LINE_BYTES_MAX);
        self.file.seek(SeekFrom::Start(length.saturating_sub(1)))?;
        let mut last = Vec::new();
        (&mut self.file).take(1).read_to_end(&mut last)?;
        if last.is_empty() || last == b"\n" {
            return Ok(None);
        }
        self.file.seek(SeekFrom::Start(start))?;
        let mut tail = Vec::new();
        (&mut self.file)
            .take(LINE_BYTES_MAX)
            .read_to_end(&mut tail)?;
        let whole = tail.iter().rposition(|byte| *byte == b'\n');
        let whole = whole.map_or(0, |at| at + 1);
        let torn = tail.split_off(whole);
        Ok(Some((length - torn.len() as u64, torn)))
    }

    /// Writes these records, and returns when they are on disk.
    pub(crate) fn append(
        &mut self,
        payments: &[ledger::Payment],
        amounts: Amounts,
        now_secs: u64,
    ) -> Result<(), ArchiveError> {
        let mut lines = Vec::new();
        for payment in payments {
            serde_json::to_writer(&mut lines, &line(payment, amounts, now_secs)?)?;
            lines.push(b'\n');
        }
        self.file
            .write_all(&lines)
            .and_then(|()| self.file.sync_data())
            .map_err(|source| ArchiveError::Io {
                path: self.path.clone(),
                source,
            })
    }
}

fn line(payment: &ledger::Payment, amounts: Amounts, now_secs: u64) -> Result<Line, ArchiveError> {
    let route = payment.route().map_err(|source| ArchiveError::Route {
        created_index: payment.created_index,
        source,
    })?;
    Ok(Line {
        archived_at: now_secs,
        payment: convert::payment(payment, amounts),
        total_msat: amounts.payment(payment.total_msat.msat()),
        route: route
            .iter()
            .map(|hop| Hop {
                id: convert::node_id(hop.node_id),
                channel: Scid(hop.short_channel_id),
                direction: hop.direction,
                amount_msat: amounts.payment(hop.amount_msat.msat()),
                delay: hop.delay,
            })
            .collect(),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn payment(created_index: u64) -> ledger::Payment {
        let directory = tempfile::tempdir().unwrap();
        let (_store, kept) = ledger::Ledger::open(&directory.path().join("ledger")).unwrap();
        let amount_msat = ledger::Msat::new(1000).unwrap();
        let new = ledger::NewPayment {
            payment_hash: ledger::PaymentHash([7; 32]),
            groupid: None,
            partid: 0,
            destination: None,
            amount_msat,
            amount_sent_msat: amount_msat,
            total_msat: None,
            label: Some("a \"label\"\nof two lines".to_owned()),
            bolt11: None,
            description: None,
            route: vec![ledger::Hop {
                node_id: ledger::NodeId([2; 33]),
                short_channel_id: 7,
                direction: 1,
                amount_msat,
                delay: 42,
            }],
            cltv_expiry: None,
            cap_msat: None,
            request: None,
        };
        match kept.begin(new, 1).wait().unwrap().unwrap() {
            ledger::Begun::New(mut payment) => {
                payment.created_index = created_index;
                payment
            }
            other => unreachable!("{other:?}"),
        }
    }

    fn numbers(path: &Path) -> Vec<u64> {
        let text = std::fs::read_to_string(path).unwrap();
        assert!(text.ends_with('\n'));
        let line = |line| serde_json::from_str::<serde_json::Value>(line).unwrap();
        let number = |line: serde_json::Value| line["payment"]["created_index"].as_u64().unwrap();
        text.lines().map(line).map(number).collect()
    }

    #[test]
    fn a_line_that_was_cut_short_goes_and_whole_ones_stay() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("archive");
        let append = |number| {
            let mut archive = Archive::open(&path).unwrap();
            let payments = [payment(number), payment(number + 1)];
            archive.append(&payments, Amounts::MsatStrings, 5).unwrap();
        };
        append(1);
        assert_eq!(numbers(&path), [1, 2]);
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let whole = std::fs::read(&path).unwrap();
        let first = whole.iter().position(|byte| *byte == b'\n').unwrap() + 1;
        for cut in 0..first {
            // Two whole lines, and a third that a crash cut short.
            let mut torn = whole.clone();
            torn.extend_from_slice(&whole[..cut]);
            std::fs::write(&path, torn).unwrap();
            drop(Archive::open(&path).unwrap());
            assert_eq!(std::fs::read(&path).unwrap(), whole, "cut at {cut}");
            // And the first line of all.
            std::fs::write(&path, &whole[..cut]).unwrap();
            drop(Archive::open(&path).unwrap());
            assert_eq!(std::fs::read(&path).unwrap(), b"", "cut at {cut}");
        }
        append(3);
        assert_eq!(numbers(&path), [3, 4]);
        let text = std::fs::read_to_string(&path).unwrap();
        let line: serde_json::Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
        let hop = serde_json::json!({
            "id": "02".repeat(33), "channel": "0x0x7", "direction": 1, "amount_msat": "1000msat",
            "delay": 42,
        });
        assert_eq!(line["route"], serde_json::json!([hop]));
        assert_eq!(line["archived_at"], 5);
    }

    #[test]
    fn a_file_that_is_no_archive_is_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("precious");
        for text in ["precious", "line\n{\"other\":1}"] {
            std::fs::write(&path, text).unwrap();
            let error = Archive::open(&path).unwrap_err();
            assert!(matches!(error, ArchiveError::Foreign(_)), "{error}");
            assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
        }
    }
}
