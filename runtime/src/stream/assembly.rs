//! Puts message groups together: what belongs to one is held until the last of it has come, or its time is over.

use crate::message::{GroupMark, Message};
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// A group that is whole, or will not become so.
#[derive(Debug)]
pub(crate) struct Assembled<T> {
    /// The group; none for a message by itself.
    pub(crate) group: Option<Arc<str>>,
    /// In the order they came.
    pub(crate) items: Vec<T>,
    /// Why it is not whole.
    pub(crate) broken: Option<Broken>,
}

/// Why a group is given up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Broken {
    /// So many of so many, where that is known, have come within this time.
    Late { came: usize, of: Option<u64>, after: Duration },
    /// It has more messages than a group may have.
    TooLarge { most: usize },
}

impl Broken {
    pub(crate) fn reason(&self, group: &str) -> String {
        match self {
            Broken::Late { came, of: Some(of), after } => {
                format!("message group '{group}' is incomplete: {came} of {of} messages came within {after:?}")
            }
            Broken::Late { came, of: None, after } => {
                format!(
                    "message group '{group}' is incomplete: {came} messages came within {after:?}, none completed it"
                )
            }
            Broken::TooLarge { most } => format!("message group '{group}' has more than {most} messages"),
        }
    }
}

/// Groups that are under way.
#[derive(Debug)]
pub(crate) struct Assembly<T> {
    timeout: Duration,
    most: usize,
    open: HashMap<Arc<str>, Open<T>>,
    /// Messages of groups that are under way.
    held: usize,
    /// By when they are given up.
    ends: BTreeSet<(Instant, Arc<str>)>,
}

#[derive(Debug)]
struct Open<T> {
    items: Vec<T>,
    size: Option<u64>,
    ends: Instant,
}

impl<T> Assembly<T> {
    /// Waits so long for a group of at most so many messages.
    pub(crate) fn new(timeout: Duration, most: usize) -> Assembly<T> {
        Assembly { timeout, most, open: HashMap::new(), held: 0, ends: BTreeSet::new() }
    }

    /// Takes a message; gives the group that it completes, or itself where it belongs to none.
    pub(crate) fn add(&mut self, message: &Message, item: T, now: Instant) -> Option<Assembled<T>> {
        let Some(of) = message.group() else {
            return Some(Assembled { group: None, items: vec![item], broken: None });
        };
        let id: Arc<str> = match self.open.get_key_value(of.id) {
            Some((id, _)) => id.clone(),
            None => Arc::from(of.id),
        };
        let ends = now + self.timeout;
        let open = self.open.entry(id.clone()).or_insert_with(|| {
            self.ends.insert((ends, id.clone()));
            Open { items: Vec::new(), size: None, ends }
        });
        open.items.push(item);
        self.held += 1;
        if let GroupMark::Start(size) = of.mark {
            open.size = Some(size);
        }
        let whole = of.mark == GroupMark::End || open.size.is_some_and(|size| open.items.len() as u64 >= size);
        let broken = (open.items.len() > self.most).then_some(Broken::TooLarge { most: self.most });
        if whole || broken.is_some() { self.close(&id, broken) } else { None }
    }

    /// A group whose time is over; to be called until there is none.
    pub(crate) fn expired(&mut self, now: Instant) -> Option<Assembled<T>> {
        let (ends, id) = self.ends.first().cloned()?;
        if ends > now {
            return None;
        }
        let open = self.open.get(&id)?;
        let broken = Broken::Late { came: open.items.len(), of: open.size, after: self.timeout };
        self.close(&id, Some(broken))
    }

    fn close(&mut self, id: &Arc<str>, broken: Option<Broken>) -> Option<Assembled<T>> {
        let open = self.open.remove(id)?;
        self.ends.remove(&(open.ends, id.clone()));
        self.held -= open.items.len();
        Some(Assembled { group: Some(id.clone()), items: open.items, broken })
    }

    /// How many messages groups hold that are under way.
    pub(crate) fn held(&self) -> usize {
        self.held
    }

    /// When the next group's time is over.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.ends.first().map(|(ends, _)| *ends)
    }

    /// Forgets all that is under way.
    pub(crate) fn clear(&mut self) {
        self.ends.clear();
        self.open.clear();
        self.held = 0;
    }
}
