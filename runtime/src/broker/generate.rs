use super::pace::Pace;
use super::{Ack, AckStyle, AckToken, BrokerError, Received, Source, SourceTraits};
use crate::config::GenerateSource as Config;
use crate::message::{Message, MessageBuilder};
use crate::stream::now_ns;
use async_trait::async_trait;

/// Makes messages of letters and digits: the same seed gives the same messages.
pub(super) struct GenerateSource {
    config: Config,
    builder: MessageBuilder,
    pace: Pace,
    made: u64,
    random: u64,
    body: Vec<u8>,
}

impl GenerateSource {
    pub(super) fn new(config: Config) -> GenerateSource {
        let (pace, random) = (Pace::new(config.rate), config.seed);
        GenerateSource { config, builder: Message::builder(), pace, made: 0, random, body: Vec::new() }
    }

    /// SplitMix64 (Steele, Lea and Flood, 2014).
    fn next_random(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.random ^ (self.random >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn make(&mut self, now: i64) -> Result<Received, BrokerError> {
        const DIGITS: &[u8; 32] = b"0123456789abcdefghijklmnopqrstuv";
        self.body.clear();
        while self.body.len() < self.config.size {
            let bytes = self.next_random().to_le_bytes();
            let text = bytes.map(|b| DIGITS.get(usize::from(b % 32)).copied().unwrap_or(b'0'));
            let wanted = text.len().min(self.config.size - self.body.len());
            self.body.extend(text.iter().take(wanted));
        }
        self.made += 1;
        self.builder.timestamp(now).header("n", self.made as i64);
        let message = self.builder.build(&self.body).map_err(|e| BrokerError::Fatal(e.into()))?;
        Ok(Received::new(message, AckToken { epoch: 0, tag: self.made }))
    }
}

#[async_trait]
impl Source for GenerateSource {
    async fn connect(&mut self) -> Result<(), BrokerError> {
        Ok(())
    }

    async fn recv(&mut self, max: usize) -> Result<Vec<Received>, BrokerError> {
        let left = self.config.count.map_or(u64::MAX, |count| count - self.made);
        if left == 0 {
            return Err(BrokerError::Finished);
        }
        // An endless source must let others have their turn.
        tokio::task::yield_now().await;
        let max = max.min(usize::try_from(left).unwrap_or(usize::MAX));
        // However large they are: no more than a megabyte at once, or one.
        let max = max.min((1 << 20) / self.config.size.max(1)).max(1);
        let count = self.pace.ready(max).await;
        let now = now_ns();
        let received = (0..count).map(|_| self.make(now)).collect::<Result<Vec<_>, _>>()?;
        self.pace.took(count);
        Ok(received)
    }

    async fn settle(&mut self, _: &[(AckToken, Ack)]) -> Result<(), BrokerError> {
        Ok(())
    }

    async fn close(&mut self) {}

    fn traits(&self) -> SourceTraits {
        SourceTraits { acks: AckStyle::None, redelivers: false }
    }
}
