//! Inputs and the right answer to each (promises §4), for every kind of parameter, as they stand in a query string.

use super::api::Parameter;

/// What nobody can read as a number.
const NO_NUMBERS: &[&str] = &[
    "",
    "%20",
    "%09",
    "+",
    "NaN",
    "nan",
    "-nan",
    "inf",
    "-inf",
    "Infinity",
    "-Infinity",
    "1e400",
    "-1e400",
    "1e999999999",
    "0x10",
    "0b1",
    "1_000",
    "1%2C5",
    "1,5",
    ".5",
    "5.",
    "-",
    "--1",
    "%2B1",
    "+1",
    "1+",
    "%201",
    "1%20",
    "1%00",
    "%001",
    "1%0A",
    "1e",
    "e5",
    "1e5.5",
    "1.2.3",
    "null",
    "true",
    "undefined",
    "[1]",
    "\"1\"",
    "%D9%A1",
    "%EF%BC%91",
    "%E2%88%921",
    "1%C2%A0",
    "12abc",
    "%",
    "%zz",
    "1;2",
    "$1",
    "1'--",
];

/// Bytes that are no UTF-8: stray, overlong, cut off, a lone surrogate.
const NO_UTF_8: &[&str] = &["%FF", "%C0%AF", "%C3%28", "%E2%82", "%ED%A0%80", "%F8%88%80%80%80", "1%80"];

/// Control characters, U+0000 among them.
const CONTROLS: &[&str] = &["%00", "a%00b", "%01", "%07", "%0A", "%0D%0Aa", "%1B[31m", "%7F", "%C2%80", "%C2%9F", "a%09b"];

/// Texts that are odd but texts: found or not found, never an error of ours.
const ODD_TEXTS: &[&str] = &[
    "'",
    "''",
    "';DROP%20TABLE%20ar.decorations;--",
    "%25",
    "_",
    "\\",
    "%5Cu0000",
    "$1",
    "%F0%9F%8E%A8",
    "%CC%81",
    "%E2%80%8F",
    "%EF%BF%BF",
    "%F4%8F%BF%BF",
    "%",
    "%zz",
    "..%2F..",
    "null",
    "NaN",
    "-1",
    "{}",
    "[]",
    "%3Cscript%3E",
    "%C4%B0",
    "%C3%9F",
    "+",
    "%20",
];

/// How OpenAPI describes a moment or an interval.
const INTERVAL: &str = "^[^/]+(/[^/]*)?$|^/[^/]+$";

/// How OpenAPI describes a length of time.
const DURATION: &str = "^[0-9]+[smhd]$";

/// Whole numbers that are larger than any limit.
const ABOVE_ALL: [&str; 5] = ["1000000000", "2147483648", "9223372036854775807", "9223372036854775808", "99999999999999999999999999"];

/// Values to refuse, with the status to refuse them with.
pub(super) fn bad_values(parameter: &Parameter) -> Vec<(String, u16)> {
    let mut bad: Vec<(String, u16)> = NO_UTF_8.iter().map(|text| ((*text).to_owned(), 400)).collect();
    let mut add = |texts: &[&str], status: u16| bad.extend(texts.iter().map(|text| ((*text).to_owned(), status)));
    match parameter.kind() {
        "number" => {
            add(NO_NUMBERS, 400);
            add(&out_of_range(parameter, 1e-9), 422);
            add(&["1e308", "-1e308", "99999999999999999999999999"], 422);
        }
        "integer" => {
            add(NO_NUMBERS, 400);
            add(&["1.5", "1.0", "1e3", "1e0", "-1.0"], 400);
            let beyond = out_of_range(parameter, 1.0);
            // What lies above is the largest where a parameter is clamped.
            add(if parameter.is_clamped { &beyond[..1] } else { &beyond }, 422);
            add(&["-1000000000", "-9223372036854775809"], 422);
            if !parameter.is_clamped {
                add(&ABOVE_ALL, 422);
            }
        }
        "string" if parameter.schema.get("enum").is_some() => {
            add(&["", "nonsense", "%20"], 422);
            add(CONTROLS, 422);
            add(ODD_TEXTS, 422);
            add(
                &[
                    &parameter.example.to_uppercase().replace("3D_MODEL", "3D_Model"),
                    &format!("{}%20", parameter.example),
                    &"x".repeat(10_000),
                ],
                422,
            );
        }
        "string" if parameter.name == "cursor" => {
            add(
                &[
                    "",
                    "%20",
                    "A",
                    "AAAA",
                    "%00",
                    "%0A",
                    "not+a+cursor",
                    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
                    "null",
                    "../..",
                    "=",
                    "AAAA====",
                ],
                400,
            );
            add(&[&"A".repeat(10_240), &"A".repeat(512), &"A".repeat(513)], 400);
        }
        "boolean" => add(&["", "yes", "1", "0", "TRUE", "True", "null", "%20true", "true%00"], 400),
        "string" if parameter.schema["format"] == "uuid" => {
            add(CONTROLS, 400);
            let spellings = ["0189000000007000800000000000000", "01890000000070008000000000000000"];
            add(&spellings, 400);
            add(&["", "nope", "urn:uuid:01890000-0000-7000-8000-000000000000", "%7B01890000-0000-7000-8000-000000000000%7D", "'"], 400);
        }
        "string" if parameter.schema["format"] == "date-time" => {
            add(CONTROLS, 400);
            add(&["", "now", "2026-11-24", "1795521600", "2026-02-30T12:00:00Z", "2026-11-24T25:00:00Z", "24.11.2026", "null"], 400);
            add(&["2026-11-24T12:00:00", "%2B10000-01-01T00:00:00Z", "0000-01-01T00:00:00Z"], 422);
        }
        "array" => {
            // A box: all of it is one parameter, so all that is wrong with it is one fault.
            add(NO_NUMBERS, 400);
            add(&["1", "1,2", "1,2,3", "1,2,3,4,5", "1,2,3,4,5,6,7", "1,2,3,", ",1,2,3", "1;2;3;4", "1, 2, 3, 4", "1%202%203%204"], 400);
            add(&["1,2,3,NaN", "1,2,3,inf", "1,2,3,1e400", "[1,2,3,4]", "1,2,3,4%00", "a,b,c,d", "1,2,+3,4", "1,,2,3"], 400);
            add(&["-180.1,0,1,1", "0,-90.1,1,1", "0,0,180.1,1", "0,0,1,90.1", "0,1,1,0", "0,0,5,1,1,4", "0,0,x,1,1,4"], 422);
        }
        "string" if parameter.schema["pattern"] == INTERVAL => {
            add(CONTROLS, 400);
            add(
                &["", "..", "/", "../..", "../", "/..", "now", "2026-11-24", "2026-11", "2026-11-24T12:00:00Z/now", "2026-02-30T12:00:00Z"],
                400,
            );
            add(&["2026-11-24T12:00:00Z/P1D", "2026-11-24T12:00:00Z/../..", "2026-11-24T12:00:00Z,2026-11-25T12:00:00Z", "null"], 400);
            add(&["2026-11-24T12:00:00", "2026-11-25T12:00:00Z/2026-11-24T12:00:00Z", "%2B10000-01-01T00:00:00Z/.."], 422);
        }
        "string" if parameter.schema["pattern"] == DURATION => {
            add(CONTROLS, 400);
            add(&["", "5", "m", "%20", "-5m", "+5m", "1.5h", "5%20m", "5M", "PT5M", "5min", "0x5s", "%D9%A1s", "5%C3%A9", "null"], 400);
            add(&["0s", "00d", "86401s", "1441m", "25h", "2d", "9223372036854775807d", "99999999999999999999s"], 422);
        }
        "string" => {
            add(&[""], 422);
            add(CONTROLS, 422);
            let most = parameter.max_chars().unwrap_or_else(|| panic!("{} is a text without a greatest length", parameter.name));
            add(&[&"x".repeat(most + 1), &"%C3%A9".repeat(most + 1), &"%F0%9F%8E%A8".repeat(most + 1)], 422);
        }
        other => panic!("{} is of type {other}: give the corpus its bad values", parameter.name),
    }
    bad
}

/// Values to accept, whatever they find.
pub(super) fn good_values(parameter: &Parameter) -> Vec<String> {
    let number = |which: &str| parameter.limit(which).map(|limit| limit.to_string());
    match parameter.kind() {
        "number" | "integer" => {
            let extremes = number("minimum").into_iter().chain(number("maximum"));
            let spellings = if parameter.kind() == "number" {
                vec!["-0.0", "0", "0.0", "5e0", "5E0", "0.000000000000000000001", "1e-300", "5e%2B0"]
            } else {
                vec!["005", "5"]
            };
            let above = ABOVE_ALL.into_iter().filter(|_| parameter.is_clamped).map(str::to_owned);
            extremes.chain(spellings.into_iter().map(str::to_owned)).chain(above).collect()
        }
        "string" if parameter.schema.get("enum").is_some() => {
            parameter.schema["enum"].as_array().expect("words").iter().map(|word| word.as_str().expect("a word").to_owned()).collect()
        }
        "string" if parameter.name == "cursor" => Vec::new(),
        "boolean" => vec!["true".to_owned(), "false".to_owned()],
        "array" => ["1,2,3,4", "170,-10,-170,10", "-180,-90,180,90", "1,1,1,1", "1,2,-5,3,4,5", "1e0,2,3.5,4", "180,90,-180,90"]
            .map(str::to_owned)
            .to_vec(),
        "string" if parameter.schema["pattern"] == INTERVAL => {
            let [from, to] = ["2026-11-24T12:00:00Z", "2026-11-24T13:00:00.5%2B00:00"];
            [
                format!("{from}/{to}"),
                format!("{from}%2F.."),
                format!("../{to}"),
                format!("{from}/"),
                format!("/{to}"),
                from.to_owned(),
                format!("{from}/{from}"),
            ]
            .to_vec()
        }
        "string" if parameter.schema["pattern"] == DURATION => ["30s", "5m", "007m", "1h", "24h", "1d"].map(str::to_owned).to_vec(),
        "string" if parameter.schema["format"] == "uuid" => vec![parameter.example.clone(), parameter.example.to_uppercase()],
        "string" if parameter.schema["format"] == "date-time" => {
            let times = ["2026-11-24T12:00:00Z", "2026-11-24T12:00:00%2B01:00", "2026-11-24T12:00:00.123456789z", "0001-01-01T00:00:00Z"];
            times.into_iter().chain(["9999-12-31T23:59:59.999999Z"]).map(str::to_owned).collect()
        }
        _ => {
            let most = parameter.max_chars().expect("checked above");
            // Code points count, not bytes.
            let full = ["x".repeat(most), "%C3%A9".repeat(most), "%F0%9F%8E%A8".repeat(most)];
            full.into_iter().chain(ODD_TEXTS.iter().filter(|text| text.len() <= most).map(|text| (*text).to_owned())).collect()
        }
    }
}

fn out_of_range(parameter: &Parameter, step: f64) -> Vec<&'static str> {
    let beyond = |limit: f64, step: f64| -> &'static str { Box::leak(format!("{}", limit + step).into_boxed_str()) };
    let (least, most) = (parameter.limit("minimum"), parameter.limit("maximum"));
    assert!(least.is_some() && most.is_some(), "{} is a number without a range", parameter.name);
    // The smallest step over the limit that a double can hold there.
    let step_over = |limit: f64| step.max(limit.abs() * 1e-15);
    least.map(|limit| beyond(limit, -step_over(limit))).into_iter().chain(most.map(|limit| beyond(limit, step_over(limit)))).collect()
}
