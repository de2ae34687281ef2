//! Backups: what can be brought back after everything but the words of the seed is lost.
//!
//! Knows no LDK and no network: what a node must remember of its channels is bytes here, written and
//! read by `sendpay-node`. Channel state is in no backup: to run old state loses the coins in it.
//!
//! | file | subject |
//! |---|---|
//! | `sealed.rs` | the file: versioned, encrypted to the seed, no byte of it changed or missing unseen |
//! | `replace.rs` | a file that is there whole or not at all |
//! | `dump.rs` | every table of a ledger as rows, out of one snapshot, a row at a time |
//! | `restore.rs` | those rows as a ledger again |
//! | `set_aside.rs` | channel state that must not run, and payments whose end nobody knows |

mod dump;
mod replace;
mod restore;
mod sealed;
mod set_aside;
mod value;

pub use dump::{Dumped, Snapshot, SnapshotError, WriteError, write_channels, write_whole};
pub use replace::replace;
pub use restore::{RestoreError, Restored, read_manifest, restore};
pub use sealed::{BackupKey, Kind, OpenError, Opener, Sealer};
pub use set_aside::{KvRow, RECOVERED, SetAsideError, begin_again};
