//! Appending: who waits for what, and which partition a message goes to.

use super::shared::announced;
use super::{Appended, Inner, LogError, ProducerBatch, SequenceLog, Written, failed, lock, meant_for_all};
use crate::broker::{AckToken, Received};
use crate::message::{Message, Position};
use crate::stream::Acks;
use crate::stream::disk::DiskError;
use std::sync::atomic::Ordering;

impl SequenceLog {
    /// Appends one message, and returns its place once it is as safe as the log's durability says.
    ///
    /// # Errors
    /// As for [`SequenceLog::append`].
    pub async fn publish(&self, message: Message) -> Result<Position, LogError> {
        let partition = self.0.partition_of(&message);
        let appended = self.append_to(partition, vec![message], None).await?;
        Ok(Position { partition, seq: appended.seq.unwrap_or_default() })
    }

    /// Appends messages, each to the partition of its key, and waits until all are safe. Order is kept in each partition.
    /// What goes to one partition is there after a crash as a whole or not at all. Cancelling it does not take it back.
    ///
    /// # Errors
    /// [`LogError::QueueFull`] and [`LogError::MessageTooLarge`] in memory, before anything is appended to that partition;
    /// [`LogError::OperationFailed`] where the storage has failed.
    pub async fn append(&self, messages: Vec<Message>) -> Result<(), LogError> {
        self.submit(messages).await?.wait().await
    }

    /// As [`SequenceLog::append`], but waits for room only, not until the messages are safe.
    ///
    /// # Errors
    /// As for [`SequenceLog::append`], before anything is appended.
    pub async fn submit(&self, messages: Vec<Message>) -> Result<Written, LogError> {
        let parts = self.0.split(messages);
        let written = Written::new(parts.len());
        for (i, (partition, messages)) in parts.into_iter().enumerate() {
            match self.begin(partition, messages, None, Vec::new(), self.part_of(&written)).await {
                Ok(()) => {}
                Err(error) if i == 0 => return Err(error),
                // A part that never began must not be waited for.
                Err(error) => written.part(Err(error)),
            }
        }
        Ok(written)
    }

    /// As [`SequenceLog::append_to`], but waits for room only, not until the messages are safe.
    ///
    /// # Errors
    /// As for [`SequenceLog::append_to`], before anything is appended.
    pub async fn submit_to(
        &self,
        partition: u32,
        messages: Vec<Message>,
        producer: Option<ProducerBatch>,
    ) -> Result<Written, LogError> {
        let written = Written::new(1);
        self.begin(partition, messages, producer, Vec::new(), self.part_of(&written)).await?;
        Ok(written)
    }

    /// Messages by the partition that they go to, each in order.
    pub(crate) fn split(&self, messages: Vec<Message>) -> Vec<(u32, Vec<Message>)> {
        self.0.split(messages)
    }

    /// As [`SequenceLog::submit`], for what handlers emit: it may be more than the log holds, and what finds no room is
    /// dropped and counted where the stream wants it so. None where all of it was.
    pub(crate) async fn emit(&self, messages: Vec<Message>) -> Result<Option<Written>, LogError> {
        let parts = self.0.split(messages.into_iter().map(meant_for_all).collect()).into_iter();
        let parts = parts.flat_map(|(partition, m)| self.0.portions(m).into_iter().map(move |m| (partition, m)));
        let parts: Vec<(u32, Vec<Message>)> = parts.collect();
        let (written, mut left) = (Written::new(parts.len()), parts.len());
        for (partition, messages) in parts {
            let count = messages.len() as u64;
            match self.begin(partition, messages, None, Vec::new(), self.part_of(&written)).await {
                Ok(()) => {}
                Err(LogError::QueueFull { .. }) => {
                    self.count_dropped(count);
                    written.part(Ok(()));
                    left -= 1;
                }
                Err(error) => return Err(error),
            }
        }
        Ok((left > 0).then_some(written))
    }

    /// What tells that one part has ended.
    fn part_of(&self, written: &Written) -> impl FnOnce(Result<Appended, DiskError>) + Send + 'static {
        let (part, name) = (written.clone(), self.name().clone());
        move |result| part.part(result.map(drop).map_err(|error| failed(&name, error)))
    }

    /// Appends messages to one partition as one batch: all are there after a crash, or none. With a producer's batch, one
    /// that comes again is appended once.
    ///
    /// # Errors
    /// As for [`SequenceLog::append`]; [`LogError::PartitionNotFound`]; [`LogError::OperationFailed`] where the producer's
    /// sequence does not follow.
    pub async fn append_to(
        &self,
        partition: u32,
        messages: Vec<Message>,
        producer: Option<ProducerBatch>,
    ) -> Result<Appended, LogError> {
        let (answer, result) = tokio::sync::oneshot::channel();
        // Whoever no longer waits has its messages appended all the same.
        self.begin(partition, messages, producer, Vec::new(), move |r| drop(answer.send(r))).await?;
        let result = result.await.map_err(|_| self.0.closed())?;
        result.map_err(|error| failed(self.name(), error))
    }

    /// Begins an append as soon as there is room for it.
    async fn begin(
        &self,
        partition: u32,
        messages: Vec<Message>,
        producer: Option<ProducerBatch>,
        tokens: Vec<AckToken>,
        done: impl FnOnce(Result<Appended, DiskError>) + Send + 'static,
    ) -> Result<(), LogError> {
        let inner = &self.0;
        let storage = inner.partition(partition)?;
        if let Some(disk) = storage.disk() {
            disk.room().await;
        }
        if inner.shared.closed.load(Ordering::Acquire) {
            return Err(inner.closed());
        }
        if let Some(error) = self.failure() {
            return Err(error);
        }
        let shared = inner.shared.clone();
        let notices = if shared.announce { announced(&messages) } else { Vec::new() };
        let done = Box::new(move |result: Result<Appended, DiskError>| {
            match &result {
                Ok(Appended { seq: Some(seq), duplicate: false, .. }) => {
                    shared.appended(Position { partition, seq: *seq }, notices, tokens);
                }
                Err(
                    error @ (DiskError::Io { .. }
                    | DiskError::Full { .. }
                    | DiskError::Gone { .. }
                    | DiskError::Poisoned(_)),
                ) => shared.fail(error),
                _ => {}
            }
            done(result);
            shared.writing.fetch_sub(1, Ordering::AcqRel);
            shared.settled.notify_waiters();
        });
        if let Some(disk) = storage.disk() {
            inner.shared.writing.fetch_add(1, Ordering::AcqRel);
            disk.submit(messages, producer, done);
            return Ok(());
        }
        let weight: u64 = messages.iter().map(Message::weight).sum();
        loop {
            let room = inner.shared.room.notified();
            tokio::pin!(room);
            room.as_mut().enable();
            {
                let _turn = lock(&inner.admission);
                if inner.admit(messages.len(), weight)? {
                    inner.shared.writing.fetch_add(1, Ordering::AcqRel);
                    storage.submit(messages, producer, done);
                    break;
                }
            }
            if inner.shared.closed.load(Ordering::Acquire) {
                return Err(inner.closed());
            }
            room.await;
        }
        inner.weigh();
        Ok(())
    }

    /// Appends what a source gave, and tells the source of each message: `on_append` once it is safe, else once every
    /// required reader has settled it.
    pub(crate) async fn append_received(&self, received: Vec<Received>, on_append: bool) -> Result<(), LogError> {
        let mut parts: Vec<(Vec<Message>, Vec<AckToken>)> = vec![Default::default(); self.0.partitions.len()];
        for r in received {
            let partition = self.0.partition_of(&r.message);
            if let Some((messages, tokens)) = parts.get_mut(partition as usize) {
                messages.push(meant_for_all(r.message));
                tokens.push(r.token);
            }
        }
        for (partition, (messages, mut tokens)) in (0..).zip(parts) {
            for portion in self.0.portions(messages) {
                let rest = tokens.split_off(portion.len());
                let of_portion = std::mem::replace(&mut tokens, rest);
                match self.append_portion(partition, portion, of_portion.clone(), on_append).await {
                    Err(LogError::QueueFull { .. }) => {
                        self.count_dropped(of_portion.len() as u64);
                        self.0.shared.accept(of_portion);
                    }
                    result => result?,
                }
            }
        }
        Ok(())
    }

    async fn append_portion(
        &self,
        partition: u32,
        messages: Vec<Message>,
        tokens: Vec<AckToken>,
        on_append: bool,
    ) -> Result<(), LogError> {
        let at_once = on_append || lock(&self.0.shared.required).is_empty();
        let (now, later) = if at_once { (tokens, Vec::new()) } else { (Vec::new(), tokens) };
        let (shared, name) = (self.0.shared.clone(), self.name().clone());
        let done = move |result: Result<Appended, DiskError>| match result {
            Ok(_) => shared.accept(now),
            Err(error) => tracing::error!(stream = &*name, %error, "messages not stored; their source has them still"),
        };
        self.begin(partition, messages, None, later, done).await
    }

    /// Tokens of messages that their source may forget; to be taken once.
    pub(crate) fn take_acks(&self) -> Option<Acks> {
        lock(&self.0.shared.acked).take()
    }
}

impl Inner {
    pub(super) fn partition_of(&self, message: &Message) -> u32 {
        let count = self.partitions.len() as u32;
        match message.key() {
            _ if count == 1 => 0,
            // A key must find its partition again for as long as the log lives: a hash that no library may change.
            Some(key) => crc32c::crc32c(key) % count,
            // The order of a message group is that of its partition.
            None => match message.group() {
                Some(group) => crc32c::crc32c(group.id.as_bytes()) % count,
                None => self.turn.fetch_add(1, Ordering::Relaxed) % count,
            },
        }
    }

    /// Messages by the partition they go to, each in order.
    pub(super) fn split(&self, messages: Vec<Message>) -> Vec<(u32, Vec<Message>)> {
        if self.partitions.len() == 1 {
            return if messages.is_empty() { Vec::new() } else { vec![(0, messages)] };
        }
        let mut parts: Vec<Vec<Message>> = vec![Vec::new(); self.partitions.len()];
        for message in messages {
            let partition = self.partition_of(&message);
            if let Some(part) = parts.get_mut(partition as usize) {
                part.push(message);
            }
        }
        (0..).zip(parts).filter(|(_, part)| !part.is_empty()).collect()
    }
}
