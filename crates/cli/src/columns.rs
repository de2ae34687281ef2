//! The columns of a method's list, from the contract: so they are there, and in the same order,
//! whatever the records have.

use sendpay_rpc::method;
use serde_json::Value;

/// What is known of the result of a method before it is called.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// Nothing: the daemon may be newer than this program.
    Unknown,
    /// It is no list of objects.
    NoList,
    /// It is this list, perhaps with something behind it.
    List(Columns),
}

/// The list of a result.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Columns {
    /// The member that the list is.
    pub(crate) list: String,
    /// The members of its objects, in the order of RETURN VALUE on the method's page.
    pub(crate) names: Vec<String>,
}

impl Shape {
    /// What the contract says of a method.
    pub(crate) fn of(method: &str) -> Self {
        let Some(entry) = method::find(method) else {
            return Shape::Unknown;
        };
        let schema = entry.result_schema();
        match list_of_objects(&schema) {
            Some((list, names)) => Shape::List(Columns { list, names }),
            None => Shape::NoList,
        }
    }

    /// Whether the result of a method is known to have one member, a list of objects.
    pub(crate) fn is_sole_list(method: &str) -> bool {
        method::find(method).is_some_and(|entry| {
            let schema = entry.result_schema();
            let members = schema.get("properties").and_then(Value::as_object);
            members.is_some_and(|members| members.len() == 1) && list_of_objects(&schema).is_some()
        })
    }
}

/// The first member of an object if it is a list of objects, with the members of those. Where
/// something else comes first, as in `getinfo`, a list further on is not what the result is about.
fn list_of_objects(schema: &Value) -> Option<(String, Vec<String>)> {
    let members = schema.get("properties")?.as_object()?;
    let (list, member) = members.iter().next()?;
    let columns = member.get("items")?.get("properties")?.as_object()?;
    Some((list.clone(), columns.keys().cloned().collect()))
}
