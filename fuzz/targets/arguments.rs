//! What a person types: each argument becomes one value, JSON as it stands or the text to the letter,
//! and none can become more than one.

use sendpay_cli::{Form, params};
use serde_json::Value;
use serde_json::value::RawValue;

/// The first byte says how parameters are given; the rest are arguments, divided by zeros.
pub(crate) fn run(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let Some(form) = text.chars().next() else {
        return;
    };
    let (_, text) = text.split_at(form.len_utf8());
    let form = match form {
        'k' => Form::Keywords,
        'o' => Form::Order,
        _ => Form::Guess,
    };
    let arguments: Vec<String> = text.split('\0').map(ToOwned::to_owned).collect();
    let Ok(read) = params(&arguments, form) else {
        return;
    };
    let by_name = read.get().starts_with('{');
    assert!(!by_name || form != Form::Order);
    let values: Vec<&RawValue> = if by_name {
        let members = sendpay_rpc::json::members(read.get()).unwrap();
        members.into_iter().map(|(_, value)| value).collect()
    } else {
        serde_json::from_str(read.get()).unwrap()
    };
    assert_eq!(values.len(), arguments.len());
    for (value, argument) in values.into_iter().zip(&arguments) {
        let typed = if by_name {
            argument.split_once('=').unwrap().1
        } else {
            argument
        };
        let as_text = Value::from(typed).to_string();
        assert!(
            value.get() == typed.trim() || value.get() == as_text,
            "{value} of {typed:?}"
        );
    }
}
