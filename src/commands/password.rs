//! Passwords that a command needs: asked for at a terminal, else read from standard input or a file.

use std::fs::File;
use std::io::{IsTerminal, Read};
use std::path::Path;

use secrecy::SecretString;

/// Most bytes of a password that are read; the rules allow 128 characters.
const MAX_BYTES: u64 = 1024;

/// A password to be set: asked for twice at a terminal.
pub(super) fn new_one() -> Result<SecretString, std::io::Error> {
    if !std::io::stdin().is_terminal() {
        return first_line(std::io::stdin());
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

/// A password that was set before: from a file, if one is named, else asked for.
pub(super) fn known(file: Option<&Path>) -> Result<SecretString, std::io::Error> {
    match file {
        Some(path) => {
            let named = |error: std::io::Error| std::io::Error::new(error.kind(), format!("{}: {error}", path.display()));
            first_line(File::open(path).map_err(named)?)
        }
        None if std::io::stdin().is_terminal() => rpassword::prompt_password("Password of the admin: ").map(SecretString::from),
        None => first_line(std::io::stdin()),
    }
}

fn first_line(input: impl Read) -> Result<SecretString, std::io::Error> {
    let mut text = String::new();
    input.take(MAX_BYTES).read_to_string(&mut text)?;
    Ok(SecretString::from(text.lines().next().unwrap_or_default().to_owned()))
}
