//! `ar-supervisor admin create`: the first admin, and a way back in for those who lost theirs.

use std::process::ExitCode;

use sqlx::ConnectOptions;

use super::{Outcome, password};
use crate::accounts;
use crate::config::Environment;
use crate::db;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Make an admin; the password is asked for, or read from standard input
    Create(CreateArgs),
}

#[derive(Debug, clap::Args)]
struct CreateArgs {
    /// E-mail address, the name to sign in with
    #[arg(long, value_name = "EMAIL")]
    email: String,
    /// Name of the person
    #[arg(long, value_name = "NAME")]
    name: String,
    /// Make an account that is there an active admin with this password, and end its sessions
    #[arg(long)]
    existing: bool,
}

pub(super) async fn run(environment: &Environment, args: &Args) -> Outcome {
    let Command::Create(CreateArgs { email, name, existing }) = &args.command;
    let database = environment.database()?;
    let password = tokio::task::spawn_blocking(password::new_one).await??;
    db::migrate(&database.primary).await?;
    let mut connection = database.primary.clone().application_name("ar-supervisor admin").connect().await?;
    let admin = accounts::create_admin(&mut connection, email, name, &password, *existing).await?;
    println!("{} <{}> is an admin.", admin.full_name, admin.email);
    Ok(ExitCode::SUCCESS)
}
