//! `sendpayd recover`: a node again, of the words of its seed and its backups, or of a directory whose
//! channel state a peer has proven old.
//!
//! Here the store is made or set right; the node that starts with it afterwards has its peers close
//! (`sendpay-node`, `recovery.rs`), however often it is stopped meanwhile. While an empty directory is
//! being filled a mark stands in it: who finds it begins again, and no other start goes past it.

use std::fs::File;
use std::io::{BufReader, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use sendpay_backup::{
    BackupKey, Kind, KvRow, OpenError, Opener, Restored, SetAsideError, begin_again, read_manifest,
    restore,
};
use sendpay_ledger::{Ledger, Store};
use sendpay_node::{
    KEPT_AT, Kept, KeptRow, Passphrase, Seed, SeedError, is_channel_state, is_recovering,
    recovery_has, recovery_rows,
};

use crate::backup::spinner;
use crate::config::Config;
use crate::old_state;
use crate::run::{STORE_FILE, make_private_dir};

/// The mark, in the network's directory, of one that is not filled yet.
const UNFINISHED_FILE: &str = "recover-is-unfinished";

/// What the operator gives.
#[derive(Debug, Clone)]
pub struct Recover {
    /// The file with the words of the seed.
    pub words: Option<PathBuf>,
    /// Backups: at most one with records, and any number of lists of channels.
    pub backups: Vec<PathBuf>,
    /// The height from which on blocks are read for coins of the wallet.
    pub birthday: Option<u32>,
}

/// Refuses a directory that a `recover` has not filled yet.
///
/// # Errors
/// If it has the mark.
pub fn refuse_unfinished(network_dir: &Path) -> Result<()> {
    if network_dir.join(UNFINISHED_FILE).exists() {
        bail!(
            "sendpayd recover was cut short in {}: run it again",
            network_dir.display()
        );
    }
    Ok(())
}

/// Makes the directory one that a node can start with, which then recovers.
///
/// # Errors
/// If the directory has a node already, or what was given cannot be used. An empty directory is empty
/// again then.
pub fn prepare(config: &Config, ask: &Recover, passphrase: Option<&Passphrase>) -> Result<()> {
    let dir = config.network_dir();
    let place = Place {
        config,
        dir: &dir,
        ask,
        passphrase,
    };
    let unfinished = dir.join(UNFINISHED_FILE).exists();
    if old_state::is_marked(&dir) {
        return place.set_right();
    }
    if dir.join(STORE_FILE).exists() && !unfinished {
        return place.go_on();
    }
    place.fill()
}

struct Place<'a> {
    config: &'a Config,
    dir: &'a Path,
    ask: &'a Recover,
    passphrase: Option<&'a Passphrase>,
}

/// A backup that was opened.
struct Backup {
    path: PathBuf,
    from: Opener<BufReader<File>>,
    kept: Kept,
}

impl Place<'_> {
    /// The seed of the words that were given, or that of the directory.
    fn seed(&self) -> Result<Seed> {
        let network = self.config.bitcoin_network();
        match &self.ask.words {
            // Never said again: what ends here ends in logs too.
            Some(path) if !path.exists() && path.to_string_lossy().contains(' ') => {
                bail!(
                    "--words takes the name of a file with the words, not the words: others can see \
                     a command line, and a shell keeps it"
                )
            }
            Some(path) => {
                let words = std::fs::read_to_string(path)
                    .with_context(|| format!("cannot read the words in {}", path.display()))?;
                Ok(Seed::of_words(&words, network)?)
            }
            None => Seed::read(self.dir, network, self.passphrase)?
                .context("no seed: give the file with its words by --words"),
        }
    }

    fn backups(&self, key: &BackupKey) -> Result<Vec<Backup>> {
        let opened = self.ask.backups.iter().map(|path| open(path, key));
        let backups = opened.collect::<Result<Vec<_>>>()?;
        let whole = |backup: &&Backup| backup.from.kind() == Kind::Whole;
        if backups.iter().filter(whole).count() > 1 {
            bail!("more than one --backup has records: give the newest one, and lists of channels");
        }
        Ok(backups)
    }

    fn rows(&self, seed: &Seed, lists: &[Kept]) -> Result<Vec<KvRow>> {
        let node_id = seed.node_id().context("the seed makes no node id")?;
        // Of the first block that is read.
        let birthday = self.ask.birthday.map(|height| height.saturating_sub(1));
        let rows = recovery_rows(lists, node_id, self.config.bitcoin_network(), birthday)?;
        let row = |([primary, secondary, key], value): KeptRow| KvRow {
            primary,
            secondary,
            key,
            value,
        };
        Ok(rows.into_iter().map(row).collect())
    }

    /// An empty directory.
    fn fill(&self) -> Result<()> {
        if self.ask.words.is_none() {
            bail!(
                "{} has no node: give the file with the words of the seed by --words",
                self.dir.display()
            );
        }
        let seed = self.seed()?;
        let backups = self.backups(&BackupKey::new(seed.backup_secret()?))?;
        if backups.is_empty() && self.ask.birthday.is_none() {
            bail!(
                "without --backup nobody knows when this seed was made: give a --birthday, the \
                 height of a block before its first use, from which on all blocks are read (0: all \
                 there are)"
            );
        }
        let lists: Vec<Kept> = backups.iter().map(|backup| backup.kept.clone()).collect();
        let rows = self.rows(&seed, &lists)?;
        make_private_dir(&self.config.dir)?;
        make_private_dir(self.dir)?;
        // Before anything is made: one that belongs to another node is no empty directory.
        let network = self.config.bitcoin_network();
        if let Some(there) = Seed::read(self.dir, network, self.passphrase)?
            && there.node_id() != seed.node_id()
        {
            return Err(SeedError::OtherSeed(self.dir.to_owned()).into());
        }
        self.mark()?;
        self.clear()?;
        let made = self.make(backups, rows);
        let (restored, unknown) = match made {
            Ok(made) => made,
            Err(cause) => {
                // The cause is what counts; the mark stays if this fails.
                if self.clear().is_ok() {
                    drop(self.unmark());
                }
                return Err(cause);
            }
        };
        seed.restore(self.dir, network, self.passphrase)?;
        self.unmark()?;
        tell(restored, unknown, &lists);
        Ok(())
    }

    /// The store, of the backup with records if there is one.
    fn make(&self, backups: Vec<Backup>, rows: Vec<KvRow>) -> Result<(Restored, u64)> {
        let store_file = self.dir.join(STORE_FILE);
        let mut restored = Restored::default();
        for Backup { path, from, .. } in backups {
            let unusable = || format!("{} cannot be restored", path.display());
            match from.kind() {
                Kind::Channels => from.finish().with_context(unusable)?,
                Kind::Whole => {
                    let bar = spinner("restoring");
                    let made = restore(from, &store_file, &mut |rows| bar.set_position(rows));
                    bar.finish_and_clear();
                    restored = made.with_context(unusable)?;
                }
            }
        }
        let unknown = self.set_aside(&store_file, rows)?;
        Ok((restored, unknown))
    }

    fn set_aside(&self, store_file: &Path, rows: Vec<KvRow>) -> Result<u64> {
        let (store, ledger) = Ledger::open(store_file)
            .with_context(|| format!("cannot open the store {}", store_file.display()))?;
        drop(ledger);
        let unknown = put_aside(&store, rows);
        store.close();
        unknown
    }

    /// A directory whose channel state is old.
    fn set_right(&self) -> Result<()> {
        let seed = self.seed()?;
        let network = self.config.bitcoin_network();
        let there = Seed::read(self.dir, network, self.passphrase)?;
        if there.is_none_or(|there| there.node_id() != seed.node_id()) {
            return Err(SeedError::OtherSeed(self.dir.to_owned()).into());
        }
        let key = BackupKey::new(seed.backup_secret()?);
        let mut lists = Vec::new();
        for backup in self.backups(&key)? {
            let path = &backup.path;
            if backup.from.kind() == Kind::Whole {
                println!(
                    "{}: its list of channels is used; the records of the directory stay",
                    path.display()
                );
            }
            lists.push(backup.kept);
        }
        // It may be newer than the store, if that alone was copied.
        match open(&self.config.channels_backup(), &key) {
            Ok(backup) => lists.push(backup.kept),
            Err(cause) => println!("not used: {cause:#}"),
        }
        let store_file = self.dir.join(STORE_FILE);
        let (store, ledger) = Ledger::open(&store_file)
            .with_context(|| format!("cannot open the store {}", store_file.display()))?;
        drop(ledger);
        let [primary, secondary, name] = KEPT_AT;
        if let Some(bytes) = store.kv_read(primary, secondary, name)? {
            lists.push(Kept::from_bytes(&bytes).context("the list of channels cannot be read")?);
        }
        if lists.is_empty() && !is_recovering(&store)? {
            bail!("no list of channels: give one by --backup");
        }
        let mut rows = self.rows(&seed, &lists)?;
        // A sweeper that is there knows more than any backup.
        let is_kept = |row: &KvRow| store.kv_read(&row.primary, &row.secondary, &row.key);
        rows.retain(|row| row.key != SWEEPER_KEY || !matches!(is_kept(row), Ok(Some(_))));
        let unknown = put_aside(&store, rows);
        store.close();
        let unknown = unknown?;
        old_state::unmark(self.dir).context("cannot remove the mark of old state")?;
        tell(Restored::default(), unknown, &lists);
        Ok(())
    }

    /// A directory with a node: one that recovers goes on.
    fn go_on(&self) -> Result<()> {
        let store_file = self.dir.join(STORE_FILE);
        let (store, ledger) = Ledger::open(&store_file)
            .with_context(|| format!("cannot open the store {}", store_file.display()))?;
        drop(ledger);
        let checked = self.check_goes_on(&store);
        store.close();
        checked?;
        println!("This node was restored already; its recovery goes on.");
        Ok(())
    }

    fn check_goes_on(&self, store: &Store) -> Result<()> {
        let dir = self.dir.display();
        if !is_recovering(store)? {
            bail!(
                "{dir} has a node already: recover goes into an empty directory, or one whose channel \
                 state was proven old"
            );
        }
        let network = self.config.bitcoin_network();
        let there = Seed::read(self.dir, network, self.passphrase)?;
        let there = there.as_ref().and_then(Seed::node_id);
        let seed = self.seed()?;
        if there != seed.node_id() {
            return Err(SeedError::OtherSeed(self.dir.to_owned()).into());
        }
        for backup in self.backups(&BackupKey::new(seed.backup_secret()?))? {
            let is_alone = backup.from.kind() == Kind::Channels;
            if !recovery_has(store, &backup.kept, is_alone)? {
                bail!(
                    "{} is not one of the backups that the recovery in {dir} began with, and cannot be \
                     added to it: recover into another, empty directory, with all backups",
                    backup.path.display()
                );
            }
        }
        Ok(())
    }

    fn mark(&self) -> Result<()> {
        let write = || -> std::io::Result<()> {
            let mut file = File::create(self.dir.join(UNFINISHED_FILE))?;
            file.write_all(b"sendpayd recover is at work here, or was cut short: run it again.\n")?;
            file.sync_all()?;
            File::open(self.dir)?.sync_all()
        };
        write().with_context(|| format!("cannot write in {}", self.dir.display()))
    }

    fn unmark(&self) -> Result<()> {
        let remove = || -> std::io::Result<()> {
            File::open(self.dir)?.sync_all()?;
            std::fs::remove_file(self.dir.join(UNFINISHED_FILE))?;
            File::open(self.dir)?.sync_all()
        };
        remove().with_context(|| format!("cannot write in {}", self.dir.display()))
    }

    /// Removes what a `recover` that was cut short has made of the store.
    fn clear(&self) -> Result<()> {
        for end in ["", "-wal", "-shm", "-journal", ".lock"] {
            let path = self.dir.join(format!("{STORE_FILE}{end}"));
            match std::fs::remove_file(&path) {
                Err(cause) if cause.kind() != std::io::ErrorKind::NotFound => {
                    return Err(cause).with_context(|| format!("cannot remove {}", path.display()));
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// The name under which LDK keeps its sweeper.
const SWEEPER_KEY: &str = "output_sweeper";

fn put_aside(store: &Store, rows: Vec<KvRow>) -> Result<u64> {
    let bytes = rows.iter().map(|row| row.value.len()).sum();
    let done = store.enqueue::<_, SetAsideError, _>(bytes, move |connection| {
        begin_again(connection, is_channel_state, &rows)
    });
    Ok(done.wait()??)
}

fn open(path: &Path, key: &BackupKey) -> Result<Backup> {
    let opened = || -> Result<(Opener<BufReader<File>>, Vec<u8>), OpenError> {
        let file = File::open(path).map_err(OpenError::Read)?;
        let mut from = Opener::new(BufReader::new(file), key)?;
        let manifest = read_manifest(&mut from)?;
        Ok((from, manifest))
    };
    let unusable = || format!("{} is not used", path.display());
    let (from, manifest) = opened().with_context(unusable)?;
    let kept = Kept::from_bytes(&manifest).with_context(unusable)?;
    Ok(Backup {
        path: path.to_owned(),
        from,
        kept,
    })
}

/// What there is now, on standard output.
fn tell(restored: Restored, unknown: u64, lists: &[Kept]) {
    let mut channels: Vec<&str> = lists
        .iter()
        .flat_map(|kept| &kept.channels)
        .map(|channel| channel.channel_id.as_str())
        .collect();
    channels.sort_unstable();
    channels.dedup();
    let mut text = format!(
        "{} payments and {} invoices were restored. The peers of {} channels are asked to close them; \
         what that pays goes into the wallet. `getinfo` says what is left to do.\n",
        restored.payments,
        restored.invoices,
        channels.len()
    );
    if unknown > 0 {
        text.push_str(&format!(
            "{unknown} payments were pending: whether they were paid this node cannot know. Once you \
             do, tell by `sendpay-cli settleimported`.\n"
        ));
    }
    drop(std::io::stdout().write_all(text.as_bytes()));
}
