//! Fee rates of servers. What is believed of them is `fees.rs`'s.

use bitcoin::Amount;
use serde_json::{Value, json};

use super::Electrum;
use super::error::ElectrumError;
use super::line::Request;

impl Electrum {
    /// For each of these numbers of blocks a server's rate in satoshi for 1000 weight units; none where it
    /// has no estimate. The server that is asked for everything may refuse all of them: another one is
    /// asked for these alone then, as a refusal is no reason to leave a server.
    pub(in crate::client) async fn estimates(
        &self,
        blocks: &[u32],
    ) -> Result<Vec<Option<u32>>, ElectrumError> {
        let ask = |blocks: &u32| -> Request { ("blockchain.estimatefee", json!([blocks])) };
        let asked: Vec<Request> = blocks.iter().map(ask).collect();
        let mut tries = self.servers.tries();
        let answers = loop {
            let line = tries.line().await?;
            match line.exchange(&asked).await {
                Ok(answers) => break answers,
                Err(error) => tries.failed(&line, error).await?,
            }
        };
        let refusal = match rates(answers) {
            Err(refusal) => refusal,
            rates => return rates,
        };
        let Some(other) = self.servers.another().await else {
            return Err(refusal);
        };
        match other.exchange(&asked).await {
            Ok(answers) => rates(answers).map_err(|_| refusal),
            Err(error) => {
                self.servers.failed(&other, &error).await;
                Err(refusal)
            }
        }
    }

    /// Below this rate, in satoshi for 1000 weight units, the server relays nothing.
    pub(in crate::client) async fn relay_floor(&self) -> Result<Option<u32>, ElectrumError> {
        match self.call("blockchain.relayfee", json!([])).await {
            // Newer ones tell it in another place.
            Err(ElectrumError::Refused { .. }) => {
                let info = self.call("mempool.get_info", json!([])).await?;
                Ok(info.get("mempoolminfee").and_then(sat_per_kw))
            }
            answer => Ok(sat_per_kw(&answer?)),
        }
    }
}

/// The rates in answers; a refusal if there is nothing else.
fn rates(answers: Vec<Result<Value, ElectrumError>>) -> Result<Vec<Option<u32>>, ElectrumError> {
    let (mut rates, mut refusal, mut are_refused) = (Vec::new(), None, true);
    for answer in answers {
        let rate = match answer {
            Ok(answer) => {
                are_refused = false;
                sat_per_kw(&answer)
            }
            Err(error) => {
                refusal = Some(error);
                None
            }
        };
        rates.push(rate);
    }
    match refusal {
        Some(error) if are_refused => Err(error),
        _ => Ok(rates),
    }
}

/// A rate in bitcoin for 1000 virtual bytes (4000 weight units), rounded up. Servers say -1 for none.
fn sat_per_kw(rate: &Value) -> Option<u32> {
    let per_kvb = Amount::from_btc(rate.as_f64()?).ok()?;
    u32::try_from(per_kvb.to_sat().div_ceil(4)).ok()
}
