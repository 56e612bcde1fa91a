//! Tokens of a source that waits until every reader has settled its messages.

use crate::broker::{Ack, AckToken};
use std::collections::BTreeMap;
use std::ops::Range;

/// One partition's messages whose source is yet to be told.
#[derive(Default)]
pub(super) struct Awaited(BTreeMap<u64, Waiting>);

struct Waiting {
    token: AckToken,
    /// The readers that have yet to settle it.
    readers: Vec<usize>,
    rejected: bool,
}

impl Awaited {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Files a token, or gives it to `done` where nobody is to be waited for.
    pub(super) fn add(&mut self, seq: u64, token: AckToken, readers: Vec<usize>, done: &mut Vec<(AckToken, Ack)>) {
        if readers.is_empty() {
            done.push((token, Ack::Accept));
        } else {
            self.0.insert(seq, Waiting { token, readers, rejected: false });
        }
    }

    /// One reader has settled these runs; what nobody waits for any more goes to `done`.
    pub(super) fn settled(
        &mut self,
        reader: usize,
        runs: &[Range<u64>],
        rejected: bool,
        done: &mut Vec<(AckToken, Ack)>,
    ) {
        for run in runs {
            let mut over = Vec::new();
            for (seq, waiting) in self.0.range_mut(run.clone()) {
                waiting.readers.retain(|r| *r != reader);
                waiting.rejected |= rejected;
                if waiting.readers.is_empty() {
                    over.push(*seq);
                }
            }
            for seq in over {
                let Some(waiting) = self.0.remove(&seq) else { continue };
                done.push((waiting.token, if waiting.rejected { Ack::Reject } else { Ack::Accept }));
            }
        }
    }
}
