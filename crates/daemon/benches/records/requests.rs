//! What is asked: requests about records that are there, chosen at random by a fixed seed.

use rusqlite::{Connection, OpenFlags};
use sendpay_ledger::PaymentHash;

use crate::fill::{self, Made};
use crate::generator::{End, Generator, Random, SIGNED_EVERY};
use crate::socket::request;

/// Records of a page.
pub const PAGE: u64 = 100;

/// By hash, of payments anywhere in the ledger, each as likely as any other.
pub fn by_hash(made: &Made, generator: &Generator, count: usize) -> Vec<Vec<u8>> {
    let mut random = Random(1);
    (0..count)
        .map(|_| {
            let hash = generator.payment(random.below(made.payments)).payment_hash;
            request("listsendpays", &format!(r#"{{"payment_hash":"{hash}"}}"#))
        })
        .collect()
}

/// By hash, of records anywhere in the ledger: a payment of two hundred parts is two hundred times
/// as likely, so that an answer has fourteen records on average.
pub fn by_hash_of_records(made: &Made, count: usize) -> Vec<Vec<u8>> {
    let file = fill::file(&made.dir);
    let connection = Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    let mut statement = connection
        .prepare("SELECT payment_hash FROM payment WHERE created_index = ?1")
        .unwrap();
    let mut random = Random(1);
    (0..count)
        .map(|_| {
            let index = 1 + random.below(made.records);
            let hash = statement
                .query_row([index.cast_signed()], |row| row.get(0))
                .unwrap();
            let hash = PaymentHash(hash);
            request("listsendpays", &format!(r#"{{"payment_hash":"{hash}"}}"#))
        })
        .collect()
}

/// By invoice, of payments anywhere in the ledger that have a true one.
pub fn by_bolt11(made: &Made, generator: &Generator, count: usize) -> Vec<Vec<u8>> {
    let mut random = Random(2);
    let signed = (made.payments - 1).div_ceil(SIGNED_EVERY);
    (0..count)
        .map(|_| {
            let number = random.below(signed) * SIGNED_EVERY;
            let part = &generator.payment(number).waves[0][0];
            let bolt11 = part.new.bolt11.as_deref().unwrap();
            request("listsendpays", &format!(r#"{{"bolt11":"{bolt11}"}}"#))
        })
        .collect()
}

/// Pages that begin anywhere.
pub fn pages(made: &Made, count: usize) -> Vec<Vec<u8>> {
    let mut random = Random(3);
    (0..count)
        .map(|_| {
            let start = 1 + random.below(made.records - PAGE);
            let params = format!(r#"{{"index":"created","start":{start},"limit":{PAGE}}}"#);
            request("listsendpays", &params)
        })
        .collect()
}

/// The same request again and again.
pub fn same(method: &str, params: &str, count: usize) -> Vec<Vec<u8>> {
    vec![request(method, params); count]
}

/// Invoices: each is written, and answered once it is on disk, as a `sendpay` before its HTLC.
pub fn invoices(count: usize) -> Vec<Vec<u8>> {
    (0..count)
        .map(|number| {
            let params =
                format!(r#"{{"amount_msat":1000,"label":"bench {number}","description":"bench"}}"#);
            request("invoice", &params)
        })
        .collect()
}

/// `sendpay` to a channel that we do not have: looked at, refused, and no record made.
pub fn refused_sendpay(generator: &Generator, count: usize) -> Vec<Vec<u8>> {
    let mut random = Random(4);
    let part = &generator.payment(0).waves[0][0];
    assert!(matches!(part.end, End::Complete(_) | End::Failed(_)));
    let node = part.new.destination.unwrap();
    (0..count)
        .map(|_| {
            let (hash, secret) = (PaymentHash(random.bytes()), PaymentHash(random.bytes()));
            let route = format!(
                r#"[{{"id":"{node}","channel":"103x1x0","amount_msat":3000000,"delay":42}}]"#
            );
            let params = format!(
                r#"{{"route":{route},"payment_hash":"{hash}","payment_secret":"{secret}"}}"#
            );
            request("sendpay", &params)
        })
        .collect()
}
