//! P15: the socket is as RFC 6455 has it, for clients of two other languages: Python's `websockets` and JavaScript's `ws`.
//! They open it, make the frames and judge what comes; each case here says what they send, and what should come of it.

use std::process::Stdio;

use serde_json::{Value, json};

use crate::support::{Proof, RegisteredEdge, TestServer, hello};

const TEXT: u8 = 0x1;
const BINARY: u8 = 0x2;
const CLOSE: u8 = 0x8;
const PING: u8 = 0x9;
const PONG: u8 = 0xA;
const FIN: u8 = 0x80;

/// What should come.
#[derive(Debug)]
enum Comes {
    /// The message was understood: its type is answered, as one that is not known.
    Answer(&'static str),
    /// A pong with this payload.
    Pong(Vec<u8>),
    /// A close with this code, or without one; then the end.
    Close(Option<u16>),
    /// A close with a code for a fault, or just the end.
    Refusal(&'static [u16]),
}

struct Case {
    name: String,
    frames: Vec<Value>,
    /// Bytes that are written at once; 0: all.
    step: usize,
    comes: Comes,
}

/// A frame: its first byte as it stands on the wire.
fn frame(first: u8, payload: impl AsRef<[u8]>) -> Value {
    json!({"first": first, "masked": true, "payload": hex(payload.as_ref())})
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat()
}

fn message(kind: &str) -> Vec<u8> {
    json!({"type": kind, "data": {}}).to_string().into_bytes()
}

/// A message that is this long, blanks included.
fn padded(length: usize) -> Vec<u8> {
    let mut message = message("padded");
    message.resize(length, b' ');
    message
}

fn close(code: u16, reason: &[u8]) -> Vec<u8> {
    [&code.to_be_bytes(), reason].concat()
}

/// Cuts a message into frames of so many bytes.
fn fragments(message: &[u8], bytes: usize) -> Vec<Value> {
    let count = message.len().div_ceil(bytes);
    let first = |n: usize| (if n == 0 { TEXT } else { 0 }) | (if n + 1 == count { FIN } else { 0 });
    message.chunks(bytes).enumerate().map(|(n, part)| frame(first(n), part)).collect()
}

const PROTOCOL_ERROR: &[u16] = &[1002];

fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    let mut case =
        |name: &str, frames: Vec<Value>, step: usize, comes: Comes| cases.push(Case { name: name.to_owned(), frames, step, comes });

    let wide = message("größer 😀");
    case("text", vec![frame(FIN | TEXT, &wide)], 0, Comes::Answer("größer 😀"));
    case("text, a byte at a time", vec![frame(FIN | TEXT, &wide)], 1, Comes::Answer("größer 😀"));
    for bytes in [1, 2, 3, 7, 20] {
        case(&format!("text in frames of {bytes}"), fragments(&wide, bytes), 0, Comes::Answer("größer 😀"));
    }
    let mut interrupted = fragments(&wide, 9);
    interrupted.insert(1, frame(FIN | PING, "in between"));
    interrupted.insert(3, frame(FIN | PONG, "in between"));
    case("text with a ping in between", interrupted.clone(), 0, Comes::Pong(b"in between".to_vec()));
    case("text with a ping in between, answered", interrupted, 2, Comes::Answer("größer 😀"));
    let empty_ends = vec![frame(TEXT, ""), frame(0, &wide), frame(0, ""), frame(FIN, "")];
    case("text between empty frames", empty_ends, 0, Comes::Answer("größer 😀"));
    for length in [125, 126, 127, 128, 65_535, 65_536] {
        case(&format!("text of {length} bytes"), vec![frame(FIN | TEXT, padded(length))], 0, Comes::Answer("padded"));
        case(&format!("text of {length} bytes in pieces"), vec![frame(FIN | TEXT, padded(length))], 997, Comes::Answer("padded"));
    }
    let two = vec![frame(FIN | PING, "first"), frame(FIN | TEXT, message("second"))];
    case("two frames at once", two, 0, Comes::Answer("second"));

    for length in [0, 1, 124, 125] {
        case(&format!("ping of {length} bytes"), vec![frame(FIN | PING, vec![0xfe; length])], 0, Comes::Pong(vec![0xfe; length]));
    }
    case("ping, a byte at a time", vec![frame(FIN | PING, "slowly")], 1, Comes::Pong(b"slowly".to_vec()));
    let many = (0..10).map(|n| frame(FIN | PING, [n])).collect();
    case("ten pings", many, 0, Comes::Pong(vec![9]));
    case("a pong that nobody asked for", vec![frame(FIN | PONG, "here"), frame(FIN | TEXT, message("after"))], 0, Comes::Answer("after"));

    case("close without a code", vec![frame(FIN | CLOSE, "")], 0, Comes::Close(None));
    for code in [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999] {
        case(&format!("close {code}"), vec![frame(FIN | CLOSE, close(code, b"good bye"))], 0, Comes::Close(Some(code)));
    }
    case("close with the longest reason", vec![frame(FIN | CLOSE, close(1000, &[b'x'; 123]))], 0, Comes::Close(Some(1000)));
    let late = vec![frame(FIN | CLOSE, close(1000, b"")), frame(FIN | TEXT, message("late")), frame(FIN | PING, "late")];
    case("what comes after a close is not heard", late, 0, Comes::Close(Some(1000)));
    for code in [0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535] {
        case(&format!("close {code}, which is none"), vec![frame(FIN | CLOSE, close(code, b""))], 0, Comes::Refusal(PROTOCOL_ERROR));
    }
    case("close of one byte", vec![frame(FIN | CLOSE, [3])], 0, Comes::Refusal(PROTOCOL_ERROR));
    case("close with a bad reason", vec![frame(FIN | CLOSE, close(1000, &[0xce, 0xba, 0xff]))], 0, Comes::Refusal(&[1002, 1007]));
    case("close that is too long", vec![frame(FIN | CLOSE, close(1000, &[b'x'; 124]))], 0, Comes::Refusal(PROTOCOL_ERROR));

    for reserved in [0x40, 0x20, 0x10, 0x70] {
        for (kind, opcode) in [("text", TEXT), ("ping", PING), ("close", CLOSE)] {
            let payload = if opcode == CLOSE { close(1000, b"") } else { message("reserved") };
            let frames = vec![frame(FIN | reserved | opcode, payload)];
            case(&format!("{kind} with reserved bits {reserved:#x}"), frames, 0, Comes::Refusal(PROTOCOL_ERROR));
        }
    }
    for opcode in (3..8).chain(11..16) {
        case(&format!("opcode {opcode}"), vec![frame(FIN | opcode, message("reserved"))], 0, Comes::Refusal(PROTOCOL_ERROR));
    }
    case("a ping that is too long", vec![frame(FIN | PING, [b'x'; 126])], 0, Comes::Refusal(PROTOCOL_ERROR));
    case("a ping in parts", vec![frame(PING, "a"), frame(FIN, "b")], 0, Comes::Refusal(PROTOCOL_ERROR));
    case("a pong in parts", vec![frame(PONG, "a"), frame(FIN, "b")], 0, Comes::Refusal(PROTOCOL_ERROR));
    case("a continuation of nothing", vec![frame(FIN, message("nothing"))], 0, Comes::Refusal(PROTOCOL_ERROR));
    case("a first part of nothing", vec![frame(0, message("nothing"))], 0, Comes::Refusal(PROTOCOL_ERROR));
    case("a message within a message", vec![frame(TEXT, "{"), frame(FIN | TEXT, message("new"))], 0, Comes::Refusal(PROTOCOL_ERROR));
    let after_the_last = vec![frame(TEXT, "{"), frame(FIN, "}"), frame(FIN, "}")];
    case("a part after the last one", after_the_last, 0, Comes::Refusal(PROTOCOL_ERROR));
    let mut unmasked = frame(FIN | TEXT, message("unmasked"));
    unmasked["masked"] = json!(false);
    case("a frame that is not masked", vec![unmasked], 0, Comes::Refusal(PROTOCOL_ERROR));

    let not_utf8: [&[u8]; 9] = [
        b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80edited",
        b"\xed\xbf\xbf",
        b"\xc0\xaf",
        b"\xe0\x80\xaf",
        b"\xf8\x88\x80\x80\x80",
        b"\xf4\x90\x80\x80",
        b"\x80",
        b"\xff",
        b"\xe2\x82",
    ];
    for bytes in not_utf8 {
        case(&format!("no UTF-8: {bytes:x?}"), vec![frame(FIN | TEXT, bytes)], 0, Comes::Refusal(&[1007]));
        case(&format!("no UTF-8 in parts: {bytes:x?}"), fragments(bytes, 1), 0, Comes::Refusal(&[1007]));
    }
    case("binary", vec![frame(FIN | BINARY, "x")], 0, Comes::Refusal(&[1003]));
    case("empty binary", vec![frame(FIN | BINARY, "")], 0, Comes::Refusal(&[1003]));
    case("text of 65,537 bytes", vec![frame(FIN | TEXT, padded(65_537))], 0, Comes::Refusal(&[1009]));
    case("text of 100,000 bytes in parts", fragments(&padded(100_000), 10_000), 0, Comes::Refusal(&[1009]));
    cases
}

impl Comes {
    /// What a client waits for: a text in what it tells.
    fn until(&self) -> String {
        match self {
            Self::Answer(_) => "unknown_type".to_owned(),
            Self::Pong(payload) => format!("\"{}\"", hex(payload)),
            Self::Close(_) | Self::Refusal(_) => "\"end\"".to_owned(),
        }
    }

    /// Why what came is not as it should be.
    fn fault(&self, events: &[Value]) -> Option<String> {
        if let Some(event) = events.iter().find(|event| event.get("violation").is_some() || event.get("late").is_some()) {
            return Some(event.to_string());
        }
        let codes: Vec<&Value> = events.iter().filter_map(|event| event.get("close")).collect();
        let is_right = match self {
            Self::Answer(kind) => events.iter().filter_map(|event| event["text"].as_str()).any(|text| {
                let answer: Value = serde_json::from_str(text).unwrap_or_default();
                answer["type"] == "error" && answer["data"]["code"] == "unknown_type" && text.contains(kind)
            }),
            Self::Pong(payload) => events.iter().any(|event| event["pong"] == hex(payload)),
            Self::Close(code) => codes == [&json!(code)],
            Self::Refusal(wanted) => codes.len() == 1 && wanted.iter().any(|code| *codes[0] == json!(code)),
        };
        (!is_right).then(|| format!("{self:?} should come, and there came {events:?}"))
    }
}

/// A Python that has the library: the first in the path, or the system's, for which Debian has a package.
fn python() -> &'static str {
    let has_it = |python: &&str| {
        let import = std::process::Command::new(python).args(["-c", "import websockets"]).stderr(Stdio::null()).status();
        import.is_ok_and(|status| status.success())
    };
    let found = ["python3", "/usr/bin/python3"].into_iter().find(has_it);
    found.expect("Python's websockets is there; on Debian: sudo apt-get install python3-websockets")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_of_other_languages_find_the_socket_as_the_rfc_has_it() {
    let mut proof = Proof::of("P15", "cases of RFC 6455, by Python's websockets and JavaScript's ws");
    let t = TestServer::start().await;
    let cases = cases();
    let hello = json!({"type": "hello", "data": hello()}).to_string();
    let list: Vec<Value> = cases
        .iter()
        .map(|case| json!({"name": case.name, "frames": case.frames, "step": case.step, "until": case.comes.until(), "hello": hello}))
        .collect();
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("cases.json");
    std::fs::write(&file, Value::from(list).to_string()).expect("writes");
    let here = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/faults/foreign");
    let mut wrong = Vec::new();
    for (program, script) in [(python(), "client.py"), ("node", "client.cjs")] {
        let edge = RegisteredEdge::many(&t, 1).await.remove(0);
        let mut client = tokio::process::Command::new(program);
        client.arg(here.join(script)).arg(t.address.to_string()).arg(format!("/ws/edge/{}", edge.id)).arg(&edge.key).arg(&file);
        client.env("NODE_PATH", here.join("../../../browser/node_modules")).stdin(Stdio::null()).kill_on_drop(true);
        let output = client.output().await.unwrap_or_else(|error| panic!("{program}: {error}"));
        let text = String::from_utf8(output.stdout).expect("text");
        assert!(output.status.success(), "{script}: {text}{}", String::from_utf8_lossy(&output.stderr));
        let told: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        assert_eq!(told.len(), cases.len(), "{script} tells of every case");
        for (case, told) in cases.iter().zip(&told) {
            assert_eq!(told["name"], case.name);
            proof.tried(1);
            let events = told["events"].as_array().expect("events");
            wrong.extend(case.comes.fault(events).map(|fault| format!("{script}, {}: {fault}", case.name)));
        }
    }
    proof.failed(wrong.len());
    proof.measured(format!("{} cases each", cases.len()));
    assert!(wrong.is_empty(), "{} of {}: {wrong:#?}", wrong.len(), 2 * cases.len());
}
