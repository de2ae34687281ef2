//! What comes after an answer: notifications, each shown as it comes, until the connection closes.

use crate::Terminal;
use crate::flat::Flat;
use crate::human::Human;
use crate::options::Format;
use crate::output::json_line;
use crate::pretty::Pretty;
use crate::table;
use sendpay_rpc::client::{CallError, Client};
use sendpay_rpc::method::Followed;
use serde_json::Value;
use serde_json::value::RawValue;
use std::io::{self, Write};
use std::path::Path;

/// How each is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// The answer, and each notification, as it came, in a line.
    Raw,
    /// The parameters of each as a line of JSON.
    Lines,
    /// The parameters of each as JSON over many lines.
    Pretty,
    /// The values of each, a line for each value.
    Human,
    /// The same, with the way to each value.
    Flat,
    /// A line for a person.
    Words(Terminal),
}

impl Form {
    /// The form that stands for a format; none for CSV, whose columns a notification has not.
    pub(crate) fn of(format: Format, is_chosen: bool) -> Option<Self> {
        Some(match format {
            Format::Csv => return None,
            Format::Raw => Form::Raw,
            Format::JsonLines => Form::Lines,
            // One value after another is easier read by programs in lines.
            Format::Json if !is_chosen => Form::Lines,
            Format::Json => Form::Pretty,
            Format::Human => Form::Human,
            Format::Flat => Form::Flat,
            Format::Table(terminal) => Form::Words(terminal),
        })
    }
}

/// Why there is nothing more.
pub(crate) enum End {
    /// The method was not answered, or what came is none.
    Call(CallError),
    /// The daemon closed the connection after its answer.
    Closed,
}

/// Calls the method, then shows what follows, each at once.
///
/// # Errors
/// If nothing more can be written.
pub(crate) fn run(
    socket: &Path,
    method: &str,
    (params, filter): (&RawValue, Option<Box<RawValue>>),
    followed: Followed,
    form: Form,
    out: &mut dyn Write,
) -> io::Result<End> {
    let called = Client::connect(socket).and_then(|mut client| {
        client.set_filter(filter);
        let answer = client.call(method, &params)?;
        Ok((answer, client.into_notifications()))
    });
    let (answer, mut notifications) = match called {
        Ok(called) => called,
        Err(error) => return Ok(End::Call(error)),
    };
    // In lines and objects of JSON are only notifications, all of one kind.
    if matches!(form, Form::Raw | Form::Words(_)) {
        form.show(&answer.to_string(), out)?;
    }
    loop {
        let notification = match notifications.next_notification() {
            Ok(notification) => notification,
            Err(CallError::Closed) => return Ok(End::Closed),
            Err(error) => return Ok(End::Call(error)),
        };
        if notification.method != followed.notification {
            continue;
        }
        let params = notification.params.get();
        if form == Form::Raw {
            let method = Value::from(notification.method);
            let whole = format!(r#"{{"jsonrpc":"2.0","method":{method},"params":{params}}}"#);
            form.show(&whole, out)?;
        } else {
            form.show(params, out)?;
        }
    }
}

impl Form {
    /// Writes a value, and sees that whoever waits for it gets it.
    fn show(self, json: &str, out: &mut dyn Write) -> io::Result<()> {
        let mut text = Vec::new();
        match self {
            Form::Raw | Form::Lines => json_line(json.as_bytes(), &mut text),
            Form::Pretty => {
                Pretty::new().write(json.as_bytes(), &mut text);
                text.push(b'\n');
            }
            Form::Human => {
                let mut human = Human::new(false);
                let shown = human.write(json.as_bytes(), &mut text);
                let shown = shown.and_then(|()| human.finish(&mut text));
                shown.map_err(io::Error::other)?;
            }
            Form::Flat => {
                let mut flat = Flat::new();
                let shown = flat.write(json.as_bytes(), &mut text);
                let shown = shown.and_then(|()| flat.finish(&mut text));
                shown.map_err(io::Error::other)?;
            }
            Form::Words(terminal) => {
                let value = serde_json::from_str(json)?;
                text.extend_from_slice(table::line(&value, terminal).as_bytes());
            }
        }
        out.write_all(&text)?;
        out.flush()
    }
}
