//! Cutting an input into rows of fields, whatever its format.

use std::cell::Cell;
use std::io::{BufRead, Read};
use std::path::Path;

use serde::de::DeserializeSeed;
use serde_json::Value;

use super::RowError;
use super::json::CollectionSeed;
use crate::input::{Fields, Raw, StrictObject};

/// Format of an import or export.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
#[value(rename_all = "lower")]
pub enum Format {
    /// One JSON object a line.
    NdJson,
    /// A GeoJSON `FeatureCollection` of points.
    GeoJson,
    /// A table with a header of field names.
    Csv,
}

/// Longest line of an NDJSON file; a decoration has some 10 KiB at most.
const MAX_LINE_BYTES: u64 = 64 * 1024;
/// Most bytes without a row: one quotation mark that is not closed makes all that follows one cell.
const MAX_ROW_BYTES: u64 = 1024 * 1024;

impl Format {
    /// The words, for messages.
    pub(crate) const WORDS: &str = "ndjson, geojson, csv";

    /// The format of a word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        match word {
            "ndjson" => Some(Self::NdJson),
            "geojson" => Some(Self::GeoJson),
            "csv" => Some(Self::Csv),
            _ => None,
        }
    }

    /// The format that a file's name tells, `.gz` aside.
    #[must_use]
    pub fn of_path(path: &Path) -> Option<Self> {
        let name = path.file_name()?.to_str()?.to_ascii_lowercase();
        match name.strip_suffix(".gz").unwrap_or(&name).rsplit_once('.')?.1 {
            "geojson" | "json" => Some(Self::GeoJson),
            "ndjson" | "jsonl" => Some(Self::NdJson),
            "csv" => Some(Self::Csv),
            _ => None,
        }
    }
}

/// What broke the input as a whole.
#[derive(Debug, thiserror::Error)]
pub(super) enum Broken {
    #[error(transparent)]
    Io(#[from] std::io::Error),
    #[error(transparent)]
    Json(#[from] serde_json::Error),
    #[error(transparent)]
    Csv(#[from] csv::Error),
    #[error("the header names the column {0:?} twice")]
    Header(String),
}

/// A row's fields, or why it has none.
pub(super) type Fielded = Result<Fields, Vec<RowError>>;

/// Hands over row by row: its number, its fields and how many bytes were read. Stops when that answers false.
pub(super) fn read(input: impl BufRead, format: Format, on_row: impl FnMut(u64, Fielded, u64) -> bool) -> Result<(), Broken> {
    match format {
        Format::NdJson => nd_json(input, on_row),
        Format::Csv => csv(input, on_row),
        Format::GeoJson => geo_json(input, on_row),
    }
}

fn unreadable(row: u64, detail: impl Into<String>) -> Vec<RowError> {
    vec![RowError { row, field: String::new(), code: "unreadable", detail: detail.into() }]
}

fn nd_json(mut input: impl BufRead, mut on_row: impl FnMut(u64, Fielded, u64) -> bool) -> Result<(), Broken> {
    let (mut line, mut bytes) = (Vec::new(), 0_u64);
    for number in 1.. {
        line.clear();
        let read = (&mut input).take(MAX_LINE_BYTES).read_until(b'\n', &mut line)? as u64;
        if read == 0 {
            break;
        }
        bytes += read;
        let text = line.strip_prefix("\u{feff}".as_bytes()).unwrap_or(&line);
        let fields = if read == MAX_LINE_BYTES && line.last() != Some(&b'\n') {
            bytes += skip_line(&mut input)?;
            Err(unreadable(number, "the line is longer than 64 KiB"))
        } else if text.iter().all(u8::is_ascii_whitespace) {
            continue;
        } else {
            serde_json::from_slice(text).map(|StrictObject(members)| members.into()).map_err(|error| unreadable(number, error.to_string()))
        };
        if !on_row(number, fields, bytes) {
            break;
        }
    }
    Ok(())
}

fn skip_line(input: &mut impl BufRead) -> std::io::Result<u64> {
    let mut skipped = 0;
    loop {
        let buffer = input.fill_buf()?;
        let (used, ended) = buffer.iter().position(|&b| b == b'\n').map_or((buffer.len(), buffer.is_empty()), |at| (at + 1, true));
        input.consume(used);
        skipped += used as u64;
        if ended {
            return Ok(skipped);
        }
    }
}

fn csv(input: impl BufRead, mut on_row: impl FnMut(u64, Fielded, u64) -> bool) -> Result<(), Broken> {
    let meter = Meter::default();
    let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(Metered { input, meter: &meter });
    let header: Vec<String> = reader.headers()?.iter().map(|name| name.trim_start_matches('\u{feff}').to_owned()).collect();
    if let Some(twice) = header.iter().enumerate().find_map(|(i, name)| header[..i].contains(name).then_some(name)) {
        return Err(Broken::Header(twice.clone()));
    }
    let mut record = csv::ByteRecord::new();
    for number in 1.. {
        if !reader.read_byte_record(&mut record)? {
            break;
        }
        meter.row_ended();
        let fields = match csv::StringRecord::from_byte_record(record.clone()) {
            Err(_) => Err(unreadable(number, "the row is not UTF-8")),
            Ok(cells) if cells.len() != header.len() => {
                Err(unreadable(number, format!("the row has {} cells, the header {}", cells.len(), header.len())))
            }
            Ok(cells) => Ok(Fields(header.iter().cloned().zip(cells.iter().map(|cell| Raw::Cell(cell.to_owned()))).collect())),
        };
        if !on_row(number, fields, reader.position().byte()) {
            break;
        }
    }
    Ok(())
}

fn geo_json(mut input: impl BufRead, mut on_row: impl FnMut(u64, Fielded, u64) -> bool) -> Result<(), Broken> {
    if input.fill_buf()?.starts_with("\u{feff}".as_bytes()) {
        input.consume(3);
    }
    let meter = Meter::default();
    let mut number = 0;
    let mut deserializer = serde_json::Deserializer::from_reader(Metered { input, meter: &meter });
    CollectionSeed(|feature| {
        number += 1;
        meter.row_ended();
        on_row(number, point_fields(feature).map_err(|detail| unreadable(number, detail)), meter.bytes.get())
    })
    .deserialize(&mut deserializer)?;
    deserializer.end()?;
    Ok(())
}

/// The fields of a feature: its properties, and its place from the geometry. A feature's own `id` is the
/// decoration's when it is a UUID, else its `external_id`; the properties may say the same, and nothing else.
fn point_fields(feature: Value) -> Result<Fields, &'static str> {
    let Value::Object(mut feature) = feature else { return Err("the feature is not an object") };
    if feature.get("type").and_then(Value::as_str) != Some("Feature") {
        return Err("the type is not Feature");
    }
    let geometry = feature.get_mut("geometry").map(Value::take).unwrap_or_default();
    let coordinates = geometry.get("coordinates").and_then(Value::as_array);
    let (Some("Point"), Some([lng, lat, height @ ..])) = (geometry.get("type").and_then(Value::as_str), coordinates.map(Vec::as_slice))
    else {
        return Err("the geometry is not a Point with two coordinates");
    };
    let mut fields: Vec<(String, Raw)> = match feature.remove("properties") {
        Some(Value::Object(properties)) => properties
            .into_iter()
            .filter(|(name, _)| name != "lat" && name != "lng")
            .map(|(name, value)| (name, Raw::Json(value)))
            .collect(),
        Some(Value::Null) | None => Vec::new(),
        Some(_) => return Err("the properties are not an object"),
    };
    let own_id = match feature.remove("id") {
        Some(Value::String(id)) => Some(id),
        Some(Value::Number(id)) => Some(id.to_string()),
        _ => None,
    };
    if let Some(id) = own_id {
        let name = if uuid::Uuid::try_parse(&id).is_ok() { "id" } else { "external_id" };
        match fields.iter_mut().find(|(known, _)| known == name) {
            None => fields.push((name.to_owned(), Raw::Json(Value::String(id)))),
            Some((_, Raw::Json(value))) if value.is_null() => *value = Value::String(id),
            Some((_, Raw::Json(Value::String(same)))) if same.eq_ignore_ascii_case(&id) => {}
            Some(_) => return Err("the feature's id and the id among its properties differ"),
        }
    }
    // Height is height_offset; what stands here is above the ellipsoid, and is named as what nobody knows.
    fields.extend(height.iter().map(|height| ("geometry.coordinates[2]".to_owned(), Raw::Json(height.clone()))));
    fields.push(("lat".to_owned(), Raw::Json(lat.clone())));
    fields.push(("lng".to_owned(), Raw::Json(lng.clone())));
    Ok(Fields(fields))
}

/// How much was read, in all and since the last row.
#[derive(Default)]
struct Meter {
    bytes: Cell<u64>,
    row_began: Cell<u64>,
}

impl Meter {
    fn row_ended(&self) {
        self.row_began.set(self.bytes.get());
    }
}

/// Counts what is read through it, and reads no further when a row does not end: memory stays bounded.
struct Metered<'m, R> {
    input: R,
    meter: &'m Meter,
}

impl<R: Read> Read for Metered<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let Meter { bytes, row_began } = self.meter;
        if bytes.get() - row_began.get() > MAX_ROW_BYTES {
            return Err(std::io::Error::other("a row of more than 1 MiB; is a quotation mark or bracket not closed?"));
        }
        let read = self.input.read(buffer)?;
        bytes.set(bytes.get() + read as u64);
        Ok(read)
    }
}
