//! Sending transactions: by one server, and by the next when one fails.
//!
//! A server that fails may have sent on what it was given before it did. So what the next one says against
//! it does not prove that nobody has it.

use bitcoin::Transaction;
use bitcoin::consensus::encode::serialize_hex;
use serde_json::{Value, json};

use super::Electrum;
use super::error::ElectrumError;
use crate::client::KNOWN_REASONS;

/// bitcoind's words for a transaction that is in the chain, which come through Electrum servers without
/// its numbers.
const IN_CHAIN_WORDS: [&str; 2] = ["already in block chain", "already in utxo set"];

/// What became of something that was sent.
struct Sent {
    /// What a server answered; an error is its refusal.
    answer: Result<Value, ElectrumError>,
    /// Why another that was asked before may have it all the same.
    unanswered: Option<String>,
}

impl Electrum {
    /// Sends a transaction. One that waits or is in the chain already was sent, too.
    pub(in crate::client) async fn broadcast(
        &self,
        transaction: &Transaction,
    ) -> Result<(), ElectrumError> {
        let method = "blockchain.transaction.broadcast";
        let sent = self.send(method, json!([serialize_hex(transaction)]));
        let Sent { answer, unanswered } = sent.await?;
        match (answer, unanswered) {
            (Ok(_), _) => Ok(()),
            (Err(refusal), _) if is_there(&refusal) => Ok(()),
            (Err(refusal), None) => Err(refusal),
            (Err(refusal), Some(unanswered)) => Err(ElectrumError::Unsure {
                unanswered,
                answer: refusal.to_string(),
            }),
        }
    }

    /// Sends transactions together. False: they were not taken so.
    pub(in crate::client) async fn broadcast_package(
        &self,
        hex: Vec<String>,
    ) -> Result<bool, ElectrumError> {
        let method = "blockchain.transaction.broadcast_package";
        let Sent { answer, unanswered } = self.send(method, json!([hex])).await?;
        // Servers of an older protocol refuse what they do not know.
        let taken = matches!(&answer, Ok(said) if said.get("success") == Some(&json!(true)));
        match unanswered {
            Some(unanswered) if !taken => Err(ElectrumError::Unsure {
                unanswered,
                answer: "the next one does not take it together".to_owned(),
            }),
            _ => Ok(taken),
        }
    }

    /// Gives something to servers until one answers.
    async fn send(&self, method: &'static str, params: Value) -> Result<Sent, ElectrumError> {
        let mut tries = self.servers.tries();
        let mut unanswered = None;
        loop {
            let line = tries.line().await?;
            match line.call(method, params.clone()).await {
                answer @ (Ok(_) | Err(ElectrumError::Refused { .. })) => {
                    return Ok(Sent { answer, unanswered });
                }
                Err(error) => {
                    unanswered.get_or_insert_with(|| error.to_string());
                    tries.failed(&line, error).await?;
                }
            }
        }
    }
}

/// Whether what is refused is where it should be.
fn is_there(refusal: &ElectrumError) -> bool {
    let ElectrumError::Refused { message, .. } = refusal else {
        return false;
    };
    let mut reasons = KNOWN_REASONS.iter().chain(&IN_CHAIN_WORDS);
    reasons.any(|reason| message.contains(reason))
}
