//! A peer proves that our channel state is old: the end of this process, and of every later one.
//!
//! That happens to who runs a copy of the database. To broadcast old state would give the peer
//! everything in the channel, so LDK panics, with its locks held. What is left to do is to end before
//! anything else happens, and to remember it: the mark is durable before the process is gone, and no
//! start goes past it. `sendpayd recover` (`recover.rs`) takes the mark away with the state.

use std::io::Write;
use std::panic::PanicHookInfo;
use std::path::{Path, PathBuf};

/// The exit code of a process that ends for this, and of one that does not start for it.
pub const EXIT_CODE: u8 = 3;

/// The mark, in the network's directory.
pub const MARK_FILE: &str = "channel-state-is-old";

/// How LDK's panic begins; its version is pinned, and a test has a peer prove it.
const LDKS_WORDS: &str = "We have fallen behind";

/// The node does not run on old channel state.
#[derive(Debug, thiserror::Error)]
#[error(
    "a peer has proven that the channel state in {} is old, as that of a copy or a backup is: to \
     run it would lose the coins in the channels. `sendpayd recover` with this directory, and the \
     newest backups that there are, has peers close their channels and collects what that pays; \
     nothing else starts here", .0.display()
)]
pub struct OldState(PathBuf);

/// Refuses a directory with the mark.
///
/// # Errors
/// If it has the mark, or nobody can tell.
pub fn refuse(network_dir: &Path) -> Result<(), OldState> {
    match is_marked(network_dir) {
        false => Ok(()),
        true => Err(OldState(network_dir.to_owned())),
    }
}

/// Whether the directory has the mark, or nobody can tell.
pub(crate) fn is_marked(network_dir: &Path) -> bool {
    let mark = std::fs::symlink_metadata(network_dir.join(MARK_FILE));
    !mark.is_err_and(|cause| cause.kind() == std::io::ErrorKind::NotFound)
}

/// Takes the mark away: the state that it is about is out of the way.
pub(crate) fn unmark(network_dir: &Path) -> std::io::Result<()> {
    std::fs::remove_file(network_dir.join(MARK_FILE))?;
    std::fs::File::open(network_dir)?.sync_all()
}

/// From now on LDK's panic about it marks the directory and ends the process.
pub fn watch(network_dir: &Path) {
    let network_dir = network_dir.to_owned();
    let others = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if !is_ldks(panic) {
            others(panic);
            return;
        }
        // In this order: whatever becomes of the mark, nothing of LDK's may run after this.
        let marked = mark(&network_dir);
        tracing::error!(
            ?marked,
            "{}; ending with code {EXIT_CODE}",
            OldState(network_dir.clone())
        );
        std::process::exit(i32::from(EXIT_CODE));
    }));
}

fn is_ldks(panic: &PanicHookInfo<'_>) -> bool {
    panic
        .payload_as_str()
        .is_some_and(|text| text.starts_with(LDKS_WORDS))
}

fn mark(network_dir: &Path) -> std::io::Result<()> {
    let mut file = std::fs::File::create(network_dir.join(MARK_FILE))?;
    let text = "A peer has proven that the channel state in this directory is old. sendpayd does not \
                start with it.\n";
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    std::fs::File::open(network_dir)?.sync_all()
}
