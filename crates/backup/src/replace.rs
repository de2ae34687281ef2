//! A file that is there whole or not at all: written under another name, synced, renamed.

use std::ffi::OsString;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, BufWriter, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

/// What the unfinished file's name ends with.
const UNFINISHED: &str = ".new";

/// Only its owner reads it.
const MODE: u32 = 0o600;

/// Puts what `write` writes in the place of `path`. A crash, or an error, leaves what was there, and
/// perhaps an unfinished file beside it, which the next call writes over. One call at a time: another
/// is refused while the first writes, in whichever process.
///
/// # Errors
/// What `write` says, or the system; [`io::ErrorKind::ResourceBusy`] beside another call.
pub fn replace<T, E: From<io::Error>>(
    path: &Path,
    write: impl FnOnce(&mut BufWriter<File>) -> Result<T, E>,
) -> Result<T, E> {
    let mut unfinished = OsString::from(path);
    unfinished.push(UNFINISHED);
    let unfinished = Path::new(&unfinished);
    let mut file = BufWriter::new(open_alone(unfinished)?);
    let written = write(&mut file).and_then(|written| {
        file.flush()?;
        file.get_ref().sync_all()?;
        std::fs::rename(unfinished, path)?;
        Ok(written)
    });
    match written {
        Ok(written) => {
            let parent = path.parent().filter(|parent| *parent != Path::new(""));
            File::open(parent.unwrap_or(Path::new(".")))?.sync_all()?;
            Ok(written)
        }
        Err(error) => {
            // Its error would hide the first one, and the next call writes over it.
            drop(std::fs::remove_file(unfinished));
            Err(error)
        }
    }
}

/// The unfinished file, empty, and locked as long as it is open.
fn open_alone(unfinished: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    // Emptied when it is ours only: somebody may be writing to it.
    options.write(true).create(true).truncate(false).mode(MODE);
    loop {
        let file = options.open(unfinished)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let what = format!("{} is being written already", unfinished.display());
                return Err(io::Error::new(io::ErrorKind::ResourceBusy, what));
            }
            Err(TryLockError::Error(cause)) => return Err(cause),
        }
        // Renamed or removed between the opening and the lock, it is not this file any more.
        let here = file.metadata()?;
        match std::fs::metadata(unfinished) {
            Ok(there) if (there.dev(), there.ino()) == (here.dev(), here.ino()) => {
                file.set_len(0)?;
                return Ok(file);
            }
            Ok(_) => {}
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => {}
            Err(cause) => return Err(cause),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn what_fails_leaves_what_was_there() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        replace(&path, |file| file.write_all(b"old")).unwrap();
        let mode = path.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let failed: io::Result<()> = replace(&path, |file| {
            file.write_all(b"new, and not all of it")?;
            Err(io::Error::other("no space left"))
        });
        assert!(failed.is_err());
        assert_eq!(std::fs::read(&path).unwrap(), b"old");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn two_at_once_do_not_write_into_one_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        replace(&path, |file| {
            file.write_all(b"first ")?;
            file.flush()?;
            // Another process would find the same: a lock is of an open file.
            let other = replace(&path, |file| file.write_all(b"other"));
            assert_eq!(other.unwrap_err().kind(), io::ErrorKind::ResourceBusy);
            file.write_all(b"and last")
        })
        .unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"first and last");
        replace(&path, |file| file.write_all(b"next")).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"next");
    }
}
