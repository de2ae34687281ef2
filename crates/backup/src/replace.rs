//! A file that is there whole or not at all: written under another name, synced, renamed.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

/// What the unfinished file's name ends with.
const UNFINISHED: &str = ".new";

/// Only its owner reads it.
const MODE: u32 = 0o600;

/// Puts what `write` writes in the place of `path`. A crash, or an error, leaves what was there, and
/// perhaps an unfinished file beside it, which the next call writes over.
///
/// # Errors
/// What `write` says, or the system.
pub fn replace<T, E: From<io::Error>>(
    path: &Path,
    write: impl FnOnce(&mut BufWriter<File>) -> Result<T, E>,
) -> Result<T, E> {
    let mut unfinished = OsString::from(path);
    unfinished.push(UNFINISHED);
    let unfinished = Path::new(&unfinished);
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(MODE);
    let mut file = BufWriter::new(options.open(unfinished)?);
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
}
