//! From an address to a connection that is logged in, within a time.

use std::net::IpAddr;
use std::time::Duration;

use oxbus_model::address_race::AddressRace;
use oxbus_model::config::{Address, Config, RedisConfig, SentinelConfig};
use oxbus_model::{BusError, ErrorKind};
use tokio::time::{Instant, timeout_at};

use crate::redis::connection::credentials::{Credentials, ServerFacts};
use crate::redis::connection::names::Resolve;
use crate::redis::connection::open_connection::OpenConnection;
use crate::redis::connection::socket;
use crate::redis::connection::tls::Tls;

/// Opens sockets and logs in.
pub(in crate::redis) struct Access {
    names: Box<dyn Resolve>,
    /// The times of sockets.
    config: RedisConfig,
    credentials: Credentials,
    tls: Result<Option<Tls>, BusError>,
}

impl Access {
    /// To servers that keep data.
    pub(in crate::redis) fn to_servers(config: &Config, names: Box<dyn Resolve>) -> Access {
        let redis = &config.redis;
        Access {
            names,
            credentials: Credentials::of_server(redis, client_name(config)),
            // What was passed over is in the notices of the configuration.
            tls: redis.tls.as_ref().map(|tls| Tls::new(tls).map(|(tls, _)| tls)).transpose(),
            config: redis.clone(),
        }
    }

    /// To sentinels. Each attempt may take `limit`.
    pub(in crate::redis) fn to_sentinels(
        config: &Config,
        sentinel: &SentinelConfig,
        names: Box<dyn Resolve>,
        limit: Duration,
    ) -> Access {
        let connect_timeout = u64::try_from(limit.as_millis()).unwrap_or(u64::MAX);
        Access {
            names,
            credentials: Credentials::of_sentinel(sentinel, client_name(config)),
            tls: sentinel.tls.as_ref().map(|tls| Tls::of_sentinels(tls).map(|(tls, _)| tls)).transpose(),
            config: RedisConfig { connect_timeout, ..config.redis.clone() },
        }
    }

    /// Connects and logs in, until `deadline`, which is the connect timeout from now.
    pub(in crate::redis) async fn log_in(
        &self,
        address: &Address,
        deadline: Instant,
    ) -> Result<(OpenConnection, ServerFacts), BusError> {
        let tls = self.tls.as_ref().map_err(Clone::clone)?.as_ref();
        let (mut race, mut connected) = (AddressRace::default(), false);
        let opened = timeout_at(deadline, async {
            let stream = socket::open(address, &self.config, tls, self.names.as_ref(), &mut race).await?;
            connected = true;
            let mut talk = OpenConnection::new(stream, address, tls.is_some());
            let server = self.credentials.login(&mut talk).await?;
            Ok((talk, server))
        });
        let opened = opened.await;
        opened.unwrap_or_else(|_| Err(self.late(address, Some(&race).filter(|_| !connected))))
    }

    /// The server has not answered within the connect timeout. Tells what `race` has tried.
    pub(super) fn late(&self, address: &Address, race: Option<&AddressRace>) -> BusError {
        let mut message = format!("{address} did not answer within {} ms", self.config.connect_timeout);
        if let Address::Tcp { host, .. } = address
            && let Some(race) = race
            && host.parse::<IpAddr>().is_err()
        {
            message = format!("{message} ({})", race.report(host));
        }
        BusError::new(ErrorKind::ConnectTimeout, message)
    }
}

fn client_name(config: &Config) -> &str {
    config.redis.connection_name.as_deref().unwrap_or(&config.service_name)
}
