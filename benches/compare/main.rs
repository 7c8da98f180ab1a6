//! The two ends of `benches/compare/run`: an origin that answers as GCS does, and a load that measures.
//!
//! Runs nothing by itself: `benches/compare/run` starts it with a subcommand.

mod bare;
mod client;
mod content;
mod histogram;
mod http2;
mod idle;
mod keys;
mod load;
mod origin;
mod plan;
mod tls;
mod watch;

use std::process::ExitCode;

use clap::Parser;

#[derive(Debug, Parser)]
enum Command {
    /// Writes certificates and a service account's key into a folder.
    Keys(keys::Arguments),
    /// Serves generated objects over plain text and TLS, and prints where.
    Origin(origin::Arguments),
    /// Passes requests on to an origin, with hyper and nothing else.
    Bare(bare::Arguments),
    /// Sends requests, and prints what was measured as JSON.
    Load(load::Arguments),
    /// Opens connections, uses each once and lets them rest; prints what they cost as JSON.
    Idle(idle::Arguments),
}

fn main() -> ExitCode {
    if std::env::args().any(|argument| argument == "--bench") {
        println!("this is the load of benches/compare/run; start that instead");
        return ExitCode::SUCCESS;
    }
    let command = Command::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("threads");
    let outcome = runtime.block_on(async {
        match command {
            Command::Keys(arguments) => keys::run(&arguments),
            Command::Origin(arguments) => origin::run(arguments).await,
            // On one thread, as a proxy's cores are.
            Command::Bare(arguments) => tokio::task::block_in_place(|| bare::run(arguments)),
            Command::Load(arguments) => load::run(arguments).await,
            Command::Idle(arguments) => idle::run(arguments).await,
        }
    });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("compare: {error:#}");
            ExitCode::FAILURE
        }
    }
}
