//! The parameters of every method: whatever comes, they are read or refused with an error of theirs,
//! and `check` says the same as the method.

use sendpay_rpc::Code;
use sendpay_rpc::method::check::Check;
use sendpay_rpc::method::{METHODS, find};
use sendpay_rpc::param::{Mode, Params};
use serde_json::Value;
use serde_json::value::RawValue;

/// A line with the name of a method, or with the number of one, and then the parameters.
pub(crate) fn run(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let Some((method, params)) = text.split_once('\n') else {
        return;
    };
    let Ok(raw) = serde_json::from_str::<&RawValue>(params) else {
        return;
    };
    let numbered = || {
        method
            .bytes()
            .next()
            .and_then(|byte| METHODS.get(usize::from(byte) % METHODS.len()))
    };
    let Some(entry) = find(method).or_else(numbered) else {
        return;
    };
    let told = |mode| Params::read(raw).and_then(|params| entry.validate(&params, mode));
    let (normal, check) = (told(Mode::Normal), told(Mode::Check));
    assert_eq!(normal.is_ok(), check.is_ok());
    if let Err(error) = &normal {
        assert_eq!(error.code(), Some(Code::InvalidParams));
        assert!(!error.message.is_empty());
    }
    if entry.name == "check" {
        let answer = Check::answer(raw);
        let codes = [Some(Code::InvalidParams), Some(Code::MethodNotFound)];
        assert!(answer.map_or_else(|error| codes.contains(&error.code()), |_| true));
        return;
    }
    // In front of others in order, and among those with names.
    let asked = match Params::read(raw) {
        Err(_) => return,
        Ok(Params::Positional(elements)) => {
            let mut all = vec![format!("\"{}\"", entry.name)];
            all.extend(elements.iter().map(|element| element.raw().to_owned()));
            format!("[{}]", all.join(","))
        }
        Ok(Params::Named(members)) => {
            if members.iter().any(|(name, _)| name == "command_to_check") {
                return;
            }
            let mut all = vec![format!("\"command_to_check\":\"{}\"", entry.name)];
            let member = |(name, token): &(String, sendpay_rpc::json::Token<'_>)| {
                format!("{}:{}", Value::from(name.as_str()), token.raw())
            };
            all.extend(members.iter().map(member));
            format!("{{{}}}", all.join(","))
        }
    };
    let asked = RawValue::from_string(asked).unwrap();
    let answer = Check::answer(&asked).map(|_| ());
    assert_eq!(answer, check);
}
