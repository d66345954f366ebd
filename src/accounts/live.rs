//! Sessions seen to be live: what spares a known token its check and its question to the database.
//!
//! What is remembered holds only as long as this instance hears of changes: at once by notice, and by a sweep
//! every two seconds at the latest. When the sweep does not succeed, everybody is asked for again.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use dashmap::{DashMap, Entry};
use quick_cache::sync::Cache;
use uuid::Uuid;

use super::identity::Identity;
use super::token::Claims;
use crate::keys;

/// Tokens remembered at most.
const MAX_TOKENS: usize = 65_536;
/// How old the last good sweep may be for what is remembered to hold. Revocations are to be known within 5 s.
const TRUST: Duration = Duration::from_secs(4);

/// A session that was live when it was asked for; one for all its tokens.
struct Live {
    identity: Identity,
    /// When the session ends unless it is refreshed, in seconds since 1970.
    expires_s: AtomicI64,
    /// Something about it changed: ask again.
    stale: AtomicBool,
    /// Used since the last time this was noted.
    used: AtomicBool,
}

struct SeenToken {
    claims: Claims,
    live: Arc<Live>,
}

/// A moment before a question to the database: what is told between then and the answer must not be lost.
#[derive(Clone, Copy)]
pub(super) struct Mark(u64);

/// The sessions this instance knows.
pub(super) struct LiveSessions {
    tokens: Cache<[u8; 32], Arc<SeenToken>>,
    sessions: DashMap<Uuid, Arc<Live>>,
    changes: AtomicU64,
    started: Instant,
    /// Milliseconds since `started` when the last good sweep was asked for; 0 before the first.
    swept_ms: AtomicU64,
}

impl LiveSessions {
    pub(super) fn new() -> Self {
        Self {
            tokens: Cache::new(MAX_TOKENS),
            sessions: DashMap::new(),
            changes: AtomicU64::new(0),
            started: Instant::now(),
            swept_ms: AtomicU64::new(0),
        }
    }

    /// Who a token speaks for, if it was seen before and nothing has changed since.
    pub(super) fn seen(&self, token: &str, now_s: i64) -> Option<Identity> {
        if !self.is_current() {
            return None;
        }
        let seen = self.tokens.get(&keys::sha256(token.as_bytes()))?;
        let live = &seen.live;
        let is_over = live.stale.load(Ordering::Acquire) || live.expires_s.load(Ordering::Relaxed) <= now_s;
        if is_over || !seen.claims.in_force(now_s) {
            return None;
        }
        if !live.used.load(Ordering::Relaxed) {
            live.used.store(true, Ordering::Relaxed);
        }
        Some(live.identity.clone())
    }

    /// To be taken before the database is asked about a session.
    pub(super) fn mark(&self) -> Mark {
        Mark(self.changes.load(Ordering::Acquire))
    }

    /// Remembers that a token's session is live until `expires_s`, unless something changed since the mark.
    pub(super) fn remember(&self, token: &str, claims: Claims, identity: &Identity, expires_s: i64, mark: Mark) {
        // Looked at before as well as after, so that nobody sees for a moment what is not to be remembered.
        if self.changes.load(Ordering::Acquire) != mark.0 {
            return;
        }
        let live = self.session(identity, expires_s);
        self.tokens.insert(keys::sha256(token.as_bytes()), Arc::new(SeenToken { claims, live: Arc::clone(&live) }));
        if self.changes.load(Ordering::Acquire) != mark.0 {
            live.stale.store(true, Ordering::Release);
        }
    }

    /// The one entry of a session, that all its tokens share: what ends it ends them all.
    fn session(&self, identity: &Identity, expires_s: i64) -> Arc<Live> {
        let made = || {
            let (stale, used) = (AtomicBool::new(false), AtomicBool::new(true));
            Arc::new(Live { identity: identity.clone(), expires_s: AtomicI64::new(expires_s), stale, used })
        };
        match self.sessions.entry(identity.session_id) {
            Entry::Vacant(place) => Arc::clone(&place.insert(made())),
            Entry::Occupied(mut place) => {
                let known = Arc::clone(place.get());
                if known.identity == *identity && !known.stale.load(Ordering::Acquire) {
                    known.expires_s.store(expires_s, Ordering::Relaxed);
                    known.used.store(true, Ordering::Relaxed);
                    return known;
                }
                known.stale.store(true, Ordering::Release);
                let live = made();
                place.insert(Arc::clone(&live));
                live
            }
        }
    }

    /// A session ended, or may do something else now.
    pub(super) fn forget_session(&self, session_id: Uuid) {
        self.changes.fetch_add(1, Ordering::AcqRel);
        if let Some((_, live)) = self.sessions.remove(&session_id) {
            live.stale.store(true, Ordering::Release);
        }
    }

    /// All sessions of an account.
    pub(super) fn forget_user(&self, user_id: Uuid) {
        self.changes.fetch_add(1, Ordering::AcqRel);
        self.sessions.retain(|_, live| {
            let keep = live.identity.user_id != user_id;
            if !keep {
                live.stale.store(true, Ordering::Release);
            }
            keep
        });
    }

    /// Everything: too much was missed.
    pub(super) fn forget_all(&self) {
        self.changes.fetch_add(1, Ordering::AcqRel);
        self.sessions.retain(|_, live| {
            live.stale.store(true, Ordering::Release);
            false
        });
        self.tokens.clear();
    }

    /// Notes a sweep that was asked for at `asked` and told of all changes until then; drops what no token needs.
    pub(super) fn swept(&self, asked: Instant) {
        let ms = asked.saturating_duration_since(self.started).as_millis();
        self.swept_ms.store(u64::try_from(ms).unwrap_or(u64::MAX).max(1), Ordering::Release);
        self.sessions.retain(|_, live| Arc::strong_count(live) > 1 || live.used.load(Ordering::Relaxed));
    }

    /// Sessions used since this was last asked.
    pub(super) fn take_used(&self) -> Vec<Uuid> {
        let used = self.sessions.iter().filter(|entry| entry.value().used.swap(false, Ordering::Relaxed));
        used.map(|entry| *entry.key()).collect()
    }

    fn is_current(&self) -> bool {
        let swept_ms = self.swept_ms.load(Ordering::Acquire);
        swept_ms > 0 && self.started.elapsed() < Duration::from_millis(swept_ms) + TRUST
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::accounts::Role;
    use crate::accounts::token::TokenKeys;
    use crate::config::TokenConfig;

    const NOW_S: i64 = 1_800_000_000;

    fn keys() -> TokenKeys {
        TokenKeys::new(&TokenConfig {
            secret: "one".to_owned().into(),
            previous_secret: None,
            issuer: "i".to_owned(),
            audience: "a".to_owned(),
            access_ttl: Duration::from_mins(15),
            refresh_ttl: Duration::from_hours(1),
        })
    }

    fn known(live: &LiveSessions, mark: Mark) -> (String, Identity) {
        let identity = Identity { user_id: Uuid::now_v7(), session_id: Uuid::now_v7(), role: Role::User };
        let token = another(live, &identity, mark);
        (token, identity)
    }

    /// One more token of a session.
    fn another(live: &LiveSessions, identity: &Identity, mark: Mark) -> String {
        let keys = keys();
        let token = keys.mint(identity, NOW_S).token;
        let claims = keys.verify(&token, NOW_S).expect("good");
        live.remember(&token, claims, identity, NOW_S + 600, mark);
        token
    }

    #[test]
    fn nothing_holds_before_the_first_sweep_or_long_after_the_last() {
        let live = LiveSessions::new();
        let (token, identity) = known(&live, live.mark());
        assert_eq!(live.seen(&token, NOW_S), None);
        live.swept(Instant::now());
        assert_eq!(live.seen(&token, NOW_S), Some(identity));
        assert_eq!(live.seen(&token, NOW_S + 1000), None, "the token's own life is over");
        let long_ago = live.started.checked_sub(TRUST + Duration::from_millis(10));
        if let Some(long_ago) = long_ago {
            let live = LiveSessions { started: long_ago, ..live };
            live.swept(long_ago);
            assert_eq!(live.seen(&token, NOW_S), None);
        }
    }

    #[test]
    fn what_changes_is_asked_for_again() {
        let live = LiveSessions::new();
        live.swept(Instant::now());
        let (one, first) = known(&live, live.mark());
        let (two, second) = known(&live, live.mark());
        live.forget_session(first.session_id);
        assert_eq!((live.seen(&one, NOW_S), live.seen(&two, NOW_S)), (None, Some(second.clone())));
        live.forget_user(second.user_id);
        assert_eq!(live.seen(&two, NOW_S), None);
    }

    #[test]
    fn what_ends_a_session_ends_all_its_tokens() {
        let live = LiveSessions::new();
        live.swept(Instant::now());
        let (one, identity) = known(&live, live.mark());
        let two = another(&live, &identity, live.mark());
        assert_eq!((live.seen(&one, NOW_S), live.seen(&two, NOW_S)), (Some(identity.clone()), Some(identity.clone())));
        live.forget_session(identity.session_id);
        assert_eq!((live.seen(&one, NOW_S), live.seen(&two, NOW_S)), (None, None));
        // In another role, the tokens that were seen in the first one ask again.
        let one = another(&live, &identity, live.mark());
        another(&live, &Identity { role: Role::Admin, ..identity }, live.mark());
        assert_eq!(live.seen(&one, NOW_S), None);
    }

    #[test]
    fn a_session_that_is_over_is_asked_for() {
        let live = LiveSessions::new();
        live.swept(Instant::now());
        let (token, identity) = known(&live, live.mark());
        assert_eq!((live.seen(&token, NOW_S + 599), live.seen(&token, NOW_S + 600)), (Some(identity), None));
    }

    #[test]
    fn a_change_during_the_question_is_not_lost() {
        let live = LiveSessions::new();
        live.swept(Instant::now());
        let before = live.mark();
        live.forget_session(Uuid::now_v7());
        let (token, _) = known(&live, before);
        assert_eq!(live.seen(&token, NOW_S), None);
    }

    #[test]
    fn uses_are_noted_once() {
        let live = LiveSessions::new();
        live.swept(Instant::now());
        let (token, identity) = known(&live, live.mark());
        assert_eq!(live.take_used(), [identity.session_id]);
        assert!(live.take_used().is_empty());
        assert!(live.seen(&token, NOW_S).is_some());
        assert_eq!(live.take_used(), [identity.session_id]);
    }
}
