//! The bare loop of `write(2)`: a process that writes frames to its sockets and does nothing else.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use tokio_tungstenite::tungstenite;

use crate::support::Outcome;

/// This program, as the writer; `None` when it is not asked to be one.
pub(crate) fn as_writer() -> Option<Outcome<()>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["write-frames", sockets] => Some(sockets.parse().map_err(Into::into).and_then(write_frames)),
        _ => None,
    }
}

/// Takes so many sockets; then writes to each a text of as many bytes as a line of the input says, line by line.
fn write_frames(sockets: usize) -> Outcome<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    println!("http://{}", listener.local_addr()?);
    let mut taken: Vec<TcpStream> = Vec::new();
    for _ in 0..sockets {
        let (stream, _) = listener.accept()?;
        stream.set_nodelay(true)?;
        let raw = stream.try_clone()?;
        drop(tungstenite::accept(stream).map_err(|error| error.to_string())?);
        taken.push(raw);
    }
    for line in std::io::stdin().lines() {
        let frame = frame(line?.trim().parse()?)?;
        for stream in &mut taken {
            stream.write_all(&frame)?;
        }
    }
    Ok(())
}

/// A text frame of a server: unmasked.
fn frame(text_bytes: usize) -> Outcome<Vec<u8>> {
    let mut frame = vec![0x81];
    match text_bytes {
        0..=125 => frame.push(u8::try_from(text_bytes)?),
        126..=65_535 => {
            frame.push(126);
            frame.extend(u16::try_from(text_bytes)?.to_be_bytes());
        }
        _ => return Err("too long for this bench".into()),
    }
    frame.resize(frame.len() + text_bytes, b'x');
    Ok(frame)
}

/// The running writer; ends with its input.
pub(super) struct Writer {
    child: Child,
    orders: Option<ChildStdin>,
    url: String,
    _answers: BufReader<ChildStdout>,
}

impl Writer {
    pub(super) fn start(sockets: usize) -> Outcome<Self> {
        let mut child = Command::new(std::env::current_exe()?);
        let mut child = child.args(["write-frames", &sockets.to_string()]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let mut answers = BufReader::new(child.stdout.take().ok_or("the writer has no output")?);
        let mut url = String::new();
        answers.read_line(&mut url)?;
        Ok(Self { orders: child.stdin.take(), child, url: url.trim().to_owned(), _answers: answers })
    }

    pub(super) fn url(&self) -> &str {
        &self.url
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Has it write one text of so many bytes to all.
    pub(super) fn write(&mut self, text_bytes: usize) -> Outcome<()> {
        let orders = self.orders.as_mut().ok_or("the writer takes no orders")?;
        writeln!(orders, "{text_bytes}")?;
        Ok(orders.flush()?)
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        drop(self.orders.take());
        if let Err(error) = self.child.wait() {
            eprintln!("waiting for the writer: {error}");
        }
    }
}
