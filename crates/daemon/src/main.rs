//! `sendpayd`: parse, start, wait, stop.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};
use sendpay_chain::regtest::Regtest;
use sendpayd::config::{self, Config};
use sendpayd::run::{self, CHAIN_DIR};
use sendpayd::{demo, import, log};
use tokio::signal::unix::{SignalKind, signal};

/// A Lightning node that accounts for every payment it sends.
#[derive(Parser)]
#[command(version, args_conflicts_with_subcommands = true)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    node: NodeArguments,
}

#[derive(clap::Args)]
struct NodeArguments {
    /// Directory of the node [default: sendpay in the user's state directory]
    #[arg(long)]
    dir: Option<PathBuf>,
    /// Bitcoin network; the same as --set network=...
    #[arg(long)]
    network: Option<String>,
    /// Overrides a key of DIR/sendpayd.toml, such as log.level=debug; may be repeated
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
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
    /// Takes over the history of another node
    Import {
        #[command(subcommand)]
        from: ImportFrom,
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
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: Arguments) -> Result<()> {
    match arguments.command {
        None => node(arguments.node).await,
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

fn load(arguments: NodeArguments) -> Result<Config> {
    let dir = match arguments.dir {
        Some(dir) => dir,
        None => default_dir()?,
    };
    let mut set = arguments.set;
    set.extend(
        arguments
            .network
            .map(|network| format!("network={network}")),
    );
    Ok(Config::load(&dir, &set)?)
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

async fn node(arguments: NodeArguments) -> Result<()> {
    let config = load(arguments)?;
    run::make_private_dir(&config.dir)?;
    log::start(config.log_level, config.log_file.as_deref())?;
    let interrupted = interrupted()?;
    let running = run::start(config).await?;
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
