//! Writes the manual pages and the shell completion into a folder. Those in `docs` are made so:
//! `cargo run -p sendpay-rpc --example pages -- docs`.

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
    fs::write(completions.join("sendpay-cli"), completion::bash())
}
