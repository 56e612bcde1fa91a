use super::target::{Target, failure};
use super::{OK, REFUSED, logging};
use crate::broker::render::Render;
use crate::client::{Admin, Connection, Consumer, ConsumerOptions, Reading};
use crate::config::{Format, Start, parse_duration};
use crate::message::{Entry, Message};
use indicatif::ProgressBar;
use std::io::{ErrorKind, Write, stdout};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// Print messages of a stream of a broker
///
/// Without --follow and --count it ends with the last message that there is when it begins.
#[derive(clap::Args)]
pub(super) struct Arguments {
    /// The stream
    stream: String,
    #[command(flatten)]
    target: Target,
    /// Read as a member of this group; what is printed is settled
    #[arg(long, conflicts_with = "partition")]
    group: Option<String>,
    /// Where to begin: earliest or -2, latest or -1, an offset, or a time such as 2026-11-21T10:00:00Z; with --group, only
    /// where the broker does not know the group
    #[arg(long, default_value = "earliest", allow_hyphen_values = true)]
    offset: Start,
    /// Only this partition
    #[arg(long)]
    partition: Option<u32>,
    /// How often the broker is told what the group has handled
    #[arg(long, default_value = "5s", value_parser = parse_duration)]
    auto_commit_interval: Duration,
    /// How a message is printed
    #[arg(long, value_enum, default_value_t = Printed::Raw)]
    format: Printed,
    /// Go on for ever
    #[arg(long, conflicts_with = "count")]
    follow: bool,
    /// End after so many messages, and wait for them
    #[arg(long)]
    count: Option<u64>,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Printed {
    /// The body and a line break
    Raw,
    /// One JSON object a line, with key, headers and the rest
    Json,
}

pub(super) async fn consume(arguments: Arguments) -> u8 {
    logging::start("warn", ProgressBar::hidden());
    let connection = match arguments.target.connection() {
        Ok(connection) => connection,
        Err(error) => {
            eprintln!("{error:#}");
            return REFUSED;
        }
    };
    let mut printer = Printer::new(&arguments);
    let result = match &arguments.group {
        Some(group) => of_group(&arguments, group, connection, &mut printer).await,
        None => of_partitions(&arguments, connection, &mut printer).await,
    };
    match result {
        Ok(()) => OK,
        Err(error) => failure(&error),
    }
}

/// Where the command ends by itself: behind the last message of each partition. None: nowhere.
async fn ends(arguments: &Arguments, connection: &Connection) -> anyhow::Result<(Vec<u32>, Option<Vec<u64>>)> {
    let about = Admin::new(connection.clone()).describe(&arguments.stream).await?;
    let partitions = about.partitions.iter().map(|p| p.partition).collect();
    let ends = about.partitions.iter().map(|p| u64::try_from(p.next_offset).unwrap_or(0)).collect();
    let by_itself = !arguments.follow && arguments.count.is_none();
    Ok((partitions, by_itself.then_some(ends)))
}

async fn of_group(
    arguments: &Arguments,
    group: &str,
    connection: Connection,
    printer: &mut Printer,
) -> anyhow::Result<()> {
    let (_, ends) = ends(arguments, &connection).await?;
    let mut options = ConsumerOptions::group(&arguments.stream, group);
    options.offset = arguments.offset;
    options.poll = Duration::from_millis(200);
    // What is received beyond the count is not handled: then every batch is settled by itself.
    options.auto_commit = arguments.count.is_none().then_some(arguments.auto_commit_interval);
    let mut consumer = Consumer::new(connection.clone(), options);
    let admin = Admin::new(connection);
    let mut seen = vec![0; ends.as_ref().map_or(0, Vec::len)];
    loop {
        let batch = tokio::select! {
            batch = consumer.next_batch() => batch?,
            _ = tokio::signal::ctrl_c() => break,
        };
        let printed = printer.print(&batch)?;
        if printer.closed {
            // What nobody has seen is given back.
            return Ok(());
        }
        if arguments.count.is_some() {
            consumer.settle(batch.get(..printed).unwrap_or_default()).await;
        }
        if printer.is_done() {
            break;
        }
        let Some(ends) = &ends else { continue };
        for entry in &batch {
            if let Some(seen) = seen.get_mut(entry.at.partition as usize) {
                *seen = entry.at.seq + 1;
            }
        }
        if batch.is_empty() {
            consumer.commit().await;
            let about = admin.describe(&arguments.stream).await?;
            // The other members have the rest in hand.
            if about.groups.iter().any(|g| g.name == group && g.lag <= g.in_flight) {
                break;
            }
        } else if seen.iter().zip(ends).all(|(seen, end)| seen >= end) {
            break;
        }
    }
    consumer.close().await;
    Ok(())
}

async fn of_partitions(arguments: &Arguments, connection: Connection, printer: &mut Printer) -> anyhow::Result<()> {
    let (all, ends) = ends(arguments, &connection).await?;
    let partitions = arguments.partition.map_or(all, |partition| vec![partition]);
    let (batches, mut read) = mpsc::channel(1);
    let mut reading = JoinSet::new();
    for partition in partitions {
        let end = ends.as_ref().map(|ends| ends.get(partition as usize).copied().unwrap_or(0));
        let reading_options = Reading::Partition(partition);
        let mut options = ConsumerOptions::new(&arguments.stream, reading_options);
        options.offset = arguments.offset;
        if end.is_some() {
            options.max_wait = Duration::ZERO;
        }
        let consumer = Consumer::new(connection.clone(), options);
        reading.spawn(read_partition(consumer, end, batches.clone()));
    }
    drop(batches);
    loop {
        let batch: Vec<Entry> = tokio::select! {
            batch = read.recv() => match batch {
                Some(batch) => batch?,
                None => return Ok(()),
            },
            _ = tokio::signal::ctrl_c() => return Ok(()),
        };
        printer.print(&batch)?;
        if printer.is_done() {
            return Ok(());
        }
    }
}

/// Reads up to the end, where there is one, or as long as anybody wants it.
async fn read_partition(mut consumer: Consumer, end: Option<u64>, batches: mpsc::Sender<anyhow::Result<Vec<Entry>>>) {
    loop {
        let batch = consumer.next_batch().await;
        let (mut over, failed) = match &batch {
            // Up to the end, nothing that is there is waited for.
            Ok(batch) => (end.is_some() && batch.is_empty() && !consumer.is_cut_off(), false),
            Err(_) => (true, true),
        };
        let batch = batch.map(|mut batch| {
            if let Some(end) = end {
                over |= batch.last().is_some_and(|last| last.at.seq + 1 >= end);
                batch.retain(|entry| entry.at.seq < end);
            }
            batch
        });
        let batch = batch.map_err(anyhow::Error::from);
        if batches.send(batch).await.is_err() || over || failed {
            return;
        }
    }
}

struct Printer {
    render: Render,
    left: Option<u64>,
    /// Nobody reads any more.
    closed: bool,
}

impl Printer {
    fn new(arguments: &Arguments) -> Printer {
        let format = match arguments.format {
            Printed::Raw => Format::Lines,
            Printed::Json => Format::Json,
        };
        Printer { render: Render::new(format), left: arguments.count, closed: false }
    }

    /// Prints as many as are wanted, and says how many that were.
    fn print(&mut self, entries: &[Entry]) -> std::io::Result<usize> {
        let wanted = self.left.map_or(usize::MAX, |left| usize::try_from(left).unwrap_or(usize::MAX));
        let messages: Vec<Message> = entries.iter().take(wanted).map(|e| e.message.clone()).collect();
        let mut out = stdout().lock();
        match out.write_all(self.render.render(&messages)).and_then(|()| out.flush()) {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => {
                self.closed = true;
                return Ok(0);
            }
            result => result?,
        }
        if let Some(left) = &mut self.left {
            *left -= messages.len() as u64;
        }
        Ok(messages.len())
    }

    fn is_done(&self) -> bool {
        self.closed || self.left == Some(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::PeltonBroker;

    #[tokio::test]
    async fn a_broker_that_does_not_answer_is_not_the_end() {
        // Takes connections, and says nothing.
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let broker = PeltonBroker {
            addresses: vec![listener.local_addr().unwrap().to_string()],
            request_timeout: Duration::from_millis(10),
            ..PeltonBroker::default()
        };
        let poll = Duration::from_millis(1);
        let options = ConsumerOptions { poll, ..ConsumerOptions::partition("orders", 0, Start::Earliest) };
        let (batches, mut read) = mpsc::channel(1);
        let consumer = Consumer::new(Connection::new(broker), options);
        let reading = tokio::spawn(read_partition(consumer, Some(9), batches));
        for _ in 0..2 {
            let batch = tokio::time::timeout(Duration::from_secs(60), read.recv()).await.unwrap();
            assert!(batch.expect("it goes on").unwrap().is_empty());
        }
        reading.abort();
    }
}
