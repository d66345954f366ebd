//! Work that is done again and again for the whole database: whichever instance comes first when it is due begins the
//! round, and the others leave it. There is nobody to elect and nothing to hand over: when the one that did it so far
//! is gone, another one comes first the next time.

use std::time::Duration;

use sqlx::PgConnection;
use uuid::Uuid;

/// What is done in rounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Round {
    /// Edge servers are judged by their silence.
    JudgeEdges,
    /// Silent devices are disconnected, old positions forgotten.
    SweepDevices,
    /// Sessions, tickets and the like that are over are thrown away.
    CleanAccounts,
    /// Keys of edge servers that are over are thrown away.
    CleanKeys,
    /// Old usage and changes of health are forgotten.
    ForgetOld,
}

impl Round {
    fn as_str(self) -> &'static str {
        match self {
            Self::JudgeEdges => "judge_edges",
            Self::SweepDevices => "sweep_devices",
            Self::CleanAccounts => "clean_accounts",
            Self::CleanKeys => "clean_keys",
            Self::ForgetOld => "forget_old",
        }
    }
}

/// Begins a round, if the last one began about `interval` ago or earlier; false: another instance did it. Instances ask
/// every `interval`, so a tenth less counts too: nobody misses his own turn by a hair.
pub(crate) async fn begin_round(
    connection: &mut PgConnection,
    round: Round,
    interval: Duration,
    instance_id: Uuid,
) -> Result<bool, sqlx::Error> {
    let begun = sqlx::query_scalar!(
        r#"INSERT INTO ar.rounds AS r (work, begun_by) VALUES ($1, $3)
           ON CONFLICT (work) DO UPDATE SET begun_at = now(), begun_by = excluded.begun_by
           -- A time to come was noted by a clock that was set back since.
           WHERE r.begun_at <= now() - 0.9 * make_interval(secs => $2) OR r.begun_at > now() + interval '1 minute'
           RETURNING true AS "begun!""#,
        round.as_str(),
        interval.as_secs_f64(),
        instance_id
    );
    Ok(begun.fetch_optional(connection).await?.is_some())
}
