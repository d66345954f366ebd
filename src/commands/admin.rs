//! `ar-supervisor admin create`: the first admin, and a way back in for those who lost theirs.

use std::io::{IsTerminal, Read};
use std::process::ExitCode;

use secrecy::SecretString;
use sqlx::ConnectOptions;

use super::Outcome;
use crate::accounts;
use crate::config::Environment;
use crate::db;

/// Most bytes of a password that are read; the rules allow 128 characters.
const MAX_PASSWORD_BYTES: u64 = 1024;

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
    let password = tokio::task::spawn_blocking(read_password).await??;
    db::migrate(&database.primary).await?;
    let mut connection = database.primary.clone().application_name("ar-supervisor admin").connect().await?;
    let admin = accounts::create_admin(&mut connection, email, name, &password, *existing).await?;
    println!("{} <{}> is an admin.", admin.full_name, admin.email);
    Ok(ExitCode::SUCCESS)
}

/// Asks twice at a terminal; elsewhere takes the first line of standard input.
fn read_password() -> Result<SecretString, std::io::Error> {
    if !std::io::stdin().is_terminal() {
        let mut text = String::new();
        std::io::stdin().take(MAX_PASSWORD_BYTES).read_to_string(&mut text)?;
        return Ok(SecretString::from(text.lines().next().unwrap_or_default().to_owned()));
    }
    eprintln!("A password of 12 to 128 characters that is not easy to guess; a few unrelated words do well.");
    loop {
        let password = rpassword::prompt_password("Password: ")?;
        if rpassword::prompt_password("Once more: ")? == password {
            return Ok(SecretString::from(password));
        }
        eprintln!("The two differ.");
    }
}
