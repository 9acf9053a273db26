//! Query parameters of addresses that have no meaning here. Other clients read them, or ignore them, so an address that works
//! elsewhere works here too, and a warning says what is not done.

use crate::config::notice::Notice;

/// Why the parameters of other clients do nothing, and what they are called. Only these names are shown in a message, as any
/// other text may be a piece of a password.
const ELSEWHERE: [(&str, &str); 8] = [
    ("family", "all addresses of the name are tried, those of IPv6 and IPv4 in turn"),
    (
        "connectTimeout connect_timeout commandTimeout dial_timeout health_check_interval keepAlive noDelay pingInterval \
         pool_timeout read_timeout socketTimeout socket_connect_timeout socket_keepalive socket_timeout timeout write_timeout",
        "the times are said in 'redis' of the configuration (connectTimeout, commandTimeout, keepAlive, heartbeat)",
    ),
    (
        "autoResendUnfulfilledCommands autoResubscribe conn_max_idle_time conn_max_lifetime enableAutoPipelining \
         enableOfflineQueue enableReadyCheck lazyConnect maxRetriesPerRequest max_connections max_idle_conns max_retries \
         max_retry_backoff min_idle_conns min_retry_backoff persistent pool_fifo poolSize pool_size retryStrategy \
         retry_on_error retry_on_timeout",
        "every client has its fixed connections, which are pipelined and made again without end",
    ),
    (
        "insecure rejectUnauthorized skip_verify ssl_ca_certs ssl_ca_data ssl_ca_path ssl_cert_reqs ssl_certfile \
         ssl_check_hostname ssl_keyfile ssl_keyfile_password tls_insecure verifyPeer",
        "how certificates are checked is said in 'redis.tls' of the configuration",
    ),
    (
        "clientName client_name connectionName lib_name lib_version libraryName libraryVersion",
        "the name is 'redis.connectionName' of the configuration",
    ),
    ("keyPrefix key_prefix prefix", "a prefix is 'channelPrefix' of the configuration"),
    (
        "client_cache protocol readOnly resp role",
        "the protocol is agreed on with the server, which has to be a master",
    ),
    ("decode_responses encoding encoding_errors stringNumbers", "events are JSON"),
];

/// The warning about the parameter `name` of the address at `path`; `None` when no other client is known to have it.
pub(super) fn ignored(path: &str, name: &str) -> Option<Notice> {
    ELSEWHERE.iter().find_map(|(names, why)| {
        let known = names.split_ascii_whitespace().find(|known| known.eq_ignore_ascii_case(name))?;
        Some(Notice::ignored(&format!("the query parameter {known:?} of {path}"), why))
    })
}
