//! Scripts that run inside the server, each as one step that nothing interrupts.
//!
//! A script is called by the hash of its source (`EVALSHA`). The server knows it once it was loaded,
//! until it restarts or is told to forget its scripts; then it answers `NOSCRIPT` and has done nothing,
//! so that the same call with the source itself (`EVAL`) may follow.

use std::sync::OnceLock;

use redis::{Cmd, cmd};

/// A script.
pub(in crate::redis) struct Script {
    source: &'static str,
    hash: OnceLock<String>,
}

impl Script {
    /// A script of that source.
    pub(in crate::redis) const fn new(source: &'static str) -> Self {
        Script { source, hash: OnceLock::new() }
    }

    /// By what the server knows it: the SHA-1 of its source, as 40 hexadecimal digits.
    pub(in crate::redis) fn hash(&self) -> &str {
        self.hash.get_or_init(|| redis::Script::new(self.source).get_hash().to_owned())
    }

    /// The source.
    pub(in crate::redis) fn source(&self) -> &'static str {
        self.source
    }

    /// The error of this script that says which command the server does not have, if that is what `error` is about.
    pub(in crate::redis) fn missing_command(&self, error: &str) -> Option<String> {
        if !lacks_command(error) {
            return None;
        }
        let (_, place) = error.rsplit_once("@user_script:")?;
        let number: String = place.trim_start().chars().take_while(char::is_ascii_digit).collect();
        let line = self.source.lines().nth(number.parse::<usize>().ok()?.checked_sub(1)?)?;
        let (_, behind) = line.split_once("call('")?;
        let (name, _) = behind.split_once('\'')?;
        Some(format!("ERR unknown command '{name}', called by a script"))
    }

    /// `SCRIPT LOAD`: makes the server know it.
    pub(in crate::redis) fn load(&self) -> Cmd {
        cmd("SCRIPT").arg("LOAD").arg(self.source).to_owned()
    }

    /// `EVALSHA`, to be followed by the number of keys, the keys and the arguments.
    pub(in crate::redis) fn call(&self) -> Cmd {
        cmd("EVALSHA").arg(self.hash()).to_owned()
    }

    /// The same with the source itself, for a server that has answered [`is_missing`].
    pub(in crate::redis) fn call_in_full(&self) -> Cmd {
        cmd("EVAL").arg(self.source).to_owned()
    }
}

/// Whether a server refused a call because it does not know the script. It has done nothing then.
pub(in crate::redis) fn is_missing(error: &str) -> bool {
    error.starts_with("NOSCRIPT")
}

/// Whether a script has called a command that the server does not have, which only the place in the script tells.
fn lacks_command(error: &str) -> bool {
    ["Unknown Redis command called from", "Unknown command called from"]
        .iter()
        .any(|said| error.contains(said))
}

/// The error of a command that failed inside a script, without what servers say of the script: those before 7 put it
/// before the error, later ones behind it. An error that is for [`Script::missing_command`] stays as it is.
pub(in crate::redis) fn cause(error: &str) -> &str {
    if lacks_command(error) {
        return error;
    }
    let outer = error.strip_prefix("ERR Error running script ").and_then(|rest| rest.split_once("): "));
    let mut inner = outer.map_or(error, |(_, inner)| inner);
    if let Some((before, behind)) = inner.rsplit_once(" script: ")
        && behind.rsplit_once("on @user_script:").is_some_and(|(hash, _)| !hash.trim_end().contains(' '))
    {
        inner = before;
    }
    // `@user_script:12: ` and `@user_script: 12: `, either or both.
    while let Some((line, rest)) = inner.strip_prefix("@user_script:").and_then(|rest| rest.split_once(": "))
    {
        if !line.trim_start().bytes().all(|b| b.is_ascii_digit()) {
            break;
        }
        inner = rest;
    }
    inner.strip_prefix('-').unwrap_or(inner)
}

#[cfg(test)]
mod tests {
    use oxbus_testkit::{RedisServer, Value};
    use redis::Arg;

    use super::*;

    static ECHO: Script = Script::new("return {KEYS[1], ARGV[1]}");

    async fn answer(server: &RedisServer, command: &Cmd) -> Result<Value, String> {
        let args: Vec<&[u8]> = command
            .args_iter()
            .filter_map(|arg| match arg {
                Arg::Simple(bytes) => Some(bytes),
                _ => None,
            })
            .collect();
        server.try_command(&args).await
    }

    #[tokio::test]
    async fn a_server_knows_a_script_once_it_is_loaded() {
        let server = RedisServer::start().await;
        let echoed = Value::Array(vec![Value::bulk("k"), Value::bulk("v")]);
        let with_args = |mut command: Cmd| command.arg(1).arg("k").arg("v").to_owned();

        let missing = answer(&server, &with_args(ECHO.call())).await;
        assert!(missing.as_ref().is_err_and(|e| is_missing(e)), "{missing:?}");
        assert_eq!(answer(&server, &ECHO.load()).await.unwrap().text(), ECHO.hash());
        assert_eq!(answer(&server, &with_args(ECHO.call())).await.unwrap(), echoed);
        answer(&server, cmd("SCRIPT").arg("FLUSH")).await.unwrap();
        assert_eq!(answer(&server, &with_args(ECHO.call_in_full())).await.unwrap(), echoed);
        assert!(!is_missing("ERR no") && ECHO.source().contains("KEYS"));
    }

    #[test]
    fn a_command_that_the_server_does_not_have_is_named() {
        static SCRIPT: Script = Script::new("local a = 1\nlocal now = redis.call('TIME')\nreturn now");
        for said in [
            "ERR Unknown Redis command called from script script: 1f, on @user_script:2.",
            "ERR Unknown command called from script script: on @user_script:2.",
            "ERR Error running script (call to f_1f): @user_script:2: @user_script: 2: Unknown Redis command called from Lua script",
        ] {
            let named = SCRIPT.missing_command(cause(said));
            assert_eq!(named.as_deref(), Some("ERR unknown command 'TIME', called by a script"), "{said}");
        }
        let elsewhere = "ERR Unknown Redis command called from script script: 1f, on @user_script:";
        for said in [&format!("{elsewhere}1."), &format!("{elsewhere}9."), "ERR unknown command 'X'"] {
            assert_eq!(SCRIPT.missing_command(said), None);
        }
    }

    #[test]
    fn the_cause_is_what_the_command_said() {
        for (said, cause) in [
            ("NOGROUP No such key script: 1f, on @user_script:3.", "NOGROUP No such key"),
            (
                "ERR Error running script (call to f_1f): @user_script:3: NOGROUP No such key",
                "NOGROUP No such key",
            ),
            (
                "ERR Error running script (call to f_1f): @user_script:3: @user_script: 3: -OOM command not allowed",
                "OOM command not allowed",
            ),
            (
                "ERR ACL failure in script: User bus has no permissions to run the 'time' command script: 0a, on @user_script:3.",
                "ERR ACL failure in script: User bus has no permissions to run the 'time' command",
            ),
            (
                "ERR Error running script (call to f_1f): @user_script:3: @user_script: 3: The user executing the script can't run this command or subcommand",
                "The user executing the script can't run this command or subcommand",
            ),
            ("WRONGTYPE x script: on @user_script:65.", "WRONGTYPE x"),
            ("ERR no script: of mine, on it", "ERR no script: of mine, on it"),
            (
                "ERR Error running script (call to f_1f): @user_script:3: attempt to index nil",
                "attempt to index nil",
            ),
        ] {
            assert_eq!(super::cause(said), cause);
        }
    }
}
