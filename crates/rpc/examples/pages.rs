//! Writes the manual pages, the shell completion and the page beside Core Lightning into a folder. Those in `docs` are made so:
//! `cargo run -p sendpay-rpc --example pages -- docs`.

#[path = "../compatibility/page.rs"]
mod compatibility;

use sendpay_rpc::{completion, manpage};
use std::path::PathBuf;
use std::{env, fs, io};

fn main() -> io::Result<()> {
    let Some(dir) = env::args_os().nth(1).map(PathBuf::from) else {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "usage: pages FOLDER",
        ));
    };
    let man = dir.join("man/man7");
    fs::create_dir_all(&man)?;
    for (file, page) in manpage::pages() {
        fs::write(man.join(file), page)?;
    }
    let completions = dir.join("bash-completion/completions");
    fs::create_dir_all(&completions)?;
    fs::write(completions.join("sendpay-cli"), completion::bash())?;
    let compared = compatibility::page().map_err(io::Error::other)?;
    fs::write(dir.join("compatibility.md"), compared)
}
