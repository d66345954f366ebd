//! What instances tell each other: `NOTIFY ar, '<kind>:<id>'`, sent in the transaction that changes something.
//! A notice only wakes; it may be lost, and then a sweep finds what it told of.

use std::time::Duration;

use sqlx::postgres::PgListener;
use uuid::Uuid;

use super::Db;
use crate::lifecycle::Lifecycle;
use crate::telemetry::meters;

/// The one channel.
const CHANNEL: &str = "ar";
/// Time between attempts to listen.
const RETRY: Duration = Duration::from_millis(500);

/// Something changed on some instance, this one perhaps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Notice {
    /// A session ended.
    Session(Uuid),
    /// What an account may do changed, or all its sessions ended.
    User(Uuid),
    /// An edge server changed: what an admin set, its health, its keys, or who holds its socket.
    Edge(Uuid),
    /// A decoration changed; none: many did.
    Decoration(Option<Uuid>),
    /// Edge servers are to be told of devices.
    Devices,
    /// What an edge server is to hold changed as a whole.
    Sync(Uuid),
    /// Decorations changed in a tile of zoom 8, 256 times its row and its column; none: in many.
    Placed(Option<u16>),
    /// Kept counts of decorations changed there.
    Counted(Option<u16>),
    /// Regions changed.
    Regions,
    /// Device density was published, or old one forgotten.
    Density,
    /// A caller wrote what he may look for next.
    Wrote(u64),
    /// Another log level is asked for.
    LogLevel,
    /// Notices may have been lost.
    Missed,
}

impl Notice {
    fn read(payload: &str) -> Option<Self> {
        let (kind, id) = payload.split_once(':')?;
        match kind {
            "placed" => return Self::of_block(id, Self::Placed),
            "counted" => return Self::of_block(id, Self::Counted),
            "regions" => return Some(Self::Regions),
            "density" => return Some(Self::Density),
            "wrote" => return id.parse().ok().map(Self::Wrote),
            "log_level" => return Some(Self::LogLevel),
            _ => {}
        }
        let id = Uuid::try_parse(id).ok()?;
        match kind {
            "session" => Some(Self::Session(id)),
            "user" => Some(Self::User(id)),
            "edge" => Some(Self::Edge(id)),
            "decoration" => Some(Self::Decoration(Some(id).filter(|id| !id.is_nil()))),
            "devices" => Some(Self::Devices),
            "sync" => Some(Self::Sync(id)),
            _ => None,
        }
    }

    /// By the number of a tile of zoom 8, or by `all`.
    fn of_block(text: &str, kind: fn(Option<u16>) -> Self) -> Option<Self> {
        if text == "all" { Some(kind(None)) } else { text.parse().ok().map(|block| kind(Some(block))) }
    }
}

/// Hands over every notice until the service stops.
pub(crate) async fn hear(db: Db, lifecycle: Lifecycle, on_notice: impl Fn(Notice) + Send) {
    let stopping = lifecycle.stopping();
    let listening = async {
        loop {
            let error = listen(&db, &on_notice).await;
            meters().db.listening.set(0.0);
            tracing::info!(%error, "not listening for notices; trying again");
            tokio::time::sleep(RETRY).await;
        }
    };
    tokio::select! {
        () = stopping.cancelled() => {}
        () = listening => {}
    }
    meters().db.listening.set(0.0);
}

/// Listens as long as it goes well; why it ended.
async fn listen(db: &Db, on_notice: &impl Fn(Notice)) -> sqlx::Error {
    let mut listener = match PgListener::connect_with(db.background()).await {
        Ok(listener) => listener,
        Err(error) => return error,
    };
    if let Err(error) = listener.listen(CHANNEL).await {
        return error;
    }
    meters().db.listening.set(1.0);
    // Whatever was told before we listened.
    on_notice(Notice::Missed);
    loop {
        match listener.try_recv().await {
            Ok(Some(told)) => {
                // One of an unknown kind is of a newer version, perhaps.
                if let Some(notice) = Notice::read(told.payload()) {
                    on_notice(notice);
                }
            }
            // The connection was lost; the next call opens another.
            Ok(None) => on_notice(Notice::Missed),
            Err(error) => return error,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_notice_is_a_kind_and_an_id() {
        let id = Uuid::now_v7();
        assert_eq!(Notice::read(&format!("session:{id}")), Some(Notice::Session(id)));
        assert_eq!(Notice::read(&format!("user:{id}")), Some(Notice::User(id)));
        assert_eq!(Notice::read(&format!("edge:{id}")), Some(Notice::Edge(id)));
        assert_eq!(Notice::read(&format!("decoration:{id}")), Some(Notice::Decoration(Some(id))));
        assert_eq!(Notice::read(&format!("decoration:{}", Uuid::nil())), Some(Notice::Decoration(None)));
        assert_eq!(Notice::read(&format!("devices:{}", Uuid::nil())), Some(Notice::Devices));
        assert_eq!(Notice::read("placed:34690"), Some(Notice::Placed(Some(34_690))));
        assert_eq!(Notice::read("counted:all"), Some(Notice::Counted(None)));
        assert_eq!(Notice::read("placed:65536"), None);
        assert_eq!(Notice::read("regions:all"), Some(Notice::Regions));
        assert_eq!(Notice::read("density:all"), Some(Notice::Density));
        assert_eq!(Notice::read("wrote:18446744073709551615"), Some(Notice::Wrote(u64::MAX)));
        assert_eq!(Notice::read("log_level:all"), Some(Notice::LogLevel));
        for other in ["", "session", "session:", "session:x", "moon:00000000-0000-0000-0000-000000000000"] {
            assert_eq!(Notice::read(other), None, "{other}");
        }
    }
}
