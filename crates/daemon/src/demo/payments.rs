//! The payments from alice to carol: each made once, and made again only where a crash has kept it
//! from ending as it should.
//!
//! What is there already is found by the invoices' labels and by the payment_hash, and a group is
//! always named, so that nothing is sent twice.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use bitcoin::hashes::{Hash, sha256};
use sendpay_rpc::client::CallError;
use sendpay_rpc::failcode::{PERM, UPDATE};
use sendpay_rpc::method::decode::{Decode, DecodeResult};
use sendpay_rpc::method::holdinvoice::HoldInvoice;
use sendpay_rpc::method::invoice::Invoice;
use sendpay_rpc::method::listinvoices::{InvoiceRecord, ListInvoices};
use sendpay_rpc::method::listsendpays::ListSendPays;
use sendpay_rpc::method::pay::Pay;
use sendpay_rpc::method::sendpay::SendPay;
use sendpay_rpc::method::waitsendpay::WaitSendPay;
use sendpay_rpc::payment::Payment;
use sendpay_rpc::value::{Hash32, PaymentStatus, Scid, Secret};
use serde_json::{Value, json};

use super::ask::until;
use super::channels::Ways;
use super::network::{Member, Network, write_private};
use super::progress::Progress;

/// A channel that does not exist: the first output of the chain's first block.
const NO_CHANNEL: Scid = Scid((1 << 40) | 0xffff);

/// The blocks that LDK wants for the last hop at least; invoices say more where they need it.
const FINAL_DELAY: u32 = 42;

/// How long the invoices can be paid, in seconds: a year, for those who come back late.
const EXPIRY_SECONDS: u64 = 31_536_000;

/// Groups for one payment in one run. A second is needed where a crash came between a record and
/// its HTLC; more mean that something is broken.
const GROUPS_MAX: usize = 3;

/// BOLT 4: what the destination says of a payment it does not know.
const UNKNOWN_PAYMENT: u16 = PERM | 15;
/// BOLT 4: what a node says whose channel cannot carry the amount now.
const NO_LIQUIDITY: u16 = UPDATE | 7;
/// BOLT 4: what a node says that does not have the channel.
const UNKNOWN_CHANNEL: u16 = PERM | 10;

/// File in carol's directory with the preimage of the held payment, as hex.
const HELD_PREIMAGE_FILE: &str = "held-preimage";

/// What the hints need to know of the payments.
pub(super) struct Payments {
    /// The invoice that was paid with `pay`.
    pub(super) paid_bolt11: String,
    /// The payment that carol holds, or held.
    pub(super) held_hash: Hash32,
    /// The file with its preimage.
    pub(super) held_preimage: PathBuf,
    /// Whether she holds it still.
    pub(super) held: bool,
}

/// How a part gets to carol.
#[derive(Clone, Copy)]
enum Way {
    /// Over bob.
    OverBob,
    /// Over alice's channel with carol.
    Direct,
    /// To bob, and on over a channel that he does not have.
    Astray,
}

/// How a payment ends.
#[derive(Clone, Copy)]
enum Ending {
    Complete,
    /// With this failure code.
    Failed(u16),
    /// Pending: carol holds it under this label.
    Held(&'static str),
}

/// A payment by `sendpay`.
struct Plan<'a> {
    told: &'a str,
    payment_hash: Hash32,
    payment_secret: Secret,
    bolt11: Option<String>,
    final_delay: u32,
    label: &'a str,
    /// Each with the millisatoshi it takes; no two take the same.
    parts: &'a [(Way, u64)],
    ending: Ending,
}

/// Makes every payment that is not there, and waits for its end.
///
/// # Errors
/// If a node refuses, or a payment ends otherwise than it should.
pub(super) async fn make(network: &Network, ways: &Ways, progress: &Progress) -> Result<Payments> {
    let payer = Payer {
        network,
        ways,
        progress,
    };
    payer.coffee().await?;
    let paid_bolt11 = payer.book().await?;
    payer.two_parts().await?;
    payer.refused().await?;
    payer.too_much().await?;
    payer.astray().await?;
    let (held_hash, held_preimage) = payer.held().await?;
    Ok(Payments {
        paid_bolt11,
        held_hash,
        held_preimage,
        held: payer.hold_state(HELD).await? == "held",
    })
}

const HELD: &str = "held";

struct Payer<'a> {
    network: &'a Network,
    ways: &'a Ways,
    progress: &'a Progress,
}

impl Payer<'_> {
    fn alice(&self) -> &Member {
        &self.network.alice
    }

    fn carol(&self) -> &Member {
        &self.network.carol
    }

    async fn coffee(&self) -> Result<()> {
        let amount_msat = 25_000_000;
        let invoice = self
            .invoice("coffee", amount_msat, "A cup of coffee")
            .await?;
        let parts = [(Way::OverBob, amount_msat)];
        let plan = Plan::of(&invoice, "coffee", &parts, Ending::Complete)?;
        self.send(&plan.telling("Paying for coffee with sendpay"))
            .await
    }

    /// The one that `pay` finds its own way for.
    async fn book(&self) -> Result<String> {
        let (bolt11, decoded) = self.invoice("book", 12_345_678, "A book").await?;
        let records = self.records(decoded.payment_hash).await?;
        if !any(&records, PaymentStatus::Complete) {
            self.progress.say("Paying for a book with pay");
            let params = json!({"bolt11": bolt11, "label": "book"});
            self.alice().request::<Pay>(params).await?;
        }
        Ok(bolt11)
    }

    async fn two_parts(&self) -> Result<()> {
        let parts = [(Way::OverBob, 60_000_000), (Way::Direct, 40_000_000)];
        let total_msat = parts.iter().map(|(_, amount_msat)| amount_msat).sum();
        let invoice = self.invoice("bicycle", total_msat, "A bicycle").await?;
        let plan = Plan::of(&invoice, "bicycle", &parts, Ending::Complete)?;
        self.send(&plan.telling("Paying for a bicycle in two parts"))
            .await
    }

    async fn refused(&self) -> Result<()> {
        // The preimage has not 32 bytes, so it is none: nobody can claim this.
        let text = |text: &str| sha256::Hash::hash(text.as_bytes()).to_byte_array();
        let plan = Plan {
            told: "Sending what carol never asked for",
            payment_hash: Hash32::from_bytes(text("a payment_hash that nobody has a preimage of")),
            payment_secret: Secret::from_bytes(text("and a payment_secret that fits nothing")),
            bolt11: None,
            final_delay: FINAL_DELAY,
            label: "unknown to carol",
            parts: &[(Way::OverBob, 10_000_000)],
            ending: Ending::Failed(UNKNOWN_PAYMENT),
        };
        self.send(&plan).await
    }

    async fn too_much(&self) -> Result<()> {
        // Alice has it, and the channel from bob to carol could hold it, but not on bob's side.
        let amount_msat = 600_000_000;
        let invoice = self.invoice("car", amount_msat, "A car").await?;
        let parts = [(Way::OverBob, amount_msat)];
        let ending = Ending::Failed(NO_LIQUIDITY);
        let plan = Plan::of(&invoice, "more than bob has", &parts, ending)?;
        self.send(&plan.telling("Sending more than bob can forward"))
            .await
    }

    async fn astray(&self) -> Result<()> {
        let amount_msat = 11_000_000;
        let invoice = self.invoice("map", amount_msat, "A map").await?;
        let parts = [(Way::Astray, amount_msat)];
        let ending = Ending::Failed(UNKNOWN_CHANNEL);
        let plan = Plan::of(&invoice, "no such channel", &parts, ending)?;
        self.send(&plan.telling("Sending over a channel that bob does not have"))
            .await
    }

    async fn held(&self) -> Result<(Hash32, PathBuf)> {
        let amount_msat = 21_000_000;
        let (preimage, file) = held_preimage(self.carol())?;
        let invoice = self
            .asked_for(HELD, async |carol: &Member| {
                let params = json!({
                    "amount_msat": amount_msat,
                    "label": HELD,
                    "description": "Carol decides later",
                    "preimage": preimage.to_string(),
                    "expiry": EXPIRY_SECONDS,
                });
                carol.request::<HoldInvoice>(params).await.map(|_| ())
            })
            .await?;
        let parts = [(Way::OverBob, amount_msat)];
        let plan = Plan::of(&invoice, "carol holds it", &parts, Ending::Held(HELD))?
            .telling("Sending what carol holds");
        self.send(&plan).await?;
        Ok((plan.payment_hash, file))
    }

    async fn invoice(
        &self,
        label: &'static str,
        amount_msat: u64,
        description: &'static str,
    ) -> Result<(String, DecodeResult)> {
        self.asked_for(label, async |carol: &Member| {
            let params = json!({
                "amount_msat": amount_msat,
                "label": label,
                "description": description,
                "expiry": EXPIRY_SECONDS,
            });
            carol.request::<Invoice>(params).await.map(|_| ())
        })
        .await
    }

    /// Carol's invoice of this label, made if it is not there, and what it says.
    async fn asked_for(
        &self,
        label: &'static str,
        make: impl AsyncFnOnce(&Member) -> Result<()>,
    ) -> Result<(String, DecodeResult)> {
        if self.listed(label).await?.is_none() {
            make(self.carol()).await?;
        }
        let listed = self.listed(label).await?.context("carol lost an invoice")?;
        let bolt11 = listed.bolt11.context("an invoice of carol's has no text")?;
        let decoded = self
            .alice()
            .request::<Decode>(json!({"string": bolt11}))
            .await?;
        Ok((bolt11, decoded))
    }

    async fn listed(&self, label: &str) -> Result<Option<InvoiceRecord>> {
        let listed = self
            .carol()
            .request::<ListInvoices>(json!({"label": label}))
            .await?;
        Ok(listed.invoices.into_iter().next())
    }

    /// open, held, settled, cancelled or expired.
    async fn hold_state(&self, label: &str) -> Result<String> {
        let listed = self.listed(label).await?;
        listed
            .and_then(|invoice| invoice.hold_state)
            .context("carol lost a hold invoice")
    }

    async fn records(&self, payment_hash: Hash32) -> Result<Vec<Payment>> {
        let params = json!({"payment_hash": payment_hash.to_string()});
        Ok(self.alice().request::<ListSendPays>(params).await?.payments)
    }

    /// Sends what is missing until the payment has ended as it should.
    async fn send(&self, plan: &Plan<'_>) -> Result<()> {
        for _ in 0..=GROUPS_MAX {
            let records = self.records(plan.payment_hash).await?;
            if self.ended(plan, &records).await? {
                return Ok(());
            }
            self.progress.say(plan.told);
            let groupid = self.send_missing(plan, &records).await?;
            self.wait(plan, groupid).await?;
        }
        bail!(
            "the payment {:?} did not end as it should; see {} with payment_hash {}",
            plan.label,
            "alice's listsendpays",
            plan.payment_hash
        )
    }

    async fn ended(&self, plan: &Plan<'_>, records: &[Payment]) -> Result<bool> {
        Ok(match plan.ending {
            // Where one part completes, the others do, but they may not have been told yet.
            Ending::Complete => {
                any(records, PaymentStatus::Complete) && !any(records, PaymentStatus::Pending)
            }
            Ending::Failed(failcode) => records
                .iter()
                .any(|record| record.failure.failcode == Some(failcode)),
            Ending::Held(label) => self.hold_state(label).await? != "open",
        })
    }

    /// Sends the parts that the group under way does not have; all of them in a new group if there
    /// is none. Gives the group.
    async fn send_missing(&self, plan: &Plan<'_>, records: &[Payment]) -> Result<u64> {
        let pending = |record: &&Payment| record.status == PaymentStatus::Pending;
        let greatest = records.iter().map(|record| record.groupid).max();
        let groupid = match records.iter().find(pending) {
            Some(record) => record.groupid,
            None => greatest.unwrap_or(0) + 1,
        };
        let group: Vec<&Payment> = records
            .iter()
            .filter(|record| record.groupid == groupid)
            .collect();
        let total_msat: u64 = plan.parts.iter().map(|(_, amount_msat)| amount_msat).sum();
        let mut used: Vec<u64> = group
            .iter()
            .map(|record| record.partid.unwrap_or(0))
            .collect();
        for (way, amount_msat) in plan.parts {
            let there = group.iter().any(|record| {
                record.status != PaymentStatus::Failed
                    && record
                        .amount_msat
                        .is_some_and(|amount| amount.msat() == *amount_msat)
            });
            if there {
                continue;
            }
            let mut params = json!({
                "route": self.route(*way, *amount_msat, plan.final_delay),
                "payment_hash": plan.payment_hash.to_string(),
                "payment_secret": plan.payment_secret.to_string(),
                "label": plan.label,
                "amount_msat": total_msat,
                "groupid": groupid,
            });
            if plan.parts.len() > 1 {
                let partid = used.iter().max().map_or(1, |partid| partid + 1);
                used.push(partid);
                set(&mut params, "partid", json!(partid));
            }
            if let Some(bolt11) = &plan.bolt11 {
                set(&mut params, "bolt11", json!(bolt11));
            }
            self.alice().request::<SendPay>(params).await?;
        }
        Ok(groupid)
    }

    /// Waits until the group is settled, or carol holds it.
    async fn wait(&self, plan: &Plan<'_>, groupid: u64) -> Result<()> {
        if let Ending::Held(label) = plan.ending {
            return until("carol to hold a payment", async || {
                let records = self.records(plan.payment_hash).await?;
                let held = self.hold_state(label).await? != "open";
                let failed = !any(&records, PaymentStatus::Pending);
                Ok((held || failed).then_some(()))
            })
            .await;
        }
        for record in self.records(plan.payment_hash).await? {
            if record.groupid != groupid || record.status != PaymentStatus::Pending {
                continue;
            }
            let params = json!({
                "payment_hash": plan.payment_hash.to_string(),
                "groupid": groupid,
                "partid": record.partid.unwrap_or(0),
            });
            let outcome = self.alice().request::<WaitSendPay>(params).await;
            if let Err(cause) = outcome {
                // A failure is told as an error; the record says it too.
                match cause.downcast_ref::<CallError>() {
                    Some(CallError::Rpc(told)) => {
                        tracing::info!(%told, label = plan.label, "failed")
                    }
                    _ => return Err(cause),
                }
            }
        }
        Ok(())
    }

    fn route(&self, way: Way, amount_msat: u64, final_delay: u32) -> Value {
        let hop = |to: &Member, channel: Scid, amount_msat: u64, delay: u32| {
            json!({
                "id": to.id.to_string(),
                "channel": channel.to_string(),
                "amount_msat": amount_msat,
                "delay": delay,
            })
        };
        let (bob, carol) = (&self.network.bob, &self.network.carol);
        let forwarding = &self.ways.bob_carol;
        let second = match way {
            Way::Direct => {
                let direct = hop(carol, self.ways.alice_carol, amount_msat, final_delay);
                return json!([direct]);
            }
            Way::OverBob => forwarding.scid,
            Way::Astray => NO_CHANNEL,
        };
        // BOLT 7; the amounts of the demo are far from where this could overflow.
        let fee_msat = forwarding.fee_base_msat
            + amount_msat * forwarding.fee_proportional_millionths / 1_000_000;
        let delay = final_delay + forwarding.cltv_expiry_delta;
        json!([
            hop(bob, self.ways.alice_bob, amount_msat + fee_msat, delay),
            hop(carol, second, amount_msat, final_delay),
        ])
    }
}

impl<'a> Plan<'a> {
    fn of(
        (bolt11, decoded): &(String, DecodeResult),
        label: &'a str,
        parts: &'a [(Way, u64)],
        ending: Ending,
    ) -> Result<Plan<'a>> {
        Ok(Plan {
            told: label,
            payment_hash: decoded.payment_hash,
            payment_secret: decoded
                .payment_secret
                .context("an invoice of carol's has no payment_secret")?,
            bolt11: Some(bolt11.clone()),
            final_delay: u32::try_from(decoded.min_final_cltv_expiry)?.max(FINAL_DELAY),
            label,
            parts,
            ending,
        })
    }

    fn telling(mut self, told: &'a str) -> Plan<'a> {
        self.told = told;
        self
    }
}

fn any(records: &[Payment], status: PaymentStatus) -> bool {
    records.iter().any(|record| record.status == status)
}

fn set(params: &mut Value, name: &str, value: Value) {
    if let Some(params) = params.as_object_mut() {
        params.insert(name.to_owned(), value);
    }
}

/// The preimage of the held payment, which carol's user keeps outside her node, and its file. Made
/// at the first run, before the invoice.
fn held_preimage(carol: &Member) -> Result<(Secret, PathBuf)> {
    let file = carol.dir.join(HELD_PREIMAGE_FILE);
    if !file.exists() {
        let mut preimage = [0; 32];
        getrandom::fill(&mut preimage).context("no randomness for a preimage")?;
        let text = format!("{}\n", Secret::from_bytes(preimage));
        write_private(&file, text.as_bytes())?;
    }
    let context = || format!("cannot read the preimage in {}", file.display());
    let text = std::fs::read_to_string(&file).with_context(context)?;
    let preimage = text.trim().parse::<Secret>().with_context(context)?;
    Ok((preimage, file))
}
