//! The command line of the check.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::EdgeCheck;
use crate::commands::Outcome;
use crate::lifecycle::stop_signal;

/// Waits for an edge server, checks it, and says what was found.
pub(in crate::commands::simulate) async fn run(listen: SocketAddr, timeout: Duration) -> Outcome {
    let check = EdgeCheck::listen(listen).await.map_err(|error| format!("--listen {listen}: {error}"))?;
    println!("Let the edge server connect to\n  {}\nwith\n  Authorization: Bearer {}", check.url(), check.key());
    let stop = CancellationToken::new();
    let signal = stop_signal()?;
    let checking = check.run(timeout, &stop, |verdict| println!("{verdict}"));
    tokio::pin!(checking);
    let report = tokio::select! {
        report = &mut checking => report,
        () = signal => {
            stop.cancel();
            checking.await
        }
    };
    println!("{report}");
    Ok(if report.is_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
