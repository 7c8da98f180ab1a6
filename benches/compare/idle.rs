//! What a connection that rests between two requests costs.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::json;

use crate::client::{Connection, Target};
use crate::plan::{self, Plan};
use crate::watch;

/// Heads and small objects fit.
const BUFFER: usize = 2048;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    plan: plan::Arguments,
    #[arg(long)]
    target: SocketAddr,
    /// Over TLS, trusting tls.crt of this folder.
    #[arg(long)]
    tls: Option<PathBuf>,
    #[arg(long, default_value_t = 10_000)]
    connections: u32,
    /// Processes whose memory is told.
    #[arg(long, value_delimiter = ',')]
    watch: Vec<u32>,
}

pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<()> {
    let target = Target::new(arguments.target, arguments.tls.as_deref(), false)?;
    let plan = Plan::new(arguments.plan);
    let mut random = fastrand::Rng::new();
    // What the first connections make the process load and allocate once is nobody's.
    let mut connections = Vec::new();
    for _ in 0..32 {
        connections.push(used(&target, &plan, &mut random).await?);
    }
    let before = watch::memory(&arguments.watch, "VmRSS");
    for _ in 0..arguments.connections {
        connections.push(used(&target, &plan, &mut random).await?);
    }
    tokio::time::sleep(Duration::from_secs(4)).await;
    let after = watch::memory(&arguments.watch, "VmRSS");
    println!("{}", json!({"connections": arguments.connections, "before_kib": before, "after_kib": after}));
    drop(connections);
    Ok(())
}

async fn used(target: &Target, plan: &Plan, random: &mut fastrand::Rng) -> anyhow::Result<Connection> {
    let mut connection = Connection::with_buffer(target, BUFFER).await?;
    connection.exchange(&plan.next(random).request, |_, _, _| Ok(())).await?;
    Ok(connection)
}
