//! `sendpay-cli verifyproof INVOICE PREIMAGE`: whether a preimage proves the payment of an invoice,
//! and what exactly that says. It asks nobody: no daemon, no network, only the two texts.
//!
//! The payee signed the invoice, and only the payee had the preimage of its payment_hash to begin
//! with. The payee lets it go against the payment. So who can show both shows that the payment was
//! made; not by whom.

use crate::flat::Flat;
use crate::options::Format;
use crate::pretty::Pretty;
use crate::{EXIT_OK, EXIT_RPC_ERROR, EXIT_USAGE, unread};
use bitcoin_hashes::{Hash, sha256};
use lightning_invoice::{Bolt11Invoice, Bolt11InvoiceDescriptionRef};
use sendpay_rpc::value::{Hash32, InvoiceString, NodeId, Secret};
use serde::Serialize;
use std::io::{self, Write};

/// The word that stands where a method would.
pub(crate) const NAME: &str = "verifyproof";

/// Longest invoice that is looked at, in bytes; the longest seen in the wild have about 3,000.
const INVOICE_BYTES_MAX: usize = 16_384;

const USAGE: &str = "\
Usage: sendpay-cli verifyproof INVOICE PREIMAGE [DESCRIPTION]

Checks, without a daemon, whether the preimage (64 hex digits) proves that the invoice (BOLT 11) was
paid, and says what exactly that proves. If the invoice has only a hash of its description,
DESCRIPTION is held against it. In place of an invoice a payment_hash can be given: without an invoice
there is no proof, and the answer says why.

Exit codes: 0 proven, 1 not proven, 3 the arguments are not what they should be.";

/// What the two texts say.
#[derive(Debug, Serialize)]
struct Verdict {
    /// Whether the invoice was paid.
    proven: bool,
    /// Why not. There if it is not proven.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    payment_hash: Hash32,
    payment_preimage: Secret,
    #[serde(flatten)]
    invoice: Option<Signed>,
    /// Sentences that follow from it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    proves: Vec<String>,
    /// Sentences that do not follow, though one might think so.
    does_not_prove: Vec<String>,
}

/// What the payee signed.
#[derive(Debug, Serialize)]
struct Signed {
    /// The node that signed, or whose signature the invoice must have.
    payee: NodeId,
    /// The chain: BOLT 11's prefix.
    currency: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    amount_msat: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    description_hash: Option<Hash32>,
    /// In seconds since 1970.
    created_at: u64,
    /// In seconds since 1970.
    expires_at: u64,
}

/// Why there is nothing to look at.
#[derive(Debug, thiserror::Error)]
enum BadArgument {
    #[error("{0}")]
    Usage(&'static str),
    #[error("PREIMAGE should be 64 hex digits")]
    Preimage,
    #[error("INVOICE is longer than {INVOICE_BYTES_MAX} bytes")]
    Long,
    #[error("INVOICE is an offer or an invoice of BOLT 12, which are not supported yet")]
    Bolt12,
    #[error("INVOICE cannot be read as an invoice of BOLT 11: {0}")]
    Invoice(String),
    #[error("DESCRIPTION is given, and the invoice has no hash of one")]
    NoDescriptionHash,
}

/// Runs it and gives the exit code.
pub(crate) fn run(
    arguments: &[String],
    format: Format,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> io::Result<u8> {
    let verdict = match read(arguments).and_then(|asked| verify(&asked)) {
        Ok(verdict) => verdict,
        Err(BadArgument::Usage(reason)) => {
            let told = writeln!(err, "sendpay-cli: {reason}\n\n{USAGE}");
            return unread(told, EXIT_USAGE);
        }
        Err(error) => {
            let told = writeln!(err, "sendpay-cli: {NAME}: {error}");
            return unread(told, EXIT_USAGE);
        }
    };
    if format == Format::Csv {
        let told = writeln!(
            err,
            "sendpay-cli: --format csv cannot be used with {NAME}: it is no list"
        );
        return unread(told, EXIT_USAGE);
    }
    let code = if verdict.proven {
        EXIT_OK
    } else {
        EXIT_RPC_ERROR
    };
    let told = show(&verdict, format, out).and_then(|()| out.flush());
    unread(told, code)
}

/// The verdict in the form that was chosen; not as CSV, as it is no list.
fn show(verdict: &Verdict, format: Format, out: &mut dyn Write) -> io::Result<()> {
    match format {
        Format::Table(_) | Format::Human | Format::Csv => tell(verdict, out),
        Format::Json => {
            let mut lines = Vec::new();
            Pretty::new().write(&serde_json::to_vec(verdict)?, &mut lines);
            lines.push(b'\n');
            out.write_all(&lines)
        }
        Format::Raw | Format::JsonLines => {
            serde_json::to_writer(&mut *out, verdict)?;
            out.write_all(b"\n")
        }
        Format::Flat => {
            let (mut flat, mut lines) = (Flat::new(), Vec::new());
            let shown = flat.write(&serde_json::to_vec(verdict)?, &mut lines);
            let shown = shown.and_then(|()| flat.finish(&mut lines));
            shown.map_err(io::Error::other)?;
            out.write_all(&lines)
        }
    }
}

/// The arguments, in order or by name.
#[derive(Debug, Default)]
struct Asked {
    invoice: Option<String>,
    preimage: Option<String>,
    description: Option<String>,
}

fn read(arguments: &[String]) -> Result<Asked, BadArgument> {
    let mut asked = Asked::default();
    for (place, argument) in arguments.iter().enumerate() {
        let (name, value) = match argument.split_once('=') {
            Some((name @ ("invoice" | "preimage" | "description"), value)) => (name, value),
            _ => match place {
                0 => ("invoice", argument.as_str()),
                1 => ("preimage", argument.as_str()),
                2 => ("description", argument.as_str()),
                _ => return Err(BadArgument::Usage("too many arguments")),
            },
        };
        let slot = match name {
            "invoice" => &mut asked.invoice,
            "preimage" => &mut asked.preimage,
            _ => &mut asked.description,
        };
        if slot.replace(value.to_owned()).is_some() {
            return Err(BadArgument::Usage("an argument is given twice"));
        }
    }
    Ok(asked)
}

fn verify(asked: &Asked) -> Result<Verdict, BadArgument> {
    let (Some(invoice), Some(preimage)) = (&asked.invoice, &asked.preimage) else {
        return Err(BadArgument::Usage("an invoice and a preimage are needed"));
    };
    let preimage: Secret = preimage.parse().map_err(|_| BadArgument::Preimage)?;
    let proven_hash = Hash32::from_bytes(sha256::Hash::hash(&preimage.to_bytes()).to_byte_array());
    if let Ok(payment_hash) = invoice.parse::<Hash32>() {
        return Ok(without_invoice(
            payment_hash,
            preimage,
            proven_hash == payment_hash,
        ));
    }
    let invoice = parse(invoice)?;
    let signed = signed(&invoice);
    let payment_hash = Hash32::from_bytes(invoice.payment_hash().0);
    let reason = if proven_hash != payment_hash {
        Some(format!(
            "the preimage is not this invoice's: its SHA256 is {proven_hash}"
        ))
    } else {
        described(&signed, asked.description.as_deref())?
    };
    let proven = reason.is_none();
    Ok(Verdict {
        proven,
        reason,
        payment_hash,
        payment_preimage: preimage,
        proves: if proven {
            proves(&signed, asked.description.as_deref())
        } else {
            Vec::new()
        },
        does_not_prove: if proven { limits(&signed) } else { Vec::new() },
        invoice: Some(signed),
    })
}

fn parse(text: &str) -> Result<Bolt11Invoice, BadArgument> {
    if text.len() > INVOICE_BYTES_MAX {
        return Err(BadArgument::Long);
    }
    let text = InvoiceString::canonical(text.trim());
    if ["lni1", "lno1", "lnr1"]
        .iter()
        .any(|start| text.as_str().starts_with(start))
    {
        return Err(BadArgument::Bolt12);
    }
    // The signature is checked here too.
    text.as_str()
        .parse()
        .map_err(|error| BadArgument::Invoice(format!("{error}")))
}

fn signed(invoice: &Bolt11Invoice) -> Signed {
    let (description, description_hash) = match invoice.description() {
        Bolt11InvoiceDescriptionRef::Direct(text) => (Some(text.to_string()), None),
        Bolt11InvoiceDescriptionRef::Hash(hash) => {
            let bytes: &[u8; 32] = hash.0.as_ref();
            (None, Some(Hash32::from_bytes(*bytes)))
        }
    };
    let created_at = invoice.duration_since_epoch();
    let expires_at = created_at.saturating_add(invoice.expiry_time());
    Signed {
        payee: NodeId::from_bytes(invoice.get_payee_pub_key().serialize()),
        currency: invoice.currency().to_string(),
        amount_msat: invoice.amount_milli_satoshis(),
        description,
        description_hash,
        created_at: created_at.as_secs(),
        expires_at: expires_at.as_secs(),
    }
}

/// Why the invoice is not one for that description.
fn described(signed: &Signed, text: Option<&str>) -> Result<Option<String>, BadArgument> {
    let Some(text) = text else { return Ok(None) };
    match (&signed.description, signed.description_hash) {
        (_, Some(hash)) => {
            let found = sha256::Hash::hash(text.as_bytes()).to_byte_array();
            let other = hash.to_bytes() != found;
            Ok(other.then(|| "the invoice is for another description".to_owned()))
        }
        (Some(signed), None) if signed == text => Ok(None),
        (Some(_), None) => Ok(Some("the invoice is for another description".to_owned())),
        (None, None) => Err(BadArgument::NoDescriptionHash),
    }
}

fn proves(signed: &Signed, text: Option<&str>) -> Vec<String> {
    let payee = signed.payee;
    let amount = match signed.amount_msat {
        Some(amount) => format!("{amount} msat"),
        None => "any amount".to_owned(),
    };
    let what = match (&signed.description, signed.description_hash, text) {
        (Some(text), _, _) => format!("for {text:?}"),
        (_, Some(_), Some(text)) => format!("for {text:?} (the invoice has its hash)"),
        (_, Some(hash), None) => format!("for what has the SHA256 {hash}"),
        (None, None, _) => "without saying for what".to_owned(),
    };
    let when = utc(signed.created_at);
    let paid = match signed.amount_msat {
        Some(amount) => format!("at least {amount} msat"),
        None => "an amount".to_owned(),
    };
    vec![
        format!(
            "The node {payee} asked for {amount} {what}: it signed the invoice, made at {when}."
        ),
        format!(
            "That node has let the preimage go, as it does when {paid} for this invoice is paid to it."
        ),
    ]
}

fn limits(signed: &Signed) -> Vec<String> {
    let mut limits = vec![
        "Who paid: besides the payer and the payee, every node that forwarded the payment knows the \
         preimage, and so does everyone who was shown it."
            .to_owned(),
        "When it was paid: after the invoice was made, and no more is known.".to_owned(),
        "Who is behind the node: compare its id with one that you have from elsewhere.".to_owned(),
    ];
    if signed.amount_msat.is_none() {
        limits.push("How much was paid: the invoice names no amount.".to_owned());
    }
    limits
}

/// A hash and its preimage, which anybody can make.
fn without_invoice(payment_hash: Hash32, preimage: Secret, belongs: bool) -> Verdict {
    let reason = if belongs {
        "the preimage is that of the payment_hash, and without an invoice that proves nothing: \
         nobody signed that it is owed. Of a payment without an invoice (keysend) the payer made \
         the preimage"
    } else {
        "the preimage is not that of the payment_hash"
    };
    Verdict {
        proven: false,
        reason: Some(reason.to_owned()),
        payment_hash,
        payment_preimage: preimage,
        invoice: None,
        proves: Vec::new(),
        does_not_prove: vec!["That anything was paid to anybody.".to_owned()],
    }
}

/// For a person.
fn tell(verdict: &Verdict, out: &mut dyn Write) -> io::Result<()> {
    match &verdict.reason {
        None => writeln!(out, "Proven: the invoice was paid.")?,
        Some(reason) => writeln!(out, "Not proven: {reason}.")?,
    }
    if let Some(signed) = &verdict.invoice {
        let amount = match signed.amount_msat {
            Some(amount) => format!("{amount} msat"),
            None => "any".to_owned(),
        };
        writeln!(out, "\n  payee         {}", signed.payee)?;
        writeln!(out, "  amount        {amount} ({})", signed.currency)?;
        if let Some(text) = &signed.description {
            writeln!(out, "  description   {text:?}")?;
        }
        if let Some(hash) = signed.description_hash {
            writeln!(out, "  description   SHA256 {hash}")?;
        }
        writeln!(out, "  made          {}", utc(signed.created_at))?;
        writeln!(out, "  payable until {}", utc(signed.expires_at))?;
        writeln!(out, "  payment_hash  {}", verdict.payment_hash)?;
    }
    for (head, sentences) in [
        ("It proves:", &verdict.proves),
        ("It does not prove:", &verdict.does_not_prove),
    ] {
        if !sentences.is_empty() {
            writeln!(out, "\n{head}")?;
        }
        for sentence in sentences {
            writeln!(out, "  - {sentence}")?;
        }
    }
    Ok(())
}

/// A time in seconds since 1970, in UTC.
fn utc(seconds: u64) -> String {
    format!("{} UTC", crate::table::date(seconds))
}
