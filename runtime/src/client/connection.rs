//! A connection to a broker at one of several addresses.

use super::ClientError;
use crate::config::{ClientTls, PeltonBroker};
use crate::serve::FRAME;
use crate::serve::proto::broker_client::BrokerClient;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};
use tonic::{Request, Status};

pub(super) type Client = BrokerClient<InterceptedService<Channel, Token>>;

/// What connects may take, and an answer, where nothing is said.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);
/// A broker that says nothing for so long is asked whether it is there.
const KEEPALIVE: Duration = Duration::from_secs(20);
/// What a connection, and each call on it, may have under way, in bytes.
const WINDOW: u32 = 4 << 20;
/// The largest answer: one message of the largest size that a broker may be set to take, with all around it.
const LARGEST_ANSWER: usize = (1 << 30) + (1 << 20);

/// A connection to a broker, made when it is first needed and again when it was lost: its addresses are tried in turn.
/// Cloning it shares it.
///
/// ```no_run
/// # use pelton::{client::{Admin, Connection}, config::PeltonBroker};
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let addresses = ["10.0.0.1:50051", "10.0.0.2:50051"];
/// let broker = PeltonBroker { addresses: addresses.map(String::from).to_vec(), ..PeltonBroker::default() };
/// println!("{:?}", Admin::new(Connection::new(broker)).list().await?);
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Connection(Arc<Inner>);

struct Inner {
    broker: PeltonBroker,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    current: Option<Client>,
    /// Counts the connections.
    epoch: u64,
    /// The address to try first.
    turn: usize,
}

impl Default for PeltonBroker {
    /// At 127.0.0.1:50051, in the clear, without a token; 30 seconds to connect, 5 to answer.
    fn default() -> PeltonBroker {
        PeltonBroker {
            addresses: vec!["127.0.0.1:50051".to_owned()],
            token: None,
            tls: None,
            connect_timeout: CONNECT_TIMEOUT,
            request_timeout: REQUEST_TIMEOUT,
        }
    }
}

impl Connection {
    /// To a broker as a configuration describes it. Nothing is connected yet.
    pub fn new(broker: PeltonBroker) -> Connection {
        Connection(Arc::new(Inner { broker, state: Mutex::default() }))
    }

    /// To a broker at `host:port`, in the clear.
    pub fn to(address: &str) -> Connection {
        Connection::new(PeltonBroker { addresses: vec![address.to_owned()], ..PeltonBroker::default() })
    }

    /// How it is made.
    pub fn broker(&self) -> &PeltonBroker {
        &self.0.broker
    }

    /// Connects, where there is no connection.
    ///
    /// # Errors
    /// [`ClientError::Unreachable`], and [`ClientError::InvalidConfiguration`] where a file or an address can't be used.
    pub async fn connect(&self) -> Result<(), ClientError> {
        self.client().await.map(drop)
    }

    /// A client over the present connection, and which connection that is.
    pub(super) async fn client(&self) -> Result<(Client, u64), ClientError> {
        let mut state = self.0.state.lock().await;
        if let Some(client) = &state.current {
            return Ok((client.clone(), state.epoch));
        }
        let addresses = &self.0.broker.addresses;
        let mut reason = "there is no address to try".to_owned();
        for i in 0..addresses.len() {
            let at = (state.turn + i) % addresses.len();
            let Some(address) = addresses.get(at) else { continue };
            match self.connect_to(address).await? {
                Ok(client) => {
                    state.current = Some(client.clone());
                    state.epoch += 1;
                    // Where it is lost, the next one is tried first.
                    state.turn = at + 1;
                    return Ok((client, state.epoch));
                }
                Err(error) => {
                    tracing::debug!(address, error, "not reached");
                    reason = error;
                }
            }
        }
        Err(ClientError::Unreachable { addresses: addresses.join(", "), reason })
    }

    /// A call over a connection has failed.
    pub(super) async fn failed(&self, epoch: u64, error: &ClientError) {
        let mut state = self.0.state.lock().await;
        if error.is_of_connection() && state.epoch == epoch {
            state.current = None;
        }
    }

    /// One call and its answer, within the time that a request may take and `extra`.
    pub(super) async fn call<T, F>(&self, extra: Duration, call: impl FnOnce(Client) -> F) -> Result<T, ClientError>
    where
        F: Future<Output = Result<tonic::Response<T>, Status>>,
    {
        let (client, epoch) = self.client().await?;
        let within = self.0.broker.request_timeout + extra;
        let result = match tokio::time::timeout(within, call(client)).await {
            Ok(Ok(response)) => return Ok(response.into_inner()),
            Ok(Err(status)) => ClientError::from(status),
            Err(_) => ClientError::TimedOut(within),
        };
        self.failed(epoch, &result).await;
        Err(result)
    }

    /// The outer error is for good, the inner one of this address.
    async fn connect_to(&self, address: &str) -> Result<Result<Client, String>, ClientError> {
        let broker = &self.0.broker;
        let endpoint = endpoint(address, broker)?;
        let channel = match tokio::time::timeout(broker.connect_timeout, endpoint.connect()).await {
            Ok(Ok(channel)) => channel,
            Ok(Err(error)) => return Ok(Err(causes(&error))),
            Err(_) => return Ok(Err(format!("no connection within {:?}", broker.connect_timeout))),
        };
        let client = BrokerClient::with_interceptor(channel, Token::new(broker)?);
        Ok(Ok(client.max_decoding_message_size(LARGEST_ANSWER)))
    }
}

fn endpoint(address: &str, broker: &PeltonBroker) -> Result<Endpoint, ClientError> {
    let scheme = if broker.tls.is_some() { "https" } else { "http" };
    let wrong = |error: &dyn std::error::Error| {
        ClientError::InvalidConfiguration(format!(
            "'{address}' can't be connected to: {}; use host:port",
            causes(error)
        ))
    };
    let endpoint = Endpoint::from_shared(format!("{scheme}://{address}")).map_err(|error| wrong(&error))?;
    let endpoint = endpoint
        .connect_timeout(broker.connect_timeout)
        .tcp_nodelay(true)
        .initial_stream_window_size(WINDOW)
        .initial_connection_window_size(WINDOW)
        .max_frame_size(FRAME)
        .http2_keep_alive_interval(KEEPALIVE)
        .keep_alive_timeout(KEEPALIVE);
    match &broker.tls {
        Some(tls) => endpoint.tls_config(client_tls(tls)?).map_err(|error| wrong(&error)),
        None => Ok(endpoint),
    }
}

fn client_tls(tls: &ClientTls) -> Result<ClientTlsConfig, ClientError> {
    let read = |path: &Path| {
        let wrong = |error| ClientError::InvalidConfiguration(format!("cannot read {}: {error}", path.display()));
        std::fs::read(path).map_err(wrong)
    };
    let mut config = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(read(&tls.ca)?));
    if let Some(identity) = &tls.identity {
        config = config.identity(Identity::from_pem(read(&identity.cert)?, read(&identity.key)?));
    }
    if let Some(domain) = &tls.domain {
        config = config.domain_name(domain);
    }
    Ok(config)
}

/// An error with everything that lies behind it.
fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        source = error.source();
    }
    text
}

/// Shows the token with every call, where there is one.
#[derive(Clone)]
pub(super) struct Token(Option<MetadataValue<Ascii>>);

impl Token {
    fn new(broker: &PeltonBroker) -> Result<Token, ClientError> {
        let Some(token) = &broker.token else { return Ok(Token(None)) };
        let wrong =
            |_| ClientError::InvalidConfiguration("the token can't be sent in a header; ask for another".into());
        let mut value = MetadataValue::try_from(format!("Bearer {}", token.reveal())).map_err(wrong)?;
        value.set_sensitive(true);
        Ok(Token(Some(value)))
    }
}

impl Interceptor for Token {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(token) = &self.0 {
            request.metadata_mut().insert("authorization", token.clone());
        }
        Ok(request)
    }
}
