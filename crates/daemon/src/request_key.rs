//! The key of a request, with a hash of what was asked for: the same request gives the same hash,
//! whichever form its parameters came in, and in every later version.

use bitcoin::hashes::{Hash, HashEngine, sha256};
use sendpay_ledger::RequestKey;
use sendpay_rpc::value::IdempotencyKey;

/// A request's parameters on their way into a hash. Only what was given goes in, under its name, so
/// that a parameter that comes later changes no hash of before.
pub(crate) struct Asked(sha256::HashEngine);

impl Asked {
    /// Nothing yet, of this method.
    pub(crate) fn of(method: &str) -> Asked {
        let mut asked = Asked(sha256::Hash::engine());
        asked.put(b"sendpay request");
        asked.put(method.as_bytes());
        asked
    }

    /// Its length before it, so that no two lists of texts are the same bytes.
    fn put(&mut self, bytes: &[u8]) {
        let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        self.0.input(&length.to_be_bytes());
        self.0.input(bytes);
    }

    /// A parameter, if it was given.
    pub(crate) fn with<T: ToString>(mut self, name: &str, value: Option<T>) -> Asked {
        if let Some(value) = value {
            self.put(name.as_bytes());
            self.put(value.to_string().as_bytes());
        }
        self
    }

    /// What the ledger keeps; None without a key.
    pub(crate) fn key(self, key: Option<IdempotencyKey>) -> Option<RequestKey> {
        Some(RequestKey {
            key: key?.into_string(),
            request_hash: sha256::Hash::from_engine(self.0).to_byte_array(),
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn hash(asked: Asked) -> [u8; 32] {
        asked
            .key(Some(IdempotencyKey::from("k")))
            .unwrap()
            .request_hash
    }

    #[test]
    fn requests_have_one_hash_only_if_they_ask_for_the_same() {
        let pay = || Asked::of("pay").with("bolt11", Some("lnbc"));
        assert_eq!(hash(pay()), hash(pay()));
        assert_eq!(hash(pay()), hash(pay().with("label", None::<&str>)));
        let others = [
            Asked::of("xpay").with("bolt11", Some("lnbc")),
            Asked::of("pay").with("bolt11", Some("lnbd")),
            Asked::of("pay").with("label", Some("lnbc")),
            pay().with("label", Some("")),
            Asked::of("pay")
                .with("bolt11", Some("ln"))
                .with("bc", Some("")),
        ];
        for other in others {
            assert_ne!(hash(pay()), hash(other));
        }
        assert!(pay().key(None).is_none());
    }
}
