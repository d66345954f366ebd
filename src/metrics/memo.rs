//! The last answer to a question that is dear to ask, good for a moment. However many ask for it, the database is
//! asked by one of them at a time, and not more often than that moment lasts.

use std::time::{Duration, Instant};

use tokio::sync::Mutex;

/// How old an answer may be.
const FRESH: Duration = Duration::from_secs(2);

/// The last answer, and when it was asked for.
pub(super) struct Memo<T>(Mutex<Option<(Instant, T)>>);

impl<T: Clone> Memo<T> {
    pub(super) fn new() -> Self {
        Self(Mutex::new(None))
    }

    /// The last answer while it is fresh, else the one to `ask`. A failure is nobody's answer but the asker's.
    pub(super) async fn read<E>(&self, ask: impl Future<Output = Result<T, E>>) -> Result<T, E> {
        let mut last = self.0.lock().await;
        if let Some((asked, answer)) = &*last
            && asked.elapsed() < FRESH
        {
            return Ok(answer.clone());
        }
        let asked = Instant::now();
        let answer = ask.await?;
        *last = Some((asked, answer.clone()));
        Ok(answer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn many_who_ask_at_once_are_answered_by_one_question() {
        let memo = Memo::new();
        let asked = std::sync::atomic::AtomicU32::new(0);
        let ask = async || {
            memo.read(async {
                tokio::task::yield_now().await;
                Ok::<_, ()>(asked.fetch_add(1, std::sync::atomic::Ordering::Relaxed))
            })
            .await
        };
        assert_eq!(memo.read(async { Err("away") }).await, Err("away"));
        assert_eq!(tokio::join!(ask(), ask(), ask()), (Ok(0), Ok(0), Ok(0)));
    }
}
