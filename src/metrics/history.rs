//! Samples over time: what they are called, how they are written.

use serde::Serialize;
use sqlx::{Connection, PgConnection};
use utoipa::ToSchema;
use uuid::Uuid;

use super::partitions::{self, Daily};

/// What a sample says something about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum MetricType {
    /// CPU in use, per cent.
    Cpu,
    /// Memory in use, per cent.
    Memory,
    /// Connections that the edge says it has.
    Connections,
    /// Traffic in Mbit/s.
    Bandwidth,
    /// How far the edge's clock is ahead of the database's, in seconds.
    ClockSkew,
    /// Devices that are connected.
    DevicesConnected,
    /// Active edges that are healthy.
    EdgesHealthy,
    /// Active edges that are degraded.
    EdgesDegraded,
    /// Active edges that are offline.
    EdgesOffline,
    /// Active decorations.
    Decorations,
    /// Decorations that wait to be delivered: to the edge, or to all.
    SyncDue,
    /// Age of the oldest change that the edge has not been delivered, in seconds.
    SyncLag,
}

impl MetricType {
    /// What is sampled of edges; the rest is of the system as a whole.
    pub(crate) const OF_EDGES: [Self; 7] =
        [Self::Cpu, Self::Memory, Self::Connections, Self::Bandwidth, Self::ClockSkew, Self::SyncDue, Self::SyncLag];

    /// As it stands on the wire and in the database.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Memory => "memory",
            Self::Connections => "connections",
            Self::Bandwidth => "bandwidth",
            Self::ClockSkew => "clock_skew",
            Self::DevicesConnected => "devices_connected",
            Self::EdgesHealthy => "edges_healthy",
            Self::EdgesDegraded => "edges_degraded",
            Self::EdgesOffline => "edges_offline",
            Self::Decorations => "decorations",
            Self::SyncDue => "sync_due",
            Self::SyncLag => "sync_lag",
        }
    }
}

/// A value at the time at which it is recorded.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Sample {
    /// The edge; none: the system as a whole.
    pub(crate) edge_server_id: Option<Uuid>,
    /// What was measured.
    pub(crate) metric_type: MetricType,
    /// In the type's unit; finite, and within ±10¹⁵.
    pub(crate) value: f64,
}

/// Records samples under the database's time, all or none. Inside a transaction it is one with it. When today's
/// partition is missing it is made, which locks the edges and the samples until the transaction ends.
///
/// # Errors
/// When the database fails.
pub(crate) async fn record(connection: &mut PgConnection, samples: &[Sample]) -> Result<(), sqlx::Error> {
    if samples.is_empty() {
        return Ok(());
    }
    // A savepoint inside a transaction, so that a missing partition does not end it.
    let mut attempt = connection.begin().await?;
    match insert(&mut attempt, samples).await {
        Ok(()) => attempt.commit().await,
        Err(error) if partitions::is_missing(&error) => {
            attempt.rollback().await?;
            let mut again = connection.begin().await?;
            partitions::make_missing(&mut again, Daily::SystemMetrics).await?;
            insert(&mut again, samples).await?;
            again.commit().await
        }
        Err(error) => Err(error),
    }
}

async fn insert(connection: &mut PgConnection, samples: &[Sample]) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "INSERT INTO ar.system_metrics (edge_server_id, metric_type, metric_value, recorded_at)
         SELECT edge_server_id, metric_type, metric_value, now()
         FROM unnest($1::uuid[], $2::text[], $3::float8[]) AS s (edge_server_id, metric_type, metric_value)",
        &samples.iter().map(|sample| sample.edge_server_id).collect::<Vec<_>>() as _,
        &samples.iter().map(|sample| sample.metric_type.as_str().to_owned()).collect::<Vec<_>>(),
        &samples.iter().map(|sample| sample.value).collect::<Vec<_>>()
    )
    .execute(connection)
    .await
    .map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_is_called_the_same_on_the_wire_and_in_the_database() {
        use MetricType::{Decorations, DevicesConnected, EdgesDegraded, EdgesHealthy, EdgesOffline};
        for metric in MetricType::OF_EDGES.into_iter().chain([DevicesConnected, EdgesHealthy, EdgesDegraded, EdgesOffline, Decorations]) {
            assert_eq!(serde_json::to_value(metric).expect("a text"), metric.as_str());
        }
    }
}
