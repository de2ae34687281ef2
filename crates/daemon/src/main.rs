//! `sendpayd`: parse, start, wait, stop.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};
use sendpay_chain::regtest::Regtest;
use sendpay_node::{Passphrase, SEED_FILE, SeedError};
use sendpayd::config::keys::{Kind, Leaf};
use sendpayd::config::{self, Config, Settings};
use sendpayd::old_state::{self, OldState};
use sendpayd::recover::{self, Recover};
use sendpayd::run::{self, CHAIN_DIR};
use sendpayd::{backup, demo, import, log, passphrase};
use tokio::signal::unix::{SignalKind, signal};

/// A Lightning node that accounts for every payment it sends.
#[derive(Parser)]
#[command(version, args_conflicts_with_subcommands = true)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    node: NodeArguments,
    /// Prints the configuration that is in force as a configuration file, with every key explained,
    /// and ends
    #[arg(long)]
    print_config: bool,
}

#[derive(clap::Args)]
struct NodeArguments {
    /// Directory of the node [default: sendpay in the user's state directory]
    #[arg(long)]
    dir: Option<PathBuf>,
    /// Overrides a key of DIR/sendpayd.toml, such as log.level=debug; may be repeated
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    #[command(flatten)]
    keys: KeyFlags,
}

/// A flag for each key of the configuration but for secret ones: `--chain-rpc-address VALUE`.
struct KeyFlags(Vec<String>);

impl clap::FromArgMatches for KeyFlags {
    fn from_arg_matches(matches: &clap::ArgMatches) -> Result<Self, clap::Error> {
        let given = Settings::keys().into_iter().filter_map(|leaf| {
            let value = matches.try_get_one::<String>(&leaf.path).ok()??;
            Some(format!("{}={value}", leaf.path))
        });
        Ok(KeyFlags(given.collect()))
    }

    fn update_from_arg_matches(&mut self, matches: &clap::ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl clap::Args for KeyFlags {
    fn augment_args(command: clap::Command) -> clap::Command {
        // Everybody on the machine can read a command line.
        let open = |leaf: &Leaf| !matches!(leaf.key.kind, Kind::Secret);
        let leaves = Settings::keys().into_iter().filter(open);
        leaves.fold(command, |command, leaf| {
            let help = leaf.key.doc.concat();
            let flag = clap::Arg::new(leaf.path.clone())
                .long(leaf.flag())
                .value_name("VALUE")
                .help_heading("Keys of the configuration")
                .help(help.trim().trim_end_matches('.').to_owned());
            command.arg(flag)
        })
    }

    fn augment_args_for_update(command: clap::Command) -> clap::Command {
        Self::augment_args(command)
    }
}

#[derive(Subcommand)]
enum Command {
    /// Runs an embedded regtest chain that nodes can use like bitcoind
    Regtest {
        /// Directory; the chain is kept in DIR/chain [default: as for a node]
        #[arg(long)]
        dir: Option<PathBuf>,
        /// Where to serve its RPC; port 0 lets the system choose
        #[arg(long, default_value = "127.0.0.1:0")]
        listen: SocketAddr,
    },
    /// Runs a network of three nodes on an embedded chain and makes payments of every kind
    Demo {
        /// Directory [default: sendpay/demo in the user's state directory]
        #[arg(long)]
        dir: Option<PathBuf>,
        /// Print alice's listsendpays as JSON and end
        #[arg(long)]
        exit: bool,
        /// How much goes into DIR/demo.log
        #[arg(long, value_enum, default_value_t, value_name = "LEVEL")]
        log_level: config::LogLevel,
    },
    /// Writes every record and the list of channels to FILE, encrypted to the seed, whether the node
    /// runs or not. Channel state is not in it: what is in it is safe to bring back at any time
    Backup {
        /// The file; what is there is replaced when the new one is whole
        file: PathBuf,
        #[command(flatten)]
        node: NodeArguments,
    },
    /// Restores a node from the words of its seed and its backups, or a directory whose channel state
    /// was proven old, and runs it: peers are asked to close the old channels, and what that pays goes
    /// into the wallet
    Recover {
        /// A file with the words of the seed
        #[arg(long, value_name = "FILE")]
        words: Option<PathBuf>,
        /// A file of `sendpayd backup`, or an automatic one (channels.backup); may be repeated: one with
        /// records, and lists of channels
        #[arg(long, value_name = "FILE")]
        backup: Vec<PathBuf>,
        /// The height of a block before the first use of the seed, from which on blocks are read
        /// [default: as the backup says]
        #[arg(long, value_name = "HEIGHT")]
        birthday: Option<u32>,
        #[command(flatten)]
        node: NodeArguments,
    },
    /// Encrypts the seed with a passphrase, or takes that away
    Seed {
        #[command(subcommand)]
        how: SeedCommand,
    },
    /// Takes over the history of another node
    Import {
        #[command(subcommand)]
        from: ImportFrom,
    },
}

#[derive(Subcommand)]
enum SeedCommand {
    /// Encrypts the seed file. From then on each start needs the passphrase: from
    /// seed.passphrase_file, from seed.passphrase_fd, or typed. The words, written down, need none
    Encrypt {
        #[command(flatten)]
        node: NodeArguments,
    },
    /// Writes the words into the seed file as they are
    Decrypt {
        #[command(flatten)]
        node: NodeArguments,
    },
}

#[derive(Subcommand)]
enum ImportFrom {
    /// Reads payments and invoices of a stopped Core Lightning node (v0.10 to v26.06), which is left
    /// as it is. What was imported before is passed over
    Cln {
        /// CLN's lightningd.sqlite3
        path: PathBuf,
        /// What to call that node in the ledger [default: its node id]
        #[arg(long)]
        name: Option<String>,
        #[command(flatten)]
        node: NodeArguments,
    },
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(cause) => {
            eprintln!("sendpayd: cannot start its threads: {cause}");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(run(arguments)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(cause) => {
            eprintln!("sendpayd: {cause:#}");
            match cause.downcast_ref::<OldState>() {
                Some(_) => ExitCode::from(old_state::EXIT_CODE),
                None => passphrase::exit_code(&cause).map_or(ExitCode::FAILURE, ExitCode::from),
            }
        }
    }
}

async fn run(arguments: Arguments) -> Result<()> {
    match arguments.command {
        None if arguments.print_config => print_config(arguments.node),
        None => {
            let config = load(arguments.node)?;
            let passphrase = passphrase::given(&config)?;
            node(config, passphrase).await
        }
        Some(Command::Backup { file, node }) => {
            let config = load(node)?;
            let passphrase = passphrase::given(&config)?;
            tokio::task::spawn_blocking(move || backup::write(&config, &file, passphrase.as_ref()))
                .await?
        }
        Some(Command::Recover {
            words,
            backup,
            birthday,
            node: arguments,
        }) => {
            let config = load(arguments)?;
            let ask = Recover {
                words,
                backups: backup,
                birthday,
            };
            let passphrase = passphrase::given(&config)?;
            let (of, with) = (config.clone(), passphrase.clone());
            // It blocks, and a kill at any instant is all right.
            tokio::task::spawn_blocking(move || recover::prepare(&of, &ask, with.as_ref()))
                .await??;
            node(config, passphrase).await
        }
        Some(Command::Seed { how }) => seed(how),
        Some(Command::Regtest { dir, listen }) => regtest(dir, listen).await,
        Some(Command::Demo {
            dir,
            exit,
            log_level,
        }) => {
            let dir = match dir {
                Some(dir) => dir,
                None => default_dir()?.join("demo"),
            };
            demo::run(&dir, exit, log_level, interrupted()?).await
        }
        Some(Command::Import {
            from: ImportFrom::Cln { path, name, node },
        }) => {
            let config = load(node)?;
            log::start(config::LogLevel::Warn, None)?;
            // It blocks, and a kill at any instant is all right.
            tokio::task::spawn_blocking(move || import::run(&config, &path, name)).await?
        }
    }
}

/// The settings of a node, from its file, the environment and the command line, and its directory.
fn settings(arguments: NodeArguments) -> Result<(Settings, PathBuf)> {
    let dir = match arguments.dir {
        Some(dir) => dir,
        None => default_dir()?,
    };
    let mut settings = Settings::read(&dir)?;
    settings.environment(std::env::vars_os())?;
    for assignment in arguments.set.iter().chain(&arguments.keys.0) {
        settings.set(assignment)?;
    }
    Ok((settings, dir))
}

fn load(arguments: NodeArguments) -> Result<Config> {
    let (settings, dir) = settings(arguments)?;
    Ok(settings.config(&dir)?)
}

fn print_config(arguments: NodeArguments) -> Result<()> {
    let (settings, dir) = settings(arguments)?;
    // Not what would be refused.
    settings.config(&dir)?;
    let text = settings.explained();
    std::io::Write::write_all(&mut std::io::stdout(), text.as_bytes())
        .context("cannot print the configuration")
}

fn default_dir() -> Result<PathBuf> {
    config::default_dir().context("no --dir given, and neither XDG_STATE_HOME nor HOME is set")
}

/// Resolves at SIGTERM or SIGINT.
fn interrupted() -> Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate()).context("cannot watch for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot watch for SIGINT")?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

fn seed(how: SeedCommand) -> Result<()> {
    let done = match how {
        SeedCommand::Encrypt { node } => {
            let config = load(node)?;
            let (dir, network) = (config.network_dir(), config.bitcoin_network());
            // Not to ask for a passphrase that is for nothing.
            match sendpay_node::seed_is_encrypted(&dir)? {
                Some(false) => {}
                Some(true) => return Err(SeedError::EncryptedAlready.into()),
                None => return Err(SeedError::Missing(dir.join(SEED_FILE)).into()),
            }
            sendpay_node::encrypt_seed(&dir, network, &passphrase::chosen(&config)?)?;
            "The seed is encrypted."
        }
        SeedCommand::Decrypt { node } => {
            let config = load(node)?;
            let (dir, network) = (config.network_dir(), config.bitcoin_network());
            match sendpay_node::seed_is_encrypted(&dir)? {
                Some(true) => {}
                Some(false) => return Err(SeedError::NotEncrypted.into()),
                None => return Err(SeedError::Missing(dir.join(SEED_FILE)).into()),
            }
            let passphrase = passphrase::given(&config)?.ok_or(SeedError::Encrypted)?;
            sendpay_node::decrypt_seed(&dir, network, &passphrase)?;
            "The seed is not encrypted any more."
        }
    };
    println!("{done}");
    Ok(())
}

async fn node(config: Config, passphrase: Option<Passphrase>) -> Result<()> {
    run::make_private_dir(&config.dir)?;
    log::start(config.log_level, config.log_file.as_deref())?;
    let interrupted = interrupted()?;
    let network_dir = config.network_dir();
    old_state::refuse(&network_dir)?;
    old_state::watch(&network_dir);
    let running = run::start_with(config, passphrase).await?;
    let (socket, peers) = (running.socket().display().to_string(), running.listening());
    tracing::info!(%socket, ?peers, "ready");
    tokio::select! {
        () = interrupted => {}
        () = running.daemon().stopped() => {}
    }
    tracing::info!("stopping");
    running.stop().await;
    Ok(())
}

async fn regtest(dir: Option<PathBuf>, listen: SocketAddr) -> Result<()> {
    let dir = match dir {
        Some(dir) => dir,
        None => default_dir()?,
    };
    log::start(config::LogLevel::Info, None)?;
    let interrupted = interrupted()?;
    run::make_private_dir(&dir)?;
    let chain = Regtest::start(&dir.join(CHAIN_DIR), listen)
        .await
        .context("cannot start the embedded chain")?;
    println!("The embedded chain is at {}.", chain.rpc_address());
    println!("Its cookie file is {}.", chain.cookie_file().display());
    println!("A node with the same --dir finds it; others need");
    println!(
        "  --set chain.rpc_address={} --set chain.cookie_file={}",
        chain.rpc_address(),
        chain.cookie_file().display()
    );
    tokio::select! {
        () = interrupted => {}
        () = chain.stop_requested() => {}
    }
    chain.stop().await;
    Ok(())
}
