//! Message groups: messages that belong together, and are handled together or not at all.

use super::{Message, MessageBuilder, Value};

/// The group that a message belongs to: text.
pub const GROUP: &str = ":group";
/// How many messages the group has; on its first message, where that is known.
pub const GROUP_SIZE: &str = ":group-size";
/// True on the message that completes the group.
pub const GROUP_END: &str = ":group-end";

/// A message's part in a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GroupMark {
    /// Starts a group of so many messages, itself included.
    Start(u64),
    /// Belongs to it.
    Member,
    /// Completes it.
    End,
}

/// The group that a message belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GroupOf<'m> {
    /// What tells it from other groups that are under way.
    pub id: &'m str,
    /// The message's part in it.
    pub mark: GroupMark,
}

impl MessageBuilder {
    /// Makes the message a part of a group.
    ///
    /// ```
    /// # use pelton::message::{GroupMark, Message};
    /// let message = Message::builder().group("order-7", GroupMark::Start(3)).build(b"{}")?;
    /// assert_eq!(message.group().map(|g| g.mark), Some(GroupMark::Start(3)));
    /// # Ok::<(), pelton::message::MessageTooLarge>(())
    /// ```
    pub fn group(&mut self, id: &str, mark: GroupMark) -> &mut Self {
        self.header(GROUP, id);
        match mark {
            GroupMark::Start(size) => self.header(GROUP_SIZE, i64::try_from(size).unwrap_or(i64::MAX)),
            GroupMark::Member => self,
            GroupMark::End => self.header(GROUP_END, Value::Bool(true)),
        }
    }
}

impl Message {
    /// The group that it belongs to, by its headers. A size that is no number, or below 1, is none.
    pub fn group(&self) -> Option<GroupOf<'_>> {
        if !self.shape().is_grouped() {
            return None;
        }
        let id = self.header(GROUP)?.as_text()?;
        let size = match self.header(GROUP_SIZE) {
            Some(Value::Integer(size)) => u64::try_from(size).ok().filter(|size| *size > 0),
            Some(other) => other.as_text().and_then(|text| text.parse().ok()).filter(|size| *size > 0),
            None => None,
        };
        let ends = match self.header(GROUP_END) {
            Some(Value::Bool(end)) => end,
            Some(other) => other.as_text() == Some("true"),
            None => false,
        };
        let mark = match (ends, size) {
            (true, _) => GroupMark::End,
            (false, Some(size)) => GroupMark::Start(size),
            (false, None) => GroupMark::Member,
        };
        Some(GroupOf { id, mark })
    }
}
