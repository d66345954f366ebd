//! `ar-supervisor health`: asks the server beside it how it is, and says so by its exit status: for health checks of
//! containers, whose image has neither a shell nor curl. It needs no secret, and plain HTTP also where the port speaks
//! TLS, because health is answered there too.

use std::error::Error;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use axum::http::{Request, StatusCode, header};
use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::Outcome;
use crate::config::Environment;

/// Longer than the server waits for its database before it says that it is not ready.
const TIMEOUT: Duration = Duration::from_secs(3);
/// More than any answer about health has.
const MAX_ANSWER_BYTES: usize = 64 * 1024;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Ask whether it can serve, its database included, and not only whether it lives
    #[arg(long)]
    ready: bool,
}

pub(super) async fn run(environment: &Environment, args: &Args) -> Outcome {
    let address = environment.own_address()?;
    let path = if args.ready { "/health/ready" } else { "/health/live" };
    let answer = tokio::time::timeout(TIMEOUT, ask(address, path)).await;
    let (status, said) = answer.map_err(|_elapsed| format!("{address} did not answer within {} s", TIMEOUT.as_secs()))??;
    println!("{status}: {}", String::from_utf8_lossy(&said).trim());
    Ok(if status.is_success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn ask(address: SocketAddr, path: &str) -> Result<(StatusCode, Bytes), Box<dyn Error + Send + Sync>> {
    let stream = TcpStream::connect(address).await.map_err(|error| format!("nothing listens at {address}: {error}"))?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let request = Request::get(path).header(header::HOST, address.to_string()).header(header::CONNECTION, "close");
    let request = request.body(Empty::<Bytes>::new())?;
    let exchange = async move {
        let answer = sender.send_request(request).await?;
        let status = answer.status();
        let body = Limited::new(answer.into_body(), MAX_ANSWER_BYTES).collect().await?;
        Ok((status, body.to_bytes()))
    };
    // The connection moves the bytes; how it ends after the answer is of no interest.
    tokio::join!(exchange, connection).0
}
