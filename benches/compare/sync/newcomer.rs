//! Everything to an edge server that is new, beside a loop without sockets over the same rows; what that costs in memory,
//! and what others notice of it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use ar_supervisor::decorations::{AssetType, Decoration, H3};
use ar_supervisor::geo::{Cell, Geog};
use geo_types::Point;
use sqlx::postgres::PgRow;
use sqlx::{AssertSqlSafe, PgConnection, Row as _};
use uuid::Uuid;

use super::crowd::{Content, Crowd, Edit};
use super::editor::Editor;
use super::sites;
use crate::service::Service;
use crate::sockets::edge::Edge;
use crate::sockets::{Row, mib, resident_kib};
use crate::support::{Outcome, measure, statements};

/// Rows of a batch.
const BATCH: i64 = 200;
/// Bytes of the new edge server's buffer: a message fits.
const BUFFER_BYTES: usize = 256 * 1024;
/// Time between two edits meanwhile, and between two looks at the memory.
const PAUSE: Duration = Duration::from_millis(300);
const LOOK: Duration = Duration::from_millis(10);
/// Time for the service to settle before its memory is looked at.
const SETTLE: Duration = Duration::from_secs(4);
/// What is promised.
const RATIO: f64 = 0.5;
const GROWTH_MIB: f64 = 32.0;
const REACHED_S: f64 = 1.0;

/// Measures.
pub(super) async fn measure(
    sql: &mut PgConnection,
    service: &Service,
    crowd: &mut Crowd,
    editor: &mut Editor,
    decorations: u64,
    rounds: u64,
) -> Outcome<Vec<Row>> {
    tokio::time::sleep(SETTLE).await;
    let pid = service.pid()?;
    let (before_kib, most_kib) = (resident_kib(pid)?, AtomicU64::new(0));
    let (mut rates, mut loops, mut edits) = (Vec::new(), Vec::new(), Vec::new());
    let looking = async {
        while let Ok(kib) = resident_kib(pid) {
            most_kib.fetch_max(kib, Ordering::Relaxed);
            tokio::time::sleep(LOOK).await;
        }
        Outcome::<()>::Err("the service has ended".into())
    };
    let measuring = async {
        for round in 0..rounds {
            let mut turn = [0.0; 2];
            for place in 0..2 {
                let who = usize::try_from((round + place) % 2)?;
                let edge = sites::add_newcomer(sql, 2 * round + place).await?;
                turn[who] = if who == 0 {
                    let receiving = receive(service.url(), edge, decorations);
                    let (rate, seen) = meanwhile(receiving, crowd, editor).await?;
                    edits.extend(seen);
                    rate
                } else {
                    // Edits go on here, too: they cost the same.
                    meanwhile(loop_without_sockets(sql, edge, decorations), crowd, editor).await?.0
                };
                sites::remove_newcomer(sql, edge).await?;
            }
            eprintln!("round {round}: {:.0}/s over a socket, {:.0}/s in the loop", turn[0], turn[1]);
            rates.push(turn[0]);
            loops.push(turn[1]);
        }
        Outcome::Ok(())
    };
    tokio::select! {
        ended = looking => ended?,
        measured = measuring => measured?,
    }

    let ratios: Vec<f64> = rates.iter().zip(&loops).map(|(rate, bare)| rate / bare).collect();
    let ratio = measure::median(&ratios);
    let growth_mib = mib(most_kib.into_inner().saturating_sub(before_kib));
    let longest_s = edits.iter().map(|edit| edit.reached_ms).fold(0.0, f64::max) / 1000.0;
    let median_ms = measure::median(&edits.iter().map(|edit| edit.reached_ms).collect::<Vec<_>>());
    let booked_s = edits.iter().map(|edit| edit.booked_ms).fold(0.0, f64::max) / 1000.0;
    let each = |values: &[f64], digits: usize| values.iter().map(|value| format!("{value:.digits$}")).collect::<Vec<_>>().join(" ");
    Ok(vec![
        Row::new(
            format!("{} decorations to a new edge server ÷ the loop without sockets", measure::count_text(decorations)),
            format!("≥ {RATIO}"),
            format!("{ratio:.2}"),
            ratio >= RATIO,
        )
        .with(format!(
            "{:.0} a second over the socket, {:.0} in the loop (medians of {rounds} rounds; ratios {})",
            measure::median(&rates),
            measure::median(&loops),
            each(&ratios, 2)
        )),
        Row::new(
            "memory of the service meanwhile".to_owned(),
            format!("≤ +{GROWTH_MIB} MiB"),
            format!("+{growth_mib:.1} MiB"),
            growth_mib <= GROWTH_MIB,
        )
        .with(format!("resident set at its highest in all rounds, less {:.1} MiB before the first", mib(before_kib))),
        Row::new(
            "an edit meanwhile reaches the 50 others: longest".to_owned(),
            format!("≤ {REACHED_S} s"),
            format!("{longest_s:.2} s"),
            longest_s <= REACHED_S,
        )
        .with(format!("median {median_ms:.0} ms, in the books after at most {booked_s:.2} s; {} edits", edits.len())),
    ])
}

/// Does something while one edit follows the other.
async fn meanwhile(work: impl Future<Output = Outcome<f64>>, crowd: &mut Crowd, editor: &mut Editor) -> Outcome<(f64, Vec<Edit>)> {
    let ended = tokio::sync::Notify::new();
    let working = async {
        let rate = work.await;
        ended.notify_one();
        rate
    };
    let editing = async {
        let mut edits = Vec::new();
        loop {
            tokio::select! {
                () = ended.notified() => return Outcome::Ok(edits),
                () = tokio::time::sleep(PAUSE) => {}
            }
            edits.push(crowd.edit(editor).await?);
        }
    };
    let (rate, edits) = tokio::join!(working, editing);
    Ok((rate?, edits?))
}

/// Opens the socket of a new edge server, and acknowledges until the books have everything; decorations a second.
async fn receive(service: &str, edge: Edge, decorations: u64) -> Outcome<f64> {
    let began = Instant::now();
    let mut socket = edge.connect_with(service, None, BUFFER_BYTES).await?;
    let (mut received, mut bytes) = (0, 0);
    loop {
        let text = socket.next().await.map_err(|(code, reason)| format!("closed with {code} {reason}"))?;
        match Content::read(&text)? {
            Content::Batch(batch) => {
                socket.say(batch.acknowledgement()).await?;
                received += batch.entries() as u64;
                bytes += text.len();
            }
            Content::Checkpoint(checkpoint) if checkpoint.count == decorations => break,
            Content::Checkpoint(_) | Content::Other => {}
        }
    }
    let elapsed_s = began.elapsed().as_secs_f64();
    eprintln!("{received} decorations and {bytes} bytes in {elapsed_s:.2} s");
    if received < decorations {
        return Err(format!("{received} of {decorations} decorations came").into());
    }
    Ok(per_second(decorations, elapsed_s))
}

#[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
fn per_second(count: u64, elapsed_s: f64) -> f64 {
    count as f64 / elapsed_s
}

/// Reads, serialises and acknowledges the same rows by the service's own statements; decorations a second.
async fn loop_without_sockets(sql: &mut PgConnection, edge: Edge, decorations: u64) -> Outcome<f64> {
    let due = statements::calling("ORDER BY asked.edge_id, due.sync_version")?;
    let shown = statements::calling("FROM gis.decorations WHERE id = ANY ($1)")?;
    let record = statements::calling("FOR NO KEY UPDATE OF s SKIP LOCKED")?;
    let session_id = Uuid::now_v7();
    sqlx::query(
        "INSERT INTO ar.edge_sessions (edge_server_id, session_id, instance_id, generation, lease_until, key_id)
         VALUES ($1, $2, $2, nextval('ar.edge_session_generation_seq'), now() + interval '1 hour', $1)",
    )
    .bind(edge.id)
    .bind(session_id)
    .execute(&mut *sql)
    .await?;
    let began = Instant::now();
    let (mut acknowledged, mut bytes) = (0, 0);
    loop {
        let rows = sqlx::query(AssertSqlSafe(due.as_str())).bind(vec![edge.id]).bind(vec![BATCH]).fetch_all(&mut *sql).await?;
        if rows.is_empty() {
            break;
        }
        let keys = rows.iter().map(|row| Ok((row.try_get(1)?, row.try_get(2)?))).collect::<Outcome<Vec<(Uuid, i64)>>>()?;
        let (ids, numbers): (Vec<Uuid>, Vec<i64>) = keys.iter().copied().unzip();
        let contents = sqlx::query(AssertSqlSafe(shown.as_str())).bind(&ids).fetch_all(&mut *sql).await?;
        let mut contents =
            contents.iter().map(|row| decoration(row).map(|one| (one.id, one))).collect::<Outcome<std::collections::HashMap<_, _>>>()?;
        let mut texts = Vec::new();
        for (id, number) in &keys {
            let decoration = contents.remove(id).ok_or("a decoration is not there")?;
            texts.push(format!(r#"{{"sync_version":{number},{}"#, &serde_json::to_string(&decoration)?[1..]));
        }
        bytes += format!(r#"{{"type":"sync_decorations","data":{{"decorations":[{}]}}}}"#, texts.join(",")).len();
        let count = ids.len();
        let changed = sqlx::query(AssertSqlSafe(record.as_str()))
            .bind(vec![edge.id; count])
            .bind(vec![session_id; count])
            .bind(&ids)
            .bind(&numbers)
            .bind(vec![None::<String>; count])
            .bind(5_i32)
            .fetch_all(&mut *sql)
            .await?;
        acknowledged += changed.len() as u64;
    }
    let elapsed_s = began.elapsed().as_secs_f64();
    eprintln!("{acknowledged} decorations and {bytes} bytes in {elapsed_s:.2} s, in the loop");
    if acknowledged != decorations {
        return Err(format!("{acknowledged} of {decorations} decorations were acknowledged").into());
    }
    Ok(per_second(decorations, elapsed_s))
}

/// A decoration of a row, as the service reads it.
fn decoration(row: &PgRow) -> Outcome<Decoration> {
    let Geog(place): Geog<Point<f64>> = row.try_get("location!")?;
    let cell = |name: &str| Outcome::Ok(Cell::from_db(row.try_get(name)?)?);
    Ok(Decoration {
        id: row.try_get("id!")?,
        name: row.try_get("name!")?,
        description: row.try_get("description")?,
        category: row.try_get("category!")?,
        lat: place.y(),
        lng: place.x(),
        radius_meters: row.try_get("radius_meters!")?,
        height_offset: row.try_get("height_offset!")?,
        low_res_url: row.try_get("low_res_url")?,
        medium_res_url: row.try_get("medium_res_url")?,
        high_res_url: row.try_get("high_res_url")?,
        scale_x: row.try_get("scale_x!")?,
        scale_y: row.try_get("scale_y!")?,
        scale_z: row.try_get("scale_z!")?,
        rotation_x: row.try_get("rotation_x!")?,
        rotation_y: row.try_get("rotation_y!")?,
        rotation_z: row.try_get("rotation_z!")?,
        asset_type: row.try_get::<AssetType, _>("asset_type!: AssetType")?,
        file_size_bytes: row.try_get("file_size_bytes")?,
        is_active: row.try_get("is_active!")?,
        version: row.try_get("version!")?,
        h3: H3 { r5: cell("h3_r5!")?, r7: cell("h3_r7!")?, r9: cell("h3_r9!")? },
        created_at: row.try_get("created_at!")?,
        updated_at: row.try_get("updated_at!")?,
    })
}
