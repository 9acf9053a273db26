//! Who logs in: version, user, password and name.

use oxbus_model::config::{Address, RedisConfig, Secret, SentinelConfig};
use oxbus_model::{BusError, ErrorKind, server_error};
use redis::cmd;

use crate::redis::connection::open_connection::OpenConnection;
use crate::redis::connection::step::{Step, error_of};
use crate::redis::resp::reply::{Protocol, Reply};

/// Who logs in.
pub(super) struct Credentials {
    username: Option<String>,
    password: Option<Secret>,
    client_name: String,
    /// Where a password is set, for a person.
    place: &'static str,
}

impl Credentials {
    /// Those for a server.
    pub(super) fn of_server(config: &RedisConfig, client_name: &str) -> Credentials {
        Credentials {
            username: config.username.clone(),
            password: config.password.clone(),
            client_name: printable(client_name),
            place: "redis.password, in the URL, or REDIS_PASSWORD",
        }
    }

    /// Those for a sentinel.
    pub(super) fn of_sentinel(config: &SentinelConfig, client_name: &str) -> Credentials {
        Credentials {
            username: config.username.clone(),
            password: config.password.clone(),
            client_name: printable(client_name),
            place: "redis.sentinel.password",
        }
    }

    /// `HELLO 3` with login and name; where the server does not know or allow it, RESP2's three commands.
    pub(super) async fn login(&self, talk: &mut OpenConnection) -> Result<ServerFacts, BusError> {
        let user = self.username.as_deref();
        // A user who needs none logs in with any.
        let password = self.password.as_ref().map(|p| p.expose()).or(user.map(|_| ""));
        let mut hello = cmd("HELLO");
        hello.arg(3);
        if let Some(password) = password {
            hello.arg("AUTH").arg(user.unwrap_or("default")).arg(password);
        }
        hello.arg("SETNAME").arg(&self.client_name);
        talk.send([&hello]).await?;
        let greeting = talk.answer(|reply| match error_of(&reply) {
            Some(error) => Err(error.to_owned()),
            None => Ok(ServerFacts::read(&reply)),
        });
        let error = match greeting.await? {
            Ok(server) => return Ok(server),
            Err(error) => error,
        };
        let old = error.starts_with("NOPROTO")
            || error.starts_with("ERR unknown command")
            || error.starts_with("NOPERM");
        if !old {
            return Err(self.refused_login(&talk.address, server_error::classify(&error).into_error(&error)));
        }
        talk.protocol = Protocol::Resp2;
        let mut commands = Vec::new();
        if let Some(password) = password {
            let mut auth = cmd("AUTH");
            if let Some(user) = user {
                auth.arg(user);
            }
            commands.push((Step::Required, auth.arg(password).to_owned()));
        }
        commands.push((Step::Optional, cmd("CLIENT").arg("SETNAME").arg(&self.client_name).to_owned()));
        let info = cmd("INFO").arg("server").to_owned();
        talk.send(commands.iter().map(|(_, command)| command).chain([&info])).await?;
        for (step, _) in &commands {
            let judged = talk.answer(|reply| step.judge(reply)).await?;
            judged.map_err(|error| self.refused_login(&talk.address, error))?;
        }
        talk.answer(|reply| ServerFacts::of_info(&reply)).await
    }

    /// A refused login, with what whoever mends it has to look at.
    fn refused_login(&self, address: &Address, error: BusError) -> BusError {
        if error.kind != ErrorKind::AuthFailed {
            return error;
        }
        let user = self.username.as_deref().unwrap_or("default");
        let message = match self.password {
            Some(_) => format!("{address} refuses the login of user {user:?}: {}", error.message),
            None => format!(
                "{address} asks for a password, and none is set: set a password ({}): {}",
                self.place, error.message
            ),
        };
        BusError { message, ..error }
    }
}

/// The server refuses names with blanks and control characters.
fn printable(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_graphic() { c } else { '-' }).collect()
}

/// What a server says of itself in its answer to `HELLO`.
#[derive(Default)]
pub(in crate::redis) struct ServerFacts {
    pub(in crate::redis) version: Option<String>,
    pub(in crate::redis) role: Option<String>,
    pub(in crate::redis) mode: Option<String>,
}

impl ServerFacts {
    fn read(reply: &Reply<'_>) -> ServerFacts {
        let mut facts = ServerFacts::default();
        let Reply::Array(items) = reply else { return facts };
        for pair in items.chunks_exact(2) {
            let [Reply::Text(name), Reply::Text(value)] = pair else { continue };
            let value = || Some(String::from_utf8_lossy(value).into_owned());
            match *name {
                b"version" => facts.version = value(),
                b"role" => facts.role = value(),
                b"mode" => facts.mode = value(),
                _ => {}
            }
        }
        facts
    }

    /// What the answer to `INFO server` says of a server without `HELLO`. One that does not tell runs alone.
    fn of_info(reply: &Reply<'_>) -> ServerFacts {
        let info = String::from_utf8_lossy(reply.text().unwrap_or_default());
        // Valkey has another name for it.
        let mode = |line: &str| {
            line.strip_prefix("redis_mode:").or_else(|| line.strip_prefix("server_mode:")).map(str::to_owned)
        };
        let mode = info.lines().find_map(mode);
        ServerFacts { mode, ..ServerFacts::default() }
    }
}
