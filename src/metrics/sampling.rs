//! The system's own samples: one instance takes them, for all.

use sqlx::{Connection, PgConnection, PgPool};

use super::history::{MetricType, Sample, record};
use super::store::take_turn;
use super::system::counts;
use crate::db::{DbError, within_deadline};
use crate::sync;

/// Samples how many devices are connected, edges healthy, degraded and offline, decorations there and deliveries due,
/// these also of each edge that is connected. False when that was done within the last 25 s, or another instance is at it.
///
/// # Errors
/// When the database fails.
pub async fn sample_system(pool: &PgPool) -> Result<bool, DbError> {
    within_deadline(pool, "sampling the system", sample).await
}

async fn sample(connection: &mut PgConnection) -> Result<bool, sqlx::Error> {
    let mut transaction = connection.begin().await?;
    if !take_turn(&mut transaction, "ar.sample_system").await? {
        return Ok(false);
    }
    let recent = sqlx::query_scalar!(
        r#"SELECT EXISTS (
               SELECT FROM ar.system_metrics
               WHERE edge_server_id IS NULL AND metric_type = $1 AND recorded_at > now() - interval '25 s' AND recorded_at <= now()
           ) AS "recent!""#,
        MetricType::SyncDue.as_str()
    );
    if recent.fetch_one(&mut *transaction).await? {
        return Ok(false);
    }
    let counted = counts(&mut transaction).await?;
    let figures = [
        (MetricType::DevicesConnected, counted.devices.connected),
        (MetricType::EdgesHealthy, counted.edge_servers.healthy),
        (MetricType::EdgesDegraded, counted.edge_servers.degraded),
        (MetricType::EdgesOffline, counted.edge_servers.offline),
        (MetricType::Decorations, counted.decorations.active),
        (MetricType::SyncDue, counted.sync.pending + counted.sync.outdated),
    ];
    #[expect(clippy::cast_precision_loss, reason = "no count comes near 2^53")]
    let value = |count: i64| count as f64;
    let mut samples = figures.map(|(metric_type, count)| Sample { edge_server_id: None, metric_type, value: value(count) }).to_vec();
    for waiting in sync::waiting(&mut *transaction).await? {
        let of_edge = [(MetricType::SyncDue, value(waiting.due)), (MetricType::SyncLag, waiting.lag_s)];
        let edge_server_id = Some(waiting.edge_server_id);
        samples.extend(of_edge.map(|(metric_type, value)| Sample { edge_server_id, metric_type, value }));
    }
    record(&mut transaction, &samples).await?;
    transaction.commit().await?;
    Ok(true)
}
