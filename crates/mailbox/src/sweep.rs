//! Forgetting what is too old, and dropping dead letters when there are too many.

use std::{
    sync::{Arc, Weak},
    time::{Duration, SystemTime},
};

use store::{DeadBounds, DroppedLetters};
use wording::wording;

use crate::{DEAD_KEPT, Inner, MOST_DEAD, MOST_DEAD_BYTES, REMEMBERED, machine_time};

/// Sweeps now and then, and drops letters whenever some came, as long as the mailbox is there.
pub(crate) async fn sweep(mailbox: Weak<Inner>) {
    let mut crowded = false;
    while let Some(inner) = mailbox.upgrade().filter(|inner| !inner.closing()) {
        if !crowded {
            inner.forget().await;
        }
        inner.drop_letters().await;
        let (waking, span) = (Arc::clone(&inner.crowded), inner.pace.sweep);
        // Held while this waits, it would keep the mailbox alive.
        drop(inner);
        crowded = tokio::time::timeout(span, waking.notified()).await.is_ok();
    }
}

impl Inner {
    async fn forget(&self) {
        if let Err(error) = self.store.forget_pushes(before(REMEMBERED)).await {
            let error = error.report();
            let text = wording!(
                "old message pushes could not be dropped: {error}",
                "无法清理旧的消息推送：{error}"
            );
            self.note(None, None, &text);
        }
    }

    async fn drop_letters(&self) {
        let bounds = DeadBounds {
            died_before: before(DEAD_KEPT),
            most: MOST_DEAD,
            most_bytes: MOST_DEAD_BYTES,
        };
        match self.store.drop_dead_pushes(bounds).await {
            Ok(DroppedLetters { crowded_out: 0, .. }) => {}
            Ok(DroppedLetters { crowded_out, .. }) => {
                let most = MOST_DEAD_BYTES >> 20;
                let text = wording!(
                    "{crowded_out} dead letters were dropped, the oldest: of more than {MOST_DEAD}, or more than {most} MB, only \
                     the newest are kept; look into those that are left at /operator/push/dead or in the console",
                    "已丢弃最早的 {crowded_out} 条死信：超过 {MOST_DEAD} 条或 {most} MB 时只保留最新的；其余请到 /operator/push/dead 或控制台查看"
                );
                self.note(None, None, &text);
            }
            Err(error) => {
                let error = error.report();
                let text = wording!(
                    "dead letters could not be dropped: {error}",
                    "无法丢弃死信：{error}"
                );
                self.note(None, None, &text);
            }
        }
    }
}

fn before(span: Duration) -> SystemTime {
    machine_time().checked_sub(span).unwrap_or(SystemTime::UNIX_EPOCH)
}
