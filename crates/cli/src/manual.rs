//! The manual page of a method, shown by `man`, as `lightning-cli help METHOD` does.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Where the pages are besides where `man` looks: beside a program that was built and not
/// installed, and beside one that was installed somewhere of its own. From its directory.
const PLACES: &[&str] = &["../../docs/man/man7", "../share/man/man7"];

/// Shows the page of a method. Gives false if `man` has none, or there is no `man`: then the daemon
/// may know.
pub(crate) fn show(method: &str) -> bool {
    // No name of a method has anything else, and no path is made of it.
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    if method.is_empty() || !method.bytes().all(is_name) {
        return false;
    }
    let page = format!("sendpay-{method}");
    if man(&[Path::new(&page)]) {
        return true;
    }
    let program = std::env::current_exe().ok();
    let dir = program.as_deref().and_then(Path::parent);
    let files = PLACES
        .iter()
        .filter_map(|place| Some(dir?.join(place).join(format!("{page}.7"))));
    files
        .filter(|file| file.is_file())
        .any(|file: PathBuf| man(&[Path::new("-l"), &file]))
}

/// Runs `man` on this process's terminal. What it says when it finds nothing is not shown.
fn man(arguments: &[&Path]) -> bool {
    let status = Command::new("man")
        .args(arguments)
        .stderr(Stdio::null())
        .status();
    status.is_ok_and(|status| status.success())
}
