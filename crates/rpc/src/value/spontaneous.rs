//! What a payment without an invoice takes that an invoice would say: more data for the destination,
//! and private ways to it.

use super::{HexBytes, Msat, NodeId, Scid};
use crate::json::Token;
use crate::param::{BadParam, Param};
use serde_json::{Value, json};
use std::fmt;

/// The least number of data of one's own (BOLT 4).
const CUSTOM_TYPE_MIN: u64 = 65_536;
/// Numbers from there on that have a meaning: the preimage of a keysend, and LDK's invoice request of
/// an asynchronous payment.
const TAKEN_TYPES: [u64; 2] = [5_482_373_484, 77_777];

/// More data for the destination: numbers, each once and in order, and bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExtraTlvs(pub Vec<(u64, Vec<u8>)>);

impl fmt::Display for ExtraTlvs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, bytes) in &self.0 {
            write!(f, "{number}={};", HexBytes(bytes.clone()))?;
        }
        Ok(())
    }
}

impl Param for ExtraTlvs {
    const TYPE: &'static str = "object of numbers and hex";

    fn parse(token: Token<'_>) -> Result<Self, BadParam> {
        let members = token
            .members()
            .ok_or_else(|| BadParam::new("should be an object of numbers and hex", token))?;
        let mut tlvs = Vec::with_capacity(members.len());
        for (name, value) in members {
            let number: u64 = name
                .parse()
                .ok()
                .filter(|number| *number >= CUSTOM_TYPE_MIN && !TAKEN_TYPES.contains(number))
                .ok_or_else(|| {
                    let should = format!(
                        "should have numbers from {CUSTOM_TYPE_MIN} that are free for data of one's \
                         own as names"
                    );
                    BadParam::new(should, token)
                })?;
            let HexBytes(bytes) = HexBytes::parse(Token::new(value))
                .map_err(|_| BadParam::new("should have hex values", token))?;
            tlvs.push((number, bytes));
        }
        tlvs.sort_unstable();
        let twice = tlvs.windows(2).any(|pair| match pair {
            [(one, _), (other, _)] => one == other,
            _ => false,
        });
        if twice {
            return Err(BadParam::new("should have each number once", token));
        }
        Ok(ExtraTlvs(tlvs))
    }

    fn schema() -> Value {
        json!({ "type": "object", "additionalProperties": { "type": "string" } })
    }
}

/// One hop of a private way to the destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PrivateHop {
    /// The node that forwards over the channel.
    pub node_id: NodeId,
    /// The channel.
    pub scid: Scid,
    /// What it asks for each payment.
    pub fee_base_msat: u32,
    /// What it asks of the amount, in millionths.
    pub fee_proportional_millionths: u32,
    /// The blocks it asks for.
    pub cltv_expiry_delta: u16,
}

/// Private ways to the destination, each its last hops.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PrivateRoutes(pub Vec<Vec<PrivateHop>>);

impl fmt::Display for PrivateRoutes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for route in &self.0 {
            for hop in route {
                write!(
                    f,
                    "{}:{}:{}:{}:{},",
                    hop.node_id,
                    hop.scid,
                    hop.fee_base_msat,
                    hop.fee_proportional_millionths,
                    hop.cltv_expiry_delta
                )?;
            }
            f.write_str(";")?;
        }
        Ok(())
    }
}

fn private_hop(hop: Token<'_>) -> Result<PrivateHop, BadParam> {
    let member = |name| {
        hop.member(name)
            .ok_or_else(|| BadParam::new(format!("must have {name} in each hop"), hop))
    };
    let bad = |name, token| BadParam::new(format!("bad {name}"), token);
    let id = member("id")?;
    let scid = member("scid")?;
    let base = member("feebase")?;
    let proportional = member("feeprop")?;
    let delta = member("expirydelta")?;
    Ok(PrivateHop {
        node_id: id.text().parse().map_err(|_| bad("id", id))?,
        scid: scid.text().parse().map_err(|_| bad("scid", scid))?,
        fee_base_msat: Msat::parse(base)
            .ok()
            .and_then(|amount| u32::try_from(amount.0).ok())
            .ok_or_else(|| bad("feebase", base))?,
        fee_proportional_millionths: u32::parse(proportional)
            .map_err(|_| bad("feeprop", proportional))?,
        cltv_expiry_delta: u16::parse(delta).map_err(|_| bad("expirydelta", delta))?,
    })
}

impl Param for PrivateRoutes {
    const TYPE: &'static str = "array of arrays of hops";

    fn parse(token: Token<'_>) -> Result<Self, BadParam> {
        let array = |token: Token<'_>| BadParam::new("must be an array of arrays", token);
        let mut routes = Vec::new();
        for route in token.elements().ok_or_else(|| array(token))? {
            let hops = route.elements().ok_or_else(|| array(token))?;
            routes.push(
                hops.into_iter()
                    .map(private_hop)
                    .collect::<Result<_, _>>()?,
            );
        }
        Ok(PrivateRoutes(routes))
    }

    fn schema() -> Value {
        json!({ "type": "array", "items": { "type": "array", "items": {
            "type": "object",
            "required": ["id", "scid", "feebase", "feeprop", "expirydelta"],
            "properties": {
                "id": { "type": "string" },
                "scid": { "type": "string" },
                "feebase": Msat::schema(),
                "feeprop": { "type": "integer" },
                "expirydelta": { "type": "integer" },
            },
        } } })
    }
}
